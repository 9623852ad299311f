/*
 * What is balanced: the addresses and UDP ports of the virtual servers. What is few is compared, as
 * it is known when the program is compiled; what is many is looked up.
 *
 * Each address that clients send to is a row; a row and a port are a virtual server's, told by its
 * number.
 */
#pragma once

#include "ip.h"
#include "tables.h"

#define VIRTUAL_SERVERS(family) ((family) == IPV4 ? VIRTUAL_SERVERS_V4 : VIRTUAL_SERVERS_V6)

/* An address of words in network byte order, the most significant first. */
#define CONSTANT_ADDRESS(...)                                                                      \
	(const struct ip_address)                                                                  \
	{                                                                                          \
		.word = {__VA_ARGS__},                                                             \
	}

#define NO_ROW 0xffffffff

static __always_inline struct address_row *address_row_at(enum family family, __u32 cell)
{
#if ADDRESSES_HASHED_V4
	if (family == IPV4)
		return addresses_v4.lookup(&cell);
#endif
#if ADDRESSES_HASHED_V6
	if (family == IPV6)
		return addresses_v6.lookup(&cell);
#endif
	return 0;
}

/* The row of an address; NO_ROW for one that is no virtual server's. */
static __always_inline __u32 row_of_address(enum family family, const struct ip_address *address)
{
	struct address_row *found;

	if (family == IPV4 ? !ADDRESSES_HASHED_V4 : !ADDRESSES_HASHED_V6) {
#define IF_SAME(row, ...)                                                                          \
	if (same_address(family, address, &CONSTANT_ADDRESS(__VA_ARGS__)))                         \
		return row;
		if (family == IPV4) {
			FOR_EACH_ADDRESS_V4(IF_SAME)
		} else {
			FOR_EACH_ADDRESS_V6(IF_SAME)
		}
#undef IF_SAME
		return NO_ROW;
	}
	/* The multiplier was chosen so that each virtual server's address has a cell of its own. */
	found = address_row_at(family, hash_of_address(family, address,
						       family == IPV4 ? ADDRESS_MULTIPLIER_V4
								      : ADDRESS_MULTIPLIER_V6,
						       ADDRESS_CELL_BITS));
	return found && found->is_used &&
			       same_address(family, (struct ip_address *)found->address, address)
		       ? found->row
		       : NO_ROW;
}

static __always_inline bool is_virtual_server(enum family family, const struct ip_address *address)
{
	return row_of_address(family, address) != NO_ROW;
}

/* The number that stands in a row for a port. */
static __always_inline __u32 number_in_row(__u32 row, __be16 port)
{
#if PORT_ROWS
	__u32 number = __constant_ntohs(port);
	__u32 index = row * PORT_LINES_OF_ROW + number / PORTS_OF_LINE;
	struct port_line *line = virtual_server_of_port.lookup(&index);

	if (line && line->number[number % PORTS_OF_LINE])
		return line->number[number % PORTS_OF_LINE] - 1;
#endif
	return NO_VIRTUAL_SERVER_NUMBER;
}

/* The virtual server with this address's row that balances this port. */
static __always_inline __u32 virtual_server_at(enum family family, __u32 row, __be16 port)
{
#define OF_ROW(row, port, number)                                                                  \
	case (row) << 16 | __constant_htons(port):                                                 \
		return number;
	if (family == IPV4 && PORTS_COMPARED_V4)
		switch (row << 16 | port) {
			FOR_EACH_SERVICE_V4(OF_ROW)
		default:
			return NO_VIRTUAL_SERVER_NUMBER;
		}
	if (family == IPV6 && PORTS_COMPARED_V6)
		switch (row << 16 | port) {
			FOR_EACH_SERVICE_V6(OF_ROW)
		default:
			return NO_VIRTUAL_SERVER_NUMBER;
		}
#undef OF_ROW
	return number_in_row(row, port);
}

/*
 * The virtual server that alone balances this port, as far as the family is concerned; else
 * SEVERAL_VIRTUAL_SERVERS or NO_VIRTUAL_SERVER_NUMBER.
 */
static __always_inline __u32 virtual_server_of_port_alone(enum family family, __be16 port)
{
#define OF_PORT(port, number)                                                                      \
	case __constant_htons(port):                                                               \
		return number;
	if (family == IPV4 && PORTS_COMPARED_V4)
		switch (port) {
			FOR_EACH_PORT_V4(OF_PORT)
		default:
			return NO_VIRTUAL_SERVER_NUMBER;
		}
	if (family == IPV6 && PORTS_COMPARED_V6)
		switch (port) {
			FOR_EACH_PORT_V6(OF_PORT)
		default:
			return NO_VIRTUAL_SERVER_NUMBER;
		}
#undef OF_PORT
	return number_in_row(family == IPV4 ? ROW_OF_PORTS_V4 : ROW_OF_PORTS_V6, port);
}

static __always_inline struct virtual_server *virtual_server_of(__u32 bank, __u32 number)
{
	__u32 index = 2 * number + bank;

	return virtual_servers.lookup(&index);
}

/* Whether the virtual server of this number and row balances a port that one of its family does. */
static __always_inline bool balances_port(enum family family, __u32 row, __u32 number, __be16 port)
{
	if (family == IPV4 ? PORTS_ALIKE_V4 : PORTS_ALIKE_V6)
		return true;
	return virtual_server_at(family, row, port) == number;
}

/* Copies the address of the frame's virtual server; false where there is none any more. */
static __always_inline bool copy_virtual_server_address(const struct frame *frame, __u32 bank,
							struct ip_address *to)
{
	struct virtual_server *server;

	if (VIRTUAL_SERVERS(frame->family) == 1) {
#define THE_ONE(row, ...) *to = CONSTANT_ADDRESS(__VA_ARGS__);
		if (frame->family == IPV4) {
			FOR_EACH_ADDRESS_V4(THE_ONE)
		} else {
			FOR_EACH_ADDRESS_V6(THE_ONE)
		}
#undef THE_ONE
		return true;
	}
	server = virtual_server_of(bank, frame->virtual_server);
	if (!server)
		return false;
	copy_address(frame->family, to, (struct ip_address *)server->address);
	return true;
}

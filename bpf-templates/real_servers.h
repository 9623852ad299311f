/* Virtual servers by their number; real servers by their slot and by their address. */
#pragma once

#include "ip.h"
#include "tables.h"
#include "virtual_servers.h"

/*
 * The bank of the lists in force. Read once for each packet, so that all of it is decided by one
 * list: the daemon writes the other bank and then switches, and waits for all packets under way
 * before it writes the bank that was in force.
 */
static __always_inline __u32 read_bank(const struct control *control)
{
	return *(volatile const __u32 *)&control->bank;
}

static __always_inline struct real_server *real_server_at(enum family family, __u32 bank,
							  __u32 slot)
{
	__u32 index = 2 * slot + bank;

#if HAS_IPV4
	if (family == IPV4)
		return (struct real_server *)real_servers_v4.lookup(&index);
#endif
#if HAS_IPV6
	if (family == IPV6)
		return (struct real_server *)real_servers_v6.lookup(&index);
#endif
	return 0;
}

/*
 * The real server of a slot, with whom its clients stay; null if it is not listed, if it is another
 * virtual server's, or if there is no such slot.
 */
static __always_inline struct real_server *real_server_of_slot(enum family family, __u32 bank,
							       __u32 number, __u32 slot)
{
	struct real_server *server = real_server_at(family, bank, slot);

	if (!server || server->state < REAL_SERVER_DRAINING)
		return 0;
	if (VIRTUAL_SERVERS(family) > 1 && server->virtual_server != number)
		return 0;
	return server;
}

/* The address stands behind what both families have. */
static __always_inline struct ip_address *real_server_address(struct real_server *server)
{
	return (struct ip_address *)(server + 1);
}

static __always_inline __u32 *slot_of_address(enum family family, const struct ip_address *address)
{
#if HAS_IPV4
	if (family == IPV4) {
		struct ip_address_v4 key = {
			.word[0] = address->word[0],
		};

		return slot_of_address_v4.lookup(&key);
	}
#endif
#if HAS_IPV6
	if (family == IPV6) {
		struct ip_address_v6 key = *address;

		return slot_of_address_v6.lookup(&key);
	}
#endif
	return 0;
}

static __always_inline struct slot_line *likely_slots_at(enum family family, __u32 index)
{
#if VIRTUAL_SERVERS_V4 > 1
	if (family == IPV4)
		return likely_slots_v4.lookup(&index);
#endif
#if VIRTUAL_SERVERS_V6 > 1
	if (family == IPV6)
		return likely_slots_v6.lookup(&index);
#endif
	return 0;
}

/* The slot that is found at the hash of an address: of that address, most likely. */
static __always_inline __u32 likely_slot(enum family family, const struct ip_address *address)
{
	__u32 bits = family == IPV4 ? LIKELY_SLOT_BITS_V4 : LIKELY_SLOT_BITS_V6;
	__u32 cell = hash_of_address(family, address, ADDRESS_FOLD, bits);
	struct slot_line *line = likely_slots_at(family, cell / SLOTS_OF_LINE);

	return line ? line->slot[cell % SLOTS_OF_LINE] : SLOT_PENDING;
}

/* Some slot of an address, listed or not; false where there is none. */
static __always_inline bool find_slot(enum family family, __u32 bank,
				      const struct ip_address *address, __u32 *slot)
{
	__u32 *found;

	if (VIRTUAL_SERVERS(family) > 1) {
		struct real_server *server;

		*slot = likely_slot(family, address);
		server = real_server_at(family, bank, *slot);
		if (server && same_address(family, real_server_address(server), address))
			return true;
	}
	found = slot_of_address(family, address);
	if (found)
		*slot = *found;
	return found;
}

/*
 * The real server with this address that answers from this port, or from any that is 0; its slot
 * and whose it is; null if none is listed. The table of addresses is in no bank and written before
 * the switch: the slot is asked whether it is the address's still. An address has a slot at most
 * for each virtual server, and they are a ring.
 */
static __always_inline struct real_server *find_real_server(enum family family, __u32 bank,
							    const struct ip_address *address,
							    __be16 port, __u32 *number, __u32 *slot)
{
	__u32 first, next;

	if (!find_slot(family, bank, address, &first))
		return 0;
	next = first;
	for (__u32 i = 0; i < VIRTUAL_SERVERS(family); i++) {
		struct real_server *server = real_server_at(family, bank, next);

		if (!server || !same_address(family, real_server_address(server), address))
			return 0;
		*slot = next;
		*number = server->virtual_server;
		if (server->state >= REAL_SERVER_DRAINING &&
		    (!port || balances_port(family, server->row, *number, port)))
			return server;
		next = server->next;
		if (next == first)
			return 0;
	}
	return 0;
}

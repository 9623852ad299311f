/* Real servers: in which bank, in which slot, by their address. */
#pragma once

#include "ip.h"
#include "tables.h"

/*
 * What is in force. Never null: the verifier does not know that an array has its first element.
 */
static __always_inline struct control *what_is_in_force(void)
{
	__u32 zero = 0;

	return control.lookup(&zero);
}

/*
 * The bank of the list in force. Read once for each packet, so that all of it is decided by one
 * list: the daemon writes the other bank and then switches, and waits for all packets under way
 * before it writes the bank that was in force.
 */
static __always_inline __u32 read_bank(const struct control *control)
{
	return *(volatile const __u32 *)&control->bank;
}

/* The real server of a slot; null if it is not listed, or if there is no such slot. */
static __always_inline struct real_server *real_server_of_slot(__u32 bank, __u32 slot)
{
	__u32 index = 2 * slot + bank;
	struct real_server *server = real_servers.lookup(&index);

	return server && server->state == REAL_SERVER_LISTED ? server : 0;
}

static __always_inline struct ip_address *real_server_address(struct real_server *server)
{
	return (struct ip_address *)&server->address;
}

/*
 * The real server with this address and its slot; null if none is listed. The table of addresses is
 * in no bank and written before the switch: the slot is asked whether it is the address's still.
 */
static __always_inline struct real_server *find_real_server(__u32 bank, struct ip_address *address,
							    __u32 *slot)
{
	struct ip_address key = *address;
	__u32 *found = slot_of_address.lookup(&key);
	struct real_server *server;

	if (!found)
		return 0;
	*slot = *found;
	server = real_server_of_slot(bank, *slot);
	if (!server || !same_address(real_server_address(server), address))
		return 0;
	return server;
}

/* Real servers: in which bank, in which slot, by an association or by their address. */
#pragma once

#include "ip.h"
#include "tables.h"

/*
 * The bank in force. Asked once for each packet, so that all of it is decided by one list: the
 * daemon writes the other bank and then switches. Only where the list changes twice within the run
 * of one packet is its own bank written meanwhile. That packet may then see servers of both lists,
 * and at worst one entry half-written: it is sent to no server's address, or with a wrong checksum.
 * Nothing of that lasts, as an association is only believed with its slot's generation.
 */
static __always_inline __u32 current_bank(void)
{
	__u32 zero = 0;
	struct former_control *state = control.lookup(&zero);

	return state ? state->bank : 0;
}

/* The real server of a slot; null if it is not listed. */
static __always_inline struct real_server *real_server_of_slot(__u32 bank, __u32 slot)
{
	__u32 index = bank * REAL_SERVER_SLOTS + slot;
	struct real_server *server = real_servers.lookup(&index);

	return server && server->generation ? server : 0;
}

/*
 * The real server that an association leads to; null if it is no longer listed. So too for the word
 * 0, which stands for no association: no listed server has generation 0.
 */
static __always_inline struct real_server *real_server_of(__u32 bank,
							  union former_association association)
{
	struct real_server *server = real_server_of_slot(bank, association.server);

	return server && server->generation == association.generation ? server : 0;
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

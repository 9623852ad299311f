/* Real servers by slot, and round robin: whose turn it is. */
#pragma once

#include "address.h"

/* Asked once for each packet, so that all of it is decided by one list of real servers. */
static __always_inline __u32 current_bank(void)
{
	__u32 zero = 0;
	struct control *state = control.lookup(&zero);

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
static __always_inline struct real_server *real_server_of(__u32 bank, union association association)
{
	struct real_server *server = real_server_of_slot(bank, association.server);

	return server && server->generation == association.generation ? server : 0;
}

static __always_inline union association associate(__u32 slot, const struct real_server *server)
{
	union association association = {.server = slot, .generation = server->generation};

	return association;
}

/* How often a CPU tries to take a turn that others take at the same time. */
#define ROUND_ATTEMPTS 8

/* How many turns a round has: 0 where no server is listed. */
static __always_inline __u32 round_length(__u32 bank)
{
	__u32 start = bank * (1 + MAX_REAL_SERVERS), *length = rounds.lookup(&start);

	return length ? *length : 0;
}

/*
 * Gives the next turn of the round robin: true and the slot. After a change of the list the
 * position is kept if that index still exists, else it is the first.
 */
static __always_inline bool next_in_round(__u32 bank, __u32 length, __u32 *slot)
{
	__u32 zero = 0, start = bank * (1 + MAX_REAL_SERVERS), index = 0, *entry;
	__u64 *position = cursor.lookup(&zero);

	if (!position)
		return false;
#pragma unroll
	for (int attempt = 0; attempt < ROUND_ATTEMPTS; attempt++) {
		__u64 next = *(volatile __u64 *)position;

		index = next < length ? next : 0;
		if (__sync_val_compare_and_swap(position, next, (__u64)index + 1) == next)
			break;
	}
	index += start + 1;
	entry = rounds.lookup(&index);
	if (!entry)
		return false;
	*slot = *entry;
	return true;
}

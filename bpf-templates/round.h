/* Round robin: whose turn it is. */
#pragma once

#include "tables.h"

/* How many turns a round has: 0 where no server is listed. */
static __always_inline __u32 round_length(__u32 bank)
{
	__u32 start = bank * (1 + MAX_REAL_SERVERS), *length = rounds.lookup(&start);

	return length ? *length : 0;
}

/*
 * How often a CPU tries to take a turn that others take at the same time. Who has lost that often
 * goes along with the turn of the last that was faster: one server is given twice, and the round is
 * shifted by none.
 */
#define ROUND_ATTEMPTS 8

/*
 * Gives the next turn of the round robin: true and the slot. After a change of the list the
 * position is kept if that index still exists, else it is the first.
 */
static __always_inline bool next_in_round(__u32 bank, __u32 length, __u32 *slot)
{
	__u32 zero = 0, start = bank * (1 + MAX_REAL_SERVERS), index = 0, *entry;
	__u64 *position = round_position.lookup(&zero);

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

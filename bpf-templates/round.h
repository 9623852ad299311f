/* Round robin: whose turn it is. */
#pragma once

#include "tables.h"

/*
 * How many turns a CPU takes at once where another takes one at the same time, so that they do not
 * wait for each other with each new client.
 */
#define TURNS_AT_ONCE 32
/*
 * How often a CPU tries to do so. Who has lost that often goes along with the turns of the last
 * that was faster: some are given twice, and the round is shifted by none.
 */
#define ROUND_ATTEMPTS 8

/* An index of the round, or the first where the round has none there. */
static __always_inline __u32 index_in_round(__u64 position, __u32 length)
{
	return position < length ? position : 0;
}

/* The next of the turns that this CPU has in hand; false where it has none of a round of this
 * length. */
static __always_inline bool take_from_hand(struct turns *hand, __u32 length, __u32 *index)
{
	if (!hand->count || hand->length != length)
		return false;
	*index = hand->next;
	hand->next = index_in_round((__u64)*index + 1, length);
	hand->count--;
	return true;
}

/* Takes many turns, of which the first is given at once. */
static __always_inline __u32 take_turns(__u64 *position, struct turns *hand, __u32 length)
{
	__u64 seen = *(volatile __u64 *)position;
	__u32 index = 0;

#pragma unroll
	for (int attempt = 0; attempt < ROUND_ATTEMPTS; attempt++) {
		__u64 former = seen;

		index = index_in_round(former, length);
		seen = __sync_val_compare_and_swap(position, former,
						   (__u64)((index + TURNS_AT_ONCE) % length));
		if (seen == former)
			break;
	}
	*hand = (struct turns){.length = length,
			       .next = index_in_round((__u64)index + 1, length),
			       .count = TURNS_AT_ONCE - 1};
	return index;
}

/*
 * The index of the next turn. After a change of the list the position is kept if that index still
 * exists, else it is the first. As long as no two CPUs want one at the same time, the turns go
 * round in exact order.
 */
static __always_inline __u32 next_turn(__u64 *position, struct turns *hand, __u32 length)
{
	__u64 seen;
	__u32 index;

	if (take_from_hand(hand, length, &index))
		return index;
	seen = *(volatile __u64 *)position;
	index = index_in_round(seen, length);
	if (__sync_val_compare_and_swap(position, seen, (__u64)index + 1) == seen)
		return index;
	return take_turns(position, hand, length);
}

/* The next turn of a virtual server's round robin. */
static __always_inline __u32 next_in_round(__u32 number, __u32 length)
{
	__u64 *position = round_position.lookup(&number);
	struct turns *hand = turns_in_hand.lookup(&number);

	return position && hand ? next_turn(position, hand, length) : 0;
}

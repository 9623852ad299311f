/*
 * Which associations were used last. There is no clock: an epoch is so many insertions, and a place
 * is stamped with the epoch of its last use, so that a client in full swing writes nothing. Where
 * the table is a single bucket the order is exact: its stamps are ranks.
 */
#pragma once

#include "tables.h"

/* The octet beside the stamps is a lock: what changes several stamps at once leaves it as it is. */
#define STAMP_BITS 8

/* Insertions for each epoch; those that a CPU makes before it tells; epochs that are told apart. */
#define EPOCH	     (MAX_ASSOCIATIONS / 64 > 1 ? MAX_ASSOCIATIONS / 64 : 1)
#define BATCH	     (EPOCH < 32 ? EPOCH : 32)
#define OLDEST_EPOCH 128

/* That of a place, of all ages of a bucket. */
static __always_inline __u64 age_in(__u64 ages, __u32 place)
{
	return ages >> place * STAMP_BITS & 0xff;
}

#if SINGLE_BUCKET
/* How often the new order is tried to be written while others write theirs. */
#define RANK_ATTEMPTS 8

/* The place was used last: its rank is 0, and those that were before it move up. */
static __always_inline void touch(const struct control *control, struct bucket *bucket, __u32 place)
{
	__u32 shift = place * STAMP_BITS;

	for (int attempt = 0; attempt < RANK_ATTEMPTS; attempt++) {
		__u64 seen = *(volatile __u64 *)&bucket->stamps, next = seen;
		__u64 rank = age_in(seen, place);

		if (!rank)
			return;
#pragma unroll
		for (int other = 0; other < BUCKET_PLACES; other++) {
			__u64 before = age_in(seen, other) - rank;

			next += before >> 63 << other * STAMP_BITS;
		}
		next -= rank << shift;
		if (__sync_val_compare_and_swap(&bucket->stamps, seen, next) == seen)
			return;
	}
}

/* The ages of a bucket's places, an octet each: how many others were used since. */
static __always_inline __u64 ages_of(const struct control *control, const struct bucket *bucket)
{
	return *(volatile const __u64 *)&bucket->stamps;
}

static __always_inline void count_insertion(enum family family, struct control *control)
{
}
#else
static __always_inline void touch(const struct control *control, struct bucket *bucket, __u32 place)
{
	volatile __u8 *stamp = &bucket->stamp[place];
	__u8 epoch = control->epoch;

	if (*stamp != epoch)
		*stamp = epoch;
}

/* In each octet the highest bit; the others; and those of the octets that are stamps. */
#define HIGHEST	  0x8080808080808080ULL
#define LOWER	  0x7f7f7f7f7f7f7f7fULL
#define OF_STAMPS 0x00ffffffffffffffULL

/*
 * The ages of a bucket's places, an octet each: in epochs, 0 to 255. The epoch is read after the
 * stamps: one of an epoch that another CPU has begun since would look 255 epochs old. All octets
 * are subtracted at once: the highest bits apart, so that none borrows of the next.
 */
static __always_inline __u64 ages_of(const struct control *control, const struct bucket *bucket)
{
	__u64 stamps = *(volatile const __u64 *)&bucket->stamps;
	__u64 epoch = (*(volatile const __u64 *)&control->epoch & 0xff) * (HIGHEST >> 7);

	return ((epoch | HIGHEST) - (stamps & LOWER)) ^ ((epoch ^ ~stamps) & HIGHEST);
}

/* A stamp would look fresh again 256 epochs after it: before that, it is set after the present. */
static __always_inline void hold_oldest(enum family family, const struct control *control,
					__u64 batch)
{
	const __u32 held = (BATCH + 3) / 4; /* buckets, so that all are seen in 96 epochs */

	for (__u32 i = 0; i < held; i++) {
		__u32 index = (batch * held + i) % BUCKETS;
		struct bucket *bucket = bucket_at(family, index);
		__u64 ages;

		if (!bucket)
			return;
		ages = ages_of(control, bucket);
		/* Whether any is more than 128: its highest bit is set, and another. */
		if (!(ages & ((ages & LOWER) + LOWER) & HIGHEST & OF_STAMPS))
			continue;
#pragma unroll
		for (int place = 0; place < PLACES; place++)
			if (age_in(ages, place) > OLDEST_EPOCH)
				bucket->stamp[place] = control->epoch - OLDEST_EPOCH;
	}
}

static __always_inline __u64 *insertions_of(enum family family)
{
	__u32 zero = 0;

#if HAS_IPV4
	if (family == IPV4)
		return insertions_v4.lookup(&zero);
#endif
#if HAS_IPV6
	if (family == IPV6)
		return insertions_v6.lookup(&zero);
#endif
	return 0;
}

/* Each CPU counts for itself, so that they seldom meet: this is told once for each batch. */
static __always_inline void count_insertion(enum family family, struct control *control)
{
	const __u32 epoch_batches = (EPOCH + BATCH / 2) / BATCH;
	__u32 index = family == IPV6;
	__u64 *made = insertions_of_cpu.lookup(&index), *batches, batch;

	if (!made || ++*made < BATCH)
		return;
	*made = 0;
	batches = insertions_of(family);
	if (!batches)
		return;
	batch = __sync_fetch_and_add(batches, 1);
	if ((batch + 1) % epoch_batches == 0)
		__sync_fetch_and_add(&control->epoch, 1);
	hold_oldest(family, control, batch);
}
#endif

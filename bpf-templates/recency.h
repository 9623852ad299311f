/*
 * Which associations were used last, and so who is forgotten next. There is no clock: an epoch is
 * so many insertions, and a place is stamped with the epoch of its last use, so that a client in
 * full swing writes nothing. Where the table has classes (layout.h), residents are told apart by
 * epochs of promotions instead: no flood of new clients makes them older. Where the table is a
 * single bucket the order is exact: its stamps are ranks.
 */
#pragma once

#include "tables.h"

/* The octet beside the stamps is a lock: what changes several stamps at once leaves it as it is. */
#define STAMP_BITS 8

/* Whether stamps tell classes. */
#define CLASSES		(PROBATION && !SINGLE_BUCKET)
#define CLASS_OF(stamp) ((stamp) >> CLASS_EPOCH_BITS)
/* Where they do not, nothing changes with a known client's packet. */
#define CLASSLESS (CLASS_RESIDENT << CLASS_EPOCH_BITS)

/* Besides residents, of whom a packet changes nothing: one of its own, or one to it. For a
 * newcomer's own the lists may have to be asked, by its class. */
#define CLASS_LEFT_BY_INGRESS (LISTS && !STRICT ? CLASS_RESIDENT : CLASS_NEWCOMER)
#define CLASS_LEFT_BY_EGRESS  CLASS_UNHEARD

/* A stamp as a number that is 0 where it is CLASSLESS, and such a number as a stamp. */
#define STANDING(stamp)	   ((__u64)(stamp) ^ CLASSLESS)
#define STAMP_OF(standing) ((standing) ^ CLASSLESS)

/*
 * How many epochs as many insertions are, or promotions, as there can be associations; and how many
 * are told apart: what is older is held at that age, before its stamp looks fresh again.
 */
#if CLASSES
#define EPOCHS	   16
#define EPOCH_BITS CLASS_EPOCH_BITS
#else
#define EPOCHS	   64
#define EPOCH_BITS STAMP_BITS
#endif
#define EPOCH_MASK   ((1 << EPOCH_BITS) - 1)
#define OLDEST_EPOCH (1 << (EPOCH_BITS - 1))

/* Insertions for each epoch; those that a CPU makes before it tells. */
#define EPOCH (MAX_ASSOCIATIONS / EPOCHS > 1 ? MAX_ASSOCIATIONS / EPOCHS : 1)
#define BATCH (EPOCH < 32 ? EPOCH : 32)

/* In each octet of eight. */
#define OCTETS(x) ((x)*0x0101010101010101ULL)
#define OF_STAMPS 0x00ffffffffffffffULL

/* The time in ns (CLOCK_MONOTONIC), as of the last tick. Where there are no classes it is of no
 * use. */
static __always_inline __u64 time_of_tick(void)
{
	return CLASSES ? bpf_ktime_get_coarse_ns() : 0;
}

/* The unit in which a stamp tells when a client was answered. */
static __always_inline __u64 half_seconds_of(__u64 time)
{
	return CLASSES ? (time >> TIME_SHIFT) * HALF_SECONDS_FACTOR >> HALF_SECONDS_SHIFT : 0;
}

/* With classes, a newcomer has this rank, or a higher one; who was answered the second, or a higher
 * one; a resident a lower one. */
#define RANK_NEWCOMER 0x80
#define RANK_ANSWERED 0x40

/* A stamp that tells this class and epoch. */
#define STAMP(class, epoch) ((class) << CLASS_EPOCH_BITS | ((epoch)&EPOCH_MASK))

#if !SINGLE_BUCKET
/* An epoch has begun: whoever is used from now on is stamped with it. Read anew, as another CPU may
 * have begun the next; which of them stores last is open, and one epoch matters little. */
static __always_inline void show_epochs(struct control *control)
{
	volatile __u8 *stamp = control->present_stamp;
	__u32 epoch = *(volatile const __u64 *)&control->epoch;
	__u32 promotions = *(volatile const __u64 *)&control->promotion_epoch;

	stamp[CLASS_NEWCOMER] = STAMP(CLASS_NEWCOMER, epoch);
	stamp[CLASS_UNHEARD] = STAMP(CLASS_UNHEARD, epoch);
	stamp[CLASS_RESIDENT] = STAMP(CLASS_RESIDENT, promotions);
}
#endif

/* What a place has of all ages, or ranks, of a bucket. */
static __always_inline __u32 octet_of(__u64 octets, __u32 place)
{
	return octets >> place * STAMP_BITS & 0xff;
}

/* Without a branch, of which the verifier would follow each with each other. LLVM is kept from
 * making one of it again. */
static __always_inline __u64 larger_of(__u64 a, __u64 b)
{
	__s64 less = a - b;

	OPAQUE(less);
	return a - (less & less >> 63);
}

static __always_inline __u64 stamps_of(const struct bucket *bucket)
{
	return *(volatile const __u64 *)&bucket->stamps;
}

#if SINGLE_BUCKET
/* How often the new order is tried to be written while others write theirs. */
#define RANK_ATTEMPTS 8

/* The place was used last: its rank is 0, and those that were before it move up. There are
 * no classes. */
static __always_inline __u64 touch(const struct control *control, struct bucket *bucket,
				   __u32 place, bool is_sender)
{
	__u32 shift = place * STAMP_BITS;

	for (int attempt = 0; attempt < RANK_ATTEMPTS; attempt++) {
		__u64 seen = stamps_of(bucket), next = seen;
		__u64 rank = octet_of(seen, place);

		if (!rank)
			break;
#pragma unroll
		for (int other = 0; other < BUCKET_PLACES; other++) {
			__u64 before = octet_of(seen, other) - rank;

			next += before >> 63 << other * STAMP_BITS;
		}
		next -= rank << shift;
		if (__sync_val_compare_and_swap(&bucket->stamps, seen, next) == seen)
			break;
	}
	return STANDING(CLASSLESS);
}

/* The ranks of a bucket's places, an octet each: the highest is forgotten next. Without classes all
 * clients are newcomers. */
static __always_inline __u64 ranks_of_newcomers(const struct control *control, __u64 stamps)
{
	return stamps;
}

#elif !CLASSES
/* Notes that a place is used. There are no classes. */
static __always_inline __u64 touch(const struct control *control, struct bucket *bucket,
				   __u32 place, bool is_sender)
{
	volatile __u8 *stamp = &bucket->stamp[place];
	__u8 epoch = control->epoch;

	if (*stamp != epoch)
		*stamp = epoch;
	return STANDING(CLASSLESS);
}

/*
 * The ranks of a bucket's places, an octet each: their ages in epochs, 0 to 255, of which the
 * highest is forgotten next. The epoch is read after the stamps: one of an epoch that another CPU
 * has begun since would look 255 epochs old. All octets are subtracted at once: the highest bits
 * apart, so that none borrows of the next.
 */
static __always_inline __u64 ranks_of_newcomers(const struct control *control, __u64 stamps)
{
	__u64 epoch = OCTETS(*(volatile const __u64 *)&control->epoch & 0xff);

	return ((epoch | OCTETS(0x80)) - (stamps & OCTETS(0x7f))) ^
	       ((epoch ^ ~stamps) & OCTETS(0x80));
}

#else
/*
 * Notes that a place is used. Returns what its stamp of before tells of its class, as STANDING; 0
 * of whoever is in full swing, and has nothing changed by the packet, as it is with most.
 */
static __always_inline __u64 touch(const struct control *control, struct bucket *bucket,
				   __u32 place, bool is_sender)
{
	volatile __u8 *pointer = &bucket->stamp[place];
	__u64 stamp = *pointer, present, standing;

	if (stamp == control->present_stamp[CLASS_RESIDENT] ||
	    stamp == control->present_stamp[is_sender ? CLASS_LEFT_BY_INGRESS
						      : CLASS_LEFT_BY_EGRESS])
		return STANDING(CLASSLESS);
	present = control->present_stamp[CLASS_OF(stamp)];
	/* When a client was answered stays. */
	if (stamp != present && CLASS_OF(stamp) != CLASS_ANSWERED)
		*pointer = present;
	standing = STANDING(stamp);
	OPAQUE(standing);
	return standing;
}

/* In each octet 0x3f where a stamp's upper bits, both of them, are set; where the higher alone. */
static __always_inline __u64 of_answered(__u64 stamps)
{
	return (stamps >> 7 & stamps >> 6 & OCTETS(1)) * EPOCH_MASK;
}

static __always_inline __u64 of_residents(__u64 stamps)
{
	return (stamps >> 7 & ~(stamps >> 6) & OCTETS(1)) * EPOCH_MASK;
}

/* How many epochs ago each stamp was written, by the present epoch in each octet: 0 to 63. */
static __always_inline __u64 ages_by(__u64 epochs, __u64 stamps)
{
	return ((epochs | OCTETS(1 << EPOCH_BITS)) - (stamps & OCTETS(EPOCH_MASK))) &
	       OCTETS(EPOCH_MASK);
}

/*
 * The ages of a bucket's places by the epoch of the class of each, an octet each. The epochs are
 * read after the stamps: one of an epoch that another CPU has begun since would look 63 epochs old.
 * Of half seconds it may have begun one since the time was asked for.
 */
static __always_inline __u64 ages_of(const struct control *control, __u64 stamps,
				     __u64 half_seconds)
{
	__u64 epochs = OCTETS(*(volatile const __u64 *)&control->epoch & EPOCH_MASK);
	__u64 promotions = OCTETS(*(volatile const __u64 *)&control->promotion_epoch & EPOCH_MASK);

	epochs ^= (epochs ^ promotions) & of_residents(stamps);
	epochs ^= (epochs ^ OCTETS((half_seconds + 1) & EPOCH_MASK)) & of_answered(stamps);
	return ages_by(epochs, stamps);
}

/*
 * The ranks of a bucket's places, an octet each: the highest is forgotten next. Of newcomers they
 * tell how old these are; those of others are below them, and tell nothing.
 */
static __always_inline __u64 ranks_of_newcomers(const struct control *control, __u64 stamps)
{
	__u64 epochs = OCTETS(*(volatile const __u64 *)&control->epoch & EPOCH_MASK);

	return ages_by(epochs, stamps) | (~stamps & OCTETS(RANK_NEWCOMER));
}

/* The same where there are no newcomers: the upper bits tell the class, the lower how old it is. */
static __always_inline __u64 ranks_of_others(const struct control *control, __u64 stamps,
					     __u64 half_seconds)
{
	return ages_of(control, stamps, half_seconds) |
	       (stamps & stamps >> 1 & OCTETS(RANK_ANSWERED));
}
#endif

#if !SINGLE_BUCKET
/*
 * Sets what is older than the oldest epoch that is told apart to that: its stamp would look fresh
 * again. All at once, or not at all where another has written a stamp meanwhile: there are visits
 * to come.
 */
static __always_inline void hold_oldest(enum family family, const struct control *control,
					__u32 index, __u64 half_seconds)
{
	struct bucket *bucket = bucket_at(family, index);
	__u64 stamps, next, ages;

	if (!bucket)
		return;
	stamps = next = stamps_of(bucket);
#if CLASSES
	ages = ages_of(control, stamps, half_seconds);
#else
	ages = ranks_of_newcomers(control, stamps);
#endif
	/* Whether any is: the highest bit of its age is set, and another. */
	if (!(ages & ((ages & OCTETS(OLDEST_EPOCH - 1)) + OCTETS(OLDEST_EPOCH - 1)) &
	      OCTETS(OLDEST_EPOCH) & OF_STAMPS))
		return;
#pragma unroll
	for (int place = 0; place < PLACES; place++) {
		__u64 stamp = octet_of(stamps, place), age = octet_of(ages, place);
		__s64 is_older = OLDEST_EPOCH - age;

		OPAQUE(is_older);
		is_older >>= 63;
		next ^= ((stamp + age - OLDEST_EPOCH ^ stamp) & EPOCH_MASK & is_older)
			<< place * STAMP_BITS;
	}
	__sync_val_compare_and_swap(&bucket->stamps, stamps, next);
}
#endif

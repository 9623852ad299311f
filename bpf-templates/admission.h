/*
 * Who may become a client, and how it becomes one that is not forgotten. Anyone can forge source
 * addresses, and each takes a place: so newcomers push out newcomers, then who was answered, and
 * never a resident (layout.h tells the classes).
 *
 * What a packet makes of its client's class is decided under the lock of the client's first bucket.
 * Its stamp is stored without: of two CPUs one may put back what it had read before, where a client
 * is used in the very moment in which it is demoted, or answered. A class comes a packet later
 * then, or there is one resident more than counted.
 */
#pragma once

#include "recency.h"
#include "virtual_servers.h"

/*
 * Whether a client of this address and port can be answered. Were a virtual server itself one,
 * real servers that answer anything would talk to each other through the director without end.
 */
static __always_inline bool is_answerable(enum family family, const struct ip_address *client,
					  __be16 port)
{
	return port && is_unicast(family, client) && !is_virtual_server(family, client);
}

/*
 * A newcomer is pushed out early if it was not used for this long at most, in ns. Pressure is until
 * none was for as long.
 */
#define SHORT_LIFE 2000000000ULL

static __always_inline bool is_under_pressure(const struct admissions *admissions, __u64 now)
{
	__u64 pressed_at;

	if (!CLASSES || !admissions)
		return false;
	pressed_at = *(volatile const __u64 *)&admissions->pressed_at;
	/* Another CPU's time may be a tick ahead. */
	return pressed_at && (__s64)(now - pressed_at) < (__s64)SHORT_LIFE;
}

/* Of a place where nobody was pushed out. */
#define RANK_NOBODY 0

#if SINGLE_BUCKET
static __always_inline void count_insertion(enum family family, struct control *control,
					    __u32 pushed_out, __u64 now)
{
}
#else
/*
 * How long the newcomer that was pushed out had not been used is known by the epoch that its rank
 * tells: at most since that began.
 */
static __always_inline void note_pressure(struct admissions *admissions,
					  const struct control *control, __u32 pushed_out,
					  __u64 now)
{
#if CLASSES
	__u32 epoch;

	if (pushed_out < RANK_NEWCOMER)
		return;
	epoch = (control->epoch - (pushed_out & EPOCH_MASK)) & EPOCH_MASK;
	if (now - admissions->epoch_began_at[epoch] < SHORT_LIFE)
		admissions->pressed_at = now;
#endif
}

/*
 * A client has been given a place, and who had it was of that rank. Each CPU counts for itself, so
 * that they seldom meet: the rest is done once for each batch.
 */
static __always_inline void count_insertion(enum family family, struct control *control,
					    __u32 pushed_out, __u64 now)
{
	const __u32 epoch_batches = (EPOCH + BATCH / 2) / BATCH;
	const __u32 held = (BATCH + 3) / 4; /* buckets: all are seen while 1.25 tables are filled */
	__u32 index = family == IPV6;
	__u64 *made = insertions_of_cpu.lookup(&index), batch, epoch;
	struct admissions *admissions;

	if (!made || ++*made < BATCH)
		return;
	*made = 0;
	admissions = admissions_of(family);
	if (!admissions)
		return;
	note_pressure(admissions, control, pushed_out, now);
	batch = __sync_fetch_and_add(&admissions->insertions, 1);
	if ((batch + 1) % epoch_batches == 0) {
		epoch = __sync_fetch_and_add(&control->epoch, 1) + 1;
		admissions->epoch_began_at[epoch % CLASS_EPOCHS] = now;
		if (CLASSES)
			show_epochs(control);
	}
	for (__u32 i = 0; i < held; i++)
		hold_oldest(family, control, (batch * held + i) % BUCKETS, half_seconds_of(now));
}
#endif

/* Whether a known client's packet may change its class, by the stamp: one of its own, or one to it.
 */
#define IS_CHANGED_BY_INGRESS(stamp) ((stamp) >> CLASS_EPOCH_BITS & 1)
#define IS_CHANGED_BY_EGRESS(stamp)  (CLASS_OF(stamp) == CLASS_NEWCOMER)
_Static_assert((CLASS_UNHEARD & CLASS_ANSWERED & 1) && !((CLASS_NEWCOMER | CLASS_RESIDENT) & 1),
	       "one bit tells");
_Static_assert(!IS_CHANGED_BY_INGRESS(STAMP(CLASS_LEFT_BY_INGRESS, 0)) &&
		       !IS_CHANGED_BY_EGRESS(STAMP(CLASS_LEFT_BY_EGRESS, 0)),
	       "else touch() hides what is to change");

/* Notes that a place is a new client's, in a table with classes. */
static __always_inline void begin(const struct control *control, struct bucket *bucket, __u32 place,
				  bool is_sender)
{
	*(volatile __u8 *)&bucket->stamp[place] =
		control->present_stamp[is_sender ? CLASS_NEWCOMER : CLASS_UNHEARD];
}

#if CLASSES
/*
 * Whether an answered client has been so for long enough. Half seconds are told apart for 32 s: who
 * sends first in the beginning of such a span after that may be a resident a packet later. Where
 * the first half second was cut short, another has to pass.
 */
static __always_inline bool is_past_probation(__u32 stamp, __u64 half_seconds)
{
	return ((half_seconds - stamp) & EPOCH_MASK) > PROBATION;
}
_Static_assert(PROBATION < CLASS_EPOCHS - 1, "else it never ends");

/* Of a bucket's residents the one that was used least recently, as the highest score. */
#define RESIDENT_SCORE	   8
#define RESIDENT_IN_SECOND 3

static __always_inline __u64 oldest_resident(const struct control *control,
					     const struct bucket *bucket, __u64 half_seconds)
{
	__u64 stamps = stamps_of(bucket), best = 0;
	__u64 ages = ages_of(control, stamps, half_seconds) | OCTETS(1 << EPOCH_BITS);

	ages &= of_residents(stamps) | of_residents(stamps) << 1;
#pragma unroll
	for (int place = 0; place < PLACES; place++)
		best = larger_of(best, (__u64)octet_of(ages, place) << RESIDENT_SCORE | place);
	return best;
}

/*
 * Makes the least recently used resident of two buckets a newcomer again. Whether it did: there may
 * be none, or others may have been faster.
 */
static __always_inline bool demote(const struct control *control, struct bucket *first,
				   struct bucket *second, __u64 half_seconds)
{
	__u64 best = oldest_resident(control, first, half_seconds), stamps, stamp, next;
	struct bucket *bucket;
	__u32 shift;

	best = larger_of(best,
			 oldest_resident(control, second, half_seconds) | 1 << RESIDENT_IN_SECOND);
	if (!(best >> RESIDENT_SCORE))
		return false;
	bucket = best >> RESIDENT_IN_SECOND & 1 ? second : first;
	shift = (best & 7) * STAMP_BITS;
	stamps = stamps_of(bucket);
	stamp = stamps >> shift & 0xff;
	if (CLASS_OF(stamp) != CLASS_RESIDENT)
		return false;
	next = control->present_stamp[CLASS_NEWCOMER];
	next = stamps ^ (stamp ^ next) << shift;
	return __sync_val_compare_and_swap(&bucket->stamps, stamps, next) == stamps;
}

/* Whether there is room for one more resident, which counts from then on. */
static __always_inline bool admit_resident(struct admissions *admissions,
					   const struct control *control, struct bucket *first,
					   struct bucket *second, __u64 half_seconds)
{
	if (__sync_fetch_and_add(&admissions->residents, 1) < MAX_ASSOCIATIONS)
		return true;
	__sync_fetch_and_add(&admissions->residents, -1);
	return demote(control, first, second, half_seconds);
}

static __always_inline void count_promotion(enum family family, struct control *control,
					    struct admissions *admissions, __u64 half_seconds)
{
	__u64 promotion = __sync_fetch_and_add(&admissions->promotions, 1);

	if ((promotion + 1) % EPOCH == 0) {
		__sync_fetch_and_add(&control->promotion_epoch, 1);
		show_epochs(control);
	}
	/* All buckets are seen in 4 epochs. */
	hold_oldest(family, control, promotion % BUCKETS, half_seconds);
}

/* The place of a known client in one of its two buckets: what its packet, or one to it, makes of
 * its class. */
static __always_inline void reconsider(enum family family, struct control *control,
				       struct bucket *first, struct bucket *second,
				       struct bucket *bucket, __u32 place, bool is_sender)
{
	volatile __u8 *stamp = &bucket->stamp[place];
	__u32 class = CLASS_OF(*stamp);
	/* Not before: by an earlier one the client would not have been answered yet. */
	__u64 half_seconds = half_seconds_of(time_of_tick());
	struct admissions *admissions;

	if (!is_sender) {
		if (class == CLASS_NEWCOMER)
			*stamp = STAMP(CLASS_ANSWERED, half_seconds);
		return;
	}
	if (class == CLASS_UNHEARD)
		*stamp = control->present_stamp[CLASS_NEWCOMER];
	if (class != CLASS_ANSWERED || !is_past_probation(*stamp, half_seconds))
		return;
	admissions = admissions_of(family);
	if (!admissions || !admit_resident(admissions, control, first, second, half_seconds))
		return;
	*stamp = control->present_stamp[CLASS_RESIDENT];
	count_promotion(family, control, admissions, half_seconds);
}
#else
static __always_inline void reconsider(enum family family, struct control *control,
				       struct bucket *first, struct bucket *second,
				       struct bucket *bucket, __u32 place, bool is_sender)
{
}

static __always_inline bool is_past_probation(__u32 stamp, __u64 half_seconds)
{
	return false;
}
#endif

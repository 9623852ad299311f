/*
 * Which place a client is given: its own, though that leads nowhere; else a free one, of the first
 * bucket as long as that has three or as many as the second; else that of the client who is
 * forgotten next. Of equals it is the second bucket's, and the usual one.
 *
 * The best is found without branches, of which neither the CPU nor the verifier could follow all.
 * Each place is a lane of 16 bits, in which its score stands; what is best has the highest. Its
 * upper bits tell the rank, the lower where it is: turned so that the usual place has the highest
 * of these.
 */
#pragma once

#include "client.h"
#include "recency.h"

static __always_inline __u64 read_word(const __u64 *word)
{
	return *(volatile const __u64 *)word;
}

static __always_inline __u32 slot_of(__u64 word)
{
	return word & 0xffff;
}

/* Whether two tags, in words or not, are the same. */
static __always_inline bool same_tag(__u64 a, __u64 b)
{
	return !((a ^ b) >> 16);
}

/* The tag that many words are compared with. LLVM would get both anew for each of them. */
struct wanted {
	__u64 tag, slots; /* words of one tag differ by less than there can be slots */
};

static __always_inline struct wanted wanted_of(const struct client *client)
{
	struct wanted wanted = {.tag = client->tag, .slots = 1 << 16};

	OPAQUE(wanted.tag);
	OPAQUE(wanted.slots);
	return wanted;
}

static __always_inline bool is_wanted(const struct wanted *wanted, __u64 word)
{
	return (word ^ wanted->tag) < wanted->slots;
}

/* A client's two buckets; where there is a single one, the first. */
struct buckets {
	struct bucket *first, *second;
};

/* The bits of a score: of a lane's, and above them of what kind the place is. */
#define SCORE_IN_SECOND 3
#define SCORE_RANK	4
#define SCORE_IS_PLACE	14
#define SCORE_SLOT	4 /* of the client's own, inverted: it tells no rank */
#define SCORE_IS_OWN	20
#define SCORE_IS_FREE	21

/* Below it, the place is a resident's. */
#define NO_RESIDENTS (1ULL << SCORE_IS_PLACE | RANK_ANSWERED << SCORE_RANK)

/* In all four lanes. Of a bucket the even places have a lane each, and the odd ones. */
#define LANES(x) ((x)*0x0001000100010001ULL)
#define LANE_OF(place)                                                                             \
	((place) < PLACES ? (1ULL << SCORE_IS_PLACE | (place)) << (place) / 2 * 16 : 0)
#define EVEN_PLACES (LANE_OF(0) | LANE_OF(2) | LANE_OF(4) | LANE_OF(6))
#define ODD_PLACES  (LANE_OF(1) | LANE_OF(3) | LANE_OF(5))

/* Lane by lane the larger one. The highest bits of all are 0. */
static __always_inline __u64 larger_lanes(__u64 a, __u64 b)
{
	__u64 not_less = ((a | LANES(0x8000)) - b) & LANES(0x8000);

	return b ^ ((a ^ b) & (not_less - (not_less >> 15)));
}

static __always_inline __u64 largest_lane(__u64 lanes)
{
	lanes = larger_lanes(lanes, lanes >> 32);
	return larger_lanes(lanes, lanes >> 16) & 0xffff;
}

/* 1 for a negative number, else 0. */
static __always_inline __u64 is_below_zero(__s64 x)
{
	OPAQUE(x);
	return (__u64)x >> 63;
}

/* Turns a place, and back: the usual one becomes 7, which no other does. */
static __always_inline __u64 turning(const struct client *client)
{
	return usual_place(client) ^ 7;
}

/* The best scores of a bucket, of which each lane has that of an even and an odd place, by the
 * places' ranks, an octet each. */
static __always_inline __u64 best_lanes(__u64 ranks, const struct client *client)
{
	__u64 even = (ranks & LANES(0xff)) << SCORE_RANK;
	__u64 odd = (ranks >> 8 & LANES(0xff)) << SCORE_RANK;
	__u64 turned = turning(client);

	OPAQUE(turned);
	turned = LANES(turned);
	return larger_lanes(even | (EVEN_PLACES ^ turned), odd | (ODD_PLACES ^ turned));
}

/* The score of the best of two buckets' places, by their ranks. */
static __always_inline __u64 best_score(__u64 first, __u64 second, const struct client *client)
{
	__u64 lanes = best_lanes(first, client);

	if (!SINGLE_BUCKET)
		lanes = larger_lanes(lanes,
				     best_lanes(second, client) | LANES(1 << SCORE_IN_SECOND));
	return largest_lane(lanes);
}

/* Whether all places of a bucket are other clients'. */
static __always_inline bool has_others_alone(const struct bucket *bucket,
					     const struct client *client)
{
	const struct wanted own = wanted_of(client);

	OPAQUE(bucket);
#pragma unroll
	for (int place = 0; place < PLACES; place++) {
		__u64 word = read_word(&bucket->word[place]);

		if (!word || is_wanted(&own, word))
			return false;
	}
	return true;
}

/* An octet for each place of a bucket: 1 where it is free, else 0. */
static __always_inline __u64 free_places(const struct bucket *bucket)
{
	__u64 free = 0;

#pragma unroll
	for (int place = 0; place < PLACES; place++) {
		__u64 word = read_word(&bucket->word[place]);

		free |= is_below_zero(~word & (word - 1)) << place * STAMP_BITS;
	}
	return free;
}

static __always_inline __u64 number_of(__u64 places)
{
	return OCTETS(places) >> 56;
}

/*
 * The score of the client's own place in a bucket; 0 where it has none. An association counts more
 * than a pending word: the daemon may have put that down beside one that was made when it had just
 * looked.
 */
static __always_inline __u64 own_place(const struct bucket *bucket, const struct client *client)
{
	__u64 best = 0, turn = turning(client);

	OPAQUE(turn);
#pragma unroll
	for (int place = 0; place < PLACES; place++) {
		__u64 difference = read_word(&bucket->word[place]) ^ client->tag, score;
		__s64 is_own = (difference >> 16) - 1;

		OPAQUE(is_own);
		score = (is_own >> 63 & (difference ^ 0x1ffff)) << SCORE_SLOT;
		best = larger_of(best, score | (place ^ turn));
	}
	return best;
}

/* Of a place that is chosen for what it is, and not for its stamp: none is equal. */
#define NOT_A_STAMP (1 << STAMP_BITS)

/* A place that was chosen: its score, and its stamp. */
struct choice {
	__u64 score, stamp;
};

static __always_inline __u64 place_of(const struct choice *choice, const struct client *client)
{
	return (choice->score & 7) ^ turning(client);
}

static __always_inline bool is_in_second(const struct choice *choice)
{
	return !SINGLE_BUCKET && choice->score >> SCORE_IN_SECOND & 1;
}

static __always_inline bool is_own(const struct choice *choice)
{
	return choice->score >> SCORE_IS_OWN & 1;
}

static __always_inline bool is_free(const struct choice *choice)
{
	return choice->score >> SCORE_IS_FREE & 1;
}

/* Of a place that is neither. */
static __always_inline __u64 rank_of(const struct choice *choice)
{
	return choice->score >> SCORE_RANK & 0xff;
}

/* The client's own place, or a free one: where there is neither any more, one that is none. */
static __always_inline __u64 own_or_free(const struct buckets *buckets, const struct client *client)
{
	__u64 own = own_place(buckets->first, client), in_first, in_second = 0, prefers_second = 0;

	if (!SINGLE_BUCKET)
		own = larger_of(own, own_place(buckets->second, client) | 1 << SCORE_IN_SECOND);
	if (own >> SCORE_IS_OWN)
		return own;
	in_first = free_places(buckets->first);
	if (!SINGLE_BUCKET) {
		in_second = free_places(buckets->second);
		prefers_second = is_below_zero(number_of(in_first) - 3) &
				 is_below_zero(number_of(in_first) - number_of(in_second));
	}
	return best_score(in_first << (prefers_second ^ 1), in_second << prefers_second, client) |
	       1 << SCORE_IS_FREE;
}

/* The place of who is forgotten next: an answered client or a resident only where there is nobody
 * else. */
static __always_inline struct choice next_forgotten(const struct control *control,
						    const struct buckets *buckets,
						    const struct client *client, __u64 now)
{
	__u64 first = stamps_of(buckets->first);
	__u64 second = SINGLE_BUCKET ? first : stamps_of(buckets->second);
	__u64 ranks_in_first = ranks_of_newcomers(control, first);
	__u64 ranks_in_second = ranks_of_newcomers(control, second);
	struct choice choice;

#if CLASSES
	if (!((ranks_in_first | ranks_in_second) & OCTETS(RANK_NEWCOMER) & OF_STAMPS)) {
		/* LLVM would work out for all clients what is for few. */
		OPAQUE(now);
		ranks_in_first = ranks_of_others(control, first, half_seconds_of(now));
		ranks_in_second = ranks_of_others(control, second, half_seconds_of(now));
	}
#endif
	choice.score = best_score(ranks_in_first, ranks_in_second, client);
	first ^= (first ^ second) & -(choice.score >> SCORE_IN_SECOND & 1);
	choice.stamp = octet_of(first, place_of(&choice, client));
	return choice;
}

static __always_inline struct choice choose_place(const struct control *control,
						  const struct buckets *buckets,
						  const struct client *client, __u64 now)
{
	const __u64 unknown = control->secret[0];
	/* What takes longest, first: the CPU goes through the words in the meantime. */
	struct choice choice = next_forgotten(control, buckets, client, now);
	__u64 others_alone;

	FORGET(choice.score, unknown);
	FORGET(choice.stamp, unknown);
	others_alone = has_others_alone(buckets->first, client) &&
		       (SINGLE_BUCKET || has_others_alone(buckets->second, client));
	FORGET(others_alone, unknown);
	if (!others_alone)
		choice = (struct choice){
			.score = own_or_free(buckets, client),
			.stamp = NOT_A_STAMP,
		};
	FORGET(choice.score, unknown);
	FORGET(choice.stamp, unknown);
	return choice;
}

/*
 * Whether the place is still what it was when it was chosen, now that this word stands there. What
 * is fresh is not what was the oldest: a client is stamped before its word comes.
 */
static __always_inline bool is_as_chosen(const struct choice *choice, const struct client *client,
					 const struct bucket *bucket, __u64 word)
{
	volatile const __u8 *stamp = &bucket->stamp[place_of(choice, client)];

	if (same_tag(word, client->tag))
		return is_own(choice);
	if (!word)
		return is_free(choice);
	return *stamp == choice->stamp;
}

/*
 * The association table: who talks to whom. A client has one word in one of its two buckets; to
 * look it up is one cache line, or two. Two CPUs that see the same client at once agree: who
 * inserts one holds its first bucket's lock, which nobody who looks one up asks for.
 *
 * The daemon writes words too, and takes no lock: it frees places, and makes one an association
 * that nobody follows until all packets under way are through (SLOT_PENDING). A packet that needs
 * the place, or is of that client, takes it.
 */
#pragma once

#include "admission.h"
#include "client.h"
#include "counters.h"
#include "real_servers.h"

/*
 * How often a CPU asks for the lock. It is held for one look and one store, or longer only where a
 * hypervisor has taken the holder's CPU: who has asked that often goes without. The verifier
 * follows each time apart: between two a few calls pass the time.
 */
#define LOCK_ATTEMPTS 128
/* How often a place is chosen anew because another CPU, or the daemon, was faster. */
#define PLACE_ATTEMPTS 4

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

/* Whether the client has a word in this bucket, which is used thereby; the slot that it leads to,
 * and what touch() tells. A free place is not that of 0.0.0.0, port 0, though it has its tag. */
#if SINGLE_BUCKET
/* A new order takes many instructions: they are there once. */
static __always_inline bool find_in(const struct control *control, struct bucket *bucket,
				    const struct client *client, bool is_sender, __u64 *slot,
				    __u64 *standing)
{
	__u64 word = 0, place = 0;

	for (; place < PLACES; place++) {
		word = read_word(&bucket->word[place]);
		if (same_tag(word, client->tag))
			break;
	}
	if (place == PLACES || !word)
		return false;
	FORGET(place, control->secret[0]);
	*slot = slot_of(word);
	*standing = touch(control, bucket, place, is_sender);
	return true;
}
#else
static __always_inline bool find_in(const struct control *control, struct bucket *bucket,
				    const struct client *client, bool is_sender, __u64 *slot,
				    __u64 *standing)
{
	__u64 tag = client->tag, place = usual_place(client);
	__u64 word = read_word(&bucket->word[place]);

	/* LLVM would read it from the stack anew for each place. */
	OPAQUE(tag);
	if (same_tag(word, tag))
		goto found;
#pragma unroll
	for (place = 0; place < PLACES; place++) {
		word = read_word(&bucket->word[place]);
		if (same_tag(word, tag))
			goto found;
	}
	return false;
found:
	if (!word)
		return false;
	*slot = slot_of(word);
	*standing = touch(control, bucket, place, is_sender);
	return true;
}
#endif

/* Whether the client has an association, which is used thereby; the slot that it leads to, and what
 * touch() tells. Who asks first whether that is 0 keeps it for the few of whom it is not. */
static __always_inline bool find_association(const struct control *control,
					     const struct client *client, bool is_sender,
					     __u64 *slot, __u64 *standing)
{
	struct bucket *bucket = bucket_at(client->family, client->first);

	if (!bucket)
		return false;
	if (find_in(control, bucket, client, is_sender, slot, standing))
		return true;
#if !SINGLE_BUCKET
	bucket = bucket_at(client->family, second_bucket(client));
	if (bucket)
		return find_in(control, bucket, client, is_sender, slot, standing);
#endif
	return false;
}

/* A bounded lock: whether it is this CPU's now. */
static __always_inline bool lock(struct bucket *bucket)
{
	const __u64 held = 1ULL << BUCKET_PLACES * STAMP_BITS;

	for (int attempt = 0; attempt < LOCK_ATTEMPTS; attempt++) {
		__u64 seen = *(volatile __u64 *)&bucket->stamps;

		if (seen < held &&
		    __sync_val_compare_and_swap(&bucket->stamps, seen, seen | held) == seen)
			return true;
		bpf_ktime_get_ns();
		bpf_ktime_get_ns();
		bpf_ktime_get_ns();
	}
	return false;
}

/* What was swapped in before is there for all who find it open: a swap is a full barrier. */
static __always_inline void unlock(struct bucket *bucket)
{
	*(volatile __u8 *)&bucket->lock = 0;
}

/*
 * A place is chosen without branches. What is best has the highest score, of whose bits the highest
 * say what the place is, the next its rank, and the lowest where it is: the place, turned so that
 * the client's usual one has the highest of these.
 */
#define PLACE_IS_CLIENTS 38
#define PLACE_SLOT	 22 /* inverted, of the client's own */
#define PLACE_IS_FREE	 20
#define PLACE_PREFERRED	 18
#define PLACE_RANK	 8
#define PLACE_IN_SECOND	 3
#define NO_RESIDENTS	 (0x40ULL << PLACE_RANK) /* below, it is a resident's */

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

/*
 * The score of a place. Of the client's own words an association counts more than a pending word:
 * the daemon may have put that down beside one that was made when it had just looked.
 */
static __always_inline __u64 score_of(__u64 word, const struct client *client, __u64 ranks,
				      __u64 place)
{
	__u64 difference = word ^ client->tag;
	__s64 is_clients = (difference >> 16) - 1;

	OPAQUE(is_clients);
	return (is_clients >> 63 & (difference ^ 0x1ffff)) << PLACE_SLOT |
	       is_below_zero(~word & (word - 1)) << PLACE_IS_FREE |
	       (__u64)octet_of(ranks, place) << PLACE_RANK | (place ^ turning(client));
}

/* The score of the best place of a bucket, and how many are free. */
static __always_inline __u64 best_place(const struct control *control, const struct bucket *bucket,
					const struct client *client, __u64 half_seconds,
					__u64 *free_places)
{
	__u64 best = 0, ranks = ranks_of(control, bucket, half_seconds);

	*free_places = 0;
#pragma unroll
	for (int place = 0; place < PLACES; place++) {
		__u64 word = read_word(&bucket->word[place]);
		__u64 score = score_of(word, client, ranks, place);

		*free_places += score >> PLACE_IS_FREE & 1;
		best = larger_of(best, score);
	}
	return best;
}

/*
 * Where the client's word goes: to where it is, though it leads nowhere; else to a free place, of
 * the first bucket as long as that has three or as many as the second; else to the place whose
 * client is forgotten next.
 */
static __always_inline __u64 choose_place(const struct control *control,
					  const struct client *client, const struct bucket *first,
					  const struct bucket *second, __u64 half_seconds)
{
	__u64 free_in_first,
		best = best_place(control, first, client, half_seconds, &free_in_first);
#if !SINGLE_BUCKET
	__u64 free_in_second,
		other = best_place(control, second, client, half_seconds, &free_in_second);
	__u64 prefers_second =
		is_below_zero(free_in_first - 3) & is_below_zero(free_in_first - free_in_second);

	/* A preference among free places: their bit, moved to where it decides between two. */
	best += best >> (PLACE_IS_FREE - PLACE_PREFERRED) & (prefers_second ^ 1) << PLACE_PREFERRED;
	other += other >> (PLACE_IS_FREE - PLACE_PREFERRED) & prefers_second << PLACE_PREFERRED;
	best = larger_of(best, other | 1 << PLACE_IN_SECOND);
#endif
	return best;
}

#if HAS_IPV6
static __always_inline void fetch_names(__u32 index)
{
	struct bucket_clients_v6 *names = clients_v6.lookup(&index);

	if (names)
		(void)*(volatile __u16 *)&names->padding;
}

/* Says whose the word is, for the daemon to read. */
static __always_inline void note_client(const struct client *client, __u32 index, __u64 place)
{
	struct bucket_clients_v6 *names = clients_v6.lookup(&index);

	if (!names)
		return;
	*(struct ip_address *)names->address[place] = *client->address;
	names->port[place] = client->port;
}
#else
static __always_inline void fetch_names(__u32 index)
{
}

static __always_inline void note_client(const struct client *client, __u32 index, __u64 place)
{
}
#endif

/*
 * Has the lines fetched that a new client may be noted in, as early as it can be one: while those
 * of its buckets are under way, and before a lock waits for them.
 */
static __always_inline void expect_new_client(const struct client *client)
{
	if (client->family != IPV6)
		return;
	fetch_names(client->first);
	if (!SINGLE_BUCKET)
		fetch_names(second_bucket(client));
}

/*
 * What became of an attempt to place a client. There is no place where all that it could have are
 * residents'.
 */
enum placing { PLACE_TAKEN, PLACE_LOST, NO_PLACE, CLIENT_IS_PLACED };

/* A client that a place is wanted for. */
struct arrival {
	struct control *control;
	const struct client *client;
	struct bucket *first, *second;
	bool is_sender; /* whether it wrote, or a real server to it */
	__u64 half_seconds;
};

/* What stood in a place before: its word, and its rank. */
struct former_place {
	__u64 word;
	__u32 rank;
};

/*
 * Writes the client's word into the best place. The client's lock is held: nobody else inserts it,
 * but another's word may go into that place, or the daemon's, until the swap. *server, of *slot, is
 * the one that the packet was given; it is another where the client has one. What list is in force
 * is asked anew: who had the lock before may have gone by a newer one than the packet.
 */
static __always_inline enum placing place_client(const struct arrival *arrival, __u32 *slot,
						 struct real_server **server,
						 struct former_place *former)
{
	const struct client *client = arrival->client;
	struct control *control = arrival->control;
	__u32 bank = read_bank(control);
	__u64 best = choose_place(control, client, arrival->first, arrival->second,
				  arrival->half_seconds);
	__u64 place = (best & 7) ^ turning(client), is_second = best >> PLACE_IN_SECOND & 1, seen,
	      score;
	struct bucket *bucket = is_second ? arrival->second : arrival->first;

	if (place >= PLACES)
		return PLACE_LOST;
	if (CLASSES && best < NO_RESIDENTS)
		return NO_PLACE;
	seen = read_word(&bucket->word[place]);
	/*
	 * Another's word may have come: what is fresh is not what was the oldest. That an epoch has
	 * begun makes nothing worse.
	 */
	score = score_of(seen, client, ranks_of(control, bucket, arrival->half_seconds), place);
	if (score < (best & ~(1ULL << PLACE_PREFERRED | 1ULL << PLACE_IN_SECOND)))
		return PLACE_LOST;
	*former = (struct former_place){.word = seen, .rank = score >> PLACE_RANK & 0xff};
	if (score >> PLACE_IS_CLIENTS & 1) {
		struct real_server *present = real_server_of_slot(
			client->family, bank, client->virtual_server, slot_of(seen));

		if (present) {
			reconsider(client->family, control, arrival->first, arrival->second, bucket,
				   place, arrival->is_sender);
			*server = present;
			*slot = slot_of(seen);
			return CLIENT_IS_PLACED;
		}
		/* It may be listed since: who knows that goes by the word, which is read anew. */
		if (read_bank(control) != bank)
			return PLACE_LOST;
	}
	/*
	 * Before the word: what has just come shall not look like the oldest to anybody. What the
	 * client has shown of itself holds with whichever real server.
	 */
	if (CLASSES && !(score >> PLACE_IS_CLIENTS & 1))
		begin(control, bucket, place, arrival->is_sender);
	else
		touch(control, bucket, place, arrival->is_sender);
	if (__sync_val_compare_and_swap(&bucket->word[place], seen, client->tag | *slot) != seen)
		return PLACE_LOST;
	if (client->family == IPV6)
		note_client(client, is_second ? second_bucket(client) : client->first, place);
	return PLACE_TAKEN;
}

/* Whose place a client was given. */
static __always_inline enum former_user user_of(const struct former_place *former,
						const struct client *client)
{
	if (!former->word || slot_of(former->word) == SLOT_PENDING)
		return NOBODY;
	if (same_tag(former->word, client->tag))
		return THE_CLIENT;
	return CLASSES && former->rank < RANK_NEWCOMER ? ANSWERED_CLIENT : NEWCOMER;
}

/*
 * Gives a real server to a client, unless another CPU was first. A known client keeps its own, and
 * its packet may change its class. *server and *slot become what the client has now; where its
 * place is lost they mean nothing.
 */
static __always_inline enum placing settle_association(struct control *control,
						       const struct client *client,
						       struct real_server **server, __u32 *slot,
						       bool is_sender, __u64 now)
{
	struct arrival arrival = {
		.control = control,
		.client = client,
		.first = bucket_at(client->family, client->first),
		.is_sender = is_sender,
		.half_seconds = half_seconds_of(now),
	};
	const __u64 unknown = control->secret[0];
	struct former_place former = {};
	enum placing placing = PLACE_LOST;
	__u64 outcome, user, rank;

#if SINGLE_BUCKET
	arrival.second = arrival.first;
#else
	arrival.second = bucket_at(client->family, second_bucket(client));
#endif
	if (!arrival.first || !arrival.second || !lock(arrival.first))
		return PLACE_LOST;
	for (int attempt = 0; attempt < PLACE_ATTEMPTS && placing == PLACE_LOST; attempt++)
		placing = place_client(&arrival, slot, server, &former);
	unlock(arrival.first);
	outcome = placing;
	FORGET(outcome, unknown);
	if (outcome == PLACE_TAKEN) {
		user = user_of(&former, client);
		rank = user == NEWCOMER ? former.rank : RANK_NOBODY;
		FORGET(user, unknown);
		FORGET(rank, unknown);
		count_insertion(client->family, control, rank, now);
		count_association(client->family, *slot, user, is_sender);
	} else if (outcome == NO_PLACE) {
		count_without_place(client->family);
	}
	return outcome;
}

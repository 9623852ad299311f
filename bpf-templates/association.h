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

#include "client.h"
#include "counters.h"
#include "real_servers.h"
#include "recency.h"

/*
 * How often a CPU asks for the lock. It is held for one look and one store, or longer only where a
 * hypervisor has taken the holder's CPU: who has asked that often goes without.
 */
#define LOCK_ATTEMPTS 400
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

/* The client's word in this bucket, which is used thereby; 0 for none. */
static __always_inline __u64 find_in(const struct control *control, struct bucket *bucket,
				     __u64 tag)
{
#pragma unroll
	for (int place = 0; place < PLACES; place++) {
		__u64 word = read_word(&bucket->word[place]);

		if (same_tag(word, tag)) {
			touch(control, bucket, place);
			return word;
		}
	}
	return 0;
}

static __always_inline __u64 find_word(const struct control *control, const struct client *client)
{
	struct bucket *bucket = bucket_at(client->family, client->first);
	__u64 word;

	if (!bucket)
		return 0;
	word = find_in(control, bucket, client->tag);
#if !SINGLE_BUCKET
	if (word)
		return word;
	bucket = bucket_at(client->family, second_bucket(client));
	if (bucket)
		word = find_in(control, bucket, client->tag);
#endif
	return word;
}

/* The client's real server, and its slot; null where it has none, or one that is no longer listed.
 */
static __always_inline struct real_server *find_association(const struct control *control,
							    __u32 bank, const struct client *client,
							    __u32 *slot)
{
	__u64 word = find_word(control, client);

	if (!word)
		return 0;
	*slot = slot_of(word);
	return real_server_of_slot(client->family, bank, client->virtual_server, *slot);
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
		bpf_ktime_get_ns(); /* a pause, which costs the verifier one step */
	}
	return false;
}

/* What was swapped in before is there for all who find it open: a swap is a full barrier. */
static __always_inline void unlock(struct bucket *bucket)
{
	*(volatile __u8 *)&bucket->lock = 0;
}

/*
 * A place is chosen without branches: the verifier would follow each of them with each other. What
 * is best has the highest score, of whose bits the highest say what the place is, the next how long
 * ago it was used, and the lowest where it is. LLVM is kept from making branches of it again.
 */
#define PLACE_IS_CLIENTS 38
#define PLACE_SLOT	 22 /* inverted, of the client's own */
#define PLACE_IS_FREE	 20
#define PLACE_PREFERRED	 18
#define PLACE_AGE	 8
#define PLACE_IN_SECOND	 3

/* 1 for a negative number, else 0. */
static __always_inline __u64 is_below_zero(__s64 x)
{
	OPAQUE(x);
	return (__u64)x >> 63;
}

static __always_inline __u64 larger_of(__u64 a, __u64 b)
{
	__s64 less = a - b;

	OPAQUE(less);
	return a - (less & less >> 63);
}

/*
 * The score of a place. Of the client's own words an association counts more than a pending word:
 * the daemon may have put that down beside one that was made when it had just looked.
 */
static __always_inline __u64 score_of(__u64 word, __u64 tag, __u64 ages, __u64 place)
{
	__u64 difference = word ^ tag;
	__s64 is_clients = (difference >> 16) - 1;

	OPAQUE(is_clients);
	return (is_clients >> 63 & (difference ^ 0x1ffff)) << PLACE_SLOT |
	       is_below_zero(~word & (word - 1)) << PLACE_IS_FREE |
	       age_in(ages, place) << PLACE_AGE | place;
}

/* The score of the best place of a bucket, and how many are free. */
static __always_inline __u64 best_place(const struct control *control, const struct bucket *bucket,
					__u64 tag, __u64 *free_places)
{
	__u64 best = 0, ages = ages_of(control, bucket);

	*free_places = 0;
#pragma unroll
	for (int place = 0; place < PLACES; place++) {
		__u64 word = read_word(&bucket->word[place]);
		__u64 score = score_of(word, tag, ages, place);

		*free_places += score >> PLACE_IS_FREE & 1;
		best = larger_of(best, score);
	}
	return best;
}

/*
 * Where the client's word goes: to where it is, though it leads nowhere; else to a free place, of
 * the first bucket as long as that has three or as many as the second; else to the place that was
 * used least recently.
 */
static __always_inline __u64 choose_place(const struct control *control,
					  const struct client *client, const struct bucket *first,
					  const struct bucket *second)
{
	__u64 free_in_first, best = best_place(control, first, client->tag, &free_in_first);
#if !SINGLE_BUCKET
	__u64 free_in_second, other = best_place(control, second, client->tag, &free_in_second);
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

/* What became of an attempt to place a client. */
enum placing { PLACE_TAKEN, PLACE_LOST, CLIENT_IS_PLACED };

/*
 * Writes the client's word into the best place. The client's lock is held: nobody else inserts it,
 * but another's word may go into that place, or the daemon's, until the swap. *server, of *slot, is
 * the one that the packet was given; it is another where the client has one. What list is in force
 * is asked anew: who had the lock before may have gone by a newer one than the packet.
 */
static __always_inline enum placing place_client(const struct control *control,
						 const struct client *client, struct bucket *first,
						 struct bucket *second, __u32 *slot,
						 struct real_server **server, __u64 *former)
{
	__u32 bank = read_bank(control);
	__u64 best = choose_place(control, client, first, second), seen, score;
	__u64 place = best & 7, is_second = best >> PLACE_IN_SECOND & 1;
	struct bucket *bucket = is_second ? second : first;

	if (place >= PLACES)
		return PLACE_LOST;
	seen = read_word(&bucket->word[place]);
	/*
	 * Another's word may have come: what is fresh is not what was the oldest. That an epoch has
	 * begun makes nothing worse.
	 */
	score = score_of(seen, client->tag, ages_of(control, bucket), place);
	if (score < (best & ~(1ULL << PLACE_PREFERRED | 1ULL << PLACE_IN_SECOND)))
		return PLACE_LOST;
	if (score >> PLACE_IS_CLIENTS & 1) {
		struct real_server *present = real_server_of_slot(
			client->family, bank, client->virtual_server, slot_of(seen));

		if (present) {
			*server = present;
			*slot = slot_of(seen);
			return CLIENT_IS_PLACED;
		}
		/* It may be listed since: who knows that goes by the word, which is read anew. */
		if (read_bank(control) != bank)
			return PLACE_LOST;
	}
	/* Before the word: what has just come shall not look like the oldest to anybody. */
	touch(control, bucket, place);
	if (__sync_val_compare_and_swap(&bucket->word[place], seen, client->tag | *slot) != seen)
		return PLACE_LOST;
	*former = seen;
	if (client->family == IPV6)
		note_client(client, is_second ? second_bucket(client) : client->first, place);
	return PLACE_TAKEN;
}

/* Whose association a new one has taken the place of. */
static __always_inline enum former_word kind_of(__u64 former, const struct client *client)
{
	if (!former || slot_of(former) == SLOT_PENDING)
		return FREE_PLACE;
	return same_tag(former, client->tag) ? OF_CLIENT : OF_ANOTHER;
}

/*
 * Gives a real server to a client that find_association found none for, unless another CPU was
 * first. Returns the one that the client has now; null if it could not be placed.
 */
static __always_inline struct real_server *
settle_association(struct control *control, const struct client *client, struct real_server *server,
		   __u32 *slot, bool is_sender, bool *is_new)
{
	struct bucket *first = bucket_at(client->family, client->first), *second = first;
	enum placing placing = PLACE_LOST;
	__u64 former = 0;

	*is_new = false;
#if !SINGLE_BUCKET
	second = bucket_at(client->family, second_bucket(client));
#endif
	if (!first || !second || !lock(first))
		return 0;
	for (int attempt = 0; attempt < PLACE_ATTEMPTS && placing == PLACE_LOST; attempt++)
		placing = place_client(control, client, first, second, slot, &server, &former);
	unlock(first);
	if (placing == PLACE_LOST)
		return 0;
	*is_new = placing == PLACE_TAKEN;
	if (*is_new) {
		count_insertion(client->family, control);
		count_association(client->family, *slot, kind_of(former, client), is_sender);
	}
	return server;
}

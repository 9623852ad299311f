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
#include "places.h"
#include "real_servers.h"

/*
 * How often a CPU asks for the lock. It is held for one look and one store, or longer only where a
 * hypervisor has taken the holder's CPU: who has asked that often goes without. The verifier
 * follows each time apart: between two a few calls pass the time.
 */
#define LOCK_ATTEMPTS 128
/* How often a place is chosen anew because another CPU, or the daemon, was faster. */
#define PLACE_ATTEMPTS 4

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
	const struct wanted own = wanted_of(client);
	__u64 place = usual_place(client);
	__u64 word = read_word(&bucket->word[place]);

	OPAQUE(bucket);
	if (is_wanted(&own, word))
		goto found;
#pragma unroll
	for (place = 0; place < PLACES; place++) {
		word = read_word(&bucket->word[place]);
		if (is_wanted(&own, word))
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

/* The client's other bucket. Null where there is none, as far as the verifier knows. */
static __always_inline struct bucket *second_bucket_of(const struct client *client)
{
	return bucket_at(client->family, second_bucket(client));
}
#endif

/* Whether the client has an association, which is used thereby; the slot that it leads to, and what
 * touch() tells. Who asks first whether that is 0 keeps it for the few of whom it is not. The
 * second bucket is told of a client that has none. */
static __always_inline bool find_association(const struct control *control,
					     const struct client *client, bool is_sender,
					     struct buckets *buckets, __u64 *slot, __u64 *standing)
{
	if (find_in(control, buckets->first, client, is_sender, slot, standing))
		return true;
#if !SINGLE_BUCKET
	struct bucket *second = second_bucket_of(client);

	if (second && find_in(control, second, client, is_sender, slot, standing))
		return true;
	buckets->second = second;
#endif
	return false;
}

/* A bounded lock: whether it is this CPU's now. */
static __always_inline bool lock(struct bucket *bucket)
{
	const __u64 held = 1ULL << BUCKET_PLACES * STAMP_BITS;

	for (int attempt = 0; attempt < LOCK_ATTEMPTS; attempt++) {
		__u64 seen = stamps_of(bucket);

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
	struct buckets buckets;
	bool is_sender; /* whether it wrote, or a real server to it */
	__u64 now;
};

/* What stood in a place before: its word, and its rank. */
struct former_place {
	__u64 word, rank;
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
	struct choice choice = choose_place(control, &arrival->buckets, client, arrival->now);
	const __u64 unknown = control->secret[0];
	__u64 place = place_of(&choice, client), seen, stands;
	struct bucket *bucket =
		is_in_second(&choice) ? arrival->buckets.second : arrival->buckets.first;

	if (place >= PLACES)
		return PLACE_LOST;
	if (CLASSES && choice.score < NO_RESIDENTS)
		return NO_PLACE;
	seen = read_word(&bucket->word[place]);
	stands = is_as_chosen(&choice, client, bucket, seen);
	FORGET(stands, unknown);
	if (!stands)
		return PLACE_LOST;
	*former = (struct former_place){.word = seen, .rank = rank_of(&choice)};
	if (is_own(&choice)) {
		struct real_server *present = real_server_of_slot(
			client->family, bank, client->virtual_server, slot_of(seen));

		if (present) {
			reconsider(client->family, control, arrival->buckets.first,
				   arrival->buckets.second, bucket, place, arrival->is_sender);
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
	if (CLASSES && !is_own(&choice))
		begin(control, bucket, place, arrival->is_sender);
	else
		touch(control, bucket, place, arrival->is_sender);
	if (__sync_val_compare_and_swap(&bucket->word[place], seen, client->tag | *slot) != seen)
		return PLACE_LOST;
	if (client->family == IPV6)
		note_client(client, is_in_second(&choice) ? second_bucket(client) : client->first,
			    place);
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
						       struct buckets buckets, bool is_sender,
						       __u64 now)
{
	struct arrival arrival = {
		.control = control,
		.client = client,
		.buckets = buckets,
		.is_sender = is_sender,
		.now = now,
	};
	const __u64 unknown = control->secret[0];
	struct former_place former = {};
	__u64 outcome, user, rank, attempts = PLACE_ATTEMPTS;

#if SINGLE_BUCKET
	/* Anew, for the verifier to notice that it was here before. */
	buckets.first = arrival.buckets.first = bucket_at(client->family, client->first);
	if (!buckets.first)
		return PLACE_LOST;
#endif
	if (!lock(buckets.first))
		return PLACE_LOST;
	do {
		outcome = place_client(&arrival, slot, server, &former);
	} while (outcome == PLACE_LOST && --attempts);
	unlock(buckets.first);
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

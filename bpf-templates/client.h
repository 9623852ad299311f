/*
 * A client as the association table knows it: by a tag, in two buckets. Knows no bucket's content.
 * The hash is keyed, so that nobody who does not know the table's secret can choose clients that
 * meet in few buckets.
 */
#pragma once

#include "ip.h"
#include "tables.h"

struct client {
	enum family family;
	__u32 virtual_server; /* its number: a client of several has an association with each */
	__u64 tag;	      /* as in a word of its bucket, 0 below */
	__u32 first;	      /* the bucket that it is most often in */
	__u32 hash;	      /* tells how far behind it the second is, and the usual place */
	struct ip_address *address; /* in the frame */
	__be16 port;
};

/* A number of 32 bits, spread over so many. */
static __always_inline __u32 spread(__u32 number, __u32 over)
{
	return (__u64)number * over >> 32;
}

#define ROTATED(x, bits) ((x) << (bits) | (x) >> (64 - (bits)))

struct siphash {
	__u64 v0, v1, v2, v3;
};

static __always_inline void siphash_round(struct siphash *state)
{
	state->v0 += state->v1;
	state->v1 = ROTATED(state->v1, 13) ^ state->v0;
	state->v0 = ROTATED(state->v0, 32);
	state->v2 += state->v3;
	state->v3 = ROTATED(state->v3, 16) ^ state->v2;
	state->v0 += state->v3;
	state->v3 = ROTATED(state->v3, 21) ^ state->v0;
	state->v2 += state->v1;
	state->v1 = ROTATED(state->v1, 17) ^ state->v2;
	state->v2 = ROTATED(state->v2, 32);
}

static __always_inline void siphash_word(struct siphash *state, __u64 word)
{
	state->v3 ^= word;
	siphash_round(state);
	state->v0 ^= word;
}

/*
 * SipHash-1-3 (Aumasson, Bernstein: SipHash, 2012) of the address's 16 octets, the port's 2, and
 * the virtual server's number. The tag is of what SipHash returns; where the buckets are, another
 * sum of its state says.
 */
static __always_inline __u64 hash_of_v6(const struct control *control, struct client *client)
{
	const __u64 *address = (const __u64 *)client->address;
	struct siphash state = {
		.v0 = control->secret[0] ^ 0x736f6d6570736575ULL,
		.v1 = control->secret[1] ^ 0x646f72616e646f6dULL,
		.v2 = control->secret[0] ^ 0x6c7967656e657261ULL,
		.v3 = control->secret[1] ^ 0x7465646279746573ULL,
	};

	siphash_word(&state, address[0]);
	siphash_word(&state, address[1]);
	/* The number takes no part in the length, which is the highest octet. */
	siphash_word(&state, client->port | (__u64)client->virtual_server << 16 | 18ULL << 56);
	state.v2 ^= 0xff;
#pragma unroll
	for (int round = 0; round < 3; round++)
		siphash_round(&state);
	client->tag = (state.v0 ^ state.v1 ^ state.v2 ^ state.v3) & ~0xffffULL;
	if (!client->tag)
		client->tag = 0x10000;
	return state.v1 + state.v3;
}
/*
 * The tag is the client itself, but for what tells the virtual servers apart. Multiplications by
 * secret odd numbers mix it: two would leave a pattern of sequential addresses visible.
 */
static __always_inline __u64 hash_of_v4(const struct control *control, struct client *client)
{
	__u64 hash;

	client->tag = (__u64)client->address->word[0] << 32 | (__u64)client->port << 16;
	client->tag ^= client->virtual_server * control->secret[1] & ~0xffffULL;
	hash = (client->tag ^ control->secret[0]) * control->secret[1];
	hash = (hash ^ hash >> 28) * control->secret[2];
	hash = (hash ^ hash >> 32) * control->secret[3];
	return hash ^ hash >> 29;
}

static __always_inline struct client client_of(const struct frame *frame,
					       const struct control *control,
					       struct ip_address *address, __be16 port)
{
	struct client client = {
		.family = frame->family,
		.virtual_server = frame->virtual_server,
		.address = address,
		.port = port,
	};
	__u64 hash =
		client.family == IPV6 ? hash_of_v6(control, &client) : hash_of_v4(control, &client);

	client.first = spread(hash >> 32, BUCKETS);
	client.hash = hash;
	return client;
}

/* Never the first, where there is more than one bucket. */
static __always_inline __u32 second_bucket(const struct client *client)
{
	__u32 second = client->first + 1 + spread(client->hash, BUCKETS - 1);

	return second < BUCKETS ? second : second - BUCKETS;
}

/*
 * The place of either bucket that the client is given where it has the choice, and that is looked
 * at first: which of seven it is in no CPU can predict. Where the table is a single bucket there is
 * none.
 */
static __always_inline __u32 usual_place(const struct client *client)
{
	return SINGLE_BUCKET ? BUCKET_PLACES : (client->hash & 0xffff) * BUCKET_PLACES >> 16;
}

/*
 * The clients that are followed: all that happens to their packets is reported, whatever the level.
 * They are constants of the program: where there are none, nothing is compared.
 */
#pragma once

#include "virtual_servers.h"

#if FOLLOWED
/* 0 where an address and port are the client's. Where no port was reached the address decides. */
static __always_inline __u64 difference(const struct frame *frame, const struct ip_address *address,
					__be16 port, const struct ip_address *client,
					__be16 client_port)
{
	const __u64 *a = (const __u64 *)address, *b = (const __u64 *)client;
	__u64 difference = frame->family == IPV6 ? (a[0] ^ b[0]) | (a[1] ^ b[1])
						 : address->word[0] ^ client->word[0];

	return frame->udp ? difference | (port ^ client_port) : difference;
}

/* Whether a client has sent this frame, or is to have it. */
static __always_inline bool is_with_client(const struct frame *frame,
					   const struct ip_address *client, __be16 port)
{
	const struct ip_address *source = ip_source(frame), *destination = ip_destination(frame);
	const int last = frame->family == IPV6 ? 3 : 0;

	/* One comparison for all others: a product is 0 where either factor is. */
	if ((__u64)(source->word[last] ^ client->word[last]) *
	    (destination->word[last] ^ client->word[last]))
		return false;
	return !difference(frame, source, frame->udp ? frame->udp->source : 0, client, port) ||
	       !difference(frame, destination, frame->udp ? frame->udp->dest : 0, client, port);
}
#endif

static __always_inline bool is_followed(const struct frame *frame)
{
#if FOLLOWED
#define IF_WITH_CLIENT(port, ...)                                                                  \
	if (is_with_client(frame, &CONSTANT_ADDRESS(__VA_ARGS__), __constant_htons(port)))         \
		return true;
	if (!frame->ip)
		return false;
	if (frame->family == IPV4) {
		FOR_EACH_FOLLOWED_V4(IF_WITH_CLIENT)
	} else {
		FOR_EACH_FOLLOWED_V6(IF_WITH_CLIENT)
	}
#undef IF_WITH_CLIENT
#endif
	return false;
}

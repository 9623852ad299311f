/*
 * Whether a packet comes from where its real server is: from the MAC address of the next hop on the
 * way there, which is the gateway's, or on the same link the server's own. IP addresses can be
 * forged from anywhere, MAC addresses on the link alone. The daemon learns them; where it knows
 * none, packets are believed.
 */
#pragma once

#include "ethernet.h"
#include "tables.h"

#if VERIFY_GATEWAY
/* Null for a number that is no slot. */
static __always_inline __u64 *next_hop_of_slot(enum family family, __u32 slot)
{
#if HAS_IPV4
	if (family == IPV4)
		return next_hops_v4.lookup(&slot);
#endif
#if HAS_IPV6
	if (family == IPV6)
		return next_hops_v6.lookup(&slot);
#endif
	return 0;
}

/* The MAC address that a frame comes from and the EtherType behind it, in one load. */
static __always_inline __u64 sender_of(const struct ethhdr *ethernet)
{
	return *(const __u64 *)&((const __u8 *)ethernet)[ETH_ALEN];
}
_Static_assert(sizeof(struct ethhdr) == ETH_ALEN + sizeof(__u64), "one load reaches its end");

/* Whether a frame may be the real server's of that slot. */
static __always_inline bool is_from_next_hop(const struct frame *frame, __u32 slot)
{
	const __u64 *next_hop = next_hop_of_slot(frame->family, slot);
	__u64 sender;

	if (!next_hop)
		return false;
	sender = *(volatile const __u64 *)next_hop;
	return !sender || sender == sender_of(frame->ethernet);
}
#endif

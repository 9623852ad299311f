/* The IP header and addresses, of either family. */
#pragma once

#include "frame.h"

#define IP_HEADER_WORDS 5			 /* without options */
#define IP_FRAGMENTED	__constant_htons(0x3fff) /* more fragments, or an offset (RFC 791, 3.1) */

/* The fixed part of the header: neither options nor extension headers are skipped. */
static __always_inline bool read_ip(struct frame *frame)
{
	void *ip = frame->next,
	     *next = ip + (frame->family == IPV6 ? sizeof(struct ipv6hdr) : sizeof(struct iphdr));

	if (next > frame->end)
		return false;
	frame->ip = ip;
	frame->next = next;
	return true;
}

static __always_inline __u8 ip_protocol(const struct frame *frame)
{
	return frame->family == IPV6 ? frame->ipv6->nexthdr : frame->ipv4->protocol;
}

/* Hops that are left: time to live (RFC 791) or hop limit (RFC 8200). */
static __always_inline __u8 ip_lifetime(const struct frame *frame)
{
	return frame->family == IPV6 ? frame->ipv6->hop_limit : frame->ipv4->ttl;
}

static __always_inline void take_a_hop(struct frame *frame)
{
	if (frame->family == IPV6)
		frame->ipv6->hop_limit--;
	else
		frame->ipv4->ttl--;
}

/* Whether the version is the EtherType's and, of IPv4, the header has no options. */
static __always_inline bool has_usual_header(const struct frame *frame)
{
	__u8 first = *(const __u8 *)frame->ip;

	return frame->family == IPV6 ? first >> 4 == 6 : first == 0x45;
}

static __always_inline struct ip_address *ip_source(const struct frame *frame)
{
	return frame->family == IPV6 ? (struct ip_address *)&frame->ipv6->saddr
				     : (struct ip_address *)&frame->ipv4->saddr;
}

static __always_inline struct ip_address *ip_destination(const struct frame *frame)
{
	return frame->family == IPV6 ? (struct ip_address *)&frame->ipv6->daddr
				     : (struct ip_address *)&frame->ipv4->daddr;
}

static __always_inline bool same_address(enum family family, const struct ip_address *a,
					 const struct ip_address *b)
{
	if (family == IPV4)
		return a->word[0] == b->word[0];
	return a->word[3] == b->word[3] && a->word[2] == b->word[2] && a->word[1] == b->word[1] &&
	       a->word[0] == b->word[0];
}

static __always_inline void copy_address(enum family family, struct ip_address *to,
					 const struct ip_address *from)
{
	if (family == IPV4)
		to->word[0] = from->word[0];
	else
		*to = *from;
}

/* A hash of some bits, for tables that are filled with known addresses. */
static __always_inline __u32 hash_of_address(enum family family, const struct ip_address *address,
					     __u64 multiplier, __u32 bits)
{
	const __u64 *halves = (const __u64 *)address;
	__u64 number = family == IPV4 ? address->word[0] : halves[0] * ADDRESS_FOLD + halves[1];

	return number * multiplier >> (64 - bits);
}

/* Whether one machine can have this address, and be reached by it from outside its link. */
static __always_inline bool is_unicast(enum family family, const struct ip_address *address)
{
	__u32 first = __constant_ntohl(address->word[0]);

	/* Unspecified, loopback, multicast, limited broadcast (RFC 6890, RFC 1112). */
	if (family == IPV4)
		return first && first >> 24 != 127 && first >> 28 != 14 && first != 0xffffffff;
	if (first >> 24 == 0xff || first >> 22 == 0xfe80 >> 6) /* multicast, link-local */
		return false;
	if (first || address->word[1])
		return true;
	/* Unspecified and loopback; IPv4-mapped (RFC 4291, 2.5.2 to 2.5.5). */
	if (!address->word[2])
		return __constant_ntohl(address->word[3]) > 1;
	return address->word[2] != __constant_htonl(0xffff);
}

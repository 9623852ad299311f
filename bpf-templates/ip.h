/* The IP header and addresses, of the one family that the program is for. */
#pragma once

#include "frame.h"
#include "tables.h"

#if IPV6
#define ETHERTYPE_OF_FAMILY __constant_htons(ETH_P_IPV6)
#else
#define ETHERTYPE_OF_FAMILY __constant_htons(ETH_P_IP)
#define IP_HEADER_WORDS	    5			     /* without options */
#define IP_FRAGMENTED	    __constant_htons(0x3fff) /* more fragments, or an offset (RFC 791, 3.1) */
#endif

/* The fixed part of the header: neither options nor extension headers are skipped. */
static __always_inline bool read_ip(struct frame *frame)
{
	struct ip_header *ip = frame->next;

	if ((void *)(ip + 1) > frame->end)
		return false;
	frame->ip = ip;
	frame->next = ip + 1;
	return true;
}

static __always_inline __u8 ip_protocol(const struct ip_header *ip)
{
#if IPV6
	return ip->nexthdr;
#else
	return ip->protocol;
#endif
}

/* Hops that are left: time to live (RFC 791) or hop limit (RFC 8200). */
static __always_inline __u8 ip_lifetime(const struct ip_header *ip)
{
#if IPV6
	return ip->hop_limit;
#else
	return ip->ttl;
#endif
}

static __always_inline void take_a_hop(struct ip_header *ip)
{
#if IPV6
	ip->hop_limit--;
#else
	ip->ttl--;
#endif
}

/* Whether the version is the EtherType's and, of IPv4, the header has no options. */
static __always_inline bool has_usual_header(const struct frame *frame)
{
	__u8 first = *(const __u8 *)frame->ip;

#if IPV6
	return first >> 4 == 6;
#else
	return first == 0x45;
#endif
}

static __always_inline struct ip_address *ip_source(struct ip_header *ip)
{
	return (struct ip_address *)&ip->saddr;
}

static __always_inline struct ip_address *ip_destination(struct ip_header *ip)
{
	return (struct ip_address *)&ip->daddr;
}

static __always_inline bool same_address(const struct ip_address *a, const struct ip_address *b)
{
#if IPV6
	return a->word[3] == b->word[3] && a->word[2] == b->word[2] && a->word[1] == b->word[1] &&
	       a->word[0] == b->word[0];
#else
	return a->word[0] == b->word[0];
#endif
}

/* Whether one machine can have this address, and be reached by it from outside its link. */
static __always_inline bool is_unicast(const struct ip_address *address)
{
#if IPV6
	__u32 first = __constant_ntohl(address->word[0]);

	if (first >> 24 == 0xff || first >> 22 == 0xfe80 >> 6) /* multicast, link-local */
		return false;
	if (first || address->word[1])
		return true;
	/* Unspecified and loopback; IPv4-mapped (RFC 4291, 2.5.2 to 2.5.5). */
	if (!address->word[2])
		return __constant_ntohl(address->word[3]) > 1;
	return address->word[2] != __constant_htonl(0xffff);
#else
	__u32 number = __constant_ntohl(address->word[0]);

	/* Unspecified, loopback, multicast, limited broadcast (RFC 6890, RFC 1112). */
	return number && number >> 24 != 127 && number >> 28 != 14 && number != 0xffffffff;
#endif
}

/*
 * Walks the headers of a frame. Each step checks its own bounds and says whether the header is
 * whole; what the header means is decided elsewhere.
 */
#pragma once

#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/udp.h>

#include "settings.h"

#if IPV6
#define ip_header		 ipv6hdr
#define VIRTUAL_SERVER_ETHERTYPE __constant_htons(ETH_P_IPV6)
#else
#define ip_header		 iphdr
#define VIRTUAL_SERVER_ETHERTYPE __constant_htons(ETH_P_IP)
#define IP_FRAGMENTED		 __constant_htons(0x3fff) /* more fragments, or an offset (RFC 791, 3.1) */
#endif

/* The headers found so far, those not yet reached are null; and the end of the frame. */
struct frame {
	const void *end;
	struct ethhdr *eth;
	struct ip_header *ip;
	struct udphdr *udp;
};

static __always_inline bool parse_eth(struct xdp_md *ctx, struct frame *frame)
{
	frame->end = (void *)(long)ctx->data_end;
	frame->eth = (void *)(long)ctx->data;
	return (void *)(frame->eth + 1) <= frame->end;
}

/* struct ethhdr is packed: read through it, the field would be put together byte by byte. */
static __always_inline __be16 eth_protocol(const struct ethhdr *eth)
{
	return ((const __be16 *)eth)[ETH_ALEN];
}

/* The fixed part of the header: options of IPv4 are not skipped. */
static __always_inline bool parse_ip(struct frame *frame)
{
	struct ip_header *ip = (void *)(frame->eth + 1);

	if ((void *)(ip + 1) > frame->end)
		return false;
	frame->ip = ip;
	return true;
}

/* Only after an IP header without options or extension headers. */
static __always_inline bool parse_udp(struct frame *frame)
{
	struct udphdr *udp = (void *)(frame->ip + 1);

	if ((void *)(udp + 1) > frame->end)
		return false;
	frame->udp = udp;
	return true;
}

/*
 * Whether the UDP datagram lies within the IP packet, and that within the frame. Both may end
 * early: what stands behind them is padding.
 */
static __always_inline bool lengths_agree(const struct frame *frame)
{
	__u32 udp = __constant_ntohs(frame->udp->len);
#if IPV6
	void *start = frame->udp;
	__u32 packet = __constant_ntohs(frame->ip->payload_len), header = 0;
#else
	void *start = frame->ip;
	__u32 packet = __constant_ntohs(frame->ip->tot_len), header = sizeof(*frame->ip);
#endif

	return udp >= sizeof(*frame->udp) && header + udp <= packet && start + packet <= frame->end;
}

/*
 * Whether one machine sent this to one machine, in the version that the EtherType says. To be asked
 * after the rows about options: an IPv4 header has none here.
 */
static __always_inline bool is_sendable(const struct frame *frame)
{
	__u8 version_and_length = *(__u8 *)frame->ip;

	if (frame->eth->h_dest[0] & 1) /* a group (IEEE 802, I/G bit) */
		return false;
#if IPV6
	return version_and_length >> 4 == 6;
#else
	return version_and_length == 0x45;
#endif
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

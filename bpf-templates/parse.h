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

/* The headers found so far; those not yet reached are null. */
struct frame {
	struct ethhdr *eth;
	struct ip_header *ip;
	struct udphdr *udp;
};

static __always_inline bool parse_eth(struct xdp_md *ctx, struct frame *frame)
{
	frame->eth = (void *)(long)ctx->data;
	return (void *)(frame->eth + 1) <= (void *)(long)ctx->data_end;
}

/* struct ethhdr is packed: read through it, the field would be put together byte by byte. */
static __always_inline __be16 eth_protocol(const struct ethhdr *eth)
{
	return ((const __be16 *)eth)[ETH_ALEN];
}

/* The fixed part of the header: options of IPv4 are not skipped. */
static __always_inline bool parse_ip(struct xdp_md *ctx, struct frame *frame)
{
	struct ip_header *ip = (void *)(frame->eth + 1);

	if ((void *)(ip + 1) > (void *)(long)ctx->data_end)
		return false;
	frame->ip = ip;
	return true;
}

/* Only after an IP header without options or extension headers. */
static __always_inline bool parse_udp(struct xdp_md *ctx, struct frame *frame)
{
	struct udphdr *udp = (void *)(frame->ip + 1);

	if ((void *)(udp + 1) > (void *)(long)ctx->data_end)
		return false;
	frame->udp = udp;
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

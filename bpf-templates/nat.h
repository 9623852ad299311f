/*
 * Rewrites a frame and sends it back: addresses, checksums, lifetime, MAC addresses.
 * Checksums are updated incrementally (RFC 1624, equation 3) by differences worked out at load.
 */
#pragma once

#include "address.h"

/* What one hop less adds to the sum over the IPv4 header: ~0x0100 in network byte order. */
#define LIFETIME_DELTA __constant_htons(0xfeff)

static __always_inline __u16 checksum_fold(__u32 sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	return (sum & 0xffff) + (sum >> 16);
}

static __always_inline void update_checksums(struct frame *frame, __u16 delta)
{
	__u16 check = frame->udp->check;

#if !IPV6
	frame->ip->check = ~checksum_fold((__u16)~frame->ip->check + delta + LIFETIME_DELTA);
#endif
	/* 0 means that the sender computed none (RFC 768, RFC 6935). */
	if (!check)
		return;
	check = ~checksum_fold((__u16)~check + delta);
	frame->udp->check = check ? check : 0xffff;
}

/* All traffic goes through one gateway: back to where the frame came from. */
static __always_inline void swap_mac_addresses(struct ethhdr *eth)
{
	__u32 *to = (__u32 *)eth->h_dest, *from = (__u32 *)eth->h_source;
	__u16 *to_end = (__u16 *)(to + 1), *from_end = (__u16 *)(from + 1);
	__u32 start = *to;
	__u16 end = *to_end;

	*to = *from;
	*to_end = *from_end;
	*from = start;
	*from_end = end;
}

static __always_inline void rewrite_and_return(struct frame *frame, struct ip_address *where,
					       const struct ip_address *to, __u16 delta)
{
	update_checksums(frame, delta);
	*where = *to;
#if IPV6
	frame->ip->hop_limit--;
#else
	frame->ip->ttl--;
#endif
	swap_mac_addresses(frame->eth);
}

/* Ingress: virtual server -> real server. */
static __always_inline void destination_nat(struct frame *frame, struct real_server *server)
{
	rewrite_and_return(frame, ip_destination(frame->ip), real_server_address(server),
			   server->checksum_delta);
}

/* Egress: real server -> virtual server. */
static __always_inline void source_nat(struct frame *frame, const struct real_server *server)
{
	const struct ip_address virtual_server = {VIRTUAL_SERVER};

	rewrite_and_return(frame, ip_source(frame->ip), &virtual_server,
			   (__u16)~server->checksum_delta);
}

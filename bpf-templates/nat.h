/*
 * Which frames may be sent on at all; rewrites a frame and sends it back: addresses, checksums,
 * lifetime, MAC addresses. Checksums are adjusted by differences that are worked out when a list of
 * real servers comes into force.
 */
#pragma once

#include "checksum.h"
#include "ethernet.h"
#include "events.h"
#include "real_servers.h"

/* No decision: nothing keeps the frame from being sent on. */
#define IS_SENDABLE -3

/* The rows of what was not sent by one machine to one machine, in the version that the EtherType
 * says, and of what has come to the end of its way. */
static __always_inline int not_sendable(struct frame *frame)
{
	if (is_to_group(frame->ethernet) || !has_usual_header(frame))
		return DECIDE(frame, UNHANDLED_TRAFFIC, XDP_PASS);
	if (ip_lifetime(frame) <= 1)
		return DECIDE(frame, LIFETIME_EXPIRED, XDP_DROP);
	return IS_SENDABLE;
}

static __always_inline void adjust_checksums(struct frame *frame, __u16 delta)
{
	__u16 checksum = frame->udp->check;

	if (frame->family == IPV4)
		frame->ipv4->check =
			checksum_adjusted(frame->ipv4->check, checksum_sum(delta, HOP_DELTA));
	/* 0 means that the sender computed none (RFC 768, RFC 6935). */
	if (!checksum)
		return;
	checksum = checksum_adjusted(checksum, delta);
	frame->udp->check = checksum ? checksum : 0xffff;
}

/* All traffic goes through one gateway: back to where the frame came from. */
static __always_inline void swap_mac_addresses(struct ethhdr *ethernet)
{
	__u32 *to = (__u32 *)ethernet->h_dest, *from = (__u32 *)ethernet->h_source;
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
	adjust_checksums(frame, delta);
	copy_address(frame->family, where, to);
	take_a_hop(frame);
	swap_mac_addresses(frame->ethernet);
}

/* Ingress: virtual server -> real server. */
static __always_inline void destination_nat(struct frame *frame, struct real_server *server)
{
	rewrite_and_return(frame, ip_destination(frame), real_server_address(server),
			   server->checksum_delta);
}

/* Egress: real server -> virtual server. */
static __always_inline void source_nat(struct frame *frame, const struct real_server *server,
				       const struct ip_address *virtual_server)
{
	rewrite_and_return(frame, ip_source(frame), virtual_server, (__u16)~server->checksum_delta);
}

/* The UDP header (RFC 768), and the lengths of all that is around it. */
#pragma once

#include "ip.h"

/* Behind an IP header without options or extension headers. */
static __always_inline bool read_udp(struct frame *frame)
{
	struct udphdr *udp = frame->next;

	if ((void *)(udp + 1) > frame->end)
		return false;
	frame->udp = udp;
	frame->next = udp + 1;
	return true;
}

/*
 * Whether the UDP datagram lies within the IP packet, and that within the frame. Both may end
 * early: what stands behind them is padding.
 */
static __always_inline bool lengths_agree(const struct frame *frame)
{
	__u32 udp = __constant_ntohs(frame->udp->len), packet, header;
	const void *start;

	if (frame->family == IPV6) {
		start = frame->udp;
		packet = __constant_ntohs(frame->ipv6->payload_len);
		header = 0;
	} else {
		start = frame->ip;
		packet = __constant_ntohs(frame->ipv4->tot_len);
		header = sizeof(*frame->ipv4);
	}
	return udp >= sizeof(*frame->udp) && header + udp <= packet && start + packet <= frame->end;
}

/*
 * A frame, and the cursor that walks its headers. Each step, read_ethernet, read_ip and read_udp,
 * checks its own bounds: it sets its header and goes behind it, or says false and leaves all as it
 * was. So a header that was not reached is null. What a header means is decided elsewhere.
 */
#pragma once

#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/udp.h>

#include "settings.h"

#if IPV6
#define ip_header ipv6hdr
#else
#define ip_header iphdr
#endif

struct frame {
	void *next; /* behind the last header that was reached */
	const void *end;
	struct ethhdr *ethernet;
	struct ip_header *ip;
	struct udphdr *udp;
};

static __always_inline struct frame first_of(struct xdp_md *ctx)
{
	struct frame frame = {
		.next = (void *)(long)ctx->data,
		.end = (void *)(long)ctx->data_end,
	};

	return frame;
}

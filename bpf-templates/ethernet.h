/* The Ethernet header (IEEE 802.3). Knows nothing of what it carries. */
#pragma once

#include "frame.h"

static __always_inline bool read_ethernet(struct frame *frame)
{
	struct ethhdr *ethernet = frame->next;

	if ((void *)(ethernet + 1) > frame->end)
		return false;
	frame->ethernet = ethernet;
	frame->next = ethernet + 1;
	return true;
}

/* struct ethhdr is packed: read through it, the field would be put together byte by byte. */
static __always_inline __be16 ethertype(const struct ethhdr *ethernet)
{
	return ((const __be16 *)ethernet)[ETH_ALEN];
}

/* Whether it was sent to more than one machine: the I/G bit. */
static __always_inline bool is_to_group(const struct ethhdr *ethernet)
{
	return ethernet->h_dest[0] & 1;
}

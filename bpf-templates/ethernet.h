/* The frame as it came in, and its Ethernet header (IEEE 802.3); not what that carries. */
#pragma once

#include "frame.h"

static __always_inline struct frame first_of(struct xdp_md *ctx)
{
	struct frame frame = {
		.next = (void *)(long)ctx->data,
		.start = (void *)(long)ctx->data,
		.end = (void *)(long)ctx->data_end,
		.virtual_server = NO_VIRTUAL_SERVER_NUMBER,
	};

	return frame;
}

/* In bytes. The verifier lets addresses be subtracted, but nothing be added to the end before. */
static __always_inline __u64 frame_length(const struct frame *frame)
{
	__u64 length = frame->end - frame->start;

	OPAQUE(length);
	return length;
}

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

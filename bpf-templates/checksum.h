/* Arithmetic of the Internet checksum (RFC 1071). Knows no header. */
#pragma once

#include "settings.h"

/* What one hop less adds to the sum over an IPv4 header: ~0x0100 in network byte order. */
#define HOP_DELTA __constant_htons(0xfeff)

/* In one's complement: the carry of two makes no other. */
static __always_inline __u16 checksum_sum(__u16 a, __u16 b)
{
	__u32 sum = (__u32)a + b;

	return sum + (sum >> 16);
}

/* The checksum after what it covers has changed by delta: RFC 1624, equation 3. */
static __always_inline __u16 checksum_adjusted(__u16 checksum, __u16 delta)
{
	return ~checksum_sum(~checksum, delta);
}

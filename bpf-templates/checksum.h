/* Arithmetic of the Internet checksum (RFC 1071). Knows no header. */
#pragma once

#include "settings.h"

/* What one hop less adds to the sum over an IPv4 header: ~0x0100 in network byte order. */
#define HOP_DELTA __constant_htons(0xfeff)

/* Twice, as the first carry can make another. */
static __always_inline __u16 checksum_fold(__u32 sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	return (sum & 0xffff) + (sum >> 16);
}

/* The checksum after what it covers has changed by delta: RFC 1624, equation 3. */
static __always_inline __u16 checksum_adjusted(__u16 checksum, __u32 delta)
{
	return ~checksum_fold((__u16)~checksum + delta);
}

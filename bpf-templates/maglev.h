/*
 * Consistent hashing of new clients over the real servers (Eisenbud et al.: Maglev, 2016, section
 * 3.4). The hash has no secret, so that all directors with one list choose alike: who forges
 * sources can aim new clients at one real server. Where their associations are, the association
 * table's own hash decides, which has one.
 */
#pragma once

#include "ip.h"

/* The finalizer of splitmix64 (Steele, Lea, Flood: Fast splittable PRNGs, 2014). */
static __always_inline __u64 mixed(__u64 x)
{
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ULL;
	x = (x ^ x >> 27) * 0x94d049bb133111ebULL;
	return x ^ x >> 31;
}

/* A client's entry. All numbers are read in network byte order: machines of either order agree. */
static __always_inline __u32 maglev_index(enum family family, const struct ip_address *address,
					  __be16 port)
{
	__u64 number = __constant_ntohs(port), high, low, hash;

	if (family == IPV4) {
		hash = mixed((__u64)__constant_ntohl(address->word[0]) << 16 | number);
	} else {
		high = (__u64)__constant_ntohl(address->word[0]) << 32 |
		       __constant_ntohl(address->word[1]);
		low = (__u64)__constant_ntohl(address->word[2]) << 32 |
		      __constant_ntohl(address->word[3]);
		hash = mixed(mixed(mixed(high) ^ low) ^ number);
	}
	return (hash >> 32) * MAGLEV_ENTRIES >> 32;
}

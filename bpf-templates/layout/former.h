/*
 * Keys and values of tables as former versions of the layouts had them: versions 1, that of ulb
 * 1.0.0, to 3. For who reads tables that such a process has kept; the packet path knows none of
 * it. Addresses and ports are in network byte order.
 */
#pragma once

#include <linux/types.h>

/* A client: who an association belongs to. */
struct former_flow_key_v4 {
	__be32 address;
	__be16 port;
	__u16 padding; /* always 0: the hash covers it */
};

struct former_flow_key_v6 {
	__be32 address[4];
	__be16 port;
	__u16 padding; /* always 0: the hash covers it */
};

/*
 * Client -> real server. Valid while the server's slot carries the same generation, which is never
 * 0. Read and written as one word, so that no CPU sees half of it.
 */
union former_association {
	struct {
		__u32 server; /* slot of the real server */
		__u32 generation;
	};
	__u64 word;
};

/*
 * A slot of the table of real servers. The packet path compares generation, which is 0 while the
 * server is not listed; last_generation is the daemon's memory of a server that left, so that its
 * associations live on if it returns.
 */
struct former_real_server_v4 {
	__be32 address;
	__u32 generation;
	__u32 last_generation;
	__u16 checksum_delta; /* ~virtual server + real server, folded (RFC 1624, equation 3) */
	__u16 padding;
};

struct former_real_server_v6 {
	__be32 address[4];
	__u32 generation;
	__u32 last_generation;
	__u16 checksum_delta; /* ~virtual server + real server, folded (RFC 1624, equation 3) */
	__u16 padding[3];
};

/*
 * Which of the two banks of real servers and of the round is in force. The second word tells the
 * version from 2 on: version 1, that of ulb 1.0.0, ends before it.
 */
struct former_control {
	__u32 bank; /* 0 or 1 */
	__u32 layout_version;
};

/*
 * Of version 3, whose buckets are those of today: index 2 * slot + bank, and a client's tag and
 * hash are those of virtual server 0.
 */
struct former_real_server_v4_3 {
	__be32 address;
	__u16 checksum_delta;
	__u16 state; /* 0 never used, 1 unlisted, 2 listed */
};

struct former_real_server_v6_3 {
	__be32 address[4];
	__u16 checksum_delta;
	__u16 state; /* 0 never used, 1 unlisted, 2 listed */
	__u32 padding[3];
};

struct former_control_3 {
	__u32 bank; /* 0 or 1 */
	__u32 layout_version;
	__u32 max_associations;
	__u32 padding;
	__u64 epoch;
	__u64 secret[4];
	__u64 padding_to_a_line;
};

_Static_assert(sizeof(struct former_flow_key_v4) == 8, "no hidden padding");
_Static_assert(sizeof(struct former_flow_key_v6) == 20, "no hidden padding");
_Static_assert(sizeof(union former_association) == 8, "one word");
_Static_assert(sizeof(struct former_real_server_v4) == 16,
	       "a power of two: the array index is a shift");
_Static_assert(sizeof(struct former_real_server_v6) == 32,
	       "a power of two: the array index is a shift");
_Static_assert(sizeof(struct former_real_server_v4_3) == 8, "no hidden padding");
_Static_assert(sizeof(struct former_real_server_v6_3) == 32, "no hidden padding");
_Static_assert(sizeof(struct former_control_3) == 64, "no hidden padding");

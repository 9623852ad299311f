/*
 * Keys and values of the tables, and what the ring buffer carries: written once, for C and Swift.
 * Knows no table and no packet. Addresses, ports and MAC addresses are in network byte order.
 */
#pragma once

#include <linux/types.h>

/*
 * The version of these layouts, by which a process recognises tables that another has kept. To be
 * raised with each change of a key, a value, a type or a flag of a table that is kept, and of what
 * a value means. Version 1 is that of ulb 1.0.0, whose control does not tell it.
 */
#define LAYOUT_VERSION 2

/* An address, the most significant word first. */
struct ip_address_v4 {
	__be32 word[1];
};

/* Aligned so that it is copied eight bytes at a time: BPF reads and writes at any address. */
struct ip_address_v6 {
	__be32 word[4];
} __attribute__((aligned(8)));

/* A client: who an association belongs to. */
struct flow_key_v4 {
	__be32 address;
	__be16 port;
	__u16 padding; /* always 0: the hash covers it */
};

struct flow_key_v6 {
	__be32 address[4];
	__be16 port;
	__u16 padding; /* always 0: the hash covers it */
};

/*
 * Client -> real server. Valid while the server's slot carries the same generation, which is never
 * 0. Read and written as one word, so that no CPU sees half of it.
 */
union association {
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
struct real_server_v4 {
	__be32 address;
	__u32 generation;
	__u32 last_generation;
	__u16 checksum_delta; /* ~virtual server + real server, folded (RFC 1624, equation 3) */
	__u16 padding;
};

struct real_server_v6 {
	__be32 address[4];
	__u32 generation;
	__u32 last_generation;
	__u16 checksum_delta; /* ~virtual server + real server, folded (RFC 1624, equation 3) */
	__u16 padding[3];
};

/* Which of the two banks of real servers and of the round is in force: one store switches both. */
struct control {
	__u32 bank; /* 0 or 1 */
	__u32 layout_version;
};

/* What happened to one frame. Of an IPv4 address only the first word is set. */
struct event_record {
	__u32 event; /* an EVENT_… code of the settings */
	__be16 source_port;
	__be16 destination_port;
	__u8 destination_mac[6];
	__u8 source_mac[6];
	__be32 source[4];
	__be32 destination[4];
	__be32 new_source[4];
	__be32 new_destination[4];
};

_Static_assert(sizeof(struct ip_address_v4) == 4, "no hidden padding");
_Static_assert(sizeof(struct ip_address_v6) == 16, "no hidden padding");
_Static_assert(sizeof(struct flow_key_v4) == 8, "no hidden padding");
_Static_assert(sizeof(struct flow_key_v6) == 20, "no hidden padding");
_Static_assert(sizeof(union association) == 8, "one word");
_Static_assert(sizeof(struct real_server_v4) == 16, "a power of two: the array index is a shift");
_Static_assert(sizeof(struct real_server_v6) == 32, "a power of two: the array index is a shift");
_Static_assert(sizeof(struct event_record) == 84, "no hidden padding");

/*
 * Keys and values of the tables, and what the ring buffer carries: written once, for C and Swift.
 * Knows no table and no packet. Addresses, ports and MAC addresses are in network byte order.
 */
#pragma once

#include <linux/types.h>

/*
 * The version of these layouts, by which a process recognises tables that another has kept. To be
 * raised with each change of a key, a value, a type or a flag of a table that is kept, and of what
 * a value means. Those before are in former.h.
 */
#define LAYOUT_VERSION 5

/* An address, the most significant word first. */
struct ip_address_v4 {
	__be32 word[1];
};

/* Aligned so that it is copied eight bytes at a time: BPF reads and writes at any address. */
struct ip_address_v6 {
	__be32 word[4];
} __attribute__((aligned(8)));

/*
 * The classes of clients, in the upper two bits of a stamp. The other six are the low bits of: the
 * epoch of insertions in which a newcomer was last used; the half second, of CLOCK_MONOTONIC, in
 * which a client was answered; the epoch of promotions in which a resident was last used. What has
 * the stamp of a resident counts as one, and no free place has it.
 */
#define CLASS_NEWCOMER	 0 /* it has sent */
#define CLASS_UNHEARD	 1 /* a newcomer that a real server wrote to, and that has not sent yet */
#define CLASS_RESIDENT	 2 /* it has sent again, long enough after it was answered */
#define CLASS_ANSWERED	 3 /* a real server has vouched for it */
#define CLASS_EPOCH_BITS 6
#define CLASS_EPOCHS	 (1 << CLASS_EPOCH_BITS)

/*
 * Half seconds of a time in ns: its upper bits, times 2^54 / 500,000,000 and over 2^34. A division
 * would take a new client's packet longer than what is made of it. For 17 years after the start;
 * what is lost of a half second in that time is a third of a second.
 */
#define TIME_SHIFT	    20
#define HALF_SECONDS_FACTOR 36028797
#define HALF_SECONDS_SHIFT  34

/* Places of a bucket: as many words as fill a cache line beside their stamps. */
#define BUCKET_PLACES 7

/*
 * A bucket of the association table, one cache line. A word is an association: the client's tag in
 * its upper 48 bits, the slot of its real server in the lower 16; 0 is free. With IPv4 the tag is
 * the client: its address above its port, both as read from memory, and over them, by exclusive or,
 * the upper part of the table's secret[1] times the number of the virtual server, so that a client
 * of several has a tag with each. With IPv6 it is the upper part of a keyed hash of the client and
 * that number; the client's address and port stand in bucket_clients_v6.
 *
 * A stamp tells by which epoch a place is ordered among others, see CLASS_…. In a table without
 * classes it is the low octet of the epoch in which the place was last used; in one of a single
 * bucket, which has none either, it is the place's rank, 0 for the one that was used last.
 */
struct bucket {
	__u64 word[BUCKET_PLACES];
	union {
		struct {
			__u8 stamp[BUCKET_PLACES];
			__u8 lock; /* orders the insertions of clients whose first bucket this is */
		};
		__u64 stamps; /* and the lock, as the highest octet */
	};
};

/*
 * The slot of a word that is no association yet: only the daemon writes it, and no packet follows
 * it. A packet of that client takes the place over.
 */
#define SLOT_PENDING 0xffff

/* The most slots that there can be: each a number of 16 bits that is not SLOT_PENDING. */
#define MOST_SLOTS 0xffff

/* Who the words of a bucket belong to: written after the word, read by the daemon alone. */
struct bucket_clients_v6 {
	__be32 address[BUCKET_PLACES][4];
	__be16 port[BUCKET_PLACES];
	__u16 padding;
};

/* What state a slot of the table of real servers is in. */
#define REAL_SERVER_UNUSED   0 /* never had an address */
#define REAL_SERVER_UNLISTED 1 /* keeps its address, as associations may lead to it */
#define REAL_SERVER_DRAINING 2 /* keeps its clients, and is given no new one */
#define REAL_SERVER_UP	     3

/*
 * A slot of the table of real servers: a real server behind one virtual server. It is given another
 * address or virtual server only when no word of the association table leads to it any more. A
 * server behind several virtual servers has a slot for each, and each leads to the next: the last
 * to the first. The address stands behind it, in the struct of its family.
 */
struct real_server {
	__u16 checksum_delta; /* ~virtual server + real server, folded (RFC 1624, equation 3) */
	__u8 state;	      /* REAL_SERVER_… */
	__u8 virtual_server;  /* its number */
	__u16 next;	      /* the next slot with the same address; itself where none is */
	__u16 row;	      /* of the virtual server's address, in the table of ports */
};

/*
 * What the control socket has set of a real server, in the struct of its family: 0 for nothing. No
 * packet asks for it. The lowest bits are a state, as a number from 1 on (down, draining, up), or 0
 * for the configuration's; then a weight and 1, or 0; then the state and the weight that the
 * configuration had then.
 */
#define OVERRIDE_STATE_BITS	  2
#define OVERRIDE_WEIGHT_BITS	  10
#define OVERRIDE_CONFIGURED_STATE (OVERRIDE_STATE_BITS + OVERRIDE_WEIGHT_BITS)
#define OVERRIDE_CONFIGURED	  (OVERRIDE_CONFIGURED_STATE + OVERRIDE_STATE_BITS)

struct real_server_v4 {
	struct real_server server;
	__be32 address;
	__u32 override;
};

struct real_server_v6 {
	struct real_server server;
	__be32 address[4];
	__u32 override;
	__u32 padding;
};

/* Numbers of virtual servers are below this: a number is not given anew before it is swept. */
#define VIRTUAL_SERVER_NUMBERS 128

/* How a virtual server chooses a new client's real server. */
#define SCHEDULER_ROUND_ROBIN 0
#define SCHEDULER_MAGLEV      1

/* A virtual server, by its number and the bank of its family. Of an IPv4 address only the first
 * word is set. */
struct virtual_server {
	__be32 address[4];
	__u32 line;	 /* of rounds, where its turns or its Maglev entries begin */
	__u32 length;	 /* of them; 0 where no new client can be given to anybody */
	__u32 scheduler; /* SCHEDULER_… */
	__u32 family;	 /* 4 or 6; 0 for a number that is nobody's */
};

/* Slots of a round, of Maglev entries, or by a hash of their addresses: a cache line of them. */
#define SLOTS_OF_LINE 32

struct slot_line {
	__u16 slot[SLOTS_OF_LINE];
};

/* The entries of a Maglev table: a prime number (Eisenbud et al.: Maglev, 2016, section 5.3). */
#define MAGLEV_ENTRIES 65537

/* The name of a virtual server, by its number. Length 0 is the command line's. */
struct virtual_server_name {
	__u8 length;
	__u8 octets[63]; /* UTF-8 */
};

/*
 * What a packet needs to know of the tables of its family: which of the two banks of virtual
 * servers, real servers and rounds is in force, which one store switches, and how the association
 * table is read.
 */
struct control {
	__u32 bank; /* 0 or 1 */
	__u32 layout_version;
	__u32 max_associations; /* that the association table was made for */
	__u8 present_stamp[4];	/* by class: of who is used now; all 0 in a table without classes */
	__u64 epoch;		/* advances with insertions */
	__u64 secret[4];	/* random, for the life of the table: keys the hash of clients */
	__u64 promotion_epoch;	/* advances with promotions */
};

/*
 * What happens to an association table so seldom that packets may write it in one place. Times are
 * in ns of CLOCK_MONOTONIC.
 */
struct admissions {
	__u64 insertions; /* in batches */
	__u64 promotions;
	__u64 residents;  /* that there are */
	__u64 pressed_at; /* when a newcomer last had to go that had come shortly before */
	__u64 padding_to_a_line[4];
	__u64 epoch_began_at[CLASS_EPOCHS]; /* an epoch of insertions, by its low bits */
};

/*
 * A network of clients, as a key of a trie: with the bank in front of its address, as bits that all
 * networks of the bank have in common.
 */
#define NETWORK_BANK_BITS 32

struct network_v4 {
	__u32 prefix_length; /* in bits, the bank's among them */
	__u32 bank;	     /* 0 or 1 */
	struct ip_address_v4 address;
};

struct network_v6 {
	__u32 prefix_length;
	__u32 bank;
	struct ip_address_v6 address;
};

/* Networks that a file can list: a bank has those of two. */
#define LIST_NETWORKS (1 << 19)

/* What a list says of a network. */
#define NETWORK_ALLOWED 0
#define NETWORK_DENIED	1

/* Turns of the round robin that one CPU has taken and not given yet. */
struct turns {
	__u32 length; /* of the round that they are of */
	__u32 next;   /* index in it */
	__u32 count;
	__u32 padding;
};

/* Where clients may send to: the address of one virtual server or more, in a table of cells. */
struct address_row {
	__be32 address[4];
	__u32 row;
	__u32 is_used;
	__u64 padding;
};

/* Ports of a line, and lines for all ports. */
#define PORTS_OF_LINE	  64
#define PORT_LINES_OF_ROW 1024

/* By the port in host byte order: 0, or the number of a virtual server and 1. */
struct port_line {
	__u8 number[PORTS_OF_LINE];
};

/*
 * Counters stand in blocks. Block 0 is the daemon's: no packet writes there. The others are a CPU's
 * each, written by the packets on that CPU alone, of which none interrupts another. A count is the
 * sum of all blocks, modulo 2^64: what block 0 holds begins it anew, or goes on with what other
 * tables have counted before. An entry's counts go up one by one: a reader may see some of a
 * packet.
 */

/* Packets, and the bytes of their whole frames. */
struct traffic {
	__u64 packets;
	__u64 bytes;
};

/*
 * Entries of a block of event counters: by the event's code. No event has the code 0: in block 0
 * it holds when counting began, in ns since 1970, in the place of packets.
 */
#define EVENT_COUNTERS 32
#define COUNTING_SINCE 0
#define EVENTS_LOST    31 /* those that the ring buffer had no room for */

/* How clients came to a real server. */
struct created {
	__u64 by_client;      /* it wrote first */
	__u64 by_real_server; /* that wrote first */
	__u64 taken_over;     /* from a real server that was no longer listed */
};

/*
 * Of the real server of a slot: to it and from it. What known clients' packets count is the events
 * INGRESS_REUSED_NAT and EGRESS_REUSED_NAT as well, which are not counted once more: behind the
 * slots each block has an entry for what those were whose slots others have.
 */
struct real_server_counters {
	struct traffic known_ingress;
	struct traffic known_egress;
	__u64 padding_to_a_line[4];
	struct traffic new_ingress;
	struct traffic new_egress;
	struct created created;
	__u64 padding_to_two_lines;
};

/* Of a family's association table: one entry a block. */
struct association_counters {
	struct created created;
	/* Another client was given their place, by a packet or, in block 0, by the daemon; by the
	 * class that they had. */
	__u64 forgotten_newcomers;
	__u64 forgotten_answered;
	__u64 forgotten_residents;
	__u64 without_place; /* packets of and to new clients that were served without one */
	__u64 padding_to_a_line;
};

/* In the place of a number: none, and several that have one port. */
#define NO_VIRTUAL_SERVER_NUMBER 0xff
#define SEVERAL_VIRTUAL_SERVERS	 0xfe

/* What happened to one frame. Of an IPv4 address only the first word is set. */
struct event_record {
	__u16 event;	     /* an EVENT_… code of the settings */
	__u8 family;	     /* of the addresses: 4 or 6; 0 where no IP header was reached */
	__u8 virtual_server; /* its number; NO_VIRTUAL_SERVER_NUMBER where it is nobody's */
	__be16 source_port;
	__be16 destination_port;
	__u8 destination_mac[6];
	__u8 source_mac[6];
	__be32 source[4];
	__be32 destination[4];
	__be32 new_source[4];
	__be32 new_destination[4];
};

_Static_assert(sizeof(struct bucket) == 64, "one cache line");
_Static_assert(sizeof(struct bucket_clients_v6) == 128, "two cache lines");
_Static_assert(sizeof(struct real_server) == 8, "addresses are aligned to 8 bytes");
_Static_assert(sizeof(struct real_server_v4) == 16, "a power of two: the array index is a shift");
_Static_assert(sizeof(struct real_server_v6) == 32, "a power of two: the array index is a shift");
_Static_assert(sizeof(struct control) == 64, "one cache line");
_Static_assert(sizeof(struct admissions) % 64 == 0, "whole cache lines");
_Static_assert(sizeof(struct virtual_server) == 32, "a power of two: the array index is a shift");
_Static_assert(sizeof(struct virtual_server_name) == 64, "one cache line");
_Static_assert(sizeof(struct address_row) == 32, "a power of two: the array index is a shift");
_Static_assert(sizeof(struct port_line) == 64, "one cache line");
_Static_assert(sizeof(struct slot_line) == 64, "one cache line");
_Static_assert(EVENT_COUNTERS * sizeof(struct traffic) % 64 == 0, "blocks share no cache line");
_Static_assert(sizeof(struct real_server_counters) == 128, "two cache lines");
_Static_assert(sizeof(struct association_counters) == 64, "one cache line");
_Static_assert(sizeof(struct network_v4) == 12, "no hidden padding");
_Static_assert(sizeof(struct network_v6) == 24, "no hidden padding");
_Static_assert(sizeof(struct ip_address_v4) == 4, "no hidden padding");
_Static_assert(sizeof(struct ip_address_v6) == 16, "no hidden padding");
_Static_assert(sizeof(struct event_record) == 84, "no hidden padding");

/* What the measuring tools tell the driver program: which packets to write. */
#pragma once

#include <linux/types.h>

/* Size of the frames, in bytes: room for Ethernet, IPv6 and UDP headers and a little data. */
#define FRAME 96

/* The most packets that are replayed at once. */
#define TRACE_LENGTH (1 << 18)

/* What a trace has of each, beside the number of its client in the lower 32 bits. */
#define FROM_SERVER    (1ULL << 32)
#define ASKS_FOR_PROOF (1ULL << 33) /* a DTLS HelloVerifyRequest (RFC 6347, 4.2.1) */

struct parameters {
	__u32 flows;	   /* clients cycled through; 0: each packet is a new client's */
	__u32 stride;	   /* from one packet's client to the next's: 1, or a large odd number */
	__u32 first;	   /* number of the first client */
	__u32 from_server; /* 1: real server to client, 0: client to virtual server */
	__u32 ipv6;
	__u32 protocol;
	__u8 virtual_server[16], real_server[16], client[16]; /* network byte order */
	__u16 port;				/* the service's, network byte order */
	__u8 destination_mac[6], source_mac[6]; /* of frames that are sent out */
	__u16 padding;
	__u32 apart;	 /* where two CPUs meet: from one's clients to the other's; 0: the same */
	__u32 interface; /* where frames are sent out */
};

/* One of two CPUs that meet, alone in its cache lines. */
struct visitor {
	__u64 arrived; /* packets so far */
	__u64 waited; /* ns from the driver's beginning to its call of the program, the last time */
	__u64 met;    /* how often the other was there */
	__u64 padding[13];
};

/* The most known clients that a flood has among it: all have one address. */
#define MOST_KNOWN   (1 << 15)
#define REAL_SERVERS 3

enum phase {
	LEARNING,  /* known clients send: the real server that each has now is its own */
	ANSWERING, /* that answers each of them */
	FLOODING,  /* known clients send, and forged ones */
	ARRIVING,  /* new clients send, each with a source of its own, and a real server answers */
};

/* Of every so many clients that arrive it is noted when their answer was through, of so many. */
#define MOST_SAMPLES 4096

/* What a flood consists of. */
struct mixture {
	__u32 known; /* clients */
	__u32 every; /* packet of so many is one of theirs */
	__u32 cpus;  /* that send */
	__u32 phase;
	__u32 forged; /* packets of each forged source, one after the other */
	__u32 noted;  /* client of so many; 0: none */
};

/* What a CPU has sent of it, and what a director has sent on. */
struct tally {
	__u64 turn, known;
	__u64 sent_known, sent_forged;
	__u64 own, other; /* of known clients: to the real server of each, and to another */
	__u64 forged, answers;
};

/* How far a trace is replayed. */
struct progress {
	__u64 packets;
	__u64 mark;	   /* before the last of them */
	__u64 is_sender;   /* whether a client sent that */
	__u64 new_clients; /* that sent, without it */
};

/* Where the program under test counts what happens on a CPU, and by what new clients are counted.
 */
#define CPU_BLOCK(cpu) (1 + (cpu))
#define NEW_CLIENTS(counters)                                                                      \
	((counters)->created.by_client + (counters)->created.by_real_server +                      \
	 (counters)->created.taken_over + (counters)->without_place)

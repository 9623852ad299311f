/* The tables, shared by the packet path and the daemon. Their layouts are in layout.h. */
#pragma once

#include "settings.h"
#include "layout.h"

#if IPV6
#define real_server real_server_v6
#define ip_address  ip_address_v6
#else
#define real_server real_server_v4
#define ip_address  ip_address_v4
#endif

/*
 * How many buckets so many associations have: one for each four, so that there are 1.75 places for
 * each. Few associations have one bucket, of which each has one place.
 */
#define BUCKETS_OF(associations) ((associations) <= BUCKET_PLACES ? 1 : ((associations)-1) / 4 + 1)
#define BUCKETS			 BUCKETS_OF(MAX_ASSOCIATIONS)
#define SINGLE_BUCKET		 (MAX_ASSOCIATIONS <= BUCKET_PLACES)
#if SINGLE_BUCKET
#define PLACES MAX_ASSOCIATIONS
#else
#define PLACES BUCKET_PLACES
#endif

/* Client -> real server. What removes an association is that another needs its place. */
BPF_F_TABLE("array", __u32, struct bucket, associations, BUCKETS_OF(CREATED_ASSOCIATIONS),
	    BPF_F_MMAPABLE);

#if IPV6
/* Whose the words of each bucket are. */
BPF_F_TABLE("array", __u32, struct bucket_clients_v6, clients, BUCKETS_OF(CREATED_ASSOCIATIONS),
	    BPF_F_MMAPABLE);
#endif

/* How many batches of insertions there were, and how many insertions of one this CPU has made. */
BPF_TABLE("array", __u32, __u64, insertions, 1);
BPF_TABLE("percpu_array", __u32, __u64, insertions_of_cpu, 1);

/*
 * REAL_SERVER_SLOTS slots in two banks, side by side, so that a number that is no slot finds
 * nothing in either. Twice as many slots as servers can be listed: a list which replaces all of
 * them takes no slot of a server that is listed until then. Else that server could not be found by
 * its address any more, some moments before it leaves.
 */
BPF_TABLE("array", __u32, struct real_server, real_servers, 2 * REAL_SERVER_SLOTS);

/* Address -> slot. May name a server that is no longer listed: the slot itself tells. */
BPF_TABLE("hash", struct ip_address, __u32, slot_of_address, REAL_SERVER_SLOTS);

/* Two banks of 1 + MAX_REAL_SERVERS words: the length of the round, then its slots in order. */
BPF_TABLE("array", __u32, __u32, rounds, 2 * (1 + MAX_REAL_SERVERS));

/* The index in the round that the next new client is given. */
BPF_TABLE("array", __u32, __u64, round_position, 1);

/* Turns that this CPU has taken and not given yet. */
BPF_TABLE("percpu_array", __u32, struct turns, turns_in_hand, 1);

BPF_F_TABLE("array", __u32, struct control, control, 1, BPF_F_MMAPABLE);

#if PORTS_IN_BITMAP
/* One bit a UDP port, by its number in host byte order. */
BPF_TABLE("array", __u32, __u64, ports, 1024);
#endif

BPF_RINGBUF_OUTPUT(events, EVENT_PAGES);

BPF_TABLE("percpu_array", __u32, __u64, counters, COUNTERS);

/* The tables, shared by the packet path and the daemon. Their layouts are in layout.h. */
#pragma once

#include "settings.h"
#include "layout.h"

#if IPV6
#define flow_key    former_flow_key_v6
#define real_server former_real_server_v6
#define ip_address  ip_address_v6
#else
#define flow_key    former_flow_key_v4
#define real_server former_real_server_v4
#define ip_address  ip_address_v4
#endif

/* Client -> real server. Nothing but its being the least recently used removes an entry. */
BPF_TABLE("lru_hash", struct flow_key, union former_association, associations, MAX_ASSOCIATIONS);

/*
 * Two banks of REAL_SERVER_SLOTS slots: twice as many as servers can be listed, so that a list
 * which replaces all of them takes no slot of a server that is listed until then. Else that server
 * could not be found by its address any more, some moments before it leaves.
 */
BPF_TABLE("array", __u32, struct real_server, real_servers, 2 * REAL_SERVER_SLOTS);

/* Address -> slot. May name a server that is no longer listed: the slot itself tells. */
BPF_TABLE("hash", struct ip_address, __u32, slot_of_address, REAL_SERVER_SLOTS);

/* Two banks of 1 + MAX_REAL_SERVERS words: the length of the round, then its slots in order. */
BPF_TABLE("array", __u32, __u32, rounds, 2 * (1 + MAX_REAL_SERVERS));

/* The index in the round that the next new client is given. */
BPF_TABLE("array", __u32, __u64, round_position, 1);

BPF_TABLE("array", __u32, struct former_control, control, 1);

#if PORTS_IN_BITMAP
/* One bit a UDP port, by its number in host byte order. */
BPF_TABLE("array", __u32, __u64, ports, 1024);
#endif

BPF_RINGBUF_OUTPUT(events, EVENT_PAGES);

BPF_TABLE("percpu_array", __u32, __u64, counters, COUNTERS);

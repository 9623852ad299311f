/*
 * The tables, shared by the packet path and the daemon. Their layouts are in layout.h. What is of
 * one family is named after it; a table of a family without a virtual server is not there.
 *
 * All are declared here, before any function: where a header is missing, libbcc does not survive a
 * table behind one.
 */
#pragma once

#include "frame.h"

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

/*
 * The association table of a family, which outlives the program.
 * associations: client -> real server. What removes one is that another needs its place.
 * admissions: how they came to be, and of which class.
 *
 * And what belongs to the program:
 * real_servers: slots in two banks, side by side, so that a number that is no slot finds nothing in
 * either. There are more slots than servers can be listed: a list which replaces all of them takes
 * no slot of a server that is listed until then.
 * slot_of_address: a slot of each address. It may name a server that is no longer listed: the slot
 * itself tells.
 * likely_slots: where each packet of a real server asks for its slot, as several virtual servers
 * have its port. A slot by the hash of its address, or of another that has the same.
 */
#if HAS_IPV4
BPF_F_TABLE("array", __u32, struct bucket, associations_v4, BUCKETS_OF(CREATED_ASSOCIATIONS_V4),
	    BPF_F_MMAPABLE);
BPF_F_TABLE("array", __u32, struct admissions, admissions_v4, 1, BPF_F_MMAPABLE);
BPF_F_TABLE("array", __u32, struct control, control_v4, 1, BPF_F_MMAPABLE);
BPF_TABLE("array", __u32, struct real_server_v4, real_servers_v4, 2 * REAL_SERVER_SLOTS_V4);
BPF_TABLE("hash", struct ip_address_v4, __u32, slot_of_address_v4, REAL_SERVER_SLOTS_V4);
#if VIRTUAL_SERVERS_V4 > 1
BPF_TABLE("array", __u32, struct slot_line, likely_slots_v4,
	  (1 << LIKELY_SLOT_BITS_V4) / SLOTS_OF_LINE);
#endif
#endif

/* clients: whose the words of each bucket are. */
#if HAS_IPV6
BPF_F_TABLE("array", __u32, struct bucket, associations_v6, BUCKETS_OF(CREATED_ASSOCIATIONS_V6),
	    BPF_F_MMAPABLE);
BPF_F_TABLE("array", __u32, struct bucket_clients_v6, clients_v6,
	    BUCKETS_OF(CREATED_ASSOCIATIONS_V6), BPF_F_MMAPABLE);
BPF_F_TABLE("array", __u32, struct admissions, admissions_v6, 1, BPF_F_MMAPABLE);
BPF_F_TABLE("array", __u32, struct control, control_v6, 1, BPF_F_MMAPABLE);
BPF_TABLE("array", __u32, struct real_server_v6, real_servers_v6, 2 * REAL_SERVER_SLOTS_V6);
BPF_TABLE("hash", struct ip_address_v6, __u32, slot_of_address_v6, REAL_SERVER_SLOTS_V6);
#if VIRTUAL_SERVERS_V6 > 1
BPF_TABLE("array", __u32, struct slot_line, likely_slots_v6,
	  (1 << LIKELY_SLOT_BITS_V6) / SLOTS_OF_LINE);
#endif
#endif

/* Insertions of a batch that this CPU has made, of each family. */
BPF_TABLE("percpu_array", __u32, __u64, insertions_of_cpu, 2);

/* The virtual servers by their numbers, each in two banks, side by side; and their names. */
BPF_TABLE("array", __u32, struct virtual_server, virtual_servers, 2 * VIRTUAL_SERVER_NUMBERS);
BPF_TABLE("array", __u32, struct virtual_server_name, virtual_server_names, VIRTUAL_SERVER_NUMBERS);

/* The turns of all virtual servers, and their Maglev entries. */
BPF_TABLE("array", __u32, struct slot_line, rounds, ROUND_LINES);

/* The index in its round that the next new client of a virtual server is given. */
BPF_TABLE("array", __u32, __u64, round_position, VIRTUAL_SERVER_NUMBERS);

/* Turns that this CPU has taken and not given yet. */
BPF_TABLE("percpu_array", __u32, struct turns, turns_in_hand, VIRTUAL_SERVER_NUMBERS);

BPF_RINGBUF_OUTPUT(events, EVENT_PAGES);

/*
 * Counters, in blocks: by the event's code, by the real server's slot, and one entry a block. They
 * outlive the program.
 */
BPF_F_TABLE("array", __u32, struct traffic, event_counters, COUNTER_BLOCKS *EVENT_COUNTERS,
	    BPF_F_MMAPABLE);
#if HAS_IPV4
BPF_F_TABLE("array", __u32, struct real_server_counters, real_server_counters_v4,
	    CREATED_COUNTERS_V4, BPF_F_MMAPABLE);
BPF_F_TABLE("array", __u32, struct association_counters, association_counters_v4, COUNTER_BLOCKS,
	    BPF_F_MMAPABLE);
#endif
#if HAS_IPV6
BPF_F_TABLE("array", __u32, struct real_server_counters, real_server_counters_v6,
	    CREATED_COUNTERS_V6, BPF_F_MMAPABLE);
BPF_F_TABLE("array", __u32, struct association_counters, association_counters_v6, COUNTER_BLOCKS,
	    BPF_F_MMAPABLE);
#endif

/* What is balanced, where it is too much to be compared. */
#if ADDRESSES_HASHED_V4
BPF_TABLE("array", __u32, struct address_row, addresses_v4, ADDRESS_CELLS);
#endif
#if ADDRESSES_HASHED_V6
BPF_TABLE("array", __u32, struct address_row, addresses_v6, ADDRESS_CELLS);
#endif
#if PORT_ROWS
/* PORT_LINES_OF_ROW lines for each row: a virtual server's number and 1, by the port. */
BPF_TABLE("array", __u32, struct port_line, virtual_server_of_port, PORT_ROWS *PORT_LINES_OF_ROW);
#endif

/*
 * The lists of clients: the networks of a family in two banks, and which of these is in force, for
 * both families at once.
 */
#if LISTS
BPF_F_TABLE("array", __u32, __u64, list_bank, 1, BPF_F_MMAPABLE);
#if HAS_IPV4
BPF_F_TABLE("lpm_trie", struct network_v4, __u32, networks_v4, 4 * LIST_NETWORKS,
	    BPF_F_NO_PREALLOC);
#endif
#if HAS_IPV6
BPF_F_TABLE("lpm_trie", struct network_v6, __u32, networks_v6, 4 * LIST_NETWORKS,
	    BPF_F_NO_PREALLOC);
#endif
#endif

/*
 * What frames of each slot's real server begin with behind their destination: the MAC address of
 * the next hop on the way to it, and the EtherType; 0 where that is not known. In no bank: it is of
 * the address, whatever the list.
 */
#if VERIFY_GATEWAY
#if HAS_IPV4
BPF_F_TABLE("array", __u32, __u64, next_hops_v4, REAL_SERVER_SLOTS_V4, BPF_F_MMAPABLE);
#endif
#if HAS_IPV6
BPF_F_TABLE("array", __u32, __u64, next_hops_v6, REAL_SERVER_SLOTS_V6, BPF_F_MMAPABLE);
#endif
#endif

/*
 * What is done to the table of the family, if that is compiled in: else it is null. Each call of a
 * table's method stands in a function, as libbcc knows none in a macro.
 */
static __always_inline struct bucket *bucket_at(enum family family, __u32 index)
{
#if HAS_IPV4
	if (family == IPV4)
		return associations_v4.lookup(&index);
#endif
#if HAS_IPV6
	if (family == IPV6)
		return associations_v6.lookup(&index);
#endif
	return 0;
}

/* Never null: the verifier does not know that an array has its first element. */
static __always_inline struct control *control_of(enum family family)
{
	__u32 zero = 0;

#if HAS_IPV4
	if (family == IPV4)
		return control_v4.lookup(&zero);
#endif
#if HAS_IPV6
	if (family == IPV6)
		return control_v6.lookup(&zero);
#endif
	return 0;
}

/* Null where the family's tables are not there. */
static __always_inline struct admissions *admissions_of(enum family family)
{
	__u32 zero = 0;

#if HAS_IPV4
	if (family == IPV4)
		return admissions_v4.lookup(&zero);
#endif
#if HAS_IPV6
	if (family == IPV6)
		return admissions_v6.lookup(&zero);
#endif
	return 0;
}

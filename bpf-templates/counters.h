/*
 * Counts, each CPU in its own block: no packet is interrupted by another on its CPU, so that adding
 * needs no lock. Which CPU it is and how long a frame is, is found out where it is counted: what is
 * kept from the beginning takes registers from all that comes between.
 */
#pragma once

#include "ethernet.h"
#include "tables.h"

static __always_inline void count_traffic(struct traffic *traffic, const struct frame *frame)
{
	traffic->packets++;
	traffic->bytes += frame_length(frame);
}

static __always_inline __u32 block_of_cpu(void)
{
	return 1 + bpf_get_smp_processor_id();
}

/* A frame on which so was decided. */
static __always_inline void count_event(const struct frame *frame, __u32 event)
{
	struct traffic *traffic;
	__u32 index;

	if (!COUNTERS_ON)
		return;
	index = block_of_cpu() * EVENT_COUNTERS + event;
	traffic = event_counters.lookup(&index);
	if (traffic)
		count_traffic(traffic, frame);
}

static __always_inline struct real_server_counters *real_server_counters_at(enum family family,
									    __u32 block, __u32 slot)
{
	__u32 index;

#if HAS_IPV4
	index = block * (REAL_SERVER_SLOTS_V4 + 1) + slot;
	if (family == IPV4)
		return real_server_counters_v4.lookup(&index);
#endif
#if HAS_IPV6
	index = block * (REAL_SERVER_SLOTS_V6 + 1) + slot;
	if (family == IPV6)
		return real_server_counters_v6.lookup(&index);
#endif
	return 0;
}

static __always_inline struct association_counters *association_counters_at(enum family family,
									    __u32 block)
{
#if HAS_IPV4
	if (family == IPV4)
		return association_counters_v4.lookup(&block);
#endif
#if HAS_IPV6
	if (family == IPV6)
		return association_counters_v6.lookup(&block);
#endif
	return 0;
}

/* A packet to the real server of a slot, or from it, of a client that is new or not. */
static __always_inline void count_packet(const struct frame *frame, __u32 slot, bool is_ingress,
					 bool is_new)
{
	struct real_server_counters *counters;

	if (!COUNTERS_ON)
		return;
	counters = real_server_counters_at(frame->family, block_of_cpu(), slot);
	if (!counters)
		return;
	if (is_new)
		count_traffic(is_ingress ? &counters->new_ingress : &counters->new_egress, frame);
	else
		count_traffic(is_ingress ? &counters->known_ingress : &counters->known_egress,
			      frame);
}

/* Who had the place of a new association before. */
enum former_user { NOBODY, THE_CLIENT, NEWCOMER, ANSWERED_CLIENT };

static __always_inline void count_created(struct created *created, enum former_user former,
					  bool is_sender)
{
	if (former == THE_CLIENT)
		created->taken_over++;
	else if (is_sender)
		created->by_client++;
	else
		created->by_real_server++;
}

/* An association with the real server of a slot. */
static __always_inline void count_association(enum family family, __u32 slot,
					      enum former_user former, bool is_sender)
{
	struct real_server_counters *server;
	struct association_counters *table;
	__u32 block;

	if (!COUNTERS_ON)
		return;
	block = block_of_cpu();
	server = real_server_counters_at(family, block, slot);
	if (server)
		count_created(&server->created, former, is_sender);
	table = association_counters_at(family, block);
	if (!table)
		return;
	count_created(&table->created, former, is_sender);
	if (former == NEWCOMER)
		table->forgotten_newcomers++;
	else if (former == ANSWERED_CLIENT)
		table->forgotten_answered++;
}

/* A packet of a new client, or to one, for which there is no place. */
static __always_inline void count_without_place(enum family family)
{
	struct association_counters *table;

	if (!COUNTERS_ON)
		return;
	table = association_counters_at(family, block_of_cpu());
	if (table)
		table->without_place++;
}

/* An event that the ring buffer had no room for. */
static __always_inline void count_lost_event(const struct frame *frame)
{
	count_event(frame, EVENTS_LOST);
}

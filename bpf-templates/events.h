/*
 * Says what happened to a frame: to the ring buffer, if the event's level is compiled in, and to
 * the kernel's trace pipe, if trace points are. What is not compiled in costs nothing.
 */
#pragma once

#include "counters.h"
#include "ethernet.h"
#include "ip.h"
#include "udp.h"

/* Called before the frame is rewritten; the new addresses are null where nothing is translated. */
static __always_inline void report(const struct frame *frame, __u32 event,
				   const struct ip_address *new_source,
				   const struct ip_address *new_destination)
{
	struct event_record *record = events.ringbuf_reserve(sizeof(*record));

	if (!record) {
		count(COUNTER_EVENTS_LOST);
		return;
	}
	__builtin_memset(record, 0, sizeof(*record));
	record->event = event;
	if (frame->ethernet) {
		__builtin_memcpy(record->destination_mac, frame->ethernet->h_dest, ETH_ALEN);
		__builtin_memcpy(record->source_mac, frame->ethernet->h_source, ETH_ALEN);
	}
	if (frame->ip) {
		*(struct ip_address *)record->source = *ip_source(frame->ip);
		*(struct ip_address *)record->destination = *ip_destination(frame->ip);
	}
	if (frame->udp) {
		record->source_port = frame->udp->source;
		record->destination_port = frame->udp->dest;
	}
	if (new_source)
		*(struct ip_address *)record->new_source = *new_source;
	if (new_destination)
		*(struct ip_address *)record->new_destination = *new_destination;
	/* Wakes the daemon only where it had read all before: while it is behind or looks
	 * elsewhere, a packet pays no wake-up. */
	events.ringbuf_submit(record, 0);
}

#if TRACE_POINTS
#if IPV6
#define TRACE_ADDRESS "%pI6"
#else
#define TRACE_ADDRESS "%pI4"
#endif
/* Not libbcc's bpf_trace_printk, which cannot stand in a macro. */
#define TRACE(frame, event)                                                                        \
	do {                                                                                       \
		char name[] = TRACE_TAG #event;                                                    \
		char both[] = TRACE_TAG #event " " TRACE_ADDRESS " > " TRACE_ADDRESS;              \
		if ((frame)->ip)                                                                   \
			bpf_trace_printk_(both, sizeof(both), ip_source((frame)->ip),              \
					  ip_destination((frame)->ip));                            \
		else                                                                               \
			bpf_trace_printk_(name, sizeof(name));                                     \
	} while (0)
#else
#define TRACE(frame, event)                                                                        \
	do {                                                                                       \
	} while (0)
#endif

/* One row of the packet table: its event, then its verdict. */
#define DECIDE_TRANSLATED(frame, event, new_source, new_destination, verdict)                      \
	({                                                                                         \
		TRACE(frame, event);                                                               \
		if (LEVEL_##event >= LOG_LEVEL)                                                    \
			report(frame, EVENT_##event, new_source, new_destination);                 \
		(verdict);                                                                         \
	})
#define DECIDE(frame, event, verdict) DECIDE_TRANSLATED(frame, event, 0, 0, verdict)

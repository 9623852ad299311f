/*
 * Says what happened to a frame: to the ring buffer, if the event's level is compiled in or the
 * client is followed, and to the kernel's trace pipe, if trace points are. What is not compiled in
 * costs nothing.
 */
#pragma once

#include "counters.h"
#include "ethernet.h"
#include "follow.h"
#include "ip.h"
#include "udp.h"

static __always_inline void report_address(const struct frame *frame, __be32 *to,
					   const struct ip_address *address)
{
	copy_address(frame->family, (struct ip_address *)to, address);
}

/* Called before the frame is rewritten; the new addresses are null where nothing is translated. */
static __always_inline void report(const struct frame *frame, __u32 event,
				   const struct ip_address *new_source,
				   const struct ip_address *new_destination)
{
	struct event_record *record = events.ringbuf_reserve(sizeof(*record));

	if (!record) {
		count_lost_event(frame);
		return;
	}
	__builtin_memset(record, 0, sizeof(*record));
	record->event = event;
	record->family = frame->family;
	record->virtual_server = frame->virtual_server;
	if (frame->ethernet) {
		__builtin_memcpy(record->destination_mac, frame->ethernet->h_dest, ETH_ALEN);
		__builtin_memcpy(record->source_mac, frame->ethernet->h_source, ETH_ALEN);
	}
	if (frame->ip) {
		report_address(frame, record->source, ip_source(frame));
		report_address(frame, record->destination, ip_destination(frame));
	}
	if (frame->udp) {
		record->source_port = frame->udp->source;
		record->destination_port = frame->udp->dest;
	}
	if (new_source)
		report_address(frame, record->new_source, new_source);
	if (new_destination)
		report_address(frame, record->new_destination, new_destination);
	/* Wakes the daemon only where it had read all before: while it is behind or looks
	 * elsewhere, a packet pays no wake-up. */
	events.ringbuf_submit(record, 0);
}

#if TRACE_POINTS
/* Not libbcc's bpf_trace_printk, which cannot stand in a macro. */
#define TRACE_BOTH(frame, event, address)                                                          \
	do {                                                                                       \
		char both[] = TRACE_TAG #event " " address " > " address;                          \
		bpf_trace_printk_(both, sizeof(both), ip_source(frame), ip_destination(frame));    \
	} while (0)
#define TRACE(frame, event)                                                                        \
	do {                                                                                       \
		char name[] = TRACE_TAG #event;                                                    \
		if (!(frame)->ip)                                                                  \
			bpf_trace_printk_(name, sizeof(name));                                     \
		else if ((frame)->family == IPV6)                                                  \
			TRACE_BOTH(frame, event, "%pI6");                                          \
		else                                                                               \
			TRACE_BOTH(frame, event, "%pI4");                                          \
	} while (0)
#else
#define TRACE(frame, event)                                                                        \
	do {                                                                                       \
	} while (0)
#endif

/* What is decided on a frame: an event and a verdict, in one number that is not negative. */
#define DECISION(event, verdict) ((event) << 3 | (verdict))
#define EVENT_OF(decision)	 (((__u32)(decision) & ~COUNTED) >> 3)
#define VERDICT_OF(decision)	 ((decision)&7)
/* Of a known client's packet, which is counted with its real server and no second time. */
#define COUNTED		     (1 << 16)
#define IS_COUNTED(decision) ((decision)&COUNTED)
/* Where the verifier wants an answer that there is no case for. */
#define NOTHING_DECIDED DECISION(0, XDP_ABORTED)

/*
 * One row of the packet table: its event, then its verdict. Whoever returns it has it counted.
 *
 * LLVM sets the number before it asks whether the row is meant. It is left to: a place of its own
 * would be jumped over by all other packets, and by the jumps of the packets before a CPU foretells
 * in which of its places a client is. The fewer each takes, the more of them it remembers.
 */
#define DECIDE(frame, event, verdict)                                                              \
	({                                                                                         \
		TRACE(frame, event);                                                               \
		if (LEVEL_##event >= LOG_LEVEL)                                                    \
			report(frame, EVENT_##event, 0, 0);                                        \
		DECISION(EVENT_##event, verdict);                                                  \
	})
/* A row whose frame is going to be rewritten: of one that is followed this is told here. */
#define DECIDE_TRANSLATED(frame, event, new_source, new_destination)                               \
	({                                                                                         \
		TRACE(frame, event);                                                               \
		if (LEVEL_##event >= LOG_LEVEL || (frame)->is_followed)                            \
			report(frame, EVENT_##event, new_source, new_destination);                 \
		DECISION(EVENT_##event, XDP_TX);                                                   \
	})

/* Tells what was decided on a frame that is followed, where no row has told it. */
static __always_inline void report_followed(const struct frame *frame, __u32 event)
{
	if (FOLLOWED && !(TOLD_BY_ROWS >> event & 1) && is_followed(frame))
		report(frame, event, 0, 0);
}

/* The rows of the packet table from real server to client, and of what is neither's. */
#pragma once

#include "events.h"
#include "lists.h"
#include "nat.h"
#include "next_hops.h"
#include "unsettled_client.h"
#include "udp.h"

/* EGRESS_NEW_NAT and EGRESS_REUSED_NAT. */
static __always_inline int egress_nat(struct frame *frame, __u32 bank, struct real_server *server,
				      __u32 slot, bool is_new)
{
	struct ip_address from, *destination = ip_destination(frame);
	int decision;

	if (!copy_virtual_server_address(frame, bank, &from))
		return NOTHING_DECIDED;
	decision = is_new ? DECIDE_TRANSLATED(frame, EGRESS_NEW_NAT, &from, destination)
			  : DECIDE_TRANSLATED(frame, EGRESS_REUSED_NAT, &from, destination);
	source_nat(frame, server, &from);
	count_packet(frame, slot, false, is_new);
	return is_new ? decision : decision | COUNTED;
}

/* No decision: the packet is of no virtual server's port, or from nobody who serves there. */
#define IS_NOT_HANDLED -2

/* The rows of IS_NOT_HANDLED, once for all: who sent it tells, as each event is counted. */
static __always_inline int not_handled(struct frame *frame)
{
	struct control *control = control_of(frame->family);
	__u32 number, slot;

	frame->virtual_server = NO_VIRTUAL_SERVER_NUMBER;
	if (control && find_real_server(frame->family, read_bank(control), ip_source(frame), 0,
					&number, &slot))
		return DECIDE(frame, EGRESS_NOT_HANDLED_PORT, XDP_PASS);
	return DECIDE(frame, UNHANDLED_TRAFFIC, XDP_PASS);
}

/* No decision: a real server may send the frame. */
#define IS_ACCEPTED -4

/* The rows of what the real server of a slot may not send, whoever the client is. */
static __always_inline int not_accepted(struct frame *frame, __u32 slot)
{
#if VERIFY_GATEWAY
	if (!is_from_next_hop(frame, slot))
		return DECIDE(frame, EGRESS_UNVERIFIED, XDP_DROP);
#endif
	if (!lengths_agree(frame))
		return DECIDE(frame, INVALID_UDP_SIZE, XDP_DROP);
	return IS_ACCEPTED;
}

/* From the client's own real server, where nothing changes for the client. */
static __always_inline int egress_of_settled(struct frame *frame, __u32 bank,
					     struct real_server *server, __u32 slot)
{
	int decision = not_accepted(frame, slot);

	if (decision == IS_ACCEPTED)
		decision = not_sendable(frame);
	if (decision == IS_SENDABLE)
		decision = egress_nat(frame, bank, server, slot, false);
	return decision;
}

/*
 * That a packet comes from its client's server settles who sent it, and only else is the sender
 * looked up by its address. Where several virtual servers have the port, the sender tells which of
 * them is meant, and is looked up first.
 */
static __always_inline int egress(struct frame *frame, struct unsettled_client *unsettled)
{
	const enum family family = frame->family;
	struct ip_address *source = ip_source(frame), *destination = ip_destination(frame);
	__u32 number = virtual_server_of_port_alone(family, frame->udp->source);
	struct control *control;
	struct client client;
	struct buckets buckets = {};
	struct real_server *server = 0, *associated = 0;
	__u64 associated_slot = 0, standing = STANDING(CLASSLESS);
	__u32 bank, slot = 0;
	int decision;

	if (number == NO_VIRTUAL_SERVER_NUMBER)
		return IS_NOT_HANDLED;

	control = control_of(family);
	if (!control)
		return NOTHING_DECIDED;
	bank = read_bank(control);
	if (VIRTUAL_SERVERS(family) > 1 && number == SEVERAL_VIRTUAL_SERVERS) {
		server = find_real_server(family, bank, source, frame->udp->source, &number, &slot);
		if (!server)
			return IS_NOT_HANDLED;
	}
	frame->virtual_server = number;
	client = client_of(frame, control, destination, frame->udp->dest);
	buckets.first = bucket_at(family, client.first);
	if (!buckets.first)
		return NOTHING_DECIDED;
	if (find_association(control, &client, false, &buckets, &associated_slot, &standing)) {
		/* As in ingress(). */
		if (!standing) {
			associated = real_server_of_slot(family, bank, number, associated_slot);
			if (associated &&
			    same_address(family, real_server_address(associated), source))
				goto settled;
		} else {
			associated = real_server_of_slot(family, bank, number, associated_slot);
		}
	}
	if (associated && same_address(family, real_server_address(associated), source)) {
		if (!IS_CHANGED_BY_EGRESS(STAMP_OF(standing)))
			goto settled;
		server = associated;
		slot = associated_slot;
	} else if (!server) {
		server = find_real_server(family, bank, source, frame->udp->source, &number, &slot);
	}
	if (!server)
		return IS_NOT_HANDLED;
	decision = not_accepted(frame, slot);
	if (decision != IS_ACCEPTED)
		return decision;
	if (!associated) {
		expect_new_client(&client);
		if (!is_answerable(family, destination, frame->udp->dest))
			return DECIDE(frame, UNHANDLED_TRAFFIC, XDP_PASS);
#if LISTS
		if (is_denied(family, destination))
			return DECIDE(frame, EGRESS_DENIED, XDP_DROP);
#endif
	}
	if (associated && associated != server)
		return DECIDE(frame, EGRESS_NOT_AUTHORIZED, XDP_DROP);
	decision = not_sendable(frame);
	if (decision != IS_SENDABLE)
		return decision;
	*unsettled = (struct unsettled_client){
		.control = control,
		.client = client,
		.buckets = buckets,
		.bank = bank,
		.is_known = associated != 0,
		.stamp = STAMP_OF(standing),
		.server = server,
		.slot = slot,
	};
	return IS_UNSETTLED;
settled:
	return egress_of_settled(frame, bank, associated, associated_slot);
}

/* The rows of a client that was not settled, and a real server wrote to. */
static __always_inline int egress_to_unsettled(struct frame *frame,
					       const struct unsettled_client *client,
					       struct real_server *associated, bool is_new)
{
	if (!associated)
		return DECIDE(frame, EGRESS_CANNOT_CREATE_ASSO, XDP_DROP);
	if (associated != client->server)
		return DECIDE(frame, EGRESS_NOT_AUTHORIZED, XDP_DROP);
	return egress_nat(frame, client->bank, associated, client->slot, is_new);
}

/* The rows of the packet table from real server to client, and of what is neither's. */
#pragma once

#include "admission.h"
#include "association.h"
#include "events.h"
#include "nat.h"
#include "udp.h"

/* EGRESS_NEW_NAT and EGRESS_REUSED_NAT. */
static __always_inline int egress_nat(struct frame *frame, struct real_server *server, bool is_new)
{
	const struct ip_address from = {VIRTUAL_SERVER};
	struct ip_address *destination = ip_destination(frame->ip);
	int verdict =
		is_new ? DECIDE_TRANSLATED(frame, EGRESS_NEW_NAT, &from, destination, XDP_TX)
		       : DECIDE_TRANSLATED(frame, EGRESS_REUSED_NAT, &from, destination, XDP_TX);

	source_nat(frame, server);
	return verdict;
}

/* EGRESS_NOT_HANDLED_PORT. Nobody needs to know whose packet it is where that is no event. */
static __always_inline int egress_not_handled_port(struct frame *frame)
{
	__u32 slot;

	if (LEVEL_EGRESS_NOT_HANDLED_PORT >= LOG_LEVEL || TRACE_POINTS) {
		struct control *control = what_is_in_force();

		if (control && find_real_server(read_bank(control), ip_source(frame->ip), &slot))
			return DECIDE(frame, EGRESS_NOT_HANDLED_PORT, XDP_PASS);
	}
	return DECIDE(frame, UNHANDLED_TRAFFIC, XDP_PASS);
}

/*
 * The association is looked up first: that the packet comes from its server settles who sent it,
 * and only else is the sender looked up by its address.
 */
static __always_inline int egress(struct frame *frame)
{
	struct ip_address *source = ip_source(frame->ip), *destination = ip_destination(frame->ip);
	struct control *control;
	struct client client;
	struct real_server *server, *associated;
	bool is_new = false;
	__u32 bank, slot = 0;

	if (!is_balanced_port(frame->udp->source))
		return egress_not_handled_port(frame);

	control = what_is_in_force();
	if (!control)
		return XDP_ABORTED;
	bank = read_bank(control);
	client = client_of(control, destination, frame->udp->dest);
	associated = find_association(control, bank, &client);
	if (associated && same_address(real_server_address(associated), source))
		server = associated;
	else
		server = find_real_server(bank, source, &slot);
	if (!server)
		return DECIDE(frame, UNHANDLED_TRAFFIC, XDP_PASS);
	if (!lengths_agree(frame))
		return DECIDE(frame, INVALID_UDP_SIZE, XDP_DROP);
	if (!associated && !is_answerable(destination, frame->udp->dest))
		return DECIDE(frame, UNHANDLED_TRAFFIC, XDP_PASS);
	if (associated && associated != server)
		return DECIDE(frame, EGRESS_NOT_AUTHORIZED, XDP_DROP);
	if (!is_sendable(frame))
		return DECIDE(frame, UNHANDLED_TRAFFIC, XDP_PASS);
	if (ip_lifetime(frame->ip) <= 1)
		return DECIDE(frame, LIFETIME_EXPIRED, XDP_DROP);

	if (!associated) {
		associated = settle_association(control, &client, server, slot, &is_new);
		if (!associated)
			return DECIDE(frame, EGRESS_CANNOT_CREATE_ASSO, XDP_DROP);
		if (associated != server)
			return DECIDE(frame, EGRESS_NOT_AUTHORIZED, XDP_DROP);
	}
	return egress_nat(frame, server, is_new);
}

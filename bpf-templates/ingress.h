/* The rows of the packet table from client to virtual server. */
#pragma once

#include "admission.h"
#include "association.h"
#include "events.h"
#include "nat.h"
#include "round.h"
#include "udp.h"

/* INGRESS_NEW_NAT and INGRESS_REUSED_NAT. */
static __always_inline int ingress_nat(struct frame *frame, struct real_server *server, bool is_new)
{
	struct ip_address *source = ip_source(frame->ip), *to = real_server_address(server);
	int verdict = is_new ? DECIDE_TRANSLATED(frame, INGRESS_NEW_NAT, source, to, XDP_TX)
			     : DECIDE_TRANSLATED(frame, INGRESS_REUSED_NAT, source, to, XDP_TX);

	destination_nat(frame, server);
	return verdict;
}

static __always_inline int ingress(struct frame *frame)
{
	struct control *control;
	struct client client;
	struct real_server *server;
	__u32 bank, slot, length = 0;
	bool is_new = false;

	if (!is_balanced_port(frame->udp->dest))
		return DECIDE(frame, INGRESS_NOT_HANDLED_PORT, XDP_PASS);
	if (!lengths_agree(frame))
		return DECIDE(frame, INVALID_UDP_SIZE, XDP_DROP);

	control = what_is_in_force();
	if (!control)
		return XDP_ABORTED;
	bank = read_bank(control);
	client = client_of(control, ip_source(frame->ip), frame->udp->source);
	server = find_association(control, bank, &client);
	if (!server) {
		if (!is_answerable(ip_source(frame->ip), frame->udp->source))
			return DECIDE(frame, INVALID_CLIENT, XDP_DROP);
		length = round_length(bank);
		if (!length)
			return DECIDE(frame, INGRESS_CANNOT_CREATE_ASSO, XDP_DROP);
	}
	if (!is_sendable(frame))
		return DECIDE(frame, UNHANDLED_TRAFFIC, XDP_PASS);
	if (ip_lifetime(frame->ip) <= 1)
		return DECIDE(frame, LIFETIME_EXPIRED, XDP_DROP);

	if (!server) {
		if (next_in_round(bank, length, &slot))
			server = real_server_of_slot(bank, slot);
		if (server)
			server = settle_association(control, &client, server, slot, &is_new);
		if (!server)
			return DECIDE(frame, INGRESS_CANNOT_CREATE_ASSO, XDP_DROP);
	}
	return ingress_nat(frame, server, is_new);
}

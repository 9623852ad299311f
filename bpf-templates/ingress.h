/* The rows of the packet table from client to virtual server. */
#pragma once

#include "events.h"
#include "lists.h"
#include "nat.h"
#include "unsettled_client.h"
#include "udp.h"

/* INGRESS_NEW_NAT and INGRESS_REUSED_NAT. */
static __always_inline int ingress_nat(struct frame *frame, struct real_server *server, __u32 slot,
				       bool is_new)
{
	struct ip_address *source = ip_source(frame), *to = real_server_address(server);
	int decision = is_new ? DECIDE_TRANSLATED(frame, INGRESS_NEW_NAT, source, to)
			      : DECIDE_TRANSLATED(frame, INGRESS_REUSED_NAT, source, to);

	destination_nat(frame, server);
	count_packet(frame, slot, true, is_new);
	return is_new ? decision : decision | COUNTED;
}

/* To the address of a virtual server, which its row tells. */
static __always_inline int ingress(struct frame *frame, __u32 row,
				   struct unsettled_client *unsettled)
{
	const enum family family = frame->family;
	struct virtual_server *virtual_server = 0;
	struct control *control;
	struct client client;
	struct buckets buckets = {};
	struct real_server *server = 0;
	__u64 slot = 0, standing = STANDING(NO_STAMP);
	__u32 bank;
	int decision;

	frame->virtual_server = virtual_server_at(family, row, frame->udp->dest);
	if (frame->virtual_server == NO_VIRTUAL_SERVER_NUMBER)
		return DECIDE(frame, INGRESS_NOT_HANDLED_PORT, XDP_PASS);
	if (!lengths_agree(frame))
		return DECIDE(frame, INVALID_UDP_SIZE, XDP_DROP);
#if STRICT
	if (is_denied(family, ip_source(frame)))
		return DECIDE(frame, INGRESS_DENIED, XDP_DROP);
#endif

	control = control_of(family);
	if (!control)
		return NOTHING_DECIDED;
	bank = read_bank(control);
	client = client_of(frame, control, ip_source(frame), frame->udp->source);
	buckets.first = bucket_at(family, client.first);
	if (!buckets.first)
		return NOTHING_DECIDED;
	if (find_association(control, &client, true, &buckets, &slot, &standing)) {
		/* Both ways look for the server alike, but one of them keeps no standing. */
		if (!standing) {
			server = real_server_of_slot(family, bank, client.virtual_server, slot);
			if (server)
				goto settled;
		} else {
			server = real_server_of_slot(family, bank, client.virtual_server, slot);
		}
	}
#if LISTS && !STRICT
	if (is_asked_for(control, STAMP_OF(standing), server != 0) &&
	    is_denied(family, ip_source(frame)))
		return DECIDE(frame, INGRESS_DENIED, XDP_DROP);
#endif
	if (server && !IS_CHANGED_BY_INGRESS(STAMP_OF(standing)))
		goto settled;
	if (!server) {
		expect_new_client(&client);
		if (!is_answerable(family, ip_source(frame), frame->udp->source))
			return DECIDE(frame, INVALID_CLIENT, XDP_DROP);
		virtual_server = virtual_server_of(bank, frame->virtual_server);
		if (!virtual_server || !virtual_server->length)
			return DECIDE(frame, INGRESS_CANNOT_CREATE_ASSO, XDP_DROP);
	}
	decision = not_sendable(frame);
	if (decision != IS_SENDABLE)
		return decision;
	*unsettled = (struct unsettled_client){
		.control = control,
		.client = client,
		.buckets = buckets,
		.bank = bank,
		.is_sender = true,
		.is_known = server != 0,
		.stamp = STAMP_OF(standing),
		.server = server,
		.virtual_server = virtual_server,
		.slot = slot,
	};
	return IS_UNSETTLED;
settled:
	decision = not_sendable(frame);
	return decision == IS_SENDABLE ? ingress_nat(frame, server, slot, false) : decision;
}

/* The rows of a client that was not settled. */
static __always_inline int ingress_of_unsettled(struct frame *frame,
						const struct unsettled_client *client,
						struct real_server *server, bool is_new)
{
	if (!server)
		return DECIDE(frame, INGRESS_CANNOT_CREATE_ASSO, XDP_DROP);
	return ingress_nat(frame, server, client->slot, is_new);
}

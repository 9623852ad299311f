/* The rows of the packet table from client to virtual server. */
#pragma once

#include "events.h"
#include "nat.h"
#include "new_client.h"
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
static __always_inline int ingress(struct frame *frame, __u32 row, struct new_client *new_client)
{
	const enum family family = frame->family;
	struct virtual_server *virtual_server = 0;
	struct control *control;
	struct client client;
	struct real_server *server;
	__u32 bank, slot = 0;

	frame->virtual_server = virtual_server_at(family, row, frame->udp->dest);
	if (frame->virtual_server == NO_VIRTUAL_SERVER_NUMBER)
		return DECIDE(frame, INGRESS_NOT_HANDLED_PORT, XDP_PASS);
	if (!lengths_agree(frame))
		return DECIDE(frame, INVALID_UDP_SIZE, XDP_DROP);

	control = control_of(family);
	if (!control)
		return NOTHING_DECIDED;
	bank = read_bank(control);
	client = client_of(frame, control, ip_source(frame), frame->udp->source);
	server = find_association(control, bank, &client, &slot);
	if (!server) {
		expect_new_client(&client);
		if (!is_answerable(family, ip_source(frame), frame->udp->source))
			return DECIDE(frame, INVALID_CLIENT, XDP_DROP);
		virtual_server = virtual_server_of(bank, frame->virtual_server);
		if (!virtual_server || !virtual_server->length)
			return DECIDE(frame, INGRESS_CANNOT_CREATE_ASSO, XDP_DROP);
	}
	if (!is_sendable(frame))
		return DECIDE(frame, UNHANDLED_TRAFFIC, XDP_PASS);
	if (ip_lifetime(frame) <= 1)
		return DECIDE(frame, LIFETIME_EXPIRED, XDP_DROP);

	if (!server) {
		*new_client = (struct new_client){
			.control = control,
			.client = client,
			.bank = bank,
			.is_sender = true,
			.virtual_server = virtual_server,
		};
		return IS_NEW_CLIENT;
	}
	return ingress_nat(frame, server, slot, false);
}

/* The rows of a client that the director did not know. */
static __always_inline int ingress_of_new_client(struct frame *frame,
						 const struct new_client *new_client,
						 struct real_server *server, bool is_new)
{
	if (!server)
		return DECIDE(frame, INGRESS_CANNOT_CREATE_ASSO, XDP_DROP);
	return ingress_nat(frame, server, new_client->slot, is_new);
}

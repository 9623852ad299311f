/* The packet path: reads like the packet table, one decision a row. Ingress is client -> virtual
 * server, egress is real server -> client. All traffic not mentioned here is the kernel's. */
#include "settings.h"
#include "layout.h"
#include "tables.h"
#include "parse.h"
#include "address.h"
#include "ports.h"
#include "round.h"
#include "association.h"
#include "admission.h"
#include "nat.h"
#include "events.h"

static __always_inline int ingress_send(struct frame *frame, struct real_server *server,
					bool is_new)
{
	struct ip_address *source = ip_source(frame->ip), *to = real_server_address(server);
	int verdict = is_new ? DECIDE_TRANSLATED(frame, INGRESS_NEW_NAT, source, to, XDP_TX)
			     : DECIDE_TRANSLATED(frame, INGRESS_REUSED_NAT, source, to, XDP_TX);

	destination_nat(frame, server);
	return verdict;
}

static __always_inline int egress_send(struct frame *frame, struct real_server *server, bool is_new)
{
	const struct ip_address virtual_server = {VIRTUAL_SERVER};
	struct ip_address *to = ip_destination(frame->ip);
	int verdict =
		is_new ? DECIDE_TRANSLATED(frame, EGRESS_NEW_NAT, &virtual_server, to, XDP_TX)
		       : DECIDE_TRANSLATED(frame, EGRESS_REUSED_NAT, &virtual_server, to, XDP_TX);

	source_nat(frame, server);
	return verdict;
}

/* A client's packet to the virtual server. */
static __always_inline int ingress(struct frame *frame)
{
	struct flow_key key;
	union association *known, stale = {.word = 0}, fresh;
	struct real_server *server = 0;
	__u32 bank, slot, length = 0;

	if (!is_balanced_port(frame->udp->dest))
		return DECIDE(frame, INGRESS_NOT_HANDLED_PORT, XDP_PASS);
	if (!lengths_agree(frame))
		return DECIDE(frame, INVALID_UDP_SIZE, XDP_DROP);

	key = flow_of(ip_source(frame->ip), frame->udp->source);
	bank = current_bank();
	known = associations.lookup(&key);
	if (known) {
		stale = read_association(known);
		server = real_server_of(bank, stale);
	}
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
	if (server)
		return ingress_send(frame, server, false);

	if (!next_in_round(bank, length, &slot))
		return DECIDE(frame, INGRESS_CANNOT_CREATE_ASSO, XDP_DROP);
	server = real_server_of_slot(bank, slot);
	if (!server)
		return DECIDE(frame, INGRESS_CANNOT_CREATE_ASSO, XDP_DROP);
	fresh = associate(slot, server);
	if (set_association(&key, known, stale, &fresh))
		return ingress_send(frame, server, true);
	server = real_server_of(bank, fresh);
	if (!server)
		return DECIDE(frame, INGRESS_CANNOT_CREATE_ASSO, XDP_DROP);
	return ingress_send(frame, server, false);
}

/* The slot of the real server with this address, if one is listed; null otherwise. */
static __always_inline struct real_server *find_real_server(__u32 bank, struct ip_address *address,
							    __u32 *slot)
{
	struct ip_address key = *address;
	__u32 *id = real_server_ids.lookup(&key);
	struct real_server *server;

	if (!id)
		return 0;
	*slot = *id;
	server = real_server_of_slot(bank, *id);
	if (!server || !same_address(real_server_address(server), address))
		return 0;
	return server;
}

/* A packet to anybody else, perhaps from a real server. The association is looked up first: who
 * sent it is only asked where that did not settle it. */
static __always_inline int egress(struct frame *frame)
{
	struct flow_key key;
	union association *known, stale = {.word = 0}, fresh;
	struct ip_address *source = ip_source(frame->ip);
	struct real_server *server, *associated = 0;
	bool is_its_client = false;
	__u32 bank, slot = 0;

	if (!is_balanced_port(frame->udp->source)) {
		if (LEVEL_EGRESS_NOT_HANDLED_PORT >= LOG_LEVEL || TRACE_POINTS)
			if (find_real_server(current_bank(), source, &slot))
				return DECIDE(frame, EGRESS_NOT_HANDLED_PORT, XDP_PASS);
		return DECIDE(frame, UNHANDLED_TRAFFIC, XDP_PASS);
	}

	key = flow_of(ip_destination(frame->ip), frame->udp->dest);
	bank = current_bank();
	known = associations.lookup(&key);
	if (known) {
		stale = read_association(known);
		associated = real_server_of(bank, stale);
		is_its_client = associated && same_address(real_server_address(associated), source);
	}
	server = is_its_client ? associated : find_real_server(bank, source, &slot);
	if (!server)
		return DECIDE(frame, UNHANDLED_TRAFFIC, XDP_PASS);
	if (!lengths_agree(frame))
		return DECIDE(frame, INVALID_UDP_SIZE, XDP_DROP);
	if (!is_its_client) {
		if (associated)
			return DECIDE(frame, EGRESS_NOT_AUTHORIZED, XDP_DROP);
		if (!is_answerable(ip_destination(frame->ip), frame->udp->dest))
			return DECIDE(frame, UNHANDLED_TRAFFIC, XDP_PASS);
	}
	if (!is_sendable(frame))
		return DECIDE(frame, UNHANDLED_TRAFFIC, XDP_PASS);
	if (ip_lifetime(frame->ip) <= 1)
		return DECIDE(frame, LIFETIME_EXPIRED, XDP_DROP);
	if (is_its_client)
		return egress_send(frame, server, false);

	fresh = associate(slot, server);
	if (set_association(&key, known, stale, &fresh))
		return egress_send(frame, server, true);
	associated = real_server_of(bank, fresh);
	if (!associated)
		return DECIDE(frame, EGRESS_CANNOT_CREATE_ASSO, XDP_DROP);
	if (associated != server)
		return DECIDE(frame, EGRESS_NOT_AUTHORIZED, XDP_DROP);
	return egress_send(frame, server, false);
}

int ulb(struct xdp_md *ctx)
{
	struct frame frame = {};

	if (!parse_eth(ctx, &frame)) {
		frame.eth = 0;
		return DECIDE(&frame, INVALID_ETH_SIZE, XDP_DROP);
	}
	if (eth_protocol(frame.eth) != VIRTUAL_SERVER_ETHERTYPE)
#if IPV6
		return DECIDE(&frame, NOT_IP_V6, XDP_PASS);
#else
		return DECIDE(&frame, NOT_IP_V4, XDP_PASS);
#endif
	if (!parse_ip(&frame))
		return DECIDE(&frame, INVALID_IP_SIZE, XDP_DROP);
#if !IPV6
	if (frame.ip->ihl < 5)
		return DECIDE(&frame, TOO_SMALL_IP_HEADER, XDP_DROP);
#endif
	if (ip_protocol(frame.ip) != IPPROTO_UDP)
		return DECIDE(&frame, NOT_UDP, XDP_PASS);
#if !IPV6
	if (frame.ip->ihl > 5)
		return DECIDE(&frame, TOO_BIG_IP_HEADER, XDP_PASS);
	if (frame.ip->frag_off & IP_FRAGMENTED)
		return DECIDE(&frame, FRAGMENTED_IP_PACKET, XDP_PASS);
#endif
	if (ip_lifetime(frame.ip) == 0)
		return DECIDE(&frame, LIFETIME_EXPIRED, XDP_DROP);
	if (!parse_udp(&frame))
		return DECIDE(&frame, INVALID_UDP_SIZE, XDP_DROP);
	if (!VIRTUAL_SERVER_CONFIGURED)
		return DECIDE(&frame, NO_VIRTUAL_SERVER, XDP_PASS);
	if (is_virtual_server(ip_destination(frame.ip)))
		return ingress(&frame);
	return egress(&frame);
}

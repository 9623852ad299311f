/* The packet path: from the frame to the family, from the family to the direction. Each row of the
 * packet table is one DECIDE. What is not mentioned here is the kernel's. */
#include "settings.h"
#include "tables.h"
#include "ethernet.h"
#include "ip.h"
#include "udp.h"
#include "virtual_servers.h"
#include "events.h"
#include "ingress.h"
#include "egress.h"

static __always_inline int of_family(struct frame *frame, const enum family family,
				     struct unsettled_client *unsettled)
{
	__u32 row;

	frame->family = family;
	if (!read_ip(frame))
		return DECIDE(frame, INVALID_IP_SIZE, XDP_DROP);
	if (family == IPV4 && !has_usual_header(frame) && frame->ipv4->ihl < IP_HEADER_WORDS)
		return DECIDE(frame, TOO_SMALL_IP_HEADER, XDP_DROP);
	if (ip_protocol(frame) != IPPROTO_UDP)
		return DECIDE(frame, NOT_UDP, XDP_PASS);
	if (family == IPV4 && !has_usual_header(frame) && frame->ipv4->ihl > IP_HEADER_WORDS)
		return DECIDE(frame, TOO_BIG_IP_HEADER, XDP_PASS);
	if (family == IPV4 && frame->ipv4->frag_off & IP_FRAGMENTED)
		return DECIDE(frame, FRAGMENTED_IP_PACKET, XDP_PASS);
	if (ip_lifetime(frame) == 0)
		return DECIDE(frame, LIFETIME_EXPIRED, XDP_DROP);
	if (!read_udp(frame))
		return DECIDE(frame, INVALID_UDP_SIZE, XDP_DROP);
	/* Once for all rows: what compares addresses is long. */
	if (FOLLOWED) {
		const __u64 unknown = frame->udp->len;

		frame->is_followed = is_followed(frame);
		FORGET(frame->is_followed, unknown);
	}
	if (VIRTUAL_SERVERS(family) == 0)
		return DECIDE(frame, NO_VIRTUAL_SERVER, XDP_PASS);
	row = row_of_address(family, ip_destination(frame));
	if (row != NO_ROW)
		return ingress(frame, row, unsettled);
	return egress(frame, unsettled);
}

static __always_inline int of_unsettled(struct frame *frame, struct unsettled_client *client)
{
	bool is_new = false;
	struct real_server *server = settle(frame, client, &is_new);

	if (client->is_sender)
		return ingress_of_unsettled(frame, client, server, is_new);
	return egress_to_unsettled(frame, client, server, is_new);
}

static __always_inline int decide(struct frame *frame)
{
	/* Set, as the verifier lets nothing be copied that is not: not even what nobody reads. */
	struct unsettled_client unsettled = {};
	int decision = IS_UNSETTLED;

	if (!read_ethernet(frame))
		return DECIDE(frame, INVALID_ETH_SIZE, XDP_DROP);
	switch (ethertype(frame->ethernet)) {
#if HAS_IPV4
	case __constant_htons(ETH_P_IP):
		decision = of_family(frame, IPV4, &unsettled);
		break;
#endif
#if HAS_IPV6
	case __constant_htons(ETH_P_IPV6):
		decision = of_family(frame, IPV6, &unsettled);
		break;
#endif
	default:
		/* Where both families are balanced, it is neither's. */
#if HAS_IPV4
		return DECIDE(frame, NOT_IP_V4, XDP_PASS);
#else
		return DECIDE(frame, NOT_IP_V6, XDP_PASS);
#endif
	}
	if (decision == IS_UNSETTLED)
		return of_unsettled(frame, &unsettled);
	if (decision == IS_NOT_HANDLED)
		return not_handled(frame);
	return decision;
}

int ulb(struct xdp_md *ctx)
{
	struct frame frame = first_of(ctx);
	int decision = decide(&frame);

	report_followed(&frame, EVENT_OF(decision));
	if (!IS_COUNTED(decision))
		count_event(&frame, EVENT_OF(decision));
	return VERDICT_OF(decision);
}

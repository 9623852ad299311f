/* The packet path: from the frame to the family, from the family to the direction. Each row of the
 * packet table is one DECIDE. What is not mentioned here is the kernel's. */
#include "settings.h"
#include "ethernet.h"
#include "ip.h"
#include "udp.h"
#include "virtual_servers.h"
#include "events.h"
#include "ingress.h"
#include "egress.h"

int ulb(struct xdp_md *ctx)
{
	struct frame frame = first_of(ctx);

	if (!read_ethernet(&frame))
		return DECIDE(&frame, INVALID_ETH_SIZE, XDP_DROP);
	if (ethertype(frame.ethernet) != ETHERTYPE_OF_FAMILY)
#if IPV6
		return DECIDE(&frame, NOT_IP_V6, XDP_PASS);
#else
		return DECIDE(&frame, NOT_IP_V4, XDP_PASS);
#endif
	if (!read_ip(&frame))
		return DECIDE(&frame, INVALID_IP_SIZE, XDP_DROP);
#if !IPV6
	if (!has_usual_header(&frame) && frame.ip->ihl < IP_HEADER_WORDS)
		return DECIDE(&frame, TOO_SMALL_IP_HEADER, XDP_DROP);
#endif
	if (ip_protocol(frame.ip) != IPPROTO_UDP)
		return DECIDE(&frame, NOT_UDP, XDP_PASS);
#if !IPV6
	if (!has_usual_header(&frame) && frame.ip->ihl > IP_HEADER_WORDS)
		return DECIDE(&frame, TOO_BIG_IP_HEADER, XDP_PASS);
	if (frame.ip->frag_off & IP_FRAGMENTED)
		return DECIDE(&frame, FRAGMENTED_IP_PACKET, XDP_PASS);
#endif
	if (ip_lifetime(frame.ip) == 0)
		return DECIDE(&frame, LIFETIME_EXPIRED, XDP_DROP);
	if (!read_udp(&frame))
		return DECIDE(&frame, INVALID_UDP_SIZE, XDP_DROP);
	if (!VIRTUAL_SERVER_CONFIGURED)
		return DECIDE(&frame, NO_VIRTUAL_SERVER, XDP_PASS);
	if (is_virtual_server(ip_destination(frame.ip)))
		return ingress(&frame);
	return egress(&frame);
}

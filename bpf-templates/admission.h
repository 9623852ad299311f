/* Who may become a client. Asked only where an association would be made. */
#pragma once

#include "address.h"

/* Whether anything could be sent to this address outside of the link and the machine itself. */
static __always_inline bool is_unicast(const struct ip_address *address)
{
#if IPV6
	__u32 first = __constant_ntohl(address->word[0]);

	if (first >> 24 == 0xff || first >> 22 == 0xfe80 >> 6) /* multicast, link-local */
		return false;
	if (first || address->word[1])
		return true;
	/* Unspecified and loopback; IPv4-mapped (RFC 4291, 2.5.2 to 2.5.5). */
	if (!address->word[2])
		return __constant_ntohl(address->word[3]) > 1;
	return address->word[2] != __constant_htonl(0xffff);
#else
	__u32 number = __constant_ntohl(address->word[0]);

	/* Unspecified, loopback, multicast, limited broadcast (RFC 6890, RFC 1112). */
	return number && number >> 24 != 127 && number >> 28 != 14 && number != 0xffffffff;
#endif
}

/*
 * Whether a client of this address and port can be answered. Were the virtual server itself one,
 * real servers that answer anything would talk to each other through the director without end.
 */
static __always_inline bool is_answerable(const struct ip_address *client, __be16 port)
{
	return port && is_unicast(client) && !is_virtual_server(client);
}

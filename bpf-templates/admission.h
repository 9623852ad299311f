/* Who may become a client. Asked only where an association would be made. */
#pragma once

#include "virtual_servers.h"

/*
 * Whether a client of this address and port can be answered. Were a virtual server itself one,
 * real servers that answer anything would talk to each other through the director without end.
 */
static __always_inline bool is_answerable(enum family family, const struct ip_address *client,
					  __be16 port)
{
	return port && is_unicast(family, client) && !is_virtual_server(family, client);
}

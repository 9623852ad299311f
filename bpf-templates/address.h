/* IP addresses of either family: where they stand in a header, and whether they are the same. */
#pragma once

#include "parse.h"
#include "tables.h"

static __always_inline struct ip_address *ip_source(struct ip_header *ip)
{
	return (struct ip_address *)&ip->saddr;
}

static __always_inline struct ip_address *ip_destination(struct ip_header *ip)
{
	return (struct ip_address *)&ip->daddr;
}

static __always_inline struct ip_address *real_server_address(struct real_server *server)
{
	return (struct ip_address *)&server->address;
}

static __always_inline bool same_address(const struct ip_address *a, const struct ip_address *b)
{
#if IPV6
	return a->word[3] == b->word[3] && a->word[2] == b->word[2] && a->word[1] == b->word[1] &&
	       a->word[0] == b->word[0];
#else
	return a->word[0] == b->word[0];
#endif
}

static __always_inline bool is_virtual_server(const struct ip_address *address)
{
	const struct ip_address virtual_server = {VIRTUAL_SERVER};

	return same_address(address, &virtual_server);
}

/* What is balanced: the virtual server's address and its UDP ports. */
#pragma once

#include "ip.h"
#include "tables.h"

static __always_inline bool is_virtual_server(const struct ip_address *address)
{
	const struct ip_address virtual_server = {VIRTUAL_SERVER};

	return same_address(address, &virtual_server);
}

static __always_inline bool is_balanced_port(__be16 port)
{
#if PORTS_IN_BITMAP
	__u32 number = __constant_ntohs(port);
	__u32 index = number / 64;
	__u64 *word = ports.lookup(&index);

	return word && (*word >> (number % 64)) & 1;
#else
#define BALANCED_PORT(number) case __constant_htons(number):
	switch (port) {
		FOR_EACH_PORT(BALANCED_PORT)
		return true;
	default:
		return false;
	}
#undef BALANCED_PORT
#endif
}

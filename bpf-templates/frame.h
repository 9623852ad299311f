/*
 * A frame, and the cursor that walks its headers. Each step, read_ethernet, read_ip and read_udp,
 * checks its own bounds: it sets its header and goes behind it, or says false and leaves all as it
 * was. So a header that was not reached is null. What a header means is decided elsewhere.
 *
 * No function stands here: tables may follow, see tables.h.
 *
 * A frame knows its family and its virtual server as soon as they are found out. The family is a
 * constant wherever it is asked: what is of the other one is not compiled in.
 */
#pragma once

#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/udp.h>

#include "layout.h"
#include "settings.h"

/* The families, by the version in their headers; none where no IP header was reached. */
enum family { NO_FAMILY = 0, IPV4 = 4, IPV6 = 6 };

/* An address of either family: of an IPv4 address the first word alone is there. */
#define ip_address ip_address_v6

struct frame {
	void *next; /* behind the last header that was reached */
	const void *start, *end;
	struct ethhdr *ethernet;
	union {
		void *ip;
		struct iphdr *ipv4;
		struct ipv6hdr *ipv6;
	};
	struct udphdr *udp;
	enum family family;
	__u64 is_followed;    /* whether its client is; 0 as long as no port was reached */
	__u32 virtual_server; /* its number, or NO_VIRTUAL_SERVER_NUMBER */
};

/* What LLVM is to take as it is, and to work out nothing from. */
#define OPAQUE(x) asm volatile("" : "+r"(x))

/*
 * Has the verifier forget what it knows of a number, by one of which it knows nothing. It would
 * follow each way that led to it apart, and all that comes after it with each of them.
 */
#define FORGET(x, unknown)                                                                         \
	do {                                                                                       \
		x ^= unknown;                                                                      \
		OPAQUE(x);                                                                         \
		x ^= unknown;                                                                      \
	} while (0)

/*
 * What is fixed for the life of the program: every placeholder of the template is in this file.
 * Rendered by ulb from its command line and configuration file.
 */
#pragma once

#define IPV6 0 /* the family of 10.40.0.1 */

/* The virtual server's address in network byte order, from the most significant word on. */
#define VIRTUAL_SERVER_CONFIGURED 1
#define VIRTUAL_SERVER                                                                             \
	{                                                                                          \
		__constant_htonl(0x0a280001) \
	}

/* The balanced UDP ports: comparisons for a few, a bitmap for many. */
#define MAX_PORTS 16u
#define PORT_COUNT 2
_Static_assert(PORT_COUNT <= MAX_PORTS, "see option -mp");
#define PORTS_IN_BITMAP 0
#define FOR_EACH_PORT(CASE) CASE(5683) CASE(5684)

/* Sizes of the tables. */
#define MAX_REAL_SERVERS 32
#define REAL_SERVER_SLOTS 64
#define MAX_ASSOCIATIONS 1048576
#define CREATED_ASSOCIATIONS 1048576 /* fewer where others' tables are used */
#define EVENT_PAGES 64

/* Events below this level are not compiled in. */
#define LOG_LEVEL 40 /* ERROR */
#define TRACE_POINTS 0
#define TRACE_TAG "ulb: "

/* The events: codes and levels. */
#define EVENT_INVALID_ETH_SIZE 1
#define LEVEL_INVALID_ETH_SIZE 30
#define EVENT_NOT_IP_V4 2
#define LEVEL_NOT_IP_V4 5
#define EVENT_NOT_IP_V6 3
#define LEVEL_NOT_IP_V6 5
#define EVENT_INVALID_IP_SIZE 4
#define LEVEL_INVALID_IP_SIZE 30
#define EVENT_TOO_SMALL_IP_HEADER 5
#define LEVEL_TOO_SMALL_IP_HEADER 30
#define EVENT_NOT_UDP 6
#define LEVEL_NOT_UDP 5
#define EVENT_TOO_BIG_IP_HEADER 7
#define LEVEL_TOO_BIG_IP_HEADER 20
#define EVENT_FRAGMENTED_IP_PACKET 8
#define LEVEL_FRAGMENTED_IP_PACKET 20
#define EVENT_LIFETIME_EXPIRED 9
#define LEVEL_LIFETIME_EXPIRED 30
#define EVENT_INVALID_UDP_SIZE 10
#define LEVEL_INVALID_UDP_SIZE 30
#define EVENT_NO_VIRTUAL_SERVER 11
#define LEVEL_NO_VIRTUAL_SERVER 40
#define EVENT_INGRESS_NOT_HANDLED_PORT 12
#define LEVEL_INGRESS_NOT_HANDLED_PORT 5
#define EVENT_INVALID_CLIENT 13
#define LEVEL_INVALID_CLIENT 30
#define EVENT_INGRESS_CANNOT_CREATE_ASSO 14
#define LEVEL_INGRESS_CANNOT_CREATE_ASSO 40
#define EVENT_INGRESS_NEW_NAT 15
#define LEVEL_INGRESS_NEW_NAT 10
#define EVENT_INGRESS_REUSED_NAT 16
#define LEVEL_INGRESS_REUSED_NAT 10
#define EVENT_EGRESS_NOT_HANDLED_PORT 17
#define LEVEL_EGRESS_NOT_HANDLED_PORT 5
#define EVENT_EGRESS_CANNOT_CREATE_ASSO 18
#define LEVEL_EGRESS_CANNOT_CREATE_ASSO 40
#define EVENT_EGRESS_NEW_NAT 19
#define LEVEL_EGRESS_NEW_NAT 10
#define EVENT_EGRESS_REUSED_NAT 20
#define LEVEL_EGRESS_REUSED_NAT 10
#define EVENT_EGRESS_NOT_AUTHORIZED 21
#define LEVEL_EGRESS_NOT_AUTHORIZED 20
#define EVENT_UNHANDLED_TRAFFIC 22
#define LEVEL_UNHANDLED_TRAFFIC 5

/* The counters: how many, and their keys. */
#define COUNTERS 1
#define COUNTER_EVENTS_LOST 0

/*
 * What is fixed for the life of the program: every placeholder of the template is in this file.
 * Rendered by ulb from its command line and configuration file.
 */
#pragma once

/* The families that have a virtual server, and how many virtual servers of each have an address. */
#define HAS_IPV4 1
#define VIRTUAL_SERVERS_V4 1
#define HAS_IPV6 0
#define VIRTUAL_SERVERS_V6 0

/* The virtual servers: number, name, address. */
/* 0: 10.40.0.1 */

/*
 * Their addresses in network byte order, from the most significant word on: comparisons for a few,
 * a table of cells for many. Each is a row.
 */
#define ADDRESS_CELL_BITS 9
#define ADDRESS_CELLS (1 << ADDRESS_CELL_BITS)
#define ADDRESS_FOLD 0x9e3779b97f4a7c15ULL
#define ADDRESSES_HASHED_V4 0
#define ADDRESS_MULTIPLIER_V4 0x6c576fac43fd007dULL
#define FOR_EACH_ADDRESS_V4(CASE) CASE(0, __constant_htonl(0x0a280001)) 
#define ADDRESSES_HASHED_V6 0
#define ADDRESS_MULTIPLIER_V6 0x6c576fac43fd007dULL
#define FOR_EACH_ADDRESS_V6(CASE) 

/*
 * Their balanced UDP ports, with the numbers of the virtual servers: comparisons for a few, a table
 * of rows for many. ROW_OF_PORTS is that of the ports alone, of all virtual servers of a family.
 */
#define MAX_PORTS 16u
_Static_assert(2 <= MAX_PORTS, "see option -mp");
#define PORT_ROWS 0
#define PORTS_COMPARED_V4 1
#define PORTS_ALIKE_V4 1 /* each virtual server has all of them */
#define ROW_OF_PORTS_V4 0
#define FOR_EACH_PORT_V4(CASE) CASE(5683, 0) CASE(5684, 0) 
#define FOR_EACH_SERVICE_V4(CASE) CASE(0, 5683, 0) CASE(0, 5684, 0) 
#define PORTS_COMPARED_V6 1
#define PORTS_ALIKE_V6 1 /* each virtual server has all of them */
#define ROW_OF_PORTS_V6 0
#define FOR_EACH_PORT_V6(CASE) 
#define FOR_EACH_SERVICE_V6(CASE) 

/* Whether any of them chooses real servers by Maglev, be it under pressure alone. */
#define MAGLEV 1

/*
 * How long after it was answered a client has to send again, in half seconds of which the first may
 * be cut short. 0: there are no classes.
 */
#define PROBATION 2

/*
 * Whether there are lists of clients; whether who is on none is denied; and whether residents are asked
 * for, too.
 */
#define LISTS 0
#define UNLISTED_ARE_DENIED 0
#define STRICT 0

/* Whether packets of real servers have to come from the next hop on the way to these. */
#define VERIFY_GATEWAY 0

/* Sizes of the tables. */
#define MAX_REAL_SERVERS 32
#define MAX_ASSOCIATIONS 1048576
#define REAL_SERVER_SLOTS_V4 64
#define LIKELY_SLOT_BITS_V4 9
#define CREATED_ASSOCIATIONS_V4 1048576 /* fewer where others' tables are used */
#define CREATED_COUNTERS_V4 195 /* likewise; of real servers, in all blocks */
#define REAL_SERVER_SLOTS_V6 1
#define LIKELY_SLOT_BITS_V6 5
#define CREATED_ASSOCIATIONS_V6 1048576 /* fewer where others' tables are used */
#define CREATED_COUNTERS_V6 6 /* likewise; of real servers, in all blocks */
#define ROUND_LINES 4100
#define EVENT_PAGES 64

/*
 * The clients that are followed: how many; ports and addresses. Of whom is followed, a row tells the
 * events of this level itself, and those that rewrite the frame, by the bits of their codes.
 */
#define FOLLOWED 0
#define FOR_EACH_FOLLOWED_V4(CASE) 
#define FOR_EACH_FOLLOWED_V6(CASE) 
#define TOLD_BY_ROWS 0x1dc801u

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
#define EVENT_INGRESS_DENIED 23
#define LEVEL_INGRESS_DENIED 20
#define EVENT_EGRESS_DENIED 24
#define LEVEL_EGRESS_DENIED 20
#define EVENT_EGRESS_UNVERIFIED 25
#define LEVEL_EGRESS_UNVERIFIED 30

/* Counters: 0 to see what they cost. Blocks: the daemon's, and one for each CPU that there can be. */
#define COUNTERS_ON 1
#define COUNTER_BLOCKS 3

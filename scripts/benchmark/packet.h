/*
 * What all drivers have: they write a packet of a client over a frame, have its room checked, and
 * call the program under test with it.
 */
#pragma once

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/udp.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include <stdbool.h>
#include "parameters.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct parameters);
} parameters SEC(".maps");

/* The program under test. */
struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} target SEC(".maps");

/* Where the frame begins; null where it has no room for what write_packet writes. */
static __always_inline void *frame_of(const struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;

	if (data + sizeof(struct ethhdr) + sizeof(struct ipv6hdr) + sizeof(struct udphdr) > end)
		return 0;
	return data;
}

static __always_inline void write_packet(const struct parameters *p, void *data, __u32 flow,
					 bool from_server)
{
	__u16 client_port = bpf_htons(1024 + (flow & 0x7fff));
	__u32 host = flow >> 15;
	struct ethhdr *eth = data;
	struct udphdr *udp;

	__builtin_memset(eth->h_dest, 0x02, 6);
	__builtin_memset(eth->h_source, 0x04, 6);
	if (p->ipv6) {
		struct ipv6hdr *ip = (void *)(eth + 1);
		__u8 *client = (__u8 *)(from_server ? &ip->daddr : &ip->saddr);
		__u8 *other = (__u8 *)(from_server ? &ip->saddr : &ip->daddr);

		eth->h_proto = bpf_htons(ETH_P_IPV6);
		*(__u32 *)ip = bpf_htonl(0x60000000);
		ip->payload_len = bpf_htons(sizeof(*udp) + 4);
		ip->nexthdr = p->protocol;
		ip->hop_limit = 64;
		__builtin_memcpy(client, p->client, 16);
		*(__u32 *)(client + 12) = bpf_htonl(bpf_ntohl(*(__u32 *)(p->client + 12)) + host);
		if (from_server)
			__builtin_memcpy(other, p->real_server, 16);
		else
			__builtin_memcpy(other, p->virtual_server, 16);
		udp = (void *)(ip + 1);
	} else {
		struct iphdr *ip = (void *)(eth + 1);
		__u32 client = bpf_htonl(bpf_ntohl(*(__u32 *)p->client) + host);

		eth->h_proto = bpf_htons(ETH_P_IP);
		*(__u16 *)ip = bpf_htons(0x4500);
		ip->tot_len = bpf_htons(sizeof(*ip) + sizeof(*udp) + 4);
		ip->id = 0;
		ip->frag_off = bpf_htons(0x4000);
		ip->ttl = 64;
		ip->protocol = p->protocol;
		ip->check = 0x1234;
		ip->saddr = from_server ? *(__u32 *)p->real_server : client;
		ip->daddr = from_server ? client : *(__u32 *)p->virtual_server;
		udp = (void *)(ip + 1);
	}
	udp->source = from_server ? p->port : client_port;
	udp->dest = from_server ? client_port : p->port;
	udp->len = bpf_htons(sizeof(*udp) + 4);
	udp->check = 0x4321;
}

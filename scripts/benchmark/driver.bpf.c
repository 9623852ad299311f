/*
 * Writes packets for the programs under test, and the floors that they are compared with.
 *
 * BPF_PROG_TEST_RUN does not restore the frame between repeats: a program that translates addresses
 * would see its own output from the second repeat on. So each packet is written afresh, for the
 * next client, and the program under test is called with it.
 */
#include "packet.h"

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} counter SEC(".maps");

/* Writes the packet of the next client over the frame; false where that cannot be. */
static __always_inline bool next_packet(struct xdp_md *ctx, const struct parameters *p)
{
	__u32 zero = 0, flow;
	__u64 *n = bpf_map_lookup_elem(&counter, &zero);
	void *frame = frame_of(ctx);

	if (!n || !frame)
		return false;
	flow = (__u32)*n;
	*n += p->stride;
	if (p->flows)
		flow %= p->flows;
	write_packet(p, frame, p->first + flow, p->from_server);
	return true;
}

SEC("xdp")
int drive(struct xdp_md *ctx)
{
	__u32 zero = 0;
	const struct parameters *p = bpf_map_lookup_elem(&parameters, &zero);

	if (!p || !next_packet(ctx, p))
		return XDP_ABORTED;
	bpf_tail_call(ctx, &target, 0);
	return XDP_ABORTED;
}

static __always_inline void swap_mac_addresses(struct ethhdr *eth)
{
	__u8 mac[6];

	__builtin_memcpy(mac, eth->h_dest, 6);
	__builtin_memcpy(eth->h_dest, eth->h_source, 6);
	__builtin_memcpy(eth->h_source, mac, 6);
}

/* The first floor, the limit of any program that sends frames back: it knows nothing of a client.
 */
SEC("xdp")
int bounce(struct xdp_md *ctx)
{
	struct ethhdr *eth = (void *)(long)ctx->data;

	if ((void *)(eth + 1) > (void *)(long)ctx->data_end)
		return XDP_DROP;
	swap_mac_addresses(eth);
	return XDP_TX;
}

/*
 * The second floor, the least that a sticky director can do: parse, look the client up in one LRU
 * hash, rewrite address and checksums, both directions. Left out is all that a real one also
 * checks: fragments, options, lifetime, several ports and servers, servers that come and go.
 */
struct client_v4 {
	__u32 address;
	__u16 port, padding;
};
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1 << 20);
	__type(key, struct client_v4);
	__type(value, __u32);
} sticky_v4 SEC(".maps");

struct client_v6 {
	__u32 address[4];
	__u16 port, padding;
};
struct address_v6 {
	__u32 word[4];
};
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1 << 20);
	__type(key, struct client_v6);
	__type(value, struct address_v6);
} sticky_v6 SEC(".maps");

static __always_inline __u16 checksum_update(__u16 check, const __u32 *from, const __u32 *to,
					     int words)
{
	__u64 sum = (__u16)~check;

	for (int i = 0; i < words; i++) {
		sum += (__u32)~from[i];
		sum += to[i];
	}
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return ~sum;
}

static __always_inline int same_v6(const struct address_v6 *a, const struct address_v6 *b)
{
	return a->word[0] == b->word[0] && a->word[1] == b->word[1] && a->word[2] == b->word[2] &&
	       a->word[3] == b->word[3];
}

static __always_inline int sticky_ipv6(void *data, void *end, const struct parameters *p)
{
	struct ethhdr *eth = data;
	struct ipv6hdr *ip = (void *)(eth + 1);
	struct udphdr *udp = (void *)(ip + 1);
	const struct address_v6 *virtual_server = (void *)p->virtual_server, *known;
	struct address_v6 to, *own;
	struct client_v6 client = {};

	if ((void *)(udp + 1) > end || eth->h_proto != bpf_htons(ETH_P_IPV6) ||
	    ip->nexthdr != IPPROTO_UDP)
		return XDP_PASS;
	if (udp->dest == p->port && same_v6((void *)&ip->daddr, virtual_server)) {
		__builtin_memcpy(client.address, &ip->saddr, 16);
		client.port = udp->source;
		own = (void *)&ip->daddr;
		known = bpf_map_lookup_elem(&sticky_v6, &client);
		if (known) {
			to = *known;
		} else {
			to = *(struct address_v6 *)p->real_server;
			bpf_map_update_elem(&sticky_v6, &client, &to, BPF_ANY);
		}
	} else if (udp->source == p->port) {
		__builtin_memcpy(client.address, &ip->daddr, 16);
		client.port = udp->dest;
		own = (void *)&ip->saddr;
		known = bpf_map_lookup_elem(&sticky_v6, &client);
		if (!known)
			bpf_map_update_elem(&sticky_v6, &client, own, BPF_ANY);
		else if (!same_v6(known, own))
			return XDP_DROP;
		to = *virtual_server;
	} else {
		return XDP_PASS;
	}
	udp->check = checksum_update(udp->check, own->word, to.word, 4);
	*own = to;
	ip->hop_limit--;
	swap_mac_addresses(eth);
	return XDP_TX;
}

static __always_inline int sticky_ipv4(void *data, void *end, const struct parameters *p)
{
	struct ethhdr *eth = data;
	struct iphdr *ip = (void *)(eth + 1);
	struct udphdr *udp = (void *)(ip + 1);
	__u32 to, *own, *known;
	struct client_v4 client = {};

	if ((void *)(udp + 1) > end || eth->h_proto != bpf_htons(ETH_P_IP) ||
	    ip->protocol != IPPROTO_UDP)
		return XDP_PASS;
	if (udp->dest == p->port && ip->daddr == *(__u32 *)p->virtual_server) {
		client.address = ip->saddr;
		client.port = udp->source;
		own = &ip->daddr;
		known = bpf_map_lookup_elem(&sticky_v4, &client);
		if (known) {
			to = *known;
		} else {
			to = *(__u32 *)p->real_server;
			bpf_map_update_elem(&sticky_v4, &client, &to, BPF_ANY);
		}
	} else if (udp->source == p->port) {
		client.address = ip->daddr;
		client.port = udp->dest;
		own = &ip->saddr;
		known = bpf_map_lookup_elem(&sticky_v4, &client);
		if (!known)
			bpf_map_update_elem(&sticky_v4, &client, own, BPF_ANY);
		else if (*known != *own)
			return XDP_DROP;
		to = *(__u32 *)p->virtual_server;
	} else {
		return XDP_PASS;
	}
	ip->check = checksum_update(ip->check, own, &to, 1);
	udp->check = checksum_update(udp->check, own, &to, 1);
	*own = to;
	ip->ttl--;
	swap_mac_addresses(eth);
	return XDP_TX;
}

SEC("xdp")
int sticky(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	__u32 zero = 0;
	const struct parameters *p = bpf_map_lookup_elem(&parameters, &zero);

	if (!p)
		return XDP_PASS;
	return p->ipv6 ? sticky_ipv6(data, end, p) : sticky_ipv4(data, end, p);
}

/*
 * End to end: the same packets as frames of a wire, sent out of the gateway's interface toward the
 * director. What comes back is counted and dropped, so that nothing behind the director costs.
 */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} returned SEC(".maps");

SEC("xdp")
int inject(struct xdp_md *ctx)
{
	__u32 zero = 0;
	const struct parameters *p = bpf_map_lookup_elem(&parameters, &zero);
	void *data, *end;

	if (!p || !next_packet(ctx, p))
		return XDP_ABORTED;
	data = (void *)(long)ctx->data;
	end = (void *)(long)ctx->data_end;
	if (data + sizeof(struct ethhdr) + sizeof(struct iphdr) + sizeof(struct udphdr) > end)
		return XDP_ABORTED;
	if (!p->ipv6) {
		/* The kernel's own stack verifies checksums: the header's, and none over UDP. */
		__u16 *header = data + sizeof(struct ethhdr);
		__u32 sum = 0;

		header[5] = 0;
		for (int i = 0; i < 10; i++)
			sum += header[i];
		sum = (sum & 0xffff) + (sum >> 16);
		sum = (sum & 0xffff) + (sum >> 16);
		header[5] = ~sum;
		header[13] = 0;
	}
	__builtin_memcpy(data, p->destination_mac, 6);
	__builtin_memcpy(data + 6, p->source_mac, 6);
	return bpf_redirect(p->interface, 0);
}

SEC("xdp")
int count(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	__u32 zero = 0;
	__u64 *n = bpf_map_lookup_elem(&returned, &zero);

	/* Address resolution goes on. */
	if (data + sizeof(struct ethhdr) + sizeof(struct iphdr) + sizeof(struct udphdr) > end ||
	    ((struct ethhdr *)data)->h_proto == bpf_htons(ETH_P_ARP))
		return XDP_PASS;
	if (n)
		*n += 1;
	return XDP_DROP;
}

char _license[] SEC("license") = "GPL";

/*
 * A flood of forged sources at a director, with packets of known clients among them if asked for;
 * what the director sends on is told apart at the gateway. And the original's way beside ulb: one
 * LRU hash.
 */
#include "packet.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct mixture);
} mixture SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct tally);
} tally SEC(".maps");

/* The real server of each known client, IPv4; 0: none yet. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, MOST_KNOWN);
	__type(key, __u32);
	__type(value, __u32);
} servers SEC(".maps");

/* When the answers of clients that arrive were through the director, ns of CLOCK_MONOTONIC; 0: not
 * yet. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, MOST_SAMPLES);
	__type(key, __u32);
	__type(value, __u64);
} answered_at SEC(".maps");

/* The kernel's own stack verifies the header's checksum, and none over UDP. */
static __always_inline void finish_header(struct iphdr *ip)
{
	struct udphdr *udp = (void *)(ip + 1);
	__u16 *half = (void *)ip;
	__u32 sum = 0;

	ip->check = 0;
	for (int i = 0; i < 10; i++)
		sum += half[i];
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	ip->check = ~sum;
	udp->check = 0;
}

SEC("xdp")
int send_packet(struct xdp_md *ctx)
{
	__u32 zero = 0, number, *server;
	const struct parameters *p = bpf_map_lookup_elem(&parameters, &zero);
	const struct mixture *mix = bpf_map_lookup_elem(&mixture, &zero);
	struct tally *count = bpf_map_lookup_elem(&tally, &zero);
	struct parameters packet;
	void *frame = frame_of(ctx);

	if (!p || !mix || !count || !frame)
		return XDP_ABORTED;
	packet = *p;
	if (mix->known && ++count->turn >= mix->every) {
		count->turn = 0;
		/* Each CPU has known clients of its own. */
		number = (count->known++ * mix->cpus + bpf_get_smp_processor_id()) % mix->known;
		count->sent_known++;
		server = bpf_map_lookup_elem(&servers, &number);
		if (!server)
			return XDP_ABORTED;
		if (mix->phase == ANSWERING)
			*(__u32 *)packet.real_server = *server;
		write_packet(&packet, frame, number, mix->phase == ANSWERING);
	} else {
		/* So has each forged sources. */
		number = count->sent_forged++;
		if (mix->forged > 1)
			number /= mix->forged;
		number = MOST_KNOWN + number * mix->cpus + bpf_get_smp_processor_id();
		write_packet(&packet, frame, number, false);
	}
	if (!p->ipv6)
		finish_header(frame + sizeof(struct ethhdr));
	__builtin_memcpy(frame, p->destination_mac, 6);
	__builtin_memcpy(frame + 6, p->source_mac, 6);
	return bpf_redirect(p->interface, 0);
}

/* What a director has sent on of a known client. */
static __always_inline void note_known(const struct mixture *mix, struct tally *count,
				       const struct iphdr *ip)
{
	const struct udphdr *udp = (const void *)(ip + 1);
	__u32 number = bpf_ntohs(udp->source) - 1024, *server;

	server = bpf_map_lookup_elem(&servers, &number);
	if (!server)
		return;
	if (mix->phase == LEARNING)
		*server = ip->daddr;
	if (*server == ip->daddr)
		count->own++;
	else
		count->other++;
}

static __always_inline void swap_mac_addresses(struct ethhdr *eth)
{
	__u8 mac[6];

	__builtin_memcpy(mac, eth->h_dest, 6);
	__builtin_memcpy(eth->h_dest, eth->h_source, 6);
	__builtin_memcpy(eth->h_source, mac, 6);
}

/* In the place of the real server that a packet is for: sends it back. */
static __always_inline int answer(struct ethhdr *eth, struct iphdr *ip)
{
	struct udphdr *udp = (void *)(ip + 1);
	__u32 address = ip->saddr;
	__u16 port = udp->source;

	ip->saddr = ip->daddr;
	ip->daddr = address;
	udp->source = udp->dest;
	udp->dest = port;
	swap_mac_addresses(eth);
	return XDP_TX;
}

/* Whose answer it is that has come through. */
static __always_inline void note_answer(const struct parameters *p, const struct mixture *mix,
					const struct iphdr *ip)
{
	const struct udphdr *udp = (const void *)(ip + 1);
	__u32 host = bpf_ntohl(ip->daddr) - bpf_ntohl(*(__u32 *)p->client);
	__u32 number = (host << 15) + bpf_ntohs(udp->dest) - 1024 - MOST_KNOWN, sample;
	__u64 *time;

	if (!mix->noted || number % mix->noted)
		return;
	sample = number / mix->noted;
	time = bpf_map_lookup_elem(&answered_at, &sample);
	if (time)
		*time = bpf_ktime_get_ns();
}

/*
 * Stands where the director's packets come out. Those from the flood's network, and to it, end
 * here, so that nothing behind the director costs; all others go on.
 */
SEC("xdp")
int sink(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	__u32 zero = 0;
	const struct parameters *p = bpf_map_lookup_elem(&parameters, &zero);
	const struct mixture *mix = bpf_map_lookup_elem(&mixture, &zero);
	struct tally *count = bpf_map_lookup_elem(&tally, &zero);
	struct ethhdr *eth = data;

	if (!p || !mix || !count)
		return XDP_ABORTED;
	if ((void *)(eth + 1) + sizeof(struct iphdr) + sizeof(struct udphdr) > end)
		return XDP_PASS;
	if (p->ipv6) {
		const struct ipv6hdr *ip = (void *)(eth + 1);

		if (eth->h_proto != bpf_htons(ETH_P_IPV6) || (void *)(ip + 1) > end)
			return XDP_PASS;
		if (*(__u16 *)&ip->saddr != *(__u16 *)p->client)
			return XDP_PASS;
		count->forged++;
	} else {
		struct iphdr *ip = (void *)(eth + 1);

		if (eth->h_proto != bpf_htons(ETH_P_IP))
			return XDP_PASS;
		if (*(__u8 *)&ip->daddr == p->client[0]) {
			count->answers++;
			note_answer(p, mix, ip);
			return XDP_DROP;
		}
		if (*(__u8 *)&ip->saddr != p->client[0])
			return XDP_PASS;
		if (ip->saddr == *(__u32 *)p->client)
			note_known(mix, count, ip);
		else
			count->forged++;
		if (mix->phase == ARRIVING)
			return answer(eth, ip);
	}
	return XDP_DROP;
}

/* The original's way, as far as it matters here: one LRU hash, and real servers in turn. */
struct client {
	__u32 address;
	__u16 port, padding;
};
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1);
	__type(key, struct client);
	__type(value, __u32);
} clients SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} next_turn SEC(".maps");

static __always_inline __u16 checksum_update(__u16 check, __u32 from, __u32 to)
{
	__u64 sum = (__u16)~check;

	sum += (__u32)~from;
	sum += to;
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return ~sum;
}

SEC("xdp")
int one_hash(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	__u32 zero = 0, to, *own, *known, *turn = bpf_map_lookup_elem(&next_turn, &zero);
	const struct parameters *p = bpf_map_lookup_elem(&parameters, &zero);
	struct ethhdr *eth = data;
	struct iphdr *ip = (void *)(eth + 1);
	struct udphdr *udp = (void *)(ip + 1);
	struct client client = {};

	if (!p || !turn || (void *)(udp + 1) > end || eth->h_proto != bpf_htons(ETH_P_IP) ||
	    ip->protocol != IPPROTO_UDP)
		return XDP_PASS;
	if (udp->dest == p->port && ip->daddr == *(__u32 *)p->virtual_server) {
		client.address = ip->saddr;
		client.port = udp->source;
		own = &ip->daddr;
		known = bpf_map_lookup_elem(&clients, &client);
		if (known) {
			to = *known;
		} else {
			/* Real servers are numbered by their third octet. */
			*turn = (*turn + 1) % REAL_SERVERS;
			to = bpf_htonl(bpf_ntohl(*(__u32 *)p->real_server) + (*turn << 8));
			bpf_map_update_elem(&clients, &client, &to, BPF_ANY);
		}
	} else if (udp->source == p->port) {
		client.address = ip->daddr;
		client.port = udp->dest;
		own = &ip->saddr;
		known = bpf_map_lookup_elem(&clients, &client);
		if (!known)
			bpf_map_update_elem(&clients, &client, own, BPF_ANY);
		else if (*known != *own)
			return XDP_DROP;
		to = *(__u32 *)p->virtual_server;
	} else {
		return XDP_PASS;
	}
	ip->check = checksum_update(ip->check, *own, to);
	if (udp->check)
		udp->check = checksum_update(udp->check, *own, to);
	*own = to;
	swap_mac_addresses(eth);
	return XDP_TX;
}

char _license[] SEC("license") = "GPL";

/*
 * Replays a trace of clients through the program under test, and counts those that were new to it:
 * each takes one turn in its round robin, so that the position of that, which this program shares,
 * is another than before the packet.
 */
#include "packet.h"

/* The packets in their order: clients' numbers, and FROM_SERVER and ASKS_FOR_PROOF. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, TRACE_LENGTH);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, __u64);
} trace SEC(".maps");

/* In the place of it stands that of the program under test. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} position SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct progress);
} progress SEC(".maps");

/* Makes a packet's data a HelloVerifyRequest, as far as a director looks at it. */
static __always_inline void ask_for_proof(const struct parameters *p, void *frame)
{
	__u8 *udp = frame + sizeof(struct ethhdr) +
		    (p->ipv6 ? sizeof(struct ipv6hdr) : sizeof(struct iphdr));
	const __u16 length = sizeof(struct udphdr) + 25;

	udp[4] = 0;
	udp[5] = length;
	__builtin_memset(udp + 8, 0, 25);
	udp[8] = 22;
	udp[21] = 3;
	if (p->ipv6)
		((struct ipv6hdr *)(frame + sizeof(struct ethhdr)))->payload_len =
			bpf_htons(length);
	else
		((struct iphdr *)(frame + sizeof(struct ethhdr)))->tot_len =
			bpf_htons(sizeof(struct iphdr) + length);
}

SEC("xdp")
int replay(struct xdp_md *ctx)
{
	__u32 zero = 0, at;
	const struct parameters *p = bpf_map_lookup_elem(&parameters, &zero);
	const __u64 *turn = bpf_map_lookup_elem(&position, &zero), *flow;
	struct progress *so_far = bpf_map_lookup_elem(&progress, &zero);
	void *frame = frame_of(ctx);

	if (!p || !turn || !so_far || !frame || frame + FRAME > (void *)(long)ctx->data_end)
		return XDP_ABORTED;
	so_far->new_clients += *turn != so_far->turn;
	so_far->turn = *turn;
	at = so_far->packets++;
	flow = bpf_map_lookup_elem(&trace, &at);
	if (!flow)
		return XDP_ABORTED;
	write_packet(p, frame, p->first + (__u32)*flow, *flow & FROM_SERVER);
	if (*flow & ASKS_FOR_PROOF)
		ask_for_proof(p, frame);
	bpf_tail_call(ctx, &target, 0);
	return XDP_ABORTED;
}

char _license[] SEC("license") = "GPL";

/*
 * Replays a trace of clients through the program under test, and counts those that were new to it
 * when they sent: its counters, which this program shares, say so. In versions that had none each
 * takes one turn in its round robin, so that the position of that is another than before the
 * packet.
 */
#include "packet.h"
#include "../../bpf-templates/layout/layout.h"

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

/* And of this that of its counters of associations, if there are any: else it has no CPU's block.
 */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct association_counters);
} counters SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct progress);
} progress SEC(".maps");

/* What is another number after each packet of or to a new client. */
static __always_inline __u64 mark(__u64 turn)
{
	__u32 block = CPU_BLOCK(bpf_get_smp_processor_id());
	const struct association_counters *counted = bpf_map_lookup_elem(&counters, &block);

	return counted ? NEW_CLIENTS(counted) : turn;
}

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
	__u64 before;
	struct progress *so_far = bpf_map_lookup_elem(&progress, &zero);
	void *frame = frame_of(ctx);

	if (!p || !turn || !so_far || !frame || frame + FRAME > (void *)(long)ctx->data_end)
		return XDP_ABORTED;
	before = so_far->mark;
	so_far->mark = mark(*turn);
	so_far->new_clients += so_far->is_sender && so_far->mark != before;
	at = so_far->packets++;
	flow = bpf_map_lookup_elem(&trace, &at);
	if (!flow)
		return XDP_ABORTED;
	so_far->is_sender = !(*flow & FROM_SERVER);
	write_packet(p, frame, p->first + (__u32)*flow, *flow & FROM_SERVER);
	if (*flow & ASKS_FOR_PROOF)
		ask_for_proof(p, frame);
	bpf_tail_call(ctx, &target, 0);
	return XDP_ABORTED;
}

char _license[] SEC("license") = "GPL";

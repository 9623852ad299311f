/*
 * Replays a trace of clients through the program under test, and counts those that were new to it:
 * each takes one turn in its round robin, so that the position of that, which this program shares,
 * is another than before the packet.
 */
#include "packet.h"

/* Clients in the order in which their packets come: words, as elements are padded to them. */
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

SEC("xdp")
int replay(struct xdp_md *ctx)
{
	__u32 zero = 0, at;
	const struct parameters *p = bpf_map_lookup_elem(&parameters, &zero);
	const __u64 *turn = bpf_map_lookup_elem(&position, &zero), *flow;
	struct progress *so_far = bpf_map_lookup_elem(&progress, &zero);
	void *frame = frame_of(ctx);

	if (!p || !turn || !so_far || !frame)
		return XDP_ABORTED;
	so_far->new_clients += *turn != so_far->turn;
	so_far->turn = *turn;
	at = so_far->packets++;
	flow = bpf_map_lookup_elem(&trace, &at);
	if (!flow)
		return XDP_ABORTED;
	write_packet(p, frame, p->first + *flow, false);
	bpf_tail_call(ctx, &target, 0);
	return XDP_ABORTED;
}

char _license[] SEC("license") = "GPL";

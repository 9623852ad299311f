/*
 * Lets two CPUs enter a program with a packet of the same new client at the same instant, again and
 * again: who comes first waits for the other.
 */
#include "packet.h"

/* The two that meet. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct visitor);
} visitors SEC(".maps");

/* How often one looks whether the other is there too: some ten microseconds. */
#define LOOKS 8192

SEC("xdp")
int meet(struct xdp_md *ctx)
{
	__u64 entered = bpf_ktime_get_ns(), n;
	__u32 zero = 0, cpu = bpf_get_smp_processor_id() & 1, peer = cpu ^ 1;
	const struct parameters *p = bpf_map_lookup_elem(&parameters, &zero);
	struct visitor *own = bpf_map_lookup_elem(&visitors, &cpu);
	struct visitor *other = bpf_map_lookup_elem(&visitors, &peer);
	void *frame = frame_of(ctx);

	if (!p || !own || !other || !frame)
		return XDP_ABORTED;
	n = own->arrived;
	/* All four pairs of directions in turn. */
	write_packet(p, frame, p->first + n + cpu * p->apart, n >> cpu & 1);
	*(volatile __u64 *)&own->arrived = n + 1;
	for (int i = 0; i < LOOKS; i++) {
		if (*(volatile __u64 *)&other->arrived > n) {
			own->met++;
			break;
		}
	}
	own->waited = bpf_ktime_get_ns() - entered;
	bpf_tail_call(ctx, &target, 0);
	return XDP_ABORTED;
}

char _license[] SEC("license") = "GPL";

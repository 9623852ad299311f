/*
 * Stands in for what libbcc adds to a source, so that editors and clang understand the template as
 * it is. Declares the few names that it uses; is never rendered.
 */
#pragma once

#include <linux/kconfig.h>
#include <linux/bpf.h>

/* A table: libbcc turns calls of its methods into calls of the kernel's helpers. */
#define BPF_TABLE(kind, Key, Leaf, name, size)                                                     \
	extern struct {                                                                            \
		Leaf *(*lookup)(Key *);                                                            \
		int (*insert)(Key *, Leaf *);                                                      \
		int (*update)(Key *, Leaf *);                                                      \
		int (*delete)(Key *);                                                              \
		char has_entries[(size) > 0 ? 1 : -1];                                             \
	} name

/* A table with flags of the kernel's. */
#define BPF_F_TABLE(kind, Key, Leaf, name, size, flags) BPF_TABLE(kind, Key, Leaf, name, size)

/* A ring buffer, its size in pages. */
#define BPF_RINGBUF_OUTPUT(name, pages)                                                            \
	extern struct {                                                                            \
		void *(*ringbuf_reserve)(__u64 size);                                              \
		void (*ringbuf_submit)(void *record, __u64 flags);                                 \
		char is_power_of_two[((pages) & ((pages)-1)) == 0 ? 1 : -1];                       \
	} name

__u64 bpf_ktime_get_ns(void);
__u64 bpf_ktime_get_coarse_ns(void);
__u32 bpf_get_smp_processor_id(void);
int bpf_trace_printk_(const char *format, __u64 format_size, ...);

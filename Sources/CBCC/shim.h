// libbcc's C API and the few calls of libbpf that libbcc has no counterpart for (links).
#pragma once

#include <bcc/bcc_common.h>
#include <bcc/bcc_version.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/if_link.h>
#include <linux/memfd.h>
#include <malloc.h>

// From bcc/libbpf.h, which cannot stand beside bpf/bpf.h in one translation unit everywhere.
int bcc_func_load(void *program, int prog_type, const char *name, const struct bpf_insn *insns,
                  int prog_len, const char *license, unsigned kern_version, int log_level,
                  char *log_buf, unsigned log_buf_size, const char *dev_name, int attach_type);
int bpf_update_elem(int fd, const void *key, const void *value, unsigned long long flags);
int bpf_lookup_elem(int fd, const void *key, void *value);
int bpf_delete_elem(int fd, const void *key);
int bpf_lookup_batch(int fd, __u32 *in_batch, __u32 *out_batch, void *keys, void *values,
                     __u32 *count);
int bpf_update_batch(int fd, const void *keys, const void *values, __u32 *count);
void *bpf_new_ringbuf(int map_fd, int (*sample_cb)(void *ctx, void *data, size_t size), void *ctx);
void bpf_free_ringbuf(struct ring_buffer *rb);
int bpf_consume_ringbuf(struct ring_buffer *rb);

// Hidden from Swift by glibc's feature macros.
int dup3(int oldfd, int newfd, int flags);
int memfd_create(const char *name, unsigned int flags);

// tracefs on a mount that is attached nowhere: nothing is left behind, and it is there in network
// namespaces too, whose /sys hides the system's. A descriptor, or -1 and errno.
#include <linux/membarrier.h>
#include <linux/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

long syscall(long number, ...);

static inline int open_tracefs(void)
{
	int mount, context = (int)syscall(SYS_fsopen, "tracefs", FSOPEN_CLOEXEC);

	if (context < 0)
		return -1;
	if (syscall(SYS_fsconfig, context, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		mount = -1;
	else
		mount = (int)syscall(SYS_fsmount, context, FSMOUNT_CLOEXEC, 0);
	close(context);
	return mount;
}

// Waits for a grace period of RCU. 0, or -1 and errno.
static inline int wait_for_readers(void)
{
	return (int)syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0);
}

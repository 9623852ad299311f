/*
 * Loads an attached program once more from its source, with something changed, over the same
 * tables, and attaches it to another interface of the same namespace: to see what the change costs.
 *
 *   variant NETNS:IFNAME OTHER-IFNAME FIND REPLACEMENT <SOURCE
 *
 * The source is what `ulb --render` prints. BCC_KERNEL_SOURCE is the tree that libbcc compiles
 * against.
 */
#define _GNU_SOURCE
#include <bcc/bcc_common.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "tools.h"

/* Of bcc/libbpf.h, which cannot stand beside bpf/bpf.h. */
int bcc_func_load(void *module, int type, const char *name, const struct bpf_insn *instructions,
		  int length, const char *license, unsigned int kernel_version, int log_level,
		  char *log, unsigned int log_size, const char *device, int attach_type);

#define MOST_SOURCE (1 << 20)

static char *read_source(void)
{
	char *source = calloc(1, MOST_SOURCE);
	size_t length = 0, count;

	while ((count = fread(source + length, 1, MOST_SOURCE - 1 - length, stdin)))
		length += count;
	return source;
}

/* The source with a text, which is there once, replaced. */
static char *changed(const char *source, const char *find, const char *replacement)
{
	const char *at = strstr(source, find);
	char *text;

	if (!at || strstr(at + 1, find))
		fail("the source does not have one “%s”", find);
	if (asprintf(&text, "%.*s%s%s", (int)(at - source), source, replacement,
		     at + strlen(find)) < 0)
		fail("no memory");
	return text;
}

struct match {
	void *module;
	unsigned long long is_shared; /* a bit for each table of the module */
};

/* Makes the module use a table of the program in the place of its own of that name and shape. */
static void use_table(int table, const struct bpf_map_info *info, void *argument)
{
	struct match *match = argument;

	for (size_t i = 0; i < bpf_num_tables(match->module); i++) {
		/* The kernel knows the beginning of a name. */
		if (strncmp(info->name, bpf_table_name(match->module, i), BPF_OBJ_NAME_LEN - 1) ||
		    info->value_size != bpf_table_leaf_size_id(match->module, i) ||
		    info->max_entries != bpf_table_max_entries_id(match->module, i))
			continue;
		if (dup2(table, bpf_table_fd_id(match->module, i)) < 0)
			fail("%s: %s", info->name, strerror(errno));
		match->is_shared |= 1ULL << i;
	}
}

static void attach(const char *where, const char *interface, int program)
{
	const char *colon = strchr(where, ':');
	char path[256];
	int there, index;

	snprintf(path, sizeof(path), "/run/netns/%.*s", (int)(colon - where), where);
	there = open(path, O_RDONLY);
	if (there < 0 || setns(there, CLONE_NEWNET))
		fail("%s: %s", path, strerror(errno));
	index = if_nametoindex(interface);
	if (!index || bpf_xdp_attach(index, program, 1 << 1 /* XDP_FLAGS_SKB_MODE */, NULL))
		fail("%s: %s", interface, strerror(errno));
}

int main(int argc, char **argv)
{
	/* As the attached program is compiled: what differs is to be the source alone. */
	const char *flags[] = {"-fno-strict-aliasing",
			       "-g0",
			       "-Xclang",
			       "-disable-llvm-passes",
			       "-isystem",
			       "/usr/include",
			       "-isystem",
			       "/usr/include/" MULTIARCH};
	struct match match = {0};
	char *source;
	int program;

	if (argc != 5)
		fail("see the first lines of its source for how it is used");
	source = changed(read_source(), argv[3], argv[4]);
	match.module = bpf_module_create_c_from_string(source, 0, flags,
						       sizeof(flags) / sizeof(*flags), true, NULL);
	if (!match.module)
		fail("the source does not compile");
	for_each_table(attached_program(argv[1]), use_table, &match);
	for (size_t i = 0; i < bpf_num_tables(match.module); i++)
		if (!(match.is_shared >> i & 1))
			fail("%s is not the attached program's", bpf_table_name(match.module, i));
	program = bcc_func_load(match.module, BPF_PROG_TYPE_XDP, "ulb",
				bpf_function_start(match.module, "ulb"),
				bpf_function_size(match.module, "ulb"), "GPL",
				bpf_module_kern_version(match.module), 0, NULL, 0, NULL, BPF_XDP);
	if (program < 0)
		fail("the program does not load: %s", strerror(errno));
	attach(argv[1], argv[2], program);
	return 0;
}

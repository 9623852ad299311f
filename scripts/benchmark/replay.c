#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "../../bpf-templates/layout/layout.h"
#include "replay.h"

/* What the kernel keeps of the name association_counters_…: the family is not in it. */
#define COUNTERS "association_cou"

static void keep_counters(int table, const struct bpf_map_info *info, void *found)
{
	if (!strncmp(info->name, COUNTERS, strlen(COUNTERS)) &&
	    info->value_size == sizeof(struct association_counters))
		*(int *)found = dup(table);
}

struct subject load_subject(const char *path, int program)
{
	struct subject subject = {.program = program,
				  .counters = -1,
				  .position = table_of_program(program, "round_position")};
	struct bpf_object *object;

	if (subject.position < 0)
		subject.position = table_of_program(program, "cursor"); /* so called in 1.0.0 */
	if (subject.position < 0)
		fail("the program has no round robin");
	for_each_table(program, keep_counters, &subject.counters);
	object = load_caller(path, program,
			     (struct shared_table[]){{"position", subject.position},
						     {"counters", subject.counters}},
			     2);
	subject.caller = program_of(object, "replay");
	subject.parameters = table_of(object, "parameters");
	subject.progress = table_of(object, "progress");
	subject.trace = mmap(NULL, TRACE_LENGTH * sizeof(__u64), PROT_READ | PROT_WRITE, MAP_SHARED,
			     table_of(object, "trace"), 0);
	if (subject.trace == MAP_FAILED)
		fail("trace: %s", strerror(errno));
	return subject;
}

void set_packets(const struct subject *subject, const struct parameters *p)
{
	__u32 zero = 0;

	bpf_map_update_elem(subject->parameters, &zero, p, 0);
}

/* See replay.bpf.c. The CPU is one that this thread is pinned to. */
static __u64 mark(const struct subject *subject)
{
	__u32 zero = 0, block = CPU_BLOCK(sched_getcpu());
	struct association_counters counters;
	__u64 position = 0;

	if (subject->counters < 0)
		bpf_map_lookup_elem(subject->position, &zero, &position);
	else if (bpf_map_lookup_elem(subject->counters, &block, &counters))
		fail("association counters: %s", strerror(errno));
	else
		position = NEW_CLIENTS(&counters);
	return position;
}

__u32 run_trace(const struct subject *subject, __u32 packets)
{
	struct progress progress = {.mark = mark(subject)};
	unsigned char in[FRAME] = {0};
	LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = in, .data_size_in = FRAME,
		    .repeat = packets);
	__u32 zero = 0;

	bpf_map_update_elem(subject->progress, &zero, &progress, 0);
	if (bpf_prog_test_run_opts(subject->caller, &options))
		fail("test run: %s", strerror(errno));
	if (options.retval != XDP_TX)
		fail("a packet was not sent");
	bpf_map_lookup_elem(subject->progress, &zero, &progress);
	if (progress.packets != packets)
		fail("of %u packets %llu were replayed", packets, progress.packets);
	return progress.new_clients + (progress.is_sender && mark(subject) != progress.mark);
}

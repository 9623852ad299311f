/* Replays packets of clients through an attached program, and tells how many of them were new to
 * it. */
#pragma once

#include "tools.h"

/* The program under test, and what tells of it. */
struct subject {
	int program, caller, parameters, position, progress;
	int counters; /* of its association table; -1 in versions that had none */
	__u64 *trace; /* what the caller reads: TRACE_LENGTH packets */
};

/* Loads replay.bpf.o from a path. */
struct subject load_subject(const char *path, int program);

/* Runs the trace's first packets, on the CPU that the thread is pinned to; how many of those that
 * clients sent found them new to the program. */
__u32 run_trace(const struct subject *subject, __u32 packets);

/* Which packets the numbers of a trace stand for. */
void set_packets(const struct subject *subject, const struct parameters *p);

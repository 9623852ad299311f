/*
 * How long a packet of a new client takes at most while two CPUs come with the same new clients at
 * the same instants, in both directions; and beside it while each comes with its own, which differs
 * in nothing but that they do not wait for each other. Only one real server may be listed: then a
 * packet is dropped only where its client could not be given a place in time.
 *
 *   meeting [OPTIONS] MEETING.o NETNS:IFNAME
 *     -v VIRTUAL-SERVER -r REAL-SERVER -c FIRST-CLIENT, all needed    -p PORT
 *     -n PACKETS of each CPU
 *
 * Each packet is timed alone, by the kernel. Interrupts and a hypervisor's pauses come between as
 * they do with any packet. Prints a line of JSON for each of the two: ns of the median packet, of
 * the slowest one of a hundred, of ten thousand and of all; how many packets were dropped, and of
 * how many the other CPU was there in time.
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "tools.h"

struct run {
	pthread_t thread;
	int cpu, program, error;
	long packets, dropped, others;
	const volatile struct visitor *visitor;
	__u32 *nanoseconds;
};

static void *run(void *argument)
{
	struct run *run = argument;
	unsigned char in[FRAME] = {0};

	pin(run->cpu);
	for (long i = 0; i < run->packets && !run->error; i++) {
		LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = in, .data_size_in = FRAME,
			    .repeat = 1);

		run->error = bpf_prog_test_run_opts(run->program, &options) ? errno : 0;
		run->nanoseconds[i] = options.duration - run->visitor->waited;
		run->dropped += options.retval == XDP_DROP;
		run->others += options.retval != XDP_DROP && options.retval != XDP_TX;
	}
	return NULL;
}

static int by_value(const void *a, const void *b)
{
	__u32 x = *(const __u32 *)a, y = *(const __u32 *)b;

	return (x > y) - (x < y);
}

static void measure(const char *name, const struct bpf_object *object, const struct parameters *p,
		    struct visitor *visitors, long packets)
{
	__u32 *nanoseconds = calloc(2 * packets, sizeof(*nanoseconds)), zero = 0;
	long count = 2 * packets;
	struct run runs[2];

	if (!nanoseconds)
		fail("no memory");
	bpf_map_update_elem(table_of(object, "parameters"), &zero, p, 0);
	memset(visitors, 0, 2 * sizeof(*visitors));
	for (int i = 0; i < 2; i++) {
		runs[i] = (struct run){.cpu = i,
				       .program = program_of(object, "meet"),
				       .packets = packets,
				       .visitor = &visitors[i],
				       .nanoseconds = nanoseconds + i * packets};
		pthread_create(&runs[i].thread, NULL, run, &runs[i]);
	}
	for (int i = 0; i < 2; i++) {
		pthread_join(runs[i].thread, NULL);
		if (runs[i].error)
			fail("test run: %s", strerror(runs[i].error));
		if (runs[i].others)
			fail("%ld packets were neither sent nor dropped", runs[i].others);
	}
	qsort(nanoseconds, count, sizeof(*nanoseconds), by_value);
	printf("{\"clients\": \"%s\", \"packets\": %ld, \"met\": %llu, \"dropped\": %ld, "
	       "\"median\": %u, \"of_100\": %u, \"of_10000\": %u, \"longest\": %u}\n",
	       name, count, visitors[0].met + visitors[1].met, runs[0].dropped + runs[1].dropped,
	       nanoseconds[count / 2], nanoseconds[count - count / 100],
	       nanoseconds[count - count / 10000], nanoseconds[count - 1]);
	fflush(stdout);
	free(nanoseconds);
}

int main(int argc, char **argv)
{
	struct parameters p = default_packets();
	struct bpf_object *object;
	struct visitor *visitors;
	long packets = 1000000;
	int option;

	while ((option = getopt(argc, argv, PACKET_OPTIONS "n:")) != -1) {
		if (option == 'n')
			packets = atol(optarg);
		else if (!take_packet_option(option, optarg, &p))
			return 2;
	}
	if (optind + 2 != argc || packets < 10000)
		fail("see the first lines of its source for how it is used");
	object = load_caller(argv[optind], attached_program(argv[optind + 1]), NULL, 0);
	visitors = mmap(NULL, 2 * sizeof(*visitors), PROT_READ | PROT_WRITE, MAP_SHARED,
			table_of(object, "visitors"), 0);
	if (visitors == MAP_FAILED)
		fail("visitors: %s", strerror(errno));
	p.apart = packets;
	measure("own", object, &p, visitors, packets);
	p.first = 2 * packets;
	p.apart = 0;
	measure("same", object, &p, visitors, packets);
	return 0;
}

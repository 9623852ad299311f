/*
 * Packets a second through directors, end to end: frames are sent out of the gateway's interfaces,
 * and what the directors send back is counted. Run in the gateway's namespace; side by side and
 * interleaved.
 *
 *   throughput [OPTIONS] DRIVER.o NAME=IFNAME,DIRECTOR-MAC…
 *     -v VIRTUAL-SERVER -c FIRST-CLIENT, both needed    -f CLIENTS    -p PORT
 *     -n PACKETS a round   -R ROUNDS   -w MILLISECONDS of rest after each target's turn
 *
 * Prints a line of JSON for each target: packets sent and come back a second in each round.
 */
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "tools.h"

#define MOST_TARGETS 16
#define MOST_ROUNDS  64

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec + time.tv_nsec / 1e9;
}

static __u64 sum(int map)
{
	__u64 values[MOST_CPUS], total = 0;
	__u32 zero = 0;

	bpf_map_lookup_elem(map, &zero, values);
	for (int i = 0; i < libbpf_num_possible_cpus(); i++)
		total += values[i];
	return total;
}

struct target {
	char name[64], interface[IF_NAMESIZE];
	struct parameters parameters;
	double sent[MOST_ROUNDS], returned[MOST_ROUNDS];
};

static int inject, parameters, returned;

static void send_packets(struct target *target, long packets, double *sent_rate,
			 double *returned_rate)
{
	unsigned char in[FRAME] = {0};
	LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = in, .data_size_in = FRAME,
		    .repeat = packets, .flags = BPF_F_TEST_XDP_LIVE_FRAMES, .batch_size = 64);
	__u32 zero = 0;
	__u64 before;
	double start, time;

	bpf_map_update_elem(parameters, &zero, &target->parameters, 0);
	before = sum(returned);
	start = now();
	if (bpf_prog_test_run_opts(inject, &options))
		fail("%s: inject: %s", target->name, strerror(errno));
	time = now() - start;
	*sent_rate = packets / time;
	*returned_rate = (sum(returned) - before) / time;
}

int main(int argc, char **argv)
{
	int option, rounds = 5, rest = 100, count = 0, counter;
	struct parameters p = default_packets();
	static struct target targets[MOST_TARGETS];
	struct bpf_object *object;
	long packets = 1000000;
	double ignored;

	p.flows = 1000;
	while ((option = getopt(argc, argv, PACKET_OPTIONS "f:n:R:w:")) != -1) {
		switch (option) {
		case 'f':
			p.flows = strtoul(optarg, NULL, 10);
			break;
		case 'n':
			packets = atol(optarg);
			break;
		case 'w':
			rest = atoi(optarg);
			break;
		case 'R':
			rounds = atoi(optarg);
			break;
		default:
			if (!take_packet_option(option, optarg, &p))
				return 2;
		}
	}
	if (optind + 1 >= argc || rounds < 1 || rounds > MOST_ROUNDS)
		fail("see the first lines of its source for how it is used");
	/* One CPU sends, and the kernel lets the same one carry the packets through XDP. */
	pin(0);

	object = open_object(argv[optind], BPF_XDP);
	/* Of the floor that keeps clients nothing is used. */
	bpf_map__set_max_entries(bpf_object__find_map_by_name(object, "sticky_v4"), 1);
	bpf_map__set_max_entries(bpf_object__find_map_by_name(object, "sticky_v6"), 1);
	if (bpf_object__load(object))
		fail("%s does not load", argv[optind]);
	inject = program_of(object, "inject");
	counter = program_of(object, "count");
	parameters = table_of(object, "parameters");
	returned = table_of(object, "returned");

	for (int i = optind + 1; i < argc && count < MOST_TARGETS; i++) {
		struct target *target = &targets[count++];
		__u8 *mac = p.destination_mac;

		if (sscanf(argv[i], "%63[^=]=%15[^,],%hhx:%hhx:%hhx:%hhx:%hhx:%hhx", target->name,
			   target->interface, mac, mac + 1, mac + 2, mac + 3, mac + 4,
			   mac + 5) != 8)
			fail("not NAME=IFNAME,MAC: %s", argv[i]);
		p.interface = if_nametoindex(target->interface);
		if (!p.interface)
			fail("no interface %s", target->interface);
		target->parameters = p;
		/* Held by a link of this process: the program goes when it ends, however it does.
		 */
		if (bpf_link_create(counter, p.interface, BPF_XDP, NULL) < 0)
			fail("%s: attach: %s", target->interface, strerror(errno));
	}

	for (int i = 0; i < count; i++) {
		send_packets(&targets[i], packets / 3, &ignored, &ignored);
		usleep(rest * 1000);
	}
	/* There and back, so that no target always comes after the same other one. */
	for (int round = 0; round < rounds; round++) {
		for (int turn = 0; turn < count; turn++) {
			struct target *target = &targets[round % 2 ? count - 1 - turn : turn];

			send_packets(target, packets, &target->sent[round],
				     &target->returned[round]);
			/* What is still under way is not the next target's. */
			usleep(rest * 1000);
		}
	}
	for (int i = 0; i < count; i++) {
		printf("{\"target\": \"%s\", \"sent\": [", targets[i].name);
		for (int round = 0; round < rounds; round++)
			printf("%s%.0f", round ? ", " : "", targets[i].sent[round]);
		printf("], \"returned\": [");
		for (int round = 0; round < rounds; round++)
			printf("%s%.0f", round ? ", " : "", targets[i].returned[round]);
		printf("]}\n");
	}
	return 0;
}

/*
 * What a packet costs in XDP programs that are attached somewhere, measured from outside, side by
 * side and interleaved, with the two floors beside them.
 *
 *   packet-cost [OPTIONS] DRIVER.o NAME=NETNS:IFNAME…
 *     -s SCENARIO[,SCENARIO…]  hot, flows:N, random:N, egress:N, answers:N, new, tcp, other;
 *                              with @N: on one CPU and, in turn, on N at once
 *     -v VIRTUAL-SERVER -r REAL-SERVER -c FIRST-CLIENT, all needed    -p PORT
 *     -n PACKETS a round   -R ROUNDS   -a ENTRIES of the floor's table, and of all that are to be
 *     full before new clients are measured
 *
 * Prints a line of JSON for each scenario and target: ns for a packet on one CPU in each round,
 * what the driver takes included, and the action; with @N also ns that a cache line takes from the
 * first CPU to the last and back. And one of what the floor's table takes.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "tools.h"

#define MOST_TARGETS 16
#define MOST_ROUNDS  64

/* A program array takes only programs of its owner's expected attach type: one driver for each. */
static struct bpf_object *load_driver(const char *path, enum bpf_attach_type type,
				      __u32 entries_ipv4, __u32 entries_ipv6)
{
	struct bpf_object *object = open_object(path, type);

	bpf_map__set_max_entries(bpf_object__find_map_by_name(object, "sticky_v4"), entries_ipv4);
	bpf_map__set_max_entries(bpf_object__find_map_by_name(object, "sticky_v6"), entries_ipv6);
	if (bpf_object__load(object))
		fail("%s does not load", path);
	return object;
}

struct target {
	char name[64];
	int program;
	const struct bpf_object *driver;
};

struct run {
	pthread_t thread;
	int cpu, program, error;
	long packets;
	double nanoseconds;
	__u32 action;
};

/* Time that this thread had a CPU for, in ns: what others take of it meanwhile is not counted. */
static double own_time(void)
{
	struct timespec time;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
	return time.tv_sec * 1e9 + time.tv_nsec;
}

static void *run(void *argument)
{
	struct run *run = argument;
	unsigned char in[FRAME] = {0};
	LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = in, .data_size_in = FRAME,
		    .repeat = run->packets);
	double start;

	pin(run->cpu);
	start = own_time();
	run->error = bpf_prog_test_run_opts(run->program, &options) ? errno : 0;
	/* Not the kernel's own figure: that is in whole ns. */
	run->nanoseconds = (own_time() - start) / run->packets;
	run->action = options.retval;
	return NULL;
}

/* One round: ns for a packet on the slowest of the CPUs. */
static double measure(const struct target *target, const struct parameters *p, long packets,
		      int cpus, __u32 *action)
{
	struct run runs[MOST_CPUS];
	double slowest = 0;
	__u32 zero = 0;

	bpf_map_update_elem(table_of(target->driver, "parameters"), &zero, p, 0);
	if (!call(target->driver, target->program))
		fail("%s cannot be called: %s", target->name, strerror(errno));
	for (int i = 0; i < cpus; i++) {
		runs[i] = (struct run){.cpu = i,
				       .program = program_of(target->driver, "drive"),
				       .packets = packets};
		pthread_create(&runs[i].thread, NULL, run, &runs[i]);
	}
	for (int i = 0; i < cpus; i++) {
		pthread_join(runs[i].thread, NULL);
		if (runs[i].error)
			fail("%s: test run: %s", target->name, strerror(runs[i].error));
		if (runs[i].nanoseconds > slowest)
			slowest = runs[i].nanoseconds;
		*action = runs[i].action;
	}
	return slowest;
}

static void select_scenario(const char *name, struct parameters *p)
{
	const char *colon = strchr(name, ':');
	__u32 number = colon ? strtoul(colon + 1, NULL, 10) : 1;

	if (!strncmp(name, "hot", 3)) {
	} else if (!strncmp(name, "flows", 5)) {
		p->flows = number;
	} else if (!strncmp(name, "random", 6)) {
		p->flows = number;
		p->stride = 2654435761u;
	} else if (!strncmp(name, "answers", 7)) { /* to the clients of flows:N */
		p->flows = number;
		p->from_server = 1;
	} else if (!strncmp(name, "egress", 6)) {
		p->flows = number;
		p->from_server = 1;
		p->first = 0x40000000;
	} else if (!strncmp(name, "new", 3)) {
		p->flows = 0;
		p->first = 0x80000000;
	} else if (!strncmp(name, "tcp", 3)) {
		p->protocol = IPPROTO_TCP;
	} else if (!strncmp(name, "other", 5)) {
		p->port = htons(ntohs(p->port) + 1000);
	} else {
		fail("no such scenario: %s", name);
	}
}

/* Each CPU begins with clients of its own, and goes on from there, from round to round: clients
 * that are to be new stay so, and those of a random order all have their turn. */
static void set_counters(const struct bpf_object *driver, const struct parameters *p)
{
	__u64 starts[MOST_CPUS], clients = p->flows ? p->flows : 1u << 31;
	int possible = libbpf_num_possible_cpus();
	__u32 zero = 0;

	for (int i = 0; i < possible; i++)
		starts[i] = i * clients / possible;
	bpf_map_update_elem(table_of(driver, "counter"), &zero, starts, 0);
}

/* Lets all clients of a scenario come once, in order. Where each is to be a new one, so many come
 * that tables of as many entries are full. */
static void warm_up(const struct target *target, const struct parameters *p, long packets,
		    __u32 entries)
{
	long clients = p->flows ? p->flows : 2L * entries;
	struct parameters in_order = *p;
	__u32 action;

	in_order.stride = 1;
	measure(target, &in_order, clients > packets / 4 ? clients : packets / 4, 1, &action);
}

/* Finds a target's program, and the driver that can call it. */
static struct target find_target(const char *text, struct bpf_object *const *drivers, int count)
{
	struct target target = {0};
	const char *equals = strchr(text, '=');

	if (!equals)
		fail("not NAME=NETNS:IFNAME: %s", text);
	snprintf(target.name, sizeof(target.name), "%.*s", (int)(equals - text), text);
	target.program = attached_program(equals + 1);
	for (int i = 0; i < count && !target.driver; i++)
		if (call(drivers[i], target.program))
			target.driver = drivers[i];
	if (!target.driver)
		fail("%s cannot be called: %s", text, strerror(errno));
	return target;
}

static void print_numbers(const char *name, const double *numbers, int count)
{
	printf(", \"%s\": [", name);
	for (int i = 0; i < count; i++)
		printf("%s%.1f", i ? ", " : "", numbers[i]);
	printf("]");
}

static void print(const char *scenario, const struct target *target, __u32 action,
		  const double *nanoseconds, const double *line, int rounds)
{
	static const char *actions[] = {"ABORTED", "DROP", "PASS", "TX", "REDIRECT"};

	printf("{\"scenario\": \"%s\", \"target\": \"%s\", \"action\": \"%s\"", scenario,
	       target->name, action < 5 ? actions[action] : "?");
	print_numbers("ns", nanoseconds, rounds);
	if (line)
		print_numbers("line", line, rounds);
	printf("}\n");
	fflush(stdout);
}

int main(int argc, char **argv)
{
	char default_scenarios[] = "hot", *scenarios = default_scenarios;
	struct parameters packets_of_all = default_packets();
	struct target targets[MOST_TARGETS] = {0};
	int option, rounds = 5, count = 0;
	struct bpf_object *drivers[2];
	__u32 entries = 1 << 20;
	long packets = 1000000;

	while ((option = getopt(argc, argv, PACKET_OPTIONS "s:n:R:a:")) != -1) {
		switch (option) {
		case 's':
			scenarios = optarg;
			break;
		case 'n':
			packets = atol(optarg);
			break;
		case 'R':
			rounds = atoi(optarg);
			break;
		case 'a':
			entries = strtoul(optarg, NULL, 10);
			break;
		default:
			if (!take_packet_option(option, optarg, &packets_of_all))
				return 2;
		}
	}
	if (optind >= argc || rounds < 1 || rounds > MOST_ROUNDS)
		fail("see the first lines of its source for how it is used");
	/* The floor has one table of its own, and all others the least. */
	drivers[0] = load_driver(argv[optind], 0, 1, 1);
	drivers[1] = load_driver(argv[optind], BPF_XDP, packets_of_all.ipv6 ? 1 : entries,
				 packets_of_all.ipv6 ? entries : 1);
	targets[count++] = (struct target){"bounce", program_of(drivers[1], "bounce"), drivers[1]};
	targets[count++] = (struct target){"sticky", program_of(drivers[1], "sticky"), drivers[1]};
	for (int i = optind + 1; i < argc && count < MOST_TARGETS; i++)
		targets[count++] = find_target(argv[i], drivers, 2);

	for (char *name = strtok(scenarios, ","); name; name = strtok(NULL, ",")) {
		static double ns[2][MOST_TARGETS][MOST_ROUNDS], line[MOST_TARGETS][MOST_ROUNDS];
		struct parameters p = packets_of_all;
		char *at = strchr(name, '@');
		int cpus[2] = {1, at ? atoi(at + 1) : 1}, ways = at ? 2 : 1;
		__u32 action[MOST_TARGETS];

		if (cpus[1] < 1 || cpus[1] > libbpf_num_possible_cpus())
			fail("%s: this machine has %d CPUs", name, libbpf_num_possible_cpus());
		select_scenario(name, &p);
		for (int k = 0; k < 2; k++)
			set_counters(drivers[k], &p);
		for (int t = 0; t < count; t++)
			warm_up(&targets[t], &p, packets, entries);
		/* There and back, so that nothing always comes after the same other. */
		for (int round = 0; round < rounds; round++) {
			for (int turn = 0; turn < ways * count; turn++) {
				int step = round % 2 ? ways * count - 1 - turn : turn;
				int way = step % ways, t = step / ways;

				if (way)
					line[t][round] = line_round_trip(0, cpus[way] - 1);
				ns[way][t][round] =
					measure(&targets[t], &p, packets, cpus[way], &action[t]);
			}
		}
		if (at) {
			for (int t = 0; t < count; t++)
				print(name, &targets[t], action[t], ns[1][t], line[t], rounds);
			*at = 0;
		}
		for (int t = 0; t < count; t++)
			print(name, &targets[t], action[t], ns[0][t], NULL, rounds);
	}
	printf("{\"target\": \"sticky\", \"bytes\": %llu}\n",
	       memory_of(table_of(drivers[1], packets_of_all.ipv6 ? "sticky_v6" : "sticky_v4")));
	return 0;
}

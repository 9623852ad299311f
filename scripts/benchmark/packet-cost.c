/*
 * What a packet costs in XDP programs that are attached somewhere, measured from outside, side by
 * side and interleaved, with the two floors beside them.
 *
 *   packet-cost [OPTIONS] DRIVER.o NAME=NETNS:IFNAME…
 *     -s SCENARIO[,SCENARIO…]  hot, flows:N, random:N, egress:N, new, tcp, other;
 *                              with @N: on N CPUs at once
 *     -v VIRTUAL-SERVER -r REAL-SERVER -c FIRST-CLIENT, all needed    -p PORT    -6 for IPv6
 *     -n PACKETS a round   -R ROUNDS   -a ENTRIES of the floor's table   -x leaves the floors out
 *
 * Prints a line of JSON for each scenario and target: ns for a packet on one CPU in each round,
 * what the driver takes included, and the action.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "parameters.h"

#define MOST_TARGETS 16
#define MOST_ROUNDS  64
#define MOST_CPUS    256

static void fail(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	fprintf(stderr, "packet-cost: ");
	vfprintf(stderr, format, arguments);
	fprintf(stderr, "\n");
	va_end(arguments);
	exit(1);
}

/* A program array takes only programs of its owner's expected attach type. Loaders differ in it. */
struct driver {
	int drive, bounce, sticky, parameters, counter, target;
};

static int program(const struct bpf_object *object, const char *name)
{
	return bpf_program__fd(bpf_object__find_program_by_name(object, name));
}

static struct driver load_driver(const char *path, enum bpf_attach_type type, __u32 entries)
{
	struct bpf_object *object = bpf_object__open_file(path, NULL);
	struct bpf_program *each;
	struct driver driver;

	if (!object)
		fail("%s does not open: %s", path, strerror(errno));
	bpf_object__for_each_program(each, object)
		bpf_program__set_expected_attach_type(each, type);
	bpf_map__set_max_entries(bpf_object__find_map_by_name(object, "sticky_v4"), entries);
	bpf_map__set_max_entries(bpf_object__find_map_by_name(object, "sticky_v6"), entries);
	if (bpf_object__load(object))
		fail("%s does not load", path);
	driver.drive = program(object, "drive");
	driver.bounce = program(object, "bounce");
	driver.sticky = program(object, "sticky");
	driver.parameters = bpf_object__find_map_fd_by_name(object, "parameters");
	driver.counter = bpf_object__find_map_fd_by_name(object, "counter");
	driver.target = bpf_object__find_map_fd_by_name(object, "target");
	return driver;
}

struct target {
	char name[64];
	int program;
	struct driver *driver;
};

static int attached_program(const char *where)
{
	char path[256], *interface = strchr(where, ':');
	LIBBPF_OPTS(bpf_xdp_query_opts, query);
	int home, there, index, error;

	if (!interface)
		return -1;
	snprintf(path, sizeof(path), "/run/netns/%.*s", (int)(interface - where), where);
	home = open("/proc/self/ns/net", O_RDONLY);
	there = open(path, O_RDONLY);
	if (there < 0 || setns(there, CLONE_NEWNET))
		return -1;
	index = if_nametoindex(interface + 1);
	error = index ? bpf_xdp_query(index, 0, &query) : -1;
	setns(home, CLONE_NEWNET);
	close(home);
	close(there);
	return error || !query.prog_id ? -1 : bpf_prog_get_fd_by_id(query.prog_id);
}

struct run {
	pthread_t thread;
	int cpu, program, error;
	long packets;
	__u32 nanoseconds, action;
};

static void *run(void *argument)
{
	struct run *run = argument;
	unsigned char in[128] = {0}, out[256];
	LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = in, .data_size_in = FRAME,
		    .data_out = out, .data_size_out = sizeof(out), .repeat = run->packets);
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(run->cpu, &set);
	sched_setaffinity(0, sizeof(set), &set);
	run->error = bpf_prog_test_run_opts(run->program, &options) ? errno : 0;
	run->nanoseconds = options.duration;
	run->action = options.retval;
	return NULL;
}

/* One round: ns for a packet on the slowest of the CPUs. */
static __u32 measure(const struct target *target, const struct parameters *p, long packets,
		     int cpus, __u32 *action)
{
	static __u64 starts[MOST_CPUS];
	int possible = libbpf_num_possible_cpus();
	struct run runs[MOST_CPUS];
	__u32 zero = 0, worst = 0;

	/* Clients that are to be new stay so: their numbers go on from round to round. */
	for (int i = 0; i < possible; i++)
		starts[i] = (__u64)i * p->flows / possible;
	if (p->flows)
		bpf_map_update_elem(target->driver->counter, &zero, starts, 0);
	bpf_map_update_elem(target->driver->parameters, &zero, p, 0);
	if (bpf_map_update_elem(target->driver->target, &zero, &target->program, 0))
		fail("%s cannot be called: %s", target->name, strerror(errno));
	for (int i = 0; i < cpus; i++) {
		runs[i] = (struct run){
			.cpu = i, .program = target->driver->drive, .packets = packets};
		pthread_create(&runs[i].thread, NULL, run, &runs[i]);
	}
	for (int i = 0; i < cpus; i++) {
		pthread_join(runs[i].thread, NULL);
		if (runs[i].error)
			fail("%s: test run: %s", target->name, strerror(runs[i].error));
		if (runs[i].nanoseconds > worst)
			worst = runs[i].nanoseconds;
		*action = runs[i].action;
	}
	return worst;
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

int main(int argc, char **argv)
{
	const char *virtual_server = NULL, *real_server = NULL, *client = NULL;
	static const char *actions[] = {"ABORTED", "DROP", "PASS", "TX", "REDIRECT"};
	char default_scenarios[] = "hot", *scenarios = default_scenarios;
	int option, port = 5683, rounds = 5, floors = 1, count = 0, family;
	__u32 ipv6 = 0, entries = 1 << 20, zero = 0;
	struct target targets[MOST_TARGETS] = {0};
	struct driver drivers[2];
	long packets = 1000000;

	while ((option = getopt(argc, argv, "s:v:r:c:p:6n:R:a:x")) != -1) {
		switch (option) {
		case 's':
			scenarios = optarg;
			break;
		case 'v':
			virtual_server = optarg;
			break;
		case 'r':
			real_server = optarg;
			break;
		case 'c':
			client = optarg;
			break;
		case 'p':
			port = atoi(optarg);
			break;
		case '6':
			ipv6 = 1;
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
		case 'x':
			floors = 0;
			break;
		default:
			return 2;
		}
	}
	if (optind >= argc || rounds < 1 || rounds > MOST_ROUNDS || !virtual_server ||
	    !real_server || !client)
		fail("see the first lines of its source for how it is used");
	drivers[0] = load_driver(argv[optind], 0, entries);
	drivers[1] = load_driver(argv[optind], BPF_XDP, entries);
	if (floors) {
		targets[count++] = (struct target){"bounce", drivers[1].bounce, &drivers[1]};
		targets[count++] = (struct target){"sticky", drivers[1].sticky, &drivers[1]};
	}
	for (int i = optind + 1; i < argc && count < MOST_TARGETS; i++) {
		struct target *target = &targets[count++];
		char *equals = strchr(argv[i], '=');

		if (!equals)
			fail("not NAME=NETNS:IFNAME: %s", argv[i]);
		snprintf(target->name, sizeof(target->name), "%.*s", (int)(equals - argv[i]),
			 argv[i]);
		target->program = attached_program(equals + 1);
		if (target->program < 0)
			fail("no XDP program at %s", equals + 1);
		for (int k = 0; k < 2 && !target->driver; k++)
			if (!bpf_map_update_elem(drivers[k].target, &zero, &target->program, 0))
				target->driver = &drivers[k];
		if (!target->driver)
			fail("%s cannot be called: %s", argv[i], strerror(errno));
	}

	family = ipv6 ? AF_INET6 : AF_INET;
	for (char *name = strtok(scenarios, ","); name; name = strtok(NULL, ",")) {
		struct parameters p = {.flows = 1,
				       .stride = 1,
				       .ipv6 = ipv6,
				       .protocol = IPPROTO_UDP,
				       .port = htons(port)};
		const char *at = strchr(name, '@');
		int cpus = at ? atoi(at + 1) : 1;
		static __u32 ns[MOST_TARGETS][MOST_ROUNDS];
		static const __u64 from_zero[MOST_CPUS];
		__u32 action[MOST_TARGETS];

		if (cpus < 1 || cpus > libbpf_num_possible_cpus())
			fail("%s: this machine has %d CPUs", name, libbpf_num_possible_cpus());
		inet_pton(family, virtual_server, p.virtual_server);
		inet_pton(family, real_server, p.real_server);
		inet_pton(family, client, p.client);
		select_scenario(name, &p);
		for (int k = 0; k < 2; k++)
			bpf_map_update_elem(drivers[k].counter, &zero, from_zero, 0);
		for (int t = 0; t < count; t++) {
			/* Each client is known before the first round. */
			long warming = p.flows * 2L > packets / 4 ? p.flows * 2L : packets / 4;

			measure(&targets[t], &p, warming, cpus, &action[t]);
		}
		/* There and back, so that no target always comes after the same other one. */
		for (int round = 0; round < rounds; round++) {
			for (int turn = 0; turn < count; turn++) {
				int t = round % 2 ? count - 1 - turn : turn;

				ns[t][round] = measure(&targets[t], &p, packets, cpus, &action[t]);
			}
		}
		for (int t = 0; t < count; t++) {
			printf("{\"scenario\": \"%s\", \"target\": \"%s\", \"action\": \"%s\", "
			       "\"ns\": [",
			       name, targets[t].name, action[t] < 5 ? actions[action[t]] : "?");
			for (int round = 0; round < rounds; round++)
				printf("%s%u", round ? ", " : "", ns[t][round]);
			printf("]}\n");
		}
		fflush(stdout);
	}
	return 0;
}

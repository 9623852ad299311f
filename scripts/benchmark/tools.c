/* See tools.h. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "tools.h"

#define MOST_TABLES 64

void fail(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	fprintf(stderr, "%s: ", program_invocation_short_name);
	vfprintf(stderr, format, arguments);
	fprintf(stderr, "\n");
	va_end(arguments);
	exit(1);
}

void pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		fail("CPU %d: %s", cpu, strerror(errno));
}

/* A cache line that goes to and fro: odd when it is on its way there. */
#define TRIPS	    4000
#define TRIPS_TIMED 100

struct line {
	_Alignas(128) atomic_long trips;
	int cpu;
};

static void *send_back(void *argument)
{
	struct line *line = argument;

	pin(line->cpu);
	for (long i = 0; i < TRIPS; i++) {
		while (atomic_load(&line->trips) != 2 * i + 1)
			;
		atomic_store(&line->trips, 2 * i + 2);
	}
	return NULL;
}

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1e9 + time.tv_nsec;
}

double line_round_trip(int first, int second)
{
	struct line line = {.cpu = second};
	double least = 1e9, start;
	cpu_set_t before;
	pthread_t thread;

	sched_getaffinity(0, sizeof(before), &before);
	pthread_create(&thread, NULL, send_back, &line);
	pin(first);
	start = now();
	for (long i = 0; i < TRIPS; i++) {
		atomic_store(&line.trips, 2 * i + 1);
		while (atomic_load(&line.trips) != 2 * i + 2)
			;
		if (i % TRIPS_TIMED == TRIPS_TIMED - 1) {
			double end = now();

			if (end - start < least)
				least = end - start;
			start = end;
		}
	}
	pthread_join(thread, NULL);
	sched_setaffinity(0, sizeof(before), &before);
	return least / TRIPS_TIMED;
}

struct parameters default_packets(void)
{
	return (struct parameters){
		.flows = 1, .stride = 1, .protocol = IPPROTO_UDP, .port = htons(5683)};
}

static void take_address(const char *text, __u8 *address, struct parameters *p)
{
	p->ipv6 = !!strchr(text, ':');
	if (inet_pton(p->ipv6 ? AF_INET6 : AF_INET, text, address) != 1)
		fail("no address: %s", text);
}

bool take_packet_option(int option, const char *value, struct parameters *p)
{
	switch (option) {
	case 'v':
		take_address(value, p->virtual_server, p);
		return true;
	case 'r':
		take_address(value, p->real_server, p);
		return true;
	case 'c':
		take_address(value, p->client, p);
		return true;
	case 'p':
		p->port = htons(atoi(value));
		return true;
	default:
		return false;
	}
}

int attached_program(const char *where)
{
	char path[256], *interface = strchr(where, ':');
	LIBBPF_OPTS(bpf_xdp_query_opts, query);
	int home, there, index, error;

	if (!interface)
		fail("not NETNS:IFNAME: %s", where);
	snprintf(path, sizeof(path), "/run/netns/%.*s", (int)(interface - where), where);
	home = open("/proc/self/ns/net", O_RDONLY);
	there = open(path, O_RDONLY);
	if (there < 0 || setns(there, CLONE_NEWNET))
		fail("%s: %s", path, strerror(errno));
	index = if_nametoindex(interface + 1);
	error = index ? bpf_xdp_query(index, 0, &query) : -1;
	setns(home, CLONE_NEWNET);
	close(home);
	close(there);
	if (error || !query.prog_id)
		fail("no XDP program at %s", where);
	return bpf_prog_get_fd_by_id(query.prog_id);
}

int program_of(const struct bpf_object *object, const char *name)
{
	return bpf_program__fd(bpf_object__find_program_by_name(object, name));
}

int table_of(const struct bpf_object *object, const char *name)
{
	return bpf_object__find_map_fd_by_name(object, name);
}

struct bpf_object *open_object(const char *path, enum bpf_attach_type type)
{
	struct bpf_object *object = bpf_object__open_file(path, NULL);
	struct bpf_program *program;

	if (!object)
		fail("%s does not open: %s", path, strerror(errno));
	bpf_object__for_each_program(program,
				     object) if (bpf_program__type(program) == BPF_PROG_TYPE_XDP)
		bpf_program__set_expected_attach_type(program, type);
	return object;
}

bool call(const struct bpf_object *object, int program)
{
	__u32 zero = 0;

	return !bpf_map_update_elem(table_of(object, "target"), &zero, &program, 0);
}

struct bpf_object *load_caller(const char *path, int program, const struct shared_table *shared,
			       int count)
{
	static const enum bpf_attach_type types[] = {0, BPF_XDP};

	for (int i = 0; i < 2; i++) {
		struct bpf_object *object = open_object(path, types[i]);

		for (int table = 0; table < count; table++) {
			struct bpf_map *map =
				bpf_object__find_map_by_name(object, shared[table].name);

			if (shared[table].table >= 0 && bpf_map__reuse_fd(map, shared[table].table))
				fail("%s: %s", shared[table].name, strerror(errno));
		}
		if (bpf_object__load(object))
			fail("%s does not load", path);
		if (call(object, program))
			return object;
		bpf_object__close(object);
	}
	fail("the program cannot be called");
}

unsigned long long memory_of(int table)
{
	unsigned long long bytes = 0;
	char path[64], line[128];
	FILE *file;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", table);
	file = fopen(path, "r");
	if (!file)
		fail("%s: %s", path, strerror(errno));
	while (fgets(line, sizeof(line), file) && sscanf(line, "memlock: %llu", &bytes) != 1)
		;
	fclose(file);
	return bytes;
}

void for_each_table(int program, void (*visit)(int table, const struct bpf_map_info *, void *),
		    void *argument)
{
	struct bpf_prog_info info = {0};
	__u32 tables[MOST_TABLES], size = sizeof(info);

	info.nr_map_ids = MOST_TABLES;
	info.map_ids = (unsigned long)tables;
	if (bpf_obj_get_info_by_fd(program, &info, &size))
		fail("the program tells nothing of itself: %s", strerror(errno));
	for (__u32 i = 0; i < info.nr_map_ids && i < MOST_TABLES; i++) {
		struct bpf_map_info table_info = {0};
		int table = bpf_map_get_fd_by_id(tables[i]);

		size = sizeof(table_info);
		if (table < 0 || bpf_obj_get_info_by_fd(table, &table_info, &size))
			fail("a table of the program: %s", strerror(errno));
		visit(table, &table_info, argument);
		close(table);
	}
}

struct wanted {
	const char *name;
	int table;
};

static void keep_wanted(int table, const struct bpf_map_info *info, void *argument)
{
	struct wanted *wanted = argument;

	if (!strcmp(wanted->name, info->name))
		wanted->table = dup(table);
}

int table_of_program(int program, const char *name)
{
	struct wanted wanted = {.name = name, .table = -1};

	for_each_table(program, keep_wanted, &wanted);
	return wanted.table;
}

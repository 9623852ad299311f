/* What the measuring tools have in common: failing, pinning, reaching programs and tables. */
#pragma once

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <stdbool.h>
#include "parameters.h"

#define MOST_CPUS 256

/* Says why on standard error, and ends the process with status 1. */
void fail(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));

/* Keeps the calling thread on one CPU. */
void pin(int cpu);

/* How long a cache line takes from the first of two CPUs to the second and back, in ns,
 * undisturbed: it tells whether they share a cache, which on a virtual machine may change at any
 * time. */
double line_round_trip(int first, int second);

/* Options that say which packets are sent: -v VIRTUAL-SERVER -r REAL-SERVER -c FIRST-CLIENT
 * -p PORT. The family is that of the addresses. */
#define PACKET_OPTIONS "v:r:c:p:"

/* What holds where no option says otherwise: one UDP client after the other. */
struct parameters default_packets(void);

/* False where the option is none of PACKET_OPTIONS. */
bool take_packet_option(int option, const char *value, struct parameters *p);

/* The XDP program at NETNS:IFNAME, as a descriptor. */
int attached_program(const char *where);

/* A BPF object's programs and tables by name, as descriptors. */
int program_of(const struct bpf_object *object, const char *name);
int table_of(const struct bpf_object *object, const char *name);

/* Opens a BPF object whose XDP programs are to be of this type: a program array takes only programs
 * of its owner's expected attach type, and loaders differ in it. */
struct bpf_object *open_object(const char *path, enum bpf_attach_type type);

/* Makes the object's program array lead to a program. False where that is of another type. */
bool call(const struct bpf_object *object, int program);

/* A table of an object, by its name, that is to be one that is there already; unless it is -1. */
struct shared_table {
	const char *name;
	int table;
};

/* Loads a BPF object, and makes its program array lead to a program of whatever type. */
struct bpf_object *load_caller(const char *path, int program, const struct shared_table *shared,
			       int count);

/* What the kernel charges for a table, in bytes. */
unsigned long long memory_of(int table);

/* A program's table of this name, as a descriptor; -1 where it has none. */
int table_of_program(int program, const char *name);

/* Calls a function with each table of a program. */
void for_each_table(int program, void (*visit)(int table, const struct bpf_map_info *, void *),
		    void *argument);

/* Sends floods out of an interface (flooded.bpf.c), and tells what became of them. */
#pragma once

#include <net/if.h>
#include <signal.h>
#include "tools.h"

struct flooding {
	int send, sink, parameters, mixture, tally, servers, answered_at;
	struct bpf_object *object;
};

/* Loads flooded.bpf.o; the LRU hash of the original's way is of so many clients. */
struct flooding load_flooding(const char *path, unsigned int associations);

/* Reads NAME=IFNAME,MAC: where packets are sent out, and to whom. A name has room for 64. */
void take_target(const char *text, char *name, char interface[IF_NAMESIZE], struct parameters *p);

void set_flood(const struct flooding *flooding, const struct parameters *p,
	       const struct mixture *mixture);

/* Sends so many packets, on the CPU that it runs on. */
void send_flood(const struct flooding *flooding, long packets);

/* Sends so many packets, or without end where that is 0, at a steady rate a second, until it is
 * over. */
void send_steadily(const struct flooding *flooding, double rate, long packets,
		   const volatile sig_atomic_t *is_over);

/* Of all CPUs, since it was cleared. */
struct tally tally_of(const struct flooding *flooding);
void clear_tally(const struct flooding *flooding);

double seconds(void);

/*
 * New clients at a director, at a steady rate: each sends one packet, which a real server answers.
 * Run in the gateway's namespace. Where the director's packets come out, the answers are made and
 * the answered ones end; all that is not theirs goes on. IPv4.
 *
 *   arrivals -v VIRTUAL-SERVER -c FIRST-CLIENT [-p PORT] -n CLIENTS-A-SECOND -t CLIENTS
 *            [-k ONE OF SO MANY whose time is told] FLOODED.o NAME=IFNAME,DIRECTOR-MAC
 *
 * Client number N has the address FIRST-CLIENT + 1 + N / 32768 and the port 1024 + N % 32768.
 * Prints a line of JSON: packets sent, those that came to a real server, answers that came through,
 * and of one client of so many when its answer did, in ns of CLOCK_MONOTONIC.
 */
#include <errno.h>
#include <linux/if_link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "flooding.h"

/* Until what is under way has come. */
#define REST_US 100000

static volatile sig_atomic_t is_over;

static void end(int number)
{
	(void)number;
	is_over = 1;
}

static void print_times(const struct flooding *flooding, __u32 samples)
{
	printf(", \"times\": [");
	for (__u32 i = 0; i < samples; i++) {
		__u64 time = 0;

		bpf_map_lookup_elem(flooding->answered_at, &i, &time);
		printf("%s%llu", i ? ", " : "", time);
	}
	printf("]");
}

int main(int argc, char **argv)
{
	char name[64], interface[IF_NAMESIZE];
	struct parameters p = default_packets();
	struct mixture mixture = {.cpus = 1, .phase = ARRIVING};
	struct flooding flooding;
	struct tally tally;
	double rate = 0;
	long clients = 0;
	int option;

	while ((option = getopt(argc, argv, PACKET_OPTIONS "n:t:k:")) != -1) {
		switch (option) {
		case 'n':
			rate = atof(optarg);
			break;
		case 't':
			clients = atol(optarg);
			break;
		case 'k':
			mixture.noted = strtoul(optarg, NULL, 10);
			break;
		default:
			if (!take_packet_option(option, optarg, &p))
				return 2;
		}
	}
	if (optind + 2 != argc || p.ipv6 || rate <= 0 || clients <= 0 ||
	    (mixture.noted && (clients - 1) / mixture.noted >= MOST_SAMPLES))
		fail("see the first lines of its source for how it is used");
	signal(SIGTERM, end);
	/* Its answers are counted there as well. */
	pin(0);
	flooding = load_flooding(argv[optind], 1);
	take_target(argv[optind + 1], name, interface, &p);
	set_flood(&flooding, &p, &mixture);
	/* In the place of the program that is there, which passes all. */
	if (bpf_xdp_attach(p.interface, flooding.sink, XDP_FLAGS_DRV_MODE, NULL))
		fail("%s: attach: %s", interface, strerror(errno));
	printf("{\"began\": %.0f}\n", seconds() * 1e9);
	fflush(stdout);
	send_steadily(&flooding, rate, clients, &is_over);
	usleep(REST_US);
	tally = tally_of(&flooding);
	printf("{\"sent\": %llu, \"came_out\": %llu, \"answered\": %llu", tally.sent_forged,
	       tally.forged, tally.answers);
	if (mixture.noted)
		print_times(&flooding, (clients - 1) / mixture.noted + 1);
	printf("}\n");
	return 0;
}

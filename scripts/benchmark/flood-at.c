/*
 * Floods a director with packets of forged sources, a new one each, at a steady rate, until it is
 * told to end by SIGTERM. Run in the gateway's namespace. Of what the director sends on, theirs
 * ends at the interface, and all else goes on.
 *
 *   flood-at -v VIRTUAL-SERVER -c FIRST-CLIENT [-p PORT] -n PACKETS-A-SECOND FLOODED.o
 *            NAME=IFNAME,DIRECTOR-MAC
 *
 * Prints a line of JSON at its end: packets sent, seconds, and packets that the director sent on.
 */
#include <errno.h>
#include <linux/if_link.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "flooding.h"

static volatile sig_atomic_t is_over;

static void end(int number)
{
	(void)number;
	is_over = 1;
}

int main(int argc, char **argv)
{
	char name[64], interface[IF_NAMESIZE];
	struct parameters p = default_packets();
	struct mixture mixture = {.cpus = 1, .phase = FLOODING};
	struct flooding flooding;
	struct tally tally;
	double rate = 0;
	int option;

	while ((option = getopt(argc, argv, PACKET_OPTIONS "n:")) != -1) {
		if (option == 'n')
			rate = atof(optarg);
		else if (!take_packet_option(option, optarg, &p))
			return 2;
	}
	if (optind + 2 != argc || rate <= 0)
		fail("see the first lines of its source for how it is used");
	signal(SIGTERM, end);
	pin(0);
	flooding = load_flooding(argv[optind], 1);
	take_target(argv[optind + 1], name, interface, &p);
	set_flood(&flooding, &p, &mixture);
	/* In the place of the program that is there, which passes all. */
	if (bpf_xdp_attach(p.interface, flooding.sink, XDP_FLAGS_DRV_MODE, NULL))
		fail("%s: attach: %s", interface, strerror(errno));
	send_steadily(&flooding, rate, 0, &is_over);
	tally = tally_of(&flooding);
	printf("{\"sent\": %llu, \"came_out\": %llu}\n", tally.sent_forged, tally.forged);
	return 0;
}

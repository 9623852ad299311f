/*
 * What gets through of known clients' packets while directors are flooded at full speed, by all
 * CPUs at once: side by side, one after the other. Run in the gateway's namespace. IPv4.
 *
 *   survival [OPTIONS] FLOODED.o NAME=IFNAME,DIRECTOR-MAC…
 *     -v VIRTUAL-SERVER -r FIRST-REAL-SERVER -c FIRST-CLIENT, all needed    -p PORT
 *     -a ASSOCIATIONS of the original's way     -o NETNS:IFNAME  where that stands
 *     -k KNOWN clients    -e PACKETS of which one is theirs    -t SECONDS of the flood
 *     -f PACKETS of each forged source: by one alone the kernel's LRU hash keeps who was used twice
 *
 * Prints a line of JSON for each target: packets of known clients that were sent, those that came
 * to the real server that the client had before, and to another; forged packets that were sent and
 * that came through; seconds.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/if_link.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "flooding.h"

/* Longer than the probation that is the default. */
#define PROBATION_MS 1600
/* Until what is under way has come. */
#define REST_MS 200
/* Packets that are sent at once: of known clients before the flood, so that none is lost in a
 * queue; and in it. */
#define FEW	128
#define MANY	20000
#define LONGEST 60 /* seconds */

static struct flooding flooding;
static double end; /* of the flood */

static void rest(int milliseconds)
{
	usleep(milliseconds * 1000);
}

static void *flood(void *argument)
{
	pin(*(int *)argument);
	while (seconds() < end)
		send_flood(&flooding, MANY);
	return NULL;
}

static void flood_on(int cpus)
{
	pthread_t threads[MOST_CPUS];
	int numbers[MOST_CPUS];

	for (int cpu = 0; cpu < cpus; cpu++) {
		numbers[cpu] = cpu;
		if (pthread_create(&threads[cpu], NULL, flood, &numbers[cpu]))
			fail("no thread");
	}
	for (int cpu = 0; cpu < cpus; cpu++)
		pthread_join(threads[cpu], NULL);
}

/* A packet of each known client, or to each, from one CPU. */
static struct tally send_known(const struct parameters *p, __u32 known, enum phase phase)
{
	struct mixture mixture = {.known = known, .every = 1, .cpus = 1, .phase = phase};

	clear_tally(&flooding);
	set_flood(&flooding, p, &mixture);
	for (__u32 sent = 0; sent < known; sent += FEW) {
		send_flood(&flooding, known - sent < FEW ? known - sent : FEW);
		usleep(100);
	}
	rest(REST_MS);
	return tally_of(&flooding);
}

/* Known clients have sent, were answered, and have sent again after their probation. */
static void establish(const char *name, const struct parameters *p, __u32 known)
{
	struct tally tally = send_known(p, known, LEARNING);

	if (tally.own != known)
		fail("%s: of %u clients %llu came to a real server", name, known, tally.own);
	tally = send_known(p, known, ANSWERING);
	if (tally.answers != known)
		fail("%s: of %u clients %llu were answered", name, known, tally.answers);
	rest(PROBATION_MS);
	tally = send_known(p, known, FLOODING);
	if (tally.own != known)
		fail("%s: of %u clients %llu came to their real server again", name, known,
		     tally.own);
}

static void attach_there(const char *where, int program)
{
	const char *colon = strchr(where, ':');
	int home = open("/proc/self/ns/net", O_RDONLY), there, index;
	char path[256];

	if (!colon)
		fail("not NETNS:IFNAME: %s", where);
	snprintf(path, sizeof(path), "/run/netns/%.*s", (int)(colon - where), where);
	there = open(path, O_RDONLY);
	if (there < 0 || setns(there, CLONE_NEWNET))
		fail("%s: %s", path, strerror(errno));
	index = if_nametoindex(colon + 1);
	if (!index || bpf_xdp_attach(index, program, XDP_FLAGS_DRV_MODE, NULL))
		fail("%s: attach: %s", where, strerror(errno));
	setns(home, CLONE_NEWNET);
	close(home);
	close(there);
}

int main(int argc, char **argv)
{
	int option, cpus = libbpf_num_possible_cpus();
	struct parameters p = default_packets();
	const char *original = NULL;
	__u32 associations = 1 << 16, known = 1 << 14, every = 64, forged = 2;
	double duration = 3;

	while ((option = getopt(argc, argv, PACKET_OPTIONS "a:o:k:e:f:t:")) != -1) {
		switch (option) {
		case 'a':
			associations = strtoul(optarg, NULL, 10);
			break;
		case 'o':
			original = optarg;
			break;
		case 'k':
			known = strtoul(optarg, NULL, 10);
			break;
		case 'e':
			every = strtoul(optarg, NULL, 10);
			break;
		case 'f':
			forged = strtoul(optarg, NULL, 10);
			break;
		case 't':
			duration = atof(optarg);
			break;
		default:
			if (!take_packet_option(option, optarg, &p))
				return 2;
		}
	}
	if (optind + 2 > argc || p.ipv6 || !known || known > MOST_KNOWN || !every ||
	    duration > LONGEST)
		fail("see the first lines of its source for how it is used");
	pin(0);
	flooding = load_flooding(argv[optind], associations);
	if (original)
		attach_there(original, program_of(flooding.object, "one_hash"));
	for (int i = optind + 1; i < argc; i++) {
		struct mixture mixture = {
			.known = known,
			.every = every,
			.cpus = cpus,
			.phase = FLOODING,
			.forged = forged,
		};
		char name[64], interface[IF_NAMESIZE];
		struct tally tally;
		double start, took;

		take_target(argv[i], name, interface, &p);
		/* Goes with this process. */
		if (bpf_link_create(flooding.sink, p.interface, BPF_XDP, NULL) < 0)
			fail("%s: attach: %s", interface, strerror(errno));
		establish(name, &p, known);
		clear_tally(&flooding);
		set_flood(&flooding, &p, &mixture);
		start = seconds();
		end = start + duration;
		flood_on(cpus);
		took = seconds() - start;
		rest(REST_MS);
		tally = tally_of(&flooding);
		printf("{\"target\": \"%s\", \"known_sent\": %llu, \"own\": %llu, \"other\": %llu, "
		       "\"forged_sent\": %llu, \"forged_through\": %llu, \"seconds\": %.3f}\n",
		       name, tally.sent_known, tally.own, tally.other, tally.sent_forged,
		       tally.forged, took);
		fflush(stdout);
	}
	return 0;
}

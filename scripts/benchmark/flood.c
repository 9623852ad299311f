/*
 * Whom a program remembers of its established, silent clients when a flood of forged sources has
 * come. The program itself is run (replay.bpf.c).
 *
 *   flood [OPTIONS] REPLAY.o NETNS:IFNAME
 *     -v VIRTUAL-SERVER -r REAL-SERVER -c FIRST-CLIENT, all needed    -p PORT
 *       with one real server, that each client is with
 *     -a ASSOCIATIONS that the table is for, needed
 *     -e ESTABLISHED clients, in percent of that
 *     -m MULTIPLE of ASSOCIATIONS that are forged
 *     -k PACKETS from each forged source
 *     -w none|proof|all  what the real server answers to each of these packets: nothing, a DTLS
 *        HelloVerifyRequest, or something else
 *     -s MILLISECONDS between two packets of one source; else they come one after the other
 *
 * Prints a line of JSON: clients that were established, how many of them had no place before the
 * flood, how many the program knows afterwards, and packets a second of the flood.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "replay.h"

/* Of the established that find no place among each other, before any flood. They count as lost. */
#define MOST_WITHOUT_PLACE 2

/* Longer than the probation that is the default. */
#define PROBATION_MS 1600

enum answer { NOTHING, PROOF, ANYTHING };

static double seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec + now.tv_nsec * 1e-9;
}

static void pause_for(long milliseconds)
{
	struct timespec time = {milliseconds / 1000, milliseconds % 1000 * 1000000};

	nanosleep(&time, NULL);
}

/* A run of clients, each with so many packets, which are answered or not. How many were new. */
static __u64 send_each(const struct subject *subject, __u64 first, __u64 count, int packets,
		       enum answer answer)
{
	const __u64 replies = answer == PROOF ? FROM_SERVER | ASKS_FOR_PROOF : FROM_SERVER;
	const __u32 each = packets * (answer == NOTHING ? 1 : 2);
	__u64 new_clients = 0;

	while (count) {
		__u64 part = count < TRACE_LENGTH / each ? count : TRACE_LENGTH / each;
		__u32 length = 0;

		for (__u64 i = 0; i < part; i++)
			for (int packet = 0; packet < packets; packet++) {
				subject->trace[length++] = first + i;
				if (answer != NOTHING)
					subject->trace[length++] = (first + i) | replies;
			}
		new_clients += run_trace(subject, length);
		first += part;
		count -= part;
	}
	return new_clients;
}

int main(int argc, char **argv)
{
	struct parameters p = default_packets();
	__u64 associations = 0, multiple = 10, established, forged, unknown, without_place;
	int percent = 80, packets = 2, option;
	enum answer answer = NOTHING;
	struct subject subject;
	double start, took;
	long spacing = 0;

	while ((option = getopt(argc, argv, PACKET_OPTIONS "a:e:m:k:w:s:")) != -1) {
		switch (option) {
		case 'a':
			associations = strtoul(optarg, NULL, 10);
			break;
		case 'e':
			percent = atoi(optarg);
			break;
		case 'm':
			multiple = strtoul(optarg, NULL, 10);
			break;
		case 'k':
			packets = atoi(optarg);
			break;
		case 'w':
			answer = !strcmp(optarg, "all")	    ? ANYTHING
				 : !strcmp(optarg, "proof") ? PROOF
							    : NOTHING;
			break;
		case 's':
			spacing = atol(optarg);
			break;
		default:
			if (!take_packet_option(option, optarg, &p))
				return 2;
		}
	}
	if (optind + 2 != argc || !associations || packets < 1)
		fail("see the first lines of its source for how it is used");
	pin(0);
	subject = load_subject(argv[optind], attached_program(argv[optind + 1]));
	set_packets(&subject, &p);
	established = associations * percent / 100;
	forged = associations * multiple;

	send_each(&subject, 0, established, 1, ANYTHING);
	pause_for(PROBATION_MS);
	without_place = send_each(&subject, 0, established, 1, NOTHING);
	if (without_place > MOST_WITHOUT_PLACE)
		fail("the table does not hold as many clients as are to be established");
	start = seconds();
	if (!spacing)
		send_each(&subject, established, forged, packets, answer);
	for (int packet = 0; spacing && packet < packets; packet++) {
		send_each(&subject, established, forged, 1, answer);
		pause_for(spacing);
	}
	took = seconds() - start;
	unknown = send_each(&subject, 0, established, 1, NOTHING);
	printf("{\"established\": %llu, \"without_place\": %llu, \"known\": %llu, "
	       "\"forged\": %llu, \"rate\": %.0f}\n",
	       established, without_place, established - unknown, forged, forged * packets / took);
	return 0;
}

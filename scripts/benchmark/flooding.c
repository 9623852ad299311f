/* See flooding.h. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include "flooding.h"

#define PAUSE_NS 2000000

struct flooding load_flooding(const char *path, unsigned int associations)
{
	struct bpf_object *object = open_object(path, BPF_XDP);

	bpf_map__set_max_entries(bpf_object__find_map_by_name(object, "clients"), associations);
	if (bpf_object__load(object))
		fail("%s does not load", path);
	return (struct flooding){
		.send = program_of(object, "send_packet"),
		.sink = program_of(object, "sink"),
		.parameters = table_of(object, "parameters"),
		.mixture = table_of(object, "mixture"),
		.tally = table_of(object, "tally"),
		.servers = table_of(object, "servers"),
		.answered_at = table_of(object, "answered_at"),
		.object = object,
	};
}

void take_target(const char *text, char *name, char interface[IF_NAMESIZE], struct parameters *p)
{
	__u8 *mac = p->destination_mac;

	if (sscanf(text, "%63[^=]=%15[^,],%hhx:%hhx:%hhx:%hhx:%hhx:%hhx", name, interface, mac,
		   mac + 1, mac + 2, mac + 3, mac + 4, mac + 5) != 8)
		fail("not NAME=IFNAME,MAC: %s", text);
	p->interface = if_nametoindex(interface);
	if (!p->interface)
		fail("no interface %s", interface);
}

void set_flood(const struct flooding *flooding, const struct parameters *p,
	       const struct mixture *mixture)
{
	__u32 zero = 0;

	bpf_map_update_elem(flooding->parameters, &zero, p, 0);
	bpf_map_update_elem(flooding->mixture, &zero, mixture, 0);
}

void send_flood(const struct flooding *flooding, long packets)
{
	unsigned char in[FRAME] = {0};
	LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = in, .data_size_in = FRAME,
		    .repeat = packets, .flags = BPF_F_TEST_XDP_LIVE_FRAMES, .batch_size = 64);

	/* The tally has what a signal leaves of them. */
	if (bpf_prog_test_run_opts(flooding->send, &options) && errno != EINTR)
		fail("packets could not be sent: %s", strerror(errno));
}

void send_steadily(const struct flooding *flooding, double rate, long packets,
		   const volatile sig_atomic_t *is_over)
{
	const struct timespec pause = {.tv_nsec = PAUSE_NS};
	double start = seconds();
	long sent = 0;

	while (!*is_over && (!packets || sent < packets)) {
		long due = rate * (seconds() - start) - sent;

		/* What the machine could not send in time is not made up for by a burst. */
		if (due > rate / 20) {
			start += (due - rate / 20) / rate;
			due = rate / 20;
		}
		if (packets && due > packets - sent)
			due = packets - sent;
		if (due > 0)
			send_flood(flooding, due);
		sent += due;
		nanosleep(&pause, NULL);
	}
}

struct tally tally_of(const struct flooding *flooding)
{
	struct tally of_cpu[MOST_CPUS], sum = {0};
	__u32 zero = 0;

	if (bpf_map_lookup_elem(flooding->tally, &zero, of_cpu))
		fail("tally: %s", strerror(errno));
	for (int cpu = 0; cpu < libbpf_num_possible_cpus(); cpu++) {
		sum.sent_known += of_cpu[cpu].sent_known;
		sum.sent_forged += of_cpu[cpu].sent_forged;
		sum.own += of_cpu[cpu].own;
		sum.other += of_cpu[cpu].other;
		sum.forged += of_cpu[cpu].forged;
		sum.answers += of_cpu[cpu].answers;
	}
	return sum;
}

void clear_tally(const struct flooding *flooding)
{
	static const struct tally none[MOST_CPUS];
	__u32 zero = 0;

	bpf_map_update_elem(flooding->tally, &zero, none, 0);
}

double seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec + now.tv_nsec * 1e-9;
}

/*
 * How many packets find their client known in an attached program, beside an exact least recently
 * used order of as many associations over the same packets; and how many clients its table holds
 * when as many new ones came as it is for. The program itself is run (replay.h).
 *
 *   hit-ratio [OPTIONS] REPLAY.o NETNS:IFNAME
 *     -v VIRTUAL-SERVER -c FIRST-CLIENT, both needed    -p PORT
 *     -a ASSOCIATIONS that the table is for, needed
 *     -z EXPONENT:MULTIPLE[,…]  Zipf-distributed clients, in all MULTIPLE × ASSOCIATIONS
 *     -n PACKETS of each trace, after as many to warm up
 *     -r REAL-SERVER -w MILLISECONDS  it answers each packet, and after each 2^17 of them as much
 *        time passes: to become a resident takes the probation. All clients are to be with it
 *     -f  instead, in a table that was never used: as many new clients as it is for
 *
 * Prints a line of JSON for each trace: packets, hits of the program, hits of the exact order. With
 * -f: clients that came, and how many of them the table holds then.
 */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "../../bpf-templates/layout/layout.h"
#include "replay.h"

static void *array(size_t count, size_t size)
{
	void *memory = calloc(count, size);

	if (!memory)
		fail("no memory");
	return memory;
}

/* Random numbers, the same in each run: SplitMix64. */
static __u64 random_state;

static __u64 next_random(void)
{
	__u64 z = random_state += 0x9e3779b97f4a7c15;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return z ^ z >> 31;
}

/* Numbers below count, of which k has a weight of (k + 1)^-exponent: by Walker's alias method. */
struct zipf {
	__u32 count, *alias;
	double *kept; /* how much of its column a number keeps for itself */
};

static struct zipf make_zipf(__u32 count, double exponent)
{
	struct zipf zipf = {count, array(count, sizeof(__u32)), array(count, sizeof(double))};
	__u32 *small = array(count, sizeof(__u32)), *large = array(count, sizeof(__u32));
	__u32 smalls = 0, larges = 0;
	double sum = 0;

	for (__u32 k = 0; k < count; k++)
		sum += zipf.kept[k] = pow(k + 1, -exponent);
	for (__u32 k = 0; k < count; k++) {
		zipf.kept[k] *= count / sum;
		if (zipf.kept[k] < 1)
			small[smalls++] = k;
		else
			large[larges++] = k;
	}
	while (smalls && larges) {
		__u32 less = small[--smalls], more = large[larges - 1];

		zipf.alias[less] = more;
		zipf.kept[more] -= 1 - zipf.kept[less];
		if (zipf.kept[more] < 1)
			small[smalls++] = large[--larges];
	}
	while (smalls)
		zipf.kept[small[--smalls]] = 1;
	free(small);
	free(large);
	return zipf;
}

static __u32 draw(const struct zipf *zipf)
{
	__u64 bits = next_random();
	__u32 column = (bits >> 32) * zipf->count >> 32;

	return (__u32)bits * 0x1p-32 < zipf->kept[column] ? column : zipf->alias[column];
}

/* The exact order: a list of clients, the one that was used last after its head. */
struct order {
	__u32 room, used, head;
	__u32 *next,
		*previous; /* of each client, and of the head; a client's next is 0 if unknown */
};

static struct order make_order(__u32 room, __u32 clients)
{
	struct order order = {.room = room, .head = clients};

	/* One more than what stands for a client, as 0 stands for nobody. */
	order.next = array(clients + 1, sizeof(__u32));
	order.previous = array(clients + 1, sizeof(__u32));
	order.next[order.head] = order.previous[order.head] = order.head + 1;
	return order;
}

static void unlink_client(struct order *order, __u32 client)
{
	order->next[order->previous[client] - 1] = order->next[client];
	order->previous[order->next[client] - 1] = order->previous[client];
	order->next[client] = 0;
}

/* Whether the client was known; it is now. */
static bool use_client(struct order *order, __u32 client)
{
	bool known = order->next[client];

	if (known)
		unlink_client(order, client);
	else if (order->used == order->room)
		unlink_client(order, order->previous[order->head] - 1);
	else
		order->used++;
	order->next[client] = order->next[order->head];
	order->previous[client] = order->head + 1;
	order->previous[order->next[client] - 1] = client + 1;
	order->next[order->head] = client + 1;
	return known;
}

/* Counting works: of so many clients that were never there all are new, and then none is. */
static void check_counting(struct subject *subject, struct parameters *p)
{
	__u32 few = 5, found;

	for (__u32 i = 0; i < few; i++)
		subject->trace[i] = i;
	set_packets(subject, p);
	found = run_trace(subject, few);
	if (found != few)
		fail("of %u new clients %u were found to be", few, found);
	found = run_trace(subject, few);
	if (found)
		fail("%u known clients were taken for new ones", found);
	p->first += few;
}

/* Packets that are under way at once: behind them come the answers. */
#define UNDER_WAY 256

/* Where a packet of so many stands in a trace of which each is answered; its answer UNDER_WAY
 * behind it. */
static __u32 place_of(__u32 packet)
{
	return packet / UNDER_WAY * UNDER_WAY * 2 + packet % UNDER_WAY;
}

static void compare(const struct subject *subject, struct parameters *p, __u32 associations,
		    double exponent, __u32 multiple, long packets, long rest)
{
	__u32 clients = multiple * associations;
	struct zipf zipf = make_zipf(clients, exponent);
	struct order order = make_order(associations, clients);
	const __u32 length = rest ? TRACE_LENGTH / 2 : TRACE_LENGTH; /* clients' packets */
	long measured = 0, hits = 0, exact_hits = 0;

	set_packets(subject, p);
	for (long sent = 0; sent < 2 * packets; sent += length) {
		long exact = 0, known;

		for (__u32 i = 0; i < length; i++) {
			__u32 client = draw(&zipf), place = rest ? place_of(i) : i;

			subject->trace[place] = client;
			if (rest)
				subject->trace[place + UNDER_WAY] = client | FROM_SERVER;
			exact += use_client(&order, client);
		}
		known = length - run_trace(subject, TRACE_LENGTH);
		usleep(rest * 1000);
		if (sent >= packets) {
			measured += length;
			hits += known;
			exact_hits += exact;
		}
	}
	printf("{\"exponent\": %g, \"multiple\": %u, \"packets\": %ld, \"hits\": %ld, "
	       "\"exact_hits\": %ld}\n",
	       exponent, multiple, measured, hits, exact_hits);
	fflush(stdout);
	free(zipf.alias);
	free(zipf.kept);
	free(order.next);
	free(order.previous);
	/* The next trace's clients are others. */
	p->first += clients;
}

/* How many associations a table holds, if it is an array of buckets. */
static __u32 count_words(int table, const struct bpf_map_info *info)
{
	__u32 count = 0;

	if (info->value_size != sizeof(struct bucket))
		fail("the table's buckets are of another size");
	for (__u32 index = 0; index < info->max_entries; index++) {
		struct bucket bucket;

		if (bpf_map_lookup_elem(table, &index, &bucket))
			fail("bucket %u: %s", index, strerror(errno));
		for (int place = 0; place < BUCKET_PLACES; place++)
			count += !!bucket.word[place];
	}
	return count;
}

/* The same of a hash, as it was in former versions. */
static __u32 count_keys(int table, const struct bpf_map_info *info)
{
	unsigned char key[64], *previous = NULL;
	__u32 count = 0;

	if (info->key_size > sizeof(key))
		fail("the table's keys are too long");
	for (; !bpf_map_get_next_key(table, previous, key); previous = key)
		count++;
	return count;
}

static void count_associations(int table, const struct bpf_map_info *info, void *count)
{
	/* Of one family, whose name it has where there may be another. */
	if (!strncmp(info->name, "associations", strlen("associations")))
		*(__u32 *)count = info->type == BPF_MAP_TYPE_ARRAY ? count_words(table, info)
								   : count_keys(table, info);
}

/* Lets as many new clients come as the table is for. */
static void fill(const struct subject *subject, const struct parameters *p, __u32 associations)
{
	__u32 held = 0;

	set_packets(subject, p);
	for (__u32 sent = 0; sent < associations;) {
		__u32 part =
			associations - sent < TRACE_LENGTH ? associations - sent : TRACE_LENGTH;

		for (__u32 i = 0; i < part; i++)
			subject->trace[i] = sent + i;
		if (run_trace(subject, part) != part)
			fail("a client that never came before was known");
		sent += part;
	}
	for_each_table(subject->program, count_associations, &held);
	printf("{\"clients\": %u, \"held\": %u}\n", associations, held);
}

int main(int argc, char **argv)
{
	struct parameters p = default_packets();
	char *traces = NULL;
	__u32 associations = 0;
	long packets = 1000000, rest = 0;
	struct subject subject;
	bool fills = false;
	int option;

	while ((option = getopt(argc, argv, PACKET_OPTIONS "a:z:n:fw:")) != -1) {
		switch (option) {
		case 'a':
			associations = strtoul(optarg, NULL, 10);
			break;
		case 'z':
			traces = optarg;
			break;
		case 'n':
			packets = atol(optarg);
			break;
		case 'f':
			fills = true;
			break;
		case 'w':
			rest = atol(optarg);
			break;
		default:
			if (!take_packet_option(option, optarg, &p))
				return 2;
		}
	}
	if (optind + 2 != argc || !associations || !traces == !fills)
		fail("see the first lines of its source for how it is used");
	pin(0);
	subject = load_subject(argv[optind], attached_program(argv[optind + 1]));
	if (fills) {
		fill(&subject, &p, associations);
		return 0;
	}
	check_counting(&subject, &p);
	for (char *trace = strtok(traces, ","); trace; trace = strtok(NULL, ",")) {
		double exponent;
		__u32 multiple;

		if (sscanf(trace, "%lf:%u", &exponent, &multiple) != 2)
			fail("not EXPONENT:MULTIPLE: %s", trace);
		compare(&subject, &p, associations, exponent, multiple, packets, rest);
	}
	return 0;
}

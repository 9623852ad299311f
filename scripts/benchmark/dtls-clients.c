/*
 * Honest new clients, each with a socket and a DTLS session of its own, of OpenSSL's: they begin
 * one after the other, shake hands with a pre-shared key, and ask for CoAP's resource `who` once a
 * second, which holds the name of the real server.
 *
 *   dtls-clients -v VIRTUAL-SERVER -p PORT -n CLIENTS -b SECONDS in which they begin
 *                -t SECONDS that each talks
 *
 * Prints a line of JSON: clients; those that completed the handshake; those that succeeded, as all
 * their questions were answered, by one server; those that another server answered; messages that
 * were sent again; how long a handshake took at most, in ms; real servers that answered.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>
#include "tools.h"

/* scripts/benchmark/honest.py has the servers know them. */
#define IDENTITY "user"
#define KEY	 "secret"

#define HANDSHAKE_TIME	 30.0 /* s */
#define ACK_TIMEOUT	 2.0  /* s (RFC 7252, 4.8), doubled with each time */
#define MOST_RETRANSMITS 4
#define SPACING		 1.0 /* s from one question to the next */
#define TICK_MS		 5
#define MOST_EVENTS	 256
#define MOST_NAMES	 16
#define NAME_SIZE	 16

enum state { NOT_BEGUN, SHAKING_HANDS, TALKING, SUCCEEDED, FAILED };

struct client {
	enum state state;
	int socket;
	SSL *session;
	double begins, asks; /* when the next question is due, or the present one again */
	int question, times; /* 0: none is under way */
	bool is_shaken, is_moved;
	char server[NAME_SIZE];
};

static SSL_CTX *context;
static struct sockaddr_storage server_address;
static socklen_t address_size;
static int poll_set, questions;
static double slowest;
static long sent_again;
static char names[MOST_NAMES][NAME_SIZE];

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec + time.tv_nsec * 1e-9;
}

static unsigned int give_key(SSL *session, const char *hint, char *identity,
			     unsigned int identity_size, unsigned char *key, unsigned int key_size)
{
	(void)session;
	(void)hint;
	if (identity_size < sizeof(IDENTITY) || key_size < strlen(KEY))
		return 0;
	strcpy(identity, IDENTITY);
	memcpy(key, KEY, strlen(KEY));
	return strlen(KEY);
}

static void take_address(const char *text, int port)
{
	struct sockaddr_in *ipv4 = (void *)&server_address;
	struct sockaddr_in6 *ipv6 = (void *)&server_address;

	if (inet_pton(AF_INET, text, &ipv4->sin_addr) == 1) {
		ipv4->sin_family = AF_INET;
		ipv4->sin_port = htons(port);
		address_size = sizeof(*ipv4);
	} else if (inet_pton(AF_INET6, text, &ipv6->sin6_addr) == 1) {
		ipv6->sin6_family = AF_INET6;
		ipv6->sin6_port = htons(port);
		address_size = sizeof(*ipv6);
	} else {
		fail("no address: %s", text);
	}
}

static void finish(struct client *client, enum state state)
{
	client->state = state;
	/* A server keeps a session no longer than its client. */
	if (client->is_shaken)
		SSL_shutdown(client->session);
	SSL_free(client->session);
	close(client->socket);
}

static void begin(struct client *client)
{
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = client};
	BIO *wire;

	client->socket = socket(server_address.ss_family, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	if (client->socket < 0 ||
	    connect(client->socket, (struct sockaddr *)&server_address, address_size))
		fail("socket: %s", strerror(errno));
	wire = BIO_new_dgram(client->socket, BIO_NOCLOSE);
	client->session = SSL_new(context);
	if (!wire || !client->session)
		fail("no session: %s", ERR_reason_error_string(ERR_get_error()));
	BIO_ctrl(wire, BIO_CTRL_DGRAM_SET_CONNECTED, 0, &server_address);
	SSL_set_bio(client->session, wire, wire);
	SSL_set_connect_state(client->session);
	epoll_ctl(poll_set, EPOLL_CTL_ADD, client->socket, &event);
	client->state = SHAKING_HANDS;
}

/* Whether an operation that did not succeed may do so later. */
static bool is_waiting(const struct client *client, int result)
{
	int error = SSL_get_error(client->session, result);

	ERR_clear_error();
	return error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE ||
	       (error == SSL_ERROR_SYSCALL && errno == ECONNREFUSED);
}

static void shake_hands(struct client *client, double time)
{
	int result = SSL_connect(client->session);

	if (result == 1) {
		client->is_shaken = true;
		client->state = TALKING;
		client->asks = time;
		if (time - client->begins > slowest)
			slowest = time - client->begins;
	} else if (!is_waiting(client, result)) {
		finish(client, FAILED);
	}
}

/* A confirmable GET of /who, whose message number and token are the question's (RFC 7252, 3). */
static void ask(struct client *client, double time)
{
	const unsigned char message[] = {0x41, 1,   0,	client->question, client->question, 0xb3,
					 'w',  'h', 'o'};

	sent_again += client->times > 0;
	client->asks = time + ACK_TIMEOUT * (1 << client->times++);
	SSL_write(client->session, message, sizeof(message));
	ERR_clear_error();
}

/* What a nibble of an option's header stands for, and the octets that extend it. */
static int extended(int nibble, const unsigned char **at, const unsigned char *end)
{
	if (nibble == 13 && *at < end)
		return 13 + *(*at)++;
	if (nibble == 14 && *at + 1 < end) {
		*at += 2;
		return 269 + ((*at)[-2] << 8 | (*at)[-1]);
	}
	return nibble;
}

/* The name in an answer to the present question; null where it is none. */
static const char *name_in(const struct client *client, const unsigned char *message, int length)
{
	static char name[NAME_SIZE];
	const unsigned char *at = message + 5, *end = message + length;

	/* 2.05 with a token of one octet */
	if (length < 5 || (message[0] & 0xcf) != 0x41 || message[1] != 0x45 ||
	    message[4] != client->question)
		return NULL;
	while (at < end && *at != 0xff) {
		int delta = *at >> 4, size = *at & 15;

		at++;
		extended(delta, &at, end);
		size = extended(size, &at, end);
		if (size > end - at)
			return NULL;
		at += size;
	}
	if (at >= end || end - at - 1 >= NAME_SIZE)
		return NULL;
	memset(name, 0, sizeof(name));
	memcpy(name, at + 1, end - at - 1);
	return name;
}

static void note_name(const char *name)
{
	for (int i = 0; i < MOST_NAMES; i++) {
		if (!names[i][0])
			strcpy(names[i], name);
		if (!strcmp(names[i], name))
			return;
	}
}

static void hear(struct client *client)
{
	unsigned char message[2048];
	int length;

	while ((length = SSL_read(client->session, message, sizeof(message))) > 0) {
		const char *name = name_in(client, message, length);

		if (!name || !client->times)
			continue;
		if (!client->server[0]) {
			strcpy(client->server, name);
			note_name(name);
		} else if (strcmp(client->server, name)) {
			client->is_moved = true;
		}
		/* The next question is due a second after this one was due at first. */
		client->times = 0;
		client->asks = client->begins + ++client->question * SPACING;
	}
	if (!is_waiting(client, length))
		finish(client, FAILED);
}

/* What is due by the time alone. */
static void look_at(struct client *client, double time)
{
	if (client->state == NOT_BEGUN && time >= client->begins) {
		client->begins = time;
		begin(client);
		shake_hands(client, time);
	} else if (client->state == SHAKING_HANDS) {
		if (time > client->begins + HANDSHAKE_TIME ||
		    DTLSv1_handle_timeout(client->session) < 0)
			finish(client, FAILED);
	} else if (client->state == TALKING && time >= client->asks) {
		if (client->question == questions)
			finish(client, client->is_moved ? FAILED : SUCCEEDED);
		else if (client->times > MOST_RETRANSMITS)
			finish(client, FAILED);
		else
			ask(client, time);
	}
}

static bool are_all_over(const struct client *clients, int count)
{
	for (int i = 0; i < count; i++)
		if (clients[i].state < SUCCEEDED)
			return false;
	return true;
}

static void run(struct client *clients, int count)
{
	while (!are_all_over(clients, count)) {
		struct epoll_event events[MOST_EVENTS];
		int found = epoll_wait(poll_set, events, MOST_EVENTS, TICK_MS);
		double time = now();

		for (int i = 0; i < found; i++) {
			struct client *client = events[i].data.ptr;

			if (client->state == SHAKING_HANDS)
				shake_hands(client, time);
			if (client->state == TALKING)
				hear(client);
		}
		for (int i = 0; i < count; i++)
			look_at(&clients[i], time);
	}
}

static void report(const struct client *clients, int count)
{
	int shaken = 0, succeeded = 0, moved = 0;

	for (int i = 0; i < count; i++) {
		shaken += clients[i].is_shaken;
		succeeded += clients[i].state == SUCCEEDED;
		moved += clients[i].is_moved;
	}
	printf("{\"clients\": %d, \"shaken\": %d, \"succeeded\": %d, \"moved\": %d, "
	       "\"sent_again\": %ld, \"slowest_ms\": %.0f, \"servers\": [",
	       count, shaken, succeeded, moved, sent_again, slowest * 1000);
	for (int i = 0; i < MOST_NAMES && names[i][0]; i++)
		printf("%s\"%s\"", i ? ", " : "", names[i]);
	printf("]}\n");
}

int main(int argc, char **argv)
{
	struct rlimit files;
	int count = 1000, port = 5684, option;
	const char *address = NULL;
	struct client *clients;
	double begin_in = 5, talk = 10, start;

	while ((option = getopt(argc, argv, "v:p:n:b:t:")) != -1) {
		switch (option) {
		case 'v':
			address = optarg;
			break;
		case 'p':
			port = atoi(optarg);
			break;
		case 'n':
			count = atoi(optarg);
			break;
		case 'b':
			begin_in = atof(optarg);
			break;
		case 't':
			talk = atof(optarg);
			break;
		default:
			return 2;
		}
	}
	questions = talk / SPACING;
	/* A question's number is one octet. */
	if (!address || count < 1 || questions < 1 || questions > 255)
		fail("see the first lines of its source for how it is used");
	take_address(address, port);
	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &files))
		fail("room for %d sockets: %s", count, strerror(errno));
	context = SSL_CTX_new(DTLS_client_method());
	clients = calloc(count, sizeof(*clients));
	poll_set = epoll_create1(0);
	if (!context || !clients || poll_set < 0 ||
	    SSL_CTX_set_cipher_list(context, "PSK:!NULL") != 1)
		fail("OpenSSL: %s", ERR_reason_error_string(ERR_get_error()));
	SSL_CTX_set_psk_client_callback(context, give_key);
	start = now();
	for (int i = 0; i < count; i++)
		clients[i].begins = start + begin_in * i / count;
	run(clients, count);
	report(clients, count);
	return 0;
}

/* The association table: who talks to whom. Two CPUs that see the same client at once agree. */
#pragma once

#include "real_servers.h"

/* A client, and what the table said of it when it was asked. */
struct client {
	struct flow_key key;
	union association *entry; /* null where it has none */
	union association seen;
};

static __always_inline struct client client_of(const struct ip_address *address, __be16 port)
{
	struct client client = {.key.port = port};

	__builtin_memcpy(&client.key.address, address, sizeof(*address));
	return client;
}

/* Read as one word: another CPU may be writing it. */
static __always_inline union association read_association(union association *entry)
{
	union association copy = {.word = *(volatile __u64 *)&entry->word};

	return copy;
}

/* The client's real server; null where it has none, or one that is no longer listed. */
static __always_inline struct real_server *find_association(__u32 bank, struct client *client)
{
	client->entry = associations.lookup(&client->key);
	if (!client->entry)
		return 0;
	client->seen = read_association(client->entry);
	return real_server_of(bank, client->seen);
}

/*
 * Gives a real server to a client that find_association found none for, unless another CPU was
 * first. Returns the one that the client has now; null if the table took nothing, or if the one
 * that another CPU gave is not listed.
 *
 * An association whose server is gone is rewritten in place: to update an existing key of a full
 * table would evict a stranger.
 */
static __always_inline struct real_server *settle_association(__u32 bank, struct client *client,
							      struct real_server *server,
							      __u32 slot, bool *is_new)
{
	union association fresh = {.server = slot, .generation = server->generation};
	union association found = {.word = 0};

	*is_new = true;
	if (client->entry) {
		found.word = __sync_val_compare_and_swap(&client->entry->word, client->seen.word,
							 fresh.word);
		if (found.word == client->seen.word)
			return server;
	} else {
		if (!associations.insert(&client->key, &fresh))
			return server;
		client->entry = associations.lookup(&client->key);
		if (client->entry)
			found = read_association(client->entry);
	}
	*is_new = false;
	return real_server_of(bank, found);
}

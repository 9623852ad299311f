/* The association table: who talks to whom. Two CPUs that see the same client at once agree. */
#pragma once

#include "real_servers.h"

static __always_inline struct flow_key client_of(const struct ip_address *address, __be16 port)
{
	struct flow_key client = {.port = port};

	__builtin_memcpy(&client.address, address, sizeof(*address));
	return client;
}

/* Read as one word: another CPU may be writing it. */
static __always_inline union former_association read_association(union former_association *entry)
{
	union former_association copy = {.word = *(volatile __u64 *)&entry->word};

	return copy;
}

/*
 * The client's real server; null where it has none, or one that is no longer listed. *seen is what
 * the table holds: 0 where that is nothing, as no association is.
 */
static __always_inline struct real_server *find_association(__u32 bank, struct flow_key *client,
							    union former_association *seen)
{
	union former_association *entry = associations.lookup(client);

	seen->word = 0;
	if (!entry)
		return 0;
	*seen = read_association(entry);
	return real_server_of(bank, *seen);
}

/*
 * Gives a real server to a client that find_association found none for, unless another CPU was
 * first. Returns the one that the client has now; null if the table took nothing, or if the one
 * that another CPU gave is not listed.
 *
 * An association whose server is gone is rewritten in place: to update an existing key of a full
 * table would evict a stranger. It is looked up anew, as to keep it from find_association on would
 * cost those a register who are known.
 */
static __always_inline struct real_server *settle_association(__u32 bank, struct flow_key *client,
							      union former_association seen,
							      struct real_server *server,
							      __u32 slot, bool *is_new)
{
	union former_association fresh = {.server = slot, .generation = server->generation};
	union former_association other = {.word = 0}, *entry = 0;

	*is_new = true;
	if (seen.word)
		entry = associations.lookup(client);
	if (entry) {
		other.word = __sync_val_compare_and_swap(&entry->word, seen.word, fresh.word);
		if (other.word == seen.word)
			return server;
	} else {
		if (!associations.insert(client, &fresh))
			return server;
		entry = associations.lookup(client);
		if (entry)
			other = read_association(entry);
	}
	*is_new = false;
	return real_server_of(bank, other);
}

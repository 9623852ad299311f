/* The association table: who talks to whom. Two CPUs that see the same client at once agree. */
#pragma once

#include "round.h"

static __always_inline struct flow_key flow_of(const struct ip_address *client, __be16 port)
{
	struct flow_key key = {.port = port};

	__builtin_memcpy(&key.address, client, sizeof(*client));
	return key;
}

/* Read as one word: another CPU may be writing it. */
static __always_inline union association read_association(union association *known)
{
	union association copy = {.word = *(volatile __u64 *)&known->word};

	return copy;
}

/*
 * Puts *fresh in the place of what was seen of this client: nothing (known is null), or an
 * association whose server is gone. That one is rewritten in place, as an update of an existing key
 * of a full table would evict a stranger. True if *fresh is now the client's association; else
 * another CPU was first, and *fresh is what it has set; its word is 0 if the table took nothing.
 */
static __always_inline bool set_association(struct flow_key *key, union association *known,
					    union association stale, union association *fresh)
{
	if (known) {
		__u64 found = __sync_val_compare_and_swap(&known->word, stale.word, fresh->word);

		if (found == stale.word)
			return true;
		fresh->word = found;
		return false;
	}
	if (!associations.insert(key, fresh))
		return true;
	known = associations.lookup(key);
	fresh->word = 0;
	if (known)
		*fresh = read_association(known);
	return false;
}

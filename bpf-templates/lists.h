/*
 * The lists of clients: who may become one. Of the networks that an address is in, the one with the
 * longest prefix decides. Residents are not asked for, unless each packet is.
 */
#pragma once

#include "ip.h"
#include "recency.h"
#include "tables.h"

/* The stamp of a client without a place: of no class, where lists are asked by class. */
#if LISTS
#define NO_STAMP (CLASSLESS | 1 << STAMP_BITS)

#if !STRICT
/*
 * Whether the lists are asked for a client, by its stamp and whether it has a real server: where
 * there are no classes, who has one counts as a resident.
 */
static __always_inline bool is_asked_for(const struct control *control, __u64 stamp, bool is_known)
{
	/* The verifier is to follow what comes behind once, and not for each class. */
	FORGET(stamp, control->secret[0]);
	return CLASSES ? CLASS_OF(stamp) != CLASS_RESIDENT : !is_known;
}
#endif

/* What is said of the smallest network that an address is in; null where it is in none. */
static __always_inline __u32 *decision_on(enum family family, __u32 bank,
					  const struct ip_address *address)
{
#if HAS_IPV4
	if (family == IPV4) {
		struct network_v4 key = {
			.prefix_length = NETWORK_BANK_BITS + 32,
			.bank = bank,
			.address.word[0] = address->word[0],
		};

		return networks_v4.lookup(&key);
	}
#endif
#if HAS_IPV6
	if (family == IPV6) {
		struct network_v6 key = {
			.prefix_length = NETWORK_BANK_BITS + 128,
			.bank = bank,
			.address = *address,
		};

		return networks_v6.lookup(&key);
	}
#endif
	return 0;
}

/* Whether the lists deny a client. */
static __always_inline bool is_denied(enum family family, const struct ip_address *client)
{
	__u32 zero = 0, *decision;
	volatile const __u64 *bank = list_bank.lookup(&zero);

	/* Never null: the verifier does not know that an array has its first element. */
	if (!bank)
		return true;
	decision = decision_on(family, *bank, client);
	return decision ? *decision == NETWORK_DENIED : UNLISTED_ARE_DENIED;
}
#else
#define NO_STAMP CLASSLESS
#endif

/*
 * A client that has no association yet, or whose class a packet may change: how it comes to it.
 * Both directions and both families end here, so that what is long is in the program once, and out
 * of the way of all other packets.
 */
#pragma once

#include "admission.h"
#include "association.h"
#include "schedulers.h"
#include "vouching.h"

/* No decision: the packet's client is new, or not settled yet. */
#define IS_UNSETTLED -1

struct unsettled_client {
	struct control *control;
	struct client client;
	struct buckets buckets;
	__u64 bank;
	__u64 is_sender; /* whether it wrote, or a real server to it */
	__u64 is_known;	 /* whether it has a real server already, and this stamp */
	__u64 stamp;
	/* Its real server, or the one that wrote to a new one; else null, and where that comes
	 * from. */
	struct real_server *server;
	const struct virtual_server *virtual_server;
	/* Of the real server that the client has, as soon as that is known. */
	__u32 slot;
};

/* Whether a known client's packet changes its class, as far as that can be told without a lock. */
static __always_inline bool changes_class(const struct frame *frame,
					  const struct unsettled_client *client, __u64 half_seconds)
{
	if (!client->is_sender)
		return vouches(frame, client->control->secret[0]);
	return CLASS_OF(client->stamp) == CLASS_UNHEARD ||
	       is_past_probation(client->stamp, half_seconds);
}

/*
 * The real server that the client has now, and whether that is new: another CPU may have been
 * first. Null where it can have none.
 */
static __always_inline struct real_server *settle(const struct frame *frame,
						  struct unsettled_client *client, bool *is_new)
{
	const __u64 unknown = client->control->secret[0];
	struct real_server *server = client->server;
	__u64 now = time_of_tick();
	const struct virtual_server *virtual_server;
	struct ip_address address;
	enum placing placing;

	if (client->is_known && !changes_class(frame, client, half_seconds_of(now)))
		return server;
#if !SINGLE_BUCKET
	if (!client->buckets.second)
		client->buckets.second = second_bucket_of(&client->client);
	if (!client->buckets.second)
		return 0;
#endif
	if (!server)
		server = schedule_client(
			client->virtual_server, &client->client, client->bank,
			is_under_pressure(admissions_of(client->client.family), now),
			&client->slot);
	if (!server)
		return 0;
	client->server = server;
	/* From here on the verifier is not to follow each way apart. */
	copy_address(client->client.family, &address, client->client.address);
	client->client.address = &address;
	FORGET(client->is_sender, unknown);
	OPAQUE(client->is_known);
	FORGET(client->is_known, unknown);
	placing = settle_association(client->control, &client->client, &server, &client->slot,
				     client->buckets, client->is_sender, now);
	if (placing == PLACE_LOST)
		return client->is_known ? client->server : 0;
	if (placing == CLIENT_IS_PLACED)
		return server;
	*is_new = placing == PLACE_TAKEN || !client->is_known;
	/* Who has no place is to come to the same real server with the next packet. */
	if (placing == NO_PLACE && client->is_sender && !client->is_known) {
		virtual_server = virtual_server_of(client->bank, client->client.virtual_server);
		return virtual_server ? schedule_client(virtual_server, &client->client,
							client->bank, true, &client->slot)
				      : 0;
	}
	return server;
}

/*
 * A client that has no association yet: how it comes to one. Both directions and both families end
 * here, so that what is long is in the program once.
 */
#pragma once

#include "admission.h"
#include "association.h"
#include "schedulers.h"

/* No decision: the packet's client is new, and may be given an association. */
#define IS_NEW_CLIENT -1

struct new_client {
	struct control *control;
	struct client client;
	__u32 bank;
	bool is_sender; /* whether it wrote, or a real server to it */
	/* Of a sender: who chooses its real server. */
	struct virtual_server *virtual_server;
	/* Else: the real server that wrote. */
	struct real_server *server;
	/* Of the real server that the client has, as soon as that is known. */
	__u32 slot;
};

/*
 * The real server that the new client has now, and whether that is new: another CPU may have been
 * first. Null where it can have none.
 */
static __always_inline struct real_server *settle(struct new_client *new_client, bool *is_new)
{
	struct real_server *server = new_client->server;

	if (new_client->is_sender)
		server = schedule_client(new_client->virtual_server, &new_client->client,
					 new_client->bank, &new_client->slot);
	if (!server)
		return 0;
	return settle_association(new_client->control, &new_client->client, server,
				  &new_client->slot, new_client->is_sender, is_new);
}

/*
 * A client that has no association yet: how it comes to one. Both directions and both families end
 * here, so that what is long is in the program once.
 */
#pragma once

#include "admission.h"
#include "association.h"
#include "schedulers.h"

/* No verdict: the packet's client is a newcomer, who may be given an association. */
#define IS_NEWCOMER -1

struct newcomer {
	struct control *control;
	struct client client;
	__u32 bank;
	bool is_sender; /* whether it wrote, or a real server to it */
	/* Of a sender: who chooses its real server. */
	struct virtual_server *virtual_server;
	/* Else: the real server that wrote. */
	struct real_server *server;
	__u32 slot;
};

/*
 * The real server that the newcomer has now, and whether that is new: another CPU may have been
 * first. Null where it can have none.
 */
static __always_inline struct real_server *settle(struct newcomer *newcomer, bool *is_new)
{
	struct real_server *server = newcomer->server;

	if (newcomer->is_sender)
		server = schedule_client(newcomer->virtual_server, &newcomer->client,
					 newcomer->bank, &newcomer->slot);
	if (!server)
		return 0;
	return settle_association(newcomer->control, &newcomer->client, server, newcomer->slot,
				  is_new);
}

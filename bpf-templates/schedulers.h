/* Which real server a new client is given. */
#pragma once

#include "client.h"
#include "maglev.h"
#include "real_servers.h"
#include "round.h"

/* The real server that the virtual server's scheduler gives this client, and its slot. */
static __always_inline struct real_server *
schedule_client(const struct virtual_server *virtual_server, const struct client *client,
		__u32 bank, __u32 *slot)
{
	__u32 length = virtual_server->length, index, line_index;
	struct slot_line *line;

	if (MAGLEV && virtual_server->scheduler == SCHEDULER_MAGLEV)
		index = maglev_index(client->family, client->address, client->port);
	else
		index = next_in_round(client->virtual_server, length);
	if (index >= length)
		return 0;
	line_index = virtual_server->line + index / SLOTS_OF_LINE;
	line = rounds.lookup(&line_index);
	if (!line)
		return 0;
	*slot = line->slot[index % SLOTS_OF_LINE];
	return real_server_of_slot(client->family, bank, client->virtual_server, *slot);
}

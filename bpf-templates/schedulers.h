/* Which real server a new client is given. */
#pragma once

#include "client.h"
#include "maglev.h"
#include "real_servers.h"
#include "round.h"

/* Where the Maglev entries of a virtual server begin: of one that schedules by turns, behind these.
 */
static __always_inline __u32 maglev_line(const struct virtual_server *virtual_server)
{
	if (virtual_server->scheduler == SCHEDULER_MAGLEV)
		return virtual_server->line;
	return virtual_server->line + (virtual_server->length + SLOTS_OF_LINE - 1) / SLOTS_OF_LINE;
}

/*
 * The real server that the virtual server's scheduler gives this client, and its slot. By its hash,
 * whatever the scheduler, a client is given the same again.
 */
static __always_inline struct real_server *
schedule_client(const struct virtual_server *virtual_server, const struct client *client,
		__u32 bank, bool by_hash, __u32 *slot)
{
	__u32 length = virtual_server->length, index, first, line_index;
	struct slot_line *line;

	if (!length)
		return 0;
	if (MAGLEV && (by_hash || virtual_server->scheduler == SCHEDULER_MAGLEV)) {
		index = maglev_index(client->family, client->address, client->port);
		first = maglev_line(virtual_server);
	} else {
		index = next_in_round(client->virtual_server, length);
		if (index >= length)
			return 0;
		first = virtual_server->line;
	}
	line_index = first + index / SLOTS_OF_LINE;
	line = rounds.lookup(&line_index);
	if (!line)
		return 0;
	*slot = line->slot[index % SLOTS_OF_LINE];
	return real_server_of_slot(client->family, bank, client->virtual_server, *slot);
}

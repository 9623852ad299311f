/*
 * What the kernel charges for the tables of an attached program.
 *
 *   table-memory NETNS:IFNAME
 *
 * Prints a line of JSON for each table.
 */
#include <stdio.h>
#include "tools.h"

static void print(int table, const struct bpf_map_info *info, void *unused)
{
	(void)unused;
	printf("{\"table\": \"%s\", \"type\": %u, \"entries\": %u, \"bytes\": %llu}\n", info->name,
	       info->type, info->max_entries, memory_of(table));
}

int main(int argc, char **argv)
{
	if (argc != 2)
		fail("see the first lines of its source for how it is used");
	for_each_table(attached_program(argv[1]), print, NULL);
	return 0;
}

/*
 * How far two CPUs are from each other: ns that a cache line takes there and back.
 *
 *   line-trip FIRST-CPU SECOND-CPU
 *
 * Prints a line of JSON.
 */
#include <stdio.h>
#include <stdlib.h>
#include "tools.h"

int main(int argc, char **argv)
{
	if (argc != 3 || atoi(argv[1]) == atoi(argv[2]))
		fail("see the first lines of its source for how it is used");
	printf("{\"line\": %.1f}\n", line_round_trip(atoi(argv[1]), atoi(argv[2])));
	return 0;
}

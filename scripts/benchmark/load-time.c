/*
 * When an attached program was given to the kernel, before it was verified: ns of CLOCK_BOOTTIME.
 *
 *   load-time NETNS:IFNAME
 *
 * Prints a line of JSON.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "tools.h"

int main(int argc, char **argv)
{
	struct bpf_prog_info info = {0};
	__u32 size = sizeof(info);

	if (argc != 2)
		fail("see the first lines of its source for how it is used");
	if (bpf_obj_get_info_by_fd(attached_program(argv[1]), &info, &size))
		fail("the program tells nothing of itself: %s", strerror(errno));
	printf("{\"loaded\": %llu}\n", info.load_time);
	return 0;
}

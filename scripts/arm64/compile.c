/*
 * Compiles a rendered packet path with the libbcc of the architecture that this is built for. The
 * kernel is asked for nothing, so that it runs in user mode emulation: tables are numbers.
 *
 *   compile TABLES FLAGS… <SOURCE >CODE
 *
 * CODE is byte code, in which the first table is FIRST_TABLE, the next one more. TABLES gets a line
 * for each: type, key size, value size, entries, flags.
 */
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <bcc/bcc_common.h>
#include <bpf/bpf.h>
#include "tables.h"

#define MOST_SOURCE (4 << 20)

static FILE *tables;

/* In the place of libbpf's, which libbcc calls. */
int bpf_map_create(enum bpf_map_type type, const char *name, __u32 key_size, __u32 value_size,
		   __u32 entries, const struct bpf_map_create_opts *options)
{
	int null = open("/dev/null", O_RDONLY), table = fcntl(null, F_DUPFD, FIRST_TABLE);

	close(null);
	fprintf(tables, "%u %u %u %u %u\n", type, key_size, value_size, entries,
		options ? options->map_flags : 0);
	return table;
}

int main(int argc, char **argv)
{
	char *source = calloc(1, MOST_SOURCE);
	int code = dup(STDOUT_FILENO);
	size_t size;
	void *module;

	if (argc < 2 || !source || !fread(source, 1, MOST_SOURCE - 1, stdin))
		return 2;
	tables = fopen(argv[1], "w");
	if (!tables)
		return 2;
	/* libbcc prints to both. */
	dup2(STDERR_FILENO, STDOUT_FILENO);
	module = bpf_module_create_c_from_string(source, 0, (const char **)argv + 2, argc - 2, true,
						 NULL);
	if (!module)
		return 1;
	size = bpf_function_size(module, "ulb");
	if (!size || write(code, bpf_function_start(module, "ulb"), size) != (ssize_t)size)
		return 1;
	return fclose(tables) != 0;
}

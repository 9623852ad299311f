/*
 * Has this machine's kernel verify byte code that compile has made, with tables like those.
 *
 *   verify TABLES CODE
 *
 * Prints how many instructions the program has, and how many the verifier has followed.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <bpf/bpf.h>
#include "tables.h"

#define MOST_TABLES	  64
#define MOST_INSTRUCTIONS (1 << 20)

static struct bpf_insn code[MOST_INSTRUCTIONS];
static char log_text[1 << 16];

int main(int argc, char **argv)
{
	LIBBPF_OPTS(bpf_prog_load_opts, options, .log_level = 4, .log_buf = log_text,
		    .log_size = sizeof(log_text));
	unsigned int type, key_size, value_size, entries, flags, count = 0;
	int tables[MOST_TABLES], program;
	FILE *described, *compiled;
	char *processed;
	size_t length;

	if (argc != 3)
		return 2;
	described = fopen(argv[1], "r");
	compiled = fopen(argv[2], "r");
	if (!described || !compiled)
		return 2;
	while (count < MOST_TABLES && fscanf(described, "%u %u %u %u %u", &type, &key_size,
					     &value_size, &entries, &flags) == 5) {
		LIBBPF_OPTS(bpf_map_create_opts, table_options, .map_flags = flags);

		tables[count] =
			bpf_map_create(type, NULL, key_size, value_size, entries, &table_options);
		if (tables[count++] < 0) {
			perror("verify: error: a table was refused");
			return 1;
		}
	}
	length = fread(code, sizeof(*code), MOST_INSTRUCTIONS, compiled);
	for (size_t i = 0; i < length; i++)
		if (code[i].code == (BPF_LD | BPF_IMM | BPF_DW) &&
		    code[i].src_reg == BPF_PSEUDO_MAP_FD) {
			unsigned int index = code[i].imm - FIRST_TABLE;

			if (index >= count) {
				fprintf(stderr, "verify: error: there is no table %u\n", index);
				return 1;
			}
			code[i].imm = tables[index];
		}
	program = bpf_prog_load(BPF_PROG_TYPE_XDP, "ulb", "GPL", code, length, &options);
	processed = strstr(log_text, "processed ");
	if (program < 0) {
		perror("verify: error: the program was refused");
		fputs(log_text, stderr);
		return 1;
	}
	printf("%zu instructions, %d followed by the verifier\n", length,
	       processed ? atoi(processed + strlen("processed ")) : 0);
	return 0;
}

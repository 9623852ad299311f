/*
 * In the place of ICU's data, 32 MB of the world's languages, which Foundation would bring along:
 * swift-mustache imports it for a lock and for files, and nothing in ulb formats or compares by
 * locale. ICU refuses this header, and answers with an error what it needs data for.
 *
 * DATA is the name that the toolchain's ICU knows it by, behind the prefix of the linker's --wrap.
 */
struct header {
	unsigned short size;
	unsigned char magic[2];
	unsigned char info[28];
};

const struct header DATA __attribute__((aligned(16))) = {0};

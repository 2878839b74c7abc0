/*
 * fuzz_world - files of a simulated world: whatever they say, they are read
 * whole or refused with an error that names its place, and a world that was
 * read can be asked about any domain.
 */
#include "world/worldfile.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define FILE_MAX (64u * 1024)

struct said {
	uint32_t n;
};

static void
report(void *ctx, const char *line)
{
	struct said *s = ctx;

	ASSERT(line[0] != '\0' && strchr(line, '\n') == NULL);
	s->n++;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct said said = { 0 };
	struct conf_errors errs = { .report = report, .ctx = &said };
	struct slice text = slice_of((const char *)data, size);
	struct world *w;

	if (size > FILE_MAX)
		return 0;
	w = world_parse("world.yml", text, &errs);
	ASSERT((w == NULL) == (errs.n != 0) && said.n <= errs.n);
	if (w == NULL)
		return 0;
	ASSERT(w->nproviders <= WORLD_PROVIDERS_MAX);
	for (uint32_t i = 0; i < w->nproviders; i++)
		ASSERT(w->providers[i].naddrs <= PROVIDER_ADDRS_MAX);
	(void)world_provider(w, SL("a.example"));
	(void)world_provider(w, slice_of(text.p, MIN(text.n, 300)));
	world_free(w);
	return 0;
}

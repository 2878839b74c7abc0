/*
 * fuzz_conf - hostile configuration: whatever the bytes, it is refused with
 * errors or gives a configuration that can be freed.
 */
#include "conf/conf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
count(void *ctx, const char *line)
{
	(void)ctx;
	ASSERT(strlen(line) > 0);
	for (const char *p = line; *p; p++)
		ASSERT((unsigned char)*p >= 32); /* escaped */
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct conf_errors errs = { .report = count };
	struct conf *c =
	    conf_parse("fuzz.yml", slice_of((const char *)data, size), &errs);

	if (c)
		conf_free(c);
	else
		ASSERT(errs.n > 0);
	return 0;
}

/*
 * fuzz_conf - hostile configuration: whatever the bytes, as a configuration or as
 * a shaping file, it is refused with errors or gives what can be freed.
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
	struct slice text = slice_of((const char *)data, size);
	const char *name = "shaping.yml";
	struct conf_shaping_in in = { .n = 1, .names = &name, .texts = &text };
	struct conf *c = conf_parse("fuzz.yml", text, &errs);

	if (c)
		conf_free(c);
	else
		ASSERT(errs.n > 0);
	errs.n = 0;
	c = conf_parse_with("own.yml", SL("hostname: mx.example\n"), &in,
	    &errs);
	ASSERT((c == NULL) == (errs.n > 0));
	conf_free(c);
	return 0;
}

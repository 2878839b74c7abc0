/*
 * Reads configurations given as text and remembers what was said about them.
 */
#ifndef TESTS_UNIT_TEST_CONF_H
#define TESTS_UNIT_TEST_CONF_H

#include <stdio.h>

#include "conf/conf.h"

/* All complaints of one reading, each with a newline. */
struct told {
	struct conf_errors errs;
	uint32_t nerrors, nwarnings;
	size_t n;
	char text[65536];
};

static inline void
told_add(struct told *t, const char *line)
{
	t->n +=
	    slice_copy(slice_str(line), t->text + t->n, sizeof(t->text) - t->n);
	t->n += slice_copy(SL("\n"), t->text + t->n, sizeof(t->text) - t->n);
}

static inline void
told_error(void *ctx, const char *line)
{
	struct told *t = ctx;

	t->nerrors++;
	told_add(t, line);
}

static inline void
told_warning(void *ctx, const char *line)
{
	struct told *t = ctx;

	t->nwarnings++;
	told_add(t, line);
}

static inline void
told_init(struct told *t)
{
	*t = (struct told){
		.errs = { .report = told_error, .ctx = t, .warn = told_warning }
	};
}

/* Reads a text as "f.yml". */
static inline struct conf *
told_parse(struct told *t, const char *text)
{
	told_init(t);
	return conf_parse("f.yml", slice_str(text), &t->errs);
}

#endif

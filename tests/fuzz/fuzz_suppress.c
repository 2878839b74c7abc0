/*
 * Fuzz target: lines of an import, as CSV and as JSON. Whatever the bytes, what is
 * read is an entry that can be written, and written it is read back as the same.
 */
#include <stdint.h>

#include "store/store.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

#define NOW 1000000

static void
there_and_back(enum suppress_format f, const struct suppress_entry *e)
{
	static const struct suppress_line_conf none = { .now_s = NOW };
	struct suppress_line again;
	const char *why = NULL;
	struct buf out;
	struct slice line;

	buf_init(&out, 1u << 16);
	suppress_line_write(f, e, &out);
	ASSERT(!out.failed && out.n > 0);
	line = buf_slice(&out);
	ASSERT(line.p[--line.n] == '\n');
	ASSERT(suppress_line_read(f, line, &none, &again, &why) == 0);
	ASSERT(again.e.is_domain == e->is_domain);
	ASSERT(slice_eq(again.e.name, e->name));
	ASSERT(slice_eq(again.e.tenant, e->tenant));
	ASSERT(slice_eq(again.e.reason, e->reason));
	ASSERT(slice_eq(again.e.source, e->source));
	ASSERT(again.e.expires_s == e->expires_s);
	buf_free(&out);
}

static void
one_line(enum suppress_format f, struct slice line)
{
	static const struct suppress_line_conf lc = { .now_s = NOW,
		.reason = { "r", 1 } };
	struct suppress_line one;
	const char *why = NULL;
	int err = suppress_line_read(f, line, &lc, &one, &why);

	ASSERT(err == 0 || err == E_NOTFOUND || (err == E_SYNTAX && why));
	if (err)
		return;
	ASSERT(one.e.name.n > 0 && one.e.name.n <= SUPPRESS_NAME_MAX);
	ASSERT(one.e.tenant.n <= NAME_MAX_BYTES);
	ASSERT(one.e.reason.n <= SUPPRESS_TEXT_MAX);
	(void)suppress_hash(1, one.e.tenant, one.e.is_domain, one.e.name);
	there_and_back(SUPPRESS_CSV, &one.e);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct slice all = slice_of((const char *)data, n);

	if (n == 0 || n > 4096)
		return 0;
	one_line(SUPPRESS_CSV, all);
	one_line(SUPPRESS_JSON, all);
	return 0;
}

/*
 * Fuzz target: a message of parts. Whatever the bytes, parts lie within them, in
 * order and not in each other's way, and what they decode to has a ceiling.
 */
#include <stdint.h>

#include "proto/proto.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void
is_within(struct slice s, struct slice all)
{
	ASSERT(s.n == 0 || (s.p >= all.p && s.p + s.n <= all.p + all.n));
}

static void
decode(const struct mime_part *p, size_t n)
{
	char value[64];
	struct buf text, html;
	struct slice field = mime_field(p->head, SL("Content-Disposition"));

	/* Two bytes of a Latin letter, three of a quote. */
	buf_init(&text, n * 3 + 16);
	buf_init(&html, n * 12 + 64);
	ASSERT(mime_text(p, &text) == 0);
	ASSERT(memchr(text.p != NULL ? text.p : "", '\r', text.n) == NULL ||
	    p->coding == MIME_PLAIN);
	ASSERT(mime_html(buf_slice(&text), &html) == 0);
	buf_reset(&html);
	ASSERT(mime_words(p->head, &html) == 0);
	ASSERT(mime_param(field, SL("filename"), value, sizeof(value)) <
	    sizeof(value));
	buf_free(&text);
	buf_free(&html);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct slice all = slice_of((const char *)data, n);
	const char *at = all.p;
	struct mime m;

	mime_read(all, &m);
	ASSERT(m.nparts >= 1 && m.nparts <= MIME_PARTS_MAX);
	for (uint32_t i = 0; i < m.nparts; i++) {
		const struct mime_part *p = &m.part[i];

		is_within(p->head, all);
		is_within(p->body, all);
		ASSERT(p->type.n > 0 && p->depth <= MIME_DEPTH_MAX);
		ASSERT(p->head.n == 0 || p->head.p >= at);
		ASSERT(p->body.n == 0 || p->body.p >= at + p->head.n);
		if (p->body.n > 0)
			at = p->body.p + p->body.n;
		decode(p, n);
	}
	return 0;
}

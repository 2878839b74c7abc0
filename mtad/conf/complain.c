/*
 * conf/complain.c - complaints about a file: gathered while it is read, told
 * in the order of its lines.
 *
 * The option table is walked in its own order, which is not the file's, so
 * complaints are sorted before they are reported. At most CONF_ERRORS_MAX are
 * kept; the number of the others is told. Nothing here fails: without memory
 * a complaint loses its words, never its count.
 */
#include <stdio.h>

#include "conf/conf_i.h"

#define TEXT_ARENA_MAX (256u << 10)
#define GOT_MAX 80 /* bytes of the user's text that are shown */
#define WORD_MAX 64

void
complaints_init(struct complaints *c, const char *file)
{
	*c = (struct complaints){ .file = file };
	arena_init(&c->arena, 4096, TEXT_ARENA_MAX);
}

/* The user's text in quotes, escaped; or "nothing". */
static void
format_got(struct slice got, char *dst, size_t cap)
{
	char text[GOT_MAX];
	size_t n;

	if (got.p == NULL) {
		snprintf(dst, cap, "nothing");
		return;
	}
	n = text_escape(got, text, sizeof(text));
	snprintf(dst, cap, "\"%s%s\"", text, n < got.n ? "..." : "");
}

static void
add(struct complaints *c, struct place at, bool is_warning, const char *what,
    const char *expected, struct slice got)
{
	char shown[GOT_MAX + 8], text[1024];
	struct complaint *one;
	const char *kept;
	int n;

	c->nerrors += !is_warning;
	if (c->n == CONF_ERRORS_MAX) {
		c->lost += !is_warning;
		return;
	}
	format_got(got, shown, sizeof(shown));
	n = snprintf(text, sizeof(text), "%s, expected %s, got %s", what,
	    expected, shown);
	kept = arena_str(&c->arena, text,
	    MIN((size_t)MAX(n, 0), sizeof(text) - 1));
	one = &c->v[c->n];
	*one = (struct complaint){ .at = at, .seq = c->n++ };
	one->is_warning = is_warning;
	one->text = kept != NULL ? kept : "out of memory";
}

void
complain(struct complaints *c, struct place at, const char *what,
    const char *expected, struct slice got)
{
	add(c, at, false, what, expected, got);
}

void
complain_warn(struct complaints *c, struct place at, const char *what,
    const char *expected, struct slice got)
{
	add(c, at, true, what, expected, got);
}

static int
by_place(const void *va, const void *vb)
{
	const struct complaint *a = va, *b = vb;

	if (a->at.line != b->at.line)
		return a->at.line < b->at.line ? -1 : 1;
	if (a->at.column != b->at.column)
		return a->at.column < b->at.column ? -1 : 1;
	return a->seq < b->seq ? -1 : 1;
}

static void
tell(const struct complaint *one, const char *file, struct conf_errors *errs)
{
	void (*to)(void *ctx, const char *line) =
	    one->is_warning ? errs->warn : errs->report;
	char line[1400];

	if (to == NULL)
		return;
	snprintf(line, sizeof(line), "%s:%u:%u: %s%s", file, one->at.line,
	    one->at.column, one->is_warning ? "warning: " : "", one->text);
	to(errs->ctx, line);
}

void
complaints_flush(struct complaints *c, struct conf_errors *errs)
{
	char line[64];

	qsort(c->v, c->n, sizeof(c->v[0]), by_place);
	for (uint32_t i = 0; i < c->n; i++)
		if (!c->v[i].is_warning || c->nerrors == 0)
			tell(&c->v[i], c->file, errs);
	if (c->lost > 0 && errs->report != NULL) {
		snprintf(line, sizeof(line), "%.40s: and %u more", c->file,
		    c->lost);
		errs->report(errs->ctx, line);
	}
	errs->n += c->nerrors;
	arena_free(&c->arena);
}

size_t
option_path_add(char *path, size_t n, struct slice key)
{
	bool is_plain = name_is_valid(key) && slice_index(key, '.') == key.n;
	const char *quote = is_plain ? "" : "\"";
	char text[GOT_MAX];
	int more;

	text_escape(key, text, sizeof(text));
	more = snprintf(path + n, CONF_WHAT_MAX - n, "%s%s%s%s",
	    n > 0 ? "." : "", quote, text, quote);
	return MIN(n + (size_t)MAX(more, 0), (size_t)CONF_WHAT_MAX - 1);
}

/* The last two rows and the present one of the table of edit distances
 * (optimal string alignment). */
uint32_t
edit_distance(struct slice a, struct slice b, uint32_t max)
{
	uint32_t row[3][WORD_MAX + 1] = { { 0 } };
	uint32_t *before = row[0], *last = row[1], *now = row[2];

	if (a.n > WORD_MAX || b.n > WORD_MAX)
		return max + 1;
	for (uint32_t j = 0; j <= b.n; j++)
		last[j] = j;
	for (uint32_t i = 1; i <= a.n; i++) {
		uint32_t *spare = before;

		now[0] = i;
		for (uint32_t j = 1; j <= b.n; j++) {
			uint32_t change = a.p[i - 1] != b.p[j - 1];
			uint32_t best = last[j - 1] + change;

			best = MIN(best, last[j] + 1);
			best = MIN(best, now[j - 1] + 1);
			if (i > 1 && j > 1 && a.p[i - 1] == b.p[j - 2] &&
			    a.p[i - 2] == b.p[j - 1])
				best = MIN(best, before[j - 2] + 1);
			now[j] = best;
		}
		before = last;
		last = now;
		now = spare;
	}
	return MIN(last[b.n], max + 1);
}

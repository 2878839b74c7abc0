/*
 * view/sources.c - the screen of source addresses: what leaves from each, and
 * how it is received.
 */
#include "view/view_i.h"

#define COLUMN(name)                                                           \
	static void name(const struct snap *s, uint32_t row, struct field *f)
#define R (&s->source_rows[row])

COLUMN(show_name)
{
	f->name = R->name;
}

COLUMN(show_address)
{
	f->name = R->address;
}

COLUMN(show_ehlo)
{
	f->name = R->ehlo;
}

COLUMN(show_rate)
{
	word_rate(f->text, R->rate_milli);
}

COLUMN(show_conns)
{
	word_count(f->text, R->conns);
}

COLUMN(show_paths)
{
	word_count(f->text, R->paths);
}

COLUMN(show_delivered)
{
	word_count(f->text, R->delivered);
}

COLUMN(show_transient)
{
	word_count(f->text, R->transient);
}

COLUMN(show_bounced)
{
	word_count(f->text, R->bounced);
}

COLUMN(show_why)
{
	why_show(R->why, R->until_us, f);
}

COLUMN(show_defer)
{
	word_share(f->text, R->defer_milli);
	if (R->defer_milli >= 200)
		f->style = R->defer_milli >= 500 ? STYLE_BAD : STYLE_WARN;
}

COLUMN(show_refused)
{
	word_count(f->text, R->paths_backoff);
	if (R->paths_backoff > 0)
		f->style = STYLE_WARN;
}

static const struct column columns[] = {
	{ "SOURCE", NULL, 10, 20, 0, false, show_name },
	{ "ADDRESS", NULL, 11, 39, 4, false, show_address },
	{ "EHLO", NULL, 12, 30, 11, false, show_ehlo },
	{ "OUT/s", "rate", 6, 7, 1, true, show_rate },
	{ "DEF%", "defer", 5, 5, 2, true, show_defer },
	{ "CONN", "conns", 5, 5, 5, true, show_conns },
	{ "PATHS", "paths", 6, 6, 8, true, show_paths },
	{ "REFUSED", "refused", 8, 8, 6, true, show_refused },
	{ "SENT", NULL, 6, 7, 7, true, show_delivered },
	{ "DEFER", NULL, 6, 7, 9, true, show_transient },
	{ "BOUNCE", NULL, 6, 7, 10, true, show_bounced },
	{ "WHY", NULL, 13, 18, 3, false, show_why },
};

static char
mark(const struct snap *s, uint32_t row, enum style *style)
{
	const struct why_row *why = why_find(R->why);

	*style = why->style;
	return why->mark;
}

static void
detail(const struct snap *s, uint32_t row, int line, struct line *l)
{
	char n[32];

	if (line == 1) {
		line_add(l, STYLE_NORMAL, " delivered %s",
		    word_count(n, R->delivered));
		line_add(l, STYLE_NORMAL, "  to be repeated %s",
		    word_count(n, R->transient));
		line_add(l, STYLE_NORMAL, "  bounced %s",
		    word_count(n, R->bounced));
		return;
	}
	l->x += 1 +
	    grid_name(l->g, l->x + 1, l->y, (l->end - l->x) / 2, STYLE_TITLE,
		R->name);
	line_add(l, STYLE_NORMAL, "  %s sites", word_count(n, R->paths));
	line_add(l, STYLE_NORMAL, ", %s of them refuse it",
	    word_count(n, R->paths_backoff));
	if (R->reason.n != 0) {
		line_add(l, STYLE_BAD, ": ");
		grid_name(l->g, l->x, l->y, l->end - l->x, STYLE_BAD,
		    R->reason);
		return;
	}
	line_add(l, STYLE_NORMAL, ": %s", why_find(R->why)->means);
}

static int64_t
total(const struct snap *s)
{
	return s->all_sources;
}

const struct screen_view view_sources = { columns, ARRAY_LEN(columns), mark,
	detail, total };

/*
 * view/queues.c - the screen of queues: how much, how fast, and why not
 * faster.
 */
#include "view/view_i.h"

#define COLUMN(name)                                                           \
	static void name(const struct snap *s, uint32_t row, struct field *f)
#define Q (&s->queue_rows[row])

COLUMN(show_domain)
{
	f->name = Q->domain;
}

COLUMN(show_site)
{
	f->name = Q->site;
}

COLUMN(show_pool)
{
	f->name = Q->pool;
}

COLUMN(show_tenant)
{
	f->name = Q->tenant;
}

COLUMN(show_campaign)
{
	f->name = Q->campaign;
}

COLUMN(show_depth)
{
	word_count(f->text, Q->depth);
}

COLUMN(show_due)
{
	word_count(f->text, Q->due);
}

COLUMN(show_deferred)
{
	word_count(f->text, Q->deferred);
}

COLUMN(show_held)
{
	word_count(f->text, Q->held);
}

COLUMN(show_inflight)
{
	word_count(f->text, Q->inflight);
}

COLUMN(show_rate)
{
	word_rate(f->text, Q->rate_milli);
}

COLUMN(show_conns)
{
	word_count(f->text, Q->conns);
}

COLUMN(show_oldest)
{
	word_time(f->text, Q->oldest_us);
}

COLUMN(show_why)
{
	why_show(Q->why, Q->until_us, f);
}

COLUMN(show_defer)
{
	word_share(f->text, Q->defer_milli);
	if (Q->defer_milli >= 200)
		f->style = Q->defer_milli >= 500 ? STYLE_BAD : STYLE_WARN;
}

COLUMN(show_eta)
{
	if (slice_eq(Q->why, SL("held")))
		snprintf(f->text, sizeof(f->text), "held");
	else if (slice_eq(Q->eta, SL("time")) && Q->eta_us >= 0)
		fmt_duration(f->text, Q->eta_us);
	else if (Q->eta.n > 0)
		snprintf(f->text, sizeof(f->text), "%s",
		    slice_eq(Q->eta, SL("grows"))     ? "grows" :
			slice_eq(Q->eta, SL("empty")) ? "-" :
							"?");
	else /* a daemon that does not say */
		word_eta(f->text, Q->depth, Q->rate_milli);
}

static const struct column columns[] = {
	{ "DOMAIN", NULL, 11, 30, 0, false, show_domain },
	{ "SITE", NULL, 16, 28, 12, false, show_site },
	{ "POOL", NULL, 7, 12, 5, false, show_pool },
	{ "TENANT", NULL, 8, 14, 10, false, show_tenant },
	{ "CAMPAIGN", NULL, 9, 16, 11, false, show_campaign },
	{ "DEPTH", "depth", 6, 6, 1, true, show_depth },
	{ "DUE", "due", 5, 6, 6, true, show_due },
	{ "DEFRD", NULL, 5, 6, 13, true, show_deferred },
	{ "HELD", NULL, 5, 6, 14, true, show_held },
	{ "SENT", NULL, 5, 6, 15, true, show_inflight },
	{ "OUT/s", "rate", 5, 6, 2, true, show_rate },
	{ "DEF%", "defer", 4, 5, 4, true, show_defer },
	{ "CONN", "conns", 4, 5, 7, true, show_conns },
	{ "WHY", NULL, 13, 18, 3, false, show_why },
	{ "OLDEST", "oldest", 6, 7, 8, true, show_oldest },
	{ "ETA", NULL, 5, 6, 9, true, show_eta },
};

static char
mark(const struct snap *s, uint32_t row, enum style *style)
{
	const struct why_row *why = why_find(Q->why);

	*style = why->style;
	return why->mark;
}

/* The moment that is so far from the snapshot's: "10:36:17Z". */
static void
clock_text(const struct snap *s, int64_t us, char *dst, size_t cap)
{
	struct date d;

	date_of(s->wall_us + us, &d);
	snprintf(dst, cap, "%02d:%02d:%02dZ", d.hour, d.min, d.sec);
}

static void
detail_why(const struct snap *s, uint32_t row, struct line *l)
{
	char time[32], clock[24];

	l->x += 2;
	l->x +=
	    grid_name(l->g, l->x, l->y, l->end - l->x, STYLE_NORMAL, Q->why);
	if (Q->until_us >= 0) {
		word_exact_time(time, Q->until_us);
		clock_text(s, Q->until_us, clock, sizeof(clock));
		if (s->wall_us < 0 ||
		    !line_add(l, STYLE_NORMAL, " until %s (%s)", clock, time))
			line_add(l, STYLE_NORMAL, " (%s)", time);
	}
	line_add(l, STYLE_NORMAL, ": %s", why_find(Q->why)->means);
}

/* A name and what leads to it, if they take less than a third of the rest. */
static void
detail_name(struct line *l, const char *lead, struct slice name)
{
	int room = (l->end - l->x) / 3, w = (int)strlen(lead);

	if (name.n == 0 || grid_name_width(l->g, name) + w >= room)
		return;
	line_add(l, STYLE_TITLE, "%s", lead);
	l->x += grid_name(l->g, l->x, l->y, l->end - l->x, STYLE_TITLE, name);
}

static void
detail_numbers(const struct snap *s, uint32_t row, struct line *l)
{
	char n[32];

	/* A narrow table has no columns for these, and may hold queues
	 * that differ in nothing else. */
	detail_name(l, " ", Q->tenant);
	detail_name(l, Q->tenant.n > 0 ? "/" : " /", Q->campaign);
	detail_name(l, " only from ", Q->pinned_to);
	line_add(l, STYLE_NORMAL, "%sdelivered %s", l->x > 0 ? "  " : " ",
	    word_count(n, Q->delivered));
	line_add(l, STYLE_NORMAL, "  bounced %s", word_count(n, Q->bounced));
	line_add(l, STYLE_NORMAL, "  deferred %s", word_count(n, Q->deferred));
	line_add(l, STYLE_NORMAL, "  held %s", word_count(n, Q->held));
	line_add(l, STYLE_NORMAL, "  due %s", word_count(n, Q->due));
}

static void
detail(const struct snap *s, uint32_t row, int line, struct line *l)
{
	int w;

	if (line == 1) {
		detail_numbers(s, row, l);
		return;
	}
	/* At most half of the line for the name. */
	w = grid_name(l->g, l->x + 1, l->y, (l->end - l->x) / 2, STYLE_TITLE,
	    Q->domain);
	l->x += w + 1;
	detail_name(l, "@", Q->pool);
	detail_why(s, row, l);
}

static int64_t
total(const struct snap *s)
{
	return s->all_queues;
}

const struct screen_view view_queues = { columns, ARRAY_LEN(columns), mark,
	detail, total };

/*
 * view/frame.c - the whole of a screen: totals above, the table, the chosen
 * row explained, the keys below.
 *
 * Rows from the top: title, flows, [stock, known, tabs,] titles of the table,
 * rows, [rule, detail, detail,] keys; those in brackets only when it is
 * HIGH_H or more rows high. A frame that is printed once has no keys.
 */
#include "keys.h"
#include "view/view_i.h"

#define HIGH_H 18
#define SPARK_N 8

static const struct screen_view *const views[SCREEN_N] = {
	[SCREEN_QUEUES] = &view_queues,
	[SCREEN_SOURCES] = &view_sources,
};

/* ---- title ------------------------------------------------------------------- */

static enum style
state_text(const struct scene *s, char *dst, size_t cap)
{
	char time[32];

	if (s->ui->is_frozen) {
		snprintf(dst, cap, "FROZEN");
		return STYLE_WARN;
	}
	if (s->state == LIVE_STALE) {
		snprintf(dst, cap, "STALE %s",
		    word_short_time(time, s->age_us));
		return STYLE_BAD;
	}
	if (s->state == LIVE_WAITING) {
		snprintf(dst, cap, "WAITING");
		return STYLE_WARN;
	}
	snprintf(dst, cap, "LIVE %s", fmt_duration(time, s->ui->delay_us));
	return STYLE_GOOD;
}

static void
time_text(const struct scene *s, bool is_wide, char *dst, size_t cap)
{
	struct date d;

	dst[0] = '\0';
	if (s->snap == NULL || s->snap->wall_us < 0)
		return;
	date_of(s->snap->wall_us, &d);
	if (is_wide)
		snprintf(dst, cap, "  %04d-%02d-%02d %02d:%02d:%02dZ", d.year,
		    d.mon, d.day, d.hour, d.min, d.sec);
	else
		snprintf(dst, cap, " %02d:%02d:%02dZ", d.hour, d.min, d.sec);
}

static void
draw_title(const struct scene *s, struct grid *g)
{
	char state[48], time[96], up[24];
	enum style style = state_text(s, state, sizeof(state));
	struct line l = { g, 1, 0, 0 };
	int right;

	time_text(s, g->w >= 70, time, sizeof(time));
	right = g->w - (int)(strlen(state) + strlen(time)) - 1;
	grid_put(g, right, 0, g->w, style, slice_str(state));
	grid_put(g, right + (int)strlen(state), 0, g->w, STYLE_NORMAL,
	    slice_str(time));
	l.end = right - 1;
	if (s->snap == NULL) {
		line_add(&l, STYLE_TITLE, "mtatop %s", mta_version());
		return;
	}
	l.x += grid_name(g, 1, 0, MIN(l.end - 1, 40), STYLE_TITLE,
	    s->snap->hostname);
	if (s->snap->uptime_us >= 0)
		line_add(&l, STYLE_NORMAL, "  up %s",
		    fmt_duration(up, s->snap->uptime_us));
	if (s->snap->is_stopping)
		line_add(&l, STYLE_WARN, "  stopping");
	if (s->snap->version.n > 0 && l.end - l.x > 24) {
		line_add(&l, STYLE_QUIET, "  mtad ");
		grid_name(g, l.x, 0, l.end - l.x, STYLE_QUIET,
		    s->snap->version);
	}
}

/* ---- totals ------------------------------------------------------------------ */

/* The last values as a row of heights; nothing where it is unknown. */
static void
add_spark(struct line *l, const struct trend *t, const int64_t *v)
{
	static const char *const ascii[] = { ".", ":", "-", "=", "+", "*",
		"#" };
	static const char *const blocks[] = { "\u2581", "\u2582", "\u2583",
		"\u2584", "\u2585", "\u2586", "\u2587" };
	uint32_t first = t->n > SPARK_N ? t->n - SPARK_N : 0;
	char text[SPARK_N * 3 + 2] = " ";
	int64_t max = 1;
	size_t n = 1, level;

	for (uint32_t i = first; i < t->n; i++)
		max = MAX(max, v[i]);
	for (uint32_t i = first; i < t->n; i++) {
		level = v[i] < 0 ? 0 : (size_t)((double)v[i] / (double)max * 6);
		n += slice_copy(slice_str(v[i] < 0    ? " " :
					l->g->is_utf8 ? blocks[level] :
							ascii[level]),
		    text + n, sizeof(text) - n);
	}
	if (t->n > 1)
		line_add(l, STYLE_QUIET, "%s", text);
}

static void
draw_flows(const struct scene *s, struct grid *g, int y)
{
	const struct snap *p = s->snap;
	bool has_sparks = g->w >= 2 * VIEW_W_MIN;
	struct line l = { g, 1, y, g->w };
	char n[32];

	line_add(&l, STYLE_NORMAL, "In %s/s", word_rate(n, p->in_milli));
	if (has_sparks)
		add_spark(&l, s->trend, s->trend->in);
	line_add(&l, STYLE_NORMAL, "  Out %s/s", word_rate(n, p->out_milli));
	if (has_sparks)
		add_spark(&l, s->trend, s->trend->out);
	line_add(&l, STYLE_NORMAL, "  Defer %s/s",
	    word_rate(n, p->defer_milli));
	if (has_sparks)
		add_spark(&l, s->trend, s->trend->defer);
	line_add(&l, STYLE_NORMAL, "  Bounce %s/s",
	    word_rate(n, p->bounce_milli));
}

static void
draw_stock(const struct snap *p, struct grid *g, int y)
{
	struct line l = { g, 1, y, g->w };
	char n[32];

	line_add(&l, STYLE_TITLE, "Queue %s", word_count(n, p->recipients));
	line_add(&l, STYLE_NORMAL, "  due %s", word_count(n, p->due));
	line_add(&l, STYLE_NORMAL, "  deferred %s", word_count(n, p->deferred));
	line_add(&l, p->held > 0 ? STYLE_WARN : STYLE_NORMAL, "  held %s",
	    word_count(n, p->held));
	line_add(&l, STYLE_NORMAL, "  in flight %s",
	    word_count(n, p->inflight));
	line_add(&l, STYLE_NORMAL, "  messages %s", word_count(n, p->messages));
}

static void
draw_known(const struct snap *p, struct grid *g, int y)
{
	struct line l = { g, 1, y, g->w };
	char n[32];

	line_add(&l, STYLE_NORMAL, "Conns %s", word_count(n, p->sessions));
	if (p->sessions_max > 0)
		line_add(&l, STYLE_NORMAL, "/%s",
		    word_count(n, p->sessions_max));
	if (p->sessions_in >= 0)
		line_add(&l, STYLE_NORMAL, "  in %s",
		    word_count(n, p->sessions_in));
	line_add(&l, STYLE_NORMAL, "  domains %s", word_count(n, p->domains));
	line_add(&l, STYLE_NORMAL, ", %s looking up",
	    word_count(n, p->resolving));
	line_add(&l, STYLE_NORMAL, "  sites %s", word_count(n, p->sites));
	if (p->spool_bytes >= 0)
		line_add(&l, STYLE_NORMAL, "  spool %s",
		    fmt_bytes(n, (uint64_t)p->spool_bytes));
	line_add(&l, STYLE_NORMAL, "  room for %s",
	    word_count(n, p->recipients_free));
}

static void
draw_tabs(const struct scene *s, struct grid *g, int y)
{
	static const char *const tabs[SCREEN_N][2] = {
		{ " 1:Queues ", "[1:Queues]" },
		{ " 2:Sources ", "[2:Sources]" },
	};
	const struct ui *ui = s->ui;
	int64_t all = views[ui->screen]->total(s->snap);
	struct line l = { g, 0, y, g->w };
	char n[32];

	for (int i = 0; i < SCREEN_N; i++) {
		bool is_on = i == (int)ui->screen;

		line_add(&l, is_on ? STYLE_TITLE : STYLE_NORMAL, "%s",
		    tabs[i][is_on]);
	}
	line_add(&l, STYLE_NORMAL, "  sort %s%s", ui_sort_name(ui),
	    ui->is_inverted ? " (lowest first)" : "");
	line_add(&l, STYLE_NORMAL, "  %u of %s", ui->nrows, word_count(n, all));
	if (ui->filter_n > 0 && line_add(&l, STYLE_WARN, "  filter "))
		grid_name(g, l.x, y, l.end - l.x, STYLE_WARN,
		    slice_of(ui->filter, ui->filter_n));
}

/* ---- below ------------------------------------------------------------------- */

static void
draw_trouble(const struct scene *s, struct grid *g, int y)
{
	int x = 1;

	x += grid_put(g, x, y, g->w, STYLE_BAD, slice_str(s->error));
	x += grid_put(g, x, y, g->w, STYLE_NORMAL, SL(": "));
	grid_name(g, x, y, g->w - x, STYLE_NORMAL, slice_str(s->socket));
}

static void
draw_detail(const struct scene *s, struct grid *g, int y, int lines)
{
	const struct screen_view *v = views[s->ui->screen];
	struct ui *ui = s->ui;

	for (int i = 0; i < lines; i++) {
		struct line l = { g, 0, y + i, g->w };

		if (i == lines - 1 && s->state == LIVE_STALE)
			draw_trouble(s, g, y + i);
		else if (ui->cursor < ui->nrows)
			v->detail(s->snap, ui->order[ui->cursor], i, &l);
	}
}

static void
draw_keys(const struct scene *s, struct grid *g, int y)
{
	struct line l = { g, 0, y, g->w };
	const struct ui *ui = s->ui;

	if (ui->is_typing) {
		line_add(&l, STYLE_KEY, "/");
		l.x += grid_name(g, l.x, y, g->w - 24, STYLE_NORMAL,
		    slice_of(ui->filter, ui->filter_n));
		line_add(&l, STYLE_SELECT, " ");
		line_add(&l, STYLE_QUIET, "  Enter: keep, Esc: clear");
		return;
	}
	for (uint32_t i = 0; i < key_table_n; i++) {
		const struct key_row *k = &key_table[i];
		const char *label = k->label;
		int key_n;

		if (k->brief == NULL)
			continue;
		key_n = (int)strcspn(label, " ");
		if (l.x + 2 + key_n + 1 + (int)strlen(k->brief) > l.end)
			break;
		line_add(&l, STYLE_KEY, "%s%.*s", l.x > 0 ? "  " : "", key_n,
		    label);
		line_add(&l, STYLE_NORMAL, ":%s", k->brief);
	}
}

static void
draw_rule(struct grid *g, int y)
{
	struct slice dash = g->is_utf8 ? SL("\u2500") : SL("-");

	for (int x = 0; x < g->w; x++)
		grid_put(g, x, y, 1, STYLE_QUIET, dash);
}

/* ---- all of it ------------------------------------------------------------------ */

static void
draw_waiting(const struct scene *s, struct grid *g)
{
	int x = 1;

	x += grid_put(g, x, 2, g->w, STYLE_TITLE,
	    SL("Waiting for the daemon at "));
	grid_name(g, x, 2, g->w - x, STYLE_TITLE, slice_str(s->socket));
	grid_put(g, 1, 3, g->w, STYLE_NORMAL, slice_str(s->error));
	grid_put(g, 1, 5, g->w, STYLE_NORMAL,
	    SL("Start it with: mtad run -c FILE"));
	draw_keys(s, g, g->h - 1);
}

static void
draw_too_small(struct grid *g)
{
	char text[64];

	snprintf(text, sizeof(text), "mtatop needs %dx%d", VIEW_W_MIN,
	    VIEW_H_MIN);
	grid_put(g, 0, 0, g->w, STYLE_NORMAL, slice_str(text));
	snprintf(text, sizeof(text), "this is %dx%d", g->w, g->h);
	grid_put(g, 0, 1, g->w, STYLE_NORMAL, slice_str(text));
	grid_put(g, 0, 2, g->w, STYLE_NORMAL, SL("q: quit"));
}

static void
draw_frame(const struct scene *s, struct grid *g)
{
	bool is_high = g->h >= HIGH_H;
	int y = 1, below = s->is_once ? 0 : is_high ? 4 : 2;
	int tabs;

	draw_flows(s, g, y++);
	draw_stock(s->snap, g, y++);
	if (is_high)
		draw_known(s->snap, g, y++);
	tabs = is_high ? y++ : -1;
	if (s->ui->is_detail && s->ui->screen == SCREEN_QUEUES)
		view_reasons(s, g, y, g->h - y - below);
	else
		view_table(s, views[s->ui->screen], g, y, g->h - y - below);
	if (tabs >= 0)
		draw_tabs(s, g, tabs); /* it counts the rows of the table */
	if (s->is_once)
		return;
	if (is_high)
		draw_rule(g, g->h - 4);
	draw_detail(s, g, g->h - (is_high ? 3 : 2), is_high ? 2 : 1);
	draw_keys(s, g, g->h - 1);
}

void
view_draw(const struct scene *s, struct grid *g)
{
	if (g->w < VIEW_W_MIN || g->h < VIEW_H_MIN) {
		draw_too_small(g);
		return;
	}
	if (s->ui->is_help) {
		view_help(g, s->ui);
		return;
	}
	draw_title(s, g);
	if (s->snap == NULL)
		draw_waiting(s, g);
	else
		draw_frame(s, g);
}

/*
 * ui.c - the order of rows, and which of them is chosen.
 */
#include "ui.h"

const char *const ui_screen_names[SCREEN_N] = { "queues", "sources" };

#define QUEUE_SORTS(X)                                                         \
	X("depth", depth)                                                      \
	X("due", due)                                                          \
	X("rate", rate_milli)                                                  \
	X("defer", defer_milli) X("conns", conns) X("oldest", oldest_us)
#define SOURCE_SORTS(X)                                                        \
	X("rate", rate_milli)                                                  \
	X("defer", defer_milli)                                                \
	X("conns", conns) X("paths", paths) X("refused", paths_backoff)

#define X(name, field)                                                         \
	static int64_t queue_##field(const struct snap *s, uint32_t row)       \
	{                                                                      \
		return s->queue_rows[row].field;                               \
	}
QUEUE_SORTS(X)
#undef X
#define X(name, field)                                                         \
	static int64_t source_##field(const struct snap *s, uint32_t row)      \
	{                                                                      \
		return s->source_rows[row].field;                              \
	}
SOURCE_SORTS(X)
#undef X

static const struct ui_sort queue_sorts[] = {
#define X(name, field) { name, queue_##field },
	QUEUE_SORTS(X)
#undef X
};
static const struct ui_sort source_sorts[] = {
#define X(name, field) { name, source_##field },
	SOURCE_SORTS(X)
#undef X
};

const struct ui_sort *
ui_sorts(enum ui_screen screen, uint32_t *n)
{
	if (screen == SCREEN_SOURCES) {
		*n = ARRAY_LEN(source_sorts);
		return source_sorts;
	}
	*n = ARRAY_LEN(queue_sorts);
	return queue_sorts;
}

const char *
ui_sort_name(const struct ui *ui)
{
	uint32_t n;

	return ui_sorts(ui->screen, &n)[ui->sort[ui->screen]].name;
}

bool
ui_sort_by(struct ui *ui, const char *name)
{
	uint32_t n;
	const struct ui_sort *sorts = ui_sorts(ui->screen, &n);

	for (uint32_t i = 0; i < n; i++) {
		if (strcmp(sorts[i].name, name) == 0) {
			ui->sort[ui->screen] = i;
			return true;
		}
	}
	return false;
}

void
ui_init(struct ui *ui, int64_t delay_us)
{
	*ui = (struct ui){ .delay_us = delay_us, .page = 1 };
}

void
ui_set_screen(struct ui *ui, enum ui_screen screen)
{
	if (ui->screen != screen)
		ui->anchor = 0;
	ui->screen = screen;
}

/* ---- filter ------------------------------------------------------------------ */

static bool
has_text(struct slice s, struct slice part)
{
	for (size_t i = 0; i + part.n <= s.n; i++)
		if (slice_has_iprefix(slice_skip(s, i), part))
			return true;
	return false;
}

static bool
is_wanted(const struct ui *ui, const struct snap *s, uint32_t row)
{
	struct slice part = slice_of(ui->filter, ui->filter_n);
	const struct snap_queue *q;
	const struct snap_source *r;

	if (part.n == 0)
		return true;
	if (ui->screen == SCREEN_SOURCES) {
		r = &s->source_rows[row];
		return has_text(r->name, part) || has_text(r->address, part) ||
		    has_text(r->why, part);
	}
	q = &s->queue_rows[row];
	return has_text(q->domain, part) || has_text(q->site, part) ||
	    has_text(q->pool, part) || has_text(q->tenant, part) ||
	    has_text(q->campaign, part) || has_text(q->why, part);
}

/* ---- order ------------------------------------------------------------------- */

struct order {
	const struct snap *snap;
	const struct ui_sort *sort;
	bool is_inverted;
};

static int
by_key(const void *a, const void *b, void *arg)
{
	const uint32_t *x = a, *y = b;
	const struct order *o = arg;
	int64_t v = o->sort->of(o->snap, *x), w = o->sort->of(o->snap, *y);

	if (v != w && !o->is_inverted)
		return v > w ? -1 : 1;
	if (v != w)
		return v > w ? 1 : -1;
	/* As the daemon had them: a stable order. */
	return *x < *y ? -1 : *x > *y;
}

/* What a row is, wherever it stands; never 0. */
static uint64_t
row_identity(const struct ui *ui, const struct snap *s, uint32_t row)
{
	const struct snap_queue *q;
	uint64_t h = 1;

	if (ui->screen == SCREEN_SOURCES) {
		struct slice name = s->source_rows[row].name;

		return hash_bytes(h, name.p, name.n) | 1;
	}
	q = &s->queue_rows[row];
	h = hash_bytes(h, q->domain.p, q->domain.n);
	h = hash_bytes(h, q->site.p, q->site.n);
	h = hash_bytes(h, q->pool.p, q->pool.n);
	h = hash_bytes(h, q->tenant.p, q->tenant.n);
	h = hash_bytes(h, q->campaign.p, q->campaign.n);
	h = hash_bytes(h, q->pinned_to.p, q->pinned_to.n);
	return h | 1;
}

static void
find_anchor(struct ui *ui, const struct snap *s)
{
	if (ui->anchor == 0) {
		ui->cursor = 0;
		return;
	}
	for (uint32_t i = 0; i < ui->nrows; i++) {
		if (row_identity(ui, s, ui->order[i]) == ui->anchor) {
			ui->cursor = i;
			return;
		}
	}
	/* It has gone: stay in this place, with whoever is there now. */
	ui->cursor = MIN(ui->cursor, ui->nrows ? ui->nrows - 1 : 0);
	if (ui->nrows > 0)
		ui->anchor = row_identity(ui, s, ui->order[ui->cursor]);
}

void
ui_settle(struct ui *ui, const struct snap *s, uint32_t page)
{
	bool is_sources = ui->screen == SCREEN_SOURCES;
	uint32_t all = is_sources ? s->nsources : s->nqueues, nsorts;
	struct order o = { s, NULL, ui->is_inverted };

	o.sort = &ui_sorts(ui->screen, &nsorts)[ui->sort[ui->screen]];
	ui->nrows = 0;
	for (uint32_t i = 0; i < all && ui->nrows < UI_ROWS_MAX; i++)
		if (is_wanted(ui, s, i))
			ui->order[ui->nrows++] = i;
	qsort_r(ui->order, ui->nrows, sizeof(ui->order[0]), by_key, &o);
	find_anchor(ui, s);
	ui->page = MAX(page, 1);
	if (ui->top > ui->cursor)
		ui->top = ui->cursor;
	if (ui->cursor >= ui->top + ui->page)
		ui->top = ui->cursor - ui->page + 1;
	/* No empty lines below while there are rows above. */
	if (ui->nrows <= ui->page)
		ui->top = 0;
	else
		ui->top = MIN(ui->top, ui->nrows - ui->page);
}

void
ui_move(struct ui *ui, const struct snap *s, int64_t by)
{
	int64_t to;

	if (ui->is_help) {
		to = MAX(MIN((int64_t)ui->help_top + by, UINT16_MAX), 0);
		ui->help_top = (uint32_t)to; /* drawing brings it in range */
		return;
	}
	if (s == NULL)
		return;
	/* Screen, filter or snapshot may be others than those last drawn. */
	ui_settle(ui, s, ui->page);
	if (ui->nrows == 0)
		return;
	to = MAX(MIN((int64_t)ui->cursor + by, (int64_t)ui->nrows - 1), 0);
	ui->cursor = (uint32_t)to;
	ui->anchor = to == 0 ? 0 : row_identity(ui, s, ui->order[to]);
}

/*
 * view/table.c - rows and columns. When the screen is narrow, columns of high
 * rank are left out; what width is left over goes to those that can use it,
 * in the order of their ranks.
 */
#include "view/view_i.h"

#define COLUMNS_MAX 32
#define MARK_W 2

struct layout {
	int width[COLUMNS_MAX]; /* 0 = left out */
};

/* The column of the lowest rank that is at least so much; -1: none. */
static int
next_rank(const struct screen_view *v, int rank)
{
	int best = -1;

	for (uint32_t i = 0; i < v->ncolumns; i++)
		if (v->columns[i].rank >= rank &&
		    (best < 0 || v->columns[i].rank < v->columns[best].rank))
			best = (int)i;
	return best;
}

static void
lay_out(const struct screen_view *v, int w, struct layout *l)
{
	int left = w - MARK_W + 1; /* the first has no blank before it */
	int i, more;

	ASSERT(v->ncolumns <= COLUMNS_MAX);
	*l = (struct layout){ 0 };
	for (int rank = 0; (i = next_rank(v, rank)) >= 0;
	     rank = v->columns[i].rank + 1) {
		if (v->columns[i].min + 1 > left)
			break;
		l->width[i] = v->columns[i].min;
		left -= v->columns[i].min + 1;
	}
	for (int rank = 0; (i = next_rank(v, rank)) >= 0;
	     rank = v->columns[i].rank + 1) {
		if (l->width[i] == 0)
			break;
		more = MIN(v->columns[i].max - v->columns[i].min, left);
		l->width[i] += more;
		left -= more;
	}
}

static void
put_text(struct grid *g, int x, int y, int w, bool is_number, enum style s,
    struct slice text)
{
	int pad = is_number && (int)text.n < w ? w - (int)text.n : 0;

	grid_put(g, x + pad, y, w - pad, s, text);
}

/* The title of a column; a mark at its end, or in its last place, when rows
 * are sorted by it. */
static void
title_text(const struct ui *ui, const struct column *c, int w, char *dst,
    size_t cap)
{
	const char *sort = ui_sort_name(ui);
	int n = (int)strlen(c->title);

	if (c->sort != NULL && strcmp(c->sort, sort) == 0)
		snprintf(dst, cap, "%.*s%c", MIN(n, w - 1), c->title,
		    ui->is_inverted ? 'v' : '^');
	else
		snprintf(dst, cap, "%s", c->title);
}

static void
draw_titles(const struct scene *s, const struct screen_view *v,
    const struct layout *l, struct grid *g, int y)
{
	char title[32];
	int x = MARK_W;

	for (uint32_t i = 0; i < v->ncolumns; i++) {
		const struct column *c = &v->columns[i];

		if (l->width[i] == 0)
			continue;
		title_text(s->ui, c, l->width[i], title, sizeof(title));
		put_text(g, x, y, l->width[i], c->is_number, STYLE_NORMAL,
		    slice_str(title));
		x += l->width[i] + 1;
	}
	grid_bar(g, y, STYLE_HEAD);
}

static void
draw_row(const struct scene *s, const struct screen_view *v,
    const struct layout *l, struct grid *g, int y, uint32_t row)
{
	enum style style = STYLE_NORMAL;
	char mark = v->mark(s->snap, row, &style);
	int x = MARK_W;

	grid_put(g, 0, y, 1, style, slice_of(&mark, 1));
	for (uint32_t i = 0; i < v->ncolumns; i++) {
		const struct column *c = &v->columns[i];
		struct field f = { .style = STYLE_NORMAL };

		if (l->width[i] == 0)
			continue;
		c->show(s->snap, row, &f);
		if (f.name.p != NULL)
			grid_name(g, x, y, l->width[i], f.style, f.name);
		else
			put_text(g, x, y, l->width[i], c->is_number, f.style,
			    slice_str(f.text));
		x += l->width[i] + 1;
	}
}

void
view_table(const struct scene *s, const struct screen_view *v, struct grid *g,
    int y, int h)
{
	struct ui *ui = s->ui;
	struct layout l;
	uint32_t at;

	ui_settle(ui, s->snap, (uint32_t)MAX(h - 1, 1));
	lay_out(v, g->w, &l);
	draw_titles(s, v, &l, g, y);
	for (int i = 1; i < h; i++) {
		at = ui->top + (uint32_t)i - 1;
		if (at >= ui->nrows)
			break;
		draw_row(s, v, &l, g, y + i, ui->order[at]);
		if (at == ui->cursor && !s->is_once) {
			grid_put(g, 1, y + i, 1, STYLE_SELECT, SL(">"));
			grid_bar(g, y + i, STYLE_SELECT);
		}
	}
	if (ui->nrows == 0 && h > 1)
		grid_put(g, MARK_W, y + 1, g->w - MARK_W, STYLE_QUIET,
		    ui->filter_n ? SL("no row holds that text") :
				   SL("nothing here"));
}

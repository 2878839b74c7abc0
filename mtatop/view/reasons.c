/*
 * view/reasons.c - why the chosen queue waits, in place of the rows.
 */
#include "view/view_i.h"

void
view_reasons(const struct scene *s, struct grid *g, int y, int h)
{
	const struct snap *p = s->snap;
	const struct ui *ui = s->ui;
	struct slice want = slice_of("", 0);
	int x = 1;

	ui_settle(s->ui, p, (uint32_t)MAX(h - 1, 1));
	if (ui->cursor < ui->nrows)
		want = p->queue_rows[ui->order[ui->cursor]].domain;

	x += grid_put(g, x, y, g->w - x, STYLE_TITLE, SL("Why the mail for "));
	x += grid_name(g, x, y, g->w - x - 8, STYLE_TITLE, want);
	grid_put(g, x, y, g->w - x, STYLE_TITLE, SL(" waits"));
	if (!slice_eq(p->subject, want)) {
		grid_put(g, 1, y + 1, g->w, STYLE_QUIET,
		    SL("the daemon is asked ..."));
		return;
	}
	if (p->nreasons == 0)
		grid_put(g, 1, y + 1, g->w, STYLE_NORMAL,
		    SL("none of it does"));
	for (int i = 0; i + 1 < h && (uint32_t)i < p->nreasons; i++) {
		struct slice line = p->reasons[i];
		bool is_head = line.n > 0 && line.p[0] != ' ';

		grid_name(g, 1, y + 1 + i, g->w - 1,
		    is_head ? STYLE_TITLE : STYLE_NORMAL, line);
	}
}

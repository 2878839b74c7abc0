/*
 * view/help.c - the help: the table of keys, and what the marks mean.
 */
#include "keys.h"
#include "view/view_i.h"

#define LABEL_W 12

static void
help_row(struct grid *g, int x, int y, int w, const struct key_row *k)
{
	grid_put(g, x + 1, y, LABEL_W, STYLE_KEY, slice_str(k->label));
	grid_put(g, x + 2 + LABEL_W, y, w - LABEL_W - 2, STYLE_NORMAL,
	    slice_str(k->help));
}

static const char *const notes[] = {
	"",
	"Marks: ! in trouble, * at a limit, H held.",
	"WHY: what a queue waits for, how long.",
	"OUT/s, DEF%: deliveries, and the share of",
	"attempts put off, over the last minute.",
	"ETA: depth by that rate.  ?: not known.",
};

void
view_help(struct grid *g, struct ui *ui)
{
	uint32_t columns = g->w >= 2 * VIEW_W_MIN ? 2 : 1;
	uint32_t rows = (key_table_n + columns - 1) / columns;
	uint32_t all = rows + (uint32_t)ARRAY_LEN(notes), at;
	uint32_t room = (uint32_t)MAX(g->h - 2, 1);
	int w = g->w / (int)columns;

	ui->page = room;
	ui->help_top = MIN(ui->help_top, all > room ? all - room : 0);
	grid_put(g, 1, 0, g->w - 1, STYLE_TITLE, SL("mtatop: keys"));
	for (uint32_t i = 0; i < room; i++) {
		int y = (int)i + 1;

		at = ui->help_top + i;
		if (at < rows)
			for (uint32_t c = 0; at < key_table_n && c < columns;
			     c++, at += rows)
				help_row(g, (int)c * w, y, w, &key_table[at]);
		else if (at < all)
			grid_put(g, 1, y, g->w - 1, STYLE_NORMAL,
			    slice_str(notes[at - rows]));
	}
	grid_put(g, 1, g->h - 1, g->w - 1, STYLE_QUIET,
	    all > room ? SL("Up, Down: more   ? or Esc: back") :
			 SL("? or Esc: back"));
}

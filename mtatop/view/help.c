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

/* The keys, in two columns where one is too high. */
static int
help_keys(struct grid *g, int y)
{
	int room = g->h - y - 1, n = (int)key_table_n;
	int columns = n > room && g->w >= 2 * VIEW_W_MIN ? 2 : 1;
	int rows = (n + columns - 1) / columns, w = g->w / columns;

	for (int i = 0; i < n; i++) {
		int at = y + i % rows;

		if (at < g->h - 1)
			help_row(g, i / rows * w, at, w, &key_table[i]);
	}
	return y + rows;
}

void
view_help(struct grid *g)
{
	static const char *const notes[] = {
		"",
		"Marks: ! in trouble, * at a limit, H held.",
		"WHY is what a queue waits for, and for how long; DEF% the",
		"share of attempts put off, OUT/s deliveries, both of the last",
		"minute; ETA is depth by that rate. ? is: not known.",
	};
	int y;

	grid_put(g, 1, 0, g->w - 1, STYLE_TITLE, SL("mtatop: keys"));
	y = help_keys(g, 1);
	for (size_t i = 0; i < ARRAY_LEN(notes) && y < g->h - 1; i++, y++)
		grid_put(g, 1, y, g->w - 1, STYLE_NORMAL, slice_str(notes[i]));
	grid_put(g, 1, g->h - 1, g->w - 1, STYLE_QUIET, SL("? or Esc: back"));
}

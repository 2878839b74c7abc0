/*
 * view/view.h - drawing, without a terminal: a scene goes in, a grid of cells
 * comes out. The same scene gives the same grid, so screens are compared with
 * files in tests.
 *
 * Whatever a peer chose (names, words) passes grid_name, which escapes what
 * could move the cursor or turn the writing; the rest is our own.
 */
#ifndef VIEW_VIEW_H
#define VIEW_VIEW_H

#include "source/source.h"
#include "theme.h"
#include "ui.h"

#define VIEW_W_MIN 40
#define VIEW_H_MIN 12
#define GRID_W_MAX 1000
#define GRID_H_MAX 500

/* ---- the grid -------------------------------------------------------------- */

struct cell {
	uint32_t code; /* Unicode; 0 = right half of the one before */
	uint8_t style; /* enum style */
};
struct grid {
	int w, h;
	bool is_utf8; /* else only ASCII gets in */
	struct cell *cells;
};
/* Blank; sizes are brought into 1 to GRID_*_MAX. */
void grid_init(struct grid *g, int w, int h, bool is_utf8);
void grid_free(struct grid *g);
struct cell *grid_at(const struct grid *g, int x, int y);
/* Our own text, UTF-8, in at most w cells; cut text ends in a mark. Returns
 * the cells used; nothing is drawn outside the grid. */
int grid_put(struct grid *g, int x, int y, int w, enum style s,
    struct slice text);
/* A stranger's text. */
int grid_name(struct grid *g, int x, int y, int w, enum style s,
    struct slice text);
/* Cells that a stranger's text takes. */
int grid_name_width(const struct grid *g, struct slice text);
/* Gives all cells of a row a style. */
void grid_bar(struct grid *g, int y, enum style s);
/* A row as UTF-8 without blanks at its end. */
void grid_line(const struct grid *g, int y, struct buf *out);

/* A line that is filled from the left; a piece that does not fit whole is left
 * out. */
struct line {
	struct grid *g;
	int x, y, end;
};
/* false: it did not fit. */
bool line_add(struct line *l, enum style s, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* ---- a scene --------------------------------------------------------------- */

struct scene {
	const struct snap *snap; /* NULL: nothing has come yet */
	const struct trend *trend;
	struct ui *ui; /* its rows are settled while drawing */
	enum live_state state;
	const char *socket, *error;
	int64_t age_us; /* of the snapshot */
	bool is_once;   /* one frame as text: nothing to press */
};
void view_draw(const struct scene *s, struct grid *g);

#endif

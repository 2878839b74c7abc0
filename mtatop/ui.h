/*
 * ui.h - what the person at the keys has chosen: screen, order, filter, place.
 *
 * Pure: keys and snapshots go in, and the views read it. The chosen row is
 * followed by its identity when rows change places, from the moment somebody
 * moves; until then the first row is shown, whatever it is.
 */
#ifndef UI_H
#define UI_H

#include "source/source.h"

#define UI_ROWS_MAX 2000u
#define UI_FILTER_MAX 64
#define UI_DELAY_MIN (US_PER_S / 4)
#define UI_DELAY_MAX (60 * US_PER_S)

enum ui_screen { SCREEN_QUEUES, SCREEN_SOURCES, SCREEN_N };

struct ui {
	enum ui_screen screen;
	uint32_t sort[SCREEN_N]; /* index into ui_sorts */
	bool is_inverted;
	bool is_frozen, is_help, is_typing;
	bool is_detail; /* the reasons of the chosen queue, in place of rows */
	bool wants_quit, wants_repaint;
	int64_t delay_us;
	char filter[UI_FILTER_MAX];
	size_t filter_n;
	/* Rows to show, as indices into the snapshot's. */
	uint32_t nrows, order[UI_ROWS_MAX];
	uint32_t cursor, top, page;
	uint32_t help_top;
	uint64_t anchor; /* identity of the chosen row, 0 = the first */
};

/* A key by which a screen is sorted, highest first. */
struct ui_sort {
	const char *name; /* on the command line, and the daemon's */
	int64_t (*of)(const struct snap *s, uint32_t row);
};
extern const char *const ui_screen_names[SCREEN_N];
/* The keys of a screen and their number. */
const struct ui_sort *ui_sorts(enum ui_screen screen, uint32_t *n);
const char *ui_sort_name(const struct ui *ui);
/* false: the screen has no such key. */
bool ui_sort_by(struct ui *ui, const char *name);

void ui_init(struct ui *ui, int64_t delay_us);
/* Filters, sorts and places the cursor, for a page of so many rows. */
void ui_settle(struct ui *ui, const struct snap *s, uint32_t page);
/* Settles, and moves the cursor by so many rows. */
void ui_move(struct ui *ui, const struct snap *s, int64_t by);
void ui_set_screen(struct ui *ui, enum ui_screen screen);

#endif

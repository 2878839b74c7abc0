/*
 * keys.h - what each key does: one table, which the help screen and the bottom
 * line are drawn from as well.
 */
#ifndef KEYS_H
#define KEYS_H

#include "ui.h"

/* Keys are Unicode characters, and these beyond them. */
enum {
	K_NONE = 0,
	K_ESC = 27,
	K_UP = 0x110000,
	K_DOWN,
	K_LEFT,
	K_RIGHT,
	K_PAGE_UP,
	K_PAGE_DOWN,
	K_HOME,
	K_END,
	K_BACKSPACE,
	K_ENTER,
	K_F1,
	K_UNKNOWN,
	K_GONE, /* the terminal is no more */
};

struct key_row {
	int key, also;     /* two keys for the same */
	const char *label; /* how they are written */
	const char *brief; /* in the bottom line; NULL: not there */
	const char *help;
	void (*act)(struct ui *ui, const struct snap *s);
};
extern const struct key_row key_table[];
extern const uint32_t key_table_n;

/* A key was pressed; s: what is on the screen, or NULL. */
void keys_press(struct ui *ui, const struct snap *s, int key);

#endif

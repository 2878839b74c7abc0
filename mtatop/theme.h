/*
 * theme.h - styles: what a cell means, and how a terminal shows it. A state
 * never rests on colour alone: it has a word or a mark as well, and each style
 * differs without colours too.
 */
#ifndef THEME_H
#define THEME_H

#include <stdbool.h>

/* name, letter in tests, colour (ncurses' number, -1 the terminal's own),
 * bold, dim, reverse, underline */
#define THEME_TABLE(X)                                                         \
	X(STYLE_NORMAL, '.', -1, 0, 0, 0, 0)                                   \
	X(STYLE_TITLE, 'T', -1, 1, 0, 0, 0)                                    \
	X(STYLE_HEAD, 'H', -1, 0, 0, 1, 0)                                     \
	X(STYLE_SELECT, 'S', -1, 1, 0, 1, 0)                                   \
	X(STYLE_GOOD, 'g', 2, 0, 0, 0, 0)                                      \
	X(STYLE_WARN, 'w', 3, 1, 0, 0, 0)                                      \
	X(STYLE_BAD, 'b', 1, 1, 0, 0, 1)                                       \
	X(STYLE_QUIET, 'q', -1, 0, 1, 0, 0)                                    \
	X(STYLE_KEY, 'k', 6, 1, 0, 0, 0)

#define X(name, letter, color, bold, dim, reverse, underline) name,
enum style { THEME_TABLE(X) STYLE_N };
#undef X

struct theme_row {
	char letter;
	short color;
	bool is_bold, is_dim, is_reverse, is_underlined;
};
const struct theme_row *theme_row(enum style s);

#endif

/*
 * theme.c - the table of styles. Foreground colours only, on whatever ground
 * the terminal has; grey is a colour too, so quiet text is dim instead.
 */
#include "theme.h"

static const struct theme_row theme[STYLE_N] = {
#define X(name, letter, color, bold, dim, reverse, underline)                  \
	[name] = { letter, color, bold, dim, reverse, underline },
	THEME_TABLE(X)
#undef X
};

const struct theme_row *
theme_row(enum style s)
{
	return &theme[s < STYLE_N ? s : STYLE_NORMAL];
}

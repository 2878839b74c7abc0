/*
 * top.h - mtatop as a whole: a daemon watched, and what is shown of it.
 */
#ifndef TOP_H
#define TOP_H

#include "source/source.h"
#include "view/view.h"

enum { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_AWAY = 3 };

struct options {
	const char *config, *sort;
	enum ui_screen screen;
	char socket[256];
	int64_t delay_us;
	bool is_once, is_utf8, is_colored;
};

struct top {
	struct options *o;
	struct live *live;
	struct ui ui;
	int signals;  /* signalfd */
	int ended_by; /* signal, or 0 */
	bool is_gone; /* the terminal */
};

/* One frame as text; the screen, until somebody quits. Exit statuses. */
int top_once(struct options *o);
int top_screen(struct options *o);

int64_t top_clock_us(void);
void top_init(struct top *t, struct options *o);
void top_draw(struct top *t, struct grid *g, int64_t now_us);

#endif

/*
 * screen.h - a grid of cells on a terminal, by ncurses; and keys from it.
 *
 * Whatever ends the program, the terminal is as it was: in order (screen_close)
 * or in a crash (the handlers that screen_open sets put the saved bytes and
 * modes back, and let the signal take its course).
 */
#ifndef SCREEN_H
#define SCREEN_H

#include "view/view.h"

/* false: there is no terminal fit for it; why says so. */
bool screen_open(bool is_colored, char *why, size_t why_cap);
void screen_close(void);
/* Sends what differs from what is there. */
void screen_show(const struct grid *g);
/* The next key that is waiting, K_NONE, or K_GONE. */
int screen_key(void);
/* The size of the terminal now; to be called after SIGWINCH as well. */
void screen_size(int *w, int *h);
/* Forgets what is on the terminal: the next show draws all of it. */
void screen_repaint(void);
/* Gives the terminal back, stops the process as SIGTSTP does, and takes the
 * terminal again when it goes on. */
void screen_suspend(void);

#endif

/*
 * tests/top/term.h - a terminal for a program under test: a pseudo-terminal
 * with libvterm behind it. The program runs as a job of a small shell, so it
 * can be stopped and told to go on.
 *
 * Nothing sleeps: term_wait looks at the screen until it holds a text, and
 * fails the test, showing the screen, when TERM_WAIT_S have passed.
 */
#ifndef TESTS_TOP_TERM_H
#define TESTS_TOP_TERM_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include <termios.h>

#include <vterm.h>

#define TERM_WAIT_S 20
#define TERM_ENV_MAX 16

struct term {
	int master, slave; /* the slave only to look at its modes */
	int news;          /* pipe: what the shell saw of the program */
	pid_t shell, pid;
	struct termios before;
	VTerm *vt;
	VTermScreen *screen;
	int w, h;
	bool is_alternate, is_cursor_on;
	bool is_stopped, is_ended;
	int status;   /* wait status, once it ended */
	size_t bytes; /* that the program has sent */
};

/* Starts argv; env: assignments besides TERM and LC_ALL, ended by NULL. */
void term_open(struct term *t, int w, int h, char *const argv[],
    const char *const env[]);
/* Kills what is left and frees everything. */
void term_close(struct term *t);
/* Takes in what there is to read, waiting ms at most for something. */
void term_pump(struct term *t, int ms);
void term_keys(struct term *t, const char *keys);
void term_resize(struct term *t, int w, int h);
bool term_shows(struct term *t, const char *text);
/* Until holds(ctx); what: for the message when it does not. */
void term_wait_until(struct term *t, bool (*holds)(void *ctx), void *ctx,
    const char *what);
void term_wait(struct term *t, const char *text);
void term_wait_gone(struct term *t, const char *text);
void term_wait_stopped(struct term *t);
/* Until the program has ended; everything that it sent is taken in. */
void term_wait_end(struct term *t);
/* Are modes, screen and cursor as they were before? */
bool term_is_restored(struct term *t);
/* Does any cell have a colour of its own? */
bool term_is_colored(struct term *t);

#endif

/*
 * A pseudo-terminal, a job shell of thirty lines, and libvterm.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "top/term.h"

/* ---- the shell -------------------------------------------------------------- */

struct news {
	pid_t pid;
	int status; /* of waitpid; -1: it has started */
};

static void
tell(int fd, pid_t pid, int status)
{
	struct news n = { pid, status };

	if (write(fd, &n, sizeof(n)) != (ssize_t)sizeof(n))
		_exit(126);
}

static void
run_program(char *const argv[], const char *const env[])
{
	setenv("TERM", "xterm-256color", 1);
	setenv("LC_ALL", "C.UTF-8", 1);
	unsetenv("LINES");
	unsetenv("COLUMNS");
	unsetenv("NO_COLOR");
	for (int i = 0; env != NULL && env[i] != NULL; i++)
		putenv((char *)env[i]);
	execv(argv[0], argv);
	_exit(127);
}

/* Runs the program in the foreground, and tells what becomes of it. */
static void
run_shell(int slave, int news, char *const argv[], const char *const env[])
{
	int status;
	pid_t pid;

	setsid();
	ioctl(slave, TIOCSCTTY, 0);
	dup2(slave, 0);
	dup2(slave, 1);
	dup2(slave, 2);
	signal(SIGTTOU, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	pid = fork();
	if (pid == 0) {
		setpgid(0, 0);
		tcsetpgrp(0, getpid());
		signal(SIGTTOU, SIG_DFL);
		signal(SIGHUP, SIG_DFL);
		run_program(argv, env);
	}
	tell(news, pid, -1);
	do {
		if (waitpid(pid, &status, WUNTRACED) != pid)
			_exit(125);
		tell(news, pid, status);
	} while (WIFSTOPPED(status));
	_exit(0);
}

static void
close_from(int first, int keep)
{
	for (int fd = first; fd < 256; fd++)
		if (fd != keep)
			close(fd);
}

/* ---- the terminal ------------------------------------------------------------- */

static int
on_property(VTermProp prop, VTermValue *v, void *user)
{
	struct term *t = user;

	if (prop == VTERM_PROP_ALTSCREEN)
		t->is_alternate = v->boolean;
	if (prop == VTERM_PROP_CURSORVISIBLE)
		t->is_cursor_on = v->boolean;
	return 1;
}

static const VTermScreenCallbacks callbacks = { .settermprop = on_property };

static void
open_vterm(struct term *t)
{
	t->vt = vterm_new(t->h, t->w);
	assert_non_null(t->vt);
	vterm_set_utf8(t->vt, 1);
	t->screen = vterm_obtain_screen(t->vt);
	vterm_screen_enable_altscreen(t->screen, 1);
	vterm_screen_set_callbacks(t->screen, &callbacks, t);
	vterm_screen_reset(t->screen, 1);
	t->is_alternate = false;
	t->is_cursor_on = true;
}

void
term_open(struct term *t, int w, int h, char *const argv[],
    const char *const env[])
{
	struct winsize size = { .ws_row = (unsigned short)h,
		.ws_col = (unsigned short)w };
	int news[2];

	memset(t, 0, sizeof(*t));
	t->w = w;
	t->h = h;
	assert_int_equal(openpty(&t->master, &t->slave, NULL, NULL, &size), 0);
	assert_int_equal(tcgetattr(t->slave, &t->before), 0);
	assert_int_equal(pipe(news), 0);
	open_vterm(t);
	t->shell = fork();
	assert_true(t->shell >= 0);
	if (t->shell == 0) {
		dup2(news[1], 3);
		dup2(t->slave, 4);
		close_from(5, -1);
		fcntl(3, F_SETFD, FD_CLOEXEC);
		fcntl(4, F_SETFD, FD_CLOEXEC);
		run_shell(4, 3, argv, env);
	}
	close(news[1]);
	t->news = news[0];
	fcntl(t->master, F_SETFL, O_NONBLOCK);
	while (t->pid == 0)
		term_pump(t, 100);
}

void
term_close(struct term *t)
{
	if (!t->is_ended && t->pid > 0)
		kill(t->pid, SIGKILL);
	waitpid(t->shell, NULL, 0);
	if (t->master >= 0)
		close(t->master);
	close(t->slave);
	close(t->news);
	vterm_free(t->vt);
}

static void
take_news(struct term *t)
{
	struct news n;

	if (read(t->news, &n, sizeof(n)) != (ssize_t)sizeof(n))
		return;
	t->pid = n.pid;
	if (n.status == -1)
		return;
	if (WIFSTOPPED(n.status)) {
		t->is_stopped = true;
		return;
	}
	t->is_ended = true;
	t->status = n.status;
}

static void
take_output(struct term *t)
{
	char chunk[4096];
	ssize_t n;

	while ((n = read(t->master, chunk, sizeof(chunk))) > 0) {
		vterm_input_write(t->vt, chunk, (size_t)n);
		t->bytes += (size_t)n;
	}
	/* What the emulator answers (to a question for its kind, say). */
	while (
	    (n = (ssize_t)vterm_output_read(t->vt, chunk, sizeof(chunk))) > 0)
		if (write(t->master, chunk, (size_t)n) != n)
			break;
}

void
term_pump(struct term *t, int ms)
{
	struct pollfd p[2] = {
		{ .fd = t->news, .events = POLLIN },
		{ .fd = t->master, .events = POLLIN },
	};

	if (t->is_ended)
		p[0].fd = -1;
	if (poll(p, 2, ms) <= 0)
		return;
	if (t->master >= 0)
		take_output(t);
	if (p[0].revents != 0)
		take_news(t);
}

void
term_keys(struct term *t, const char *keys)
{
	assert_int_equal(write(t->master, keys, strlen(keys)),
	    (ssize_t)strlen(keys));
}

void
term_resize(struct term *t, int w, int h)
{
	struct winsize size = { .ws_row = (unsigned short)h,
		.ws_col = (unsigned short)w };

	term_pump(t, 0);
	vterm_set_size(t->vt, h, w);
	t->w = w;
	t->h = h;
	assert_int_equal(ioctl(t->master, TIOCSWINSZ, &size), 0);
}

/* ---- looking ------------------------------------------------------------------- */

static void
row_text(struct term *t, int y, char *dst, size_t cap)
{
	VTermRect r = { .start_row = y,
		.end_row = y + 1,
		.start_col = 0,
		.end_col = t->w };
	size_t n = vterm_screen_get_text(t->screen, dst, cap - 1, r);

	dst[n] = '\0';
}

bool
term_shows(struct term *t, const char *text)
{
	char row[4096];

	for (int y = 0; y < t->h; y++) {
		row_text(t, y, row, sizeof(row));
		if (strstr(row, text) != NULL)
			return true;
	}
	return false;
}

static double
seconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void
fail_with_screen(struct term *t, const char *what, const char *text)
{
	char row[4096];

	for (int y = 0; y < t->h; y++) {
		row_text(t, y, row, sizeof(row));
		fprintf(stderr, "| %s\n", row);
	}
	fail_msg("%s %s", what, text);
}

void
term_wait_until(struct term *t, bool (*holds)(void *ctx), void *ctx,
    const char *what)
{
	double end = seconds() + TERM_WAIT_S;

	while (!holds(ctx)) {
		if (t->is_ended)
			fail_with_screen(t, "the program ended before", what);
		if (seconds() > end)
			fail_with_screen(t, "waited in vain for", what);
		term_pump(t, 50);
	}
}

struct sought {
	struct term *t;
	const char *text;
};

static bool
is_shown(void *ctx)
{
	const struct sought *s = ctx;

	return term_shows(s->t, s->text);
}

static bool
is_gone(void *ctx)
{
	return !is_shown(ctx);
}

void
term_wait(struct term *t, const char *text)
{
	term_wait_until(t, is_shown, &(struct sought){ t, text }, text);
}

void
term_wait_gone(struct term *t, const char *text)
{
	term_wait_until(t, is_gone, &(struct sought){ t, text }, text);
}

void
term_wait_stopped(struct term *t)
{
	double end = seconds() + TERM_WAIT_S;

	while (!t->is_stopped) {
		if (t->is_ended || seconds() > end)
			fail_with_screen(t, "it does not stop", "");
		term_pump(t, 50);
	}
	term_pump(t, 0);
}

void
term_wait_end(struct term *t)
{
	double end = seconds() + TERM_WAIT_S;

	while (!t->is_ended) {
		if (seconds() > end)
			fail_with_screen(t, "it does not end", "");
		term_pump(t, 50);
	}
	if (t->master >= 0)
		take_output(t);
}

bool
term_is_restored(struct term *t)
{
	struct termios now;

	if (tcgetattr(t->slave, &now) != 0)
		return false;
	return !t->is_alternate && t->is_cursor_on &&
	    now.c_iflag == t->before.c_iflag &&
	    now.c_oflag == t->before.c_oflag &&
	    now.c_lflag == t->before.c_lflag &&
	    memcmp(now.c_cc, t->before.c_cc, sizeof(now.c_cc)) == 0;
}

bool
term_is_colored(struct term *t)
{
	VTermScreenCell cell;

	for (int y = 0; y < t->h; y++) {
		for (int x = 0; x < t->w; x++) {
			VTermPos at = { .row = y, .col = x };

			vterm_screen_get_cell(t->screen, at, &cell);
			if (!VTERM_COLOR_IS_DEFAULT_FG(&cell.fg) ||
			    !VTERM_COLOR_IS_DEFAULT_BG(&cell.bg))
				return true;
		}
	}
	return false;
}

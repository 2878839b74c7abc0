/*
 * loop.c - the screen until somebody quits.
 *
 * The loop waits for three things at once, keys, signals (by a signalfd) and
 * the daemon's answers, and draws when one of them changed something. Nothing
 * in it waits for the daemon.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "keys.h"
#include "screen.h"
#include "top.h"

#define STALE_TICK_US US_PER_S /* the age of what is stale is redrawn */
#define KEYS_PER_TURN 64

/* Signals come through a descriptor, in their turn. */
static int
signals_open(void)
{
	static const int which[] = { SIGINT, SIGTERM, SIGHUP, SIGWINCH,
		SIGTSTP };
	sigset_t set;

	sigemptyset(&set);
	for (size_t i = 0; i < ARRAY_LEN(which); i++)
		sigaddset(&set, which[i]);
	sigprocmask(SIG_BLOCK, &set, NULL);
	return signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
}

static void
signals_take(struct top *t)
{
	struct signalfd_siginfo info;

	while (read(t->signals, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
		int sig = (int)info.ssi_signo;

		if (sig == SIGTSTP)
			screen_suspend();
		else if (sig != SIGWINCH)
			t->ended_by = sig;
	}
}

/* Of the queue whose reasons are wanted. */
static struct slice
chosen_domain(const struct top *t)
{
	const struct snap *s = live_snap(t->live);
	const struct ui *ui = &t->ui;

	if (!ui->is_detail || s == NULL || ui->cursor >= ui->nrows)
		return slice_of("", 0);
	return s->queue_rows[ui->order[ui->cursor]].domain;
}

/* Passes on what the keys have changed. */
static void
ui_apply(struct top *t, const struct ui *before)
{
	const struct ui *ui = &t->ui;

	if (ui->sort[SCREEN_QUEUES] != before->sort[SCREEN_QUEUES] &&
	    ui->screen == SCREEN_QUEUES)
		live_sort(t->live, ui_sort_name(ui));
	if (ui->delay_us != before->delay_us)
		live_delay(t->live, ui->delay_us);
	if (ui->is_frozen != before->is_frozen)
		live_pause(t->live, ui->is_frozen);
	if (ui->wants_repaint)
		screen_repaint();
	t->ui.wants_repaint = false;
}

static void
keys_take(struct top *t)
{
	struct ui before = t->ui;
	int key;

	for (int i = 0; i < KEYS_PER_TURN; i++) {
		key = screen_key();
		if (key == K_GONE)
			t->is_gone = true;
		if (key == K_NONE || key == K_GONE)
			break;
		keys_press(&t->ui, live_snap(t->live), key);
	}
	ui_apply(t, &before);
}

static void
show(struct top *t)
{
	struct grid g;
	int w, h;

	screen_size(&w, &h);
	grid_init(&g, w, h, t->o->is_utf8);
	top_draw(t, &g, top_clock_us());
	live_subject(t->live, chosen_domain(t)); /* as it was drawn */
	screen_show(&g);
	grid_free(&g);
}

/* Waits; true: something is to be drawn. */
static bool
turn(struct top *t)
{
	struct pollfd p[3] = {
		{ .fd = STDIN_FILENO, .events = POLLIN },
		{ .fd = t->signals, .events = POLLIN },
		{ .fd = live_fd(t->live), .events = live_events(t->live) },
	};
	int64_t now_us = top_clock_us(), until_us = live_deadline(t->live);
	bool is_tick = live_state(t->live) == LIVE_STALE, is_new;
	int n;

	if (is_tick)
		until_us = MIN(until_us, now_us + STALE_TICK_US);
	if (until_us == TIME_NEVER)
		n = poll(p, 3, -1);
	else
		n = poll(p, 3,
		    (int)(MAX(until_us - now_us, 0) / US_PER_MS) + 1);
	if (n < 0 && errno != EINTR) {
		t->is_gone = true;
		return false;
	}
	if (n < 0)
		return false;
	is_new = live_step(t->live, top_clock_us(), p[2].revents != 0);
	if (p[1].revents != 0)
		signals_take(t);
	if (p[0].revents != 0)
		keys_take(t);
	return is_new || is_tick || p[0].revents != 0 || p[1].revents != 0;
}

int
top_screen(struct options *o)
{
	struct top t;
	char why[256];
	bool is_due = true;

	o->delay_us = MAX(o->delay_us, UI_DELAY_MIN);
	top_init(&t, o);
	t.signals = signals_open();
	if (t.signals < 0 || !screen_open(o->is_colored, why, sizeof(why))) {
		fprintf(stderr,
		    "mtatop: %s: printing one frame instead "
		    "(--once)\n",
		    t.signals < 0 ? strerrordesc_np(errno) : why);
		live_free(t.live);
		o->is_once = true;
		return top_once(o);
	}
	while (!t.ui.wants_quit && t.ended_by == 0 && !t.is_gone) {
		if (is_due)
			show(&t);
		is_due = turn(&t);
	}
	screen_close();
	close(t.signals);
	live_free(t.live);
	if (t.ended_by != 0) {
		sigset_t set;

		sigemptyset(&set);
		sigaddset(&set, t.ended_by);
		raise(t.ended_by);
		sigprocmask(SIG_UNBLOCK, &set, NULL);
	}
	return t.is_gone ? EXIT_FAILED : EXIT_DONE;
}

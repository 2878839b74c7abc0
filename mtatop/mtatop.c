/*
 * mtatop.c - main(): options, one frame as text, or the loop of the screen.
 *
 * The loop waits for three things at once, keys, signals (by a signalfd) and
 * the daemon's answers, and draws when one of them changed something. Nothing
 * in it waits for the daemon.
 *
 * Exit status: 0 done, 1 it went wrong, 2 wrong usage, 3 there is no daemon
 * (--once); ended by a signal, the status is the signal's.
 */
#include <errno.h>
#include <getopt.h>
#include <langinfo.h>
#include <locale.h>
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "keys.h"
#include "screen.h"
#include "source/source.h"
#include "view/view.h"

#define STALE_TICK_US US_PER_S /* the age of what is stale is redrawn */
#define ONCE_WAIT_US (10 * US_PER_S)
#define KEYS_PER_TURN 64

enum { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_AWAY = 3 };

struct options {
	const char *config, *sort;
	enum ui_screen screen;
	char socket[256];
	int64_t delay_us;
	bool is_once, is_utf8, is_colored, has_delay;
};

struct top {
	struct options *o;
	struct live *live;
	struct ui ui;
	int signals;  /* signalfd */
	int ended_by; /* signal, or 0 */
	bool is_gone; /* the terminal */
};

static int run_once(struct options *o);
static int run_screen(struct options *o);

/* ---- options -------------------------------------------------------------------- */

static const char help[] =
    "usage: mtatop [OPTION ...]\n"
    "Queues and source addresses of a running mtad, and why mail waits.\n\n"
    "  -H SOCKET      control socket of the daemon\n"
    "  -c FILE        its configuration, which names the socket\n"
    "                 (" CONFIG_FILE ")\n"
    "  -d SECONDS     time between refreshes (1)\n"
    "  -s KEY         sort by depth, due, rate, defer, conns or oldest;\n"
    "                 sources by rate, defer, conns, paths or refused\n"
    "  --screen NAME  queues or sources\n"
    "  --once         print one frame as text and exit; with -d 0 without\n"
    "                 the second look that rates need\n"
    "  --ascii        no characters beyond ASCII\n"
    "  --no-color     no colours (also: NO_COLOR in the environment)\n"
    "  --version, --help\n\n"
    "Press ? for the keys. Exit status: 0 done, 1 it went wrong, 2 wrong\n"
    "usage, 3 the daemon is not there (--once).\n";

static int
usage(const char *what, const char *text)
{
	fprintf(stderr, "mtatop: %s %s\ntry: mtatop --help\n", what, text);
	return EXIT_USAGE;
}

static bool
take_delay(struct options *o, const char *text)
{
	char *end;
	double s = strtod(text, &end);

	if (end == text || *end != '\0' || !(s >= 0 && s <= 60))
		return false;
	o->delay_us = (int64_t)(s * 1e6);
	o->has_delay = true;
	return true;
}

static bool
take_screen(struct options *o, const char *name)
{
	for (int i = 0; i < SCREEN_N; i++) {
		if (strcmp(name, ui_screen_names[i]) == 0) {
			o->screen = (enum ui_screen)i;
			return true;
		}
	}
	return false;
}

enum {
	OPT_ONCE = 1,
	OPT_ASCII,
	OPT_NO_COLOR,
	OPT_SCREEN,
	OPT_VERSION,
	OPT_HELP
};

/* -1: go on; else the exit status. */
static int
take_option(struct options *o, int c)
{
	if (c == 'H' && strlen(optarg) >= sizeof(o->socket))
		return usage("too long a path:", optarg);
	if (c == 'H')
		slice_copy(slice_str(optarg), o->socket, sizeof(o->socket));
	else if (c == 'c')
		o->config = optarg;
	else if (c == 's')
		o->sort = optarg;
	else if (c == OPT_ONCE)
		o->is_once = true;
	else if (c == OPT_ASCII)
		o->is_utf8 = false;
	else if (c == OPT_NO_COLOR)
		o->is_colored = false;
	else if (c == OPT_VERSION)
		return printf("mtatop %s\n", mta_version()) < 0;
	else if (c == OPT_HELP || c == 'h')
		return fputs(help, stdout) < 0;
	else if (c == 'd' && !take_delay(o, optarg))
		return usage("-d wants seconds from 0 to 60, got", optarg);
	else if (c == OPT_SCREEN && !take_screen(o, optarg))
		return usage("--screen wants queues or sources, got", optarg);
	else if (c == '?' || c == ':')
		return usage("wrong option", "");
	return -1;
}

static int
read_options(int argc, char **argv, struct options *o)
{
	static const struct option longs[] = {
		{ "once", no_argument, NULL, OPT_ONCE },
		{ "ascii", no_argument, NULL, OPT_ASCII },
		{ "no-color", no_argument, NULL, OPT_NO_COLOR },
		{ "screen", required_argument, NULL, OPT_SCREEN },
		{ "version", no_argument, NULL, OPT_VERSION },
		{ "help", no_argument, NULL, OPT_HELP },
		{ 0 },
	};
	char why[512];
	struct ui ui;
	int c, status;

	opterr = 0;
	while ((c = getopt_long(argc, argv, "H:c:d:s:h", longs, NULL)) != -1) {
		status = take_option(o, c);
		if (status >= 0)
			return status;
	}
	if (optind < argc)
		return usage("too much:", argv[optind]);
	ui_init(&ui, 0);
	ui.screen = o->screen;
	if (o->sort != NULL && !ui_sort_by(&ui, o->sort))
		return usage("-s: no such key on that screen:", o->sort);
	if (o->socket[0] == '\0' &&
	    !config_socket(o->config, o->socket, sizeof(o->socket), why,
		sizeof(why))) {
		fprintf(stderr, "mtatop: %s\n", why);
		return EXIT_FAILED;
	}
	return -1;
}

int
main(int argc, char **argv)
{
	const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");
	struct options o = { .delay_us = US_PER_S };
	int status;

	setlocale(LC_CTYPE, "");
	o.is_utf8 = strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
	o.is_colored = no_color == NULL || no_color[0] == '\0';
	status = read_options(argc, argv, &o);
	if (status >= 0)
		return status;
	signal(SIGPIPE, SIG_IGN);
	if (!o.is_once && (term == NULL || strcmp(term, "dumb") == 0)) {
		fprintf(stderr,
		    "mtatop: TERM is %s: printing one frame "
		    "instead (--once)\n",
		    term ? term : "not set");
		o.is_once = true;
	}
	return o.is_once ? run_once(&o) : run_screen(&o);
}

/* ---- both ways ------------------------------------------------------------------- */

static int64_t
clock_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * US_PER_S + t.tv_nsec / 1000;
}

static void
top_init(struct top *t, struct options *o)
{
	memset(t, 0, sizeof(*t));
	t->o = o;
	t->live = live_new(o->socket, o->delay_us);
	ui_init(&t->ui, o->delay_us);
	t->ui.screen = o->screen;
	if (o->sort != NULL)
		ui_sort_by(&t->ui, o->sort);
	if (t->ui.screen == SCREEN_QUEUES)
		live_sort(t->live, ui_sort_name(&t->ui));
}

static void
top_draw(struct top *t, struct grid *g, int64_t now_us)
{
	struct scene scene = {
		.snap = live_snap(t->live),
		.trend = live_trend(t->live),
		.ui = &t->ui,
		.state = live_state(t->live),
		.socket = t->o->socket,
		.error = live_error(t->live),
		.age_us = now_us - live_snap_us(t->live),
		.is_once = t->o->is_once,
	};

	view_draw(&scene, g);
}

/* ---- one frame ------------------------------------------------------------------- */

/* Until there is a snapshot that differs from before; false: there is none. */
static bool
await_snap(struct live *l, const struct snap *before)
{
	int64_t end_us = clock_us() + ONCE_WAIT_US, now_us, until_us;
	struct pollfd p;

	for (;;) {
		now_us = clock_us();
		if (now_us >= end_us)
			return false;
		p.fd = live_fd(l);
		p.events = live_events(l);
		p.revents = 0;
		until_us = MIN(live_deadline(l), end_us);
		poll(&p, 1, (int)(MAX(until_us - now_us, 0) / US_PER_MS + 1));
		live_step(l, clock_us(), p.fd >= 0 && p.revents != 0);
		if (live_snap(l) != NULL && live_snap(l) != before)
			return true;
		if (live_state(l) != LIVE_OK && live_error(l)[0] != '\0' &&
		    live_fd(l) < 0)
			return false;
	}
}

static int
env_size(const char *name, int dflt)
{
	const char *text = getenv(name);
	uint64_t n;

	if (text == NULL || slice_u64(slice_str(text), 1000, &n) != 0 || n == 0)
		return dflt;
	return (int)n;
}

static bool
print_grid(const struct grid *g)
{
	struct buf out;
	size_t end = 0;
	bool ok;

	buf_init(&out, 4u * 1024 * 1024);
	for (int y = 0; y < g->h; y++) {
		size_t before = out.n;

		grid_line(g, y, &out);
		if (out.n > before)
			end = out.n + 1;
		buf_addc(&out, '\n');
	}
	/* Without the empty lines below. */
	buf_cut(&out, end);
	ok = fwrite(buf_slice(&out).p, 1, out.n, stdout) == out.n &&
	    fflush(stdout) == 0;
	buf_free(&out);
	return ok;
}

static int
run_once(struct options *o)
{
	struct top t;
	struct grid g;
	int status = EXIT_DONE;

	top_init(&t, o);
	if (!await_snap(t.live, NULL)) {
		fprintf(stderr, "mtatop: %s: %s%s\n", o->socket,
		    live_error(t.live),
		    live_is_away(t.live) ?
			" (start it with: mtad run -c FILE)" :
			"");
		live_free(t.live);
		return EXIT_AWAY;
	}
	if (o->delay_us > 0)
		await_snap(t.live, live_snap(t.live));
	grid_init(&g, MAX(env_size("COLUMNS", 80), VIEW_W_MIN),
	    MAX(env_size("LINES", 24), VIEW_H_MIN), o->is_utf8);
	top_draw(&t, &g, clock_us());
	if (!print_grid(&g))
		status = EXIT_FAILED;
	grid_free(&g);
	live_free(t.live);
	return status;
}

/* ---- the screen ------------------------------------------------------------------ */

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
	top_draw(t, &g, clock_us());
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
	int64_t now_us = clock_us(), until_us = live_deadline(t->live);
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
	is_new = live_step(t->live, clock_us(), p[2].revents != 0);
	if (p[1].revents != 0)
		signals_take(t);
	if (p[0].revents != 0)
		keys_take(t);
	return is_new || is_tick || p[0].revents != 0 || p[1].revents != 0;
}

static int
run_screen(struct options *o)
{
	struct top t;
	char why[256];
	bool is_due = true;

	if (!o->has_delay || o->delay_us < UI_DELAY_MIN)
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
		return run_once(o);
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

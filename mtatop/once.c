/*
 * once.c - one frame as text, for terminals that can do no better, for pipes
 * and for logs; and what it has in common with the screen.
 */
#include <poll.h>

#include "top.h"

#define ONCE_WAIT_US (10 * US_PER_S)

int64_t
top_clock_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * US_PER_S + t.tv_nsec / 1000;
}

void
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

void
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

/* Until there is a snapshot that differs from before; false: there is none. */
static bool
await_snap(struct live *l, const struct snap *before)
{
	int64_t end_us = top_clock_us() + ONCE_WAIT_US, now_us, until_us;
	struct pollfd p;

	for (;;) {
		now_us = top_clock_us();
		if (now_us >= end_us)
			return false;
		p.fd = live_fd(l);
		p.events = live_events(l);
		p.revents = 0;
		until_us = MIN(live_deadline(l), end_us);
		poll(&p, 1, (int)(MAX(until_us - now_us, 0) / US_PER_MS + 1));
		live_step(l, top_clock_us(), p.fd >= 0 && p.revents != 0);
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

int
top_once(struct options *o)
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
	top_draw(&t, &g, top_clock_us());
	if (!print_grid(&g))
		status = EXIT_FAILED;
	grid_free(&g);
	live_free(t.live);
	return status;
}

/*
 * run.c - loop, signals and ticks of a serving command.
 */
#include <event2/event.h>
#include <unistd.h>

#include "mtasim.h"
#include "run.h"

static void
on_stop(evutil_socket_t sig, short what, void *arg)
{
	struct run *r = arg;

	(void)sig;
	(void)what;
	r->is_over = true;
}

static void
on_usr1(evutil_socket_t sig, short what, void *arg)
{
	struct run *r = arg;

	(void)sig;
	(void)what;
	if (r->on_counts != NULL)
		r->on_counts(r->ctx);
}

static void
on_tick(void *ctx, int64_t now_us)
{
	struct run *r = ctx;

	if (r->on_second != NULL)
		r->on_second(r->ctx);
	timer_set(&r->timers, &r->tick, now_us + US_PER_S);
}

static void
on_end(void *ctx, int64_t now_us)
{
	struct run *r = ctx;

	(void)now_us;
	r->is_over = true;
}

void
run_init(struct run *r, void *ctx)
{
	static const int sig[RUN_SIGNALS] = { SIGTERM, SIGINT, SIGUSR1 };

	*r = (struct run){ .ctx = ctx };
	r->loop = loop_new();
	if (r->loop == NULL) {
		fprintf(stderr, "mtasim: cannot make an event loop\n");
		exit(SIM_UNREACHABLE);
	}
	timers_init(&r->timers);
	for (int i = 0; i < RUN_SIGNALS; i++) {
		r->signals[i] = evsignal_new(loop_base(r->loop), sig[i],
		    sig[i] == SIGUSR1 ? on_usr1 : on_stop, r);
		if (r->signals[i] != NULL)
			evsignal_add(r->signals[i], NULL);
	}
	r->tick = (struct timer){ .fire = on_tick, .ctx = r };
	timer_set(&r->timers, &r->tick, loop_now(r->loop) + US_PER_S);
}

void
run_limit(struct run *r, int64_t us)
{
	r->end = (struct timer){ .fire = on_end, .ctx = r };
	if (us > 0)
		timer_set(&r->timers, &r->end, loop_now(r->loop) + us);
}

void
run_turn(struct run *r, int64_t until_us)
{
	loop_turn(r->loop, MIN(until_us, timers_next(&r->timers)));
	timers_run(&r->timers, loop_now(r->loop));
}

void
run_go(struct run *r)
{
	while (!r->is_over)
		run_turn(r, TIME_NEVER);
}

void
run_free(struct run *r)
{
	/* Connections that still say goodbye keep their loop: the process is
	 * about to end, and they end with it. */
	static struct loop *left;

	for (int i = 0; i < RUN_SIGNALS; i++)
		if (r->signals[i] != NULL)
			event_free(r->signals[i]);
	timers_free(&r->timers);
	left = r->loop;
	(void)left;
}

void
run_ready(int fd, const char *what)
{
	char line[512];
	int n = snprintf(line, sizeof(line), "ready%s%s\n",
	    what[0] != '\0' ? " " : "", what);

	n = MIN(n, (int)sizeof(line) - 1);
	if (write(fd, line, (size_t)n) != n)
		perror("mtasim: cannot say that it is ready");
}

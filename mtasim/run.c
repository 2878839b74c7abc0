/*
 * run.c - loop, signals and ticks of a command.
 *
 * The end of a wait comes from a timer of the kernel's: the loop's own is as
 * coarse as the scheduler's tick, and a schedule of messages is not.
 */
#include <event2/event.h>
#include <sys/timerfd.h>
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
on_usr2(evutil_socket_t sig, short what, void *arg)
{
	struct run *r = arg;

	(void)sig;
	(void)what;
	if (r->on_begin != NULL)
		r->on_begin(r->ctx);
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

/* Nothing to do: that the loop turns is all. */
static void
on_alarm(evutil_socket_t fd, short what, void *arg)
{
	struct run *r = arg;

	(void)fd;
	(void)what;
	r->alarm_us = TIME_NEVER;
}

static void
alarm_init(struct run *r)
{
	r->alarm_us = TIME_NEVER;
	r->alarm_fd =
	    timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	/* Edge-triggered and never read: each ring is an edge of its own. */
	r->alarm = event_new(loop_base(r->loop), r->alarm_fd,
	    EV_READ | EV_ET | EV_PERSIST, on_alarm, r);
	if (r->alarm_fd < 0 || r->alarm == NULL ||
	    event_add(r->alarm, NULL) != 0) {
		fprintf(stderr, "mtasim: cannot make a timer\n");
		exit(SIM_UNREACHABLE);
	}
}

/* An alarm that rings too early only costs a turn. */
static void
alarm_set(struct run *r, int64_t at_us)
{
	struct itimerspec when = {
		.it_value = { at_us / US_PER_S, at_us % US_PER_S * 1000 },
	};

	if (at_us == TIME_NEVER || r->alarm_us <= at_us)
		return;
	timerfd_settime(r->alarm_fd, TFD_TIMER_ABSTIME, &when, NULL);
	r->alarm_us = at_us;
}

void
run_init(struct run *r, void *ctx)
{
	static const struct {
		int number;
		void (*take)(evutil_socket_t sig, short what, void *arg);
	} sig[RUN_SIGNALS] = { { SIGTERM, on_stop }, { SIGINT, on_stop },
		{ SIGUSR1, on_usr1 }, { SIGUSR2, on_usr2 } };

	*r = (struct run){ .ctx = ctx };
	r->loop = loop_new();
	if (r->loop == NULL) {
		fprintf(stderr, "mtasim: cannot make an event loop\n");
		exit(SIM_UNREACHABLE);
	}
	alarm_init(r);
	timers_init(&r->timers);
	for (int i = 0; i < RUN_SIGNALS; i++) {
		r->signals[i] = evsignal_new(loop_base(r->loop), sig[i].number,
		    sig[i].take, r);
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
	until_us = MIN(until_us, timers_next(&r->timers));
	if (until_us > loop_now(r->loop)) {
		alarm_set(r, until_us);
		until_us = TIME_NEVER;
	}
	loop_turn(r->loop, until_us);
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
	event_free(r->alarm);
	close(r->alarm_fd);
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

/*
 * run.h - the life of a command that serves: its loop, its timers, signals,
 * and a tick each second.
 */
#ifndef RUN_H
#define RUN_H

#include <signal.h>

#include "net/net.h"
#include "world/timers.h"

#define RUN_SIGNALS 4

struct run {
	struct loop *loop;
	struct timers timers;
	bool is_over;                 /* SIGTERM, SIGINT, or time is up */
	void (*on_second)(void *ctx); /* may be NULL */
	void (*on_counts)(void *ctx); /* SIGUSR1; may be NULL */
	void (*on_begin)(void *ctx);  /* SIGUSR2; may be NULL */
	void *ctx;
	struct timer tick, end;
	struct event *signals[RUN_SIGNALS];
	struct event *alarm; /* of alarm_fd */
	int alarm_fd;
	int64_t alarm_us; /* when it rings; TIME_NEVER: it is not set */
};

/* Dies without memory. */
void run_init(struct run *r, void *ctx);
/* Ends by itself after so long; 0 = never. */
void run_limit(struct run *r, int64_t us);
/* Turns until it is over. */
void run_go(struct run *r);
/* One turn: waits until until_us at most. */
void run_turn(struct run *r, int64_t until_us);
void run_free(struct run *r);
/* Says that all sockets listen: "ready WHAT" and a newline to fd. */
void run_ready(int fd, const char *what);

#endif

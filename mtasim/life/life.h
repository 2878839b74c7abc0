/*
 * life/life.h - a scenario lived through: the real mtad, a world and loads as
 * child processes on loopback, in real time; and what became of the mail, by
 * the journals of those outside.
 *
 * For one thread. Children die with it.
 */
#ifndef LIFE_H
#define LIFE_H

#include "plan/trial.h"

#define LIFE_UNTIL_MAX_US (600 * US_PER_S)
#define LIFE_WHY_MAX 512
#define LIFE_PATH_MAX 512

/* Numbers of one provider, or of all together, as a plan counts them. */
struct life_side {
	uint64_t arrived, delivered, bounced;
	uint64_t attempts, deferrals; /* transactions; of them answered 4xx */
	int64_t first_us;             /* arrival */
	int64_t last_us;              /* that left; some did not: the end */
	struct hist stay;             /* from 250 to delivery */
};

struct life {
	/* Filled in by the caller. */
	const struct scen *s;
	const char *scenario; /* its path */
	const char *mtad, *mtasim;
	char dir[LIFE_PATH_MAX]; /* exists; everything is made there */
	/* Called a few times a second with the time since the start; may be
	 * NULL. True: give up. */
	bool (*tell)(void *ctx, int64_t at_us);
	void *ctx;

	struct life_side *sides; /* by provider; [nproviders] is of all */
	struct demand *demand;   /* by workload: what was acknowledged when */
	char why[LIFE_WHY_MAX];
};

/* Can it be lived through? False with errors reported: its time is too long or
 * open, its arrivals are by chance ... */
bool life_check(const struct scen *s, struct conf_errors *errs);
/* 0, l->sides and l->demand, or an E_* and l->why. Takes the scenario's `until` and a few
 * seconds; no process is left. */
int life_run(struct life *l) MUST_CHECK;
void life_free(struct life *l);

#endif

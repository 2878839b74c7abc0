/*
 * engine/eta_i.h - what an ETA is made of, for eta.c and the files beside it.
 *
 * Times are microseconds from now; a bound is one of three, so that what follows
 * from the best case stays apart from what follows from the worst.
 */
#ifndef ENGINE_ETA_I_H
#define ENGINE_ETA_I_H

#include "engine/engine_i.h"

#define ETA_MAX (5 * INT64_C(86400) * US_PER_S) /* nothing waits longer */
#define ETA_SOURCES 256u /* of a site or pool: looked at */
/* Messages of a connection per 1000 s, before it has shown how many. */
#define CONN_USUAL 1500u
#define ETA_SEEN_MIN 8u /* attempts that say something about a rate */

/* At best, likely, at worst. */
enum bound { AT_LEAST, LIKELY, AT_MOST, BOUNDS };
struct guess {
	int64_t at[BOUNDS];
};

/* How fast attempts come to an end, while there is a line. */
struct speed {
	uint64_t n;      /* attempts seen, of the whole lane */
	int64_t span_us; /* in so much time; 0 = not known */
	uint32_t nsteps;
	uint32_t spread;     /* of a step, in thousandths of the mean */
	uint64_t own;        /* attempts of the queue itself */
	uint64_t off;        /* of them, put off */
	uint64_t came, left; /* recipients of the queue */
};

/* ---- eta_line.c ---- */
int64_t eta_mul_div(int64_t a, uint64_t b, uint64_t c);
uint64_t eta_root(uint64_t x);
/* Is a count another than chance would have it? */
bool eta_differs(uint64_t x, uint64_t mean);
/* The step that is k before the step `now`; what is before the study or behind
 * its last event is empty. */
struct study_step eta_step_back(const struct study *s, uint32_t now,
    uint32_t k);
/* From the present back, over steps that began with a line, without the first
 * `skip`, as long as it is one rate. is_moving: steps in which it stood do
 * not count, for what stops it then is known. */
struct speed eta_speed(const struct eng *e, const struct queue *q,
    int64_t now_us, uint32_t skip, bool is_moving);
/* The same of a long time, where mail leaves in most quarters of an hour: then a
 * pause of some minutes is no outage. */
bool eta_long_speed(const struct queue *q, const struct study *s,
    int64_t now_us, struct speed *v);
/* Until n recipients in the line have had their attempt, with those of others
 * that have theirs meanwhile. */
struct guess eta_line(const struct eng *e, const struct queue *q,
    const struct speed *v, uint64_t n, int64_t now_us);

/* ---- eta_clock.c ---- */
/* Is the queue's mail held by something that opens and shuts by the clock: a
 * quota, a source's day, its tenant's hours? */
bool eta_has_clock(const struct eng *e, const struct queue *q);
/* What they make of a line of n recipients that would take so long. */
void eta_by_clock(const struct eng *e, const struct queue *q, uint64_t n,
    int64_t now_us, struct guess *g);

#endif

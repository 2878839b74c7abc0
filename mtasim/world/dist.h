/*
 * world/dist.h - how long, how large: a distribution read from text and drawn
 * from a seeded generator.
 *
 *	350ms                         always so
 *	constant 350ms                the same
 *	uniform 1K 64K                evenly between two
 *	exponential 80ms              by its mean
 *	gamma 250ms k 4               by its mean; k whole, from 1 to 64
 *	lognormal 350ms               by its median; p99 is three times that
 *	lognormal median 38K p99 180K
 *
 * The words "mean" and "median" may stand before their value, "=" for a blank.
 */
#ifndef WORLD_DIST_H
#define WORLD_DIST_H

#include "base/base.h"

enum dist_kind {
	DIST_CONSTANT,
	DIST_UNIFORM,
	DIST_EXPONENTIAL,
	DIST_GAMMA,
	DIST_LOGNORMAL
};
enum dist_unit { DIST_TIME, DIST_SIZE }; /* microseconds, bytes */

struct dist {
	uint8_t kind; /* enum dist_kind */
	uint8_t k;
	double a, b; /* value; two ends; mean; median and sigma */
};

/* What a user may write, for errors. */
const char *dist_expects(enum dist_unit unit);
/* 0 or E_SYNTAX. */
int dist_parse(struct slice text, enum dist_unit unit,
    struct dist *d) MUST_CHECK;
void dist_constant(struct dist *d, int64_t value);
/* Not negative. */
int64_t dist_draw(const struct dist *d, struct rng *rng);
/* Of a lognormal one, what one in a hundred exceeds. */
double dist_p99(const struct dist *d);
/* Uniform in (0, 1]. */
double dist_unit_draw(struct rng *rng);

#endif

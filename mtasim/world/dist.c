/*
 * world/dist.c - distributions from text.
 */
#include <math.h>

#include "world/dist.h"

#define WORDS_MAX 6
#define P99_SIGMAS 2.3263478740408408 /* of the normal distribution */
#define P99_DEFAULT 3.0               /* times the median */
#define DRAW_MAX 1e15

const char *
dist_expects(enum dist_unit unit)
{
	return unit == DIST_TIME ?
	    "a time such as 350ms, or \"exponential 80ms\", \"gamma 250ms k "
	    "4\", \"lognormal 350ms p99 1s\", \"uniform 10ms 20ms\"" :
	    "a size such as 46K, or \"lognormal median 38K p99 180K\", "
	    "\"uniform 1K 64K\"";
}

void
dist_constant(struct dist *d, int64_t value)
{
	*d = (struct dist){ .kind = DIST_CONSTANT, .a = (double)value };
}

/* Splits at blanks and "="; returns how many, or WORDS_MAX + 1. */
static uint32_t
words_of(struct slice s, struct slice w[WORDS_MAX])
{
	uint32_t n = 0;
	size_t at = 0;

	for (size_t i = 0; i <= s.n; i++) {
		if (i < s.n && s.p[i] != ' ' && s.p[i] != '=')
			continue;
		if (i > at && n == WORDS_MAX)
			return WORDS_MAX + 1;
		if (i > at)
			w[n++] = slice_of(s.p + at, i - at);
		at = i + 1;
	}
	return n;
}

static bool
value_of(struct slice s, enum dist_unit unit, double *v)
{
	uint64_t size;
	int64_t us;

	if (unit == DIST_TIME) {
		if (parse_duration(s, &us) != 0)
			return false;
		*v = (double)us;
		return true;
	}
	if (parse_size(s, &size) != 0)
		return false;
	*v = (double)size;
	return true;
}

static bool
take_lognormal(struct dist *d, const struct slice *w, uint32_t n,
    enum dist_unit unit)
{
	double p99 = 0;

	if (!value_of(w[0], unit, &d->a) || d->a <= 0)
		return false;
	if (n == 1)
		p99 = P99_DEFAULT * d->a;
	else if (n != 3 || !slice_eq(w[1], SL("p99")) ||
	    !value_of(w[2], unit, &p99) || p99 < d->a)
		return false;
	d->b = log(p99 / d->a) / P99_SIGMAS;
	return true;
}

static bool
take_gamma(struct dist *d, const struct slice *w, uint32_t n,
    enum dist_unit unit)
{
	uint64_t k;

	if (n != 3 || !value_of(w[0], unit, &d->a) ||
	    !slice_eq(w[1], SL("k")) || slice_u64(w[2], 64, &k) != 0 || k == 0)
		return false;
	d->k = (uint8_t)k;
	return true;
}

static bool
take_named(struct dist *d, struct slice name, const struct slice *w, uint32_t n,
    enum dist_unit unit)
{
	if (n > 1 &&
	    (slice_eq(w[0], SL("mean")) || slice_eq(w[0], SL("median")))) {
		w++;
		n--;
	}
	if (slice_eq(name, SL("constant"))) {
		d->kind = DIST_CONSTANT;
		return n == 1 && value_of(w[0], unit, &d->a);
	}
	if (slice_eq(name, SL("exponential"))) {
		d->kind = DIST_EXPONENTIAL;
		return n == 1 && value_of(w[0], unit, &d->a);
	}
	if (slice_eq(name, SL("uniform"))) {
		d->kind = DIST_UNIFORM;
		return n == 2 && value_of(w[0], unit, &d->a) &&
		    value_of(w[1], unit, &d->b) && d->a <= d->b;
	}
	if (slice_eq(name, SL("gamma"))) {
		d->kind = DIST_GAMMA;
		return take_gamma(d, w, n, unit);
	}
	if (slice_eq(name, SL("lognormal"))) {
		d->kind = DIST_LOGNORMAL;
		return take_lognormal(d, w, n, unit);
	}
	return false;
}

int
dist_parse(struct slice text, enum dist_unit unit, struct dist *d)
{
	struct slice w[WORDS_MAX];
	uint32_t n = words_of(text, w);

	*d = (struct dist){ .kind = DIST_CONSTANT };
	if (n == 0 || n > WORDS_MAX)
		return E_SYNTAX;
	if (n == 1)
		return value_of(w[0], unit, &d->a) ? 0 : E_SYNTAX;
	return take_named(d, w[0], w + 1, n - 1, unit) ? 0 : E_SYNTAX;
}

double
dist_p99(const struct dist *d)
{
	return d->a * exp(d->b * P99_SIGMAS);
}

double
dist_unit_draw(struct rng *rng)
{
	return (double)((rng_u64(rng) >> 11) + 1) * 0x1p-53;
}

static double
normal(struct rng *rng)
{
	double r = sqrt(-2.0 * log(dist_unit_draw(rng)));

	return r * cos(2.0 * M_PI * dist_unit_draw(rng));
}

/* The sum of k exponential times. */
static double
erlang(uint32_t k, struct rng *rng)
{
	double product = 1.0, sum = 0.0;

	for (uint32_t i = 0; i < k; i++) {
		product *= dist_unit_draw(rng);
		if (product < 0x1p-900) { /* 1 draw is at least 2^-53 */
			sum -= log(product);
			product = 1.0;
		}
	}
	return sum - log(product);
}

int64_t
dist_draw(const struct dist *d, struct rng *rng)
{
	double v = d->a;

	switch ((enum dist_kind)d->kind) {
	case DIST_CONSTANT:
		break;
	case DIST_UNIFORM:
		v = d->a + (d->b - d->a) * dist_unit_draw(rng);
		break;
	case DIST_EXPONENTIAL:
		v = -d->a * log(dist_unit_draw(rng));
		break;
	case DIST_GAMMA:
		v = d->a / d->k * erlang(d->k, rng);
		break;
	case DIST_LOGNORMAL:
		v = d->a * exp(d->b * normal(rng));
		break;
	}
	return (int64_t)(MIN(v, DRAW_MAX) + 0.5);
}

/*
 * test_engine_adapt - the closed loop: a receiver's hidden limit, found by trying
 * and followed when it steps; beside a sender that stays away for an hour after
 * each refusal. By the real engine in virtual time. ADAPT=1 prints every minute
 * too, ADAPT=table the table; TRIAL=NAME one line of it.
 * timeout: 60
 * sanitized: later
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "eng_lab.h"

#define MIN_US (60 * US_PER_S)
#define STEP_MIN 120
#define SETTLE_MIN 15

struct trial {
	const char *name;
	struct lab_limit limit;
	uint32_t nsources;
	uint64_t factor[8]; /* of the limit in each 2 hours, in percent */
	uint32_t nsteps;
	bool is_fixed; /* suspended for an hour after each refusal */
	int64_t reply_us;
};

struct score {
	uint64_t share_ppm;           /* taken, of what the limit allows */
	uint64_t deferred_ppm;        /* of the attempts */
	uint64_t least_ppm, most_ppm; /* share of one step */
};

/* What the limit lets through in us. */
static uint64_t
allowed(const struct lab *l, int64_t us)
{
	const struct lab_limit *x = &l->limit;
	uint64_t n = x->is_shared ? 1 : l->policy->nsources;

	if (x->window_us)
		return n * x->burst * (uint64_t)us / (uint64_t)x->window_us;
	return n * x->per_1000s * (uint64_t)(us / US_PER_S) / 1000;
}

static struct score
run(const struct trial *t, uint64_t seed)
{
	struct lab *l = lab_new(t->nsources);
	uint64_t may = 0, taken = 0, refused = 0;
	struct score s = { .least_ppm = UINT64_MAX };
	bool tells = getenv("ADAPT") != NULL && *getenv("ADAPT") == '1';

	l->policy->shapes[0].conns_max = 20;
	if (t->is_fixed) {
		l->policy->shapes[0].floor_count = 0;
		l->policy->shapes[0].backoff_min_us = 60 * MIN_US;
		l->policy->shapes[0].backoff_max_us = 60 * MIN_US;
	}
	if (t->reply_us)
		l->reply_us = t->reply_us;
	lab_start(l, seed);
	for (uint32_t k = 0; k < t->nsteps; k++) {
		uint64_t may0 = may, taken0 = taken;

		l->limit = t->limit;
		if (l->limit.over.code == 0)
			l->limit.over = lab_refusal(421, STAGE_MAIL,
			    KIND_THROTTLE, SCOPE_PATH);
		l->limit.per_1000s = l->limit.per_1000s * t->factor[k] / 100;
		if (l->limit.window_us)
			l->limit.burst =
			    (uint32_t)(l->limit.burst * t->factor[k] / 100);
		for (int m = 0; m < STEP_MIN; m++) {
			l->count = (struct lab_count){ 0 };
			lab_run(l, MIN_US);
			if (tells)
				printf("%3d %4d: %4llu of %4llu, %llu\n", k, m,
				    (unsigned long long)l->count.taken,
				    (unsigned long long)allowed(l, MIN_US),
				    (unsigned long long)l->count.refused);
			if (m < SETTLE_MIN)
				continue;
			may += allowed(l, MIN_US);
			taken += l->count.taken;
			refused += l->count.refused;
		}
		s.least_ppm =
		    MIN(s.least_ppm, (taken - taken0) * 1000000 / (may - may0));
		s.most_ppm =
		    MAX(s.most_ppm, (taken - taken0) * 1000000 / (may - may0));
	}
	s.share_ppm = taken * 1000000 / may;
	s.deferred_ppm = refused * 1000000 / (taken + refused);
	lab_free(l);
	return s;
}

#define BUCKET(rate, n) .limit = { .per_1000s = (rate), .burst = (n) }
#define PENALTY(rate, n, s, x)                                                 \
	.limit = { .per_1000s = (rate),                                        \
		.burst = (n),                                                  \
		.penalty_us = (s)*US_PER_S,                                    \
		.extends = (x) }
#define WINDOW(n, s) .limit = { .burst = (n), .window_us = (s)*US_PER_S }
#define DOWN_UP .factor = { 100, 50, 100, 50, 100 }, .nsteps = 5
#define WALK .factor = { 100, 50, 100, 200, 100, 50, 25, 50 }, .nsteps = 8

static const struct trial trials[] = {
	{ "5/s, burst 5", BUCKET(5000, 5), 1, DOWN_UP },
	{ "5/s, burst 5, walk", BUCKET(5000, 5), 1, WALK },
	{ "0.2/s, burst 5", BUCKET(200, 5), 1, DOWN_UP },
	{ "0.2/s, burst 1", BUCKET(200, 1), 1, DOWN_UP },
	{ "1/s, burst 10", BUCKET(1000, 10), 1, DOWN_UP },
	{ "50/s, burst 5", BUCKET(50000, 5), 1, DOWN_UP },
	{ "50/s, burst 100", BUCKET(50000, 100), 1, DOWN_UP },
	{ "50/s, slow replies", BUCKET(50000, 50), 1, DOWN_UP,
	    .reply_us = 300 * US_PER_MS },
	{ "300 a minute", WINDOW(300, 60), 1, DOWN_UP },
	{ "10 in 2 s", WINDOW(10, 2), 1, DOWN_UP },
	{ "1000 an hour", WINDOW(1000, 3600), 1, DOWN_UP },
	{ "5/s each of 4", BUCKET(5000, 5), 4, DOWN_UP },
	{ "5/s penalty 10 min", PENALTY(5000, 5, 600, false), 1, DOWN_UP },
	{ "5/s penalty, walk", PENALTY(5000, 5, 600, false), 1, WALK },
	{ "5/s penalty extends", PENALTY(5000, 5, 600, true), 1, DOWN_UP },
	{ "1/s penalty 10 min", PENALTY(1000, 5, 600, false), 1, DOWN_UP },
	{ "20/s penalty 2 min", PENALTY(20000, 20, 120, false), 1, DOWN_UP },
};

static void
print_trial(const struct trial *t, uint64_t seed)
{
	struct trial fixed = *t;
	struct score s = run(t, seed), f;

	fixed.is_fixed = true;
	f = run(&fixed, seed);
	printf("| %-22s | %5.1f %% | %5.2f %% | %5.1f %% | %5.2f %% |\n",
	    t->name, (double)s.share_ppm / 1e4, (double)s.deferred_ppm / 1e4,
	    (double)f.share_ppm / 1e4, (double)f.deferred_ppm / 1e4);
}

/* For share/doc/reactions.md: ADAPT=table. */
static void
the_table(void **state)
{
	const char *what = getenv("ADAPT"), *one = getenv("TRIAL");

	(void)state;
	if (what == NULL)
		return;
	for (size_t i = 0; i < ARRAY_LEN(trials); i++)
		if (one == NULL || strcmp(one, trials[i].name) == 0)
			print_trial(&trials[i], 7);
}

static void
expect(const char *name, uint64_t seed, uint64_t share_pct,
    uint64_t deferred_ppm)
{
	struct score s;
	size_t i = 0;

	while (strcmp(trials[i].name, name) != 0)
		assert_true(++i < ARRAY_LEN(trials));
	s = run(&trials[i], seed);
	if (s.share_ppm < share_pct * 10000 || s.deferred_ppm >= deferred_ppm)
		print_error("%s, seed %llu: %llu ppm taken, %llu deferred\n",
		    name, (unsigned long long)seed,
		    (unsigned long long)s.share_ppm,
		    (unsigned long long)s.deferred_ppm);
	assert_true(s.share_ppm >= share_pct * 10000);
	assert_true(s.share_ppm <= 1001000);
	assert_true(s.deferred_ppm < deferred_ppm);
}

/* Hours of virtual time, many of them: once is enough for a sanitizer. */
static bool
is_long(void)
{
#ifdef __SANITIZE_ADDRESS__
	return false;
#else
	const char *check = getenv("CHECK");

	return check != NULL && strcmp(check, "long") == 0;
#endif
}

/* Within 10 %, with under 1 % of the attempts deferred. */
static void
a_limit_that_steps_is_followed(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= (is_long() ? 5 : 1); seed++) {
		expect("5/s, burst 5", seed, 90, 10000);
		expect("5/s, burst 5, walk", seed, 90, 10000);
	}
	expect("5/s each of 4", 1, 90, 10000);
}

static void
other_limits_are_followed_too(void **state)
{
	(void)state;
	expect("0.2/s, burst 1", 1, 85, 15000);
	expect("0.2/s, burst 5", 1, 90, 15000);
	expect("1/s, burst 10", 1, 90, 10000);
	if (is_long())
		expect("50/s, burst 5", 1, 85, 10000);
	expect("10 in 2 s", 1, 85, 10000);
	expect("300 a minute", 1, 80, 10000);
}

/* 10 minutes without mail for each refusal. */
static void
where_a_refusal_is_costly_few_are_risked(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= (is_long() ? 5 : 1); seed++)
		expect("5/s penalty 10 min", seed, 80, 10000);
	expect("5/s penalty, walk", 1, 75, 10000);
	expect("5/s penalty extends", 1, 65, 10000);
}

/* Floor and ceiling: a receiver that refuses nearly everything, one that would
 * take anything, for a time. */
static bool
refuse_most(struct lab *l, uint16_t source, uint32_t msg, struct outcome *o)
{
	(void)source;
	(void)msg;
	if (l->now > LAB_START + 120 * MIN_US || rng_below(&l->rng, 3) == 0)
		return false;
	*o = l->limit.over;
	return true;
}

static void
the_rate_stays_between_floor_and_ceiling(void **state)
{
	struct lab *l = lab_new(1);
	struct eng_shape *s = &l->policy->shapes[0];

	(void)state;
	s->rate_count = 4;
	s->rate_period_us = US_PER_S;
	s->floor_count = 6;
	s->floor_period_us = MIN_US;
	s->backoff_min_us = s->backoff_max_us = US_PER_S;
	l->answer = refuse_most;
	lab_start(l, 1);
	lab_run(l, 60 * MIN_US);
	l->count = (struct lab_count){ 0 };
	lab_run(l, 60 * MIN_US);
	/* Ten seconds between two, and up to four times that after a
	 * refusal. */
	assert_in_range(l->count.taken + l->count.refused, 60, 500);
	lab_run(l, 400 * MIN_US);
	for (int m = 0; m < 60; m++) {
		l->count = (struct lab_count){ 0 };
		lab_run(l, MIN_US);
		assert_in_range(l->count.taken, 200, 241);
	}
	lab_free(l);
}

/* ---- a crash -------------------------------------------------------------------- */

static struct eng_entry
last_kept(const struct lab *l)
{
	const struct eng_cmd *c = l->keep;
	struct eng_entry en = { .book = c[0].keep.book,
		.nkeys = c[0].keep.nkeys,
		.sub = c[0].keep.sub };

	memcpy(en.key, c[0].keep.key, sizeof(en.key));
	memcpy(en.v, c[1].keep_values.v, sizeof(en.v));
	return en;
}

/* All but the books is lost, and `us` goes by. */
static void
crash(struct lab *l, int64_t us)
{
	eng_check(l->e);
	eng_free(l->e);
	l->nsess = l->ntodo = l->nmsgs = l->nfree = 0;
	l->count = (struct lab_count){ 0 };
	l->kept = 0;
	l->now += us;
	lab_start(l, 2);
}

static struct lab *
slowed(void)
{
	struct lab *l = lab_new(1);

	l->policy->shapes[0].conns_max = 20;
	l->limit.per_1000s = 5000;
	l->limit.burst = 5;
	lab_start(l, 1);
	lab_run(l, 40 * MIN_US);
	assert_true(l->kept > 1);
	assert_int_equal(l->keep[0].keep.book, BOOK_ADAPT);
	/* Forty minutes of steps; an entry a minute at most, and what fell. */
	assert_true(l->kept < 90);
	return l;
}

static void
what_was_learnt_survives_a_crash(void **state)
{
	struct lab *l = slowed();
	struct eng_event ev = { .kind = EV_RECALL };
	uint64_t refused;

	(void)state;
	ev.recall = last_kept(l);
	crash(l, MIN_US);
	lab_run(l, 5 * MIN_US);
	refused = l->count.refused; /* without the books */
	crash(l, MIN_US);
	lab_step(l, &ev);
	lab_run(l, 5 * MIN_US);
	assert_true(l->count.refused < 15 && l->count.refused < refused);
	assert_true(l->count.taken > 5 * 300 * 80 / 100);
	lab_free(l);
}

static void
what_is_old_or_wrong_is_forgotten(void **state)
{
	struct lab *l = slowed();
	struct eng_event ev = { .kind = EV_RECALL }, bad;

	(void)state;
	ev.recall = last_kept(l);
	crash(l, 31 * MIN_US);
	lab_step(l, &ev);
	assert_int_equal(l->kept, 1);
	assert_true(l->keep[0].keep.is_gone);
	for (uint32_t k = 0; k < KEPT_VALUES_MAX; k++)
		for (int sign = -1; sign <= 1; sign += 2) {
			crash(l, MIN_US);
			bad = ev;
			bad.recall.v[KEPT_VALUES_MAX - 1] = l->now;
			bad.recall.v[k] =
			    sign < 0 ? INT64_MIN / 2 : INT64_MAX / 2;
			lab_step(l, &bad);
			lab_run(l, MIN_US);
			assert_true(l->count.taken > 0);
		}
	lab_free(l);
}

/* Nobody writes there any more: the books need not know. */
static void
what_nobody_asks_for_is_forgotten(void **state)
{
	struct lab *l = slowed();
	struct eng_event ev = { .kind = EV_RECALL };

	(void)state;
	ev.recall = last_kept(l);
	ev.recall.key[1] += 1;
	crash(l, MIN_US);
	l->limit.per_1000s = 0;
	lab_step(l, &ev);
	lab_run(l, 29 * MIN_US);
	assert_int_equal(l->kept, 0);
	lab_run(l, 2 * MIN_US);
	assert_int_equal(l->kept, 1);
	assert_true(l->keep[0].keep.is_gone);
	lab_free(l);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_limit_that_steps_is_followed),
		cmocka_unit_test(other_limits_are_followed_too),
		cmocka_unit_test(where_a_refusal_is_costly_few_are_risked),
		cmocka_unit_test(the_rate_stays_between_floor_and_ceiling),
		cmocka_unit_test(the_table),
		cmocka_unit_test(what_was_learnt_survives_a_crash),
		cmocka_unit_test(what_is_old_or_wrong_is_forgotten),
		cmocka_unit_test(what_nobody_asks_for_is_forgotten),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * The timer wheel against a model that looks through all timers each time.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/base.h"

enum { TIMERS = 200 };

#define TICK_US INT64_C(1000)
#define START_US INT64_C(-5000123)
#define SPAN_TICKS (INT64_C(255) << 24)

static struct wheel_link links[TIMERS + 1];

static struct wheel_link *
link_at(void *ctx, uint32_t index)
{
	(void)ctx;
	assert_in_range(index, 1, TIMERS);
	return &links[index];
}

static void
fresh(struct wheel *w, int64_t start_us, int64_t tick_us)
{
	memset(links, 0, sizeof(links));
	wheel_init(w, start_us, tick_us, link_at, NULL);
}

/* The same in the plainest way. */
struct model {
	int64_t now; /* ticks */
	int64_t tick[TIMERS + 1];
	uint64_t seq[TIMERS + 1]; /* 0 = not set */
	uint64_t next_seq;
};

static int64_t
ticks_up(int64_t us)
{
	return us <= START_US ? 0 : (us - START_US + TICK_US - 1) / TICK_US;
}

static int64_t
ticks_down(int64_t us)
{
	return us <= START_US ? 0 : (us - START_US) / TICK_US;
}

static void
model_set(struct model *m, uint32_t i, int64_t when_us)
{
	m->tick[i] = MIN(MAX(ticks_up(when_us), m->now), m->now + SPAN_TICKS);
	m->seq[i] = ++m->next_seq;
}

static uint32_t
model_first(const struct model *m)
{
	uint32_t best = 0;

	for (uint32_t i = 1; i <= TIMERS; i++) {
		if (m->seq[i] == 0)
			continue;
		if (best == 0 || m->tick[i] < m->tick[best] ||
		    (m->tick[i] == m->tick[best] && m->seq[i] < m->seq[best]))
			best = i;
	}
	return best;
}

static uint32_t
model_take(struct model *m, int64_t now_us)
{
	int64_t to = MAX(ticks_down(now_us), m->now);
	uint32_t i = model_first(m);

	if (i == 0 || m->tick[i] > to) {
		m->now = to;
		return 0;
	}
	m->now = m->tick[i];
	m->seq[i] = 0;
	return i;
}

/* A distance of any size: a tick or so, about a level's slot, the span. */
static int64_t
random_us(struct rng *r)
{
	static const int64_t scale[] = { 1, 3, 250, 256, 257, 65535, 65536,
		70000, 1 << 24, (1 << 24) + 5, INT64_C(1) << 31,
		INT64_C(1) << 32, INT64_C(1) << 34 };
	int64_t max = scale[rng_below(r, ARRAY_LEN(scale))] * TICK_US;

	return rng_below(r, 3) == 0 ? max + rng_range(r, -1, 1) :
				      rng_range(r, -2, max);
}

/* What wheel_next promises, given that nothing is due at now_us. */
static void
check_next(const struct wheel *w, const struct model *m, int64_t now_us)
{
	uint32_t first = model_first(m);
	int64_t next = wheel_next(w);

	if (first == 0) {
		assert_true(next == TIME_NEVER);
		return;
	}
	assert_true(next > now_us);
	assert_true(next <= START_US + m->tick[first] * TICK_US);
}

static void
set_any(struct wheel *w, struct model *m, struct rng *r, int64_t now_us,
    uint32_t *sets)
{
	uint32_t i = 1 + (uint32_t)rng_below(r, TIMERS);
	int64_t when = now_us + random_us(r) - rng_range(r, 0, 9999);

	(*sets)--;
	wheel_set(w, i, when);
	model_set(m, i, when);
}

/* Takes all (or some) that is due, setting timers in between. */
static void
take_and_compare(struct wheel *w, struct model *m, struct rng *r,
    int64_t now_us, bool take_all)
{
	uint32_t got, budget = take_all ? UINT32_MAX : 3, sets = 50;

	while (budget-- > 0) {
		uint32_t moves =
		    rng_below(r, 2) == 0 ? 1000 : (uint32_t)rng_below(r, 3);

		got = wheel_take(w, now_us, &moves);
		if (got == 0 && wheel_is_behind(w)) {
			/* It has come as far as to a slot, and no further. */
			assert_int_equal(moves, 0);
			assert_true(wheel_next(w) <= now_us);
			m->now = MAX(m->now, (int64_t)w->now_tick);
			if (sets > 0)
				set_any(w, m, r, now_us, &sets);
			continue;
		}
		assert_int_equal(got, model_take(m, now_us));
		if (got == 0) {
			check_next(w, m, now_us);
			return;
		}
		assert_false(wheel_is_set(w, got));
		if (sets > 0 && rng_below(r, 2) == 0) {
			int64_t when =
			    now_us + random_us(r) - rng_range(r, 0, 9999);

			sets--;
			wheel_set(w, got, when);
			model_set(m, got, when);
		}
	}
	assert_true(wheel_next(w) <= now_us || model_first(m) == 0 ||
	    m->tick[model_first(m)] > m->now);
}

static void
churn(uint64_t seed, int64_t start_ticks, int steps)
{
	static struct model m;
	struct wheel w;
	struct rng r;
	int64_t now_us = START_US + start_ticks * TICK_US;

	memset(&m, 0, sizeof(m));
	fresh(&w, START_US, TICK_US);
	rng_seed(&r, seed);
	take_and_compare(&w, &m, &r, now_us, true);
	for (int step = 0; step < steps; step++) {
		uint32_t i = 1 + (uint32_t)rng_below(&r, TIMERS);
		uint64_t what = rng_below(&r, 8);

		if (what < 5) {
			int64_t when = now_us + random_us(&r);

			wheel_set(&w, i, when);
			model_set(&m, i, when);
		} else if (what == 5) {
			wheel_cancel(&w, i);
			m.seq[i] = 0;
		} else {
			now_us += random_us(&r);
			take_and_compare(&w, &m, &r, now_us, what == 6);
		}
		assert_int_equal(wheel_is_set(&w, i), m.seq[i] != 0);
	}
}

static void
the_wheel_agrees_with_the_model_from_the_start(void **state)
{
	(void)state;
	churn(1, 0, 100000);
}

static void
the_wheel_agrees_with_the_model_at_every_kind_of_edge(void **state)
{
	static const int64_t edges[] = { 255, 256, 65535, 65536, (1 << 24) - 1,
		1 << 24, (INT64_C(1) << 31) - 2, (INT64_C(1) << 32) - 300,
		(INT64_C(1) << 32) - 1, INT64_C(1) << 32,
		(INT64_C(3) << 32) - 70000, (INT64_C(1) << 40) - 1 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(edges); i++)
		churn(100 + i, edges[i], 5000);
}

static void
a_timer_is_never_early_and_at_most_a_tick_late(void **state)
{
	struct wheel w;

	(void)state;
	for (int64_t when = 1; when < 600000; when += 997) {
		fresh(&w, 0, 1000);
		wheel_set(&w, 1, when);
		assert_int_equal(wheel_take(&w, when - 1, NULL), 0);
		assert_int_equal(wheel_take(&w, when + 999, NULL), 1);
		assert_int_equal(w.n, 0);
	}
}

static void
a_time_that_has_come_is_due_at_once(void **state)
{
	struct wheel w;

	(void)state;
	fresh(&w, 1000000, 1000);
	assert_true(wheel_next(&w) == TIME_NEVER);
	assert_int_equal(wheel_take(&w, 5000000, NULL), 0);
	wheel_set(&w, 1, 5000000);
	wheel_set(&w, 2, INT64_MIN);
	wheel_set(&w, 3, 0);
	assert_true(wheel_next(&w) <= 5000000);
	assert_int_equal(wheel_take(&w, 5000000, NULL), 1);
	assert_int_equal(wheel_take(&w, 5000000, NULL), 2);
	wheel_cancel(&w, 3);
	assert_int_equal(wheel_take(&w, 5000000, NULL), 0);
	assert_true(wheel_next(&w) == TIME_NEVER);
}

static void
never_cancels_and_the_far_future_is_cut(void **state)
{
	struct wheel w;

	(void)state;
	fresh(&w, INT64_MIN, 1);
	wheel_set(&w, 1, 0);
	wheel_set(&w, 1, TIME_NEVER);
	assert_false(wheel_is_set(&w, 1));
	assert_int_equal(w.n, 0);
	wheel_set(&w, 1, TIME_NEVER - 1);
	assert_true(wheel_is_set(&w, 1));
	assert_true(wheel_next(&w) <= INT64_MIN + SPAN_TICKS);
	assert_int_equal(wheel_take(&w, INT64_MIN + SPAN_TICKS - 1, NULL), 0);
	assert_int_equal(wheel_take(&w, INT64_MIN + SPAN_TICKS, NULL), 1);
}

static void
setting_moves_and_cancelling_twice_is_harmless(void **state)
{
	struct wheel w;

	(void)state;
	fresh(&w, 0, 1000);
	wheel_set(&w, 1, 10000);
	wheel_set(&w, 2, 20000);
	wheel_set(&w, 1, 30000);
	assert_int_equal(w.n, 2);
	assert_int_equal(wheel_take(&w, 29000, NULL), 2);
	assert_int_equal(wheel_take(&w, 29000, NULL), 0);
	wheel_cancel(&w, 1);
	wheel_cancel(&w, 1);
	wheel_cancel(&w, 3);
	assert_int_equal(w.n, 0);
	assert_int_equal(wheel_take(&w, 99000, NULL), 0);
}

/*
 * With a microsecond tick a week is 6 * 10^11 ticks and 140 turns of the
 * wheel; it must be a few steps per timer, whichever level they are on.
 */
static void
a_jump_of_a_week_takes_no_time(void **state)
{
	struct wheel w;
	int64_t week = 7 * 86400 * US_PER_S, now = 0;

	(void)state;
	fresh(&w, 0, 1);
	for (int i = 0; i < 100000; i++) {
		wheel_set(&w, 1, now + 1);
		wheel_set(&w, 2, now + (1 << 25));
		now += week;
		assert_int_equal(wheel_take(&w, now, NULL), 1);
		assert_int_equal(wheel_take(&w, now, NULL), 2);
		assert_int_equal(wheel_take(&w, now, NULL), 0);
	}
}

/* Sleeping until wheel_next: at most three vain wakes for a deadline. */
static void
a_loop_that_sleeps_until_next_makes_progress(void **state)
{
	struct wheel w;
	struct rng r;
	int64_t now = 0;

	(void)state;
	rng_seed(&r, 8);
	fresh(&w, 0, 1000);
	for (int i = 0; i < 20000; i++) {
		int64_t when = now + rng_range(&r, 1, INT64_C(1) << 41);
		int wakes = 0;

		wheel_set(&w, 1, when);
		for (;;) {
			int64_t next = wheel_next(&w);

			assert_true(next > now && next < when + 1000);
			now = next;
			if (wheel_take(&w, now, NULL) == 1)
				break;
			assert_true(++wakes <= 3);
		}
		assert_true(now >= when);
	}
}

static void
a_clock_that_steps_back_does_no_harm(void **state)
{
	struct wheel w;

	(void)state;
	fresh(&w, 0, 1000);
	wheel_set(&w, 1, 50000);
	assert_int_equal(wheel_take(&w, 40000, NULL), 0);
	assert_int_equal(wheel_take(&w, 10000, NULL), 0);
	assert_int_equal(wheel_take(&w, INT64_MIN, NULL), 0);
	wheel_set(&w, 2, 45000);
	assert_int_equal(wheel_take(&w, 60000, NULL), 2);
	assert_int_equal(wheel_take(&w, 60000, NULL), 1);
	/* Tick 310 is in slot 54 once 256 has passed; a wheel turned back to
	 * 100 would look for it behind slot 100. */
	wheel_set(&w, 3, 310000);
	assert_int_equal(wheel_take(&w, 300000, NULL), 0);
	assert_int_equal(wheel_take(&w, 100000, NULL), 0);
	assert_int_equal(wheel_take(&w, 310000, NULL), 3);
}

static void
a_timer_costs_16_bytes(void **state)
{
	(void)state;
	assert_int_equal(sizeof(struct wheel_link), 16);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    the_wheel_agrees_with_the_model_from_the_start),
		cmocka_unit_test(
		    the_wheel_agrees_with_the_model_at_every_kind_of_edge),
		cmocka_unit_test(
		    a_timer_is_never_early_and_at_most_a_tick_late),
		cmocka_unit_test(a_time_that_has_come_is_due_at_once),
		cmocka_unit_test(never_cancels_and_the_far_future_is_cut),
		cmocka_unit_test(
		    setting_moves_and_cancelling_twice_is_harmless),
		cmocka_unit_test(a_jump_of_a_week_takes_no_time),
		cmocka_unit_test(a_loop_that_sleeps_until_next_makes_progress),
		cmocka_unit_test(a_clock_that_steps_back_does_no_harm),
		cmocka_unit_test(a_timer_costs_16_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

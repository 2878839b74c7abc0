/*
 * The loop: no wake is lost, deadlines come in order and not early, tasks run
 * once, and nothing that runs in a turn can make that turn endless.
 *
 * tsan: yes
 */
#include "test_net.h"

#include <pthread.h>

#define WAKERS 3
#define POSTS 4000 /* of each waker */

static struct loop *l;

static int
set_up(void **state)
{
	(void)state;
	l = loop_new();
	return l == NULL;
}

static int
tear_down(void **state)
{
	(void)state;
	loop_free(l);
	return 0;
}

/* ---- waking ---------------------------------------------------------------------- */

static _Atomic uint64_t posted, taken;

static bool
has_posts(void *ctx)
{
	(void)ctx;
	return atomic_load(&posted) != atomic_load(&taken);
}

/* Waits now and then until its post was taken, so that the loop is found
 * asleep, awake, and on the way from one to the other. */
static void *
waker(void *arg)
{
	uint64_t mine;

	for (int i = 0; i < POSTS; i++) {
		mine = atomic_fetch_add(&posted, 1) + 1;
		loop_wake(l);
		if (i % (int)(intptr_t)arg == 0)
			while (atomic_load(&taken) < mine)
				sched_yield();
	}
	return NULL;
}

static void
no_wake_is_lost(void **state)
{
	pthread_t t[WAKERS];

	(void)state;
	atomic_store(&posted, 0);
	atomic_store(&taken, 0);
	loop_set_idle_check(l, has_posts, NULL);
	for (intptr_t i = 0; i < WAKERS; i++)
		assert_int_equal(pthread_create(&t[i], NULL, waker,
				     (void *)(1 + 3 * i)),
		    0);
	/* Without a limit: a lost wake is a sleep without an end. */
	while (atomic_load(&taken) < WAKERS * POSTS) {
		loop_turn(l, TIME_NEVER);
		atomic_store(&taken, atomic_load(&posted));
	}
	for (int i = 0; i < WAKERS; i++)
		pthread_join(t[i], NULL);
}

static void
work_that_is_there_prevents_sleep(void **state)
{
	(void)state;
	atomic_store(&taken, 0);
	atomic_store(&posted, 1);
	loop_set_idle_check(l, has_posts, NULL);
	loop_turn(l, TIME_NEVER);
}

/* ---- time ------------------------------------------------------------------------- */

struct alarm {
	struct loop_timer t;
	int64_t fired_us; /* 0: not yet */
	int order;
	int again; /* sets itself into the past so often */
};

static int nfired;

static void
on_alarm(void *arg)
{
	struct alarm *a = arg;

	a->fired_us = loop_now(l);
	a->order = ++nfired;
	if (a->again > 0) {
		a->again--;
		loop_timer_set(l, &a->t, 1);
	}
}

static void
alarm_init(struct alarm *a)
{
	*a = (struct alarm){ .order = 0 };
	assert_int_equal(loop_timer_init(l, &a->t, on_alarm, a), 0);
}

static void
deadlines_come_in_order_and_not_early(void **state)
{
	static const int ms[] = { 30, 10, 20 }, order[] = { 3, 1, 2 };
	int64_t start = loop_now(l);
	struct alarm a[3];

	(void)state;
	nfired = 0;
	for (int i = 0; i < 3; i++) {
		alarm_init(&a[i]);
		loop_timer_set(l, &a[i].t, start + ms[i] * US_PER_MS);
	}
	RUN_UNTIL(l, nfired == 3);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(a[i].order, order[i]);
		assert_true(a[i].fired_us >= start + ms[i] * US_PER_MS);
		loop_timer_done(l, &a[i].t);
	}
}

static void
a_moved_deadline_comes_once_at_its_last_place(void **state)
{
	int64_t start = loop_now(l);
	struct alarm later, sooner, never;

	(void)state;
	nfired = 0;
	alarm_init(&later);
	alarm_init(&sooner);
	alarm_init(&never);
	loop_timer_set(l, &later.t, start + 5 * US_PER_MS);
	loop_timer_set(l, &later.t, start + 40 * US_PER_MS);
	loop_timer_set(l, &sooner.t, start + PATIENCE_US);
	loop_timer_set(l, &sooner.t, start + 10 * US_PER_MS);
	loop_timer_set(l, &never.t, start + 10 * US_PER_MS);
	loop_timer_set(l, &never.t, TIME_NEVER);
	RUN_UNTIL(l, later.fired_us != 0);
	assert_true(later.fired_us >= start + 40 * US_PER_MS);
	assert_int_equal(sooner.order, 1);
	assert_int_equal(nfired, 2);
	loop_timer_done(l, &later.t);
	loop_timer_done(l, &sooner.t);
	loop_timer_done(l, &never.t);
}

static void
a_deadline_in_the_past_does_not_hold_the_turn(void **state)
{
	struct alarm a;

	(void)state;
	alarm_init(&a);
	a.again = 1000;
	loop_timer_set(l, &a.t, 1);
	loop_turn(l, TIME_NEVER);
	assert_true(a.again >= 998);
	loop_timer_done(l, &a.t);
}

static void
a_turn_ends_in_time_and_the_clock_goes_on(void **state)
{
	int64_t start = loop_now(l), wall = loop_wall(l);

	(void)state;
	loop_turn(l, start); /* the past: no wait */
	loop_turn(l, 0);
	RUN_UNTIL(l, loop_now(l) >= start + 30 * US_PER_MS);
	assert_true(loop_wall(l) > wall);
}

/* ---- tasks ------------------------------------------------------------------------- */

static int nruns;

static void
on_task(void *arg)
{
	nruns++;
	if (arg != NULL)
		loop_later(l, arg);
}

static void
a_task_runs_once_however_often_it_is_asked_for(void **state)
{
	struct loop_task t, undone;

	(void)state;
	nruns = 0;
	loop_task_init(&t, on_task, NULL);
	loop_task_init(&undone, on_task, NULL);
	loop_later(l, &t);
	loop_later(l, &t);
	loop_later(l, &undone);
	list_remove(&undone.node);
	loop_turn(l, TIME_NEVER); /* does not sleep over it */
	assert_int_equal(nruns, 1);
	loop_turn(l, 0);
	assert_int_equal(nruns, 1);
}

static void
what_a_task_asks_for_comes_in_the_next_turn(void **state)
{
	struct loop_task t;

	(void)state;
	nruns = 0;
	loop_task_init(&t, on_task, &t);
	loop_later(l, &t);
	for (int i = 1; i <= 3; i++) {
		loop_turn(l, TIME_NEVER);
		assert_int_equal(nruns, i);
	}
	list_remove(&t.node);
}

#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(no_wake_is_lost),
		T(work_that_is_there_prevents_sleep),
		T(deadlines_come_in_order_and_not_early),
		T(a_moved_deadline_comes_once_at_its_last_place),
		T(a_deadline_in_the_past_does_not_hold_the_turn),
		T(a_turn_ends_in_time_and_the_clock_goes_on),
		T(a_task_runs_once_however_often_it_is_asked_for),
		T(what_a_task_asks_for_comes_in_the_next_turn),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * test_engine_sticky - a pool that is sticky: all mail of a domain leaves by one
 * source, which follows from the names and the weights alone; and a reload moves
 * what it must and no more.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "engine/engine.h"

#define POOL 50u
#define SOURCE(s) (1000u + (s))
#define EVENTS_MAX 8192u
#define SESSIONS 2048u
#define DOMAINS 1000u
#define SITES 3u
#define SOURCES 8u
#define DAY_US (86400 * US_PER_S)

struct world {
	struct eng *e;
	struct eng_policy policy[2];
	struct eng_cmds cmds;
	int64_t now;
	uint32_t nmsg;
	uint32_t first_name;   /* of the domains: their ids say nothing */
	bool refuses[SOURCES]; /* 421 to whom comes from there */
	uint32_t defers;       /* so many attempts of each message */
	uint32_t sent[SOURCES], delivered;
	uint8_t by[DOMAINS];         /* sources that its attempts left by */
	uint16_t domain[EVENTS_MAX]; /* of a message */
	uint16_t source[SESSIONS];   /* of a session, by index */
	/* What will happen, in order. */
	struct eng_event events[EVENTS_MAX];
	uint32_t head, tail;
};

static struct world world;

static struct eng_event *
later(struct world *w, enum eng_event_kind kind)
{
	struct eng_event *ev = &w->events[w->tail++ % EVENTS_MAX];

	assert_true(w->tail - w->head < EVENTS_MAX);
	memset(ev, 0, sizeof(*ev));
	ev->kind = kind;
	return ev;
}

static void
on_open(struct world *w, const struct eng_cmd *c)
{
	struct eng_event *ev;

	w->source[c->open.session.index] = c->open.source;
	if (!w->refuses[c->open.source]) {
		later(w, EV_SESSION_UP)->up.session = c->open.session;
		return;
	}
	ev = later(w, EV_SESSION_DOWN);
	ev->down.session = c->open.session;
	ev->down.outcome = (struct outcome){ .klass = OUTCOME_TRANSIENT,
		.stage = STAGE_BANNER,
		.code = 421 };
}

static void
on_assign(struct world *w, const struct eng_cmd *c)
{
	struct eng_event *ev = later(w, EV_RESULT);
	uint16_t s = w->source[c->assign.session.index];
	struct outcome o = { .klass = OUTCOME_DELIVERED,
		.stage = STAGE_EOM,
		.code = 250 };

	w->by[w->domain[c->assign.msg]] |= (uint8_t)(1u << s);
	w->sent[s]++;
	if (c->assign.attempt <= w->defers)
		o = (struct outcome){ .klass = OUTCOME_TRANSIENT,
			.stage = STAGE_RCPT,
			.code = 450,
			.is_judged = true,
			.judged = { .kind = KIND_MAILBOX_FULL,
			    .scope = SCOPE_RECIPIENT } };
	else
		w->delivered++;
	ev->result.session = c->assign.session;
	ev->result.txn = c->assign.txn;
	ev->result.is_sent = true;
	ev->result.n = 1;
	ev->result.rcpt[0] = o;
}

static void
on_close(struct world *w, struct handle session)
{
	struct eng_event *ev = later(w, EV_SESSION_DOWN);

	ev->down.session = session;
	ev->down.outcome.klass = OUTCOME_DELIVERED;
}

static uint64_t
hash_of(uint32_t what, uint32_t number)
{
	return hash_u64((uint64_t)what << 32 | number);
}

static void
on_resolve(struct world *w, uint32_t domain)
{
	struct eng_event *ev = later(w, EV_RESOLVED);
	uint32_t d = (domain - w->first_name) % DOMAINS;

	ev->resolved.domain = domain;
	ev->resolved.hash = hash_of(1, d);
	ev->resolved.ttl_us = 400 * DAY_US;
	ev->resolved.ntargets = 1;
	ev->resolved.target[0].host = 9000 + d % SITES;
	ev->resolved.target[0].port = 25;
	ev->resolved.target[0].ip.family = 4;
	ev->resolved.target[0].ip.b[0] = (uint8_t)(10 + d % SITES);
}

static void
step(struct world *w, const struct eng_event *ev)
{
	w->cmds.n = 0;
	eng_step(w->e, ev, w->now, &w->cmds);
	for (uint32_t i = 0; i < w->cmds.n; i++) {
		const struct eng_cmd *c = &w->cmds.v[i];

		if (c->kind == CMD_RESOLVE)
			on_resolve(w, c->domain);
		else if (c->kind == CMD_OPEN)
			on_open(w, c);
		else if (c->kind == CMD_ASSIGN)
			on_assign(w, c);
		else if (c->kind == CMD_CLOSE)
			on_close(w, c->close);
		else if (c->kind == CMD_KEEP)
			later(w, EV_KEPT)->kept = c->keep.serial;
	}
}

/* Until nothing happens any more before that time has passed. */
static void
run(struct world *w, int64_t us)
{
	int64_t until = w->now + us;

	for (;;) {
		struct eng_event tick = { .kind = EV_TICK };

		if (w->head != w->tail) {
			struct eng_event ev = w->events[w->head++ % EVENTS_MAX];

			w->now += US_PER_MS;
			step(w, &ev);
		} else if (eng_deadline(w->e) <= until) {
			w->now = MAX(w->now, eng_deadline(w->e));
			step(w, &tick);
		} else {
			break;
		}
	}
	w->now = MAX(w->now, until);
	eng_check(w->e);
}

static void
send(struct world *w, uint32_t domain)
{
	struct eng_event ev = { .kind = EV_MESSAGE };

	assert_true(++w->nmsg < EVENTS_MAX);
	w->domain[w->nmsg] = (uint16_t)domain;
	ev.message = (struct ev_message){ .msg = w->nmsg,
		.nrcpt = 1,
		.arrival_us = w->now,
		.expires_us = w->now + 50 * DAY_US };
	step(w, &ev);
	ev = (struct eng_event){ .kind = EV_RECIPIENT };
	ev.recipient.msg = w->nmsg;
	ev.recipient.domain = w->first_name + domain;
	step(w, &ev);
}

static void
send_to_each(struct world *w, uint32_t ndomains, bool backwards)
{
	for (uint32_t d = 0; d < ndomains; d++)
		send(w, backwards ? ndomains - 1 - d : d);
}

static void
pool_is(struct eng_policy *p, uint32_t nsources, uint32_t without)
{
	struct eng_pool_conf *pool = &p->pools[0];

	pool->nsources = 0;
	for (uint16_t i = 0; i < nsources; i++)
		if (i != without)
			pool->sources[pool->nsources++] = i;
}

static void
world_new(struct world *w, uint32_t nsources)
{
	struct eng_policy *p = &w->policy[0];

	memset(w, 0, sizeof(*w));
	eng_policy_default(p);
	p->npools = 1;
	p->nsources = SOURCES;
	p->pools[0].name = p->default_pool = POOL;
	p->pools[0].is_sticky = true;
	for (uint32_t i = 0; i < SOURCES; i++)
		p->sources[i] = (struct eng_source_conf){ .name = SOURCE(i),
			.hash = hash_of(2, i),
			.has_v4 = true };
	pool_is(p, nsources, SOURCES);
	p->shapes[0].msgs_per_conn = 3;
	p->retry.first_us = p->retry.max_us = 60 * US_PER_S;
	w->first_name = 5000;
	w->now = US_PER_S;
}

static void
world_start(struct world *w)
{
	struct eng_limits limits = { EVENTS_MAX, EVENTS_MAX, 2000, 100,
		SESSIONS - 1 };

	w->e = eng_new(&w->policy[0], &limits, 1, w->now);
	assert_non_null(w->e);
}

static void
world_free(struct world *w)
{
	eng_check(w->e);
	eng_free(w->e);
	eng_cmds_free(&w->cmds);
}

/* The policy that there is, to be changed and given to reload. */
static struct eng_policy *
another(struct world *w)
{
	w->policy[1] = w->policy[0];
	return &w->policy[1];
}

static void
reload(struct world *w)
{
	struct eng_event ev = { .kind = EV_CONF, .conf = &w->policy[1] };

	step(w, &ev);
}

static uint32_t
bits(uint8_t set)
{
	return (uint32_t)__builtin_popcount(set);
}

static uint32_t
source_of(const struct world *w, uint32_t domain)
{
	assert_int_equal(bits(w->by[domain]), 1);
	return (uint32_t)__builtin_ctz(w->by[domain]);
}

static void
a_domain_keeps_its_source(void **state)
{
	struct world *w = &world;
	uint32_t used[SOURCES] = { 0 };

	(void)state;
	world_new(w, 6);
	w->defers = 2;
	world_start(w);
	for (int i = 0; i < 10; i++) {
		send_to_each(w, 120, i % 2 != 0);
		run(w, 100 * US_PER_S);
	}
	run(w, 3600 * US_PER_S);
	assert_int_equal(w->delivered, 1200);
	for (uint32_t d = 0; d < 120; d++)
		used[source_of(w, d)]++;
	for (uint32_t s = 0; s < 6; s++)
		assert_in_range(used[s], 8, 36);
	world_free(w);
}

/* In another order, under other numbers, beside others. */
static void
the_choice_is_of_names(void **state)
{
	struct world *w = &world;
	uint8_t by[DOMAINS];

	(void)state;
	world_new(w, 6);
	world_start(w);
	send_to_each(w, 100, false);
	run(w, 60 * US_PER_S);
	memcpy(by, w->by, sizeof(by));
	world_free(w);

	world_new(w, 6);
	w->first_name = 70000;
	for (uint32_t i = 0; i < 6; i++) {
		w->policy[0].sources[i].name = 3000 - i;
		w->policy[0].pools[0].sources[i] = (uint16_t)(5 - i);
	}
	world_start(w);
	send_to_each(w, 200, true);
	run(w, 60 * US_PER_S);
	assert_int_equal(w->delivered, 200);
	assert_memory_equal(by, w->by, 100);
	world_free(w);
}

static void
domains_follow_the_weights(void **state)
{
	struct world *w = &world;

	(void)state;
	world_new(w, 3);
	w->policy[0].pools[0].weights[0] = 5;
	w->policy[0].pools[0].weights[1] = 3;
	w->policy[0].pools[0].weights[2] = 2;
	world_start(w);
	send_to_each(w, DOMAINS, false);
	run(w, 600 * US_PER_S);
	assert_int_equal(w->delivered, DOMAINS);
	/* Three standard deviations. */
	assert_in_range(w->sent[0], 500 - 48, 500 + 48);
	assert_in_range(w->sent[1], 300 - 44, 300 + 44);
	assert_in_range(w->sent[2], 200 - 38, 200 + 38);
	world_free(w);
}

/* Source 2 leaves with its mail in line, and comes back. */
static void
a_source_takes_its_own_along(void **state)
{
	struct world *w = &world;
	uint8_t before[DOMAINS];
	uint32_t moved = 0;

	(void)state;
	world_new(w, 6);
	w->policy[0].shapes[0].msgs_per_conn = 1;
	world_start(w);
	send_to_each(w, 300, false);
	run(w, 60 * US_PER_S);
	memcpy(before, w->by, sizeof(before));
	memset(w->by, 0, sizeof(w->by));
	/* By now it is refused, so its mail waits. */
	w->policy[0].shapes[0].backoff_min_us = 3600 * US_PER_S;
	w->refuses[2] = true;
	send_to_each(w, 300, false);
	run(w, 60 * US_PER_S);
	for (uint32_t d = 0; d < 300; d++)
		if (w->by[d] == 0)
			moved++;
		else
			assert_int_equal(w->by[d], before[d]);
	assert_int_equal(w->delivered, 600 - moved);
	assert_in_range(moved, 30, 75);

	pool_is(another(w), 6, 2);
	reload(w);
	run(w, 60 * US_PER_S);
	assert_int_equal(w->delivered, 600);
	for (uint32_t d = 0; d < 300; d++)
		if (before[d] == 1u << 2)
			assert_int_not_equal(source_of(w, d), 2);
		else
			assert_int_equal(w->by[d], before[d]);
	world_free(w);

	world_new(w, 6);
	pool_is(&w->policy[0], 6, 2);
	world_start(w);
	send_to_each(w, 300, false);
	run(w, 60 * US_PER_S);
	memset(w->by, 0, sizeof(w->by));
	pool_is(another(w), 6, SOURCES);
	reload(w);
	send_to_each(w, 300, false);
	run(w, 60 * US_PER_S);
	assert_memory_equal(w->by, before, 300);
	world_free(w);
}

/* Mail waits for its source while it is refused; that the pool is sticky no more
 * lets it go, and that it is again binds it again. */
static void
what_waits_is_set_free(void **state)
{
	struct world *w = &world;
	struct eng_queue_row row[1];
	uint32_t stuck;

	(void)state;
	world_new(w, 2);
	w->policy[0].shapes[0].backoff_min_us = 7200 * US_PER_S;
	w->policy[0].shapes[0].backoff_max_us = 7200 * US_PER_S;
	w->refuses[0] = true;
	world_start(w);
	send_to_each(w, 90, false);
	run(w, 600 * US_PER_S);
	stuck = 90 - w->delivered;
	assert_in_range(stuck, 20, 70);
	assert_int_equal(w->sent[0], 0);
	assert_int_equal(eng_top_queues(w->e, SORT_DUE, w->now, row, 1), 1);
	assert_int_equal(row[0].pin, SOURCE(0));
	assert_int_equal(row[0].why, WHY_BACKOFF);
	assert_true(row[0].until_us > w->now + 3600 * US_PER_S);

	another(w)->pools[0].is_sticky = false;
	reload(w);
	run(w, 60 * US_PER_S);
	assert_int_equal(w->delivered, 90);
	assert_int_equal(w->sent[1], 90);
	send_to_each(w, 90, false);
	run(w, 60 * US_PER_S);
	assert_int_equal(w->delivered, 180);

	w->policy[1] = w->policy[0];
	reload(w);
	send_to_each(w, 90, false);
	run(w, 60 * US_PER_S);
	assert_int_equal(w->delivered, 270 - stuck);
	world_free(w);
}

/* What stands in the line of a pool that was not sticky goes by its source. */
static void
what_waits_is_bound(void **state)
{
	struct world *w = &world;
	uint8_t want[DOMAINS];

	(void)state;
	world_new(w, 4);
	world_start(w);
	send_to_each(w, 90, false);
	run(w, 60 * US_PER_S);
	memcpy(want, w->by, sizeof(want));
	world_free(w);

	world_new(w, 4);
	w->policy[0].pools[0].is_sticky = false;
	w->policy[0].shapes[0].backoff_min_us = 60 * US_PER_S;
	for (uint32_t s = 0; s < 4; s++)
		w->refuses[s] = true;
	world_start(w);
	send_to_each(w, 90, false);
	run(w, 10 * US_PER_S);
	assert_int_equal(w->delivered, 0);
	memset(w->refuses, 0, sizeof(w->refuses));
	another(w)->pools[0].is_sticky = true;
	reload(w);
	run(w, 600 * US_PER_S);
	assert_int_equal(w->delivered, 90);
	assert_memory_equal(w->by, want, 90);
	world_free(w);
}

/* Mail of a young source waits for the next day's share. */
static void
a_young_source_keeps_its_domains(void **state)
{
	struct world *w = &world;
	struct eng_policy *p = &w->policy[0];
	struct eng_event clock = { .kind = EV_CLOCK,
		.wall_us = INT64_C(1772323200) * US_PER_S };

	(void)state;
	world_new(w, 2);
	p->nwarmups = 1;
	p->warmups[0] = (struct eng_warmup_conf){ .name = 70,
		.nstages = 2,
		.most = { 5, 10 },
		.hour_ppm = ENG_PPM,
		.advance_ppm = 900000,
		.defer_ppm = 200000,
		.bounce_ppm = 50000,
		.complaint_ppm = 10000,
		.attempts_min = 1,
		.idle_days = 30 };
	p->sources[0].warmup = 1;
	world_start(w);
	step(w, &clock);
	send_to_each(w, 90, false);
	run(w, 3600 * US_PER_S);
	assert_int_equal(w->sent[0], 5);
	assert_in_range(w->sent[1], 20, 70);
	run(w, 30 * DAY_US);
	assert_int_equal(w->delivered, 90);
	for (uint32_t d = 0; d < 90; d++)
		source_of(w, d);
	world_free(w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_domain_keeps_its_source),
		cmocka_unit_test(the_choice_is_of_names),
		cmocka_unit_test(domains_follow_the_weights),
		cmocka_unit_test(a_source_takes_its_own_along),
		cmocka_unit_test(what_waits_is_set_free),
		cmocka_unit_test(what_waits_is_bound),
		cmocka_unit_test(a_young_source_keeps_its_domains),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

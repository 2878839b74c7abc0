/*
 * test_engine_pick - which source mail leaves by: shares follow the weights of
 * those that may, those that may not cost nothing, and a retry is not bound to
 * the address that was refused.
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
#define DOMAIN 5000u
#define EVENTS_MAX 4096u
#define SESSIONS 2048u

struct world {
	struct eng *e;
	struct eng_policy policy;
	struct eng_cmds cmds;
	int64_t now;
	uint32_t nmsg;
	bool refuses[ENG_SOURCES_MAX]; /* 421 to whom comes from there */
	bool defers; /* 450, mailbox full, to every first attempt */
	bool is_shy; /* every session ends behind its message */
	uint32_t opened[ENG_SOURCES_MAX], sent[ENG_SOURCES_MAX];
	uint32_t elsewhere;            /* retries that left by another source */
	uint16_t first_by[EVENTS_MAX]; /* of a message: its first source */
	uint16_t source[SESSIONS];     /* of a session, by index */
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
	uint16_t s = c->open.source;

	w->source[c->open.session.index] = s;
	if (!w->refuses[s]) {
		w->opened[s]++;
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

	if (w->defers && c->assign.attempt == 1) {
		w->first_by[c->assign.msg] = s;
		o = (struct outcome){ .klass = OUTCOME_TRANSIENT,
			.stage = STAGE_RCPT,
			.code = 450,
			.is_judged = true,
			.judged = { .kind = KIND_MAILBOX_FULL,
			    .scope = SCOPE_RECIPIENT } };
	} else {
		w->sent[s]++;
		w->elsewhere += w->defers && w->first_by[c->assign.msg] != s;
	}
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

static void
on_resolve(struct world *w, uint32_t domain)
{
	struct eng_event *ev = later(w, EV_RESOLVED);

	ev->resolved.domain = domain;
	ev->resolved.ttl_us = 86400 * US_PER_S;
	ev->resolved.ntargets = 1;
	ev->resolved.target[0].host = 9000;
	ev->resolved.target[0].port = 25;
	ev->resolved.target[0].ip.family = 4;
	ev->resolved.target[0].ip.b[0] = 10;
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
	}
}

/* Until nothing happens any more before `until`. */
static void
run(struct world *w, int64_t until_us)
{
	for (;;) {
		struct eng_event tick = { .kind = EV_TICK };

		if (w->head != w->tail) {
			struct eng_event ev = w->events[w->head++ % EVENTS_MAX];

			w->now += US_PER_MS;
			step(w, &ev);
		} else if (eng_deadline(w->e) <= until_us) {
			w->now = MAX(w->now, eng_deadline(w->e));
			step(w, &tick);
		} else {
			w->now = MAX(w->now, until_us);
			return;
		}
	}
}

static void
send(struct world *w)
{
	struct eng_event ev = { .kind = EV_MESSAGE };

	ev.message = (struct ev_message){ .msg = ++w->nmsg,
		.nrcpt = 1,
		.arrival_us = w->now,
		.expires_us = w->now + 5 * 86400 * US_PER_S };
	step(w, &ev);
	ev = (struct eng_event){ .kind = EV_RECIPIENT };
	ev.recipient.msg = w->nmsg;
	ev.recipient.domain = DOMAIN;
	step(w, &ev);
}

/* One message after the other, each when the last has gone. */
static void
send_each(struct world *w, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		send(w);
		run(w, w->now + 5 * US_PER_MS);
	}
}

static void
world_new(struct world *w, const uint16_t *weights, uint32_t n)
{
	struct eng_policy *p = &w->policy;

	memset(w, 0, sizeof(*w));
	eng_policy_default(p);
	p->npools = 1;
	p->nsources = n;
	p->pools[0].name = p->default_pool = POOL;
	p->pools[0].nsources = (uint16_t)n;
	for (uint32_t i = 0; i < n; i++) {
		p->sources[i] = (struct eng_source_conf){ .name = SOURCE(i),
			.has_v4 = true };
		p->pools[0].sources[i] = (uint16_t)i;
		p->pools[0].weights[i] = weights ? weights[i] : 0;
	}
	w->now = US_PER_S;
}

static void
world_start(struct world *w)
{
	struct eng_limits limits = { 10000, 10000, 100, 100, SESSIONS - 1 };

	w->e = eng_new(&w->policy, &limits, 1, w->now);
	assert_non_null(w->e);
}

static void
world_free(struct world *w)
{
	eng_check(w->e);
	eng_free(w->e);
	eng_cmds_free(&w->cmds);
}

static void
is_share(uint32_t got, uint32_t of, uint32_t weight, uint32_t sum)
{
	int32_t want = (int32_t)(of * weight / sum);
	int32_t slack = (int32_t)(of / 100) + 2;

	if (abs((int32_t)got - want) > slack)
		fail_msg("%u of %u, wanted %d +- %d", got, of, want, slack);
}

static void
equal_sources_take_turns(void **state)
{
	struct world *w = &world;

	(void)state;
	world_new(w, NULL, 5);
	w->policy.shapes[0].msgs_per_conn = 1;
	world_start(w);
	send_each(w, 100);
	for (uint32_t s = 0; s < 5; s++)
		assert_int_equal(w->sent[s], 20);
	world_free(w);
}

static void
sessions_are_opened_by_weight(void **state)
{
	static const uint16_t weights[] = { 5, 3, 2 };
	struct world *w = &world;

	(void)state;
	world_new(w, weights, 3);
	w->policy.shapes[0].msgs_per_conn = 1;
	world_start(w);
	send_each(w, 2000);
	is_share(w->sent[0], 2000, 5, 10);
	is_share(w->sent[1], 2000, 3, 10);
	is_share(w->sent[2], 2000, 2, 10);
	/* Without the first, the others share as they weigh. */
	memset(w->sent, 0, sizeof(w->sent));
	w->refuses[0] = true;
	send_each(w, 2000);
	assert_int_equal(w->sent[0], 0);
	is_share(w->sent[1], 2000, 3, 5);
	is_share(w->sent[2], 2000, 2, 5);
	world_free(w);
}

/* Sessions that stay up take transactions as their sources weigh. */
static void
sessions_that_stay_take_turns_by_weight(void **state)
{
	static const uint16_t weights[] = { 3, 1 };
	struct world *w = &world;

	(void)state;
	world_new(w, weights, 2);
	w->policy.shapes[0].conns_max = w->policy.shapes[0].assign_ahead = 1;
	w->policy.shapes[0].msgs_per_conn = 0;
	world_start(w);
	for (int i = 0; i < 8; i++) /* both are opened */
		send(w);
	run(w, w->now + US_PER_S);
	memset(w->sent, 0, sizeof(w->sent));
	send_each(w, 1000);
	is_share(w->sent[0], 1000, 3, 4);
	is_share(w->sent[1], 1000, 1, 4);
	world_free(w);
}

/* 250 of 256 have been refused: to find one of the others costs no more than
 * where there are but six. */
static uint64_t
cost_of(struct world *w, uint32_t nsources, uint32_t nshut)
{
	struct eng_totals a, b;
	uint32_t good = 0;

	world_new(w, NULL, nsources);
	w->policy.shapes[0].msgs_per_conn = 1;
	w->policy.shapes[0].backoff_min_us = 7200 * US_PER_S;
	w->policy.shapes[0].backoff_max_us = 7200 * US_PER_S;
	for (uint32_t i = 0; i < nshut; i++)
		w->refuses[i] = true;
	world_start(w);
	send_each(w, 600);
	eng_totals(w->e, &a);
	memset(w->sent, 0, sizeof(w->sent));
	send_each(w, 600);
	eng_totals(w->e, &b);
	for (uint32_t s = 0; s < nsources; s++)
		good += w->sent[s] > 0;
	assert_int_equal(good, nsources - nshut);
	assert_int_equal(b.delivered_total - a.delivered_total, 600);
	world_free(w);
	return (b.decisions_total - a.decisions_total) / 600;
}

static void
those_that_are_shut_cost_nothing(void **state)
{
	uint64_t few, many;

	(void)state;
	few = cost_of(&world, 6, 0);
	many = cost_of(&world, 256, 250);
	if (many > few + 4)
		fail_msg("%llu decisions a message, %llu with six sources",
		    (unsigned long long)many, (unsigned long long)few);
}

static void
one_that_was_shut_comes_back(void **state)
{
	struct world *w = &world;

	(void)state;
	world_new(w, NULL, 4);
	w->policy.shapes[0].msgs_per_conn = 1;
	w->policy.shapes[0].backoff_min_us = 60 * US_PER_S;
	w->policy.shapes[0].backoff_max_us = 60 * US_PER_S;
	w->refuses[2] = true;
	world_start(w);
	send_each(w, 40);
	assert_int_equal(w->sent[2], 0);
	w->refuses[2] = false;
	run(w, w->now + 61 * US_PER_S);
	memset(w->sent, 0, sizeof(w->sent));
	send_each(w, 40);
	is_share(w->sent[2], 40, 1, 4);
	/* The same while mail is never out: a lane that stays hungry. */
	w->refuses[1] = true;
	for (int i = 0; i < 60 * 200; i++) {
		send(w);
		run(w, w->now + 5 * US_PER_MS);
		if (i == 6000)
			w->refuses[1] = false;
		if (i == 11000)
			memset(w->sent, 0, sizeof(w->sent));
		w->nmsg %= 4000;
	}
	world_free(w);
}

static void
a_retry_may_leave_by_another_address(void **state)
{
	struct world *w = &world;

	(void)state;
	world_new(w, NULL, 4);
	w->policy.shapes[0].msgs_per_conn = 1;
	w->policy.retry.first_us = 60 * US_PER_S;
	w->defers = true;
	world_start(w);
	send_each(w, 101);
	run(w, w->now + 3600 * US_PER_S);
	assert_int_equal(w->sent[0] + w->sent[1] + w->sent[2] + w->sent[3],
	    101);
	assert_true(w->elsewhere > 50);
	world_free(w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(equal_sources_take_turns),
		cmocka_unit_test(sessions_are_opened_by_weight),
		cmocka_unit_test(sessions_that_stay_take_turns_by_weight),
		cmocka_unit_test(those_that_are_shut_cost_nothing),
		cmocka_unit_test(one_that_was_shut_comes_back),
		cmocka_unit_test(a_retry_may_leave_by_another_address),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

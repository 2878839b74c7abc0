/*
 * test_engine_limits - who may hold the node's sessions, which limits hold when
 * the configuration changes, and what is learnt of a peer's: an engine between
 * peers that answer at once and such as say nothing until they are given up.
 * timeout: 60
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "engine/engine.h"

#define SESSIONS 100
#define DOMAIN(k) (1000u + (k))
#define SILENT 10000u /* domains from here on are silent */
#define BANNER_US (300 * US_PER_S)

struct sess {
	struct handle h;
	int64_t opened_us;
	uint32_t domain;
	uint32_t n;   /* messages */
	uint32_t cap; /* of them; 0 = any */
};

struct world {
	struct eng *e;
	struct eng_policy *policy;
	struct eng_cmds cmds;
	struct eng_event todo[4096];
	uint32_t ntodo, nsess, most;
	int64_t now;
	struct sess sess[4 * SESSIONS];
	uint32_t nmsg, delivered;
	uint32_t stand, ndoor; /* sessions let in at most; turned away */
	uint16_t shape;
	bool is_slow; /* results are not given */
	bool is_deaf; /* nor are look-ups answered */
	/* What the peers take: messages of a connection, 0 = any, or now more
	 * and now fewer; and so many at once, then one each period. More is
	 * answered 421. */
	uint32_t cap, burst;
	const uint32_t *caps; /* of one connection after the other */
	uint32_t ncaps, nopened;
	int64_t period_us, took_us;
	uint32_t refused;
};

static void
later(struct world *w, struct eng_event ev)
{
	assert_true(w->ntodo < 4096);
	w->todo[w->ntodo++] = ev;
}

static void
resolve(struct world *w, uint32_t domain)
{
	struct eng_event ev = { .kind = EV_RESOLVED };

	ev.resolved.domain = domain;
	ev.resolved.status = ENG_DNS_OK;
	ev.resolved.ttl_us = 86400 * US_PER_S;
	ev.resolved.where.dest = w->shape;
	ev.resolved.ntargets = 1;
	ev.resolved.target[0].host = domain + 100000;
	ev.resolved.target[0].port = 25;
	ev.resolved.target[0].ip.family = 4;
	ev.resolved.target[0].ip.b[0] = 10;
	ev.resolved.target[0].ip.b[2] = (uint8_t)(domain >> 8);
	ev.resolved.target[0].ip.b[3] = (uint8_t)domain;
	later(w, ev);
}

static void
shape(struct world *w, uint32_t domain)
{
	struct eng_event ev = { .kind = EV_SHAPE };

	ev.shape.domain = domain;
	ev.shape.where.dest = w->shape;
	later(w, ev);
}

static void
down(struct world *w, uint32_t at, bool ok)
{
	struct eng_event ev = { .kind = EV_SESSION_DOWN };

	ev.down.session = w->sess[at].h;
	ev.down.outcome.klass = ok ? OUTCOME_DELIVERED : OUTCOME_TRANSIENT;
	ev.down.outcome.stage = ok ? STAGE_QUIT : STAGE_BANNER;
	if (!ok && w->nsess > w->stand) {
		ev.down.outcome.code = 421;
		w->ndoor++;
	}
	w->sess[at] = w->sess[--w->nsess];
	later(w, ev);
}

static void
on_open(struct world *w, const struct eng_cmd *c)
{
	struct eng_event up = { .kind = EV_SESSION_UP };

	assert_true(w->nsess < SESSIONS);
	w->sess[w->nsess++] = (struct sess){ .h = c->open.session,
		.domain = c->open.domain,
		.opened_us = w->now,
		.cap = w->cap };
	if (w->ncaps)
		w->sess[w->nsess - 1].cap = w->caps[w->nopened++ % w->ncaps];
	w->most = MAX(w->most, w->nsess);
	up.up.session = c->open.session;
	if (w->nsess > w->stand)
		down(w, w->nsess - 1, false);
	else if (c->open.domain < SILENT)
		later(w, up);
}

static bool
takes(struct world *w, struct sess *s)
{
	if (s->cap && s->n == s->cap)
		return false;
	s->n++;
	if (!w->period_us)
		return true;
	while (w->took_us + w->period_us <= w->now) {
		w->took_us += w->period_us;
		w->burst++;
	}
	if (w->burst == 0)
		return false;
	w->burst--;
	return true;
}

static uint32_t
sess_at(const struct world *w, struct handle h)
{
	uint32_t i = 0;

	while (i < w->nsess && !handle_eq(w->sess[i].h, h))
		i++;
	return i;
}

/* 421, and the session goes. */
static void
refuse(struct world *w, const struct eng_cmd *c, uint32_t at)
{
	struct eng_event ev = { .kind = EV_RESULT };

	w->refused++;
	ev.result.session = c->assign.session;
	ev.result.txn = c->assign.txn;
	ev.result.is_sent = true;
	ev.result.n = c->assign.n;
	ev.result.rcpt[0].klass = OUTCOME_TRANSIENT;
	ev.result.rcpt[0].code = 421;
	ev.result.rcpt[0].stage = STAGE_MAIL;
	later(w, ev);
	down(w, at, false);
	w->todo[w->ntodo - 1].down.outcome = ev.result.rcpt[0];
}

static void
on_assign(struct world *w, const struct eng_cmd *c)
{
	struct eng_event ev = { .kind = EV_RESULT };
	uint32_t at = sess_at(w, c->assign.session);

	if (w->is_slow || at == w->nsess)
		return;
	if (!takes(w, &w->sess[at])) {
		refuse(w, c, at);
		return;
	}
	ev.result.session = c->assign.session;
	ev.result.txn = c->assign.txn;
	ev.result.is_sent = true;
	ev.result.n = c->assign.n;
	ev.result.rcpt[0].klass = OUTCOME_DELIVERED;
	ev.result.rcpt[0].code = 250;
	ev.result.rcpt[0].stage = STAGE_EOM;
	later(w, ev);
}

static void
on_close(struct world *w, struct handle h)
{
	uint32_t i = sess_at(w, h);

	if (i < w->nsess)
		down(w, i, w->sess[i].domain < SILENT);
}

static void
step(struct world *w, const struct eng_event *ev)
{
	w->cmds.n = 0;
	eng_step(w->e, ev, w->now, &w->cmds);
	for (uint32_t i = 0; i < w->cmds.n; i++) {
		const struct eng_cmd *c = &w->cmds.v[i];

		if (c->kind == CMD_RESOLVE && !w->is_deaf)
			resolve(w, c->domain);
		else if (c->kind == CMD_SHAPE)
			shape(w, c->domain);
		else if (c->kind == CMD_OPEN)
			on_open(w, c);
		else if (c->kind == CMD_ASSIGN)
			on_assign(w, c);
		else if (c->kind == CMD_CLOSE)
			on_close(w, c->close);
		else if (c->kind == CMD_LOG)
			w->delivered += c->log.what == ENG_LOG_DELIVERY;
	}
}

/* Lets time pass; the silent are given up after BANNER_US. */
static void
run(struct world *w, int64_t for_us)
{
	struct eng_event tick = { .kind = EV_TICK }, ev;
	int64_t end = w->now + for_us;

	for (;;) {
		while (w->ntodo) {
			ev = w->todo[0];
			w->ntodo--;
			memmove(w->todo, w->todo + 1, w->ntodo * sizeof(ev));
			step(w, &ev);
		}
		for (uint32_t i = 0; i < w->nsess;)
			if (w->sess[i].domain >= SILENT &&
			    w->sess[i].opened_us + BANNER_US <= w->now)
				down(w, i, false);
			else
				i++;
		if (w->ntodo)
			continue;
		if (eng_deadline(w->e) <= w->now) {
			step(w, &tick);
			continue;
		}
		if (w->now >= end)
			break;
		w->now = MIN(end, MIN(w->now + US_PER_S, eng_deadline(w->e)));
	}
	eng_check(w->e);
}

static void
send(struct world *w, uint32_t domain)
{
	struct eng_event ev = { .kind = EV_MESSAGE };

	ev.message = (struct ev_message){ .msg = ++w->nmsg,
		.nrcpt = 1,
		.pool = 50,
		.arrival_us = w->now,
		.expires_us = w->now + 5 * 86400 * US_PER_S };
	step(w, &ev);
	ev = (struct eng_event){ .kind = EV_RECIPIENT };
	ev.recipient.msg = w->nmsg;
	ev.recipient.domain = domain;
	step(w, &ev);
}

static void
world_new(struct world *w, uint32_t conns)
{
	struct eng_limits limits = { 100000, 100000, 10000, 10000, SESSIONS };
	struct eng_policy *p = calloc(1, sizeof(*p));

	memset(w, 0, sizeof(*w));
	eng_policy_default(p);
	p->nsources = p->npools = 1;
	p->sources[0] = (struct eng_source_conf){ .name = 60, .has_v4 = true };
	p->pools[0].name = 50;
	p->pools[0].nsources = 1;
	p->default_pool = 50;
	p->nshapes = p->ndests = 2;
	p->dests[1].shape = 1;
	p->sets[1] = ENG_SETS_ALL;
	eng_shape_default(&p->shapes[1]);
	p->shapes[0].conns_max = p->shapes[1].conns_max = conns;
	w->policy = p;
	w->now = US_PER_S;
	w->stand = SESSIONS;
	w->e = eng_new(p, &limits, 1, w->now);
	assert_non_null(w->e);
}

static void
world_free(struct world *w)
{
	eng_free(w->e);
	eng_cmds_free(&w->cmds);
	free(w->policy);
}

static struct world world;

static uint32_t
silent_sessions(const struct world *w)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < w->nsess; i++)
		n += w->sess[i].domain >= SILENT;
	return n;
}

static void
hosts_that_say_nothing_leave_room_for_others(void **state)
{
	struct world *w = &world;

	(void)state;
	world_new(w, 20);
	send(w, DOMAIN(1));
	run(w, US_PER_S);
	assert_int_equal(w->delivered, 1);
	for (uint32_t i = 0; i < 10 * SESSIONS; i++)
		send(w, SILENT + i);
	run(w, US_PER_S);
	assert_int_equal(silent_sessions(w), SESSIONS * 3 / 4);
	/* Who has answered goes on at once. */
	for (uint32_t i = 0; i < 50; i++)
		send(w, DOMAIN(1));
	run(w, US_PER_S);
	assert_int_equal(w->delivered, 51);
	/* Strangers stand in line behind the silent, who are given up before
	 * their time: a thousand in turns of 20 s. */
	for (uint32_t i = 0; i < 50; i++)
		send(w, DOMAIN(2 + i));
	run(w, BANNER_US);
	assert_int_equal(w->delivered, 101);
	/* Those are suspects now, and leave half of it to strangers. */
	assert_true(silent_sessions(w) <= SESSIONS * 3 / 8);
	for (uint32_t i = 0; i < 50; i++)
		send(w, DOMAIN(100 + i));
	run(w, US_PER_S);
	assert_int_equal(w->delivered, 151);
	assert_true(w->most <= SESSIONS);
	world_free(w);
}

static enum eng_why
why_of_first(struct world *w)
{
	struct eng_selector all = { .everything = true };
	struct eng_rcpt_row row;
	uint32_t cursor = 0;

	assert_int_equal(eng_list(w->e, &all, &cursor, 100000, w->now, &row, 1),
	    1);
	return row.why;
}

static void
a_peer_that_counts_connections_gets_no_more(void **state)
{
	struct world *w = &world;

	(void)state;
	world_new(w, 20); /* a minute between tries */
	w->stand = 2;
	for (uint32_t i = 0; i < 40; i++)
		send(w, DOMAIN(1));
	run(w, US_PER_S);
	assert_in_range(w->ndoor, 1, 2);
	assert_int_equal(w->delivered, 40); /* those that stand go on */
	run(w, 60 * US_PER_S);
	w->is_slow = true; /* and there is need of more */
	w->ndoor = 0;
	for (uint32_t i = 0; i < 40; i++)
		send(w, DOMAIN(1));
	run(w, US_PER_S);
	assert_int_equal(w->nsess, 2);
	assert_int_equal(w->ndoor, 1);
	assert_int_equal(why_of_first(w), WHY_CONN);
	run(w, 118 * US_PER_S);
	assert_int_equal(w->ndoor, 1);
	run(w, 2 * US_PER_S);
	assert_int_equal(w->ndoor, 2); /* one more, after twice the time */
	w->stand = 20;
	run(w, 241 * US_PER_S);
	assert_int_equal(w->ndoor, 2);
	assert_in_range(w->nsess, 4, 20); /* as many as may be unproven */
	world_free(w);
}

static void
a_peer_that_lets_nobody_in_shuts_the_path(void **state)
{
	struct world *w = &world;

	(void)state;
	world_new(w, 20);
	w->stand = 0;
	for (uint32_t i = 0; i < 40; i++)
		send(w, DOMAIN(1));
	run(w, 59 * US_PER_S);
	assert_in_range(w->ndoor, 1, 4);
	assert_int_equal(why_of_first(w), WHY_BACKOFF);
	w->ndoor = 0;
	run(w, 60 * US_PER_S);
	assert_int_equal(w->ndoor, 1); /* one goes first */
	w->stand = 20;
	run(w, 120 * US_PER_S);
	assert_int_equal(w->delivered, 40);
	world_free(w);
}

static void
new_limits_do_not_wait_for_look_ups(void **state)
{
	struct world *w = &world;
	struct eng_policy new;
	struct eng_event conf = { .kind = EV_CONF, .conf = &new };

	(void)state;
	world_new(w, 2);
	send(w, DOMAIN(1));
	run(w, US_PER_S); /* it is known */
	w->is_slow = w->is_deaf = true;
	for (uint32_t i = 0; i < 40; i++)
		send(w, DOMAIN(1));
	run(w, US_PER_S);
	assert_int_equal(w->nsess, 2);
	new = *w->policy;
	new.shapes[0].conns_max = 3; /* the shape it has */
	step(w, &conf);
	run(w, US_PER_S);
	assert_int_equal(w->nsess, 3);
	new.shapes[1].conns_max = 5; /* another one is its shape */
	w->shape = 1;
	step(w, &conf);
	run(w, US_PER_S);
	assert_int_equal(w->nsess, 5);
	world_free(w);
}

static void
nothing_is_sent_while_outcomes_cannot_be_kept(void **state)
{
	struct eng_event disk = { .kind = EV_DISK, .is_disk_full = true };
	struct world *w = &world;

	(void)state;
	world_new(w, 2);
	w->policy->shapes[0].rate_count = 1;
	w->policy->shapes[0].rate_period_us = US_PER_S;
	for (uint32_t i = 0; i < 10; i++)
		send(w, DOMAIN(1));
	run(w, 3 * US_PER_S);
	assert_in_range(w->delivered, 3, 4);
	w->most = w->delivered;
	step(w, &disk);
	for (uint32_t i = 0; i < 10; i++)
		send(w, DOMAIN(2)); /* one that nobody knows yet */
	run(w, 60 * US_PER_S);
	assert_int_equal(w->delivered, w->most);
	assert_int_equal(why_of_first(w), WHY_DISK);
	disk.is_disk_full = false;
	step(w, &disk);
	run(w, 20 * US_PER_S);
	assert_int_equal(w->delivered, 20);
	world_free(w);
}

static void
a_peer_that_takes_a_few_of_each_connection_gets_all_of_it(void **state)
{
	struct world *w = &world;

	(void)state;
	world_new(w, 4);
	w->cap = 3;
	for (uint32_t i = 0; i < 300; i++)
		send(w, DOMAIN(1));
	run(w, US_PER_S);
	assert_int_equal(w->delivered, 300);
	/* Those that were open when the first said so. */
	assert_in_range(w->refused, 1, 4);
	/* Fewer is not far from it; more is found out when time has passed. */
	w->cap = 2;
	for (uint32_t i = 0; i < 100; i++)
		send(w, DOMAIN(1));
	run(w, US_PER_S);
	assert_int_equal(w->delivered, 400);
	assert_in_range(w->refused, 2, 12);
	world_free(w);
}

static void
a_peer_that_slows_us_down_is_left_alone(void **state)
{
	struct world *w = &world;

	(void)state;
	world_new(w, 4);
	w->burst = 40;
	w->period_us = US_PER_S;
	w->took_us = w->now;
	for (uint32_t i = 0; i < 200; i++)
		send(w, DOMAIN(1));
	run(w, 30 * US_PER_S);
	assert_int_equal(why_of_first(w), WHY_BACKOFF);
	assert_true(w->delivered < 100);
	assert_in_range(w->refused, 1, 12);
	run(w, 3600 * US_PER_S);
	assert_int_equal(w->delivered, 200);
	world_free(w);
}

/* Now after many messages and now after few: the first time it may be taken for
 * goodbye, then each time it is a pause. */
static void
a_peer_that_is_no_counter_is_not_taken_for_one_again(void **state)
{
	static const uint32_t caps[] = { 12, 4, 9, 3, 8 };
	struct world *w = &world;

	(void)state;
	world_new(w, 1);
	w->policy->shapes[0].floor_count = 0;
	w->policy->shapes[0].backoff_min_us = US_PER_S;
	w->policy->shapes[0].backoff_max_us = US_PER_S;
	w->caps = caps;
	w->ncaps = ARRAY_LEN(caps);
	for (uint32_t i = 0; i < 1000; i++)
		send(w, DOMAIN(1));
	run(w, 50 * US_PER_S);
	/* One connection each second. */
	assert_in_range(w->nopened, 40, 52);
	/* One that counts is believed again when time has passed. */
	w->ncaps = 0;
	w->cap = 5;
	run(w, 3600 * US_PER_S);
	w->refused = 0;
	for (uint32_t i = 0; i < 300; i++)
		send(w, DOMAIN(1));
	run(w, 0);
	assert_int_equal(w->delivered, 1300);
	assert_in_range(w->refused, 0, 1);
	world_free(w);
}

static void
what_rates_allow_counts_as_spent_after_a_start(void **state)
{
	struct world *w = &world;

	(void)state;
	world_new(w, 2);
	w->policy->shapes[0].rate_count = 1;
	w->policy->shapes[0].rate_period_us = US_PER_S;
	w->policy->shapes[0].rate_burst = 5;
	eng_rates_spent(w->e);
	for (uint32_t i = 0; i < 20; i++)
		send(w, DOMAIN(1));
	run(w, US_PER_S / 2);
	assert_int_equal(w->delivered, 0);
	run(w, 3 * US_PER_S);
	assert_in_range(w->delivered, 3, 4);
	/* Long after the start it is as ever. */
	run(w, 60 * US_PER_S);
	for (uint32_t i = 0; i < 20; i++)
		send(w, DOMAIN(2));
	run(w, US_PER_S / 2);
	assert_int_equal(w->delivered, 25);
	world_free(w);
}

/* ---- layers -------------------------------------------------------------------- */

static void
assert_conns(const struct eng_policy *p, struct eng_where to, uint32_t source,
    uint32_t conns)
{
	struct eng_shape s;

	eng_policy_shape(p, &to, source, &s);
	assert_int_equal(s.conns_max, conns);
	assert_int_equal(s.msgs_per_conn, source == 1 ? 7 : 100);
}

static void
a_later_layer_wins_limit_by_limit(void **state)
{
	struct eng_policy *p = calloc(1, sizeof(*p));

	(void)state;
	eng_policy_default(p);
	p->nshapes = 7;
	for (uint32_t i = 0; i < p->nshapes; i++) {
		p->shapes[i].conns_max = 10 + i;
		p->shapes[i].msgs_per_conn = i == 0 ? 100 : 7;
		p->sets[i] = 1u << ENG_SHAPE_BIT(conns_max);
	}
	p->nsources = p->nproviders = 3;
	p->ndests = 2;
	p->providers[1].shape = 1;
	p->npairs = 3;
	p->pairs[0] = (struct eng_pair_conf){ 1, 0, 2 };
	p->pairs[1] = (struct eng_pair_conf){ 1, 2, 3 };
	p->pairs[2] = (struct eng_pair_conf){ 2, 0, 4 };
	p->dests[1].shape = 5;
	p->sources[1].shape = 6;
	p->sets[6] = 1u << ENG_SHAPE_BIT(msgs_per_conn);
	assert_conns(p, (struct eng_where){ 0, 0, 0 }, 0, 10);
	assert_conns(p, (struct eng_where){ 0, 1, 0 }, 9, 11);
	assert_conns(p, (struct eng_where){ 0, 1, 0 }, 0, 12);
	assert_conns(p, (struct eng_where){ 0, 1, 0 }, 1, 11);
	assert_conns(p, (struct eng_where){ 0, 1, 0 }, 2, 13);
	assert_conns(p, (struct eng_where){ 0, 2, 0 }, 0, 14);
	assert_conns(p, (struct eng_where){ 0, 2, 0 }, 2, 10);
	assert_conns(p, (struct eng_where){ 0, 1, 4 }, 0, 14);
	assert_conns(p, (struct eng_where){ 1, 1, 4 }, 0, 15);
	assert_conns(p, (struct eng_where){ 1, 1, 4 }, 1, 15);
	free(p);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_later_layer_wins_limit_by_limit),
		cmocka_unit_test(hosts_that_say_nothing_leave_room_for_others),
		cmocka_unit_test(a_peer_that_counts_connections_gets_no_more),
		cmocka_unit_test(a_peer_that_lets_nobody_in_shuts_the_path),
		cmocka_unit_test(new_limits_do_not_wait_for_look_ups),
		cmocka_unit_test(nothing_is_sent_while_outcomes_cannot_be_kept),
		cmocka_unit_test(
		    a_peer_that_takes_a_few_of_each_connection_gets_all_of_it),
		cmocka_unit_test(a_peer_that_slows_us_down_is_left_alone),
		cmocka_unit_test(
		    a_peer_that_is_no_counter_is_not_taken_for_one_again),
		cmocka_unit_test(
		    what_rates_allow_counts_as_spent_after_a_start),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

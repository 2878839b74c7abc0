/*
 * test_engine_fair - how tenants share a site: by weight, campaigns of a tenant
 * likewise, mail in a hurry first; and who comes new waits for no more than its
 * share, however much the others have.
 * timeout: 60 900
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/engine.h"

#define TENANT(t) (100u + (t))
#define CAMPAIGN(c) (3000u + (c))
#define POOL(p) (50u + (p))
#define SOURCE(s) (60u + (s))
#define DOMAIN 1000u
#define NAMES 128u
#define SESSIONS 16u
#define AHEAD 4u

struct txn {
	struct handle txn;
	uint32_t msg;
};
struct line {
	struct handle session;
	struct txn v[AHEAD + 1]; /* the first is on the wire */
	uint32_t n;
};
struct world {
	struct eng *e;
	struct eng_policy policy;
	struct eng_cmds cmds;
	int64_t now;
	uint32_t nmsg, cap;
	uint8_t *tenant, *campaign, *klass; /* of a message */
	bool *is_started;
	struct line line[SESSIONS];
	uint32_t nlines;
	uint32_t nstarted;
	uint32_t zone; /* that what is sent is for */
	uint32_t by_tenant[NAMES], by_campaign[NAMES], by_class[2];
};
static struct world world;

static void step(struct world *w, const struct eng_event *ev);

static void
on_resolve(struct world *w, uint32_t domain)
{
	struct eng_event ev = { .kind = EV_RESOLVED };

	ev.resolved.domain = domain;
	ev.resolved.status = ENG_DNS_OK;
	ev.resolved.ttl_us = 86400 * US_PER_S;
	ev.resolved.ntargets = 1;
	ev.resolved.target[0].host = 5000;
	ev.resolved.target[0].port = 25;
	ev.resolved.target[0].ip.family = 4;
	ev.resolved.target[0].ip.b[0] = 10;
	step(w, &ev);
}

static void
on_open(struct world *w, const struct eng_cmd *c)
{
	struct eng_event ev = { .kind = EV_SESSION_UP };

	assert_true(w->nlines < SESSIONS);
	w->line[w->nlines++] = (struct line){ .session = c->open.session };
	ev.up.session = c->open.session;
	step(w, &ev);
}

static void
started(struct world *w, uint32_t msg)
{
	w->is_started[msg] = true;
	w->nstarted++;
	w->by_tenant[w->tenant[msg]]++;
	w->by_campaign[w->campaign[msg]]++;
	w->by_class[w->klass[msg]]++;
}

static void
on_assign(struct world *w, const struct eng_cmd *c)
{
	for (uint32_t s = 0; s < w->nlines; s++) {
		struct line *l = &w->line[s];

		if (!handle_eq(l->session, c->assign.session))
			continue;
		assert_true(l->n < AHEAD);
		/* No wait has burned an attempt. */
		assert_int_equal(c->assign.attempt, 1);
		l->v[l->n++] = (struct txn){ c->assign.txn, c->assign.msg };
		if (l->n == 1)
			started(w, c->assign.msg);
	}
}

/* Answers come in steps of their own, so the commands are copied first. */
static void
step(struct world *w, const struct eng_event *ev)
{
	struct eng_cmd *c;
	uint32_t n;

	w->cmds.n = 0;
	eng_step(w->e, ev, w->now, &w->cmds);
	n = w->cmds.n;
	c = malloc((n + 1) * sizeof(*c));
	assert_non_null(c);
	if (n)
		memcpy(c, w->cmds.v, n * sizeof(*c));
	for (uint32_t i = 0; i < n; i++) {
		if (c[i].kind == CMD_RESOLVE)
			on_resolve(w, c[i].domain);
		else if (c[i].kind == CMD_OPEN)
			on_open(w, &c[i]);
		else if (c[i].kind == CMD_ASSIGN)
			on_assign(w, &c[i]);
	}
	free(c);
}

static uint32_t
send_to(struct world *w, uint32_t tenant, uint32_t campaign, uint8_t klass,
    uint32_t pool)
{
	struct eng_event ev = { .kind = EV_MESSAGE };
	uint32_t msg = ++w->nmsg;

	assert_true(msg < w->cap);
	w->tenant[msg] = (uint8_t)tenant;
	w->campaign[msg] = (uint8_t)campaign;
	w->klass[msg] = klass;
	w->is_started[msg] = false;
	ev.message = (struct ev_message){ .msg = msg,
		.nrcpt = 1,
		.tenant = TENANT(tenant),
		.campaign = CAMPAIGN(campaign),
		.pool = POOL(pool),
		.klass = klass,
		.zone = w->zone,
		.arrival_us = w->now,
		.expires_us = w->now + 86400 * US_PER_S };
	step(w, &ev);
	ev = (struct eng_event){ .kind = EV_RECIPIENT };
	ev.recipient.msg = msg;
	ev.recipient.domain = DOMAIN;
	step(w, &ev);
	return msg;
}

static uint32_t
send(struct world *w, uint32_t tenant)
{
	return send_to(w, tenant, 0, 0, 0);
}

/* What the session has on the wire is delivered; its next one starts. */
static void
deliver(struct world *w, uint32_t s)
{
	struct line *l = &w->line[s];
	struct eng_event ev = { .kind = EV_RESULT };

	if (l->n == 0)
		return;
	w->now += US_PER_MS;
	ev.result.session = l->session;
	ev.result.txn = l->v[0].txn;
	ev.result.is_sent = true;
	ev.result.n = 1;
	ev.result.rcpt[0].klass = OUTCOME_DELIVERED;
	ev.result.rcpt[0].code = 250;
	ev.result.rcpt[0].stage = STAGE_EOM;
	memmove(&l->v[0], &l->v[1], --l->n * sizeof(l->v[0]));
	if (l->n != 0)
		started(w, l->v[0].msg);
	step(w, &ev);
}

static void
rounds(struct world *w, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		deliver(w, i % w->nlines);
}

static void
tallies_clear(struct world *w)
{
	w->nstarted = 0;
	memset(w->by_tenant, 0, sizeof(w->by_tenant));
	memset(w->by_campaign, 0, sizeof(w->by_campaign));
	memset(w->by_class, 0, sizeof(w->by_class));
}

/* One source, so many sessions, each with the shape's transactions ahead. */
static void
world_new(struct world *w, uint32_t nsessions, uint32_t cap)
{
	struct eng_policy *p = &w->policy;

	memset(w, 0, sizeof(*w));
	eng_policy_default(p);
	p->npools = p->nsources = 1;
	p->pools[0].name = p->default_pool = POOL(0);
	p->pools[0].nsources = 1;
	p->sources[0] =
	    (struct eng_source_conf){ .name = SOURCE(0), .has_v4 = true };
	p->shapes[0].conns_max = nsessions;
	p->shapes[0].msgs_per_conn = 0;
	w->now = US_PER_S;
	w->cap = cap + 2;
	w->tenant = calloc(w->cap, 1);
	w->campaign = calloc(w->cap, 1);
	w->klass = calloc(w->cap, 1);
	w->is_started = calloc(w->cap, sizeof(bool));
}

static void
weight(struct world *w, uint32_t tenant, uint16_t n)
{
	struct eng_policy *p = &w->policy;

	p->tenants[p->ntenants++] =
	    (struct eng_tenant_conf){ .name = TENANT(tenant), .weight = n };
}

static void
world_start(struct world *w)
{
	struct eng_limits limits = { w->cap, w->cap, 100, 100, SESSIONS };

	w->e = eng_new(&w->policy, &limits, 1, w->now);
	assert_non_null(w->e);
}

static void
world_free(struct world *w)
{
	eng_check(w->e);
	eng_free(w->e);
	eng_cmds_free(&w->cmds);
	free(w->tenant);
	free(w->campaign);
	free(w->klass);
	free(w->is_started);
}

/* ---- shares ------------------------------------------------------------------ */

static void
tenants_share_by_weight(void **state)
{
	struct world *w = &world;

	(void)state;
	world_new(w, 4, 12000);
	weight(w, 1, 7);
	weight(w, 2, 2);
	world_start(w);
	for (uint32_t i = 0; i < 3000; i++)
		for (uint32_t t = 0; t < 3; t++)
			send(w, t);
	rounds(w, 100);
	tallies_clear(w);
	rounds(w, 2000);
	assert_in_range(w->by_tenant[0], 199, 201);
	assert_in_range(w->by_tenant[1], 1399, 1401);
	assert_in_range(w->by_tenant[2], 399, 401);
	world_free(w);
}

/* Another weight from the next policy on. */
static void
a_new_weight_counts_at_once(void **state)
{
	struct world *w = &world;
	static struct eng_policy next;
	struct eng_event ev = { .kind = EV_CONF, .conf = &next };

	(void)state;
	world_new(w, 1, 8000);
	weight(w, 1, 7);
	world_start(w);
	for (uint32_t i = 0; i < 3000; i++)
		for (uint32_t t = 0; t < 2; t++)
			send(w, t);
	rounds(w, 100);
	next = w->policy;
	next.generation++;
	next.tenants[1].weight = 3;
	step(w, &ev);
	rounds(w, 20);
	tallies_clear(w);
	rounds(w, 400);
	assert_in_range(w->by_tenant[1], 299, 301);
	world_free(w);
}

/* Many small ones and a heavy one that is away for long: it has nothing saved
 * up when it returns. */
static void
who_was_idle_has_saved_nothing(void **state)
{
	struct world *w = &world;

	(void)state;
	world_new(w, 1, 12000);
	world_start(w);
	for (uint32_t i = 0; i < 5000; i++)
		send(w, 0);
	send(w, 1);
	rounds(w, 2000);
	for (uint32_t i = 0; i < 3000; i++)
		send(w, 1);
	tallies_clear(w);
	rounds(w, 1000);
	assert_in_range(w->by_tenant[0], 498, 502);
	world_free(w);
}

/* It sends the next message when its last one has left: no more than its share,
 * though its queue is new each time. */
static void
who_sends_one_by_one_gains_nothing(void **state)
{
	struct world *w = &world;
	uint32_t last;

	(void)state;
	world_new(w, 1, 12000);
	weight(w, 1, 10);
	world_start(w);
	for (uint32_t i = 0; i < 500; i++)
		for (uint32_t t = 2; t < 12; t++)
			send(w, t);
	last = send(w, 1);
	tallies_clear(w);
	for (uint32_t i = 0; i < 2000; i++) {
		if (w->is_started[last])
			last = send(w, 1);
		deliver(w, 0);
	}
	assert_in_range(w->by_tenant[1], 900, 1001);
	world_free(w);
}

static void
campaigns_share_what_their_tenant_gets(void **state)
{
	struct world *w = &world;
	struct eng_policy *p = &w->policy;

	(void)state;
	world_new(w, 2, 20000);
	p->campaigns[0] =
	    (struct eng_campaign_conf){ TENANT(0), CAMPAIGN(2), 4 };
	p->ncampaigns = 1;
	world_start(w);
	for (uint32_t i = 0; i < 3000; i++) {
		send_to(w, 0, 1, 0, 0);
		send_to(w, 0, 2, 0, 0);
		send_to(w, 1, 3, 0, 0);
	}
	rounds(w, 50);
	tallies_clear(w);
	rounds(w, 1000);
	assert_in_range(w->by_tenant[0], 499, 501);
	assert_in_range(w->by_campaign[1], 98, 102);
	assert_in_range(w->by_campaign[2], 396, 404);
	world_free(w);
}

/* ---- the class in a hurry ------------------------------------------------------ */

static void
what_is_in_a_hurry_goes_first_but_not_alone(void **state)
{
	struct world *w = &world;
	uint32_t msg;

	(void)state;
	world_new(w, 1, 12000);
	world_start(w);
	for (uint32_t i = 0; i < 4000; i++)
		send(w, i % 5);
	rounds(w, 100);
	msg = send_to(w, 9, 0, 1, 0);
	tallies_clear(w);
	while (!w->is_started[msg])
		deliver(w, 0);
	assert_true(w->nstarted <= 2); /* what the session held, and it */
	for (uint32_t i = 0; i < 4000; i++)
		send_to(w, 8 + i % 3, 0, 1, 0);
	rounds(w, 20);
	tallies_clear(w);
	rounds(w, 1000);
	assert_in_range(w->by_class[0], 249, 251);
	assert_in_range(w->by_tenant[2], 49, 51);
	assert_in_range(w->by_tenant[9], 249, 251);
	world_free(w);
}

/* ---- quiet hours --------------------------------------------------------------- */

static void
clock_is(struct world *w, const char *text)
{
	struct eng_event ev = { .kind = EV_CLOCK };

	assert_int_equal(parse_date_iso(slice_str(text), &ev.wall_us), 0);
	step(w, &ev);
}

static void
tick_at(struct world *w, int64_t now_us)
{
	const struct eng_event ev = { .kind = EV_TICK };

	while (eng_deadline(w->e) <= now_us) {
		w->now = MAX(w->now, eng_deadline(w->e));
		step(w, &ev);
	}
	w->now = now_us;
	step(w, &ev);
}

/* 22:00 to 08:00 in a zone two hours east of UTC. */
static void
mail_waits_while_its_tenant_is_quiet(void **state)
{
	struct world *w = &world;
	struct eng_policy *p = &w->policy;
	struct eng_queue_row row[4];
	uint32_t msg, other;

	(void)state;
	world_new(w, 2, 100);
	p->zones[1].zone = (struct tzone){ .n = 1, .offset_s = { 7200 } };
	p->nzones = 2;
	weight(w, 1, 1);
	p->tenants[1].zone = 1;
	p->tenants[1].nquiet = 1;
	p->tenants[1].quiet[0] = (struct eng_quiet){ 22 * 60, 8 * 60, 0x7f };
	world_start(w);
	clock_is(w, "2027-05-03T19:59:00Z");
	msg = send(w, 1);
	assert_true(w->is_started[msg]);
	rounds(w, 1);
	tick_at(w, w->now + 70 * US_PER_S);
	msg = send(w, 1);
	other = send(w, 2);
	rounds(w, 4);
	assert_false(w->is_started[msg]);
	assert_true(w->is_started[other]);
	for (uint32_t i = 0,
		      n = eng_top_queues(w->e, SORT_DEPTH, w->now, row, 4);
	     i < n; i++)
		if (row[i].tenant == TENANT(1)) {
			assert_int_equal(row[i].why, WHY_QUIET);
			assert_in_range(row[i].until_us - w->now,
			    INT64_C(35980) * US_PER_S,
			    INT64_C(36000) * US_PER_S);
		}
	eng_check(w->e);
	tick_at(w, w->now + INT64_C(35900) * US_PER_S);
	assert_false(w->is_started[msg]);
	tick_at(w, w->now + 100 * US_PER_S);
	assert_true(w->is_started[msg]);
	world_free(w);
}

/* By the zone that a message is for, if that is known, and not by its tenant's. */
static void
hours_are_those_of_the_mails_zone(void **state)
{
	struct world *w = &world;
	struct eng_policy *p = &w->policy;
	uint32_t here, there, nowhere;

	(void)state;
	world_new(w, 1, 100);
	p->zones[1].zone = (struct tzone){ .n = 1, .offset_s = { 7200 } };
	p->zones[1].name = 70;
	p->zones[2].zone = (struct tzone){ .n = 1, .offset_s = { -7200 } };
	p->zones[2].name = 71;
	p->nzones = 3;
	weight(w, 1, 1);
	p->tenants[1].zone = 1;
	p->tenants[1].nquiet = 1;
	p->tenants[1].quiet[0] = (struct eng_quiet){ 22 * 60, 8 * 60, 0x7f };
	world_start(w);
	clock_is(w, "2027-05-03T20:01:00Z");
	here = send(w, 1);
	w->zone = 72;
	nowhere = send(w, 1);
	w->zone = 71;
	there = send(w, 1);
	rounds(w, 2);
	assert_false(w->is_started[here] || w->is_started[nowhere]);
	assert_true(w->is_started[there]);
	/* 22:01 there: until 10:00 of UTC. */
	tick_at(w, w->now + 4 * 3600 * US_PER_S);
	there = send(w, 1);
	rounds(w, 2);
	assert_false(w->is_started[there]);
	tick_at(w, w->now + 6 * 3600 * US_PER_S);
	rounds(w, 4);
	assert_true(w->is_started[here] && w->is_started[nowhere]);
	assert_false(w->is_started[there]);
	tick_at(w, w->now + 4 * 3600 * US_PER_S);
	assert_true(w->is_started[there]);
	world_free(w);
}

/* A clock that is set forward over the end of the hours lets it go at once. */
static void
a_clock_that_is_set_opens_quiet_hours(void **state)
{
	struct world *w = &world;
	struct eng_policy *p = &w->policy;
	uint32_t msg;

	(void)state;
	world_new(w, 1, 100);
	weight(w, 1, 1);
	p->tenants[1].nquiet = 1;
	p->tenants[1].quiet[0] = (struct eng_quiet){ 60, 120, 1 << 0 };
	world_start(w);
	clock_is(w, "2027-05-03T01:30:00Z"); /* a Monday */
	msg = send(w, 1);
	assert_false(w->is_started[msg]);
	clock_is(w, "2027-05-04T01:30:00Z");
	tick_at(w, w->now);
	assert_true(w->is_started[msg]);
	world_free(w);
}

/* ---- pools --------------------------------------------------------------------------- */

/* Two pools of the same source: who has mail in both has no two shares. */
static void
a_second_pool_is_no_second_share(void **state)
{
	struct world *w = &world;
	struct eng_policy *p = &w->policy;

	(void)state;
	world_new(w, 1, 12000);
	p->npools = 2;
	p->pools[1] = p->pools[0];
	p->pools[1].name = POOL(1);
	world_start(w);
	for (uint32_t i = 0; i < 2000; i++) {
		send_to(w, 0, 0, 0, 0);
		send_to(w, 0, 1, 0, 1);
		send_to(w, 1, 2, 0, 0);
	}
	rounds(w, 100);
	tallies_clear(w);
	rounds(w, 1000);
	assert_in_range(w->by_tenant[0], 499, 501);
	assert_true(w->by_campaign[0] > 100 && w->by_campaign[1] > 100);
	world_free(w);
}

/* ---- the bound --------------------------------------------------------------------- */

/* A tenant's first message, while others have so much that they never run dry:
 * ceil(1 / its share) + open sessions others start before it at most. */
static void
newcomer_in(struct world *w, uint32_t pool, uint32_t tenant, uint32_t mine,
    uint32_t all)
{
	uint32_t before = w->nstarted, msg = send_to(w, tenant, 0, 0, pool);
	uint32_t bound = (all + mine - 1) / mine + w->nlines, s = 0;

	while (!w->is_started[msg])
		deliver(w, s++ % w->nlines);
	if (w->nstarted - before - 1 > bound)
		fail_msg("tenant %u of weight %u in %u has seen %u others "
			 "start, not %u at most",
		    tenant, mine, all, w->nstarted - before - 1, bound);
	rounds(w, 7); /* and comes again at another moment */
}

static void
newcomer(struct world *w, uint32_t tenant, uint32_t mine, uint32_t all)
{
	newcomer_in(w, 0, tenant, mine, all);
}

static void
nobody_waits_for_a_backlog(void **state)
{
	struct world *w = &world;
	const char *check = getenv("CHECK");
	bool is_long = check != NULL && strcmp(check, "quick") != 0;
	uint32_t backlog = is_long ? 5000000 : 100000;
	static const uint16_t weights[] = { 1, 1, 2, 10, 100 };

	(void)state;
	world_new(w, 10, backlog + 20000);
	for (uint32_t t = 1; t < ARRAY_LEN(weights); t++)
		weight(w, t, weights[t]);
	weight(w, 50, 40);
	world_start(w);
	for (uint32_t i = 0; i < backlog; i++)
		send(w, 0);
	/* Alone with the backlog. */
	for (uint32_t t = 1; t < ARRAY_LEN(weights); t++)
		for (int k = 0; k < 20; k++)
			newcomer(w, t, weights[t], weights[t] + 1);
	/* And in a crowd of nine small ones and a heavy one. */
	for (uint32_t i = 0; i < 400; i++)
		for (uint32_t t = 20; t < 29; t++)
			send(w, t);
	for (uint32_t i = 0; i < 4000; i++)
		send(w, 50);
	for (int k = 0; k < 20; k++)
		for (uint32_t t = 1; t < ARRAY_LEN(weights); t++)
			newcomer(w, t, weights[t], weights[t] + 1 + 9 + 40);
	world_free(w);
}

/* Tenants with a backlog in each of two pools of one source: so many, of such a
 * weight. */
struct mix {
	uint32_t n[2];
	uint16_t weight[2];
};

/* The bound is the site's, whichever pool the others' mail is in. */
static void
nobody_waits_for_another_pool(void **state)
{
	static const struct mix mixes[] = { { { 1, 1 }, { 1, 1 } },
		{ { 1, 10 }, { 1, 1 } }, { { 10, 1 }, { 3, 100 } },
		{ { 1, 0 }, { 40, 1 } }, { { 20, 20 }, { 1, 7 } } };
	static const uint16_t mine[] = { 1, 2, 10 };
	struct world *w = &world;

	(void)state;
	for (size_t m = 0; m < ARRAY_LEN(mixes); m++) {
		const struct mix *x = &mixes[m];
		uint32_t all = x->n[0] * x->weight[0] + x->n[1] * x->weight[1];

		world_new(w, 4, 60000);
		w->policy.npools = 2;
		w->policy.pools[1] = w->policy.pools[0];
		w->policy.pools[1].name = POOL(1);
		for (uint32_t t = 0; t < 3; t++)
			weight(w, 1 + t, mine[t]);
		for (uint32_t p = 0; p < 2; p++)
			for (uint32_t t = 0; t < x->n[p]; t++)
				weight(w, 10 + 40 * p + t, x->weight[p]);
		world_start(w);
		for (uint32_t i = 0; i < 1000; i++)
			for (uint32_t p = 0; p < 2; p++)
				for (uint32_t t = 0; t < x->n[p]; t++)
					send_to(w, 10 + 40 * p + t, 0, 0, p);
		for (uint32_t i = 0; i < 60; i++)
			newcomer_in(w, i % 2, 1 + i / 2 % 3, mine[i / 2 % 3],
			    mine[i / 2 % 3] + all);
		world_free(w);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tenants_share_by_weight),
		cmocka_unit_test(a_new_weight_counts_at_once),
		cmocka_unit_test(who_was_idle_has_saved_nothing),
		cmocka_unit_test(who_sends_one_by_one_gains_nothing),
		cmocka_unit_test(campaigns_share_what_their_tenant_gets),
		cmocka_unit_test(what_is_in_a_hurry_goes_first_but_not_alone),
		cmocka_unit_test(mail_waits_while_its_tenant_is_quiet),
		cmocka_unit_test(hours_are_those_of_the_mails_zone),
		cmocka_unit_test(a_clock_that_is_set_opens_quiet_hours),
		cmocka_unit_test(a_second_pool_is_no_second_share),
		cmocka_unit_test(nobody_waits_for_a_backlog),
		cmocka_unit_test(nobody_waits_for_another_pool),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

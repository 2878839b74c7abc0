/*
 * test_engine_shares - whose turn it is: at a site that takes one transaction
 * at a time, tenants and pools that have mail all the time are served in turn,
 * however their neighbours' mail comes in.
 * timeout: 60
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "engine/engine.h"

#define NAMES 8u /* tenants and pools: 0 .. 7 */
#define TENANT(t) (100u + (t))
#define POOL(p) (50u + (p))
#define SOURCE(s) (60u + (s))
#define DOMAIN 1000u
#define SESSIONS 8u

struct world {
	struct eng *e;
	struct eng_policy policy;
	struct eng_cmds cmds;
	int64_t now;
	uint32_t nmsg;
	uint8_t tenant[4096], pool[4096]; /* of a message */
	/* The transaction that each source has under way; msg 0 = none. */
	struct {
		struct handle session, txn;
		uint32_t msg;
	} wire[SESSIONS];
	struct handle session[SESSIONS]; /* of a source */
	uint32_t served[NAMES][NAMES];   /* tenant, pool */
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

	w->session[c->open.source] = c->open.session;
	ev.up.session = c->open.session;
	step(w, &ev);
}

static void
on_assign(struct world *w, const struct eng_cmd *c)
{
	uint32_t msg = c->assign.msg;

	for (uint32_t s = 0; s < SESSIONS; s++)
		if (handle_eq(w->session[s], c->assign.session)) {
			assert_int_equal(w->wire[s].msg, 0);
			w->wire[s].session = c->assign.session;
			w->wire[s].txn = c->assign.txn;
			w->wire[s].msg = msg;
			w->served[w->tenant[msg]][w->pool[msg]]++;
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
	c = calloc(n + 1, sizeof(*c));
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

static void
send(struct world *w, uint32_t tenant, uint32_t pool)
{
	struct eng_event ev = { .kind = EV_MESSAGE };

	assert_true(++w->nmsg < ARRAY_LEN(w->tenant));
	w->tenant[w->nmsg] = (uint8_t)tenant;
	w->pool[w->nmsg] = (uint8_t)pool;
	ev.message = (struct ev_message){ .msg = w->nmsg,
		.nrcpt = 1,
		.tenant = TENANT(tenant),
		.pool = POOL(pool),
		.arrival_us = w->now,
		.expires_us = w->now + 86400 * US_PER_S };
	step(w, &ev);
	ev = (struct eng_event){ .kind = EV_RECIPIENT };
	ev.recipient.msg = w->nmsg;
	ev.recipient.domain = DOMAIN;
	step(w, &ev);
}

/* What the source has on the wire is delivered. */
static void
deliver(struct world *w, uint32_t source)
{
	struct eng_event ev = { .kind = EV_RESULT };

	assert_int_not_equal(w->wire[source].msg, 0);
	w->now += US_PER_MS;
	w->wire[source].msg = 0;
	ev.result.session = w->wire[source].session;
	ev.result.txn = w->wire[source].txn;
	ev.result.is_sent = true;
	ev.result.n = 1;
	ev.result.rcpt[0].klass = OUTCOME_DELIVERED;
	ev.result.rcpt[0].code = 250;
	ev.result.rcpt[0].stage = STAGE_EOM;
	step(w, &ev);
}

/* Sources with one connection each, which holds one transaction. */
static void
world_new(struct world *w, uint32_t npools, uint32_t nsources)
{
	struct eng_policy *p = &w->policy;

	memset(w, 0, sizeof(*w));
	eng_policy_default(p);
	p->npools = npools;
	p->nsources = nsources;
	for (uint32_t i = 0; i < npools; i++)
		p->pools[i].name = POOL(i);
	for (uint32_t i = 0; i < nsources; i++)
		p->sources[i] = (struct eng_source_conf){ .name = SOURCE(i),
			.has_v4 = true };
	p->default_pool = POOL(0);
	p->shapes[0].conns_max = p->shapes[0].assign_ahead = 1;
	p->shapes[0].msgs_per_conn = 0;
	w->now = US_PER_S;
}

static void
pool_add(struct world *w, uint32_t pool, uint32_t source)
{
	struct eng_pool_conf *p = &w->policy.pools[pool];

	p->sources[p->nsources++] = (uint16_t)source;
}

static void
world_start(struct world *w)
{
	struct eng_limits limits = { 10000, 10000, 100, 100, SESSIONS };

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

/* Tenants 1 and 2 have one message at a time, and the next while it is on the
 * wire, so that their queues are empty for a moment whenever they are served; 0
 * has many. */
static void
who_has_one_message_passes_nobody(void **state)
{
	struct world *w = &world;

	(void)state;
	world_new(w, 1, 1);
	pool_add(w, 0, 0);
	world_start(w);
	send(w, 3, 0); /* on the wire while the others stand in line */
	send(w, 1, 0);
	for (uint32_t i = 0; i < 100; i++)
		send(w, 0, 0);
	send(w, 2, 0);
	for (uint32_t i = 0; i < 300; i++) {
		uint32_t tenant = w->tenant[w->wire[0].msg];

		if (tenant == 1 || tenant == 2)
			send(w, tenant, 0);
		deliver(w, 0);
	}
	assert_in_range(w->served[0][0], 99, 100);
	assert_in_range(w->served[1][0], 99, 101);
	assert_in_range(w->served[2][0], 99, 101);
	world_free(w);
}

/* Source 0 is of pools 0 and 2, source 1 of 1 and 2: what source 0 does not
 * serve must not lose its turn at source 1. */
static void
pools_that_share_a_source_take_turns_there(void **state)
{
	struct world *w = &world;

	(void)state;
	world_new(w, 3, 2);
	pool_add(w, 0, 0);
	pool_add(w, 2, 0);
	pool_add(w, 1, 1);
	pool_add(w, 2, 1);
	world_start(w);
	for (uint32_t i = 0; i < 400; i++)
		for (uint32_t p = 0; p < 3; p++)
			send(w, 0, p);
	for (uint32_t i = 0; i < 150; i++) {
		deliver(w, 0);
		deliver(w, 1);
	}
	for (uint32_t p = 0; p < 3; p++)
		assert_true(w->served[0][p] >= 75);
	world_free(w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_has_one_message_passes_nobody),
		cmocka_unit_test(pools_that_share_a_source_take_turns_there),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

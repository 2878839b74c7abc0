/*
 * test_engine_caps - limits on tuples: several at once, exact in every window,
 * cheap to wait for, through crashes, reloads and days of a zone.
 * timeout: 60
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "engine/engine.h"
#include "engine/usage.h"

#define SESSIONS 400
#define MSGS 20000
#define DOMAIN(k) (1000u + (k))
#define SOURCE(k) (60u + (k))
#define TENANT(k) (90u + (k))
#define POOL 50u
#define PROVIDER 40u
#define CAP(k) (20u + (k))
#define HOUR_US (3600 * US_PER_S)

struct sess {
	struct handle h;
	uint32_t source;
	bool is_up;
	int64_t up_us, idle_us; /* nothing to do since */
	uint32_t nwire;
};

/* On the wire, answered after the world's time of one transaction. */
struct wire {
	struct handle session, txn;
	uint32_t msg;
	uint16_t n;
	int64_t done_us;
};

struct sent {
	int64_t us;
	uint32_t tenant, source, domain, nrcpt, bytes;
};

struct world {
	struct eng *e;
	struct eng_policy *p;
	struct eng_cmds cmds;
	int64_t now, wall_off_us;
	int64_t setup_us, txn_us;
	struct sess sess[SESSIONS];
	struct wire wire[8 * SESSIONS];
	uint32_t nsess, nwire, most;
	uint32_t nmsg, tenant[MSGS], domain[MSGS];
	struct sent sent[MSGS];
	uint32_t nsent, nopened;
	int64_t opened_us[MSGS];
	uint64_t keep_serial; /* given; durable after KEEP_US */
	int64_t keep_us;
	struct eng_entry kept[64], fresh;
	uint32_t nkept;
	bool is_unsent;  /* the next results */
	int64_t idle_us; /* that a session stands then */
};
#define KEEP_US (50 * US_PER_MS)

static void step(struct world *w, const struct eng_event *ev);

static void
on_resolve(struct world *w, uint32_t domain)
{
	struct eng_event ev = { .kind = EV_RESOLVED };

	ev.resolved.domain = domain;
	ev.resolved.status = ENG_DNS_OK;
	ev.resolved.ttl_us = 86400 * US_PER_S;
	ev.resolved.where.provider = 1;
	ev.resolved.ntargets = 1;
	ev.resolved.target[0].host = domain + 100000;
	ev.resolved.target[0].port = 25;
	ev.resolved.target[0].ip.family = 4;
	ev.resolved.target[0].ip.b[0] = 10;
	ev.resolved.target[0].ip.b[2] = (uint8_t)(domain >> 8);
	ev.resolved.target[0].ip.b[3] = (uint8_t)domain;
	step(w, &ev);
}

static void
on_open(struct world *w, const struct eng_cmd *c)
{
	assert_true(w->nsess < SESSIONS);
	w->sess[w->nsess++] = (struct sess){ .h = c->open.session,
		.source = c->open.source,
		.up_us = w->now + w->setup_us };
	w->most = MAX(w->most, w->nsess);
	w->opened_us[w->nopened++ % MSGS] = w->now;
}

static struct sess *
sess_of(struct world *w, struct handle h)
{
	for (uint32_t i = 0; i < w->nsess; i++)
		if (handle_eq(w->sess[i].h, h))
			return &w->sess[i];
	return NULL;
}

static void
on_assign(struct world *w, const struct eng_cmd *c)
{
	struct sent *s = &w->sent[w->nsent % MSGS];

	w->wire[w->nwire++] = (struct wire){ .session = c->assign.session,
		.txn = c->assign.txn,
		.msg = c->assign.msg,
		.n = c->assign.n,
		.done_us = w->now + w->txn_us };
	sess_of(w, c->assign.session)->nwire++;
	*s = (struct sent){ .us = w->now,
		.tenant = w->tenant[c->assign.msg],
		.source = sess_of(w, c->assign.session)->source,
		.domain = w->domain[c->assign.msg],
		.nrcpt = c->assign.n };
	w->nsent++;
}

static void
on_close(struct world *w, struct handle h)
{
	struct eng_event ev = { .kind = EV_SESSION_DOWN };
	struct sess *s = sess_of(w, h);

	ev.down.session = h;
	ev.down.outcome.klass = OUTCOME_DELIVERED;
	*s = w->sess[--w->nsess];
	step(w, &ev);
}

static void
on_keep(struct world *w, const struct eng_cmd *c)
{
	struct eng_entry en = { .book = c->keep.book,
		.nkeys = c->keep.nkeys,
		.sub = c->keep.sub };
	uint32_t i = 0;

	memcpy(en.key, c->keep.key, sizeof(en.key));
	memcpy(en.v, c[1].keep_values.v, sizeof(en.v));
	while (i < w->nkept &&
	    (memcmp(en.key, w->kept[i].key, sizeof(en.key)) != 0 ||
		en.sub != w->kept[i].sub))
		i++;
	if (c->keep.is_gone) {
		if (i < w->nkept)
			w->kept[i] = w->kept[--w->nkept];
	} else {
		assert_true(i < 64);
		w->nkept = MAX(w->nkept, i + 1);
		w->kept[i] = en;
	}
	w->keep_serial = c->keep.serial;
	if (w->keep_us == 0)
		w->keep_us = w->now + KEEP_US;
}

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
		else if (c[i].kind == CMD_KEEP)
			on_keep(w, &c[i]);
	}
	for (uint32_t i = 0; i < n; i++)
		if (c[i].kind == CMD_CLOSE && sess_of(w, c[i].close) != NULL) {
			bool is_busy = false;

			for (uint32_t k = 0; k < w->nwire; k++)
				is_busy |=
				    handle_eq(w->wire[k].session, c[i].close);
			if (!is_busy)
				on_close(w, c[i].close);
		}
	free(c);
}

/* What is due by now; the time of what comes next. */
static int64_t
due(struct world *w)
{
	int64_t at = eng_deadline(w->e);

	for (uint32_t i = 0; i < w->nsess; i++) {
		struct eng_event ev = { .kind = EV_SESSION_UP };

		if (w->sess[i].is_up && w->sess[i].nwire == 0) {
			at = MIN(at, w->sess[i].idle_us + w->idle_us);
			if (w->sess[i].idle_us + w->idle_us > w->now)
				continue;
			on_close(w, w->sess[i].h);
			return w->now;
		}
		if (w->sess[i].is_up)
			continue;
		at = MIN(at, w->sess[i].up_us);
		if (w->sess[i].up_us > w->now)
			continue;
		w->sess[i].is_up = true;
		w->sess[i].idle_us = w->now;
		ev.up.session = w->sess[i].h;
		step(w, &ev);
		return w->now;
	}
	for (uint32_t i = 0; i < w->nwire; i++) {
		struct eng_event ev = { .kind = EV_RESULT };

		at = MIN(at, w->wire[i].done_us);
		if (w->wire[i].done_us > w->now)
			continue;
		ev.result.session = w->wire[i].session;
		ev.result.txn = w->wire[i].txn;
		ev.result.is_sent = !w->is_unsent;
		ev.result.n = w->wire[i].n;
		for (uint16_t k = 0; k < ev.result.n; k++)
			ev.result.rcpt[k] = w->is_unsent ?
			    (struct outcome){ .klass = OUTCOME_UNSENT } :
			    (struct outcome){ .klass = OUTCOME_DELIVERED,
				    .code = 250,
				    .stage = STAGE_EOM };
		w->wire[i] = w->wire[--w->nwire];
		sess_of(w, ev.result.session)->idle_us = w->now;
		sess_of(w, ev.result.session)->nwire--;
		step(w, &ev);
		return w->now;
	}
	if (w->keep_us != 0) {
		struct eng_event ev = { .kind = EV_KEPT };

		at = MIN(at, w->keep_us);
		if (w->keep_us <= w->now) {
			w->keep_us = 0;
			ev.kept = w->keep_serial;
			step(w, &ev);
			return w->now;
		}
	}
	if (eng_deadline(w->e) <= w->now) {
		struct eng_event ev = { .kind = EV_TICK };

		step(w, &ev);
		return w->now;
	}
	return at;
}

static void
run(struct world *w, int64_t for_us)
{
	int64_t end = w->now + for_us, at;

	for (;;) {
		at = due(w);
		if (at > end)
			break;
		w->now = MAX(w->now, at);
	}
	w->now = end;
	eng_check(w->e);
}

static void
send_big(struct world *w, uint32_t tenant, uint32_t domain, uint32_t nrcpt,
    uint64_t bytes)
{
	struct eng_event ev = { .kind = EV_MESSAGE };

	assert_true(++w->nmsg < MSGS);
	w->tenant[w->nmsg] = tenant;
	w->domain[w->nmsg] = domain;
	ev.message = (struct ev_message){ .msg = w->nmsg,
		.nrcpt = nrcpt,
		.tenant = TENANT(tenant),
		.pool = POOL,
		.sender_domain = 500 + tenant,
		.size = bytes,
		.arrival_us = w->now,
		.expires_us = w->now + 30 * 86400 * US_PER_S };
	step(w, &ev);
	for (uint32_t k = 0; k < nrcpt; k++) {
		ev = (struct eng_event){ .kind = EV_RECIPIENT };
		ev.recipient.msg = w->nmsg;
		ev.recipient.rcpt = (uint16_t)k;
		ev.recipient.domain = DOMAIN(domain);
		step(w, &ev);
	}
}

static void
send(struct world *w, uint32_t tenant, uint32_t domain)
{
	send_big(w, tenant, domain, 1, 1000);
}

static void
clock_set(struct world *w)
{
	struct eng_event ev = { .kind = EV_CLOCK };

	ev.wall_us = w->now + w->wall_off_us;
	step(w, &ev);
}

static void
start(struct world *w)
{
	struct eng_limits limits = { 100000, 100000, 10000, 10000, SESSIONS };

	w->e = eng_new(w->p, &limits, 1, w->now);
	assert_non_null(w->e);
	clock_set(w);
}

static void
world_new(struct world *w, uint32_t nsources)
{
	struct eng_policy *p = calloc(1, sizeof(*p));

	memset(w, 0, sizeof(*w));
	eng_policy_default(p);
	p->npools = 1;
	p->nsources = nsources;
	p->pools[0].name = p->default_pool = POOL;
	for (uint32_t i = 0; i < nsources; i++) {
		p->sources[i] = (struct eng_source_conf){ .name = SOURCE(i),
			.has_v4 = true };
		p->pools[0].sources[i] = (uint16_t)i;
		p->pools[0].weights[i] = 1;
	}
	p->pools[0].nsources = (uint16_t)nsources;
	p->nproviders = 2;
	p->providers[1].name = PROVIDER;
	p->shapes[0].msgs_per_conn = 0;
	w->p = p;
	w->now = US_PER_S;
	w->wall_off_us = INT64_C(1790000000) * US_PER_S;
	w->idle_us = 5 * US_PER_S;
	w->setup_us = 30 * US_PER_MS;
	w->txn_us = 100 * US_PER_MS;
}

static struct eng_limit_conf *
cap(struct world *w, uint32_t dims)
{
	struct eng_limit_conf *c = &w->p->caps[w->p->ncaps];

	c->name = CAP(w->p->ncaps++);
	c->dims = (uint16_t)dims;
	return c;
}

static void
world_free(struct world *w)
{
	eng_free(w->e);
	eng_cmds_free(&w->cmds);
	free(w->p);
}

/* As after a crash: what was on the wire, and the mail, are gone. */
static void
crash(struct world *w, int64_t for_us)
{
	eng_free(w->e);
	w->nwire = w->nsess = 0;
	w->now += for_us;
	w->keep_us = 0;
	w->keep_serial = 0;
	start(w);
	eng_rates_spent(w->e);
	for (uint32_t i = 0; i < w->nkept; i++) {
		struct eng_event ev = { .kind = EV_RECALL };

		ev.recall = w->kept[i];
		step(w, &ev);
	}
}

/* The most that is sent in any window, of what f counts. */
static uint64_t
most_in(const struct world *w, int64_t window_us,
    uint64_t (*f)(const struct sent *s))
{
	uint64_t most = 0, n = 0;
	uint32_t from = 0;

	for (uint32_t i = 0; i < w->nsent; i++) {
		n += f(&w->sent[i]);
		while (w->sent[from].us + window_us <= w->sent[i].us)
			n -= f(&w->sent[from++]);
		most = MAX(most, n);
	}
	return most;
}

static uint64_t
one(const struct sent *s)
{
	(void)s;
	return 1;
}

static uint64_t
rcpts(const struct sent *s)
{
	return s->nrcpt;
}

static uint64_t
of_tenant_1(const struct sent *s)
{
	return s->tenant == 1;
}

static uint64_t
decisions(const struct world *w)
{
	struct eng_totals t;

	eng_totals(w->e, &t);
	return t.decisions_total;
}

/* ---- the tests ------------------------------------------------------------------ */

static void
a_rate_is_shared_by_all_sites_of_a_provider(void **state)
{
	struct world w;
	struct eng_limit_conf *c;

	(void)state;
	world_new(&w, 3);
	c = cap(&w, 1u << DIM_PROVIDER);
	c->msgs = (struct eng_rate){ 5, 5, US_PER_S };
	start(&w);
	for (uint32_t i = 0; i < 600; i++)
		send(&w, i % 3, i % 20);
	run(&w, 120 * US_PER_S);
	assert_in_range(w.nsent, 595, 600);
	for (int64_t s = 1; s < 100; s += 7)
		assert_true(
		    most_in(&w, s * US_PER_S, one) <= 5 + 5 * (uint64_t)s);
	run(&w, 10 * US_PER_S);
	assert_int_equal(w.nsent, 600);
	world_free(&w);
}

struct crowd {
	uint32_t nsites, nsources, ntenants;
	bool stays; /* its sessions, until the next may go */
};

/* Decisions of 30 times ten seconds, where one may go in each of what `dims` tell
 * apart while 2,000 messages wait; n: how many went. */
static uint64_t
cost_of(uint32_t dims, const struct crowd *c, uint32_t *n)
{
	struct world w;
	uint64_t before;

	world_new(&w, c->nsources);
	w.idle_us = (c->stays ? 60 : 5) * US_PER_S;
	cap(&w, dims)->msgs = (struct eng_rate){ 1, 1, 10 * US_PER_S };
	start(&w);
	for (uint32_t i = 0; i < 2000; i++)
		send(&w, i % c->ntenants, i % c->nsites);
	run(&w, 65 * US_PER_S);
	before = decisions(&w);
	w.nsent = 0;
	run(&w, 300 * US_PER_S);
	*n = w.nsent;
	before = decisions(&w) - before;
	world_free(&w);
	return before;
}

/* One asks whether a session may be opened, if none stands, and one whether it may
 * send: nobody else looks, however many wait. */
static void
a_tight_limit_is_not_polled(void **state)
{
	static const uint32_t dims[] = { 1u << DIM_PROVIDER, 1u << DIM_NODE,
		1u << DIM_SOURCE, 1u << DIM_TENANT, 1u << DIM_SITE,
		1u << DIM_SENDER_DOMAIN | 1u << DIM_PROVIDER };

	(void)state;
	for (size_t k = 0; k < ARRAY_LEN(dims); k++)
		for (int i = 0; i < 16; i++) {
			struct crowd c = { i & 1 ? 20 : 1, i & 2 ? 16 : 2,
				i & 4 ? 4 : 1, i & 8 };
			uint32_t tuples[] = { 1, 1, c.nsources, c.ntenants,
				c.nsites, c.ntenants };
			uint64_t cost;
			uint32_t n;

			cost = cost_of(dims[k], &c, &n);
			assert_int_equal(n, 30 * tuples[k]);
			assert_in_range(cost, n, 2 * n);
		}
}

static void
all_limits_must_agree(void **state)
{
	struct world w;

	(void)state;
	world_new(&w, 2);
	cap(&w, 1u << DIM_PROVIDER)->msgs =
	    (struct eng_rate){ 10, 1, US_PER_S };
	cap(&w, 1u << DIM_TENANT)->msgs = (struct eng_rate){ 2, 1, US_PER_S };
	cap(&w, 1u << DIM_SOURCE | 1u << DIM_PROVIDER)->msgs =
	    (struct eng_rate){ 30, 10, 10 * US_PER_S };
	start(&w);
	for (uint32_t i = 0; i < 300; i++)
		send(&w, 1, i % 10);
	for (uint32_t i = 0; i < 300; i++)
		send(&w, 2 + i % 3, i % 10);
	run(&w, 40 * US_PER_S);
	assert_true(most_in(&w, US_PER_S, of_tenant_1) <= 3);
	assert_true(most_in(&w, US_PER_S, one) <= 11);
	assert_true(most_in(&w, 10 * US_PER_S, one) <= 81);
	assert_in_range(w.nsent, 220, 262);
	run(&w, 200 * US_PER_S);
	assert_int_equal(w.nsent, 600);
	world_free(&w);
}

static void
connections_are_shared_and_grow_slowly(void **state)
{
	struct world w;
	struct eng_limit_conf *c;

	(void)state;
	world_new(&w, 3);
	c = cap(&w, 1u << DIM_PROVIDER);
	c->conns_max = 10;
	c->ramp = (struct eng_rate){ 1, 2, 10 * US_PER_S };
	start(&w);
	for (uint32_t i = 0; i < 15000; i++)
		send(&w, i % 3, i % 20);
	run(&w, 5 * US_PER_S);
	assert_int_equal(w.most, 2);
	run(&w, 10 * US_PER_S);
	assert_int_equal(w.most, 3);
	run(&w, 200 * US_PER_S);
	assert_int_equal(w.most, 10);
	assert_int_equal(w.nsent, 15000);
	world_free(&w);
}

static void
recipients_have_a_rate_of_their_own(void **state)
{
	struct world w;

	(void)state;
	world_new(&w, 1);
	cap(&w, 1u << DIM_TENANT)->rcpts =
	    (struct eng_rate){ 10, 10, US_PER_S };
	start(&w);
	for (uint32_t i = 0; i < 20; i++)
		send_big(&w, 0, 0, 40, 1000);
	run(&w, 100 * US_PER_S);
	assert_true(most_in(&w, US_PER_S, rcpts) <= 20);
	assert_true(most_in(&w, 20 * US_PER_S, rcpts) <= 210);
	for (uint32_t i = 0, n = 0; i < w.nsent; i++) {
		n += w.sent[i].nrcpt;
		if (i + 1 == w.nsent)
			assert_int_equal(n, 800);
	}
	world_free(&w);
}

static void
a_quota_of_an_hour_holds_through_a_crash(void **state)
{
	struct world w;
	struct eng_limit_conf *c;

	(void)state;
	world_new(&w, 2);
	c = cap(&w, 1u << DIM_TENANT);
	c->quota = 100;
	c->quota_us = HOUR_US;
	start(&w);
	for (uint32_t i = 0; i < 250; i++)
		send(&w, 1, i % 5);
	run(&w, 300 * US_PER_S);
	assert_int_equal(w.nsent, 100);
	crash(&w, 60 * US_PER_S);
	for (uint32_t i = 0; i < 250; i++)
		send(&w, 1, i % 5);
	run(&w, 5 * HOUR_US);
	assert_true(most_in(&w, HOUR_US, one) <= 100);
	assert_int_equal(w.nsent, 350);
	world_free(&w);
}

static void
a_day_is_that_of_its_zone(void **state)
{
	struct world w;
	struct eng_limit_conf *c;
	int64_t day = 0;

	(void)state;
	world_new(&w, 1);
	w.p->nzones = 2;
	w.p->zones[1].zone = (struct tzone){ .n = 1, .offset_s = { 5 * 3600 } };
	c = cap(&w, 1u << DIM_SOURCE | 1u << DIM_PROVIDER);
	c->quota = 50;
	c->zone = 1;
	start(&w);
	for (uint32_t i = 0; i < 200; i++)
		send(&w, 1, i % 5);
	run(&w, 24 * HOUR_US);
	crash(&w, 60 * US_PER_S);
	for (uint32_t i = 0; i < 200; i++)
		send(&w, 1, i % 5);
	run(&w, 100 * HOUR_US);
	assert_int_equal(w.nsent, 300);
	for (uint32_t i = 0, n = 0; i < w.nsent; i++) {
		int64_t d = (w.sent[i].us + w.wall_off_us + 5 * HOUR_US) /
		    (24 * HOUR_US);

		n = i > 0 && d == day ? n + 1 : 1;
		day = d;
		assert_true(n <= 50);
	}
	world_free(&w);
}

/* A day that had begun before the clock was put back goes on, though nothing was
 * sent in it: else that day's end and the next would give two quotas. */
static void
a_clock_put_back_gives_no_day_twice(void **state)
{
	struct world w;
	int64_t day_us = 24 * HOUR_US;

	(void)state;
	for (int crashes = 0; crashes < 2; crashes++) {
		world_new(&w, 1);
		cap(&w, 1u << DIM_TENANT)->quota = 50;
		w.idle_us = US_PER_S;
		start(&w);
		run(&w, day_us - (w.now + w.wall_off_us) % day_us - HOUR_US);
		for (uint32_t i = 0; i < 50; i++)
			send(&w, 1, i % 5);
		run(&w, HOUR_US + HOUR_US / 4);
		assert_int_equal(w.nsent, 50);
		w.wall_off_us -= HOUR_US / 2;
		if (crashes)
			crash(&w, US_PER_S);
		clock_set(&w);
		for (uint32_t i = 0; i < 200; i++)
			send(&w, 1, i % 5);
		run(&w, HOUR_US);
		assert_int_equal(w.nsent, 100);
		run(&w, day_us);
		assert_int_equal(w.nsent, 150);
		world_free(&w);
	}
}

static void
what_was_not_sent_is_given_back(void **state)
{
	struct world w;

	(void)state;
	world_new(&w, 1);
	cap(&w, 1u << DIM_SOURCE)->msgs = (struct eng_rate){ 1, 1, HOUR_US };
	start(&w);
	send(&w, 0, 0);
	w.is_unsent = true;
	run(&w, 150 * US_PER_MS);
	w.is_unsent = false;
	run(&w, 60 * US_PER_S);
	assert_int_equal(w.nsent, 2);
	assert_int_equal(w.nwire, 0);
	world_free(&w);
}

/* A tenant that has sent more has no more turns at a limit that all share. */
static void
tenants_share_a_limit_evenly(void **state)
{
	uint32_t n[4] = { 0 };
	struct world w;

	(void)state;
	world_new(&w, 2);
	cap(&w, 1u << DIM_PROVIDER)->msgs =
	    (struct eng_rate){ 10, 1, US_PER_S };
	start(&w);
	for (uint32_t i = 0; i < 3000; i++)
		send(&w, 0, i % 30);
	for (uint32_t i = 0; i < 300; i++)
		send(&w, 1 + i % 3, 100 + i % 3);
	run(&w, 60 * US_PER_S);
	for (uint32_t i = 0; i < w.nsent; i++)
		n[w.sent[i].tenant]++;
	assert_in_range(w.nsent, 500, 601);
	for (uint32_t i = 1; i < 4; i++)
		assert_in_range(n[i], 90, 160);
	world_free(&w);
}

/* A pair is refused, the queue may go by another source. */
static void
what_one_source_may_not_another_does(void **state)
{
	struct world w;
	uint32_t n[2] = { 0 };
	struct eng_limit_conf *c;

	(void)state;
	world_new(&w, 2);
	c = cap(&w, 1u << DIM_TENANT | 1u << DIM_SOURCE);
	c->msgs = (struct eng_rate){ 1, 1, US_PER_S };
	c->where[DIM_TENANT] = TENANT(1);
	start(&w);
	for (uint32_t i = 0; i < 100; i++)
		send(&w, 1, i % 2);
	for (uint32_t i = 0; i < 400; i++)
		send(&w, 2, i % 2);
	run(&w, 40 * US_PER_S);
	for (uint32_t i = 0; i < w.nsent; i++)
		n[w.sent[i].tenant == 1]++;
	assert_int_equal(n[0], 400);
	assert_in_range(n[1], 60, 82);
	run(&w, 30 * US_PER_S);
	assert_int_equal(w.nsent, 500);
	world_free(&w);
}

static void
a_new_policy_changes_no_count(void **state)
{
	struct world w;
	struct eng_policy *p = calloc(1, sizeof(*p));
	struct eng_event ev = { .kind = EV_CONF, .conf = p };

	(void)state;
	world_new(&w, 2);
	cap(&w, 1u << DIM_PROVIDER)->msgs = (struct eng_rate){ 1, 50, HOUR_US };
	cap(&w, 1u << DIM_PROVIDER)->conns_max = 3;
	start(&w);
	for (uint32_t i = 0; i < 200; i++)
		send(&w, 1, i % 5);
	run(&w, 20 * US_PER_S);
	assert_int_equal(w.nsent, 50);
	*p = *w.p;
	/* In another order, and one that is new. */
	p->caps[2] = w.p->caps[0];
	p->caps[0] = (struct eng_limit_conf){ .name = CAP(9),
		.dims = 1u << DIM_SOURCE,
		.msgs = { 1000, 10, US_PER_S } };
	p->ncaps = 3;
	step(&w, &ev);
	run(&w, 600 * US_PER_S);
	assert_int_equal(w.nsent, 50);
	run(&w, HOUR_US);
	assert_in_range(w.nsent, 51, 52);
	assert_true(w.most <= 3);
	ev.conf = w.p;
	w.p->ncaps = 0;
	step(&w, &ev);
	run(&w, 100 * US_PER_S);
	assert_int_equal(w.nsent, 200);
	free(p);
	world_free(&w);
}

/* The row of a tenant; there is one. */
static struct eng_limit_row
row_of(const struct world *w, uint32_t cap, uint32_t tenant)
{
	struct eng_limit_row v[16], found = { 0 };
	uint32_t at = 0, n, times = 0;

	do {
		n = eng_limit_rows(w->e, &at, 3, w->now, v, 2);
		assert_in_range(n, 0, 2);
		for (uint32_t i = 0; i < n; i++)
			if (v[i].name == CAP(cap) &&
			    v[i].val[DIM_TENANT] == tenant) {
				found = v[i];
				times++;
			}
	} while (at != 0);
	assert_int_equal(times, 1);
	return found;
}

static void
what_is_used_and_who_waits_can_be_seen(void **state)
{
	struct world w;
	struct eng_limit_sum sum[ENG_CAPS_MAX];
	struct eng_limit_conf *c;
	struct eng_limit_row r;
	uint32_t at = 0;

	(void)state;
	world_new(&w, 2);
	c = cap(&w, 1u << DIM_TENANT);
	c->where[DIM_TENANT] = TENANT(1);
	c->msgs = (struct eng_rate){ 1, 5, 60 * US_PER_S };
	c->bytes = (struct eng_rate){ 1024, 1u << 20, US_PER_S };
	c = cap(&w, 1u << DIM_TENANT);
	c->where[DIM_TENANT] = TENANT(2);
	c->quota = 8;
	c->quota_us = HOUR_US;
	start(&w);
	assert_int_equal(eng_limit_rows(w.e, &at, 100, w.now, &r, 1), 0);
	for (uint32_t i = 0; i < 20; i++)
		send_big(&w, 1, i % 2, 1, 50 * 1024);
	for (uint32_t i = 0; i < 3; i++)
		send(&w, 2, 0);
	run(&w, 10 * US_PER_S);
	r = row_of(&w, 0, TENANT(1));
	assert_int_equal(r.cap, 0);
	assert_int_equal(r.msgs.most, 5);
	assert_int_equal(r.msgs.now, 5);
	assert_true(r.is_shut && r.waiting >= 1 && r.blocked.refusals >= 1);
	assert_in_range(r.until_us - w.now, 49 * US_PER_S, 51 * US_PER_S);
	/* 250 KiB, of which ten have been made good. */
	assert_in_range(r.bytes.now, 239 * 1024, 243 * 1024);
	assert_int_equal(r.quota.most, 0);
	assert_int_equal(r.conns.most, 0);
	r = row_of(&w, 1, TENANT(2));
	assert_int_equal(r.quota.now, 3);
	assert_int_equal(r.quota.most, 8);
	assert_true(!r.is_shut && r.until_us == 0 && r.waiting == 0);
	assert_int_equal(eng_limit_sums(w.e, w.now, sum), 2);
	assert_true(sum[0].waiting >= 1 && sum[0].blocked.rcpt_us != 0);
	assert_int_equal(sum[1].waiting, 0);
	for (uint32_t i = 0; i < 6; i++)
		send(&w, 2, 0);
	run(&w, 60 * US_PER_S);
	r = row_of(&w, 1, TENANT(2));
	assert_true(r.is_shut && r.quota.now == 8 && r.waiting == 1);
	assert_in_range(r.until_us - w.now, 58 * 60 * US_PER_S, HOUR_US);
	/* Looking on does not need a step. */
	w.now += 2 * HOUR_US;
	assert_int_equal(row_of(&w, 1, TENANT(2)).quota.now, 0);
	w.now -= 2 * HOUR_US;
	run(&w, 3 * HOUR_US);
	assert_int_equal(eng_limit_sums(w.e, w.now, sum), 2);
	assert_true(sum[0].waiting == 0 && sum[1].waiting == 0);
	world_free(&w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_used_and_who_waits_can_be_seen),
		cmocka_unit_test(a_rate_is_shared_by_all_sites_of_a_provider),
		cmocka_unit_test(a_tight_limit_is_not_polled),
		cmocka_unit_test(all_limits_must_agree),
		cmocka_unit_test(connections_are_shared_and_grow_slowly),
		cmocka_unit_test(recipients_have_a_rate_of_their_own),
		cmocka_unit_test(a_quota_of_an_hour_holds_through_a_crash),
		cmocka_unit_test(a_day_is_that_of_its_zone),
		cmocka_unit_test(a_clock_put_back_gives_no_day_twice),
		cmocka_unit_test(what_was_not_sent_is_given_back),
		cmocka_unit_test(tenants_share_a_limit_evenly),
		cmocka_unit_test(what_one_source_may_not_another_does),
		cmocka_unit_test(a_new_policy_changes_no_count),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

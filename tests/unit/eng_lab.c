/*
 * eng_lab - see eng_lab.h. Sessions answer one message after the other; all
 * times have a jitter of a tenth.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "eng_lab.h"

#define DOMAIN 1000u
#define HOST 2000u
#define SOURCE 3000u
#define POOL 4000u
#define IDLE (30 * US_PER_S)

enum { OPENING, REST, BUSY };

struct outcome
lab_refusal(uint16_t code, enum stage stage, enum kind kind, enum scope scope)
{
	return (struct outcome){ .klass = code >= 500 ? OUTCOME_BOUNCED :
							OUTCOME_TRANSIENT,
		.stage = (uint8_t)stage,
		.code = code,
		.is_judged = kind != KIND_N,
		.judged = { .kind = (uint8_t)kind, .scope = (uint8_t)scope } };
}

static void
later(struct lab *l, const struct eng_event *ev)
{
	assert_true(l->ntodo < ARRAY_LEN(l->todo));
	l->todo[l->ntodo++] = *ev;
}

static int64_t
about(struct lab *l, int64_t us)
{
	return us - us / 10 + (int64_t)rng_below(&l->rng, (uint64_t)us / 5 + 1);
}

/* ---- the receiver's limits ------------------------------------------------------ */

static bool
in_bucket(struct lab *l, struct lab_state *s)
{
	const struct lab_limit *x = &l->limit;
	int64_t step = (int64_t)(UINT64_C(1000000000000) / x->per_1000s);
	int64_t now = l->now * 1000, full = MAX(s->full_ns, now);

	if (full - now > step * ((int64_t)MAX(x->burst, 1u) - 1))
		return false;
	s->full_ns = full + step;
	return true;
}

static bool
in_window(struct lab *l, struct lab_state *s)
{
	if (l->now >= s->window_us + l->limit.window_us) {
		s->window_us = l->now;
		s->used = 0;
	}
	if (s->used >= l->limit.burst)
		return false;
	s->used++;
	return true;
}

static bool
takes(struct lab *l, uint16_t source)
{
	struct lab_limit *x = &l->limit;
	struct lab_state *s = &l->state[x->is_shared ? 0 : source];

	if (x->per_1000s == 0 && x->window_us == 0)
		return true;
	if (l->now < s->until_us) {
		if (x->extends)
			s->until_us = l->now + x->penalty_us;
		return false;
	}
	if (x->window_us ? in_window(l, s) : in_bucket(l, s))
		return true;
	s->until_us = l->now + x->penalty_us;
	return false;
}

/* ---- sessions ------------------------------------------------------------------- */

static struct lab_sess *
find(struct lab *l, struct handle h)
{
	for (uint32_t i = 0; i < l->nsess; i++)
		if (handle_eq(l->sess[i].h, h))
			return &l->sess[i];
	return NULL;
}

static void
down(struct lab *l, struct lab_sess *s, const struct outcome *o)
{
	struct eng_event ev = { .kind = EV_SESSION_DOWN };

	ev.down.session = s->h;
	ev.down.outcome = *o;
	if (o->code >= 400)
		ev.down.hits = l->hits;
	*s = l->sess[--l->nsess];
	later(l, &ev);
}

static void
rest(struct lab *l, struct lab_sess *s)
{
	struct outcome orderly = { .klass = OUTCOME_DELIVERED };

	s->state = s->ntxn ? BUSY : REST;
	s->at_us = l->now + (s->ntxn ? about(l, l->reply_us) : IDLE);
	if (!s->ntxn && s->is_closing)
		down(l, s, &orderly);
}

static void
on_open(struct lab *l, const struct eng_cmd *c)
{
	struct lab_sess *s = &l->sess[l->nsess++];
	struct lab_count *of = &l->of[c->open.source];
	uint32_t same = 0;

	assert_true(l->nsess <= LAB_SESSIONS);
	*s = (struct lab_sess){ .h = c->open.session,
		.source = c->open.source,
		.host = c->open.target.host,
		.state = OPENING,
		.at_us = l->now + about(l, l->setup_us) };
	l->count.opened++;
	of->opened++;
	for (uint32_t i = 0; i < l->nsess; i++)
		same += l->sess[i].source == s->source;
	of->most = MAX(of->most, same);
	l->count.most = MAX(l->count.most, l->nsess);
}

static void
on_assign(struct lab *l, const struct eng_cmd *c)
{
	struct lab_sess *s = find(l, c->assign.session);
	struct eng_event ev = { .kind = EV_RESULT };

	if (l->assigned != NULL)
		l->assigned(l, s ? s->source : 0, c->assign.msg,
		    c->assign.attempt);
	if (s == NULL) { /* it has just gone */
		ev.result.session = c->assign.session;
		ev.result.txn = c->assign.txn;
		ev.result.n = 1;
		ev.result.rcpt[0].klass = OUTCOME_UNSENT;
		later(l, &ev);
		return;
	}
	assert_true(s->ntxn < LAB_AHEAD);
	s->msg[s->ntxn] = c->assign.msg;
	s->txn[s->ntxn++] = c->assign.txn;
	if (s->state == REST)
		rest(l, s);
}

static void
answered(struct lab *l, struct lab_sess *s)
{
	struct eng_event ev = { .kind = EV_RESULT };
	struct outcome *o = &ev.result.rcpt[0];
	bool ok;

	*o = (struct outcome){ .klass = OUTCOME_DELIVERED,
		.stage = STAGE_EOM,
		.code = 250 };
	l->asked_host = s->host;
	if (l->answer == NULL || !l->answer(l, s->source, s->msg[0], o))
		if (!takes(l, s->source))
			*o = l->limit.over;
	ok = o->klass == OUTCOME_DELIVERED;
	l->count.taken += ok;
	l->count.refused += !ok;
	l->of[s->source].taken += ok;
	l->of[s->source].refused += !ok;
	ev.result.session = s->h;
	ev.result.txn = s->txn[0];
	ev.result.n = 1;
	ev.result.is_sent = true;
	if (!ok)
		ev.result.hits[0] = l->hits;
	later(l, &ev);
	s->ntxn--;
	memmove(s->txn, s->txn + 1, s->ntxn * sizeof(s->txn[0]));
	memmove(s->msg, s->msg + 1, s->ntxn * sizeof(s->msg[0]));
	if (o->code == 421)
		down(l, s, o);
	else
		rest(l, s);
}

static void
happen(struct lab *l, struct lab_sess *s)
{
	struct outcome o = { .klass = OUTCOME_DELIVERED };
	struct eng_event ev = { .kind = EV_SESSION_UP };

	switch (s->state) {
	case OPENING:
		if (l->door != NULL && l->door(l, s->source, &o)) {
			down(l, s, &o);
			return;
		}
		ev.up.session = s->h;
		later(l, &ev);
		rest(l, s);
		return;
	case BUSY:
		answered(l, s);
		return;
	default:
		down(l, s, &o);
	}
}

/* ---- the engine ----------------------------------------------------------------- */

static void
resolve(struct lab *l, uint32_t domain)
{
	struct eng_event ev = { .kind = EV_RESOLVED };

	ev.resolved.domain = domain;
	ev.resolved.status = ENG_DNS_OK;
	ev.resolved.ttl_us = 86400 * US_PER_S;
	ev.resolved.ntargets = (uint16_t)l->nhosts;
	for (uint32_t i = 0; i < l->nhosts; i++) {
		ev.resolved.target[i].host = HOST + i;
		ev.resolved.target[i].port = 25;
		ev.resolved.target[i].ip.family = 4;
		ev.resolved.target[i].ip.b[0] = 10;
		ev.resolved.target[i].ip.b[3] = (uint8_t)i;
	}
	later(l, &ev);
}

/* The youngest that it has, which has not begun. */
static void
take_back(struct lab *l, struct lab_sess *s)
{
	struct eng_event ev = { .kind = EV_RESULT };

	ev.result.session = s->h;
	ev.result.txn = s->txn[--s->ntxn];
	ev.result.n = 1;
	ev.result.rcpt[0].klass = OUTCOME_UNSENT;
	l->count.taken_back++;
	later(l, &ev);
}

static void
obey(struct lab *l, const struct eng_cmd *c)
{
	struct lab_sess *s;

	if (c->kind == CMD_OPEN) {
		on_open(l, c);
	} else if (c->kind == CMD_ASSIGN) {
		on_assign(l, c);
	} else if (c->kind == CMD_RESOLVE) {
		resolve(l, c->domain);
	} else if (c->kind == CMD_CLOSE) {
		s = find(l, c->close);
		if (s != NULL) {
			s->is_closing = true;
			if (s->state == REST)
				rest(l, s);
		}
	} else if (c->kind == CMD_TAKE_BACK) {
		s = find(l, c->close);
		while (s != NULL && s->ntxn > 1)
			take_back(l, s);
	} else if (c->kind == CMD_DROP) {
		l->free[l->nfree++] = c->drop;
	} else if (c->kind == CMD_LOG) {
		l->deferred +=
		    c->log.what == ENG_LOG_TRANSIENT && c->log.attempts != 0;
		l->bounced += c->log.what == ENG_LOG_BOUNCE;
		if (c->log.what == ENG_LOG_BOUNCE)
			l->last_bounce =
			    (struct lab_bounce){ c->log.outcome, c->log.job };
	}
}

void
lab_step(struct lab *l, struct eng_event *ev)
{
	uint64_t bounced = l->bounced;

	l->cmds.n = 0;
	eng_step(l->e, ev, l->now, &l->cmds);
	for (uint32_t i = 0; i < l->cmds.n; i++) {
		obey(l, &l->cmds.v[i]);
		if (l->cmds.v[i].kind == CMD_KEEP) {
			l->kept++;
			memcpy(l->keep, &l->cmds.v[i], sizeof(l->keep));
		}
	}
	l->most_bounces = MAX(l->most_bounces, l->bounced - bounced);
}

static void
settle(struct lab *l)
{
	struct eng_event ev;

	while (l->ntodo != 0) {
		ev = l->todo[0];
		l->ntodo--;
		memmove(l->todo, l->todo + 1, l->ntodo * sizeof(l->todo[0]));
		lab_step(l, &ev);
	}
}

void
lab_submit(struct lab *l, uint32_t n)
{
	struct eng_event ev = { .kind = EV_MESSAGE };

	while (n-- > 0) {
		uint32_t m = l->nfree ? l->free[--l->nfree] : ++l->nmsgs;

		assert_true(m < LAB_MESSAGES);
		ev.kind = EV_MESSAGE;
		ev.message = (struct ev_message){ .msg = m,
			.nrcpt = 1,
			.tenant = l->tenant,
			.is_null_sender = true,
			.arrival_us = l->now,
			.expires_us = l->now + 5 * 86400 * US_PER_S };
		lab_step(l, &ev);
		ev.kind = EV_RECIPIENT;
		ev.recipient =
		    (struct ev_recipient){ .msg = m, .domain = DOMAIN };
		lab_step(l, &ev);
		settle(l);
	}
}

static int64_t
next(const struct lab *l, struct lab_sess **who)
{
	int64_t at = TIME_NEVER;

	*who = NULL;
	for (uint32_t i = 0; i < l->nsess; i++)
		if (l->sess[i].at_us < at) {
			at = l->sess[i].at_us;
			*who = (struct lab_sess *)(uintptr_t)&l->sess[i];
		}
	return at;
}

void
lab_run(struct lab *l, int64_t us)
{
	int64_t end = l->now + us;
	struct eng_event tick = { .kind = EV_TICK };

	for (;;) {
		uint32_t have = l->nmsgs - l->nfree;
		struct lab_sess *s;
		int64_t at, due;

		if (have < l->backlog)
			lab_submit(l, l->backlog - have);
		at = next(l, &s);
		due = MAX(eng_deadline(l->e), l->now);
		if (MIN(at, due) > end)
			break;
		l->now = MIN(at, due);
		if (at <= due)
			happen(l, s);
		else
			lab_step(l, &tick);
		settle(l);
	}
	l->now = end;
}

struct lab *
lab_new(uint32_t nsources)
{
	struct lab *l = calloc(1, sizeof(*l));
	struct eng_policy *p = calloc(1, sizeof(*p));

	eng_policy_default(p);
	p->nsources = nsources;
	for (uint32_t i = 0; i < nsources; i++) {
		p->sources[i].name = SOURCE + i;
		p->sources[i].has_v4 = true;
		p->pools[0].sources[i] = (uint16_t)i;
	}
	p->npools = 1;
	p->pools[0].name = p->default_pool = POOL;
	p->pools[0].nsources = (uint16_t)nsources;
	l->policy = p;
	l->now = LAB_START;
	l->setup_us = 200 * US_PER_MS;
	l->reply_us = 100 * US_PER_MS;
	l->backlog = 300;
	l->nhosts = 1;
	l->limit.over = lab_refusal(421, STAGE_MAIL, KIND_THROTTLE, SCOPE_PATH);
	return l;
}

void
lab_start(struct lab *l, uint64_t seed)
{
	struct eng_limits limits = { .messages_max = LAB_MESSAGES,
		.rcpts_max = LAB_MESSAGES,
		.domains_max = 100,
		.sites_max = 100,
		.sessions_max = LAB_SESSIONS };

	rng_seed(&l->rng, seed);
	l->e = eng_new(l->policy, &limits, seed, l->now);
	assert_non_null(l->e);
}

void
lab_free(struct lab *l)
{
	eng_check(l->e);
	eng_free(l->e);
	eng_cmds_free(&l->cmds);
	free(l->policy);
	free(l);
}

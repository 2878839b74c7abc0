/*
 * test_engine_warm - young sources: no day's share is exceeded, whatever
 * happens; what they may not carry goes elsewhere or waits; and they come on
 * after good days only.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "engine/engine.h"

#define POOL(p) (50u + (p))
#define SOURCE(s) (1000u + (s))
#define PROVIDER(p) (2000u + (p))
#define DOMAIN(d) (5000u + (d))
#define EVENTS_MAX 4096u
#define SESSIONS 512u
#define SOURCES 4u
#define DOMAINS 4u
#define KEPT_MAX 32u
#define DAY_US (86400 * US_PER_S)
#define HOUR_US (3600 * US_PER_S)
/* 2026-03-01T00:00:00Z */
#define WALL_US (INT64_C(1772323200) * US_PER_S)

struct world {
	struct eng *e;
	struct eng_policy policy;
	struct eng_cmds cmds;
	int64_t now, wall_off;
	uint32_t nmsg;
	uint32_t defers, bounces; /* every so many-th attempt; 0 = none */
	uint32_t attempts;
	uint32_t sent[SOURCES][DOMAINS]; /* recipients on the wire */
	uint32_t keen[SOURCES][DOMAINS]; /* of them, engaged */
	bool is_engaged[EVENTS_MAX], sends_engaged;
	uint32_t down; /* this domain + 1 refuses its path */
	uint16_t source[SESSIONS];
	uint32_t domain_of[EVENTS_MAX];
	bool withholds; /* KEPT does not come */
	uint64_t serial;
	uint32_t nkept;
	struct eng_entry kept[KEPT_MAX];
	struct eng_entry fresh[KEPT_MAX]; /* given, not durable */
	uint32_t nfresh;
	uint32_t ndays;
	struct eng_warm_day day; /* the last that was closed */
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

/* ---- the world's answers --------------------------------------------------------- */

static struct outcome
outcome_of(struct world *w)
{
	uint32_t n = ++w->attempts;
	struct outcome o = { .klass = OUTCOME_DELIVERED,
		.stage = STAGE_EOM,
		.code = 250 };

	if (w->defers != 0 && n % w->defers == 0)
		o = (struct outcome){ .klass = OUTCOME_TRANSIENT,
			.stage = STAGE_RCPT,
			.code = 450 };
	else if (w->bounces != 0 && n % w->bounces == 0)
		o = (struct outcome){ .klass = OUTCOME_BOUNCED,
			.stage = STAGE_RCPT,
			.code = 550 };
	return o;
}

static const struct outcome blocked = { .klass = OUTCOME_TRANSIENT,
	.stage = STAGE_MAIL,
	.code = 421 };

static void
on_assign(struct world *w, const struct eng_cmd *c)
{
	struct eng_event *ev = later(w, EV_RESULT);
	uint16_t s = w->source[c->assign.session.index];
	uint32_t d;

	d = w->domain_of[c->assign.msg % EVENTS_MAX];
	w->sent[s][d] += c->assign.n;
	if (w->is_engaged[c->assign.msg % EVENTS_MAX])
		w->keen[s][d] += c->assign.n;
	ev->result.session = c->assign.session;
	ev->result.txn = c->assign.txn;
	ev->result.is_sent = true;
	ev->result.n = c->assign.n;
	for (uint32_t i = 0; i < c->assign.n; i++)
		ev->result.rcpt[i] = d + 1 == w->down ? blocked : outcome_of(w);
}

static void
on_resolve(struct world *w, uint32_t domain)
{
	struct eng_event *ev = later(w, EV_RESOLVED);
	uint32_t d = domain - DOMAIN(0);

	ev->resolved.domain = domain;
	ev->resolved.ttl_us = 400 * DAY_US;
	ev->resolved.where.provider = d < 2 ? (uint16_t)(d + 1) : 0;
	ev->resolved.ntargets = 1;
	ev->resolved.target[0].host = 9000 + d;
	ev->resolved.target[0].port = 25;
	ev->resolved.target[0].ip.family = 4;
	ev->resolved.target[0].ip.b[0] = (uint8_t)(10 + d);
}

static void
shelve(struct eng_entry *v, uint32_t *n, const struct eng_entry *en)
{
	uint32_t i = 0;

	while (
	    i < *n && (v[i].key[0] != en->key[0] || v[i].key[1] != en->key[1]))
		i++;
	assert_true(i < KEPT_MAX);
	v[i] = *en;
	*n = MAX(*n, i + 1);
}

static void
on_keep(struct world *w, const struct eng_cmd *c)
{
	struct eng_entry en = { .book = c->keep.book,
		.nkeys = c->keep.nkeys,
		.sub = c->keep.sub };

	memcpy(en.key, c->keep.key, sizeof(en.key));
	memcpy(en.v, c[1].keep_values.v, sizeof(en.v));
	shelve(w->fresh, &w->nfresh, &en);
	w->serial = c->keep.serial;
}

/* All that was given is durable; the word goes out. */
static void
all_kept(struct world *w)
{
	for (uint32_t i = 0; i < w->nfresh; i++)
		shelve(w->kept, &w->nkept, &w->fresh[i]);
	if (w->nfresh != 0)
		later(w, EV_KEPT)->kept = w->serial;
	w->nfresh = 0;
}

static void
carry_out(struct world *w, const struct eng_cmd *c)
{
	struct eng_event *ev;

	switch (c->kind) {
	case CMD_RESOLVE:
		on_resolve(w, c->domain);
		return;
	case CMD_OPEN:
		w->source[c->open.session.index] = c->open.source;
		later(w, EV_SESSION_UP)->up.session = c->open.session;
		return;
	case CMD_ASSIGN:
		on_assign(w, c);
		return;
	case CMD_CLOSE:
		ev = later(w, EV_SESSION_DOWN);
		ev->down.session = c->close;
		ev->down.outcome.klass = OUTCOME_DELIVERED;
		return;
	case CMD_KEEP:
		on_keep(w, c);
		return;
	case CMD_WARM_DAY:
		w->ndays++;
		w->day = c->warm_day;
		return;
	default:
		return;
	}
}

static void
step(struct world *w, const struct eng_event *ev)
{
	w->cmds.n = 0;
	eng_step(w->e, ev, w->now, &w->cmds);
	for (uint32_t i = 0; i < w->cmds.n; i++)
		carry_out(w, &w->cmds.v[i]);
	if (!w->withholds)
		all_kept(w);
}

/* False: nothing happens before that. */
static bool
run_one(struct world *w, int64_t until_us)
{
	struct eng_event ev = { .kind = EV_TICK };

	if (w->head != w->tail) {
		ev = w->events[w->head++ % EVENTS_MAX];
		w->now += US_PER_MS;
	} else if (eng_deadline(w->e) <= until_us) {
		w->now = MAX(w->now, eng_deadline(w->e));
	} else {
		return false;
	}
	step(w, &ev);
	return true;
}

static void
run(struct world *w, int64_t until_us)
{
	while (run_one(w, until_us))
		continue;
	w->now = MAX(w->now, until_us);
	eng_check(w->e);
}

/* n messages, each to so many recipients of the domain. */
static void
send(struct world *w, uint32_t domain, uint32_t n, uint32_t each)
{
	for (uint32_t k = 0; k < n; k++) {
		struct eng_event ev = { .kind = EV_MESSAGE };

		w->domain_of[++w->nmsg % EVENTS_MAX] = domain;
		w->is_engaged[w->nmsg % EVENTS_MAX] = w->sends_engaged;
		ev.message = (struct ev_message){ .msg = w->nmsg,
			.nrcpt = each,
			.arrival_us = w->now,
			.expires_us = w->now + 90 * DAY_US,
			.is_engaged = w->sends_engaged };
		step(w, &ev);
		for (uint32_t i = 0; i < each; i++) {
			ev = (struct eng_event){ .kind = EV_RECIPIENT };
			ev.recipient.msg = w->nmsg;
			ev.recipient.rcpt = (uint16_t)i;
			ev.recipient.domain = DOMAIN(domain);
			step(w, &ev);
		}
	}
}

static int64_t
wall_of(const struct world *w)
{
	return w->now + w->wall_off;
}

/* To that hour of a day, from the first on. */
static void
go_to(struct world *w, uint32_t day, uint32_t hour)
{
	run(w,
	    WALL_US + day * DAY_US + hour * HOUR_US + US_PER_S - w->wall_off);
}

static uint32_t
sent_by(const struct world *w, uint32_t source)
{
	uint32_t n = 0;

	for (uint32_t d = 0; d < DOMAINS; d++)
		n += w->sent[source][d];
	return n;
}

/* ---- its making -------------------------------------------------------------------- */

static const uint32_t table[] = { 40, 80, 160, 320 };

/* Source 0 is young, the others are not. */
static void
world_new(struct world *w, uint32_t nsources)
{
	struct eng_policy *p = &w->policy;
	struct eng_warmup_conf *plan = &p->warmups[0];

	memset(w, 0, sizeof(*w));
	eng_policy_default(p);
	p->npools = 1;
	p->nsources = nsources;
	p->pools[0].name = p->default_pool = POOL(0);
	p->pools[0].nsources = (uint16_t)nsources;
	for (uint32_t i = 0; i < nsources; i++) {
		p->sources[i] = (struct eng_source_conf){ .name = SOURCE(i),
			.has_v4 = true };
		p->pools[0].sources[i] = (uint16_t)i;
	}
	p->sources[0].warmup = 1;
	p->nproviders = 3;
	p->providers[1].name = PROVIDER(0);
	p->providers[2].name = PROVIDER(1);
	p->shapes[0].msgs_per_conn = 5;
	p->nwarmups = 1;
	plan->name = 70;
	plan->nstages = ARRAY_LEN(table);
	memcpy(plan->most, table, sizeof(table));
	plan->hour_ppm = ENG_PPM;
	plan->advance_ppm = 900000;
	plan->defer_ppm = 200000;
	plan->bounce_ppm = 50000;
	plan->complaint_ppm = 10000;
	plan->attempts_min = 10;
	plan->idle_days = 30;
	w->now = US_PER_S;
	w->wall_off = WALL_US - w->now;
}

static void
world_start(struct world *w)
{
	struct eng_limits limits = { 10000, 10000, 100, 100, SESSIONS - 1 };
	struct eng_event ev = { .kind = EV_CLOCK };

	w->e = eng_new(&w->policy, &limits, 1, w->now);
	assert_non_null(w->e);
	ev.wall_us = wall_of(w);
	step(w, &ev);
	for (uint32_t i = 0; i < w->nkept; i++) {
		ev = (struct eng_event){ .kind = EV_RECALL };
		ev.recall = w->kept[i];
		step(w, &ev);
	}
}

/* All but what is durable is lost, the mail too. */
static void
crash(struct world *w)
{
	eng_free(w->e);
	w->head = w->tail;
	w->nfresh = 0;
	w->serial = 0;
	w->nmsg = 0;
	world_start(w);
}

static void
world_free(struct world *w)
{
	eng_check(w->e);
	eng_free(w->e);
	eng_cmds_free(&w->cmds);
}

static const struct eng_warm_row *
row(struct world *w)
{
	static struct eng_warm_row r;

	assert_true(eng_warm_rows(w->e, &r, 1) >= 1);
	return &r;
}

/* A day on which mail for the whole share and more came. */
static void
busy_day(struct world *w, uint32_t day, uint32_t domain)
{
	go_to(w, day, 9);
	send(w, domain, 400, 1);
	go_to(w, day, 20);
}

/* ---- the tests --------------------------------------------------------------------- */

static void
what_is_over_the_share_leaves_by_others(void **state)
{
	struct world *w = &world;

	(void)state;
	world_new(w, 2);
	world_start(w);
	busy_day(w, 0, 0);
	assert_int_equal(w->sent[0][0], 40);
	assert_int_equal(w->sent[1][0], 360);
	world_free(w);
}

static void
each_provider_has_a_share_of_its_own(void **state)
{
	struct world *w = &world;

	(void)state;
	world_new(w, 2);
	world_start(w);
	for (uint32_t d = 0; d < DOMAINS; d++)
		busy_day(w, 0, d);
	assert_int_equal(w->sent[0][0], 40);
	assert_int_equal(w->sent[0][1], 40);
	/* Those without a provider share one. */
	assert_int_equal(w->sent[0][2] + w->sent[0][3], 40);
	world_free(w);
}

static void
good_days_lead_on_and_the_last_is_the_end(void **state)
{
	struct world *w = &world;

	(void)state;
	world_new(w, 2);
	world_start(w);
	for (uint32_t day = 0; day < 4; day++) {
		memset(w->sent, 0, sizeof(w->sent));
		busy_day(w, day, 0);
		/* The last share is more than its part of the mail. */
		assert_in_range(w->sent[0][0], MIN(table[day], 180),
		    table[day]);
		if (day < 3)
			assert_int_equal(w->sent[0][0], table[day]);
	}
	assert_int_equal(w->day.verdict, WARM_ADVANCE);
	assert_int_equal(w->day.why, WARM_WHY_CLEAN);
	assert_int_equal(w->day.next, 3);
	assert_int_equal(row(w)->today.stage, 3);
	world_free(w);
}

static void
a_poor_day_and_one_without_mail_change_nothing(void **state)
{
	struct world *w = &world;
	uint32_t poor;

	(void)state;
	world_new(w, 2);
	world_start(w);
	go_to(w, 0, 9);
	send(w, 0, 1, 1); /* it asks for its first block */
	go_to(w, 0, 10);
	send(w, 0, 20, 1);
	busy_day(w, 1, 0);
	assert_int_equal(w->ndays, 1);
	assert_int_equal(w->day.verdict, WARM_HOLD);
	assert_int_equal(w->day.why, WARM_WHY_SHARE);
	poor = w->sent[0][0] - 40;
	assert_in_range(poor, 5, 20);
	busy_day(w, 9, 0); /* days between have no say */
	assert_int_equal(w->ndays, 2);
	assert_int_equal(w->day.verdict, WARM_ADVANCE);
	assert_int_equal(w->sent[0][0], poor + 40 + 80);
	world_free(w);
}

static void
bad_ratios_hold_or_step_back(void **state)
{
	struct world *w = &world;

	(void)state;
	world_new(w, 2);
	world_start(w);
	busy_day(w, 0, 0);
	w->bounces = 10;
	busy_day(w, 1, 0);
	w->bounces = 0;
	busy_day(w, 2, 0);
	assert_int_equal(w->day.verdict, WARM_HOLD);
	assert_int_equal(w->day.why, WARM_WHY_BOUNCES);
	assert_int_equal(w->day.next, 1);
	w->policy.warmups[0].steps_back = true;
	w->defers = 3;
	busy_day(w, 3, 0); /* behind a good day: stage 2 */
	assert_int_equal(w->day.next, 2);
	w->defers = 0;
	busy_day(w, 4, 0);
	assert_int_equal(w->day.verdict, WARM_BACK);
	assert_int_equal(w->day.why, WARM_WHY_DEFERRALS);
	assert_int_equal(w->day.next, 1);
	world_free(w);
}

static void
complaints_count(void **state)
{
	struct eng_event ev = { .kind = EV_FEEDBACK };
	struct world *w = &world;

	(void)state;
	world_new(w, 2);
	world_start(w);
	busy_day(w, 0, 0);
	ev.feedback.source = SOURCE(0);
	ev.feedback.provider = PROVIDER(0);
	step(w, &ev);
	busy_day(w, 1, 0);
	assert_int_equal(w->day.verdict, WARM_HOLD);
	assert_int_equal(w->day.why, WARM_WHY_COMPLAINTS);
	assert_int_equal(w->day.complained, 1);
	world_free(w);
}

static void
mail_that_nobody_else_may_carry_waits_for_the_next_day(void **state)
{
	struct eng_queue_row q;
	struct world *w = &world;

	(void)state;
	world_new(w, 1);
	world_start(w);
	go_to(w, 0, 9);
	send(w, 0, 100, 1);
	go_to(w, 0, 12);
	assert_int_equal(sent_by(w, 0), 40);
	assert_int_equal(eng_top_queues(w->e, SORT_DEPTH, w->now, &q, 1), 1);
	assert_int_equal(q.why, WHY_WARMUP);
	assert_int_equal(q.until_us + w->wall_off, WALL_US + DAY_US);
	go_to(w, 1, 1);
	assert_int_equal(sent_by(w, 0), 100);
	world_free(w);
}

static void
the_overflow_pool_carries_the_rest(void **state)
{
	struct world *w = &world;
	struct eng_policy *p = &w->policy;

	(void)state;
	world_new(w, 3);
	p->npools = 2;
	p->pools[0].nsources = 1;
	p->pools[0].overflow = 2;
	p->pools[1].name = POOL(1);
	p->pools[1].nsources = 2;
	p->pools[1].sources[0] = 1;
	p->pools[1].sources[1] = 2;
	world_start(w);
	go_to(w, 0, 9);
	send(w, 0, 30, 1); /* within the share: by the young one alone */
	go_to(w, 0, 10);
	assert_int_equal(w->sent[0][0], 30);
	busy_day(w, 0, 0);
	assert_int_equal(w->sent[0][0], 40);
	assert_int_equal(w->sent[1][0] + w->sent[2][0], 390);
	assert_true(w->sent[1][0] > 100 && w->sent[2][0] > 100);
	/* And the next day the young one comes first again. */
	go_to(w, 1, 9);
	send(w, 0, 50, 1);
	go_to(w, 1, 10);
	assert_int_equal(w->sent[0][0], 90);
	world_free(w);
}

static void
an_hour_has_its_part(void **state)
{
	struct world *w = &world;

	(void)state;
	world_new(w, 1);
	w->policy.warmups[0].hour_ppm = 200000;
	world_start(w);
	go_to(w, 0, 9);
	send(w, 0, 100, 1);
	for (uint32_t h = 0; h < 8; h++) {
		run(w,
		    WALL_US + (9 + h) * HOUR_US + 1800 * US_PER_S -
			w->wall_off);
		assert_int_equal(sent_by(w, 0), MIN(8 * (h + 1), 40));
	}
	world_free(w);
}

static void
a_transaction_has_no_more_recipients_than_are_left(void **state)
{
	struct world *w = &world;

	(void)state;
	world_new(w, 1);
	world_start(w);
	go_to(w, 0, 9);
	send(w, 0, 4, 30);
	go_to(w, 0, 12);
	assert_int_equal(sent_by(w, 0), 40);
	go_to(w, 1, 12);
	assert_int_equal(sent_by(w, 0), 120);
	world_free(w);
}

/* The day begins where the plan's zone says. */
static void
days_are_those_of_the_zone(void **state)
{
	struct world *w = &world;
	struct eng_policy *p = &w->policy;

	(void)state;
	world_new(w, 1);
	p->nzones = 2;
	p->zones[1].name = 71;
	p->zones[1].zone.n = 1;
	p->zones[1].zone.offset_s[0] = -5 * 3600;
	p->warmups[0].zone = 1;
	world_start(w);
	go_to(w, 0, 9);
	send(w, 0, 100, 1);
	go_to(w, 1, 4);
	assert_int_equal(sent_by(w, 0), 40);
	go_to(w, 1, 6);
	assert_int_equal(sent_by(w, 0), 100);
	world_free(w);
}

static void
one_that_was_idle_begins_again(void **state)
{
	struct world *w = &world;

	(void)state;
	world_new(w, 2);
	world_start(w);
	busy_day(w, 0, 0);
	busy_day(w, 1, 0);
	busy_day(w, 40, 0);
	assert_int_equal(w->day.verdict, WARM_AGAIN);
	assert_int_equal(w->day.next, 0);
	assert_int_equal(w->sent[0][0], 40 + 80 + 40);
	world_free(w);
}

static void
nothing_leaves_before_its_first_day(void **state)
{
	struct world *w = &world;

	(void)state;
	world_new(w, 1);
	w->policy.sources[0].warm_from_us = WALL_US + 2 * DAY_US;
	w->policy.sources[0].warm_stage = 1;
	world_start(w);
	send(w, 0, 100, 1);
	go_to(w, 1, 23);
	assert_int_equal(sent_by(w, 0), 0);
	go_to(w, 2, 1);
	assert_int_equal(sent_by(w, 0), 80);
	world_free(w);
}

/* ---- what survives ------------------------------------------------------------------ */

static void
only_what_is_kept_is_sent(void **state)
{
	struct world *w = &world;

	(void)state;
	world_new(w, 1);
	w->withholds = true;
	world_start(w);
	send(w, 0, 100, 1);
	go_to(w, 0, 5);
	assert_int_equal(sent_by(w, 0), 0);
	all_kept(w);
	go_to(w, 0, 6);
	assert_in_range(sent_by(w, 0), 1, 39);
	w->withholds = false;
	all_kept(w);
	go_to(w, 0, 7);
	assert_int_equal(sent_by(w, 0), 40);
	world_free(w);
}

/* Whenever it is killed, a day carries no more than its share; and a quiet one
 * loses no more than what was taken ahead. */
static void
a_crash_makes_it_less_and_never_more(void **state)
{
	struct world *w = &world;
	uint32_t lost = 0;

	(void)state;
	for (uint32_t at = 0; at < 60; at++) {
		world_new(w, 1);
		world_start(w);
		go_to(w, 0, 9);
		send(w, 0, 60, 1);
		for (uint32_t k = 0; k < at; k++) {
			w->withholds = k % 5 == 4;
			if (!w->withholds)
				all_kept(w);
			run_one(w, w->now);
		}
		w->withholds = false;
		crash(w);
		send(w, 0, 60, 1);
		go_to(w, 0, 20);
		assert_true(sent_by(w, 0) <= 40);
		lost = MAX(lost, 40 - sent_by(w, 0));
		go_to(w, 1, 20); /* the next day's share is whole */
		assert_true(sent_by(w, 0) >= 40);
		world_free(w);
	}
	assert_in_range(lost, 1, 40);
}

static void
the_stage_survives(void **state)
{
	struct world *w = &world;

	(void)state;
	world_new(w, 2);
	world_start(w);
	busy_day(w, 0, 0);
	busy_day(w, 1, 0);
	crash(w);
	assert_int_equal(row(w)->today.stage, 1);
	memset(w->sent, 0, sizeof(w->sent));
	busy_day(w, 1, 0);
	assert_int_equal(w->sent[0][0], 0);
	busy_day(w, 2, 0);
	assert_int_equal(w->sent[0][0], 160);
	world_free(w);
}

/* A clock that is put back gives no day twice. */
static void
a_clock_put_back_gives_nothing(void **state)
{
	struct eng_event ev = { .kind = EV_CLOCK };
	struct world *w = &world;

	(void)state;
	world_new(w, 1);
	world_start(w);
	go_to(w, 1, 9);
	send(w, 0, 200, 1);
	go_to(w, 1, 12);
	assert_int_equal(sent_by(w, 0), 40);
	w->wall_off -= DAY_US;
	ev.wall_us = wall_of(w);
	step(w, &ev);
	go_to(w, 1, 11);
	assert_int_equal(sent_by(w, 0), 40);
	go_to(w, 2, 1);
	assert_int_equal(sent_by(w, 0), 120);
	world_free(w);
}

/* One young source, ten recipients an hour; it is nine o'clock. */
static void
begin_hourly(struct world *w)
{
	world_new(w, 1);
	w->policy.warmups[0].most[0] = 1000;
	w->policy.warmups[0].hour_ppm = 10000;
	world_start(w);
	go_to(w, 0, 9);
}

static uint32_t
sent_at_half_past(struct world *w, uint32_t hour)
{
	go_to(w, 0, hour);
	run(w, w->now + HOUR_US / 2);
	return sent_by(w, 0);
}

/* Nor an hour, if we were down then. */
static void
an_hour_before_a_start_does_not_come_again(void **state)
{
	struct world *w = &world;

	(void)state;
	begin_hourly(w);
	send(w, 0, 100, 1);
	assert_int_equal(sent_at_half_past(w, 10), 20);
	w->wall_off -= 2 * HOUR_US / 3;
	crash(w);
	send(w, 0, 100, 1);
	assert_int_equal(sent_at_half_past(w, 10), 20);
	assert_int_equal(sent_at_half_past(w, 11), 30);
	world_free(w);
}

/* One in which nothing was sent is whole. */
static void
an_hour_that_was_not_begun_is_known_after_a_start(void **state)
{
	struct world *w = &world;

	(void)state;
	begin_hourly(w);
	send(w, 0, 5, 1);
	assert_int_equal(sent_at_half_past(w, 9), 5);
	crash(w);
	send(w, 0, 100, 1);
	run(w, w->now + HOUR_US / 4);
	assert_int_equal(sent_by(w, 0), 5);
	assert_int_equal(sent_at_half_past(w, 10), 15);
	crash(w);
	go_to(w, 0, 12);
	crash(w);
	send(w, 0, 100, 1);
	assert_int_equal(sent_at_half_past(w, 12), 25);
	world_free(w);
}

static void
send_engaged(struct world *w, uint32_t domain, uint32_t n)
{
	w->sends_engaged = true;
	send(w, domain, n, 1);
	w->sends_engaged = false;
}

static void
engaged_mail_has_the_share_first(void **state)
{
	struct world *w = &world;

	(void)state;
	world_new(w, 2);
	w->policy.warmups[0].prefers_engaged = true;
	world_start(w);
	go_to(w, 0, 9);
	send_engaged(w, 0, 100);
	send(w, 0, 100, 1);
	go_to(w, 0, 20);
	assert_int_equal(w->keen[0][0], 40);
	assert_int_equal(w->sent[0][0], 40);
	assert_int_equal(w->sent[1][0], 160);
	/* The next day nobody is engaged: the share is for all. */
	go_to(w, 1, 9);
	send(w, 0, 200, 1);
	go_to(w, 1, 20);
	assert_int_equal(w->sent[0][0], 40 + 80);
	world_free(w);
}

static void
what_engaged_mail_leaves_is_for_the_others(void **state)
{
	struct world *w = &world;

	(void)state;
	world_new(w, 1);
	w->policy.warmups[0].prefers_engaged = true;
	world_start(w);
	go_to(w, 0, 9);
	send(w, 0, 100, 1);
	send_engaged(w, 0, 10);
	go_to(w, 0, 10);
	assert_true(w->keen[0][0] == 10);
	assert_int_equal(w->sent[0][0], 40);
	/* What waits from the day before goes behind who is engaged. */
	send_engaged(w, 0, 60);
	go_to(w, 1, 20);
	assert_int_equal(w->keen[0][0], 70);
	assert_int_equal(w->sent[0][0], 120);
	world_free(w);
}

static void
engaged_mail_for_another_site_of_the_provider_comes_first(void **state)
{
	struct world *w = &world;

	(void)state;
	world_new(w, 2);
	w->policy.warmups[0].prefers_engaged = true;
	world_start(w);
	go_to(w, 0, 9);
	send_engaged(w, 2, 100); /* 2 and 3 have no provider: one share */
	send(w, 3, 100, 1);
	go_to(w, 0, 20);
	assert_int_equal(w->keen[0][2], 40);
	assert_int_equal(w->sent[0][3], 0);
	assert_int_equal(w->sent[1][3], 100);
	world_free(w);
}

/* Ten minutes it keeps others from what it cannot use. */
static void
engaged_mail_that_may_not_go_keeps_no_one(void **state)
{
	struct world *w = &world;

	(void)state;
	world_new(w, 1);
	w->policy.warmups[0].prefers_engaged = true;
	w->policy.shapes[0].backoff_min_us = 6 * HOUR_US;
	w->policy.shapes[0].backoff_max_us = 6 * HOUR_US;
	w->down = 2 + 1;
	world_start(w);
	go_to(w, 0, 9);
	send_engaged(w, 2, 50);
	send(w, 3, 30, 1);
	run(w, w->now + 300 * US_PER_S);
	assert_int_equal(w->sent[0][3], 0);
	run(w, w->now + 301 * US_PER_S);
	assert_int_equal(w->sent[0][3], 30);
	world_free(w);
}

static void
without_the_option_nobody_is_engaged(void **state)
{
	struct world *w = &world;

	(void)state;
	world_new(w, 1);
	world_start(w);
	go_to(w, 0, 9);
	send(w, 0, 40, 1);
	send_engaged(w, 0, 40);
	go_to(w, 0, 20);
	assert_int_equal(w->sent[0][0], 40);
	assert_true(w->keen[0][0] < 30);
	world_free(w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_over_the_share_leaves_by_others),
		cmocka_unit_test(each_provider_has_a_share_of_its_own),
		cmocka_unit_test(good_days_lead_on_and_the_last_is_the_end),
		cmocka_unit_test(
		    a_poor_day_and_one_without_mail_change_nothing),
		cmocka_unit_test(bad_ratios_hold_or_step_back),
		cmocka_unit_test(complaints_count),
		cmocka_unit_test(
		    mail_that_nobody_else_may_carry_waits_for_the_next_day),
		cmocka_unit_test(the_overflow_pool_carries_the_rest),
		cmocka_unit_test(an_hour_has_its_part),
		cmocka_unit_test(
		    a_transaction_has_no_more_recipients_than_are_left),
		cmocka_unit_test(days_are_those_of_the_zone),
		cmocka_unit_test(one_that_was_idle_begins_again),
		cmocka_unit_test(nothing_leaves_before_its_first_day),
		cmocka_unit_test(only_what_is_kept_is_sent),
		cmocka_unit_test(a_crash_makes_it_less_and_never_more),
		cmocka_unit_test(the_stage_survives),
		cmocka_unit_test(a_clock_put_back_gives_nothing),
		cmocka_unit_test(an_hour_before_a_start_does_not_come_again),
		cmocka_unit_test(
		    an_hour_that_was_not_begun_is_known_after_a_start),
		cmocka_unit_test(engaged_mail_has_the_share_first),
		cmocka_unit_test(what_engaged_mail_leaves_is_for_the_others),
		cmocka_unit_test(
		    engaged_mail_for_another_site_of_the_provider_comes_first),
		cmocka_unit_test(engaged_mail_that_may_not_go_keeps_no_one),
		cmocka_unit_test(without_the_option_nobody_is_engaged),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

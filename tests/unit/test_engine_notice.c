/*
 * test_engine_notice - of whom a notice is owed, and when: RFC 3461, with every
 * wish and every end.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "engine/engine.h"

#define POOL 50u
#define GOOD 60u /* domains: one that takes mail */
#define BAD 61u  /* and one that there is not */
#define SLOW 62u /* nobody can look it up */
#define LATE_US (3600 * US_PER_S)
#define RCPTS 300u

static struct eng_policy policy;
static struct eng_cmds cmds;
static struct eng *e;
static int64_t now;
static uint32_t caps;
static struct eng_event todo[1024];
static uint32_t ntodo;
/* By recipient of message 1. */
static uint32_t owed[RCPTS], late[RCPTS], ended[RCPTS];
static uint32_t dropped;

static struct eng_event *
later(enum eng_event_kind kind)
{
	struct eng_event *ev = &todo[ntodo++];

	assert_true(ntodo < ARRAY_LEN(todo));
	memset(ev, 0, sizeof(*ev));
	ev->kind = kind;
	return ev;
}

static void
on_resolve(uint32_t domain)
{
	struct eng_event *ev = later(EV_RESOLVED);

	ev->resolved.domain = domain;
	ev->resolved.ttl_us = 1000 * LATE_US;
	ev->resolved.status = domain == GOOD ? ENG_DNS_OK :
	    domain == BAD                    ? ENG_DNS_NXDOMAIN :
					       ENG_DNS_TEMP;
	ev->resolved.ntargets = domain == GOOD;
	ev->resolved.target[0].host = 9000;
	ev->resolved.target[0].port = 25;
	ev->resolved.target[0].ip.family = 4;
}

static void
on_assign(const struct eng_cmd *c)
{
	struct eng_event *ev = later(EV_RESULT);

	ev->result.session = c->assign.session;
	ev->result.txn = c->assign.txn;
	ev->result.is_sent = true;
	ev->result.n = c->assign.n;
	for (uint32_t i = 0; i < c->assign.n; i++)
		ev->result.rcpt[i] =
		    (struct outcome){ .klass = OUTCOME_DELIVERED, .code = 250 };
}

static void
on_command(const struct eng_cmd *c)
{
	struct eng_event *ev;

	switch (c->kind) {
	case CMD_RESOLVE:
		on_resolve(c->domain);
		break;
	case CMD_OPEN:
		ev = later(EV_SESSION_UP);
		ev->up.session = c->open.session;
		ev->up.caps = caps;
		break;
	case CMD_ASSIGN:
		on_assign(c);
		break;
	case CMD_PERSIST:
		owed[c->persist.rcpt] += c->persist.is_owed;
		ended[c->persist.rcpt] += c->persist.is_final;
		break;
	case CMD_DELAYED:
		assert_false(c->persist.is_final || c->persist.is_owed);
		late[c->persist.rcpt]++;
		ev = later(EV_NOTICE_PAID);
		ev->paid.msg = c->persist.msg;
		break;
	case CMD_NOTICE:
		ev = later(EV_NOTICE_PAID);
		ev->paid.msg = c->notice.msg;
		break;
	case CMD_DROP:
		dropped++;
		break;
	default:
		break;
	}
}

static void
step(const struct eng_event *ev)
{
	cmds.n = 0;
	eng_step(e, ev, now, &cmds);
	for (uint32_t i = 0; i < cmds.n; i++)
		on_command(&cmds.v[i]);
}

static void
run_until(int64_t until)
{
	for (;;) {
		struct eng_event ev = { .kind = EV_TICK };

		if (ntodo > 0) {
			ev = todo[0];
			memmove(todo, todo + 1, --ntodo * sizeof(*todo));
		} else if (eng_deadline(e) <= until) {
			now = MAX(now, eng_deadline(e));
		} else {
			break;
		}
		step(&ev);
	}
	now = MAX(now, until);
	eng_check(e);
}

static int
set_up(void **state)
{
	struct eng_limits limits = { 100, 1000, 100, 100, 100 };

	(void)state;
	memset(&policy, 0, sizeof(policy));
	eng_policy_default(&policy);
	policy.npools = policy.nsources = 1;
	policy.pools[0].name = policy.default_pool = POOL;
	policy.pools[0].nsources = 1;
	policy.sources[0] =
	    (struct eng_source_conf){ .name = 1000, .has_v4 = true };
	memset(owed, 0, sizeof(owed));
	memset(late, 0, sizeof(late));
	memset(ended, 0, sizeof(ended));
	ntodo = dropped = caps = 0;
	now = US_PER_S;
	e = eng_new(&policy, &limits, 1, now);
	assert_non_null(e);
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	eng_check(e);
	eng_free(e);
	eng_cmds_free(&cmds);
	return 0;
}

static void
send(uint32_t nrcpt, uint32_t domain, bool is_null, const uint8_t *dsn)
{
	struct eng_event ev = { .kind = EV_MESSAGE };

	ev.message = (struct ev_message){ .msg = 1,
		.nrcpt = nrcpt,
		.is_null_sender = is_null,
		.arrival_us = now,
		.expires_us = now + 10 * LATE_US };
	step(&ev);
	for (uint32_t i = 0; i < nrcpt; i++) {
		ev = (struct eng_event){ .kind = EV_RECIPIENT };
		ev.recipient.msg = 1;
		ev.recipient.rcpt = (uint16_t)i;
		ev.recipient.domain = domain;
		ev.recipient.dsn = dsn[i];
		ev.recipient.delay_us = now + LATE_US;
		step(&ev);
	}
}

/* Nothing said, never, success, delay, all of it. */
static const uint8_t wishes[] = { 0, ENG_DSN_MUTE,
	ENG_DSN_SUCCESS | ENG_DSN_MUTE, ENG_DSN_DELAY | ENG_DSN_MUTE,
	ENG_DSN_SUCCESS | ENG_DSN_DELAY };
#define WISHES ARRAY_LEN(wishes)

static void
expect(uint32_t n, const uint32_t *got, const uint32_t *want)
{
	for (uint32_t i = 0; i < n; i++)
		assert_int_equal(got[i], want[i]);
}

static void
of_a_failure_hears_who_wants_to(void **state)
{
	const uint32_t want[WISHES] = { 1, 0, 0, 0, 1 };

	(void)state;
	send(WISHES, BAD, false, wishes);
	run_until(now + LATE_US / 2);
	expect(WISHES, owed, want);
	assert_int_equal(dropped, 1);
}

static void
of_a_delivery_hears_who_asked_for_it(void **state)
{
	const uint32_t want[WISHES] = { 0, 0, 1, 0, 1 };

	(void)state;
	send(WISHES, GOOD, false, wishes);
	run_until(now + LATE_US / 2);
	expect(WISHES, owed, want);
	assert_int_equal(dropped, 1);
}

static void
unless_the_next_host_does_that(void **state)
{
	const uint32_t want[WISHES] = { 0 };

	(void)state;
	caps = ENG_CAP_DSN;
	send(WISHES, GOOD, false, wishes);
	run_until(now + LATE_US / 2);
	expect(WISHES, owed, want);
	assert_int_equal(dropped, 1);
}

static void
of_a_delay_hears_who_wants_to_and_once(void **state)
{
	const uint32_t want[WISHES] = { 0, 0, 0, 1, 1 };
	const uint32_t none[WISHES] = { 0 }, fail[WISHES] = { 1, 0, 0, 0, 1 };

	(void)state;
	send(WISHES, SLOW, false, wishes);
	run_until(now + LATE_US - US_PER_S);
	expect(WISHES, late, none);
	run_until(now + 2 * US_PER_S);
	expect(WISHES, late, want);
	run_until(now + 20 * LATE_US);
	expect(WISHES, late, want);
	expect(WISHES, owed, fail);
	assert_int_equal(dropped, 1);
}

static void
the_null_sender_hears_nothing(void **state)
{
	const uint32_t none[WISHES] = { 0 };

	(void)state;
	send(WISHES, SLOW, true, wishes);
	run_until(now + 20 * LATE_US);
	expect(WISHES, late, none);
	expect(WISHES, owed, none);
	assert_int_equal(dropped, 1);
}

/* More than one step tells of. */
static void
many_are_late_together(void **state)
{
	static uint8_t dsn[RCPTS];
	int64_t at;

	(void)state;
	memset(dsn, ENG_DSN_DELAY, sizeof(dsn));
	send(RCPTS, SLOW, false, dsn);
	at = now + LATE_US;
	run_until(at + US_PER_S);
	for (uint32_t i = 0; i < RCPTS; i++)
		assert_int_equal(late[i], 1);
	run_until(at + 20 * LATE_US);
	for (uint32_t i = 0; i < RCPTS; i++) {
		assert_int_equal(late[i], 1);
		assert_int_equal(ended[i], 1);
	}
	assert_int_equal(dropped, 1);
}

int
main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(of_a_failure_hears_who_wants_to),
		TEST(of_a_delivery_hears_who_asked_for_it),
		TEST(unless_the_next_host_does_that),
		TEST(of_a_delay_hears_who_wants_to_and_once),
		TEST(the_null_sender_hears_nothing),
		TEST(many_are_late_together),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * The conversation of a drain: two machines talk to each other, and to some
 * that lie. What they say is cut into pieces of every size.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "proto/proto.h"

struct pair {
	struct drain a, b; /* source, target */
	char secret_a, secret_b;
	size_t step; /* bytes carried at a time */
};

/* No digest worth the name, but one that depends on key and text. */
static void
mac(void *ctx, struct slice text, uint8_t out[DRAIN_MAC_BYTES])
{
	for (uint32_t i = 0; i < DRAIN_MAC_BYTES; i++) {
		uint64_t h = hash_bytes(i + (uint64_t) * (char *)ctx * 100,
		    text.p, text.n);

		out[i] = (uint8_t)h;
	}
}

static void
pair_init(struct pair *p, size_t step)
{
	struct drain_conf a = { .role = DRAIN_SOURCE,
		.self = { { 1 } },
		.nonce = { 7 },
		.mac = mac,
		.ctx = &p->secret_a };
	struct drain_conf b = { .role = DRAIN_TARGET,
		.self = { { 2 } },
		.nonce = { 8 },
		.mac = mac,
		.ctx = &p->secret_b };

	p->secret_a = p->secret_b = 's';
	p->step = step;
	drain_init(&p->a, &a, 0);
	drain_init(&p->b, &b, 0);
}

static void
pair_free(struct pair *p)
{
	drain_free(&p->a);
	drain_free(&p->b);
}

/* Carries bytes until `to` says something or nothing is left. */
static struct drain_event
carry(struct pair *p, struct drain *from, struct drain *to)
{
	struct drain_event e;
	size_t n;

	while (!drain_next(to, &e) && from->out.n) {
		n = MIN(p->step, from->out.n);
		drain_feed(to, slice_of(buf_slice(&from->out).p, n), 0);
		buf_consume(&from->out, n);
	}
	return e;
}

#define TO_B(p) carry(p, &(p)->a, &(p)->b)
#define TO_A(p) carry(p, &(p)->b, &(p)->a)

static void
shake_hands(struct pair *p)
{
	assert_int_equal(TO_B(p).kind, DRAIN_EV_NONE);
	assert_int_equal(TO_A(p).kind, DRAIN_EV_NONE);
	assert_int_equal(TO_B(p).kind, DRAIN_EV_UP);
	assert_int_equal(TO_A(p).kind, DRAIN_EV_UP);
	assert_int_equal(p->a.peer.b[0], 2);
	assert_int_equal(p->b.peer.b[0], 1);
}

static void
open_pair(struct pair *p, size_t step)
{
	pair_init(p, step);
	shake_hands(p);
	drain_say_have_end(&p->b);
	assert_int_equal(TO_A(p).kind, DRAIN_EV_HAVE_END);
	assert_int_equal(p->a.state, DRAIN_OPEN);
	assert_int_equal(p->b.state, DRAIN_OPEN);
}

static const struct msgid one = { { 1, 2, 3 } };

static void
offers_in_pieces_of_any_size(void **state)
{
	const struct drain_offer o = { 1, 30, 100000 };
	static char text[100054];

	(void)state;
	for (size_t step = 1; step < 200000; step = step * 7 + 3) {
		struct drain_event e;
		struct pair p;
		size_t at = 0;

		open_pair(&p, step);
		for (size_t i = 0; i < sizeof(text); i++)
			text[i] = (char)(i * 31 + step);
		drain_say_offer(&p.a, &one, &o);
		drain_say_data(&p.a, slice_of(text, 100));
		drain_say_data(&p.a, slice_of(text + 100, sizeof(text) - 100));
		drain_say_end(&p.a);
		e = TO_B(&p);
		assert_int_equal(e.kind, DRAIN_EV_OFFER);
		assert_true(msgid_eq(&e.msg, &one));
		assert_int_equal(drain_offer_bytes(&e.offer), sizeof(text));
		while ((e = TO_B(&p)).kind == DRAIN_EV_DATA) {
			assert_memory_equal(e.data.p, text + at, e.data.n);
			at += e.data.n;
		}
		assert_int_equal(at, sizeof(text));
		assert_int_equal(e.kind, DRAIN_EV_END);
		assert_true(e.is_good);
		pair_free(&p);
	}
}

static void
answers_and_orders_arrive(void **state)
{
	struct drain_event e;
	struct pair p;

	(void)state;
	pair_init(&p, 5);
	shake_hands(&p);
	drain_say_have(&p.b, &one);
	assert_int_equal(TO_A(&p).kind, DRAIN_EV_HAVE);
	drain_say_discard(&p.a, &one); /* before the list is at its end */
	assert_int_equal(TO_B(&p).kind, DRAIN_EV_DISCARD);
	drain_say_discarded(&p.b, &one);
	assert_int_equal(TO_A(&p).kind, DRAIN_EV_DISCARDED);
	drain_say_have_end(&p.b);
	assert_int_equal(TO_A(&p).kind, DRAIN_EV_HAVE_END);
	drain_say_taken(&p.b, &one);
	assert_int_equal(TO_A(&p).kind, DRAIN_EV_TAKEN);
	drain_say_refused(&p.b, &one, DRAIN_FULL, "no\nroom");
	e = TO_A(&p);
	assert_int_equal(e.kind, DRAIN_EV_REFUSED);
	assert_int_equal(e.refusal, DRAIN_FULL);
	assert_null(strchr(e.text, '\n'));
	drain_say_release(&p.a, &one);
	assert_int_equal(TO_B(&p).kind, DRAIN_EV_RELEASE);
	drain_say_released(&p.b, &one);
	assert_int_equal(TO_A(&p).kind, DRAIN_EV_RELEASED);
	pair_free(&p);
}

/* Both are told why, and nothing else comes. */
static void
expect_down(struct pair *p, const char *word)
{
	struct drain *end[2] = { &p->b, &p->a };
	struct drain_event e = { 0 };

	for (int k = 0; k < 6; k++) {
		e = k % 2 ? TO_A(p) : TO_B(p);
		if (e.kind == DRAIN_EV_DOWN)
			assert_non_null(strstr(e.text, word));
	}
	for (int k = 0; k < 2; k++) {
		assert_int_equal(end[k]->state, DRAIN_DOWN);
		assert_true(end[k]->is_told);
		assert_false(drain_next(end[k], &e));
	}
}

static void
another_secret_keeps_out(void **state)
{
	struct pair p;

	(void)state;
	pair_init(&p, 100);
	p.secret_a = 'x';
	expect_down(&p, "secrets differ");
	pair_free(&p);
}

/* Somebody in the middle of TLS has a channel of his own with either. */
static void
another_channel_keeps_out(void **state)
{
	struct pair p;

	(void)state;
	pair_init(&p, 100);
	p.a.conf.has_binding = p.b.conf.has_binding = true;
	p.a.conf.binding[0] = 1;
	expect_down(&p, "secrets differ");
	pair_free(&p);
}

static void
ones_own_spool_is_no_target(void **state)
{
	struct pair p;

	(void)state;
	pair_init(&p, 100);
	p.b.conf.self.b[0] = 1;
	expect_down(&p, "same spool");
	pair_free(&p);
}

static void
another_version_is_told_of(void **state)
{
	struct pair p;

	(void)state;
	pair_init(&p, 100);
	p.a.out.p[p.a.out.off + 9] = 2; /* versions 2 to 3 */
	p.a.out.p[p.a.out.off + 11] = 3;
	expect_down(&p, "1 is spoken here, 2 to 3 there");
	pair_free(&p);
}

static void
a_message_that_is_damaged_ends_it(void **state)
{
	const struct drain_offer o = { 1, 10, 0 };
	struct pair p;

	(void)state;
	open_pair(&p, 1000);
	drain_say_offer(&p.a, &one, &o);
	drain_say_data(&p.a,
	    slice_of("0123456789012345678901234567890123", 34));
	drain_say_end(&p.a);
	p.a.out.p[p.a.out.off + 45] ^= 1;
	assert_int_equal(TO_B(&p).kind, DRAIN_EV_OFFER);
	assert_int_equal(TO_B(&p).kind, DRAIN_EV_DATA);
	expect_down(&p, "damaged");
	pair_free(&p);
}

static void
an_offer_may_be_called_off(void **state)
{
	const struct drain_offer o = { 1, 10, 0 };
	struct drain_event e;
	struct pair p;

	(void)state;
	open_pair(&p, 1000);
	drain_say_offer(&p.a, &one, &o);
	drain_say_data(&p.a, slice_of("01234567", 8));
	drain_say_abort(&p.a);
	assert_int_equal(TO_B(&p).kind, DRAIN_EV_OFFER);
	assert_int_equal(TO_B(&p).kind, DRAIN_EV_DATA);
	e = TO_B(&p);
	assert_int_equal(e.kind, DRAIN_EV_END);
	assert_false(e.is_good);
	assert_int_equal(p.b.state, DRAIN_OPEN);
	pair_free(&p);
}

/* What is out of place, too long or unknown, at any time. */
static void
nonsense_ends_it(void **state)
{
	static const struct {
		uint32_t n;
		uint8_t type;
	} v[] = { { 0, 0 }, { 0, 17 }, { 0, 255 }, { UINT32_MAX, 8 }, { 1, 8 },
		{ 16, 5 }, { 28, 7 }, { 15, 13 }, { 17, 13 }, { 56, 1 },
		{ 32, 2 }, { 0, 6 }, { 4, 9 } };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(v); i++) {
		char frame[64] = { (char)v[i].n, (char)(v[i].n >> 8),
			(char)(v[i].n >> 16), (char)(v[i].n >> 24),
			(char)v[i].type };
		struct drain_event e;
		struct pair p;

		open_pair(&p, 1000);
		drain_feed(&p.b, slice_of(frame, sizeof(frame)), 0);
		assert_true(drain_next(&p.b, &e));
		assert_int_equal(e.kind, DRAIN_EV_DOWN);
		assert_false(drain_next(&p.b, &e));
		pair_free(&p);
	}
}

static void
silence_ends_it(void **state)
{
	struct drain_event e;
	struct pair p;

	(void)state;
	pair_init(&p, 1000);
	drain_tick(&p.b, drain_deadline(&p.b) - 1);
	assert_false(drain_next(&p.b, &e));
	drain_tick(&p.b, drain_deadline(&p.b));
	assert_true(drain_next(&p.b, &e));
	assert_int_equal(e.kind, DRAIN_EV_DOWN);
	pair_free(&p);

	open_pair(&p, 1000);
	for (int k = 0; k < 3; k++) { /* pings into the void */
		drain_tick(&p.a, drain_deadline(&p.a));
		assert_false(drain_next(&p.a, &e));
		assert_true(p.a.out.n > 0);
	}
	drain_tick(&p.a, drain_deadline(&p.a));
	assert_true(drain_next(&p.a, &e));
	assert_int_equal(e.kind, DRAIN_EV_DOWN);
	pair_free(&p);
}

static void
recipients_keep_what_they_are(void **state)
{
	const struct drain_rcpt v[] = {
		{ .outcome = { .klass = OUTCOME_TRANSIENT,
		      .stage = STAGE_RCPT,
		      .code = 451,
		      .enh = { 4, 7, 1 } },
		    .attempts = 65535,
		    .due_us = 1234567890123456 },
		{ .due_us = TIME_NEVER },
		{ .outcome = { .klass = OUTCOME_DELIVERED,
		      .stage = STAGE_EOM,
		      .code = 250 },
		    .attempts = 3,
		    .is_final = true },
	};
	struct drain_rcpt r;
	struct cursor c;
	struct buf b;

	(void)state;
	buf_init(&b, 1000);
	for (size_t i = 0; i < ARRAY_LEN(v); i++)
		assert_int_equal(drain_rcpt_encode(&b, &v[i]), 0);
	assert_int_equal(b.n, ARRAY_LEN(v) * DRAIN_STATE_BYTES);
	c = cursor_of(buf_slice(&b));
	for (size_t i = 0; i < ARRAY_LEN(v); i++) {
		memset(&r, 0, sizeof(r));
		assert_true(drain_rcpt_decode(&c, &r));
		assert_int_equal(r.outcome.klass, v[i].outcome.klass);
		assert_int_equal(r.outcome.code, v[i].outcome.code);
		assert_int_equal(r.outcome.enh.detail, v[i].outcome.enh.detail);
		assert_int_equal(r.attempts, v[i].attempts);
		assert_int_equal(r.is_final, v[i].is_final);
		assert_true(r.due_us == v[i].due_us);
	}
	assert_false(drain_rcpt_decode(&c, &r));
	b.p[b.off] = OUTCOME_N;
	c = cursor_of(buf_slice(&b));
	assert_false(drain_rcpt_decode(&c, &r));
	buf_free(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(offers_in_pieces_of_any_size),
		cmocka_unit_test(answers_and_orders_arrive),
		cmocka_unit_test(another_secret_keeps_out),
		cmocka_unit_test(another_channel_keeps_out),
		cmocka_unit_test(ones_own_spool_is_no_target),
		cmocka_unit_test(another_version_is_told_of),
		cmocka_unit_test(a_message_that_is_damaged_ends_it),
		cmocka_unit_test(an_offer_may_be_called_off),
		cmocka_unit_test(nonsense_ends_it),
		cmocka_unit_test(silence_ends_it),
		cmocka_unit_test(recipients_keep_what_they_are),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

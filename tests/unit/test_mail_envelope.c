/*
 * The envelope's form on disk: what is written reads back, what is damaged is
 * found out, what is over a ceiling is neither written nor read.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "mail/mail.h"

static const struct env_rcpt rcpts[] = {
	{ .address = { "jones@foo.example", 17 },
	    .orcpt = { "rfc822;Jones@foo.example", 24 },
	    .notify = NOTIFY_FAILURE | NOTIFY_DELAY },
	{ .address = { "postmaster", 10 } },
	{ .address = { "\"a b\"@[IPv6:::1]", 16 }, .notify = NOTIFY_NEVER },
};

static struct envelope
sample(void)
{
	return (struct envelope){
		.id = msgid_make(1000000, 1, 2),
		.arrival_us = 1000000,
		.expires_us = INT64_MAX,
		.not_before_us = -5,
		.by_us = -7,
		.flags = ENV_8BIT | ENV_RET_FULL,
		.klass = 1,
		.client = { .b = { 192, 0, 2, 1 }, .family = 4 },
		.sender = SL("smith@bar.example"),
		.tenant = SL("acme"),
		.campaign = SL("spring"),
		.pool = SL("default"),
		.listener = SL("in"),
		.envid = SL("QQ314159"),
		.body_bytes = UINT64_C(1) << 40,
		.nrcpt = ARRAY_LEN(rcpts),
	};
}

static void
assert_same(const struct envelope *a, const struct envelope *b)
{
	assert_true(msgid_eq(&a->id, &b->id));
	assert_int_equal(a->arrival_us, b->arrival_us);
	assert_int_equal(a->expires_us, b->expires_us);
	assert_int_equal(a->not_before_us, b->not_before_us);
	assert_int_equal(a->by_us, b->by_us);
	assert_int_equal(a->flags, b->flags);
	assert_int_equal(a->klass, b->klass);
	assert_true(ip_eq(&a->client, &b->client));
	assert_true(slice_eq(a->sender, b->sender));
	assert_true(slice_eq(a->tenant, b->tenant));
	assert_true(slice_eq(a->campaign, b->campaign));
	assert_true(slice_eq(a->pool, b->pool));
	assert_true(slice_eq(a->listener, b->listener));
	assert_true(slice_eq(a->envid, b->envid));
	assert_int_equal(a->body_bytes, b->body_bytes);
	assert_int_equal(a->nrcpt, b->nrcpt);
}

static void
reads_back(void **state)
{
	struct envelope e = sample(), back;
	struct env_rcpt r;
	struct cursor cur;
	struct buf out;
	uint32_t n = 0;

	(void)state;
	buf_init(&out, 4096);
	buf_addz(&out, "before");
	assert_int_equal(env_encode(&out, &e, rcpts), 0);
	buf_consume(&out, 6);
	assert_int_equal(env_decode(buf_slice(&out), &back, &cur), 0);
	assert_same(&e, &back);
	while (env_rcpt_next(&cur, &r)) {
		assert_true(slice_eq(r.address, rcpts[n].address));
		assert_true(slice_eq(r.orcpt, rcpts[n].orcpt));
		assert_int_equal(r.notify, rcpts[n].notify);
		n++;
	}
	assert_int_equal(n, ARRAY_LEN(rcpts));
	assert_false(env_rcpt_next(&cur, &r));
	buf_free(&out);
}

static void
null_sender_and_empty_names(void **state)
{
	struct envelope e = { .nrcpt = 1 }, back;
	struct cursor cur;
	struct buf out;

	(void)state;
	buf_init(&out, 4096);
	assert_int_equal(env_encode(&out, &e, rcpts), 0);
	assert_int_equal(env_decode(buf_slice(&out), &back, &cur), 0);
	assert_same(&e, &back);
	buf_free(&out);
}

static void
a_signer_has_another_version_again(void **state)
{
	struct envelope e = { .signer = SL("a.example"), .nrcpt = 1 }, back;
	struct cursor cur;
	struct buf out;

	(void)state;
	buf_init(&out, 4096);
	for (int i = 0; i < 2; i++) {
		buf_reset(&out);
		e.zone = i ? SL("Asia/Tokyo") : SL("");
		assert_int_equal(env_encode(&out, &e, rcpts), 0);
		assert_int_equal(out.n, env_length(&e, rcpts));
		assert_int_equal(buf_slice(&out).p[0], 3);
		assert_int_equal(env_decode(buf_slice(&out), &back, &cur), 0);
		assert_same(&e, &back);
		assert_true(slice_eq(back.zone, e.zone));
		assert_true(slice_eq(back.signer, e.signer));
	}
	/* The zone is 10 bytes long here, behind it the signer's length. */
	out.p[out.off + 100] = 0;
	assert_int_equal(env_decode(buf_slice(&out), &back, &cur), E_CORRUPT);
	e.signer.n = DOMAIN_MAX + 1;
	assert_int_equal(env_encode(&out, &e, rcpts), E_RANGE);
	buf_free(&out);
}

static void
a_key_has_another_version_again(void **state)
{
	struct envelope e = { .nrcpt = 1 }, back;
	struct env_rcpt r = { .address = SL("a@b.example") };
	struct cursor c;
	struct buf b;

	(void)state;
	for (uint8_t i = 0; i < sizeof(e.key.b); i++)
		e.key.b[i] = i;
	for (int i = 0; i < 4; i++) {
		e.key.digest = 0x12345678;
		e.zone = i & 1 ? SL("Asia/Tokyo") : SL("");
		e.signer = i & 2 ? SL("a.example") : SL("");
		buf_init(&b, 4096);
		assert_int_equal(env_encode(&b, &e, &r), 0);
		assert_int_equal(b.n, env_length(&e, &r));
		assert_true(env_has_key(buf_slice(&b)));
		assert_int_equal(env_decode(buf_slice(&b), &back, &c), 0);
		assert_memory_equal(&back.key, &e.key, sizeof(e.key));
		assert_true(slice_eq(back.zone, e.zone));
		assert_true(slice_eq(back.signer, e.signer));
		buf_free(&b);
		e.key.digest = 0; /* and there is none */
		buf_init(&b, 4096);
		assert_int_equal(env_encode(&b, &e, &r), 0);
		assert_false(env_has_key(buf_slice(&b)));
		buf_free(&b);
	}
}

static void
with_a_zone_it_has_another_version(void **state)
{
	struct envelope e = { .zone = SL("Asia/Tokyo"), .nrcpt = 1 }, back;
	struct cursor cur;
	struct buf out;

	(void)state;
	buf_init(&out, 4096);
	assert_int_equal(env_encode(&out, &e, rcpts), 0);
	assert_int_equal(out.n, env_length(&e, rcpts));
	assert_int_equal(buf_slice(&out).p[0], 2);
	assert_int_equal(env_decode(buf_slice(&out), &back, &cur), 0);
	assert_same(&e, &back);
	assert_true(slice_eq(back.zone, e.zone));
	/* An empty one has but one form, which is the older. */
	out.p[out.off + 88] = out.p[out.off + 89] = 0;
	assert_int_equal(env_decode(buf_slice(&out), &back, &cur), E_CORRUPT);
	out.p[out.off] = 5;
	assert_int_equal(env_decode(buf_slice(&out), &back, &cur), E_VERSION);
	buf_free(&out);
	buf_init(&out, 4096);
	e.zone = slice_of("12345678901234567890123456789012345678901234567890"
			  "123456789012345",
	    NAME_MAX_BYTES + 1);
	assert_int_equal(env_encode(&out, &e, rcpts), E_RANGE);
	buf_free(&out);
}

/* Who does not know REQUIRETLS must not send such mail. */
static void
requiretls_marks_the_version(void **state)
{
	struct envelope e = { .flags = ENV_REQUIRETLS, .nrcpt = 1 }, back;
	struct cursor cur;
	struct buf out;

	(void)state;
	buf_init(&out, 4096);
	for (int i = 0; i < 2; i++) {
		buf_reset(&out);
		e.zone = i ? SL("Asia/Tokyo") : SL("");
		assert_int_equal(env_encode(&out, &e, rcpts), 0);
		assert_int_equal(buf_slice(&out).p[0], 1 + i);
		assert_int_equal(buf_slice(&out).p[1], 1);
		assert_int_equal(env_decode(buf_slice(&out), &back, &cur), 0);
		assert_same(&e, &back);
	}
	out.p[out.off + 1] = 0; /* the flag, without the mark */
	assert_int_equal(env_decode(buf_slice(&out), &back, &cur), E_CORRUPT);
	out.p[out.off + 1] = 4;
	assert_int_equal(env_decode(buf_slice(&out), &back, &cur), E_VERSION);
	buf_free(&out);
}

/* The bytes are a contract with disks written earlier. */
static void
layout_does_not_change(void **state)
{
	static const char want[] =
	    "\x01\x00\x00\x06\x24\x00\x00\x00"
	    "\x00\x00\x00\x00\x00\x00\x00\x01\x00\x02\x00\x00\x00\x00\x00\x03"
	    "\x04\x00\x00\x00\x00\x00\x00\x00\x05\x00\x00\x00\x00\x00\x00\x00"
	    "\x06\x00\x00\x00\x00\x00\x00\x00\x07\x00\x00\x00\x00\x00\x00\x00"
	    "\x20\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01"
	    "\x01\x00\x00\x00"
	    "\x01\x00s\x01\x00t\x01\x00"
	    "c\x01\x00p\x01\x00l\x01\x00"
	    "e"
	    "\x04\x01\x00r\x01\x00o";
	struct envelope e = {
		.id = msgid_make(1, 2, 3),
		.arrival_us = 4,
		.expires_us = 5,
		.not_before_us = 6,
		.body_bytes = 7,
		.flags = ENV_HAS_DOTS | ENV_RET_HDRS,
		.client = { .b = { 0x20, 1, [15] = 1 }, .family = 6 },
		.sender = SL("s"),
		.tenant = SL("t"),
		.campaign = SL("c"),
		.pool = SL("p"),
		.listener = SL("l"),
		.envid = SL("e"),
		.nrcpt = 1,
	};
	struct env_rcpt r = { SL("r"), SL("o"), NOTIFY_FAILURE };
	struct buf out;

	(void)state;
	buf_init(&out, 4096);
	assert_int_equal(env_encode(&out, &e, &r), 0);
	assert_int_equal(out.n, sizeof(want) - 1);
	assert_memory_equal(buf_slice(&out).p, want, out.n);
	buf_free(&out);
}

static void
every_truncation_is_corrupt(void **state)
{
	struct envelope e = sample(), back;
	struct cursor cur;
	struct buf out;

	(void)state;
	buf_init(&out, 4096);
	assert_int_equal(env_encode(&out, &e, rcpts), 0);
	for (size_t n = 0; n < out.n; n++)
		assert_int_equal(env_decode(slice_of(out.p, n), &back, &cur),
		    E_CORRUPT);
	buf_addc(&out, 'x');
	assert_int_equal(env_decode(buf_slice(&out), &back, &cur), E_CORRUPT);
	buf_free(&out);
}

static int
decode_with(size_t at, char value)
{
	struct envelope e = sample(), back;
	struct cursor cur;
	struct buf out;
	int err;

	buf_init(&out, 4096);
	assert_int_equal(env_encode(&out, &e, rcpts), 0);
	out.p[at] = value;
	err = env_decode(buf_slice(&out), &back, &cur);
	buf_free(&out);
	return err;
}

static void
damage_is_found(void **state)
{
	(void)state;
	assert_int_equal(decode_with(0, 5), E_VERSION);
	assert_int_equal(decode_with(0, 0), E_VERSION);
	assert_int_equal(decode_with(3, 5), E_CORRUPT);  /* family */
	assert_int_equal(decode_with(72, 2), E_CORRUPT); /* nrcpt */
	assert_int_equal(decode_with(72, 4), E_CORRUPT);
	assert_int_equal(decode_with(75, 1), E_CORRUPT);
	assert_int_equal(decode_with(77, 2), E_CORRUPT);  /* sender's length */
	assert_int_equal(decode_with(95, 65), E_CORRUPT); /* tenant's */
}

/* Encoded by hand, with lengths that env_encode would not write. */
static int
decode_lengths(const size_t texts[6], size_t address, size_t orcpt)
{
	static const char zeroes[1024];
	struct envelope back;
	struct cursor cur;
	struct buf b;
	int err;

	buf_init(&b, 8192);
	buf_add_u16(&b, 1);
	buf_add(&b, zeroes, 70);
	buf_add_u32(&b, 1);
	for (int i = 0; i < 6; i++) {
		buf_add_u16(&b, (uint16_t)texts[i]);
		buf_add(&b, zeroes, texts[i]);
	}
	buf_add_u8(&b, 0);
	buf_add_u16(&b, (uint16_t)address);
	buf_add(&b, zeroes, address);
	buf_add_u16(&b, (uint16_t)orcpt);
	buf_add(&b, zeroes, orcpt);
	err = env_decode(buf_slice(&b), &back, &cur);
	buf_free(&b);
	return err;
}

static void
ceilings_hold_when_reading(void **state)
{
	const size_t most[6] = { MAILBOX_MAX, NAME_MAX_BYTES, NAME_MAX_BYTES,
		NAME_MAX_BYTES, NAME_MAX_BYTES, ENVID_MAX };

	(void)state;
	assert_int_equal(decode_lengths(most, MAILBOX_MAX, ORCPT_MAX), 0);
	assert_int_equal(decode_lengths(most, 0, 0), E_CORRUPT);
	assert_int_equal(decode_lengths(most, MAILBOX_MAX + 1, 0), E_CORRUPT);
	assert_int_equal(decode_lengths(most, 1, ORCPT_MAX + 1), E_CORRUPT);
	for (int i = 0; i < 6; i++) {
		size_t over[6];

		memcpy(over, most, sizeof(over));
		over[i]++;
		assert_int_equal(decode_lengths(over, 1, 0), E_CORRUPT);
	}
}

/* Whatever one byte becomes, decoding says yes or no and stays inside. */
static void
any_flipped_byte_is_survived(void **state)
{
	struct envelope e = sample(), back;
	struct env_rcpt r;
	struct cursor cur;
	struct buf out;

	(void)state;
	buf_init(&out, 4096);
	assert_int_equal(env_encode(&out, &e, rcpts), 0);
	for (size_t at = 0; at < out.n; at++)
		for (int bit = 0; bit < 8; bit++) {
			uint32_t n = 0;

			out.p[at] ^= (char)(1 << bit);
			if (env_decode(buf_slice(&out), &back, &cur) == 0) {
				while (env_rcpt_next(&cur, &r))
					n++;
				assert_int_equal(n, back.nrcpt);
			}
			out.p[at] ^= (char)(1 << bit);
		}
	buf_free(&out);
}

static int
encode(struct envelope e, struct env_rcpt r)
{
	struct buf out;
	int err;

	e.nrcpt = e.nrcpt ? e.nrcpt : 1;
	buf_init(&out, 4096);
	err = env_encode(&out, &e, &r);
	assert_true(err == 0 || out.n == 0);
	buf_free(&out);
	return err;
}

static void
ceilings_hold_when_writing(void **state)
{
	static const char long_text[2048] = "";
	const struct env_rcpt ok = { .address = SL("a@b.example") };

	(void)state;
#define TEXT(n) slice_of(long_text, n)
#define WITH(field, n) encode((struct envelope){ .field = TEXT(n) }, ok)
	assert_int_equal(WITH(sender, MAILBOX_MAX), 0);
	assert_int_equal(WITH(sender, MAILBOX_MAX + 1), E_RANGE);
	assert_int_equal(WITH(tenant, NAME_MAX_BYTES), 0);
	assert_int_equal(WITH(tenant, NAME_MAX_BYTES + 1), E_RANGE);
	assert_int_equal(WITH(campaign, NAME_MAX_BYTES + 1), E_RANGE);
	assert_int_equal(WITH(pool, NAME_MAX_BYTES + 1), E_RANGE);
	assert_int_equal(WITH(listener, NAME_MAX_BYTES + 1), E_RANGE);
	assert_int_equal(WITH(envid, ENVID_MAX + 1), E_RANGE);
#undef WITH
	assert_int_equal(encode((struct envelope){ .nrcpt = RCPTS_MAX + 1 },
			     ok),
	    E_RANGE);
#define RCPT(...)                                                              \
	encode((struct envelope){ 0 }, (struct env_rcpt){ __VA_ARGS__ })
	assert_int_equal(RCPT(.address = TEXT(0)), E_RANGE);
	assert_int_equal(RCPT(.address = TEXT(MAILBOX_MAX)), 0);
	assert_int_equal(RCPT(.address = TEXT(MAILBOX_MAX + 1)), E_RANGE);
	assert_int_equal(RCPT(.address = TEXT(1), .orcpt = TEXT(ORCPT_MAX + 1)),
	    E_RANGE);
	assert_int_equal(RCPT(.address = TEXT(1), .notify = 16), E_RANGE);
#undef RCPT
#undef TEXT
}

static void
a_full_buffer_stays_as_it_is(void **state)
{
	struct envelope e = sample();
	struct buf out;

	(void)state;
	buf_init(&out, 100);
	buf_addz(&out, "x");
	assert_int_equal(env_encode(&out, &e, rcpts), E_FULL);
	assert_true(out.failed);
	assert_int_equal(out.n, 1);
	buf_free(&out);
}

static void
domain_is_behind_the_last_at(void **state)
{
	(void)state;
	assert_true(
	    slice_eq(mailbox_domain(SL("a@b.example")), SL("b.example")));
	assert_true(
	    slice_eq(mailbox_domain(SL("\"a@b\"@C.example")), SL("C.example")));
	assert_int_equal(mailbox_domain(SL("postmaster")).n, 0);
	assert_int_equal(mailbox_domain(SL("a@")).n, 0);
	assert_int_equal(mailbox_domain(slice_of(NULL, 0)).n, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_back),
		cmocka_unit_test(null_sender_and_empty_names),
		cmocka_unit_test(with_a_zone_it_has_another_version),
		cmocka_unit_test(a_signer_has_another_version_again),
		cmocka_unit_test(a_key_has_another_version_again),
		cmocka_unit_test(requiretls_marks_the_version),
		cmocka_unit_test(layout_does_not_change),
		cmocka_unit_test(every_truncation_is_corrupt),
		cmocka_unit_test(damage_is_found),
		cmocka_unit_test(ceilings_hold_when_reading),
		cmocka_unit_test(any_flipped_byte_is_survived),
		cmocka_unit_test(ceilings_hold_when_writing),
		cmocka_unit_test(a_full_buffer_stays_as_it_is),
		cmocka_unit_test(domain_is_behind_the_last_at),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

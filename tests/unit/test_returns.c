/*
 * test_returns - signed return paths: what is written is read again by whoever
 * has the key, at its domain and in its time; anything else is refused.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "relay/find.h"
#include "relay/relay.h"

#define DAY (86400 * US_PER_S)
#define NOW (20000 * DAY + 5)

static struct conf_inbound at = {
	.domain = { "bounce.example", 14 },
	.prefix = { "b+", 2 },
	.nbounces = 1,
	.bounces = { { "returns", 7 } },
	.ncomplaints = 1,
	.complaints = { { "fbl", 3 } },
};
static const struct return_keys old = { 1, { { 16, "0123456789abcdef" } } };
static const struct return_keys both = { 2,
	{ { 20, "another secret of us" }, { 16, "0123456789abcdef" } } };
static const struct return_keys other = { 1, { { 16, "0123456789abcdeF" } } };

static struct return_token
token(void)
{
	struct return_token t = { .rcpt = 7, .day = 20001, .hash = 0xdeadbeef };

	t.id = msgid_make(NOW, 3, 42);
	return t;
}

/* Its local part, written by the keys. */
static struct slice
written(const struct return_keys *keys, const struct return_token *t)
{
	static char local[RETURN_LOCAL_MAX + 1];

	return slice_of(local, return_write(local, &at, keys, t));
}

static void
same(const struct return_token *a, const struct return_token *b)
{
	assert_true(msgid_eq(&a->id, &b->id));
	assert_int_equal(a->rcpt, b->rcpt);
	assert_int_equal(a->day, b->day);
	assert_int_equal(a->hash, b->hash);
}

static void
what_is_written_is_read(void **state)
{
	struct return_token t = token(), got;
	struct slice s = written(&old, &t);

	(void)state;
	assert_int_equal(s.n, 2 + RETURN_DIGITS);
	assert_int_equal(return_read(s, &at, &old, NOW, &got), RETURN_GOOD);
	same(&t, &got);
	t.rcpt = RETURN_ALL;
	t.hash = 0;
	s = written(&old, &t);
	assert_int_equal(return_read(s, &at, &old, NOW, &got), RETURN_GOOD);
	same(&t, &got);
}

/* Made by tests/live/inbound.py's way of doing it, in Python. */
static void
the_form_is_what_the_page_says(void **state)
{
	struct return_token t = { .rcpt = 1, .day = 20000, .hash = 77 };

	(void)state;
	for (uint8_t i = 0; i < 16; i++)
		t.id.b[i] = i;
	assert_string_equal(written(&old, &t).p,
	    "b+000g40o40k30e209185go38e1s002jh000000jffn3uvmv36iqeoflu9");
}

static void
the_longest_prefix_fits(void **state)
{
	struct return_token t = token(), got;
	struct slice before = at.prefix, s;

	(void)state;
	at.prefix = SL("bounces+");
	s = written(&old, &t);
	assert_int_equal(s.n, 64); /* RFC 5321 4.5.3.1.1 */
	assert_int_equal(return_read(s, &at, &old, NOW, &got), RETURN_GOOD);
	at.prefix = before;
}

static void
case_does_not_matter(void **state)
{
	struct return_token t = token(), got;
	char text[RETURN_LOCAL_MAX + 1];
	struct slice s = written(&old, &t);

	(void)state;
	for (size_t i = 0; i < s.n; i++) {
		bool is_small = s.p[i] >= 'a' && s.p[i] <= 'z';

		text[i] = is_small && i % 2 ? (char)(s.p[i] - 32) : s.p[i];
	}
	assert_int_equal(return_read(slice_of(text, s.n), &at, &old, NOW, &got),
	    RETURN_GOOD);
	same(&t, &got);
}

static void
quotes_do_not_matter(void **state)
{
	struct return_token t = token(), got;
	char text[RETURN_LOCAL_MAX + 3];
	struct slice s = written(&old, &t);
	int n = snprintf(text, sizeof(text), "\"%.*s\"", SLF(s));

	(void)state;
	assert_int_equal(return_read(slice_of(text, (size_t)n), &at, &old, NOW,
			     &got),
	    RETURN_GOOD);
	same(&t, &got);
}

/* Each character by each other one: never good, and never another token. */
static void
any_change_is_found(void **state)
{
	static const char letters[] =
	    "0123456789abcdefghijklmnopqrstuvwxyz+-_=. \"\\";
	struct return_token t = token(), got;
	char text[RETURN_LOCAL_MAX + 1];
	struct slice s = written(&old, &t);
	enum return_check what;

	(void)state;
	for (size_t i = 0; i < s.n; i++)
		for (size_t k = 0; k < sizeof(letters); k++) {
			if (letters[k] == s.p[i])
				continue;
			memcpy(text, s.p, s.n);
			text[i] = letters[k];
			what = return_read(slice_of(text, s.n), &at, &old, NOW,
			    &got);
			assert_int_equal(what,
			    i < 2 ? RETURN_OTHER : RETURN_FORGED);
		}
	for (size_t n = 0; n < s.n; n++)
		assert_int_not_equal(return_read(slice_of(s.p, n), &at, &old,
					 NOW, &got),
		    RETURN_GOOD);
}

static void
each_field_is_signed(void **state)
{
	struct return_token t = token(), got;
	struct slice domain = at.domain, s;
	char kept[RETURN_LOCAL_MAX + 1];

	(void)state;
	s = written(&old, &t);
	memcpy(kept, s.p, s.n);
	s.p = kept;
	at.domain = SL("BOUNCE.example");
	assert_int_equal(return_read(s, &at, &old, NOW, &got), RETURN_GOOD);
	at.domain = SL("bounce.exampl");
	assert_int_equal(return_read(s, &at, &old, NOW, &got), RETURN_FORGED);
	at.domain = domain;
}

static void
keys_may_change(void **state)
{
	static const struct return_keys none = { 0 };
	struct return_token t = token(), got;
	struct slice s = written(&old, &t);

	(void)state;
	assert_int_equal(return_read(s, &at, &both, NOW, &got), RETURN_GOOD);
	assert_int_equal(return_read(s, &at, &other, NOW, &got), RETURN_FORGED);
	assert_int_equal(return_read(s, &at, &none, NOW, &got), RETURN_OTHER);
	s = written(&both, &t); /* the first signs */
	assert_int_equal(return_read(s, &at, &both, NOW, &got), RETURN_GOOD);
	assert_int_equal(return_read(s, &at, &old, NOW, &got), RETURN_FORGED);
	assert_int_equal(written(&none, &t).n, 0);
}

static void
it_ends(void **state)
{
	struct return_token t = token(), got;
	struct slice s = written(&old, &t);

	(void)state;
	assert_int_equal(return_read(s, &at, &old, 20002 * DAY - 1, &got),
	    RETURN_GOOD);
	assert_int_equal(return_read(s, &at, &old, 20002 * DAY, &got),
	    RETURN_EXPIRED);
	/* One that is not ours has not expired either. */
	assert_int_equal(return_read(s, &at, &other, 30000 * DAY, &got),
	    RETURN_FORGED);
}

static void
verp(void **state)
{
	static const struct {
		const char *local, *address; /* NULL: it is none */
	} v[] = {
		{ "news+ann=x.example", "ann@x.example" },
		{ "\"news+ann=x.example\"", "ann@x.example" },
		{ "news+ann+tag=x.example", "ann+tag@x.example" },
		{ "news+a=b=x.example", "a=b@x.example" },
		{ "n+a=x", "a@x" },
		{ "news", NULL },
		{ "news+ann", NULL },
		{ "news+ann=", NULL },
		{ "news+=x.example", NULL },
		{ "+ann=x.example", NULL },
		{ "news=ann+x.example", NULL },
		{ "news+ann=x..example", NULL },
		{ "news+ann=-x.example", NULL },
		{ "news+\"a@b\"=x.example", NULL },
		{ "", NULL },
	};
	char got[MAILBOX_MAX + 1];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(v); i++) {
		size_t n = return_verp(slice_str(v[i].local), got);
		struct slice want = slice_str(v[i].address ? v[i].address : "");

		if (!slice_eq(slice_of(got, n), want))
			fail_msg("%s: %.*s", v[i].local, (int)n, got);
	}
}

static void
what_an_address_is_for(void **state)
{
	struct return_token t = token();
	struct back_to to;

	(void)state;
	back_read(SL("Returns"), &at, &old, NOW, &to);
	assert_int_equal(to.use, BACK_BOUNCE);
	back_read(SL("\"fbl\""), &at, &old, NOW, &to);
	assert_int_equal(to.use, BACK_COMPLAINT);
	back_read(SL("x+ann=x.example"), &at, &old, NOW, &to);
	assert_int_equal(to.use, BACK_NONE);
	at.takes_verp = true;
	back_read(SL("x+ann=x.example"), &at, &old, NOW, &to);
	assert_int_equal(to.use, BACK_VERP);
	at.takes_verp = false;
	back_read(written(&old, &t), &at, &old, NOW, &to);
	assert_int_equal(to.use, BACK_TOKEN);
	same(&t, &to.token);
	back_read(written(&other, &t), &at, &old, NOW, &to);
	assert_int_equal(to.use, BACK_NONE);
	assert_int_equal(to.check, RETURN_FORGED);
	back_read(written(&old, &t), &at, &old, 20002 * DAY, &to);
	assert_int_equal(to.use, BACK_NONE);
	assert_int_equal(to.check, RETURN_EXPIRED);
}

static void
an_address_has_one_hash(void **state)
{
	(void)state;
	assert_int_equal(return_hash(SL("Ann@X.Example")),
	    return_hash(SL("ann@x.example")));
	assert_int_not_equal(return_hash(SL("ann@x.example")),
	    return_hash(SL("bob@x.example")));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_written_is_read),
		cmocka_unit_test(the_form_is_what_the_page_says),
		cmocka_unit_test(the_longest_prefix_fits),
		cmocka_unit_test(case_does_not_matter),
		cmocka_unit_test(quotes_do_not_matter),
		cmocka_unit_test(any_change_is_found),
		cmocka_unit_test(each_field_is_signed),
		cmocka_unit_test(keys_may_change),
		cmocka_unit_test(it_ends),
		cmocka_unit_test(verp),
		cmocka_unit_test(what_an_address_is_for),
		cmocka_unit_test(an_address_has_one_hash),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

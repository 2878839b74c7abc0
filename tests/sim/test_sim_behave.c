/*
 * Simulated behaviour: replies, shares, rates, ranges of names, and the
 * histogram that times them.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "world/behave.h"
#include "world/expand.h"
#include "world/hist.h"

static void
replies_are_parsed(void **state)
{
	static const struct {
		const char *text;
		uint8_t kind;
		uint16_t code;
		const char *enh, *words;
	} cases[] = {
		{ "421 4.7.28 unusual rate", VERDICT_REPLY, 421, "4.7.28",
		    "unusual rate" },
		{ "550 no such user", VERDICT_REPLY, 550, "", "no such user" },
		{ "550 4.1.1 odd class", VERDICT_REPLY, 550, "",
		    "4.1.1 odd class" },
		{ "451", VERDICT_REPLY, 451, "", "" },
		{ " close ", VERDICT_CLOSE, 0, "", "" },
		{ "silent", VERDICT_SILENT, 0, "", "" },
	};
	static const char *const wrong[] = { "", "250 ok", "354 go", "600 x",
		"45 x", "4511 x", "later", "451 two\nlines" };
	struct verdict v;
	char why[160];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		assert_int_equal(verdict_parse(slice_str(cases[i].text), &v,
				     why, sizeof(why)),
		    0);
		assert_int_equal(v.kind, cases[i].kind);
		assert_int_equal(v.code, cases[i].code);
		assert_string_equal(v.enh, cases[i].enh);
		assert_string_equal(v.text, cases[i].words);
	}
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
		assert_int_not_equal(verdict_parse(slice_str(wrong[i]), &v, why,
					 sizeof(why)),
		    0);
}

static void
shares_are_parsed(void **state)
{
	static const struct {
		const char *text;
		uint32_t ppm;
	} cases[] = { { "0%", 0 }, { "100%", 1000000 }, { "0.4%", 4000 },
		{ "12.05%", 120500 }, { "0.0001%", 1 } };
	static const char *const wrong[] = { "", "%", "5", "101%", "100.1%",
		"-1%", "1.%", "0.00001%", "x%" };
	uint32_t ppm;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		assert_int_equal(share_parse(slice_str(cases[i].text), &ppm),
		    0);
		assert_int_equal(ppm, cases[i].ppm);
	}
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
		assert_int_not_equal(share_parse(slice_str(wrong[i]), &ppm), 0);
}

static void
shares_of_one_stage_add_up(void **state)
{
	struct behave b;
	struct dice dice;
	char why[160];
	uint32_t seen[3] = { 0 };

	(void)state;
	behave_init(&b);
	assert_int_equal(behave_add_rule(&b, SL("eom:10%:451 a"), why,
			     sizeof(why)),
	    0);
	assert_int_equal(behave_add_rule(&b, SL("rcpt:100%:550 x"), why,
			     sizeof(why)),
	    0);
	assert_int_equal(behave_add_rule(&b, SL("eom:20%:550 b"), why,
			     sizeof(why)),
	    0);
	dice_seed(&dice, 7, SL("a"));
	for (int i = 0; i < 100000; i++) {
		const struct verdict *v = behave_pick(&b, AT_EOM, &dice);

		seen[v == NULL ? 0 : v->code == 451 ? 1 : 2]++;
	}
	/* Six standard deviations of 100,000 draws are below 900. */
	assert_in_range(seen[1], 10000 - 900, 10000 + 900);
	assert_in_range(seen[2], 20000 - 900, 20000 + 900);
	assert_non_null(behave_pick(&b, AT_RCPT, &dice));
	assert_null(behave_pick(&b, AT_MAIL, &dice));
}

/* And what else is drawn meanwhile changes nothing; another seed or name does. */
static void
the_same_seed_picks_the_same(void **state)
{
	struct behave b;
	struct dice one, two, other, seed;
	uint32_t same[2] = { 0 };
	char why[160];

	(void)state;
	behave_init(&b);
	assert_int_equal(behave_add_rule(&b, SL("eom:50%:451 a"), why,
			     sizeof(why)),
	    0);
	assert_int_equal(behave_add_rule(&b, SL("rcpt:50%:451 a"), why,
			     sizeof(why)),
	    0);
	dice_seed(&one, 3, SL("a"));
	dice_seed(&two, 3, SL("a"));
	dice_seed(&other, 3, SL("b"));
	dice_seed(&seed, 4, SL("a"));
	for (int i = 0; i < 1000; i++) {
		const struct verdict *v = behave_pick(&b, AT_EOM, &one);

		assert_ptr_equal(v, behave_pick(&b, AT_EOM, &two));
		same[0] += v == behave_pick(&b, AT_EOM, &other);
		same[1] += v == behave_pick(&b, AT_EOM, &seed);
		for (int k = 0; k < i % 3; k++)
			(void)behave_pick(&b, AT_RCPT, &two);
	}
	assert_in_range(same[0], 400, 600);
	assert_in_range(same[1], 400, 600);
}

/* At most burst + W * rate in any window W, and no less when asked often. */
static void
a_rate_is_kept_in_every_window(void **state)
{
	struct behave b;
	int64_t full = 0, taken[2000];
	uint32_t n = 0;

	(void)state;
	behave_init(&b);
	b.rate_count = 7;
	b.rate_period_us = US_PER_S;
	b.rate_burst = 5;
	for (int64_t t = US_PER_S; t < 101 * US_PER_S; t += 9973)
		if (behave_take(&b, &full, t))
			taken[n++] = t;
	assert_in_range(n, 5 + 7 * 100 - 2, 5 + 7 * 100 + 1);
	for (uint32_t i = 0; i < n; i++)
		for (uint32_t k = i; k < n && k < i + 200; k++) {
			int64_t window = taken[k] - taken[i];

			assert_true(k - i + 1 <= 5 + window * 7 / US_PER_S + 1);
		}
}

static void
variables_are_filled_in(void **state)
{
	struct verdict v;
	char why[160], text[64];

	(void)state;
	assert_int_equal(verdict_parse(SL("451 4.7.0 {ip} to {rcpt} at {host}"
					  " {what}"),
			     &v, why, sizeof(why)),
	    0);
	verdict_text(&v, SL("127.0.0.9"), SL("a@b"), SL("mx"), text,
	    sizeof(text));
	assert_string_equal(text, "127.0.0.9 to a@b at mx {what}");
	verdict_text(&v, SL("127.0.0.9"), SL("a@b"), SL("mx"), text, 12);
	assert_string_equal(text, "127.0.0.9 t");
}

static void
ranges_become_names(void **state)
{
	static const char *const wrong[] = { "d{1..2", "d{}.x", "d{1.2}.x",
		"d{2..1}.x", "d{a..b}.x", "d{1..2}{3..4}.x",
		"d{0..1000000}.x" };
	struct expand e;
	struct buf b;

	(void)state;
	buf_init(&b, 255);
	assert_int_equal(expand_parse(SL("d{098..102}.example"), &e), 0);
	assert_true(expand_count(&e) == 5);
	assert_int_equal(expand_name(&e, 0, &b), 0);
	assert_int_equal(expand_name(&e, 4, &b), 0);
	assert_true(slice_eq(buf_slice(&b), SL("d098.exampled102.example")));
	assert_int_equal(expand_parse(SL("plain.example"), &e), 0);
	assert_true(expand_count(&e) == 1);
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
		assert_int_not_equal(expand_parse(slice_str(wrong[i]), &e), 0);
	buf_free(&b);
}

static void
quantiles_are_off_by_little(void **state)
{
	static struct hist h, other;
	static const uint32_t q[] = { 1, 5000, 9000, 9900, 9990, 10000 };

	(void)state;
	assert_true(hist_quantile(&h, 5000) == 0);
	/* 1 ... 1,000,000 us, in an order that is not theirs. */
	for (int64_t i = 1; i <= 1000000; i++)
		hist_add(i % 2 ? &h : &other, i * 7919 % 1000003);
	hist_merge(&h, &other);
	for (size_t i = 0; i < ARRAY_LEN(q); i++) {
		int64_t exact = (int64_t)q[i] * 100;
		int64_t got = hist_quantile(&h, q[i]);

		assert_true(got >= exact - exact / 60 - 2);
		assert_true(got <= exact + exact / 60 + 2);
	}
	assert_true(hist_quantile(&h, 10000) == h.max);
	hist_add(&h, -5);
	hist_add(&h, INT64_MAX);
	assert_true(hist_quantile(&h, 10000) == INT64_MAX);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(replies_are_parsed),
		cmocka_unit_test(shares_are_parsed),
		cmocka_unit_test(shares_of_one_stage_add_up),
		cmocka_unit_test(the_same_seed_picks_the_same),
		cmocka_unit_test(a_rate_is_kept_in_every_window),
		cmocka_unit_test(variables_are_filled_in),
		cmocka_unit_test(ranges_become_names),
		cmocka_unit_test(quantiles_are_off_by_little),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

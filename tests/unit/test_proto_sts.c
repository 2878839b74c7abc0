/*
 * test_proto_sts - MTA-STS (RFC 8461): which record counts, which policy is one,
 * and which hosts it names.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proto/proto.h"

#define HEAD "version: STSv1\nmode: enforce\nmax_age: 86400\n"

static void
records(void **state)
{
	static const struct {
		const char *txt, *id; /* NULL: there is no policy */
	} v[] = {
		{ "v=STSv1; id=20160831085700Z;\n", "20160831085700Z" },
		{ "v=STSv1;id=a\n", "a" },
		{ "v=STSv1 ; id = a ; other=b; id2=c\n", "a" },
		{ "v=spf1 -all\nv=STSv1; id=a\nx\n", "a" },
		{ "", NULL },
		{ "v=spf1 -all\n", NULL },
		{ "v=STSv1;\n", NULL },
		{ "v=STSv1; id=;\n", NULL },
		{ "v=STSv1; id=a-b\n", NULL },
		{ "v=STSv1; id=a; id=b\n", NULL },
		{ "v=STSv11; id=a\n", NULL },
		{ "v=stsv1; id=a\n", NULL },
		{ " id=a; v=STSv1\n", NULL },
		{ "v=STSv1; id=a\nv=STSv1; id=a\n", NULL },
		{ "v=STSv1; id=12345678901234567890123456789012\n",
		    "12345678901234567890123456789012" },
		{ "v=STSv1; id=123456789012345678901234567890123\n", NULL },
	};
	char id[STS_ID_MAX + 1];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(v); i++) {
		bool is = sts_record_read(slice_str(v[i].txt), id);

		assert_int_equal(is, v[i].id != NULL);
		if (is)
			assert_string_equal(id, v[i].id);
	}
}

static void
policies(void **state)
{
	static const char *const good[] = {
		HEAD "mx: a.example\n",
		HEAD "mx: a.example\r\nmx: *.b.example\r\n\r\n",
		HEAD "mx:a.example",
		"mx: a.example\nmax_age: 0\nmode: testing\nversion: STSv1",
		"version: STSv1\nmode: none\nmax_age: 1\n",
		HEAD "mx: a.example\nother: thing\nmode: none\n",
	};
	static const char *const bad[] = {
		"",
		HEAD,
		"mode: enforce\nmax_age: 1\nmx: a.example\n",
		"version: STSv1\nmax_age: 1\nmx: a.example\n",
		"version: STSv1\nmode: enforce\nmx: a.example\n",
		"version: STSv2\nmode: enforce\nmax_age: 1\nmx: a.example\n",
		"version: STSv1\nmode: Enforce\nmax_age: 1\nmx: a.example\n",
		"version: STSv1\nmode: enforce\nmax_age: -1\nmx: a.example\n",
		"version: STSv1\nmode: enforce\nmax_age: 31557601\nmx: a.b\n",
		HEAD "mx: a..example\n",
		HEAD "mx: *\n",
		HEAD "mx: a.*.example\n",
		HEAD "mx: a b.example\n",
		HEAD "mx: .example\n",
		HEAD "mx: a.example.\n",
		HEAD "mx: a.example\nno colon\n",
		"<html>\n",
	};
	static struct sts_policy p;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(good); i++)
		assert_null(sts_policy_read(slice_str(good[i]), &p));
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_non_null(sts_policy_read(slice_str(bad[i]), &p));
	assert_null(sts_policy_read(slice_str(good[1]), &p));
	assert_int_equal(p.mode, STS_ENFORCE);
	assert_int_equal(p.max_age_s, 86400);
	assert_int_equal(p.nhosts, 2);
	assert_int_equal(p.hosts_n, 22);
	assert_memory_equal(p.hosts, "a.example\n*.b.example\n", 22);
}

static void
a_policy_is_cut_anywhere(void **state)
{
	static const char text[] = HEAD "mx: a.example\nmx: b.example\n";
	static struct sts_policy p;
	size_t whole = sizeof(HEAD) - 1;

	(void)state;
	for (size_t n = 0; n < sizeof(text) - 1; n++) {
		bool good = sts_policy_read(slice_of(text, n), &p) == NULL;

		/* Nothing before its first host is one. */
		if (n < whole + 5)
			assert_false(good);
	}
}

static void
too_many_hosts(void **state)
{
	static struct sts_policy p;
	struct buf b;

	(void)state;
	buf_init(&b, 1u << 20);
	buf_adds(&b, SL(HEAD));
	for (int i = 0; i < 315; i++)
		buf_adds(&b, SL("mx: abc.example\n")); /* 12 bytes each */
	assert_null(sts_policy_read(buf_slice(&b), &p));
	for (int i = 0; i < 100; i++)
		buf_adds(&b, SL("mx: abc.example\n"));
	assert_string_equal(sts_policy_read(buf_slice(&b), &p), "too many mx");
	for (int i = 0; i < 5000; i++)
		buf_adds(&b, SL("x: abcdefghijk\n"));
	assert_string_equal(sts_policy_read(buf_slice(&b), &p),
	    "it is too long");
	buf_free(&b);
}

static void
hosts(void **state)
{
	struct slice v = SL("mx.a.example\n*.b.example\n");

	(void)state;
	assert_true(sts_hosts_match(v, SL("mx.a.example")));
	assert_true(sts_hosts_match(v, SL("MX.a.Example")));
	assert_true(sts_hosts_match(v, SL("x.b.example")));
	/* RFC 8461 4.1: one label, and not none. */
	assert_false(sts_hosts_match(v, SL("x.y.b.example")));
	assert_false(sts_hosts_match(v, SL("b.example")));
	assert_false(sts_hosts_match(v, SL(".b.example")));
	assert_false(sts_hosts_match(v, SL("a.example")));
	assert_false(sts_hosts_match(v, SL("xmx.a.example")));
	assert_false(sts_hosts_match(v, SL("")));
	assert_false(sts_hosts_match(SL(""), SL("mx.a.example")));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(records),
		cmocka_unit_test(policies),
		cmocka_unit_test(a_policy_is_cut_anywhere),
		cmocka_unit_test(too_many_hosts),
		cmocka_unit_test(hosts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

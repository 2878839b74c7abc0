/*
 * Domains, address literals, paths, parameters and xtext. What paths look like
 * inside commands is in tests/wire/srv_addresses.txt.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "proto/proto.h"

static void
domains(void **state)
{
	static const char *const good[] = { "a", "a.b", "mx-1.example",
		"1.2.3.4", "_dmarc.example", "xn--bcher-kva.example", "A.B" };
	static const char *const bad[] = { "", ".", "a.", ".a", "a..b", "-a.b",
		"a-.b", "a.b-", "a b", "a@b", "a,b", "[a]", "a/b" };
	char text[260];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(good); i++)
		assert_true(domain_is_valid(slice_str(good[i]), false));
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_false(domain_is_valid(slice_str(bad[i]), false));
	assert_false(domain_is_valid(SL("b\xc3\xbc"
					"cher.example"),
	    false));
	assert_true(domain_is_valid(SL("b\xc3\xbc"
				       "cher.example"),
	    true));
	memset(text, 'a', sizeof(text));
	assert_true(domain_is_valid(slice_of(text, 63), false));
	assert_false(domain_is_valid(slice_of(text, 64), false));
	for (size_t i = 1; i < sizeof(text); i += 2)
		text[i] = '.';
	assert_true(domain_is_valid(slice_of(text, 255), false));
	assert_false(domain_is_valid(slice_of(text, 257), false));
}

static void
address_literals(void **state)
{
	static const char *const bad[] = { "", "[]", "[", "]", "127.0.0.1",
		"[127.0.0.1", "[1.2.3]", "[::1]", "[IPv6:]", "[IPv6:1.2.3.4]",
		"[[::1]]", "[IPv6:[::1]]", "[x:1]" };
	struct ip ip;

	(void)state;
	assert_int_equal(address_literal_parse(SL("[127.0.0.1]"), &ip), 0);
	assert_int_equal(ip.family, 4);
	assert_int_equal(ip.b[3], 1);
	assert_int_equal(address_literal_parse(SL("[ipv6:2001:db8::1]"), &ip),
	    0);
	assert_int_equal(ip.family, 6);
	assert_int_equal(ip.b[0], 0x20);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(address_literal_parse(slice_str(bad[i]), &ip),
		    E_SYNTAX);
}

static void
path_is_cut_in_place(void **state)
{
	struct slice in = SL("<@r.example:joe@d.example> SIZE=1");
	const char *start = in.p;
	struct smtp_path p;

	(void)state;
	assert_int_equal(smtp_path_parse(&in, false, false, &p), 0);
	assert_true(slice_eq(p.address, SL("joe@d.example")));
	assert_true(slice_eq(p.local, SL("joe")));
	assert_true(slice_eq(p.domain, SL("d.example")));
	assert_true(slice_eq(in, SL(" SIZE=1")));
	assert_ptr_equal(p.address.p, start + 12);
}

static void
path_failures_leave_the_input(void **state)
{
	struct slice in = SL("<joe@d.example");
	struct smtp_path p;

	(void)state;
	assert_int_equal(smtp_path_parse(&in, false, false, &p), E_SYNTAX);
	assert_true(slice_eq(in, SL("<joe@d.example")));
}

static void
mailboxes(void **state)
{
	static const char *const bad[] = { "", "a", "postmaster", "a@",
		"@d.example", "a b@d.example", "a>@d.example", "a@d.example>",
		"a@d.example x", "\"a@d.example", "\"a\"b@d.example",
		"a@[1.2.3]" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_false(mailbox_is_valid(slice_str(bad[i]), true));
	assert_true(mailbox_is_valid(SL("a@d.example"), false));
	assert_true(mailbox_is_valid(SL("\"a > b\"@[10.0.0.1]"), false));
	assert_false(mailbox_is_valid(SL("\xc3\xa4@d.example"), false));
	assert_true(mailbox_is_valid(SL("\xc3\xa4@d.example"), true));
}

static void
null_path_and_postmaster(void **state)
{
	struct slice in = SL("<>");
	struct smtp_path p;

	(void)state;
	assert_int_equal(smtp_path_parse(&in, false, false, &p), 0);
	assert_int_equal(p.address.n + p.local.n + p.domain.n + in.n, 0);
	in = SL("<POSTmaster>");
	assert_int_equal(smtp_path_parse(&in, true, false, &p), 0);
	assert_true(slice_eq(p.address, SL("POSTmaster")));
	assert_int_equal(p.domain.n, 0);
	in = SL("<postmaster>");
	assert_int_equal(smtp_path_parse(&in, false, false, &p), E_SYNTAX);
	in = SL("<postmasters>");
	assert_int_equal(smtp_path_parse(&in, true, false, &p), E_SYNTAX);
}

static void
path_utf8_by_option(void **state)
{
	struct slice in = SL("<j\xc3\xb6@d.example>");
	struct smtp_path p;

	(void)state;
	assert_int_equal(smtp_path_parse(&in, false, false, &p), E_SYNTAX);
	assert_int_equal(smtp_path_parse(&in, false, true, &p), 0);
	assert_int_equal(p.local.n, 3);
}

static void
path_too_big(void **state)
{
	char text[400];
	struct slice in;
	struct smtp_path p;
	size_t n;

	(void)state;
	n = (size_t)snprintf(text, sizeof(text), "<%0*d@d.example>", 65, 0);
	in = slice_of(text, n);
	assert_int_equal(smtp_path_parse(&in, false, false, &p), E_TOOBIG);
	n = (size_t)snprintf(text, sizeof(text), "<a@%0*d>", 256, 0);
	in = slice_of(text, n);
	assert_int_equal(smtp_path_parse(&in, false, false, &p), E_TOOBIG);
}

static void
params(void **state)
{
	struct slice rest = SL("  SIZE=10 body X=Y=Z =v  "), key, value;

	(void)state;
	assert_true(smtp_param_next(&rest, &key, &value));
	assert_true(slice_eq(key, SL("SIZE")) && slice_eq(value, SL("10")));
	assert_true(smtp_param_next(&rest, &key, &value));
	assert_true(slice_eq(key, SL("body")) && value.n == 0);
	assert_true(smtp_param_next(&rest, &key, &value));
	assert_true(slice_eq(key, SL("X")) && slice_eq(value, SL("Y=Z")));
	assert_true(smtp_param_next(&rest, &key, &value));
	assert_true(key.n == 0 && slice_eq(value, SL("v")));
	assert_false(smtp_param_next(&rest, &key, &value));
}

static void
xtext_reads_back(void **state)
{
	char all[256];
	struct buf x, back;

	(void)state;
	for (size_t i = 0; i < sizeof(all); i++)
		all[i] = (char)i;
	buf_init(&x, 4096);
	buf_init(&back, 4096);
	assert_int_equal(xtext_encode(slice_of(all, sizeof(all)), &x), 0);
	for (size_t i = 0; i < x.n; i++)
		assert_true(x.p[i] > ' ' && x.p[i] <= '~' && x.p[i] != '=');
	assert_int_equal(xtext_decode(buf_slice(&x), &back), 0);
	assert_int_equal(back.n, sizeof(all));
	assert_memory_equal(back.p, all, sizeof(all));
	buf_free(&x);
	buf_free(&back);
}

static void
xtext_malformed(void **state)
{
	static const char *const bad[] = { "+", "+2", "a+2", "+2g", "+2b", "=",
		"a b", "a\x80" };
	struct buf out;

	(void)state;
	buf_init(&out, 4);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(xtext_decode(slice_str(bad[i]), &out),
		    E_SYNTAX);
	buf_reset(&out);
	assert_int_equal(xtext_decode(SL("+2B+2C"), &out), 0);
	assert_true(slice_eq(buf_slice(&out), SL("+,")));
	assert_int_equal(xtext_encode(SL("++"), &out), E_FULL);
	buf_free(&out);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(domains),
		cmocka_unit_test(address_literals),
		cmocka_unit_test(path_is_cut_in_place),
		cmocka_unit_test(path_failures_leave_the_input),
		cmocka_unit_test(mailboxes),
		cmocka_unit_test(null_path_and_postmaster),
		cmocka_unit_test(path_utf8_by_option),
		cmocka_unit_test(path_too_big),
		cmocka_unit_test(params),
		cmocka_unit_test(xtext_reads_back),
		cmocka_unit_test(xtext_malformed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

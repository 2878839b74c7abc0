/*
 * Addresses, endpoints and prefixes, honest and hostile.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/base.h"

#define S(text) slice_str(text)

static const struct {
	const char *text, *canonical;
} ips[] = {
	{ "127.0.0.1", "127.0.0.1" },
	{ "255.255.255.255", "255.255.255.255" },
	{ "0.0.0.0", "0.0.0.0" },
	{ "::", "::" },
	{ "::1", "::1" },
	{ "[::1]", "::1" },
	/* RFC 5952 4: no leading zeros, the longest run, the first of equals,
	 * no :: for one group, lower case. */
	{ "2001:0DB8:0000:0000:0001:0000:0000:0001", "2001:db8::1:0:0:1" },
	{ "2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1" },
	{ "2001:0:0:1:0:0:0:1", "2001:0:0:1::1" },
	{ "2001:db8::", "2001:db8::" },
	{ "FE80:0:0:0:0:0:0:ABCD", "fe80::abcd" },
	/* 5: mapped addresses in mixed notation. */
	{ "::ffff:c000:0280", "::ffff:192.0.2.128" },
	{ "::ffff:192.0.2.128", "::ffff:192.0.2.128" },
	{ "1:2:3:4:5:6:7.8.9.10", "1:2:3:4:5:6:708:90a" },
};

static void
addresses_are_written_in_their_canonical_form(void **state)
{
	char text[IP_TEXT_MAX];
	struct ip ip, back;
	size_t n;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(ips); i++) {
		assert_int_equal(ip_parse(S(ips[i].text), &ip), 0);
		n = ip_format(text, &ip);
		assert_int_equal(n, strlen(text));
		assert_string_equal(text, ips[i].canonical);
		assert_int_equal(ip_parse(S(text), &back), 0);
		assert_true(ip_eq(&ip, &back));
		assert_true(ip_hash(&ip) == ip_hash(&back));
	}
	assert_int_equal(ip_format(text, &(struct ip){ .family = 0 }), 1);
	assert_string_equal(text, "-");
}

static void
hostile_addresses_are_refused(void **state)
{
	static const char *const bad[] = { "", ".", "1", "1.2.3", "1.2.3.4.5",
		"1.2.3.256", "01.2.3.4", "1.2.3.4 ", " 1.2.3.4", "0x7f.0.0.1",
		"1.2.3.-4", "1..2.3", "127.1", "2130706433", ":",
		":::", "1::2::3", "::1%eth0", "fe80::1%1", "12345::", "::g",
		"1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9",
		"1:2:3:4:5:6:7:8::", "::1.2.3", "[::1", "::1]", "[]",
		"[1.2.3.4]", "[[::1]]", "IPv6:::1", "localhost" };
	struct ip ip = { .family = 9 };
	char long_text[4000];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(ip_parse(S(bad[i]), &ip), E_SYNTAX);
	memset(long_text, ':', sizeof(long_text));
	assert_int_equal(ip_parse(slice_of(long_text, sizeof(long_text)), &ip),
	    E_SYNTAX);
	memset(long_text, '1', sizeof(long_text));
	assert_int_equal(ip_parse(slice_of(long_text, sizeof(long_text)), &ip),
	    E_SYNTAX);
	assert_int_equal(ip_parse(slice_of("1.2.3.4\0", 8), &ip), E_SYNTAX);
	assert_int_equal(ip_parse(slice_of("::1\0.", 5), &ip), E_SYNTAX);
	assert_int_equal(ip_parse(slice_of(NULL, 0), &ip), E_SYNTAX);
	assert_int_equal(ip.family, 9);
	/* A slice ends where it ends. */
	assert_int_equal(ip_parse(slice_of("1.2.3.45", 7), &ip), 0);
	assert_int_equal(ip.b[3], 4);
}

static void
families_are_never_equal(void **state)
{
	struct ip v4, v6;

	(void)state;
	ip_parse(S("1.2.3.4"), &v4);
	ip_parse(S("102:304::"), &v6);
	assert_memory_equal(v4.b, v6.b, 16);
	assert_false(ip_eq(&v4, &v6));
	assert_true(ip_hash(&v4) != ip_hash(&v6));
}

static const struct {
	const char *text;
	uint16_t default_port;
	const char *canonical; /* NULL: refused */
} endpoints[] = {
	{ "127.0.0.1:25", 0, "127.0.0.1:25" },
	{ "[::1]:25", 0, "[::1]:25" },
	{ "127.0.0.1", 2525, "127.0.0.1:2525" },
	{ "::1", 25, "[::1]:25" },
	{ "[::1]", 25, "[::1]:25" },
	{ "127.0.0.1:0", 25, "127.0.0.1:0" },
	{ "1.2.3.4:65535", 0, "1.2.3.4:65535" },
	{ "127.0.0.1", 0, NULL },
	{ "::1", 0, NULL },
	{ "[::1]", 0, NULL },
	{ "1.2.3.4:65536", 25, NULL },
	{ "1.2.3.4:", 25, NULL },
	{ "1.2.3.4:x", 25, NULL },
	{ "1.2.3.4:-1", 25, NULL },
	{ "1.2.3.4:25:", 25, NULL },
	{ "1.2.3.4:000025", 25, NULL },
	{ "[::1]:", 25, NULL },
	{ "[::1]25", 25, NULL },
	{ "[::1", 25, NULL },
	{ "[1.2.3.4]:25", 25, NULL },
	{ ":25", 25, NULL },
	{ "", 25, NULL },
	{ "[", 25, NULL },
	{ "]:25", 25, NULL },
};

static void
endpoints_are_read_and_written(void **state)
{
	char text[ENDPOINT_TEXT_MAX];
	struct endpoint e;
	size_t n;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(endpoints); i++) {
		bool is_good = endpoints[i].canonical != NULL;

		assert_int_equal(endpoint_parse(S(endpoints[i].text),
				     endpoints[i].default_port, &e),
		    is_good ? 0 : E_SYNTAX);
		if (!is_good)
			continue;
		n = endpoint_format(text, &e);
		assert_int_equal(n, strlen(text));
		assert_string_equal(text, endpoints[i].canonical);
	}
}

static void
the_longest_endpoint_fits(void **state)
{
	char text[ENDPOINT_TEXT_MAX];
	struct endpoint e = { .ip.family = 6, .port = 65535 };

	(void)state;
	memset(e.ip.b, 0xff, 16);
	assert_int_equal(endpoint_format(text, &e), 39 + 8);
	memset(e.ip.b, 0, 10);
	assert_int_equal(endpoint_format(text, &e), 22 + 8);
}

static bool
has(const char *prefix, const char *address)
{
	struct cidr c;
	struct ip ip;

	assert_int_equal(cidr_parse(S(prefix), &c), 0);
	assert_int_equal(ip_parse(S(address), &ip), 0);
	return cidr_has(&c, &ip);
}

static void
prefixes_hold_exactly_their_addresses(void **state)
{
	(void)state;
	assert_true(has("127.0.0.0/8", "127.255.255.255"));
	assert_false(has("127.0.0.0/8", "128.0.0.0"));
	assert_true(has("10.1.2.0/23", "10.1.3.9"));
	assert_false(has("10.1.2.0/23", "10.1.4.0"));
	assert_true(has("0.0.0.0/0", "1.2.3.4"));
	assert_false(has("0.0.0.0/0", "::1"));
	assert_true(has("1.2.3.4", "1.2.3.4"));
	assert_false(has("1.2.3.4", "1.2.3.5"));
	assert_true(has("2001:db8::/33", "2001:db8:7fff::1"));
	assert_false(has("2001:db8::/33", "2001:db8:8000::1"));
	assert_false(has("::/0", "::ffff:1.2.3.4"));
	assert_true(has("0.0.0.0/0", "::ffff:1.2.3.4"));
	assert_true(has("10.0.0.0/8", "::ffff:10.9.9.9"));
	assert_false(has("10.0.0.0/8", "::ffff:11.9.9.9"));
	assert_true(has("::ffff:10.0.0.0/104", "::ffff:10.9.9.9"));
	assert_true(has("::ffff:10.0.0.0/104", "10.9.9.9"));
	assert_false(has("::ffff:10.0.0.0/104", "11.9.9.9"));
	assert_false(has("::/0", "1.2.3.4"));
	assert_true(has("::/0", "::1.2.3.4"));
}

static void
prefixes_are_read_and_written(void **state)
{
	static const char *const good[] = { "10.0.0.0/8", "1.2.3.4",
		"0.0.0.0/0", "2001:db8::/32", "::1" };
	static const char *const bad[] = { "", "/8", "10.0.0.0/", "10.0.0.0/33",
		"10.0.0.0/-1", "::/129", "10.0.0.0/8/8", "10.0.0.0/8x",
		"10/8" };
	char text[ENDPOINT_TEXT_MAX];
	struct cidr c;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		assert_int_equal(cidr_parse(S(good[i]), &c), 0);
		assert_int_equal(cidr_format(text, &c), strlen(good[i]));
		assert_string_equal(text, good[i]);
	}
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(cidr_parse(S(bad[i]), &c), E_SYNTAX);
	assert_int_equal(cidr_parse(S("10.0.0.1/8"), &c), E_RANGE);
	assert_int_equal(cidr_parse(S("128.0.0.0/0"), &c), E_RANGE);
	assert_int_equal(cidr_parse(S("2001:db8::1/127"), &c), E_RANGE);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(addresses_are_written_in_their_canonical_form),
		cmocka_unit_test(hostile_addresses_are_refused),
		cmocka_unit_test(families_are_never_equal),
		cmocka_unit_test(endpoints_are_read_and_written),
		cmocka_unit_test(the_longest_endpoint_fits),
		cmocka_unit_test(prefixes_hold_exactly_their_addresses),
		cmocka_unit_test(prefixes_are_read_and_written),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

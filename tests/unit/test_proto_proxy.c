/* PROXY headers: what a proxy says, cut at every point, and what is none. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "proto/proto.h"

static const char v2_ipv4[] =
    "\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x01\xc0\0\x02\x02\xdc\x04\0\x19";

static void
is_read_when_whole(struct slice whole, const char *from, uint16_t port)
{
	struct proxy_header h;
	char text[IP_TEXT_MAX];

	for (size_t i = 0; i < whole.n; i++)
		assert_int_equal(proxy_read(slice_of(whole.p, i), &h), 0);
	for (size_t i = 0; i < whole.n;) {
		size_t n = proxy_needs(slice_of(whole.p, i));

		assert_true(n > 0 && i + n <= whole.n);
		i += n;
	}
	assert_int_equal(proxy_read(whole, &h), whole.n);
	assert_int_equal(h.is_proxied, from != NULL);
	if (from == NULL)
		return;
	ip_format(text, &h.from.ip);
	assert_string_equal(text, from);
	assert_int_equal(h.from.port, port);
}

static void
both_versions_say_who_is_there(void **state)
{
	(void)state;
	is_read_when_whole(SL("PROXY TCP4 192.0.2.1 192.0.2.2 56324 25\r\n"),
	    "192.0.2.1", 56324);
	is_read_when_whole(SL("PROXY TCP6 2001:db8::1 2001:db8::2 1 25\r\n"),
	    "2001:db8::1", 1);
	is_read_when_whole(slice_of(v2_ipv4, sizeof(v2_ipv4) - 1), "192.0.2.1",
	    0xdc04);
}

static void
a_proxy_may_speak_for_itself(void **state)
{
	(void)state;
	is_read_when_whole(SL("PROXY UNKNOWN\r\n"), NULL, 0);
	is_read_when_whole(SL("PROXY UNKNOWN ::1 ::1 1 2\r\n"), NULL, 0);
	is_read_when_whole(SL("\r\n\r\n\0\r\nQUIT\n\x20\0\0\0"), NULL, 0);
	/* AF_UNIX, and something behind the addresses. */
	is_read_when_whole(SL("\r\n\r\n\0\r\nQUIT\n\x21\x31\0\x02xx"), NULL, 0);
}

static void
what_follows_is_left(void **state)
{
	struct proxy_header h;
	struct slice in = SL("PROXY TCP4 1.2.3.4 1.2.3.5 6 7\r\nEHLO x\r\n");

	(void)state;
	assert_int_equal(proxy_read(in, &h), in.n - 8);
}

static void
what_is_no_header_is_refused_at_once(void **state)
{
	static const struct slice bad[] = { SL("E"), SL("PROXX"),
		SL("PROXY TCP4 1.2.3.4 1.2.3.5 6\r\n"),
		SL("PROXY TCP4 1.2.3.4 ::1 6 7\r\n"),
		SL("PROXY TCP6 1.2.3.4 1.2.3.5 6 7\r\n"),
		SL("PROXY TCP4 1.2.3.4 1.2.3.5 65536 7\r\n"),
		SL("PROXY TCP4 1.2.3.4 1.2.3.5 6 7\n"),
		SL("PROXY TCP4 1.2.3.4 1.2.3.5 6 7 8\r\n"),
		SL("\r\n\r\n\0\r\nQUIT\n\x31\x11\0\0"),
		SL("\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x04xxxx") };
	struct proxy_header h;
	char longer[PROXY_BYTES_MAX] = "PROXY UNKNOWN ";

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(proxy_read(bad[i], &h), E_SYNTAX);
	memset(longer + 14, 'x', sizeof(longer) - 14);
	assert_int_equal(proxy_read(slice_of(longer, sizeof(longer)), &h),
	    E_SYNTAX);
	assert_int_equal(proxy_read(SL("\r\n\r\n\0\r\nQUIT\n\x21\x11\xff\xff"),
			     &h),
	    E_TOOBIG);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(both_versions_say_who_is_there),
		cmocka_unit_test(a_proxy_may_speak_for_itself),
		cmocka_unit_test(what_follows_is_left),
		cmocka_unit_test(what_is_no_header_is_refused_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

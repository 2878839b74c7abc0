/* The file of `mtad proxy`: defaults, mistakes, and which addresses are not of
 * the internet. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "conf/egress.h"
#include "test_conf.h"

static struct told told;

/* Reads a text as a file; path is where its complaints begin. */
static struct conf_egress *
load(const char *text, char path[32])
{
	struct conf_egress *e;
	int fd;

	snprintf(path, 32, "/tmp/egress.XXXXXX");
	fd = mkstemp(path);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
	told_init(&told);
	e = conf_egress_load(path, &told.errs);
	unlink(path);
	return e;
}

static void
defaults_are_careful(void **state)
{
	char path[32];
	struct conf_egress *e = load("listen: [192.0.2.1:1080]\n"
				     "sources: [192.0.2.1, \"2001:db8::1\"]\n"
				     "clients: [10.0.0.0/8]\n",
	    path);

	(void)state;
	assert_non_null(e);
	assert_int_equal(e->nports, 1);
	assert_int_equal(e->ports[0], 25);
	assert_false(e->takes_private);
	assert_int_equal(e->connections_max, 10000);
	assert_int_equal(e->connect_us, 25 * US_PER_S);
	assert_int_equal(e->nsources, 2);
	assert_int_equal(told.nwarnings, 1); /* anybody there may use it */
	conf_egress_free(e);
}

static void
mistakes_have_their_line(void **state)
{
	char path[32], want[600];

	(void)state;
	assert_null(load("listen: [here]\n"
			 "clients: [10.0.0.1/8]\n"
			 "ports: [0]\n"
			 "privat: allow\n"
			 "account: { me: { secret: plain } }\n"
			 "tls: { cert: /nowhere, key: /nowhere }\n",
	    path));
	for (int i = 1; i <= 6; i++) {
		snprintf(want, sizeof(want), "%s:%d:", path, i);
		assert_non_null(strstr(told.text, want));
	}
	assert_non_null(strstr(told.text, "sources, expected an IP address"));
	assert_non_null(strstr(told.text, "did you mean \"private\"?"));
	assert_null(load("- a\n", path));
}

static void
what_is_not_of_the_internet(void **state)
{
	static const struct {
		const char *ip;
		bool is_private;
	} v[] = {
		{ "192.0.2.1", false }, /* for examples, as good as any */
		{ "8.8.8.8", false },
		{ "172.15.0.1", false },
		{ "172.16.0.1", true },
		{ "172.31.255.255", true },
		{ "172.32.0.1", false },
		{ "10.1.2.3", true },
		{ "127.0.0.1", true },
		{ "0.0.0.0", true },
		{ "169.254.169.254", true },
		{ "100.64.0.1", true },
		{ "192.168.1.1", true },
		{ "224.0.0.1", true },
		{ "255.255.255.255", true },
		{ "2001:db8::1", false },
		{ "2a00:1450::1", false },
		{ "::", true },
		{ "::1", true },
		{ "::ffff:127.0.0.1", true },
		{ "::ffff:8.8.8.8", false },
		{ "::127.0.0.1", true },
		{ "64:ff9b::10.0.0.1", true },
		{ "64:ff9b::808:808", false },
		{ "2002:7f00:1::1", true },
		{ "2002:808:808::1", false },
		{ "fe80::1", true },
		{ "fd00::1", true },
		{ "ff02::1", true },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(v); i++) {
		struct ip ip;

		assert_int_equal(ip_parse(slice_str(v[i].ip), &ip), 0);
		if (egress_is_private(&ip) != v[i].is_private)
			fail_msg("%s", v[i].ip);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(defaults_are_careful),
		cmocka_unit_test(mistakes_have_their_line),
		cmocka_unit_test(what_is_not_of_the_internet),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * Each kind of mistake in a configuration, the line that is said about it, and
 * that all of a file are said, in the order of the file.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "test_conf.h"

#define HOST "hostname: mx.example\n"
#define IN "listen: { in: { bind: 127.0.0.1:25, relay_from: 10.0.0.0/8 } }\n"

static struct told told;

/* A text, behind HOST and IN on lines 1 and 2, and what is said of it. */
struct mistake {
	const char *text, *said;
};

static void
assert_said(const char *text, const char *said)
{
	char whole[4096];
	struct conf *c;

	snprintf(whole, sizeof(whole), "%s", text);
	c = told_parse(&told, whole);
	assert_string_equal(told.text, said);
	assert_int_equal(told.errs.n, told.nerrors);
	assert_true((c == NULL) == (told.nerrors > 0));
	conf_free(c);
}

static void
assert_mistakes(const struct mistake *v, size_t n)
{
	char text[4096];

	for (size_t i = 0; i < n; i++) {
		snprintf(text, sizeof(text), HOST IN "%s", v[i].text);
		assert_said(text, v[i].said);
	}
}

/* ---- values of each type ------------------------------------------------- */

static const struct mistake values[] = {
	{ "ipv4: maybe\n",
	    "f.yml:3:7: ipv4, expected true or false, got "
	    "\"maybe\"\n" },
	{ "bare_newlines: keep\n",
	    "f.yml:3:16: bare_newlines, expected refuse "
	    "or normalise, got \"keep\"\n" },
	{ "node: 65536\n",
	    "f.yml:3:7: node, expected a number from 0 to "
	    "65535, got \"65536\"\n" },
	{ "node: -1\n",
	    "f.yml:3:7: node, expected a number from 0 to 65535, "
	    "got \"-1\"\n" },
	{ "workers: 0x2\n",
	    "f.yml:3:10: workers, expected a number from 0 to "
	    "256, got \"0x2\"\n" },
	{ "spool_segment: 64X\n",
	    "f.yml:3:16: spool_segment, expected a size such as 64K, 10M or "
	    "1G, from 1M to 1G, got \"64X\"\n" },
	{ "expire: 10 potatoes\n",
	    "f.yml:3:9: expire, expected a duration such as 30s or 1h30m, "
	    "from 1s to 365d, got \"10 potatoes\"\n" },
	{ "timeouts: { body: 1ms }\n",
	    "f.yml:3:19: timeouts.body, expected a duration such as 30s or "
	    "1h30m, from 10ms to 1d, got \"1ms\"\n" },
	{ "retry: { factor: 0.99 }\n",
	    "f.yml:3:18: retry.factor, expected a factor such as 2 or 1.5, "
	    "from 1 to 100, got \"0.99\"\n" },
	{ "retry: { factor: 1.234 }\n",
	    "f.yml:3:18: retry.factor, expected a factor such as 2 or 1.5, "
	    "from 1 to 100, got \"1.234\"\n" },
	{ "retry: { jitter: 10 }\n",
	    "f.yml:3:18: retry.jitter, expected a share such as 10%, from 0% "
	    "to 90%, got \"10\"\n" },
	{ "limits: { x.example: { rate: 100 } }\n",
	    "f.yml:3:30: limits.\"x.example\".rate, expected a rate such as "
	    "100/s, 6000/10m, or none, got \"100\"\n" },
	{ "source: { a: { address: 10.0.0 } }\n",
	    "f.yml:3:25: source.a.address, expected an IP address, got "
	    "\"10.0.0\"\n" },
	{ "source: { a: { address: 0.0.0.0 } }\n",
	    "f.yml:3:25: source.a.address, expected an IP address, got "
	    "\"0.0.0.0\"\n" },
	{ "dns: { servers: [ns.example] }\n",
	    "f.yml:3:18: dns.servers, expected an address, with a port or "
	    "without, such as 127.0.0.1:5353, got \"ns.example\"\n" },
	{ "route: { \"*\": { hosts: \"mx.example:0\" } }\n",
	    "f.yml:3:24: route.\"*\".hosts, expected a host name or address, "
	    "with a port or without, or unix:/PATH, got \"mx.example:0\"\n" },
	{ "route: { \"*\": { hosts: 10.0.0.256 } }\n",
	    "f.yml:3:24: route.\"*\".hosts, expected a host name or address, "
	    "with a port or without, or unix:/PATH, got \"10.0.0.256\"\n" },
	{ "route: { \"caf\xc3\xa9.example\": { tenant: t } }\n",
	    "f.yml:3:10: route, expected a domain or pattern such as "
	    "*.example, in ASCII, got \"caf\xc3\xa9.example\"\n" },
	{ "postmaster: me\n",
	    "f.yml:3:13: postmaster, expected an address "
	    "such as a@b.example, got \"me\"\n" },
	{ "postmaster: a@b.example x\n",
	    "f.yml:3:13: postmaster, expected an address such as a@b.example, "
	    "got \"a@b.example x\"\n" },
	{ "user: \"mail daemon\"\n",
	    "f.yml:3:7: user, expected a name of 1 to 64 letters, digits, "
	    "dots, hyphens, underscores, got \"mail daemon\"\n" },
	{ "spool: \"a\\0b\"\n",
	    "f.yml:3:8: spool, expected a path, got \"a\\x00b\"\n" },
	{ "banner: \"a\\nb\"\n",
	    "f.yml:3:9: banner, expected printable ASCII "
	    "on one line, got \"a\\x0ab\"\n" },
	{ "pool: { default: { sources: nobody } }\n",
	    "f.yml:3:29: pool.default.sources, expected the name of a source, or "
	    "{NAME: WEIGHT}, got \"nobody\"\n" },
	{ "pool: { default: { sources: [{ system: 0 }] } }\n",
	    "f.yml:3:30: pool.default.sources, expected the name of a source, or "
	    "{NAME: WEIGHT}, got \"a map\"\n" },
	{ "suppression: { bounces: { kinds: [unknown_user, sulky] } }\n",
	    "f.yml:3:34: suppression.bounces.kinds, expected kinds of refusals "
	    "such as unknown_user, got \"sulky\"\n" },
	{ "default_pool: nobody\n",
	    "f.yml:3:15: default_pool, expected the "
	    "name of a pool, got \"nobody\"\n" },
};

static void
values_are_checked(void **state)
{
	(void)state;
	assert_mistakes(values, ARRAY_LEN(values));
}

/* ---- shapes -------------------------------------------------------------- */

static const struct mistake shapes[] = {
	{ "dns: 5\n",
	    "f.yml:3:6: dns, expected a map of options, got "
	    "\"5\"\n" },
	{ "dns: [a]\n",
	    "f.yml:3:6: dns, expected a map of options, got \"a "
	    "list\"\n" },
	{ "source: x\n",
	    "f.yml:3:9: source, expected a map from names to "
	    "what they stand for, got \"x\"\n" },
	{ "node: [1]\n",
	    "f.yml:3:7: node, expected a number from 0 to 65535, "
	    "got \"a list\"\n" },
	{ "spool: { a: b }\n",
	    "f.yml:3:8: spool, expected a path, got \"a map\"\n" },
	{ "dns: { servers: [1.2.3.4, ~] }\n",
	    "f.yml:3:27: dns.servers, expected an address, with a port or "
	    "without, such as 127.0.0.1:5353, got \"~\"\n" },
	{ "source: { a: { address: 10.0.0.1 } }\n"
	  "pool: { default: { sources: [] } }\n",
	    "f.yml:4:29: pool.default.sources, expected at least one item, "
	    "got nothing\n" },
	{ "pool: { default: {} }\n",
	    "f.yml:3:18: pool.default.sources, expected the name of a source, or "
	    "{NAME: WEIGHT}, got nothing\n" },
	{ "dns: { servers: [1.0.0.1, 1.0.0.2, 1.0.0.3, 1.0.0.4, 1.0.0.5,\n"
	  "  1.0.0.6, 1.0.0.7, 1.0.0.8, 1.0.0.9] }\n",
	    "f.yml:4:30: dns.servers, expected at most 8 items, got "
	    "\"1.0.0.9\"\n" },
};

static void
shapes_are_checked(void **state)
{
	(void)state;
	assert_mistakes(shapes, ARRAY_LEN(shapes));
}

static void
a_file_is_a_map(void **state)
{
	(void)state;
	assert_said("- a\n",
	    "f.yml:1:1: file, expected a map of options, got \"a list\"\n");
	assert_said("hello\n",
	    "f.yml:1:1: file, expected a map of options, got \"hello\"\n");
}

/* ---- keys ---------------------------------------------------------------- */

static const struct mistake keys[] = {
	{ "spol: /x\n",
	    "f.yml:3:1: unknown key, expected an option (did you "
	    "mean \"spool\"?), got \"spol\"\n" },
	{ "xyzzy: /x\n",
	    "f.yml:3:1: unknown key, expected an option, got "
	    "\"xyzzy\"\n" },
	{ "source: { a: { adress: 1.2.3.4 } }\n",
	    "f.yml:3:16: unknown key, expected an option of source.a (did you "
	    "mean \"address\"?), got \"adress\"\n" },
	{ "client: { timeouts: { hleo: 1s } }\n",
	    "f.yml:3:23: unknown key, expected an option of client.timeouts "
	    "(did you mean \"ehlo\"?), got \"hleo\"\n" },
	{ "<<: { node: 1 }\n",
	    "f.yml:3:1: unknown key, expected an option, got \"<<\"\n" },
	{ "~: 1\n",
	    "f.yml:3:1: unknown key, expected an option, got "
	    "\"~\"\n" },
	{ "hostname: b.example\n",
	    "f.yml:3:1: duplicate key, expected each key once (the first is "
	    "on line 1), got \"hostname\"\n" },
	{ "\"\\x73pool\": /x\nspool: /y\n",
	    "f.yml:4:1: duplicate key, expected each key once (the first is "
	    "on line 3), got \"spool\"\n" },
	{ "source: { \"a b\": { address: 10.0.0.1 } }\n",
	    "f.yml:3:11: source, expected a name of 1 to 64 letters, digits, "
	    "dots, hyphens, underscores, got \"a b\"\n" },
};

static void
keys_are_checked(void **state)
{
	(void)state;
	assert_mistakes(keys, ARRAY_LEN(keys));
}

/* ---- what only the whole can tell ---------------------------------------- */

static const struct mistake wholes[] = {
	{ "source: { a: { address: 10.0.0.1 }, b: { address: 10.0.0.1 } }\n",
	    "f.yml:3:51: source.b.address, expected an address of its own "
	    "(the first is on line 3), got \"10.0.0.1\"\n" },
	{ "source: { a: { address: 10.0.0.1 } }\n"
	  "pool: { default: { sources: [a, a, a] } }\n",
	    "f.yml:4:29: pool.default.sources, expected each source once, got "
	    "\"a\"\n"
	    "f.yml:4:29: pool.default.sources, expected each source once, got "
	    "\"a\"\n" },
	{ "inbound: { b.example: { prefix: long-prefix } }\n",
	    "f.yml:3:33: inbound.\"b.example\".prefix, expected 1 to 8 "
	    "letters, digits, +, -, _ or =, got \"long-prefix\"\n" },
	{ "inbound: { b.example: { bounces: b, forward: a@B.example } }\n",
	    "f.yml:3:46: inbound.\"b.example\".forward, expected an address "
	    "elsewhere: this domain is one of `inbound`, got "
	    "\"a@B.example\"\n" },
	{ "tenant: { t: { return_path: c.example } }\n"
	  "inbound: { c.example: { bounces: b } }\n",
	    "f.yml:3:29: tenant.t.return_path, expected a domain of `inbound` "
	    "that has `keys`, got \"c.example\"\n" },
	{ "source: { a: { address: 10.0.0.1 } }\n"
	  "pool: { p: { sources: a }, q: { sources: a } }\n",
	    "f.yml:4:7: default_pool, expected the name of a pool, as none is "
	    "called \"default\", got nothing\n" },
	{ "route: { \"*\": { pool: p } }\n",
	    "f.yml:3:23: route.\"*\".pool, expected the name of a pool, got "
	    "\"p\"\n" },
	{ "message_size_max: 64M\n",
	    "f.yml:3:19: message_size_max, expected at most 64472K "
	    "(spool_segment is 64M, and an envelope of 1000 recipients takes "
	    "up to 1064K), got \"64M\"\n" },
	{ "spool_segment: 32M\n",
	    "f.yml:3:16: message_size_max, expected at most 31704K "
	    "(spool_segment is 32M, and an envelope of 1000 recipients takes "
	    "up to 1064K), got \"50M\"\n" },
	{ "spool_max: 100M\n",
	    "f.yml:3:12: spool_max, expected 0 or at least "
	    "4 segments (256M), got \"100M\"\n" },
	{ "retry: { first: 5h }\n",
	    "f.yml:3:1: retry.max, expected at least "
	    "the minimum (5h), got \"4h\"\n" },
	{ "retry: { schedule: [1m], max: 5h }\n",
	    "f.yml:3:31: retry.max, expected either schedule, or first, max "
	    "and factor, got \"both\"\n" },
	{ "dns: { retry_max: 1s }\n",
	    "f.yml:3:19: dns.retry_max, expected at least the minimum (1m), "
	    "got \"1s\"\n" },
	{ "client: { host_retry_min: 1h }\n",
	    "f.yml:3:1: client.host_retry_max, expected at least the minimum "
	    "(1h), got \"30m\"\n" },
	{ "limits: { default: { backoff_max: 1s }, x.example: {} }\n",
	    "f.yml:3:35: limits.default.backoff_max, expected at least the "
	    "minimum (1m), got \"1s\"\n" },
	{ "provider: { big: { domains: x.example } }\n"
	  "limit:\n"
	  "  a: { where: { provider: big }, rate: 1/s }\n"
	  "  b: { where: { provider: bug }, rate: 1/s }\n",
	    "f.yml:6:27: limit.b.where.provider, expected the name of a "
	    "provider, got \"bug\"\n" },
	{ "ipv4: off\nipv6: off\n",
	    "f.yml:4:7: ipv6, expected true, as ipv4 is false, got "
	    "\"false\"\n" },
	{ "control: /aaaaaaaaa/bbbbbbbbb/ccccccccc/ddddddddd/eeeeeeeee/"
	  "fffffffff/ggggggggg/hhhhhhhhh/iiiiiiiii/jjjjjjjjj/kkkkkkk\n",
	    "f.yml:3:10: control, expected a path of at most 107 bytes, got "
	    "\"/aaaaaaaaa/bbbbbbbbb/ccccccccc/ddddddddd/eeeeeeeee/fffffffff/"
	    "ggggggggg/hhhhhhhh...\"\n" },
	{ "dns: { trust_anchor: /nonexistent/root.key }\n",
	    "f.yml:3:22: dns.trust_anchor, expected a file that can be read, "
	    "got \"No such file or directory\"\n" },
};

static void
the_whole_is_checked(void **state)
{
	(void)state;
	assert_mistakes(wholes, ARRAY_LEN(wholes));
}

static void
listeners_are_checked(void **state)
{
	(void)state;
	assert_said(HOST "listen:\n"
			 "  a: { bind: 127.0.0.1:25, tls: { cert: / } }\n"
			 "  b:\n"
			 "    bind: 127.0.0.1:25\n"
			 "    message_size_max: 1G\n"
			 "    pool: nobody\n"
			 "  c: { relay_from: [10.0.0.1/8] }\n"
			 "  d: { bind: 127.0.0.1 }\n",
	    "f.yml:3:33: listen.a.tls.key, expected a path, got nothing\n"
	    "f.yml:3:41: listen.a.tls.cert, expected a file that can be read, "
	    "got \"not a file\"\n"
	    "f.yml:5:11: listen.b.bind, expected an address and port of its "
	    "own (the first is on line 3), got \"127.0.0.1:25\"\n"
	    "f.yml:6:23: listen.b.message_size_max, expected at most 64472K "
	    "(spool_segment is 64M, and an envelope of 1000 recipients takes "
	    "up to 1064K), got \"1G\"\n"
	    "f.yml:7:11: listen.b.pool, expected the name of a pool, got "
	    "\"nobody\"\n"
	    "f.yml:8:6: listen.c.bind, expected an address and port such as "
	    "127.0.0.1:25 or \"[::1]:25\", got nothing\n"
	    "f.yml:8:21: listen.c.relay_from, expected a network such as "
	    "10.0.0.0/8, host bits zero, got \"10.0.0.1/8\"\n"
	    "f.yml:9:14: listen.d.bind, expected an address and port such as "
	    "127.0.0.1:25 or \"[::1]:25\", got \"127.0.0.1\"\n");
}

static void
proxies_are_checked(void **state)
{
	(void)state;
	assert_said(HOST IN
	    "proxy:\n"
	    "  a: { address: 192.0.2.1, user: me }\n"
	    "  b: { address: 192.0.2.1:1, protocol: haproxy, user: me, "
	    "password_file: /nowhere }\n"
	    "  c: { address: 192.0.2.1:2, tls: { ca: /nowhere } }\n"
	    "  d: { address: 192.0.2.1:3, checks_source: false }\n"
	    "source:\n"
	    "  x: { address: 192.0.2.9, proxies: [a, b, a] }\n"
	    "  y: { proxies: [nobody, d] }\n"
	    "  z: { proxies: [c] }\n",
	    "f.yml:4:3: proxy.a.password_file, expected to be given with user, "
	    "and only then, got nothing\n"
	    "f.yml:4:17: proxy.a.address, expected an address and port such as "
	    "127.0.0.1:25 or \"[::1]:25\", got \"192.0.2.1\"\n"
	    "f.yml:5:55: proxy.b.user, expected nothing, as the PROXY protocol "
	    "has no users, got \"me\"\n"
	    "f.yml:5:74: proxy.b.password_file, expected a file that can be "
	    "read, got \"No such file or directory\"\n"
	    "f.yml:6:35: proxy.c.tls.name, expected a host name such as "
	    "mx.example, got nothing\n"
	    "f.yml:6:41: proxy.c.tls.ca, expected a file that can be read, got "
	    "\"No such file or directory\"\n"
	    "f.yml:9:37: source.x.proxies, expected each proxy once, got "
	    "\"a\"\n"
	    "f.yml:10:17: source.y.proxies, expected the name of a proxy, got "
	    "\"nobody\"\n"
	    "f.yml:11:3: source.z.address, expected the address that the proxy "
	    "is to use, got nothing\n");
}

/* ---- warnings ------------------------------------------------------------ */

static void
the_odd_is_only_warned_of(void **state)
{
	(void)state;
	assert_said("hostname: mx\n" IN,
	    "f.yml:1:11: warning: hostname, expected a full name such as "
	    "mx.example, got \"mx\"\n");
	assert_said(HOST,
	    "f.yml:1:1: warning: listen, expected a place where "
	    "mail comes in, got nothing\n");
	assert_said(HOST "listen: { in: { bind: 127.0.0.1:25 } }\n",
	    "f.yml:2:9: warning: listen, expected relay_from in one of them, "
	    "or only postmaster gets mail, got nothing\n");
	assert_said(HOST "listen: { in: { bind: 127.0.0.1:25, "
			 "relay_from: 0.0.0.0/0 } }\n",
	    "f.yml:2:49: warning: listen.in.relay_from, expected your own "
	    "networks only, got \"an open relay\"\n");
	assert_said(HOST IN "route: { \"*\": {}, x.example: {} }\n",
	    "f.yml:3:30: warning: route.\"x.example\", expected nothing "
	    "behind \"*\", which matches first, got \"x.example\"\n");
	assert_int_equal(told.nwarnings, 1);
}

/* ---- many ---------------------------------------------------------------- */

static void
all_mistakes_are_said_in_order(void **state)
{
	(void)state;
	assert_said("zzzz: 1\n"
		    "smtp_port: x\n"
		    "hostname: 1.2.3.4\n"
		    "zzzz: 2\n"
		    "node: y\n",
	    "f.yml:1:1: unknown key, expected an option, got \"zzzz\"\n"
	    "f.yml:2:12: smtp_port, expected a number from 1 to 65535, got "
	    "\"x\"\n"
	    "f.yml:3:11: hostname, expected a host name such as mx.example, "
	    "got \"1.2.3.4\"\n"
	    "f.yml:4:1: duplicate key, expected each key once (the first is "
	    "on line 1), got \"zzzz\"\n"
	    "f.yml:4:1: unknown key, expected an option, got \"zzzz\"\n"
	    "f.yml:5:7: node, expected a number from 0 to 65535, got \"y\"\n");
}

static void
a_hundred_are_said_and_the_rest_counted(void **state)
{
	char text[8192];
	size_t n = 0;
	struct conf *c;

	(void)state;
	for (int i = 0; i < 250; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "k%03d: 1\n",
		    i);
	c = told_parse(&told, text);
	assert_null(c);
	assert_int_equal(told.nerrors, 101);
	assert_int_equal(told.errs.n, 250);
	assert_non_null(strstr(told.text, "f.yml: and 150 more\n"));
}

/* What a user wrote is shown without harm to the terminal, and not whole. */
static void
what_is_shown_is_escaped_and_cut(void **state)
{
	(void)state;
	assert_said(HOST IN "node: \"\\e[2J\"\n",
	    "f.yml:3:7: node, expected a number from 0 to 65535, got "
	    "\"\\x1b[2J\"\n");
	assert_said(HOST IN "\"a\\x07\": 1\n",
	    "f.yml:3:1: unknown key, expected an option, got \"a\\x07\"\n");
	assert_said(HOST IN
	    "node: "
	    "aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffff"
	    "ffffffgggggggggghhhhhhhhhhiiiiiiiiii\n",
	    "f.yml:3:7: node, expected a number from 0 to 65535, got "
	    "\"aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffffg"
	    "ggggggggghhhhhhhhh...\"\n");
}

static void
a_file_that_is_not_there(void **state)
{
	struct conf *c;

	(void)state;
	told_init(&told);
	c = conf_load("/nonexistent/mtad.yml", &told.errs);
	assert_null(c);
	assert_string_equal(told.text,
	    "/nonexistent/mtad.yml:1:1: file, expected it to be readable, got "
	    "\"No such file or directory\"\n");
	told_init(&told);
	c = conf_load("/", &told.errs);
	assert_null(c);
	assert_string_equal(told.text,
	    "/:1:1: file, expected it to be readable, got \"Is a "
	    "directory\"\n");
}

/* Nobody has to listen. */
static void
errors_may_go_nowhere(void **state)
{
	struct conf_errors errs = { .report = NULL };

	(void)state;
	assert_null(conf_parse("f", SL("node: x\nx: 1\n"), &errs));
	assert_int_equal(errs.n, 2);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(values_are_checked),
		cmocka_unit_test(shapes_are_checked),
		cmocka_unit_test(a_file_is_a_map),
		cmocka_unit_test(keys_are_checked),
		cmocka_unit_test(the_whole_is_checked),
		cmocka_unit_test(listeners_are_checked),
		cmocka_unit_test(proxies_are_checked),
		cmocka_unit_test(the_odd_is_only_warned_of),
		cmocka_unit_test(all_mistakes_are_said_in_order),
		cmocka_unit_test(a_hundred_are_said_and_the_rest_counted),
		cmocka_unit_test(what_is_shown_is_escaped_and_cut),
		cmocka_unit_test(a_file_that_is_not_there),
		cmocka_unit_test(errors_may_go_nowhere),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

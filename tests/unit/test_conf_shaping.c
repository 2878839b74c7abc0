/*
 * Shaping files: layers of limits, what wins, what ~ does, and where each value
 * was written.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "conf/shaping.h"
#include "test_conf.h"

#define OWN                                                                    \
	"hostname: mx.example\n"                                               \
	"source: { a: { address: 10.0.0.1 }, b: { address: 10.0.0.2 } }\n"     \
	"listen: { in: { bind: 127.0.0.1:25, relay_from: 10.0.0.0/8 } }\n"

static struct told told;

static struct conf *
shaped(const char *own, const char *one, const char *two)
{
	const char *names[] = { "one.yml", "two.yml" };
	struct slice texts[] = { slice_str(one), slice_str(two) };
	struct conf_shaping_in in = { .n = 2, .names = names, .texts = texts };

	told_init(&told);
	return conf_parse_with("own.yml", slice_str(own), &in, &told.errs);
}

/* "value layer file:line" of one limit of a path to domain at host. */
static void
assert_limit(const struct conf *c, const char *domain, const char *host,
    uint32_t source, uint32_t bit, const char *expected)
{
	struct slice hosts[1] = { slice_str(host) };
	struct conf_limits l;
	struct conf_place p;
	char text[64], got[256];

	conf_place(c, slice_str(domain), hosts, 1, &p);
	conf_limits(c, &p, source, &l);
	conf_limit_text(&l, bit, text);
	snprintf(got, sizeof(got), "%s %s%s %.*s:%u", text,
	    conf_layer_name(l.from[bit].layer),
	    l.from[bit].is_unset ? " ~" : "",
	    SLF(c->files[l.from[bit].at.file]), l.from[bit].at.line);
	assert_string_equal(got, expected);
}
#define CONNS ENG_SHAPE_BIT(conns_max)
#define MSGS ENG_SHAPE_BIT(msgs_per_conn)
#define RATE ENG_SHAPE_BIT(rate_count)

static void
a_later_layer_wins_key_by_key(void **state)
{
	struct conf *c = shaped(OWN "limits: { default: { connections: 19 },\n"
				    "  d.example: { connections: 14 } }\n",
	    "default: { connections: 18, messages_per_connection: 50 }\n"
	    "provider:\n"
	    "  big:\n"
	    "    mx: mx.big.example\n"
	    "    connections: 17\n"
	    "    source:\n"
	    "      a: { connections: 16 }\n",
	    "site: { in*.mx.big.example: { connections: 15 } }\n"
	    "source: { b: { connections: 13 } }\n");

	(void)state;
	assert_non_null(c);
	assert_limit(c, "x.example", "mx.x.example", 0, CONNS,
	    "19 default own.yml:4");
	assert_limit(c, "x.example", "mx.x.example", 0, MSGS,
	    "50 default one.yml:1");
	assert_limit(c, "x.example", "mx.x.example", 0, RATE,
	    "none built in own.yml:0");
	assert_limit(c, "x.example", "m.MX.big.example", 2, CONNS,
	    "17 provider one.yml:5");
	assert_limit(c, "x.example", "mx.big.example", 0, CONNS,
	    "16 provider for this source one.yml:7");
	assert_limit(c, "x.example", "in7.mx.big.example", 0, CONNS,
	    "15 site two.yml:1");
	assert_limit(c, "d.example", "in7.mx.big.example", 0, CONNS,
	    "14 domain own.yml:5");
	assert_limit(c, "d.example", "in7.mx.big.example", 1, CONNS,
	    "13 source two.yml:2");
	conf_free(c);
}

/* The policy that core_tls_make asks for, and what mtad explain path prints. */
static void
assert_tls(const struct conf *c, const char *domain, const char *host,
    const char *expected)
{
	struct slice hosts[1] = { slice_str(host) };
	struct conf_tls_policy t;
	struct conf_limits l;
	struct conf_place p;
	char got[256];

	conf_place(c, slice_str(domain), hosts, 1, &p);
	conf_tls_of(c, &p, &t);
	snprintf(got, sizeof(got), "%s %u %.*s %.*s",
	    conf_tls_mode_name(t.mode), t.min, SLF(t.ciphers), SLF(t.name));
	assert_string_equal(got, expected);
	conf_limits(c, &p, 0, &l);
	assert_int_equal(l.tls.mode, t.mode);
	assert_int_equal(l.tls.min, t.min);
	assert_true(slice_eq(l.tls.ciphers, t.ciphers));
	assert_true(slice_eq(l.tls.name, t.name));
}

static void
tls_is_of_the_destination(void **state)
{
	struct conf *c = shaped(OWN "limits: { default: { tls_min: '1.2' },\n"
				    "  d.example: { tls: verify,\n"
				    "    tls_name: mx.d.example },\n"
				    "  e.example: { tls_min: ~ },\n"
				    "  f.example: { connections: 1 } }\n",
	    "provider:\n"
	    "  big: { mx: mx.big.example, tls: required, tls_min: '1.3',\n"
	    "    tls_ciphers: HIGH }\n",
	    "site: { in*.mx.big.example: { tls: dane } }\n");

	(void)state;
	assert_non_null(c);
	assert_true(c->has_tls);
	assert_tls(c, "x.example", "mx.x.example", "opportunistic 3  ");
	assert_tls(c, "x.example", "mx.big.example", "required 4 HIGH ");
	assert_tls(c, "x.example", "in7.mx.big.example", "dane 4 HIGH ");
	assert_tls(c, "d.example", "in7.mx.big.example",
	    "verify 4 HIGH mx.d.example");
	assert_tls(c, "e.example", "mx.big.example", "required 3 HIGH ");
	assert_tls(c, "f.example", "mx.f.example", "opportunistic 3  ");
	assert_limit(c, "d.example", "mx.x.example", 0, CONF_TLS_BIT,
	    "verify domain own.yml:5");
	conf_free(c);
	c = shaped(OWN "client: { tls: none }\n"
		       "limits: { d.example: { tls: opportunistic } }\n",
	    "", "");
	assert_non_null(c);
	assert_tls(c, "x.example", "mx.x.example", "none 0  ");
	assert_tls(c, "d.example", "mx.x.example", "opportunistic 0  ");
	conf_free(c);
	/* Not of a source, and only what there is. */
	assert_null(shaped(OWN, "source: { a: { tls: none } }\n", ""));
	assert_null(shaped(OWN, "domain: { a.example: { tls: some } }\n", ""));
	assert_null(shaped(OWN, "default: { tls_min: '1.4' }\n", ""));
}

static void
a_later_file_wins_and_a_tilde_sets_back(void **state)
{
	struct conf *c =
	    shaped(OWN "limits: { default: { rate: 9/s } }\n"
		       "provider: { three: ~, two: { rate: ~ } }\n",
		"provider:\n"
		"  one: { mx: one.example, connections: 1, rate: 1/s }\n"
		"  two: { mx: two.example, connections: 2, rate: 2/s }\n"
		"  three: { mx: three.example, connections: 3 }\n"
		"domain: { d.example: { connections: 5 } }\n",
		"provider:\n"
		"  one: { connections: 4 }\n"
		"  two: { connections: ~, mx: other.example }\n"
		"domain: { '*.example': { connections: 6 } }\n");

	(void)state;
	assert_non_null(c);
	assert_limit(c, "x.test", "a.one.example", 0, CONNS,
	    "4 provider two.yml:2");
	assert_limit(c, "x.test", "a.one.example", 0, RATE,
	    "1/s provider one.yml:2");
	assert_limit(c, "x.test", "a.two.example", 0, CONNS,
	    "20 built in own.yml:0");
	assert_limit(c, "x.test", "a.other.example", 0, CONNS,
	    "20 provider ~ two.yml:3");
	assert_limit(c, "x.test", "a.other.example", 0, RATE,
	    "9/s provider ~ own.yml:5");
	assert_limit(c, "x.test", "a.three.example", 0, CONNS,
	    "20 built in own.yml:0");
	/* The entries of a later file come first. */
	assert_limit(c, "d.example", "mx.d.test", 0, CONNS,
	    "6 domain two.yml:4");
	conf_free(c);
}

static const char *
provider_of(const struct conf *c, const char *domain, const char *host)
{
	struct slice hosts[1] = { slice_str(host) };
	struct conf_place p;

	conf_place(c, slice_str(domain), hosts, 1, &p);
	return p.provider ? c->providers[p.provider].name.p : "-";
}

static void
a_provider_is_known_by_host_then_mx_then_domain(void **state)
{
	struct conf *c = shaped(OWN,
	    "provider:\n"
	    "  short: { mx: example.net }\n"
	    "  long: { mx: [in.example.net, '*.deep.example.org'] }\n"
	    "  host: { hosts: [mx7.in.example.net] }\n"
	    "  home: { domains: [home.example] }\n",
	    "default: {}\n");

	(void)state;
	assert_non_null(c);
	assert_string_equal(provider_of(c, "x.test", "Example.NET"), "short");
	assert_string_equal(provider_of(c, "x.test", "a.b.example.net"),
	    "short");
	assert_string_equal(provider_of(c, "x.test", "notexample.net"), "-");
	assert_string_equal(provider_of(c, "x.test", "b.in.example.net"),
	    "long");
	assert_string_equal(provider_of(c, "x.test", "mx7.in.example.net"),
	    "host");
	assert_string_equal(provider_of(c, "x.test", "deep.example.org"), "-");
	assert_string_equal(provider_of(c, "x.test", "a.deep.example.org"),
	    "long");
	assert_string_equal(provider_of(c, "a.home.example", "mx.test"),
	    "home");
	assert_string_equal(provider_of(c, "home.example", "example.net"),
	    "short");
	conf_free(c);
}

static bool
is_rolled_up(const struct conf *c, const char *domain, const char *host)
{
	struct slice hosts[1] = { slice_str(host) };
	struct conf_place p;

	conf_place(c, slice_str(domain), hosts, 1, &p);
	return p.rollup;
}

static void
a_domain_or_a_provider_is_kept_from_rolling_up(void **state)
{
	struct conf *c = shaped(OWN,
	    "provider: { one: { mx: one.example, rollup: false } }\n"
	    "domain:\n"
	    "  alone.example: { rollup: false }\n"
	    "  again.example: { rollup: ~ }\n",
	    "default: {}\n");

	(void)state;
	assert_non_null(c);
	assert_true(is_rolled_up(c, "x.example", "mx.example"));
	assert_false(is_rolled_up(c, "alone.example", "mx.example"));
	assert_false(is_rolled_up(c, "x.example", "mx.one.example"));
	assert_true(is_rolled_up(c, "again.example", "mx.one.example"));
	conf_free(c);
	/* A default that is said is not said of each domain. */
	c = shaped(OWN "limits: { default: { rollup: true } }\n",
	    "provider: { one: { mx: one.example, rollup: false } }\n",
	    "default: {}\n");
	assert_non_null(c);
	assert_false(is_rolled_up(c, "x.example", "mx.one.example"));
	conf_free(c);
}

static void
errors_name_their_file(void **state)
{
	struct conf *c = shaped(OWN "provider: { p: { mx: [a b] } }\n",
	    "default: { conections: 3 }\n"
	    "provider: { p: { connections: many } }\n",
	    "source: { c: { connections: 1 } }\n");

	(void)state;
	assert_null(c);
	assert_string_equal(told.text,
	    "one.yml:1:12: unknown key, expected an option of default (did "
	    "you mean \"connections\"?), got \"conections\"\n"
	    "one.yml:2:31: provider.p.connections, expected a number from 0 "
	    "to 100000, got \"many\"\n"
	    "two.yml:1:11: warning: source, expected one that the "
	    "configuration has, got \"c\"\n"
	    "own.yml:4:23: provider.p.mx, expected a domain or pattern such "
	    "as *.example, in ASCII, got \"a b\"\n");
}

/* Thousands of entries are found as fast as a few. */
static void
thousands_of_domains_are_found(void **state)
{
	struct conf *c;
	char domain[32];
	struct buf b;

	(void)state;
	buf_init(&b, 1u << 20);
	buf_addz(&b, OWN "limits:\n");
	for (int i = 0; i < 4000; i++)
		buf_addf(&b, "  '%sd%d.example': { connections: %d }\n",
		    i % 2 ? "*." : "", i, i + 1);
	told_init(&told);
	buf_addc(&b, '\0');
	c = conf_parse("own.yml", slice_str(b.p + b.off), &told.errs);
	assert_non_null(c);
	for (int i = 0; i < 4000; i++) {
		char expected[64];

		snprintf(domain, sizeof(domain), "%sd%d.example",
		    i % 2 ? "a.b." : "", i);
		snprintf(expected, sizeof(expected), "%d domain own.yml:%d",
		    i + 1, i + 5);
		assert_limit(c, domain, "mx.example", 0, CONNS, expected);
	}
	buf_free(&b);
	conf_free(c);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_later_layer_wins_key_by_key),
		cmocka_unit_test(a_later_file_wins_and_a_tilde_sets_back),
		cmocka_unit_test(tls_is_of_the_destination),
		cmocka_unit_test(
		    a_provider_is_known_by_host_then_mx_then_domain),
		cmocka_unit_test(
		    a_domain_or_a_provider_is_kept_from_rolling_up),
		cmocka_unit_test(errors_name_their_file),
		cmocka_unit_test(thousands_of_domains_are_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * A whole configuration field by field, defaults, what ~ does, and what a
 * listener and a limit inherit.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "test_conf.h"

static const char example[] =
    "hostname: mta1.example\n"
    "postmaster: ops@mta1.example\n"
    "spool: /tmp/x/spool\n"
    "control: /tmp/x/control.sock\n"
    "log: /tmp/x/log\n"
    "listen:\n"
    "  in: { bind: 127.0.0.1:2525, relay_from: [127.0.0.0/8] }   # also\n"
    "dns: { servers: [127.0.0.1:5353] }     # omitted: the system's\n"
    "source:\n"
    "  a: { address: 127.0.0.10, ehlo: a.mta.example }\n"
    "  b: { address: 127.0.0.11 }\n"
    "pool:\n"
    "  default: { sources: [a, b] }\n"
    "smtp_port: 2526                        # default 25\n"
    "route:\n"
    "  \"*.internal.example\": { hosts: [127.0.0.1:2600] }\n";

static struct told told;

/* A text that must be read without a word. */
static struct conf *
good(const char *text)
{
	struct conf *c = told_parse(&told, text);

	assert_string_equal(told.text, "");
	assert_non_null(c);
	assert_int_equal(told.errs.n, 0);
	return c;
}

/* The same, with warnings let pass. */
static struct conf *
accepted(const char *text)
{
	struct conf *c = told_parse(&told, text);

	assert_non_null(c);
	assert_int_equal(told.nerrors, 0);
	return c;
}

static void
assert_text(struct slice got, const char *want)
{
	assert_int_equal(got.n, strlen(want));
	assert_string_equal(got.p, want); /* so there is a NUL behind */
}

static void
assert_endpoint(const struct endpoint *e, const char *want)
{
	char text[ENDPOINT_TEXT_MAX];

	endpoint_format(text, e);
	assert_string_equal(text, want);
}

static void
assert_ip(const struct ip *ip, const char *want)
{
	char text[IP_TEXT_MAX];

	ip_format(text, ip);
	assert_string_equal(text, want);
}

static void
example_names_and_places(void **state)
{
	struct conf *c = good(example);

	(void)state;
	assert_text(c->file, "f.yml");
	assert_text(c->hostname, "mta1.example");
	assert_text(c->postmaster, "ops@mta1.example");
	assert_text(c->spool, "/tmp/x/spool");
	assert_text(c->control, "/tmp/x/control.sock");
	assert_text(c->log, "/tmp/x/log");
	assert_int_equal(c->dns.nservers, 1);
	assert_endpoint(&c->dns.servers[0], "127.0.0.1:5353");
	assert_int_equal(c->smtp_port, 2526);
	conf_free(c);
}

static void
example_listener(void **state)
{
	struct conf *c = good(example);
	const struct conf_listen *l = c->listen;
	char text[64];

	(void)state;
	assert_int_equal(c->nlisten, 1);
	assert_text(l->name, "in");
	assert_endpoint(&l->bind, "127.0.0.1:2525");
	assert_int_equal(l->nrelay_from, 1);
	cidr_format(text, &l->relay_from[0]);
	assert_string_equal(text, "127.0.0.0/8");
	assert_int_equal(l->tenant.n + l->campaign.n + l->pool.n, 0);
	assert_int_equal(l->tls.cert.n + l->tls.key.n, 0);
	assert_false(l->smtp.offers_tls);
	assert_false(l->smtp.normalises_bare);
	assert_text(l->smtp.hostname, "mta1.example");
	conf_free(c);
}

static void
example_sources_pools_routes(void **state)
{
	struct conf *c = good(example);

	(void)state;
	assert_int_equal(c->nsources, 2);
	assert_text(c->sources[0].name, "a");
	assert_ip(&c->sources[0].address, "127.0.0.10");
	assert_text(c->sources[0].ehlo, "a.mta.example");
	assert_text(c->sources[1].name, "b");
	assert_ip(&c->sources[1].address, "127.0.0.11");
	assert_int_equal(c->sources[1].ehlo.n, 0);
	assert_int_equal(c->npools, 1);
	assert_text(c->pools[0].name, "default");
	assert_int_equal(c->pools[0].nsources, 2);
	assert_int_equal(c->pools[0].sources[0], 0);
	assert_int_equal(c->pools[0].sources[1], 1);
	assert_text(c->default_pool, "default");
	assert_int_equal(c->nroutes, 1);
	assert_text(c->routes[0].pattern, "*.internal.example");
	assert_int_equal(c->routes[0].nhosts, 1);
	assert_text(c->routes[0].host[0], "127.0.0.1:2600");
	assert_endpoint(&c->routes[0].addr[0], "127.0.0.1:2600");
	conf_free(c);
}

/* The rows repeat the defaults of the rooms below: none may drift. */
static void
defaults_are_those_of_the_rooms(void **state)
{
	struct conf *c = accepted("hostname: mx.example\n");
	struct smtp_srv_conf srv;
	struct smtp_cli_conf cli;

	(void)state;
	smtp_srv_conf_default(&srv);
	smtp_cli_conf_default(&cli);
#define X(name, dflt) assert_int_equal(c->listen_default.smtp.name, srv.name);
	SMTP_SRV_TIMEOUTS(X)
#undef X
#define X(name, dflt) assert_int_equal(c->client.name, cli.name);
	SMTP_CLI_TIMEOUTS(X)
#undef X
	assert_true(c->listen_default.smtp.size_max == srv.size_max);
	assert_int_equal(c->listen_default.smtp.rcpts_max, srv.rcpts_max);
	assert_int_equal(c->listen_default.smtp.errors_max, srv.errors_max);
	assert_int_equal(c->listen_default.smtp.body_line_max,
	    srv.body_line_max);
	assert_int_equal(c->client.pipelines, cli.pipelines);
	assert_int_equal(c->client.chains, cli.chains);
#define X(name, type, dflt) assert_true(c->shapes[0].shape.name == (dflt));
	ENG_SHAPE_TABLE(X)
#undef X
	conf_free(c);
}

static void
defaults_of_an_empty_file(void **state)
{
	struct conf *c = accepted("hostname: mx.example\n");

	(void)state;
	assert_text(c->postmaster, "postmaster@mx.example");
	assert_text(c->spool, "/var/spool/mtad");
	assert_text(c->control, "/run/mtad/control.sock");
	assert_text(c->log, "/var/log/mtad");
	assert_int_equal(c->user.n, 0);
	assert_int_equal(c->smtp_port, 25);
	assert_true(c->is_ipv4 && c->is_ipv6 && c->tls_out);
	assert_true(c->client.wants_tls);
	assert_true(c->expire_us == 5 * 86400 * US_PER_S);
	assert_true(c->retry.first_us == 600 * US_PER_S);
	assert_true(c->retry.max_us == 4 * 3600 * US_PER_S);
	assert_int_equal(c->retry.factor_pct, 200);
	assert_int_equal(c->retry.jitter_pct, 10);
	assert_int_equal(c->retry.nlist, 0);
	assert_true(c->dns.timeout_us == 5 * US_PER_S);
	assert_int_equal(c->dns.nservers, 0);
	assert_true(c->spool_segment_bytes == 64u << 20);
	assert_true(c->staging_bytes == 64u << 20);
	assert_true(c->stop_timeout_us == 30 * US_PER_S);
	assert_int_equal(c->nlisten, 0);
	assert_int_equal(c->nshapes, 1);
	assert_text(c->shapes[0].pattern, "*");
	conf_free(c);
}

/* Without sources and pools mail goes out all the same. */
static void
source_and_pool_may_be_left_out(void **state)
{
	struct conf *c = accepted("hostname: mx.example\n");

	(void)state;
	assert_int_equal(c->nsources, 1);
	assert_int_equal(c->sources[0].address.family, 0);
	assert_int_equal(c->npools, 1);
	assert_text(c->default_pool, "default");
	assert_int_equal(c->pools[0].nsources, 1);
	conf_free(c);
	c = accepted("hostname: mx.example\n"
		     "source: { a: { address: 10.0.0.1 },"
		     " b: { address: \"2001:db8::1\" } }\n"
		     "route: { x.example: { pool: default } }\n");
	assert_int_equal(c->pools[0].nsources, 2);
	assert_int_equal(c->pools[0].sources[1], 1);
	assert_ip(&c->sources[1].address, "2001:db8::1");
	conf_free(c);
	c = accepted(
	    "hostname: mx.example\n"
	    "source: { a: { address: 10.0.0.1 },"
	    " b: { address: 10.0.0.2 }, c: { address: 10.0.0.3 } }\n"
	    "pool: { default: { sources: [{ c: 7 }, a, \"b:3\"] } }\n");
	assert_int_equal(c->pools[0].nsources, 3);
	assert_int_equal(c->pools[0].sources[0], 2);
	assert_int_equal(c->pools[0].weights[0], 7);
	assert_int_equal(c->pools[0].weights[1], 1);
	assert_int_equal(c->pools[0].weights[2], 3);
	conf_free(c);
}

static void
a_single_pool_is_the_default(void **state)
{
	struct conf *c = accepted("hostname: mx.example\n"
				  "source: { a: { address: 10.0.0.1 } }\n"
				  "pool: { only: { sources: a } }\n");

	(void)state;
	assert_text(c->default_pool, "only");
	assert_int_equal(c->pools[0].nsources, 1);
	conf_free(c);
	c = accepted("hostname: mx.example\n"
		     "source: { a: { address: 10.0.0.1 } }\n"
		     "pool: { p: { sources: a }, q: { sources: a } }\n"
		     "default_pool: q\n");
	assert_text(c->default_pool, "q");
	conf_free(c);
}

static void
null_unsets(void **state)
{
	struct conf *c = accepted("hostname: mx.example\n"
				  "smtp_port: ~\n"
				  "expire: null\n"
				  "spool:\n"
				  "dns: ~\n"
				  "retry: { first: ~, schedule: ~ }\n"
				  "source: { a: ~, b: { address: 10.0.0.2 } }\n"
				  "limits: { default: ~, x.example: ~ }\n");

	(void)state;
	assert_int_equal(c->smtp_port, 25);
	assert_true(c->expire_us == 5 * 86400 * US_PER_S);
	assert_text(c->spool, "/var/spool/mtad");
	assert_true(c->retry.first_us == 600 * US_PER_S);
	assert_int_equal(c->nsources, 1);
	assert_text(c->sources[0].name, "b");
	assert_int_equal(c->nshapes, 1);
	conf_free(c);
}

/* The top level speaks for every listener, wherever in the file it stands. */
static void
listeners_inherit_and_override(void **state)
{
	struct conf *c =
	    good("hostname: mx.example\n"
		 "listen:\n"
		 "  a: { bind: 127.0.0.1:25, relay_from: 10.0.0.1,\n"
		 "       recipients_max: 5, hostname: a.example,\n"
		 "       timeouts: { body: 1s }, hops_max: ~ }\n"
		 "  b: { bind: \"[::1]:25\", tenant: t,\n"
		 "       bare_newlines: normalise }\n"
		 "hops_max: 30\n"
		 "recipients_max: 200\n"
		 "banner: hello there\n"
		 "timeouts: { command: 90s, body: 2m }\n");
	const struct conf_listen *a = &c->listen[0], *b = &c->listen[1];

	(void)state;
	assert_int_equal(a->smtp.rcpts_max, 5);
	assert_int_equal(b->smtp.rcpts_max, 200);
	assert_int_equal(a->hops_max, 30);
	assert_int_equal(b->hops_max, 30);
	assert_int_equal(a->smtp.body_ms, 1000);
	assert_int_equal(a->smtp.command_ms, 90000);
	assert_int_equal(b->smtp.body_ms, 120000);
	assert_text(a->smtp.hostname, "a.example");
	assert_text(b->smtp.hostname, "mx.example");
	assert_text(a->smtp.banner, "hello there");
	assert_text(b->tenant, "t");
	assert_false(a->smtp.normalises_bare);
	assert_true(b->smtp.normalises_bare);
	assert_endpoint(&b->bind, "[::1]:25");
	assert_int_equal(a->relay_from[0].bits, 32);
	conf_free(c);
}

/* `default` first, though it stands last in the file. */
static void
limits_inherit_from_default(void **state)
{
	struct conf *c = accepted(
	    "hostname: mx.example\n"
	    "limits:\n"
	    "  big.example: { rate: none, connections: 50 }\n"
	    "  \"*.small.example\": { burst: 7, rate: 6000/10m }\n"
	    "  default: { connections: 3, rate: 100/s, backoff_min: 2s }\n");
	const struct conf_shape *s = c->shapes;

	(void)state;
	assert_int_equal(c->nshapes, 3);
	assert_text(s[0].pattern, "*");
	assert_int_equal(s[0].shape.conns_max, 3);
	assert_int_equal(s[0].shape.rate_count, 100);
	assert_true(s[0].shape.rate_period_us == US_PER_S);
	assert_text(s[1].pattern, "big.example");
	assert_int_equal(s[1].shape.conns_max, 50);
	assert_int_equal(s[1].shape.rate_count, 0);
	assert_true(s[1].shape.backoff_min_us == 2 * US_PER_S);
	assert_text(s[2].pattern, "*.small.example");
	assert_int_equal(s[2].shape.conns_max, 3);
	assert_int_equal(s[2].shape.rate_burst, 7);
	assert_int_equal(s[2].shape.rate_count, 6000);
	assert_true(s[2].shape.rate_period_us == 600 * US_PER_S);
	conf_free(c);
}

static void
route_hosts_are_names_or_addresses(void **state)
{
	struct conf *c = accepted(
	    "hostname: mx.example\n"
	    "smtp_port: 2526\n"
	    "route:\n"
	    "  a.example: { hosts: [mx.a.example, \"[::1]\", 10.0.0.1,\n"
	    "                       \"mx2.a.example:99\", \"[::1]:98\"] }\n"
	    "  b.example: { hosts: mx.b.example, tenant: t, campaign: c }\n"
	    "  \"*\": {}\n");
	const struct conf_route *r = c->routes;

	(void)state;
	assert_int_equal(r[0].nhosts, 5);
	assert_text(r[0].host[0], "mx.a.example");
	assert_int_equal(r[0].addr[0].ip.family, 0);
	assert_int_equal(r[0].addr[0].port, 2526);
	assert_endpoint(&r[0].addr[1], "[::1]:2526");
	assert_endpoint(&r[0].addr[2], "10.0.0.1:2526");
	assert_text(r[0].host[3], "mx2.a.example");
	assert_int_equal(r[0].addr[3].ip.family, 0);
	assert_int_equal(r[0].addr[3].port, 99);
	assert_endpoint(&r[0].addr[4], "[::1]:98");
	assert_int_equal(r[1].nhosts, 1);
	assert_text(r[1].tenant, "t");
	assert_text(r[1].campaign, "c");
	assert_int_equal(r[2].nhosts, 0);
	conf_free(c);
}

/* Words and numbers stay what was written until the option says its type. */
static void
scalars_are_read_by_type(void **state)
{
	struct conf *c = accepted("hostname: mx.example\n"
				  "ipv6: no\n"
				  "node: 0123\n"
				  "source: { on: { address: 10.0.0.1 } }\n"
				  "pool: { 0x1f: { sources: on } }\n"
				  "client: { chaining: OFF, tls: none }\n"
				  "spool_max: 1G\n"
				  "expire: 90\n"
				  "retry: { factor: 1.5, jitter: 25% }\n");

	(void)state;
	assert_false(c->is_ipv6);
	assert_int_equal(c->node, 123);
	assert_text(c->sources[0].name, "on");
	assert_text(c->pools[0].name, "0x1f");
	assert_false(c->client.chains);
	assert_false(c->tls_out);
	assert_false(c->client.wants_tls);
	assert_true(c->spool_max_bytes == 1u << 30);
	assert_true(c->expire_us == 90 * US_PER_S);
	assert_int_equal(c->retry.factor_pct, 150);
	assert_int_equal(c->retry.jitter_pct, 25);
	conf_free(c);
}

static void
schedule_replaces_growth(void **state)
{
	struct conf *c =
	    accepted("hostname: mx.example\n"
		     "retry: { schedule: [10m, 30m, 1h30m], jitter: 0% }\n");

	(void)state;
	assert_int_equal(c->retry.nlist, 3);
	assert_true(c->retry.list_us[0] == 600 * US_PER_S);
	assert_true(c->retry.list_us[2] == 5400 * US_PER_S);
	assert_int_equal(c->retry.jitter_pct, 0);
	conf_free(c);
}

/* Anchors save typing; merge keys are no option. */
static void
aliases_repeat_a_value(void **state)
{
	struct conf *c = good(
	    "hostname: mx.example\n"
	    "listen:\n"
	    "  a: { bind: 127.0.0.1:1, relay_from: &own [10.0.0.0/8, \"::1\"] }\n"
	    "  b: { bind: 127.0.0.1:2, relay_from: *own }\n");

	(void)state;
	assert_int_equal(c->listen[1].nrelay_from, 2);
	assert_int_equal(c->listen[1].relay_from[1].bits, 128);
	conf_free(c);
}

static void
shipped_files_are_good(void **state)
{
	static const char *const paths[] = { "share/etc/mtad.yml",
		"share/etc/demo.yml" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
		struct conf *c;

		told_init(&told);
		c = conf_load(paths[i], &told.errs);
		assert_int_equal(told.nerrors, 0);
		assert_non_null(c);
		conf_free(c);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(example_names_and_places),
		cmocka_unit_test(example_listener),
		cmocka_unit_test(example_sources_pools_routes),
		cmocka_unit_test(defaults_are_those_of_the_rooms),
		cmocka_unit_test(defaults_of_an_empty_file),
		cmocka_unit_test(source_and_pool_may_be_left_out),
		cmocka_unit_test(a_single_pool_is_the_default),
		cmocka_unit_test(null_unsets),
		cmocka_unit_test(listeners_inherit_and_override),
		cmocka_unit_test(limits_inherit_from_default),
		cmocka_unit_test(route_hosts_are_names_or_addresses),
		cmocka_unit_test(scalars_are_read_by_type),
		cmocka_unit_test(schedule_replaces_growth),
		cmocka_unit_test(aliases_repeat_a_value),
		cmocka_unit_test(shipped_files_are_good),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

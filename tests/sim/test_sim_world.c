/*
 * World files: what they say is what receivers and the zone get, and every
 * mistake is told with its place.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "world/worldfile.h"

static char path[256];
static char said[4096];

static void
report(void *ctx, const char *line)
{
	size_t n = strlen(said);

	(void)ctx;
	/* The place and the words, without the directory. */
	line = strstr(line, "w.yml") != NULL ? strstr(line, "w.yml") : line;
	snprintf(said + n, sizeof(said) - n, "%s\n", line);
}

static struct world *
load(const char *text)
{
	struct conf_errors errs = { .report = report };
	const char *dir = getenv("TMP");
	FILE *f;

	snprintf(path, sizeof(path), "%s/w.yml", dir != NULL ? dir : "/tmp");
	f = fopen(path, "we");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
	said[0] = '\0';
	return world_load(path, &errs);
}

static void
a_whole_world_is_read(void **state)
{
	struct world *w = load("dns: 127.0.0.1:5399\n"
			       "port: 2599\n"
			       "seed: 7\n"
			       "ttl: 60\n"
			       "provider:\n"
			       "  big:\n"
			       "    domains: [big.example, \"*.big.example\"]\n"
			       "    mx: [5 mx1.big.example 127.1.0.1 127.1.0.2,"
			       " 10 mx2.big.example 127.1.0.3 dead]\n"
			       "    hostname: mx.big.example\n"
			       "    connections: 20\n"
			       "    messages_per_connection: 100\n"
			       "    per_source: { connections: 5, rate: 600/m,"
			       " burst: 9, over: \"421 4.7.28 slow\","
			       " over_at: eom }\n"
			       "    delay: [connect:10ms, 30ms]\n"
			       "    replies: \"rcpt:1.5%:550 5.1.1 unknown\"\n"
			       "    pipelining: no\n"
			       "  small:\n"
			       "    domains: d{1..9}.example\n"
			       "    mx: 0 mx.small.example 127.1.1.1\n"
			       "    silent: yes\n"
			       "names:\n"
			       "  gone.example: NXDOMAIN\n"
			       "  slow.example: [A 127.0.0.1, DELAY 1s]\n");
	const struct provider *p;

	(void)state;
	if (w == NULL)
		fail_msg("%s", said);
	assert_int_equal(w->nproviders, 2);
	assert_int_equal(w->port, 2599);
	assert_true(w->seed == 7);
	p = world_provider(w, SL("Sub.BIG.example"));
	assert_ptr_equal(p, &w->providers[0]);
	assert_int_equal(p->naddrs, 2);
	assert_int_equal(p->behave.conns_max, 20);
	assert_int_equal(p->behave.messages_max, 100);
	assert_int_equal(p->behave.source_conns_max, 5);
	assert_true(p->behave.rate_count == 600);
	assert_true(p->behave.rate_period_us == 60 * US_PER_S);
	assert_int_equal(p->behave.over.code, 421);
	assert_int_equal(p->behave.over_stage, AT_EOM);
	assert_true(p->behave.delay[AT_CONNECT].a == 10000);
	assert_true(p->behave.delay[AT_EOM].a == 30000);
	assert_int_equal(p->behave.rules[0].share_ppm, 15000);
	assert_true(p->behave.hides_pipelining && !p->behave.is_silent);
	assert_ptr_equal(world_provider(w, SL("d9.example")), &w->providers[1]);
	assert_null(world_provider(w, SL("d10.example")));
	world_free(w);
}

static void
a_provider_has_bad_times_and_times_that_vary(void **state)
{
	struct world *w = load(
	    "provider:\n"
	    "  a:\n"
	    "    domains: a.example\n"
	    "    mx: 1 mx.a.example 127.1.0.1\n"
	    "    delay: [connect:uniform 10ms 20ms, gamma mean 250ms k=4]\n"
	    "    refusal: 50ms\n"
	    "    events: [ { at: 20s, for: 10s },\n"
	    "      { at: 25s, for: 1h, stage: eom, reply: \"452 4.3.1 full\" },\n"
	    "      { at: 40s, for: 5s, stage: connect, reply: 554 },\n"
	    "      { at: 45s, for: 5s, stage: connect, reply: close } ]\n");
	const struct behave *b;

	(void)state;
	if (w == NULL)
		fail_msg("%s", said);
	b = &w->providers[0].behave;
	assert_int_equal(b->delay[AT_CONNECT].kind, DIST_UNIFORM);
	assert_int_equal(b->delay[AT_EOM].kind, DIST_GAMMA);
	assert_true(b->has_refusal && b->refusal.a == 50000);
	assert_null(behave_spell(b, AT_MAIL, 20 * US_PER_S - 1));
	assert_int_equal(behave_spell(b, AT_MAIL, 20 * US_PER_S)->code, 421);
	assert_null(behave_spell(b, AT_MAIL, 30 * US_PER_S));
	assert_null(behave_spell(b, AT_EOM, 20 * US_PER_S));
	assert_int_equal(behave_spell(b, AT_EOM, 3624 * US_PER_S)->code, 452);
	assert_null(behave_spell(b, AT_EOM, 3625 * US_PER_S));
	/* An outage meets who is connected, and bounces nothing of his. */
	assert_int_equal(behave_spell(b, AT_CONNECT, 42 * US_PER_S)->code, 554);
	assert_int_equal(behave_spell(b, AT_MAIL, 42 * US_PER_S)->code, 421);
	assert_null(behave_spell(b, AT_RCPT, 42 * US_PER_S));
	assert_int_equal(behave_spell(b, AT_MAIL, 47 * US_PER_S)->kind,
	    VERDICT_CLOSE);
	world_free(w);
}

static void
every_mistake_is_told_with_its_place(void **state)
{
	static const struct {
		const char *text, *said;
	} cases[] = {
		{ "port: high\n", "w.yml:1:7: expected a number" },
		{ "prot: 25\n", "w.yml:1:1: prot: unknown key" },
		{ "dns: nowhere\n", "w.yml:1:6: expected ADDRESS:PORT" },
		{ "provider: 5\n", "w.yml:1:11: expected a map" },
		{ "provider:\n  a:\n    mx: 1 m.example 127.0.0.1\n",
		    "expected domains and mx" },
		{ "provider:\n  a: { domains: x.example, mx: m.example }\n",
		    "w.yml:2:32: expected \"PREFERENCE HOST" },
		{ "provider:\n  a: { domains: x.example,"
		  " mx: 1 m.example 127.0.0.300 }\n",
		    "'127.0.0.300' is no address" },
		{ "provider:\n  a:\n    replies:\n      - eom:5%:251 x\n",
		    "w.yml:4:9: expected a reply" },
		{ "provider:\n  a:\n    replies: [eom:5:451 x]\n",
		    "w.yml:3:15: expected a share" },
		{ "provider:\n  a:\n    delay: end:5ms\n",
		    "w.yml:3:12: expected connect" },
		{ "provider:\n  a:\n    delay: gamma 5ms\n",
		    "w.yml:3:12: expected a time such as" },
		{ "provider:\n  a:\n    events: { at: 5s }\n",
		    "w.yml:3:13: an event: expected at and for" },
		{ "provider:\n  a:\n    events: { at: 5s, for: x }\n",
		    "w.yml:3:28: expected a time" },
		{ "provider:\n  a:\n    silent: perhaps\n",
		    "w.yml:3:13: expected yes or no" },
		{ "provider:\n  a:\n    per_source: { rate: fast }\n",
		    "w.yml:3:25: expected a rate" },
		{ "names:\n  a.example: WHAT\n", "w.yml:2:14: expected MX" },
		{ "names: [a]\n", "w.yml:1:8: expected a map of names" },
		{ "- 1\n", "w.yml:1:1: a world: expected a map" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		assert_null(load(cases[i].text));
		if (strstr(said, cases[i].said) == NULL)
			fail_msg("%s: said '%s'", cases[i].text, said);
	}
}

static void
all_mistakes_are_told_at_once(void **state)
{
	const char *at;
	int n = 0;

	(void)state;
	assert_null(load("port: x\nseed: y\nttl: z\nwhat: 1\n"));
	for (at = said; (at = strstr(at, "w.yml:")) != NULL; at++)
		n++;
	assert_int_equal(n, 4);
	assert_null(load("port: 1\nport: 2\n"));
	assert_non_null(strstr(said, "w.yml:2:1:"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_whole_world_is_read),
		cmocka_unit_test(a_provider_has_bad_times_and_times_that_vary),
		cmocka_unit_test(every_mistake_is_told_with_its_place),
		cmocka_unit_test(all_mistakes_are_told_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

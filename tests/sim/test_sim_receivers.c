/*
 * The receivers that ship: each can be read, has a host and domains of its own,
 * and each of its guards refuses a client that knows no measure and lets in one
 * that asks once.
 */
#include <glob.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "plan/scenario.h"
#include "world/guard.h"

#define CONNECTIONS 1100
#define MESSAGES 20
#define RECIPIENTS 40
#define LEAST 20 /* receivers */

static void
report(void *ctx, const char *line)
{
	snprintf(ctx, 400, "%s", line);
}

static struct scen *
load(const char *path)
{
	static const struct slice policy =
	    SL("hostname: m.example\nsource: { a: {} }\n"
	       "pool: { p: { sources: [a] } }\n");
	char why[400] = "";
	struct conf_errors errs = { .report = report, .ctx = why };
	struct scen *s;
	struct buf text;

	buf_init(&text, 8192);
	(void)buf_addf(&text,
	    "config: here\nprovider: { p: { model: %s } }\n"
	    "workload: { w: { arrival: campaign 1, recipients: { p: 1 } } }\n",
	    path);
	s = scen_parse("t.yml", buf_slice(&text), policy, &errs);
	buf_free(&text);
	if (s == NULL)
		fail_msg("%s: %s", path, why);
	return s;
}

/* Its one guard, alone, asked by one who opens connections, sends and never
 * leaves; how often it refuses, and whether it refused the very first. */
static uint32_t
ask_without_measure(const struct guard *g, bool *first)
{
	struct guard one = *g;
	struct behave b = { .nguards = 1, .guards = &one };
	struct guard_memory m;
	struct guard_ask a = { .sender = SL("s.example"),
		.rcpt = SL("u@r.example"),
		.domain = SL("r.example"),
		.source =
		    g->only.n ? slice_of(g->only.p, g->only.n - 1) : SL("a") };
	uint32_t refused = 0, asked = 0;

	assert_int_equal(ip_parse(SL("192.0.2.1"), &a.ip), 0);
	guard_memory_init(&m, 1);
	for (int c = 0; c < CONNECTIONS; c++) {
		a.connection++;
		for (int s = AT_CONNECT; s < AT_N; s++)
			for (int i = 0; i < (s == AT_CONNECT ? 1 : MESSAGES);
			     i++) {
				a.now_us += US_PER_MS;
				a.transaction += s != AT_CONNECT;
				for (int k = 0;
				     k < (s == AT_RCPT ? RECIPIENTS : 1); k++) {
					bool no =
					    guards_ask(&b, &m,
						(enum sim_stage)s, &a) != NULL;

					if (asked++ == 0)
						*first = no;
					refused += no;
				}
			}
	}
	guard_memory_free(&m);
	return refused;
}

/* What is counted in one transaction needs many recipients there. */
static uint32_t
ask_for_many(const struct guard *g)
{
	struct guard one = *g;
	struct behave b = { .nguards = 1, .guards = &one };
	struct guard_memory m;
	struct guard_ask a = { .source = SL("a") };
	uint32_t refused = 0;

	guard_memory_init(&m, 1);
	for (int i = 0; i < 2000; i++)
		refused += guards_ask(&b, &m, AT_RCPT, &a) != NULL;
	guard_memory_free(&m);
	return refused;
}

static void
look_at(const char *path)
{
	struct scen *s = load(path);
	const struct scen_provider *p = &s->providers[0];
	const struct behave *b = &p->behave;

	if (p->host.n == 0 || p->ndomains == 0 || b->nguards == 0)
		fail_msg("%s: it has no host, domain or guard", path);
	for (uint32_t i = 0; i < b->nguards; i++) {
		const struct guard *g = &b->guards[i];
		bool first = false;
		uint32_t refused = ask_without_measure(g, &first);

		if (g->by & BY_TRANSACTION)
			refused = ask_for_many(g);
		if (refused == 0)
			fail_msg("%s: %.*s never refuses", path, SLF(g->name));
		if (g->over.kind == VERDICT_REPLY && g->over.text[0] == '\0')
			fail_msg("%s: %.*s says nothing", path, SLF(g->name));
		if (first && g->kind != GUARD_DENY && g->kind != GUARD_GREYLIST)
			fail_msg("%s: %.*s lets nobody in", path, SLF(g->name));
	}
	scen_free(s);
}

static void
each_refuses_whom_it_should(void **state)
{
	const char *top = getenv("TOP") ? getenv("TOP") : ".";
	char pattern[4096];
	glob_t found;

	(void)state;
	snprintf(pattern, sizeof(pattern), "%s/share/receivers/*.yml", top);
	assert_int_equal(glob(pattern, 0, NULL, &found), 0);
	assert_true(found.gl_pathc >= LEAST);
	for (size_t i = 0; i < found.gl_pathc; i++) {
		char *full = realpath(found.gl_pathv[i], NULL);

		assert_non_null(full);
		look_at(full);
		free(full);
	}
	globfree(&found);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_refuses_whom_it_should),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

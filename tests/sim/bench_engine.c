/*
 * bench_engine - what an event costs the engine: nanoseconds and cold cache
 * lines by kind, at several sizes of the queue and numbers of sites.
 *
 *	[HUGE=1] bench_engine [QUEUED [RESULTS [SITES]]]
 *
 * HUGE: on huge pages, as the simulator's engine. The daemon's is not: they are
 * faster at the median, but the first touch of one is long, on a virtual machine
 * some 10 ms.
 *
 * Sites are drawn by Zipf 1.1, tenants (1,000) by Zipf 1.0; there are 500 sources
 * in two pools. The queue is filled with no session open; then a world in which
 * all goes well, on 1,000 sessions,
 * keeps it full. `miss` is what one dependent miss in a table of that size takes.
 * Then, told apart: a reload amid that world, which every domain and line hears
 * of; and a wave: a twentieth of the queue is put off, and falls due at once.
 *
 * Linked as bench_engine_lines it tells cold lines in place of nanoseconds: of a
 * model of a cache (lines.c), so that they are the same wherever they are
 * counted.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

#include "engine/engine.h"
#include "plan/choice.h"
#include "world/hist.h"
#include "bench/lines.h"

#define RESULTS 300000u
#define SESSIONS 1000u
#define TENANTS 1000u
#define SOURCES 500u
#define POOLS 2u /* a pool has 256 sources at most */
#define CHASES 1000000u

enum todo_kind { TODO_UP, TODO_RESULT, TODO_DOWN };
struct todo {
	enum todo_kind kind;
	struct handle session, txn;
	uint16_t n;
};

struct bench {
	struct eng *e;
	struct eng_policy *policy;
	struct eng_cmds cmds;
	struct eng_event ev;
	struct rng rng;
	struct arena arena;
	struct choice site, tenant;
	int64_t now;
	uint32_t sites, next_msg;
	/* Work of the world, a ring. */
	struct todo *todo;
	uint32_t head, tail, mask;
	uint32_t *free_msgs, nfree;
	/* What it took. */
	bool puts_off; /* every recipient, for an hour or so */
	uint64_t cost[ENG_EVENT_N], n[ENG_EVENT_N]; /* nanoseconds, or lines */
	struct hist took;                           /* of single steps */
	uint64_t longest; /* of those that the system let run */
	long switches;    /* that it has not, so far */
};

static uint64_t
clock_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* What it has cost so far: cold lines if they are counted. */
static uint64_t
cost_now(void)
{
	return lines_cold != NULL ? lines_cold() : clock_now_ns();
}

/* Has the system taken the processor away since this was asked last? Long steps
 * ask, and one in 256. */
static bool
was_put_aside(struct bench *b)
{
	struct rusage u;
	long before = b->switches;

	if (getrusage(RUSAGE_THREAD, &u) != 0)
		return false;
	b->switches = u.ru_nivcsw;
	return b->switches != before;
}

/* ---- the world ----------------------------------------------------------------- */

static void carry_out(struct bench *b);

static void
step(struct bench *b)
{
	enum eng_event_kind kind = b->ev.kind;
	uint64_t took;

	b->cmds.n = 0;
	took = cost_now();
	eng_step(b->e, &b->ev, b->now, &b->cmds);
	took = cost_now() - took;
	b->cost[kind] += took;
	if (took > b->longest && !was_put_aside(b))
		b->longest = took;
	b->n[kind]++;
	hist_add(&b->took, (int64_t)took);
	/* Else a switch of long ago would excuse a long step. */
	if (b->took.n % 256 == 0)
		(void)was_put_aside(b);
}

static void
push(struct bench *b, enum todo_kind kind, struct handle session,
    struct handle txn, uint16_t n)
{
	b->todo[b->tail++ & b->mask] = (struct todo){ kind, session, txn, n };
	ASSERT(b->tail - b->head <= b->mask);
}

static void
resolve(struct bench *b, uint32_t domain)
{
	uint32_t name = domain + b->sites;

	b->ev.kind = EV_RESOLVED;
	b->ev.resolved.domain = domain;
	b->ev.resolved.status = ENG_DNS_OK;
	b->ev.resolved.ttl_us = 86400 * US_PER_S;
	b->ev.resolved.where.dest = 0;
	b->ev.resolved.is_route = false;
	b->ev.resolved.ntargets = 1;
	b->ev.resolved.target[0] = (struct eng_target){ .host = name,
		.pref = 10,
		.ip = { .family = 4 },
		.port = 25 };
	memcpy(b->ev.resolved.target[0].ip.b, &name, sizeof(name));
	step(b);
	carry_out(b);
}

static void
shape(struct bench *b, uint32_t domain)
{
	b->ev.kind = EV_SHAPE;
	b->ev.shape.domain = domain;
	b->ev.shape.where.dest = 0;
	step(b);
	carry_out(b);
}

/* Commands of one step; look-ups are answered at once, behind them. */
static void
carry_out(struct bench *b)
{
	uint32_t asked[64], nasked = 0, shapes[1024], nshapes = 0;

	for (uint32_t i = 0; i < b->cmds.n; i++) {
		const struct eng_cmd *c = &b->cmds.v[i];

		if (c->kind == CMD_RESOLVE && nasked < 64)
			asked[nasked++] = c->domain;
		else if (c->kind == CMD_SHAPE)
			shapes[nshapes++ % 1024] = c->domain;
		else if (c->kind == CMD_OPEN)
			push(b, TODO_UP, c->open.session, HANDLE_NONE, 0);
		else if (c->kind == CMD_ASSIGN)
			push(b, TODO_RESULT, c->assign.session, c->assign.txn,
			    c->assign.n);
		else if (c->kind == CMD_CLOSE)
			push(b, TODO_DOWN, c->close, HANDLE_NONE, 0);
		else if (c->kind == CMD_DROP)
			b->free_msgs[b->nfree++] = c->drop;
	}
	for (uint32_t i = 0; i < nasked; i++)
		resolve(b, asked[i]);
	ASSERT(nshapes <= 1024);
	for (uint32_t i = 0; i < nshapes; i++)
		shape(b, shapes[i]);
}

static void
submit(struct bench *b)
{
	uint32_t msg = b->nfree ? b->free_msgs[--b->nfree] : ++b->next_msg;

	b->ev.kind = EV_MESSAGE;
	b->ev.message = (struct ev_message){ .msg = msg,
		.nrcpt = 1,
		.tenant = 1 + choice_draw(&b->tenant, &b->rng),
		.pool = UINT32_MAX - msg % POOLS,
		.arrival_us = b->now,
		.expires_us = b->now + 5 * 86400 * US_PER_S,
		.size = 4096,
		.is_null_sender = true };
	step(b);
	b->ev.kind = EV_RECIPIENT;
	b->ev.recipient = (struct ev_recipient){ .msg = msg,
		.domain = 1 + choice_draw(&b->site, &b->rng) };
	step(b);
	carry_out(b);
}

/* What the drivers do, which know what comes next; it is part of a result. */
static void
ask_ahead(struct bench *b)
{
	const struct todo *d = &b->todo[b->head & b->mask];
	uint64_t began;

	if (b->head == b->tail || d->kind != TODO_RESULT)
		return;
	began = cost_now();
	eng_result_ask(b->e, d->session, d->txn);
	b->cost[EV_RESULT] += cost_now() - began;
}

/* The oldest thing to do. */
static void
turn(struct bench *b)
{
	static const struct outcome well = { .klass = OUTCOME_DELIVERED,
		.stage = STAGE_EOM,
		.code = 250 };
	static const struct outcome put_off = { .klass = OUTCOME_TRANSIENT,
		.stage = STAGE_RCPT,
		.code = 450,
		.is_judged = true,
		.judged = { .kind = KIND_MAILBOX_FULL,
		    .scope = SCOPE_RECIPIENT } };
	struct todo d = b->todo[b->head++ & b->mask];

	b->now += 100;
	ask_ahead(b);
	switch (d.kind) {
	case TODO_UP:
		b->ev.kind = EV_SESSION_UP;
		b->ev.up = (struct ev_session_up){ .session = d.session };
		break;
	case TODO_RESULT:
		b->ev.kind = EV_RESULT;
		b->ev.result.session = d.session;
		b->ev.result.txn = d.txn;
		b->ev.result.is_sent = true;
		b->ev.result.in_doubt = false;
		b->ev.result.n = d.n;
		for (uint16_t i = 0; i < d.n; i++)
			b->ev.result.rcpt[i] = b->puts_off ? put_off : well;
		break;
	case TODO_DOWN:
		b->ev.kind = EV_SESSION_DOWN;
		b->ev.down = (struct ev_session_down){ .session = d.session,
			.outcome = { .klass = OUTCOME_DELIVERED } };
	}
	step(b);
	carry_out(b);
	if (eng_deadline(b->e) <= b->now) {
		b->ev.kind = EV_TICK;
		step(b);
		carry_out(b);
	}
}

static void
forget(struct bench *b)
{
	memset(b->cost, 0, sizeof(b->cost));
	memset(b->n, 0, sizeof(b->n));
	memset(&b->took, 0, sizeof(b->took));
	b->longest = 0;
}

static void
run(struct bench *b, uint32_t queued, uint64_t results)
{
	forget(b);
	while (b->n[EV_RESULT] < results) {
		struct eng_totals t;

		turn(b);
		for (eng_totals(b->e, &t); t.recipients < queued;
		     t.recipients++)
			submit(b);
	}
}

/* A configuration that says the same; all have to hear it nevertheless. */
static void
reload(struct bench *b, uint64_t results)
{
	forget(b);
	b->ev.kind = EV_CONF;
	b->ev.conf = b->policy;
	step(b);
	carry_out(b);
	while (b->n[EV_RESULT] < results) {
		turn(b);
		submit(b);
	}
}

/* A part of the queue is put off; then all of it is due at once. */
static void
wave(struct bench *b, uint32_t queued, uint64_t results)
{
	b->puts_off = true;
	run(b, queued, queued / 20);
	b->puts_off = false;
	b->now += 3 * 3600 * US_PER_S;
	run(b, queued, results);
}

/* ---- birth and death ----------------------------------------------------------- */

static void
make(struct bench *b, uint32_t queued, uint32_t sites)
{
	struct eng_limits limits = { UINT32_MAX / 2, UINT32_MAX / 2,
		UINT32_MAX / 2, UINT32_MAX / 2, SESSIONS };

	memset(b, 0, sizeof(*b));
	b->sites = sites;
	b->now = US_PER_S;
	rng_seed(&b->rng, 1);
	arena_init(&b->arena, 1u << 20, 64u << 20);
	ASSERT(choice_zipf(&b->site, 1.1, sites, &b->arena));
	ASSERT(choice_zipf(&b->tenant, 1.0, TENANTS, &b->arena));
	b->policy = mem_get(sizeof(*b->policy));
	eng_policy_default(b->policy);
	b->policy->default_pool = UINT32_MAX;
	b->policy->nsources = SOURCES;
	b->policy->npools = POOLS;
	for (uint32_t i = 0; i < POOLS; i++)
		b->policy->pools[i].name = UINT32_MAX - i;
	for (uint16_t i = 0; i < SOURCES; i++) {
		struct eng_pool_conf *pool = &b->policy->pools[i % POOLS];

		b->policy->sources[i] = (struct eng_source_conf){
			.name = 2 * sites + 1 + i,
			.has_v4 = true,
			.has_v6 = true,
		};
		pool->sources[pool->nsources++] = i;
	}
	b->e = eng_new(b->policy, &limits, 1, b->now);
	b->mask = (1u << 16) - 1;
	b->todo = mem_get((b->mask + 1) * sizeof(*b->todo));
	b->free_msgs = mem_get((queued + (1u << 16)) * sizeof(uint32_t));
	for (uint32_t i = 0; i < queued; i++)
		submit(b);
}

static void
unmake(struct bench *b)
{
	eng_free(b->e);
	eng_cmds_free(&b->cmds);
	mem_free(b->policy);
	mem_free(b->todo);
	mem_free(b->free_msgs);
	arena_free(&b->arena);
}

/* ---- what is printed ----------------------------------------------------------- */

/* Nanoseconds of a miss that the next one waits for, in a table as large as the
 * engine, at most a gigabyte; and those of reading the clock. */
static double
miss_ns(size_t bytes)
{
	size_t n = MIN(bytes, (size_t)1 << 30) / 64, at = 0;
	uint64_t *v = mem_huge_try(n * 64), began;
	struct rng rng;

	/* One cycle through all lines (Sattolo). */
	rng_seed(&rng, 1);
	for (size_t i = 0; i < n; i++)
		v[8 * i] = i;
	for (size_t i = n - 1; i > 0; i--) {
		size_t k = rng_below(&rng, i);
		uint64_t x = v[8 * i];

		v[8 * i] = v[8 * k];
		v[8 * k] = x;
	}
	began = clock_now_ns();
	for (uint32_t i = 0; i < CHASES; i++)
		at = v[8 * at];
	began = clock_now_ns() - began;
	mem_huge_free(v, n * 64);
	return (double)began / CHASES + (at == SIZE_MAX);
}

static double
clock_cost_ns(void)
{
	uint64_t began = clock_now_ns();

	if (lines_cold != NULL)
		return 0;
	for (int i = 0; i < 100000; i++)
		(void)clock_now_ns();
	return (double)(clock_now_ns() - began) / 100000;
}

static void
report_kinds(const struct bench *b, double clock)
{
	static const char *const names[] = {
#define X(name, text) text,
		ENG_EVENT_TABLE(X)
#undef X
	};

	for (int k = 0; k < ENG_EVENT_N; k++) {
		double each = (double)b->cost[k] / (double)MAX(b->n[k], 1u);

		if (b->n[k] == 0)
			continue;
		printf("  %-12s %7.3f a message ", names[k],
		    (double)b->n[k] / (double)b->n[EV_RESULT]);
		if (lines_cold != NULL)
			printf("%8.1f cold lines\n", each);
		else
			printf("%8.0f ns\n", MAX(each - clock, 0));
	}
}

static void
report_steps(const struct bench *b, const char *what)
{
	printf(
	    "  %-12s median %lld, 99.9 %% %lld, longest %lld (%lld undisturbed) %s\n",
	    what, (long long)hist_quantile(&b->took, 5000),
	    (long long)hist_quantile(&b->took, 9990), (long long)b->took.max,
	    (long long)b->longest, lines_cold != NULL ? "cold lines" : "ns");
}

static void
report(uint32_t queued, uint32_t results, uint32_t only)
{
	static const uint32_t sites[] = { 10, 10000, 100000 };
	static struct bench b;

	for (size_t s = 0; s < ARRAY_LEN(sites); s++) {
		double clock = clock_cost_ns();

		if (only != 0 && only != sites[s])
			continue;
		make(&b, queued, sites[s]);
		run(&b, queued, results / 2); /* into its stride */
		run(&b, queued, results);
		printf("%8u queued, %6u sites: engine %zu MB", queued, sites[s],
		    eng_memory(b.e) >> 20);
		if (lines_cold == NULL)
			printf(", miss %.0f ns", miss_ns(eng_memory(b.e)));
		putchar('\n');
		report_kinds(&b, clock);
		report_steps(&b, "a step");
		reload(&b, results);
		report_steps(&b, "in a reload");
		wave(&b, queued, results);
		report_steps(&b, "in a wave");
		fflush(stdout);
		unmake(&b);
	}
}

int
main(int argc, char **argv)
{
	static const uint32_t sizes[] = { 1000, 1000000, 10000000 };

	if (getenv("HUGE") != NULL)
		mem_prefer_huge();
	if (lines_cold != NULL)
		printf("counted in a model: 1 MB, 16 lines to a set, LRU\n");
	if (argc > 1) {
		report((uint32_t)strtoul(argv[1], NULL, 10),
		    argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 10) : RESULTS,
		    argc > 3 ? (uint32_t)strtoul(argv[3], NULL, 10) : 0);
		return 0;
	}
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++)
		report(sizes[i], RESULTS, 0);
	return 0;
}

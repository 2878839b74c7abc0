/*
 * test_core_proxy - which proxies are well: the core, in virtual time, told by
 * hand what is seen of them.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "relay/core_i.h"

#define START (1000 * US_PER_S)
#define WALL (INT64_C(1795516327) * US_PER_S)

static struct {
	struct core *core;
	struct conf *conf;
	struct gate gate;
	struct buf book;
	int64_t now;
	uint32_t looks[4];
} t;

/* ---- a driver that counts looks --------------------------------------------------- */

static void
op_resolve(void *ctx, uint32_t domain, struct slice name, bool is_host)
{
	(void)ctx;
	(void)domain;
	(void)name;
	(void)is_host;
}

static struct buf *
op_book(void *ctx)
{
	(void)ctx;
	buf_reset(&t.book);
	return &t.book;
}

static uint64_t
op_sequence(void *ctx)
{
	static uint64_t n;

	(void)ctx;
	return ++n;
}

static void
op_check_proxy(void *ctx, uint32_t proxy)
{
	(void)ctx;
	t.looks[proxy]++;
}

static const struct core_ops ops = {
	.resolve = op_resolve,
	.book = op_book,
	.sequence = op_sequence,
	.check_proxy = op_check_proxy,
};

static const char text[] =
    "hostname: mta1.example\nlisten: { in: { bind: 127.0.0.1:2525 } }\n"
    "proxy: { p: { address: 192.0.2.1:1, check: 30s },\n"
    "         q: { address: 192.0.2.2:1, check: 30s } }\n"
    "source: { a: { address: 198.51.100.1, proxies: [p, q] },\n"
    "          b: { address: 198.51.100.2, proxies: [p] },\n"
    "          c: { address: 198.51.100.3 } }\n";

static struct conf *
conf_of(const char *yaml)
{
	struct conf_errors errs = { .report = NULL };
	struct conf *c = conf_parse("test", slice_str(yaml), &errs);

	assert_non_null(c);
	return c;
}

static int
set_up(void **state)
{
	(void)state;
	memset(&t, 0, sizeof(t));
	log_setup(NULL, LOG_ERROR);
	t.conf = conf_of(text);
	buf_init(&t.book, 1u << 20);
	t.now = START;
	t.core = core_new(t.conf, NULL, &t.gate, 1, &ops, NULL, t.now, WALL);
	assert_non_null(t.core);
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	core_free(t.core);
	conf_free(t.conf);
	buf_free(&t.book);
	return 0;
}

static void
pass(int64_t us)
{
	t.now += us;
	core_clock(t.core, t.now, WALL + t.now - START);
	core_tick(t.core);
}

static void
seen(const char *proxy, const char *source, bool is_well, bool is_look,
    int64_t began_us)
{
	const struct core_seen s = { .proxy = slice_str(proxy),
		.source = slice_str(source),
		.is_well = is_well,
		.is_look = is_look,
		.why = SL("gone\n"),
		.began_us = began_us };

	core_proxy_seen(t.core, &s);
}

static bool
is_down(const char *source)
{
	return eng_source_is_down(core_engine(t.core),
	    names_find(&t.core->names, slice_str(source)));
}

static int
pick(uint32_t source)
{
	bool is_tried;

	return core_proxy_pick(t.core, source, &is_tried);
}

/* ---- the tests ------------------------------------------------------------------------ */

static void
they_take_turns(void **state)
{
	(void)state;
	for (int i = 0; i < 4; i++)
		assert_int_equal(pick(0), i % 2);
	assert_int_equal(pick(1), 0);
	assert_int_equal(pick(1), 0);
	assert_int_equal(pick(2), CORE_NO_PROXY);
	seen("p", "", false, false, t.now);
	assert_int_equal(pick(0), 1);
	assert_int_equal(pick(0), 1);
	assert_int_equal(pick(1), CORE_PROXIES_AWAY);
	assert_false(is_down("a"));
	assert_true(is_down("b"));
	assert_false(is_down("c"));
	seen("q", "", false, false, t.now);
	assert_true(is_down("a"));
	assert_int_equal(core_proxies_down(t.core), 2);
}

/* 1 s, 2 s, 4 s and so on; a look that is good ends it, and only mail the growth. */
static void
pauses_grow(void **state)
{
	int64_t pause = US_PER_S;

	(void)state;
	pass(1);
	assert_int_equal(t.looks[0], 1); /* all are looked at first */
	seen("p", "", true, true, t.now);
	for (int i = 0; i < 9; i++) {
		uint32_t before = t.looks[0];

		seen("p", "", false, i > 0, t.now);
		assert_true(is_down("b"));
		pass(pause - 1);
		assert_int_equal(t.looks[0], before);
		pass(1);
		assert_int_equal(t.looks[0], before + 1);
		pause = MIN(2 * pause, 60 * US_PER_S);
	}
	seen("p", "", true, true, t.now);
	assert_false(is_down("b"));
	seen("p", "", false, false, t.now);
	pass(59 * US_PER_S);
	assert_true(is_down("b"));
	pass(US_PER_S);
	seen("p", "", true, true, t.now);
	seen("p", "b", true, false, t.now);
	seen("p", "", false, false, t.now);
	pass(US_PER_S);
	seen("p", "", true, true, t.now);
	assert_false(is_down("b"));
}

static void
one_that_is_well_is_looked_at(void **state)
{
	uint32_t before;

	(void)state;
	pass(1);
	seen("p", "", true, true, t.now);
	before = t.looks[0];
	pass(30 * US_PER_S - 1);
	assert_int_equal(t.looks[0], before);
	pass(1);
	assert_int_equal(t.looks[0], before + 1);
	pass(30 * US_PER_S); /* it has not come back: no second one */
	assert_int_equal(t.looks[0], before + 1);
}

/* Twenty connections fail together: that is one failure. */
static void
old_news_does_not_count(void **state)
{
	int64_t began = t.now;

	(void)state;
	pass(1);
	seen("p", "", true, true, t.now);
	pass(US_PER_S);
	for (int i = 0; i < 20; i++) {
		seen("p", "", false, false, began);
		pass(1000);
	}
	pass(US_PER_S);
	assert_true(t.looks[0] >= 2);
	seen("p", "", true, true, t.now);
	seen("p", "", false, false, began);
	assert_false(is_down("b"));
}

/* What is wrong for one source is no other's affair, and is tried again. */
static void
a_leg_is_one_sources(void **state)
{
	(void)state;
	pass(1);
	seen("p", "b", false, false, t.now);
	assert_true(is_down("b"));
	assert_int_equal(pick(0), 0);
	seen("p", "", true, true, t.now); /* a look says nothing of it */
	assert_true(is_down("b"));
	pass(US_PER_S);
	assert_false(is_down("b"));
	seen("p", "b", false, false, t.now);
	pass(2 * US_PER_S - 1);
	assert_true(is_down("b"));
	pass(1);
	assert_false(is_down("b"));
	/* Who has gone, or was never there, harms nobody. */
	seen("p", "nobody", false, false, t.now);
	seen("nobody", "b", false, false, t.now);
	assert_false(is_down("b"));
}

static void
a_reload_keeps_what_is_known(void **state)
{
	struct conf *old = t.conf, *bare;

	(void)state;
	pass(1);
	seen("p", "", false, false, t.now);
	t.conf = conf_of(text);
	core_reload(t.core, t.conf, t.now);
	conf_free(old);
	assert_true(is_down("b"));
	/* Behind none any more. */
	old = t.conf;
	bare = conf_of("hostname: mta1.example\n"
		       "listen: { in: { bind: 127.0.0.1:2525 } }\n"
		       "source: { b: { address: 198.51.100.2 } }\n");
	core_reload(t.core, bare, t.now);
	t.conf = bare;
	conf_free(old);
	assert_false(is_down("b"));
	assert_int_equal(pick(0), CORE_NO_PROXY);
	old = t.conf;
	t.conf = conf_of(text);
	core_reload(t.core, t.conf, t.now);
	conf_free(old);
	assert_int_equal(pick(1), 0);
}

static void
viewers_are_told_why(void **state)
{
	struct buf out;

	(void)state;
	seen("p", "", false, false, t.now);
	buf_init(&out, 1u << 20);
	assert_int_equal(core_view_sources(t.core, SL(""), 10, &out), 0);
	buf_addc(&out, '\0');
	assert_non_null(strstr(buf_slice(&out).p,
	    "\"why\":\"proxy\",\"until\":null,\"reason\":\"proxy p: gone"));
	assert_non_null(strstr(buf_slice(&out).p, "\"is_well\":false"));
	buf_reset(&out);
	core_view_metrics(t.core, &out);
	buf_addc(&out, '\0');
	assert_non_null(
	    strstr(buf_slice(&out).p, "mtad_source_suspended{source=\"b\"} 1"));
	assert_non_null(
	    strstr(buf_slice(&out).p, "mtad_source_suspended{source=\"a\"} 0"));
	buf_free(&out);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(they_take_turns),
		TEST(pauses_grow),
		TEST(one_that_is_well_is_looked_at),
		TEST(old_news_does_not_count),
		TEST(a_leg_is_one_sources),
		TEST(a_reload_keeps_what_is_known),
		TEST(viewers_are_told_why),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

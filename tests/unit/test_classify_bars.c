/*
 * How well the shipped rules do on real replies (bounces/, split by split.py):
 * on the half that they may be written from, and on the half that judges them,
 * of which scores are printed and nothing else, ever.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "conf/classify.h"
#include "proto/reply.h"

#define RULES "share/rules/bounces.yml"
#define OPEN "tests/unit/bounces/open.tsv"
#define JUDGE "tests/unit/bounces/judge.tsv"

static struct classifier *rules;
static struct class_desk *desk;

struct score {
	uint32_t n, category, outcome;
};

/* What a sender does about it. */
enum outcome_group { SOFT, HARD, THROTTLE, BLOCK };

static enum outcome_group
group_of(enum kind k, bool is_hard)
{
	if (k == KIND_THROTTLE)
		return THROTTLE;
	if (k == KIND_REPUTATION_BLOCK)
		return BLOCK;
	return is_hard ? HARD : SOFT;
}

static void
report(void *ctx, const char *line)
{
	(void)ctx;
	fprintf(stderr, "%s\n", line);
}

/* code, enhanced, text, provider, category, source, basis, kind, stage */
static void
score_row(struct slice row, struct score *s)
{
	struct slice f[9];
	struct class_query q = { 0 };
	struct class_answer a;
	uint64_t code;

	for (int i = 0; i < 9; i++)
		f[i] = slice_cut(&row, '\t');
	assert_int_equal(slice_u64(f[0], 599, &code), 0);
	q.code = (uint16_t)code;
	if (f[1].n > 0)
		assert_int_equal(enh_parse(&f[1], &q.enh), 0);
	q.text = f[2];
	q.provider = f[3];
	q.stage = (uint8_t)class_stage(f[8]);
	classify(rules, desk, &q, &a);
	s->n++;
	s->category += a.judgement.category == category_find(f[4]);
	s->outcome +=
	    group_of((enum kind)a.judgement.kind, a.judgement.is_hard) ==
	    group_of(kind_find(f[7]), code >= 500);
}

static struct score
score_file(const char *path)
{
	static char text[1 << 20];
	struct score s = { 0 };
	struct slice rest;
	FILE *f = fopen(path, "re");
	size_t n;

	assert_non_null(f);
	n = fread(text, 1, sizeof(text), f);
	assert_true(n < sizeof(text));
	fclose(f);
	rest = slice_of(text, n);
	slice_cut(&rest, '\n'); /* the names of the columns */
	while (rest.n > 0)
		score_row(slice_cut(&rest, '\n'), &s);
	print_message("%s: %u replies, category %.1f %%, "
		      "hard/soft/throttle/block %.1f %%\n",
	    path, s.n, 100.0 * s.category / s.n, 100.0 * s.outcome / s.n);
	return s;
}

static void
the_open_half_is_met(void **state)
{
	struct score s = score_file(OPEN);

	(void)state;
	assert_true(s.n > 400);
	assert_true(s.category * 100 >= s.n * 95);
	assert_true(s.outcome * 100 >= s.n * 90);
}

/* The aim is 75 % of the categories. What is reached so far is held here, so
 * that it is not lost again; it is raised with the rules and never lowered. */
#define JUDGE_PERCENT 74

static void
the_judge_is_met(void **state)
{
	struct score s = score_file(JUDGE);

	(void)state;
	assert_true(s.n > 400);
	assert_true(s.category * 100 >= s.n * JUDGE_PERCENT);
	assert_true(s.outcome * 100 >= s.n * 90);
}

static int
set_up(void **state)
{
	struct class_source file = { .name = RULES };
	struct conf_errors errs = { .report = report };

	(void)state;
	rules = classifier_new(&file, 1, &errs);
	if (rules != NULL)
		desk = class_desk_new(rules);
	return desk == NULL;
}

static int
tear_down(void **state)
{
	(void)state;
	class_desk_free(desk);
	classifier_free(rules);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_open_half_is_met),
		cmocka_unit_test(the_judge_is_met),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}

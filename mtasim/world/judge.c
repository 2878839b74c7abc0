/*
 * world/judge.c - the shipped rules of replies, once for the whole process,
 * which has one thread.
 */
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

#include "conf/classify.h"
#include "world/judge.h"

static struct class_desk *desk;
static struct classifier *rules;

static void
report(void *ctx, const char *line)
{
	(void)ctx;
	fprintf(stderr, "mtasim: %s\n", line);
}

void
judge_load(void)
{
	struct conf_errors errs = { .report = report };
	struct class_source file = { 0 };
	static char path[PATH_MAX];
	static bool is_loaded;

	if (is_loaded)
		return;
	is_loaded = true;
	file.name = conf_shipped("bounces.yml", path, sizeof(path));
	if (access(path, R_OK) != 0)
		return;
	rules = classifier_new(&file, 1, &errs);
	if (rules != NULL)
		desk = class_desk_new(rules);
}

/* The reactions of a configuration: most ask about the same one. */
static struct classifier *
automations(const struct conf *c, struct class_desk **d)
{
	static struct classifier *k;
	static struct class_desk *at;
	static uint64_t key;

	if (key != c->automation_key) {
		class_desk_free(at);
		classifier_free(k);
		at = NULL;
		k = conf_automation_rules(c);
		if (k != NULL)
			at = class_desk_new(k);
		key = c->automation_key;
	}
	*d = at;
	return k;
}

void
judge_hear(const struct conf *c, const struct outcome *o, struct slice text,
    struct conf_heard *h)
{
	struct class_query q = { .code = o->code,
		.enh = o->enh,
		.stage = o->stage,
		.text = text };
	struct class_desk *d;
	struct classifier *k = automations(c, &d);

	if (d == NULL || !o->is_judged)
		return;
	h->key = c->automation_key;
	class_hits(k, d, &q, &h->hits);
}

void
judge_outcome(struct outcome *o, struct slice provider, struct slice text)
{
	if (o->code < 400)
		return;
	judge_load();
	if (desk != NULL)
		class_judge(rules, desk, provider, text, o);
}

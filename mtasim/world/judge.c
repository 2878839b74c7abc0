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
	if (access(path, R_OK) != 0) {
		fprintf(stderr,
		    "mtasim: %s: cannot be read; replies are judged by their "
		    "codes alone\n",
		    path);
		return;
	}
	rules = classifier_new(&file, 1, &errs);
	if (rules != NULL)
		desk = class_desk_new(rules);
}

/* The reactions of the configuration that was asked about last. */
static struct class_desk *react_desk;
static struct classifier *react_rules;
static uint64_t react_key;

void
judge_forget(void)
{
	class_desk_free(react_desk);
	classifier_free(react_rules);
	react_desk = NULL;
	react_rules = NULL;
	react_key = 0;
}

static void
react_load(const struct conf *c)
{
	if (react_key == c->automation_key)
		return;
	judge_forget();
	react_rules = conf_automation_rules(c);
	if (react_rules != NULL)
		react_desk = class_desk_new(react_rules);
	react_key = c->automation_key;
}

void
judge_hear(const struct conf *c, const struct outcome *o, struct slice text,
    struct conf_heard *h)
{
	struct class_query q = { .code = o->code,
		.enh = o->enh,
		.stage = o->stage,
		.text = text };

	react_load(c);
	if (react_desk == NULL || !o->is_judged)
		return;
	h->key = c->automation_key;
	class_hits(react_rules, react_desk, &q, &h->hits);
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

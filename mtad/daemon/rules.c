/*
 * daemon/rules.c - the rules by which replies are judged, for all workers.
 *
 * A reload makes new ones; each worker lets go of the old when it meets the
 * new, and the last one frees them. Counting apart they never change.
 */
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

#include "conf/classify.h"
#include "daemon/daemon_i.h"
#include "daemon/rules.h"

struct rules {
	_Atomic uint32_t refs;
	struct classifier *k;
	struct classifier *automations; /* NULL: there are none */
	uint64_t key;                   /* of the configuration's */
};

/* ---- sharing ------------------------------------------------------------- */

static void
report(void *ctx, const char *line)
{
	(void)ctx;
	log_event(LOG_ERROR, "rules", "what", line, NULL);
}

struct rules *
rules_load(const struct conf *c)
{
	struct class_source files[CONF_RULES_MAX + 1] = { 0 };
	struct conf_errors errs = { .report = report };
	char shipped[PATH_MAX];
	struct rules *r;
	uint32_t n = 0;

	for (; n < c->nbounce_rules; n++)
		files[n].name = c->bounce_rules[n].p;
	files[n].name = conf_shipped("bounces.yml", shipped, sizeof(shipped));
	/* Mail goes out without them too: they say what refusals mean. */
	if (access(shipped, R_OK) == 0)
		n++;
	else
		log_event(LOG_WARN, "rules", "what",
		    "the shipped rules cannot be read; replies are judged "
		    "without them",
		    "file", shipped, NULL);
	r = mem_get(sizeof(*r));
	atomic_init(&r->refs, 1);
	r->k = classifier_new(files, n, &errs);
	if (r->k == NULL) {
		mem_free(r);
		return NULL;
	}
	r->automations = conf_automation_rules(c);
	r->key = c->automation_key;
	return r;
}

struct rules *
rules_take(struct rules *r)
{
	atomic_fetch_add(&r->refs, 1);
	return r;
}

void
rules_give(struct rules *r)
{
	if (r == NULL || atomic_fetch_sub(&r->refs, 1) > 1)
		return;
	classifier_free(r->k);
	classifier_free(r->automations);
	mem_free(r);
}

const struct classifier *
rules_classifier(const struct rules *r)
{
	return r->k;
}

/* ---- a worker's use ------------------------------------------------------ */

void
rules_adopt(struct worker *w, struct rules *r)
{
	class_desk_free(w->desk);
	class_desk_free(w->automation_desk);
	rules_give(w->rules);
	w->rules = r;
	w->desk = r ? class_desk_new(r->k) : NULL;
	w->automation_desk =
	    r && r->automations ? class_desk_new(r->automations) : NULL;
}

void
rules_judge(struct worker *w, struct outcome *o, struct slice provider,
    struct slice text)
{
	if (w->desk != NULL)
		class_judge(w->rules->k, w->desk, provider, text, o);
}

size_t
rules_name(struct worker *w, const struct outcome *o, struct slice provider,
    struct slice text, char *dst, size_t cap)
{
	struct class_query q = { .code = o->code,
		.enh = o->enh,
		.stage = o->stage,
		.text = text,
		.provider = provider };
	struct class_answer a;
	int n;

	if (w->desk == NULL || cap == 0)
		return 0;
	classify(w->rules->k, w->desk, &q, &a);
	if (a.line == 0)
		return 0;
	n = snprintf(dst, cap, "%s:%u", a.file, a.line);
	return MIN((size_t)MAX(n, 0), cap - 1);
}

void
rules_hear(struct worker *w, const struct outcome *o, struct slice text,
    struct conf_heard *h)
{
	struct class_query q = { .code = o->code,
		.enh = o->enh,
		.stage = o->stage,
		.text = text };

	if (w->automation_desk == NULL || !o->is_judged)
		return;
	h->key = w->rules->key;
	class_hits(w->rules->automations, w->automation_desk, &q, &h->hits);
}

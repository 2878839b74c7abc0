/*
 * scene/read.c - a file of scenarios: scenes, steps, blocks.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "scene/scene.h"

#define FILE_MAX (4u << 20)
#define SCENES_MAX 4096

struct reading {
	struct scene_file *f;
	const char *path;
	struct conf_errors *errs;
	uint32_t line;
	size_t indent; /* least that the block below a step may have */
	bool may_have_block;
	uint8_t kind;
};

static void complain(const struct reading *r, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

static void
complain(const struct reading *r, const char *fmt, ...)
{
	char text[400], line[4400];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (r->line == 0) /* of the file */
		snprintf(line, sizeof(line), "%.3900s: %s", r->path, text);
	else
		snprintf(line, sizeof(line), "%.3900s:%u: %s", r->path, r->line,
		    text);
	r->errs->n++;
	if (r->errs->report)
		r->errs->report(r->errs->ctx, line);
}

static struct scene *
scene_add(struct reading *r)
{
	struct scene_file *f = r->f;
	struct scene *grown;

	if (f->n == SCENES_MAX) {
		complain(r, "more than %d scenarios", SCENES_MAX);
		return NULL;
	}
	if (f->n == f->cap) {
		grown = mem_grow(f->v, MAX(f->cap * 2, 8u) * sizeof(*grown));
		ASSERT(grown != NULL);
		f->v = grown;
		f->cap = MAX(f->cap * 2, 8u);
	}
	memset(&f->v[f->n], 0, sizeof(f->v[0]));
	f->v[f->n].path = r->path;
	f->v[f->n].line = r->line;
	return &f->v[f->n++];
}

/* The word that a step begins with, cut off: false for another word. */
static bool
step_kind(struct reading *r, struct slice *s)
{
	static const struct {
		const char *word;
		int kind; /* -1: that of the step before */
	} table[] = {
		{ "Given", STEP_GIVEN },
		{ "When", STEP_WHEN },
		{ "Then", STEP_THEN },
		{ "And", -1 },
		{ "But", -1 },
	};
	struct slice rest = *s, word = slice_cut(&rest, ' ');

	for (size_t i = 0; i < ARRAY_LEN(table); i++)
		if (slice_eq(word, slice_str(table[i].word))) {
			if (table[i].kind >= 0)
				r->kind = (uint8_t)table[i].kind;
			*s = slice_trim(rest);
			return true;
		}
	return false;
}

static void
step_add(struct reading *r, struct slice text, size_t indent)
{
	struct scene *s = r->f->n ? &r->f->v[r->f->n - 1] : NULL;
	struct step *step;

	if (s == NULL) {
		complain(r,
		    "expected \"Scenario: TITLE\" before the first "
		    "step");
		return;
	}
	if (s->nsteps == SCENE_STEPS_MAX) {
		complain(r, "more than %d steps", SCENE_STEPS_MAX);
		return;
	}
	step = &s->steps[s->nsteps++];
	step->kind = r->kind;
	step->line = r->line;
	r->may_have_block = text.n > 0 && text.p[text.n - 1] == ':';
	r->indent = indent + 1;
	if (r->may_have_block)
		text.n--;
	step->text = text;
	if (!words_cut(text, &step->words))
		complain(r, "more than %d words", SCENE_WORDS_MAX);
}

/* A line that is further in than the step begins its block; those that are as
 * far in as that one are a part of it. */
static bool
block_line(struct reading *r, struct slice line, size_t indent)
{
	struct scene *s = r->f->n ? &r->f->v[r->f->n - 1] : NULL;
	struct step *step;

	if (!r->may_have_block || s == NULL || indent < r->indent) {
		r->may_have_block = false;
		return false;
	}
	step = &s->steps[s->nsteps - 1];
	if (step->block.p == NULL) {
		r->indent = indent;
		step->block = line;
		step->block_line = r->line;
	} else
		step->block.n = (size_t)(line.p + line.n - step->block.p);
	return true;
}

static void
read_line(struct reading *r, struct slice line)
{
	struct slice s = slice_trim(line);
	size_t indent = s.n ? (size_t)(s.p - line.p) : 0;
	struct scene *scene;

	if (s.n == 0 || block_line(r, line, indent) || s.p[0] == '#')
		return;
	if (slice_has_prefix(s, SL("Scenario:"))) {
		scene = scene_add(r);
		if (scene)
			scene->title = slice_trim(slice_skip(s, 9));
		r->kind = STEP_GIVEN;
		r->may_have_block = false;
	} else if (step_kind(r, &s))
		step_add(r, s, indent);
	else
		complain(r,
		    "expected Scenario:, Given, When, Then, And or But, got "
		    "'%.*s'",
		    (int)MIN(s.n, (size_t)60), s.p);
}

static char *
slurp(const char *path, size_t *n)
{
	FILE *f = fopen(path, "re");
	char *text;

	if (f == NULL)
		return NULL;
	text = mem_get(FILE_MAX + 1);
	*n = fread(text, 1, FILE_MAX, f);
	fclose(f);
	return text;
}

bool
scene_file_read(struct scene_file *f, const char *path,
    struct conf_errors *errs)
{
	struct reading r = { .f = f, .path = path, .errs = errs };
	struct slice rest;
	char why[80];
	size_t n = 0;

	*f = (struct scene_file){ .n = 0 };
	f->text = slurp(path, &n);
	if (f->text == NULL) {
		complain(&r, "cannot be read: %s",
		    strerror_r(errno, why, sizeof(why)));
		return false;
	}
	rest = slice_of(f->text, n);
	while (rest.p != NULL) {
		r.line++;
		read_line(&r, slice_cut(&rest, '\n'));
	}
	if (f->n == 0)
		complain(&r, "expected a scenario");
	return errs->n == 0;
}

void
scene_file_free(struct scene_file *f)
{
	for (uint32_t i = 0; i < f->n; i++)
		scene_free(&f->v[i]);
	mem_free(f->v);
	mem_free(f->text);
}

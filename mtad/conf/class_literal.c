/*
 * conf/class_literal.c - the literals of which a match of a pattern must
 * contain one.
 *
 * A run of plain characters must be there as it stands; of a group one of its
 * branches must, so a group gives a set with a literal of each. Of all that a
 * branch must contain the set is kept whose shortest literal is longest: it is
 * found in the fewest texts. Groups are walked with a stack. What is not
 * understood ends the search: the pattern is then tried on every text, which
 * costs time but is never wrong.
 */
#include "conf/classify_i.h"

#define LITERAL_MIN 3u /* shorter ones are found in too many texts */

struct set {
	uint32_t n;
	uint32_t min; /* bytes of the shortest; 0 = no set */
	struct class_literal v[CLASS_BRANCHES_MAX];
};

/* A group, the whole pattern being the outermost. */
struct frame {
	bool is_ignored;  /* looks around only: need not be there */
	bool is_hopeless; /* a branch without a literal */
	bool is_char;     /* what was read last is a character of `run` */
	struct class_literal run;
	struct set best; /* of the branch so far */
	struct set done; /* of the branches before */
};

struct walk {
	struct slice rest;
	uint32_t depth;
	bool is_all, is_lost; /* nothing but literals; not understood */
	struct frame frames[CLASS_GROUPS_MAX + 1];
};

static struct frame *
frame_of(struct walk *w)
{
	return &w->frames[w->depth];
}

/* Keeps the better of two sets. */
static void
set_offer(struct set *best, const struct set *s)
{
	if (s->min > best->min || (s->min == best->min && s->n < best->n))
		*best = *s;
}

static void
run_end(struct frame *f)
{
	if (f->run.n > f->best.min) {
		f->best.n = 1;
		f->best.min = f->run.n;
		f->best.v[0] = f->run;
	}
	f->run.n = 0;
	f->is_char = false;
}

static void
run_add(struct walk *w, char c)
{
	struct frame *f = frame_of(w);

	if (f->run.n == CLASS_LITERAL_MAX) {
		w->is_all = false;
		run_end(f);
	}
	f->run.text[f->run.n++] = ascii_lower(c);
	f->is_char = true;
}

/* Something that is not a character: an assertion, a class, a group. */
static void
run_break(struct walk *w)
{
	w->is_all = false;
	run_end(frame_of(w));
}

static void
branch_end(struct frame *f)
{
	struct set *d = &f->done;

	run_end(f);
	if (f->best.min < LITERAL_MIN || d->n + f->best.n > ARRAY_LEN(d->v))
		f->is_hopeless = true;
	if (!f->is_hopeless) {
		memcpy(d->v + d->n, f->best.v, f->best.n * sizeof(d->v[0]));
		d->min = d->n ? MIN(d->min, f->best.min) : f->best.min;
		d->n += f->best.n;
	}
	f->best.n = f->best.min = 0;
}

static void
take_escape(struct walk *w)
{
	char c = w->rest.n > 0 ? w->rest.p[0] : '\0';

	w->rest = slice_skip(w->rest, 1);
	if (c != '\0' && !ascii_is_alpha(c) && !ascii_is_digit(c))
		run_add(w, c);
	else if (c != '\0' && strchr("bBAzZdDsSwWhHvVRtnrf", c))
		run_break(w);
	else
		w->is_lost = true; /* it may take what follows */
}

static void
take_class(struct walk *w)
{
	struct slice s = w->rest;
	size_t i = 0;

	if (i < s.n && s.p[i] == '^')
		i++;
	if (i < s.n && s.p[i] == ']')
		i++;
	while (i < s.n && s.p[i] != ']') {
		if (s.p[i] == '[')
			w->is_lost = true; /* perhaps [:alpha:] */
		i += s.p[i] == '\\' ? 2 : 1;
	}
	w->rest = slice_skip(s, MIN(i, s.n) + 1);
	run_break(w);
}

static void
take_open(struct walk *w)
{
	struct slice s = w->rest;
	struct frame *f;

	run_break(w);
	if (w->depth == CLASS_GROUPS_MAX || (s.n > 0 && s.p[0] == '*')) {
		w->is_lost = true;
		return;
	}
	w->depth++;
	f = frame_of(w);
	f->is_ignored = f->is_hopeless = f->is_char = false;
	f->run.n = 0;
	f->best.n = f->best.min = f->done.n = f->done.min = 0;
	if (s.n == 0 || s.p[0] != '?')
		return;
	/* Groups, look-around, atomic ones; not flags, which may reach out. */
	w->is_lost |= s.n < 2 || !strchr(":=!<>", s.p[1]);
	f->is_ignored = s.n < 2 || s.p[1] != ':';
	w->rest = slice_skip(s, 2);
}

static void
take_close(struct walk *w)
{
	struct frame *f = frame_of(w);
	bool may_miss = w->rest.n > 0 && strchr("?*{", w->rest.p[0]) != NULL;

	if (w->depth == 0) {
		w->is_lost = true;
		return;
	}
	branch_end(f);
	w->depth--;
	if (!f->is_ignored && !f->is_hopeless && !may_miss)
		set_offer(&frame_of(w)->best, &f->done);
}

/* A quantifier that may let nothing pass, {n,m} among them. */
static void
take_quantifier(struct walk *w, char c)
{
	struct frame *f = frame_of(w);

	if (f->is_char)
		f->run.n--;
	run_break(w);
	if (c == '{') {
		size_t i = slice_index(w->rest, '}');

		w->is_lost |= i == w->rest.n;
		w->rest = slice_skip(w->rest, i + 1);
	}
}

static void
take_one(struct walk *w)
{
	char c = w->rest.p[0];

	w->rest = slice_skip(w->rest, 1);
	switch (c) {
	case '\\':
		take_escape(w);
		break;
	case '[':
		take_class(w);
		break;
	case '(':
		take_open(w);
		break;
	case ')':
		take_close(w);
		break;
	case '?':
	case '*':
	case '{':
		take_quantifier(w, c);
		break;
	case '+':
	case '.':
	case '^':
	case '$':
		run_break(w);
		break;
	case '|':
		branch_end(frame_of(w));
		break;
	default:
		run_add(w, c);
	}
}

uint32_t
class_literals(struct slice pattern, struct class_literal *out, bool *is_all)
{
	struct walk *w = mem_get(sizeof(*w));
	struct frame *whole = &w->frames[0];
	uint32_t n = 0;

	w->rest = pattern;
	w->is_all = true;
	while (w->rest.n > 0 && !w->is_lost)
		take_one(w);
	if (!w->is_lost && w->depth == 0) {
		branch_end(whole);
		if (!whole->is_hopeless)
			n = whole->done.n;
		memcpy(out, whole->done.v, n * sizeof(*out));
	}
	*is_all = n > 0 && w->is_all;
	mem_free(w);
	return n;
}

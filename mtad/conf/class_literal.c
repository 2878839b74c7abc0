/*
 * conf/class_literal.c - the literals that a match of a pattern must contain.
 *
 * Only what stands outside of groups and classes counts, so one pass without
 * recursion is enough. What is not understood ends the search: the pattern is
 * then tried on every text, which costs time but is never wrong.
 */
#include "conf/classify_i.h"

#define LITERAL_MIN 3u /* shorter ones are found in too many texts */

struct walk {
	struct slice rest;
	uint32_t depth;       /* of groups */
	bool is_char;         /* what was read last is a character of `run` */
	bool is_all, is_lost; /* nothing but literals; not understood */
	struct class_literal run, best;
};

static void
run_end(struct walk *w)
{
	if (w->run.n > w->best.n)
		w->best = w->run;
	w->run.n = 0;
	w->is_char = false;
}

static void
run_add(struct walk *w, char c)
{
	if (w->depth > 0)
		return;
	if (w->run.n == CLASS_LITERAL_MAX) {
		w->is_all = false;
		run_end(w);
	}
	w->run.text[w->run.n++] = ascii_lower(c);
	w->is_char = true;
}

/* Something that is not a character: an assertion, a class, a group. */
static void
run_break(struct walk *w)
{
	w->is_all = false;
	if (w->depth == 0)
		run_end(w);
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
take_group(struct walk *w)
{
	struct slice s = w->rest;

	run_break(w);
	w->depth++;
	if (s.n > 0 && s.p[0] == '*')
		w->is_lost = true;
	if (s.n == 0 || s.p[0] != '?')
		return;
	/* Groups, look-around, atomic ones; not flags, which may reach out. */
	w->is_lost |= s.n < 2 || !strchr(":=!<>", s.p[1]);
	w->rest = slice_skip(s, 2);
}

/* A quantifier that may let nothing pass, {n,m} among them. */
static void
take_quantifier(struct walk *w, char c)
{
	if (w->depth == 0 && w->is_char)
		w->run.n--;
	run_break(w);
	if (c == '{') {
		size_t i = slice_index(w->rest, '}');

		w->is_lost |= i == w->rest.n;
		w->rest = slice_skip(w->rest, i + 1);
	}
}

/* Up to the end of a branch; true when another follows. */
static bool
take_branch(struct walk *w)
{
	w->run.n = w->best.n = 0;
	w->is_char = false;
	while (w->rest.n > 0 && !w->is_lost) {
		char c = w->rest.p[0];

		w->rest = slice_skip(w->rest, 1);
		if (c == '|' && w->depth == 0) {
			run_end(w);
			return true;
		}
		switch (c) {
		case '\\':
			take_escape(w);
			break;
		case '[':
			take_class(w);
			break;
		case '(':
			take_group(w);
			break;
		case ')':
			w->is_lost |= w->depth == 0;
			w->depth -= w->depth > 0;
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
		case '|':
			run_break(w);
			break;
		default:
			run_add(w, c);
		}
	}
	run_end(w);
	return false;
}

uint32_t
class_literals(struct slice pattern, struct class_literal *out, bool *is_all)
{
	struct walk w = { .rest = pattern, .is_all = true };
	uint32_t n = 0;
	bool has_more;

	do {
		has_more = take_branch(&w);
		if (w.is_lost || w.best.n < LITERAL_MIN ||
		    n == CLASS_BRANCHES_MAX)
			return 0;
		out[n++] = w.best;
	} while (has_more);
	*is_all = w.is_all;
	return n;
}

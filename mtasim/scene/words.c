/*
 * scene/words.c - words of a step, and patterns that they fit.
 */
#include "scene/scene.h"

bool
words_cut(struct slice line, struct words *w)
{
	size_t i = 0;

	w->n = 0;
	while (line.n > 0 &&
	    (line.p[line.n - 1] == '.' || line.p[line.n - 1] == '\r'))
		line.n--;
	while (i < line.n) {
		size_t from = i;
		bool quoted = line.p[i] == '"';

		if (line.p[i] == ' ' || line.p[i] == '\t') {
			i++;
			continue;
		}
		if (quoted) {
			from = ++i;
			while (i < line.n && line.p[i] != '"')
				i++;
		} else
			while (
			    i < line.n && line.p[i] != ' ' && line.p[i] != '\t')
				i++;
		if (w->n == SCENE_WORDS_MAX)
			return false;
		w->v[w->n].text = slice_of(line.p + from, i - from);
		w->v[w->n].is_quoted = quoted;
		if (!quoted && line.p[i - 1] == ',')
			w->v[w->n].text.n--;
		w->n++;
		i += quoted;
		if (quoted && i < line.n && line.p[i] == ',')
			i++;
	}
	return true;
}

/* ---- values ---------------------------------------------------------------------- */

/* "10,000" or "one" */
static bool
number(struct slice s, int64_t *v)
{
	static const char *const small[] = { "no", "one", "two", "three",
		"four", "five" };
	int64_t n = 0;

	for (size_t i = 0; i < ARRAY_LEN(small); i++)
		if (slice_eq(s, slice_str(small[i]))) {
			*v = (int64_t)i;
			return true;
		}
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == ',' && i > 0)
			continue;
		if (!ascii_is_digit(s.p[i]) || n > INT64_MAX / 100)
			return false;
		n = n * 10 + (s.p[i] - '0');
	}
	*v = n;
	return s.n > 0 && ascii_is_digit(s.p[0]);
}

/* "2h" in one word, "2 hours" in two: how many were taken. */
static uint32_t
duration(const struct words *w, uint32_t at, int64_t *us)
{
	static const struct {
		const char *name;
		int64_t us;
	} units[] = {
		{ "second", US_PER_S },
		{ "minute", 60 * US_PER_S },
		{ "hour", 3600 * US_PER_S },
		{ "day", 86400 * US_PER_S },
	};
	int64_t n;

	if (at + 1 < w->n && number(w->v[at].text, &n))
		for (size_t i = 0; i < ARRAY_LEN(units); i++) {
			struct slice unit = w->v[at + 1].text;

			if (unit.n > 1 && unit.p[unit.n - 1] == 's')
				unit.n--;
			if (slice_eq(unit, slice_str(units[i].name))) {
				*us = n * units[i].us;
				return 2;
			}
		}
	return at < w->n && w->v[at].text.n > 1 &&
		parse_duration(w->v[at].text, us) == 0 &&
		!ascii_is_digit(w->v[at].text.p[w->v[at].text.n - 1]) ?
	    1 :
	    0;
}

/* "2.5%", in millionths */
static bool
percent(struct slice s, int64_t *v)
{
	uint32_t ppm;

	if (share_parse(s, &ppm) != 0)
		return false;
	*v = ppm;
	return true;
}

/* ---- patterns -------------------------------------------------------------------- */

/* The token that the pattern begins with, cut off. */
static struct slice
token(const char **pattern)
{
	const char *p = *pattern;
	size_t n;

	while (*p == ' ')
		p++;
	n = strcspn(p, " ");
	*pattern = p + n;
	return slice_of(p, n);
}

static bool
is_argument(struct slice t)
{
	return t.n > 2 && (t.p[0] == '<' || t.p[0] == '(');
}

/* How many words fit one of "(a|b_c)", and which; 0: none. */
static uint32_t
one_of(const struct words *w, uint32_t at, struct slice t, int64_t *which)
{
	struct slice rest = slice_of(t.p + 1, t.n - 2);

	for (int64_t i = 0; rest.p != NULL; i++) {
		struct slice choice = slice_cut(&rest, '|');
		uint32_t n = 0;
		bool fits = true;

		while (fits && choice.p != NULL) {
			struct slice word = slice_cut(&choice, '_');

			fits = at + n < w->n && !w->v[at + n].is_quoted &&
			    slice_ieq(w->v[at + n].text, word);
			n++;
		}
		if (fits) {
			*which = i;
			return n;
		}
	}
	return 0;
}

/* How many words an argument takes; 0: it does not fit. */
static uint32_t
take(const struct words *w, uint32_t at, struct slice t, int64_t *v)
{
	struct slice word = w->v[at].text;

	*v = 0;
	if (t.p[0] == '(')
		return one_of(w, at, t, v);
	if ((t.p[1] == 'q') != w->v[at].is_quoted)
		return 0;
	switch (t.p[1]) {
	case 'n':
		return number(word, v);
	case 'd':
		return duration(w, at, v);
	case 'p':
		return percent(word, v);
	default:
		return 1; /* <q>, <w> */
	}
}

/* Behind the group that begins the rest of a pattern; its arguments are
 * counted. Groups do not nest. */
static const char *
skip_group(const char *pattern, uint32_t *arg)
{
	struct slice t;

	while ((t = token(&pattern)).n > 0 && !slice_eq(t, SL("]")))
		*arg += is_argument(t);
	return pattern;
}

/* Its depth is that of the groups in a pattern, which is ours. */
static bool
match(const struct words *w, uint32_t at, const char *pattern, uint32_t arg,
    struct args *a)
{
	for (;;) {
		struct slice t = token(&pattern);
		uint32_t n;

		if (t.n == 0)
			return at == w->n;
		if (slice_eq(t, SL("]")))
			continue;
		if (slice_eq(t, SL("["))) {
			struct args with = *a;

			if (match(w, at, pattern, arg, &with)) {
				*a = with;
				return true;
			}
			pattern = skip_group(pattern, &arg);
			continue;
		}
		if (at == w->n)
			return false;
		if (!is_argument(t)) {
			if (w->v[at].is_quoted || !slice_ieq(w->v[at].text, t))
				return false;
			at++;
			continue;
		}
		n = take(w, at, t, &a->v[arg].v);
		if (n == 0)
			return false;
		a->v[arg].text = w->v[at].text;
		a->set |= UINT64_C(1) << arg++;
		at += n;
	}
}

bool
words_match(const struct words *w, uint32_t at, const char *pattern,
    struct args *a)
{
	memset(a, 0, sizeof(*a));
	return match(w, at, pattern, 0, a);
}

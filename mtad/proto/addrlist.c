/*
 * proto/addrlist.c - addresses out of what people and programs write.
 *
 * One pass without recursion: words are gathered until a "<" says that they were
 * a name, a ":" that they named a group, or the mailbox ends and they are the
 * address.
 */
#include "proto/addrlist.h"
#include "proto/syntax.h"

#define COMMENTS_MAX 64 /* one within another */

struct gather {
	char *text;
	size_t n;
	bool is_angle;  /* within <> */
	bool was_angle; /* they have been closed: only blanks may follow */
	bool has_gap;   /* blanks behind the last word */
	bool is_bad;    /* this is no address, unless a "<" comes */
};

static bool
is_white(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static void
add(struct gather *g, char c)
{
	/* Of a name much may stand here; only an address needs to fit. */
	if (g->n >= MAILBOX_MAX)
		g->is_bad = true;
	else
		g->text[g->n++] = c;
}

/* Words with blanks between are no address, but for "a @ b . example". */
static void
add_word_char(struct gather *g, char c)
{
	char last = g->n > 0 ? g->text[g->n - 1] : '@';

	if (g->has_gap && last != '@' && last != '.' && c != '@' && c != '.')
		g->is_bad = true;
	g->has_gap = false;
	add(g, c);
}

/* The length of a comment, or 0 when it does not end. */
static size_t
comment_length(struct slice s)
{
	uint32_t depth = 0;

	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == '\\')
			i++;
		else if (s.p[i] == '(' && ++depth > COMMENTS_MAX)
			return 0;
		else if (s.p[i] == ')' && --depth == 0)
			return i + 1;
	}
	return 0;
}

/* A quoted string, folds taken out; its length, or 0 when it does not end. */
static size_t
add_quoted(struct gather *g, struct slice s)
{
	add_word_char(g, '"');
	for (size_t i = 1; i < s.n; i++) {
		if (s.p[i] == '\r' || s.p[i] == '\n')
			continue;
		add(g, s.p[i]);
		if (s.p[i] == '"')
			return i + 1;
		if (s.p[i] == '\\' && i + 1 < s.n)
			add(g, s.p[++i]);
	}
	return 0;
}

static size_t
add_literal(struct gather *g, struct slice s)
{
	size_t end = slice_index(s, ']');

	if (end == s.n)
		return 0;
	for (size_t i = 0; i <= end; i++)
		if (!is_white(s.p[i]))
			add_word_char(g, s.p[i]);
	return end + 1;
}

/* Eats one thing; how many bytes, 0 when it is malformed. */
static size_t
eat(struct gather *g, struct slice s)
{
	char c = s.p[0];

	if (is_white(c)) {
		g->has_gap |= g->n > 0;
		return 1;
	}
	if (c == '(')
		return comment_length(s);
	if (g->was_angle)
		return 0;
	switch (c) {
	case '"':
		return add_quoted(g, s);
	case '[':
		return add_literal(g, s);
	case '<':
		if (g->is_angle)
			return 0;
		g->is_angle = true;
		break;
	case '>':
		if (!g->is_angle)
			return 0;
		g->is_angle = false;
		g->was_angle = true;
		return 1;
	case ':': /* ends a route, or the name of a group */
		break;
	default:
		add_word_char(g, c);
		return 1;
	}
	g->n = 0;
	g->has_gap = g->is_bad = false;
	return 1;
}

static bool
ends_mailbox(const struct gather *g, char c)
{
	return !g->is_angle && (c == ',' || c == ';');
}

static bool
is_address(struct slice s)
{
	char text[MAILBOX_MAX + 4];
	size_t n;

	if (s.n == 0 || s.n > MAILBOX_MAX)
		return false;
	if (mailbox_is_valid(s, true))
		return true;
	/* A name without a domain: with one it would be an address. */
	n = slice_copy(s, text, sizeof(text));
	text[n++] = '@';
	text[n++] = 'x';
	return mailbox_is_valid(slice_of(text, n), true);
}

int
addrlist_next(struct slice *rest, char *dst)
{
	struct gather g = { .text = dst };
	struct slice s = *rest;
	size_t n;

	while (s.n > 0) {
		if (ends_mailbox(&g, s.p[0])) {
			s = slice_skip(s, 1);
			if (g.n > 0 || g.was_angle)
				break;
			continue; /* an empty place in the list */
		}
		n = eat(&g, s);
		if (n == 0)
			return E_SYNTAX;
		s = slice_skip(s, n);
	}
	if (g.n == 0 && !g.was_angle && !g.is_angle) {
		*rest = s;
		return 0;
	}
	if (g.is_bad || g.is_angle || !is_address(slice_of(dst, g.n)))
		return E_SYNTAX;
	dst[g.n] = '\0';
	*rest = s;
	return (int)g.n;
}

/*
 * proto/letter_text.c - texts in which words are substituted. What is put in is
 * not looked into again, so a recipient's name cannot ask for another's.
 */
#include "proto/letter_i.h"

#define WINDOW (LETTER_WORD_MAX + 16u) /* bytes that a word may take */
#define ESCAPED_MAX 6u                 /* "&quot;" */

void
letter_text_init(struct letter_text *t, struct slice string,
    const struct letter_words *words, bool is_html)
{
	memset(t, 0, offsetof(struct letter_text, in));
	t->n = t->at = 0;
	t->words = words;
	t->is_html = is_html;
	t->from = json_text_of(string);
}

/* So that a whole word is in sight, if there is one. */
static void
refill(struct letter_text *t)
{
	size_t left = (size_t)(t->n - t->at), n;

	if (left >= WINDOW || t->from.left.n == 0)
		return;
	memmove(t->in, t->in + t->at, left);
	t->at = 0;
	n = json_text_next(&t->from, t->in + left, sizeof(t->in) - left);
	t->n = (uint16_t)(left + n);
}

static bool
is_word_char(char c)
{
	return ascii_is_alpha(c) || ascii_is_digit(c) || c == '_' || c == '-' ||
	    c == '.';
}

/* Length of {{word}} that s begins with, or 0. */
static size_t
match(struct slice s, struct slice *word, bool *is_raw)
{
	bool is_three = slice_has_prefix(s, SL("{{{"));
	size_t n = is_three ? 3 : 2, from;
	struct slice end = is_three ? SL("}}}") : SL("}}");

	if (!slice_has_prefix(s, SL("{{")))
		return 0;
	while (n < s.n && n < 8 && s.p[n] == ' ')
		n++;
	from = n;
	while (n < s.n && is_word_char(s.p[n]))
		n++;
	*word = slice_of(s.p + from, n - from);
	while (n < s.n && n < WINDOW && s.p[n] == ' ')
		n++;
	*is_raw = is_three;
	if (word->n == 0 || word->n > LETTER_WORD_MAX ||
	    !slice_has_prefix(slice_skip(s, n), end))
		return 0;
	return n + end.n;
}

static struct slice
value_of(const struct letter_words *w, struct slice word)
{
	struct slice v = slice_of(NULL, 0);

	if (w->own.p != NULL)
		v = json_get(w->own, word);
	if (v.p == NULL && w->all.p != NULL)
		v = json_get(w->all, word);
	return v;
}

/* A word stands here: its value comes next. False: there is none. */
static bool
enter(struct letter_text *t, struct slice word, bool is_raw)
{
	struct slice v = value_of(t->words, word);

	if (v.p == NULL) {
		slice_copy(word, t->missing, sizeof(t->missing));
		return false;
	}
	t->value = json_kind_of(v) == JSON_KIND_STRING ?
	    json_text_of(v) :
	    (struct json_text){ v };
	t->in_value = true;
	t->escapes = t->is_html && !is_raw;
	return true;
}

static size_t
escape(char *dst, char c)
{
	struct slice s = slice_of(&c, 1);

	switch (c) {
	case '&':
		s = SL("&amp;");
		break;
	case '<':
		s = SL("&lt;");
		break;
	case '>':
		s = SL("&gt;");
		break;
	case '"':
		s = SL("&quot;");
		break;
	case '\'':
		s = SL("&#39;");
		break;
	default:
		break;
	}
	memcpy(dst, s.p, s.n);
	return s.n;
}

static size_t
from_value(struct letter_text *t, char *dst, size_t cap)
{
	char piece[64];
	size_t k, n = 0;

	if (!t->escapes) {
		n = json_text_next(&t->value, dst, cap);
	} else {
		k = json_text_next(&t->value, piece,
		    MIN(sizeof(piece), MAX(cap / ESCAPED_MAX, (size_t)4)));
		for (size_t i = 0; i < k; i++)
			n += escape(dst + n, piece[i]);
	}
	t->in_value = t->value.left.n > 0;
	return n;
}

/* Bytes up to the next brace. */
static size_t
from_text(struct letter_text *t, char *dst, size_t cap)
{
	struct slice s = slice_of(t->in + t->at, (size_t)(t->n - t->at)), word;
	size_t n = 0, k;
	bool is_raw;

	if (*s.p == '{' && (k = match(s, &word, &is_raw)) > 0) {
		if (!enter(t, word, is_raw))
			return 0;
		t->at = (uint16_t)(t->at + k);
		return 0;
	}
	n = *s.p == '{' ? 1 : slice_index(s, '{');
	n = MIN(n, cap);
	memcpy(dst, s.p, n);
	t->at = (uint16_t)(t->at + n);
	return n;
}

size_t
letter_text_next(struct letter_text *t, char *dst, size_t cap)
{
	size_t n = 0;

	ASSERT(cap >= 64);
	if (!t->words->are_on)
		return json_text_next(&t->from, dst, cap);
	while (n + 32 <= cap && t->missing[0] == '\0') {
		if (t->in_value) {
			n += from_value(t, dst + n, cap - n);
			continue;
		}
		refill(t);
		if (t->at == t->n)
			break;
		n += from_text(t, dst + n, cap - n);
	}
	return t->missing[0] != '\0' ? 0 : n;
}

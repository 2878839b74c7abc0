/*
 * conf/class_words.c - words that are weighed where no rule knows better.
 *
 * A text becomes words without what differs from reply to reply: addresses,
 * hosts, numbers and the like are each one word, others are cut to six letters
 * (a plain kind of stemming). Each word, each two in a row, the code and its
 * hundred have points for categories and for kinds; the verdict with most of
 * both wins. tests/unit/bounces/words.py learns the points and must cut texts
 * as it is done here.
 *
 * A text is at most CLASS_TEXT_MAX bytes, so has at most half as many words;
 * each is looked up twice, and counts once however often it is said. All is
 * integers: points are at most CLASS_POINTS_MAX, so sums stay far from the ends
 * of an int32.
 */
#include "conf/classify_i.h"

#define LETTERS_MAX 6u /* of a word that count */
#define WORD_BYTES 24u /* LETTERS_MAX of four bytes each */

struct weigher {
	const struct class_words *words;
	uint64_t *seen;
	struct slice before; /* the word in front; "^" at the front */
};

static void
look_up(struct weigher *w, const char *p, size_t n)
{
	uint32_t found = map_get(&w->words->index, hash_bytes(0, p, n));

	if (found != 0)
		class_mark(w->seen, found - 1);
}

/* Looks up two words in a row. */
static void
pair_up(struct weigher *w, struct slice word)
{
	char both[2 * WORD_BYTES + 1];
	size_t n = slice_copy(w->before, both, WORD_BYTES + 1);

	both[n++] = ' ';
	memcpy(both + n, word.p, word.n);
	look_up(w, both, n + word.n);
	w->before = word;
}

static void
word_add(struct weigher *w, struct slice word)
{
	look_up(w, word.p, word.n);
	pair_up(w, word);
}

/* ---- words of a text ----------------------------------------------------- */

static bool
is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (unsigned char)c >= 0x80;
}

static bool
has(struct slice s, const char *of)
{
	size_t n = strlen(of);

	for (size_t i = 0; i + n <= s.n; i++)
		if (memcmp(s.p + i, of, n) == 0)
			return true;
	return false;
}

/* The word for something that stands between blanks and is none, or NULL. */
static const char *
stands_for(struct slice c)
{
	uint32_t digits = 0, dots = 0, colons = 0, far = 0;
	bool is_host = false;

	if (has(c, "://") || slice_has_prefix(c, SL("www.")))
		return "<url>";
	if (has(c, "@"))
		return "<address>";
	for (size_t i = 0; i < c.n; i++) {
		digits += ascii_is_digit(c.p[i]);
		dots += c.p[i] == '.';
		colons += c.p[i] == ':';
		far += c.p[i] >= 'g' && c.p[i] <= 'z';
		is_host |= i > 0 && i + 1 < c.n && c.p[i] == '.' &&
		    ascii_is_alpha(c.p[i - 1]) && ascii_is_alpha(c.p[i + 1]);
	}
	if (digits > 0)
		return far == 0 && (dots >= 3 || colons >= 2) ? "<ip>" :
								"<number>";
	return is_host ? "<host>" : NULL;
}

/* Takes the letters at the front of *c that are one word, cut; what is between
 * words is empty. "n't" is a word of its own. */
static struct slice
word_take(struct slice *c)
{
	struct slice word = slice_of(c->p, 0);
	uint32_t letters = 0;
	size_t i = 0;

	if (slice_has_prefix(*c, SL("n't"))) {
		*c = slice_skip(*c, 3);
		return SL("not");
	}
	for (; i < c->n && is_letter(c->p[i]); i++) {
		if (slice_has_prefix(slice_skip(*c, i), SL("n't")))
			break;
		letters += ((unsigned char)c->p[i] & 0xc0) != 0x80;
		if (letters <= LETTERS_MAX && i < WORD_BYTES)
			word.n = i + 1;
	}
	*c = slice_skip(*c, MAX(i, (size_t)1));
	return word;
}

/* Without the brackets and stops around it. */
static struct slice
edges_off(struct slice c)
{
	static const char edge[] = "<>()[]{}\"'`,;:.!?*=|&";

	while (c.n > 0 && memchr(edge, c.p[0], sizeof(edge) - 1))
		c = slice_skip(c, 1);
	while (c.n > 0 && memchr(edge, c.p[c.n - 1], sizeof(edge) - 1))
		c.n--;
	return c;
}

static void
text_look_up(struct weigher *w, struct slice text)
{
	while (text.n > 0) {
		struct slice c = edges_off(slice_cut(&text, ' '));
		const char *stand_in = stands_for(c);

		if (stand_in != NULL) {
			word_add(w, slice_str(stand_in));
			continue;
		}
		while (c.n > 0) {
			struct slice word = word_take(&c);

			if (word.n > 0)
				word_add(w, word);
		}
	}
	if (!slice_eq(w->before, SL("^")))
		pair_up(w, SL("$"));
}

static void
code_look_up(struct weigher *w, uint16_t code)
{
	char text[3] = { (char)('0' + code / 100 % 10),
		(char)('0' + code / 10 % 10), (char)('0' + code % 10) };

	if (code == 0)
		return;
	look_up(w, text, 3);
	text[1] = text[2] = 'x';
	look_up(w, text, 3);
}

/* ---- weighing ------------------------------------------------------------ */

/* False when nothing was seen. */
static bool
sum_up(const struct class_words *w, const uint64_t *seen, int32_t *sums)
{
	uint64_t any = 0;

	memcpy(sums, w->start, sizeof(w->start));
	for (uint32_t i = 0; i < CLASS_WORDS(w->nwords); i++) {
		any |= seen[i];
		for (uint64_t bits = seen[i]; bits != 0; bits &= bits - 1) {
			const struct class_word *word =
			    &w->words[i * 64 + (uint32_t)__builtin_ctzll(bits)];

			for (uint32_t o = 0; o < word->n; o++)
				sums[w->opinions[word->first + o].about] +=
				    w->opinions[word->first + o].points;
		}
	}
	return any != 0;
}

static bool
may_be(const struct class_rule *v, uint16_t code)
{
	for (uint32_t i = 0; i < v->ncodes; i++)
		if (code >= v->codes[i].lo && code <= v->codes[i].hi)
			return true;
	return v->ncodes == 0;
}

/* The guess is a verdict too, and points are added to its whole category. */
static int32_t
sum_of(const struct class_rule *v, const int32_t *sums,
    const struct class_rule *guess)
{
	return sums[v->category] + sums[CATEGORY_N + v->kind] +
	    (guess && v->category == guess->category ? guess->points : 0);
}

static const struct class_rule *
verdict_find(const struct class_words *w, const int32_t *sums, uint16_t code,
    const struct class_rule *guess)
{
	const struct class_rule *best = guess;
	int32_t most = guess ? sum_of(guess, sums, guess) : 0;

	for (uint32_t i = 0; i < w->nverdicts; i++) {
		const struct class_rule *v = &w->verdicts[i];
		int32_t sum = sum_of(v, sums, guess);

		if (may_be(v, code) && (best == NULL || sum > most)) {
			best = v;
			most = sum;
		}
	}
	return best;
}

/* The line of the word that said most for a verdict; its own when none did. */
static uint32_t
line_find(const struct class_words *w, const uint64_t *seen,
    const struct class_rule *v)
{
	uint32_t line = v->line;
	int32_t most = 0;

	for (uint32_t i = 0; i < w->nwords; i++) {
		const struct class_word *word = &w->words[i];
		int32_t sum = 0;

		if (!class_is_marked(seen, i))
			continue;
		for (uint32_t o = word->first; o < word->first + word->n; o++)
			if (w->opinions[o].about == v->category ||
			    w->opinions[o].about == CATEGORY_N + v->kind)
				sum += w->opinions[o].points;
		if (sum > most) {
			most = sum;
			line = word->line;
		}
	}
	return line;
}

const struct class_rule *
class_weigh(const struct class_words *words, uint64_t *seen, struct slice text,
    uint16_t code, const struct class_rule *guess, uint32_t *line)
{
	struct weigher w = { words, seen, SL("^") };
	int32_t sums[CATEGORY_N + KIND_N];
	const struct class_rule *v;

	if (words->nverdicts == 0)
		return NULL;
	memset(seen, 0, CLASS_WORDS(words->nwords) * sizeof(*seen));
	text_look_up(&w, text);
	code_look_up(&w, code);
	/* Of what is no refusal and has no word, nothing can be said. */
	if (!sum_up(words, seen, sums) && (code < 400 || code > 599))
		return NULL;
	v = verdict_find(words, sums, code, guess);
	if (v == NULL || (guess && v->category == guess->category))
		return NULL;
	*line = line_find(words, seen, v);
	return v;
}

size_t
class_word_key(struct slice key, char *dst)
{
	char folded[CLASS_KEY_MAX];
	struct slice rest, c;
	size_t n = 0, parts = 0;

	rest = slice_of(folded, class_fold(key, folded, sizeof(folded)));
	while (rest.n > 0) {
		struct slice part = slice_cut(&rest, ' ');

		c = part;
		if (++parts > 2 || part.n > WORD_BYTES)
			return 0;
		/* What is no word stands as it is: <ip>, ^, 550. */
		if (is_letter(part.p[0]))
			part = word_take(&c);
		if (n > 0)
			dst[n++] = ' ';
		memcpy(dst + n, part.p, part.n);
		n += part.n;
	}
	return n;
}

/*
 * conf/classify_i.h - private to the classifier: folding of texts
 * (class_fold.c), required literals of a pattern (class_literal.c), the
 * automaton that finds them all in one pass (class_scan.c), compiled rules
 * (class_rules.c), words that are weighed (class_words.c) and the asking
 * (classify.c).
 *
 * A rule's text is a list of patterns, its atoms. For each atom literals are
 * found one of which every match must contain; the automaton says which atoms
 * a text may match, and only those are tried, in the order of the rules. An
 * atom that is nothing but literals needs no trying.
 */
#ifndef CONF_CLASSIFY_I_H
#define CONF_CLASSIFY_I_H

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "conf/classify.h"
#include "conf/conf_i.h"

/* ---- folding (class_fold.c) ---------------------------------------------- */

/*
 * Makes a text comparable: ASCII to lower case, blanks and control bytes to
 * single spaces, Latin letters without their accents, typographic quotes and
 * dashes to plain ones. Other bytes stay. dst takes at most cap bytes; returns
 * how many. It never grows: dst may be the text itself.
 */
size_t class_fold(struct slice text, char *dst, size_t cap);
/* The same for a pattern, where case and blanks stay as they are. */
size_t class_fold_pattern(struct slice pattern, char *dst, size_t cap);

/* ---- literals (class_literal.c) ------------------------------------------ */

#define CLASS_LITERAL_MAX 24u
#define CLASS_BRANCHES_MAX 64u
#define CLASS_PATTERN_MAX 2048u
#define CLASS_GROUPS_MAX 32u /* one in another */

struct class_literal {
	uint8_t n;
	char text[CLASS_LITERAL_MAX];
};

/*
 * Literals, at most CLASS_BRANCHES_MAX: every text that a pattern matches
 * contains one of them, in lower case. Returns their number, 0 when there are
 * none. *is_all when the pattern is nothing but its literals.
 */
uint32_t class_literals(struct slice pattern, struct class_literal *out,
    bool *is_all);

/* ---- the automaton (class_scan.c) ---------------------------------------- */

#define CLASS_STATES_MAX 200000u

struct class_scan {
	uint8_t column[256]; /* of a byte in the table */
	uint32_t ncolumns, nstates;
	/* [state * ncolumns + column]: twice the next state's first index here,
	 * and 1 when that has hits. */
	uint32_t *next;
	/* Instead, where 15 bits tell the states: twice the next one, and 1. */
	uint16_t *narrow;
	uint32_t *out; /* [state]: its first hit + 1, or 0 */
	struct class_hit *hits;
};

struct class_hit {
	uint32_t atom, next; /* next + 1, or 0 */
};

/* A literal of an atom. */
struct class_key {
	uint32_t atom;
	struct class_literal literal;
};

/* 0, E_NOMEM or E_TOOBIG. */
int class_scan_init(struct class_scan *s, const struct class_key *keys,
    uint32_t n) MUST_CHECK;
void class_scan_free(struct class_scan *s);

/* ---- rules (class_rules.c) ----------------------------------------------- */

#define CLASS_LIST_MAX 64u    /* codes, stages, providers of a rule */
#define CLASS_ATOMS_MAX 1024u /* patterns of a rule */

struct class_range {
	uint16_t lo, hi;
};

/* An enhanced code: classes as bits, 0 for "none there"; parts as ranges. */
struct class_enh {
	uint8_t classes;
	struct class_range subject, detail;
};

enum class_hard { HARD_BY_CODE, HARD_NO, HARD_YES };

struct class_rule {
	uint16_t ncodes, nenhs, nproviders;
	uint8_t category, kind, scope, hard;
	uint32_t stages; /* bits; 0 = any */
	bool is_guess;   /* words may outweigh it ... */
	int32_t points;  /* ... and these are added to its category */
	uint32_t atom, natoms;
	uint32_t file, line;
	const struct class_range *codes;
	const struct class_enh *enhs;
	const struct slice *providers;
};

struct class_atom {
	pcre2_code *re; /* NULL: to be found is to match */
	uint32_t rule;
	bool is_always; /* no literal announces it */
};

/* ---- words (class_words.c) ----------------------------------------------- */

#define CLASS_POINTS_MAX 10000
#define CLASS_VERDICTS_MAX 256u
#define CLASS_KEY_MAX 64u /* bytes of a word, or of two in a row */

/* What a word says about a category, or CATEGORY_N + a kind. */
struct class_opinion {
	int16_t points;
	uint8_t about;
};

struct class_word {
	uint32_t first, n; /* its opinions */
	uint32_t line;
};

/* A table of words; without verdicts there is none. */
struct class_words {
	const char *file;
	bool is_said; /* a file has said which, or none */
	uint32_t nverdicts, nwords, nopinions;
	uint32_t verdicts_cap, words_cap, opinions_cap;
	struct class_rule *verdicts; /* what may be said, on which codes */
	struct class_word *words;
	struct class_opinion *opinions;
	struct map index; /* hash of a word's key to its place + 1 */
	int32_t start[CATEGORY_N + KIND_N];
};

/* How a word of a table, or two with a blank between them, is looked up: folded
 * and cut as texts are. dst is of CLASS_KEY_MAX bytes; 0 when it is neither. */
size_t class_word_key(struct slice key, char *dst);
/*
 * The verdict for a folded text and a code, and the line of the word that said
 * most for it; NULL when it is of the category of the guess, a rule with points
 * (NULL: no rule matched), when there is none for that code, or when no word of
 * the text is known and the code is none of a refusal. `seen` is room for a bit
 * a word.
 */
const struct class_rule *class_weigh(const struct class_words *words,
    uint64_t *seen, struct slice text, uint16_t code,
    const struct class_rule *guess, uint32_t *line);

struct classifier {
	struct arena arena;
	uint32_t nfiles, nrules, natoms, nkeys;
	uint32_t rules_cap, atoms_cap, keys_cap;
	const char *files[CLASS_FILES_MAX];
	struct class_rule *rules;
	struct class_atom *atoms;
	struct class_key *keys; /* gone once the automaton is there */
	struct class_scan scan;
	struct class_words words;
	/* Rules and atoms that no literal announces. */
	uint64_t *rules_always, *atoms_always;
};

#define CLASS_WORDS(n) (((n) + 63) / 64)

static inline void
class_mark(uint64_t *bits, uint32_t i)
{
	bits[i / 64] |= UINT64_C(1) << (i % 64);
}

static inline bool
class_is_marked(const uint64_t *bits, uint32_t i)
{
	return bits[i / 64] >> (i % 64) & 1;
}

/* "550", "5xx", "500-559"; "5.1.1", "x.1.x", "5.7.500-699", "none". */
bool class_code_read(struct slice s, struct class_range *out);
bool class_enh_read(struct slice s, struct class_enh *out);
/* Adds a pattern to the rule, which is the next that is added. CLASS_WRONG: `why`
 * says what would be right; CLASS_REFUSED: its length, too many, no memory. */
enum class_added { CLASS_ADDED, CLASS_WRONG, CLASS_REFUSED };
enum class_added class_atom_add(struct classifier *k, struct class_rule *rule,
    struct slice text, char *why, size_t cap);
bool class_rule_add(struct classifier *k, const struct class_rule *rule);
/* One without files: rules are added between these two. */
struct classifier *classifier_begin(void);
bool classifier_end(struct classifier *k);

/* Appends the rules of a file, and reads the table of words that it has or
 * names if no file before has said which; complaints go to errs. */
void class_rules_read(struct classifier *k, const struct class_source *file,
    struct conf_errors *errs);

#endif

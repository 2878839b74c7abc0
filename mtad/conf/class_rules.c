/*
 * conf/class_rules.c - files of rules to compiled rules.
 *
 *	rules:
 *	  - code: 4xx, 550, 500-559      one or a list; any of them
 *	    enhanced: x.1.1              likewise; 5.7.500-699, none
 *	    text: [pattern, ...]         PCRE2, any of them, on the folded text
 *	    provider: "*google*"         globs
 *	    stage: [connect, rcpt]
 *	    category: InvalidRecipient   with kind, the judgement
 *	    kind: unknown_user
 *	    scope: recipient             else by the kind
 *	    hard: true                   else by the code
 *	    points: 300                  words may outweigh it
 *	words: words.yml                 or none, or the table itself:
 *	  verdicts: [{category: InvalidRecipient, kind: unknown_user}]
 *	  start: {InvalidRecipient: 20}
 *	  points: {mailbox: {InvalidRecipient: 60, unknown_user: 40}}
 *
 * Every mistake of a file is complained about; a rule that has one is left out.
 */
#include <limits.h>
#include <stdio.h>

#include "conf/classify_i.h"

#define WORDS_MAX 100000u

struct reader {
	struct classifier *k;
	struct complaints *c;
	struct class_rule *rule; /* the one that is read */
	struct class_range codes[CLASS_LIST_MAX];
	struct class_enh enhs[CLASS_LIST_MAX];
	struct slice providers[CLASS_LIST_MAX];
	char what[CONF_WHAT_MAX]; /* "rules[3].code" */
	bool has_category, has_kind, has_scope;
	bool is_verdict;      /* the rule is one of a table of words */
	bool is_file;         /* not in memory: it may name another */
	char words[PATH_MAX]; /* the file of words that it names */
};

static void
complain_at(struct reader *r, const struct yaml_node *at, const char *expected)
{
	static const char *const kinds[] = { "", "a list", "a map" };

	complain(r->c, yaml_place(at), r->what, expected,
	    at->kind == YAML_SCALAR ? at->text : slice_str(kinds[at->kind]));
}

/* Makes room for one more in a vector; false when there is none. */
static bool
vector_grow(void *vector, uint32_t n, uint32_t *cap, size_t size)
{
	void **v = vector, *p;
	uint32_t want = *cap ? *cap * 2 : 64;

	if (n < *cap)
		return true;
	p = mem_grow(*v, want * size);
	if (p == NULL)
		return false;
	memset((char *)p + n * size, 0, (want - n) * size);
	*v = p;
	*cap = want;
	return true;
}

/* ---- values -------------------------------------------------------------- */

/* "5", "500" or "500-699" to a range; each number at most `max`. */
static bool
range_read(struct slice s, uint16_t max, struct class_range *out)
{
	struct slice lo = slice_cut(&s, '-');
	uint64_t a, b;

	if (slice_u64(lo, max, &a) != 0)
		return false;
	b = a;
	if (s.p != NULL && slice_u64(s, max, &b) != 0)
		return false;
	*out = (struct class_range){ (uint16_t)a, (uint16_t)b };
	return a <= b;
}

/* "550", "5xx", "55x", "500-559". */
bool
class_code_read(struct slice s, struct class_range *out)
{
	uint16_t wild = 0;
	char digits[3];

	if (s.n == 3 && ascii_lower(s.p[2]) == 'x') {
		memcpy(digits, s.p, 3);
		digits[2] = '0';
		wild = 9;
		if (ascii_lower(digits[1]) == 'x') {
			digits[1] = '0';
			wild = 99;
		}
		s = slice_of(digits, 3);
	}
	if (!range_read(s, 999, out) || out->lo < 100)
		return false;
	out->hi += wild;
	return true;
}

static bool
part_read(struct slice s, struct class_range *out)
{
	if (s.n == 1 && ascii_lower(s.p[0]) == 'x') {
		*out = (struct class_range){ 0, 999 };
		return true;
	}
	return s.p != NULL && range_read(s, 999, out);
}

/* "5.1.1", "x.1.x", "5.7.500-699"; "none". */
bool
class_enh_read(struct slice s, struct class_enh *out)
{
	struct slice klass;

	if (slice_ieq(s, SL("none"))) {
		*out = (struct class_enh){ 1, { 0, 999 }, { 0, 999 } };
		return true;
	}
	klass = slice_cut(&s, '.');
	if (klass.n != 1 || strchr("245xX", klass.p[0]) == NULL)
		return false;
	out->classes = ascii_lower(klass.p[0]) == 'x' ?
	    1 << 2 | 1 << 4 | 1 << 5 :
	    (uint8_t)(1 << (klass.p[0] - '0'));
	return part_read(slice_cut(&s, '.'), &out->subject) &&
	    part_read(s, &out->detail);
}

static bool
take_code(struct reader *r, const struct yaml_node *v)
{
	if (r->rule->ncodes == CLASS_LIST_MAX ||
	    !class_code_read(v->text, &r->codes[r->rule->ncodes]))
		return false;
	r->rule->ncodes++;
	return true;
}

static bool
take_enh(struct reader *r, const struct yaml_node *v)
{
	if (r->rule->nenhs == CLASS_LIST_MAX ||
	    !class_enh_read(v->text, &r->enhs[r->rule->nenhs]))
		return false;
	r->rule->nenhs++;
	return true;
}

static bool
take_provider(struct reader *r, const struct yaml_node *v)
{
	char *copy = arena_str(&r->k->arena, v->text.p, v->text.n);

	if (r->rule->nproviders == CLASS_LIST_MAX || v->text.n == 0 || !copy)
		return false;
	r->providers[r->rule->nproviders++] = slice_of(copy, v->text.n);
	return true;
}

static bool
take_stage(struct reader *r, const struct yaml_node *v)
{
	enum stage s = class_stage(v->text);

	r->rule->stages |= 1u << s;
	return s != STAGE_NONE;
}

static bool
take_category(struct reader *r, const struct yaml_node *v)
{
	enum category c = category_find(v->text);

	r->rule->category = (uint8_t)c;
	r->has_category = c != CATEGORY_N;
	return r->has_category;
}

static bool
take_kind(struct reader *r, const struct yaml_node *v)
{
	enum kind k = kind_find(v->text);

	r->rule->kind = (uint8_t)k;
	r->has_kind = k != KIND_N;
	return r->has_kind;
}

static bool
take_scope(struct reader *r, const struct yaml_node *v)
{
	enum scope s = scope_find(v->text);

	r->rule->scope = (uint8_t)s;
	r->has_scope = s != SCOPE_N;
	return r->has_scope;
}

static bool
take_hard(struct reader *r, const struct yaml_node *v)
{
	bool yes = slice_eq(v->text, SL("true"));

	r->rule->hard = yes ? HARD_YES : HARD_NO;
	return yes || slice_eq(v->text, SL("false"));
}

static bool
take_points(struct reader *r, const struct yaml_node *v)
{
	uint64_t n;

	if (slice_u64(v->text, CLASS_POINTS_MAX, &n) != 0)
		return false;
	r->rule->points = (int32_t)n;
	r->rule->is_guess = true;
	return true;
}

/* ---- patterns ------------------------------------------------------------ */

static pcre2_compile_context *
compile_context(void)
{
	pcre2_compile_context *cc = pcre2_compile_context_create(NULL);

	if (cc != NULL) {
		pcre2_set_max_pattern_length(cc, CLASS_PATTERN_MAX);
		pcre2_set_parens_nest_limit(cc, CLASS_GROUPS_MAX);
		pcre2_set_newline(cc, PCRE2_NEWLINE_LF);
	}
	return cc;
}

/* NULL with `why`, of cap bytes, filled in. */
static pcre2_code *
pattern_compile(struct slice p, char *why, size_t cap)
{
	pcre2_compile_context *cc = compile_context();
	pcre2_code *re;
	PCRE2_UCHAR said[160];
	PCRE2_SIZE at = 0;
	int err = PCRE2_ERROR_NOMEMORY;

	re = cc == NULL ?
	    NULL :
	    pcre2_compile((PCRE2_SPTR)p.p, p.n,
		PCRE2_CASELESS | PCRE2_NEVER_UTF | PCRE2_NEVER_UCP |
		    PCRE2_NEVER_BACKSLASH_C | PCRE2_NO_AUTO_CAPTURE,
		&err, &at, cc);
	pcre2_compile_context_free(cc);
	if (re == NULL) {
		pcre2_get_error_message(err, said, sizeof(said));
		snprintf(why, cap, "a pattern (%.120s, at character %u)",
		    (const char *)said, (unsigned int)at + 1);
		return NULL;
	}
	/* Where there is no JIT, matching falls back to interpreting. */
	(void)pcre2_jit_compile(re, PCRE2_JIT_COMPLETE);
	return re;
}

static bool
keys_add(struct classifier *k, uint32_t atom, const struct class_literal *v,
    uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		if (!vector_grow(&k->keys, k->nkeys, &k->keys_cap,
			sizeof(*k->keys)))
			return false;
		k->keys[k->nkeys++] = (struct class_key){ atom, v[i] };
	}
	return true;
}

enum class_added
class_atom_add(struct classifier *k, struct class_rule *rule, struct slice text,
    char *why, size_t cap)
{
	struct class_literal literals[CLASS_BRANCHES_MAX];
	char folded[CLASS_PATTERN_MAX];
	struct slice p;
	bool is_all = false;
	uint32_t n;
	pcre2_code *re;

	if (text.n == 0 || text.n > sizeof(folded) ||
	    rule->natoms == CLASS_ATOMS_MAX)
		return CLASS_REFUSED;
	p = slice_of(folded, class_fold_pattern(text, folded, sizeof(folded)));
	re = pattern_compile(p, why, cap);
	if (re == NULL)
		return CLASS_WRONG;
	n = class_literals(p, literals, &is_all);
	if (n > 0 && is_all) {
		pcre2_code_free(re);
		re = NULL;
	}
	if (!vector_grow(&k->atoms, k->natoms, &k->atoms_cap,
		sizeof(*k->atoms)) ||
	    !keys_add(k, k->natoms, literals, n)) {
		pcre2_code_free(re);
		return CLASS_REFUSED;
	}
	k->atoms[k->natoms++] =
	    (struct class_atom){ .re = re, .is_always = n == 0 };
	rule->natoms++;
	return CLASS_ADDED;
}

static bool
take_text(struct reader *r, const struct yaml_node *v)
{
	char why[200];
	enum class_added a =
	    class_atom_add(r->k, r->rule, v->text, why, sizeof(why));

	if (a == CLASS_WRONG)
		complain_at(r, v, why);
	return a != CLASS_REFUSED; /* what is wrong was said already */
}

bool
class_rule_add(struct classifier *k, const struct class_rule *rule)
{
	if (k->nrules == CLASS_RULES_MAX ||
	    !vector_grow(&k->rules, k->nrules, &k->rules_cap,
		sizeof(*k->rules)))
		return false;
	k->rules[k->nrules++] = *rule;
	return true;
}

/* ---- rules --------------------------------------------------------------- */

static const struct key {
	const char *name, *expected;
	bool (*take)(struct reader *r, const struct yaml_node *v);
	bool may_be_list, is_of_verdict;
} keys[] = {
	{ "code", "a code such as 550, 4xx or 500-559 (64 at most)", take_code,
	    true, true },
	{ "enhanced",
	    "an enhanced code such as 5.1.1, x.1.x, 5.7.500-699, or "
	    "none (64 at most)",
	    take_enh, true, false },
	{ "text", "a pattern of 1 to 2048 bytes (1024 at most)", take_text,
	    true, false },
	{ "provider", "a provider or pattern such as *google* (64 at most)",
	    take_provider, true, false },
	{ "stage", "a stage such as connect, ehlo, mail, rcpt, data or eom",
	    take_stage, true, false },
	{ "category", "a category such as InvalidRecipient", take_category,
	    false, true },
	{ "kind", "a kind such as unknown_user", take_kind, false, true },
	{ "scope", "a scope such as recipient", take_scope, false, true },
	{ "hard", "true or false", take_hard, false, true },
	{ "points", "points from 0 to 10000", take_points, false, false },
};

static const struct key *
key_find(struct slice name, bool is_verdict)
{
	for (size_t i = 0; i < ARRAY_LEN(keys); i++)
		if (slice_eq(name, slice_str(keys[i].name)) &&
		    (keys[i].is_of_verdict || !is_verdict))
			return &keys[i];
	return NULL;
}

static void
take_value(struct reader *r, const struct key *key, const struct yaml_node *v)
{
	bool is_list = v->kind == YAML_LIST && key->may_be_list;
	uint32_t n = is_list ? v->n : 1;

	if (is_list && n == 0)
		complain_at(r, v, key->expected);
	for (uint32_t i = 0; i < n; i++) {
		const struct yaml_node *item = is_list ? v->items[i] : v;

		if (item->kind != YAML_SCALAR || item->is_null ||
		    !key->take(r, item))
			complain_at(r, item, key->expected);
	}
}

static void *
keep(struct reader *r, const void *v, size_t bytes)
{
	void *p = arena_get(&r->k->arena, MAX(bytes, (size_t)1));

	if (p != NULL)
		memcpy(p, v, bytes);
	return p;
}

/* Puts the lists of a rule where they stay. */
static bool
rule_keep(struct reader *r)
{
	struct class_rule *rule = r->rule;

	rule->codes = keep(r, r->codes, rule->ncodes * sizeof(*r->codes));
	rule->enhs = keep(r, r->enhs, rule->nenhs * sizeof(*r->enhs));
	rule->providers =
	    keep(r, r->providers, rule->nproviders * sizeof(*r->providers));
	return rule->codes && rule->enhs && rule->providers;
}

/* The keys of a rule, each in its place. */
static void
rule_walk(struct reader *r, const struct yaml_node *node, const char *list,
    uint32_t i)
{
	for (uint32_t j = 0; j < node->n; j++) {
		const struct key *key = key_find(node->keys[j], r->is_verdict);
		struct place at = { node->key_lines[j], node->key_columns[j] };
		int n =
		    snprintf(r->what, sizeof(r->what), "%s[%u]", list, i + 1);

		option_path_add(r->what, (size_t)n, node->keys[j]);
		if (key != NULL)
			take_value(r, key, node->items[j]);
		else
			complain(r->c, at, r->what,
			    r->is_verdict ?
				"code, category, kind, scope or hard" :
				"code, enhanced, text, provider, stage, "
				"category, kind, scope, hard or points",
			    node->keys[j]);
	}
	snprintf(r->what, sizeof(r->what), "%s[%u]", list, i + 1);
}

/* Reads a rule, or a verdict, into *rule; false when it is none. */
static bool
rule_read(struct reader *r, const struct yaml_node *node, const char *list,
    uint32_t i, struct class_rule *rule)
{
	*rule = (struct class_rule){ .file = r->k->nfiles,
		.line = node->line,
		.atom = r->k->natoms };
	r->rule = rule;
	r->has_category = r->has_kind = r->has_scope = false;
	snprintf(r->what, sizeof(r->what), "%s[%u]", list, i + 1);
	if (node->kind != YAML_MAP) {
		complain_at(r, node, "a rule");
		return false;
	}
	rule_walk(r, node, list, i);
	if (!r->has_category || !r->has_kind) {
		if (r->c->nerrors == 0)
			complain(r->c, yaml_place(node), r->what,
			    "a category and a kind", slice_str(NULL));
		return false;
	}
	if (!r->has_scope)
		rule->scope = (uint8_t)kind_scope((enum kind)rule->kind);
	return true;
}

static void
rule_add(struct reader *r, const struct yaml_node *node, uint32_t i)
{
	struct class_rule rule;

	if (!rule_read(r, node, "rules", i, &rule))
		return;
	if (!rule_keep(r) || !class_rule_add(r->k, &rule))
		complain(r->c, yaml_place(node), r->what,
		    "at most 20000 rules, and memory for them",
		    slice_str(NULL));
}

/* ---- words --------------------------------------------------------------- */

static void
verdict_add(struct reader *r, const struct yaml_node *node, uint32_t i)
{
	struct class_words *w = &r->k->words;
	struct class_rule rule;

	if (!rule_read(r, node, "words.verdicts", i, &rule))
		return;
	if (w->nverdicts == CLASS_VERDICTS_MAX || !rule_keep(r) ||
	    !vector_grow(&w->verdicts, w->nverdicts, &w->verdicts_cap,
		sizeof(*w->verdicts))) {
		complain(r->c, yaml_place(node), r->what,
		    "at most 256 verdicts, and memory for them",
		    slice_str(NULL));
		return;
	}
	w->verdicts[w->nverdicts++] = rule;
}

/* A pair "InvalidRecipient: 60" of a map. */
static bool
opinion_read(const struct yaml_node *map, uint32_t i, struct class_opinion *out)
{
	struct slice s = map->items[i]->text;
	enum category c = category_find(map->keys[i]);
	enum kind k = kind_find(map->keys[i]);
	bool is_less = s.n > 0 && s.p[0] == '-';
	uint64_t points;

	if (map->items[i]->kind != YAML_SCALAR ||
	    (c == CATEGORY_N && k == KIND_N) ||
	    slice_u64(slice_skip(s, is_less), CLASS_POINTS_MAX, &points) != 0)
		return false;
	out->about = (uint8_t)(c != CATEGORY_N ? c : CATEGORY_N + k);
	out->points = (int16_t)(is_less ? -(int)points : (int)points);
	return true;
}

/* Calls `take` with each opinion of a map. */
static void
opinions_read(struct reader *r, const struct yaml_node *map,
    void (*take)(struct reader *r, struct class_opinion o))
{
	static const char expected[] =
	    "categories and kinds, with points from -10000 to 10000";
	struct class_opinion o;

	if (map->kind != YAML_MAP) {
		complain_at(r, map, expected);
		return;
	}
	for (uint32_t i = 0; i < map->n; i++) {
		struct place at = { map->key_lines[i], map->key_columns[i] };

		if (opinion_read(map, i, &o))
			take(r, o);
		else
			complain(r->c, at, r->what, expected, map->keys[i]);
	}
}

static void
take_start(struct reader *r, struct class_opinion o)
{
	r->k->words.start[o.about] = o.points;
}

static void
take_opinion(struct reader *r, struct class_opinion o)
{
	struct class_words *w = &r->k->words;

	if (!vector_grow(&w->opinions, w->nopinions, &w->opinions_cap,
		sizeof(*w->opinions)))
		return;
	w->opinions[w->nopinions++] = o;
	w->words[w->nwords - 1].n++;
}

static void
word_add(struct reader *r, const struct yaml_node *map, uint32_t i)
{
	struct class_words *w = &r->k->words;
	struct place at = { map->key_lines[i], map->key_columns[i] };
	char key[CLASS_KEY_MAX];
	size_t n = class_word_key(map->keys[i], key);
	uint64_t hash = hash_bytes(0, key, n);

	option_path_add(r->what,
	    (size_t)snprintf(r->what, sizeof(r->what), "words.points"),
	    map->keys[i]);
	if (n == 0 || map_get(&w->index, hash) != 0) {
		complain(r->c, at, r->what,
		    "a word or two, not said before (six letters count)",
		    map->keys[i]);
		return;
	}
	if (!vector_grow(&w->words, w->nwords, &w->words_cap,
		sizeof(*w->words)) ||
	    map_put(&w->index, hash, w->nwords + 1) != 0) {
		complain(r->c, at, r->what,
		    "at most 100000 words, and memory for them",
		    slice_str(NULL));
		return;
	}
	w->words[w->nwords++] =
	    (struct class_word){ .first = w->nopinions, .line = at.line };
	opinions_read(r, map->items[i], take_opinion);
}

static void
table_read(struct reader *r, const struct yaml_node *map)
{
	const struct yaml_node *verdicts = yaml_get(map, "verdicts");
	const struct yaml_node *start = yaml_get(map, "start");
	const struct yaml_node *points = yaml_get(map, "points");

	snprintf(r->what, sizeof(r->what), "words");
	if (verdicts == NULL || verdicts->kind != YAML_LIST || points == NULL ||
	    points->kind != YAML_MAP || map->n != 2u + (start != NULL)) {
		complain_at(r, map,
		    "a list of verdicts, points, and perhaps a start");
		return;
	}
	map_init(&r->k->words.index, 0, WORDS_MAX);
	r->k->words.file =
	    arena_str(&r->k->arena, r->c->file, strlen(r->c->file));
	r->is_verdict = true;
	for (uint32_t i = 0; i < verdicts->n; i++)
		verdict_add(r, verdicts->items[i], i);
	r->is_verdict = false;
	snprintf(r->what, sizeof(r->what), "words.start");
	if (start != NULL)
		opinions_read(r, start, take_start);
	for (uint32_t i = 0; i < points->n; i++)
		word_add(r, points, i);
}

/* The value of `words` in a file of rules; that of the first file counts. */
static void
words_read(struct reader *r, const struct yaml_node *v)
{
	const char *slash = strrchr(r->c->file, '/');
	int n = v->text.n > 0 && v->text.p[0] == '/' ? 0 :
	    slash ? (int)(slash + 1 - r->c->file) :
		    0;

	snprintf(r->what, sizeof(r->what), "words");
	if (r->k->words.is_said)
		return;
	r->k->words.is_said = true;
	if (v->kind == YAML_MAP)
		table_read(r, v);
	else if (v->kind == YAML_SCALAR && slice_eq(v->text, SL("none")))
		return;
	else if (v->kind == YAML_SCALAR && v->text.n > 0 && r->is_file &&
	    v->text.n < PATH_MAX / 2 && n < PATH_MAX / 2)
		snprintf(r->words, sizeof(r->words), "%.*s%.*s", n, r->c->file,
		    SLF(v->text));
	else
		complain_at(r, v, "a file of words, none, or a table");
}

/* ---- files --------------------------------------------------------------- */

static void
tree_read(struct reader *r, const struct yaml_node *root)
{
	const struct yaml_node *list = NULL, *words = NULL;

	snprintf(r->what, sizeof(r->what), "rules");
	if (root->kind == YAML_MAP)
		for (uint32_t i = 0; i < root->n; i++) {
			struct place at = { root->key_lines[i],
				root->key_columns[i] };

			if (slice_eq(root->keys[i], SL("rules")))
				list = root->items[i];
			else if (slice_eq(root->keys[i], SL("words")))
				words = root->items[i];
			else
				complain(r->c, at, "file",
				    "the keys rules and words only",
				    root->keys[i]);
		}
	if (list ? list->kind != YAML_LIST : words == NULL) {
		complain_at(r, list ? list : root, "a list of rules");
		return;
	}
	for (uint32_t i = 0; list != NULL && i < list->n; i++)
		rule_add(r, list->items[i], i);
	if (words != NULL)
		words_read(r, words);
}

/* A file of words that rules have named: its table is all that it has. */
static void
words_tree_read(struct reader *r, const struct yaml_node *root)
{
	const struct yaml_node *table =
	    root->kind == YAML_MAP ? yaml_get(root, "words") : NULL;

	snprintf(r->what, sizeof(r->what), "file");
	if (table == NULL || table->kind != YAML_MAP || root->n != 1)
		complain_at(r, root, "the key words only, with a table");
	else
		table_read(r, table);
}

static void
file_take(struct reader *r, const struct class_source *file,
    void (*take)(struct reader *r, const struct yaml_node *root),
    struct conf_errors *errs)
{
	struct complaints c;
	struct slice text = file->text;
	struct yaml_doc *doc = NULL;
	struct buf whole;

	r->c = &c;
	r->is_file = text.p == NULL;
	complaints_init(&c, file->name);
	buf_init(&whole, YAML_BYTES_MAX);
	if (text.p == NULL && file_read(file->name, &whole, &c))
		text = buf_slice(&whole);
	if (text.p != NULL)
		doc = yaml_read(file->name, text, &c);
	if (doc != NULL)
		take(r, yaml_root(doc));
	yaml_doc_free(doc);
	buf_free(&whole);
	complaints_flush(&c, errs);
}

void
class_rules_read(struct classifier *k, const struct class_source *file,
    struct conf_errors *errs)
{
	struct reader *r = mem_get(sizeof(*r));

	r->k = k;
	file_take(r, file, tree_read, errs);
	if (r->words[0] != '\0') {
		struct class_source words = { .name = r->words };

		file_take(r, &words, words_tree_read, errs);
	}
	mem_free(r);
}

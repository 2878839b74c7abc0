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
 *
 * Every mistake of a file is complained about; a rule that has one is left out.
 */
#include <stdio.h>

#include "conf/classify_i.h"

struct reader {
	struct classifier *k;
	struct complaints *c;
	struct class_rule *rule; /* the one that is read */
	struct class_range codes[CLASS_LIST_MAX];
	struct class_enh enhs[CLASS_LIST_MAX];
	struct slice providers[CLASS_LIST_MAX];
	char what[CONF_WHAT_MAX]; /* "rules[3].code" */
	bool has_category, has_kind, has_scope;
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
	bool may_be_list;
} keys[] = {
	{ "code", "a code such as 550, 4xx or 500-559 (64 at most)", take_code,
	    true },
	{ "enhanced",
	    "an enhanced code such as 5.1.1, x.1.x, 5.7.500-699, or "
	    "none (64 at most)",
	    take_enh, true },
	{ "text", "a pattern of 1 to 2048 bytes (1024 at most)", take_text,
	    true },
	{ "provider", "a provider or pattern such as *google* (64 at most)",
	    take_provider, true },
	{ "stage", "a stage such as connect, ehlo, mail, rcpt, data or eom",
	    take_stage, true },
	{ "category", "a category such as InvalidRecipient", take_category,
	    false },
	{ "kind", "a kind such as unknown_user", take_kind, false },
	{ "scope", "a scope such as recipient", take_scope, false },
	{ "hard", "true or false", take_hard, false },
};

static const struct key *
key_find(struct slice name)
{
	for (size_t i = 0; i < ARRAY_LEN(keys); i++)
		if (slice_eq(name, slice_str(keys[i].name)))
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
rule_walk(struct reader *r, const struct yaml_node *node, uint32_t i)
{
	for (uint32_t j = 0; j < node->n; j++) {
		const struct key *key = key_find(node->keys[j]);
		struct place at = { node->key_lines[j], node->key_columns[j] };
		int n = snprintf(r->what, sizeof(r->what), "rules[%u]", i + 1);

		option_path_add(r->what, (size_t)n, node->keys[j]);
		if (key != NULL)
			take_value(r, key, node->items[j]);
		else
			complain(r->c, at, r->what,
			    "code, enhanced, text, provider, stage, category, "
			    "kind, scope or hard",
			    node->keys[j]);
	}
	snprintf(r->what, sizeof(r->what), "rules[%u]", i + 1);
}

static void
rule_read(struct reader *r, const struct yaml_node *node, uint32_t i)
{
	struct classifier *k = r->k;
	struct class_rule rule = { .file = k->nfiles,
		.line = node->line,
		.atom = k->natoms };

	r->rule = &rule;
	r->has_category = r->has_kind = r->has_scope = false;
	snprintf(r->what, sizeof(r->what), "rules[%u]", i + 1);
	if (node->kind != YAML_MAP) {
		complain_at(r, node, "a rule");
		return;
	}
	rule_walk(r, node, i);
	if (!r->has_category || !r->has_kind) {
		if (r->c->nerrors == 0)
			complain(r->c, yaml_place(node), r->what,
			    "a category and a kind", slice_str(NULL));
		return;
	}
	if (!r->has_scope)
		rule.scope = (uint8_t)kind_scope((enum kind)rule.kind);
	if (!rule_keep(r) || !class_rule_add(k, &rule))
		complain(r->c, yaml_place(node), r->what,
		    "at most 20000 rules, and memory for them",
		    slice_str(NULL));
}

static void
tree_read(struct reader *r, const struct yaml_node *root)
{
	const struct yaml_node *list = NULL;

	snprintf(r->what, sizeof(r->what), "rules");
	if (root->kind == YAML_MAP)
		for (uint32_t i = 0; i < root->n; i++) {
			struct place at = { root->key_lines[i],
				root->key_columns[i] };

			if (slice_eq(root->keys[i], SL("rules")))
				list = root->items[i];
			else
				complain(r->c, at, "file", "the key rules only",
				    root->keys[i]);
		}
	if (list == NULL || list->kind != YAML_LIST) {
		complain_at(r, list ? list : root, "a list of rules");
		return;
	}
	for (uint32_t i = 0; i < list->n; i++)
		rule_read(r, list->items[i], i);
}

void
class_rules_read(struct classifier *k, const struct class_source *file,
    struct conf_errors *errs)
{
	struct complaints c;
	struct reader *r = mem_get(sizeof(*r));
	struct slice text = file->text;
	struct yaml_doc *doc = NULL;
	struct buf whole;

	*r = (struct reader){ .k = k, .c = &c };
	complaints_init(&c, file->name);
	buf_init(&whole, YAML_BYTES_MAX);
	if (text.p == NULL && file_read(file->name, &whole, &c))
		text = buf_slice(&whole);
	if (text.p != NULL)
		doc = yaml_read(file->name, text, &c);
	if (doc != NULL)
		tree_read(r, yaml_root(doc));
	yaml_doc_free(doc);
	buf_free(&whole);
	mem_free(r);
	complaints_flush(&c, errs);
}

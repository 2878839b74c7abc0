/*
 * conf/classify.c - making a classifier, and asking it.
 *
 * An answer takes one pass over the text (folding), one over the folded text
 * (the automaton), and then the rules whose bit is set, in order: code,
 * enhanced code, stage and provider are compared first, patterns last. A
 * pattern may take MATCH_LIMIT steps; one that takes more counts as no match,
 * and after MATCH_FAILURES of those no pattern is tried any more, so a reply
 * costs a bounded time whatever its sender has made of it. Where no rule
 * matches, or one that is only a guess, the words are weighed (class_words.c).
 */
#include "conf/classify_i.h"
#include "proto/reply.h"

#define ARENA_MAX ((size_t)256 << 20)
#define MATCH_LIMIT 10000u
#define MATCH_FAILURES 4u
#define JIT_STACK_BYTES (64u << 10)

struct class_desk {
	pcre2_match_data *data;
	pcre2_match_context *context;
	pcre2_jit_stack *stack;
	uint64_t *rules, *atoms; /* which are announced, as bits */
	uint64_t *words;         /* which were seen, likewise */
	uint32_t failures;
	char text[CLASS_TEXT_MAX];
};

/* ---- making -------------------------------------------------------------- */

/* Marks what no literal announces, and tells atoms of their rules. */
static bool
index_make(struct classifier *k)
{
	k->rules_always = mem_try(CLASS_WORDS(k->nrules + 1) * 8);
	k->atoms_always = mem_try(CLASS_WORDS(k->natoms + 1) * 8);
	if (!k->rules_always || !k->atoms_always)
		return false;
	for (uint32_t i = 0; i < k->nrules; i++) {
		const struct class_rule *r = &k->rules[i];

		if (r->natoms == 0)
			class_mark(k->rules_always, i);
		for (uint32_t a = r->atom; a < r->atom + r->natoms; a++) {
			k->atoms[a].rule = i;
			if (!k->atoms[a].is_always)
				continue;
			class_mark(k->rules_always, i);
			class_mark(k->atoms_always, a);
		}
	}
	return true;
}

/* All rules are there. */
static int
classifier_close(struct classifier *k)
{
	int err = class_scan_init(&k->scan, k->keys, k->nkeys);

	mem_free(k->keys);
	k->keys = NULL;
	return err != 0 ? err : index_make(k) ? 0 : E_NOMEM;
}

struct classifier *
classifier_begin(void)
{
	struct classifier *k = mem_get(sizeof(*k));

	arena_init(&k->arena, 64u << 10, ARENA_MAX);
	return k;
}

bool
classifier_end(struct classifier *k)
{
	return classifier_close(k) == 0;
}

struct classifier *
classifier_new(const struct class_source *files, uint32_t n,
    struct conf_errors *errs)
{
	struct classifier *k = classifier_begin();
	uint32_t before = errs->n;
	int err;

	ASSERT(n <= CLASS_FILES_MAX);
	for (; k->nfiles < n; k->nfiles++) {
		const char *name = files[k->nfiles].name;

		k->files[k->nfiles] = arena_str(&k->arena, name, strlen(name));
		class_rules_read(k, &files[k->nfiles], errs);
	}
	if (errs->n > before) {
		classifier_free(k);
		return NULL;
	}
	err = classifier_close(k);
	if (err != 0) {
		errs->n++;
		if (errs->report != NULL)
			errs->report(errs->ctx,
			    err == E_TOOBIG ? "rules: too many patterns" :
					      "rules: out of memory");
		classifier_free(k);
		return NULL;
	}
	return k;
}

void
classifier_free(struct classifier *k)
{
	if (k == NULL)
		return;
	for (uint32_t i = 0; i < k->natoms; i++)
		pcre2_code_free(k->atoms[i].re);
	mem_free(k->atoms);
	mem_free(k->rules);
	mem_free(k->keys);
	mem_free(k->rules_always);
	mem_free(k->atoms_always);
	class_scan_free(&k->scan);
	mem_free(k->words.verdicts);
	mem_free(k->words.words);
	mem_free(k->words.opinions);
	map_free(&k->words.index);
	arena_free(&k->arena);
	mem_free(k);
}

uint32_t
classifier_rules(const struct classifier *k)
{
	return k->nrules;
}

struct class_desk *
class_desk_new(const struct classifier *k)
{
	struct class_desk *d = mem_try(sizeof(*d));

	if (d == NULL)
		return NULL;
	d->data = pcre2_match_data_create(1, NULL);
	d->context = pcre2_match_context_create(NULL);
	d->stack = pcre2_jit_stack_create(16u << 10, JIT_STACK_BYTES, NULL);
	d->rules = mem_try(CLASS_WORDS(k->nrules + 1) * 8);
	d->atoms = mem_try(CLASS_WORDS(k->natoms + 1) * 8);
	d->words = mem_try(CLASS_WORDS(k->words.nwords + 1) * 8);
	if (!d->data || !d->context || !d->rules || !d->atoms || !d->words) {
		class_desk_free(d);
		return NULL;
	}
	pcre2_set_match_limit(d->context, MATCH_LIMIT);
	pcre2_set_depth_limit(d->context, MATCH_LIMIT);
	if (d->stack != NULL) /* none where there is no JIT */
		pcre2_jit_stack_assign(d->context, NULL, d->stack);
	return d;
}

void
class_desk_free(struct class_desk *d)
{
	if (d == NULL)
		return;
	pcre2_match_data_free(d->data);
	pcre2_match_context_free(d->context);
	pcre2_jit_stack_free(d->stack);
	mem_free(d->rules);
	mem_free(d->atoms);
	mem_free(d->words);
	mem_free(d);
}

/* ---- asking -------------------------------------------------------------- */

static bool
ranges_have(const struct class_range *v, uint32_t n, uint16_t x)
{
	for (uint32_t i = 0; i < n; i++)
		if (x >= v[i].lo && x <= v[i].hi)
			return true;
	return n == 0;
}

static bool
enhs_have(const struct class_enh *v, uint32_t n, struct enh e)
{
	for (uint32_t i = 0; i < n; i++)
		if (v[i].classes >> e.klass & 1 &&
		    ranges_have(&v[i].subject, 1, e.subject) &&
		    ranges_have(&v[i].detail, 1, e.detail))
			return true;
	return n == 0;
}

static bool
providers_have(const struct slice *v, uint32_t n, struct slice provider)
{
	for (uint32_t i = 0; i < n; i++)
		if (slice_glob(v[i], provider))
			return true;
	return n == 0;
}

static void
hits_mark(const struct classifier *k, struct class_desk *d, uint32_t state)
{
	const struct class_scan *s = &k->scan;

	for (uint32_t h = s->out[state]; h != 0; h = s->hits[h - 1].next) {
		uint32_t atom = s->hits[h - 1].atom;

		class_mark(d->atoms, atom);
		class_mark(d->rules, k->atoms[atom].rule);
	}
}

static void
text_scan_narrow(const struct classifier *k, struct class_desk *d, size_t n)
{
	const struct class_scan *s = &k->scan;
	uint32_t at = 0;

	for (size_t i = 0; i < n; i++) {
		at = s->narrow[(size_t)(at >> 1) * s->ncolumns +
		    s->column[(uint8_t)d->text[i]]];
		if (at & 1)
			hits_mark(k, d, at >> 1);
	}
}

/* Marks the atoms and rules whose literals the text has. */
static void
text_scan(const struct classifier *k, struct class_desk *d, size_t n)
{
	const struct class_scan *s = &k->scan;
	const uint32_t *next = s->next;
	uint32_t at = 0;

	if (s->narrow != NULL) {
		text_scan_narrow(k, d, n);
		return;
	}
	for (size_t i = 0; i < n; i++) {
		at = next[(at >> 1) + s->column[(uint8_t)d->text[i]]];
		if (at & 1)
			hits_mark(k, d, (at >> 1) / s->ncolumns);
	}
}

static bool
atom_matches(struct class_desk *d, const struct class_atom *a, size_t n)
{
	int found;

	if (a->re == NULL)
		return true;
	if (d->failures >= MATCH_FAILURES)
		return false;
	found = pcre2_match(a->re, (PCRE2_SPTR)d->text, n, 0, 0, d->data,
	    d->context);
	if (found < 0 && found != PCRE2_ERROR_NOMATCH)
		d->failures++;
	return found >= 0;
}

static bool
text_matches(const struct classifier *k, struct class_desk *d,
    const struct class_rule *r, size_t n)
{
	for (uint32_t i = r->atom; i < r->atom + r->natoms; i++)
		if (class_is_marked(d->atoms, i) &&
		    atom_matches(d, &k->atoms[i], n))
			return true;
	return r->natoms == 0;
}

static bool
rule_matches(const struct classifier *k, struct class_desk *d,
    const struct class_rule *r, const struct class_query *q, size_t n)
{
	return ranges_have(r->codes, r->ncodes, q->code) &&
	    enhs_have(r->enhs, r->nenhs, q->enh) &&
	    (r->stages == 0 || r->stages >> q->stage & 1) &&
	    providers_have(r->providers, r->nproviders, q->provider) &&
	    text_matches(k, d, r, n);
}

/* The first rule that matches, or NULL. */
static const struct class_rule *
rule_find(const struct classifier *k, struct class_desk *d,
    const struct class_query *q, size_t n)
{
	for (uint32_t w = 0; w < CLASS_WORDS(k->nrules); w++)
		for (uint64_t bits = d->rules[w]; bits != 0; bits &= bits - 1) {
			uint32_t i = w * 64 + (uint32_t)__builtin_ctzll(bits);

			if (rule_matches(k, d, &k->rules[i], q, n))
				return &k->rules[i];
		}
	return NULL;
}

/* An enhanced code that stands in the text, as "5.1.1 ..." or "(#5.1.1)". */
static struct enh
enh_of_text(struct slice text)
{
	struct enh e;
	struct slice s = text;

	if (enh_parse(&s, &e) == 0)
		return e;
	for (;;) {
		s = slice_skip(text, slice_index(text, '#') + 1);
		if (s.n < 5)
			return (struct enh){ 0 };
		text = s;
		s.n = 0;
		while (s.n < text.n &&
		    (ascii_is_digit(text.p[s.n]) || text.p[s.n] == '.'))
			s.n++;
		if (enh_parse(&s, &e) == 0 && s.n == 0)
			return e;
	}
}

static bool
is_hard_by_code(const struct class_query *q)
{
	return q->code != 0 ? q->code >= 500 : q->enh.klass == 5;
}

/* Folds the text and marks what it announces; returns its length. */
static size_t
ask(const struct classifier *k, struct class_desk *d, struct class_query *q)
{
	size_t n = class_fold(q->text, d->text, sizeof(d->text));

	if (q->enh.klass == 0)
		q->enh = enh_of_text(slice_of(d->text, n));
	memcpy(d->rules, k->rules_always, CLASS_WORDS(k->nrules) * 8);
	memcpy(d->atoms, k->atoms_always, CLASS_WORDS(k->natoms) * 8);
	d->failures = 0;
	if (k->natoms > 0)
		text_scan(k, d, n);
	return n;
}

void
class_hits(const struct classifier *k, struct class_desk *d,
    const struct class_query *q, struct eng_hits *out)
{
	struct class_query full = *q;
	size_t n = ask(k, d, &full);

	*out = (struct eng_hits){ { 0 } };
	for (uint32_t i = 0; i < MIN(k->nrules, ENG_AUTOMATIONS_MAX); i++)
		if (class_is_marked(d->rules, i) &&
		    rule_matches(k, d, &k->rules[i], &full, n))
			class_mark(out->v, i);
}

static void
rule_say(const struct class_rule *r, const char *file, uint32_t line,
    struct class_answer *out)
{
	out->judgement.category = r->category;
	out->judgement.kind = r->kind;
	out->judgement.scope = r->scope;
	if (r->hard != HARD_BY_CODE)
		out->judgement.is_hard = r->hard == HARD_YES;
	out->file = file;
	out->line = line;
}

void
classify(const struct classifier *k, struct class_desk *d,
    const struct class_query *q, struct class_answer *out)
{
	struct class_query full = *q;
	size_t n = ask(k, d, &full);
	const struct class_rule *r = rule_find(k, d, &full, n), *v = NULL;
	uint32_t line = 0;

	*out = (struct class_answer){
		.judgement = { .scope = SCOPE_MESSAGE,
		    .is_hard = is_hard_by_code(&full) },
	};
	if (r == NULL || r->is_guess)
		v = class_weigh(&k->words, d->words, slice_of(d->text, n),
		    full.code, r, &line);
	if (v != NULL)
		rule_say(v, k->words.file, line, out);
	else if (r != NULL)
		rule_say(r, k->files[r->file], r->line, out);
}

void
class_judge(const struct classifier *k, struct class_desk *d,
    struct slice provider, struct slice text, struct outcome *o)
{
	struct class_query q = { .code = o->code,
		.enh = o->enh,
		.stage = o->stage,
		.text = text,
		.provider = provider };
	struct class_answer a;

	if (o->code < 400)
		return;
	classify(k, d, &q, &a);
	o->judged = a.judgement;
	o->is_judged = true;
}

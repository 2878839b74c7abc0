/*
 * engine/form.c - the limits that paths have, each form once.
 *
 * Millions of paths have a few hundred forms of limits between them. A form
 * lives as long as a site or path has it, so a path keeps its limits when a new
 * policy comes until it is told what they are now.
 */
#include "engine/engine_i.h"

/* ---- layers -------------------------------------------------------------------- */

static void
lay(const struct eng_policy *p, uint16_t shape, struct eng_shape *out)
{
	const struct eng_shape *s = &p->shapes[shape];
	uint32_t sets = shape != 0 ? p->sets[shape] : 0;

#define X(name, type, dflt)                                                    \
	if (sets & (1u << ENG_SHAPE_BIT(name)))                                \
		out->name = s->name;
	ENG_SHAPE_TABLE(X)
#undef X
}

/* What is said about a provider for one source. */
static uint16_t
pair_find(const struct eng_policy *p, uint16_t provider, uint32_t source)
{
	uint32_t lo = 0, hi = p->npairs;
	uint32_t key = (uint32_t)provider << 16 | source;

	while (lo < hi) {
		uint32_t mid = (lo + hi) / 2;
		const struct eng_pair_conf *x = &p->pairs[mid];

		if (((uint32_t)x->provider << 16 | x->source) < key)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < p->npairs && p->pairs[lo].provider == provider &&
		p->pairs[lo].source == source ?
	    p->pairs[lo].shape :
	    0;
}

void
eng_policy_shape(const struct eng_policy *p, const struct eng_where *to,
    uint32_t source, struct eng_shape *out)
{
	bool has = source < p->nsources;

	*out = p->shapes[0];
	if (to->provider != 0) {
		lay(p, p->providers[to->provider].shape, out);
		if (has && p->npairs != 0)
			lay(p, pair_find(p, to->provider, source), out);
	}
	lay(p, to->shape, out);
	lay(p, p->dests[to->dest].shape, out);
	if (has)
		lay(p, p->sources[source].shape, out);
}

/* ---- forms --------------------------------------------------------------------- */

static uint64_t
form_hash(const struct eng_shape *s)
{
	uint64_t h = 0;

#define X(name, type, dflt) h = hash_u64(h ^ (uint64_t)s->name);
	ENG_SHAPE_TABLE(X)
#undef X
	return h;
}

static bool
form_is(const struct eng_shape *a, const struct eng_shape *b)
{
#define X(name, type, dflt)                                                    \
	if (a->name != b->name)                                                \
		return false;
	ENG_SHAPE_TABLE(X)
#undef X
	return true;
}

uint32_t
eng_form_take(struct eng *e, const struct eng_shape *s)
{
	uint64_t h = form_hash(s);
	uint32_t first = map_get(&e->form_map, h), i;
	struct form *k;

	for (i = first; i != 0; i = k->twin) {
		k = pool_at(&e->forms, i);
		if (form_is(&k->shape, s)) {
			k->nrefs++;
			return i;
		}
	}
	k = eng_slot(&e->forms, &i);
	/* Limit by limit: what is between them stays zero, as images want it. */
#define X(name, type, dflt) k->shape.name = s->name;
	ENG_SHAPE_TABLE(X)
#undef X
	k->twin = first;
	k->nrefs = 1;
	ASSERT(map_put(&e->form_map, h, i) == 0);
	return i;
}

void
eng_form_drop(struct eng *e, uint32_t form)
{
	struct form *k = pool_at(&e->forms, form), *p;
	uint64_t h;
	uint32_t at;

	if (--k->nrefs > 0)
		return;
	h = form_hash(&k->shape);
	at = map_get(&e->form_map, h);
	if (at == form && k->twin == 0)
		map_del(&e->form_map, h);
	else if (at == form)
		ASSERT(map_put(&e->form_map, h, k->twin) == 0);
	else {
		for (p = pool_at(&e->forms, at); p->twin != form;)
			p = pool_at(&e->forms, p->twin);
		p->twin = k->twin;
	}
	pool_give(&e->forms, form);
}

void
eng_tolls_begin(struct eng *e)
{
	uint32_t i;

	pool_free(&e->tolls);
	pool_init(&e->tolls, sizeof(struct toll), ENG_DESTS_MAX + 1);
	for (uint32_t k = 0; k < 1 + e->policy->ndests; k++)
		eng_slot(&e->tolls, &i);
}

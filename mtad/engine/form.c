/*
 * engine/form.c - the limits that paths have, each form once.
 *
 * Millions of paths have a few hundred forms of limits between them. A form
 * lives as long as a site or path has it, so a path keeps its limits when a new
 * policy comes until it is told what they are now.
 */
#include "engine/engine_i.h"

uint16_t
eng_policy_shape(const struct eng_policy *p, uint16_t dest, uint32_t source)
{
	const struct eng_dest *d = &p->dests[dest];
	uint16_t shape = d->shape;

	if (d->row != 0 && source < p->nsources)
		shape = p->cells[(size_t)(d->row - 1) * p->nclasses +
		    p->sources[source].klass];
	return shape;
}

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
	k->shape = *s;
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

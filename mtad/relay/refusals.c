/*
 * relay/refusals.c - a ring of replies, and a map from the path to its place.
 */
#include "relay/refusals.h"

struct refusals {
	struct map by_path; /* to place in v + 1 */
	struct refusal *v[REFUSALS];
	uint32_t next; /* the place to be written next */
};

struct refusals *
refusals_new(void)
{
	struct refusals *r = mem_try(sizeof(*r));

	if (r != NULL)
		map_init(&r->by_path, 0, 2 * REFUSALS);
	return r;
}

void
refusals_free(struct refusals *r)
{
	if (r == NULL)
		return;
	for (uint32_t i = 0; i < REFUSALS; i++)
		mem_free(r->v[i]);
	map_free(&r->by_path);
	mem_free(r);
}

static struct refusal *
copy(const struct refusal *one)
{
	size_t text_n = MIN(one->text.n, (size_t)REFUSAL_TEXT);
	struct refusal *x = mem_try(sizeof(*x) + text_n + one->rule.n);

	if (x == NULL)
		return NULL;
	*x = *one;
	if (text_n > 0)
		memcpy(x->bytes, one->text.p, text_n);
	if (one->rule.n > 0)
		memcpy(x->bytes + text_n, one->rule.p, one->rule.n);
	x->text = slice_of(x->bytes, text_n);
	x->rule = slice_of(x->bytes + text_n, one->rule.n);
	return x;
}

/* Takes one out; its place is empty. */
static void
forget(struct refusals *r, uint32_t at)
{
	map_del(&r->by_path, r->v[at]->path);
	mem_free(r->v[at]);
	r->v[at] = NULL;
}

void
refusals_put(struct refusals *r, const struct refusal *one)
{
	uint32_t at = map_get(&r->by_path, one->path);

	if (at != 0) {
		at--;
	} else {
		at = r->next;
		r->next = (r->next + 1) % REFUSALS;
	}
	if (r->v[at] != NULL)
		forget(r, at);
	r->v[at] = copy(one);
	if (r->v[at] != NULL && map_put(&r->by_path, one->path, at + 1) != 0) {
		mem_free(r->v[at]);
		r->v[at] = NULL;
	}
}

const struct refusal *
refusals_get(const struct refusals *r, uint32_t path, int64_t at_us)
{
	uint32_t at = path ? map_get(&r->by_path, path) : 0;

	if (at == 0 || r->v[at - 1]->at_us != at_us)
		return NULL;
	return r->v[at - 1];
}

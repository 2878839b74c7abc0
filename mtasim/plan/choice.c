/*
 * plan/choice.c - alias tables.
 *
 * Each entry stands for a share of 1/n. One whose weight is less is filled up
 * by one whose weight is more; so a draw picks an entry evenly, and then
 * between two.
 */
#include <math.h>

#include "plan/choice.h"

#define WHOLE 0x1p32

/* Pairs each entry below the mean with one above it. left: shares, of a mean
 * of 1; todo: room for n indices, those below from the front, those above from
 * the back. */
static void
pair_up(struct choice *c, double *left, uint32_t *todo)
{
	uint32_t nbelow = 0, above = c->n;

	for (uint32_t i = 0; i < c->n; i++) {
		c->v[i] = (struct choice_entry){ UINT32_MAX, i };
		if (left[i] < 1)
			todo[nbelow++] = i;
		else
			todo[--above] = i;
	}
	while (nbelow > 0 && above < c->n) {
		uint32_t small = todo[--nbelow], big = todo[above];

		c->v[small].keep = (uint32_t)(left[small] * WHOLE);
		c->v[small].other = big;
		left[big] -= 1 - left[small];
		if (left[big] < 1) {
			todo[nbelow++] = big;
			above++;
		}
	}
	/* What is left over is whole, but for rounding. */
}

bool
choice_make(struct choice *c, const double *weights, uint32_t n,
    struct arena *arena)
{
	double *left, sum = 0;
	uint32_t *todo;

	*c = (struct choice){ .n = n };
	c->v = arena_get(arena, n * sizeof(*c->v));
	if (c->v == NULL)
		return false;
	left = mem_get(n * sizeof(*left));
	todo = mem_get(n * sizeof(*todo));
	for (uint32_t i = 0; i < n; i++)
		sum += weights[i];
	for (uint32_t i = 0; i < n; i++)
		left[i] = weights[i] * n / sum;
	pair_up(c, left, todo);
	mem_free(left);
	mem_free(todo);
	return true;
}

bool
choice_zipf(struct choice *c, double s, uint32_t n, struct arena *arena)
{
	double *weights = mem_get(n * sizeof(*weights));
	bool ok;

	for (uint32_t i = 0; i < n; i++)
		weights[i] = pow((double)i + 1, -s);
	ok = choice_make(c, weights, n, arena);
	mem_free(weights);
	return ok;
}

uint32_t
choice_draw(const struct choice *c, struct rng *rng)
{
	uint64_t r;
	uint32_t i;

	ASSERT(c->n != 0);
	if (c->n == 1)
		return 0;
	r = rng_u64(rng);
	i = (uint32_t)((r >> 32) * c->n >> 32);
	return (uint32_t)r < c->v[i].keep ? i : c->v[i].other;
}

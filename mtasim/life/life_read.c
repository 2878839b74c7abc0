/*
 * life/life_read.c - what became of each message, by the journals: the load
 * wrote when it was acknowledged, the world when it was taken or refused.
 */
#include <stdlib.h>

#include "life/life_i.h"
#include "world/ident.h"
#include "world/journal.h"

void
arrivals_init(struct arrivals *a)
{
	*a = (struct arrivals){ .n = 0 };
	map_init(&a->map, 0, LIFE_MESSAGES_MAX);
}

void
arrivals_free(struct arrivals *a)
{
	map_free(&a->map);
	mem_free(a->acked_us);
}

struct reading {
	struct life *l;
	struct arrivals *a;
	int64_t until_us;
	struct demand *demand; /* of the load that is read */
};

/* ---- the load ------------------------------------------------------------------ */

static int
keep(struct arrivals *a, uint64_t id, int64_t at_us)
{
	if (a->n == a->cap) {
		uint32_t cap = MAX(a->cap * 2, 4096u);
		int64_t *grown =
		    mem_grow(a->acked_us, cap * sizeof(*a->acked_us));

		if (grown == NULL)
			return E_NOMEM;
		a->acked_us = grown;
		a->cap = cap;
	}
	a->acked_us[a->n++] = at_us;
	return map_put(&a->map, id, a->n);
}

static int
demand_add(struct demand *d, int64_t at_us, uint32_t provider)
{
	if (d->n == d->cap) {
		uint32_t cap = MAX(d->cap * 2, 1024u);
		struct coming *grown = mem_grow(d->v, cap * sizeof(*grown));

		if (grown == NULL)
			return E_NOMEM;
		d->v = grown;
		d->cap = cap;
	}
	d->v[d->n++] = (struct coming){ at_us, provider };
	return 0;
}

static int
by_time(const void *a, const void *b)
{
	int64_t x = ((const struct coming *)a)->at_us;
	int64_t y = ((const struct coming *)b)->at_us;

	return x < y ? -1 : x > y;
}

static void
count_arrival(struct life_side *side, int64_t at_us)
{
	if (side->arrived++ == 0 || at_us < side->first_us)
		side->first_us = at_us;
}

/* TIME acked ID DUE BYTES CODE 0:DOMAIN */
static int
load_line(void *ctx, const struct slice *field, size_t n)
{
	struct reading *r = ctx;
	struct life *l = r->l;
	struct slice domain;
	uint64_t id, at;
	uint32_t provider; /* + 1 */
	int64_t begun = r->until_us - l->s->until_us;
	int rc;

	if (n < 7 || !slice_eq(field[1], SL("acked")))
		return 0;
	if (slice_u64(field[0], INT64_MAX, &at) != 0 ||
	    sim_id_parse(field[2], &id) != 0)
		return E_SYNTAX;
	domain = field[6];
	(void)slice_cut(&domain, ':');
	provider = nameset_find(&l->s->domains, domain, NULL);
	if (provider == 0)
		return E_SYNTAX;
	if ((int64_t)at < r->until_us) {
		count_arrival(&l->sides[provider - 1], (int64_t)at);
		count_arrival(&l->sides[l->s->nproviders], (int64_t)at);
		rc = demand_add(r->demand, MAX((int64_t)at - begun, 0),
		    provider - 1);
		if (rc != 0)
			return rc;
	}
	return keep(r->a, id, (int64_t)at);
}

int
life_read_load(struct life *l, uint32_t workload, struct arrivals *a,
    const char *path, int64_t until_us)
{
	struct demand *d = &l->demand[workload];
	struct reading r = { l, a, until_us, d };
	bool torn;
	int rc = journal_read(path, load_line, &r, &torn);

	if (d->n > 0)
		qsort(d->v, d->n, sizeof(*d->v), by_time);
	return rc;
}

/* ---- the world ----------------------------------------------------------------- */

static struct life_side *
side_of_name(struct life *l, struct slice name)
{
	for (uint32_t i = 0; i < l->s->nproviders; i++)
		if (slice_eq(l->s->providers[i].name, name))
			return &l->sides[i];
	return NULL;
}

static void
count_delivery(struct life_side *side, int64_t at_us, int64_t stay_us)
{
	side->delivered++;
	side->attempts++;
	side->last_us = MAX(side->last_us, at_us);
	hist_add(&side->stay, stay_us);
}

static void
count_refusal(struct life_side *side, int64_t at_us, uint64_t code)
{
	side->attempts++;
	side->deferrals += code < 500; /* 0: closed or silent */
	if (code < 500)
		return;
	side->bounced++;
	side->last_us = MAX(side->last_us, at_us);
}

/* TIME recv ok ID CLIENT RECEIVER ... */
static int
taken(struct reading *r, int64_t at_us, const struct slice *field, size_t n)
{
	struct life_side *side = n < 6 ? NULL : side_of_name(r->l, field[5]);
	uint32_t i;
	uint64_t id;

	if (side == NULL || sim_id_parse(field[3], &id) != 0)
		return E_SYNTAX;
	i = map_get(&r->a->map, id);
	if (i != 0) {
		int64_t stay = MAX(at_us - r->a->acked_us[i - 1], 0);

		count_delivery(side, at_us, stay);
		count_delivery(&r->l->sides[r->l->s->nproviders], at_us, stay);
	}
	return 0;
}

/* TIME refuse STAGE ID CLIENT RECEIVER CODE ... A connection that is turned
 * away is no attempt of a message. */
static int
refused(struct reading *r, int64_t at_us, const struct slice *field, size_t n)
{
	struct life_side *side = n < 7 ? NULL : side_of_name(r->l, field[5]);
	uint64_t code;

	if (side == NULL || slice_u64(field[6], 999, &code) != 0)
		return E_SYNTAX;
	if (slice_eq(field[2], slice_str(sim_stage_name(AT_CONNECT))))
		return 0;
	count_refusal(side, at_us, code);
	count_refusal(&r->l->sides[r->l->s->nproviders], at_us, code);
	return 0;
}

static int
world_line(void *ctx, const struct slice *field, size_t n)
{
	struct reading *r = ctx;
	uint64_t at;

	if (n < 2 || slice_u64(field[0], INT64_MAX, &at) != 0)
		return E_SYNTAX;
	if ((int64_t)at >= r->until_us)
		return 0;
	if (slice_eq(field[1], SL("recv")))
		return taken(r, (int64_t)at, field, n);
	if (slice_eq(field[1], SL("refuse")))
		return refused(r, (int64_t)at, field, n);
	return 0;
}

int
life_read_world(struct life *l, struct arrivals *a, const char *path,
    int64_t until_us)
{
	struct reading r = { l, a, until_us, NULL };
	bool torn;
	int rc = journal_read(path, world_line, &r, &torn);

	for (uint32_t i = 0; i <= l->s->nproviders; i++) {
		struct life_side *side = &l->sides[i];

		if (side->delivered + side->bounced < side->arrived)
			side->last_us = until_us;
	}
	return rc;
}

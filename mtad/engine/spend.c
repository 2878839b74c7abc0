/*
 * engine/spend.c - what a transaction and a session cost at every limit that
 * applies to them, and give back: charges.
 */
#include "engine/engine_i.h"

/* ---- spending ------------------------------------------------------------------------ */

/* What an asker belongs to, meter by meter. */
static void
each_meter(struct eng *e, const struct asker *a,
    void (*f)(struct eng *e, void *ctx, uint32_t meter), void *ctx)
{
	const struct meters *of[2] = { NULL, NULL };

	if (a->path != 0)
		of[0] = eng_path_meters(e, pool_at(&e->paths, a->path));
	if (a->queue != 0)
		of[1] = eng_queue_meters(e, pool_at(&e->queues, a->queue));
	for (int k = 0; k < 2; k++)
		for (uint32_t i = of[k] ? of[k]->head : 0; i != 0;) {
			const struct charge *c = pool_at(&e->charges, i);

			f(e, ctx, c->meter);
			i = c->next;
		}
	if (e->caps_at[CAP_BOTH] + e->caps_at[CAP_HOST] == 0)
		return;
	for (uint32_t i = 0; i < e->policy->ncaps; i++) {
		uint32_t meter = 0;

		if (e->cap_level[i] == CAP_BOTH || e->cap_level[i] == CAP_HOST)
			meter = eng_meter_of(e, i, a);
		if (meter != 0)
			f(e, ctx, meter);
	}
}

static void
count_rcpts(struct eng *e, void *ctx, uint32_t meter)
{
	uint32_t *max = ctx;

	*max = MIN(*max, eng_meter_rcpts(e, eng_meter(e, meter)));
}

uint32_t
eng_caps_rcpts(struct eng *e, const struct asker *a, uint32_t max)
{
	each_meter(e, a, count_rcpts, &max);
	return max;
}

struct spending {
	struct txn *t;
	uint32_t bytes;
};

static void
spend(struct eng *e, void *ctx, uint32_t meter)
{
	struct spending *s = ctx;
	struct meter *m = eng_meter(e, meter);
	const struct eng_limit_conf *c = eng_meter_cap(e, m);
	struct charge *k;

	if (c == NULL)
		return;
	k = eng_charge_add(e, &s->t->charges, meter);
	k->is_spent = true;
	if (eng_cap_counts_txns(c)) {
		k->is_held = true;
		eng_meter_hold(e, m);
	}
	eng_meter_spend(e, meter, s->t->rcpts.n, s->bytes);
	k->day = m->day;
}

void
eng_caps_spend(struct eng *e, const struct asker *a, uint32_t txn)
{
	struct spending s = { pool_at(&e->txns, txn), a->bytes };

	s.t->bytes = a->bytes;
	s.t->nspent = (uint16_t)s.t->rcpts.n;
	each_meter(e, a, spend, &s);
}

void
eng_caps_unspend(struct eng *e, uint32_t txn)
{
	struct txn *t = pool_at(&e->txns, txn);

	for (uint32_t i = t->charges; i != 0;) {
		struct charge *c = pool_at(&e->charges, i);

		if (c->is_spent)
			eng_meter_unspend(e, c, t->assigned_us, t->nspent,
			    t->bytes);
		c->is_spent = false;
		i = c->next;
	}
}

/* Gives back what is held, and wakes who waits for it. */
static void
charges_end(struct eng *e, uint32_t *head)
{
	while (*head != 0) {
		uint32_t i = *head;
		struct charge c = *(struct charge *)pool_at(&e->charges, i);
		struct meter *m = eng_meter(e, c.meter);

		*head = c.next;
		pool_give(&e->charges, i);
		m->conns -= c.is_held;
		if (m->line[LINE_SEND].n + m->line[LINE_OPEN].n != 0)
			eng_meter_run(e, c.meter);
		eng_meter_drop(e, c.meter);
	}
}

void
eng_caps_end(struct eng *e, uint32_t txn)
{
	charges_end(e, &((struct txn *)pool_at(&e->txns, txn))->charges);
}

/* ---- sessions ------------------------------------------------------------------------ */

static void
hold(struct eng *e, void *ctx, uint32_t meter)
{
	struct sess *x = ctx;
	struct meter *m = eng_meter(e, meter);
	const struct eng_limit_conf *c = eng_meter_cap(e, m);

	if (c == NULL || eng_cap_counts_txns(c))
		return;
	eng_charge_add(e, &x->charges, meter)->is_held = true;
	eng_meter_hold(e, m);
}

void
eng_caps_hold(struct eng *e, const struct asker *a, uint32_t sess)
{
	each_meter(e, a, hold, pool_at(&e->sessions, sess));
}

static void
open_spend(struct eng *e, void *ctx, uint32_t meter)
{
	(void)ctx;
	if (eng_meter_cap(e, eng_meter(e, meter)) != NULL)
		eng_meter_open(e, meter);
}

static void
promise(struct eng *e, void *ctx, uint32_t meter)
{
	const uint32_t *sess = ctx;

	eng_promise(e, *sess, meter);
}

void
eng_caps_open(struct eng *e, const struct asker *a, uint32_t sess)
{
	struct again o = { .line = LINE_OPEN }, g = { .line = LINE_SEND };

	eng_caps_take(e, a, LINE_OPEN, &o);
	eng_caps_take(e, a, LINE_SEND, &g);
	each_meter(e, a, open_spend, NULL);
	eng_caps_hold(e, a, sess);
	each_meter(e, a, promise, &sess);
	eng_caps_again(e, a, &o);
	eng_caps_again(e, a, &g);
}

void
eng_caps_close(struct eng *e, uint32_t sess)
{
	charges_end(e, &((struct sess *)pool_at(&e->sessions, sess))->charges);
}

/* ---- another policy ------------------------------------------------------------------ */

static void
recount(struct eng *e, void *ctx, uint32_t meter)
{
	struct txn *t = ctx;
	struct meter *m = eng_meter(e, meter);
	const struct eng_limit_conf *c = eng_meter_cap(e, m);
	struct charge *k = NULL;

	if (c == NULL || !eng_cap_counts_txns(c))
		return;
	for (uint32_t i = t->charges; i != 0 && k == NULL;) {
		struct charge *at = pool_at(&e->charges, i);

		k = at->meter == meter ? at : NULL;
		i = at->next;
	}
	if (k == NULL)
		k = eng_charge_add(e, &t->charges, meter);
	k->is_held = true;
	eng_meter_hold(e, m);
}

void
eng_caps_recount(struct eng *e, const struct asker *a, uint32_t txn)
{
	struct txn *t = pool_at(&e->txns, txn);

	for (uint32_t i = t->charges; i != 0;) {
		struct charge *c = pool_at(&e->charges, i);

		eng_meter(e, c->meter)->conns -= c->is_held;
		c->is_held = false;
		i = c->next;
	}
	each_meter(e, a, recount, t);
}

/*
 * sim/host_keep.c - what survives a crash beside mail, as the daemon's keeper
 * has it: one shelf of entries is being written at a time, whole or not at all,
 * and the core hears when it is durable. A crash takes what was not yet given;
 * what was under way may have come through without a word.
 */
#include "sim/host_i.h"

static void
write_way(struct host *h)
{
	struct sim_keep *k = &h->keep;
	const struct kept *e;

	for (uint32_t i = 0; i < k->way.n; i++)
		if ((e = shelf_at(&k->way, i)))
			shelf_apply(&k->kept, e);
	shelf_free(&k->way);
	k->is_out = false;
}

static void
on_written(void *arg)
{
	struct host *h = arg;
	struct post_kept *p = mem_get(sizeof(*p));

	write_way(h);
	h->s->marks->n[MARK_kept]++;
	p->post.kind = POST_KEPT;
	p->serial = h->keep.way_serial;
	core_push(h, &p->post);
}

void
keep_make(struct host *h)
{
	sim_timer_init(&h->keep.written, on_written, h, "keeper");
}

void
keep_free(struct host *h)
{
	sim_timer_cancel(h->s, &h->keep.written);
	shelf_free(&h->keep.fresh);
	shelf_free(&h->keep.way);
	shelf_free(&h->keep.kept);
}

void
keep_entry(struct host *h, const struct kept *k, uint64_t serial)
{
	shelf_put(&h->keep.fresh, k);
	h->keep.serial = serial;
}

void
keep_flush(struct host *h)
{
	struct sim_keep *k = &h->keep;
	struct rng *r = dice(h->s, DICE_HOST);
	int64_t takes;

	if (k->fresh.n == 0 || k->is_out)
		return;
	k->way = k->fresh;
	k->way_serial = k->serial;
	k->fresh = (struct shelf){ 0 };
	k->is_out = true;
	takes = rng_range(r, 200, 60 * US_PER_MS);
	if (sim_has(h->s, SIM_F_disk_slow) && !h->s->is_healed &&
	    rng_below(r, 2) == 0)
		takes += rng_range(r, 0, 10 * US_PER_S);
	sim_timer_set(h->s, &k->written, h->s->now_us + takes);
}

void
keep_recall(struct host *h)
{
	const struct kept *e;

	for (uint32_t i = 0; i < h->keep.kept.n; i++)
		if ((e = shelf_at(&h->keep.kept, i))) {
			core_recall(h->core, e);
			h->s->marks->n[MARK_recalled]++;
		}
}

void
keep_stop(struct host *h)
{
	struct sim_keep *k = &h->keep;

	write_way(h);
	k->way = k->fresh;
	k->fresh = (struct shelf){ 0 };
	write_way(h);
}

void
keep_crash(struct host *h)
{
	struct sim_keep *k = &h->keep;

	sim_timer_cancel(h->s, &k->written);
	if (k->is_out && rng_below(dice(h->s, DICE_HOST), 2))
		write_way(h);
	shelf_free(&k->way);
	shelf_free(&k->fresh);
	k->is_out = false;
}

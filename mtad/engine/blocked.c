/*
 * engine/blocked.c - what waiting has cost, by the limit that made it wait.
 *
 * Two integrals are kept for each entry of the policy's limits and each gate:
 * paths times the time that they were shut after a refusal, and due recipients
 * times the time that they stood in line behind it. Nothing walks: a path's
 * interval is added when it opens, a lane's when the number of its recipients
 * or its gate changes.
 */
#include "engine/engine_i.h"

/* Of a site that has not heard of the present policy yet, nothing is told. */
#define TOLL_LOST 1u

static uint32_t
toll_of(const struct eng *e, const struct site *s)
{
	return s->generation == e->generation ? s->where.dest + 2u : TOLL_LOST;
}

static struct eng_blocked *
row_of(struct eng *e, uint32_t site, enum eng_why why)
{
	const struct site *s = pool_at(&e->sites, site);
	struct toll *t = pool_at(&e->tolls, toll_of(e, s));

	return &t->blocked[why];
}

/* The gate that a lane's mail stands at. */
static enum eng_why
lane_gate(const struct eng *e, const struct lane *l)
{
	if (e->is_disk_full)
		return WHY_DISK;
	return l->is_parked ? (enum eng_why)l->why : WHY_SESSION;
}

void
eng_lane_count(struct eng *e, struct lane *l)
{
	int64_t passed = e->now - l->counted_us;

	if (passed != 0 && l->nready != 0 && l->is_parked &&
	    l->why == WHY_CAP && l->generation == e->generation)
		e->cap_blocked[l->by].rcpt_us += (uint64_t)passed * l->nready;
	if (passed != 0 && l->nready != 0)
		row_of(e, l->site, lane_gate(e, l))->rcpt_us +=
		    (uint64_t)passed * l->nready;
	l->counted_us = e->now;
}

void
eng_park_count(struct eng *e, struct park *k)
{
	const struct queue *q = pool_at(&e->queues, k->queue);
	uint64_t us = (uint64_t)(e->now - k->counted_us) * q->fifo.n;

	row_of(e, q->home, k->why)->rcpt_us += us;
	if (k->why == WHY_CAP && q->waiter != 0)
		eng_waiter_count(e, q->waiter, us);
	k->counted_us = e->now;
}

static void
path_count(struct eng *e, struct path *p)
{
	if (p->shut != WHY_NONE)
		row_of(e, p->site, p->shut)->path_us +=
		    (uint64_t)(e->now - p->shut_us);
	p->shut_us = e->now;
}

void
eng_path_shut(struct eng *e, struct path *p, enum eng_why why)
{
	path_count(e, p);
	p->shut = (uint8_t)why;
	row_of(e, p->site, why)->refusals++;
}

void
eng_path_reopen(struct eng *e, struct path *p)
{
	enum eng_why why;
	int64_t until;

	if (p->shut == WHY_NONE)
		return;
	if (p->shut == WHY_CAP) {
		path_count(e, p);
		if (p->waiter == 0 || eng_waiter_is_told(e, p->waiter))
			p->shut = WHY_NONE;
		return;
	}
	why = p->shut == WHY_CONN ? eng_path_open_gate(e, p, &until) :
				    eng_path_gate(e, p, &until);
	path_count(e, p);
	if (why == WHY_NONE)
		p->shut = WHY_NONE;
}

void
eng_path_unshut(struct eng *e, struct path *p)
{
	path_count(e, p);
	p->shut = WHY_NONE;
}

void
eng_blocked_sums(const struct eng *e, uint32_t site, uint64_t us[ENG_WHY_N])
{
	const struct toll *t =
	    pool_at(&e->tolls, toll_of(e, pool_at(&e->sites, site)));

	for (int w = 0; w < ENG_WHY_N; w++)
		us[w] = t->blocked[w].rcpt_us;
}

/* What parked queues have waited since they were counted. */
static void
parks_add(const struct eng *e, uint16_t dest, int64_t now_us,
    struct eng_blocked out[ENG_WHY_N])
{
	for (uint32_t i = 1; i < e->parks.next_new; i++) {
		const struct park *k;
		const struct queue *q;

		if (!pool_is_live(&e->parks, i))
			continue;
		k = pool_at(&e->parks, i);
		q = pool_at(&e->queues, k->queue);
		if (toll_of(e, pool_at(&e->sites, q->home)) == dest + 2u)
			out[k->why].rcpt_us +=
			    (uint64_t)(now_us - k->counted_us) * q->fifo.n;
	}
}

void
eng_blocked(const struct eng *e, uint16_t dest, int64_t now_us,
    struct eng_blocked out[ENG_WHY_N])
{
	const struct toll *t = pool_at(&e->tolls, dest + 2u);

	memcpy(out, t->blocked, sizeof(t->blocked));
	for (uint32_t i = 1; i < e->lanes.next_new; i++) {
		const struct lane *l;
		const struct site *s;

		if (!pool_is_live(&e->lanes, i))
			continue;
		l = pool_at(&e->lanes, i);
		s = pool_at(&e->sites, l->site);
		if (toll_of(e, s) == dest + 2u)
			out[lane_gate(e, l)].rcpt_us +=
			    (uint64_t)(now_us - l->counted_us) * l->nready;
	}
	parks_add(e, dest, now_us, out);
	for (uint32_t i = 1; i < e->paths.next_new; i++) {
		const struct path *p;
		const struct site *s;

		if (!pool_is_live(&e->paths, i))
			continue;
		p = pool_at(&e->paths, i);
		s = pool_at(&e->sites, p->site);
		if (toll_of(e, s) == dest + 2u && p->shut != WHY_NONE)
			out[p->shut].path_us += (uint64_t)(now_us - p->shut_us);
	}
}

/*
 * engine/conf.c - a new policy: sources and pools by name, and everything that
 * is bound to the old one is made to look again, in slices.
 */
#include "engine/standing_i.h"
#include "engine/warm_i.h"

static uint32_t
src_of(struct eng *e, uint32_t name)
{
	for (uint32_t i = 1; i < e->nsrcs; i++)
		if (e->srcs[i].name == name)
			return i;
	for (uint32_t i = 1; i < e->nsrcs; i++)
		if (e->srcs[i].conf == SRC_NONE && e->srcs[i].npaths == 0) {
			memset(&e->srcs[i], 0, sizeof(e->srcs[i]));
			e->srcs[i].name = name;
			return i;
		}
	if (e->nsrcs == 0)
		e->nsrcs = 1; /* 0 is none */
	if (e->nsrcs == SRC_SLOTS)
		return 0;
	e->srcs[e->nsrcs].name = name;
	return e->nsrcs++;
}

static void
sources_set(struct eng *e, const struct eng_policy *p)
{
	for (uint32_t i = 1; i < e->nsrcs; i++) {
		e->srcs[i].conf = SRC_NONE;
		e->srcs[i].plan = 0;
		memset(e->srcs[i].pools, 0, sizeof(e->srcs[i].pools));
	}
	for (uint32_t k = 0; k < p->nsources; k++) {
		uint32_t i = src_of(e, p->sources[k].name);

		if (i == 0)
			continue;
		e->srcs[i].conf = (uint16_t)k;
		e->srcs[i].plan = p->sources[k].warmup;
		e->srcs[i].has_v4 = p->sources[k].has_v4;
		e->srcs[i].has_v6 = p->sources[k].has_v6;
		e->srcs[i].netblock = p->sources[k].netblock;
	}
	for (uint32_t i = 1; i < e->nsrcs; i++)
		e->srcs[i].is_down &= e->srcs[i].conf != SRC_NONE;
}

/* Sources of the policy's pool `from` that the pool has not yet. */
static void
pool_fill(struct eng *e, const struct eng_policy *p, uint32_t pool,
    uint32_t from)
{
	const struct eng_pool_conf *in = &p->pools[from];
	struct epool *out = &e->pools[pool];

	for (uint32_t j = 0; j < in->nsources; j++) {
		uint32_t at = in->sources[j], i, k = 0;

		i = at < p->nsources ? src_of(e, p->sources[at].name) : 0;
		while (k < out->n && out->src[k] != i)
			k++;
		if (i == 0 || k < out->n || k == ENG_POOL_SOURCES_MAX)
			continue;
		out->weight[k] = MAX(in->weights[j], 1);
		out->src[out->n++] = (uint16_t)i;
	}
}

static void
pool_meets(const struct eng *e, struct epool *p)
{
	memset(p->meets, 0, sizeof(p->meets));
	for (uint32_t j = 0; j < p->n; j++)
		for (uint32_t w = 0; w < ARRAY_LEN(p->meets); w++)
			p->meets[w] |= e->srcs[p->src[j]].pools[w];
}

void
eng_conf_set(struct eng *e, const struct eng_policy *p)
{
	eng_caps_begin(e, p);
	e->policy = p;
	eng_quiet_again(e);
	e->generation++;
	eng_tolls_begin(e);
	sources_set(e, p);
	e->npools = p->npools;
	e->has_sticky = false;
	for (uint32_t k = 0; k < p->npools; k++) {
		e->pools[k].name = p->pools[k].name;
		e->pools[k].n = 0;
		e->pools[k].is_sticky = p->pools[k].is_sticky;
		e->has_sticky |= p->pools[k].is_sticky;
		pool_fill(e, p, k, k);
		e->pools[k].nown = e->pools[k].n;
		for (uint32_t j = 0; j < e->pools[k].n; j++)
			e->srcs[e->pools[k].src[j]].pools[k / 64] |= UINT64_C(1)
			    << (k % 64);
		e->pools[k].over = POOL_NONE;
		if (p->pools[k].overflow != 0 &&
		    p->pools[k].overflow <= p->npools) {
			e->pools[k].over = p->pools[k].overflow - 1;
			pool_fill(e, p, k, e->pools[k].over);
		}
		eng_pool_order(&e->pools[k]);
	}
	for (uint32_t k = 0; k < p->npools; k++)
		pool_meets(e, &e->pools[k]);
	eng_warm_conf(e);
	eng_standings_conf(e);
}

void
eng_on_conf(struct eng *e, const struct eng_policy *p)
{
	eng_conf_set(e, p);
	for (uint32_t i = 1; i < e->sessions.next_new; i++) {
		struct sess *x;

		if (!pool_is_live(&e->sessions, i))
			continue;
		x = pool_at(&e->sessions, i);
		if (e->srcs[((struct path *)pool_at(&e->paths, x->path))->src]
			.conf == SRC_NONE)
			eng_sess_close(e, i);
	}
	eng_caps_rebind(e);
	e->conf_lane = 1;
	e->conf_dom = 1;
	eng_conf_run(e);
}

/* Lanes are not looked at while it is full, and wakes are lost: so all look
 * again afterwards. */
void
eng_on_disk(struct eng *e, bool is_full)
{
	for (uint32_t i = 1; i < e->lanes.next_new; i++)
		if (pool_is_live(&e->lanes, i))
			eng_lane_count(e, pool_at(&e->lanes, i));
	e->is_disk_full = is_full;
	if (!is_full)
		e->conf_lane = 1;
}

/* Lanes that found it down look again when it is up: that is rare. */
void
eng_on_source(struct eng *e, uint32_t name, bool is_down)
{
	for (uint32_t i = 1; i < e->nsrcs; i++) {
		struct src *s = &e->srcs[i];

		if (s->name != name || s->is_down == is_down)
			continue;
		s->is_down = is_down;
		s->down_us = is_down ? e->now : 0;
		if (!is_down)
			e->conf_lane = 1;
	}
}

/* Lanes look again; domains with mail are asked again, for routes and shapes
 * may have changed. */
void
eng_conf_run(struct eng *e)
{
	eng_caps_run(e);
	eng_quiet_run(e);
	for (int left = SLICE; left > 0 && e->conf_lane != 0; left--) {
		uint32_t i = e->conf_lane++;

		if (i >= e->lanes.next_new)
			e->conf_lane = 0;
		else if (pool_is_live(&e->lanes, i))
			eng_lane_unpark(e, i);
	}
	for (int left = SLICE / 4; left > 0 && e->conf_dom != 0; left--) {
		uint32_t i = e->conf_dom++;
		const struct dom *d;

		if (i >= e->doms.next_new) {
			e->conf_dom = 0;
			continue;
		}
		if (!pool_is_live(&e->doms, i))
			continue;
		d = pool_at(&e->doms, i);
		if (d->nrcpts == 0 || d->state != DOM_OK)
			continue;
		if (d->is_asked)
			eng_emit(e, CMD_SHAPE)->domain = d->name;
		eng_dom_touch(e, i);
	}
}

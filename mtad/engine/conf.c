/*
 * engine/conf.c - a new policy: sources and pools by name, and everything that
 * is bound to the old one is made to look again, in slices.
 */
#include "engine/engine_i.h"

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
		memset(e->srcs[i].pools, 0, sizeof(e->srcs[i].pools));
	}
	for (uint32_t k = 0; k < p->nsources; k++) {
		uint32_t i = src_of(e, p->sources[k].name);

		if (i == 0)
			continue;
		e->srcs[i].conf = (uint16_t)k;
		e->srcs[i].has_v4 = p->sources[k].has_v4;
		e->srcs[i].has_v6 = p->sources[k].has_v6;
		e->srcs[i].netblock = p->sources[k].netblock;
	}
}

void
eng_conf_set(struct eng *e, const struct eng_policy *p)
{
	eng_caps_begin(e, p);
	e->policy = p;
	e->generation++;
	eng_tolls_begin(e);
	sources_set(e, p);
	e->npools = p->npools;
	for (uint32_t k = 0; k < p->npools; k++) {
		struct epool *out = &e->pools[k];

		out->name = p->pools[k].name;
		out->n = 0;
		for (uint32_t j = 0; j < p->pools[k].nsources; j++) {
			uint32_t at = p->pools[k].sources[j], i;

			if (at >= p->nsources)
				continue;
			i = src_of(e, p->sources[at].name);
			if (i == 0)
				continue;
			out->weight[out->n] = MAX(p->pools[k].weights[j], 1);
			out->src[out->n++] = (uint16_t)i;
			e->srcs[i].pools[k / 64] |= UINT64_C(1) << (k % 64);
		}
		eng_pool_order(out);
	}
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

/* Lanes look again; domains with mail are asked again, for routes and shapes
 * may have changed. */
void
eng_conf_run(struct eng *e)
{
	eng_caps_run(e);
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

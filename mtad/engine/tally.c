/*
 * engine/tally.c - how many replies a rule has seen for a target of late, and
 * whether these are enough to act.
 *
 * A period is counted in parts, the oldest of which is forgotten as a new one
 * begins: what is counted has come within one period, and in fifteen sixteenths
 * of it nothing is missed. Of all replies those are counted that came since the
 * first that matched.
 */
#include "engine/standing_i.h"

static struct tally *
tally_at(const struct eng *e, uint32_t i)
{
	return pool_at(&e->tallies, i);
}

static int64_t
part_of(const struct eng_automation_conf *a)
{
	return MAX(a->period_us / TALLY_PARTS, 1);
}

static bool
is_of(const struct tally *t, const struct eng_automation_conf *a)
{
	return t->rule == a->name && t->dims == a->dims &&
	    t->part_us == part_of(a);
}

static uint32_t
tally_find(const struct eng *e, const struct eng_automation_conf *a,
    const uint32_t val[DIM_N])
{
	uint32_t i = map_get(&e->tally_map, eng_target_hash(a->dims, val));

	while (i != 0) {
		const struct tally *t = tally_at(e, i);

		if (is_of(t, a) && memcmp(t->val, val, sizeof(t->val)) == 0)
			return i;
		i = t->twin;
	}
	return 0;
}

/* 0: there are too many. */
static uint32_t
tally_new(struct eng *e, const struct eng_automation_conf *a,
    const uint32_t val[DIM_N])
{
	uint64_t h = eng_target_hash(a->dims, val);
	struct tally *t;
	uint32_t i;

	if (e->tallies.live >= ENG_STANDINGS_MAX)
		return 0;
	t = eng_slot(&e->tallies, &i);
	t->rule = a->name;
	t->dims = a->dims;
	memcpy(t->val, val, sizeof(t->val));
	t->part_us = part_of(a);
	t->part = e->now / t->part_us;
	t->twin = map_get(&e->tally_map, h);
	ASSERT(map_put(&e->tally_map, h, i) == 0);
	return i;
}

static void
tally_free(struct eng *e, uint32_t i)
{
	struct tally *t = tally_at(e, i);
	uint64_t h = eng_target_hash(t->dims, t->val);
	uint32_t at = map_get(&e->tally_map, h);

	if (at == i && t->twin == 0) {
		map_del(&e->tally_map, h);
	} else if (at == i) {
		ASSERT(map_put(&e->tally_map, h, t->twin) == 0);
	} else {
		while (tally_at(e, at)->twin != i)
			at = tally_at(e, at)->twin;
		tally_at(e, at)->twin = t->twin;
	}
	eng_timer_cancel(e, &t->timer);
	pool_give(&e->tallies, i);
}

/* The part that is running, with those before it that are over forgotten. */
static uint32_t
part_now(const struct eng *e, struct tally *t)
{
	int64_t now = e->now / t->part_us;
	int64_t passed = MIN(now - t->part, TALLY_PARTS);

	for (int64_t k = 0; k < passed; k++) {
		uint32_t at = (uint32_t)((now - k) % TALLY_PARTS);

		t->hits[at] = t->all[at] = 0;
	}
	t->part = MAX(t->part, now);
	return (uint32_t)(t->part % TALLY_PARTS);
}

static bool
is_enough(const struct eng_automation_conf *a, const struct tally *t)
{
	uint64_t hits = 0, all = 0;

	for (int k = 0; k < TALLY_PARTS; k++) {
		hits += t->hits[k];
		all += t->all[k];
	}
	if (a->ratio_ppm == 0)
		return hits >= a->count;
	return all >= a->replies_min && hits * ENG_PPM >= all * a->ratio_ppm;
}

bool
eng_tally_hit(struct eng *e, uint32_t k, const uint32_t val[DIM_N])
{
	const struct eng_automation_conf *a = &e->policy->automations[k];
	uint32_t i = tally_find(e, a, val), at;
	struct tally *t;
	bool is_new = i == 0;

	if (is_new)
		i = tally_new(e, a, val);
	if (i == 0)
		return false;
	t = tally_at(e, i);
	at = part_now(e, t);
	t->hits[at]++;
	t->all[at] += is_new;
	if (is_enough(a, t)) {
		tally_free(e, i);
		return true;
	}
	eng_timer_set(e, &t->timer, TIMER_TALLY, i,
	    e->now + t->part_us * TALLY_PARTS);
	return false;
}

void
eng_tally_reply(struct eng *e, uint32_t k, const uint32_t val[DIM_N])
{
	uint32_t i = tally_find(e, &e->policy->automations[k], val);
	struct tally *t;

	if (i == 0)
		return;
	t = tally_at(e, i);
	t->all[part_now(e, t)]++;
}

void
eng_tallies_conf(struct eng *e)
{
	for (uint32_t i = 1; i < e->tallies.next_new; i++) {
		uint32_t k = 0;

		if (!pool_is_live(&e->tallies, i))
			continue;
		while (k < e->policy->nautomations &&
		    !is_of(tally_at(e, i), &e->policy->automations[k]))
			k++;
		if (k == e->policy->nautomations)
			tally_free(e, i);
	}
}

void
eng_tally_timer(struct eng *e, uint32_t i)
{
	tally_free(e, i);
}

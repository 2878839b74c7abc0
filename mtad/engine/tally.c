/*
 * engine/tally.c - how many replies a rule has seen for a target of late, and
 * whether these are enough to act.
 *
 * A period is counted in parts, the oldest of which is forgotten as a new one
 * begins: what is counted has come within one period, and in fifteen sixteenths
 * of it nothing is missed. Of all replies those are counted that came since the
 * first that matched.
 *
 * What is counted is kept every few seconds while there is more, and comes back
 * at a start: what was not kept has not happened, so that no rule acts too soon.
 * All replies are kept before those that matched: a crash between the two makes
 * a ratio smaller.
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

/* ---- the books ---------------------------------------------------------------- */

#define SAVE_US (5 * US_PER_S)
#define SUB_ALL (UINT32_C(1) << 16) /* beside the dims: all replies */
#define COUNT_BYTES 3
#define COUNT_MAX ((UINT32_C(1) << 8 * COUNT_BYTES) - 1)

/* Of an entry; behind them the counts, the present part's first. */
enum { V_PART, V_PART_US, V_COUNTS };
_Static_assert(TALLY_PARTS *COUNT_BYTES <=
	(KEPT_VALUES_MAX - V_COUNTS) * sizeof(int64_t),
    "an entry has room for the parts");

/* The slot of a part, whose number may be negative. */
static uint32_t
slot_of(int64_t part)
{
	return (uint32_t)((part % TALLY_PARTS + TALLY_PARTS) % TALLY_PARTS);
}

static void
put_counts(const struct tally *t, const uint32_t *n, int64_t *v)
{
	uint64_t out[KEPT_VALUES_MAX - V_COUNTS] = { 0 };

	for (uint32_t k = 0; k < TALLY_PARTS; k++) {
		uint64_t x = MIN(n[slot_of(t->part - k)], COUNT_MAX);

		for (uint32_t b = 0; b < COUNT_BYTES; b++) {
			uint32_t at = k * COUNT_BYTES + b;

			out[at / 8] |= (x >> 8 * b & 0xff) << 8 * (at % 8);
		}
	}
	for (uint32_t k = 0; k < ARRAY_LEN(out); k++)
		v[k] = (int64_t)out[k];
}

static uint32_t
count_of(const int64_t *v, uint32_t k)
{
	uint32_t x = 0;

	for (uint32_t b = 0; b < COUNT_BYTES; b++) {
		uint32_t at = k * COUNT_BYTES + b;

		x |= (uint32_t)((uint64_t)v[at / 8] >> 8 * (at % 8) & 0xff)
		    << 8 * b;
	}
	return x;
}

static void
keep(struct eng *e, struct tally *t, bool is_gone)
{
	struct eng_entry en = { .book = BOOK_TALLY,
		.nkeys = 1,
		.key = { t->rule },
		.sub = t->dims | SUB_ALL };

	(void)part_now(e, t);
	for (uint32_t left = t->dims; left != 0; left &= left - 1) {
		ASSERT(en.nkeys < KEPT_KEYS_MAX);
		en.key[en.nkeys++] = t->val[__builtin_ctz(left)];
	}
	en.v[V_PART] = eng_wall(e) - (e->now - t->part * t->part_us);
	en.v[V_PART_US] = t->part_us;
	put_counts(t, t->all, en.v + V_COUNTS);
	eng_keep(e, &en, is_gone);
	en.sub = t->dims;
	put_counts(t, t->hits, en.v + V_COUNTS);
	eng_keep(e, &en, is_gone);
	t->has_entry = !is_gone;
	t->is_dirty = false;
	t->saved_us = e->now;
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
	if (t->has_entry)
		keep(e, t, true);
	pool_give(&e->tallies, i);
}

/* At once if that was not so long ago, else in a while. */
static void
timer_set(struct eng *e, uint32_t i)
{
	struct tally *t = tally_at(e, i);
	int64_t at = t->last_us + t->part_us * TALLY_PARTS;

	if (t->is_dirty && t->saved_us + SAVE_US <= e->now)
		keep(e, t, false);
	if (t->is_dirty)
		at = MIN(at, t->saved_us + SAVE_US);
	eng_timer_set(e, &t->timer, TIMER_TALLY, i, at);
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
	t->last_us = e->now;
	if (is_enough(a, t)) {
		tally_free(e, i);
		return true;
	}
	t->is_dirty = true;
	timer_set(e, i);
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
	t->is_dirty = true;
	timer_set(e, i);
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
	const struct tally *t = tally_at(e, i);

	if (t->last_us + t->part_us * TALLY_PARTS <= e->now)
		tally_free(e, i);
	else
		timer_set(e, i);
}

/* The rule of an entry; the number of rules: there is none like it. */
static uint32_t
rule_of(const struct eng *e, const struct eng_entry *en)
{
	const struct eng_policy *p = e->policy;
	uint32_t k = 0;

	while (k < p->nautomations &&
	    (p->automations[k].name != en->key[0] ||
		p->automations[k].dims != (en->sub & ~SUB_ALL) ||
		part_of(&p->automations[k]) != en->v[V_PART_US]))
		k++;
	return k;
}

/* Counts go to the parts that their own ones begin in, so that they are forgotten
 * no later than they would have been. */
static void
counts_take(struct eng *e, struct tally *t, const struct eng_entry *en)
{
	uint32_t *to = en->sub & SUB_ALL ? t->all : t->hits;
	int64_t began = eng_mono(e, en->v[V_PART]);

	for (uint32_t k = 0; k < TALLY_PARTS; k++) {
		int64_t at = began - k * t->part_us;
		int64_t part = at / t->part_us - (at % t->part_us < 0);
		uint32_t n = count_of(en->v + V_COUNTS, k);

		if (n == 0 || part > t->part || part <= t->part - TALLY_PARTS)
			continue;
		to[slot_of(part)] += n;
	}
}

void
eng_tally_recall(struct eng *e, const struct eng_entry *en)
{
	uint32_t val[DIM_N] = { 0 }, at = 1, k = rule_of(e, en), i = 0;
	const struct eng_automation_conf *a = &e->policy->automations[k];
	struct tally *t;

	for (uint32_t left = en->sub & ((1u << DIM_N) - 1); left != 0;
	     left &= left - 1)
		if (at < en->nkeys)
			val[__builtin_ctz(left)] = en->key[at++];
	if (at == en->nkeys && k < e->policy->nautomations) {
		i = tally_find(e, a, val);
		i = i != 0 ? i : tally_new(e, a, val);
	}
	if (i == 0) {
		eng_keep(e, en, true);
		return;
	}
	t = tally_at(e, i);
	t->has_entry = true;
	t->saved_us = t->last_us = e->now;
	(void)part_now(e, t);
	counts_take(e, t, en);
	timer_set(e, i);
}

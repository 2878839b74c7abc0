/*
 * engine/standing.c - reactions: what a rule of the policy makes of a refusal,
 * and what holds because of it.
 *
 * A standing has a target (target.c): the values, of the mail that was refused,
 * of the dims that its rule names (a source and a site, say). Values are names, so
 * that they outlive sites and restarts. A path that one stops has a timer for its
 * end, and is in its list in case it ends sooner.
 */
#include "engine/standing_i.h"

#define BIT(d) (1u << (d))
#define STAND_KEYS 2 /* names of an entry before its target's */

enum {
	V_FIRST,
	V_LAST,
	V_UNTIL,
	V_REPLY, /* code, stage, enhanced code */
	V_COUNT,
	V_ID,
	V_ACTION,
	V_RATE
};

static struct standing *
stand_at(const struct eng *e, uint32_t i)
{
	return pool_at(&e->standings, i);
}

/* That of a rule on a target, or 0. */
static uint32_t
stand_find(const struct eng *e, uint32_t rule, uint16_t dims,
    const uint32_t val[DIM_N])
{
	uint32_t i = map_get(&e->stand_map, eng_target_hash(dims, val));

	while (i != 0 &&
	    (stand_at(e, i)->rule != rule ||
		!eng_is_target(stand_at(e, i), dims, val)))
		i = stand_at(e, i)->twin;
	return i;
}

static void
map_leave(struct eng *e, uint32_t i)
{
	const struct standing *s = stand_at(e, i);
	uint64_t h = eng_target_hash(s->dims, s->val);
	uint32_t at = map_get(&e->stand_map, h);

	if (at == i && s->twin == 0) {
		map_del(&e->stand_map, h);
	} else if (at == i) {
		ASSERT(map_put(&e->stand_map, h, s->twin) == 0);
	} else {
		while (stand_at(e, at)->twin != i)
			at = stand_at(e, at)->twin;
		stand_at(e, at)->twin = s->twin;
	}
	eng_kinds_count(e, s->dims, s->action, -1);
}

/* ---- who waits for it --------------------------------------------------------------- */

int64_t
eng_standing_since(const struct eng *e, uint32_t i)
{
	return stand_at(e, i)->first_us;
}

void
eng_standing_unwait(struct eng *e, uint32_t path)
{
	struct path *p = pool_at(&e->paths, path);

	if (p->standing != 0)
		il_remove(K_STAND(e), &stand_at(e, p->standing)->paths, path);
	p->standing = 0;
}

/* What is pinned to the path's source may leave by another. */
static void
let_leave(struct eng *e, const struct path *p)
{
	const struct site *s = pool_at(&e->sites, p->site);
	uint32_t next;

	if (!eng_source_is_left(e, p->src, p->site))
		return;
	for (uint32_t i = s->hungry.head; i != 0; i = next) {
		const struct lane *l = pool_at(&e->lanes, i);

		next = l->hungry.next;
		if (l->is_parked && l->pin == e->srcs[p->src].name)
			eng_lane_wake(e, i);
	}
}

/* What is handed out goes on; who has nothing to do says goodbye. */
void
eng_standing_wait(struct eng *e, uint32_t path, enum eng_why why)
{
	struct path *p = pool_at(&e->paths, path);
	int64_t until;
	uint32_t i = why == WHY_PACED ? eng_path_paced_by(e, p) :
					eng_path_suspended(e, p, &until);

	ASSERT(i != 0);
	while (why == WHY_SUSPENDED && p->room[0].n != 0)
		eng_sess_close(e, p->room[0].head);
	if (p->standing == i)
		return;
	eng_standing_unwait(e, path);
	p->standing = i;
	il_push_tail(K_STAND(e), &stand_at(e, i)->paths, path);
	let_leave(e, p);
}

/* ---- the books ----------------------------------------------------------------------------- */

static int64_t
pack_reply(const struct outcome *o)
{
	return (int64_t)(o->code | (uint64_t)o->stage << 16 |
	    (uint64_t)o->enh.klass << 24 | (uint64_t)o->enh.subject << 32 |
	    (uint64_t)o->enh.detail << 48);
}

static struct outcome
unpack_reply(int64_t packed)
{
	uint64_t v = (uint64_t)packed;

	return (struct outcome){ .klass = OUTCOME_TRANSIENT,
		.code = (uint16_t)v,
		.stage = MIN((uint8_t)(v >> 16), (uint8_t)(STAGE_N - 1)),
		.enh = { .klass = (uint8_t)(v >> 24),
		    .subject = (uint16_t)(v >> 32),
		    .detail = (uint16_t)(v >> 48) } };
}

static void
keep(struct eng *e, const struct standing *s, bool is_gone)
{
	struct eng_entry en = { .book = BOOK_STANDING,
		.nkeys = STAND_KEYS,
		.key = { s->rule, s->reply },
		.sub = s->dims };

	for (uint32_t left = s->dims; left != 0; left &= left - 1) {
		ASSERT(en.nkeys < KEPT_KEYS_MAX);
		en.key[en.nkeys++] = s->val[__builtin_ctz(left)];
	}
	en.v[V_FIRST] = eng_wall(e) - (e->now - s->first_us);
	en.v[V_LAST] = eng_wall(e) - (e->now - s->last_us);
	en.v[V_UNTIL] = s->until_us == TIME_NEVER ?
	    0 :
	    eng_wall(e) + (s->until_us - e->now);
	en.v[V_REPLY] = pack_reply(&s->outcome);
	en.v[V_COUNT] = (int64_t)s->count;
	en.v[V_ID] = s->id;
	en.v[V_ACTION] = s->action;
	en.v[V_RATE] = (int64_t)MIN(s->rate, (uint64_t)INT64_MAX);
	eng_keep(e, &en, is_gone);
}

/* ---- beginning and end ------------------------------------------------------------------------ */

static void
timer_set(struct eng *e, uint32_t i)
{
	struct standing *s = stand_at(e, i);

	if (s->until_us != TIME_NEVER)
		eng_timer_set(e, &s->timer, TIMER_STANDING, i, s->until_us);
}

/* One of rule k on a target, as if it had no history; 0: there is no room. */
static uint32_t
stand_new(struct eng *e, uint32_t k, const uint32_t val[DIM_N])
{
	const struct eng_automation_conf *a = &e->policy->automations[k];
	uint64_t h = eng_target_hash(a->dims, val);
	struct standing *s;
	uint32_t i;

	if (e->standings.live >= ENG_STANDINGS_MAX)
		return 0;
	eng_kinds_count(e, a->dims, a->action, 1);
	s = eng_slot(&e->standings, &i);
	s->rule = a->name;
	s->automation = k;
	s->dims = a->dims;
	s->action = a->action;
	s->ramps = a->ramps;
	memcpy(s->val, val, sizeof(s->val));
	s->twin = map_get(&e->stand_map, h);
	ASSERT(map_put(&e->stand_map, h, i) == 0);
	return i;
}

static int64_t
end_of(const struct eng *e, const struct eng_automation_conf *a)
{
	return a->for_us != 0 ? e->now + a->for_us : TIME_NEVER;
}

/* The mail that was refused. */
static struct at
at_of(const struct eng *e, const struct refused *r)
{
	struct at at = eng_at_path(e, pool_at(&e->paths, r->path));

	if (r->queue != 0)
		at.f = pool_at(&e->flows,
		    ((struct queue *)pool_at(&e->queues, r->queue))->flow);
	at.host = eng_target_host(at.s, r->host);
	return at;
}

static void
begin(struct eng *e, uint32_t k, const struct refused *r,
    const struct outcome *o)
{
	const struct eng_automation_conf *a = &e->policy->automations[k];
	struct path *p = pool_at(&e->paths, r->path);
	struct at at = at_of(e, r);
	uint32_t val[DIM_N], i;
	struct standing *s;

	if (!eng_target_of(e, &at, a->dims, val))
		return;
	i = stand_find(e, a->name, a->dims, val);
	if (i != 0 && r->began_us <= stand_at(e, i)->last_us &&
	    stand_at(e, i)->until_us > e->now) {
		stand_at(e, i)->count++; /* it was under way already */
		return;
	}
	if ((a->count > 1 || a->ratio_ppm != 0) && !eng_tally_hit(e, k, val))
		return;
	if (i == 0) {
		i = stand_new(e, k, val);
		if (i == 0)
			return;
		s = stand_at(e, i);
		s->id = ++e->kinds.ids;
		s->first_us = e->now;
		s->reply = r->reply;
		s->outcome = *o;
		s->rate = eng_path_measured(e, p);
	}
	s = stand_at(e, i);
	s->last_us = e->now;
	s->count++;
	s->until_us = end_of(e, a);
	timer_set(e, i);
	if (s->action == ACT_BOUNCE)
		eng_bounces_begin(e);
	if (s->ramps && s->until_us != TIME_NEVER &&
	    (s->action == ACT_SUSPEND || s->action == ACT_CONNS) &&
	    (s->dims & QUEUE_DIMS) == 0) {
		p->ramp = 1;
		p->ramp_us = s->until_us;
	}
	keep(e, s, false);
}

/* Who waits for it looks again, in slices. */
static void
end(struct eng *e, uint32_t i)
{
	struct standing *s = stand_at(e, i);

	keep(e, s, true);
	eng_timer_cancel(e, &s->timer);
	map_leave(e, i);
	s->is_over = true;
	s->until_us = e->now;
	il_push_tail(K_OVER(e), &e->over, i);
}

void
eng_standing_timer(struct eng *e, uint32_t i)
{
	end(e, i);
}

static uint32_t
find_id(const struct eng *e, uint32_t id)
{
	for (uint32_t i = 1; i < e->standings.next_new; i++)
		if (pool_is_live(&e->standings, i) &&
		    stand_at(e, i)->id == id && !stand_at(e, i)->is_over)
			return i;
	return 0;
}

void
eng_standing_end(struct eng *e, uint32_t id)
{
	uint32_t i = find_id(e, id);

	if (i == 0)
		return;
	/* Queues that are parked for it look again. */
	if (eng_target_has_queue(stand_at(e, i)->dims, stand_at(e, i)->action))
		e->conf_park = 1;
	/* And lanes whose hosts it shut. */
	if (stand_at(e, i)->action == ACT_SKIP)
		e->conf_lane = 1;
	end(e, i);
}

void
eng_standings_over(struct eng *e)
{
	while (e->over.n != 0 && e->budget != 0) {
		uint32_t i = e->over.head, path = stand_at(e, i)->paths.head;

		if (path == 0) {
			il_remove(K_OVER(e), &e->over, i);
			pool_give(&e->standings, i);
			continue;
		}
		e->budget--;
		eng_standing_unwait(e, path);
		eng_path_pump(e, path);
	}
}

/* ---- rules ------------------------------------------------------------------------------------ */

static bool
has_provider(const struct eng_automation_conf *a, uint32_t provider)
{
	uint64_t any = 0;

	for (uint32_t i = 0; i < ARRAY_LEN(a->providers); i++)
		any |= a->providers[i];
	return any == 0 ||
	    (provider != 0 &&
		(a->providers[provider / 64] >> (provider % 64) & 1));
}

static bool
matches(const struct eng *e, const struct eng_automation_conf *a,
    const struct site *s, const struct outcome *o)
{
	if (a->categories != 0 && !(a->categories >> o->judged.category & 1))
		return false;
	if (a->kinds != 0 && !(a->kinds >> o->judged.kind & 1))
		return false;
	/* A site that has not heard of the policy yet has the old one's. */
	return has_provider(a,
	    s->generation == e->generation ? s->where.provider : 0);
}

void
eng_react(struct eng *e, const struct refused *r, const struct eng_hits *hits,
    const struct outcome *o)
{
	const struct path *p = pool_at(&e->paths, r->path);
	const struct site *s = pool_at(&e->sites, p->site);

	if (e->srcs[p->src].conf == SRC_NONE)
		return;
	for (uint32_t w = 0; w < ARRAY_LEN(hits->v); w++)
		for (uint64_t bits = hits->v[w]; bits != 0; bits &= bits - 1) {
			uint32_t k = w * 64 + (uint32_t)__builtin_ctzll(bits);
			const struct eng_automation_conf *a =
			    &e->policy->automations[k];

			if (k >= e->policy->nautomations ||
			    !matches(e, a, s, o))
				continue;
			if (a->action != ACT_NONE)
				begin(e, k, r, o);
			if (!a->goes_on)
				return;
		}
}

/* All replies count for rules of ratios that may ask about them. */
static void
count_reply(struct eng *e, const struct refused *r)
{
	const struct path *p = pool_at(&e->paths, r->path);
	const struct site *s = pool_at(&e->sites, p->site);
	struct at at = at_of(e, r);
	uint32_t val[DIM_N];

	for (uint32_t k = 0; k < e->policy->nautomations; k++) {
		const struct eng_automation_conf *a =
		    &e->policy->automations[k];

		if (a->ratio_ppm != 0 &&
		    has_provider(a,
			s->generation == e->generation ? s->where.provider :
							 0) &&
		    eng_target_of(e, &at, a->dims, val))
			eng_tally_reply(e, k, val);
	}
}

/* Was it said about the one before it, too? */
static bool
is_same_reply(const struct ev_result *ev, uint16_t k)
{
	const struct outcome *a = &ev->rcpt[k], *b = a - 1;

	return k != 0 && a->stage != STAGE_RCPT && a->stage == b->stage &&
	    a->code == b->code;
}

void
eng_react_all(struct eng *e, const struct refused *r,
    const struct ev_result *ev)
{
	for (uint16_t k = 0; k < ev->n; k++) {
		if (ev->rcpt[k].klass == OUTCOME_UNSENT || is_same_reply(ev, k))
			continue;
		if (e->kinds.nratios != 0 && e->tallies.live != 0)
			count_reply(e, r);
		if (eng_hits_any(&ev->hits[k]))
			eng_react(e, r, &ev->hits[k], &ev->rcpt[k]);
	}
}

/* ---- another policy, another life ---------------------------------------------------------------- */

/* The rule of that name that does the same to the same kind of target. */
static uint32_t
rule_find(const struct eng_policy *p, uint32_t rule, uint16_t dims,
    uint8_t action)
{
	uint32_t k = 0;

	while (k < p->nautomations &&
	    (p->automations[k].name != rule || p->automations[k].dims != dims ||
		p->automations[k].action != action))
		k++;
	return k;
}

void
eng_standings_conf(struct eng *e)
{
	e->kinds.nratios = 0;
	for (uint32_t k = 0; k < e->policy->nautomations; k++)
		e->kinds.nratios += e->policy->automations[k].ratio_ppm != 0;
	eng_tallies_conf(e);
	for (uint32_t i = 1; i < e->standings.next_new; i++) {
		struct standing *s = stand_at(e, i);

		if (!pool_is_live(&e->standings, i) || s->is_over)
			continue;
		s->automation =
		    rule_find(e->policy, s->rule, s->dims, s->action);
		if (s->automation == e->policy->nautomations) {
			s->automation = 0;
			end(e, i);
		}
	}
}

/* An entry that is not taken: nothing reacts like it any more, or there is another
 * of its target, begun by other words, of which the later end counts. */
static void
recall_again(struct eng *e, const struct eng_entry *en, uint32_t i)
{
	struct standing *s = i != 0 ? stand_at(e, i) : NULL;
	int64_t until =
	    en->v[V_UNTIL] != 0 ? eng_mono(e, en->v[V_UNTIL]) : TIME_NEVER;

	eng_keep(e, en, true);
	if (s == NULL || s->action != en->v[V_ACTION] || until <= s->until_us)
		return;
	s->until_us = until;
	if (until == TIME_NEVER)
		eng_timer_cancel(e, &s->timer);
	timer_set(e, i);
	keep(e, s, false);
}

void
eng_standing_recall(struct eng *e, const struct eng_entry *en)
{
	uint16_t dims = (uint16_t)en->sub;
	uint32_t val[DIM_N] = { 0 }, at = STAND_KEYS, k, i = 0;
	struct standing *s;

	for (uint32_t left = dims & (BIT(DIM_N) - 1); left != 0;
	     left &= left - 1)
		if (at < en->nkeys)
			val[__builtin_ctz(left)] = en->key[at++];
	k = rule_find(e->policy, en->key[0], dims, (uint8_t)en->v[V_ACTION]);
	if (at == en->nkeys && k < e->policy->nautomations &&
	    (en->v[V_UNTIL] == 0 || en->v[V_UNTIL] > eng_wall(e)) &&
	    stand_find(e, en->key[0], dims, val) == 0)
		i = stand_new(e, k, val);
	if (i == 0) {
		recall_again(e, en, stand_find(e, en->key[0], dims, val));
		return;
	}
	s = stand_at(e, i);
	s->id = (uint32_t)en->v[V_ID];
	s->reply = en->key[1];
	s->outcome = unpack_reply(en->v[V_REPLY]);
	s->count = (uint64_t)en->v[V_COUNT];
	s->rate = (uint64_t)en->v[V_RATE];
	s->first_us = MIN(eng_mono(e, en->v[V_FIRST]), e->now);
	s->last_us = MIN(eng_mono(e, en->v[V_LAST]), e->now);
	s->until_us =
	    en->v[V_UNTIL] != 0 ? eng_mono(e, en->v[V_UNTIL]) : TIME_NEVER;
	e->kinds.ids = MAX(e->kinds.ids, s->id);
	timer_set(e, i);
}

/* ---- what viewers see ---------------------------------------------------------------------------- */

uint32_t
eng_standings(const struct eng *e)
{
	return e->standings.live - e->over.n;
}

static void
row_fill(const struct standing *s, struct eng_standing_row *r)
{
	*r = (struct eng_standing_row){ .id = s->id,
		.rule = s->rule,
		.automation = s->automation,
		.action = s->action,
		.dims = s->dims,
		.first_us = s->first_us,
		.last_us = s->last_us,
		.until_us = s->until_us == TIME_NEVER ? 0 : s->until_us,
		.count = s->count,
		.reply = s->reply,
		.outcome = s->outcome };
	memcpy(r->val, s->val, sizeof(r->val));
}

bool
eng_standing_row(const struct eng *e, uint32_t i, struct eng_standing_row *row)
{
	if (i == 0 || i >= e->standings.next_new ||
	    !pool_is_live(&e->standings, i) || stand_at(e, i)->is_over)
		return false;
	row_fill(stand_at(e, i), row);
	return true;
}

uint32_t
eng_standing_rows(const struct eng *e, uint32_t after,
    struct eng_standing_row *rows, uint32_t n)
{
	uint32_t have = 0;

	for (uint32_t i = 1; i < e->standings.next_new; i++) {
		const struct standing *s = stand_at(e, i);
		uint32_t at = have;

		if (!pool_is_live(&e->standings, i) || s->is_over ||
		    s->id <= after || n == 0)
			continue;
		if (have == n && rows[n - 1].id < s->id)
			continue;
		if (have == n)
			at--;
		else
			have++;
		for (; at > 0 && rows[at - 1].id > s->id; at--)
			rows[at] = rows[at - 1];
		row_fill(s, &rows[at]);
	}
	return have;
}

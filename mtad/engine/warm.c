/*
 * engine/warm.c - young sources: what each may carry to each provider in a day,
 * and whether it may carry more on the next.
 *
 * A pair (source, provider) has a stage of its source's plan. The day's share is
 * spent by recipients, when a transaction is assigned; and only so much of it as
 * an entry that is kept covers: a block is asked for before the last one runs
 * out. After a crash all that was kept counts as spent. An hour, too, is used only
 * when an entry that names it is kept: after a crash that one counts as used up,
 * though the clock was put back, and a later one is known to be whole.
 *
 * A day is closed when the next one is looked at: nothing happens at midnight
 * but that what waits is woken. Days on which the pair sent nothing do not count
 * at all.
 *
 * Who waits: lanes, in the list of the pair that opens first of those that
 * refused it; and paths with sessions, for a grant. As many lanes are woken as
 * there are recipients to spend, and more when they leave some.
 */
#include "engine/warm_i.h"

#define HOUR_US (3600 * US_PER_S)
#define BLOCKS 32u /* of a day's share */
#define BLOCK_MIN 20u
#define BLOCK_MAX 20000u

#define TEXT(name, text) text,
static const char *const verdicts[] = { ENG_WARM_TABLE(TEXT) };
static const char *const reasons[] = { ENG_WARM_WHY_TABLE(TEXT) };

const char *
eng_warm_name(enum eng_warm_verdict v)
{
	return (unsigned)v < ENG_WARM_N ? verdicts[v] : "?";
}

const char *
eng_warm_why_name(enum eng_warm_why w)
{
	return (unsigned)w < ENG_WARM_WHY_N ? reasons[w] : "?";
}

/* ---- finding ------------------------------------------------------------------- */

static uint64_t
pair_key(uint32_t source, uint32_t provider)
{
	return ((uint64_t)source << 32) | provider;
}

static uint32_t
provider_of(const struct eng *e, uint32_t site)
{
	return ((const struct site *)pool_at(&e->sites, site))->provider;
}

/* Of a source that is young now; 0: nothing was ever sent. */
static uint32_t
warm_find(const struct eng *e, uint32_t src, uint32_t site)
{
	return map_get(&e->warm_map,
	    pair_key(e->srcs[src].name, provider_of(e, site)));
}

static const struct eng_source_conf *
source_conf(const struct eng *e, uint32_t name)
{
	for (uint32_t i = 0; i < e->policy->nsources; i++)
		if (e->policy->sources[i].name == name)
			return &e->policy->sources[i];
	return NULL;
}

static struct warm *
warm_make(struct eng *e, uint32_t source, uint32_t provider, uint32_t *i)
{
	const struct eng_source_conf *s = source_conf(e, source);
	struct warm *w;

	*i = map_get(&e->warm_map, pair_key(source, provider));
	if (*i != 0)
		return pool_at(&e->warms, *i);
	w = eng_slot(&e->warms, i);
	w->source = source;
	w->provider = provider;
	w->plan = s != NULL ? s->warmup : 0;
	w->stage = s != NULL ? s->warm_stage : 0;
	w->from_us = s != NULL ? s->warm_from_us : 0;
	ASSERT(map_put(&e->warm_map, pair_key(source, provider), *i) == 0);
	return w;
}

static const struct eng_warmup_conf *
plan_of(const struct eng *e, const struct warm *w)
{
	return w->plan != 0 ? &e->policy->warmups[w->plan - 1] : NULL;
}

static bool
is_warm(const struct eng *e, const struct warm *w)
{
	const struct eng_warmup_conf *plan = plan_of(e, w);

	return plan == NULL || w->stage >= plan->nstages;
}

bool
eng_warm_prefers(const struct eng *e, const struct src *src, uint32_t provider)
{
	uint32_t i;

	if (src->plan == 0 ||
	    !e->policy->warmups[src->plan - 1].prefers_engaged)
		return false;
	i = map_get(&e->warm_map, pair_key(src->name, provider));
	return i == 0 || !is_warm(e, pool_at(&e->warms, i));
}

void
eng_warm_conf(struct eng *e)
{
	for (uint32_t i = 1; i < e->warms.next_new; i++) {
		struct warm *w = pool_at(&e->warms, i);
		const struct eng_source_conf *s;

		if (!pool_is_live(&e->warms, i))
			continue;
		s = source_conf(e, w->source);
		w->plan = s != NULL ? s->warmup : 0;
		w->from_us = s != NULL ? s->warm_from_us : 0;
		w->day_end_us = 0; /* its zone may be new; hours are of none */
	}
}

/* ---- shares -------------------------------------------------------------------- */

static uint64_t
part_of(uint64_t n, uint32_t ppm)
{
	return n / ENG_PPM * ppm + n % ENG_PPM * ppm / ENG_PPM;
}

static uint64_t
day_most(const struct eng *e, const struct warm *w)
{
	return is_warm(e, w) ? UINT64_MAX / 2 : plan_of(e, w)->most[w->stage];
}

static uint64_t
hour_most(const struct eng *e, const struct warm *w)
{
	uint64_t day = day_most(e, w);

	if (is_warm(e, w) || plan_of(e, w)->hour_ppm >= ENG_PPM)
		return day;
	return MAX(part_of(day, plan_of(e, w)->hour_ppm), 1);
}

/* The hour, by its end, that an entry has to name; 0: the plan has no hours. */
static int64_t
hour_named(const struct eng *e, const struct warm *w)
{
	const struct eng_warmup_conf *plan = plan_of(e, w);

	return plan != NULL && plan->hour_ppm < ENG_PPM ? w->hour_end_us : 0;
}

static uint64_t
less(uint64_t most, uint64_t used)
{
	return used < most ? most - used : 0;
}

/* Of the day and the hour, whether it is kept or not. */
static uint64_t
share_left(const struct eng *e, const struct warm *w)
{
	return MIN(less(day_most(e, w), w->sent),
	    less(hour_most(e, w), w->hour_sent));
}

static uint64_t
left(const struct eng *e, const struct warm *w)
{
	if (eng_wall(e) < w->from_us)
		return 0;
	if (is_warm(e, w))
		return UINT32_MAX;
	if (w->kept_hour_us != hour_named(e, w))
		return 0;
	return MIN(share_left(e, w), less(w->granted, w->sent));
}

static uint64_t
block_of(const struct eng *e, const struct warm *w)
{
	uint64_t n = day_most(e, w) / BLOCKS;

	return MIN(MAX(n, BLOCK_MIN), BLOCK_MAX);
}

/* ---- what is kept -------------------------------------------------------------- */

enum {
	V_STAGE,
	V_DAY,
	V_SPENT,
	V_OK,
	V_DEFERRED,
	V_BOUNCED,
	V_COMPLAINED,
	V_PAST /* the end of the hour, in hours; days, verdict and why */
};

static void
keep(struct eng *e, uint32_t i)
{
	struct warm *w = pool_at(&e->warms, i);
	struct eng_entry en = { .book = BOOK_WARMUP, .nkeys = 2 };

	en.key[0] = w->source;
	en.key[1] = w->provider;
	en.v[V_STAGE] = w->stage;
	en.v[V_DAY] = w->day;
	en.v[V_SPENT] = (int64_t)w->asked;
	en.v[V_OK] = (int64_t)w->ok;
	en.v[V_DEFERRED] = (int64_t)w->deferred;
	en.v[V_BOUNCED] = (int64_t)w->bounced;
	en.v[V_COMPLAINED] = (int64_t)w->complained;
	w->asked_hour_us = hour_named(e, w);
	en.v[V_PAST] = w->asked_hour_us / HOUR_US << 32 |
	    (int64_t)(w->days & 0xffff) << 16 | w->verdict << 8 | w->why;
	w->serial = eng_keep(e, &en, false);
	w->told = w->ok + w->deferred + w->bounced + w->complained;
	if (w->is_pending)
		il_remove(K_PENDING(e), &e->warm_pending, i);
	w->is_pending = true;
	il_push_tail(K_PENDING(e), &e->warm_pending, i);
}

/* Asks for the next block when the last one runs low, and for the hour. */
static void
ask(struct eng *e, uint32_t i)
{
	struct warm *w = pool_at(&e->warms, i);
	uint64_t block = block_of(e, w), most = day_most(e, w);
	bool is_low = w->asked < most && w->asked == w->granted &&
	    w->granted < w->sent + block / 2 + 1;

	if (is_warm(e, w) ||
	    (!is_low &&
		(w->asked_hour_us == hour_named(e, w) ||
		    share_left(e, w) == 0)))
		return;
	if (is_low)
		w->asked = MIN(MAX(w->asked, w->sent) + block, most);
	keep(e, i);
}

void
eng_warm_recall(struct eng *e, const struct eng_entry *en)
{
	const int64_t *v = en->v;
	struct warm *w;
	uint32_t i;

	if (en->nkeys != 2 || en->key[0] == 0 || v[V_STAGE] < 0 ||
	    v[V_STAGE] > ENG_WARM_STAGES_MAX || v[V_SPENT] < 0)
		return; /* none of ours */
	w = warm_make(e, en->key[0], en->key[1], &i);
	w->stage = (uint16_t)v[V_STAGE];
	w->day = v[V_DAY];
	w->sent = w->asked = w->granted = (uint64_t)v[V_SPENT];
	w->hour_sent = UINT64_MAX / 4; /* nobody knows */
	w->hour_end_us = (v[V_PAST] >> 32 & 0xffffff) * HOUR_US;
	w->asked_hour_us = w->kept_hour_us = w->hour_end_us;
	w->ok = (uint64_t)MAX(v[V_OK], 0);
	w->deferred = (uint64_t)MAX(v[V_DEFERRED], 0);
	w->bounced = (uint64_t)MAX(v[V_BOUNCED], 0);
	w->complained = (uint64_t)MAX(v[V_COMPLAINED], 0);
	w->days = (uint32_t)(v[V_PAST] >> 16 & 0xffff);
	w->verdict = (uint8_t)MIN(v[V_PAST] >> 8 & 0xff, ENG_WARM_N - 1);
	w->why = (uint8_t)MIN(v[V_PAST] & 0xff, ENG_WARM_WHY_N - 1);
}

/* ---- days ---------------------------------------------------------------------- */

static bool
is_over(uint64_t n, uint64_t of, uint32_t ppm)
{
	return n * ENG_PPM > of * ppm;
}

/* What the day comes to: a verdict and the next stage. */
static uint16_t
judge(const struct eng *e, const struct warm *w, uint8_t *verdict, uint8_t *why)
{
	const struct eng_warmup_conf *p = plan_of(e, w);
	uint64_t attempts = w->ok + w->deferred + w->bounced;
	bool says = attempts >= p->attempts_min;

	*verdict = p->steps_back ? WARM_BACK : WARM_HOLD;
	if (says && is_over(w->complained, MAX(w->ok, 1), p->complaint_ppm))
		*why = WARM_WHY_COMPLAINTS;
	else if (says && is_over(w->bounced, attempts, p->bounce_ppm))
		*why = WARM_WHY_BOUNCES;
	else if (says && is_over(w->deferred, attempts, p->defer_ppm))
		*why = WARM_WHY_DEFERRALS;
	else if (!is_over(w->ok, day_most(e, w), p->advance_ppm)) {
		*verdict = WARM_HOLD;
		*why = WARM_WHY_SHARE;
	} else {
		*why = WARM_WHY_CLEAN;
		*verdict = w->stage + 1 < p->nstages ? WARM_ADVANCE : WARM_DONE;
		return w->stage + 1;
	}
	if (*verdict == WARM_BACK && w->stage == 0)
		*verdict = WARM_HOLD;
	return w->stage - (*verdict == WARM_BACK);
}

static struct eng_warm_day
day_of(const struct eng *e, const struct warm *w)
{
	struct eng_warm_day d = { .source = w->source,
		.provider = w->provider,
		.plan = w->plan ? plan_of(e, w)->name : 0,
		.day = (int32_t)w->day,
		.stage = w->stage,
		.next = w->stage,
		.verdict = WARM_DONE,
		.sent = (uint32_t)MIN(w->sent, UINT32_MAX),
		.ok = (uint32_t)MIN(w->ok, UINT32_MAX),
		.deferred = (uint32_t)MIN(w->deferred, UINT32_MAX),
		.bounced = (uint32_t)MIN(w->bounced, UINT32_MAX),
		.complained = (uint32_t)MIN(w->complained, UINT32_MAX) };

	if (is_warm(e, w))
		return d;
	d.most = (uint32_t)day_most(e, w);
	if (w->sent != 0)
		d.next = judge(e, w, &d.verdict, &d.why);
	else
		d.verdict = WARM_NEW;
	return d;
}

/* The day is over: what it comes to, if it was a sending day. */
static void
day_close(struct eng *e, struct warm *w, int64_t today)
{
	struct eng_warm_day d = day_of(e, w);
	const struct eng_warmup_conf *p = plan_of(e, w);

	if (w->sent == 0)
		return;
	if (p->idle_days != 0 && today - w->day > p->idle_days) {
		d.verdict = WARM_AGAIN;
		d.why = WARM_WHY_IDLE;
		d.next = 0;
	}
	w->days = d.next == w->stage ? w->days + 1 : 0;
	w->stage = d.next;
	w->verdict = d.verdict;
	w->why = d.why;
	eng_emit(e, CMD_WARM_DAY)->warm_day = d;
}

static const struct tzone *
zone_of(const struct eng *e, const struct warm *w)
{
	static const struct tzone utc;
	const struct eng_warmup_conf *p = plan_of(e, w);

	return p->zone < e->policy->nzones ? &e->policy->zones[p->zone].zone :
					     &utc;
}

/* The present hour; what was spent in it is not known where we begin with an entry
 * that names none. */
static void
hour_begin(struct eng *e, struct warm *w, int64_t wall)
{
	bool is_new = w->hour_end_us != 0 || w->hour_sent == 0;
	int64_t at = wall - wall % HOUR_US; /* zones are whole quarters off */

	w->hour_end_us = at + HOUR_US;
	if (is_new) {
		w->hour_sent = 0;
		w->hour_began_us = e->now;
	}
}

/* Brings the pair to the present day and hour. A clock that was put back does
 * not give a day twice. */
static void
turn(struct eng *e, uint32_t i)
{
	struct warm *w = pool_at(&e->warms, i);
	int64_t wall = eng_wall(e), day, wall_s = wall / US_PER_S;
	bool is_new;

	if (plan_of(e, w) == NULL ||
	    (wall < w->day_end_us && wall < w->hour_end_us))
		return;
	if (wall >= w->hour_end_us)
		hour_begin(e, w, wall);
	if (wall < w->day_end_us)
		return;
	day = zone_day(zone_of(e, w), wall_s);
	is_new = day > w->day;
	if (is_new && !is_warm(e, w))
		day_close(e, w, day);
	w->day = MAX(w->day, day);
	w->day_end_us = zone_day_start_s(zone_of(e, w), w->day + 1) * US_PER_S;
	if (!is_new)
		return;
	w->day_began_us = e->now;
	w->sent = w->asked = w->granted = 0;
	w->asked_hour_us = w->kept_hour_us = 0;
	w->ok = w->deferred = w->bounced = w->complained = 0;
	w->hour_sent = 0;
	w->hour_began_us = e->now;
	if (w->is_pending) { /* what it asked for is of yesterday */
		w->is_pending = false;
		il_remove(K_PENDING(e), &e->warm_pending, i);
	}
	if (is_warm(e, w))
		keep(e, i); /* for good */
}

/* ---- gates --------------------------------------------------------------------- */

/* When the pair opens again; 0: when something is kept. */
static int64_t
opens_at(const struct eng *e, const struct warm *w)
{
	if (eng_wall(e) < w->from_us)
		return eng_mono(e, w->from_us);
	if (less(day_most(e, w), w->sent) == 0)
		return eng_mono(e, w->day_end_us);
	if (less(hour_most(e, w), w->hour_sent) == 0)
		return eng_mono(e, MIN(w->hour_end_us, w->day_end_us));
	return 0;
}

enum eng_why
eng_warm_gate(const struct eng *e, const struct path *p, int64_t *until_us)
{
	uint32_t i = warm_find(e, p->src, p->site);
	const struct warm *w = i ? pool_at(&e->warms, i) : NULL;
	int64_t wall = eng_wall(e);

	*until_us = 0;
	if (w == NULL)
		return WHY_WARMUP;
	if (is_warm(e, w))
		return WHY_NONE;
	if (wall >= w->day_end_us || wall >= w->hour_end_us)
		return WHY_WARMUP; /* a look will tell */
	if (left(e, w) > 0)
		return WHY_NONE;
	*until_us = opens_at(e, w);
	return WHY_WARMUP;
}

enum eng_why
eng_warm_look(const struct eng *e, uint32_t src, uint32_t site,
    int64_t *until_us)
{
	uint32_t i = e->srcs[src].plan ? warm_find(e, src, site) : 0;
	const struct warm *w = i ? pool_at(&e->warms, i) : NULL;
	int64_t wall = eng_wall(e);

	*until_us = 0;
	if (w == NULL || is_warm(e, w) || wall >= w->day_end_us ||
	    wall >= w->hour_end_us || left(e, w) > 0)
		return WHY_NONE;
	*until_us = opens_at(e, w);
	return WHY_WARMUP;
}

static void
heat(struct eng *e, uint32_t i)
{
	struct warm *w = pool_at(&e->warms, i);

	if (w->is_hot || (w->lanes.n == 0 && w->paths.n == 0))
		return;
	w->is_hot = true;
	il_push_tail(K_HOT(e), &e->warm_hot, i);
}

/* The lane waits in the list of the pair that opens first. */
static void
lane_wait(struct eng *e, uint32_t lane, uint32_t i, int64_t until_us)
{
	struct lane *l = pool_at(&e->lanes, lane);
	struct warm *w = pool_at(&e->warms, i), *old;

	l->is_cold |= until_us != 0; /* a grant comes at once */
	if (l->wait_warm != 0 && l->wait_warm != i) {
		old = pool_at(&e->warms, l->wait_warm);
		if (!heap_has(&old->timer.node) ||
		    (until_us != 0 && old->timer.node.key <= until_us))
			return;
		eng_lane_warm_unwait(e, l, lane);
	}
	if (l->wait_warm == 0) {
		l->wait_warm = i;
		if (l->is_engaged)
			il_push_head(K_WARMLANE(e), &w->lanes, lane);
		else
			il_push_tail(K_WARMLANE(e), &w->lanes, lane);
	}
	if (until_us > e->now)
		eng_timer_set(e, &w->timer, TIMER_WARM, i, until_us);
}

enum eng_why
eng_warm_open_gate(struct eng *e, uint32_t lane, uint32_t src,
    int64_t *until_us)
{
	struct lane *l = pool_at(&e->lanes, lane);
	uint32_t i;
	struct warm *w =
	    warm_make(e, e->srcs[src].name, provider_of(e, l->site), &i);

	*until_us = 0;
	turn(e, i);
	if (is_warm(e, w))
		return WHY_NONE;
	ask(e, i);
	if (eng_lane_yields(e, lane, src, until_us)) {
		l->is_cold = true;
		return WHY_WARMUP;
	}
	if (left(e, w) > w->nopening)
		return WHY_NONE;
	*until_us = opens_at(e, w);
	lane_wait(e, lane, i, *until_us);
	return WHY_WARMUP;
}

void
eng_warm_wait(struct eng *e, uint32_t path)
{
	struct path *p = pool_at(&e->paths, path);
	uint32_t i;
	struct warm *w =
	    warm_make(e, e->srcs[p->src].name, provider_of(e, p->site), &i);
	int64_t until;

	turn(e, i);
	ask(e, i);
	until = opens_at(e, w);
	if (until > e->now) {
		eng_timer_set(e, &p->timer, TIMER_PATH, path, until);
		return;
	}
	if (p->wait_warm == 0) {
		p->wait_warm = i;
		il_push_tail(K_WARMPATH(e), &w->paths, path);
	}
	if (!w->is_pending)
		heat(e, i);
}

void
eng_warm_unwait(struct eng *e, struct path *p, uint32_t path)
{
	struct warm *w;

	if (p->wait_warm == 0)
		return;
	w = pool_at(&e->warms, p->wait_warm);
	il_remove(K_WARMPATH(e), &w->paths, path);
	p->wait_warm = 0;
}

void
eng_lane_warm_unwait(struct eng *e, struct lane *l, uint32_t lane)
{
	struct warm *w;

	if (l->wait_warm == 0)
		return;
	w = pool_at(&e->warms, l->wait_warm);
	il_remove(K_WARMLANE(e), &w->lanes, lane);
	l->wait_warm = 0;
	if (w->lanes.n == 0)
		eng_timer_cancel(e, &w->timer);
}

/* ---- spending ------------------------------------------------------------------- */

uint32_t
eng_warm_room(const struct eng *e, const struct path *p)
{
	uint32_t i = warm_find(e, p->src, p->site);

	return i ? (uint32_t)MIN(left(e, pool_at(&e->warms, i)), UINT32_MAX) :
		   0;
}

void
eng_warm_spend(struct eng *e, const struct path *p, uint32_t n)
{
	uint32_t i = warm_find(e, p->src, p->site);
	struct warm *w = pool_at(&e->warms, i);

	if (is_warm(e, w))
		return;
	w->sent += n;
	w->hour_sent += n;
	ASSERT(w->sent <= w->granted);
	ask(e, i);
}

void
eng_warm_unspend(struct eng *e, const struct path *p, uint32_t n,
    int64_t assigned_us)
{
	uint32_t i = warm_find(e, p->src, p->site);
	struct warm *w = i ? pool_at(&e->warms, i) : NULL;

	if (w == NULL || is_warm(e, w) || assigned_us < w->day_began_us)
		return;
	w->sent -= MIN(n, w->sent);
	if (assigned_us >= w->hour_began_us)
		w->hour_sent -= MIN(n, w->hour_sent);
	heat(e, i);
}

void
eng_warm_opening(struct eng *e, const struct path *p, int by)
{
	uint32_t i = warm_find(e, p->src, p->site);
	struct warm *w = i ? pool_at(&e->warms, i) : NULL;

	if (w == NULL || (by < 0 && w->nopening == 0))
		return; /* it was no young source's when it was opened */
	w->nopening = (uint32_t)((int64_t)w->nopening + by);
	if (by < 0)
		heat(e, i);
}

void
eng_warm_count(struct eng *e, const struct path *p, const struct outcome *o)
{
	uint32_t i = warm_find(e, p->src, p->site);
	struct warm *w = i ? pool_at(&e->warms, i) : NULL;
	uint64_t results;

	if (w == NULL || is_warm(e, w) || o->stage == STAGE_LOCAL)
		return;
	w->ok += o->klass == OUTCOME_DELIVERED;
	w->deferred += o->klass == OUTCOME_TRANSIENT;
	w->bounced += o->klass == OUTCOME_BOUNCED;
	results = w->ok + w->deferred + w->bounced;
	/* Now and then, and when the day's share has come to something. */
	if (results + w->complained >= w->told + block_of(e, w) ||
	    (results == w->sent && w->sent == day_most(e, w)))
		keep(e, i);
}

void
eng_warm_feedback(struct eng *e, uint32_t source, uint32_t provider,
    enum eng_feedback kind)
{
	uint32_t i = map_get(&e->warm_map, pair_key(source, provider));
	struct warm *w = i ? pool_at(&e->warms, i) : NULL;

	if (w == NULL || is_warm(e, w))
		return;
	turn(e, i);
	w->complained += kind == FEEDBACK_COMPLAINT;
	w->bounced += kind == FEEDBACK_BOUNCE;
	keep(e, i);
}

/* ---- wakes ----------------------------------------------------------------------- */

void
eng_warm_kept(struct eng *e)
{
	while (e->warm_pending.n != 0) {
		uint32_t i = e->warm_pending.head;
		struct warm *w = pool_at(&e->warms, i);

		if (!eng_is_kept(e, w->serial))
			return;
		il_remove(K_PENDING(e), &e->warm_pending, i);
		w->is_pending = false;
		w->granted = w->asked;
		w->kept_hour_us = w->asked_hour_us;
		ask(e, i);
		heat(e, i);
	}
}

void
eng_warm_clock(struct eng *e)
{
	for (uint32_t i = 1; i < e->warms.next_new; i++)
		if (pool_is_live(&e->warms, i))
			heat(e, i);
}

void
eng_warm_timer(struct eng *e, uint32_t i)
{
	turn(e, i);
	ask(e, i);
	heat(e, i);
}

void
eng_lane_look(struct eng *e, uint32_t lane)
{
	struct lane *l = pool_at(&e->lanes, lane);

	eng_lane_ready(l);
	if (l->is_parked)
		eng_lane_wake(e, lane);
	else if (l->nring != 0)
		eng_lane_kick(e, lane);
}

/* As many lanes as there is something for; true: no more are waiting, or there is
 * nothing for them. */
static bool
wake_some(struct eng *e, struct warm *w, uint32_t *budget)
{
	bool may = left(e, w) != 0 || !w->is_pending;

	for (uint32_t n = may ? w->paths.n : 0; n != 0 && *budget != 0;
	     n--, --*budget) {
		uint32_t path = w->paths.head;

		eng_warm_unwait(e, pool_at(&e->paths, path), path);
		eng_path_pump(e, path);
	}
	for (uint64_t n = less(left(e, w), w->nopening);
	     n != 0 && w->lanes.n != 0 && *budget != 0; --*budget) {
		uint32_t lane = w->lanes.head;
		struct lane *l = pool_at(&e->lanes, lane);

		eng_lane_warm_unwait(e, l, lane);
		n -= l->nring != 0;
		eng_lane_look(e, lane);
	}
	return *budget != 0;
}

/* A pair leaves when it has nothing to give: what gives it something puts it
 * back. */
void
eng_warm_wake(struct eng *e)
{
	uint32_t budget = PUMP_MAX;

	while (e->warm_hot.n != 0 && budget != 0 && e->kicks.n == 0) {
		uint32_t i = e->warm_hot.head;
		struct warm *w = pool_at(&e->warms, i);

		turn(e, i);
		ask(e, i);
		if (!wake_some(e, w, &budget))
			return;
		if (w->lanes.n != 0 && less(left(e, w), w->nopening) != 0)
			return; /* they look first */
		il_remove(K_HOT(e), &e->warm_hot, i);
		w->is_hot = false;
		if (w->lanes.n != 0 && opens_at(e, w) > e->now)
			eng_timer_set(e, &w->timer, TIMER_WARM, i,
			    opens_at(e, w));
	}
}

/* ---- what is to be expected ---------------------------------------------------- */

#define DAYS_LOOK 32
#define PAIRS_LOOK 32u

/* A pool's sources at one provider: what they may carry together. */
struct ration {
	uint64_t left, hour_left;                 /* today */
	uint64_t day[DAYS_LOOK], hour[DAYS_LOOK]; /* [0]: tomorrow */
	int64_t day_end_us, hour_end_us;
	uint32_t until_warm; /* days; then there is no limit any more */
	uint64_t others;     /* ready recipients of other lanes that wait */
};

static void
ration_add(const struct eng *e, const struct warm *w, bool holds,
    struct ration *r)
{
	const struct eng_warmup_conf *p = plan_of(e, w);
	uint32_t stage = w->stage;
	uint64_t hour_ppm = MIN(p->hour_ppm, ENG_PPM);

	if (eng_wall(e) < w->day_end_us) {
		r->left += less(day_most(e, w), w->sent);
		r->hour_left += share_left(e, w);
	}
	r->day_end_us = MAX(r->day_end_us, eng_mono(e, w->day_end_us));
	r->hour_end_us = MAX(r->hour_end_us, eng_mono(e, w->hour_end_us));
	for (uint32_t d = 0; d < DAYS_LOOK; d++) {
		stage += !holds;
		if (stage >= p->nstages) {
			r->until_warm = MIN(r->until_warm, d);
			return;
		}
		r->day[d] += p->most[stage];
		r->hour[d] +=
		    MAX(part_of(p->most[stage], (uint32_t)hour_ppm), 1);
	}
}

/* False: one of the pool's sources is not young. */
static bool
ration_of(const struct eng *e, uint32_t lane, const struct epool *pool,
    uint64_t n, bool holds, struct ration *r)
{
	const struct lane *l = pool_at(&e->lanes, lane);

	*r = (struct ration){ .until_warm = DAYS_LOOK };
	for (uint32_t k = 0; k < pool->n && k < PAIRS_LOOK; k++) {
		uint32_t src = pool->src[k], i, look = PAIRS_LOOK;
		const struct warm *w;

		if (l->pin != 0 && e->srcs[src].name != l->pin)
			continue;
		i = e->srcs[src].plan ? warm_find(e, src, l->site) : 0;
		w = i ? pool_at(&e->warms, i) : NULL;
		if (w == NULL || is_warm(e, w))
			return false;
		ration_add(e, w, holds, r);
		for (i = w->lanes.head; i != 0 && look > 0; look--) {
			const struct lane *x = pool_at(&e->lanes, i);

			if (i != lane)
				r->others += MIN(x->nready, n);
			i = x->warm.next;
		}
	}
	return r->day_end_us != 0;
}

/* Of a day that begins at `from`, with so much an hour: when the nth goes. */
static int64_t
hour_of(int64_t from_us, uint64_t hour, uint64_t n, uint64_t *last)
{
	*last = (n - 1) % hour + 1;
	return from_us + (int64_t)((n - 1) / hour) * HOUR_US;
}

int64_t
eng_warm_when(const struct eng *e, uint32_t lane, const struct epool *pool,
    uint64_t n, bool holds, uint64_t *last)
{
	struct ration r;
	int64_t at;

	*last = n;
	if (!ration_of(e, lane, pool, n, holds, &r))
		return e->now;
	n += r.others;
	if (n <= r.hour_left)
		return e->now;
	if (n <= r.left)
		return hour_of(r.hour_end_us, MAX(r.hour[0], 1),
		    n - r.hour_left, last);
	n -= r.left;
	at = r.day_end_us;
	for (uint32_t d = 0; d < DAYS_LOOK; d++, at += 24 * HOUR_US) {
		if (d >= r.until_warm)
			break;
		if (n <= r.day[d])
			return hour_of(at, MAX(r.hour[d], 1), n, last);
		n -= r.day[d];
	}
	*last = n;
	return at;
}

/* ---- what viewers see ------------------------------------------------------------- */

static void
row_fill(const struct eng *e, const struct warm *w, struct eng_warm_row *r)
{
	*r = (struct eng_warm_row){ .today = day_of(e, w),
		.nstages = w->plan ? plan_of(e, w)->nstages : 0,
		.verdict = w->verdict,
		.why = w->why,
		.days = w->days };
	if (is_warm(e, w))
		return;
	r->hour_most = hour_most(e, w);
	r->hour_sent = MIN(w->hour_sent, r->hour_most);
	if (share_left(e, w) == 0)
		r->until_us = opens_at(e, w);
}

uint32_t
eng_warm_rows(const struct eng *e, struct eng_warm_row *rows, uint32_t n)
{
	uint32_t have = 0;

	for (uint32_t i = 1; i < e->warms.next_new; i++) {
		const struct warm *w = pool_at(&e->warms, i);

		if (!pool_is_live(&e->warms, i) || w->plan == 0)
			continue;
		if (have < n)
			row_fill(e, w, &rows[have]);
		have++;
	}
	return have;
}

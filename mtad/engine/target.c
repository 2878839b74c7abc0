/*
 * engine/target.c - whom a reaction is about, and which of those that stand are
 * about a path, the hosts of its site, or a queue.
 *
 * A target is the values of a rule's dims. What stands on something is found by
 * a look-up for each kind of target of which there are any; where nothing stands
 * nothing is asked.
 */
#include "engine/standing_i.h"

#define TEXT(name, text) text,
static const char *const action_names[] = { ENG_ACTION_TABLE(TEXT) };

const char *
eng_action_name(enum eng_action a)
{
	return (unsigned)a < ENG_ACTION_N ? action_names[a] : "?";
}

static const struct standing *
stand_at(const struct eng *e, uint32_t i)
{
	return pool_at(&e->standings, i);
}

/* ---- values --------------------------------------------------------------------- */

struct at
eng_at_path(const struct eng *e, const struct path *p)
{
	return (struct at){ .src = p->src, .s = pool_at(&e->sites, p->site) };
}

struct at
eng_at_queue(const struct eng *e, const struct queue *q)
{
	struct at at = { .f = pool_at(&e->flows, q->flow) };

	if (!(q->home & HOME_DOM))
		at.s = pool_at(&e->sites, q->home);
	return at;
}

static uint32_t
site_value(const struct at *a, enum eng_dim d)
{
	if (a->s == NULL)
		return 0;
	if (d == DIM_PROVIDER)
		return a->s->provider;
	return a->s->ntargets != 0 ? a->s->targets[0].name : 0;
}

static uint32_t
queue_value(const struct at *a, enum eng_dim d)
{
	const struct flow *f = a->f;

	if (f == NULL)
		return 0;
	return d == DIM_TENANT ? f->tenant :
	    d == DIM_CAMPAIGN  ? f->campaign :
	    d == DIM_POOL      ? f->pool :
				 f->sender_domain;
}

/* The value of a dim; 0: it has none. */
static uint32_t
value_of(const struct eng *e, const struct at *a, enum eng_dim d)
{
	switch (d) {
	case DIM_SOURCE:
		return e->srcs[a->src].name;
	case DIM_NETBLOCK:
		return e->srcs[a->src].netblock;
	case DIM_SITE:
	case DIM_PROVIDER:
		return site_value(a, d);
	case DIM_HOST:
		return a->host;
	case DIM_TENANT:
	case DIM_CAMPAIGN:
	case DIM_SENDER_DOMAIN:
	case DIM_POOL:
		return queue_value(a, d);
	default:
		return 0;
	}
}

/* A queue's target is whole without a tenant, a campaign or a pool of its own. */
static bool
may_be_none(const struct at *a, uint16_t dims, enum eng_dim d)
{
	return dims >> DIM_POOL & 1 && a->f != NULL &&
	    (d == DIM_POOL || d == DIM_TENANT || d == DIM_CAMPAIGN);
}

bool
eng_target_of(const struct eng *e, const struct at *a, uint16_t dims,
    uint32_t val[DIM_N])
{
	memset(val, 0, DIM_N * sizeof(*val));
	for (uint32_t left = dims; left != 0; left &= left - 1) {
		uint32_t d = (uint32_t)__builtin_ctz(left);

		if (d == DIM_NODE)
			continue;
		val[d] = value_of(e, a, (enum eng_dim)d);
		if (val[d] == 0 && !may_be_none(a, dims, (enum eng_dim)d))
			return false;
	}
	return true;
}

uint64_t
eng_target_hash(uint16_t dims, const uint32_t val[DIM_N])
{
	uint64_t h = hash_u64(dims);

	for (uint32_t left = dims; left != 0; left &= left - 1)
		h = hash_u64(h ^ val[__builtin_ctz(left)]);
	return h;
}

bool
eng_is_target(const struct standing *s, uint16_t dims,
    const uint32_t val[DIM_N])
{
	return s->dims == dims &&
	    memcmp(s->val, val, DIM_N * sizeof(*val)) == 0;
}

/* ---- kinds ------------------------------------------------------------------------ */

bool
eng_target_has_queue(uint16_t dims, uint8_t action)
{
	return action == ACT_DEFER || action == ACT_BOUNCE ||
	    (dims & QUEUE_DIMS) != 0;
}

void
eng_kinds_count(struct eng *e, uint16_t dims, uint8_t action, int by)
{
	struct stand_kind *v = e->kinds.v;
	uint32_t k = 0;

	while (k < e->kinds.n && (v[k].dims != dims || v[k].action != action))
		k++;
	ASSERT(k < STAND_KINDS_MAX);
	if (k == e->kinds.n)
		v[e->kinds.n++] =
		    (struct stand_kind){ .dims = dims, .action = action };
	v[k].count += (uint32_t)by;
	if (v[k].count == 0)
		v[k] = v[--e->kinds.n];
	e->kinds.others += action == ACT_OTHER;
	e->kinds.acts = e->kinds.queue_acts = 0;
	for (k = 0; k < e->kinds.n; k++) {
		uint32_t bit = 1u << v[k].action;

		if (eng_target_has_queue(v[k].dims, v[k].action))
			e->kinds.queue_acts |= bit;
		else
			e->kinds.acts |= bit;
	}
}

/* ---- what stands ------------------------------------------------------------------- */

uint32_t
eng_standing_value(const struct eng *e, const struct standing *s)
{
	return e->policy->automations[s->automation].value;
}

/* The stronger one, and of two alike that which stands longer. */
static bool
is_stronger(const struct eng *e, uint32_t a, uint32_t b)
{
	const struct standing *x = stand_at(e, a), *y = stand_at(e, b);
	uint32_t is = eng_standing_value(e, x), than;

	than = eng_standing_value(e, y);
	return is != than ? is < than : x->until_us > y->until_us;
}

uint32_t
eng_stands_on(const struct eng *e, const struct at *a, enum eng_action action)
{
	uint32_t val[DIM_N], best = 0;

	for (uint32_t k = 0; k < e->kinds.n; k++) {
		const struct stand_kind *kind = &e->kinds.v[k];
		uint32_t i;

		if (kind->action != action ||
		    eng_target_has_queue(kind->dims, kind->action) !=
			(a->f != NULL) ||
		    !eng_target_of(e, a, kind->dims, val))
			continue;
		i = map_get(&e->stand_map, eng_target_hash(kind->dims, val));
		for (; i != 0; i = stand_at(e, i)->twin) {
			const struct standing *s = stand_at(e, i);

			if (s->action == action && s->until_us > e->now &&
			    eng_is_target(s, kind->dims, val) &&
			    (best == 0 || is_stronger(e, i, best)))
				best = i;
		}
	}
	return best;
}

/* ---- paths ------------------------------------------------------------------------- */

/* When it ends; 0: when somebody ends it. */
static int64_t
end_of(const struct eng *e, uint32_t i)
{
	int64_t until = stand_at(e, i)->until_us;

	return until == TIME_NEVER ? 0 : until;
}

uint32_t
eng_path_suspended(const struct eng *e, const struct path *p, int64_t *until_us)
{
	struct at at = eng_at_path(e, p);
	uint32_t i = 0, k = 0;

	if (eng_acts(e, ACT_SUSPEND))
		i = eng_stands_on(e, &at, ACT_SUSPEND);
	if (eng_acts(e, ACT_OTHER))
		k = eng_stands_on(e, &at, ACT_OTHER);
	if (i == 0 || (k != 0 && is_stronger(e, k, i)))
		i = k;
	if (i != 0)
		*until_us = end_of(e, i);
	return i;
}

bool
eng_source_is_left(const struct eng *e, uint32_t src, uint32_t site)
{
	const struct at at = { .src = src, .s = pool_at(&e->sites, site) };

	return eng_acts(e, ACT_OTHER) && eng_stands_on(e, &at, ACT_OTHER) != 0;
}

uint32_t
eng_path_conns_max(const struct eng *e, const struct path *p, uint32_t max)
{
	struct at at = eng_at_path(e, p);
	uint32_t i = eng_stands_on(e, &at, ACT_CONNS), most;

	if (i == 0)
		return max;
	most = eng_standing_value(e, stand_at(e, i));
	return max == 0 || most < max ? most : max;
}

/* ---- slower ------------------------------------------------------------------------ */

#define RATE_ONE UINT64_C(1000000000000) /* period in us = this / rate */
#define RATE_MIN (RATE_ONE / (60 * US_PER_S))

uint64_t
eng_path_measured(const struct eng *e, const struct path *p)
{
	uint64_t us = (uint64_t)MAX(e->now - p->ok_us, US_PER_S);

	return p->nok * RATE_ONE / us;
}

/* From one transaction to the next, by a standing that slows the path. */
static int64_t
pace_us(const struct eng *e, const struct path *p, const struct standing *s)
{
	const struct eng_shape *shape = eng_path_shape(e, p);
	uint64_t per = RATE_ONE, n = MAX(s->rate, RATE_MIN);
	unsigned __int128 us;

	if (shape->rate_count != 0 && shape->rate_period_us > 0) {
		per = (uint64_t)shape->rate_period_us;
		n = shape->rate_count;
	}
	us = (unsigned __int128)per * ENG_PPM /
		((unsigned __int128)n * MAX(eng_standing_value(e, s), 1u)) +
	    1;
	return us < PACE_MAX_US ? (int64_t)us : PACE_MAX_US;
}

enum eng_why
eng_path_pace_gate(const struct eng *e, struct path *p, int64_t *until_us)
{
	struct at at = eng_at_path(e, p);

	if (eng_stands_on(e, &at, ACT_SLOW) == 0)
		p->pace_us = 0;
	else
		p->pace_us = MAX(p->pace_us, 1);
	if (p->pace_us <= e->now)
		return WHY_NONE;
	*until_us = p->pace_us;
	return WHY_PACED;
}

uint32_t
eng_path_paced_by(const struct eng *e, const struct path *p)
{
	struct at at = eng_at_path(e, p);

	return eng_stands_on(e, &at, ACT_SLOW);
}

void
eng_path_pace(const struct eng *e, struct path *p, bool is_spent)
{
	uint32_t i = eng_path_paced_by(e, p);
	int64_t gap;

	if (i == 0)
		return;
	gap = pace_us(e, p, stand_at(e, i));
	if (is_spent)
		p->pace_us = MAX(p->pace_us, e->now) + gap;
	else
		p->pace_us = MAX(p->pace_us - gap, 1);
}

/* ---- hosts ------------------------------------------------------------------------- */

uint32_t
eng_host_skipped(const struct eng *e, const struct site *s, uint32_t src,
    uint32_t host, int64_t *until_us)
{
	const struct at at = { .src = src, .s = s, .host = host };
	uint32_t i = 0;

	if (eng_acts(e, ACT_SKIP))
		i = eng_stands_on(e, &at, ACT_SKIP);
	if (i != 0)
		*until_us = end_of(e, i);
	return i;
}

uint32_t
eng_target_host(const struct site *s, uint32_t host)
{
	for (uint16_t k = 0; k < s->ntargets; k++)
		if (s->targets[k].host == host)
			return s->targets[k].name;
	return 0;
}

bool
eng_sess_is_skipped(const struct eng *e, uint32_t sess)
{
	const struct sess *x = pool_at(&e->sessions, sess);
	const struct path *p = pool_at(&e->paths, x->path);
	const struct site *s = pool_at(&e->sites, p->site);
	int64_t until;

	return eng_host_skipped(e, s, p->src, eng_target_host(s, x->host),
		   &until) != 0;
}

void
eng_path_shed(struct eng *e, uint32_t path)
{
	const struct path *p = pool_at(&e->paths, path);

	if (!eng_acts(e, ACT_SKIP))
		return;
	while (p->level != LEVEL_NONE &&
	    eng_sess_is_skipped(e, p->room[p->level].head))
		eng_sess_close(e, p->room[p->level].head);
}

/* ---- queues ------------------------------------------------------------------------ */

uint32_t
eng_queue_standing(const struct eng *e, const struct queue *q,
    int64_t *until_us)
{
	struct at at = eng_at_queue(e, q);
	uint32_t i = eng_stands_on(e, &at, ACT_SUSPEND), k;

	k = eng_stands_on(e, &at, ACT_DEFER);
	if (i == 0 || (k != 0 && is_stronger(e, k, i)))
		i = k;
	/* Until all of it has been returned. */
	k = eng_stands_on(e, &at, ACT_BOUNCE);
	if (i == 0 || (k != 0 && is_stronger(e, k, i)))
		i = k;
	if (i != 0)
		*until_us = end_of(e, i);
	return i;
}

/* ---- bounces ------------------------------------------------------------------------- */

/* A step looks at so many recipients, and returns so many. */
#define SWEEP_LOOKS 1000
#define SWEEP_BOUNCES 64

static struct at
at_rcpt(const struct eng *e, uint32_t i)
{
	const struct rcpt *r = eng_rcpt(e, i);
	const struct dom *d = pool_at(&e->doms, r->dom);
	struct at at = { .f = pool_at(&e->flows, eng_rcpt_flow(e, r)) };

	if (d->site != 0)
		at.s = pool_at(&e->sites, d->site);
	return at;
}

static bool
acts_on_queues(const struct eng *e, enum eng_action action)
{
	return e->kinds.queue_acts >> action & 1;
}

bool
eng_rcpt_bounce(struct eng *e, uint32_t i)
{
	const struct standing *s;
	struct outcome o;
	struct at at;
	uint32_t k;

	if (!acts_on_queues(e, ACT_BOUNCE))
		return false;
	at = at_rcpt(e, i);
	k = eng_stands_on(e, &at, ACT_BOUNCE);
	if (k == 0)
		return false;
	s = stand_at(e, k);
	/* The reply that the rule matched, for good and said by us. */
	o = s->outcome;
	o.klass = OUTCOME_BOUNCED;
	o.stage = STAGE_LOCAL;
	o.code = o.code >= 500 ? o.code : 550;
	o.enh.klass = 5;
	eng_rcpt_finish(e, i, ENG_LOG_BOUNCE, &o, 0, k | ENG_JOB_STANDING);
	return true;
}

void
eng_bounces_begin(struct eng *e)
{
	e->kinds.nsweep = e->rcpts.next_new;
}

/* Who is in flight comes by when it is back, and whom an operator holds stays. */
static bool
is_swept(const struct eng *e, uint32_t i)
{
	const struct rcpt *r;

	if (i == 0 || i >= e->rcpts.next_new || !pool_is_live(&e->rcpts, i))
		return false;
	r = eng_rcpt(e, i);
	return r->state == R_WAIT || r->state == R_READY ||
	    r->state == R_DEFERRED;
}

void
eng_bounces_run(struct eng *e)
{
	uint32_t looks = SWEEP_LOOKS, bounces = SWEEP_BOUNCES;

	if (!acts_on_queues(e, ACT_BOUNCE))
		e->kinds.nsweep = 0;
	for (; e->kinds.nsweep != 0 && looks != 0 && bounces != 0; looks--) {
		uint32_t i = ++e->kinds.sweep;
		struct at at;

		e->kinds.nsweep--;
		if (i >= e->rcpts.next_new)
			i = e->kinds.sweep = 0;
		if (!is_swept(e, i))
			continue;
		at = at_rcpt(e, i);
		if (eng_stands_on(e, &at, ACT_BOUNCE) == 0)
			continue;
		eng_rcpt_leave(e, i);
		eng_rcpt_bounce(e, i);
		bounces--;
	}
}

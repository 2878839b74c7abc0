/*
 * engine/engine.c - the front door: birth and death of the machine, one step,
 * and when the next one must come.
 *
 * An event is handled at once and only for what it is about. Work whose
 * amount an event does not bound (a domain's whole backlog that may now go
 * on, an operator's job, timers after a pause) is put on a list and done in
 * slices by EV_TICK; while any such list holds something the deadline is now.
 */
#include "engine/notice_i.h"
#include "engine/react_i.h"
#include "engine/standing_i.h"
#include "engine/warm_i.h"

#define TEXT(name, text) text,
static const char *const why_names[] = { ENG_WHY_TABLE(TEXT) };

static const char *const dim_names[] = { ENG_DIM_TABLE(TEXT) };

const char *
eng_dim_name(enum eng_dim d)
{
	return (unsigned)d < DIM_N ? dim_names[d] : "?";
}

const char *
eng_why_name(enum eng_why w)
{
	return (unsigned)w < ENG_WHY_N ? why_names[w] : "?";
}

void
eng_shape_default(struct eng_shape *s)
{
	memset(s, 0, sizeof(*s)); /* an image has its padding too */
#define X(name, type, dflt) s->name = dflt;
	ENG_SHAPE_TABLE(X)
#undef X
}

void
eng_policy_default(struct eng_policy *p)
{
	p->nshapes = 1;
	eng_shape_default(&p->shapes[0]);
	p->nproviders = p->ndests = 1;
	p->nzones = p->ntenants = 1;
	p->tenants[0].weight = 1;
	p->retry.first_us = 600 * US_PER_S;
	p->retry.max_us = 4 * 3600 * US_PER_S;
	p->retry.factor_pct = 200;
	p->retry.jitter_pct = 10;
	p->dns_retry_min_us = 60 * US_PER_S;
	p->dns_retry_max_us = 1800 * US_PER_S;
	p->host_retry_min_us = 60 * US_PER_S;
	p->host_retry_max_us = 1800 * US_PER_S;
}

void
eng_cmds_free(struct eng_cmds *c)
{
	mem_free(c->v);
	*c = (struct eng_cmds){ NULL, 0, 0 };
}

static void
cmds_grow(struct eng_cmds *c)
{
	uint32_t cap = c->cap ? 2 * c->cap : 256;
	void *v = mem_grow(c->v, (size_t)cap * sizeof(*c->v));

	ASSERT(v != NULL);
	c->v = v;
	c->cap = cap;
}

struct eng_cmd *
eng_emit(struct eng *e, enum eng_cmd_kind kind)
{
	struct eng_cmds *c = e->cmds;
	struct eng_cmd *cmd;

	if (c->n == c->cap)
		cmds_grow(c);
	cmd = &c->v[c->n++];
	memset(cmd, 0, sizeof(*cmd));
	cmd->kind = kind;
	e->totals.commands_total++;
	return cmd;
}

void *
eng_slot(struct pool *p, uint32_t *index)
{
	struct handle h;
	void *slot = pool_take(p, &h);

	ASSERT(slot != NULL);
	*index = h.index;
	return slot;
}

/* ---- birth and death ------------------------------------------------------- */

static struct wheel_link *
rcpt_timer(void *ctx, uint32_t index)
{
	return &((struct rcpt *)pool_at(ctx, index))->timer;
}

/*
 * Ceilings: the door admits mail by the limits; what comes in otherwise must be
 * taken, a notice that is owed and all that a start finds. A dom, site, queue
 * or lane exists because a recipient does, or is one of the idle ones that a
 * minute gives back.
 */
void
eng_pools_init(struct eng *e)
{
	uint32_t many = UINT32_C(1) << 30;
	uint32_t sess = MIN(e->limits.sessions_max, many);

	pages_init(&e->msgs, sizeof(struct msg));
	pool_init(&e->rcpts, sizeof(struct rcpt), many);
	pool_init(&e->doms, sizeof(struct dom), many);
	pool_init(&e->sites, sizeof(struct site), many);
	pool_init(&e->hosts, sizeof(struct host), many);
	pool_init(&e->flows, sizeof(struct flow), many);
	pool_init(&e->queues, sizeof(struct queue), many);
	pool_init(&e->lanes, sizeof(struct lane), many);
	pool_init(&e->paths, sizeof(struct path), many);
	pool_init(&e->sessions, sizeof(struct sess), sess);
	pool_init(&e->txns, sizeof(struct txn),
	    MIN((uint64_t)sess * AHEAD_MAX, many));
	pool_init(&e->studies, sizeof(struct study), many);
	pool_init(&e->marks, sizeof(struct mark), many);
	pool_init(&e->warms, sizeof(struct warm), many);
	pool_init(&e->adapts, sizeof(struct adapt), many);
	pool_init(&e->turns, sizeof(struct turn), many);
	pool_init(&e->standings, sizeof(struct standing), many);
	pool_init(&e->tallies, sizeof(struct tally), many);
	pool_init(&e->claims, sizeof(struct claim), many);
	pool_init(&e->prizes, sizeof(struct prize), many);
	pool_init(&e->delays, sizeof(struct delay), many);
	pool_init(&e->rates, sizeof(struct rate), many);
	pool_init(&e->parks, sizeof(struct park), many);
	pool_init(&e->meters, sizeof(struct meter), many);
	pool_init(&e->windows, sizeof(struct window), many);
	pool_init(&e->charges, sizeof(struct charge), many);
	pool_init(&e->waiters, sizeof(struct waiter), many);
	pool_init(&e->shares, sizeof(struct share), many);
	pool_init(&e->forms, sizeof(struct form), many);
	pool_init(&e->tolls, sizeof(struct toll), ENG_DESTS_MAX + 1);
}

static void
maps_init(struct eng *e)
{
	struct map *maps[] = { &e->dom_map, &e->site_map, &e->host_map,
		&e->flow_map, &e->queue_map, &e->lane_map, &e->path_map,
		&e->mark_map, &e->form_map, &e->turn_map, &e->meter_map,
		&e->share_map, &e->warm_map, &e->stand_map, &e->tally_map,
		&e->prize_map, &e->rate_map };

	for (size_t i = 0; i < ARRAY_LEN(maps); i++)
		map_init(maps[i], rng_u64(&e->rng), UINT32_C(1) << 31);
	/* Its keys are the relay's own, so it takes none of the dice. */
	map_init(&e->delay_map, 1, UINT32_C(1) << 31);
}

struct eng *
eng_new(const struct eng_policy *policy, const struct eng_limits *limits,
    uint64_t seed, int64_t now_us)
{
	struct eng *e = mem_try(sizeof(*e));

	if (e == NULL)
		return NULL;
	e->limits = *limits;
	e->now = e->start_us = now_us;
	rng_seed(&e->rng, seed);
	eng_pools_init(e);
	maps_init(e);
	wheel_init(&e->wheel, now_us, WHEEL_TICK_US, rcpt_timer, &e->rcpts);
	heap_init(&e->timers, UINT32_MAX / 2 - 1);
	eng_conf_set(e, policy);
	return e;
}

void
eng_free(struct eng *e)
{
	struct pool *pools[] = { &e->studies, &e->rcpts, &e->doms, &e->hosts,
		&e->flows, &e->queues, &e->lanes, &e->paths, &e->sessions,
		&e->txns, &e->marks, &e->sites, &e->forms, &e->tolls, &e->parks,
		&e->turns, &e->meters, &e->windows, &e->charges, &e->waiters,
		&e->shares, &e->warms, &e->adapts, &e->standings, &e->tallies,
		&e->claims, &e->prizes, &e->rates, &e->delays };
	struct map *maps[] = { &e->dom_map, &e->site_map, &e->host_map,
		&e->flow_map, &e->queue_map, &e->lane_map, &e->path_map,
		&e->mark_map, &e->form_map, &e->turn_map, &e->meter_map,
		&e->share_map, &e->warm_map, &e->stand_map, &e->tally_map,
		&e->prize_map, &e->rate_map, &e->delay_map };

	for (uint32_t i = 1; i < e->sites.next_new; i++) {
		struct site *s = pool_at(&e->sites, i);

		if (!pool_is_live(&e->sites, i))
			continue;
		mem_free(s->ids);
		mem_free(s->targets);
	}
	for (size_t i = 0; i < ARRAY_LEN(pools); i++)
		pool_free(pools[i]);
	for (size_t i = 0; i < ARRAY_LEN(maps); i++)
		map_free(maps[i]);
	pages_free(&e->msgs);
	heap_free(&e->timers);
	mem_free(e->jobs);
	mem_free(e->notices);
	mem_free(e);
}

size_t
eng_memory(const struct eng *e)
{
	const struct pool *pools[] = { &e->studies, &e->rcpts, &e->doms,
		&e->sites, &e->hosts, &e->flows, &e->queues, &e->lanes,
		&e->paths, &e->sessions, &e->txns, &e->marks, &e->forms,
		&e->tolls, &e->parks, &e->turns, &e->meters, &e->windows,
		&e->charges, &e->waiters, &e->shares, &e->warms, &e->adapts,
		&e->standings, &e->tallies, &e->claims, &e->prizes, &e->rates,
		&e->delays };
	const struct map *maps[] = { &e->dom_map, &e->site_map, &e->host_map,
		&e->flow_map, &e->queue_map, &e->lane_map, &e->path_map,
		&e->mark_map, &e->form_map, &e->turn_map, &e->meter_map,
		&e->share_map, &e->warm_map, &e->stand_map, &e->tally_map,
		&e->prize_map, &e->rate_map, &e->delay_map };
	size_t n = sizeof(*e) + e->msgs.bytes;

	for (size_t i = 0; i < ARRAY_LEN(pools); i++)
		n += pool_bytes(pools[i]);
	for (size_t i = 0; i < ARRAY_LEN(maps); i++)
		n += map_bytes(maps[i]);
	n += ((size_t)e->timers.cap + 1) * sizeof(*e->timers.v);
	n += e->jobs_cap * sizeof(*e->jobs);
	return n + e->notices_cap * sizeof(*e->notices);
}

uint32_t
eng_rcpts_free(const struct eng *e)
{
	return e->limits.rcpts_max - MIN(e->rcpts.live, e->limits.rcpts_max);
}

/* ---- time ------------------------------------------------------------------- */

void
eng_timer_set(struct eng *e, struct timer *t, enum timer_kind kind,
    uint32_t index, int64_t when_us)
{
	if (heap_has(&t->node)) {
		heap_rekey(&e->timers, &t->node, when_us);
		return;
	}
	t->kind = kind;
	t->index = index;
	ASSERT(heap_push(&e->timers, &t->node, when_us) == 0);
}

void
eng_timer_cancel(struct eng *e, struct timer *t)
{
	if (heap_has(&t->node))
		heap_remove(&e->timers, &t->node);
}

static void
timers_run(struct eng *e)
{
	for (int left = PUMP_MAX; left > 0; left--) {
		struct heap_node *n = heap_peek(&e->timers);
		struct timer *t;

		if (n == NULL || n->key > e->now)
			return;
		t = container_of(heap_pop(&e->timers), struct timer, node);
		switch (t->kind) {
		case TIMER_DOM:
			eng_dom_timer(e, t->index);
			break;
		case TIMER_PATH:
			eng_path_pump(e, t->index);
			break;
		case TIMER_QUEUE:
			eng_queue_unpark(e,
			    ((struct park *)pool_at(&e->parks, t->index))
				->queue);
			break;
		case TIMER_METER:
			eng_meter_timer(e, t->index);
			break;
		case TIMER_WARM:
			eng_warm_timer(e, t->index);
			break;
		case TIMER_STANDING:
			eng_standing_timer(e, t->index);
			break;
		case TIMER_TALLY:
			eng_tally_timer(e, t->index);
			break;
		case TIMER_PRIZE:
			eng_prize_timer(e, t->index);
			break;
		case TIMER_DELAY:
			eng_delay_timer(e, t->index);
			break;
		case TIMER_LANE:
			eng_lane_wake(e, t->index);
			break;
		}
	}
}

static void
tick(struct eng *e)
{
	timers_run(e);
	eng_wheel_run(e);
	eng_moving_run(e);
	eng_conf_run(e);
	eng_jobs_run(e);
	eng_bounces_run(e);
	eng_queues_idle_run(e);
	eng_paths_idle_run(e);
	if (e->recalled.n != 0)
		eng_rates_run(e);
	eng_doms_idle_run(e);
}

static bool
has_more(const struct eng *e)
{
	return e->is_wheel_behind || (e->kicks.n != 0 && !e->is_disk_full) ||
	    (e->warm_hot.n != 0 && !e->is_disk_full) || e->moving.n != 0 ||
	    (e->prizes_over.n != 0 && !e->is_disk_full) ||
	    (e->over.n != 0 && !e->is_disk_full) || e->njobs != 0 ||
	    e->kinds.nsweep != 0 || e->conf_lane != 0 || e->conf_park != 0 ||
	    e->conf_waiter != 0 || (e->woken.n != 0 && !e->is_disk_full) ||
	    e->conf_dom != 0;
}

int64_t
eng_deadline(const struct eng *e)
{
	const struct heap_node *n = heap_peek(&e->timers);
	int64_t at = wheel_next(&e->wheel);
	const struct path *p;
	const struct queue *q;
	const struct dom *d;

	if (has_more(e))
		return e->now;
	if (n != NULL)
		at = MIN(at, n->key);
	if (e->idle_queues.n != 0) {
		q = pool_at(&e->queues, e->idle_queues.head);
		at = MIN(at, q->oldest_us + IDLE_US);
	}
	if (e->idle_paths.n != 0) {
		p = pool_at(&e->paths, e->idle_paths.head);
		at = MIN(at, p->idle_us + IDLE_US);
	}
	if (e->idle_doms.n != 0) {
		d = pool_at(&e->doms, e->idle_doms.head);
		at = MIN(at, d->idle_us + IDLE_US);
	}
	if (e->recalled.n != 0)
		at = MIN(at, e->start_us + ADAPT_KEEP_US);
	return at;
}

/* ---- one step ---------------------------------------------------------------- */

static void
dispatch(struct eng *e, const struct eng_event *ev)
{
	switch (ev->kind) {
	case EV_CONF:
		eng_on_conf(e, ev->conf);
		return;
	case EV_CLOCK:
		e->wall_off_us = ev->wall_us - e->now;
		if (e->has_quiet)
			eng_quiet_again(e);
		eng_warm_clock(e);
		return;
	case EV_MESSAGE:
		eng_on_message(e, &ev->message);
		return;
	case EV_RECIPIENT:
		eng_on_recipient(e, &ev->recipient);
		return;
	case EV_RESOLVED:
		eng_on_resolved(e, &ev->resolved);
		return;
	case EV_SESSION_UP:
		eng_on_up(e, &ev->up);
		return;
	case EV_SESSION_DOWN:
		eng_on_down(e, &ev->down);
		return;
	case EV_RESULT:
		eng_on_result(e, &ev->result);
		return;
	case EV_TICK:
		tick(e);
		return;
	case EV_ADMIN:
		eng_on_admin(e, &ev->admin);
		return;
	case EV_NOTICE_PAID:
		eng_on_paid(e, ev->paid.msg);
		return;
	case EV_DAMAGED:
		eng_on_damaged(e, ev->damaged.msg);
		return;
	case EV_SHAPE:
		eng_on_shape(e, ev->shape.domain, &ev->shape.where,
		    ev->shape.rollup);
		return;
	case EV_DISK:
		eng_on_disk(e, ev->is_disk_full);
		return;
	case EV_KEPT:
		eng_on_kept(e, ev->kept);
		return;
	case EV_RECALL:
		eng_on_recall(e, &ev->recall);
		return;
	case EV_FEEDBACK:
		eng_warm_feedback(e, ev->feedback.source, ev->feedback.provider,
		    (enum eng_feedback)ev->feedback.kind);
		return;
	case EV_END:
		eng_standing_end(e, ev->end);
		return;
	case EV_SOURCE:
		eng_on_source(e, ev->source.source, ev->source.is_down);
		return;
	case ENG_EVENT_N:
		break;
	}
	ASSERT(!"an event that is known");
}

/* While a message's recipients still come, lanes are not pumped: those that
 * can travel together shall. */
static bool
is_mid_message(const struct eng *e, const struct eng_event *ev)
{
	const struct msg *m;

	if (ev->kind == EV_MESSAGE)
		return true;
	if (ev->kind != EV_RECIPIENT)
		return false;
	m = eng_msg(e, ev->recipient.msg);
	return m != NULL && m->nexpect != 0;
}

void
eng_step(struct eng *e, const struct eng_event *ev, int64_t now_us,
    struct eng_cmds *cmds)
{
	ASSERT(now_us >= e->now);
	e->now = now_us;
	e->cmds = cmds;
	e->budget = PUMP_MAX;
	e->totals.steps_total++;
	dispatch(e, ev);
	if (!is_mid_message(e, ev))
		eng_kicks_run(e);
	if (e->nnotices != 0)
		eng_notices_flush(e);
	e->cmds = NULL;
}

/*
 * engine/admin.c - what operators do to recipients, in slices.
 *
 * A job walks the recipients (or the chain of one message) and does its verb
 * to those that its selector names. What is in flight cannot be taken back: it
 * is marked, and the mark is obeyed at its result unless that is final.
 */
#include "engine/engine_i.h"

bool
eng_selects(const struct eng *e, const struct eng_selector *sel,
    const struct rcpt *r, const struct msg *m)
{
	const struct flow *f = pool_at(&e->flows, eng_rcpt_flow(e, r));
	const struct dom *d = pool_at(&e->doms, r->dom);

	if (sel->msg && sel->msg != r->msg)
		return false;
	if (sel->domain && sel->domain != d->name)
		return false;
	if (sel->tenant && sel->tenant != f->tenant)
		return false;
	if (sel->campaign && sel->campaign != f->campaign)
		return false;
	if (sel->pool && sel->pool != f->pool)
		return false;
	if (sel->arrived_before_us && m->arrival_us >= sel->arrived_before_us)
		return false;
	return sel->everything || sel->msg || sel->domain || sel->tenant ||
	    sel->campaign || sel->pool || sel->arrived_before_us;
}

/* ---- marks on what is in flight ---------------------------------------------- */

static void
mark(struct eng *e, uint32_t i, enum eng_verb verb, uint32_t job)
{
	struct rcpt *r = eng_rcpt(e, i);
	uint32_t k = r->is_marked ? map_get(&e->mark_map, i) : 0;
	struct mark *m;

	if (k != 0)
		m = pool_at(&e->marks, k);
	else {
		m = eng_slot(&e->marks, &k);
		ASSERT(map_put(&e->mark_map, i, k) == 0);
		r->is_marked = 1;
	}
	m->verb = verb;
	m->job = job;
}

void
eng_mark_forget(struct eng *e, uint32_t i)
{
	uint32_t k = map_del(&e->mark_map, i);

	if (k != 0)
		pool_give(&e->marks, k);
	eng_rcpt(e, i)->is_marked = 0;
}

/* ---- the verbs, on a recipient in R_NONE --------------------------------------- */

static void
hold(struct eng *e, uint32_t i, uint32_t job)
{
	struct outcome o = eng_rcpt_last(eng_rcpt(e, i));

	eng_persist(e, i, &o, false, false, TIME_NEVER);
	eng_log(e, i, ENG_LOG_ADMIN_HOLD, &o, 0, TIME_NEVER, job);
	eng_rcpt_rest(e, i, R_HELD, TIME_NEVER);
}

static void
let_go(struct eng *e, uint32_t i, enum eng_log_kind what, uint32_t job)
{
	struct outcome o = eng_rcpt_last(eng_rcpt(e, i));

	eng_persist(e, i, &o, false, false, 0);
	eng_log(e, i, what, &o, 0, 0, job);
	eng_rcpt_place(e, i, false);
}

static void
end(struct eng *e, uint32_t i, enum eng_verb verb, uint32_t job)
{
	struct outcome o = { .klass = OUTCOME_ADMIN,
		.stage = STAGE_LOCAL,
		.code = 550,
		.enh = { 5, 7, 0 } };

	if (verb == VERB_DELETE) {
		o.klass = OUTCOME_DELETED;
		eng_rcpt_finish(e, i, ENG_LOG_ADMIN_DELETE, &o, 0, job);
	} else
		eng_rcpt_finish(e, i, ENG_LOG_ADMIN_BOUNCE, &o, 0, job);
}

bool
eng_mark_apply(struct eng *e, uint32_t i)
{
	struct mark m;
	uint32_t k;

	if (!eng_rcpt(e, i)->is_marked)
		return false;
	k = map_get(&e->mark_map, i);
	m = *(struct mark *)pool_at(&e->marks, k);
	eng_mark_forget(e, i);
	if (m.verb == VERB_HOLD)
		hold(e, i, m.job);
	else
		end(e, i, m.verb, m.job);
	return true;
}

static bool
will_be_held(const struct eng *e, uint32_t i)
{
	const struct mark *m;

	if (!eng_rcpt(e, i)->is_marked)
		return false;
	m = pool_at(&e->marks, map_get(&e->mark_map, i));
	return m->verb == VERB_HOLD;
}

/* Can the verb do anything in this state? */
static bool
applies(const struct eng *e, enum eng_verb verb, uint32_t i)
{
	const struct rcpt *r = eng_rcpt(e, i);

	switch (verb) {
	case VERB_HOLD:
		return r->state != R_HELD;
	case VERB_RELEASE:
		return r->state == R_HELD || will_be_held(e, i);
	case VERB_RETRY:
		return r->state == R_DEFERRED || r->state == R_READY ||
		    r->state == R_WAIT;
	case VERB_COUNT:
	case VERB_BOUNCE:
	case VERB_DELETE:
	case ENG_VERB_N:
		break;
	}
	return true;
}

/* Opens what keeps a recipient's domain or site shut: a look-up that failed,
 * hosts that are dead, paths that back off. The evidence stays: the next
 * failure goes on doubling. Limits are not touched. */
static void
open_gates(struct eng *e, uint32_t i)
{
	struct dom *d = pool_at(&e->doms, eng_rcpt(e, i)->dom);
	struct site *s;

	if (d->state == DOM_FAILED)
		eng_timer_set(e, &d->timer, TIMER_DOM, eng_rcpt(e, i)->dom,
		    e->now);
	if (d->site == 0)
		return;
	s = pool_at(&e->sites, d->site);
	for (uint16_t k = 0; k < s->ntargets; k++) {
		struct host *h = pool_at(&e->hosts, s->targets[k].host);

		h->dead_until_us = MIN(h->dead_until_us, e->now);
	}
	for (uint32_t k = s->paths.head; k != 0;) {
		struct path *p = pool_at(&e->paths, k);

		p->backoff_until_us = MIN(p->backoff_until_us, e->now);
		p->crowd_until_us = MIN(p->crowd_until_us, e->now);
		k = p->link.next;
	}
	eng_site_wake(e, d->site);
}

static void
apply(struct eng *e, uint32_t i, enum eng_verb verb, uint32_t job)
{
	enum rcpt_state state = eng_rcpt(e, i)->state;

	if (state == R_ASSIGNED && verb == VERB_RELEASE) {
		eng_mark_forget(e, i); /* the hold that was to come */
		return;
	}
	if (state == R_ASSIGNED) {
		mark(e, i, verb, job);
		return;
	}
	if (verb == VERB_RETRY) {
		open_gates(e, i);
		if (state != R_DEFERRED)
			return;
	}
	eng_rcpt_leave(e, i);
	switch (verb) {
	case VERB_HOLD:
		hold(e, i, job);
		return;
	case VERB_RELEASE:
		let_go(e, i, ENG_LOG_ADMIN_RELEASE, job);
		return;
	case VERB_RETRY:
		let_go(e, i, ENG_LOG_ADMIN_RETRY, job);
		return;
	case VERB_BOUNCE:
	case VERB_DELETE:
		end(e, i, verb, job);
		return;
	case VERB_COUNT:
	case ENG_VERB_N:
		break;
	}
	ASSERT(!"a verb that changes something");
}

/* ---- jobs ------------------------------------------------------------------------ */

static void
consider(struct eng *e, struct job *j, uint32_t i)
{
	const struct rcpt *r = eng_rcpt(e, i);
	const struct msg *m;

	if (r->state == R_DONE || r->state == R_NONE)
		return;
	m = eng_msg(e, r->msg);
	if (!eng_selects(e, &j->ev.sel, r, m) || !applies(e, j->ev.verb, i))
		return;
	j->count++;
	if (!j->ev.dry_run && j->ev.verb != VERB_COUNT)
		apply(e, i, j->ev.verb, j->ev.job);
}

/* One message: its chain is bounded by RCPTS_MAX; its end may free it, so the
 * recipients are listed first. */
static void
one_message(struct eng *e, struct job *j)
{
	const struct msg *m = eng_msg(e, j->ev.sel.msg);
	uint32_t n = 0, *v;

	if (m == NULL)
		return;
	v = mem_get(sizeof(*v) * ((uint32_t)m->nlive + m->ndone + 1));
	for (uint32_t i = m->head; i != 0; i = eng_rcpt(e, i)->sib)
		v[n++] = i;
	for (uint32_t k = 0; k < n; k++)
		if (pool_is_live(&e->rcpts, v[k]))
			consider(e, j, v[k]);
	mem_free(v);
}

static void
job_end(struct eng *e)
{
	struct eng_cmd *c = eng_emit(e, CMD_ADMIN_DONE);

	c->admin_done.job = e->jobs[0].ev.job;
	c->admin_done.n = e->jobs[0].count;
	e->njobs--;
	memmove(&e->jobs[0], &e->jobs[1], e->njobs * sizeof(*e->jobs));
}

void
eng_jobs_run(struct eng *e)
{
	uint32_t left = SLICE;

	while (e->njobs != 0 && left > 0) {
		struct job *j = &e->jobs[0];

		if (j->ev.sel.msg != 0) {
			one_message(e, j);
			job_end(e);
			continue;
		}
		while (left > 0 && j->cursor < e->rcpts.next_new) {
			uint32_t i = j->cursor++;

			left--;
			if (pool_is_live(&e->rcpts, i))
				consider(e, j, i);
		}
		if (j->cursor >= e->rcpts.next_new)
			job_end(e);
	}
}

void
eng_on_admin(struct eng *e, const struct ev_admin *ev)
{
	if (e->njobs == e->jobs_cap) {
		uint32_t cap = e->jobs_cap + 8;
		void *v = mem_grow(e->jobs, cap * sizeof(*e->jobs));

		ASSERT(v != NULL);
		e->jobs = v;
		e->jobs_cap = cap;
	}
	e->jobs[e->njobs++] =
	    (struct job){ .ev = *ev, .cursor = 1, .started_us = e->now };
	eng_jobs_run(e);
}

/*
 * sim/host_spool.c - the spooler's turn, as in the daemon's spooler.
 *
 * A turn runs on a fiber: the disk may make it wait in the midst of anything. A
 * power loss inside the turn ends the process: what the spool says then is said
 * to nobody.
 */
#include "sim/host_i.h"

#define INLINE_RUN 64u

struct answers {
	struct posts to_core, to_in;
};

static void
outcomes_apply(struct host *h, struct post_outcomes *o)
{
	for (uint32_t i = 0; i < o->n; i++) {
		struct item *it = &o->v[i];

		switch (it->kind) {
		case ITEM_OUTCOME:
			spool_outcome(h->spool, it->slot, it->rcpt, &it->state);
			mem_free((void *)(uintptr_t)it->state.text.p);
			mem_free((void *)(uintptr_t)it->state.mta.p);
			h->applied++;
			break;
		case ITEM_DROP:
			spool_drop(h->spool, it->slot);
			break;
		case ITEM_MOVED_ACK:
			spool_moved_ack(h->spool, it->slot);
			break;
		default:
			spool_report_damage(h->spool, it->slot);
			break;
		}
	}
	mem_free(o);
}

static void
take_posts(struct host *h)
{
	struct post *p;

	while ((p = posts_shift(&h->spooler.box))) {
		if (p->kind == POST_COMMIT)
			spool_commit(h->spool,
			    &container_of(p, struct parcel, post)->commit);
		else
			outcomes_apply(h,
			    container_of(p, struct post_outcomes, post));
	}
}

static void
answer_commit(struct host *h, struct answers *a, struct parcel *p)
{
	struct post_submit *sub = p->commit.user;

	led_committed(h->s->ledger, p);
	if (!p->origin) { /* a notice of the core's */
		p->post.kind = POST_NOTICE_DONE;
		posts_push(&a->to_core, &p->post);
		return;
	}
	if (p->commit.err) {
		mem_free(sub);
	} else {
		sub->slot = p->commit.slot;
		sub->ref = p->commit.ref;
		posts_push(&a->to_core, &sub->post);
	}
	p->commit.user = NULL;
	h->answers++;
	p->post.kind = POST_COMMITTED;
	posts_push(&a->to_in, &p->post);
}

static void
take_answers(struct host *h, struct answers *a)
{
	struct spool_commit *c;
	struct spool_damage d;
	struct handle slot;
	struct spool_ref ref;

	if (h->disk.is_dead)
		return;
	while ((c = spool_take_done(h->spool)))
		answer_commit(h, a, container_of(c, struct parcel, commit));
	while (spool_take_moved(h->spool, &slot, &ref)) {
		struct post_moved *m = mem_get(sizeof(*m));

		led_moved(h->s->ledger, slot, &ref);
		m->post.kind = POST_MOVED;
		m->slot = slot;
		m->ref = ref;
		posts_push(&a->to_core, &m->post);
	}
	while (spool_take_damage(h->spool, &d)) {
		struct post_damage *m = mem_get(sizeof(*m));

		m->post.kind = POST_DAMAGE;
		m->damage = d;
		posts_push(&a->to_core, &m->post);
	}
	if (spool_is_synced(h->spool))
		led_durable(h->s->ledger, h->applied);
}

static void
post_all(struct posts *from, struct actor *to)
{
	struct post *p;

	if (!from->head)
		return;
	while ((p = posts_shift(from)))
		posts_push(&to->box, p);
	actor_wake(to);
}

static void
post_answers(struct host *h, struct answers *a)
{
	post_all(&a->to_core, &h->out);
	post_all(&a->to_in, &h->in);
}

/* Was this turn the process's last? */
static bool
is_last(struct host *h)
{
	if (!h->disk.is_dead)
		return false;
	if (!h->is_crashing)
		host_crash(h->s);
	return true;
}

void
spooler_fiber(void *arg)
{
	struct host *h = arg;
	struct answers a = { 0 };
	bool more, was_stuck;

	h->is_asleep = false;
	take_posts(h);
	was_stuck = spool_is_stuck(h->spool);
	more = spool_turn(h->spool, h->s->now_us);
	if (spool_is_stuck(h->spool) != was_stuck)
		actor_wake(&h->out);
	take_answers(h, &a);
	if (is_last(h))
		return;
	post_answers(h, &a);
	h->ninline = 0;
	more |= spool_tidy(h->spool, h->s->now_us);
	take_answers(h, &a);
	if (is_last(h))
		return;
	post_answers(h, &a);
	more |= h->spooler.box.head != NULL;
	h->is_asleep = !more;
	actor_at(&h->spooler,
	    more ? h->s->now_us + 20 : spool_deadline(h->spool));
}

void
spooler_turn(void *arg)
{
	struct host *h = arg;

	if (!h->fiber.is_parked)
		fiber_run(&h->fiber);
}

/* As spooler_stop: everything posted before is written. */
void
spooler_end(struct host *h)
{
	struct answers a = { 0 };

	take_posts(h);
	while (spool_turn(h->spool, h->s->now_us))
		take_answers(h, &a);
	take_answers(h, &a);
	post_answers(h, &a);
}

void
spooler_post(struct host *h, struct posts *l, bool wake)
{
	struct post *p;

	while ((p = posts_shift(l)))
		posts_push(&h->spooler.box, p);
	if (wake)
		actor_wake(&h->spooler);
}

bool
spooler_try_inline(struct host *h, struct parcel *p)
{
	struct answers a = { 0 };
	struct post *q;
	bool more;

	if (!h->is_asleep || h->fiber.is_parked || h->ninline++ >= INLINE_RUN)
		return false;
	take_posts(h);
	spool_commit(h->spool, &p->commit);
	more = spool_turn(h->spool, h->s->now_us);
	take_answers(h, &a);
	if (h->disk.is_dead)
		return true; /* its turn ends with the crash */
	h->s->marks->n[MARK_inline_sync]++;
	while ((q = posts_shift(&a.to_in)))
		inbound_committed(h, container_of(q, struct parcel, post));
	post_answers(h, &a);
	if (more)
		actor_wake(&h->spooler);
	else
		actor_at(&h->spooler, spool_deadline(h->spool));
	return true;
}

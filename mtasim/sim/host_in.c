/*
 * sim/host_in.c - inbound sessions, as in the daemon's inbound.
 */
#include <errno.h>

#include "sim/host_i.h"

static void session_flush(struct in_session *s);

struct in_session {
	struct intake intake;
	struct host *h;
	struct end *end;
	struct handle self;
	struct list link;
	bool is_committing, is_dead;
	bool is_last; /* the client has shut its side behind a message */
};

/* ---- what an intake asks of us ------------------------------------------------------ */

static struct post_submit *
submit_new(const struct parcel *p)
{
	struct slice envelope = buf_slice(&p->env);
	struct post_submit *s = mem_get(sizeof(*s) + envelope.n);

	s->post.kind = POST_SUBMIT;
	s->id = p->id;
	s->n = (uint32_t)envelope.n;
	memcpy(s->envelope, envelope.p, envelope.n);
	return s;
}

static void
op_commit(void *ctx, struct parcel *p)
{
	struct in_session *s = ctx;
	struct host *h = s->h;

	p->origin = h;
	s->is_committing = true;
	h->waiting++;
	led_commit(h->s->ledger, p);
	p->commit.user = submit_new(p);
	p->post.kind = POST_COMMIT;
	posts_push(&h->commits, &p->post);
	h->ncommits++;
}

static void
on_spilled(void *arg)
{
	struct sim_spill *f = arg;
	struct host *h = f->h;
	struct in_session *s = pool_get(&h->in_sessions, f->session);
	struct handle self = f->session;

	f->is_done = true;
	ASSERT(s && !s->is_dead);
	if (!intake_spilled(&s->intake, h->s->now_us, sim_wall(h->s)))
		return;
	s->intake.is_closing |= s->is_last && !s->is_committing;
	session_flush(s);
	if ((s = pool_get(&h->in_sessions, self)) && s->end)
		end_resume(s->end);
	actor_wake(&h->in);
}

/* A slow disk is slow here too. */
static bool
op_spill_add(void *ctx, struct spill **sp, struct slice data)
{
	struct in_session *s = ctx;
	struct sim *w = s->h->s;
	struct sim_spill *f = (struct sim_spill *)*sp;
	bool slow = sim_has(w, SIM_F_disk_slow) &&
	    rng_below(dice(w, DICE_HOST), 50) == 0;

	if (!f) {
		f = mem_get(sizeof(*f));
		f->h = s->h;
		f->session = s->self;
		buf_init(&f->bytes, 64u << 20);
		sim_timer_init(&f->written, on_spilled, f, "spill");
		*sp = (struct spill *)f;
	}
	f->is_done = false;
	w->marks->n[MARK_spilled]++;
	sim_timer_set(w, &f->written,
	    w->now_us +
		rng_range(dice(w, DICE_HOST), 20, slow ? 20 * US_PER_S : 500));
	return buf_adds(&f->bytes, data) == 0;
}

static bool
op_spill_is_done(void *ctx, const struct spill *sp)
{
	(void)ctx;
	return ((const struct sim_spill *)sp)->is_done;
}

static struct slice
op_spill_map(void *ctx, struct spill *sp)
{
	(void)ctx;
	return buf_slice(&((struct sim_spill *)sp)->bytes);
}

static struct parcel *
op_parcel_take(void *ctx)
{
	return parcel_take(((struct in_session *)ctx)->h);
}

static void
op_parcel_give(void *ctx, struct parcel *p)
{
	parcel_give(((struct in_session *)ctx)->h, p);
}

static bool
op_has_room(void *ctx, uint64_t bytes)
{
	return spool_has_room(((struct in_session *)ctx)->h->spool, bytes);
}

static uint64_t
op_sequence(void *ctx)
{
	return host_sequence(((struct in_session *)ctx)->h, 0);
}

static struct buf *
op_book(void *ctx)
{
	return host_book(((struct in_session *)ctx)->h, BOOK_IN);
}

static const struct intake_ops intake_ops = {
	.commit = op_commit,
	.spill_add = op_spill_add,
	.spill_is_done = op_spill_is_done,
	.spill_map = op_spill_map,
	.parcel_take = op_parcel_take,
	.parcel_give = op_parcel_give,
	.has_room = op_has_room,
	.sequence = op_sequence,
	.book = op_book,
};

/* ---- sessions ------------------------------------------------------------------------- */

static void
session_end(struct in_session *s)
{
	struct host *h = s->h;

	if (s->end) {
		end_close(s->end);
		s->end = NULL;
	}
	s->is_dead = true;
	if (s->is_committing)
		return;
	list_remove(&s->link);
	intake_free(&s->intake);
	pool_give(&h->in_sessions, s->self.index);
}

static void
session_flush(struct in_session *s)
{
	struct buf *out = &s->intake.srv.out;

	if (s->end)
		end_send(s->end, out);
	if (s->intake.is_closing) {
		session_end(s);
		return;
	}
	end_deadline(s->end, smtp_srv_deadline(&s->intake.srv));
}

static size_t
on_data(void *user, struct slice data)
{
	struct in_session *s = user;
	struct host *h = s->h;
	size_t n;

	h->in_events++;
	n = intake_feed(&s->intake, data, h->s->now_us, sim_wall(h->s));
	session_flush(s);
	actor_wake(&h->in);
	return n;
}

static void
on_drained(void *user)
{
	session_flush(user);
}

static void
on_gone(void *user, int err)
{
	struct in_session *s = user;

	/* Who shut his side still reads. */
	if (err == 0 && (s->is_committing || s->intake.is_ending))
		s->is_last = true;
	else
		session_end(s);
}

static void
on_deadline(void *user)
{
	struct in_session *s = user;
	struct slice none = { "", 0 };
	struct sim *w = s->h->s;

	smtp_srv_timeout(&s->intake.srv);
	intake_feed(&s->intake, none, w->now_us, sim_wall(w));
	s->intake.is_closing = true;
	session_flush(s);
}

static const struct end_ops ops = {
	.on_data = on_data,
	.on_drained = on_drained,
	.on_gone = on_gone,
	.on_deadline = on_deadline,
};

static void
turn_away(struct end *e)
{
	struct buf b;

	buf_init(&b, 64);
	buf_addz(&b, "421 4.3.2 Shutting down\r\n");
	end_send(e, &b);
	buf_free(&b);
	end_close(e);
}

static void
on_accept(void *arg, struct end *e)
{
	struct caller *c = arg;
	struct host *h = c->h;
	struct endpoint peer = { .ip = c->from, .port = 1025 };
	struct in_session *s;
	struct handle self;

	if (!h->is_up) {
		e->is_open = true;
		end_reset(e);
		return;
	}
	if (h->is_stopping) {
		turn_away(e);
		return;
	}
	ASSERT(sizeof(*s) <= 8192);
	s = pool_take(&h->in_sessions, &self);
	ASSERT(s); /* there are few senders */
	s->h = h;
	s->end = e;
	s->self = self;
	e->ops = &ops;
	e->user = s;
	list_push_tail(&h->in_list, &s->link);
	intake_init(&s->intake, h->conf, &h->conf->listen[0], &intake_ops, s,
	    &h->gate, self, &peer, h->s->now_us);
	session_flush(s);
}

struct end *
host_connect(struct sim *s, const struct link_conf *lc, uint32_t number,
    const struct end_ops *eo, void *user)
{
	struct caller *c = &s->host->caller[number];

	c->h = s->host;
	c->from.family = 4;
	c->from.b[0] = 10;
	c->from.b[1] = 9;
	c->from.b[3] = (uint8_t)(number + 1);
	if (!s->host->is_up)
		return link_connect(s, lc, eo, user, ECONNREFUSED, true, NULL,
		    NULL);
	return link_connect(s, lc, eo, user, 0, true, on_accept, c);
}

/* ---- commits ----------------------------------------------------------------------------- */

void
inbound_committed(struct host *h, struct parcel *p)
{
	struct in_session *s = pool_get(&h->in_sessions, p->session);
	struct sim *w = h->s;

	h->waiting--;
	h->answers_seen++;
	if (!s) { /* the doors have been closed meanwhile */
		parcel_give(h, p);
		return;
	}
	ASSERT(s->is_committing);
	s->is_committing = false;
	if (!p->commit.err)
		led_said_250(w->ledger, &p->commit.id,
		    sim_disk_keeps(&h->disk, &p->commit.ref));
	intake_committed(&s->intake, p, w->now_us, sim_wall(w));
	parcel_give(h, p);
	if (s->is_dead) {
		session_end(s);
		return;
	}
	if (h->is_stopping) /* that was its last: 421 */
		intake_feed(&s->intake, slice_of("", 0), w->now_us,
		    sim_wall(w));
	s->intake.is_closing |= s->is_last;
	session_flush(s);
	if ((s = pool_get(&h->in_sessions, s->self)) && s->end)
		end_resume(s->end);
}

static void
inbound_flush(struct host *h)
{
	if (!h->commits.head)
		return;
	if (h->ncommits == 1 && h->waiting == 1 && h->in_events <= 1) {
		struct parcel *one =
		    container_of(h->commits.head, struct parcel, post);

		posts_shift(&h->commits);
		h->ncommits = 0;
		if (spooler_try_inline(h, one))
			return;
		posts_push(&h->commits, &one->post);
	}
	h->ncommits = 0;
	spooler_post(h, &h->commits, true);
}

void
inbound_turn(void *arg)
{
	struct host *h = arg;
	struct post *p;

	while ((p = posts_shift(&h->in.box)))
		inbound_committed(h, container_of(p, struct parcel, post));
	inbound_flush(h);
	h->in_events = 0;
	if (h->disk.is_dead) {
		host_crash(h->s);
		return;
	}
	book_flush(h, BOOK_IN);
	actor_at(&h->in, book_deadline(h, BOOK_IN));
}

void
inbound_stop(struct host *h)
{
	LIST_FOREACH_SAFE(n, tmp, &h->in_list) {
		struct in_session *s = container_of(n, struct in_session, link);

		if (s->is_dead)
			continue;
		smtp_srv_shut(&s->intake.srv, SL("Shutting down"), true);
		intake_feed(&s->intake, slice_of("", 0), h->s->now_us,
		    sim_wall(h->s));
		session_flush(s);
	}
}

void
inbound_close(struct host *h)
{
	LIST_FOREACH_SAFE(n, tmp, &h->in_list) {
		struct in_session *s = container_of(n, struct in_session, link);

		s->is_committing = false;
		session_end(s);
	}
}

void
inbound_crash(struct host *h)
{
	LIST_FOREACH_SAFE(n, tmp, &h->in_list) {
		struct in_session *s = container_of(n, struct in_session, link);

		if (s->end) {
			if (rng_below(dice(h->s, DICE_HOST), 2))
				end_reset(s->end);
			else
				end_vanish(s->end);
			s->end = NULL;
		}
		s->is_committing = false;
		session_end(s);
	}
}

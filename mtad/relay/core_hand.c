/*
 * relay/core_hand.c - messages that another node takes over: share/doc/drain.md.
 *
 * That a message is the other's stands in the state of its first open recipient:
 * final, class HANDED, and owed, with the other's identity as its words. So it
 * lives on in the spool until the other goes on with it; then its recipients
 * become final one by one, that one last.
 */
#include "relay/core_i.h"

#define MOVING_MAX (1u << 24)
#define AGAIN_US US_PER_S

void
core_moving_init(struct core *c, uint64_t seed)
{
	struct core_moves *v = &c->moving;

	pool_init(&v->handed, sizeof(struct core_handed), MOVING_MAX);
	pool_init(&v->trusted, sizeof(struct core_trusted), MOVING_MAX);
	map_init(&v->handed_by_id, seed, MOVING_MAX);
	map_init(&v->trusted_by_id, seed + 1, MOVING_MAX);
	list_init(&v->fresh);
	list_init(&v->settling);
	v->batch = 1;
}

void
core_moving_free(struct core *c)
{
	struct core_moves *v = &c->moving;

	for (uint32_t i = 1; i < v->handed.next_new; i++)
		if (pool_is_live(&v->handed, i))
			mem_free(((struct core_handed *)pool_at(&v->handed, i))
				     ->states);
	for (uint32_t i = 1; i < v->trusted.next_new; i++)
		if (pool_is_live(&v->trusted, i))
			mem_free(
			    ((struct core_trusted *)pool_at(&v->trusted, i))
				->states);
	pool_free(&v->handed);
	pool_free(&v->trusted);
	map_free(&v->handed_by_id);
	map_free(&v->trusted_by_id);
}

/* ---- what is decided becomes durable ---------------------------------------- */

static void
tell_handed(struct core *c)
{
	struct core_moves *v = &c->moving;

	LIST_FOREACH_SAFE(n, tmp, &v->fresh) {
		struct core_handed *h =
		    container_of(n, struct core_handed, link);

		if (h->batch > v->batch_sent)
			return;
		list_remove(&h->link);
		list_init(&h->link);
		h->batch = 0;
		if (v->hooks.handed)
			v->hooks.handed(v->hooks.out_ctx, &h->id, &h->to);
	}
}

static void
tell_settled(struct core *c)
{
	struct core_moves *v = &c->moving;

	LIST_FOREACH_SAFE(n, tmp, &v->settling) {
		struct core_trusted *t =
		    container_of(n, struct core_trusted, link);
		struct drain_id from = t->from;
		struct msgid id = t->id;
		bool is_release = t->trust == TRUST_RELEASED;

		if (t->batch > v->batch_sent)
			return;
		core_trust_settled(c, t);
		if (v->hooks.settled)
			v->hooks.settled(v->hooks.in_ctx, &id, &from,
			    is_release);
	}
}

static void
flushed(void *ctx, struct parcel *p)
{
	struct core *c = ctx;
	struct core_moves *v = &c->moving;

	v->is_waiting = false;
	if (p->commit.err) {
		v->again_us = c->now_us + AGAIN_US;
		return;
	}
	tell_handed(c);
	tell_settled(c);
	core_moving_flush(c);
}

void
core_moving_flush(struct core *c)
{
	struct core_moves *v = &c->moving;
	struct parcel *p;

	if (v->is_waiting || c->now_us < v->again_us ||
	    (list_is_empty(&v->fresh) && list_is_empty(&v->settling)))
		return;
	p = c->ops->parcel_take(c->ctx);
	if (!p) {
		v->again_us = c->now_us + AGAIN_US;
		return;
	}
	v->is_waiting = true;
	v->batch_sent = v->batch++;
	p->session = HANDLE_NONE;
	p->done = flushed;
	p->done_ctx = c;
	p->commit = (struct spool_commit){ .uses_reserve = true };
	c->ops->commit(c->ctx, p);
}

/* ---- offers ------------------------------------------------------------------ */

static bool
can_offer(struct core *c, const struct core_msg *m)
{
	return m && !m->is_offered && !m->is_aside && !m->is_dropped &&
	    m->reading == 0 && !core_is_handed(c, m) &&
	    !map_get(&c->moving.handed_by_id, msgid_hash(&m->id));
}

/* The states of all its recipients: those that the engine has forgotten are
 * final. False: not now, or no memory. */
static bool
put_states(struct core *c, uint32_t msg, uint32_t nrcpt, struct buf *out)
{
	struct eng_rest *v = mem_try(nrcpt * sizeof(*v));
	struct drain_rcpt *all = mem_try(nrcpt * sizeof(*all));
	uint32_t n = v && all ? eng_message_rest(c->eng, msg, v, nrcpt) : 0;
	size_t before = out->n;

	for (uint32_t i = 0; n && i < nrcpt; i++)
		all[i] = (struct drain_rcpt){ .is_final = true };
	for (uint32_t k = 0; k < n; k++)
		all[v[k].rcpt] = (struct drain_rcpt){ .outcome = v[k].last,
			.attempts = v[k].attempts,
			.is_told = v[k].is_told,
			.due_us = MAX(core_wall(c, v[k].due_us), 0) };
	for (uint32_t i = 0; n && i < nrcpt; i++)
		if (drain_rcpt_encode(out, &all[i]))
			n = 0;
	mem_free(v);
	mem_free(all);
	if (!n) {
		buf_cut(out, before);
		out->failed = false;
	}
	return n;
}

bool
core_offer_next(struct core *c, uint32_t *at, uint32_t looks,
    struct core_offer *o, struct buf *states)
{
	uint32_t i = MAX(*at, 1u);

	for (; i < c->msgs_end && looks > 0; i++, looks--) {
		struct core_msg *m = core_msg(c, i);

		if (!can_offer(c, m) || !put_states(c, i, m->nrcpt, states))
			continue;
		m->is_offered = 1;
		*o = (struct core_offer){ i, m->nrcpt, m->id, m->ref };
		*at = i + 1;
		return true;
	}
	*at = i < c->msgs_end ? i : 0;
	return false;
}

static struct core_msg *
offered(const struct core *c, uint32_t msg, const struct msgid *id)
{
	struct core_msg *m = core_msg(c, msg);

	return m && msgid_eq(&m->id, id) && m->is_offered ? m : NULL;
}

void
core_offer_end(struct core *c, uint32_t msg, const struct msgid *id)
{
	struct core_msg *m = offered(c, msg, id);

	if (m)
		m->is_offered = 0;
}

/* ---- handed over ------------------------------------------------------------- */

struct core_handed *
core_handed(struct core *c, const struct msgid *id)
{
	uint32_t i = map_get(&c->moving.handed_by_id, msgid_hash(id));
	struct core_handed *h = i ? pool_at(&c->moving.handed, i) : NULL;

	return h && msgid_eq(&h->id, id) ? h : NULL;
}

bool
core_is_handed(const struct core *c, const struct core_msg *m)
{
	uint32_t i;

	if (c->moving.handed.live == 0)
		return false;
	i = map_get(&c->moving.handed_by_id, msgid_hash(&m->id));
	return i &&
	    msgid_eq(&((struct core_handed *)pool_at(&c->moving.handed, i))->id,
		&m->id);
}

static struct core_handed *
handed_new(struct core *c, const struct msgid *id, uint32_t msg, uint32_t nrcpt,
    const struct drain_id *to)
{
	struct core_moves *v = &c->moving;
	struct core_handed *x;
	struct handle h;

	x = pool_take(&v->handed, &h);
	if (!x)
		return NULL;
	x->states = mem_try(nrcpt * sizeof(*x->states));
	if (!x->states || map_get(&v->handed_by_id, msgid_hash(id)) ||
	    map_put(&v->handed_by_id, msgid_hash(id), h.index)) {
		mem_free(x->states);
		pool_give(&v->handed, h.index);
		return NULL;
	}
	list_init(&x->link);
	x->id = *id;
	x->msg = msg;
	x->to = *to;
	return x;
}

static void
handed_forget(struct core *c, struct core_handed *h)
{
	uint32_t i = map_del(&c->moving.handed_by_id, msgid_hash(&h->id));

	list_remove(&h->link);
	mem_free(h->states);
	pool_give(&c->moving.handed, i);
}

void
core_book_moving(struct core *c, enum book_kind kind,
    const struct envelope *env, struct cursor rcpts,
    const struct spool_rcpt *states, const struct endpoint *peer,
    const struct drain_id *node)
{
	struct buf *book = c->ops->book(c->ctx);
	char id[DRAIN_ID_TEXT_MAX];
	struct book_entry e;
	struct env_rcpt r;

	drain_id_format(id, node);
	book_entry_init(&e, kind);
	e.at_start = c->is_starting;
	e.wall_us = c->wall_us;
	e.id = env->id;
	e.has_id = e.has_sender = true;
	e.sender = env->sender;
	e.size = env->body_bytes;
	e.nrcpt = env->nrcpt;
	e.is_dsn = env->flags & ENV_DSN;
	e.queued_us = MAX(c->wall_us - env->arrival_us, 0);
	e.has_peer = peer != NULL;
	if (peer)
		e.peer = *peer;
	e.text = slice_str(id);
	for (e.rcpt = 0; env_rcpt_next(&rcpts, &r); e.rcpt++) {
		struct steer s = { .tenant = env->tenant,
			.campaign = env->campaign,
			.pool = env->pool };

		if (states[e.rcpt].is_final)
			continue;
		steer_by_route(c->conf, mailbox_domain(r.address), &s);
		e.recipient = r.address;
		e.tenant = s.tenant;
		e.campaign = s.campaign;
		e.pool = s.pool;
		if (!book || book_write(book, &e))
			c->books_dropped++;
	}
}

/* Says in the books whose it is now. False: its envelope cannot be read. */
static bool
book_handed(struct core *c, const struct core_msg *m,
    const struct core_handed *h, enum book_kind kind,
    const struct endpoint *peer)
{
	struct envelope env;
	struct cursor rcpts;
	char *record = NULL;
	bool ok = core_read_envelope(c, m, &env, &rcpts, &record) == 0 &&
	    env.nrcpt == m->nrcpt;

	if (ok)
		core_book_moving(c, kind, &env, rcpts, h->states, peer, &h->to);
	mem_free(record);
	return ok;
}

/* What there is left to do, so that it can be taken up again. */
static void
keep_states(struct core *c, struct core_handed *h, uint32_t nrcpt,
    const struct eng_rest *rest, uint32_t n)
{
	for (uint32_t i = 0; i < nrcpt; i++)
		h->states[i].is_final = true;
	for (uint32_t k = 0; k < n; k++)
		h->states[rest[k].rcpt] =
		    (struct spool_rcpt){ .outcome = rest[k].last,
			    .attempts = rest[k].attempts,
			    .is_told = rest[k].is_told,
			    .due_us = MAX(core_wall(c, rest[k].due_us), 0) };
}

static uint16_t
first_open(const struct spool_rcpt *states, uint32_t nrcpt)
{
	uint32_t i = 0;

	while (i + 1 < nrcpt && states[i].is_final)
		i++;
	return (uint16_t)i;
}

/* Out of the engine; the place in the table stays, for core_is_handed. */
static void
leave_engine(struct core *c, uint32_t msg)
{
	struct eng_event ev = { .kind = EV_DAMAGED };

	ev.damaged.msg = msg;
	core_step(c, &ev);
}

static void
write_handed(struct core *c, const struct core_msg *m,
    const struct core_handed *h)
{
	uint16_t first = first_open(h->states, m->nrcpt);
	char text[DRAIN_ID_TEXT_MAX];
	struct spool_rcpt r = h->states[first];

	drain_id_format(text, &h->to);
	r.is_final = r.is_owed = true;
	r.outcome.klass = OUTCOME_HANDED;
	r.text = slice_str(text);
	c->ops->outcome(c->ctx, core_slot(h->msg, m), first, &r);
}

bool
core_hand_over(struct core *c, uint32_t msg, const struct msgid *id,
    const struct drain_id *to, const struct endpoint *peer)
{
	struct core_msg *m = offered(c, msg, id);
	struct core_handed *h = NULL;
	struct eng_rest *rest;
	uint32_t n = 0;

	if (!m || m->reading)
		return false;
	m->is_offered = 0;
	rest = mem_try(m->nrcpt * sizeof(*rest));
	if (rest)
		n = eng_message_rest(c->eng, msg, rest, m->nrcpt);
	if (n)
		h = handed_new(c, id, msg, m->nrcpt, to);
	if (h)
		keep_states(c, h, m->nrcpt, rest, n);
	if (h && !book_handed(c, m, h, BOOK_HANDED_OVER, peer)) {
		handed_forget(c, h);
		h = NULL;
	}
	if (h) {
		h->batch = c->moving.batch;
		list_push_tail(&c->moving.fresh, &h->link);
		write_handed(c, m, h);
		leave_engine(c, msg);
	}
	mem_free(rest);
	return h != NULL;
}

/* From the last to the first: the one that says whose it is must not be final
 * before the others are. */
void
core_handed_end(struct core *c, struct core_handed *h)
{
	struct core_msg *m = core_msg(c, h->msg);
	struct handle slot = core_slot(h->msg, m);
	struct spool_rcpt r = { .is_final = true };

	r.outcome.klass = OUTCOME_HANDED;
	r.outcome.stage = STAGE_LOCAL;
	for (uint16_t i = m->nrcpt; i-- > 0;)
		c->ops->outcome(c->ctx, slot, i, &r);
	core_msg_end(c, h->msg, m);
	handed_forget(c, h);
}

/* The slot is the spool's all the time; only our place for it is made anew, as a
 * start would. */
static bool
reclaim(struct core *c, struct core_handed *h)
{
	struct core_msg *m = core_msg(c, h->msg), copy = *m;
	struct spool_found f = { .slot = core_slot(h->msg, m),
		.ref = m->ref,
		.id = h->id,
		.rcpts = h->states,
		.nrcpt = m->nrcpt };
	uint16_t first = first_open(h->states, m->nrcpt);
	struct envelope env;
	struct cursor rcpts;
	char *record = NULL;
	bool ok = !m->is_aside && m->reading == 0 &&
	    core_read_envelope(c, m, &env, &rcpts, &record) == 0 &&
	    env.nrcpt == m->nrcpt;

	if (ok) {
		core_book_moving(c, BOOK_TAKEN_OVER, &env, rcpts, h->states,
		    NULL, &h->to);
		c->ops->outcome(c->ctx, f.slot, first, &h->states[first]);
		f.envelope = slice_of(record, copy.ref.env_bytes);
		gate_give(&c->gate->rcpts_free, copy.nrcpt);
		core_msg_free(c, h->msg);
		map_del(&c->moving.handed_by_id, msgid_hash(&h->id));
		core_restore(c, &f);
	}
	mem_free(record);
	return ok;
}

uint32_t
core_reclaim(struct core *c)
{
	struct core_moves *v = &c->moving;
	uint32_t n = 0;

	for (uint32_t i = 1; i < v->handed.next_new; i++) {
		struct core_handed *h;

		if (!pool_is_live(&v->handed, i))
			continue;
		h = pool_at(&v->handed, i);
		if (!reclaim(c, h))
			continue;
		list_remove(&h->link);
		mem_free(h->states);
		pool_give(&v->handed, i);
		n++;
	}
	return n;
}

/* ---- at a start -------------------------------------------------------------- */

static void
restore_handed(struct core *c, const struct spool_found *f,
    const struct drain_id *to)
{
	struct core_msg *m = core_msg_new(c, f->slot);
	struct core_handed *h =
	    m ? handed_new(c, &f->id, f->slot.index, f->nrcpt, to) : NULL;

	if (!h) {
		log_event(LOG_ERROR, "drain", "what",
		    "no memory for a message that was handed over", NULL);
		return;
	}
	m->id = f->id;
	m->ref = f->ref;
	m->nrcpt = (uint16_t)f->nrcpt;
	for (uint32_t i = 0; i < f->nrcpt; i++) {
		struct spool_rcpt *r = &h->states[i];

		*r = f->rcpts[i];
		r->text = r->mta = slice_of("", 0);
		if (r->outcome.klass != OUTCOME_HANDED || !r->is_owed)
			continue;
		/* The one that says whose it is: what it was before. */
		r->is_final = r->is_owed = false;
		r->outcome.klass =
		    r->attempts != 0 ? OUTCOME_TRANSIENT : OUTCOME_NONE;
	}
	atomic_fetch_sub(&c->gate->rcpts_free, (int64_t)f->nrcpt);
}

static void
restore_trusted(struct core *c, const struct spool_found *f,
    const struct drain_id *from)
{
	struct core_trusted *t = core_trust_add(c, &f->id, from, f->nrcpt);

	if (!t) {
		log_event(LOG_ERROR, "drain", "what",
		    "no memory for a message in trust", NULL);
		return;
	}
	core_trust_keep(t, f->slot, &f->ref);
	for (uint32_t i = 0; i < f->nrcpt; i++) {
		t->states[i] = f->rcpts[i];
		t->states[i].is_owed = false;
		t->states[i].text = t->states[i].mta = slice_of("", 0);
	}
	atomic_fetch_sub(&c->gate->rcpts_free, (int64_t)f->nrcpt);
}

bool
core_restore_moving(struct core *c, const struct spool_found *f)
{
	struct drain_id node = { { 0 } };

	for (uint32_t i = 0; i < f->nrcpt; i++) {
		const struct spool_rcpt *r = &f->rcpts[i];
		bool is_handed =
		    r->is_final && r->outcome.klass == OUTCOME_HANDED;

		if (!r->is_owed || (r->is_final && !is_handed))
			continue;
		if (drain_id_parse(r->text, &node))
			log_event(LOG_ERROR, "drain", "what",
			    "a message of an unknown node", NULL);
		if (is_handed)
			restore_handed(c, f, &node);
		else
			restore_trusted(c, f, &node);
		return true;
	}
	return false;
}

/* ---- identities --------------------------------------------------------------- */

void
drain_id_format(char dst[DRAIN_ID_TEXT_MAX], const struct drain_id *id)
{
	static const char digits[] = "0123456789abcdef";

	for (uint32_t i = 0; i < DRAIN_ID_BYTES; i++) {
		dst[2 * i] = digits[id->b[i] >> 4];
		dst[2 * i + 1] = digits[id->b[i] & 15];
	}
	dst[2 * DRAIN_ID_BYTES] = '\0';
}

static int
digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int
drain_id_parse(struct slice text, struct drain_id *out)
{
	if (text.n != 2 * (size_t)DRAIN_ID_BYTES)
		return E_SYNTAX;
	for (uint32_t i = 0; i < DRAIN_ID_BYTES; i++) {
		int hi = digit(text.p[2 * i]), lo = digit(text.p[2 * i + 1]);

		if (hi < 0 || lo < 0)
			return E_SYNTAX;
		out->b[i] = (uint8_t)(hi << 4 | lo);
	}
	return 0;
}

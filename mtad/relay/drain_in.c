/*
 * relay/drain_in.c - the target: commits in trust what it is offered, and makes
 * it its own, or drops it, when the source says so.
 *
 * Of one source the newest conversation counts. It hears what is in trust of it
 * when all that older ones have brought is committed.
 */
#include "relay/core_i.h"

#define SESSIONS_MAX 64u
#define ENTRY_BYTES 64u /* about what a recipient takes beside its envelope */

/* A message that comes in: all of it in one piece of memory, which the parcel
 * owns. */
struct arrival {
	struct parcel *parcel; /* NULL: it is refused */
	struct drain_offer offer;
	char *bytes;
	size_t n;
	uint32_t rcpts_taken; /* of the gate */
};

struct session {
	struct handle self;
	struct drain talk;
	struct endpoint peer;
	bool is_up, is_listed; /* proved; told what is in trust */
	struct arrival in;
};

struct drain_in {
	struct core *core;
	struct gate *gate;
	struct drain_id self;
	const struct drain_ops *ops;
	void *ctx;
	struct pool sessions;
	int64_t now_us;
};

static void settled(void *ctx, const struct msgid *id,
    const struct drain_id *from, bool is_release);

struct drain_in *
drain_in_new(struct core *c, struct gate *gate, const struct drain_id *self,
    const struct drain_ops *ops, void *ctx)
{
	struct drain_in *in = mem_get(sizeof(*in));

	in->core = c;
	in->gate = gate;
	in->self = *self;
	in->ops = ops;
	in->ctx = ctx;
	pool_init(&in->sessions, sizeof(struct session), SESSIONS_MAX);
	c->moving.hooks.settled = settled;
	c->moving.hooks.in_ctx = in;
	return in;
}

void
drain_in_free(struct drain_in *in)
{
	if (!in)
		return;
	for (uint32_t i = 1; i < in->sessions.next_new; i++)
		if (pool_is_live(&in->sessions, i))
			drain_in_gone(in, pool_handle(&in->sessions, i));
	pool_free(&in->sessions);
	in->core->moving.hooks.settled = NULL;
	mem_free(in);
}

struct handle
drain_in_begin(struct drain_in *in, const struct drain_talk *t, int64_t now_us)
{
	struct drain_conf conf = { .role = DRAIN_TARGET,
		.self = in->self,
		.has_binding = t->has_binding,
		.mac = in->ops->mac,
		.ctx = in->ctx };
	struct session *s;
	struct handle h;

	s = pool_take(&in->sessions, &h);
	if (!s)
		return HANDLE_NONE;
	memcpy(conf.nonce, t->nonce, sizeof(conf.nonce));
	memcpy(conf.binding, t->binding, sizeof(conf.binding));
	s->self = h;
	s->peer = t->peer;
	drain_init(&s->talk, &conf, now_us);
	return h;
}

/* ---- a message comes in -------------------------------------------------------- */

static void
arrival_drop(struct drain_in *in, struct arrival *a)
{
	if (a->parcel)
		in->core->ops->parcel_give(in->core->ctx, a->parcel);
	gate_give(&in->gate->rcpts_free, a->rcpts_taken);
	*a = (struct arrival){ 0 };
}

static void
refuse(struct drain_in *in, struct session *s, const struct msgid *id,
    enum drain_refusal why, const char *text)
{
	arrival_drop(in, &s->in);
	drain_say_refused(&s->talk, id, why, text);
}

/* All the memory that it takes: its bytes, and its states decoded. */
static size_t
arrival_bytes(const struct drain_offer *o)
{
	return (size_t)drain_offer_bytes(o) + 16 +
	    o->nrcpt * sizeof(struct spool_rcpt);
}

static void
on_offer(struct drain_in *in, struct session *s, const struct drain_event *e)
{
	struct arrival *a = &s->in;
	size_t n = arrival_bytes(&e->offer);

	arrival_drop(in, a);
	if (core_trusted(in->core, &e->msg)) {
		refuse(in, s, &e->msg, DRAIN_BUSY, "it is in trust already");
		return;
	}
	if (!in->ops->has_room(in->ctx,
		drain_offer_bytes(&e->offer) + ENTRY_BYTES * e->offer.nrcpt)) {
		refuse(in, s, &e->msg, DRAIN_FULL, "no room in the spool");
		return;
	}
	if (!gate_take(&in->gate->rcpts_free, e->offer.nrcpt)) {
		refuse(in, s, &e->msg, DRAIN_FULL, "the queue is full");
		return;
	}
	a->rcpts_taken = e->offer.nrcpt;
	if (!gate_take(&in->gate->staging_free, (int64_t)n)) {
		refuse(in, s, &e->msg, DRAIN_BUSY,
		    "no memory for messages that come in");
		return;
	}
	a->parcel = in->core->ops->parcel_take(in->core->ctx);
	if (a->parcel)
		a->parcel->notes = a->bytes = mem_try(n);
	if (!a->bytes) {
		gate_give(&in->gate->staging_free, (int64_t)n);
		refuse(in, s, &e->msg, DRAIN_BUSY, "out of memory");
		return;
	}
	a->parcel->staged = n;
	a->offer = e->offer;
}

static void
on_data(struct session *s, struct slice data)
{
	struct arrival *a = &s->in;

	if (!a->parcel)
		return;
	ASSERT(a->n + data.n <= drain_offer_bytes(&a->offer));
	memcpy(a->bytes + a->n, data.p, data.n);
	a->n += data.n;
}

/* Decodes what came, in place. False: it is not what we can read. */
static bool
arrival_read(const struct arrival *a, const struct msgid *id,
    struct spool_rcpt *states, struct envelope *env)
{
	size_t nstates = a->offer.nrcpt * (size_t)DRAIN_STATE_BYTES;
	struct cursor c = cursor_of(slice_of(a->bytes, nstates)), rcpts;
	struct drain_rcpt r;
	uint32_t nopen = 0;

	for (uint32_t i = 0; i < a->offer.nrcpt; i++) {
		if (!drain_rcpt_decode(&c, &r))
			return false;
		states[i] = (struct spool_rcpt){ .outcome = r.outcome,
			.attempts = r.attempts,
			.is_final = r.is_final,
			.is_told = r.is_told,
			.due_us = r.due_us };
		nopen += !r.is_final;
	}
	return nopen > 0 &&
	    env_decode(slice_of(a->bytes + nstates, a->offer.env_bytes), env,
		&rcpts) == 0 &&
	    msgid_eq(&env->id, id) && env->nrcpt == a->offer.nrcpt &&
	    env->body_bytes == a->offer.body_bytes;
}

static struct session *
session_of(const struct drain_in *in, const struct drain_id *peer)
{
	struct session *best = NULL;

	for (uint32_t i = 1; i < in->sessions.next_new; i++) {
		struct session *s = pool_is_live(&in->sessions, i) ?
		    pool_at(&in->sessions, i) :
		    NULL;

		if (s && s->is_up && s->talk.state != DRAIN_DOWN &&
		    memcmp(&s->talk.peer, peer, sizeof(*peer)) == 0)
			best = s;
	}
	return best;
}

static void list_trust(struct drain_in *in);

static void
committed(void *ctx, struct parcel *p)
{
	struct drain_in *in = ctx;
	struct core_trusted *t = core_trusted(in->core, &p->id);
	struct session *s = pool_get(&in->sessions, p->session);

	ASSERT(t && t->trust == TRUST_COMMITTING);
	if (s && s->talk.state == DRAIN_DOWN)
		s = NULL;
	if (p->commit.err) {
		gate_give(&in->gate->rcpts_free, t->nrcpt);
		core_trust_forget(in->core, t);
		if (s)
			drain_say_refused(&s->talk, &p->id,
			    p->commit.err == E_TOOBIG ? DRAIN_TOO_BIG :
							DRAIN_FULL,
			    err_text(p->commit.err));
	} else {
		core_trust_keep(t, p->commit.slot, &p->commit.ref);
		if (s)
			drain_say_taken(&s->talk, &p->id);
	}
	list_trust(in);
}

static void
commit(struct drain_in *in, struct session *s, struct core_trusted *t,
    struct spool_rcpt *states)
{
	struct arrival *a = &s->in;
	struct parcel *p = a->parcel;
	size_t at = a->offer.nrcpt * (size_t)DRAIN_STATE_BYTES;
	struct spool_rcpt *place;

	memcpy(t->states, states, t->nrcpt * sizeof(*states));
	place = &states[core_trust_place(t)];
	/* Whose it is, in words that live as long as the parcel does: the states
	 * that came are read and not needed. */
	drain_id_format(p->words, &t->from);
	place->is_owed = true;
	place->text = slice_str(p->words);
	p->id = t->id;
	p->session = s->self;
	p->done = committed;
	p->done_ctx = in;
	p->pieces[0] =
	    slice_of(a->bytes + at + a->offer.env_bytes, a->offer.body_bytes);
	p->commit = (struct spool_commit){ .id = t->id,
		.nrcpt = t->nrcpt,
		.envelope = slice_of(a->bytes + at, a->offer.env_bytes),
		.body = p->pieces,
		.nbody = 1,
		.states = states };
	*a = (struct arrival){ 0 };
	in->core->ops->commit(in->core->ctx, p);
}

static void
on_end(struct drain_in *in, struct session *s, const struct drain_event *e)
{
	struct arrival *a = &s->in;
	struct spool_rcpt *states;
	struct core_trusted *t;
	struct envelope env;
	size_t at;

	if (!a->parcel)
		return; /* it was refused */
	if (!e->is_good) {
		arrival_drop(in, a);
		return;
	}
	at = ((size_t)drain_offer_bytes(&a->offer) + 15) & ~(size_t)15;
	states = (struct spool_rcpt *)(void *)(a->bytes + at);
	if (!arrival_read(a, &e->msg, states, &env)) {
		refuse(in, s, &e->msg, DRAIN_UNREADABLE,
		    "its envelope is of a form not known here");
		return;
	}
	t = core_trust_add(in->core, &e->msg, &s->talk.peer, a->offer.nrcpt);
	if (!t) {
		refuse(in, s, &e->msg, DRAIN_BUSY, "out of memory");
		return;
	}
	commit(in, s, t, states);
}

/* ---- trust ----------------------------------------------------------------------- */

static bool
is_of(const struct core_trusted *t, const struct drain_id *from)
{
	return memcmp(&t->from, from, sizeof(*from)) == 0;
}

/* Tells who has just come what is in trust of him. */
static void
list_for(struct drain_in *in, struct session *s)
{
	struct pool *p = &in->core->moving.trusted;

	for (uint32_t i = 1; i < p->next_new; i++) {
		struct core_trusted *t =
		    pool_is_live(p, i) ? pool_at(p, i) : NULL;

		if (t && t->trust == TRUST_HELD && is_of(t, &s->talk.peer))
			drain_say_have(&s->talk, &t->id);
	}
	drain_say_have_end(&s->talk);
	s->is_listed = true;
}

/* Is something of that source still being committed? */
static bool
is_arriving(const struct drain_in *in, const struct drain_id *from)
{
	const struct pool *p = &in->core->moving.trusted;

	for (uint32_t i = 1; i < p->next_new; i++) {
		const struct core_trusted *t =
		    pool_is_live(p, i) ? pool_at(p, i) : NULL;

		if (t && t->trust == TRUST_COMMITTING && is_of(t, from))
			return true;
	}
	return false;
}

static void
list_trust(struct drain_in *in)
{
	for (uint32_t i = 1; i < in->sessions.next_new; i++) {
		struct session *s = pool_is_live(&in->sessions, i) ?
		    pool_at(&in->sessions, i) :
		    NULL;

		if (s && s->is_up && !s->is_listed &&
		    !is_arriving(in, &s->talk.peer))
			list_for(in, s);
	}
}

static void
on_up(struct drain_in *in, struct session *s)
{
	struct session *old = session_of(in, &s->talk.peer);

	if (old) {
		drain_give_up(&old->talk, "another conversation has begun");
		arrival_drop(in, &old->in);
	}
	s->is_up = true;
	list_trust(in);
}

static void
settled(void *ctx, const struct msgid *id, const struct drain_id *from,
    bool is_release)
{
	struct drain_in *in = ctx;
	struct session *s = session_of(in, from);

	if (!s)
		return;
	if (is_release)
		drain_say_released(&s->talk, id);
	else
		drain_say_discarded(&s->talk, id);
}

static void
on_release(struct drain_in *in, struct session *s, const struct msgid *id)
{
	struct core_trusted *t = core_trusted(in->core, id);

	if (!t || !is_of(t, &s->talk.peer))
		drain_say_released(&s->talk, id); /* done before */
	else if (t->trust == TRUST_COMMITTING || t->trust == TRUST_DISCARDED)
		drain_give_up(&s->talk, "released what was not taken");
	else if (!core_trust_release(in->core, t))
		log_event(LOG_ERROR, "drain", "what",
		    "a message in trust cannot be read", "effect",
		    "the source keeps it, too", NULL);
}

static void
on_discard(struct drain_in *in, struct session *s, const struct msgid *id)
{
	struct core_trusted *t = core_trusted(in->core, id);

	if (!t || !is_of(t, &s->talk.peer))
		drain_say_discarded(&s->talk, id);
	else if (t->trust == TRUST_COMMITTING || t->trust == TRUST_RELEASED)
		drain_give_up(&s->talk, "discarded what was not taken");
	else
		core_trust_discard(in->core, t);
}

static void
handle(struct drain_in *in, struct session *s, const struct drain_event *e)
{
	switch (e->kind) {
	case DRAIN_EV_UP:
		on_up(in, s);
		return;
	case DRAIN_EV_OFFER:
		on_offer(in, s, e);
		return;
	case DRAIN_EV_DATA:
		on_data(s, e->data);
		return;
	case DRAIN_EV_END:
		on_end(in, s, e);
		return;
	case DRAIN_EV_RELEASE:
		on_release(in, s, &e->msg);
		return;
	case DRAIN_EV_DISCARD:
		on_discard(in, s, &e->msg);
		return;
	case DRAIN_EV_DOWN:
		arrival_drop(in, &s->in);
		return;
	default:
		return;
	}
}

void
drain_in_feed(struct drain_in *in, struct handle h, struct slice data,
    int64_t now_us)
{
	struct session *s = pool_get(&in->sessions, h);
	struct drain_event e;

	ASSERT(s);
	in->now_us = now_us;
	drain_feed(&s->talk, data, now_us);
	while (drain_next(&s->talk, &e))
		handle(in, s, &e);
	core_moving_flush(in->core);
}

struct buf *
drain_in_buf(struct drain_in *in, struct handle h)
{
	struct session *s = pool_get(&in->sessions, h);

	ASSERT(s);
	return &s->talk.out;
}

const char *
drain_in_down(const struct drain_in *in, struct handle h)
{
	const struct session *s = pool_get(&in->sessions, h);

	ASSERT(s);
	return s->talk.state == DRAIN_DOWN ? s->talk.why : NULL;
}

void
drain_in_gone(struct drain_in *in, struct handle h)
{
	struct session *s = pool_get(&in->sessions, h);

	if (!s)
		return;
	arrival_drop(in, &s->in);
	drain_free(&s->talk);
	pool_give(&in->sessions, h.index);
}

int64_t
drain_in_deadline(const struct drain_in *in)
{
	const struct core_moves *v = &in->core->moving;
	int64_t at = TIME_NEVER;

	for (uint32_t i = 1; i < in->sessions.next_new; i++)
		if (pool_is_live(&in->sessions, i))
			at = MIN(at,
			    drain_deadline(
				&((struct session *)pool_at(&in->sessions, i))
				     ->talk));
	if (!list_is_empty(&v->settling) && !v->is_waiting)
		at = MIN(at, v->again_us);
	return at;
}

void
drain_in_tick(struct drain_in *in, int64_t now_us)
{
	struct drain_event e;

	in->now_us = now_us;
	for (uint32_t i = 1; i < in->sessions.next_new; i++) {
		struct session *s = pool_is_live(&in->sessions, i) ?
		    pool_at(&in->sessions, i) :
		    NULL;

		if (!s)
			continue;
		drain_tick(&s->talk, now_us);
		while (drain_next(&s->talk, &e))
			handle(in, s, &e);
	}
	core_moving_flush(in->core);
}

/* ---- for operators ------------------------------------------------------------ */

#define VIEW_MAX 100u

struct held {
	struct drain_id from;
	uint64_t n;
};

/* How many messages of each source; of VIEW_MAX sources at most. */
static uint32_t
count_held(const struct drain_in *in, struct held v[VIEW_MAX])
{
	const struct pool *p = &in->core->moving.trusted;
	uint32_t n = 0, k;

	for (uint32_t i = 1; i < p->next_new; i++) {
		const struct core_trusted *t =
		    pool_is_live(p, i) ? pool_at(p, i) : NULL;

		if (!t || t->trust != TRUST_HELD)
			continue;
		for (k = 0; k < n && !is_of(t, &v[k].from); k++)
			;
		if (k == n && n == VIEW_MAX)
			continue;
		if (k == n)
			v[n++] = (struct held){ .from = t->from };
		v[k].n++;
	}
	return n;
}

void
drain_in_view(const struct drain_in *in, struct jsonw *w)
{
	struct held v[VIEW_MAX];
	uint32_t n = count_held(in, v);
	char id[DRAIN_ID_TEXT_MAX];

	jw_key(w, "in_trust");
	jw_open(w, '[');
	for (uint32_t k = 0; k < n; k++) {
		drain_id_format(id, &v[k].from);
		jw_open(w, '{');
		jw_kstr(w, "from", slice_str(id));
		jw_ku64(w, "messages", v[k].n);
		jw_kbool(w, "connected", session_of(in, &v[k].from) != NULL);
		jw_close(w, '}');
	}
	jw_close(w, ']');
}

uint32_t
drain_in_adopt(struct drain_in *in, struct slice source)
{
	struct pool *p = &in->core->moving.trusted;
	struct drain_id from;
	uint32_t n = 0;

	if (drain_id_parse(source, &from))
		return 0;
	for (uint32_t i = 1; i < p->next_new; i++) {
		struct core_trusted *t =
		    pool_is_live(p, i) ? pool_at(p, i) : NULL;

		if (t && t->trust == TRUST_HELD && is_of(t, &from))
			n += core_trust_release(in->core, t);
	}
	core_moving_flush(in->core);
	return n;
}

/*
 * relay/drain_out.c - the source: offers what it has, and hands over what the
 * target has taken.
 *
 * What is offered and not answered stands in a row, in the order in which it was
 * offered, and answers come in nearly the same. Of what is handed over the core
 * keeps account, beyond conversations and crashes.
 */
#include "relay/core_i.h"

#define OFFERS_MAX 1024u
#define OFFERED_BYTES_MAX (8u << 20)
#define WAITING_MAX 4096u
#define OUT_BYTES_MAX (512u * 1024) /* said and not sent */
#define SMALL_MAX (256u * 1024)     /* larger ones are read in pieces */
#define PIECE_BYTES (64u * 1024)
#define LOOKS 16384u
/* Between two looks at all messages: when the last found some, none, or the
 * target turned some down. */
#define AGAIN_US (100 * US_PER_MS)
#define PASS_US US_PER_S
#define REFUSED_US (10 * US_PER_S)

struct offer {
	struct msgid id;
	uint32_t msg;
	uint32_t bytes; /* 0: answered */
};

struct drain_out {
	struct core *core;
	struct disk *disk;
	struct drain_id self;
	const struct drain_ops *ops;
	void *ctx;
	struct drain talk;
	struct endpoint peer;
	bool is_begun, does_offer;
	/* The row of offers: from head on, n of them. */
	struct offer offers[OFFERS_MAX];
	uint32_t head, n, nopen;
	uint64_t offered_bytes;
	/* A large one on its way. */
	struct core_offer large;
	bool is_reading;
	uint32_t read_at;
	struct spool_check check;
	/* Looks at all messages, one after the other. */
	uint32_t at;
	uint32_t found, turned_down; /* in this one */
	int64_t next_pass_us;
	uint32_t discarding; /* said and not answered */
	struct drain_stats stats;
	int64_t now_us;
};

static void handed(void *ctx, const struct msgid *id,
    const struct drain_id *to);

struct drain_out *
drain_out_new(struct core *c, struct disk *disk, const struct drain_id *self,
    const struct drain_ops *ops, void *ctx)
{
	struct drain_out *o = mem_get(sizeof(*o));

	o->core = c;
	o->disk = disk;
	o->self = *self;
	o->ops = ops;
	o->ctx = ctx;
	c->moving.hooks.handed = handed;
	c->moving.hooks.out_ctx = o;
	return o;
}

void
drain_out_identify(struct drain_out *o, const struct drain_id *self)
{
	o->self = *self;
}

void
drain_out_free(struct drain_out *o)
{
	if (!o)
		return;
	drain_out_gone(o, "");
	if (o->is_begun)
		drain_free(&o->talk);
	o->core->moving.hooks.handed = NULL;
	mem_free(o);
}

void
drain_out_set(struct drain_out *o, bool does_offer)
{
	o->does_offer = does_offer;
	o->next_pass_us = 0;
	o->stats.has_passed = false;
}

void
drain_out_begin(struct drain_out *o, const struct drain_talk *t, int64_t now_us)
{
	struct drain_conf conf = { .role = DRAIN_SOURCE,
		.self = o->self,
		.has_binding = t->has_binding,
		.mac = o->ops->mac,
		.ctx = o->ctx };

	memcpy(conf.nonce, t->nonce, sizeof(conf.nonce));
	memcpy(conf.binding, t->binding, sizeof(conf.binding));
	if (o->is_begun)
		drain_free(&o->talk);
	o->is_begun = true;
	o->peer = t->peer;
	o->now_us = now_us;
	o->at = o->found = o->turned_down = 0;
	o->next_pass_us = 0;
	o->discarding = 0;
	o->stats.has_passed = false;
	drain_init(&o->talk, &conf, now_us);
}

/* ---- the row of offers ------------------------------------------------------ */

static void
offer_push(struct drain_out *o, const struct core_offer *x, uint64_t bytes)
{
	ASSERT(o->n < OFFERS_MAX);
	o->offers[(o->head + o->n++) % OFFERS_MAX] =
	    (struct offer){ .id = x->id,
		    .msg = x->msg,
		    .bytes = (uint32_t)MIN(MAX(bytes, 1u), UINT32_MAX) };
	o->offered_bytes += MIN(MAX(bytes, 1u), UINT32_MAX);
	o->nopen++;
	o->stats.offered++;
	o->stats.bytes += bytes;
}

/* Takes one out: NULL, it is not there. Good until the next push. */
static struct offer *
offer_take(struct drain_out *o, const struct msgid *id)
{
	struct offer *found = NULL;

	for (uint32_t i = 0; i < o->n && !found; i++) {
		struct offer *x = &o->offers[(o->head + i) % OFFERS_MAX];

		if (x->bytes && msgid_eq(&x->id, id))
			found = x;
	}
	if (!found)
		return NULL;
	o->offered_bytes -= found->bytes;
	found->bytes = 0;
	o->nopen--;
	while (o->n && o->offers[o->head].bytes == 0) {
		o->head = (o->head + 1) % OFFERS_MAX;
		o->n--;
	}
	return found;
}

static void
reading_end(struct drain_out *o)
{
	if (!o->is_reading)
		return;
	o->is_reading = false;
	core_read_end(o->core, o->large.msg);
}

/* What was not answered is not known to be there: it stays ours, and at the next
 * conversation the target is told so. */
static void
offers_forget(struct drain_out *o)
{
	reading_end(o);
	while (o->n) {
		struct offer *x = &o->offers[o->head];

		if (x->bytes)
			core_offer_end(o->core, x->msg, &x->id);
		o->head = (o->head + 1) % OFFERS_MAX;
		o->n--;
	}
	o->offered_bytes = 0;
	o->nopen = 0;
	o->discarding = 0;
}

void
drain_out_gone(struct drain_out *o, const char *why)
{
	if (!o->is_begun)
		return;
	drain_gone(&o->talk, why);
	offers_forget(o);
}

/* ---- what the target says ---------------------------------------------------- */

static void
discard(struct drain_out *o, const struct msgid *id)
{
	drain_say_discard(&o->talk, id);
	o->discarding++;
}

/* Is it handed over to whom we talk to, and durably so? */
static bool
is_theirs(const struct drain_out *o, const struct core_handed *h)
{
	return memcmp(&h->to, &o->talk.peer, sizeof(h->to)) == 0;
}

/* It is in trust there since an earlier conversation. */
static void
on_have(struct drain_out *o, const struct msgid *id)
{
	struct core_handed *h = core_handed(o->core, id);

	if (!h || !is_theirs(o, h))
		discard(o, id);
	/* Else it is released with all the others, or when it is durable. */
}

static void
release_all(struct drain_out *o)
{
	struct pool *p = &o->core->moving.handed;

	for (uint32_t i = 1; i < p->next_new; i++) {
		struct core_handed *h =
		    pool_is_live(p, i) ? pool_at(p, i) : NULL;

		if (h && h->batch == 0 && is_theirs(o, h))
			drain_say_release(&o->talk, &h->id);
	}
}

/* It is durable here that the message is the other's. */
static void
handed(void *ctx, const struct msgid *id, const struct drain_id *to)
{
	struct drain_out *o = ctx;

	if (o->is_begun && o->talk.state == DRAIN_OPEN &&
	    memcmp(to, &o->talk.peer, sizeof(*to)) == 0)
		drain_say_release(&o->talk, id);
}

static void
on_taken(struct drain_out *o, const struct msgid *id)
{
	struct offer *x = offer_take(o, id);

	if (!x) {
		drain_give_up(&o->talk, "taken, but not offered");
		return;
	}
	if (o->does_offer &&
	    core_hand_over(o->core, x->msg, id, &o->talk.peer, &o->peer)) {
		o->stats.handed++;
		return;
	}
	core_offer_end(o->core, x->msg, id);
	o->stats.kept++;
	discard(o, id);
}

static void
on_refused(struct drain_out *o, const struct drain_event *e)
{
	struct offer *x = offer_take(o, &e->msg);

	if (!x)
		return;
	core_offer_end(o->core, x->msg, &e->msg);
	o->stats.refused++;
	o->turned_down++;
	slice_copy(slice_str(e->text), o->stats.refusal,
	    sizeof(o->stats.refusal));
}

static void
on_released(struct drain_out *o, const struct msgid *id)
{
	struct core_handed *h = core_handed(o->core, id);

	if (!h || h->batch != 0 || !is_theirs(o, h))
		return;
	core_handed_end(o->core, h);
	o->stats.released++;
}

static void
handle(struct drain_out *o, const struct drain_event *e)
{
	switch (e->kind) {
	case DRAIN_EV_HAVE:
		on_have(o, &e->msg);
		return;
	case DRAIN_EV_HAVE_END:
		release_all(o);
		return;
	case DRAIN_EV_TAKEN:
		on_taken(o, &e->msg);
		return;
	case DRAIN_EV_REFUSED:
		on_refused(o, e);
		return;
	case DRAIN_EV_RELEASED:
		on_released(o, &e->msg);
		return;
	case DRAIN_EV_DISCARDED:
		o->discarding -= o->discarding > 0;
		return;
	case DRAIN_EV_DOWN:
		offers_forget(o);
		return;
	default:
		return;
	}
}

void
drain_out_feed(struct drain_out *o, struct slice data, int64_t now_us)
{
	struct drain_event e;

	o->now_us = now_us;
	drain_feed(&o->talk, data, now_us);
	while (drain_next(&o->talk, &e))
		handle(o, &e);
	core_moving_flush(o->core);
}

/* ---- offering ------------------------------------------------------------------ */

static void
say_offer(struct drain_out *o, const struct core_offer *x,
    const struct buf *states)
{
	struct drain_offer w = { x->nrcpt, x->ref.env_bytes,
		x->ref.body_bytes };

	drain_say_offer(&o->talk, &x->id, &w);
	drain_say_data(&o->talk, buf_slice(states));
	offer_push(o, x, drain_offer_bytes(&w));
}

/* What cannot be read is passed by: its own turn comes when it is to be sent. */
static void
offer_small(struct drain_out *o, const struct core_offer *x,
    const struct buf *states)
{
	char *record = mem_try(spool_record_bytes(&x->ref));
	struct slice env, body;
	int err = record ?
	    spool_read_whole(o->disk, &x->ref, &x->id, record, &env, &body) :
	    E_NOMEM;

	if (!err) {
		say_offer(o, x, states);
		drain_say_data(&o->talk, env);
		drain_say_data(&o->talk, body);
		drain_say_end(&o->talk);
	} else
		core_offer_end(o->core, x->msg, &x->id);
	mem_free(record);
}

static void
offer_large(struct drain_out *o, const struct core_offer *x,
    const struct buf *states)
{
	if (spool_check_begin(o->disk, &x->ref, &x->id, &o->check)) {
		core_offer_end(o->core, x->msg, &x->id);
		return;
	}
	say_offer(o, x, states);
	o->large = *x;
	o->is_reading = true;
	o->read_at = 0;
	core_msg(o->core, x->msg)->reading++;
}

/* One more piece of a large one. */
static void
read_on(struct drain_out *o)
{
	const struct spool_ref *ref = &o->large.ref;
	uint32_t all = ref->env_bytes + ref->body_bytes;
	uint32_t n = MIN(all - o->read_at, PIECE_BYTES);
	char piece[PIECE_BYTES];
	bool ok = spool_read(o->disk, ref, o->read_at, piece, n) == 0;

	if (ok) {
		spool_check_feed(&o->check, slice_of(piece, n));
		drain_say_data(&o->talk, slice_of(piece, n));
		o->read_at += n;
	}
	if (ok && o->read_at < all)
		return;
	if (ok && spool_check_end(&o->check))
		drain_say_end(&o->talk);
	else { /* its own turn comes when it is to be sent */
		drain_say_abort(&o->talk);
		if (offer_take(o, &o->large.id))
			core_offer_end(o->core, o->large.msg, &o->large.id);
	}
	reading_end(o);
}

static bool
has_window(const struct drain_out *o)
{
	return o->does_offer && o->n < OFFERS_MAX &&
	    (o->nopen == 0 || o->offered_bytes < OFFERED_BYTES_MAX) &&
	    o->core->moving.handed.live < WAITING_MAX;
}

/* All messages have been looked at. */
static void
end_pass(struct drain_out *o)
{
	o->stats.has_passed = o->found == 0;
	o->next_pass_us = o->now_us +
	    (o->turned_down  ? REFUSED_US :
		    o->found ? AGAIN_US :
			       PASS_US);
	o->found = o->turned_down = 0;
}

/* A look at all messages begins when the target has forgotten what it was told to
 * discard: so it is never offered one of these while it still has it. */
static bool
may_look(const struct drain_out *o)
{
	return o->at != 0 ||
	    (o->discarding == 0 && o->now_us >= o->next_pass_us);
}

/* False: there is none more for now. */
static bool
offer_next(struct drain_out *o)
{
	struct core_offer x;
	struct buf states;
	bool is_found;

	if (!may_look(o))
		return false;
	buf_init(&states, RCPTS_MAX * DRAIN_STATE_BYTES);
	is_found = core_offer_next(o->core, &o->at, LOOKS, &x, &states);
	if (is_found) {
		o->found++;
		if (x.ref.env_bytes + x.ref.body_bytes <= SMALL_MAX)
			offer_small(o, &x, &states);
		else
			offer_large(o, &x, &states);
	} else if (o->at == 0)
		end_pass(o);
	buf_free(&states);
	return is_found;
}

void
drain_out_pump(struct drain_out *o, int64_t now_us)
{
	struct drain_event e;

	if (!o->is_begun)
		return;
	o->now_us = now_us;
	drain_tick(&o->talk, now_us);
	while (o->talk.state == DRAIN_OPEN && o->talk.out.n < OUT_BYTES_MAX)
		if (o->is_reading)
			read_on(o);
		else if (!has_window(o) || !offer_next(o))
			break;
	while (drain_next(&o->talk, &e))
		handle(o, &e);
	core_moving_flush(o->core);
}

/* ---- how it goes ------------------------------------------------------------- */

struct buf *
drain_out_buf(struct drain_out *o)
{
	return &o->talk.out;
}

const char *
drain_out_down(const struct drain_out *o)
{
	if (!o->is_begun)
		return "not connected";
	return o->talk.state == DRAIN_DOWN ? o->talk.why : NULL;
}

bool
drain_out_is_open(const struct drain_out *o)
{
	return o->is_begun && o->talk.state == DRAIN_OPEN;
}

bool
drain_out_is_settled(const struct drain_out *o)
{
	return drain_out_is_open(o) && o->nopen == 0 && o->discarding == 0 &&
	    o->core->moving.handed.live == 0;
}

int64_t
drain_out_deadline(const struct drain_out *o)
{
	int64_t at;

	if (!o->is_begun || o->talk.state == DRAIN_DOWN)
		return TIME_NEVER;
	at = drain_deadline(&o->talk);
	if (o->talk.state == DRAIN_OPEN && has_window(o) && o->at)
		at = o->now_us;
	else if (o->talk.state == DRAIN_OPEN && has_window(o) &&
	    o->discarding == 0)
		at = MIN(at, o->next_pass_us);
	if (!list_is_empty(&o->core->moving.fresh) &&
	    !o->core->moving.is_waiting)
		at = MIN(at, o->core->moving.again_us);
	return at;
}

void
drain_out_stats(const struct drain_out *o, struct drain_stats *s)
{
	*s = o->stats;
	s->waiting = o->core->moving.handed.live;
	s->offering = o->nopen;
}

uint32_t
drain_out_reclaim(struct drain_out *o)
{
	return core_reclaim(o->core);
}

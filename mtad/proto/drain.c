/*
 * proto/drain.c - the machine of proto/drain.h.
 *
 * One table says of each frame who may send it, when, and how long it is; what
 * does not fit ends the conversation. Handlers see only frames that fit.
 */
#include "proto/drain.h"

#define MAGIC 0x4e52444du /* "MDRN" */
#define HEAD_BYTES 5u
#define HELLO_BYTES (8u + DRAIN_ID_BYTES + DRAIN_NONCE_BYTES)
#define OFFER_BYTES (16u + 12u)
#define IN_MAX (4u * DRAIN_PAYLOAD_MAX)
#define OUT_MAX (64u << 20)
#define HANDSHAKE_US (15 * US_PER_S)
#define PING_US (15 * US_PER_S)
#define SILENCE_US (60 * US_PER_S)

enum frame {
	F_HELLO = 1,
	F_PROOF,
	F_ERROR,
	F_PING,
	F_HAVE,
	F_HAVE_END,
	F_OFFER,
	F_DATA,
	F_END,
	F_ABORT,
	F_TAKEN,
	F_REFUSED,
	F_RELEASE,
	F_DISCARD,
	F_RELEASED,
	F_DISCARDED,
	F_N
};

#define S 1u /* the source may send it */
#define T 2u /* the target */
#define IN(state) (1u << (state))
#define IN_TALK (IN(DRAIN_SYNC) | IN(DRAIN_OPEN))
#define IN_ANY (IN(DRAIN_HELLO) | IN(DRAIN_PROOF) | IN_TALK)

static const struct {
	uint8_t from;
	uint8_t states; /* of who hears it */
	bool in_offer;  /* between OFFER and its end, and only there */
	uint32_t min, max;
} rules[F_N] = {
	[F_HELLO] = { S | T, IN(DRAIN_HELLO), false, HELLO_BYTES, 4096 },
	[F_PROOF] = { S | T, IN(DRAIN_PROOF), false, DRAIN_MAC_BYTES,
	    DRAIN_MAC_BYTES },
	[F_ERROR] = { S | T, IN_ANY, false, 0, 4096 },
	[F_PING] = { S | T, IN_TALK, false, 0, 0 },
	[F_HAVE] = { T, IN(DRAIN_SYNC), false, 16, 16 },
	[F_HAVE_END] = { T, IN(DRAIN_SYNC), false, 0, 0 },
	[F_OFFER] = { S, IN(DRAIN_OPEN), false, OFFER_BYTES, OFFER_BYTES },
	[F_DATA] = { S, IN(DRAIN_OPEN), true, 1, DRAIN_PAYLOAD_MAX },
	[F_END] = { S, IN(DRAIN_OPEN), true, 4, 4 },
	[F_ABORT] = { S, IN(DRAIN_OPEN), true, 0, 0 },
	[F_TAKEN] = { T, IN(DRAIN_OPEN), false, 16, 16 },
	[F_REFUSED] = { T, IN(DRAIN_OPEN), false, 17, 17 + DRAIN_TEXT_MAX },
	[F_RELEASE] = { S, IN_TALK, false, 16, 16 },
	[F_DISCARD] = { S, IN_TALK, false, 16, 16 },
	[F_RELEASED] = { T, IN_TALK, false, 16, 16 },
	[F_DISCARDED] = { T, IN_TALK, false, 16, 16 },
};

uint64_t
drain_offer_bytes(const struct drain_offer *o)
{
	return (uint64_t)o->nrcpt * DRAIN_STATE_BYTES + o->env_bytes +
	    o->body_bytes;
}

/* ---- what is said ---------------------------------------------------------- */

static void
say(struct drain *d, enum frame type, struct slice a, struct slice b)
{
	if (d->state == DRAIN_DOWN)
		return;
	buf_add_u32(&d->out, (uint32_t)(a.n + b.n));
	buf_add_u8(&d->out, (uint8_t)type);
	buf_adds(&d->out, a);
	buf_adds(&d->out, b);
	d->said_us = d->now_us;
	if (d->out.failed)
		drain_gone(d, "no memory for what is to be said");
}

static struct slice
bytes_of(const void *p, size_t n)
{
	return slice_of((const char *)p, n);
}

static void
say_id(struct drain *d, enum frame type, const struct msgid *msg)
{
	say(d, type, bytes_of(msg->b, sizeof(msg->b)), SL(""));
}

static void
say_hello(struct drain *d)
{
	struct buf b;

	buf_init(&b, HELLO_BYTES);
	buf_add_u32(&b, MAGIC);
	buf_add_u16(&b, DRAIN_VERSION);
	buf_add_u16(&b, DRAIN_VERSION);
	buf_add(&b, d->conf.self.b, DRAIN_ID_BYTES);
	buf_add(&b, d->conf.nonce, DRAIN_NONCE_BYTES);
	say(d, F_HELLO, buf_slice(&b), SL(""));
	buf_free(&b);
}

/* The digest by which an end in that role proves itself. */
static void
proof_of(const struct drain *d, enum drain_role role,
    uint8_t out[DRAIN_MAC_BYTES])
{
	bool is_source = d->conf.role == DRAIN_SOURCE;
	const uint8_t *id[2] = { d->conf.self.b, d->peer.b };
	const uint8_t *nonce[2] = { d->conf.nonce, d->peer_nonce };
	struct buf b;

	buf_init(&b, 256);
	buf_addz(&b,
	    role == DRAIN_SOURCE ? "mtad drain source" : "mtad drain target");
	buf_add_u16(&b, DRAIN_VERSION);
	for (int i = 0; i < 2; i++) {
		int k = is_source ? i : 1 - i; /* the source's first */

		buf_add(&b, id[k], DRAIN_ID_BYTES);
		buf_add(&b, nonce[k], DRAIN_NONCE_BYTES);
	}
	if (d->conf.has_binding)
		buf_add(&b, d->conf.binding, sizeof(d->conf.binding));
	d->conf.mac(d->conf.ctx, buf_slice(&b), out);
	buf_free(&b);
}

static void
say_proof(struct drain *d)
{
	uint8_t mac[DRAIN_MAC_BYTES];

	proof_of(d, d->conf.role, mac);
	say(d, F_PROOF, bytes_of(mac, sizeof(mac)), SL(""));
}

void
drain_gone(struct drain *d, const char *why)
{
	if (d->state == DRAIN_DOWN)
		return;
	d->state = DRAIN_DOWN;
	text_escape(slice_str(why), d->why, sizeof(d->why));
}

void
drain_give_up(struct drain *d, const char *why)
{
	say(d, F_ERROR, slice_str(why), SL(""));
	drain_gone(d, why);
}

void
drain_say_offer(struct drain *d, const struct msgid *msg,
    const struct drain_offer *o)
{
	struct buf b;

	ASSERT(!d->is_offering && d->conf.role == DRAIN_SOURCE);
	buf_init(&b, OFFER_BYTES);
	buf_add(&b, msg->b, sizeof(msg->b));
	buf_add_u32(&b, o->nrcpt);
	buf_add_u32(&b, o->env_bytes);
	buf_add_u32(&b, o->body_bytes);
	say(d, F_OFFER, buf_slice(&b), SL(""));
	buf_free(&b);
	d->is_offering = true;
	d->msg = *msg;
	d->left = drain_offer_bytes(o);
	d->crc = 0;
}

void
drain_say_data(struct drain *d, struct slice data)
{
	ASSERT(d->is_offering && data.n <= d->left);
	d->left -= data.n;
	d->crc = crc32c(d->crc, data.p, data.n);
	while (data.n) {
		size_t n = MIN(data.n, (size_t)DRAIN_PAYLOAD_MAX);

		say(d, F_DATA, slice_of(data.p, n), SL(""));
		data = slice_skip(data, n);
	}
}

void
drain_say_end(struct drain *d)
{
	uint32_t crc = htole32(d->crc);

	ASSERT(d->is_offering && d->left == 0);
	d->is_offering = false;
	say(d, F_END, bytes_of(&crc, sizeof(crc)), SL(""));
}

void
drain_say_abort(struct drain *d)
{
	ASSERT(d->is_offering);
	d->is_offering = false;
	say(d, F_ABORT, SL(""), SL(""));
}

void
drain_say_release(struct drain *d, const struct msgid *msg)
{
	say_id(d, F_RELEASE, msg);
}

void
drain_say_discard(struct drain *d, const struct msgid *msg)
{
	say_id(d, F_DISCARD, msg);
}

void
drain_say_have(struct drain *d, const struct msgid *msg)
{
	say_id(d, F_HAVE, msg);
}

void
drain_say_have_end(struct drain *d)
{
	if (d->state != DRAIN_SYNC)
		return;
	say(d, F_HAVE_END, SL(""), SL(""));
	d->state = DRAIN_OPEN;
}

void
drain_say_taken(struct drain *d, const struct msgid *msg)
{
	say_id(d, F_TAKEN, msg);
}

void
drain_say_refused(struct drain *d, const struct msgid *msg,
    enum drain_refusal why, const char *text)
{
	char head[17];
	struct slice t = slice_str(text);

	memcpy(head, msg->b, 16);
	head[16] = (char)why;
	t.n = MIN(t.n, (size_t)DRAIN_TEXT_MAX);
	say(d, F_REFUSED, slice_of(head, sizeof(head)), t);
}

void
drain_say_released(struct drain *d, const struct msgid *msg)
{
	say_id(d, F_RELEASED, msg);
}

void
drain_say_discarded(struct drain *d, const struct msgid *msg)
{
	say_id(d, F_DISCARDED, msg);
}

/* ---- what is heard --------------------------------------------------------- */

void
drain_init(struct drain *d, const struct drain_conf *conf, int64_t now_us)
{
	memset(d, 0, sizeof(*d));
	d->conf = *conf;
	d->now_us = d->heard_us = d->said_us = d->begun_us = now_us;
	buf_init(&d->in, IN_MAX);
	buf_init(&d->out, OUT_MAX);
	if (conf->role == DRAIN_SOURCE)
		say_hello(d);
}

void
drain_free(struct drain *d)
{
	buf_free(&d->in);
	buf_free(&d->out);
}

static bool
same_bytes(const uint8_t *a, const uint8_t *b, size_t n)
{
	uint8_t diff = 0;

	for (size_t i = 0; i < n; i++) /* in a time that tells nothing */
		diff |= a[i] ^ b[i];
	return diff == 0;
}

static void
on_hello(struct drain *d, struct cursor *c)
{
	bool is_ours = cursor_u32(c) == MAGIC;
	uint16_t lo = cursor_u16(c), hi = cursor_u16(c);
	char why[DRAIN_TEXT_MAX];

	if (!is_ours) {
		drain_give_up(d, "this is no drain of mtad");
		return;
	}
	memcpy(d->peer.b, cursor_take(c, DRAIN_ID_BYTES).p, DRAIN_ID_BYTES);
	memcpy(d->peer_nonce, cursor_take(c, DRAIN_NONCE_BYTES).p,
	    DRAIN_NONCE_BYTES);
	if (lo > DRAIN_VERSION || hi < DRAIN_VERSION) {
		snprintf(why, sizeof(why),
		    "versions do not meet: %u is spoken here, %u to %u there",
		    DRAIN_VERSION, lo, hi);
		drain_give_up(d, why);
		return;
	}
	if (same_bytes(d->peer.b, d->conf.self.b, DRAIN_ID_BYTES)) {
		drain_give_up(d, "source and target have the same spool");
		return;
	}
	if (d->conf.role == DRAIN_TARGET)
		say_hello(d);
	else
		say_proof(d);
	if (d->state != DRAIN_DOWN)
		d->state = DRAIN_PROOF;
}

static bool
on_proof(struct drain *d, struct cursor *c, struct drain_event *e)
{
	struct slice got = cursor_take(c, DRAIN_MAC_BYTES);
	uint8_t want[DRAIN_MAC_BYTES];

	proof_of(d, d->conf.role == DRAIN_SOURCE ? DRAIN_TARGET : DRAIN_SOURCE,
	    want);
	if (!same_bytes((const uint8_t *)got.p, want, sizeof(want))) {
		drain_give_up(d, "the secrets differ (or TLS is intercepted)");
		return false;
	}
	if (d->conf.role == DRAIN_TARGET)
		say_proof(d);
	if (d->state == DRAIN_DOWN)
		return false;
	d->state = DRAIN_SYNC;
	e->kind = DRAIN_EV_UP;
	return true;
}

static bool
on_offer(struct drain *d, struct cursor *c, struct drain_event *e)
{
	struct drain_offer *o = &e->offer;

	o->nrcpt = cursor_u32(c);
	o->env_bytes = cursor_u32(c);
	o->body_bytes = cursor_u32(c);
	if (o->nrcpt == 0 || o->nrcpt > RCPTS_MAX || o->env_bytes == 0 ||
	    o->env_bytes > DRAIN_ENVELOPE_MAX) {
		drain_give_up(d, "an offer of no message");
		return false;
	}
	d->is_offering = true;
	d->msg = e->msg;
	d->left = drain_offer_bytes(o);
	d->crc = 0;
	e->kind = DRAIN_EV_OFFER;
	return true;
}

static bool
on_data(struct drain *d, struct slice data, struct drain_event *e)
{
	if (data.n > d->left) {
		drain_give_up(d, "more data than was offered");
		return false;
	}
	d->left -= data.n;
	d->crc = crc32c(d->crc, data.p, data.n);
	e->kind = DRAIN_EV_DATA;
	e->msg = d->msg;
	e->data = data;
	return true;
}

static bool
on_end(struct drain *d, struct cursor *c, bool is_abort, struct drain_event *e)
{
	d->is_offering = false;
	e->kind = DRAIN_EV_END;
	e->msg = d->msg;
	e->is_good = !is_abort && d->left == 0 && cursor_u32(c) == d->crc;
	if (e->is_good || is_abort)
		return true;
	drain_give_up(d, "a message came in damaged");
	return false;
}

static bool
on_id(struct drain *d, enum frame type, struct cursor *c, struct drain_event *e)
{
	static const uint8_t kinds[F_N] = {
		[F_HAVE] = DRAIN_EV_HAVE,
		[F_TAKEN] = DRAIN_EV_TAKEN,
		[F_REFUSED] = DRAIN_EV_REFUSED,
		[F_RELEASE] = DRAIN_EV_RELEASE,
		[F_DISCARD] = DRAIN_EV_DISCARD,
		[F_RELEASED] = DRAIN_EV_RELEASED,
		[F_DISCARDED] = DRAIN_EV_DISCARDED,
	};

	(void)d;
	e->kind = (enum drain_kind)kinds[type];
	if (type == F_REFUSED) {
		e->refusal = cursor_u8(c);
		text_escape(c->s, e->text, sizeof(e->text));
	}
	return true;
}

/* A frame that the table allows. True: it is an event. */
static bool
on_frame(struct drain *d, enum frame type, struct slice payload,
    struct drain_event *e)
{
	struct cursor c = cursor_of(payload);

	switch (type) {
	case F_HELLO:
		on_hello(d, &c);
		return false;
	case F_PROOF:
		return on_proof(d, &c, e);
	case F_ERROR:
		text_escape(payload, e->text, sizeof(e->text));
		drain_gone(d, e->text);
		return false;
	case F_PING:
		return false;
	case F_HAVE_END:
		d->state = DRAIN_OPEN;
		e->kind = DRAIN_EV_HAVE_END;
		return true;
	case F_DATA:
		return on_data(d, payload, e);
	case F_END:
	case F_ABORT:
		return on_end(d, &c, type == F_ABORT, e);
	case F_OFFER:
	case F_HAVE:
	case F_TAKEN:
	case F_REFUSED:
	case F_RELEASE:
	case F_DISCARD:
	case F_RELEASED:
	case F_DISCARDED:
		memcpy(e->msg.b, cursor_take(&c, 16).p, 16);
		if (type == F_OFFER)
			return on_offer(d, &c, e);
		return on_id(d, type, &c, e);
	case F_N:
		break;
	}
	ASSERT(!"a frame that the table knows");
	return false;
}

static bool
is_allowed(const struct drain *d, uint8_t type, uint32_t n)
{
	uint8_t from = d->conf.role == DRAIN_SOURCE ? T : S;

	return type > 0 && type < F_N && (rules[type].from & from) &&
	    (rules[type].states & IN(d->state)) && n >= rules[type].min &&
	    n <= rules[type].max && (!rules[type].in_offer || d->is_offering) &&
	    (type != F_OFFER || !d->is_offering);
}

void
drain_feed(struct drain *d, struct slice data, int64_t now_us)
{
	d->now_us = d->heard_us = now_us;
	if (d->state == DRAIN_DOWN)
		return;
	buf_consume(&d->in, d->eaten);
	d->eaten = 0;
	if (buf_adds(&d->in, data))
		drain_give_up(d, "no memory for what is said");
}

static bool
down(struct drain *d, struct drain_event *e)
{
	if (d->is_told)
		return false;
	d->is_told = true;
	e->kind = DRAIN_EV_DOWN;
	slice_copy(slice_str(d->why), e->text, sizeof(e->text));
	return true;
}

bool
drain_next(struct drain *d, struct drain_event *e)
{
	memset(e, 0, sizeof(*e));
	while (d->state != DRAIN_DOWN) {
		struct slice s = slice_skip(buf_slice(&d->in), d->eaten);
		struct cursor c = cursor_of(s);
		uint32_t n = cursor_u32(&c);
		uint8_t type = cursor_u8(&c);

		if (c.bad)
			return false;
		if (!is_allowed(d, type, n)) {
			drain_give_up(d, "a frame that is out of place");
			break;
		}
		if (c.s.n < n)
			return false;
		d->eaten += HEAD_BYTES + n;
		if (on_frame(d, (enum frame)type, slice_of(c.s.p, n), e))
			return true;
	}
	return down(d, e);
}

int64_t
drain_deadline(const struct drain *d)
{
	if (d->state == DRAIN_DOWN)
		return TIME_NEVER;
	if (d->state < DRAIN_SYNC)
		return d->begun_us + HANDSHAKE_US;
	return MIN(d->heard_us + SILENCE_US, d->said_us + PING_US);
}

void
drain_tick(struct drain *d, int64_t now_us)
{
	d->now_us = now_us;
	if (d->state == DRAIN_DOWN || drain_deadline(d) > now_us)
		return;
	if (d->state < DRAIN_SYNC)
		drain_give_up(d, "no answer in time");
	else if (d->heard_us + SILENCE_US <= now_us)
		drain_give_up(d, "the other end has fallen silent");
	else
		say(d, F_PING, SL(""), SL(""));
}

/* ---- recipients ------------------------------------------------------------ */

int
drain_rcpt_encode(struct buf *out, const struct drain_rcpt *r)
{
	buf_add_u8(out, r->outcome.klass);
	buf_add_u8(out, r->outcome.stage);
	buf_add_u16(out, r->outcome.code);
	buf_add_u8(out, r->outcome.enh.klass);
	buf_add_u8(out, r->is_final);
	buf_add_u16(out, r->outcome.enh.subject);
	buf_add_u16(out, r->outcome.enh.detail);
	buf_add_u16(out, r->attempts);
	buf_add_u32(out, r->is_told);
	buf_add_u64(out, (uint64_t)r->due_us);
	return out->failed ? E_NOMEM : 0;
}

bool
drain_rcpt_decode(struct cursor *c, struct drain_rcpt *r)
{
	uint8_t flags;

	r->outcome.klass = cursor_u8(c);
	r->outcome.stage = cursor_u8(c);
	r->outcome.code = cursor_u16(c);
	r->outcome.enh.klass = cursor_u8(c);
	flags = cursor_u8(c);
	r->outcome.enh.subject = cursor_u16(c);
	r->outcome.enh.detail = cursor_u16(c);
	r->attempts = cursor_u16(c);
	r->is_told = cursor_u32(c) & 1;
	r->due_us = (int64_t)cursor_u64(c);
	r->is_final = flags & 1;
	return !c->bad && flags <= 1 && r->outcome.klass < OUTCOME_N &&
	    r->outcome.stage < STAGE_N && r->due_us >= 0;
}

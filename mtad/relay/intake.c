/*
 * relay/intake.c - one inbound session, from bytes to a committed message.
 *
 * Invariants: credits (a recipient's slot, staged bytes) are taken from the
 * gate before anything is promised and given back on every way out but one:
 * a parcel handed to the spool keeps its recipients' slots, which the core
 * gives back when they are over. A 250 to the final dot is written only by
 * intake_committed.
 */
#include "relay/intake_i.h"
#include "relay/relay.h"

/* Bytes of header in which tags and Received fields are looked for. */
#define HEADER_MAX INTAKE_SHARE
bool
gate_take(_Atomic int64_t *counter, int64_t n)
{
	int64_t left =
	    atomic_fetch_sub_explicit(counter, n, memory_order_relaxed);

	if (left >= n)
		return true;
	atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
	return false;
}

void
gate_give(_Atomic int64_t *counter, int64_t n)
{
	atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

void
intake_trust(struct intake *in)
{
	const struct conf_listen *door = in->door;

	in->may_relay = door->is_local ||
	    cidrs_have(door->relay_from, door->nrelay_from, &in->peer.ip);
}

void
intake_init(struct intake *in, const struct conf *conf,
    const struct conf_listen *door, const struct intake_ops *ops, void *ctx,
    struct gate *gate, struct handle self, const struct endpoint *peer,
    int64_t now_us)
{
	memset(in, 0, sizeof(*in));
	in->conf = conf;
	in->door = door;
	in->ops = ops;
	in->ctx = ctx;
	in->gate = gate;
	in->self = self;
	in->peer = *peer;
	in->given = (struct steer){ .tenant = door->tenant,
		.campaign = door->campaign,
		.pool = door->pool };
	steer_by_given(&in->given, &door->given);
	intake_trust(in);
	buf_init(&in->rcpts, (size_t)RCPTS_MAX * (MAILBOX_MAX + ORCPT_MAX + 3));
	smtp_srv_init(&in->srv, &door->smtp, now_us);
	in->srv.trusts =
	    cidrs_have(door->xclient_from, door->nxclient_from, &peer->ip);
}

/* What s says, said in place of what stood there. */
static void
steer_over(struct steer *to, const struct steer *s)
{
	if (s->tenant.n > 0)
		to->tenant = s->tenant;
	if (s->campaign.n > 0)
		to->campaign = s->campaign;
	if (s->pool.n > 0)
		to->pool = s->pool;
	if (s->klass != 0)
		to->klass = s->klass;
	if (s->expire_us != 0)
		to->expire_us = s->expire_us;
	if (s->schedule_us != 0)
		to->schedule_us = s->schedule_us;
}

void
steer_by_given(struct steer *s, const struct conf_given *g)
{
	s->klass = s->klass ? s->klass : g->klass;
	s->expire_us = s->expire_us ? s->expire_us : g->expire_us;
	s->schedule_us = s->schedule_us ? s->schedule_us : g->schedule_us;
}

void
steer_by_account(struct steer *s, const struct conf_account *a)
{
	struct steer of = { .tenant = a->tenant,
		.campaign = a->campaign,
		.pool = a->pool };

	steer_by_given(&of, &a->given);
	steer_over(s, &of);
}

void
intake_vouch(struct intake *in, const struct conf_account *a,
    const struct steer *s, struct slice token)
{
	if (a != NULL)
		intake_account_begin(in, a);
	in->token = token;
	steer_over(&in->given, s);
	in->may_relay = in->is_posted = true;
	in->srv.is_authenticated = true;
	smtp_srv_greeted(&in->srv);
}

/* Gives back what the open transaction holds. */
static void
drop_transaction(struct intake *in)
{
	struct parcel *p = in->parcel;

	/* A client that is told of a time-out meanwhile changes nothing about
	 * a message that the spool has: intake_committed ends it. */
	if (in->is_committing)
		return;
	if (in->nrcpt)
		gate_give(&in->gate->rcpts_free, in->nrcpt);
	in->nrcpt = 0;
	in->is_ending = false;
	intake_back_end(in, false);
	buf_reset(&in->rcpts);
	if (!p)
		return;
	in->parcel = NULL;
	in->ops->parcel_give(in->ctx, p);
}

void
intake_reload(struct intake *in, const struct conf *conf)
{
	in->conf = conf;
}

void
intake_free(struct intake *in)
{
	drop_transaction(in);
	buf_free(&in->rcpts);
	intake_auth_free(in);
	mem_free(in->owned);
	smtp_srv_free(&in->srv);
}

static void
book_rejection(struct intake *in, struct slice recipient, int code,
    const char *enh, struct slice text, enum stage stage)
{
	struct buf *book = in->ops->book(in->ctx);
	struct book_entry e;
	struct slice s = slice_str(enh);

	if (!book)
		return;
	book_entry_init(&e, BOOK_REJECTION);
	e.wall_us = in->wall_us;
	e.serial = in->ops->sequence(in->ctx);
	e.sender = slice_of(in->sender, in->sender_n);
	e.has_sender = true;
	e.recipient = recipient;
	e.listener = in->door->name;
	e.peer = in->peer;
	e.has_peer = !in->door->is_local;
	e.helo = slice_of(in->srv.helo, in->srv.helo_n);
	e.tls = slice_str(in->tls);
	e.outcome.code = (uint16_t)code;
	e.outcome.stage = (uint8_t)stage;
	if (enh_parse(&s, &e.outcome.enh))
		memset(&e.outcome.enh, 0, sizeof(e.outcome.enh));
	e.text = text;
	if (book_write(book, &e))
		return; /* no room: counted by the owner of the book */
}

/* The machine has refused by itself: "CODE ENHANCED TEXT" CRLF. */
static void
on_refused(struct intake *in)
{
	struct slice text = slice_trim(in->srv.refused), code, enh;
	char enh_text[16];
	uint64_t n = 0;

	code = slice_cut(&text, ' ');
	enh = slice_cut(&text, ' ');
	if (in->srv.refused_at == STAGE_MAIL)
		in->sender_n = 0; /* that of the message before */
	if (slice_u64(code, 999, &n))
		return;
	slice_copy(enh, enh_text, sizeof(enh_text));
	book_rejection(in, slice_of("", 0), (int)n, enh_text, text,
	    in->srv.refused_at);
}

void
intake_refuse(struct intake *in, struct slice recipient, enum stage stage,
    int code, const char *enh, struct slice text)
{
	book_rejection(in, recipient, code, enh, text, stage);
	smtp_srv_reply(&in->srv, code, enh, text);
}

static void
on_mail(struct intake *in)
{
	struct slice from = in->srv.path.address;

	drop_transaction(in);
	in->key_n = 0;
	in->key_said = IDEM_TAKEN;
	in->asked = 0;
	intake_asked(in, from, 0);
	in->mail_us = in->now_us;
	in->sender_n =
	    (uint16_t)slice_copy(from, in->sender, sizeof(in->sender));
	in->envid_n = (uint16_t)slice_copy(in->srv.wishes.envid, in->envid,
	    sizeof(in->envid));
	if (atomic_load_explicit(&in->gate->is_stopping, memory_order_relaxed))
		smtp_srv_reply(&in->srv, 421, "4.3.2",
		    SL("Shutting down, try again later"));
	else if (atomic_load_explicit(&in->gate->is_draining,
		     memory_order_relaxed))
		intake_refuse(in, slice_of("", 0), STAGE_MAIL, 421, "4.3.2",
		    SL("This host is being drained, use another"));
	else if (in->door->needs_auth && !in->srv.is_authenticated)
		intake_refuse(in, slice_of("", 0), STAGE_MAIL, 530, "5.7.0",
		    SL("Authentication required"));
	else if (in->srv.wishes.hold_until_us != 0 && !in->may_relay)
		/* What waits for a year is not a stranger's to leave. */
		intake_refuse(in, slice_of("", 0), STAGE_MAIL, 550, "5.7.1",
		    SL("Mail is not held for you"));
	else if (!in->ops->has_room(in->ctx, in->srv.wishes.size))
		intake_refuse(in, slice_of("", 0), STAGE_MAIL, 452, "4.3.1",
		    SL("Insufficient system storage"));
	else if (!intake_account_mail(in))
		smtp_srv_reply(&in->srv, 250, "2.1.0", SL("Sender ok"));
}

/* The name that this door goes by. */
static struct slice
our_name(const struct intake *in)
{
	return in->door->smtp.hostname;
}

/* Is this mail for the postmaster of this host? RFC 5321 4.5.1. What programs of
 * this host send to root is for him, too. */
static bool
is_our_postmaster(const struct intake *in, const struct smtp_path *p)
{
	if (!slice_ieq(p->local, SL("postmaster")) &&
	    !(in->door->is_local && slice_ieq(p->local, SL("root"))))
		return false;
	return p->domain.n == 0 || slice_ieq(p->domain, in->conf->hostname) ||
	    slice_ieq(p->domain, our_name(in)) ||
	    conf_inbound_find(in->conf, p->domain) != NULL;
}

/* A recipient's record: how to notify, address, ORCPT; each text ends in NUL. */
int
intake_rcpt_add(struct intake *in, struct slice to, uint8_t notify)
{
	struct buf *b = &in->rcpts;
	size_t n = b->n;
	int err = buf_addc(b, (char)notify);

	err = err ? err : buf_adds(b, to);
	err = err ? err : buf_addc(b, '\0');
	err = err ? err : buf_adds(b, in->srv.orcpt);
	err = err ? err : buf_addc(b, '\0');
	if (err)
		buf_cut(b, n);
	return err;
}

const char *
intake_rcpt_next(const struct intake *in, const char *at, struct env_rcpt *r)
{
	if (!at)
		at = in->rcpts.p + in->rcpts.off;
	r->notify = (uint8_t)*at;
	r->address = slice_str(at + 1);
	r->orcpt = slice_str(at + 1 + r->address.n + 1);
	return r->orcpt.p + r->orcpt.n + 1;
}

static void
on_rcpt(struct intake *in)
{
	const struct smtp_path *p = &in->srv.path;
	struct slice to = p->address;

	intake_asked(in, to, 1);
	if (!intake_back_beside(in))
		return;
	if (is_our_postmaster(in, p))
		to = in->conf->postmaster;
	else if (intake_back_rcpt(in))
		return;
	else if (!in->may_relay) {
		intake_refuse(in, to, STAGE_RCPT, 550, "5.7.1",
		    SL("Relaying denied"));
		return;
	} else if (intake_veto_rcpt(in, to))
		return;
	if (!gate_take(&in->gate->rcpts_free, 1)) {
		intake_refuse(in, to, STAGE_RCPT, 452, "4.3.1",
		    SL("Queue is full, try again later"));
		return;
	}
	if (intake_rcpt_add(in, to, in->srv.notify)) {
		gate_give(&in->gate->rcpts_free, 1);
		smtp_srv_reply(&in->srv, 452, "4.5.3",
		    SL("Too many recipients"));
		return;
	}
	in->nrcpt++;
	smtp_srv_reply(&in->srv, 250, "2.1.5", SL("Recipient ok"));
}

static void
put_trace(struct intake *in, struct parcel *p)
{
	struct trace_field t = {
		.helo = in->is_posted ? SL("") :
					slice_of(in->srv.helo, in->srv.helo_n),
		.is_http = in->is_posted,
		.by = our_name(in),
		.tls = slice_str(in->tls),
		.client = in->peer.ip,
		.id = p->id,
		.is_esmtp = in->srv.is_esmtp,
		.is_utf8 = in->srv.wishes.is_utf8,
		.is_auth = in->srv.is_authenticated,
		.is_local = in->door->is_local,
		.uid = in->uid,
		.unix_us = in->wall_us,
	};
	struct env_rcpt only;

	if (in->nrcpt == 1) {
		(void)intake_rcpt_next(in, NULL, &only);
		t.for_rcpt = only.address;
	}
	if (hdr_received(&p->body, &t))
		p->body.failed = true; /* met again at the end of data */
	in->trace_n = p->body.n;
}

static void
on_data(struct intake *in)
{
	struct parcel *p = in->ops->parcel_take(in->ctx);
	int64_t share = INTAKE_SHARE / 32;

	if (!p || !gate_take(&in->gate->staging_free, share)) {
		if (p)
			in->ops->parcel_give(in->ctx, p);
		smtp_srv_reply(&in->srv, 452, "4.3.1",
		    SL("Busy, try again later"));
		return;
	}
	p->staged = (uint64_t)share;
	p->id =
	    msgid_make(in->wall_us, in->conf->node, in->ops->sequence(in->ctx));
	in->parcel = p;
	in->header_done = in->is_tls_optional = false;
	in->tenant[0] = in->campaign[0] = in->pool[0] = in->zone[0] = '\0';
	/* RFC 6710: whether a priority counts is the receiver's to say. */
	in->klass = in->may_relay && in->srv.wishes.priority > 0 ? CLASS_HURRY :
								   CLASS_UNSAID;
	in->is_engaged = false;
	in->expires_us = 0;
	in->not_before_us = in->srv.wishes.hold_until_us;
	put_trace(in, p);
	in->scanned = in->trace_n;
	smtp_srv_go_ahead(&in->srv);
}

/* Has the blank line after the header come? Searches only what is new. */
static bool
header_is_whole(struct intake *in, const struct buf *b)
{
	const char *base = b->p + b->off;
	size_t from =
	    in->scanned > in->trace_n + 3 ? in->scanned - 3 : in->trace_n;
	const char *hit;

	if (b->n >= in->trace_n + 2 &&
	    memcmp(base + in->trace_n, "\r\n", 2) == 0)
		return true;
	hit = memmem(base + from, b->n - from, "\r\n\r\n", 4);
	in->scanned = b->n;
	return hit != NULL;
}

static void
refuse_body(struct intake *in, int code, const char *enh, struct slice text)
{
	book_rejection(in, slice_of("", 0), code, enh, text, STAGE_EOM);
	smtp_srv_refuse_body(&in->srv, code, enh, text);
	drop_transaction(in);
}

static void
finish_header(struct intake *in)
{
	const struct intake_refusal *r =
	    intake_take_header(in, &in->parcel->body);

	if (r->code)
		refuse_body(in, r->code, r->enh, r->text);
}

/*
 * Accounts for the parcel's growth to n bytes in memory. The last quarter of
 * the budget is for messages that begin and for headers: large ones that stand
 * still in their midst must not turn away the small ones beside them.
 */
static bool
stage_more(struct intake *in, struct parcel *p, size_t n)
{
	int64_t more = (int64_t)n - (int64_t)p->staged;
	int64_t spare = (int64_t)(in->conf->staging_bytes / 4);

	if (more <= 0)
		return true;
	more = MAX(more, (int64_t)p->staged); /* doubling */
	if (in->header_done &&
	    atomic_load_explicit(&in->gate->staging_free,
		memory_order_relaxed) < spare + more)
		return false;
	if (!gate_take(&in->gate->staging_free, more))
		return false;
	p->staged += (uint64_t)more;
	return true;
}

/* Puts the front of a piece into memory, as much as the message's share and
 * the budget of all messages allow. Returns how much. */
static size_t
stage(struct intake *in, struct slice piece)
{
	struct parcel *p = in->parcel;
	struct buf *b = &p->body;

	if (p->spill || b->n >= INTAKE_SHARE)
		return 0;
	piece.n = MIN(piece.n, INTAKE_SHARE - b->n);
	if (!stage_more(in, p, b->n + piece.n) || buf_adds(b, piece))
		return 0;
	return piece.n;
}

/* Does a line that is no field end the header, without a blank one? Looks at
 * all of it: to be asked once. */
static bool
header_is_cut(const struct intake *in, const struct buf *b)
{
	struct slice all = slice_skip(buf_slice(b), in->trace_n);
	bool is_none;

	return hdr_section(all, &is_none) > 0 || is_none;
}

static void
on_body(struct intake *in, struct slice piece)
{
	struct parcel *p = in->parcel;
	bool had_header = in->header_done;
	struct slice whole = piece;

	if (in->back != NULL && !intake_back_has_room(in, piece.n)) {
		refuse_body(in, 552, "5.3.4", SL("Message too big"));
		return;
	}
	piece = slice_skip(piece, stage(in, piece));
	if (!in->header_done &&
	    (header_is_whole(in, &p->body) ||
		(piece.n > 0 && header_is_cut(in, &p->body))))
		finish_header(in);
	if (in->parcel == NULL)
		return;
	/* What was staged with the end of the header is signed with it. */
	if (p->signing)
		signing_body(p->signing, had_header ? whole : piece);
	if (piece.n == 0)
		return;
	if (!in->header_done && p->body.n >= HEADER_MAX)
		refuse_body(in, 552, "5.3.4", SL("Message header too big"));
	else if (!in->header_done)
		refuse_body(in, 452, "4.3.1", SL("Busy, try again later"));
	else if (!in->ops->has_room(in->ctx, piece.n) ||
	    !in->ops->spill_add(in->ctx, &p->spill, piece))
		refuse_body(in, 452, "4.3.1",
		    SL("Insufficient system storage"));
}

static struct slice
first_of(const char *tag, struct slice from_door)
{
	return tag[0] ? slice_str(tag) : from_door;
}

/* Encodes the envelope into the parcel. */
static int
seal_envelope(struct intake *in, struct parcel *p, uint64_t bytes)
{
	const struct conf_listen *door = in->door;
	struct envelope e = {
		.id = p->id,
		.arrival_us = in->wall_us,
		.expires_us = MAX(in->wall_us, in->not_before_us) +
		    (in->given.expire_us ? in->given.expire_us :
					   in->conf->expire_us),
		.not_before_us = in->not_before_us,
		.client = in->peer.ip,
		.sender = slice_of(in->sender, in->sender_n),
		.tenant = first_of(in->tenant, in->given.tenant),
		.campaign = first_of(in->campaign, in->given.campaign),
		.pool = first_of(in->pool, in->given.pool),
		.zone = slice_str(in->zone),
		.signer = p->signing ? signing_domain(p->signing) : SL(""),
		.listener = door->name,
		.envid = slice_of(in->envid, in->envid_n),
		.body_bytes = bytes,
		.nrcpt = in->nrcpt,
		.key = p->key,
	};
	const struct conf_tenant *t = conf_tenant_find(in->conf, e.tenant);
	struct env_rcpt one, *v = &one;
	const char *at = NULL;
	int err;

	if (in->expires_us != 0)
		e.expires_us = in->expires_us;
	e.klass = in->klass != CLASS_UNSAID ? in->klass == CLASS_HURRY :
	    in->given.klass != CLASS_UNSAID ? in->given.klass == CLASS_HURRY :
					      t->is_hurry;
	if (in->srv.saw_8bit || in->srv.wishes.is_8bit)
		e.flags |= ENV_8BIT;
	if (in->srv.wishes.is_utf8)
		e.flags |= ENV_SMTPUTF8;
	if (in->srv.saw_dots)
		e.flags |= ENV_HAS_DOTS;
	if (in->tls[0])
		e.flags |= ENV_TLS_IN;
	if (in->is_engaged)
		e.flags |= ENV_ENGAGED;
	if (in->back != NULL) { /* never an answer to it */
		e.flags |= ENV_BACK;
		e.sender = slice_of("", 0);
	}
	/* RFC 8689 4: the one that asks for more counts. */
	if (in->srv.wishes.requires_tls)
		e.flags |= ENV_REQUIRETLS;
	else if (in->is_tls_optional)
		e.flags |= ENV_TLS_OPTIONAL;
	e.flags |= in->srv.wishes.ret | in->srv.wishes.by;
	e.by_us = in->srv.wishes.by_us;
	if (e.flags & ENV_BY_RETURN)
		e.expires_us = MIN(e.expires_us, e.by_us);
	if (in->nrcpt > 1 && !(v = mem_try(in->nrcpt * sizeof(*v))))
		return E_NOMEM;
	for (uint32_t i = 0; i < in->nrcpt; i++)
		at = intake_rcpt_next(in, at, &v[i]);
	err = env_encode(&p->env, &e, v);
	if (v != &one)
		mem_free(v);
	return err;
}

static bool
is_spilled(const struct intake *in)
{
	return !in->parcel || !in->parcel->spill ||
	    in->ops->spill_is_done(in->ctx, in->parcel->spill);
}

/* All of it is here: to the spool. */
static void
commit(struct intake *in)
{
	struct parcel *p = in->parcel;
	const struct intake_refusal *r;

	in->is_ending = false;
	if (!in->header_done && (r = intake_take_header(in, &p->body))->code) {
		intake_refuse(in, slice_of("", 0), STAGE_EOM, r->code, r->enh,
		    r->text);
		drop_transaction(in);
		return;
	}
	if (intake_veto_message(in)) {
		drop_transaction(in);
		return;
	}
	intake_steer(in);
	if (in->not_before_us == 0 && in->given.schedule_us > 0)
		in->not_before_us = in->wall_us + in->given.schedule_us;
	p->has_key = in->key_n > 0;
	if (p->has_key)
		intake_key_digest(in, &p->key);
	if (!intake_gather(in, p) ||
	    !in->ops->has_room(in->ctx, parcel_bytes(p)) ||
	    seal_envelope(in, p, parcel_bytes(p))) {
		intake_refuse(in, slice_of("", 0), STAGE_EOM, 452, "4.3.1",
		    SL("Insufficient system storage"));
		drop_transaction(in);
		return;
	}
	if (!intake_key_claim(in, p)) {
		drop_transaction(in);
		return;
	}
	p->commit = (struct spool_commit){
		.id = p->id,
		.nrcpt = in->nrcpt,
		.envelope = buf_slice(&p->env),
		.body = p->pieces,
		.nbody = p->commit.nbody,
	};
	p->session = in->self;
	in->parcel = NULL;
	in->is_committing = true;
	in->ops->commit(in->ctx, p);
}

/* The machine waits for an answer from here on. */
static void
on_eom(struct intake *in)
{
	if (is_spilled(in))
		commit(in);
	else
		in->is_ending = true;
}

/* One act of the machine; false when the feed must end here. */
static bool
act(struct intake *in, enum smtp_srv_act what)
{
	switch (what) {
	case SRV_NEED_INPUT:
	case SRV_WAIT:
		return false;
	case SRV_MAIL:
		on_mail(in);
		return true;
	case SRV_RCPT:
		on_rcpt(in);
		return true;
	case SRV_DATA:
		on_data(in);
		return true;
	case SRV_BODY:
		on_body(in, in->srv.body);
		return true;
	case SRV_EOM:
		on_eom(in);
		return true;
	case SRV_ABORT:
		drop_transaction(in);
		return true;
	case SRV_REFUSED:
		on_refused(in);
		return true;
	case SRV_STARTTLS:
		in->wants_tls = true;
		return false;
	case SRV_XCLIENT:
		intake_xclient(in);
		return true;
	case SRV_AUTH:
		intake_auth(in);
		return true;
	case SRV_CLOSE:
		in->is_closing = true;
		return false;
	}
	ASSERT(!"an act of the SMTP server");
	return false;
}

size_t
intake_feed(struct intake *in, struct slice data, int64_t now_us,
    int64_t wall_us)
{
	struct slice left = data;

	in->wall_us = in->srv.wall_us = wall_us;
	in->now_us = now_us;
	while (act(in, smtp_srv_step(&in->srv, &left, now_us)))
		continue;
	return data.n - left.n;
}

size_t
intake_room(const struct intake *in, size_t n)
{
	const struct parcel *p = in->parcel;
	int64_t spare = (int64_t)(in->conf->staging_bytes / 4);

	if (!p)
		return n;
	if (p->spill || p->body.n >= INTAKE_SHARE)
		return 0;
	n = MIN(n, INTAKE_SHARE - p->body.n);
	/* The budget doubles: twice what is staged may be asked for. */
	if (atomic_load_explicit(&in->gate->staging_free,
		memory_order_relaxed) >= spare + (int64_t)(n + p->staged))
		return n;
	return p->staged > p->body.n ? MIN(n, p->staged - p->body.n) : 0;
}

bool
intake_spilled(struct intake *in, int64_t now_us, int64_t wall_us)
{
	in->wall_us = wall_us;
	in->now_us = now_us;
	if (!in->is_ending || !is_spilled(in))
		return false;
	commit(in);
	return true;
}

static void
book_reception(struct intake *in, const struct parcel *p, const char *text)
{
	struct buf *book = in->ops->book(in->ctx);
	const char *at = NULL;
	const struct conf_listen *door = in->door;
	struct env_rcpt r;
	struct steer given = {
		.tenant = first_of(in->tenant, in->given.tenant),
		.campaign = first_of(in->campaign, in->given.campaign),
		.pool = first_of(in->pool, in->given.pool),
	};
	struct book_entry e;

	if (!book)
		return;
	book_entry_init(&e, BOOK_RECEPTION);
	e.wall_us = in->wall_us;
	e.id = p->id;
	e.has_id = true;
	e.sender = slice_of(in->sender, in->sender_n);
	e.has_sender = true;
	e.listener = door->name;
	e.peer = in->peer;
	e.has_peer = !in->door->is_local;
	e.helo = slice_of(in->srv.helo, in->srv.helo_n);
	e.tls = slice_str(in->tls);
	e.size = parcel_bytes(p);
	e.nrcpt = in->nrcpt;
	e.outcome = (struct outcome){ .code = 250,
		.enh = { 2, 0, 0 },
		.stage = STAGE_EOM };
	e.session_us = MAX(in->now_us - in->mail_us, 0);
	e.text = slice_str(text);
	for (uint32_t i = 0; i < in->nrcpt; i++) {
		struct steer s = given;

		at = intake_rcpt_next(in, at, &r);
		e.recipient = r.address;
		e.rcpt = (int32_t)i;
		steer_by_route(in->conf, mailbox_domain(e.recipient), &s);
		e.tenant = s.tenant;
		e.campaign = s.campaign;
		e.pool = s.pool;
		if (book_write(book, &e))
			return;
	}
}

void
intake_committed(struct intake *in, const struct parcel *p, int64_t now_us,
    int64_t wall_us)
{
	char text[64] = "Queued as ", *end;

	in->wall_us = wall_us;
	in->now_us = now_us;
	in->is_committing = false;
	if (p->commit.err) {
		intake_refuse(in, slice_of("", 0), STAGE_EOM, 452, "4.3.1",
		    SL("Insufficient system storage"));
	} else {
		end = text + strlen(text);
		msgid_format(end, &p->id);
		smtp_srv_reply(&in->srv, 250, "2.0.0", slice_str(text));
		book_reception(in, p, text);
		in->nrcpt = 0; /* their slots are the core's now */
		intake_back_end(in, true);
	}
	drop_transaction(in);
}

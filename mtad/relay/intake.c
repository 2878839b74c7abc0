/*
 * relay/intake.c - one inbound session, from bytes to a committed message.
 *
 * Invariants: credits (a recipient's slot, staged bytes) are taken from the
 * gate before anything is promised and given back on every way out but one:
 * a parcel handed to the spool keeps its recipients' slots, which the core
 * gives back when they are over. A 250 to the final dot is written only by
 * intake_committed.
 */
#include "relay/relay.h"

/* Bytes of header in which tags and Received fields are looked for. */
#define HEADER_MAX INTAKE_SHARE
/* Of the value of a field that steers. */
#define TAG_MAX_BYTES NAME_MAX_BYTES
#define TIME_MAX_US (366 * INT64_C(86400) * US_PER_S)

/* What X-MTA-Class says. */
enum { CLASS_UNSAID, CLASS_BULK, CLASS_HURRY };

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

static bool
peer_may_relay(const struct conf_listen *door, const struct ip *ip)
{
	for (uint32_t i = 0; i < door->nrelay_from; i++)
		if (cidr_has(&door->relay_from[i], ip))
			return true;
	return false;
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
	in->may_relay = peer_may_relay(door, &peer->ip);
	buf_init(&in->rcpts, (size_t)RCPTS_MAX * (MAILBOX_MAX + 2));
	smtp_srv_init(&in->srv, &door->smtp, now_us);
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
	e.has_peer = true;
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

static void
refuse(struct intake *in, struct slice recipient, enum stage stage, int code,
    const char *enh, struct slice text)
{
	book_rejection(in, recipient, code, enh, text, stage);
	smtp_srv_reply(&in->srv, code, enh, text);
}

static void
on_mail(struct intake *in)
{
	struct slice from = in->srv.path.address;

	drop_transaction(in);
	in->mail_us = in->now_us;
	in->sender_n =
	    (uint16_t)slice_copy(from, in->sender, sizeof(in->sender));
	if (atomic_load_explicit(&in->gate->is_stopping, memory_order_relaxed))
		smtp_srv_reply(&in->srv, 421, "4.3.2",
		    SL("Shutting down, try again later"));
	else if (atomic_load_explicit(&in->gate->is_draining,
		     memory_order_relaxed))
		refuse(in, slice_of("", 0), STAGE_MAIL, 421, "4.3.2",
		    SL("This host is being drained, use another"));
	else if (!in->ops->has_room(in->ctx, in->srv.size))
		refuse(in, slice_of("", 0), STAGE_MAIL, 452, "4.3.1",
		    SL("Insufficient system storage"));
	else
		smtp_srv_reply(&in->srv, 250, "2.1.0", SL("Sender ok"));
}

/* The name that this door goes by. */
static struct slice
our_name(const struct intake *in)
{
	return in->door->smtp.hostname;
}

/* Is this mail for the postmaster of this host? RFC 5321 4.5.1. */
static bool
is_our_postmaster(const struct intake *in, const struct smtp_path *p)
{
	if (!slice_ieq(p->local, SL("postmaster")))
		return false;
	return p->domain.n == 0 || slice_ieq(p->domain, in->conf->hostname) ||
	    slice_ieq(p->domain, our_name(in));
}

static void
on_rcpt(struct intake *in)
{
	const struct smtp_path *p = &in->srv.path;
	struct slice to = p->address;

	if (is_our_postmaster(in, p))
		to = in->conf->postmaster;
	else if (!in->may_relay) {
		refuse(in, to, STAGE_RCPT, 550, "5.7.1", SL("Relaying denied"));
		return;
	}
	if (!gate_take(&in->gate->rcpts_free, 1)) {
		refuse(in, to, STAGE_RCPT, 452, "4.3.1",
		    SL("Queue is full, try again later"));
		return;
	}
	if (buf_adds(&in->rcpts, to) || buf_addc(&in->rcpts, '\0')) {
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
		.helo = slice_of(in->srv.helo, in->srv.helo_n),
		.by = our_name(in),
		.tls = slice_str(in->tls),
		.client = in->peer.ip,
		.id = p->id,
		.is_esmtp = in->srv.is_esmtp,
		.unix_us = in->wall_us,
	};

	if (in->nrcpt == 1)
		t.for_rcpt = slice_str(in->rcpts.p + in->rcpts.off);
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
	in->header_done = false;
	in->tenant[0] = in->campaign[0] = in->pool[0] = in->zone[0] = '\0';
	in->klass = CLASS_UNSAID;
	in->is_engaged = false;
	in->expires_us = in->not_before_us = 0;
	put_trace(in, p);
	in->scanned = in->trace_n;
	smtp_srv_go_ahead(&in->srv);
}

/* Takes a tag's value over, an unfolded text; false when it is none. */
typedef bool take_fn(struct intake *in, size_t at, struct slice value);

/* What is too long is not cut: two tenants must not become one. */
static bool
take_name(struct intake *in, size_t at, struct slice value)
{
	if (value.n > NAME_MAX_BYTES)
		return false;
	slice_copy(value, (char *)in + at, NAME_MAX_BYTES + 1);
	return true;
}

static bool
take_class(struct intake *in, size_t at, struct slice value)
{
	uint8_t *klass = (uint8_t *)in + at;

	if (slice_ieq(value, SL("transactional")))
		*klass = CLASS_HURRY;
	else if (slice_ieq(value, SL("bulk")))
		*klass = CLASS_BULK;
	else
		return false;
	return true;
}

static bool
take_yes(struct intake *in, size_t at, struct slice value)
{
	bool *is = (bool *)(void *)((char *)in + at);

	*is = slice_ieq(value, SL("yes"));
	return *is || slice_ieq(value, SL("no"));
}

/* A time, or how long from now; within a year. One that is past is now. */
static bool
take_time(struct intake *in, size_t at, struct slice value)
{
	int64_t *us = (int64_t *)(void *)((char *)in + at);

	if (parse_date_iso(value, us) != 0) {
		if (value.n > 0 && *value.p == '+')
			value = slice_skip(value, 1);
		if (parse_duration(value, us) != 0 || *us > TIME_MAX_US)
			return false;
		*us += in->wall_us;
	}
	*us = MAX(*us, in->wall_us);
	return *us - in->wall_us <= TIME_MAX_US;
}

enum header_fault {
	HEADER_FINE,
	HEADER_LOOPS,
	HEADER_BAD_TAG,
	HEADER_BAD_CLASS,
	HEADER_BAD_EXPIRES,
	HEADER_BAD_SCHEDULE,
	HEADER_NEVER,
	HEADER_BAD_ENGAGED,
	HEADER_NO_POOL,
	HEADER_NO_ZONE
};

struct tag {
	struct slice name;
	size_t at; /* offset in struct intake */
	take_fn *take;
	enum header_fault fault; /* when it is none */
};

/* The header fields that steer, read and taken out. */
static const struct tag tags[] = {
	{ { "X-MTA-Tenant", 12 }, offsetof(struct intake, tenant), take_name,
	    HEADER_BAD_TAG },
	{ { "X-MTA-Campaign", 14 }, offsetof(struct intake, campaign),
	    take_name, HEADER_BAD_TAG },
	{ { "X-MTA-Pool", 10 }, offsetof(struct intake, pool), take_name,
	    HEADER_BAD_TAG },
	{ { "X-MTA-Zone", 10 }, offsetof(struct intake, zone), take_name,
	    HEADER_BAD_TAG },
	{ { "X-MTA-Engaged", 13 }, offsetof(struct intake, is_engaged),
	    take_yes, HEADER_BAD_ENGAGED },
	{ { "X-MTA-Class", 11 }, offsetof(struct intake, klass), take_class,
	    HEADER_BAD_CLASS },
	{ { "X-MTA-Expires", 13 }, offsetof(struct intake, expires_us),
	    take_time, HEADER_BAD_EXPIRES },
	{ { "X-MTA-Schedule", 14 }, offsetof(struct intake, not_before_us),
	    take_time, HEADER_BAD_SCHEDULE },
};

static const struct tag *
tag_of(struct slice name)
{
	for (size_t i = 0; i < ARRAY_LEN(tags); i++)
		if (slice_ieq(name, tags[i].name))
			return &tags[i];
	return NULL;
}

static bool
take_tag(struct intake *in, const struct tag *t, struct slice value)
{
	char text[TAG_MAX_BYTES + 2];
	size_t n = hdr_unfold(value, text, sizeof(text));

	for (size_t i = 0; i < n; i++)
		if (text[i] < ' ' || text[i] > '~')
			return false;
	return n <= TAG_MAX_BYTES && t->take(in, t->at, slice_of(text, n));
}

static const struct refusal {
	int code;
	const char *enh;
	struct slice text;
} header_refusal[] = {
	[HEADER_LOOPS] = { 554, "5.4.6", SL("Too many hops") },
	[HEADER_BAD_TAG] = { 550, "5.6.0",
	    SL("An X-MTA- field is no name of up to 64 characters") },
	[HEADER_BAD_CLASS] = { 550, "5.6.0",
	    SL("X-MTA-Class is neither bulk nor transactional") },
	[HEADER_BAD_EXPIRES] = { 550, "5.6.0",
	    SL("X-MTA-Expires is no time (RFC 3339) or duration within a "
	       "year") },
	[HEADER_BAD_SCHEDULE] = { 550, "5.6.0",
	    SL("X-MTA-Schedule is no time (RFC 3339) or duration within a "
	       "year") },
	[HEADER_BAD_ENGAGED] = { 550, "5.6.0",
	    SL("X-MTA-Engaged is neither yes nor no") },
	[HEADER_NEVER] = { 550, "5.6.0",
	    SL("X-MTA-Expires is over before the message may be sent") },
	/* RFC 3463 3.4: as it is configured, this host cannot take it. Were
	 * it taken, it would wait for a pool that may never be. */
	[HEADER_NO_POOL] = { 554, "5.3.5",
	    SL("X-MTA-Pool names no pool of this host") },
	[HEADER_NO_ZONE] = { 554, "5.3.5",
	    SL("X-MTA-Zone names no time zone that this host knows") },
};

/*
 * The header section stands whole at body[trace_n ..): counts hops, and reads
 * and removes the tags of a client that we trust. One pass: what stays is moved
 * up behind what stayed before it.
 */
static enum header_fault
read_header(struct intake *in, struct buf *b)
{
	char *base = b->p + b->off, *to = base + in->trace_n;
	struct slice rest = slice_of(to, b->n - in->trace_n);
	enum header_fault fault = HEADER_FINE;
	uint32_t hops = 0;
	struct hdr h;

	in->header_done = true;
	while (hdr_next(&rest, &h)) {
		const struct tag *t = in->may_relay ? tag_of(h.name) : NULL;

		if (slice_ieq(h.name, SL("Received")))
			hops++;
		if (t && !take_tag(in, t, h.value))
			fault = t->fault;
		if (t)
			continue;
		if (to != h.whole.p)
			memmove(to, h.whole.p, h.whole.n);
		to += h.whole.n;
	}
	if (to != rest.p) {
		memmove(to, rest.p, rest.n);
		buf_cut(b, (size_t)(to - base) + rest.n);
	}
	if (hops > in->door->hops_max)
		return HEADER_LOOPS;
	if (!fault && in->expires_us != 0 &&
	    in->expires_us <= MAX(in->not_before_us, in->wall_us))
		return HEADER_NEVER;
	if (!fault && in->pool[0] &&
	    !conf_has_pool(in->conf, slice_str(in->pool)))
		return HEADER_NO_POOL;
	if (!fault && in->zone[0] &&
	    conf_zone_find(in->conf, slice_str(in->zone)) == in->conf->nzones)
		return HEADER_NO_ZONE;
	return fault;
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
	const struct refusal *r =
	    &header_refusal[read_header(in, &in->parcel->body)];

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
	size_t n = stage(in, piece);

	piece = slice_skip(piece, n);
	if (!in->header_done &&
	    (header_is_whole(in, &p->body) ||
		(piece.n > 0 && header_is_cut(in, &p->body))))
		finish_header(in);
	if (piece.n == 0 || in->parcel == NULL)
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

/* The route that all recipients have in common, or NULL. */
static const struct conf_route *
common_route(const struct intake *in)
{
	const char *at = in->rcpts.p + in->rcpts.off;
	const struct conf_route *common = NULL, *r;
	struct slice last = SL("");

	for (uint32_t i = 0; i < in->nrcpt; i++) {
		struct slice to = slice_str(at), domain = mailbox_domain(to);

		at += to.n + 1;
		if (i > 0 && slice_ieq(domain, last))
			continue;
		r = conf_route_find(in->conf, domain);
		if (r == NULL || (i > 0 && r != common))
			return NULL;
		common = r;
		last = domain;
	}
	return common;
}

void
steer_by_route(const struct conf *c, struct slice domain, struct steer *s)
{
	const struct conf_route *r;

	if (!c->routes_steer || (s->tenant.n && s->campaign.n && s->pool.n) ||
	    (r = conf_route_find(c, domain)) == NULL)
		return;
	if (!s->tenant.n)
		s->tenant = r->tenant;
	if (!s->campaign.n)
		s->campaign = r->campaign;
	if (!s->pool.n)
		s->pool = r->pool;
}

/* What neither a header field nor the listener says, the route does. Where
 * recipients are of several routes the envelope says nothing, and the core
 * asks each one's. */
static void
steer_all(struct intake *in)
{
	const struct conf_listen *door = in->door;
	const struct conf_route *r;

	if (!in->conf->routes_steer || (r = common_route(in)) == NULL)
		return;
	if (!in->tenant[0] && !door->tenant.n)
		slice_copy(r->tenant, in->tenant, sizeof(in->tenant));
	if (!in->campaign[0] && !door->campaign.n)
		slice_copy(r->campaign, in->campaign, sizeof(in->campaign));
	if (!in->pool[0] && !door->pool.n)
		slice_copy(r->pool, in->pool, sizeof(in->pool));
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
		.expires_us =
		    MAX(in->wall_us, in->not_before_us) + in->conf->expire_us,
		.not_before_us = in->not_before_us,
		.client = in->peer.ip,
		.sender = slice_of(in->sender, in->sender_n),
		.tenant = first_of(in->tenant, door->tenant),
		.campaign = first_of(in->campaign, door->campaign),
		.pool = first_of(in->pool, door->pool),
		.zone = slice_str(in->zone),
		.listener = door->name,
		.body_bytes = bytes,
		.nrcpt = in->nrcpt,
	};
	const struct conf_tenant *t = conf_tenant_find(in->conf, e.tenant);
	struct env_rcpt one, *v = &one;
	const char *at = in->rcpts.p + in->rcpts.off;
	int err;

	if (in->expires_us != 0)
		e.expires_us = in->expires_us;
	e.klass =
	    in->klass == CLASS_UNSAID ? t->is_hurry : in->klass == CLASS_HURRY;
	if (in->srv.saw_8bit || in->srv.is_8bit)
		e.flags |= ENV_8BIT;
	if (in->srv.is_utf8)
		e.flags |= ENV_SMTPUTF8;
	if (in->srv.saw_dots)
		e.flags |= ENV_HAS_DOTS;
	if (in->tls[0])
		e.flags |= ENV_TLS_IN;
	if (in->is_engaged)
		e.flags |= ENV_ENGAGED;
	if (in->nrcpt > 1 && !(v = mem_try(in->nrcpt * sizeof(*v))))
		return E_NOMEM;
	memset(&one, 0, sizeof(one));
	for (uint32_t i = 0; i < in->nrcpt; i++) {
		v[i].address = slice_str(at);
		at += v[i].address.n + 1;
	}
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
	struct slice rest = { NULL, 0 };
	const struct refusal *r;

	in->is_ending = false;
	if (!in->header_done &&
	    (r = &header_refusal[read_header(in, &p->body)])->code) {
		refuse(in, slice_of("", 0), STAGE_EOM, r->code, r->enh,
		    r->text);
		drop_transaction(in);
		return;
	}
	steer_all(in);
	if (p->spill)
		rest = in->ops->spill_map(in->ctx, p->spill);
	if (p->body.failed || (p->spill && !rest.p) ||
	    !in->ops->has_room(in->ctx, p->body.n + rest.n) ||
	    seal_envelope(in, p, p->body.n + rest.n)) {
		refuse(in, slice_of("", 0), STAGE_EOM, 452, "4.3.1",
		    SL("Insufficient system storage"));
		drop_transaction(in);
		return;
	}
	p->pieces[0] = buf_slice(&p->body);
	p->pieces[1] = rest;
	p->commit = (struct spool_commit){
		.id = p->id,
		.nrcpt = in->nrcpt,
		.envelope = buf_slice(&p->env),
		.body = p->pieces,
		.nbody = rest.n ? 2 : 1,
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

	in->wall_us = wall_us;
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
	const char *at = in->rcpts.p + in->rcpts.off;
	const struct conf_listen *door = in->door;
	struct steer given = {
		.tenant = first_of(in->tenant, door->tenant),
		.campaign = first_of(in->campaign, door->campaign),
		.pool = first_of(in->pool, door->pool),
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
	e.has_peer = true;
	e.helo = slice_of(in->srv.helo, in->srv.helo_n);
	e.tls = slice_str(in->tls);
	e.size = p->pieces[0].n + p->pieces[1].n;
	e.nrcpt = in->nrcpt;
	e.outcome = (struct outcome){ .code = 250,
		.enh = { 2, 0, 0 },
		.stage = STAGE_EOM };
	e.session_us = MAX(in->now_us - in->mail_us, 0);
	e.text = slice_str(text);
	for (uint32_t i = 0; i < in->nrcpt; i++) {
		struct steer s = given;

		e.recipient = slice_str(at);
		e.rcpt = (int32_t)i;
		at += e.recipient.n + 1;
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
		refuse(in, slice_of("", 0), STAGE_EOM, 452, "4.3.1",
		    SL("Insufficient system storage"));
	} else {
		end = text + strlen(text);
		msgid_format(end, &p->id);
		smtp_srv_reply(&in->srv, 250, "2.0.0", slice_str(text));
		book_reception(in, p, text);
		in->nrcpt = 0; /* their slots are the core's now */
	}
	drop_transaction(in);
}

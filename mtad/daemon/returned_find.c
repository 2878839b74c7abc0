/*
 * daemon/returned_find.c - which message of ours a report is about, from the index
 * on disk and the event log. On the returner's thread; the lines that tell of it are
 * written on the clerk's.
 *
 * In this order: a signed return path, in the report's own address or in what it
 * says of the message's; an id of ours in the trace of the message that it has
 * with it, if that message went to the recipient of whom it speaks; the newest
 * message that was delivered to the address. Only what the first two say cannot be
 * made up by anybody.
 */
#include <jansson.h>

#include "daemon/returned.h"

#define LINES_MAX 1024u /* of one message */
#define LINES_BYTES (1u << 20)
#define LOOKS_MAX 24u /* messages that are looked at for one report */
#define HITS_MAX 8u   /* of an address */
#define EARLY_US (60 * US_PER_S) /* lines of a young message may come yet */
#define EARLY_TRIES 25u
#define QUICK_US (2 * US_PER_S) /* a bounce may overtake its Delivery */

struct look {
	struct returner *t;
	struct returned *r;
	struct find_rec *v;
	struct msgid id; /* whose lines these are */
	int64_t rcpt;
	bool has_id;
	json_t *lines; /* NULL: none */
	uint32_t left;
	bool is_early; /* one that must be there was not */
};

/* ---- the lines of a message --------------------------------------------------------- */

static struct slice
member(const json_t *o, const char *key)
{
	const json_t *v = json_object_get(o, key);

	if (!json_is_string(v))
		return slice_of("", 0);
	return slice_of(json_string_value(v), json_string_length(v));
}

static bool
is_type(const json_t *line, const char *type)
{
	return slice_eq(member(line, "type"), slice_str(type));
}

/* Of a key's records those of a recipient, -1: all. */
static uint32_t
ask(struct look *l, uint64_t key, uint32_t most, int64_t rcpt)
{
	struct clerk *c = &l->t->d->clerk;
	uint32_t n, kept = 0;

	if (c->finder == NULL)
		return 0;
	pthread_mutex_lock(&c->find_lock);
	n = finder_get(c->finder, key, 0, l->v, most);
	pthread_mutex_unlock(&c->find_lock);
	for (uint32_t i = 0; i < n; i++)
		if (rcpt < 0 || l->v[i].rcpt == rcpt)
			l->v[kept++] = l->v[i];
	return kept;
}

/* Of a message with many recipients those of one are looked for, if it is known. */
static void
load(struct look *l, const struct msgid *id, int64_t rcpt)
{
	struct buf out;
	uint32_t n;

	if (l->has_id && msgid_eq(&l->id, id) && l->rcpt == rcpt)
		return;
	json_decref(l->lines);
	l->lines = NULL;
	l->id = *id;
	l->rcpt = rcpt;
	l->has_id = true;
	if (l->left == 0 || l->t->d->clerk.finder == NULL)
		return;
	l->left--;
	n = ask(l, find_key_id(id), FIND_RECORDS_MAX, rcpt);
	buf_init(&out, LINES_BYTES);
	(void)buf_addc(&out, '[');
	(void)finder_lines(l->r->conf->log.p, id, l->v, n, LINES_MAX, &out);
	(void)buf_addc(&out, ']');
	if (!out.failed)
		l->lines =
		    json_loadb(out.p + out.off, out.n, JSON_ALLOW_NUL, NULL);
	buf_free(&out);
}

/* Is the line about the message itself, not one that only names it? */
static bool
is_about(const struct look *l, const json_t *line)
{
	char id[MSGID_TEXT_MAX];
	size_t n = msgid_format(id, &l->id);

	return slice_eq(member(line, "id"), slice_of(id, n));
}

static int64_t
number_of(const json_t *line)
{
	const json_t *v = json_object_get(line, "rcpt");

	return json_is_integer(v) ? json_integer_value(v) : -1;
}

/* Whom is it about: by the number, else by one of the addresses, else the only
 * recipient that there is. */
struct whom {
	int64_t rcpt; /* -1: not known */
	struct slice address[2];
	bool or_only; /* if the message has no other */
};

static bool
is_whom(const struct whom *w, const json_t *line)
{
	struct slice to = member(line, "recipient");

	if (to.n == 0)
		return false;
	if (w->rcpt >= 0)
		return number_of(line) == w->rcpt;
	for (size_t i = 0; i < ARRAY_LEN(w->address); i++)
		if (w->address[i].n > 0 && slice_ieq(to, w->address[i]))
			return true;
	return w->or_only &&
	    json_integer_value(json_object_get(line, "nrcpt")) == 1;
}

/* A Delivery has all; before it others have the rest. */
static const json_t *
best_line(const struct look *l, const struct whom *w)
{
	const json_t *best = NULL;
	json_t *line;
	size_t i;

	json_array_foreach(l->lines, i, line) {
		bool is_later = is_type(line, "RemoteBounce") ||
		    is_type(line, "RemoteStatus") || is_type(line, "Feedback");

		if (is_later || !is_about(l, line) || !is_whom(w, line))
			continue;
		if (is_type(line, "Delivery"))
			return line;
		if (best == NULL)
			best = line;
	}
	return best;
}

static bool
is_sure(struct slice known_by)
{
	return slice_eq(known_by, SL("token")) ||
	    slice_eq(known_by, SL("trace"));
}

/* Has another report said the same of that recipient? One that anybody could have
 * written takes nothing from one that is sure. */
static bool
is_repeat(const struct look *l, const struct told *t)
{
	const char *kind = book_kind_name(t->e.kind);
	struct slice action = slice_str(t->e.action ? t->e.action : "");
	char report[MSGID_TEXT_MAX];
	size_t i, n = msgid_format(report, &t->e.report);
	json_t *line;

	json_array_foreach(l->lines, i, line)
		if (is_type(line, kind) && is_about(l, line) &&
		    number_of(line) == t->e.rcpt &&
		    slice_eq(member(line, "action"), action) &&
		    slice_ieq(member(line, "feedback"), t->e.feedback) &&
		    (is_sure(member(line, "known_by")) ||
			!is_sure(slice_str(t->e.known_by))) &&
		    !slice_eq(member(line, "report"), slice_of(report, n)))
			return true;
	return false;
}

static struct slice
keep(struct look *l, struct slice s)
{
	struct arena *a = &l->r->report->b.memory;
	char *p = s.n > 0 ? arena_str(a, s.p, s.n) : NULL;

	return p != NULL ? slice_of(p, s.n) : slice_of("", 0);
}

static void
fill(struct look *l, struct told *t, const json_t *line, const char *known_by)
{
	struct book_entry *e = &t->e;

	t->is_found = true;
	e->known_by = known_by;
	if (!is_type(line, "Delivery") &&
	    clock_wall_us() - l->r->back->env.arrival_us < QUICK_US)
		l->is_early = true;
	e->id = l->id;
	e->has_id = true;
	e->rcpt = (int32_t)number_of(line);
	e->sender = keep(l, member(line, "sender"));
	e->has_sender = json_object_get(line, "sender") != NULL;
	e->recipient = keep(l, member(line, "recipient"));
	e->tenant = keep(l, member(line, "tenant"));
	e->campaign = keep(l, member(line, "campaign"));
	e->pool = keep(l, member(line, "pool"));
	e->source = keep(l, member(line, "source"));
	e->site = keep(l, member(line, "site"));
	e->mx = keep(l, member(line, "mx"));
	e->is_repeat = is_repeat(l, t);
}

/* ---- whose it is --------------------------------------------------------------------- */

/* The log is behind, or has forgotten; unless it has others of the message. */
static void
not_found(struct look *l, const struct msgid *id)
{
	json_t *line;
	size_t i;

	json_array_foreach(l->lines, i, line)
		if (is_about(l, line))
			return;
	if (l->t->d->clerk.finder != NULL && l->r->tries < EARLY_TRIES &&
	    clock_wall_us() - msgid_time_us(id) < EARLY_US)
		l->is_early = true;
}

/* The address of the token is the recipient's, if the report has it. */
static struct slice
hashed(const struct told *t, uint32_t hash)
{
	if (t->e.reported.n > 0 && return_hash(t->e.reported) == hash)
		return t->e.reported;
	if (t->original.n > 0 && return_hash(t->original) == hash)
		return t->original;
	return slice_of("", 0);
}

static void
by_token(struct look *l, struct told *t, const struct return_token *k)
{
	struct whom w = { k->rcpt == RETURN_ALL ? -1 : k->rcpt,
		{ t->e.reported, t->original }, true };
	const json_t *line;

	load(l, &k->id, w.rcpt);
	line = best_line(l, &w);
	t->e.known_by = "token";
	t->e.id = k->id;
	t->e.has_id = true;
	t->acts = t->counts;
	if (line != NULL) {
		fill(l, t, line, "token");
		return;
	}
	not_found(l, &k->id);
	if (k->rcpt != RETURN_ALL) {
		t->e.rcpt = k->rcpt;
		t->e.recipient = hashed(t, k->hash);
	}
}

static bool
by_trace(struct look *l, struct told *t)
{
	const struct arf *a = &l->r->report->b.arf;
	struct whom w = { -1, { t->e.reported, t->original },
		t->e.kind == BOOK_FEEDBACK && t->e.reported.n == 0 };

	for (uint32_t i = 0; i < a->nids; i++) {
		const json_t *line;

		load(l, &a->id[i], -1);
		line = best_line(l, &w);
		if (line == NULL) {
			if (a->id[i].b[8] == l->r->conf->node >> 8 &&
			    a->id[i].b[9] == (l->r->conf->node & 255))
				not_found(l, &a->id[i]);
			continue;
		}
		fill(l, t, line, "trace");
		t->acts = t->counts;
		return true;
	}
	return false;
}

/* The newest that was delivered there, so far as the index goes. */
static bool
by_address(struct look *l, struct told *t, struct slice address,
    const char *known_by)
{
	struct whom w = { -1, { address, slice_of("", 0) }, false };
	struct msgid id[HITS_MAX];
	uint32_t n = 0;

	if (address.n > 0)
		n = ask(l, find_key_address(address), HITS_MAX, -1);
	for (uint32_t i = 0; i < n; i++)
		id[i] = l->v[i].id;
	for (uint32_t i = 0; i < n; i++) {
		const json_t *line;

		load(l, &id[i], -1);
		line = best_line(l, &w);
		if (line == NULL || !is_type(line, "Delivery"))
			continue;
		fill(l, t, line, known_by);
		t->acts =
		    t->counts && l->r->in != NULL && l->r->in->trusts_unsigned;
		return true;
	}
	return false;
}

/* A return path of ours that the report says the message had. */
static bool
has_token(const struct look *l, struct slice path, struct return_token *k)
{
	const struct returned *r = l->r;
	struct slice domain = mailbox_domain(path);
	const struct conf_inbound *in =
	    domain.n > 0 ? conf_inbound_find(r->conf, domain) : NULL;

	return in != NULL &&
	    return_read(slice_of(path.p, path.n - domain.n - 1), in,
		keyring_returns(r->keys, in), r->back->env.arrival_us,
		k) == RETURN_GOOD;
}

static void
find(struct look *l, struct told *t)
{
	const struct bounce *b = &l->r->report->b;
	struct back_to *to = &l->r->to;
	struct slice verp = slice_of(to->rcpt, to->rcpt_n);
	struct return_token k = to->token;

	if (to->use == BACK_TOKEN || has_token(l, b->return_path, &k) ||
	    has_token(l, b->arf.mail_from, &k)) {
		by_token(l, t, &k);
		return;
	}
	if (t->e.kind == BOOK_REPLY || by_trace(l, t))
		return;
	if (to->use == BACK_VERP && !by_address(l, t, verp, "verp")) {
		t->e.known_by = "verp";
		t->e.recipient = verp;
	} else if (to->use != BACK_VERP &&
	    !by_address(l, t, t->e.reported, "address"))
		(void)by_address(l, t, t->original, "address");
}

/* What a message and recipient are told of twice counts once. */
static bool
is_second(const struct report *p, const struct told *t)
{
	for (const struct told *o = p->v; o < t; o++)
		if (o->acts && o->e.kind == t->e.kind &&
		    msgid_eq(&o->e.id, &t->e.id) && o->e.rcpt == t->e.rcpt)
			return true;
	return false;
}

static void
judge(const struct report *p, struct told *t)
{
	t->acts = t->acts && t->is_found && !t->e.is_repeat &&
	    t->e.recipient.n > 0 && !is_second(p, t);
	if (t->e.recipient.n == 0 && !t->e.has_id) {
		t->e.recipient = t->e.reported;
		t->e.reported = slice_of("", 0);
	} else if (slice_ieq(t->e.recipient, t->e.reported)) {
		t->e.reported = slice_of("", 0);
	}
}

/* ---- telling --------------------------------------------------------------------------- */

static void
put_line(const struct returned *r, struct told *t, struct buf *lines,
    struct buf *finds)
{
	struct book_entry *e = &t->e;
	uint32_t now_s;

	e->wall_us = clock_wall_us();
	now_s = (uint32_t)(e->wall_us / US_PER_S);
	e->listener = r->back->env.listener;
	e->peer.ip = r->back->env.client;
	e->has_peer = e->peer.ip.family != 0;
	if (book_write(lines, e))
		lines->failed = true;
	if (e->has_id)
		find_put(finds, find_key_id(&e->id), &e->id, now_s,
		    (uint16_t)MAX(e->rcpt, 0), FIND_EVENT);
	find_put(finds, find_key_id(&e->report), &e->report, now_s, 0,
	    FIND_OVER);
}

static enum told_end
put_all(struct clerk *c, struct returned *r)
{
	struct report *p = r->report;
	struct buf lines, finds;
	bool ok;

	buf_init(&lines, 4u << 20);
	buf_init(&finds, 1u << 20);
	for (uint32_t i = 0; i < p->n; i++)
		put_line(r, &p->v[i], &lines, &finds);
	ok = !lines.failed && clerk_write(c, &lines);
	if (ok)
		clerk_find(c, &finds);
	buf_free(&lines);
	buf_free(&finds);
	return ok ? TOLD_DONE : TOLD_LOST;
}

void
returned_write(struct clerk *c, struct returned *r)
{
	r->told = (uint8_t)put_all(c, r);
	r->post.kind = POST_BACK_TOLD;
	returner_post(&c->d->returner, &r->post);
}

int
returned_find(struct returner *t, struct returned *r)
{
	struct look l = { .t = t, .r = r, .left = LOOKS_MAX };
	struct report *p = r->report;

	l.v = mem_try(FIND_RECORDS_MAX * sizeof(*l.v));
	if (l.v == NULL)
		return E_NOMEM;
	for (uint32_t i = 0; i < p->n; i++) {
		find(&l, &p->v[i]);
		judge(p, &p->v[i]);
	}
	json_decref(l.lines);
	mem_free(l.v);
	return l.is_early ? E_AGAIN : 0;
}

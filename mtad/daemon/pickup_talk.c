/*
 * daemon/pickup_talk.c - how a drop file goes in: over a pair of sockets whose other
 * end a worker has as a session at the local door, so that such mail is looked at,
 * steered, signed and made durable as all other mail is.
 *
 * The client's half is plain: one command, one reply. Every wait has a deadline
 * and ends when the daemon does. On the pickup's thread.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/pickup_i.h"

#define PIECE_BYTES 65536u
#define REPLY_WAIT_US (11 * 60 * US_PER_S) /* longer than the door's own */
#define REFUSED_MAX 100u                   /* recipients of one notice */

struct refusal {
	struct outcome outcome;
	char text[REPLY_TEXT_MAX + 1];
};

struct refused_rcpt {
	char address[MAILBOX_MAX + DOMAIN_MAX + 2];
	struct refusal why;
};

struct giving {
	struct talk *t;
	const struct conf *conf;
	const struct drop_file *f;
	struct buf out;
	char sender[MAILBOX_MAX + DOMAIN_MAX + 2];
	struct refusal last; /* what the last reply said */
	struct refused_rcpt *refused;
	uint32_t nrefused, naccepted;
	struct buf header; /* its front, of HEADER_MAX bytes */
	struct buf added;  /* fields that are missing */
};

void
talk_init(struct talk *t, struct pickup *k)
{
	memset(t, 0, sizeof(*t));
	t->k = k;
	t->fd = -1;
	buf_init(&t->in, PIECE_BYTES);
	reply_parser_init(&t->reply);
}

void
talk_close(struct talk *t)
{
	if (t->fd >= 0)
		close(t->fd);
	t->fd = -1;
	buf_free(&t->in);
	reply_parser_free(&t->reply);
	reply_parser_init(&t->reply);
}

/* ---- bytes ------------------------------------------------------------------- */

/* False: the time is up, or the daemon ends. */
static bool
wait_fd(struct talk *t, short what, int64_t until_us)
{
	struct pollfd p[2] = { { .fd = t->fd, .events = what },
		{ .fd = t->k->wake_fd, .events = POLLIN } };
	int64_t left = until_us - clock_mono_us();

	if (left <= 0 || poll(p, 2, (int)(left / US_PER_MS + 1)) <= 0)
		return false;
	return !(atomic_load(&t->k->is_stopping) && p[0].revents == 0);
}

static bool
send_all(struct talk *t, struct buf *b)
{
	int64_t until = clock_mono_us() + REPLY_WAIT_US;
	ssize_t n;

	while (b->n > 0) {
		n = send(t->fd, b->p + b->off, b->n, MSG_NOSIGNAL);
		if (n > 0)
			buf_consume(b, (size_t)n);
		else if (errno != EINTR &&
		    (errno != EAGAIN || !wait_fd(t, POLLOUT, until)))
			return false;
	}
	return true;
}

/* More from the worker to t->in. */
static bool
receive(struct talk *t, int64_t until)
{
	char *room = buf_room(&t->in, 4096);
	ssize_t n;

	if (room == NULL)
		return false;
	for (;;) {
		n = recv(t->fd, room, 4096, 0);
		if (n > 0) {
			buf_grew(&t->in, (size_t)n);
			return true;
		}
		if (n == 0 ||
		    (errno != EINTR &&
			(errno != EAGAIN || !wait_fd(t, POLLIN, until))))
			return false;
	}
}

/* The next reply's code; 0: there is none, the session is over. */
static int
hear(struct talk *t)
{
	int64_t until = clock_mono_us() + REPLY_WAIT_US;
	struct slice in;
	int got;

	for (;;) {
		in = buf_slice(&t->in);
		got = reply_parse(&t->reply, &in, NULL, NULL);
		buf_consume(&t->in, t->in.n - in.n);
		if (got != 0)
			return got > 0 ? t->reply.now.code : 0;
		if (!receive(t, until))
			return 0;
	}
}

/* Sends what g->out holds and hears the answer, which is kept. */
static int
ask(struct giving *g)
{
	struct talk *t = g->t;
	const struct reply *r = &t->reply.now;
	int code = send_all(t, &g->out) ? hear(t) : 0;

	memset(&g->last.outcome, 0, sizeof(g->last.outcome));
	buf_reset(&g->out);
	if (code == 0) {
		slice_copy(SL("the session ended"), g->last.text,
		    sizeof(g->last.text));
		return 0;
	}
	g->last.outcome.klass = OUTCOME_BOUNCED;
	g->last.outcome.stage = STAGE_LOCAL;
	g->last.outcome.code = (uint16_t)code;
	g->last.outcome.enh = r->enh;
	slice_copy(reply_text(r), g->last.text, sizeof(g->last.text));
	return code;
}

/* ---- the session -------------------------------------------------------------- */

static struct worker *
door_keeper(struct daemon *d)
{
	for (uint32_t i = 0; i < d->nworkers; i++)
		if (d->worker[i].roles & ROLE_IN)
			return &d->worker[i];
	return NULL;
}

static bool
talk_open(struct giving *g)
{
	struct talk *t = g->t;
	struct worker *w = door_keeper(t->k->d);
	struct post_local *p;
	int pair[2];

	if (t->fd >= 0 && t->uid == g->f->uid && t->conf == g->conf)
		return true;
	talk_close(t);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0,
		pair))
		return false;
	p = mem_try(sizeof(*p));
	if (!p) {
		close(pair[0]);
		close(pair[1]);
		return false;
	}
	t->fd = pair[0];
	t->uid = g->f->uid;
	t->conf = g->conf;
	p->post.kind = POST_LOCAL;
	p->fd = pair[1];
	p->uid = t->uid;
	worker_post(w, &p->post);
	if (hear(t) != 220)
		return false;
	buf_addz(&g->out, "EHLO localhost\r\n");
	return ask(g) == 250;
}

/* ---- the envelope --------------------------------------------------------------- */

/* An address without a domain is of this host. */
static void
qualify(const struct conf *c, struct slice address, char *dst, size_t cap)
{
	if (address.n == 0 || mailbox_is_valid(address, true))
		snprintf(dst, cap, "%.*s", SLF(address));
	else
		snprintf(dst, cap, "%.*s@%.*s", SLF(address), SLF(c->hostname));
}

static bool
has_dsn(const struct giving *g)
{
	return g->conf->sendmail.door.smtp.exts & EXT_DSN;
}

static int
ask_mail(struct giving *g, const char *sender, bool is_notice)
{
	const struct drop_reader *r = g->f->r;
	const struct drop_head *h = &r->head;

	buf_addf(&g->out, "MAIL FROM:<%s>", sender);
	if (r->has_8bit)
		buf_addz(&g->out, " BODY=8BITMIME");
	if (r->has_8bit_names)
		buf_addz(&g->out, " SMTPUTF8");
	if (!is_notice)
		buf_addf(&g->out, " SIZE=%llu",
		    (unsigned long long)r->body_bytes);
	if (!is_notice && has_dsn(g) && h->ret)
		buf_addz(&g->out,
		    h->ret == ENV_RET_HDRS ? " RET=HDRS" : " RET=FULL");
	if (!is_notice && has_dsn(g) && h->envid.n > 0)
		buf_addf(&g->out, " ENVID=%.*s", SLF(h->envid));
	buf_addz(&g->out, "\r\n");
	return ask(g);
}

static void
add_notify(struct giving *g)
{
	static const char *const words[] = { "NEVER", "SUCCESS", "FAILURE",
		"DELAY" };
	uint8_t notify = g->f->r->head.notify;
	const char *sep = " NOTIFY=";

	if (!has_dsn(g))
		return;
	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		if (notify >> i & 1) {
			buf_addf(&g->out, "%s%s", sep, words[i]);
			sep = ",";
		}
}

static int
ask_rcpt(struct giving *g, const char *to, bool is_notice)
{
	buf_addf(&g->out, "RCPT TO:<%s>", to);
	if (!is_notice)
		add_notify(g);
	buf_addz(&g->out, "\r\n");
	return ask(g);
}

/* Each recipient: true when none is put off. */
static bool
give_rcpts(struct giving *g)
{
	struct slice rest = g->f->r->head.rcpts, one;
	char to[MAILBOX_MAX + DOMAIN_MAX + 2];
	struct refused_rcpt *r;
	int code;

	while (drop_rcpt_next(&rest, &one)) {
		qualify(g->conf, one, to, sizeof(to));
		code = ask_rcpt(g, to, false);
		if (code / 100 == 2) {
			g->naccepted++;
			continue;
		}
		if (code / 100 != 5)
			return false;
		if (g->nrefused < REFUSED_MAX) {
			r = &g->refused[g->nrefused];
			slice_copy(slice_str(to), r->address,
			    sizeof(r->address));
			r->why = g->last;
		}
		g->nrefused++;
	}
	return true;
}

/* ---- the message ------------------------------------------------------------------ */

/* The front of the message, and what is missing in it. False: it cannot be
 * read. */
static bool
look_at_header(struct giving *g)
{
	const struct drop_reader *r = g->f->r;
	size_t n = (size_t)MIN(r->body_bytes, (uint64_t)INTAKE_SHARE);
	struct submit_look look = { 0 };
	struct submit_fill fill = { .unix_us = r->head.made_us,
		.hostname = g->conf->hostname,
		.from = slice_str(g->sender),
		.from_name = r->head.name };
	struct slice rest, key = g->conf->steering[STEER_KEY];
	struct hdr h;
	bool is_none, has_key = false;
	char *room = buf_room(&g->header, n);

	if (!room || pread(g->f->fd, room, n, (off_t)r->body_at) != (ssize_t)n)
		return false;
	buf_grew(&g->header, n);
	rest = buf_slice(&g->header);
	while (hdr_next(&rest, &h)) {
		submit_see(&look, h.name, h.value);
		has_key |= slice_ieq(h.name, key);
	}
	fill.id =
	    msgid_make(r->head.made_us, g->conf->node, g->f->inode & 0xffffff);
	if (submit_add(&g->added, &look, &fill))
		return false;
	/* Killed before the file is removed, the daemon meets it once more. */
	if (!has_key &&
	    buf_addf(&g->added, "%.*s: drop-%u-%s\r\n", SLF(key), g->f->uid,
		g->f->name))
		return false;
	hdr_section(buf_slice(&g->header), &is_none);
	/* A body begins at once: the fields need a line behind them. */
	return !is_none || !buf_addz(&g->added, "\r\n");
}

/* Dots at the beginning of lines are doubled. eol: 2 behind CRLF, 1 behind CR. */
static void
stuff(struct buf *out, struct slice s, int *eol)
{
	size_t from = 0;

	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];

		if (*eol == 2 && c == '.') {
			buf_add(out, s.p + from, i - from);
			buf_addc(out, '.');
			from = i;
		}
		*eol = c == '\r' ? 1 : c == '\n' && *eol == 1 ? 2 : 0;
	}
	buf_add(out, s.p + from, s.n - from);
}

/* The message and its final dot; the answer's code. */
static int
give_body(struct giving *g)
{
	const struct drop_reader *r = g->f->r;
	char piece[PIECE_BYTES];
	uint64_t at = 0;
	int eol = 2;
	ssize_t n;

	stuff(&g->out, buf_slice(&g->added), &eol);
	while (at < r->body_bytes) {
		n = pread(g->f->fd, piece,
		    (size_t)MIN(r->body_bytes - at, (uint64_t)sizeof(piece)),
		    (off_t)(r->body_at + at));
		if (n <= 0)
			return 0; /* it is not what it was */
		stuff(&g->out, slice_of(piece, (size_t)n), &eol);
		at += (uint64_t)n;
		if (g->out.failed || !send_all(g->t, &g->out))
			return 0;
	}
	buf_addz(&g->out, eol == 2 ? ".\r\n" : "\r\n.\r\n");
	return ask(g);
}

/* ---- what is refused ----------------------------------------------------------------- */

/* The header as far as the notice may show it. */
static struct slice
shown_header(const struct giving *g)
{
	struct slice all = buf_slice(&g->header), rest = all;
	struct hdr h;

	while (hdr_next(&rest, &h))
		continue;
	return slice_of(all.p, all.n - rest.n);
}

static bool
build_notice(struct giving *g, struct buf *out)
{
	const struct drop_head *h = &g->f->r->head;
	uint32_t n = MIN(g->nrefused, REFUSED_MAX);
	struct dsn_rcpt *v = mem_try(n * sizeof(*v));
	int64_t now = clock_wall_us();
	struct dsn_in in = { .action = DSN_FAILED,
		.hostname = g->conf->hostname,
		.postmaster = g->conf->postmaster,
		.to = slice_str(g->sender),
		.envid = h->envid,
		.id = msgid_make(now, g->conf->node, g->f->inode & 0xffffff),
		.arrival_us = h->made_us,
		.now_us = now,
		.original = shown_header(g),
		.rcpts = v,
		.nrcpt = n };
	int err;

	if (!v)
		return false;
	in.original_id = in.id;
	for (uint32_t i = 0; i < n; i++) {
		v[i].address = slice_str(g->refused[i].address);
		v[i].outcome = g->refused[i].why.outcome;
		v[i].text = slice_str(g->refused[i].why.text);
		v[i].last_attempt_us = now;
	}
	err = dsn_build(out, &in);
	mem_free(v);
	return err == 0;
}

/* A notice of the recipients that were refused: the last reply's code, or 0. */
static int
give_notice(struct giving *g)
{
	struct buf notice;
	int eol = 2, code = 0;

	buf_init(&notice, 1u << 20);
	if (build_notice(g, &notice) && ask_mail(g, "", true) == 250 &&
	    ask_rcpt(g, g->sender, true) == 250) {
		buf_addz(&g->out, "DATA\r\n");
		if (ask(g) == 354) {
			stuff(&g->out, buf_slice(&notice), &eol);
			buf_addz(&g->out, ".\r\n");
			code = ask(g);
		}
	}
	buf_free(&notice);
	return code;
}

/* All recipients are refused as the whole message was. */
static void
refuse_all(struct giving *g)
{
	struct slice rest = g->f->r->head.rcpts, one;
	struct refusal why = g->last;

	g->nrefused = 0;
	while (drop_rcpt_next(&rest, &one) && g->nrefused < REFUSED_MAX) {
		struct refused_rcpt *r = &g->refused[g->nrefused++];

		qualify(g->conf, one, r->address, sizeof(r->address));
		r->why = why;
	}
}

/* ---- a file ---------------------------------------------------------------------------- */

static enum pickup_verdict
verdict_of(int code)
{
	return code / 100 == 2 ? PICKUP_TAKEN :
	    code / 100 == 5    ? PICKUP_BAD :
				 PICKUP_LATER;
}

/* The transaction; what the verdict is about is in g->last. */
static enum pickup_verdict
give(struct giving *g)
{
	int code;

	qualify(g->conf, g->f->r->head.sender, g->sender, sizeof(g->sender));
	if (!look_at_header(g) || !talk_open(g))
		return PICKUP_LATER;
	code = ask_mail(g, g->sender, false);
	if (code / 100 != 2)
		return verdict_of(code);
	if (!give_rcpts(g))
		return PICKUP_LATER;
	if (g->naccepted == 0) {
		g->last = g->refused[0].why;
		return PICKUP_BAD;
	}
	buf_addz(&g->out, "DATA\r\n");
	code = ask(g);
	return code == 354 ? verdict_of(give_body(g)) : verdict_of(code);
}

/* What is refused goes back to its sender, if he wants to hear of it. */
static enum pickup_verdict
settle(struct giving *g, enum pickup_verdict v)
{
	uint8_t notify = g->f->r->head.notify;
	struct refusal why = g->last;
	int code;

	if (v == PICKUP_LATER || (v == PICKUP_TAKEN && g->nrefused == 0))
		return v;
	if (v == PICKUP_BAD)
		refuse_all(g);
	if (notify != 0 && !(notify & NOTIFY_FAILURE))
		return PICKUP_TAKEN; /* nobody wants to know */
	if (g->sender[0] == '\0')
		return v;
	if (v == PICKUP_BAD) { /* an open transaction is none of its */
		buf_addz(&g->out, "RSET\r\n");
		if (ask(g) == 0)
			return PICKUP_LATER;
	}
	code = give_notice(g);
	if (code / 100 == 2)
		return PICKUP_TAKEN;
	g->last = why;
	return v;
}

enum pickup_verdict
talk_give(struct talk *t, const struct conf *c, const struct drop_file *f,
    char *why, size_t cap)
{
	struct giving g = { .t = t, .conf = c, .f = f };
	enum pickup_verdict v = PICKUP_LATER;

	buf_init(&g.out, 1u << 20);
	buf_init(&g.header, INTAKE_SHARE);
	buf_init(&g.added, 4096);
	slice_copy(SL("no session, or the file cannot be read"), g.last.text,
	    sizeof(g.last.text));
	g.refused = mem_try(REFUSED_MAX * sizeof(*g.refused));
	if (g.refused)
		v = settle(&g, give(&g));
	if (v != PICKUP_TAKEN) {
		snprintf(why, cap, "%u %s", g.last.outcome.code, g.last.text);
		talk_close(t);
	}
	buf_free(&g.out);
	buf_free(&g.header);
	buf_free(&g.added);
	mem_free(g.refused);
	return v;
}

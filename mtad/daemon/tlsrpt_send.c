/*
 * daemon/tlsrpt_send.c - a report on its way: compressed, by HTTPS on the keeper's
 * thread, whose strangers nobody else waits for, or as mail that is handed in like
 * a client's, so that it is signed, kept and delivered as all mail is.
 */
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>
#include <zlib.h>

#include "daemon/tlsrpt.h"

#define GZIP_MAX (4u << 20)
#define POST_US (30 * US_PER_S)
#define ANSWER_MAX 65536u
#define MAIL_US (60 * US_PER_S)

int
rpt_gzip(struct buf *out, struct slice text)
{
	z_stream z = { .next_in = (Bytef *)(uintptr_t)text.p,
		.avail_in = (uInt)text.n };
	char *to;
	int rc;

	ASSERT(text.n <= GZIP_MAX);
	/* 16 more than the largest window: with gzip's head and tail. */
	if (deflateInit2(&z, Z_BEST_COMPRESSION, Z_DEFLATED, MAX_WBITS + 16, 8,
		Z_DEFAULT_STRATEGY) != Z_OK)
		return E_NOMEM;
	z.avail_out = (uInt)deflateBound(&z, text.n);
	to = buf_room(out, z.avail_out);
	z.next_out = (Bytef *)to;
	rc = to != NULL ? deflate(&z, Z_FINISH) : Z_MEM_ERROR;
	if (rc == Z_STREAM_END)
		buf_grew(out, z.total_out);
	deflateEnd(&z);
	return rc == Z_STREAM_END ? 0 : E_NOMEM;
}

/* ---- by HTTPS (RFC 8460 5.4) ------------------------------------------------------ */

static void
on_reply(void *user, const struct https_reply *r)
{
	struct post_report *p = user;

	p->why[0] = '\0';
	if (r->why != NULL)
		snprintf(p->why, sizeof(p->why), "%s", r->why);
	else if (r->status / 100 != 2)
		snprintf(p->why, sizeof(p->why), "HTTP status %ld", r->status);
	p->post.kind = POST_REPORT_DONE;
	worker_post(p->from, &p->post);
}

void
rpt_post(struct keeper *k, struct post_report *p)
{
	struct https_ask ask = {
		.host = p->to.host,
		.path = p->to.path,
		.ca = p->ca[0] ? p->ca : NULL,
		.port = p->to.port,
		.ip = p->ip,
		.timeout_us = POST_US,
		.body_max = ANSWER_MAX,
		.post_type = "application/tlsrpt+gzip",
		.post = buf_slice(&p->gzip),
	};
	struct https_reply none = { .why = "out of memory" };

	if (k->https == NULL)
		k->https = https_new(k->loop);
	if (k->https != NULL)
		https_post(k->https, &ask, on_reply, p);
	else
		on_reply(p, &none);
}

/* ---- as mail ------------------------------------------------------------------------ */

struct errand {
	struct worker *w;
	struct conn *conn;
	struct smtp_cli *cli;
	struct smtp_cli_conf conf;
	struct smtp_cli_rcpt rcpt;
	struct buf message;
	char from[MAILBOX_MAX + 1], to[MAILBOX_MAX + 1];
	void (*done)(void *, uint64_t, bool);
	void *ctx;
	uint64_t arg;
	bool is_taken;
};

static void
errand_end(struct errand *e)
{
	if (e->conn != NULL)
		conn_close(e->conn);
	smtp_cli_free(e->cli);
	buf_free(&e->message);
	e->done(e->ctx, e->arg, e->is_taken);
	mem_free(e);
}

static void
begin(struct errand *e)
{
	struct smtp_cli_txn txn = {
		.sender = slice_str(e->from),
		.rcpts = &e->rcpt,
		.nrcpt = 1,
		.size = e->message.n,
	};

	smtp_cli_begin(e->cli, &txn, loop_now(e->w->loop));
	smtp_cli_quit(e->cli, loop_now(e->w->loop));
}

/* False: it is over. */
static bool
errand_act(struct errand *e, enum smtp_cli_act what)
{
	const struct smtp_cli_result *r;

	switch (what) {
	case CLI_UP:
		begin(e);
		return true;
	case CLI_BODY:
		smtp_cli_body(e->cli, buf_slice(&e->message), true, true,
		    loop_now(e->w->loop));
		return true;
	case CLI_RESULT:
		r = smtp_cli_result(e->cli);
		e->is_taken = r->rcpt[0].outcome.klass == OUTCOME_DELIVERED;
		return true;
	case CLI_DOWN:
		return false;
	default:
		return false;
	}
}

static void
errand_run(struct errand *e, struct slice in)
{
	enum smtp_cli_act what;

	while ((what = smtp_cli_step(e->cli, &in, loop_now(e->w->loop))) !=
	    CLI_NEED_INPUT)
		if (!errand_act(e, what)) {
			errand_end(e);
			return;
		}
	if (smtp_cli_out(e->cli)->n > 0)
		(void)conn_send(e->conn, smtp_cli_out(e->cli));
}

static size_t
on_data(void *user, struct conn *c, struct slice data)
{
	(void)c;
	errand_run(user, data);
	return data.n;
}

static void
on_gone(void *user, struct conn *c, int err)
{
	struct errand *e = user;

	(void)c, (void)err;
	smtp_cli_gone(e->cli, SL("closed"), loop_now(e->w->loop));
	errand_run(e, SL(""));
}

static void
on_drained(void *user, struct conn *c)
{
	struct errand *e = user;

	(void)c;
	smtp_cli_flushed(e->cli, loop_now(e->w->loop));
}

static void
on_deadline(void *user, struct conn *c)
{
	on_gone(user, c, 0);
}

static const struct conn_ops errand_ops = {
	.on_data = on_data,
	.on_gone = on_gone,
	.on_drained = on_drained,
	.on_deadline = on_deadline,
};

/* The other end goes to a worker that takes mail in. */
static bool
hand_over(struct worker *w, int fd)
{
	struct post_local *p;

	for (uint32_t i = 0; i < w->d->nworkers; i++) {
		if (!(w->d->worker[i].roles & ROLE_IN))
			continue;
		p = mem_get(sizeof(*p));
		p->post.kind = POST_LOCAL;
		p->fd = fd;
		p->uid = geteuid();
		worker_post(&w->d->worker[i], &p->post);
		return true;
	}
	return false;
}

bool
rpt_mail(struct worker *w, struct slice from, struct slice to,
    struct buf *message, void (*done)(void *ctx, uint64_t arg, bool ok),
    void *ctx, uint64_t arg)
{
	struct errand *e = mem_get(sizeof(*e));
	int fd[2] = { -1, -1 };

	smtp_cli_conf_default(&e->conf);
	e->w = w;
	e->conf.ehlo_name = w->conf->hostname;
	e->conf.wants_tls = false;
	slice_copy(from, e->from, sizeof(e->from));
	slice_copy(to, e->to, sizeof(e->to));
	e->rcpt.address = slice_str(e->to);
	e->done = done;
	e->ctx = ctx;
	e->arg = arg;
	e->cli = smtp_cli_new(&e->conf, loop_now(w->loop));
	if (e->cli != NULL &&
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0,
		fd) == 0)
		e->conn = conn_new(w->loop, fd[0], &errand_ops, e);
	if (e->conn != NULL && hand_over(w, fd[1])) {
		e->message = *message;
		buf_init(message, 0);
		conn_set_deadline(e->conn, loop_now(w->loop) + MAIL_US);
		return true;
	}
	if (e->conn != NULL)
		conn_close(e->conn);
	else if (fd[0] >= 0)
		close(fd[0]);
	if (fd[1] >= 0)
		close(fd[1]);
	smtp_cli_free(e->cli);
	mem_free(e);
	return false;
}

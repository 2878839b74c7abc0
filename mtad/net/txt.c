/*
 * net/txt.c - TXT records for tools: one question, and the caller waits for its
 * answer, but no longer than he says. The daemon's loops have no use for it.
 */
#include <poll.h>
#include <stdio.h>
#include <unbound.h>

#include "net/net.h"

#define TYPE_TXT 16
#define CLASS_IN 1
#define DEADLINE_MS 20000

struct question {
	struct ub_ctx *ctx;
	struct ub_result *answer; /* NULL: none, or not yet */
	bool is_over;
};

static void
on_answer(void *ctx, int err, struct ub_result *answer)
{
	struct question *q = ctx;

	q->is_over = true;
	if (err == 0)
		q->answer = answer;
	else
		ub_resolve_free(answer);
}

static int
set_servers(struct ub_ctx *ctx, const struct dns_conf *conf)
{
	char text[80];
	int err = 0;

	for (uint32_t i = 0; i < conf->nservers && !err; i++) {
		size_t n = ip_format(text, &conf->servers[i].ip);

		snprintf(text + n, sizeof(text) - n, "@%u",
		    conf->servers[i].port);
		err = ub_ctx_set_fwd(ctx, text);
	}
	if (conf->nservers == 0)
		err = ub_ctx_resolvconf(ctx, NULL);
	if (!err && conf->trust_anchor)
		err = ub_ctx_add_ta_file(ctx, conf->trust_anchor);
	if (!err)
		err = ub_ctx_set_option(ctx, "do-not-query-localhost:", "no");
	if (!err)
		err = ub_ctx_async(ctx, 1);
	return err;
}

/* A record's texts, each behind its length, are one (RFC 6376 3.6.2.2). */
static bool
join(struct slice data, struct buf *out)
{
	while (data.n > 0) {
		size_t n = (uint8_t)data.p[0];

		if (n >= data.n || buf_add(out, data.p + 1, n))
			return false;
		data = slice_skip(data, n + 1);
	}
	return !buf_addc(out, '\0');
}

static int
read_answer(const struct ub_result *r, struct buf *out, const char **why)
{
	*why = r->nxdomain ? "there is no such name" : "there is no TXT record";
	if (r->bogus) {
		*why = "the answer is not what its zone signed (DNSSEC)";
		return E_CORRUPT;
	}
	if (!r->havedata) {
		if (r->rcode == 0 || r->nxdomain)
			return E_NOTFOUND;
		*why = "the resolver could not tell";
		return E_AGAIN;
	}
	for (int i = 0; r->data[i] != NULL; i++)
		if (r->len[i] < 0 ||
		    !join(slice_of(r->data[i], (size_t)r->len[i]), out)) {
			*why = "the record makes no sense";
			return E_CORRUPT;
		}
	return 0;
}

static int
ask(struct question *q, const char *name)
{
	struct pollfd pf = { .fd = ub_fd(q->ctx), .events = POLLIN };
	int id,
	    err = ub_resolve_async(q->ctx, name, TYPE_TXT, CLASS_IN, q,
		on_answer, &id);

	if (err)
		return E_IO;
	while (!q->is_over) {
		if (poll(&pf, 1, DEADLINE_MS) <= 0) {
			ub_cancel(q->ctx, id);
			return E_TIMEOUT;
		}
		if (ub_process(q->ctx))
			return E_IO;
	}
	return q->answer ? 0 : E_AGAIN;
}

int
dns_txt(const struct dns_conf *conf, const char *name, struct buf *out,
    const char **why)
{
	struct question q = { .ctx = ub_ctx_create() };
	int err;

	*why = "the resolver cannot be set up";
	if (q.ctx == NULL)
		return E_NOMEM;
	err = set_servers(q.ctx, conf) ? E_IO : 0;
	if (!err) {
		*why = "the resolver does not answer";
		err = ask(&q, name);
	}
	if (!err)
		err = read_answer(q.answer, out, why);
	ub_resolve_free(q.answer);
	ub_ctx_delete(q.ctx);
	return err;
}

/*
 * net/hop.c - from a connection to a proxy to one with the host.
 *
 * Up to the login all that fails is the proxy's fault; then it says itself what
 * is the host's. The connection that its caller gets is the same socket: what
 * the host sends with the proxy's last reply is still to be read on it. Where
 * the proxy is spoken to in TLS that is a pair of sockets with a bridge to it,
 * for the mail inside may have TLS of its own.
 */
#include <stdio.h>
#include <unistd.h>

#include "net/net_i.h"
#include "proto/proxy.h"
#include "proto/socks.h"

#define LINGER_US (5 * US_PER_S)

struct hop {
	struct loop *loop;
	struct conn *conn;
	void (*on_end)(void *user, enum hop_end end, struct conn *c,
	    const char *why);
	void *user;
	struct hop_want want; /* its slices are not kept */
	char tls_name[DOMAIN_TEXT_MAX];
	struct socks_cli socks;
	struct buf header; /* of the PROXY protocol */
	int64_t until_us;  /* of the present part */
};

static void
hop_free(struct hop *h)
{
	if (h->conn != NULL)
		conn_close(h->conn);
	socks_cli_free(&h->socks);
	buf_free(&h->header);
	mem_free(h);
}

void
hop_close(struct hop *h)
{
	hop_free(h);
}

static void
finish(struct hop *h, enum hop_end end, const char *why)
{
	h->on_end(h->user, end, NULL, why);
	hop_free(h);
}

/* ---- it is up ------------------------------------------------------------------- */

static size_t
no_data(void *user, struct conn *c, struct slice data)
{
	(void)user;
	(void)c;
	return data.n;
}

static void
no_end(void *user, struct conn *c, int err)
{
	(void)user;
	(void)c;
	(void)err;
}

/* Of a connection that is about to get its owner. */
static const struct conn_ops no_ops = { .on_data = no_data, .on_gone = no_end };

/* The far end of a pair whose near end is bridged to c; NULL: c is the caller's
 * still. */
static struct conn *
inside_out(struct loop *l, struct conn *c)
{
	const struct bridge_conf conf = { .idle_us = TIME_NEVER,
		.linger_us = LINGER_US };
	struct conn *near, *far = NULL;
	int fd[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0,
		fd) != 0)
		return NULL;
	near = conn_new(l, fd[0], &no_ops, NULL);
	if (near != NULL)
		far = conn_new(l, fd[1], &no_ops, NULL);
	if (far != NULL && bridge_new(l, c, near, &conf) != NULL)
		return far;
	if (near != NULL)
		conn_close(near);
	else
		close(fd[0]);
	if (far != NULL)
		conn_close(far);
	else
		close(fd[1]);
	return NULL;
}

static void
done(struct hop *h)
{
	struct conn *c = h->conn;

	if (h->want.is_look) {
		finish(h, HOP_UP, "");
		return;
	}
	h->conn = NULL;
	if (conn_is_tls(c)) {
		struct conn *far = inside_out(h->loop, c);

		if (far == NULL) {
			h->conn = c;
			finish(h, HOP_AWAY, "out of sockets");
			return;
		}
		c = far;
	}
	h->on_end(h->user, HOP_UP, c, "");
	conn_resume(c);
	hop_free(h);
}

/* ---- SOCKS5 ----------------------------------------------------------------------- */

static enum hop_end
end_of(uint8_t reply)
{
	switch (reply) {
	case SOCKS_NETWORK:
	case SOCKS_HOST:
	case SOCKS_REFUSED:
	case SOCKS_TTL:
		return HOP_REFUSED;
	case SOCKS_COMMAND:
		return HOP_AWAY;
	default:
		return HOP_DENIED;
	}
}

/* Did it use the source's address? */
static void
check_source(struct hop *h)
{
	char got[IP_TEXT_MAX], want[IP_TEXT_MAX], why[128];

	if (!h->want.checks_source ||
	    ip_eq(&h->socks.bound.ip, &h->want.source)) {
		done(h);
		return;
	}
	ip_format(got, &h->socks.bound.ip);
	ip_format(want, &h->want.source);
	snprintf(why, sizeof(why), "it went out by %s, not by %s", got, want);
	finish(h, HOP_ASTRAY, why);
}

static void
socks_go_on(struct hop *h)
{
	char why[128];

	if (h->socks.state == SOCKS_CLI_READY && h->want.is_look) {
		done(h);
		return;
	}
	if (h->socks.state == SOCKS_CLI_READY) {
		socks_cli_connect(&h->socks, &h->want.to);
		h->until_us = loop_now(h->loop) + h->want.connect_us;
	}
	if (h->socks.state == SOCKS_CLI_OPEN) {
		check_source(h);
		return;
	}
	if (h->socks.state == SOCKS_CLI_BROKEN) {
		finish(h, h->socks.has_refused ? HOP_ASTRAY : HOP_AWAY,
		    h->socks.why);
		return;
	}
	if (h->socks.state == SOCKS_CLI_REFUSED) {
		snprintf(why, sizeof(why), "the proxy says: %s",
		    socks_reply_text(h->socks.reply));
		finish(h, end_of(h->socks.reply), why);
		return;
	}
	conn_set_deadline(h->conn, h->until_us);
	conn_send(h->conn, &h->socks.out);
}

static size_t
on_data(void *user, struct conn *c, struct slice data)
{
	struct hop *h = user;
	size_t n;

	(void)c;
	/* What was sent must have left before more is said; and behind a PROXY
	 * header all is the host's. */
	if (h->socks.out.n > 0 || h->want.is_haproxy)
		return 0;
	n = socks_cli_feed(&h->socks, data);
	conn_resume(h->conn);
	socks_go_on(h);
	return n;
}

/* ---- the connection ------------------------------------------------------------------ */

static void
haproxy_start(struct hop *h)
{
	struct endpoint from = { .ip = h->want.source };
	unsigned char at[PROXY_V2_BYTES_MAX];
	size_t n;

	if (h->want.is_look) {
		done(h);
		return;
	}
	n = proxy_v2_write(at, &from, &h->want.to);
	if (buf_add(&h->header, at, n) == 0 && conn_send(h->conn, &h->header))
		done(h);
}

static void
start(struct hop *h)
{
	if (h->want.is_haproxy)
		haproxy_start(h);
	else
		socks_go_on(h);
}

static void
on_drained(void *user, struct conn *c)
{
	struct hop *h = user;

	(void)c;
	if (h->want.is_haproxy)
		done(h);
	else
		conn_resume(h->conn);
}

static void
on_connect(void *user, struct conn *c, int err)
{
	struct hop *h = user;
	struct tls_want want = { .check = TLS_CHECK_PKIX, .nnames = 1 };
	char text[128];

	if (err != 0) {
		finish(h, HOP_AWAY, strerror_r(err, text, sizeof(text)));
		return;
	}
	if (h->want.tls == NULL) {
		start(h);
		return;
	}
	want.sni = want.names[0] = slice_str(h->tls_name);
	conn_tls_connect_as(c, h->want.tls, &want);
}

static void
on_tls(void *user, struct conn *c, bool ok, const char *why)
{
	struct hop *h = user;
	char text[256];

	(void)c;
	if (ok) {
		start(h);
		return;
	}
	snprintf(text, sizeof(text), "TLS: %s", why);
	finish(h, HOP_AWAY, text);
}

static void
on_gone(void *user, struct conn *c, int err)
{
	struct hop *h = user;
	char text[128];

	(void)c;
	finish(h, h->socks.state == SOCKS_CLI_CONNECT ? HOP_SILENT : HOP_AWAY,
	    err != 0 ? strerror_r(err, text, sizeof(text)) :
		       "it closed the connection");
}

static void
on_deadline(void *user, struct conn *c)
{
	struct hop *h = user;

	(void)c;
	if (h->socks.state == SOCKS_CLI_CONNECT)
		finish(h, HOP_SILENT, "connection timed out");
	else
		finish(h, HOP_AWAY, "it did not answer in time");
}

static const struct conn_ops hop_ops = {
	.on_data = on_data,
	.on_connect = on_connect,
	.on_tls = on_tls,
	.on_drained = on_drained,
	.on_gone = on_gone,
	.on_deadline = on_deadline,
};

struct hop *
hop_open(struct loop *l, const struct hop_want *want,
    void (
	*on_end)(void *user, enum hop_end end, struct conn *c, const char *why),
    void *user, char *why, size_t why_cap)
{
	struct hop *h = mem_try(sizeof(*h));
	char text[128];
	int err = 0;

	if (h == NULL) {
		snprintf(why, why_cap, "out of memory");
		return NULL;
	}
	h->loop = l;
	h->want = *want;
	h->on_end = on_end;
	h->user = user;
	slice_copy(want->tls_name, h->tls_name, sizeof(h->tls_name));
	buf_init(&h->header, 256);
	if (socks_cli_init(&h->socks, want->user, want->password) == 0)
		h->conn =
		    conn_connect(l, NULL, &want->proxy, &hop_ops, h, &err);
	if (h->conn == NULL) {
		snprintf(why, why_cap, "%s",
		    err != 0 ? strerror_r(err, text, sizeof(text)) :
			       "the user or password is too long");
		hop_free(h);
		return NULL;
	}
	h->until_us = loop_now(l) + want->timeout_us;
	conn_set_deadline(h->conn, h->until_us);
	return h;
}

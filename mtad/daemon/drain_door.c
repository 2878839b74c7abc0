/*
 * daemon/drain_door.c - where nodes that are drained connect: the sockets of
 * relay/drain.h's target, on the core's loop.
 *
 * What is to be said gathers in the conversation's buffer, also when a commit is
 * done while nothing comes in; so each turn of the core looks at all of them,
 * which are few.
 */
#include <unistd.h>

#include "daemon/daemon_i.h"

#define TLS_US (15 * US_PER_S)
#define LINGER_US US_PER_S
#define GUESTS_MAX 64u

struct guest {
	struct list link;
	struct drain_door *door;
	struct conn *conn;
	struct endpoint peer;
	struct handle session; /* none: TLS is not up yet */
};

struct drain_door {
	struct worker *w;
	struct drain_in *in;
	struct listener *listener;
	struct list guests;
	uint32_t nguests;
};

static void
guest_end(struct guest *g)
{
	if (!handle_is_none(g->session)) {
		conn_send(g->conn, drain_in_buf(g->door->in, g->session));
		conn_close_gently(g->conn, LINGER_US);
		drain_in_gone(g->door->in, g->session);
	} else
		conn_close(g->conn);
	list_remove(&g->link);
	g->door->nguests--;
	mem_free(g);
}

/* False: it is over, and g is gone. */
static bool
guest_flush(struct guest *g)
{
	struct drain_in *in = g->door->in;
	const char *why;

	if (handle_is_none(g->session))
		return true;
	why = drain_in_down(in, g->session);
	if (why) {
		char text[ENDPOINT_TEXT_MAX];

		endpoint_format(text, &g->peer);
		log_event(LOG_INFO, "drain", "what",
		    "a source's conversation ended", "peer", text, "why", why,
		    NULL);
		guest_end(g);
		return false;
	}
	if (drain_in_buf(in, g->session)->n && !conn_is_sending(g->conn))
		conn_send(g->conn, drain_in_buf(in, g->session));
	return true;
}

static void
begin(struct guest *g)
{
	struct worker *w = g->door->w;
	struct drain_talk t = { .peer = g->peer };

	drain_nonce(&t);
	t.has_binding = conn_tls_binding(g->conn, t.binding);
	conn_set_deadline(g->conn, TIME_NEVER);
	if (drain_refresh(w) == 0)
		g->session = drain_in_begin(g->door->in, &t, loop_now(w->loop));
	if (handle_is_none(g->session))
		guest_end(g);
}

static size_t
on_data(void *user, struct conn *c, struct slice data)
{
	struct guest *g = user;
	struct loop *l = g->door->w->loop;

	(void)c;
	if (handle_is_none(g->session))
		return data.n;
	core_clock(g->door->w->core, loop_now(l), loop_wall(l));
	drain_in_feed(g->door->in, g->session, data, loop_now(l));
	return data.n;
}

static void
on_tls(void *user, struct conn *c, bool ok, const char *why)
{
	(void)c;
	if (ok) {
		begin(user);
		return;
	}
	log_event(LOG_INFO, "drain", "what", "TLS failed", "why", why, NULL);
	guest_end(user);
}

static void
on_gone(void *user, struct conn *c, int err)
{
	(void)c;
	(void)err;
	guest_end(user);
}

static void
on_deadline(void *user, struct conn *c)
{
	(void)c;
	guest_end(user);
}

static const struct conn_ops conn_ops = {
	.on_data = on_data,
	.on_tls = on_tls,
	.on_gone = on_gone,
	.on_deadline = on_deadline,
};

static bool
may_come(const struct drain_door *d, const struct ip *ip)
{
	const struct conf_drain *c = &d->w->conf->drain;
	bool is_listed = false;

	for (uint32_t i = 0; i < c->nfrom; i++)
		is_listed |= cidr_has(&c->from[i], ip);
	return is_listed && !d->w->is_stopping && d->nguests < GUESTS_MAX;
}

static struct tls_ctx *
certificate(const struct drain_door *d)
{
	const struct conf_tls *c = &d->w->conf->drain.tls;
	struct tls_ctx *t;
	char why[256];

	t = tls_server_new(c->cert.p, c->key.p, why, sizeof(why));
	if (!t)
		log_event(LOG_ERROR, "tls", "listener", "drain", "what", why,
		    NULL);
	return t;
}

static void
on_accept(void *user, int fd, const struct endpoint *peer)
{
	struct drain_door *d = user;
	bool is_tls = d->w->conf->drain.tls.cert.n > 0;
	struct tls_ctx *tls = NULL;
	struct guest *g = NULL;

	if (may_come(d, &peer->ip) && (!is_tls || (tls = certificate(d))))
		g = mem_try(sizeof(*g));
	if (g)
		g->conn = conn_new(d->w->loop, fd, &conn_ops, g);
	if (!g || !g->conn) {
		close(fd);
		mem_free(g);
		if (tls)
			tls_ctx_free(tls);
		return;
	}
	g->door = d;
	g->peer = *peer;
	list_push_tail(&d->guests, &g->link);
	d->nguests++;
	if (!is_tls) {
		begin(g);
		return;
	}
	conn_set_deadline(g->conn, loop_now(d->w->loop) + TLS_US);
	conn_tls_accept(g->conn, tls);
	tls_ctx_free(tls); /* the connection has its own hold on it */
}

struct drain_door *
drain_door_open(struct worker *w, int fd, struct drain_in *in)
{
	struct drain_door *d = mem_get(sizeof(*d));

	d->w = w;
	d->in = in;
	list_init(&d->guests);
	d->listener = listener_new(w->loop, fd, on_accept, d);
	return d;
}

void
drain_door_turn(struct drain_door *d)
{
	LIST_FOREACH_SAFE(n, tmp, &d->guests)
		guest_flush(container_of(n, struct guest, link));
}

void
drain_door_stop(struct drain_door *d)
{
	LIST_FOREACH_SAFE(n, tmp, &d->guests)
		guest_end(container_of(n, struct guest, link));
	if (d->listener)
		listener_free(d->listener);
	d->listener = NULL;
}

void
drain_door_close(struct drain_door *d)
{
	drain_door_stop(d);
	mem_free(d);
}

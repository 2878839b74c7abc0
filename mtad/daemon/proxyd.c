/*
 * daemon/proxyd.c - the server of `mtad proxy`: one loop, one thread.
 *
 * A client is taken through TLS, login and one request (proto/socks_srv), under
 * one deadline; then a connection is made from an address of ours that it may
 * use; then both are a bridge (net/bridge), and nothing of them is looked at any
 * more. What a client holds is bounded at every step, and each end of one is a
 * line in the log and a count.
 */
#include <errno.h>
#include <openssl/crypto.h>
#include <signal.h>
#include <stdio.h>
#include <sys/random.h>
#include <unistd.h>

#include "conf/egress.h"
#include "crypt/crypt.h"
#include "daemon/daemon_i.h"
#include "daemon/proxyd.h"
#include "proto/socks.h"
#include "relay/login.h"

#define LINGER_US US_PER_S

struct client {
	struct list link;
	struct proxyd *d;
	struct conn *in, *out; /* NULL: not ours, or none */
	struct bridge *bridge;
	struct socks_srv socks;
	struct endpoint peer;
	struct ip source; /* family 0: it named none */
	char user[64];
	int64_t began_us;
	bool is_sending; /* the reply that opens the bridge */
};

/* A password that was right before: HMAC with a key of this process. */
struct known {
	bool is_set;
	uint8_t mac[CRYPT_SHA256_BYTES];
};

struct proxyd {
	const struct conf_egress *conf;
	struct loop *loop;
	struct tls_ctx *tls;
	struct control *control;
	uint32_t nlisteners;
	struct listener *listener[EGRESS_LISTEN_MAX];
	struct list clients;
	uint32_t nclients;
	struct known *known; /* by account */
	uint8_t key[CRYPT_SHA256_BYTES];
	struct proxyd_counters counters;
	volatile sig_atomic_t nstops;
};

/* ---- the end of a client ------------------------------------------------------------- */

static void
client_log(const struct client *x, const char *why,
    const struct bridge_result *r)
{
	char peer[ENDPOINT_TEXT_MAX], to[ENDPOINT_TEXT_MAX];
	char source[IP_TEXT_MAX], out[24] = "0", in[24] = "0", us[24];

	endpoint_format(peer, &x->peer);
	endpoint_format(to, &x->socks.to);
	ip_format(source, &x->source);
	fmt_duration(us, loop_now(x->d->loop) - x->began_us);
	if (r != NULL) {
		snprintf(out, sizeof(out), "%llu",
		    (unsigned long long)r->bytes[0]);
		snprintf(in, sizeof(in), "%llu",
		    (unsigned long long)r->bytes[1]);
	}
	log_event(LOG_INFO, "proxy", "client", peer, "user", x->user, "source",
	    source, "to", to, "bytes_out", out, "bytes_in", in, "took", us,
	    "why", why, NULL);
}

static void
client_free(struct client *x)
{
	if (x->bridge != NULL)
		bridge_close(x->bridge);
	if (x->in != NULL)
		conn_close(x->in);
	if (x->out != NULL)
		conn_close(x->out);
	list_remove(&x->link);
	x->d->nclients--;
	socks_srv_free(&x->socks);
	mem_free(x);
}

static void
client_end(struct client *x, const char *why)
{
	if (x->socks.state < SOCKS_SRV_CONNECT)
		x->d->counters.refused_handshake++;
	client_log(x, why, NULL);
	client_free(x);
}

static void
on_bridge_end(void *user, const struct bridge_result *r)
{
	struct client *x = user;

	x->bridge = NULL;
	x->d->counters.bytes_out += r->bytes[0];
	x->d->counters.bytes_in += r->bytes[1];
	client_log(x, r->why, r);
	client_free(x);
}

/* ---- login ---------------------------------------------------------------------------- */

/* Mail servers log in for each connection: what was right before is right at the
 * price of one digest. */
static bool
knows(struct proxyd *d, uint32_t account, struct slice password)
{
	struct known *k = &d->known[account];
	uint8_t mac[CRYPT_SHA256_BYTES];

	crypt_hmac(slice_of((const char *)d->key, sizeof(d->key)), password,
	    mac);
	if (k->is_set && crypt_is_same(mac, k->mac))
		return true;
	if (!login_is_password(&d->conf->accounts[account], password))
		return false;
	k->is_set = true;
	memcpy(k->mac, mac, sizeof(mac));
	return true;
}

static bool
may_login(struct proxyd *d, struct slice user, struct slice password)
{
	const struct conf_egress *c = d->conf;
	static const struct conf_account nobody = { .iterations = 4096,
		.salt_n = 16 };

	if (c->naccounts == 0)
		return true;
	for (uint32_t i = 0; i < c->naccounts; i++)
		if (slice_eq(c->accounts[i].name, user))
			return knows(d, i, password);
	(void)login_is_password(&nobody, password); /* it takes as long */
	return false;
}

static bool
has_source(const struct conf_egress *c, const struct ip *ip)
{
	for (uint32_t i = 0; i < c->nsources; i++)
		if (ip_eq(&c->sources[i], ip))
			return true;
	return false;
}

/* "user@ADDRESS": the address must be one that can be used. */
static bool
take_source(struct client *x, struct slice *user)
{
	size_t at = user->n;

	while (at > 0 && user->p[at - 1] != '@')
		at--;
	if (at == 0)
		return true;
	if (ip_parse(slice_skip(*user, at), &x->source) != 0 ||
	    !has_source(x->d->conf, &x->source) ||
	    net_try_bind(&x->source) != 0)
		return false;
	user->n = at - 1;
	return true;
}

static void
login(struct client *x)
{
	struct slice user = x->socks.user;
	bool is_good;

	text_escape(user, x->user, sizeof(x->user));
	is_good =
	    take_source(x, &user) && may_login(x->d, user, x->socks.password);
	x->d->counters.refused_login += !is_good;
	socks_srv_login(&x->socks, is_good);
}

/* ---- the request ------------------------------------------------------------------------ */

/* The address to leave by; false: there is none. */
static bool
find_source(struct client *x)
{
	const struct conf_egress *c = x->d->conf;
	uint8_t family = x->socks.to.ip.family;
	struct endpoint here;

	if (x->source.family != 0)
		return x->source.family == family;
	conn_local(x->in, &here);
	if (here.ip.family == family && has_source(c, &here.ip)) {
		x->source = here.ip;
		return true;
	}
	for (uint32_t i = 0; i < c->nsources; i++)
		if (c->sources[i].family == family) {
			x->source = c->sources[i];
			return true;
		}
	return false;
}

static bool
is_allowed(const struct conf_egress *c, const struct endpoint *to)
{
	uint32_t i = 0;

	while (i < c->nports && c->ports[i] != to->port)
		i++;
	return i < c->nports &&
	    (c->takes_private || !egress_is_private(&to->ip));
}

static enum socks_reply
reply_of(int err)
{
	switch (err) {
	case ECONNREFUSED:
	case ECONNRESET:
		return SOCKS_REFUSED;
	case ENETUNREACH:
	case ENETDOWN:
		return SOCKS_NETWORK;
	case EHOSTUNREACH:
	case EHOSTDOWN:
		return SOCKS_HOST;
	case ETIMEDOUT:
		return SOCKS_TTL;
	default:
		return SOCKS_FAILED;
	}
}

static void
join(struct client *x)
{
	const struct bridge_conf conf = { .idle_us = x->d->conf->idle_us,
		.linger_us = x->d->conf->idle_us,
		.on_end = on_bridge_end,
		.user = x };

	x->bridge = bridge_new(x->d->loop, x->in, x->out, &conf);
	if (x->bridge == NULL) {
		client_end(x, "out of memory");
		return;
	}
	x->in = x->out = NULL;
}

/* Sends what the machine has to say; true: the client is over. */
static bool
flush(struct client *x)
{
	struct buf *out = &x->socks.out;
	const char *why = x->socks.why;

	if (x->socks.state == SOCKS_SRV_OVER) {
		if (out->n > 0)
			conn_send(x->in, out);
		conn_close_gently(x->in, LINGER_US);
		x->in = NULL;
		x->d->counters.refused_handshake += x->socks.to.ip.family == 0;
		client_log(x, why, NULL);
		client_free(x);
		return true;
	}
	x->is_sending = out->n > 0 && !conn_send(x->in, out);
	return false;
}

static void
answer(struct client *x, int err)
{
	struct endpoint from;

	if (err != 0) {
		x->d->counters.connect_failed++;
		socks_srv_reply(&x->socks, reply_of(err), NULL);
		flush(x);
		return;
	}
	x->d->counters.connected++;
	conn_set_deadline(x->out, TIME_NEVER);
	conn_local(x->out, &from);
	socks_srv_reply(&x->socks, SOCKS_OK, &from);
	if (!flush(x) && !x->is_sending)
		join(x);
}

static size_t
out_data(void *user, struct conn *c, struct slice data)
{
	(void)user;
	(void)c;
	(void)data;
	return 0; /* kept for the bridge */
}

static void
out_connect(void *user, struct conn *c, int err)
{
	struct client *x = user;

	(void)c;
	answer(x, err);
}

static void
out_gone(void *user, struct conn *c, int err)
{
	(void)c;
	(void)err;
	client_end(user, "the host closed the connection");
}

static void
out_deadline(void *user, struct conn *c)
{
	(void)c;
	answer(user, ETIMEDOUT);
}

static const struct conn_ops out_ops = {
	.on_data = out_data,
	.on_connect = out_connect,
	.on_gone = out_gone,
	.on_deadline = out_deadline,
};

static void
request(struct client *x)
{
	const struct conf_egress *c = x->d->conf;
	int err = 0;

	conn_set_deadline(x->in, TIME_NEVER);
	if (!is_allowed(c, &x->socks.to) || !find_source(x)) {
		x->d->counters.refused_rule++;
		socks_srv_reply(&x->socks, SOCKS_DENIED, NULL);
		flush(x);
		return;
	}
	x->out = conn_connect(x->d->loop, &x->source, &x->socks.to, &out_ops, x,
	    &err);
	if (x->out == NULL)
		answer(x, err);
	else
		conn_set_deadline(x->out, loop_now(x->d->loop) + c->connect_us);
}

/* ---- the client's side --------------------------------------------------------------------- */

static size_t
in_data(void *user, struct conn *c, struct slice data)
{
	struct client *x = user;
	size_t n, all = 0;

	do {
		if (x->socks.out.n > 0) /* a reply must leave first */
			return all;
		n = socks_srv_feed(&x->socks, slice_skip(data, all));
		all += n;
		if (x->socks.state == SOCKS_SRV_CHECK)
			login(x);
		if (x->socks.state == SOCKS_SRV_CONNECT && x->out == NULL) {
			conn_resume(c);
			request(x);
			return all;
		}
		if (flush(x))
			return all;
	} while (n > 0 && all < data.n);
	return all;
}

static void
in_drained(void *user, struct conn *c)
{
	struct client *x = user;

	x->is_sending = false;
	if (x->socks.state == SOCKS_SRV_OPEN)
		join(x);
	else
		conn_resume(c);
}

static void
in_tls(void *user, struct conn *c, bool ok, const char *why)
{
	char text[160];

	(void)c;
	if (ok)
		return;
	snprintf(text, sizeof(text), "TLS: %s", why);
	client_end(user, text);
}

static void
in_gone(void *user, struct conn *c, int err)
{
	char text[128];

	(void)c;
	client_end(user,
	    err ? strerror_r(err, text, sizeof(text)) : "the client left");
}

static void
in_deadline(void *user, struct conn *c)
{
	(void)c;
	client_end(user, "no request in time");
}

static const struct conn_ops in_ops = {
	.on_data = in_data,
	.on_tls = in_tls,
	.on_drained = in_drained,
	.on_gone = in_gone,
	.on_deadline = in_deadline,
};

static uint32_t
of_peer(const struct proxyd *d, const struct ip *ip)
{
	uint32_t n = 0;

	for (struct list *l = d->clients.next; l != &d->clients; l = l->next)
		n += ip_eq(&container_of(l, struct client, link)->peer.ip, ip);
	return n;
}

/* May one more come in? */
static bool
may_enter(struct proxyd *d, const struct endpoint *peer)
{
	const struct conf_egress *c = d->conf;

	d->counters.accepted++;
	if (!cidrs_have(c->clients, c->nclients, &peer->ip)) {
		d->counters.refused_client++;
		return false;
	}
	if (d->nclients >= c->connections_max ||
	    (c->per_client_max != 0 &&
		of_peer(d, &peer->ip) >= c->per_client_max)) {
		d->counters.refused_limit++;
		return false;
	}
	return d->nstops == 0;
}

static void
on_accept(void *user, int fd, const struct endpoint *peer)
{
	struct proxyd *d = user;
	struct client *x = may_enter(d, peer) ? mem_try(sizeof(*x)) : NULL;

	if (x == NULL) {
		close(fd);
		return;
	}
	x->in = conn_new(d->loop, fd, &in_ops, x);
	if (x->in == NULL) {
		close(fd);
		mem_free(x);
		return;
	}
	x->d = d;
	x->peer = *peer;
	x->began_us = loop_now(d->loop);
	socks_srv_init(&x->socks, d->conf->naccounts > 0);
	list_push_tail(&d->clients, &x->link);
	d->nclients++;
	conn_set_deadline(x->in, x->began_us + d->conf->handshake_us);
	if (d->tls != NULL)
		conn_tls_accept(x->in, d->tls);
}

/* ---- metrics ----------------------------------------------------------------------------- */

static void
metrics(const struct proxyd *d, struct buf *out)
{
#define X(name, help)                                                          \
	buf_addf(out,                                                          \
	    "# HELP mtad_proxy_" #name "_total " help                          \
	    ".\n# TYPE mtad_proxy_" #name "_total counter\nmtad_proxy_" #name  \
	    "_total %llu\n",                                                   \
	    (unsigned long long)d->counters.name);
	PROXYD_COUNTERS(X)
#undef X
	buf_addf(out,
	    "# HELP mtad_proxy_clients Clients now.\n# TYPE mtad_proxy_clients "
	    "gauge\nmtad_proxy_clients %u\n",
	    d->nclients);
}

static void
on_control(void *ctx, struct control_req *req, bool is_post, struct slice path,
    const struct control_params *params, struct slice user)
{
	struct buf out;

	(void)params;
	(void)user;
	if (is_post || !slice_eq(path, SL("/metrics"))) {
		control_error(req, 404, "there is GET /metrics");
		return;
	}
	buf_init(&out, 64 * 1024);
	metrics(ctx, &out);
	control_answer(req, 200, "text/plain; version=0.0.4", &out);
}

/* ---- its life ------------------------------------------------------------------------------ */

static bool
has_stops(void *ctx)
{
	const struct proxyd *d = ctx;

	return d->nstops != 0;
}

static int
bind_all(struct proxyd *d)
{
	char why[256];
	int err = 0;

	for (uint32_t i = 0; i < d->conf->nlisten; i++) {
		int fd =
		    net_listen(&d->conf->listen[i], false, why, sizeof(why));

		if (fd >= 0)
			d->listener[d->nlisteners] =
			    listener_new(d->loop, fd, on_accept, d);
		if (fd >= 0 && d->listener[d->nlisteners] != NULL) {
			d->nlisteners++;
			continue;
		}
		log_event(LOG_ERROR, "boot", "what", why, NULL);
		err = E_IO;
	}
	return err;
}

static int
open_control(struct proxyd *d)
{
	char why[256];

	if (d->conf->control.n == 0)
		return 0;
	d->control = control_new(loop_base(d->loop), d->conf->control.p,
	    on_control, d, why, sizeof(why));
	if (d->control == NULL)
		log_event(LOG_ERROR, "boot", "what", why, NULL);
	return d->control != NULL ? 0 : E_IO;
}

static int
open_tls(struct proxyd *d)
{
	const struct conf_egress *c = d->conf;
	char why[256];

	if (c->tls.cert.n == 0)
		return 0;
	d->tls = tls_server_new(c->tls.cert.p, c->tls.key.p, why, sizeof(why));
	if (d->tls != NULL &&
	    (c->client_ca.n == 0 ||
		tls_server_ask(d->tls, c->client_ca.p, why, sizeof(why)) == 0))
		return 0;
	log_event(LOG_ERROR, "boot", "what", why, NULL);
	return E_IO;
}

static void
try_sources(const struct conf_egress *c)
{
	char ip[IP_TEXT_MAX], text[128];

	for (uint32_t i = 0; i < c->nsources; i++) {
		int err = net_try_bind(&c->sources[i]);

		if (err == 0)
			continue;
		ip_format(ip, &c->sources[i]);
		log_event(LOG_ERROR, "boot", "what",
		    "source address cannot be bound", "address", ip, "error",
		    strerror_r(err, text, sizeof(text)), "do",
		    "add the address to an interface", NULL);
	}
}

struct proxyd *
proxyd_new(const struct conf_egress *conf)
{
	struct proxyd *d = mem_get(sizeof(*d));

	d->conf = conf;
	list_init(&d->clients);
	d->known = mem_get((conf->naccounts + 1) * sizeof(*d->known));
	d->loop = loop_new();
	if (d->loop == NULL ||
	    getrandom(d->key, sizeof(d->key), 0) != sizeof(d->key) ||
	    bind_all(d) != 0 || open_control(d) != 0 ||
	    boot_become_user(conf->holder) != 0 || open_tls(d) != 0) {
		proxyd_free(d);
		return NULL;
	}
	try_sources(conf);
	loop_set_idle_check(d->loop, has_stops, d);
	return d;
}

void
proxyd_stop(struct proxyd *d)
{
	d->nstops++;
	loop_wake(d->loop);
}

static void
close_doors(struct proxyd *d)
{
	for (uint32_t i = 0; i < d->nlisteners; i++)
		listener_free(d->listener[i]);
	d->nlisteners = 0;
}

void
proxyd_run(struct proxyd *d)
{
	int64_t until;

	while (d->nstops == 0)
		loop_turn(d->loop, TIME_NEVER);
	close_doors(d);
	loop_set_idle_check(d->loop, NULL, NULL);
	until = loop_now(d->loop) + d->conf->stop_us;
	while (d->nclients > 0 && d->nstops < 2 && loop_now(d->loop) < until)
		loop_turn(d->loop, loop_now(d->loop) + 50 * US_PER_MS);
}

void
proxyd_free(struct proxyd *d)
{
	close_doors(d);
	while (!list_is_empty(&d->clients))
		client_end(container_of(d->clients.next, struct client, link),
		    "shutdown");
	if (d->control != NULL)
		control_free(d->control);
	while (d->loop != NULL && !loop_is_idle(d->loop))
		loop_turn(d->loop, loop_now(d->loop) + 50 * US_PER_MS);
	tls_ctx_free(d->tls);
	if (d->loop != NULL)
		loop_free(d->loop);
	mem_free(d->known);
	OPENSSL_cleanse(d->key, sizeof(d->key));
	mem_free(d);
}

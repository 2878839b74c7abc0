/*
 * daemon/inbound.c - inbound sessions of a worker: connections, TLS, and the
 * way of a parcel to the spooler and back.
 *
 * Replies gather in the session and leave at the end of its callback, or, for
 * a commit's answer, when the parcel comes back. A session waits with unread
 * bytes while its commit is under way; they are offered again afterwards.
 */
#include <sys/random.h>
#include <unistd.h>

#include "daemon/inbound_i.h"
#include "daemon/keybook.h"

#define PARCELS_KEPT 256u
#define PARCEL_BODY_KEEP (64u * 1024) /* larger buffers are freed */
#define HEADER_US (10 * US_PER_S)     /* a proxy's, from its connection on */
#define DOOR_LOCAL CONF_LISTEN_MAX    /* number of the one for local programs */

/* ---- what an intake asks of us -------------------------------------------------- */

/* What the core will need of the message, made now so that nothing can fail
 * between the commit and its submission. */
static struct post_submit *
submit_new(struct slice envelope)
{
	struct post_submit *s = mem_try(sizeof(*s) + envelope.n);

	if (!s)
		return NULL;
	s->post.kind = POST_SUBMIT;
	s->n = (uint32_t)envelope.n;
	memcpy(s->envelope, envelope.p, envelope.n);
	return s;
}

static void
op_commit(void *ctx, struct parcel *p)
{
	struct in_session *s = ctx;
	struct worker *w = s->w;

	p->origin = w;
	s->is_committing = true;
	if (s->conn)
		conn_owes(s->conn);
	w->waiting++;
	p->commit.user = submit_new(buf_slice(&p->env));
	if (!p->commit.user) {
		p->commit.err = E_NOMEM;
		atomic_fetch_add(&w->d->spooler.answers[w->number], 1);
		p->post.kind = POST_COMMITTED;
		posts_push(&w->inbox, &p->post);
		return;
	}
	p->post.kind = POST_COMMIT;
	if (p->signing) {
		posts_push(&w->to_sign, &p->post);
		return;
	}
	posts_push(&w->commits, &p->post);
	w->ncommits++;
}

static bool
op_spill_add(void *ctx, struct spill **sp, struct slice data)
{
	struct in_session *s = ctx;

	return spill_add(sp, s->w, s->self, data);
}

static bool
op_spill_is_done(void *ctx, const struct spill *f)
{
	(void)ctx;
	return spill_is_done(f);
}

static struct slice
op_spill_map(void *ctx, struct spill *f)
{
	(void)ctx;
	return spill_map(f);
}

struct parcel *
parcel_take(struct worker *w)
{
	struct post *p = posts_shift(&w->free_parcels);
	struct parcel *new;

	if (p) {
		w->nfree_parcels--;
		return container_of(p, struct parcel, post);
	}
	new = mem_try(sizeof(*new));
	if (new) {
		buf_init(&new->env, 16u << 20);
		buf_init(&new->body, 1u << 20);
	}
	return new;
}

void
parcel_give(struct worker *w, struct parcel *p)
{
	struct buf env = p->env, body = p->body;

	gate_give(&w->d->gate.staging_free, (int64_t)p->staged);
	if (p->spill)
		spill_free(p->spill);
	signing_free(p->signing);
	mem_free(p->pays);
	mem_free(p->notes);
	if (w->nfree_parcels >= PARCELS_KEPT || body.cap > PARCEL_BODY_KEEP ||
	    env.cap > PARCEL_BODY_KEEP) {
		buf_free(&env);
		buf_free(&body);
		mem_free(p);
		return;
	}
	memset(p, 0, sizeof(*p));
	p->env = env;
	p->body = body;
	buf_reset(&p->env);
	buf_reset(&p->body);
	posts_push(&w->free_parcels, &p->post);
	w->nfree_parcels++;
}

static struct parcel *
op_parcel_take(void *ctx)
{
	return parcel_take(((struct in_session *)ctx)->w);
}

static void
op_parcel_give(void *ctx, struct parcel *p)
{
	parcel_give(((struct in_session *)ctx)->w, p);
}

static bool
op_has_room(void *ctx, uint64_t bytes)
{
	return spool_has_room(((struct in_session *)ctx)->w->d->spooler.spool,
	    bytes);
}

static uint64_t
op_sequence(void *ctx)
{
	struct worker *w = ((struct in_session *)ctx)->w;

	return ((uint64_t)w->number << 40) | (++w->sequence & 0xffffffffff);
}

static struct buf *
op_book(void *ctx)
{
	return worker_book(((struct in_session *)ctx)->w);
}

static const struct keyring *
op_keys(void *ctx)
{
	return ((struct in_session *)ctx)->w->keys;
}

static bool
op_random(void *ctx, void *p, size_t n)
{
	(void)ctx;
	return getrandom(p, n, 0) == (ssize_t)n;
}

static bool
op_login(void *ctx, struct login *l)
{
	struct in_session *s = ctx;

	return porter_ask(s->w, s->self, l);
}

static bool
op_may_send(void *ctx, const struct conf_account *a)
{
	struct worker *w = ((struct in_session *)ctx)->w;

	return allowances_take(&w->d->allowances, a, loop_now(w->loop));
}

static enum veto
op_veto(void *ctx, struct slice tenant, struct slice to, char *dst, size_t cap)
{
	struct worker *w = ((struct in_session *)ctx)->w;

	if (w->suppress == NULL)
		return VETO_NONE;
	return suppressor_veto(w, tenant, to, dst, cap);
}

static enum idem_answer
op_key_claim(void *ctx, const struct env_key *key, const struct msgid *id,
    int64_t wall_us, struct msgid *first)
{
	struct worker *w = ((struct in_session *)ctx)->w;
	enum idem_answer a =
	    keybook_claim(w->d->keybook, key, id, wall_us, first);

	COUNT(w, messages_repeated, a == IDEM_DONE);
	return a;
}

static void
op_returned(void *ctx, enum return_check what)
{
	struct worker *w = ((struct in_session *)ctx)->w;

	if (what == RETURN_GOOD)
		COUNT(w, return_paths_good, 1);
	else if (what == RETURN_EXPIRED)
		COUNT(w, return_paths_expired, 1);
	else
		COUNT(w, return_paths_forged, 1);
}

const struct intake_ops inbound_intake_ops = {
	.commit = op_commit,
	.spill_add = op_spill_add,
	.spill_is_done = op_spill_is_done,
	.spill_map = op_spill_map,
	.parcel_take = op_parcel_take,
	.parcel_give = op_parcel_give,
	.has_room = op_has_room,
	.sequence = op_sequence,
	.book = op_book,
	.random = op_random,
	.key_claim = op_key_claim,
	.keys = op_keys,
	.veto = op_veto,
	.login = op_login,
	.may_send = op_may_send,
	.returned = op_returned,
};

/* ---- sessions --------------------------------------------------------------------- */

/* Its connection is closed and no commit of its is under way. */
void
inbound_session_end(struct in_session *s)
{
	struct worker *w = s->w;

	if (s->conn) {
		conn_close(s->conn);
		s->conn = NULL;
		if (s->is_begun)
			guests_leave(&w->d->guests, s->door->number,
			    s->client_key);
	}
	s->is_dead = true;
	list_remove(&s->waits);
	http_end(s);
	if (s->is_committing)
		return;
	list_remove(&s->link);
	buf_free(&s->header);
	if (s->is_begun && !s->http)
		intake_free(&s->intake);
	mem_free(s->http);
	pool_give(&w->in_sessions, s->self.index);
}

/* Sends what there is to send and does what the machine waits for. */
static void
session_flush(struct in_session *s)
{
	struct buf *out = &s->intake.srv.out;
	bool all;

	if (s->http) {
		http_flush(s);
		return;
	}
	all = out->n == 0 || conn_post(s->conn, out);
	if (s->intake.is_closing) {
		conn_close_gently(s->conn, LINGER_US);
		s->conn = NULL;
		guests_leave(&s->w->d->guests, s->door->number, s->client_key);
		inbound_session_end(s);
		return;
	}
	if (all && s->intake.wants_tls) {
		s->intake.wants_tls = false;
		if (!s->door->tls) { /* taken away by a reload */
			inbound_session_end(s);
			return;
		}
		conn_tls_accept(s->conn, s->door->tls);
	}
	conn_set_deadline(s->conn, smtp_srv_deadline(&s->intake.srv));
}

/* What the configuration says of a door. */
static const struct conf_listen *
door_conf(const struct door *d)
{
	const struct conf *c = d->w->conf;

	return d->number == DOOR_LOCAL ? &c->sendmail.door : &c->listen[d->at];
}

/* It is known who is there, and it may come in: a banner, or TLS and then a
 * banner. */
static void
session_begin(struct in_session *s, const struct endpoint *peer)
{
	struct worker *w = s->w;
	const struct conf_listen *lc = door_conf(s->door);
	int64_t now = loop_now(w->loop);

	s->client_key = ip_hash(&peer->ip);
	s->is_begun = true;
	if (lc->is_http) {
		if (!http_begin(s, peer)) {
			s->is_begun = false;
			guests_leave(&w->d->guests, s->door->number,
			    s->client_key);
			inbound_session_end(s);
			return;
		}
	} else {
		intake_init(&s->intake, w->conf, lc, &inbound_intake_ops, s,
		    &w->d->gate, s->self, peer, now);
		s->intake.uid = s->uid;
	}
	if (!lc->tls.is_implicit) {
		session_flush(s);
		return;
	}
	s->is_shaking = true;
	if (s->door->tls) {
		conn_tls_accept(s->conn, s->door->tls);
		conn_set_deadline(s->conn, now + lc->smtp.tls_ms * US_PER_MS);
	} else {
		inbound_session_end(s); /* its certificate could not be read */
	}
}

/* A session behind a proxy begins with its header, of which nothing is read that
 * is not part of it. */
static size_t
on_header(struct in_session *s, struct slice data)
{
	const struct conf_listen *lc = &s->w->conf->listen[s->door->at];
	struct proxy_header h;
	struct endpoint peer;
	const char *refusal;
	int n = E_TOOBIG;

	if (!buf_adds(&s->header, data))
		n = proxy_read(buf_slice(&s->header), &h);
	if (n == 0)
		return data.n;
	if (n < 0) {
		log_event(LOG_WARN, "net", "what",
		    "a proxy sends no PROXY header", "listener", lc->name.p,
		    NULL);
		inbound_session_end(s);
		return data.n;
	}
	conn_peer(s->conn, &peer);
	if (h.is_proxied)
		peer = h.from;
	buf_reset(&s->header);
	refusal = guests_enter(&s->w->d->guests, s->door->number,
	    ip_hash(&peer.ip), lc);
	if (!refusal) {
		session_begin(s, &peer);
		return data.n;
	}
	if (!buf_addz(&s->header, refusal))
		(void)conn_send(s->conn, &s->header);
	COUNT(s->w, connections_refused, 1);
	inbound_session_end(s);
	return data.n;
}

static size_t
on_data(void *user, struct conn *c, struct slice data)
{
	struct in_session *s = user;
	struct loop *l = s->w->loop;
	size_t n;

	(void)c;
	s->w->events++;
	if (!s->is_begun)
		return on_header(s, data);
	if (s->http)
		return http_data(s, data);
	n = intake_feed(&s->intake, data, loop_now(l), loop_wall(l));
	session_flush(s);
	return n;
}

static void
on_tls(void *user, struct conn *c, bool ok, const char *why)
{
	struct in_session *s = user;

	if (ok && s->http)
		conn_tls_facts(c, s->tls, sizeof(s->tls));
	else if (ok)
		conn_tls_facts(c, s->intake.tls, sizeof(s->intake.tls));
	else
		log_event(LOG_DEBUG, "tls", "what", "handshake failed",
		    "detail", why, NULL);
	if (!s->is_shaking && !s->http)
		smtp_srv_tls_done(&s->intake.srv, ok, loop_now(s->w->loop));
	s->is_shaking = false;
	if (!s->http)
		s->intake.srv.is_tls = ok;
	if (!ok) {
		inbound_session_end(s);
		return;
	}
	session_flush(s);
}

static void
on_drained(void *user, struct conn *c)
{
	struct in_session *s = user;

	(void)c;
	if (s->http)
		http_drained(s);
	else
		session_flush(s);
}

static void
on_gone(void *user, struct conn *c, int err)
{
	struct in_session *s = user;

	(void)c;
	/* A client that shut its side without QUIT still reads, and the answer
	 * to its message spares everybody a second copy. */
	if (err == 0 && s->is_begun &&
	    (s->http ? http_owes(s) : s->is_committing || s->intake.is_ending))
		s->is_last = true;
	else
		inbound_session_end(s);
}

static void
on_deadline(void *user, struct conn *c)
{
	struct in_session *s = user;
	struct slice none = { "", 0 };
	struct loop *l = s->w->loop;

	if (s->is_begun && s->http && !s->is_shaking) {
		http_timeout(s);
		return;
	}
	if (!s->is_begun || s->is_shaking ||
	    (!conn_is_tls(c) && s->intake.srv.waits_for == SRV_STARTTLS)) {
		inbound_session_end(s); /* a header or handshake that stalls */
		return;
	}
	smtp_srv_timeout(&s->intake.srv);
	intake_feed(&s->intake, none, loop_now(l), loop_wall(l));
	s->intake.is_closing = true;
	session_flush(s);
}

/* While much is on its way to spill files nothing is read that would add to it:
 * it waits in the client's socket. */
static size_t
read_max(void *user)
{
	struct in_session *s = user;
	size_t n = NET_READ_MAX;

	if (!s->is_begun)
		return proxy_needs(buf_slice(&s->header));
	if (s->w->spilling < SPILL_WAY_MAX)
		return n;
	n = s->http ? http_read_max(s, n) : intake_room(&s->intake, n);
	if (n == 0 && list_is_empty(&s->waits))
		list_push_tail(&s->w->unread, &s->waits);
	return n;
}

static const struct conn_ops conn_ops = {
	.on_data = on_data,
	.read_max = read_max,
	.on_tls = on_tls,
	.on_drained = on_drained,
	.on_gone = on_gone,
	.on_deadline = on_deadline,
};

/* The same in HTTP. */
static const char http_full[] =
    "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\n"
    "Content-Length: 63\r\nRetry-After: 10\r\nConnection: close\r\n\r\n"
    "{\"error\":{\"code\":\"unavailable\",\"message\":\"Busy, "
    "come again\"}}\r\n";

/* A client that a limit keeps out: told so, at once, and let go. */
static void
turn_away(struct door *d, int fd, const char *text)
{
	bool is_http = d->w->conf->listen[d->at].is_http;
	ssize_t n = is_http ? write(fd, http_full, sizeof(http_full) - 1) :
			      write(fd, text, strlen(text));

	(void)n; /* it is a courtesy */
	close(fd);
	COUNT(d->w, connections_refused, 1);
}

/* NULL when there is no room for it; then fd is still the caller's. */
static struct in_session *
session_new(struct door *d, int fd)
{
	struct worker *w = d->w;
	struct in_session *s;
	struct handle h;

	s = pool_take(&w->in_sessions, &h);
	if (!s)
		return NULL;
	s->conn = conn_new(w->loop, fd, &conn_ops, s);
	if (!s->conn) {
		pool_give(&w->in_sessions, h.index);
		return NULL;
	}
	s->w = w;
	s->door = d;
	s->self = h;
	buf_init(&s->header, PROXY_BYTES_MAX);
	list_push_tail(&w->in_list, &s->link);
	list_init(&s->waits);
	COUNT(w, connections_in, 1);
	return s;
}

static void
on_accept(void *user, int fd, const struct endpoint *peer)
{
	struct door *d = user;
	struct worker *w = d->w;
	const struct conf_listen *lc = &w->conf->listen[d->at];
	bool is_proxy = cidrs_have(lc->proxy_from, lc->nproxy_from, &peer->ip);
	uint64_t key = ip_hash(&peer->ip);
	const char *refusal = NULL;
	struct in_session *s;

	if (w->is_stopping)
		refusal = "421 4.3.2 Shutting down\r\n";
	else if (atomic_load(&w->d->gate.is_draining))
		refusal =
		    "421 4.3.2 This host is being drained, use another\r\n";
	else if (!is_proxy)
		refusal = guests_enter(&w->d->guests, d->number, key, lc);
	if (refusal) {
		turn_away(d, fd, refusal);
		return;
	}
	s = session_new(d, fd);
	if (!s) {
		if (!is_proxy)
			guests_leave(&w->d->guests, d->number, key);
		turn_away(d, fd, "421 4.3.2 Busy, try again later\r\n");
		return;
	}
	if (is_proxy)
		conn_set_deadline(s->conn, loop_now(w->loop) + HEADER_US);
	else
		session_begin(s, peer);
}

void
inbound_login(struct worker *w, struct post_login *p)
{
	struct in_session *s = pool_get(&w->in_sessions, p->session);
	struct handle session = p->session;
	struct login *l = p->login;

	mem_free(p);
	if (!s || s->is_dead) {
		login_free(l);
		return;
	}
	intake_login(&s->intake, l);
	session_flush(s);
	if ((s = pool_get(&w->in_sessions, session)) && s->conn)
		conn_resume(s->conn);
}

void
inbound_local(struct worker *w, struct post_local *p)
{
	struct endpoint nobody = { 0 };
	uint64_t key = ip_hash(&nobody.ip);
	struct door *d = w->local_door;
	struct in_session *s = NULL;

	if (d && !w->is_stopping && !atomic_load(&w->d->gate.is_draining) &&
	    !guests_enter(&w->d->guests, d->number, key, door_conf(d))) {
		s = session_new(d, p->fd);
		if (!s)
			guests_leave(&w->d->guests, d->number, key);
	}
	if (s) {
		s->uid = p->uid;
		session_begin(s, &nobody);
	} else {
		close(p->fd); /* it comes again */
	}
	mem_free(p);
}

/* ---- commits ------------------------------------------------------------------------ */

/* A claim that the spooler has not settled: the parcel did not come so far. */
static void
release_key(struct worker *w, struct parcel *p)
{
	if (p->has_key)
		keybook_settle(w->d->keybook, &p->key, &p->id, false);
	p->has_key = false;
}

void
inbound_committed(struct worker *w, struct parcel *p)
{
	struct in_session *s = pool_get(&w->in_sessions, p->session);
	struct loop *l = w->loop;

	w->waiting--;
	if (p->commit.err)
		COUNT(w, commits_failed, 1);
	else {
		COUNT(w, messages_in, 1);
		if (p->signing)
			COUNT(w, messages_signed, 1);
		COUNT(w, bytes_in, parcel_bytes(p));
	}
	if (!s) { /* the worker has closed its doors meanwhile */
		release_key(w, p);
		atomic_fetch_add(&w->answers_seen, 1);
		parcel_give(w, p);
		return;
	}
	ASSERT(s->is_committing);
	s->is_committing = false;
	release_key(w, p);
	/* The books have it even when nobody is there to hear of it: what is
	 * durable will be delivered. */
	intake_committed(&s->intake, p, loop_now(l), loop_wall(l));
	atomic_fetch_add(&w->answers_seen, 1);
	parcel_give(w, p);
	if (s->is_lane) {
		http_lane_heard(s);
		return;
	}
	if (s->is_dead) {
		inbound_session_end(s);
		return;
	}
	if (w->is_stopping) /* that was its last: 421 */
		intake_feed(&s->intake, slice_of("", 0), loop_now(l),
		    loop_wall(l));
	s->intake.is_closing |= s->is_last;
	session_flush(s);
	if ((s = pool_get(&w->in_sessions, s->self)) && s->conn)
		conn_resume(s->conn);
}

/* Its last piece may be written, and there may be room on the way for others. */
void
inbound_spilled(struct worker *w, struct handle session)
{
	struct in_session *s = pool_get(&w->in_sessions, session);
	struct loop *l = w->loop;

	ASSERT(s && !s->is_dead); /* the spill would have gone with it */
	if (s->http) {
		http_go_on(s);
		return;
	}
	if (!intake_spilled(&s->intake, loop_now(l), loop_wall(l)))
		return;
	if (s->is_lane) {
		http_lane_heard(s);
		return;
	}
	s->intake.is_closing |= s->is_last && !s->is_committing;
	session_flush(s);
	if ((s = pool_get(&w->in_sessions, session)) && s->conn)
		conn_resume(s->conn);
}

void
inbound_read_on(struct worker *w)
{
	struct list *n;

	while (w->spilling < SPILL_WAY_MAX && (n = list_pop_head(&w->unread))) {
		struct in_session *s =
		    container_of(n, struct in_session, waits);

		list_init(n);
		conn_resume(s->conn);
		if (s->http)
			http_go_on(s);
	}
}

void
inbound_flush(struct worker *w)
{
	struct spooler *sp = &w->d->spooler;

	if (w->to_sign.head)
		signers_post(&w->d->signers, &w->to_sign);
	if (!w->commits.head)
		return;
	if (w->ncommits == 1 && w->waiting == 1 && w->events <= 1) {
		struct parcel *one =
		    container_of(w->commits.head, struct parcel, post);

		posts_shift(&w->commits);
		w->ncommits = 0;
		if (spooler_try_inline(sp, w, one)) {
			COUNT(w, inline_syncs, 1);
			return;
		}
		posts_push(&w->commits, &one->post);
	}
	w->ncommits = 0;
	spooler_post(sp, &w->commits, true);
}

/* ---- doors ----------------------------------------------------------------------------- */

static bool
door_open(struct worker *w, uint32_t at)
{
	const struct conf_listen *lc = &w->conf->listen[at];
	struct door *d = mem_try(sizeof(*d));
	char why[256];

	if (!d)
		return false;
	d->w = w;
	d->at = at;
	d->number = at;
	d->bind = lc->bind;
	if (lc->tls.cert.n) {
		d->tls = tls_server_new(lc->tls.cert.p, lc->tls.key.p, why,
		    sizeof(why));
		if (!d->tls)
			log_event(LOG_ERROR, "tls", "listener", lc->name.p,
			    "what", why, NULL);
	}
	d->listener =
	    listener_new(w->loop, w->d->listen_fd[w->number][at], on_accept, d);
	w->doors[w->ndoors++] = d;
	return d->listener != NULL;
}

void
inbound_open(struct worker *w)
{
	uint32_t max = 1; /* at the local door */

	for (uint32_t i = 0; i < w->conf->nlisten; i++)
		max += w->conf->listen[i].connections_max *
		    (w->conf->listen[i].is_http ? 1 + INJECT_LANES_MAX : 1);
	pool_free(&w->in_sessions);
	pool_init(&w->in_sessions, sizeof(struct in_session),
	    MIN(max, 1u << 20) + 1);
	w->local_door = mem_get(sizeof(*w->local_door));
	w->local_door->w = w;
	w->local_door->number = DOOR_LOCAL;
	for (uint32_t i = 0; i < w->conf->nlisten; i++)
		if (!door_open(w, i))
			log_event(LOG_ERROR, "net", "what", "cannot listen",
			    "listener", w->conf->listen[i].name.p, NULL);
}

/* Where the door stands in the present configuration; a reload that moves or
 * takes away a listener is refused before (same_doors), so it is there. */
static uint32_t
door_place(const struct worker *w, const struct door *d)
{
	for (uint32_t i = 0; i < w->conf->nlisten; i++)
		if (ip_eq(&w->conf->listen[i].bind.ip, &d->bind.ip) &&
		    w->conf->listen[i].bind.port == d->bind.port)
			return i;
	return 0;
}

/* A door's new policy holds for new connections; doors keep their sockets.
 * Doors that come or go need a restart, and the log says so (boot.c). */
void
inbound_reload(struct worker *w)
{
	LIST_FOREACH_SAFE(n, tmp, &w->in_list) {
		struct in_session *s = container_of(n, struct in_session, link);

		if (s->http)
			s->http->conf = w->conf;
		else if (s->is_begun)
			intake_reload(&s->intake, w->conf);
	}
	LIST_FOREACH_SAFE(n, tmp, &w->lanes)
		intake_reload(&container_of(n, struct in_session, link)->intake,
		    w->conf);
	for (uint32_t i = 0; i < w->ndoors; i++) {
		const struct conf_listen *lc;
		struct tls_ctx *tls;
		char why[256];

		w->doors[i]->at = door_place(w, w->doors[i]);
		lc = &w->conf->listen[w->doors[i]->at];
		if (!lc->tls.cert.n) {
			if (w->doors[i]->tls)
				tls_ctx_free(w->doors[i]->tls);
			w->doors[i]->tls = NULL;
			continue;
		}
		tls = tls_server_new(lc->tls.cert.p, lc->tls.key.p, why,
		    sizeof(why));
		if (!tls) {
			log_event(LOG_ERROR, "tls", "what", why, NULL);
			continue;
		}
		if (w->doors[i]->tls)
			tls_ctx_free(w->doors[i]->tls);
		w->doors[i]->tls = tls;
	}
}

/* The doors stay open as long as a session needs us, so that new clients are
 * told (turn_away) what a closed port would leave them to guess. */
void
inbound_stop(struct worker *w)
{
	LIST_FOREACH_SAFE(n, tmp, &w->in_list) {
		struct in_session *s = container_of(n, struct in_session, link);
		struct slice none = { "", 0 };

		if (s->is_dead)
			continue;
		if (!s->is_begun || s->is_shaking) {
			inbound_session_end(s);
			continue;
		}
		if (s->http) {
			http_stop(s);
			continue;
		}
		smtp_srv_shut(&s->intake.srv, SL("Shutting down"), true);
		intake_feed(&s->intake, none, loop_now(w->loop),
		    loop_wall(w->loop));
		session_flush(s);
	}
}

bool
inbound_is_idle(const struct worker *w)
{
	return list_is_empty(&w->in_list) && list_is_empty(&w->lanes) &&
	    w->waiting == 0;
}

/* The end of a session whose time is up: 421, in the midst of a message too. One
 * whose message the spool has is told nothing: it may have been taken. */
static void
send_off(struct in_session *s)
{
	struct worker *w = s->w;

	if (!s->is_dead && !s->is_committing && s->is_begun && !s->is_shaking &&
	    !s->http) {
		smtp_srv_shut(&s->intake.srv, SL("Shutting down"), false);
		intake_feed(&s->intake, slice_of("", 0), loop_now(w->loop),
		    loop_wall(w->loop));
		s->intake.is_closing = true;
		session_flush(s);
		return;
	}
	s->is_committing = false;
	inbound_session_end(s);
}

void
inbound_close(struct worker *w)
{
	struct post *p;

	LIST_FOREACH_SAFE(n, tmp, &w->in_list)
		send_off(container_of(n, struct in_session, link));
	LIST_FOREACH_SAFE(n, tmp, &w->lanes)
		send_off(container_of(n, struct in_session, link));
	for (uint32_t i = 0; i < w->ndoors; i++) {
		if (w->doors[i]->listener)
			listener_free(w->doors[i]->listener);
		if (w->doors[i]->tls)
			tls_ctx_free(w->doors[i]->tls);
		mem_free(w->doors[i]);
	}
	w->ndoors = 0;
	mem_free(w->local_door);
	w->local_door = NULL;
	while ((p = posts_shift(&w->free_parcels))) {
		struct parcel *x = container_of(p, struct parcel, post);

		buf_free(&x->env);
		buf_free(&x->body);
		mem_free(x);
	}
	pool_free(&w->in_sessions);
}

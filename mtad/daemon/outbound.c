/*
 * daemon/outbound.c - outbound sessions of a worker: a courier on a connection
 * from one of our addresses.
 *
 * The core knows a session by the engine's handle, and so does the table here.
 * News for the core (up, results, down) are posts, in order. A session's facts
 * are read by the core while it writes the books, so a session that is down is
 * freed only when the core says that it has heard of it.
 */
#include <stdio.h>
#include <sys/random.h>

#include "daemon/daemon_i.h"
#include "daemon/rules.h"

/* What a session behind a proxy has met, while it is not known whose fault it
 * is. */
enum doubt { DOUBT_NONE, DOUBT_CONNECT, DOUBT_GONE, DOUBT_SILENT };

struct out_session {
	struct worker *w;
	struct handle self;
	struct conn *conn;
	struct courier *courier; /* NULL until connected */
	struct session_facts facts;
	struct smtp_cli_conf conf;
	struct posts early;        /* jobs that came before the connection */
	char *tls;                 /* what facts.tls says; NULL in clear text */
	struct out_policy *policy; /* NULL: plain */
	/* Behind a proxy: its name, what asks for a connection of it, and
	 * since when. */
	const char *proxy; /* "" = none */
	struct hop *hop;
	int64_t began_us;
	bool is_proxy_tried;
	enum doubt doubt;
	char *why;    /* what was met; owned */
	bool is_lost; /* it was the proxy's fault */
	bool is_down, is_flushing, is_shaking;
	struct slice provider; /* for those who judge replies */
	char words[]; /* of facts and conf; there may be many sessions */
};

void
outbound_to_core(struct worker *w, struct post *p)
{
	if (w->roles & ROLE_CORE)
		corehost_post(w, p);
	else
		posts_push(&w->to_core, p);
}

static struct post_session *
news(struct out_session *s, enum post_kind kind)
{
	/* Small and short-lived; without it the engine would wait for ever. */
	struct post_session *p = mem_get(sizeof(*p));

	p->post.kind = kind;
	p->session = s->self;
	p->from = s->w;
	p->facts = &s->facts;
	return p;
}

/* ---- hosts that lie about BDAT ------------------------------------------------------- */

#define NO_BDAT_US (24 * 3600 * US_PER_S)

static struct no_bdat *
no_bdat(struct worker *w, const struct endpoint *to)
{
	uint64_t h = ip_hash(&to->ip) + to->port;

	return &w->no_bdat[h % ARRAY_LEN(w->no_bdat)];
}

static bool
knows_bdat(struct worker *w, const struct endpoint *to)
{
	const struct no_bdat *x = no_bdat(w, to);

	return x->until_us <= loop_now(w->loop) || x->to.port != to->port ||
	    !ip_eq(&x->to.ip, &to->ip);
}

/* ---- what the courier tells us ---------------------------------------------------- */

/* No answer came because a proxy failed: the host has refused nothing. */
static void
take_lost(struct job *j)
{
	for (uint32_t i = 0; i < j->n; i++) {
		struct outcome *o = &j->rcpt[i].outcome;

		if (o->klass == OUTCOME_TRANSIENT && o->code == 0)
			*o = (struct outcome){ .klass = OUTCOME_UNSENT };
	}
}

static void
op_result(void *ctx, struct job *j)
{
	struct out_session *s = ctx;

	COUNT(s->w, messages_out, 1);
	if (s->is_lost && !j->in_doubt)
		take_lost(j);
	for (uint32_t i = 0; i < j->n; i++) {
		struct job_rcpt *r = &j->rcpt[i];
		struct conf_heard heard = { .key = j->heard_key };

		rules_judge(s->w, &r->outcome, s->provider, r->text);
		rules_hear(s->w, &r->outcome, r->text, &heard);
		r->hits = heard.hits;
		j->heard_key = heard.key;
	}
	j->session_facts = &s->facts;
	j->post.kind = POST_RESULT;
	outbound_to_core(s->w, &j->post);
}

static void
op_up(void *ctx, uint32_t caps, bool is_tls)
{
	struct out_session *s = ctx;
	struct post_session *p = news(s, POST_UP);

	p->caps = caps;
	p->is_tls = is_tls;
	outbound_to_core(s->w, &p->post);
}

/* The session is over: closes the connection and tells the core. */
static void
go_down(struct out_session *s, const struct outcome *o, struct slice text)
{
	struct post_session *p;

	if (s->is_down)
		return;
	s->is_down = true;
	if (s->hop) {
		hop_close(s->hop);
		s->hop = NULL;
	}
	if (s->conn) {
		conn_close_gently(s->conn, US_PER_S);
		s->conn = NULL;
	}
	p = news(s, POST_DOWN);
	p->outcome = *o;
	/* What our own policy forbids is no word of the peer's, and that it
	 * does not let us in is none about this mail. */
	if (o->stage == STAGE_TLS && o->code != 0)
		COUNT(s->w, tls_refused_out, 1);
	else if (o->klass != OUTCOME_UNSENT && o->stage != STAGE_AUTH) {
		rules_judge(s->w, &p->outcome, s->provider, text);
		rules_hear(s->w, &p->outcome, text, &p->heard);
	}
	slice_copy(text, p->text, sizeof(p->text));
	outbound_to_core(s->w, &p->post);
}

static void
op_down(void *ctx, const struct outcome *o, struct slice text)
{
	struct out_session *s = ctx;
	struct outcome end = *o;

	if (end.klass == OUTCOME_NONE) /* in good order, says the machine */
		end.klass = OUTCOME_DELIVERED;
	else if (s->is_lost)
		end = (struct outcome){ .klass = OUTCOME_UNSENT,
			.stage = STAGE_LOCAL };
	if (courier_refuses_bdat(s->courier))
		*no_bdat(s->w, &s->facts.peer) =
		    (struct no_bdat){ s->facts.peer,
			    loop_now(s->w->loop) + NO_BDAT_US };
	if (s->conn && courier_out(s->courier)->n)
		conn_send(s->conn, courier_out(s->courier)); /* QUIT */
	go_down(s, &end, text);
}

/* Of several recipients of one message each is one of all: a token that named one
 * of them would blame him for the others. */
static size_t
op_return_path(void *ctx, const struct job *j, char dst[MAILBOX_MAX + 1])
{
	struct worker *w = ((struct out_session *)ctx)->w;
	struct steer s = { .tenant = j->env.tenant,
		.campaign = j->env.campaign,
		.pool = j->env.pool };
	struct return_token t = { .id = j->id, .rcpt = RETURN_ALL };
	const struct conf_inbound *in;
	size_t n;

	if (!w->conf->has_return_paths)
		return 0;
	steer_by_route(w->conf, mailbox_domain(j->to[0].address), &s);
	in = conf_return_path(w->conf, s.tenant, s.pool, j->env.listener);
	if (in == NULL)
		return 0;
	if (j->n == 1) {
		t.rcpt = j->rcpt[0].number;
		t.hash = return_hash(j->to[0].address);
	}
	t.day = (uint16_t)((loop_wall(w->loop) + in->valid_us) /
	    (86400 * US_PER_S));
	n = return_write(dst, in, keyring_returns(w->keys, in), &t);
	if (n == 0)
		return 0;
	dst[n++] = '@';
	return n + slice_copy(in->domain, dst + n, MAILBOX_MAX + 1 - n);
}

static bool
op_random(void *ctx, void *p, size_t n)
{
	(void)ctx;
	return getrandom(p, n, 0) == (ssize_t)n;
}

static const struct courier_ops courier_ops = {
	.return_path = op_return_path,
	.random = op_random,
	.result = op_result,
	.up = op_up,
	.down = op_down,
};

/* ---- the connection ----------------------------------------------------------------- */

/* Sends what the courier has to say, until it has no more or the socket is
 * full, and sets the deadline. */
static void
session_flush(struct out_session *s)
{
	struct buf *out;

	if (s->is_flushing || !s->courier || !s->conn)
		return; /* the outer call goes on */
	s->is_flushing = true;
	while (!s->is_down) {
		out = courier_out(s->courier);
		if (out->n == 0)
			break;
		if (!conn_post(s->conn, out))
			break; /* on_drained goes on */
		courier_pump(s->courier, loop_now(s->w->loop));
	}
	s->is_flushing = false;
	if (s->is_down || !s->conn)
		return;
	if (courier_wants_tls(s->courier) && !s->is_shaking &&
	    courier_out(s->courier)->n == 0) {
		s->is_shaking = true;
		out_policy_connect(s->w, s->conn, s->policy, &s->facts);
	}
	conn_set_deadline(s->conn, courier_deadline(s->courier));
}

static size_t
on_data(void *user, struct conn *c, struct slice data)
{
	struct out_session *s = user;
	size_t n;

	(void)c;
	s->w->events++;
	if (!s->courier)
		return data.n;
	n = courier_feed(s->courier, data, loop_now(s->w->loop));
	session_flush(s);
	return n;
}

/* There is no session; what was handed out for it comes back. */
static void
never_began(struct out_session *s, enum outcome_class klass, enum stage stage,
    const char *why)
{
	struct outcome o = { .klass = klass, .stage = stage };
	struct post *p;
	struct job *j;

	while ((p = posts_shift(&s->early))) {
		j = container_of(p, struct job, post);
		for (uint32_t i = 0; i < j->n; i++)
			j->rcpt[i].outcome.klass = OUTCOME_UNSENT;
		op_result(s, j);
	}
	go_down(s, &o, slice_str(why));
}

static void
connect_failed(struct out_session *s, const char *why)
{
	never_began(s, OUTCOME_TRANSIENT, STAGE_CONNECT, why);
}

static void
start(struct out_session *s)
{
	int64_t now = loop_now(s->w->loop);
	struct post *p;

	s->courier = courier_new(&s->conf, s->w->d->disk, &courier_ops, s, now);
	if (!s->courier) {
		connect_failed(s, "out of memory");
		return;
	}
	while ((p = posts_shift(&s->early)))
		courier_assign(s->courier, container_of(p, struct job, post),
		    now);
	if (s->conf.starts_tls)
		courier_pump(s->courier, now);
	session_flush(s);
}

static void
on_connect(void *user, struct conn *c, int err)
{
	struct out_session *s = user;
	char text[128];

	(void)c;
	if (err == 0)
		start(s);
	else
		connect_failed(s, strerror_r(err, text, sizeof(text)));
}

static void
on_tls(void *user, struct conn *c, bool ok, const char *why)
{
	struct out_session *s = user;

	if (ok) {
		COUNT(s->w, tls_out, 1);
		COUNT(s->w, tls_resumed_out, conn_tls_is_resumed(c));
	}
	if (ok && !s->tls && (s->tls = mem_try(SESSION_TLS_MAX))) {
		size_t n = conn_tls_facts(c, s->tls, SESSION_TLS_MAX);

		if (conn_tls_is_resumed(c))
			snprintf(s->tls + n, SESSION_TLS_MAX - n, " resumed");
		s->facts.tls = s->tls;
		out_policy_tell(s->policy, c);
	}
	courier_tls_done(s->courier, ok, slice_str(why), loop_now(s->w->loop));
	session_flush(s);
}

static void
on_drained(void *user, struct conn *c)
{
	struct out_session *s = user;

	(void)c;
	courier_pump(s->courier, loop_now(s->w->loop));
	session_flush(s);
}

/* Asks about the proxy; outbound_settle goes on. */
static void
doubt(struct out_session *s, enum doubt what, const char *why)
{
	size_t n = strlen(why) + 1;

	s->doubt = what;
	mem_free(s->why);
	s->why = mem_get(n);
	memcpy(s->why, why, n);
	egress_look(s->w, slice_str(s->proxy), s->self);
}

static void
on_gone(void *user, struct conn *c, int err)
{
	struct out_session *s = user;
	const char *why = "connection closed by the peer";
	char text[128];

	(void)c;
	if (err)
		why = strerror_r(err, text, sizeof(text));
	if (!s->courier) {
		connect_failed(s, why);
		return;
	}
	if (s->proxy[0] != '\0') {
		conn_close(s->conn);
		s->conn = NULL;
		doubt(s, DOUBT_GONE, why);
		return;
	}
	courier_gone(s->courier, slice_str(why), loop_now(s->w->loop));
}

static void
timed_out(struct out_session *s)
{
	if (courier_wants_tls(s->courier))
		courier_tls_done(s->courier, false,
		    SL("TLS handshake timed out"), loop_now(s->w->loop));
	else
		courier_timeout(s->courier, loop_now(s->w->loop));
	session_flush(s);
}

static void
on_deadline(void *user, struct conn *c)
{
	struct out_session *s = user;

	if (!s->courier) {
		connect_failed(s, "connection timed out");
		return;
	}
	if (s->proxy[0] != '\0' && !courier_is_idle(s->courier)) {
		conn_set_deadline(c, TIME_NEVER);
		doubt(s, DOUBT_SILENT, "");
		return;
	}
	timed_out(s);
}

static const struct conn_ops conn_ops = {
	.on_data = on_data,
	.on_connect = on_connect,
	.on_tls = on_tls,
	.on_drained = on_drained,
	.on_gone = on_gone,
	.on_deadline = on_deadline,
};

/* ---- behind a proxy ------------------------------------------------------------------- */

static void
proxy_seen(struct out_session *s, bool is_well, const char *source,
    const char *why)
{
	const struct core_seen seen = { .proxy = slice_str(s->proxy),
		.source = slice_str(source),
		.is_well = is_well,
		.why = slice_str(why),
		.began_us = s->began_us };

	egress_seen(s->w, &seen);
}

/* The proxy is not well, or not for that source (if it is not empty): the core
 * hears of that first, so that it does not ask again for what cannot be. */
static void
proxy_failed(struct out_session *s, const char *source, const char *why)
{
	char text[REPLY_TEXT_MAX];

	proxy_seen(s, false, source, why);
	snprintf(text, sizeof(text), "proxy %s: %s", s->proxy, why);
	never_began(s, OUTCOME_UNSENT, STAGE_LOCAL, text);
}

static void
on_hop(void *user, enum hop_end end, struct conn *c, const char *why)
{
	struct out_session *s = user;

	s->hop = NULL;
	switch (end) {
	case HOP_UP:
		s->conn = c;
		conn_give(c, &conn_ops, s);
		if (s->is_proxy_tried)
			proxy_seen(s, true, s->facts.source, "");
		start(s);
		return;
	case HOP_AWAY:
		proxy_failed(s, "", why);
		return;
	case HOP_ASTRAY:
		proxy_failed(s, s->facts.source, why);
		return;
	case HOP_DENIED:
		never_began(s, OUTCOME_UNSENT, STAGE_CONNECT, why);
		return;
	case HOP_REFUSED:
		connect_failed(s, why);
		return;
	case HOP_SILENT:
		doubt(s, DOUBT_CONNECT, why);
		return;
	}
}

static void
open_by_proxy(struct out_session *s, const struct post_open *o)
{
	char why[192];

	s->began_us = loop_now(s->w->loop);
	s->is_proxy_tried = o->is_proxy_tried;
	if (o->is_proxy_away) {
		never_began(s, OUTCOME_UNSENT, STAGE_LOCAL,
		    "no proxy of the source is well");
		return;
	}
	s->hop = egress_hop(s->w, slice_str(s->proxy), &o->from, &o->to, on_hop,
	    s, why, sizeof(why));
	if (!s->hop)
		proxy_failed(s, "", why);
}

/* ---- what the core tells us ------------------------------------------------------------ */

static struct out_session *
find(const struct worker *w, struct handle h)
{
	struct out_session *s = h.index < w->out_cap ? w->out[h.index] : NULL;

	return s && handle_eq(s->self, h) ? s : NULL;
}

static bool
table_fits(struct worker *w, uint32_t index)
{
	uint32_t cap = MAX(w->out_cap, 64u);
	struct out_session **v;

	if (index < w->out_cap)
		return true;
	while (cap <= index)
		cap *= 2;
	v = mem_grow(w->out, cap * sizeof(*v));
	if (!v)
		return false;
	memset(v + w->out_cap, 0, (cap - w->out_cap) * sizeof(*v));
	w->out = v;
	w->out_cap = cap;
	return true;
}

static struct out_session *
session_new(const struct post_open *o)
{
	const char *of[] = { o->host, o->source, o->site, o->ehlo, o->provider,
		o->proxy, o->domain };
	size_t n[ARRAY_LEN(of)], sum = 0;
	struct out_session *s;
	char *at;

	for (size_t i = 0; i < ARRAY_LEN(of); i++)
		sum += n[i] = strlen(of[i]) + 1;
	s = mem_get(sizeof(*s) + sum);
	at = s->words;
	for (size_t i = 0; i < ARRAY_LEN(of); i++) {
		memcpy(at, of[i], n[i]);
		of[i] = at;
		at += n[i];
	}
	s->facts.host = of[0];
	s->facts.source = of[1];
	s->facts.site = of[2];
	s->facts.tls = s->facts.tls_policy = "";
	s->facts.provider = of[4];
	s->facts.domain = of[6];
	s->facts.policy_type = "no-policy-found";
	s->facts.policy_strings = "";
	s->facts.from = o->from;
	s->facts.peer = o->to;
	s->conf.ehlo_name = slice_str(of[3]);
	s->provider = slice_str(of[4]);
	s->proxy = of[5];
	return s;
}

static void
session_conf(struct out_session *s, const struct post_open *o)
{
	struct slice ehlo = s->conf.ehlo_name;
	bool knows = knows_bdat(s->w, &o->to);

	s->conf = s->w->conf->client;
	s->conf.ehlo_name = ehlo;
	s->policy = o->policy;
	s->conf.chunks = s->w->conf->shapes[0].tls.chunks && knows;
	s->conf.bounces_8bit = s->w->conf->shapes[0].tls.bounces_8bit;
	s->conf.wants_tls = (s->policy || s->w->conf->tls_out) &&
	    s->w->tls_client && !o->is_clear;
	if (o->is_clear)
		s->facts.tls_policy = "opportunistic: in clear text, for TLS "
				      "with this host has failed";
	if (!s->policy)
		return;
	s->facts.policy_type = s->policy->type;
	s->facts.policy_strings = s->policy->strings;
	s->conf.needs_tls = s->policy->needs_tls;
	s->conf.requires_tls = s->policy->requires_tls;
	s->conf.starts_tls = s->policy->starts_tls;
	s->conf.is_lmtp = s->policy->is_lmtp;
	s->conf.chunks = s->policy->chunks && knows;
	s->conf.bounces_8bit = s->policy->bounces_8bit;
	s->conf.user = s->policy->user;
	s->conf.password = s->policy->password;
	s->conf.auth_in_clear = s->policy->auth_in_clear;
	s->conf.wants_tls =
	    s->policy->wants_tls && (s->conf.needs_tls || s->conf.wants_tls);
	s->conf.tls_policy = slice_str(s->policy->name);
	snprintf(s->policy->told, sizeof(s->policy->told), "%s",
	    s->policy->name);
	if (!o->is_clear || s->conf.needs_tls)
		s->facts.tls_policy = s->policy->told;
}

/* The policy does not allow a connection to that host; true: it went down. */
static bool
is_refused(struct out_session *s)
{
	struct outcome o = { .klass = OUTCOME_TRANSIENT,
		.stage = STAGE_TLS,
		.code = 454,
		.enh = { 4, 7, 5 } };
	char text[REPLY_TEXT_MAX];

	if (!s->policy)
		return false;
	if (s->w->is_stopping) { /* it came late, for it waited for DNS */
		connect_failed(s, "shutdown");
		return true;
	}
	if (s->policy->needs_tls && !s->w->tls_client)
		snprintf(s->policy->refused, sizeof(s->policy->refused),
		    "TLS cannot be prepared here");
	if (s->policy->refused[0] == '\0')
		return false;
	snprintf(text, sizeof(text), "%s: %s", s->policy->name,
	    s->policy->refused);
	go_down(s, &o, slice_str(text));
	return true;
}

void
outbound_open(struct worker *w, struct post_open *o)
{
	struct out_session *s = session_new(o);
	char text[128];
	int err = 0;

	s->w = w;
	s->self = o->session;
	if (!table_fits(w, o->session.index))
		ASSERT(!"memory for the table of sessions");
	ASSERT(!w->out[o->session.index]);
	w->out[o->session.index] = s;
	w->out_live++;
	COUNT(w, connections_out, 1);
	session_conf(s, o);
	if (is_refused(s)) {
		mem_free(o);
		return;
	}
	if (slice_has_prefix(slice_str(s->facts.host), SL(CONF_UNIX)))
		s->conn = conn_connect_path(w->loop,
		    s->facts.host + sizeof(CONF_UNIX) - 1, &conn_ops, s, &err);
	else if (o->proxy[0] != '\0' || o->is_proxy_away) {
		open_by_proxy(s, o);
		mem_free(o);
		return;
	} else
		s->conn =
		    conn_connect(w->loop, &o->from, &o->to, &conn_ops, s, &err);
	mem_free(o);
	if (s->conn) {
		conn_set_deadline(s->conn,
		    loop_now(w->loop) + w->conf->connect_timeout_us);
		return;
	}
	connect_failed(s, strerror_r(err, text, sizeof(text)));
}

void
outbound_assign(struct worker *w, struct job *j)
{
	struct out_session *s = find(w, j->session);

	ASSERT(s); /* the core frees a session only after its last job */
	if (s->is_down || !s->courier) {
		posts_push(&s->early, &j->post);
		if (s->is_down)
			connect_failed(s, "");
		return;
	}
	courier_assign(s->courier, j, loop_now(w->loop));
	session_flush(s);
}

void
outbound_close_session(struct worker *w, struct handle session)
{
	struct out_session *s = find(w, session);

	if (!s || s->is_down)
		return;
	/* Who has not said a word need not be told. */
	if (!s->courier) {
		connect_failed(s, "given up for others that wait");
		return;
	}
	if (courier_is_up(s->courier))
		courier_quit(s->courier, false, loop_now(w->loop));
	else
		courier_gone(s->courier, SL("given up for others that wait"),
		    loop_now(w->loop));
	session_flush(s);
}

void
outbound_take_back(struct worker *w, struct handle session)
{
	struct out_session *s = find(w, session);

	if (!s || s->is_down || !s->courier)
		return;
	courier_take_back(s->courier, loop_now(w->loop));
	session_flush(s);
}

void
outbound_settle(struct worker *w, struct handle session, bool is_well)
{
	struct out_session *s = find(w, session);
	enum doubt what;

	if (!s || s->is_down || s->doubt == DOUBT_NONE)
		return;
	what = s->doubt;
	s->doubt = DOUBT_NONE;
	s->is_lost = !is_well;
	if (what == DOUBT_CONNECT && is_well)
		connect_failed(s, s->why);
	else if (what == DOUBT_CONNECT)
		never_began(s, OUTCOME_UNSENT, STAGE_LOCAL, s->why);
	else if (what == DOUBT_GONE || !is_well)
		courier_gone(s->courier, slice_str(s->why), loop_now(w->loop));
	else if (courier_deadline(s->courier) <= loop_now(w->loop))
		timed_out(s);
	else
		session_flush(s); /* it has spoken in the meantime */
}

static void
session_bury(struct out_session *s)
{
	mem_free(s->why);
	mem_free(s->tls);
	out_policy_free(s->policy);
	mem_free(s);
}

void
outbound_session_free(struct worker *w, struct handle session)
{
	struct out_session *s = find(w, session);

	ASSERT(s && s->is_down);
	if (s->courier)
		courier_free(s->courier, loop_now(w->loop));
	w->out[session.index] = NULL;
	w->out_live--;
	session_bury(s);
}

/* Transactions under way may end; at once: none may. */
void
outbound_stop(struct worker *w, bool now)
{
	struct outcome o = { .klass = OUTCOME_DELIVERED, .stage = STAGE_QUIT };

	for (uint32_t i = 0; i < w->out_cap; i++) {
		struct out_session *s = w->out[i];

		if (!s || s->is_down)
			continue;
		if (now || !s->courier || !courier_is_up(s->courier)) {
			if (s->courier)
				courier_gone(s->courier, SL("shutdown"),
				    loop_now(w->loop));
			else
				connect_failed(s, "shutdown");
			go_down(s, &o, SL("shutdown"));
			continue;
		}
		courier_quit(s->courier, true, loop_now(w->loop));
		session_flush(s);
	}
}

void
outbound_reload(struct worker *w, const struct conf *old)
{
	outbound_tls_open(w);
	for (uint32_t i = 0; i < w->out_cap; i++)
		if (w->out[i] && w->out[i]->hop) /* by what is no more */
			never_began(w->out[i], OUTCOME_UNSENT, STAGE_LOCAL,
			    "the configuration has changed");
	egress_open(w);
	if (!old->has_tls && !w->conf->has_tls)
		return;
	for (uint32_t i = 0; i < w->out_cap; i++) {
		struct out_session *s = w->out[i];

		if (!s || s->is_down || !s->courier ||
		    !courier_is_up(s->courier))
			continue;
		courier_quit(s->courier, true, loop_now(w->loop));
		session_flush(s);
	}
}

void
outbound_close(struct worker *w)
{
	for (uint32_t i = 0; i < w->out_cap; i++)
		if (w->out[i]) {
			if (w->out[i]->courier)
				courier_free(w->out[i]->courier,
				    loop_now(w->loop));
			session_bury(w->out[i]);
		}
	mem_free(w->out);
	w->out = NULL;
	w->out_cap = 0;
}

/*
 * sim/host_out.c - outbound sessions, as in the daemon's outbound.
 */
#include <errno.h>

#include "sim/host_i.h"
#include "world/judge.h"

struct out_session {
	struct host *h;
	struct handle self;
	struct end *end;
	struct courier *courier; /* NULL until connected */
	struct session_facts facts;
	struct smtp_cli_conf conf;
	char ehlo[DOMAIN_MAX + 1];
	char host[DOMAIN_MAX + 1], site[DOMAIN_MAX + 1];
	char source[NAME_MAX_BYTES + 1], provider[NAME_MAX_BYTES + 1];
	struct posts early;
	bool is_down, is_flushing, is_shaking, is_recalled;
};

static struct post_session *
news(struct out_session *s, enum post_kind kind)
{
	struct post_session *p = mem_get(sizeof(*p));

	p->post.kind = (uint8_t)kind;
	p->session = s->self;
	p->facts = &s->facts;
	return p;
}

/* ---- what the courier tells us --------------------------------------------------- */

static void
op_result(void *ctx, struct job *j)
{
	struct out_session *s = ctx;

	for (uint32_t i = 0; i < j->n; i++) {
		struct job_rcpt *r = &j->rcpt[i];
		struct conf_heard heard = { .key = j->heard_key };

		judge_outcome(&r->outcome, slice_str(s->provider), r->text);
		judge_hear(s->h->conf, &r->outcome, r->text, &heard);
		r->hits = heard.hits;
		j->heard_key = heard.key;
	}
	s->h->s->marks->n[MARK_taken_back] += s->is_recalled && !j->is_sent;
	j->session_facts = &s->facts;
	j->post.kind = POST_RESULT;
	core_push(s->h, &j->post);
}

static void
op_up(void *ctx, uint32_t caps, bool is_tls)
{
	struct out_session *s = ctx;
	struct post_session *p = news(s, POST_UP);

	p->caps = caps;
	p->is_tls = is_tls;
	core_push(s->h, &p->post);
}

static void
go_down(struct out_session *s, const struct outcome *o, struct slice text)
{
	struct post_session *p;

	if (s->is_down)
		return;
	s->is_down = true;
	if (s->end) {
		end_close(s->end);
		s->end = NULL;
	}
	p = news(s, POST_DOWN);
	p->outcome = *o;
	judge_outcome(&p->outcome, slice_str(s->provider), text);
	judge_hear(s->h->conf, &p->outcome, text, &p->heard);
	slice_copy(text, p->text, sizeof(p->text));
	core_push(s->h, &p->post);
}

static void
op_down(void *ctx, const struct outcome *o, struct slice text)
{
	struct out_session *s = ctx;
	struct outcome end = *o;

	if (end.klass == OUTCOME_NONE)
		end.klass = OUTCOME_DELIVERED;
	if (s->end && courier_out(s->courier)->n)
		end_send(s->end, courier_out(s->courier)); /* QUIT */
	go_down(s, &end, text);
}

static const struct courier_ops courier_ops = {
	.result = op_result,
	.up = op_up,
	.down = op_down,
};

/* ---- the connection ------------------------------------------------------------------ */

static void
session_flush(struct out_session *s)
{
	struct buf *out;

	if (s->is_flushing || !s->courier)
		return;
	s->is_flushing = true;
	while (!s->is_down) {
		out = courier_out(s->courier);
		if (out->n == 0)
			break;
		if (!end_send(s->end, out)) {
			s->h->s->marks->n[MARK_large_streamed]++;
			break;
		}
		courier_pump(s->courier, s->h->s->now_us);
	}
	s->is_flushing = false;
	if (s->is_down || !s->end)
		return;
	if (courier_wants_tls(s->courier) && !s->is_shaking &&
	    courier_out(s->courier)->n == 0) {
		s->is_shaking = true;
		tls_say(s->end, TLS_HELLO);
	}
	end_deadline(s->end, courier_deadline(s->courier));
}

/* The peer's part of the handshake, or whatever else it says. */
static size_t
on_tls(struct out_session *s, struct slice data)
{
	bool ok = data.p[0] == TLS_HELLO;

	s->is_shaking = false;
	s->h->s->marks->n[ok ? MARK_tls_up : MARK_tls_failed]++;
	courier_tls_done(s->courier, ok,
	    ok ? SL("") : SL("the handshake failed"), s->h->s->now_us);
	session_flush(s);
	return 1;
}

static size_t
on_data(void *user, struct slice data)
{
	struct out_session *s = user;
	size_t n;

	if (!s->courier)
		return data.n;
	if (s->is_shaking)
		return on_tls(s, data);
	n = courier_feed(s->courier, data, s->h->s->now_us);
	session_flush(s);
	return n;
}

static void
connect_failed(struct out_session *s, const char *why)
{
	struct outcome o = { .klass = OUTCOME_TRANSIENT,
		.stage = STAGE_CONNECT };
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
start(struct out_session *s)
{
	int64_t now = s->h->s->now_us;
	struct post *p;

	s->courier =
	    courier_new(&s->conf, &s->h->disk.disk, &courier_ops, s, now);
	ASSERT(s->courier);
	while ((p = posts_shift(&s->early)))
		courier_assign(s->courier, container_of(p, struct job, post),
		    now);
	session_flush(s);
}

static void
on_connect(void *user, int err)
{
	struct out_session *s = user;

	if (err == 0)
		start(s);
	else
		connect_failed(s, "Connection refused");
}

static void
on_drained(void *user)
{
	struct out_session *s = user;

	courier_pump(s->courier, s->h->s->now_us);
	session_flush(s);
}

static void
on_gone(void *user, int err)
{
	struct out_session *s = user;
	const char *why =
	    err ? "Connection reset" : "connection closed by the peer";

	if (!s->courier) {
		connect_failed(s, why);
		return;
	}
	courier_gone(s->courier, slice_str(why), s->h->s->now_us);
}

static void
on_deadline(void *user)
{
	struct out_session *s = user;

	if (!s->courier) {
		connect_failed(s, "connection timed out");
		return;
	}
	s->h->s->marks->n[MARK_silent_timeout]++;
	if (courier_wants_tls(s->courier))
		courier_tls_done(s->courier, false,
		    SL("TLS handshake timed out"), s->h->s->now_us);
	else
		courier_timeout(s->courier, s->h->s->now_us);
	session_flush(s);
}

static const struct end_ops ops = {
	.on_data = on_data,
	.on_connect = on_connect,
	.on_drained = on_drained,
	.on_gone = on_gone,
	.on_deadline = on_deadline,
};

/* ---- what the core tells us ---------------------------------------------------------- */

static struct out_session *
find(const struct host *h, struct handle x)
{
	struct out_session *s = x.index < h->sess_cap ? h->sess[x.index] : NULL;

	return s && handle_eq(s->self, x) ? s : NULL;
}

static void
table_fit(struct host *h, uint32_t index)
{
	uint32_t cap = MAX(h->sess_cap, 64u);

	if (index < h->sess_cap)
		return;
	while (cap <= index)
		cap *= 2;
	h->sess = mem_grow(h->sess, cap * sizeof(*h->sess));
	ASSERT(h->sess);
	memset(h->sess + h->sess_cap, 0,
	    (cap - h->sess_cap) * sizeof(*h->sess));
	h->sess_cap = cap;
}

static void
fill(struct out_session *s, const struct post_open *o)
{
	s->facts.peer = o->to;
	slice_copy(slice_str(o->host), s->host, sizeof(s->host));
	slice_copy(slice_str(o->source), s->source, sizeof(s->source));
	slice_copy(slice_str(o->site), s->site, sizeof(s->site));
	slice_copy(slice_str(o->provider), s->provider, sizeof(s->provider));
	s->facts.host = s->host;
	s->facts.source = s->source;
	s->facts.site = s->site;
	s->facts.tls = s->facts.tls_policy = "";
	s->facts.provider = s->provider;
	slice_copy(slice_str(o->ehlo), s->ehlo, sizeof(s->ehlo));
	s->conf = s->h->conf->client;
	s->conf.ehlo_name = slice_str(s->ehlo);
	/* Certificates are not simulated: TLS of any kind will do. */
	s->conf.needs_tls = o->needs_tls;
	s->conf.tls_policy = SL("TLS policy");
	s->conf.wants_tls = o->needs_tls ||
	    (s->h->conf->tls_out && !o->never_tls && !o->is_clear);
	s->h->s->marks->n[MARK_tls_given_up] += o->is_clear;
}

void
outbound_open(struct host *h, struct post_open *o)
{
	struct out_session *s = mem_get(sizeof(*s));

	s->h = h;
	s->self = o->session;
	table_fit(h, o->session.index);
	ASSERT(!h->sess[o->session.index]);
	h->sess[o->session.index] = s;
	h->sess_live++;
	fill(s, o);
	s->end = peer_connect(h->s, &o->to.ip, &ops, s);
	end_deadline(s->end, h->s->now_us + h->conf->connect_timeout_us);
	mem_free(o);
}

void
outbound_assign(struct host *h, struct job *j)
{
	struct out_session *s = find(h, j->session);

	ASSERT(s);
	if (s->is_down || !s->courier) {
		posts_push(&s->early, &j->post);
		if (s->is_down)
			connect_failed(s, "");
		return;
	}
	courier_assign(s->courier, j, h->s->now_us);
	session_flush(s);
}

void
outbound_close(struct host *h, struct handle session)
{
	struct out_session *s = find(h, session);

	if (!s || s->is_down)
		return;
	/* Who has not said a word need not be told. */
	if (!s->courier) {
		connect_failed(s, "given up for others that wait");
		return;
	}
	if (courier_is_up(s->courier))
		courier_quit(s->courier, false, h->s->now_us);
	else
		courier_gone(s->courier, SL("given up for others that wait"),
		    h->s->now_us);
	session_flush(s);
}

void
outbound_take_back(struct host *h, struct handle session)
{
	struct out_session *s = find(h, session);

	if (!s || s->is_down || !s->courier)
		return;
	s->is_recalled = true;
	courier_take_back(s->courier, h->s->now_us);
	s->is_recalled = false;
	session_flush(s);
}

static void
session_free(struct out_session *s)
{
	struct host *h = s->h;

	if (s->courier)
		courier_free(s->courier, h->s->now_us);
	h->sess[s->self.index] = NULL;
	h->sess_live--;
	mem_free(s);
}

void
outbound_session_free(struct host *h, struct handle session)
{
	struct out_session *s = find(h, session);

	ASSERT(s && s->is_down);
	session_free(s);
}

void
outbound_stop(struct host *h, bool now)
{
	struct outcome o = { .klass = OUTCOME_DELIVERED, .stage = STAGE_QUIT };

	for (uint32_t i = 0; i < h->sess_cap; i++) {
		struct out_session *s = h->sess[i];

		if (!s || s->is_down)
			continue;
		if (now || !s->courier || !courier_is_up(s->courier)) {
			if (s->courier)
				courier_gone(s->courier, SL("shutdown"),
				    h->s->now_us);
			else
				connect_failed(s, "shutdown");
			go_down(s, &o, SL("shutdown"));
			continue;
		}
		courier_quit(s->courier, true, h->s->now_us);
		session_flush(s);
	}
}

/* Jobs that are given back land in a box that is emptied right after. */
void
outbound_crash(struct host *h)
{
	for (uint32_t i = 0; i < h->sess_cap; i++) {
		struct out_session *s = h->sess[i];

		if (!s)
			continue;
		if (s->end) {
			if (rng_below(dice(h->s, DICE_HOST), 2))
				end_reset(s->end);
			else
				end_vanish(s->end);
		}
		posts_free(h, &s->early);
		session_free(s);
	}
}

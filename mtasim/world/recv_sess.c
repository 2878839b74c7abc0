/*
 * world/recv_sess.c - one SMTP conversation of a receiver.
 *
 * The machine stops at an act; chance, caps and rates choose a verdict; a
 * delay may stand between choosing and saying it, and holds pipelined input
 * back meanwhile. Replies leave once per turn of the conversation.
 *
 * `asked` is the stage whose verdict waits for its delay, or AT_N. A session
 * in silence eats what comes and never speaks again.
 */
#include <unistd.h>

#include "world/recv_i.h"

#define LINGER_US (2 * US_PER_S)
#define OUT_HOLD 8192 /* bytes of replies unread: stop listening */

static const struct verdict misrouted = { VERDICT_REPLY, 550, "5.7.1",
	"That domain is not here" };

static void sess_pump(struct sess *s, struct slice *in);

/* ---- ends -------------------------------------------------------------------- */

static struct guard_ask
asking(const struct sess *s, enum sim_stage stage)
{
	bool has_rcpt = stage == AT_RCPT;

	return (struct guard_ask){
		/* A world that has begun after the loop counts from there. */
		.now_us = loop_now(s->r->loop) -
		    (s->r->conf.epoch_us ? *s->r->conf.epoch_us : 0),
		.ip = s->ip,
		.source = slice_str(s->peer),
		.sender = slice_str(s->sender),
		.rcpt = has_rcpt ? s->srv.path.address : SL(""),
		.domain = has_rcpt ? s->srv.path.domain : SL(""),
		.connection = s->connection,
		.transaction = s->transaction,
	};
}

/* Not among its source's connections, or not any more. */
static void
sess_uncount(struct sess *s)
{
	struct guard_ask a;

	if (s->is_inside) {
		a = asking(s, AT_CONNECT);
		guards_leave(s->r->conf.behave, &s->r->memory, &a);
	}
	s->is_inside = false;
	if (s->is_counted)
		s->r->sources[s->source - 1].conns--;
	s->is_counted = false;
}

/* The connection has been closed already. */
static void
sess_free(struct sess *s)
{
	struct receiver *r = s->r;

	take_free(s);
	timer_cancel(r->timers, &s->timer);
	sess_uncount(s);
	r->n.open--;
	list_remove(&s->node);
	if (s->has_begun)
		smtp_srv_free(&s->srv);
	mem_free(s);
}

static void
sess_drop(struct sess *s)
{
	conn_close(s->c);
	sess_free(s);
}

/* Ends after the last words have left. */
static void
sess_end(struct sess *s)
{
	conn_send(s->c, &s->srv.out);
	conn_close_gently(s->c, LINGER_US);
	sess_free(s);
}

void
sess_close_all(struct receiver *r)
{
	LIST_FOREACH_SAFE(it, tmp, &r->sessions)
		sess_drop(container_of(it, struct sess, node));
}

static void
sess_hush(struct sess *s)
{
	s->is_silent = true;
	s->asked = AT_N;
	conn_set_deadline(s->c, TIME_NEVER);
	conn_resume(s->c);
}

/* ---- verdicts ------------------------------------------------------------------ */

/* What its memory says of it, and of what it asks for. */
static const struct verdict *
sess_guards(struct sess *s, enum sim_stage stage)
{
	struct guard_ask a;
	const struct verdict *v;

	if (s->r->conf.behave->nguards == 0)
		return NULL;
	if (stage == AT_MAIL) {
		slice_copy(s->srv.path.domain, s->sender, sizeof(s->sender));
		s->transaction = ++s->r->transactions;
	}
	a = asking(s, stage);
	v = guards_ask(s->r->conf.behave, &s->r->memory, stage, &a);
	if (stage == AT_CONNECT)
		s->is_inside = v == NULL;
	return v;
}

/* Caps and rates go before chance. */
static const struct verdict *
sess_decide(struct sess *s, enum sim_stage stage)
{
	const struct behave *b = s->r->conf.behave;
	struct recv_source *src =
	    s->source > 0 ? &s->r->sources[s->source - 1] : NULL;
	const struct verdict *v;

	if (stage == AT_MAIL && b->messages_max > 0 &&
	    s->srv.messages >= b->messages_max)
		return &b->full;
	if (b->nspells > 0) {
		v = behave_spell(b, stage,
		    loop_now(s->r->loop) - *s->r->conf.epoch_us);
		if (v != NULL)
			return v;
	}
	if (stage == AT_CONNECT) {
		if (b->conns_max > 0 && s->r->n.open > b->conns_max)
			return &b->busy;
		if (b->source_conns_max > 0 && src != NULL &&
		    src->conns > b->source_conns_max)
			return &b->busy;
	}
	if (stage == AT_RCPT && s->r->conf.takes != NULL &&
	    !s->r->conf.takes(s->r->conf.takes_ctx, s->srv.path.domain)) {
		s->r->n.misrouted++;
		return &misrouted;
	}
	if (stage == b->over_stage && src != NULL && b->rate_count > 0 &&
	    !behave_take(b, &src->full_ns, loop_now(s->r->loop)))
		return &b->over;
	v = behave_pick(b, stage, &s->r->dice);
	return v != NULL ? v : sess_guards(s, stage);
}

static void
sess_accept(struct sess *s, enum sim_stage stage)
{
	switch (stage) {
	case AT_MAIL:
		smtp_srv_reply(&s->srv, 250, "2.1.0", SL("sender ok"));
		break;
	case AT_RCPT:
		take_rcpt(s);
		smtp_srv_reply(&s->srv, 250, "2.1.5", SL("recipient ok"));
		break;
	case AT_DATA:
		take_begin(s);
		smtp_srv_go_ahead(&s->srv);
		break;
	case AT_EOM:
		take_message(s);
		smtp_srv_reply(&s->srv, 250, "2.0.0", SL("taken"));
		break;
	default:
		break; /* the banner is already in srv.out */
	}
}

static void
sess_refuse(struct sess *s, enum sim_stage stage, const struct verdict *v)
{
	char text[REPLY_BYTES_MAX + MAILBOX_MAX];
	size_t n = verdict_text(v, slice_str(s->peer),
	    stage == AT_RCPT ? s->srv.path.address : SL(""),
	    s->r->conf.hostname, text, sizeof(text));

	s->r->n.deferred += v->code < 500;
	s->r->n.rejected += v->code >= 500;
	take_refusal(s, stage, v);
	if (stage == AT_EOM)
		take_reset(s);
	if (stage != AT_CONNECT) {
		smtp_srv_reply(&s->srv, v->code, v->enh, slice_of(text, n));
		return;
	}
	buf_reset(&s->srv.out);
	(void)buf_addf(&s->srv.out, "%u %s%s%s\r\n", v->code, v->enh,
	    v->enh[0] != '\0' ? " " : "", text);
}

/* Says the verdict; false when the session is gone or silent from now on. */
static bool
sess_answer(struct sess *s, enum sim_stage stage, const struct verdict *v)
{
	s->asked = AT_N;
	if (v == NULL) {
		sess_accept(s, stage);
		return true;
	}
	s->r->n.turned_away += stage == AT_CONNECT;
	if (v->kind == VERDICT_REPLY) {
		sess_refuse(s, stage, v);
		if (stage != AT_CONNECT)
			return true;
		sess_end(s);
		return false;
	}
	s->r->n.dropped++;
	take_refusal(s, stage, v);
	if (v->kind == VERDICT_SILENT) {
		sess_hush(s);
		return false;
	}
	/* What was answered before stands: a 250 that is lost here would make
	 * a duplicate that nobody is to blame for. */
	if (stage == AT_CONNECT)
		buf_reset(&s->srv.out);
	sess_end(s);
	return false;
}

/* Decides now and answers now, or after the delay; false: do not go on. */
static bool
sess_ask(struct sess *s, enum sim_stage stage)
{
	const struct behave *b = s->r->conf.behave;
	const struct verdict *v = sess_decide(s, stage);
	struct dice *dice = &s->r->dice;
	int64_t delay = v != NULL && b->has_refusal && stage != AT_EOM ?
	    dist_draw(&b->refusal, &dice->refusal) :
	    dist_draw(&b->delay[stage], &dice->delay[stage]);

	/* Who is turned away holds no place while he is told so. */
	if (stage == AT_CONNECT && v != NULL)
		sess_uncount(s);
	if (delay == 0)
		return sess_answer(s, stage, v);
	s->asked = (uint8_t)stage;
	s->answer = v;
	timer_set(s->r->timers, &s->timer, loop_now(s->r->loop) + delay);
	return false;
}

static void
on_delay_over(void *ctx, int64_t now_us)
{
	struct sess *s = ctx;
	struct slice none = SL("");

	(void)now_us;
	if (!sess_answer(s, s->asked, s->answer))
		return;
	conn_resume(s->c);
	sess_pump(s, &none);
}

/* ---- the conversation ---------------------------------------------------------- */

/* An EHLO answer without PIPELINING: the keyword becomes one that nobody
 * knows, in place, so the machine need not know of it. */
static void
hide_pipelining(struct buf *out)
{
	static const char word[] = "250-PIPELINING\r\n";
	char *at;

	if (out->n == 0)
		return;
	at = memmem(out->p + out->off, out->n, word, sizeof(word) - 1);
	if (at != NULL)
		at[4] = 'X';
}

static void
sess_flush(struct sess *s)
{
	if (s->r->conf.behave->hides_pipelining)
		hide_pipelining(&s->srv.out);
	conn_send(s->c, &s->srv.out);
}

/* One act of the machine; false: do not go on (and perhaps s is gone). */
static bool
sess_act(struct sess *s, enum smtp_srv_act act)
{
	switch (act) {
	case SRV_MAIL:
		take_reset(s);
		return sess_ask(s, AT_MAIL);
	case SRV_RCPT:
		return sess_ask(s, AT_RCPT);
	case SRV_DATA:
		return sess_ask(s, AT_DATA);
	case SRV_BODY:
		take_body(s);
		return true;
	case SRV_EOM:
		return sess_ask(s, AT_EOM);
	case SRV_ABORT:
		take_reset(s);
		return true;
	case SRV_REFUSED:
		return true;
	case SRV_STARTTLS:
		sess_flush(s);
		conn_tls_accept(s->c, s->r->conf.tls);
		return false;
	case SRV_AUTH: /* not offered */
	case SRV_XCLIENT:
		break;
	case SRV_CLOSE:
		sess_end(s);
		return false;
	case SRV_NEED_INPUT:
	case SRV_WAIT:
		break;
	}
	return false;
}

/*
 * Goes on for as long as the machine can. Whoever ends the session does it as
 * the last thing, so `open` (counted down by it) tells whether s is alive.
 */
static void
sess_pump(struct sess *s, struct slice *in)
{
	struct receiver *r = s->r;
	uint64_t open = r->n.open;
	bool goes_on = true;

	do {
		while (goes_on && s->srv.out.n < OUT_HOLD)
			goes_on = sess_act(s,
			    smtp_srv_step(&s->srv, in, loop_now(r->loop)));
		if (r->n.open != open || s->is_silent)
			return;
		if (s->srv.waits_for != SRV_STARTTLS)
			sess_flush(s);
	} while (goes_on && !conn_is_sending(s->c));
	conn_set_deadline(s->c, smtp_srv_deadline(&s->srv));
}

static size_t
on_data(void *user, struct conn *c, struct slice data)
{
	struct sess *s = user;
	struct slice in = data;

	(void)c;
	if (s->is_silent)
		return data.n;
	if (s->asked != AT_N)
		return 0;
	sess_pump(s, &in);
	return data.n - in.n;
}

static void
on_drained(void *user, struct conn *c)
{
	(void)user;
	conn_resume(c);
}

static void
on_tls(void *user, struct conn *c, bool ok, const char *why)
{
	struct sess *s = user;
	struct slice none = SL("");

	(void)c;
	(void)why;
	smtp_srv_tls_done(&s->srv, ok, loop_now(s->r->loop));
	sess_pump(s, &none);
}

static void
on_gone(void *user, struct conn *c, int errno_value)
{
	struct sess *s = user;

	(void)c;
	(void)errno_value;
	s->r->n.lost += !s->is_silent && smtp_srv_in_transaction(&s->srv);
	sess_drop(s);
}

static void
on_deadline(void *user, struct conn *c)
{
	struct sess *s = user;
	struct slice none = SL("");

	(void)c;
	s->r->n.lost++;
	smtp_srv_timeout(&s->srv);
	sess_pump(s, &none);
}

static const struct conn_ops sess_ops = {
	.on_data = on_data,
	.on_tls = on_tls,
	.on_drained = on_drained,
	.on_gone = on_gone,
	.on_deadline = on_deadline,
};

static void
sess_greet(struct sess *s)
{
	struct slice none = SL("");

	if (s->r->conf.behave->is_silent) {
		s->r->n.turned_away++;
		sess_hush(s);
	} else if (sess_ask(s, AT_CONNECT)) {
		sess_pump(s, &none);
	}
}

void
sess_open(struct receiver *r, int fd, const struct endpoint *peer)
{
	struct sess *s = mem_try(sizeof(*s));
	struct recv_source *src;

	r->n.connections++;
	if (s == NULL || (s->c = conn_new(r->loop, fd, &sess_ops, s)) == NULL) {
		mem_free(s);
		close(fd);
		r->n.lost++;
		return;
	}
	s->r = r;
	s->asked = AT_N;
	s->timer.fire = on_delay_over;
	s->timer.ctx = s;
	take_init(s);
	s->ip = peer->ip;
	s->connection = r->n.connections;
	ip_format(s->peer, &peer->ip);
	list_push_tail(&r->sessions, &s->node);
	r->n.open++;
	r->n.open_max = MAX(r->n.open_max, r->n.open);
	src = recv_source(r, &peer->ip);
	if (src != NULL) {
		s->source = (uint32_t)(src - r->sources) + 1;
		src->conns++;
		s->is_counted = true;
	}
	smtp_srv_init(&s->srv, &r->smtp, loop_now(r->loop));
	s->has_begun = true;
	sess_greet(s);
}

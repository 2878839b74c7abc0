/*
 * load_sess.c - the connections of the load.
 *
 * Sessions are opened as work asks for them, up to --connections, and stay
 * open. When one cannot be opened, the next try waits: 50 ms, doubled up to a
 * second, plus chance, so a target that was killed is found again at once and
 * one that is gone is not hammered.
 */
#include "load.h"

#define BACKOFF_MIN_US (50 * US_PER_MS)
#define BACKOFF_MAX_US US_PER_S
#define CONNECT_US (10 * US_PER_S)
#define OUT_FULL (256u << 10) /* body bytes waiting for the socket */

struct load_sess {
	struct list node; /* in load.idle or load.busy */
	struct load *l;
	struct conn *c;
	struct smtp_cli *cli; /* NULL until connected */
	struct list msgs;     /* oldest first */
	struct message *body; /* being given */
	uint32_t nmsgs;
	uint64_t sent; /* messages of this connection */
	bool is_up;
};

static void sess_pump(struct load_sess *s, struct slice *in);

/* ---- the end of a session -------------------------------------------------------- */

static void
sess_free(struct load_sess *s)
{
	struct load *l = s->l;

	conn_close(s->c);
	smtp_cli_free(s->cli);
	list_remove(&s->node);
	l->nsess--;
	mem_free(s);
}

static void
back_off(struct load *l, const char *what, struct slice why)
{
	int64_t now = loop_now(l->run.loop);

	l->n.unconnected++;
	l->backoff_us = l->backoff_us == 0 ?
	    BACKOFF_MIN_US :
	    MIN(l->backoff_us * 2, BACKOFF_MAX_US);
	l->next_connect_us =
	    now + l->backoff_us + rng_range(&l->rng, 0, l->backoff_us / 4);
	snprintf(l->trouble, sizeof(l->trouble), "%s: %.*s", what,
	    (int)MIN(why.n, (size_t)120), why.p);
}

/* The machine has given every result that it owed. */
static void
sess_down(struct load_sess *s)
{
	struct slice text;
	const struct outcome *why = smtp_cli_down(s->cli, &text);
	char reply[160];

	if (why->code != 0)
		snprintf(reply, sizeof(reply), "%u %.*s", why->code,
		    (int)MIN(text.n, (size_t)100), text.p);
	else
		snprintf(reply, sizeof(reply), "%.*s",
		    (int)MIN(text.n, (size_t)100), text.p);
	if (!s->is_up)
		back_off(s->l, stage_name(why->stage), slice_str(reply));
	else
		s->l->n.broken += why->klass != OUTCOME_NONE;
	conn_send(s->c, smtp_cli_out(s->cli));
	sess_free(s);
}

/* ---- giving work ------------------------------------------------------------------ */

static void
sess_begin(struct load_sess *s, struct message *msg)
{
	struct smtp_cli_txn txn = {
		.sender = s->l->mix.sender,
		.rcpts = msg->txn,
		.size = msg->bytes,
		.flags = ENV_HAS_DOTS,
		.cookie = (uint64_t)(uintptr_t)msg,
	};

	msg->ntxn = 0;
	for (uint32_t k = 0; k < msg->nrcpt; k++) {
		if (msg->state[k] != MSG_OPEN)
			continue;
		msg->txn_rcpt[msg->ntxn] = (uint8_t)k;
		msg->txn[msg->ntxn++] =
		    (struct smtp_cli_rcpt){ .address = msg->address[k] };
	}
	txn.nrcpt = msg->ntxn;
	msg->given = 0;
	s->l->n.retried += msg->tries++ > 0;
	s->sent++;
	s->nmsgs++;
	s->l->nflight++;
	list_push_tail(&s->msgs, &msg->node);
	smtp_cli_begin(s->cli, &txn, loop_now(s->l->run.loop));
}

/* May one more be queued? One at a time, two where transactions chain. */
static bool
sess_has_room(const struct load_sess *s)
{
	const struct load *l = s->l;

	if (!s->is_up || s->nmsgs > (l->chains ? 1u : 0u))
		return false;
	if (l->per_connection > 0 && s->sent >= l->per_connection)
		return false;
	return smtp_cli_room(s->cli) > 0;
}

/* Takes what is due; keeps the lists of idle and busy sessions right. */
static void
sess_feed(struct load_sess *s)
{
	struct load *l = s->l;
	struct message *msg;

	while (sess_has_room(s) && (msg = load_next(l)) != NULL)
		sess_begin(s, msg);
	if (s->is_up && s->nmsgs == 0 && l->per_connection > 0 &&
	    s->sent >= l->per_connection)
		smtp_cli_quit(s->cli, loop_now(l->run.loop));
	list_remove(&s->node);
	if (s->nmsgs == 0 && sess_has_room(s))
		list_push_head(&l->idle, &s->node);
	else
		list_push_tail(&l->busy, &s->node);
}

/* ---- the conversation ------------------------------------------------------------- */

/* The message whose body is due: the oldest. */
static void
sess_body(struct load_sess *s)
{
	struct buf *out = smtp_cli_out(s->cli);
	struct message *msg = container_of(s->msgs.next, struct message, node);
	int64_t now = loop_now(s->l->run.loop);

	while (out->n < OUT_FULL) {
		struct slice piece = mix_piece(&s->l->mix, msg, OUT_FULL);
		bool last = msg->given == msg->bytes;

		smtp_cli_body(s->cli, piece, true, last, now);
		if (last)
			return;
	}
}

static void
sess_result(struct load_sess *s)
{
	const struct smtp_cli_result *res = smtp_cli_result(s->cli);
	struct message *msg = (struct message *)(uintptr_t)res->cookie;

	list_remove(&msg->node);
	s->nmsgs--;
	s->l->nflight--;
	load_settle(s->l, msg, res);
}

static void
sess_up(struct load_sess *s)
{
	struct load *l = s->l;

	s->is_up = true;
	l->ever_up = true;
	l->backoff_us = 0;
	l->next_connect_us = 0;
	l->n.connected++;
}

/* Writes what there is; false: it has to wait for the socket. */
static bool
sess_flush(struct load_sess *s)
{
	struct buf *out = smtp_cli_out(s->cli);

	if (out->n == 0)
		return true;
	if (!conn_send(s->c, out))
		return false;
	smtp_cli_flushed(s->cli, loop_now(s->l->run.loop));
	return true;
}

/* One act; false: s waits, or is gone. */
static bool
sess_act(struct load_sess *s, enum smtp_cli_act act, bool *is_gone)
{
	switch (act) {
	case CLI_UP:
		sess_up(s);
		sess_feed(s);
		return true;
	case CLI_RESULT:
		sess_result(s);
		sess_feed(s);
		return true;
	case CLI_BODY:
		sess_body(s);
		return sess_flush(s);
	case CLI_STARTTLS:
		sess_flush(s);
		conn_tls_connect(s->c, s->l->tls, SL(""));
		return false;
	case CLI_DOWN:
		*is_gone = true;
		sess_down(s);
		return false;
	case CLI_AUTH: /* it never logs in */
	case CLI_NEED_INPUT:
		break;
	}
	return false;
}

static void
sess_pump(struct load_sess *s, struct slice *in)
{
	struct load *l = s->l;
	bool goes_on = true, is_gone = false;
	enum smtp_cli_act act = CLI_NEED_INPUT;

	while (goes_on) {
		act = smtp_cli_step(s->cli, in, loop_now(l->run.loop));
		goes_on = sess_act(s, act, &is_gone);
	}
	if (is_gone)
		return;
	if (act != CLI_STARTTLS)
		sess_flush(s);
	if (s->is_up)
		l->up_us = loop_now(l->run.loop);
	conn_set_deadline(s->c, smtp_cli_deadline(s->cli));
}

static size_t
on_data(void *user, struct conn *c, struct slice data)
{
	struct slice in = data;

	(void)c;
	sess_pump(user, &in);
	return data.n - in.n;
}

static void
on_connect(void *user, struct conn *c, int err)
{
	struct load_sess *s = user;
	struct load *l = s->l;
	char text[128];

	(void)c;
	if (err == 0)
		s->cli = smtp_cli_new(&l->cli, loop_now(l->run.loop));
	if (s->cli != NULL) {
		conn_set_deadline(s->c, smtp_cli_deadline(s->cli));
		return;
	}
	back_off(l, "connect",
	    slice_str(err != 0 ? strerror_r(err, text, sizeof(text)) :
				 "out of memory"));
	sess_free(s);
}

static void
on_tls(void *user, struct conn *c, bool ok, const char *why)
{
	struct load_sess *s = user;
	struct slice none = SL("");

	(void)c;
	smtp_cli_tls_done(s->cli, ok, slice_str(why), loop_now(s->l->run.loop));
	sess_pump(s, &none);
}

static void
on_drained(void *user, struct conn *c)
{
	struct load_sess *s = user;
	struct slice none = SL("");

	(void)c;
	smtp_cli_flushed(s->cli, loop_now(s->l->run.loop));
	sess_pump(s, &none);
}

static void
sess_lose(struct load_sess *s, struct slice why)
{
	struct slice none = SL("");

	smtp_cli_gone(s->cli, why, loop_now(s->l->run.loop));
	sess_pump(s, &none);
}

static void
on_gone(void *user, struct conn *c, int errno_value)
{
	char text[128];

	(void)c;
	sess_lose(user,
	    slice_str(errno_value == 0 ?
		    "closed by the target" :
		    strerror_r(errno_value, text, sizeof(text))));
}

static void
on_deadline(void *user, struct conn *c)
{
	struct load_sess *s = user;
	struct slice none = SL("");

	(void)c;
	if (s->cli == NULL) {
		back_off(s->l, "connect", SL("timed out"));
		sess_free(s);
		return;
	}
	smtp_cli_timeout(s->cli, loop_now(s->l->run.loop));
	sess_pump(s, &none);
}

static const struct conn_ops sess_ops = {
	.on_data = on_data,
	.on_connect = on_connect,
	.on_tls = on_tls,
	.on_drained = on_drained,
	.on_gone = on_gone,
	.on_deadline = on_deadline,
};

/* ---- all of them ------------------------------------------------------------------ */

static void
sess_open(struct load *l)
{
	struct load_sess *s = mem_get(sizeof(*s));
	char text[128];
	int err = 0;

	s->l = l;
	list_init(&s->msgs);
	s->c = conn_connect(l->run.loop, &l->source, &l->target, &sess_ops, s,
	    &err);
	if (s->c == NULL) {
		mem_free(s);
		back_off(l, "connect",
		    slice_str(strerror_r(err, text, sizeof(text))));
		return;
	}
	list_push_tail(&l->busy, &s->node);
	l->nsess++;
	conn_set_deadline(s->c, loop_now(l->run.loop) + CONNECT_US);
}

/* Sessions on their way up; each will take a message. */
static uint64_t
coming_up(const struct load *l)
{
	uint64_t n = 0;

	LIST_FOREACH(it, &l->busy)
		n += !container_of(it, struct load_sess, node)->is_up;
	return n;
}

static uint64_t
waiting(const struct load *l)
{
	return l->scheduled - l->n.started + l->nagain;
}

static bool
may_connect(const struct load *l)
{
	return l->nsess < l->connections && waiting(l) > 0 && l->ended_us == 0;
}

void
load_dispatch(struct load *l)
{
	int64_t now = loop_now(l->run.loop);
	uint64_t coming;

	while (waiting(l) > 0 && !list_is_empty(&l->idle)) {
		struct load_sess *s = container_of(list_pop_head(&l->idle),
		    struct load_sess, node);
		struct slice none = SL("");

		sess_feed(s);
		sess_pump(s, &none);
	}
	if (!may_connect(l) || now < l->next_connect_us)
		return;
	coming = coming_up(l);
	while (may_connect(l) && coming++ < waiting(l) &&
	    loop_now(l->run.loop) >= l->next_connect_us)
		sess_open(l);
}

int64_t
load_wants(const struct load *l)
{
	/* Otherwise a session's next event brings us back. */
	return may_connect(l) && l->next_connect_us > 0 ? l->next_connect_us :
							  TIME_NEVER;
}

void
load_close(struct load *l)
{
	struct list *lists[] = { &l->idle, &l->busy };

	for (size_t i = 0; i < ARRAY_LEN(lists); i++)
		LIST_FOREACH_SAFE(it, tmp, lists[i]) {
			struct load_sess *s =
			    container_of(it, struct load_sess, node);

			if (s->cli == NULL) {
				sess_free(s);
				continue;
			}
			if (s->nmsgs == 0)
				smtp_cli_quit(s->cli, loop_now(l->run.loop));
			sess_flush(s);
			sess_lose(s, SL("given up"));
		}
}

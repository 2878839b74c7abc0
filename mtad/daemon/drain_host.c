/*
 * daemon/drain_host.c - the node that is drained: its connection to the target,
 * its orders, and what it remembers of them.
 *
 * All of it belongs to the core's worker. What is going on stands in the file
 * `drain` of the spool, written before the first message is offered and removed
 * when neither node has anything of the other's in doubt; so a start goes on
 * with it. `identity` names the spool among all.
 */
#include <errno.h>
#include <fcntl.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <sys/random.h>
#include <unistd.h>

#include "daemon/daemon_i.h"

#define CONNECT_US (15 * US_PER_S)
#define RETRY_MIN_US (200 * US_PER_MS)
#define RETRY_MAX_US (10 * US_PER_S)
#define SECRET_MIN 16u
#define SECRET_MAX 4096u
#define LINGER_US US_PER_S
#define PATH_BYTES_MAX 4096
#define SMOOTH 8 /* seconds that the rate is smoothed over */

/* clang-format off */
#define MODE_TABLE(X) \
	X(MODE_IDLE, "idle") \
	X(MODE_DRAINING, "draining") \
	X(MODE_SETTLING, "settling") /* takes mail again; some is in doubt */
/* clang-format on */
#define X(name, text) name,
enum mode { MODE_TABLE(X) MODE_N };
#undef X
#define X(name, text) [name] = text,
static const char *const mode_names[MODE_N] = { MODE_TABLE(X) };
#undef X

struct drain_host {
	struct worker *w;
	struct drain_id self;
	bool has_self;
	struct buf secret;
	struct drain_in *in;
	struct drain_door *door;
	struct drain_out *out;
	enum mode mode;
	struct endpoint to;
	char name[DOMAIN_MAX + 1]; /* as the operator gave it */
	bool tls;
	struct conn *conn;
	bool is_connected; /* and drain_out_begin was called */
	bool was_open;     /* something may have been offered since the order */
	int64_t retry_us, next_try_us;
	char why[256];    /* there is no conversation, or was none last time */
	int64_t since_us; /* wall clock */
	/* Messages that leave, in thousandths a second, smoothed. */
	int64_t looked_us;
	uint64_t left;
	int64_t rate_milli;
};

/* ---- secret, identity, file ---------------------------------------------------- */

static int
read_file(const char *path, struct buf *out)
{
	char text[SECRET_MAX];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text));
	int err = n < 0 ? err_from_errno(errno) : 0;

	if (fd >= 0)
		close(fd);
	while (n > 0 && (uint8_t)text[n - 1] <= ' ')
		n--;
	buf_reset(out);
	return err ? err : buf_add(out, text, (size_t)n);
}

int
drain_refresh(struct worker *w)
{
	const struct slice file = w->conf->drain.secret;
	struct buf *out = &w->drain->secret;
	int err;

	if (!file.n)
		return E_NOTFOUND;
	err = read_file(file.p, out);
	if (!err && out->n < SECRET_MIN)
		err = E_RANGE;
	if (err)
		log_event(LOG_ERROR, "drain", "what",
		    err == E_RANGE ? "the secret has less than 16 bytes" :
				     "the secret cannot be read",
		    "file", file.p, "error", err_text(err), NULL);
	return err;
}

static void
op_mac(void *ctx, struct slice text, uint8_t out[DRAIN_MAC_BYTES])
{
	const struct drain_host *h = ctx;
	struct slice key = buf_slice(&h->secret);
	unsigned int n = DRAIN_MAC_BYTES;

	if (!HMAC(EVP_sha256(), key.p, (int)key.n, (const uint8_t *)text.p,
		text.n, out, &n))
		ASSERT(!"a digest");
}

static bool
op_has_room(void *ctx, uint64_t bytes)
{
	const struct drain_host *h = ctx;
	struct gate *g = &h->w->d->gate;

	return spool_has_room(h->w->d->spooler.spool, bytes) &&
	    !atomic_load(&g->is_draining);
}

static const struct drain_ops ops = { .mac = op_mac, .has_room = op_has_room };

void
drain_nonce(struct drain_talk *t)
{
	ASSERT(getrandom(t->nonce, sizeof(t->nonce), 0) ==
	    (ssize_t)sizeof(t->nonce));
}

/* A file of the spool, written whole or not at all. */
static int
write_file(const struct worker *w, const char *name, struct slice text)
{
	const char *dir = w->conf->spool.p;
	char path[PATH_BYTES_MAX], fresh[PATH_BYTES_MAX];
	int fd, err = 0;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	snprintf(fresh, sizeof(fresh), "%s/%s.new", dir, name);
	fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);
	if (fd < 0 || write(fd, text.p, text.n) != (ssize_t)text.n ||
	    fsync(fd) || rename(fresh, path))
		err = err_from_errno(errno);
	if (fd >= 0)
		close(fd);
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (!err && (fd < 0 || fsync(fd)))
		err = err_from_errno(errno);
	if (fd >= 0)
		close(fd);
	if (err)
		log_event(LOG_ERROR, "drain", "what", "cannot write", "file",
		    path, "error", err_text(err), NULL);
	return err;
}

static int
find_self(struct drain_host *h)
{
	char path[PATH_BYTES_MAX], text[DRAIN_ID_TEXT_MAX];
	struct buf b;
	int err;

	if (h->has_self)
		return 0;
	buf_init(&b, SECRET_MAX);
	snprintf(path, sizeof(path), "%s/identity", h->w->conf->spool.p);
	err = read_file(path, &b);
	if (!err)
		err = drain_id_parse(buf_slice(&b), &h->self);
	else if (err == E_NOTFOUND) {
		ASSERT(getrandom(h->self.b, sizeof(h->self.b), 0) ==
		    (ssize_t)sizeof(h->self.b));
		drain_id_format(text, &h->self);
		err = write_file(h->w, "identity", slice_str(text));
	}
	buf_free(&b);
	if (err)
		log_event(LOG_ERROR, "drain", "what",
		    "the spool's identity cannot be read", "file", path, NULL);
	h->has_self = !err;
	return err;
}

static int
remember(const struct drain_host *h)
{
	char text[512], to[ENDPOINT_TEXT_MAX];
	char path[PATH_BYTES_MAX];
	int n;

	if (h->mode == MODE_IDLE) {
		snprintf(path, sizeof(path), "%s/drain", h->w->conf->spool.p);
		return unlink(path) && errno != ENOENT ? E_IO : 0;
	}
	endpoint_format(to, &h->to);
	n = snprintf(text, sizeof(text), "drain 1\n%s\n%s\n%s\n%s\n",
	    mode_names[h->mode], to, h->name, h->tls ? "tls" : "clear");
	return write_file(h->w, "drain", slice_of(text, (size_t)n));
}

/* What was going on when the last process ended. */
static int
recall(struct drain_host *h)
{
	char path[PATH_BYTES_MAX];
	struct slice s, mode, to;
	struct buf b;
	int err;

	buf_init(&b, SECRET_MAX);
	snprintf(path, sizeof(path), "%s/drain", h->w->conf->spool.p);
	err = read_file(path, &b);
	s = buf_slice(&b);
	if (!err && !slice_eq(slice_cut(&s, '\n'), SL("drain 1")))
		err = E_VERSION;
	if (!err) {
		mode = slice_cut(&s, '\n');
		to = slice_cut(&s, '\n');
		slice_copy(slice_cut(&s, '\n'), h->name, sizeof(h->name));
		h->tls = slice_eq(slice_cut(&s, '\n'), SL("tls"));
		h->mode = slice_eq(mode, SL("settling")) ? MODE_SETTLING :
							   MODE_DRAINING;
		err = endpoint_parse(to, 0, &h->to);
	}
	buf_free(&b);
	if (err == E_NOTFOUND)
		return 0;
	if (err)
		log_event(LOG_ERROR, "drain", "what",
		    "what was drained to cannot be read", "file", path, "do",
		    "see drain.md", NULL);
	return err;
}

/* ---- the connection ------------------------------------------------------------ */

static void
disconnect(struct drain_host *h, const char *why)
{
	int64_t now = loop_now(h->w->loop);

	if (!h->conn)
		return;
	if (h->is_connected) {
		drain_out_gone(h->out, why);
		conn_send(h->conn, drain_out_buf(h->out));
		conn_close_gently(h->conn, LINGER_US);
	} else
		conn_close(h->conn);
	h->conn = NULL;
	h->is_connected = false;
	if (strcmp(h->why, why) != 0)
		log_event(LOG_WARN, "drain", "what", "no conversation", "with",
		    h->name, "why", why, NULL);
	slice_copy(slice_str(why), h->why, sizeof(h->why));
	h->next_try_us = now + h->retry_us;
	h->retry_us = MIN(2 * h->retry_us, RETRY_MAX_US);
}

static void
send_on(struct drain_host *h)
{
	if (h->is_connected && drain_out_buf(h->out)->n &&
	    !conn_is_sending(h->conn))
		conn_send(h->conn, drain_out_buf(h->out));
}

static void
begin(struct drain_host *h)
{
	struct drain_talk t = { .peer = h->to };

	drain_nonce(&t);
	t.has_binding = conn_tls_binding(h->conn, t.binding);
	conn_set_deadline(h->conn, TIME_NEVER);
	drain_out_begin(h->out, &t, loop_now(h->w->loop));
	h->is_connected = true;
	send_on(h);
}

static size_t
on_data(void *user, struct conn *c, struct slice data)
{
	struct drain_host *h = user;
	struct loop *l = h->w->loop;

	(void)c;
	if (!h->is_connected)
		return data.n;
	core_clock(h->w->core, loop_now(l), loop_wall(l));
	drain_out_feed(h->out, data, loop_now(l));
	return data.n;
}

static void
on_connect(void *user, struct conn *c, int err)
{
	struct drain_host *h = user;
	char text[128];

	if (err)
		disconnect(h, strerror_r(err, text, sizeof(text)));
	else if (h->tls)
		conn_tls_connect(c, h->w->tls_client, slice_str(h->name));
	else
		begin(h);
}

static void
on_tls(void *user, struct conn *c, bool ok, const char *why)
{
	struct drain_host *h = user;

	(void)c;
	if (ok)
		begin(h);
	else
		disconnect(h, why);
}

static void
on_gone(void *user, struct conn *c, int err)
{
	struct drain_host *h = user;
	const char *why;
	char text[128];

	(void)c;
	why = h->is_connected ? drain_out_down(h->out) : NULL;
	disconnect(h,
	    why     ? why :
		err ? strerror_r(err, text, sizeof(text)) :
		      "it hung up");
}

static void
on_deadline(void *user, struct conn *c)
{
	(void)c;
	disconnect(user, "it does not answer");
}

static const struct conn_ops conn_ops = {
	.on_data = on_data,
	.on_connect = on_connect,
	.on_tls = on_tls,
	.on_gone = on_gone,
	.on_deadline = on_deadline,
};

static void
try_connect(struct drain_host *h)
{
	int64_t now = loop_now(h->w->loop);
	char text[128];
	int err;

	if (h->conn || now < h->next_try_us)
		return;
	h->next_try_us = now + h->retry_us;
	if (drain_refresh(h->w)) {
		slice_copy(SL("the secret cannot be read (drain.secret)"),
		    h->why, sizeof(h->why));
		return;
	}
	h->conn = conn_connect(h->w->loop, NULL, &h->to, &conn_ops, h, &err);
	if (h->conn)
		conn_set_deadline(h->conn, now + CONNECT_US);
	else
		slice_copy(slice_str(strerror_r(err, text, sizeof(text))),
		    h->why, sizeof(h->why));
}

/* ---- the turn -------------------------------------------------------------------- */

static uint64_t
messages_left(const struct drain_host *h)
{
	struct eng_totals t;

	core_totals(h->w->core, &t);
	return t.messages;
}

static void
look(struct drain_host *h)
{
	int64_t now = loop_now(h->w->loop), us = now - h->looked_us;
	uint64_t left;
	int64_t rate;

	if (us < US_PER_S)
		return;
	left = messages_left(h);
	rate = ((int64_t)h->left - (int64_t)left) * 1000 * US_PER_S / us;
	h->rate_milli += (rate - h->rate_milli) / SMOOTH;
	h->left = left;
	h->looked_us = now;
}

static void
mode_set(struct drain_host *h, enum mode mode)
{
	struct worker *w = h->w;

	h->mode = mode;
	atomic_store(&w->d->gate.is_draining, mode == MODE_DRAINING);
	drain_out_set(h->out, mode == MODE_DRAINING);
	h->retry_us = RETRY_MIN_US;
	h->next_try_us = 0;
	h->looked_us = loop_now(w->loop);
	h->left = messages_left(h);
	h->rate_milli = 0;
}

/* Nothing is in doubt any more: nobody need remember. */
static void
settled(struct drain_host *h)
{
	disconnect(h, "done");
	h->why[0] = '\0';
	mode_set(h, MODE_IDLE);
	if (remember(h))
		log_event(LOG_ERROR, "drain", "what",
		    "the end of a drain cannot be written", NULL);
	log_event(LOG_INFO, "drain", "what", "ended", NULL);
}

static void
turn_out(struct drain_host *h)
{
	struct worker *w = h->w;
	const char *why;

	if (h->mode == MODE_IDLE || w->is_stopping)
		return;
	try_connect(h);
	look(h);
	if (!h->is_connected)
		return;
	drain_out_pump(h->out, loop_now(w->loop));
	send_on(h);
	why = drain_out_down(h->out);
	if (why) {
		disconnect(h, why);
		return;
	}
	if (!drain_out_is_open(h->out))
		return;
	h->why[0] = '\0';
	h->was_open = true;
	h->retry_us = RETRY_MIN_US;
	if (h->mode == MODE_SETTLING && drain_out_is_settled(h->out))
		settled(h);
}

void
drain_turn(struct worker *w)
{
	struct drain_host *h = w->drain;

	if (h->in)
		drain_in_tick(h->in, loop_now(w->loop));
	turn_out(h);
	if (h->door)
		drain_door_turn(h->door);
}

int64_t
drain_host_deadline(const struct worker *w)
{
	const struct drain_host *h = w->drain;
	int64_t at = h->in ? drain_in_deadline(h->in) : TIME_NEVER;

	if (h->mode == MODE_IDLE || w->is_stopping)
		return at;
	at = MIN(at, h->looked_us + US_PER_S);
	if (!h->conn)
		return MIN(at, h->next_try_us);
	/* What waits to be sent must leave before more is said. */
	if (h->is_connected && !conn_is_sending(h->conn))
		at = MIN(at, drain_out_deadline(h->out));
	return at;
}

/* ---- its life -------------------------------------------------------------------- */

int
drain_bind(struct daemon *d, const struct conf *c)
{
	char why[256];

	d->drain_fd = -1;
	if (c->drain.bind.port == 0)
		return 0;
	d->drain_fd = net_listen(&c->drain.bind, false, why, sizeof(why));
	if (d->drain_fd >= 0)
		return 0;
	log_event(LOG_ERROR, "boot", "what", why, "listener", "drain", NULL);
	return E_IO;
}

int
drain_open(struct worker *w)
{
	struct drain_host *h = mem_get(sizeof(*h));
	int err;

	w->drain = h;
	h->w = w;
	buf_init(&h->secret, SECRET_MAX);
	if (w->conf->drain.secret.n && (err = find_self(h)))
		return err;
	if ((err = recall(h)) || (h->mode != MODE_IDLE && (err = find_self(h))))
		return err;
	h->out = drain_out_new(w->core, w->d->disk, &h->self, &ops, h);
	h->in = drain_in_new(w->core, &w->d->gate, &h->self, &ops, h);
	if (w->d->drain_fd >= 0)
		h->door = drain_door_open(w, w->d->drain_fd, h->in);
	if (h->mode != MODE_IDLE) {
		h->since_us = clock_wall_us();
		h->was_open = true; /* for all that is known */
		mode_set(h, h->mode);
		log_event(LOG_WARN, "drain", "what", "goes on", "mode",
		    mode_names[h->mode], "to", h->name, NULL);
	}
	return 0;
}

void
drain_stop(struct worker *w)
{
	struct drain_host *h = w->drain;

	disconnect(h, "the source stops");
	if (h->door)
		drain_door_stop(h->door);
}

void
drain_close(struct worker *w)
{
	struct drain_host *h = w->drain;

	if (!h)
		return;
	if (h->conn)
		conn_close(h->conn);
	if (h->door)
		drain_door_close(h->door);
	drain_out_free(h->out);
	drain_in_free(h->in);
	buf_free(&h->secret);
	mem_free(h);
	w->drain = NULL;
}

/* ---- orders ---------------------------------------------------------------------- */

const char *
drain_order_start(struct worker *w, struct slice to, struct slice name,
    bool tls)
{
	struct drain_host *h = w->drain;
	struct drain_stats s;
	struct endpoint e;

	if (endpoint_parse(to, 0, &e) || e.port == 0)
		return "to: expected an address and a port";
	if (h->mode == MODE_DRAINING)
		return "it is being drained already; mtad drain --stop first";
	drain_out_stats(h->out, &s);
	if (h->mode == MODE_SETTLING && memcmp(&e, &h->to, sizeof(e)) != 0 &&
	    s.waiting)
		return "what another node was handed over is not released; see "
		       "drain.md";
	if (!w->conf->drain.secret.n)
		return "no secret is configured (drain.secret)";
	if (find_self(h))
		return "the spool's identity cannot be made; see the log";
	drain_out_identify(h->out, &h->self);
	disconnect(h, "another order");
	h->to = e;
	h->tls = tls;
	slice_copy(name.n ? name : to, h->name, sizeof(h->name));
	h->mode = MODE_DRAINING;
	if (remember(h)) {
		h->mode = MODE_IDLE;
		return "it cannot be written to the spool; see the log";
	}
	h->since_us = loop_wall(w->loop);
	h->was_open = false;
	mode_set(h, MODE_DRAINING);
	h->why[0] = '\0';
	log_event(LOG_WARN, "drain", "what", "begins", "to", h->name, NULL);
	return NULL;
}

const char *
drain_order_stop(struct worker *w)
{
	struct drain_host *h = w->drain;

	if (h->mode != MODE_DRAINING)
		return "it is not being drained";
	if (!h->was_open) { /* nobody has been offered anything */
		settled(h);
		return NULL;
	}
	h->mode = MODE_SETTLING;
	if (remember(h)) {
		h->mode = MODE_DRAINING;
		return "it cannot be written to the spool; see the log";
	}
	mode_set(h, MODE_SETTLING);
	log_event(LOG_WARN, "drain", "what", "stopped: mail is taken again",
	    NULL);
	return NULL;
}

uint32_t
drain_order_adopt(struct worker *w, struct slice source)
{
	return drain_in_adopt(w->drain->in, source);
}

const char *
drain_order_reclaim(struct worker *w)
{
	struct drain_host *h = w->drain;

	if (drain_out_is_open(h->out))
		return "the target answers, and will release what it was "
		       "handed over";
	if (drain_out_reclaim(h->out) == 0)
		return "nothing is handed over and not released";
	log_event(LOG_WARN, "drain", "what",
	    "what was handed over is delivered from here", NULL);
	if (h->mode == MODE_SETTLING)
		settled(h);
	return NULL;
}

static void
view_out(const struct drain_host *h, struct jsonw *j)
{
	uint64_t left = messages_left(h);
	char to[ENDPOINT_TEXT_MAX], when[32];
	struct drain_stats s;
	bool is_done;

	drain_out_stats(h->out, &s);
	is_done = h->mode == MODE_DRAINING && left == 0 && s.has_passed &&
	    drain_out_is_settled(h->out);
	jw_kstr(j, "state",
	    is_done ? SL("drained") : slice_str(mode_names[h->mode]));
	if (h->mode != MODE_IDLE) {
		endpoint_format(to, &h->to);
		jw_kstr(j, "to", slice_str(to));
		jw_kstr(j, "name", slice_str(h->name));
		jw_kbool(j, "tls", h->tls);
		jw_kbool(j, "connected", drain_out_is_open(h->out));
		jw_kstr(j, "since",
		    slice_of(when, date_iso(when, h->since_us)));
	}
	if (h->why[0])
		jw_kstr(j, "why", slice_str(h->why));
	jw_ku64(j, "left", left);
	jw_ku64(j, "waiting", s.waiting);
	jw_ku64(j, "offering", s.offering);
#define X(name) jw_ku64(j, #name, s.name);
	DRAIN_COUNTERS(X)
#undef X
	if (s.refusal[0])
		jw_kstr(j, "refusal", slice_str(s.refusal));
	jw_key(j, "rate");
	jw_milli(j, MAX(h->rate_milli, 0));
	if (h->mode == MODE_DRAINING && h->rate_milli > 0)
		jw_ku64(j, "eta", left * 1000 / (uint64_t)h->rate_milli);
}

void
drain_view(struct worker *w, struct buf *out)
{
	const struct drain_host *h = w->drain;
	char id[DRAIN_ID_TEXT_MAX];
	struct jsonw j;

	jw_init(&j, out);
	jw_open(&j, '{');
	view_out(h, &j);
	if (h->has_self) {
		drain_id_format(id, &h->self);
		jw_kstr(&j, "identity", slice_str(id));
	}
	drain_in_view(h->in, &j);
	jw_close(&j, '}');
}

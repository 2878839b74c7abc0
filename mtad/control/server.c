/*
 * control/server.c - the counter: HTTP by evhttp, on its owner's event base.
 *
 * Bounds: CONNS_MAX connections (more wait in the kernel's backlog, and while
 * there are so many the oldest that ask nothing make room), each dropped after
 * IDLE_S without a byte; HEAD_MAX of request head; a body over
 * CONTROL_BODY_MAX is answered 413 here, and by evhttp, in its own words, when
 * it is over BODY_READ_MAX. Answers wait in their connection's buffer, one at
 * a time (evhttp reads the next request only when the last answer has left),
 * so a viewer that does not read costs one answer of memory and nobody's time.
 *
 * evhttp tells nobody when a connection ends. Each connection's bufferevent
 * therefore has a second reference, in conns[], and owns the descriptor; evhttp
 * takes its callbacks off as it lets go, and that is what `reap` looks for. A
 * connection that was let go and still receives is found by its input buffer.
 */
#include <errno.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/keyvalq_struct.h>
#include <event2/listener.h>

#include "control/control_i.h"

#define CONNS_MAX 64
#define IDLE_S 60
#define HEAD_MAX (16u * 1024)
#define BODY_READ_MAX (4u * CONTROL_BODY_MAX)
#define BACKLOG 64
#define EVICT_MAX 32 /* at a tick */
#define TICK_MS 500  /* to accept again after an error */
#define ERROR_MAX 1024
#define USERS_MAX 16
#define USER_BYTES 64

struct user {
	uid_t uid;
	char name[USER_BYTES];
};

struct control {
	struct event_base *base;
	struct evhttp *http;
	struct evconnlistener *listener; /* evhttp's */
	struct event *tick;
	control_handler *handler;
	void *ctx;
	char *path;
	dev_t dev; /* of the socket file that we made */
	ino_t ino;
	struct list open; /* requests without an answer */
	uint32_t nconns;
	struct bufferevent *conns[CONNS_MAX]; /* held by us as well */
	uint32_t nusers;
	struct user users[USERS_MAX];
};

struct control_req {
	struct list node;
	struct evhttp_request *http; /* NULL: the asker has gone */
	struct args args;
};

static struct bufferevent *on_connection(struct event_base *base, void *arg);
static void reap(struct control *c);
static void on_tick(evutil_socket_t fd, short what, void *arg);
static void on_accept_error(struct evconnlistener *l, void *arg);
static void on_request(struct evhttp_request *http, void *arg);
static void req_flush(struct evhttp_connection *conn);

static bool
control_listen(struct control *c, char *why, size_t why_cap)
{
	struct stat st;
	int fd = socket_bind(c->path, why, why_cap);

	if (fd < 0)
		return false;
	if (lstat(c->path, &st) == 0) {
		c->dev = st.st_dev;
		c->ino = st.st_ino;
	}
	c->listener = evconnlistener_new(c->base, NULL, NULL,
	    LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, BACKLOG, fd);
	if (c->listener == NULL) {
		snprintf(why, why_cap, "%s: %s", c->path,
		    strerrordesc_np(errno));
		close(fd);
		return false;
	}
	if (evhttp_bind_listener(c->http, c->listener) == NULL) {
		snprintf(why, why_cap, "%s: out of memory", c->path);
		evconnlistener_free(c->listener);
		return false;
	}
	evconnlistener_set_error_cb(c->listener, on_accept_error);
	return true;
}

static void
control_set_up(struct control *c)
{
	struct timeval tick = { .tv_usec = TICK_MS * 1000 };

	evhttp_set_timeout(c->http, IDLE_S);
	evhttp_set_max_headers_size(c->http, HEAD_MAX);
	evhttp_set_max_body_size(c->http, BODY_READ_MAX);
	/* All of them, so that it is we who refuse. */
	evhttp_set_allowed_methods(c->http,
	    EVHTTP_REQ_GET | EVHTTP_REQ_POST | EVHTTP_REQ_HEAD |
		EVHTTP_REQ_PUT | EVHTTP_REQ_DELETE | EVHTTP_REQ_OPTIONS |
		EVHTTP_REQ_TRACE | EVHTTP_REQ_CONNECT | EVHTTP_REQ_PATCH);
	evhttp_set_gencb(c->http, on_request, c);
	evhttp_set_bevcb(c->http, on_connection, c);
	event_add(c->tick, &tick);
}

struct control *
control_new(struct event_base *base, const char *path, control_handler *handler,
    void *ctx, char *why, size_t why_cap)
{
	struct control *c = mem_get(sizeof(*c));
	size_t n = strlen(path);

	c->base = base;
	c->handler = handler;
	c->ctx = ctx;
	list_init(&c->open);
	c->path = mem_get(n + 1);
	memcpy(c->path, path, n);
	c->http = evhttp_new(base);
	c->tick = event_new(base, -1, EV_PERSIST, on_tick, c);
	if (c->http == NULL || c->tick == NULL) {
		snprintf(why, why_cap, "out of memory");
		control_free(c);
		return NULL;
	}
	control_set_up(c);
	if (!control_listen(c, why, why_cap)) {
		control_free(c);
		return NULL;
	}
	return c;
}

void
control_free(struct control *c)
{
	struct control_req *r;
	struct evhttp_connection *conn;
	struct stat st;

	while (!list_is_empty(&c->open)) {
		r = container_of(c->open.next, struct control_req, node);
		conn = r->http ? evhttp_request_get_connection(r->http) : NULL;
		control_error(r, 503, "the daemon is stopping");
		if (conn != NULL)
			req_flush(conn);
	}
	if (c->http != NULL)
		evhttp_free(c->http);
	c->listener = NULL;
	reap(c);
	ASSERT(c->nconns == 0);
	if (c->tick != NULL)
		event_free(c->tick);
	if (c->ino != 0 && lstat(c->path, &st) == 0 && st.st_dev == c->dev &&
	    st.st_ino == c->ino)
		unlink(c->path);
	mem_free(c->path);
	mem_free(c);
}

/* ---- connections ---------------------------------------------------------- */

static void
update_accept(struct control *c)
{
	if (c->listener == NULL)
		return;
	if (c->nconns < CONNS_MAX)
		evconnlistener_enable(c->listener);
	else
		evconnlistener_disable(c->listener);
}

/* Has evhttp let a connection go? */
static bool
is_let_go(struct bufferevent *b)
{
	bufferevent_data_cb on_read, on_write;
	bufferevent_event_cb on_event;
	void *owner;

	bufferevent_getcb(b, &on_read, &on_write, &on_event, &owner);
	return owner == NULL;
}

static void
on_input(struct evbuffer *input, const struct evbuffer_cb_info *info, void *arg)
{
	(void)input;
	if (info->n_added > 0 && is_let_go(arg))
		bufferevent_disable(arg, EV_READ);
}

static struct bufferevent *
on_connection(struct event_base *base, void *arg)
{
	struct control *c = arg;
	struct bufferevent *b =
	    bufferevent_socket_new(base, -1, BEV_OPT_CLOSE_ON_FREE);

	if (b == NULL ||
	    evbuffer_add_cb(bufferevent_get_input(b), on_input, b) == NULL)
		return b;
	reap(c);
	ASSERT(c->nconns < CONNS_MAX);
	bufferevent_incref(b);
	c->conns[c->nconns++] = b;
	update_accept(c);
	return b;
}

/* Ends the connections that evhttp has let go. */
static void
reap(struct control *c)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < c->nconns; i++) {
		if (is_let_go(c->conns[i]))
			bufferevent_decref(c->conns[i]);
		else
			c->conns[kept++] = c->conns[i];
	}
	c->nconns = kept;
	update_accept(c);
}

/* Is an answer owed, or on its way, to this connection? */
static bool
is_served(struct control *c, struct bufferevent *b)
{
	if (evbuffer_get_length(bufferevent_get_output(b)) > 0)
		return true;
	LIST_FOREACH_SAFE(n, tmp, &c->open) {
		struct control_req *r =
		    container_of(n, struct control_req, node);

		if (r->http != NULL &&
		    evhttp_connection_get_bufferevent(
			evhttp_request_get_connection(r->http)) == b)
			return true;
	}
	return false;
}

/* When no more are let in: those make room that ask nothing, the oldest first,
 * or a crowd of them would shut the operator out. evhttp reads the end of the
 * connection, as if the client had gone. */
static void
evict(struct control *c)
{
	uint32_t left = EVICT_MAX;

	if (c->nconns < CONNS_MAX)
		return;
	for (uint32_t i = 0; i < c->nconns && left > 0; i++) {
		if (is_served(c, c->conns[i]))
			continue;
		shutdown(bufferevent_getfd(c->conns[i]), SHUT_RDWR);
		left--;
	}
}

static void
on_tick(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	reap(arg);
	evict(arg);
}

/* No descriptors are left, most likely: wait for the next tick rather than be
 * called again at once. */
static void
on_accept_error(struct evconnlistener *l, void *arg)
{
	(void)arg; /* evhttp's */
	evconnlistener_disable(l);
}

/* ---- requests -------------------------------------------------------------- */

static void
on_gone(struct evhttp_connection *conn, void *arg)
{
	struct control_req *r = arg;

	(void)conn;
	r->http = NULL;
}

static struct control_req *
req_new(struct control *c, struct evhttp_request *http)
{
	struct control_req *r = mem_try(sizeof(*r));

	if (r == NULL)
		return NULL;
	r->http = http;
	args_init(&r->args);
	list_push_tail(&c->open, &r->node);
	evhttp_connection_set_closecb(evhttp_request_get_connection(http),
	    on_gone, r);
	return r;
}

static void
req_free(struct control_req *r)
{
	list_remove(&r->node);
	args_free(&r->args);
	mem_free(r);
}

/* The name of the user who asks; looked up once per user. */
static struct slice
req_user(struct control *c, struct evhttp_request *http)
{
	struct evhttp_connection *conn = evhttp_request_get_connection(http);
	struct bufferevent *b = evhttp_connection_get_bufferevent(conn);
	struct user *u;
	uid_t uid;

	if (!socket_peer(bufferevent_getfd(b), &uid))
		return SL("unknown");
	for (uint32_t i = 0; i < c->nusers; i++)
		if (c->users[i].uid == uid)
			return slice_str(c->users[i].name);
	if (c->nusers == USERS_MAX)
		c->nusers = 0;
	u = &c->users[c->nusers++];
	u->uid = uid;
	socket_user_name(uid, u->name, sizeof(u->name));
	return slice_str(u->name);
}

/* Reads what the request says. 0, or the status of a refusal and *why. */
static int
req_read(struct control_req *r, bool *is_post, const char **why)
{
	const struct evhttp_uri *uri = evhttp_request_get_evhttp_uri(r->http);
	enum evhttp_cmd_type method = evhttp_request_get_command(r->http);
	struct evbuffer *in = evhttp_request_get_input_buffer(r->http);
	size_t n = evbuffer_get_length(in);
	const char *query = uri ? evhttp_uri_get_query(uri) : NULL;

	*is_post = method == EVHTTP_REQ_POST;
	*why = "only GET and POST are known here";
	if (method != EVHTTP_REQ_GET && method != EVHTTP_REQ_POST)
		return 405;
	*why = "the body is too big";
	if (n > CONTROL_BODY_MAX)
		return 413;
	*why = "the target of the request is malformed";
	if (uri == NULL || evhttp_uri_get_path(uri) == NULL)
		return 400;
	if (query != NULL &&
	    args_add_query(&r->args, slice_str(query), why) != 0)
		return 400;
	if (*is_post && n > 0 &&
	    args_add_json(&r->args,
		slice_of((char *)evbuffer_pullup(in, -1), n), why) != 0)
		return 400;
	return 0;
}

static void
on_request(struct evhttp_request *http, void *arg)
{
	struct control *c = arg;
	struct control_req *r = req_new(c, http);
	const char *why = NULL;
	bool is_post = false;
	int status;

	if (r == NULL) {
		evhttp_send_error(http, 503, NULL);
		return;
	}
	status = req_read(r, &is_post, &why);
	if (status != 0) {
		control_error(r, status, why);
		return;
	}
	c->handler(c->ctx, r, is_post,
	    slice_str(evhttp_uri_get_path(evhttp_request_get_evhttp_uri(http))),
	    &r->args.params, req_user(c, http));
}

/* ---- answers ---------------------------------------------------------------- */

static void
on_sent(const void *p, size_t n, void *arg)
{
	(void)p;
	(void)n;
	mem_free(arg);
}

/* An evbuffer that has taken the buffer's memory over; NULL without memory. */
static struct evbuffer *
body_take(struct buf *body)
{
	struct evbuffer *out = evbuffer_new();
	struct slice s = buf_slice(body);

	if (out != NULL && s.n > 0 &&
	    evbuffer_add_reference(out, s.p, s.n, on_sent, body->p) != 0) {
		evbuffer_free(out);
		out = NULL;
	}
	if (out != NULL && s.n > 0)
		buf_init(body, body->max);
	buf_free(body);
	return out;
}

void
control_answer(struct control_req *req, int status, const char *content_type,
    struct buf *body)
{
	struct evhttp_request *http = req->http;
	struct evkeyvalq *head;
	struct evbuffer *out;

	req_free(req);
	if (body->failed) {
		/* Half an answer is none. */
		buf_reset(body);
		status = 500;
	}
	if (http == NULL) {
		buf_free(body);
		return;
	}
	evhttp_connection_set_closecb(evhttp_request_get_connection(http), NULL,
	    NULL);
	evhttp_connection_set_closecb(evhttp_request_get_connection(http), NULL,
	    NULL);
	out = body_take(body);
	head = evhttp_request_get_output_headers(http);
	evhttp_add_header(head, "Content-Type", content_type);
	evhttp_add_header(head, "Cache-Control", "no-store");
	if (status == 405)
		evhttp_add_header(head, "Allow", "GET, POST");
	evhttp_send_reply(http, out ? status : 500, NULL, out);
	if (out != NULL)
		evbuffer_free(out);
}

void
control_error(struct control_req *req, int status, const char *text)
{
	struct jsonw w;
	struct buf body;

	buf_init(&body, ERROR_MAX);
	jw_init(&w, &body);
	jw_open(&w, '{');
	jw_kstr(&w, "error", slice_of(text, strnlen(text, ERROR_MAX / 8)));
	jw_close(&w, '}');
	buf_addc(&body, '\n');
	control_answer(req, status, "application/json", &body);
}

/* Sends at once, as far as the socket takes it, what waits for the loop. */
static void
req_flush(struct evhttp_connection *conn)
{
	struct bufferevent *b = evhttp_connection_get_bufferevent(conn);
	struct evbuffer *out = bufferevent_get_output(b);
	char bytes[ERROR_MAX + 512];
	ssize_t n = evbuffer_copyout(out, bytes, sizeof(bytes));

	if (n > 0)
		n = send(bufferevent_getfd(b), bytes, (size_t)n,
		    MSG_DONTWAIT | MSG_NOSIGNAL);
	(void)n; /* the connection ends either way */
}

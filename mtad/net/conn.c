/*
 * net/conn.c - the life of a connection: made by accept or connect, driven by
 * edges and tasks, ended at once or gently.
 *
 * Invariants: the descriptor stays registered for reading, writing and close,
 * edge-triggered, from birth to death, so no message costs an epoll_ctl;
 * can_read and can_write remember the edges. conn_run does whatever can be
 * done and may be called at any time from the loop, never from inside a
 * callback. After CLOSED no callback comes; the memory lives until the end of
 * the turn, so that the code below a callback may still look.
 *
 * All of it belongs to the thread of the loop.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/un.h>
#include <unistd.h>

#include "net/net_i.h"

/* What is not eaten: at most a full read, and the rest of an earlier one. */
#define KEPT_MAX (2 * LOOP_READ_BYTES)
/*
 * Sent bytes that nobody acknowledges, or a window that stays closed, for so
 * long mean a dead peer: not less than the longest of the time-outs for
 * sending in RFC 5321 4.5.3.2 (3 minutes for a block of data, 5 for MAIL).
 */
#define UNACKED_MS 300000
/* Input thrown away after our FIN: more is not a peer that is about to end. */
#define LINGER_BYTES (4 * 1024 * 1024)

void
conn_enter(struct conn *c, enum conn_state state)
{
	ASSERT(c->state != CONN_CLOSED);
	c->state = state;
}

static void
conn_bury(struct conn *c)
{
	loop_timer_done(c->loop, &c->timer);
	buf_free(&c->kept);
	buf_free(&c->last);
	SSL_free(c->ssl);
	mem_free(c);
}

static void
on_later(void *arg)
{
	struct conn *c = arg;

	if (c->state == CONN_CLOSED)
		conn_bury(c);
	else
		conn_run(c);
}

static void
on_timer(void *arg)
{
	struct conn *c = arg;

	if (c->state == CONN_LINGER)
		conn_close(c);
	else if (c->ops->on_deadline != NULL)
		c->ops->on_deadline(c->user, c);
}

static void
on_event(evutil_socket_t fd, short what, void *arg)
{
	struct conn *c = arg;

	(void)fd;
	loop_awake(c->loop);
	if (what & EV_CLOSED)
		c->saw_close = true;
	if (what & (EV_READ | EV_CLOSED))
		c->can_read = true;
	if (what & EV_WRITE) {
		c->can_write = true;
		/* A TLS record to be read may have had to write first. */
		c->can_read |= c->is_tls_open;
	}
	conn_run(c);
}

static struct conn *
conn_make(struct loop *l, int fd, enum conn_state state,
    const struct conn_ops *ops, void *user)
{
	struct conn *c = mem_try(sizeof(*c));
	int on = 1;

	if (c == NULL)
		return NULL;
	c->loop = l;
	c->fd = fd;
	c->state = state;
	c->ops = ops;
	c->user = user;
	buf_init(&c->kept, KEPT_MAX);
	buf_init(&c->last, 0);
	list_init(&c->posted);
	loop_task_init(&c->later, on_later, c);
	if (loop_timer_init(l, &c->timer, on_timer, c) != 0)
		goto out;
	/* These fail on what is not TCP, and are not missed there. */
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	on = UNACKED_MS;
	setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &on, sizeof(on));
	event_assign(&c->ev, loop_base(l), fd,
	    EV_READ | EV_WRITE | EV_CLOSED | EV_ET | EV_PERSIST, on_event, c);
	return c;
out:
	mem_free(c);
	return NULL;
}

/* Undoes conn_make. */
static void
conn_unmake(struct conn *c)
{
	loop_timer_done(c->loop, &c->timer);
	mem_free(c);
}

struct conn *
conn_new(struct loop *l, int fd, const struct conn_ops *ops, void *user)
{
	struct conn *c = conn_make(l, fd, CONN_OPEN, ops, user);

	if (c == NULL)
		return NULL;
	c->can_write = true;
	if (event_add(&c->ev, NULL) != 0) {
		conn_unmake(c);
		return NULL;
	}
	return c;
}

/* Starts connecting. What is known at once is told from the loop. */
static int
conn_start(struct conn *c, const void *sa, socklen_t n)
{
	if (connect(c->fd, sa, n) == 0) {
		c->can_write = true;
		loop_later(c->loop, &c->later);
	} else if (errno != EINPROGRESS) {
		c->err = errno;
		loop_later(c->loop, &c->later);
		return 0; /* nothing to wait for */
	}
	return event_add(&c->ev, NULL) == 0 ? 0 : -ENOMEM;
}

static struct conn *conn_to(struct loop *l, int fd, int err, const void *sa,
    socklen_t n, const struct conn_ops *ops, void *user, int *err_no);

struct conn *
conn_connect(struct loop *l, const struct ip *from, const struct endpoint *to,
    const struct conn_ops *ops, void *user, int *err_no)
{
	struct sockaddr_storage sa;
	socklen_t n = sockaddr_of(&sa, &to->ip, to->port);
	int fd = tcp_socket(&to->ip), err = 0;

	if (fd >= 0 && from != NULL && from->family != 0)
		err = tcp_bind_source(fd, from);
	return conn_to(l, fd, err, &sa, n, ops, user, err_no);
}

struct conn *
conn_connect_path(struct loop *l, const char *path, const struct conn_ops *ops,
    void *user, int *err_no)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		fd = -errno;
	slice_copy(slice_str(path), sa.sun_path, sizeof(sa.sun_path));
	return conn_to(l, fd, 0, &sa, sizeof(sa), ops, user, err_no);
}

/* On a socket, which is an error when negative, and what befell it. */
static struct conn *
conn_to(struct loop *l, int fd, int err, const void *sa, socklen_t n,
    const struct conn_ops *ops, void *user, int *err_no)
{
	struct conn *c;

	if (fd < 0) {
		*err_no = -fd;
		return NULL;
	}
	c = err == 0 ? conn_make(l, fd, CONN_CONNECTING, ops, user) : NULL;
	if (c != NULL) {
		err = conn_start(c, sa, n);
		if (err == 0)
			return c;
		list_remove(&c->later.node);
		conn_unmake(c);
	}
	close(fd);
	*err_no = err != 0 ? -err : ENOMEM;
	return NULL;
}

static void
conn_connected(struct conn *c)
{
	socklen_t n = sizeof(c->err);
	int err;

	if (c->err == 0 && !c->can_write)
		return;
	if (c->err == 0 &&
	    getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &c->err, &n) != 0)
		c->err = errno;
	err = c->err;
	c->err = 0;
	conn_enter(c, CONN_OPEN);
	if (err != 0)
		c->is_gone = true; /* on_connect is how it is told */
	c->ops->on_connect(c->user, c, err);
}

void
conn_gone(struct conn *c, int err_no)
{
	if (c->is_gone)
		return;
	c->is_gone = true;
	if (err_no != 0)
		c->out = NULL;
	c->ops->on_gone(c->user, c, err_no);
}

/*
 * After conn_close_gently: bytes out, FIN out, then whatever comes in is
 * thrown away up to the peer's FIN, because closing over unread bytes sends a
 * reset, which can overtake our last words on the peer's side.
 */
static void
conn_linger(struct conn *c)
{
	ssize_t n;

	conn_out(c);
	if (c->err != 0) {
		conn_close(c);
		return;
	}
	if (c->out != NULL)
		return;
	conn_shut(c);
	while (c->can_read) {
		n = recv(c->fd, loop_read_buf(c->loop), LOOP_READ_BYTES, 0);
		if (n < 0 && errno == EAGAIN) {
			c->can_read = false;
		} else if (n <= 0 || (size_t)n >= c->linger_bytes) {
			conn_close(c);
			return;
		} else {
			c->linger_bytes -= (size_t)n;
		}
	}
}

void
conn_run_out(struct conn *c)
{
	if (c->state == CONN_LINGER)
		conn_linger(c);
	else
		conn_out(c);
	if (c->state == CONN_OPEN && c->err != 0)
		loop_later(c->loop, &c->later); /* to tell it */
}

void
conn_run(struct conn *c)
{
	if (c->state == CONN_CONNECTING)
		conn_connected(c);
	if (c->state == CONN_TLS)
		tls_step(c);
	if (c->state == CONN_OPEN)
		conn_out(c);
	if (c->state == CONN_OPEN)
		conn_in(c);
	if (c->state == CONN_OPEN && c->err != 0)
		conn_gone(c, c->err);
	if (c->state == CONN_LINGER)
		conn_linger(c);
}

void
conn_close(struct conn *c)
{
	conn_enter(c, CONN_CLOSED);
	event_del(&c->ev);
	list_remove(&c->posted);
	close(c->fd);
	c->fd = -1;
	c->out = NULL;
	loop_timer_set(c->loop, &c->timer, TIME_NEVER);
	loop_bury(c->loop, &c->later);
}

void
conn_close_gently(struct conn *c, int64_t linger_us)
{
	ASSERT(c->state != CONN_LINGER);
	if (c->state != CONN_OPEN || c->err != 0) {
		conn_close(c);
		return;
	}
	if (c->out != NULL) {
		/* The owner's buffer may vanish now. */
		c->last = *c->out;
		buf_init(c->out, c->last.max);
		c->out = &c->last;
	}
	c->linger_bytes = LINGER_BYTES;
	c->can_read = true; /* also what was left unread by a pause */
	conn_enter(c, CONN_LINGER);
	loop_timer_set(c->loop, &c->timer, loop_now(c->loop) + linger_us);
	loop_later(c->loop, &c->later);
}

void
conn_shut(struct conn *c)
{
	ASSERT(c->out == NULL && c->state != CONN_CLOSED);
	if (c->is_shut)
		return;
	tls_shut(c);
	shutdown(c->fd, SHUT_WR);
	c->is_shut = true;
}

void
conn_give(struct conn *c, const struct conn_ops *ops, void *user)
{
	ASSERT(c->state == CONN_OPEN && c->out == NULL);
	c->ops = ops;
	c->user = user;
	conn_set_deadline(c, TIME_NEVER);
}

void
conn_set_deadline(struct conn *c, int64_t at_us)
{
	ASSERT(c->state != CONN_LINGER && c->state != CONN_CLOSED);
	loop_timer_set(c->loop, &c->timer, at_us);
}

void
conn_peer(const struct conn *c, struct endpoint *out)
{
	struct sockaddr_storage sa;
	socklen_t n = sizeof(sa);

	memset(&sa, 0, sizeof(sa));
	getpeername(c->fd, (struct sockaddr *)&sa, &n);
	sockaddr_get(&sa, out);
}

void
conn_local(const struct conn *c, struct endpoint *out)
{
	struct sockaddr_storage sa;
	socklen_t n = sizeof(sa);

	memset(&sa, 0, sizeof(sa));
	getsockname(c->fd, (struct sockaddr *)&sa, &n);
	sockaddr_get(&sa, out);
}

void *
conn_user(const struct conn *c)
{
	return c->user;
}

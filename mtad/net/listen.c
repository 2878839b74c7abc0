/*
 * net/listen.c - listening sockets.
 *
 * The event is level-triggered: what a batch leaves is ready again next turn,
 * and the connections of this turn are served in between. When the process
 * has no descriptor left, the listener leaves the queue to the kernel for
 * PAUSE_US instead of spinning on an accept that cannot succeed.
 *
 * A listener belongs to the thread of its loop.
 */
#include <errno.h>
#include <netinet/in.h>
#include <unistd.h>

#include "net/net_i.h"

#define BACKLOG 1024
#define ACCEPT_BATCH 64
#define PAUSE_US (100 * US_PER_MS)
#define SAY_US (60 * US_PER_S)

struct listener {
	struct loop *loop;
	struct event ev;
	struct loop_timer pause;
	struct loop_task grave;
	void (*on_accept)(void *user, int fd, const struct endpoint *peer);
	void *user;
	int64_t say_us; /* when a lack of descriptors may be told again */
	int fd;         /* -1: freed, perhaps from inside on_accept */
};

static int
set_options(int fd, const struct endpoint *at, bool shared)
{
	int on = 1;

	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0)
		return -1;
	if (shared &&
	    setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) != 0)
		return -1;
	/* "::" is not 0.0.0.0 as well, so that both can be configured. */
	if (at->ip.family == 6)
		return setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on,
		    sizeof(on));
	return 0;
}

static void
say_why(const struct endpoint *at, int err, char *why, size_t why_cap)
{
	char text[ENDPOINT_TEXT_MAX], msg[128];

	endpoint_format(text, at);
	snprintf(why, why_cap, "cannot listen on %s: %s", text,
	    strerror_r(err, msg, sizeof(msg)));
}

int
net_listen(const struct endpoint *at, bool shared, char *why, size_t why_cap)
{
	struct sockaddr_storage sa;
	socklen_t n = sockaddr_of(&sa, &at->ip, at->port);
	int fd = tcp_socket(&at->ip), err;

	if (fd < 0) {
		say_why(at, -fd, why, why_cap);
		return -1;
	}
	if (set_options(fd, at, shared) == 0 &&
	    bind(fd, (struct sockaddr *)&sa, n) == 0 &&
	    listen(fd, BACKLOG) == 0)
		return fd;
	err = errno;
	close(fd);
	say_why(at, err, why, why_cap);
	return -1;
}

static void
listener_pause(struct listener *ln, int err)
{
	int64_t now = loop_now(ln->loop);
	char msg[128];

	event_del(&ln->ev);
	loop_timer_set(ln->loop, &ln->pause, now + PAUSE_US);
	if (now < ln->say_us)
		return;
	ln->say_us = now + SAY_US;
	log_event(LOG_ERROR, "net", "what", "cannot accept connections", "why",
	    strerror_r(err, msg, sizeof(msg)), "do",
	    "raise the limit on open files, or lower that on connections",
	    NULL);
}

static void
on_pause_over(void *arg)
{
	struct listener *ln = arg;

	if (event_add(&ln->ev, NULL) != 0)
		listener_pause(ln, ENOMEM);
}

static bool
is_shortage(int err)
{
	return err == EMFILE || err == ENFILE || err == ENOMEM ||
	    err == ENOBUFS;
}

static void
on_ready(evutil_socket_t fd, short what, void *arg)
{
	struct listener *ln = arg;
	struct sockaddr_storage sa;
	struct endpoint peer;
	socklen_t n;
	int got;

	(void)fd, (void)what;
	loop_awake(ln->loop);
	for (int i = 0; i < ACCEPT_BATCH && ln->fd >= 0; i++) {
		n = sizeof(sa);
		got = accept4(ln->fd, (struct sockaddr *)&sa, &n,
		    SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (got >= 0) {
			sockaddr_get(&sa, &peer);
			ln->on_accept(ln->user, got, &peer);
		} else if (is_shortage(errno)) {
			listener_pause(ln, errno);
			return;
		} else if (errno == EAGAIN) {
			return;
		} /* else that one connection has died in the queue */
	}
}

static void
on_bury(void *arg)
{
	struct listener *ln = arg;

	loop_timer_done(ln->loop, &ln->pause);
	mem_free(ln);
}

struct listener *
listener_new(struct loop *l, int listen_fd,
    void (*on_accept)(void *user, int fd, const struct endpoint *peer),
    void *user)
{
	struct listener *ln = mem_get(sizeof(*ln));

	ln->loop = l;
	ln->fd = listen_fd;
	ln->on_accept = on_accept;
	ln->user = user;
	loop_task_init(&ln->grave, on_bury, ln);
	event_assign(&ln->ev, loop_base(l), listen_fd, EV_READ | EV_PERSIST,
	    on_ready, ln);
	if (loop_timer_init(l, &ln->pause, on_pause_over, ln) == 0 &&
	    event_add(&ln->ev, NULL) == 0)
		return ln;
	loop_timer_done(l, &ln->pause);
	mem_free(ln);
	close(listen_fd);
	return NULL;
}

void
listener_free(struct listener *ln)
{
	if (ln == NULL)
		return;
	event_del(&ln->ev);
	close(ln->fd);
	ln->fd = -1;
	loop_timer_set(ln->loop, &ln->pause, TIME_NEVER);
	loop_bury(ln->loop, &ln->grave);
}

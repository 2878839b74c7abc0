/*
 * world/names.c - the name server's sockets.
 *
 * A delayed answer is composed at once and kept until its time; there are at
 * most LATE_MAX of them. TCP connections answer in the order of questions,
 * each as soon as it may, and close after TCP_IDLE_US.
 */
#include <event2/event.h>
#include <errno.h>
#include <unistd.h>

#include "world/names.h"
#include "world/sock.h"

#define UDP_BATCH 64
#define PICKS_MAX 32
#define LATE_MAX 65536
#define TCP_MAX 1024
#define TCP_IDLE_US (10 * US_PER_S)
#define TCP_OUT_MAX (1u << 20)
#define QUERY_MAX 4096

struct nameserver {
	struct loop *loop;
	struct timers *timers;
	const struct zone *zone;
	int fd;
	struct event *ev;
	struct listener *listener;
	struct list late, conns;
	uint32_t nlate, nconns;
	struct buf out;
	struct names_counts n;
};

struct tcp {
	struct list node;
	struct nameserver *s;
	struct conn *c;
	struct buf out;
};

/* An answer that waits. */
struct late {
	struct list node;
	struct timer timer;
	struct nameserver *s;
	struct tcp *tcp; /* NULL: UDP */
	struct sockaddr_storage to;
	socklen_t to_n;
	struct buf out;
};

/* The loop's own clock may be a turn behind in a callback that is not of the
 * net room, and an answer that is too early is no delay. */
static int64_t
clock_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * US_PER_S + ts.tv_nsec / 1000;
}

static void
late_free(struct late *a)
{
	timer_cancel(a->s->timers, &a->timer);
	list_remove(&a->node);
	a->s->nlate--;
	buf_free(&a->out);
	mem_free(a);
}

static void
tcp_send(struct tcp *t, struct slice answer)
{
	char head[2] = { (char)(answer.n >> 8), (char)answer.n };

	(void)buf_add(&t->out, head, 2);
	(void)buf_adds(&t->out, answer);
	conn_send(t->c, &t->out);
}

static void
udp_send(struct nameserver *s, const struct sockaddr_storage *to,
    socklen_t to_n, struct slice answer)
{
	/* A full socket buffer loses it, as the network would. */
	if (sendto(s->fd, answer.p, answer.n, MSG_DONTWAIT,
		(const struct sockaddr *)to, to_n) < 0)
		s->n.dropped++;
}

static void
on_late(void *ctx, int64_t now_us)
{
	struct late *a = ctx;

	(void)now_us;
	a->s->n.late++;
	a->s->n.answers++;
	if (a->tcp != NULL)
		tcp_send(a->tcp, buf_slice(&a->out));
	else
		udp_send(a->s, &a->to, a->to_n, buf_slice(&a->out));
	late_free(a);
}

/* Keeps what is in s->out for later. */
static void
postpone(struct nameserver *s, struct tcp *tcp,
    const struct sockaddr_storage *to, socklen_t to_n, int64_t delay_us)
{
	struct late *a = s->nlate < LATE_MAX ? mem_try(sizeof(*a)) : NULL;

	if (a == NULL) {
		s->n.dropped++;
		return;
	}
	a->s = s;
	a->tcp = tcp;
	if (to != NULL)
		a->to = *to;
	a->to_n = to_n;
	buf_init(&a->out, DNS_TCP_MAX);
	(void)buf_adds(&a->out, buf_slice(&s->out));
	list_push_tail(&s->late, &a->node);
	s->nlate++;
	a->timer.fire = on_late;
	a->timer.ctx = a;
	timer_set(s->timers, &a->timer, clock_us() + delay_us);
}

/* Composes the answer in s->out; false: there is none to send now. */
static bool
answer(struct nameserver *s, struct slice packet, struct tcp *tcp,
    const struct sockaddr_storage *to, socklen_t to_n)
{
	struct zone_reply reply = { .is_silent = false };
	struct dns_answer_w w;
	struct dns_query q;
	int rc = dns_query_parse(packet, &q);

	s->n.queries++;
	s->n.tcp += tcp != NULL;
	buf_reset(&s->out);
	if (rc == E_CORRUPT) {
		s->n.dropped++;
		return false;
	}
	if (rc == 0) {
		zone_answer(s->zone, &q, tcp == NULL, &s->out, &reply);
	} else {
		dns_answer_begin(&w, &s->out, &q, DNS_UDP_PLAIN);
		dns_answer_end(&w, &q,
		    rc == E_PROTO ? DNS_RC_FORMERR : DNS_RC_NOTIMP);
	}
	if (reply.is_silent) {
		s->n.silent++;
		return false;
	}
	if (reply.delay_us > 0) {
		postpone(s, tcp, to, to_n, reply.delay_us);
		return false;
	}
	s->n.answers++;
	return true;
}

/* ---- UDP ----------------------------------------------------------------------- */

static void
on_udp(evutil_socket_t fd, short what, void *arg)
{
	struct nameserver *s = arg;
	struct sockaddr_storage from;
	char packet[QUERY_MAX];

	(void)what;
	for (int i = 0; i < UDP_BATCH; i++) {
		socklen_t from_n = sizeof(from);
		ssize_t n = recvfrom(fd, packet, sizeof(packet), 0,
		    (struct sockaddr *)&from, &from_n);

		if (n < 0)
			return;
		if (answer(s, slice_of(packet, (size_t)n), NULL, &from, from_n))
			udp_send(s, &from, from_n, buf_slice(&s->out));
	}
}

/* ---- TCP ----------------------------------------------------------------------- */

static void
tcp_close(struct tcp *t)
{
	LIST_FOREACH_SAFE(it, tmp, &t->s->late) {
		struct late *a = container_of(it, struct late, node);

		if (a->tcp == t)
			late_free(a);
	}
	conn_close(t->c);
	list_remove(&t->node);
	t->s->nconns--;
	buf_free(&t->out);
	mem_free(t);
}

static size_t
on_data(void *user, struct conn *c, struct slice data)
{
	struct tcp *t = user;
	struct slice in = data;

	while (in.n >= 2 && t->out.n < TCP_OUT_MAX / 2) {
		size_t n = (size_t)(uint8_t)in.p[0] << 8 | (uint8_t)in.p[1];

		if (in.n - 2 < n)
			break;
		if (answer(t->s, slice_of(in.p + 2, n), t, NULL, 0))
			tcp_send(t, buf_slice(&t->s->out));
		in = slice_skip(in, n + 2);
	}
	conn_set_deadline(c, loop_now(t->s->loop) + TCP_IDLE_US);
	/* Part of a question stays; more input is wanted for it. */
	conn_resume(c);
	return data.n - in.n;
}

static void
on_gone(void *user, struct conn *c, int errno_value)
{
	(void)c;
	(void)errno_value;
	tcp_close(user);
}

static void
on_deadline(void *user, struct conn *c)
{
	(void)c;
	tcp_close(user);
}

static const struct conn_ops tcp_ops = {
	.on_data = on_data,
	.on_gone = on_gone,
	.on_deadline = on_deadline,
};

static void
on_accept(void *user, int fd, const struct endpoint *peer)
{
	struct nameserver *s = user;
	struct tcp *t = s->nconns < TCP_MAX ? mem_try(sizeof(*t)) : NULL;

	(void)peer;
	if (t == NULL || (t->c = conn_new(s->loop, fd, &tcp_ops, t)) == NULL) {
		mem_free(t);
		close(fd);
		return;
	}
	t->s = s;
	buf_init(&t->out, TCP_OUT_MAX);
	list_push_tail(&s->conns, &t->node);
	s->nconns++;
	conn_set_deadline(t->c, loop_now(s->loop) + TCP_IDLE_US);
}

/* ---- the server ---------------------------------------------------------------- */

/* A port for UDP and TCP. One that was picked for UDP may be in use by TCP:
 * then another is. Returns the listening descriptor, or -1. */
static int
bind_both(struct nameserver *s, struct endpoint *at, char *why, size_t why_cap)
{
	const struct endpoint wanted = *at;
	int fd;

	for (int left = wanted.port == 0 ? PICKS_MAX : 1;; left--) {
		*at = wanted;
		s->fd = sock_udp(at, why, why_cap);
		if (s->fd < 0 || sock_bound(s->fd, at) != 0)
			return -1;
		fd = net_listen(at, false, why, why_cap);
		if (fd >= 0 || left == 1)
			return fd;
		close(s->fd);
		s->fd = -1;
	}
}

static int
listen_both(struct nameserver *s, struct endpoint *at, char *why,
    size_t why_cap)
{
	int fd = bind_both(s, at, why, why_cap);

	if (fd < 0)
		return E_IO;
	s->listener = listener_new(s->loop, fd, on_accept, s);
	s->ev = event_new(loop_base(s->loop), s->fd, EV_READ | EV_PERSIST,
	    on_udp, s);
	if (s->listener == NULL || s->ev == NULL || event_add(s->ev, NULL) != 0)
		return E_NOMEM;
	return 0;
}

struct nameserver *
nameserver_new(struct loop *l, struct timers *t, const struct zone *z,
    struct endpoint *at, char *why, size_t why_cap)
{
	struct nameserver *s = mem_get(sizeof(*s));

	s->loop = l;
	s->timers = t;
	s->zone = z;
	list_init(&s->late);
	list_init(&s->conns);
	buf_init(&s->out, DNS_TCP_MAX);
	snprintf(why, why_cap, "out of memory");
	if (listen_both(s, at, why, why_cap) == 0)
		return s;
	nameserver_free(s);
	return NULL;
}

void
nameserver_free(struct nameserver *s)
{
	if (s == NULL)
		return;
	LIST_FOREACH_SAFE(it, tmp, &s->conns)
		tcp_close(container_of(it, struct tcp, node));
	LIST_FOREACH_SAFE(it, tmp, &s->late)
		late_free(container_of(it, struct late, node));
	listener_free(s->listener);
	if (s->ev != NULL)
		event_free(s->ev);
	if (s->fd >= 0)
		close(s->fd);
	buf_free(&s->out);
	mem_free(s);
}

const struct names_counts *
nameserver_counts(const struct nameserver *s)
{
	return &s->n;
}

void
names_counts_print(FILE *to, const struct names_counts *c)
{
	fprintf(to, "dns");
#define X(name) fprintf(to, " " #name "=%llu", (unsigned long long)c->name);
	NAMES_COUNTS(X)
#undef X
	fprintf(to, "\n");
}

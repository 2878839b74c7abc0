/*
 * net/conn_io.c - bytes in and out of a connection.
 *
 * In: one read per edge is the rule. A read that does not fill the buffer has
 * drained the socket, and the next byte makes an edge of its own. What makes
 * none is a FIN or a reset that came with those bytes. A FIN is announced
 * (EV_CLOSED); a reset is found by our next write, so a second read is made
 * only when on_data wrote nothing and owes nothing. A peer that never stops is
 * left after READ_ROUNDS reads for the others, and comes again next turn.
 *
 * Out: straight to the socket, until it refuses; then the edge of its
 * readiness goes on. The bytes stay in the owner's buffer.
 */
#include <errno.h>

#include "net/net_i.h"

#define READ_ROUNDS 4
/* Memory of an emptied `kept` that is worth holding for the next time. */
#define KEPT_HOLD 4096

ssize_t
conn_recv(struct conn *c, size_t max)
{
	char *p = loop_read_buf(c->loop);
	ssize_t n;

	if (c->is_tls_open)
		return tls_recv(c, p, max);
	do
		n = recv(c->fd, p, max, 0);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

/* Gives bytes to the owner. Returns how many were eaten. */
static size_t
conn_offer(struct conn *c, struct slice s)
{
	size_t eaten;

	c->is_resumed = false;
	eaten = c->ops->on_data(c->user, c, s);
	ASSERT(eaten <= s.n);
	if (c->state != CONN_OPEN)
		return s.n; /* closed, or clear text before a handshake */
	c->is_paused = eaten < s.n && !c->is_resumed;
	if (eaten < s.n && c->is_resumed)
		loop_later(c->loop, &c->later);
	return eaten;
}

static void
conn_offer_kept(struct conn *c)
{
	buf_consume(&c->kept, conn_offer(c, buf_slice(&c->kept)));
	if (c->kept.n > 0)
		return;
	if (c->kept.cap > KEPT_HOLD)
		buf_free(&c->kept);
	else
		buf_reset(&c->kept);
}

static void
conn_offer_read(struct conn *c, size_t n, size_t max)
{
	struct slice s = slice_of(loop_read_buf(c->loop), n);
	uint32_t sends = c->sends;
	bool is_drained = c->is_tls_open ? tls_is_drained(c) : n < max;
	size_t eaten = conn_offer(c, s);

	if (eaten < n && buf_adds(&c->kept, slice_skip(s, eaten)) != 0) {
		conn_gone(c, ENOMEM);
		return;
	}
	if (is_drained && !c->saw_close && (c->sends != sends || c->is_paused))
		c->can_read = false;
}

static void
conn_read(struct conn *c)
{
	size_t max =
	    c->ops->read_max ? c->ops->read_max(c->user) : LOOP_READ_BYTES;
	ssize_t n;

	if (max == 0) {
		c->is_paused = true;
		return;
	}
	n = conn_recv(c, max);
	if (n > 0)
		conn_offer_read(c, (size_t)n, max);
	else if (n == -EAGAIN)
		c->can_read = false;
	else
		conn_gone(c, c->err != 0 ? c->err : (int)-n);
}

void
conn_in(struct conn *c)
{
	int rounds = 0;

	if (c->kept.n > 0 && !c->is_paused && !c->is_gone)
		conn_offer_kept(c);
	while (c->state == CONN_OPEN && c->can_read && c->kept.n == 0 &&
	    !c->is_paused && !c->is_gone) {
		if (rounds++ == READ_ROUNDS) {
			loop_later(c->loop, &c->later);
			return;
		}
		conn_read(c);
	}
}

void
conn_resume(struct conn *c)
{
	c->is_resumed = true;
	if (!c->is_paused)
		return;
	c->is_paused = false;
	loop_later(c->loop, &c->later);
}

void
conn_sent(struct conn *c, ssize_t n)
{
	if (n > 0) {
		buf_consume(c->out, (size_t)n);
		c->sends++;
	} else if (n == -EAGAIN) {
		c->can_write = false;
	} else if (n != -EINTR) {
		c->err = n == 0 ? EPIPE : (int)-n;
	}
}

/* Writes until all is out, or the socket is full, or broken (c->err). */
static void
conn_write(struct conn *c)
{
	struct slice s;
	ssize_t n;

	while (c->out->n > 0 && c->err == 0) {
		s = buf_slice(c->out);
		if (c->is_tls_open) {
			n = tls_send(c, s.p, s.n);
		} else {
			n = send(c->fd, s.p, s.n, MSG_NOSIGNAL);
			n = n < 0 ? -errno : n;
		}
		conn_sent(c, n);
		if (n == -EAGAIN)
			return;
	}
	c->out = NULL;
	c->is_clearing = false;
}

void
conn_out(struct conn *c)
{
	if (c->out == NULL || (!c->can_write && !c->is_tls_open))
		return;
	conn_write(c);
	if (c->out == NULL && c->err == 0 && c->state != CONN_LINGER &&
	    c->ops->on_drained != NULL)
		c->ops->on_drained(c->user, c);
}

bool
conn_send(struct conn *c, struct buf *b)
{
	ASSERT(c->state != CONN_LINGER && c->state != CONN_CLOSED);
	ASSERT(c->out == NULL || c->out == b);
	if (c->out != NULL || c->err != 0)
		return false;
	if (b->n == 0)
		return true;
	c->out = b;
	if (c->state != CONN_OPEN || !c->can_write)
		return false;
	conn_write(c);
	if (c->err != 0)
		loop_later(c->loop, &c->later); /* to tell it */
	return c->out == NULL && c->err == 0;
}

bool
conn_post(struct conn *c, struct buf *b)
{
	if (c->state != CONN_OPEN || c->is_tls_open || !c->can_write ||
	    c->out != NULL || c->err != 0 || b->n == 0)
		return conn_send(c, b);
	c->out = b;
	c->sends++; /* it will be tried within this turn */
	loop_post(c->loop, c);
	return false;
}

void
conn_owes(struct conn *c)
{
	c->sends++;
}

bool
conn_is_sending(const struct conn *c)
{
	return c->out != NULL;
}

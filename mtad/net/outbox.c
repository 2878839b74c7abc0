/*
 * net/outbox.c - what a turn has to say leaves at its end, in one system call.
 *
 * A send to a peer that sleeps on the same processor wakes it, and on the way
 * back from the call the kernel runs the peer at once: it answers one line and
 * sleeps again, so that fifty replies cost a hundred context switches. An
 * io_uring carries a batch of sends into the kernel together; the peer is woken
 * by the first and finds them all.
 *
 * The sends do not wait (MSG_DONTWAIT), so each is complete when the call
 * returns: the ring is a list of calls here, not a machine of its own. Where
 * the kernel has none (or forbids it) each send is a call.
 */
#include <errno.h>
#include <liburing.h>

#include "net/net_i.h"

#define BATCH_MAX 128u

struct outbox {
	struct list conns; /* by conn.posted */
	struct io_uring ring;
	bool has_ring, was_tried;
};

struct outbox *
outbox_new(void)
{
	struct outbox *o = mem_try(sizeof(*o));

	if (o != NULL)
		list_init(&o->conns);
	return o;
}

void
outbox_free(struct outbox *o)
{
	if (o == NULL)
		return;
	if (o->has_ring)
		io_uring_queue_exit(&o->ring);
	mem_free(o);
}

void
outbox_add(struct outbox *o, struct conn *c)
{
	if (list_is_empty(&c->posted))
		list_push_tail(&o->conns, &c->posted);
}

/* Made by the thread that uses it, when it first has more than one send. The
 * flags (Linux 6.1) say that it alone does. */
static bool
has_ring(struct outbox *o)
{
	unsigned flags =
	    IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN;

	if (!o->was_tried) {
		o->was_tried = true;
		o->has_ring =
		    io_uring_queue_init(BATCH_MAX, &o->ring, flags) == 0 ||
		    io_uring_queue_init(BATCH_MAX, &o->ring, 0) == 0;
	}
	return o->has_ring;
}

/* Up to BATCH_MAX conns that have something to send. */
static uint32_t
gather(struct outbox *o, struct conn **v)
{
	struct list *n;
	uint32_t k = 0;

	while (k < BATCH_MAX && (n = list_pop_head(&o->conns)) != NULL) {
		struct conn *c = container_of(n, struct conn, posted);

		if (c->out != NULL && c->out->n > 0 && c->can_write)
			v[k++] = c;
	}
	return k;
}

/* One call for all of them. What it leaves undone is done one by one; a ring
 * that did not take everything is not used again, for what it still holds. */
static void
send_together(struct outbox *o, struct conn **v, uint32_t n)
{
	struct io_uring_cqe *cqe;
	int taken, err;

	for (uint32_t i = 0; i < n; i++) {
		struct io_uring_sqe *sqe = io_uring_get_sqe(&o->ring);
		struct slice s = buf_slice(v[i]->out);

		io_uring_prep_send(sqe, v[i]->fd, s.p, s.n,
		    MSG_NOSIGNAL | MSG_DONTWAIT);
		io_uring_sqe_set_data64(sqe, i);
	}
	taken = io_uring_submit_and_wait(&o->ring, n);
	for (int i = 0; i < taken; i++) {
		do
			err = io_uring_wait_cqe(&o->ring, &cqe);
		while (err == -EINTR);
		ASSERT(err == 0);
		conn_sent(v[io_uring_cqe_get_data64(cqe)], cqe->res);
		io_uring_cqe_seen(&o->ring, cqe);
	}
	if (taken != (int)n) {
		io_uring_queue_exit(&o->ring);
		o->has_ring = false;
	}
}

bool
outbox_send(struct outbox *o)
{
	struct conn *v[BATCH_MAX];
	uint32_t n;
	bool any = false;

	while ((n = gather(o, v)) > 0) {
		if (n > 1 && has_ring(o))
			send_together(o, v, n);
		for (uint32_t i = 0; i < n; i++)
			if (v[i]->state != CONN_CLOSED)
				conn_run_out(v[i]);
		any = true;
	}
	return any;
}

/*
 * daemon/worker.c - a worker's turn: wait, handle what came, end the turn.
 *
 * Sockets are served by their callbacks inside loop_turn; then the mailbox is
 * taken whole and handled; the core (if it turns here) runs until nothing is
 * left to do; and at last what this turn produced leaves in batches: one push
 * and at most one wake for each receiver.
 */
#include <errno.h>
#include <unistd.h>

#include "daemon/daemon_i.h"
#include "daemon/rules.h"

#define BOOK_FLUSH_BYTES (64u * 1024)
/* Outcomes wait for their lines (corehost.c), hence soon. */
#define BOOK_FLUSH_US (30 * US_PER_MS)
#define BOOK_QUEUED_MAX (64u << 20) /* bytes on their way to the clerk */

static bool
has_work(void *ctx)
{
	struct worker *w = ctx;

	return !mailbox_is_empty(&w->box) || w->inbox.head ||
	    w->core_inbox.head;
}

int
worker_start(struct worker *w, struct daemon *d, uint32_t number,
    unsigned roles)
{
	w->d = d;
	w->number = number;
	w->roles = roles;
	w->conf = d->conf;
	rules_adopt(w, rules_take(d->rules));
	w->keys = keyring_take(d->keys);
	w->loop = loop_new();
	if (!w->loop)
		return E_NOMEM;
	loop_set_idle_check(w->loop, has_work, w);
	list_init(&w->in_list);
	list_init(&w->lanes);
	list_init(&w->touched);
	list_init(&w->unread);
	list_init(&w->openings);
	pool_init(&w->in_sessions, 64, 1); /* sized by inbound_open */
	buf_init(&w->book, 4u << 20);
	buf_init(&w->finds, 4u << 20);
	if (roles & ROLE_OUT) {
		outbound_tls_open(w);
		egress_open(w);
	}
	return 0;
}

void
worker_free(struct worker *w)
{
	if (w->roles & ROLE_CORE)
		corehost_close(w);
	inbound_close(w);
	outbound_close(w);
	egress_close(w);
	outbound_tls_close(w);
	rules_adopt(w, NULL);
	keyring_give(w->keys);
	buf_free(&w->book);
	buf_free(&w->finds);
	if (w->loop)
		loop_free(w->loop);
}

void
worker_post(struct worker *w, struct post *p)
{
	mailbox_push_one(&w->box, p);
	loop_wake(w->loop);
}

struct buf *
worker_book(struct worker *w)
{
	if (w->book_since_us == 0) {
		w->book_since_us = loop_now(w->loop);
		atomic_store(&w->books_begun, w->books_sent + 1);
	}
	return &w->book;
}

struct buf *
worker_find(struct worker *w)
{
	if (w->d->clerk.finder == NULL)
		return NULL;
	if (w->book_since_us == 0) {
		w->book_since_us = loop_now(w->loop);
		atomic_store(&w->books_begun, w->books_sent + 1);
	}
	return &w->finds;
}

/* Sends the book's lines to the clerk when they are many or old. */
static void
flush_book(struct worker *w, bool now)
{
	struct clerk *k = &w->d->clerk;
	struct post_book *b;
	size_t n = w->book.n + w->finds.n;

	if (n == 0)
		return;
	if (!now && n < BOOK_FLUSH_BYTES &&
	    loop_now(w->loop) - w->book_since_us < BOOK_FLUSH_US)
		return;
	w->book_since_us = 0;
	b = NULL;
	if (atomic_load(&k->queued_bytes) + n <= BOOK_QUEUED_MAX)
		b = mem_try(sizeof(*b));
	if (!b) {
		COUNT(w, book_bytes_dropped, n);
		buf_reset(&w->book);
		buf_reset(&w->finds);
		return;
	}
	b->post.kind = POST_BOOK;
	b->from = w;
	b->number = ++w->books_sent;
	b->lines = w->book;
	b->finds = w->finds;
	buf_init(&w->book, 4u << 20);
	buf_init(&w->finds, 4u << 20);
	atomic_fetch_add(&k->queued_bytes, n);
	clerk_post(k, &b->post);
}

static void
change_conf(struct worker *w, struct post_conf *p)
{
	const struct conf *old = w->conf;

	w->conf = p->conf;
	rules_adopt(w, p->rules);
	keyring_give(w->keys);
	w->keys = p->keys;
	if (w->roles & ROLE_IN)
		inbound_reload(w);
	if (w->roles & ROLE_OUT)
		outbound_reload(w, old);
	if (w->roles & ROLE_CORE)
		corehost_reload(w, old);
	mem_free(p);
}

static void
stop(struct worker *w, struct post_stop *p)
{
	bool again = w->is_stopping;

	w->is_stopping = true;
	w->stop_at_us = p->deadline_us;
	if (w->roles & ROLE_CORE) {
		core_stop(w->core);
		drain_stop(w);
	}
	if (w->roles & ROLE_IN)
		inbound_stop(w);
	if (w->roles & ROLE_OUT)
		outbound_stop(w, again);
	mem_free(p);
}

static void
look(struct worker *w, struct post_proxy *p)
{
	egress_look(w, slice_str(p->name), HANDLE_NONE);
	mem_free(p);
}

static void
handle(struct worker *w, struct post *p)
{
	switch (p->kind) {
	case POST_COMMITTED:
		inbound_committed(w, container_of(p, struct parcel, post));
		return;
	case POST_OPEN:
		outbound_open(w, container_of(p, struct post_open, post));
		return;
	case POST_ASSIGN:
		outbound_assign(w, container_of(p, struct job, post));
		return;
	case POST_CLOSE:
		outbound_close_session(w,
		    container_of(p, struct post_session, post)->session);
		mem_free(container_of(p, struct post_session, post));
		return;
	case POST_TAKE_BACK:
		outbound_take_back(w,
		    container_of(p, struct post_session, post)->session);
		mem_free(container_of(p, struct post_session, post));
		return;
	case POST_SESSION_FREE:
		outbound_session_free(w,
		    container_of(p, struct post_session, post)->session);
		mem_free(container_of(p, struct post_session, post));
		return;
	case POST_CONF:
		change_conf(w, container_of(p, struct post_conf, post));
		return;
	case POST_STOP:
		stop(w, container_of(p, struct post_stop, post));
		return;
	case POST_SPILLED:
		spill_piece_back(p);
		return;
	case POST_LOGIN:
		inbound_login(w, container_of(p, struct post_login, post));
		return;
	case POST_LOCAL:
		inbound_local(w, container_of(p, struct post_local, post));
		return;
	case POST_BULLETIN:
		suppressor_bulletin(w, p);
		return;
	case POST_LOOK:
		look(w, container_of(p, struct post_proxy, post));
		return;
	default:
		ASSERT(w->roles & ROLE_CORE);
		posts_push(&w->core_inbox, p);
	}
}

/* Everything that waits, until nothing does: a result makes the core assign,
 * an assignment may give a result at once. */
static void
work(struct worker *w)
{
	struct post *p;

	do {
		mailbox_take(&w->box, &w->inbox);
		while ((p = posts_shift(&w->inbox)))
			handle(w, p);
		if (w->roles & ROLE_CORE)
			corehost_turn(w);
		/* What it assigned leaves with the end of the message before. */
		while ((p = posts_shift(&w->inbox)))
			handle(w, p);
		if (w->roles & ROLE_IN)
			inbound_flush(w); /* the disk works while we send */
		loop_send(w->loop);
	} while (has_work(w));
}

/* What other threads must hear of this turn. */
static void
flush(struct worker *w)
{
	if (w->to_core.head) {
		struct worker *c = w->d->core_worker;

		mailbox_push(&c->box, &w->to_core);
		loop_wake(c->loop);
	}
	if (w->suppress)
		suppress_desk_rest(w->suppress);
	flush_book(w, w->is_stopping);
	if (w->roles & ROLE_CORE)
		corehost_flush(w);
}

/*
 * May a worker that is to stop end? The core ends last: it answers questions to
 * the end, the others' sessions wait for its word, and it for their results.
 */
static bool
may_end(const struct worker *w)
{
	bool is_last =
	    atomic_load(&w->d->stopped_workers) + 1 >= w->d->nworkers;

	if (w->roles & ROLE_CORE && !is_last)
		return false;
	return (inbound_is_idle(w) && w->out_live == 0) ||
	    loop_now(w->loop) >= w->stop_at_us;
}

static int64_t
deadline(const struct worker *w)
{
	int64_t at = TIME_NEVER;

	if (w->roles & ROLE_CORE)
		at = corehost_deadline(w);
	if (w->book.n || w->finds.n)
		at = MIN(at, w->book_since_us + BOOK_FLUSH_US);
	if (w->is_stopping)
		at = MIN(at, loop_now(w->loop) + 50 * US_PER_MS);
	return at;
}

void
worker_run(struct worker *w)
{
	while (!w->is_done) {
		w->events = 0;
		loop_turn(w->loop, deadline(w));
		work(w);
		flush(w);
		atomic_store_explicit(&w->turned,
		    atomic_load_explicit(&w->d->asked, memory_order_relaxed),
		    memory_order_relaxed);
		if (w->is_stopping && may_end(w))
			w->is_done = true;
	}
	atomic_store(&w->turned, UINT64_MAX);
	outbound_stop(w, true);
	inbound_close(w);
	work(w);
	flush(w);
	/* Last replies on their way: each has at most its linger time. */
	while (!loop_is_idle(w->loop))
		loop_turn(w->loop, loop_now(w->loop) + 50 * US_PER_MS);
	atomic_fetch_add(&w->d->stopped_workers, 1);
}

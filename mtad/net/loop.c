/*
 * net/loop.c - the turn of a thread: wait, events, deadlines, tasks, graves.
 *
 * A turn waits in libevent (one epoll_wait), runs the callbacks of what is
 * ready, then the deadlines that have passed, then the tasks that were asked
 * for, and at last frees what was closed. What a deadline or task asks for is
 * done in the next turn at the latest, so every phase is bounded.
 *
 * Sleep and wake. `asleep` is only ever changed by exchange. The loop sets it,
 * then asks has_work, then waits; a waker publishes its work, then clears it,
 * and writes the eventfd if it was set. All exchanges of one flag have one
 * order: if the loop's comes first the waker sees it and writes; if the
 * waker's comes first the loop's exchange acquires what the waker released,
 * and has_work sees the work. The eventfd is edge-triggered and never read:
 * each write is an edge of its own, and the counter is good for 2^64 of them.
 *
 * Only loop_wake may be called from another thread.
 */
#include <sys/eventfd.h>

#include <errno.h>
#include <time.h>
#include <unistd.h>

#include "net/net_i.h"

struct loop {
	struct event_base *base;
	struct event ev_wake, ev_timer;
	struct heap timers;
	struct list tasks, graves;
	bool (*has_work)(void *ctx);
	void *has_work_ctx;
	struct outbox *outbox;
	int64_t now_us, wall_us;
	int64_t armed_us; /* when ev_timer fires; TIME_NEVER: it is not set */
	int wake_fd;
	bool is_awake; /* this turn's clock has been read */
	char *read_buf;
	_Alignas(64) atomic_bool asleep; /* others write this line */
};

static int64_t
clock_us(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return ts.tv_sec * US_PER_S + ts.tv_nsec / 1000;
}

static void
clocks_read(struct loop *l)
{
	l->now_us = clock_us(CLOCK_MONOTONIC);
	l->wall_us = clock_us(CLOCK_REALTIME);
}

void
loop_awake(struct loop *l)
{
	if (l->is_awake)
		return;
	l->is_awake = true;
	atomic_exchange(&l->asleep, false);
	clocks_read(l);
}

static void
on_wake(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what;
	loop_awake(arg);
}

static void
on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct loop *l = arg;

	(void)fd, (void)what;
	loop_awake(l);
	l->armed_us = TIME_NEVER;
}

static struct event_base *
base_new(void)
{
	struct event_config *cfg = event_config_new();
	struct event_base *base = NULL;

	if (cfg == NULL)
		return NULL;
	/* Edges, and a FIN told apart from bytes; one thread, so no lock. */
	if (event_config_require_features(cfg,
		EV_FEATURE_ET | EV_FEATURE_EARLY_CLOSE) == 0 &&
	    event_config_set_flag(cfg, EVENT_BASE_FLAG_NOLOCK) == 0)
		base = event_base_new_with_config(cfg);
	event_config_free(cfg);
	return base;
}

struct loop *
loop_new(void)
{
	struct loop *l = aligned_alloc(64, (sizeof(*l) + 63) & ~(size_t)63);

	if (l == NULL)
		return NULL;
	memset(l, 0, sizeof(*l));
	heap_init(&l->timers, INT32_MAX - 1);
	list_init(&l->tasks);
	list_init(&l->graves);
	l->armed_us = TIME_NEVER;
	clocks_read(l);
	l->read_buf = mem_get(LOOP_READ_BYTES);
	l->outbox = outbox_new();
	l->base = base_new();
	l->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (l->base == NULL || l->wake_fd < 0 || l->outbox == NULL)
		goto out;
	event_assign(&l->ev_wake, l->base, l->wake_fd,
	    EV_READ | EV_ET | EV_PERSIST, on_wake, l);
	event_assign(&l->ev_timer, l->base, -1, 0, on_timer, l);
	if (event_add(&l->ev_wake, NULL) == 0)
		return l;
out:
	if (l->base != NULL)
		event_base_free(l->base);
	if (l->wake_fd >= 0)
		close(l->wake_fd);
	outbox_free(l->outbox);
	mem_free(l->read_buf);
	free(l);
	return NULL;
}

static void
run_all(struct list *from)
{
	struct list todo, *n;
	struct loop_task *t;

	if (list_is_empty(from))
		return;
	/* Only those of now: what they ask for goes to `from`. */
	list_insert_between(&todo, from->prev, from);
	list_remove(from);
	while ((n = list_pop_head(&todo)) != NULL) {
		t = container_of(n, struct loop_task, node);
		t->run(t->arg);
	}
}

bool
loop_is_idle(const struct loop *l)
{
	return l->timers.n == 0;
}

void
loop_free(struct loop *l)
{
	if (l == NULL)
		return;
	run_all(&l->graves);
	ASSERT(l->timers.n == 0); /* conns, listeners and dns go first */
	event_del(&l->ev_wake);
	event_del(&l->ev_timer);
	event_base_free(l->base);
	close(l->wake_fd);
	heap_free(&l->timers);
	outbox_free(l->outbox);
	mem_free(l->read_buf);
	free(l);
}

struct event_base *
loop_base(struct loop *l)
{
	return l->base;
}

int64_t
loop_now(const struct loop *l)
{
	return l->now_us;
}

int64_t
loop_wall(const struct loop *l)
{
	return l->wall_us;
}

char *
loop_read_buf(struct loop *l)
{
	return l->read_buf;
}

void
loop_set_idle_check(struct loop *l, bool (*has_work)(void *ctx), void *ctx)
{
	l->has_work = has_work;
	l->has_work_ctx = ctx;
}

void
loop_wake(struct loop *l)
{
	uint64_t one = 1;

	if (!atomic_exchange(&l->asleep, false))
		return;
	while (write(l->wake_fd, &one, sizeof(one)) < 0 && errno == EINTR)
		;
}

/* Makes libevent return at `until` or a little earlier. */
static void
arm(struct loop *l, int64_t now, int64_t until)
{
	struct timeval tv;

	if (until == TIME_NEVER || (l->armed_us <= until && l->armed_us > now))
		return;
	tv.tv_sec = (until - now) / US_PER_S;
	tv.tv_usec = (until - now) % US_PER_S;
	event_add(&l->ev_timer, &tv);
	l->armed_us = until;
}

/* Sleep is allowed, and the timer for its end is set? */
static bool
may_sleep(struct loop *l, int64_t until_us)
{
	const struct heap_node *first = heap_peek(&l->timers);
	int64_t now;

	if (!list_is_empty(&l->tasks) || until_us <= l->now_us)
		return false;
	if (first != NULL)
		until_us = MIN(until_us, first->key);
	/* The turn's clock is stale by the work done since. */
	now = clock_us(CLOCK_MONOTONIC);
	if (until_us <= now)
		return false;
	arm(l, now, until_us);
	atomic_exchange(&l->asleep, true);
	return l->has_work == NULL || !l->has_work(l->has_work_ctx);
}

static void
expire(struct loop *l)
{
	uint32_t left = l->timers.n;
	struct heap_node *n;
	struct loop_timer *t;

	while (left-- > 0 && (n = heap_peek(&l->timers)) != NULL &&
	    n->key <= l->now_us) {
		t = container_of(n, struct loop_timer, node);
		if (t->at_us > l->now_us) {
			heap_rekey(&l->timers, n, t->at_us);
			continue;
		}
		t->at_us = TIME_NEVER;
		heap_rekey(&l->timers, n, TIME_NEVER);
		t->fire(t->arg);
	}
}

void
loop_turn(struct loop *l, int64_t until_us)
{
	int flags = EVLOOP_ONCE;

	l->is_awake = false;
	/* What it leads to (on_drained) has not been seen by the owner yet. */
	if (outbox_send(l->outbox) || !may_sleep(l, until_us))
		flags |= EVLOOP_NONBLOCK;
	event_base_loop(l->base, flags);
	loop_awake(l);
	expire(l);
	run_all(&l->tasks);
	run_all(&l->graves);
}

void
loop_post(struct loop *l, struct conn *c)
{
	outbox_add(l->outbox, c);
}

void
loop_send(struct loop *l)
{
	outbox_send(l->outbox);
}

int
loop_timer_init(struct loop *l, struct loop_timer *t, void (*fire)(void *arg),
    void *arg)
{
	*t = (struct loop_timer){ .at_us = TIME_NEVER,
		.fire = fire,
		.arg = arg };
	return heap_push(&l->timers, &t->node, TIME_NEVER);
}

void
loop_timer_set(struct loop *l, struct loop_timer *t, int64_t at_us)
{
	t->at_us = at_us;
	if (at_us < t->node.key)
		heap_rekey(&l->timers, &t->node, at_us);
}

void
loop_timer_done(struct loop *l, struct loop_timer *t)
{
	if (heap_has(&t->node))
		heap_remove(&l->timers, &t->node);
}

void
loop_task_init(struct loop_task *t, void (*run)(void *arg), void *arg)
{
	list_init(&t->node);
	t->run = run;
	t->arg = arg;
}

void
loop_later(struct loop *l, struct loop_task *t)
{
	if (list_is_empty(&t->node))
		list_push_tail(&l->tasks, &t->node);
}

void
loop_bury(struct loop *l, struct loop_task *t)
{
	list_remove(&t->node);
	list_push_tail(&l->graves, &t->node);
}

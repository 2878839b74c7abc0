/*
 * daemon/spooler.c - the thread that makes things durable.
 *
 * It takes its mailbox whole, lets the spool form one group of all that, and
 * hands the answers out: parcels to the workers that wait with a 250, messages
 * to the core. While one sync runs the next group gathers by itself.
 *
 * The lock: a message that is alone would pay two thread switches for its
 * sync. So a worker may drive the spool itself when the spooler is asleep and
 * the lock is free (trylock, never waiting). Whoever holds the lock owns the
 * spool whole; the spooler holds it for the length of a turn, and sleeps
 * without it.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "daemon/daemon_i.h"
#include "daemon/keybook.h"

/* Lone messages synced in a row between two turns of the spooler. */
#define INLINE_RUN 64

/* Bytes of event lines that a restore gathers. */
#define BOOK_BYTES (1u << 20)
/* The index may lack so much of what came before a crash. */
#define FIND_WINDOW_US (60 * US_PER_S)

/* Answers of one turn, to be posted when the lock is free again. */
struct answers {
	struct posts to_core;
	struct posts to_worker[WORKERS_MAX];
	uint64_t workers; /* bitmap of those with answers */
};

static void
outcomes_apply(struct spooler *s, struct post_outcomes *o)
{
	for (uint32_t i = 0; i < o->n; i++) {
		struct outcome_item *it = &o->v[i];

		switch (it->kind) {
		case ITEM_OUTCOME:
			spool_outcome(s->spool, it->slot, it->rcpt, &it->state);
			mem_free((void *)(uintptr_t)it->state.text.p);
			mem_free((void *)(uintptr_t)it->state.mta.p);
			break;
		case ITEM_DROP:
			spool_drop(s->spool, it->slot);
			break;
		case ITEM_MOVED_ACK:
			spool_moved_ack(s->spool, it->slot);
			break;
		default:
			spool_report_damage(s->spool, it->slot);
			break;
		}
	}
	mem_free(o);
}

static bool
has_drop(const struct post *p)
{
	const struct post_outcomes *o =
	    container_of(p, const struct post_outcomes, post);

	for (uint32_t i = 0; i < o->n; i++)
		if (o->v[i].kind == ITEM_DROP)
			return true;
	return false;
}

static void
take_posts(struct spooler *s)
{
	struct posts in = { NULL, NULL };
	bool is_saved = false;
	struct post *p;

	mailbox_take(&s->box, &in);
	while ((p = posts_shift(&in))) {
		if (p->kind == POST_COMMIT)
			spool_commit(s->spool,
			    &container_of(p, struct parcel, post)->commit);
		else {
			/* A message takes its key along. */
			if (!is_saved && has_drop(p)) {
				keybook_save(s->d->keybook);
				is_saved = true;
			}
			outcomes_apply(s,
			    container_of(p, struct post_outcomes, post));
		}
	}
}

static void
answer_commit(struct spooler *s, struct answers *a, struct parcel *p)
{
	struct post_submit *sub = p->commit.user;
	struct worker *w = p->origin;

	if (!w) { /* a notice of the core's */
		p->post.kind = POST_NOTICE_DONE;
		posts_push(&a->to_core, &p->post);
		return;
	}
	if (p->has_key)
		keybook_settle(s->d->keybook, &p->key, &p->id,
		    p->commit.err == 0);
	p->has_key = false;
	if (p->commit.err) {
		mem_free(sub);
	} else {
		sub->slot = p->commit.slot;
		sub->ref = p->commit.ref;
		posts_push(&a->to_core, &sub->post);
	}
	p->commit.user = NULL;
	atomic_fetch_add(&s->answers[w->number], 1);
	p->post.kind = POST_COMMITTED;
	posts_push(&a->to_worker[w->number], &p->post);
	a->workers |= UINT64_C(1) << w->number;
}

static void
take_answers(struct spooler *s, struct answers *a)
{
	struct spool_commit *c;
	struct spool_damage d;
	struct handle slot;
	struct spool_ref ref;

	while ((c = spool_take_done(s->spool)))
		answer_commit(s, a, container_of(c, struct parcel, commit));
	while (spool_take_moved(s->spool, &slot, &ref)) {
		struct post_moved *m = mem_get(sizeof(*m));

		m->post.kind = POST_MOVED;
		m->slot = slot;
		m->ref = ref;
		posts_push(&a->to_core, &m->post);
	}
	while (spool_take_damage(s->spool, &d)) {
		struct post_damage *m = mem_get(sizeof(*m));

		m->post.kind = POST_DAMAGE;
		m->damage = d;
		posts_push(&a->to_core, &m->post);
	}
}

static void
post_answers(struct spooler *s, struct answers *a)
{
	struct daemon *d = s->d;
	struct worker *core = d->core_worker;

	if (a->to_core.head) {
		mailbox_push(&core->box, &a->to_core);
		loop_wake(core->loop);
	}
	for (uint32_t i = 0; a->workers >> i; i++) {
		if (!a->to_worker[i].head)
			continue;
		mailbox_push(&d->worker[i].box, &a->to_worker[i]);
		loop_wake(d->worker[i].loop);
	}
}

/* The same from a worker that drove the spool itself: its own client hears
 * first; the core is told with what else this turn has for it. */
static void
keep_answers(struct spooler *s, struct answers *a, struct worker *self)
{
	struct posts *own = &a->to_worker[self->number];
	struct post *p;

	while ((p = posts_shift(own)))
		inbound_committed(self, container_of(p, struct parcel, post));
	loop_send(self->loop);
	if (self != s->d->core_worker)
		while ((p = posts_shift(&a->to_core)))
			posts_push(&self->to_core, p);
	while ((p = posts_shift(&a->to_core)))
		posts_push(&self->inbox, p);
	post_answers(s, a);
}

static void
wake(struct spooler *s)
{
	uint64_t one = 1;
	ssize_t n;

	if (!atomic_exchange(&s->is_asleep, false))
		return;
	do
		n = write(s->wake_fd, &one, sizeof(one));
	while (n < 0 && errno == EINTR);
}

/* Sleeps until woken or until the time comes. */
static void
sleep_until(struct spooler *s, int64_t until_us)
{
	struct pollfd pf = { .fd = s->wake_fd, .events = POLLIN };
	int64_t left = until_us == TIME_NEVER ? 3600 * US_PER_S :
						until_us - clock_mono_us();
	struct timespec ts;
	uint64_t n;

	if (left <= 0)
		return;
	left = MIN(left, 3600 * US_PER_S);
	ts.tv_sec = left / US_PER_S;
	ts.tv_nsec = (left % US_PER_S) * 1000;
	atomic_store(&s->is_asleep, true);
	/* What was pushed before that store found nobody asleep and woke nobody,
	 * so the mailbox is looked into once more; what comes later writes the
	 * descriptor. */
	if (!atomic_load(&s->is_stopping) && mailbox_is_empty(&s->box) &&
	    ppoll(&pf, 1, &ts, NULL) > 0 &&
	    read(s->wake_fd, &n, sizeof(n)) < 0 && errno != EAGAIN)
		log_msg(LOG_ERROR, "spooler", "reading the wake: errno %d",
		    errno);
	atomic_store(&s->is_asleep, false);
}

/* One group; true when more is queued. */
static bool
write_group(struct spooler *s)
{
	struct answers a = { 0 };
	bool more;

	pthread_mutex_lock(&s->lock);
	take_posts(s);
	more = spool_turn(s->spool, clock_mono_us());
	take_answers(s, &a);
	pthread_mutex_unlock(&s->lock);
	post_answers(s, &a);
	return more;
}

/* A step of what keeps no client waiting; true when there is more of it. */
static bool
tidy(struct spooler *s, int64_t *until)
{
	struct answers a = { 0 };
	bool more;

	pthread_mutex_lock(&s->lock);
	s->ninline = 0;
	if (keybook_is_full(s->d->keybook))
		keybook_save(s->d->keybook);
	more = spool_tidy(s->spool, clock_mono_us());
	take_answers(s, &a);
	*until = spool_deadline(s->spool);
	pthread_mutex_unlock(&s->lock);
	post_answers(s, &a);
	return more;
}

/* The core looks by itself in every turn; it is only woken for one. */
static void
tell_if_stuck(struct spooler *s)
{
	bool is = spool_is_stuck(s->spool);

	if (is == s->was_stuck)
		return;
	s->was_stuck = is;
	loop_wake(s->d->core_worker->loop);
}

static void *
run(void *arg)
{
	struct spooler *s = arg;
	int64_t until;
	bool more;

	while (!atomic_load(&s->is_stopping)) {
		more = write_group(s);
		more |= tidy(s, &until);
		tell_if_stuck(s);
		if (!more)
			sleep_until(s, until);
	}
	return NULL;
}

void
spooler_post(struct spooler *s, struct posts *l, bool must_wake)
{
	mailbox_push(&s->box, l);
	if (must_wake)
		wake(s);
}

bool
spooler_try_inline(struct spooler *s, struct worker *w, struct parcel *p)
{
	struct answers a = { 0 };
	bool more;

	if (!atomic_load(&s->is_asleep) || pthread_mutex_trylock(&s->lock))
		return false;
	if (s->ninline++ >= INLINE_RUN) { /* its turn to tidy */
		pthread_mutex_unlock(&s->lock);
		return false;
	}
	take_posts(s);
	spool_commit(s->spool, &p->commit);
	more = spool_turn(s->spool, clock_mono_us());
	take_answers(s, &a);
	pthread_mutex_unlock(&s->lock);
	keep_answers(s, &a, w);
	if (more)
		wake(s);
	return true;
}

int
spooler_open(struct spooler *s, struct daemon *d)
{
	const struct conf *c = d->conf;
	struct spool_conf sc;
	char why[512];
	int err;

	s->d = d;
	pthread_mutex_init(&s->lock, NULL);
	s->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (s->wake_fd < 0)
		return E_IO;
	err = disk_posix_open(&d->disk, c->spool.p, false, why, sizeof(why));
	if (!err) {
		spool_conf_default(&sc);
		sc.segment_bytes = (uint32_t)c->spool_segment_bytes;
		sc.min_free_bytes = c->spool_min_free_bytes;
		sc.max_bytes = c->spool_max_bytes;
		sc.max_messages = c->messages_max;
		sc.seed = (uint64_t)clock_wall_us();
		err = spool_open(&s->spool, &sc, d->disk, false, why,
		    sizeof(why));
	}
	if (err)
		log_event(LOG_ERROR, "spool", "what", why, "error",
		    err_name(err), NULL);
	if (!err)
		d->keybook = keybook_open(c->spool.p, c->keys_max);
	return err;
}

/* A message's key is known again. */
static void
restore_key(struct spooler *s, struct slice envelope)
{
	struct envelope e;
	struct cursor rcpts;

	if (!env_has_key(envelope) || env_decode(envelope, &e, &rcpts) != 0)
		return;
	keybook_restore(s->d->keybook, &e.key, &e.id);
	if (keybook_is_full(s->d->keybook))
		keybook_save(s->d->keybook);
}

/* What arrived before that is in the index; one that says to be of the future
 * is not believed. */
static int64_t
index_since(const struct finder *f)
{
	int64_t us = finder_newest_s(f) * US_PER_S;

	return us > clock_wall_us() ? 0 : us - FIND_WINDOW_US;
}

int
spooler_restore(struct spooler *s, struct worker *w)
{
	struct clerk *clerk = &s->d->clerk;
	struct book_tail tail;
	struct spool_found f;
	struct spool_damage d;
	uint64_t n = 0;
	int got;

	if ((got = clerk_begin(clerk, &tail)))
		return got;
	if (clerk->finder)
		core_find_since(w->core, index_since(clerk->finder));
	while ((got = spool_scan(s->spool, &f, &d)) > 0) {
		if (got == 1) {
			core_receive_again(w->core, &f, &tail);
			core_restore(w->core, &f);
			restore_key(s, f.envelope);
			n++;
		} else
			core_damage(w->core, &d);
		if (w->book.n > BOOK_BYTES)
			(void)clerk_write(clerk, &w->book);
		if (w->finds.n > BOOK_BYTES)
			clerk_find(clerk, &w->finds);
	}
	(void)clerk_write(clerk, &w->book);
	clerk_find(clerk, &w->finds);
	tail_free(&tail);
	if (got == 0 && n)
		log_msg(LOG_INFO, "spool", "%llu messages found",
		    (unsigned long long)n);
	return got;
}

int
spooler_start(struct spooler *s)
{
	return pthread_create(&s->thread, NULL, run, s) ? E_NOMEM : 0;
}

/* Everything posted before is written and synced. */
void
spooler_stop(struct spooler *s)
{
	struct answers a = { 0 };

	atomic_store(&s->is_stopping, true);
	atomic_store(&s->is_asleep, true);
	wake(s);
	pthread_join(s->thread, NULL);
	take_posts(s);
	while (spool_turn(s->spool, clock_mono_us()))
		take_answers(s, &a);
	take_answers(s, &a);
	post_answers(s, &a);
	keybook_close(s->d->keybook);
	spool_close(s->spool);
	close(s->wake_fd);
}

/*
 * daemon/spill.c - the part of a large message that has no room in memory: an
 * unlinked file in the spool's directory, written by a thread of its own. A
 * write, or the making or freeing of a file, may take as long as the disk likes,
 * and no worker waits for it: only the session whose message it is.
 *
 * A piece is copied and posted to the spiller, and comes back when it is
 * written. All that is on its way has a ceiling for each worker: past it no
 * session is read that might add to it. A spill belongs to its worker but for the
 * file, which the spiller opens, writes and closes.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "daemon/daemon_i.h"

struct spill {
	struct post post; /* its last way: to be closed */
	struct worker *w;
	struct handle session;
	int fd;
	uint64_t n;
	void *map;
	uint32_t pieces; /* on their way */
	bool has_failed, is_dead;
};

struct piece {
	struct post post;
	struct spill *s;
	bool is_written;
	size_t n;
	char data[];
};

/* ---- the worker's side --------------------------------------------------------- */

bool
spill_add(struct spill **sp, struct worker *w, struct handle session,
    struct slice data)
{
	struct spill *s = *sp;
	struct piece *p;

	if (!s && (s = mem_try(sizeof(*s)))) {
		s->w = w;
		s->session = session;
		s->fd = -1;
		*sp = s;
	}
	p = s && !s->has_failed ? mem_try(sizeof(*p) + data.n) : NULL;
	if (!p)
		return false;
	p->post.kind = POST_SPILL;
	p->s = s;
	p->n = data.n;
	memcpy(p->data, data.p, data.n);
	s->n += data.n;
	w->spilling += data.n;
	s->pieces++;
	spiller_post(&w->d->spiller, &p->post);
	return true;
}

bool
spill_is_done(const struct spill *s)
{
	return s->pieces == 0;
}

struct slice
spill_map(struct spill *s)
{
	ASSERT(s->pieces == 0);
	if (s->has_failed)
		return slice_of(NULL, 0);
	s->map = mmap(NULL, s->n, PROT_READ, MAP_SHARED, s->fd, 0);
	if (s->map == MAP_FAILED) {
		s->map = NULL;
		return slice_of(NULL, 0);
	}
	return slice_of(s->map, s->n);
}

static void
bury(struct spill *s)
{
	s->post.kind = POST_SPILL_FREE;
	spiller_post(&s->w->d->spiller, &s->post);
}

void
spill_free(struct spill *s)
{
	if (s->map)
		munmap(s->map, s->n);
	s->map = NULL;
	s->is_dead = true;
	if (s->pieces == 0)
		bury(s);
}

void
spill_piece_back(struct post *post)
{
	struct piece *p = container_of(post, struct piece, post);
	struct spill *s = p->s;
	struct worker *w = s->w;

	w->spilling -= p->n;
	s->pieces--;
	s->has_failed |= !p->is_written;
	mem_free(p);
	if (!s->is_dead)
		inbound_spilled(w, s->session);
	else if (s->pieces == 0)
		bury(s);
	inbound_read_on(w);
}

/* ---- the spiller's ---------------------------------------------------------------- */

static bool
has_work(void *ctx)
{
	return !mailbox_is_empty(&((struct spiller *)ctx)->box);
}

static bool
write_piece(const char *dir, struct spill *s, struct slice data)
{
	ssize_t n;

	if (s->fd < 0)
		s->fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (s->fd < 0) {
		log_msg(LOG_ERROR, "spill", "cannot make a file in %s", dir);
		return false;
	}
	while (data.n) {
		n = write(s->fd, data.p, data.n);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		data = slice_skip(data, (size_t)n);
	}
	return true;
}

static void
take_posts(struct spiller *sp)
{
	struct posts in = { NULL, NULL };
	struct post *post;

	mailbox_take(&sp->box, &in);
	while ((post = posts_shift(&in))) {
		struct spill *s = container_of(post, struct spill, post);
		struct piece *p = container_of(post, struct piece, post);

		if (post->kind == POST_SPILL_FREE) {
			if (s->fd >= 0)
				close(s->fd);
			mem_free(s);
			continue;
		}
		p->is_written =
		    write_piece(sp->dir, p->s, slice_of(p->data, p->n));
		post->kind = POST_SPILLED;
		worker_post(p->s->w, post);
	}
}

static void *
run(void *arg)
{
	struct spiller *sp = arg;

	while (!atomic_load(&sp->is_stopping)) {
		loop_turn(sp->loop, clock_mono_us() + 3600 * US_PER_S);
		take_posts(sp);
	}
	take_posts(sp);
	return NULL;
}

void
spiller_post(struct spiller *sp, struct post *p)
{
	mailbox_push_one(&sp->box, p);
	loop_wake(sp->loop);
}

int
spiller_start(struct spiller *sp, const char *dir)
{
	sp->dir = dir;
	sp->loop = loop_new();
	if (!sp->loop)
		return E_NOMEM;
	loop_set_idle_check(sp->loop, has_work, sp);
	return pthread_create(&sp->thread, NULL, run, sp) ? E_NOMEM : 0;
}

void
spiller_stop(struct spiller *sp)
{
	atomic_store(&sp->is_stopping, true);
	loop_wake(sp->loop);
	pthread_join(sp->thread, NULL);
	loop_free(sp->loop);
}

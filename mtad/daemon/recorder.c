/*
 * daemon/recorder.c - the core's side of a recording: steps into blocks, and
 * when a file ends and the next begins.
 *
 * A file begins between two steps: a child is forked that has the engine as it
 * is, closes all it inherited but the file, and writes the checkpoint. The
 * fork itself is all that the core waits for.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "daemon/daemon_i.h"
#include "daemon/recorder.h"

/* A file whose successor is not ready may grow to so many times its share. */
#define GROW_MAX 2u
/* While the engine is too large for the ring: looked at again, said again. */
#define RETRY_US US_PER_S
#define COMPLAIN_US (60 * US_PER_S)
/* After a gap a file begins when no more blocks than these wait for the disk. */
#define BLOCKS_LOW (RECORDER_BLOCKS / 4)

/* ---- blocks -------------------------------------------------------------------- */

static struct rec_block *
block_new(struct recorder *r, uint32_t cap)
{
	struct rec_block *b;

	if (r->nblocks == RECORDER_BLOCKS)
		return NULL;
	b = malloc(sizeof(*b) + TAPE_FRAME_HEAD + cap); /* not zeroed */
	if (!b)
		return NULL;
	b->cap = cap;
	r->nblocks++;
	return b;
}

static void
block_free(struct recorder *r, struct rec_block *b)
{
	r->nblocks--;
	free(b);
}

/* Takes back what has been written. */
static void
blocks_back(struct recorder *r)
{
	struct posts l = { NULL, NULL };
	struct post *p;

	mailbox_take(&r->back, &l);
	while ((p = posts_shift(&l))) {
		posts_push(&r->free, p);
		r->nout--;
	}
}

/* One with room for n bytes, or NULL. */
static struct rec_block *
block_take(struct recorder *r, size_t n)
{
	struct rec_block *b;
	struct post *p;

	if (n > TAPE_FRAME_MAX)
		return NULL;
	blocks_back(r);
	while ((p = posts_shift(&r->free))) {
		b = container_of(p, struct rec_block, post);
		if (b->cap == RECORDER_BLOCK && n <= b->cap)
			return b;
		block_free(r, b); /* one for a big step */
		if (n > RECORDER_BLOCK)
			break;
	}
	return block_new(r, (uint32_t)MAX(n, RECORDER_BLOCK));
}

static void
block_begin(struct recorder *r, struct rec_block *b)
{
	b->post.kind = REC_BLOCK;
	b->file = r->file;
	b->frame = (struct tape_frame){ .kind = TAPE_EVENTS,
		.step = r->step,
		.hash = r->hash,
		.now_us = r->last_us };
	b->n = 0;
	r->block = b;
	r->block_since_us = 0;
}

static void
block_send(struct recorder *r, bool is_last)
{
	struct rec_block *b = r->block;

	r->block = NULL;
	if (!b)
		return;
	b->frame.is_last = is_last;
	r->file_bytes += b->n + TAPE_FRAME_HEAD;
	r->nout++;
	mailbox_push_one(&r->box, &b->post);
	rec_disk_wake(r);
}

/* ---- files --------------------------------------------------------------------- */

static void
file_end(struct recorder *r, bool is_gap)
{
	struct rec_file *f = r->file;

	if (!r->block && !is_gap) {
		struct rec_block *b = block_take(r, 0);

		if (b)
			block_begin(r, b);
	}
	block_send(r, !is_gap);
	r->file = NULL;
	f->is_gap = is_gap;
	f->end.kind = REC_END;
	mailbox_push_one(&r->box, &f->end);
	rec_disk_wake(r);
}

static bool
child_write(void *ctx, uint64_t at, const void *p, size_t n)
{
	const int *fd = ctx;
	const char *from = p;
	ssize_t k;

	for (; n > 0; n -= (size_t)k, from += k, at += (uint64_t)k) {
		k = pwrite(*fd, from, n, (off_t)at);
		if (k < 0 && errno == EINTR)
			k = 0;
		else if (k <= 0)
			return false;
	}
	return true;
}

/* The child shares every socket with its parent: a connection that the parent
 * closes would stay open as long as the child lives. */
static void __attribute__((noreturn)) child_main(struct recorder *r,
    const struct eng *e, struct tape_header *h, int fd)
{
	unsigned f = (unsigned)fd;

	if ((f > 0 && close_range(0, f - 1, 0)) || close_range(f + 1, ~0u, 0))
		_exit(1);
	if (nice(10) == -1)
		errno = 0; /* then it runs as its parent does */
	_exit(tape_checkpoint(e, h, r->part, child_write, &fd) ? 0 : 1);
}

static struct tape_header
header_of(const struct recorder *r, const struct rec_file *f)
{
	struct tape_header h = { .layout = eng_layout(),
		.run = r->run,
		.number = f->number,
		.step = r->step,
		.hash = r->hash,
		.now_us = r->last_us,
		.wall_us = clock_wall_us(),
		.events_at = f->at };

	slice_copy(slice_str(mta_version()), h.version, sizeof(h.version));
	return h;
}

/*
 * The bytes that a file gets: its share, or twice its checkpoint if that is
 * more; it may have to grow to twice that. The ring holds it, grown, beside
 * another; else the engine is too large for the ring at present.
 */
static bool
is_too_small(struct recorder *r, struct rec_file *f)
{
	f->budget = MAX(r->conf.size_bytes / (r->conf.files + 1), 2 * f->at);
	if (f->budget <= r->conf.size_bytes / 3)
		return false;
	r->retry_us = r->last_us + RETRY_US;
	if (r->complain_us <= r->last_us) {
		r->complain_us = r->last_us + COMPLAIN_US;
		log_event(LOG_WARN, "record", "what",
		    "the engine is too large for the ring, steps are left out",
		    "remedy", "a larger --record-size", NULL);
	}
	return true;
}

/* With the block that is being filled. */
static bool
is_overgrown(const struct recorder *r)
{
	return r->file != NULL &&
	    r->file_bytes + RECORDER_BLOCK > GROW_MAX * r->file->budget;
}

static void
file_begin(struct recorder *r, const struct eng *e)
{
	struct rec_file *f = atomic_load(&r->spare);
	struct tape_header h;
	pid_t pid;

	f->at = tape_events_at(eng_save_bytes(e));
	if (is_too_small(r, f)) {
		if (is_overgrown(r))
			file_end(r, true);
		return;
	}
	if (r->file)
		file_end(r, false);
	h = header_of(r, f);
	pid = fork();
	if (pid == 0)
		child_main(r, e, &h, f->fd);
	if (pid < 0) {
		rec_fail(r, "cannot fork for a checkpoint", errno);
		return;
	}
	f->child = pid;
	r->file = f;
	r->file_bytes = f->at;
	atomic_store(&r->is_busy, true);
	f->begin.kind = REC_BEGIN;
	mailbox_push_one(&r->box, &f->begin);
	rec_disk_wake(r);
}

/* Begins a file where one is wanted and can be; after a gap not before the
 * disk has caught up. */
static void
file_next(struct recorder *r, const struct eng *e)
{
	if (r->file && r->file_bytes + RECORDER_BLOCK < r->file->budget)
		return;
	if (!r->file && r->nout > BLOCKS_LOW) {
		blocks_back(r);
		return;
	}
	if (atomic_load(&r->spare) && !atomic_load(&r->is_busy) &&
	    r->last_us >= r->retry_us)
		file_begin(r, e);
	else if (is_overgrown(r))
		file_end(r, true);
}

/* ---- steps ---------------------------------------------------------------------- */

/* Room for n bytes in r->block; false: there is none, and a gap begins. */
static bool
make_room(struct recorder *r, size_t n)
{
	struct rec_block *b;

	if (r->block && r->block->cap - r->block->n >= n)
		return true;
	block_send(r, false);
	b = block_take(r, n);
	if (!b) {
		file_end(r, true);
		return false;
	}
	block_begin(r, b);
	return true;
}

static void
on_step(void *ctx, const struct eng *e, const struct eng_event *ev,
    int64_t now_us, const struct eng_cmds *cmds)
{
	struct recorder *r = ctx;
	unsigned char *from, *to;

	if (atomic_load_explicit(&r->failed, memory_order_relaxed))
		return;
	if (r->file && make_room(r, tape_step_max(ev, cmds))) {
		struct rec_block *b = r->block;

		from = b->bytes + TAPE_FRAME_HEAD + b->n;
		to =
		    tape_step_put(from, ev, r->last_us, now_us, cmds, &r->hash);
		b->n += (uint32_t)(to - from);
		b->frame.hash = r->hash;
		if (r->block_since_us == 0)
			r->block_since_us = now_us;
	}
	r->step++;
	r->last_us = now_us;
	file_next(r, e);
}

/* ---- its life -------------------------------------------------------------------- */

int
recorder_open(struct recorder *r, const struct recorder_conf *c)
{
	int err;

	r->conf = *c;
	r->run = (uint64_t)clock_wall_us();
	r->part = mem_get(TAPE_FRAME_HEAD + TAPE_PART);
	r->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (r->wake_fd < 0)
		return E_IO;
	err = rec_disk_open(r);
	return err;
}

void
recorder_start(struct recorder *r, struct core *core, int64_t now_us)
{
	r->core = core;
	r->watch = (struct core_watch){ on_step, r };
	r->last_us = now_us;
	core_watch(core, &r->watch);
	file_next(r, core_engine(core));
}

void
recorder_turn(struct recorder *r, const struct core *core, int64_t now_us)
{
	if (atomic_load_explicit(&r->failed, memory_order_relaxed))
		return;
	if (r->block && r->block->n > 0 &&
	    now_us - r->block_since_us >= RECORDER_AGE_US)
		block_send(r, false);
	file_next(r, core_engine(core));
}

int64_t
recorder_deadline(const struct recorder *r)
{
	return r->block && r->block->n > 0 ?
	    r->block_since_us + RECORDER_AGE_US :
	    TIME_NEVER;
}

void
recorder_close(struct recorder *r)
{
	struct post *p;

	/* Look-ups that are under way still end, with the core's worker. */
	if (r->core)
		core_watch(r->core, NULL);
	if (r->file)
		file_end(r, false);
	rec_disk_close(r);
	mailbox_take(&r->back, &r->free);
	while ((p = posts_shift(&r->free)))
		block_free(r, container_of(p, struct rec_block, post));
	close(r->wake_fd);
	mem_free(r->part);
}

/*
 * daemon/clerk.c - the thread that writes the event log and serves the control
 * socket. Nothing waits for it: book bytes on their way have a ceiling (what
 * is beyond it is dropped and counted), and a log that cannot be written, a
 * full disk say, loses lines, not mail.
 *
 * The log is DIR/events.jsonl, appended to, rotated by size to
 * events-TIME.jsonl; the oldest beyond log_keep are removed.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/returned.h"

#define TICK_US (100 * US_PER_MS)
#define COMPLAIN_US (60 * US_PER_S)
/* Free memory within the heap is given back so often at most, when it is so
 * much; others wait for the heap meanwhile, a thousandth of all time at most. */
#define TRIM_US (2 * US_PER_S)
#define TRIM_BYTES (2u << 20)
#define TRIM_PART 1000

static bool
has_work(void *ctx)
{
	struct clerk *c = ctx;

	return !mailbox_is_empty(&c->box);
}

static void
complain_of(struct clerk *c, const char *what, const char *effect)
{
	char text[128];
	int err = errno;
	int64_t now = clock_mono_us();

	if (c->complained_us && now - c->complained_us < COMPLAIN_US)
		return;
	c->complained_us = now;
	log_event(LOG_ERROR, "books", "what", what, "dir", c->conf->log.p,
	    "error", strerror_r(err, text, sizeof(text)), "effect", effect,
	    NULL);
}

static void
complain(struct clerk *c, const char *what)
{
	complain_of(c, what, "event lines are lost, mail goes on");
}

/* Does the file end within a line? A full disk or a crash cut it short. */
static bool
is_torn(int fd, uint64_t n)
{
	char last = '\n';

	return n > 0 && pread(fd, &last, 1, (off_t)(n - 1)) == 1 &&
	    last != '\n';
}

static bool
log_open(struct clerk *c)
{
	char path[4096];
	struct stat st;

	if (c->log_fd >= 0)
		return true;
	snprintf(path, sizeof(path), "%s/" LOG_NAME, c->conf->log.p);
	c->log_fd = open(path,
	    O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640);
	if (c->log_fd < 0) {
		complain(c, "cannot open the event log");
		return false;
	}
	c->log_bytes = fstat(c->log_fd, &st) ? 0 : (uint64_t)st.st_size;
	c->is_torn = is_torn(c->log_fd, c->log_bytes);
	return true;
}

/* Removes the oldest rotated files beyond log_keep. */
static void
prune(struct clerk *c)
{
	struct dirent **v;
	char path[4096];
	int n = clerk_rotated(c->conf->log.p, &v);

	for (int i = 0; i < n; i++) {
		if (n - i > (int)c->conf->log_keep) {
			snprintf(path, sizeof(path), "%s/%s", c->conf->log.p,
			    v[i]->d_name);
			unlink(path);
		}
		free(v[i]);
	}
	if (n >= 0)
		free(v);
}

static void
rotate(struct clerk *c)
{
	char from[4096], to[4096], when[32];
	size_t n = date_iso(when, clock_wall_us());

	for (size_t i = 0; i < n; i++) /* a name without ':' */
		if (when[i] == ':')
			when[i] = '-';
	snprintf(from, sizeof(from), "%s/" LOG_NAME, c->conf->log.p);
	snprintf(to, sizeof(to), "%s/events-%s.jsonl", c->conf->log.p, when);
	if (rename(from, to)) {
		complain(c, "cannot rotate the event log");
		return;
	}
	close(c->log_fd);
	c->log_fd = -1;
	prune(c);
}

/* Ends a line that was cut short, so that it spoils no other. */
static bool
mend(struct clerk *c)
{
	if (!c->is_torn)
		return true;
	if (write(c->log_fd, "\n", 1) != 1) {
		complain(c, "cannot write the event log");
		return false;
	}
	c->log_bytes++;
	c->is_torn = false;
	return true;
}

/* Writes as far as the disk lets us; returns what is left. */
static struct slice
write_some(struct clerk *c, struct slice left)
{
	ssize_t n;

	if (!log_open(c) || !mend(c))
		return left;
	while (left.n) {
		n = write(c->log_fd, left.p, left.n);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			complain(c, "cannot write the event log");
			break;
		}
		c->log_bytes += (uint64_t)n;
		left = slice_skip(left, (size_t)n);
	}
	return left;
}

/* Takes the beginning of a line back out of the file; where that cannot be
 * done the next write ends it. */
static void
cut_line(struct clerk *c, uint64_t torn)
{
	if (torn == 0)
		return;
	c->is_torn = ftruncate(c->log_fd, (off_t)(c->log_bytes - torn)) != 0;
	if (!c->is_torn)
		c->log_bytes -= torn;
}

/* False: not all of it. */
static bool
write_lines(struct clerk *c, struct buf *b)
{
	struct slice all = buf_slice(b), left = write_some(c, all);
	const char *end;
	size_t done = all.n - left.n;

	if (left.n) {
		end = done ? memrchr(all.p, '\n', done) : NULL;
		done -= end ? (size_t)(end + 1 - all.p) : 0;
		cut_line(c, done);
		atomic_fetch_add(&c->lost_bytes, left.n + done);
	}
	if (c->log_fd >= 0 && c->log_bytes >= c->conf->log_rotate_bytes)
		rotate(c);
	return left.n == 0;
}

void
clerk_find(struct clerk *c, struct buf *finds)
{
	int64_t now = clock_mono_us();

	if (c->finder == NULL || finds->n == 0)
		return;
	pthread_mutex_lock(&c->find_lock);
	if (finder_add(c->finder, buf_slice(finds)))
		complain_of(c, "cannot write the index",
		    "addresses are not found, mail goes on");
	buf_reset(finds);
	if (now >= c->prune_us) {
		c->prune_us = now + 60 * US_PER_S;
		finder_prune(c->finder, c->conf->find_size,
		    (clock_wall_us() - c->conf->find_keep_us) / US_PER_S);
	}
	pthread_mutex_unlock(&c->find_lock);
}

static void
take_book(struct clerk *c, struct post_book *b)
{
	atomic_fetch_sub(&c->queued_bytes, b->lines.n + b->finds.n);
	(void)write_lines(c, &b->lines);
	atomic_store(&b->from->books_written, b->number);
	clerk_find(c, &b->finds);
	buf_free(&b->lines);
	buf_free(&b->finds);
	mem_free(b);
}

static void
take_posts(struct clerk *c)
{
	struct posts in = { NULL, NULL };
	struct post *p;

	mailbox_take(&c->box, &in);
	while ((p = posts_shift(&in))) {
		if (p->kind == POST_BOOK)
			take_book(c, container_of(p, struct post_book, post));
		else if (p->kind == POST_BACK_TELL)
			returned_write(c,
			    container_of(p, struct returned, post));
		else
			counter_answer(c->d, container_of(p, struct ask, post));
	}
}

/* A burst leaves holes between what stays. They are of use to the next one, and
 * to no other program: past a few percent of the heap they go back. */
static void
trim(struct clerk *c)
{
	int64_t began = clock_mono_us();
	struct mallinfo2 m;

	if (began < c->trim_us)
		return;
	m = mallinfo2();
	if (m.fordblks > TRIM_BYTES && m.fordblks > m.uordblks / 32)
		malloc_trim(0);
	c->trim_us =
	    began + MAX(TRIM_US, TRIM_PART * (clock_mono_us() - began));
}

static void *
run(void *arg)
{
	struct clerk *c = arg;

	while (!atomic_load(&c->is_stopping)) {
		c->conf = c->d->conf;
		if (atomic_exchange(&c->must_reopen, false) && c->log_fd >= 0) {
			close(c->log_fd);
			c->log_fd = -1;
		}
		loop_turn(c->loop, clock_mono_us() + TICK_US * 10);
		take_posts(c);
		trim(c);
	}
	take_posts(c);
	return NULL;
}

void
clerk_post(struct clerk *c, struct post *p)
{
	mailbox_push_one(&c->box, p);
	loop_wake(c->loop);
}

int
clerk_open(struct clerk *c, struct daemon *d)
{
	char why[512];

	c->d = d;
	c->conf = d->conf;
	c->log_fd = -1;
	pthread_mutex_init(&c->find_lock, NULL);
	c->loop = loop_new();
	if (!c->loop)
		return E_NOMEM;
	loop_set_idle_check(c->loop, has_work, c);
	c->control = control_new(loop_base(c->loop), c->conf->control.p,
	    counter_handle, d, why, sizeof(why));
	if (!c->control) {
		log_event(LOG_ERROR, "control", "what", why, NULL);
		return E_IO;
	}
	return 0;
}

int
clerk_begin(struct clerk *c, struct book_tail *t)
{
	char path[4096];

	clerk_tail(c->conf->log.p, t);
	if (c->conf->find_size) {
		snprintf(path, sizeof(path), "%s/index", c->conf->log.p);
		c->finder = finder_open(path);
		if (c->finder == NULL)
			complain_of(c, "cannot open the index",
			    "addresses are not found, mail goes on");
	}
	return log_open(c) ? 0 : E_IO;
}

bool
clerk_write(struct clerk *c, struct buf *lines)
{
	bool ok = lines->n == 0 || write_lines(c, lines);

	buf_reset(lines);
	return ok;
}

int
clerk_start(struct clerk *c)
{
	return pthread_create(&c->thread, NULL, run, c) ? E_NOMEM : 0;
}

void
clerk_stop(struct clerk *c)
{
	atomic_store(&c->is_stopping, true);
	loop_wake(c->loop);
	pthread_join(c->thread, NULL);
	control_free(c->control);
	loop_free(c->loop);
	if (c->finder)
		finder_close(c->finder);
	if (c->log_fd >= 0)
		close(c->log_fd);
}

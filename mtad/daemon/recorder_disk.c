/*
 * daemon/recorder_disk.c - the thread that writes a recording, and the ring of
 * its files.
 *
 * DIR/engine-NUMBER.rec, numbers go on over restarts; the lowest go first. The
 * next file is made ahead, as DIR/next.rec, so that the core need not wait for
 * a directory; it gets its number when it begins. Files are not synced: a kill
 * loses what was in the core's block, a crash of the machine what the kernel
 * had not written, and checksums say so.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/daemon_i.h"
#include "daemon/recorder.h"

#define SPARE "next.rec"
#define NAME_MAX_CHARS 40
#define CHILD_POLL_MS 20

void
rec_fail(struct recorder *r, const char *what, int err_no)
{
	char text[128] = "";

	if (atomic_exchange(&r->failed, true))
		return;
	if (err_no != 0) {
		const char *said = strerror_r(err_no, text, sizeof(text));

		log_event(LOG_ERROR, "record", "what", what, "dir", r->conf.dir,
		    "error", said, "effect",
		    "nothing more is recorded, mail goes on", NULL);
		return;
	}
	log_event(LOG_ERROR, "record", "what", what, "dir", r->conf.dir,
	    "effect", "nothing more is recorded, mail goes on", NULL);
}

void
rec_disk_wake(struct recorder *r)
{
	uint64_t one = 1;
	ssize_t n = write(r->wake_fd, &one, sizeof(one));

	(void)n; /* a full counter wakes as well */
}

/* ---- the ring -------------------------------------------------------------------- */

static size_t
name_of(uint64_t number, char name[NAME_MAX_CHARS])
{
	return (size_t)snprintf(name, NAME_MAX_CHARS, "engine-%010llu.rec",
	    (unsigned long long)number);
}

/* The number in a file's name, or 0. */
static uint64_t
number_of(const char *name)
{
	struct slice s = slice_str(name);
	uint64_t n = 0;

	if (!slice_has_prefix(s, SL("engine-")) ||
	    !slice_has_isuffix(s, SL(".rec")))
		return 0;
	s = slice_of(s.p + 7, s.n - 7 - 4);
	return slice_u64(s, UINT64_MAX / 2, &n) == 0 ? n : 0;
}

struct ring {
	uint64_t files, bytes;
	uint64_t lowest, highest; /* numbers; 0: none */
	uint64_t lowest_bytes;
};

/* What is there, but for the file `except`. */
static bool
ring_look(struct recorder *r, uint64_t except, struct ring *out)
{
	int fd = dup(r->dir_fd);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *e;
	struct stat st;

	*out = (struct ring){ 0 };
	if (!d) {
		if (fd >= 0)
			close(fd);
		return false;
	}
	rewinddir(d);
	while ((e = readdir(d))) {
		uint64_t n = number_of(e->d_name), bytes;

		if (n == 0 || n == except ||
		    fstatat(r->dir_fd, e->d_name, &st, AT_SYMLINK_NOFOLLOW))
			continue;
		bytes = (uint64_t)st.st_blocks * 512;
		out->files++;
		out->bytes += bytes;
		out->highest = MAX(out->highest, n);
		if (out->lowest == 0 || n < out->lowest) {
			out->lowest = n;
			out->lowest_bytes = bytes;
		}
	}
	closedir(d);
	return true;
}

/* Makes room for a file that begins. Ends: each round removes one. */
static void
ring_prune(struct recorder *r, const struct rec_file *f)
{
	char name[NAME_MAX_CHARS];
	struct ring ring;

	while (ring_look(r, f->number, &ring) && ring.files > 0 &&
	    (ring.files >= r->conf.files ||
		ring.bytes + 2 * f->budget > r->conf.size_bytes)) {
		name_of(ring.lowest, name);
		if (unlinkat(r->dir_fd, name, 0)) {
			rec_fail(r, "cannot remove an old file", errno);
			return;
		}
	}
}

/* ---- files ----------------------------------------------------------------------- */

static void
spare_make(struct recorder *r)
{
	struct rec_file *f;

	if (atomic_load(&r->spare) || atomic_load(&r->failed))
		return;
	f = mem_get(sizeof(*f));
	f->fd = openat(r->dir_fd, SPARE,
	    O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0640);
	if (f->fd < 0) {
		rec_fail(r, "cannot make a file", errno);
		mem_free(f);
		return;
	}
	f->number = r->next_number++;
	atomic_store(&r->spare, f);
}

static void
spare_drop(struct recorder *r)
{
	struct rec_file *f = atomic_exchange(&r->spare, NULL);

	if (!f)
		return;
	unlinkat(r->dir_fd, SPARE, 0);
	close(f->fd);
	mem_free(f);
}

static void
file_begun(struct recorder *r, struct rec_file *f)
{
	char name[NAME_MAX_CHARS];

	r->open = f;
	ring_prune(r, f);
	name_of(f->number, name);
	if (renameat(r->dir_fd, SPARE, r->dir_fd, name))
		rec_fail(r, "cannot name a file", errno);
	atomic_store(&r->spare, NULL); /* before another can begin */
}

static void
file_close_if_over(struct recorder *r, struct rec_file *f)
{
	if (!f->is_ended || f->child != 0)
		return;
	if (r->open == f)
		r->open = NULL;
	close(f->fd);
	mem_free(f);
}

static void
file_ended(struct recorder *r, struct rec_file *f)
{
	if (f->is_gap && !atomic_load(&r->failed))
		log_event(LOG_WARN, "record", "what",
		    "a file ends early, steps are left out", "dir", r->conf.dir,
		    NULL);
	f->is_ended = true;
	file_close_if_over(r, f);
}

/* Without its checkpoint a file is worth nothing. */
static void
child_reap(struct recorder *r, bool waits)
{
	struct rec_file *f = r->open;
	char name[NAME_MAX_CHARS];
	int status;
	pid_t pid;

	if (!f || f->child == 0)
		return;
	do
		pid = waitpid(f->child, &status, waits ? 0 : WNOHANG);
	while (pid < 0 && errno == EINTR);
	if (pid == 0)
		return;
	f->child = 0;
	atomic_store(&r->is_busy, false);
	if (pid < 0 || !WIFEXITED(status) || WEXITSTATUS(status) != 0) {
		name_of(f->number, name);
		unlinkat(r->dir_fd, name, 0);
		rec_fail(r, "a checkpoint could not be written", 0);
	}
	file_close_if_over(r, f);
}

static void
block_write(struct recorder *r, struct rec_block *b)
{
	size_t n = TAPE_FRAME_HEAD + b->n, done = 0;
	ssize_t k;

	tape_seal(b->bytes, &b->frame, b->n);
	while (done < n && !atomic_load(&r->failed)) {
		k = pwrite(b->file->fd, b->bytes + done, n - done,
		    (off_t)(b->file->at + done));
		if (k < 0 && errno == EINTR)
			continue;
		if (k <= 0)
			rec_fail(r, "cannot write", k < 0 ? errno : ENOSPC);
		else
			done += (size_t)k;
	}
	b->file->at += n;
	mailbox_push_one(&r->back, &b->post);
}

/* ---- the thread ------------------------------------------------------------------- */

static void
handle(struct recorder *r, struct post *p)
{
	switch (p->kind) {
	case REC_BEGIN:
		file_begun(r, container_of(p, struct rec_file, begin));
		return;
	case REC_BLOCK:
		block_write(r, container_of(p, struct rec_block, post));
		return;
	case REC_END:
		file_ended(r, container_of(p, struct rec_file, end));
		return;
	default:
		ASSERT(!"a post for the recorder");
	}
}

static void
turn(struct recorder *r)
{
	struct posts l = { NULL, NULL };
	struct post *p;

	mailbox_take(&r->box, &l);
	while ((p = posts_shift(&l)))
		handle(r, p);
	child_reap(r, false);
	spare_make(r);
}

static void *
run(void *arg)
{
	struct recorder *r = arg;
	struct pollfd pfd = { .fd = r->wake_fd, .events = POLLIN };
	uint64_t n;

	while (!atomic_load(&r->is_stopping)) {
		turn(r);
		if (!mailbox_is_empty(&r->box))
			continue;
		poll(&pfd, 1, atomic_load(&r->is_busy) ? CHILD_POLL_MS : -1);
		if (read(r->wake_fd, &n, sizeof(n)) < 0 && errno != EAGAIN)
			break;
	}
	return NULL;
}

int
rec_disk_open(struct recorder *r)
{
	struct ring ring;

	if (mkdir(r->conf.dir, 0750) && errno != EEXIST) {
		rec_fail(r, "cannot make the directory", errno);
		return E_IO;
	}
	r->dir_fd = open(r->conf.dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (r->dir_fd < 0 || !ring_look(r, 0, &ring)) {
		rec_fail(r, "cannot open the directory", errno);
		return E_IO;
	}
	r->next_number = ring.highest + 1;
	spare_make(r);
	if (atomic_load(&r->failed))
		return E_IO;
	if (pthread_create(&r->thread, NULL, run, r))
		return E_NOMEM;
	r->has_thread = true;
	return 0;
}

void
rec_disk_close(struct recorder *r)
{
	if (r->has_thread) {
		atomic_store(&r->is_stopping, true);
		rec_disk_wake(r);
		pthread_join(r->thread, NULL);
		turn(r);
		child_reap(r, true);
	}
	spare_drop(r);
	close(r->dir_fd);
}

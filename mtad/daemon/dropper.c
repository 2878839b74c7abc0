/*
 * daemon/dropper.c - writes a drop file: under a name that the daemon leaves
 * alone, synced, then renamed and the directory synced. What is left of one that
 * was killed in between the daemon removes after a day.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/daemon_i.h"
#include "daemon/sendmail_i.h"

#define NAME_TRIES 10

static int
fail(struct dropper *d, const char *what)
{
	int err = errno;
	char text[128];

	snprintf(d->why, sizeof(d->why), "drop directory: %s: %s", what,
	    strerror_r(err, text, sizeof(text)));
	switch (err) {
	case EACCES:
	case EPERM:
		return EX_NOPERM;
	case ENOENT:
	case ENOTDIR:
		return EX_CONFIG;
	case EIO:
		return EX_IOERR;
	default:
		return EX_TEMPFAIL;
	}
}

int
dropper_enter(struct dropper *d, const char *dir)
{
	memset(d, 0, sizeof(*d));
	d->fd = -1;
	/* Most may write to it and not read it. */
	d->dir = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return d->dir >= 0 ? EX_OK : fail(d, dir);
}

void
dropper_leave(struct dropper *d)
{
	dropper_abort(d);
	if (d->dir >= 0)
		close(d->dir);
	d->dir = -1;
}

static int
write_all(struct dropper *d, struct slice s)
{
	while (s.n > 0) {
		ssize_t n = write(d->fd, s.p, s.n);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return fail(d, "write");
		s = slice_skip(s, (size_t)n);
	}
	return EX_OK;
}

static int
make(struct dropper *d)
{
	uint32_t r;

	for (int i = 0; i < NAME_TRIES; i++) {
		if (getrandom(&r, sizeof(r), 0) != sizeof(r))
			return fail(d, "no randomness");
		snprintf(d->name, sizeof(d->name), "new-%014llx-%07x-%08x",
		    (unsigned long long)clock_wall_us(), (unsigned)getpid(), r);
		snprintf(d->tmp, sizeof(d->tmp), "tmp-%s", d->name + 4);
		d->fd = openat(d->dir, d->tmp,
		    O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0640);
		if (d->fd >= 0 || errno != EEXIST)
			break;
	}
	if (d->fd < 0)
		return fail(d, "cannot make a file");
	/* The daemon reads it as the directory's group, whatever the umask. */
	return fchmod(d->fd, 0640) == 0 ? EX_OK : fail(d, "chmod");
}

int
dropper_begin(struct dropper *d, const struct drop_head *h)
{
	struct buf head;
	int status;

	buf_init(&head, DROP_HEAD_MAX);
	if (drop_head_write(&head, h)) {
		buf_free(&head);
		snprintf(d->why, sizeof(d->why), "no memory");
		return EX_OSERR;
	}
	status = make(d);
	if (status == EX_OK)
		status = write_all(d, buf_slice(&head));
	d->crc = crc32c(0, buf_slice(&head).p, head.n);
	d->body_bytes = 0;
	buf_free(&head);
	return status;
}

int
dropper_add(struct dropper *d, struct slice body)
{
	d->crc = crc32c(d->crc, body.p, body.n);
	d->body_bytes += body.n;
	return write_all(d, body);
}

/* Who may not read the directory cannot sync it either: all of its file system
 * then. */
static int
sync_name(struct dropper *d)
{
	int fd = openat(d->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), r;

	if (fd < 0)
		return syncfs(d->fd);
	r = fsync(fd);
	close(fd);
	return r;
}

int
dropper_commit(struct dropper *d)
{
	struct buf tail;
	int status;

	buf_init(&tail, DROP_TAIL_BYTES);
	if (drop_tail_write(&tail, d->body_bytes, d->crc)) {
		snprintf(d->why, sizeof(d->why), "no memory");
		return EX_OSERR;
	}
	status = write_all(d, buf_slice(&tail));
	buf_free(&tail);
	if (status != EX_OK)
		return status;
	if (fsync(d->fd))
		return fail(d, "sync");
	if (renameat(d->dir, d->tmp, d->dir, d->name))
		return fail(d, "rename");
	d->tmp[0] = '\0'; /* it is the daemon's */
	if (sync_name(d))
		return fail(d, "sync of the directory");
	close(d->fd);
	d->fd = -1;
	return EX_OK;
}

void
dropper_abort(struct dropper *d)
{
	if (d->fd < 0)
		return;
	close(d->fd);
	d->fd = -1;
	if (d->tmp[0])
		unlinkat(d->dir, d->tmp, 0);
}

/* Only the directory's owner, or root, is believed. */
static bool
is_theirs(int dir, int fd)
{
	struct stat of_dir, st;

	return fstat(dir, &of_dir) == 0 && fstat(fd, &st) == 0 &&
	    S_ISREG(st.st_mode) &&
	    (st.st_uid == of_dir.st_uid || st.st_uid == 0);
}

void
drop_about_read(int dir, struct drop_about *about)
{
	char text[1024];
	uint64_t n64;
	struct slice rest, line, key;
	ssize_t n = 0;
	int fd = openat(dir, DROP_ABOUT,
	    O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

	memset(about, 0, sizeof(*about));
	about->size_max = SENDMAIL_SIZE_MAX;
	about->rcpts_max = SENDMAIL_RCPTS_MAX;
	if (fd >= 0 && is_theirs(dir, fd))
		n = read(fd, text, sizeof(text));
	if (fd >= 0)
		close(fd);
	rest = slice_of(text, n > 0 ? (size_t)n : 0);
	while (rest.n > 0) {
		line = slice_cut(&rest, '\n');
		key = slice_cut(&line, ' ');
		if (slice_eq(key, SL("hostname")))
			slice_copy(line, about->hostname,
			    sizeof(about->hostname));
		else if (slice_eq(key, SL("message_size_max")) &&
		    slice_u64(line, UINT64_MAX, &n64) == 0)
			about->size_max = n64;
		else if (slice_eq(key, SL("recipients_max")) &&
		    slice_u64(line, RCPTS_MAX, &n64) == 0)
			about->rcpts_max = n64;
	}
}

/*
 * spool/disk_posix.c - the real disk: a directory of numbered files. Every
 * request completes inside submit. Reads may come from any thread: the table
 * of descriptors is published with atomics and entries are closed only with
 * the disk.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "spool/disk.h"

#define FILES_MAX 65536u

struct posix {
	struct disk disk;
	int dir;
	bool read_only;
	struct list done;
	_Atomic int fd[FILES_MAX]; /* descriptor + 1 */
};

static void
name_of(char dst[32], uint32_t file)
{
	snprintf(dst, 32, "%08u.seg", file);
}

static int
fd_of(struct posix *p, uint32_t file, bool create)
{
	char name[32];
	int fd, none = 0;

	if (file >= FILES_MAX)
		return -1;
	fd = atomic_load_explicit(&p->fd[file], memory_order_acquire);
	if (fd && !create)
		return fd - 1;
	name_of(name, file);
	fd = openat(p->dir, name,
	    (p->read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NOFOLLOW |
		(create ? O_CREAT | O_TRUNC : 0),
	    0600);
	if (fd < 0)
		return -1;
	if (!atomic_compare_exchange_strong(&p->fd[file], &none, fd + 1)) {
		close(fd); /* another thread was first */
		return none - 1;
	}
	return fd;
}

static int
write_all(int fd, uint64_t off, const struct slice *v, uint32_t n)
{
	struct iovec iov[DISK_IOV_MAX];
	struct iovec *at = iov;
	ssize_t done;

	ASSERT(n <= DISK_IOV_MAX);
	for (uint32_t i = 0; i < n; i++)
		iov[i] = (struct iovec){ (void *)(uintptr_t)v[i].p, v[i].n };
	while (n) {
		done = pwritev(fd, at, (int)n, (off_t)off);
		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0)
			return err_from_errno(errno);
		off += (uint64_t)done;
		while (n && (size_t)done >= at->iov_len) {
			done -= (ssize_t)at->iov_len;
			at++;
			n--;
		}
		if (n) {
			at->iov_base = (char *)at->iov_base + done;
			at->iov_len -= (size_t)done;
		}
	}
	return 0;
}

static int
save_in(int dir, const struct disk_req *r)
{
	int err,
	    fd = openat(dir, r->name,
		O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd < 0)
		return err_from_errno(errno);
	err = write_all(fd, 0, r->iov, r->niov);
	if (!err && (fsync(fd) || fsync(dir)))
		err = err_from_errno(errno);
	close(fd);
	return err;
}

/* The original may be overwritten after this, so the copy must stay, with the
 * names that lead to it. */
static int
save(struct posix *p, const struct disk_req *r)
{
	int dir, err;

	if (mkdirat(p->dir, "quarantine", 0700) == 0) {
		if (fsync(p->dir))
			return err_from_errno(errno);
	} else if (errno != EEXIST)
		return err_from_errno(errno);
	dir = openat(p->dir, "quarantine",
	    O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (dir < 0)
		return err_from_errno(errno);
	err = save_in(dir, r);
	close(dir);
	return err;
}

static int
create(struct posix *p, const struct disk_req *r)
{
	return fd_of(p, r->file, true) < 0 ? err_from_errno(errno) : 0;
}

static int
remove_file(struct posix *p, const struct disk_req *r)
{
	char name[32];
	int fd = atomic_exchange(&p->fd[r->file], 0);

	if (fd)
		close(fd - 1);
	name_of(name, r->file);
	return unlinkat(p->dir, name, 0) && errno != ENOENT ?
	    err_from_errno(errno) :
	    0;
}

static int
carry_out(struct posix *p, const struct disk_req *r)
{
	int fd = -1;

	if (p->read_only)
		return E_DENIED;
	if (r->op == DISK_WRITE || r->op == DISK_SYNC) {
		fd = fd_of(p, r->file, false);
		if (fd < 0)
			return err_from_errno(errno);
	}
	switch (r->op) {
	case DISK_WRITE:
		return write_all(fd, r->off, r->iov, r->niov);
	case DISK_SYNC:
		return fdatasync(fd) ? err_from_errno(errno) : 0;
	case DISK_CREATE:
		return create(p, r);
	case DISK_REMOVE:
		return remove_file(p, r);
	case DISK_SYNC_DIR:
		return fsync(p->dir) ? err_from_errno(errno) : 0;
	case DISK_SAVE:
		return save(p, r);
	}
	return E_UNSUPPORTED;
}

static void
posix_submit(struct disk *d, struct disk_req *r)
{
	struct posix *p = container_of(d, struct posix, disk);

	r->err = carry_out(p, r);
	r->done = true;
}

static struct disk_req *
posix_take(struct disk *d)
{
	(void)d;
	return NULL; /* nothing is ever pending */
}

static int64_t
posix_read(struct disk *d, uint32_t file, uint64_t off, void *dst, size_t n)
{
	struct posix *p = container_of(d, struct posix, disk);
	int fd = fd_of(p, file, false);
	size_t got = 0;
	ssize_t k;

	if (fd < 0)
		return E_IO;
	while (got < n) {
		k = pread(fd, (char *)dst + got, n - got, (off_t)(off + got));
		if (k < 0 && errno == EINTR)
			continue;
		if (k < 0)
			return err_from_errno(errno);
		if (k == 0)
			break;
		got += (size_t)k;
	}
	return (int64_t)got;
}

static uint32_t
posix_next_file(struct disk *d, uint32_t after, uint64_t *bytes)
{
	struct posix *p = container_of(d, struct posix, disk);
	struct stat st;
	char name[32];

	for (uint32_t f = after + 1; f < FILES_MAX; f++) {
		name_of(name, f);
		if (fstatat(p->dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0) {
			*bytes = (uint64_t)st.st_size;
			return f;
		}
		if (f > after + 64)
			return 0; /* files are numbered without gaps */
	}
	return 0;
}

static uint64_t
posix_free_bytes(struct disk *d)
{
	struct posix *p = container_of(d, struct posix, disk);
	struct statvfs v;

	return fstatvfs(p->dir, &v) ? 0 : (uint64_t)v.f_bavail * v.f_frsize;
}

/* The directory itself is locked: a lock file could be removed by somebody who
 * takes it for a stale one, and then two would write the same log. */
static int
posix_lock(struct disk *d)
{
	struct posix *p = container_of(d, struct posix, disk);

	if (flock(p->dir, LOCK_EX | LOCK_NB) == 0)
		return 0;
	return errno == EWOULDBLOCK ? E_BUSY : err_from_errno(errno);
}

static int64_t
posix_now_us(struct disk *d)
{
	struct timespec t;

	(void)d;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * US_PER_S + t.tv_nsec / 1000;
}

static void
posix_close(struct disk *d)
{
	struct posix *p = container_of(d, struct posix, disk);

	for (uint32_t i = 0; i < FILES_MAX; i++)
		if (p->fd[i])
			close(p->fd[i] - 1);
	close(p->dir);
	mem_free(p);
}

static const struct disk_ops posix_ops = {
	.submit = posix_submit,
	.take = posix_take,
	.read = posix_read,
	.next_file = posix_next_file,
	.free_bytes = posix_free_bytes,
	.lock = posix_lock,
	.now_us = posix_now_us,
	.close = posix_close,
};

/* Makes the directory where it is not yet, and its name durable: mail that was
 * acknowledged in it must be found after a loss of power. 0 or errno. */
static int
make_dir(const char *dir)
{
	char parent[4096];
	size_t n = strlen(dir);
	int fd, err;

	if (mkdir(dir, 0700))
		return errno == EEXIST ? 0 : errno;
	if (n + 4 > sizeof(parent))
		return ENAMETOOLONG;
	snprintf(parent, sizeof(parent), "%s/..", dir);
	fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return errno;
	err = fsync(fd) ? errno : 0;
	close(fd);
	return err;
}

int
disk_posix_open(struct disk **out, const char *dir, bool read_only, char *why,
    size_t why_cap)
{
	struct posix *p;
	int fd, err = read_only ? 0 : make_dir(dir);

	*out = NULL;
	if (err) {
		snprintf(why, why_cap, "cannot make directory %s (errno %d)",
		    dir, err);
		return err_from_errno(err);
	}
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0) {
		err = errno;
		snprintf(why, why_cap, "cannot open directory %s (errno %d)",
		    dir, err);
		return err_from_errno(err);
	}
	p = mem_try(sizeof(*p));
	if (!p) {
		close(fd);
		snprintf(why, why_cap, "out of memory");
		return E_NOMEM;
	}
	p->disk.ops = &posix_ops;
	p->dir = fd;
	p->read_only = read_only;
	*out = &p->disk;
	return 0;
}

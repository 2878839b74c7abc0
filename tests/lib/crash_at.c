/*
 * tests/lib/crash_at.c - preloaded into mtad: kills it at a chosen moment of a
 * group commit, and keeps what is needed to take back what was not synced.
 *
 * CRASH_AT=PHASE:N kills at the N-th group: "write" before it is written, "half"
 * when half of it is, "sync" when all is and the sync has not begun, "done"
 * after the sync and before anybody hears of it. Without it nothing is killed.
 *
 * CRASH_UNDO=FILE gets, before every write to a segment, what stood there, and
 * a mark for every sync: records of four uint64 (file number or 0 - number for
 * a mark, offset, length, 0), then the old bytes. tests/lib/power.py reads it.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

static ssize_t (*real_pwritev)(int, const struct iovec *, int, off_t);
static int (*real_fdatasync)(int);
static int undo = -1;
static char phase[8];
static long left = -1;

__attribute__((constructor)) static void
set_up(void)
{
	const char *at = getenv("CRASH_AT"), *file = getenv("CRASH_UNDO");

	real_pwritev = (ssize_t(*)(int, const struct iovec *, int,
	    off_t))dlsym(RTLD_NEXT, "pwritev");
	real_fdatasync = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
	if (at)
		sscanf(at, "%7[a-z]:%ld", phase, &left);
	if (file)
		undo =
		    open(file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

/* Number of the segment file behind fd, 0 if it is none. */
static uint64_t
segment(int fd)
{
	char link[64], path[4096];
	unsigned long n = 0;
	ssize_t k;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	k = readlink(link, path, sizeof(path) - 1);
	if (k < 12 || memcmp(path + k - 4, ".seg", 4) != 0)
		return 0;
	path[k] = 0;
	return sscanf(path + k - 12, "%8lu.seg", &n) == 1 ? n : 0;
}

static int
is_now(const char *what)
{
	return strcmp(phase, what) == 0 && left >= 0 && left-- == 0;
}

static void
die(void)
{
	kill(getpid(), SIGKILL);
	pause();
}

static void
note(uint64_t file, uint64_t off, uint64_t n, const void *old)
{
	uint64_t head[4] = { file, off, n, 0 };
	struct iovec v[2] = { { head, sizeof(head) },
		{ (void *)(uintptr_t)old, old ? n : 0 } };

	if (undo >= 0 && writev(undo, v, 2) < 0)
		abort();
}

static void
keep_old(int fd, uint64_t file, off_t off, size_t n)
{
	char *old = calloc(1, n ? n : 1);

	if (!old || pread(fd, old, n, off) < 0)
		abort();
	note(file, (uint64_t)off, n, old);
	free(old);
}

ssize_t
pwritev(int fd, const struct iovec *v, int count, off_t off)
{
	uint64_t file = segment(fd);
	size_t n = 0;

	if (!file)
		return real_pwritev(fd, v, count, off);
	for (int i = 0; i < count; i++)
		n += v[i].iov_len;
	if (undo >= 0)
		keep_old(fd, file, off, n);
	if (off % 4096 == 0 && off > 0 && is_now("write"))
		die();
	if (off % 4096 == 0 && off > 0 && is_now("half")) {
		struct iovec half = v[count / 2];

		half.iov_len /= 2;
		if (real_pwritev(fd, v, count / 2, off) >= 0 && count == 1 &&
		    real_pwritev(fd, &half, 1, off) < 0)
			abort();
		die();
	}
	return real_pwritev(fd, v, count, off);
}

int
fdatasync(int fd)
{
	uint64_t file = segment(fd);
	int rc;

	if (file && is_now("sync"))
		die();
	rc = real_fdatasync(fd);
	if (file && rc == 0)
		note(0 - file, 0, 0, NULL);
	if (file && is_now("done"))
		die();
	return rc;
}

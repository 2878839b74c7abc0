/*
 * daemon/clerk_tail.c - reads the end of the event log back, before a start goes
 * on writing it: as much as relay/tail.h wants to see, from the newest file and,
 * where that is young, from those that were rotated before it.
 *
 * A log that is there and has no line yet is as old as its file: whatever the
 * spool holds from then on has no line either. Where there is no log at all
 * nobody misses lines.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/daemon_i.h"

#define TAIL_MAX (64u << 20) /* bytes, of all files together */
#define STEP (256u << 10)

static int
is_rotated(const struct dirent *e)
{
	struct slice name = slice_str(e->d_name);

	return slice_has_prefix(name, SL("events-")) &&
	    slice_has_isuffix(name, SL(".jsonl"));
}

int
clerk_rotated(const char *dir, struct dirent ***v)
{
	return scandir(dir, v, is_rotated, alphasort);
}

/* The lines behind the first newline; all has none: nothing. */
static struct slice
next_line(struct slice all)
{
	const char *end = all.n ? memchr(all.p, '\n', all.n) : NULL;

	return end ? slice_skip(all, (size_t)(end + 1 - all.p)) :
		     slice_of(all.p, 0);
}

static int64_t
first_us(struct slice lines)
{
	bool at_start;

	return tail_line_us(slice_cut(&lines, '\n'), &at_start);
}

/* n bytes of a file from an offset on. Read, not mapped: a bad block, or a file
 * that is cut meanwhile, is no reason to die. */
static bool
read_at(int fd, uint64_t offset, uint64_t n, char *bytes)
{
	uint64_t have = 0;
	ssize_t got;

	while (have < n) {
		got = pread(fd, bytes + have, n - have, (off_t)(offset + have));
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return false;
		have += (uint64_t)got;
	}
	return true;
}

/* Reads a file's lines from its end on backwards, piece by piece, down to those
 * that are old enough. first: the time of the earliest that was seen, or 0.
 * False: there is none that is old enough. */
static bool
read_back(struct book_tail *t, int fd, uint64_t size, uint64_t *left,
    int64_t *first)
{
	char *bytes = mem_try(STEP);
	uint64_t pos = size, n;
	bool is_old = false;
	int64_t us;

	while (bytes && !is_old && pos > 0 && *left > 0) {
		struct slice lines;

		n = MIN(MIN(pos, *left), STEP);
		if (!read_at(fd, pos - n, n, bytes)) {
			*left = 0;
			break;
		}
		lines = slice_of(bytes, n);
		if (n < pos)
			lines = next_line(lines);
		tail_read(t, lines);
		/* What stands before the first line's begin is read again with
		 * the rest of its line, unless that line fills the piece. */
		n = lines.n ? lines.n : n;
		pos -= n;
		*left -= n;
		us = lines.n ? first_us(lines) : 0;
		*first = us ? us : *first;
		is_old = us && t->last_us && us < t->last_us - TAIL_WINDOW_US;
	}
	mem_free(bytes);
	return is_old;
}

/* True: there is more that may be young enough, in the file before it. */
static bool
read_lines(struct book_tail *t, int fd, uint64_t size, uint64_t *left)
{
	int64_t first = 0;
	bool is_old = read_back(t, fd, size, left, &first);

	if (t->last_us == 0 && first) /* only what starts wrote */
		t->since_us = first - TAIL_WINDOW_US;
	/* So much has been logged that it cannot be looked through. */
	if (!is_old && *left == 0)
		t->since_us = MAX(t->since_us, first);
	return !is_old && *left > 0;
}

/* True: go on with the one before it. */
static bool
read_file(struct book_tail *t, const char *dir, const char *name,
    uint64_t *left)
{
	char path[4096];
	struct stat st;
	bool more = true;
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return true;
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode)) {
		/* Until a line says more. */
		if (t->since_us == TIME_NEVER)
			t->since_us = st.st_mtim.tv_sec * US_PER_S;
		more = read_lines(t, fd, (uint64_t)st.st_size, left);
	}
	close(fd);
	return more;
}

void
clerk_tail(const char *dir, struct book_tail *t)
{
	uint64_t left = TAIL_MAX;
	struct dirent **v = NULL;
	int n = clerk_rotated(dir, &v);
	bool more;

	tail_init(t);
	more = read_file(t, dir, LOG_NAME, &left);
	for (int i = n; i-- > 0;) {
		if (more)
			more = read_file(t, dir, v[i]->d_name, &left);
		free(v[i]);
	}
	free(v);
}

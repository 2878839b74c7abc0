/*
 * daemon/finder_log.c - the lines of the event log that tell of a message, by the
 * times that the index has of them. Lines stand nearly in the order of their
 * times, so the place is found by halves; only a few seconds' worth of a file is
 * read.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/daemon_i.h"

#define EARLY_S 2 /* a line may stand so long before or behind its time */
#define LATE_S 3
#define TIMES_MAX 100u /* of one message */
#define BLOCK (64u << 10)
#define READ_MAX (64u << 20) /* bytes that one question may have read */

struct hunt {
	const char *dir;
	struct slice id; /* as text */
	int64_t from_us, until_us;
	char *block;
	size_t left; /* of READ_MAX */
	uint32_t n, max;
	struct buf *out;
};

/* The time of the first line that begins behind `at`, TIME_NEVER: none. */
static int64_t
time_behind(struct hunt *h, int fd, uint64_t at)
{
	ssize_t n = pread(fd, h->block, BLOCK, (off_t)at);
	struct slice s = slice_of(h->block, n > 0 ? (size_t)n : 0), line;
	bool at_start;
	int64_t us;

	if (at != 0)
		(void)slice_cut(&s, '\n');
	while (s.n > 0) {
		line = slice_cut(&s, '\n');
		us = tail_line_us(line, &at_start);
		if (us != 0 && !at_start)
			return us;
	}
	return TIME_NEVER;
}

/* An offset that nothing of interest stands before. */
static uint64_t
place_of(struct hunt *h, int fd, uint64_t size)
{
	uint64_t lo = 0, hi = size;

	while (hi - lo > BLOCK) {
		uint64_t mid = lo + (hi - lo) / 2;

		if (time_behind(h, fd, mid) < h->from_us)
			lo = mid;
		else
			hi = mid;
	}
	return lo;
}

/* False: it is past the end. */
static bool
take_line(struct hunt *h, struct slice line)
{
	bool at_start;
	int64_t us;

	if (memmem(line.p, line.n, h->id.p, h->id.n) == NULL) {
		us = tail_line_us(line, &at_start);
		return us == 0 || us <= h->until_us;
	}
	us = tail_line_us(line, &at_start);
	if (us == 0 || us < h->from_us)
		return true;
	if (us > h->until_us || h->n == h->max)
		return false;
	if (line.n < 2 || line.p[0] != '{' || line.p[line.n - 1] != '}')
		return true;
	if (h->n++ > 0)
		(void)buf_addc(h->out, ',');
	(void)buf_adds(h->out, line);
	return true;
}

static void
hunt_in(struct hunt *h, int fd, uint64_t size)
{
	uint64_t at = place_of(h, fd, size);
	bool is_first = at != 0;

	while (h->left >= BLOCK) {
		ssize_t n = pread(fd, h->block, BLOCK, (off_t)at);
		struct slice s = slice_of(h->block, n > 0 ? (size_t)n : 0);
		const char *end = s.n ? memrchr(s.p, '\n', s.n) : NULL;

		h->left -= BLOCK;
		if (end == NULL)
			return;
		s.n = (size_t)(end + 1 - s.p);
		at += s.n;
		if (is_first)
			(void)slice_cut(&s, '\n');
		is_first = false;
		while (s.n > 0)
			if (!take_line(h, slice_cut(&s, '\n')))
				return;
	}
}

static void
hunt_file(struct hunt *h, const char *name)
{
	char path[4096];
	struct stat st;
	int fd;

	snprintf(path, sizeof(path), "%s/%s", h->dir, name);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return;
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
		hunt_in(h, fd, (uint64_t)st.st_size);
	close(fd);
}

/* A file's name tells when it was closed: those that were closed before are
 * passed over, and of the others two may have it. */
static void
hunt_all(struct hunt *h)
{
	char from[48] = "events-";
	struct dirent **v = NULL;
	int n = clerk_rotated(h->dir, &v), left = 2;
	size_t end = 7 + date_iso(from + 7, h->from_us);

	for (size_t i = 0; i < end; i++)
		if (from[i] == ':')
			from[i] = '-';
	for (int i = 0; i < n; i++) {
		if (left > 0 && strcmp(v[i]->d_name, from) >= 0) {
			left--;
			hunt_file(h, v[i]->d_name);
		}
		free(v[i]);
	}
	free(v);
	if (left > 0)
		hunt_file(h, LOG_NAME);
}

uint32_t
finder_events(const char *dir, const struct msgid *id, const int64_t *when_s,
    uint32_t n, uint32_t max, struct buf *out)
{
	char text[MSGID_TEXT_MAX];
	struct hunt h = { .dir = dir,
		.id = slice_of(text, msgid_format(text, id)),
		.block = mem_try(BLOCK),
		.left = READ_MAX,
		.max = max,
		.out = out };

	for (uint32_t i = 0; i < n && h.block; i++) {
		int64_t from = (when_s[i] - EARLY_S) * US_PER_S;

		h.from_us = MAX(from, h.until_us + 1);
		h.until_us = (when_s[i] + LATE_S) * US_PER_S;
		if (h.from_us <= h.until_us)
			hunt_all(&h);
	}
	mem_free(h.block);
	return h.n;
}

static int
by_time(const void *a, const void *b)
{
	const int64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

uint32_t
finder_lines(const char *dir, const struct msgid *id, const struct find_rec *v,
    uint32_t n, uint32_t max, struct buf *out)
{
	int64_t when[TIMES_MAX + 1];
	uint32_t have = 1;

	when[0] = msgid_time_us(id) / US_PER_S;
	for (uint32_t i = 0; i < n && have < ARRAY_LEN(when); i++)
		if (v[i].kind >= FIND_EVENT && msgid_eq(&v[i].id, id))
			when[have++] = v[i].slot;
	qsort(when, have, sizeof(*when), by_time);
	return finder_events(dir, id, when, have, max, out);
}

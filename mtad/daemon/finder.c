/*
 * daemon/finder.c - the files of the index.
 *
 *	find.new	records in the order they came; also in memory
 *	find-N.run	head, then FINDER_RUN records by key; N counts up
 *
 * Keys are hashes, so a record's place in a run follows from its key up to a few
 * hundred places: one read, seldom two, finds it.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/finder.h"

#define RUN_MAGIC UINT64_C(0x31646e69664154d1)
#define RUNS_MAX 65536u
#define NEAR 512u /* records of one read */
#define NAME_BYTES 32
#define RADIX_BITS 14

struct run_head {
	uint64_t magic;
	uint32_t n, reserved;
	int64_t newest_s;
	uint64_t zero;
};

struct run {
	uint32_t number, n;
	int fd;
	int64_t newest_s;
};

struct finder {
	int dir_fd, new_fd;
	struct find_rec *fresh; /* FINDER_RUN of them */
	uint32_t nfresh;
	struct run *runs; /* oldest first */
	uint32_t nruns, cap;
	int64_t newest_s;
	bool is_behind; /* find.new lacks what is in memory */
};

static int64_t
time_of(const struct find_rec *r)
{
	return r->kind >= FIND_EVENT ? (int64_t)r->slot :
				       msgid_time_us(&r->id) / US_PER_S;
}

/* ---- runs ---------------------------------------------------------------------- */

static void
run_name(char name[NAME_BYTES], uint32_t number)
{
	snprintf(name, NAME_BYTES, "find-%08u.run", number);
}

static bool
run_keep(struct finder *f, const struct run *r)
{
	struct run *v;

	if (f->nruns == f->cap) {
		v = mem_grow(f->runs, MAX(2 * f->cap, 64u) * sizeof(*v));
		if (v == NULL)
			return false;
		f->runs = v;
		f->cap = MAX(2 * f->cap, 64u);
	}
	f->runs[f->nruns++] = *r;
	f->newest_s = MAX(f->newest_s, r->newest_s);
	return true;
}

/* False: it is none of ours, or broken. */
static bool
run_open(struct finder *f, const char *name)
{
	struct run r = { .fd = -1 };
	struct run_head h;
	struct stat st;
	unsigned number;

	if (sscanf(name, "find-%8u.run", &number) != 1)
		return false;
	r.number = number;
	r.fd = openat(f->dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (r.fd < 0)
		return false;
	if (pread(r.fd, &h, sizeof(h), 0) != sizeof(h) ||
	    h.magic != RUN_MAGIC || h.n > FINDER_RUN || fstat(r.fd, &st) ||
	    (uint64_t)st.st_size != sizeof(h) + h.n * sizeof(struct find_rec)) {
		close(r.fd);
		unlinkat(f->dir_fd, name, 0);
		return false;
	}
	r.n = h.n;
	r.newest_s = h.newest_s;
	if (run_keep(f, &r))
		return true;
	close(r.fd);
	return false;
}

static bool
write_all(int fd, const void *p, size_t n)
{
	const char *at = p;

	while (n > 0) {
		ssize_t got = write(fd, at, n);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return false;
		at += got;
		n -= (size_t)got;
	}
	return true;
}

/* Their places in the order of keys: by the first bits, then among those that
 * share them, which are few. */
static uint32_t *
order_of(const struct find_rec *v, uint32_t n)
{
	uint32_t *at = mem_try((1u << RADIX_BITS) * sizeof(*at)), sum = 0;
	uint32_t *out = mem_try(n * sizeof(*out));

	if (at == NULL || out == NULL) {
		mem_free(at);
		mem_free(out);
		return NULL;
	}
	for (uint32_t i = 0; i < n; i++)
		at[v[i].key >> (64 - RADIX_BITS)]++;
	for (uint32_t i = 0; i < 1u << RADIX_BITS; i++) {
		uint32_t k = at[i];

		at[i] = sum;
		sum += k;
	}
	for (uint32_t i = 0; i < n; i++)
		out[at[v[i].key >> (64 - RADIX_BITS)]++] = i;
	for (uint32_t i = 1; i < n; i++) {
		uint32_t r = out[i], k = i;

		for (; k > 0 && v[out[k - 1]].key > v[r].key; k--)
			out[k] = out[k - 1];
		out[k] = r;
	}
	mem_free(at);
	return out;
}

/* By the order that is asked for, a block at a time. */
static bool
write_ordered(int fd, const struct find_rec *v, const uint32_t *order,
    uint32_t n)
{
	struct find_rec block[256];

	for (uint32_t i = 0; i < n; i += ARRAY_LEN(block)) {
		uint32_t m = MIN(n - i, (uint32_t)ARRAY_LEN(block));

		for (uint32_t k = 0; k < m; k++)
			block[k] = v[order[i + k]];
		if (!write_all(fd, block, m * sizeof(*block)))
			return false;
	}
	return true;
}

/* All that is fresh becomes a run. */
static bool
run_write(struct finder *f)
{
	struct run r = { .number =
			     f->nruns ? f->runs[f->nruns - 1].number + 1 : 1,
		.n = f->nfresh,
		.newest_s = f->newest_s };
	struct run_head h = { RUN_MAGIC, r.n, 0, r.newest_s, 0 };
	uint32_t *order = order_of(f->fresh, f->nfresh);
	char name[NAME_BYTES];
	bool ok;

	run_name(name, r.number);
	r.fd = order == NULL ?
	    -1 :
	    openat(f->dir_fd, name,
		O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0640);
	ok = r.fd >= 0 && write_all(r.fd, &h, sizeof(h)) &&
	    write_ordered(r.fd, f->fresh, order, r.n) && run_keep(f, &r);
	mem_free(order);
	if (!ok && r.fd >= 0) {
		close(r.fd);
		unlinkat(f->dir_fd, name, 0);
	}
	return ok;
}

static void
run_drop_oldest(struct finder *f)
{
	char name[NAME_BYTES];

	run_name(name, f->runs[0].number);
	unlinkat(f->dir_fd, name, 0);
	close(f->runs[0].fd);
	memmove(&f->runs[0], &f->runs[1], --f->nruns * sizeof(f->runs[0]));
}

void
finder_prune(struct finder *f, uint64_t bytes_max, int64_t before_s)
{
	uint64_t most = bytes_max / (FINDER_RUN * sizeof(struct find_rec));

	while (f->nruns > 0 &&
	    (f->nruns > MIN(most, RUNS_MAX) || f->runs[0].newest_s < before_s))
		run_drop_oldest(f);
}

/* ---- what is new ---------------------------------------------------------------- */

static void
fresh_count(struct finder *f, const struct find_rec *v, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		f->newest_s = MAX(f->newest_s, time_of(&v[i]));
}

/* Puts into find.new what it lacks, from the beginning if it must. */
static bool
fresh_write(struct finder *f, const void *p, size_t n)
{
	if (f->is_behind) {
		p = f->fresh;
		n = f->nfresh * sizeof(*f->fresh);
		if (ftruncate(f->new_fd, 0))
			return false;
	}
	f->is_behind = !write_all(f->new_fd, p, n);
	return !f->is_behind;
}

int
finder_add(struct finder *f, struct slice records)
{
	bool ok = true;

	records.n -= records.n % sizeof(struct find_rec);
	while (records.n > 0) {
		size_t room = (FINDER_RUN - f->nfresh) * sizeof(*f->fresh);
		size_t n = MIN(records.n, room);

		if (n == 0) { /* the disk was full, and may still be */
			if (!run_write(f))
				return err_from_errno(errno);
			f->nfresh = 0;
			f->is_behind = ftruncate(f->new_fd, 0) != 0;
			continue;
		}
		memcpy(&f->fresh[f->nfresh], records.p, n);
		fresh_count(f, &f->fresh[f->nfresh],
		    (uint32_t)(n / sizeof(*f->fresh)));
		f->nfresh += (uint32_t)(n / sizeof(*f->fresh));
		ok = fresh_write(f, records.p, n) && ok;
		records = slice_skip(records, n);
	}
	return ok ? 0 : err_from_errno(errno);
}

int64_t
finder_newest_s(const struct finder *f)
{
	return f->newest_s;
}

/* ---- opening ------------------------------------------------------------------- */

static int
is_run(const struct dirent *e)
{
	struct slice name = slice_str(e->d_name);

	return slice_has_prefix(name, SL("find-")) &&
	    slice_has_isuffix(name, SL(".run"));
}

static bool
is_record(const struct find_rec *r)
{
	return r->kind >= FIND_MESSAGE && r->kind <= FIND_OVER && r->zero == 0;
}

static void
read_fresh(struct finder *f)
{
	ssize_t n =
	    pread(f->new_fd, f->fresh, FINDER_RUN * sizeof(*f->fresh), 0);

	n = n > 0 ? n / (ssize_t)sizeof(*f->fresh) : 0;
	while (f->nfresh < (uint32_t)n && is_record(&f->fresh[f->nfresh]))
		f->nfresh++;
	fresh_count(f, f->fresh, f->nfresh);
	/* A torn record at its end, or a run that was begun. */
	f->is_behind = true;
}

struct finder *
finder_open(const char *dir)
{
	struct finder *f = mem_try(sizeof(*f));
	struct dirent **v = NULL;
	int n;

	if (f == NULL)
		return NULL;
	f->dir_fd = f->new_fd = -1;
	f->fresh = mem_try(FINDER_RUN * sizeof(*f->fresh));
	if (mkdir(dir, 0750) && errno != EEXIST) {
		finder_close(f);
		return NULL;
	}
	f->dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	f->new_fd = f->dir_fd < 0 ?
	    -1 :
	    openat(f->dir_fd, "find.new",
		O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640);
	if (f->new_fd < 0 || f->fresh == NULL) {
		finder_close(f);
		return NULL;
	}
	n = scandir(dir, &v, is_run, alphasort);
	for (int i = 0; i < n; i++) {
		(void)run_open(f, v[i]->d_name);
		free(v[i]);
	}
	free(v);
	read_fresh(f);
	return f;
}

void
finder_close(struct finder *f)
{
	for (uint32_t i = 0; i < f->nruns; i++)
		close(f->runs[i].fd);
	if (f->new_fd >= 0)
		close(f->new_fd);
	if (f->dir_fd >= 0)
		close(f->dir_fd);
	mem_free(f->runs);
	mem_free(f->fresh);
	mem_free(f);
}

/* ---- looking up ------------------------------------------------------------------ */

/* What is asked for, and what has been found. */
struct quest {
	uint64_t key;
	uint32_t skip, have, n;
	struct find_rec *v;
};

static void
found(struct quest *q, const struct find_rec *r)
{
	if (q->skip > 0)
		q->skip--;
	else if (q->have < q->n)
		q->v[q->have++] = *r;
}

/* Reads up to NEAR records from `at` on; how many. */
static uint32_t
run_read(const struct run *r, uint32_t at, struct find_rec *v)
{
	uint32_t n = MIN(NEAR, r->n - at);
	ssize_t got = pread(r->fd, v, n * sizeof(*v),
	    (off_t)(sizeof(struct run_head) + (uint64_t)at * sizeof(*v)));

	return got > 0 ? (uint32_t)((size_t)got / sizeof(*v)) : 0;
}

/* Where the first record of the key or a greater one stands, at most NEAR before
 * it: from a guess on, by halves where the guess is wrong. */
static uint32_t
run_seek(const struct run *r, uint64_t key, struct find_rec *v)
{
	uint32_t lo = 0, hi = r->n;
	uint32_t at = (uint32_t)(((unsigned __int128)key * r->n) >> 64);

	at -= MIN(at, NEAR / 2);
	while (lo < hi) {
		uint32_t n = run_read(r, at, v);

		if (n == 0)
			return r->n;
		if (v[0].key >= key && at > lo)
			hi = at;
		else if (v[n - 1].key < key)
			lo = at + n;
		else
			return at;
		at = lo + (hi - lo) / 2;
		at -= MIN(at - lo, NEAR / 2);
	}
	return lo;
}

static void
run_get(const struct run *r, struct quest *q, struct find_rec *v)
{
	uint32_t at = run_seek(r, q->key, v), n;

	for (; at < r->n && (n = run_read(r, at, v)) > 0; at += n) {
		for (uint32_t i = 0; i < n; i++) {
			if (v[i].key > q->key)
				return;
			if (v[i].key == q->key)
				found(q, &v[i]);
		}
		if (q->have == q->n)
			return;
	}
}

uint32_t
finder_get(struct finder *f, uint64_t key, uint32_t skip, struct find_rec *v,
    uint32_t n)
{
	struct quest q = { .key = key, .skip = skip, .n = n, .v = v };
	struct find_rec *block = mem_try(NEAR * sizeof(*block));

	if (block == NULL)
		return 0;
	for (uint32_t i = f->nfresh; i-- > 0;)
		if (f->fresh[i].key == key)
			found(&q, &f->fresh[i]);
	for (uint32_t i = f->nruns; i-- > 0 && q.have < n;)
		run_get(&f->runs[i], &q, block);
	mem_free(block);
	return q.have;
}

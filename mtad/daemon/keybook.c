/*
 * daemon/keybook.c - keys on the disk, for those whose messages have left the
 * spool (share/doc/spool-format.md).
 *
 * A message's key stands in its own record, so nothing is written here while the
 * message is kept. When messages are let go, the keys that were settled since
 * the last time are appended to the file of this hour and synced first: one sync
 * for all that go in a turn of the spooler, and none without keys. A file is
 * removed when a day has passed behind its hour.
 *
 *	16 bytes	"MTAKEYS", version (1), and 8 bytes of zeroes
 *	then, 40 bytes each: digest of the key (16), digest of what it stands
 *	for (4), message id (16), CRC32C of these (4); little-endian
 *
 * An entry whose checksum is wrong is passed over: the end of a write that a
 * crash cut off.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/daemon_i.h"
#include "daemon/keybook.h"

#define PREFIX "keys-"
#define HEAD_BYTES 16u
#define ENTRY_BYTES 40u
#define SUMMED_BYTES 36u
#define HOUR_S 3600
#define FRESH_MAX (256u << 20) /* bytes that wait: 6.7 million keys */
#define FRESH_MANY (256u << 10)
#define READ_BYTES (ENTRY_BYTES * 8192u)
#define COMPLAIN_US (60 * US_PER_S)

struct keybook {
	pthread_mutex_t lock;
	struct idem *x;
	struct buf fresh; /* entries that stand in no file */
	/* Of the spooler's thread, or who has its lock. */
	const char *dir;
	int fd;
	int64_t hour;
	struct buf writing;
	int64_t complained_us;
	_Atomic bool is_broken;
};

static const char head[HEAD_BYTES] = { 'M', 'T', 'A', 'K', 'E', 'Y', 'S', 1 };

/* ---- entries -------------------------------------------------------------------- */

/* Is it noted? Without memory for it the key still stands in its message's
 * record, for as long as that is kept. */
static bool
note(struct keybook *b, const struct env_key *key, const struct msgid *id)
{
	struct buf *f = &b->fresh;
	char e[ENTRY_BYTES];
	uint32_t v = htole32(key->digest);

	memcpy(e, key->b, 16);
	memcpy(e + 16, &v, 4);
	memcpy(e + 20, id->b, 16);
	v = htole32(crc32c(0, e, SUMMED_BYTES));
	memcpy(e + SUMMED_BYTES, &v, 4);
	return buf_add(f, e, sizeof(e)) == 0;
}

static bool
read_entry(const char *e, struct env_key *key, struct msgid *id)
{
	struct cursor c = cursor_of(slice_of(e, ENTRY_BYTES));

	memcpy(key->b, cursor_take(&c, 16).p, 16);
	key->digest = cursor_u32(&c);
	memcpy(id->b, cursor_take(&c, 16).p, 16);
	return cursor_u32(&c) == crc32c(0, e, SUMMED_BYTES);
}

/* ---- the index -------------------------------------------------------------------- */

enum idem_answer
keybook_claim(struct keybook *b, const struct env_key *key,
    const struct msgid *id, int64_t wall_us, struct msgid *first)
{
	enum idem_answer a;

	pthread_mutex_lock(&b->lock);
	a = idem_find(b->x, key, wall_us, first);
	if (a == IDEM_TAKEN)
		a = atomic_load(&b->is_broken) || b->fresh.failed ?
		    IDEM_FULL :
		    idem_claim(b->x, key, id, wall_us, first);
	pthread_mutex_unlock(&b->lock);
	return a;
}

enum idem_answer
keybook_find(struct keybook *b, const struct env_key *key, int64_t wall_us,
    struct msgid *first)
{
	enum idem_answer a;

	pthread_mutex_lock(&b->lock);
	a = idem_find(b->x, key, wall_us, first);
	pthread_mutex_unlock(&b->lock);
	return a;
}

void
keybook_settle(struct keybook *b, const struct env_key *key,
    const struct msgid *id, bool is_kept)
{
	bool is_noted = true;

	pthread_mutex_lock(&b->lock);
	idem_settle(b->x, key, id, is_kept);
	if (is_kept)
		is_noted = note(b, key, id);
	pthread_mutex_unlock(&b->lock);
	if (!is_noted)
		log_event(LOG_ERROR, "keys", "what",
		    "too many idempotency keys wait to be written", "effect",
		    "a crash would forget some", NULL);
}

void
keybook_restore(struct keybook *b, const struct env_key *key,
    const struct msgid *id)
{
	bool is_kept = true;
	int got;

	pthread_mutex_lock(&b->lock);
	got = idem_restore(b->x, key, id, clock_wall_us());
	if (got == 1)
		is_kept = note(b, key, id);
	pthread_mutex_unlock(&b->lock);
	if (got < 0 || !is_kept)
		log_event(LOG_ERROR, "keys", "what", "no memory for a key",
		    "effect", "its message may be taken twice", NULL);
}

bool
keybook_is_full(struct keybook *b)
{
	bool is;

	pthread_mutex_lock(&b->lock);
	is = b->fresh.n >= FRESH_MANY;
	pthread_mutex_unlock(&b->lock);
	return is;
}

void
keybook_count(struct keybook *b, uint64_t *keys, uint64_t *bytes)
{
	pthread_mutex_lock(&b->lock);
	*keys = idem_count(b->x);
	*bytes = idem_bytes(b->x);
	pthread_mutex_unlock(&b->lock);
}

/* ---- files -------------------------------------------------------------------------- */

static void
file_name(const struct keybook *b, int64_t hour, char *dst, size_t cap)
{
	snprintf(dst, cap, "%s/" PREFIX "%010lld", b->dir, (long long)hour);
}

static bool
write_all(int fd, struct slice s)
{
	while (s.n > 0) {
		ssize_t n = write(fd, s.p, s.n);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		s = slice_skip(s, (size_t)n);
	}
	return true;
}

/* A new file's name must be durable, too. */
static bool
sync_dir(const struct keybook *b)
{
	int fd = open(b->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	bool ok = fd >= 0 && fsync(fd) == 0;

	if (fd >= 0)
		close(fd);
	return ok;
}

/* The file of the hour, its end behind a whole entry. */
static bool
open_hour(struct keybook *b, int64_t hour)
{
	char name[4096];
	struct stat st;
	off_t end;

	file_name(b, hour, name, sizeof(name));
	b->fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640);
	if (b->fd < 0 || fstat(b->fd, &st) != 0)
		return false;
	b->hour = hour;
	if (st.st_size < (off_t)HEAD_BYTES)
		return ftruncate(b->fd, 0) == 0 &&
		    write_all(b->fd, slice_of(head, HEAD_BYTES)) && sync_dir(b);
	end = st.st_size - (st.st_size - HEAD_BYTES) % ENTRY_BYTES;
	return ftruncate(b->fd, end) == 0 && lseek(b->fd, 0, SEEK_END) == end;
}

static void
close_file(struct keybook *b)
{
	if (b->fd >= 0)
		close(b->fd);
	b->fd = -1;
}

static int
is_ours(const struct dirent *d)
{
	return strncmp(d->d_name, PREFIX, strlen(PREFIX)) == 0;
}

static int64_t
hour_of(const struct dirent *d)
{
	uint64_t hour;

	return slice_u64(slice_str(d->d_name + strlen(PREFIX)), INT32_MAX,
		   &hour) == 0 ?
	    (int64_t)hour :
	    -1;
}

/* Files of which every key is older than a day. */
static void
remove_old(const struct keybook *b, int64_t hour)
{
	struct dirent **v;
	int n = scandir(b->dir, &v, is_ours, alphasort);
	char name[4096];

	for (int i = 0; i < n; i++) {
		int64_t of = hour_of(v[i]);

		if (of >= 0 && of + 25 <= hour) {
			file_name(b, of, name, sizeof(name));
			unlink(name);
		}
		free(v[i]);
	}
	if (n >= 0)
		free(v);
}

/* All that is being written stands in the file: false: not all. */
static bool
write_file(struct keybook *b)
{
	int64_t hour = clock_wall_us() / US_PER_S / HOUR_S;

	if (b->fd >= 0 && b->hour != hour) {
		close_file(b);
		remove_old(b, hour);
	}
	return (b->fd >= 0 || open_hour(b, hour)) &&
	    write_all(b->fd, buf_slice(&b->writing)) && fdatasync(b->fd) == 0;
}

static void
complain(struct keybook *b)
{
	int64_t now = clock_mono_us();

	if (b->complained_us && now - b->complained_us < COMPLAIN_US)
		return;
	b->complained_us = now;
	log_event(LOG_ERROR, "keys", "what",
	    "idempotency keys cannot be written", "directory", b->dir, "error",
	    strerrordesc_np(errno), "effect",
	    "messages with a key are answered 452", NULL);
}

void
keybook_save(struct keybook *b)
{
	bool ok;

	pthread_mutex_lock(&b->lock);
	/* What could not be written is written again, with what has come. */
	ok = buf_adds(&b->writing, buf_slice(&b->fresh)) == 0;
	if (ok)
		buf_reset(&b->fresh);
	pthread_mutex_unlock(&b->lock);
	if (b->writing.n == 0)
		return;
	if (ok && write_file(b)) {
		buf_reset(&b->writing);
		if (b->writing.cap > FRESH_MANY * 4)
			buf_free(&b->writing);
		atomic_store(&b->is_broken, false);
		return;
	}
	close_file(b); /* opened again, and its torn end cut off */
	atomic_store(&b->is_broken, true);
	complain(b);
}

/* ---- the beginning and the end ------------------------------------------------------- */

static void
read_file(struct keybook *b, const char *name, char *bytes)
{
	struct env_key key;
	struct msgid id;
	int fd = open(name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	FILE *f = fd >= 0 ? fdopen(fd, "r") : NULL;
	size_t n;

	if (f == NULL) {
		if (fd >= 0)
			close(fd);
		return;
	}
	n = fread(bytes, 1, HEAD_BYTES, f);
	if (n == HEAD_BYTES && memcmp(bytes, head, HEAD_BYTES) != 0)
		log_event(LOG_ERROR, "keys", "what",
		    "not a file of idempotency keys, or a newer version",
		    "file", name, NULL);
	else
		while ((n = fread(bytes, ENTRY_BYTES, READ_BYTES / ENTRY_BYTES,
			    f)) > 0)
			for (size_t i = 0; i < n; i++)
				if (read_entry(bytes + i * ENTRY_BYTES, &key,
					&id) &&
				    idem_restore(b->x, &key, &id,
					clock_wall_us()) < 0)
					n = 0;
	fclose(f);
}

static void
read_files(struct keybook *b)
{
	char *bytes = mem_get(READ_BYTES), name[4096];
	struct dirent **v;
	int n = scandir(b->dir, &v, is_ours, alphasort);

	for (int i = 0; i < n; i++) {
		snprintf(name, sizeof(name), "%s/%s", b->dir, v[i]->d_name);
		read_file(b, name, bytes);
		free(v[i]);
	}
	if (n >= 0)
		free(v);
	mem_free(bytes);
}

struct keybook *
keybook_open(const char *dir, uint32_t max)
{
	struct keybook *b = mem_get(sizeof(*b));

	pthread_mutex_init(&b->lock, NULL);
	b->dir = dir;
	b->fd = -1;
	buf_init(&b->fresh, FRESH_MAX);
	buf_init(&b->writing, FRESH_MAX);
	b->x = idem_new(max);
	if (b->x == NULL) {
		keybook_close(b);
		return NULL;
	}
	remove_old(b, clock_wall_us() / US_PER_S / HOUR_S);
	read_files(b);
	return b;
}

void
keybook_close(struct keybook *b)
{
	if (b == NULL)
		return;
	keybook_save(b);
	close_file(b);
	buf_free(&b->fresh);
	buf_free(&b->writing);
	idem_free(b->x);
	pthread_mutex_destroy(&b->lock);
	mem_free(b);
}

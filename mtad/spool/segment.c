/*
 * spool/segment.c - segments: made ahead, begun, sealed with a footer, and
 * recycled oldest first.
 *
 * A segment file begins with a header block that names its sequence number;
 * beginning a recycled file writes and syncs a new header, which makes all the
 * old records in it stale at once (they carry the old number). Files are begun
 * again in the order of their old numbers, so what is on the disk is always an
 * unbroken row of segments up to the newest.
 */
#include "spool/spool_i.h"

#define HEADER_BYTES 32u
/* Where the header stands again: so far from the front, and from the end. */
#define HEADER_COPY 2048u
#define FOOTER_WIPES 8 /* a write, unlike a sync, may well be tried again */
#define FILL_STEP (1u << 20) /* zero-filled and synced at a time */
#define ZEROES 65536u

static const char zeroes[ZEROES];

int
disk_ask(struct spool *s, struct disk_req *r)
{
	r->done = false;
	s->disk->ops->submit(s->disk, r);
	while (!r->done) /* the real disk completes inside submit */
		ASSERT(s->disk->ops->take(s->disk) != NULL);
	return r->err;
}

int
disk_write(struct spool *s, uint32_t file, uint64_t off,
    const struct slice *iov, uint32_t n)
{
	struct disk_req r = { .op = DISK_WRITE, .file = file, .off = off };
	int err = 0;

	while (n > 0 && !err) {
		r.iov = iov;
		r.niov = MIN(n, DISK_IOV_MAX);
		err = disk_ask(s, &r);
		for (uint32_t i = 0; i < r.niov; i++)
			r.off += iov[i].n;
		iov += r.niov;
		n -= r.niov;
	}
	return err;
}

int
disk_sync(struct spool *s, uint32_t file)
{
	struct disk_req r = { .op = DISK_SYNC, .file = file };
	const struct disk_ops *ops = s->disk->ops;
	int64_t began = ops->now_us ? ops->now_us(s->disk) : 0, took;
	int err = disk_ask(s, &r);

	took = ops->now_us ? ops->now_us(s->disk) - began : 0;
	s->stats.syncs++;
	s->stats.sync_us += (uint64_t)took;
	s->stats.sync_us_max = MAX(s->stats.sync_us_max, (uint64_t)took);
	s->stats.sync_failures += err != 0;
	return err;
}

int
disk_simple(struct spool *s, enum disk_op op, uint32_t file, uint64_t bytes)
{
	struct disk_req r = { .op = op, .file = file, .bytes = bytes };

	return disk_ask(s, &r);
}

int
disk_read_full(struct disk *d, uint32_t file, uint64_t off, void *dst, size_t n)
{
	int64_t got = d->ops->read(d, file, off, dst, n);

	if (got < 0)
		return (int)got;
	return (uint64_t)got == n ? 0 : E_CORRUPT;
}

/* Segments' worth of space that may still be taken from the file system down
 * to the floor. */
static uint64_t
growable(struct spool *s, uint64_t floor)
{
	uint64_t seg = s->conf.segment_bytes, n, used;
	uint64_t avail = s->disk->ops->free_bytes(s->disk);

	s->stats.disk_free_bytes = avail;
	n = avail > floor ? (avail - floor) / seg : 0;
	if (s->conf.max_bytes) {
		used = s->stats.segments * seg;
		n = MIN(n,
		    used < s->conf.max_bytes ?
			(s->conf.max_bytes - used) / seg :
			0);
	}
	return MIN(n, (uint64_t)(SPOOL_SEGMENTS - 1) - s->nfiles);
}

void
segment_room(struct spool *s)
{
	uint64_t n = s->nfree + growable(s, s->conf.min_free_bytes), left = 0;

	n = n > s->conf.reserve_segments ? n - s->conf.reserve_segments : 0;
	s->is_tight = n == 0;
	if (s->current)
		left = s->conf.segment_bytes - s->at;
	/* A message that does not fit what is left needs the next segment. */
	atomic_store_explicit(&s->room,
	    n ? n * s->conf.segment_bytes : left / 2, memory_order_relaxed);
}

static int
fill(struct spool *s, uint32_t file, uint64_t from, uint64_t to)
{
	struct slice iov[FILL_STEP / ZEROES];
	uint32_t n = 0;
	int err;

	for (uint64_t at = from; at < to; at += iov[n++].n)
		iov[n] = slice_of(zeroes, MIN(to - at, ZEROES));
	err = disk_write(s, file, from, iov, n);
	return err ? err : disk_sync(s, file);
}

static int
fill_all(struct spool *s, uint32_t file, uint64_t from)
{
	uint64_t end = s->conf.segment_bytes;
	int err = 0;

	for (uint64_t at = from; !err && at < end; at += FILL_STEP)
		err = fill(s, file, at, MIN(at + FILL_STEP, end));
	return err;
}

static int
file_begin(struct spool *s)
{
	int err = disk_simple(s, DISK_CREATE, s->nfiles + 1, 0);

	if (err)
		return err;
	s->making = s->nfiles + 1;
	s->made_bytes = 0;
	return 0;
}

/* Ready to be begun as a segment. */
static int
file_end(struct spool *s)
{
	int err = disk_simple(s, DISK_SYNC_DIR, 0, 0);

	if (err)
		return err;
	s->nfiles = s->making;
	s->making = 0;
	s->seg[s->nfiles] = (struct segment){ .state = SEG_FREE,
		.file_bytes = s->conf.segment_bytes };
	list_init(&s->seg[s->nfiles].link);
	s->nfree++;
	s->stats.segments++;
	return 0;
}

static void
file_give_up(struct spool *s)
{
	if (disk_simple(s, DISK_REMOVE, s->making, 0))
		log_event(LOG_ERROR, "spool", "what",
		    "cannot remove a file that could not be made", NULL);
	s->making = 0;
}

/* One step of making a file: created, zero-filled and synced piece by piece,
 * known to the directory. */
static int
file_step(struct spool *s)
{
	uint64_t end = s->conf.segment_bytes, to;
	int err;

	if (!s->making) {
		err = file_begin(s);
		if (err)
			return err;
	}
	to = MIN(s->made_bytes + FILL_STEP, end);
	err = fill(s, s->making, s->made_bytes, to);
	s->made_bytes = to;
	if (!err && to == end)
		err = file_end(s);
	if (err)
		file_give_up(s);
	return err;
}

/* The file that is being made, or a new one, to its end. */
static int
make_file(struct spool *s)
{
	int err;

	do
		err = file_step(s);
	while (!err && s->making);
	return err;
}

/* The next file is made in steps between the groups, so that no 250 waits for
 * all of it; it is whole long before the current segment is full. */
bool
segment_prepare(struct spool *s)
{
	if (!s->making &&
	    (s->nfree || !s->current || s->now_us < s->full_until_us ||
		s->at < s->conf.segment_bytes / 4))
		return false;
	if ((!s->making && growable(s, s->conf.min_free_bytes) == 0) ||
	    file_step(s))
		s->full_until_us = s->now_us + US_PER_S;
	return s->making != 0;
}

/* The free file whose old number is lowest. */
static uint32_t
oldest_free(const struct spool *s)
{
	uint32_t best = 0;

	for (uint32_t f = 1; f <= s->nfiles; f++)
		if (s->seg[f].state == SEG_FREE &&
		    (!best || s->seg[f].seq < s->seg[best].seq))
			best = f;
	return best;
}

/* magic, format, sequence, stamp, size, checksum; the rest of the block zero.
 */
static int
header_write(struct spool *s, uint32_t file, uint64_t seq, uint64_t stamp)
{
	struct slice iov[4];
	struct buf b;
	int err;

	buf_init(&b, 64);
	buf_add_u32(&b, SEGMENT_MAGIC);
	buf_add_u32(&b, SPOOL_FORMAT);
	buf_add_u64(&b, seq);
	buf_add_u64(&b, stamp);
	buf_add_u32(&b, s->conf.segment_bytes);
	buf_add_u32(&b, crc32c(0, b.p, b.n));
	if (b.failed) {
		buf_free(&b);
		return E_NOMEM;
	}
	/* Twice, in sectors of their own: a bit that rots in one leaves the
	 * other. */
	iov[0] = iov[2] = buf_slice(&b);
	iov[1] = slice_of(zeroes, HEADER_COPY - b.n);
	iov[3] = slice_of(zeroes, SPOOL_BLOCK - HEADER_COPY - b.n);
	err = disk_write(s, file, 0, iov, 4);
	if (!err)
		err = disk_write(s, file, s->conf.segment_bytes - HEADER_COPY,
		    iov, 1);
	if (!err)
		err = disk_sync(s, file);
	buf_free(&b);
	return err;
}

/* Would the checksum be right if this were our format? Then it is ours, with a
 * bit gone wrong; a newer one may compute it in any way. */
static bool
is_rotten_format(const char raw[HEADER_BYTES], uint32_t crc)
{
	char ours[HEADER_BYTES] = { 0 };

	memcpy(ours, raw, HEADER_BYTES);
	memcpy(ours + 4, "\1\0\0\0", 4);
	return crc32c(0, ours, 28) == crc;
}

static int
header_read_at(struct spool *s, uint32_t file, uint64_t at)
{
	struct segment *g = &s->seg[file];
	char raw[HEADER_BYTES];
	struct cursor c;
	uint32_t format, crc;
	struct segment h;
	int err = disk_read_full(s->disk, file, at, raw, sizeof(raw));

	if (err)
		return err;
	c = cursor_of(slice_of(raw, sizeof(raw)));
	if (cursor_u32(&c) != SEGMENT_MAGIC)
		return E_NOTFOUND;
	format = cursor_u32(&c);
	h.seq = cursor_u64(&c);
	h.stamp = cursor_u64(&c);
	h.bytes = cursor_u32(&c);
	crc = cursor_u32(&c);
	if (format > SPOOL_FORMAT && !is_rotten_format(raw, crc))
		return E_VERSION;
	if (crc != crc32c(0, raw, 28) || h.bytes < 4 * SPOOL_BLOCK)
		return E_CORRUPT;
	g->seq = h.seq;
	g->stamp = h.stamp;
	g->bytes = h.bytes;
	return 0;
}

/* Nothing was ever written where a header and a first record stand? */
static bool
is_blank(struct spool *s, uint32_t file)
{
	char raw[2 * SPOOL_BLOCK];
	int64_t n = s->disk->ops->read(s->disk, file, 0, raw, sizeof(raw));

	for (int64_t i = 0; i < n; i++)
		if (raw[i])
			return false;
	return n >= 0;
}

int
segment_header_read(struct spool *s, uint32_t file, uint64_t file_bytes)
{
	const uint64_t at[] = { 0, HEADER_COPY, file_bytes - HEADER_COPY,
		s->conf.segment_bytes - HEADER_COPY };
	int err = E_NOTFOUND, worst = E_NOTFOUND;

	for (size_t i = 0; i < ARRAY_LEN(at); i++) {
		if (at[i] + HEADER_BYTES > file_bytes)
			continue;
		err = header_read_at(s, file, at[i]);
		if (err == 0 || err == E_VERSION)
			return err;
		if (err == E_IO)
			worst = E_IO;
	}
	if (worst == E_IO)
		return E_IO;
	return is_blank(s, file) ? E_NOTFOUND : E_CORRUPT;
}

int
segment_begin(struct spool *s, bool reserve)
{
	uint32_t spare = reserve ? 0 : s->conf.reserve_segments;
	struct segment *g;
	uint64_t stamp, n;
	uint32_t file;
	int err;

	ASSERT(!s->current);
	/* The floor is for commits; what may use the reserve may go below. */
	n = s->nfree + growable(s, reserve ? 0 : s->conf.min_free_bytes) +
	    (s->making != 0);
	if (n <= spare)
		return E_NOSPC;
	if (!s->nfree && s->now_us < s->full_until_us)
		return E_NOSPC;
	if (!s->nfree && (err = make_file(s))) {
		s->full_until_us = s->now_us + US_PER_S;
		return err;
	}
	file = oldest_free(s);
	/* One that a crash left short, or of a smaller size, is made whole. */
	if (s->seg[file].file_bytes < s->conf.segment_bytes) {
		err = fill_all(s, file, s->seg[file].file_bytes);
		if (err)
			return err;
		s->seg[file].file_bytes = s->conf.segment_bytes;
	}
	stamp = hash_u64(s->conf.seed ^ hash_u64(s->next_seq));
	err = header_write(s, file, s->next_seq, stamp);
	if (err)
		return err;
	g = &s->seg[file];
	g->seq = s->next_seq++;
	g->stamp = stamp;
	g->bytes = s->conf.segment_bytes;
	g->state = SEG_CURRENT;
	g->must_empty = false;
	g->live = 0;
	g->live_bytes = 0;
	s->nfree--;
	s->current = file;
	s->at = SPOOL_BLOCK;
	s->group = 1;
	buf_reset(&s->draft);
	buf_reset(&s->footer_entries);
	s->no_footer = false;
	return 0;
}

void
footer_note(struct spool *s, const struct entry *e)
{
	if (!s->no_footer && entry_encode(&s->footer_entries, e))
		s->no_footer = true;
}

/* One live message of the current segment, from its draft, for the footer. */
static void
footer_message(struct spool *s, struct cursor *c, struct buf *out)
{
	uint32_t offset, env_n;
	struct slice env;
	struct handle h;
	struct slot *slot;
	const struct rcpt_state *states;

	h.index = cursor_u32(c);
	h.gen = cursor_u32(c);
	offset = cursor_u32(c);
	env_n = cursor_u32(c);
	env = cursor_take(c, env_n);
	slot = pool_get(&s->slots, h);
	if (!slot || slot->segment != s->current || slot->offset != offset)
		return;
	buf_add(out, slot->id.b, sizeof(slot->id.b));
	buf_add_u32(out, offset);
	buf_add_u32(out, env_n);
	buf_add_u32(out, slot->body_bytes);
	buf_add_u16(out, (uint16_t)slot->nrcpt);
	states = slot_states(slot);
	buf_add_u16(out, states ? 1 : 0);
	buf_adds(out, env);
	for (uint32_t i = 0; states && i < slot->nrcpt; i++)
		state_encode(out, &states[i]);
}

/* A footer that was not synced can be read until the power fails; a start in
 * between would rely on it. */
static void
footer_wipe(struct spool *s, uint32_t trailer)
{
	struct slice iov = slice_of(zeroes, SPOOL_BLOCK);
	int err = E_IO;

	for (int i = 0; err && i < FOOTER_WIPES; i++)
		err = disk_write(s, s->current, trailer, &iov, 1);
	if (err)
		log_event(LOG_ERROR, "spool", "what",
		    "a footer that was not synced stands in its segment",
		    "effect", "do not restart before the next reboot", "error",
		    err_name(err), NULL);
}

/* Footer record, and the trailer block that says where it is. */
static int
footer_write(struct spool *s, const struct buf *messages)
{
	struct record r = { .type = REC_FOOTER,
		.stamp = s->seg[s->current].stamp,
		.group = s->group,
		.env_bytes = (uint32_t)messages->n,
		.extra_bytes = (uint32_t)s->footer_entries.n };
	char header[RECORD_HEADER], trailer[24];
	struct slice iov[3] = { { NULL, 0 }, buf_slice(messages),
		buf_slice(&s->footer_entries) };
	uint32_t end = s->seg[s->current].bytes - SPOOL_BLOCK;
	struct buf t;
	int err;

	r.crc = crc32c(crc32c(0, iov[1].p, iov[1].n), iov[2].p, iov[2].n);
	record_encode(header, &r);
	iov[0] = slice_of(header, RECORD_HEADER);
	if (s->at + record_bytes(&r) > end)
		return E_NOSPC;
	buf_init(&t, sizeof(trailer));
	buf_add_u32(&t, FOOTER_MAGIC);
	buf_add_u32(&t, s->at);
	buf_add_u64(&t, r.stamp);
	buf_add_u32(&t, crc32c(0, t.p, t.n));
	err = t.failed ? E_NOMEM : disk_write(s, s->current, s->at, iov, 3);
	iov[0] = buf_slice(&t);
	if (!err)
		err = disk_write(s, s->current, end, iov, 1);
	if (!err)
		err = disk_sync(s, s->current);
	if (err)
		footer_wipe(s, end);
	buf_free(&t);
	return err;
}

/* The footer is synced before the next segment is begun: it may know outcomes
 * that no group has yet, and a start that has read them relies on them. Without
 * a good footer the scan reads the whole segment. */
void
segment_seal(struct spool *s, bool with_footer)
{
	struct segment *g = &s->seg[s->current];
	struct buf messages;
	struct cursor c = cursor_of(buf_slice(&s->draft));

	/* The states that the footer gives already know the outcomes that wait
	 * for the next group; their words must not be missing beside them. */
	if (s->entries.n > entries_max(s) ||
	    buf_adds(&s->footer_entries, buf_slice(&s->entries)))
		s->no_footer = true;
	if (with_footer && !s->no_footer && !s->draft.failed) {
		buf_init(&messages, s->conf.segment_bytes);
		while (c.s.n)
			footer_message(s, &c, &messages);
		if (!messages.failed && footer_write(s, &messages))
			log_event(LOG_WARN, "spool", "what", "no footer",
			    "effect",
			    "the next start reads this segment "
			    "whole",
			    NULL);
		buf_free(&messages);
	}
	g->state = SEG_SEALED;
	list_push_tail(&s->sealed, &g->link);
	s->current = 0;
}

void
segment_recycle(struct spool *s)
{
	while (!list_is_empty(&s->sealed)) {
		struct segment *g =
		    container_of(s->sealed.next, struct segment, link);

		if (g->live)
			return;
		list_remove(&g->link);
		g->state = SEG_FREE;
		s->nfree++;
		s->stats.recycled++;
		if (s->emptying && &s->seg[s->emptying] == g)
			s->emptying = 0;
	}
}

/*
 * engine/tape.c - the frames of a recording.
 *
 * A file is a header, the frames of a checkpoint, and from header.events_at on
 * frames of events. A frame is a head (magic, kind, flags, length, checksum of
 * all but itself) and its content. Frames of events follow each other without
 * a gap: each says how many steps came before it and what the hash of all
 * commands is after it.
 */
#include <stdio.h>

#include "engine/tape.h"

#define MAGIC "MTADTAPE"
#define VERSION 1u
#define FRAME_MAGIC UINT32_C(0x3146544d) /* "MTF1" */
#define FLAG_LAST 1u

static void
put_u32(unsigned char *at, uint32_t v)
{
	for (int i = 0; i < 4; i++)
		at[i] = (unsigned char)(v >> (8 * i));
}

static void
put_u64(unsigned char *at, uint64_t v)
{
	put_u32(at, (uint32_t)v);
	put_u32(at + 4, (uint32_t)(v >> 32));
}

void
tape_header_put(unsigned char *out, const struct tape_header *h)
{
	memset(out, 0, TAPE_HEADER);
	memcpy(out, MAGIC, 8);
	put_u32(out + 8, VERSION);
	put_u64(out + 16, h->layout);
	put_u64(out + 24, h->run);
	put_u64(out + 32, h->number);
	put_u64(out + 40, h->step);
	put_u64(out + 48, h->hash);
	put_u64(out + 56, (uint64_t)h->now_us);
	put_u64(out + 64, (uint64_t)h->wall_us);
	put_u64(out + 72, h->events_at);
	memcpy(out + 96, h->version, sizeof(h->version));
	put_u32(out + 12, crc32c(0, out + 16, TAPE_HEADER - 16));
}

void
tape_seal(unsigned char *frame, const struct tape_frame *f, uint32_t n)
{
	memset(frame, 0, TAPE_FRAME_HEAD);
	put_u32(frame, FRAME_MAGIC);
	put_u32(frame + 8, (uint32_t)f->kind);
	put_u32(frame + 12, f->is_last ? FLAG_LAST : 0);
	put_u32(frame + 16, n);
	put_u64(frame + 24, f->step);
	put_u64(frame + 32, f->hash);
	put_u64(frame + 40, (uint64_t)f->now_us);
	put_u32(frame + 4, crc32c(0, frame + 8, TAPE_FRAME_HEAD - 8 + n));
}

/* ---- steps ------------------------------------------------------------------------ */

uint64_t
tape_hash(uint64_t hash, const void *commands, size_t n)
{
	return hash_u64(hash ^ crc32c((uint32_t)n, commands, n)) + n;
}

size_t
tape_step_max(const struct eng_event *ev, const struct eng_cmds *cmds)
{
	return ENG_EVENT_WIRE_MAX + 20 +
	    (ev->kind == EV_CONF ? ENG_POLICY_WIRE_MAX : 0) +
	    (size_t)cmds->n * ENG_CMD_WIRE_MAX;
}

unsigned char *
tape_step_put(unsigned char *at, const struct eng_event *ev, int64_t before_us,
    int64_t now_us, const struct eng_cmds *cmds, uint64_t *hash)
{
	unsigned char *commands;

	at = eng_varint_put(at, (uint64_t)(now_us - before_us));
	at = eng_event_put(at, ev, now_us);
	at = eng_varint_put(at, cmds->n);
	commands = at;
	for (uint32_t i = 0; i < cmds->n; i++)
		at = eng_cmd_put(at, &cmds->v[i], now_us);
	*hash = tape_hash(*hash, commands, (size_t)(at - commands));
	return at;
}

/* ---- writing a checkpoint ------------------------------------------------------------ */

uint64_t
tape_events_at(uint64_t save_bytes)
{
	uint64_t parts = save_bytes / TAPE_PART + 1;

	return (TAPE_HEADER + save_bytes + parts * TAPE_FRAME_HEAD + 4095) /
	    4096 * 4096;
}

struct saver {
	unsigned char *part;
	uint32_t n;       /* content of part */
	uint64_t at;      /* in the file */
	uint64_t written; /* of the image */
	bool (*write)(void *ctx, uint64_t at, const void *p, size_t n);
	void *ctx;
	bool failed;
};

static void
part_write(struct saver *s, bool is_last)
{
	struct tape_frame f = { .kind = TAPE_CHECKPOINT,
		.is_last = is_last,
		.step = s->written };
	size_t n = TAPE_FRAME_HEAD + s->n;

	tape_seal(s->part, &f, s->n);
	if (!s->failed)
		s->failed = !s->write(s->ctx, s->at, s->part, n);
	s->written += s->n;
	s->at += n;
	s->n = 0;
}

static void
saver_put(void *ctx, const void *p, size_t n)
{
	struct saver *s = ctx;
	const char *from = p;

	while (n > 0) {
		size_t k = MIN(n, TAPE_PART - s->n);

		memcpy(s->part + TAPE_FRAME_HEAD + s->n, from, k);
		s->n += (uint32_t)k;
		from += k;
		n -= k;
		if (s->n == TAPE_PART)
			part_write(s, false);
	}
}

bool
tape_checkpoint(const struct eng *e, const struct tape_header *h,
    unsigned char *part,
    bool (*write)(void *ctx, uint64_t at, const void *p, size_t n), void *ctx)
{
	struct saver s = { .part = part,
		.at = TAPE_HEADER,
		.write = write,
		.ctx = ctx };
	struct image_out out = { saver_put, &s };
	unsigned char header[TAPE_HEADER];

	eng_save(e, &out);
	part_write(&s, true);
	ASSERT(s.at <= h->events_at);
	tape_header_put(header, h);
	return !s.failed && write(ctx, 0, header, sizeof(header));
}

/* ---- reading ----------------------------------------------------------------------- */

static int rotten(struct tape *t, const char *what)
    __attribute__((warn_unused_result));
static int
rotten(struct tape *t, const char *what)
{
	if (t->why[0] == '\0')
		snprintf(t->why, sizeof(t->why), "at byte %zu: %s", t->at,
		    what);
	return E_CORRUPT;
}

int
tape_open(struct tape *t, struct slice file)
{
	struct cursor c = cursor_of(file);
	struct tape_header *h = &t->header;
	static const char zero[8];
	uint32_t version, crc;

	*t = (struct tape){ .file = file };
	/* The header comes last: zeroes, or nothing, stand in its place. */
	t->is_unborn = memcmp(file.n < 8 ? zero : file.p, zero, 8) == 0;
	if (file.n < TAPE_HEADER || t->is_unborn)
		return rotten(t, "its checkpoint was never finished");
	if (!slice_eq(cursor_take(&c, 8), slice_of(MAGIC, 8)))
		return rotten(t, "it is not a recording");
	version = cursor_u32(&c);
	crc = cursor_u32(&c);
	if (version != VERSION) {
		snprintf(t->why, sizeof(t->why),
		    "its format is version %u, this program reads %u", version,
		    VERSION);
		return E_VERSION;
	}
	if (crc32c(0, file.p + 16, TAPE_HEADER - 16) != crc)
		return rotten(t, "the header's checksum is wrong");
	h->layout = cursor_u64(&c);
	h->run = cursor_u64(&c);
	h->number = cursor_u64(&c);
	h->step = cursor_u64(&c);
	h->hash = cursor_u64(&c);
	h->now_us = (int64_t)cursor_u64(&c);
	h->wall_us = (int64_t)cursor_u64(&c);
	h->events_at = cursor_u64(&c);
	memcpy(h->version, file.p + 96, sizeof(h->version) - 1);
	for (char *v = h->version; *v != '\0'; v++) /* it is shown */
		if (*v <= ' ' || *v > '~')
			*v = '?';
	if (h->events_at < TAPE_HEADER || h->events_at > INT64_MAX ||
	    h->now_us < 0)
		return rotten(t, "the header makes no sense");
	t->at = TAPE_HEADER;
	t->now_us = h->now_us;
	t->step = h->step;
	t->hash = h->hash;
	return 0;
}

/* The frame at t->at becomes the present one: 1; 0 at the end of the file. */
static int
next_frame(struct tape *t, enum tape_kind kind)
{
	struct slice rest = slice_skip(t->file, t->at);
	struct cursor c = cursor_of(rest);
	uint32_t magic, crc, is_kind, flags, n;

	if (rest.n == 0)
		return 0;
	magic = cursor_u32(&c);
	crc = cursor_u32(&c);
	is_kind = cursor_u32(&c);
	flags = cursor_u32(&c);
	n = cursor_u32(&c);
	cursor_u32(&c);
	t->f.step = cursor_u64(&c);
	t->f.hash = cursor_u64(&c);
	t->f.now_us = (int64_t)cursor_u64(&c);
	if (!c.bad && (magic != FRAME_MAGIC || n > TAPE_FRAME_MAX))
		return rotten(t, "no frame begins here");
	if (c.bad || n > c.s.n) {
		t->is_cut = true;
		return 0;
	}
	if (crc32c(0, rest.p + 8, TAPE_FRAME_HEAD - 8 + n) != crc)
		return rotten(t, "a frame's checksum is wrong");
	if (is_kind != (uint32_t)kind)
		return rotten(t, "a frame of another kind");
	t->f.kind = kind;
	t->f.is_last = flags & FLAG_LAST;
	t->frame = slice_of(c.s.p, n);
	t->at += TAPE_FRAME_HEAD + n;
	return 1;
}

struct loader {
	struct tape *t;
	uint64_t read;
	int err;
};

static bool
loader_get(void *ctx, void *p, size_t n)
{
	struct loader *l = ctx;
	struct tape *t = l->t;
	char *to = p;

	while (n > 0 && l->err == 0) {
		size_t k = MIN(n, t->frame.n);

		if (k > 0)
			memcpy(to, t->frame.p, k);
		t->frame = slice_skip(t->frame, k);
		to += k;
		n -= k;
		l->read += k;
		if (n == 0)
			break;
		if (t->f.is_last || next_frame(t, TAPE_CHECKPOINT) != 1)
			l->err = rotten(t, "the checkpoint is cut short");
		else if (t->f.step != l->read)
			l->err = rotten(t,
			    "a part of the checkpoint is "
			    "missing");
	}
	return l->err == 0;
}

int
tape_load(struct tape *t, struct eng_policy *policy, struct eng **out)
{
	struct loader l = { .t = t };
	struct image_in in = { loader_get, &l };
	char why[128] = "";
	int err;

	t->at = TAPE_HEADER;
	t->f = (struct tape_frame){ 0 };
	t->frame = slice_of(NULL, 0);
	err = eng_load(&in, policy, out, why, sizeof(why));
	if (err == 0 && (t->frame.n != 0 || !t->f.is_last)) {
		eng_free(*out);
		*out = NULL;
		err = rotten(t, "something follows the checkpoint");
	}
	if (err != 0 && t->why[0] == '\0')
		snprintf(t->why, sizeof(t->why), "its checkpoint (%s): %s",
		    t->header.version, why);
	t->frame = slice_of(NULL, 0);
	t->at = (size_t)MIN(t->header.events_at, t->file.n);
	t->f = (struct tape_frame){ 0 };
	return err;
}

/* The next frame of events, which goes on where the last one ended. */
static int
next_events(struct tape *t)
{
	int k;

	if (t->f.kind == TAPE_EVENTS && t->f.hash != t->hash)
		return rotten(t,
		    "the frame's hash is not that of its "
		    "commands");
	if (t->f.kind == TAPE_EVENTS && t->f.is_last)
		return 0;
	k = next_frame(t, TAPE_EVENTS);
	if (k != 1)
		return k;
	if (t->f.step != t->step || t->f.now_us != t->now_us)
		return rotten(t,
		    "the frame does not go on where the last one "
		    "ended");
	return 1;
}

/* Commands of a step: walked over once, so that who shows them cannot fail. */
static int
take_commands(struct tape *t, int64_t now_us, struct slice *out)
{
	struct slice all = t->frame;
	struct eng_cmd cmd;
	uint64_t n;

	if (eng_varint_get(&t->frame, &n) != 0)
		return rotten(t, "a step's commands");
	all = t->frame;
	for (; n > 0; n--)
		if (eng_cmd_get(&t->frame, now_us, &cmd) != 0)
			return rotten(t, "a step's commands");
	*out = slice_of(all.p, all.n - t->frame.n);
	return 0;
}

int
tape_next(struct tape *t, struct eng_policy *policy, struct tape_step *out)
{
	uint64_t passed;
	int k;

	while (t->frame.n == 0) {
		k = next_events(t);
		if (k != 1)
			return k;
	}
	if (eng_varint_get(&t->frame, &passed) != 0 ||
	    passed > (uint64_t)(INT64_MAX / 4) || t->now_us > INT64_MAX / 2)
		return rotten(t, "a step's time");
	out->now_us = t->now_us + (int64_t)passed;
	if (eng_event_get(&t->frame, out->now_us, &out->ev, policy) != 0)
		return rotten(t, "a step's event");
	k = take_commands(t, out->now_us, &out->commands);
	if (k != 0)
		return k;
	t->now_us = out->now_us;
	t->step++;
	t->hash = tape_hash(t->hash, out->commands.p, out->commands.n);
	return 1;
}

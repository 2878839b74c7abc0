/*
 * spool/scan.c - what a start finds: every segment in the order of its number,
 * by its footer or, without a good one, record by record.
 *
 * A later record of a message replaces an earlier one (compaction wrote it);
 * outcomes are applied in the order of the log. A message lives on when some
 * recipient is not final or is owed a notice. Damage is set aside with a
 * report; nothing is dropped in silence. In the newest segment the log ends at
 * the first place behind which no record of this segment is found; what looks
 * like a record there was not acknowledged or is damaged, and is reported.
 */
#include "spool/keep.h"
#include "spool/spool_i.h"

/* What an owed notice has to say. */
struct found_text {
	struct found_text *next; /* older ones of the message */
	struct slice text, mta;
	uint16_t rcpt;
	char bytes[];
};

/* Beside the slot, which has the states, until the message is emitted. */
struct found {
	char *env;
	struct found_text *texts;
	uint32_t env_n;
};

struct scan {
	struct map by_id;    /* hash of id, probed -> slot index */
	struct found *found; /* by slot index */
	struct keep envs;    /* of found */
	uint32_t *order;     /* files, oldest first */
	uint32_t found_cap, norder;
	uint32_t emit; /* slot index to emit next */
	bool is_read, is_newest;
	struct spool_rcpt *out; /* of the message being emitted */
	char *raw;              /* a window on the segment that is read */
	uint32_t raw_at, raw_n, raw_cap;
	int raw_err;
	uint32_t seen;      /* how far the segment was read */
	uint32_t gap;       /* its last block that cannot be read, 0: all can */
	uint32_t reading;   /* file */
	uint32_t footer_at; /* in it */
};

#define STAY_STEP (1u << 20) /* written anew at a time */
#define WINDOW (1u << 20)    /* read at a time; a larger record is read whole */

/* ---- the table ------------------------------------------------------------------ */

static uint64_t
probe_key(const struct msgid *id, uint32_t try)
{
	return msgid_hash(id) + try * UINT64_C(0x9e3779b97f4a7c15);
}

static uint32_t
find(struct spool *s, const struct msgid *id)
{
	for (uint32_t try = 0; try < 8; try++) {
		uint32_t i = map_get(&s->scan->by_id, probe_key(id, try));
		struct slot *slot;

		if (!i)
			return 0;
		slot = pool_at(&s->slots, i);
		if (msgid_eq(&slot->id, id))
			return i;
	}
	return 0;
}

static int
table_put(struct spool *s, const struct msgid *id, uint32_t index)
{
	for (uint32_t try = 0; try < 8; try++)
		if (!map_get(&s->scan->by_id, probe_key(id, try)))
			return map_put(&s->scan->by_id, probe_key(id, try),
			    index);
	return E_FULL;
}

static int
found_fits(struct scan *sc, uint32_t index)
{
	uint32_t cap = MAX(sc->found_cap, 1024u);
	struct found *v;

	if (index < sc->found_cap)
		return 0;
	while (cap <= index)
		cap *= 2;
	v = mem_grow(sc->found, cap * sizeof(*v));
	if (!v)
		return E_NOMEM;
	memset(v + sc->found_cap, 0, (cap - sc->found_cap) * sizeof(*v));
	sc->found = v;
	sc->found_cap = cap;
	return 0;
}

static int
text_add(struct found *f, const struct entry *e)
{
	struct found_text *t = mem_try(sizeof(*t) + e->text.n + e->mta.n);

	if (!t)
		return E_NOMEM;
	t->rcpt = e->rcpt;
	t->text = slice_of(t->bytes, e->text.n);
	t->mta = slice_of(t->bytes + e->text.n, e->mta.n);
	memcpy(t->bytes, e->text.p, e->text.n);
	memcpy(t->bytes + e->text.n, e->mta.p, e->mta.n);
	t->next = f->texts;
	f->texts = t;
	return 0;
}

static void
found_free(struct scan *sc, struct found *f)
{
	struct found_text *t = f->texts, *next;

	for (; t; t = next) {
		next = t->next;
		mem_free(t);
	}
	keep_drop(&sc->envs, f->env, f->env_n);
	memset(f, 0, sizeof(*f));
}

/* Puts all envelopes anew, so that blocks with few of them are given back. */
static void
envs_move(struct scan *sc)
{
	keep_turn(&sc->envs);
	for (uint32_t i = 1; i < sc->found_cap; i++) {
		struct found *f = &sc->found[i];
		char *p;

		if (!f->env)
			continue;
		p = keep_put(&sc->envs, slice_of(f->env, f->env_n));
		if (!p)
			return; /* no harm: the rest stays where it is */
		keep_drop(&sc->envs, f->env, f->env_n);
		f->env = p;
	}
}

/* A message's place: new, or a later copy of one already seen. */
static int
on_message(struct spool *s, const struct msgid *id, uint32_t offset,
    uint32_t body_bytes, uint32_t nrcpt, struct slice env, struct slot **out)
{
	struct scan *sc = s->scan;
	uint32_t index = find(s, id);
	struct segment *g = &s->seg[sc->reading];
	struct slot *slot;
	struct handle h;
	struct found *f;
	int err;

	if (nrcpt == 0 || nrcpt > RCPTS_MAX)
		return E_CORRUPT;
	if (index) {
		slot = pool_at(&s->slots, index);
		f = &sc->found[index];
		slot_leave(s, slot->segment,
		    (uint64_t)slot->env_bytes + slot->body_bytes);
		found_free(sc, f);
		slot_states_free(slot);
	} else {
		slot = pool_take(&s->slots, &h);
		if (!slot)
			return E_NOMEM;
		slot->id = *id;
		if ((err = found_fits(sc, h.index)) ||
		    (err = table_put(s, id, h.index))) {
			pool_give(&s->slots, h.index);
			return err;
		}
		f = &sc->found[h.index];
	}
	slot->segment = sc->reading;
	slot->offset = offset;
	slot->env_bytes = (uint32_t)env.n;
	slot->body_bytes = body_bytes;
	slot->nrcpt = (uint16_t)nrcpt;
	g->live++;
	g->live_bytes += (uint64_t)env.n + body_bytes;
	if (keep_is_sparse(&sc->envs))
		envs_move(sc);
	f->env = keep_put(&sc->envs, env);
	f->env_n = (uint32_t)env.n;
	*out = slot;
	return f->env ? 0 : E_NOMEM;
}

static int
on_entry(struct spool *s, const struct entry *e)
{
	struct scan *sc = s->scan;
	uint32_t index = find(s, &e->id);
	struct slot *slot = index ? pool_at(&s->slots, index) : NULL;
	struct rcpt_state *states;

	if (sc->is_newest)
		footer_note(s, e);
	if (!slot || e->rcpt >= slot->nrcpt)
		return 0;
	states = slot_states_need(slot);
	if (!states)
		return E_NOMEM;
	state_put(&states[e->rcpt], &e->state);
	return e->state.is_owed ? text_add(&sc->found[index], e) : 0;
}

static int
on_entries(struct spool *s, struct slice payload)
{
	struct cursor c = cursor_of(payload);
	struct entry e;
	int err = 0;

	while (!err && entry_next(&c, &e))
		err = on_entry(s, &e);
	return err ? err : c.bad ? E_CORRUPT : 0;
}

/* ---- footers ------------------------------------------------------------------------ */

static int
footer_messages(struct spool *s, struct slice payload)
{
	struct cursor c = cursor_of(payload);
	struct rcpt_state *states;
	struct slot *slot;
	struct msgid id;
	struct slice raw, env;
	uint32_t offset, env_n, body, nrcpt;
	bool has_states;
	int err;

	while (c.s.n && !c.bad) {
		raw = cursor_take(&c, sizeof(id.b));
		if (c.bad)
			break;
		memcpy(id.b, raw.p, sizeof(id.b));
		offset = cursor_u32(&c);
		env_n = cursor_u32(&c);
		body = cursor_u32(&c);
		nrcpt = cursor_u16(&c);
		has_states = cursor_u16(&c);
		env = cursor_take(&c, env_n);
		if (c.bad)
			break;
		err = on_message(s, &id, offset, body, nrcpt, env, &slot);
		if (err)
			return err;
		states = has_states ? slot_states_need(slot) : NULL;
		if (has_states && !states)
			return E_NOMEM;
		for (uint32_t i = 0; has_states && i < nrcpt; i++)
			state_decode(&c, &states[i]);
	}
	return c.bad ? E_CORRUPT : 0;
}

/* Reads a segment by its footer. E_NOTFOUND, E_CORRUPT: read it whole. */
static int
read_footer(struct spool *s, uint32_t file)
{
	struct segment *g = &s->seg[file];
	char raw[20], header[RECORD_HEADER], *payload;
	struct cursor c;
	struct record r;
	uint32_t at, n;
	int err;

	err = disk_read_full(s->disk, file, g->bytes - SPOOL_BLOCK, raw,
	    sizeof(raw));
	if (err)
		return err;
	c = cursor_of(slice_of(raw, sizeof(raw)));
	if (cursor_u32(&c) != FOOTER_MAGIC)
		return E_NOTFOUND;
	at = cursor_u32(&c);
	if (cursor_u64(&c) != g->stamp ||
	    cursor_u32(&c) != crc32c(0, raw, 16) || at > g->bytes)
		return E_NOTFOUND;
	err = disk_read_full(s->disk, file, at, header, sizeof(header));
	if (err || record_decode(header, &r) || r.type != REC_FOOTER ||
	    r.stamp != g->stamp || (uint64_t)at + record_bytes(&r) > g->bytes)
		return E_CORRUPT;
	s->scan->footer_at = at;
	n = r.env_bytes + r.extra_bytes;
	payload = mem_try(n + 1);
	if (!payload)
		return E_NOMEM;
	err = disk_read_full(s->disk, file, at + RECORD_HEADER, payload, n);
	if (!err && crc32c(0, payload, n) != r.crc)
		err = E_CORRUPT;
	if (!err)
		err = footer_messages(s, slice_of(payload, r.env_bytes));
	if (!err)
		err = on_entries(s,
		    slice_of(payload + r.env_bytes, r.extra_bytes));
	mem_free(payload);
	return err;
}

/* ---- record by record ------------------------------------------------------------------- */

/* Fills the window block by block. What cannot be read is zero. */
static int
read_blocks(struct spool *s, uint32_t at, uint32_t n)
{
	struct scan *sc = s->scan;
	struct disk *d = s->disk;
	uint32_t step, off;
	int64_t got;

	for (uint32_t i = 0; i < n; i += step) {
		off = (at + i) % SPOOL_BLOCK;
		step = MIN(SPOOL_BLOCK - off, n - i);
		got = d->ops->read(d, sc->reading, at + i, sc->raw + i, step);
		if (got == E_IO) {
			sc->gap = MAX(sc->gap, at + i - off);
			got = 0;
		}
		if (got < 0)
			return (int)got;
		memset(sc->raw + i + got, 0, step - (size_t)got);
	}
	return 0;
}

static int
window_fits(struct scan *sc, uint32_t n)
{
	char *p;

	if (n <= sc->raw_cap)
		return 0;
	p = mem_grow(sc->raw, n);
	if (!p)
		return E_NOMEM;
	sc->raw = p;
	sc->raw_cap = n;
	return 0;
}

static int
window_fill(struct spool *s, uint32_t at, uint32_t n)
{
	struct scan *sc = s->scan;
	int err = window_fits(sc, n);
	int64_t got;

	if (err)
		return err;
	got = s->disk->ops->read(s->disk, sc->reading, at, sc->raw, n);
	if (got == E_IO)
		return read_blocks(s, at, n);
	if (got < 0)
		return (int)got;
	memset(sc->raw + got, 0, n - (size_t)got);
	return 0;
}

/* n bytes of the segment, good until the next call; zeroes where the file is
 * short or cannot be read. NULL: raw_err tells why, and stays. */
static const char *
bytes_at(struct spool *s, uint32_t at, uint32_t n)
{
	struct scan *sc = s->scan;
	uint32_t want = MIN(MAX(n, WINDOW), s->seg[sc->reading].bytes - at);

	if (sc->raw_err)
		return NULL;
	if (at >= sc->raw_at && at + n <= sc->raw_at + sc->raw_n)
		return sc->raw + (at - sc->raw_at);
	sc->raw_n = 0;
	sc->raw_err = window_fill(s, at, want);
	if (sc->raw_err)
		return NULL;
	sc->raw_at = at;
	sc->raw_n = want;
	sc->seen = MAX(sc->seen, at + want);
	return sc->raw;
}

static void
damaged(struct spool *s, uint32_t from, uint32_t to, const struct msgid *id,
    const char *what)
{
	struct spool_damage d = { .file = s->scan->reading,
		.offset = from,
		.length = to - from,
		.what = what };
	const char *p = bytes_at(s, from, to - from);

	if (!p)
		return; /* the start fails */
	if (id) {
		d.has_id = true;
		d.id = *id;
	}
	damage_add(s, &d, slice_of(p, to - from));
}

/* A header of this segment at `at`, whole inside it? */
static bool
header_at(struct spool *s, uint32_t at, struct record *r)
{
	struct segment *g = &s->seg[s->scan->reading];
	const char *p = NULL;

	if ((uint64_t)at + RECORD_HEADER <= g->bytes)
		p = bytes_at(s, at, RECORD_HEADER);
	return p && record_decode(p, r) == 0 && r->stamp == g->stamp &&
	    (uint64_t)at + record_bytes(r) <= g->bytes;
}

static uint32_t
word_at(struct spool *s, uint32_t at)
{
	const char *p = bytes_at(s, at, 4);
	struct cursor c = cursor_of(slice_of(p, p ? 4 : 0));

	return cursor_u32(&c);
}

/* Is there something at the log's end that once was ours? */
static bool
looks_ours(struct spool *s, uint32_t at)
{
	struct segment *g = &s->seg[s->scan->reading];
	struct cursor c;
	const char *p;

	if ((uint64_t)at + RECORD_HEADER > g->bytes ||
	    !(p = bytes_at(s, at, RECORD_HEADER)))
		return false;
	c = cursor_of(slice_of(p + 32, 8));
	return cursor_u64(&c) == g->stamp || word_at(s, at) == RECORD_MAGIC;
}

/* A header where one bit went wrong, so that the record is known by its name
 * and its length. */
static bool
rotten_header_at(struct spool *s, uint32_t at, struct record *r)
{
	struct segment *g = &s->seg[s->scan->reading];
	const char *p = NULL;

	if (looks_ours(s, at))
		p = bytes_at(s, at, RECORD_HEADER);
	return p && record_repair(p, r) == 0 && r->stamp == g->stamp &&
	    (uint64_t)at + record_bytes(r) <= g->bytes;
}

/* What stands behind a header that could be told. A message is set aside: its
 * readers would stumble over it. */
static int
read_rotten(struct spool *s, uint32_t at, const struct record *r)
{
	const char *p = NULL;
	int err = E_CORRUPT;

	if (r->type == REC_WIPED)
		return 0;
	if (r->type == REC_OUTCOMES)
		p = bytes_at(s, at + RECORD_HEADER, r->env_bytes);
	if (p && crc32c(0, p, r->env_bytes) == r->crc)
		err = on_entries(s, slice_of(p, r->env_bytes));
	if (err != E_CORRUPT)
		return err;
	damaged(s, at, at + record_bytes(r),
	    r->type == REC_MESSAGE ? &r->id : NULL, "record header is damaged");
	return 0;
}

/* One good header's record. 0, E_NOMEM, or what the disk said. */
static int
read_record(struct spool *s, uint32_t at, const struct record *r)
{
	uint32_t n = r->env_bytes + r->body_bytes + r->extra_bytes;
	struct slice extra;
	struct slot *slot;
	const char *p;
	int err = 0;

	if (r->type == REC_WIPED)
		return 0;
	p = bytes_at(s, at, RECORD_HEADER + n);
	if (!p)
		return s->scan->raw_err;
	p += RECORD_HEADER;
	extra = slice_of(p + r->env_bytes + r->body_bytes, r->extra_bytes);
	if (crc32c(0, p, n) != r->crc) {
		damaged(s, at, at + record_bytes(r),
		    r->type == REC_MESSAGE ? &r->id : NULL,
		    "record failed its checksum");
		return 0;
	}
	if (r->type == REC_MESSAGE && r->nrcpt == 0) {
		err = on_entries(s, extra); /* debts that were waived */
	} else if (r->type == REC_MESSAGE) {
		err = on_message(s, &r->id, at, r->body_bytes, r->nrcpt,
		    slice_of(p, r->env_bytes), &slot);
		if (!err)
			err = on_entries(s, extra);
	} else if (r->type == REC_OUTCOMES)
		err = on_entries(s, slice_of(p, r->env_bytes));
	if (err == E_CORRUPT) {
		damaged(s, at, at + record_bytes(r), NULL,
		    "record is malformed");
		err = 0;
	}
	return err;
}

/* The next place at or behind `at` with a header of this segment, or 0. */
static uint32_t
resync(struct spool *s, uint32_t at)
{
	struct segment *g = &s->seg[s->scan->reading];
	struct record r;

	for (; (uint64_t)at + RECORD_HEADER <= g->bytes; at += 8)
		if (word_at(s, at) == RECORD_MAGIC && header_at(s, at, &r))
			return at;
	return 0;
}

static uint32_t
block_up(uint32_t at)
{
	return (at + SPOOL_BLOCK - 1) & ~(SPOOL_BLOCK - 1);
}

/* A record of an earlier use of the file: none of ours ever stood there. */
static bool
is_stale(struct spool *s, uint32_t at)
{
	const struct segment *g = &s->seg[s->scan->reading];
	const char *p = bytes_at(s, at, RECORD_HEADER);
	struct record r;

	return p && record_decode(p, &r) == 0 && r.stamp != g->stamp;
}

/* Is it the end of a group, all zeroes to the block's end? */
static bool
is_padding(struct spool *s, uint32_t at)
{
	uint32_t n = block_up(at) - at;
	const char *p = n ? bytes_at(s, at, n) : NULL;

	for (uint32_t i = 0; p && i < n; i++)
		if (p[i])
			return false;
	return p != NULL;
}

/* Where the group ends whose record stands at `at`, if it is the first. */
static uint32_t
group_end(const struct spool *s, uint32_t at, const struct record *r)
{
	uint32_t bytes = s->seg[s->scan->reading].bytes;

	return at + MIN(r->group_bytes, bytes - at);
}

/* No record stands at `at`, in a group that goes to `whole`. Sets aside what does
 * and returns where the next one is, 0 at the end of the log, which moves behind
 * what was set aside. */
static uint32_t
skip_damage(struct spool *s, uint32_t *at, uint32_t whole)
{
	struct segment *g = &s->seg[s->scan->reading];
	uint32_t next = resync(s, *at), end = block_up(*at + 1);

	if (next)
		damaged(s, *at, next, NULL, "bytes that are no record");
	else if (*at < whole) {
		damaged(s, *at, whole, NULL, "the last group has a hole");
		*at = block_up(whole);
	} else if ((*at % SPOOL_BLOCK || looks_ours(s, *at)) &&
	    !is_stale(s, *at)) {
		damaged(s, *at, MIN(end, g->bytes), NULL,
		    "end of the log is torn or damaged");
		*at = end;
	}
	return next;
}

/* Reads what the scan had no need of, for gaps. */
static void
read_rest(struct spool *s)
{
	struct scan *sc = s->scan;
	uint32_t bytes = s->seg[sc->reading].bytes;

	while (sc->seen < bytes && bytes_at(s, sc->seen, 1))
		;
}

/* Reads a whole segment; *end is where its log ends, *group its last group. */
static int
read_records(struct spool *s, uint32_t file, uint32_t *end, uint32_t *group)
{
	struct segment *g = &s->seg[file];
	uint32_t at = SPOOL_BLOCK, next, whole = 0;
	struct scan *sc = s->scan;
	struct record r;
	int err = 0;

	*group = 0;
	sc->raw_n = sc->seen = sc->gap = 0; /* of another file */
	while (!err && (uint64_t)at + RECORD_HEADER <= g->bytes) {
		if (header_at(s, at, &r) && r.type == REC_FOOTER) {
			/* Without a trailer: groups may stand behind it. */
			if ((next = resync(s, at + RECORD_HEADER)) == 0)
				break;
			at = next;
		} else if (header_at(s, at, &r)) {
			err = read_record(s, at, &r);
			*group = r.group;
			whole = MAX(whole, group_end(s, at, &r));
			at += record_bytes(&r);
		} else if (at >= whole && is_padding(s, at)) {
			at = block_up(at);
		} else if (rotten_header_at(s, at, &r)) {
			err = read_rotten(s, at, &r);
			whole = MAX(whole, group_end(s, at, &r));
			at += record_bytes(&r);
		} else if ((next = skip_damage(s, &at, whole)))
			at = next;
		else
			break;
	}
	*end = block_up(at);
	read_rest(s);
	if (!err && !sc->raw_err && sc->gap >= *end) {
		damaged(s, sc->gap, g->bytes, NULL, "cannot be read");
		*end = g->bytes; /* nothing is written behind it */
	}
	return err ? err : sc->raw_err;
}

/* ---- the whole scan ------------------------------------------------------------------------- */

/* Damage of whole segments: nothing of it can be saved. */
static void
segment_damage(struct spool *s, uint32_t file, uint64_t from, uint64_t to,
    const char *what)
{
	struct spool_damage d = { .file = file,
		.offset = (uint32_t)from,
		.length = (uint32_t)(to - from),
		.what = what };

	damage_add(s, &d, slice_of("", 0));
}

/* A file without a header: made and not yet begun, or the header is lost. Then
 * it is left as it is. */
static void
without_header(struct spool *s, uint32_t file, int err)
{
	struct segment *g = &s->seg[file];

	g->seq = 0;
	if (err == E_NOTFOUND) {
		g->state = SEG_FREE;
		s->nfree++;
		return;
	}
	g->state = SEG_NONE;
	segment_damage(s, file, 0, MIN(g->file_bytes, UINT32_MAX),
	    "segment header is lost; the file is left alone");
}

/* One that a crash left half made is last; on a full disk it would stand in
 * the way of those that are whole. */
static void
remove_half_made(struct spool *s)
{
	struct segment *g = &s->seg[s->nfiles];

	if (s->is_read_only || s->nfiles == 0 || g->state != SEG_FREE ||
	    g->file_bytes >= s->conf.segment_bytes ||
	    disk_simple(s, DISK_REMOVE, s->nfiles, 0))
		return;
	g->state = SEG_NONE;
	s->nfiles--;
	s->nfree--;
	s->stats.segments--;
}

static int
enumerate(struct spool *s, char *why, size_t why_cap)
{
	struct scan *sc = s->scan;
	uint32_t file = 0, k;
	uint64_t bytes;
	int err;

	while ((file = s->disk->ops->next_file(s->disk, file, &bytes))) {
		if (file >= SPOOL_SEGMENTS)
			break;
		s->nfiles = file;
		s->stats.segments++;
		list_init(&s->seg[file].link);
		s->seg[file].file_bytes = bytes;
		err = segment_header_read(s, file, bytes);
		if (err == E_NOTFOUND || err == E_CORRUPT) {
			without_header(s, file, err);
			continue;
		}
		if (err) {
			snprintf(why, why_cap, "segment file %u: %s", file,
			    err_text(err));
			return err;
		}
		s->seg[file].state = SEG_SEALED;
		s->next_seq = MAX(s->next_seq, s->seg[file].seq + 1);
		for (k = sc->norder++;
		     k > 0 && s->seg[sc->order[k - 1]].seq > s->seg[file].seq;
		     k--)
			sc->order[k] = sc->order[k - 1];
		sc->order[k] = file;
	}
	remove_half_made(s);
	return 0;
}

/* Segments are begun one after the other and used again in that order, so
 * their numbers have no gap, and each is as long as it says. */
static void
check_row(struct spool *s)
{
	struct scan *sc = s->scan;

	for (uint32_t i = 0; i < sc->norder; i++) {
		uint32_t file = sc->order[i];
		struct segment *g = &s->seg[file];

		if (i && g->seq != s->seg[sc->order[i - 1]].seq + 1)
			segment_damage(s, file, 0, 0,
			    "segments before this one are missing");
		if (g->file_bytes < g->bytes)
			segment_damage(s, file, g->file_bytes, g->bytes,
			    "segment file is cut short");
	}
}

int
scan_begin(struct spool *s, char *why, size_t why_cap)
{
	int err;

	s->scan = mem_try(sizeof(*s->scan));
	if (!s->scan ||
	    !(s->scan->order = mem_try(SPOOL_SEGMENTS * sizeof(uint32_t))))
		return E_NOMEM;
	map_init(&s->scan->by_id, s->conf.seed, SLOTS_MAX);
	if ((err = enumerate(s, why, why_cap)))
		return err;
	check_row(s);
	return 0;
}

void
scan_free(struct spool *s)
{
	struct scan *sc = s->scan;

	if (!sc)
		return;
	for (uint32_t i = 1; i < sc->found_cap; i++)
		found_free(sc, &sc->found[i]);
	keep_turn(&sc->envs);
	map_free(&sc->by_id);
	mem_free(sc->found);
	mem_free(sc->order);
	mem_free(sc->out);
	mem_free(sc->raw);
	mem_free(sc);
	s->scan = NULL;
}

/* The newest segment, read record by record, is gone on with. */
static void
go_on_with(struct spool *s, uint32_t file, uint32_t end, uint32_t group)
{
	/* Nor with one that holds nothing yet: a crash may have left it with one
	 * new header and old copies of it. */
	if (s->is_read_only || s->seg[file].bytes != s->conf.segment_bytes ||
	    s->seg[file].file_bytes < s->conf.segment_bytes || group == 0 ||
	    (uint64_t)end + 16 * SPOOL_BLOCK > s->conf.segment_bytes)
		return;
	list_remove(&s->seg[file].link);
	s->seg[file].state = SEG_CURRENT;
	s->current = file;
	s->at = end;
	s->group = group + 1;
}

/* Writes n bytes as they are; what cannot be read is left out, and no more of
 * what stands beside it than its block. raw takes STAY_STEP. */
static int
write_anew(struct spool *s, uint32_t file, uint32_t at, uint32_t n, char *raw)
{
	struct slice iov = slice_of(raw, 0);
	uint32_t end = at + n, step = STAY_STEP;
	int err = 0;

	for (; !err && at < end; at += (uint32_t)iov.n) {
		iov.n = MIN(end - at, step);
		if (disk_read_full(s->disk, file, at, raw, iov.n) == 0)
			err = disk_write(s, file, at, &iov, 1);
		else if (step > SPOOL_BLOCK)
			iov.n = 0; /* the same, in smaller pieces */
		step = iov.n ? STAY_STEP : SPOOL_BLOCK;
	}
	return err;
}

/* What was read is relied on from here on, so it must be made to stay: the log
 * between from and end, and where a footer's trailer would be that there is
 * none. The last group may never have been synced; and what a failed sync lost
 * can be read as long as the power stays on, but no other sync writes it. So
 * all of it is written as it is. What cannot be read is not relied on. A file
 * system that writes elsewhere may have no room for that: then a sync must
 * do. */
static int
make_stay(struct spool *s, uint32_t file, uint32_t from, uint32_t end)
{
	uint32_t trailer = s->seg[file].bytes - SPOOL_BLOCK;
	char *raw = mem_try(STAY_STEP);
	int err = raw ? write_anew(s, file, from, end - from, raw) : E_NOMEM;

	if (!err && end <= trailer)
		err = write_anew(s, file, trailer, SPOOL_BLOCK, raw);
	mem_free(raw);
	return err && err != E_NOSPC ? err : disk_sync(s, file);
}

static int
read_segment(struct spool *s, uint32_t file, bool is_newest)
{
	struct scan *sc = s->scan;
	uint32_t end = s->seg[file].bytes, group = 0;
	bool has_footer;
	int err;

	sc->reading = file;
	sc->is_newest = false;
	list_push_tail(&s->sealed, &s->seg[file].link);
	err = read_footer(s, file);
	has_footer = err != E_NOTFOUND && err != E_CORRUPT && err != E_IO;
	if (!has_footer) {
		sc->is_newest = is_newest;
		err = read_records(s, file, &end, &group);
	}
	if (!err && !s->is_read_only && (is_newest || !has_footer))
		err = make_stay(s, file, has_footer ? sc->footer_at : 0, end);
	if (!err && is_newest && !has_footer)
		go_on_with(s, file, end, group);
	return err;
}

/* Takes the dead out, and what lives in the newest segment into its footer. */
static void
settle(struct spool *s, uint32_t index)
{
	struct slot *slot = pool_at(&s->slots, index);
	struct found *f = &s->scan->found[index];
	struct rcpt_state *states = slot_states(slot);
	bool is_live = !states;

	for (uint32_t i = 0; states && i < slot->nrcpt; i++)
		is_live |= !states[i].is_final || states[i].is_owed;
	if (!is_live) {
		slot_leave(s, slot->segment,
		    (uint64_t)slot->env_bytes + slot->body_bytes);
		found_free(s->scan, f);
		slot_states_free(slot);
		pool_give(&s->slots, index);
		return;
	}
	s->stats.messages++;
	s->stats.bytes += (uint64_t)slot->env_bytes + slot->body_bytes;
	if (slot->segment == s->current) {
		buf_add_u32(&s->draft, index);
		buf_add_u32(&s->draft, pool_handle(&s->slots, index).gen);
		buf_add_u32(&s->draft, slot->offset);
		buf_add_u32(&s->draft, f->env_n);
		buf_add(&s->draft, f->env, f->env_n);
	}
}

static int
read_all(struct spool *s)
{
	struct scan *sc = s->scan;
	int err = 0;

	for (uint32_t i = 0; !err && i < sc->norder; i++)
		err = read_segment(s, sc->order[i], i + 1 == sc->norder);
	/* A file that a crash left behind may be in no synced directory. */
	if (!err && s->nfiles && !s->is_read_only)
		err = disk_simple(s, DISK_SYNC_DIR, 0, 0);
	mem_free(sc->raw);
	sc->raw = NULL;
	sc->raw_n = sc->raw_cap = 0;
	for (uint32_t i = 1; !err && i < s->slots.next_new; i++)
		if (pool_is_live(&s->slots, i))
			settle(s, i);
	if (keep_is_sparse(&sc->envs))
		envs_move(sc);
	sc->is_read = true;
	sc->emit = 1;
	return err;
}

static int
emit(struct spool *s, struct spool_found *out)
{
	struct scan *sc = s->scan;
	struct slot *slot = pool_at(&s->slots, sc->emit);
	struct found *f = &sc->found[sc->emit];
	struct rcpt_state *states = slot_states(slot);
	struct spool_rcpt *r;

	mem_free(sc->out);
	sc->out = mem_try(slot->nrcpt * sizeof(*sc->out));
	if (!sc->out)
		return E_NOMEM;
	for (uint32_t i = 0; states && i < slot->nrcpt; i++)
		sc->out[i] = rcpt_of(&states[i]);
	for (struct found_text *t = f->texts; t; t = t->next) {
		r = &sc->out[t->rcpt];
		if (r->is_owed && !r->text.p) { /* else a later one counts */
			r->text = t->text;
			r->mta = t->mta;
		}
	}
	*out = (struct spool_found){ .slot = pool_handle(&s->slots, sc->emit),
		.ref = { slot->segment, slot->offset, slot->env_bytes,
		    slot->body_bytes },
		.id = slot->id,
		.envelope = slice_of(f->env, f->env_n),
		.rcpts = sc->out,
		.nrcpt = slot->nrcpt };
	return 1;
}

int
spool_scan(struct spool *s, struct spool_found *f, struct spool_damage *d)
{
	struct scan *sc = s->scan;
	int err;

	if (!sc)
		return 0;
	if (!sc->is_read && (err = read_all(s)))
		return err;
	if (spool_take_damage(s, d))
		return 2;
	if (sc->emit > 1 && sc->emit - 1 < sc->found_cap)
		found_free(sc,
		    &sc->found[sc->emit - 1]); /* the caller's no more */
	for (; sc->emit < s->slots.next_new; sc->emit++)
		if (pool_is_live(&s->slots, sc->emit) &&
		    sc->emit < sc->found_cap && sc->found[sc->emit].env) {
			err = emit(s, f);
			sc->emit++;
			return err;
		}
	scan_free(s);
	s->is_scanned = true;
	segment_recycle(s);
	/* The first message shall not wait for a file to be made. */
	if (!s->is_read_only && !s->current && (err = segment_begin(s, true)))
		log_event(LOG_WARN, "spool", "what", "no segment to begin with",
		    "error", err_name(err), NULL);
	segment_room(s);
	return 0;
}

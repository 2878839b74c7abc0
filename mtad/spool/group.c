/*
 * spool/group.c - one group: what is queued, as one write and one sync.
 *
 * Order inside a group: outcomes first, then messages, so that a payment never
 * stands before its debt; outcomes that are too many for one group go alone. A
 * group begins on a block and is padded with zeroes
 * to a block. Its commits are reported only after its sync succeeded.
 */
#include "spool/spool_i.h"

#define HEADERS_MAX (GROUP_BYTES_MAX / 8)

#define WIPES_MAX 8 /* a write, unlike a sync, may well be tried again */

static const char zeroes[SPOOL_BLOCK];

struct group {
	uint32_t niov;
	uint64_t bytes;
	uint32_t entries; /* bytes of outcomes */
	char *head;       /* the header of its first record */
	struct record first;
	struct list commits;
};

/* Payments of a commit as entries, encoded into s->headers behind the record
 * header, whose room was reserved with it. Returns their extent. */
static struct slice
moved_states(struct spool *s, const struct spool_commit *c)
{
	struct slot *slot = pool_get(&s->slots, c->moves);
	const struct rcpt_state *states = slot ? slot_states(slot) : NULL;
	size_t before = s->headers.n;
	struct entry e = { .id = c->id };

	for (uint32_t i = 0; states && i < slot->nrcpt; i++) {
		e.rcpt = (uint16_t)i;
		e.state = states[i];
		if (entry_encode(&s->headers, &e))
			break;
	}
	return slice_of(s->headers.p + before, s->headers.n - before);
}

/* It is over: that it was late is of no account. */
static bool
is_past(const struct spool_commit *c, const struct rcpt_state *states,
    uint16_t rcpt)
{
	return c->pays_delay && states && states[rcpt].is_final;
}

static struct slice
payments(struct spool *s, const struct spool_commit *c)
{
	struct slot *paid = pool_get(&s->slots, c->pays_slot);
	const struct rcpt_state *states;
	size_t before = s->headers.n;
	struct entry e = { .is_payment = true };

	if (!paid || (c->pays_delay && paid->is_over))
		return slice_of("", 0);
	states = slot_states(paid);
	e.id = paid->id;
	for (uint32_t i = 0; i < c->npays; i++) {
		e.rcpt = c->pays_rcpts[i];
		if (e.rcpt >= paid->nrcpt || is_past(c, states, e.rcpt))
			continue;
		if (states)
			e.state = states[e.rcpt];
		e.state.is_told |= c->pays_delay;
		if (!c->pays_delay) {
			e.state.is_final = true;
			e.state.is_owed = false;
		}
		if (entry_encode(&s->headers, &e))
			break;
	}
	return slice_of(s->headers.p + before, s->headers.n - before);
}

/* What the recipients of a commit begin with, as entries behind its body. */
static struct slice
first_states(struct spool *s, const struct spool_commit *c)
{
	size_t before = s->headers.n;

	for (uint32_t i = 0; i < c->nrcpt; i++) {
		struct entry e = entry_of(&c->id, (uint16_t)i, &c->states[i]);

		if (entry_encode(&s->headers, &e))
			break;
	}
	return slice_of(s->headers.p + before, s->headers.n - before);
}

/* Bytes that it takes in s->headers, at most. */
static uint32_t
commit_headers(const struct spool_commit *c)
{
	size_t texts = 0;

	for (uint32_t i = 0; c->states && i < c->nrcpt; i++)
		texts += c->states[i].text.n + c->states[i].mta.n;
	return RECORD_HEADER + c->npays * 64 + (uint32_t)texts +
	    (handle_is_none(c->moves) && !c->states ? 0 : c->nrcpt * 64);
}

/* Bytes that a commit's record takes, at most. */
static uint64_t
commit_bytes(const struct spool_commit *c)
{
	uint64_t n = commit_headers(c) + 8 + c->envelope.n;

	for (uint32_t i = 0; i < c->nbody; i++)
		n += c->body[i].n;
	return n;
}

static void
iov_add(struct spool *s, struct group *g, struct slice p)
{
	if (p.n == 0)
		return;
	s->iov[g->niov++] = p;
	g->bytes += p.n;
}

/* Zeroes up to a multiple of `to` (a power of two). */
static void
pad(struct spool *s, struct group *g, uint32_t to)
{
	uint32_t over = (uint32_t)(g->bytes & (to - 1));

	if (over)
		iov_add(s, g, slice_of(zeroes, to - over));
}

static char *
header_room(struct spool *s)
{
	char *p = buf_room(&s->headers, RECORD_HEADER);

	ASSERT(p); /* reserved by group_write */
	buf_grew(&s->headers, RECORD_HEADER);
	return p;
}

static void
add_header(struct spool *s, struct group *g, char *h, const struct record *r)
{
	if (!g->head) {
		g->head = h;
		g->first = *r;
	}
	record_encode(h, r);
	iov_add(s, g, slice_of(h, RECORD_HEADER));
}

/* The first record tells how far the group goes: a hole in it is not its end. */
static void
close_group(struct spool *s, struct group *g)
{
	if (!g->head)
		return;
	g->first.group_bytes = (uint32_t)g->bytes;
	record_encode(g->head, &g->first);
	pad(s, g, SPOOL_BLOCK);
}

static void
add_entries(struct spool *s, struct group *g)
{
	struct slice payload = slice_of(buf_slice(&s->entries).p, g->entries);
	struct record r = { .type = REC_OUTCOMES,
		.stamp = s->seg[s->current].stamp,
		.group = s->group };
	char *h = header_room(s);

	r.env_bytes = (uint32_t)payload.n;
	r.crc = crc32c(0, payload.p, payload.n);
	add_header(s, g, h, &r);
	iov_add(s, g, payload);
	pad(s, g, 8);
}

static void
add_commit(struct spool *s, struct group *g, struct spool_commit *c)
{
	struct record r = { .type = REC_MESSAGE,
		.nrcpt = (uint16_t)c->nrcpt,
		.env_bytes = (uint32_t)c->envelope.n,
		.id = c->id,
		.stamp = s->seg[s->current].stamp,
		.group = s->group };
	char *h = header_room(s);
	struct slice pays = { "", 0 };

	if (c->npays)
		pays = payments(s, c);
	else if (!handle_is_none(c->moves))
		pays = moved_states(s, c);
	else if (c->states)
		pays = first_states(s, c);
	c->ref = (struct spool_ref){ .file = s->current,
		.offset = s->at + (uint32_t)g->bytes,
		.env_bytes = r.env_bytes };
	r.crc = crc32c(0, c->envelope.p, c->envelope.n);
	for (uint32_t i = 0; i < c->nbody; i++) {
		r.crc = crc32c(r.crc, c->body[i].p, c->body[i].n);
		r.body_bytes += (uint32_t)c->body[i].n;
	}
	r.crc = crc32c(r.crc, pays.p, pays.n);
	r.extra_bytes = (uint32_t)pays.n;
	c->ref.body_bytes = r.body_bytes;
	add_header(s, g, h, &r);
	iov_add(s, g, c->envelope);
	for (uint32_t i = 0; i < c->nbody; i++)
		iov_add(s, g, c->body[i]);
	iov_add(s, g, pays);
	pad(s, g, 8);
	list_push_tail(&g->commits, &c->link);
}

static void
commit_fail(struct spool *s, struct spool_commit *c, int err)
{
	c->err = err;
	list_push_tail(&s->done, &c->link);
}

/* Fits a group of so many more bytes, with the footer that will be needed? */
static bool
fits(const struct spool *s, uint64_t bytes)
{
	uint64_t footer = (uint64_t)s->draft.n * 2 + s->footer_entries.n +
	    MIN(s->entries.n, entries_max(s)) + 4 * SPOOL_BLOCK;

	return s->at + bytes + SPOOL_BLOCK + footer <= s->seg[s->current].bytes;
}

/* Makes the current segment one with room for `bytes`. */
static int
make_room(struct spool *s, uint64_t bytes, bool reserve)
{
	if (s->current && fits(s, bytes))
		return 0;
	if (bytes + 8 * SPOOL_BLOCK > s->conf.segment_bytes)
		return E_TOOBIG;
	if (s->current) {
		segment_seal(s, true);
		segment_recycle(s);
	}
	return segment_begin(s, reserve);
}

/* Room for the pieces of one more commit. */
static bool
iov_fits(struct spool *s, uint32_t niov, uint32_t nbody)
{
	uint32_t need = niov + nbody + 16;
	struct slice *v;

	if (need <= s->iov_cap)
		return true;
	v = mem_grow(s->iov, need * sizeof(*v));
	if (!v)
		return false;
	s->iov = v;
	s->iov_cap = need;
	return true;
}

static bool
group_takes(const struct spool *s, const struct group *g,
    const struct spool_commit *c, uint32_t n)
{
	if (n == 0)
		return true;
	return g->niov + c->nbody + 6 < DISK_IOV_MAX - 4 &&
	    s->headers.n + commit_headers(c) <= HEADERS_MAX &&
	    g->bytes + commit_bytes(c) <= GROUP_BYTES_MAX &&
	    fits(s, g->bytes + commit_bytes(c));
}

/* For which the ceiling holds. What uses the reserve settles what is there
 * already: a notice that found no room would keep its original, and with it the
 * room, for ever. */
static bool
is_new_mail(const struct spool_commit *c)
{
	return c->nrcpt && handle_is_none(c->moves) && !c->uses_reserve;
}

static void
gather(struct spool *s, struct group *g)
{
	uint32_t n = 0, nnew = 0;
	struct spool_commit *c;
	bool is_full;

	while (!list_is_empty(&s->waiting)) {
		c = container_of(s->waiting.next, struct spool_commit, link);
		if (!group_takes(s, g, c, n))
			return;
		list_remove(&c->link);
		is_full = is_new_mail(c) &&
		    s->slots.live + nnew >= s->conf.max_messages;
		if (is_full || !iov_fits(s, g->niov, c->nbody)) {
			commit_fail(s, c, E_FULL);
			continue;
		}
		add_commit(s, g, c);
		nnew += handle_is_none(c->moves);
		n++;
	}
}

/* A copy of the payments for the footer and the states in memory. */
static void
apply_payments(struct spool *s, const struct spool_commit *c)
{
	struct slot *paid = pool_get(&s->slots, c->pays_slot);
	struct rcpt_state *states = paid ? slot_states(paid) : NULL;
	struct entry e = { .is_payment = true };

	if (c->pays_delay && paid && !paid->is_over)
		states = slot_states_need(paid);
	for (uint32_t i = 0; states && i < c->npays; i++) {
		if (c->pays_rcpts[i] >= paid->nrcpt ||
		    is_past(c, states, c->pays_rcpts[i]))
			continue;
		if (c->pays_delay)
			states[c->pays_rcpts[i]].is_told = true;
		else
			states[c->pays_rcpts[i]].is_owed = false;
		e.id = paid->id;
		e.rcpt = c->pays_rcpts[i];
		e.state = states[e.rcpt];
		footer_note(s, &e);
	}
}

/* The slot of a durable message: its own when it moved, else a new one. */
static struct slot *
slot_for(struct spool *s, struct spool_commit *c)
{
	struct slot *slot = pool_get(&s->slots, c->moves);

	if (handle_is_none(c->moves)) {
		s->stats.messages++;
		s->stats.commits++;
		s->stats.bytes += c->ref.env_bytes + c->ref.body_bytes;
		return pool_take(&s->slots, &c->slot);
	}
	c->slot = c->moves;
	slot->moving_from = slot->segment;
	return slot;
}

/* The footer has the states of what lives here, but their words only as entries;
 * and entries of an older copy of the message may stand before, which these
 * undo. */
static void
take_states(struct spool *s, struct slot *slot, const struct spool_commit *c)
{
	struct rcpt_state *states = slot_states_need(slot);

	ASSERT(states); /* without memory it dies; a start finds all */
	for (uint32_t i = 0; i < c->nrcpt; i++) {
		struct entry e = entry_of(&c->id, (uint16_t)i, &c->states[i]);

		states[i] = e.state;
		footer_note(s, &e);
	}
}

/* A durable message gets its slot and a line in the footer's draft. */
static void
commit_done(struct spool *s, struct spool_commit *c)
{
	struct segment *g = &s->seg[s->current];
	struct slot *slot;

	apply_payments(s, c);
	if (c->nrcpt == 0) { /* a debt that is waived: no message */
		c->slot = HANDLE_NONE;
		c->err = 0;
		list_push_tail(&s->done, &c->link);
		return;
	}
	slot = slot_for(s, c);

	if (!slot) { /* out of memory: durable, and found at the next start */
		commit_fail(s, c, E_NOMEM);
		return;
	}
	slot->id = c->id;
	slot->segment = c->ref.file;
	slot->offset = c->ref.offset;
	slot->env_bytes = c->ref.env_bytes;
	slot->body_bytes = c->ref.body_bytes;
	slot->nrcpt = (uint16_t)c->nrcpt;
	if (c->states)
		take_states(s, slot, c);
	g->live++;
	g->live_bytes += c->ref.env_bytes + c->ref.body_bytes;
	buf_add_u32(&s->draft, c->slot.index);
	buf_add_u32(&s->draft, c->slot.gen);
	buf_add_u32(&s->draft, c->ref.offset);
	buf_add_u32(&s->draft, (uint32_t)c->envelope.n);
	buf_adds(&s->draft, c->envelope);
	c->err = 0;
	list_push_tail(&s->done, &c->link);
}

static void
group_succeeded(struct spool *s, struct group *g)
{
	struct list *n;

	/* The footer takes over what was written here, in its order: entries
	 * first, then the payments of the messages behind them. */
	if (g->entries &&
	    buf_add(&s->footer_entries, buf_slice(&s->entries).p, g->entries))
		s->no_footer = true;
	while ((n = list_pop_head(&g->commits)))
		commit_done(s, container_of(n, struct spool_commit, link));
	s->at += (uint32_t)g->bytes;
	s->group++;
	s->stats.written_bytes += g->bytes;
	s->failures = 0;
	s->entries_after_us = 0;
	atomic_store_explicit(&s->is_stuck, false, memory_order_relaxed);
	buf_consume(&s->entries, g->entries);
	if (s->entries.n == 0)
		s->entries_since_us = 0;
}

/* What a group that failed left on the disk may be found one day: its message
 * is called off there, and the debts that it would have paid stand again. */
static void
cancel(struct spool *s, const struct spool_commit *c)
{
	struct slot *paid = pool_get(&s->slots, c->pays_slot);
	const struct rcpt_state *states;
	struct entry e = { .id = c->id };
	int err = 0;

	if (!handle_is_none(c->moves))
		return;
	e.state.outcome.klass = OUTCOME_DELETED;
	e.state.outcome.stage = STAGE_LOCAL;
	e.state.is_final = true;
	for (uint32_t i = 0; !err && i < c->nrcpt; i++) {
		e.rcpt = (uint16_t)i;
		err = entry_encode(&s->entries, &e);
	}
	states = paid ? slot_states(paid) : NULL;
	for (uint32_t i = 0; !err && states && i < c->npays; i++) {
		if (c->pays_rcpts[i] >= paid->nrcpt)
			continue;
		e = (struct entry){ .id = paid->id,
			.rcpt = c->pays_rcpts[i],
			.state = states[c->pays_rcpts[i]] };
		err = entry_encode(&s->entries, &e);
	}
	if (!s->entries_since_us)
		s->entries_since_us = s->now_us;
}

/* What a failed sync lost can still be read until the power fails, and the next
 * sync finds nothing to complain of. A start in between would take it for kept,
 * and for the newer copy of a message that was to move: so it is wiped. What is
 * left is a record, for a start must know how far it goes: this may be lost in
 * the same way, and what it covers come back. */
static void
wipe(struct spool *s, const struct group *g)
{
	uint32_t n = (uint32_t)(g->bytes / SPOOL_BLOCK);
	struct record r = { .type = REC_WIPED,
		.stamp = s->seg[s->current].stamp,
		.group = s->group,
		.env_bytes = (uint32_t)g->bytes - RECORD_HEADER };
	char header[RECORD_HEADER];
	int err = iov_fits(s, 0, n + 1) ? E_IO : E_NOMEM;

	record_encode(header, &r);
	for (uint32_t i = 0; err == E_IO && i < n; i++)
		s->iov[i + 1] = slice_of(zeroes, SPOOL_BLOCK);
	for (uint32_t i = 0; err == E_IO && i < WIPES_MAX; i++) {
		s->iov[0] = slice_of(header, RECORD_HEADER);
		s->iov[1].n = SPOOL_BLOCK - RECORD_HEADER;
		err = disk_write(s, s->current, s->at, s->iov, n + 1);
	}
	if (err)
		log_event(LOG_ERROR, "spool", "what",
		    "a group that was not synced stands in its segment",
		    "effect", "do not restart before the next reboot", "error",
		    err_name(err), NULL);
}

/* Nothing of the group was acknowledged. Its outcomes stay queued. Messages of
 * it may be found on the disk one day: their ids are cancelled. */
static void
group_failed(struct spool *s, struct group *g, int err, bool in_sync)
{
	struct list *n;

	while ((n = list_pop_head(&g->commits))) {
		struct spool_commit *c =
		    container_of(n, struct spool_commit, link);

		cancel(s, c);
		commit_fail(s, c, err);
	}
	if (!in_sync) {
		/* Part of it may stand there: what cancels it comes behind. */
		s->at += (uint32_t)g->bytes;
		return;
	}
	/* A sync that failed is never tried again and trusted: what it lost is
	 * unknown. The segment takes nothing more and its messages move. */
	log_event(LOG_ERROR, "spool", "what",
	    "sync failed; its segment is given up", "error", err_name(err),
	    NULL);
	wipe(s, g);
	s->seg[s->current].must_empty = true;
	segment_seal(s, false);
}

static void
fail_waiting(struct spool *s, int err)
{
	struct list *n;

	while ((n = list_pop_head(&s->waiting)))
		commit_fail(s, container_of(n, struct spool_commit, link), err);
}

/* Bytes of outcomes for this group: whole ones, and all if that can be. */
static uint32_t
entries_now(const struct spool *s)
{
	struct cursor c = cursor_of(buf_slice(&s->entries));
	size_t all = c.s.n, taken = 0;
	struct entry e;

	if (all <= entries_max(s))
		return (uint32_t)all;
	while (entry_next(&c, &e) && all - c.s.n <= entries_max(s))
		taken = all - c.s.n;
	return (uint32_t)taken;
}

/* What failed twice waits a little: a disk that is full or broken is not asked
 * without a pause. */
static void
failed(struct spool *s)
{
	if (s->failures++ == 0)
		return;
	s->entries_after_us = s->now_us + US_PER_S;
	if (s->entries.n)
		atomic_store_explicit(&s->is_stuck, true, memory_order_relaxed);
}

/* Puts the group into s->iov: what waits and fits. */
static int
compose(struct spool *s, struct group *g)
{
	struct spool_commit *first = NULL;
	uint64_t outcomes = g->entries ? g->entries + RECORD_HEADER + 8 : 0;
	uint64_t need = outcomes;
	bool reserve = true;
	int err;

	if (!list_is_empty(&s->waiting) && g->entries == s->entries.n) {
		first =
		    container_of(s->waiting.next, struct spool_commit, link);
		need += commit_bytes(first);
		reserve = first->uses_reserve;
		/* One that fills a segment goes in the next group. */
		if (g->entries &&
		    need + 8 * SPOOL_BLOCK > s->conf.segment_bytes) {
			first = NULL;
			need = outcomes;
			reserve = true;
		}
	}
	err = make_room(s, need, reserve);
	if (err == E_TOOBIG && first) {
		list_remove(&first->link);
		commit_fail(s, first, err);
		return 0;
	}
	if (err && first) {
		fail_waiting(s, err);
		first = NULL;
		/* Outcomes may have what commits may not. */
		err = g->entries ? make_room(s, outcomes, true) : 0;
	}
	if (err)
		return err;
	if (g->entries)
		add_entries(s, g);
	if (first)
		gather(s, g);
	close_group(s, g);
	return 0;
}

void
group_write(struct spool *s)
{
	struct group g = { .entries = entries_now(s) };
	bool in_sync = false, has_commits;
	int err;

	list_init(&g.commits);
	buf_reset(&s->headers);
	/* Pieces of a group point into it, so it must not move. */
	err = buf_room(&s->headers, HEADERS_MAX + RECORD_HEADER) ?
	    compose(s, &g) :
	    E_NOMEM;
	if (err) {
		fail_waiting(s, err);
		failed(s);
		return;
	}
	if (g.bytes == 0)
		return;
	err = disk_write(s, s->current, s->at, s->iov, g.niov);
	if (!err) {
		in_sync = true;
		err = disk_sync(s, s->current);
	}
	if (!err) {
		group_succeeded(s, &g);
		return;
	}
	has_commits = !list_is_empty(&g.commits);
	group_failed(s, &g, err, in_sync);
	if (!has_commits) /* none shall wait for outcomes that fail and fail */
		fail_waiting(s, err);
	failed(s);
}

/*
 * spool/spool.c - the machine's outside: open and close, the queues for the
 * next group, the turn, and what is taken from it.
 */
#include "spool/spool_i.h"

#define ENTRIES_MANY (1u << 20) /* bytes of outcomes that wait for nobody */
/* Memory for outcomes that is worth holding when none wait. */
#define ENTRIES_HOLD ENTRIES_MANY
#define ROOM_LOOK_US US_PER_S

void
spool_conf_default(struct spool_conf *c)
{
	*c = (struct spool_conf){
		.segment_bytes = 64u << 20,
		.min_free_bytes = 256u << 20,
		.max_messages = 10000000,
		.reserve_segments = 2,
		.compact_percent = 50,
		.compact_bytes_per_s = 32u << 20,
		/* The core's batch may be 80 ms old when it comes; with the sync
		 * that makes less than the 200 ms of the promise. */
		.outcome_unsynced_us = 100 * US_PER_MS,
	};
}

int
spool_open(struct spool **out, const struct spool_conf *conf, struct disk *disk,
    bool read_only, char *why, size_t why_cap)
{
	struct spool *s;
	int err;

	*out = NULL;
	if (!read_only && (err = disk->ops->lock(disk))) {
		snprintf(why, why_cap,
		    err == E_BUSY ? "the spool is in use by another process" :
				    "cannot lock the spool");
		return err;
	}
	s = mem_try(sizeof(*s));
	if (!s)
		return E_NOMEM;
	s->conf = *conf;
	s->disk = disk;
	s->is_read_only = read_only;
	s->next_seq = 1;
	list_init(&s->sealed);
	list_init(&s->waiting);
	list_init(&s->done);
	pool_init(&s->slots, sizeof(struct slot), SLOTS_MAX);
	buf_init(&s->entries, 64u << 20);
	buf_init(&s->draft, conf->segment_bytes);
	buf_init(&s->footer_entries, conf->segment_bytes);
	buf_init(&s->headers, GROUP_BYTES_MAX);
	s->seg = mem_try(SPOOL_SEGMENTS * sizeof(*s->seg));
	s->iov = mem_try(DISK_IOV_MAX * sizeof(*s->iov));
	s->iov_cap = DISK_IOV_MAX;
	err = s->seg && s->iov ? scan_begin(s, why, why_cap) : E_NOMEM;
	if (err) {
		spool_close(s);
		return err;
	}
	*out = s;
	return 0;
}

void
spool_close(struct spool *s)
{
	struct slot *slot;

	if (s->is_scanned && !s->is_read_only) {
		s->now_us = TIME_NEVER / 2;
		s->failures = 0;
		while ((s->entries.n || !list_is_empty(&s->waiting)) &&
		    s->failures == 0)
			group_write(s);
		if (s->current)
			segment_seal(s, true);
	}
	scan_free(s);
	for (uint32_t i = 1; i < s->slots.next_new; i++)
		if (pool_is_live(&s->slots, i)) {
			slot = pool_at(&s->slots, i);
			slot_states_free(slot);
		}
	pool_free(&s->slots);
	buf_free(&s->entries);
	buf_free(&s->draft);
	buf_free(&s->footer_entries);
	buf_free(&s->headers);
	mem_free(s->moved);
	mem_free(s->damage);
	mem_free(s->seg);
	mem_free(s->iov);
	mem_free(s);
}

/* ---- what happened to recipients ------------------------------------------------- */

struct rcpt_state *
slot_states(struct slot *slot)
{
	if (!slot->has_states)
		return NULL;
	return slot->nrcpt == 1 ? &slot->states.one : slot->states.many;
}

struct rcpt_state *
slot_states_need(struct slot *slot)
{
	if (!slot->has_states && slot->nrcpt != 1) {
		slot->states.many =
		    mem_try(slot->nrcpt * sizeof(*slot->states.many));
		if (!slot->states.many)
			return NULL;
	}
	slot->has_states = true;
	return slot_states(slot);
}

void
slot_states_free(struct slot *slot)
{
	if (slot->has_states && slot->nrcpt != 1)
		mem_free(slot->states.many);
	memset(&slot->states, 0, sizeof(slot->states));
	slot->has_states = false;
}

/* ---- queues ---------------------------------------------------------------------- */

void
spool_commit(struct spool *s, struct spool_commit *c)
{
	ASSERT(s->is_scanned && !s->is_read_only);
	c->err = 0;
	list_push_tail(&s->waiting, &c->link);
}

void
state_of(struct rcpt_state *st, const struct spool_rcpt *r)
{
	*st = (struct rcpt_state){ .outcome = r->outcome,
		.attempts = r->attempts,
		.is_final = r->is_final,
		.is_owed = r->is_owed,
		.is_told = r->is_told,
		.due_us = r->due_us };
}

struct spool_rcpt
rcpt_of(const struct rcpt_state *st)
{
	return (struct spool_rcpt){ .outcome = st->outcome,
		.attempts = st->attempts,
		.is_final = st->is_final,
		.is_owed = st->is_owed,
		.is_told = st->is_told,
		.due_us = st->due_us };
}

struct entry
entry_of(const struct msgid *id, uint16_t rcpt, const struct spool_rcpt *r)
{
	struct entry e = { .id = *id, .rcpt = rcpt };

	state_of(&e.state, r);
	if (r->is_owed) {
		e.text = slice_of(r->text.p, MIN(r->text.n, REPLY_TEXT_MAX));
		e.mta = slice_of(r->mta.p, MIN(r->mta.n, DOMAIN_MAX));
	}
	return e;
}

void
spool_outcome(struct spool *s, struct handle h, uint16_t rcpt,
    const struct spool_rcpt *r)
{
	struct slot *slot = pool_get(&s->slots, h);
	struct rcpt_state *states;
	struct entry e;

	if (!slot || rcpt >= slot->nrcpt)
		return;
	e = entry_of(&slot->id, rcpt, r);
	/* The usual end, one recipient delivered, needs no state in memory:
	 * the drop is next. */
	if (slot->nrcpt == 1 && r->is_final && !r->is_owed)
		slot->is_over = true;
	states = slot->is_over ? slot_states(slot) : slot_states_need(slot);
	if (states) {
		state_put(&states[rcpt], &e.state);
		e.state.is_told = states[rcpt].is_told;
	}
	if (entry_encode(&s->entries, &e))
		log_event(LOG_ERROR, "spool", "what", "outcome not recorded",
		    "effect", "it may be delivered again after a crash", NULL);
	if (!s->entries_since_us)
		s->entries_since_us = s->now_us;
	s->stats.outcomes++;
}

void
slot_leave(struct spool *s, uint32_t file, uint64_t bytes)
{
	ASSERT(s->seg[file].live > 0);
	s->seg[file].live--;
	s->seg[file].live_bytes -= MIN(bytes, s->seg[file].live_bytes);
}

void
spool_drop(struct spool *s, struct handle h)
{
	struct slot *slot = pool_get(&s->slots, h);
	uint64_t bytes;

	if (!slot)
		return;
	bytes = (uint64_t)slot->env_bytes + slot->body_bytes;
	if (slot->moving_from)
		slot_leave(s, slot->moving_from, bytes);
	slot_leave(s, slot->segment, bytes);
	s->stats.messages--;
	s->stats.bytes -= bytes;
	slot_states_free(slot);
	pool_give(&s->slots, h.index);
}

/* ---- the turn ------------------------------------------------------------------------ */

uint32_t
entries_max(const struct spool *s)
{
	return MIN(s->conf.segment_bytes / 8, ENTRIES_MANY * 4);
}

static int64_t
entries_due(const struct spool *s)
{
	int64_t at = s->entries.n > ENTRIES_MANY ?
	    s->now_us :
	    s->entries_since_us + s->conf.outcome_unsynced_us;

	return s->entries.n ? MAX(at, s->entries_after_us) : TIME_NEVER;
}

bool
spool_turn(struct spool *s, int64_t now_us)
{
	s->now_us = now_us;
	if (!list_is_empty(&s->waiting) || entries_due(s) <= now_us)
		group_write(s);
	return !list_is_empty(&s->waiting) || entries_due(s) <= now_us;
}

bool
spool_tidy(struct spool *s, int64_t now_us)
{
	bool more = false;

	s->now_us = now_us;
	if (s->entries.n == 0 && s->entries.cap > ENTRIES_HOLD)
		buf_free(&s->entries);
	segment_recycle(s);
	if (list_is_empty(&s->waiting)) {
		more = segment_prepare(s);
		more |= compact_step(s);
	}
	segment_room(s);
	return more;
}

int64_t
spool_deadline(const struct spool *s)
{
	int64_t at = entries_due(s);

	if (s->emptying)
		at = MIN(at,
		    MAX(s->compact_after_us, s->now_us + 10 * US_PER_MS));
	/* While the door is shut nobody else would see that there is room. */
	if (s->is_tight)
		at = MIN(at, s->now_us + ROOM_LOOK_US);
	return at;
}

bool
spool_is_synced(const struct spool *s)
{
	return s->entries.n == 0 && list_is_empty(&s->waiting);
}

struct spool_commit *
spool_take_done(struct spool *s)
{
	struct list *n = list_pop_head(&s->done);

	return n ? container_of(n, struct spool_commit, link) : NULL;
}

bool
spool_has_room(const struct spool *s, uint64_t bytes)
{
	return atomic_load_explicit(&s->room, memory_order_relaxed) >
	    bytes + 64 * 1024;
}

bool
spool_is_stuck(const struct spool *s)
{
	return atomic_load_explicit(&s->is_stuck, memory_order_relaxed);
}

void
spool_stats_get(const struct spool *s, struct spool_stats *out)
{
	*out = s->stats;
	out->segments_free = s->nfree;
}

/* ---- damage ---------------------------------------------------------------------------- */

/* Saves the bytes in the quarantine folder and queues the report. */
void
damage_add(struct spool *s, const struct spool_damage *d, struct slice bytes)
{
	struct spool_damage *v;
	struct disk_req r = { .op = DISK_SAVE, .iov = &bytes, .niov = 1 };

	if (s->damage_n == s->damage_cap) {
		v = mem_grow(s->damage, (s->damage_cap + 64) * sizeof(*v));
		if (!v)
			return;
		s->damage = v;
		s->damage_cap += 64;
	}
	v = &s->damage[s->damage_n++];
	*v = *d;
	s->stats.quarantined++;
	if (bytes.n == 0 || s->is_read_only)
		return;
	snprintf(r.name, sizeof(r.name), "%016llx-%08u-%08x.rec",
	    (unsigned long long)s->seg[d->file].seq, d->file, d->offset);
	if (!disk_ask(s, &r))
		snprintf(v->saved_as, sizeof(v->saved_as), "%s", r.name);
}

int
spool_take_damage(struct spool *s, struct spool_damage *d)
{
	if (s->damage_at == s->damage_n) {
		s->damage_at = s->damage_n = 0;
		return 0;
	}
	*d = s->damage[s->damage_at++];
	return 1;
}

/* Once: whoever finds it first. */
void
set_aside(struct spool *s, struct handle h)
{
	struct slot *slot = pool_get(&s->slots, h);
	struct spool_ref ref;
	uint32_t n;
	char *copy;
	struct spool_damage d;

	if (!slot || slot->is_over)
		return;
	ref = (struct spool_ref){ slot->segment, slot->offset, slot->env_bytes,
		slot->body_bytes };
	d = (struct spool_damage){ .file = ref.file,
		.offset = ref.offset,
		.length = spool_record_bytes(&ref),
		.has_id = true,
		.id = slot->id,
		.slot = h,
		.what = slot->read_failures ?
		    "message record cannot be read" :
		    "message record failed its checksum" };
	n = MIN(d.length, 64u << 20);
	copy = mem_try(n);
	if (copy &&
	    s->disk->ops->read(s->disk, ref.file, ref.offset, copy, n) ==
		(int64_t)n)
		damage_add(s, &d, slice_of(copy, n));
	else
		damage_add(s, &d, slice_of("", 0));
	mem_free(copy);
	slot->is_over = true;
}

void
spool_report_damage(struct spool *s, struct handle h)
{
	struct slot *slot = pool_get(&s->slots, h);

	set_aside(s, h);
	for (uint32_t i = 0; slot && i < slot->nrcpt; i++) {
		struct spool_rcpt r = { .is_final = true };

		r.outcome.klass = OUTCOME_DELETED;
		r.outcome.stage = STAGE_LOCAL;
		spool_outcome(s, h, (uint16_t)i, &r);
	}
}

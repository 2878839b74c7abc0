/*
 * spool/compact.c - moves what lives out of a segment, so that it can be used
 * again: out of one whose sync failed, and out of the oldest when the spool
 * takes far more space than what lives in it.
 *
 * A message moves by being written again, with the state of its recipients in
 * the same record, in a group of its own kind; from the sync of that group on
 * the new place is true. The old one counts as live until the owner has
 * acknowledged that nobody reads it. A message that is owed a notice is left
 * for later: the words of the notice stand only in the log.
 */
#include "spool/spool_i.h"

#define STEP_BYTES (1u << 20)
#define MOVES_MAX 256u
#define LOOKS_MAX 65536u /* slots looked at in one step: a millisecond */
#define READS_MAX 120u   /* a second apart */

/* A message on its way. */
struct move {
	struct spool_commit commit;
	struct slice body;
	char *raw;
};

/* Is the spool so sparse that the oldest segment should be emptied? */
static uint32_t
choose(struct spool *s)
{
	uint64_t used = 0, live = 0;
	uint32_t n = 0;

	LIST_FOREACH(it, &s->sealed) {
		struct segment *g = container_of(it, struct segment, link);

		if (g->must_empty && g->live)
			return (uint32_t)(g - s->seg);
		used += g->bytes;
		live += g->live_bytes;
		n++;
	}
	if (n < 4 || live * 100 > used * s->conf.compact_percent)
		return 0;
	return (uint32_t)(container_of(s->sealed.next, struct segment, link) -
	    s->seg);
}

static bool
is_owed(struct slot *slot)
{
	const struct rcpt_state *states = slot_states(slot);

	for (uint32_t i = 0; states && i < slot->nrcpt; i++)
		if (states[i].is_owed)
			return true;
	return false;
}

static bool
moved_note(struct spool *s, struct handle h)
{
	struct handle *v;

	if (s->moved_at == s->moved_n)
		s->moved_at = s->moved_n = 0;
	if (s->moved_n == s->moved_cap) {
		v = mem_grow(s->moved, (s->moved_cap + 256) * sizeof(*v));
		if (!v)
			return false;
		s->moved = v;
		s->moved_cap += 256;
	}
	s->moved[s->moved_n++] = h;
	return true;
}

/* Cannot be read: tried again for minutes, for disks recover; then set aside,
 * for its segment and all after it would never be used again. */
static void
cannot_read(struct spool *s, uint32_t index, int err)
{
	struct slot *slot = pool_at(&s->slots, index);

	if (err == E_IO && ++slot->read_failures < READS_MAX)
		return;
	if (err == E_IO || err == E_CORRUPT)
		set_aside(s, pool_handle(&s->slots, index));
}

/* Reads one message for the move. 0, or E_*. */
static int
load(struct spool *s, uint32_t index, struct move *m)
{
	struct slot *slot = pool_at(&s->slots, index);
	struct spool_ref ref = { slot->segment, slot->offset, slot->env_bytes,
		slot->body_bytes };
	int err = E_NOMEM;

	*m = (struct move){ .commit = { .id = slot->id,
				.nrcpt = slot->nrcpt,
				.body = &m->body,
				.nbody = 1,
				.uses_reserve = true,
				.moves = pool_handle(&s->slots, index) } };
	m->raw = mem_try(spool_record_bytes(&ref));
	if (m->raw)
		err = spool_read_whole(s->disk, &ref, &slot->id, m->raw,
		    &m->commit.envelope, &m->body);
	if (err)
		mem_free(m->raw);
	else
		slot->read_failures = 0; /* they count in a row */
	return err;
}

/* Gathers messages from where the last step ended. Returns how many; *bytes
 * is what they take, *waits whether some must come later. */
static uint32_t
gather(struct spool *s, struct move *v, uint64_t *bytes, bool *waits)
{
	uint32_t n = 0, looks = 0;
	struct slot *slot;
	int err;

	for (; s->emptying_next < s->slots.next_new && n < MOVES_MAX &&
	     *bytes < STEP_BYTES && looks++ < LOOKS_MAX;
	     s->emptying_next++) {
		if (!pool_is_live(&s->slots, s->emptying_next))
			continue;
		slot = pool_at(&s->slots, s->emptying_next);
		if (slot->segment != s->emptying || slot->moving_from ||
		    slot->is_over)
			continue;
		err =
		    is_owed(slot) ? E_AGAIN : load(s, s->emptying_next, &v[n]);
		if (err) {
			cannot_read(s, s->emptying_next, err);
			*waits = true;
			continue;
		}
		*bytes += RECORD_HEADER + slot->env_bytes + slot->body_bytes;
		n++;
	}
	return n;
}

/* Writes them again: a group or two, as with any other mail. */
static void
write_moves(struct spool *s, struct move *v, uint32_t n, bool *waits)
{
	for (uint32_t i = 0; i < n; i++)
		list_push_tail(&s->waiting, &v[i].commit.link);
	while (!list_is_empty(&s->waiting))
		group_write(s);
	for (uint32_t i = 0; i < n; i++) {
		struct spool_commit *c = &v[i].commit;

		list_remove(&c->link);
		mem_free(v[i].raw);
		if (c->err || !moved_note(s, c->moves)) {
			*waits = true;
			continue;
		}
		s->stats.compacted++;
		s->stats.compacted_bytes +=
		    RECORD_HEADER + c->ref.env_bytes + c->ref.body_bytes;
	}
}

bool
compact_step(struct spool *s)
{
	uint64_t bytes = 0;
	bool waits = false;
	struct move *v;
	uint32_t n;

	if (s->is_read_only)
		return false;
	if (!s->emptying) {
		s->emptying = choose(s);
		s->emptying_next = 1;
	}
	if (!s->emptying || s->now_us < s->compact_after_us ||
	    !(v = mem_try(MOVES_MAX * sizeof(*v))))
		return false;
	n = gather(s, v, &bytes, &waits);
	if (n)
		write_moves(s, v, n, &waits);
	mem_free(v);
	s->compact_after_us = s->now_us +
	    (int64_t)(bytes * US_PER_S / s->conf.compact_bytes_per_s);
	if (s->emptying_next >= s->slots.next_new) {
		s->emptying = 0;
		s->compact_after_us += 100 * US_PER_MS;
	}
	if (waits) /* not now: go round again later */
		s->compact_after_us =
		    MAX(s->compact_after_us, s->now_us + US_PER_S);
	return false;
}

int
spool_take_moved(struct spool *s, struct handle *h, struct spool_ref *ref)
{
	struct slot *slot;

	while (s->moved_at < s->moved_n) {
		*h = s->moved[s->moved_at++];
		slot = pool_get(&s->slots, *h);
		if (!slot || !slot->moving_from)
			continue; /* dropped meanwhile */
		*ref = (struct spool_ref){ slot->segment, slot->offset,
			slot->env_bytes, slot->body_bytes };
		return 1;
	}
	return 0;
}

void
spool_moved_ack(struct spool *s, struct handle h)
{
	struct slot *slot = pool_get(&s->slots, h);

	if (!slot || !slot->moving_from)
		return;
	slot_leave(s, slot->moving_from,
	    (uint64_t)slot->env_bytes + slot->body_bytes);
	slot->moving_from = 0;
}

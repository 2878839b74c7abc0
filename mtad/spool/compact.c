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
is_owed(const struct slot *slot)
{
	for (uint32_t i = 0; slot->states && i < slot->nrcpt; i++)
		if (slot->states[i].is_owed)
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

/* Writes one message again. Returns its bytes, 0 when it must wait. */
static uint64_t
move(struct spool *s, uint32_t index)
{
	struct slot *slot = pool_at(&s->slots, index);
	struct spool_ref ref = { slot->segment, slot->offset, slot->env_bytes,
		slot->body_bytes };
	struct spool_commit c = { .id = slot->id,
		.nrcpt = slot->nrcpt,
		.uses_reserve = true };
	uint32_t n = spool_record_bytes(&ref);
	struct slice env, body;
	char *raw;
	int err;

	if (is_owed(slot) || !(raw = mem_try(n)))
		return 0;
	err = spool_read_whole(s->disk, &ref, &slot->id, raw, &env, &body);
	if (err) {
		mem_free(raw);
		if (err == E_CORRUPT)
			spool_report_damage(s, pool_handle(&s->slots, index));
		return 0;
	}
	c.envelope = env;
	c.body = &body;
	c.nbody = 1;
	c.moves = pool_handle(&s->slots, index);
	list_push_tail(&s->waiting, &c.link);
	group_write(s);
	if (list_is_empty(&c.link)) /* cannot be: group_write answers it */
		ASSERT(!"a move without an answer");
	list_remove(&c.link);
	mem_free(raw);
	if (c.err || !moved_note(s, c.moves))
		return 0;
	s->stats.compacted++;
	s->stats.compacted_bytes += n;
	return n;
}

bool
compact_step(struct spool *s)
{
	uint64_t done = 0, n;
	struct slot *slot;

	if (s->is_read_only)
		return false;
	if (!s->emptying) {
		s->emptying = choose(s);
		s->emptying_next = 1;
	}
	if (!s->emptying || s->now_us < s->compact_after_us)
		return false;
	for (; s->emptying_next < s->slots.next_new && done < STEP_BYTES;
	     s->emptying_next++) {
		if (!pool_is_live(&s->slots, s->emptying_next))
			continue;
		slot = pool_at(&s->slots, s->emptying_next);
		if (slot->segment != s->emptying || slot->moving_from)
			continue;
		n = move(s, s->emptying_next);
		if (!n) { /* not now: go round again later */
			s->compact_after_us = s->now_us + US_PER_S;
			continue;
		}
		done += n;
	}
	if (s->emptying_next >= s->slots.next_new) {
		s->emptying = 0;
		s->compact_after_us =
		    MAX(s->compact_after_us, s->now_us + 100 * US_PER_MS);
	} else
		s->compact_after_us = s->now_us +
		    (int64_t)(done * US_PER_S / s->conf.compact_bytes_per_s);
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

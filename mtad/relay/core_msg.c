/*
 * relay/core_msg.c - the core's table of messages, by their slots in the spool.
 *
 * A slot is a message's from its commit until the core drops it, so its index
 * serves as the message's number, and nothing has to look one up for the other.
 * Pages are made when their first slot comes and stay: the spool gives low
 * slots again first.
 *
 * A place that a message has been moved to waits aside while jobs still read
 * the old one, which is rare.
 */
#include "relay/core_i.h"

#define MOVES_MAX (1u << 30)

void
core_msgs_init(struct core *c, uint64_t seed)
{
	pages_init(&c->msgs, sizeof(struct core_msg));
	pool_init(&c->moves, sizeof(struct spool_ref), MOVES_MAX);
	map_init(&c->move_of, seed, MOVES_MAX);
}

void
core_msgs_free(struct core *c)
{
	pages_free(&c->msgs);
	pool_free(&c->moves);
	map_free(&c->move_of);
}

struct core_msg *
core_msg(const struct core *c, uint32_t index)
{
	struct core_msg *m = pages_at(&c->msgs, index);

	return m && m->nrcpt != 0 ? m : NULL;
}

void
core_msg_ask(const struct core *c, uint32_t index)
{
	mem_ask(pages_at(&c->msgs, index), sizeof(struct core_msg));
}

struct core_msg *
core_msg_of(const struct core *c, struct handle slot)
{
	struct core_msg *m = core_msg(c, slot.index);

	return m && m->slot_gen == slot.gen ? m : NULL;
}

struct core_msg *
core_msg_new(struct core *c, struct handle slot)
{
	struct core_msg *m;

	if (!pages_make(&c->msgs, slot.index >> PAGE_SHIFT))
		return NULL;
	m = pages_at(&c->msgs, slot.index);
	ASSERT(m->nrcpt == 0); /* the spool gives a slot once */
	*m = (struct core_msg){ .slot_gen = slot.gen };
	c->msgs_end = MAX(c->msgs_end, slot.index + 1);
	return m;
}

void
core_msg_free(struct core *c, uint32_t index)
{
	uint32_t move = map_del(&c->move_of, index);

	if (move != 0)
		pool_give(&c->moves, move);
	core_msg(c, index)->nrcpt = 0;
}

void
core_move_later(struct core *c, uint32_t index, const struct spool_ref *to)
{
	uint32_t move = map_get(&c->move_of, index);
	struct handle h = { move, 0 };

	if (move == 0) {
		ASSERT(pool_take(&c->moves, &h)); /* dies; a start finds all */
		ASSERT(map_put(&c->move_of, index, h.index) == 0);
	}
	*(struct spool_ref *)pool_at(&c->moves, h.index) = *to;
}

bool
core_move_now(struct core *c, uint32_t index)
{
	uint32_t move = map_del(&c->move_of, index);

	if (move == 0)
		return false;
	core_msg(c, index)->ref = *(struct spool_ref *)pool_at(&c->moves, move);
	pool_give(&c->moves, move);
	return true;
}

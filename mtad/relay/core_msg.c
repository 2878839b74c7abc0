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

#define PAGE_SHIFT 10
#define PAGE_MSGS (1u << PAGE_SHIFT)
#define MOVES_MAX (1u << 30)

void
core_msgs_init(struct core *c, uint64_t seed)
{
	pool_init(&c->moves, sizeof(struct spool_ref), MOVES_MAX);
	map_init(&c->move_of, seed, MOVES_MAX);
}

void
core_msgs_free(struct core *c)
{
	for (uint32_t i = 0; i < c->npages; i++)
		mem_free(c->pages[i]);
	mem_free(c->pages);
	pool_free(&c->moves);
	map_free(&c->move_of);
}

static struct core_msg *
place(const struct core *c, uint32_t index)
{
	uint32_t page = index >> PAGE_SHIFT;

	if (page >= c->npages || c->pages[page] == NULL)
		return NULL;
	return &c->pages[page][index & (PAGE_MSGS - 1)];
}

struct core_msg *
core_msg(const struct core *c, uint32_t index)
{
	struct core_msg *m = place(c, index);

	return m && m->nrcpt != 0 ? m : NULL;
}

void
core_msg_ask(const struct core *c, uint32_t index)
{
	mem_ask(place(c, index), sizeof(struct core_msg));
}

struct core_msg *
core_msg_of(const struct core *c, struct handle slot)
{
	struct core_msg *m = core_msg(c, slot.index);

	return m && m->slot_gen == slot.gen ? m : NULL;
}

static bool
page_make(struct core *c, uint32_t page)
{
	uint32_t n = MAX(2 * c->npages, page + 64);
	struct core_msg **v;

	if (page >= c->npages) {
		v = mem_grow(c->pages, n * sizeof(*v));
		if (!v)
			return false;
		memset(v + c->npages, 0, (n - c->npages) * sizeof(*v));
		c->pages = v;
		c->npages = n;
	}
	if (!c->pages[page])
		c->pages[page] = mem_try(PAGE_MSGS * sizeof(**c->pages));
	return c->pages[page] != NULL;
}

struct core_msg *
core_msg_new(struct core *c, struct handle slot)
{
	struct core_msg *m;

	if (!page_make(c, slot.index >> PAGE_SHIFT))
		return NULL;
	m = place(c, slot.index);
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

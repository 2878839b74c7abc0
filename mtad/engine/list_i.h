/*
 * engine/list_i.h - lists of pool slots, linked by their indices; index 0 is
 * none. A list is {head, tail, n} and its nodes embed a struct link.
 */
#ifndef ENGINE_LIST_I_H
#define ENGINE_LIST_I_H

#include "base/base.h"

struct link {
	uint32_t next, prev;
};
struct ilist {
	uint32_t head, tail, n;
};
/* Where the links of a list are: a pool and an offset into its slots. */
struct ikind {
	const struct pool *pool;
	size_t off;
};
#define IKIND(pool, type, member)                                              \
	((struct ikind){ &(pool), offsetof(struct type, member) })

static inline struct link *
il_link(struct ikind k, uint32_t i)
{
	return (struct link *)(void *)((char *)pool_at(k.pool, i) + k.off);
}

/* Puts i between two neighbours, 0 standing for the list's ends. */
static inline void
il_insert(struct ikind k, struct ilist *l, uint32_t i, uint32_t prev,
    uint32_t next)
{
	*il_link(k, i) = (struct link){ next, prev };
	if (prev != 0)
		il_link(k, prev)->next = i;
	else
		l->head = i;
	if (next != 0)
		il_link(k, next)->prev = i;
	else
		l->tail = i;
	l->n++;
}

static inline void
il_push_tail(struct ikind k, struct ilist *l, uint32_t i)
{
	il_insert(k, l, i, l->tail, 0);
}

static inline void
il_push_head(struct ikind k, struct ilist *l, uint32_t i)
{
	il_insert(k, l, i, 0, l->head);
}

static inline void
il_remove(struct ikind k, struct ilist *l, uint32_t i)
{
	struct link *n = il_link(k, i);

	if (n->prev != 0)
		il_link(k, n->prev)->next = n->next;
	else
		l->head = n->next;
	if (n->next != 0)
		il_link(k, n->next)->prev = n->prev;
	else
		l->tail = n->prev;
	*n = (struct link){ 0, 0 };
	l->n--;
}

#endif

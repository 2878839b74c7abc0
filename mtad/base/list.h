/*
 * base/list.h - intrusive doubly linked list with a sentinel. A node that is
 * in no list points to itself.
 */
#ifndef BASE_LIST_H
#define BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct list {
	struct list *next, *prev;
};

static inline void
list_init(struct list *l)
{
	l->next = l->prev = l;
}

static inline bool
list_is_empty(const struct list *l)
{
	return l->next == l;
}

static inline void
list_insert_between(struct list *n, struct list *prev, struct list *next)
{
	n->prev = prev;
	n->next = next;
	prev->next = n;
	next->prev = n;
}

static inline void
list_push_tail(struct list *l, struct list *n)
{
	list_insert_between(n, l->prev, l);
}

static inline void
list_push_head(struct list *l, struct list *n)
{
	list_insert_between(n, l, l->next);
}

/* Takes n out of whatever list it is in; harmless when in none. */
static inline void
list_remove(struct list *n)
{
	n->prev->next = n->next;
	n->next->prev = n->prev;
	n->next = n->prev = n;
}

/* First node, taken out, or NULL. */
static inline struct list *
list_pop_head(struct list *l)
{
	struct list *n = l->next;

	if (n == l)
		return NULL;
	list_remove(n);
	return n;
}

#define LIST_FOREACH(it, l)                                                    \
	for (struct list *it = (l)->next; it != (l); it = it->next)
/* Same, `it` may be removed in the body. */
#define LIST_FOREACH_SAFE(it, tmp, l)                                          \
	for (struct list *it = (l)->next, *tmp = it->next; it != (l);          \
	     it = tmp, tmp = it->next)

#endif

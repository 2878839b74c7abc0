/*
 * base/post.h - a node that travels between rooms and threads. What embeds one
 * can be put into a mailbox without allocating.
 */
#ifndef BASE_POST_H
#define BASE_POST_H

#include <stddef.h>
#include <stdint.h>

struct post {
	struct post *next;
	uint8_t kind; /* the receiver's enumeration */
};

/* A plain list of posts, first in first out. */
struct posts {
	struct post *head, *tail;
};

static inline void
posts_push(struct posts *l, struct post *p)
{
	p->next = NULL;
	if (l->head)
		l->tail->next = p;
	else
		l->head = p;
	l->tail = p;
}

/* To the front. */
static inline void
posts_unshift(struct posts *l, struct post *p)
{
	p->next = l->head;
	l->head = p;
	if (!l->tail)
		l->tail = p;
}

static inline struct post *
posts_shift(struct posts *l)
{
	struct post *p = l->head;

	if (p) {
		l->head = p->next;
		if (!l->head)
			l->tail = NULL;
		p->next = NULL;
	}
	return p;
}

/* The last one; looks at all. */
static inline struct post *
posts_pop(struct posts *l)
{
	struct post *p = l->head, *last = l->tail;

	if (p == last)
		return posts_shift(l);
	while (p->next != last)
		p = p->next;
	p->next = NULL;
	l->tail = p;
	return last;
}

#endif

/*
 * daemon/mailbox.c - see mailbox.h.
 *
 * The stack holds posts in reverse; taking it whole reverses it again. There
 * is no ABA: nothing is ever popped one by one.
 */
#include "daemon/mailbox.h"

void
mailbox_push(struct mailbox *b, struct posts *l)
{
	struct post *first = NULL, *last = l->head, *p, *head;

	if (!last)
		return;
	while ((p = posts_shift(l))) { /* newest first */
		p->next = first;
		first = p;
	}
	head = atomic_load_explicit(&b->head, memory_order_relaxed);
	do
		last->next = head;
	while (!atomic_compare_exchange_weak(&b->head, &head, first));
}

void
mailbox_push_one(struct mailbox *b, struct post *p)
{
	struct posts l = { p, p };

	p->next = NULL;
	mailbox_push(b, &l);
}

void
mailbox_take(struct mailbox *b, struct posts *out)
{
	struct post *p = NULL, *next, *oldest = NULL;

	if (atomic_load_explicit(&b->head, memory_order_relaxed))
		p = atomic_exchange(&b->head, NULL);
	while (p) {
		next = p->next;
		p->next = oldest;
		oldest = p;
		p = next;
	}
	while (oldest) {
		next = oldest->next;
		posts_push(out, oldest);
		oldest = next;
	}
}

/*
 * daemon/mailbox.h - how threads speak: a lock-free stack that many push to
 * and one takes whole.
 *
 * The pusher publishes, then wakes; the taker says that it is about to sleep,
 * looks once more, and sleeps. Both use sequentially consistent operations, so
 * one of them sees the other (a store, then a load, on each side).
 */
#ifndef DAEMON_MAILBOX_H
#define DAEMON_MAILBOX_H

#include <stdatomic.h>

#include "base/base.h"

struct mailbox {
	_Atomic(struct post *) head; /* last pushed first */
};

/* Pushes a list, keeping its order; it is empty afterwards. */
void mailbox_push(struct mailbox *b, struct posts *l);
void mailbox_push_one(struct mailbox *b, struct post *p);
/* Everything, in the order it was pushed, appended to *out. */
void mailbox_take(struct mailbox *b, struct posts *out);

static inline bool
mailbox_is_empty(struct mailbox *b)
{
	return atomic_load(&b->head) == NULL;
}

#endif

/*
 * world/recv.h - an SMTP receiver: the daemon's own server machine behind
 * simulated behaviour. Takes mail, defers it, refuses it or falls silent, and
 * keeps a journal of what it took.
 *
 * A receiver belongs to the thread of its loop.
 */
#ifndef WORLD_RECV_H
#define WORLD_RECV_H

#include "net/net.h"
#include "world/behave.h"
#include "world/journal.h"
#include "world/timers.h"

#define RECV_COUNTS(X)                                                         \
	X(connections) /* accepted by the kernel */                            \
	X(turned_away) /* of these: refused, closed or left in silence */      \
	X(messages)    /* answered 250 */                                      \
	X(recipients)  /* of these messages */                                 \
	X(bytes)       /* of these messages, dots unstuffed */                 \
	X(good)        /* of these: of the load, whole */                      \
	X(bad)         /* of these: of the load, changed */                    \
	X(foreign)     /* of these: not of the load */                         \
	X(deferred)    /* commands answered 4xx by behaviour */                \
	X(rejected)    /* commands answered 5xx by behaviour */                \
	X(dropped)     /* closed or silent instead of an answer */             \
	X(misrouted)   /* recipients of a domain that is not here */           \
	X(lost)        /* connections that broke or timed out */

struct recv_counts {
#define X(name) uint64_t name;
	RECV_COUNTS(X)
#undef X
	uint64_t open, open_max; /* connections now, and at most */
};

struct recv_conf {
	struct slice name;     /* in the journal */
	struct slice hostname; /* in the banner */
	const struct behave *behave;
	struct tls_ctx *tls; /* NULL: no STARTTLS */
	uint64_t seed;
	/* With spells in behave: when they count from, on the loop's clock. */
	const int64_t *epoch_us;
	const char *dump_dir; /* each message into a file there, or NULL */
	/* Is this domain ours? NULL: every domain is. */
	bool (*takes)(void *ctx, struct slice domain);
	void *takes_ctx;
};

struct receiver;

/* conf's texts, loop, timers and journal outlive it. NULL without memory. */
struct receiver *recv_new(struct loop *l, struct timers *t, struct journal *j,
    const struct recv_conf *conf);
/* Listens at one more address; port 0 becomes the one that was free. 0 or
 * E_IO and why. */
int recv_listen(struct receiver *r, struct endpoint *at, char *why,
    size_t why_cap) MUST_CHECK;
void recv_free(struct receiver *r);
const struct recv_counts *recv_counts(const struct receiver *r);
void recv_counts_add(struct recv_counts *into, const struct recv_counts *c);
struct slice recv_name(const struct receiver *r);
/* One line: "name=value ..." */
void recv_counts_print(FILE *to, struct slice name,
    const struct recv_counts *c);

#endif

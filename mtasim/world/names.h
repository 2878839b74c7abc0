/*
 * world/names.h - the name server: answers from a zone by UDP and TCP, at
 * once or late or never.
 */
#ifndef WORLD_NAMES_H
#define WORLD_NAMES_H

#include "net/net.h"
#include "world/timers.h"
#include "world/zone.h"

#define NAMES_COUNTS(X)                                                        \
	X(queries)                                                             \
	X(tcp) /* of these */                                                  \
	X(answers)                                                             \
	X(late)    /* of these, after a delay */                               \
	X(silent)  /* questions left without an answer */                      \
	X(dropped) /* unreadable, or too many delayed at once */

struct names_counts {
#define X(name) uint64_t name;
	NAMES_COUNTS(X)
#undef X
};

struct nameserver;

/* Listens by UDP and TCP on one address; port 0 becomes the one that was
 * free. zone, loop and timers outlive it. NULL and why. */
struct nameserver *nameserver_new(struct loop *l, struct timers *t,
    const struct zone *z, struct endpoint *at, char *why, size_t why_cap);
void nameserver_free(struct nameserver *s);
const struct names_counts *nameserver_counts(const struct nameserver *s);
/* One line: "dns name=value ..." */
void names_counts_print(FILE *to, const struct names_counts *c);

#endif

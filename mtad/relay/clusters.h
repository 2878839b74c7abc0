/*
 * relay/clusters.h - what receivers have said to a queue's mail, the same words
 * counted once: texts without what differs from message to message (addresses,
 * hosts, numbers, ids).
 *
 * Bounded: CLUSTER_QUEUES queues, of each CLUSTERS texts; what was not heard for
 * longest makes room. No decision reads them.
 */
#ifndef RELAY_CLUSTERS_H
#define RELAY_CLUSTERS_H

#include "mail/mail.h"

#define CLUSTER_QUEUES 2048u
#define CLUSTERS 8u
#define CLUSTER_TEXT 160u
#define CLUSTER_SOURCES 4u

struct cluster {
	uint64_t hash;             /* of code, stage and text */
	uint64_t count;            /* times it was said */
	int64_t first_us, last_us; /* wall clock */
	struct outcome outcome;
	uint32_t sources[CLUSTER_SOURCES]; /* names; 0 behind the last */
	uint32_t nsources; /* so many or more, when it is over the table */
	uint8_t text_n;
	char text[];
};
struct clusters;

/* NULL without memory. */
struct clusters *clusters_new(void);
void clusters_free(struct clusters *c);
/* One more reply to mail of a queue, whatever number that has, by a source (a
 * name, 0 = none). */
void clusters_add(struct clusters *c, uint64_t queue, const struct outcome *o,
    struct slice text, uint32_t source, int64_t wall_us);
/* Those of a queue, said most often first; how many. Good until the next add. */
uint32_t clusters_get(const struct clusters *c, uint64_t queue,
    const struct cluster *v[CLUSTERS]);
/* The text without what differs, at most cap bytes of it; its length. */
size_t cluster_strip(struct slice text, char *dst, size_t cap);

#endif

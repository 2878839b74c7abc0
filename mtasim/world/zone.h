/*
 * world/zone.h - what the simulated name server knows: names and patterns,
 * their records, and the faults of their servers.
 *
 * Names are those of world/nameset.h. Names above a known one exist without
 * data, so that "no such name" is never said of a parent.
 *
 * Facts are texts, the same on the command line and in YAML:
 *	MX 10 mx.example    A 127.1.0.1    AAAA ::1    CNAME x.example
 *	TXT any text        NULL-MX        NXDOMAIN    SERVFAIL   REFUSED
 *	SILENT (never answers)   DELAY 500ms   TRUNCATE (by UDP)   TTL 60
 */
#ifndef WORLD_ZONE_H
#define WORLD_ZONE_H

#include "base/base.h"
#include "world/packet.h"

#define ZONE_RRS_MAX 64 /* of one name */

enum zone_fault {
	ZONE_FINE,
	ZONE_NXDOMAIN,
	ZONE_SERVFAIL,
	ZONE_REFUSED,
	ZONE_SILENT,
};

struct zone;

struct zone *zone_new(void);
void zone_free(struct zone *z);
/* One more fact about a name. 0, E_SYNTAX, E_FULL or E_NOMEM, and why. */
int zone_add(struct zone *z, struct slice name, struct slice fact, char *why,
    size_t why_cap) MUST_CHECK;
/* Lifetime of answers without a TTL fact, positive and negative. */
void zone_set_ttl(struct zone *z, uint32_t ttl_s);

/* What a question leads to. */
struct zone_reply {
	bool is_silent;
	int64_t delay_us;
};
/* Appends the answer's message to out, unless the name's server is silent. */
void zone_answer(const struct zone *z, const struct dns_query *q, bool is_udp,
    struct buf *out, struct zone_reply *reply);

#endif

/*
 * mail/zone.h - time zones as tables: from when on which offset holds. Pure:
 * who compiles the policy reads the system's zone files (conf/zoneinfo.h).
 *
 * All times are seconds. `utc_s` counts from the epoch; a local time is that of
 * the clock on the wall there, counted in the same way as if it were UTC. Days
 * are numbered from 1970-01-01, and each begins once: where the clock is put
 * back over midnight the day that has begun goes on.
 */
#ifndef MAIL_ZONE_H
#define MAIL_ZONE_H

#include "base/base.h"

#define ZONE_CHANGES_MAX 128u
#define ZONE_OFFSET_MAX_S (26 * 3600) /* RFC 8536 3.2 */
#define ZONE_DAY_S 86400

/*
 * Offset k holds from from_s[k] on, and the first one before, too; the last one
 * for ever. from_s rises. n = 0 is UTC.
 */
struct tzone {
	uint32_t n;
	int32_t offset_s[ZONE_CHANGES_MAX];
	int64_t from_s[ZONE_CHANGES_MAX];
};

/* Local time minus UTC. */
int32_t zone_offset_s(const struct tzone *z, int64_t utc_s);
/* The first moment at which local time has come to local_s: that local time
 * itself, or where the clock is put forward over it, the moment of that. */
int64_t zone_when_s(const struct tzone *z, int64_t local_s);
int64_t zone_day(const struct tzone *z, int64_t utc_s);
/* When a day begins. */
int64_t zone_day_start_s(const struct tzone *z, int64_t day);
/* Does the table keep what is said above? */
bool zone_is_valid(const struct tzone *z);

#endif

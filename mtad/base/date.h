/*
 * base/date.h - calendar without the C library's hidden state: UTC only.
 */
#ifndef BASE_DATE_H
#define BASE_DATE_H

#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

struct date {
	int year, mon, day; /* mon, day from 1 */
	int hour, min, sec, us;
	int wday; /* 0 = Sunday */
};

/* From microseconds since the epoch (also negative). */
void date_of(int64_t unix_us, struct date *d);
/* "Tue, 24 Nov 2026 02:00:00 +0000" (RFC 5322 3.3); dst of 40 bytes. */
size_t date_rfc5322(char *dst, int64_t unix_us);
/* "2026-11-24T02:00:00.123456Z" (RFC 3339); dst of 32 bytes. */
size_t date_iso(char *dst, int64_t unix_us);
/* "2026-11-24T02:00:00Z", fraction optional, or "...+01:00"; second 60, a leap
 * second, is the next minute's first. 0 or E_SYNTAX. */
int parse_date_iso(struct slice s, int64_t *unix_us);

#endif

/*
 * mail/zone.c - offsets and days from a table of changes.
 */
#include "mail/zone.h"

/* The row that holds at a moment. */
static uint32_t
row_at(const struct tzone *z, int64_t utc_s)
{
	uint32_t lo = 0, hi = z->n;

	while (hi - lo > 1) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (z->from_s[mid] <= utc_s)
			lo = mid;
		else
			hi = mid;
	}
	return lo;
}

int32_t
zone_offset_s(const struct tzone *z, int64_t utc_s)
{
	return z->n == 0 ? 0 : z->offset_s[row_at(z, utc_s)];
}

int64_t
zone_when_s(const struct tzone *z, int64_t local_s)
{
	uint32_t k;

	if (z->n == 0)
		return local_s;
	/* No offset is so large that it could have come before this row. */
	for (k = row_at(z, local_s - ZONE_OFFSET_MAX_S);; k++) {
		int64_t t = local_s - z->offset_s[k];

		if (k > 0 && t < z->from_s[k])
			t = z->from_s[k];
		if (k + 1 == z->n || t < z->from_s[k + 1])
			return t;
	}
}

static int64_t
floor_div(int64_t a, int64_t b)
{
	return a / b - (a % b < 0);
}

int64_t
zone_day(const struct tzone *z, int64_t utc_s)
{
	int64_t day = floor_div(utc_s + zone_offset_s(z, utc_s), ZONE_DAY_S);

	/* The clock may have been put back since, over a midnight or two. */
	while (zone_day_start_s(z, day + 1) <= utc_s)
		day++;
	return day;
}

int64_t
zone_day_start_s(const struct tzone *z, int64_t day)
{
	return zone_when_s(z, day * ZONE_DAY_S);
}

bool
zone_is_valid(const struct tzone *z)
{
	if (z->n > ZONE_CHANGES_MAX)
		return false;
	for (uint32_t k = 0; k < z->n; k++)
		if (z->offset_s[k] > ZONE_OFFSET_MAX_S ||
		    z->offset_s[k] < -ZONE_OFFSET_MAX_S ||
		    (k > 0 && z->from_s[k] <= z->from_s[k - 1]))
			return false;
	return true;
}

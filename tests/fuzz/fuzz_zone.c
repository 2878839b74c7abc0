/*
 * Fuzz target: zone files. What is taken gives a table that keeps its promises,
 * and days that begin once and follow each other.
 */
#include <stdint.h>

#include "conf/zoneinfo.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static struct tzone z;
	int64_t t = INT64_C(1735689600); /* 2025 */

	if (zoneinfo_parse(slice_of((const char *)data, n), &z) != 0)
		return 0;
	ASSERT(zone_is_valid(&z) && z.n > 0);
	for (int i = 0; i < 64; i++, t += INT64_C(31556952) * 3 / 4) {
		int64_t day = zone_day(&z, t);

		ASSERT(zone_day_start_s(&z, day) <= t);
		ASSERT(zone_day_start_s(&z, day + 1) > t);
	}
	return 0;
}

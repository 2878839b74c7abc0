/*
 * Fuzz target: MTA-STS records and policies. Whatever the bytes, an id is
 * letters and digits, hosts are lines of host names within their room, and what
 * is taken for a policy names a host unless its mode is none.
 */
#include <stdint.h>

#include "proto/proto.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void
check_policy(const struct sts_policy *p)
{
	struct slice hosts = slice_of(p->hosts, p->hosts_n);
	uint32_t lines = 0;

	ASSERT(p->hosts_n <= STS_HOSTS_MAX && p->max_age_s <= STS_AGE_MAX);
	ASSERT(p->mode == STS_NONE || p->nhosts > 0);
	while (hosts.n > 0) {
		struct slice line = slice_cut(&hosts, '\n');
		struct slice name = line;

		ASSERT(line.n > 0 && line.n <= 255);
		for (size_t i = 0; i < line.n; i++)
			ASSERT(line.p[i] > 32 && line.p[i] < 127);
		if (slice_has_iprefix(line, SL("*."))) {
			char text[260] = "a";

			slice_copy(slice_skip(line, 1), text + 1, 258);
			name = slice_str(text);
			ASSERT(sts_hosts_match(slice_of(p->hosts, p->hosts_n),
			    name));
		} else
			ASSERT(sts_hosts_match(slice_of(p->hosts, p->hosts_n),
			    name));
		lines++;
	}
	ASSERT(lines == p->nhosts);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct slice all = slice_of((const char *)data, n);
	static struct sts_policy p;
	char id[STS_ID_MAX + 1];

	if (sts_record_read(all, id))
		for (size_t i = 0; id[i] != '\0'; i++)
			ASSERT((id[i] >= '0' && id[i] <= '9') ||
			    (ascii_lower(id[i]) >= 'a' &&
				ascii_lower(id[i]) <= 'z'));
	if (sts_policy_read(all, &p) == NULL)
		check_policy(&p);
	(void)sts_hosts_match(all, SL("mx.example"));
	(void)sts_hosts_match(SL("*.example\nmx.example\n"), all);
	return 0;
}

/*
 * Fuzz target: a report of abuse. Whatever the bytes, what is found lies within
 * them, and a text that is cut anywhere is read as well.
 */
#include <stdint.h>

#include "proto/proto.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void
is_within(struct slice s, struct slice all)
{
	ASSERT(s.n == 0 || (s.p >= all.p && s.p + s.n <= all.p + all.n));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct slice all = slice_of((const char *)data, n);
	struct arf a;

	for (size_t cut = 1; cut <= 4; cut++) {
		all.n = n / 4 * cut + (cut == 4 ? n % 4 : 0);
		if (!arf_read(all, &a))
			continue;
		ASSERT(a.type.n > 0);
		is_within(a.type, all);
		is_within(a.agent, all);
		ASSERT(a.nids <= ARF_IDS_MAX && a.nrcpts <= ARF_RCPTS_MAX);
		for (uint32_t i = 0; i < a.nrcpts; i++) {
			is_within(a.rcpt[i], all);
			ASSERT(a.rcpt[i].n > 0 && a.rcpt[i].n <= MAILBOX_MAX);
		}
		ASSERT(a.source.family == 0 || a.source.family == 4 ||
		    a.source.family == 6);
		(void)arf_complains(&a);
	}
	return 0;
}

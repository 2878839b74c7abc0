/*
 * Fuzz target: a PROXY header. What its front needs more bytes for is no error
 * later, once it is whole; and its length lies within what came.
 */
#include <stdint.h>

#include "proto/proto.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct slice all = slice_of((const char *)data, n);
	struct proxy_header h, part;
	int whole = proxy_read(all, &h);

	ASSERT(whole <= (int)n);
	ASSERT(!h.is_proxied || whole <= 0 ||
	    (h.from.ip.family == h.to.ip.family && h.from.ip.family != 0));
	for (size_t i = 0; i < MIN(n, (size_t)PROXY_BYTES_MAX); i++) {
		int cut = proxy_read(slice_of(all.p, i), &part);

		/* It may need more, or be judged as the whole is. */
		ASSERT(cut == 0 || cut == whole);
		ASSERT(cut <= 0 || (size_t)cut <= i);
		ASSERT(cut != 0 || whole <= 0 ||
		    i + proxy_needs(slice_of(all.p, i)) <= (size_t)whole);
	}
	return 0;
}

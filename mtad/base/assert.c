/*
 * base/assert.c - the end of a process that found a bug in itself.
 *
 * This room does no output of its own: the hook reports. Without a hook (a
 * unit test, a small tool) the C library's own assertion handler names the
 * place on stderr. A hook that fails an ASSERT itself goes straight to
 * abort().
 */
#undef NDEBUG
#include <assert.h>
#include <stdlib.h>

#include "base/base.h"

void (*assert_hook)(const char *cond, const char *file, int line,
    const char *func);

void
assert_fail(const char *cond, const char *file, int line, const char *func)
{
	static int is_failing;

	if (__atomic_exchange_n(&is_failing, 1, __ATOMIC_SEQ_CST))
		abort();
	if (assert_hook == NULL)
		__assert_fail(cond, file, (unsigned)line, func);
	assert_hook(cond, file, line, func);
	abort();
}

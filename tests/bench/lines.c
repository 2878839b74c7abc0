/*
 * lines - counts cold cache lines where the processor does not tell: bench_engine
 * is linked with it once more, as bench_engine_lines, from objects that are
 * compiled with -fsanitize=thread, whose calls before each access to memory come
 * here in place of that sanitizer's library.
 *
 * An access is cold when its line is not in a model of a cache: 1 MB of lines of
 * 64 bytes, 16 to a set, the least recently used one gives way. That is about
 * what a core has for itself (its L2); what it shares with others is left out,
 * for nobody knows who is there. What was asked for ahead (mem_ask) is counted
 * when it is touched, as if it had not been. Code, and what lies in registers and
 * on the stack alone, is not counted; what libc's memset and memcpy touch is.
 */
#include <stddef.h>
#include <stdint.h>

#include "bench/lines.h"

#define LINE_SHIFT 6
#define SETS 1024u
#define WAYS 16u

static uintptr_t cache[SETS][WAYS]; /* the last used first */
static uint64_t cold;

static void
touch(uintptr_t line)
{
	uintptr_t *set = cache[line % SETS], next = line, old;
	unsigned i;

	if (set[0] == line)
		return;
	for (i = 0; i < WAYS; i++) {
		old = set[i];
		set[i] = next;
		if (old == line)
			return;
		next = old;
	}
	cold++;
}

static void
touch_range(const void *p, size_t n)
{
	uintptr_t at = (uintptr_t)p >> LINE_SHIFT;
	uintptr_t last = ((uintptr_t)p + (n ? n - 1 : 0)) >> LINE_SHIFT;

	for (; at <= last; at++)
		touch(at);
}

uint64_t
lines_cold(void)
{
	return cold;
}

/* ---- what the compiler calls --------------------------------------------------- */

/* clang-format off */
#define ACCESS(name, bytes)                                                    \
	void name(const void *p);                                              \
	void name(const void *p) { touch_range(p, bytes); }
#define ACCESSES(n)                                                            \
	ACCESS(__tsan_read##n, n)                                              \
	ACCESS(__tsan_write##n, n)                                             \
	ACCESS(__tsan_unaligned_read##n, n)                                    \
	ACCESS(__tsan_unaligned_write##n, n)
/* clang-format on */
ACCESSES(1)
ACCESSES(2)
ACCESSES(4)
ACCESSES(8)
ACCESSES(16)

void __tsan_init(void);
void __tsan_func_entry(const void *caller);
void __tsan_func_exit(void);
void __tsan_read_range(const void *p, size_t n);
void __tsan_write_range(const void *p, size_t n);

void
__tsan_init(void)
{
}

void
__tsan_func_entry(const void *caller)
{
	(void)caller;
}

void
__tsan_func_exit(void)
{
}

void
__tsan_read_range(const void *p, size_t n)
{
	touch_range(p, n);
}

void
__tsan_write_range(const void *p, size_t n)
{
	touch_range(p, n);
}

/* By the linker's --wrap. */
void *__real_memset(void *p, int c, size_t n);
void *__wrap_memset(void *p, int c, size_t n);
void *__real_memcpy(void *to, const void *from, size_t n);
void *__wrap_memcpy(void *to, const void *from, size_t n);

void *
__wrap_memset(void *p, int c, size_t n)
{
	touch_range(p, n);
	return __real_memset(p, c, n);
}

void *
__wrap_memcpy(void *to, const void *from, size_t n)
{
	touch_range(to, n);
	touch_range(from, n);
	return __real_memcpy(to, from, n);
}

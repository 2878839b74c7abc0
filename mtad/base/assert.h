/*
 * base/assert.h - ASSERT: for bugs, never for what a peer, a disk or a user
 * can cause. Always compiled in. A failed one runs the hook (the daemon dumps
 * its trace ring there) and aborts.
 */
#ifndef BASE_ASSERT_H
#define BASE_ASSERT_H

#define ASSERT(cond)                                                           \
	((cond) ? (void)0 : assert_fail(#cond, __FILE__, __LINE__, __func__))

void assert_fail(const char *cond, const char *file, int line, const char *func)
    __attribute__((noreturn, cold));

/* What to call, once, before abort(). May be NULL. Set at boot. */
extern void (*assert_hook)(const char *cond, const char *file, int line,
    const char *func);

#endif

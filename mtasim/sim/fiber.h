/*
 * sim/fiber.h - a thread that runs only when it is told to: the spooler, which
 * blocks in the midst of its turn while the disk takes its time.
 *
 * One fiber runs at a time, on the one real thread. fiber_run comes back when
 * the function has returned or parks itself; fiber_resume goes on with a parked
 * one.
 */
#ifndef SIM_FIBER_H
#define SIM_FIBER_H

#include <ucontext.h>

#include "base/base.h"

struct fiber {
	void (*fn)(void *arg);
	void *arg;
	char *stack;
	ucontext_t self, caller;
	const void *caller_stack; /* for the address sanitizer */
	size_t caller_stack_n;
	bool is_running, is_parked;
};

void fiber_init(struct fiber *f, void (*fn)(void *arg), void *arg);
void fiber_free(struct fiber *f); /* not a parked one */
void fiber_run(struct fiber *f);
void fiber_resume(struct fiber *f);
void fiber_park(struct fiber *f); /* from inside */

#endif

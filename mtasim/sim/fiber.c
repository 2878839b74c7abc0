/*
 * sim/fiber.c - fibers by ucontext. The address sanitizer is told of each
 * switch, or it would take the other stack for nonsense.
 */
#include "sim/fiber.h"

#define STACK_BYTES (256u * 1024)

#if defined(__SANITIZE_ADDRESS__)
#define HAS_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HAS_ASAN 1
#endif
#endif

#ifdef HAS_ASAN
#include <sanitizer/common_interface_defs.h>
#define leave(save, stack, n) __sanitizer_start_switch_fiber(save, stack, n)
#define arrive(save, stack, n) __sanitizer_finish_switch_fiber(save, stack, n)
#else
#define leave(save, stack, n) ((void)(save))
#define arrive(save, stack, n) ((void)(save))
#endif

/* makecontext hands over only ints; one fiber begins at a time. */
static struct fiber *beginning;

static void
trampoline(void)
{
	struct fiber *f = beginning;

	arrive(NULL, &f->caller_stack, &f->caller_stack_n);
	f->fn(f->arg);
	f->is_running = false;
	/* It ends here: its stack holds nothing that is needed. */
	leave(NULL, f->caller_stack, f->caller_stack_n);
	setcontext(&f->caller);
	abort();
}

static void
enter(struct fiber *f)
{
	void *save = NULL;

	f->is_running = true;
	f->is_parked = false;
	leave(&save, f->stack, STACK_BYTES);
	if (swapcontext(&f->caller, &f->self))
		abort();
	arrive(save, NULL, NULL);
}

void
fiber_init(struct fiber *f, void (*fn)(void *arg), void *arg)
{
	*f = (struct fiber){ .fn = fn, .arg = arg };
}

void
fiber_free(struct fiber *f)
{
	ASSERT(!f->is_running && !f->is_parked);
	mem_free(f->stack);
	f->stack = NULL;
}

void
fiber_run(struct fiber *f)
{
	ASSERT(!f->is_running && !f->is_parked);
	if (!f->stack)
		f->stack = mem_get(STACK_BYTES);
	if (getcontext(&f->self))
		abort();
	f->self.uc_stack.ss_sp = f->stack;
	f->self.uc_stack.ss_size = STACK_BYTES;
	f->self.uc_link = NULL;
	beginning = f;
	makecontext(&f->self, trampoline, 0);
	enter(f);
}

void
fiber_resume(struct fiber *f)
{
	ASSERT(f->is_parked);
	enter(f);
}

void
fiber_park(struct fiber *f)
{
	void *save = NULL;

	ASSERT(f->is_running);
	f->is_running = false;
	f->is_parked = true;
	leave(&save, f->caller_stack, f->caller_stack_n);
	if (swapcontext(&f->self, &f->caller))
		abort();
	arrive(save, &f->caller_stack, &f->caller_stack_n);
}

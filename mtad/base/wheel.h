/*
 * base/wheel.h - hierarchical timer wheel over 32-bit slot numbers.
 *
 * Timers are not pointers but indices into a table that the owner keeps (a
 * pool, usually): the owner embeds struct wheel_link in its slot and gives a
 * function that finds the link of an index. This keeps a timer at 16 bytes.
 * Resolution is tick_us; a timer never fires early and at most one tick late
 * in wheel time. Insert and remove O(1); advance O(1) amortised per timer, and
 * the owner says how many timers one call may move: millions may share a slot.
 * Timers fire in the order of their ticks, those of one tick in the order
 * they were set. The wheel's time moves only in wheel_take.
 */
#ifndef BASE_WHEEL_H
#define BASE_WHEEL_H

#include <stdbool.h>
#include <stdint.h>

struct wheel_link {
	uint32_t next, prev; /* indices; 0 = end */
	uint32_t tick;       /* when, in ticks since the wheel's start, cut */
	uint32_t where;      /* level and slot + 1; 0 = not set */
};

#define WHEEL_LEVELS 4
#define WHEEL_SLOTS 256
#define WHEEL_NEVER UINT64_MAX

struct wheel {
	struct wheel_link *(*link)(void *ctx, uint32_t index);
	void *ctx;
	int64_t start_us;
	int64_t tick_us;
	uint64_t now_tick;
	uint32_t head[WHEEL_LEVELS][WHEEL_SLOTS];
	uint32_t tail[WHEEL_LEVELS][WHEEL_SLOTS];
	uint64_t used[WHEEL_LEVELS][WHEEL_SLOTS / 64]; /* bitmaps */
	uint32_t nused[WHEEL_LEVELS];                  /* bits in them */
	uint64_t next_tick; /* start of the first used slot; WHEEL_NEVER */
	uint32_t due_head, due_tail; /* fired, not yet taken */
	uint32_t opening; /* where: the slot that is being taken apart; or 0 */
	uint32_t n;
	uint64_t moves; /* work done so far: timers put into a slot */
};

/* The span of a wheel is 255 * 2^24 ticks (49 days of milliseconds); a later
 * deadline is cut to it, so its owner, finding it early, sets it again. */
void wheel_init(struct wheel *w, int64_t start_us, int64_t tick_us,
    struct wheel_link *(*link)(void *ctx, uint32_t index), void *ctx);
/* Sets index (not 0) to fire at when_us; moves it when already set. A time
 * that has come is due at once, behind what is due already: an owner that sets
 * such a timer each time it takes one never sees wheel_take say 0. TIME_NEVER
 * cancels. */
void wheel_set(struct wheel *w, uint32_t index, int64_t when_us);
/* Harmless when not set. */
void wheel_cancel(struct wheel *w, uint32_t index);
bool wheel_is_set(const struct wheel *w, uint32_t index);
/* Next index due at now_us, taken out, or 0. Call until it says 0; timers may
 * be set and cancelled between the calls. A now_us that is earlier than one
 * before does not turn the wheel back. At most *moves timers are moved from slot
 * to slot, and *moves becomes what is left of them (NULL: as many as it takes);
 * where that is too few it says 0 and wheel_is_behind true: call again. */
uint32_t wheel_take(struct wheel *w, int64_t now_us, uint32_t *moves);
bool wheel_is_behind(const struct wheel *w);
/* A time not after the earliest deadline at which wheel_take should be
 * called again; TIME_NEVER when no timer is set. Later than the now_us for
 * which wheel_take last said 0, unless it is behind. When the time comes there may be nothing to
 * take, but at most three times for one deadline. */
int64_t wheel_next(const struct wheel *w);
/* What next_tick must be, found by a search; for checks. */
uint64_t wheel_first(const struct wheel *w);

#endif

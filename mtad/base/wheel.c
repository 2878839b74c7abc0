/*
 * base/wheel.c - the timer wheel.
 *
 * Let N be the wheel's time (now_tick) and D the tick of a timer, D > N. The
 * timer's level is the place of the highest byte in which D and N differ (at
 * most the top one), its slot is that byte of D. Hence:
 *
 *   - below the top level, a used slot has a number greater than N's byte of
 *     that level, and all its timers share N's bytes above; the top level goes
 *     round, and since D - N <= 255 * 2^24 its slots are never ambiguous;
 *   - every timer of a level fires before every timer of the levels above, so
 *     the first used slot of the lowest used level holds the earliest;
 *   - N moves from the start of one used slot to the next, or short of it:
 *     either way what is written above stays true of the timers not touched.
 *     At the start of a slot its timers are due (level 0) or are put in again,
 *     in their order, one level or more below. While that goes on (`opening`)
 *     N stays, the slot has N's byte of its level, and a timer set for a tick
 *     of its span goes to its end, behind those that were there before;
 *   - timers of one tick are always in one slot, in the order they were set.
 *
 * Where the first used slot starts is asked before every event, and so kept
 * (next_tick) as slots come and go.
 *
 * Only the low 32 bits of D are kept: D is found again from N. Timers that
 * are due wait in a list of their own; N does not move while it holds any.
 */
#include "base/base.h"

#define SLOT_BITS 8
#define SLOT_MASK (WHEEL_SLOTS - 1)
#define LEVEL_TOP (WHEEL_LEVELS - 1)
#define SPAN_TICKS ((uint64_t)SLOT_MASK << (SLOT_BITS * LEVEL_TOP))
#define WHERE_DUE (WHEEL_LEVELS * WHEEL_SLOTS + 1)

void
wheel_init(struct wheel *w, int64_t start_us, int64_t tick_us,
    struct wheel_link *(*link)(void *ctx, uint32_t index), void *ctx)
{
	ASSERT(tick_us > 0 && link != NULL);
	*w = (struct wheel){
		.link = link,
		.ctx = ctx,
		.start_us = start_us,
		.tick_us = tick_us,
		.next_tick = WHEEL_NEVER,
	};
}

static struct wheel_link *
link_of(const struct wheel *w, uint32_t index)
{
	return w->link(w->ctx, index);
}

static uint32_t
where_of(unsigned level, unsigned slot)
{
	return level * WHEEL_SLOTS + slot + 1;
}

/* The tick that a slot begins with, N or later. */
static uint64_t
slot_tick(const struct wheel *w, unsigned level, unsigned slot)
{
	unsigned shift = SLOT_BITS * level;
	uint64_t at = w->now_tick >> shift;

	return (at + ((slot - at) & SLOT_MASK)) << shift;
}

/* The first used slot of a level at or after `from`, or WHEEL_SLOTS. */
static unsigned
used_from(const struct wheel *w, unsigned level, unsigned from)
{
	uint64_t word;

	for (unsigned i = from / 64; i < WHEEL_SLOTS / 64; i++) {
		word = w->used[level][i];
		if (i == from / 64)
			word &= ~UINT64_C(0) << (from % 64);
		if (word != 0)
			return i * 64 + (unsigned)__builtin_ctzll(word);
	}
	return WHEEL_SLOTS;
}

/* The first used slot after N: its level and number. False when no timer waits
 * in a slot. */
static bool
next_slot(const struct wheel *w, unsigned *level, unsigned *slot)
{
	unsigned l, s, at;

	for (l = 0; l < WHEEL_LEVELS; l++) {
		if (w->nused[l] == 0)
			continue;
		at = (w->now_tick >> (SLOT_BITS * l)) & SLOT_MASK;
		s = at < SLOT_MASK ? used_from(w, l, at + 1) : WHEEL_SLOTS;
		if (s == WHEEL_SLOTS && l == LEVEL_TOP)
			s = used_from(w, l, 0);
		if (s == WHEEL_SLOTS)
			continue;
		*level = l;
		*slot = s;
		return true;
	}
	return false;
}

bool
wheel_is_behind(const struct wheel *w)
{
	unsigned at = w->opening - 1;

	return w->opening != 0 &&
	    w->head[at / WHEEL_SLOTS][at % WHEEL_SLOTS] != 0;
}

uint64_t
wheel_first(const struct wheel *w)
{
	unsigned level, slot;

	if (wheel_is_behind(w))
		return w->now_tick;
	return next_slot(w, &level, &slot) ? slot_tick(w, level, slot) :
					     WHEEL_NEVER;
}

/* Keeps the bitmap, the count of its bits and the first of them true of the
 * list that `where` names. */
static void
used_mark(struct wheel *w, uint32_t where, bool is_used)
{
	unsigned level = (where - 1) / WHEEL_SLOTS;
	unsigned slot = (where - 1) % WHEEL_SLOTS;
	uint64_t bit = UINT64_C(1) << (slot % 64), tick;

	if (where == WHERE_DUE ||
	    !!(w->used[level][slot / 64] & bit) == is_used)
		return;
	w->used[level][slot / 64] ^= bit;
	w->nused[level] += is_used ? 1 : -1u;
	tick = slot_tick(w, level, slot);
	if (is_used)
		w->next_tick = MIN(w->next_tick, tick);
	else if (tick == w->next_tick)
		w->next_tick = wheel_first(w);
}

/* The two ends of the list that `where` names. */
static void
list_ends(struct wheel *w, uint32_t where, uint32_t **head, uint32_t **tail)
{
	if (where == WHERE_DUE) {
		*head = &w->due_head;
		*tail = &w->due_tail;
	} else {
		unsigned level = (where - 1) / WHEEL_SLOTS;
		unsigned slot = (where - 1) % WHEEL_SLOTS;

		*head = &w->head[level][slot];
		*tail = &w->tail[level][slot];
	}
}

static void
append(struct wheel *w, uint32_t index, struct wheel_link *l, uint32_t where)
{
	uint32_t *head, *tail;

	w->moves++;
	list_ends(w, where, &head, &tail);
	l->where = where;
	l->prev = *tail;
	l->next = 0;
	if (*tail != 0)
		link_of(w, *tail)->next = index;
	else
		*head = index;
	*tail = index;
	used_mark(w, where, true);
}

static void
detach(struct wheel *w, uint32_t index, struct wheel_link *l)
{
	uint32_t *head, *tail;

	list_ends(w, l->where, &head, &tail);
	ASSERT(l->prev != 0 || *head == index);
	ASSERT(l->next != 0 || *tail == index);
	if (l->prev != 0)
		link_of(w, l->prev)->next = l->next;
	else
		*head = l->next;
	if (l->next != 0)
		link_of(w, l->next)->prev = l->prev;
	else
		*tail = l->prev;
	if (*head == 0)
		used_mark(w, l->where, false);
	l->where = 0;
}

/* Puts a timer of tick l->tick, cut, where it belongs now. */
static void
place(struct wheel *w, uint32_t index, struct wheel_link *l)
{
	uint64_t now = w->now_tick;
	uint64_t due = now + (uint32_t)(l->tick - (uint32_t)now);
	unsigned level, slot;

	if (due == now) {
		append(w, index, l, WHERE_DUE);
		return;
	}
	level = (63 - (unsigned)__builtin_clzll(due ^ now)) / SLOT_BITS;
	level = MIN(level, LEVEL_TOP);
	slot = (due >> (SLOT_BITS * level)) & SLOT_MASK;
	append(w, index, l, where_of(level, slot));
}

/* The first tick that is not before a time; none is before the start. */
static uint64_t
tick_at_or_after(const struct wheel *w, int64_t us)
{
	uint64_t since;

	if (us <= w->start_us)
		return 0;
	since = (uint64_t)us - (uint64_t)w->start_us;
	return since / (uint64_t)w->tick_us +
	    (since % (uint64_t)w->tick_us != 0);
}

static uint64_t
tick_at_or_before(const struct wheel *w, int64_t us)
{
	if (us <= w->start_us)
		return 0;
	return ((uint64_t)us - (uint64_t)w->start_us) / (uint64_t)w->tick_us;
}

/* Is a tick in the span of the slot that is being opened? */
static bool
is_opened(const struct wheel *w, uint64_t tick)
{
	unsigned level = w->opening == 0 ? 0 : (w->opening - 1) / WHEEL_SLOTS;

	return w->opening != 0 &&
	    tick >> (SLOT_BITS * level) == w->now_tick >> (SLOT_BITS * level);
}

void
wheel_set(struct wheel *w, uint32_t index, int64_t when_us)
{
	struct wheel_link *l;
	uint64_t due;

	ASSERT(index != 0);
	wheel_cancel(w, index);
	if (when_us == TIME_NEVER)
		return;
	due = MAX(tick_at_or_after(w, when_us), w->now_tick);
	due = MIN(due, w->now_tick + SPAN_TICKS);
	l = link_of(w, index);
	l->tick = (uint32_t)due;
	if (is_opened(w, due))
		append(w, index, l, w->opening);
	else
		place(w, index, l);
	w->n++;
}

void
wheel_cancel(struct wheel *w, uint32_t index)
{
	struct wheel_link *l = link_of(w, index);

	if (l->where == 0)
		return;
	ASSERT(l->where <= WHERE_DUE && w->n > 0);
	detach(w, index, l);
	w->n--;
}

bool
wheel_is_set(const struct wheel *w, uint32_t index)
{
	return link_of(w, index)->where != 0;
}

/* Takes timers of the slot that is being opened, in their order, to where they
 * belong now. False: moves are used up before it is empty. */
static bool
open_slot(struct wheel *w, uint32_t *moves)
{
	unsigned level = (w->opening - 1) / WHEEL_SLOTS;
	unsigned slot = (w->opening - 1) % WHEEL_SLOTS;
	uint32_t index;
	struct wheel_link *l;

	while ((index = w->head[level][slot]) != 0) {
		if (moves != NULL && *moves == 0)
			return false;
		if (moves != NULL)
			(*moves)--;
		l = link_of(w, index);
		detach(w, index, l);
		place(w, index, l);
	}
	w->opening = 0;
	return true;
}

/* Moves N to a tick, but no further than to where something is due. */
static void
advance(struct wheel *w, uint64_t to, uint32_t *moves)
{
	unsigned level, slot;

	while (w->due_head == 0) {
		if (w->opening == 0) {
			if (w->next_tick > to || !next_slot(w, &level, &slot)) {
				w->now_tick = MAX(w->now_tick, to);
				return;
			}
			w->now_tick = w->next_tick;
			w->opening = where_of(level, slot);
		}
		if (!open_slot(w, moves))
			return;
	}
}

uint32_t
wheel_take(struct wheel *w, int64_t now_us, uint32_t *moves)
{
	uint32_t index;

	if (w->due_head == 0)
		advance(w, tick_at_or_before(w, now_us), moves);
	index = w->due_head;
	if (index == 0)
		return 0;
	detach(w, index, link_of(w, index));
	w->n--;
	return index;
}

int64_t
wheel_next(const struct wheel *w)
{
	uint64_t tick = w->due_head != 0 ? w->now_tick : w->next_tick;
	int64_t us;

	if (tick == WHEEL_NEVER ||
	    __builtin_mul_overflow(tick, w->tick_us, &us) ||
	    __builtin_add_overflow(us, w->start_us, &us))
		return TIME_NEVER;
	return us;
}

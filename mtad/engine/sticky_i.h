/*
 * engine/sticky_i.h - pools where a domain has one source; private to the room.
 */
#ifndef ENGINE_STICKY_I_H
#define ENGINE_STICKY_I_H

#include "engine/engine_i.h"

/* The queue of a recipient at a site: of its flow, pinned to its domain's source
 * where the pool is sticky. */
uint32_t eng_rcpt_queue(struct eng *e, uint32_t i, uint32_t site);
/* May that matter to mail of a lane? The two below are for those. */
static inline bool
eng_lane_sticks(const struct eng *e, const struct lane *l)
{
	return e->has_sticky || l->is_sticky;
}
/* Does a recipient of the lane belong there, as far as that goes? */
bool eng_lane_suits(struct eng *e, struct lane *l, uint32_t i);
/* Moves the lane's next recipient to where it belongs, if that is not here. */
bool eng_lane_restick(struct eng *e, uint32_t lane);

/* The lane's next recipient is pinned to a source that mail shall not leave by now,
 * and not because the pool is sticky: it is pinned no more. */
bool eng_lane_release(struct eng *e, uint32_t lane);

#endif

/*
 * engine/kinds_i.h - what kinds of standings there are (target.c); a part of
 * engine_i.h.
 */
#ifndef ENGINE_KINDS_I_H
#define ENGINE_KINDS_I_H

#include "engine/reaction.h"

/* Standings with one action on targets of one kind, which dims make up. */
struct stand_kind {
	uint16_t dims;
	uint8_t action;
	uint32_t count;
};
#define STAND_KINDS_MAX ENG_AUTOMATIONS_MAX
struct stand_kinds {
	struct stand_kind v[STAND_KINDS_MAX];
	uint32_t n;
	uint32_t acts, queue_acts; /* 1 << action: on paths, on queues */
	uint32_t ids;              /* given so far */
	uint32_t sweep, nsweep; /* recipients to bounce: next slot, how many */
	uint32_t others;        /* changes of who leaves by another source */
	uint32_t nratios;       /* rules of ratios that the policy has */
};

#endif

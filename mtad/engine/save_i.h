/*
 * engine/save_i.h - between save.c and save_check.c.
 */
#ifndef ENGINE_SAVE_I_H
#define ENGINE_SAVE_I_H

#include <stdio.h>

#include "engine/engine_i.h"
#include "engine/save.h"
#include "engine/wire.h"

#define JOBS_MAX 65536u

struct save_pool {
	size_t at; /* in struct eng */
	size_t slot_bytes;
	const char *name;
};
extern const struct save_pool save_pools[];
extern const size_t save_npools;

/* The layout of what is checked, mixed into h. */
uint64_t save_check_layout(uint64_t h);
/* The plain fields. 0 or E_CORRUPT. */
int save_check_machine(const struct eng *e);
/* Everything: builds the heap, too. E_CORRUPT with *what. */
int save_check(struct eng *e, const char **what);

#endif

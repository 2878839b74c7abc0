/*
 * base/base.h - the ground floor: what every room may lean on.
 *
 * Level 0 of the house: libc only, no I/O, no clock, no thread, no randomness
 * from outside. Memory is taken here and nowhere else in the pure rooms.
 *
 * This is the front door. It pulls in the room's leaves, each of which
 * documents its own functions.
 */
#ifndef BASE_BASE_H
#define BASE_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/err.h"
#include "base/assert.h"
#include "base/mem.h"
#include "base/slice.h"
#include "base/buf.h"
#include "base/list.h"
#include "base/post.h"
#include "base/pages.h"
#include "base/pool.h"
#include "base/map.h"
#include "base/image.h"
#include "base/heap.h"
#include "base/wheel.h"
#include "base/rng.h"
#include "base/hash.h"
#include "base/filter.h"
#include "base/fmt.h"
#include "base/date.h"
#include "base/addr.h"
#include "base/json.h"
#include "base/log.h"
#include "base/trace.h"
#include "base/banned.h"

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))
#define container_of(ptr, type, member)                                        \
	((type *)(void *)((char *)(ptr)-offsetof(type, member)))

#define US_PER_MS INT64_C(1000)
#define US_PER_S INT64_C(1000000)
#define TIME_NEVER INT64_MAX /* a deadline that never comes, in any unit */

/* The version of the three programs, such as "0.1.0". */
const char *mta_version(void);
/* Where the files of share/ lie once they are installed. */
const char *mta_datadir(void);

#endif

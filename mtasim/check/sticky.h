/*
 * check/sticky.h - mail of a domain that goes by a sticky pool leaves by one
 * source of it, whatever starts, crashes and reloads there are; and where one
 * source less is in the pool, the others keep their domains.
 */
#ifndef CHECK_STICKY_H
#define CHECK_STICKY_H

#include "check/check.h"

#define STK_POOLS 4u
#define STK_DOMAINS 64u
#define STK_SOURCES 8u
#define STK_ALL STK_SOURCES /* no source is left out */

struct sticks;
struct sticks *stk_new(struct marks *marks);
void stk_free(struct sticks *s);
/* Mail to a domain is handed to a session of that source, while the pool, which
 * is sticky, has all of its sources but `without`. */
void stk_assigned(struct sticks *s, uint32_t pool, uint32_t domain,
    uint32_t without, uint32_t source, uint32_t msg);

#endif

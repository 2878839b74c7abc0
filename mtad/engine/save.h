/*
 * engine/save.h - the whole engine as bytes, and back.
 *
 * What is saved is memory: every slot of every pool, live or free, the order of
 * the free lists, timers with their ties, the state of the dice, the policy.
 * A new field of a structure is thus saved by itself; only a new pool, map or
 * pointer needs a line, in save.c. In return an image is for a program with
 * the same layout of structures, and eng_layout tells whether it is.
 */
#ifndef ENGINE_SAVE_H
#define ENGINE_SAVE_H

#include "engine/engine.h"

/* Differs between programs that cannot read each other's images. */
uint64_t eng_layout(void);
/* Between two steps. Allocates nothing and changes nothing, so that a forked
 * child may write while its parent goes on. */
void eng_save(const struct eng *e, const struct image_out *out);
/* How many bytes that will be, at most; one pass over the sites. */
uint64_t eng_save_bytes(const struct eng *e);
/*
 * An engine from an image, which may be hostile: all that comes back points
 * only to what is there. 0, or E_CORRUPT, E_VERSION (another layout) or
 * E_NOMEM with words in why. The engine's policy goes into *policy, which
 * lives until a later CONF.
 */
int eng_load(const struct image_in *in, struct eng_policy *policy,
    struct eng **out, char *why, size_t why_cap) MUST_CHECK;

#endif

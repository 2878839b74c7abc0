/*
 * base/filter.h - has this key ever been put in? "No" is certain, "yes" is wrong
 * for about one in 200 keys that were not (at 12 bits a key).
 *
 * A Bloom filter in blocks of one cache line, so that a question costs one
 * access to memory: the hash chooses a block, and in each of its eight words
 * one bit. (Putze, Sanders, Singler, "Cache-, hash- and space-efficient Bloom
 * filters", 2007.) Keys are hashes of 64 bits under a seed that strangers do not
 * know, hash_bytes. There is no taking out.
 */
#ifndef BASE_FILTER_H
#define BASE_FILTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FILTER_BITS_PER_KEY 12

struct filter;

/* An empty one for so many keys; more may be put in, and then it is wrong more
 * often. NULL without memory. Free with filter_free. */
struct filter *filter_new(uint64_t keys);
void filter_free(struct filter *f);
void filter_add(struct filter *f, uint64_t hash);
bool filter_has(const struct filter *f, uint64_t hash);
/* The same question is to come: asks memory for what it will look at. */
void filter_ask(const struct filter *f, uint64_t hash);
/* Memory that it takes. */
size_t filter_bytes(const struct filter *f);

#endif

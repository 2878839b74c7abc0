/*
 * Texts that are kept in blocks: they stay as they are, whatever is dropped
 * around them, and memory goes with the last text of a block.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "spool/keep.h"

#define TEXTS 20000

static char *kept[TEXTS];

/* Of different lengths, none like its neighbour. */
static struct slice
text_of(uint32_t i, char *dst, size_t cap)
{
	size_t n = i % 7 == 0 ? 0 : 20 + i % cap / 2;

	memset(dst, (int)('a' + i % 23), n);
	return slice_of(dst, n);
}

static void
put(struct keep *k, uint32_t i)
{
	char bytes[400];

	kept[i] = keep_put(k, text_of(i, bytes, sizeof(bytes)));
	assert_non_null(kept[i]);
}

static void
check(uint32_t i)
{
	char bytes[400];
	struct slice want = text_of(i, bytes, sizeof(bytes));

	assert_memory_equal(kept[i], want.p, want.n);
}

static void
drop(struct keep *k, uint32_t i)
{
	char bytes[400];

	keep_drop(k, kept[i], text_of(i, bytes, sizeof(bytes)).n);
}

static void
texts_stay_and_memory_goes_with_the_last(void **state)
{
	struct keep k = { 0 };
	uint64_t all;

	(void)state;
	for (uint32_t i = 0; i < TEXTS; i++)
		put(&k, i);
	all = k.all;
	assert_in_range(all, k.live, k.live + k.live / 4 + (1u << 20));
	/* In the order of their arrival: memory goes as they go. */
	for (uint32_t i = 0; i < TEXTS / 2; i++) {
		check(i);
		drop(&k, i);
	}
	assert_in_range(k.all, k.live, all / 2 + (2u << 20));
	for (uint32_t i = TEXTS / 2; i < TEXTS; i++)
		check(i);
	/* Of the others but every hundredth: blocks are held by few. */
	for (uint32_t i = TEXTS / 2; i < TEXTS; i++)
		if (i % 100 != 0)
			drop(&k, i);
	assert_true(k.all > 20 * k.live);
	keep_turn(&k);
	for (uint32_t i = TEXTS / 2; i < TEXTS; i += 100) {
		check(i);
		drop(&k, i);
	}
	assert_int_equal(k.live, 0);
	assert_int_equal(k.all, 0);
}

static void
a_large_text_has_a_block_of_its_own(void **state)
{
	static char large[3 << 20];
	struct keep k = { 0 };
	char *small, *p, *next;

	(void)state;
	memset(large, 'x', sizeof(large));
	small = keep_put(&k, SL("small"));
	p = keep_put(&k, slice_of(large, sizeof(large)));
	next = keep_put(&k, SL("next"));
	assert_memory_equal(p, large, sizeof(large));
	assert_memory_equal(small, "small", 5);
	assert_memory_equal(next, "next", 4);
	keep_drop(&k, p, sizeof(large));
	assert_in_range(k.all, 1, 2u << 20);
	keep_drop(&k, small, 5);
	keep_drop(&k, NULL, 0);
	keep_drop(&k, next, 4);
	keep_turn(&k);
	assert_int_equal(k.all, 0);
}

/* A block is held by one text of a few bytes; that is sparse, once there are
 * some of them. */
static void
few_texts_in_many_blocks_are_sparse(void **state)
{
	static char large[400 << 10];
	struct keep k = { 0 };
	char *few[32];

	(void)state;
	for (uint32_t i = 0; i < 32; i++) {
		char *p = keep_put(&k, slice_of(large, sizeof(large)));

		few[i] = keep_put(&k, SL("few"));
		assert_false(keep_is_sparse(&k) && i < 8);
		keep_turn(&k);
		keep_drop(&k, p, sizeof(large));
	}
	assert_true(keep_is_sparse(&k));
	for (uint32_t i = 0; i < 32; i++) {
		char *p = keep_put(&k, SL("few"));

		keep_drop(&k, few[i], 3);
		few[i] = p;
	}
	assert_false(keep_is_sparse(&k));
	for (uint32_t i = 0; i < 32; i++)
		keep_drop(&k, few[i], 3);
	keep_turn(&k);
	assert_int_equal(k.all, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(texts_stay_and_memory_goes_with_the_last),
		cmocka_unit_test(a_large_text_has_a_block_of_its_own),
		cmocka_unit_test(few_texts_in_many_blocks_are_sparse),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

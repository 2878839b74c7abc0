/*
 * Memory: zeroed, aligned, bounded.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/base.h"

static bool
is_zero(const char *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (p[i] != 0)
			return false;
	return true;
}

static void
memory_comes_zeroed_and_keeps_its_content_when_grown(void **state)
{
	char *p = mem_get(100);

	(void)state;
	assert_true(is_zero(p, 100));
	memset(p, 'x', 100);
	p = mem_grow(p, 100000);
	assert_non_null(p);
	for (int i = 0; i < 100; i++)
		assert_int_equal(p[i], 'x');
	mem_free(p);
	p = mem_try(0);
	assert_non_null(p);
	mem_free(p);
	mem_free(NULL);
}

static void
an_arena_gives_aligned_zeroed_pieces_that_do_not_overlap(void **state)
{
	static char *piece[2000];
	static size_t size[2000];
	struct arena a;
	struct rng r;

	(void)state;
	rng_seed(&r, 1);
	arena_init(&a, 4096, 100 << 20);
	for (size_t i = 0; i < ARRAY_LEN(piece); i++) {
		size[i] = rng_below(&r, i % 50 == 0 ? 20000 : 300);
		piece[i] = arena_get(&a, size[i]);
		assert_non_null(piece[i]);
		assert_int_equal((uintptr_t)piece[i] % 16, 0);
		assert_true(is_zero(piece[i], size[i]));
		memset(piece[i], (int)(i % 251) + 1, size[i]);
	}
	for (size_t i = 0; i < ARRAY_LEN(piece); i++)
		for (size_t k = 0; k < size[i]; k++)
			assert_int_equal((unsigned char)piece[i][k],
			    i % 251 + 1);
	arena_free(&a);
	assert_int_equal(a.used, 0);
}

static void
an_arena_never_gives_more_than_its_ceiling(void **state)
{
	struct arena a;

	(void)state;
	arena_init(&a, 64, 1000);
	assert_null(arena_get(&a, 1001));
	assert_null(arena_get(&a, SIZE_MAX));
	assert_null(arena_get(&a, SIZE_MAX - 15));
	assert_null(arena_str(&a, "", SIZE_MAX));
	assert_non_null(arena_get(&a, 992));
	assert_null(arena_get(&a, 16));
	assert_int_equal(a.used, 992);
	arena_free(&a);
	assert_non_null(arena_get(&a, 992)); /* usable again */
	arena_free(&a);
}

static void
a_large_piece_does_not_waste_the_open_block(void **state)
{
	struct arena a;
	char *first, *second;

	(void)state;
	arena_init(&a, 4096, 1 << 20);
	first = arena_get(&a, 16);
	assert_non_null(arena_get(&a, 10000));
	second = arena_get(&a, 16);
	assert_ptr_equal(second, first + 16);
	arena_free(&a);
}

static void
an_arena_copies_text_with_a_nul(void **state)
{
	struct arena a;

	(void)state;
	arena_init(&a, 64, 1000);
	assert_string_equal(arena_str(&a, "hello world", 5), "hello");
	assert_string_equal(arena_str(&a, NULL, 0), "");
	arena_free(&a);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    memory_comes_zeroed_and_keeps_its_content_when_grown),
		cmocka_unit_test(
		    an_arena_gives_aligned_zeroed_pieces_that_do_not_overlap),
		cmocka_unit_test(an_arena_never_gives_more_than_its_ceiling),
		cmocka_unit_test(a_large_piece_does_not_waste_the_open_block),
		cmocka_unit_test(an_arena_copies_text_with_a_nul),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

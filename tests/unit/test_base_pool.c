/*
 * The pool: handles, ceilings, memory.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/base.h"

struct thing {
	uint64_t id;
	char body[40];
};

static void
a_slot_is_found_by_its_handle_until_it_is_given_back(void **state)
{
	struct pool p;
	struct handle h, again;
	struct thing *t;

	(void)state;
	pool_init(&p, sizeof(struct thing), 100);
	t = pool_take(&p, &h);
	assert_non_null(t);
	assert_false(handle_is_none(h));
	assert_ptr_equal(pool_get(&p, h), t);
	assert_ptr_equal(pool_at(&p, h.index), t);
	assert_true(handle_eq(pool_handle(&p, h.index), h));
	pool_give(&p, h.index);
	assert_null(pool_get(&p, h));
	assert_false(pool_is_live(&p, h.index));
	assert_ptr_equal(pool_take(&p, &again), t);
	assert_int_equal(again.index, h.index);
	assert_false(handle_eq(again, h));
	assert_null(pool_get(&p, h));
	assert_ptr_equal(pool_get(&p, again), t);
	pool_free(&p);
}

static void
handles_out_of_thin_air_miss(void **state)
{
	struct pool p;
	struct handle h;

	(void)state;
	pool_init(&p, 4, 100);
	assert_null(pool_get(&p, HANDLE_NONE));
	assert_null(pool_get(&p, (struct handle){ 1, 0 }));
	assert_null(pool_get(&p, (struct handle){ UINT32_MAX, 1 }));
	assert_non_null(pool_take(&p, &h));
	assert_null(pool_get(&p, HANDLE_NONE));
	assert_null(pool_get(&p, (struct handle){ 0, 1 }));
	assert_null(pool_get(&p, (struct handle){ h.index + 1, 0 }));
	assert_null(pool_get(&p, (struct handle){ h.index + 1, 1 }));
	assert_null(pool_get(&p, (struct handle){ UINT32_MAX, h.gen }));
	assert_false(pool_is_live(&p, 0));
	pool_free(&p);
}

static void
the_ceiling_holds_and_opens_again(void **state)
{
	struct pool p;
	struct handle h[10], none;

	(void)state;
	pool_init(&p, 16, 10);
	for (int i = 0; i < 10; i++)
		assert_non_null(pool_take(&p, &h[i]));
	assert_null(pool_take(&p, &none));
	assert_true(handle_is_none(none));
	assert_int_equal(p.live, 10);
	pool_give(&p, h[3].index);
	assert_non_null(pool_take(&p, &h[3]));
	assert_null(pool_take(&p, &none));
	pool_free(&p);
	pool_init(&p, 16, 0);
	assert_null(pool_take(&p, &none));
	pool_free(&p);
}

/* Random takes and gives against a table of what is live. */
static void
slots_keep_their_content_and_never_move(void **state)
{
	enum { MANY = 20000 };
	static struct handle h[MANY], old[MANY];
	static struct thing *where[MANY];
	struct pool p;
	struct rng r;

	(void)state;
	rng_seed(&r, 4);
	pool_init(&p, sizeof(struct thing), MANY);
	for (int i = 0; i < 400000; i++) {
		size_t k = rng_below(&r, MANY);

		if (h[k].index != 0) {
			assert_ptr_equal(pool_get(&p, h[k]), where[k]);
			assert_int_equal(where[k]->id, k);
			memset(where[k], 0xee, sizeof(struct thing));
			pool_give(&p, h[k].index);
			old[k] = h[k];
			h[k] = HANDLE_NONE;
			continue;
		}
		where[k] = pool_take(&p, &h[k]);
		assert_non_null(where[k]);
		assert_int_equal(where[k]->id, 0);
		assert_int_equal(where[k]->body[39], 0);
		where[k]->id = k;
		assert_null(pool_get(&p, old[k]));
	}
	pool_free(&p);
	assert_int_equal(pool_bytes(&p), 0);
}

static void
small_pools_are_small_and_large_ones_waste_little(void **state)
{
	struct pool p;
	struct handle h;

	(void)state;
	pool_init(&p, 64, 3);
	assert_int_equal(pool_bytes(&p), 0);
	pool_take(&p, &h);
	assert_true(pool_bytes(&p) <= 512);
	pool_free(&p);
	pool_init(&p, 64, 10000000);
	pool_take(&p, &h);
	assert_true(pool_bytes(&p) <= 80 * 1024);
	for (int i = 1; i < 300000; i++)
		assert_non_null(pool_take(&p, &h));
	assert_true(pool_bytes(&p) < 300000 * 64 * 12 / 10);
	pool_free(&p);
	pool_init(&p, 300000, 1000);
	pool_take(&p, &h);
	assert_true(pool_bytes(&p) <= 2 * 300000 + 100);
	memset(pool_at(&p, h.index), 1, 300000);
	pool_free(&p);
}

static void
a_generation_that_wraps_stays_odd_while_live(void **state)
{
	struct pool p;
	struct handle h;

	(void)state;
	pool_init(&p, 8, 4);
	pool_take(&p, &h);
	pool_give(&p, h.index);
	p.gens[h.index] = UINT32_MAX - 1;
	pool_take(&p, &h);
	assert_int_equal(h.gen, UINT32_MAX);
	pool_give(&p, h.index);
	assert_null(pool_get(&p, h));
	pool_take(&p, &h);
	assert_int_equal(h.gen, 1);
	pool_free(&p);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    a_slot_is_found_by_its_handle_until_it_is_given_back),
		cmocka_unit_test(handles_out_of_thin_air_miss),
		cmocka_unit_test(the_ceiling_holds_and_opens_again),
		cmocka_unit_test(slots_keep_their_content_and_never_move),
		cmocka_unit_test(
		    small_pools_are_small_and_large_ones_waste_little),
		cmocka_unit_test(a_generation_that_wraps_stays_odd_while_live),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

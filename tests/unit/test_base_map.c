/*
 * The two hash tables against flat models.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/base.h"

enum { KEYS = 500 };

static void
an_empty_map_answers(void **state)
{
	struct map m;

	(void)state;
	map_init(&m, 1, 10);
	assert_int_equal(map_get(&m, 5), 0);
	assert_int_equal(map_del(&m, 5), 0);
	assert_int_equal(map_bytes(&m), 0);
	map_free(&m);
}

static void
a_map_holds_what_was_put_last(void **state)
{
	struct map m;

	(void)state;
	map_init(&m, 1, 10);
	assert_int_equal(map_put(&m, 0, 7), 0);
	assert_int_equal(map_put(&m, UINT64_MAX, 8), 0);
	assert_int_equal(map_get(&m, 0), 7);
	assert_int_equal(map_put(&m, 0, 9), 0);
	assert_int_equal(m.n, 2);
	assert_int_equal(map_del(&m, 0), 9);
	assert_int_equal(map_get(&m, 0), 0);
	assert_int_equal(map_get(&m, UINT64_MAX), 8);
	map_free(&m);
}

static void
a_full_map_still_overwrites(void **state)
{
	struct map m;

	(void)state;
	map_init(&m, 1, 3);
	for (uint64_t k = 0; k < 3; k++)
		assert_int_equal(map_put(&m, k, 1), 0);
	assert_int_equal(map_put(&m, 3, 1), E_FULL);
	assert_int_equal(map_put(&m, 2, 5), 0);
	assert_int_equal(map_get(&m, 2), 5);
	assert_int_equal(map_get(&m, 3), 0);
	map_del(&m, 0);
	assert_int_equal(map_put(&m, 3, 1), 0);
	map_free(&m);
}

static void
map_check_all(const struct map *m, const uint32_t *model)
{
	uint32_t n = 0;

	for (uint64_t k = 0; k < KEYS; k++) {
		assert_int_equal(map_get(m, k), model[k]);
		n += model[k] != 0;
	}
	assert_int_equal(m->n, n);
}

/* Around 7/8 full, where runs are long and wrap round the end. */
static void
a_map_agrees_with_a_table_under_churn(void **state)
{
	struct map m;
	struct rng r;

	(void)state;
	rng_seed(&r, 5);
	for (uint64_t seed = 0; seed < 20; seed++) {
		uint32_t model[KEYS] = { 0 };
		uint32_t target = 14 + (uint32_t)rng_below(&r, 440);

		map_init(&m, seed, KEYS);
		for (int i = 0; i < 20000; i++) {
			uint64_t k = rng_below(&r, KEYS);
			bool add = m.n < target + rng_below(&r, 9);
			uint32_t v = 1 + (uint32_t)rng_below(&r, 1000);

			if (add) {
				assert_int_equal(map_put(&m, k, v), 0);
				model[k] = v;
			} else {
				assert_int_equal(map_del(&m, k), model[k]);
				model[k] = 0;
			}
			if (i % 500 == 0)
				map_check_all(&m, model);
		}
		map_check_all(&m, model);
		map_free(&m);
	}
}

/* A table is moved in many steps: keys are looked for, changed and removed in
 * between, and put again. */
static void
a_map_that_grows_forgets_nothing(void **state)
{
	static uint32_t model[20000];
	uint32_t bytes = 0, grown = 0;
	struct map m;
	struct rng r;

	(void)state;
	rng_seed(&r, 6);
	memset(model, 0, sizeof(model));
	map_init(&m, 3, UINT32_MAX / 2);
	for (uint32_t i = 0; i < 60000; i++) {
		uint64_t k = rng_below(&r, ARRAY_LEN(model));
		uint64_t near = rng_below(&r, ARRAY_LEN(model));
		bool add = rng_below(&r, 3) != 0;

		if (add)
			assert_int_equal(map_put(&m, k, i + 1), 0);
		else
			assert_int_equal(map_del(&m, k), model[k]);
		model[k] = add ? i + 1 : 0;
		assert_int_equal(map_get(&m, k), model[k]);
		assert_int_equal(map_get(&m, near), model[near]);
		grown += map_bytes(&m) > bytes;
		bytes = (uint32_t)map_bytes(&m);
	}
	assert_true(grown > 8);
	for (uint64_t k = 0; k < ARRAY_LEN(model); k++)
		assert_int_equal(map_get(&m, k), model[k]);
	map_free(&m);
}

static void
a_map_grows_to_a_million_at_16_bytes_a_slot(void **state)
{
	struct map m;
	uint32_t n = 1000000;

	(void)state;
	map_init(&m, 9, n);
	for (uint32_t i = 1; i <= n; i++)
		assert_int_equal(map_put(&m, (uint64_t)i << 20, i), 0);
	for (uint32_t i = 1; i <= n; i++)
		assert_int_equal(map_get(&m, (uint64_t)i << 20), i);
	assert_int_equal(map_bytes(&m), (size_t)16 << 21);
	for (uint32_t i = 1; i <= n; i++)
		assert_int_equal(map_del(&m, (uint64_t)i << 20), i);
	assert_int_equal(m.n, 0);
	map_free(&m);
}

static void
a_name_has_one_id_while_it_is_held(void **state)
{
	struct names t;
	uint32_t a, b;

	(void)state;
	names_init(&t, 1, 100);
	assert_int_equal(names_find(&t, SL("gmail.com")), 0);
	a = names_take(&t, SL("gmail.com"));
	b = names_take(&t, SL("gmail.co"));
	assert_int_not_equal(a, 0);
	assert_int_not_equal(a, b);
	assert_int_equal(names_take(&t, SL("gmail.com")), a);
	assert_int_equal(names_find(&t, SL("gmail.com")), a);
	assert_true(slice_eq(names_text(&t, a), SL("gmail.com")));
	assert_int_equal(names_text(&t, a).p[9], '\0');
	names_drop(&t, a);
	assert_int_equal(names_find(&t, SL("gmail.com")), a);
	names_hold(&t, a);
	names_drop(&t, a);
	names_drop(&t, a);
	assert_int_equal(names_find(&t, SL("gmail.com")), 0);
	assert_int_equal(names_take(&t, SL("other.example")), a);
	assert_int_equal(names_find(&t, SL("gmail.co")), b);
	names_free(&t);
}

static void
odd_names_are_names_too(void **state)
{
	struct names t;
	uint32_t empty, nul, nul2;

	(void)state;
	names_init(&t, 1, 100);
	empty = names_take(&t, slice_of(NULL, 0));
	nul = names_take(&t, slice_of("\0", 1));
	nul2 = names_take(&t, slice_of("\0\0", 2));
	assert_true(empty && nul && nul2);
	assert_true(empty != nul && nul != nul2);
	assert_int_equal(names_text(&t, empty).n, 0);
	assert_int_equal(names_text(&t, nul2).n, 2);
	assert_int_equal(names_text(&t, 0).n, 0);
	names_free(&t);
}

static void
names_stop_at_their_ceiling(void **state)
{
	struct names t;
	uint32_t a;

	(void)state;
	names_init(&t, 1, 2);
	a = names_take(&t, SL("a"));
	assert_int_not_equal(names_take(&t, SL("b")), 0);
	assert_int_equal(names_take(&t, SL("c")), 0);
	assert_int_equal(names_take(&t, SL("a")), a);
	names_drop(&t, a);
	assert_int_equal(names_take(&t, SL("c")), 0);
	names_drop(&t, a);
	assert_int_equal(names_take(&t, SL("c")), a);
	names_free(&t);
}

static struct slice
name_of(size_t k, char *dst)
{
	return slice_of(dst, (size_t)snprintf(dst, 40, "d%zu.example", k));
}

static void
names_agree_with_a_table_under_churn(void **state)
{
	static uint32_t ids[KEYS], counts[KEYS];
	struct names t;
	struct rng r;
	char text[40];

	(void)state;
	rng_seed(&r, 6);
	names_init(&t, 77, KEYS);
	for (int i = 0; i < 300000; i++) {
		size_t k = rng_below(&r, KEYS);
		struct slice name = name_of(k, text);
		/* Waves: mostly taking, then mostly dropping. */
		bool take = rng_below(&r, 10) < (i / 5000 % 2 ? 7 : 3);

		if (take) {
			uint32_t id = names_take(&t, name);

			assert_int_not_equal(id, 0);
			if (counts[k]++ > 0)
				assert_int_equal(id, ids[k]);
			ids[k] = id;
		} else if (counts[k] > 0) {
			names_drop(&t, ids[k]);
			counts[k]--;
		}
		assert_int_equal(names_find(&t, name), counts[k] ? ids[k] : 0);
		k = rng_below(&r, KEYS);
		name = name_of(k, text);
		assert_int_equal(names_find(&t, name), counts[k] ? ids[k] : 0);
		if (counts[k])
			assert_true(slice_eq(names_text(&t, ids[k]), name));
	}
	for (size_t k = 0; k < KEYS; k++)
		for (; counts[k] > 0; counts[k]--)
			names_drop(&t, ids[k]);
	assert_int_equal(t.n, 0);
	assert_int_equal(t.bytes, 0);
	names_free(&t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_empty_map_answers),
		cmocka_unit_test(a_map_holds_what_was_put_last),
		cmocka_unit_test(a_full_map_still_overwrites),
		cmocka_unit_test(a_map_agrees_with_a_table_under_churn),
		cmocka_unit_test(a_map_that_grows_forgets_nothing),
		cmocka_unit_test(a_map_grows_to_a_million_at_16_bytes_a_slot),
		cmocka_unit_test(a_name_has_one_id_while_it_is_held),
		cmocka_unit_test(odd_names_are_names_too),
		cmocka_unit_test(names_stop_at_their_ceiling),
		cmocka_unit_test(names_agree_with_a_table_under_churn),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * Choices by weight: each index comes as often as its weight says.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "plan/choice.h"

#define DRAWS 2000000u

/* Within five standard deviations (and five, for the rare) of what the weights say, one by one. */
static void
assert_shares(const struct choice *c, const double *weights, uint32_t n)
{
	uint32_t *count = mem_get(n * sizeof(*count));
	struct rng rng;
	double sum = 0;

	rng_seed(&rng, 7);
	for (uint32_t i = 0; i < n; i++)
		sum += weights[i];
	for (uint32_t i = 0; i < DRAWS; i++) {
		uint32_t k = choice_draw(c, &rng);

		assert_true(k < n);
		count[k]++;
	}
	for (uint32_t i = 0; i < n; i++) {
		double want = DRAWS * weights[i] / sum;

		assert_true(fabs(count[i] - want) <= 5 * sqrt(want) + 5);
		assert_true(weights[i] > 0 || count[i] == 0);
	}
	mem_free(count);
}

static void
test_weights_are_shares(void **state)
{
	static const double some[] = { 3, 0, 1, 0, 0, 96, 0.5 };
	struct arena arena;
	struct choice c;

	(void)state;
	arena_init(&arena, 4096, 1u << 20);
	assert_true(choice_make(&c, some, ARRAY_LEN(some), &arena));
	assert_shares(&c, some, ARRAY_LEN(some));
	assert_true(choice_make(&c, some, 1, &arena));
	assert_shares(&c, some, 1);
	arena_free(&arena);
}

static void
test_zipf_follows_its_exponent(void **state)
{
	static const double exponents[] = { 0, 1.0, 1.1, 2.5 };
	double weights[1000];
	struct arena arena;
	struct choice c;

	(void)state;
	arena_init(&arena, 4096, 1u << 20);
	for (size_t k = 0; k < ARRAY_LEN(exponents); k++) {
		for (uint32_t i = 0; i < 1000; i++)
			weights[i] = pow(i + 1.0, -exponents[k]);
		assert_true(choice_zipf(&c, exponents[k], 1000, &arena));
		assert_shares(&c, weights, 1000);
	}
	arena_free(&arena);
}

static void
test_a_full_arena_is_no_choice(void **state)
{
	struct arena arena;
	struct choice c;

	(void)state;
	arena_init(&arena, 4096, 4096);
	assert_false(choice_zipf(&c, 1, 1000, &arena));
	arena_free(&arena);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_weights_are_shares),
		cmocka_unit_test(test_zipf_follows_its_exponent),
		cmocka_unit_test(test_a_full_arena_is_no_choice),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * The heap against a linear search.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/base.h"

enum { NODES = 300 };

static void
an_empty_heap_gives_nothing(void **state)
{
	struct heap h;

	(void)state;
	heap_init(&h, 5);
	assert_null(heap_peek(&h));
	assert_null(heap_pop(&h));
	heap_free(&h);
}

static void
the_ceiling_refuses(void **state)
{
	struct heap h;
	struct heap_node n[4] = { 0 };

	(void)state;
	heap_init(&h, 3);
	for (int i = 0; i < 3; i++)
		assert_int_equal(heap_push(&h, &n[i], i), 0);
	assert_int_equal(heap_push(&h, &n[3], -1), E_FULL);
	assert_false(heap_has(&n[3]));
	assert_ptr_equal(heap_pop(&h), &n[0]);
	assert_int_equal(heap_push(&h, &n[3], -1), 0);
	assert_ptr_equal(heap_peek(&h), &n[3]);
	heap_free(&h);
}

static void
equals_leave_in_the_order_they_came(void **state)
{
	struct heap h;
	static struct heap_node n[100];

	(void)state;
	heap_init(&h, 100);
	for (int i = 0; i < 100; i++)
		assert_int_equal(heap_push(&h, &n[i], 7), 0);
	heap_rekey(&h, &n[40], 7); /* goes behind its equals */
	for (int i = 0; i < 100; i++)
		if (i != 40)
			assert_ptr_equal(heap_pop(&h), &n[i]);
	assert_ptr_equal(heap_pop(&h), &n[40]);
	heap_free(&h);
}

static struct heap_node *
model_first(struct heap_node *n)
{
	struct heap_node *best = NULL;

	for (size_t i = 0; i < NODES; i++) {
		if (!heap_has(&n[i]))
			continue;
		if (best == NULL || n[i].key < best->key ||
		    (n[i].key == best->key && n[i].seq < best->seq))
			best = &n[i];
	}
	return best;
}

static void
the_heap_agrees_with_a_search(void **state)
{
	static struct heap_node n[NODES];
	static const int64_t edges[] = { INT64_MIN, INT64_MAX, 0, -1 };
	struct heap h;
	struct rng r;

	(void)state;
	rng_seed(&r, 7);
	heap_init(&h, NODES);
	for (int i = 0; i < 200000; i++) {
		struct heap_node *x = &n[rng_below(&r, NODES)], *first;
		int64_t key = rng_range(&r, -50, 50);
		uint64_t what = rng_below(&r, 10);

		if (what == 0)
			key = edges[rng_below(&r, ARRAY_LEN(edges))];
		if (!heap_has(x)) {
			assert_int_equal(heap_push(&h, x, key), 0);
		} else if (what < 4) {
			heap_rekey(&h, x, key);
		} else if (what < 6) {
			heap_remove(&h, x);
			assert_false(heap_has(x));
		}
		first = model_first(n);
		assert_ptr_equal(heap_peek(&h), first);
		if (what == 9) {
			assert_ptr_equal(heap_pop(&h), first);
			assert_true(first == NULL || !heap_has(first));
		}
	}
	heap_free(&h);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_empty_heap_gives_nothing),
		cmocka_unit_test(the_ceiling_refuses),
		cmocka_unit_test(equals_leave_in_the_order_they_came),
		cmocka_unit_test(the_heap_agrees_with_a_search),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

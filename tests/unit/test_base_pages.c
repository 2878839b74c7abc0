/*
 * Tables of slots under given numbers: zeroed, in their place for ever, and no
 * larger than what was wanted asks for.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "base/base.h"

struct slot {
	uint64_t id[3];
};

/* Numbers on the first pages, at the ends of huge ones (85 pages are on one),
 * and far away. */
static const uint32_t numbers[] = { 0, 1, 1023, 1024, 65535, 85 * 1024 - 1,
	85 * 1024, 170 * 1024 - 1, 170 * 1024, 1000000, 40000000 };

static struct slot *
wanted(struct pages *p, uint32_t i)
{
	assert_non_null(pages_make(p, i >> PAGE_SHIFT));
	return pages_at(p, i);
}

static void
a_slot_is_zeroed_and_keeps_its_place(void **state)
{
	struct pages p;
	struct slot *at[ARRAY_LEN(numbers)];

	(void)state;
	pages_init(&p, sizeof(struct slot));
	for (size_t k = 0; k < ARRAY_LEN(numbers); k++) {
		at[k] = wanted(&p, numbers[k]);
		assert_int_equal(at[k]->id[0] | at[k]->id[2], 0);
		at[k]->id[0] = at[k]->id[2] = numbers[k] + 1;
	}
	for (size_t k = 0; k < ARRAY_LEN(numbers); k++) {
		assert_ptr_equal(wanted(&p, numbers[k]), at[k]);
		assert_int_equal(at[k]->id[0], numbers[k] + 1);
		assert_int_equal(at[k]->id[2], numbers[k] + 1);
	}
	pages_free(&p);
	assert_null(pages_at(&p, 0));
}

static void
every_slot_in_a_row_has_its_own_place(void **state)
{
	struct pages p;
	uint32_t n = 300 * PAGE_SLOTS;

	(void)state;
	pages_init(&p, sizeof(struct slot));
	for (uint32_t i = 0; i < n; i++)
		wanted(&p, i)->id[2] = i;
	for (uint32_t i = 0; i < n; i++)
		assert_int_equal(((struct slot *)pages_at(&p, i))->id[2], i);
	assert_true(p.bytes >= n * sizeof(struct slot));
	assert_true(p.bytes <= n * sizeof(struct slot) + 2 * MEM_HUGE_BYTES);
	pages_free(&p);
}

static void
what_nobody_wanted_is_not_there(void **state)
{
	int64_t before = mem_live();
	struct pages p;

	(void)state;
	pages_init(&p, sizeof(struct slot));
	assert_null(pages_at(&p, 0));
	assert_null(pages_at(&p, UINT32_MAX));
	assert_int_equal(p.bytes, 0);
	wanted(&p, 5);
	assert_null(pages_at(&p, PAGE_SLOTS));
	assert_true(p.bytes <= 64 * 1024);
	wanted(&p, 3000000);
	assert_null(pages_at(&p, 1500000));
	pages_free(&p);
	assert_int_equal(mem_live(), before);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_slot_is_zeroed_and_keeps_its_place),
		cmocka_unit_test(every_slot_in_a_row_has_its_own_place),
		cmocka_unit_test(what_nobody_wanted_is_not_there),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

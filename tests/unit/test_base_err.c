/*
 * The error table, the version and the intrusive list: the small leaves.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>

#include "base/base.h"

static void
every_error_has_its_own_text_and_name(void **state)
{
	(void)state;
	assert_string_equal(err_text(E_NOSPC), "no space left");
	assert_string_equal(err_name(E_NOSPC), "E_NOSPC");
	assert_string_equal(err_name(E_PROTO), "E_PROTO");
	assert_string_equal(err_name(0), "E_OK");
	for (int a = E_OK; a >= E_PROTO; a--) {
		assert_string_not_equal(err_text(a), "unknown error");
		for (int b = E_OK; b > a; b--) {
			assert_string_not_equal(err_text(a), err_text(b));
			assert_string_not_equal(err_name(a), err_name(b));
		}
	}
}

static void
unknown_errors_have_a_text_too(void **state)
{
	(void)state;
	assert_string_equal(err_text(1), "unknown error");
	assert_string_equal(err_text(INT32_MIN), "unknown error");
	assert_string_equal(err_name(E_PROTO - 1), "E_UNKNOWN");
}

static void
errno_values_map_to_what_the_caller_can_act_on(void **state)
{
	(void)state;
	assert_int_equal(err_from_errno(0), 0);
	assert_int_equal(err_from_errno(ENOSPC), E_NOSPC);
	assert_int_equal(err_from_errno(EDQUOT), E_NOSPC);
	assert_int_equal(err_from_errno(ENOENT), E_NOTFOUND);
	assert_int_equal(err_from_errno(EACCES), E_DENIED);
	assert_int_equal(err_from_errno(EWOULDBLOCK), E_AGAIN);
	assert_int_equal(err_from_errno(ETIMEDOUT), E_TIMEOUT);
	assert_int_equal(err_from_errno(EIO), E_IO);
	assert_int_equal(err_from_errno(123456), E_IO);
}

static void
the_version_is_three_numbers(void **state)
{
	struct slice rest = slice_str(mta_version());
	uint64_t v;

	(void)state;
	for (int i = 0; i < 3; i++)
		assert_int_equal(slice_u64(slice_cut(&rest, '.'), 9999, &v), 0);
	assert_null(rest.p);
}

struct item {
	int number;
	struct list link;
};

static void
a_list_gives_back_what_it_got_in_order(void **state)
{
	struct list l, *n;
	struct item item[4];
	int expect = 0;

	(void)state;
	list_init(&l);
	assert_true(list_is_empty(&l));
	assert_null(list_pop_head(&l));
	for (int i = 1; i < 4; i++) {
		item[i].number = i;
		list_push_tail(&l, &item[i].link);
	}
	item[0].number = 0;
	list_push_head(&l, &item[0].link);
	LIST_FOREACH(it, &l)
		assert_int_equal(container_of(it, struct item, link)->number,
		    expect++);
	assert_int_equal(expect, 4);
	n = list_pop_head(&l);
	assert_ptr_equal(n, &item[0].link);
	list_remove(n); /* in none: harmless */
	LIST_FOREACH_SAFE(it, next, &l)
		list_remove(it);
	assert_true(list_is_empty(&l));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_error_has_its_own_text_and_name),
		cmocka_unit_test(unknown_errors_have_a_text_too),
		cmocka_unit_test(
		    errno_values_map_to_what_the_caller_can_act_on),
		cmocka_unit_test(the_version_is_three_numbers),
		cmocka_unit_test(a_list_gives_back_what_it_got_in_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

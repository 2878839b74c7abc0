/*
 * The bounded buffer and the little-endian reader.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/base.h"

static void
an_empty_buffer_costs_nothing_and_reads_as_empty(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 100);
	assert_null(b.p);
	assert_int_equal(buf_slice(&b).n, 0);
	assert_non_null(buf_slice(&b).p);
	buf_consume(&b, 10);
	buf_cut(&b, 10);
	assert_int_equal(buf_add(&b, NULL, 0), 0);
	assert_null(b.p);
	assert_non_null(buf_room(&b, 0));
	assert_false(b.failed);
	buf_free(&b);
}

static void
adds_go_behind_each_other(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 1000);
	buf_addz(&b, "a");
	buf_adds(&b, SL("bc"));
	buf_addc(&b, ' ');
	buf_addu(&b, UINT64_MAX);
	buf_addf(&b, " %s-%d", "x", -5);
	assert_true(
	    slice_eq(buf_slice(&b), SL("abc 18446744073709551615 x--5")));
	buf_cut(&b, 3);
	assert_true(slice_eq(buf_slice(&b), SL("abc")));
	assert_false(b.failed);
	buf_free(&b);
}

static void
the_ceiling_is_exact_and_failure_latches(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 10);
	assert_int_equal(buf_addz(&b, "0123456789"), 0);
	assert_false(b.failed);
	assert_int_equal(buf_addc(&b, 'x'), E_FULL);
	assert_true(b.failed);
	assert_int_equal(b.n, 10);
	assert_true(b.cap <= 10);
	assert_null(buf_room(&b, 1));
	assert_null(buf_room(&b, SIZE_MAX));
	assert_null(buf_room(&b, SIZE_MAX - 9));
	buf_consume(&b, 4);
	assert_true(b.failed);
	buf_reset(&b);
	assert_false(b.failed);
	assert_int_equal(buf_addz(&b, "0123456789"), 0);
	buf_free(&b);
	assert_int_equal(b.max, 10);
	buf_init(&b, 0);
	assert_int_equal(buf_addc(&b, 'x'), E_FULL);
	buf_free(&b);
}

static void
a_text_that_exactly_fills_the_buffer_can_be_formatted(void **state)
{
	struct buf b;
	static char long_text[3000];

	(void)state;
	memset(long_text, 'y', sizeof(long_text) - 1);
	buf_init(&b, 5);
	assert_int_equal(buf_addf(&b, "%s", "12345"), 0);
	assert_int_equal(buf_addf(&b, "%s", ""), 0);
	assert_int_equal(buf_addf(&b, "%s", "1"), E_FULL);
	buf_free(&b);
	buf_init(&b, sizeof(long_text) - 1);
	assert_int_equal(buf_addf(&b, "%s", long_text), 0);
	assert_int_equal(b.n, sizeof(long_text) - 1);
	assert_int_equal(buf_addf(&b, "%s", long_text), E_FULL);
	assert_int_equal(b.n, sizeof(long_text) - 1);
	assert_memory_equal(buf_slice(&b).p, long_text, b.n);
	buf_free(&b);
}

static void
room_is_content_only_as_far_as_it_grew(void **state)
{
	struct buf b;
	char *p;

	(void)state;
	buf_init(&b, 1 << 20);
	buf_addz(&b, "head ");
	p = buf_room(&b, 100000);
	assert_non_null(p);
	memset(p, 'z', 100000);
	assert_int_equal(b.n, 5);
	buf_grew(&b, 3);
	assert_true(slice_eq(buf_slice(&b), SL("head zzz")));
	buf_free(&b);
}

/* A stream through a buffer: what goes in comes out, memory stays bounded. */
static void
a_stream_passes_through_a_small_buffer(void **state)
{
	struct buf b;
	struct rng r;
	uint8_t next_in = 0, next_out = 0, chunk[700];
	unsigned refused = 0;

	(void)state;
	rng_seed(&r, 3);
	buf_init(&b, 1000);
	for (int i = 0; i < 100000; i++) {
		size_t n = rng_below(&r, sizeof(chunk));
		bool fits = n <= b.max - b.n;

		for (size_t k = 0; k < n; k++)
			chunk[k] = (uint8_t)(next_in + k);
		assert_int_equal(buf_add(&b, chunk, n), fits ? 0 : E_FULL);
		if (fits)
			next_in = (uint8_t)(next_in + n);
		refused += !fits;
		n = rng_below(&r, b.n + 1);
		for (size_t k = 0; k < n; k++)
			assert_int_equal((uint8_t)buf_slice(&b).p[k],
			    next_out++);
		buf_consume(&b, n);
		assert_true(b.cap <= b.max && b.off + b.n <= b.cap);
	}
	assert_true(refused > 1000);
	buf_free(&b);
}

static void
little_endian_numbers_come_back(void **state)
{
	struct buf b;
	struct cursor c;

	(void)state;
	buf_init(&b, 100);
	buf_add_u8(&b, 0xfe);
	buf_add_u16(&b, 0x1234);
	buf_add_u32(&b, 0xdeadbeef);
	buf_add_u64(&b, UINT64_C(0x0123456789abcdef));
	buf_addz(&b, "tail");
	assert_memory_equal(buf_slice(&b).p,
	    "\xfe\x34\x12\xef\xbe\xad\xde\xef\xcd\xab\x89\x67\x45\x23\x01", 15);
	c = cursor_of(buf_slice(&b));
	assert_int_equal(cursor_u8(&c), 0xfe);
	assert_int_equal(cursor_u16(&c), 0x1234);
	assert_int_equal(cursor_u32(&c), 0xdeadbeef);
	assert_true(cursor_u64(&c) == UINT64_C(0x0123456789abcdef));
	assert_true(slice_eq(cursor_take(&c, 4), SL("tail")));
	assert_false(c.bad);
	buf_free(&b);
}

static void
reading_past_the_end_gives_zeroes_and_is_remembered(void **state)
{
	struct cursor c = cursor_of(SL("\xff\xff\xff"));

	(void)state;
	assert_int_equal(cursor_u16(&c), 0xffff);
	assert_int_equal(cursor_u32(&c), 0);
	assert_true(c.bad);
	assert_int_equal(cursor_u8(&c), 0); /* though one byte is left */
	assert_int_equal(cursor_take(&c, SIZE_MAX).n, 0);
	assert_int_equal(cursor_take(&c, 0).n, 0);
	assert_true(c.bad);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    an_empty_buffer_costs_nothing_and_reads_as_empty),
		cmocka_unit_test(adds_go_behind_each_other),
		cmocka_unit_test(the_ceiling_is_exact_and_failure_latches),
		cmocka_unit_test(
		    a_text_that_exactly_fills_the_buffer_can_be_formatted),
		cmocka_unit_test(room_is_content_only_as_far_as_it_grew),
		cmocka_unit_test(a_stream_passes_through_a_small_buffer),
		cmocka_unit_test(little_endian_numbers_come_back),
		cmocka_unit_test(
		    reading_past_the_end_gives_zeroes_and_is_remembered),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

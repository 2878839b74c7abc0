/*
 * CRC32C and SipHash against published and independent values.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/base.h"

static void
crc32c_gives_the_published_values(void **state)
{
	unsigned char block[32];

	(void)state;
	assert_int_equal(crc32c(0, "", 0), 0);
	assert_int_equal(crc32c(0, NULL, 0), 0);
	assert_int_equal(crc32c(0, "123456789", 9), 0xe3069283);
	/* RFC 3720 B.4 */
	memset(block, 0, sizeof(block));
	assert_int_equal(crc32c(0, block, 32), 0x8a9136aa);
	memset(block, 0xff, sizeof(block));
	assert_int_equal(crc32c(0, block, 32), 0x62a8ab43);
	for (int i = 0; i < 32; i++)
		block[i] = (unsigned char)i;
	assert_int_equal(crc32c(0, block, 32), 0x46dd794e);
	for (int i = 0; i < 32; i++)
		block[i] = (unsigned char)(31 - i);
	assert_int_equal(crc32c(0, block, 32), 0x113fdb5c);
}

/* The definition: bit by bit. */
static uint32_t
crc_by_bits(uint32_t crc, const unsigned char *p, size_t n)
{
	crc = ~crc;
	for (size_t i = 0; i < n; i++) {
		crc ^= p[i];
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78U : 0);
	}
	return ~crc;
}

static void
every_way_to_compute_crc32c_agrees(void **state)
{
	enum { MAX_BYTES = 20000 };
	unsigned char *data = mem_get(MAX_BYTES + 8);
	struct rng r;

	(void)state;
	rng_seed(&r, 1);
	for (int i = 0; i < MAX_BYTES + 8; i++)
		data[i] = (unsigned char)rng_u64(&r);
	for (size_t n = 0; n < 5000; n += n < 70 ? 1 : 61) {
		const unsigned char *p = data + n % 8;
		uint32_t seed = (uint32_t)rng_u64(&r);
		uint32_t expect = crc_by_bits(seed, p, n);

		assert_int_equal(crc32c(seed, p, n), expect);
		assert_int_equal(crc32c_by_table(seed, p, n), expect);
	}
	for (int i = 0; i < 300; i++) {
		size_t n = rng_below(&r, MAX_BYTES);
		size_t cut = rng_below(&r, n + 1);
		uint32_t whole = crc32c(0, data, n);

		assert_int_equal(crc32c_by_table(0, data, n), whole);
		assert_int_equal(crc32c(crc32c(0, data, cut), data + cut,
				     n - cut),
		    whole);
	}
	mem_free(data);
}

static const struct {
	uint64_t seed, hash;
	const char *text;
} siphashes[] = {
	{ 0, UINT64_C(0x1653806f2353e1d6), "" },
	{ 0, UINT64_C(0x4b9baa120ffac4db), "a" },
	{ 0, UINT64_C(0x08546b0c400a114b), "example" },
	{ 0, UINT64_C(0x07507ff1c2d0c29c), "example." },
	{ 0, UINT64_C(0xd2399b5653cb742e), "gmail.com" },
	{ 1, UINT64_C(0x43789c005dcd2fa0), "gmail.com" },
	{ UINT64_C(0x0123456789abcdef), UINT64_C(0x046542fd4740cb58),
	    "gmail.com" },
};

static void
hashes_are_the_same_on_every_machine(void **state)
{
	unsigned char counting[63];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(siphashes); i++)
		assert_true(
		    hash_bytes(siphashes[i].seed, siphashes[i].text,
			strlen(siphashes[i].text)) == siphashes[i].hash);
	for (int i = 0; i < 63; i++)
		counting[i] = (unsigned char)i;
	assert_true(
	    hash_bytes(0, counting, 63) == UINT64_C(0x06c3d1c2e382fc5a));
	assert_true(hash_bytes(0, NULL, 0) == siphashes[0].hash);
}

static void
a_hash_depends_on_every_byte_and_on_the_length(void **state)
{
	char text[64] = { 0 };
	uint64_t h = hash_bytes(5, text, sizeof(text));

	(void)state;
	for (size_t i = 0; i < sizeof(text); i++) {
		text[i] = 1;
		assert_true(hash_bytes(5, text, sizeof(text)) != h);
		text[i] = 0;
		assert_true(hash_bytes(5, text, i) != h);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(crc32c_gives_the_published_values),
		cmocka_unit_test(every_way_to_compute_crc32c_agrees),
		cmocka_unit_test(hashes_are_the_same_on_every_machine),
		cmocka_unit_test(
		    a_hash_depends_on_every_byte_and_on_the_length),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

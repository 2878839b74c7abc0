/* Idempotency keys: what is taken is taken once, for a day, and never forgotten
 * for want of room. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "relay/idem.h"

#define DAY IDEM_LIFE_US
#define NOW (INT64_C(1700000000) * US_PER_S)

static struct env_key
key(uint64_t n, uint32_t digest)
{
	struct env_key k = { .digest = digest };
	uint64_t h = hash_u64(n + 1), g = hash_u64(h);

	memcpy(k.b, &h, 8);
	memcpy(k.b + 8, &g, 8);
	return k;
}

static enum idem_answer
claim(struct idem *x, uint64_t n, uint32_t digest, int64_t now,
    struct msgid *first)
{
	struct env_key k = key(n, digest);
	struct msgid id = msgid_make(now, 1, n);

	return idem_claim(x, &k, &id, now, first);
}

static void
settle(struct idem *x, uint64_t n, int64_t now, bool is_kept)
{
	struct env_key k = key(n, 1);
	struct msgid id = msgid_make(now, 1, n);

	idem_settle(x, &k, &id, is_kept);
}

static void
a_key_is_taken_once(void **state)
{
	struct idem *x = idem_new(100);
	struct msgid first, id = msgid_make(NOW, 1, 7);

	(void)state;
	assert_int_equal(claim(x, 7, 5, NOW, &first), IDEM_TAKEN);
	assert_int_equal(claim(x, 7, 5, NOW + 1, &first), IDEM_BUSY);
	assert_int_equal(claim(x, 7, 6, NOW + 1, &first), IDEM_OTHER);
	settle(x, 7, NOW, true);
	assert_int_equal(claim(x, 7, 5, NOW + 1, &first), IDEM_DONE);
	assert_true(msgid_eq(&first, &id));
	assert_int_equal(claim(x, 7, 6, NOW + 1, &first), IDEM_OTHER);
	assert_int_equal(claim(x, 7, 0, NOW + 1, &first), IDEM_DONE);
	/* A day, and not longer. */
	assert_int_equal(claim(x, 7, 5, NOW + DAY - 1, &first), IDEM_DONE);
	assert_int_equal(claim(x, 7, 6, NOW + DAY, &first), IDEM_TAKEN);
	idem_free(x);
}

static void
one_that_failed_is_free_again(void **state)
{
	struct idem *x = idem_new(100);
	struct msgid first;

	(void)state;
	assert_int_equal(claim(x, 1, 5, NOW, &first), IDEM_TAKEN);
	settle(x, 1, NOW, false);
	assert_int_equal(idem_count(x), 0);
	assert_int_equal(claim(x, 1, 6, NOW + 1, &first), IDEM_TAKEN);
	idem_free(x);
}

static void
a_full_index_says_so(void **state)
{
	struct idem *x = idem_new(1000);
	struct msgid first;

	(void)state;
	for (uint64_t i = 0; i < 1000; i++) {
		assert_int_equal(claim(x, i, 1, NOW + (int64_t)i, &first),
		    IDEM_TAKEN);
		settle(x, i, NOW + (int64_t)i, true);
	}
	assert_int_equal(claim(x, 1000, 1, NOW + DAY - 1, &first), IDEM_FULL);
	for (uint64_t i = 0; i < 1000; i++)
		assert_int_equal(claim(x, i, 1, NOW + DAY - 1, &first),
		    IDEM_DONE);
	/* The first is over: there is room for one, whatever its shard. */
	assert_int_equal(claim(x, 1000, 1, NOW + DAY, &first), IDEM_TAKEN);
	assert_int_equal(claim(x, 1001, 1, NOW + DAY, &first), IDEM_FULL);
	idem_free(x);
}

/* Against a table that is as plain as can be. */
static void
it_does_what_a_plain_one_does(void **state)
{
	enum { KEYS = 3000, TURNS = 60000 };
	static int64_t at[KEYS]; /* 0: free */
	static bool is_pending[KEYS];
	struct idem *x = idem_new(KEYS);
	int64_t now = NOW;
	struct msgid first, id;
	struct rng rng;

	(void)state;
	rng_seed(&rng, 1);
	for (int i = 0; i < TURNS; i++) {
		uint64_t n = rng_below(&rng, KEYS);
		bool is_over =
		    at[n] != 0 && !is_pending[n] && at[n] + DAY <= now;
		enum idem_answer a;

		now += (int64_t)rng_below(&rng, 20) * US_PER_S;
		is_over = at[n] != 0 && !is_pending[n] && at[n] + DAY <= now;
		if (is_pending[n]) {
			assert_int_equal(claim(x, n, 1, now, &first),
			    IDEM_BUSY);
			is_pending[n] = rng_below(&rng, 2) == 0;
			if (is_pending[n])
				continue;
			if (rng_below(&rng, 4) == 0) {
				settle(x, n, at[n], false);
				at[n] = 0;
			} else {
				settle(x, n, at[n], true);
			}
			continue;
		}
		a = claim(x, n, 1, now, &first);
		if (at[n] == 0 || is_over) {
			assert_int_equal(a, IDEM_TAKEN);
			at[n] = now;
			is_pending[n] = true;
		} else {
			id = msgid_make(at[n], 1, n);
			assert_int_equal(a, IDEM_DONE);
			assert_true(msgid_eq(&first, &id));
		}
	}
	idem_free(x);
}

static void
what_was_taken_before_a_restart_is_known(void **state)
{
	struct idem *x = idem_new(2);
	struct msgid first, id;
	struct env_key k;

	(void)state;
	for (uint64_t i = 0; i < 5; i++) { /* more than are taken afresh */
		k = key(i, 1);
		id = msgid_make(NOW, 1, i);
		assert_int_equal(idem_restore(x, &k, &id, NOW), 1);
		assert_int_equal(idem_restore(x, &k, &id, NOW), 0);
	}
	k = key(9, 1);
	id = msgid_make(NOW - DAY, 1, 9);
	assert_int_equal(idem_restore(x, &k, &id, NOW), 0);
	assert_int_equal(idem_count(x), 5);
	assert_int_equal(claim(x, 4, 1, NOW, &first), IDEM_DONE);
	assert_int_equal(claim(x, 9, 1, NOW, &first), IDEM_FULL);
	idem_free(x);
}

/* The figure that the documents give. */
static void
a_key_takes_little(void **state)
{
	enum { KEYS = 200000 };
	struct idem *x = idem_new(KEYS);
	struct msgid first;

	(void)state;
	for (uint64_t i = 0; i < KEYS; i++)
		assert_int_equal(claim(x, i, 1, NOW, &first), IDEM_TAKEN);
	print_message("%zu bytes a key\n", idem_bytes(x) / KEYS);
	assert_true(idem_bytes(x) / KEYS <= 50);
	idem_free(x);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_key_is_taken_once),
		cmocka_unit_test(one_that_failed_is_free_again),
		cmocka_unit_test(a_full_index_says_so),
		cmocka_unit_test(it_does_what_a_plain_one_does),
		cmocka_unit_test(what_was_taken_before_a_restart_is_known),
		cmocka_unit_test(a_key_takes_little),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

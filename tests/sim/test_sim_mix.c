/*
 * The load's messages: the same for the same seed, of the stated size, whole
 * by their own fingerprint, spread over domains by weight.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "mix.h"

static char why[160];

static void
mix_of(struct mix *m, const char *domains, const char *size)
{
	mix_init(m);
	m->run = 0x3f2a10bc;
	assert_int_equal(mix_add_domains(m, slice_str(domains), why,
			     sizeof(why)),
	    0);
	assert_int_equal(mix_set_size(m, slice_str(size), why, sizeof(why)), 0);
	mix_ready(m);
}

/* The text of a message, taken in pieces, appended to out. */
static void
text_of(struct mix *m, struct message *msg, size_t piece, struct buf *out)
{
	struct slice s;

	msg->given = 0;
	while ((s = mix_piece(m, msg, piece)).n > 0)
		assert_int_equal(buf_adds(out, s), 0);
}

static void
messages_have_the_stated_size(void **state)
{
	static const uint64_t sizes[] = { 1000, 4096, 4097, 38000, 3 << 20 };
	struct message *msg = message_new();
	char text[32];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		struct mix m;

		snprintf(text, sizeof(text), "%llu",
		    (unsigned long long)sizes[i]);
		mix_of(&m, "a.example", text);
		for (uint32_t seq = 0; seq < 50; seq++) {
			mix_compose(&m, msg, seq, 0);
			assert_true(msg->bytes == sizes[i]);
		}
		mix_free(&m);
	}
	message_free(msg);
}

static void
messages_are_whole_and_end_in_crlf(void **state)
{
	struct message *msg = message_new();
	struct sim_check c;
	struct mix m;
	struct buf b;
	struct slice s;

	(void)state;
	mix_of(&m, "a.example", "512..300K");
	m.recipients = 3;
	m.sender = SL("");
	buf_init(&b, 1 << 20);
	for (uint32_t seq = 0; seq < 200; seq++) {
		mix_compose(&m, msg, seq, 0);
		buf_reset(&b);
		text_of(&m, msg, 1 + seq * 37, &b);
		s = buf_slice(&b);
		assert_true(s.n == msg->bytes);
		assert_memory_equal(s.p + s.n - 2, "\r\n", 2);
		sim_check_init(&c);
		sim_check_feed(&c, s);
		assert_int_equal(sim_check_end(&c), SIM_HASH_OK);
		assert_true(c.id == msg->id);
		assert_int_equal(msg->nrcpt, 3);
	}
	buf_free(&b);
	mix_free(&m);
	message_free(msg);
}

static void
some_lines_begin_with_dots(void **state)
{
	struct message *msg = message_new();
	struct mix m;
	struct buf b;

	(void)state;
	mix_of(&m, "a.example", "100K");
	buf_init(&b, 1 << 20);
	mix_compose(&m, msg, 1, 0);
	text_of(&m, msg, 1 << 20, &b);
	assert_non_null(memmem(buf_slice(&b).p, b.n, "\r\n..", 4));
	assert_non_null(memmem(buf_slice(&b).p, b.n, "\r\n.o", 4));
	buf_free(&b);
	mix_free(&m);
	message_free(msg);
}

static void
a_message_depends_on_seed_and_number_alone(void **state)
{
	struct message *one = message_new(), *two = message_new();
	struct mix m, n;
	struct buf a, b;

	(void)state;
	mix_of(&m, "d{1..100}.example", "lognormal:4K:60K");
	mix_of(&n, "d{1..100}.example", "lognormal:4K:60K");
	buf_init(&a, 128 << 20);
	buf_init(&b, 128 << 20);
	for (uint32_t seq = 0; seq < 20; seq++)
		mix_compose(&m, one, seq, 0);
	mix_compose(&n, two, 19, 0);
	text_of(&m, one, 1 << 20, &a);
	text_of(&n, two, 1 << 20, &b);
	assert_true(slice_eq(buf_slice(&a), buf_slice(&b)));
	assert_true(slice_eq(one->address[0], two->address[0]));
	mix_compose(&n, two, 20, 0);
	assert_false(one->id == two->id);
	buf_free(&a);
	buf_free(&b);
	mix_free(&m);
	mix_free(&n);
	message_free(one);
	message_free(two);
}

static void
domains_are_drawn_by_weight(void **state)
{
	struct message *msg = message_new();
	uint32_t heavy = 0, ranged = 0;
	struct mix m;

	(void)state;
	mix_of(&m, "heavy.example=3,d{1..10}.example", "512");
	for (uint32_t seq = 0; seq < 10000; seq++) {
		struct slice d;

		mix_compose(&m, msg, seq, 0);
		d = mailbox_domain(msg->address[0]);
		heavy += slice_eq(d, SL("heavy.example"));
		ranged += slice_eq(d, SL("d10.example"));
	}
	/* 3 of 4, and a tenth of 1 of 4; six standard deviations. */
	assert_in_range(heavy, 7500 - 260, 7500 + 260);
	assert_in_range(ranged, 250 - 95, 250 + 95);
	mix_free(&m);
	message_free(msg);
}

static void
lognormal_sizes_have_their_quantiles(void **state)
{
	struct message *msg = message_new();
	uint32_t above_median = 0, above_p99 = 0;
	struct mix m;

	(void)state;
	mix_of(&m, "a.example", "lognormal:38K:180K");
	for (uint32_t seq = 0; seq < 4000; seq++) {
		mix_compose(&m, msg, seq, 0);
		above_median += msg->bytes > 38 * 1024;
		above_p99 += msg->bytes > 180 * 1024;
	}
	assert_in_range(above_median, 2000 - 190, 2000 + 190);
	assert_in_range(above_p99, 40 - 38, 40 + 38);
	mix_free(&m);
	message_free(msg);
}

static void
wrong_mixes_are_refused(void **state)
{
	static const char *const domains[] = { "", "a,,b", "a=0", "a=x",
		"d{1..}.x" };
	static const char *const sizes[] = { "", "0", "x", "5K..1K", "65M",
		"lognormal:4K", "lognormal:4K:1K" };
	struct mix m;

	(void)state;
	mix_init(&m);
	for (size_t i = 0; i < ARRAY_LEN(domains); i++)
		assert_int_not_equal(mix_add_domains(&m, slice_str(domains[i]),
					 why, sizeof(why)),
		    0);
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++)
		assert_int_not_equal(mix_set_size(&m, slice_str(sizes[i]), why,
					 sizeof(why)),
		    0);
	mix_free(&m);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(messages_have_the_stated_size),
		cmocka_unit_test(messages_are_whole_and_end_in_crlf),
		cmocka_unit_test(some_lines_begin_with_dots),
		cmocka_unit_test(a_message_depends_on_seed_and_number_alone),
		cmocka_unit_test(domains_are_drawn_by_weight),
		cmocka_unit_test(lognormal_sizes_have_their_quantiles),
		cmocka_unit_test(wrong_mixes_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

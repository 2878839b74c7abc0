/* Drop files: written and read, whole and in pieces, torn and tampered with. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "proto/proto.h"

static const char body[] = "Subject: x\r\n\r\nb\xc3\xb6"
			   "dy\r\n";

static void
write_file(struct buf *out, const struct drop_head *h, struct slice text)
{
	buf_init(out, 1u << 22);
	assert_int_equal(drop_head_write(out, h), 0);
	buf_adds(out, text);
	assert_int_equal(drop_tail_write(out, text.n,
			     crc32c(0, out->p, out->n)),
	    0);
}

static void
write_usual(struct buf *out)
{
	struct drop_head h = { .sender = SL("me"),
		.name = SL("Me"),
		.envid = SL("a+20b"),
		.notify = NOTIFY_FAILURE | NOTIFY_DELAY,
		.ret = ENV_RET_HDRS,
		.made_us = 1795863600000000 };
	struct buf rcpts;

	buf_init(&rcpts, 4096);
	assert_int_equal(drop_rcpt_add(&rcpts, SL("a@b.example")), 0);
	assert_int_equal(drop_rcpt_add(&rcpts, SL("root")), 0);
	h.rcpts = buf_slice(&rcpts);
	write_file(out, &h, slice_of(body, sizeof(body) - 1));
	buf_free(&rcpts);
}

/* All that a file is made of, in pieces of step bytes. */
static int
read_in(struct drop_reader *r, struct slice file, size_t step)
{
	int err = 0;

	drop_reader_init(r, file.n);
	while (err == 0 && file.n > 0) {
		err = drop_reader_feed(r, slice_of(file.p, MIN(step, file.n)));
		file = slice_skip(file, step);
	}
	return err ? err : drop_reader_end(r);
}

static void
is_usual(const struct drop_reader *r)
{
	struct slice rest = r->head.rcpts, one;

	assert_true(slice_eq(r->head.sender, SL("me")));
	assert_true(slice_eq(r->head.name, SL("Me")));
	assert_true(slice_eq(r->head.envid, SL("a+20b")));
	assert_int_equal(r->head.notify, NOTIFY_FAILURE | NOTIFY_DELAY);
	assert_int_equal(r->head.ret, ENV_RET_HDRS);
	assert_int_equal(r->head.made_us, 1795863600000000);
	assert_int_equal(r->head.nrcpt, 2);
	assert_true(drop_rcpt_next(&rest, &one));
	assert_true(slice_eq(one, SL("a@b.example")));
	assert_true(drop_rcpt_next(&rest, &one));
	assert_true(slice_eq(one, SL("root")));
	assert_false(drop_rcpt_next(&rest, &one));
	assert_int_equal(r->body_bytes, sizeof(body) - 1);
	assert_true(r->has_8bit);
	assert_false(r->has_8bit_names);
}

static void
what_is_written_is_read_however_it_comes(void **state)
{
	struct drop_reader r;
	struct buf file;

	(void)state;
	write_usual(&file);
	for (size_t step = 1; step <= file.n; step++) {
		assert_int_equal(read_in(&r, buf_slice(&file), step), 0);
		is_usual(&r);
		assert_memory_equal(file.p + r.body_at, body, sizeof(body) - 1);
		drop_reader_free(&r);
	}
	buf_free(&file);
}

static void
a_file_that_is_cut_off_or_goes_on_is_none(void **state)
{
	struct drop_reader r;
	struct buf file;
	size_t n;

	(void)state;
	write_usual(&file);
	n = file.n;
	for (size_t i = 0; i < n; i++) {
		assert_true(read_in(&r, slice_of(file.p, i), 7) < 0);
		drop_reader_free(&r);
	}
	buf_addc(&file, 'x');
	assert_int_equal(read_in(&r, buf_slice(&file), 64), E_CORRUPT);
	drop_reader_free(&r);
	/* It grows while it is read, or shrinks. */
	drop_reader_init(&r, n);
	assert_int_equal(drop_reader_feed(&r, buf_slice(&file)), E_CORRUPT);
	drop_reader_free(&r);
	drop_reader_init(&r, n + 1);
	assert_int_equal(drop_reader_feed(&r, slice_of(file.p, n)), 0);
	assert_int_equal(drop_reader_end(&r), E_CORRUPT);
	drop_reader_free(&r);
	buf_free(&file);
}

static void
every_bit_counts(void **state)
{
	struct drop_reader r;
	struct buf file;

	(void)state;
	write_usual(&file);
	for (size_t i = 0; i < 8 * file.n; i++) {
		file.p[i / 8] ^= (char)(1 << i % 8);
		assert_true(read_in(&r, buf_slice(&file), 1024) < 0);
		drop_reader_free(&r);
		file.p[i / 8] ^= (char)(1 << i % 8);
	}
	buf_free(&file);
}

/* A head that somebody has made by hand, with a right sum. */
static int
read_head(struct slice head)
{
	struct drop_reader r;
	struct buf file;
	int err;

	buf_init(&file, 1u << 23);
	buf_add(&file, DROP_MAGIC, DROP_MAGIC_BYTES);
	buf_adds(&file, head);
	assert_int_equal(drop_tail_write(&file, 0, crc32c(0, file.p, file.n)),
	    0);
	err = read_in(&r, buf_slice(&file), 65536);
	drop_reader_free(&r);
	buf_free(&file);
	return err;
}

#define MADE "\7\10\0\1\0\0\0\0\0\0\0"
#define FROM "\1\1\0a"
#define TO "\2\1\0b"
#define END "\0\0\0"

static void
an_envelope_makes_sense_or_is_none(void **state)
{
	static const struct {
		struct slice head;
		int err;
	} v[] = {
		{ SL(MADE FROM TO END), 0 },
		{ SL(FROM TO MADE END), 0 },
		{ SL(MADE "\1\0\0" TO END), 0 },
		{ SL(MADE FROM END), E_SYNTAX },
		{ SL(MADE TO END), E_SYNTAX },
		{ SL(FROM TO END), E_SYNTAX },
		{ SL(MADE FROM FROM TO END), E_SYNTAX },
		{ SL(MADE MADE FROM TO END), E_SYNTAX },
		{ SL(MADE FROM TO "\0\1\0x"), E_SYNTAX },
		{ SL(MADE FROM "\2\0\0" END), E_SYNTAX },
		{ SL(MADE FROM "\2\3\0a\nb" END), E_SYNTAX },
		{ SL(MADE FROM "\2\3\0a>b" END), E_SYNTAX },
		{ SL(MADE FROM "\2\3\0a\0b" END), E_SYNTAX },
		{ SL(MADE "\1\3\0a\r\n" TO END), E_SYNTAX },
		{ SL(MADE FROM TO "\3\2\0\n\n" END), E_SYNTAX },
		{ SL(MADE FROM TO "\4\1\0=" END), E_SYNTAX },
		{ SL(MADE FROM TO "\4\3\0a b" END), E_SYNTAX },
		{ SL(MADE FROM TO "\5\1\0\3" END), E_SYNTAX },
		{ SL(MADE FROM TO "\5\2\0\2\2" END), E_SYNTAX },
		{ SL(MADE FROM TO "\6\1\0\1" END), E_SYNTAX },
		{ SL(MADE FROM TO "\10\1\0x" END), E_SYNTAX },
		{ SL(MADE FROM TO "\377\1\0x" END), E_SYNTAX },
		{ SL("\7\10\0\0\0\0\0\0\0\0\0" FROM TO END), E_SYNTAX },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(v); i++)
		assert_int_equal(read_head(v[i].head), v[i].err);
}

static void
an_envelope_has_a_ceiling(void **state)
{
	char address[MAILBOX_MAX];
	struct buf head;
	int err = 0;

	(void)state;
	memset(address, 'a', sizeof(address));
	buf_init(&head, 1u << 23);
	buf_adds(&head, SL(MADE FROM));
	for (uint32_t i = 0; i < RCPTS_MAX; i++)
		err |= drop_rcpt_add(&head, slice_of(address, MAILBOX_MAX));
	buf_adds(&head, SL(END));
	assert_int_equal(err, 0);
	assert_int_equal(read_head(buf_slice(&head)), 0);
	buf_cut(&head, head.n - 3);
	buf_adds(&head, SL(TO END));
	assert_int_equal(read_head(buf_slice(&head)), E_SYNTAX);
	/* One that does not end. */
	buf_reset(&head);
	buf_adds(&head, SL(MADE FROM));
	while (head.n < DROP_HEAD_MAX + 1000)
		buf_adds(&head, SL("\2\1\0b"));
	assert_true(read_head(buf_slice(&head)) < 0);
	buf_free(&head);
}

static void
another_version_is_told_apart(void **state)
{
	struct drop_reader r;
	struct buf file;

	(void)state;
	write_usual(&file);
	file.p[7] = 2;
	assert_int_equal(read_in(&r, buf_slice(&file), 1), E_VERSION);
	drop_reader_free(&r);
	assert_int_equal(read_in(&r, SL("#!/bin/sh\n"), 3), E_SYNTAX);
	drop_reader_free(&r);
	buf_free(&file);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_written_is_read_however_it_comes),
		cmocka_unit_test(a_file_that_is_cut_off_or_goes_on_is_none),
		cmocka_unit_test(every_bit_counts),
		cmocka_unit_test(an_envelope_makes_sense_or_is_none),
		cmocka_unit_test(an_envelope_has_a_ceiling),
		cmocka_unit_test(another_version_is_told_apart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

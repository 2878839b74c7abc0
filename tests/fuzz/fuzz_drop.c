/*
 * Fuzz target: a drop file, fed whole and cut in two. Both ways say the same; what
 * is taken for whole is safe to say in SMTP, and is what writing it again gives.
 * A right sum is put behind what was mutated, or nothing would be beyond it.
 */
#include <stdint.h>

#include "proto/proto.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static int
read_in(struct drop_reader *r, struct slice file, size_t cut)
{
	int err;

	drop_reader_init(r, file.n);
	err = drop_reader_feed(r, slice_of(file.p, MIN(cut, file.n)));
	if (err == 0)
		err = drop_reader_feed(r, slice_skip(file, cut));
	return err ? err : drop_reader_end(r);
}

static bool
is_safe(struct slice s)
{
	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] < ' ' || s.p[i] == '<' ||
		    s.p[i] == '>')
			return false;
	return true;
}

/* RFC 3461 4: of xtext, where angle brackets are nothing special. */
static bool
is_word(struct slice s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] <= ' ' || s.p[i] > '~')
			return false;
	return true;
}

static void
look_at(const struct drop_reader *r, struct slice file)
{
	struct slice rest = r->head.rcpts, one;
	struct drop_reader again;
	uint32_t n = 0;
	struct buf out;

	ASSERT(is_safe(r->head.sender) && is_word(r->head.envid));
	ASSERT(r->body_at + r->body_bytes + DROP_TAIL_BYTES == file.n);
	for (; drop_rcpt_next(&rest, &one); n++)
		ASSERT(one.n > 0 && is_safe(one));
	ASSERT(n == r->head.nrcpt && n > 0);

	buf_init(&out, 1u << 24);
	ASSERT(drop_head_write(&out,
		   &(struct drop_head){ .sender = r->head.sender,
		       .made_us = r->head.made_us,
		       .nrcpt = n,
		       .rcpts = SL("\2\1\0x") }) == 0);
	ASSERT(drop_tail_write(&out, 0, crc32c(0, out.p, out.n)) == 0);
	ASSERT(read_in(&again, buf_slice(&out), 3) == 0);
	ASSERT(slice_eq(again.head.sender, r->head.sender));
	drop_reader_free(&again);
	buf_free(&out);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct drop_reader whole, cut;
	struct buf file;
	size_t at;
	int a, b;

	if (n < 2)
		return 0;
	at = (size_t)(data[0] << 8 | data[1]) % (n + 1);
	buf_init(&file, n + 64);
	buf_add(&file, data + 2, n - 2);
	/* The body is what of it is behind the head: of any length. */
	drop_reader_init(&whole, n - 2 + DROP_TAIL_BYTES);
	a = drop_reader_feed(&whole, buf_slice(&file));
	if (a == 0 && whole.has_head)
		ASSERT(drop_tail_write(&file, whole.body_bytes,
			   crc32c(0, file.p, file.n)) == 0);
	drop_reader_free(&whole);
	a = read_in(&whole, buf_slice(&file), file.n);
	b = read_in(&cut, buf_slice(&file), at);
	ASSERT(a == b);
	if (a == 0)
		look_at(&whole, buf_slice(&file));
	drop_reader_free(&whole);
	drop_reader_free(&cut);
	buf_free(&file);
	return 0;
}

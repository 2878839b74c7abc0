/*
 * mail/msgid.c - message ids: 128 bits, big-endian, so that byte order is the
 * order of time, on disk and as text.
 */
#include "mail/mail.h"

#define SEQUENCE_BYTES 6

static void
put_be(uint8_t *dst, uint64_t v, int bytes)
{
	for (int i = bytes - 1; i >= 0; i--, v >>= 8)
		dst[i] = (uint8_t)v;
}

static uint64_t
get_be(const uint8_t *src, int bytes)
{
	uint64_t v = 0;

	for (int i = 0; i < bytes; i++)
		v = v << 8 | src[i];
	return v;
}

struct msgid
msgid_make(int64_t unix_us, uint16_t node, uint64_t sequence)
{
	struct msgid id;

	put_be(id.b, (uint64_t)unix_us, 8);
	put_be(id.b + 8, node, 2);
	put_be(id.b + 10, sequence, SEQUENCE_BYTES);
	return id;
}

int64_t
msgid_time_us(const struct msgid *id)
{
	return (int64_t)get_be(id->b, 8);
}

bool
msgid_eq(const struct msgid *a, const struct msgid *b)
{
	return memcmp(a->b, b->b, sizeof(a->b)) == 0;
}

uint64_t
msgid_hash(const struct msgid *id)
{
	return hash_u64(hash_u64(get_be(id->b, 8)) ^ get_be(id->b + 8, 8));
}

size_t
msgid_format(char *dst, const struct msgid *id)
{
	return fmt_base32(dst, id->b, sizeof(id->b));
}

int
msgid_parse(struct slice s, struct msgid *out)
{
	if (s.n != MSGID_TEXT_MAX - 1)
		return E_SYNTAX;
	return parse_base32(s, out->b, sizeof(out->b));
}

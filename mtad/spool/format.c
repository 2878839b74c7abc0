/*
 * spool/format.c - records and entries to bytes and back. All integers are
 * little-endian. What is decoded is hostile.
 */
#include "spool/spool_i.h"

static void
put32(char *p, uint32_t v)
{
	for (int i = 0; i < 4; i++)
		p[i] = (char)(v >> (8 * i));
}

static void
put64(char *p, uint64_t v)
{
	put32(p, (uint32_t)v);
	put32(p + 4, (uint32_t)(v >> 32));
}

uint32_t
record_bytes(const struct record *r)
{
	uint64_t n = (uint64_t)RECORD_HEADER + r->env_bytes + r->body_bytes +
	    r->extra_bytes;

	n = (n + 7) & ~UINT64_C(7);
	return n > UINT32_MAX ? UINT32_MAX : (uint32_t)n;
}

void
record_encode(char dst[RECORD_HEADER], const struct record *r)
{
	memset(dst, 0, RECORD_HEADER);
	put32(dst, RECORD_MAGIC);
	dst[4] = (char)r->type;
	dst[5] = SPOOL_FORMAT;
	dst[6] = (char)r->nrcpt;
	dst[7] = (char)(r->nrcpt >> 8);
	put32(dst + 8, r->env_bytes);
	put32(dst + 12, r->body_bytes);
	memcpy(dst + 16, r->id.b, sizeof(r->id.b));
	put64(dst + 32, r->stamp);
	put32(dst + 40, r->extra_bytes);
	put32(dst + 44, r->group);
	put32(dst + 48, r->group_bytes);
	put32(dst + 52, r->crc);
	put32(dst + 60, crc32c(0, dst, 60));
}

int
record_decode(const char src[RECORD_HEADER], struct record *r)
{
	struct cursor c = cursor_of(slice_of(src, RECORD_HEADER));
	struct slice id;

	if (cursor_u32(&c) != RECORD_MAGIC)
		return E_CORRUPT;
	r->type = cursor_u8(&c);
	if (cursor_u8(&c) != SPOOL_FORMAT)
		return E_CORRUPT;
	r->nrcpt = cursor_u16(&c);
	r->env_bytes = cursor_u32(&c);
	r->body_bytes = cursor_u32(&c);
	id = cursor_take(&c, sizeof(r->id.b));
	memcpy(r->id.b, id.p, sizeof(r->id.b));
	r->stamp = cursor_u64(&c);
	r->extra_bytes = cursor_u32(&c);
	r->group = cursor_u32(&c);
	r->group_bytes = cursor_u32(&c);
	r->crc = cursor_u32(&c);
	cursor_u32(&c);
	if (cursor_u32(&c) != crc32c(0, src, 60))
		return E_CORRUPT;
	return record_bytes(r) == UINT32_MAX ? E_CORRUPT : 0;
}

int
record_repair(const char src[RECORD_HEADER], struct record *r)
{
	char try[RECORD_HEADER];

	memcpy(try, src, sizeof(try));
	for (uint32_t bit = 0; bit < RECORD_HEADER * 8; bit++) {
		char *p = &try[bit / 8];

		*p = (char)(*p ^ 1 << bit % 8);
		if (record_decode(try, r) == 0)
			return 0;
		*p = src[bit / 8];
	}
	return E_CORRUPT;
}

enum { STATE_FINAL = 1, STATE_OWED = 2, STATE_PAYMENT = 4, STATE_TOLD = 8 };

static uint8_t
state_flags(const struct rcpt_state *s)
{
	return (uint8_t)((s->is_final ? STATE_FINAL : 0) |
	    (s->is_owed ? STATE_OWED : 0) | (s->is_told ? STATE_TOLD : 0));
}

void
state_encode(struct buf *out, const struct rcpt_state *s)
{
	buf_add_u8(out, s->outcome.klass);
	buf_add_u8(out, s->outcome.stage);
	buf_add_u16(out, s->outcome.code);
	buf_add_u8(out, s->outcome.enh.klass);
	buf_add_u8(out, state_flags(s));
	buf_add_u16(out, s->outcome.enh.subject);
	buf_add_u16(out, s->outcome.enh.detail);
	buf_add_u16(out, s->attempts);
	buf_add_u32(out, 0);
	buf_add_u64(out, (uint64_t)s->due_us);
}

static uint8_t
state_take(struct cursor *c, struct rcpt_state *s)
{
	uint8_t flags;

	s->outcome.klass = cursor_u8(c);
	s->outcome.stage = cursor_u8(c);
	s->outcome.code = cursor_u16(c);
	s->outcome.enh.klass = cursor_u8(c);
	flags = cursor_u8(c);
	s->outcome.enh.subject = cursor_u16(c);
	s->outcome.enh.detail = cursor_u16(c);
	s->attempts = cursor_u16(c);
	cursor_u32(c);
	s->due_us = (int64_t)cursor_u64(c);
	s->is_final = flags & STATE_FINAL;
	s->is_owed = flags & STATE_OWED;
	s->is_told = flags & STATE_TOLD;
	if (s->outcome.klass >= OUTCOME_N || s->outcome.stage >= STAGE_N)
		c->bad = true;
	return flags;
}

void
state_decode(struct cursor *c, struct rcpt_state *s)
{
	state_take(c, s);
}

/* msgid (16), rcpt (2), text length (2), mta length (2), flags (1), 0 (1),
 * state (24), text, mta. */
int
entry_encode(struct buf *out, const struct entry *e)
{
	size_t before = out->n;

	buf_add(out, e->id.b, sizeof(e->id.b));
	buf_add_u16(out, e->rcpt);
	buf_add_u16(out, (uint16_t)e->text.n);
	buf_add_u16(out, (uint16_t)e->mta.n);
	buf_add_u8(out, e->is_payment ? STATE_PAYMENT : 0);
	buf_add_u8(out, 0);
	state_encode(out, &e->state);
	buf_adds(out, e->text);
	buf_adds(out, e->mta);
	if (!out->failed)
		return 0;
	buf_cut(out, before);
	out->failed = false;
	return E_NOMEM;
}

bool
entry_next(struct cursor *c, struct entry *e)
{
	uint16_t text_n, mta_n;
	struct slice id;
	uint8_t flags;

	if (c->s.n == 0 || c->bad)
		return false;
	id = cursor_take(c, sizeof(e->id.b));
	if (c->bad)
		return false;
	memcpy(e->id.b, id.p, sizeof(e->id.b));
	e->rcpt = cursor_u16(c);
	text_n = cursor_u16(c);
	mta_n = cursor_u16(c);
	flags = cursor_u8(c);
	cursor_u8(c);
	state_take(c, &e->state);
	e->text = cursor_take(c, text_n);
	e->mta = cursor_take(c, mta_n);
	e->is_payment = flags & STATE_PAYMENT;
	return !c->bad;
}

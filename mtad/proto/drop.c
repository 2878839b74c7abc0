/*
 * proto/drop.c - writing and reading drop files.
 *
 * The reader needs the file's size beforehand: where the message ends is known
 * from it alone, so that nothing in the file can say otherwise.
 */
#include "proto/drop.h"

#define TAIL_MAGIC "DROP END"

enum record {
	REC_END = 0,
	REC_SENDER = 1,
	REC_RCPT = 2,
	REC_NAME = 3,
	REC_ENVID = 4,
	REC_NOTIFY = 5, /* one byte */
	REC_RET = 6,    /* one byte */
	REC_MADE = 7,   /* 8 bytes */
	REC_N
};

/* ---- writing ---------------------------------------------------------------- */

static void
put(struct buf *out, enum record kind, struct slice value)
{
	buf_add_u8(out, (uint8_t)kind);
	buf_add_u16(out, (uint16_t)value.n);
	buf_adds(out, value);
}

int
drop_rcpt_add(struct buf *rcpts, struct slice address)
{
	put(rcpts, REC_RCPT, address);
	return rcpts->failed ? E_FULL : 0;
}

int
drop_head_write(struct buf *out, const struct drop_head *h)
{
	uint64_t made = htole64((uint64_t)h->made_us);

	buf_add(out, DROP_MAGIC, DROP_MAGIC_BYTES);
	put(out, REC_MADE, slice_of((const char *)&made, sizeof(made)));
	put(out, REC_SENDER, h->sender);
	if (h->name.n > 0)
		put(out, REC_NAME, h->name);
	if (h->envid.n > 0)
		put(out, REC_ENVID, h->envid);
	if (h->notify)
		put(out, REC_NOTIFY, slice_of((const char *)&h->notify, 1));
	if (h->ret)
		put(out, REC_RET, slice_of((const char *)&h->ret, 1));
	buf_adds(out, h->rcpts);
	put(out, REC_END, SL(""));
	return out->failed ? E_FULL : 0;
}

int
drop_tail_write(struct buf *out, uint64_t body_bytes, uint32_t crc)
{
	uint64_t n = htole64(body_bytes);

	crc = crc32c(crc, &n, sizeof(n));
	buf_add(out, &n, sizeof(n));
	buf_add_u32(out, crc);
	buf_add(out, TAIL_MAGIC, strlen(TAIL_MAGIC));
	return out->failed ? E_FULL : 0;
}

/* ---- reading ---------------------------------------------------------------- */

static bool
has_controls(struct slice s)
{
	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] < ' ' || s.p[i] == 0x7f)
			return true;
	return false;
}

bool
drop_address_is_clean(struct slice address)
{
	return address.n > 0 && address.n <= MAILBOX_MAX &&
	    !has_controls(address) && !memchr(address.p, '<', address.n) &&
	    !memchr(address.p, '>', address.n);
}

bool
drop_rcpt_next(struct slice *rest, struct slice *address)
{
	struct cursor c = cursor_of(*rest);
	uint8_t kind;

	/* Of a head that has been read: nothing in it is malformed. */
	while (c.s.n > 0) {
		kind = cursor_u8(&c);
		*address = cursor_take(&c, cursor_u16(&c));
		if (kind != REC_RCPT || c.bad)
			continue;
		*rest = c.s;
		return true;
	}
	return false;
}

static bool
is_envid(struct slice s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] <= ' ' || s.p[i] > '~' || s.p[i] == '=')
			return false;
	return s.n > 0 && s.n <= ENVID_MAX;
}

static bool
is_notify(uint8_t v)
{
	return v == NOTIFY_NEVER ||
	    (v != 0 &&
		!(v & ~(NOTIFY_SUCCESS | NOTIFY_FAILURE | NOTIFY_DELAY)));
}

static bool
take_byte(struct slice value, uint8_t *out)
{
	*out = value.n == 1 ? (uint8_t)value.p[0] : 0;
	return value.n == 1;
}

static bool
take_made(struct slice value, int64_t *out)
{
	struct cursor c = cursor_of(value);

	*out = (int64_t)cursor_u64(&c);
	return !c.bad && c.s.n == 0 && *out > 0;
}

/* One record's value; false: it makes no sense. */
static bool
take(struct drop_head *h, uint8_t kind, struct slice value)
{
	switch (kind) {
	case REC_SENDER:
		h->sender = value;
		return value.n == 0 || drop_address_is_clean(value);
	case REC_RCPT:
		return drop_address_is_clean(value) && h->nrcpt++ < RCPTS_MAX;
	case REC_NAME:
		h->name = value;
		return value.n <= DROP_NAME_MAX && !has_controls(value);
	case REC_ENVID:
		h->envid = value;
		return is_envid(value);
	case REC_NOTIFY:
		return take_byte(value, &h->notify) && is_notify(h->notify);
	case REC_RET:
		return take_byte(value, &h->ret) &&
		    (h->ret == ENV_RET_HDRS || h->ret == ENV_RET_FULL);
	case REC_MADE:
		return take_made(value, &h->made_us);
	default:
		return false;
	}
}

/* The head at the front of s: its length, 0 when more is needed, or E_*. */
static int
head_read(struct slice s, struct drop_head *h)
{
	struct cursor c = cursor_of(s);
	uint32_t seen = 0;
	struct slice value;
	uint8_t kind;

	memset(h, 0, sizeof(*h));
	if (memcmp(s.p, DROP_MAGIC, MIN(s.n, DROP_MAGIC_BYTES - 1)) != 0)
		return E_SYNTAX;
	if (s.n < DROP_MAGIC_BYTES)
		return 0;
	if (s.p[DROP_MAGIC_BYTES - 1] != DROP_MAGIC[DROP_MAGIC_BYTES - 1])
		return E_VERSION;
	cursor_take(&c, DROP_MAGIC_BYTES);
	h->rcpts.p = c.s.p;
	for (;;) {
		kind = cursor_u8(&c);
		value = cursor_take(&c, cursor_u16(&c));
		if (c.bad)
			return s.n < DROP_HEAD_MAX ? 0 : E_TOOBIG;
		if (kind == REC_END)
			break;
		if ((kind != REC_RCPT && seen >> MIN(kind, 31u) & 1) ||
		    !take(h, kind, value))
			return E_SYNTAX;
		seen |= 1u << MIN(kind, 31u);
		h->rcpts.n = (size_t)(c.s.p - h->rcpts.p);
	}
	if (value.n > 0 || h->nrcpt == 0 || !(seen >> REC_SENDER & 1) ||
	    !(seen >> REC_MADE & 1))
		return E_SYNTAX;
	return (int)(c.s.p - s.p);
}

void
drop_reader_init(struct drop_reader *r, uint64_t size)
{
	memset(r, 0, sizeof(*r));
	r->size = size;
	buf_init(&r->front, DROP_HEAD_MAX);
}

void
drop_reader_free(struct drop_reader *r)
{
	buf_free(&r->front);
}

static bool
is_8bit(struct slice s)
{
	unsigned char all = 0;

	for (size_t i = 0; i < s.n; i++)
		all |= (unsigned char)s.p[i];
	return all & 0x80;
}

static bool
names_are_8bit(const struct drop_head *h)
{
	struct slice rest = h->rcpts, address;

	if (is_8bit(h->sender))
		return true;
	while (drop_rcpt_next(&rest, &address))
		if (is_8bit(address))
			return true;
	return false;
}

/* Bytes behind the head: message and tail. */
static int
feed_rest(struct drop_reader *r, struct slice data)
{
	uint64_t tail_at = r->body_at + r->body_bytes;
	struct slice body = data;

	if (data.n > r->size - r->at)
		return E_CORRUPT; /* it has grown meanwhile */
	body.n = r->at < tail_at ? MIN(data.n, tail_at - r->at) : 0;
	r->crc = crc32c(r->crc, body.p, body.n);
	r->has_8bit |= is_8bit(body);
	r->at += body.n;
	data = slice_skip(data, body.n);
	if (data.n > 0)
		memcpy(r->tail + (r->at - tail_at), data.p, data.n);
	r->at += data.n;
	return 0;
}

/* The head, which ends somewhere in what has come. */
static int
feed_head(struct drop_reader *r, struct slice data)
{
	size_t before = r->front.n, more;
	struct slice front;
	int n;

	data.n = MIN(data.n, DROP_HEAD_MAX - before);
	if (buf_adds(&r->front, data))
		return E_NOMEM;
	front = buf_slice(&r->front);
	n = head_read(front, &r->head);
	if (n < 0)
		return n;
	if (n == 0)
		return r->front.n < DROP_HEAD_MAX ? (int)data.n : E_TOOBIG;
	if ((uint64_t)n + DROP_TAIL_BYTES > r->size)
		return E_CORRUPT;
	r->has_head = true;
	r->has_8bit_names = names_are_8bit(&r->head);
	r->body_at = r->at = (uint64_t)n;
	r->body_bytes = r->size - r->body_at - DROP_TAIL_BYTES;
	r->crc = crc32c(0, front.p, (size_t)n);
	more = (size_t)n - before;
	buf_cut(&r->front, (size_t)n);
	return (int)more;
}

int
drop_reader_feed(struct drop_reader *r, struct slice data)
{
	int n;

	while (!r->has_head && data.n > 0) {
		n = feed_head(r, data);
		if (n < 0)
			return n;
		data = slice_skip(data, (size_t)n);
	}
	return data.n > 0 ? feed_rest(r, data) : 0;
}

int
drop_reader_end(struct drop_reader *r)
{
	struct cursor c =
	    cursor_of(slice_of((const char *)r->tail, sizeof(r->tail)));
	uint32_t crc;

	if (!r->has_head || r->at != r->size)
		return E_CORRUPT;
	crc = crc32c(r->crc, r->tail, 8);
	if (cursor_u64(&c) != r->body_bytes || cursor_u32(&c) != crc ||
	    !slice_eq(c.s, SL(TAIL_MAGIC)))
		return E_CORRUPT;
	return 0;
}

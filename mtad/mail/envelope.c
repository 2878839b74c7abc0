/*
 * mail/envelope.c - the envelope's form on disk. All integers little-endian.
 *
 *	offset	bytes
 *	0	2	version, 1 to 4; 256 more where the flags have
 *			REQUIRETLS, which who does not know it must not send;
 *			512 more: there is a by_us
 *	2	1	klass
 *	3	1	family of the client's address: 0, 4 or 6
 *	4	4	flags
 *	8	16	id
 *	24	8	arrival_us
 *	32	8	expires_us
 *	40	8	not_before_us
 *	48	8	body_bytes
 *	56	16	client's address
 *	72	4	nrcpt
 *	76		sender, tenant, campaign, pool, listener, envid: each a
 *			length (2 bytes) and that many bytes; with version 2
 *			zone, too, which is not empty then; with version 3
 *			zone and signer, which is not empty; with version 4
 *			zone and signer, and behind them an idempotency key:
 *			16 bytes, and 4 that are not 0; then by_us (8 bytes, not
 *			0), if there is one
 *	then, nrcpt times: notify (1 byte), address, orcpt (each as above)
 *
 * Nothing follows. Each text has a ceiling; a reader checks them all, so that
 * what was decoded once can be relied upon.
 */
#include <endian.h>

#include "mail/mail.h"

#define ENV_VERSION 1
#define ENV_VERSION_ZONE 2 /* who knows only 1 reads all others */
#define ENV_VERSION_SIGNER 3
#define ENV_VERSION_KEY 4
#define ENV_KEY_BYTES 20
#define ENV_VERSION_REQUIRETLS 0x100 /* beside one of these */
#define ENV_VERSION_BY 0x200         /* beside one of these */
#define ENV_FIXED_BYTES 76
#define NOTIFY_ALL                                                             \
	(NOTIFY_NEVER | NOTIFY_SUCCESS | NOTIFY_FAILURE | NOTIFY_DELAY)

/* The texts of an envelope in the order of the disk, and their ceilings. */
#define ENV_TEXTS(X)                                                           \
	X(sender, MAILBOX_MAX)                                                 \
	X(tenant, NAME_MAX_BYTES)                                              \
	X(campaign, NAME_MAX_BYTES)                                            \
	X(pool, NAME_MAX_BYTES)                                                \
	X(listener, NAME_MAX_BYTES)                                            \
	X(envid, ENVID_MAX)

/* ---- writing --------------------------------------------------------------- */

static uint16_t
level_of(const struct envelope *e)
{
	if (e->key.digest != 0)
		return ENV_VERSION_KEY;
	if (e->signer.n > 0)
		return ENV_VERSION_SIGNER;
	return e->zone.n > 0 ? ENV_VERSION_ZONE : ENV_VERSION;
}

size_t
env_length(const struct envelope *e, const struct env_rcpt *rcpts)
{
	size_t n = ENV_FIXED_BYTES;

	if (e->nrcpt > RCPTS_MAX)
		return 0;
#define X(field, max)                                                          \
	if (e->field.n > (max))                                                \
		return 0;                                                      \
	n += 2 + e->field.n;
	ENV_TEXTS(X)
#undef X
	if (e->zone.n > NAME_MAX_BYTES || e->signer.n > DOMAIN_MAX)
		return 0;
	n += level_of(e) >= ENV_VERSION_ZONE ? 2 + e->zone.n : 0;
	n += level_of(e) >= ENV_VERSION_SIGNER ? 2 + e->signer.n : 0;
	n += level_of(e) >= ENV_VERSION_KEY ? ENV_KEY_BYTES : 0;
	n += e->by_us != 0 ? 8 : 0;
	for (uint32_t i = 0; i < e->nrcpt; i++) {
		const struct env_rcpt *r = &rcpts[i];

		if (r->address.n < 1 || r->address.n > MAILBOX_MAX ||
		    r->orcpt.n > ORCPT_MAX || r->notify > NOTIFY_ALL)
			return 0;
		n += 5 + r->address.n + r->orcpt.n;
	}
	return n;
}

static inline char *
put_le(char *p, uint64_t v, size_t bytes)
{
	v = htole64(v);
	memcpy(p, &v, bytes);
	return p + bytes;
}

static char *
put_text(char *p, struct slice s)
{
	p = put_le(p, s.n, 2);
	if (s.n > 0)
		memcpy(p, s.p, s.n);
	return p + s.n;
}

/* What who does not know it must not take for another. */
static uint16_t
mark_of(const struct envelope *e)
{
	return (e->flags & ENV_REQUIRETLS ? ENV_VERSION_REQUIRETLS : 0) |
	    (e->by_us != 0 ? ENV_VERSION_BY : 0);
}

static char *
put_fixed(char *p, const struct envelope *e)
{
	p = put_le(p, level_of(e) | mark_of(e), 2);
	p = put_le(p, e->klass, 1);
	p = put_le(p, e->client.family, 1);
	p = put_le(p, e->flags, 4);
	memcpy(p, e->id.b, sizeof(e->id.b));
	p += sizeof(e->id.b);
	p = put_le(p, (uint64_t)e->arrival_us, 8);
	p = put_le(p, (uint64_t)e->expires_us, 8);
	p = put_le(p, (uint64_t)e->not_before_us, 8);
	p = put_le(p, e->body_bytes, 8);
	memcpy(p, e->client.b, sizeof(e->client.b));
	p += sizeof(e->client.b);
	return put_le(p, e->nrcpt, 4);
}

int
env_encode(struct buf *out, const struct envelope *e,
    const struct env_rcpt *rcpts)
{
	size_t n = env_length(e, rcpts);
	char *start, *p;

	if (n == 0)
		return E_RANGE;
	start = buf_room(out, n);
	if (start == NULL)
		return n > out->max - out->n ? E_FULL : E_NOMEM;
	p = put_fixed(start, e);
#define X(field, max) p = put_text(p, e->field);
	ENV_TEXTS(X)
#undef X
	if (level_of(e) >= ENV_VERSION_ZONE)
		p = put_text(p, e->zone);
	if (level_of(e) >= ENV_VERSION_SIGNER)
		p = put_text(p, e->signer);
	if (level_of(e) >= ENV_VERSION_KEY) {
		memcpy(p, e->key.b, sizeof(e->key.b));
		p = put_le(p + sizeof(e->key.b), e->key.digest, 4);
	}
	if (e->by_us != 0)
		p = put_le(p, (uint64_t)e->by_us, 8);
	for (uint32_t i = 0; i < e->nrcpt; i++) {
		p = put_le(p, rcpts[i].notify, 1);
		p = put_text(p, rcpts[i].address);
		p = put_text(p, rcpts[i].orcpt);
	}
	ASSERT((size_t)(p - start) == n);
	buf_grew(out, n);
	return 0;
}

/* ---- reading --------------------------------------------------------------- */

static struct slice
take_text(struct cursor *c, size_t max)
{
	size_t n = cursor_u16(c);

	if (n > max)
		c->bad = true;
	return cursor_take(c, n);
}

static void
take_bytes(struct cursor *c, uint8_t *dst, size_t n)
{
	struct slice s = cursor_take(c, n);

	memcpy(dst, s.p, s.n);
}

/* What the version, already read, is followed by. */
static void
take_fixed(struct cursor *c, struct envelope *e)
{
	e->klass = cursor_u8(c);
	e->client.family = cursor_u8(c);
	e->flags = cursor_u32(c);
	take_bytes(c, e->id.b, sizeof(e->id.b));
	e->arrival_us = (int64_t)cursor_u64(c);
	e->expires_us = (int64_t)cursor_u64(c);
	e->not_before_us = (int64_t)cursor_u64(c);
	e->body_bytes = cursor_u64(c);
	take_bytes(c, e->client.b, sizeof(e->client.b));
	e->nrcpt = cursor_u32(c);
	if ((e->client.family != 0 && e->client.family != 4 &&
		e->client.family != 6) ||
	    e->nrcpt > RCPTS_MAX)
		c->bad = true;
}

bool
env_rcpt_next(struct cursor *rcpts, struct env_rcpt *r)
{
	if (rcpts->bad || rcpts->s.n == 0)
		return false;
	r->notify = cursor_u8(rcpts);
	r->address = take_text(rcpts, MAILBOX_MAX);
	r->orcpt = take_text(rcpts, ORCPT_MAX);
	if (r->address.n == 0 || r->notify > NOTIFY_ALL)
		rcpts->bad = true;
	return !rcpts->bad;
}

int
env_decode(struct slice blob, struct envelope *e, struct cursor *rcpts)
{
	struct cursor c = cursor_of(blob), walk;
	struct env_rcpt r;
	uint16_t marked = cursor_u16(&c);
	uint16_t version =
	    (uint16_t)(marked & ~(ENV_VERSION_REQUIRETLS | ENV_VERSION_BY));
	uint32_t n = 0;

	*e = (struct envelope){ 0 };
	if (!c.bad && (version < ENV_VERSION || version > ENV_VERSION_KEY))
		return E_VERSION;
	take_fixed(&c, e);
	c.bad |= ((marked & ENV_VERSION_REQUIRETLS) != 0) !=
	    ((e->flags & ENV_REQUIRETLS) != 0);
#define X(field, max) e->field = take_text(&c, max);
	ENV_TEXTS(X)
#undef X
	if (version >= ENV_VERSION_ZONE) {
		e->zone = take_text(&c, NAME_MAX_BYTES);
		c.bad |= e->zone.n == 0 && version == ENV_VERSION_ZONE;
	}
	if (version >= ENV_VERSION_SIGNER) {
		e->signer = take_text(&c, DOMAIN_MAX);
		c.bad |= e->signer.n == 0 && version == ENV_VERSION_SIGNER;
	}
	if (version >= ENV_VERSION_KEY) {
		take_bytes(&c, e->key.b, sizeof(e->key.b));
		e->key.digest = cursor_u32(&c);
		c.bad |= e->key.digest == 0;
	}
	if (marked & ENV_VERSION_BY) {
		e->by_us = (int64_t)cursor_u64(&c);
		c.bad |= e->by_us == 0;
	}
	if (c.bad)
		return E_CORRUPT;
	walk = c;
	while (n < e->nrcpt && env_rcpt_next(&walk, &r))
		n++;
	if (walk.bad || n != e->nrcpt || walk.s.n != 0)
		return E_CORRUPT;
	*rcpts = c;
	return 0;
}

struct slice
mailbox_domain(struct slice address)
{
	const char *at = address.n ? memrchr(address.p, '@', address.n) : NULL;

	if (at == NULL)
		return slice_of("", 0);
	return slice_skip(address, (size_t)(at - address.p) + 1);
}

bool
env_has_key(struct slice blob)
{
	struct cursor c = cursor_of(blob);

	return cursor_u16(&c) >= ENV_VERSION_KEY;
}

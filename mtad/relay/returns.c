/*
 * relay/returns.c - signed return paths, and what else may stand before the @ of
 * an address whose mail is for us.
 */
#include "crypt/crypt.h"
#include "relay/find.h"
#include "relay/returns.h"

#define DATA_BYTES 24u
#define MAC_BYTES 11u
#define TOKEN_BYTES (DATA_BYTES + MAC_BYTES)
#define DAY_US (86400 * US_PER_S)

_Static_assert(TOKEN_BYTES * 8 == RETURN_DIGITS * 5, "no bit is left over");

uint32_t
return_hash(struct slice address)
{
	uint32_t h = (uint32_t)find_key_address(address);

	return h != 0 ? h : 1;
}

static void
put_be(uint8_t *p, uint32_t v, uint32_t bytes)
{
	for (uint32_t i = 0; i < bytes; i++)
		p[i] = (uint8_t)(v >> 8 * (bytes - 1 - i));
}

static uint32_t
get_be(const uint8_t *p, uint32_t bytes)
{
	uint32_t v = 0;

	for (uint32_t i = 0; i < bytes; i++)
		v = v << 8 | p[i];
	return v;
}

static void
mac_of(const struct return_key *key, struct slice domain, const uint8_t *data,
    uint8_t mac[CRYPT_SHA256_BYTES])
{
	char text[DOMAIN_MAX + 1 + DATA_BYTES];
	size_t n = MIN(domain.n, (size_t)DOMAIN_MAX);

	for (size_t i = 0; i < n; i++)
		text[i] = ascii_lower(domain.p[i]);
	text[n++] = '\0';
	memcpy(text + n, data, DATA_BYTES);
	crypt_hmac(slice_of((const char *)key->b, key->n),
	    slice_of(text, n + DATA_BYTES), mac);
}

size_t
return_write(char dst[RETURN_LOCAL_MAX + 1], const struct conf_inbound *in,
    const struct return_keys *keys, const struct return_token *t)
{
	uint8_t b[TOKEN_BYTES], mac[CRYPT_SHA256_BYTES];
	size_t n;

	if (keys->n == 0 || in->prefix.n > CONF_RETURN_PREFIX_MAX)
		return 0;
	memcpy(b, t->id.b, sizeof(t->id.b));
	put_be(b + 16, t->rcpt, 2);
	put_be(b + 18, t->day, 2);
	put_be(b + 20, t->hash, 4);
	mac_of(&keys->v[0], in->domain, b, mac);
	memcpy(b + DATA_BYTES, mac, MAC_BYTES);
	n = slice_copy(in->prefix, dst, RETURN_LOCAL_MAX + 1);
	n += fmt_base32(dst + n, b, sizeof(b));
	for (size_t i = in->prefix.n; i < n; i++)
		dst[i] = ascii_lower(dst[i]);
	return n;
}

/* Takes as long for each of the keys, whichever is right. */
static bool
is_signed(const struct return_keys *keys, struct slice domain, const uint8_t *b)
{
	bool is_good = false;

	for (uint32_t i = 0; i < keys->n; i++) {
		uint8_t mac[CRYPT_SHA256_BYTES], got[CRYPT_SHA256_BYTES];

		mac_of(&keys->v[i], domain, b, mac);
		memcpy(got, mac, sizeof(got));
		memcpy(got, b + DATA_BYTES, MAC_BYTES);
		is_good |= crypt_is_same(mac, got);
	}
	return is_good;
}

/* Without quotes; nothing that we write needs any. */
static struct slice
unquote(struct slice s)
{
	if (s.n >= 2 && s.p[0] == '"' && s.p[s.n - 1] == '"')
		return slice_of(s.p + 1, s.n - 2);
	return s;
}

enum return_check
return_read(struct slice local, const struct conf_inbound *in,
    const struct return_keys *keys, int64_t wall_us, struct return_token *t)
{
	uint8_t b[TOKEN_BYTES];

	local = unquote(local);
	if (keys->n == 0 || !slice_has_iprefix(local, in->prefix))
		return RETURN_OTHER;
	local = slice_skip(local, in->prefix.n);
	if (local.n != RETURN_DIGITS)
		return RETURN_OTHER;
	if (parse_base32(local, b, sizeof(b)))
		return RETURN_FORGED;
	memcpy(t->id.b, b, sizeof(t->id.b));
	t->rcpt = (uint16_t)get_be(b + 16, 2);
	t->day = (uint16_t)get_be(b + 18, 2);
	t->hash = get_be(b + 20, 4);
	if (!is_signed(keys, in->domain, b))
		return RETURN_FORGED;
	return wall_us / DAY_US > t->day ? RETURN_EXPIRED : RETURN_GOOD;
}

size_t
return_verp(struct slice local, char dst[MAILBOX_MAX + 1])
{
	size_t plus, eq, n;

	local = unquote(local);
	plus = slice_index(local, '+');
	if (plus == 0 || plus >= local.n || local.n > MAILBOX_MAX)
		return 0;
	local = slice_skip(local, plus + 1);
	for (eq = local.n; eq > 0 && local.p[eq - 1] != '=';)
		eq--;
	if (eq < 2 || eq == local.n || memchr(local.p, '@', local.n) != NULL)
		return 0;
	n = slice_copy(slice_of(local.p, eq - 1), dst, MAILBOX_MAX + 1);
	dst[n++] = '@';
	n += slice_copy(slice_skip(local, eq), dst + n, MAILBOX_MAX + 1 - n);
	return domain_is_valid(slice_skip(local, eq), false) ? n : 0;
}

static bool
has_name(const struct slice *v, uint32_t n, struct slice local)
{
	for (uint32_t i = 0; i < n; i++)
		if (slice_ieq(v[i], local))
			return true;
	return false;
}

void
back_read(struct slice local, const struct conf_inbound *in,
    const struct return_keys *keys, int64_t wall_us, struct back_to *to)
{
	*to = (struct back_to){ .use = BACK_NONE, .check = RETURN_OTHER };
	to->check = return_read(local, in, keys, wall_us, &to->token);
	if (to->check != RETURN_OTHER) {
		if (to->check == RETURN_GOOD)
			to->use = BACK_TOKEN;
		return;
	}
	local = unquote(local);
	if (has_name(in->complaints, in->ncomplaints, local))
		to->use = BACK_COMPLAINT;
	else if (has_name(in->bounces, in->nbounces, local))
		to->use = BACK_BOUNCE;
	else if (in->takes_verp &&
	    (to->rcpt_n = (uint32_t)return_verp(local, to->rcpt)) > 0)
		to->use = BACK_VERP;
}

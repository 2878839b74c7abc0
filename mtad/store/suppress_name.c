/*
 * store/suppress_name.c - how an address or domain stands in the file.
 *
 * Receivers decide by themselves whether capitals of a local part matter (RFC
 * 5321 2.4); nearly none does, and who asked not to be written to is not to be
 * written to in other letters. Dots and "+tags" are left alone: whether they mean
 * the same mailbox is the receiver's affair, and a guess would suppress others.
 */
#include <idn2.h>

#include "proto/proto.h"
#include "store/suppress_i.h"

#define LOCAL_MAX 64u /* RFC 5321 4.5.3.1.1; the longest that is parsed */

static void
lower(char *dst, struct slice s)
{
	for (size_t i = 0; i < s.n; i++)
		dst[i] = ascii_lower(s.p[i]);
}

/* Could it stand without quotes? */
static bool
is_plain(struct slice local)
{
	char text[LOCAL_MAX + 8];
	size_t n = slice_copy(local, text, LOCAL_MAX + 1);

	n += slice_copy(SL("@a.b"), text + n, sizeof(text) - n);
	return text[0] != '"' && mailbox_is_valid(slice_of(text, n), true);
}

/* Quotes are two ways to write one mailbox (RFC 5321 4.1.2): taken off where none
 * are needed, else nothing is protected within but what must be. Never longer than
 * before. */
static size_t
put_local(char *dst, struct slice local)
{
	char bare[LOCAL_MAX + 1];
	size_t nbare = 0, n = 0;

	if (local.n < 2 || local.p[0] != '"' || local.n > LOCAL_MAX) {
		lower(dst, local);
		return local.n;
	}
	for (size_t i = 1; i + 1 < local.n; i++) {
		if (local.p[i] == '\\' && i + 2 < local.n)
			i++;
		bare[nbare++] = ascii_lower(local.p[i]);
	}
	if (is_plain(slice_of(bare, nbare))) {
		memcpy(dst, bare, nbare);
		return nbare;
	}
	dst[n++] = '"';
	for (size_t i = 0; i < nbare; i++) {
		if (bare[i] == '"' || bare[i] == '\\')
			dst[n++] = '\\';
		dst[n++] = bare[i];
	}
	dst[n++] = '"';
	return n;
}

/* U-labels become A-labels; a domain that cannot stays as it is. */
static size_t
fold_domain(char *dst, struct slice domain)
{
	char text[DOMAIN_MAX + 1], *ascii = NULL;
	size_t i = 0, n = domain.n;

	while (i < n && (unsigned char)domain.p[i] < 0x80)
		i++;
	if (i == n || n > DOMAIN_MAX) {
		lower(dst, domain);
		return n;
	}
	slice_copy(domain, text, sizeof(text));
	if (idn2_lookup_u8((const uint8_t *)text, (uint8_t **)&ascii,
		IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL) != IDN2_OK ||
	    strlen(ascii) > DOMAIN_MAX)
		lower(dst, domain);
	else
		lower(dst, slice_of(ascii, n = strlen(ascii)));
	idn2_free(ascii);
	return n;
}

size_t
suppress_fold(struct slice address, char *dst, size_t *domain_at)
{
	struct slice domain = mailbox_domain(address);
	struct slice local = slice_of(address.p, address.n - domain.n);
	size_t n = 0;

	if (local.n > 0) {
		n = put_local(dst, slice_of(local.p, local.n - 1));
		dst[n++] = '@';
	}
	*domain_at = n;
	return n + fold_domain(dst + n, domain);
}

int
suppress_name(struct slice text, char *dst, struct slice *out, bool *is_domain)
{
	size_t at = 0, n;

	if (text.n == 0)
		return E_SYNTAX;
	*is_domain = memchr(text.p, '@', text.n) == NULL;
	if (!*is_domain) {
		if (text.n > MAILBOX_MAX || !mailbox_is_valid(text, true))
			return E_SYNTAX;
		n = suppress_fold(text, dst, &at);
	} else {
		if (slice_has_prefix(text, SL("*.")))
			at = 2;
		/* A word alone is more likely a mistake than a domain. */
		if (memchr(text.p, '.', text.n) == NULL ||
		    !domain_is_valid(slice_skip(text, at), true))
			return E_SYNTAX;
		memcpy(dst, "*.", at);
		n = at + fold_domain(dst + at, slice_skip(text, at));
	}
	dst[n] = '\0';
	*out = slice_of(dst, n);
	return 0;
}

uint64_t
suppress_hash_of(uint64_t seed, struct slice tenant, char kind,
    struct slice name)
{
	char key[NAME_MAX_BYTES + 2 + SUPPRESS_NAME_MAX];
	size_t n = MIN(tenant.n, (size_t)NAME_MAX_BYTES);
	size_t more = MIN(name.n, (size_t)SUPPRESS_NAME_MAX);

	if (n > 0)
		memcpy(key, tenant.p, n);
	key[n++] = '\0'; /* no name of a tenant has one */
	key[n++] = kind;
	memcpy(key + n, name.p, more);
	return hash_bytes(seed, key, n + more);
}

uint64_t
suppress_hash(uint64_t seed, struct slice tenant, bool is_domain,
    struct slice name)
{
	if (is_domain && slice_has_prefix(name, SL("*.")))
		return suppress_hash_of(seed, tenant, 'b', slice_skip(name, 2));
	return suppress_hash_of(seed, tenant, is_domain ? 'd' : 'a', name);
}

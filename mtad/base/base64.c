/*
 * base/base64.c - base64 (RFC 4648 4).
 */
#include "base/base.h"
#include "base/base64.h"

static const char digits[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

size_t
base64_encode(char *dst, const void *p, size_t n)
{
	const uint8_t *s = p;
	char *at = dst;

	for (; n >= 3; n -= 3, s += 3) {
		uint32_t v = (uint32_t)s[0] << 16 | (uint32_t)s[1] << 8 | s[2];

		*at++ = digits[v >> 18];
		*at++ = digits[v >> 12 & 63];
		*at++ = digits[v >> 6 & 63];
		*at++ = digits[v & 63];
	}
	if (n > 0) {
		uint32_t v =
		    (uint32_t)s[0] << 16 | (n == 2 ? (uint32_t)s[1] << 8 : 0);

		*at++ = digits[v >> 18];
		*at++ = digits[v >> 12 & 63];
		*at++ = n == 2 ? digits[v >> 6 & 63] : '=';
		*at++ = '=';
	}
	return (size_t)(at - dst);
}

static int
value_of(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

int
base64_decode(struct slice text, struct buf *out)
{
	uint32_t v = 0, bits = 0, ndigits = 0, npads = 0;

	for (size_t i = 0; i < text.n; i++) {
		char c = text.p[i];
		int d = value_of(c);

		if (c == ' ' || c == '\t' || c == '\r' || c == '\n')
			continue;
		if (c == '=') {
			npads++;
			continue;
		}
		if (d < 0 || npads > 0)
			return E_SYNTAX;
		ndigits++;
		v = v << 6 | (uint32_t)d;
		bits += 6;
		if (bits < 8)
			continue;
		bits -= 8;
		buf_addc(out, (char)(v >> bits & 0xff));
	}
	/* One digit alone is no byte; padding is two, one or none. */
	if (ndigits % 4 == 1 || npads > 2 || (ndigits + npads) % 4 != 0)
		return E_SYNTAX;
	return out->failed ? E_FULL : 0;
}

/*
 * base/base32.c - bytes as base32 and hexadecimal; the last part of base/fmt.h.
 *
 * The alphabet of base32hex (RFC 4648 7) is in the order of ASCII, so texts of
 * one length sort as the bytes they stand for.
 */
#include "base/base.h"

size_t
fmt_base32(char *dst, const void *p, size_t n)
{
	static const char alphabet[] = "0123456789ABCDEFGHIJKLMNOPQRSTUV";
	const unsigned char *b = p;
	size_t at = 0;
	unsigned acc = 0, bits = 0;

	for (size_t i = 0; i < n; i++) {
		acc = (acc << 8 | b[i]) & 0xfff;
		for (bits += 8; bits >= 5; bits -= 5)
			dst[at++] = alphabet[acc >> (bits - 5) & 31];
	}
	if (bits > 0)
		dst[at++] = alphabet[acc << (5 - bits) & 31];
	dst[at] = '\0';
	return at;
}

static int
base32_digit(char c)
{
	c = ascii_lower(c);
	if (ascii_is_digit(c))
		return c - '0';
	return c >= 'a' && c <= 'v' ? c - 'a' + 10 : -1;
}

/* Bits behind the last byte must be zero: one value has one text. */
int
parse_base32(struct slice s, void *p, size_t n)
{
	unsigned char *b = p;
	size_t at = 0;
	unsigned acc = 0, bits = 0;

	if (s.n != n / 5 * 8 + (n % 5 * 8 + 4) / 5)
		return E_SYNTAX;
	for (size_t i = 0; i < s.n; i++) {
		int digit = base32_digit(s.p[i]);

		if (digit < 0)
			return E_SYNTAX;
		acc = (acc << 5 | (unsigned)digit) & 0xfff;
		bits += 5;
		if (bits >= 8) {
			bits -= 8;
			b[at++] = (unsigned char)(acc >> bits);
		}
	}
	return acc & ((1u << bits) - 1) ? E_SYNTAX : 0;
}

size_t
fmt_hex(char *dst, const void *p, size_t n)
{
	static const char hex[] = "0123456789abcdef";
	const unsigned char *b = p;

	for (size_t i = 0; i < n; i++) {
		dst[2 * i] = hex[b[i] >> 4];
		dst[2 * i + 1] = hex[b[i] & 15];
	}
	dst[2 * n] = '\0';
	return 2 * n;
}

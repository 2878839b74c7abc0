/*
 * base/base64.h - base64 (RFC 4648 4): the common alphabet, padded, without
 * line ends.
 */
#ifndef BASE_BASE64_H
#define BASE_BASE64_H

#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/slice.h"

/* Digits that n bytes take, padding included. */
#define BASE64_BYTES(n) (((n) + 2) / 3 * 4)

/* Writes the digits of n bytes to dst (no NUL); returns their number. */
size_t base64_encode(char *dst, const void *p, size_t n);
/* Appends the bytes that the text stands for. White space is passed over, for
 * mail folds such text; what else is no digit, or ends in the midst of a byte,
 * is E_SYNTAX. Also E_FULL, E_NOMEM. */
int base64_decode(struct slice text, struct buf *out) MUST_CHECK;

#endif

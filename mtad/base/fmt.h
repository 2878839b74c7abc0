/*
 * base/fmt.h - numbers, sizes and durations to text and back, in the forms
 * that configuration, command lines and screens share.
 */
#ifndef BASE_FMT_H
#define BASE_FMT_H

#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

/* Decimal digits of v to dst (at least 20 bytes); returns their number. */
size_t fmt_u64(char *dst, uint64_t v);

/* "10M", "64K", "1G", "4096" (1024-based, optional B or iB): bytes.
 * 0, E_SYNTAX or E_RANGE. */
int parse_size(struct slice s, uint64_t *bytes);
/* "250ms", "30s", "5m", "2h", "1d", "1h30m", "90" (seconds): microseconds.
 * Units d h m s ms us, from large to small, each once. Same errors. */
int parse_duration(struct slice s, int64_t *us);
/* "100/s", "6000/m", "360000/h", "5/d" (also "/1s", "/10m"): count and period.
 * The period is not 0. Same errors. */
int parse_rate(struct slice s, uint64_t *count, int64_t *period_us);

/* Short forms, cut, not rounded; dst of 16 bytes. Returns dst. Bytes are binary
 * ("1.8T", "154G", "9.1K", "512B"), counts decimal ("3.41M", "611k", "9.1k",
 * "999"). */
char *fmt_bytes(char *dst, uint64_t bytes);
char *fmt_count(char *dst, uint64_t n);
/* "42ms", "38s", "17m", "5h07m", "12d03h", cut; dst of 24 bytes. */
char *fmt_duration(char *dst, int64_t us);
/* The exact inverse of parse_duration / parse_size: the shortest text with
 * units ("90m", "1h31m5s", "10M") that parses back to the same value, which is
 * not negative. dst of 32 bytes. Returns dst. */
char *fmt_duration_exact(char *dst, int64_t us);
char *fmt_size_exact(char *dst, uint64_t bytes);

/* Sortable base32 (0-9 A-V, as RFC 4648 "base32hex") of n bytes, without
 * padding; dst of (n * 8 + 4) / 5 + 1 bytes, NUL-terminated. */
size_t fmt_base32(char *dst, const void *p, size_t n);
/* Inverse; fills exactly n bytes. 0 or E_SYNTAX. Either case is read. */
int parse_base32(struct slice s, void *p, size_t n);
/* Lower-case hexadecimal; dst of 2n+1 bytes. */
size_t fmt_hex(char *dst, const void *p, size_t n);

#endif

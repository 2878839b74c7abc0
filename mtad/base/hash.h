/*
 * base/hash.h - checksums and hashes.
 */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

/* CRC32C (Castagnoli, as in RFC 3720 B.4) of n bytes, continuing from crc (0
 * to begin). Uses the processor's instruction where it has one. */
uint32_t crc32c(uint32_t crc, const void *p, size_t n);
/* The same by tables alone: what crc32c does on other processors. */
uint32_t crc32c_by_table(uint32_t crc, const void *p, size_t n);

/* 64-bit hash of bytes under a seed, the same on every machine. Keyed
 * (SipHash-1-3 or better), fit for keys that strangers choose. */
uint64_t hash_bytes(uint64_t seed, const void *p, size_t n);

/* Mix of a 64-bit integer (splitmix64's finaliser). */
static inline uint64_t
hash_u64(uint64_t x)
{
	x ^= x >> 30;
	x *= UINT64_C(0xbf58476d1ce4e5b9);
	x ^= x >> 27;
	x *= UINT64_C(0x94d049bb133111eb);
	return x ^ (x >> 31);
}

#endif

/*
 * base/hash.c - CRC32C and SipHash-1-3.
 *
 * The CRC runs eight bytes a step: by eight tables, or by the instruction of
 * SSE4.2. That instruction has a latency of three cycles and a throughput of
 * one, so long inputs are cut in three lanes that run side by side; the lanes
 * are joined by "append LANE zero bytes", which is linear in the CRC and so
 * also a matter of tables. The tables are computed before main() and never
 * change after.
 */
#include "base/base.h"

#define POLY_REFLECTED UINT32_C(0x82f63b78)
#define LANE 336 /* bytes; three lanes are just under 1 KiB */

static uint32_t crc_table[8][256];
static uint32_t lane_table[4][256];
static uint32_t (*crc_run)(uint32_t crc, const unsigned char *p, size_t n);

static inline uint64_t
load_le64(const unsigned char *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
	v = __builtin_bswap64(v);
#endif
	return v;
}

uint32_t
crc32c(uint32_t crc, const void *p, size_t n)
{
	return ~crc_run(~crc, p, n);
}

/* As all crc_*: the register in and out, without the complements. */
static uint32_t
crc_run_table(uint32_t crc, const unsigned char *p, size_t n)
{
	for (; n >= 8; n -= 8, p += 8) {
		uint64_t v = load_le64(p) ^ crc;

		crc = crc_table[7][v & 255] ^ crc_table[6][v >> 8 & 255] ^
		    crc_table[5][v >> 16 & 255] ^ crc_table[4][v >> 24 & 255] ^
		    crc_table[3][v >> 32 & 255] ^ crc_table[2][v >> 40 & 255] ^
		    crc_table[1][v >> 48 & 255] ^ crc_table[0][v >> 56];
	}
	for (; n > 0; n--, p++)
		crc = crc >> 8 ^ crc_table[0][(crc ^ *p) & 255];
	return crc;
}

uint32_t
crc32c_by_table(uint32_t crc, const void *p, size_t n)
{
	return ~crc_run_table(~crc, p, n);
}

static void
crc_tables_fill(void)
{
	for (uint32_t i = 0; i < 256; i++) {
		uint32_t crc = i;

		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? POLY_REFLECTED : 0);
		crc_table[0][i] = crc;
	}
	for (int t = 1; t < 8; t++)
		for (int i = 0; i < 256; i++) {
			uint32_t crc = crc_table[t - 1][i];

			crc_table[t][i] = crc >> 8 ^ crc_table[0][crc & 255];
		}
}

/* lane_table[b][v]: the register v << 8b after LANE zero bytes. */
static void
lane_tables_fill(void)
{
	static const unsigned char zeroes[LANE];

	for (int b = 0; b < 4; b++)
		for (uint32_t v = 0; v < 256; v++)
			lane_table[b][v] =
			    crc_run_table(v << (8 * b), zeroes, LANE);
}

#ifdef __x86_64__
static uint32_t
lane_shift(uint32_t crc)
{
	return lane_table[0][crc & 255] ^ lane_table[1][crc >> 8 & 255] ^
	    lane_table[2][crc >> 16 & 255] ^ lane_table[3][crc >> 24];
}

__attribute__((target("sse4.2"))) static uint32_t
crc_run_sse42(uint32_t crc, const unsigned char *p, size_t n)
{
	for (; n >= 3 * LANE; n -= 3 * LANE, p += 3 * LANE) {
		uint64_t a = crc, b = 0, c = 0;

		for (const unsigned char *q = p; q < p + LANE; q += 8) {
			a = __builtin_ia32_crc32di(a, load_le64(q));
			b = __builtin_ia32_crc32di(b, load_le64(q + LANE));
			c = __builtin_ia32_crc32di(c, load_le64(q + 2 * LANE));
		}
		crc = lane_shift((uint32_t)a) ^ (uint32_t)b;
		crc = lane_shift(crc) ^ (uint32_t)c;
	}
	for (; n >= 8; n -= 8, p += 8)
		crc = (uint32_t)__builtin_ia32_crc32di(crc, load_le64(p));
	for (; n > 0; n--, p++)
		crc = __builtin_ia32_crc32qi(crc, *p);
	return crc;
}
#endif

/* Before main(), so that no caller pays for a check and no lock is needed. */
__attribute__((constructor)) static void
crc_init(void)
{
	crc_tables_fill();
	lane_tables_fill();
	crc_run = crc_run_table;
#ifdef __x86_64__
	__builtin_cpu_init();
	if (__builtin_cpu_supports("sse4.2"))
		crc_run = crc_run_sse42;
#endif
}

struct sip {
	uint64_t v0, v1, v2, v3;
};

static inline uint64_t
rotl(uint64_t x, int k)
{
	return (x << k) | (x >> (64 - k));
}

static inline void
sip_round(struct sip *s)
{
	s->v0 += s->v1;
	s->v2 += s->v3;
	s->v1 = rotl(s->v1, 13) ^ s->v0;
	s->v3 = rotl(s->v3, 16) ^ s->v2;
	s->v0 = rotl(s->v0, 32);
	s->v2 += s->v1;
	s->v0 += s->v3;
	s->v1 = rotl(s->v1, 17) ^ s->v2;
	s->v3 = rotl(s->v3, 21) ^ s->v0;
	s->v2 = rotl(s->v2, 32);
}

static inline void
sip_word(struct sip *s, uint64_t m)
{
	s->v3 ^= m;
	sip_round(s);
	s->v0 ^= m;
}

/* SipHash-1-3 (Aumasson, Bernstein) under the key (seed, mix of the seed). */
uint64_t
hash_bytes(uint64_t seed, const void *p, size_t n)
{
	const unsigned char *b = p;
	uint64_t k1 = hash_u64(seed + UINT64_C(0x9e3779b97f4a7c15));
	struct sip s = {
		seed ^ UINT64_C(0x736f6d6570736575),
		k1 ^ UINT64_C(0x646f72616e646f6d),
		seed ^ UINT64_C(0x6c7967656e657261),
		k1 ^ UINT64_C(0x7465646279746573),
	};
	size_t rest = n % 8;
	uint64_t last = (uint64_t)n << 56;

	for (size_t left = n; left >= 8; left -= 8, b += 8)
		sip_word(&s, load_le64(b));
	if (n >= 8 && rest != 0) /* the end of the last eight bytes */
		last |= load_le64(b + rest - 8) >> (64 - 8 * rest);
	else
		for (size_t i = 0; i < rest; i++)
			last |= (uint64_t)b[i] << (8 * i);
	sip_word(&s, last);
	s.v2 ^= 0xff;
	sip_round(&s);
	sip_round(&s);
	sip_round(&s);
	return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}

/*
 * Fuzz target: the scan of hostile segments. Whatever stands on the disk, the
 * scan ends, stays inside its bounds, reports only messages whose place is
 * inside a file, and leaves a spool that takes a commit and opens again.
 *
 * The input is put over a real segment that the spool wrote, as a list of
 * edits {offset (2), length (1), bytes}: so a short input reaches
 * deep. An edit of length 0 repairs the checksum of the record header at its
 * offset, which no mutation would ever hit by itself.
 */
#include <stdint.h>

#include "spool/spool.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

#define SEGMENT (64u << 10)
#define HEADER 64u
#define STEPS_MAX 20000u

static void
set_conf(struct spool_conf *c)
{
	spool_conf_default(c);
	c->segment_bytes = SEGMENT;
	c->min_free_bytes = 0;
	c->max_messages = 1000;
	c->seed = 1;
}

static struct spool *
open_at(struct disk *d)
{
	struct spool_conf conf;
	struct spool *s = NULL;
	char why[128];
	int err;

	set_conf(&conf);
	err = spool_open(&s, &conf, d, false, why, sizeof(why));
	ASSERT(err <= 0 && (err == 0) == (s != NULL));
	return s;
}

/* Scans; false when the scan gave up with an error. */
static bool
scan(struct spool *s)
{
	struct spool_found f;
	struct spool_damage d;
	int k;

	for (uint32_t i = 0; i < STEPS_MAX; i++) {
		k = spool_scan(s, &f, &d);
		if (k <= 0)
			return k == 0;
		if (k == 1)
			ASSERT(f.nrcpt > 0 && f.nrcpt <= RCPTS_MAX &&
			    f.envelope.n == f.ref.env_bytes);
		else
			ASSERT(d.what != NULL && d.length > 0);
	}
	ASSERT(!"the scan does not end");
	return false;
}

static int
commit(struct spool *s, uint64_t id, uint32_t body_bytes)
{
	static char text[8192];
	struct slice body = slice_of(text, body_bytes);
	struct spool_commit c = { .id = msgid_make(1000000, 1, id),
		.nrcpt = 2,
		.envelope = SL("an envelope"),
		.body = &body,
		.nbody = 1 };
	struct spool_rcpt r = { .attempts = 1,
		.is_owed = true,
		.is_final = true,
		.text = SL("550 no"),
		.mta = SL("mx") };

	spool_commit(s, &c);
	spool_turn(s, 1000000);
	ASSERT(spool_take_done(s) == &c);
	if (c.err == 0)
		spool_outcome(s, c.slot, 0, &r);
	return c.err;
}

static void
put(struct disk *d, uint32_t off, const void *p, size_t n)
{
	struct slice iov = slice_of(p, n);
	struct disk_req r = { .op = DISK_WRITE,
		.file = 1,
		.off = off,
		.iov = &iov,
		.niov = 1 };

	if (off + n <= SEGMENT)
		d->ops->submit(d, &r);
}

static void
repair(struct disk *d, uint32_t off)
{
	uint8_t h[HEADER], crc[4];
	uint32_t v;

	if (d->ops->read(d, 1, off, h, HEADER) != HEADER)
		return;
	v = crc32c(0, h, HEADER - 4);
	for (int i = 0; i < 4; i++)
		crc[i] = (uint8_t)(v >> (8 * i));
	put(d, off + HEADER - 4, crc, 4);
}

static void
edit(struct disk *d, const uint8_t *data, size_t n)
{
	while (n >= 3) {
		uint32_t off = (uint32_t)(data[0] | data[1] << 8);
		size_t len = MIN((size_t)data[2], n - 3);

		if (data[2] == 0)
			repair(d, off & ~7u);
		else
			put(d, off, data + 3, len);
		data += 3 + len;
		n -= 3 + len;
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct disk *d;
	struct spool *s;
	static const char zeroes[32];

	ASSERT(disk_memory_open(&d, NULL) == 0);
	s = open_at(d);
	ASSERT(s != NULL && scan(s));
	for (uint64_t i = 1; i <= 4; i++)
		ASSERT(commit(s, i, 700 * (uint32_t)i) == 0);
	spool_turn(s, 10 * US_PER_S);
	spool_tidy(s, 10 * US_PER_S);
	spool_close(s);
	disk_memory_power_loss(d);      /* unlocks */
	if (n > 0 && (data[n - 1] & 1)) /* no trailer: record by record */
		put(d, SEGMENT - 4096, zeroes, sizeof(zeroes));
	edit(d, data, n);
	for (int i = 0; i < 2; i++) {
		s = open_at(d);
		if (s != NULL && scan(s))
			commit(s, 100 + (uint64_t)i, 100);
		if (s != NULL)
			spool_close(s);
		disk_memory_power_loss(d);
	}
	d->ops->close(d);
	return 0;
}

/*
 * Bit rot: one bit flips somewhere in a spool, in any region of it, and at
 * most the record that it touches is set aside; every other message is found
 * and whole. SEED=N FLIPS=N repeat and widen it. And a sector that reads as
 * zeroes, in any place of a log of small messages: none is lost in silence.
 * sanitized: later
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "spool_rig.h"

/* A sanitizer takes forty times as long for each. */
#ifdef __SANITIZE_ADDRESS__
#define FLIPS_QUICK 80
#define FLIPS_LONG 1000
#define STEP 8 /* of the bytes of a record's header */
#else
#define FLIPS_QUICK 1500
#define FLIPS_LONG 10000
#define STEP 1
#endif

#define MSGS 60

struct told {
	struct spool_commit c;
	bool is_live;
};

static struct rig rig;
static struct rng rng;
static struct told told[MSGS];

static uint64_t
number_of(const char *name, uint64_t otherwise)
{
	const char *v = getenv(name);
	uint64_t n = otherwise;

	if (v != NULL && slice_u64(slice_str(v), UINT64_MAX, &n) != 0)
		fail_msg("%s is no number", name);
	return n;
}

/* Messages over several segments; two thirds of them end, every tenth with a
 * notice that is owed and then paid. */
static void
fill(void)
{
	uint16_t first = 0;
	struct spool_commit n;

	for (int i = 0; i < MSGS; i++) {
		struct told *t = &told[i];

		assert_int_equal(rig_commit(&rig, &t->c, 1 + i % 2,
				     100 + (uint32_t)i * 61 % 5000),
		    0);
		t->is_live = i % 3 == 0;
		if (i % 10 == 1) {
			rig_outcome(&rig, t->c.slot, 0, true, true, 1);
			assert_int_equal(rig_pay(&rig, &n, t->c.slot, &first, 1,
					     0),
			    0);
		} else if (!t->is_live)
			rig_outcome(&rig, t->c.slot, 0, true, false, 1);
		if (!t->is_live && t->c.nrcpt == 2)
			rig_outcome(&rig, t->c.slot, 1, true, false, 1);
		if (!t->is_live)
			spool_drop(rig.s, t->c.slot);
		else if (i % 2)
			rig_outcome(&rig, t->c.slot, 0, false, false, 2);
	}
	rig_settle(&rig);
}

/* What a flip did: live messages that are gone or cannot be read, and dead
 * ones that are back. */
struct harm {
	uint32_t lost, unreadable, back;
	struct msgid id; /* of the last one lost */
};

static struct harm
look(void)
{
	struct harm h = { 0 };

	for (int i = 0; i < MSGS; i++) {
		const struct rig_found *f = rig_find(&rig, &told[i].c.id);

		if (f == NULL && told[i].is_live) {
			h.lost++;
			h.id = told[i].c.id;
		}
		if (f != NULL && told[i].is_live &&
		    !rig_is_intact(&rig, &f->ref, &f->id))
			h.unreadable++;
		h.back += f != NULL && !told[i].is_live;
	}
	return h;
}

static void
flip_and_look(uint32_t file, uint64_t off, int bit)
{
	struct harm h;
	const char *what = NULL;

	disk_memory_flip(rig.under, file, off, bit);
	assert_int_equal(rig_open_read_only(&rig), 0);
	h = look();
	if (h.lost + h.unreadable > 1)
		what = "more than one message is lost";
	else if (h.lost && rig.ndamaged == 0)
		what = "a message is lost in silence";
	else if (h.lost &&
	    (!rig.damage.has_id || !msgid_eq(&rig.damage.id, &h.id)))
		what = "the damage does not name its message";
	else if (rig.ndamaged > 1)
		what = "more than one record is set aside";
	else if (h.back && rig.ndamaged == 0)
		what = "a finished message is back without any damage";
	if (what)
		fail_msg("file %u offset %llu bit %d: %s (%u lost, %u "
			 "unreadable, %u back, %u damaged: %s)",
		    file, (unsigned long long)off, bit, what, h.lost,
		    h.unreadable, h.back, rig.ndamaged,
		    rig.ndamaged ? rig.damage.what : "");
	rig_close(&rig);
	disk_memory_flip(rig.under, file, off, bit);
}

/* Only bytes that were ever written are of interest, and what follows. */
static uint64_t
end_of(uint32_t file, uint64_t bytes)
{
	static char raw[1 << 20];
	int64_t n = rig.under->ops->read(rig.under, file, 0, raw, sizeof(raw));

	while (n > 0 && raw[n - 1] == 0)
		n--;
	return MIN((uint64_t)n + 4096, bytes);
}

static void
flips_everywhere(void)
{
	const char *check = getenv("CHECK");
	bool is_long = check != NULL && strcmp(check, "long") == 0;
	uint64_t n = number_of("FLIPS", is_long ? FLIPS_LONG : FLIPS_QUICK);
	uint64_t bytes, end;
	uint32_t file = 0;

	rng_seed(&rng, number_of("SEED", 1));
	while ((file = rig.under->ops->next_file(rig.under, file, &bytes))) {
		end = end_of(file, bytes);
		for (uint64_t i = 0; i < n / 5; i++)
			flip_and_look(file, rng_below(&rng, end),
			    (int)rng_below(&rng, 8));
		/* Headers are few bytes of many: each of their bits. */
		for (uint64_t i = 0; i < 32; i++)
			flip_and_look(file, i, (int)(i * 3 % 8));
	}
	for (int i = 0; i < MSGS; i++)
		for (uint32_t k = (uint32_t)i % STEP; k < 64; k += STEP)
			flip_and_look(told[i].c.ref.file,
			    told[i].c.ref.offset + k, (int)rng_below(&rng, 8));
}

/* The process died: the newest segment has no footer. */
static void
a_flip_after_a_kill_costs_one_record(void **state)
{
	(void)state;
	rig_init(&rig, 1);
	assert_int_equal(rig_open(&rig), 0);
	fill();
	rig_kill(&rig);
	flips_everywhere();
	rig_free(&rig);
}

/* One segment, so that nothing of it is in a footer. */
static void
a_flip_in_a_log_without_footers_costs_one_record(void **state)
{
	(void)state;
	rig_init(&rig, 2);
	rig.conf.segment_bytes = 1 << 20;
	assert_int_equal(rig_open(&rig), 0);
	fill();
	rig_kill(&rig);
	flips_everywhere();
	rig_free(&rig);
}

static void
a_flip_after_a_clean_stop_costs_one_record(void **state)
{
	(void)state;
	rig_init(&rig, 3);
	assert_int_equal(rig_open(&rig), 0);
	fill();
	rig_close(&rig);
	flips_everywhere();
	rig_free(&rig);
}

#define SECTOR 512u
#define GROUPS 12
#define IN_GROUP 5 /* MSGS are so many groups */

/* Groups of several records, some of which share a sector. */
static void
fill_groups(void)
{
	static char bytes[MSGS][700];
	static struct slice piece[MSGS];

	for (int i = 0; i < MSGS; i++) {
		struct told *t = &told[i];
		uint32_t n = 20 + (uint32_t)i * 97 % 600;

		piece[i] = slice_of(bytes[i], n);
		t->is_live = true;
		t->c = (struct spool_commit){ .id = msgid_make(1, 7,
						  (uint64_t)i + 1),
			.nrcpt = 1,
			.envelope = SL("envelope"),
			.body = &piece[i],
			.nbody = 1 };
		rig_body(bytes[i], n, &t->c.id);
		spool_commit(rig.s, &t->c);
		if (i % IN_GROUP == IN_GROUP - 1)
			rig_turn(&rig);
	}
	for (int i = 0; i < MSGS; i++)
		assert_ptr_equal(spool_take_done(rig.s), &told[i].c);
}

/* Flips what is not zero; the same again brings it back. */
static uint32_t
flip_all(uint32_t file, uint64_t off, const char *old)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < SECTOR * 8; i++)
		if (old[i / 8] >> i % 8 & 1) {
			disk_memory_flip(rig.under, file, off + i / 8,
			    (int)(i % 8));
			n++;
		}
	return n;
}

static void
zero_and_look(uint32_t file, uint64_t off)
{
	char old[SECTOR];
	struct harm h;

	assert_int_equal(rig.under->ops->read(rig.under, file, off, old,
			     SECTOR),
	    SECTOR);
	if (flip_all(file, off, old) == 0)
		return;
	assert_int_equal(rig_open_read_only(&rig), 0);
	h = look();
	/* The first record of the last group is its only witness. */
	if (h.lost + h.unreadable && rig.ndamaged == 0 &&
	    off != told[MSGS - IN_GROUP].c.ref.offset)
		fail_msg("file %u offset %llu: %u messages are lost in silence",
		    file, (unsigned long long)off, h.lost);
	if (h.lost > IN_GROUP || h.back)
		fail_msg("file %u offset %llu: %u lost, %u back", file,
		    (unsigned long long)off, h.lost, h.back);
	rig_close(&rig);
	flip_all(file, off, old);
}

static void
a_sector_of_zeroes_hides_nothing(void **state)
{
	uint64_t bytes;

	(void)state;
	_Static_assert(GROUPS * IN_GROUP == MSGS, "whole groups");
	rig_init(&rig, 4);
	rig.conf.segment_bytes = 1 << 20;
	assert_int_equal(rig_open(&rig), 0);
	fill_groups();
	rig_kill(&rig);
	assert_int_equal(rig.under->ops->next_file(rig.under, 0, &bytes), 1);
	for (uint64_t off = 4096; off < end_of(1, bytes); off += SECTOR)
		zero_and_look(1, off);
	rig_free(&rig);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_flip_after_a_kill_costs_one_record),
		cmocka_unit_test(
		    a_flip_in_a_log_without_footers_costs_one_record),
		cmocka_unit_test(a_flip_after_a_clean_stop_costs_one_record),
		cmocka_unit_test(a_sector_of_zeroes_hides_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

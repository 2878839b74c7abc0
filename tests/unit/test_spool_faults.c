/*
 * What disks, operators and unlucky moments do to a spool, each as the
 * shortest run that shows it: sectors that cannot be read, headers that are
 * gone, a full disk that stays full, damage that compaction meets.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "spool_rig.h"

static struct rig rig;

static int
set_up(void **state)
{
	(void)state;
	rig_init(&rig, 1);
	assert_int_equal(rig_open(&rig), 0);
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	rig_free(&rig);
	return 0;
}

static void
reopen(void)
{
	rig_kill(&rig);
	assert_int_equal(rig_open(&rig), 0);
}

static void
end(struct handle slot)
{
	rig_outcome(&rig, slot, 0, true, false, 1);
	spool_drop(rig.s, slot);
}

/* ---- what a start meets ---------------------------------------------------------- */

static void
a_sector_that_cannot_be_read_costs_what_stands_there(void **state)
{
	struct spool_commit c[5];

	(void)state;
	for (int i = 0; i < 5; i++)
		assert_int_equal(rig_commit(&rig, &c[i], 1, 6000), 0);
	rig.bad_file = c[2].ref.file;
	rig.bad_from = c[2].ref.offset + 4096;
	rig.bad_to = rig.bad_from + 512;
	reopen();
	assert_int_equal(rig.nfound, 4);
	assert_int_equal(rig.ndamaged, 1);
	assert_true(msgid_eq(&rig.damage.id, &c[2].id));
	for (int i = 0; i < 5; i++)
		if (i != 2)
			assert_non_null(rig_find(&rig, &c[i].id));
}

/* 4 KB that are gone at once, the first block among them. */
static void
a_segment_without_its_first_block_is_read(void **state)
{
	static const char zeroes[4096];
	struct slice z = slice_of(zeroes, sizeof(zeroes));
	struct disk_req w = { .op = DISK_WRITE, .iov = &z, .niov = 1 };
	struct spool_commit c[3];

	(void)state;
	for (int i = 0; i < 3; i++)
		assert_int_equal(rig_commit(&rig, &c[i], 1, 1000), 0);
	w.file = c[0].ref.file;
	rig_kill(&rig);
	rig.under->ops->submit(rig.under, &w);
	assert_int_equal(rig_open(&rig), 0);
	assert_int_equal(rig.nfound, 3);
}

/* No header is left anywhere: nothing may be written over it. */
static void
a_segment_without_a_header_is_kept_and_told(void **state)
{
	struct spool_commit c[40];
	struct slice junk = SL("junk junk junk junk junk junk junk");
	struct disk_req w = { .op = DISK_WRITE, .iov = &junk, .niov = 1 };
	char raw[4];
	uint32_t file, offset;

	(void)state;
	assert_int_equal(rig_commit(&rig, &c[0], 1, 1000), 0);
	file = w.file = c[0].ref.file;
	offset = c[0].ref.offset;
	rig_kill(&rig);
	rig.under->ops->submit(rig.under, &w);
	w.off = 2048;
	rig.under->ops->submit(rig.under, &w);
	w.off = rig.conf.segment_bytes - 2048;
	rig.under->ops->submit(rig.under, &w);
	assert_int_equal(rig_open(&rig), 0);
	assert_true(rig.ndamaged > 0);
	for (int i = 0; i < 40; i++)
		assert_int_equal(rig_commit(&rig, &c[i], 1, 6000), 0);
	assert_int_equal(rig.under->ops->read(rig.under, file, offset, raw, 4),
	    4);
	assert_memory_equal(raw, "REC1", 4);
}

/* Its checksum may well be computed in another way. */
static void
a_newer_format_is_refused_and_left_alone(void **state)
{
	struct slice newer = SL("SEG1\2\0\0\0 whatever a newer version writes");
	struct disk_req w = { .op = DISK_WRITE, .iov = &newer, .niov = 1 };
	struct spool_commit c;
	char raw[8];

	(void)state;
	assert_int_equal(rig_commit(&rig, &c, 1, 1000), 0);
	w.file = c.ref.file;
	rig_kill(&rig);
	rig.under->ops->submit(rig.under, &w);
	w.off = 2048;
	rig.under->ops->submit(rig.under, &w);
	w.off = rig.conf.segment_bytes - 2048;
	rig.under->ops->submit(rig.under, &w);
	assert_int_equal(rig_open(&rig), E_VERSION);
	assert_int_equal(rig.under->ops->read(rig.under, w.file, 0, raw, 8), 8);
	assert_memory_equal(raw, newer.p, 8);
}

static void
a_missing_segment_is_told(void **state)
{
	struct disk_req rm = { .op = DISK_REMOVE };
	struct spool_commit c[40];

	(void)state;
	for (int i = 0; i < 40; i++)
		assert_int_equal(rig_commit(&rig, &c[i], 1, 6000), 0);
	rm.file = c[20].ref.file;
	rig_kill(&rig);
	rig.under->ops->submit(rig.under, &rm);
	assert_int_equal(rig_open(&rig), 0);
	assert_null(rig_find(&rig, &c[20].id));
	assert_non_null(rig_find(&rig, &c[0].id));
	assert_non_null(rig_find(&rig, &c[39].id));
	assert_true(rig.ndamaged > 0);
	assert_int_equal(rig_commit(&rig, &c[0], 1, 6000), 0);
}

/* A segment that is read whole holds more dead than ever lived at once. */
static void
more_messages_than_slots_have_passed(void **state)
{
	struct spool_commit c;

	(void)state;
	rig_close(&rig);
	rig.conf.max_messages = 8;
	rig.conf.segment_bytes = 1 << 20;
	assert_int_equal(rig_open(&rig), 0);
	for (int i = 0; i < 60; i++) {
		assert_int_equal(rig_commit(&rig, &c, 1, 200), 0);
		end(c.slot);
	}
	assert_int_equal(rig_commit(&rig, &c, 1, 200), 0);
	reopen();
	assert_non_null(rig_find(&rig, &c.id));
	rig_kill(&rig);
	rig.conf.max_messages = 1; /* an operator turned it down */
	assert_int_equal(rig_open(&rig), 0);
	assert_non_null(rig_find(&rig, &c.id));
}

/* ---- segments of many windows ------------------------------------------------------ */

#define LARGE (8u << 20) /* a segment; the scan sees 1 MB of it at a time */
#define BIG 700000u      /* a body; every other one lies across two windows */

static void
begin_large(struct spool_commit *c, int n)
{
	rig_close(&rig);
	rig.conf.segment_bytes = LARGE;
	rig.nfound = 0;
	assert_int_equal(rig_open(&rig), 0);
	/* Its segment of the small size is used up first. */
	do
		assert_int_equal(rig_commit(&rig, &c[0], 1, BIG), 0);
	while (c[0].ref.offset != 4096);
	for (int i = 1; i < n; i++) {
		assert_int_equal(rig_commit(&rig, &c[i], 1, BIG), 0);
		assert_int_equal(c[i].ref.file, c[0].ref.file);
	}
}

static void
cannot_read(uint32_t file, uint64_t from)
{
	rig.bad_file = file;
	rig.bad_from = from;
	rig.bad_to = from + 512;
}

/* All are found and whole but those from..to-1. */
static void
assert_lost(struct spool_commit *c, int n, int from, int to)
{
	const struct rig_found *f;

	for (int i = 0; i < n; i++) {
		f = rig_find(&rig, &c[i].id);
		assert_int_equal(f == NULL, i >= from && i < to);
		if (f)
			assert_true(rig_is_intact(&rig, &f->ref, &f->id));
	}
}

static void
damage_far_from_the_front_costs_what_stands_there(void **state)
{
	struct spool_commit c[10];

	(void)state;
	begin_large(c, 10);
	cannot_read(c[6].ref.file, c[6].ref.offset + 500000);
	reopen();
	assert_lost(c, 10, 6, 7);
	assert_int_equal(rig.ndamaged, 1);
	assert_true(msgid_eq(&rig.damage.id, &c[6].id));
	/* A bit in a header, beside it. */
	rig.bad_file = 0;
	rig_kill(&rig);
	disk_memory_flip(rig.under, c[8].ref.file, c[8].ref.offset + 9, 2);
	assert_int_equal(rig_open(&rig), 0);
	assert_lost(c, 10, 8, 9);
	assert_int_equal(rig.ndamaged, 1);
	assert_true(msgid_eq(&rig.damage.id, &c[8].id));
	/* And the log goes on where it ended. */
	assert_int_equal(rig_commit(&rig, &c[8], 1, 100), 0);
	assert_int_equal(c[8].ref.file, c[9].ref.file);
	assert_true(c[8].ref.offset > c[9].ref.offset);
}

static void
damage_wider_than_a_window_is_passed(void **state)
{
	static const char zeroes[64];
	struct slice z = slice_of(zeroes, sizeof(zeroes));
	struct disk_req w = { .op = DISK_WRITE, .iov = &z, .niov = 1 };
	struct spool_commit c[10];

	(void)state;
	begin_large(c, 10);
	w.file = c[0].ref.file;
	rig_kill(&rig);
	for (int i = 3; i < 6; i++) {
		w.off = c[i].ref.offset;
		rig.under->ops->submit(rig.under, &w);
	}
	assert_int_equal(rig_open(&rig), 0);
	assert_lost(c, 10, 3, 6);
	assert_int_equal(rig.ndamaged, 1);
	assert_true(rig.damage.length > 3 * BIG - 4096);
}

/* Nobody knows what stood there, and nothing is written over it. */
static void
a_gap_far_behind_the_log_is_told_and_left(void **state)
{
	struct spool_commit c[4], more;

	(void)state;
	begin_large(c, 4);
	cannot_read(c[0].ref.file, LARGE - 3 * 4096 + 600);
	reopen();
	assert_lost(c, 4, 0, 0);
	assert_int_equal(rig.ndamaged, 1);
	assert_int_equal(rig.damage.offset, LARGE - 3 * 4096);
	assert_int_equal(rig.damage.length, 3 * 4096);
	assert_int_equal(rig_commit(&rig, &more, 1, 100), 0);
	assert_int_not_equal(more.ref.file, c[0].ref.file);
}

/* The footer ends the log; the block that leads to it is far behind. */
static void
a_footer_that_nothing_leads_to_is_left(void **state)
{
	struct spool_commit c[3], more;

	(void)state;
	begin_large(c, 3);
	rig_close(&rig);
	cannot_read(c[0].ref.file, LARGE - 4096);
	assert_int_equal(rig_open(&rig), 0);
	assert_lost(c, 3, 0, 0);
	assert_int_equal(rig.ndamaged, 1);
	assert_int_equal(rig.damage.offset, LARGE - 4096);
	assert_int_equal(rig_commit(&rig, &more, 1, 100), 0);
	assert_int_not_equal(more.ref.file, c[0].ref.file);
}

/* The log goes on over such a footer; where its first write there fails, the
 * footer stays, and what comes later stands behind it. */
static void
groups_behind_a_footer_that_nothing_leads_to_are_found(void **state)
{
	static const char zeroes[4096];
	struct slice z = slice_of(zeroes, sizeof(zeroes));
	struct disk_req w = { .op = DISK_WRITE, .iov = &z, .niov = 1 };
	struct spool_commit c[3], lost;
	char footer[4096];
	uint64_t at;

	(void)state;
	begin_large(c, 2);
	at = (c[1].ref.offset + spool_record_bytes(&c[1].ref) + 4095) / 4096 *
	    4096;
	rig_close(&rig);
	w.file = c[0].ref.file;
	w.off = LARGE - sizeof(zeroes);
	rig.under->ops->submit(rig.under, &w);
	rig.under->ops->read(rig.under, w.file, at, footer, sizeof(footer));
	assert_memory_equal(footer, "REC1\4", 5);
	assert_int_equal(rig_open(&rig), 0);
	rig.fail_write_in = 0;
	assert_int_equal(rig_commit(&rig, &lost, 1, 100), E_IO);
	z.p = footer; /* nothing of it was written */
	w.off = at;
	rig.under->ops->submit(rig.under, &w);
	assert_int_equal(rig_commit(&rig, &c[2], 1, 100), 0);
	assert_int_equal(c[2].ref.file, c[0].ref.file);
	reopen();
	assert_int_equal(rig.nfound, 3);
	assert_int_equal(rig.ndamaged, 0);
	assert_non_null(rig_find(&rig, &c[2].id));
}

/* ---- groups ------------------------------------------------------------------------ */

/* Their payments are more than what is set aside for headers at first. */
static void
many_notices_of_many_debts_go_in_one_group(void **state)
{
	enum { N = 12, RCPTS = 4000 };
	static uint16_t all[RCPTS];
	static struct spool_commit debtor[N], notice[N];
	struct slice body = SL("a notice\r\n");
	uint32_t failed = 0;

	(void)state;
	rig_close(&rig);
	rig.conf.segment_bytes = 32u << 20;
	assert_int_equal(rig_open(&rig), 0);
	for (uint16_t i = 0; i < RCPTS; i++)
		all[i] = i;
	for (int i = 0; i < N; i++) {
		assert_int_equal(rig_commit(&rig, &debtor[i], RCPTS, 100), 0);
		for (uint16_t k = 0; k < RCPTS; k++)
			rig_outcome(&rig, debtor[i].slot, k, true, true, 1);
	}
	rig_settle(&rig);
	for (int i = 0; i < N; i++) {
		notice[i] = (struct spool_commit){ .nrcpt = 1,
			.id = msgid_make(1000, 9, (uint64_t)i + 1),
			.envelope = SL("envelope"),
			.body = &body,
			.nbody = 1,
			.pays_slot = debtor[i].slot,
			.pays_rcpts = all,
			.npays = RCPTS };
		spool_commit(rig.s, &notice[i]);
	}
	rig_turn(&rig);
	for (int i = 0; i < N; i++)
		failed += spool_take_done(rig.s)->err != 0;
	assert_int_equal(failed, 0);
	reopen();
	assert_int_equal(rig.ndamaged, 0);
	assert_int_equal(rig.nfound, N); /* every debt is paid */
}

/* However much gathered while nothing could be written. */
static void
many_outcomes_do_not_stop_the_log(void **state)
{
	struct spool_commit c, more;

	(void)state;
	assert_int_equal(rig_commit(&rig, &c, 3000, 100), 0);
	for (uint16_t k = 0; k < 2999; k++)
		rig_outcome(&rig, c.slot, k, true, false, 1);
	assert_int_equal(rig_commit(&rig, &more, 1, 1000), 0);
	rig_settle(&rig);
	reopen();
	assert_non_null(rig_find(&rig, &more.id));
	assert_int_equal(rig_find(&rig, &c.id)->nfinal, 2999);
}

static void
a_disk_that_stays_full_is_not_asked_all_the_time(void **state)
{
	struct spool_commit c;
	struct handle slot;

	(void)state;
	assert_int_equal(rig_commit(&rig, &c, 1, 1000), 0);
	slot = c.slot;
	disk_memory_set_free(rig.under, 0);
	while (rig_commit(&rig, &c, 1, 1000) == 0)
		;
	for (int i = 0; i < 4000; i++) {
		rig_outcome(&rig, slot, 0, false, false, (uint16_t)i);
		rig_settle(&rig);
		if (spool_deadline(rig.s) <= rig.now_us)
			fail_msg("it wants to be called again at once");
	}
	assert_true(spool_is_stuck(rig.s)); /* who delivers has to stop */
	disk_memory_set_free(rig.under, 1 << 20);
	rig.now_us += 2 * US_PER_S;
	rig_settle(&rig);
	assert_false(spool_is_stuck(rig.s));
	assert_int_equal(rig_commit(&rig, &c, 1, 1000), 0);
	reopen();
	assert_int_equal(rig_find(&rig, &rig.found[0].id)->attempts, 3999);
}

/* Nothing is queued, and the door is shut, so nothing comes. */
static void
an_idle_spool_sees_that_there_is_room_again(void **state)
{
	struct spool_commit c;
	int64_t at;

	(void)state;
	assert_int_equal(rig_commit(&rig, &c, 1, 1000), 0);
	end(c.slot);
	disk_memory_set_free(rig.under, 0);
	while (rig_commit(&rig, &c, 1, 1000) == 0)
		end(c.slot);
	rig_settle(&rig);
	assert_false(spool_has_room(rig.s, 14000));
	disk_memory_set_free(rig.under, 1 << 20);
	at = spool_deadline(rig.s);
	assert_in_range(at, rig.now_us, rig.now_us + US_PER_S);
	rig.now_us = at;
	rig_turn(&rig);
	assert_true(spool_has_room(rig.s, 14000));
	assert_int_equal(spool_deadline(rig.s), TIME_NEVER);
}

static void
a_disk_that_fails_is_not_asked_all_the_time(void **state)
{
	struct spool_commit c;

	(void)state;
	assert_int_equal(rig_commit(&rig, &c, 1, 1000), 0);
	rig_outcome(&rig, c.slot, 0, false, false, 1);
	rig.ops_left = 0;
	rig_settle(&rig);
	assert_true(spool_deadline(rig.s) > rig.now_us);
	rig.ops_left = -1;
	rig.now_us += 2 * US_PER_S;
	rig_settle(&rig);
	reopen();
	assert_int_equal(rig.found[0].attempts, 1);
}

/* The process died while it made a file, on a disk that then was full. */
static void
a_half_made_file_does_not_stand_in_the_way(void **state)
{
	struct disk_req create = { .op = DISK_CREATE, .bytes = 0 };
	struct spool_commit c[12];
	uint64_t bytes;
	uint32_t file = 0, last = 0;

	(void)state;
	for (int i = 0; i < 12; i++)
		assert_int_equal(rig_commit(&rig, &c[i], 1, 14000), 0);
	for (int i = 0; i < 11; i++)
		end(c[i].slot);
	rig_settle(&rig);
	while ((file = rig.under->ops->next_file(rig.under, file, &bytes)))
		last = file;
	rig_kill(&rig);
	create.file = last + 1;
	rig.under->ops->submit(rig.under, &create);
	disk_memory_set_free(rig.under, 0);
	rig.conf.reserve_segments = 0;
	assert_int_equal(rig_open(&rig), 0);
	for (int i = 0; i < 5; i++)
		assert_int_equal(rig_commit(&rig, &c[i], 1, 14000), 0);
}

/* ---- compaction ----------------------------------------------------------------------- */

/* One message stays in the first segment and all after it go. */
static void
leave_alone(struct spool_commit *first, bool is_told_final)
{
	struct spool_commit c;

	assert_int_equal(rig_commit(&rig, first, 1, 3000), 0);
	if (is_told_final)
		rig_outcome(&rig, first->slot, 0, true, false, 1);
	for (int i = 0; i < 60; i++) {
		assert_int_equal(rig_commit(&rig, &c, 1, 9000), 0);
		end(c.slot);
	}
}

static void
work(int seconds)
{
	struct handle slot;
	struct spool_ref ref;

	for (int i = 0; i < seconds * 10; i++) {
		rig.now_us += US_PER_S / 10;
		rig_turn(&rig);
		while (spool_take_moved(rig.s, &slot, &ref))
			spool_moved_ack(rig.s, slot);
	}
}

/* Told and dropped in two posts, and compaction came between. */
static void
what_is_over_is_not_moved_back_to_life(void **state)
{
	struct spool_commit first;

	(void)state;
	leave_alone(&first, true);
	work(3);
	spool_drop(rig.s, first.slot);
	rig_settle(&rig);
	reopen();
	assert_null(rig_find(&rig, &first.id));
}

static void
damage_that_compaction_meets_is_told_once(void **state)
{
	struct spool_commit first;
	struct spool_damage d;
	int n = 0;

	(void)state;
	assert_int_equal(rig_commit(&rig, &first, 1, 3000), 0);
	disk_memory_flip(rig.under, first.ref.file, first.ref.offset + 500, 3);
	leave_alone(&(struct spool_commit){ 0 }, true);
	work(10);
	while (spool_take_damage(rig.s, &d)) {
		n++;
		assert_true(msgid_eq(&d.id, &first.id));
		assert_true(handle_eq(d.slot, first.slot));
	}
	assert_int_equal(n, 1);
}

/* For a while it is tried again; then it must not hold up the recycling. */
static void
what_cannot_be_read_does_not_stop_compaction(void **state)
{
	struct spool_commit first;
	struct spool_damage d;

	(void)state;
	assert_int_equal(rig_commit(&rig, &first, 1, 3000), 0);
	rig.bad_file = first.ref.file;
	rig.bad_from = first.ref.offset;
	rig.bad_to = rig.bad_from + 512;
	leave_alone(&(struct spool_commit){ 0 }, true);
	work(5);
	assert_int_equal(spool_take_damage(rig.s, &d), 0);
	work(400);
	assert_int_equal(spool_take_damage(rig.s, &d), 1);
	assert_true(msgid_eq(&d.id, &first.id));
	assert_int_equal(spool_take_damage(rig.s, &d), 0);
}

/* A long-lived minority: the disk stays bounded by what lives. */
static void
a_minority_that_stays_does_not_fill_the_disk(void **state)
{
	static struct spool_commit old[40];
	struct spool_commit c;
	struct spool_stats st;
	uint64_t syncs;

	(void)state;
	for (int i = 0; i < 2000; i++) {
		if (i < 1000 && i % 25 == 0)
			assert_int_equal(rig_commit(&rig, &old[i / 25], 1,
					     3000),
			    0);
		assert_int_equal(rig_commit(&rig, &c, 1, 3000), 0);
		end(c.slot);
		if (i % 5 == 0)
			work(1);
	}
	spool_stats_get(rig.s, &st);
	/* 40 x 3 KB live in 64 KB segments: twice that, four, the reserve. */
	assert_true(st.segments <= 4 + 4 + 3);
	assert_int_equal(st.messages, 40);
	/* Moves travel in groups: a sync for each would be the whole cost. */
	syncs = st.syncs;
	assert_true(syncs < 2000 + 40 + 400 + st.compacted / 2);
	reopen();
	for (int i = 0; i < 40; i++)
		assert_non_null(rig_find(&rig, &old[i].id));
}

#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_sector_that_cannot_be_read_costs_what_stands_there),
		T(a_segment_without_its_first_block_is_read),
		T(a_segment_without_a_header_is_kept_and_told),
		T(a_newer_format_is_refused_and_left_alone),
		T(a_missing_segment_is_told),
		T(more_messages_than_slots_have_passed),
		T(damage_far_from_the_front_costs_what_stands_there),
		T(damage_wider_than_a_window_is_passed),
		T(a_gap_far_behind_the_log_is_told_and_left),
		T(a_footer_that_nothing_leads_to_is_left),
		T(groups_behind_a_footer_that_nothing_leads_to_are_found),
		T(many_notices_of_many_debts_go_in_one_group),
		T(many_outcomes_do_not_stop_the_log),
		T(a_disk_that_stays_full_is_not_asked_all_the_time),
		T(an_idle_spool_sees_that_there_is_room_again),
		T(a_disk_that_fails_is_not_asked_all_the_time),
		T(a_half_made_file_does_not_stand_in_the_way),
		T(what_is_over_is_not_moved_back_to_life),
		T(damage_that_compaction_meets_is_told_once),
		T(what_cannot_be_read_does_not_stop_compaction),
		T(a_minority_that_stays_does_not_fill_the_disk),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

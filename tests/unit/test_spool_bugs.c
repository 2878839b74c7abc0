/*
 * Faults that were found in the spool by reading it, each as the shortest run
 * that shows it. The crash test finds more by the dice; these have names.
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

/* The process dies while a new segment file is being filled with zeroes. */
static void
a_half_made_file_loses_no_mail(void **state)
{
	struct disk_req create = { .op = DISK_CREATE, .file = 2, .bytes = 0 };
	struct slice zero = SL("\0\0\0\0");
	struct disk_req fill = { .op = DISK_WRITE,
		.file = 2,
		.off = 32768,
		.iov = &zero,
		.niov = 1 };
	struct disk_req dir = { .op = DISK_SYNC_DIR };
	struct spool_commit c[6];

	(void)state;
	if (rig.under->ops->next_file(rig.under, 1, &(uint64_t){ 0 }) == 0) {
		rig.under->ops->submit(rig.under, &create);
		rig.under->ops->submit(rig.under, &fill);
		rig.under->ops->submit(rig.under, &dir);
	}
	reopen();
	for (int i = 0; i < 6; i++)
		assert_int_equal(rig_commit(&rig, &c[i], 1, 14000), 0);
	rig_close(&rig);
	assert_int_equal(rig_open(&rig), 0);
	assert_int_equal(rig.nfound, 6);
}

static void
a_flipped_bit_in_a_segment_header_is_not_the_end_of_it(void **state)
{
	struct spool_commit c[3];

	(void)state;
	for (int i = 0; i < 3; i++)
		assert_int_equal(rig_commit(&rig, &c[i], 1, 1000), 0);
	disk_memory_flip(rig.under, c[0].ref.file, 9, 1);
	reopen();
	assert_true(rig.nfound == 3 || rig.ndamaged > 0);
}

/* A write that fails may have written all; the next, shorter group stands at
 * the same place, and behind it lies what was refused. */
static void
what_a_failed_write_left_is_not_mail(void **state)
{
	struct spool_commit big[2], next;
	struct slice env = SL("envelope"), body;
	static char text[9000];
	struct spool_commit *done;

	(void)state;
	body = slice_of(text, sizeof(text));
	for (int i = 0; i < 2; i++) {
		big[i] = (struct spool_commit){ .nrcpt = 1,
			.envelope = env,
			.body = &body,
			.nbody = 1,
			.id = msgid_make(1000, 9, (uint64_t)i + 1) };
		spool_commit(rig.s, &big[i]);
	}
	rig.fail_write_in = 0;
	rig_turn(&rig);
	while ((done = spool_take_done(rig.s)) != NULL)
		assert_int_equal(done->err, E_IO);
	assert_int_equal(rig_commit(&rig, &next, 1, 500), 0);
	reopen();
	assert_non_null(rig_find(&rig, &next.id));
	assert_null(rig_find(&rig, &big[0].id));
	assert_null(rig_find(&rig, &big[1].id));
}

static void
a_waived_notice_is_durable_and_takes_no_slot(void **state)
{
	struct spool_commit c, waiver;
	uint16_t rcpt = 0;
	struct spool_stats st;

	(void)state;
	assert_int_equal(rig_commit(&rig, &c, 2, 1000), 0);
	rig_outcome(&rig, c.slot, 0, true, true, 1);
	rig_settle(&rig);
	assert_int_equal(rig_pay(&rig, &waiver, c.slot, &rcpt, 1, 0), 0);
	spool_stats_get(rig.s, &st);
	assert_int_equal(st.messages, 1);
	reopen();
	assert_int_equal(rig.ndamaged, 0);
	assert_int_equal(rig.nfound, 1);
	assert_int_equal(rig.found[0].nowed, 0);
}

static void
a_refused_notice_leaves_its_debt(void **state)
{
	struct spool_commit c, notice;
	uint16_t rcpt = 0;

	(void)state;
	assert_int_equal(rig_commit(&rig, &c, 1, 1000), 0);
	rig_outcome(&rig, c.slot, 0, true, true, 1);
	rig_settle(&rig);
	rig.fail_sync_in = 0;
	assert_int_equal(rig_pay(&rig, &notice, c.slot, &rcpt, 1, 1), E_IO);
	rig_settle(&rig);
	reopen();
	assert_null(rig_find(&rig, &notice.id));
	assert_non_null(rig_find(&rig, &c.id));
	assert_int_equal(rig_find(&rig, &c.id)->nowed, 1);
}

/* The owner drops a little later than it tells the outcome. */
static void
an_outcome_counts_before_the_drop(void **state)
{
	struct spool_commit c, more;

	(void)state;
	assert_int_equal(rig_commit(&rig, &c, 1, 1000), 0);
	rig_outcome(&rig, c.slot, 0, true, false, 1);
	rig_settle(&rig);
	for (int i = 0; i < 6; i++) /* the segment is sealed meanwhile */
		assert_int_equal(rig_commit(&rig, &more, 1, 14000), 0);
	reopen();
	assert_null(rig_find(&rig, &c.id));
}

static void
a_body_in_many_pieces_is_written_whole(void **state)
{
	static struct slice piece[3000];
	static char text[3000], got[4096];
	struct slice env, body;
	struct spool_commit c = { .nrcpt = 1,
		.envelope = SL("envelope"),
		.body = piece,
		.nbody = 3000,
		.id = msgid_make(1000, 9, 1) };

	(void)state;
	for (int i = 0; i < 3000; i++) {
		text[i] = (char)(i * 7);
		piece[i] = slice_of(&text[i], 1);
	}
	spool_commit(rig.s, &c);
	rig_turn(&rig);
	assert_ptr_equal(spool_take_done(rig.s), &c);
	assert_int_equal(c.err, 0);
	assert_int_equal(spool_read_whole(&rig.disk, &c.ref, &c.id, got, &env,
			     &body),
	    0);
	assert_true(slice_eq(body, slice_of(text, 3000)));
}

/* Pages that the last process wrote and never synced may still vanish. */
static void
what_was_found_stays_found(void **state)
{
	struct spool_commit c;

	(void)state;
	assert_int_equal(rig_commit(&rig, &c, 1, 1000), 0);
	rig_outcome(&rig, c.slot, 0, true, false, 1);
	spool_drop(rig.s, c.slot);
	rig.now_us += rig.conf.outcome_unsynced_us;
	rig.ops_left = 1; /* the write, and no more */
	rig_turn(&rig);
	for (uint64_t seed = 0; seed < 16; seed++) {
		uint32_t before;

		reopen();
		before = rig.nfound;
		rig_power_loss(&rig);
		assert_int_equal(rig_open(&rig), 0);
		assert_true(rig.nfound <= before);
	}
}

/* From now on syncs lose half of what they should have kept, and say so; or
 * they are well. */
static void
syncs_fail(bool fail)
{
	struct disk_fault_plan plan = { .fail_sync_ppm = fail ? 1000000 : 0 };

	disk_memory_set_plan(rig.under, &plan);
}

static void
begin(uint64_t seed)
{
	rig_free(&rig);
	rig_init(&rig, seed);
	assert_int_equal(rig_open(&rig), 0);
}

/* What a failed sync lost can be read until the power fails; and so can what
 * was wiped over it. When a start went on without the group, the group must
 * not come back. */
static void
what_was_wiped_stays_wiped(void **state)
{
	struct spool_commit kept, lost, next;

	(void)state;
	for (uint64_t seed = 1; seed <= 64; seed++) {
		begin(seed);
		assert_int_equal(rig_commit(&rig, &kept, 1, 100), 0);
		syncs_fail(true);
		assert_int_equal(rig_commit(&rig, &lost, 1, 100), E_IO);
		rig_kill(&rig);
		assert_int_equal(rig_open(&rig), E_IO);
		syncs_fail(false);
		assert_int_equal(rig_open(&rig), 0);
		assert_non_null(rig_find(&rig, &kept.id));
		assert_null(rig_find(&rig, &lost.id));
		assert_int_equal(rig.ndamaged, 0);
		rig_power_loss(&rig);
		assert_int_equal(rig_open(&rig), 0);
		assert_non_null(rig_find(&rig, &kept.id));
		assert_null(rig_find(&rig, &lost.id));
		assert_int_equal(rig_commit(&rig, &next, 1, 100), 0);
		reopen();
		assert_non_null(rig_find(&rig, &next.id));
	}
}

/* The same for a footer: it knows an outcome that no group has. */
static void
a_footer_that_was_wiped_stays_wiped(void **state)
{
	struct spool_commit c, filler, big;

	(void)state;
	for (uint64_t seed = 1; seed <= 64; seed++) {
		begin(seed);
		assert_int_equal(rig_commit(&rig, &c, 1, 100), 0);
		assert_int_equal(rig_commit(&rig, &filler, 1, 20000), 0);
		syncs_fail(true);
		rig_outcome(&rig, c.slot, 0, true, false, 1);
		rig_commit(&rig, &big, 1, 30000);
		rig_kill(&rig);
		assert_int_equal(rig_open(&rig), E_IO);
		syncs_fail(false);
		assert_int_equal(rig_open(&rig), 0);
		assert_non_null(rig_find(&rig, &c.id));
		rig_power_loss(&rig);
		assert_int_equal(rig_open(&rig), 0);
		assert_non_null(rig_find(&rig, &c.id));
	}
}

/* A block that cannot be read beside what a start relies on: all else is
 * written anew all the same. */
static void
a_bad_block_does_not_unsettle_its_neighbours(void **state)
{
	struct spool_commit c[3];

	(void)state;
	for (uint64_t seed = 1; seed <= 64; seed++) {
		begin(seed);
		for (int i = 0; i < 2; i++)
			assert_int_equal(rig_commit(&rig, &c[i], 1, 6000), 0);
		rig.ops_left = 1; /* the write, and no more */
		assert_int_equal(rig_commit(&rig, &c[2], 1, 100), E_IO);
		rig.bad_file = c[0].ref.file;
		rig.bad_from = c[0].ref.offset + 4096;
		rig.bad_to = rig.bad_from + 512;
		rig_kill(&rig);
		syncs_fail(true);
		assert_int_equal(rig_open(&rig), E_IO);
		syncs_fail(false);
		assert_int_equal(rig_open(&rig), 0);
		assert_non_null(rig_find(&rig, &c[2].id));
		rig_power_loss(&rig);
		assert_int_equal(rig_open(&rig), 0);
		assert_non_null(rig_find(&rig, &c[2].id));
	}
}

/* At the ceiling a notice must still be taken: until it is, its original keeps
 * the room that new mail waits for. */
static void
a_full_spool_takes_an_owed_notice(void **state)
{
	struct spool_commit c, notice;
	uint16_t zero = 0;

	(void)state;
	rig.conf.max_messages = 1;
	rig_close(&rig);
	assert_int_equal(rig_open(&rig), 0);
	assert_int_equal(rig_commit(&rig, &c, 1, 100), 0);
	assert_int_equal(rig_commit(&rig, &notice, 1, 100), E_FULL);
	rig_outcome(&rig, c.slot, 0, true, true, 1);
	assert_int_equal(rig_pay(&rig, &notice, c.slot, &zero, 1, 1), 0);
}

#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_half_made_file_loses_no_mail),
		T(a_flipped_bit_in_a_segment_header_is_not_the_end_of_it),
		T(what_a_failed_write_left_is_not_mail),
		T(a_waived_notice_is_durable_and_takes_no_slot),
		T(a_refused_notice_leaves_its_debt),
		T(an_outcome_counts_before_the_drop),
		T(what_was_found_stays_found),
		T(what_was_wiped_stays_wiped),
		T(a_footer_that_was_wiped_stays_wiped),
		T(a_bad_block_does_not_unsettle_its_neighbours),
		T(a_body_in_many_pieces_is_written_whole),
		T(a_full_spool_takes_an_owed_notice),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

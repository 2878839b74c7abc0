/*
 * The spool's promises, one at a time, on a memory disk and a real directory.
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
an_acknowledged_message_survives_every_end(void **state)
{
	void (*const ends[])(
	    struct rig *) = { rig_close, rig_kill, rig_power_loss };
	struct spool_commit c[3];

	(void)state;
	for (int i = 0; i < 3; i++) {
		assert_int_equal(rig_commit(&rig, &c[i], 1, 4096), 0);
		ends[i](&rig);
		assert_int_equal(rig_open(&rig), 0);
		assert_int_equal(rig.nfound, i + 1);
		assert_int_equal(rig.ndamaged, 0);
		for (int k = 0; k <= i; k++) {
			const struct rig_found *f = rig_find(&rig, &c[k].id);

			assert_non_null(f);
			assert_true(rig_is_intact(&rig, &f->ref, &f->id));
		}
	}
}

static void
a_finished_message_does_not_come_back(void **state)
{
	struct spool_commit c;

	(void)state;
	assert_int_equal(rig_commit(&rig, &c, 1, 1000), 0);
	rig_outcome(&rig, c.slot, 0, true, false, 1);
	spool_drop(rig.s, c.slot);
	rig_settle(&rig);
	rig_power_loss(&rig);
	assert_int_equal(rig_open(&rig), 0);
	assert_int_equal(rig.nfound, 0);
}

static void
recipients_keep_their_states(void **state)
{
	struct spool_commit c;

	(void)state;
	assert_int_equal(rig_commit(&rig, &c, 3, 1000), 0);
	rig_outcome(&rig, c.slot, 0, false, false, 5);
	rig_outcome(&rig, c.slot, 1, true, true, 2);
	rig_settle(&rig);
	for (int i = 0; i < 2; i++) {
		if (i == 0)
			rig_power_loss(&rig);
		else
			rig_close(&rig); /* and by the footer */
		assert_int_equal(rig_open(&rig), 0);
		assert_int_equal(rig.nfound, 1);
		assert_int_equal(rig.found[0].nrcpt, 3);
		assert_int_equal(rig.found[0].attempts, 5);
		assert_int_equal(rig.found[0].nfinal, 1);
		assert_int_equal(rig.found[0].nowed, 1);
		assert_string_equal(rig.found[0].text,
		    "550 5.1.1 no such user");
	}
}

static void
a_notice_and_its_debt_are_one(void **state)
{
	struct spool_commit c, notice;
	uint16_t rcpt = 0;

	(void)state;
	assert_int_equal(rig_commit(&rig, &c, 1, 1000), 0);
	rig_outcome(&rig, c.slot, 0, true, true, 1);
	rig_settle(&rig);
	assert_int_equal(rig_pay(&rig, &notice, c.slot, &rcpt, 1, 1), 0);
	spool_drop(rig.s, c.slot);
	rig_power_loss(&rig);
	assert_int_equal(rig_open(&rig), 0);
	assert_int_equal(rig.nfound, 1);
	assert_true(msgid_eq(&rig.found[0].id, &notice.id));
}

static void
an_outcome_waits_no_longer_than_it_may(void **state)
{
	struct spool_commit c;
	int64_t at;

	(void)state;
	assert_int_equal(rig_commit(&rig, &c, 1, 1000), 0);
	rig_outcome(&rig, c.slot, 0, false, false, 1);
	at = spool_deadline(rig.s);
	assert_true(at <= rig.now_us + rig.conf.outcome_unsynced_us);
	rig.now_us = at;
	spool_turn(rig.s, at);
	rig_power_loss(&rig);
	assert_int_equal(rig_open(&rig), 0);
	assert_int_equal(rig.found[0].attempts, 1);
}

static void
a_failed_sync_acknowledges_nothing(void **state)
{
	struct spool_commit kept, lost, next;

	(void)state;
	assert_int_equal(rig_commit(&rig, &kept, 1, 1000), 0);
	rig_outcome(&rig, kept.slot, 0, false, false, 3);
	rig.fail_sync_in = 0;
	assert_int_equal(rig_commit(&rig, &lost, 1, 1000), E_IO);
	assert_int_equal(rig_commit(&rig, &next, 1, 1000), 0);
	assert_int_not_equal(next.ref.file, lost.ref.file);
	reopen();
	assert_null(rig_find(&rig, &lost.id));
	assert_non_null(rig_find(&rig, &next.id));
	assert_non_null(rig_find(&rig, &kept.id));
	assert_int_equal(rig_find(&rig, &kept.id)->attempts, 3);
}

/* Flips a bit in the middle one of three messages, `at` bytes into it. */
static void
flip_in_the_middle(uint32_t at, bool knows_id)
{
	struct spool_commit c[3];

	for (int i = 0; i < 3; i++)
		assert_int_equal(rig_commit(&rig, &c[i], 1, 5000), 0);
	disk_memory_flip(rig.under, c[1].ref.file, c[1].ref.offset + at, 3);
	reopen();
	assert_int_equal(rig.nfound, 2);
	assert_int_equal(rig.ndamaged, 1);
	assert_non_null(rig_find(&rig, &c[0].id));
	assert_non_null(rig_find(&rig, &c[2].id));
	if (knows_id) {
		assert_true(rig.damage.has_id);
		assert_true(msgid_eq(&rig.damage.id, &c[1].id));
	}
}

static void
a_flipped_bit_in_a_body_costs_one_message(void **state)
{
	(void)state;
	flip_in_the_middle(3000, true);
}

static void
a_flipped_bit_in_a_header_costs_one_message(void **state)
{
	(void)state;
	flip_in_the_middle(9, false);
}

static void
a_flipped_bit_in_a_footer_costs_nothing(void **state)
{
	struct spool_commit c[3];
	char block[4096];
	uint32_t file, n = 0;

	(void)state;
	for (int i = 0; i < 3; i++)
		assert_int_equal(rig_commit(&rig, &c[i], 1, 5000), 0);
	file = c[2].ref.file;
	rig_close(&rig);
	/* The footer stands in the block behind the last group. */
	for (uint32_t at = 0; at < rig.conf.segment_bytes - 4096; at += 4096) {
		rig.under->ops->read(rig.under, file, at, block, 4096);
		for (uint32_t k = 0; k < 4096; k++)
			if (block[k] != 0)
				n = at + k;
	}
	disk_memory_flip(rig.under, file, n, 0);
	assert_int_equal(rig_open(&rig), 0);
	assert_int_equal(rig.nfound, 3);
}

static void
a_full_disk_refuses_and_recovers(void **state)
{
	struct spool_commit c;
	struct msgid kept[400];
	uint32_t n = 0;

	(void)state;
	disk_memory_set_free(rig.under, 5 * rig.conf.segment_bytes);
	while (rig_commit(&rig, &c, 1, 20000) == 0)
		kept[n++] = c.id;
	assert_true(c.err == E_NOSPC && n > 0);
	assert_false(spool_has_room(rig.s, 20000));
	reopen();
	assert_int_equal(rig.nfound, n);
	for (uint32_t i = 0; i < n; i++)
		assert_non_null(rig_find(&rig, &kept[i]));
	disk_memory_set_free(rig.under, 20 * rig.conf.segment_bytes);
	rig.now_us += 10 * US_PER_S;
	rig_turn(&rig);
	assert_true(spool_has_room(rig.s, 20000));
	assert_int_equal(rig_commit(&rig, &c, 1, 20000), 0);
}

static void
outcomes_may_use_the_reserve(void **state)
{
	struct spool_commit c, first;

	(void)state;
	disk_memory_set_free(rig.under, 3 * rig.conf.segment_bytes);
	assert_int_equal(rig_commit(&rig, &first, 1, 1000), 0);
	while (rig_commit(&rig, &c, 1, 20000) == 0)
		;
	rig_outcome(&rig, first.slot, 0, false, false, 9);
	rig_settle(&rig);
	reopen();
	assert_int_equal(rig_find(&rig, &first.id)->attempts, 9);
}

static void
what_fits_no_segment_is_too_big(void **state)
{
	struct spool_commit c;

	(void)state;
	assert_int_equal(rig_commit(&rig, &c, 1, 70000), E_TOOBIG);
	assert_int_equal(rig_commit(&rig, &c, 1, 20000), 0);
}

static void
a_lock_is_exclusive(void **state)
{
	struct disk *d;
	char why[200];
	struct spool *a, *b;
	struct spool_conf conf = rig.conf;

	(void)state;
	assert_int_equal(disk_memory_open(&d, NULL), 0);
	assert_int_equal(spool_open(&a, &conf, d, false, why, 200), 0);
	assert_int_equal(spool_open(&b, &conf, d, false, why, 200), E_BUSY);
	spool_close(a);
	d->ops->close(d);
}

static void
compaction_moves_what_lives(void **state)
{
	struct spool_commit c[120], *keep = &c[0];
	struct spool_ref ref;
	struct handle slot;
	bool moved = false;

	(void)state;
	for (int i = 0; i < 120; i++) {
		assert_int_equal(rig_commit(&rig, &c[i], 1, 6000), 0);
		if (i % 30 == 0)
			continue;
		rig_outcome(&rig, c[i].slot, 0, true, false, 1);
		spool_drop(rig.s, c[i].slot);
	}
	for (int i = 0; i < 400; i++) {
		rig.now_us += 100 * US_PER_MS;
		rig_turn(&rig);
		while (spool_take_moved(rig.s, &slot, &ref) == 1) {
			moved |= handle_eq(slot, keep->slot);
			spool_moved_ack(rig.s, slot);
		}
	}
	assert_true(moved);
	rig_power_loss(&rig);
	assert_int_equal(rig_open(&rig), 0);
	assert_int_equal(rig.nfound, 4);
	assert_int_equal(rig.ndamaged, 0);
	for (int i = 0; i < 120; i += 30) {
		const struct rig_found *f = rig_find(&rig, &c[i].id);

		assert_non_null(f);
		assert_true(rig_is_intact(&rig, &f->ref, &f->id));
	}
}

static void
a_streaming_reader_checks(void **state)
{
	struct spool_commit c;
	struct spool_check k;
	char raw[6000];

	(void)state;
	assert_int_equal(rig_commit(&rig, &c, 1, 5000), 0);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(spool_check_begin(&rig.disk, &c.ref, &c.id,
				     &k),
		    0);
		assert_int_equal(spool_read(&rig.disk, &c.ref, 0, raw, 5008),
		    0);
		spool_check_feed(&k, slice_of(raw, 2000));
		spool_check_feed(&k, slice_of(raw + 2000, 3008));
		assert_int_equal(spool_check_end(&k), i == 0);
		disk_memory_flip(rig.under, c.ref.file, c.ref.offset + 900, 0);
	}
	assert_int_not_equal(spool_read(&rig.disk, &c.ref, 1, raw, 5008), 0);
}

static void
a_real_directory_does_too(void **state)
{
	const char *tmp = getenv("TMP");
	char dir[400], why[200];
	struct disk *mem = rig.under, *d;
	struct spool_commit c;

	(void)state;
	rig_close(&rig);
	snprintf(dir, sizeof(dir), "%s/spool", tmp ? tmp : "/tmp");
	for (int i = 0; i < 2; i++) {
		assert_int_equal(disk_posix_open(&d, dir, false, why,
				     sizeof(why)),
		    0);
		rig.under = d;
		assert_int_equal(d->ops->lock(d), 0);
		assert_int_equal(rig_open(&rig), 0);
		if (i == 0) {
			assert_int_equal(rig_commit(&rig, &c, 1, 20000), 0);
		} else {
			assert_int_equal(rig.nfound, 1);
			assert_true(rig_is_intact(&rig, &rig.found[0].ref,
			    &rig.found[0].id));
			rig_outcome(&rig, rig.found[0].slot, 0, true, false, 1);
			spool_drop(rig.s, rig.found[0].slot);
			rig_settle(&rig);
		}
		rig_close(&rig);
		d->ops->close(d);
	}
	rig.under = mem;
}

#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(an_acknowledged_message_survives_every_end),
		T(a_finished_message_does_not_come_back),
		T(recipients_keep_their_states),
		T(a_notice_and_its_debt_are_one),
		T(an_outcome_waits_no_longer_than_it_may),
		T(a_failed_sync_acknowledges_nothing),
		T(a_flipped_bit_in_a_body_costs_one_message),
		T(a_flipped_bit_in_a_header_costs_one_message),
		T(a_flipped_bit_in_a_footer_costs_nothing),
		T(a_full_disk_refuses_and_recovers),
		T(outcomes_may_use_the_reserve),
		T(what_fits_no_segment_is_too_big),
		T(a_lock_is_exclusive),
		T(compaction_moves_what_lives),
		T(a_streaming_reader_checks),
		T(a_real_directory_does_too),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

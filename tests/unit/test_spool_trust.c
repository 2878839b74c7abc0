/*
 * Messages that come with states, and those that wait in trust: owed and not
 * final. They keep their words whatever happens to the segment they lie in.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "spool_rig.h"

#define WHOSE "0123456789abcdef"

static struct rig rig;

static int
set_up(void **state)
{
	(void)state;
	rig_init(&rig, 1);
	rig.conf.segment_bytes = 1u << 20;
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

/* Three recipients: one is done, one is in trust, one was tried. */
static const struct spool_rcpt states[3] = {
	{ .outcome = { .klass = OUTCOME_DELIVERED }, .is_final = true },
	{ .outcome = { .klass = OUTCOME_TRANSIENT, .code = 451 },
	    .attempts = 4,
	    .is_owed = true,
	    .due_us = 77,
	    .text = { WHOSE, 16 } },
	{ .attempts = 2, .due_us = TIME_NEVER },
};

static void
commit_in_trust(struct spool_commit *c, uint8_t name)
{
	static char body[3000];
	struct slice piece = slice_of(body, sizeof(body));

	*c = (struct spool_commit){ .id = { { name } },
		.nrcpt = 3,
		.envelope = SL("envelope"),
		.body = &piece,
		.nbody = 1,
		.states = states };
	spool_commit(rig.s, c);
	rig_settle(&rig);
	while (spool_take_done(rig.s) == NULL)
		rig_turn(&rig);
	assert_int_equal(c->err, 0);
}

/* Opens again and looks whether the message is what it was. */
static void
expect_trust(const struct msgid *id, bool is_there)
{
	const struct rig_found *f;

	assert_int_equal(rig_open(&rig), 0);
	assert_int_equal(rig.ndamaged, 0);
	f = rig_find(&rig, id);
	assert_int_equal(f != NULL, is_there);
	if (!f)
		return;
	assert_int_equal(f->nrcpt, 3);
	assert_int_equal(f->nfinal, 1);
	assert_int_equal(f->nowed, 1);
	assert_string_equal(f->text, WHOSE);
}

static void
fill_segments(uint32_t n)
{
	struct spool_commit c;

	for (uint32_t i = 0; i < n * 4; i++)
		assert_int_equal(rig_commit(&rig, &c, 1, 250000), 0);
}

static void
trust_survives_every_end(void **state)
{
	void (*const ends[])(
	    struct rig *) = { rig_kill, rig_power_loss, rig_close };
	struct spool_commit c;

	(void)state;
	commit_in_trust(&c, 1);
	for (int i = 0; i < 3; i++) {
		ends[i](&rig);
		expect_trust(&c.id, true);
	}
	fill_segments(2); /* its own is sealed by now */
	rig_power_loss(&rig);
	expect_trust(&c.id, true);
}

static void
trust_survives_the_footer_of_its_segment(void **state)
{
	struct spool_commit c;

	(void)state;
	commit_in_trust(&c, 1);
	fill_segments(3);
	rig_power_loss(&rig);
	expect_trust(&c.id, true);
}

/* In the group that takes its trust away, or not at all. */
static void
release_makes_it_like_any_other(void **state)
{
	const struct rig_found *f;
	struct spool_commit c;

	(void)state;
	commit_in_trust(&c, 1);
	rig_outcome(&rig, c.slot, 1, false, false, 4);
	rig_settle(&rig);
	rig_power_loss(&rig);
	assert_int_equal(rig_open(&rig), 0);
	f = rig_find(&rig, &c.id);
	assert_non_null(f);
	assert_int_equal(f->nfinal, 1);
	assert_int_equal(f->nowed, 0);
}

static void
discard(const struct spool_commit *c)
{
	for (uint16_t i = 3; i-- > 0;)
		rig_outcome(&rig, c->slot, i, true, false, 0);
	spool_drop(rig.s, c->slot);
}

static void
what_was_discarded_may_come_again(void **state)
{
	struct spool_commit c, again;

	(void)state;
	commit_in_trust(&c, 1);
	discard(&c);
	rig_settle(&rig);
	rig_power_loss(&rig);
	expect_trust(&c.id, false);
	for (int round = 0; round < 3; round++) {
		commit_in_trust(&again, 1);
		rig_power_loss(&rig);
		expect_trust(&c.id, true);
		again.slot = rig_find(&rig, &c.id)->slot;
		discard(&again); /* and the next one right behind */
		commit_in_trust(&again, 1);
		if (round == 1)
			fill_segments(2);
		rig_power_loss(&rig);
		expect_trust(&c.id, true);
		again.slot = rig_find(&rig, &c.id)->slot;
		discard(&again);
		rig_settle(&rig);
		rig_power_loss(&rig);
		expect_trust(&c.id, false);
	}
}

/* A sync that fails calls the commit off, trust and all. */
static void
a_commit_that_failed_leaves_nothing(void **state)
{
	struct slice piece = SL("body");
	struct spool_commit c = { .id = { { 9 } },
		.nrcpt = 3,
		.envelope = SL("envelope"),
		.body = &piece,
		.nbody = 1,
		.states = states };

	(void)state;
	rig.fail_sync_in = 0;
	spool_commit(rig.s, &c);
	while (spool_take_done(rig.s) == NULL)
		rig_turn(&rig);
	assert_int_not_equal(c.err, 0);
	rig.fail_sync_in = -1;
	rig_settle(&rig);
	rig_kill(&rig);
	expect_trust(&c.id, false);
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		T(trust_survives_every_end),
		T(trust_survives_the_footer_of_its_segment),
		T(release_makes_it_like_any_other),
		T(what_was_discarded_may_come_again),
		T(a_commit_that_failed_leaves_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * That a sender has been told that mail is late is written with the notice, once
 * and for all: what becomes of the recipient later does not take it away, no end
 * of the process does, and no move of the message.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "spool_rig.h"

static struct rig rig;
static const uint16_t which[1] = { 1 };

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

static void
tell(struct handle slot)
{
	static char body[300];
	struct slice piece = slice_of(body, sizeof(body));
	struct spool_commit c = { .id = { { 9 } },
		.nrcpt = 1,
		.envelope = SL("envelope"),
		.body = &piece,
		.nbody = 1,
		.pays_slot = slot,
		.pays_rcpts = which,
		.npays = 1,
		.pays_delay = true,
		.uses_reserve = true };

	spool_commit(rig.s, &c);
	while (spool_take_done(rig.s) == NULL)
		rig_turn(&rig);
	assert_int_equal(c.err, 0);
}

static void
expect(const struct msgid *id, uint32_t nfinal, uint32_t ntold)
{
	const struct rig_found *f;

	rig_power_loss(&rig);
	assert_int_equal(rig_open(&rig), 0);
	f = rig_find(&rig, id);
	assert_non_null(f);
	assert_int_equal(f->nfinal, nfinal);
	assert_int_equal(f->nowed, 0);
	assert_int_equal(f->ntold, ntold);
}

static void
told_is_told(void **state)
{
	struct spool_commit c, more;

	(void)state;
	assert_int_equal(rig_commit(&rig, &c, 3, 3000), 0);
	expect(&c.id, 0, 0);
	tell(rig_find(&rig, &c.id)->slot);
	expect(&c.id, 0, 1);
	/* An attempt that fails, and one whose line was written before. */
	rig_outcome(&rig, rig_find(&rig, &c.id)->slot, 1, false, false, 4);
	rig_settle(&rig);
	expect(&c.id, 0, 1);
	for (int i = 0; i < 12; i++) /* its segment is sealed, by a footer */
		assert_int_equal(rig_commit(&rig, &more, 1, 250000), 0);
	expect(&c.id, 0, 1);
}

/* An outcome that waits to be written when the notice is made. */
static void
what_was_on_its_way_does_not_take_it_back(void **state)
{
	struct spool_commit c;

	(void)state;
	assert_int_equal(rig_commit(&rig, &c, 3, 3000), 0);
	rig_outcome(&rig, c.slot, 1, false, false, 4);
	tell(c.slot);
	rig_settle(&rig);
	expect(&c.id, 0, 1);
}

static void
who_is_over_stays_so(void **state)
{
	struct spool_commit c, one;

	(void)state;
	assert_int_equal(rig_commit(&rig, &c, 3, 3000), 0);
	rig_outcome(&rig, c.slot, 1, true, false, 1);
	tell(c.slot);
	rig_settle(&rig);
	expect(&c.id, 1, 0);
	assert_int_equal(rig_commit(&rig, &one, 1, 300), 0);
	rig_outcome(&rig, one.slot, 0, true, false, 1);
	tell(one.slot);
	rig_settle(&rig);
	rig_power_loss(&rig);
	assert_int_equal(rig_open(&rig), 0);
	assert_null(rig_find(&rig, &one.id));
}

int
main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(told_is_told),
		TEST(what_was_on_its_way_does_not_take_it_back),
		TEST(who_is_over_stays_so),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * test_core_back - messages for ourselves in the core: the engine does not see
 * them before they are read, they are over or go on when they are, a start gives
 * them again, and none of their slots is lost on any way.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "relay/relay.h"

#define NOW_US (1000 * US_PER_S)
#define WALL_US (1700000000 * US_PER_S)
#define SLOTS 100
#define AT_HAND 4

struct house {
	struct conf *conf;
	struct core *core;
	struct gate gate;
	struct disk disk;
	struct buf said, book;
	uint64_t sequence;
	uint32_t nback;
	struct core_back *back[AT_HAND];
};

/* ---- what the core says, as words ------------------------------------------------ */

static void
op_resolve(void *ctx, uint32_t domain, struct slice name, bool is_host)
{
	struct house *h = ctx;

	(void)domain;
	(void)is_host;
	buf_addf(&h->said, "resolve %.*s, ", SLF(name));
}

static void
op_outcome(void *ctx, struct handle slot, uint16_t rcpt,
    const struct spool_rcpt *r)
{
	struct house *h = ctx;

	buf_addf(&h->said, "outcome %u/%u %s%s, ", slot.index, rcpt,
	    outcome_name((enum outcome_class)r->outcome.klass),
	    r->is_final ? " final" : "");
}

static void
op_drop(void *ctx, struct handle slot)
{
	buf_addf(&((struct house *)ctx)->said, "drop %u, ", slot.index);
}

static void
op_moved_ack(void *ctx, struct handle slot)
{
	buf_addf(&((struct house *)ctx)->said, "moved %u, ", slot.index);
}

static void
op_damaged(void *ctx, struct handle slot)
{
	buf_addf(&((struct house *)ctx)->said, "damaged %u, ", slot.index);
}

static void
op_back(void *ctx, struct core_back *b)
{
	struct house *h = ctx;

	assert_true(h->nback < AT_HAND);
	h->back[h->nback++] = b;
	buf_addf(&h->said, "back %u to %.*s, ", b->slot.index, SLF(b->to));
}

static void
op_open(void *ctx, const struct core_open *o)
{
	(void)ctx;
	(void)o;
}

static void
op_assign(void *ctx, struct job *j)
{
	(void)ctx;
	job_free(j);
}

static void
op_close(void *ctx, struct handle session)
{
	(void)ctx;
	(void)session;
}

static struct buf *
op_book(void *ctx)
{
	return &((struct house *)ctx)->book;
}

static uint64_t
op_sequence(void *ctx)
{
	return ++((struct house *)ctx)->sequence;
}

static const struct core_ops ops = {
	.resolve = op_resolve,
	.open = op_open,
	.assign = op_assign,
	.close = op_close,
	.outcome = op_outcome,
	.drop = op_drop,
	.moved_ack = op_moved_ack,
	.damaged = op_damaged,
	.book = op_book,
	.sequence = op_sequence,
	.back = op_back,
};

static void
report(void *ctx, const char *line)
{
	(void)ctx;
	fail_msg("%s", line);
}

static int
set_up(void **state)
{
	static const char text[] =
	    "hostname: mta1.example\npostmaster: ops@mta1.example\n"
	    "spool: /tmp/x/spool\ncontrol: /tmp/x/s\nlog: /tmp/x/log\n"
	    "listen: { in: { bind: 127.0.0.1:2525 } }\n";
	struct conf_errors errs = { .report = report };
	struct house *h = mem_get(sizeof(*h));

	h->conf = conf_parse("test", slice_str(text), &errs);
	assert_non_null(h->conf);
	atomic_store(&h->gate.rcpts_free, SLOTS);
	atomic_store(&h->gate.backs_free, SLOTS);
	buf_init(&h->said, 1u << 16);
	buf_init(&h->book, 1u << 20);
	h->core =
	    core_new(h->conf, &h->disk, &h->gate, 1, &ops, h, NOW_US, WALL_US);
	assert_non_null(h->core);
	*state = h;
	return 0;
}

static int
tear_down(void **state)
{
	struct house *h = *state;

	core_free(h->core);
	conf_free(h->conf);
	buf_free(&h->said);
	buf_free(&h->book);
	mem_free(h);
	return 0;
}

/* ---- messages ---------------------------------------------------------------------- */

static void
encode(struct house *h, uint32_t nrcpt, struct buf *blob, struct msgid *id)
{
	struct env_rcpt rcpts[] = { { .address = SL("b+x@b.example") },
		{ .address = SL("ops@p.example") } };
	struct envelope e = { .arrival_us = WALL_US,
		.expires_us = WALL_US + 86400 * US_PER_S,
		.flags = ENV_BACK,
		.nrcpt = nrcpt };

	*id = e.id = msgid_make(WALL_US, 1, op_sequence(h));
	buf_init(blob, 65536);
	assert_int_equal(env_encode(blob, &e, rcpts), 0);
}

/* One that the door has let in, with its slots. */
static void
submit(struct house *h, uint32_t slot, uint32_t nrcpt)
{
	struct spool_ref ref = { .file = 1 };
	struct msgid id;
	struct buf blob;

	encode(h, nrcpt, &blob, &id);
	assert_true(gate_take(&h->gate.rcpts_free, nrcpt));
	assert_true(gate_take(&h->gate.backs_free, 1));
	core_clock(h->core, NOW_US, WALL_US);
	core_submit(h->core, (struct handle){ slot, 1 }, &ref,
	    buf_slice(&blob));
	buf_free(&blob);
}

/* One that a start finds, its first recipient read or not. */
static void
restore(struct house *h, uint32_t slot, uint32_t nrcpt, bool is_read)
{
	struct spool_rcpt rcpts[2] = { { .is_final = is_read } };
	struct spool_found f = { .slot = { slot, 1 },
		.rcpts = rcpts,
		.nrcpt = nrcpt };
	struct buf blob;

	encode(h, nrcpt, &blob, &f.id);
	f.envelope = buf_slice(&blob);
	core_restore(h->core, &f);
	core_clock(h->core, NOW_US, WALL_US);
	buf_free(&blob);
}

static void
done(struct house *h, enum core_back_end end)
{
	core_back_done(h->core, h->back[--h->nback], end);
}

static void
says(struct house *h, const char *want)
{
	buf_addc(&h->said, '\0');
	assert_string_equal(h->said.p + h->said.off, want);
	buf_reset(&h->said);
}

static void
free_are(const struct house *h, int64_t rcpts, int64_t backs)
{
	assert_int_equal(atomic_load(&h->gate.rcpts_free), rcpts);
	assert_int_equal(atomic_load(&h->gate.backs_free), backs);
}

/* ---- what is to be shown --------------------------------------------------------------- */

static void
one_that_is_read_is_over(void **state)
{
	struct house *h = *state;
	struct eng_totals t;

	submit(h, 1, 1);
	says(h, "back 1 to b+x@b.example, ");
	core_totals(h->core, &t);
	assert_int_equal(t.messages, 0); /* the engine knows nothing of it */
	free_are(h, SLOTS - 1, SLOTS - 1);
	done(h, CORE_BACK_READ);
	says(h, "outcome 1/0 delivered final, drop 1, ");
	free_are(h, SLOTS, SLOTS);
	core_check(h->core);
	submit(h, 1, 1); /* the slot is free */
	says(h, "back 1 to b+x@b.example, ");
	done(h, CORE_BACK_READ);
}

static void
one_that_is_forwarded_goes_on(void **state)
{
	struct house *h = *state;
	struct eng_totals t;

	submit(h, 1, 2);
	says(h, "back 1 to b+x@b.example, ");
	done(h, CORE_BACK_READ);
	says(h, "outcome 1/0 delivered final, resolve p.example, ");
	core_totals(h->core, &t);
	assert_int_equal(t.messages, 1);
	assert_int_equal(t.recipients, 1);
	free_are(h, SLOTS - 2, SLOTS);
	core_check(h->core);
}

static void
a_move_waits_for_its_reader(void **state)
{
	struct house *h = *state;
	struct spool_ref to = { .file = 2 };

	submit(h, 1, 1);
	says(h, "back 1 to b+x@b.example, ");
	core_moved(h->core, (struct handle){ 1, 1 }, &to);
	says(h, "");
	done(h, CORE_BACK_READ);
	says(h, "moved 1, outcome 1/0 delivered final, drop 1, ");
}

static void
a_damaged_one_is_set_aside(void **state)
{
	struct house *h = *state;
	struct spool_damage d = { .slot = { 1, 1 }, .what = "checksum" };

	submit(h, 1, 2);
	says(h, "back 1 to b+x@b.example, ");
	done(h, CORE_BACK_DAMAGED);
	says(h, "damaged 1, drop 1, ");
	free_are(h, SLOTS, SLOTS);
	/* And when another finds that, while it is read. */
	submit(h, 1, 2);
	says(h, "back 1 to b+x@b.example, ");
	core_damage(h->core, &d);
	says(h, "damaged 1, ");
	done(h, CORE_BACK_READ);
	says(h, "drop 1, ");
	free_are(h, SLOTS, SLOTS);
}

static void
a_start_gives_it_again(void **state)
{
	struct house *h = *state;

	restore(h, 1, 1, false);
	says(h, "back 1 to b+x@b.example, ");
	free_are(h, SLOTS - 1, SLOTS - 1);
	done(h, CORE_BACK_READ);
	says(h, "outcome 1/0 delivered final, drop 1, ");
	free_are(h, SLOTS, SLOTS);
	restore(h, 1, 1, true); /* it was read before */
	says(h, "drop 1, ");
	restore(h, 2, 2, true); /* and is on its way */
	says(h, "resolve p.example, ");
	free_are(h, SLOTS - 2, SLOTS);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(one_that_is_read_is_over,
		    set_up, tear_down),
		cmocka_unit_test_setup_teardown(one_that_is_forwarded_goes_on,
		    set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_move_waits_for_its_reader,
		    set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_damaged_one_is_set_aside,
		    set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_start_gives_it_again, set_up,
		    tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * The spool against a model, by the dice: commits, outcomes, debts, drops,
 * compaction, and a kill or a loss of power after a random disk operation; then
 * what is found must be what was promised. SEED=N repeats one run and SEEDS=N
 * sets how many there are.
 *
 * The model knows for each recipient what was last said (`said`) and what was
 * known to be durable (`floor`): what is found lies between the two. It knows
 * of a message that was acknowledged that it is there until its last recipient
 * is done, and, once that is durable, that it is gone for good.
 * sanitized: later
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "spool_rig.h"

/* A sanitizer takes six times as long for each. */
#ifdef __SANITIZE_ADDRESS__
#define SEEDS_LONG 1000
#else
#define SEEDS_LONG 10000
#endif

#define MSGS 2000
#define RCPTS 3
#define LIVES 5
#define STEPS 120
#define OPEN_MAX 40

struct model_rcpt {
	uint16_t said, floor; /* attempts */
	bool is_final, is_final_kept;
	bool is_owed, is_owed_kept;
};

struct model_msg {
	struct msgid id;
	struct handle slot;
	struct spool_ref ref;
	uint32_t nrcpt;
	bool is_acked;
	bool is_over, is_over_kept; /* dropped; and that is durable */
	struct model_rcpt r[RCPTS];
};

static struct rig rig;
static struct rng rng;
static struct model_msg model[MSGS];
static uint32_t nmsgs;
static uint64_t seed;
/* A notice that was on its way when the power went, and what it would pay. */
static uint32_t pending_debtor;
static struct msgid pending_notice;

static uint32_t
dice(uint32_t n)
{
	return (uint32_t)rng_below(&rng, n);
}

static void
say(const char *what, const struct model_msg *m)
{
	char id[MSGID_TEXT_MAX] = "";

	if (m != NULL)
		msgid_format(id, &m->id);
	print_error("seed %llu: %s (message %d %s)\n", (unsigned long long)seed,
	    what, m ? (int)(m - model) : -1, id);
	fail();
}

static bool
is_on(void)
{
	return rig.ops_left != 0;
}

/* All that was said so far is durable. */
static void
all_is_kept(void)
{
	for (uint32_t i = 0; i < nmsgs; i++) {
		struct model_msg *m = &model[i];

		m->is_over_kept = m->is_over;
		for (uint32_t k = 0; k < m->nrcpt; k++) {
			m->r[k].floor = m->r[k].said;
			m->r[k].is_final_kept = m->r[k].is_final;
			m->r[k].is_owed_kept = m->r[k].is_owed;
		}
	}
}

static struct model_msg *
pick_live(void)
{
	uint32_t from = nmsgs ? dice(nmsgs) : 0;

	for (uint32_t i = 0; i < nmsgs; i++) {
		struct model_msg *m = &model[(from + i) % nmsgs];

		if (m->is_acked && !m->is_over)
			return m;
	}
	return NULL;
}

static uint32_t
count_live(void)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < nmsgs; i++)
		n += model[i].is_acked && !model[i].is_over;
	return n;
}

static void
model_add(const struct spool_commit *c, bool is_acked)
{
	struct model_msg *m = &model[nmsgs++];

	*m = (struct model_msg){ .id = c->id,
		.slot = c->slot,
		.ref = c->ref,
		.nrcpt = c->nrcpt,
		.is_acked = is_acked };
}

static void
do_commit(void)
{
	struct spool_commit c;
	int err = rig_commit(&rig, &c, 1 + dice(RCPTS), 100 + dice(9000));

	model_add(&c, err == 0);
	if (err == 0)
		all_is_kept();
	else if (is_on())
		say("a commit failed on a good disk", &model[nmsgs - 1]);
}

static void
drop_when_over(struct model_msg *m)
{
	for (uint32_t k = 0; k < m->nrcpt; k++)
		if (!m->r[k].is_final || m->r[k].is_owed)
			return;
	spool_drop(rig.s, m->slot);
	m->is_over = true;
}

static void
do_outcome(void)
{
	struct model_msg *m = pick_live();
	uint32_t k, kind = dice(6);
	struct model_rcpt *r;

	if (m == NULL)
		return;
	k = dice(m->nrcpt);
	r = &m->r[k];
	if (r->is_final)
		return;
	r->said++;
	r->is_final = kind >= 2;
	r->is_owed = kind == 5;
	rig_outcome(&rig, m->slot, (uint16_t)k, r->is_final, r->is_owed,
	    r->said);
	drop_when_over(m);
}

/* Pays all debts of one message with one notice. */
static void
do_pay(void)
{
	struct model_msg *m = pick_live();
	uint16_t rcpts[RCPTS];
	struct spool_commit c;
	uint32_t n = 0;

	if (m == NULL)
		return;
	for (uint32_t k = 0; k < m->nrcpt; k++)
		if (m->r[k].is_owed)
			rcpts[n++] = (uint16_t)k;
	if (n == 0)
		return;
	if (rig_pay(&rig, &c, m->slot, rcpts, n, 1) != 0) {
		model_add(&c, false);
		pending_debtor = (uint32_t)(m - model) + 1;
		pending_notice = c.id;
		return;
	}
	all_is_kept();
	for (uint32_t k = 0; k < n; k++)
		m->r[rcpts[k]].is_owed = m->r[rcpts[k]].is_owed_kept = false;
	model_add(&c, true);
	drop_when_over(m);
	m->is_over_kept = m->is_over;
}

static void
do_moves(void)
{
	struct handle slot;
	struct spool_ref ref;

	while (spool_take_moved(rig.s, &slot, &ref) == 1) {
		for (uint32_t i = 0; i < nmsgs; i++)
			if (model[i].is_acked && !model[i].is_over &&
			    handle_eq(model[i].slot, slot))
				model[i].ref = ref;
		spool_moved_ack(rig.s, slot);
	}
}

static void
do_read(void)
{
	struct model_msg *m = pick_live();

	do_moves();
	if (m != NULL && !rig_is_intact(&rig, &m->ref, &m->id))
		say("a live message cannot be read", m);
}

static void
do_settle(void)
{
	rig_settle(&rig);
	if (is_on())
		all_is_kept();
}

static void
do_step(void)
{
	uint32_t d = dice(100);

	if (d < 35 && count_live() < OPEN_MAX)
		do_commit();
	else if (d < 75)
		do_outcome();
	else if (d < 82)
		do_pay();
	else if (d < 88)
		do_read();
	else if (d < 94)
		do_settle();
	else
		rig.now_us += US_PER_S, rig_turn(&rig), do_moves();
}

/* ---- what is found ------------------------------------------------------------- */

static void
check_gone(struct model_msg *m)
{
	bool may_be_over = true;

	if (!m->is_acked || m->is_over) {
		m->is_over = m->is_over_kept = true;
		return;
	}
	for (uint32_t k = 0; k < m->nrcpt; k++)
		may_be_over &= m->r[k].is_final && !m->r[k].is_owed;
	/* Its notice may have become durable without an answer. */
	if (!may_be_over && pending_debtor == (uint32_t)(m - model) + 1 &&
	    rig_find(&rig, &pending_notice) != NULL)
		may_be_over = true;
	if (!may_be_over)
		say("an acknowledged message is lost", m);
	m->is_over = m->is_over_kept = true;
}

static void
check_counts(struct model_msg *m, const struct rig_found *f)
{
	uint32_t final_min = 0, final_max = 0, owed_min = 0, owed_max = 0;

	for (uint32_t k = 0; k < m->nrcpt; k++) {
		final_min += m->r[k].is_final_kept;
		final_max += m->r[k].is_final;
		owed_min += m->r[k].is_owed_kept;
		owed_max += m->r[k].is_owed;
	}
	if (f->nrcpt != m->nrcpt)
		say("recipients got lost", m);
	if (f->nfinal < final_min || f->nfinal > final_max)
		say("a durable final outcome is forgotten, or made up", m);
	if (f->attempts < m->r[0].floor || f->attempts > m->r[0].said)
		say("a durable outcome is forgotten, or made up", m);
	if (pending_debtor == (uint32_t)(m - model) + 1) {
		bool is_sent = rig_find(&rig, &pending_notice) != NULL;

		if (is_sent ? f->nowed > 0 : f->nowed < owed_min)
			say("a notice and its debt came apart", m);
	} else if (f->nowed < owed_min || f->nowed > owed_max)
		say("a debt is forgotten, or made up", m);
	if (f->nowed && strcmp(f->text, "550 5.1.1 no such user") != 0)
		say("the words of an owed notice are lost", m);
}

/* From here on the model believes what is there, as an owner would. */
static void
adopt(struct model_msg *m, const struct rig_found *f)
{
	m->is_acked = true;
	m->is_over = m->is_over_kept = false;
	m->slot = f->slot;
	m->ref = f->ref;
	if (!rig_is_intact(&rig, &f->ref, &f->id))
		say("a message is found and cannot be read", m);
}

/* Says again what may have been lost, so that model and spool agree. */
static void
say_again(struct model_msg *m)
{
	for (uint32_t k = 0; k < m->nrcpt; k++) {
		struct model_rcpt *r = &m->r[k];

		if (pending_debtor == (uint32_t)(m - model) + 1 &&
		    rig_find(&rig, &pending_notice) != NULL)
			r->is_owed = false;
		if (r->said)
			rig_outcome(&rig, m->slot, (uint16_t)k, r->is_final,
			    r->is_owed, r->said);
	}
	drop_when_over(m);
}

static void
check_all(void)
{
	uint32_t seen = 0;

	for (uint32_t i = 0; i < nmsgs; i++) {
		struct model_msg *m = &model[i];
		const struct rig_found *f = rig_find(&rig, &m->id);

		if (f == NULL) {
			check_gone(m);
			continue;
		}
		seen++;
		if (m->is_over_kept)
			say("a finished message came back", m);
		if (m->is_acked)
			check_counts(m, f);
		adopt(m, f);
	}
	if (seen != rig.nfound)
		say("a message that was never committed, or one twice", NULL);
	for (uint32_t i = 0; i < nmsgs; i++)
		if (model[i].is_acked && !model[i].is_over)
			say_again(&model[i]);
	pending_debtor = 0;
	do_settle();
}

static void
live_once(void)
{
	uint32_t end = dice(3);

	rig.ops_left = end == 2 ? -1 : (int64_t)(5 + dice(250));
	for (uint32_t i = 0; i < STEPS && is_on() && nmsgs + 2 < MSGS; i++)
		do_step();
	if (end == 0)
		rig_power_loss(&rig);
	else if (end == 1)
		rig_kill(&rig);
	else {
		rig_close(&rig);
		all_is_kept();
	}
	if (rig_open(&rig) != 0)
		say("the spool does not open again", NULL);
	check_all();
}

static void
run(uint64_t with)
{
	seed = with;
	nmsgs = 0;
	pending_debtor = 0;
	rng_seed(&rng, seed);
	rig_init(&rig, seed);
	assert_int_equal(rig_open(&rig), 0);
	for (int i = 0; i < LIVES; i++)
		live_once();
	rig_free(&rig);
}

static uint64_t
number_of(const char *name, uint64_t otherwise)
{
	const char *v = getenv(name);
	uint64_t n = otherwise;

	if (v != NULL && slice_u64(slice_str(v), UINT64_MAX, &n) != 0)
		fail_msg("%s is no number", name);
	return n;
}

static void
promises_hold_whatever_happens(void **state)
{
	const char *check = getenv("CHECK");
	bool is_long = check != NULL && strcmp(check, "long") == 0;
	uint64_t one = number_of("SEED", 0);
	uint64_t n = number_of("SEEDS", is_long ? SEEDS_LONG : 500);

	(void)state;
	for (uint64_t i = 1; i <= n; i++)
		run(one ? one : i);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(promises_hold_whatever_happens),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * test_engine_world - a random world around the engine: names that fail, hosts
 * that die, peers that refuse, operators who meddle; then all heals and
 * everything must drain. After every few events the engine audits itself. The
 * same worlds show that a checkpoint loses nothing: an engine that was saved
 * and loaded goes on as if nothing had been, and a twin that is fed what was
 * written of the events gives the same commands.
 * timeout: 60 300
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "engine/save.h"
#include "engine/wire.h"

#define MSGS 400
#define DOMAINS 8
#define SESS 512
#define JOBS 4096
#define CONNS 3

enum due_kind { DUE_RESOLVE, DUE_OPEN, DUE_RESULT };

struct due { /* something the world owes the engine */
	int64_t at;
	enum due_kind kind;
	struct handle session, txn;
	uint32_t domain, msg;
	uint16_t n, rcpt[ENG_TXN_RCPTS_MAX];
	uint8_t host;
};

enum mode { PLAIN, RELOAD, TWIN };

struct world {
	struct eng *e;
	enum mode mode;
	struct eng *twin;         /* TWIN: fed from the bytes of events */
	struct eng_policy *spare; /* RELOAD: the policy that was loaded */
	struct rng own;           /* dice of the test, apart from the world's */
	uint32_t reloads;
	struct eng_policy *policy[2];
	struct eng_cmds cmds;
	struct rng rng;
	int64_t now;
	bool healed;
	struct due due[JOBS];
	uint32_t ndue;
	struct {
		uint8_t nrcpt, nfinal[8], owed[8];
		bool used, is_null;
	} msg[MSGS + 1];
	struct {
		struct handle h;
		uint8_t host;
		uint16_t src;
		bool up;
	} sess[SESS];
	uint32_t nsess, submitted, finals, drops, admin_done;
	uint64_t hash;
};

static void step(struct world *w, struct eng_event *ev);

static struct due *
owe(struct world *w, enum due_kind kind, int64_t in_us)
{
	struct due *d = &w->due[w->ndue++];

	assert_true(w->ndue < JOBS);
	memset(d, 0, sizeof(*d));
	d->kind = kind;
	d->at = w->now + in_us;
	return d;
}

static int
sess_find(struct world *w, struct handle h)
{
	for (uint32_t i = 0; i < w->nsess; i++)
		if (handle_eq(w->sess[i].h, h))
			return (int)i;
	return -1;
}

static void
on_open(struct world *w, const struct eng_cmd *c)
{
	uint32_t same = 0, i = w->nsess++;
	uint8_t host = c->open.target.ip.b[3];

	assert_true(i < SESS);
	w->sess[i].h = c->open.session;
	w->sess[i].host = host;
	w->sess[i].src = c->open.source;
	w->sess[i].up = false;
	/* Hosts belong to one site each, so this is the path's cap. */
	for (uint32_t k = 0; k < w->nsess; k++)
		same += w->sess[k].host / 10 == host / 10 &&
		    w->sess[k].src == c->open.source;
	assert_true(same <= CONNS);
	owe(w, DUE_OPEN, 1000)->session = c->open.session;
	w->due[w->ndue - 1].host = host;
}

static void
on_assign(struct world *w, uint32_t *at)
{
	const struct eng_cmd *c = &w->cmds.v[*at];
	struct due *d =
	    owe(w, DUE_RESULT, (int64_t)rng_below(&w->rng, 2000000));
	int s = sess_find(w, c->assign.session);

	assert_true(s >= 0 && w->sess[s].up);
	d->session = c->assign.session;
	d->txn = c->assign.txn;
	d->msg = c->assign.msg;
	d->n = c->assign.n;
	d->rcpt[0] = c->assign.rcpt;
	for (uint16_t k = 1; k < d->n; k++)
		d->rcpt[k] = w->cmds.v[++*at].assign_rcpt.rcpt;
	for (uint16_t k = 0; k < d->n; k++)
		assert_int_equal(w->msg[d->msg].nfinal[d->rcpt[k]], 0);
}

static void
on_persist(struct world *w, const struct eng_cmd *c)
{
	uint32_t m = c->persist.msg;

	assert_true(w->msg[m].used);
	assert_int_equal(w->msg[m].nfinal[c->persist.rcpt], 0);
	if (!c->persist.is_final)
		return;
	w->msg[m].nfinal[c->persist.rcpt]++;
	w->finals++;
	assert_false(c->persist.is_owed && w->msg[m].is_null);
	w->msg[m].owed[c->persist.rcpt] = c->persist.is_owed;
}

static void
on_drop(struct world *w, uint32_t m)
{
	assert_true(w->msg[m].used);
	for (uint8_t k = 0; k < w->msg[m].nrcpt; k++) {
		assert_int_equal(w->msg[m].nfinal[k], 1);
		assert_int_equal(w->msg[m].owed[k], 0);
	}
	w->msg[m].used = false;
	w->drops++;
}

/* Notices are paid at once, but after the step that asked for them. */
struct paid {
	uint32_t n;
	struct {
		uint32_t msg;
		uint16_t rcpt;
	} v[512];
};

static void
obey(struct world *w, struct paid *paid)
{
	for (uint32_t i = 0; i < w->cmds.n; i++) {
		const struct eng_cmd *c = &w->cmds.v[i];

		w->hash = hash_u64(w->hash ^ c->kind ^ (w->hash << 7));
		if (c->kind == CMD_RESOLVE)
			owe(w, DUE_RESOLVE, 500)->domain = c->domain;
		else if (c->kind == CMD_OPEN)
			on_open(w, c);
		else if (c->kind == CMD_ASSIGN)
			on_assign(w, &i);
		else if (c->kind == CMD_PERSIST)
			on_persist(w, c);
		else if (c->kind == CMD_DROP)
			on_drop(w, c->drop);
		else if (c->kind == CMD_ADMIN_DONE)
			w->admin_done++;
		else if (c->kind == CMD_NOTICE && paid->n < 512) {
			assert_int_equal(w->msg[c->notice.msg]
					     .owed[c->notice.rcpt],
			    1);
			w->msg[c->notice.msg].owed[c->notice.rcpt] = 0;
			paid->v[paid->n].msg = c->notice.msg;
			paid->v[paid->n++].rcpt = c->notice.rcpt;
		}
	}
	w->cmds.n = 0;
}

/* ---- checkpoints ----------------------------------------------------------- */

static void
save(const struct eng *e, struct buf *out)
{
	struct image_out to = image_to_buf(out);

	buf_init(out, 64u << 20);
	eng_save(e, &to);
	assert_false(out->failed);
	assert_true(out->n <= eng_save_bytes(e));
}

static struct eng *
load(const struct buf *image, struct eng_policy *policy)
{
	struct cursor c = cursor_of(buf_slice(image));
	struct image_in in = image_from_cursor(&c);
	struct eng *e = NULL;
	char why[128] = "";
	int err = eng_load(&in, policy, &e, why, sizeof(why));

	if (err)
		print_error("%s\n", why);
	assert_int_equal(err, 0);
	assert_int_equal(c.s.n, 0);
	return e;
}

/* The engine dies and another wakes up with its memories. */
static void
reload(struct world *w)
{
	struct eng_policy *fresh = calloc(1, sizeof(*fresh));
	struct buf image;

	save(w->e, &image);
	eng_free(w->e);
	free(w->spare);
	w->spare = fresh;
	w->e = load(&image, fresh);
	buf_free(&image);
	eng_check(w->e);
	w->reloads++;
}

/* Two engines with one past are the same bytes: nothing of them is a pointer,
 * nor left as it was found. */
static void
compare_images(const struct eng *a, const struct eng *b)
{
	struct buf x, y;
	size_t at = 0;

	save(a, &x);
	save(b, &y);
	while (at < MIN(x.n, y.n) && x.p[x.off + at] == y.p[y.off + at])
		at++;
	if (at < x.n || x.n != y.n)
		print_error("images of %zu and %zu bytes differ at %zu\n", x.n,
		    y.n, at);
	assert_true(at == x.n && x.n == y.n);
	buf_free(&x);
	buf_free(&y);
}

/* The event as a recording would have it. */
static struct eng_event
through_bytes(const struct eng_event *ev, int64_t now, struct eng_policy *p)
{
	static unsigned char text[ENG_POLICY_WIRE_MAX + ENG_EVENT_WIRE_MAX];
	size_t n = (size_t)(eng_event_put(text, ev, now) - text);
	struct slice s = slice_of((char *)text, n), cut;
	struct eng_event out;

	assert_true(n <= ENG_EVENT_WIRE_MAX ||
	    (ev->kind == EV_CONF && n <= ENG_POLICY_WIRE_MAX));
	for (size_t k = 0; k < n; k += 1 + n / 8) { /* a part is no event */
		cut = slice_of((char *)text, k);
		assert_int_equal(eng_event_get(&cut, now, &out, p), E_CORRUPT);
	}
	assert_int_equal(eng_event_get(&s, now, &out, p), 0);
	assert_int_equal(s.n, 0);
	return out;
}

static void
compare_commands(const struct eng_cmds *a, const struct eng_cmds *b,
    int64_t now)
{
	unsigned char x[ENG_CMD_WIRE_MAX], y[ENG_CMD_WIRE_MAX];
	struct eng_cmd back;

	assert_int_equal(a->n, b->n);
	for (uint32_t i = 0; i < a->n; i++) {
		size_t n = (size_t)(eng_cmd_put(x, &a->v[i], now) - x);
		struct slice s = slice_of((char *)x, n);

		assert_int_equal(eng_cmd_put(y, &b->v[i], now) - y, n);
		assert_memory_equal(x, y, n);
		assert_int_equal(eng_cmd_get(&s, now, &back), 0);
		assert_int_equal(eng_cmd_put(y, &back, now) - y, n);
		assert_memory_equal(x, y, n);
	}
}

static void
compare_policies(const struct eng_policy *a, const struct eng_policy *b)
{
	static unsigned char x[ENG_POLICY_WIRE_MAX], y[ENG_POLICY_WIRE_MAX];
	size_t n = (size_t)(eng_policy_put(x, a) - x);

	assert_int_equal(eng_policy_put(y, b) - y, n);
	assert_memory_equal(x, y, n);
	assert_memory_equal(a->shapes, b->shapes, sizeof(a->shapes));
}

static void
twin_step(struct world *w, const struct eng_event *ev)
{
	static struct eng_policy policy;
	struct eng_cmds cmds = { 0 };
	struct eng_event copy = through_bytes(ev, w->now, &policy);

	if (ev->kind == EV_CONF) { /* a policy lives until the next */
		compare_policies(&policy, ev->conf);
		copy.conf = ev->conf;
	}
	eng_step(w->twin, &copy, w->now, &cmds);
	compare_commands(&w->cmds, &cmds, w->now);
	eng_cmds_free(&cmds);
	if (rng_below(&w->own, 100) == 0)
		compare_images(w->e, w->twin);
}

static void
engine_step(struct world *w, const struct eng_event *ev)
{
	if (w->mode == RELOAD && rng_below(&w->own, 60) == 0)
		reload(w);
	eng_step(w->e, ev, w->now, &w->cmds);
	if (w->mode == TWIN)
		twin_step(w, ev);
}

static void
step(struct world *w, struct eng_event *ev)
{
	struct paid paid = { 0 };
	struct eng_event p = { .kind = EV_NOTICE_PAID };

	engine_step(w, ev);
	obey(w, &paid);
	for (uint32_t i = 0; i < paid.n; i++) {
		p.paid.msg = paid.v[i].msg;
		p.paid.rcpt = paid.v[i].rcpt;
		engine_step(w, &p);
		obey(w, &paid);
	}
}

/* Domain d lives on hosts 10d and 10d+1; domains 6 and 7 share those of 5. */
static void
resolved(struct world *w, uint32_t domain)
{
	struct eng_event ev = { .kind = EV_RESOLVED };
	uint64_t dice = w->healed ? 99 : rng_below(&w->rng, 100);
	uint8_t d = (uint8_t)MIN(domain - 100, 5u);
	uint16_t base = (uint16_t)(5 * rng_below(&w->rng, 3));

	ev.resolved.domain = domain;
	ev.resolved.status = dice < 20 ? ENG_DNS_TEMP :
	    dice < 23                  ? ENG_DNS_NXDOMAIN :
	    dice < 25                  ? ENG_DNS_NULL_MX :
					 ENG_DNS_OK;
	ev.resolved.ttl_us = 30 * US_PER_S;
	if (ev.resolved.status == ENG_DNS_OK)
		ev.resolved.ntargets = 2;
	for (uint8_t k = 0; k < ev.resolved.ntargets; k++) {
		struct eng_target *t = &ev.resolved.target[k];

		t->host = 200u + 10u * d + k;
		/* The order of a domain stays, its numbers do not. */
		t->pref = base + 10u * (d >> k & 1);
		t->ip.family = 4;
		t->ip.b[0] = 127;
		t->ip.b[3] = (uint8_t)(10 * d + k);
		t->port = 25;
	}
	step(w, &ev);
}

static void
down(struct world *w, struct handle h, enum stage stage, uint16_t code)
{
	struct eng_event ev = { .kind = EV_SESSION_DOWN };
	int s = sess_find(w, h);

	if (s < 0)
		return;
	w->sess[s] = w->sess[--w->nsess];
	for (uint32_t i = 0; i < w->ndue;) /* what it held never happens */
		if (handle_eq(w->due[i].session, h))
			w->due[i] = w->due[--w->ndue];
		else
			i++;
	ev.down.session = h;
	ev.down.outcome.klass =
	    code == 221 ? OUTCOME_DELIVERED : OUTCOME_TRANSIENT;
	ev.down.outcome.stage = (uint8_t)stage;
	ev.down.outcome.code = code;
	step(w, &ev);
}

static void
opened(struct world *w, const struct due *d)
{
	struct eng_event ev = { .kind = EV_SESSION_UP };
	uint64_t dice = w->healed ? 99 : rng_below(&w->rng, 100);
	int s = sess_find(w, d->session);

	if (dice < 25) {
		down(w, d->session, dice < 15 ? STAGE_CONNECT : STAGE_BANNER,
		    dice < 15 ? 0 : 421);
		return;
	}
	w->sess[s].up = true;
	ev.up.session = d->session;
	step(w, &ev);
}

static void
result(struct world *w, const struct due *d)
{
	struct eng_event ev = { .kind = EV_RESULT };

	ev.result.session = d->session;
	ev.result.txn = d->txn;
	ev.result.n = d->n;
	ev.result.is_sent = true;
	for (uint16_t k = 0; k < d->n; k++) {
		uint64_t dice = w->healed ? 0 : rng_below(&w->rng, 100);
		struct outcome *o = &ev.result.rcpt[k];

		memset(o, 0, sizeof(*o));
		o->stage = STAGE_EOM;
		o->klass = dice < 60 ? OUTCOME_DELIVERED :
		    dice < 70        ? OUTCOME_BOUNCED :
		    dice < 95        ? OUTCOME_TRANSIENT :
				       OUTCOME_UNSENT;
		o->code = dice < 60 ? 250 :
		    dice < 70       ? 550 :
		    dice < 80       ? 451 :
		    dice < 85       ? 421 :
				      0;
		if (o->klass == OUTCOME_TRANSIENT && dice >= 85)
			o->stage = dice < 90 ? STAGE_MAIL : STAGE_RCPT;
		if (o->code >= 400 && rng_below(&w->rng, 2)) {
			o->is_judged = true;
			o->judged.kind = (uint8_t)rng_below(&w->rng, KIND_N);
			o->judged.scope = (uint8_t)rng_below(&w->rng, SCOPE_N);
		}
	}
	step(w, &ev);
	if (!w->healed && rng_below(&w->rng, 20) == 0)
		down(w, d->session, STAGE_EOM, rng_below(&w->rng, 2) ? 221 : 0);
}

static void
submit(struct world *w)
{
	struct eng_event ev = { .kind = EV_MESSAGE };
	uint32_t m = ++w->submitted;
	uint8_t n = (uint8_t)(1 + rng_below(&w->rng, 5));

	w->msg[m].used = true;
	w->msg[m].nrcpt = n;
	w->msg[m].is_null = rng_below(&w->rng, 4) == 0;
	ev.message = (struct ev_message){ .msg = m,
		.nrcpt = n,
		.tenant = 1 + (uint32_t)rng_below(&w->rng, 3),
		.pool = 50 + (uint32_t)rng_below(&w->rng, 2),
		.arrival_us = w->now,
		.expires_us = w->now +
		    (int64_t)(60 + rng_below(&w->rng, 100000)) * US_PER_S,
		.is_null_sender = w->msg[m].is_null };
	step(w, &ev);
	for (uint8_t k = 0; k < n; k++) {
		ev = (struct eng_event){ .kind = EV_RECIPIENT };
		ev.recipient.msg = m;
		ev.recipient.rcpt = k;
		ev.recipient.domain =
		    100 + (uint32_t)rng_below(&w->rng, DOMAINS);
		step(w, &ev);
	}
}

static void
meddle(struct world *w)
{
	struct eng_event ev = { .kind = EV_ADMIN };
	uint64_t dice = rng_below(&w->rng, 8);

	if (dice == 7) { /* the policy changes: a source comes or goes */
		struct eng_policy *p = w->policy[rng_below(&w->rng, 2)];

		ev = (struct eng_event){ .kind = EV_CONF, .conf = p };
		step(w, &ev);
		return;
	}
	ev.admin.job = 1;
	ev.admin.verb = (enum eng_verb)(dice % ENG_VERB_N);
	ev.admin.dry_run = rng_below(&w->rng, 4) == 0;
	ev.admin.sel.domain = 100 + (uint32_t)rng_below(&w->rng, DOMAINS);
	if (rng_below(&w->rng, 2))
		ev.admin.sel.tenant = 1;
	step(w, &ev);
}

static void
tick_if_due(struct world *w)
{
	struct eng_event ev = { .kind = EV_TICK };

	if (eng_deadline(w->e) <= w->now)
		step(w, &ev);
}

/* The next thing that happens; false when nothing ever will. */
static bool
advance(struct world *w)
{
	int64_t at = eng_deadline(w->e);
	int best = -1;
	struct due d;

	for (uint32_t i = 0; i < w->ndue; i++)
		if (w->due[i].at <= at) {
			at = w->due[i].at;
			best = (int)i;
		}
	if (at == TIME_NEVER)
		return false;
	w->now = MAX(w->now, at);
	if (best < 0) {
		tick_if_due(w);
		return true;
	}
	d = w->due[best];
	w->due[best] = w->due[--w->ndue];
	if (d.kind == DUE_RESOLVE)
		resolved(w, d.domain);
	else if (d.kind == DUE_OPEN)
		opened(w, &d);
	else
		result(w, &d);
	return true;
}

static void
policies(struct world *w)
{
	for (int k = 0; k < 2; k++) {
		struct eng_policy *p = calloc(1, sizeof(*p));

		eng_policy_default(p);
		p->generation = (uint64_t)k;
		p->nsources = k ? 1 : 2;
		p->sources[0] =
		    (struct eng_source_conf){ .name = 60, .has_v4 = true };
		p->sources[1] =
		    (struct eng_source_conf){ .name = 61, .has_v4 = true };
		p->npools = 2;
		p->pools[0].name = 50;
		p->pools[0].nsources = 1;
		p->pools[1].name = 51;
		p->pools[1].nsources = k ? 1 : 2;
		p->pools[1].sources[1] = 1;
		p->default_pool = 50;
		p->shapes[0].conns_max = CONNS;
		p->shapes[0].msgs_per_conn = 7;
		p->shapes[0].rate_count = k ? 0 : 20;
		p->shapes[0].rate_period_us = US_PER_S;
		p->shapes[0].rate_burst = 5;
		w->policy[k] = p;
	}
}

static uint64_t
one_world(uint64_t seed, enum mode mode)
{
	struct eng_limits limits = { MSGS + 2, 8 * MSGS, 1000, 1000, 40 };
	struct world *w = calloc(1, sizeof(*w));
	struct eng_event release = { .kind = EV_ADMIN };
	struct eng_totals t;
	uint64_t hash;
	int left;

	rng_seed(&w->rng, seed);
	w->now = 1000000;
	policies(w);
	w->e = eng_new(w->policy[0], &limits, seed, w->now);
	assert_non_null(w->e);
	w->mode = mode;
	rng_seed(&w->own, seed + 1);
	if (mode == TWIN)
		w->twin = eng_new(w->policy[0], &limits, seed, w->now);
	for (int i = 0; w->submitted < MSGS; i++) {
		if (rng_below(&w->rng, 6) == 0)
			submit(w);
		else if (rng_below(&w->rng, 150) == 0)
			meddle(w);
		else
			advance(w);
		if (i % 16 == 0)
			eng_check(w->e);
	}
	w->healed = true;
	release.kind = EV_CONF;
	release.conf = w->policy[0];
	step(w, &release);
	release = (struct eng_event){ .kind = EV_ADMIN };
	release.admin.job = 1;
	release.admin.verb = VERB_RELEASE;
	release.admin.sel.everything = true;
	step(w, &release);
	for (left = 200000; left > 0 && w->drops < MSGS; left--)
		if (!advance(w))
			break;
	eng_check(w->e);
	eng_totals(w->e, &t);
	if (w->drops != MSGS)
		print_error(
		    "seed %llu: %u of %u dropped, %llu recipients left\n",
		    (unsigned long long)seed, w->drops, MSGS,
		    (unsigned long long)t.recipients);
	assert_int_equal(w->drops, MSGS);
	assert_int_equal(t.recipients, 0);
	assert_int_equal(t.messages, 0);
	assert_true(mode != RELOAD || w->reloads > 5);
	hash = w->hash;
	eng_free(w->e);
	if (w->twin)
		eng_free(w->twin);
	free(w->spare);
	eng_cmds_free(&w->cmds);
	free(w->policy[0]);
	free(w->policy[1]);
	free(w);
	return hash;
}

/* Worlds of the long check; a sanitizer takes six times as long for each. */
static int
worlds(int quick, int all)
{
	const char *check = getenv("CHECK");

	if (check == NULL || strcmp(check, "long") != 0)
		return quick;
#ifdef __SANITIZE_ADDRESS__
	return MAX(all / 5, quick);
#else
	return all;
#endif
}

static void
everything_ends_once_and_drains(void **state)
{
	int n = worlds(40, 400);

	(void)state;
	for (int seed = 1; seed <= n; seed++)
		one_world((uint64_t)seed, PLAIN);
}

static void
same_seed_same_commands(void **state)
{
	(void)state;
	assert_true(one_world(7, PLAIN) == one_world(7, PLAIN));
	assert_true(one_world(7, PLAIN) != one_world(8, PLAIN));
}

static void
a_loaded_engine_goes_on_as_the_saved_one(void **state)
{
	int n = worlds(12, 200);

	(void)state;
	for (uint64_t seed = 1; seed <= (uint64_t)n; seed++)
		assert_true(one_world(seed, PLAIN) == one_world(seed, RELOAD));
}

static void
one_past_gives_one_image(void **state)
{
	int n = worlds(6, 100);

	(void)state;
	for (uint64_t seed = 1; seed <= (uint64_t)n; seed++)
		one_world(seed, TWIN);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(everything_ends_once_and_drains),
		cmocka_unit_test(same_seed_same_commands),
		cmocka_unit_test(a_loaded_engine_goes_on_as_the_saved_one),
		cmocka_unit_test(one_past_gives_one_image),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

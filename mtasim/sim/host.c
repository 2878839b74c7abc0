/*
 * sim/host.c - the daemon's life: start, crash, reload, and what the world
 * may ask of it.
 */
#include <errno.h>

#include "sim/host_i.h"

#define SEGMENT_SMALL (256u << 10)
#define SEGMENT_LARGE (1u << 20)

/* A parcel that the host has given out. */
struct counted {
	struct parcel parcel;
	struct list link;
};

/* ---- posts and turns ------------------------------------------------------------- */

void
actor_at(struct actor *a, int64_t at_us)
{
	if (heap_has(&a->turn.node) && a->turn.node.key <= at_us)
		return;
	sim_timer_set(a->h->s, &a->turn, at_us);
}

void
actor_wake(struct actor *a)
{
	struct sim *s = a->h->s;
	struct rng *r = dice(s, DICE_HOST);
	int64_t late = (int64_t)rng_below(r, 60);

	if (sim_has(s, SIM_F_lazy) && rng_below(r, 20) == 0)
		late += (int64_t)rng_below(r, 60 * US_PER_MS);
	actor_at(a, s->now_us + late);
}

struct slice
host_owned(struct slice s)
{
	char *p;

	if (!s.n)
		return slice_of(NULL, 0);
	p = mem_get(s.n);
	memcpy(p, s.p, s.n);
	return slice_of(p, s.n);
}

static void
outcomes_free(struct post_outcomes *o)
{
	for (uint32_t i = 0; i < o->n; i++) {
		mem_free((void *)(uintptr_t)o->v[i].state.text.p);
		mem_free((void *)(uintptr_t)o->v[i].state.mta.p);
	}
	mem_free(o);
}

void
post_free(struct host *h, struct post *p)
{
	struct parcel *parcel = container_of(p, struct parcel, post);

	switch (p->kind) {
	case POST_COMMITTED:
	case POST_NOTICE_DONE:
	case POST_COMMIT:
		mem_free(parcel->commit.user);
		parcel_give(h, parcel);
		return;
	case POST_ASSIGN:
	case POST_RESULT:
		job_free(container_of(p, struct job, post));
		return;
	case POST_OUTCOMES:
		outcomes_free(container_of(p, struct post_outcomes, post));
		return;
	default: /* the post is the first member */
		mem_free(p);
	}
}

void
posts_free(struct host *h, struct posts *l)
{
	struct post *p;

	while ((p = posts_shift(l)))
		post_free(h, p);
}

struct parcel *
parcel_take(struct host *h)
{
	struct counted *c = mem_get(sizeof(*c));

	list_push_tail(&h->parcels, &c->link);
	buf_init(&c->parcel.env, 16u << 20);
	buf_init(&c->parcel.body, 1u << 20);
	return &c->parcel;
}

void
parcel_give(struct host *h, struct parcel *p)
{
	gate_give(&h->gate.staging_free, (int64_t)p->staged);
	if (p->spill) {
		struct sim_spill *f = (struct sim_spill *)p->spill;

		sim_timer_cancel(h->s, &f->written);
		buf_free(&f->bytes);
		mem_free(f);
	}
	mem_free(p->pays);
	mem_free(p->notes);
	buf_free(&p->env);
	buf_free(&p->body);
	list_remove(&container_of(p, struct counted, parcel)->link);
	mem_free(container_of(p, struct counted, parcel));
}

/* Those that the spool had in its hands when the process died. */
static void
parcels_free(struct host *h)
{
	LIST_FOREACH_SAFE(n, tmp, &h->parcels) {
		struct counted *c = container_of(n, struct counted, link);

		mem_free(c->parcel.commit.user);
		parcel_give(h, &c->parcel);
	}
}

uint64_t
host_sequence(struct host *h, uint32_t worker)
{
	return ((uint64_t)worker << 40) | (++h->sequence & 0xffffffffff);
}

/* ---- start ------------------------------------------------------------------------ */

static int
open_spool(struct host *h)
{
	struct spool_conf sc;
	char why[256];

	spool_conf_default(&sc);
	sc.segment_bytes =
	    sim_has(h->s, SIM_F_large) ? SEGMENT_LARGE : SEGMENT_SMALL;
	sc.min_free_bytes = 0;
	sc.max_messages = h->conf->messages_max;
	sc.seed = rng_u64(dice(h->s, DICE_HOST));
	return spool_open(&h->spool, &sc, &h->disk.disk, false, why,
	    sizeof(why));
}

/* As spooler_restore: everything that the spool holds goes to the core. */
static int
restore(struct host *h)
{
	struct book_tail tail;
	struct spool_found f;
	struct spool_damage d;
	int got;

	books_tail(h, &tail);
	while ((got = spool_scan(h->spool, &f, &d)) > 0) {
		if (got == 2) {
			core_damage(h->core, &d);
			continue;
		}
		led_found(h->s->ledger, &f);
		core_receive_again(h->core, &f, &tail);
		core_restore(h->core, &f);
	}
	books_write(h);
	tail_free(&tail);
	if (got == 0) {
		led_scanned(h->s->ledger);
		led_lines(h->s->ledger);
	}
	h->disk.is_settled = true;
	return got;
}

static void
power_on(struct host *h)
{
	struct sim *s = h->s;

	h->conf = h->boot_conf = sim_conf(s);
	led_retry(s->ledger, &h->conf->retry);
	led_weights(s->ledger, h->conf);
	led_engaged_reset(s->ledger);
	h->is_stopping = false;
	atomic_store(&h->gate.is_stopping, false);
	atomic_store(&h->gate.rcpts_free, (int64_t)h->conf->rcpts_max);
	atomic_store(&h->gate.staging_free, (int64_t)h->conf->staging_bytes);
	pool_init(&h->in_sessions, 8192, 1000);
	list_init(&h->in_list);
	if (sim_has(s, SIM_F_crash) && sim_chance(s, DICE_FAULT, 100))
		h->disk.ops_left = (int64_t)rng_below(dice(s, DICE_FAULT), 12);
}

void
host_start(struct sim *s)
{
	struct host *h = s->host;
	int err;

	power_on(h);
	h->is_up = true;
	h->is_asleep = true;
	err = open_spool(h);
	if (!err) {
		h->core = core_new(h->conf, &h->disk.disk, &h->gate,
		    rng_u64(dice(s, DICE_HOST)), &host_core_ops, h, s->now_us,
		    sim_wall(s));
		ASSERT(h->core);
		core_rates_spent(h->core);
		keep_recall(h);
		react_started(h);
		err = restore(h);
	}
	if (err || h->disk.is_dead) {
		story_add(s->story, "start-failed", 0, -1,
		    slice_str(err_name(err)));
		host_crash(s);
		return;
	}
	story_add(s->story, "started", 0, -1, SL(""));
	if (h->disk.has_lied && sim_has(s, SIM_F_crash) &&
	    sim_chance(s, DICE_FAULT, 500))
		h->disk.ops_left = (int64_t)rng_below(dice(s, DICE_FAULT), 30);
	actor_wake(&h->in);
	actor_wake(&h->out);
	actor_wake(&h->spooler);
	if (h->releases) {
		struct core_selector all = { .everything = true };

		h->releases = false;
		host_admin(s, VERB_RELEASE, &all);
	}
	clients_wake(s);
}

static void
on_boot(void *arg)
{
	host_start(((struct host *)arg)->s);
}

/* ---- crash -------------------------------------------------------------------------- */

/* The process is gone in this instant: nothing is written or said any more. */
static void
drop_all(struct host *h)
{
	sim_disk_die(&h->disk);
	inbound_crash(h);
	outbound_crash(h);
	posts_free(h, &h->in.box);
	posts_free(h, &h->out.box);
	posts_free(h, &h->spooler.box);
	posts_free(h, &h->inbox);
	posts_free(h, &h->core_inbox);
	posts_free(h, &h->commits);
	posts_free(h, &h->to_spool);
	posts_free(h, &h->held);
	if (h->outcomes)
		outcomes_free(h->outcomes);
	h->outcomes = NULL;
	h->fresh_since_us = h->held_since_us = h->given_since_us = 0;
	h->answers = h->answers_seen = 0;
	h->ncommits = h->waiting = h->in_events = 0;
	if (h->core)
		core_free(h->core);
	h->core = NULL;
	if (h->spool)
		spool_close(h->spool);
	h->spool = NULL;
	parcels_free(h);
	pool_free(&h->in_sessions);
}

static void
die(struct sim *s, const char *what)
{
	struct host *h = s->host;

	s->report->crashes++;
	story_add(s->story, what, 0, -1, SL(""));
	h->is_crashing = true;
	sim_disk_die(&h->disk);
	s->marks->n[MARK_crash_before_250] += h->waiting != 0;
	s->marks->n[MARK_crash_in_stop] += h->is_stopping;
	host_gone(h);
}

void
host_crash(struct sim *s)
{
	bool is_kill = s->host->disk.is_kill;

	books_crash(s->host, !is_kill);
	die(s, is_kill ? "KILL" : "CRASH");
	if (!is_kill)
		sim_disk_power(&s->host->disk);
}

void
host_kill(struct sim *s)
{
	s->marks->n[MARK_killed]++;
	books_crash(s->host, false);
	die(s, "KILL");
}

void
host_gone(struct host *h)
{
	struct sim *s = h->s;

	h->is_up = false;
	drop_all(h);
	sim_timer_cancel(s, &h->stop);
	sim_timer_cancel(s, &h->in.turn);
	sim_timer_cancel(s, &h->out.turn);
	sim_timer_cancel(s, &h->spooler.turn);
	sim_zone_forget(s);
	led_crash(s->ledger);
	lim_crash(s->limits);
	met_crash(s->meters);
	wrm_crash(s->warms);
	std_crash(s->stands);
	h->given = h->applied = 0;
	h->is_crashing = false;
	keep_crash(h);
	sim_disk_restart(&h->disk);
	sim_timer_set(s, &h->boot,
	    s->now_us +
		rng_range(dice(s, DICE_HOST), 100 * US_PER_MS, 20 * US_PER_S));
}

/* ---- what the world asks ------------------------------------------------------------ */

void
host_make(struct sim *s)
{
	struct host *h = mem_get(sizeof(*h));

	s->host = h;
	h->s = s;
	h->in.h = h->out.h = h->spooler.h = h;
	sim_timer_init(&h->in.turn, inbound_turn, h, "inbound");
	sim_timer_init(&h->out.turn, core_turn, h, "core");
	sim_timer_init(&h->spooler.turn, spooler_turn, h, "spooler");
	fiber_init(&h->fiber, spooler_fiber, h);
	sim_timer_init(&h->stop, host_stop_look, h, "stop");
	sim_timer_init(&h->boot, on_boot, h, "boot");
	books_make(h);
	keep_make(h);
	list_init(&h->parcels);
	sim_disk_open(&h->disk, s);
	h->disk.waits = &h->fiber;
}

void
host_free(struct sim *s)
{
	struct host *h = s->host;

	if (h->is_up)
		drop_all(h);
	fiber_free(&h->fiber);
	mem_free(h->sess);
	sim_disk_close(&h->disk);
	books_free(h);
	keep_free(h);
	sim_timer_cancel(s, &h->in.turn);
	sim_timer_cancel(s, &h->out.turn);
	sim_timer_cancel(s, &h->spooler.turn);
	sim_timer_cancel(s, &h->boot);
	mem_free(h->policy);
	sim_timer_cancel(s, &h->stop);
	mem_free(h);
}

bool
host_is_up(const struct sim *s)
{
	return s->host->is_up;
}

struct sim_disk *
host_disk(struct sim *s)
{
	return &s->host->disk;
}

void
host_reload(struct sim *s)
{
	struct host *h = s->host;

	if (h->is_stopping)
		return; /* the next start reads it */
	h->conf = sim_conf(s);
	led_retry(s->ledger, &h->conf->retry);
	led_weights(s->ledger, h->conf);
	led_engaged_reset(s->ledger);
	core_clock(h->core, s->now_us, sim_wall(s));
	led_unpin(s->ledger);
	std_conf(s->stands, h->conf);
	core_reload(h->core, h->conf, s->now_us);
	actor_wake(&h->out);
}

void
host_resolved(struct sim *s, uint32_t domain, const struct core_answer *a)
{
	struct host *h = s->host;

	core_clock(h->core, s->now_us, sim_wall(s));
	core_resolved(h->core, domain, a);
	actor_wake(&h->out);
}

static void
admin_done(void *ctx, uint64_t arg, uint32_t n)
{
	struct host *h = ctx;

	sim_trace_u64(h->s, n);
	if (arg == VERB_RETRY && n) {
		h->s->marks->n[MARK_retry_verb]++;
		led_retry_now(h->s->ledger, slice_of("", 0));
	}
	h->s->marks->n[MARK_released] += arg == VERB_RELEASE && n;
}

void
host_admin(struct sim *s, enum eng_verb verb, const struct core_selector *sel)
{
	struct host *h = s->host;

	/* A daemon that is about to stop may not come to it: told again when it
	 * has started. */
	if (!h->is_up || h->is_stopping)
		h->releases |= verb == VERB_RELEASE && sel->everything;
	if (!h->is_up)
		return;
	if (verb == VERB_RETRY)
		led_retry_now(s->ledger, sel->domain);
	core_clock(h->core, s->now_us, sim_wall(s));
	if (core_admin(h->core, verb, false, sel, SL("op"), SL("because"),
		admin_done, h, verb) == E_BUSY)
		return; /* too many at once; an operator tries again */
	actor_wake(&h->out);
}

/* ---- audits ------------------------------------------------------------------------- */

void
host_audit(struct sim *s)
{
	struct host *h = s->host;
	struct eng_totals t;
	struct led_sums sums;

	if (!h->is_up)
		return;
	core_check(h->core);
	react_audit(h);
	host_meters_audit(s, h->core);
	core_totals(h->core, &t);
	led_sums(s->ledger, &sums);
	/* What it was to send when it began to stop, the spool remembers: the
	 * engine still takes it for sent. */
	if (h->is_stopping)
		return;
	if (t.messages != sums.messages || t.recipients != sums.recipients)
		check_fail("accepted = over + queued", 0,
		    "the engine has %llu messages with %llu recipients|the "
		    "ledger has %llu with %llu",
		    (unsigned long long)t.messages,
		    (unsigned long long)t.recipients,
		    (unsigned long long)sums.messages,
		    (unsigned long long)sums.recipients);
}

bool
host_is_idle(const struct sim *s)
{
	const struct host *h = s->host;
	struct eng_totals t;

	if (!h->is_up || h->is_stopping || h->sess_live ||
	    !list_is_empty(&h->in_list) || h->spooler.box.head ||
	    h->out.box.head || h->in.box.head || h->to_spool.head ||
	    h->held.head || h->outcomes || h->given != h->applied ||
	    h->fiber.is_parked)
		return false;
	core_totals(h->core, &t);
	return t.messages == 0;
}

static void
base(const char *what, int64_t have, int64_t want)
{
	if (have != want)
		check_fail("what was taken is given back", 0,
		    "at rest %s is %lld|it began with %lld", what,
		    (long long)have, (long long)want);
}

void
host_rest(struct sim *s)
{
	struct host *h = s->host;
	struct spool_stats st;
	struct eng_totals t;

	if (!h->is_up)
		check_fail("everything drains once faults stop", 0,
		    "faults stopped long ago|the daemon is not up");
	core_totals(h->core, &t);
	spool_stats_get(h->spool, &st);
	base("the room for recipients", atomic_load(&h->gate.rcpts_free),
	    h->boot_conf->rcpts_max);
	base("the room for bodies", atomic_load(&h->gate.staging_free),
	    (int64_t)h->boot_conf->staging_bytes);
	base("the number of messages in the engine", (int64_t)t.messages, 0);
	base("the number of recipients in the engine", (int64_t)t.recipients,
	    0);
	base("the number of sessions in the engine", (int64_t)t.sessions, 0);
	base("the number of domains in the engine", (int64_t)t.domains, 0);
	base("the number of sites in the engine", (int64_t)t.sites, 0);
	base("the number of queues in the engine", (int64_t)t.queues, 0);
	base("the number of paths in the engine", (int64_t)t.paths, 0);
	base("the number of bytes in the spool", (int64_t)st.bytes, 0);
	base("the number of sessions in", (int64_t)h->in_sessions.live, 0);
	base("the number of sessions out", (int64_t)h->sess_live, 0);
	if (!list_is_empty(&h->parcels) || !list_is_empty(&s->links))
		check_fail("what was taken is given back", 0,
		    "at rest a %s is still in somebody's hands|all is over",
		    list_is_empty(&s->links) ? "parcel" : "connection");
	base("the number of messages in the spool", (int64_t)st.messages, 0);
	base("the number of sessions by our count", lim_sessions(s->limits), 0);
	s->marks->n[MARK_segment_recycled] += st.recycled;
	s->marks->n[MARK_segment_compacted] += st.compacted;
}

/*
 * sim/world.c - the heap of events, the clocks, the dice, and the two phases
 * of a run.
 */
#include "sim/sim_i.h"
#include "world/judge.h"

#define START_US (1000 * US_PER_S)
/* So that a day begins in some zone a quarter of an hour after the world does. */
#define WALL_START_US (INT64_C(1800001700) * US_PER_S)
#define AUDIT_EVERY 1000u
#define SHARES_EVERY 200u
#define UNSYNCED_US (200 * US_PER_MS)
#define LAZY_US (400 * US_PER_MS) /* clerk 200, three wakes of 60 */
/* After so long what was learnt is forgotten: the engine gives back after a
 * minute what has no mail, behind each other's back; no bucket of a rate in a world
 * is longer than two, and no pause of a path than half an hour, if its rate was
 * learnt from what refusals cost. One is remembered for as long again. */
#define IDLE_US (9000 * US_PER_S) /* until nothing is remembered of paths */
#define EVENTS_MAX UINT64_C(2000000)

const char *
sim_feature_name(enum sim_feature f)
{
	static const char *const names[] = {
#define X(name, text) #name,
		SIM_FEATURES(X)
#undef X
	};

	return f < SIM_FEATURE_N ? names[f] : "?";
}

/* ---- time ------------------------------------------------------------------------ */

void
sim_timer_init(struct timer *t, void (*fn)(void *arg), void *arg,
    const char *what)
{
	*t = (struct timer){ .fn = fn, .arg = arg, .what = what };
}

void
sim_timer_set(struct sim *s, struct timer *t, int64_t at_us)
{
	if (at_us == TIME_NEVER) {
		sim_timer_cancel(s, t);
		return;
	}
	at_us = MAX(at_us, s->now_us);
	if (heap_has(&t->node))
		heap_rekey(&s->heap, &t->node, at_us);
	else
		ASSERT(heap_push(&s->heap, &t->node, at_us) == 0);
}

void
sim_timer_cancel(struct sim *s, struct timer *t)
{
	if (heap_has(&t->node))
		heap_remove(&s->heap, &t->node);
}

void
sim_trace(struct sim *s, const void *p, size_t n)
{
	s->hash = hash_u64(s->hash ^ crc32c((uint32_t)n, p, n));
}

void
sim_trace_u64(struct sim *s, uint64_t v)
{
	s->hash = hash_u64(s->hash ^ v) + v;
}

bool
sim_chance(struct sim *s, enum sim_dice d, uint32_t per_mille)
{
	return rng_below(&s->dice[d], 1000) < per_mille && !s->is_healed;
}

void
sim_fault(struct sim *s, const char *what, struct slice text)
{
	s->report->faults++;
	story_add(s->story, what, 0, -1, text);
}

/* An outcome may be unsynced for 200 ms, from the result to the sync: so much
 * may be delivered twice after a crash. A thread that is woken late comes on
 * top of it, and a disk that fails or hangs excuses everything. */
static void
unsynced(struct sim *s)
{
	int64_t us = led_unsynced_us(s->ledger), max = UNSYNCED_US;

	if (sim_has(s, SIM_F_lazy))
		max += LAZY_US;
	if (us > max && host_is_up(s) && !sim_disk_is_ill(host_disk(s)))
		check_fail("an outcome is soon on the medium", 0,
		    "an outcome has waited for a sync for %.3f s|at most %.3f "
		    "s are allowed",
		    (double)us / US_PER_S, (double)max / US_PER_S);
	if (us > UNSYNCED_US / 2)
		s->marks->n[MARK_outcome_waited]++;
}

/* One event; false when nothing is left to happen. */
static bool
step(struct sim *s)
{
	struct heap_node *n = heap_pop(&s->heap);
	struct timer *t;

	if (!n)
		return false;
	t = container_of(n, struct timer, node);
	s->now_us = MAX(s->now_us, n->key);
	s->report->events++;
	s->story->now_us = s->now_us - START_US;
	s->story->event = s->report->events;
	led_clock(s->ledger, s->now_us, sim_wall(s));
	sim_trace(s, t->what, strlen(t->what));
	sim_trace_u64(s, (uint64_t)s->now_us);
	t->fn(t->arg);
	unsynced(s);
	/* A tenant may be held up by a limit of its own, or its domains by
	 * their sources; and each zone of a campaign has its turn, and so have those of it
	 * that are engaged. */
	if (s->report->events % SHARES_EVERY == 0 &&
	    !sim_has(s, SIM_F_dns_move) && !sim_has(s, SIM_F_tuples) &&
	    !s->plan.apart && !sim_has(s, SIM_F_sticky) &&
	    !sim_has(s, SIM_F_zones) && !sim_has(s, SIM_F_engaged) &&
	    !s->plan.reacts_by_mail)
		led_shares(s->ledger);
	if (s->report->events >= s->next_audit) {
		s->next_audit += AUDIT_EVERY;
		led_audit(s->ledger);
		host_audit(s);
	}
	return true;
}

/* ---- phases ------------------------------------------------------------------------ */

static void
heal(struct sim *s)
{
	s->is_healed = true;
	story_add(s->story, "HEALED", 0, -1, SL("no faults from here on"));
	faults_heal(s);
	peers_heal(s);
	sim_zone_heal(s);
}

static bool
is_at_rest(const struct sim *s)
{
	return sim_load_is_done(s) && host_is_idle(s);
}

static void
run(struct sim *s)
{
	int64_t heal_at = s->now_us + s->plan.heal_us;
	int64_t end = heal_at + s->plan.bound_us;

	while (s->now_us < heal_at && step(s))
		if (s->report->events > EVENTS_MAX)
			check_fail("time goes on", 0,
			    "%llu events have happened|it is %.3f s",
			    (unsigned long long)s->report->events,
			    (double)s->now_us / US_PER_S);
	s->now_us = MAX(s->now_us, heal_at);
	heal(s);
	while (!is_at_rest(s) && s->now_us < end && step(s))
		continue;
	led_audit(s->ledger);
	led_rest(s->ledger);
	if (!sim_load_is_done(s))
		check_fail("everything drains once faults stop", 0,
		    "faults stopped long ago|senders still have messages that "
		    "the daemon did not take");
	end = s->now_us + IDLE_US;
	while (s->now_us < end && step(s))
		continue;
	host_audit(s);
	host_rest(s);
	led_lines(s->ledger);
}

/* Worlds that there were before a stream was added stay as they were. */
static void
make(struct sim *s)
{
	for (int i = 0; i < DICE_N; i++)
		rng_seed(&s->dice[i],
		    hash_u64(i < DICE_REACT ?
			    s->opts->seed * DICE_REACT + (uint64_t)i + 1 :
			    hash_u64(s->opts->seed) + (uint64_t)i));
	rng_seed(&s->checkpoint, s->opts->seed);
	s->now_us = START_US;
	s->wall_offset_us = WALL_START_US;
	s->next_audit = AUDIT_EVERY;
	s->story->now_us = 0;
	heap_init(&s->heap, 1u << 24);
	list_init(&s->links);
	plan_make(s);
	s->conf_used[0] = true;
	s->ledger = led_new(s->story, s->marks);
	if (!sim_has(s, SIM_F_disk_error) && !sim_has(s, SIM_F_disk_full) &&
	    !sim_has(s, SIM_F_disk_slow) && !sim_has(s, SIM_F_read_error) &&
	    !sim_has(s, SIM_F_rot) && !sim_has(s, SIM_F_clock) &&
	    sim_has(s, SIM_F_dsn))
		led_late(s->ledger, sim_conf(s)->delay_notice_us);
	s->limits = lim_new(s->story, s->marks);
	s->meters = met_new(s->marks);
	plan_meters(s);
	s->warms = wrm_new(&s->plan.warm, s->marks);
	s->stands = std_new(s->marks);
	s->sticks = stk_new(s->marks);
	led_clock(s->ledger, s->now_us, sim_wall(s));
	sim_load_make(s);
	sim_zone_make(s);
	peers_make(s);
	host_make(s);
	clients_make(s);
	faults_make(s);
	host_start(s);
}

static void
unmake(struct sim *s)
{
	faults_free(s);
	clients_free(s);
	host_free(s);
	peers_free(s);
	sim_zone_free(s);
	sim_load_free(s);
	links_free(s);
	led_free(s->ledger);
	lim_free(s->limits);
	met_free(s->meters);
	wrm_free(s->warms);
	std_free(s->stands);
	stk_free(s->sticks);
	judge_forget();
	plan_free(&s->plan);
	heap_free(&s->heap);
}

static void
report(struct sim *s)
{
	struct sim_report *r = s->report;
	struct led_sums sums;

	led_sums(s->ledger, &sums);
	r->hash = s->hash;
	r->features = s->plan.features;
	r->recipients = sums.accepted;
	r->delivered = sums.ever[OUTCOME_DELIVERED];
	r->bounced = sums.ever[OUTCOME_BOUNCED];
	r->expired = sums.ever[OUTCOME_EXPIRED];
	r->deleted = sums.ever[OUTCOME_DELETED] + sums.ever[OUTCOME_ADMIN];
	r->notices = sums.notices;
	r->second_deliveries = sums.second;
	r->seconds = (uint64_t)((s->now_us - START_US) / US_PER_S);
}

void
sim_run(const struct sim_opts *o, struct sim_report *r)
{
	int64_t before, left;
	struct sim *s;

	judge_load(); /* once, and for good */
	before = mem_live();
	s = mem_get(sizeof(*s));
	memset(r, 0, sizeof(*r));
	r->seed = o->seed;
	s->opts = o;
	s->report = r;
	s->story = o->story;
	s->marks = o->marks;
	story_reset(s->story);
	make(s);
	run(s);
	report(s);
	unmake(s);
	mem_free(s);
	left = mem_live() - before;
	if (left)
		check_fail("what was taken is given back", 0,
		    "%lld pieces of memory are left when the world is "
		    "over|there were none before",
		    (long long)left);
}

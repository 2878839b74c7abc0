/*
 * sim/fault.c - what happens to the world from outside: power losses, sick
 * disks, clocks that jump, moods of hosts, moving domains, reloads, operators.
 * Each kind has a timer of its own and dice of its own for the next time.
 */
#include "sim/sim_i.h"

struct fault {
	struct sim *s;
	enum sim_feature feature;
	void (*fn)(struct sim *s);
	int64_t mean_us;
	struct timer timer;
};

static void
disk_plan(struct sim *s, uint32_t write_ppm, uint32_t sync_ppm)
{
	struct disk_fault_plan plan = { .fail_write_ppm = write_ppm,
		.fail_sync_ppm = sync_ppm };

	disk_memory_set_plan(host_disk(s)->under, &plan);
}

static void
on_crash(struct sim *s)
{
	struct rng *r = dice(s, DICE_FAULT);

	if (!host_is_up(s))
		return;
	if (rng_below(r, 4)) { /* between two operations of the disk */
		host_disk(s)->ops_left = (int64_t)rng_below(r, 40);
		return;
	}
	s->marks->n[MARK_crash_idle]++;
	sim_fault(s, "power-loss", SL("at rest"));
	host_crash(s);
}

static void
on_stop(struct sim *s)
{
	if (!host_is_up(s))
		return;
	if (rng_below(dice(s, DICE_FAULT), 4) == 0) {
		sim_fault(s, "kill", SL(""));
		host_kill(s);
		return;
	}
	sim_fault(s, "stop", SL(""));
	host_stop(s);
}

static void
on_disk_error(struct sim *s)
{
	struct rng *r = dice(s, DICE_FAULT);
	bool ends = rng_below(r, 2);
	uint32_t write_ppm = (uint32_t)rng_below(r, 100000);
	uint32_t sync_ppm = (uint32_t)rng_below(r, 100000);

	sim_fault(s, ends ? "disk-well" : "disk-sick", SL(""));
	disk_plan(s, ends ? 0 : write_ppm, ends ? 0 : sync_ppm);
}

static void
on_disk_full(struct sim *s)
{
	bool ends = rng_below(dice(s, DICE_FAULT), 2);

	sim_fault(s, ends ? "disk-has-space" : "disk-full", SL(""));
	sim_disk_fill(host_disk(s), !ends,
	    rng_below(dice(s, DICE_FAULT), 1 << 20));
}

static void
on_read_error(struct sim *s)
{
	struct rng *r = dice(s, DICE_FAULT);
	bool ends = rng_below(r, 2);

	sim_fault(s, ends ? "reads-well" : "reads-fail", SL(""));
	host_disk(s)->read_per_mille =
	    ends ? 0 : 1 + (uint32_t)rng_below(r, 300);
}

/* A block that cannot be read, when the record holds a whole one: no other
 * record shall stand in it. */
static bool
lose_block(struct sim *s, const struct spool_ref *ref)
{
	uint64_t end = ref->offset + spool_record_bytes(ref);
	uint64_t at = (ref->offset + SIM_BLOCK - 1) / SIM_BLOCK * SIM_BLOCK;

	if (at + SIM_BLOCK > end || at == ref->offset)
		return false;
	if (!sim_disk_block_bad(host_disk(s), ref->file, at))
		return false;
	led_rot(s->ledger, ref->file, at, at + SIM_BLOCK);
	return true;
}

static void
on_rot(struct sim *s)
{
	struct rng *r = dice(s, DICE_FAULT);
	struct spool_ref ref;
	uint64_t at;
	char text[60];

	if (!host_is_up(s) || !led_some_ref(s->ledger, rng_u64(r), &ref))
		return;
	if (rng_below(r, 2) && lose_block(s, &ref)) {
		sim_fault(s, "bad-block", SL(""));
		return;
	}
	at = ref.offset + rng_below(r, spool_record_bytes(&ref));
	led_rot(s->ledger, ref.file, at, at + 1);
	sim_disk_rot(host_disk(s), ref.file, at, (int)rng_below(r, 8));
	snprintf(text, sizeof(text), "file %u offset %llu", ref.file,
	    (unsigned long long)at);
	sim_fault(s, "bit-rot", slice_str(text));
}

static void
on_dns(struct sim *s)
{
	sim_zone_move(s);
}

static void
on_mood(struct sim *s)
{
	peers_mood(s);
}

static void
on_clock(struct sim *s)
{
	int64_t by = rng_range(dice(s, DICE_FAULT), -300, 300) * US_PER_S;
	char text[40];

	if (by < 0) {
		met_clock_back(s->meters, sim_wall(s));
		wrm_clock_back(s->warms, sim_wall(s));
	}
	s->wall_offset_us += by;
	host_jumped(s);
	s->marks->n[by < 0 ? MARK_clock_back : MARK_clock_forward]++;
	snprintf(text, sizeof(text), "%lld s", (long long)(by / US_PER_S));
	sim_fault(s, "clock-jump", slice_str(text));
}

static void
on_reload(struct sim *s)
{
	if (!host_is_up(s))
		return;
	s->conf_now = (uint32_t)rng_below(dice(s, DICE_FAULT), s->plan.nconfs);
	s->conf_used[s->conf_now] = true;
	plan_meters(s);
	s->marks->n[MARK_reloaded]++;
	sim_fault(s, "reload", SL(""));
	host_reload(s);
}

static void
on_operator(struct sim *s)
{
	static const enum eng_verb verbs[] = { VERB_HOLD, VERB_RELEASE,
		VERB_RETRY, VERB_BOUNCE, VERB_DELETE, VERB_RELEASE, VERB_RETRY,
		VERB_COUNT };
	struct rng *r = dice(s, DICE_OPERATOR);
	struct core_selector sel = { 0 };
	uint64_t site = rng_below(r, s->plan.nsites);
	char domain[40], tenant[16];
	enum eng_verb v = verbs[rng_below(r, ARRAY_LEN(verbs))];

	if (!host_is_up(s))
		return;
	snprintf(domain, sizeof(domain), "d%u.g%u.example",
	    (unsigned)rng_below(r, s->plan.ndomains[site]), (unsigned)site);
	snprintf(tenant, sizeof(tenant), "t%u",
	    (unsigned)rng_below(r, s->plan.ntenants));
	sel.domain = slice_str(domain);
	if (rng_below(r, 2))
		sel.tenant = slice_str(tenant);
	sim_fault(s, "operator", slice_str(domain));
	host_admin(s, v, &sel);
}

static void
on_reaction(struct sim *s)
{
	if (sim_has(s, SIM_F_operator_acts))
		host_end_reaction(s);
}

static const struct {
	enum sim_feature feature;
	void (*fn)(struct sim *s);
	int64_t mean_s;
} kinds[] = {
	{ SIM_F_crash, on_crash, 120 },
	{ SIM_F_stop, on_stop, 150 },
	{ SIM_F_disk_error, on_disk_error, 60 },
	{ SIM_F_disk_full, on_disk_full, 120 },
	{ SIM_F_read_error, on_read_error, 60 },
	{ SIM_F_rot, on_rot, 60 },
	{ SIM_F_dns_move, on_dns, 60 },
	{ SIM_F_refuse, on_mood, 40 },
	{ SIM_F_storm, on_mood, 60 },
	{ SIM_F_clock, on_clock, 200 },
	{ SIM_F_reload, on_reload, 120 },
	{ SIM_F_operator_acts, on_operator, 60 },
	{ SIM_F_reactions, on_reaction, 90 },
};
#define NKINDS ARRAY_LEN(kinds)

static void
arm(struct fault *f)
{
	sim_timer_set(f->s, &f->timer,
	    f->s->now_us +
		(int64_t)rng_below(dice(f->s, DICE_FAULT),
		    (uint64_t)(2 * f->mean_us)));
}

static void
on_timer(void *arg)
{
	struct fault *f = arg;

	if (f->s->is_healed)
		return;
	f->fn(f->s);
	arm(f);
}

void
faults_make(struct sim *s)
{
	s->faults = mem_get(NKINDS * sizeof(*s->faults));
	for (size_t i = 0; i < NKINDS; i++) {
		struct fault *f = &s->faults[i];

		f->s = s;
		f->feature = kinds[i].feature;
		f->fn = kinds[i].fn;
		f->mean_us = kinds[i].mean_s * US_PER_S;
		sim_timer_init(&f->timer, on_timer, f, "fault");
		if (sim_has(s, f->feature))
			arm(f);
	}
}

void
faults_heal(struct sim *s)
{
	struct core_selector all = { .everything = true };

	for (size_t i = 0; i < NKINDS; i++)
		sim_timer_cancel(s, &s->faults[i].timer);
	disk_plan(s, 0, 0);
	sim_disk_heal(host_disk(s));
	if (sim_has(s, SIM_F_operator_acts))
		host_admin(s, VERB_RELEASE, &all);
}

void
faults_free(struct sim *s)
{
	mem_free(s->faults);
}

/*
 * engine/quiet.c - hours in which a tenant's mail does not go.
 *
 * A queue whose tenant is quiet is parked until the hours end, when it would be
 * its turn: nothing is asked of it meanwhile, no attempt of its recipients is
 * burned, and their lifetimes run on. The hours are those of the wall clock in
 * the zone that the message names, if the policy has it, or the tenant's; a clock that is set, or another policy, makes all that is
 * parked look again.
 */
#include "engine/standing_i.h"

#define HOPS_MAX (2 * ENG_QUIET_MAX) /* windows that follow each other */
/* An ETA looks so often, and takes hours to begin at whole parts of an hour. */
#define STRETCH_LOOKS 500
#define STRETCH_S 900

static int64_t
floor_div(int64_t a, int64_t b)
{
	return a / b - (a % b < 0);
}

/* The end of a window that a local time lies in; it is that itself when it lies
 * in none. */
static int64_t
window_end_s(const struct eng_quiet *q, int64_t local_s)
{
	int64_t today = floor_div(local_s, ZONE_DAY_S);

	for (int64_t day = today - 1; day <= today; day++) {
		/* Day 0 was a Thursday. */
		uint32_t weekday = (uint32_t)((day % 7 + 7 + 3) % 7);
		int64_t from = day * ZONE_DAY_S + q->from_min * 60;
		int64_t to = day * ZONE_DAY_S + q->to_min * 60;

		if (q->to_min <= q->from_min)
			to += ZONE_DAY_S;
		if ((q->days >> weekday & 1) && from <= local_s && local_s < to)
			return to;
	}
	return local_s;
}

static const struct tzone *
zone_of(const struct eng *e, const struct eng_tenant_conf *t, uint32_t name)
{
	const struct eng_policy *p = e->policy;

	for (uint32_t i = 0; name != 0 && i < p->nzones; i++)
		if (p->zones[i].name == name)
			return &p->zones[i].zone;
	return &p->zones[t->zone].zone;
}

/* When a tenant is not quiet any more; that time itself when it is not then. */
static int64_t
quiet_until_s(const struct eng_tenant_conf *t, const struct tzone *z,
    int64_t utc_s)
{
	for (int hops = t->nquiet != 0 ? HOPS_MAX : 0; hops > 0; hops--) {
		int64_t local_s = utc_s + zone_offset_s(z, utc_s);
		int64_t end_s = local_s;

		for (uint32_t i = 0; i < t->nquiet; i++)
			end_s = MAX(end_s, window_end_s(&t->quiet[i], local_s));
		if (end_s == local_s)
			break;
		utc_s = MAX(utc_s + 1, zone_when_s(z, end_s));
	}
	return utc_s;
}

/* Now, or a time past, when it is not quiet. */
static int64_t
quiet_until_us(const struct eng *e, const struct flow *f)
{
	const struct eng_tenant_conf *t = eng_tenant_conf(e, f->tenant);
	int64_t utc_s = floor_div(eng_wall(e), US_PER_S);

	if (t->nquiet != 0)
		utc_s = quiet_until_s(t, zone_of(e, t, f->zone), utc_s);
	return eng_mono(e, utc_s * US_PER_S);
}

int64_t
eng_quiet_stretch(const struct eng *e, const struct flow *f, int64_t now_us,
    int64_t us)
{
	const struct eng_tenant_conf *t = eng_tenant_conf(e, f->tenant);
	const struct tzone *z = zone_of(e, t, f->zone);
	int64_t began = (now_us + e->wall_off_us) / US_PER_S, at = began;
	int64_t left = us / US_PER_S;

	if (t->nquiet == 0)
		return us;
	for (int k = 0; k < STRETCH_LOOKS && left > 0; k++) {
		int64_t open = quiet_until_s(t, z, at);
		/* To the next of the steps that hours may begin at. */
		int64_t part = MIN(STRETCH_S - open % STRETCH_S, left);

		at = open + part;
		left -= part;
	}
	return (at - began + left) * US_PER_S + us % US_PER_S;
}

void
eng_lane_hush(struct eng *e, struct lane *l)
{
	uint32_t q;

	while ((e->has_quiet || e->kinds.queue_acts != 0) &&
	    (q = eng_lane_next(e, l)) != 0) {
		const struct queue *x = pool_at(&e->queues, q);
		const struct flow *f = pool_at(&e->flows, x->flow);
		int64_t until = e->has_quiet ? quiet_until_us(e, f) : e->now;
		uint32_t by;

		if (until > e->now) {
			eng_queue_park(e, q, WHY_QUIET, until, 0);
			continue;
		}
		by = eng_queue_standing(e, x, &until);
		if (by == 0)
			return;
		eng_queue_park(e, q, WHY_SUSPENDED, until, by);
	}
}

void
eng_quiet_again(struct eng *e)
{
	e->has_quiet = false;
	for (uint32_t i = 0; i < e->policy->ntenants; i++)
		e->has_quiet |= e->policy->tenants[i].nquiet != 0;
	e->conf_park = 1;
}

void
eng_quiet_run(struct eng *e)
{
	for (int left = SLICE; left > 0 && e->conf_park != 0; left--) {
		uint32_t i = e->conf_park++;
		const struct park *k;

		if (i >= e->parks.next_new) {
			e->conf_park = 0;
			return;
		}
		k = pool_at(&e->parks, i);
		if (pool_is_live(&e->parks, i) &&
		    (k->why == WHY_QUIET || k->why == WHY_SUSPENDED))
			eng_queue_unpark(e, k->queue);
	}
}

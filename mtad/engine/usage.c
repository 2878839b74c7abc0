/*
 * engine/usage.c - how far the policy's limits are used, as arithmetic on what a
 * meter holds: nothing here changes one. count.c spends by it; viewers get it in
 * rows.
 */
#include "engine/usage.h"
#include "engine/engine_i.h"

/* ---- what a meter would hold then -------------------------------------------- */

int64_t
eng_bucket_credit(const struct bucket *b, const struct eng_rate *r,
    int64_t now_us)
{
	int64_t passed = now_us - b->at_us, max = eng_bucket_max(r);
	int64_t count = (int64_t)r->count, credit = MIN(b->credit, max);

	return passed > (max - credit) / count ? max : credit + passed * count;
}

uint32_t
eng_meter_conns_max(const struct meter *m, const struct eng_limit_conf *c,
    int64_t now_us, int64_t *until_us)
{
	uint64_t max = c->conns_max ? c->conns_max : UINT32_MAX;
	int64_t begun, steps;
	uint64_t up;

	*until_us = TIME_NEVER;
	if (c->ramp.count == 0)
		return (uint32_t)max;
	begun = m->conns != 0 ? m->ramp_us : now_us;
	steps = MIN(now_us - begun, INT64_C(1) << 40) * (int64_t)c->ramp.count /
	    c->ramp.period_us;
	up = MAX(c->ramp.burst, UINT64_C(1)) + (uint64_t)steps;
	if (up >= max)
		return (uint32_t)max;
	*until_us = begun +
	    ((steps + 1) * c->ramp.period_us + (int64_t)c->ramp.count - 1) /
		(int64_t)c->ramp.count;
	return (uint32_t)up;
}

int64_t
eng_quota_part_us(const struct eng_limit_conf *c)
{
	return MAX(c->quota_us / (WINDOW_SLOTS - 1), 1);
}

static const struct tzone *
zone_of(const struct eng *e, const struct eng_limit_conf *c)
{
	return &e->policy->zones[MIN(c->zone, e->policy->nzones - 1)].zone;
}

int64_t
eng_quota_day(const struct eng *e, const struct eng_limit_conf *c,
    int64_t now_us)
{
	return zone_day(zone_of(e, c), (now_us + e->wall_off_us) / US_PER_S);
}

int64_t
eng_quota_day_us(const struct eng *e, const struct eng_limit_conf *c,
    int64_t day)
{
	return eng_mono(e, zone_day_start_s(zone_of(e, c), day) * US_PER_S);
}

/* ---- rows ----------------------------------------------------------------------- */

/* The latest of those that are in the way. */
static void
later(struct eng_limit_row *v, int64_t until_us)
{
	v->is_shut = true;
	v->until_us = MAX(v->until_us, until_us);
}

static void
put_rate(struct eng_limit_row *v, struct eng_usage *t, const struct bucket *b,
    const struct eng_rate *r, int64_t now_us)
{
	int64_t credit, missing, period_us = r->period_us;

	if (r->count == 0)
		return;
	credit = eng_bucket_credit(b, r, now_us);
	t->most = MAX(r->burst, UINT64_C(1));
	t->now = (uint64_t)((eng_bucket_max(r) - credit + period_us - 1) /
	    period_us);
	missing = period_us - credit;
	if (missing > 0)
		later(v,
		    now_us +
			(missing + (int64_t)r->count - 1) / (int64_t)r->count);
}

static void
put_conns(struct eng_limit_row *v, const struct meter *m,
    const struct eng_limit_conf *c, int64_t now_us)
{
	uint32_t most;
	int64_t until_us;

	v->conns.now = m->conns;
	if (c->conns_max == 0 && c->ramp.count == 0)
		return;
	most = eng_meter_conns_max(m, c, now_us, &until_us);
	v->conns.most = most;
	if (m->conns >= most)
		later(v, until_us);
}

/* What of a window's parts is still in it, and when the first of it leaves. */
static uint64_t
window_sum(const struct window *w, const struct eng_limit_conf *c,
    int64_t now_us, int64_t *until_us)
{
	int64_t part_us = eng_quota_part_us(c), slot = now_us / part_us;
	uint64_t sum = 0;

	for (int64_t s = w->slot;
	     s > slot - WINDOW_SLOTS && s > w->slot - WINDOW_SLOTS && s >= 0;
	     s--) {
		if (w->n[s % WINDOW_SLOTS] != 0)
			*until_us = (s + WINDOW_SLOTS) * part_us;
		sum += w->n[s % WINDOW_SLOTS];
	}
	return sum;
}

static void
put_quota(const struct eng *e, struct eng_limit_row *v, const struct meter *m,
    const struct eng_limit_conf *c, int64_t now_us)
{
	int64_t until_us = TIME_NEVER;

	v->quota.most = c->quota;
	if (c->quota == 0)
		return;
	if (c->quota_us == 0) {
		v->quota.now =
		    eng_quota_day(e, c, now_us) > m->day ? 0 : m->used;
		until_us = eng_quota_day_us(e, c, m->day + 1);
	} else if (m->window != 0) {
		v->quota.now = window_sum(pool_at(&e->windows, m->window), c,
		    now_us, &until_us);
	}
	if (v->quota.now >= c->quota)
		later(v, until_us);
}

/* What has been counted, and what those who wait have waited since. */
static struct eng_blocked
blocked_now(const struct eng_blocked *b, const struct waits *w, int64_t now_us)
{
	struct eng_blocked out = *b;

	out.path_us += w->npaths * (uint64_t)now_us - w->since_us;
	return out;
}

static void
put_row(const struct eng *e, const struct meter *m, int64_t now_us,
    struct eng_limit_row *v)
{
	const struct eng_limit_conf *c = &e->policy->caps[m->cap];

	*v = (struct eng_limit_row){ .cap = m->cap,
		.name = m->name,
		.dims = m->dims,
		.waiting = m->waits.n,
		.blocked = blocked_now(&m->blocked, &m->waits, now_us) };
	for (int d = 0; d < DIM_N; d++)
		v->val[d] = m->val[d];
	if (m->dims >> DIM_SITE & 1)
		v->val[DIM_SITE] = eng_site_label(e, m->val[DIM_SITE]);
	v->val[DIM_HOST] = 0;
	if (m->dims >> DIM_HOST & 1)
		v->host =
		    ((const struct host *)pool_at(&e->hosts, m->val[DIM_HOST]))
			->ip;
	put_conns(v, m, c, now_us);
	put_rate(v, &v->opens, &m->opens, &c->conns, now_us);
	put_rate(v, &v->msgs, &m->msgs, &c->msgs, now_us);
	put_rate(v, &v->rcpts, &m->rcpts, &c->rcpts, now_us);
	put_rate(v, &v->bytes, &m->bytes, &c->bytes, now_us);
	put_quota(e, v, m, c, now_us);
	if (v->until_us == TIME_NEVER)
		v->until_us = 0;
}

uint32_t
eng_limit_rows(const struct eng *e, uint32_t *cursor, uint32_t looks,
    int64_t now_us, struct eng_limit_row *v, uint32_t n)
{
	uint32_t i = MAX(*cursor, 1u), have = 0;

	for (; i < e->meters.next_new && have < n && looks > 0; i++, looks--) {
		const struct meter *m;

		if (!pool_is_live(&e->meters, i))
			continue;
		m = eng_meter(e, i);
		/* Of another policy, and not looked at since. */
		if (m->generation != e->generation || m->cap == CAP_NONE)
			continue;
		put_row(e, m, now_us, &v[have]);
		have += v[have].waiting != 0 || eng_limit_is_used(&v[have]);
	}
	*cursor = i < e->meters.next_new ? i : 0;
	return have;
}

bool
eng_limit_is_used(const struct eng_limit_row *v)
{
	return (v->conns.now | v->opens.now | v->msgs.now | v->rcpts.now |
		   v->bytes.now | v->quota.now) != 0;
}

uint32_t
eng_limit_sums(const struct eng *e, int64_t now_us, struct eng_limit_sum *v)
{
	for (uint32_t k = 0; k < e->policy->ncaps; k++)
		v[k] = (struct eng_limit_sum){ .name = e->policy->caps[k].name,
			.waiting = e->cap_waits[k].n,
			.blocked = blocked_now(&e->cap_blocked[k],
			    &e->cap_waits[k], now_us) };
	return e->policy->ncaps;
}

/* ---- what is to be expected ---------------------------------------------------- */

/* Of what the window holds, from the oldest part on: when the nth of it leaves;
 * *last: how many then. 0: it does not hold so many. */
static int64_t
window_leaves_us(const struct eng *e, const struct meter *m,
    const struct eng_limit_conf *c, uint64_t n, uint64_t *last)
{
	const struct window *w = pool_at(&e->windows, m->window);

	for (int64_t s = w->slot - (WINDOW_SLOTS - 1); s <= w->slot; s++) {
		uint32_t have = s >= 0 ? w->n[s % WINDOW_SLOTS] : 0;

		*last = n;
		if (n <= have)
			return (s + WINDOW_SLOTS) * eng_quota_part_us(c);
		n -= have;
	}
	return 0;
}

int64_t
eng_quota_when(const struct eng *e, uint32_t meter, uint64_t n, uint64_t *last)
{
	const struct meter *m = eng_meter(e, meter);
	const struct eng_limit_conf *c;
	uint64_t used = m->used, left, rounds;
	int64_t day, at;

	*last = n;
	if (m->generation != e->generation || m->cap == CAP_NONE)
		return e->now;
	c = &e->policy->caps[m->cap];
	if (c->quota == 0)
		return e->now;
	day = c->quota_us == 0 ? eng_quota_day(e, c, e->now) : 0;
	if (c->quota_us == 0 && day > m->day)
		used = 0;
	left = c->quota - MIN(used, c->quota);
	if (n <= left)
		return e->now;
	n -= left;
	rounds = MIN((n - 1) / c->quota, UINT64_C(400));
	*last = n = (n - 1) % c->quota + 1;
	if (c->quota_us == 0)
		return eng_quota_day_us(e, c,
		    MAX(day, m->day) + 1 + (int64_t)rounds);
	at = m->window != 0 ? window_leaves_us(e, m, c, n, last) : 0;
	if (at == 0) /* those that go now leave after all the others */
		at = e->now + WINDOW_SLOTS * eng_quota_part_us(c);
	return MAX(at, e->now) +
	    (int64_t)rounds * WINDOW_SLOTS * eng_quota_part_us(c);
}

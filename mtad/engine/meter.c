/*
 * engine/meter.c - which meters there are, and what belongs to which.
 *
 * A limit's tuple may speak of a path alone (source, netblock, site, provider,
 * node), of a queue alone (tenant, campaign, domains of senders, pool, and
 * where it goes), or of more. The meters of paths and queues are found once and
 * kept with them until the policy changes; the others are looked up.
 */
#include "engine/engine_i.h"

#define BIT(d) (1u << (d))
#define OF_BOTH (BIT(DIM_SITE) | BIT(DIM_PROVIDER) | BIT(DIM_NODE))
#define OF_PATH (OF_BOTH | BIT(DIM_SOURCE) | BIT(DIM_NETBLOCK))
#define OF_QUEUE_ONLY                                                          \
	(BIT(DIM_TENANT) | BIT(DIM_CAMPAIGN) | BIT(DIM_SENDER_DOMAIN) |        \
	    BIT(DIM_SIGNING_DOMAIN) | BIT(DIM_POOL))
#define OF_QUEUE (OF_BOTH | OF_QUEUE_ONLY)
/* A site's value that is the name of one of its hosts: what the books know. */
#define SITE_LABEL (1u << 31)

/* ---- what the policy's limits mean ---------------------------------------------- */

/* Dims that it looks at. */
static uint32_t
mask_of(const struct eng_limit_conf *c)
{
	uint32_t m = c->dims;

	for (int d = 0; d < DIM_N; d++)
		if (c->where[d] != 0)
			m |= BIT(d);
	return m;
}

static enum cap_level
level_of(const struct eng_limit_conf *c)
{
	uint32_t m = mask_of(c);

	if (m & BIT(DIM_HOST))
		return CAP_HOST;
	if ((m & ~OF_PATH) == 0)
		return CAP_PATH;
	return (m & ~OF_QUEUE) == 0 ? CAP_QUEUE : CAP_BOTH;
}

bool
eng_cap_counts_txns(const struct eng_limit_conf *c)
{
	return (mask_of(c) & OF_QUEUE_ONLY) != 0;
}

static bool
same_tuple(const struct eng_limit_conf *a, const struct eng_limit_conf *b)
{
	return a->name == b->name && a->dims == b->dims &&
	    memcmp(a->where, b->where, sizeof(a->where)) == 0;
}

static bool
same_rate(const struct eng_rate *a, const struct eng_rate *b)
{
	return a->count == b->count && a->burst == b->burst &&
	    a->period_us == b->period_us;
}

static bool
same_cap(const struct eng_limit_conf *a, const struct eng_limit_conf *b)
{
	return same_tuple(a, b) && same_rate(&a->msgs, &b->msgs) &&
	    same_rate(&a->rcpts, &b->rcpts) &&
	    same_rate(&a->bytes, &b->bytes) &&
	    same_rate(&a->conns, &b->conns) && a->quota == b->quota &&
	    a->quota_us == b->quota_us && a->zone == b->zone;
}

/* What has the meaning that it had counts on; what is new, or is another, begins
 * now with all spent. */
void
eng_caps_begin(struct eng *e, const struct eng_policy *p)
{
	const struct eng_policy *old = e->policy;
	int64_t since[ENG_CAPS_MAX];

	memset(e->caps_at, 0, sizeof(e->caps_at));
	e->cap_dims = 0;
	for (uint32_t k = 0; k < p->ncaps; k++) {
		since[k] = old == NULL ? 0 : e->now;
		for (uint32_t j = 0; old != NULL && j < old->ncaps; j++)
			if (same_cap(&p->caps[k], &old->caps[j]))
				since[k] = e->cap_since[j];
		e->cap_level[k] = (uint8_t)level_of(&p->caps[k]);
		e->caps_at[e->cap_level[k]]++;
		e->cap_dims |= mask_of(&p->caps[k]);
	}
	for (uint32_t k = 0; k < p->nautomations; k++)
		e->cap_dims |= p->automations[k].dims;
	memcpy(e->cap_since, since, p->ncaps * sizeof(since[0]));
	memset(e->cap_blocked, 0, sizeof(e->cap_blocked));
	memset(e->cap_waits, 0, sizeof(e->cap_waits));
}

const struct eng_limit_conf *
eng_meter_cap(struct eng *e, struct meter *m)
{
	const struct eng_policy *p = e->policy;
	int64_t since;

	if (m->generation == e->generation)
		return m->cap == CAP_NONE ? NULL : &p->caps[m->cap];
	m->generation = e->generation;
	m->cap = CAP_NONE;
	for (uint32_t k = 0; k < p->ncaps; k++)
		if (p->caps[k].name == m->name && p->caps[k].dims == m->dims &&
		    memcmp(p->caps[k].where, m->where, sizeof(m->where)) == 0)
			m->cap = k;
	if (m->cap == CAP_NONE)
		return NULL;
	since = e->cap_since[m->cap];
	if (since > m->synced_us)
		eng_meter_reset(e, m, since);
	m->synced_us = e->now;
	return &p->caps[m->cap];
}

/* ---- values ----------------------------------------------------------------------- */

struct tuple {
	uint32_t val[DIM_N];
	const struct site *site;
	uint32_t host_name;
};

static void
site_values(const struct eng *e, uint32_t site, struct tuple *t)
{
	t->site = pool_at(&e->sites, site);
	t->val[DIM_SITE] = site;
	t->val[DIM_PROVIDER] = t->site->provider;
	t->val[DIM_NODE] = 1;
}

static void
path_values(const struct eng *e, const struct path *p, struct tuple *t)
{
	site_values(e, p->site, t);
	t->val[DIM_SOURCE] = e->srcs[p->src].name;
	t->val[DIM_NETBLOCK] = e->srcs[p->src].netblock;
}

static void
queue_values(const struct eng *e, const struct queue *q, struct tuple *t)
{
	const struct flow *f = pool_at(&e->flows, q->flow);

	site_values(e, q->home, t);
	t->val[DIM_TENANT] = f->tenant;
	t->val[DIM_CAMPAIGN] = f->campaign;
	t->val[DIM_SENDER_DOMAIN] = f->sender_domain;
	t->val[DIM_SIGNING_DOMAIN] = f->signing_domain;
	t->val[DIM_POOL] = f->pool ? f->pool : e->policy->default_pool;
}

/* A site is named by any of its hosts. */
static bool
is_there(const struct tuple *t, int d, uint32_t name)
{
	if (d == DIM_HOST)
		return t->host_name == name;
	if (d != DIM_SITE)
		return t->val[d] == name;
	for (uint16_t k = 0; t->site != NULL && k < t->site->ntargets; k++)
		if (t->site->targets[k].name == name)
			return true;
	return false;
}

static bool
cap_applies(const struct eng_limit_conf *c, const struct tuple *t)
{
	for (int d = 0; d < DIM_N; d++) {
		if (c->where[d] != 0 && !is_there(t, d, c->where[d]))
			return false;
		if (c->dims & BIT(d) && t->val[d] == 0)
			return false;
	}
	return true;
}

/* ---- meters ------------------------------------------------------------------------- */

static uint64_t
meter_hash(const struct eng_limit_conf *c, const uint32_t val[DIM_N])
{
	uint64_t h = hash_u64(((uint64_t)c->name << 16) ^ c->dims);

	for (int d = 0; d < DIM_N; d++)
		if (c->dims & BIT(d))
			h = hash_u64(h ^ val[d]);
	return h;
}

static bool
meter_is(const struct meter *m, const struct eng_limit_conf *c,
    const uint32_t val[DIM_N])
{
	if (m->name != c->name || m->dims != c->dims ||
	    memcmp(m->where, c->where, sizeof(m->where)) != 0)
		return false;
	for (int d = 0; d < DIM_N; d++)
		if (c->dims & BIT(d) && m->val[d] != val[d])
			return false;
	return true;
}

static uint32_t
meter_find(const struct eng *e, const struct eng_limit_conf *c,
    const uint32_t val[DIM_N])
{
	uint32_t i = map_get(&e->meter_map, meter_hash(c, val));

	while (i != 0 && !meter_is(eng_meter(e, i), c, val))
		i = eng_meter(e, i)->twin;
	return i;
}

/* A site is held, so that its index remains its own. */
static uint32_t
meter_new(struct eng *e, uint32_t cap, const uint32_t val[DIM_N])
{
	const struct eng_limit_conf *c = &e->policy->caps[cap];
	uint64_t h = meter_hash(c, val);
	int64_t since = e->cap_since[cap];
	struct meter *m;
	uint32_t i;

	m = eng_slot(&e->meters, &i);
	m->cap = cap;
	m->name = c->name;
	m->dims = c->dims;
	memcpy(m->where, c->where, sizeof(m->where));
	for (int d = 0; d < DIM_N; d++)
		if (c->dims & BIT(d))
			m->val[d] = val[d];
	m->generation = e->generation;
	m->synced_us = e->now;
	m->day = INT64_MIN;
	m->twin = map_get(&e->meter_map, h);
	ASSERT(map_put(&e->meter_map, h, i) == 0);
	if (c->dims & BIT(DIM_SITE) && (val[DIM_SITE] & SITE_LABEL) == 0)
		eng_site_hold(e, val[DIM_SITE]);
	if (c->dims & BIT(DIM_HOST))
		((struct host *)pool_at(&e->hosts, val[DIM_HOST]))->nrefs++;
	if (since == 0 && e->begins_spent)
		since = e->start_us;
	eng_meter_reset(e, m, since);
	/* It may only have been asked. */
	eng_timer_set(e, &m->timer, TIMER_METER, i, e->now + IDLE_US);
	return i;
}

/* What the books had for a host of the site is the site's. */
static void
meter_labels(struct eng *e, uint32_t meter, const struct eng_limit_conf *c,
    const struct tuple *t)
{
	uint32_t val[DIM_N], i;

	if (c->quota == 0 || (c->dims & BIT(DIM_SITE)) == 0)
		return;
	memcpy(val, t->val, sizeof(val));
	for (uint16_t k = 0; k < t->site->ntargets; k++) {
		val[DIM_SITE] = t->site->targets[k].name | SITE_LABEL;
		i = meter_find(e, c, val);
		if (i != 0)
			eng_meter_inherit(e, meter, i);
	}
}

static uint32_t
meter_get(struct eng *e, uint32_t cap, const struct tuple *t)
{
	const struct eng_limit_conf *c = &e->policy->caps[cap];
	uint32_t i = meter_find(e, c, t->val);

	if (i != 0)
		return i;
	i = meter_new(e, cap, t->val);
	meter_labels(e, i, c, t);
	return i;
}

uint32_t
eng_meter_named(struct eng *e, const struct eng_entry *en)
{
	const struct eng_policy *p = e->policy;
	uint32_t val[DIM_N] = { 0 }, cap = 0, n = 1;

	while (cap < p->ncaps &&
	    (p->caps[cap].name != en->key[0] || p->caps[cap].dims != en->sub))
		cap++;
	if (cap == p->ncaps || en->nkeys == 0)
		return 0;
	for (int d = 0; d < DIM_N; d++)
		if (en->sub & BIT(d) && d != DIM_NODE && n < en->nkeys)
			val[d] =
			    en->key[n++] | (d == DIM_SITE ? SITE_LABEL : 0);
	val[DIM_NODE] = 1;
	if (p->caps[cap].dims & BIT(DIM_HOST))
		val[DIM_HOST] = eng_host_take(e, &en->host, en->port);
	n = meter_find(e, &p->caps[cap], val);
	if (n == 0)
		n = meter_new(e, cap, val);
	if (val[DIM_HOST] != 0)
		eng_host_drop(e, val[DIM_HOST]);
	return n;
}

uint32_t
eng_site_label(const struct eng *e, uint32_t val)
{
	const struct site *s;

	if (val & SITE_LABEL)
		return val & ~SITE_LABEL;
	s = pool_at(&e->sites, val);
	return s->rollup ? s->rollup : s->ntargets ? s->targets[0].name : 0;
}

static void
meter_free(struct eng *e, uint32_t i)
{
	struct meter *m = eng_meter(e, i);
	struct eng_limit_conf key = { .name = m->name, .dims = m->dims };
	uint64_t h = meter_hash(&key, m->val);
	uint32_t at = map_get(&e->meter_map, h);

	eng_meter_forget(e, m);
	if (at == i && m->twin == 0) {
		map_del(&e->meter_map, h);
	} else if (at == i) {
		ASSERT(map_put(&e->meter_map, h, m->twin) == 0);
	} else {
		while (eng_meter(e, at)->twin != i)
			at = eng_meter(e, at)->twin;
		eng_meter(e, at)->twin = m->twin;
	}
	eng_timer_cancel(e, &m->timer);
	if (m->is_asking)
		il_remove(K_ASKING(e), &e->asking, i);
	if (m->window != 0)
		pool_give(&e->windows, m->window);
	if (m->dims & BIT(DIM_HOST))
		eng_host_drop(e, m->val[DIM_HOST]);
	if (m->dims & BIT(DIM_SITE) && (m->val[DIM_SITE] & SITE_LABEL) == 0)
		eng_site_drop(e, m->val[DIM_SITE]);
	pool_give(&e->meters, i);
}

/* Its time: somebody may go on, or it is not needed any more. */
void
eng_meter_timer(struct eng *e, uint32_t meter)
{
	struct meter *m = eng_meter(e, meter);
	int64_t until;

	if (m->nrefs != 0) {
		eng_meter_run(e, meter);
		return;
	}
	if (eng_meter_is_blank(e, m, &until))
		meter_free(e, meter);
	else
		eng_timer_set(e, &m->timer, TIMER_METER, meter, until);
}

void
eng_meter_drop(struct eng *e, uint32_t meter)
{
	struct meter *m = eng_meter(e, meter);

	ASSERT(m->nrefs > 0);
	if (--m->nrefs == 0)
		eng_meter_timer(e, meter);
}

/* ---- who belongs to which ------------------------------------------------------------- */

struct charge *
eng_charge_add(struct eng *e, uint32_t *head, uint32_t meter)
{
	uint32_t i;
	struct charge *c = eng_slot(&e->charges, &i);

	c->meter = meter;
	c->next = *head;
	*head = i;
	eng_meter(e, meter)->nrefs++;
	return c;
}

void
eng_meters_drop(struct eng *e, struct meters *m)
{
	while (m->head != 0) {
		uint32_t i = m->head;
		struct charge c = *(struct charge *)pool_at(&e->charges, i);

		m->head = c.next;
		pool_give(&e->charges, i);
		eng_meter_drop(e, c.meter);
	}
}

static void
meters_find(struct eng *e, struct meters *m, enum cap_level level,
    const struct tuple *t)
{
	struct meters old = *m;

	memset(m, 0, sizeof(*m)); /* an image has its padding too */
	m->generation = e->generation;
	m->provider = t->site->provider;
	for (uint32_t k = 0; k < e->policy->ncaps; k++) {
		if (e->cap_level[k] != level ||
		    !cap_applies(&e->policy->caps[k], t))
			continue;
		eng_charge_add(e, &m->head, meter_get(e, k, t));
		m->is_metered |= eng_cap_is_sent(&e->policy->caps[k]);
	}
	eng_meters_drop(e, &old);
}

static bool
is_stale(const struct eng *e, const struct meters *m, uint32_t site)
{
	const struct site *s = pool_at(&e->sites, site);

	return m->generation != e->generation || m->provider != s->provider;
}

struct meters *
eng_path_meters(struct eng *e, struct path *p)
{
	struct tuple t = { 0 };

	if (is_stale(e, &p->meters, p->site) &&
	    (e->caps_at[CAP_PATH] != 0 || p->meters.head != 0)) {
		path_values(e, p, &t);
		meters_find(e, &p->meters, CAP_PATH, &t);
	}
	return &p->meters;
}

struct meters *
eng_queue_meters(struct eng *e, struct queue *q)
{
	struct tuple t = { 0 };

	if (is_stale(e, &q->meters, q->home) &&
	    (e->caps_at[CAP_QUEUE] != 0 || q->meters.head != 0)) {
		queue_values(e, q, &t);
		meters_find(e, &q->meters, CAP_QUEUE, &t);
	}
	return &q->meters;
}

bool
eng_caps_concern(struct eng *e, struct path *p, const struct lane *l,
    const struct queue *q)
{
	if (!eng_has_caps(e))
		return false;
	/* One who waits has stood there since before the policy. */
	return e->caps_at[CAP_QUEUE] + e->caps_at[CAP_BOTH] +
		e->caps_at[CAP_HOST] !=
	    0 ||
	    eng_path_meters(e, p)->head != 0 || p->waiter != 0 ||
	    l->waiter != 0 || q->waiter != 0;
}

uint32_t
eng_meter_of(struct eng *e, uint32_t cap, const struct asker *a)
{
	const struct eng_limit_conf *c = &e->policy->caps[cap];
	struct tuple t = { 0 };

	if (a->path != 0)
		path_values(e, pool_at(&e->paths, a->path), &t);
	t.val[DIM_SOURCE] = e->srcs[a->src].name;
	t.val[DIM_NETBLOCK] = e->srcs[a->src].netblock;
	if (a->queue != 0)
		queue_values(e, pool_at(&e->queues, a->queue), &t);
	else if (mask_of(c) & OF_QUEUE_ONLY)
		return 0;
	if (e->cap_level[cap] == CAP_HOST) {
		if (a->host == 0)
			return 0;
		t.val[DIM_HOST] = a->host;
		for (uint16_t k = 0; k < t.site->ntargets; k++)
			if (t.site->targets[k].host == a->host)
				t.host_name = t.site->targets[k].name;
	}
	return cap_applies(c, &t) ? meter_get(e, cap, &t) : 0;
}

/* ---- another policy --------------------------------------------------------------------- */

void
eng_session_rebind(struct eng *e, uint32_t i)
{
	struct sess *x = pool_at(&e->sessions, i);
	const struct path *p = pool_at(&e->paths, x->path);
	struct asker a = { .path = x->path, .src = p->src, .host = x->host };

	eng_promises_end(e, i, false);
	eng_caps_close(e, i);
	for (uint32_t t = x->txns.head; t != 0;) {
		const struct txn *v = pool_at(&e->txns, t);

		a.queue = v->queue;
		eng_caps_recount(e, &a, t);
		t = v->link.next;
	}
	a.queue = 0;
	eng_caps_hold(e, &a, i);
}

void
eng_caps_rebind(struct eng *e)
{
	if (e->meters.live == 0 && !eng_has_caps(e))
		return;
	for (uint32_t i = 1; i < e->sessions.next_new; i++)
		if (pool_is_live(&e->sessions, i))
			eng_session_rebind(e, i);
	e->conf_waiter = 1;
}

void
eng_caps_run(struct eng *e)
{
	for (int left = SLICE; left > 0 && e->conf_waiter != 0; left--) {
		uint32_t i = e->conf_waiter++;

		if (i >= e->waiters.next_new)
			e->conf_waiter = 0;
		else if (pool_is_live(&e->waiters, i))
			eng_waiter_release(e, i);
	}
}

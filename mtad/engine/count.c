/*
 * engine/count.c - what one meter counts, and what it still allows.
 *
 * A rate is a token bucket in integers, as that of a path: in any window W at
 * most burst + count * W / period go. A quota holds in any window of its length,
 * which moves in 60 parts, or in a calendar day of its zone.
 *
 * A quota survives a crash: before anything is spent an entry of the books
 * covers it, a block at a time. The next block is asked for when half of the
 * last is spent. At a start all that an entry covers counts as spent.
 */
#include "engine/engine_i.h"

#define BLOCKS 16 /* of a quota */
#define BLOCK_MAX UINT64_C(1024)
#define S_US US_PER_S
#define PUT_BACK_US (3600 * US_PER_S) /* a clock is, by so much */

/* ---- buckets ------------------------------------------------------------------ */

static void
bucket_fill(struct bucket *b, const struct eng_rate *r, int64_t now_us)
{
	b->credit = eng_bucket_credit(b, r, now_us);
	b->at_us = now_us;
}

/* May n go? Else when, if nothing else goes before. */
static bool
bucket_allows(struct bucket *b, const struct eng_rate *r, uint64_t n,
    int64_t now_us, int64_t *until_us)
{
	int64_t count = (int64_t)r->count, missing;

	if (r->count == 0)
		return true;
	bucket_fill(b, r, now_us);
	if (n > MAX(r->burst, UINT64_C(1))) {
		*until_us = TIME_NEVER; /* not before less is promised */
		return false;
	}
	missing = (int64_t)n * r->period_us - b->credit;
	if (missing <= 0)
		return true;
	*until_us = MAX(*until_us, now_us + (missing + count - 1) / count);
	return false;
}

static void
bucket_spend(struct bucket *b, const struct eng_rate *r, uint64_t n,
    int64_t now_us)
{
	if (r->count == 0)
		return;
	bucket_fill(b, r, now_us);
	b->credit -= (int64_t)n * r->period_us;
}

static void
bucket_give(struct bucket *b, const struct eng_rate *r, uint64_t n,
    int64_t now_us)
{
	if (r->count == 0)
		return;
	bucket_fill(b, r, now_us);
	b->credit =
	    MIN(b->credit + (int64_t)n * r->period_us, eng_bucket_max(r));
}

static void
bucket_begin(struct bucket *b, const struct eng_rate *r, int64_t since_us)
{
	b->credit = since_us == 0 ? eng_bucket_max(r) : 0;
	b->at_us = since_us;
}

/* One message may be larger than what may go at once: then that is enough. */
static uint64_t
bytes_cost(const struct eng_rate *r, uint64_t bytes)
{
	return MIN(bytes, MAX(r->burst, UINT64_C(1)));
}

/* ---- quotas ------------------------------------------------------------------- */

static struct window *
window_of(struct eng *e, struct meter *m)
{
	struct window *w;

	if (m->window != 0)
		return pool_at(&e->windows, m->window);
	w = eng_slot(&e->windows, &m->window);
	w->slot = e->now / eng_quota_part_us(eng_meter_cap(e, m));
	return w;
}

/* Forgets what has left the window, or the day. */
static void
quota_pass(struct eng *e, struct meter *m, const struct eng_limit_conf *c)
{
	struct window *w;
	int64_t slot;

	if (c->quota_us == 0) {
		/* A clock that is put back does not bring a day back. */
		if (eng_quota_day(e, c, e->now) > m->day) {
			m->day = eng_quota_day(e, c, e->now);
			m->used = 0;
			m->kept = m->asked = 0; /* another day's entry */
			m->serial = 0;
		}
		return;
	}
	w = window_of(e, m);
	slot = e->now / eng_quota_part_us(c);
	if (slot - w->slot >= WINDOW_SLOTS) {
		memset(w->n, 0, sizeof(w->n));
		m->used = 0;
		w->slot = slot;
	}
	while (w->slot < slot) {
		uint32_t *n = &w->n[++w->slot % WINDOW_SLOTS];

		m->used -= *n;
		*n = 0;
	}
}

/* When the first of what the window holds leaves it; a day, when it ends. */
static int64_t
quota_next_us(struct eng *e, struct meter *m, const struct eng_limit_conf *c)
{
	const struct window *w;

	if (c->quota_us == 0)
		return MAX(eng_quota_day_us(e, c, m->day + 1), e->now + 1);
	w = window_of(e, m);
	for (int64_t s = w->slot - (WINDOW_SLOTS - 1); s < w->slot; s++)
		if (s >= 0 && w->n[s % WINDOW_SLOTS] != 0)
			return (s + WINDOW_SLOTS) * eng_quota_part_us(c);
	return (w->slot + WINDOW_SLOTS) * eng_quota_part_us(c);
}

static uint64_t
block_of(const struct eng_limit_conf *c)
{
	return MIN(MAX(c->quota / BLOCKS, UINT64_C(1)), BLOCK_MAX);
}

/*
 * The entry of a quota: names are the limit's and the tuple's values, sub says
 * which they are. v: the day or -1; transactions spent; those that may come; the
 * wall clock; of a window, what four quarters of it had spent.
 */
#define V_DAY 0
#define V_USED 1
#define V_AHEAD 2
#define V_WALL 3
#define V_QUARTERS 4
#define QUARTERS 4

static void
entry_names(const struct eng *e, const struct meter *m, struct eng_entry *en)
{
	en->book = BOOK_QUOTA;
	en->key[en->nkeys++] = m->name;
	for (int d = 0; d < DIM_N; d++) {
		uint32_t v = m->val[d];

		if ((m->dims >> d & 1) == 0 || d == DIM_NODE)
			continue;
		if (d == DIM_SITE)
			v = eng_site_label(e, v);
		if (d == DIM_HOST) {
			const struct host *h = pool_at(&e->hosts, v);

			v = ENG_KEY_HOST;
			en->host = h->ip;
			en->port = h->port;
		}
		if (en->nkeys < KEPT_KEYS_MAX)
			en->key[en->nkeys++] = v;
	}
	en->sub = m->dims;
}

static void
quota_ask(struct eng *e, uint32_t meter)
{
	struct meter *m = eng_meter(e, meter);
	const struct eng_limit_conf *c = eng_meter_cap(e, m);
	struct eng_entry en = { 0 };
	uint64_t left = c->quota - MIN(m->used, c->quota);

	m->asked = MIN(block_of(c), left);
	if (m->asked == 0)
		return;
	entry_names(e, m, &en);
	en.v[V_DAY] = c->quota_us == 0 ? m->day : -1;
	en.v[V_USED] = (int64_t)m->used;
	en.v[V_AHEAD] = (int64_t)m->asked;
	en.v[V_WALL] = eng_wall(e);
	if (c->quota_us != 0) {
		struct window *w = window_of(e, m);

		for (int64_t k = 0; k < WINDOW_SLOTS; k++)
			if (w->slot - k >= 0)
				en.v[V_QUARTERS +
				    k * QUARTERS / WINDOW_SLOTS] +=
				    w->n[(w->slot - k) % WINDOW_SLOTS];
	}
	m->serial = eng_keep(e, &en, false);
	m->asked_used = 0;
	m->has_entry = true;
	if (!m->is_asking) {
		m->is_asking = true;
		il_push_tail(K_ASKING(e), &e->asking, meter);
	}
}

/* The next block, before the last is spent. */
static void
quota_look_ahead(struct eng *e, uint32_t meter)
{
	struct meter *m = eng_meter(e, meter);
	const struct eng_limit_conf *c = eng_meter_cap(e, m);

	if (c == NULL || c->quota == 0 || m->serial != 0)
		return;
	quota_pass(e, m, c);
	/* All that is left of the quota may be kept already. */
	if (m->kept <= block_of(c) / 2 &&
	    m->kept < c->quota - MIN(m->used, c->quota) && e->cmds != NULL)
		quota_ask(e, meter);
}

void
eng_meters_kept(struct eng *e)
{
	for (uint32_t n = e->asking.n; n > 0; n--) {
		uint32_t i = e->asking.head;
		struct meter *m = eng_meter(e, i);

		il_remove(K_ASKING(e), &e->asking, i);
		m->is_asking = false;
		if (m->serial == 0)
			continue; /* the day was another's */
		if (!eng_is_kept(e, m->serial)) {
			m->is_asking = true;
			il_push_tail(K_ASKING(e), &e->asking, i);
			continue;
		}
		m->serial = 0;
		m->kept = m->asked - MIN(m->asked_used, m->asked);
		quota_look_ahead(e, i);
		eng_meter_run(e, i);
	}
}

static bool
quota_allows(struct eng *e, uint32_t meter, const struct eng_limit_conf *c,
    uint32_t ahead, int64_t *until_us)
{
	struct meter *m = eng_meter(e, meter);
	uint64_t n = (uint64_t)ahead + 1;

	if (c->quota == 0)
		return true;
	quota_pass(e, m, c);
	if (m->used + n > c->quota) {
		*until_us = MAX(*until_us, quota_next_us(e, m, c));
		return false;
	}
	if (m->kept >= n)
		return true;
	quota_look_ahead(e, meter);
	*until_us = TIME_NEVER; /* until its entry is durable */
	return false;
}

static void
quota_spend(struct eng *e, struct meter *m, const struct eng_limit_conf *c)
{
	quota_pass(e, m, c);
	m->used++;
	m->kept -= m->kept != 0;
	m->asked_used++;
	if (c->quota_us != 0) {
		struct window *w = window_of(e, m);

		w->n[w->slot % WINDOW_SLOTS]++;
	}
}

static void
quota_give(struct eng *e, struct meter *m, const struct eng_limit_conf *c,
    int64_t at_us, int64_t day)
{
	struct window *w;
	int64_t slot;

	quota_pass(e, m, c);
	if (c->quota_us == 0) {
		m->used -= day == m->day && m->used != 0;
		return;
	}
	w = window_of(e, m);
	slot = at_us / eng_quota_part_us(c);
	if (slot <= w->slot - WINDOW_SLOTS || w->n[slot % WINDOW_SLOTS] == 0)
		return;
	w->n[slot % WINDOW_SLOTS]--;
	m->used--;
}

/* What a crash left of a window: each quarter's share goes with the last of its
 * parts, or the one behind that, for parts begin at other moments now; and what
 * may have been spent since is as if it had been now. */
static void
window_recall(struct eng *e, struct meter *m, const struct eng_limit_conf *c,
    const struct eng_entry *en)
{
	struct window *w = window_of(e, m);
	int64_t gone =
	    MAX(eng_wall(e) - en->v[V_WALL], 0) / eng_quota_part_us(c);

	w->slot = e->now / eng_quota_part_us(c);
	w->n[w->slot % WINDOW_SLOTS] += (uint32_t)en->v[V_AHEAD];
	m->used += (uint64_t)en->v[V_AHEAD];
	for (int64_t k = 0; k < QUARTERS; k++) {
		int64_t age = gone - (k != 0) +
		    (k * WINDOW_SLOTS + QUARTERS - 1) / QUARTERS;
		uint64_t n = (uint64_t)en->v[V_QUARTERS + k];

		if (age >= WINDOW_SLOTS || age > w->slot)
			continue;
		w->n[(w->slot - age) % WINDOW_SLOTS] += (uint32_t)n;
		m->used += n;
	}
}

void
eng_meter_recall(struct eng *e, const struct eng_entry *en)
{
	uint32_t i = eng_meter_named(e, en);
	const struct eng_limit_conf *c;
	struct meter *m;

	if (i == 0) { /* nothing limits that any more */
		eng_keep(e, en, true);
		return;
	}
	m = eng_meter(e, i);
	c = eng_meter_cap(e, m);
	m->has_entry = true;
	if (c->quota != 0 && c->quota_us != 0 && en->v[V_DAY] < 0) {
		window_recall(e, m, c, en);
	} else if (c->quota != 0 && c->quota_us == 0 && en->v[V_DAY] >= 0) {
		m->day = en->v[V_DAY];
		m->used = (uint64_t)(en->v[V_USED] + en->v[V_AHEAD]);
	}
	eng_meter_timer(e, i);
}

/* A site's meter takes over what the books had under one of its hosts. */
void
eng_meter_inherit(struct eng *e, uint32_t meter, uint32_t from)
{
	struct meter *m = eng_meter(e, meter), *o = eng_meter(e, from);
	const struct eng_limit_conf *c = eng_meter_cap(e, m);

	quota_pass(e, m, c);
	quota_pass(e, o, c);
	m->used += o->used;
	m->has_entry |= o->has_entry;
	if (c->quota_us == 0) {
		m->day = MAX(m->day, o->day);
		return;
	}
	for (int k = 0; k < WINDOW_SLOTS; k++)
		window_of(e, m)->n[k] += window_of(e, o)->n[k];
	memset(window_of(e, o)->n, 0, sizeof(window_of(e, o)->n));
	o->used = 0;
}

/* ---- connections ----------------------------------------------------------------- */

static bool
conns_allow(struct eng *e, const struct meter *m,
    const struct eng_limit_conf *c, uint32_t ahead, int64_t *until_us)
{
	int64_t until;

	if (m->conns + ahead < eng_meter_conns_max(m, c, e->now, &until))
		return true;
	*until_us = MAX(*until_us, until);
	return false;
}

/* ---- the meter ---------------------------------------------------------------------- */

bool
eng_cap_is_sent(const struct eng_limit_conf *c)
{
	return (c->msgs.count | c->rcpts.count | c->bytes.count | c->quota) !=
	    0;
}

void
eng_meter_reset(struct eng *e, struct meter *m, int64_t since_us)
{
	const struct eng_limit_conf *c = &e->policy->caps[m->cap];

	bucket_begin(&m->msgs, &c->msgs, since_us);
	bucket_begin(&m->rcpts, &c->rcpts, since_us);
	bucket_begin(&m->bytes, &c->bytes, since_us);
	bucket_begin(&m->opens, &c->conns, since_us);
}

bool
eng_meter_allows(struct eng *e, uint32_t meter, enum line_kind line,
    uint32_t ahead, uint32_t bytes, int64_t *until_us)
{
	struct meter *m = eng_meter(e, meter);
	const struct eng_limit_conf *c = eng_meter_cap(e, m);
	bool is_txn, ok = true;

	*until_us = e->now;
	if (c == NULL)
		return true;
	is_txn = eng_cap_counts_txns(c);
	if (line == LINE_OPEN) {
		if (!is_txn)
			ok = conns_allow(e, m, c, ahead, until_us);
		return bucket_allows(&m->opens, &c->conns, (uint64_t)ahead + 1,
			   e->now, until_us) &&
		    ok;
	}
	if (is_txn)
		ok = conns_allow(e, m, c, ahead, until_us);
	ok &= bucket_allows(&m->msgs, &c->msgs, (uint64_t)ahead + 1, e->now,
	    until_us);
	ok &= bucket_allows(&m->rcpts, &c->rcpts, (uint64_t)ahead + 1, e->now,
	    until_us);
	ok &= bucket_allows(&m->bytes, &c->bytes, bytes_cost(&c->bytes, bytes),
	    e->now, until_us);
	return quota_allows(e, meter, c, ahead, until_us) && ok;
}

uint32_t
eng_meter_rcpts(struct eng *e, struct meter *m)
{
	const struct eng_limit_conf *c = eng_meter_cap(e, m);

	if (c == NULL || c->rcpts.count == 0)
		return ENG_TXN_RCPTS_MAX;
	bucket_fill(&m->rcpts, &c->rcpts, e->now);
	return (
	    uint32_t)MIN(MAX(m->rcpts.credit / c->rcpts.period_us, INT64_C(1)),
	    (int64_t)ENG_TXN_RCPTS_MAX);
}

void
eng_meter_spend(struct eng *e, uint32_t meter, uint32_t nrcpts, uint32_t bytes)
{
	struct meter *m = eng_meter(e, meter);
	const struct eng_limit_conf *c = eng_meter_cap(e, m);

	bucket_spend(&m->msgs, &c->msgs, 1, e->now);
	bucket_spend(&m->rcpts, &c->rcpts, nrcpts, e->now);
	bucket_spend(&m->bytes, &c->bytes, bytes, e->now);
	if (c->quota == 0)
		return;
	quota_spend(e, m, c);
	quota_look_ahead(e, meter);
}

/* What was spent under another definition is not given back. */
void
eng_meter_unspend(struct eng *e, const struct charge *k, int64_t at_us,
    uint32_t nrcpts, uint32_t bytes)
{
	struct meter *m = eng_meter(e, k->meter);
	const struct eng_limit_conf *c = eng_meter_cap(e, m);

	if (c == NULL || at_us < e->cap_since[m->cap])
		return;
	bucket_give(&m->msgs, &c->msgs, 1, e->now);
	bucket_give(&m->rcpts, &c->rcpts, nrcpts, e->now);
	bucket_give(&m->bytes, &c->bytes, bytes, e->now);
	if (c->quota != 0)
		quota_give(e, m, c, at_us, k->day);
}

void
eng_meter_hold(struct eng *e, struct meter *m)
{
	if (m->conns++ == 0)
		m->ramp_us = e->now;
}

void
eng_meter_open(struct eng *e, uint32_t meter)
{
	struct meter *m = eng_meter(e, meter);
	const struct eng_limit_conf *c = eng_meter_cap(e, m);

	bucket_spend(&m->opens, &c->conns, 1, e->now);
}

static bool
bucket_is_full(struct bucket *b, const struct eng_rate *r, int64_t now_us,
    int64_t *until_us)
{
	return bucket_allows(b, r, MAX(r->burst, UINT64_C(1)), now_us,
	    until_us);
}

void
eng_meter_forget(struct eng *e, struct meter *m)
{
	struct eng_entry en = { 0 };

	if (!m->has_entry)
		return;
	entry_names(e, m, &en);
	eng_keep(e, &en, true);
}

bool
eng_meter_is_blank(struct eng *e, struct meter *m, int64_t *until_us)
{
	const struct eng_limit_conf *c = eng_meter_cap(e, m);
	bool ok;

	*until_us = e->now;
	if (c == NULL)
		return true;
	ok = bucket_is_full(&m->msgs, &c->msgs, e->now, until_us);
	ok &= bucket_is_full(&m->rcpts, &c->rcpts, e->now, until_us);
	ok &= bucket_is_full(&m->bytes, &c->bytes, e->now, until_us);
	ok &= bucket_is_full(&m->opens, &c->conns, e->now, until_us);
	if (c->quota == 0)
		return ok;
	quota_pass(e, m, c);
	if (m->used != 0) {
		*until_us = MAX(*until_us, quota_next_us(e, m, c));
		return false;
	}
	/* That the day has begun is to be known if the clock is put back. */
	if (c->quota_us == 0 && m->has_entry) {
		int64_t until = eng_quota_day_us(e, c, m->day) + PUT_BACK_US;

		ok &= e->now >= until;
		*until_us = MAX(*until_us, until);
	}
	if (!m->is_asking)
		return ok;
	*until_us = MAX(*until_us, e->now + S_US);
	return false;
}

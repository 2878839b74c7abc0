/*
 * check/meters.c - limits on tuples, counted from outside.
 *
 * A row is a tuple of values under one limit. A rate is owed what its bucket has
 * not made good; a quota is the times of what was sent, looked at for the window
 * that ends with each; connections are counted as they come and go.
 */
#include "check/meters.h"

#define CAPS 32u
#define ROWS_MAX 4096u
#define ROWS_OF_ONE CAPS /* that one transaction counts in */

struct cap {
	struct conf_limit c;   /* the loosest numbers */
	bool is_sure;          /* every configuration has it */
	bool speaks[MET_VALS]; /* apart for each of these */
	uint32_t where[MET_VALS];
};

struct row {
	uint32_t cap, val[MET_VALS];
	uint32_t conns;
	bool is_said; /* the engine has told it in this round */
	int64_t ramp_us;
	/* Owed, in microseconds x count: transactions, recipients, sessions,
	 * bytes. */
	int64_t txns, rcpts, opens, bytes, at_us;
	int64_t *times; /* of what was sent */
	uint32_t n, cap_n;
	int64_t day;
	uint64_t day_from; /* its first transaction, by number */
	uint32_t day_n;
	/* The day that the clock was put back from, before anything was counted
	 * in it; it may have begun, and then goes on. from 0: none. */
	struct {
		int64_t day;
		uint64_t from;
		uint32_t n; /* since the clock was put back */
	} back;
};

struct flight {
	struct handle session, txn; /* txn none: the session itself */
	uint32_t nrows;
	struct met_who who;
	int64_t at_us;
	uint64_t nth; /* transaction of all */
	uint32_t row[ROWS_OF_ONE];
};

struct meters {
	struct marks *marks;
	struct cap caps[CAPS];
	uint32_t ncaps;
	const struct conf *zones; /* whose zones the caps mean */
	struct row *rows;
	uint32_t nrows;
	struct flight *flights;
	uint32_t nflights, flights_cap;
	int64_t now_us, wall_us;
	uint64_t nth; /* transactions so far */
};

struct meters *
met_new(struct marks *marks)
{
	struct meters *m = mem_get(sizeof(*m));

	m->marks = marks;
	m->rows = mem_get(ROWS_MAX * sizeof(*m->rows));
	return m;
}

void
met_free(struct meters *m)
{
	for (uint32_t i = 0; i < m->nrows; i++)
		mem_free(m->rows[i].times);
	mem_free(m->rows);
	mem_free(m->flights);
	mem_free(m);
}

/* ---- the limits ------------------------------------------------------------------ */

static const enum eng_dim dim_of[MET_VALS] = {
	[MET_TENANT] = DIM_TENANT,
	[MET_CAMPAIGN] = DIM_CAMPAIGN,
	[MET_POOL] = DIM_POOL,
	[MET_SENDER] = DIM_SENDER_DOMAIN,
	[MET_SOURCE] = DIM_SOURCE,
	[MET_NETBLOCK] = DIM_NETBLOCK,
	[MET_SITE] = DIM_SITE,
	[MET_PROVIDER] = DIM_PROVIDER,
	[MET_HOST] = DIM_HOST,
};

enum eng_dim
met_dim(enum met_val v)
{
	return dim_of[v];
}

/* The number at the end of a name. */
static uint32_t
number(struct slice name)
{
	uint64_t n;

	name.p++;
	name.n--;
	ASSERT(slice_u64(name, 1000, &n) == 0);
	return (uint32_t)n;
}

static void
cap_read(struct cap *k, const struct conf_limit *c)
{
	*k = (struct cap){ .c = *c, .is_sure = true };
	for (int v = 0; v < MET_VALS; v++) {
		struct slice w = c->where[dim_of[v]];

		k->where[v] = w.n ? number(w) : MET_NONE;
		for (uint32_t i = 0; i < c->nper; i++)
			k->speaks[v] |= c->per[i] == dim_of[v];
	}
}

/* The looser of two rates of one period; none is the loosest. */
static void
loosen(uint32_t *count, uint32_t *burst, uint32_t count2, uint32_t burst2)
{
	*count = *count && count2 ? MAX(*count, count2) : 0;
	*burst = MAX(*burst, burst2);
}

static void
cap_loosen(struct cap *k, const struct conf_limit *b)
{
	struct conf_limit *a = &k->c;

	a->conns_max =
	    a->conns_max && b->conns_max ? MAX(a->conns_max, b->conns_max) : 0;
	loosen(&a->conn_rate, &a->conn_burst, b->conn_rate, b->conn_burst);
	loosen(&a->ramp, &a->ramp_start, b->ramp, b->ramp_start);
	loosen(&a->rate, &a->burst, b->rate, b->burst);
	loosen(&a->rcpt_rate, &a->rcpt_burst, b->rcpt_rate, b->rcpt_burst);
	a->byte_rate =
	    a->byte_rate && b->byte_rate ? MAX(a->byte_rate, b->byte_rate) : 0;
	a->byte_burst = MAX(a->byte_burst, b->byte_burst);
	a->quota = a->quota && b->quota ? MAX(a->quota, b->quota) : 0;
}

/* All limits on tuples that a configuration has, those among them that providers
 * have: of all sources together, and of each. */
struct text {
	struct conf_limit v[CAPS];
	uint32_t n;
};

static void
provider_cap(struct text *t, const struct conf_provider *p,
    const struct conf_cap *c, struct slice name)
{
	if (!c->conns_max && !c->rate_count)
		return;
	ASSERT(t->n < CAPS);
	t->v[t->n] = (struct conf_limit){ .name = name,
		.conns_max = c->conns_max,
		.rate = c->rate_count,
		.burst = 1,
		.period_us = c->rate_period_us };
	t->v[t->n].where[DIM_PROVIDER] = p->name;
	if (c == &p->source)
		t->v[t->n].per[t->v[t->n].nper++] = DIM_SOURCE;
	t->n++;
}

static void
text_of(const struct conf *c, struct text *t)
{
	/* As the daemon calls them. */
	static const char *const total[] = { "provider v0", "provider v1" };
	static const char *const each[] = { "provider v0, each source",
		"provider v1, each source" };

	t->n = 0;
	ASSERT(c->ncaps <= CAPS);
	while (t->n < c->ncaps) {
		t->v[t->n] = c->caps[t->n];
		t->n++;
	}
	for (uint32_t i = 0; i < c->nproviders; i++) {
		const struct conf_provider *p = &c->providers[i];
		uint32_t k;

		if (p->name.n != 2 || p->name.p[0] != 'v')
			continue;
		k = number(p->name);
		ASSERT(k < ARRAY_LEN(total));
		provider_cap(t, p, &p->total, slice_str(total[k]));
		provider_cap(t, p, &p->source, slice_str(each[k]));
	}
}

static const struct conf_limit *
limit_find(const struct text *t, struct slice name)
{
	for (uint32_t i = 0; i < t->n; i++)
		if (slice_eq(t->v[i].name, name))
			return &t->v[i];
	return NULL;
}

/* A start, or another definition, begins with all spent that may go at once: that
 * one message was larger is forgotten. */
static void
forget_large(struct meters *m)
{
	for (uint32_t i = 0; i < m->nrows; i++) {
		struct row *r = &m->rows[i];
		const struct conf_limit *c = &m->caps[r->cap].c;

		r->bytes =
		    MIN(r->bytes, (int64_t)c->byte_burst * c->byte_period_us);
	}
}

void
met_confs(struct meters *m, const struct conf *const *confs, uint32_t n,
    bool clock_lies)
{
	const struct conf_limit *l;
	struct text t;

	m->zones = confs[0];
	text_of(confs[0], &t);
	m->ncaps = t.n;
	for (uint32_t i = 0; i < m->ncaps; i++)
		cap_read(&m->caps[i], &t.v[i]);
	for (uint32_t k = 1; k < n; k++) {
		text_of(confs[k], &t);
		for (uint32_t i = 0; i < m->ncaps; i++) {
			l = limit_find(&t, m->caps[i].c.name);
			if (l)
				cap_loosen(&m->caps[i], l);
			else
				m->caps[i].is_sure = false;
		}
	}
	for (uint32_t i = 0; i < m->ncaps; i++) {
		/* The largest message that is taken. */
		if (!m->caps[i].c.byte_burst)
			m->caps[i].c.byte_rate = 0;
		if (clock_lies && m->caps[i].c.quota_us)
			m->caps[i].c.quota = 0;
	}
	forget_large(m);
}

/* ---- rows ------------------------------------------------------------------------- */

/* Does the limit speak of it? */
static bool
belongs(const struct cap *k, const uint32_t val[MET_VALS])
{
	for (int v = 0; v < MET_VALS; v++) {
		bool looks = k->speaks[v] || k->where[v] != MET_NONE;

		if (looks && (val[v] == MET_UNKNOWN || val[v] == MET_NONE))
			return false;
		if (k->where[v] != MET_NONE && k->where[v] != val[v])
			return false;
	}
	return true;
}

/* Mail of many tenants, campaigns and pools goes over one session. */
static bool
is_of_mail(const struct cap *k)
{
	for (int v = 0; v < MET_OF_MAIL; v++)
		if (k->speaks[v] || k->where[v] != MET_NONE)
			return true;
	return false;
}

static struct row *
row_get(struct meters *m, uint32_t cap, const uint32_t val[MET_VALS])
{
	const struct cap *k = &m->caps[cap];
	struct row *r;

	for (uint32_t i = 0; i < m->nrows; i++) {
		bool is_it = m->rows[i].cap == cap;

		for (int v = 0; v < MET_VALS; v++)
			is_it &= !k->speaks[v] || m->rows[i].val[v] == val[v];
		if (is_it)
			return &m->rows[i];
	}
	ASSERT(m->nrows < ROWS_MAX);
	r = &m->rows[m->nrows++];
	*r = (struct row){ .cap = cap, .at_us = m->now_us, .day = INT64_MIN };
	memcpy(r->val, val, sizeof(r->val));
	return r;
}

static void
broken(const struct meters *m, const struct row *r, const char *what,
    double have, double most)
{
	const struct cap *k = &m->caps[r->cap];
	struct slice name = k->c.name;
	char tuple[160] = "";

	for (int v = 0, n = 0; v < MET_VALS; v++)
		if (k->speaks[v])
			n += snprintf(tuple + n, sizeof(tuple) - (size_t)n,
			    ", %s %d", eng_dim_name(dim_of[v]), (int)r->val[v]);
	check_fail("no limit on a tuple is exceeded", 0,
	    "limit %.*s%s: %s: %.3f|at most %.3f", SLF(name), tuple, what, have,
	    most);
}

/* ---- counting ---------------------------------------------------------------------- */

static void
pay(int64_t *owed, int64_t count, int64_t passed)
{
	if (count && passed >= *owed / count + 1)
		*owed = 0;
	else
		*owed -= passed * count;
}

static void
row_pass(struct meters *m, struct row *r)
{
	const struct conf_limit *c = &m->caps[r->cap].c;
	int64_t passed = m->now_us - r->at_us;

	pay(&r->txns, c->rate, passed);
	pay(&r->rcpts, c->rcpt_rate, passed);
	pay(&r->opens, c->conn_rate, passed);
	pay(&r->bytes, (int64_t)c->byte_rate, passed);
	r->bytes = MAX(r->bytes, 0);
	r->txns = MAX(r->txns, 0);
	r->rcpts = MAX(r->rcpts, 0);
	r->opens = MAX(r->opens, 0);
	r->at_us = m->now_us;
}

/* n more of what a rate allows. */
static void
owe(const struct meters *m, const struct row *r, const char *what,
    int64_t *owed, uint32_t n, uint32_t count, int64_t period_us,
    uint32_t burst)
{
	if (!count)
		return;
	*owed += n * period_us;
	if (*owed > (int64_t)burst * period_us)
		broken(m, r, what, (double)*owed / (double)period_us, burst);
	if (*owed > (int64_t)(burst - 1) * period_us)
		m->marks->n[MARK_tuple_rate_reached]++;
}

/* Whole KiB. One message alone may be more than the burst. */
static void
owe_bytes(const struct meters *m, struct row *r, uint64_t bytes)
{
	const struct conf_limit *c = &m->caps[r->cap].c;
	uint64_t kib = (bytes + 1023) / 1024, most = c->byte_burst;
	int64_t period_us = c->byte_period_us;

	if (!c->byte_rate)
		return;
	if (r->bytes + (int64_t)MIN(kib * 1024, most) * period_us >
	    (int64_t)most * period_us)
		broken(m, r, "bytes",
		    (double)r->bytes / (double)period_us + (double)kib * 1024,
		    (double)most);
	m->marks->n[MARK_byte_rate_reached] +=
	    r->bytes > (int64_t)most * period_us / 2;
	r->bytes += (int64_t)kib * 1024 * period_us;
}

static int64_t
day_of(const struct meters *m, const struct row *r, int64_t wall_us)
{
	const struct conf_limit *c = &m->caps[r->cap].c;

	return zone_day(&m->zones->zones[c->zone]->zone, wall_us / US_PER_S);
}

/* A day that has counted n, the first of them by its number. */
static void
day_begin(struct row *r, int64_t day, uint64_t from, uint32_t n)
{
	r->day = day;
	r->day_from = from;
	r->day_n = n;
	if (r->back.day <= day)
		r->back.from = 0;
}

static void
count_day(struct meters *m, struct row *r)
{
	const struct conf_limit *c = &m->caps[r->cap].c;
	int64_t day = day_of(m, r, m->wall_us);

	if (day > r->day) {
		m->marks->n[MARK_day_changed] += r->day != INT64_MIN;
		day_begin(r, day, m->nth, 0);
	}
	r->day_n++;
	r->back.n += r->back.from != 0;
	/* It does not fit into the day of before: so the next had begun. */
	if (c->quota && !c->quota_us && r->day_n > c->quota &&
	    r->back.from != 0)
		day_begin(r, r->back.day, r->back.from, r->back.n);
}

static void
quota(struct meters *m, struct row *r)
{
	const struct conf_limit *c = &m->caps[r->cap].c;
	uint32_t n = 0;

	if (r->n == r->cap_n) {
		r->cap_n = MAX(2 * r->cap_n, 64u);
		r->times = mem_grow(r->times, r->cap_n * sizeof(*r->times));
		ASSERT(r->times);
	}
	r->times[r->n++] = m->now_us;
	count_day(m, r);
	if (!c->quota)
		return;
	if (!c->quota_us)
		n = r->day_n;
	else
		for (uint32_t i = r->n;
		     i-- > 0 && r->times[i] > m->now_us - c->quota_us;)
			n++;
	if (n > c->quota)
		broken(m, r, c->quota_us ? "quota" : "quota of a day", n,
		    c->quota);
	m->marks->n[MARK_quota_reached] += n == c->quota;
}

static void
conns(struct meters *m, struct row *r)
{
	const struct conf_limit *c = &m->caps[r->cap].c;
	int64_t up;

	if (r->conns++ == 0)
		r->ramp_us = m->now_us;
	if (c->conns_max && r->conns > c->conns_max)
		broken(m, r, "connections", r->conns, c->conns_max);
	if (!c->ramp)
		return;
	up = c->ramp_start +
	    (m->now_us - r->ramp_us) * c->ramp / c->ramp_period_us;
	if (r->conns > up)
		broken(m, r, "connections that grow", r->conns, (double)up);
}

static struct flight *
flight_new(struct meters *m, struct handle session, struct handle txn,
    const struct met_who *who)
{
	struct flight *f;

	if (m->nflights == m->flights_cap) {
		m->flights_cap = MAX(2 * m->flights_cap, 64u);
		m->flights =
		    mem_grow(m->flights, m->flights_cap * sizeof(*m->flights));
		ASSERT(m->flights);
	}
	f = &m->flights[m->nflights++];
	*f = (struct flight){ .session = session,
		.txn = txn,
		.who = *who,
		.at_us = m->now_us };
	return f;
}

void
met_opened(struct meters *m, struct handle session, const struct met_who *who,
    int64_t now_us, int64_t wall_us)
{
	struct flight *f;

	m->now_us = now_us;
	m->wall_us = wall_us;
	f = flight_new(m, session, HANDLE_NONE, who);
	for (uint32_t i = 0; i < m->ncaps; i++) {
		const struct cap *k = &m->caps[i];
		struct row *r;

		if (!k->is_sure || is_of_mail(k) || !belongs(k, who->val))
			continue;
		r = row_get(m, i, who->val);
		row_pass(m, r);
		owe(m, r, "connections opened", &r->opens, 1, k->c.conn_rate,
		    k->c.conn_period_us, k->c.conn_burst);
		conns(m, r);
		ASSERT(f->nrows < ROWS_OF_ONE);
		f->row[f->nrows++] = (uint32_t)(r - m->rows);
	}
}

void
met_assigned(struct meters *m, struct handle session, struct handle txn,
    const struct met_who *who, int64_t now_us, int64_t wall_us)
{
	struct met_who w = *who;
	struct flight *f;

	m->now_us = now_us;
	m->wall_us = wall_us;
	for (uint32_t i = 0; i < m->nflights; i++)
		if (handle_eq(m->flights[i].session, session)) {
			for (int v = MET_OF_MAIL; v < MET_VALS; v++)
				w.val[v] = m->flights[i].who.val[v];
			break;
		}
	f = flight_new(m, session, txn, &w);
	f->nth = ++m->nth;
	for (uint32_t i = 0; i < m->ncaps; i++) {
		const struct cap *k = &m->caps[i];
		struct row *r;

		if (!k->is_sure || !belongs(k, w.val))
			continue;
		r = row_get(m, i, w.val);
		row_pass(m, r);
		owe(m, r, "transactions", &r->txns, 1, k->c.rate,
		    k->c.period_us, k->c.burst);
		owe(m, r, "recipients", &r->rcpts, w.nrcpts, k->c.rcpt_rate,
		    k->c.rcpt_period_us, k->c.rcpt_burst);
		owe_bytes(m, r, w.bytes);
		quota(m, r);
		if (is_of_mail(k))
			conns(m, r);
		ASSERT(f->nrows < ROWS_OF_ONE);
		f->row[f->nrows++] = (uint32_t)(r - m->rows);
	}
}

/* ---- and back ------------------------------------------------------------------------ */

static void
unspend(struct meters *m, const struct flight *f, struct row *r)
{
	const struct conf_limit *c = &m->caps[r->cap].c;
	uint32_t i = r->n;

	r->txns = MAX(r->txns - c->period_us, 0);
	r->rcpts = MAX(r->rcpts - f->who.nrcpts * c->rcpt_period_us, 0);
	r->bytes = MAX(r->bytes -
		(int64_t)((f->who.bytes + 1023) / 1024 * 1024) *
		    c->byte_period_us,
	    0);
	while (i > 0 && r->times[i - 1] != f->at_us)
		i--;
	if (i == 0)
		return;
	r->n--;
	memmove(&r->times[i - 1], &r->times[i],
	    (r->n - i + 1) * sizeof(*r->times));
	r->day_n -= f->nth >= r->day_from && r->day_n != 0;
	r->back.n -=
	    r->back.from != 0 && f->nth >= r->back.from && r->back.n != 0;
}

static void
flight_end(struct meters *m, uint32_t at, bool is_unsent)
{
	const struct flight *f = &m->flights[at];
	bool is_txn = !handle_is_none(f->txn);

	for (uint32_t i = 0; i < f->nrows; i++) {
		struct row *r = &m->rows[f->row[i]];

		if (is_txn && is_unsent)
			unspend(m, f, r);
		r->conns -= is_txn == is_of_mail(&m->caps[r->cap]);
	}
	m->flights[at] = m->flights[--m->nflights];
}

void
met_result(struct meters *m, struct handle session, struct handle txn,
    bool is_unsent)
{
	for (uint32_t i = 0; i < m->nflights; i++)
		if (handle_eq(m->flights[i].session, session) &&
		    handle_eq(m->flights[i].txn, txn)) {
			flight_end(m, i, is_unsent);
			return;
		}
}

void
met_closed(struct meters *m, struct handle session)
{
	for (uint32_t i = m->nflights; i-- > 0;)
		if (handle_eq(m->flights[i].session, session))
			flight_end(m, i, true);
}

void
met_clock_back(struct meters *m, int64_t wall_us)
{
	for (uint32_t i = 0; i < m->nrows; i++) {
		struct row *r = &m->rows[i];
		int64_t day = day_of(m, r, wall_us);

		if (day <= r->day)
			continue;
		r->back.day = day;
		r->back.from = m->nth + 1;
		r->back.n = 0;
	}
}

void
met_crash(struct meters *m)
{
	while (m->nflights != 0)
		flight_end(m, m->nflights - 1, false);
	forget_large(m);
}

/* ---- what the engine says -------------------------------------------------------------- */

/* Mail that names no pool has the default one, which is not known here. */
static bool
is_comparable(const struct cap *k)
{
	return k->is_sure && !k->speaks[MET_POOL] &&
	    k->where[MET_POOL] == MET_NONE;
}

static void
differs(const struct meters *m, const struct row *r, uint64_t said)
{
	struct slice name = m->caps[r->cap].c.name;

	check_fail("a limit counts what there is", 0,
	    "limit %.*s says that %llu count|there are %u", SLF(name),
	    (unsigned long long)said, r->conns);
}

void
met_said(struct meters *m, struct slice limit, const uint32_t val[MET_VALS],
    uint64_t conns)
{
	uint32_t i = 0;
	struct row *r;

	while (i < m->ncaps && !slice_eq(m->caps[i].c.name, limit))
		i++;
	if (i == m->ncaps || !is_comparable(&m->caps[i]))
		return;
	for (int v = 0; v < MET_VALS; v++)
		if (m->caps[i].speaks[v] && val[v] == MET_UNKNOWN)
			return;
	r = row_get(m, i, val);
	if (r->conns != conns)
		differs(m, r, conns);
	r->is_said = true;
}

void
met_all_said(struct meters *m, bool sites_are_apart)
{
	for (uint32_t i = 0; i < m->nrows; i++) {
		struct row *r = &m->rows[i];

		if (is_comparable(&m->caps[r->cap]) && r->conns != 0 &&
		    !r->is_said &&
		    !(sites_are_apart && m->caps[r->cap].speaks[MET_SITE]))
			differs(m, r, 0);
		m->marks->n[MARK_tuple_compared] += r->is_said && r->conns != 0;
		r->is_said = false;
	}
}

/*
 * check/limits.c - sessions and paths, counted from outside.
 */
#include "check/limits.h"

#define SOURCES 16u
#define PLACES 1024u
#define SITES 64u
#define HOSTS 4u

struct session {
	struct handle h;
	bool is_live;
	uint32_t source, site, place, host, ntxns, out;
	int64_t period_us, opened_us;
};

/* Spent transactions that the rate has not made good yet, in microseconds
 * times rate_count, as in: one costs rate_period_us. */
struct path {
	uint32_t nsess;
	int64_t owed, owed_at_us;
};

struct limits {
	struct story *story;
	struct marks *marks;
	struct session *sess; /* by index */
	uint32_t cap, live;
	struct path path[SOURCES][PLACES];
	int64_t tls_failed_us[SITES][HOSTS]; /* the last handshake; 0 = well */
};

struct limits *
lim_new(struct story *story, struct marks *marks)
{
	struct limits *l = mem_get(sizeof(*l));

	l->story = story;
	l->marks = marks;
	return l;
}

void
lim_free(struct limits *l)
{
	mem_free(l->sess);
	mem_free(l);
}

static struct session *
session(struct limits *l, struct handle h)
{
	struct session *s = h.index < l->cap ? &l->sess[h.index] : NULL;

	if (!s || !s->is_live || !handle_eq(s->h, h))
		check_fail("work goes to live sessions", 0,
		    "session %u is spoken of|it is not open", h.index);
	return s;
}

void
lim_opened(struct limits *l, struct handle h, uint32_t source, uint32_t site,
    uint32_t place, const struct eng_shape *shape)
{
	struct path *p = &l->path[source][place];
	uint32_t cap = MAX(l->cap, 64u);

	ASSERT(source < SOURCES && site < SITES && place < PLACES);
	while (cap <= h.index)
		cap *= 2;
	if (cap > l->cap) {
		l->sess = mem_grow(l->sess, cap * sizeof(*l->sess));
		ASSERT(l->sess);
		memset(l->sess + l->cap, 0, (cap - l->cap) * sizeof(*l->sess));
		l->cap = cap;
	}
	if (l->sess[h.index].is_live)
		check_fail("a session is opened once", 0,
		    "session %u is opened|its number is still in use", h.index);
	l->sess[h.index] = (struct session){ .h = h,
		.is_live = true,
		.source = source,
		.site = site,
		.place = place };
	l->live++;
	p->nsess++;
	if (shape->conns_max && p->nsess > shape->conns_max)
		check_fail("no limit is exceeded: connections", 0,
		    "source %u opens connection %u to site %u|at most %u are "
		    "allowed",
		    source, p->nsess, site, shape->conns_max);
	if (shape->conns_max && p->nsess == shape->conns_max)
		l->marks->n[MARK_conn_cap_reached]++;
}

static void
spend(struct limits *l, struct session *s, const struct eng_shape *shape,
    int64_t now_us)
{
	struct path *p = &l->path[s->source][s->place];
	int64_t most =
	    (int64_t)MAX(shape->rate_burst, 1u) * shape->rate_period_us;
	int64_t passed = now_us - p->owed_at_us;

	p->owed_at_us = now_us;
	if (!shape->rate_count)
		return;
	p->owed = passed >= p->owed / shape->rate_count + 1 ?
	    0 :
	    MAX(p->owed - passed * shape->rate_count, 0);
	p->owed += shape->rate_period_us;
	if (p->owed > most)
		check_fail("no limit is exceeded: rate", 0,
		    "source %u starts a transaction to site %u, %.3f more than "
		    "the rate made room for|the burst is %u",
		    s->source, s->site, (double)p->owed / shape->rate_period_us,
		    shape->rate_burst);
	if (p->owed > most - shape->rate_period_us)
		l->marks->n[MARK_rate_reached]++;
}

void
lim_assigned(struct limits *l, struct handle h, uint32_t nrcpt,
    const struct eng_shape *shape, int64_t now_us)
{
	struct session *s = session(l, h);

	s->ntxns++;
	s->out++;
	s->period_us = shape->rate_period_us;
	if (shape->msgs_per_conn && s->ntxns > shape->msgs_per_conn)
		check_fail("no limit is exceeded: messages per connection", 0,
		    "session %u of source %u to site %u gets transaction "
		    "%u|at most %u are allowed",
		    h.index, s->source, s->site, s->ntxns,
		    shape->msgs_per_conn);
	if (s->ntxns == shape->msgs_per_conn)
		l->marks->n[MARK_session_full]++;
	if (nrcpt > shape->rcpts_per_txn)
		check_fail("no limit is exceeded: recipients", 0,
		    "a transaction to site %u has %u recipients|at most %u "
		    "are allowed",
		    s->site, nrcpt, shape->rcpts_per_txn);
	spend(l, s, shape, now_us);
}

bool
lim_is_open(const struct limits *l, struct handle h)
{
	return h.index < l->cap && l->sess[h.index].is_live &&
	    handle_eq(l->sess[h.index].h, h);
}

void
lim_result(struct limits *l, struct handle h, bool is_unsent,
    const struct eng_shape *shape)
{
	struct session *s = session(l, h);
	struct path *p = &l->path[s->source][s->place];

	s->out--;
	if (is_unsent)
		p->owed = MAX(p->owed - shape->rate_period_us, 0);
}

void
lim_closed(struct limits *l, struct handle h)
{
	struct session *s = session(l, h);
	struct path *p = &l->path[s->source][s->place];

	p->owed = MAX(p->owed - s->period_us * s->out, 0);
	s->is_live = false;
	l->live--;
	p->nsess--;
}

void
lim_tls_open(struct limits *l, struct handle h, uint32_t host, bool is_clear,
    bool must, const struct lim_pause *pause, int64_t now_us)
{
	struct session *s = session(l, h);
	int64_t failed;

	ASSERT(host < HOSTS);
	s->host = host;
	s->opened_us = now_us;
	failed = l->tls_failed_us[s->site][host];
	if (is_clear && (!failed || now_us > failed + pause->max_us))
		check_fail("clear text has a reason", 0,
		    "a session to host %u of site %u does without TLS|no "
		    "handshake has failed there for %.3f s",
		    host, s->site, (double)pause->max_us / US_PER_S);
	if (must && !is_clear && failed && now_us < failed + pause->min_us)
		check_fail("where a handshake failed mail goes in clear text",
		    0,
		    "a session to host %u of site %u will try TLS|that failed "
		    "%.3f s ago",
		    host, s->site, (double)(now_us - failed) / US_PER_S);
}

/* One that began before the failure that is known says nothing new. */
void
lim_tls_told(struct limits *l, struct handle h, bool ok, int64_t now_us)
{
	struct session *s = session(l, h);
	int64_t *failed = &l->tls_failed_us[s->site][s->host];

	if (ok)
		*failed = 0;
	else if (s->opened_us >= *failed)
		*failed = now_us;
}

void
lim_crash(struct limits *l)
{
	memset(l->tls_failed_us, 0, sizeof(l->tls_failed_us));
	for (uint32_t i = 0; i < l->cap; i++) {
		if (!l->sess[i].is_live)
			continue;
		l->sess[i].out = 0;
		lim_closed(l, l->sess[i].h);
	}
}

uint32_t
lim_sessions(const struct limits *l)
{
	return l->live;
}

uint32_t
lim_site(struct limits *l, struct handle h)
{
	return session(l, h)->site;
}

uint32_t
lim_source(struct limits *l, struct handle h)
{
	return session(l, h)->source;
}

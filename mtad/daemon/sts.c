/*
 * daemon/sts.c - the cache of MTA-STS policies on the core's worker (RFC 8461 5.1).
 *
 * A domain's record (TXT) is asked for with each look-up of the domain; a new id,
 * or a policy that is not there, is fetched by the keeper before the look-up goes
 * on, for STS_WAIT_US at most. What cannot be fetched is no policy, but one that
 * has not expired serves on; it is not tried again for STS_AGAIN_US. A policy is
 * fetched anew long before it expires, also when nobody writes there.
 *
 * Bounded: entries, fetches at a time, those that wait for one. Beyond these a
 * domain is answered at once from what is known.
 */
#include <stdio.h>

#include "daemon/sts.h"
#include "daemon/tlsrpt.h"

#define ENTRIES_MAX 65536u
#define FETCHES_MAX 16u /* at a time */
#define QUEUE_MAX 1000u /* that wait for a fetch */
#define STS_WAIT_US (15 * US_PER_S)
#define STS_AGAIN_US (300 * US_PER_S)
#define REFRESH_US (86400 * US_PER_S) /* RFC 8461 3.3: about once a day */
#define TURN_US (60 * US_PER_S)
#define TURN_MAX 64 /* entries that a turn looks at: all in 17 hours */

/* Clocks here are the wall's: entries outlive the process. */
struct entry {
	struct list age;   /* sts.entries, the oldest attempt first */
	struct list fetch; /* sts.queue while it waits for its turn */
	struct list waiters;
	char domain[DOMAIN_MAX + 1];
	char id[STS_ID_MAX + 1];      /* of what is known */
	char next_id[STS_ID_MAX + 1]; /* of what was tried last */
	uint8_t mode;
	char *hosts; /* owned */
	size_t hosts_n;
	int64_t fetched_us, expires_us; /* 0: there is no policy */
	int64_t failed_us;
	bool is_fetching; /* or in the queue */
};

struct waiter {
	struct list link; /* entry.waiters, or by itself */
	struct list age;  /* sts.waiting */
	struct sts *s;
	void (*on_found)(void *, uint64_t, enum sts_mode, struct slice);
	void *user;
	uint64_t cookie;
	int64_t deadline_us;
	char domain[DOMAIN_MAX + 1];
};

struct sts {
	struct worker *w;
	struct pool pool;
	struct map by_domain;
	struct list entries, queue, waiting;
	uint32_t nfetching, nqueued;
	int64_t turn_us;
	bool is_over;
};

/* ---- entries ------------------------------------------------------------------ */

static uint64_t
key_of(const char *domain)
{
	return hash_bytes(UINT64_C(0x737473), domain, strlen(domain));
}

static struct entry *
entry_find(const struct sts *s, const char *domain)
{
	uint32_t i = map_get(&s->by_domain, key_of(domain));
	struct entry *e = i ? pool_at(&s->pool, i) : NULL;

	return e && strcmp(e->domain, domain) == 0 ? e : NULL;
}

static void
entry_drop(struct sts *s, struct entry *e)
{
	uint32_t i = map_del(&s->by_domain, key_of(e->domain));

	ASSERT(i && !e->is_fetching && list_is_empty(&e->waiters));
	list_remove(&e->age);
	mem_free(e->hosts);
	pool_give(&s->pool, i);
}

/* The one whose last attempt is the longest ago gives way. */
static bool
make_room(struct sts *s)
{
	struct list *n = s->entries.next;

	for (int i = 0; i < TURN_MAX && n != &s->entries; i++, n = n->next) {
		struct entry *e = container_of(n, struct entry, age);

		if (e->is_fetching)
			continue;
		entry_drop(s, e);
		return true;
	}
	return false;
}

static struct entry *
entry_new(struct sts *s, const char *domain)
{
	struct handle h;
	struct entry *e;

	if (s->pool.live >= ENTRIES_MAX && !make_room(s))
		return NULL;
	/* One hash for two names: the second has no entry while the first has
	 * one. */
	if (map_get(&s->by_domain, key_of(domain)))
		return NULL;
	e = pool_take(&s->pool, &h);
	if (!e)
		return NULL;
	if (map_put(&s->by_domain, key_of(domain), h.index)) {
		pool_give(&s->pool, h.index);
		return NULL;
	}
	list_init(&e->waiters);
	list_init(&e->fetch);
	list_push_tail(&s->entries, &e->age);
	slice_copy(slice_str(domain), e->domain, sizeof(e->domain));
	return e;
}

static void
entry_set(struct entry *e, enum sts_mode mode, struct slice hosts,
    const char *id, int64_t fetched_us, int64_t expires_us)
{
	mem_free(e->hosts);
	e->hosts = mem_get(hosts.n + 1);
	memcpy(e->hosts, hosts.n ? hosts.p : "", hosts.n);
	e->hosts_n = hosts.n;
	e->mode = (uint8_t)mode;
	slice_copy(slice_str(id), e->id, sizeof(e->id));
	e->fetched_us = fetched_us;
	e->expires_us = expires_us;
	e->failed_us = 0;
	e->next_id[0] = '\0';
}

static bool
is_live(const struct sts *s, const struct entry *e)
{
	return e && e->expires_us > loop_wall(s->w->loop);
}

/* Is it time to look whether the policy is still the same? */
static bool
is_due(const struct sts *s, const struct entry *e)
{
	int64_t now = loop_wall(s->w->loop);
	int64_t age = now - e->fetched_us, life = e->expires_us - e->fetched_us;

	return e->expires_us && age > MIN(REFRESH_US, life / 2) &&
	    now - e->failed_us > STS_AGAIN_US;
}

/* ---- answers ------------------------------------------------------------------ */

static void
answer(struct waiter *x, const struct entry *e)
{
	struct slice none = { "", 0 };

	list_remove(&x->link);
	list_remove(&x->age);
	if (is_live(x->s, e))
		x->on_found(x->user, x->cookie, (enum sts_mode)e->mode,
		    slice_of(e->hosts, e->hosts_n));
	else
		x->on_found(x->user, x->cookie, STS_NONE, none);
	mem_free(x);
}

static void
answer_all(struct entry *e)
{
	struct list *n;

	while ((n = e->waiters.next) != &e->waiters)
		answer(container_of(n, struct waiter, link), e);
}

/* ---- fetching ------------------------------------------------------------------- */

static void fetch_next(struct sts *s);

static void
fetch_over(struct sts *s, struct entry *e)
{
	e->is_fetching = false;
	s->nfetching--;
	list_remove(&e->age);
	list_push_tail(&s->entries, &e->age);
	answer_all(e);
	fetch_next(s);
}

static void
fetch_failed(struct sts *s, struct entry *e, const char *why)
{
	if (s->is_over)
		return;
	e->failed_us = loop_wall(s->w->loop);
	log_event(LOG_WARN, "mta-sts", "what", "a policy cannot be fetched",
	    "domain", e->domain, "error", why, "effect",
	    is_live(s, e) ? "the one that is known serves on" :
			    "none is applied",
	    NULL);
	fetch_over(s, e);
}

static void
on_address(void *user, uint64_t cookie, const struct dns_answer *a)
{
	struct sts *s = user;
	struct entry *e = pool_at(&s->pool, (uint32_t)cookie);
	struct post_sts *p;

	if (a->status != DNS_OK) {
		fetch_failed(s, e,
		    a->status == DNS_TEMP ? a->why :
					    "mta-sts.DOMAIN has no address");
		return;
	}
	if (s->is_over)
		return;
	p = mem_get(sizeof(*p));
	p->post.kind = POST_STS;
	p->from = s->w;
	slice_copy(slice_str(e->domain), p->domain, sizeof(p->domain));
	slice_copy(slice_str(e->next_id), p->id, sizeof(p->id));
	slice_copy(s->w->conf->tls_ca, p->ca, sizeof(p->ca));
	p->ip = a->addrs[0].ip;
	p->port = s->w->conf->sts_port;
	keeper_post(&s->w->d->keeper, &p->post);
}

static void
fetch_start(struct sts *s, struct entry *e)
{
	char name[DOMAIN_MAX + sizeof(STS_HOST) + 1];
	int n = snprintf(name, sizeof(name), STS_HOST "%s", e->domain);

	s->nfetching++;
	dns_lookup(s->w->dns, slice_of(name, (size_t)n), true, on_address, s,
	    map_get(&s->by_domain, key_of(e->domain)));
}

static void
fetch_next(struct sts *s)
{
	while (!s->is_over && s->nfetching < FETCHES_MAX &&
	    !list_is_empty(&s->queue)) {
		struct entry *e =
		    container_of(s->queue.next, struct entry, fetch);

		list_remove(&e->fetch);
		s->nqueued--;
		fetch_start(s, e);
	}
}

/* False: too many wait. */
static bool
fetch(struct sts *s, struct entry *e, const char *id)
{
	if (e->is_fetching)
		return true;
	if (s->is_over || s->nqueued >= QUEUE_MAX)
		return false;
	e->is_fetching = true;
	slice_copy(slice_str(id), e->next_id, sizeof(e->next_id));
	list_push_tail(&s->queue, &e->fetch);
	s->nqueued++;
	fetch_next(s);
	return true;
}

void
sts_done(struct sts *s, struct post_sts *p)
{
	struct entry *e = entry_find(s, p->domain);

	if (p->why[0] && s->w->tlsrpt)
		tlsrpt_no_policy(s->w->tlsrpt, p->domain,
		    p->result ? p->result : "sts-policy-fetch-error", p->why);
	if (e && e->is_fetching && p->why[0]) {
		fetch_failed(s, e, p->why);
	} else if (e && e->is_fetching) {
		entry_set(e, p->policy.mode,
		    slice_of(p->policy.hosts, p->policy.hosts_n), p->id,
		    p->fetched_us, p->expires_us);
		fetch_over(s, e);
	}
	mem_free(p);
}

/* ---- questions -------------------------------------------------------------------- */

/* The record says that there is a policy of this id. */
static void
has_record(struct waiter *x, const char *id)
{
	struct sts *s = x->s;
	struct entry *e = entry_find(s, x->domain);
	bool is_known = e && strcmp(e->id, id) == 0;

	if (is_known && is_live(s, e)) {
		if (is_due(s, e))
			(void)fetch(s, e, id); /* nobody waits for it */
		answer(x, e);
		return;
	}
	if (e && strcmp(e->next_id, id) == 0 && !e->is_fetching &&
	    loop_wall(s->w->loop) - e->failed_us < STS_AGAIN_US) {
		answer(x, e);
		return;
	}
	if (!e)
		e = entry_new(s, x->domain);
	if (!e || !fetch(s, e, id)) {
		answer(x, e);
		return;
	}
	list_push_tail(&e->waiters, &x->link);
	list_push_tail(&s->waiting, &x->age);
	x->deadline_us = loop_now(s->w->loop) + STS_WAIT_US;
}

static void
on_record(void *user, uint64_t cookie, const struct dns_records *r)
{
	struct waiter *x = user;
	char id[STS_ID_MAX + 1];

	(void)cookie;
	if (r->status == DNS_OK &&
	    sts_record_read(slice_of(r->txt, r->txt_n), id))
		has_record(x, id);
	else /* RFC 8461 5.1: what is known holds until it expires */
		answer(x, entry_find(x->s, x->domain));
}

/* Could mta-sts.NAME be a host? */
static bool
is_plain_name(struct slice s)
{
	for (size_t i = 0; i < s.n; i++)
		if (!ascii_is_alpha(s.p[i]) && !ascii_is_digit(s.p[i]) &&
		    s.p[i] != '-' && s.p[i] != '.' && s.p[i] != '_')
			return false;
	return s.n > 0 && s.n + sizeof(STS_RECORD) < DOMAIN_MAX;
}

void
sts_find(struct sts *s, struct slice domain,
    void (*on_found)(void *, uint64_t, enum sts_mode, struct slice), void *user,
    uint64_t cookie)
{
	struct slice none = { "", 0 };
	char name[DOMAIN_MAX + sizeof(STS_RECORD) + 1];
	struct waiter *x;
	int n;

	if (!is_plain_name(domain)) {
		on_found(user, cookie, STS_NONE, none);
		return;
	}
	x = mem_get(sizeof(*x));
	x->s = s;
	x->on_found = on_found;
	x->user = user;
	x->cookie = cookie;
	list_init(&x->link);
	list_init(&x->age);
	for (size_t i = 0; i < domain.n; i++)
		x->domain[i] = ascii_lower(domain.p[i]);
	n = snprintf(name, sizeof(name), STS_RECORD "%s", x->domain);
	dns_records(s->w->dns, slice_of(name, (size_t)n), DNS_ASK_TXT,
	    on_record, x, 0);
}

/* ---- time ------------------------------------------------------------------------ */

static void
look_over(struct sts *s)
{
	for (int i = 0; i < TURN_MAX && !list_is_empty(&s->entries); i++) {
		struct entry *e =
		    container_of(s->entries.next, struct entry, age);

		list_remove(&e->age);
		list_push_tail(&s->entries, &e->age);
		if (e->is_fetching)
			continue;
		if (!is_live(s, e) &&
		    loop_wall(s->w->loop) - e->failed_us > STS_AGAIN_US)
			entry_drop(s, e);
		else if (is_live(s, e) && is_due(s, e))
			(void)fetch(s, e, e->id);
	}
}

/* Waiters are answered in the order of their deadlines, for all have the same
 * time. */
void
sts_turn(struct sts *s)
{
	int64_t now = loop_now(s->w->loop);

	while (!list_is_empty(&s->waiting)) {
		struct waiter *x =
		    container_of(s->waiting.next, struct waiter, age);

		if (x->deadline_us > now)
			break;
		answer(x, entry_find(s, x->domain));
	}
	if (s->turn_us > now)
		return;
	s->turn_us = now + TURN_US;
	look_over(s);
}

int64_t
sts_deadline(const struct sts *s)
{
	int64_t at = s->pool.live ? s->turn_us : TIME_NEVER;

	if (!list_is_empty(&s->waiting))
		at = MIN(at,
		    container_of(s->waiting.next, struct waiter, age)
			->deadline_us);
	return at;
}

/* ---- life ------------------------------------------------------------------------- */

void
sts_recall(struct sts *s, const struct store_policy *p)
{
	char domain[DOMAIN_MAX + 1], id[STS_ID_MAX + 1];
	struct entry *e;

	slice_copy(p->domain, domain, sizeof(domain));
	slice_copy(p->id, id, sizeof(id));
	if (p->mode > STS_ENFORCE || entry_find(s, domain))
		return;
	e = entry_new(s, domain);
	if (e)
		entry_set(e, (enum sts_mode)p->mode, p->hosts, id,
		    p->fetched_us, p->expires_us);
}

struct sts *
sts_new(struct worker *w)
{
	struct sts *s = mem_get(sizeof(*s));

	s->w = w;
	pool_init(&s->pool, sizeof(struct entry), ENTRIES_MAX);
	map_init(&s->by_domain, 0, 2 * ENTRIES_MAX);
	list_init(&s->entries);
	list_init(&s->queue);
	list_init(&s->waiting);
	return s;
}

void
sts_stop(struct sts *s)
{
	s->is_over = true;
	while (!list_is_empty(&s->waiting)) {
		struct waiter *x =
		    container_of(s->waiting.next, struct waiter, age);

		answer(x, entry_find(s, x->domain));
	}
}

void
sts_free(struct sts *s)
{
	for (struct list *n = s->entries.next; n != &s->entries; n = n->next)
		mem_free(container_of(n, struct entry, age)->hosts);
	pool_free(&s->pool);
	map_free(&s->by_domain);
	mem_free(s);
}

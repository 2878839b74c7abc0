/*
 * engine/site.c - sites (all domains with one set of mail hosts) and the hosts
 * themselves, each an address and port that all sites share.
 *
 * A host that could not be reached is dead for a time that doubles; then one
 * session alone tries it again. What a site's lanes wait for, when every host
 * is dead, is the host that may be tried first.
 */
#include "engine/standing_i.h"

/* So long it is believed how many messages of a connection a host takes. */
#define BYE_US (3600 * US_PER_S)
/* And so long none is, after one that was wrong; twice as long each time. */
#define BYE_DOUBT_MIN_US (60 * US_PER_S)
#define BYE_DOUBT_MAX_US (900 * US_PER_S)

/* ---- hosts ------------------------------------------------------------------- */

static uint64_t
host_hash(const struct ip *ip, uint16_t port)
{
	return hash_u64(ip_hash(ip) ^ port);
}

uint32_t
eng_host_take(struct eng *e, const struct ip *ip, uint16_t port)
{
	uint64_t h = host_hash(ip, port);
	uint32_t first = map_get(&e->host_map, h), i;
	struct host *x;

	for (i = first; i != 0; i = x->twin) {
		x = pool_at(&e->hosts, i);
		if (x->port == port && ip_eq(&x->ip, ip)) {
			x->nrefs++;
			return i;
		}
	}
	x = eng_slot(&e->hosts, &i);
	x->ip = *ip;
	x->port = port;
	x->twin = first;
	x->nrefs = 1;
	ASSERT(map_put(&e->host_map, h, i) == 0);
	return i;
}

void
eng_host_drop(struct eng *e, uint32_t host)
{
	struct host *x = pool_at(&e->hosts, host), *p;
	uint64_t h = host_hash(&x->ip, x->port);
	uint32_t at;

	if (--x->nrefs > 0)
		return;
	eng_host_wake(e, host);
	at = map_get(&e->host_map, h);
	if (at == host && x->twin == 0)
		map_del(&e->host_map, h);
	else if (at == host)
		ASSERT(map_put(&e->host_map, h, x->twin) == 0);
	else {
		for (p = pool_at(&e->hosts, at); p->twin != host;)
			p = pool_at(&e->hosts, p->twin);
		p->twin = x->twin;
	}
	pool_give(&e->hosts, host);
}

void
eng_host_wake(struct eng *e, uint32_t host)
{
	struct host *x = pool_at(&e->hosts, host);

	while (x->waiters.n != 0)
		eng_lane_wake(e, x->waiters.head);
}

void
eng_host_up(struct eng *e, uint32_t host)
{
	struct host *x = pool_at(&e->hosts, host);

	x->fails = 0;
	x->probe = 0;
	x->dead_until_us = 0;
	eng_host_wake(e, host);
}

/* Sessions that were opened before the last failure became known say nothing
 * new. */
void
eng_host_failed(struct eng *e, uint32_t host, int64_t opened_us)
{
	struct host *x = pool_at(&e->hosts, host);

	if (x->fails != 0 && opened_us < x->fail_us)
		return;
	x->fails++;
	x->fail_us = e->now;
	x->dead_until_us = e->now +
	    eng_doubled(e->policy->host_retry_min_us,
		e->policy->host_retry_max_us, x->fails);
}

/* What was believed was wrong. A host that slows us down by 421 says so now
 * after many messages and now after few: if the next such number were believed
 * at once, it would be taken for goodbye again and again. */
static void
bye_was_wrong(struct eng *e, struct host *x)
{
	if (x->bye_doubt_until_us + BYE_US <= e->now)
		x->bye_wrong = 0;
	x->bye_wrong++;
	x->bye_doubt_until_us = e->now +
	    eng_doubled(BYE_DOUBT_MIN_US, BYE_DOUBT_MAX_US, x->bye_wrong);
	x->bye_after = 0;
}

/* The first such number is believed, and sessions end by themselves at it, so
 * that a receiver who counts the messages of a connection has no more reason to
 * say so. Who says it again after clearly fewer means something else: he slows
 * us down. */
bool
eng_host_said_bye(struct eng *e, uint32_t host, uint32_t n)
{
	struct host *x = pool_at(&e->hosts, host);
	uint32_t known = x->bye_until_us > e->now ? x->bye_after : 0;

	if (known != 0 && n < known - known / 2)
		bye_was_wrong(e, x);
	if (n == 0 || x->bye_doubt_until_us > e->now)
		return false;
	x->bye_after = known != 0 ? MIN(known, n) : n;
	x->bye_until_us = e->now + BYE_US;
	return true;
}

void
eng_host_no_bye(struct eng *e, uint32_t host)
{
	bye_was_wrong(e, pool_at(&e->hosts, host));
}

void
eng_host_tls_failed(struct eng *e, uint32_t host, int64_t opened_us)
{
	struct host *x = pool_at(&e->hosts, host);

	if (x->tls_fails != 0 && opened_us < x->tls_fail_us)
		return; /* began before the failure that is known */
	x->tls_fails++;
	x->tls_fail_us = e->now;
	x->clear_until_us = e->now +
	    eng_doubled(e->policy->host_retry_min_us,
		e->policy->host_retry_max_us, x->tls_fails);
}

/* ---- sites --------------------------------------------------------------------- */

/* Host, port, and its place in the order of preference: domains that order the
 * same hosts otherwise are another site (RFC 5321 5.1 has the order kept), those
 * that only number the same order otherwise are not. */
static uint64_t
id_of(const struct ev_resolved *ev, const struct eng_target *t)
{
	uint64_t rank = 0;
	uint32_t pref = t->pref;

	for (;;) {
		uint32_t next = UINT32_MAX; /* the best of those above */

		for (uint32_t k = 0; k < ev->ntargets; k++)
			if (ev->target[k].pref < pref &&
			    (next == UINT32_MAX || ev->target[k].pref > next))
				next = ev->target[k].pref;
		if (next == UINT32_MAX)
			return rank << 48 | (uint64_t)t->host << 16 | t->port;
		pref = next;
		rank++;
	}
}

/* Sorted and without doubles; returns how many. */
static uint16_t
ids_of(const struct ev_resolved *ev, uint64_t ids[ENG_TARGETS_MAX])
{
	uint16_t n = 0;

	for (uint32_t k = 0; k < ev->ntargets; k++) {
		uint64_t id = id_of(ev, &ev->target[k]);
		uint16_t at = n;

		while (at > 0 && ids[at - 1] > id)
			at--;
		if (at > 0 && ids[at - 1] == id)
			continue;
		memmove(&ids[at + 1], &ids[at], (n - at) * sizeof(*ids));
		ids[at] = id;
		n++;
	}
	return n;
}

static bool
before(const struct eng_target *a, const struct eng_target *b)
{
	if (a->pref != b->pref)
		return a->pref < b->pref;
	if (a->host != b->host)
		return a->host < b->host;
	return memcmp(a->ip.b, b->ip.b, sizeof(a->ip.b)) < 0;
}

static void
targets_free(struct eng *e, struct target *t, uint16_t n)
{
	for (uint16_t k = 0; k < n; k++) {
		eng_emit(e, CMD_FORGET_HOST)->domain = t[k].name;
		eng_host_drop(e, t[k].host);
	}
	mem_free(t);
}

/* The site's targets anew: the same hosts may have new addresses. */
static void
targets_set(struct eng *e, struct site *s, const struct ev_resolved *ev)
{
	struct eng_target in[ENG_TARGETS_MAX];
	struct target *old = s->targets;
	uint16_t nold = s->ntargets, n = 0;

	for (uint32_t k = 0; k < ev->ntargets; k++) {
		uint16_t at = n++;

		for (; at > 0 && before(&ev->target[k], &in[at - 1]); at--)
			in[at] = in[at - 1];
		in[at] = ev->target[k];
	}
	s->targets = mem_get(n * sizeof(*s->targets));
	s->ntargets = n;
	for (uint16_t k = 0; k < n; k++)
		s->targets[k] = (struct target){ .name = in[k].host,
			.host = eng_host_take(e, &in[k].ip, in[k].port),
			.pref = in[k].pref };
	targets_free(e, old, nold);
}

uint32_t
eng_site_take(struct eng *e, const struct ev_resolved *ev)
{
	uint64_t ids[ENG_TARGETS_MAX + 1];
	uint16_t n = ids_of(ev, ids);
	uint64_t h = hash_bytes((uint64_t)ev->rollup << 1 | ev->is_route, ids,
	    n * sizeof(*ids));
	uint32_t first = map_get(&e->site_map, h), i;
	struct site *s = NULL;

	for (i = first; i != 0; i = s->twin) {
		s = pool_at(&e->sites, i);
		if (s->is_route == ev->is_route && s->rollup == ev->rollup &&
		    s->nids == n && memcmp(s->ids, ids, n * sizeof(*ids)) == 0)
			break;
	}
	if (i == 0) {
		s = eng_slot(&e->sites, &i);
		s->hash = h;
		s->ids = mem_get(n * sizeof(*ids));
		memcpy(s->ids, ids, n * sizeof(*ids));
		s->nids = n;
		s->is_route = ev->is_route;
		s->twin = first;
		s->rollup = ev->rollup;
		ASSERT(map_put(&e->site_map, h, i) == 0);
		e->totals.sites++;
	} else if (ev->rollup != 0) { /* it is held already */
		eng_emit(e, CMD_FORGET_HOST)->domain = ev->rollup;
	}
	s->nrefs++;
	targets_set(e, s, ev);
	eng_site_shape(e, i, &ev->where);
	return i;
}

static struct eng_where
where_in(const struct eng_policy *p, const struct eng_where *to)
{
	struct eng_where in = *to;

	in.dest = in.dest < p->ndests ? in.dest : 0;
	in.provider = in.provider < p->nproviders ? in.provider : 0;
	in.shape = in.shape < p->nshapes ? in.shape : 0;
	return in;
}

void
eng_site_shape(struct eng *e, uint32_t site, const struct eng_where *to)
{
	struct site *s = pool_at(&e->sites, site);
	struct eng_where in = where_in(e->policy, to);
	struct eng_shape shape;
	uint32_t old = s->shape, was = s->provider;

	if (memcmp(&s->where, &in, sizeof(in)) == 0 &&
	    s->generation == e->generation)
		return;
	s->where = in;
	s->provider =
	    in.provider != 0 ? e->policy->providers[in.provider].name : 0;
	s->generation = e->generation;
	eng_policy_shape(e->policy, &in, SRC_NONE, &shape);
	s->shape = eng_form_take(e, &shape);
	if (old != 0)
		eng_form_drop(e, old);
	for (uint32_t i = s->paths.head; i != 0;) {
		uint32_t next =
		    ((struct path *)pool_at(&e->paths, i))->link.next;

		eng_path_reshape(e, i);
		if (was != s->provider)
			eng_path_recount(e, i);
		i = next;
	}
	eng_site_wake(e, site);
}

void
eng_site_hold(struct eng *e, uint32_t site)
{
	((struct site *)pool_at(&e->sites, site))->nrefs++;
}

void
eng_site_drop(struct eng *e, uint32_t site)
{
	struct site *s = pool_at(&e->sites, site), *p;
	uint32_t at;

	if (--s->nrefs > 0)
		return;
	ASSERT(s->lanes.n == 0 && s->paths.n == 0 && s->nsess == 0);
	at = map_get(&e->site_map, s->hash);
	if (at == site && s->twin == 0)
		map_del(&e->site_map, s->hash);
	else if (at == site)
		ASSERT(map_put(&e->site_map, s->hash, s->twin) == 0);
	else {
		for (p = pool_at(&e->sites, at); p->twin != site;)
			p = pool_at(&e->sites, p->twin);
		p->twin = s->twin;
	}
	targets_free(e, s->targets, s->ntargets);
	if (s->rollup != 0)
		eng_emit(e, CMD_FORGET_HOST)->domain = s->rollup;
	eng_form_drop(e, s->shape);
	mem_free(s->ids);
	pool_give(&e->sites, site);
	e->totals.sites--;
}

void
eng_site_wake(struct eng *e, uint32_t site)
{
	struct site *s = pool_at(&e->sites, site);

	for (uint32_t i = s->lanes.head; i != 0;) {
		struct lane *l = pool_at(&e->lanes, i);

		eng_lane_ready(l);
		i = l->link.next;
	}
	eng_site_look(e, site);
}

void
eng_site_look(struct eng *e, uint32_t site)
{
	struct site *s = pool_at(&e->sites, site);

	for (uint32_t i = s->hungry.head; i != 0;) {
		struct lane *l = pool_at(&e->lanes, i);
		uint32_t next = l->hungry.next;

		if (l->is_parked)
			eng_lane_wake(e, i);
		else
			eng_lane_kick(e, i);
		i = next;
	}
}

/* ---- which host ------------------------------------------------------------------- */

struct pick {
	int best;     /* index of the target, or -1 */
	int shunned;  /* one that only the shun speaks against */
	bool reaches; /* some target is of the source's family */
	uint32_t host;
	int64_t until_us;
	uint32_t skip; /* the standing that opens first, 0 = none */
	int64_t skip_us;
};

/* Does a reaction keep the source from it? */
static bool
is_skipped(struct eng *e, const struct site *s, int k, const struct src *src,
    struct pick *p)
{
	int64_t until;
	uint32_t i = eng_host_skipped(e, s, (uint32_t)(src - e->srcs),
	    s->targets[k].name, &until);

	if (i == 0)
		return false;
	until = until != 0 ? until : TIME_NEVER;
	if (p->skip == 0 || until < p->skip_us) {
		p->skip = i;
		p->skip_us = until;
	}
	return true;
}

static void
look_at(struct eng *e, const struct site *s, int k, const struct src *src,
    uint32_t shun, struct pick *p)
{
	const struct host *x = pool_at(&e->hosts, s->targets[k].host);

	if (x->ip.family == 6 ? !src->has_v6 : !src->has_v4)
		return;
	p->reaches = true;
	if (is_skipped(e, s, k, src, p))
		return;
	if (x->fails != 0 && (x->dead_until_us > e->now || x->probe != 0)) {
		int64_t at =
		    x->dead_until_us > e->now ? x->dead_until_us : TIME_NEVER;

		if (p->host == 0 || at < p->until_us) {
			p->until_us = at;
			p->host = s->targets[k].host;
		}
	} else if (s->targets[k].host == shun) {
		p->shunned = p->shunned < 0 ? k : p->shunned;
	} else if (p->best < 0) {
		p->best = k;
	}
}

int
eng_site_pick(struct eng *e, const struct site *s, const struct src *src,
    uint32_t shun, enum eng_why *why, int64_t *until_us, uint32_t *host)
{
	struct pick p = { .best = -1, .shunned = -1 };

	for (int from = 0, to; from < s->ntargets && p.best < 0; from = to) {
		int n, first;

		for (to = from + 1; to < s->ntargets &&
		     s->targets[to].pref == s->targets[from].pref;
		     to++)
			continue;
		n = to - from;
		first = n > 1 ? (int)rng_below(&e->rng, (uint64_t)n) : 0;
		e->totals.decisions_total += (uint64_t)n - (from == 0);
		for (int k = 0; k < n; k++)
			look_at(e, s, from + (first + k) % n, src, shun, &p);
	}
	if (p.best < 0)
		p.best = p.shunned;
	*why = p.best >= 0 ? WHY_NONE : p.reaches ? WHY_HOST : WHY_NO_SOURCE;
	if (p.skip != 0 && *why == WHY_HOST &&
	    (p.host == 0 || p.skip_us < p.until_us)) {
		*why = WHY_SUSPENDED;
		p.until_us = p.skip_us;
	}
	*until_us = p.until_us == TIME_NEVER ? 0 : p.until_us;
	*host = p.host;
	return p.best;
}

uint32_t
eng_domain_hosts(const struct eng *e, uint32_t domain,
    uint32_t hosts[ENG_TARGETS_MAX], uint32_t *nbest)
{
	uint32_t i = map_get(&e->dom_map, domain), n;
	const struct dom *d = i != 0 ? pool_at(&e->doms, i) : NULL;
	const struct site *s;

	*nbest = 0;
	if (d == NULL || d->site == 0)
		return 0;
	s = pool_at(&e->sites, d->site);
	n = MIN((uint32_t)s->ntargets, (uint32_t)ENG_TARGETS_MAX);
	for (uint32_t k = 0; k < n; k++) {
		hosts[k] = s->targets[k].name;
		*nbest += s->targets[k].pref == s->targets[0].pref;
	}
	return n;
}

/*
 * engine/site.c - destinations after MX roll-up, and the memory of dead hosts.
 *
 * A site is a set of (host name, port) and whether it came from a route: all
 * domains with the same set share it, whatever their addresses are today or
 * in which order they prefer the hosts; the latest answer gives those, and
 * the shape. A host is one address and port, shared by every site that has
 * it, so that a dead address is found out once.
 *
 * After a failure a host is dead for a while that doubles; when it is over one
 * session alone (`probe`) finds out whether it has come back. Lanes that have
 * no other host wait in its list.
 */
#include "engine/engine_i.h"

/* ---- hosts --------------------------------------------------------------------- */

static uint64_t
host_hash(const struct ip *ip, uint16_t port)
{
	return hash_u64(ip_hash(ip) + port);
}

static uint32_t
host_take(struct eng *e, const struct ip *ip, uint16_t port)
{
	uint64_t key = host_hash(ip, port);
	uint32_t first = map_get(&e->host_map, key), i;
	struct host *h;

	for (i = first; i != 0; i = h->twin) {
		h = pool_at(&e->hosts, i);
		if (h->port == port && ip_eq(&h->ip, ip)) {
			h->nrefs++;
			return i;
		}
	}
	h = eng_slot(&e->hosts, &i);
	h->ip = *ip;
	h->port = port;
	h->twin = first;
	h->nrefs = 1;
	ASSERT(map_put(&e->host_map, key, i) == 0);
	return i;
}

static void
host_unchain(struct eng *e, uint32_t i)
{
	struct host *h = pool_at(&e->hosts, i), *p;
	uint64_t key = host_hash(&h->ip, h->port);
	uint32_t at = map_get(&e->host_map, key);

	if (at == i && h->twin == 0) {
		map_del(&e->host_map, key);
	} else if (at == i) {
		ASSERT(map_put(&e->host_map, key, h->twin) == 0);
	} else {
		for (p = pool_at(&e->hosts, at); p->twin != i;)
			p = pool_at(&e->hosts, p->twin);
		p->twin = h->twin;
	}
}

void
eng_host_drop(struct eng *e, uint32_t host)
{
	struct host *h = pool_at(&e->hosts, host);

	if (--h->nrefs > 0)
		return;
	eng_host_wake(e, host);
	host_unchain(e, host);
	pool_give(&e->hosts, host);
}

void
eng_host_wake(struct eng *e, uint32_t host)
{
	struct host *h = pool_at(&e->hosts, host);

	while (h->waiters.n != 0)
		eng_lane_unpark(e, h->waiters.head);
}

void
eng_host_up(struct eng *e, uint32_t host)
{
	struct host *h = pool_at(&e->hosts, host);

	if (h->fails == 0)
		return;
	h->fails = 0;
	h->dead_until_us = 0;
	eng_host_wake(e, host);
}

void
eng_host_failed(struct eng *e, uint32_t host, int64_t opened_us)
{
	struct host *h = pool_at(&e->hosts, host);

	/* Sessions that were under way when it failed say nothing new. */
	if (h->fails > 0 && opened_us <= h->fail_us)
		return;
	h->fails++;
	h->fail_us = e->now;
	h->dead_until_us = e->now + eng_doubled(e->policy->host_retry_min_us,
	    e->policy->host_retry_max_us, h->fails);
}

/* ---- which address ----------------------------------------------------------------- */

static bool
reaches(const struct src *src, const struct host *h)
{
	return h->ip.family == 6 ? src->has_v6 : src->has_v4;
}

static bool
host_is_usable(const struct eng *e, const struct host *h)
{
	return h->fails == 0 || (h->dead_until_us <= e->now && h->probe == 0);
}

/* One of the best targets that are usable, by lot among equals; -1: none. */
static int
pick_usable(struct eng *e, const struct site *s, const struct src *src,
    uint32_t shun)
{
	uint16_t n = 0, pref = 0;
	int best[ENG_TARGETS_MAX];

	for (uint16_t i = 0; i < s->ntargets; i++) {
		const struct target *t = &s->targets[i];
		const struct host *h = pool_at(&e->hosts, t->host);

		if (n > 0 && t->pref != pref)
			break;
		if (t->host == shun || !reaches(src, h) ||
		    !host_is_usable(e, h))
			continue;
		pref = t->pref;
		best[n++] = i;
	}
	if (n == 0)
		return -1;
	return n == 1 ? best[0] : best[rng_below(&e->rng, n)];
}

int
eng_site_pick(struct eng *e, const struct site *s, const struct src *src,
    uint32_t shun, enum eng_why *why, int64_t *until_us, uint32_t *host)
{
	int at = pick_usable(e, s, src, shun);

	if (at < 0 && shun != 0)
		at = pick_usable(e, s, src, 0);
	if (at >= 0)
		return at;
	*why = WHY_NO_SOURCE; /* none that reaches such addresses */
	*until_us = 0;
	*host = 0;
	for (uint16_t i = 0; i < s->ntargets; i++) {
		const struct target *t = &s->targets[i];
		const struct host *h = pool_at(&e->hosts, t->host);

		if (!reaches(src, h))
			continue;
		*why = WHY_HOST;
		if (h->dead_until_us <= e->now) {
			*host = t->host; /* its probe will tell */
		} else if (*until_us == 0 || h->dead_until_us < *until_us) {
			*until_us = h->dead_until_us;
			if (*host == 0)
				*host = t->host;
		}
	}
	return -1;
}

/* ---- sites ------------------------------------------------------------------------- */

static uint32_t
site_find(const struct eng *e, uint64_t hash, const uint64_t *ids,
    uint16_t n, bool is_route)
{
	uint32_t i = map_get(&e->site_map, hash);
	const struct site *s;

	for (; i != 0; i = s->twin) {
		s = pool_at(&e->sites, i);
		if (s->nids == n && s->is_route == is_route &&
		    memcmp(s->ids, ids, n * sizeof(*ids)) == 0)
			return i;
	}
	return 0;
}

/* Sorted, each once. Returns how many. */
static uint16_t
site_ids(const struct ev_resolved *ev, uint64_t *ids)
{
	uint16_t n = 0;

	for (uint16_t i = 0; i < ev->ntargets; i++) {
		const struct eng_target *t = &ev->target[i];
		uint64_t id = ((uint64_t)t->host << 16) | t->port;
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

static int
target_cmp(const struct eng_target *a, const struct eng_target *b)
{
	if (a->pref != b->pref)
		return a->pref < b->pref ? -1 : 1;
	if (a->host != b->host)
		return a->host < b->host ? -1 : 1;
	if (a->port != b->port)
		return a->port < b->port ? -1 : 1;
	if (a->ip.family != b->ip.family)
		return a->ip.family < b->ip.family ? -1 : 1;
	return memcmp(a->ip.b, b->ip.b, sizeof(a->ip.b));
}

/* Order of the targets: indices into ev->target, best first. */
static void
target_order(const struct ev_resolved *ev, uint16_t *order)
{
	for (uint16_t i = 0; i < ev->ntargets; i++) {
		uint16_t at = i;

		for (; at > 0 && target_cmp(&ev->target[order[at - 1]],
				     &ev->target[i]) > 0;
		     at--)
			order[at] = order[at - 1];
		order[at] = i;
	}
}

static bool
shape_eq(const struct eng_shape *a, const struct eng_shape *b)
{
#define X(name, type, dflt)                                                    \
	if (a->name != b->name)                                                \
		return false;
	ENG_SHAPE_TABLE(X)
#undef X
	return true;
}

/* The site's addresses become those of ev; true when something is new. */
static bool
targets_set(struct eng *e, struct site *s, const struct ev_resolved *ev)
{
	struct target *v = mem_get(ev->ntargets * sizeof(*v)), *old;
	uint16_t order[ENG_TARGETS_MAX], nold = s->ntargets;
	bool is_same = nold == ev->ntargets;

	target_order(ev, order);
	for (uint16_t i = 0; i < ev->ntargets; i++) {
		const struct eng_target *t = &ev->target[order[i]];

		v[i].name = t->host;
		v[i].pref = t->pref;
		v[i].host = host_take(e, &t->ip, t->port);
	}
	old = s->targets;
	for (uint16_t i = 0; i < nold && is_same; i++)
		is_same = old[i].host == v[i].host &&
		    old[i].name == v[i].name && old[i].pref == v[i].pref;
	s->targets = v;
	s->ntargets = ev->ntargets;
	for (uint16_t i = 0; i < nold; i++)
		eng_host_drop(e, old[i].host);
	mem_free(old);
	return !is_same;
}

static void
site_update(struct eng *e, uint32_t i, const struct ev_resolved *ev)
{
	struct site *s = pool_at(&e->sites, i);
	uint32_t n = ev->shape < e->policy->nshapes ? ev->shape : 0;
	const struct eng_shape *shape = &e->policy->shapes[n];
	bool is_new = targets_set(e, s, ev);

	if (!shape_eq(shape, &s->shape)) {
		s->shape = *shape;
		eng_site_reshape(e, i);
		is_new = true;
	}
	if (is_new)
		eng_site_wake(e, i);
}

static uint64_t
site_hash(const uint64_t *ids, uint16_t n, bool is_route)
{
	uint64_t h = is_route;

	for (uint16_t i = 0; i < n; i++)
		h = hash_u64(h ^ ids[i]);
	return h;
}

uint32_t
eng_site_take(struct eng *e, const struct ev_resolved *ev)
{
	uint64_t ids[ENG_TARGETS_MAX + 1], hash;
	uint16_t n;
	uint32_t i;
	struct site *s;

	ASSERT(ev->ntargets >= 1 && ev->ntargets <= ENG_TARGETS_MAX);
	n = site_ids(ev, ids);
	hash = site_hash(ids, n, ev->is_route);
	i = site_find(e, hash, ids, n, ev->is_route);
	if (i == 0) {
		s = eng_slot(&e->sites, &i);
		s->hash = hash;
		s->twin = map_get(&e->site_map, hash);
		s->ids = mem_get(n * sizeof(*ids));
		memcpy(s->ids, ids, n * sizeof(*ids));
		s->nids = n;
		s->is_route = ev->is_route;
		ASSERT(map_put(&e->site_map, hash, i) == 0);
	}
	eng_site_hold(e, i);
	site_update(e, i, ev);
	return i;
}

void
eng_site_hold(struct eng *e, uint32_t site)
{
	struct site *s = pool_at(&e->sites, site);

	s->nrefs++;
}

static void
site_unchain(struct eng *e, uint32_t i)
{
	struct site *s = pool_at(&e->sites, i), *p;
	uint32_t at = map_get(&e->site_map, s->hash);

	if (at == i && s->twin == 0) {
		map_del(&e->site_map, s->hash);
	} else if (at == i) {
		ASSERT(map_put(&e->site_map, s->hash, s->twin) == 0);
	} else {
		for (p = pool_at(&e->sites, at); p->twin != i;)
			p = pool_at(&e->sites, p->twin);
		p->twin = s->twin;
	}
}

void
eng_site_drop(struct eng *e, uint32_t site)
{
	struct site *s = pool_at(&e->sites, site);

	if (--s->nrefs > 0)
		return;
	ASSERT(s->lanes.n == 0 && s->paths.n == 0 && s->nsess == 0);
	for (uint16_t i = 0; i < s->ntargets; i++)
		eng_host_drop(e, s->targets[i].host);
	site_unchain(e, site);
	mem_free(s->targets);
	mem_free(s->ids);
	pool_give(&e->sites, site);
}

void
eng_site_wake(struct eng *e, uint32_t site)
{
	struct site *s = pool_at(&e->sites, site);

	for (uint32_t i = s->hungry.head; i != 0;
	     i = il_link(K_HUNGRY(e), i)->next)
		eng_lane_unpark(e, i);
}

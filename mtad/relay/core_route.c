/*
 * relay/core_route.c - where a domain's mail goes: by DNS, or to the hosts of
 * its route.
 *
 * Hosts of a route that are names are looked up one after the other; those that
 * are addresses need nothing. What was found waits in a `walk` until the last
 * answer, so that the engine hears of all hosts at once, each with its place in
 * the list as preference. A name that cannot be looked up is left out as long as
 * another host is known. After a reload a walk begins anew.
 */
#include "conf/shaping.h"
#include "relay/core_i.h"

#define WALKS_MAX (1u << 20)
#define ADDRESS_TTL_US (3600 * US_PER_S)

struct walk {
	uint64_t generation; /* of the configuration */
	uint32_t at;         /* the host that is looked up */
	bool is_temp;        /* a look-up failed for the time being */
	int64_t ttl_us;      /* the shortest */
	uint16_t ntargets;
	struct eng_target target[ENG_TARGETS_MAX];
};

void
core_routes_init(struct core *c, uint64_t seed)
{
	pool_init(&c->walks, sizeof(struct walk), WALKS_MAX);
	map_init(&c->walk_of, seed, WALKS_MAX);
}

void
core_routes_free(struct core *c)
{
	pool_free(&c->walks);
	map_free(&c->walk_of);
}

/* The first host at or behind i that is a name, or nhosts. */
static uint32_t
name_from(const struct conf_route *r, uint32_t i)
{
	while (i < r->nhosts && r->addr[i].ip.family)
		i++;
	return i;
}

static struct walk *
walk_new(struct core *c, uint32_t domain)
{
	struct handle h;
	struct walk *w = pool_take(&c->walks, &h);

	if (!w)
		return NULL;
	if (map_put(&c->walk_of, domain, h.index) != 0) {
		pool_give(&c->walks, h.index);
		return NULL;
	}
	w->generation = c->generation;
	w->ttl_us = ADDRESS_TTL_US;
	return w;
}

void
core_resolve(struct core *c, uint32_t domain)
{
	struct slice name = core_domain_text(c, domain, NULL);
	const struct conf_route *r = conf_route_find(c->conf, name);
	struct walk *w;
	uint32_t at;

	if (!r) {
		c->ops->resolve(c->ctx, domain, name, false);
		return;
	}
	at = name_from(r, 0);
	if (at == r->nhosts) {
		/* The driver hands it back to core_resolved in its own time: a
		 * step must not begin inside another one. */
		c->ops->resolve(c->ctx, domain, slice_of(NULL, 0), false);
		return;
	}
	w = walk_new(c, domain);
	if (w)
		w->at = at;
	c->ops->resolve(c->ctx, domain, r->host[at], true);
}

static void
add_target(struct core *c, struct walk *w, struct slice host, uint32_t pref,
    const struct endpoint *to)
{
	if (w->ntargets == ENG_TARGETS_MAX)
		return;
	w->target[w->ntargets++] = (struct eng_target){
		.host = core_host(c, host),
		.pref = (uint16_t)pref,
		.ip = to->ip,
		.port = to->port ? to->port : c->conf->smtp_port,
	};
}

/* Takes in the answer about host w->at. */
static void
take_answer(struct core *c, struct walk *w, const struct conf_route *r,
    const struct core_answer *a)
{
	struct endpoint to = r->addr[w->at];

	w->is_temp |= a->status == ENG_DNS_TEMP;
	if (a->status != ENG_DNS_OK)
		return;
	w->ttl_us = MIN(w->ttl_us, a->ttl_us);
	for (uint32_t i = 0; i < MIN(a->n, ENG_TARGETS_MAX); i++) {
		to.ip = a->target[i].ip;
		add_target(c, w, a->target[i].host, w->at, &to);
	}
}

/* All names are answered: what the engine hears. */
static void
conclude(struct core *c, struct walk *w, const struct conf_route *r,
    const struct core_answer *a, struct ev_resolved *v)
{
	for (uint32_t i = 0; i < r->nhosts; i++)
		if (r->addr[i].ip.family)
			add_target(c, w, r->host[i], i, &r->addr[i]);
	v->ntargets = w->ntargets;
	memcpy(v->target, w->target, sizeof(w->target));
	w->ntargets = 0; /* the engine holds their names now */
	v->ttl_us = w->ttl_us;
	v->status = ENG_DNS_OK;
	if (v->ntargets == 0) {
		v->status = w->is_temp ? ENG_DNS_TEMP : a->status;
		v->ttl_us = a->ttl_us;
	}
}

/* ---- where it leads ------------------------------------------------------------ */

static void
where_of(const struct core *c, const struct conf_place *p,
    struct eng_where *out)
{
	out->dest = (uint16_t)p->domain;
	out->provider = (uint16_t)p->provider;
	out->shape = p->site != 0 ? (uint16_t)(c->sites_at + p->site - 1) : 0;
}

/* The names of a domain's hosts; how many. */
static uint32_t
hosts_of(const struct core *c, uint32_t domain,
    struct slice text[ENG_TARGETS_MAX])
{
	uint32_t hosts[ENG_TARGETS_MAX], n;

	(void)eng_domain_hosts(c->eng, domain, hosts, &n);
	for (uint32_t i = 0; i < n; i++)
		text[i] = names_text(&c->names, hosts[i]);
	return n;
}

struct slice
core_site_text(const struct conf *c, struct slice domain,
    const struct conf_place *p, struct slice host, const struct core_tls *tls,
    char text[CORE_SITE_TEXT])
{
	const struct conf_shape *said = &c->shapes[p->domain];
	struct slice entry = said->whole.n != 0 ? said->whole : said->pattern;
	struct slice provider = c->providers[p->provider].name;
	char word[CORE_TLS_TEXT];
	struct slice of = core_tls_text(tls, word);
	size_t n;

	if (p->domain == 0 || (said->sets | said->unsets) == 0)
		entry = SL("");
	if (!p->rollup)
		entry = domain;
	if (p->rollup && p->provider != 0 && p->by == CONF_BY_DOMAIN)
		(void)snprintf(text, CORE_SITE_TEXT, "%.*s (%.*s)", SLF(entry),
		    SLF(provider));
	else /* the host stands for its site where limits are told by sites */
		(void)snprintf(text, CORE_SITE_TEXT, "%.*s",
		    SLF(of.n != 0 && entry.n == 0 ? host : entry));
	n = strlen(text);
	if (of.n != 0)
		(void)snprintf(text + n, CORE_SITE_TEXT - n, " [%.*s]",
		    SLF(of));
	return slice_str(text);
}

static uint32_t
apart(struct core *c, struct slice domain, const struct conf_place *p,
    struct slice host, const struct core_tls *tls)
{
	char text[CORE_SITE_TEXT];

	return core_host(c,
	    core_site_text(c->conf, domain, p, host, tls, text));
}

void
core_where(struct core *c, uint32_t domain, struct eng_event *ev)
{
	enum core_wish wish;
	struct slice name = core_domain_text(c, domain, &wish);
	struct slice text[ENG_TARGETS_MAX];
	uint32_t n = hosts_of(c, domain, text);
	const struct core_tls *was = core_tls_of(c, domain);
	struct core_answer known = { .n = 0 };
	struct conf_place p;
	struct core_tls tls;

	if (was != NULL) { /* what look-ups found holds on */
		known.is_secure = was->is_secure;
		known.sts = was->sts;
		known.sts_hosts = was->sts_hosts;
	}
	conf_place(c->conf, name, text, n, &p);
	*ev = (struct eng_event){ .kind = EV_SHAPE };
	ev->shape.domain = domain;
	where_of(c, &p, &ev->shape.where);
	core_tls_make(c->conf, &p, &known, was != NULL && was->is_route, wish,
	    &tls);
	ev->shape.rollup = apart(c, name, &p, n > 0 ? text[0] : name, &tls);
}

void
core_tls_now(const struct core *c, uint32_t domain, struct core_tls *out)
{
	struct slice text[ENG_TARGETS_MAX];
	uint32_t n = hosts_of(c, domain, text);
	enum core_wish wish;
	struct conf_place p;

	conf_place(c->conf, core_domain_text(c, domain, &wish), text, n, &p);
	core_tls_make(c->conf, &p, NULL, false, wish, out);
}

struct slice
core_provider(const struct core *c, uint32_t domain)
{
	struct slice text[ENG_TARGETS_MAX];
	uint32_t n = hosts_of(c, domain, text);
	struct conf_place p;

	conf_find_provider(c->conf, core_domain_text(c, domain, NULL), text, n,
	    &p);
	return p.provider != 0 ? c->conf->providers[p.provider].name :
				 slice_of(NULL, 0);
}

/* Does a route lead to a host that has a name, and so perhaps TLSA records? */
static bool
has_named_host(const struct core *c, const struct ev_resolved *v)
{
	struct ip ip;

	for (uint32_t i = 0; i < v->ntargets; i++)
		if (ip_parse(names_text(&c->names, v->target[i].host), &ip) !=
		    0)
			return true;
	return false;
}

/* What the configuration says about the place that an answer leads to. */
static void
put_place(struct core *c, struct slice domain, const struct core_answer *a,
    enum core_wish wish, struct ev_resolved *v)
{
	struct core_tls tls;
	struct slice text[ENG_TARGETS_MAX];
	struct conf_place p;
	uint16_t best = UINT16_MAX;
	uint32_t n = 0;

	for (uint32_t i = 0; i < v->ntargets; i++)
		best = MIN(best, v->target[i].pref);
	for (uint32_t i = 0; i < v->ntargets; i++)
		if (v->target[i].pref == best)
			text[n++] = names_text(&c->names, v->target[i].host);
	conf_place(c->conf, domain, text, n, &p);
	where_of(c, &p, &v->where);
	if (v->status != ENG_DNS_OK)
		return;
	core_tls_make(c->conf, &p, a, v->is_route, wish, &tls);
	if (!core_tls_is_vouched(c->conf, a, &tls)) {
		v->status = ENG_DNS_UNSAFE;
		v->ttl_us = a->ttl_us;
		return;
	}
	if (v->is_route && !has_named_host(c, v))
		tls.is_secure = false;
	v->rollup = apart(c, domain, &p, n > 0 ? text[0] : domain, &tls);
	if (!core_tls_learn(c, v->domain, &tls))
		v->status = ENG_DNS_TEMP;
}

/* The answer about one host of a route; true: v is whole. Without a walk it is
 * no such answer: the route came with a reload, or there was no memory. Then
 * the domain is looked up again soon. */
static bool
route_answer(struct core *c, const struct conf_route *r,
    const struct core_answer *a, struct ev_resolved *v)
{
	struct walk none = { .ttl_us = ADDRESS_TTL_US };
	uint32_t index = map_get(&c->walk_of, v->domain);
	struct walk *w = index ? pool_at(&c->walks, index) : &none;

	if (!index && name_from(r, 0) < r->nhosts) {
		v->status = ENG_DNS_TEMP;
		return true;
	}
	if (index && w->at < r->nhosts) {
		take_answer(c, w, r, a);
		w->at = name_from(r, w->at + 1);
		if (w->at < r->nhosts) {
			c->ops->resolve(c->ctx, v->domain, r->host[w->at],
			    true);
			return false;
		}
	}
	conclude(c, w, r, a, v);
	return true;
}

static void
walk_end(struct core *c, uint32_t domain)
{
	uint32_t index = map_del(&c->walk_of, domain);
	const struct walk *w;

	if (!index)
		return;
	w = pool_at(&c->walks, index);
	for (uint16_t i = 0; i < w->ntargets; i++)
		core_host_forget(c, w->target[i].host);
	pool_give(&c->walks, index);
}

void
core_resolved(struct core *c, uint32_t domain, const struct core_answer *a)
{
	enum core_wish wish;
	struct slice name = core_domain_text(c, domain, &wish);
	const struct conf_route *r = conf_route_find(c->conf, name);
	uint32_t index = map_get(&c->walk_of, domain);
	struct eng_event ev = { .kind = EV_RESOLVED };
	struct ev_resolved *v = &ev.resolved;

	if (index) {
		const struct walk *w = pool_at(&c->walks, index);

		if (w->generation != c->generation) {
			walk_end(c, domain);
			core_resolve(c, domain);
			return;
		}
	}
	v->domain = domain;
	v->hash = hash_bytes(0, name.p, name.n);
	v->is_route = r != NULL;
	if (r) {
		if (!route_answer(c, r, a, v))
			return;
	} else {
		v->status = a->status;
		v->ttl_us = a->ttl_us;
		for (uint32_t i = 0; i < MIN(a->n, ENG_TARGETS_MAX); i++)
			v->target[v->ntargets++] = (struct eng_target){
				.host = core_host(c, a->target[i].host),
				.pref = a->target[i].pref,
				.ip = a->target[i].ip,
				.port = c->conf->smtp_port,
			};
	}
	put_place(c, name, a, wish, v);
	walk_end(c, domain);
	c->dns_why = a->why;
	core_step(c, &ev);
	c->dns_why = NULL;
	core_tls_settle(c, domain);
}

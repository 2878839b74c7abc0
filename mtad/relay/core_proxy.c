/*
 * relay/core_proxy.c - which proxies are well: they take turns in carrying the
 * connections of the sources behind them.
 *
 * One that fails is looked at again after a pause that grows, and takes its turn
 * when a look finds it well. That ends the pauses only once it has made a
 * connection: some can be logged in to, and no more. A failure of what began
 * before the last change is old news, for many connections fail together.
 *
 * What is wrong for one source alone (a login with its address, the address that
 * the proxy used) is kept for that leg, and found right only by trying again.
 *
 * The engine hears of sources alone: that one has none left, or has some again.
 */
#include <stdio.h>

#include "relay/core_i.h"
#include "relay/view_i.h"

#define PAUSE_MIN_US US_PER_S
#define PAUSE_MAX_US (60 * US_PER_S)
/* Well for so long, it counts as new. */
#define FORGET_US (600 * US_PER_S)

static int64_t
pause_us(const struct core_proxy *p)
{
	uint32_t shift = MIN(p->fails, 7u) - (p->fails > 0);

	return MIN(PAUSE_MIN_US << shift, PAUSE_MAX_US);
}

static struct core_proxy *
find(const struct core_proxies *x, struct slice name)
{
	for (uint32_t i = 0; i < x->n; i++)
		if (slice_eq(slice_str(x->v[i].name), name))
			return &x->v[i];
	return NULL;
}

/* ---- sources ---------------------------------------------------------------------- */

/* What keeps the source from its k-th proxy; NULL: nothing. */
static const struct core_proxy *
away(const struct core *c, uint32_t source, uint32_t k)
{
	const struct core_proxies *x = &c->proxies;
	const struct core_proxy *p = &x->v[c->conf->sources[source].proxy[k]];
	const struct core_proxy *leg = &x->leg[x->of[source].leg + k];

	return p->is_away ? p : leg->is_away ? leg : NULL;
}

/* A place among the source's proxies; -1: none is well. */
static int
next_of(const struct core *c, uint32_t source, uint32_t from)
{
	const struct conf_source *s = &c->conf->sources[source];

	for (uint32_t i = 0; i < s->nproxies; i++) {
		uint32_t k = (from + i) % s->nproxies;

		if (away(c, source, k) == NULL)
			return (int)k;
	}
	return -1;
}

/* Of those that keep the source from its proxies, the first. */
static const struct core_proxy *
first_away(const struct core *c, uint32_t source)
{
	const struct conf_source *s = &c->conf->sources[source];
	const struct core_proxy *first = NULL;

	for (uint32_t i = 0; i < s->nproxies; i++) {
		const struct core_proxy *p = away(c, source, i);

		if (p != NULL &&
		    (first == NULL || p->changed_us < first->changed_us))
			first = p;
	}
	return first;
}

static void
say(const struct core *c, uint32_t source, bool is_down)
{
	const struct core_proxy *p = first_away(c, source);

	if (is_down)
		log_event(LOG_ERROR, "proxy", "what",
		    "source is suspended, for no proxy of it is well", "source",
		    c->conf->sources[source].name.p, "proxy", p ? p->name : "",
		    "why", p ? p->why : "", NULL);
	else
		log_event(LOG_WARN, "proxy", "what",
		    "source goes on, for a proxy of it is well", "source",
		    c->conf->sources[source].name.p, NULL);
}

static void
tell(struct core *c)
{
	for (uint32_t i = 0; i < c->proxies.nsources; i++) {
		bool is_down =
		    c->conf->sources[i].nproxies > 0 && next_of(c, i, 0) < 0;
		struct eng_event ev = { .kind = EV_SOURCE };

		if (is_down == c->proxies.of[i].is_down)
			continue;
		c->proxies.of[i].is_down = is_down;
		say(c, i, is_down);
		ev.source.source =
		    names_find(&c->names, c->conf->sources[i].name);
		ev.source.is_down = is_down;
		core_step(c, &ev);
	}
}

int
core_proxy_pick(struct core *c, uint32_t source, bool *is_tried)
{
	const struct conf_source *s = &c->conf->sources[source];
	struct core_proxies *x = &c->proxies;
	struct core_proxy *p;
	int at;

	*is_tried = false;
	if (s->nproxies == 0 || x->n == 0)
		return CORE_NO_PROXY;
	at = next_of(c, source, x->of[source].turn);
	if (at < 0)
		return CORE_PROXIES_AWAY;
	x->of[source].turn = (uint32_t)at + 1;
	p = &x->v[s->proxy[at]];
	p->used++;
	*is_tried = p->fails != 0 || x->leg[x->of[source].leg + at].fails != 0;
	return s->proxy[at];
}

/* ---- what is seen ------------------------------------------------------------------- */

static void
failed(const struct core *c, struct core_proxy *p, const struct core_seen *s)
{
	if (!p->is_away && c->now_us - p->changed_us > FORGET_US)
		p->fails = 0;
	p->fails = MIN(p->fails + 1, 1000u);
	p->failed++;
	p->next_us = c->now_us + pause_us(p);
	text_escape(s->why, p->why, sizeof(p->why));
	if (!p->is_away)
		log_event(LOG_WARN, "proxy", "what", "proxy is not well",
		    "proxy", p->name, "source",
		    s->source.n ? s->source.p : "any", "why", p->why, NULL);
	p->is_away = true;
	p->changed_us = c->now_us;
}

static void
works(const struct core *c, struct core_proxy *p, const struct core_seen *s)
{
	if (p->is_away) {
		log_event(LOG_WARN, "proxy", "what", "proxy is well again",
		    "proxy", p->name, NULL);
		p->changed_us = c->now_us;
	}
	p->is_away = false;
	if (!s->is_look)
		p->fails = 0;
	p->next_us = c->now_us + p->check_us;
}

static bool
take(const struct core *c, struct core_proxy *p, const struct core_seen *s)
{
	bool was_away = p->is_away;

	if (s->began_us < p->changed_us)
		return false;
	if (s->is_well)
		works(c, p, s);
	else
		failed(c, p, s);
	return p->is_away != was_away;
}

/* NULL: the source has gone, or is not behind that proxy any more. */
static struct core_proxy *
leg_of(const struct core *c, struct slice source, struct slice proxy)
{
	const struct conf *conf = c->conf;

	for (uint32_t i = 0; i < c->proxies.nsources; i++) {
		const struct conf_source *s = &conf->sources[i];

		for (uint32_t k = 0; k < s->nproxies; k++)
			if (slice_eq(s->name, source) &&
			    slice_eq(s->proxies[k], proxy))
				return &c->proxies
					    .leg[c->proxies.of[i].leg + k];
	}
	return NULL;
}

void
core_proxy_seen(struct core *c, const struct core_seen *s)
{
	struct core_proxy *p = find(&c->proxies, s->proxy), *leg = NULL;
	bool has_changed = false;

	if (p == NULL)
		return;
	if (s->is_look)
		p->is_looked_at = false;
	if (s->source.n > 0)
		leg = leg_of(c, s->source, s->proxy);
	if (leg != NULL)
		has_changed = take(c, leg, s);
	if (s->source.n == 0 || s->is_well)
		has_changed |= take(c, p, s);
	if (has_changed)
		tell(c);
}

void
core_proxies_tick(struct core *c)
{
	struct core_proxies *x = &c->proxies;
	bool has_changed = false;

	for (uint32_t i = 0; i < x->n; i++) {
		struct core_proxy *p = &x->v[i];

		if (p->is_looked_at || p->next_us > c->now_us)
			continue;
		p->is_looked_at = true;
		c->ops->check_proxy(c->ctx, i);
	}
	for (uint32_t i = 0; i < x->nlegs; i++) {
		struct core_proxy *p = &x->leg[i];

		if (!p->is_away || p->next_us > c->now_us)
			continue;
		p->is_away = false;
		p->changed_us = c->now_us;
		has_changed = true;
	}
	if (has_changed)
		tell(c);
}

int64_t
core_proxies_deadline(const struct core *c)
{
	const struct core_proxies *x = &c->proxies;
	int64_t at = TIME_NEVER;

	for (uint32_t i = 0; i < x->n; i++)
		if (!x->v[i].is_looked_at)
			at = MIN(at, x->v[i].next_us);
	for (uint32_t i = 0; i < x->nlegs; i++)
		if (x->leg[i].is_away)
			at = MIN(at, x->leg[i].next_us);
	return at;
}

/* ---- the configuration's -------------------------------------------------------------- */

static void
begin(const struct core *c, struct core_proxy *p, const struct conf_proxy *in,
    const struct core_proxy *old)
{
	if (old != NULL && ip_eq(&old->at.ip, &in->address.ip) &&
	    old->at.port == in->address.port)
		*p = *old;
	p->is_looked_at = false;
	slice_copy(in->name, p->name, sizeof(p->name));
	p->at = in->address;
	p->check_us = in->check_us;
	p->next_us = MIN(p->next_us, c->now_us + in->check_us);
}

/* Legs are tried anew. */
static void
begin_source(struct core *c, uint32_t source, uint32_t leg)
{
	const struct conf_source *s = &c->conf->sources[source];
	struct core_proxies *x = &c->proxies;

	x->of[source].leg = leg;
	x->of[source].is_down =
	    eng_source_is_down(c->eng, names_find(&c->names, s->name));
	for (uint32_t k = 0; k < s->nproxies; k++)
		slice_copy(s->proxies[k], x->leg[leg + k].name,
		    sizeof(x->leg[leg + k].name));
}

void
core_proxies_set(struct core *c)
{
	const struct conf *conf = c->conf;
	struct core_proxies old = c->proxies, *x = &c->proxies;
	uint32_t leg = 0;

	memset(x, 0, sizeof(*x));
	x->n = c->ops->check_proxy != NULL ? conf->nproxies : 0;
	if (x->n == 0 && old.n == 0)
		return;
	x->nsources = conf->nsources;
	for (uint32_t i = 0; i < x->nsources; i++)
		x->nlegs += conf->sources[i].nproxies;
	x->v = mem_get((x->n + 1) * sizeof(*x->v));
	x->leg = mem_get((x->nlegs + 1) * sizeof(*x->leg));
	x->of = mem_get((x->nsources + 1) * sizeof(*x->of));
	for (uint32_t i = 0; i < x->n; i++)
		begin(c, &x->v[i], &conf->proxies[i],
		    find(&old, conf->proxies[i].name));
	for (uint32_t i = 0; i < x->nsources; i++) {
		begin_source(c, i, leg);
		leg += conf->sources[i].nproxies;
	}
	mem_free(old.v);
	mem_free(old.leg);
	mem_free(old.of);
	tell(c);
}

void
core_proxies_free(struct core *c)
{
	mem_free(c->proxies.v);
	mem_free(c->proxies.leg);
	mem_free(c->proxies.of);
}

uint32_t
core_proxies_down(const struct core *c)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < c->proxies.nsources; i++)
		n += c->proxies.of[i].is_down;
	return n;
}

/* ---- what viewers see ------------------------------------------------------------------- */

static void
view_one(const struct core *c, struct jsonw *w, uint32_t source, uint32_t k)
{
	const struct core_proxies *x = &c->proxies;
	const struct core_proxy *p = &x->v[c->conf->sources[source].proxy[k]];
	const struct core_proxy *by = away(c, source, k);
	char at[ENDPOINT_TEXT_MAX];

	jw_open(w, '{');
	jw_kstr(w, "proxy", slice_str(p->name));
	jw_kstr(w, "address", slice_of(at, endpoint_format(at, &p->at)));
	jw_kbool(w, "is_well", by == NULL);
	if (by != NULL) {
		jw_kstr(w, "why", slice_str(by->why));
		view_moment(c, w, "since", "since_s", by->changed_us, false);
		view_moment(c, w, "next", "next_s", by->next_us, true);
	}
	jw_ku64(w, "connections_total", p->used);
	jw_ku64(w, "failures_total", p->failed);
	jw_close(w, '}');
}

void
core_proxies_view(const struct core *c, struct jsonw *w, uint32_t source)
{
	const struct conf_source *s = &c->conf->sources[source];
	const struct core_proxy *p;
	char text[256];
	int n;

	if (c->proxies.n == 0 || s->nproxies == 0)
		return;
	p = next_of(c, source, 0) < 0 ? first_away(c, source) : NULL;
	if (p != NULL) {
		n = snprintf(text, sizeof(text), "proxy %s: %s", p->name,
		    p->why);
		jw_kstr(w, "reason",
		    slice_of(text, MIN((size_t)n, sizeof(text) - 1)));
	}
	jw_key(w, "proxies");
	jw_open(w, '[');
	for (uint32_t i = 0; i < s->nproxies; i++)
		view_one(c, w, source, i);
	jw_close(w, ']');
}

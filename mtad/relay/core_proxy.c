/*
 * relay/core_proxy.c - which proxies are well: they take turns in carrying the
 * connections of the sources behind them.
 *
 * One that fails is looked at again after a pause that grows, and takes its turn
 * when a look finds it well. That ends the pauses only once it has made a
 * connection: some can be logged in to, and no more. A failure of what began
 * before the last change is old news, for many connections fail together.
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

/* A proxy that the source may use; -1: none is well. */
static int
next_of(const struct core *c, uint32_t source, uint32_t from)
{
	const struct conf_source *s = &c->conf->sources[source];

	for (uint32_t i = 0; i < s->nproxies; i++) {
		uint32_t k = (from + i) % s->nproxies;

		if (!c->proxies.v[s->proxy[k]].is_away)
			return (int)k;
	}
	return -1;
}

/* The first failure that a source without a proxy has had. */
static const struct core_proxy *
first_away(const struct core *c, uint32_t source)
{
	const struct conf_source *s = &c->conf->sources[source];
	const struct core_proxy *first = NULL;

	for (uint32_t i = 0; i < s->nproxies; i++) {
		const struct core_proxy *p = &c->proxies.v[s->proxy[i]];

		if (p->is_away &&
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
		bool is_down = c->conf->sources[i].nproxies > 0 &&
		    next_of(c, i, 0) < 0;
		struct eng_event ev = { .kind = EV_SOURCE };

		if (is_down == c->proxies.is_down[i])
			continue;
		c->proxies.is_down[i] = is_down;
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
	struct core_proxy *p;
	int at;

	*is_tried = false;
	if (s->nproxies == 0 || c->proxies.n == 0)
		return -1;
	at = next_of(c, source, c->proxies.turn[source]);
	if (at < 0)
		return -2;
	c->proxies.turn[source] = (uint32_t)at + 1;
	p = &c->proxies.v[s->proxy[at]];
	p->used++;
	*is_tried = p->fails != 0;
	return s->proxy[at];
}

/* ---- what is seen ------------------------------------------------------------------- */

static void
failed(struct core *c, struct core_proxy *p, struct slice why)
{
	if (!p->is_away && c->now_us - p->changed_us > FORGET_US)
		p->fails = 0;
	p->fails = MIN(p->fails + 1, 1000u);
	p->failed++;
	p->next_us = c->now_us + pause_us(p);
	text_escape(why, p->why, sizeof(p->why));
	if (!p->is_away)
		log_event(LOG_WARN, "proxy", "what", "proxy is not well",
		    "proxy", p->name, "why", p->why, NULL);
	p->is_away = true;
	p->changed_us = c->now_us;
}

static void
works(struct core *c, struct core_proxy *p, bool is_look)
{
	if (p->is_away) {
		log_event(LOG_WARN, "proxy", "what", "proxy is well again",
		    "proxy", p->name, NULL);
		p->changed_us = c->now_us;
	}
	p->is_away = false;
	if (!is_look)
		p->fails = 0;
	p->next_us = c->now_us + p->check_us;
}

void
core_proxy_seen(struct core *c, struct slice proxy, bool is_well, bool is_look,
    struct slice why, int64_t began_us)
{
	struct core_proxy *p = find(&c->proxies, proxy);
	bool was_away;

	if (p == NULL)
		return;
	was_away = p->is_away;
	if (is_look)
		p->is_looked_at = false;
	if (began_us < p->changed_us)
		return;
	if (is_well)
		works(c, p, is_look);
	else
		failed(c, p, why);
	if (p->is_away != was_away)
		tell(c);
}

void
core_proxies_tick(struct core *c)
{
	for (uint32_t i = 0; i < c->proxies.n; i++) {
		struct core_proxy *p = &c->proxies.v[i];

		if (p->is_looked_at || p->next_us > c->now_us)
			continue;
		p->is_looked_at = true;
		c->ops->check_proxy(c->ctx, i);
	}
}

int64_t
core_proxies_deadline(const struct core *c)
{
	int64_t at = TIME_NEVER;

	for (uint32_t i = 0; i < c->proxies.n; i++)
		if (!c->proxies.v[i].is_looked_at)
			at = MIN(at, c->proxies.v[i].next_us);
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

void
core_proxies_set(struct core *c)
{
	const struct conf *conf = c->conf;
	struct core_proxies old = c->proxies, *x = &c->proxies;

	x->n = c->ops->check_proxy != NULL ? conf->nproxies : 0;
	x->nsources = x->n != 0 || old.n != 0 ? conf->nsources : 0;
	x->v = mem_get((x->n + 1) * sizeof(*x->v));
	x->turn = mem_get((conf->nsources + 1) * sizeof(*x->turn));
	x->is_down = mem_get((conf->nsources + 1) * sizeof(*x->is_down));
	for (uint32_t i = 0; i < x->n; i++)
		begin(c, &x->v[i], &conf->proxies[i],
		    find(&old, conf->proxies[i].name));
	for (uint32_t i = 0; i < x->nsources; i++)
		x->is_down[i] = eng_source_is_down(c->eng,
		    names_find(&c->names, conf->sources[i].name));
	mem_free(old.v);
	mem_free(old.turn);
	mem_free(old.is_down);
	tell(c);
}

void
core_proxies_free(struct core *c)
{
	mem_free(c->proxies.v);
	mem_free(c->proxies.turn);
	mem_free(c->proxies.is_down);
}

/* ---- what viewers see ------------------------------------------------------------------- */

static void
view_one(const struct core *c, struct jsonw *w, const struct core_proxy *p)
{
	char at[ENDPOINT_TEXT_MAX];

	jw_open(w, '{');
	jw_kstr(w, "proxy", slice_str(p->name));
	jw_kstr(w, "address", slice_of(at, endpoint_format(at, &p->at)));
	jw_kbool(w, "is_well", !p->is_away);
	if (p->is_away)
		jw_kstr(w, "why", slice_str(p->why));
	view_moment(c, w, "since", "since_s", p->changed_us, false);
	view_moment(c, w, "next_look", "next_look_s", p->next_us, true);
	jw_ku64(w, "connections_total", p->used);
	jw_ku64(w, "failures_total", p->failed);
	jw_close(w, '}');
}

void
core_proxies_view(const struct core *c, struct jsonw *w, uint32_t source)
{
	const struct conf_source *s = &c->conf->sources[source];
	const struct core_proxy *p;

	if (c->proxies.n == 0 || s->nproxies == 0)
		return;
	p = next_of(c, source, 0) < 0 ? first_away(c, source) : NULL;
	if (p != NULL) {
		char text[256];
		int n = snprintf(text, sizeof(text), "proxy %s: %s", p->name,
		    p->why);

		jw_kstr(w, "reason",
		    slice_of(text, MIN((size_t)n, sizeof(text) - 1)));
	}
	jw_key(w, "proxies");
	jw_open(w, '[');
	for (uint32_t i = 0; i < s->nproxies; i++)
		view_one(c, w, &c->proxies.v[s->proxy[i]]);
	jw_close(w, ']');
}

/*
 * engine/wire.c - events, commands and policies as bytes and words.
 *
 * One function a structure, with a line for each field, serves writing, reading
 * and showing: it is always inlined with a constant mode, so that each use is
 * as fast as one written for it. A structure whose size is no longer what it
 * was has got a field: the assertion beside its function says so.
 */
#include "engine/wire.h"

enum wire_mode { WIRE_PUT, WIRE_GET, WIRE_SHOW };

struct wire {
	unsigned char *at;       /* PUT */
	const unsigned char *in; /* GET */
	const unsigned char *end;
	struct buf *text; /* SHOW */
	int64_t now;
	bool bad;
};

#define WIRE static inline __attribute__((always_inline)) void
#define SIZE_IS(type, n)                                                       \
	_Static_assert(sizeof(type) == (n),                                    \
	    #type " has changed: its new field needs a line below")

/* ---- numbers --------------------------------------------------------------- */

static uint64_t
get_varint(struct wire *w)
{
	uint64_t v = 0;

	for (unsigned shift = 0; shift < 64; shift += 7) {
		unsigned char c;

		if (w->in == w->end)
			break;
		c = *w->in++;
		v |= (uint64_t)(c & 0x7f) << shift;
		if (c & 0x80)
			continue;
		if (shift == 63 && c > 1)
			break;
		return v;
	}
	w->bad = true;
	w->in = w->end;
	return 0;
}

int
eng_varint_get(struct slice *s, uint64_t *v)
{
	struct wire w = { .in = (const unsigned char *)s->p,
		.end = (const unsigned char *)s->p + s->n };

	*v = get_varint(&w);
	*s = slice_of((const char *)w.in, (size_t)(w.end - w.in));
	return w.bad ? E_CORRUPT : 0;
}

WIRE
wire_u64(struct wire *w, enum wire_mode mode, const char *name, uint64_t *v)
{
	switch (mode) {
	case WIRE_PUT:
		w->at = eng_varint_put(w->at, *v);
		return;
	case WIRE_GET:
		*v = get_varint(w);
		return;
	case WIRE_SHOW:
		if (*v)
			buf_addf(w->text, " %s=%llu", name,
			    (unsigned long long)*v);
		return;
	}
}

static void
show_time(struct wire *w, const char *name, int64_t us)
{
	if (us == TIME_NEVER)
		buf_addf(w->text, " %s=never", name);
	else if (us != 0)
		buf_addf(w->text, " %s=%+.6fs", name,
		    ((double)us - (double)w->now) / US_PER_S);
}

/* A time of the driver's clock. 0 and TIME_NEVER have meanings of their own;
 * else how far it is from now, which wraps where the two are far apart. */
WIRE
wire_time(struct wire *w, enum wire_mode mode, const char *name, int64_t *us)
{
	uint64_t v;

	switch (mode) {
	case WIRE_PUT:
		if (*us == 0 || *us == TIME_NEVER) {
			w->at = eng_varint_put(w->at, *us == 0 ? 0 : 1);
			return;
		}
		w->at = eng_varint_put(w->at, 2);
		v = (uint64_t)*us - (uint64_t)w->now;
		w->at = eng_varint_put(w->at, eng_zigzag((int64_t)v));
		return;
	case WIRE_GET:
		v = get_varint(w);
		w->bad |= v > 2;
		*us = v == 0 ? 0 : TIME_NEVER;
		if (v == 2) {
			v = (uint64_t)eng_zagzig(get_varint(w));
			*us = (int64_t)(v + (uint64_t)w->now);
		}
		return;
	case WIRE_SHOW:
		show_time(w, name, *us);
		return;
	}
}

/* A field of any unsigned type; below a ceiling; a time; a span of time. */
#define NUM(field)                                                             \
	do {                                                                   \
		uint64_t v_ = mode == WIRE_GET ? 0 : (uint64_t)(x->field);     \
		wire_u64(w, mode, #field, &v_);                                \
		if (mode == WIRE_GET) {                                        \
			x->field = v_;                                         \
			w->bad |= (uint64_t)(x->field) != v_;                  \
		}                                                              \
	} while (0)
#define BELOW(field, n)                                                        \
	do {                                                                   \
		uint64_t v_ = mode == WIRE_GET ? 0 : (uint64_t)(x->field);     \
		wire_u64(w, mode, #field, &v_);                                \
		if (mode == WIRE_GET) {                                        \
			w->bad |= v_ >= (n);                                   \
			x->field = w->bad ? 0 : v_;                            \
		}                                                              \
	} while (0)
#define TIME(field) wire_time(w, mode, #field, &x->field)
#define SPAN(field)                                                            \
	do {                                                                   \
		uint64_t v_ = mode == WIRE_GET ? 0 : eng_zigzag(x->field);     \
		wire_u64(w, mode, #field, &v_);                                \
		if (mode == WIRE_GET)                                          \
			x->field = eng_zagzig(v_);                             \
	} while (0)
#define WHERE(field)                                                           \
	do {                                                                   \
		BELOW(field.dest, ENG_DESTS_MAX);                              \
		BELOW(field.provider, ENG_PROVIDERS_MAX);                      \
		BELOW(field.shape, ENG_SHAPES_MAX);                            \
	} while (0)
#define HANDLE(field) wire_handle(w, mode, #field, &x->field)

SIZE_IS(struct handle, 8);
WIRE
wire_handle(struct wire *w, enum wire_mode mode, const char *name,
    struct handle *x)
{
	if (mode == WIRE_SHOW) {
		if (x->index)
			buf_addf(w->text, " %s=%u.%u", name, x->index, x->gen);
		return;
	}
	NUM(index);
	NUM(gen);
}

/* ---- parts ------------------------------------------------------------------ */

SIZE_IS(struct outcome, 14);
SIZE_IS(struct judgement, 4);
SIZE_IS(struct enh, 6);
WIRE
wire_outcome(struct wire *w, enum wire_mode mode, struct outcome *x)
{
	if (mode == WIRE_SHOW) {
		if (x->klass || x->stage || x->code)
			buf_addf(w->text, " outcome=%s/%s/%u/%u.%u.%u",
			    outcome_name((enum outcome_class)x->klass),
			    stage_name((enum stage)x->stage), x->code,
			    x->enh.klass, x->enh.subject, x->enh.detail);
		if (x->is_judged)
			buf_addf(w->text, " judged=%s/%s",
			    kind_name((enum kind)x->judged.kind),
			    scope_name((enum scope)x->judged.scope));
		return;
	}
	BELOW(klass, OUTCOME_N);
	BELOW(stage, STAGE_N);
	NUM(code);
	NUM(enh.klass);
	NUM(enh.subject);
	NUM(enh.detail);
	NUM(is_judged);
	if (!x->is_judged)
		return;
	BELOW(judged.category, CATEGORY_N);
	BELOW(judged.kind, KIND_N);
	BELOW(judged.scope, SCOPE_N);
	NUM(judged.is_hard);
}

SIZE_IS(struct ip, 17);
WIRE
wire_ip(struct wire *w, enum wire_mode mode, struct ip *x)
{
	char text[IP_TEXT_MAX];
	size_t n;

	if (mode == WIRE_SHOW) {
		ip_format(text, x);
		buf_addf(w->text, " ip=%s", text);
		return;
	}
	BELOW(family, 7);
	n = x->family == 4 ? 4 : x->family == 6 ? 16 : 0;
	if (mode == WIRE_PUT) {
		memcpy(w->at, x->b, n);
		w->at += n;
	} else if ((size_t)(w->end - w->in) >= n) {
		memcpy(x->b, w->in, n);
		w->in += n;
	} else {
		w->bad = true;
	}
}

SIZE_IS(struct eng_target, 28);
WIRE
wire_target(struct wire *w, enum wire_mode mode, struct eng_target *x)
{
	NUM(host);
	NUM(pref);
	wire_ip(w, mode, &x->ip);
	NUM(port);
}

/* ---- the policy ------------------------------------------------------------- */

SIZE_IS(struct eng_source_conf, 40);
SIZE_IS(struct eng_pool_conf, 12 + 4 * ENG_POOL_SOURCES_MAX);
WIRE
wire_pools(struct wire *w, enum wire_mode mode, struct eng_policy *p)
{
	for (uint32_t i = 0; i < p->nsources && !w->bad; i++) {
		struct eng_source_conf *x = &p->sources[i];

		NUM(name);
		NUM(has_v4);
		NUM(has_v6);
		NUM(netblock);
		BELOW(shape, p->nshapes);
		BELOW(warmup, ENG_WARMUPS_MAX + 1);
		BELOW(warm_stage, ENG_WARM_STAGES_MAX);
		SPAN(warm_from_us);
		NUM(hash);
	}
	for (uint32_t i = 0; i < p->npools && !w->bad; i++) {
		struct eng_pool_conf *x = &p->pools[i];

		NUM(name);
		BELOW(nsources, ENG_POOL_SOURCES_MAX + 1);
		for (uint32_t k = 0; k < x->nsources && !w->bad; k++) {
			BELOW(sources[k], ENG_SOURCES_MAX);
			BELOW(weights[k], ENG_WEIGHT_MAX + 1);
		}
		BELOW(overflow, ENG_POOLS_MAX + 1);
		NUM(is_sticky);
	}
}

SIZE_IS(struct eng_retry, 24 + 8 + 32 * 8);
WIRE
wire_retry(struct wire *w, enum wire_mode mode, struct eng_retry *x)
{
	SPAN(first_us);
	SPAN(max_us);
	NUM(factor_pct);
	NUM(jitter_pct);
	BELOW(nlist, ARRAY_LEN(x->list_us) + 1);
	for (uint32_t i = 0; i < x->nlist && !w->bad; i++)
		SPAN(list_us[i]);
}

SIZE_IS(struct eng_provider_conf, 8);
SIZE_IS(struct eng_pair_conf, 6);
SIZE_IS(struct eng_dest_conf, 2);
WIRE
wire_dests(struct wire *w, enum wire_mode mode, struct eng_policy *p)
{
	for (uint32_t i = 0; i < p->nproviders && !w->bad; i++) {
		struct eng_provider_conf *x = &p->providers[i];

		NUM(name);
		BELOW(shape, p->nshapes);
	}
	for (uint32_t i = 0; i < p->npairs && !w->bad; i++) {
		struct eng_pair_conf *x = &p->pairs[i];

		BELOW(provider, ENG_PROVIDERS_MAX);
		BELOW(source, ENG_SOURCES_MAX);
		BELOW(shape, p->nshapes);
	}
	for (uint32_t i = 0; i < p->ndests && !w->bad; i++) {
		struct eng_dest_conf *x = &p->dests[i];

		BELOW(shape, p->nshapes);
	}
}

SIZE_IS(struct eng_warmup_conf, 40 + 4 * ENG_WARM_STAGES_MAX);
WIRE
wire_warmup(struct wire *w, enum wire_mode mode, struct eng_warmup_conf *x)
{
	NUM(name);
	BELOW(zone, ENG_ZONES_MAX);
	BELOW(nstages, ENG_WARM_STAGES_MAX + 1);
	NUM(steps_back);
	NUM(prefers_engaged);
	NUM(idle_days);
	NUM(hour_ppm);
	NUM(advance_ppm);
	NUM(defer_ppm);
	NUM(bounce_ppm);
	NUM(complaint_ppm);
	NUM(attempts_min);
	for (uint32_t i = 0; i < x->nstages && !w->bad; i++)
		NUM(most[i]);
}

SIZE_IS(struct eng_rate, 24);
WIRE
wire_rate(struct wire *w, enum wire_mode mode, struct eng_rate *x)
{
	NUM(count);
	NUM(burst);
	SPAN(period_us);
}

SIZE_IS(struct eng_limit_conf, 8 + 4 * DIM_N + 4 + 5 * 24 + 16);
WIRE
wire_cap(struct wire *w, enum wire_mode mode, struct eng_limit_conf *x)
{
	NUM(name);
	BELOW(dims, 1u << DIM_N);
	NUM(zone);
	for (int d = 0; d < DIM_N; d++)
		NUM(where[d]);
	NUM(conns_max);
	wire_rate(w, mode, &x->conns);
	wire_rate(w, mode, &x->ramp);
	wire_rate(w, mode, &x->msgs);
	wire_rate(w, mode, &x->rcpts);
	wire_rate(w, mode, &x->bytes);
	NUM(quota);
	SPAN(quota_us);
}

SIZE_IS(struct eng_automation_conf, 56 + ENG_PROVIDERS_MAX / 8);
WIRE
wire_automation(struct wire *w, enum wire_mode mode,
    struct eng_automation_conf *x)
{
	NUM(name);
	NUM(categories);
	NUM(kinds);
	BELOW(dims, 1u << DIM_N);
	BELOW(action, ENG_ACTION_N);
	NUM(goes_on);
	NUM(ramps);
	NUM(count);
	NUM(ratio_ppm);
	NUM(replies_min);
	NUM(value);
	SPAN(period_us);
	SPAN(for_us);
	for (uint32_t i = 0; i < ARRAY_LEN(x->providers) && !w->bad; i++)
		NUM(providers[i]);
}

SIZE_IS(struct tzone, 8 + 12 * ZONE_CHANGES_MAX);
SIZE_IS(struct eng_zone_conf, 16 + 12 * ZONE_CHANGES_MAX);
WIRE
wire_zone(struct wire *w, enum wire_mode mode, struct eng_zone_conf *x)
{
	NUM(name);
	BELOW(zone.n, ZONE_CHANGES_MAX + 1);
	for (uint32_t i = 0; i < x->zone.n && !w->bad; i++) {
		SPAN(zone.offset_s[i]);
		SPAN(zone.from_s[i]);
	}
	if (mode == WIRE_GET)
		w->bad |= !zone_is_valid(&x->zone);
}

SIZE_IS(struct eng_quiet, 6);
WIRE
wire_quiet(struct wire *w, enum wire_mode mode, struct eng_quiet *x)
{
	BELOW(from_min, 24 * 60 + 1);
	BELOW(to_min, 24 * 60 + 1);
	NUM(days);
}

SIZE_IS(struct eng_tenant_conf, 12 + 6 * ENG_QUIET_MAX);
SIZE_IS(struct eng_campaign_conf, 12);
WIRE
wire_tenants(struct wire *w, enum wire_mode mode, struct eng_policy *p)
{
	for (uint32_t i = 0; i < p->ntenants && !w->bad; i++) {
		struct eng_tenant_conf *x = &p->tenants[i];

		NUM(name);
		BELOW(weight, ENG_TENANT_WEIGHT_MAX + 1);
		BELOW(zone, ENG_ZONES_MAX);
		BELOW(nquiet, ENG_QUIET_MAX + 1);
		for (uint32_t k = 0; k < x->nquiet && !w->bad; k++)
			wire_quiet(w, mode, &x->quiet[k]);
	}
	for (uint32_t i = 0; i < p->ncampaigns && !w->bad; i++) {
		struct eng_campaign_conf *x = &p->campaigns[i];

		NUM(tenant);
		NUM(name);
		BELOW(weight, ENG_TENANT_WEIGHT_MAX + 1);
	}
}

SIZE_IS(struct eng_policy,
    32 + ENG_SOURCES_MAX * sizeof(struct eng_source_conf) +
	ENG_POOLS_MAX * sizeof(struct eng_pool_conf) +
	ENG_SHAPES_MAX * sizeof(struct eng_shape) +
	ENG_PROVIDERS_MAX * sizeof(struct eng_provider_conf) +
	ENG_DESTS_MAX * sizeof(struct eng_dest_conf) +
	ENG_PAIRS_MAX * sizeof(struct eng_pair_conf) +
	ENG_SHAPES_MAX * sizeof(uint32_t) +
	ENG_CAPS_MAX * sizeof(struct eng_limit_conf) + 8 + 8 +
	ENG_ZONES_MAX * sizeof(struct eng_zone_conf) + 8 +
	ENG_WARMUPS_MAX * sizeof(struct eng_warmup_conf) + 8 +
	ENG_TENANTS_MAX * sizeof(struct eng_tenant_conf) +
	ENG_CAMPAIGNS_MAX * sizeof(struct eng_campaign_conf) +
	ENG_AUTOMATIONS_MAX * sizeof(struct eng_automation_conf) +
	sizeof(struct eng_retry) + 8 + 5 * 8);
WIRE
wire_policy(struct wire *w, enum wire_mode mode, struct eng_policy *x)
{
	NUM(generation);
	BELOW(nsources, ENG_SOURCES_MAX + 1);
	BELOW(npools, ENG_POOLS_MAX + 1);
	BELOW(nshapes, ENG_SHAPES_MAX + 1);
	BELOW(nproviders, ENG_PROVIDERS_MAX + 1);
	BELOW(ndests, ENG_DESTS_MAX + 1);
	BELOW(npairs, ENG_PAIRS_MAX + 1);
	/* Of shapes and dests the default is always there. */
	if (mode == WIRE_GET)
		w->bad |= x->nshapes == 0 || x->ndests == 0;
	BELOW(ncaps, ENG_CAPS_MAX + 1);
	BELOW(nzones, ENG_ZONES_MAX + 1);
	BELOW(ntenants, ENG_TENANTS_MAX + 1);
	BELOW(ncampaigns, ENG_CAMPAIGNS_MAX + 1);
	if (mode == WIRE_GET)
		w->bad |= x->ntenants == 0;
	if (mode == WIRE_SHOW)
		return;
	wire_pools(w, mode, x);
	wire_dests(w, mode, x);
	for (uint32_t i = 0; i < x->nshapes && !w->bad; i++) {
#define X(name, type, dflt) SPAN(shapes[i].name);
		ENG_SHAPE_TABLE(X)
#undef X
		NUM(sets[i]);
	}
	for (uint32_t i = 0; i < x->ncaps && !w->bad; i++)
		wire_cap(w, mode, &x->caps[i]);
	for (uint32_t i = 0; i < x->nzones && !w->bad; i++)
		wire_zone(w, mode, &x->zones[i]);
	BELOW(nwarmups, ENG_WARMUPS_MAX + 1);
	for (uint32_t i = 0; i < x->nwarmups && !w->bad; i++)
		wire_warmup(w, mode, &x->warmups[i]);
	BELOW(nautomations, ENG_AUTOMATIONS_MAX + 1);
	for (uint32_t i = 0; i < x->nautomations && !w->bad; i++)
		wire_automation(w, mode, &x->automations[i]);
	wire_tenants(w, mode, x);
	wire_retry(w, mode, &x->retry);
	NUM(default_pool);
	SPAN(dns_retry_min_us);
	SPAN(dns_retry_max_us);
	SPAN(host_retry_min_us);
	SPAN(host_retry_max_us);
	SPAN(connect_spacing_us);
}

unsigned char *
eng_policy_put(unsigned char *at, const struct eng_policy *p)
{
	struct wire w = { .at = at };

	wire_policy(&w, WIRE_PUT, (struct eng_policy *)(uintptr_t)p);
	return w.at;
}

static void
get_policy(struct wire *w, struct eng_policy *p)
{
	memset(p, 0, sizeof(*p));
	wire_policy(w, WIRE_GET, p);
}

int
eng_policy_get(struct slice *s, struct eng_policy *p)
{
	struct wire w = { .in = (const unsigned char *)s->p,
		.end = (const unsigned char *)s->p + s->n };

	get_policy(&w, p);
	*s = slice_of((const char *)w.in, (size_t)(w.end - w.in));
	return w.bad ? E_CORRUPT : 0;
}

SIZE_IS(struct eng_where, 6);

/* ---- events ----------------------------------------------------------------- */

SIZE_IS(struct ev_message, 64);
WIRE
wire_message(struct wire *w, enum wire_mode mode, struct ev_message *x)
{
	NUM(msg);
	BELOW(nrcpt, RCPTS_MAX + 1);
	NUM(tenant);
	NUM(campaign);
	NUM(pool);
	NUM(sender_domain);
	TIME(arrival_us);
	TIME(expires_us);
	NUM(size);
	NUM(is_null_sender);
	NUM(klass);
	NUM(signing_domain);
	NUM(zone);
	NUM(is_engaged);
}

SIZE_IS(struct ev_recipient, 48);
WIRE
wire_recipient(struct wire *w, enum wire_mode mode, struct ev_recipient *x)
{
	NUM(msg);
	NUM(rcpt);
	NUM(attempts);
	NUM(domain);
	NUM(tenant);
	NUM(campaign);
	NUM(pool);
	TIME(due_us);
	NUM(dsn);
	if (x->dsn & ENG_DSN_DELAY)
		TIME(delay_us);
}

SIZE_IS(struct ev_resolved, 40 + ENG_TARGETS_MAX * sizeof(struct eng_target));
WIRE
wire_resolved(struct wire *w, enum wire_mode mode, struct ev_resolved *x)
{
	NUM(domain);
	BELOW(status, ENG_DNS_N);
	SPAN(ttl_us);
	WHERE(where);
	NUM(rollup);
	NUM(hash);
	NUM(is_route);
	BELOW(ntargets, ENG_TARGETS_MAX + 1);
	for (uint32_t i = 0; i < x->ntargets && !w->bad; i++)
		wire_target(w, mode, &x->target[i]);
}

SIZE_IS(struct ev_session_up, 16);
WIRE
wire_up(struct wire *w, enum wire_mode mode, struct ev_session_up *x)
{
	HANDLE(session);
	NUM(caps);
	NUM(is_tls);
}

SIZE_IS(struct eng_hits, 16);
WIRE
wire_hits(struct wire *w, enum wire_mode mode, struct eng_hits *x)
{
	NUM(v[0]);
	NUM(v[1]);
}

SIZE_IS(struct ev_session_down, 48);
WIRE
wire_down(struct wire *w, enum wire_mode mode, struct ev_session_down *x)
{
	HANDLE(session);
	wire_outcome(w, mode, &x->outcome);
	wire_hits(w, mode, &x->hits);
	NUM(reply);
}

SIZE_IS(struct ev_result,
    32 +
	ENG_TXN_RCPTS_MAX * (sizeof(struct outcome) + sizeof(struct eng_hits)));
WIRE
wire_result(struct wire *w, enum wire_mode mode, struct ev_result *x)
{
	HANDLE(session);
	HANDLE(txn);
	NUM(is_sent);
	NUM(in_doubt);
	BELOW(n, ENG_TXN_RCPTS_MAX + 1);
	NUM(reply);
	for (uint32_t i = 0; i < x->n && !w->bad; i++) {
		wire_outcome(w, mode, &x->rcpt[i]);
		if (x->rcpt[i].is_judged)
			wire_hits(w, mode, &x->hits[i]);
	}
}

SIZE_IS(struct eng_selector, 40);
SIZE_IS(struct ev_admin, 56);
WIRE
wire_admin(struct wire *w, enum wire_mode mode, struct ev_admin *x)
{
	NUM(job);
	BELOW(verb, ENG_VERB_N);
	NUM(dry_run);
	NUM(sel.msg);
	NUM(sel.domain);
	NUM(sel.tenant);
	NUM(sel.campaign);
	NUM(sel.pool);
	TIME(sel.arrived_before_us);
	NUM(sel.everything);
}

SIZE_IS(struct eng_entry, 56 + 8 * KEPT_VALUES_MAX);
WIRE
wire_entry(struct wire *w, enum wire_mode mode, struct eng_entry *x)
{
	BELOW(book, KEPT_BOOKS_END);
	BELOW(nkeys, KEPT_KEYS_MAX + 1);
	for (uint32_t i = 0; i < x->nkeys && !w->bad; i++)
		NUM(key[i]);
	NUM(sub);
	wire_ip(w, mode, &x->host);
	NUM(port);
	for (uint32_t i = 0; i < KEPT_VALUES_MAX && !w->bad; i++)
		SPAN(v[i]);
}

/* All but its policy, where it has one. */
WIRE
wire_event(struct wire *w, enum wire_mode mode, struct eng_event *x)
{
	switch (x->kind) {
	case EV_CLOCK:
		SPAN(wall_us);
		return;
	case EV_MESSAGE:
		wire_message(w, mode, &x->message);
		return;
	case EV_RECIPIENT:
		wire_recipient(w, mode, &x->recipient);
		return;
	case EV_RESOLVED:
		wire_resolved(w, mode, &x->resolved);
		return;
	case EV_SESSION_UP:
		wire_up(w, mode, &x->up);
		return;
	case EV_SESSION_DOWN:
		wire_down(w, mode, &x->down);
		return;
	case EV_RESULT:
		wire_result(w, mode, &x->result);
		return;
	case EV_ADMIN:
		wire_admin(w, mode, &x->admin);
		return;
	case EV_NOTICE_PAID:
		NUM(paid.msg);
		NUM(paid.rcpt);
		return;
	case EV_DAMAGED:
		NUM(damaged.msg);
		return;
	case EV_SHAPE:
		NUM(shape.domain);
		WHERE(shape.where);
		NUM(shape.rollup);
		return;
	case EV_DISK:
		NUM(is_disk_full);
		return;
	case EV_KEPT:
		NUM(kept);
		return;
	case EV_RECALL:
		wire_entry(w, mode, &x->recall);
		return;
	case EV_FEEDBACK:
		NUM(feedback.source);
		NUM(feedback.provider);
		BELOW(feedback.kind, FEEDBACK_N);
		return;
	case EV_END:
		NUM(end);
		return;
	case EV_SOURCE:
		NUM(source.source);
		NUM(source.is_down);
		return;
	case EV_CONF:
	case EV_TICK:
	case ENG_EVENT_N:
		return;
	}
}

unsigned char *
eng_event_put(unsigned char *at, const struct eng_event *ev, int64_t now_us)
{
	struct wire w = { .at = at + 1, .now = now_us };

	*at = (unsigned char)ev->kind;
	wire_event(&w, WIRE_PUT, (struct eng_event *)(uintptr_t)ev);
	return ev->kind == EV_CONF ? eng_policy_put(w.at, ev->conf) : w.at;
}

int
eng_event_get(struct slice *s, int64_t now_us, struct eng_event *ev,
    struct eng_policy *policy)
{
	struct wire w = { .in = (const unsigned char *)s->p,
		.end = (const unsigned char *)s->p + s->n,
		.now = now_us };

	memset(ev, 0, sizeof(*ev));
	if (s->n == 0 || *w.in >= ENG_EVENT_N)
		return E_CORRUPT;
	ev->kind = (enum eng_event_kind) * w.in++;
	wire_event(&w, WIRE_GET, ev);
	if (ev->kind == EV_CONF) {
		get_policy(&w, policy);
		ev->conf = policy;
	}
	*s = slice_of((const char *)w.in, (size_t)(w.end - w.in));
	return w.bad ? E_CORRUPT : 0;
}

void
eng_event_show(const struct eng_event *ev, int64_t now_us, struct buf *out)
{
	static const char *const names[] = {
#define X(name, text) text,
		ENG_EVENT_TABLE(X)
#undef X
	};
	struct wire w = { .text = out, .now = now_us };

	buf_addz(out, names[ev->kind]);
	wire_event(&w, WIRE_SHOW, (struct eng_event *)(uintptr_t)ev);
	if (ev->kind == EV_CONF)
		wire_policy(&w, WIRE_SHOW,
		    (struct eng_policy *)(uintptr_t)ev->conf);
}

/* ---- commands ----------------------------------------------------------------- */

WIRE
wire_persist(struct wire *w, enum wire_mode mode, struct eng_cmd *c)
{
	__typeof__(c->persist) *x = &c->persist;

	SIZE_IS(__typeof__(*x), 32);
	NUM(msg);
	NUM(rcpt);
	NUM(attempts);
	wire_outcome(w, mode, &x->outcome);
	NUM(is_final);
	NUM(is_owed);
	TIME(due_us);
}

WIRE
wire_log(struct wire *w, enum wire_mode mode, struct eng_cmd *c)
{
	__typeof__(c->log) *x = &c->log;

	SIZE_IS(__typeof__(*x), 64);
	BELOW(what, ENG_LOG_N);
	NUM(msg);
	NUM(rcpt);
	NUM(attempts);
	NUM(domain);
	NUM(site);
	NUM(tenant);
	NUM(campaign);
	NUM(pool);
	NUM(source);
	wire_outcome(w, mode, &x->outcome);
	TIME(due_us);
	NUM(job);
}

WIRE
wire_open(struct wire *w, enum wire_mode mode, struct eng_cmd *c)
{
	__typeof__(c->open) *x = &c->open;

	SIZE_IS(__typeof__(*x), 52);
	HANDLE(session);
	NUM(source);
	NUM(domain);
	NUM(site);
	wire_target(w, mode, &x->target);
	NUM(is_clear);
}

WIRE
wire_assign(struct wire *w, enum wire_mode mode, struct eng_cmd *c)
{
	__typeof__(c->assign) *x = &c->assign;

	SIZE_IS(__typeof__(*x), 28);
	HANDLE(session);
	HANDLE(txn);
	NUM(msg);
	NUM(n);
	NUM(rcpt);
	NUM(attempt);
}

WIRE
wire_keep(struct wire *w, enum wire_mode mode, struct eng_cmd *c)
{
	__typeof__(c->keep) *x = &c->keep;

	SIZE_IS(__typeof__(*x), 64);
	BELOW(book, KEPT_BOOKS_END);
	BELOW(nkeys, KEPT_KEYS_MAX + 1);
	NUM(is_gone);
	for (uint32_t i = 0; i < x->nkeys && !w->bad; i++)
		NUM(key[i]);
	NUM(sub);
	NUM(serial);
	wire_ip(w, mode, &x->host);
	NUM(port);
}

WIRE
wire_keep_values(struct wire *w, enum wire_mode mode, struct eng_cmd *c)
{
	__typeof__(c->keep_values) *x = &c->keep_values;

	SIZE_IS(__typeof__(*x), 8 * KEPT_VALUES_MAX);
	for (uint32_t i = 0; i < KEPT_VALUES_MAX; i++)
		SPAN(v[i]);
}

WIRE
wire_warm_day(struct wire *w, enum wire_mode mode, struct eng_cmd *c)
{
	struct eng_warm_day *x = &c->warm_day;

	SIZE_IS(struct eng_warm_day, 48);
	NUM(source);
	NUM(provider);
	NUM(plan);
	SPAN(day);
	NUM(stage);
	NUM(next);
	BELOW(verdict, ENG_WARM_N);
	BELOW(why, ENG_WARM_WHY_N);
	NUM(most);
	NUM(sent);
	NUM(ok);
	NUM(deferred);
	NUM(bounced);
	NUM(complained);
}

SIZE_IS(struct eng_cmd, 72);
WIRE
wire_cmd(struct wire *w, enum wire_mode mode, struct eng_cmd *x)
{
	switch (x->kind) {
	case CMD_RESOLVE:
	case CMD_FORGET:
	case CMD_FORGET_HOST:
	case CMD_SHAPE:
		NUM(domain);
		return;
	case CMD_OPEN:
		wire_open(w, mode, x);
		return;
	case CMD_ASSIGN:
		wire_assign(w, mode, x);
		return;
	case CMD_ASSIGN_RCPT:
		NUM(assign_rcpt.rcpt);
		return;
	case CMD_CLOSE:
	case CMD_TAKE_BACK:
		HANDLE(close);
		return;
	case CMD_PERSIST:
	case CMD_DELAYED:
		wire_persist(w, mode, x);
		return;
	case CMD_LOG:
		wire_log(w, mode, x);
		return;
	case CMD_NOTICE:
		NUM(notice.msg);
		NUM(notice.rcpt);
		return;
	case CMD_DROP:
		NUM(drop);
		return;
	case CMD_ADMIN_DONE:
		NUM(admin_done.job);
		NUM(admin_done.n);
		return;
	case CMD_KEEP:
		wire_keep(w, mode, x);
		return;
	case CMD_KEEP_VALUES:
		wire_keep_values(w, mode, x);
		return;
	case CMD_WARM_DAY:
		wire_warm_day(w, mode, x);
		return;
	case ENG_CMD_N:
		return;
	}
}

unsigned char *
eng_cmd_put(unsigned char *at, const struct eng_cmd *cmd, int64_t now_us)
{
	struct wire w = { .at = at + 1, .now = now_us };

	*at = (unsigned char)cmd->kind;
	wire_cmd(&w, WIRE_PUT, (struct eng_cmd *)(uintptr_t)cmd);
	return w.at;
}

int
eng_cmd_get(struct slice *s, int64_t now_us, struct eng_cmd *cmd)
{
	struct wire w = { .in = (const unsigned char *)s->p,
		.end = (const unsigned char *)s->p + s->n,
		.now = now_us };

	memset(cmd, 0, sizeof(*cmd));
	if (s->n == 0 || *w.in >= ENG_CMD_N)
		return E_CORRUPT;
	cmd->kind = (enum eng_cmd_kind) * w.in++;
	wire_cmd(&w, WIRE_GET, cmd);
	*s = slice_of((const char *)w.in, (size_t)(w.end - w.in));
	return w.bad ? E_CORRUPT : 0;
}

void
eng_cmd_show(const struct eng_cmd *cmd, int64_t now_us, struct buf *out)
{
	static const char *const names[] = {
#define X(name, text) text,
		ENG_CMD_TABLE(X)
#undef X
	};
	struct wire w = { .text = out, .now = now_us };

	buf_addz(out, names[cmd->kind]);
	wire_cmd(&w, WIRE_SHOW, (struct eng_cmd *)(uintptr_t)cmd);
}

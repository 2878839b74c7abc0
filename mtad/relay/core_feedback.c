/*
 * relay/core_feedback.c - a complaint, or a bounce that came by mail: whose it
 * is, and that the engine hears of it.
 */
#include <stdio.h>

#include "conf/shaping.h"
#include "relay/core_i.h"

/* A source by its name, or by its address. */
static struct slice
source_of(const struct core *c, struct slice text)
{
	struct ip ip;
	bool is_ip = ip_parse(text, &ip) == 0;

	for (uint32_t i = 0; i < c->conf->nsources; i++) {
		const struct conf_source *s = &c->conf->sources[i];

		if (slice_eq(s->name, text) ||
		    (is_ip && s->address.family != 0 &&
			ip_eq(&s->address, &ip)))
			return s->name;
	}
	return slice_of("", 0);
}

/* Where a domain's mail goes: to that host, or to those that are known now. */
static uint32_t
place_of(const struct core *c, struct slice domain, struct slice host)
{
	struct slice text[ENG_TARGETS_MAX] = { host };
	uint32_t hosts[ENG_TARGETS_MAX], n = host.n > 0;
	uint32_t id = names_find(&c->names, domain);
	struct conf_place p;

	if (n == 0 && id != 0) {
		(void)eng_domain_hosts(c->eng, id, hosts, &n);
		for (uint32_t i = 0; i < n; i++)
			text[i] = names_text(&c->names, hosts[i]);
	}
	conf_place(c->conf, domain, text, n, &p);
	return p.provider;
}

/* Its index in the configuration, 0 = none; false: there is no such provider. */
static bool
provider_of(const struct core *c, const struct core_complaint *x, uint32_t *out)
{
	*out = 0;
	if (x->provider.n == 0) {
		*out = place_of(c, x->domain, x->host);
		return true;
	}
	if (slice_eq(x->provider, SL("-")))
		return true;
	for (uint32_t i = 1; i < c->conf->nproviders; i++)
		if (slice_eq(c->conf->providers[i].name, x->provider))
			*out = i;
	return *out != 0;
}

/* Tells the engine; *provider is empty for none. */
static int
tell(struct core *c, const struct core_complaint *x, enum eng_feedback kind,
    struct slice *source, struct slice *provider)
{
	struct eng_event ev = { .kind = EV_FEEDBACK };
	uint32_t at;

	*source = source_of(c, x->source);
	if (source->n == 0)
		return E_NOTFOUND;
	if (!provider_of(c, x, &at))
		return E_RANGE;
	*provider = at != 0 ? c->conf->providers[at].name : SL("");
	ev.feedback.source = names_find(&c->names, *source);
	ev.feedback.provider =
	    provider->n ? names_find(&c->names, *provider) : 0;
	ev.feedback.kind = (uint8_t)kind;
	core_step(c, &ev);
	c->complaints += kind == FEEDBACK_COMPLAINT;
	return 0;
}

int
core_feedback(struct core *c, const struct core_complaint *x,
    enum eng_feedback kind)
{
	struct slice source, provider;

	return tell(c, x, kind, &source, &provider);
}

int
core_complain(struct core *c, const struct core_complaint *x, struct slice user,
    struct slice reason, struct buf *out)
{
	struct slice source, provider;
	struct jsonw w;
	char text[200];
	int err = tell(c, x, FEEDBACK_COMPLAINT, &source, &provider);

	if (err)
		return err;
	snprintf(text, sizeof(text), "complaint source=%.*s provider=%.*s",
	    SLF(source), SLF(provider.n ? provider : SL("-")));
	core_book_order(c, slice_str(text), user, reason);
	jw_init(&w, out);
	jw_open(&w, '{');
	jw_kstr(&w, "source", source);
	jw_kstr(&w, "provider", provider);
	jw_close(&w, '}');
	return 0;
}

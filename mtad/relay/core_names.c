/*
 * relay/core_names.c - who holds a name.
 *
 * Domains, hosts, tenants and the rest have their ids from one table, so one
 * text may be several of them: a domain without MX is its own host. A tag
 * (tenant, campaign, pool, source) holds its name for ever; a domain from its
 * first recipient to CMD_FORGET; a host once for each time that the engine was
 * told of it, to CMD_FORGET_HOST. The name is free when the last of them lets
 * go.
 */
#include "relay/core_i.h"

#define REPLIES_MAX 4096u

/* Has the name room in the table of kinds? */
static bool
kinds_fit(struct core *c, uint32_t id)
{
	uint32_t cap = MAX(c->kinds_cap, 64u);
	uint8_t *p;

	while (cap <= id)
		cap *= 2;
	if (cap == c->kinds_cap)
		return true;
	p = mem_grow(c->kinds, cap);
	if (!p)
		return false;
	memset(p + c->kinds_cap, 0, cap - c->kinds_cap);
	c->kinds = p;
	c->kinds_cap = cap;
	return true;
}

uint32_t
core_name(struct core *c, struct slice text, enum core_name_kind kind)
{
	uint32_t id;

	if (text.n == 0)
		return 0;
	id = names_find(&c->names, text);
	if (id && id < c->kinds_cap && c->kinds[id] & kind)
		return id;
	id = names_take(&c->names, text);
	if (id && !kinds_fit(c, id)) {
		names_drop(&c->names, id);
		return 0;
	}
	if (id)
		c->kinds[id] |= (uint8_t)kind;
	c->ntags += id && kind == NAME_TAG;
	return id;
}

void
core_name_pin(struct core *c, uint32_t id)
{
	if (id == 0 || (id < c->kinds_cap && c->kinds[id] & NAME_TAG))
		return;
	if (!kinds_fit(c, id))
		return; /* without memory it may lose its id: no harm */
	names_hold(&c->names, id);
	c->kinds[id] |= NAME_TAG;
	c->ntags++;
}

uint32_t
core_reply(struct core *c, struct slice text)
{
	char words[CLUSTER_TEXT];
	struct slice s =
	    slice_of(words, cluster_strip(text, words, sizeof(words)));
	uint32_t before = c->ntags, id;

	if (s.n == 0)
		return 0;
	if (c->nreplies >= REPLIES_MAX)
		return names_find(&c->names, s);
	id = core_tag(c, s);
	c->nreplies += c->ntags - before;
	return id;
}

uint32_t
core_tag_lower(struct core *c, struct slice domain)
{
	char lower[DOMAIN_MAX + 1];

	domain.n = MIN(domain.n, (size_t)DOMAIN_MAX);
	for (size_t i = 0; i < domain.n; i++)
		lower[i] = ascii_lower(domain.p[i]);
	return core_tag(c, slice_of(lower, domain.n));
}

struct slice
core_domain_text(const struct core *c, uint32_t domain, enum core_wish *wish)
{
	struct slice name = names_text(&c->names, domain);
	size_t at = slice_index(name, '+');
	enum core_wish w = WISH_NONE;

	if (at < name.n)
		w = slice_eq(slice_skip(name, at), SL(WISH_TLS_SUFFIX)) ?
		    WISH_TLS :
		    WISH_NO_POLICY;
	name.n = at;
	if (wish != NULL)
		*wish = w;
	return name;
}

void
core_domain_forget(struct core *c, uint32_t id)
{
	c->kinds[id] &= (uint8_t)~NAME_DOMAIN;
	names_drop(&c->names, id);
}

uint32_t
core_host(struct core *c, struct slice host)
{
	return host.n ? names_take(&c->names, host) : 0;
}

void
core_host_forget(struct core *c, uint32_t id)
{
	if (id)
		names_drop(&c->names, id);
}

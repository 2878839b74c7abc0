/*
 * conf/inbound.c - domains whose mail is for us, and whose mail has return paths
 * there.
 */
#include "conf/conf_i.h"

const struct conf_inbound *
conf_inbound_find(const struct conf *c, struct slice domain)
{
	for (uint32_t i = 0; i < c->ninbound; i++)
		if (slice_ieq(c->inbound[i].domain, domain))
			return &c->inbound[i];
	return NULL;
}

static struct slice
of_pool(const struct conf *c, struct slice name)
{
	if (name.n == 0)
		name = c->default_pool;
	for (uint32_t i = 0; i < c->npools; i++)
		if (slice_eq(c->pools[i].name, name))
			return c->pools[i].return_path;
	return slice_of("", 0);
}

static struct slice
of_listener(const struct conf *c, struct slice name)
{
	for (uint32_t i = 0; i < c->nlisten; i++)
		if (slice_eq(c->listen[i].name, name))
			return c->listen[i].return_path;
	return slice_of("", 0);
}

const struct conf_inbound *
conf_return_path(const struct conf *c, struct slice tenant, struct slice pool,
    struct slice listener)
{
	struct slice domain;

	if (!c->has_return_paths)
		return NULL;
	domain = conf_tenant_find(c, tenant)->return_path;
	if (domain.n == 0)
		domain = of_pool(c, pool);
	if (domain.n == 0)
		domain = of_listener(c, listener);
	return domain.n > 0 ? conf_inbound_find(c, domain) : NULL;
}

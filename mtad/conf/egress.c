/*
 * conf/egress.c - reads the file of `mtad proxy` and judges it as a whole.
 */
#include <stdio.h>

#include "conf/conf_i.h"
#include "conf/egress.h"

/* Where an option stands, or the map that should have it. */
static struct place
place_of(const struct yaml_node *root, const char *key)
{
	const struct yaml_node *n =
	    root->kind == YAML_MAP ? yaml_get(root, key) : NULL;

	return yaml_place(n != NULL ? n : root);
}

static void
check_file(const struct yaml_node *root, const char *key, const char *what,
    struct slice path, struct complaints *c)
{
	FILE *f = path.n > 0 ? fopen(path.p, "re") : NULL;

	if (path.n > 0 && f == NULL)
		complain(c, place_of(root, key), what,
		    "a file that can be read", path);
	if (f != NULL)
		fclose(f);
}

static void
judge(void *base, const struct yaml_node *root, struct complaints *c)
{
	struct conf_egress *e = base;

	if (e->nports == 0)
		e->ports[e->nports++] = 25;
	for (uint32_t i = 0; i < e->naccounts; i++) {
		struct conf_account *a = &e->accounts[i];

		if (a->secret.n > 0 && !conf_account_read(a))
			complain(c, place_of(root, "account"), "account",
			    "a secret that `mtad account NAME` has printed",
			    a->name);
		if (memchr(a->name.p, '@', a->name.n) != NULL)
			complain(c, place_of(root, "account"), "account",
			    "a name without @", a->name);
	}
	check_file(root, "tls", "tls.cert", e->tls.cert, c);
	check_file(root, "tls", "tls.key", e->tls.key, c);
	check_file(root, "tls", "tls.client_ca", e->client_ca, c);
	if (e->naccounts == 0 && e->client_ca.n == 0)
		complain_warn(c, place_of(root, "clients"), "clients",
		    "account or tls.client_ca, for any program there may use "
		    "it",
		    slice_str(NULL));
}

struct conf_egress *
conf_egress_load(const char *path, struct conf_errors *errs)
{
	struct conf_egress *e = mem_get(sizeof(*e));

	e->holder = conf_load_as(path, &egress_options, e, judge, errs);
	if (e->holder == NULL) {
		mem_free(e);
		return NULL;
	}
	e->holder->user = e->user;
	e->holder->control = e->control;
	return e;
}

void
conf_egress_free(struct conf_egress *e)
{
	if (e != NULL)
		conf_free(e->holder);
	mem_free(e);
}

/* ---- addresses ------------------------------------------------------------------- */

/* The IPv4 address that an IPv6 one stands for: mapped (RFC 4291 2.5.5.2),
 * compatible, translated (RFC 6052), 6to4 (RFC 3056). */
static bool
inner_v4(const struct ip *ip, struct ip *out)
{
	static const uint8_t nat64[12] = { 0, 0x64, 0xff, 0x9b };
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };
	static const uint8_t zero[12];
	const uint8_t *at = NULL;

	if (ip->family != 6)
		return false;
	if (memcmp(ip->b, nat64, 12) == 0 || memcmp(ip->b, mapped, 12) == 0 ||
	    memcmp(ip->b, zero, 12) == 0)
		at = ip->b + 12;
	else if (ip->b[0] == 0x20 && ip->b[1] == 0x02)
		at = ip->b + 2;
	if (at == NULL)
		return false;
	memset(out, 0, sizeof(*out));
	out->family = 4;
	memcpy(out->b, at, 4);
	return true;
}

static bool
is_special(const struct ip *ip)
{
	static const char *const nets[] = { "0.0.0.0/8", "10.0.0.0/8",
		"100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16",
		"172.16.0.0/12", "192.0.0.0/24", "192.168.0.0/16",
		"198.18.0.0/15", "224.0.0.0/4", "240.0.0.0/4", "::/127",
		"64:ff9b:1::/48", "100::/64", "fc00::/7", "fe80::/10",
		"fec0::/10", "ff00::/8" };
	struct cidr net;

	for (size_t i = 0; i < ARRAY_LEN(nets); i++) {
		ASSERT(cidr_parse(slice_str(nets[i]), &net) == 0);
		if (cidr_has(&net, ip))
			return true;
	}
	return false;
}

bool
egress_is_private(const struct ip *ip)
{
	struct ip inner;

	return is_special(ip) || (inner_v4(ip, &inner) && is_special(&inner));
}

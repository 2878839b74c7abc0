/*
 * net/dane.c - what DANE says of a mail host (RFC 7672 2.2), asked step by
 * step. Whose answer fails, by a bogus signature or by silence, must not be
 * gone to: who can hide the records could read the mail.
 */
#include <stdio.h>

#include "net/dns_i.h"

struct dane {
	struct dns *dns;
	void (*on_answer)(void *, uint64_t, const struct dane_answer *);
	void *user;
	uint64_t cookie;
	uint16_t port;
	bool is_second; /* behind the canonical name, the name itself */
	uint32_t ttl_s;
	char host[DOMAIN_TEXT_MAX];
	char canonical[DOMAIN_TEXT_MAX];
};

static void ask(struct dane *x, const char *base);

static void
end(struct dane *x, struct dane_answer *a)
{
	a->ttl_s = x->ttl_s;
	x->on_answer(x->user, x->cookie, a);
	mem_free(x);
}

static void
end_with(struct dane *x, enum dane_status status, const char *why)
{
	struct dane_answer a = { .status = status, .why = why };

	end(x, &a);
}

static bool
has_usable(const struct tlsa_set *s)
{
	for (uint32_t i = 0; i < s->n; i++)
		if (tlsa_is_usable(s->rec[i].usage, s->rec[i].selector,
			s->rec[i].matching, s->rec[i].bytes))
			return true;
	return false;
}

static void
on_tlsa(void *user, uint64_t cookie, const struct dns_records *r)
{
	struct dane *x = user;
	struct dane_answer a = { .status = DANE_UNUSABLE };

	(void)cookie;
	if (r->status == DNS_TEMP) {
		end_with(x, DANE_FAILED, r->why);
		return;
	}
	x->ttl_s = MIN(x->ttl_s, r->ttl_s);
	if (r->status == DNS_OK && r->is_secure) {
		if (has_usable(&r->tlsa))
			a.status = DANE_USABLE;
		a.set = r->tlsa;
		slice_copy(slice_str(x->is_second ? x->host : x->canonical),
		    a.base, sizeof(a.base));
		end(x, &a);
	} else if (!x->is_second && strcmp(x->host, x->canonical) != 0) {
		x->is_second = true;
		ask(x, x->host);
	} else
		end_with(x, DANE_NONE, "no secure TLSA records");
}

static void
ask(struct dane *x, const char *base)
{
	char name[DOMAIN_TEXT_MAX + 16];
	int n = snprintf(name, sizeof(name), "_%u._tcp.%s", x->port, base);

	if (n >= DOMAIN_TEXT_MAX) { /* there can be no such name */
		end_with(x, DANE_NONE, "no secure TLSA records");
		return;
	}
	dns_records(x->dns, slice_of(name, (size_t)n), DNS_ASK_TLSA, on_tlsa, x,
	    0);
}

static void
on_addresses(void *user, uint64_t cookie, const struct dns_answer *a)
{
	struct dane *x = user;

	(void)cookie;
	x->ttl_s = a->ttl_s;
	if (a->status == DNS_TEMP) {
		end_with(x, DANE_FAILED, a->why);
		return;
	}
	if (a->status != DNS_OK || !a->is_secure) {
		end_with(x, DANE_NONE, "its addresses are not secure");
		return;
	}
	memcpy(x->canonical, a->canonical, sizeof(x->canonical));
	ask(x, x->canonical);
}

void
dane_lookup(struct dns *d, struct slice host, uint16_t port,
    void (*on_answer)(void *user, uint64_t cookie, const struct dane_answer *a),
    void *user, uint64_t cookie)
{
	struct dane *x = mem_get(sizeof(*x));

	x->dns = d;
	x->on_answer = on_answer;
	x->user = user;
	x->cookie = cookie;
	x->port = port;
	for (size_t i = 0; i < MIN(host.n, sizeof(x->host) - 1); i++)
		x->host[i] = ascii_lower(host.p[i]);
	dns_lookup(d, slice_str(x->host), true, on_addresses, x, 0);
}

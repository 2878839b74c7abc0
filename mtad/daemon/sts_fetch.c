/*
 * daemon/sts_fetch.c - MTA-STS policies, fetched by HTTPS and kept in the books:
 * on the keeper's thread, whose disk and whose strangers nobody else waits for.
 */
#include <stdio.h>

#include "daemon/sts.h"

struct fetching {
	struct keeper *k;
	struct post_sts *p;
};

void
sts_reply_read(const struct https_reply *r, struct sts_policy *out, char *dst,
    size_t cap)
{
	static const char plain[] = "text/plain";
	const char *why = r->why;

	dst[0] = '\0';
	if (why == NULL && r->status != 200) {
		snprintf(dst, cap, "HTTP status %ld", r->status);
		return;
	}
	/* RFC 8461 3.2: against a host that lets others put pages on it. */
	if (why == NULL &&
	    !slice_has_iprefix(slice_str(r->type), slice_str(plain)))
		why = "its type is not text/plain";
	if (why == NULL)
		why = sts_policy_read(r->body, out);
	if (why != NULL)
		snprintf(dst, cap, "%s", why);
}

static void
keep(struct keeper *k, const struct post_sts *p)
{
	struct store_policy s = {
		.domain = slice_str(p->domain),
		.id = slice_str(p->id),
		.hosts = slice_of(p->policy.hosts, p->policy.hosts_n),
		.mode = (uint8_t)p->policy.mode,
		.fetched_us = p->fetched_us,
		.expires_us = p->expires_us,
	};
	char why[256];

	if (store_policy_put(k->store, &s, why, sizeof(why)))
		log_event(LOG_WARN, "books", "what",
		    "an MTA-STS policy cannot be kept", "domain", p->domain,
		    "error", why, NULL);
}

static void
give(struct post_sts *p)
{
	p->post.kind = POST_STS_DONE;
	worker_post(p->from, &p->post);
}

/* What curl says of a certificate has one of these words. */
static const char *
result_of(const struct https_reply *r)
{
	if (r->why == NULL)
		return r->status == 200 ? "sts-policy-invalid" :
					  "sts-policy-fetch-error";
	return strstr(r->why, "SSL") || strstr(r->why, "certificate") ?
	    "sts-webpki-invalid" :
	    "sts-policy-fetch-error";
}

static void
on_reply(void *user, const struct https_reply *r)
{
	struct fetching *x = user;
	struct post_sts *p = x->p;

	sts_reply_read(r, &p->policy, p->why, sizeof(p->why));
	p->result = result_of(r);
	p->fetched_us = clock_wall_us();
	p->expires_us = p->fetched_us + p->policy.max_age_s * US_PER_S;
	if (p->why[0] == '\0')
		keep(x->k, p);
	give(p);
	mem_free(x);
}

void
sts_fetch(struct keeper *k, struct post_sts *p)
{
	char host[DOMAIN_MAX + sizeof(STS_HOST) + 1];
	struct https_ask ask = {
		.host = host,
		.path = STS_PATH,
		.ca = p->ca[0] ? p->ca : NULL,
		.port = p->port,
		.ip = p->ip,
		.timeout_us = STS_FETCH_US,
		.body_max = STS_POLICY_MAX,
	};
	struct fetching *x;

	snprintf(host, sizeof(host), STS_HOST "%s", p->domain);
	if (k->https == NULL && !(k->https = https_new(k->loop))) {
		snprintf(p->why, sizeof(p->why), "out of memory");
		give(p);
		return;
	}
	x = mem_get(sizeof(*x));
	x->k = k;
	x->p = p;
	https_get(k->https, &ask, on_reply, x);
}

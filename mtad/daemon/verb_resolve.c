/*
 * daemon/verb_resolve.c - mtad resolve DOMAIN: what DNS says of a domain, and what
 * follows for its mail: hosts and addresses, how long that holds, what is
 * validated, TLSA records, the MTA-STS policy, the site. It asks no daemon; the
 * look-ups are those that a daemon with the configuration would make.
 */
#include <getopt.h>

#include "conf/shaping.h"
#include "daemon/sts.h"
#include "daemon/verb_i.h"
#include "daemon/verbs.h"

#define TURN_US (20 * US_PER_MS)

static const char usage[] =
    "usage: mtad resolve DOMAIN [OPTION ...]\n"
    "Mail hosts and addresses of a domain, TLSA records, the MTA-STS policy,\n"
    "what of it is validated by DNSSEC, and the site that its mail goes to. It\n"
    "asks the resolvers of the configuration, and no daemon.\n"
    "\n"
    "  -c FILE    the configuration (" VERB_CONFIG ")\n"
    "  --json     as JSON\n"
    "  --help     this\n"
    "\n"
    "exit status: 0 done, 1 the configuration has errors, or no mail could be\n"
    "sent there, 2 wrong usage\n";

struct resolve {
	const char *config, *domain;
	bool json;
	struct conf *conf;
	const struct conf_route *route; /* that has hosts, or NULL */
	struct loop *loop;
	struct dns *dns;
	struct https *https;
	uint32_t pending; /* questions */
	struct dns_answer a;
	char why[256];
	struct dane_answer dane[DNS_HOSTS_MAX];
	char dane_why[DNS_HOSTS_MAX][128];
	struct { /* MTA-STS */
		bool has_record, is_secure;
		uint32_t ttl_s;
		char id[STS_ID_MAX + 1], why[512];
		struct sts_policy policy;
	} sts;
	struct conf_place place;
	struct core_tls tls;
	char site[CORE_SITE_TEXT];
};

static void
report(void *ctx, const char *line)
{
	(void)ctx;
	fprintf(stderr, "%s\n", line);
}

/* ---- questions ------------------------------------------------------------------ */

static void
on_dane(void *user, uint64_t i, const struct dane_answer *a)
{
	struct resolve *r = user;

	r->pending--;
	r->dane[i] = *a;
	snprintf(r->dane_why[i], sizeof(r->dane_why[i]), "%s",
	    a->why ? a->why : "");
}

static void
on_answer(void *user, uint64_t cookie, const struct dns_answer *a)
{
	struct resolve *r = user;
	struct ip ip;

	(void)cookie;
	r->pending--;
	r->a = *a;
	snprintf(r->why, sizeof(r->why), "%s", a->why ? a->why : "");
	for (uint32_t i = 0; i < a->nhosts && a->status == DNS_OK; i++) {
		if (ip_parse(slice_str(a->hosts[i].name), &ip) == 0)
			continue;
		r->pending++;
		dane_lookup(r->dns, slice_str(a->hosts[i].name),
		    r->conf->smtp_port, on_dane, r, i);
	}
}

static void
on_page(void *user, const struct https_reply *page)
{
	struct resolve *r = user;

	r->pending--;
	sts_reply_read(page, &r->sts.policy, r->sts.why, sizeof(r->sts.why));
}

static void
on_policy_host(void *user, uint64_t cookie, const struct dns_answer *a)
{
	struct resolve *r = user;
	char host[DOMAIN_MAX + sizeof(STS_HOST) + 1];
	struct https_ask ask = { .host = host,
		.path = STS_PATH,
		.ca = r->conf->tls_ca.n ? r->conf->tls_ca.p : NULL,
		.port = r->conf->sts_port,
		.timeout_us = STS_FETCH_US,
		.body_max = STS_POLICY_MAX };

	(void)cookie;
	r->pending--;
	snprintf(host, sizeof(host), STS_HOST "%s", r->domain);
	if (a->status != DNS_OK) {
		snprintf(r->sts.why, sizeof(r->sts.why), "%s: %s", host,
		    a->why ? a->why : "it has no address");
		return;
	}
	ask.ip = a->addrs[0].ip;
	r->pending++;
	https_get(r->https, &ask, on_page, r);
}

static void
on_record(void *user, uint64_t cookie, const struct dns_records *x)
{
	struct resolve *r = user;
	char host[DOMAIN_MAX + sizeof(STS_HOST) + 1];
	int n = snprintf(host, sizeof(host), STS_HOST "%s", r->domain);

	(void)cookie;
	r->pending--;
	if (x->status == DNS_TEMP)
		snprintf(r->sts.why, sizeof(r->sts.why), "%s", x->why);
	if (x->status != DNS_OK ||
	    !sts_record_read(slice_of(x->txt, x->txt_n), r->sts.id))
		return;
	r->sts.has_record = true;
	r->sts.is_secure = x->is_secure;
	r->sts.ttl_s = x->ttl_s;
	r->pending++;
	dns_lookup(r->dns, slice_of(host, (size_t)n), true, on_policy_host, r,
	    0);
}

static void
ask_all(struct resolve *r)
{
	char name[DOMAIN_MAX + sizeof(STS_RECORD) + 1];
	struct slice what = slice_str(r->domain);
	int n = snprintf(name, sizeof(name), STS_RECORD "%s", r->domain);

	r->route = conf_route_find(r->conf, what);
	if (r->route && r->route->nhosts == 0)
		r->route = NULL;
	/* Of a route the first host stands for all here. */
	r->pending = 2;
	dns_lookup(r->dns, r->route ? r->route->host[0] : what,
	    r->route != NULL, on_answer, r, 0);
	dns_records(r->dns, slice_of(name, (size_t)n), DNS_ASK_TXT, on_record,
	    r, 0);
	/* Each look-up has its own end in time. */
	while (r->pending > 0)
		loop_turn(r->loop, loop_now(r->loop) + TURN_US);
}

/* What a daemon would make of that. */
static void
conclude(struct resolve *r)
{
	struct core_answer a = { .is_secure = r->a.is_secure };
	struct slice hosts[DNS_HOSTS_MAX];
	uint32_t n = 0;

	for (uint32_t i = 0; i < r->a.nhosts; i++)
		if (r->a.hosts[i].pref == r->a.hosts[0].pref)
			hosts[n++] = slice_str(r->a.hosts[i].name);
	if (r->sts.id[0] && !r->sts.why[0]) {
		static const uint8_t modes[] = { [STS_NONE] = CORE_STS_NONE,
			[STS_TESTING] = CORE_STS_TESTING,
			[STS_ENFORCE] = CORE_STS_ENFORCE };

		a.sts = modes[r->sts.policy.mode];
		a.sts_hosts =
		    slice_of(r->sts.policy.hosts, r->sts.policy.hosts_n);
	}
	conf_place(r->conf, slice_str(r->domain), hosts, n, &r->place);
	core_tls_make(r->conf, &r->place, &a, r->route != NULL, WISH_NONE,
	    &r->tls);
	core_site_text(r->conf, slice_str(r->domain), &r->place,
	    n > 0 ? hosts[0] : slice_str(r->domain), &r->tls, r->site);
}

/* ---- words ----------------------------------------------------------------------- */

static const char *
status_text(enum dns_status s)
{
	static const char *const names[] = { "ok", "no such domain",
		"null MX, it takes no mail", "no address", "look-up failed" };

	return names[s];
}

static const char *
dane_text(enum dane_status s)
{
	static const char *const names[] = { "none", "usable", "unusable",
		"failed" };

	return names[s];
}

static const char *
secure_text(const struct resolve *r, bool is_secure)
{
	if (r->conf->dns.trust_anchor.n == 0)
		return "not validated";
	return is_secure ? "secure" : "insecure";
}

static void
tlsa_text(const struct tlsa_set *s, uint32_t i, char *dst, size_t cap)
{
	int n = snprintf(dst, cap, "%u %u %u ", s->rec[i].usage,
	    s->rec[i].selector, s->rec[i].matching);

	for (uint16_t k = 0; k < s->rec[i].bytes && (size_t)n + 3 < cap; k++)
		n += snprintf(dst + n, cap - (size_t)n, "%02x",
		    s->data[s->rec[i].at + k]);
}

/* ---- for programs ------------------------------------------------------------------ */

static void
json_addresses(struct jsonw *w, const struct resolve *r, uint32_t host)
{
	char text[IP_TEXT_MAX];

	jw_key(w, "addresses");
	jw_open(w, '[');
	for (uint32_t i = 0; i < r->a.naddrs; i++)
		if (r->a.addrs[i].host == host)
			jw_str(w,
			    slice_of(text, ip_format(text, &r->a.addrs[i].ip)));
	jw_close(w, ']');
}

static void
json_host(struct jsonw *w, const struct resolve *r, uint32_t i)
{
	const struct dane_answer *d = &r->dane[i];
	char text[160];

	jw_open(w, '{');
	jw_kstr(w, "name", slice_str(r->a.hosts[i].name));
	jw_ku64(w, "preference", r->a.hosts[i].pref);
	jw_kbool(w, "secure", r->a.hosts[i].is_secure);
	json_addresses(w, r, i);
	jw_kstr(w, "tlsa", slice_str(dane_text(d->status)));
	if (d->status == DANE_FAILED)
		jw_kstr(w, "tlsa_error", slice_str(r->dane_why[i]));
	if (d->set.n > 0) {
		jw_kstr(w, "tlsa_base", slice_str(d->base));
		jw_ku64(w, "tlsa_ttl", d->ttl_s);
		jw_key(w, "tlsa_records");
		jw_open(w, '[');
		for (uint32_t k = 0; k < d->set.n; k++) {
			tlsa_text(&d->set, k, text, sizeof(text));
			jw_str(w, slice_str(text));
		}
		jw_close(w, ']');
	}
	jw_close(w, '}');
}

static void
json_sts(struct jsonw *w, const struct resolve *r)
{
	struct slice hosts =
	    slice_of(r->sts.policy.hosts, r->sts.policy.hosts_n);

	jw_key(w, "mta_sts");
	if (!r->sts.has_record && r->sts.why[0] == '\0') {
		jw_null(w);
		return;
	}
	jw_open(w, '{');
	jw_kstr(w, "id", slice_str(r->sts.id));
	jw_ku64(w, "ttl", r->sts.ttl_s);
	jw_kbool(w, "secure", r->sts.is_secure);
	if (r->sts.why[0] != '\0') {
		jw_kstr(w, "error", slice_str(r->sts.why));
		jw_close(w, '}');
		return;
	}
	jw_kstr(w, "mode", slice_str(sts_mode_name(r->sts.policy.mode)));
	jw_ku64(w, "max_age", r->sts.policy.max_age_s);
	jw_key(w, "mx");
	jw_open(w, '[');
	while (hosts.n > 0)
		jw_str(w, slice_cut(&hosts, '\n'));
	jw_close(w, ']');
	jw_close(w, '}');
}

static void
print_json(const struct resolve *r)
{
	struct jsonw w;
	struct buf out;

	buf_init(&out, 1u << 20);
	jw_init(&w, &out);
	jw_open(&w, '{');
	jw_kstr(&w, "domain", slice_str(r->domain));
	jw_kstr(&w, "status", slice_str(status_text(r->a.status)));
	if (r->why[0] != '\0')
		jw_kstr(&w, "error", slice_str(r->why));
	jw_kbool(&w, "route", r->route != NULL);
	jw_kbool(&w, "validated", r->conf->dns.trust_anchor.n > 0);
	jw_kbool(&w, "secure", r->a.is_secure);
	jw_ku64(&w, "ttl", r->a.ttl_s);
	jw_key(&w, "hosts");
	jw_open(&w, '[');
	for (uint32_t i = 0; i < r->a.nhosts; i++)
		json_host(&w, r, i);
	jw_close(&w, ']');
	json_sts(&w, r);
	jw_kstr(&w, "provider", r->conf->providers[r->place.provider].name);
	jw_kstr(&w, "tls", slice_str(conf_tls_mode_name(r->tls.want.mode)));
	jw_kstr(&w, "site",
	    slice_str(r->site[0] ? r->site : r->a.hosts[0].name));
	jw_kbool(&w, "apart", r->site[0] != '\0');
	jw_close(&w, '}');
	verb_print(&out);
	buf_free(&out);
}

/* ---- for people -------------------------------------------------------------------- */

static void
print_host(const struct resolve *r, uint32_t i)
{
	const struct dane_answer *d = &r->dane[i];
	char text[160], ip[IP_TEXT_MAX];

	printf("host      %u %s, %s\n", r->a.hosts[i].pref, r->a.hosts[i].name,
	    secure_text(r, r->a.hosts[i].is_secure));
	for (uint32_t k = 0; k < r->a.naddrs; k++) {
		if (r->a.addrs[k].host != i)
			continue;
		ip_format(ip, &r->a.addrs[k].ip);
		printf("address     %s\n", ip);
	}
	if (d->status == DANE_FAILED)
		printf("tlsa        failed: %s\n", r->dane_why[i]);
	for (uint32_t k = 0; k < d->set.n; k++) {
		tlsa_text(&d->set, k, text, sizeof(text));
		printf("tlsa        %s (%s, ttl %us)%s\n", text, d->base,
		    d->ttl_s,
		    tlsa_is_usable(d->set.rec[k].usage, d->set.rec[k].selector,
			d->set.rec[k].matching, d->set.rec[k].bytes) ?
			"" :
			", cannot be used");
	}
}

static void
print_sts(const struct resolve *r)
{
	struct slice hosts =
	    slice_of(r->sts.policy.hosts, r->sts.policy.hosts_n);

	if (!r->sts.has_record) {
		printf("mta-sts   %s\n",
		    r->sts.why[0] ? r->sts.why : "no record");
		return;
	}
	if (r->sts.why[0] != '\0') {
		printf("mta-sts   id %s, but no policy: %s\n", r->sts.id,
		    r->sts.why);
		return;
	}
	printf("mta-sts   %s, id %s, max_age %us\n",
	    sts_mode_name(r->sts.policy.mode), r->sts.id,
	    r->sts.policy.max_age_s);
	while (hosts.n > 0) {
		struct slice line = slice_cut(&hosts, '\n');

		printf("mx          %.*s\n", SLF(line));
	}
}

static void
print_text(const struct resolve *r)
{
	printf("domain    %s%s\n", r->domain, r->route ? ", by its route" : "");
	printf("status    %s%s%s\n", status_text(r->a.status),
	    r->why[0] ? ": " : "", r->why);
	if (r->a.status != DNS_TEMP)
		printf("dnssec    %s, ttl %us\n",
		    secure_text(r, r->a.is_secure), r->a.ttl_s);
	for (uint32_t i = 0; i < r->a.nhosts; i++)
		print_host(r, i);
	print_sts(r);
	printf("tls       %s\n", conf_tls_mode_name(r->tls.want.mode));
	if (r->a.nhosts > 0 && r->site[0] != '\0')
		printf("site      %s, apart from others with these hosts\n",
		    r->site);
	else if (r->a.nhosts > 0)
		printf("site      %s, with all domains that have these "
		       "hosts\n",
		    r->a.hosts[0].name);
}

/* ---- the verb ---------------------------------------------------------------------- */

static int
run(struct resolve *r)
{
	struct conf_errors errs = { .report = report };

	r->conf = conf_load(r->config, &errs);
	if (r->conf == NULL)
		return VERB_FAILED;
	r->loop = loop_new();
	r->dns = r->loop ? corehost_dns(r->conf, r->loop) : NULL;
	r->https = r->dns ? https_new(r->loop) : NULL;
	if (r->https) {
		ask_all(r);
		conclude(r);
		if (r->json)
			print_json(r);
		else
			print_text(r);
		https_free(r->https);
	}
	if (r->dns)
		dns_free(r->dns);
	if (r->loop)
		loop_free(r->loop);
	conf_free(r->conf);
	return r->https && r->a.status == DNS_OK ? VERB_OK : VERB_FAILED;
}

int
verb_resolve(int argc, char **argv)
{
	static const struct option longs[] = { { "help", no_argument, NULL,
						   'h' },
		{ "config", required_argument, NULL, 'c' },
		{ "json", no_argument, NULL, 'j' }, { 0 } };
	struct resolve *r = mem_get(sizeof(*r));
	int o, err;

	r->config = VERB_CONFIG;
	while ((o = getopt_long(argc, argv, ":hc:", longs, NULL)) != -1)
		switch (o) {
		case 'h':
			fputs(usage, stdout);
			mem_free(r);
			return VERB_OK;
		case 'c':
			r->config = optarg;
			break;
		case 'j':
			r->json = true;
			break;
		default:
			mem_free(r);
			return verb_wrong_option("resolve", argv);
		}
	if (optind + 1 != argc || strlen(argv[optind]) > DOMAIN_MAX) {
		mem_free(r);
		return verb_usage("resolve", "needs", "one DOMAIN");
	}
	r->domain = argv[optind];
	err = run(r);
	mem_free(r);
	return err;
}

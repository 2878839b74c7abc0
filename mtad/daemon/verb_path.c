/*
 * daemon/verb_path.c - mtad explain path DOMAIN [SOURCE]: every limit that the
 * configuration gives the path, and the file and line that say so. It asks no
 * daemon: the mail hosts come from the route, from DNS or from --mx.
 */
#include <getopt.h>

#include "conf/shaping.h"
#include "daemon/daemon_i.h"
#include "daemon/verb_i.h"
#include "daemon/verbs.h"

#define HOSTS_MAX DNS_HOSTS_MAX
#define DNS_TURNS_MAX 10000 /* of the loop, for one look-up */

static const char usage[] =
    "usage: mtad explain path DOMAIN [SOURCE] [OPTION ...]\n"
    "Every limit of the path from a source to a domain, by the configuration,\n"
    "and the file and line that it was written in.\n"
    "\n"
    "  --mx HOST  the domain's best mail host, instead of a look-up; may be\n"
    "             repeated\n"
    "  -c FILE    the configuration (" VERB_CONFIG ")\n"
    "  --json     as JSON\n"
    "  --help     this\n"
    "\n"
    "exit status: 0 done, 1 the configuration has errors, or nothing is known\n"
    "of the domain's hosts, 2 wrong usage\n";

struct path {
	const char *config, *domain, *source;
	bool json;
	struct conf *conf;
	uint32_t at; /* the source in conf.sources, or UINT32_MAX */
	/* The hosts of the best preference, and where they are known from. */
	const char *from;
	uint32_t nhosts;
	struct slice hosts[HOSTS_MAX];
	char names[HOSTS_MAX][DOMAIN_TEXT_MAX];
	struct conf_place place;
	struct conf_limits limits;
};

static void
report(void *ctx, const char *line)
{
	(void)ctx;
	fprintf(stderr, "%s\n", line);
}

/* ---- the mail hosts ------------------------------------------------------- */

struct asked {
	struct path *p;
	bool is_done;
	enum dns_status status;
};

static void
host_add(struct path *p, const char *name)
{
	if (p->nhosts == HOSTS_MAX)
		return;
	slice_copy(slice_str(name), p->names[p->nhosts], DOMAIN_TEXT_MAX);
	p->hosts[p->nhosts] = slice_str(p->names[p->nhosts]);
	p->nhosts++;
}

static void
on_answer(void *user, uint64_t cookie, const struct dns_answer *a)
{
	struct asked *x = user;
	uint16_t best = UINT16_MAX;

	(void)cookie;
	x->is_done = true;
	x->status = a->status;
	if (a->status != DNS_OK)
		return;
	for (uint32_t i = 0; i < a->nhosts; i++)
		best = MIN(best, a->hosts[i].pref);
	for (uint32_t i = 0; i < a->nhosts; i++)
		if (a->hosts[i].pref == best)
			host_add(x->p, a->hosts[i].name);
}

static bool
hosts_of_dns(struct path *p)
{
	struct loop *l = loop_new();
	struct dns *d = l != NULL ? corehost_dns(p->conf, l) : NULL;
	struct asked x = { .p = p };

	if (d == NULL) {
		if (l != NULL)
			loop_free(l);
		return false;
	}
	dns_lookup(d, slice_str(p->domain), false, on_answer, &x, 0);
	for (int i = 0; i < DNS_TURNS_MAX && !x.is_done; i++)
		loop_turn(l, loop_now(l) + US_PER_S);
	dns_free(d);
	loop_free(l);
	p->from = "DNS";
	return x.status == DNS_OK && p->nhosts > 0;
}

/* The hosts of a route stand in the order that they are tried in. */
static bool
hosts_find(struct path *p)
{
	const struct conf_route *r =
	    conf_route_find(p->conf, slice_str(p->domain));

	if (p->nhosts > 0) {
		p->from = "--mx";
		return true;
	}
	if (r == NULL || r->nhosts == 0)
		return hosts_of_dns(p);
	p->from = "route";
	host_add(p, r->host[0].p);
	return true;
}

/* ---- for programs ----------------------------------------------------------- */

static void
json_place(struct jsonw *w, const char *key, struct slice name)
{
	jw_key(w, key);
	if (name.n > 0)
		jw_str(w, name);
	else
		jw_null(w);
}

static void
json_limit(struct jsonw *w, const struct path *p, uint32_t bit)
{
	const struct conf_value *v = &p->limits.from[bit];
	char text[64];

	conf_limit_text(&p->limits, bit, text);
	jw_open(w, '{');
	jw_kstr(w, "name", slice_str(conf_limit_name(bit)));
	jw_kstr(w, "value", slice_str(text));
	jw_kstr(w, "layer", slice_str(conf_layer_name(v->layer)));
	jw_kbool(w, "unset", v->is_unset);
	json_place(w, "file",
	    v->at.line != 0 ? p->conf->files[v->at.file] : slice_of(NULL, 0));
	jw_ku64(w, "line", v->at.line);
	jw_close(w, '}');
}

static void
json_caps(struct jsonw *w, const struct path *p)
{
	const struct conf *c = p->conf;

	jw_key(w, "provider_limits");
	jw_open(w, '[');
	for (uint32_t i = 0; i < CONF_CAP_KEYS; i++) {
		struct conf_cap_value v;

		if (!conf_cap_value(&c->providers[p->place.provider], i, &v))
			continue;
		jw_open(w, '{');
		jw_kstr(w, "name", slice_str(v.name));
		jw_kstr(w, "value", slice_str(v.text));
		jw_kstr(w, "file", c->files[v.at.file]);
		jw_ku64(w, "line", v.at.line);
		jw_close(w, '}');
	}
	jw_close(w, ']');
}

static struct slice
provider_name(const struct path *p)
{
	return p->conf->providers[p->place.provider].name;
}

static int
print_json(const struct path *p)
{
	struct jsonw w;
	struct buf out;

	buf_init(&out, 1u << 20);
	jw_init(&w, &out);
	jw_open(&w, '{');
	jw_kstr(&w, "domain", slice_str(p->domain));
	json_place(&w, "source", slice_str(p->source));
	jw_key(&w, "hosts");
	jw_open(&w, '[');
	for (uint32_t i = 0; i < p->nhosts; i++)
		jw_str(&w, p->hosts[i]);
	jw_close(&w, ']');
	jw_kstr(&w, "hosts_from", slice_str(p->from));
	json_place(&w, "provider", provider_name(p));
	if (p->place.provider != 0) {
		jw_kstr(&w, "provider_by",
		    slice_str(conf_by_name(p->place.by)));
		jw_kstr(&w, "provider_for", p->place.what);
	}
	json_place(&w, "site_entry", p->conf->sites[p->place.site].pattern);
	json_place(&w, "domain_entry",
	    p->place.domain != 0 ? p->conf->shapes[p->place.domain].pattern :
				   slice_of(NULL, 0));
	jw_key(&w, "limits");
	jw_open(&w, '[');
	for (uint32_t k = 0; k < CONF_SHAPE_BITS; k++)
		if (conf_limit_name(k) != NULL)
			json_limit(&w, p, k);
	jw_close(&w, ']');
	json_caps(&w, p);
	jw_close(&w, '}');
	verb_print(&out);
	buf_free(&out);
	return VERB_OK;
}

/* ---- for people -------------------------------------------------------------- */

static void
print_head(const struct path *p)
{
	const struct conf *c = p->conf;
	const struct conf_provider *x = &c->providers[p->place.provider];

	printf("path      %s from %s\n", p->domain,
	    p->source != NULL ? p->source : "any source that is not named");
	for (uint32_t i = 0; i < p->nhosts; i++)
		printf("%s%s", i == 0 ? "hosts     " : ", ", p->names[i]);
	printf(" (%s)\n", p->from);
	if (p->place.provider != 0)
		printf("provider  %.*s, for its %s: %.*s (%.*s:%u)\n",
		    SLF(x->name), conf_by_name(p->place.by), SLF(p->place.what),
		    SLF(c->files[x->at.file]), x->at.line);
	else
		printf("provider  none\n");
	if (p->place.site != 0)
		printf("site      entry %.*s\n",
		    SLF(c->sites[p->place.site].pattern));
	if (p->place.domain != 0)
		printf("domain    entry %.*s\n",
		    SLF(c->shapes[p->place.domain].pattern));
	putchar('\n');
}

/* What holds for the provider's sites together. */
static void
cap_rows(struct table *t, const struct path *p)
{
	const struct conf *c = p->conf;

	for (uint32_t i = 0; i < CONF_CAP_KEYS; i++) {
		struct conf_cap_value v;

		if (!conf_cap_value(&c->providers[p->place.provider], i, &v))
			continue;
		table_cell(t, slice_str(v.name));
		table_cell(t, slice_str(v.text));
		table_cell(t, SL("provider, all its sites"));
		table_cellf(t, "%.*s:%u", SLF(c->files[v.at.file]), v.at.line);
	}
}

static int
print_table(const struct path *p)
{
	static const char *const titles[] = { "LIMIT", ">VALUE", "LAYER",
		"WHERE" };
	struct table t;
	char text[64];

	print_head(p);
	table_init(&t, titles, ARRAY_LEN(titles));
	for (uint32_t k = 0; k < CONF_SHAPE_BITS; k++) {
		const struct conf_value *v = &p->limits.from[k];

		if (conf_limit_name(k) == NULL)
			continue;
		conf_limit_text(&p->limits, k, text);
		table_cell(&t, slice_str(conf_limit_name(k)));
		table_cell(&t, slice_str(text));
		table_cellf(&t, "%s%s", conf_layer_name(v->layer),
		    v->is_unset ? ", set back by ~" : "");
		if (v->at.line != 0)
			table_cellf(&t, "%.*s:%u",
			    SLF(p->conf->files[v->at.file]), v->at.line);
		else
			table_cell(&t, SL("-"));
	}
	cap_rows(&t, p);
	table_print(&t);
	return VERB_OK;
}

/* ---- the verb ---------------------------------------------------------------- */

/* -1: go on; else the exit status. */
static int
read_options(int argc, char **argv, struct path *p)
{
	static const struct option longs[] = {
		{ "mx", required_argument, NULL, 'm' },
		{ "json", no_argument, NULL, 'j' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	int o;

	optind = 1;
	opterr = 0;
	while ((o = getopt_long(argc, argv, "c:h", longs, NULL)) != -1) {
		if (o == 'c')
			p->config = optarg;
		else if (o == 'm')
			host_add(p, optarg);
		else if (o == 'j')
			p->json = true;
		else if (o == 'h') {
			fputs(usage, stdout);
			return VERB_OK;
		} else
			return verb_wrong_option("explain", argv);
	}
	if (optind == argc)
		return verb_usage("explain", "the path to which domain?", NULL);
	p->domain = argv[optind++];
	if (optind < argc)
		p->source = argv[optind++];
	if (optind < argc)
		return verb_usage("explain", "too much:", argv[optind]);
	return -1;
}

static bool
source_find(struct path *p)
{
	const struct conf *c = p->conf;

	p->at = UINT32_MAX;
	if (p->source == NULL)
		return true;
	for (uint32_t i = 0; i < c->nsources; i++)
		if (slice_eq(c->sources[i].name, slice_str(p->source)))
			p->at = i;
	if (p->at == UINT32_MAX)
		fprintf(stderr, "mtad: %s has no source \"%s\"\n", p->config,
		    p->source);
	return p->at != UINT32_MAX;
}

static int
explain(struct path *p)
{
	if (!source_find(p))
		return VERB_FAILED;
	if (!hosts_find(p)) {
		fprintf(stderr,
		    "mtad: the mail hosts of %s are not known; name one with "
		    "--mx\n",
		    p->domain);
		return VERB_FAILED;
	}
	conf_place(p->conf, slice_str(p->domain), p->hosts, p->nhosts,
	    &p->place);
	conf_limits(p->conf, &p->place, p->at, &p->limits);
	return p->json ? print_json(p) : print_table(p);
}

int
verb_explain_path(int argc, char **argv)
{
	struct conf_errors errs = { .report = report };
	struct path p = { .config = VERB_CONFIG };
	int status = read_options(argc, argv, &p);

	if (status >= 0)
		return status;
	p.conf = conf_load(p.config, &errs);
	if (p.conf == NULL)
		return VERB_FAILED;
	status = explain(&p);
	conf_free(p.conf);
	return status;
}

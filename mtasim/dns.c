/*
 * dns.c - `mtasim dns`: a name server for made-up domains.
 */
#include <unistd.h>

#include "mtasim.h"
#include "run.h"
#include "world/names.h"
#include "world/worldfile.h"

#define FACTS_MAX 256

struct dns_cmd {
	bool has_listen, quiet;
	struct endpoint listen;
	int64_t seconds_us;
	uint32_t nfacts;
	const char *facts[FACTS_MAX];

	struct run run;
	struct world *world;
	struct zone *own; /* without a file */
	struct nameserver *server;
};

static int
set_listen(void *into, const char *value, char *why, size_t why_cap)
{
	struct dns_cmd *d = into;

	d->has_listen = true;
	snprintf(why, why_cap, "expected ADDRESS:PORT");
	return endpoint_parse(slice_str(value), 53, &d->listen);
}

static int
set_zone(void *into, const char *value, char *why, size_t why_cap)
{
	struct dns_cmd *d = into;

	snprintf(why, why_cap, "more than %d", FACTS_MAX);
	if (d->nfacts == FACTS_MAX)
		return E_FULL;
	d->facts[d->nfacts++] = value;
	return 0;
}

static const struct opt opts[] = {
	{ "listen", "ADDR:PORT", OPT_CALL, 0, set_listen,
	    "UDP and TCP (the file's, or 127.0.0.1:5353)" },
	{ "zone", "'NAME FACT'", OPT_CALL, 0, set_zone,
	    "one more fact (repeat for more)" },
	{ "seconds", "N", OPT_TIME, offsetof(struct dns_cmd, seconds_us), NULL,
	    "then stop" },
	{ "quiet", NULL, OPT_FLAG, offsetof(struct dns_cmd, quiet), NULL,
	    "no counts at the end" },
};

static const struct opt_table table = {
	"dns",
	"[OPTION ...] [FILE]",
	"Answers for every name that FILE (a world, whose receivers are left"
	" out) or\n--zone names. Says \"ready ADDR:PORT\"; SIGUSR1 prints"
	" counts; SIGTERM ends it.",
	opts,
	ARRAY_LEN(opts),
	"NAME is exact, a range d{1..100}.example, or a pattern"
	" *.tail.example.\nFACT is one of\n"
	"  MX 10 HOST   A 127.1.0.1   AAAA ::1   CNAME NAME   TXT text   "
	"NULL-MX\n"
	"  NXDOMAIN   SERVFAIL   REFUSED   SILENT   DELAY 500ms   TRUNCATE   "
	"TTL 60",
};

static void
print_counts(void *ctx)
{
	struct dns_cmd *d = ctx;

	names_counts_print(stdout, nameserver_counts(d->server));
	fflush(stdout);
}

/* The zone of the file, or an empty one, and the facts of the options. */
static int
dns_zone(struct dns_cmd *d, const char *file, struct zone **zone)
{
	struct conf_errors errs = { .report = world_report };
	char why[256] = "";

	if (file != NULL) {
		d->world = world_load(file, &errs);
		if (d->world == NULL)
			return SIM_USAGE;
		if (!d->has_listen)
			d->listen = d->world->dns;
	} else {
		d->own = zone_new();
	}
	*zone = file != NULL ? d->world->zone : d->own;
	for (uint32_t i = 0; i < d->nfacts; i++) {
		struct slice fact = slice_str(d->facts[i]);
		struct slice name = slice_cut(&fact, ' ');

		if (zone_add(*zone, name, fact, why, sizeof(why)) != 0)
			return opt_fail(&table, "--zone '%s': %s", d->facts[i],
			    why);
	}
	return -1;
}

static int
dns_serve(struct dns_cmd *d, const struct zone *zone)
{
	char why[256] = "", text[ENDPOINT_TEXT_MAX];

	run_init(&d->run, d);
	d->run.on_counts = print_counts;
	d->server = nameserver_new(d->run.loop, &d->run.timers, zone,
	    &d->listen, why, sizeof(why));
	if (d->server == NULL)
		return opt_fail(&table, "%s", why);
	endpoint_format(text, &d->listen);
	run_ready(STDOUT_FILENO, text);
	run_limit(&d->run, d->seconds_us);
	run_go(&d->run);
	if (!d->quiet)
		print_counts(d);
	nameserver_free(d->server);
	run_free(&d->run);
	return SIM_PASS;
}

int
cmd_dns(int argc, char **argv)
{
	static struct dns_cmd d;
	struct zone *zone = NULL;
	char **operands;
	int noperands, rc;

	rc = opt_parse(&table, argc, argv, &d, &operands, &noperands);
	if (rc >= 0)
		return rc;
	if (noperands > 1)
		return opt_fail(&table, "one file only");
	if (!d.has_listen)
		(void)endpoint_parse(SL("127.0.0.1:5353"), 0, &d.listen);
	rc = dns_zone(&d, noperands == 1 ? operands[0] : NULL, &zone);
	if (rc < 0)
		rc = dns_serve(&d, zone);
	world_free(d.world);
	zone_free(d.own);
	return rc;
}

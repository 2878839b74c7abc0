/*
 * daemon/verb_status.c - mtad status, queues and sources: what a running
 * daemon sees, as a table for people or as the JSON it answered.
 */
#include <getopt.h>

#include "control/control.h"
#include "daemon/verb_i.h"
#include "daemon/verbs.h"

#define ROWS_DEFAULT "50"
#define ROWS_MAX "1000"
#define NO_BODY slice_of("", 0)

struct options {
	struct verb_peer peer;
	bool json;
	const char *sort, *rows;
};

static const char where_help[] =
    "  -c FILE    the daemon's configuration (" VERB_CONFIG ")\n"
    "  -H SOCKET  its control socket, instead\n"
    "  --json     the answer as it is\n"
    "  --help     this\n";

/* Reads the options that the three share; -1: go on, else the exit status. */
static int
read_options(int argc, char **argv, const char *shorts, const char *help,
    struct options *o)
{
	static const struct option longs[] = {
		{ "json", no_argument, NULL, 'j' },
		{ "help", no_argument, NULL, 'h' },
		{ "sort", required_argument, NULL, 's' },
		{ 0 },
	};
	int c;

	optind = 1;
	opterr = 0;
	while ((c = getopt_long(argc, argv, shorts, longs, NULL)) != -1) {
		if (c == 'c')
			o->peer.config = optarg;
		else if (c == 'H')
			o->peer.socket = optarg;
		else if (c == 'j')
			o->json = true;
		else if (c == 's')
			o->sort = optarg;
		else if (c == 'n')
			o->rows = optarg;
		else if (c == 'h')
			return printf("%s%s", help, where_help) < 0;
		else
			return verb_wrong_option(argv[0], argv);
	}
	if (optind < argc)
		return verb_usage(argv[0], "too much:", argv[optind]);
	return -1;
}

/* Asks with the sort key and the number of rows, and prints. */
static int
ask_rows(const char *verb, struct options *o, const char *resource,
    void (*show)(const json_t *root))
{
	struct buf path;
	int status;

	buf_init(&path, 1024);
	buf_addz(&path, resource);
	control_query_add(&path, "sort", slice_str(o->sort));
	control_query_add(&path, "n", slice_str(o->rows));
	if (buf_addc(&path, '\0') != 0 || path.failed)
		status = verb_usage(verb, "the options are too long", NULL);
	else
		status = verb_show(&o->peer, path.p, NO_BODY, o->json, show);
	buf_free(&path);
	return status;
}

/* ---- status ----------------------------------------------------------------- */

static void
print_totals(const json_t *t)
{
#define N(key) (unsigned long long)verb_u64(t, key)
	printf("queued      %llu recipients of %llu messages: %llu due, "
	       "%llu deferred, %llu held, %llu in flight\n",
	    N("recipients"), N("messages"), N("due"), N("deferred"), N("held"),
	    N("inflight"));
	printf("since start %llu received, %llu delivered, %llu bounced, "
	       "%llu expired, %llu ended by an operator\n",
	    N("received_total"), N("delivered_total"), N("bounced_total"),
	    N("expired_total"), N("admin_total"));
	printf("attempts    %llu to be repeated\n", N("transient_total"));
	printf("sessions    %llu out; %llu begun, %llu failed\n", N("sessions"),
	    N("sessions_total"), N("sessions_failed_total"));
	printf("known       %llu domains (%llu being looked up), %llu sites, "
	       "%llu queues, %llu paths\n",
	    N("domains"), N("resolving"), N("sites"), N("queues"), N("paths"));
#undef N
}

/* Where nothing comes back there is no such member. */
static void
print_returned(const json_t *r)
{
	if (r != NULL)
		printf("came back   %llu messages: %llu failed, %llu other "
		       "reports, %llu complaints, %llu replies; %llu wait\n",
		    (unsigned long long)verb_u64(r, "messages_total"),
		    (unsigned long long)verb_u64(r, "bounces_total"),
		    (unsigned long long)verb_u64(r, "statuses_total"),
		    (unsigned long long)verb_u64(r, "complaints_total"),
		    (unsigned long long)verb_u64(r, "replies_total"),
		    (unsigned long long)verb_u64(r, "waiting"));
}

static void
show_status(const json_t *root)
{
	char host[300], version[64], time[64], text[24];
	const json_t *uptime = json_object_get(root, "uptime_s");

	text_escape(verb_str(root, "hostname"), host, sizeof(host));
	text_escape(verb_str(root, "version"), version, sizeof(version));
	text_escape(verb_str(root, "time"), time, sizeof(time));
	printf("mtad %s on %s at %s", version, host, time);
	if (json_is_number(uptime))
		printf(", up %s",
		    fmt_duration(text,
			(int64_t)(json_number_value(uptime) * 1e6)));
	if (json_is_true(json_object_get(root, "is_stopping")))
		printf(", stopping");
	if (json_is_true(json_object_get(root, "is_disk_full")))
		printf(", sending nothing: the spool's disk is full");
	printf("\n");
	print_totals(json_object_get(root, "totals"));
	if (verb_u64(root, "sources_suspended") != 0)
		printf(
		    "sources     %llu suspended, none of their proxies being "
		    "well (mtad sources)\n",
		    (unsigned long long)verb_u64(root, "sources_suspended"));
	printf("notices     %llu made, %llu waiting\n",
	    (unsigned long long)verb_u64(root, "notices_total"),
	    (unsigned long long)verb_u64(root, "notices_waiting"));
	print_returned(json_object_get(root, "returned"));
	printf("memory      %s in the engine, room for %llu recipients\n",
	    fmt_bytes(text, verb_u64(root, "engine_bytes")),
	    (unsigned long long)verb_u64(root, "recipients_free"));
}

int
verb_status(int argc, char **argv)
{
	static const char help[] =
	    "usage: mtad status [-c FILE | -H SOCKET] [--json]\n"
	    "What the daemon has to do and has done.\n";
	struct options o = { 0 };
	int status = read_options(argc, argv, "c:H:h", help, &o);

	if (status >= 0)
		return status;
	return verb_show(&o.peer, "/v1/status", NO_BODY, o.json, show_status);
}

/* ---- queues ----------------------------------------------------------------- */

static void
put_rates(struct table *t, const json_t *row)
{
	table_cellf(t, "%.1f", verb_num(row, "rate"));
	table_cellf(t, "%.0f", verb_num(row, "deferral_share") * 100);
	table_count(t, verb_u64(row, "conns"));
}

/* When it will be gone, or the word instead. */
static void
put_eta(struct table *t, const json_t *eta)
{
	if (json_is_number(json_object_get(eta, "at_s")))
		table_seconds(t, eta, "at_s");
	else
		table_cell(t, verb_str(eta, "is"));
}

static void
print_rest(const json_t *root, size_t shown)
{
	uint64_t total = verb_u64(root, "total");

	if (total > shown)
		printf("(%llu more)\n", (unsigned long long)(total - shown));
}

static void
show_queues(const json_t *root)
{
	static const char *const titles[] = { "DOMAIN", "SITE", "POOL",
		"ONLY FROM", "TENANT", "CAMPAIGN", ">DEPTH", ">DUE", ">OUT/S",
		">DEFER%", ">CONNS", ">OLDEST", "WHY", ">FOR", ">ETA" };
	const json_t *rows = json_object_get(root, "queues"), *row;
	struct table t;
	size_t i;

	table_init(&t, titles, ARRAY_LEN(titles));
	json_array_foreach(rows, i, row) {
		table_cell(&t, verb_str(row, "domain"));
		table_cell(&t, verb_str(row, "site"));
		table_cell(&t, verb_str(row, "pool"));
		table_cell(&t, verb_str(row, "pinned_to"));
		table_cell(&t, verb_str(row, "tenant"));
		table_cell(&t, verb_str(row, "campaign"));
		table_count(&t, verb_u64(row, "depth"));
		table_count(&t, verb_u64(row, "due"));
		put_rates(&t, row);
		table_seconds(&t, row, "oldest_s");
		table_cell(&t, verb_str(row, "why"));
		table_seconds(&t, row, "until_s");
		put_eta(&t, json_object_get(row, "eta"));
	}
	table_print(&t);
	print_rest(root, json_array_size(rows));
}

int
verb_queues(int argc, char **argv)
{
	static const char help[] =
	    "usage: mtad queues [-s KEY] [-n N] [-c FILE | -H SOCKET] "
	    "[--json]\n"
	    "The N largest queues (" ROWS_DEFAULT "), what each waits for and "
	    "for how long.\n"
	    "  -s, --sort KEY  depth, due, rate, defer, conns or oldest\n"
	    "  -n N       so many rows\n";
	struct options o = { .sort = "depth", .rows = ROWS_DEFAULT };
	int status = read_options(argc, argv, "c:H:s:n:h", help, &o);

	if (status >= 0)
		return status;
	return ask_rows(argv[0], &o, "/v1/queues", show_queues);
}

/* ---- sources ---------------------------------------------------------------- */

/* Why no connection is opened by it. */
static void
show_reason(const json_t *row)
{
	char name[160], reason[400];

	if (verb_str(row, "reason").n == 0)
		return;
	text_escape(verb_str(row, "source"), name, sizeof(name));
	text_escape(verb_str(row, "reason"), reason, sizeof(reason));
	printf("%s is suspended: %s\n", name, reason);
}

static void
show_sources(const json_t *root)
{
	static const char *const titles[] = { "SOURCE", "ADDRESS", "EHLO",
		">OUT/S", ">DEFER%", ">CONNS", ">PATHS", ">REFUSED",
		">DELIVERED", ">BOUNCED", "WHY", ">FOR" };
	const json_t *rows = json_object_get(root, "sources"), *row;
	struct table t;
	size_t i;

	table_init(&t, titles, ARRAY_LEN(titles));
	json_array_foreach(rows, i, row) {
		table_cell(&t, verb_str(row, "source"));
		table_cell(&t, verb_str(row, "address"));
		table_cell(&t, verb_str(row, "ehlo"));
		put_rates(&t, row);
		table_count(&t, verb_u64(row, "paths"));
		table_count(&t, verb_u64(row, "paths_backoff"));
		table_count(&t, verb_u64(row, "delivered_total"));
		table_count(&t, verb_u64(row, "bounced_total"));
		table_cell(&t, verb_str(row, "why"));
		table_seconds(&t, row, "until_s");
	}
	table_print(&t);
	json_array_foreach(rows, i, row)
		show_reason(row);
	print_rest(root, json_array_size(rows));
}

int
verb_sources(int argc, char **argv)
{
	static const char help[] =
	    "usage: mtad sources [-s KEY] [-n N] [-c FILE | -H SOCKET] "
	    "[--json]\n"
	    "N of the addresses that mail leaves from, and how each is "
	    "doing.\n"
	    "  -s, --sort KEY  order (as configured), rate, defer, conns, "
	    "paths\n"
	    "             or refused\n"
	    "  -n N       so many rows (" ROWS_MAX ")\n";
	struct options o = { .sort = "order", .rows = ROWS_MAX };
	int status = read_options(argc, argv, "c:H:s:n:h", help, &o);

	if (status >= 0)
		return status;
	return ask_rows(argv[0], &o, "/v1/sources", show_sources);
}

/* ---- warm-up ------------------------------------------------------------------ */

static void
put_part(struct table *t, const json_t *row, const char *key)
{
	double n = (double)verb_u64(row, key);
	double of = (double)(verb_u64(row, "delivered") +
	    verb_u64(row, "deferred") + verb_u64(row, "bounced"));

	if (of > 0)
		table_cellf(t, "%.1f", 100 * n / of);
	else
		table_cell(t, SL("-"));
}

/* "advance: because ...", or what is known of it. */
static void
put_verdict(struct table *t, const json_t *row, const char *verdict,
    const char *why)
{
	struct slice v = verb_str(row, verdict), w = verb_str(row, why);

	if (w.n != 0)
		table_cellf(t, "%.*s: %.*s", SLF(v), SLF(w));
	else
		table_cell(t, v);
}

static void
show_warmup(const json_t *root)
{
	static const char *const titles[] = { "SOURCE", "PROVIDER", "PLAN",
		">STAGE", ">SHARE", ">SENT", ">DEFER%", ">BOUNCE%",
		">COMPLAINTS", "UNTIL", "TODAY", "LAST DAY" };
	const json_t *rows = json_object_get(root, "warmup"), *row;
	struct table t;
	size_t i;

	table_init(&t, titles, ARRAY_LEN(titles));
	json_array_foreach(rows, i, row) {
		table_cell(&t, verb_str(row, "source"));
		table_cell(&t, verb_str(row, "provider"));
		table_cell(&t, verb_str(row, "plan"));
		table_cellf(&t, "%llu/%llu",
		    (unsigned long long)verb_u64(row, "stage"),
		    (unsigned long long)verb_u64(row, "stages"));
		table_count(&t, verb_u64(row, "share"));
		table_count(&t, verb_u64(row, "sent"));
		put_part(&t, row, "deferred");
		put_part(&t, row, "bounced");
		table_count(&t, verb_u64(row, "complained"));
		table_cell(&t, verb_str(row, "until"));
		put_verdict(&t, row, "today", "today_because");
		put_verdict(&t, row, "verdict", "because");
	}
	table_print(&t);
}

int
verb_warmup(int argc, char **argv)
{
	static const char help[] =
	    "usage: mtad warmup [-c FILE | -H SOCKET] [--json]\n"
	    "Young sources at each provider: the stage of the plan, the day's "
	    "share and\nwhat was sent, what today would come to if it ended "
	    "now, and what the last\nsending day came to.\n";
	struct options o = { .sort = "" };
	int status = read_options(argc, argv, "c:H:h", help, &o);

	if (status >= 0)
		return status;
	return verb_show(&o.peer, "/v1/warmup", NO_BODY, o.json, show_warmup);
}

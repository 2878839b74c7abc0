/*
 * daemon/verb_explain.c - mtad explain WHAT NAME: the gates that mail stands
 * before, each open or shut, until when, and because of what. One table holds
 * what can be explained; each kind takes its command line from its own name on.
 */
#include <getopt.h>

#include "control/control.h"
#include "daemon/verb_i.h"
#include "daemon/verbs.h"

#define NO_BODY slice_of("", 0)
#define PATH_BYTES_MAX 4096

struct options {
	struct verb_peer peer;
	const char *name, *cursor;
	bool json;
};

static int explain_ask(int argc, char **argv);
static void show_message(const json_t *root);
static void show_domain(const json_t *root);
static void show_source(const json_t *root);

static const struct kind {
	const char *name, *arg, *help;
	int (*run)(int argc, char **argv);
	void (*show)(const json_t *root);
} kinds[] = {
	{ "message", "ID", "the gates before each recipient of a message",
	    explain_ask, show_message },
	{ "recipient", "ADDRESS", "the same of the messages to an address",
	    explain_ask, show_message },
	{ "domain", "NAME", "look-up, hosts and queues of a domain",
	    explain_ask, show_domain },
	{ "source", "NAME", "where a source may send now, and where not",
	    explain_ask, show_source },
	{ "path", "DOMAIN [SOURCE]",
	    "its limits by the configuration, and who says so",
	    verb_explain_path, NULL },
};

static const struct kind *
find_kind(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		if (strcmp(kinds[i].name, name) == 0)
			return &kinds[i];
	return NULL;
}

static int
print_help(void)
{
	printf("usage: mtad explain WHAT NAME [OPTION ...]\n"
	       "Why mail waits: each gate before it, open or shut, until when "
	       "and because of what.\n\n");
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		printf("  %-9s %-15s %s\n", kinds[i].name, kinds[i].arg,
		    kinds[i].help);
	printf("\n"
	       "  --cursor C  go on where an answer ended\n"
	       "  -c FILE     the daemon's configuration (" VERB_CONFIG ")\n"
	       "  -H SOCKET   its control socket, instead\n"
	       "  --json      the answer as it is\n"
	       "  --help      this\n");
	return VERB_OK;
}

int
verb_explain(int argc, char **argv)
{
	const struct kind *k = argc > 1 ? find_kind(argv[1]) : NULL;
	int status;

	if (argc > 1 &&
	    (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0))
		return print_help();
	if (argc > 1 && k == NULL)
		return verb_usage("explain", "no such kind:", argv[1]);
	if (k == NULL)
		return verb_usage("explain", "explain what?", NULL);
	status = k->run(argc - 1, argv + 1);
	return fflush(stdout) != 0 ? VERB_FAILED : status;
}

/* ---- asking ------------------------------------------------------------------- */

/* -1: go on; else the exit status. */
static int
read_options(int argc, char **argv, struct options *o)
{
	static const struct option longs[] = {
		{ "json", no_argument, NULL, 'j' },
		{ "cursor", required_argument, NULL, 'C' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	int c;

	optind = 1;
	opterr = 0;
	while ((c = getopt_long(argc, argv, "c:H:h", longs, NULL)) != -1) {
		if (c == 'c')
			o->peer.config = optarg;
		else if (c == 'H')
			o->peer.socket = optarg;
		else if (c == 'C')
			o->cursor = optarg;
		else if (c == 'j')
			o->json = true;
		else if (c == 'h')
			return print_help();
		else
			return verb_wrong_option("explain", argv);
	}
	if (optind == argc)
		return verb_usage("explain", "which one?", NULL);
	o->name = argv[optind++];
	if (optind < argc)
		return verb_usage("explain", "too much:", argv[optind]);
	return -1;
}

static int
explain_ask(int argc, char **argv)
{
	const struct kind *k = find_kind(argv[0]);
	struct options o = { 0 };
	struct buf path;
	int status = read_options(argc, argv, &o);

	if (status >= 0)
		return status;
	buf_init(&path, PATH_BYTES_MAX);
	buf_addz(&path, "/v1/explain");
	control_query_add(&path, "what", slice_str(k->name));
	control_query_add(&path, "name", slice_str(o.name));
	if (o.cursor)
		control_query_add(&path, "cursor", slice_str(o.cursor));
	buf_addc(&path, '\0');
	if (path.failed) {
		buf_free(&path);
		return verb_usage("explain", "too long a name", NULL);
	}
	status = verb_show(&o.peer, path.p, NO_BODY, o.json, k->show);
	buf_free(&path);
	return status;
}

/* ---- for people ----------------------------------------------------------------- */

static void
print_text(const json_t *o, const char *key)
{
	char text[512];

	text_escape(verb_str(o, key), text, sizeof(text));
	fputs(text, stdout);
}

/* With words before it; nothing when it is empty. */
static void
print_part(const json_t *o, const char *lead, const char *key)
{
	if (verb_str(o, key).n == 0)
		return;
	fputs(lead, stdout);
	print_text(o, key);
}

/* "3m 20s"; nothing when it is not there. */
static bool
duration_of(const json_t *o, const char *key, char text[24])
{
	const json_t *v = json_object_get(o, key);
	double s = json_number_value(v);

	if (!json_is_number(v) || s < 0 || s > 1e12)
		return false;
	fmt_duration(text, (int64_t)(s * 1e6));
	return true;
}

/* ", by rule R (file:line), id 3: 421 4.7.0 words"; its length. */
static size_t
put_reaction(const json_t *r, char *dst, size_t cap)
{
	char rule[80], file[160], words[100];
	const json_t *reply = json_object_get(r, "reply");

	text_escape(verb_str(r, "rule"), rule, sizeof(rule));
	text_escape(verb_str(r, "file"), file, sizeof(file));
	text_escape(verb_str(reply, "text"), words, sizeof(words));
	return (size_t)snprintf(dst, cap,
	    ", by rule %s (%s:%llu), reaction %llu: %llu %s", rule, file,
	    (unsigned long long)verb_u64(r, "line"),
	    (unsigned long long)verb_u64(r, "id"),
	    (unsigned long long)verb_u64(reply, "code"), words);
}

/* What shut a path: the reply, and the rule that judged it. */
static size_t
put_refusal(const json_t *r, char *dst, size_t cap)
{
	char code[16] = "", words[220], rule[160];
	size_t n;

	if (verb_u64(r, "code") != 0)
		snprintf(code, sizeof(code), "%llu ",
		    (unsigned long long)verb_u64(r, "code") % 1000);
	text_escape(verb_str(r, "text"), words, sizeof(words));
	n = (size_t)snprintf(dst, cap, ", for: %s%.*s%s%s at %.*s", code,
	    SLF(verb_str(r, "enhanced")),
	    verb_str(r, "enhanced").n != 0 ? " " : "", words,
	    SLF(verb_str(r, "stage")));
	if (verb_str(r, "rule").n == 0 || n >= cap)
		return n;
	text_escape(verb_str(r, "rule"), rule, sizeof(rule));
	return n +
	    (size_t)snprintf(dst + n, cap - n, ", judged %.*s by %s",
		SLF(verb_str(r, "kind")), rule);
}

static void
put_because(struct table *t, const json_t *gate)
{
	char text[1000], part[200], span[24];
	size_t n = 0;

	text[0] = '\0';
	if (json_is_string(json_object_get(gate, "why")))
		n += (size_t)snprintf(text, sizeof(text), "%.*s",
		    (int)MIN(verb_str(gate, "why").n, 60u),
		    verb_str(gate, "why").p);
	if (verb_u64(gate, "sources") != 0)
		n += (size_t)snprintf(text + n, sizeof(text) - n,
		    "%s%llu of %llu sources pass", n ? ": " : "",
		    (unsigned long long)verb_u64(gate, "sources_open"),
		    (unsigned long long)verb_u64(gate, "sources"));
	for (int k = 0; k < 3 && n < sizeof(text); k++) {
		static const char *const keys[] = { "limit", "source", "host" };
		const char *key = keys[k];

		if (verb_str(gate, key).n == 0)
			continue;
		text_escape(verb_str(gate, key), part, sizeof(part));
		n += (size_t)snprintf(text + n, sizeof(text) - n, ", %s %s",
		    key, part);
	}
	if (n < sizeof(text) && json_object_get(gate, "reaction"))
		n += put_reaction(json_object_get(gate, "reaction"), text + n,
		    sizeof(text) - n);
	if (n < sizeof(text) && duration_of(gate, "since_s", span))
		n += (size_t)snprintf(text + n, sizeof(text) - n,
		    ", since %s ago", span);
	if (n < sizeof(text) && json_object_get(gate, "reply"))
		n += put_refusal(json_object_get(gate, "reply"), text + n,
		    sizeof(text) - n);
	if (n < sizeof(text) && verb_u64(gate, "ahead") != 0)
		n += (size_t)snprintf(text + n, sizeof(text) - n,
		    "%s%llu before it in line", n ? ", " : "",
		    (unsigned long long)verb_u64(gate, "ahead"));
	if (n < sizeof(text) && verb_u64(gate, "queues") != 0)
		snprintf(text + n, sizeof(text) - n,
		    "%sone of %llu queues that take turns", n ? ", " : "",
		    (unsigned long long)verb_u64(gate, "queues"));
	table_cell(t, slice_str(text));
}

static void
show_gates(const json_t *row)
{
	static const char *const titles[] = { "  GATE", "STATE", ">FOR",
		"BECAUSE" };
	const json_t *gates = json_object_get(row, "gates"), *gate;
	struct table t;
	size_t i;

	table_init(&t, titles, ARRAY_LEN(titles));
	json_array_foreach(gates, i, gate) {
		table_cellf(&t, "  %.*s", SLF(verb_str(gate, "gate")));
		table_cell(&t, verb_str(gate, "state"));
		table_seconds(&t, gate, "until_s");
		put_because(&t, gate);
	}
	table_print(&t);
}

/* "Shut by retry; next attempt in 9m 3s." */
static void
show_verdict(const json_t *row)
{
	char span[24];

	if (verb_str(row, "shut_by").n == 0) {
		printf("  Nothing is shut: it goes when its turn comes.\n");
		return;
	}
	printf("  Shut by ");
	print_text(row, "shut_by");
	if (duration_of(row, "next_s", span))
		printf("; next attempt in %s", span);
	else
		printf("; the next attempt waits for something to happen");
	printf(".\n");
}

/* "Gone in 12m (10m to 15m)." */
static void
show_eta(const json_t *row, const char *what)
{
	const json_t *eta = json_object_get(row, "eta");
	char low[24], at[24], high[24];

	if (slice_eq(verb_str(eta, "is"), SL("grows")))
		printf("  It grows: more comes than leaves.\n");
	if (slice_eq(verb_str(eta, "is"), SL("unknown"))) {
		printf("  Nobody can tell when it is %s (", what);
		print_text(eta, "why");
		printf(").\n");
	}
	if (duration_of(eta, "low_s", low) && duration_of(eta, "at_s", at) &&
	    duration_of(eta, "high_s", high))
		printf("  Expected to be %s in %s (%s to %s).\n", what, at, low,
		    high);
}

static void
show_last(const json_t *row)
{
	const json_t *last = json_object_get(row, "last");

	if (!json_is_object(last))
		return;
	printf("  Last reply %llu ",
	    (unsigned long long)verb_u64(last, "code"));
	print_text(last, "enhanced");
	printf(" at ");
	print_text(last, "stage");
	printf(", after %llu attempts.\n",
	    (unsigned long long)verb_u64(row, "attempts"));
}

static void
show_more(const json_t *root)
{
	if (json_is_integer(json_object_get(root, "cursor")))
		printf("(more: --cursor %llu)\n",
		    (unsigned long long)verb_u64(root, "cursor"));
}

static void
show_head(const json_t *root)
{
	if (verb_str(root, "id").n == 0) {
		printf("messages to <");
		print_text(root, "address");
		printf(">: %zu\n",
		    json_array_size(json_object_get(root, "recipients")));
		return;
	}
	printf("message ");
	print_text(root, "id");
	if (json_is_string(json_object_get(root, "sender"))) {
		printf(" from <");
		print_text(root, "sender");
		printf(">");
	}
	printf("\n");
}

/* What the event log has of it. */
static void
show_events(const json_t *root)
{
	static const char *const titles[] = { "TIME", "EVENT", "RECIPIENT",
		"SOURCE", "HOST", ">CODE", "TEXT" };
	const json_t *events = json_object_get(root, "events"), *row;
	struct table t;
	size_t i;

	if (json_array_size(events) == 0)
		return;
	printf("\n");
	table_init(&t, titles, ARRAY_LEN(titles));
	json_array_foreach(events, i, row) {
		table_cell(&t, verb_str(row, "time"));
		table_cell(&t, verb_str(row, "type"));
		table_cell(&t, verb_str(row, "recipient"));
		table_cell(&t, verb_str(row, "source"));
		table_cell(&t, verb_str(row, "mx"));
		table_count(&t, verb_u64(row, "code"));
		table_cell(&t, verb_str(row, "text"));
	}
	table_print(&t);
}

static void
show_message(const json_t *root)
{
	const json_t *row;
	size_t i;

	show_head(root);
	json_array_foreach(json_object_get(root, "recipients"), i, row) {
		printf("\n");
		if (verb_str(root, "id").n == 0) {
			print_text(row, "id");
			printf(" ");
		}
		printf("to <");
		print_text(row, "address");
		printf("> ");
		if (slice_eq(verb_str(row, "state"), SL("done"))) {
			printf("is done\n");
			continue;
		}
		printf("by ");
		print_text(row, "site");
		printf("\n");
		show_verdict(row);
		show_eta(row, "delivered");
		show_last(row);
		show_gates(row);
	}
	show_events(root);
	show_more(root);
}

static void
show_hosts(const json_t *root)
{
	static const char *const titles[] = { "HOST", "ADDRESS", ">PREF",
		"STATE", ">FAILURES", ">SINCE", ">FOR" };
	const json_t *row;
	struct table t;
	size_t i;

	table_init(&t, titles, ARRAY_LEN(titles));
	json_array_foreach(json_object_get(root, "hosts"), i, row) {
		table_cell(&t, verb_str(row, "host"));
		table_cell(&t, verb_str(row, "address"));
		table_count(&t, verb_u64(row, "preference"));
		table_cell(&t, verb_str(row, "state"));
		table_count(&t, verb_u64(row, "failures"));
		table_seconds(&t, row, "since_s");
		table_seconds(&t, row, "until_s");
	}
	table_print(&t);
}

/* "Rate: 50.0/s declared, 20.0/s open now, 18.3/s measured." */
static void
show_rates(const json_t *row)
{
	static const char *const keys[] = { "declared", "open", "connections",
		"measured" };
	const json_t *rates = json_object_get(row, "rates");
	const char *comma = "  Rate: ";

	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		if (!json_is_number(json_object_get(rates, keys[i])))
			continue;
		printf("%s%.1f/s %s", comma, verb_num(rates, keys[i]), keys[i]);
		comma = ", ";
	}
	if (json_is_true(json_object_get(rates, "is_unreachable")))
		printf("; its connections do not carry the declared rate");
	printf(".\n");
}

/* "Mail like it has waited at: rate 80 %, connection 20 %." */
static void
show_blocked(const json_t *row)
{
	const json_t *all = json_object_get(row, "blocked"), *one;
	const char *comma = "  Mail to such destinations has waited at ";
	size_t i;

	json_array_foreach(all, i, one) {
		if (verb_num(one, "share") < 0.005)
			continue;
		fputs(comma, stdout);
		print_text(one, "why");
		printf(" %.0f %%", 100 * verb_num(one, "share"));
		comma = ", ";
	}
	if (json_array_size(all) != 0)
		printf(".\n");
}

/* "Age of its mail: up to 5m 12, 15m 3; older 1; not known of 7." */
static void
show_ages(const json_t *row)
{
	const json_t *all = json_object_get(row, "ages"), *one;
	uint64_t unknown = verb_u64(row, "ages_unknown"), n;
	const char *before = "  Age of its mail: up to ";
	bool is_told = false;
	char text[24];
	size_t i;

	json_array_foreach(all, i, one) {
		n = verb_u64(one, "recipients");
		if (n == 0)
			continue;
		if (json_is_null(json_object_get(one, "up_to_s")))
			printf("%s",
			    is_told ? "; older" : "  Age of its mail: older");
		else
			printf("%s%s", before,
			    fmt_duration(text,
				(int64_t)verb_u64(one, "up_to_s") * US_PER_S));
		printf(" %llu", (unsigned long long)n);
		before = ", ";
		is_told = true;
	}
	if (is_told && unknown != 0)
		printf("; not known of %llu", (unsigned long long)unknown);
	if (is_told)
		printf(".\n");
}

static void
put_sources(struct table *t, const json_t *reply)
{
	const json_t *all = json_object_get(reply, "sources"), *one;
	char text[300] = "";
	size_t i, n = 0;

	json_array_foreach(all, i, one) {
		if (n < sizeof(text))
			n += (size_t)snprintf(text + n, sizeof(text) - n,
			    "%s%s", n ? " " : "", json_string_value(one));
	}
	if (n + 4 < sizeof(text) &&
	    json_is_true(json_object_get(reply, "has_more_sources")))
		snprintf(text + n, sizeof(text) - n, " ...");
	table_cell(t, slice_str(text));
}

static void
show_replies(const json_t *row)
{
	static const char *const titles[] = { "  TIMES", ">CODE", "STAGE",
		">LAST", "SOURCES", "REPLY" };
	const json_t *all = json_object_get(row, "replies"), *one;
	struct table t;
	size_t i;

	if (json_array_size(all) == 0)
		return;
	table_init(&t, titles, ARRAY_LEN(titles));
	json_array_foreach(all, i, one) {
		table_cellf(&t, "  %llu",
		    (unsigned long long)verb_u64(one, "count"));
		table_count(&t, verb_u64(one, "code"));
		table_cell(&t, verb_str(one, "stage"));
		table_seconds(&t, one, "last_s");
		put_sources(&t, one);
		table_cell(&t, verb_str(one, "text"));
	}
	table_print(&t);
}

static void
show_domain(const json_t *root)
{
	const json_t *row;
	char span[24];
	size_t i;

	printf("domain ");
	print_text(root, "domain");
	printf(": %llu recipients, look-up ",
	    (unsigned long long)verb_u64(root, "recipients"));
	print_text(root, "dns");
	if (duration_of(root, "dns_retry_s", span))
		printf(", again in %s", span);
	printf(", %llu connections\n",
	    (unsigned long long)verb_u64(root, "conns"));
	show_hosts(root);
	json_array_foreach(json_object_get(root, "queues"), i, row) {
		printf("\nqueue of ");
		print_text(row, "domain");
		print_part(row, ", pool ", "pool");
		print_part(row, ", tenant ", "tenant");
		print_part(row, ", campaign ", "campaign");
		print_part(row, ", only from ", "pinned_to");
		printf(": %llu due, %llu deferred, %llu in flight, %.1f/s\n",
		    (unsigned long long)verb_u64(row, "due"),
		    (unsigned long long)verb_u64(row, "deferred"),
		    (unsigned long long)verb_u64(row, "inflight"),
		    verb_num(row, "rate"));
		show_verdict(row);
		show_eta(row, "gone");
		show_rates(row);
		show_blocked(row);
		show_ages(row);
		show_gates(row);
		show_replies(row);
	}
	show_more(root);
}

static void
show_proxies(const json_t *root)
{
	static const char *const titles[] = { "PROXY", "ADDRESS", "STATE",
		">SINCE", ">FOR", ">CONNECTIONS", ">FAILURES", "WHY" };
	const json_t *rows = json_object_get(root, "proxies"), *row;
	struct table t;
	size_t i;

	if (json_array_size(rows) == 0)
		return;
	table_init(&t, titles, ARRAY_LEN(titles));
	json_array_foreach(rows, i, row) {
		table_cell(&t, verb_str(row, "proxy"));
		table_cell(&t, verb_str(row, "address"));
		table_cell(&t,
		    json_is_true(json_object_get(row, "is_well")) ? SL("well") :
								    SL("away"));
		table_seconds(&t, row, "since_s");
		table_seconds(&t, row, "next_s");
		table_count(&t, verb_u64(row, "connections_total"));
		table_count(&t, verb_u64(row, "failures_total"));
		table_cell(&t, verb_str(row, "why"));
	}
	table_print(&t);
}

static void
show_source(const json_t *root)
{
	static const char *const titles[] = { "SITE", "STATE", "WHY", ">SINCE",
		">FOR", ">CONNS", ">INFLIGHT", ">REFUSALS", ">WAITING" };
	const json_t *row;
	struct table t;
	size_t i;

	printf("source ");
	print_text(root, "source");
	printf(" ");
	print_text(root, "address");
	printf(": %llu connections, %.1f/s, %llu sites\n",
	    (unsigned long long)verb_u64(root, "conns"), verb_num(root, "rate"),
	    (unsigned long long)verb_u64(root, "paths"));
	if (verb_str(root, "reason").n != 0) {
		printf("suspended: ");
		print_text(root, "reason");
		printf("\n");
	}
	show_proxies(root);
	table_init(&t, titles, ARRAY_LEN(titles));
	json_array_foreach(json_object_get(root, "sites"), i, row) {
		table_cell(&t, verb_str(row, "site"));
		table_cell(&t, verb_str(row, "state"));
		table_cell(&t, verb_str(row, "why"));
		table_seconds(&t, row, "since_s");
		table_seconds(&t, row, "until_s");
		table_count(&t, verb_u64(row, "conns"));
		table_count(&t, verb_u64(row, "inflight"));
		table_count(&t, verb_u64(row, "refusals"));
		table_count(&t, verb_u64(row, "waiting"));
	}
	table_print(&t);
	show_more(root);
}

/*
 * daemon/verb_reactions.c - mtad reactions and mtad end: what rules have made of
 * refusals and still holds, and the end of one.
 */
#include <getopt.h>

#include "control/control.h"
#include "daemon/verb_i.h"
#include "daemon/verbs.h"

#define PAGE_MAX "1000"

struct options {
	struct verb_peer peer;
	const char *reason;
	bool json;
};

static const char where_help[] =
    "  -c FILE        the daemon's configuration (" VERB_CONFIG ")\n"
    "  -H SOCKET      its control socket, instead\n"
    "  --json         the answer as it is\n"
    "  --help         this\n";

/* -1: go on with the arguments from optind on; else the exit status. */
static int
read_options(int argc, char **argv, const char *help, struct options *o)
{
	static const struct option longs[] = {
		{ "json", no_argument, NULL, 'j' },
		{ "reason", required_argument, NULL, 'R' },
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
		else if (c == 'j')
			o->json = true;
		else if (c == 'R')
			o->reason = optarg;
		else if (c == 'h')
			return printf("%s%s", help, where_help) < 0;
		else
			return verb_wrong_option(argv[0], argv);
	}
	return -1;
}

/* ---- reactions -------------------------------------------------------------------- */

/* "source a, site mx.example"; "node" for all. */
static void
put_target(struct table *t, const json_t *row)
{
	json_t *target = json_object_get(row, "target"), *value;
	const char *key;
	char text[300] = "";
	size_t n = 0;

	json_object_foreach(target, key, value) {
		char part[100];

		text_escape(verb_str(target, key), part, sizeof(part));
		n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%s %s",
		    n ? ", " : "", key, part);
		if (n >= sizeof(text))
			break;
	}
	table_cell(t, n ? slice_str(text) : SL("node"));
}

static void
put_reply(struct table *t, const json_t *row)
{
	const json_t *reply = json_object_get(row, "reply");
	struct slice enh = verb_str(reply, "enhanced");
	char words[120];

	text_escape(verb_str(reply, "text"), words, sizeof(words));
	table_cellf(t, "%llu%s%.*s %s",
	    (unsigned long long)verb_u64(reply, "code"), enh.n ? " " : "",
	    SLF(enh), words);
}

static void
show(const json_t *root)
{
	static const char *const titles[] = { ">ID", "TARGET", "ACTION", ">FOR",
		">SINCE", ">REPLIES", "RULE", "WHERE", "FIRST REPLY" };
	const json_t *rows = json_object_get(root, "reactions"), *row;
	uint64_t total = verb_u64(root, "total");
	struct table t;
	size_t i;

	table_init(&t, titles, ARRAY_LEN(titles));
	json_array_foreach(rows, i, row) {
		table_count(&t, verb_u64(row, "id"));
		put_target(&t, row);
		table_cell(&t, verb_str(row, "action"));
		table_seconds(&t, row, "until_s");
		table_seconds(&t, row, "first_s");
		table_count(&t, verb_u64(row, "count"));
		table_cell(&t, verb_str(row, "rule"));
		table_cellf(&t, "%.*s:%llu", SLF(verb_str(row, "file")),
		    (unsigned long long)verb_u64(row, "line"));
		put_reply(&t, row);
	}
	table_print(&t);
	if (total > json_array_size(rows))
		printf("(%llu more)\n",
		    (unsigned long long)(total - json_array_size(rows)));
}

int
verb_reactions(int argc, char **argv)
{
	static const char help[] =
	    "usage: mtad reactions [-c FILE | -H SOCKET] [--json]\n"
	    "What rules have made of refusals and still holds: for what, for "
	    "how long, and\nbecause of which rule and which reply.\n";
	struct options o = { 0 };
	int status = read_options(argc, argv, help, &o);

	if (status >= 0)
		return status;
	if (optind < argc)
		return verb_usage(argv[0], "too much:", argv[optind]);
	return verb_show(&o.peer, "/v1/reactions?n=" PAGE_MAX, slice_of("", 0),
	    o.json, show);
}

/* ---- end ---------------------------------------------------------------------------- */

static void
show_end(const json_t *root)
{
	printf("It is over; %llu hold\n",
	    (unsigned long long)verb_u64(root, "total"));
}

int
verb_end(int argc, char **argv)
{
	static const char help[] =
	    "usage: mtad end ID [--reason TEXT] [-c FILE | -H SOCKET] "
	    "[--json]\n"
	    "Ends a reaction of that number (see mtad reactions) at once.\n"
	    "  --reason TEXT  for the event log\n";
	struct options o = { 0 };
	struct jsonw w;
	struct buf body;
	uint64_t id;
	int status = read_options(argc, argv, help, &o);

	if (status >= 0)
		return status;
	if (optind + 1 != argc)
		return verb_usage(argv[0], "expected one number", NULL);
	if (slice_u64(slice_str(argv[optind]), UINT32_MAX, &id) != 0)
		return verb_usage(argv[0], "no number:", argv[optind]);
	buf_init(&body, 4096);
	jw_init(&w, &body);
	jw_open(&w, '{');
	jw_kstr(&w, "id", slice_str(argv[optind]));
	if (o.reason != NULL)
		jw_kstr(&w, "reason", slice_str(o.reason));
	jw_close(&w, '}');
	status = body.failed ?
	    verb_usage(argv[0], "the reason is too long", NULL) :
	    verb_show(&o.peer, "/v1/end", buf_slice(&body), o.json, show_end);
	buf_free(&body);
	return status;
}

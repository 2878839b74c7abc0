/*
 * daemon/verb_limits.c - mtad limits: how far the limits on tuples are used, who
 * waits for them, and what that has cost.
 */
#include <getopt.h>

#include "control/control.h"
#include "daemon/verb_i.h"
#include "daemon/verbs.h"

#define LIMIT_DEFAULT 100
#define PAGE_MAX 1000u
#define QUERY_MAX 4096
#define NO_BODY slice_of("", 0)

struct options {
	struct verb_peer peer;
	const char *filter;
	bool json;
	uint64_t limit; /* rows */
};

static const char help[] =
    "usage: mtad limits [FILTER] [OPTION ...]\n"
    "The limits of `limit:` and of providers, and their tuples that have used\n"
    "something: how much of how much, who waits, until when, and what waiting\n"
    "has cost since the limits were read.\n\n"
    "  FILTER       only what has this in the limit's name or in a value\n"
    "  --limit N    tuples (100)\n"
    "  -c FILE      the daemon's configuration (" VERB_CONFIG ")\n"
    "  -H SOCKET    its control socket, instead\n"
    "  --json       the answer as it is\n";

static int
take_options(int argc, char **argv, struct options *o)
{
	static const struct option longs[] = {
		{ "limit", required_argument, NULL, 'L' },
		{ "json", no_argument, NULL, 'j' },
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
		else if (c == 'h')
			return printf("%s", help) < 0;
		else if (c != 'L')
			return verb_wrong_option(argv[0], argv);
		else if (slice_u64(slice_str(optarg), UINT32_MAX, &o->limit) ||
		    o->limit == 0)
			return verb_usage(argv[0],
			    "--limit wants a number from 1, got", optarg);
	}
	if (optind < argc)
		o->filter = argv[optind++];
	if (optind < argc)
		return verb_usage(argv[0], "too much:", argv[optind]);
	return -1;
}

/* ---- tables ----------------------------------------------------------------------- */

/* "source a, provider gmail"; "all" where all counts together. */
static void
put_tuple(struct table *t, const json_t *row)
{
	json_t *tuple = json_object_get(row, "tuple"), *v;
	const char *key;
	struct buf b;

	buf_init(&b, 8192);
	json_object_foreach(tuple, key, v)
		buf_addf(&b, "%s%s %s", b.n ? ", " : "", key,
		    json_string_value(v));
	table_cell(t, b.n ? buf_slice(&b) : SL("all"));
	buf_free(&b);
}

static void
put_used(struct table *t, const json_t *row)
{
	static const char *const counts[][2] = {
		{ "connections", "connections" },
		{ "connection_rate", "opened" },
		{ "rate", "messages" },
		{ "recipient_rate", "recipients" },
		{ "byte_rate", "bytes" },
		{ "quota", "quota" },
	};
	struct buf b;

	buf_init(&b, 1024);
	for (size_t i = 0; i < ARRAY_LEN(counts); i++) {
		const json_t *c = json_object_get(row, counts[i][0]);

		if (c != NULL)
			buf_addf(&b, "%s%s %llu/%llu", b.n ? ", " : "",
			    counts[i][1],
			    (unsigned long long)verb_u64(c, "now"),
			    (unsigned long long)verb_u64(c, "most"));
	}
	table_cell(t, buf_slice(&b));
	buf_free(&b);
}

static void
show_sums(const json_t *root)
{
	static const char *const titles[] = { "LIMIT", ">WAITING", ">REFUSED",
		">PATHS BLOCKED", ">RECIPIENTS BLOCKED" };
	const json_t *row;
	struct table t;
	size_t i;

	table_init(&t, titles, ARRAY_LEN(titles));
	json_array_foreach(json_object_get(root, "limits"), i, row) {
		table_cell(&t, verb_str(row, "limit"));
		table_count(&t, verb_u64(row, "waiting"));
		table_count(&t, verb_u64(row, "refusals"));
		table_seconds(&t, row, "blocked_path_s");
		table_seconds(&t, row, "blocked_recipient_s");
	}
	table_print(&t);
}

static void
show(const json_t *root)
{
	static const char *const titles[] = { "LIMIT", "TUPLE", "USED",
		">WAITING", "STATE", ">FOR", ">REFUSED", ">PATHS BLOCKED" };
	const json_t *rows = json_object_get(root, "tuples"), *row;
	struct table t;
	size_t i;

	if (json_array_size(json_object_get(root, "limits")) != 0) {
		show_sums(root);
		putchar('\n');
	}
	table_init(&t, titles, ARRAY_LEN(titles));
	json_array_foreach(rows, i, row) {
		table_cell(&t, verb_str(row, "limit"));
		put_tuple(&t, row);
		put_used(&t, row);
		table_count(&t, verb_u64(row, "waiting"));
		table_cell(&t,
		    json_is_true(json_object_get(row, "is_shut")) ? SL("shut") :
								    SL("open"));
		table_seconds(&t, row, "until_s");
		table_count(&t, verb_u64(row, "refusals"));
		table_seconds(&t, row, "blocked_path_s");
	}
	table_print(&t);
	if (json_is_integer(json_object_get(root, "cursor")))
		printf("(there is more: raise --limit, or give a filter)\n");
}

/* ---- asking ------------------------------------------------------------------------- */

/* Adds the next page to *all (NULL before the first). */
static int
ask_page(struct options *o, json_t **all)
{
	json_t *rows = json_object_get(*all, "tuples"), *root;
	uint64_t want = MIN(o->limit - json_array_size(rows), PAGE_MAX);
	uint64_t cursor = verb_u64(*all, "cursor");
	struct buf path, answer;
	char text[24];
	int status;

	buf_init(&path, QUERY_MAX);
	buf_addz(&path, "/v1/limits");
	control_query_add(&path, "n", slice_of(text, fmt_u64(text, want)));
	if (o->filter != NULL)
		control_query_add(&path, "name", slice_str(o->filter));
	if (cursor != 0)
		control_query_add(&path, "cursor",
		    slice_of(text, fmt_u64(text, cursor)));
	buf_addc(&path, '\0');
	if (path.failed) {
		buf_free(&path);
		return verb_usage("limits", "too long a filter", NULL);
	}
	status = verb_ask_json(&o->peer, path.p, NO_BODY, &answer, &root);
	buf_free(&path);
	buf_free(&answer);
	if (status != VERB_OK)
		return status;
	if (*all == NULL) {
		*all = root;
		return VERB_OK;
	}
	json_array_extend(rows, json_object_get(root, "tuples"));
	json_object_set(*all, "cursor", json_object_get(root, "cursor"));
	json_decref(root);
	return VERB_OK;
}

int
verb_limits(int argc, char **argv)
{
	struct options o = { .limit = LIMIT_DEFAULT };
	int status = take_options(argc, argv, &o);
	json_t *all = NULL;

	if (status >= 0)
		return status;
	status = verb_find(&o.peer);
	if (status != VERB_OK)
		return status;
	do {
		status = ask_page(&o, &all);
	} while (status == VERB_OK && verb_u64(all, "cursor") != 0 &&
	    json_array_size(json_object_get(all, "tuples")) < o.limit);
	if (status == VERB_OK && o.json) {
		json_dumpf(all, stdout, JSON_COMPACT | JSON_REAL_PRECISION(15));
		putchar('\n');
	} else if (status == VERB_OK) {
		show(all);
	}
	json_decref(all);
	return fflush(stdout) != 0 ? VERB_FAILED : status;
}

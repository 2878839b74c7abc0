/*
 * daemon/verb_messages.c - list, show, hold, release, retry, bounce, delete:
 * the verbs on queued mail. One table holds what they differ in.
 *
 * What is meant is said by selectors, all of which must match. A verb that
 * changes something and is given no selector wants --all: nobody bounces a
 * whole spool by forgetting a word.
 */
#include <getopt.h>

#include "control/control.h"
#include "daemon/verb_i.h"
#include "daemon/verbs.h"
#include "mail/mail.h"

#define LIMIT_DEFAULT 100
#define PAGE_MAX 1000u
#define PATH_MAX_BYTES 4096
#define NO_BODY slice_of("", 0)

enum work { WORK_LIST, WORK_SHOW, WORK_ACT };

struct verb {
	const char *name;
	enum work work;
	const char *done, *would; /* behind "N recipients" */
	const char *help;
};

static const struct verb verbs[] = {
	{ "list", WORK_LIST, NULL, NULL,
	    "Queued recipients, and why each of them waits." },
	{ "show", WORK_SHOW, NULL, NULL,
	    "One message: its envelope and its recipients." },
	{ "hold", WORK_ACT, "held", "would be held",
	    "Keep mail in the queue until it is released." },
	{ "release", WORK_ACT, "released", "would be released",
	    "Let held mail go." },
	{ "retry", WORK_ACT, "due now", "would be due now",
	    "Try now what waits for its next attempt." },
	{ "bounce", WORK_ACT, "bounced", "would be bounced",
	    "Give up on mail and tell its senders." },
	{ "delete", WORK_ACT, "deleted", "would be deleted",
	    "Give up on mail and tell nobody." },
};

/* The selectors: option and parameter have one name. */
enum { SEL_ID, SEL_DOMAIN, SEL_TENANT, SEL_CAMPAIGN, SEL_POOL, SEL_AGE, SEL_N };
static const char *const selectors[SEL_N] = { "id", "domain", "tenant",
	"campaign", "pool", "older_than" };

struct options {
	const struct verb *verb;
	struct verb_peer peer;
	const char *sel[SEL_N];
	const char *reason;
	bool json, all, dry_run;
	uint64_t limit;
};

/* ---- the command line -------------------------------------------------------- */

static const struct verb *
find_verb(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(verbs); i++)
		if (strcmp(verbs[i].name, name) == 0)
			return &verbs[i];
	return NULL;
}

static void
print_selectors(void)
{
	printf("Which mail; all that is given must match:\n"
	       "  ID, --id ID        one message\n"
	       "  --domain NAME      recipients' domain\n"
	       "  --tenant NAME, --campaign NAME, --pool NAME\n"
	       "  --older-than TIME  arrived before that, such as 90m or 2d\n");
}

static int
print_help(const struct verb *v)
{
	bool is_show = v->work == WORK_SHOW;

	printf("usage: mtad %s %s [OPTION ...]\n%s\n\n", v->name,
	    is_show ? "ID" : "[SELECTOR ...]", v->help);
	if (!is_show)
		print_selectors();
	if (v->work == WORK_ACT)
		printf(
		    "  --all              everything; wanted when nothing else "
		    "is given\n\n"
		    "  --dry-run          only count\n"
		    "  --reason TEXT      for the event log\n");
	if (v->work == WORK_LIST)
		printf("\n  --limit N          rows (%d)\n", LIMIT_DEFAULT);
	printf("  -c FILE            the daemon's configuration (" VERB_CONFIG
	       ")\n"
	       "  -H SOCKET          its control socket, instead\n"
	       "  --json             the answer as it is\n");
	return VERB_OK;
}

/* The long options. Selectors have their index as value. */
enum {
	OPT_ALL = 'A',
	OPT_DRY = 'D',
	OPT_REASON = 'R',
	OPT_LIMIT = 'L',
	OPT_JSON = 'j',
	OPT_HELP = 'h'
};

static const struct option longs[] = {
	{ "id", required_argument, NULL, SEL_ID },
	{ "domain", required_argument, NULL, SEL_DOMAIN },
	{ "tenant", required_argument, NULL, SEL_TENANT },
	{ "campaign", required_argument, NULL, SEL_CAMPAIGN },
	{ "pool", required_argument, NULL, SEL_POOL },
	{ "older-than", required_argument, NULL, SEL_AGE },
	{ "all", no_argument, NULL, OPT_ALL },
	{ "dry-run", no_argument, NULL, OPT_DRY },
	{ "reason", required_argument, NULL, OPT_REASON },
	{ "limit", required_argument, NULL, OPT_LIMIT },
	{ "json", no_argument, NULL, OPT_JSON },
	{ "help", no_argument, NULL, OPT_HELP },
	{ 0 },
};

static int
take_option(struct options *o, char **argv, int c)
{
	if (c >= 0 && c < SEL_N) {
		o->sel[c] = optarg;
		return -1;
	}
	switch (c) {
	case 'c':
		o->peer.config = optarg;
		return -1;
	case 'H':
		o->peer.socket = optarg;
		return -1;
	case OPT_ALL:
		o->all = true;
		return -1;
	case OPT_DRY:
		o->dry_run = true;
		return -1;
	case OPT_REASON:
		o->reason = optarg;
		return -1;
	case OPT_JSON:
		o->json = true;
		return -1;
	case OPT_LIMIT:
		if (slice_u64(slice_str(optarg), UINT32_MAX, &o->limit) == 0 &&
		    o->limit > 0)
			return -1;
		return verb_usage(o->verb->name,
		    "--limit wants a number from 1, got", optarg);
	case OPT_HELP:
		return print_help(o->verb);
	default:
		return verb_wrong_option(o->verb->name, argv);
	}
}

static bool
has_selector(const struct options *o)
{
	for (int i = 0; i < SEL_N; i++)
		if (o->sel[i] != NULL)
			return true;
	return false;
}

/* What must hold of the options together; -1: it does. */
static int
check_options(const struct options *o)
{
	const char *name = o->verb->name;
	int64_t us;

	if (o->sel[SEL_AGE] != NULL &&
	    parse_duration(slice_str(o->sel[SEL_AGE]), &us) != 0)
		return verb_usage(name,
		    "--older-than wants a time such as 90m or 2d, got",
		    o->sel[SEL_AGE]);
	if (o->verb->work == WORK_SHOW && o->sel[SEL_ID] == NULL)
		return verb_usage(name, "which message? give its id", NULL);
	if (o->verb->work != WORK_ACT)
		return -1;
	if (!has_selector(o) && !o->all)
		return verb_usage(name,
		    "which mail? give a selector, or --all for everything",
		    NULL);
	if (has_selector(o) && o->all)
		return verb_usage(name,
		    "--all and a selector contradict each other", NULL);
	return -1;
}

/* -1: go on; else the exit status. */
static int
read_options(int argc, char **argv, struct options *o)
{
	int c, status;

	optind = 1;
	opterr = 0;
	while ((c = getopt_long(argc, argv, "c:H:h", longs, NULL)) != -1) {
		status = take_option(o, argv, c);
		if (status >= 0)
			return status;
	}
	if (optind < argc && o->sel[SEL_ID] == NULL)
		o->sel[SEL_ID] = argv[optind++];
	if (optind < argc)
		return verb_usage(o->verb->name, "too much:", argv[optind]);
	return check_options(o);
}

/* ---- list -------------------------------------------------------------------- */

static void
put_last(struct table *t, const json_t *row)
{
	const json_t *last = json_object_get(row, "last");
	struct slice enhanced = verb_str(last, "enhanced");
	char text[256];

	if (!json_is_object(last)) {
		table_cell(t, SL(""));
		return;
	}
	snprintf(text, sizeof(text), "%llu%s%.*s at %.*s",
	    (unsigned long long)verb_u64(last, "code"), enhanced.n ? " " : "",
	    SLF(enhanced), SLF(verb_str(last, "stage")));
	table_cell(t, slice_str(text));
}

static void
put_rcpt(struct table *t, const json_t *row)
{
	table_count(t, verb_u64(row, "attempts"));
	table_seconds(t, row, "age_s");
	table_cell(t, verb_str(row, "why"));
	table_seconds(t, row, "until_s");
	put_last(t, row);
}

static void
show_list(const json_t *root)
{
	static const char *const titles[] = { "ID", "DOMAIN", "POOL", "TENANT",
		"CAMPAIGN", ">TRIES", ">AGE", "WHY", ">FOR", "LAST" };
	const json_t *row;
	struct table t;
	size_t i;

	table_init(&t, titles, ARRAY_LEN(titles));
	json_array_foreach(json_object_get(root, "recipients"), i, row) {
		table_cell(&t, verb_str(row, "id"));
		table_cell(&t, verb_str(row, "domain"));
		table_cell(&t, verb_str(row, "pool"));
		table_cell(&t, verb_str(row, "tenant"));
		table_cell(&t, verb_str(row, "campaign"));
		put_rcpt(&t, row);
	}
	table_print(&t);
	if (json_is_integer(json_object_get(root, "cursor")))
		printf("(there is more: raise --limit, or narrow it down)\n");
}

static void
list_path(const struct options *o, struct buf *path, uint64_t cursor,
    uint64_t rows)
{
	char text[24];

	buf_reset(path);
	buf_addz(path, "/v1/messages");
	for (int i = 0; i < SEL_N; i++)
		if (o->sel[i] != NULL)
			control_query_add(path, selectors[i],
			    slice_str(o->sel[i]));
	control_query_add(path, "n", slice_of(text, fmt_u64(text, rows)));
	if (cursor != 0)
		control_query_add(path, "cursor",
		    slice_of(text, fmt_u64(text, cursor)));
	buf_addc(path, '\0');
}

/* Adds the next page to *all (NULL before the first). */
static int
list_page(struct options *o, struct buf *path, json_t **all)
{
	json_t *root, *rows = json_object_get(*all, "recipients");
	uint64_t have = json_array_size(rows);
	struct buf answer;
	int status;

	list_path(o, path, verb_u64(*all, "cursor"),
	    MIN(o->limit - have, PAGE_MAX));
	if (path->failed)
		return verb_usage(o->verb->name, "too long a selector", NULL);
	status = verb_ask_json(&o->peer, path->p, NO_BODY, &answer, &root);
	buf_free(&answer);
	if (status != VERB_OK)
		return status;
	if (*all == NULL) {
		*all = root;
		return VERB_OK;
	}
	json_array_extend(rows, json_object_get(root, "recipients"));
	json_object_set(*all, "cursor", json_object_get(root, "cursor"));
	json_decref(root);
	return VERB_OK;
}

static int
do_list(struct options *o)
{
	json_t *all = NULL;
	struct buf path;
	int status;

	buf_init(&path, PATH_MAX_BYTES);
	do {
		status = list_page(o, &path, &all);
	} while (status == VERB_OK && verb_u64(all, "cursor") != 0 &&
	    json_array_size(json_object_get(all, "recipients")) < o->limit);
	if (status == VERB_OK && o->json) {
		json_dumpf(all, stdout, JSON_COMPACT | JSON_REAL_PRECISION(15));
		putchar('\n');
	} else if (status == VERB_OK) {
		show_list(all);
	}
	json_decref(all);
	buf_free(&path);
	return status;
}

/* ---- show -------------------------------------------------------------------- */

static void
print_field(const json_t *root, const char *title, const char *key)
{
	char text[512];

	text_escape(verb_str(root, key), text, sizeof(text));
	if (text[0] != '\0')
		printf("%-9s %s\n", title, text);
}

static void
show_message(const json_t *root)
{
	static const char *const titles[] = { "RECIPIENT", "STATE", ">TRIES",
		">AGE", "WHY", ">FOR", "LAST" };
	char sender[2 * MAILBOX_MAX];
	const json_t *row;
	struct table t;
	size_t i;

	print_field(root, "id", "id");
	text_escape(verb_str(root, "sender"), sender, sizeof(sender));
	printf("sender    <%s>\n", sender);
	print_field(root, "client", "client");
	print_field(root, "listener", "listener");
	print_field(root, "pool", "pool");
	print_field(root, "tenant", "tenant");
	print_field(root, "campaign", "campaign");
	print_field(root, "arrival", "arrival");
	print_field(root, "expires", "expires");
	printf("size      %llu\n\n",
	    (unsigned long long)verb_u64(root, "size_bytes"));
	table_init(&t, titles, ARRAY_LEN(titles));
	json_array_foreach(json_object_get(root, "recipients"), i, row) {
		table_cell(&t, verb_str(row, "address"));
		table_cell(&t, verb_str(row, "state"));
		put_rcpt(&t, row);
	}
	table_print(&t);
}

static int
do_show(struct options *o)
{
	struct buf path, answer;
	json_t *root = NULL;
	int status;

	buf_init(&path, PATH_MAX_BYTES);
	buf_addz(&path, "/v1/message");
	control_query_add(&path, "id", slice_str(o->sel[SEL_ID]));
	buf_addc(&path, '\0');
	if (path.failed) {
		buf_free(&path);
		return verb_usage(o->verb->name, "too long an id", NULL);
	}
	status = verb_ask_json(&o->peer, path.p, NO_BODY, &answer, &root);
	if (status == VERB_OK && o->json)
		verb_print(&answer);
	else if (status == VERB_OK)
		show_message(root);
	json_decref(root);
	buf_free(&answer);
	buf_free(&path);
	return status;
}

/* ---- hold, release, retry, bounce, delete ------------------------------------- */

static void
act_body(const struct options *o, struct buf *body)
{
	struct jsonw w;

	jw_init(&w, body);
	jw_open(&w, '{');
	jw_kstr(&w, "verb", slice_str(o->verb->name));
	for (int i = 0; i < SEL_N; i++)
		if (o->sel[i] != NULL)
			jw_kstr(&w, selectors[i], slice_str(o->sel[i]));
	if (o->reason != NULL)
		jw_kstr(&w, "reason", slice_str(o->reason));
	jw_kbool(&w, "all", o->all);
	jw_kbool(&w, "dry_run", o->dry_run);
	jw_close(&w, '}');
}

static void
print_done(const struct options *o, uint64_t n)
{
	printf("%llu recipient%s %s\n", (unsigned long long)n,
	    n == 1 ? "" : "s", o->dry_run ? o->verb->would : o->verb->done);
}

static int
do_act(struct options *o)
{
	struct buf body, answer;
	json_t *root = NULL;
	int status;

	buf_init(&body, CONTROL_BODY_MAX);
	act_body(o, &body);
	if (body.failed) {
		buf_free(&body);
		return verb_usage(o->verb->name, "too long a reason", NULL);
	}
	status = verb_ask_json(&o->peer, "/v1/admin", buf_slice(&body), &answer,
	    &root);
	if (status == VERB_OK && o->json)
		verb_print(&answer);
	else if (status == VERB_OK)
		print_done(o, verb_u64(root, "recipients"));
	json_decref(root);
	buf_free(&answer);
	buf_free(&body);
	return status;
}

int
verb_messages(int argc, char **argv)
{
	struct options o = { .limit = LIMIT_DEFAULT };
	int status;

	o.verb = find_verb(argv[0]);
	ASSERT(o.verb != NULL); /* main's table names us for these only */
	status = read_options(argc, argv, &o);
	if (status >= 0)
		return status;
	status = verb_find(&o.peer);
	if (status != VERB_OK)
		return status;
	if (o.verb->work == WORK_LIST)
		status = do_list(&o);
	else if (o.verb->work == WORK_SHOW)
		status = do_show(&o);
	else
		status = do_act(&o);
	return fflush(stdout) != 0 ? VERB_FAILED : status;
}

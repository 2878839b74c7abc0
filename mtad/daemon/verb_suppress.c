/*
 * daemon/verb_suppress.c - mtad suppress: who is not written to. A daemon that
 * runs is asked, so that it knows at once; while none does, the file is changed.
 */
#include <getopt.h>
#include <time.h>
#include <unistd.h>

#include "conf/conf.h"
#include "control/control.h"
#include "daemon/verb_suppress_i.h"
#include "daemon/verbs.h"

#define ROWS 100
#define PAGE 1000u
#define ANSWER_MAX (32u << 20)
#define CACHE_BYTES (4u << 20)

static const char usage[] =
    "usage: mtad suppress WHAT [OPTION ...] [NAME ...]\n"
    "Addresses and domains that are not written to, for one tenant or for all.\n"
    "A NAME is an address, a domain, or *.DOMAIN: all domains below it.\n"
    "\n"
    "  add NAME ...     put in; one that is there is replaced\n"
    "  remove NAME ...  take out\n"
    "  show NAME        is it suppressed, and why; exit status 1: it is not\n"
    "  list             entries, by tenant\n"
    "  import [FILE]    put in what the lines of a file, or the input, say:\n"
    "                   ADDRESS[,TENANT[,REASON[,EXPIRES[,SOURCE[,ADDED]]]]]\n"
    "                   or JSON objects with these members\n"
    "  export           all of them, as import reads them\n"
    "  stats            how many there are, and how the filter is\n"
    "\n"
    "  --tenant NAME    for that tenant (show, list, export: of that one)\n"
    "  --domain DOMAIN  list, export: of that domain\n"
    "  --reason TEXT    why; it stands in the answer to RCPT\n"
    "  --source TEXT    where the entry is from\n"
    "  --expires WHEN   a time (RFC 3339), a date, a duration such as 30d, never\n"
    "  --format FORMAT  csv or json (import, export)\n"
    "  --dry-run        import: look at the lines alone\n"
    "  --all-or-none    import: nothing, if a line is wrong\n"
    "  -n N             list: so many (100; 0 is all)\n"
    "  -c FILE          the daemon's configuration (" VERB_CONFIG ")\n"
    "  -H SOCKET        its control socket, instead\n"
    "  --json           the answer as it is\n"
    "  --help           this\n";

/* ---- options ------------------------------------------------------------------- */

#define AT(field) offsetof(struct suppress_options, field)
/* Options that are a text, or nothing but there. */
static const struct {
	const char *name;
	size_t at;
	bool is_text;
} plain[] = {
	{ "tenant", AT(tenant), true },
	{ "domain", AT(domain), true },
	{ "reason", AT(reason), true },
	{ "source", AT(source), true },
	{ "expires", AT(expires), true },
	{ "dry-run", AT(dry_run), false },
	{ "all-or-none", AT(all_or_none), false },
	{ "json", AT(json), false },
};
#define NPLAIN ARRAY_LEN(plain)
enum { PLAIN = 256, FORMAT = PLAIN + NPLAIN };

/* Those with a letter, and the others. */
static void
make_longs(struct option *v)
{
	static const struct option some[] = {
		{ "format", required_argument, NULL, FORMAT },
		{ "config", required_argument, NULL, 'c' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};

	for (size_t i = 0; i < NPLAIN; i++)
		v[i] = (struct option){ plain[i].name,
			plain[i].is_text ? required_argument : no_argument,
			NULL, (int)(PLAIN + i) };
	memcpy(v + NPLAIN, some, sizeof(some));
}

static void
take_plain(struct suppress_options *o, size_t i)
{
	char *field = (char *)o + plain[i].at;

	if (plain[i].is_text)
		*(const char **)(void *)field = optarg;
	else
		*(bool *)(void *)field = true;
}

/* False: it is malformed. */
static bool
take_format(struct suppress_options *o, const char *word)
{
	o->format = strcmp(word, "json") == 0 ? SUPPRESS_JSON : SUPPRESS_CSV;
	return o->format == SUPPRESS_JSON || strcmp(word, "csv") == 0;
}

/* -1: go on; else the exit status. */
static int
take_option(struct suppress_options *o, int c, char **argv)
{
	if (c >= PLAIN && c < FORMAT)
		take_plain(o, (size_t)(c - PLAIN));
	else if (c == FORMAT) {
		if (!take_format(o, optarg))
			return verb_usage("suppress",
			    "--format: expected csv or json, got", optarg);
	} else if (c == 'n') {
		if (slice_u64(slice_str(optarg), UINT32_MAX, &o->n))
			return verb_usage("suppress",
			    "-n: expected a number, got", optarg);
	} else if (c == 'c')
		o->peer.config = optarg;
	else if (c == 'H')
		o->peer.socket = optarg;
	else if (c == 'h')
		return fputs(usage, stdout) < 0;
	else
		return verb_wrong_option("suppress", argv);
	return -1;
}

static int
read_options(int argc, char **argv, struct suppress_options *o)
{
	struct option longs[NPLAIN + 4];
	int c, status = -1;

	make_longs(longs);
	optind = 1;
	opterr = 0;
	while (status < 0 &&
	    (c = getopt_long(argc, argv, "c:H:n:h", longs, NULL)) != -1)
		status = take_option(o, c, argv);
	o->names = argv + optind;
	o->nnames = argc - optind;
	return status;
}

/* ---- whom to ask ----------------------------------------------------------------- */

static void
report(void *ctx, const char *line)
{
	(void)ctx;
	fprintf(stderr, "%s\n", line);
}

int
suppress_find_file(struct suppress_options *o)
{
	const char *path = o->peer.config ? o->peer.config : VERB_CONFIG;
	struct conf_errors errs = { .report = report };
	struct conf *c = conf_load(path, &errs);

	if (c == NULL)
		return VERB_FAILED;
	slice_copy(c->suppression.file, o->file, sizeof(o->file));
	if (!c->suppression.is_on)
		fprintf(stderr,
		    "mtad suppress: %s: suppression is not configured (see "
		    "suppression.md)\n",
		    path);
	conf_free(c);
	return o->file[0] ? VERB_OK : VERB_FAILED;
}

bool
suppress_is_served(struct suppress_options *o)
{
	struct buf answer;
	int status;

	buf_init(&answer, ANSWER_MAX);
	status = control_call(o->peer.path, "/v1/suppression", slice_of("", 0),
	    10000, &answer);
	buf_free(&answer);
	return status == 200;
}

static bool
is_running(const struct verb_peer *p)
{
	struct buf answer;
	int status;

	buf_init(&answer, ANSWER_MAX);
	status = control_call(p->path, "/v1/suppression", slice_of("", 0),
	    10000, &answer);
	buf_free(&answer);
	return status != E_CLOSED;
}

/* ---- orders and questions -------------------------------------------------------- */

static const char *
verb_word(enum suppress_verb v)
{
	return v == SUPPRESS_ADD ? "add" : "remove";
}

static void
put(struct jsonw *w, const char *key, const char *text)
{
	if (text != NULL)
		jw_kstr(w, key, slice_str(text));
}

/* The daemon carries it out. */
static int
order_daemon(struct suppress_options *o, enum suppress_verb verb,
    const char *name, struct buf *answer)
{
	struct buf body;
	struct jsonw w;
	int status;

	buf_init(&body, CONTROL_BODY_MAX);
	jw_init(&w, &body);
	jw_open(&w, '{');
	put(&w, "verb", verb_word(verb));
	put(&w, "name", name);
	put(&w, "tenant", o->tenant);
	put(&w, "reason", o->reason);
	put(&w, "source", o->source);
	put(&w, "expires", o->expires);
	jw_close(&w, '}');
	status =
	    verb_ask(&o->peer, "/v1/suppression", buf_slice(&body), answer);
	buf_free(&body);
	return status;
}

static int
ask_daemon(struct suppress_options *o, enum suppress_verb verb,
    const char *name, const char *cursor, struct buf *answer)
{
	struct buf path;
	char n[24];
	int status;

	buf_init(&path, CONTROL_BODY_MAX);
	buf_addz(&path, "/v1/suppression");
	buf_addz(&path,
	    verb == SUPPRESS_SHOW     ? "/show" :
		verb == SUPPRESS_LIST ? "/list" :
					"");
	if (name)
		control_query_add(&path, "name", slice_str(name));
	if (o->tenant)
		control_query_add(&path, "tenant", slice_str(o->tenant));
	if (verb == SUPPRESS_LIST) {
		if (o->domain)
			control_query_add(&path, "domain",
			    slice_str(o->domain));
		snprintf(n, sizeof(n), "%llu",
		    (unsigned long long)(o->n ? MIN(o->n, PAGE) : PAGE));
		control_query_add(&path, "n", slice_str(n));
		if (cursor[0])
			control_query_add(&path, "cursor", slice_str(cursor));
	}
	buf_addc(&path, '\0');
	status =
	    verb_ask(&o->peer, buf_slice(&path).p, slice_of("", 0), answer);
	buf_free(&path);
	return status;
}

static void
copy(char *dst, size_t cap, const char *text)
{
	slice_copy(slice_str(text ? text : ""), dst, cap);
}

static void
fill(struct suppress_q *q, struct suppress_options *o, enum suppress_verb verb,
    const char *name, const char *cursor)
{
	memset(q, 0, sizeof(*q));
	q->verb = verb;
	q->now_s = time(NULL);
	q->n = o->n ? MIN(o->n, PAGE) : PAGE;
	q->has_tenant = o->tenant != NULL;
	copy(q->tenant, sizeof(q->tenant), o->tenant);
	copy(q->name, sizeof(q->name), name);
	copy(q->domain, sizeof(q->domain), o->domain);
	copy(q->reason, sizeof(q->reason), o->reason);
	copy(q->source, sizeof(q->source), o->source);
	copy(q->expires, sizeof(q->expires), o->expires);
	copy(q->cursor, sizeof(q->cursor), cursor);
}

/* On the file. */
static int
do_file(struct suppress_options *o, struct suppress_db *d,
    enum suppress_verb verb, const char *name, const char *cursor,
    struct buf *answer)
{
	struct suppress_q q;
	const char *why = NULL;
	struct jsonw w;
	int status = 0;

	fill(&q, o, verb, name, cursor);
	buf_init(answer, ANSWER_MAX);
	jw_init(&w, answer);
	jw_open(&w, '{');
	if (suppress_q_writes(&q) && suppress_begin(d))
		status = 503;
	if (status == 0)
		status = suppress_do(d, &q, NULL, &w, &why);
	jw_close(&w, '}');
	if (status == 0 && suppress_q_writes(&q) && suppress_commit(d))
		status = 503;
	if (status == 0)
		return VERB_OK;
	fprintf(stderr, "mtad suppress: %s: %s\n", name ? name : o->file,
	    why ? why : suppress_why(d));
	suppress_rollback(d);
	return VERB_FAILED;
}

static int
open_file(struct suppress_options *o, bool writes, struct suppress_db **d)
{
	char why[256];
	int err;

	*d = NULL;
	err = suppress_find_file(o);
	if (err != VERB_OK)
		return err;
	err = suppress_open(d, o->file, writes ? SUPPRESS_WRITE : SUPPRESS_READ,
	    CACHE_BYTES, 0, why, sizeof(why));
	if (err == 0)
		return VERB_OK;
	fprintf(stderr, "mtad suppress: %s: %s\n", o->file, why);
	return VERB_AWAY;
}

/* One of them, where there is an answer. */
struct run {
	struct suppress_options *o;
	enum suppress_verb verb;
	struct suppress_db *d; /* NULL: a daemon is there */
};

static int
ask_one(struct run *r, const char *name, const char *cursor, struct buf *answer)
{
	if (r->d)
		return do_file(r->o, r->d, r->verb, name, cursor, answer);
	if (r->verb == SUPPRESS_ADD || r->verb == SUPPRESS_REMOVE)
		return order_daemon(r->o, r->verb, name, answer);
	return ask_daemon(r->o, r->verb, name, cursor, answer);
}

/* ---- for people ------------------------------------------------------------------ */

static const char *const columns[] = { "NAME", "TENANT", "EXPIRES", "ADDED",
	"SOURCE", "REASON" };

static struct slice
name_of(const json_t *row)
{
	struct slice s = verb_str(row, "address");

	return s.n ? s : verb_str(row, "domain");
}

static void
print_row(struct table *t, const json_t *row)
{
	struct slice tenant = verb_str(row, "tenant");
	struct slice expires = verb_str(row, "expires");

	table_cell(t, name_of(row));
	table_cell(t, tenant.n ? tenant : SL("(all)"));
	if (json_is_true(json_object_get(row, "expired")))
		table_cell(t, SL("over"));
	else
		table_cell(t, expires.n ? expires : SL("never"));
	table_cell(t, verb_str(row, "added"));
	table_cell(t, verb_str(row, "source"));
	table_cell(t, verb_str(row, "reason"));
}

static json_t *
parsed(const struct buf *answer)
{
	struct slice s = buf_slice(answer);

	return json_loadb(s.p, s.n, JSON_ALLOW_NUL, NULL);
}

static int
show(struct run *r)
{
	struct table t;
	struct buf answer;
	int status = ask_one(r, r->o->names[0], "", &answer);
	json_t *root = parsed(&answer), *row, *rows;
	size_t i;

	if (status == VERB_OK && r->o->json)
		verb_print(&answer);
	rows = json_object_get(root, "entries");
	if (status == VERB_OK && !r->o->json && json_array_size(rows) > 0) {
		table_init(&t, columns, ARRAY_LEN(columns));
		json_array_foreach(rows, i, row)
			print_row(&t, row);
		table_print(&t);
	}
	if (status == VERB_OK &&
	    !json_is_true(json_object_get(root, "suppressed"))) {
		if (!r->o->json)
			printf("not suppressed\n");
		status = VERB_FAILED;
	}
	json_decref(root);
	buf_free(&answer);
	return status;
}

/* Page by page. */
static int
list(struct run *r)
{
	char cursor[512] = "";
	uint64_t left = r->o->n;
	bool is_all = left == 0, goes_on = true;
	struct table t;
	struct buf answer;
	json_t *root, *row;
	int status = VERB_OK;
	size_t i;

	table_init(&t, columns, ARRAY_LEN(columns));
	while (status == VERB_OK && goes_on) {
		r->o->n = is_all ? PAGE : MIN(left, PAGE);
		status = ask_one(r, NULL, cursor, &answer);
		root = parsed(&answer);
		if (status == VERB_OK && r->o->json)
			verb_print(&answer);
		json_array_foreach(json_object_get(root, "entries"), i, row) {
			left -= left > 0;
			print_row(&t, row);
		}
		cursor[0] = '\0';
		slice_copy(verb_str(root, "next"), cursor, sizeof(cursor));
		goes_on = cursor[0] != '\0' && (is_all || left > 0);
		json_decref(root);
		buf_free(&answer);
	}
	if (!r->o->json && status == VERB_OK)
		table_print(&t);
	else
		buf_free(&t.cells);
	if (cursor[0] != '\0' && status == VERB_OK)
		fprintf(stderr, "there are more; -n 0 lists all\n");
	return status;
}

static int
stats(struct run *r)
{
	struct buf answer;
	int status = ask_one(r, NULL, "", &answer);
	json_t *root = parsed(&answer), *v;
	const char *key;

	if (status == VERB_OK && r->o->json)
		verb_print(&answer);
	else if (status == VERB_OK)
		json_object_foreach(root, key, v) {
			if (json_is_integer(v))
				printf("%-24s%llu\n", key,
				    (unsigned long long)verb_u64(root, key));
		}
	json_decref(root);
	buf_free(&answer);
	return status;
}

/* Each name; those that go wrong keep no other from being done. */
static int
change(struct run *r)
{
	int status = VERB_OK, one;

	for (int i = 0; i < r->o->nnames; i++) {
		struct buf answer;

		one = ask_one(r, r->o->names[i], "", &answer);
		if (one == VERB_OK && r->o->json)
			verb_print(&answer);
		status = one != VERB_OK ? one : status;
		buf_free(&answer);
		if (one == VERB_AWAY)
			break;
	}
	return status;
}

/* ---- the verb -------------------------------------------------------------------- */

static const struct what {
	const char *name;
	enum suppress_verb verb;
	int (*run)(struct run *r);
	int (*bulk)(struct suppress_options *o);
	int names_min, names_max;
} whats[] = {
	{ "add", SUPPRESS_ADD, change, NULL, 1, INT32_MAX },
	{ "remove", SUPPRESS_REMOVE, change, NULL, 1, INT32_MAX },
	{ "show", SUPPRESS_SHOW, show, NULL, 1, 1 },
	{ "list", SUPPRESS_LIST, list, NULL, 0, 0 },
	{ "stats", SUPPRESS_STATS, stats, NULL, 0, 0 },
	{ "import", SUPPRESS_IMPORT, NULL, suppress_import, 0, 1 },
	{ "export", SUPPRESS_IMPORT, NULL, suppress_export, 0, 0 },
};

static int
run_what(const struct what *what, struct suppress_options *o)
{
	struct run r = { .o = o, .verb = what->verb };
	int status = verb_find(&o->peer);

	if (status != VERB_OK)
		return status;
	if (what->bulk)
		return what->bulk(o);
	/* Without a daemon, and a configuration that says where the file is. */
	if ((o->peer.socket == NULL || o->peer.config != NULL) &&
	    !is_running(&o->peer)) {
		status = open_file(o,
		    what->verb == SUPPRESS_ADD || what->verb == SUPPRESS_REMOVE,
		    &r.d);
		if (status != VERB_OK)
			return status;
	}
	status = what->run(&r);
	if (r.d)
		suppress_close(r.d);
	return status;
}

int
verb_suppress(int argc, char **argv)
{
	struct suppress_options o = { .n = ROWS };
	const struct what *what = NULL;
	const char *word = argc > 1 ? argv[1] : "";
	int status;

	for (size_t i = 0; i < ARRAY_LEN(whats); i++)
		if (strcmp(word, whats[i].name) == 0)
			what = &whats[i];
	status = what ? read_options(argc - 1, argv + 1, &o) :
			read_options(argc, argv, &o);
	if (status >= 0)
		return status;
	if (what == NULL)
		return verb_usage("suppress",
		    "expected add, remove, show, list, import, export or "
		    "stats, got",
		    word[0] ? word : "nothing");
	if (o.nnames < what->names_min || o.nnames > what->names_max)
		return verb_usage("suppress",
		    o.nnames < what->names_min ? "a name is missing:" :
						 "too many names:",
		    what->name);
	status = run_what(what, &o);
	return fflush(stdout) != 0 ? VERB_FAILED : status;
}

/*
 * daemon/verb_accounts.c - `mtad account add|list|remove`: accounts in an SQLite
 * file. A daemon that runs knows of a change at the next login.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "conf/conf.h"
#include "daemon/verb_account_i.h"
#include "daemon/verb_i.h"
#include "store/accounts.h"

static const char usage[] =
    "usage: mtad account add [-c FILE | --file DB] [--replace] [LIMIT...] NAME\n"
    "       mtad account list [-c FILE | --file DB] [--json]\n"
    "       mtad account remove [-c FILE | --file DB] NAME...\n"
    "\n"
    "Accounts in an SQLite file, which a daemon that runs looks into at each\n"
    "login. `add` reads the password from standard input (from a terminal:\n"
    "twice, without showing it) and makes the file if it is not there.\n"
    "\n"
    "  -c FILE        configuration whose `accounts` names the file\n"
    "                 (default " VERB_CONFIG ")\n"
    "  --file DB      the file itself\n"
    "  --replace      an account of that name may be there\n"
    "  --iterations N   rounds that make guessing dear (4096 to 1000000)\n"
    "  --tenant T  --campaign C  --pool P   of its mail\n"
    "  --from LIST    senders: addresses or domains, with commas between\n"
    "  --size SIZE    its largest message\n"
    "  --recipients N   of one message\n"
    "  --rate N/P     messages within a period\n"
    "  --json         one object a line\n"
    "\n"
    "exit status: 0 done, 1 it went wrong, 2 wrong usage, 3 no such file\n";

enum {
	OPT_FILE = 256,
	OPT_REPLACE,
	OPT_ITERATIONS,
	OPT_TENANT,
	OPT_CAMPAIGN,
	OPT_POOL_OF,
	OPT_FROM,
	OPT_SIZE_OF,
	OPT_RECIPIENTS,
	OPT_RATE_OF,
	OPT_JSON
};

struct order {
	const char *config, *file;
	bool replaces, as_json;
	uint32_t iterations;
	struct account_row row;
	char from[4096];
	char path[4096];
	struct accounts *db;
	char why[256];
};

static void
report(void *ctx, const char *line)
{
	(void)ctx;
	fprintf(stderr, "%s\n", line);
}

static int
failed(const struct order *k)
{
	fprintf(stderr, "mtad account: %s: %s\n", k->path, k->why);
	return VERB_FAILED;
}

/* The file that is meant, to k->path. */
static int
find(struct order *k)
{
	struct conf_errors errs = { .report = report };
	struct conf *c;

	if (k->file) {
		slice_copy(slice_str(k->file), k->path, sizeof(k->path));
		return VERB_OK;
	}
	c = conf_load(k->config ? k->config : VERB_CONFIG, &errs);
	if (c == NULL)
		return VERB_FAILED;
	slice_copy(c->accounts_file, k->path, sizeof(k->path));
	conf_free(c);
	if (k->path[0])
		return VERB_OK;
	fputs("mtad account: the configuration names no file (accounts)\n",
	    stderr);
	return VERB_FAILED;
}

static int
open_file(struct order *k, bool writes)
{
	int status = find(k);

	if (status != VERB_OK)
		return status;
	if (!accounts_open(&k->db, k->path, writes, k->why, sizeof(k->why)))
		return VERB_OK;
	failed(k);
	return VERB_AWAY;
}

/* A list with commas becomes one with blanks. */
static void
take_from(struct order *k, const char *list)
{
	slice_copy(slice_str(list), k->from, sizeof(k->from));
	for (char *p = k->from; *p; p++)
		if (*p == ',')
			*p = ' ';
	k->row.from = slice_str(k->from);
}

static int
take_number(struct order *k, int o, const char *text)
{
	uint64_t n;

	if (o == OPT_ITERATIONS)
		return account_iterations(text, &k->iterations);
	if (o == OPT_SIZE_OF && parse_size(slice_str(text), &n) == 0 && n > 0) {
		k->row.size_max = n;
		return VERB_OK;
	}
	if (o == OPT_RECIPIENTS &&
	    slice_u64(slice_str(text), RCPTS_MAX, &n) == 0 && n > 0) {
		k->row.rcpts_max = (uint32_t)n;
		return VERB_OK;
	}
	return verb_usage("account", "no such size or number:", text);
}

static int
take_option(struct order *k, int o, char **argv)
{
	switch (o) {
	case 'c':
		k->config = optarg;
		return VERB_OK;
	case OPT_FILE:
		k->file = optarg;
		return VERB_OK;
	case OPT_REPLACE:
		k->replaces = true;
		return VERB_OK;
	case OPT_TENANT:
		k->row.tenant = slice_str(optarg);
		return VERB_OK;
	case OPT_CAMPAIGN:
		k->row.campaign = slice_str(optarg);
		return VERB_OK;
	case OPT_POOL_OF:
		k->row.pool = slice_str(optarg);
		return VERB_OK;
	case OPT_FROM:
		take_from(k, optarg);
		return VERB_OK;
	case OPT_RATE_OF:
		k->row.rate = slice_str(optarg);
		return VERB_OK;
	case OPT_JSON:
		k->as_json = true;
		return VERB_OK;
	case OPT_ITERATIONS:
	case OPT_SIZE_OF:
	case OPT_RECIPIENTS:
		return take_number(k, o, optarg);
	default:
		return verb_wrong_option("account", argv);
	}
}

static int
add(struct order *k, int n, char **names)
{
	char secret[ACCOUNT_SECRET_MAX];
	int status;

	if (n != 1 || !account_name_is_fine(slice_str(names[0])))
		return verb_usage("account", "one name, in ASCII, is needed",
		    "");
	status = account_read_secret(k->iterations, secret);
	if (status == VERB_OK)
		status = open_file(k, true);
	if (status != VERB_OK)
		return status;
	k->row.name = slice_str(names[0]);
	k->row.secret = slice_str(secret);
	if (accounts_put(k->db, &k->row, k->replaces, k->why, sizeof(k->why)))
		return failed(k);
	return VERB_OK;
}

static void
show_row(void *ctx, const struct account_row *r)
{
	struct table *t = ctx;

	table_cell(t, r->name);
	table_cell(t, r->tenant);
	table_cell(t, r->pool);
	table_cell(t, r->from);
	if (r->size_max)
		table_count(t, r->size_max);
	else
		table_cell(t, SL("-"));
	if (r->rcpts_max)
		table_count(t, r->rcpts_max);
	else
		table_cell(t, SL("-"));
	table_cell(t, r->rate);
}

static void
put_text(json_t *o, const char *key, struct slice s)
{
	if (s.n > 0)
		json_object_set_new(o, key, json_stringn_nocheck(s.p, s.n));
}

static void
show_json(void *ctx, const struct account_row *r)
{
	json_t *o = json_object();
	char *text;

	(void)ctx;
	put_text(o, "name", r->name);
	put_text(o, "tenant", r->tenant);
	put_text(o, "campaign", r->campaign);
	put_text(o, "pool", r->pool);
	put_text(o, "from", r->from);
	if (r->size_max)
		json_object_set_new(o, "message_size_max",
		    json_integer((json_int_t)r->size_max));
	if (r->rcpts_max)
		json_object_set_new(o, "recipients_max",
		    json_integer(r->rcpts_max));
	put_text(o, "rate", r->rate);
	text = json_dumps(o, JSON_COMPACT | JSON_PRESERVE_ORDER);
	puts(text ? text : "{}");
	free(text);
	json_decref(o);
}

static int
list(struct order *k, int n)
{
	static const char *const titles[] = { "NAME", "TENANT", "POOL", "FROM",
		">SIZE", ">RECIPIENTS", "RATE" };
	struct table t;
	int status, err;

	if (n != 0)
		return verb_usage("account", "list takes no name", "");
	status = open_file(k, false);
	if (status != VERB_OK)
		return status;
	if (k->as_json)
		return accounts_each(k->db, show_json, NULL, k->why,
			   sizeof(k->why)) ?
		    failed(k) :
		    VERB_OK;
	table_init(&t, titles, ARRAY_LEN(titles));
	err = accounts_each(k->db, show_row, &t, k->why, sizeof(k->why));
	table_print(&t);
	return err ? failed(k) : VERB_OK;
}

static int
take_away(struct order *k, int n, char **names)
{
	int status;

	if (n == 0)
		return verb_usage("account", "a name is needed", "");
	status = find(k);
	/* One that is not there is not made for this. */
	if (status == VERB_OK && access(k->path, F_OK) != 0) {
		slice_copy(SL("there is no such file"), k->why, sizeof(k->why));
		failed(k);
		return VERB_AWAY;
	}
	if (status == VERB_OK)
		status = open_file(k, true);
	for (int i = 0; i < n && status == VERB_OK; i++)
		if (accounts_remove(k->db, slice_str(names[i]), k->why,
			sizeof(k->why)))
			status = failed(k);
	return status;
}

int
verb_account_file(int argc, char **argv)
{
	static const struct option options[] = { { "config", required_argument,
						     NULL, 'c' },
		{ "file", required_argument, NULL, OPT_FILE },
		{ "replace", no_argument, NULL, OPT_REPLACE },
		{ "iterations", required_argument, NULL, OPT_ITERATIONS },
		{ "tenant", required_argument, NULL, OPT_TENANT },
		{ "campaign", required_argument, NULL, OPT_CAMPAIGN },
		{ "pool", required_argument, NULL, OPT_POOL_OF },
		{ "from", required_argument, NULL, OPT_FROM },
		{ "size", required_argument, NULL, OPT_SIZE_OF },
		{ "recipients", required_argument, NULL, OPT_RECIPIENTS },
		{ "rate", required_argument, NULL, OPT_RATE_OF },
		{ "json", no_argument, NULL, OPT_JSON },
		{ "help", no_argument, NULL, 'h' }, { NULL, 0, NULL, 0 } };
	struct order k = { .iterations = ACCOUNT_ITERATIONS };
	int o, n, status = VERB_OK;
	char **names;

	opterr = 0;
	while (status == VERB_OK &&
	    (o = getopt_long(argc, argv, "hc:", options, NULL)) != -1) {
		if (o == 'h') {
			fputs(usage, stdout);
			return VERB_OK;
		}
		status = take_option(&k, o, argv);
	}
	n = argc - optind;
	names = argv + optind;
	if (status != VERB_OK)
		return status;
	if (strcmp(argv[0], "add") == 0)
		status = add(&k, n, names);
	else if (strcmp(argv[0], "list") == 0)
		status = list(&k, n);
	else
		status = take_away(&k, n, names);
	accounts_close(k.db);
	return status;
}

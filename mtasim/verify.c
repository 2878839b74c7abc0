/*
 * verify.c - `mtasim verify`: the ledger of a run, from what the load, the
 * receivers and the relay wrote down.
 */
#include "mtasim.h"
#include "verify.h"

#define FILES_MAX 256

struct files {
	uint32_t n;
	const char *path[FILES_MAX];
};

struct verify {
	struct files loads, sinks, events, queues;
	const char *world_path;
	uint64_t queued, allow_duplicates;
	bool json, books;

	struct ledger ledger;
	struct world *world;
	struct sum sum;
};

static int
add_file(struct files *f, const char *value, char *why, size_t why_cap)
{
	if (f->n == FILES_MAX) {
		snprintf(why, why_cap, "more than %d files", FILES_MAX);
		return E_FULL;
	}
	f->path[f->n++] = value;
	return 0;
}

static int
set_load(void *into, const char *value, char *why, size_t why_cap)
{
	return add_file(&((struct verify *)into)->loads, value, why, why_cap);
}

static int
set_sink(void *into, const char *value, char *why, size_t why_cap)
{
	return add_file(&((struct verify *)into)->sinks, value, why, why_cap);
}

static int
set_events(void *into, const char *value, char *why, size_t why_cap)
{
	return add_file(&((struct verify *)into)->events, value, why, why_cap);
}

static int
set_queue(void *into, const char *value, char *why, size_t why_cap)
{
	return add_file(&((struct verify *)into)->queues, value, why, why_cap);
}

#define AT(field) offsetof(struct verify, field)

static const struct opt opts[] = {
	{ "load", "JOURNAL", OPT_CALL, 0, set_load,
	    "of mtasim load (repeat for more)" },
	{ "sink", "JOURNAL", OPT_CALL, 0, set_sink,
	    "of mtasim sink or world (repeat for more)" },
	{ "events", "FILE", OPT_CALL, 0, set_events,
	    "the relay's event log (repeat for more)" },
	{ "queued-from", "FILE", OPT_CALL, 0, set_queue,
	    "what is still queued: mtad list --json" },
	{ "queued", "N", OPT_COUNT, AT(queued), NULL,
	    "recipients still queued, whichever they are" },
	{ "allow-duplicates", "N", OPT_COUNT, AT(allow_duplicates), NULL,
	    "that are no failure (0)" },
	{ "world", "FILE", OPT_TEXT, AT(world_path), NULL,
	    "names providers by their domains" },
	{ "books", NULL, OPT_FLAG, AT(books), NULL,
	    "a delivery without its event is a failure" },
	{ "json", NULL, OPT_FLAG, AT(json), NULL, "the sums as JSON" },
};

static const struct opt_table table = {
	"verify",
	"--load JOURNAL ... --sink JOURNAL ... [OPTION ...]",
	"Is every acknowledged recipient delivered, bounced, expired, removed"
	" or queued,\nonce and unchanged? Exits 5 if not; lists the first 20"
	" of each kind by id.",
	opts,
	ARRAY_LEN(opts),
	"\"-\" stands for no file.",
};

/* ---- reading ------------------------------------------------------------------- */

static int
read_each(struct ledger *g, const struct files *f,
    int (*take)(struct ledger *g, const char *path))
{
	for (uint32_t i = 0; i < f->n; i++)
		if (strcmp(f->path[i], "-") != 0 && take(g, f->path[i]) != 0)
			return SIM_USAGE;
	return -1;
}

/* The load's journals first: what receivers say is measured against them. */
static int
read_all(struct verify *v)
{
	struct conf_errors errs = { .report = world_report };
	struct ledger *g = &v->ledger;
	int rc = read_each(g, &v->loads, ledger_read_load);

	if (rc < 0)
		rc = read_each(g, &v->sinks, ledger_read_sink);
	if (rc < 0)
		rc = read_each(g, &v->events, ledger_read_events);
	if (rc < 0)
		rc = read_each(g, &v->queues, ledger_read_queue);
	if (rc < 0 && v->world_path != NULL) {
		v->world = world_load(v->world_path, &errs);
		rc = v->world != NULL ? -1 : SIM_USAGE;
	}
	return rc;
}

/* ---- printing ------------------------------------------------------------------ */

static void
print_row(const struct sum_row *r, const struct sum_row *total)
{
	printf("%-16.*s", (int)MIN(r->name.n, (size_t)16), r->name.p);
#define X(column, title, always)                                               \
	if ((always) || total->column > 0)                                     \
		printf(" %7llu", (unsigned long long)r->column);
	SUM_COLUMNS(X)
#undef X
	printf(" %7.1f %7.1f\n", (double)hist_quantile(r->late, 5000) / 1000,
	    (double)hist_quantile(r->late, 9900) / 1000);
}

static void
print_titles(const struct sum_row *total)
{
	printf("%-16s", "RECIPIENTS");
#define X(column, title, always)                                               \
	if ((always) || total->column > 0)                                     \
		printf(" %7s", title);
	SUM_COLUMNS(X)
#undef X
	printf(" %7s %7s\n", "p50 ms", "p99 ms");
}

static void
print_list(const struct verify *v, const char *what, const struct sum_list *l)
{
	char id[SIM_ID_DIGITS + 1];

	if (l->n == 0)
		return;
	printf("%s:", what);
	for (uint64_t i = 0; i < MIN(l->n, (uint64_t)SUM_LIST_MAX); i++) {
		const struct entry *e = &v->ledger.v[l->v[i]];

		sim_id_format(id, e->id);
		printf(" r%u.%s@%.*s", e->rcpt, id,
		    SLF(names_text(&v->ledger.domains, e->domain)));
	}
	printf("%s\n", l->n > SUM_LIST_MAX ? " ..." : "");
}

static void
print_notes(const struct verify *v)
{
	const struct sum *s = &v->sum;
	const struct ledger *g = &v->ledger;

	printf("refused %llu  in doubt %llu (of these delivered %llu)  "
	       "unsent %llu  other mail received %llu\n",
	    (unsigned long long)s->refused, (unsigned long long)s->doubt,
	    (unsigned long long)s->doubt_delivered,
	    (unsigned long long)s->unsent, (unsigned long long)g->foreign);
	if (s->strangers > 0)
		printf("received, but in no load journal: %llu\n",
		    (unsigned long long)s->strangers);
	if (v->events.n > 0)
		printf("events %llu; delivered without a Delivery event: "
		       "%llu\n",
		    (unsigned long long)g->events,
		    (unsigned long long)s->unbooked);
	if (g->torn + g->odd > 0)
		printf("journals cut off in mid-line: %llu; odd records: "
		       "%llu\n",
		    (unsigned long long)g->torn, (unsigned long long)g->odd);
}

static void
print_text(const struct verify *v, int code)
{
	const struct sum *s = &v->sum;

	print_titles(&s->total);
	for (uint32_t i = 0; i < s->nrows; i++)
		print_row(&s->rows[i], &s->total);
	print_row(&s->total, &s->total);
	print_notes(v);
	print_list(v, "lost", &s->lost);
	print_list(v, "duplicated", &s->duplicates);
	print_list(v, "corrupt", &s->corrupt);
	printf(
	    "LEDGER %llu acknowledged = %llu delivered + %llu bounced + %llu "
	    "expired + %llu removed + %llu queued + %llu lost; %llu "
	    "duplicates (%llu allowed), %llu corrupt: %s\n",
	    (unsigned long long)s->total.acked,
	    (unsigned long long)s->total.delivered,
	    (unsigned long long)s->total.bounced,
	    (unsigned long long)s->total.expired,
	    (unsigned long long)s->total.removed,
	    (unsigned long long)s->total.queued,
	    (unsigned long long)s->total.lost,
	    (unsigned long long)s->total.duplicates,
	    (unsigned long long)v->allow_duplicates,
	    (unsigned long long)s->total.corrupt,
	    code == SIM_PASS ? "balanced" : "BROKEN");
}

static void
json_row(struct jsonw *w, const struct sum_row *r)
{
	jw_open(w, '{');
	jw_kstr(w, "name", r->name);
#define X(column, title, always) jw_ku64(w, #column, r->column);
	SUM_COLUMNS(X)
#undef X
	jw_key(w, "p50_ms");
	jw_milli(w, hist_quantile(r->late, 5000));
	jw_key(w, "p99_ms");
	jw_milli(w, hist_quantile(r->late, 9900));
	jw_close(w, '}');
}

static void
json_list(struct jsonw *w, const struct verify *v, const char *key,
    const struct sum_list *l)
{
	char text[32];

	jw_key(w, key);
	jw_open(w, '[');
	for (uint64_t i = 0; i < MIN(l->n, (uint64_t)SUM_LIST_MAX); i++) {
		const struct entry *e = &v->ledger.v[l->v[i]];
		size_t n = sim_rcpt_format(text, e->id, e->rcpt);

		jw_str(w, slice_of(text, n - 1)); /* without the @ */
	}
	jw_close(w, ']');
}

static void
print_json(const struct verify *v, int code)
{
	const struct sum *s = &v->sum;
	struct jsonw w;
	struct buf b;

	buf_init(&b, 1u << 20);
	jw_init(&w, &b);
	jw_open(&w, '{');
	jw_ki64(&w, "exit", code);
	jw_ku64(&w, "refused", s->refused);
	jw_ku64(&w, "doubt", s->doubt);
	jw_ku64(&w, "doubt_delivered", s->doubt_delivered);
	jw_ku64(&w, "unsent", s->unsent);
	jw_ku64(&w, "foreign", v->ledger.foreign);
	jw_ku64(&w, "strangers", s->strangers);
	jw_ku64(&w, "unbooked", s->unbooked);
	jw_ku64(&w, "events", v->ledger.events);
	jw_ku64(&w, "torn", v->ledger.torn);
	jw_ku64(&w, "odd", v->ledger.odd);
	json_list(&w, v, "lost", &s->lost);
	json_list(&w, v, "duplicated", &s->duplicates);
	json_list(&w, v, "corrupted", &s->corrupt);
	jw_key(&w, "providers");
	jw_open(&w, '[');
	for (uint32_t i = 0; i < s->nrows; i++)
		json_row(&w, &s->rows[i]);
	jw_close(&w, ']');
	jw_key(&w, "total");
	json_row(&w, &s->total);
	jw_close(&w, '}');
	printf("%.*s\n", SLF(buf_slice(&b)));
	buf_free(&b);
}

static int
verify_run(struct verify *v)
{
	const struct sum_row *t = &v->sum.total;
	int rc = read_all(v);

	if (rc >= 0)
		return rc;
	sum_make(&v->sum, &v->ledger, v->world, v->queued);
	rc = SIM_PASS;
	if (t->lost > 0 || t->corrupt > 0 ||
	    t->duplicates > v->allow_duplicates ||
	    (v->books && v->sum.unbooked > 0))
		rc = SIM_BROKEN;
	if (v->json)
		print_json(v, rc);
	else
		print_text(v, rc);
	sum_free(&v->sum);
	return rc;
}

int
cmd_verify(int argc, char **argv)
{
	static struct verify v;
	char **operands;
	int noperands, rc;

	rc = opt_parse(&table, argc, argv, &v, &operands, &noperands);
	if (rc >= 0)
		return rc;
	if (noperands > 0)
		return opt_fail(&table, "what is '%s'?", operands[0]);
	if (v.loads.n == 0)
		return opt_fail(&table, "--load JOURNAL is needed");
	ledger_init(&v.ledger);
	rc = verify_run(&v);
	ledger_free(&v.ledger);
	world_free(v.world);
	return rc;
}

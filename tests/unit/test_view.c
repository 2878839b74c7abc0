/*
 * What viewers are told: a core with mail in it, asked for JSON and metrics.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <jansson.h>

#include "relay/core_i.h"

#define NOW_US (1000 * US_PER_S)
#define WALL_US (INT64_C(1795516327) * US_PER_S) /* 2026-11-24T10:32:07Z */
#define OUT_MAX (16u * 1024 * 1024)
#define SERIES_MAX 2000

#define BLOBS_MAX 16 /* messages whose envelopes are kept */

struct house {
	struct disk disk; /* first: the disk's functions get a pointer to it */
	struct buf blobs[BLOBS_MAX];
	struct core *core;
	struct conf *conf;
	struct gate gate;
	struct buf book;
	uint64_t sequence;
	uint32_t slot, domain; /* the last that was looked up */
};

/* ---- a driver that does nothing ------------------------------------------------- */

static void
op_resolve(void *ctx, uint32_t domain, struct slice name, bool is_host)
{
	(void)name;
	(void)is_host;
	((struct house *)ctx)->domain = domain;
}

static void
op_open(void *ctx, const struct core_open *o)
{
	(void)ctx;
	(void)o;
}

static void
op_assign(void *ctx, struct job *j)
{
	(void)ctx;
	(void)j;
}

static void
op_handle(void *ctx, struct handle h)
{
	(void)ctx;
	(void)h;
}

static void
op_outcome(void *ctx, struct handle slot, uint16_t rcpt,
    const struct spool_rcpt *r)
{
	(void)ctx;
	(void)slot;
	(void)rcpt;
	(void)r;
}

static void
op_commit(void *ctx, struct parcel *p)
{
	(void)ctx;
	(void)p;
}

static struct parcel *
op_parcel_take(void *ctx)
{
	(void)ctx;
	return NULL;
}

static struct buf *
op_book(void *ctx)
{
	struct house *st = ctx;

	buf_reset(&st->book);
	return &st->book;
}

static uint64_t
op_sequence(void *ctx)
{
	return ++((struct house *)ctx)->sequence;
}

/* The file's number is the message's; whole envelopes are read. */
static int64_t
disk_read(struct disk *d, uint32_t file, uint64_t off, void *dst, size_t n)
{
	struct house *st = (struct house *)d;

	(void)off;
	if (file >= BLOBS_MAX || st->blobs[file].n != n)
		return E_IO;
	memcpy(dst, buf_slice(&st->blobs[file]).p, n);
	return (int64_t)n;
}

static const struct disk_ops disk_ops = { .read = disk_read };

static const struct core_ops ops = {
	.resolve = op_resolve,
	.open = op_open,
	.assign = op_assign,
	.close = op_handle,
	.outcome = op_outcome,
	.drop = op_handle,
	.moved_ack = op_handle,
	.damaged = op_handle,
	.commit = op_commit,
	.parcel_take = op_parcel_take,
	.parcel_give = op_commit,
	.book = op_book,
	.sequence = op_sequence,
};

static void
report(void *ctx, const char *line)
{
	(void)ctx;
	fail_msg("%s", line);
}

static int
set_up(void **state)
{
	static const char text[] =
	    "hostname: mta1.example\npostmaster: ops@mta1.example\n"
	    "spool: /tmp/x/spool\ncontrol: /tmp/x/s\nlog: /tmp/x/log\n"
	    "listen: { in: { bind: 127.0.0.1:2525 } }\n"
	    "source: { a: { address: 127.0.0.10, ehlo: a.example },\n"
	    "          b: { address: 127.0.0.11 } }\n"
	    "pool: { default: { sources: [a, b] } }\n"
	    "limit: { tight: { per: source, connections: 1,\n"
	    "                  where: { site: mx.tight.example } },\n"
	    "         each: { per: tenant, rate: 100/s, burst: 99 } }\n";
	struct conf_errors errs = { .report = report };
	struct house *st = mem_get(sizeof(*st));

	st->conf = conf_parse("test", slice_str(text), &errs);
	assert_non_null(st->conf);
	atomic_store(&st->gate.rcpts_free, 1000000);
	buf_init(&st->book, 1u << 20);
	for (int i = 0; i < BLOBS_MAX; i++)
		buf_init(&st->blobs[i], 65536);
	st->disk.ops = &disk_ops;
	st->core = core_new(st->conf, &st->disk, &st->gate, 1, &ops, st, NOW_US,
	    WALL_US);
	assert_non_null(st->core);
	*state = st;
	return 0;
}

static int
tear_down(void **state)
{
	struct house *st = *state;

	core_free(st->core);
	conf_free(st->conf);
	buf_free(&st->book);
	for (int i = 0; i < BLOBS_MAX; i++)
		buf_free(&st->blobs[i]);
	mem_free(st);
	return 0;
}

/* A message to one recipient, arrived age_s ago. */
static struct msgid
submit(struct house *st, const char *domain, const char *tenant, int64_t age_s)
{
	char address[512];
	struct env_rcpt rcpt = { 0 };
	struct envelope e = {
		.arrival_us = WALL_US - age_s * US_PER_S,
		.expires_us = WALL_US + 86400 * US_PER_S,
		.sender = SL("s@sender.example"),
		.tenant = slice_str(tenant),
		.body_bytes = 100,
		.nrcpt = 1,
	};
	struct handle slot = { ++st->slot, 1 };
	struct spool_ref ref = { 0 };
	struct buf blob;

	snprintf(address, sizeof(address), "r@%s", domain);
	rcpt.address = slice_str(address);
	e.id = msgid_make(e.arrival_us, 1, op_sequence(st));
	buf_init(&blob, 65536);
	assert_int_equal(env_encode(&blob, &e, &rcpt), 0);
	ref.env_bytes = (uint32_t)blob.n;
	ref.file = st->slot;
	if (st->slot < BLOBS_MAX)
		buf_adds(&st->blobs[st->slot], buf_slice(&blob));
	core_clock(st->core, NOW_US, WALL_US);
	core_submit(st->core, slot, &ref, buf_slice(&blob));
	buf_free(&blob);
	return e.id;
}

/* ---- reading the answers ----------------------------------------------------------- */

static json_t *
parse(struct buf *out)
{
	struct slice s = buf_slice(out);
	json_error_t err;
	json_t *root = json_loadb(s.p, s.n, JSON_REJECT_DUPLICATES, &err);

	if (root == NULL)
		fail_msg("%s: %.*s", err.text, SLF(s));
	buf_free(out);
	return root;
}

static json_t *
queues(struct house *st, const char *key, uint32_t n)
{
	struct buf out;

	buf_init(&out, OUT_MAX);
	assert_int_equal(core_view_queues(st->core, slice_str(key), n, &out),
	    0);
	return parse(&out);
}

static json_t *
list(struct house *st, const struct core_selector *sel, uint64_t cursor,
    uint32_t n, int expected)
{
	struct buf out;

	buf_init(&out, OUT_MAX);
	assert_int_equal(core_list(st->core, sel, cursor, n, &out), expected);
	return parse(&out);
}

static const char *
text(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	if (s == NULL)
		fail_msg("no text \"%s\"", key);
	return s;
}

static int64_t
number(const json_t *o, const char *key)
{
	const json_t *v = json_object_get(o, key);

	if (!json_is_number(v))
		fail_msg("no number \"%s\"", key);
	return (int64_t)json_number_value(v);
}

/* ---- JSON ---------------------------------------------------------------------------- */

static void
status_counts_and_names_the_moment(void **state)
{
	struct house *st = *state;
	const json_t *totals;
	json_t *root;
	struct buf out;

	submit(st, "a.example", "acme", 0);
	submit(st, "b.example", "acme", 0);
	buf_init(&out, OUT_MAX);
	core_view_status(st->core, &out);
	root = parse(&out);
	totals = json_object_get(root, "totals");
	assert_string_equal(text(root, "hostname"), "mta1.example");
	assert_string_equal(text(root, "time"), "2026-11-24T10:32:07.000000Z");
	assert_int_equal(number(totals, "recipients"), 2);
	assert_int_equal(number(totals, "received_total"), 2);
	assert_int_equal(number(totals, "resolving"), 2);
	json_decref(root);
}

static void
a_queue_says_why_it_waits(void **state)
{
	struct house *st = *state;
	const json_t *row;
	json_t *root;

	submit(st, "a.example", "acme", 90);
	root = queues(st, "depth", 10);
	row = json_array_get(json_object_get(root, "queues"), 0);
	assert_int_equal(number(root, "total"), 1);
	assert_string_equal(text(row, "domain"), "a.example");
	assert_string_equal(text(row, "tenant"), "acme");
	assert_string_equal(text(row, "pool"), "default");
	assert_int_equal(number(row, "depth"), 1);
	assert_string_equal(text(row, "why"), "dns");
	assert_int_equal(number(row, "oldest_s"), 90);
	assert_string_equal(text(row, "oldest"), "2026-11-24T10:30:37.000000Z");
	json_decref(root);
}

static void
a_failed_look_up_says_until_when(void **state)
{
	struct core_answer a = { .status = ENG_DNS_TEMP };
	struct house *st = *state;
	const json_t *row;
	json_t *root;

	submit(st, "a.example", "", 0);
	core_resolved(st->core, st->domain, &a);
	root = queues(st, "depth", 10);
	row = json_array_get(json_object_get(root, "queues"), 0);
	assert_string_equal(text(row, "why"), "dns-failed");
	assert_in_range(number(row, "until_s"), 1, 3600);
	assert_true(strcmp(text(row, "until"), text(root, "time")) > 0);
	json_decref(root);
}

static void
queues_are_sorted_and_cut(void **state)
{
	struct house *st = *state;
	const json_t *rows;
	json_t *root;
	struct buf out;

	for (int i = 0; i < 3; i++)
		submit(st, "three.example", "", 0);
	submit(st, "one.example", "", 500);
	submit(st, "two.example", "", 0);
	submit(st, "two.example", "", 0);
	root = queues(st, "depth", 2);
	rows = json_object_get(root, "queues");
	assert_int_equal(json_array_size(rows), 2);
	assert_string_equal(text(json_array_get(rows, 0), "domain"),
	    "three.example");
	assert_int_equal(number(root, "total"), 3);
	json_decref(root);
	root = queues(st, "oldest", 1);
	rows = json_object_get(root, "queues");
	assert_string_equal(text(json_array_get(rows, 0), "domain"),
	    "one.example");
	json_decref(root);
	json_decref(queues(st, "", UINT32_MAX));
	buf_init(&out, OUT_MAX);
	assert_int_equal(core_view_queues(st->core, SL("colour"), 1, &out),
	    E_RANGE);
	assert_int_equal(out.n, 0);
	buf_free(&out);
}

static void
sources_have_their_address_and_name(void **state)
{
	struct house *st = *state;
	const json_t *rows, *b;
	json_t *root;
	struct buf out;

	buf_init(&out, OUT_MAX);
	assert_int_equal(core_view_sources(st->core, SL(""), 100, &out), 0);
	root = parse(&out);
	rows = json_object_get(root, "sources");
	assert_int_equal(json_array_size(rows), 2);
	b = json_array_get(rows, 1);
	assert_string_equal(text(b, "source"), "b");
	assert_string_equal(text(b, "address"), "127.0.0.11");
	assert_string_equal(text(b, "ehlo"), "mta1.example");
	assert_string_equal(text(json_array_get(rows, 0), "ehlo"), "a.example");
	json_decref(root);
}

static void
messages_are_listed_by_selector(void **state)
{
	struct core_selector all = { 0 }, acme = { .tenant = SL("acme") },
			     old = { .older_than_us = 50 * US_PER_S },
			     nobody = { .domain = SL("nowhere.example") },
			     one = { 0 };
	struct house *st = *state;
	char id[MSGID_TEXT_MAX];
	const json_t *row;
	struct msgid m;
	json_t *root;

	submit(st, "a.example", "acme", 0);
	m = submit(st, "b.example", "zeta", 100);
	root = list(st, &all, 0, 10, 0);
	assert_int_equal(json_array_size(json_object_get(root, "recipients")),
	    2);
	assert_true(json_is_null(json_object_get(root, "cursor")));
	json_decref(root);
	root = list(st, &acme, 0, 10, 0);
	row = json_array_get(json_object_get(root, "recipients"), 0);
	assert_string_equal(text(row, "domain"), "a.example");
	json_decref(root);
	root = list(st, &old, 0, 10, 0);
	row = json_array_get(json_object_get(root, "recipients"), 0);
	assert_string_equal(text(row, "domain"), "b.example");
	assert_int_equal(number(row, "age_s"), 100);
	assert_int_equal(number(row, "expires_s"), 86400);
	assert_true(json_is_null(json_object_get(row, "last")));
	json_decref(root);
	msgid_format(id, &m);
	one.id = slice_str(id);
	root = list(st, &one, 0, 10, 0);
	row = json_array_get(json_object_get(root, "recipients"), 0);
	assert_string_equal(text(row, "id"), id);
	json_decref(root);
	root = list(st, &nobody, 0, 10, E_NOTFOUND);
	assert_int_equal(json_array_size(json_object_get(root, "recipients")),
	    0);
	json_decref(root);
}

static void
a_long_list_is_read_page_by_page(void **state)
{
	struct core_selector all = { 0 };
	struct house *st = *state;
	char domain[64];
	uint64_t cursor = 0;
	size_t seen = 0;

	for (int i = 0; i < 95; i++) {
		snprintf(domain, sizeof(domain), "d%d.example", i);
		submit(st, domain, "", 0);
	}
	for (int page = 0; page < 20; page++) {
		json_t *root = list(st, &all, cursor, 10, 0);
		const json_t *next = json_object_get(root, "cursor");

		seen += json_array_size(json_object_get(root, "recipients"));
		cursor = (uint64_t)json_integer_value(next);
		json_decref(root);
		if (cursor == 0)
			break;
	}
	assert_int_equal(seen, 95);
}

static void
a_message_is_shown_with_its_envelope(void **state)
{
	struct house *st = *state;
	struct msgid m = submit(st, "a.example", "acme", 7);
	char id[MSGID_TEXT_MAX];
	const json_t *row;
	struct buf out;
	json_t *root;

	msgid_format(id, &m);
	buf_init(&out, OUT_MAX);
	assert_int_equal(core_view_message(st->core, slice_str(id), &out), 0);
	root = parse(&out);
	assert_string_equal(text(root, "id"), id);
	assert_string_equal(text(root, "sender"), "s@sender.example");
	assert_int_equal(number(root, "size_bytes"), 100);
	assert_int_equal(number(root, "age_s"), 7);
	row = json_array_get(json_object_get(root, "recipients"), 0);
	assert_string_equal(text(row, "address"), "r@a.example");
	assert_string_equal(text(row, "state"), "queued");
	assert_string_equal(text(row, "why"), "dns");
	json_decref(root);
	buf_init(&out, OUT_MAX);
	assert_int_equal(core_view_message(st->core, SL(""), &out), E_NOTFOUND);
	assert_int_equal(core_view_message(st->core, SL("nonsense"), &out),
	    E_NOTFOUND);
	buf_reset(&st->blobs[1]);
	assert_int_equal(core_view_message(st->core, slice_str(id), &out),
	    E_IO);
	assert_int_equal(out.n, 0);
	buf_free(&out);
}

/* ---- the reasons why ---------------------------------------------------------- */

static json_t *
explain(struct house *st, const char *what, const char *name)
{
	struct core_question q = { .what = slice_str(what),
		.name = slice_str(name),
		.n = 100 };
	struct buf out;

	buf_init(&out, OUT_MAX);
	assert_int_equal(core_explain(st->core, &q, &out), 0);
	return parse(&out);
}

static const json_t *
gate(const json_t *row, const char *name)
{
	const json_t *gates = json_object_get(row, "gates"), *g;
	size_t i;

	json_array_foreach(gates, i, g)
		if (strcmp(text(g, "gate"), name) == 0)
			return g;
	fail_msg("no gate %s", name);
	return NULL;
}

static void
resolve(struct house *st, const char *host)
{
	struct core_answer a = { .status = ENG_DNS_OK,
		.ttl_us = 3600 * US_PER_S,
		.n = 1 };

	a.target[0].host = slice_str(host);
	a.target[0].ip = (struct ip){ .family = 4, .b = { 127, 0, 0, 1 } };
	core_resolved(st->core, st->domain, &a);
}

static void
a_message_is_explained_gate_by_gate(void **state)
{
	struct house *st = *state;
	struct core_answer failed = { .status = ENG_DNS_TEMP };
	const json_t *row;
	char id[MSGID_TEXT_MAX];
	struct msgid m = submit(st, "a.example", "acme", 5);
	json_t *root;

	msgid_format(id, &m);
	core_resolved(st->core, st->domain, &failed);
	root = explain(st, "message", id);
	row = json_array_get(json_object_get(root, "recipients"), 0);
	assert_string_equal(text(row, "address"), "r@a.example");
	assert_string_equal(text(row, "shut_by"), "dns");
	assert_string_equal(text(gate(row, "dns"), "why"), "dns-failed");
	assert_in_range(number(gate(row, "dns"), "until_s"), 1, 3600);
	assert_string_equal(text(gate(row, "hold"), "state"), "open");
	assert_string_equal(text(gate(row, "source"), "state"), "not reached");
	assert_int_equal(number(row, "next_s"),
	    number(gate(row, "dns"), "until_s"));
	json_decref(root);
}

static void
a_gate_of_sources_counts_those_that_pass(void **state)
{
	struct house *st = *state;
	char id[MSGID_TEXT_MAX];
	const json_t *row;
	struct msgid m = submit(st, "a.example", "acme", 5);
	json_t *root;

	msgid_format(id, &m);
	resolve(st, "mx.a.example");
	submit(st, "a.example", "acme", 0);
	root = explain(st, "message", id);
	row = json_array_get(json_object_get(root, "recipients"), 0);
	assert_string_equal(text(row, "site"), "mx.a.example");
	assert_true(json_is_null(json_object_get(row, "shut_by")));
	assert_int_equal(number(gate(row, "source"), "sources"), 2);
	assert_int_equal(number(gate(row, "source"), "sources_open"), 2);
	json_decref(root);
	root = explain(st, "domain", "a.example");
	assert_string_equal(text(root, "dns"), "ok");
	assert_int_equal(number(root, "recipients"), 2);
	assert_int_equal(json_array_size(json_object_get(root, "queues")), 1);
	row = json_array_get(json_object_get(root, "queues"), 0);
	assert_int_equal(number(row, "due"), 2);
	assert_string_equal(text(gate(row, "host"), "state"), "open");
	json_decref(root);
	root = explain(st, "source", "a");
	row = json_array_get(json_object_get(root, "sites"), 0);
	assert_string_equal(text(row, "site"), "mx.a.example");
	assert_int_equal(number(row, "conns"), 1);
	assert_int_equal(number(row, "waiting"), 2);
	json_decref(root);
}

static void
what_nobody_knows_is_not_explained(void **state)
{
	struct house *st = *state;
	struct core_question q = { .what = SL("message"),
		.name = SL("x"),
		.n = 100 };
	struct buf out;

	buf_init(&out, OUT_MAX);
	assert_int_equal(core_explain(st->core, &q, &out), E_NOTFOUND);
	q.what = SL("domain");
	assert_int_equal(core_explain(st->core, &q, &out), E_NOTFOUND);
	q.what = SL("source");
	assert_int_equal(core_explain(st->core, &q, &out), E_NOTFOUND);
	q.what = SL("colour");
	assert_int_equal(core_explain(st->core, &q, &out), E_RANGE);
	assert_int_equal(out.n, 0);
	buf_free(&out);
}

/* ---- metrics ----------------------------------------------------------------------------- */

static void
metrics(struct house *st, struct buf *out)
{
	buf_init(out, OUT_MAX);
	core_view_metrics(st->core, out);
	assert_false(out->failed);
}

/* The line of a series begins with its name and labels. */
static bool
is_series(struct slice line)
{
	return line.n > 0 && line.p[0] != '#';
}

/* Of those up to that age, from the one before on; -1: of the others. */
static int64_t
of_age(const json_t *row, int64_t up_to_s)
{
	const json_t *one;
	size_t i;

	json_array_foreach(json_object_get(row, "ages"), i, one) {
		const json_t *up_to = json_object_get(one, "up_to_s");

		if (up_to_s < 0 ? json_is_null(up_to) :
				  json_integer_value(up_to) == up_to_s)
			return number(one, "recipients");
	}
	fail_msg("no such age");
	return 0;
}

/* The first 31 are not worth a look. */
static void
a_queue_says_how_old_its_mail_is(void **state)
{
	struct house *st = *state;
	const json_t *row;
	json_t *root;

	for (int i = 0; i < 33; i++)
		submit(st, "a.example", "", 0);
	for (int i = 0; i < 5; i++)
		submit(st, "a.example", "", 600);
	for (int i = 0; i < 3; i++)
		submit(st, "a.example", "", 4 * 3600);
	submit(st, "a.example", "", 20 * 3600);
	for (int i = 0; i < 2; i++)
		submit(st, "a.example", "", 10 * 86400);
	root = explain(st, "domain", "a.example");
	row = json_array_get(json_object_get(root, "queues"), 0);
	assert_int_equal(of_age(row, 300), 2);
	assert_int_equal(of_age(row, 900), 5);
	assert_int_equal(of_age(row, 1800), 0);
	assert_int_equal(of_age(row, 18000), 3);
	assert_int_equal(of_age(row, 86400), 1);
	assert_int_equal(of_age(row, -1), 2);
	assert_int_equal(number(row, "ages_unknown"), 31);
	json_decref(root);
	/* They move to the queue of its hosts, and are six hours older. */
	resolve(st, "mx.tight.example");
	core_clock(st->core, NOW_US + 21600 * US_PER_S,
	    WALL_US + 21600 * US_PER_S);
	core_tick(st->core);
	root = explain(st, "domain", "a.example");
	row = json_array_get(json_object_get(root, "queues"), 0);
	assert_int_equal(number(row, "ages_unknown"), 31);
	assert_int_equal(of_age(row, 300) + of_age(row, 18000), 0);
	assert_int_equal(of_age(row, 43200) + of_age(row, 172800) +
		of_age(row, -1),
	    13);
	json_decref(root);
}

static json_t *
limits(struct house *st, const char *filter, uint64_t cursor, uint32_t n)
{
	struct buf out;

	buf_init(&out, OUT_MAX);
	core_view_limits(st->core, slice_str(filter), cursor, n, &out);
	return parse(&out);
}

static void
limits_are_shown_tuple_by_tuple(void **state)
{
	struct house *st = *state;
	const json_t *rows, *row;
	json_t *root;
	struct buf out;

	root = limits(st, "", 0, 10);
	assert_int_equal(json_array_size(json_object_get(root, "limits")), 2);
	assert_int_equal(json_array_size(json_object_get(root, "tuples")), 0);
	assert_true(json_is_null(json_object_get(root, "cursor")));
	json_decref(root);
	for (int i = 0; i < 3; i++)
		submit(st, "tight.example", "acme", 5);
	resolve(st, "mx.tight.example");
	root = limits(st, "TIGHT", 0, 1);
	assert_int_equal(json_array_size(json_object_get(root, "limits")), 1);
	rows = json_object_get(root, "tuples");
	assert_int_equal(json_array_size(rows), 1);
	row = json_array_get(rows, 0);
	assert_string_equal(text(row, "limit"), "tight");
	assert_string_equal(text(json_object_get(row, "tuple"), "source"), "a");
	row = json_object_get(row, "connections");
	assert_int_equal(number(row, "now"), 1);
	assert_int_equal(number(row, "most"), 1);
	row = json_array_get(rows, 0);
	assert_true(json_is_true(json_object_get(row, "is_shut")));
	/* Until a connection goes. */
	assert_true(json_is_null(json_object_get(row, "until")));
	assert_true(number(row, "refusals") >= 0);
	json_decref(root);
	root = limits(st, "nothing of that kind", 0, 10);
	assert_int_equal(json_array_size(json_object_get(root, "limits")), 0);
	assert_int_equal(json_array_size(json_object_get(root, "tuples")), 0);
	json_decref(root);
	metrics(st, &out);
	buf_addc(&out, '\0');
	assert_non_null(
	    strstr(out.p, "\nmtad_limit_waiting{limit=\"each\"} 0\n"));
	assert_non_null(strstr(out.p,
	    "# TYPE mtad_limit_blocked_path_seconds_total counter\n"));
	buf_free(&out);
}

static void
metrics_have_help_and_type_and_appear_once(void **state)
{
	struct house *st = *state;
	struct slice rest, line, seen, name;
	struct buf out;
	size_t n;

	submit(st, "a.example", "acme", 5);
	submit(st, "b.example", "", 5);
	metrics(st, &out);
	rest = buf_slice(&out);
	assert_true(rest.n > 0 && rest.p[rest.n - 1] == '\n');
	while (rest.n > 0) {
		line = slice_cut(&rest, '\n');
		if (!is_series(line))
			continue;
		assert_true(slice_has_prefix(line, SL("mtad_")));
		name = slice_of(line.p, slice_index(line, ' '));
		/* Before it stand its help and type, and not itself. */
		seen = slice_of(out.p, (size_t)(line.p - 1 - out.p));
		n = (size_t)((const char *)memrchr(line.p, ' ', line.n) -
		    line.p);
		assert_null(memmem(seen.p, seen.n, line.p - 1, n + 2));
		name.n = MIN(name.n, slice_index(name, '{'));
		assert_non_null(memmem(seen.p, seen.n, name.p, name.n));
	}
	buf_addc(&out, '\0');
	assert_non_null(strstr(out.p, "\nmtad_recipients 2\n"));
	assert_non_null(strstr(out.p, "# TYPE mtad_received_total counter\n"));
	assert_non_null(strstr(out.p, "# TYPE mtad_recipients gauge\n"));
	assert_non_null(strstr(out.p, "# HELP mtad_parks_total Times a path"));
	assert_non_null(strstr(out.p,
	    "mtad_queue_waits{domain=\"a.example\",site=\"\","
	    "pool=\"default\",tenant=\"acme\",campaign=\"\",why=\"dns\"} 1"));
	buf_free(&out);
}

static void
series_stay_under_their_ceiling(void **state)
{
	struct house *st = *state;
	struct slice rest;
	struct buf out;
	char domain[64];
	int series = 0;

	for (int i = 0; i < 5000; i++) {
		snprintf(domain, sizeof(domain), "d%d.example", i);
		submit(st, domain, "", 0);
	}
	metrics(st, &out);
	rest = buf_slice(&out);
	while (rest.n > 0)
		series += is_series(slice_cut(&rest, '\n'));
	assert_in_range(series, 1000, SERIES_MAX - 500);
	buf_addc(&out, '\0');
	assert_non_null(strstr(out.p, "\nmtad_recipients 5000\n"));
	buf_free(&out);
}

static void
labels_are_escaped(void **state)
{
	struct house *st = *state;
	struct buf out;

	submit(st, "a.example", "t\"x\\y\nz\xff", 0);
	metrics(st, &out);
	buf_addc(&out, '\0');
	assert_non_null(
	    strstr(out.p, "tenant=\"t\\\"x\\\\y\\nz\xef\xbf\xbd\""));
	buf_free(&out);
}

#define STAGED(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		STAGED(status_counts_and_names_the_moment),
		STAGED(a_queue_says_why_it_waits),
		STAGED(a_failed_look_up_says_until_when),
		STAGED(queues_are_sorted_and_cut),
		STAGED(sources_have_their_address_and_name),
		STAGED(messages_are_listed_by_selector),
		STAGED(a_long_list_is_read_page_by_page),
		STAGED(a_message_is_shown_with_its_envelope),
		STAGED(a_message_is_explained_gate_by_gate),
		STAGED(a_gate_of_sources_counts_those_that_pass),
		STAGED(what_nobody_knows_is_not_explained),
		STAGED(a_queue_says_how_old_its_mail_is),
		STAGED(limits_are_shown_tuple_by_tuple),
		STAGED(metrics_have_help_and_type_and_appear_once),
		STAGED(series_stay_under_their_ceiling),
		STAGED(labels_are_escaped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

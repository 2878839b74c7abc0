/*
 * daemon/verb_spool.c - `mtad spool check|ls|cat|export`: looks into the spool
 * of a daemon that is stopped. Nothing is changed.
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <sys/stat.h>

#include "conf/conf.h"
#include "daemon/verbs.h"
#include "spool/spool.h"

static const char usage[] =
    "usage: mtad spool check|ls|cat ID|export DIR [-c FILE | --spool DIR]\n"
    "\n"
    "Looks into the spool while the daemon is stopped.\n"
    "\n"
    "  check        read every record and its checksum\n"
    "  ls           one line a message\n"
    "  cat ID       the message as it was received\n"
    "  export DIR   ID.json (envelope) and ID.eml for every message\n"
    "\n"
    "  -c FILE      configuration (default /etc/mtad/mtad.yml)\n"
    "  --spool DIR  the spool itself\n"
    "\n"
    "exit status: 0 good, 1 damage found or no such message, 2 wrong usage,\n"
    "3 the spool cannot be opened\n";

struct tool {
	const char *dir;
	struct conf *conf;
	struct disk *disk;
	struct spool *spool;
	uint64_t messages, recipients, bytes, damaged;
};

static void
report(void *ctx, const char *line)
{
	(void)ctx;
	fprintf(stderr, "%s\n", line);
}

static int
tool_open(struct tool *t, const char *config)
{
	struct conf_errors errs = { .report = report };
	struct spool_conf sc;
	char why[512];

	spool_conf_default(&sc);
	if (!t->dir) {
		t->conf = conf_load(config, &errs);
		if (!t->conf)
			return 3;
		t->dir = t->conf->spool.p;
		sc.segment_bytes = (uint32_t)t->conf->spool_segment_bytes;
	}
	sc.max_messages = 1u << 30;
	if (disk_posix_open(&t->disk, t->dir, true, why, sizeof(why)) == 0) {
		snprintf(why, sizeof(why), "not readable");
		if (t->disk->ops->lock(t->disk) == E_BUSY)
			snprintf(why, sizeof(why), "in use (is mtad running?)");
		else if (spool_open(&t->spool, &sc, t->disk, true, why,
			     sizeof(why)) == 0)
			return 0;
	}
	fprintf(stderr, "mtad spool: %s: %s\n", t->dir, why);
	return 3;
}

static void
tool_close(struct tool *t)
{
	if (t->spool)
		spool_close(t->spool);
	if (t->disk)
		t->disk->ops->close(t->disk);
	if (t->conf)
		conf_free(t->conf);
}

static void
print_damage(struct tool *t, const struct spool_damage *d)
{
	char id[MSGID_TEXT_MAX] = "-";

	if (d->has_id)
		msgid_format(id, &d->id);
	t->damaged++;
	fprintf(stderr, "damaged: file %u offset %u length %u id %s: %s\n",
	    d->file, d->offset, d->length, id, d->what);
}

/* The whole message in memory, checked. NULL with a word on stderr. */
static char *
read_message(struct tool *t, const struct spool_found *f, struct slice *body)
{
	char id[MSGID_TEXT_MAX], *raw = mem_try(spool_record_bytes(&f->ref));
	struct slice env;
	int err = E_NOMEM;

	if (raw)
		err =
		    spool_read_whole(t->disk, &f->ref, &f->id, raw, &env, body);
	if (!err)
		return raw;
	msgid_format(id, &f->id);
	fprintf(stderr, "%s: %s\n", id, err_text(err));
	t->damaged++;
	mem_free(raw);
	return NULL;
}

static void
list(const struct spool_found *f, const struct envelope *e, struct cursor rcpts)
{
	char id[MSGID_TEXT_MAX], when[32], text[400];
	struct env_rcpt r;

	msgid_format(id, &f->id);
	date_iso(when, e->arrival_us);
	text_escape(e->sender, text, sizeof(text));
	printf("%s %.19sZ %8llu <%s>", id, when,
	    (unsigned long long)e->body_bytes, text);
	for (uint32_t i = 0; env_rcpt_next(&rcpts, &r); i++) {
		text_escape(r.address, text, sizeof(text));
		if (!f->rcpts[i].is_final)
			printf(" %s", text);
	}
	putchar('\n');
}

static void
put_rcpt(struct jsonw *w, const struct env_rcpt *r, const struct spool_rcpt *s)
{
	char when[32];

	jw_open(w, '{');
	jw_kstr(w, "address", r->address);
	jw_ku64(w, "attempts", s->attempts);
	jw_kbool(w, "final", s->is_final);
	jw_kbool(w, "notice_owed", s->is_owed);
	if (s->outcome.klass)
		jw_kstr(w, "last", slice_str(outcome_name(s->outcome.klass)));
	if (s->outcome.code)
		jw_ku64(w, "code", s->outcome.code);
	if (s->due_us == TIME_NEVER)
		jw_kbool(w, "held", true);
	else if (s->due_us)
		jw_kstr(w, "due", slice_of(when, date_iso(when, s->due_us)));
	jw_close(w, '}');
}

static void
put_envelope(struct buf *out, const struct spool_found *f,
    const struct envelope *e, struct cursor rcpts)
{
	char id[MSGID_TEXT_MAX], when[32], ip[IP_TEXT_MAX];
	struct env_rcpt r;
	struct jsonw w;

	jw_init(&w, out);
	jw_open(&w, '{');
	jw_kstr(&w, "id", slice_of(id, msgid_format(id, &f->id)));
	jw_kstr(&w, "arrival", slice_of(when, date_iso(when, e->arrival_us)));
	jw_kstr(&w, "expires", slice_of(when, date_iso(when, e->expires_us)));
	jw_kstr(&w, "client", slice_of(ip, ip_format(ip, &e->client)));
	jw_kstr(&w, "sender", e->sender);
	jw_kstr(&w, "tenant", e->tenant);
	jw_kstr(&w, "campaign", e->campaign);
	jw_kstr(&w, "pool", e->pool);
	jw_ku64(&w, "size", e->body_bytes);
	jw_kbool(&w, "dsn", e->flags & ENV_DSN);
	jw_key(&w, "recipients");
	jw_open(&w, '[');
	for (uint32_t i = 0; env_rcpt_next(&rcpts, &r); i++)
		put_rcpt(&w, &r, &f->rcpts[i]);
	jw_close(&w, ']');
	jw_close(&w, '}');
	buf_addc(out, '\n');
}

static bool
save(const char *dir, const char *id, const char *kind, struct slice data)
{
	char path[4096];
	FILE *f;
	bool ok;

	snprintf(path, sizeof(path), "%s/%s.%s", dir, id, kind);
	f = fopen(path, "wbx");
	ok = f && fwrite(data.p, 1, data.n, f) == data.n;
	if (!ok || fclose(f)) {
		fprintf(stderr, "cannot write %s\n", path);
		return false;
	}
	return true;
}

static int
export_one(struct tool *t, const struct spool_found *f,
    const struct envelope *e, struct cursor rcpts, const char *dir)
{
	char id[MSGID_TEXT_MAX], *raw;
	struct slice body;
	struct buf json;
	bool ok;

	raw = read_message(t, f, &body);
	if (!raw)
		return 0; /* counted; the others go on */
	msgid_format(id, &f->id);
	buf_init(&json, 16u << 20);
	put_envelope(&json, f, e, rcpts);
	ok = save(dir, id, "json", buf_slice(&json)) &&
	    save(dir, id, "eml", body);
	buf_free(&json);
	mem_free(raw);
	return ok ? 0 : 1;
}

static int
one(struct tool *t, const struct spool_found *f, struct slice what,
    const char *arg)
{
	char id[MSGID_TEXT_MAX], *raw = NULL;
	struct envelope e;
	struct cursor rcpts;
	struct slice body;

	t->messages++;
	t->recipients += f->nrcpt;
	t->bytes += f->ref.body_bytes;
	if (env_decode(f->envelope, &e, &rcpts) || e.nrcpt != f->nrcpt) {
		fprintf(stderr, "envelope not readable\n");
		t->damaged++;
		return 0;
	}
	msgid_format(id, &f->id);
	if (slice_eq(what, SL("ls")))
		list(f, &e, rcpts);
	else if (slice_eq(what, SL("export")))
		return export_one(t, f, &e, rcpts, arg);
	else if (slice_eq(what, SL("check")))
		raw = read_message(t, f, &body);
	else if (slice_ieq(slice_str(id), slice_str(arg)) &&
	    (raw = read_message(t, f, &body))) {
		fwrite(body.p, 1, body.n, stdout);
		t->recipients = UINT64_MAX; /* found */
	}
	mem_free(raw);
	return 0;
}

static int
walk(struct tool *t, struct slice what, const char *arg)
{
	struct spool_found f;
	struct spool_damage d;
	bool is_cat = slice_eq(what, SL("cat")), found = false;
	int got;

	while ((got = spool_scan(t->spool, &f, &d)) > 0) {
		if (got == 2)
			print_damage(t, &d);
		else if (one(t, &f, what, arg))
			return 1;
		found |= t->recipients == UINT64_MAX;
		if (is_cat && found)
			return 0;
	}
	if (got < 0) {
		fprintf(stderr, "mtad spool: %s\n", err_text(got));
		return 3;
	}
	if (slice_eq(what, SL("check")))
		printf("%llu messages, %llu recipients, %llu bytes, "
		       "%llu damaged\n",
		    (unsigned long long)t->messages,
		    (unsigned long long)t->recipients,
		    (unsigned long long)t->bytes,
		    (unsigned long long)t->damaged);
	if (is_cat)
		fprintf(stderr, "no message %s\n", arg);
	return is_cat || t->damaged ? 1 : 0;
}

int
verb_spool(int argc, char **argv)
{
	static const struct option longs[] = { { "help", no_argument, NULL,
						   'h' },
		{ "config", required_argument, NULL, 'c' },
		{ "spool", required_argument, NULL, 's' }, { 0 } };
	const char *config = "/etc/mtad/mtad.yml", *arg = NULL;
	struct tool t = { 0 };
	struct slice what;
	bool takes;
	int o, rc;

	while ((o = getopt_long(argc, argv, "hc:s:", longs, NULL)) != -1) {
		if (o == 'c')
			config = optarg;
		else if (o == 's')
			t.dir = optarg;
		else {
			fputs(usage, o == 'h' ? stdout : stderr);
			return o == 'h' ? 0 : 2;
		}
	}
	what = slice_str(optind < argc ? argv[optind++] : "");
	takes = slice_eq(what, SL("cat")) || slice_eq(what, SL("export"));
	if (takes && optind < argc)
		arg = argv[optind++];
	if (optind < argc || (takes && !arg) ||
	    !(takes || slice_eq(what, SL("check")) ||
		slice_eq(what, SL("ls")))) {
		fputs(usage, stderr);
		return 2;
	}
	if (slice_eq(what, SL("export")) && mkdir(arg, 0700) &&
	    errno != EEXIST) {
		fprintf(stderr, "cannot make directory %s\n", arg);
		return 3;
	}
	rc = tool_open(&t, config);
	if (!rc)
		rc = walk(&t, what, arg);
	tool_close(&t);
	return rc;
}

/*
 * daemon/verb_suppress_bulk.c - mtad suppress import and export: on the file, also
 * while a daemon runs, which is told when all is in and builds a new filter.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include "control/control.h"
#include "daemon/verb_suppress_i.h"

#define LINE_MAX_BYTES 65536u
#define CHUNK (256u << 10)
#define CACHE_BYTES (64u << 20)
#define SHOW_NS 200000000L
#define REFRESH_S 600 /* a daemon that has no new filter by then */

static volatile sig_atomic_t is_interrupted;

struct import {
	struct suppress_options *o;
	const char *file; /* of the lines */
	struct suppress_load *load;
	struct suppress_line_conf lc;
	struct suppress_line line;
	uint64_t lines, good, bad;
	bool shows, is_format_known;
	struct timespec shown;
	const char *step;
};

static void
on_signal(int sig)
{
	(void)sig;
	is_interrupted = 1;
}

/* ---- progress -------------------------------------------------------------------- */

static bool
told(void *ctx, uint64_t done)
{
	struct import *im = ctx;
	struct timespec now;
	int64_t ns;

	if (is_interrupted)
		return false;
	if (!im->shows)
		return true;
	clock_gettime(CLOCK_MONOTONIC, &now);
	ns = (now.tv_sec - im->shown.tv_sec) * INT64_C(1000000000) +
	    (now.tv_nsec - im->shown.tv_nsec);
	if (ns < SHOW_NS)
		return true;
	im->shown = now;
	if (im->step != NULL)
		fprintf(stderr, "\r\033[K%llu lines %s",
		    (unsigned long long)im->lines, im->step);
	else
		fprintf(stderr, "\r\033[K%llu of %llu in",
		    (unsigned long long)done, (unsigned long long)im->good);
	/* Sorting gives no numbers; with the first entry in it is over. */
	if (im->step != NULL && done > 0)
		im->step = NULL;
	return true;
}

static void
show_end(struct import *im)
{
	if (im->shows)
		fputs("\r\033[K", stderr);
}

/* ---- lines ----------------------------------------------------------------------- */

/* 0; E_SYNTAX: a line is wrong and was said so; else E_*. */
static int
take_line(struct import *im, struct slice line)
{
	const char *why = NULL;
	int err;

	im->lines++;
	if (!im->is_format_known && slice_trim(line).n > 0) {
		if (slice_trim(line).p[0] == '{')
			im->o->format = SUPPRESS_JSON;
		im->is_format_known = true;
	}
	err = suppress_line_read(im->o->format, line, &im->lc, &im->line, &why);
	if (err == E_NOTFOUND)
		return 0;
	if (err) {
		show_end(im);
		fprintf(stderr, "%s:%llu: %s\n", im->file,
		    (unsigned long long)im->lines, why);
		im->bad++;
		return 0;
	}
	im->good++;
	return im->o->dry_run ? 0 : suppress_load_add(im->load, &im->line.e);
}

static void
too_long(struct import *im)
{
	fprintf(stderr, "%s:%llu: the line is too long\n", im->file,
	    (unsigned long long)++im->lines);
	im->bad++;
}

/* What is whole of the buffer; is_last: the rest as well. */
static int
take_lines(struct import *im, struct buf *b, bool is_last)
{
	int err = 0;

	while (b->n > 0 && !err) {
		struct slice all = buf_slice(b);
		const char *end = memchr(all.p, '\n', all.n);

		if (end == NULL && !is_last)
			return 0;
		all.n = end ? (size_t)(end - all.p) : all.n;
		if (all.n > LINE_MAX_BYTES)
			too_long(im);
		else
			err = take_line(im, all);
		buf_consume(b, MIN(all.n + 1, b->n));
	}
	return err;
}

static int
read_lines(struct import *im, int fd)
{
	struct buf b;
	ssize_t n;
	char *room;
	int err = 0;

	buf_init(&b, CHUNK + 2 * LINE_MAX_BYTES);
	while (!err) {
		room = buf_room(&b, CHUNK);
		if (room == NULL) { /* one line alone */
			fprintf(stderr, "%s:%llu: the line is too long\n",
			    im->file, (unsigned long long)im->lines + 1);
			im->bad++;
			err = E_TOOBIG;
			break;
		}
		n = read(fd, room, CHUNK);
		if (n < 0 && errno == EINTR && !is_interrupted)
			continue;
		if (n < 0) {
			err = is_interrupted ? E_CLOSED : err_from_errno(errno);
			break;
		}
		buf_grew(&b, (size_t)n);
		err = take_lines(im, &b, n == 0);
		if (n == 0)
			break;
		if (!err && is_interrupted)
			err = E_CLOSED;
	}
	buf_free(&b);
	return err;
}

/* ---- the daemon ------------------------------------------------------------------ */

static int
number_of(struct suppress_options *o, struct slice body, const char *key,
    uint64_t *n)
{
	struct buf answer;
	json_t *root;
	int status =
	    verb_ask_json(&o->peer, "/v1/suppression", body, &answer, &root);

	if (status == VERB_OK)
		*n = verb_u64(root, key);
	json_decref(root);
	buf_free(&answer);
	return status;
}

/* Until it has a filter of what is in the file now. */
static int
refresh(struct suppress_options *o)
{
	static const struct timespec pause = { .tv_nsec = 50000000 };
	time_t until = time(NULL) + REFRESH_S;
	uint64_t wanted = 0, built = 0;
	int status =
	    number_of(o, SL("{\"verb\":\"refresh\"}"), "wanted", &wanted);

	while (status == VERB_OK && built < wanted) {
		status = number_of(o, slice_of("", 0), "built", &built);
		if (built < wanted)
			nanosleep(&pause, NULL);
		if (built < wanted && time(NULL) > until) {
			fprintf(stderr,
			    "mtad suppress: the daemon has no new filter yet; "
			    "see its log\n");
			return VERB_FAILED;
		}
	}
	return status;
}

/* ---- import ---------------------------------------------------------------------- */

static int
said(struct import *im, int err, uint64_t done)
{
	show_end(im);
	if (err == E_CLOSED)
		fprintf(stderr,
		    "mtad suppress: interrupted; %llu entries are in, and the "
		    "same import again does no harm\n",
		    (unsigned long long)done);
	else if (err)
		fprintf(stderr, "mtad suppress: %s: %s\n", im->o->file,
		    im->load ? suppress_load_why(im->load) : err_text(err));
	else if (im->o->json)
		printf("{\"lines\":%llu,\"imported\":%llu,\"refused\":%llu}\n",
		    (unsigned long long)im->lines, (unsigned long long)done,
		    (unsigned long long)im->bad);
	else
		printf("%llu lines, %llu %s, %llu refused\n",
		    (unsigned long long)im->lines, (unsigned long long)done,
		    im->o->dry_run ? "right" : "imported",
		    (unsigned long long)im->bad);
	return err || im->bad ? VERB_FAILED : VERB_OK;
}

/* Reads all, then puts it in. */
static int
import_all(struct import *im, int fd)
{
	uint64_t done = 0;
	int err, status;

	im->step = "read";
	err = read_lines(im, fd);
	if (!err && im->bad && im->o->all_or_none) {
		fprintf(stderr, "mtad suppress: nothing is imported\n");
		return said(im, 0, 0);
	}
	if (im->o->dry_run)
		return said(im, err, im->good);
	if (!err) {
		im->step = "read, sorting";
		err = suppress_load_end(im->load, &done);
	}
	status = said(im, err, done);
	if (done > 0 && suppress_is_served(im->o)) {
		err = refresh(im->o);
		status = err != VERB_OK ? err : status;
	}
	return status;
}

static bool
defaults(struct import *im)
{
	const struct suppress_options *o = im->o;
	struct suppress_line_conf *lc = &im->lc;

	lc->tenant = slice_str(o->tenant ? o->tenant : "");
	lc->reason = slice_str(o->reason ? o->reason : "");
	lc->source = slice_str(o->source ? o->source : "");
	lc->now_s = time(NULL);
	return suppress_time(slice_str(o->expires ? o->expires : ""), lc->now_s,
		   &lc->expires_s) == 0;
}

static int
import_into(struct import *im, int fd)
{
	struct sigaction sa = { .sa_handler = on_signal };
	struct suppress_db *d;
	char why[256];
	int status;

	if (suppress_open(&d, im->o->file, SUPPRESS_WRITE, CACHE_BYTES, 0, why,
		sizeof(why))) {
		fprintf(stderr, "mtad suppress: %s: %s\n", im->o->file, why);
		return VERB_AWAY;
	}
	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGTERM, &sa, NULL);
	im->shows = isatty(STDERR_FILENO);
	im->load = suppress_load_new(d, told, im);
	status = import_all(im, fd);
	suppress_load_free(im->load);
	suppress_close(d);
	return status;
}

int
suppress_import(struct suppress_options *o)
{
	struct import im = { .o = o, .file = "input" };
	int fd = STDIN_FILENO, status = suppress_find_file(o);

	if (status != VERB_OK)
		return status;
	if (!defaults(&im))
		return verb_usage("suppress",
		    "--expires: no time:", o->expires);
	if (o->nnames > 0 && strcmp(o->names[0], "-") != 0) {
		im.file = o->names[0];
		fd = open(im.file, O_RDONLY | O_CLOEXEC);
		if (fd < 0) {
			fprintf(stderr, "mtad suppress: %s: %s\n", im.file,
			    strerrordesc_np(errno));
			return VERB_FAILED;
		}
	}
	status = import_into(&im, fd);
	if (fd != STDIN_FILENO)
		close(fd);
	return status;
}

/* ---- export ---------------------------------------------------------------------- */

static bool
is_wanted(const struct suppress_options *o, const struct suppress_entry *e,
    struct slice domain, int64_t now_s)
{
	struct slice d = e->is_domain ? e->name : mailbox_domain(e->name);

	if (e->expires_s != 0 && e->expires_s <= now_s)
		return false;
	if (o->tenant && !slice_eq(e->tenant, slice_str(o->tenant)))
		return false;
	if (slice_has_prefix(d, SL("*.")))
		d = slice_skip(d, 2);
	return domain.n == 0 || slice_eq(d, domain);
}

static int
export_all(struct suppress_options *o, struct suppress_db *d,
    struct slice domain)
{
	struct suppress_place from = { .tenant = slice_str(
					   o->tenant ? o->tenant : "") };
	struct suppress_walk *w = suppress_walk(d, &from);
	int64_t now_s = time(NULL);
	struct suppress_entry e;
	struct buf out;
	int more = w ? 1 : E_IO;

	buf_init(&out, 1u << 20);
	while (more > 0 && (more = suppress_next(w, &e)) > 0) {
		if (is_wanted(o, &e, domain, now_s))
			suppress_line_write(o->format, &e, &out);
		else if (o->tenant && !slice_eq(e.tenant, slice_str(o->tenant)))
			more = 0; /* they are in the order of tenants */
		if (out.n >= CHUNK) {
			if (fwrite(buf_slice(&out).p, 1, out.n, stdout) !=
			    out.n)
				more = E_IO;
			buf_reset(&out);
		}
	}
	if (fwrite(buf_slice(&out).p, 1, out.n, stdout) != out.n)
		more = E_IO;
	if (more < 0)
		fprintf(stderr, "mtad suppress: %s: %s\n", o->file,
		    suppress_why(d));
	buf_free(&out);
	if (w)
		suppress_walk_end(w);
	return more < 0 ? VERB_FAILED : VERB_OK;
}

int
suppress_export(struct suppress_options *o)
{
	char text[SUPPRESS_NAME_MAX + 1], why[256];
	struct slice domain = SL("");
	struct suppress_db *d;
	bool is_domain = true;
	int status = suppress_find_file(o);

	if (status != VERB_OK)
		return status;
	if (o->domain &&
	    (suppress_name(slice_str(o->domain), text, &domain, &is_domain) ||
		!is_domain))
		return verb_usage("suppress",
		    "--domain: no domain:", o->domain);
	if (suppress_open(&d, o->file, SUPPRESS_READ, CACHE_BYTES, 0, why,
		sizeof(why))) {
		fprintf(stderr, "mtad suppress: %s: %s\n", o->file, why);
		return VERB_AWAY;
	}
	if (o->json)
		o->format = SUPPRESS_JSON;
	status = export_all(o, d, domain);
	suppress_close(d);
	return status;
}

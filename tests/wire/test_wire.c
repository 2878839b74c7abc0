/*
 * Transcripts: every tests/wire/FILE.txt is one conversation, fed whole, byte by
 * byte, and cut in two at every place. All of these must give the output and
 * the acts that the transcript has.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <dirent.h>
#include <stdlib.h>

#include "wire/script.h"

#define FILES_MAX 256

enum cut { CUT_NONE, CUT_BYTES, CUT_AT };

/* How the input of a run is cut. */
struct way {
	enum cut cut;
	size_t at; /* CUT_AT: offset in all of the input */
};

static struct script scripts[FILES_MAX];
static uint32_t nscripts;

/* Length of the next piece of a turn of which n bytes are left, at offset
 * `from` of the input. */
static size_t
piece_length(const struct way *way, size_t from, size_t n)
{
	if (way->cut == CUT_BYTES)
		return 1;
	if (way->cut == CUT_AT && way->at > from && way->at < from + n)
		return way->at - from;
	return n;
}

/* ---- running -------------------------------------------------------------------- */

static void
srv_event(struct srv_drive *d, const char *event)
{
	if (strcmp(event, "shut") == 0)
		smtp_srv_shut(&d->srv, SL("going down"), false);
	else if (strcmp(event, "shut-gently") == 0)
		smtp_srv_shut(&d->srv, SL("going down"), true);
	else if (strcmp(event, "timeout") == 0)
		smtp_srv_timeout(&d->srv);
	else
		assert_string_equal(event, "");
	srv_drive_turn(d);
}

static void
run_server(const struct script *s, const struct way *way, struct buf *out,
    struct buf *acts)
{
	struct smtp_srv_conf conf = s->srv;
	struct srv_drive d;

	if (s->auth)
		conf.auth = SL("PLAIN LOGIN");
	srv_drive_init(&d, &conf);
	d.srv.trusts = s->trusts;
	d.tls_fails = s->tls_fails;
	for (uint32_t i = 0; i < s->nturns; i++) {
		size_t at = s->turns[i].from, end = at + s->turns[i].n, n;

		for (; at < end; at += n) {
			n = piece_length(way, at, end - at);
			srv_drive_feed(&d, slice_of(s->input.p + at, n));
		}
		srv_event(&d, s->turns[i].event);
	}
	buf_adds(out, buf_slice(&d.out));
	buf_adds(acts, buf_slice(&d.acts));
	srv_drive_free(&d);
}

static void
cli_event(struct cli_drive *d, const char *event)
{
	if (strcmp(event, "gone") == 0) {
		cli_drive_gone(d);
	} else if (strcmp(event, "timeout") == 0) {
		cli_drive_timeout(d);
	} else {
		assert_string_equal(event, "");
		cli_drive_turn(d);
	}
}

static void
run_client(const struct script *s, const struct way *way, struct buf *out,
    struct buf *acts)
{
	struct cli_drive d;

	cli_drive_init(&d, &s->cli, s->mails, s->nmails);
	d.tls_fails = s->tls_fails;
	d.quits = s->quits;
	d.piece_max = way->cut == CUT_BYTES ? 1 : way->at % 7;
	for (uint32_t i = 0; i < s->nturns; i++) {
		size_t at = s->turns[i].from, end = at + s->turns[i].n, n;

		for (; at < end; at += n) {
			n = piece_length(way, at, end - at);
			cli_drive_feed(&d, slice_of(s->input.p + at, n));
		}
		cli_event(&d, s->turns[i].event);
	}
	buf_adds(out, buf_slice(&d.out));
	buf_adds(acts, buf_slice(&d.acts));
	cli_drive_free(&d);
}

/* ---- comparing ------------------------------------------------------------------- */

static void
compare(const char *what, const struct way *way, const struct buf *want,
    const struct buf *got)
{
	struct slice w = buf_slice(want), g = buf_slice(got);

	if (slice_eq(w, g))
		return;
	fail_msg("%s differ (cut %d at %zu)\n--- expected\n%.*s--- got\n%.*s",
	    what, way->cut, way->at, SLF(w), SLF(g));
}

static void
run_way(const struct script *s, struct way way)
{
	struct buf out, acts;

	buf_init(&out, 1u << 24);
	buf_init(&acts, 1u << 24);
	if (s->is_server)
		run_server(s, &way, &out, &acts);
	else
		run_client(s, &way, &out, &acts);
	compare("acts", &way, &s->acts, &acts);
	compare("outputs", &way, &s->output, &out);
	buf_free(&out);
	buf_free(&acts);
}

static void
test_script(void **state)
{
	const struct script *s = *state;

	run_way(s, (struct way){ .cut = CUT_NONE });
	run_way(s, (struct way){ .cut = CUT_BYTES });
	for (size_t at = 1; at < s->input.n; at++)
		run_way(s, (struct way){ .cut = CUT_AT, .at = at });
}

/* ---- finding ---------------------------------------------------------------------- */

static int
is_transcript(const struct dirent *e)
{
	return slice_has_isuffix(slice_str(e->d_name), SL(".txt"));
}

static void
read_scripts(const char *dir)
{
	struct dirent **v;
	int n = scandir(dir, &v, is_transcript, alphasort);

	for (int i = 0; i < n; i++) {
		if (nscripts < FILES_MAX)
			script_read(&scripts[nscripts++], dir, v[i]->d_name);
		free(v[i]);
	}
	if (n >= 0)
		free(v);
}

int
main(void)
{
	static struct CMUnitTest tests[FILES_MAX];
	const char *top = getenv("TOP");
	char dir[512];
	int failed;

	snprintf(dir, sizeof(dir), "%s/tests/wire", top ? top : ".");
	read_scripts(dir);
	if (nscripts == 0) {
		fprintf(stderr, "no transcripts in %s\n", dir);
		return 1;
	}
	for (uint32_t i = 0; i < nscripts; i++)
		tests[i] = (struct CMUnitTest){ .name = scripts[i].name,
			.test_func = test_script,
			.initial_state = &scripts[i] };
	failed = _cmocka_run_group_tests("wire", tests, nscripts, NULL, NULL);
	for (uint32_t i = 0; i < nscripts; i++)
		script_free(&scripts[i]);
	return failed;
}

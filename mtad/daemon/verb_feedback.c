/*
 * daemon/verb_feedback.c - mtad feedback: tells the daemon of complaints, from
 * reports (ARF) or lines on standard input.
 */
#include <errno.h>
#include <getopt.h>
#include <unistd.h>

#include "control/control.h"
#include "daemon/verb_i.h"
#include "daemon/verbs.h"
#include "proto/arf.h"

#define INPUT_MAX (16u << 20)
#define FIELD_MAX MAILBOX_MAX

static const char usage[] =
    "usage: mtad feedback [-c FILE | -H SOCKET] [--json]\n"
    "Counts complaints from standard input, for the source and the provider of "
    "the\nmessage that is complained of: one report of abuse (ARF, RFC 5965), "
    "as a mail\nsystem pipes it, or lines of fields with tabs between them:\n"
    "  ADDRESS-OR-ID [TAB SOURCE [TAB PROVIDER]]\n"
    "What a line or report does not say is looked up by the message id, or by "
    "the\naddress, in the index and the event log. Reports of other things "
    "than spam\n(not-spam, opt-out, ...) are passed over.\n"
    "  -c FILE        the daemon's configuration (" VERB_CONFIG ")\n"
    "  -H SOCKET      its control socket, instead\n"
    "  --json         one answer a line, as the daemon gives it\n"
    "  --help         this\n"
    "exit status: 0 all are counted, 1 some are not, 2 wrong usage, 3 the "
    "daemon is\nnot reached\n";

struct run {
	struct verb_peer peer;
	bool as_json;
	struct buf in;
	uint32_t counted, failed, passed;
};

/* What is known of one complaint; empty = nothing. */
struct complaint {
	struct slice id, address, source, provider;
};

/* ---- telling ------------------------------------------------------------------- */

static void
put(struct jsonw *w, const char *key, struct slice text)
{
	if (text.n > 0)
		jw_kstr(w, key, text);
}

/* VERB_OK; VERB_FAILED: it was refused, for the reason in *answer. */
static int
tell(struct run *r, const struct complaint *x, struct buf *answer)
{
	struct jsonw w;
	struct buf body;
	int status;

	buf_init(&body, 4096);
	buf_init(answer, 1u << 16);
	jw_init(&w, &body);
	jw_open(&w, '{');
	put(&w, "id", x->id);
	put(&w, "name", x->address);
	put(&w, "source", x->source);
	put(&w, "provider", x->provider);
	jw_close(&w, '}');
	status = body.failed ? E_FULL :
			       control_call(r->peer.path, "/v1/feedback",
				   buf_slice(&body), 10000, answer);
	buf_free(&body);
	if (status > 0)
		return status == 200 ? VERB_OK : VERB_FAILED;
	fprintf(stderr, "mtad feedback: %s: %s\n", r->peer.path,
	    err_text(status));
	return VERB_AWAY;
}

static void
print_refusal(const char *where, uint32_t line, const struct buf *answer)
{
	struct slice s = buf_slice(answer);
	json_t *root = json_loadb(s.p, s.n, 0, NULL);
	char shown[512];

	text_escape(verb_str(root, "error"), shown, sizeof(shown));
	fprintf(stderr, "mtad feedback: %s %u: %s\n", where, line,
	    shown[0] ? shown : "the daemon refused it");
	json_decref(root);
}

/* Tells of the one, in as many ways as there are until one does. */
static int
tell_any(struct run *r, const struct complaint *v, uint32_t n,
    const char *where, uint32_t line)
{
	struct buf answer;
	int status = VERB_FAILED;

	for (uint32_t i = 0; i < n && status == VERB_FAILED; i++) {
		status = tell(r, &v[i], &answer);
		if (status == VERB_OK && r->as_json)
			verb_print(&answer);
		if (status == VERB_FAILED && i + 1 == n)
			print_refusal(where, line, &answer);
		buf_free(&answer);
	}
	r->counted += status == VERB_OK;
	r->failed += status == VERB_FAILED;
	return status == VERB_AWAY ? VERB_AWAY : VERB_OK;
}

/* ---- lines --------------------------------------------------------------------- */

static struct slice
take_field(struct slice *line)
{
	size_t n = slice_index(*line, '\t');
	struct slice field = slice_of(line->p, n);

	*line = slice_skip(*line, MIN(n + 1, line->n));
	return field;
}

static int
tell_line(struct run *r, struct slice line, uint32_t number)
{
	struct complaint x = { 0 };
	struct slice first;

	while (line.n > 0 && line.p[line.n - 1] == '\r')
		line.n--;
	if (line.n == 0 || line.p[0] == '#')
		return VERB_OK;
	first = take_field(&line);
	x.source = take_field(&line);
	x.provider = take_field(&line);
	if (line.n > 0 || first.n > FIELD_MAX || x.source.n > FIELD_MAX ||
	    x.provider.n > FIELD_MAX || (first.n | x.source.n) == 0) {
		fprintf(stderr,
		    "mtad feedback: line %u: expected ADDRESS-OR-ID [TAB "
		    "SOURCE [TAB PROVIDER]]\n",
		    number);
		r->failed++;
		return VERB_OK;
	}
	if (memchr(first.p, '@', first.n) != NULL)
		x.address = first;
	else
		x.id = first;
	return tell_any(r, &x, 1, "line", number);
}

/* Those that are whole, and the last one. */
static int
tell_lines(struct run *r)
{
	struct slice rest = buf_slice(&r->in);
	uint32_t number = 0;
	int status = VERB_OK;

	while (rest.n > 0 && status == VERB_OK) {
		size_t n = slice_index(rest, '\n');

		status = tell_line(r, slice_of(rest.p, n), ++number);
		rest = slice_skip(rest, MIN(n + 1, rest.n));
	}
	return status;
}

/* ---- reports ------------------------------------------------------------------- */

static int
tell_report(struct run *r, const struct arf *a)
{
	struct complaint v[ARF_IDS_MAX + ARF_RCPTS_MAX + 1];
	char ids[ARF_IDS_MAX][MSGID_TEXT_MAX];
	char ip[IP_TEXT_MAX] = "";
	uint32_t n = 0;

	if (!arf_complains(a)) {
		char type[64];

		text_escape(a->type, type, sizeof(type));
		fprintf(stderr, "mtad feedback: no complaint, but %s\n", type);
		r->passed++;
		return VERB_OK;
	}
	memset(v, 0, sizeof(v));
	for (uint32_t i = 0; i < a->nids; i++) {
		msgid_format(ids[i], &a->id[i]);
		v[n].id = slice_str(ids[i]);
		if (a->nrcpts > 0)
			v[n].address = a->rcpt[0];
		n++;
	}
	if (a->source.family != 0)
		ip_format(ip, &a->source);
	for (uint32_t i = 0; i < a->nrcpts; i++) {
		v[n].address = a->rcpt[i];
		v[n++].source = slice_str(ip);
	}
	if (n == 0)
		v[n++].source = slice_str(ip);
	return tell_any(r, v, n, "report", 1);
}

/* ---- the verb ------------------------------------------------------------------ */

static bool
read_input(struct buf *in)
{
	static char chunk[64 << 10];
	ssize_t n;

	while ((n = read(STDIN_FILENO, chunk, sizeof(chunk))) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n > 0 && buf_add(in, chunk, (size_t)n) == 0)
			continue;
		if (n < 0)
			perror("mtad feedback: input");
		else
			fprintf(stderr,
			    "mtad feedback: more than %u MB of input; give it "
			    "in parts\n",
			    INPUT_MAX >> 20);
		return false;
	}
	return true;
}

/* Tells of what the input has; the exit status. */
static int
tell_all(struct run *r)
{
	struct slice all = buf_slice(&r->in);
	struct arf a;
	int status = arf_read(all, &a) ? tell_report(r, &a) : tell_lines(r);

	if (!r->as_json)
		printf("%u counted, %u not, %u passed over\n", r->counted,
		    r->failed, r->passed);
	if (status != VERB_OK)
		return status;
	return fflush(stdout) != 0 || r->failed != 0 ? VERB_FAILED : VERB_OK;
}

int
verb_feedback(int argc, char **argv)
{
	static const struct option longs[] = {
		{ "config", required_argument, NULL, 'c' },
		{ "json", no_argument, NULL, 'j' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	struct run r = { 0 };
	int c, status;

	optind = 1;
	opterr = 0;
	while ((c = getopt_long(argc, argv, "c:H:h", longs, NULL)) != -1) {
		if (c == 'c')
			r.peer.config = optarg;
		else if (c == 'H')
			r.peer.socket = optarg;
		else if (c == 'j')
			r.as_json = true;
		else if (c == 'h')
			return fputs(usage, stdout) < 0;
		else
			return verb_wrong_option(argv[0], argv);
	}
	if (optind < argc)
		return verb_usage(argv[0], "too much:", argv[optind]);
	status = verb_find(&r.peer);
	if (status != VERB_OK)
		return status;
	buf_init(&r.in, INPUT_MAX);
	status = read_input(&r.in) ? tell_all(&r) : VERB_FAILED;
	buf_free(&r.in);
	return status;
}

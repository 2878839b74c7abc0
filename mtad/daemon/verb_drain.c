/*
 * daemon/verb_drain.c - mtad drain: begins, ends and watches the handing over of
 * a node's mail; and on the other side shows what is in trust, and makes it the
 * node's own where the source is gone for good.
 */
#include <getopt.h>
#include <netdb.h>
#include <time.h>
#include <unistd.h>

#include "control/control.h"
#include "daemon/verb_i.h"
#include "daemon/verbs.h"

#define NO_BODY slice_of("", 0)
#define LOOK_EVERY_MS 500

static const char usage[] =
    "usage: mtad drain [OPTION ...]\n"
    "How handing over to another node goes, and what is in trust here.\n"
    "\n"
    "  --to HOST:PORT  stop taking mail and hand all of it to the mtad there,\n"
    "                  whose drain.bind it is; show how it goes until all is\n"
    "                  handed over (an interrupt ends the showing alone)\n"
    "  --tls           speak TLS there (it has drain.tls)\n"
    "  --no-wait       begin, and show nothing\n"
    "  --stop          take mail again; what is not handed over stays here\n"
    "  --adopt NODE    what is in trust of that node is delivered from here; for\n"
    "                  a node that never comes back, else it is sent twice\n"
    "  --reclaim       what a lost target was handed over and has not released\n"
    "                  is delivered from here; what it has sent is sent twice\n"
    "  --reason TEXT   for the event log\n"
    "  -c FILE         the daemon's configuration (" VERB_CONFIG ")\n"
    "  -H SOCKET       its control socket, instead\n"
    "  --json          the answer as it is\n"
    "  --help          this\n";

struct options {
	struct verb_peer peer;
	const char *to, *adopt, *reason;
	bool tls, stop, reclaim, json, no_wait;
	char address[ENDPOINT_TEXT_MAX];
};

/* -1: go on; else the exit status. */
static int
read_options(int argc, char **argv, struct options *o)
{
	enum { TO = 256, TLS, STOP, ADOPT, RECLAIM, REASON, JSON, NO_WAIT };
	static const struct option longs[] = {
		{ "to", required_argument, NULL, TO },
		{ "tls", no_argument, NULL, TLS },
		{ "stop", no_argument, NULL, STOP },
		{ "adopt", required_argument, NULL, ADOPT },
		{ "reclaim", no_argument, NULL, RECLAIM },
		{ "reason", required_argument, NULL, REASON },
		{ "json", no_argument, NULL, JSON },
		{ "no-wait", no_argument, NULL, NO_WAIT },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	int c;

	opterr = 0;
	while ((c = getopt_long(argc, argv, "c:H:h", longs, NULL)) != -1)
		switch (c) {
		case TO:
			o->to = optarg;
			break;
		case TLS:
			o->tls = true;
			break;
		case STOP:
			o->stop = true;
			break;
		case ADOPT:
			o->adopt = optarg;
			break;
		case RECLAIM:
			o->reclaim = true;
			break;
		case REASON:
			o->reason = optarg;
			break;
		case JSON:
			o->json = true;
			break;
		case NO_WAIT:
			o->no_wait = true;
			break;
		case 'c':
			o->peer.config = optarg;
			break;
		case 'H':
			o->peer.socket = optarg;
			break;
		case 'h':
			fputs(usage, stdout);
			return VERB_OK;
		default:
			return verb_wrong_option("drain", argv);
		}
	if (optind < argc)
		return verb_usage("drain", "too much:", argv[optind]);
	if ((o->to != NULL) + o->stop + (o->adopt != NULL) + o->reclaim > 1)
		return verb_usage("drain",
		    "one of --to, --stop, --adopt, --reclaim", NULL);
	if (o->tls && o->to == NULL)
		return verb_usage("drain", "--tls goes with --to", NULL);
	return -1;
}

/* HOST:PORT as an address: the daemon looks nothing up for this. */
static int
find_address(struct options *o)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *found = NULL;
	const char *colon = strrchr(o->to, ':');
	char host[NI_MAXHOST], address[NI_MAXHOST];
	struct slice name;
	int err;

	if (colon == NULL || colon[1] == '\0')
		return verb_usage("drain", "--to: expected HOST:PORT, got",
		    o->to);
	name = slice_of(o->to, (size_t)(colon - o->to));
	if (name.n > 1 && name.p[0] == '[' && name.p[name.n - 1] == ']')
		name = slice_of(name.p + 1, name.n - 2);
	slice_copy(name, host, sizeof(host));
	err = getaddrinfo(host, colon + 1, &hints, &found);
	if (!err)
		err = getnameinfo(found->ai_addr, found->ai_addrlen, address,
		    sizeof(address), NULL, 0, NI_NUMERICHOST);
	if (err)
		fprintf(stderr, "mtad drain: %s: %s\n", o->to,
		    gai_strerror(err));
	else
		snprintf(o->address, sizeof(o->address),
		    strchr(address, ':') ? "[%s]:%s" : "%s:%s", address,
		    colon + 1);
	if (found)
		freeaddrinfo(found);
	return err ? VERB_FAILED : VERB_OK;
}

/* ---- what is said of it ---------------------------------------------------------- */

static void
print_text(const json_t *root, const char *title, const char *key)
{
	char text[512];

	text_escape(verb_str(root, key), text, sizeof(text));
	if (text[0] != '\0')
		printf("%-11s%s\n", title, text);
}

static void
print_count(const json_t *root, const char *title, const char *key,
    const char *words)
{
	printf("%-11s%llu %s\n", title, (unsigned long long)verb_u64(root, key),
	    words);
}

static void
show_trust(const json_t *root)
{
	const json_t *row, *rows = json_object_get(root, "in_trust");
	size_t i;

	json_array_foreach(rows, i, row)
		printf("%-11s%llu messages of node %.*s%s\n",
		    i ? "" : "in trust",
		    (unsigned long long)verb_u64(row, "messages"),
		    SLF(verb_str(row, "from")),
		    json_is_true(json_object_get(row, "connected")) ?
			"" :
			" (not connected)");
}

static void
show(const json_t *root)
{
	bool is_idle = slice_eq(verb_str(root, "state"), SL("idle"));
	char eta[32];

	print_text(root, "state", "state");
	print_text(root, "node", "identity");
	if (!is_idle) {
		print_text(root, "to", "name");
		print_text(root, "since", "since");
		print_text(root, "trouble", "why");
		print_count(root, "left", "left", "messages here");
		print_count(root, "handed", "handed", "handed over");
		print_count(root, "waiting", "waiting",
		    "of these not yet released");
		print_count(root, "refused", "refused", "times refused");
		print_text(root, "refusal", "refusal");
		printf("%-11s%.0f messages a second\n", "rate",
		    verb_num(root, "rate"));
	}
	if (json_object_get(root, "eta") != NULL) {
		fmt_duration(eta, (int64_t)verb_u64(root, "eta") * US_PER_S);
		printf("%-11s%s\n", "eta", eta);
	}
	show_trust(root);
}

/* One line that is written over, on a terminal; else one a look. */
static void
show_progress(const json_t *root)
{
	char eta[32] = "unknown", why[128];
	bool is_tty = isatty(STDOUT_FILENO);

	if (json_object_get(root, "eta") != NULL)
		fmt_duration(eta, (int64_t)verb_u64(root, "eta") * US_PER_S);
	text_escape(verb_str(root, "why"), why, sizeof(why));
	printf("%s%llu left, %llu handed over, %.0f a second, eta %s%s%s%s",
	    is_tty ? "\r\033[K" : "",
	    (unsigned long long)verb_u64(root, "left"),
	    (unsigned long long)verb_u64(root, "handed"),
	    verb_num(root, "rate"), eta, why[0] ? " (" : "", why,
	    why[0] ? ")" : "");
	if (!is_tty)
		putchar('\n');
	fflush(stdout);
}

/* ---- asking ---------------------------------------------------------------------- */

static int
order(struct options *o, const char *verb, json_t **root)
{
	struct buf body, answer;
	struct jsonw w;
	int status;

	buf_init(&body, CONTROL_BODY_MAX);
	jw_init(&w, &body);
	jw_open(&w, '{');
	jw_kstr(&w, "verb", slice_str(verb));
	if (o->to) {
		jw_kstr(&w, "to", slice_str(o->address));
		jw_kstr(&w, "name", slice_str(o->to));
		jw_kbool(&w, "tls", o->tls);
	}
	if (o->adopt)
		jw_kstr(&w, "name", slice_str(o->adopt));
	if (o->reason)
		jw_kstr(&w, "reason", slice_str(o->reason));
	jw_close(&w, '}');
	status = verb_ask_json(&o->peer, "/v1/drain", buf_slice(&body), &answer,
	    root);
	if (status == VERB_OK && o->json)
		verb_print(&answer);
	buf_free(&answer);
	buf_free(&body);
	return status;
}

static int
look(struct options *o, json_t **root)
{
	struct buf answer;
	int status =
	    verb_ask_json(&o->peer, "/v1/drain", NO_BODY, &answer, root);

	if (status == VERB_OK && o->json)
		verb_print(&answer);
	buf_free(&answer);
	return status;
}

/* Until it is drained, or not draining any more. */
static int
follow(struct options *o)
{
	struct timespec pause = { .tv_nsec = LOOK_EVERY_MS * 1000000L };
	json_t *root = NULL;
	bool goes_on;
	int status;

	do {
		status = look(o, &root);
		if (status != VERB_OK)
			return status;
		goes_on = slice_eq(verb_str(root, "state"), SL("draining"));
		if (!o->json)
			show_progress(root);
		if (!goes_on && !o->json) {
			printf("\n");
			print_text(root, "state", "state");
		}
		json_decref(root);
		if (goes_on)
			nanosleep(&pause, NULL);
	} while (goes_on);
	return VERB_OK;
}

static int
carry_out(struct options *o)
{
	json_t *root = NULL;
	int status;

	if (o->to)
		status = order(o, "start", &root);
	else if (o->stop)
		status = order(o, "stop", &root);
	else if (o->reclaim)
		status = order(o, "reclaim", &root);
	else if (o->adopt)
		status = order(o, "adopt", &root);
	else
		status = look(o, &root);
	if (status == VERB_OK && !o->json && (!o->to || o->no_wait))
		show(root);
	json_decref(root);
	if (status == VERB_OK && o->to && !o->no_wait)
		status = follow(o);
	return status;
}

int
verb_drain(int argc, char **argv)
{
	struct options o = { 0 };
	int status = read_options(argc, argv, &o);

	if (status >= 0)
		return status;
	status = o.to ? find_address(&o) : VERB_OK;
	if (status == VERB_OK)
		status = verb_find(&o.peer);
	if (status == VERB_OK)
		status = carry_out(&o);
	return fflush(stdout) != 0 ? VERB_FAILED : status;
}

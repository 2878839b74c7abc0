/*
 * daemon/verb_ask.c - asking a running daemon, for the verbs that do.
 */
#include <unistd.h>

#include "conf/conf.h"
#include "control/control.h"
#include "daemon/verb_i.h"

#define ANSWER_MAX (32u * 1024 * 1024)
#define TIMEOUT_MS 10000

static void
report(void *ctx, const char *line)
{
	(void)ctx;
	fprintf(stderr, "%s\n", line);
}

int
verb_find(struct verb_peer *p)
{
	struct conf_errors errs = { .report = report };
	const char *file = p->config ? p->config : VERB_CONFIG;
	struct conf *conf;
	size_t n;

	if (p->socket != NULL) {
		n = slice_copy(slice_str(p->socket), p->path, sizeof(p->path));
		return n == strlen(p->socket) ? VERB_OK : VERB_USAGE;
	}
	/* Not everybody who may use the socket may read the file. */
	if (p->config == NULL && access(file, R_OK) != 0) {
		slice_copy(SL(VERB_SOCKET), p->path, sizeof(p->path));
		return VERB_OK;
	}
	conf = conf_load(file, &errs);
	if (conf == NULL)
		return VERB_FAILED;
	slice_copy(conf->control, p->path, sizeof(p->path));
	conf_free(conf);
	return VERB_OK;
}

/* What a daemon says that refuses. */
static void
print_refusal(int status, struct slice answer)
{
	json_t *root = json_loadb(answer.p, answer.n, 0, NULL);
	struct slice text = verb_str(root, "error");
	char shown[512];

	text_escape(text, shown, sizeof(shown));
	if (text.n > 0)
		fprintf(stderr, "mtad: %s\n", shown);
	else
		fprintf(stderr, "mtad: the daemon answered %d\n", status);
	json_decref(root);
}

static int
print_failure(const struct verb_peer *p, int err)
{
	if (err == E_CLOSED) {
		fprintf(stderr,
		    "mtad: mtad is not running at %s (start it with "
		    "\"mtad run -c %s\" or \"systemctl start mtad\")\n",
		    p->path, p->config ? p->config : VERB_CONFIG);
		return VERB_AWAY;
	}
	if (err == E_TIMEOUT)
		fprintf(stderr, "mtad: no answer from %s within %d s\n",
		    p->path, TIMEOUT_MS / 1000);
	else if (err == E_DENIED)
		fprintf(stderr,
		    "mtad: %s: permission denied; ask as root or as a member "
		    "of the socket's group\n",
		    p->path);
	else
		fprintf(stderr, "mtad: %s: %s\n", p->path, err_text(err));
	return VERB_AWAY;
}

int
verb_ask(struct verb_peer *p, const char *path, struct slice body,
    struct buf *out)
{
	int status;

	buf_init(out, ANSWER_MAX);
	status = control_call(p->path, path, body, TIMEOUT_MS, out);
	if (status < 0)
		return print_failure(p, status);
	if (status == 200)
		return VERB_OK;
	print_refusal(status, buf_slice(out));
	return VERB_FAILED;
}

int
verb_ask_json(struct verb_peer *p, const char *path, struct slice body,
    struct buf *out, json_t **root)
{
	int status = verb_ask(p, path, body, out);
	struct slice s = buf_slice(out);

	*root = NULL;
	if (status != VERB_OK)
		return status;
	*root = json_loadb(s.p, s.n, JSON_ALLOW_NUL, NULL);
	if (*root != NULL)
		return VERB_OK;
	fprintf(stderr, "mtad: %s: the answer is not JSON\n", p->path);
	return VERB_FAILED;
}

void
verb_print(const struct buf *answer)
{
	struct slice s = buf_slice(answer);

	fwrite(s.p, 1, s.n, stdout);
	if (s.n == 0 || s.p[s.n - 1] != '\n')
		putchar('\n');
}

int
verb_show(struct verb_peer *p, const char *path, struct slice body,
    bool as_json, void (*show)(const json_t *root))
{
	struct buf answer;
	json_t *root;
	int status = verb_find(p);

	if (status != VERB_OK)
		return status;
	status = verb_ask_json(p, path, body, &answer, &root);
	if (status == VERB_OK && as_json)
		verb_print(&answer);
	else if (status == VERB_OK)
		show(root);
	json_decref(root);
	buf_free(&answer);
	return fflush(stdout) != 0 ? VERB_FAILED : status;
}

int
verb_usage(const char *verb, const char *what, const char *text)
{
	if (what != NULL)
		fprintf(stderr, "mtad %s: %s%s%s\n", verb, what,
		    text ? " " : "", text ? text : "");
	fprintf(stderr, "try: mtad %s --help\n", verb);
	return VERB_USAGE;
}

int
verb_wrong_option(const char *verb, char **argv)
{
	const char *word = argv[optind - 1],
		   one[] = { '-', (char)optopt, '\0' };

	return verb_usage(verb, "wrong option:", word[0] == '-' ? word : one);
}

uint64_t
verb_u64(const json_t *o, const char *key)
{
	json_int_t v = json_integer_value(json_object_get(o, key));

	return v > 0 ? (uint64_t)v : 0;
}

double
verb_num(const json_t *o, const char *key)
{
	return json_number_value(json_object_get(o, key));
}

struct slice
verb_str(const json_t *o, const char *key)
{
	const json_t *v = json_object_get(o, key);

	if (!json_is_string(v))
		return slice_of(NULL, 0);
	return slice_of(json_string_value(v), json_string_length(v));
}

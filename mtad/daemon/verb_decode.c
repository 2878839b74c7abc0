/*
 * daemon/verb_decode.c - `mtad decode`: what messages say of deliveries, one JSON
 * object a recipient, judged by the rules that the daemon would use.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "daemon/bounce_judge.h"
#include "daemon/verb_rules.h"
#include "daemon/verbs.h"
#include "proto/proto.h"

#define MESSAGE_MAX (32u << 20)
#define LINES_MAX (8u << 20) /* of what is printed of one message */

static const char usage[] =
    "usage: mtad decode [-c FILE] [--rules FILE]... [--bare] FILE|-...\n"
    "\n"
    "Reads messages, one a FILE (- for standard input), and prints what each\n"
    "says of deliveries, one JSON object a line: one for each recipient of a\n"
    "bounce (\"type\":\"bounce\") or of a complaint (\"report\"), or one that\n"
    "says why it is neither (\"other\").\n"
    "\n"
    "  -c FILE        configuration, for its bounce_rules (default\n"
    "                 /etc/mtad/mtad.yml, if there is one)\n"
    "  --rules FILE   rules that stand before those; may be repeated\n"
    "  --bare         only the rules of --rules, not the shipped ones either\n"
    "\n"
    "exit status: 0 all were read, 1 rules or a file could not be read, 2 "
    "wrong usage\n";

struct run {
	struct verb_rules rules;
	struct buf in, out;
	struct bounce bounce;
};

/* ---- lines -------------------------------------------------------------------- */

static void
put(struct jsonw *w, const char *key, struct slice text)
{
	jw_key(w, key);
	if (text.n > 0)
		jw_str(w, text);
	else
		jw_null(w);
}

static void
put_status(struct jsonw *w, const struct bounce_rcpt *x)
{
	char text[16];

	enh_format(text, bounce_status(x));
	jw_kstr(w, "status", slice_str(text));
}

static void
print_rcpt(struct run *r, struct jsonw *w, const struct bounce_rcpt *x)
{
	struct judgement j;

	jw_kstr(w, "type", SL("bounce"));
	jw_kstr(w, "recipient", x->address);
	if (x->original.n > 0)
		jw_kstr(w, "original_recipient", x->original);
	jw_kstr(w, "action",
	    slice_str(bounce_action_name((enum bounce_action)x->action)));
	bounce_judge(r->rules.k, r->rules.desk, x, &j);
	put_status(w, x);
	jw_key(w, "code");
	if (x->code != 0)
		jw_u64(w, x->code);
	else
		jw_null(w);
	put(w, "diagnostic", x->diagnostic);
	if (x->action != BOUNCE_FAILED && x->action != BOUNCE_DELAYED)
		return;
	jw_kstr(w, "category",
	    slice_str(category_name((enum category)j.category)));
	jw_kstr(w, "kind", slice_str(kind_name((enum kind)j.kind)));
	jw_kbool(w, "hard", bounce_is_hard(x, &j));
}

static void
print_complaint(struct jsonw *w, const struct arf *a, struct slice rcpt)
{
	char ip[IP_TEXT_MAX] = "";

	if (a->source.family != 0)
		ip_format(ip, &a->source);
	jw_kstr(w, "type", SL("report"));
	put(w, "feedback_type", a->type);
	put(w, "user_agent", a->agent);
	put(w, "source_ip", slice_str(ip));
	put(w, "original_mail_from", a->mail_from);
	put(w, "original_rcpt_to", rcpt);
	put(w, "reported_domain", a->domain);
	put(w, "arrival_date", a->arrival);
}

static void
print_line(struct run *r, uint32_t i)
{
	const struct bounce *b = &r->bounce;
	struct jsonw w;

	buf_reset(&r->out);
	jw_init(&w, &r->out);
	jw_open(&w, '{');
	if (b->type == BOUNCE_DELIVERY) {
		print_rcpt(r, &w, &b->rcpt[i]);
		put(&w, "original_message_id", b->message_id);
	} else if (b->type == BOUNCE_COMPLAINT) {
		print_complaint(&w, &b->arf,
		    i < b->arf.nrcpts ? b->arf.rcpt[i] : slice_of("", 0));
		put(&w, "message_id", b->message_id);
	} else {
		jw_kstr(&w, "type", SL("other"));
		jw_kstr(&w, "reason",
		    slice_str(
			bounce_reason_name((enum bounce_reason)b->reason)));
	}
	jw_close(&w, '}');
	buf_addc(&r->out, '\n');
	fwrite(r->out.p + r->out.off, 1, r->out.n, stdout);
}

static bool
decode(struct run *r, const char *name)
{
	uint32_t n = 1;

	if (bounce_read(buf_slice(&r->in), &r->bounce) != 0) {
		fprintf(stderr, "mtad decode: %s: out of memory\n", name);
		return false;
	}
	if (r->bounce.type == BOUNCE_DELIVERY)
		n = r->bounce.nrcpts;
	else if (r->bounce.type == BOUNCE_COMPLAINT)
		n = MAX(r->bounce.arf.nrcpts, 1u);
	for (uint32_t i = 0; i < n; i++)
		print_line(r, i);
	bounce_free(&r->bounce);
	return true;
}

/* ---- files --------------------------------------------------------------------- */

/* What errno says of a file. */
static void
complain(const char *name)
{
	fprintf(stderr, "mtad decode: ");
	perror(name);
}

static bool
read_all(struct run *r, int fd, const char *name)
{
	static char chunk[64 << 10];
	ssize_t n;

	buf_reset(&r->in);
	while ((n = read(fd, chunk, sizeof(chunk))) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n > 0 && buf_add(&r->in, chunk, (size_t)n) == 0)
			continue;
		if (n < 0)
			complain(name);
		else
			fprintf(stderr, "mtad decode: %s: more than %u MB\n",
			    name, MESSAGE_MAX >> 20);
		return false;
	}
	return true;
}

static bool
decode_file(struct run *r, const char *name)
{
	bool is_input = strcmp(name, "-") == 0, is_read;
	int fd = is_input ? STDIN_FILENO : open(name, O_RDONLY | O_CLOEXEC);

	if (fd < 0) {
		complain(name);
		return false;
	}
	is_read = read_all(r, fd, name) && decode(r, name);
	if (!is_input)
		close(fd);
	return is_read;
}

/* ---- the verb -------------------------------------------------------------------- */

int
verb_decode(int argc, char **argv)
{
	struct run *r = mem_get(sizeof(*r));
	int status;

	verb_rules_init(&r->rules, "decode");
	buf_init(&r->in, MESSAGE_MAX);
	buf_init(&r->out, LINES_MAX);
	status = verb_rules_options(&r->rules, argc, argv, usage);
	if (status < 0 && optind == argc)
		status = verb_usage("decode", "needs a FILE, or -", "");
	if (status < 0) {
		status = verb_rules_load(&r->rules) ? VERB_OK : VERB_FAILED;
		for (int i = optind; i < argc && r->rules.desk != NULL; i++)
			if (!decode_file(r, argv[i]))
				status = VERB_FAILED;
		if (fflush(stdout) != 0)
			status = VERB_FAILED;
	}
	verb_rules_free(&r->rules);
	buf_free(&r->in);
	buf_free(&r->out);
	mem_free(r);
	return status;
}

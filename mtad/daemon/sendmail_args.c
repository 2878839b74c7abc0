/*
 * daemon/sendmail_args.c - the command line of `mtad sendmail`: what programs have
 * given to Sendmail, and to those who took its place, for forty years.
 *
 * Options that mean nothing here are taken and forgotten, for who calls us has
 * no other way to talk; one that would mean something else is refused.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "daemon/sendmail_i.h"

#define RCPTS_BYTES_MAX (RCPTS_MAX * (MAILBOX_MAX + 3))

static int
refuse(struct sendmail_args *a, int status, const char *what, const char *text)
{
	char clean[128];

	text_escape(slice_str(text), clean, sizeof(clean));
	snprintf(a->why, sizeof(a->why), "%s%s%s", what, *text ? ": " : "",
	    clean);
	return status;
}

int
sendmail_add_rcpts(struct sendmail_args *a, struct slice list, int status)
{
	char text[MAILBOX_MAX + 2];
	int n;

	while ((n = addrlist_next(&list, text)) > 0)
		if (a->nrcpt++ >= RCPTS_MAX ||
		    drop_rcpt_add(&a->rcpts, slice_of(text, (size_t)n)))
			return refuse(a, EX_DATAERR, "too many recipients", "");
	if (n == 0)
		return EX_OK;
	slice_copy(list, text, sizeof(text));
	return refuse(a, status, "no address", text);
}

int
sendmail_sender(struct sendmail_args *a, const char *text, char *dst)
{
	struct slice rest = slice_trim(slice_str(text));
	char more[MAILBOX_MAX + 2];

	dst[0] = '\0';
	if (rest.n == 0 || slice_eq(rest, SL("<>")))
		return EX_OK;
	if (addrlist_next(&rest, dst) <= 0 || addrlist_next(&rest, more) != 0)
		return refuse(a, EX_DATAERR, "no address of a sender", text);
	return EX_OK;
}

/* -N never, or success, failure and delay with commas between them. */
static int
read_notify(struct sendmail_args *a, const char *text)
{
	static const struct {
		struct slice word;
		uint8_t flag;
	} words[] = { { { "never", 5 }, NOTIFY_NEVER },
		{ { "success", 7 }, NOTIFY_SUCCESS },
		{ { "failure", 7 }, NOTIFY_FAILURE },
		{ { "delay", 5 }, NOTIFY_DELAY } };
	struct slice rest = slice_str(text), word;
	size_t i;

	a->notify = 0;
	do {
		word = slice_trim(slice_cut(&rest, ','));
		for (i = 0; i < ARRAY_LEN(words); i++)
			if (slice_ieq(word, words[i].word))
				break;
		if (i == ARRAY_LEN(words))
			return refuse(a, EX_USAGE,
			    "-N, expected never, or of success, failure, delay",
			    text);
		a->notify |= words[i].flag;
	} while (rest.p != NULL);
	if (a->notify & NOTIFY_NEVER && a->notify != NOTIFY_NEVER)
		return refuse(a, EX_USAGE, "-N never, and something else",
		    text);
	return EX_OK;
}

static int
read_ret(struct sendmail_args *a, const char *text)
{
	if (slice_ieq(slice_str(text), SL("hdrs")))
		a->ret = ENV_RET_HDRS;
	else if (slice_ieq(slice_str(text), SL("full")))
		a->ret = ENV_RET_FULL;
	else
		return refuse(a, EX_USAGE, "-R, expected hdrs or full", text);
	return EX_OK;
}

/* As it came where it is xtext, else made so. */
static int
read_envid(struct sendmail_args *a, const char *text)
{
	struct slice in = slice_str(text);
	struct buf b;
	int err;

	buf_init(&b, ENVID_MAX);
	err = xtext_decode(in, &b);
	buf_reset(&b);
	err = err ? xtext_encode(in, &b) : buf_adds(&b, in);
	if (!err)
		a->envid = slice_of(a->envid_text,
		    slice_copy(buf_slice(&b), a->envid_text,
			sizeof(a->envid_text)));
	buf_free(&b);
	return err ? refuse(a, EX_USAGE, "-V, at most 100 bytes", text) : EX_OK;
}

static int
read_mode(struct sendmail_args *a, const char *text)
{
	switch (text[0]) {
	case 'm':
		return EX_OK;
	case 's':
		a->mode = SENDMAIL_SMTP;
		return EX_OK;
	case 'i': /* aliases are made new: there are none */
		a->mode = SENDMAIL_NOTHING;
		return EX_OK;
	case 'p':
		return refuse(a, EX_UNAVAILABLE,
		    "the queue: see mtad list, or mtad queues", "");
	case 'd':
	case 'D':
		return refuse(a, EX_UNAVAILABLE, "the daemon is mtad run", "");
	default:
		return refuse(a, EX_USAGE, "-b, expected m, s or i", text);
	}
}

/* -oi, and so many others; -f and -F are there under two names. */
static int
read_option(struct sendmail_args *a, int o, const char *value)
{
	switch (o) {
	case 't':
		a->reads_header = true;
		return EX_OK;
	case 'i':
		a->dot_is_text = true;
		return EX_OK;
	case 'o':
		a->dot_is_text |= strcmp(value, "i") == 0;
		return EX_OK;
	case 'f':
	case 'r':
		a->sender = value;
		return EX_OK;
	case 'F':
		a->name = value;
		return EX_OK;
	case 'N':
		return read_notify(a, value);
	case 'R':
		return read_ret(a, value);
	case 'V':
		return read_envid(a, value);
	case 'b':
		return read_mode(a, value);
	case 'q':
		a->mode = SENDMAIL_NOTHING;
		return EX_OK;
	case 'D':
		a->drop = value;
		return EX_OK;
	case '?':
		return refuse(a, EX_USAGE, "no such option, or no value of it",
		    (char[]){ '-', (char)optopt, '\0' });
	default: /* of no meaning here */
		return EX_OK;
	}
}

int
sendmail_args_read(struct sendmail_args *a, int argc, char **argv)
{
	/* Known to Sendmail or Postfix; ':' takes a value, "::" one that is
	 * attached to it. */
	static const char known[] =
	    "+:A:B:C:D:F:GIL:N:O:R:UV:X:b:cd::e:f:h:imno:p:q::r:stvx";
	const char *drop = getenv("MTAD_DROP");
	int o, status = EX_OK;

	memset(a, 0, sizeof(*a));
	buf_init(&a->rcpts, RCPTS_BYTES_MAX);
	a->drop = drop != NULL && *drop ? drop : SENDMAIL_DROP;
	if (argc > 1 && strcmp(argv[1], "--help") == 0) {
		a->wants_help = true;
		return EX_OK;
	}
	optind = 0; /* GNU: from the beginning, and with its first "+" */
	opterr = 0;
	while (status == EX_OK && (o = getopt(argc, argv, known)) != -1)
		status = read_option(a, o == ':' ? '?' : o, optarg);
	for (int i = optind; status == EX_OK && i < argc; i++)
		status = sendmail_add_rcpts(a, slice_str(argv[i]), EX_NOUSER);
	if (status == EX_OK && a->mode == SENDMAIL_MESSAGE && a->nrcpt == 0 &&
	    !a->reads_header)
		return refuse(a, EX_USAGE,
		    "no recipients: as arguments, or with -t from the header",
		    "");
	return status;
}

void
sendmail_args_free(struct sendmail_args *a)
{
	buf_free(&a->rcpts);
}

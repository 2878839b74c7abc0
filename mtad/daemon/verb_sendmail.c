/*
 * daemon/verb_sendmail.c - `mtad sendmail`, and mtad under the name of sendmail:
 * takes a message from a local program and leaves it in the drop directory,
 * whether the daemon runs or not.
 *
 * Exit statuses are those of sysexits.h: 0 means durable.
 */
#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "daemon/daemon_i.h"
#include "daemon/sendmail_i.h"
#include "daemon/verbs.h"

#define READ_BYTES 65536
/* In which recipients are looked for; the daemon takes no larger header. */
#define HEADER_BYTES_MAX INTAKE_SHARE

static const char usage[] =
    "usage: mtad sendmail [-t] [-i] [-f SENDER] [-F NAME] [-N DSN] [-R RET]\n"
    "                     [-V ENVID] [-D DIR] [RECIPIENT...]\n"
    "       mtad sendmail -bs [-D DIR]\n"
    "\n"
    "Takes a message from standard input and leaves it for the daemon, which\n"
    "need not run. Called as `sendmail` it does the same.\n"
    "\n"
    "  -t         recipients are in To, Cc and Bcc, beside the arguments\n"
    "  -i, -oi    a line of a dot alone does not end the message\n"
    "  -f, -r SENDER  envelope sender (user@hostname; <> is the null sender)\n"
    "  -F NAME    for a From field that is missing\n"
    "  -N LIST    notices: never, or of success, failure, delay\n"
    "  -R RET     what they hold: hdrs or full\n"
    "  -V ENVID   what they are told apart by\n"
    "  -bs        SMTP on standard input and output\n"
    "  -D DIR     drop directory (environment: MTAD_DROP; else\n"
    "             " SENDMAIL_DROP ")\n"
    "\n"
    "Other options of Sendmail are taken and ignored.\n"
    "\n"
    "exit status: 0 the message is safe; sysexits.h: 64 wrong usage, 65 the\n"
    "message or its header, 67 a recipient that is no address, 75 try again\n";

struct sending {
	struct sendmail_args a;
	struct dropper d;
	struct drop_about about;
	struct submit_lines lines;
	struct buf text; /* that has come and is not written */
	char sender[MAILBOX_MAX + 2], name[DROP_NAME_MAX + 1];
	bool has_ended; /* the input */
	const char *why;
};

static int
stop(struct sending *s, int status, const char *why)
{
	s->why = why;
	return status;
}

/* More of the message, to s->text. */
static int
read_more(struct sending *s)
{
	char raw[READ_BYTES];
	ssize_t n;
	int err;

	do
		n = read(STDIN_FILENO, raw, sizeof(raw));
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return stop(s, EX_IOERR, "standard input cannot be read");
	if (n > 0)
		err = submit_lines_feed(&s->lines, slice_of(raw, (size_t)n),
		    &s->text);
	else
		err = submit_lines_end(&s->lines, &s->text);
	s->has_ended = n == 0 || s->lines.is_over;
	if (err)
		return stop(s, EX_OSERR, "no memory");
	if (s->lines.has_nul)
		return stop(s, EX_DATAERR, "a NUL in the message");
	return EX_OK;
}

/* "From user date", as mailboxes have it. */
static void
skip_mbox_line(struct buf *b)
{
	struct slice s = buf_slice(b);

	if (slice_has_prefix(s, SL("From ")) ||
	    slice_has_prefix(s, SL(">From ")))
		buf_consume(b, MIN(slice_index(s, '\n') + 1, s.n));
}

/* Until the header has come, or what fits of it. */
static int
read_header(struct sending *s)
{
	bool is_none = false;
	int status = EX_OK;

	while (status == EX_OK && !s->has_ended &&
	    s->text.n < HEADER_BYTES_MAX && !is_none &&
	    hdr_section(buf_slice(&s->text), &is_none) == 0)
		if ((status = read_more(s)) == EX_OK)
			skip_mbox_line(&s->text);
	return status;
}

static int
find_rcpts(struct sending *s)
{
	struct slice all = buf_slice(&s->text), rest, one;
	struct submit_rcpts r = { 0 };
	struct buf list;
	bool is_none;
	size_t n = hdr_section(all, &is_none);
	int err, status = EX_OK;

	if (n == 0 && !is_none && s->text.n >= HEADER_BYTES_MAX)
		return stop(s, EX_DATAERR, "the header is too big for -t");
	buf_init(&list, RCPTS_MAX * (MAILBOX_MAX + 1));
	r.to = &list;
	err = submit_find_rcpts(all, &r);
	rest = buf_slice(&list);
	while (!err && status == EX_OK && rest.n > 0) {
		one = slice_cut(&rest, '\0');
		if (s->a.nrcpt++ >= RCPTS_MAX ||
		    drop_rcpt_add(&s->a.rcpts, one))
			err = E_FULL;
	}
	buf_free(&list);
	if (err == E_SYNTAX)
		return sendmail_add_rcpts(&s->a, r.bad, EX_DATAERR);
	if (err)
		return stop(s, EX_DATAERR, "too many recipients");
	if (s->a.nrcpt == 0)
		return stop(s, EX_DATAERR, "no recipients in the header");
	return EX_OK;
}

/* Who calls: login name, and what he is called (the first part of GECOS). */
static void
who_calls(struct sending *s)
{
	const struct passwd *pw = getpwuid(getuid());
	const char *env = getenv("NAME");
	struct slice gecos;

	if (pw != NULL)
		slice_copy(slice_str(pw->pw_name), s->sender,
		    sizeof(s->sender));
	else
		snprintf(s->sender, sizeof(s->sender), "uid-%u",
		    (unsigned)getuid());
	gecos = slice_str(pw != NULL ? pw->pw_gecos : "");
	if (env != NULL)
		slice_copy(slice_str(env), s->name, sizeof(s->name));
	else
		slice_copy(slice_cut(&gecos, ','), s->name, sizeof(s->name));
}

static void
clean_name(char *name)
{
	for (; *name; name++)
		if ((unsigned char)*name < ' ' || *name == 0x7f)
			*name = ' ';
}

static int
begin(struct sending *s)
{
	struct drop_head h = { 0 };
	int status;

	if (s->a.nrcpt > s->about.rcpts_max)
		return stop(s, EX_DATAERR,
		    "more recipients than the daemon takes");
	who_calls(s);
	if (s->a.name)
		slice_copy(slice_str(s->a.name), s->name, sizeof(s->name));
	clean_name(s->name);
	if (s->a.sender &&
	    (status = sendmail_sender(&s->a, s->a.sender, s->sender)))
		return status;
	h.sender = slice_str(s->sender);
	h.name = slice_str(s->name);
	h.envid = s->a.envid;
	h.notify = s->a.notify;
	h.ret = s->a.ret;
	h.made_us = clock_wall_us();
	h.nrcpt = s->a.nrcpt;
	h.rcpts = buf_slice(&s->a.rcpts);
	return dropper_begin(&s->d, &h);
}

static int
write_text(struct sending *s)
{
	int status;

	if (s->d.body_bytes + s->text.n > s->about.size_max)
		return stop(s, EX_DATAERR, "the message is too big");
	status = dropper_add(&s->d, buf_slice(&s->text));
	buf_reset(&s->text);
	return status;
}

static int
send_message(struct sending *s)
{
	int status;

	s->lines.dot_ends = !s->a.dot_is_text;
	status = read_header(s);
	if (status == EX_OK && s->a.reads_header)
		status = find_rcpts(s);
	if (status == EX_OK)
		status = begin(s);
	if (status == EX_OK)
		status = write_text(s);
	while (status == EX_OK && !s->has_ended) {
		status = read_more(s);
		if (status == EX_OK)
			status = write_text(s);
	}
	if (status == EX_OK)
		status = dropper_commit(&s->d);
	return status;
}

static int
do_it(struct sending *s)
{
	int status = dropper_enter(&s->d, s->a.drop);

	if (status != EX_OK)
		return status;
	drop_about_read(s->d.dir, &s->about);
	if (s->a.mode == SENDMAIL_SMTP)
		return sendmail_smtp(&s->a, &s->d, &s->about);
	return send_message(s);
}

int
verb_sendmail(int argc, char **argv)
{
	static struct sending sending;
	struct sending *s = &sending;
	int status = sendmail_args_read(&s->a, argc, argv);

	s->d.dir = s->d.fd = -1;
	buf_init(&s->text, HEADER_BYTES_MAX + 4 * READ_BYTES);
	if (s->a.wants_help)
		fputs(usage, stdout);
	else if (status == EX_OK && s->a.mode != SENDMAIL_NOTHING)
		status = do_it(s);
	if (status != EX_OK)
		fprintf(stderr, "sendmail: %s\n",
		    s->why          ? s->why :
			s->a.why[0] ? s->a.why :
				      s->d.why);
	dropper_leave(&s->d);
	sendmail_args_free(&s->a);
	buf_free(&s->text);
	return status;
}

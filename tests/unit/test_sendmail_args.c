/* What programs say to sendmail on its command line. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "daemon/sendmail_i.h"

#define ARGS_MAX 40

/* Words with blanks between them. */
static int
read_words(struct sendmail_args *a, const char *words)
{
	static char copy[1024];
	struct slice rest;
	char *argv[ARGS_MAX + 1] = { "sendmail" };
	int argc = 1;

	slice_copy(slice_str(words), copy, sizeof(copy));
	rest = slice_str(copy);
	while (rest.n > 0 && argc < ARGS_MAX) {
		struct slice one = slice_cut(&rest, ' ');

		copy[one.p - copy + (ptrdiff_t)one.n] = '\0';
		argv[argc++] = copy + (one.p - copy);
	}
	argv[argc] = NULL;
	return sendmail_args_read(a, argc, argv);
}

static void
is_said(const char *words, const char *sender, const char *name, bool header,
    bool dot_is_text, uint32_t nrcpt)
{
	struct sendmail_args a;

	assert_int_equal(read_words(&a, words), EX_OK);
	assert_int_equal(a.mode, SENDMAIL_MESSAGE);
	assert_string_equal(a.sender ? a.sender : "-", sender);
	assert_string_equal(a.name ? a.name : "-", name);
	assert_int_equal(a.reads_header, header);
	assert_int_equal(a.dot_is_text, dot_is_text);
	assert_int_equal(a.nrcpt, nrcpt);
	sendmail_args_free(&a);
}

static void
callers_of_old_are_understood(void **state)
{
	(void)state;
	/* Debian's cron, PHP, git send-email, mailutils, bsd-mailx, mutt, logrotate,
	 * smartd, mdadm. */
	is_said("-FCronDaemon -i -B8BITMIME -oem root", "-", "CronDaemon",
	    false, true, 1);
	is_said("-t -i", "-", "-", true, true, 0);
	is_said("-t -i -fbounce@x.example", "bounce@x.example", "-", true, true,
	    0);
	is_said("-i a@b.example c@d.example", "-", "-", false, true, 2);
	is_said("-oi -f a@b.example -t", "a@b.example", "-", true, true, 0);
	is_said("-i -r me a@b.example", "me", "-", false, true, 1);
	is_said("-oem -oi -- a@b.example", "-", "-", false, true, 1);
	is_said("-bm -odb -oem -v -F x a@b.example,c@d.example", "-", "x",
	    false, false, 2);
	is_said("-G -U -m -n -x -h 3 -p SMTP:host -X /log -L tag -A c -e m "
		"-O Opt=1 -Cfile root",
	    "-", "-", false, false, 1);
	is_said("a@b.example -f", "-", "-", false, false, 2);
}

static void
dsn_wishes_are_read(void **state)
{
	struct sendmail_args a;

	(void)state;
	assert_int_equal(read_words(&a,
			     "-N success,DELAY -R hdrs -V id=1 a@b.example"),
	    EX_OK);
	assert_int_equal(a.notify, NOTIFY_SUCCESS | NOTIFY_DELAY);
	assert_int_equal(a.ret, ENV_RET_HDRS);
	assert_true(slice_eq(a.envid, SL("id+3D1")));
	sendmail_args_free(&a);
	assert_int_equal(read_words(&a, "-Nnever -Rfull -Va+2Bb a@b.example"),
	    EX_OK);
	assert_int_equal(a.notify, NOTIFY_NEVER);
	assert_int_equal(a.ret, ENV_RET_FULL);
	assert_true(slice_eq(a.envid, SL("a+2Bb")));
	sendmail_args_free(&a);
}

static void
modes_are_told_apart(void **state)
{
	static const struct {
		const char *words;
		enum sendmail_mode mode;
	} v[] = { { "-bs", SENDMAIL_SMTP }, { "-bi", SENDMAIL_NOTHING },
		{ "-q", SENDMAIL_NOTHING }, { "-q30m", SENDMAIL_NOTHING },
		{ "-I", SENDMAIL_MESSAGE } };
	struct sendmail_args a;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(v); i++) {
		int status = read_words(&a, v[i].words);

		assert_int_equal(a.mode, v[i].mode);
		assert_int_equal(status,
		    a.mode == SENDMAIL_MESSAGE ? EX_USAGE : EX_OK);
		sendmail_args_free(&a);
	}
}

static void
wrong_ones_are_refused_with_a_word(void **state)
{
	static const struct {
		const char *words;
		int status;
	} v[] = { { "", EX_USAGE }, { "-Z a@b.example", EX_USAGE },
		{ "-f", EX_USAGE }, { "-N maybe a@b.example", EX_USAGE },
		{ "-N never,delay a@b.example", EX_USAGE },
		{ "-N success, a@b.example", EX_USAGE },
		{ "-R some a@b.example", EX_USAGE }, { "-bz", EX_USAGE },
		{ "-bp", EX_UNAVAILABLE }, { "-bd", EX_UNAVAILABLE },
		{ "a@b@c", EX_NOUSER }, { "<>", EX_NOUSER } };
	struct sendmail_args a;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(v); i++) {
		assert_int_equal(read_words(&a, v[i].words), v[i].status);
		assert_true(a.why[0] != '\0');
		sendmail_args_free(&a);
	}
}

static void
senders_are_one_address_or_nobody(void **state)
{
	struct sendmail_args a = { 0 };
	char text[MAILBOX_MAX + 2];

	(void)state;
	assert_int_equal(sendmail_sender(&a, "", text), EX_OK);
	assert_string_equal(text, "");
	assert_int_equal(sendmail_sender(&a, " <> ", text), EX_OK);
	assert_string_equal(text, "");
	assert_int_equal(sendmail_sender(&a, "A <a@b.example>", text), EX_OK);
	assert_string_equal(text, "a@b.example");
	assert_int_equal(sendmail_sender(&a, "root", text), EX_OK);
	assert_string_equal(text, "root");
	assert_int_equal(sendmail_sender(&a, "a@b, c@d", text), EX_DATAERR);
	assert_int_equal(sendmail_sender(&a, "a\nb", text), EX_DATAERR);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(callers_of_old_are_understood),
		cmocka_unit_test(dsn_wishes_are_read),
		cmocka_unit_test(modes_are_told_apart),
		cmocka_unit_test(wrong_ones_are_refused_with_a_word),
		cmocka_unit_test(senders_are_one_address_or_nobody),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * Messages of the load are known again whatever pieces they come in, and every
 * change behind the fingerprint is noticed.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "world/ident.h"

#define ID UINT64_C(0x3f2a10bc0000002a)

static const char rest[] = "From: <a@b.example>\r\n"
			   "Subject: x\r\n"
			   "\r\n"
			   "one line\r\n"
			   ".a dot\r\n"
			   "end\r\n";

/* A whole message with `before` in front of the load's fields. */
static size_t
make(char *dst, size_t cap, const char *before)
{
	char id[SIM_ID_DIGITS + 1], field[SIM_HASH_FIELD];
	struct sim_hash h;
	size_t n;

	sim_id_format(id, ID);
	sim_hash_init(&h, ID);
	sim_hash_add(&h, slice_str(rest));
	n = sim_hash_field(field, &h);
	return (size_t)snprintf(dst, cap, "%sX-Sim-Id: %s\r\n%.*s%s", before,
	    id, (int)n, field, rest);
}

static enum sim_verdict
check_in_pieces(const char *msg, size_t n, size_t piece, uint64_t *id)
{
	struct sim_check c;

	sim_check_init(&c);
	for (size_t at = 0; at < n; at += piece)
		sim_check_feed(&c, slice_of(msg + at, MIN(piece, n - at)));
	*id = c.id;
	return sim_check_end(&c);
}

static void
whole_messages_pass_in_any_pieces(void **state)
{
	char msg[1024];
	size_t n = make(msg, sizeof(msg),
	    "Received: from a very long name that fills more than the short "
	    "buffer in which header lines are gathered, and then goes on and "
	    "on\r\n\tby here\r\nX-MTA-Other: y\r\n");
	uint64_t id;

	(void)state;
	for (size_t piece = 1; piece <= n; piece++) {
		assert_int_equal(check_in_pieces(msg, n, piece, &id),
		    SIM_HASH_OK);
		assert_true(id == ID);
	}
}

static void
every_changed_octet_is_noticed(void **state)
{
	char msg[1024];
	size_t n = make(msg, sizeof(msg), ""), from = n - sizeof(rest) + 1;
	uint64_t id;

	(void)state;
	for (size_t i = from; i < n; i++) {
		msg[i] ^= 1;
		assert_int_equal(check_in_pieces(msg, n, 7, &id), SIM_HASH_BAD);
		msg[i] ^= 1;
	}
	for (size_t cut = from; cut < n; cut++)
		assert_int_equal(check_in_pieces(msg, cut, 7, &id),
		    SIM_HASH_BAD);
	msg[n] = 'x';
	assert_int_equal(check_in_pieces(msg, n + 1, 7, &id), SIM_HASH_BAD);
}

static void
a_body_under_another_id_is_noticed(void **state)
{
	char msg[1024];
	size_t n = make(msg, sizeof(msg), "");
	char *at = strstr(msg, "0000002a");
	uint64_t id;

	(void)state;
	assert_non_null(at);
	at[7] = 'b';
	assert_int_equal(check_in_pieces(msg, n, n, &id), SIM_HASH_BAD);
}

static void
other_mail_is_foreign(void **state)
{
	static const char *const mails[] = {
		"",
		"Subject: x\r\n\r\nbody\r\n",
		"Subject: x\r\n\r\nX-Sim-Id: 3f2a10bc0000002a\r\n",
		"X-Sim-Id: 3f2a10bc\r\n\r\n",
		"X-Sim-Id: 3F2A10BC0000002A\r\n\r\n",
		"X-Sim-Hash: 00000000/0\r\n\r\n",
	};
	uint64_t id;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(mails); i++)
		assert_int_equal(check_in_pieces(mails[i], strlen(mails[i]), 3,
				     &id),
		    SIM_HASH_NONE);
}

static void
an_id_without_a_fingerprint_is_bad(void **state)
{
	static const char mail[] = "X-Sim-Id: 3f2a10bc0000002a\r\n"
				   "X-Sim-Hash: nonsense\r\n\r\nbody\r\n";
	uint64_t id;

	(void)state;
	assert_int_equal(check_in_pieces(mail, sizeof(mail) - 1, 5, &id),
	    SIM_HASH_BAD);
	assert_true(id == ID);
}

static void
recipients_name_their_message(void **state)
{
	static const char *const wrong[] = { "", "r", "r0.", "<>",
		"postmaster@x.example", "r0.3f2a10bc0000002@x.example",
		"r0.3f2a10bc0000002aa@x.example", "r100.3f2a10bc0000002a@x",
		"r-1.3f2a10bc0000002a@x", "q0.3f2a10bc0000002a@x" };
	char text[64];
	uint64_t id;
	uint32_t k;

	(void)state;
	for (uint32_t i = 0; i < SIM_RCPTS_MAX; i++) {
		size_t n = sim_rcpt_format(text, ID, i);

		text[n++] = 'x';
		assert_int_equal(sim_rcpt_parse(slice_of(text, n), &id, &k), 0);
		assert_true(id == ID);
		assert_int_equal(k, i);
	}
	assert_int_equal(sim_rcpt_parse(SL("<r7.3f2a10bc0000002a@x.example>"),
			     &id, &k),
	    0);
	assert_int_equal(k, 7);
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
		assert_int_not_equal(sim_rcpt_parse(slice_str(wrong[i]), &id,
					 &k),
		    0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(whole_messages_pass_in_any_pieces),
		cmocka_unit_test(every_changed_octet_is_noticed),
		cmocka_unit_test(a_body_under_another_id_is_noticed),
		cmocka_unit_test(other_mail_is_foreign),
		cmocka_unit_test(an_id_without_a_fingerprint_is_bad),
		cmocka_unit_test(recipients_name_their_message),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

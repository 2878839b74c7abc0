/*
 * tests/wire/script.h - transcripts of SMTP conversations, as text files.
 *
 *	# comment
 *	server [OPTION ...]	the machine on trial, and its configuration
 *	client [OPTION ...]
 *	C: text			the client's line; CRLF is added
 *	S: text			the server's line; CRLF is added
 *	c: text   s: text	the same, without CRLF
 *	A: text			an act, as tests/lib/smtp_drive.h writes it
 *	M: <sender> rcpt,rcpt text	a mail for the client to send
 *	--- [EVENT]		the end of a turn, and what happens then: shut,
 *				shut-gently, timeout, gone
 *
 * In texts \r \n \t \\ \0 \xHH stand for bytes, and \*300{ab} for 300 times
 * "ab". The lines of the machine on trial and its acts are what is expected;
 * each of the three streams is compared as a whole.
 */
#ifndef TESTS_WIRE_SCRIPT_H
#define TESTS_WIRE_SCRIPT_H

#include "lib/smtp_drive.h"

#define TURNS_MAX 64
#define MAILS_MAX 8

struct turn {
	size_t from, n; /* in input */
	char event[16];
};

struct script {
	char name[64];
	bool is_server, tls_fails, quits;
	bool auth, trusts; /* what a server offers */
	bool logs_in;      /* a client, as tests/lib/smtp_drive.h has it */
	struct smtp_srv_conf srv;
	struct smtp_cli_conf cli;
	struct buf input, output, acts;
	struct turn turns[TURNS_MAX];
	uint32_t nturns;
	struct drive_mail mails[MAILS_MAX];
	uint32_t nmails;
	struct arena texts;
};

/* Reads a file; a mistake in it stops the program with a message. */
void script_read(struct script *s, const char *dir, const char *file);
void script_free(struct script *s);

#endif

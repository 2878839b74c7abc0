/*
 * tests/lib/smtp_drive.h - drives an SMTP machine from bytes in memory and
 * writes down what it did, so that two runs can be compared: the same bytes,
 * cut in another way, must give the same acts and the same output.
 *
 * Input comes in turns. Within a turn the cut does not matter; between turns
 * the driver does what a caller does when the wire falls silent: it finishes a
 * TLS handshake, or gives the body that the client machine has asked for.
 *
 * What must hold whatever the peer sends is asserted here, for the wire tests
 * and the fuzzers alike.
 */
#ifndef TESTS_LIB_SMTP_DRIVE_H
#define TESTS_LIB_SMTP_DRIVE_H

#include "proto/proto.h"

/* ---- server ---------------------------------------------------------------- */

/*
 * Answers by the local part of the address: "no..." 550, "later..." 451,
 * "bye..." 421; by that of the sender, later on: "nodata" at DATA, "nobody" at
 * the first piece, "noeom" at the end. All else is accepted.
 */
struct srv_drive {
	struct smtp_srv srv;
	struct smtp_srv_conf conf;
	struct buf acts; /* one line each */
	struct buf out;  /* all replies */
	struct buf body; /* of the message under way */
	char sender[16];
	int64_t now_us;
	bool is_open; /* a transaction, as the acts tell it */
	bool in_tls_wait, is_closed;
	bool tls_fails;
	/* Every message that is whole, before its answer; may be NULL. */
	void (*on_message)(void *ctx, struct slice body);
	void *ctx;
};

void srv_drive_init(struct srv_drive *d, const struct smtp_srv_conf *conf);
void srv_drive_free(struct srv_drive *d);
/* A piece of a turn's input; it is gone when the call returns. */
void srv_drive_feed(struct srv_drive *d, struct slice piece);
/* The end of the turn. */
void srv_drive_turn(struct srv_drive *d);

/* ---- client ---------------------------------------------------------------- */

#define DRIVE_RCPTS_MAX 8

struct drive_mail {
	struct slice sender;
	struct slice rcpt[DRIVE_RCPTS_MAX];
	uint32_t nrcpt;
	struct slice body;
	uint32_t flags;
	bool is_broken; /* its body cannot be read */
};

struct cli_drive {
	struct smtp_cli *cli;
	struct smtp_cli_conf conf;
	const struct drive_mail *mails;
	uint32_t nmails, begun, done;
	struct smtp_cli_rcpt rcpts[2][DRIVE_RCPTS_MAX];
	struct buf acts;
	struct buf out; /* all that was sent */
	struct buf in;  /* all that the server said */
	size_t body_at;
	size_t piece_max; /* of a body; 0 = whole */
	int64_t now_us;
	uint32_t bodies;
	bool wants_body, in_tls_wait, is_down;
	bool body_is_whole; /* of the oldest mail: the final dot was given */
	bool quits;         /* QUIT when all mails are done */
	bool tls_fails;
};

void cli_drive_init(struct cli_drive *d, const struct smtp_cli_conf *conf,
    const struct drive_mail *mails, uint32_t nmails);
void cli_drive_free(struct cli_drive *d);
void cli_drive_feed(struct cli_drive *d, struct slice piece);
void cli_drive_turn(struct cli_drive *d);
/* The connection is lost. */
void cli_drive_gone(struct cli_drive *d);
void cli_drive_timeout(struct cli_drive *d);

#endif

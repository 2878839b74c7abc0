/*
 * proto/bounce.h - what a message says about deliveries: reports of failure,
 * delay and success (RFC 3464, RFC 6533, and the texts of servers that know
 * neither), complaints (RFC 5965 and older forms), and what is neither.
 *
 * All of it is hostile. An address that is given is one that the message has, in
 * its bytes or what its codings decode to; none is ever made up. Reading takes
 * time linear in the message, but for a factor with a ceiling.
 */
#ifndef PROTO_BOUNCE_H
#define PROTO_BOUNCE_H

#include "mail/mail.h"
#include "proto/arf.h"

#define BOUNCE_RCPTS_MAX 256u        /* those behind are left out */
#define BOUNCE_DIAG_MAX 2000u        /* bytes of a diagnostic that are kept */
#define BOUNCE_MEMORY_MAX (4u << 20) /* for what is found */

enum bounce_type { BOUNCE_OTHER, BOUNCE_DELIVERY, BOUNCE_COMPLAINT };

/* RFC 3464 2.3.3, in its words. */
#define BOUNCE_ACTION_TABLE(X)                                                 \
	X(BOUNCE_FAILED, "failed")                                             \
	X(BOUNCE_DELAYED, "delayed")                                           \
	X(BOUNCE_DELIVERED, "delivered")                                       \
	X(BOUNCE_RELAYED, "relayed")                                           \
	X(BOUNCE_EXPANDED, "expanded")

/* Why a message is neither a bounce nor a complaint. */
#define BOUNCE_REASON_TABLE(X)                                                 \
	X(BOUNCE_NO_REPORT, "no report of a delivery")                         \
	X(BOUNCE_NO_RECIPIENT, "bounce without a recipient")                   \
	X(BOUNCE_AUTO_REPLY, "auto-reply")                                     \
	X(BOUNCE_CHALLENGE, "challenge")                                       \
	X(BOUNCE_READ_RECEIPT, "read receipt")                                 \
	X(BOUNCE_LIST, "list mail")                                            \
	X(BOUNCE_EMPTY, "empty")

#define BOUNCE_ENUM(name, ...) name,
enum bounce_action { BOUNCE_ACTION_TABLE(BOUNCE_ENUM) BOUNCE_ACTION_N };
enum bounce_reason { BOUNCE_REASON_TABLE(BOUNCE_ENUM) BOUNCE_REASON_N };
#undef BOUNCE_ENUM

struct bounce_rcpt {
	struct slice address;    /* UTF-8; never empty */
	struct slice original;   /* Original-Recipient where it is another */
	struct slice diagnostic; /* on one line; may be empty */
	struct slice remote_mta; /* who refused it; may be empty */
	uint8_t action;          /* enum bounce_action */
	bool has_status;         /* enh was said, and not made of the code */
	uint16_t code;           /* 0 = none */
	struct enh enh;          /* all zero = none */
};

struct bounce {
	uint8_t type;   /* enum bounce_type */
	uint8_t reason; /* enum bounce_reason, of BOUNCE_OTHER */
	/* BOUNCE_DELIVERY. Of BOUNCE_NO_RECIPIENT rcpt[0] has what is said of
	 * whoever it is, without an address. */
	uint32_t nrcpts;
	struct bounce_rcpt rcpt[BOUNCE_RCPTS_MAX];
	/* BOUNCE_COMPLAINT; and the ids in it of both: those in Received fields
	 * of the message that it is about. */
	struct arf arf;
	/* Both: the Message-ID of the message it is about, without its angle
	 * brackets; empty = not said. */
	struct slice message_id;
	struct slice envelope_id; /* ENVID of RFC 3461, as xtext */
	struct slice return_path; /* that the message it is about says */
	struct arena memory;
};

/* Reads a message. Slices of *b lie in its memory: bounce_free. 0, or E_NOMEM,
 * and then there is nothing to free. */
int bounce_read(struct slice message, struct bounce *b) MUST_CHECK;
void bounce_free(struct bounce *b);
const char *bounce_action_name(enum bounce_action a);
const char *bounce_reason_name(enum bounce_reason r);

#endif

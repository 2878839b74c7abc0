/*
 * proto/smtp_srv_i.h - what the parts of the SMTP server share.
 *
 * smtp_srv.c has the session: steps, answers, deadlines, command lines.
 * smtp_srv_cmd.c has the commands, smtp_srv_param.c the parameters of MAIL and
 * RCPT. smtp_srv_body.c has the message.
 *
 * A function that returns an act returns SRV_NEED_INPUT for "nothing for the
 * caller, go on".
 */
#ifndef PROTO_SMTP_SRV_I_H
#define PROTO_SMTP_SRV_I_H

#include "proto/smtp_srv.h"

/* How much of CRLF "." CRLF stands behind us. */
enum srv_eol {
	EOL_MID,    /* inside a line */
	EOL_START,  /* at the start of a line, behind a true CRLF */
	EOL_BARE,   /* behind a bare CR or LF that was made CRLF */
	EOL_CR,     /* behind a CR that is not yet accounted for */
	EOL_DOT,    /* EOL_START and a dot, not yet accounted for */
	EOL_DOT_CR, /* the same and a CR */
};

/* ---- smtp_srv.c ---------------------------------------------------------- */

/* A whole reply that is no error, CRLF included. */
void srv_say(struct smtp_srv *s, struct slice reply);
/* One that is: counted, and the last straw closes the session. */
void srv_fail(struct smtp_srv *s, struct slice reply);
/* Makes the caller's answer to `act` due. */
enum smtp_srv_act srv_ask(struct smtp_srv *s, enum smtp_srv_act act);
/* Forgets the transaction; SRV_ABORT follows when the caller knows of it. */
void srv_reset(struct smtp_srv *s);
/* Nothing more is read. Open transactions are aborted. */
void srv_close(struct smtp_srv *s);

/* ---- smtp_srv_cmd.c ------------------------------------------------------ */

/* One command line without its CRLF. */
enum smtp_srv_act srv_command(struct smtp_srv *s, struct slice line);

/* One line of the client's in a SASL exchange. */
enum smtp_srv_act srv_auth_line(struct smtp_srv *s, struct slice line);
void srv_banner(struct smtp_srv *s);

/* ---- smtp_srv_param.c ---------------------------------------------------- */

extern const struct slice srv_bad_argument, srv_bad_param;
/* Parse the parameters behind the path of MAIL and RCPT. An empty slice, or the
 * reply to what is wrong. */
struct slice srv_mail_params(struct smtp_srv *s, struct slice params);
struct slice srv_rcpt_params(struct smtp_srv *s, struct slice params);

/* ---- smtp_srv_body.c ----------------------------------------------------- */

void srv_body_begin(struct smtp_srv *s);
/* A chunk of n bytes follows. Then: SRV_DATA is asked (of a first one), the
 * state is made SRV_ST_BODY (of a further one), or it is refused: swallowed,
 * and answered with `reply`. */
void srv_chunk_begin(struct smtp_srv *s, uint64_t n, bool is_last);
void srv_chunk_refuse(struct smtp_srv *s, struct slice reply);
/* The chunk is over: answers it, or asks for the message's answer. */
bool srv_chunk_is_over(const struct smtp_srv *s);
enum smtp_srv_act srv_chunk_end(struct smtp_srv *s);
/* Eats body bytes up to the next act; in->n > 0. */
enum smtp_srv_act srv_body(struct smtp_srv *s, struct slice *in);
/* Refuses a body that has become too big, behind its last piece. */
void srv_body_settle(struct smtp_srv *s);
/* From now on the body is swallowed; `reply` (CRLF included) is its answer. */
void srv_body_refuse(struct smtp_srv *s, struct slice reply);

#endif

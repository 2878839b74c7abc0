/*
 * relay/intake_i.h - what the parts of an inbound session share.
 *
 * intake.c has the transaction: credits, staging, commit. intake_header.c has
 * the header section of the message, intake_client.c who the client is,
 * intake_sign.c what is signed of the message, intake_key.c its idempotency key,
 * intake_veto.c recipients that must not be written to, intake_back.c those that
 * are ours.
 */
#ifndef RELAY_INTAKE_I_H
#define RELAY_INTAKE_I_H

#include "relay/intake.h"

/* What X-MTA-Class says. */
enum { CLASS_UNSAID, CLASS_BULK, CLASS_HURRY };

/*
 * The header section stands whole at body[trace_n ..): counts hops, reads the
 * fields that steer into the intake and removes them. Returns why the message
 * is refused (code 0: it is not). Once a message, by intake_take_header.
 */
const struct intake_refusal *intake_read_header(struct intake *in,
    struct buf *b);
/* The recipients one after the other: at is NULL, then what was returned last. */
const char *intake_rcpt_next(const struct intake *in, const char *at,
    struct env_rcpt *r);
/* What neither a header field nor the listener says, the route does. */
void intake_steer(struct intake *in);
/* Answers the act that waits, and writes the books. */
void intake_refuse(struct intake *in, struct slice recipient, enum stage stage,
    int code, const char *enh, struct slice text);

/* intake_key.c */
/* A recipient was asked for, or (role 0) a sender said. */
void intake_asked(struct intake *in, struct slice address, uint64_t role);
/* False: the message's key is not free, and the end of data is answered. */
bool intake_key_claim(struct intake *in, struct parcel *p);

/* intake_veto.c */
/* A recipient that must not be written to: true, it is answered and in the
 * books. */
bool intake_veto_rcpt(struct intake *in, struct slice to);
/* Behind the header, which may have named another tenant than was thought at
 * RCPT: takes out whom it must not write to. True: nobody is left, or nobody
 * knows, and the end of data is answered. */
bool intake_veto_message(struct intake *in);

/* intake_submit.c */
/* A sender that the client's account may not be, or too many messages of it:
 * true, it is answered and in the books. */
bool intake_account_mail(struct intake *in);
/* The client has logged in: what its account says holds from now on. */
void intake_account_begin(struct intake *in, const struct conf_account *a);
/* As intake_read_header, behind it: what RFC 6409 asks for is done to the header,
 * and its From looked at. */
const struct intake_refusal *intake_submit(struct intake *in, struct buf *b);

/* intake_back.c */
/* A recipient at a domain of ours: true, it is answered. */
bool intake_back_rcpt(struct intake *in);
/* May a recipient elsewhere stand beside the present one? False: it is
 * answered. */
bool intake_back_beside(struct intake *in);
/* May the message have n more bytes? */
bool intake_back_has_room(struct intake *in, size_t n);
/* The message is over, or the core's. */
void intake_back_end(struct intake *in, bool is_given);

/* A recipient who is let in, with how to notify him. */
int intake_rcpt_add(struct intake *in, struct slice to, uint8_t notify);
/* What the client may do, by its address. */
void intake_trust(struct intake *in);
/* One line of a SASL exchange (intake_auth.c). */
void intake_auth(struct intake *in);
void intake_auth_free(struct intake *in);
/* XCLIENT (intake_client.c): the client speaks for another. */
void intake_xclient(struct intake *in);
/* intake_sign.c: as intake_read_header; then the keys that the message is for
 * begin to sign it. */
const struct intake_refusal *intake_take_header(struct intake *in,
    struct buf *b);
/* What is committed, in its order. False: it could not be signed, or a piece of
 * it is lost. */
bool intake_gather(struct intake *in, struct parcel *p);

#endif

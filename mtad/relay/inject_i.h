/*
 * relay/inject_i.h - what the parts of a session of the HTTP door share.
 *
 * inject.c has requests and raw messages, inject_batch.c what JSON asks for,
 * inject_lane.c the words of SMTP, inject_answer.c those of HTTP.
 */
#ifndef RELAY_INJECT_I_H
#define RELAY_INJECT_I_H

#include "relay/inject.h"

/* ---- inject_lane.c --------------------------------------------------------- */

/* Says MAIL; an intake is opened if there is none. The answer is in *s. */
void lane_mail(struct inject *j, struct lane *l, struct slice sender,
    uint64_t size, bool is_utf8, struct lane_said *s);
void lane_rcpt(struct inject *j, struct lane *l, struct slice to,
    struct lane_said *s);
/* A piece of the message; s->code is 250, or why it is not taken. */
void lane_piece(struct inject *j, struct lane *l, struct slice piece,
    struct lane_said *s);
/* No more follows. s->code is 0 where the answer comes later. */
void lane_end(struct inject *j, struct lane *l, struct lane_said *s);
/* What came later; code 0: nothing. */
void lane_hear(struct lane *l, struct lane_said *s);
/* Forgets what is open, and the intake. */
void lane_close(struct inject *j, struct lane *l);

/* ---- inject_key.c ----------------------------------------------------------- */

/* Takes the request's idempotency key; false: it is none, and answered. */
bool inject_key_begin(struct inject *j);
void inject_key_body(struct inject *j, struct slice piece);
/* All of the request has come. */
void inject_key_end(struct inject *j);
/* Behind MAIL, for message i of a batch: gives the key to the lane's intake.
 * True: it is known already, and *s is the answer. any: whatever it stood for,
 * for not all of the request is known. */
bool inject_key_give(struct inject *j, struct lane *l, uint32_t i, bool any,
    struct lane_said *s);

/* ---- inject_answer.c -------------------------------------------------------- */

/* Answers the request with an error of ours. */
void inject_refuse(struct inject *j, int status, const char *code,
    struct slice message, struct slice field);
/* The same with what SMTP said. */
void inject_refuse_said(struct inject *j, const struct lane_said *s);
/* A recipient of a single message is not taken. */
void inject_reject(struct inject *j, struct slice to,
    const struct lane_said *s);
/* The single message is taken, or refused. */
void inject_answer_one(struct inject *j, const struct lane_said *s);
void inject_answer_batch(struct inject *j);
/* Notes what became of message i. */
void inject_note(struct inject *j, uint32_t i, const struct lane_said *s);
void inject_note_fault(struct inject *j, uint32_t i,
    const struct letter_fault *f);
/* Takes the id out of "250 2.0.0 Queued as ID"; false: there is none. */
bool inject_id(const struct lane_said *s, struct msgid *id);

/* ---- inject_batch.c ----------------------------------------------------------- */

/* The body is whole, in j->body or j->spill. */
void inject_begin_json(struct inject *j);
/* Takes every lane as far as it goes, and answers when all is done. */
void inject_run(struct inject *j);
void inject_lane_done(struct inject *j, struct lane *l,
    const struct lane_said *s);

/* ---- inject.c --------------------------------------------------------------- */

/* May the token's client have n messages more? If not, it is answered. */
bool inject_may_send(struct inject *j, uint32_t n);
/* The request is over: forgets all of it. */
void inject_drop(struct inject *j);

#endif

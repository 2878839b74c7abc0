/*
 * daemon/bounce_judge.h - what the words of a bounce mean, by the rules of
 * classification; for `mtad decode` and for bounces that come by mail.
 */
#ifndef DAEMON_BOUNCE_JUDGE_H
#define DAEMON_BOUNCE_JUDGE_H

#include "conf/classify.h"
#include "proto/bounce.h"

/* Of a failure or delay. Without a code its class is that of the status. */
void bounce_judge(const struct classifier *k, struct class_desk *desk,
    const struct bounce_rcpt *x, struct judgement *out);
/* A recipient that is not to be written to again: its mailbox or domain is not
 * there. What is refused for other reasons may be let in tomorrow, with another
 * text or from another address. */
bool bounce_is_hard(const struct bounce_rcpt *x, const struct judgement *j);
/* Its status, where none is said by the class of the code or the action. */
struct enh bounce_status(const struct bounce_rcpt *x);

#endif

/*
 * world/judge.h - what a reply means, by the rules that ship: for those who
 * take the worker's place beside the real engine.
 */
#ifndef WORLD_JUDGE_H
#define WORLD_JUDGE_H

#include "conf/conf.h"
#include "mail/mail.h"

/* Reads the rules, unless that has been done. */
void judge_load(void);
/* Gives back what was kept for judge_hear. */
void judge_forget(void);
/* Judges an outcome by the provider and its text, as a worker does; without
 * their file nothing is judged. */
void judge_outcome(struct outcome *o, struct slice provider, struct slice text);
/* Which reactions of the configuration its words match, if it is judged; else *h
 * stays. */
void judge_hear(const struct conf *c, const struct outcome *o,
    struct slice text, struct conf_heard *h);

#endif

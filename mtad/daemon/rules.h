/*
 * daemon/rules.h - the rules by which replies are judged: shared by all
 * workers, counted, and where their shipped file lies.
 */
#ifndef DAEMON_RULES_H
#define DAEMON_RULES_H

#include "conf/conf.h"
#include "mail/judgement.h"

struct rules;
struct worker;

/* The shipped file: above a program that was built and not installed, else
 * where it is installed. Returns dst. */
const char *rules_shipped(char *dst, size_t cap);
/* Those of a configuration and then the shipped ones, or NULL after words in
 * the log about the mistakes in them. Give them back with rules_give. */
struct rules *rules_load(const struct conf *c);
struct rules *rules_take(struct rules *r);
void rules_give(struct rules *r); /* may be NULL */

/* A worker judges by r from now on, which is given to it; NULL: by none. */
void rules_adopt(struct worker *w, struct rules *r);
/* What a refusal means; false when it is none, or there are no rules. */
bool rules_judge(struct worker *w, const struct outcome *o, struct slice text,
    struct judgement *out) MUST_CHECK;

#endif

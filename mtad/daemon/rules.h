/*
 * daemon/rules.h - the rules by which replies are judged: shared by all
 * workers, counted.
 */
#ifndef DAEMON_RULES_H
#define DAEMON_RULES_H

#include "conf/conf.h"
#include "mail/mail.h"

struct rules;
struct worker;
struct classifier;

/* Those of a configuration and then the shipped ones, or NULL after words in
 * the log about the mistakes in them. Give them back with rules_give. */
struct rules *rules_load(const struct conf *c);
struct rules *rules_take(struct rules *r);
void rules_give(struct rules *r); /* may be NULL */
/* For those who are no worker. */
const struct classifier *rules_classifier(const struct rules *r);

/* A worker judges by r from now on, which is given to it; NULL: by none. */
void rules_adopt(struct worker *w, struct rules *r);
/* Judges an outcome by the provider and its text, unless there are no rules:
 * class_judge. */
void rules_judge(struct worker *w, struct outcome *o, struct slice provider,
    struct slice text);
/* The rule that does so, as file:line; its length, 0 = none does. */
size_t rules_name(struct worker *w, const struct outcome *o,
    struct slice provider, struct slice text, char *dst, size_t cap);
/* Which reactions its words match, if it is judged; else *h stays. */
void rules_hear(struct worker *w, const struct outcome *o, struct slice text,
    struct conf_heard *h);

#endif

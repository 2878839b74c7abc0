/*
 * conf/classify.h - what a reply means: rules from YAML files, compiled, asked
 * by code, enhanced code, text, provider and stage.
 *
 * Rules stand in order over all files, the user's before the shipped ones, and
 * the first whose every condition holds gives the judgement (share/doc/
 * classification.md). A classifier never changes once made: threads share it
 * without a lock, each with a desk of its own. Asking takes no memory, and its
 * time has a ceiling whatever the reply and the rules.
 */
#ifndef CONF_CLASSIFY_H
#define CONF_CLASSIFY_H

#include "conf/conf.h"
#include "mail/mail.h"

#define CLASS_TEXT_MAX 2048u /* bytes of a reply's text that are looked at */
#define CLASS_FILES_MAX 64u
#define CLASS_RULES_MAX 20000u

struct classifier;
struct class_desk; /* one thread's room to work in */

/* A file of rules; with text.p NULL it is read from `name`, a path. */
struct class_source {
	const char *name;
	struct slice text;
};

struct class_query {
	uint16_t code;  /* 0 = none */
	struct enh enh; /* all zero = none: one in front of the text counts */
	uint8_t stage;  /* enum stage; STAGE_NONE = not known */
	struct slice text;     /* lines joined by '\n', bytes of any kind */
	struct slice provider; /* empty = not known */
};

struct class_answer {
	struct judgement judgement;
	/* The rule that matched: its file as it was named, and the line; line 0
	 * when none did (Uncategorized, other, and hard by the code). */
	const char *file;
	uint32_t line;
};

/* NULL with errors reported, each as file:line:column: text. */
struct classifier *classifier_new(const struct class_source *files, uint32_t n,
    struct conf_errors *errs);
void classifier_free(struct classifier *k);
uint32_t classifier_rules(const struct classifier *k);

/* NULL when there is no memory. Not to be used beyond its classifier. */
struct class_desk *class_desk_new(const struct classifier *k);
void class_desk_free(struct class_desk *d);

void classify(const struct classifier *k, struct class_desk *d,
    const struct class_query *q, struct class_answer *out);
/* All rules that match, in place of the first: of a classifier of
 * conf_automation_rules, which judges nothing. */
void class_hits(const struct classifier *k, struct class_desk *d,
    const struct class_query *q, struct eng_hits *out);
/* The policy's automations as a classifier; NULL: there are none, or there is no
 * memory for them. */
struct classifier *conf_automation_rules(const struct conf *c);
/* Puts what a refusal means into it; what follows from that is the engine's to
 * decide (eng_outcome_meant). Anything else stays as it is. */
void class_judge(const struct classifier *k, struct class_desk *d,
    struct slice provider, struct slice text, struct outcome *o);

/*
 * One reply of a text file, as `mtad classify` reads them: either
 *   code TAB enhanced TAB text [TAB provider [TAB stage]]
 * or whole, in one line or several ("550-5.1.1 no", "550 5.1.1 such user").
 * Cuts it off the front of *rest, which is moved behind it; the text is put
 * into `text`, of CLASS_TEXT_MAX bytes, and the slices of *q point to both.
 * False when nothing is left. Whatever the bytes, each line is a part of
 * exactly one reply.
 */
bool class_read(struct slice *rest, char *text, struct class_query *q);
/* Can more bytes behind it not change what class_read takes from `taken`, which
 * it took whole? */
bool class_is_whole(struct slice taken);
/* A stage by its name or by that of the command, in either case; "eod" and
 * "end-of-data" are the end of the message. STAGE_NONE for others. */
enum stage class_stage(struct slice name);

#endif

/*
 * daemon/returned.h - a message that came back, on its way from the core to the
 * returner (what does it say, and of which message of ours?), the clerk (the lines
 * of the event log), and to the core again (what follows from it).
 *
 * One thread has it at a time.
 */
#ifndef DAEMON_RETURNED_H
#define DAEMON_RETURNED_H

#include "daemon/daemon_i.h"
#include "proto/bounce.h"

/* One line of the event log, and what it is good for. */
struct told {
	struct book_entry e;   /* its texts are the report's */
	struct slice original; /* the report's other address */
	bool counts;           /* it is of a kind that counts */
	bool is_found;         /* the log has the message */
	bool acts;             /* it counts, and is to be believed */
};

/* What a message says, and of whom. */
struct report {
	struct bounce b; /* its memory holds what is found, too */
	uint32_t n;
	struct told v[BOUNCE_RCPTS_MAX];
};

/* What became of it with the clerk. */
enum told_end {
	TOLD_DONE,
	TOLD_LOST /* the log could not be written */
};

struct returned {
	struct post post;
	struct core_back *back;
	const struct conf *conf; /* of the time when it came; so the others */
	struct rules *rules;
	struct keyring *keys;
	const struct conf_inbound *in; /* NULL: no domain of ours any more */
	struct back_to to;
	struct report *report; /* NULL: not read */
	uint32_t tries;
	int64_t again_us; /* not before */
	uint8_t told;     /* enum told_end */
	uint8_t end;      /* enum core_back_end */
};

/* On the core's worker: hands it to the returner. */
void returner_take(struct worker *w, struct core_back *b);
/* ... and what follows from it; r is freed. */
void returner_done(struct worker *w, struct returned *r);
void returned_forget(struct returned *r);
/* returned_find.c: whose they are. 0, E_NOMEM; E_AGAIN: the log may have more of the
 * message in a moment. */
int returned_find(struct returner *t, struct returned *r) MUST_CHECK;
/* On the clerk's thread: the lines. */
void returned_write(struct clerk *c, struct returned *r);

#endif

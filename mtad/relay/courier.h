/*
 * relay/courier.h - one outbound session: takes jobs, reads messages from the
 * spool, speaks SMTP, gives results.
 *
 * A message is never whole in memory because it is large, and its checksum is
 * known to be right before the final dot of it leaves.
 */
#ifndef RELAY_COURIER_H
#define RELAY_COURIER_H

#include "conf/conf.h"
#include "engine/engine.h"
#include "proto/proto.h"
#include "spool/spool.h"

/* A transaction to do: one message, recipients of one domain. Made by the
 * core, read by the courier, and back in the core with its results. */
struct job_rcpt {
	uint16_t number; /* in the envelope */
	struct outcome outcome;
	struct slice text;    /* into job.texts */
	struct eng_hits hits; /* of the automations of heard_key */
};

struct job {
	struct post post; /* also links it inside the courier */
	struct handle session, txn;
	uint32_t msg;
	uint16_t n, attempt;
	struct msgid id;
	struct spool_ref ref;
	int64_t wall_off_us; /* of the wall clock from the driver's */
	/* Filled by the courier. */
	char *record; /* the envelope; owned */
	struct envelope env;
	char *whole;       /* a small record, until its body is given; owned */
	struct slice body; /* in whole */
	bool is_damaged;
	/* The result. */
	bool is_sent, in_doubt;
	uint64_t heard_key; /* struct conf_heard; 0 = no hits */
	char *return_path;  /* in place of the sender; owned, or NULL */
	char *texts;        /* owned, or NULL */
	size_t texts_cap;
	int64_t began_us, ended_us;
	void *session_facts;      /* the driver's struct of the session */
	struct smtp_cli_rcpt *to; /* n addresses, behind rcpt */
	struct job_rcpt rcpt[];   /* n */
};

/* A job of n recipients, zeroed; NULL without memory. */
struct job *job_new(uint16_t n);
void job_free(struct job *j);

struct courier;

struct courier_ops {
	/* The job is done: result filled; the courier is through with it. */
	void (*result)(void *ctx, struct job *j);
	void (*up)(void *ctx, uint32_t caps, bool is_tls);
	/* The session is over; last call. class DELIVERED: orderly. */
	void (*down)(void *ctx, const struct outcome *o, struct slice text);
	/* The return path of a job whose addresses are known, in place of its
	 * sender: into dst, its length; 0: the sender stays. NULL: always. */
	size_t (*return_path)(void *ctx, const struct job *j,
	    char dst[MAILBOX_MAX + 1]);
	/* Random bytes, for SCRAM; may be NULL where nobody logs in. */
	bool (*random)(void *ctx, void *p, size_t n);
};

struct courier *courier_new(const struct smtp_cli_conf *conf, struct disk *disk,
    const struct courier_ops *ops, void *ctx, int64_t now_us);
/* Jobs not yet given back come back as unsent first. */
void courier_free(struct courier *c, int64_t now_us);
size_t courier_feed(struct courier *c, struct slice data, int64_t now_us);
/* Queues a job (at most a handful wait). */
void courier_assign(struct courier *c, struct job *j, int64_t now_us);
/* Goes on after output has left: reads more body. Call when out is small. */
void courier_pump(struct courier *c, int64_t now_us);
struct buf *courier_out(struct courier *c);
bool courier_wants_tls(const struct courier *c);
void courier_tls_done(struct courier *c, bool ok, struct slice why,
    int64_t now_us);
void courier_gone(struct courier *c, struct slice why, int64_t now_us);
/* QUIT when idle; jobs that wait are given back unsent. */
void courier_quit(struct courier *c, bool at_once, int64_t now_us);
/* Gives jobs back unsent of which the peer has seen nothing, but for the oldest. */
void courier_take_back(struct courier *c, int64_t now_us);
int64_t courier_deadline(const struct courier *c);
void courier_timeout(struct courier *c, int64_t now_us);
/* The peer has answered BDAT as an unknown command. */
bool courier_refuses_bdat(const struct courier *c);
/* EHLO is done; jobs may be under way. */
bool courier_is_up(const struct courier *c);
bool courier_is_down(const struct courier *c);
/* EHLO is done and it has no job. */
bool courier_is_idle(const struct courier *c);

#endif

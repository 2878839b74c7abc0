/*
 * check/standing.h - reactions, from outside: what replies were said, which rule
 * of the configuration they match, and until when nothing may start because of
 * it; that no more stands than that, nor for longer; and that what was durable
 * comes back after a crash, and nothing else.
 *
 * What is known of a rule is its text. A source, its netblock, a site and a
 * provider are known by their numbers.
 */
#ifndef CHECK_STANDING_H
#define CHECK_STANDING_H

#include "check/check.h"
#include "conf/conf.h"

enum std_val {
	STD_SOURCE,
	STD_NETBLOCK,
	STD_SITE,
	STD_PROVIDER,
	STD_HOST,
	STD_TENANT, /* from here on: of mail, not of a session */
	STD_CAMPAIGN,
	STD_POOL,
	STD_SENDER,
	STD_VALS
};
#define STD_NONE UINT32_MAX
struct std_who {
	uint32_t val[STD_VALS]; /* STD_NONE: it has none */
	uint32_t place;         /* the program's number of the site */
};
/* A transaction; of which mail, by the values from STD_TENANT on. */
struct std_txn {
	uint32_t session, txn;
	const struct std_who *mail;
	struct eng_shape shape; /* the loosest limits of its path */
};

/* What the program says that stands, or what a start found in the books. */
struct std_row {
	struct slice rule;
	uint16_t dims; /* 1 << enum eng_dim */
	struct std_who who;
	int64_t until_us; /* of the driver's clock */
};

struct stands;
struct stands *std_new(struct marks *marks);
void std_free(struct stands *t);
/* The rules that hold from now on; what has none is over. */
void std_conf(struct stands *t, const struct conf *c);
void std_opened(struct stands *t, uint32_t session, const struct std_who *who,
    int64_t now_us);
void std_assigned(struct stands *t, const struct std_txn *x, int64_t now_us);
/* A reply to a transaction, or, without one, with which the session ends. Before
 * the program hears of it. */
void std_heard(struct stands *t, uint32_t session, const struct std_txn *x,
    uint16_t code, struct slice text, int64_t now_us);
/* A transaction is over; it may never have been sent. */
void std_answered(struct stands *t, const struct std_txn *x, bool is_unsent,
    int64_t now_us);
/* Behind some of those: did the program hear of them? And what stands. */
void std_told(struct stands *t, bool has_heard, const struct std_row *v,
    uint32_t n, int64_t now_us);
/* A recipient of that mail is returned, and no receiver said so. Ought it to have
 * been, wherever it goes? */
void std_bounced(struct stands *t, const struct std_who *mail, uint32_t msg,
    int64_t now_us);
bool std_bounces(const struct stands *t, const struct std_who *mail,
    int64_t now_us);
/* May mail that was refused by a source at a time leave by another one? Is there
 * mail that may be with another source than is its own? */
bool std_let_go(const struct stands *t, uint32_t source, uint32_t netblock,
    int64_t since_us);
bool std_moves(const struct stands *t, int64_t now_us);
/* Has one that moves mail to other sources stood since? */
bool std_has_moved(const struct stands *t, int64_t since_us);
void std_ended(struct stands *t, const struct std_row *r);
/* What it holds was never sent. */
void std_closed(struct stands *t, uint32_t session, int64_t now_us);
/* All sessions are gone. */
void std_crash(struct stands *t);
/* A start: what the books had, and what stands of it. */
void std_started(struct stands *t, const struct std_row *kept, uint32_t nkept,
    const struct std_row *v, uint32_t n, int64_t now_us);

#endif

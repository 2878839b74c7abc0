/*
 * mix.h - what the load consists of: domains by weight, sizes by
 * distribution, tenants and campaigns, and the text of each message.
 *
 * Message i of a seed is the same in every run, whatever became of those
 * before it, but for its id and its date.
 */
#ifndef MIX_H
#define MIX_H

#include "proto/proto.h"
#include "world/expand.h"
#include "world/ident.h"

#define MIX_DOMAINS_MAX 256 /* names or ranges in the list */
#define MIX_NAMES_MAX 64    /* tenants, campaigns */
#define MIX_SIZE_MIN 512
#define MIX_SIZE_MAX (64u << 20)

enum mix_size { MIX_FIXED, MIX_UNIFORM, MIX_LOGNORMAL };

struct mix_names {
	uint32_t n;
	struct slice name[MIX_NAMES_MAX];
};

struct mix {
	uint32_t ndomains;
	struct {
		struct expand names;
		uint64_t up_to; /* weights up to and with this one */
	} domains[MIX_DOMAINS_MAX];
	uint64_t weights;
	uint8_t size_kind;         /* enum mix_size */
	uint64_t size_lo, size_hi; /* lognormal: median, 99th percentile */
	double sigma;
	struct mix_names tenants, campaigns;
	struct slice sender;
	uint32_t recipients;
	uint64_t seed;
	uint32_t run;          /* upper half of the ids */
	char *pool;            /* lines that bodies are cut from */
	struct buf rest, name; /* scratch */
};

/* A message and what has become of it. */
enum msg_state { MSG_OPEN, MSG_ACKED, MSG_REFUSED, MSG_DOUBT, MSG_STATES };

struct message {
	struct list node;
	uint64_t id;
	uint32_t seq;
	int64_t intended_us; /* loop clock */
	uint64_t bytes;
	uint32_t tries;
	uint32_t nrcpt;
	struct buf addresses, head;
	size_t body_at, body_n; /* in the pool, modulo its size */
	uint64_t given;         /* bytes of head and body already sent */
	struct slice address[SIM_RCPTS_MAX];
	uint8_t state[SIM_RCPTS_MAX]; /* enum msg_state */
	uint16_t code[SIM_RCPTS_MAX];
	/* The transaction: recipients that are still open. */
	uint32_t ntxn;
	uint8_t txn_rcpt[SIM_RCPTS_MAX]; /* their numbers */
	struct smtp_cli_rcpt txn[SIM_RCPTS_MAX];
};

void mix_init(struct mix *m);
void mix_free(struct mix *m);
/* "a.example=3,d{1..100}.example": 0 or an error and why. */
int mix_add_domains(struct mix *m, struct slice list, char *why,
    size_t why_cap) MUST_CHECK;
/* "4K", "1K..64K" or "lognormal:38K:180K" (median, 99th percentile). */
int mix_set_size(struct mix *m, struct slice text, char *why,
    size_t why_cap) MUST_CHECK;
/* "acme,zeta"; drawn evenly. */
int mix_add_names(struct mix_names *names, struct slice list, char *why,
    size_t why_cap) MUST_CHECK;
/* Options are complete: makes the text pool. */
void mix_ready(struct mix *m);

struct message *message_new(void);
void message_free(struct message *msg);
/* Makes msg number seq of this load. wall_us: for its date. */
void mix_compose(struct mix *m, struct message *msg, uint32_t seq,
    int64_t wall_us);
/* Next piece of the text, at most `want` bytes; empty at the end. */
struct slice mix_piece(const struct mix *m, struct message *msg, size_t want);

#endif

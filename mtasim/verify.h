/*
 * verify.h - the sum of a ledger, by provider.
 */
#ifndef VERIFY_H
#define VERIFY_H

#include "ledger.h"
#include "world/hist.h"
#include "world/worldfile.h"

/* Field, title, and whether it is printed even when it is 0 throughout. */
#define SUM_COLUMNS(X)                                                         \
	X(acked, "acked", true)                                                \
	X(delivered, "deliv'd", true)                                          \
	X(bounced, "bounced", true)                                            \
	X(expired, "expired", false)                                           \
	X(removed, "removed", false)                                           \
	X(queued, "queued", true)                                              \
	X(lost, "lost", true)                                                  \
	X(duplicates, "dupl", true)                                            \
	X(corrupt, "corrupt", false)

struct sum_row {
	struct slice name;
#define X(column, title, always) uint64_t column;
	SUM_COLUMNS(X)
#undef X
	uint32_t number;   /* as it was before sorting */
	struct hist *late; /* from intended start to first delivery */
};

#define SUM_LIST_MAX 20 /* ids printed of each kind */
#define SUM_ROWS_MAX 20 /* providers printed by name */

struct sum_list {
	uint64_t n;
	uint32_t v[SUM_LIST_MAX]; /* indices of entries */
};

struct sum {
	uint32_t nrows;
	struct sum_row *rows;
	struct sum_row total;
	uint64_t refused, doubt, doubt_delivered, unsent;
	uint64_t strangers; /* delivered, though no load journal knows them */
	uint64_t unbooked;  /* delivered without a Delivery event */
	struct sum_list lost, duplicates, corrupt;
};

/* queued_max: recipients said to be queued without saying which. */
void sum_make(struct sum *s, const struct ledger *g, const struct world *w,
    uint64_t queued_max);
void sum_free(struct sum *s);

#endif

/*
 * mail/kept.h - one entry of the books: a few numbers that survive a crash,
 * under a few names. The engine gives them to be kept (CMD_KEEP), and gets them
 * back at a start.
 *
 * Which book, how many names and what the numbers mean is its owner's affair;
 * times among them are of the wall clock, in microseconds. An entry replaces
 * the one before it with the same book, names and sub.
 */
#ifndef MAIL_KEPT_H
#define MAIL_KEPT_H

#include "base/base.h"

#define KEPT_KEYS_MAX 6
#define KEPT_VALUES_MAX 8
/* Of one name: longer ones are not names here. */
#define KEPT_NAME_MAX 255

/* The number of a book stands in files: it never changes. */
#define KEPT_BOOK_TABLE(X)                                                     \
	X(BOOK_QUOTA, 1, "quota")       /* what limits have spent */           \
	X(BOOK_STANDING, 2, "standing") /* reactions that hold */              \
	X(BOOK_ADAPT, 3, "adapt")       /* rates that were learnt */           \
	X(BOOK_WARMUP, 4, "warmup")     /* stages and counters of sources */   \
	X(BOOK_TALLY, 5, "tally")       /* replies that rules count */         \
	X(BOOK_TLS_REPORT, 6, "tls_report") /* sessions; of no engine */
#define X(name, number, text) name = number,
enum kept_book { KEPT_BOOK_TABLE(X) KEPT_BOOKS_END };
#undef X

struct kept {
	uint8_t book;  /* enum kept_book */
	uint8_t nkeys; /* the others are empty */
	bool is_gone;  /* the entry ends: it is kept no more */
	struct slice key[KEPT_KEYS_MAX];
	uint32_t sub;
	int64_t v[KEPT_VALUES_MAX];
};

#endif

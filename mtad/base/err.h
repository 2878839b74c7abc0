/*
 * base/err.h - the one table of operating errors.
 *
 * A function that can fail for a reason outside the program returns 0 or a
 * negative E_*; what a peer says is data and never one of these. Bugs are
 * ASSERTs. Context is added once, where it is known, by the caller that logs.
 */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#define ERR_TABLE(X)                                                           \
	X(E_NOMEM, 1, "out of memory")                                         \
	X(E_FULL, 2, "at its ceiling")                                         \
	X(E_AGAIN, 3, "not now, try again")                                    \
	X(E_IO, 4, "input/output error")                                       \
	X(E_NOSPC, 5, "no space left")                                         \
	X(E_CORRUPT, 6, "corrupt data")                                        \
	X(E_RANGE, 7, "value out of range")                                    \
	X(E_SYNTAX, 8, "syntax error")                                         \
	X(E_NOTFOUND, 9, "not found")                                          \
	X(E_EXISTS, 10, "already there")                                       \
	X(E_BUSY, 11, "in use")                                                \
	X(E_DENIED, 12, "permission denied")                                   \
	X(E_TIMEOUT, 13, "timed out")                                          \
	X(E_CLOSED, 14, "closed")                                              \
	X(E_VERSION, 15, "version not supported")                              \
	X(E_TOOBIG, 16, "too big")                                             \
	X(E_UNSUPPORTED, 17, "not supported")                                  \
	X(E_PROTO, 18, "protocol violation")

#define ERR_ENUM(name, num, text) name = -(num),
enum err { E_OK = 0, ERR_TABLE(ERR_ENUM) };
#undef ERR_ENUM

/* Result must be looked at. */
#define MUST_CHECK __attribute__((warn_unused_result))

/* Text of an error, never NULL; unknown numbers give "unknown error". */
const char *err_text(int err);
/* Its name, such as "E_NOSPC". */
const char *err_name(int err);
/* The E_* that stands for an errno value (ENOSPC, EDQUOT -> E_NOSPC, ...);
 * E_IO for what has no better name. */
int err_from_errno(int err_no);

#endif

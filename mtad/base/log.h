/*
 * base/log.h - the operator's log: one event, one line, `key=value`.
 *
 * This room does no I/O: lines go to a sink set at boot (stderr, journal).
 * Values are quoted when they need it and control bytes are escaped, so a
 * peer cannot forge a line. Not the event log of mail (relay/event.h).
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

enum log_level { LOG_ERROR = 3, LOG_WARN = 4, LOG_INFO = 6, LOG_DEBUG = 7 };

/* Sets the sink and the highest level that reaches it. The sink is called
 * from any thread with one line without newline. */
void log_setup(void (*sink)(enum log_level level, const char *line, size_t n),
    enum log_level max);
bool log_is_on(enum log_level level);

/*
 * log_event(LOG_WARN, "disk", "what", "no space", "path", path, NULL):
 * room, then key, value pairs of C strings, ended by NULL. Writes
 *   warn disk what="no space" path=/var/spool/mtad
 */
void log_event(enum log_level level, const char *room, ...)
    __attribute__((sentinel));
/* A free-form message under the key `msg`. */
void log_msg(enum log_level level, const char *room, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* s with control bytes, backslash, quote and invalid UTF-8 as \xNN, cut to
 * fit at a character; for logs and screens. Also escaped: the controls of
 * Latin-1 and what changes the direction of text. Returns the length, always
 * NUL-terminates. */
size_t text_escape(struct slice s, char *dst, size_t cap);
/* The same for a whole message: quotes and backslashes stay as they are. */
size_t text_one_line(struct slice s, char *dst, size_t cap);

#endif

/*
 * base/json.h - streaming JSON writer for the hot log and the control
 * answers. Appends to a buf; commas and quotes are its business. Strings are
 * escaped; bytes that are not valid UTF-8 become U+FFFD, so the output is
 * always valid JSON whatever a peer sent.
 */
#ifndef BASE_JSON_H
#define BASE_JSON_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"

struct jsonw {
	struct buf *out;
	bool need_comma;
	uint8_t depth;
};

void jw_init(struct jsonw *w, struct buf *out);
void jw_open(struct jsonw *w, char bracket);  /* '{' or '[' */
void jw_close(struct jsonw *w, char bracket); /* '}' or ']' */
/* A key of an object; the value follows. The literal needs no escaping. */
void jw_key(struct jsonw *w, const char *literal);
void jw_str(struct jsonw *w, struct slice s);
void jw_u64(struct jsonw *w, uint64_t v);
void jw_i64(struct jsonw *w, int64_t v);
void jw_bool(struct jsonw *w, bool v);
void jw_null(struct jsonw *w);
/* Thousandths as a decimal number: 1500 -> 1.5 (no float). */
void jw_milli(struct jsonw *w, int64_t thousandths);
/* key + value in one call. */
void jw_kstr(struct jsonw *w, const char *key, struct slice s);
void jw_ku64(struct jsonw *w, const char *key, uint64_t v);
void jw_ki64(struct jsonw *w, const char *key, int64_t v);
void jw_kbool(struct jsonw *w, const char *key, bool v);

#endif

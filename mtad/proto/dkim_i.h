/*
 * proto/dkim_i.h - what the parts of DKIM share.
 */
#ifndef PROTO_DKIM_I_H
#define PROTO_DKIM_I_H

#include "base/base64.h"
#include "proto/dkim.h"

/* Without blanks and line ends at both ends. */
struct slice dkim_trim(struct slice s);
/* Emits a whole field in canonical form, with its CRLF. */
void dkim_field_hash(struct slice whole, enum dkim_canon canon,
    dkim_emit_fn *emit, void *ctx);

#endif

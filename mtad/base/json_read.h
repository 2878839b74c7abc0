/*
 * base/json_read.h - reading JSON (RFC 8259) in place. Jansson makes a tree of a
 * text, which takes several times its memory; here a text of any size is checked
 * once, and then walked as it lies: nothing is copied but what a reader asks
 * for, so an attachment of 30 MB is read where it was mapped.
 */
#ifndef BASE_JSON_READ_H
#define BASE_JSON_READ_H

#include "base/buf.h"
#include "base/err.h"
#include "base/slice.h"

#define JSON_DEPTH_MAX 16u

/*
 * Is it one JSON text, UTF-8 throughout (escaped surrogates in pairs), no deeper
 * than JSON_DEPTH_MAX? 0 or E_SYNTAX; *at is then where it is wrong. All others
 * below are for what has passed.
 */
int json_check(struct slice text, size_t *at) MUST_CHECK;

enum json_kind {
	JSON_KIND_NULL,
	JSON_KIND_FALSE,
	JSON_KIND_TRUE,
	JSON_KIND_NUMBER,
	JSON_KIND_STRING,
	JSON_KIND_ARRAY,
	JSON_KIND_OBJECT
};
/* Of a value, as json_value, json_item and json_member give it. */
enum json_kind json_kind_of(struct slice value);
/* The value that a text is. */
struct slice json_value(struct slice text);
/* What stands between the brackets of an array or object, to be walked. */
struct slice json_inside(struct slice value);
/* The next item of an array, the next member of an object (its key a string, in
 * its quotes); false at the end. */
bool json_item(struct slice *rest, struct slice *value);
bool json_member(struct slice *rest, struct slice *key, struct slice *value);
/* The value of a member, the first of that name; .p is NULL: there is none. */
struct slice json_get(struct slice object, struct slice name);

/* A string, read piece by piece. */
struct json_text {
	struct slice left; /* escaped, without the quotes */
};
struct json_text json_text_of(struct slice string);
/* Up to cap (at least 4) bytes, whole characters; 0 at the end. */
size_t json_text_next(struct json_text *t, char *dst, size_t cap);
/* Is it that? */
bool json_is(struct slice string, struct slice s);
/* Appends all of it; as buf_adds. */
int json_text_add(struct slice string, struct buf *out) MUST_CHECK;

#endif

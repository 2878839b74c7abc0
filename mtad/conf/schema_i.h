/*
 * conf/schema_i.h - what the writers of JSON Schemas of this room share.
 */
#ifndef CONF_SCHEMA_I_H
#define CONF_SCHEMA_I_H

#include "base/base.h"

/* "type": either of two. */
void schema_types(struct jsonw *w, const char *a, const char *b);
/* "enum": n names. */
void schema_enum(struct jsonw *w, const char *(*name)(uint32_t i), uint32_t n);
/* An object without other keys; its properties are open then. */
void schema_open(struct jsonw *w);
const char *schema_category(uint32_t i);
const char *schema_kind(uint32_t i);

/* class_schema.c: the members of the schema of a file of rules, and of one of
 * words. */
void class_schema(struct jsonw *w);
void class_words_schema(struct jsonw *w);

#endif

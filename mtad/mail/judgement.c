/*
 * mail/judgement.c - the names of categories, kinds and scopes, both ways.
 */
#include "mail/judgement.h"

#define TEXT(name, text, ...) [name] = text,
#define SCOPE_OF(name, text, scope) [name] = scope,

static const char *const categories[] = { CATEGORY_TABLE(TEXT) };
static const char *const kinds[] = { KIND_TABLE(TEXT) };
static const char *const scopes[] = { SCOPE_TABLE(TEXT) };

static unsigned int
find(const char *const *names, unsigned int n, struct slice name)
{
	unsigned int i = 0;

	while (i < n && !slice_eq(slice_str(names[i]), name))
		i++;
	return i;
}

const char *
category_name(enum category c)
{
	return (unsigned int)c < CATEGORY_N ? categories[c] : "unknown";
}

const char *
kind_name(enum kind k)
{
	return (unsigned int)k < KIND_N ? kinds[k] : "unknown";
}

const char *
scope_name(enum scope s)
{
	return (unsigned int)s < SCOPE_N ? scopes[s] : "unknown";
}

enum scope
kind_scope(enum kind k)
{
	static const uint8_t of[] = { KIND_TABLE(SCOPE_OF) };

	return (unsigned int)k < KIND_N ? (enum scope)of[k] : SCOPE_MESSAGE;
}

enum category
category_find(struct slice name)
{
	return (enum category)find(categories, CATEGORY_N, name);
}

enum kind
kind_find(struct slice name)
{
	return (enum kind)find(kinds, KIND_N, name);
}

enum scope
scope_find(struct slice name)
{
	return (enum scope)find(scopes, SCOPE_N, name);
}

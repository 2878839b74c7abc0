/*
 * mail/names.c - the names of stages and outcomes, from their tables, and what
 * an outcome means.
 */
#include "mail/mail.h"

#define ENUM_TEXT(name, text) [name] = text,

const char *
stage_name(enum stage s)
{
	static const char *const names[] = { STAGE_TABLE(ENUM_TEXT) };

	return (unsigned int)s < STAGE_N ? names[s] : "unknown";
}

const char *
outcome_name(enum outcome_class c)
{
	static const char *const names[] = { OUTCOME_TABLE(ENUM_TEXT) };

	return (unsigned int)c < OUTCOME_N ? names[c] : "unknown";
}

bool
outcome_is_final(enum outcome_class c)
{
	return c == OUTCOME_DELIVERED || c == OUTCOME_BOUNCED ||
	    c == OUTCOME_EXPIRED || c == OUTCOME_ADMIN || c == OUTCOME_DELETED;
}

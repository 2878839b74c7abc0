/*
 * conf/options_i.h - what the tables of options (options*.c) are written
 * with: columns of a row, and rows that more than one table has.
 */
#ifndef MTAD_CONF_OPTIONS_I_H
#define MTAD_CONF_OPTIONS_I_H

#include "conf/conf_i.h"

#define ROWS(v)                                                                \
	{                                                                      \
		.opts = v, .n = ARRAY_LEN(v)                                   \
	}
#define S US_PER_S
#define MIN_US (60 * S)
#define HOUR_US (3600 * S)
#define DAY_US (24 * HOUR_US)
#define KB INT64_C(1024)
#define MB (KB * 1024)
#define GB (MB * 1024)
#define TB (GB * 1024)

#define RANGE(lo, hi) .min = (lo), .max = (hi)
#define AT(field) .at = offsetof(struct conf, field)
#define COUNT(T, field, n)                                                     \
	.count_at = offsetof(T, field),                                        \
	.count_bytes = sizeof(((T *)0)->field), .list_max = (n)
#define ENTRIES(T, array, count, max)                                          \
	.at = offsetof(struct conf, array), .entry_bytes = sizeof(T),          \
	COUNT(struct conf, count, max)
#define ENTRIES_OF(T, array, count, max)                                       \
	.at = offsetof(T, array), .entry_bytes = sizeof(*((T *)0)->array),     \
	COUNT(T, count, max)

/* A row's default in a table whose rows have one, and in one that takes it
 * away, for its entries begin as a copy. */
#define TEXT(s) s
#define INHERITS(s) NULL

#define PROVIDERS(T, prefix)                                                   \
	{                                                                      \
		"provider", OPT_MAP,                                           \
		    .group = &conf_provider_options, .key_type = OPT_NAME,     \
		    ENTRIES_OF(T, prefix providers, prefix nproviders,         \
			ENG_PROVIDERS_MAX - 1),                                \
		    .help = "Who runs mail hosts, each under a name: which "   \
			    "sites are theirs, and how mail is sent there. A " \
			    "key set to `~` falls back to the default, a "     \
			    "provider set to `~` is none."                     \
	}

#endif

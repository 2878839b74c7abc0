/*
 * conf/zoneinfo.h - the system's zone files (RFC 8536) to tables of changes.
 *
 * Kept are the changes of ZONEINFO_FROM_YEAR to ZONEINFO_TO_YEAR: those that
 * the file lists, and beyond them those of the rule in its last line. No clock
 * is read: the same file gives the same table in every year.
 */
#ifndef CONF_ZONEINFO_H
#define CONF_ZONEINFO_H

#include "mail/zone.h"

#define ZONEINFO_FROM_YEAR 2025
#define ZONEINFO_TO_YEAR 2070
#define ZONEINFO_DIR "/usr/share/zoneinfo"
#define ZONEINFO_BYTES_MAX (64u * 1024)
#define ZONEINFO_NAME_MAX 64u

/* "Europe/Berlin": letters, digits, '_', '-' and '+', parts between single
 * slashes; so never a path that leads out of a directory. */
bool zoneinfo_name_is_valid(struct slice name);
/* From the bytes of a file, version 2 or later; hostile ones too. 0,
 * E_CORRUPT, or E_VERSION for version 1, which has no rule. */
int zoneinfo_parse(struct slice bytes, struct tzone *out) MUST_CHECK;
/* Of a zone of this system; "UTC" needs no file. 0, or an error as above, or
 * E_SYNTAX (no name of a zone) or E_NOTFOUND. */
int zoneinfo_load(struct slice name, struct tzone *out) MUST_CHECK;

#endif

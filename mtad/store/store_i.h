/*
 * store/store_i.h - what the files of this room share.
 */
#ifndef STORE_STORE_I_H
#define STORE_STORE_I_H

#include <sqlite3.h>

#include "store/store.h"

/* The E_* that stands for a result of SQLite; 0: it is none. */
int store_err(int rc);
/* The same of the last call on the file, with words; db may be NULL. */
int store_told(sqlite3 *db, int rc, char *why, size_t cap);

/* Made by root, a file is still the daemon's: whose the directory is. */
void store_give_away(const char *path);

#endif

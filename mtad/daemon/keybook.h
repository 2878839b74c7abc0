/*
 * daemon/keybook.h - idempotency keys of this daemon: the index (relay/idem.h)
 * behind a lock, and the files by which it outlives the messages.
 *
 * The lock: keys are claimed by every worker that takes mail and settled by the
 * spooler. It is held for a look at a table, never while another lock is held
 * but the spooler's, and never while a file is written. Mail without a key does
 * not come here.
 */
#ifndef DAEMON_KEYBOOK_H
#define DAEMON_KEYBOOK_H

#include "relay/idem.h"

struct keybook;
/* Reads what the directory holds of the last day. NULL after a word. */
struct keybook *keybook_open(const char *dir, uint32_t max);
void keybook_close(struct keybook *b); /* may be NULL; saves */

enum idem_answer keybook_claim(struct keybook *b, const struct env_key *key,
    const struct msgid *id, int64_t wall_us, struct msgid *first);
enum idem_answer keybook_find(struct keybook *b, const struct env_key *key,
    int64_t wall_us, struct msgid *first);
void keybook_settle(struct keybook *b, const struct env_key *key,
    const struct msgid *id, bool is_kept);
/* A message that the spool holds. */
void keybook_restore(struct keybook *b, const struct env_key *key,
    const struct msgid *id);

/*
 * The spooler's: before it lets messages go, all keys that were settled must
 * stand in the file. A file that cannot be written is complained of, and no key
 * is taken until it can; the messages go all the same.
 */
void keybook_save(struct keybook *b);
/* Are there many that are not saved? */
bool keybook_is_full(struct keybook *b);
void keybook_count(struct keybook *b, uint64_t *keys, uint64_t *bytes);

#endif

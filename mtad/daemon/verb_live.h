/*
 * daemon/verb_live.h - what a reload would do to the mail of a running daemon.
 */
#ifndef DAEMON_VERB_LIVE_H
#define DAEMON_VERB_LIVE_H

#include "conf/conf.h"
#include "control/control.h"
#include "daemon/verb_i.h"

/* Exit statuses beside those of all verbs. */
enum { LIVE_CHANGED = 4, LIVE_LOST = 5 };

/* Compares and tells, list_max kinds of mail at most. VERB_OK: nothing would
 * change; LIVE_CHANGED: the limits or sources of some mail would; LIVE_LOST:
 * some would have no source; else why it could not be told. */
int verb_check_live(const struct conf *conf, struct verb_peer *peer,
    uint32_t list_max, bool json);

#endif

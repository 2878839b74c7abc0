/*
 * relay/relay.h - the glue that both drivers link: no socket, clock, thread.
 *
 *	intake   one inbound session: smtp_srv + policy + staging -> a parcel to
 *		 commit; 250 only when told that it is durable
 *	courier  one outbound session: jobs -> smtp_cli -> results
 *	core     the engine, the table of messages and the books: SUBMIT after
 *		 the commit, ASSIGN -> job, RESULT -> PERSIST, notices, DROP
 *
 * Each is driven by one thread and speaks outwards through a table of
 * functions that its driver gives; none of these re-enters it.
 */
#ifndef RELAY_RELAY_H
#define RELAY_RELAY_H

#include <stdatomic.h>

#include "conf/conf.h"
#include "engine/engine.h"
#include "mail/mail.h"
#include "proto/proto.h"
#include "spool/spool.h"

#include "relay/books.h"
#include "relay/core.h"
#include "relay/courier.h"
#include "relay/drain.h"
#include "relay/intake.h"
#include "relay/tail.h"

#endif

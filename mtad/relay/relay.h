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

/* Where it was that an attempt failed, of an outcome that the engine gave: a TLS
 * policy that cannot be met comes from it as such an answer to EHLO, which no
 * peer gives (core_session_down). */
static inline enum stage
outcome_stage(const struct outcome *o)
{
	if (o->stage == STAGE_EHLO && o->code == 454 && o->enh.klass == 4 &&
	    o->enh.subject == 7 && (o->enh.detail == 4 || o->enh.detail == 5))
		return STAGE_TLS;
	return (enum stage)o->stage;
}

#include "relay/books.h"
#include "relay/core.h"
#include "relay/courier.h"
#include "relay/drain.h"
#include "relay/inject.h"
#include "relay/intake.h"
#include "relay/sign.h"
#include "relay/tail.h"

#endif

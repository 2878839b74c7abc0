/*
 * proto/proto.h - conversations without sockets.
 *
 * Machines here take bytes and the time, and give bytes and acts; who moves
 * the bytes is not their business. No callback re-enters a machine: it stops
 * at an act and waits for the answer. All input is hostile.
 */
#ifndef PROTO_PROTO_H
#define PROTO_PROTO_H

#include "mail/mail.h"
#include "proto/syntax.h"
#include "proto/reply.h"
#include "proto/header.h"
#include "proto/smtp_srv.h"
#include "proto/smtp_cli.h"
#include "proto/http_srv.h"
#include "proto/dsn.h"
#include "proto/drain.h"
#include "proto/proxy.h"
#include "proto/socks.h"
#include "proto/arf.h"
#include "proto/mta_sts.h"
#include "proto/dkim.h"
#include "proto/mime.h"
#include "proto/bounce.h"
#include "proto/addrlist.h"
#include "proto/drop.h"
#include "proto/submit.h"

#endif

/*
 * relay/courier_i.h - what the parts of the courier share.
 */
#ifndef RELAY_COURIER_I_H
#define RELAY_COURIER_I_H

#include "relay/courier.h"

/* ---- courier_auth.c -------------------------------------------------------- */

struct sasl_out;
/* One turn of logging in (CLI_AUTH); *sasl is made at the first. */
void courier_auth(struct sasl_out **sasl, struct smtp_cli *cli,
    const struct smtp_cli_conf *conf, const struct courier_ops *ops, void *ctx,
    int64_t now_us);
void courier_auth_free(struct sasl_out *s); /* may be NULL */

#endif

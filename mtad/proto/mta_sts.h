/*
 * proto/mta_sts.h - MTA-STS (RFC 8461): the record that says that a domain has a
 * policy, and the policy.
 */
#ifndef PROTO_MTA_STS_H
#define PROTO_MTA_STS_H

#include "base/base.h"

#define STS_ID_MAX 32
#define STS_POLICY_MAX 65536 /* bytes of a policy's text */
#define STS_HOSTS_MAX 4096   /* of its mail hosts, a line each */
#define STS_AGE_MAX 31557600 /* seconds: a year, 3.2 */

enum sts_mode { STS_NONE, STS_TESTING, STS_ENFORCE };
const char *sts_mode_name(enum sts_mode m);

struct sts_policy {
	enum sts_mode mode;
	uint32_t max_age_s;
	uint32_t nhosts;
	size_t hosts_n;
	/* Names, or "*." and a name, in small letters; each ends in '\n'. */
	char hosts[STS_HOSTS_MAX];
};

/* The id of the one record that counts among TXT records (a line each); false:
 * there is none, or more than one (3.1). */
bool sts_record_read(struct slice records, char id[STS_ID_MAX + 1]);
/* NULL, or what is wrong with the text. */
const char *sts_policy_read(struct slice text, struct sts_policy *out);
/* Does the policy name the host? 4.1: a star stands for one label. hosts: as in
 * struct sts_policy. */
bool sts_hosts_match(struct slice hosts, struct slice host);

#endif

/*
 * sim/sim.h - one seed, one world: the daemon's own relay, engine and spool
 * under a virtual clock, with receivers, senders, a name server, a disk and an
 * operator that all misbehave by the seed's dice.
 *
 * A run has two phases. In the first, faults happen; then everything heals,
 * and all that is queued must finish within a bounded virtual time. Referees
 * (check/) follow every event. The first rule that does not hold ends the run
 * through check_fail.
 *
 * The order of calls into relay and spool is the one of the daemon (its
 * inbound, outbound, corehost and spooler files); sim/host*.c mirrors it.
 */
#ifndef SIM_SIM_H
#define SIM_SIM_H

#include "base/base.h"
#include "check/check.h"

/*
 * What may be on or off in a world. The seed's dice decide (swarm testing);
 * a run may be told to leave some out, which is how a failure is shrunk.
 */
#define SIM_FEATURES(X)                                                        \
	X(crash, "power loss at any moment and between disk operations")       \
	X(stop, "orderly stops, and kills without power loss")                 \
	X(tls, "STARTTLS that works, or fails, or breaks off")                 \
	X(disk_error, "writes and syncs that fail")                            \
	X(disk_full, "no space left, for a while")                             \
	X(disk_slow, "requests that take long, or hang")                       \
	X(read_error, "reads that fail for a while")                           \
	X(rot, "bits that rot, and blocks that cannot be read")                \
	X(dns_fail, "SERVFAIL, time-outs, names that do not exist")            \
	X(dns_move, "domains that move to other hosts")                        \
	X(refuse, "hosts that refuse connections, or never answer them")       \
	X(reset, "connections reset at any byte")                              \
	X(silence, "connections that fall silent")                             \
	X(drip, "connections that deliver bytes one by one")                   \
	X(garbage, "replies that are no SMTP")                                 \
	X(storm, "periods of 421 to everything")                               \
	X(grey, "greylisting")                                                 \
	X(quota, "hourly quotas of a receiver")                                \
	X(reject, "refused senders, recipients and messages")                  \
	X(lost_reply, "a lost reply to end-of-data")                           \
	X(mailbox_full, "mailboxes that are full until all heals")             \
	X(clock, "a wall clock that jumps")                                    \
	X(reload, "configurations that change")                                \
	X(operator_acts, "hold, release, retry, bounce, delete")               \
	X(bad_clients, "senders that break off")                               \
	X(exhaust, "small ceilings: queue, recipients, sessions")              \
	X(large, "messages larger than what is read at once")                  \
	X(too_big, "messages larger than a segment")                           \
	X(expiry, "lifetimes shorter than the outages")                        \
	X(lazy, "threads that are woken late")                                 \
	X(rates, "limits of message rate")                                     \
	X(weights, "tenants and campaigns of different weight and class")      \
	X(schedule, "mail for later, and with a lifetime of its own")          \
	X(layers, "limits by provider, site and source")                       \
	X(tuples, "limits on tenants, sources, providers, and some of these")  \
	X(quiet, "tenants with quiet hours")                                   \
	X(warmup, "young sources, weights, overflow")                          \
	X(reactions, "rules about refusals, and what stands of them")          \
	X(sticky, "pools where a domain has one source")                       \
	X(zones, "mail for another time zone than its tenant's")               \
	X(engaged, "mail for engaged recipients, which young sources prefer")  \
	X(dsn, "senders who say what they want to be told, RFC 3461")

#define X(name, text) SIM_F_##name,
enum sim_feature { SIM_FEATURES(X) SIM_FEATURE_N };
#undef X

struct sim_opts {
	uint64_t seed;
	bool is_large;     /* a larger world */
	uint64_t without;  /* bitmap of features left out */
	uint32_t messages; /* at most so many are offered; 0 = by the dice */
	/* Nonzero: about once in so many turns of the core its engine is saved,
	 * and one that was loaded goes on. The trace must not change. */
	uint32_t checkpoint;
	struct story *story;
	struct marks *marks;
};

/* What a run was. */
struct sim_report {
	uint64_t seed, hash;
	uint64_t events, attempts, faults, messages, recipients;
	uint64_t delivered, bounced, expired, deleted, notices, seconds;
	uint64_t second_deliveries, crashes;
	uint64_t features; /* bitmap of those that were on */
};

const char *sim_feature_name(enum sim_feature f);
/* Runs a world to its end. Ends in check_fail when a rule does not hold. */
void sim_run(const struct sim_opts *o, struct sim_report *r);

#endif

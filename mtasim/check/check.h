/*
 * check/check.h - the referees: facts in, nothing out but a verdict.
 *
 * The world tells what it saw (a message was handed over, a 250 was written, a
 * receiver took a message); each referee keeps its own account and compares.
 * No referee asks the code under test what is true, except in an audit that
 * compares its numbers with ours.
 *
 * The first rule that does not hold ends the run: check_fail calls the hook
 * with the rule and the two facts that contradict each other.
 */
#ifndef CHECK_CHECK_H
#define CHECK_CHECK_H

#include "base/base.h"

/* ---- the story so far --------------------------------------------------------- */

#define STORY_SLOTS 8192u
#define STORY_TEXT 96

/* One line. `msg` is the number that the senders gave (0 = about none), rcpt
 * the recipient's (-1 = none). */
struct story_line {
	int64_t at_us;
	uint64_t event;
	const char *what; /* a literal */
	uint32_t msg;
	int32_t rcpt;
	char text[STORY_TEXT];
};

struct story {
	int64_t now_us;
	uint64_t event; /* number of the present one */
	uint64_t n;     /* lines ever added */
	struct story_line line[STORY_SLOTS];
};

void story_reset(struct story *s);
void story_add(struct story *s, const char *what, uint32_t msg, int32_t rcpt,
    struct slice text);
/* Prints the last `max` lines about a message, or about anything when msg is
 * 0; lines about no message are always part of it. */
void story_print(const struct story *s, FILE *to, uint32_t msg, uint32_t max);

/* ---- verdicts ----------------------------------------------------------------- */

struct verdict {
	const char *rule; /* a literal */
	char fact[2][400];
	uint32_t msg; /* that it is about; 0 = none */
};

/* Called once, and does not return. */
extern void (*check_hook)(const struct verdict *v);

/* The facts: two sentences, the second behind a '|' in the text. */
void check_fail(const char *rule, uint32_t msg, const char *fmt, ...)
    __attribute__((format(printf, 3, 4), noreturn, cold));

/* ---- marks ---------------------------------------------------------------------- */

/* SOMETIMES: what must happen in some world of the standard seeds, or the
 * worlds are too tame to prove anything. */
#define MARKS(X)                                                               \
	X(delivered)                                                           \
	X(bounced)                                                             \
	X(expired)                                                             \
	X(admin_bounced)                                                       \
	X(deleted)                                                             \
	X(held)                                                                \
	X(notice_delivered)                                                    \
	X(notice_bounced)                                                      \
	X(notice_expired)                                                      \
	X(crash_idle)                                                          \
	X(killed)                                                              \
	X(stopped)                                                             \
	X(stop_cut_short)                                                      \
	X(crash_in_stop)                                                       \
	X(tls_up)                                                              \
	X(tls_failed)                                                          \
	X(tls_given_up)                                                        \
	X(crash_in_write)                                                      \
	X(crash_in_sync)                                                       \
	X(crash_before_250)                                                    \
	X(crash_with_jobs)                                                     \
	X(crash_forgot_outcome)                                                \
	X(crash_owed_notice)                                                   \
	X(second_delivery_by_crash)                                            \
	X(second_delivery_by_lost_reply)                                       \
	X(refused_commit_452)                                                  \
	X(queue_full_452)                                                      \
	X(disk_full_452)                                                       \
	X(write_failed)                                                        \
	X(sync_failed)                                                         \
	X(outcome_waited)                                                      \
	X(disk_slow)                                                           \
	X(disk_hung)                                                           \
	X(crash_in_slow_disk)                                                  \
	X(read_failed)                                                         \
	X(bad_block_read)                                                      \
	X(rotten)                                                              \
	X(set_aside)                                                           \
	X(set_aside_at_start)                                                  \
	X(segment_recycled)                                                    \
	X(segment_compacted)                                                   \
	X(partial_refusal)                                                     \
	X(greylisted)                                                          \
	X(mailbox_full)                                                        \
	X(over_quota)                                                          \
	X(storm_421)                                                           \
	X(garbage_reply)                                                       \
	X(reply_lost)                                                          \
	X(silent_timeout)                                                      \
	X(connect_refused)                                                     \
	X(connect_timeout)                                                     \
	X(dns_failed)                                                          \
	X(dns_nxdomain)                                                        \
	X(domain_moved)                                                        \
	X(reloaded)                                                            \
	X(clock_back)                                                          \
	X(clock_forward)                                                       \
	X(retry_verb)                                                          \
	X(released)                                                            \
	X(link_reset)                                                          \
	X(link_silent)                                                         \
	X(link_dripped)                                                        \
	X(dns_late)                                                            \
	X(node_cap_reached)                                                    \
	X(sender_refused)                                                      \
	X(too_big_refused)                                                     \
	X(conn_cap_reached)                                                    \
	X(rate_reached)                                                        \
	X(scheduled)                                                           \
	X(tuple_rate_reached)                                                  \
	X(byte_rate_reached)                                                   \
	X(tuple_compared)                                                      \
	X(slowed)                                                              \
	X(quota_reached)                                                       \
	X(day_changed)                                                         \
	X(session_full)                                                        \
	X(large_streamed)                                                      \
	X(spilled)                                                             \
	X(kept)                                                                \
	X(warm_stage)                                                          \
	X(warm_full)                                                           \
	X(engaged)                                                             \
	X(recalled)                                                            \
	X(reaction)                                                            \
	X(taken_back)                                                          \
	X(reaction_counted)                                                    \
	X(reaction_ended)                                                      \
	X(reaction_conns)                                                      \
	X(reaction_slow)                                                       \
	X(reaction_skip)                                                       \
	X(reaction_other)                                                      \
	X(reaction_let_go)                                                     \
	X(reaction_bounce)                                                     \
	X(reaction_recalled)                                                   \
	X(told_late)                                                           \
	X(told_relayed)                                                        \
	X(wish_passed_on)                                                      \
	X(crash_lost_lines)                                                    \
	X(inline_sync)                                                         \
	X(zoned)                                                               \
	X(stuck)                                                               \
	X(stuck_elsewhere)                                                     \
	X(client_broke_off)                                                    \
	X(client_resent)

#define X(name) MARK_##name,
enum mark { MARKS(X) MARK_N };
#undef X

struct marks {
	uint64_t n[MARK_N];
};
const char *mark_name(enum mark m);

#endif

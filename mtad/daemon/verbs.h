/*
 * daemon/verbs.h - the subcommands of mtad, one file each (verb_*.c). Each
 * takes the command line from its own name on, prints for people (or JSON),
 * and returns the exit status: 0 done, 1 it went wrong, 2 wrong usage, 3 the
 * daemon or the spool cannot be reached.
 */
#ifndef DAEMON_VERBS_H
#define DAEMON_VERBS_H

int verb_run(int argc, char **argv);
int verb_check(int argc, char **argv);
/* What replies mean, by the rules. */
int verb_classify(int argc, char **argv);
/* What messages say of deliveries. */
int verb_decode(int argc, char **argv);
int verb_schema(int argc, char **argv);
int verb_spool(int argc, char **argv);
/* Keys that sign mail: generate, show, check. */
int verb_account(int argc, char **argv);
int verb_dkim(int argc, char **argv);
/* A message from a local program; its exit statuses are those of sysexits.h. */
int verb_sendmail(int argc, char **argv);
/* A SOCKS5 proxy for the addresses of this machine. */
int verb_proxy(int argc, char **argv);
/* Handing all mail over to another node. */
int verb_drain(int argc, char **argv);
/* status, queues, sources: what the daemon sees. */
int verb_status(int argc, char **argv);
int verb_queues(int argc, char **argv);
int verb_sources(int argc, char **argv);
/* Young sources at their providers. */
int verb_warmup(int argc, char **argv);
/* How far limits on tuples are used, and who waits for them. */
int verb_limits(int argc, char **argv);
/* What rules have made of refusals; the end of one. */
int verb_reactions(int argc, char **argv);
int verb_feedback(int argc, char **argv);
int verb_tlsreport(int argc, char **argv);
/* Who is not written to. */
int verb_suppress(int argc, char **argv);
int verb_end(int argc, char **argv);
/* What DNS and policies say of a domain; asks no daemon. */
int verb_resolve(int argc, char **argv);
/* The gates that mail waits at, and why each is shut. */
int verb_explain(int argc, char **argv);
/* list, show, hold, release, retry, bounce, delete: on messages. */
int verb_messages(int argc, char **argv);

#endif

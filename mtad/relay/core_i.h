/*
 * relay/core_i.h - the inside of the core, for the files of this room.
 */
#ifndef RELAY_CORE_I_H
#define RELAY_CORE_I_H

#include "relay/clusters.h"
#include "relay/refusals.h"
#include "relay/relay.h"

/* A message that is not over. The index of its slot is its number, here and in
 * the engine. There may be millions: every byte counts. */
struct core_msg {
	struct msgid id;
	struct spool_ref ref;
	uint32_t slot_gen;
	uint16_t reading : 14; /* jobs out with it */
	uint16_t
	    is_offered : 1;    /* to another node, and nothing happened since */
	uint16_t is_aside : 1; /* its record is damaged and given up */
	uint16_t nrcpt : 14;   /* 0: there is no such message */
	uint16_t is_dropped : 1; /* when the last of the jobs is back */
	uint16_t is_null_sender : 1;
};
_Static_assert(RCPTS_MAX < 1u << 14, "nrcpt holds any number of recipients");

/* A notice under way: what CMD_NOTICE collected for one message. */
struct core_notice {
	uint16_t rcpt, text_n;
	uint8_t action; /* enum dsn_action: the same in all of one notice */
	struct outcome outcome;
	char mta[DOMAIN_MAX + 1];
	char text[REPLY_TEXT_MAX];
};

/* An operator's action under way. */
struct core_job {
	bool is_used;
	enum eng_verb verb;
	bool dry_run;
	char user[64], reason[256];
	void (*done)(void *ctx, uint64_t arg, uint32_t n);
	void *ctx;
	uint64_t arg;
};

#define CORE_JOBS_MAX 16
#define CORE_NOTICES_MAX ENG_TXN_RCPTS_MAX

/* A message that is no more ours: another node has it, and must be told that it
 * may go on with it. */
struct core_handed {
	struct list link; /* in core_moves.fresh until it is durable */
	struct msgid id;
	uint32_t msg;
	struct drain_id to;
	uint64_t batch; /* 0 = durable */
	/* Of its recipients, as they were when it went; owned, texts empty. */
	struct spool_rcpt *states;
};

/* A message that is not yet ours. */
enum trust { TRUST_COMMITTING, TRUST_HELD, TRUST_RELEASED, TRUST_DISCARDED };
struct core_trusted {
	struct list link; /* in core_moves.settling */
	struct msgid id;
	struct handle slot;
	struct spool_ref ref;
	struct drain_id from;
	enum trust trust;
	uint64_t batch;
	uint32_t nrcpt;
	struct spool_rcpt *states; /* nrcpt, owned; texts empty */
};

/* What moves between nodes; core_hand.c, core_trust.c. */
struct core_moves {
	struct pool handed, trusted;
	/* Of the hash of an id: place in the pool. */
	struct map handed_by_id, trusted_by_id;
	struct list fresh, settling;
	/* Acts belong to a batch; a commit behind it says that it is durable. */
	uint64_t batch, batch_sent;
	bool is_waiting;  /* for that commit */
	int64_t again_us; /* it failed: not before */
	struct drain_hooks hooks;
};

/* A proxy of the configuration as it has been seen, or a leg: what is seen of it
 * by one source alone; core_proxy.c. */
struct core_proxy {
	char name[NAME_MAX_BYTES + 1];
	struct endpoint at;
	bool is_away, is_looked_at;
	uint32_t fails; /* of late; 0: it is known to work */
	int64_t changed_us;
	int64_t next_us; /* next look; of a leg that is away: next try */
	int64_t check_us;
	uint64_t used, failed;
	char why[128]; /* of the last failure */
};
struct core_proxies {
	uint32_t n, nsources, nlegs;
	struct core_proxy *v;
	struct core_proxy *leg;
	struct core_behind {
		uint32_t leg;  /* its first one */
		uint32_t turn; /* of its proxies */
		bool is_down;  /* as the engine was told */
	} * of;                /* by source */
};

struct core {
	const struct conf *conf;
	struct eng_policy *policy, *old_policy;
	uint64_t generation;
	struct disk *disk;
	struct gate *gate;
	const struct core_ops *ops;
	void *ctx;
	struct eng *eng;
	const struct core_watch *watch; /* or NULL */
	struct eng_cmds cmds;
	struct { /* domains whose shape the engine asks for */
		uint32_t *v, n, cap;
	} shapes;
	struct names names; /* domains, hosts, tenants, ... : one space */
	uint8_t *kinds;     /* by id: enum core_name_kind */
	uint32_t kinds_cap, ntags;
	/* The table of messages, by slot index; core_msg.c. */
	struct pages msgs;
	uint32_t msgs_end;  /* no message from here on */
	struct pool moves;  /* struct spool_ref: take over when nobody reads */
	struct map move_of; /* message -> its place in moves */
	struct pool walks;  /* routes whose hosts are looked up; core_route.c */
	struct map walk_of; /* domain -> its place in walks */
	/* TLS policies that are not plain; core_tls.c. */
	struct pool tls;
	struct map tls_of_domain, tls_of_site;
	int64_t now_us, wall_us;
	uint64_t dice; /* seed of small choices outside the engine */
	int64_t started_us;
	bool is_starting; /* what the spool holds comes back; no clock yet */
	bool is_stopping;
	int64_t find_since_us;     /* of what is found in the spool */
	struct clusters *clusters; /* of replies; NULL without memory */
	struct refusals *refusals; /* that shut paths; likewise */
	bool is_disk_full;
	int64_t told_off_us; /* wall clock less ours, as the engine knows it */
	uint64_t kept_at_once; /* serial; 0: nothing new */
	uint32_t cap_dims;     /* 1 << enum eng_dim that some limit looks at */
	uint32_t nreplies;     /* words of refusals that are names now */
	uint32_t sites_at;     /* conf.sites[1] in the policy's shapes */
	struct core_job jobs[CORE_JOBS_MAX];

	struct core_moves moving;
	struct core_proxies proxies;

	/* What the commands of the present step are about. */
	const struct job *job;
	const struct session_facts *facts;
	const struct spool_found *found;
	struct slice down_text;
	char because[REPLY_TEXT_MAX]; /* why a rule returned a recipient */
	const char *dns_why;

	/* Notices that could not be committed, tried again. */
	struct core_owed *owed_head, *owed_tail;
	uint32_t nowed;
	int64_t owed_at_us; /* when they are tried again */
	uint64_t notices_total, books_dropped, complaints;
};

/* Feeds the engine and carries out what it says. */
void core_step(struct core *c, const struct eng_event *ev);
/* core_msg.c: the table of messages. */
/* The live message at an index, or in a slot, or NULL. */
struct core_msg *core_msg(const struct core *c, uint32_t index);
struct core_msg *core_msg_of(const struct core *c, struct handle slot);
/* Asks for one that is there: it is needed soon. */
void core_msg_ask(const struct core *c, uint32_t index);
/* A new one, live once its nrcpt is set; NULL without memory. */
struct core_msg *core_msg_new(struct core *c, struct handle slot);
void core_msg_free(struct core *c, uint32_t index);
void core_msgs_init(struct core *c, uint64_t seed);
void core_msgs_free(struct core *c);
/* Its place from the time on at which core_move_now is called. */
void core_move_later(struct core *c, uint32_t index,
    const struct spool_ref *to);
/* Was there one waiting? */
bool core_move_now(struct core *c, uint32_t index);
static inline struct handle
core_slot(uint32_t index, const struct core_msg *m)
{
	return (struct handle){ index, m->slot_gen };
}
/* Envelope of a message read back from the spool; record is the caller's to
 * free. 0 or E_*. */
int core_read_envelope(struct core *c, const struct core_msg *m,
    struct envelope *env, struct cursor *rcpts, char **record);
/* Wall-clock time of a driver's monotonic time. TIME_NEVER and 0 stay. */
int64_t core_wall(const struct core *c, int64_t mono_us);
int64_t core_mono(const struct core *c, int64_t wall_us);

/* core_proxy.c: the configuration's proxies; what is known of one with the same
 * name and address stays. */
void core_proxies_set(struct core *c);
void core_proxies_free(struct core *c);
/* That which carries the next connection of a source, as in struct core_open. */
int core_proxy_pick(struct core *c, uint32_t source, bool *is_tried);
/* Looks that are due. */
void core_proxies_tick(struct core *c);
int64_t core_proxies_deadline(const struct core *c);
static inline bool
core_has_proxies(const struct core *c)
{
	return c->proxies.n != 0;
}
/* Sources that have none that is well. */
uint32_t core_proxies_down(const struct core *c);
/* Members of a source that is behind some. */
void core_proxies_view(const struct core *c, struct jsonw *w, uint32_t source);

/* core_names.c */
enum core_name_kind { NAME_TAG = 1, NAME_DOMAIN = 2 };
/* The id of a name, which is held as what it is; 0: none, or no room. */
uint32_t core_name(struct core *c, struct slice text, enum core_name_kind kind);
static inline uint32_t
core_tag(struct core *c, struct slice tag)
{
	return core_name(c, tag, NAME_TAG);
}
/* The same of a domain, in small letters. */
uint32_t core_tag_lower(struct core *c, struct slice domain);
/* The words of a refusal that a rule reacts to as a tag, without what differs
 * from one to the next; 0: there are none, or too many have been seen. */
uint32_t core_reply(struct core *c, struct slice text);
/* Are these automations those of the present configuration? */
static inline bool
core_hears(const struct core *c, uint64_t key)
{
	return key != 0 && key == c->conf->automation_key;
}
/* Holds the name of an id for ever, as a tag. */
void core_name_pin(struct core *c, uint32_t id);
void core_domain_forget(struct core *c, uint32_t id);
/* The id of a host's name, held once more until core_host_forget. */
uint32_t core_host(struct core *c, struct slice host);
void core_host_forget(struct core *c, uint32_t id);

/* core_route.c */
void core_routes_init(struct core *c, uint64_t seed);
void core_routes_free(struct core *c);
/* Has the hosts of a domain looked up; core_resolved tells the engine. */
void core_resolve(struct core *c, uint32_t domain);
/* The EV_SHAPE of a domain whose hosts the engine knows. */
void core_where(struct core *c, uint32_t domain, struct eng_event *ev);
/* The name that a domain has in mail, and what its mail asks of TLS. */
struct slice core_domain_text(const struct core *c, uint32_t domain,
    enum core_wish *wish);
/* The name of its provider alone, or an empty slice. */
struct slice core_provider(const struct core *c, uint32_t domain);

/* core_tls.c */
/* May mail that asks for it go to these hosts at all: does DNSSEC, MTA-STS or
 * the configuration vouch for their names (RFC 8689 4.2.1)? */
bool core_tls_is_vouched(const struct conf *c, const struct core_answer *a,
    const struct core_tls *t);
void core_tls_init(struct core *c, uint64_t seed);
void core_tls_free(struct core *c);
/* It is the domain's from now on; false: no memory. */
bool core_tls_learn(struct core *c, uint32_t domain, const struct core_tls *t);
/* The engine has been told: and that of its site. */
void core_tls_settle(struct core *c, uint32_t domain);
void core_tls_forget(struct core *c, uint32_t domain);
/* NULL: plain. */
const struct core_tls *core_tls_of(const struct core *c, uint32_t domain);
/* That of a connection for the head of a line at a site; NULL: plain. */
const struct core_tls *core_tls_open(const struct core *c, uint32_t domain,
    uint32_t site, struct core_tls *out);
/* core_route.c: by the present configuration alone. */
void core_tls_now(const struct core *c, uint32_t domain, struct core_tls *out);

/* Names of a selector looked up. E_NOTFOUND: one is unknown, none matches. */
int core_selector_compile(struct core *c, const struct core_selector *s,
    struct eng_selector *out) MUST_CHECK;

/* core_keep.c */
/* Says what a day of a young source came to. */
void core_warm_day(struct core *c, const struct eng_cmd *cmd);
/* Carries out the KEEP at *i with its values. */
void core_do_keep(struct core *c, uint32_t *i);

/* The message of an id, 0 = none that is not over. */
uint32_t core_find(const struct core *c, struct slice id);

/* A queue, whatever number the engine has for it. */
uint64_t core_queue_key(uint32_t site, uint32_t pool, uint32_t tenant,
    uint32_t campaign);
/* A record for the index, of one of these kinds. */
void core_find_rcpt(struct core *c, const struct envelope *env, uint32_t slot,
    uint16_t rcpt, struct slice address);
void core_find_message(struct core *c, const struct envelope *env,
    uint32_t slot);

/* core_log.c: the books. */
void core_log(struct core *c, const struct eng_cmd *cmd);
/* Words that belong to a recipient's outcome in this step. */
/* What the LOG command says of a rule that returned a recipient is in c->because,
 * which is empty where none did. */
void core_because(struct core *c, const struct eng_cmd *log);
struct slice core_words(const struct core *c, uint16_t rcpt,
    const struct outcome *o);
/* A reply (or what went wrong), after the step that told the engine: if that
 * shut the path, it is kept for those who ask why. */
void core_refused(struct core *c, uint32_t path, const struct outcome *o,
    struct slice text);
struct slice core_mta(const struct core *c);
/* Gives up a message whose record is damaged: in the books, in the spool, in
 * the engine. Not inside a step. */
void core_set_aside(struct core *c, uint32_t msg, struct slice text);
/* core_notice.c */
/* Gathers those of one message that stand in this step, from the command at
 * `first` on, and sends one notice of them. */
void core_notice_collect(struct core *c, uint32_t first);
void core_notices_retry(struct core *c);
void core_notices_free(struct core *c);
/* core_hand.c: messages that other nodes take over. */
void core_moving_init(struct core *c, uint64_t seed);
void core_moving_free(struct core *c);
/* A commit that makes durable what was decided; its end comes to the hooks. */
void core_moving_flush(struct core *c);
/* The end of a reader of a message, whose m->reading was raised meanwhile:
 * false, the message is gone. */
bool core_read_end(struct core *c, uint32_t index);
/* Its recipients are final in the spool, or will be before it is dropped. */
void core_msg_end(struct core *c, uint32_t index, struct core_msg *m);
struct core_offer {
	uint32_t msg, nrcpt;
	struct msgid id;
	struct spool_ref ref;
};
/* The next message from *at on that can be offered, of `looks` at most; the
 * states of its recipients are appended. *at is 0 when all were looked at. */
bool core_offer_next(struct core *c, uint32_t *at, uint32_t looks,
    struct core_offer *o, struct buf *states);
/* It is not offered any more. */
void core_offer_end(struct core *c, uint32_t msg, const struct msgid *id);
/* The other end has it. True: it is theirs once the hooks say that this is
 * durable; false: it stays ours. */
bool core_hand_over(struct core *c, uint32_t msg, const struct msgid *id,
    const struct drain_id *to, const struct endpoint *peer);
/* NULL: that message was not handed over. */
struct core_handed *core_handed(struct core *c, const struct msgid *id);
/* The other end goes on with it: forgotten here. */
void core_handed_end(struct core *c, struct core_handed *h);
/* An operator's word: what is handed over and not released is ours again. How
 * many messages. */
uint32_t core_reclaim(struct core *c);
bool core_is_handed(const struct core *c, const struct core_msg *m);
/* Found at a start: true, it is one of these. */
bool core_restore_moving(struct core *c, const struct spool_found *f);
/* Lines of the books about the recipients that are open. */
void core_book_moving(struct core *c, enum book_kind kind,
    const struct envelope *env, struct cursor rcpts,
    const struct spool_rcpt *states, const struct endpoint *peer,
    const struct drain_id *node);
/* core_trust.c */
struct core_trusted *core_trusted(struct core *c, const struct msgid *id);
/* A new one, TRUST_COMMITTING; NULL without memory, or when it is there. */
struct core_trusted *core_trust_add(struct core *c, const struct msgid *id,
    const struct drain_id *from, uint32_t nrcpt);
void core_trust_forget(struct core *c, struct core_trusted *t);
/* It is durable. */
void core_trust_keep(struct core_trusted *t, struct handle slot,
    const struct spool_ref *ref);
/* The source's word; the hooks say when it is carried out. false: its envelope
 * cannot be read now. */
bool core_trust_release(struct core *c, struct core_trusted *t);
void core_trust_discard(struct core *c, struct core_trusted *t);
/* Behind the commit: it is ours, or gone. */
void core_trust_settled(struct core *c, struct core_trusted *t);
/* The recipient whose state says whose the message is: the first that is
 * open. */
uint16_t core_trust_place(const struct core_trusted *t);

/* core_back.c: of a message for ourselves that is not read yet: true, it is
 * with the driver. */
bool core_back(struct core *c, struct handle slot, const struct spool_ref *ref,
    struct slice envelope, const struct envelope *env);
/* core.c: the engine gets its second recipient. */
void core_submit_rest(struct core *c, struct handle slot,
    const struct spool_ref *ref, const struct envelope *env,
    struct cursor rcpts);

/* core_policy.c */
struct eng_policy *core_policy_compile(struct core *c, const struct conf *conf);

#endif

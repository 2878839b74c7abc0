/*
 * relay/intake.h - one inbound session: from the client's bytes to a parcel
 * that the spool makes durable, and back to 250.
 */
#ifndef RELAY_INTAKE_H
#define RELAY_INTAKE_H

#include <stdatomic.h>

#include "conf/conf.h"
#include "proto/proto.h"
#include "relay/books.h"
#include "relay/idem.h"
#include "relay/login.h"
#include "relay/returns.h"
#include "spool/spool.h"

/* Bytes of one message that are staged in memory; beyond, they spill. */
#define INTAKE_SHARE (256u * 1024)

struct spill; /* an unlinked file of the driver's */
struct signing;
struct keyring;

/* A message on its way into the spool. Made by an intake or by the core (a
 * notice); goes to the spooler and comes back with commit.err, slot, ref. */
struct parcel {
	struct post post;
	struct spool_commit commit;
	struct msgid id;
	struct buf env;      /* encoded envelope */
	struct buf body;     /* trace field and message, or its first part */
	struct spill *spill; /* the rest of a large one */
	/* Of one that is signed: on top of it. Not sealed yet when it is given to
	 * commit: who takes it calls signing_seal before the spool has it. */
	struct signing *signing;
	struct slice pieces[3];
	uint64_t staged; /* bytes accounted in the gate */
	bool has_key;    /* claimed; settled behind the commit */
	struct env_key key;
	struct handle session; /* of the intake; none for a notice */
	void *origin;          /* the driver's: who waits for the answer */
	uint16_t *pays;        /* notices: recipients paid, owned */
	uint32_t pays_msg;     /* core's message index of the original */
	void *notes; /* the core's: what to say again should it fail; owned */
	/* Of a commit of the core's that is no notice: told, instead of what
	 * becomes of notices. Keeps nothing of p. */
	void (*done)(void *ctx, struct parcel *p);
	void *done_ctx;
	char words[2 * DRAIN_ID_BYTES +
	    1]; /* whose it is, when it comes in trust */
};

/* Bytes of the message that is committed. */
static inline uint64_t
parcel_bytes(const struct parcel *p)
{
	uint64_t n = 0;

	for (uint32_t i = 0; i < p->commit.nbody; i++)
		n += p->pieces[i].n;
	return n;
}

/* What intakes share with each other and with the core: the ceilings. */
struct gate {
	_Atomic int64_t rcpts_free;
	_Atomic int64_t staging_free; /* bytes */
	_Atomic int64_t backs_free;   /* messages for us, not yet read */
	_Atomic bool is_stopping;
	_Atomic bool is_draining; /* another node takes the mail */
};
/* Takes n from a counter unless that would make it negative. */
bool gate_take(_Atomic int64_t *counter, int64_t n);
void gate_give(_Atomic int64_t *counter, int64_t n);

#define BACKS_MAX 10000 /* messages for us that wait to be read */

/* May a recipient be written to? VETO_LATER: nobody knows just now. */
enum veto { VETO_NONE, VETO_REJECT, VETO_DISCARD, VETO_LATER };

struct intake_ops {
	/* Takes the parcel over. The answer comes through intake_committed. */
	void (*commit)(void *ctx, struct parcel *p);
	/* Spill file: append (makes it at the first call; false: cannot), which
	 * may be carried out later; then intake_spilled. When it is done: the
	 * whole as bytes for the commit, none if it could not be written. */
	bool (*spill_add)(void *ctx, struct spill **sp, struct slice data);
	bool (*spill_is_done)(void *ctx, const struct spill *sp);
	struct slice (*spill_map)(void *ctx, struct spill *sp);
	/* A parcel to fill (recycled), or NULL; and back: giving it frees its
	 * spill and its signing, gives its staged bytes back to the gate and
	 * empties it. */
	struct parcel *(*parcel_take)(void *ctx);
	void (*parcel_give)(void *ctx, struct parcel *p);
	/* Room in the spool for so many bytes? */
	bool (*has_room)(void *ctx, uint64_t bytes);
	uint64_t (*sequence)(void *ctx); /* for message ids */
	struct buf *(*book)(void *ctx);  /* where book lines go */
	/* n bytes that nobody can foresee; NULL where nobody logs in. */
	bool (*random)(void *ctx, void *p, size_t n);
	/* Looks an account up, and tries a password if there is one; the answer
	 * comes through intake_login, with the same l. False: too many wait;
	 * l is still the caller's. NULL: the configuration has all. */
	bool (*login)(void *ctx, struct login *l);
	/* One more message of an account that has a rate; false: not now. */
	bool (*may_send)(void *ctx, const struct conf_account *a);
	/* As idem_claim; NULL: keys mean nothing. */
	enum idem_answer (*key_claim)(void *ctx, const struct env_key *key,
	    const struct msgid *id, int64_t wall_us, struct msgid *first);
	/* The keys that sign, and those of return paths, good until the next
	 * call; or NULL. Where the function is NULL nothing is signed. */
	const struct keyring *(*keys)(void *ctx);
	/* Mail of that tenant (empty: of none) to an address; a veto's reason
	 * is put into dst, with a NUL. NULL: nobody objects. */
	enum veto (*veto)(void *ctx, struct slice tenant, struct slice to,
	    char *dst, size_t cap);
	/* What a signed return path turned out to be, for a count; or NULL. */
	void (*returned)(void *ctx, enum return_check what);
};

/* How mail is steered; empty = not said. */
struct steer {
	struct slice tenant, campaign, pool;
	uint8_t klass;                  /* as struct conf_given has it */
	int64_t expire_us, schedule_us; /* the same; 0 = not said */
};
/* What s does not say of mail's treatment; then what an account says. */
void steer_by_given(struct steer *s, const struct conf_given *g);
void steer_by_account(struct steer *s, const struct conf_account *a);
/* Fills what *s does not say from the route of a recipient's domain. */
void steer_by_route(const struct conf *c, struct slice domain, struct steer *s);

struct intake_refusal {
	int code; /* 0: none */
	const char *enh;
	struct slice text;
};

struct intake {
	struct smtp_srv srv;
	const struct conf *conf;
	const struct conf_listen *door;
	const struct intake_ops *ops;
	void *ctx;
	struct gate *gate;
	struct handle self;
	struct endpoint peer;
	uint32_t uid; /* of a local door: who left the message */
	bool may_relay;
	bool is_posted;     /* intake_vouch */
	struct slice token; /* by which it is, into conf */
	/* What its mail is where it says nothing else: the account's, or the
	 * listener's. Into conf, as door is. */
	struct steer given;
	const struct conf_account *who; /* who has logged in, or NULL */
	struct conf_account *owned;     /* it, where no conf has it */
	struct smtp_srv_conf limits; /* the door's, narrowed for an account */
	struct sasl *sasl;           /* an exchange under way, or NULL */
	bool wants_tls, is_closing;  /* for the driver to act on */
	char tls[96];                /* facts, once TLS is up */

	/* The open transaction. */
	struct parcel *parcel;
	struct buf rcpts; /* records: intake_rcpt_next */
	uint32_t nrcpt;
	char sender[MAILBOX_MAX + 2];
	uint16_t sender_n;
	char envid[ENVID_MAX + 1]; /* xtext */
	uint16_t envid_n;
	size_t trace_n;  /* length of our Received field in the body */
	size_t header_n; /* behind it, the message's own fields; once done */
	size_t scanned;  /* body bytes searched for the header's end */
	bool header_done;
	bool is_ending;     /* all has come, and is not yet spilled */
	bool is_committing; /* the spool has the parcel */
	/* The recipient is an address of ours (intake_back.c): where; else
	 * NULL. Bytes of the message so far. */
	const struct conf_inbound *back;
	uint64_t back_n;
	char tenant[NAME_MAX_BYTES + 1], campaign[NAME_MAX_BYTES + 1],
	    pool[NAME_MAX_BYTES + 1], zone[NAME_MAX_BYTES + 1];
	/* What its header says; the times by the wall clock, 0 = nothing. */
	uint8_t klass;
	bool is_engaged;
	uint8_t bad_field; /* enum conf_steer: what could not be read */
	struct intake_refusal refusal;
	char refusal_text[NAME_MAX_BYTES + 96];
	bool is_tls_optional; /* "TLS-Required: No", RFC 8689 5 */
	int64_t expires_us, not_before_us;
	/* Its idempotency key; what of the request it stands for. */
	char key[IDEM_TEXT_MAX + 1];
	uint16_t key_n; /* 0: none */
	uint32_t digest;
	uint64_t asked;
	enum idem_answer key_said; /* of the last message; IDEM_TAKEN */
	int64_t wall_us;           /* of the present call */
	int64_t now_us, mail_us; /* of it, and of the open transaction's MAIL */
};

void intake_init(struct intake *in, const struct conf *conf,
    const struct conf_listen *door, const struct intake_ops *ops, void *ctx,
    struct gate *gate, struct handle self, const struct endpoint *peer,
    int64_t now_us);
/* The client is known by a token, and what it wants comes as SMTP from a part of
 * this program (relay/inject.h). a: the account whose mail it is, or NULL. What s
 * says, the mail is where it says nothing else. */
void intake_vouch(struct intake *in, const struct conf_account *a,
    const struct steer *s, struct slice token);
/* The idempotency key of the next message, behind its MAIL; false: it is none. */
bool intake_key_set(struct intake *in, struct slice text);
/* The same as it will stand in the message's record. */
void intake_key_digest(const struct intake *in, struct env_key *k);
/* A new configuration, from the next message on; the limits of the door stay
 * what they were when the client came. */
void intake_reload(struct intake *in, const struct conf *conf);
/* Gives everything back; a parcel that is being committed stays the spool's
 * (its answer is then for nobody). */
void intake_free(struct intake *in);
/* Bytes from the client; returns how many were eaten (the rest is offered
 * again later). Then: send in->srv.out; wants_tls: handshake once it has left;
 * is_closing: close once it has left. */
size_t intake_feed(struct intake *in, struct slice data, int64_t now_us,
    int64_t wall_us);
/* How many of n more bytes are certain not to spill? */
size_t intake_room(const struct intake *in, size_t n);
/* Its spill has got on. True: all of it is written and waited for; send then, and
 * feed again. */
bool intake_spilled(struct intake *in, int64_t now_us, int64_t wall_us);
/* The parcel's commit is done: answers 250 or 4xx and writes the books. The
 * caller still owns p. Afterwards feed again. */
void intake_committed(struct intake *in, const struct parcel *p, int64_t now_us,
    int64_t wall_us);

/* The answer to a login, which is taken over; afterwards send, and feed again. */
void intake_login(struct intake *in, struct login *l);

#endif

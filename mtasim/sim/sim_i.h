/*
 * sim/sim_i.h - the inside of a world. One thread; everything happens in
 * events of a heap, ordered by (time, when it was asked for).
 */
#ifndef SIM_SIM_I_H
#define SIM_SIM_I_H

#include "check/ledger.h"
#include "check/limits.h"
#include "check/meters.h"
#include "check/standing.h"
#include "check/sticky.h"
#include "check/warm.h"
#include "relay/relay.h"
#include "sim/fiber.h"
#include "sim/sim.h"

#define SIM_SITES 12u  /* groups of hosts: one site each */
#define SIM_HOSTS 3u   /* of a site, at most */
#define SIM_DOMAINS 4u /* of a site, at most */
#define SIM_SOURCES 6u
#define SIM_CLIENTS 8u
#define SIM_CONFS 4u
#define SIM_PORT 25u
#define SIM_TENANTS 4u
#define SIM_REACTIONS 5u
/* Of a message, at the daemon's door; a segment holds no more. */
#define SIM_SIZE_MAX (400u * 1024)

/* ---- time ----------------------------------------------------------------------- */

struct sim;

struct timer {
	struct heap_node node;
	void (*fn)(void *arg);
	void *arg;
	const char *what; /* a literal: part of the trace */
};

/* Independent streams of dice, all from the one seed. */
enum sim_dice {
	DICE_PLAN,
	DICE_LOAD,
	DICE_LINK,
	DICE_PEER,
	DICE_CLIENT,
	DICE_DNS,
	DICE_FAULT,
	DICE_HOST,
	DICE_DISK,
	DICE_OPERATOR,
	DICE_SHAPING,
	DICE_REACT,
	DICE_STICKY,
	DICE_ZONES,
	DICE_ENGAGED,
	DICE_ACTION,
	DICE_N
};

/* ---- links ---------------------------------------------------------------------- */

struct end;
struct end_ops {
	/* Bytes; returns how many were eaten. The rest is kept and offered
	 * again with more, or after end_resume. */
	size_t (*on_data)(void *user, struct slice data);
	void (*on_connect)(void *user, int err); /* errno, 0 = connected */
	void (*on_drained)(void *user);
	void (*on_gone)(void *user, int err); /* errno, 0 = FIN */
	void (*on_deadline)(void *user);
};

/* A link's end as its owner sees it. */
struct link;
struct end {
	struct link *link;
	const struct end_ops *ops;
	void *user;
	struct buf in; /* arrived, not eaten */
	bool is_open, is_paused, is_blocked, is_connecting, is_gone;
	struct timer deadline;
};

struct link_conf {
	int64_t latency_us, drip_us; /* drip 0: all that is there at once */
	uint64_t reset_after;        /* bytes in both directions; 0 = never */
	uint64_t silent_after;
};

/* ---- the plan of a world ---------------------------------------------------------- */

/* The loosest limits of a path, and what they are of. */
struct plan_shape_of {
	uint64_t used;
	struct eng_shape shape;
};

struct plan {
	uint64_t features;
	uint32_t messages, rcpts_max;
	int64_t load_us, heal_us; /* from the start */
	uint32_t nreactions;
	char reaction[SIM_REACTIONS][240]; /* rules, as text */
	bool reacts_by_mail; /* some of them are about tenants or queues */
	char *tuples;        /* the limits on them, as text */
	uint32_t steady_rate, steady_burst; /* of one of them */
	uint32_t apart;   /* homes whose domains are sites of their own */
	uint32_t entries; /* homes whose domains have an entry together */
	int day_hour;     /* where a quota's day ends; a world begins then */
	uint32_t nsites, nhosts[SIM_SITES], ndomains[SIM_SITES];
	uint32_t nsources, npools, ntenants, nclients;
	uint32_t nconfs;
	struct warm_plan warm;
	bool overflows; /* each pool into the next */
	uint32_t weight[SIM_SOURCES];
	/* Of each configuration: pools that are sticky, a bit each, and the
	 * source that it has not. */
	uint32_t sticky[SIM_CONFS], without[SIM_CONFS];
	struct conf *conf[SIM_CONFS];
	int64_t expire_us;
	int64_t fills_us; /* some mailboxes are full from here on */
	int64_t latency_us;
	int64_t bound_us; /* after the healing everything is over */
	uint32_t messages_max, queue_max; /* with `exhaust` */
	uint32_t badness;                 /* 1 .. 100: how often things fail */
	struct plan_shape_of shapes[SIM_SITES][SIM_SOURCES];
};

struct sim_host; /* a receiving host */
struct client;
struct load;
struct zone;
struct fault;
struct host; /* the daemon */

struct sim {
	const struct sim_opts *opts;
	struct sim_report *report;
	struct plan plan;
	struct rng dice[DICE_N];
	struct rng checkpoint; /* no stream of the world's: it sees nothing */
	int64_t now_us, wall_offset_us;
	struct heap heap;
	uint64_t hash;
	bool is_healed, is_over;
	struct story *story;
	struct marks *marks;
	struct ledger *ledger;
	struct limits *limits;
	struct meters *meters;
	struct warms *warms;
	struct sticks *sticks;
	struct stands *stands;
	struct host *host;
	struct sim_host *receivers; /* SIM_SITES * SIM_HOSTS */
	struct client *clients;
	struct load *load;
	struct list links;
	struct zone *zone;
	struct fault *faults;
	uint32_t conf_now;
	bool conf_used[SIM_CONFS]; /* ever */
	uint64_t next_audit;
};

static inline struct rng *
dice(struct sim *s, enum sim_dice d)
{
	return &s->dice[d];
}
/* True n times in 1000; never once all has healed. */
bool sim_chance(struct sim *s, enum sim_dice d, uint32_t per_mille);
static inline bool
sim_has(const struct sim *s, enum sim_feature f)
{
	return (s->plan.features >> f & 1) != 0;
}
static inline int64_t
sim_wall(const struct sim *s)
{
	return s->now_us + s->wall_offset_us;
}

/* world.c */
void sim_timer_init(struct timer *t, void (*fn)(void *arg), void *arg,
    const char *what);
void sim_timer_set(struct sim *s, struct timer *t, int64_t at_us);
void sim_timer_cancel(struct sim *s, struct timer *t);
void sim_trace(struct sim *s, const void *p, size_t n);
void sim_trace_u64(struct sim *s, uint64_t v);
void sim_fault(struct sim *s, const char *what, struct slice text);

/* link.c */
/* Connects; `far` accepts when `accepts`, else nobody answers or, with an
 * errno, it is refused. */
struct end *link_connect(struct sim *s, const struct link_conf *conf,
    const struct end_ops *ops, void *user, int refused, bool answers,
    void (*accept)(void *arg, struct end *far), void *arg);
bool end_send(struct end *e, struct buf *b); /* true: all of it has left */
void end_resume(struct end *e);
void end_close(struct end *e); /* what was sent arrives, then FIN */
void end_reset(struct end *e);
void end_vanish(struct end *e); /* no word to the other end */
void end_deadline(struct end *e, int64_t at_us);
void links_free(struct sim *s);
/* A handshake: a byte from each side. */
#define TLS_HELLO '\x16'
#define TLS_ALERT '\x15'
void tls_say(struct end *e, char what);

/* plan.c */
void plan_make(struct sim *s);
void plan_free(struct plan *p);
/* The loosest shape that may hold for a site now. */
struct eng_shape plan_shape(struct sim *s, uint32_t site, uint32_t source);
/* The configuration that a text is, with the limits of providers, sites and
 * sources that the seed makes. */
struct conf *plan_parse(struct sim *s, struct slice text);
/* So long the rates among those may hold mail up. */
int64_t plan_layers_us(const struct sim *s);
/* A time zone that mail may be for. */
#define SIM_FAR "Asia/Tokyo" /* no summer time */
/* The name of a host of a site; dst of 32 bytes. */
void sim_host_name(uint32_t site, uint32_t i, char *dst);
/* The number of a site's provider, MET_NONE; of a source's netblock. */
uint32_t plan_provider(uint32_t site);
uint32_t plan_netblock(uint32_t source);
/* Is the source one of the pool's own? */
bool plan_in_pool(const struct plan *p, uint32_t pool, uint32_t source);
/* What is one site for the daemon: all that goes to its hosts, but for what has an
 * entry together, or a domain. */
uint32_t plan_place(const struct sim *s, uint32_t site, struct slice domain);
/* Of the domains of a home that is not apart. */
uint32_t plan_place_of(const struct sim *s, uint32_t site, uint32_t home);
/* A provider, with what it has together. */
void plan_write_provider(struct sim *s, struct buf *b, uint32_t v);
/* Rules about refusals. */
void plan_reactions(struct sim *s, struct buf *b);
/* Which limits on tuples may hold is told. */
void plan_meters(struct sim *s);
const struct conf *sim_conf(const struct sim *s);

/* peer.c: receivers */
void peers_make(struct sim *s);
void peers_free(struct sim *s);
void peers_heal(struct sim *s);
void peers_mood(struct sim *s); /* a new mood for some host */
struct ip peer_ip(uint32_t site, uint32_t host);
bool peer_of_ip(const struct ip *ip, uint32_t *site, uint32_t *host);
/* How a connection to a receiver goes. */
struct end *peer_connect(struct sim *s, const struct ip *to,
    const struct end_ops *ops, void *user);

/* dns.c */
void sim_zone_make(struct sim *s);
void sim_zone_free(struct sim *s);
void sim_zone_heal(struct sim *s);
void sim_zone_move(struct sim *s); /* some domain moves */
void sim_zone_ask(struct sim *s, uint32_t domain, struct slice name);
void sim_zone_forget(struct sim *s); /* questions of a host that crashed */
/* Sites that a domain's mail may be at. */
bool sim_zone_may(const struct sim *s, uint32_t home, uint32_t site);

/* load.c: what is offered, and the text of messages */
void sim_load_make(struct sim *s);
void sim_load_free(struct sim *s);
struct slice sim_load_body(struct sim *s, uint32_t n); /* until the next call */
struct slice sim_load_header(struct sim *s,
    uint32_t n); /* the tags before it */
uint32_t sim_load_rcpts(const struct sim *s, uint32_t n);
void sim_load_address(const struct sim *s, uint32_t n, uint32_t k, char *dst,
    size_t cap);
void sim_load_sender(const struct sim *s, uint32_t n, char *dst, size_t cap);
/* The next message to offer to the daemon, 0 = none now. */
uint32_t sim_load_next(struct sim *s);
/* Offered again after a while; is_open says which recipients. */
void sim_load_again(struct sim *s, uint32_t n);
/* Larger than the door allows? */
bool sim_load_is_too_big(const struct sim *s, uint32_t n);
bool sim_load_is_done(const struct sim *s);
bool *sim_load_open(struct sim *s, uint32_t n); /* recipients not yet taken */

/* wish.c: what senders want to be told, where they say so: of a recipient (enum
 * notify_flags) and where they say it, its ORCPT; of a message (enum env_flags)
 * and its ENVID, empty where it has none. */
uint8_t sim_wish_notify(const struct sim *s, uint32_t n, uint32_t k);
struct slice sim_wish_orcpt(const struct sim *s, uint32_t n, uint32_t k,
    char dst[32]);
uint32_t sim_wish_ret(const struct sim *s, uint32_t n);
struct slice sim_wish_envid(const struct sim *s, uint32_t n, char dst[32]);
/* Does a receiver offer DSN? */
bool sim_wish_passes(const struct sim *s, const struct ip *host);
/* Of a daemon's configuration. */
void sim_wish_conf(const struct sim *s, struct buf *b);
/* A receiver is told: of a message, of a recipient. */
void sim_wish_mail(const struct sim *s, const struct smtp_srv *srv);
void sim_wish_rcpt(const struct sim *s, const struct smtp_srv *srv);

/* client.c: senders */
void clients_make(struct sim *s);
void clients_free(struct sim *s);
void clients_wake(struct sim *s);

/* disk.c: a disk that may die between two operations, take its time, rot */
#define SIM_BLOCK 4096u /* what cannot be read, cannot be read as a whole */
struct sim_disk {
	struct disk disk;
	struct disk *under;
	struct sim *s;
	struct fiber *waits;   /* who can wait for it */
	struct disk_req *slow; /* and does */
	struct timer done;
	int64_t ops_left; /* until it dies; -1 = lives */
	bool is_dead;
	bool is_settled; /* a start has read what there is */
	bool is_full;
	/* A sync has failed: the process shall begin anew while what was lost
	 * can still be read, and then the power shall go. */
	bool has_lied;
	bool is_kill; /* what ops_left ends is the process, not the power */
	int64_t ill_until_us;    /* so long outcomes may wait */
	uint32_t read_per_mille; /* reads that fail */
	struct {
		uint32_t file;
		uint64_t off;
	} bad[16];
	uint32_t nbad;
};
void sim_disk_open(struct sim_disk *d, struct sim *s);
void sim_disk_close(struct sim_disk *d);
/* The process dies: nothing it asks for is done. Who waits is let go. */
void sim_disk_die(struct sim_disk *d);
/* Power is lost and comes back; or only the process begins anew. */
void sim_disk_power(struct sim_disk *d);
void sim_disk_restart(struct sim_disk *d);
/* A bit flips; a block cannot be read any more. */
void sim_disk_rot(struct sim_disk *d, uint32_t file, uint64_t off, int bit);
bool sim_disk_block_bad(struct sim_disk *d, uint32_t file, uint64_t off);
void sim_disk_heal(struct sim_disk *d);
/* Free space: little, or enough. */
void sim_disk_fill(struct sim_disk *d, bool is_full, uint64_t bytes);
/* Has it given reason to wait, now or just before? */
bool sim_disk_is_ill(const struct sim_disk *d);
bool sim_disk_keeps(struct sim_disk *d, const struct spool_ref *ref);

/* host.c: the daemon */
void host_make(struct sim *s);
void host_free(struct sim *s);
void host_start(struct sim *s);
void host_crash(struct sim *s);
/* The process is killed; what it has written is not lost. */
void host_kill(struct sim *s);
void host_stop(struct sim *s); /* in order; again: at once */
bool host_is_up(const struct sim *s);
void host_reload(struct sim *s);
/* An operator ends one, if one stands. */
void host_end_reaction(struct sim *s);
/* The wall clock has been set. */
void host_jumped(struct sim *s);
void host_resolved(struct sim *s, uint32_t domain, const struct core_answer *a);
/* An operator's request; done counts in a trace. */
void host_admin(struct sim *s, enum eng_verb verb,
    const struct core_selector *sel);
/* The client of that number connects to the door. */
struct end *host_connect(struct sim *s, const struct link_conf *lc,
    uint32_t number, const struct end_ops *ops, void *user);
void host_audit(struct sim *s);
bool host_is_idle(const struct sim *s);
void host_rest(struct sim *s); /* base of memory and handles */
struct sim_disk *host_disk(struct sim *s);

/* fault.c */
void faults_make(struct sim *s);
void faults_heal(struct sim *s);
void faults_free(struct sim *s);

#endif

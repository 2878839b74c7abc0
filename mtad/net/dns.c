/*
 * net/dns.c - MX and address look-ups through libunbound on the loop's event
 * base; owned by the loop's thread.
 *
 * One context, with our own bounded queue before it. At most inflight_max
 * look-ups run, at most per_parent_max of them below one parent domain. Those
 * that wait stand in a line for each parent, and parents that may start one
 * take turns, so a dead zone takes neither the places nor the time of others.
 *
 * A look-up that has run for long gives its place back and goes on as a slow
 * one: what libunbound takes at once beside inflight_max, QUERIES_MAX in all,
 * is for these. A name whose last look-up failed is a suspect: it waits in a
 * line of its own, is slow from the start, and suspects have half of the slow
 * places at most. So thousands of names without an answer cost the others the
 * time until they are slow, once, and nothing when they are tried again. A name
 * whose last look-up went well is known, and has three turns of four: a storm of
 * new names does not delay it.
 *
 * Questions are counted in a bucket, those from the cache among them, for nobody
 * says which these are. A look-up that has begun may go on in debt.
 *
 * A look-up has one deadline for all of its questions. libunbound may call back
 * from inside its own call, so a callback only notes what came; answers are
 * given from the deferred event.
 */
#include <event2/event.h>
#include <netinet/in.h>
#include <stdio.h>
#include <unbound.h>
#include <unbound-event.h>

#include "net/dns_i.h"

#define TTL_MAX_S 86400
/* "There is none" is kept as long as the zone's SOA says, within these bounds;
 * RFC 2308 5 finds more than a few hours unwise, and a mistake in a zone bounces
 * mail. A zone that gives no SOA is taken to say the least. */
#define NEGATIVE_MIN_S 10
#define NEGATIVE_MAX_S 3600
/* Slow is what takes much longer than usual: on a busy machine all answers are
 * late, and libunbound has about 15 KB for each question. */
#define SLOW_TIMES 4
#define SLOW_MIN_US (100 * US_PER_MS)
#define SLOW_MAX_US (500 * US_PER_MS)
#define USUAL_WEIGHT 16
#define KNOWN_TURNS 3 /* before one of a new name */
#define QUERIES_MAX 4096u
#define PORTS_MAX 8192u
#define PAST_MAX (1u << 18)
#define TIMER_US 100000
/* RFC 8767 5: whoever asks has a stale answer when there is no other after so
 * long, for so long. */
#define STALE_AFTER_MS "1800"
#define STALE_TTL_S "30"

struct query {
	struct lookup *lookup; /* NULL: nobody waits for it any more */
	struct query *next;    /* of the same look-up */
	uint16_t type;
	uint8_t host;
	bool is_done;
	int async_id;
};

/* What the last look-up of a name came to; none: it is new. */
enum past { NEW, FAILED, KNOWN, PAST_N };

/* Who runs the zones of some look-ups, as far as names tell. */
struct parent {
	struct list turn;    /* in dns->turns while it may start one */
	struct list waiting; /* its look-ups */
	uint64_t key;
	uint32_t nrunning;
	uint8_t past; /* of its names */
};

enum lookup_state { WAITING, RUNNING, SLOW, READY };

struct lookup {
	struct list link; /* its parent's waiting, dns->running, slow, ready */
	struct list age;  /* dns->all: in the order of deadlines */
	struct dns *dns;
	struct query *queries;
	uint32_t pending;    /* questions without an answer */
	uint32_t negative_s; /* how long what is not there is not there */
	enum lookup_state state;
	bool is_host, is_ready, had_temp, is_suspect;
	uint16_t type;   /* of records; 0: hosts and addresses */
	uint32_t parent; /* index; 0 = none any more */
	int64_t started_us;
	void (*on_answer)(void *, uint64_t, const struct dns_answer *);
	void (*on_records)(void *, uint64_t, const struct dns_records *);
	void *user;
	uint64_t cookie;
	int64_t deadline_us;
	struct dns_answer *answer;   /* large; NULL until something came */
	struct dns_records *records; /* the same of records */
	const char *failed;          /* instead of an answer: why */
	char domain[DOMAIN_TEXT_MAX];
};

struct dns {
	struct loop *loop;
	struct dns_conf conf;
	struct ub_ctx *ctx;
	struct event *defer, *timer;
	struct list all, running, slow, ready;
	struct list turns[PAST_N];
	uint32_t nwaiting, nrunning, nslow, nsuspects; /* suspects are slow */
	uint32_t known_in_turn;
	int64_t usual_us; /* what a look-up with an answer takes, on average */
	struct map past;  /* by the hash of a name */
	/* Questions that may be asked, in millionths; less than none: debt. */
	int64_t tokens, filled_us;
	struct pool parents;
	struct map parent_map; /* hash of a name to index */
	struct dns_stats stats;
	struct dns_rrs rrs;         /* scratch */
	struct dns_records records; /* likewise */
};

static void ask(struct lookup *l, const char *name, uint16_t type,
    uint8_t host);

/* ---- parents --------------------------------------------------------------------- */

/* The names of one parent wait apart, by their past. */
#define PAST_SHIFT 62

/* The last two labels stand for who runs the zone. */
static uint64_t
parent_key(const char *domain)
{
	struct slice s = slice_str(domain);
	int dots = 0;

	for (size_t i = s.n; i > 0; i--)
		if (s.p[i - 1] == '.' && ++dots == 2)
			return hash_bytes(1, s.p + i, s.n - i);
	return hash_bytes(1, s.p, s.n);
}

/* The parent of a domain, made when there is none; 0 without memory. */
static uint32_t
parent_get(struct dns *d, const char *domain, enum past past)
{
	uint64_t key = parent_key(domain) ^ (uint64_t)past << PAST_SHIFT;
	uint32_t i = map_get(&d->parent_map, key);
	struct parent *p;
	struct handle h;

	if (i)
		return i;
	p = pool_take(&d->parents, &h);
	if (!p)
		return 0;
	if (map_put(&d->parent_map, key, h.index)) {
		pool_give(&d->parents, h.index);
		return 0;
	}
	p->key = key;
	p->past = (uint8_t)past;
	list_init(&p->turn);
	list_init(&p->waiting);
	return h.index;
}

/* Something about it has changed: takes its turn, or is not needed any more. */
static void
parent_settle(struct dns *d, uint32_t i)
{
	struct parent *p = pool_at(&d->parents, i);

	list_remove(&p->turn);
	if (!list_is_empty(&p->waiting)) {
		if (p->nrunning < d->conf.per_parent_max)
			list_push_tail(&d->turns[p->past], &p->turn);
	} else if (p->nrunning == 0) {
		map_del(&d->parent_map, p->key);
		pool_give(&d->parents, i);
	}
}

/* ---- ends ------------------------------------------------------------------------ */

/* Gives back the place that a look-up has. */
static void
leave(struct lookup *l)
{
	struct dns *d = l->dns;
	uint32_t parent = l->parent;

	list_remove(&l->link);
	list_remove(&l->age);
	d->nwaiting -= l->state == WAITING;
	d->nrunning -= l->state == RUNNING;
	d->nslow -= l->state == SLOW;
	d->nsuspects -= l->state == SLOW && l->is_suspect;
	l->parent = 0;
	if (!parent)
		return;
	if (l->state != WAITING)
		((struct parent *)pool_at(&d->parents, parent))->nrunning--;
	parent_settle(d, parent);
}

static void
make_ready(struct lookup *l)
{
	leave(l);
	l->is_ready = true;
	l->state = READY;
	list_push_tail(&l->dns->ready, &l->link);
	event_active(l->dns->defer, EV_TIMEOUT, 0);
}

static void
fail(struct lookup *l, const char *why)
{
	l->failed = why;
	make_ready(l);
}

static uint32_t
negative_ttl(uint32_t said_s)
{
	if (said_s == UINT32_MAX)
		return NEGATIVE_MIN_S;
	return MIN(MAX(said_s, NEGATIVE_MIN_S), NEGATIVE_MAX_S);
}

/* The answer, made when there is none yet. */
static struct dns_answer *
answer_of(struct lookup *l)
{
	struct dns_answer *a = l->answer;

	if (a)
		return a;
	l->answer = a = mem_get(sizeof(*a));
	a->ttl_s = TTL_MAX_S;
	if (l->is_host) {
		a->nhosts = 1;
		a->hosts[0].is_secure = true;
		slice_copy(slice_str(l->domain), a->hosts[0].name,
		    sizeof(a->hosts[0].name));
	}
	return a;
}

/* Every question has been answered. */
static void
conclude(struct lookup *l)
{
	struct dns_answer *a = answer_of(l);

	if (a->naddrs)
		a->status = DNS_OK;
	else if (l->had_temp) {
		fail(l, a->why ? a->why : "SERVFAIL");
		return;
	} else if (a->status != DNS_NXDOMAIN)
		a->status = DNS_NO_ADDRESS;
	if (a->status != DNS_OK)
		a->ttl_s = MIN(a->ttl_s, negative_ttl(l->negative_s));
	a->ttl_s = MIN(MAX(a->ttl_s, 1u), TTL_MAX_S);
	if (l->is_host)
		a->is_secure = a->hosts[0].is_secure;
	make_ready(l);
}

static void
ask_host(struct lookup *l, const char *name, uint8_t host)
{
	struct ip ip;

	if (ip_parse(slice_str(name), &ip) == 0)
		return; /* an address is no host name: RFC 5321 5.1 */
	if (l->dns->conf.is_ipv4)
		ask(l, name, DNS_TYPE_A, host);
	if (l->dns->conf.is_ipv6)
		ask(l, name, DNS_TYPE_AAAA, host);
}

/* Questions are counted before any is asked: an answer may come at once. */
static void
ask_hosts(struct lookup *l)
{
	l->pending++;
	for (uint32_t i = 0; i < l->answer->nhosts; i++) {
		l->answer->hosts[i].is_secure = true;
		ask_host(l, l->answer->hosts[i].name, (uint8_t)i);
	}
	if (--l->pending == 0 && !l->is_ready)
		conclude(l);
}

/* ---- what came ---------------------------------------------------------------------- */

static void
take_mx(struct lookup *l, const struct dns_rrs *r)
{
	struct dns_answer *a = l->answer;

	if (r->ttl_s != UINT32_MAX)
		a->ttl_s = MIN(a->ttl_s, r->ttl_s);
	if (r->nmx == 1 && r->mx[0].name[0] == '\0') { /* RFC 7505 */
		a->status = DNS_NULL_MX;
		a->ttl_s = MIN(MAX(a->ttl_s, 1u), TTL_MAX_S);
		make_ready(l);
		return;
	}
	for (uint32_t i = 0; i < r->nmx; i++) {
		uint32_t at = a->nhosts;

		if (r->mx[i].name[0] == '\0')
			continue;
		if (at == DNS_HOSTS_MAX) {
			if (r->mx[i].pref >= a->hosts[at - 1].pref)
				continue;
			at--; /* the worst gives way */
		} else
			a->nhosts++;
		for (; at > 0 && a->hosts[at - 1].pref > r->mx[i].pref; at--)
			a->hosts[at] = a->hosts[at - 1];
		a->hosts[at].pref = r->mx[i].pref;
		slice_copy(slice_str(r->mx[i].name), a->hosts[at].name,
		    sizeof(a->hosts[at].name));
	}
	if (r->nmx == 0) { /* the domain is its own host: RFC 5321 5.1 */
		a->ttl_s = MIN(a->ttl_s, negative_ttl(r->negative_s));
		a->nhosts = 1;
		a->hosts[0].pref = 0;
		slice_copy(slice_str(l->domain), a->hosts[0].name,
		    sizeof(a->hosts[0].name));
	}
	ask_hosts(l);
}

static void
take_addresses(struct lookup *l, const struct query *q, const struct dns_rrs *r)
{
	struct dns_answer *a = l->answer;

	if (r->ttl_s != UINT32_MAX)
		a->ttl_s = MIN(a->ttl_s, r->ttl_s);
	if (l->is_host && r->nip > 0)
		memcpy(a->canonical, r->owner, sizeof(a->canonical));
	for (uint32_t i = 0; i < r->nip && a->naddrs < DNS_ADDRS_MAX; i++) {
		a->addrs[a->naddrs].host = q->host;
		a->addrs[a->naddrs++].ip = r->ip[i];
	}
	if (l->pending == 0)
		conclude(l);
}

/* The one answer that a look-up of records waits for. */
static void
take_records(struct lookup *l, const struct dns_rrs *r, const char *why,
    int sec)
{
	struct dns_records *out;

	if (why != NULL) {
		fail(l, why);
		return;
	}
	l->records = out = mem_get(sizeof(*out));
	*out = *r->records;
	out->is_secure = sec == 2;
	out->status = out->tlsa.n || out->txt_n ? DNS_OK :
	    r->rcode == 3                       ? DNS_NXDOMAIN :
						  DNS_NO_ADDRESS;
	out->ttl_s =
	    out->status == DNS_OK ? r->ttl_s : negative_ttl(r->negative_s);
	out->ttl_s = MIN(MAX(out->ttl_s, 1u), TTL_MAX_S);
	make_ready(l);
}

static void
take(struct lookup *l, struct query *q, int rcode, struct slice pkt, int sec)
{
	struct dns_rrs *r = &l->dns->rrs;
	struct dns_answer *a = l->type ? NULL : answer_of(l);
	const char *why;
	bool temp;

	l->pending--;
	memset(r, 0, sizeof(*r));
	r->ttl_s = UINT32_MAX;
	r->records = l->type ? &l->dns->records : NULL;
	if (r->records)
		r->records->tlsa.n = r->records->txt_n = 0;
	/* Bogus comes with the bad data in the packet. */
	temp = (rcode != 0 && rcode != 3) || sec == 1;
	if (!temp && pkt.n && dns_packet_read(pkt, q->type, r))
		temp = true;
	temp = temp || (r->rcode != 0 && r->rcode != 3);
	why = sec == 1 ? "DNSSEC validation failed" :
			 "no answer from the name servers";
	if (l->type) {
		take_records(l, r, temp ? why : NULL, sec);
		return;
	}
	if (q->type == DNS_TYPE_MX)
		a->is_secure = sec == 2;
	else if (sec != 2 || temp)
		a->hosts[q->host].is_secure = false;
	if (temp) {
		l->had_temp = true;
		a->why = why;
		if (q->type == DNS_TYPE_MX)
			fail(l, a->why);
		else if (l->pending == 0)
			conclude(l);
		return;
	}
	if (r->nmx + r->nip == 0)
		l->negative_s = MIN(l->negative_s, r->negative_s);
	if (r->rcode == 3 && (q->type == DNS_TYPE_MX || l->is_host)) {
		a->status = DNS_NXDOMAIN;
		if (q->type == DNS_TYPE_MX || l->pending == 0)
			conclude(l);
		return;
	}
	if (q->type == DNS_TYPE_MX)
		take_mx(l, r);
	else
		take_addresses(l, q, r);
}

static void
on_result(void *arg, int rcode, void *packet, int packet_len, int sec,
    char *why_bogus, int was_ratelimited)
{
	struct query *q = arg;
	struct lookup *l = q->lookup;
	struct slice pkt =
	    slice_of(packet, packet && packet_len > 0 ? (size_t)packet_len : 0);

	(void)why_bogus;
	(void)was_ratelimited;
	q->is_done = true;
	if (!l) {
		mem_free(q); /* given up before */
		return;
	}
	if (!l->is_ready)
		take(l, q, rcode, pkt, sec);
}

static void
ask(struct lookup *l, const char *name, uint16_t type, uint8_t host)
{
	struct query *q = mem_try(sizeof(*q));

	if (!q) {
		l->had_temp = true;
		return;
	}
	q->lookup = l;
	q->type = type;
	q->host = host;
	q->next = l->queries;
	l->queries = q;
	l->pending++;
	l->dns->tokens -= US_PER_S;
	if (ub_resolve_event(l->dns->ctx, name, type, 1, q, on_result,
		&q->async_id) != 0) {
		q->is_done = true;
		l->pending--;
		l->had_temp = true;
	}
}

/* ---- the queue ----------------------------------------------------------------------- */

static void
start(struct lookup *l)
{
	struct dns *d = l->dns;
	struct parent *p = pool_at(&d->parents, l->parent);

	list_remove(&l->link);
	list_push_tail(l->is_suspect ? &d->slow : &d->running, &l->link);
	d->nwaiting--;
	d->nrunning += !l->is_suspect;
	d->nslow += l->is_suspect;
	d->nsuspects += l->is_suspect;
	p->nrunning++;
	l->state = l->is_suspect ? SLOW : RUNNING;
	l->started_us = loop_now(d->loop);
	l->negative_s = UINT32_MAX;
	parent_settle(d, l->parent);
	l->pending++;
	if (l->type)
		ask(l, l->domain, l->type, 0);
	else if (l->is_host)
		ask_host(l, l->domain, 0);
	else
		ask(l, l->domain, DNS_TYPE_MX, 0);
	/* Answers that came at once have left the end to us. */
	if (--l->pending > 0 || l->is_ready)
		return;
	if (l->type)
		fail(l, "it cannot be asked for");
	else
		conclude(l);
}

/* Places for look-ups that take their time. */
static uint32_t
slow_max(const struct dns *d)
{
	return QUERIES_MAX - MIN(d->conf.inflight_max, QUERIES_MAX);
}

static void
start_next(struct list *turns)
{
	struct parent *p = container_of(turns->next, struct parent, turn);

	start(container_of(p->waiting.next, struct lookup, link));
}

/* So many questions a second, and as many as come between two timers at once. */
static void
refill(struct dns *d)
{
	int64_t rate = (int64_t)d->conf.queries_per_second_max;
	int64_t now = loop_now(d->loop);

	d->tokens += MIN(now - d->filled_us, US_PER_S) * rate;
	d->tokens = MIN(d->tokens, MAX(2 * TIMER_US * rate, (int64_t)US_PER_S));
	d->filled_us = now;
}

static bool
may_ask(const struct dns *d)
{
	return d->conf.queries_per_second_max == 0 || d->tokens >= US_PER_S;
}

/* Whose turn it is; NULL: nobody's. */
static struct list *
turns_next(struct dns *d)
{
	bool has_known = !list_is_empty(&d->turns[KNOWN]);
	bool has_new = !list_is_empty(&d->turns[NEW]);

	if (has_known && (!has_new || d->known_in_turn < KNOWN_TURNS)) {
		d->known_in_turn++;
		return &d->turns[KNOWN];
	}
	d->known_in_turn = 0;
	return has_new ? &d->turns[NEW] : NULL;
}

static void
start_more(struct dns *d)
{
	uint32_t suspects_max = MAX(slow_max(d) / 2, 1);
	struct list *turns;

	refill(d);
	while (d->nrunning < d->conf.inflight_max && may_ask(d) &&
	    (turns = turns_next(d)) != NULL)
		start_next(turns);
	while (d->nsuspects < suspects_max && d->conf.inflight_max &&
	    may_ask(d) && !list_is_empty(&d->turns[FAILED]))
		start_next(&d->turns[FAILED]);
}

/* Questions still under way answer to nobody. */
static void
queries_free(struct lookup *l)
{
	struct query *q;

	while ((q = l->queries)) {
		l->queries = q->next;
		if (!q->is_done && ub_cancel(l->dns->ctx, q->async_id) != 0)
			q->lookup = NULL; /* freed by its callback */
		else
			mem_free(q);
	}
}

static void
lookup_free(struct lookup *l)
{
	list_remove(&l->link);
	queries_free(l);
	mem_free(l->answer);
	mem_free(l->records);
	mem_free(l);
}

static uint64_t
name_key(const struct lookup *l)
{
	return hash_bytes(2, l->domain, strlen(l->domain));
}

/* Who never had a turn has no past by that. Where there are too many to tell, all
 * are forgotten, and each costs the others its time again. */
static void
remember(struct dns *d, const struct lookup *l)
{
	if (!l->started_us)
		return;
	if (!l->failed)
		d->usual_us +=
		    (loop_now(d->loop) - l->started_us - d->usual_us) /
		    USUAL_WEIGHT;
	if (d->past.n >= PAST_MAX) {
		map_free(&d->past);
		map_init(&d->past, 0, 2 * PAST_MAX);
	}
	if (map_put(&d->past, name_key(l), l->failed ? FAILED : KNOWN))
		return; /* no memory: then it has none */
}

static void
give_records(struct lookup *l)
{
	struct dns_records *r = &l->dns->records;

	if (l->failed) {
		r->status = DNS_TEMP;
		r->why = l->failed;
		r->is_secure = false;
		r->tlsa.n = r->txt_n = 0;
	}
	l->dns->stats.temp += l->failed != NULL;
	l->on_records(l->user, l->cookie, l->failed ? r : l->records);
}

static void
give_answer(struct lookup *l)
{
	struct dns_answer none = { .status = DNS_TEMP, .why = l->failed };
	const struct dns_answer *a = l->failed ? &none : l->answer;
	struct dns *d = l->dns;

	d->stats.temp += a->status == DNS_TEMP;
	d->stats.nxdomain += a->status == DNS_NXDOMAIN;
	l->on_answer(l->user, l->cookie, a);
}

static void
on_defer(evutil_socket_t fd, short what, void *arg)
{
	struct dns *d = arg;
	struct list *n;

	(void)fd;
	(void)what;
	while ((n = d->ready.next) != &d->ready) {
		struct lookup *l = container_of(n, struct lookup, link);

		list_remove(&l->link);
		remember(d, l);
		d->stats.answers++;
		if (l->type)
			give_records(l);
		else
			give_answer(l);
		lookup_free(l);
	}
	start_more(d);
}

/* Looks over the deadlines: all look-ups have the same time. */
static void
expire(struct dns *d)
{
	while (!list_is_empty(&d->all)) {
		struct lookup *l =
		    container_of(d->all.next, struct lookup, age);

		if (l->deadline_us > loop_now(d->loop))
			return;
		fail(l, "DNS look-up timed out");
	}
}

static void
retire_slow(struct dns *d)
{
	int64_t slow_us =
	    MIN(MAX(SLOW_TIMES * d->usual_us, SLOW_MIN_US), SLOW_MAX_US);

	while (!list_is_empty(&d->running) && d->nslow < slow_max(d)) {
		struct lookup *l =
		    container_of(d->running.next, struct lookup, link);

		if (l->started_us + slow_us > loop_now(d->loop))
			return;
		list_remove(&l->link);
		list_push_tail(&d->slow, &l->link);
		l->state = SLOW;
		d->nrunning--;
		d->nslow++;
	}
}

static void
on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct dns *d = arg;

	(void)fd;
	(void)what;
	expire(d);
	retire_slow(d);
	start_more(d);
}

/* Puts a look-up into its parent's line. */
static void
wait_turn(struct dns *d, struct lookup *l)
{
	struct parent *p;
	enum past past;

	past = (enum past)map_get(&d->past, name_key(l));
	l->is_suspect = past == FAILED;
	l->parent = parent_get(d, l->domain, past);
	if (!l->parent || d->nwaiting >= d->conf.queue_max) {
		d->stats.refused++;
		if (l->parent)
			parent_settle(d, l->parent);
		l->parent = 0;
		fail(l, "too many DNS look-ups wait");
		return;
	}
	p = pool_at(&d->parents, l->parent);
	l->state = WAITING;
	d->nwaiting++;
	list_push_tail(&p->waiting, &l->link);
	list_push_tail(&d->all, &l->age);
	if (list_is_empty(&p->turn))
		parent_settle(d, l->parent);
	event_active(d->defer, EV_TIMEOUT, 0);
}

static struct lookup *
lookup_new(struct dns *d, struct slice name, void *user, uint64_t cookie)
{
	struct lookup *l = mem_get(sizeof(*l));

	l->dns = d;
	l->user = user;
	l->cookie = cookie;
	l->deadline_us = loop_now(d->loop) + d->conf.timeout_us;
	slice_copy(name, l->domain, sizeof(l->domain));
	l->state = READY; /* not counted anywhere */
	list_init(&l->link);
	list_init(&l->age);
	d->stats.lookups++;
	return l;
}

void
dns_records(struct dns *d, struct slice name, enum dns_ask what,
    void (
	*on_records)(void *user, uint64_t cookie, const struct dns_records *r),
    void *user, uint64_t cookie)
{
	struct lookup *l = lookup_new(d, name, user, cookie);

	l->type = what == DNS_ASK_TLSA ? DNS_TYPE_TLSA : DNS_TYPE_TXT;
	l->on_records = on_records;
	wait_turn(d, l);
}

void
dns_lookup(struct dns *d, struct slice domain, bool is_host,
    void (*on_answer)(void *user, uint64_t cookie, const struct dns_answer *a),
    void *user, uint64_t cookie)
{
	struct lookup *l = lookup_new(d, domain, user, cookie);
	struct ip ip;

	l->is_host = is_host;
	l->on_answer = on_answer;
	if (domain.n > 2 && domain.p[0] == '[') { /* RFC 5321 4.1.3 */
		struct slice in = slice_of(domain.p + 1, domain.n - 2);

		if (slice_has_iprefix(in, SL("IPv6:")))
			in = slice_skip(in, 5);
		l->answer = mem_get(sizeof(*l->answer));
		l->answer->status = DNS_NO_ADDRESS;
		l->answer->ttl_s = TTL_MAX_S;
		if (ip_parse(in, &ip) == 0) {
			l->answer->status = DNS_OK;
			l->answer->nhosts = l->answer->naddrs = 1;
			l->answer->addrs[0].ip = ip;
			slice_copy(domain, l->answer->hosts[0].name,
			    sizeof(l->answer->hosts[0].name));
		}
		make_ready(l);
		return;
	}
	if (!domain_to_ascii(domain, l->domain)) {
		l->answer = mem_get(sizeof(*l->answer));
		l->answer->status = DNS_NXDOMAIN;
		l->answer->why = "it is no domain (IDNA 2008)";
		l->answer->ttl_s = TTL_MAX_S;
		make_ready(l);
		return;
	}
	wait_turn(d, l);
}

void
dns_move(struct dns *from, struct dns *to)
{
	while (!list_is_empty(&from->all)) {
		struct lookup *l =
		    container_of(from->all.next, struct lookup, age);

		leave(l);
		queries_free(l);
		mem_free(l->answer);
		mem_free(l->records);
		l->answer = NULL;
		l->records = NULL;
		l->pending = 0;
		l->had_temp = false;
		l->started_us = 0;
		l->dns = to;
		l->deadline_us = loop_now(to->loop) + to->conf.timeout_us;
		wait_turn(to, l);
	}
	to->stats = from->stats;
}

/* ---- life ------------------------------------------------------------------------------- */

static void
set(struct ub_ctx *ctx, const char *name, const char *value)
{
	if (ub_ctx_set_option(ctx, name, value) != 0)
		log_event(LOG_WARN, "dns", "what",
		    "libunbound does not know an option", "option", name, NULL);
}

static void
set_options(struct dns *d)
{
	char bytes[24], ports[16];

	snprintf(bytes, sizeof(bytes), "%llu",
	    (unsigned long long)MAX(d->conf.cache_bytes / 2, 1u << 20));
	set(d->ctx, "msg-cache-size:", bytes);
	set(d->ctx, "rrset-cache-size:", bytes);
	/* Each has memory from the first question on, and without one a
	 * question waits: so two for each look-up that may run and one for each
	 * slow one, as most have one question under way, and few have many. */
	snprintf(ports, sizeof(ports), "%u",
	    MIN(2 * d->conf.inflight_max + slow_max(d), PORTS_MAX));
	set(d->ctx, "outgoing-range:", ports);
	set(d->ctx, "num-queries-per-thread:", "4096");
	/*
	 * A resolver that gives no answer for one name must not be taken for
	 * dead, or all names fail at once: what is known about servers is
	 * forgotten within a second, before its time-out can grow to what
	 * marks it so. A question is sent twice and has 2 s, or 4, each time:
	 * a resolver that works on it shall not be hurried.
	 */
	set(d->ctx, "infra-host-ttl:", "0");
	set(d->ctx, "infra-cache-min-rtt:", "2000");
	set(d->ctx, "outbound-msg-retry:", "1");
	set(d->ctx, "do-ip6:", d->conf.is_ipv6 ? "yes" : "no");
	set(d->ctx, "module-config:",
	    d->conf.trust_anchor ? "validator iterator" : "iterator");
	set(d->ctx, "do-not-query-localhost:", "no");
	if (d->conf.stale_us == 0)
		return;
	snprintf(bytes, sizeof(bytes), "%lld",
	    (long long)(d->conf.stale_us / US_PER_S));
	set(d->ctx, "serve-expired:", "yes");
	set(d->ctx, "serve-expired-ttl:", bytes);
	set(d->ctx, "serve-expired-client-timeout:", STALE_AFTER_MS);
	set(d->ctx, "serve-expired-reply-ttl:", STALE_TTL_S);
}

static int
set_servers(struct dns *d, char *why, size_t why_cap)
{
	int err = 0;

	for (uint32_t i = 0; i < d->conf.nservers && !err; i++) {
		char text[80];
		size_t n = ip_format(text, &d->conf.servers[i].ip);

		snprintf(text + n, sizeof(text) - n, "@%u",
		    d->conf.servers[i].port);
		err = ub_ctx_set_fwd(d->ctx, text);
	}
	if (d->conf.nservers == 0) {
		err = ub_ctx_resolvconf(d->ctx, NULL);
		if (!err)
			err = ub_ctx_hosts(d->ctx, NULL);
	}
	if (!err && d->conf.trust_anchor)
		err = ub_ctx_add_ta_file(d->ctx, d->conf.trust_anchor);
	if (err)
		snprintf(why, why_cap, "resolver: %s", ub_strerror(err));
	return err;
}

struct dns *
dns_new(struct loop *l, const struct dns_conf *conf, char *why, size_t why_cap)
{
	struct dns *d = mem_try(sizeof(*d));
	struct timeval every = { .tv_usec = TIMER_US };

	if (!d) {
		snprintf(why, why_cap, "out of memory");
		return NULL;
	}
	d->loop = l;
	d->conf = *conf;
	list_init(&d->all);
	list_init(&d->running);
	list_init(&d->slow);
	list_init(&d->ready);
	for (int i = 0; i < PAST_N; i++)
		list_init(&d->turns[i]);
	map_init(&d->past, 0, 2 * PAST_MAX);
	d->filled_us = loop_now(l);
	pool_init(&d->parents, sizeof(struct parent), 1u << 24);
	map_init(&d->parent_map, 0, 1u << 24);
	d->ctx = ub_ctx_create_event(loop_base(l));
	d->defer = event_new(loop_base(l), -1, 0, on_defer, d);
	d->timer = event_new(loop_base(l), -1, EV_PERSIST, on_timer, d);
	if (!d->ctx || !d->defer || !d->timer) {
		snprintf(why, why_cap, "cannot make a resolver context");
		dns_free(d);
		return NULL;
	}
	set_options(d);
	if (set_servers(d, why, why_cap)) {
		dns_free(d);
		return NULL;
	}
	event_add(d->timer, &every);
	return d;
}

void
dns_free(struct dns *d)
{
	d->conf.inflight_max = 0;
	do { /* an answer may lead to a question here */
		while (!list_is_empty(&d->all))
			fail(container_of(d->all.next, struct lookup, age),
			    "the resolver was replaced");
		if (d->defer)
			on_defer(-1, 0, d);
	} while (!list_is_empty(&d->all));
	if (d->ctx)
		ub_ctx_delete(d->ctx);
	if (d->defer)
		event_free(d->defer);
	if (d->timer)
		event_free(d->timer);
	map_free(&d->parent_map);
	map_free(&d->past);
	pool_free(&d->parents);
	mem_free(d);
}

void
dns_stats_get(const struct dns *d, struct dns_stats *out)
{
	*out = d->stats;
	out->inflight = d->nrunning + d->nslow;
	out->queued = d->nwaiting;
}

/*
 * daemon/tlsrpt.c - how sessions to a domain fared with TLS, day by day (UTC), and
 * when a report of it is due (RFC 8460).
 *
 * Rows are counts of sessions that were alike; they live here and, within seconds,
 * in the books, so a restart loses at most what has not gone there. Behind midnight
 * and a while that is a domain's own, its record is asked for: without one the
 * rows are forgotten, with one the report goes to each place that it names. What
 * fails is tried again for a day. Bounded in rows and in reports under way.
 */
#include <stdio.h>
#include <stdlib.h>

#include "daemon/tlsrpt.h"

#define ROWS_MAX 20000u
#define DUES_MAX 16u /* under way */
#define DAY_US (86400 * US_PER_S)
#define SPREAD_US (2 * 3600 * US_PER_S)
#define AGAIN_US (900 * US_PER_S)
#define GIVE_UP_US DAY_US
#define FLUSH_US (5 * US_PER_S)
#define JSON_MAX (1u << 20)
#define REPORT_ROWS_MAX 500u

enum row_key { KEY_DOMAIN, KEY_TYPE, KEY_STRINGS, KEY_MX, KEY_RESULT, KEY_IPS };

struct row {
	struct list link; /* tlsrpt.rows */
	uint64_t hash;
	uint32_t day;
	bool is_dirty;
	int64_t count;
	const char *key[KEPT_KEYS_MAX]; /* in text */
	char text[];
};

/* The report of a domain's day. */
struct due {
	struct list link;
	char domain[DOMAIN_MAX + 1];
	uint32_t day, number, pending;
	int64_t due_us, give_up_us; /* wall */
	bool is_started;
	struct rpt_parcel p;
};

struct tlsrpt {
	struct worker *w;
	struct map by_hash; /* to the address of a row, by its number */
	struct pool slots;  /* of struct row * */
	struct list rows, dues;
	uint32_t nrows, ndirty, nstarted, ndues;
	uint64_t dropped;
	uint32_t looked; /* day whose predecessors have dues */
	int64_t flush_us;
};

/* ---- rows --------------------------------------------------------------------- */

static uint32_t
today(const struct tlsrpt *t)
{
	return (uint32_t)(loop_wall(t->w->loop) / DAY_US);
}

static uint64_t
hash_of(uint32_t day, const struct slice key[KEPT_KEYS_MAX])
{
	uint64_t h = hash_u64(day);

	for (int i = 0; i < KEPT_KEYS_MAX; i++)
		h = hash_bytes(h, key[i].p, key[i].n);
	return h;
}

static struct row *
row_find(const struct tlsrpt *t, uint64_t hash)
{
	uint32_t i = map_get(&t->by_hash, hash);

	return i ? *(struct row **)pool_at(&t->slots, i) : NULL;
}

static struct row *
row_new(struct tlsrpt *t, uint64_t hash, uint32_t day,
    const struct slice key[KEPT_KEYS_MAX])
{
	struct handle h;
	struct row **slot, *r;
	size_t n = KEPT_KEYS_MAX;
	char *at;

	if (t->nrows >= ROWS_MAX || (slot = pool_take(&t->slots, &h)) == NULL)
		return NULL;
	for (int i = 0; i < KEPT_KEYS_MAX; i++)
		n += key[i].n;
	r = mem_try(sizeof(*r) + n);
	if (r == NULL || map_put(&t->by_hash, hash, h.index) != 0) {
		mem_free(r);
		pool_give(&t->slots, h.index);
		return NULL;
	}
	*slot = r;
	r->hash = hash;
	r->day = day;
	at = r->text;
	for (int i = 0; i < KEPT_KEYS_MAX; i++) {
		r->key[i] = at;
		at += slice_copy(key[i], at, key[i].n + 1) + 1;
	}
	list_push_tail(&t->rows, &r->link);
	t->nrows++;
	return r;
}

/* It has been reported, or nobody wants it. */
static void
row_drop(struct tlsrpt *t, struct row *r)
{
	uint32_t i = map_del(&t->by_hash, r->hash);
	struct kept k = { .book = BOOK_TLS_REPORT,
		.nkeys = KEPT_KEYS_MAX,
		.sub = r->day,
		.is_gone = true };

	for (int n = 0; n < KEPT_KEYS_MAX; n++)
		k.key[n] = slice_str(r->key[n]);
	corehost_keep(t->w, &k);
	pool_give(&t->slots, i);
	list_remove(&r->link);
	t->nrows--;
	t->ndirty -= r->is_dirty;
	mem_free(r);
}

static void
count(struct tlsrpt *t, const struct slice key[KEPT_KEYS_MAX])
{
	uint32_t day = today(t);
	uint64_t hash = hash_of(day, key);
	struct row *r = row_find(t, hash);

	if (r == NULL)
		r = row_new(t, hash, day, key);
	if (r == NULL) {
		t->dropped++;
		return;
	}
	r->count++;
	if (!r->is_dirty && t->ndirty++ == 0)
		t->flush_us = loop_now(t->w->loop) + FLUSH_US;
	r->is_dirty = true;
}

void
tlsrpt_flush(struct tlsrpt *t)
{
	for (struct list *n = t->rows.next; n != &t->rows; n = n->next) {
		struct row *r = container_of(n, struct row, link);
		struct kept k = { .book = BOOK_TLS_REPORT,
			.nkeys = KEPT_KEYS_MAX,
			.sub = r->day,
			.v = { r->count } };

		if (!r->is_dirty)
			continue;
		for (int i = 0; i < KEPT_KEYS_MAX; i++)
			k.key[i] = slice_str(r->key[i]);
		corehost_keep(t->w, &k);
		r->is_dirty = false;
	}
	t->ndirty = 0;
}

void
tlsrpt_recall(struct tlsrpt *t, const struct kept *k)
{
	struct row *r;

	if (k->nkeys != KEPT_KEYS_MAX || k->v[0] <= 0)
		return;
	r = row_new(t, hash_of(k->sub, k->key), k->sub, k->key);
	if (r != NULL)
		r->count = k->v[0];
}

/* ---- sessions ------------------------------------------------------------------ */

/* Behind the name of the policy, which is known already. */
static struct slice
reason_of(struct slice why)
{
	static const struct slice names[] = { { "TLS policy ", 11 },
		{ "DANE: ", 6 }, { "MTA-STS", 7 }, { "REQUIRETLS: ", 12 } };

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (slice_has_prefix(why, names[i])) {
			size_t at = slice_index(why, ':');

			return slice_trim(slice_skip(why, at + 1));
		}
	return why;
}

static void
count_as(struct tlsrpt *t, const struct session_facts *f, const char *result,
    struct slice reason)
{
	char how[200], ips[2 * IP_TEXT_MAX + 2], from[IP_TEXT_MAX];
	char to[IP_TEXT_MAX];
	struct slice key[KEPT_KEYS_MAX] = { slice_str(f->domain),
		slice_str(f->policy_type), slice_str(f->policy_strings),
		slice_str(f->host), { "", 0 }, { "", 0 } };

	if (result != NULL) {
		snprintf(how, sizeof(how), "%s\t%.*s", result,
		    (int)MIN(reason.n, 120u), reason.p);
		key[KEY_RESULT] = slice_str(how);
		ip_format(from, &f->from);
		ip_format(to, &f->peer.ip);
		snprintf(ips, sizeof(ips), "%s\t%s", f->from.family ? from : "",
		    to);
		key[KEY_IPS] = slice_str(ips);
	}
	count(t, key);
}

void
tlsrpt_session(struct tlsrpt *t, const struct session_facts *f, bool is_tls,
    struct slice why)
{
	static const struct slice would = { "would fail, ", 12 };
	struct slice told = slice_str(f->tls_policy);
	const char *at;

	if (f->domain == NULL || f->domain[0] == '\0')
		return;
	at = is_tls ? memmem(told.p, told.n, would.p, would.n) : NULL;
	if (at != NULL) /* a policy that is tested */
		why = slice_str(at + would.n);
	if (why.n > 0)
		count_as(t, f, tls_report_result(why), reason_of(why));
	else if (is_tls)
		count_as(t, f, NULL, SL(""));
	else if (slice_index(told, ':') == told.n) /* TLS was not avoided */
		count_as(t, f, "starttls-not-supported", SL(""));
}

void
tlsrpt_no_policy(struct tlsrpt *t, const char *domain, const char *result,
    const char *why)
{
	char how[200];
	struct slice key[KEPT_KEYS_MAX] = { slice_str(domain), SL("sts"),
		SL(""), SL(""), SL(""), SL("") };

	snprintf(how, sizeof(how), "%s\t%.120s", result, why);
	key[KEY_RESULT] = slice_str(how);
	count(t, key);
}

/* ---- a report -------------------------------------------------------------------- */

static int
order(const void *a, const void *b)
{
	const struct row *x = *(struct row *const *)a;
	const struct row *y = *(struct row *const *)b;
	int c = strcmp(x->key[KEY_TYPE], y->key[KEY_TYPE]);

	if (c == 0)
		c = strcmp(x->key[KEY_STRINGS], y->key[KEY_STRINGS]);
	if (c == 0)
		c = strcmp(x->key[KEY_RESULT], y->key[KEY_RESULT]);
	if (c == 0)
		c = strcmp(x->key[KEY_MX], y->key[KEY_MX]);
	return c != 0 ? c : strcmp(x->key[KEY_IPS], y->key[KEY_IPS]);
}

static bool
is_of(const struct row *r, const char *domain, uint32_t day)
{
	return r->day == day && strcmp(r->key[KEY_DOMAIN], domain) == 0;
}

static uint32_t
collect(const struct tlsrpt *t, const char *domain, uint32_t day,
    struct tls_report_row *out)
{
	struct row *v[REPORT_ROWS_MAX];
	uint32_t n = 0;

	for (struct list *l = t->rows.next;
	     l != &t->rows && n < REPORT_ROWS_MAX; l = l->next) {
		struct row *r = container_of(l, struct row, link);

		if (is_of(r, domain, day))
			v[n++] = r;
	}
	qsort(v, n, sizeof(v[0]), order);
	for (uint32_t i = 0; i < n; i++) {
		struct slice how = slice_str(v[i]->key[KEY_RESULT]);
		struct slice ips = slice_str(v[i]->key[KEY_IPS]);

		out[i] = (struct tls_report_row){
			.type = slice_str(v[i]->key[KEY_TYPE]),
			.strings = slice_str(v[i]->key[KEY_STRINGS]),
			.mx = slice_str(v[i]->key[KEY_MX]),
			.count = (uint64_t)v[i]->count,
		};
		out[i].result = slice_cut(&how, '\t');
		out[i].reason = how;
		out[i].from = slice_cut(&ips, '\t');
		out[i].to = ips;
	}
	return n;
}

/* Its texts are good until the next call. */
static bool
report_of(struct tlsrpt *t, const char *domain, uint32_t day,
    struct tls_report *out)
{
	static struct tls_report_row rows[REPORT_ROWS_MAX]; /* one thread's */
	static char id[DOMAIN_MAX + 80];
	const struct conf_tls_report *c = &t->w->conf->tls_report;
	struct slice by = mailbox_domain(c->from);

	snprintf(id, sizeof(id), "%llx.%llx@%.*s",
	    (unsigned long long)loop_wall(t->w->loop),
	    (unsigned long long)corehost_sequence(t->w), SLF(by));
	*out = (struct tls_report){
		.org = c->org,
		.contact = c->contact,
		.from = c->from,
		.domain = slice_str(domain),
		.id = slice_str(id),
		.begin_us = day * DAY_US,
		.end_us = (day + 1) * DAY_US - US_PER_S,
		.rows = rows,
		.n = collect(t, domain, day, rows),
	};
	return out->n > 0;
}

bool
tlsrpt_show(struct tlsrpt *t, struct slice domain, struct buf *out)
{
	char name[DOMAIN_MAX + 1];
	struct tls_report r;

	slice_copy(domain, name, sizeof(name));
	return report_of(t, name, today(t), &r) &&
	    tls_report_json(out, &r) == 0;
}

/* ---- dues ------------------------------------------------------------------------ */

static struct due *
due_find(const struct tlsrpt *t, const char *domain, uint32_t day)
{
	for (struct list *n = t->dues.next; n != &t->dues; n = n->next) {
		struct due *l = container_of(n, struct due, link);

		if (l->day == day && strcmp(l->domain, domain) == 0)
			return l;
	}
	return NULL;
}

static struct due *
due_of(const struct tlsrpt *t, uint32_t number)
{
	for (struct list *n = t->dues.next; n != &t->dues; n = n->next) {
		struct due *l = container_of(n, struct due, link);

		if (l->number == number)
			return l;
	}
	return NULL;
}

static void
dues_make(struct tlsrpt *t, uint32_t before, bool at_once)
{
	int64_t now = loop_wall(t->w->loop);

	for (struct list *n = t->rows.next; n != &t->rows; n = n->next) {
		const struct row *r = container_of(n, struct row, link);
		const char *domain = r->key[KEY_DOMAIN];
		struct due *l;

		if (r->day >= before)
			continue;
		l = due_find(t, domain, r->day);
		if (l == NULL) {
			l = mem_get(sizeof(*l));
			list_push_tail(&t->dues, &l->link);
			slice_copy(slice_str(domain), l->domain,
			    sizeof(l->domain));
			l->day = r->day;
			l->number = ++t->ndues;
			l->due_us = (r->day + 1) * DAY_US +
			    (int64_t)(hash_bytes(0, domain, strlen(domain)) %
				(uint64_t)SPREAD_US);
			l->give_up_us = MAX(l->due_us, now) + GIVE_UP_US;
		}
		if (at_once)
			l->due_us = now;
	}
}

static void
due_free(struct due *l)
{
	list_remove(&l->link);
	buf_free(&l->p.gzip);
	mem_free(l);
}

/* All is done about it, be it sent or given up. */
static void
due_over(struct tlsrpt *t, struct due *l)
{
	for (struct list *n = t->rows.next, *next; n != &t->rows; n = next) {
		struct row *r = container_of(n, struct row, link);

		next = n->next;
		if (is_of(r, l->domain, l->day))
			row_drop(t, r);
	}
	t->nstarted--;
	due_free(l);
}

static void
due_again(struct tlsrpt *t, struct due *l, const char *why)
{
	int64_t now = loop_wall(t->w->loop);

	if (now >= l->give_up_us) {
		log_event(LOG_WARN, "tls-report", "what",
		    "a report was given up", "domain", l->domain, "error", why,
		    NULL);
		due_over(t, l);
		return;
	}
	log_event(LOG_INFO, "tls-report", "what", "a report has to wait",
	    "domain", l->domain, "error", why, NULL);
	l->due_us = now + AGAIN_US;
	l->is_started = false;
	t->nstarted--;
}

/* One of its places is through with it. */
static void
due_step(struct tlsrpt *t, struct due *l, uint32_t uri, const char *why)
{
	char failed[300] = "";

	if (why == NULL) {
		l->p.sent |= 1u << uri;
		log_event(LOG_INFO, "tls-report", "what", "a report was sent",
		    "domain", l->domain, "to", l->p.to.uri[uri].text, NULL);
	} else
		snprintf(failed, sizeof(failed), "%s: %s",
		    l->p.to.uri[uri].text, why);
	if (--l->pending > 0)
		return;
	if (l->p.sent == (1u << l->p.to.n) - 1)
		due_over(t, l);
	else
		due_again(t, l, failed[0] ? failed : "not all would take it");
}

static void
on_mailed(void *ctx, uint64_t arg, bool ok)
{
	struct due *l = due_of(ctx, (uint32_t)(arg >> 3));

	if (l != NULL)
		due_step(ctx, l, arg & 7,
		    ok ? NULL : "it could not be handed in");
}

static void
mail(struct tlsrpt *t, struct due *l, uint32_t uri, const struct tls_report *r)
{
	struct slice to = slice_str(l->p.to.uri[uri].text);
	struct buf b;

	buf_init(&b, 2 * JSON_MAX);
	if (tls_report_mail(&b, r, buf_slice(&l->p.gzip), to,
		loop_wall(t->w->loop)) != 0 ||
	    !rpt_mail(t->w, r->from, to, &b, on_mailed, t,
		(uint64_t)l->number << 3 | uri))
		due_step(t, l, uri, "it could not be handed in");
	buf_free(&b);
}

void
tlsrpt_posted(struct tlsrpt *t, struct post_report *p)
{
	struct due *l = due_find(t, p->domain, p->day);

	if (l != NULL)
		due_step(t, l, p->uri, p->why[0] ? p->why : NULL);
	buf_free(&p->gzip);
	mem_free(p);
}

static void
on_address(void *user, uint64_t cookie, const struct dns_answer *a)
{
	struct post_report *p = user;
	struct tlsrpt *t = p->from->tlsrpt;

	(void)cookie;
	if (t == NULL || a->status != DNS_OK) {
		snprintf(p->why, sizeof(p->why), "the host has no address");
		if (t != NULL)
			tlsrpt_posted(t, p);
		return;
	}
	p->ip = a->addrs[0].ip;
	keeper_post(&t->w->d->keeper, &p->post);
}

static void
post(struct tlsrpt *t, struct due *l, uint32_t uri)
{
	struct post_report *p = mem_get(sizeof(*p));

	p->post.kind = POST_REPORT;
	p->from = t->w;
	p->day = l->day;
	p->uri = uri;
	p->to = l->p.to.uri[uri];
	slice_copy(slice_str(l->domain), p->domain, sizeof(p->domain));
	slice_copy(t->w->conf->tls_ca, p->ca, sizeof(p->ca));
	buf_init(&p->gzip, JSON_MAX);
	buf_adds(&p->gzip, buf_slice(&l->p.gzip));
	dns_lookup(t->w->dns, slice_str(p->to.host), true, on_address, p, 0);
}

static bool
make(struct tlsrpt *t, struct due *l, struct tls_report *r)
{
	struct buf json;
	bool ok;

	buf_init(&json, JSON_MAX);
	buf_free(&l->p.gzip);
	buf_init(&l->p.gzip, JSON_MAX);
	ok = report_of(t, l->domain, l->day, r) &&
	    tls_report_json(&json, r) == 0 &&
	    rpt_gzip(&l->p.gzip, buf_slice(&json)) == 0;
	buf_free(&json);
	return ok;
}

static void
on_record(void *user, uint64_t cookie, const struct dns_records *rec)
{
	struct tlsrpt *t = user;
	struct due *l = due_of(t, (uint32_t)cookie);
	struct tls_report r;
	uint32_t sent;

	if (l == NULL)
		return;
	if (rec->status == DNS_TEMP) {
		due_again(t, l, rec->why);
		return;
	}
	if (rec->status != DNS_OK ||
	    !tls_report_record(slice_of(rec->txt, rec->txt_n), &l->p.to) ||
	    t->w->conf->tls_report.from.n == 0) {
		due_over(t, l); /* nobody wants it */
		return;
	}
	if (!make(t, l, &r)) {
		due_again(t, l, "it cannot be made");
		return;
	}
	sent = l->p.sent;
	/* One more, so that it is not over before all have begun. */
	l->pending = 1;
	for (uint32_t i = 0; i < l->p.to.n; i++)
		l->pending += !(sent >> i & 1);
	for (uint32_t i = 0; i < l->p.to.n; i++) {
		if (sent >> i & 1)
			continue;
		if (l->p.to.uri[i].is_https)
			post(t, l, i);
		else
			mail(t, l, i, &r);
	}
	if (--l->pending == 0)
		due_again(t, l, "it could not be handed in");
}

static void
due_start(struct tlsrpt *t, struct due *l)
{
	char name[DOMAIN_MAX + 16];
	int n = snprintf(name, sizeof(name), "_smtp._tls.%s", l->domain);

	l->is_started = true;
	t->nstarted++;
	dns_records(t->w->dns, slice_of(name, (size_t)n), DNS_ASK_TXT,
	    on_record, t, l->number);
}

uint32_t
tlsrpt_send_all(struct tlsrpt *t)
{
	uint32_t n = 0;

	dues_make(t, UINT32_MAX, true);
	for (struct list *l = t->dues.next; l != &t->dues; l = l->next)
		n++;
	tlsrpt_turn(t);
	return n;
}

/* ---- time ---------------------------------------------------------------------------- */

void
tlsrpt_turn(struct tlsrpt *t)
{
	int64_t now = loop_now(t->w->loop), wall = loop_wall(t->w->loop);
	uint32_t day = today(t);

	if (t->ndirty > 0 && t->flush_us <= now)
		tlsrpt_flush(t);
	if (t->looked != day) {
		t->looked = day;
		dues_make(t, day, false);
		if (t->dropped > 0)
			log_event(LOG_WARN, "tls-report", "what",
			    "there were more kinds of sessions than are "
			    "counted",
			    NULL);
		t->dropped = 0;
	}
	for (struct list *n = t->dues.next, *next;
	     n != &t->dues && t->nstarted < DUES_MAX; n = next) {
		struct due *l = container_of(n, struct due, link);

		next = n->next;
		if (!l->is_started && l->due_us <= wall)
			due_start(t, l);
	}
}

int64_t
tlsrpt_deadline(const struct tlsrpt *t)
{
	int64_t now = loop_now(t->w->loop), wall = loop_wall(t->w->loop);
	int64_t at = now + DAY_US - wall % DAY_US;

	if (t->ndirty > 0)
		at = MIN(at, t->flush_us);
	for (struct list *n = t->dues.next;
	     n != &t->dues && t->nstarted < DUES_MAX; n = n->next) {
		const struct due *l = container_of(n, struct due, link);

		if (!l->is_started)
			at = MIN(at, now + MAX(l->due_us - wall, 0));
	}
	return at;
}

struct tlsrpt *
tlsrpt_new(struct worker *w)
{
	struct tlsrpt *t = mem_get(sizeof(*t));

	t->w = w;
	pool_init(&t->slots, sizeof(struct row *), 2 * ROWS_MAX);
	map_init(&t->by_hash, 0, 2 * ROWS_MAX);
	list_init(&t->rows);
	list_init(&t->dues);
	return t;
}

void
tlsrpt_free(struct tlsrpt *t)
{
	while (!list_is_empty(&t->dues))
		due_free(container_of(t->dues.next, struct due, link));
	while (!list_is_empty(&t->rows)) {
		struct list *n = t->rows.next;

		list_remove(n);
		mem_free(container_of(n, struct row, link));
	}
	pool_free(&t->slots);
	map_free(&t->by_hash);
	mem_free(t);
}

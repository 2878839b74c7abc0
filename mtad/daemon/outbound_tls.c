/*
 * daemon/outbound_tls.c - from a domain's TLS policy to what one connection
 * asks for.
 *
 * On the core's worker, before a connection is made: the policy is compared
 * with what DNS says of the host (DANE), and a connection that cannot be as the
 * policy wants is refused there, by a post that goes down at once. On the worker
 * of the connection: what OpenSSL is told, and what is said of the outcome.
 *
 * A plain connection, which is nearly every one, has no out_policy at all.
 */
#include <stdio.h>

#include "daemon/daemon_i.h"

#define SESSIONS_MAX 1024 /* kept for resumption, by a worker and source */

/* An OPEN that waits for what DNS says. */
struct opening {
	struct list link; /* worker.openings */
	struct worker *w;
	struct worker *to;
	struct post_open *open;
	bool is_closed; /* the engine wants it no more */
	uint8_t sts;
	struct slice sts_hosts; /* in hosts, as far as they fit */
	char hosts[KEPT_NAME_MAX + 1];
	bool must_dane;
	bool is_listed; /* its host is one of the MTA-STS policy's */
};

/* ---- the policy of a connection ---------------------------------------------- */

void
out_policy_free(struct out_policy *p)
{
	if (p == NULL)
		return;
	mem_free(p->tlsa);
	if (p->password.n > 0)
		explicit_bzero((char *)(uintptr_t)p->password.p, p->password.n);
	mem_free(p);
}

/* A slice of the policy's own room. */
static struct slice
own(struct out_policy *p, struct slice s)
{
	char *to = p->words + p->words_n;

	s.n = MIN(s.n, p->words_cap - p->words_n - 1);
	slice_copy(s, to, s.n + 1);
	p->words_n += s.n + 1;
	return slice_of(to, s.n);
}

static void
policy_name(struct out_policy *p, const char *name)
{
	snprintf(p->name, sizeof(p->name), "%s", name);
}

__attribute__((format(printf, 2, 3))) static void
refuse(struct out_policy *p, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(p->refused, sizeof(p->refused), fmt, ap);
	va_end(ap);
}

static struct out_policy *
policy_new(const struct conf *c, const struct core_tls *t, struct slice host)
{
	const struct conf_tls_policy *w = &t->want;
	struct slice password = conf_password(c, w->user, w->password_file);
	/* DANE may bring two names more. */
	size_t room = 4 * (DOMAIN_MAX + 1) + w->ciphers.n + w->cert.n +
	    w->user.n + password.n + 8;
	struct out_policy *p = mem_get(sizeof(*p) + room);
	char name[48];

	p->words_cap = room;
	p->type = w->mode == CONF_TLS_DANE ? "tlsa" : "no-policy-found";

	p->wants_tls = w->mode != CONF_TLS_NONE;
	p->needs_tls = w->mode >= CONF_TLS_REQUIRED;
	p->requires_tls = t->wish == WISH_TLS;
	p->min = w->min;
	p->ciphers = own(p, w->ciphers);
	p->cert = own(p, w->cert);
	p->starts_tls = w->is_implicit;
	p->is_lmtp = w->is_lmtp;
	p->chunks = w->chunks;
	p->bounces_8bit = w->bounces_8bit;
	p->auth_in_clear = w->auth_in_clear;
	p->user = own(p, w->user);
	p->password = own(p, password);
	if (w->mode == CONF_TLS_VERIFY) {
		p->check = TLS_CHECK_PKIX;
		p->names[p->nnames++] = own(p, w->name.n ? w->name : host);
	}
	/* What is done for everybody needs no word, unless look-ups ask for
	 * more. */
	if (w->mode == CONF_TLS_OPPORTUNISTIC)
		return p;
	if (t->wish == WISH_TLS)
		snprintf(name, sizeof(name), "REQUIRETLS");
	else
		snprintf(name, sizeof(name), "TLS policy %.30s",
		    conf_tls_mode_name(w->mode));
	policy_name(p, name);
	return p;
}

/* A line of what reports say of the policy, if it has room whole. */
static void
say_line(struct out_policy *p, const char *what, struct slice text)
{
	size_t n = strlen(p->strings);

	if (n + strlen(what) + text.n + 2 > sizeof(p->strings))
		return;
	snprintf(p->strings + n, sizeof(p->strings) - n, "%s%s%.*s",
	    n > 0 ? "\n" : "", what, SLF(text));
}

static void
say_sts(const struct opening *x)
{
	struct out_policy *p = x->open->policy;
	struct slice hosts = x->sts_hosts;

	say_line(p, "version: STSv1", SL(""));
	say_line(p, "mode: ",
	    x->sts == CORE_STS_ENFORCE ? SL("enforce") : SL("testing"));
	while (hosts.n > 0)
		say_line(p, "mx: ", slice_cut(&hosts, '\n'));
}

static void
say_tlsa(struct out_policy *p, const struct tlsa_set *set)
{
	char text[200];

	for (uint32_t i = 0; i < set->n; i++) {
		int n =
		    snprintf(text, sizeof(text), "%u %u %u ", set->rec[i].usage,
			set->rec[i].selector, set->rec[i].matching);

		for (uint32_t k = 0; k < MIN(set->rec[i].bytes, 64u); k++)
			n += snprintf(text + n, sizeof(text) - (size_t)n,
			    "%02x", set->data[set->rec[i].at + k]);
		say_line(p, "", slice_of(text, (size_t)n));
	}
}

/* RFC 8461 4: the host is one of the policy's, and its certificate is good for
 * that name. */
static void
apply_sts(struct opening *x)
{
	struct out_policy *p = x->open->policy;
	bool enforces = x->sts == CORE_STS_ENFORCE || p->requires_tls;

	if (x->sts == CORE_STS_NONE)
		return;
	p->type = "sts";
	say_sts(x);
	if (!p->requires_tls)
		policy_name(p, enforces ? "MTA-STS" : "MTA-STS testing");
	p->min = MAX(p->min, (uint8_t)(1 + 2));
	p->needs_tls = enforces;
	p->check = enforces ? TLS_CHECK_PKIX : TLS_CHECK_LOOK;
	p->nnames = 0;
	p->names[p->nnames++] = own(p, slice_str(x->open->host));
	p->is_unlisted = !x->is_listed;
	if (enforces && !x->is_listed)
		refuse(p, "the policy does not name the mail host %s",
		    x->open->host);
}

static void
apply_dane(struct opening *x, const struct dane_answer *a)
{
	struct out_policy *p = x->open->policy;
	bool must = x->must_dane;

	if (a->status != DANE_NONE || must)
		p->type = "tlsa";
	switch (a->status) {
	case DANE_NONE:
		if (must)
			refuse(p, "%s: %s", x->open->host, a->why);
		else
			apply_sts(x);
		return;
	case DANE_FAILED:
		policy_name(p, "DANE");
		p->needs_tls = true;
		refuse(p, "TLSA records of %s cannot be had: %s", x->open->host,
		    a->why);
		return;
	case DANE_UNUSABLE:
		if (p->requires_tls && !must) /* by a CA, then */
			return;
		policy_name(p, "DANE");
		p->needs_tls = true;
		if (must)
			refuse(p, "%s has no TLSA record that can be used",
			    x->open->host);
		return;
	case DANE_USABLE:
		policy_name(p, "DANE");
		p->needs_tls = true;
		p->check = TLS_CHECK_DANE;
		p->nnames = 0;
		p->names[p->nnames++] = own(p, slice_str(a->base));
		if (strcmp(a->base, x->open->host) != 0)
			p->names[p->nnames++] =
			    own(p, slice_str(x->open->host));
		p->tlsa = mem_get(sizeof(*p->tlsa));
		*p->tlsa = a->set;
		say_tlsa(p, &a->set);
		return;
	}
}

/* ---- before it is opened ------------------------------------------------------- */

static void
send_open(struct worker *to, struct worker *w, struct post_open *o)
{
	if (to == w)
		posts_push(&w->inbox, &o->post);
	else
		worker_post(to, &o->post);
}

static void
opening_end(struct opening *x)
{
	struct post_session *close;

	list_remove(&x->link);
	if (x->w->is_done) { /* nobody is there who would */
		out_policy_free(x->open->policy);
		mem_free(x->open);
		mem_free(x);
		return;
	}
	send_open(x->to, x->w, x->open);
	if (x->is_closed) {
		close = mem_get(sizeof(*close));
		close->post.kind = POST_CLOSE;
		close->session = x->open->session;
		if (x->to == x->w)
			posts_push(&x->w->inbox, &close->post);
		else
			worker_post(x->to, &close->post);
	}
	mem_free(x);
}

static void
on_dane(void *user, uint64_t cookie, const struct dane_answer *a)
{
	struct opening *x = user;

	(void)cookie;
	apply_dane(x, a);
	opening_end(x);
}

void
secure_open(struct worker *w, struct worker *to, struct post_open *o,
    const struct core_tls *t)
{
	struct slice host = slice_str(o->host);
	bool is_open, may_dane;
	struct opening *x;
	struct ip ip;

	if (t == NULL) {
		send_open(to, w, o);
		return;
	}
	o->policy = policy_new(w->conf, t, host);
	is_open = t->want.mode == CONF_TLS_OPPORTUNISTIC;
	may_dane =
	    t->want.mode == CONF_TLS_DANE || is_open || o->policy->requires_tls;
	x = mem_get(sizeof(*x));
	x->w = w;
	x->to = to;
	x->open = o;
	x->must_dane = t->want.mode == CONF_TLS_DANE;
	x->sts = is_open || o->policy->requires_tls ? t->sts : CORE_STS_NONE;
	x->sts_hosts = slice_of(x->hosts,
	    slice_copy(t->sts_hosts, x->hosts, sizeof(x->hosts)));
	x->is_listed = sts_hosts_match(t->sts_hosts, host);
	list_push_tail(&w->openings, &x->link);
	if (may_dane && t->is_secure && ip_parse(host, &ip) != 0) {
		dane_lookup(w->dns, host, o->to.port, on_dane, x, 0);
		return;
	}
	if (t->want.mode == CONF_TLS_DANE)
		refuse(o->policy,
		    "the domain's MX records are not secure (DNSSEC)");
	apply_sts(x);
	opening_end(x);
}

bool
secure_close(struct worker *w, struct handle session)
{
	for (struct list *n = w->openings.next; n != &w->openings;
	     n = n->next) {
		struct opening *x = container_of(n, struct opening, link);

		if (!handle_eq(x->open->session, session))
			continue;
		x->is_closed = true;
		return true;
	}
	return false;
}

/* ---- on the connection ----------------------------------------------------------- */

static uint64_t
mix(uint64_t h, struct slice s)
{
	return hash_bytes(h, s.p, s.n);
}

/* What a session is kept under: all that is asked for, and of whom. */
static uint64_t
session_key(const struct tls_want *want, const struct endpoint *to)
{
	char text[ENDPOINT_TEXT_MAX];
	uint64_t h = mix(want->check * 16u + want->min,
	    slice_of(text, endpoint_format(text, to)));

	h = mix(mix(h, want->sni), want->ciphers);
	for (uint32_t i = 0; i < want->nnames; i++)
		h = mix(h, want->names[i]);
	if (want->tlsa != NULL)
		for (uint32_t i = 0; i < want->tlsa->n; i++) {
			const char rec[] = { (char)want->tlsa->rec[i].usage,
				(char)want->tlsa->rec[i].selector,
				(char)want->tlsa->rec[i].matching };
			const void *data =
			    want->tlsa->data + want->tlsa->rec[i].at;

			h = mix(h, slice_of(rec, sizeof(rec)));
			h = mix(h, slice_of(data, want->tlsa->rec[i].bytes));
		}
	return h | 1; /* 0 means that none is kept */
}

static struct tls_ctx *
context_of(const struct worker *w, const char *source, const char *cert)
{
	for (uint32_t i = 0; i < w->ntls_of; i++)
		if (source ? w->tls_of[i].source &&
			    strcmp(w->tls_of[i].source, source) == 0 :
			     !w->tls_of[i].source &&
			    strcmp(w->tls_of[i].cert, cert) == 0)
			return w->tls_of[i].ctx;
	return NULL;
}

/* The context with the certificate of the destination, or of the source. */
static struct tls_ctx *
context_for(const struct worker *w, const struct out_policy *p,
    const struct session_facts *f)
{
	struct tls_ctx *t = NULL;

	if (p != NULL && p->cert.n > 0)
		t = context_of(w, NULL, p->cert.p);
	if (t == NULL)
		t = context_of(w, f->source, NULL);
	return t != NULL ? t : w->tls_client;
}

void
out_policy_connect(struct worker *w, struct conn *c, const struct out_policy *p,
    const struct session_facts *f)
{
	struct tls_want want = { .sni = slice_str(f->host) };

	if (p != NULL) {
		want.check = (enum tls_check)p->check;
		want.nnames = p->nnames;
		memcpy(want.names, p->names, sizeof(p->names));
		want.min = p->min;
		want.ciphers = p->ciphers;
		want.tlsa = p->tlsa;
		if (p->check == TLS_CHECK_DANE)
			want.sni = p->names[0];
	}
	if (w->conf->tls_session_us > 0)
		want.key = session_key(&want, &f->peer);
	conn_tls_connect_as(c, context_for(w, p, f), &want);
}

void
out_policy_tell(struct out_policy *p, const struct conn *c)
{
	bool is_good;
	const char *auth = conn_tls_auth(c, &is_good);

	if (p == NULL)
		return;
	if (p->check == TLS_CHECK_LOOK && p->is_unlisted)
		snprintf(p->told, sizeof(p->told),
		    "%s: would fail, the policy does not name the host",
		    p->name);
	else if (p->check == TLS_CHECK_LOOK && !is_good)
		snprintf(p->told, sizeof(p->told), "%s: would fail, %s",
		    p->name, auth);
	else if (*auth != '\0')
		snprintf(p->told, sizeof(p->told), "%s: %s", p->name, auth);
	else
		snprintf(p->told, sizeof(p->told), "%s", p->name);
}

void
outbound_tls_close(struct worker *w)
{
	for (uint32_t i = 0; i < w->ntls_of; i++)
		tls_ctx_free(w->tls_of[i].ctx);
	mem_free(w->tls_of);
	w->tls_of = NULL;
	w->ntls_of = 0;
	tls_ctx_free(w->tls_client);
	w->tls_client = NULL;
}

static struct tls_ctx *
context_new(const struct worker *w, const struct conf_tls *t)
{
	struct tls_client_conf conf = {
		.ca = w->conf->tls_ca.n ? w->conf->tls_ca.p : NULL,
		.cert = t && t->cert.n ? t->cert.p : NULL,
		.key = t && t->key.n ? t->key.p : NULL,
		.sessions_max = SESSIONS_MAX,
		.session_us = w->conf->tls_session_us,
	};
	char why[256];
	struct tls_ctx *ctx = tls_client_new(&conf, why, sizeof(why));

	if (ctx == NULL)
		log_event(LOG_ERROR, "tls", "what", why, NULL);
	return ctx;
}

/* The certificates that places of the configuration name, each once. */
static void
contexts_of_places(struct worker *w)
{
	const struct conf_shape *s;

	for (uint32_t i = 0; (s = conf_tls_place(w->conf, i, NULL)) != NULL;
	     i++) {
		const struct conf_tls t = { s->tls.cert, s->tls.key, false };
		struct tls_of *of;

		if (t.cert.n == 0 || t.key.n == 0 ||
		    context_of(w, NULL, t.cert.p) != NULL)
			continue;
		of = mem_grow(w->tls_of, (w->ntls_of + 1) * sizeof(*of));
		ASSERT(of != NULL);
		w->tls_of = of;
		of[w->ntls_of++] = (struct tls_of){ .cert = t.cert.p,
			.ctx = context_new(w, &t) };
	}
}

void
outbound_tls_open(struct worker *w)
{
	const struct conf *c = w->conf;

	outbound_tls_close(w);
	w->tls_client = context_new(w, NULL);
	w->tls_of = mem_get((c->nsources + 1) * sizeof(*w->tls_of));
	for (uint32_t i = 0; i < c->nsources; i++) {
		if (c->sources[i].tls.cert.n == 0)
			continue;
		w->tls_of[w->ntls_of++] = (struct tls_of){
			.source = c->sources[i].name.p,
			.ctx = context_new(w, &c->sources[i].tls),
		};
	}
	if (c->has_tls)
		contexts_of_places(w);
}

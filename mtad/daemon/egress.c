/*
 * daemon/egress.c - the proxies of the configuration, as one worker uses them:
 * what they are logged in to with, and looks whether they are well.
 *
 * A look is a connection and a login, no more; one at a time for each proxy.
 * The core asks for them, and so do sessions whose connection broke or fell
 * silent: behind a proxy that looks the same whether it or the host has failed.
 * What is seen goes to the core, which decides (relay/core_proxy.c).
 */
#include <fcntl.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/daemon_i.h"

struct proxy {
	const struct conf_proxy *conf;
	struct tls_ctx *tls;
	size_t password_n;
	char password[CONF_PROXY_WORD_MAX + 2];
	char broken[192]; /* not empty: why it cannot be used from here */
	struct egress *of;
	struct hop *look;
	int64_t began_us; /* the look */
	struct handle *asking;
	uint32_t n, cap;
};

struct egress {
	struct worker *w;
	uint32_t n;
	struct proxy v[];
};

static struct proxy *
find(const struct worker *w, struct slice name)
{
	struct egress *g = w->egress;

	for (uint32_t i = 0; g != NULL && i < g->n; i++)
		if (slice_eq(g->v[i].conf->name, name))
			return &g->v[i];
	return NULL;
}

/* ---- what the configuration says --------------------------------------------------- */

/* The first line of a file that others than the owner and the group may not
 * read. */
static const char *
read_line(const char *path, char *dst, size_t cap, size_t *n)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	const char *why = NULL;
	struct stat st;
	ssize_t got = 0;

	if (fd < 0)
		return "cannot be read";
	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
		why = "is no file";
	else if (st.st_mode & 007)
		why = "is open to others (chmod o=)";
	else
		got = read(fd, dst, cap);
	close(fd);
	*n = got > 0 ? slice_index(slice_of(dst, (size_t)got), '\n') : 0;
	if (why == NULL && (*n == 0 || *n > CONF_PROXY_WORD_MAX))
		why = "has no password of 1 to 255 bytes";
	return why;
}

static void
read_password(struct proxy *p)
{
	const struct slice file = p->conf->password_file;
	const char *why;

	if (file.n == 0)
		return;
	why =
	    read_line(file.p, p->password, sizeof(p->password), &p->password_n);
	if (why != NULL)
		snprintf(p->broken, sizeof(p->broken), "%.120s %s", file.p,
		    why);
}

static void
make_tls(struct proxy *p)
{
	const struct conf_proxy *c = p->conf;
	struct tls_client_conf conf = {
		.ca = c->tls_ca.p,
		.cert = c->tls.cert.n ? c->tls.cert.p : NULL,
		.key = c->tls.key.n ? c->tls.key.p : NULL,
	};
	char why[160];

	if (c->tls_ca.n == 0)
		return;
	p->tls = tls_client_new(&conf, why, sizeof(why));
	if (p->tls == NULL)
		snprintf(p->broken, sizeof(p->broken), "%s", why);
}

void
egress_open(struct worker *w)
{
	const struct conf *c = w->conf;
	struct egress *g;

	egress_close(w);
	if (c->nproxies == 0)
		return;
	g = mem_get(sizeof(*g) + c->nproxies * sizeof(g->v[0]));
	g->w = w;
	g->n = c->nproxies;
	for (uint32_t i = 0; i < g->n; i++) {
		struct proxy *p = &g->v[i];

		p->of = g;
		p->conf = &c->proxies[i];
		read_password(p);
		make_tls(p);
		if (p->broken[0] != '\0')
			log_event(LOG_ERROR, "proxy", "what",
			    "proxy cannot be used", "proxy", p->conf->name.p,
			    "why", p->broken, NULL);
	}
	w->egress = g;
}

/* Tells those who asked. */
static void
settle(struct proxy *p, bool is_well)
{
	struct worker *w = p->of->w;
	struct handle *v = p->asking;
	uint32_t n = p->n;

	p->asking = NULL;
	p->n = p->cap = 0;
	for (uint32_t i = 0; i < n; i++)
		outbound_settle(w, v[i], is_well);
	mem_free(v);
}

void
egress_close(struct worker *w)
{
	struct egress *g = w->egress;

	w->egress = NULL;
	for (uint32_t i = 0; g != NULL && i < g->n; i++) {
		struct proxy *p = &g->v[i];

		if (p->look != NULL)
			hop_close(p->look);
		settle(p, true);
		tls_ctx_free(p->tls);
		OPENSSL_cleanse(p->password, sizeof(p->password));
	}
	mem_free(g);
}

/* ---- connections ----------------------------------------------------------------------- */

static struct hop *
open_hop(struct proxy *p, struct hop_want *want,
    void (
	*on_end)(void *user, enum hop_end end, struct conn *c, const char *why),
    void *user, char *why, size_t why_cap)
{
	const struct conf_proxy *c = p->conf;
	char ip[IP_TEXT_MAX], name[CONF_PROXY_WORD_MAX + IP_TEXT_MAX + 2];

	if (p->broken[0] != '\0') {
		snprintf(why, why_cap, "%s", p->broken);
		return NULL;
	}
	want->proxy = c->address;
	want->is_haproxy = c->is_haproxy;
	want->tls = p->tls;
	want->tls_name = c->tls_name;
	want->checks_source = c->checks_source;
	want->timeout_us = c->timeout_us;
	want->connect_us = p->of->w->conf->connect_timeout_us;
	want->user = c->user;
	want->password = slice_of(p->password, p->password_n);
	if (c->names_source && want->source.family != 0) {
		ip_format(ip, &want->source);
		snprintf(name, sizeof(name), "%.*s@%s", SLF(c->user), ip);
		want->user = slice_str(name);
		if (want->password.n == 0) /* RFC 1929 wants a byte */
			want->password = SL("-");
	}
	return hop_open(p->of->w->loop, want, on_end, user, why, why_cap);
}

struct hop *
egress_hop(struct worker *w, struct slice proxy, const struct ip *source,
    const struct endpoint *to,
    void (
	*on_end)(void *user, enum hop_end end, struct conn *c, const char *why),
    void *user, char *why, size_t why_cap)
{
	struct hop_want want = { .source = *source, .to = *to };
	struct proxy *p = find(w, proxy);

	if (p == NULL) {
		snprintf(why, why_cap, "it is no longer configured");
		return NULL;
	}
	return open_hop(p, &want, on_end, user, why, why_cap);
}

/* ---- looks ------------------------------------------------------------------------------- */

void
egress_seen(struct worker *w, const struct core_seen *s)
{
	struct post_proxy *p = mem_get(sizeof(*p));

	p->post.kind = POST_SEEN;
	slice_copy(s->proxy, p->name, sizeof(p->name));
	slice_copy(s->source, p->source, sizeof(p->source));
	p->is_well = s->is_well;
	p->is_look = s->is_look;
	p->began_us = s->began_us;
	slice_copy(s->why, p->why, sizeof(p->why));
	outbound_to_core(w, &p->post);
}

static void
on_look(void *user, enum hop_end end, struct conn *c, const char *why)
{
	struct proxy *p = user;
	const struct core_seen s = { .proxy = p->conf->name,
		.is_well = end == HOP_UP,
		.is_look = true,
		.why = slice_str(why),
		.began_us = p->began_us };

	(void)c;
	p->look = NULL;
	/* The core hears of it before it hears of the sessions. */
	egress_seen(p->of->w, &s);
	settle(p, s.is_well);
}

static void
ask(struct proxy *p, struct handle session)
{
	if (p->n == p->cap) {
		p->cap = MAX(2 * p->cap, 8u);
		p->asking = mem_grow(p->asking, p->cap * sizeof(*p->asking));
		ASSERT(p->asking != NULL);
	}
	p->asking[p->n++] = session;
}

void
egress_look(struct worker *w, struct slice proxy, struct handle session)
{
	struct proxy *p = find(w, proxy);
	struct hop_want want = { .is_look = true };
	char why[192] = "";

	if (p == NULL) { /* it is no longer configured */
		outbound_settle(w, session, true);
		return;
	}
	if (session.gen != 0)
		ask(p, session);
	if (p->look != NULL)
		return;
	p->began_us = loop_now(w->loop);
	p->look = open_hop(p, &want, on_look, p, why, sizeof(why));
	if (p->look == NULL)
		on_look(p, HOP_AWAY, NULL, why);
}

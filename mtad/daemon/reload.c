/*
 * daemon/reload.c - SIGHUP: the configuration is read again and, when nothing
 * speaks against it, taken over by every worker.
 *
 * A file with errors changes nothing, and neither does one that asks for what
 * only a restart can do: half a change would leave the operator guessing. The
 * log names what it was. Main's thread.
 */
#include <stdio.h>

#include "daemon/daemon_i.h"
#include "daemon/keys.h"
#include "daemon/rules.h"

/* Options that are looked at once, when the daemon starts. */
#define AT(name, field)                                                        \
	{                                                                      \
		name, offsetof(struct conf, field),                            \
		    sizeof(((struct conf *)NULL)->field)                       \
	}
static const struct fixed {
	const char *name;
	size_t at, n; /* n: of a number */
} texts[] = {
	AT("user", user),
	AT("spool", spool),
	AT("books", books),
	AT("suppression.file", suppression.file),
	AT("control", control),
	AT("sendmail.drop", sendmail.drop),
	AT("sendmail.group", sendmail.group),
}, numbers[] = {
	AT("suppression.mmap", suppression.mmap_bytes),
	AT("workers", workers),
	AT("log_level", log_level_debug),
	AT("spool_segment", spool_segment_bytes),
	AT("spool_min_free", spool_min_free_bytes),
	AT("spool_max", spool_max_bytes),
	AT("messages_max", messages_max),
	AT("queue_recipients_max", rcpts_max),
	AT("domains_max", domains_max),
	AT("sessions_max", sessions_out_max),
};
#undef AT

static bool
has_door(const struct conf *c, const struct endpoint *at)
{
	for (uint32_t i = 0; i < c->nlisten; i++)
		if (ip_eq(&c->listen[i].bind.ip, &at->ip) &&
		    c->listen[i].bind.port == at->port)
			return true;
	return false;
}

static bool
same_doors(const struct conf *a, const struct conf *b)
{
	for (uint32_t i = 0; i < a->nlisten; i++)
		if (!has_door(b, &a->listen[i].bind))
			return false;
	return a->nlisten == b->nlisten &&
	    ip_eq(&a->drain.bind.ip, &b->drain.bind.ip) &&
	    a->drain.bind.port == b->drain.bind.port;
}

/* Names what differs between the two and cannot be taken over. */
static void
put_fixed(struct buf *out, const struct conf *a, const struct conf *b)
{
	const char *pa = (const char *)a, *pb = (const char *)b;

	if (!same_doors(a, b))
		buf_addz(out, " listen");
	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		if (!slice_eq(*(const struct slice *)(pa + texts[i].at),
			*(const struct slice *)(pb + texts[i].at)))
			buf_addf(out, " %s", texts[i].name);
	for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
		if (memcmp(pa + numbers[i].at, pb + numbers[i].at,
			numbers[i].n) != 0)
			buf_addf(out, " %s", numbers[i].name);
}

/* The new configuration, or NULL after a word about why not. */
static const struct conf *
read_again(const struct conf *old, const char *path)
{
	const struct conf *c = boot_conf(path);
	struct buf fixed;

	if (!c) {
		log_event(LOG_ERROR, "reload", "what",
		    "configuration has errors, nothing changed", "file", path,
		    NULL);
		return NULL;
	}
	if (boot_tls(c)) {
		log_event(LOG_ERROR, "reload", "what",
		    "a certificate cannot be used, nothing changed", "file",
		    path, NULL);
		conf_free((struct conf *)(uintptr_t)c);
		return NULL;
	}
	buf_init(&fixed, 1024);
	put_fixed(&fixed, old, c);
	if (fixed.n) {
		buf_addc(&fixed, '\0');
		log_event(LOG_ERROR, "reload", "what",
		    "these change only by a restart; nothing changed",
		    "options", fixed.p + fixed.off + 1, "file", path, NULL);
		conf_free((struct conf *)(uintptr_t)c);
		c = NULL;
	}
	buf_free(&fixed);
	return c;
}

/* A configuration in the order they came; the first is the present one. */
struct kept_conf {
	struct kept_conf *older;
	const struct conf *conf;
};

/* The old ones stay: sessions under way read them (a few KB a reload). */
void
reload_keep(struct daemon *d, const struct conf *c, struct rules *r,
    struct keyring *keys)
{
	struct kept_conf *k = mem_get(sizeof(*k));

	k->older = d->kept;
	k->conf = c;
	d->kept = k;
	d->conf = c;
	rules_give(d->rules);
	d->rules = r;
	keyring_give(d->keys);
	d->keys = keys;
}

void
reload_free(struct daemon *d)
{
	struct kept_conf *k;

	rules_give(d->rules);
	d->rules = NULL;
	keyring_give(d->keys);
	d->keys = NULL;
	while ((k = d->kept)) {
		d->kept = k->older;
		conf_free((struct conf *)(uintptr_t)k->conf);
		mem_free(k);
	}
}

static void
take_over(struct daemon *d, const struct conf *c, struct rules *r,
    struct keyring *keys)
{
	/* What is staged now may be more than a smaller budget. */
	gate_give(&d->gate.staging_free,
	    (int64_t)c->staging_bytes - (int64_t)d->conf->staging_bytes);
	reload_keep(d, c, r, keys);
	atomic_fetch_add(&d->reloads, 1);
	for (uint32_t i = 0; i < d->nworkers; i++) {
		struct post_conf *p = mem_get(sizeof(*p));

		p->post.kind = POST_CONF;
		p->conf = c;
		p->rules = rules_take(r);
		p->keys = keyring_take(keys);
		worker_post(&d->worker[i], &p->post);
	}
	boot_sources(c);
	pickup_reload(c);
}

/* Keys and rules of a configuration; says in the log why it has none. */
static bool
read_others(struct daemon *d, const struct conf *c, const char *path,
    struct rules **r, struct keyring **keys)
{
	*keys = keys_boot(c);
	*r = *keys ? rules_load(c) : NULL;
	if (*r && (c->dkim.nkeys == 0 || signers_start(&d->signers) == 0) &&
	    porter_start(&d->porter, c) == 0)
		return true;
	log_event(LOG_ERROR, "reload", "what",
	    !*keys ?
		"a key cannot be used, nothing changed" :
		*r ?
		"no thread that could sign or know accounts, nothing changed" :
		"bounce_rules have errors, nothing changed",
	    "file", path, NULL);
	keyring_give(*keys);
	rules_give(*r);
	return false;
}

void
reload(struct daemon *d, const char *path)
{
	const struct conf *c;
	struct keyring *keys = NULL;
	struct rules *r = NULL;
	char state[80];

	/* The time is for Type=notify-reload. */
	snprintf(state, sizeof(state), "RELOADING=1\nMONOTONIC_USEC=%lld",
	    (long long)clock_mono_us());
	boot_notify(state);
	c = read_again(d->conf, path);
	if (c && !read_others(d, c, path, &r, &keys)) {
		conf_free((struct conf *)(uintptr_t)c);
		c = NULL;
	}
	if (c) {
		take_over(d, c, r, keys);
		log_event(LOG_INFO, "reload", "what",
		    "configuration taken over", "file", path, NULL);
	}
	atomic_store(&d->clerk.must_reopen, true);
	boot_notify("READY=1");
}

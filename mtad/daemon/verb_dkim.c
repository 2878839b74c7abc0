/*
 * daemon/verb_dkim.c - mtad dkim: makes keys, shows what is to be published of
 * them and which sign now, and compares that with what is published.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <unistd.h>

#include "daemon/daemon_i.h"
#include "base/base64.h"
#include "daemon/verb_dkim_i.h"
#include "daemon/verb_i.h"
#include "daemon/verbs.h"

static const char usage[] =
    "usage: mtad dkim generate --domain DOMAIN --selector SELECTOR\n"
    "         [--file FILE] [--bits N | --ed25519]\n"
    "       mtad dkim show [-c FILE] [NAME...]\n"
    "       mtad dkim check [-c FILE] [--txt FILE | --key-record TEXT] "
    "[NAME...]\n"
    "       mtad dkim check --message FILE [-c FILE]\n"
    "         [--txt FILE | --key-record TEXT]\n"
    "\n"
    "generate makes a key, RSA of 2048 bits or as said, writes it to a new "
    "file\n(DOMAIN.SELECTOR.pem) that only you can read, and prints the DNS "
    "record.\n"
    "show prints the keys of the configuration, whether each signs now, and "
    "the\nrecords. check compares the keys with what is published. With "
    "--message (- is\nstandard input) it verifies the signatures of a "
    "message instead.\n"
    "\n"
    "  -c FILE            configuration (" VERB_CONFIG ")\n"
    "  --txt FILE         records as show prints them, instead of DNS\n"
    "  --key-record TEXT  the record, instead of DNS\n"
    "  NAME               only this key of the configuration\n"
    "\n"
    "exit status: 0 all is well, 1 it is not, 2 wrong usage\n";

/* ---- what is shared ------------------------------------------------------------- */

static void
report(void *ctx, const char *line)
{
	(void)ctx;
	fprintf(stderr, "%s\n", line);
}

int
dkim_files_read(struct dkim_files *f, const char *path, bool has_keys)
{
	struct conf_errors errs = { .report = report };

	f->keys = NULL;
	f->conf = conf_load(path, &errs);
	if (f->conf != NULL && has_keys)
		f->keys = keys_load(f->conf, &errs);
	if (errs.n == 0)
		return VERB_OK;
	dkim_files_free(f);
	return VERB_FAILED;
}

void
dkim_files_free(struct dkim_files *f)
{
	keyring_give(f->keys);
	conf_free((struct conf *)(uintptr_t)f->conf);
}

int
dkim_record_of(const struct crypt_key *k, struct buf *out)
{
	struct buf key;
	int err;

	buf_init(&key, DKIM_RECORD_MAX);
	err = crypt_key_publish(k, &key);
	if (!err)
		err = dkim_record_write(out,
		    crypt_key_kind(k) == CRYPT_RSA ? DKIM_RSA_SHA256 :
						     DKIM_ED25519_SHA256,
		    buf_slice(&key).p, key.n);
	buf_free(&key);
	return err;
}

bool
dkim_name(char *dst, struct slice selector, struct slice domain)
{
	int n = snprintf(dst, DOMAIN_MAX + 1, "%.*s._domainkey.%.*s",
	    SLF(selector), SLF(domain));

	return n > 0 && n <= (int)DOMAIN_MAX;
}

/* As a line of a zone: a text of a record has 255 bytes at most. */
static int
print_record(const struct crypt_key *k, struct slice selector,
    struct slice domain)
{
	char name[DOMAIN_MAX + 1];
	struct slice left;
	struct buf text;
	int err;

	buf_init(&text, DKIM_RECORD_MAX);
	err = dkim_record_of(k, &text);
	left = buf_slice(&text);
	if (!err && dkim_name(name, selector, domain)) {
		printf("%s. IN TXT (", name);
		for (; left.n > 0; left = slice_skip(left, 255))
			printf(" \"%.*s\"", (int)MIN(left.n, 255), left.p);
		puts(" )");
	}
	buf_free(&text);
	return err ? VERB_FAILED : VERB_OK;
}

/* ---- generate -------------------------------------------------------------------- */

struct plan {
	const char *domain, *selector, *file;
	uint64_t bits;
	bool is_ed25519;
};

static int
write_key(const char *path, const struct crypt_key *k)
{
	struct buf pem;
	int fd, err;

	buf_init(&pem, CRYPT_KEY_BYTES_MAX);
	err = crypt_key_write(k, &pem);
	fd = err ? -1 :
		   open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd >= 0 &&
	    (write(fd, pem.p + pem.off, pem.n) != (ssize_t)pem.n ||
		fsync(fd))) {
		err = err_from_errno(errno);
		unlink(path);
	} else if (!err && fd < 0) {
		err = err_from_errno(errno);
	}
	if (fd >= 0)
		close(fd);
	if (pem.p != NULL)
		explicit_bzero(pem.p, pem.cap);
	buf_free(&pem);
	if (err)
		fprintf(stderr, "mtad dkim: %s: %s\n", path,
		    err == E_EXISTS ? "is there already; it is kept" :
				      err_text(err));
	return err ? VERB_FAILED : VERB_OK;
}

static const char *
wrong_plan(const struct plan *p)
{
	char name[DOMAIN_MAX + 1];

	if (p->domain == NULL || !domain_is_valid(slice_str(p->domain), false))
		return "--domain is a domain";
	if (p->selector == NULL ||
	    !domain_is_valid(slice_str(p->selector), false) ||
	    strlen(p->selector) > NAME_MAX_BYTES)
		return "--selector is a name of letters, digits, hyphens";
	if (!dkim_name(name, slice_str(p->selector), slice_str(p->domain)))
		return "selector and domain are too long together";
	if (p->bits < CRYPT_RSA_BITS_MIN || p->bits > CRYPT_RSA_BITS_MAX)
		return "--bits is a number from 1024 to 8192";
	return NULL;
}

static int
generate(const struct plan *p)
{
	char path[DOMAIN_MAX + NAME_MAX_BYTES + 16];
	struct crypt_key *k;
	int status;

	snprintf(path, sizeof(path), "%s.%s.pem", p->domain, p->selector);
	k = crypt_key_generate(p->is_ed25519 ? CRYPT_ED25519 : CRYPT_RSA,
	    (uint32_t)p->bits);
	if (k == NULL) {
		fputs("mtad dkim: no key could be made\n", stderr);
		return VERB_FAILED;
	}
	status = write_key(p->file ? p->file : path, k);
	if (status == VERB_OK)
		status = print_record(k, slice_str(p->selector),
		    slice_str(p->domain));
	crypt_key_give(k);
	return status;
}

static int
generate_verb(int argc, char **argv)
{
	static const struct option longs[] = { { "help", no_argument, NULL,
						   'h' },
		{ "domain", required_argument, NULL, 'd' },
		{ "selector", required_argument, NULL, 's' },
		{ "file", required_argument, NULL, 'f' },
		{ "bits", required_argument, NULL, 'b' },
		{ "ed25519", no_argument, NULL, 'e' }, { 0 } };
	struct plan p = { .bits = CRYPT_RSA_BITS_WEAK };
	const char *wrong;
	int o;

	while ((o = getopt_long(argc, argv, "h", longs, NULL)) != -1) {
		if (o == 'h') {
			fputs(usage, stdout);
			return VERB_OK;
		}
		if (o == 'd')
			p.domain = optarg;
		else if (o == 's')
			p.selector = optarg;
		else if (o == 'f')
			p.file = optarg;
		else if (o == 'e')
			p.is_ed25519 = true;
		else if (o != 'b')
			return verb_wrong_option("dkim", argv);
		else if (slice_u64(slice_str(optarg), UINT32_MAX, &p.bits))
			p.bits = 0;
	}
	if (optind < argc)
		return verb_usage("dkim", "not known here", argv[optind]);
	wrong = wrong_plan(&p);
	return wrong ? verb_usage("dkim", wrong, "") : generate(&p);
}

/* ---- show ------------------------------------------------------------------------------ */

/* Is the key wanted, of those that the command line names? */
static bool
is_wanted(struct slice name, int n, char **names)
{
	for (int i = 0; i < n; i++)
		if (slice_eq(name, slice_str(names[i])))
			return true;
	return n == 0;
}

/* Would it sign mail that it is for? */
static bool
would_sign(const struct keyring *r, uint32_t i, int64_t wall_us)
{
	const struct conf_dkim_key *k = &r->conf->dkim.keys[i];
	struct slice author = k->domain, tenant = SL("");
	uint32_t pick[SIGNATURES_MAX], n;
	char text[DOMAIN_MAX + 1];

	if (k->ntenants > 0)
		tenant = k->tenants[0];
	if (k->nfrom > 0) { /* one that the first pattern holds */
		size_t len = slice_copy(k->from[0], text, sizeof(text));

		for (size_t c = 0; c < len; c++)
			if (text[c] == '*')
				text[c] = 'x';
		author = slice_of(text, len);
	}
	n = keyring_pick(r, author, tenant, wall_us, pick);
	for (uint32_t c = 0; c < n; c++)
		if (pick[c] == i)
			return true;
	return false;
}

static void
put_state(struct table *t, const struct keyring *r, uint32_t i)
{
	const struct conf_dkim_key *k = &r->conf->dkim.keys[i];
	int64_t wall_us = clock_wall_us();
	char date[32];

	if (wall_us < k->not_before_us) {
		date_iso(date, k->not_before_us);
		table_cellf(t, "from %.16s on", date);
	} else if (!conf_dkim_is_valid(k, wall_us)) {
		table_cell(t, SL("no more"));
	} else if (would_sign(r, i, wall_us)) {
		table_cell(t, SL("signs"));
	} else {
		table_cell(t, SL("another does"));
	}
}

static int
show(const struct keyring *r, int n, char **names)
{
	static const char *const titles[] = { "KEY", "DOMAIN", "SELECTOR",
		"KIND", "NOW" };
	const struct conf_dkim *d = &r->conf->dkim;
	struct table t;
	int status = VERB_OK, nshown = 0;

	table_init(&t, titles, ARRAY_LEN(titles));
	for (uint32_t i = 0; i < r->n; i++) {
		const struct conf_dkim_key *k = &d->keys[i];

		if (!is_wanted(k->name, n, names))
			continue;
		nshown++;
		table_cell(&t, k->name);
		table_cell(&t, k->domain);
		table_cell(&t, k->selector);
		if (crypt_key_kind(r->key[i]) == CRYPT_RSA)
			table_cellf(&t, "rsa %u", crypt_key_bits(r->key[i]));
		else
			table_cell(&t, SL("ed25519"));
		put_state(&t, r, i);
	}
	table_print(&t);
	putchar('\n');
	for (uint32_t i = 0; i < r->n && status == VERB_OK; i++)
		if (is_wanted(d->keys[i].name, n, names))
			status = print_record(r->key[i], d->keys[i].selector,
			    d->keys[i].domain);
	return nshown == 0 && n > 0 ? VERB_FAILED : status;
}

/* ---- check ------------------------------------------------------------------------------ */

/* NULL: what is published is this key. */
static const char *
differs(const struct crypt_key *k, struct slice record)
{
	struct slice ours, theirs;
	struct dkim_record r;
	struct buf a, b;
	const char *why;

	if (dkim_record_read(record, &r, &why))
		return why;
	if (r.is_revoked)
		return "the key is revoked (p= is empty)";
	buf_init(&a, CRYPT_KEY_BYTES_MAX);
	buf_init(&b, CRYPT_KEY_BYTES_MAX);
	why = "another key is published";
	if ((r.algorithm == DKIM_RSA_SHA256) ==
		(crypt_key_kind(k) == CRYPT_RSA) &&
	    base64_decode(r.key, &a) == 0 && crypt_key_publish(k, &b) == 0) {
		theirs = buf_slice(&a);
		ours = buf_slice(&b);
		/* RSAPublicKey is the end of SubjectPublicKeyInfo. */
		if (slice_eq(ours, theirs) ||
		    (theirs.n > 128 && theirs.n < ours.n &&
			slice_eq(slice_skip(ours, ours.n - theirs.n), theirs)))
			why = NULL;
	}
	buf_free(&a);
	buf_free(&b);
	return why;
}

static int
check_key(struct dkim_source *s, const struct conf_dkim_key *c,
    const struct crypt_key *k)
{
	char name[DOMAIN_MAX + 1];
	const char *why = "selector and domain are too long together";
	struct buf found;

	buf_init(&found, 1u << 20);
	if (dkim_name(name, c->selector, c->domain) &&
	    dkim_source_find(s, name, &found, &why) == 0) {
		struct slice all = buf_slice(&found);

		/* RFC 6376 3.6.2.2: there is to be one. */
		why = strlen(all.p) + 1 < all.n ?
		    "there is more than one record" :
		    differs(k, slice_str(all.p));
	}
	printf("%s: %s\n", name, why == NULL ? "ok" : why);
	buf_free(&found);
	return why == NULL ? VERB_OK : VERB_FAILED;
}

static int
check_keys(struct dkim_source *s, const struct keyring *r, int n, char **names)
{
	int status = VERB_OK, nchecked = 0;

	for (uint32_t i = 0; i < r->n; i++) {
		const struct conf_dkim_key *k = &r->conf->dkim.keys[i];

		if (!is_wanted(k->name, n, names))
			continue;
		nchecked++;
		if (check_key(s, k, r->key[i]) != VERB_OK)
			status = VERB_FAILED;
	}
	if (nchecked > 0)
		return status;
	fputs("mtad dkim: there is no such key\n", stderr);
	return VERB_FAILED;
}

/* ---- options ------------------------------------------------------------------------------ */

struct request {
	const char *config, *txt, *record, *message;
};

static int
check(const struct request *q, int n, char **names)
{
	/* A message whose records are given needs no configuration. */
	bool is_alone = q->message && (q->txt || q->record) && !q->config;
	struct dkim_files f = { NULL, NULL };
	struct dkim_source s;
	int status = is_alone ?
	    VERB_OK :
	    dkim_files_read(&f, q->config ? q->config : VERB_CONFIG,
		q->message == NULL);

	if (status != VERB_OK)
		return status;
	status = dkim_source_open(&s, q->record, q->txt, f.conf);
	if (status == VERB_OK) {
		status = q->message ? dkim_check_message(&s, q->message) :
				      check_keys(&s, f.keys, n, names);
		dkim_source_free(&s);
	}
	dkim_files_free(&f);
	return status;
}

static int
show_or_check(int argc, char **argv, bool is_show)
{
	static const struct option longs[] = { { "help", no_argument, NULL,
						   'h' },
		{ "config", required_argument, NULL, 'c' },
		{ "txt", required_argument, NULL, 't' },
		{ "key-record", required_argument, NULL, 'r' },
		{ "message", required_argument, NULL, 'm' }, { 0 } };
	struct request q = { NULL, NULL, NULL, NULL };
	struct dkim_files f;
	int o, status;

	while ((o = getopt_long(argc, argv, "hc:", longs, NULL)) != -1) {
		if (o == 'h') {
			fputs(usage, stdout);
			return VERB_OK;
		}
		if (o == 'c')
			q.config = optarg;
		else if (o == 't' && !is_show)
			q.txt = optarg;
		else if (o == 'r' && !is_show)
			q.record = optarg;
		else if (o == 'm' && !is_show)
			q.message = optarg;
		else
			return verb_wrong_option("dkim", argv);
	}
	if ((q.txt && q.record) || (q.message && optind < argc))
		return verb_usage("dkim", "these do not go together", "");
	if (!is_show)
		return check(&q, argc - optind, argv + optind);
	status = dkim_files_read(&f, q.config ? q.config : VERB_CONFIG, true);
	if (status != VERB_OK)
		return status;
	status = show(f.keys, argc - optind, argv + optind);
	dkim_files_free(&f);
	return status;
}

int
verb_dkim(int argc, char **argv)
{
	struct slice what = slice_str(argc > 1 ? argv[1] : "");

	if (slice_eq(what, SL("generate")))
		return generate_verb(argc - 1, argv + 1);
	if (slice_eq(what, SL("show")) || slice_eq(what, SL("check")))
		return show_or_check(argc - 1, argv + 1,
		    slice_eq(what, SL("show")));
	if (slice_eq(what, SL("--help")) || slice_eq(what, SL("-h"))) {
		fputs(usage, stdout);
		return VERB_OK;
	}
	fputs(usage, stderr);
	return VERB_USAGE;
}

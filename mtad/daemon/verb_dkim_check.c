/*
 * daemon/verb_dkim_check.c - mtad dkim check: where records come from, and the
 * signatures of a message.
 */
#include <errno.h>
#include <stdio.h>

#include "daemon/daemon_i.h"
#include "base/base64.h"
#include "daemon/verb_dkim_i.h"
#include "daemon/verb_i.h"

#define FILE_BYTES_MAX (64u << 20)
/* Fields are sought from the bottom for each name that is signed. */
#define HEADER_BYTES_MAX (1u << 20)

/* ---- files ---------------------------------------------------------------------- */

/* A whole file, or standard input. False after a word about it. */
static bool
read_file(const char *path, struct buf *out)
{
	FILE *in = strcmp(path, "-") == 0 ? stdin : fopen(path, "re");
	size_t n = 1;
	char *to;

	while (in != NULL && n > 0 && (to = buf_room(out, 65536)) != NULL) {
		n = fread(to, 1, 65536, in);
		buf_grew(out, n);
	}
	if (in == NULL || ferror(in) || out->failed) {
		fprintf(stderr, "mtad dkim: %s: %s\n", path,
		    out->failed ? "too long" : strerrordesc_np(errno));
		if (in != NULL && in != stdin)
			fclose(in);
		return false;
	}
	if (in != stdin)
		fclose(in);
	return true;
}

/* ---- records ----------------------------------------------------------------------- */

int
dkim_source_open(struct dkim_source *s, const char *text, const char *file,
    const struct conf *c)
{
	memset(s, 0, sizeof(*s));
	s->text = text;
	s->has_file = file != NULL;
	buf_init(&s->file, FILE_BYTES_MAX);
	if (file != NULL && !read_file(file, &s->file)) {
		buf_free(&s->file);
		return VERB_FAILED;
	}
	if (c == NULL)
		return VERB_OK;
	s->dns.nservers = c->dns.nservers;
	for (uint32_t i = 0; i < c->dns.nservers; i++)
		s->dns.servers[i] = c->dns.servers[i];
	if (c->dns.trust_anchor.n > 0)
		s->dns.trust_anchor = c->dns.trust_anchor.p;
	return VERB_OK;
}

void
dkim_source_free(struct dkim_source *s)
{
	buf_free(&s->file);
}

/* NAME. [TTL] [IN] TXT ( "..." "..." ), as show prints it: the texts together. */
static bool
read_line(struct slice line, const char *name, struct buf *out)
{
	struct slice owner = slice_cut(&line, ' ');

	if (owner.n > 0 && owner.p[owner.n - 1] == '.')
		owner.n--;
	if (!slice_ieq(owner, slice_str(name)) || line.p == NULL)
		return false;
	slice_cut(&line, '"');
	while (line.p != NULL) {
		buf_adds(out, slice_cut(&line, '"'));
		slice_cut(&line, '"');
	}
	buf_addc(out, '\0');
	return true;
}

int
dkim_source_find(struct dkim_source *s, const char *name, struct buf *out,
    const char **why)
{
	struct slice left = buf_slice(&s->file);
	bool found = false;

	if (s->text != NULL) {
		*why = "too long";
		return buf_add(out, s->text, strlen(s->text) + 1);
	}
	if (!s->has_file)
		return dns_txt(&s->dns, name, out, why);
	while (left.p != NULL)
		found |= read_line(slice_cut(&left, '\n'), name, out);
	*why = "the file has no record of that name";
	return found ? 0 : E_NOTFOUND;
}

/* ---- messages -------------------------------------------------------------------------- */

static void
emit(void *ctx, const char *p, size_t n)
{
	crypt_hash_add(ctx, p, n);
}

static bool
body_fits(const struct dkim_signature *s, struct slice body,
    struct crypt_hash *hash)
{
	uint8_t digest[CRYPT_SHA256_BYTES];
	struct dkim_body b;

	dkim_body_init(&b, s->body, emit, hash);
	dkim_body_add(&b, body);
	dkim_body_end(&b);
	crypt_hash_end(hash, digest);
	return memcmp(digest, s->body_hash, sizeof(digest)) == 0;
}

/* The key that a record publishes; NULL and why. */
static struct crypt_key *
published_key(const struct dkim_signature *s, struct slice text,
    const char **why)
{
	struct crypt_key *k = NULL;
	struct dkim_record r;
	struct buf key;

	if (dkim_record_read(text, &r, why))
		return NULL;
	buf_init(&key, CRYPT_KEY_BYTES_MAX);
	if (r.is_revoked)
		*why = "the key is revoked";
	else if (r.algorithm != s->algorithm)
		*why = "the key is of another kind";
	else if (r.is_strict && s->identity.n > 0 &&
	    !slice_ieq(mailbox_domain(s->identity), s->domain))
		*why = "i= is below d=, which the key forbids";
	else if (base64_decode(r.key, &key) != 0)
		*why = "the key is no base64";
	else
		k = crypt_key_public(r.algorithm == DKIM_RSA_SHA256 ?
			CRYPT_RSA :
			CRYPT_ED25519,
		    buf_slice(&key), why);
	buf_free(&key);
	return k;
}

/* NULL: one of the records verifies it. */
static const char *
try_records(const struct dkim_signature *s, const struct buf *found,
    const uint8_t *digest)
{
	struct slice all = buf_slice(found);
	const char *why = "there is no record";

	while (all.n > 0) {
		size_t n = strlen(all.p);
		struct crypt_key *k =
		    published_key(s, slice_of(all.p, n), &why);

		all = slice_skip(all, n + 1);
		if (k == NULL)
			continue;
		why = crypt_verify(k, digest, s->sig, s->nsig) ?
		    NULL :
		    "the signature is not of this header and key";
		crypt_key_give(k);
		if (why == NULL)
			return NULL;
	}
	return why;
}

static const char *
verify(struct dkim_source *source, const struct dkim_signature *s,
    const struct hdr *field, struct slice header, struct slice body,
    struct crypt_hash *hash)
{
	uint8_t digest[CRYPT_SHA256_BYTES];
	char name[DOMAIN_MAX + 1];
	const char *why;
	struct buf found;

	if (s->has_length)
		return "only a part of the body is signed (l=)";
	if (s->expires_s != 0 && s->expires_s < clock_wall_us() / US_PER_S)
		return "it has expired (x=)";
	if (!body_fits(s, body, hash))
		return "the body has been changed (bh=)";
	if (!dkim_signature_hash(s, field->whole, header, emit, hash))
		return "h= is too long";
	crypt_hash_end(hash, digest);
	if (!dkim_name(name, s->selector, s->domain))
		return "selector and domain are too long together";
	buf_init(&found, 1u << 20);
	if (dkim_source_find(source, name, &found, &why) == 0)
		why = try_records(s, &found, digest);
	buf_free(&found);
	return why;
}

static void
print_result(const struct dkim_signature *s, const char *why)
{
	char domain[DOMAIN_MAX + 1], selector[DOMAIN_MAX + 1];

	text_escape(s->domain, domain, sizeof(domain));
	text_escape(s->selector, selector, sizeof(selector));
	printf("%s d=%s s=%s a=%s%s%s\n", why ? "fail" : "pass",
	    domain[0] ? domain : "-", selector[0] ? selector : "-",
	    dkim_algorithm_name(s->algorithm), why ? ": " : "", why ? why : "");
}

static int
check_all(struct dkim_source *source, struct slice message,
    struct crypt_hash *hash)
{
	struct slice header = message, body, rest = message;
	uint32_t n = 0, bad = 0;
	struct hdr h;

	while (hdr_next(&rest, &h))
		;
	header.n -= rest.n;
	if (header.n > HEADER_BYTES_MAX) {
		fputs("mtad dkim: the header is too long\n", stderr);
		return VERB_FAILED;
	}
	body = slice_has_prefix(rest, SL("\r\n")) ? slice_skip(rest, 2) : rest;
	for (rest = header; hdr_next(&rest, &h);) {
		struct dkim_signature s;
		const char *why;

		if (!slice_ieq(h.name, SL("DKIM-Signature")))
			continue;
		if (dkim_signature_read(h.value, &s, &why) == 0)
			why = verify(source, &s, &h, header, body, hash);
		print_result(&s, why);
		n++;
		bad += why != NULL;
	}
	if (n == 0)
		puts("none: the message has no signature");
	return n > 0 && bad == 0 ? VERB_OK : VERB_FAILED;
}

/* Files often have lines that end in LF alone; on the wire they end in CRLF. */
static void
to_wire(const struct buf *in, struct buf *out)
{
	struct slice s = buf_slice(in);

	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == '\n' && (i == 0 || s.p[i - 1] != '\r'))
			buf_addc(out, '\r');
		buf_addc(out, s.p[i]);
	}
}

int
dkim_check_message(struct dkim_source *source, const char *path)
{
	struct crypt_hash *hash = crypt_hash_new();
	struct buf file, message;
	int status = VERB_FAILED;

	buf_init(&file, FILE_BYTES_MAX);
	buf_init(&message, 2 * FILE_BYTES_MAX);
	if (hash != NULL && read_file(path, &file)) {
		to_wire(&file, &message);
		status = message.failed ?
		    VERB_FAILED :
		    check_all(source, buf_slice(&message), hash);
	}
	buf_free(&file);
	buf_free(&message);
	crypt_hash_free(hash);
	return status;
}

/*
 * proto/dkim.h - DomainKeys Identified Mail without keys: what is hashed, what
 * a signature's field says, and what is read out of one (RFC 6376; RFC 8301,
 * RFC 8463).
 *
 * Nothing here knows a digest or a key: canonical bytes go to an emitter, and
 * the place of the signature in a new field is left for who can sign. A body
 * comes in pieces of any size and is never held; a header stands whole. The
 * tag l=, which leaves a message's end open to anybody, is never written.
 */
#ifndef PROTO_DKIM_H
#define PROTO_DKIM_H

#include "mail/mail.h"
#include "proto/header.h"

enum dkim_canon { DKIM_SIMPLE, DKIM_RELAXED };
enum dkim_algorithm { DKIM_RSA_SHA256, DKIM_ED25519_SHA256, DKIM_ALGORITHM_N };
/* "rsa-sha256", "ed25519-sha256", and what k= says of each: "rsa", "ed25519". */
const char *dkim_algorithm_name(enum dkim_algorithm a);
const char *dkim_algorithm_key(enum dkim_algorithm a);
const char *dkim_canon_name(enum dkim_canon c);

#define DKIM_HASH_BYTES 32u      /* SHA-256 */
#define DKIM_SIGNATURE_MAX 1024u /* bytes: RSA of 8192 bits */
#define DKIM_NAMES_MAX 64u       /* names of fields in one list */
#define DKIM_FIELDS_MAX 128u     /* fields that one signature covers */

/* ---- canonical form (RFC 6376 3.4) ---------------------------------------- */

/* Takes canonical bytes; they are good during the call alone. */
typedef void dkim_emit_fn(void *ctx, const char *p, size_t n);

/* A body on its way through. Opaque; init, add as often as there is something,
 * end once. How the body is cut into pieces makes no difference. */
struct dkim_body {
	dkim_emit_fn *emit;
	void *ctx;
	enum dkim_canon canon;
	uint64_t lines; /* that have ended and are perhaps the empty tail */
	bool has_cr;    /* a CR came last: is it the end of a line? */
	bool has_blank; /* blanks came last: are they the end of one? */
	bool is_empty;  /* of the body nothing has been emitted */
	size_t n;
	char out[512];
};
void dkim_body_init(struct dkim_body *b, enum dkim_canon canon,
    dkim_emit_fn *emit, void *ctx);
void dkim_body_add(struct dkim_body *b, struct slice piece);
void dkim_body_end(struct dkim_body *b);

/* A header field on its way through, in the same manner: name, colon, value,
 * folds, final CRLF. end emits the CRLF unless is_last: the field of the
 * signature itself is hashed without (RFC 6376 3.7). */
struct dkim_field {
	dkim_emit_fn *emit;
	void *ctx;
	enum dkim_canon canon;
	bool in_value, has_blank, has_text;
	bool has_cr, has_end; /* held back: a CR; a line end, final or a fold */
	size_t n;
	char out[512];
};
void dkim_field_init(struct dkim_field *f, enum dkim_canon canon,
    dkim_emit_fn *emit, void *ctx);
void dkim_field_add(struct dkim_field *f, struct slice piece);
void dkim_field_end(struct dkim_field *f, bool is_last);

/* ---- which fields are signed (RFC 6376 5.4) -------------------------------- */

/* The fields of a header that bear one of n names, from the top; those of one
 * name are taken from the bottom up. The slices point into the header. */
struct dkim_fields {
	uint32_t n;
	struct slice whole[DKIM_FIELDS_MAX];
	uint8_t name[DKIM_FIELDS_MAX]; /* which one */
	/* There are more; those on top were left out, and a name cannot be said
	 * to be there no more than so often. */
	bool is_cut;
};
/* n is at most DKIM_NAMES_MAX. What is behind the header is not looked at. */
void dkim_fields_find(struct dkim_fields *f, const struct slice *names,
    uint32_t n, struct slice header);
/* Emits the fields that a list h= names, in its order (RFC 6376 5.4.2): each
 * mention of a name is the next field from the bottom, and nothing when there
 * is none left. false when the list is longer than 2 * DKIM_FIELDS_MAX. */
bool dkim_fields_hash(struct slice list, struct slice header,
    enum dkim_canon canon, dkim_emit_fn *emit, void *ctx) MUST_CHECK;

/* The domain of the first author's address, or an empty slice: there is no field
 * From, or it names none that could sign. Points into the header. */
struct slice dkim_author_domain(struct slice header);

/* ---- a signature's field --------------------------------------------------- */

/* What is to be said; names are written as they stand here. */
struct dkim_terms {
	enum dkim_algorithm algorithm;
	enum dkim_canon header, body;
	struct slice domain, selector, identity; /* d=, s=, i= or empty */
	int64_t signed_s, expires_s; /* t= and x=, Unix time; 0: not said */
	uint32_t nnames, noversigned;
	const struct slice *names;      /* signed as often as they are there */
	const struct slice *oversigned; /* and once more */
	uint8_t body_hash[DKIM_HASH_BYTES];
	size_t signature_bytes; /* that will be put into b= */
};
/* Where the signature goes into a field: `digits` of base64 from `at` on, in
 * rows with folds between them. Positions count from the field's begin. */
struct dkim_hole {
	size_t field_bytes; /* all of it, with CRLF */
	size_t at, digits;
};
/* Appends a field "DKIM-Signature: ...\r\n" with an empty place for the
 * signature, about the header that is given (our own trace field included).
 * What is to be signed goes to emit: the fields, then this one. 0, or E_FULL,
 * E_NOMEM, or E_NOTFOUND: the header has no From, so it cannot be signed. */
int dkim_sign_field(struct buf *out, const struct dkim_terms *t,
    struct slice header, dkim_emit_fn *emit, void *ctx,
    struct dkim_hole *hole) MUST_CHECK;
/* Fills the place; n is the length that the terms said. */
void dkim_fill(char *field, const struct dkim_hole *hole, const uint8_t *sig,
    size_t n);

/* ---- reading (RFC 6376 3.2, 3.5, 3.6.1) -------------------------------------- */

#define DKIM_TAGS_MAX 32u
struct dkim_tag {
	struct slice name, value; /* value trimmed, folds inside as they are */
};
/* A list "a=1; b=2": pieces of the text. The number of tags, or E_SYNTAX (also
 * when a name is there twice), or E_FULL beyond DKIM_TAGS_MAX. */
int dkim_tags_read(struct slice text, struct dkim_tag tag[DKIM_TAGS_MAX]);

/* A signature as a field says it; slices point into the field's value. */
struct dkim_signature {
	enum dkim_algorithm algorithm;
	enum dkim_canon header, body;
	struct slice domain, selector, identity, names;
	int64_t signed_s, expires_s; /* 0: not said */
	bool has_length;             /* l=: only a part of the body is signed */
	uint8_t body_hash[DKIM_HASH_BYTES];
	size_t nsig;
	uint8_t sig[DKIM_SIGNATURE_MAX];
	struct slice b; /* the value of b=, blanks around it included */
};
/* 0, or E_SYNTAX, E_VERSION (not v=1), E_UNSUPPORTED (algorithm, canonical
 * form); *why says what is wrong. */
int dkim_signature_read(struct slice value, struct dkim_signature *s,
    const char **why) MUST_CHECK;
/* Emits what that signature is about: the fields of the header, then its own,
 * which is `field` (a piece of the header) without what b= says. */
bool dkim_signature_hash(const struct dkim_signature *s, struct slice field,
    struct slice header, dkim_emit_fn *emit, void *ctx) MUST_CHECK;

/* A published key. */
struct dkim_record {
	enum dkim_algorithm algorithm;
	bool is_revoked;  /* p= is empty */
	bool is_testing;  /* t=y */
	bool is_strict;   /* t=s: i= must be of d= itself */
	struct slice key; /* base64 of the key: DER for RSA, 32 bytes raw for
			   * Ed25519 (RFC 8463 4.2) */
};
/* As above; E_UNSUPPORTED also when the key is not for mail (s=) or not for
 * SHA-256 (h=). */
int dkim_record_read(struct slice text, struct dkim_record *r,
    const char **why) MUST_CHECK;
/* "v=DKIM1; k=rsa; p=...". */
int dkim_record_write(struct buf *out, enum dkim_algorithm a, const void *key,
    size_t n) MUST_CHECK;

#endif

/*
 * relay/inject_key.c - idempotency keys of requests. A key stands for all of a
 * request: its target, envelope and body; the messages of a batch have one each,
 * made of it and their number, so that a batch which was cut short goes on where
 * it stopped.
 */
#include <stdio.h>

#include "crypt/crypt.h"
#include "relay/inject_i.h"
#include "relay/relay.h"

#define NUMBER_MAX 12u /* bytes of " #999" and a NUL */

bool
inject_key_begin(struct inject *j)
{
	struct slice key = http_srv_field(&j->http, SL("Idempotency-Key"));
	struct slice more[] = { j->http.query,
		http_srv_field(&j->http, SL("X-Envelope-From")),
		http_srv_field(&j->http, SL("X-Envelope-To")) };
	bool is_fine = true;

	j->key[0] = '\0';
	if (key.p == NULL)
		return true;
	if (key.n >= 2 && key.p[0] == '"' && key.p[key.n - 1] == '"')
		key = slice_of(key.p + 1, key.n - 2);
	for (size_t i = 0; i < key.n; i++)
		is_fine &= key.p[i] >= ' ' && key.p[i] <= '~';
	if (!is_fine || key.n == 0 || key.n > IDEM_TEXT_MAX - NUMBER_MAX) {
		inject_refuse(j, 400, "invalid",
		    SL("Expected 1 to 243 printable characters"),
		    SL("Idempotency-Key"));
		return false;
	}
	slice_copy(key, j->key, sizeof(j->key));
	j->hash = crypt_hash_new();
	if (j->hash == NULL) {
		inject_refuse(j, 503, "unavailable",
		    SL("Busy, try again later"), SL(""));
		return false;
	}
	for (size_t i = 0; i < ARRAY_LEN(more); i++) {
		crypt_hash_add(j->hash, more[i].p, more[i].n);
		crypt_hash_add(j->hash, "", 1);
	}
	return true;
}

void
inject_key_body(struct inject *j, struct slice piece)
{
	if (j->hash != NULL)
		crypt_hash_add(j->hash, piece.p, piece.n);
}

void
inject_key_end(struct inject *j)
{
	uint8_t digest[CRYPT_SHA256_BYTES];

	if (j->hash == NULL)
		return;
	crypt_hash_end(j->hash, digest);
	memcpy(&j->digest, digest, sizeof(j->digest));
}

bool
inject_key_give(struct inject *j, struct lane *l, uint32_t i, bool any,
    struct lane_said *s)
{
	char text[IDEM_TEXT_MAX + NUMBER_MAX];
	struct env_key k;
	struct msgid first;

	if (j->hash == NULL)
		return false;
	if (j->letter != NULL && j->letter->is_batch)
		snprintf(text, sizeof(text), "%s #%u", j->key, i);
	else
		slice_copy(slice_str(j->key), text, sizeof(text));
	if (!intake_key_set(l->in, slice_str(text)))
		ASSERT(!"a key that was checked");
	l->in->digest = j->digest;
	intake_key_digest(l->in, &k);
	if (any)
		k.digest = 0;
	s->key = j->ops->key_find(j->ctx, &k, j->wall_us, &first);
	if (s->key == IDEM_DONE) {
		s->code = 250;
		slice_copy(SL("250 2.0.0 Queued as "), s->text,
		    sizeof(s->text));
		msgid_format(s->text + strlen(s->text), &first);
		return true;
	}
	if (s->key != IDEM_OTHER)
		return false;
	s->code = 554;
	slice_copy(SL("554 5.6.0 The idempotency key was given to another "
		      "message"),
	    s->text, sizeof(s->text));
	return true;
}

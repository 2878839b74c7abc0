/*
 * relay/intake_key.c - idempotency keys of inbound messages. A key belongs to
 * who gave it: to an account, else to the message's tenant, else to a token; the
 * same text of another's is another key.
 *
 * Over SMTP the key is for one transaction: its sender and all recipients that
 * were asked for, taken or not. With others it is somebody's mistake, and mail
 * would be lost if it were answered 250. What the message says is not compared,
 * for a client that builds it anew writes another date into it.
 */
#include "crypt/crypt.h"
#include "relay/intake_i.h"
#include "relay/relay.h"

#define SCOPE_MAX 512u

void
intake_asked(struct intake *in, struct slice address, uint64_t role)
{
	/* A sum: in whatever order they come. */
	in->asked += hash_bytes(role, address.p, address.n);
}

bool
intake_key_set(struct intake *in, struct slice text)
{
	for (size_t i = 0; i < text.n; i++)
		if (text.p[i] < ' ' || text.p[i] > '~')
			return false;
	in->key_n = 0;
	if (text.n == 0 || text.n > IDEM_TEXT_MAX)
		return false;
	in->key_n = (uint16_t)slice_copy(text, in->key, sizeof(in->key));
	return true;
}

/* Kind and name of whom it belongs to, each ended by a NUL. */
static void
put_scope(const struct intake *in, struct buf *b)
{
	struct slice tenant =
	    in->tenant[0] ? slice_str(in->tenant) : in->given.tenant;

	if (in->who != NULL) {
		buf_addc(b, 'a');
		buf_adds(b, in->who->name);
	} else if (tenant.n > 0) {
		buf_addc(b, 't');
		buf_adds(b, tenant);
	} else {
		buf_addc(b, 'k');
		buf_adds(b, in->token);
	}
	buf_addc(b, '\0');
}

void
intake_key_digest(const struct intake *in, struct env_key *k)
{
	uint8_t digest[CRYPT_SHA256_BYTES];
	uint32_t d = in->is_posted ? in->digest :
				     (uint32_t)(in->asked ^ in->asked >> 32);
	struct buf b;

	buf_init(&b, SCOPE_MAX + sizeof(in->key));
	put_scope(in, &b);
	buf_add(&b, in->key, in->key_n);
	crypt_digest(buf_slice(&b), digest);
	buf_free(&b);
	memcpy(k->b, digest, sizeof(k->b));
	k->digest = d & 0x7fffffff ? d & 0x7fffffff : 1;
}

/* Answers a message whose key is not free. */
static void
answer(struct intake *in, enum idem_answer a, const struct msgid *first)
{
	struct slice none = SL("");
	char text[64] = "Queued as ";

	in->key_said = a;
	switch (a) {
	case IDEM_DONE:
		msgid_format(text + strlen(text), first);
		smtp_srv_reply(&in->srv, 250, "2.0.0", slice_str(text));
		return;
	case IDEM_BUSY:
		intake_refuse(in, none, STAGE_EOM, 451, "4.3.0",
		    SL("A message with this idempotency key is being taken, "
		       "try again later"));
		return;
	case IDEM_OTHER:
		intake_refuse(in, none, STAGE_EOM, 554, "5.6.0",
		    SL("The idempotency key was given to another message"));
		return;
	default:
		intake_refuse(in, none, STAGE_EOM, 452, "4.3.1",
		    SL("Too many idempotency keys, try again later"));
	}
}

bool
intake_key_claim(struct intake *in, struct parcel *p)
{
	struct msgid first;
	enum idem_answer a;

	if (!p->has_key || in->ops->key_claim == NULL)
		return true;
	a = in->ops->key_claim(in->ctx, &p->key, &p->id, in->wall_us, &first);
	if (a != IDEM_TAKEN)
		answer(in, a, &first);
	return a == IDEM_TAKEN;
}

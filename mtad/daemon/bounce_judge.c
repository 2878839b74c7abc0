/*
 * daemon/bounce_judge.c - what the words of a bounce mean.
 */
#include "daemon/bounce_judge.h"

/* What the server said, where a notice of Gmail quotes it behind words that are the
 * same in all its notices. */
static struct slice
quoted(struct slice text)
{
	static const struct slice leads[] = { SL("server returned was:"),
		SL("The response from the remote server was:"),
		SL("The response was:") };

	for (size_t i = 0; i < text.n; i++)
		for (size_t k = 0; k < ARRAY_LEN(leads); k++)
			if (slice_has_prefix(slice_skip(text, i), leads[k]))
				return slice_skip(text, i + leads[k].n);
	return text;
}

void
bounce_judge(const struct classifier *k, struct class_desk *desk,
    const struct bounce_rcpt *x, struct judgement *out)
{
	struct class_query q = { .code = x->code,
		.text = quoted(x->diagnostic) };
	struct class_answer a;

	if (x->has_status)
		q.enh = x->enh;
	if (q.code == 0 && x->enh.klass >= 4)
		q.code = (uint16_t)(x->enh.klass * 100 + 50);
	else if (q.code == 0)
		q.code = x->action == BOUNCE_DELAYED ? 450 : 550;
	classify(k, desk, &q, &a);
	*out = a.judgement;
}

bool
bounce_is_hard(const struct bounce_rcpt *x, const struct judgement *j)
{
	return x->action == BOUNCE_FAILED && j->is_hard &&
	    j->scope == SCOPE_RECIPIENT && j->kind != KIND_MAILBOX_FULL;
}

struct enh
bounce_status(const struct bounce_rcpt *x)
{
	struct enh e = x->enh;

	if (e.klass == 0 && x->code >= 200)
		e.klass = (uint8_t)(x->code / 100);
	if (e.klass == 0)
		e.klass = x->action == BOUNCE_FAILED ? 5 :
		    x->action == BOUNCE_DELAYED      ? 4 :
						       2;
	return e;
}

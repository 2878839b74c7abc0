/*
 * daemon/verb_sendmail_bs.c - `mtad sendmail -bs`: a server of SMTP on standard
 * input and output, which leaves what it takes in the drop directory. A 250 means
 * what it means at a listener: the message is durable.
 *
 * What the daemon would refuse at once (a recipient that is suppressed) it refuses
 * here too, but later, and says so in its event log.
 */
#include <errno.h>
#include <poll.h>
#include <unistd.h>

#include "daemon/daemon_i.h"
#include "daemon/sendmail_i.h"

struct talk {
	struct smtp_srv srv;
	struct smtp_srv_conf conf;
	struct dropper *d;
	struct buf rcpts;
	uint32_t nrcpt;
	char sender[MAILBOX_MAX + 2];
	int64_t made_us;
};

static void
forget(struct talk *t)
{
	dropper_abort(t->d);
	buf_reset(&t->rcpts);
	t->nrcpt = 0;
}

static void
refuse_now(struct talk *t)
{
	smtp_srv_reply(&t->srv, 452, "4.3.1", slice_str(t->d->why));
}

static void
on_mail(struct talk *t)
{
	forget(t);
	slice_copy(t->srv.path.address, t->sender, sizeof(t->sender));
	smtp_srv_reply(&t->srv, 250, "2.1.0", SL("Sender ok"));
}

static void
on_rcpt(struct talk *t)
{
	if (drop_rcpt_add(&t->rcpts, t->srv.path.address)) {
		smtp_srv_reply(&t->srv, 452, "4.5.3",
		    SL("Too many recipients"));
		return;
	}
	t->nrcpt++;
	smtp_srv_reply(&t->srv, 250, "2.1.5", SL("Recipient ok"));
}

static void
on_data(struct talk *t)
{
	struct drop_head h = { .sender = slice_str(t->sender),
		.made_us = clock_wall_us(),
		.nrcpt = t->nrcpt,
		.rcpts = buf_slice(&t->rcpts) };

	if (dropper_begin(t->d, &h) == EX_OK)
		smtp_srv_go_ahead(&t->srv);
	else
		refuse_now(t);
}

static void
on_eom(struct talk *t)
{
	char text[64] = "Left as ";

	if (dropper_commit(t->d) != EX_OK) {
		refuse_now(t);
		return;
	}
	slice_copy(slice_str(t->d->name), text + strlen(text), 48);
	smtp_srv_reply(&t->srv, 250, "2.0.0", slice_str(text));
}

/* One act; false: the input that there is has been eaten, or it is over. */
static bool
act(struct talk *t, enum smtp_srv_act what)
{
	switch (what) {
	case SRV_NEED_INPUT:
	case SRV_CLOSE:
		return false;
	case SRV_MAIL:
		on_mail(t);
		return true;
	case SRV_RCPT:
		on_rcpt(t);
		return true;
	case SRV_DATA:
		on_data(t);
		return true;
	case SRV_BODY:
		if (dropper_add(t->d, t->srv.body) != EX_OK)
			smtp_srv_refuse_body(&t->srv, 452, "4.3.1",
			    slice_str(t->d->why));
		return true;
	case SRV_EOM:
		on_eom(t);
		return true;
	case SRV_ABORT:
		forget(t);
		return true;
	case SRV_REFUSED:
		return true;
	default: /* offered to nobody */
		smtp_srv_reply(&t->srv, 502, "5.5.1", SL("Not here"));
		return true;
	}
}

/* What was said so far; false: nobody listens. */
static bool
say(struct buf *out)
{
	ssize_t n;

	while (out->n > 0) {
		n = write(STDOUT_FILENO, out->p + out->off, out->n);
		if (n < 0 && errno != EINTR)
			return false;
		buf_consume(out, n > 0 ? (size_t)n : 0);
	}
	return true;
}

/* Something to read; or the time is up. */
static bool
wait_input(const struct smtp_srv *s)
{
	struct pollfd p = { .fd = STDIN_FILENO, .events = POLLIN };
	int64_t left = smtp_srv_deadline(s) - clock_mono_us();

	return poll(&p, 1, (int)MIN(MAX(left, 0) / US_PER_MS + 1, INT32_MAX)) >
	    0;
}

static void
serve(struct talk *t)
{
	char raw[65536];
	struct slice in = SL("");
	enum smtp_srv_act what;
	ssize_t n = 0;

	for (;;) {
		while (
		    act(t, what = smtp_srv_step(&t->srv, &in, clock_mono_us())))
			continue;
		if (!say(&t->srv.out) || what == SRV_CLOSE)
			return;
		if (!wait_input(&t->srv)) {
			smtp_srv_timeout(&t->srv);
			continue;
		}
		n = read(STDIN_FILENO, raw, sizeof(raw));
		if (n == 0 || (n < 0 && errno != EINTR))
			return;
		in = slice_of(raw, n > 0 ? (size_t)n : 0);
	}
}

int
sendmail_smtp(const struct sendmail_args *a, struct dropper *d,
    const struct drop_about *about)
{
	static struct talk talk;
	struct talk *t = &talk;
	char host[DOMAIN_MAX + 1] = "localhost";

	(void)a;
	if (about->hostname[0] == '\0' && gethostname(host, DOMAIN_MAX) != 0)
		host[0] = '\0';
	t->d = d;
	buf_init(&t->rcpts, RCPTS_MAX * (MAILBOX_MAX + 3));
	smtp_srv_conf_default(&t->conf);
	t->conf.hostname =
	    slice_str(about->hostname[0] ? about->hostname : host);
	t->conf.size_max = about->size_max;
	t->conf.rcpts_max = (uint32_t)about->rcpts_max;
	t->conf.exts = EXT_CHUNKING | EXT_SMTPUTF8;
	t->conf.normalises_bare = true;
	smtp_srv_init(&t->srv, &t->conf, clock_mono_us());
	serve(t);
	forget(t);
	buf_free(&t->rcpts);
	smtp_srv_free(&t->srv);
	return EX_OK;
}

/*
 * proto/bounce_other.c - is a message a report of a mail system at all, and if
 * not, what is it: an answering machine, a challenge, mail of a list.
 *
 * An answering machine quotes addresses and says "not" as bounces do, so what it
 * says of itself (RFC 3834) and the words of its subject stand before the words
 * of a text; who sent it, and the subjects of bounces, stand before both.
 */
#include "proto/bounce_i.h"
#include "proto/header.h"

/* ---- what bounces say ------------------------------------------------------------ */

static const char *const daemons[] = { "mailer-daemon", "mailer daemon",
	"mailerdaemon", "mail delivery", "maildelivery", "mdaemon",
	"postmaster", "mail-daemon", "maildaemon", "delivery subsystem",
	"mail system", "mail.delivery", "mail administrator", "mailsystem",
	"system administrator", "bounce", "mmdf", "mailadmin", "delivery agent",
	"post_master", "microsoft exchange", "complaints@", "mail subsystem",
	"" };

static const char *const subjects[] = { "undeliver", "delivery status",
	"delivery fail", "failure notice", "failed delivery", "failed mail",
	"returned mail", "mail delivery", "delivery report", "non delivery",
	"nondeliver", "non-deliver", "could not be delivered",
	"delivery problem", "not delivered", "mail system error",
	"delivery delay", "delayed mail", "could not send", "delivery notif",
	"mail error", "error mail", "returned to sender", "return to sender",
	"delivery error", "failure delivering", "mail failure", "not deliver",
	"unable to deliver", "unzustellbar", "delivery has failed",
	"message status - undeliverable", "rejected mail", "user unknown",
	"nichtzustell", "nicht zugestellt", "no entregado", "non remis",
	"remise", "mancata consegna", "unknown user", "message rejected",
	"delivery incomplete", "delivery attempt", "bounced mail",
	"undelivered", "message delivery", "mail could not",
	"fallo en la entrega", "devolvido", "devuelto", "non recapitabile",
	"niet bezorgd", "invalid recipient", "address not found",
	"rejected message", "problems with your mail", "mailbox full",
	"mailbox unavailable", "quota", "delivered to the mailing list",
	"address unknown", "unknown address", "blocked", "mail rejected",
	"bounce", "delivery", "\303\251chec",
	"\343\203\241\343\203\274\343\203\253\343\202\250\343\203\251\343\203\274",
	"\351\200\200\344\277\241", "" };

static const char *const texts[] = { "could not be delivered",
	"cannot be delivered", "can not be delivered", "not be delivered",
	"was not delivered", "undeliverable", "delivery failed",
	"delivery to the following", "failed permanently", "unable to deliver",
	"could not deliver", "user unknown", "unknown user", "did not reach",
	"permanent fatal errors", "message has been blocked",
	"returned to sender", "no such user", "transcript of session follows",
	"delivery error", "mailbox is full", "mailbox full", "over quota",
	"does not exist", "failed to deliver", "not able to deliver",
	"no longer", "account is disabled", "mailbox unavailable",
	"couldn't be delivered", "wasn't delivered", "n'a pas pu",
	"nicht zugestellt", "konnte nicht", "no se pudo", "no ha podido",
	"rejected", "not delivered", "trouble delivering", "permanent error",
	"" };

static const char *const delays[] = { "will be retried", "will keep trying",
	"delivery attempts will continue", "not yet been delivered",
	"warning message only", "still be retried", "has been delayed",
	"have been delayed", "will continue to", "will try to deliver",
	"no action is required", "do not need to resend", "continue trying",
	"will retry", "have not yet been delivered", "delivery is delayed",
	"has not been delivered yet", "will try again", "delayed delivery",
	"still trying", "" };

static const char *const ends[] = { "permanent", "giving up", "given up",
	"will not be retried", "i've given up", "no further attempts",
	"could not be delivered for", "final", "been returned", "" };

bool
bounce_is_delay(struct reading *r)
{
	struct slice text = buf_slice(&r->text);

	if (bounce_has(r->subject, "delayed") ||
	    bounce_has(r->subject, "warning: could not send") ||
	    bounce_has(r->subject, "(delay)"))
		return true;
	return bounce_says(text, delays) && !bounce_says(text, ends);
}

/* ---- what others say ------------------------------------------------------------- */

static const char *const replies[] = { "autoreply", "auto-reply", "auto reply",
	"automatic reply", "automatic response", "auto-response",
	"autoresponse", "auto response", "autoresponder", "out of office",
	"out-of-office", "out of the office", "vacation", "on holiday",
	"away from", "auto:", "i am away", "on leave", "abwesen",
	"automatische antwort", "autoantwort", "nicht im hause",
	"nicht im b\303\274ro", "r\303\251ponse automatique", "absence du",
	"absent du bureau", "respuesta autom", "fuera de la oficina",
	"risposta automatica", "fuori ufficio", "assente", "resposta autom",
	"aus\303\252ncia", "fora do escrit", "automatisch antwoord", "afwezig",
	"autosvar", "automatiskt svar", "automatisk svar", "fr\303\245nvaro",
	"frav\303\246r", "automaattinen", "poissa", "autoodpowied",
	"automatyczna odpowied", "poza biurem", "nieobecno",
	"automatick\303\241",
	"\350\207\252\345\213\225\345\277\234\347\255\224",
	"\350\207\252\345\213\225\350\277\224\344\277\241",
	"\344\270\215\345\234\250",
	"\350\207\252\345\212\250\345\233\236\345\244\215",
	"\350\207\252\345\213\225\345\233\236\350\246\206",
	"\320\260\320\262\321\202\320\276\320\276\321\202\320\262\320\265",
	"otomatik yan", "ofis d\304\261", "thank you for your email",
	"thank you for your e-mail", "thank you for contacting",
	"your message was received", "" };

static const char *const challenges[] = { "challenge", "please confirm",
	"confirmation required", "verification required", "verify your",
	"spamarrest", "spam arrest", "boxbe", "sender verification",
	"confirm your message", "confirm your email", "awaiting approval",
	"requires verification", "authorization required", "whitelist request",
	"click the link below to", "not a spammer", "are a human",
	"added to my guest list", "guest list", "" };

static bool
field_says(struct reading *r, struct slice name, const char *const *words)
{
	return bounce_says(mime_field(r->head, name), words);
}

static bool
has_field(struct reading *r, struct slice name)
{
	return mime_field(r->head, name).n > 0;
}

/* Does the header say that a machine answered (RFC 3834 5, and what was used
 * before)? */
static bool
says_auto(struct reading *r)
{
	static const char *const replied[] = { "auto-replied", "auto-notified",
		"" };
	static const char *const precedence[] = { "auto_reply", "auto-reply",
		"" };

	return field_says(r, SL("Auto-Submitted"), replied) ||
	    field_says(r, SL("Precedence"), precedence) ||
	    has_field(r, SL("X-Autoreply")) ||
	    has_field(r, SL("X-Autoreply-From")) ||
	    has_field(r, SL("X-Autorespond")) ||
	    has_field(r, SL("X-Auto-Reply")) ||
	    has_field(r, SL("X-Mail-Autoreply")) ||
	    has_field(r, SL("X-Autogenerated")) ||
	    has_field(r, SL("X-AutoReply"));
}

static bool
is_challenge(struct reading *r)
{
	struct slice text = buf_slice(&r->text);

	text.n = MIN(text.n, 16384u);
	return bounce_says(r->subject, challenges) ||
	    bounce_says(r->from,
		(const char *const[]){ "boxbe", "spamarrest", "challenge",
		    "" }) ||
	    ((says_auto(r) || bounce_has(text, "to be delivered")) &&
		bounce_says(text, challenges));
}

static bool
is_null_path(struct reading *r)
{
	struct slice path = mime_field(r->head, SL("Return-Path"));

	return slice_eq(path, SL("<>")) || bounce_has(path, "mailer-daemon") ||
	    bounce_has(path, "postmaster");
}

static bool
is_list(struct reading *r)
{
	static const char *const lists[] = { "list", "bulk", "junk", "" };

	return has_field(r, SL("List-Id")) || has_field(r, SL("List-Post")) ||
	    has_field(r, SL("List-Unsubscribe")) ||
	    field_says(r, SL("Precedence"), lists);
}

enum bounce_reason
bounce_other(struct reading *r)
{
	if (r->has_receipt)
		return BOUNCE_READ_RECEIPT;
	if (is_challenge(r))
		return BOUNCE_CHALLENGE;
	/* Who answers by machine and says so nowhere has no sender. */
	if (says_auto(r) || bounce_says(r->subject, replies) || is_null_path(r))
		return BOUNCE_AUTO_REPLY;
	if (is_list(r))
		return BOUNCE_LIST;
	return BOUNCE_NO_REPORT;
}

/* ---- the decision ---------------------------------------------------------------- */

/* Somebody answers or hands on what he read. */
static bool
is_answer(struct slice subject)
{
	static const struct slice prefixes[] = { SL("re:"), SL("fw:"),
		SL("fwd:"), SL("aw:"), SL("sv:"), SL("antw:") };

	for (size_t i = 0; i < ARRAY_LEN(prefixes); i++)
		if (slice_has_iprefix(subject, prefixes[i]))
			return true;
	return false;
}

bool
bounce_is_refusal(struct reading *r)
{
	static const char *const refusals[] = { "was automatically rejected",
		"message was rejected", "quota exceeded", "mailbox is full",
		"" };
	struct slice receipt = buf_slice(&r->receipt);

	return r->has_receipt && bounce_has(receipt, "automatic-action") &&
	    (bounce_has(receipt, "deleted") || bounce_has(receipt, "denied") ||
		bounce_has(receipt, "failed")) &&
	    bounce_says(buf_slice(&r->text), refusals);
}

bool
bounce_is_report(struct reading *r)
{
	struct slice text = buf_slice(&r->text);
	struct slice type = mime_field(r->head, SL("Content-Type"));
	bool says_so;

	if (r->has_receipt)
		return false;
	if (has_field(r, SL("X-Failed-Recipients")) ||
	    bounce_has(type, "delivery-status"))
		return true;
	if (bounce_says(r->subject, replies) && !bounce_says(r->from, daemons))
		return false;
	text.n = MIN(text.n, 16384u);
	says_so = bounce_says(text, texts);
	if (is_challenge(r))
		return false;
	if (bounce_says(r->from, daemons))
		return says_so || !is_answer(r->subject);
	if (is_answer(r->subject))
		return false;
	if (bounce_says(r->subject, subjects))
		return says_so || is_null_path(r);
	return is_null_path(r) && says_so && !says_auto(r);
}

/*
 * mail/judgement.h - what a refusal means: its category, its kind, what it is
 * about, and whether trying again can help.
 *
 * Category is the word for reports (the bounce classes that senders compare);
 * kind says what has happened, and is what reactions match on; scope says who
 * or what must change before mail goes through.
 */
#ifndef MAIL_JUDGEMENT_H
#define MAIL_JUDGEMENT_H

#include "base/base.h"

#define CATEGORY_TABLE(X)                                                      \
	X(CATEGORY_UNCATEGORIZED, "Uncategorized")                             \
	X(CATEGORY_AUTHENTICATION_FAILED, "AuthenticationFailed")              \
	X(CATEGORY_AUTO_REPLY, "AutoReply")                                    \
	X(CATEGORY_BAD_CONFIGURATION, "BadConfiguration")                      \
	X(CATEGORY_BAD_CONNECTION, "BadConnection")                            \
	X(CATEGORY_BAD_DOMAIN, "BadDomain")                                    \
	X(CATEGORY_CHALLENGE_RESPONSE, "ChallengeResponse")                    \
	X(CATEGORY_CONTENT_RELATED, "ContentRelated")                          \
	X(CATEGORY_DNS_FAILURE, "DNSFailure")                                  \
	X(CATEGORY_INACTIVE_MAILBOX, "InactiveMailbox")                        \
	X(CATEGORY_INVALID_RECIPIENT, "InvalidRecipient")                      \
	X(CATEGORY_INVALID_SENDER, "InvalidSender")                            \
	X(CATEGORY_MESSAGE_EXPIRED, "MessageExpired")                          \
	X(CATEGORY_NO_ANSWER_FROM_HOST, "NoAnswerFromHost")                    \
	X(CATEGORY_POLICY_RELATED, "PolicyRelated")                            \
	X(CATEGORY_PROHIBITED_ATTACHMENT, "ProhibitedAttachment")              \
	X(CATEGORY_PROTOCOL_ERRORS, "ProtocolErrors")                          \
	X(CATEGORY_QUOTA_ISSUES, "QuotaIssues")                                \
	X(CATEGORY_RELAY_DENIED, "RelayDenied")                                \
	X(CATEGORY_RELAYING_ISSUES, "RelayingIssues")                          \
	X(CATEGORY_ROUTING_ERRORS, "RoutingErrors")                            \
	X(CATEGORY_SPAM_BLOCK, "SpamBlock")                                    \
	X(CATEGORY_SPAM_CONTENT, "SpamContent")                                \
	X(CATEGORY_SPAM_RELATED, "SpamRelated")                                \
	X(CATEGORY_SUBSCRIBE, "Subscribe")                                     \
	X(CATEGORY_TOO_MANY_RECIPIENTS, "TooManyRecipients")                   \
	X(CATEGORY_TRANSIENT_FAILURE, "TransientFailure")                      \
	X(CATEGORY_UNSUBSCRIBE, "Unsubscribe")                                 \
	X(CATEGORY_VIRUS_RELATED, "VirusRelated")

/* Kinds, and the scope of each where a rule names none. */
#define KIND_TABLE(X)                                                          \
	X(KIND_OTHER, "other", SCOPE_MESSAGE)                                  \
	X(KIND_AUTH, "auth", SCOPE_SENDER_DOMAIN)                              \
	X(KIND_CONTENT, "content", SCOPE_MESSAGE)                              \
	X(KIND_DISABLED, "disabled", SCOPE_RECIPIENT)                          \
	X(KIND_DNS, "dns", SCOPE_RECIPIENT)                                    \
	X(KIND_GREYLIST, "greylist", SCOPE_RECIPIENT)                          \
	X(KIND_MAILBOX_FULL, "mailbox_full", SCOPE_RECIPIENT)                  \
	X(KIND_POLICY, "policy", SCOPE_MESSAGE)                                \
	X(KIND_PROTOCOL, "protocol", SCOPE_MESSAGE)                            \
	X(KIND_RELAY, "relay", SCOPE_HOST)                                     \
	X(KIND_REPUTATION_BLOCK, "reputation_block", SCOPE_SOURCE)             \
	X(KIND_SIZE, "size", SCOPE_MESSAGE)                                    \
	X(KIND_SYSFAIL, "sysfail", SCOPE_HOST)                                 \
	X(KIND_THROTTLE, "throttle", SCOPE_PATH)                               \
	X(KIND_TLS, "tls", SCOPE_HOST)                                         \
	X(KIND_TOO_MANY_RCPT, "too_many_rcpt", SCOPE_MESSAGE)                  \
	X(KIND_UNKNOWN_USER, "unknown_user", SCOPE_RECIPIENT)

/* Who or what a refusal is about; from the narrowest on. */
#define SCOPE_TABLE(X)                                                         \
	X(SCOPE_RECIPIENT, "recipient")                                        \
	X(SCOPE_MESSAGE, "message")                                            \
	X(SCOPE_PATH, "path") /* this source to this site */                   \
	X(SCOPE_SOURCE, "source")                                              \
	X(SCOPE_NETBLOCK, "netblock") /* the source and its neighbours */      \
	X(SCOPE_SENDER_DOMAIN, "sender_domain")                                \
	X(SCOPE_SIGNING_DOMAIN, "signing_domain")                              \
	X(SCOPE_TENANT, "tenant")                                              \
	X(SCOPE_HOST, "host") /* the receiving one */

#define JUDGEMENT_ENUM(name, ...) name,
enum category { CATEGORY_TABLE(JUDGEMENT_ENUM) CATEGORY_N };
enum kind { KIND_TABLE(JUDGEMENT_ENUM) KIND_N };
enum scope { SCOPE_TABLE(JUDGEMENT_ENUM) SCOPE_N };
#undef JUDGEMENT_ENUM

struct judgement {
	uint8_t category; /* enum category */
	uint8_t kind;     /* enum kind */
	uint8_t scope;    /* enum scope */
	bool is_hard;     /* trying again cannot help */
};

const char *category_name(enum category c);
const char *kind_name(enum kind k);
const char *scope_name(enum scope s);
enum scope kind_scope(enum kind k);
/* The other way round; CATEGORY_N, KIND_N, SCOPE_N when there is none of that
 * name. Case counts. */
enum category category_find(struct slice name);
enum kind kind_find(struct slice name);
enum scope scope_find(struct slice name);

#endif

/*
 * test_conf_automation - rules about refusals: own ones before the shipped ones,
 * what they match, and what is wrong with one is said where it stands.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "conf/classify.h"
#include "test_conf.h"

#define HEAD "hostname: mx.example\n"

static struct told told;

/* From a file, so that the shipped rules are at hand. */
static struct conf *
loaded(const char *text)
{
	char path[] = "/tmp/test_conf_automation.XXXXXX";
	int fd = mkstemp(path);
	struct conf *c;

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
	told_init(&told);
	c = conf_load(path, &told.errs);
	unlink(path);
	if (c == NULL)
		fail_msg("%s", told.text);
	return c;
}

static const struct conf_automation *
find(const struct conf *c, const char *name)
{
	for (uint32_t i = 0; i < c->nautomations; i++)
		if (slice_eq(c->automations[i].name, slice_str(name)))
			return &c->automations[i];
	return NULL;
}

/* The rules that a reply matches, as bits. */
static uint64_t
hits(const struct conf *c, uint16_t code, const char *text)
{
	struct classifier *k = conf_automation_rules(c);
	struct class_desk *d = class_desk_new(k);
	struct class_query q = { .code = code,
		.stage = STAGE_MAIL,
		.text = slice_str(text) };
	struct eng_hits h;

	class_hits(k, d, &q, &h);
	class_desk_free(d);
	classifier_free(k);
	return h.v[0];
}

static void
the_shipped_rules_are_there_unless_left_out(void **state)
{
	struct conf *c = loaded(HEAD);
	uint32_t n = c->nautomations;
	const struct conf_automation *a = find(c, "yahoo-volume");
	uint64_t key = c->automation_key;

	(void)state;
	assert_non_null(a);
	assert_int_equal(a->for_us, 7200 * US_PER_S);
	assert_true(a->at.line > 0);
	assert_non_null(strstr(c->files[a->at.file].p, "automation.yml"));
	for (uint32_t i = 0; i < n; i++) {
		assert_true(c->automations[i].for_us > 0);
		assert_true(c->automations[i].nproviders > 0);
	}
	conf_free(c);
	c = loaded(HEAD "automation: { yahoo-volume: ~ }\n");
	assert_int_equal(c->nautomations, n - 1);
	assert_null(find(c, "yahoo-volume"));
	assert_true(c->automation_key != key);
	conf_free(c);
	c = loaded(HEAD "automation_shipped: false\n");
	assert_int_equal(c->nautomations, 0);
	assert_null(conf_automation_rules(c));
	conf_free(c);
	c = loaded(HEAD "automation:\n  yahoo-volume: { action: none }\n");
	assert_int_equal(c->nautomations, n);
	assert_int_equal(c->automations[0].action, ACT_NONE);
	assert_int_equal(c->automations[0].at.line, 3);
	assert_int_equal(c->automations[0].at.file, 0);
	conf_free(c);
}

static void
what_a_rule_does_not_say_matches_everything(void **state)
{
	struct conf *c = told_parse(&told,
	    HEAD "automation:\n"
		 "  a: { text: [slow, \"too many\"], code: [421, 45x],"
		 " action: suspend, for: 1h }\n"
		 "  b: { enhanced: 4.7.x, stage: [mail, rcpt],"
		 " action: suspend, for: 1h, on: [source, provider] }\n"
		 "  c: { action: none }\n");

	(void)state;
	if (c == NULL)
		fail_msg("%s", told.text);
	assert_int_equal(c->nautomations, 3);
	assert_int_equal(c->automations[1].on[0], 1 << DIM_SOURCE);
	assert_int_equal(c->automations[1].on[1], 1 << DIM_PROVIDER);
	assert_int_equal(hits(c, 421, "4.7.0 Slow down"), 7);
	assert_int_equal(hits(c, 450, "TOO MANY of them"), 5);
	assert_int_equal(hits(c, 550, "too many of them"), 4);
	assert_int_equal(hits(c, 450, "4.7.1 other"), 6);
	conf_free(c);
}

static void
the_shipped_rules_know_what_was_said(void **state)
{
	struct conf *c = loaded(HEAD);
	static const struct {
		const char *rule;
		uint16_t code;
		const char *text;
	} said[] = {
		{ "yahoo-volume", 421,
		    "4.7.0 [TSS04] Messages from 192.0.2.1 temporarily "
		    "deferred due to unexpected volume or user complaints" },
		{ "yahoo-refused", 421,
		    "4.7.1 [TS03] All messages from 192.0.2.1 will be "
		    "permanently deferred; Retrying will NOT succeed" },
		{ "yahoo-japan-deferred", 553,
		    "Mail from 192.0.2.1 not allowed - VS98-IP0 deferred" },
		{ "gmail-suspicious", 421,
		    "4.7.0 This message is suspicious due to the very low "
		    "reputation of the sending IP address" },
		{ "outlook-rate", 451,
		    "4.7.650 The mail server [192.0.2.1] has been temporarily "
		    "rate limited due to IP reputation." },
		{ "icloud-deferred", 421,
		    "[HCM1] Your mail from 192.0.2.1 was deferred" },
		{ "comcast-block", 554,
		    "mx comcast 192.0.2.1 Comcast block for spam. Please see "
		    "http://postmaster.comcast.net/"
		    "smtp-error-codes.php#BL000000" },
		{ "cox-batch", 421, "cxr 192.0.2.1 AUP#CXCNCT" },
		{ "orange-later", 421,
		    "mwinf Service refuse. Veuillez essayer plus tard. "
		    "Service refused, please try later. OFR_999 [999]" },
		{ "orange-block-list", 550,
		    "mwinf ME Adresse IP source bloquee pour incident de "
		    "spam. Ref http://csi.cloudmark.com/reset-request/?ip=" },
		{ "sfr-block", 450, "4.7.1 refused SFR_IN_x05" },
		{ "t-online-block", 554,
		    "IP=192.0.2.1 - A problem occurred. (Ask your postmaster "
		    "for help or to contact tosa@rx.t-online.de to clarify.) "
		    "(BL)" },
		{ "qq-frequency", 550, "Connection frequency limited" },
		{ "netease-host", 421, "HL:REP 163 mx" },
		{ "netease-day", 554, "MI:STC 163 mx" },
		{ "netvigator-session", 421,
		    "Too many messages for this session" },
		{ "mimecast-listed", 451, "IP temporarily blacklisted" },
		{ "mimecast-connections", 451,
		    "Account service is temporarily unavailable" },
		{ "godaddy-hour", 554, "IB110 refused" },
		{ "facebook-tier-2", 421, "POL-T2 temporary" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(said); i++) {
		uint32_t at =
		    (uint32_t)(find(c, said[i].rule) - c->automations);

		if (!(hits(c, said[i].code, said[i].text) >> at & 1))
			fail_msg("%s", said[i].rule);
	}
	/* Only those that ask for nothing but a kind and a class. */
	assert_int_equal(__builtin_popcountll(hits(c, 550, "no such user")), 2);
	assert_int_equal(hits(c, 450, "4.2.1 mailbox busy"), 0);
	conf_free(c);
}

static void
what_is_wrong_is_said_where_it_stands(void **state)
{
	(void)state;
	assert_null(told_parse(&told,
	    HEAD "automation:\n"
		 "  a: { after: 3/s, action: suspend }\n"
		 "  b: { after: 3/h, ratio: 10%, action: suspend }\n"
		 "  c: { on: [tenant, path], action: suspend }\n"));
	assert_string_equal(told.text,
	    "f.yml:3:15: automation.a.after, expected a period of 16s at "
	    "least, got nothing\n"
	    "f.yml:4:27: automation.b.ratio, expected one of `after` and "
	    "`ratio`, got \"both\"\n"
	    "f.yml:5:13: automation.c.on, expected no path, source or netblock "
	    "beside a tenant, campaign or domain of senders, got nothing\n");
	assert_null(told_parse(&told,
	    HEAD "automation:\n"
		 "  a:\n"
		 "    provider: nobody\n"
		 "    kind: [throttle, thrttle]\n"
		 "    category: Spam\n"
		 "    code: 4x1\n"
		 "    enhanced: 4.7\n"
		 "    stage: male\n"
		 "    text: [ok, \"(\"]\n"
		 "    action: sleep\n"
		 "    on: campain\n"
		 "  b: { for: 1h }\n"));
	assert_string_equal(told.text,
	    "f.yml:4:15: automation.a.provider, expected the name of a "
	    "provider, here or in a shaping file, got \"nobody\"\n"
	    "f.yml:5:22: automation.a.kind, expected a kind such as throttle, "
	    "got \"thrttle\"\n"
	    "f.yml:6:15: automation.a.category, expected a category such as "
	    "SpamBlock, got \"Spam\"\n"
	    "f.yml:7:11: automation.a.code, expected a code such as 421, 4xx "
	    "or 500-559, got \"4x1\"\n"
	    "f.yml:8:15: automation.a.enhanced, expected an enhanced code "
	    "such as 4.7.28, x.7.x, or none, got \"4.7\"\n"
	    "f.yml:9:12: automation.a.stage, expected a stage such as banner, "
	    "mail, rcpt or eom, got \"male\"\n"
	    "f.yml:10:16: automation.a.text, expected a pattern (missing "
	    "closing parenthesis, at character 2), got \"(\"\n"
	    "f.yml:11:13: automation.a.action, expected none, suspend, connections, "
	    "slow, skip_host, other_source, defer or bounce, got "
	    "\"sleep\"\n"
	    "f.yml:12:9: automation.a.on, expected path, queue, or one of "
	    "source, netblock, site, provider, host, tenant, campaign, "
	    "sender_domain and node, got \"campain\"\n"
	    "f.yml:13:6: automation.b.action, expected none, suspend, connections, "
	    "slow, skip_host, other_source, defer or bounce, got "
	    "nothing\n");
}

/* The target that each action has, and those that it cannot have. */
static void
an_action_has_targets_of_its_own(void **state)
{
	struct conf *c;

	(void)state;
	c = loaded(HEAD "automation:\n"
			"  a: { action: slow }\n"
			"  b: { action: skip_host }\n"
			"  c: { action: skip_host, on: host }\n"
			"  d: { action: defer }\n"
			"  e: { action: defer, on: [tenant, provider] }\n");
	assert_int_equal(conf_automation_dims(find(c, "a")),
	    1 << DIM_SOURCE | 1 << DIM_SITE);
	assert_int_equal(find(c, "a")->factor_ppm, 500000);
	assert_int_equal(conf_automation_dims(find(c, "b")),
	    1 << DIM_SOURCE | 1 << DIM_SITE | 1 << DIM_HOST);
	assert_int_equal(conf_automation_dims(find(c, "c")), 1 << DIM_HOST);
	assert_int_equal(conf_automation_dims(find(c, "d")),
	    1 << DIM_SITE | 1 << DIM_POOL | 1 << DIM_TENANT |
		1 << DIM_CAMPAIGN);
	assert_int_equal(conf_automation_dims(find(c, "e")),
	    1 << DIM_TENANT | 1 << DIM_PROVIDER);
	conf_free(c);
	assert_null(told_parse(&told,
	    HEAD "automation:\n"
		 "  a: { action: slow, on: tenant }\n"
		 "  b: { action: defer, on: [site, source] }\n"
		 "  c: { action: suspend, on: host }\n"
		 "  d: { action: skip_host, on: tenant }\n"
		 "  e: { action: other_source, on: site }\n"));
	assert_string_equal(told.text,
	    "f.yml:3:26: automation.a.on, expected what has a rate: path, "
	    "source, netblock, site, provider or node, got \"slow\"\n"
	    "f.yml:4:34: automation.b.on, expected what tells queues apart: "
	    "queue, site, provider, tenant, campaign, sender_domain or node, "
	    "got \"defer\"\n"
	    "f.yml:5:29: automation.c.on, expected what is suspended: path, "
	    "source, netblock, site, provider, tenant, campaign, "
	    "sender_domain or node, got \"suspend\"\n"
	    "f.yml:6:31: automation.d.on, expected where the host is passed "
	    "over: path, source, netblock, site, provider, or host: "
	    "everywhere, got \"skip_host\"\n"
	    "f.yml:7:34: automation.e.on, expected which source is left, and "
	    "where: path, or a source or netblock, alone or with a site or "
	    "provider, got \"other_source\"\n");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_shipped_rules_are_there_unless_left_out),
		cmocka_unit_test(what_a_rule_does_not_say_matches_everything),
		cmocka_unit_test(the_shipped_rules_know_what_was_said),
		cmocka_unit_test(an_action_has_targets_of_its_own),
		cmocka_unit_test(what_is_wrong_is_said_where_it_stands),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

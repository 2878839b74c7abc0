/*
 * The classifier with rules of its own: each condition, the order, what is said
 * about mistakes, hostile rules and replies, and how replies are read.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>
#include <cmocka.h>

#include "conf/classify.h"
#include "conf/classify_i.h"

static char said[8192];

static void
say(void *ctx, const char *line)
{
	size_t n = strlen(said);

	(void)ctx;
	snprintf(said + n, sizeof(said) - n, "%s\n", line);
}

static struct classifier *
make(const char *text)
{
	struct class_source file = { "r.yml", slice_str(text) };
	struct conf_errors errs = { .report = say };

	said[0] = '\0';
	return classifier_new(&file, 1, &errs);
}

/* The line of the rule that a reply meets, as `mtad classify` reads it. */
static uint32_t
line_of(const struct classifier *k, const char *reply)
{
	struct class_desk *d = class_desk_new(k);
	struct slice rest = slice_str(reply);
	char text[CLASS_TEXT_MAX];
	struct class_query q;
	struct class_answer a;

	assert_non_null(d);
	assert_true(class_read(&rest, text, &q));
	classify(k, d, &q, &a);
	class_desk_free(d);
	return a.line;
}

#define V "category: SpamBlock, kind: policy"

static const struct {
	const char *rule, *reply;
	bool matches;
} conditions[] = {
	{ "code: 550", "550 x", true },
	{ "code: 550", "551 x", false },
	{ "code: [421, 45x]", "452 x", true },
	{ "code: 4xx", "550 x", false },
	{ "code: 500-509", "509 x", true },
	{ "code: 500-509", "510 x", false },
	{ "enhanced: 5.1.1", "550 5.1.1 x", true },
	{ "enhanced: 5.1.1", "450 4.1.1 x", false },
	{ "enhanced: x.1.x", "450 4.1.9 x", true },
	{ "enhanced: 5.7.500-699", "550 5.7.606 x", true },
	{ "enhanced: 5.7.500-699", "550 5.7.700 x", false },
	{ "enhanced: none", "550 x", true },
	{ "enhanced: none", "550 5.0.0 x", false },
	/* One that stands in the text counts where the field has none. */
	{ "enhanced: 5.1.1", "550\t\t5.1.1 no such user", true },
	{ "enhanced: 5.1.1", "550 sorry, no mailbox here (#5.1.1)", true },
	{ "enhanced: 5.1.1", "550 from #5.1.1.7", false },
	{ "stage: [connect, eom]", "550\t\tx\t\tend-of-data", true },
	{ "stage: rcpt", "550\t\tx\t\tRCPT", true },
	{ "stage: rcpt", "550\t\tx", false },
	{ "provider: '*google*'", "550\t\tx\tGoogle Workspace", true },
	{ "provider: google", "550\t\tx", false },
	{ "text: user unknown", "550 User  UNKNOWN in table", true },
	{ "text: user unknown", "550 user is unknown", false },
	{ "text: [aaaa, bbbb]", "550 xx bbbb", true },
	{ "text: 'us(er|age) (un)?known'", "550 user known", true },
	{ "text: '^full$'", "550 full", true },
	{ "text: '^full$'", "550 is full", false },
	{ "text: 'aaaa|b.?|cccc'", "550 b", true },
	{ "text: 'colou?r'", "550 the color", true },
	{ "text: 'ab{0,2}cde'", "550 acde", true },
	{ "text: '[0-9]{2}xyz'", "550 17xyz", true },
	{ "text: 'a\\.b\\.c'", "550 a.b.c", true },
	{ "text: 'a\\.b\\.c'", "550 axbxc", false },
	/* Accents, quotes, lines. */
	{ "text: boite pleine", "550 Bo\xc3\xaete pleine", true },
	{ "text: bo\xc3\xaete pleine", "550 boite pleine", true },
	{ "text: doesn't exist", "550 doesn\xe2\x80\x99t exist", true },
	{ "text: no such user", "550-no such\r\n550 user", true },
	{ "code: 550, text: full", "552 full", false },
};

static void
each_condition_decides(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(conditions); i++) {
		char text[512];
		struct classifier *k;
		uint32_t line;

		snprintf(text, sizeof(text),
		    "rules:\n- {" V ", %s}\n- {" V "}\n", conditions[i].rule);
		k = make(text);
		assert_string_equal(said, "");
		assert_non_null(k);
		line = line_of(k, conditions[i].reply);
		if (line != (conditions[i].matches ? 2u : 3u))
			fail_msg("%s on %s: line %u", conditions[i].rule,
			    conditions[i].reply, line);
		classifier_free(k);
	}
}

static void
the_first_rule_wins_over_files(void **state)
{
	const struct class_source files[] = {
		{ "mine.yml",
		    SL("rules:\n- {category: SpamBlock, kind: "
		       "throttle, scope: netblock, hard: false, "
		       "text: quota}\n") },
		{ "theirs.yml",
		    SL("rules:\n- {category: QuotaIssues, kind: "
		       "mailbox_full, text: 'q..ta'}\n") },
	};
	struct conf_errors errs = { .report = say };
	struct classifier *k = classifier_new(files, 2, &errs);
	struct class_query q = { .code = 552, .text = SL("over quota") };
	struct class_desk *d;
	struct class_answer a;

	(void)state;
	assert_non_null(k);
	assert_int_equal(classifier_rules(k), 2);
	d = class_desk_new(k);
	classify(k, d, &q, &a);
	assert_string_equal(a.file, "mine.yml");
	assert_int_equal(a.line, 2);
	assert_int_equal(a.judgement.scope, SCOPE_NETBLOCK);
	assert_false(a.judgement.is_hard);
	q.text = SL("over quuta");
	classify(k, d, &q, &a);
	assert_string_equal(a.file, "theirs.yml");
	assert_int_equal(a.judgement.scope, SCOPE_RECIPIENT);
	assert_true(a.judgement.is_hard);
	q.text = SL("something else");
	classify(k, d, &q, &a);
	assert_null(a.file);
	assert_int_equal(a.line, 0);
	assert_int_equal(a.judgement.category, CATEGORY_UNCATEGORIZED);
	class_desk_free(d);
	classifier_free(k);
}

static const struct {
	const char *text, *said;
} mistakes[] = {
	{ "rules:\n- {" V ", code: 55}\n",
	    "r.yml:2:45: rules[1].code, expected a code such as 550, 4xx or "
	    "500-559 (64 at most), got \"55\"\n" },
	{ "rules:\n- {category: Spam, kind: policy}\n",
	    "r.yml:2:14: rules[1].category, expected a category such as "
	    "InvalidRecipient, got \"Spam\"\n" },
	{ "rules:\n- {" V ", txt: a}\n",
	    "r.yml:2:39: rules[1].txt, expected code, enhanced, text, "
	    "provider, stage, category, kind, scope, hard or points, got "
	    "\"txt\"\n" },
	{ "rules:\n- {" V ", text: '(a'}\n",
	    "r.yml:2:45: rules[1].text, expected a pattern (missing closing "
	    "parenthesis, at character 3), got \"(a\"\n" },
	{ "rules:\n- {text: a}\n",
	    "r.yml:2:3: rules[1], expected a category and a kind, got "
	    "nothing\n" },
	{ "rules: 3\n",
	    "r.yml:1:8: rules, expected a list of rules, got "
	    "\"3\"\n" },
	{ "", "r.yml:1:1: rules, expected a list of rules, got \"\"\n" },
	{ "rules: []\nmore: 1\n",
	    "r.yml:2:1: file, expected the keys rules and words only, got "
	    "\"more\"\n" },
	{ "rules:\n- {" V ", points: -1}\n",
	    "r.yml:2:47: rules[1].points, expected points from 0 to 10000, "
	    "got \"-1\"\n" },
	{ "words: other.yml\n",
	    "r.yml:1:8: words, expected a file of words, none, or a table, "
	    "got \"other.yml\"\n" },
	{ "words: {verdicts: []}\n",
	    "r.yml:1:8: words, expected a list of verdicts, points, and "
	    "perhaps a start, got \"a map\"\n" },
	{ "words:\n verdicts:\n - {" V ", text: a}\n points: {}\n",
	    "r.yml:3:40: words.verdicts[1].text, expected code, category, "
	    "kind, scope or hard, got \"text\"\n" },
	{ "words:\n verdicts: []\n points:\n  a b c: {policy: 1}\n"
	  "  blocked: {polity: 1}\n  Blocks: {policy: 10001}\n"
	  "  blocker: {}\n",
	    "r.yml:4:3: words.points.\"a b c\", expected a word or two, not "
	    "said before (six letters count), got \"a b c\"\n"
	    "r.yml:5:13: words.points.blocked, expected categories and "
	    "kinds, with points from -10000 to 10000, got \"polity\"\n"
	    "r.yml:6:12: words.points.Blocks, expected categories and "
	    "kinds, with points from -10000 to 10000, got \"policy\"\n"
	    "r.yml:7:3: words.points.blocker, expected a word or two, not "
	    "said before (six letters count), got \"blocker\"\n" },
};

static void
mistakes_are_told_with_their_place(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(mistakes); i++) {
		assert_null(make(mistakes[i].text));
		assert_string_equal(said, mistakes[i].said);
	}
}

/* A pattern that would take years, and a reply that provokes it. */
static void
a_hostile_pattern_ends_soon(void **state)
{
	struct classifier *k = make("rules:\n"
				    "- {" V ", text: '(a+)+(b+)+(a+)+$'}\n"
				    "- {" V ", text: '(x|xx|xxx)*(y|yy)*z$'}\n"
				    "- {" V "}\n");
	char reply[CLASS_TEXT_MAX];
	struct timespec t0, t1;

	(void)state;
	assert_non_null(k);
	memset(reply, 'a', sizeof(reply) - 1);
	reply[sizeof(reply) - 1] = '\0';
	memcpy(reply, "550 ", 4);
	for (size_t i = 900; i < 1500; i++)
		reply[i] = i % 7 ? 'b' : 'x';
	reply[sizeof(reply) - 2] = '!';
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t0);
	assert_int_equal(line_of(k, reply), 4);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t1);
	assert_true(t1.tv_sec - t0.tv_sec < 2);
	classifier_free(k);
}

/* ---- literals ------------------------------------------------------------ */

static const char *const patterns[] = { "abc", "abcd", "bcd", "c{2}d",
	"(ab|bc)cd", "ab?cd", "[ab]bcd", "ab|cda", "abc.*dab", "a\\.bcd",
	"bcda+", "^abca", "dab$", "\\bcda", "abc(?=d)", "(?:abc)?dab",
	"abcdabcdabcdabcdabcdabcdabcdab", "(abc|bcd)+(a|d)(dab|cab)?",
	"a(?:b(cd|da)|c(ab|bc))d", "(?!abc)(bcd|dab)(?<=b)", "x|(abc){2}" };

struct asked {
	struct classifier *k;
	struct class_desk *d;
};

/* A classifier of one pattern. */
static struct asked
make_one(const char *format, const char *pattern)
{
	char text[256];
	struct asked a;

	snprintf(text, sizeof(text), "rules:\n- {" V ", text: '%s%s%s'}\n",
	    format, pattern, *format ? ")" : "");
	a.k = make(text);
	assert_non_null(a.k);
	a.d = class_desk_new(a.k);
	return a;
}

static void
free_one(struct asked *a)
{
	class_desk_free(a->d);
	classifier_free(a->k);
}

/* What the automaton announces is what trying every pattern would find: the
 * same is said when flags in front hide the literals of a pattern. */
static void
literals_never_hide_a_match(void **state)
{
	struct rng r;

	(void)state;
	rng_seed(&r, 7);
	for (size_t i = 0; i < ARRAY_LEN(patterns); i++) {
		struct asked seen = make_one("", patterns[i]);
		struct asked hidden = make_one("(?s)(?:", patterns[i]);
		uint32_t n = 0;

		for (int round = 0; round < 10000; round++) {
			char text[40];
			struct class_query q = { .code = 550 };
			struct class_answer a, b;

			q.text = slice_of(text, 1 + rng_below(&r, 39));
			for (size_t c = 0; c < q.text.n; c++)
				text[c] = "abcd."[rng_below(&r, 5)];
			classify(seen.k, seen.d, &q, &a);
			classify(hidden.k, hidden.d, &q, &b);
			assert_int_equal(a.line, b.line);
			n += a.line != 0;
		}
		assert_true(n > 0 || strlen(patterns[i]) > 20);
		free_one(&seen);
		free_one(&hidden);
	}
}

/* ---- texts --------------------------------------------------------------- */

static void
replies_are_cut_where_they_end(void **state)
{
	struct slice rest = SL("550-5.1.1 a\r\n550-5.1.1 b\r\n550 5.1.1 c\r\n"
			       "421\t4.7.0\td e\tp q\tMAIL\n"
			       "\n"
			       "550-cut\n"
			       "451 other\n"
			       "no reply\n"
			       "\t5.1.1\tx\n"
			       "550");
	static const struct {
		uint16_t code, detail;
		const char *text;
	} want[] = {
		{ 550, 1, "a\nb\nc" },
		{ 421, 0, "d e" },
		{ 0, 0, "" },
		{ 550, 0, "cut" },
		{ 451, 0, "other" },
		{ 0, 0, "no reply" },
		{ 0, 1, "x" },
		{ 550, 0, "" },
	};
	char text[CLASS_TEXT_MAX];
	struct class_query q;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(want); i++) {
		assert_true(class_read(&rest, text, &q));
		assert_int_equal(q.code, want[i].code);
		assert_int_equal(q.enh.detail, want[i].detail);
		assert_true(slice_eq(q.text, slice_str(want[i].text)));
		if (i == 1) {
			assert_true(slice_eq(q.provider, SL("p q")));
			assert_int_equal(q.stage, STAGE_MAIL);
		}
	}
	assert_false(class_read(&rest, text, &q));
	assert_false(class_is_whole(SL("550-a\n")));
	assert_false(class_is_whole(SL("550 a")));
	assert_true(class_is_whole(SL("550-a\n550 b\n")));
	assert_true(class_is_whole(SL("550\t\t-a\n")));
}

static void
a_long_text_is_cut_and_no_more(void **state)
{
	struct classifier *k = make("rules:\n- {" V ", text: end}\n");
	static char reply[3 * CLASS_TEXT_MAX];

	(void)state;
	assert_non_null(k);
	memset(reply, '\xc3', sizeof(reply) - 1);
	memcpy(reply, "550 end ", 8);
	assert_int_equal(line_of(k, reply), 2);
	memcpy(reply, "550 and ", 8);
	memcpy(reply + CLASS_TEXT_MAX + 4, "end", 3);
	assert_int_equal(line_of(k, reply), 0);
	classifier_free(k);
}

static void
folding_makes_texts_alike(void **state)
{
	static const char *const texts[][2] = {
		{ "  A \t\r\n b\x01 ", "a b" },
		{ "\xc3\x89t\xc3\xa9 \xc5\x81\xc3\xb3"
		  "d\xc5\xba",
		    "ete lodz" },
		{ "\xe2\x80\x9cx\xe2\x80\x9d \xe2\x80\x93 y", "\"x\" - y" },
		{ "\xd0\xbf\xd0\xb8\xd1\x81", "\xd0\xbf\xd0\xb8\xd1\x81" },
		{ "\xff\xc3", "\xff\xc3" },
	};
	char dst[64];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		size_t n = class_fold(slice_str(texts[i][0]), dst, sizeof(dst));

		assert_true(slice_eq(slice_of(dst, n), slice_str(texts[i][1])));
	}
}

/* ---- words --------------------------------------------------------------- */

static const char table[] =
    "words:\n"
    "  verdicts:\n"
    "  - {category: SpamBlock, kind: reputation_block}\n"
    "  - {category: PolicyRelated, kind: throttle, code: 5xx,\n"
    "     scope: netblock, hard: false}\n"
    "  start: {SpamBlock: 10}\n"
    "  points:\n"
    "    blocked: {SpamBlock: 100, reputation_block: 100}\n"
    "    too much: {PolicyRelated: 150, throttle: 150}\n"
    "    <ip>: {SpamBlock: 30}\n"
    "    much: {throttle: -20}\n"
    "rules:\n"
    "- {text: sure, category: RelayDenied, kind: relay}\n"
    "- {text: guess, category: RelayDenied, kind: relay, points: 210}\n";

static const struct {
	const char *reply;
	enum category category;
	uint32_t line;
} weighed[] = {
	{ "550 sure it is blocked", CATEGORY_RELAY_DENIED, 13 },
	/* 210 points against as many are enough; against 240 they are not. */
	{ "550 guess it is blocked", CATEGORY_RELAY_DENIED, 14 },
	{ "550 guess 192.0.2.1 is blocked", CATEGORY_SPAM_BLOCK, 8 },
	{ "550 BLOCKS and blocker, twice", CATEGORY_SPAM_BLOCK, 8 },
	{ "550 too much of it", CATEGORY_POLICY_RELATED, 9 },
	{ "550 too  much", CATEGORY_POLICY_RELATED, 9 },
	/* The two words do not stand in a row; that verdict is for 5xx only. */
	{ "550 too very much", CATEGORY_SPAM_BLOCK, 3 },
	{ "450 too much", CATEGORY_SPAM_BLOCK, 3 },
	{ "550 too much, blocked [192.0.2.1] (192.0.2.2)",
	    CATEGORY_POLICY_RELATED, 9 },
	{ "550", CATEGORY_SPAM_BLOCK, 3 },
};

static void
words_decide_where_no_rule_is_sure(void **state)
{
	struct classifier *k = make(table);
	struct class_desk *d;
	struct class_answer a;

	(void)state;
	if (k == NULL)
		fail_msg("%s", said);
	d = class_desk_new(k);
	for (size_t i = 0; i < ARRAY_LEN(weighed); i++) {
		struct slice rest = slice_str(weighed[i].reply);
		char text[CLASS_TEXT_MAX];
		struct class_query q;

		assert_true(class_read(&rest, text, &q));
		classify(k, d, &q, &a);
		if (a.judgement.category != weighed[i].category ||
		    a.line != weighed[i].line)
			fail_msg("%s: category %u, line %u", weighed[i].reply,
			    a.judgement.category, a.line);
		if (a.line != 9)
			continue;
		assert_int_equal(a.judgement.kind, KIND_THROTTLE);
		assert_int_equal(a.judgement.scope, SCOPE_NETBLOCK);
		assert_false(a.judgement.is_hard);
	}
	class_desk_free(d);
	classifier_free(k);
}

/* What stands for what differs from reply to reply. */
static void
texts_are_cut_into_words(void **state)
{
	static const struct {
		const char *key, *text;
		bool has;
	} cases[] = {
		{ "<url>", "see (https://x.example/a?b=1)", true },
		{ "<url>", "see www.x.example", true },
		{ "<address>", "<a.b@x.example>... no", true },
		{ "<ip>", "from [192.0.2.1]:", true },
		{ "<ip>", "from 2001:db8::1,", true },
		{ "<ip>", "at 1.2.3.x4", false },
		{ "<number>", "at 1.2.3.x4", true },
		{ "<number>", "id ab-12", true },
		{ "<host>", "by mx.example.com:", true },
		{ "<host>", "by mx. example", false },
		{ "not", "doesn't", true },
		{ "does", "doesn't", true },
		{ "n", "doesn't", false },
		{ "reputation", "low reputations", true },
		{ "e-mail", "mail", false },
		{ "\xd0\xbf\xd0\xb8\xd1\x81\xd1\x8c\xd0\xbc\xd0\xbe",
		    "\xd0\xbf\xd0\xb8\xd1\x81\xd1\x8c\xd0\xbc\xd0\xbe"
		    "\xd0\xbc",
		    true },
		{ "^ first", "(first) second", true },
		{ "second $", "first \"second.\"", true },
		{ "first second", "first/second", true },
		{ "550", "x", true },
		{ "5xx", "x", true },
		{ "4xx", "x", false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char text[512], reply[128];
		struct classifier *k;
		uint32_t line;

		snprintf(text, sizeof(text),
		    "words:\n verdicts:\n - {category: SpamBlock, kind: "
		    "policy}\n - {category: SpamContent, kind: policy}\n "
		    "points:\n  '%s': {SpamContent: 1}\n",
		    cases[i].key);
		k = make(text);
		if (k == NULL)
			fail_msg("%s", said);
		snprintf(reply, sizeof(reply), "550\t\t%s", cases[i].text);
		line = line_of(k, reply);
		if (line != (cases[i].has ? 6u : 3u))
			fail_msg("%s in %s: line %u", cases[i].key,
			    cases[i].text, line);
		classifier_free(k);
	}
}

static void
the_first_file_says_which_words(void **state)
{
	const struct class_source files[] = {
		{ "mine.yml", SL("words: none\n") },
		{ "theirs.yml", slice_str(table) },
	};
	struct conf_errors errs = { .report = say };

	(void)state;
	for (uint32_t first = 0; first < 2; first++) {
		struct classifier *k =
		    classifier_new(&files[first], 2 - first, &errs);

		assert_non_null(k);
		assert_int_equal(line_of(k, "550 blocked"), first ? 8 : 0);
		classifier_free(k);
	}
}

/* Where trying again can help it is tried again, whatever the code. */
static void
a_soft_5xx_is_no_bounce(void **state)
{
	static const struct {
		const char *text;
		uint16_t code;
		uint8_t klass, wants;
	} cases[] = {
		{ "limited", 550, OUTCOME_BOUNCED, OUTCOME_TRANSIENT },
		{ "unknown", 550, OUTCOME_BOUNCED, OUTCOME_BOUNCED },
		{ "anything", 550, OUTCOME_BOUNCED, OUTCOME_BOUNCED },
		{ "unknown", 450, OUTCOME_TRANSIENT, OUTCOME_TRANSIENT },
		{ "limited", 550, OUTCOME_UNSENT, OUTCOME_UNSENT },
	};
	struct classifier *k =
	    make("rules:\n- { text: [limited], category: "
		 "PolicyRelated, kind: throttle, hard: false "
		 "}\n- { text: [unknown], category: "
		 "InvalidRecipient, kind: unknown_user }\n");
	struct class_desk *d;

	(void)state;
	if (k == NULL)
		fail_msg("%s", said);
	d = class_desk_new(k);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct outcome o = { .klass = cases[i].klass,
			.code = cases[i].code };

		class_judge(k, d, SL(""), slice_str(cases[i].text), &o);
		assert_true(o.is_judged);
		assert_int_equal(o.klass, cases[i].klass);
		assert_int_equal(eng_outcome_meant(&o).klass, cases[i].wants);
	}
	class_desk_free(d);
	classifier_free(k);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_condition_decides),
		cmocka_unit_test(the_first_rule_wins_over_files),
		cmocka_unit_test(mistakes_are_told_with_their_place),
		cmocka_unit_test(a_hostile_pattern_ends_soon),
		cmocka_unit_test(literals_never_hide_a_match),
		cmocka_unit_test(replies_are_cut_where_they_end),
		cmocka_unit_test(a_long_text_is_cut_and_no_more),
		cmocka_unit_test(folding_makes_texts_alike),
		cmocka_unit_test(words_decide_where_no_rule_is_sure),
		cmocka_unit_test(texts_are_cut_into_words),
		cmocka_unit_test(the_first_file_says_which_words),
		cmocka_unit_test(a_soft_5xx_is_no_bounce),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

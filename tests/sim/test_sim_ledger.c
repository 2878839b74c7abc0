/*
 * The ledger: each way in which a recipient can end is counted in its own
 * column, and what must not happen is found, by id.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <unistd.h>

#include "verify.h"
#include "world/journal.h"

static char load_path[256], sink_path[256], events_path[256], queue_path[256];

static void
write_file(const char *path, const char *text)
{
	FILE *f = fopen(path, "we");

	assert_non_null(f);
	assert_int_equal(fwrite(text, 1, strlen(text), f), strlen(text));
	assert_int_equal(fclose(f), 0);
}

static int
set_up(void **state)
{
	const char *dir = getenv("TMP");

	(void)state;
	if (dir == NULL)
		dir = "/tmp";
	snprintf(load_path, sizeof(load_path), "%s/load", dir);
	snprintf(sink_path, sizeof(sink_path), "%s/sink", dir);
	snprintf(events_path, sizeof(events_path), "%s/events", dir);
	snprintf(queue_path, sizeof(queue_path), "%s/queue", dir);
	return 0;
}

/* Reads what is not NULL and adds it up. */
static void
sum_of(struct sum *s, struct ledger *g, const char *load, const char *sink,
    const char *events, const char *queue, uint64_t queued)
{
	char text[8192];

	ledger_init(g);
	snprintf(text, sizeof(text), "# mtasim load 1\n%s", load);
	write_file(load_path, text);
	assert_int_equal(ledger_read_load(g, load_path), 0);
	snprintf(text, sizeof(text), "# mtasim sink 1\n%s", sink);
	write_file(sink_path, text);
	assert_int_equal(ledger_read_sink(g, sink_path), 0);
	if (events != NULL) {
		write_file(events_path, events);
		assert_int_equal(ledger_read_events(g, events_path), 0);
	}
	if (queue != NULL) {
		write_file(queue_path, queue);
		assert_int_equal(ledger_read_queue(g, queue_path), 0);
	}
	sum_make(s, g, NULL, queued);
}

static void
done(struct sum *s, struct ledger *g)
{
	sum_free(s);
	ledger_free(g);
}

#define ACKED(id, rcpts) "2000000 acked " id " 1000000 4096 250 " rcpts "\n"
#define TOOK(id, rcpts)                                                        \
	"1500000 recv ok " id " 127.0.0.1 sink clear 4096 " rcpts "\n"
#define A "00000000000000a0"
#define B "00000000000000b0"

static void
delivered_once_is_balanced(void **state)
{
	struct ledger g;
	struct sum s;

	(void)state;
	sum_of(&s, &g, ACKED(A, "0:x.example,1:y.example"),
	    TOOK(A, "r0." A "@x.example") TOOK(A, "r1." A "@Y.example"), NULL,
	    NULL, 0);
	assert_true(s.total.acked == 2 && s.total.delivered == 2);
	assert_true(s.total.lost == 0 && s.total.duplicates == 0);
	assert_int_equal(s.nrows, 2);
	/* From intended start to reception: 500 ms, in steps of 1.6 %. */
	assert_in_range(hist_quantile(s.total.late, 5000), 490000, 510000);
	done(&s, &g);
}

static void
what_is_nowhere_is_lost(void **state)
{
	struct ledger g;
	struct sum s;

	(void)state;
	sum_of(&s, &g, ACKED(A, "0:x.example,1:x.example"),
	    TOOK(A, "r1." A "@x.example"), NULL, NULL, 0);
	assert_true(s.total.lost == 1 && s.lost.n == 1);
	assert_true(g.v[s.lost.v[0]].id == 0xa0);
	assert_int_equal(g.v[s.lost.v[0]].rcpt, 0);
	done(&s, &g);
}

static void
a_count_of_queued_covers_as_many(void **state)
{
	struct ledger g;
	struct sum s;

	(void)state;
	sum_of(&s, &g, ACKED(A, "0:x.example,1:x.example"), "", NULL, NULL, 1);
	assert_true(s.total.queued == 1 && s.total.lost == 1);
	done(&s, &g);
}

static void
twice_is_a_duplicate(void **state)
{
	struct ledger g;
	struct sum s;

	(void)state;
	sum_of(&s, &g, ACKED(A, "0:x.example"),
	    TOOK(A, "r0." A "@x.example") TOOK(A, "r0." A "@x.example")
		TOOK(A, "r0." A "@x.example"),
	    NULL, NULL, 0);
	assert_true(s.total.delivered == 1 && s.total.duplicates == 2);
	assert_true(s.duplicates.n == 1);
	done(&s, &g);
}

static void
in_doubt_may_arrive_once_or_not_at_all(void **state)
{
	struct ledger g;
	struct sum s;

	(void)state;
	sum_of(&s, &g,
	    "2 doubt " A " 1 4096 0 0:x.example\n"
	    "2 doubt " B " 1 4096 0 0:x.example\n",
	    TOOK(A, "r0." A "@x.example"), NULL, NULL, 0);
	assert_true(s.doubt == 2 && s.doubt_delivered == 1);
	assert_true(s.total.acked == 0 && s.total.lost == 0);
	assert_true(s.total.duplicates == 0);
	done(&s, &g);
}

static void
refused_must_not_arrive(void **state)
{
	struct ledger g;
	struct sum s;

	(void)state;
	sum_of(&s, &g,
	    "2 refused " A " 1 4096 451 1:x.example\n"
	    "2 acked " A " 1 4096 250 0:x.example\n"
	    "2 unsent " B " 1 4096 0 0:x.example\n",
	    TOOK(A, "r0." A "@x.example,r1." A "@x.example"), NULL, NULL, 0);
	assert_true(s.refused == 1 && s.unsent == 1);
	assert_true(s.total.acked == 1 && s.total.duplicates == 1);
	assert_int_equal(g.v[s.duplicates.v[0]].rcpt, 1);
	done(&s, &g);
}

static void
a_changed_message_is_corrupt(void **state)
{
	struct ledger g;
	struct sum s;

	(void)state;
	sum_of(&s, &g, ACKED(A, "0:x.example"),
	    "15 recv bad " A " 127.0.0.1 sink clear 4096 r0." A "@x.example\n",
	    NULL, NULL, 0);
	assert_true(s.total.corrupt == 1 && s.corrupt.n == 1);
	assert_true(s.total.lost == 0);
	done(&s, &g);
}

static void
events_tell_of_bounces(void **state)
{
	static const char events[] =
	    "{\"type\":\"Reception\",\"id\":\"QA\",\"recipient\":\"r0." A
	    "@x.example\"}\n"
	    "{\"type\":\"Bounce\",\"id\":\"QA\",\"recipient\":\"r0." A
	    "@x.example\"}\n"
	    "{\"type\":\"Bounce\",\"id\":\"QA\",\"recipient\":\"r0." A
	    "@x.example\"}\n"
	    "{\"type\":\"Expiration\",\"recipient\":\"r1." A "@x.example\"}\n"
	    "{\"type\":\"Delivery\",\"recipient\":\"r2." A "@x.example\"}\n"
	    "{\"type\":\"AdminDelete\",\"recipient\":\"r3." A "@x.example\"}\n"
	    "{\"type\":\"Reception\",\"id\":\"QB\",\"recipient\":\"r0." B
	    "@x.example\"}\n"
	    "{\"type\":\"Quarantine\",\"id\":\"QB\"}\n"
	    "not JSON\n"
	    "{\"type\":\"Bounce\",\"recipient\":\"stranger@x.example\"}\n"
	    "{\"type\":\"Bounce\",\"recipient\":\"torn";
	struct ledger g;
	struct sum s;

	(void)state;
	sum_of(&s, &g,
	    ACKED(A, "0:x.example,1:x.example,2:x.example,3:x.example")
		ACKED(B, "0:x.example"),
	    TOOK(A, "r2." A "@x.example"), events, NULL, 0);
	assert_true(s.total.bounced == 1 && s.total.expired == 1);
	assert_true(s.total.delivered == 1 && s.total.removed == 2);
	assert_true(s.total.lost == 0 && s.unbooked == 0);
	assert_true(g.odd == 1 && g.torn == 1);
	done(&s, &g);
}

static void
bounced_and_delivered_is_a_duplicate(void **state)
{
	struct ledger g;
	struct sum s;

	(void)state;
	sum_of(&s, &g, ACKED(A, "0:x.example"), TOOK(A, "r0." A "@x.example"),
	    "{\"type\":\"Bounce\",\"recipient\":\"r0." A "@x.example\"}\n",
	    NULL, 0);
	assert_true(s.total.duplicates == 1 && s.total.acked == 1);
	assert_true(s.unbooked == 1);
	done(&s, &g);
}

static void
a_delivery_in_the_log_alone_is_a_loss(void **state)
{
	struct ledger g;
	struct sum s;

	(void)state;
	sum_of(&s, &g, ACKED(A, "0:x.example"), "",
	    "{\"type\":\"Delivery\",\"recipient\":\"r0." A "@x.example\"}\n",
	    NULL, 0);
	assert_true(s.total.lost == 1);
	done(&s, &g);
}

static void
a_listing_names_what_is_queued(void **state)
{
	struct ledger g;
	struct sum s;

	(void)state;
	sum_of(&s, &g,
	    ACKED(A, "0:x.example,1:y.example") ACKED(B, "0:x.example"), "",
	    "{\"type\":\"Reception\",\"id\":\"QA\",\"recipient\":\"r0." A
	    "@x.example\"}\n",
	    "{\"recipients\":[{\"id\":\"QA\",\"domain\":\"y.example\"},"
	    "{\"address\":\"r0." B "@x.example\"}]}",
	    0);
	assert_true(s.total.queued == 2 && s.total.lost == 1);
	assert_true(g.v[s.lost.v[0]].id == 0xa0);
	done(&s, &g);
}

static void
other_mail_and_odd_lines_do_no_harm(void **state)
{
	struct ledger g;
	struct sum s;

	(void)state;
	sum_of(&s, &g,
	    ACKED(A, "0:x.example") "\n"
				    "1 acked nonsense 1 1 250 0:x\n"
				    "1 acked " B " 1 1 250 900:x\n",
	    TOOK(A, "r0." A "@x.example") TOOK("00000000000000c0",
		"r0.00000000000000c0@x.example") "1 recv none - 127.0.0.1 sink clear 10 who@x.example\n"
						 "1 refuse mail - 127.0.0.1 sink 451 -\n"
						 "what is this\n"
						 "1 recv ok " A
						 " 127.0.0.1 sink clear 4096 r0." A
						 "@x.exam",
	    NULL, NULL, 0);
	assert_true(s.total.delivered == 1 && s.total.duplicates == 0);
	assert_true(s.strangers == 1 && g.foreign == 1);
	assert_true(g.torn == 1 && g.odd == 4);
	done(&s, &g);
}

static void
many_domains_become_few_rows(void **state)
{
	struct ledger g;
	struct sum s;
	uint64_t acked = 0;

	(void)state;
	ledger_init(&g);
	write_file(load_path, "# mtasim load 1\n");
	for (uint32_t i = 0; i < 5000; i++) {
		struct entry *e = ledger_entry(&g, i, 0);
		char name[32];
		int n = snprintf(name, sizeof(name), "d%u.example", i % 500);

		e->claim = CLAIM_ACKED;
		e->delivered = 1;
		e->domain = names_take(&g.domains, slice_of(name, (size_t)n));
	}
	sum_make(&s, &g, NULL, 0);
	assert_int_equal(s.nrows, SUM_ROWS_MAX + 1);
	for (uint32_t i = 0; i < s.nrows; i++)
		acked += s.rows[i].acked;
	assert_true(acked == 5000 && s.total.acked == 5000);
	done(&s, &g);
}

static void
journals_keep_what_they_are_given(void **state)
{
	struct journal j;
	char text[256];
	struct buf *b;
	ssize_t n;
	FILE *f;

	(void)state;
	assert_int_equal(journal_open(&j, sink_path, "sink"), 0);
	for (int i = 0; i < 30000; i++) {
		b = journal_line(&j);
		assert_non_null(b);
		journal_add_text(b, SL("a b,c%d\n\x80"));
		journal_end(&j);
	}
	assert_int_equal(journal_close(&j), 0);
	f = fopen(sink_path, "re");
	assert_non_null(f);
	n = (ssize_t)fread(text, 1, sizeof(text) - 1, f);
	text[n] = '\0';
	assert_true(strncmp(text, "# mtasim sink 1\na%20b%2Cc%25d%0A%80\na%20b",
			40) == 0);
	fseek(f, 0, SEEK_END);
	assert_int_equal(ftell(f), 16 + 30000 * 20);
	fclose(f);
	assert_int_equal(journal_open(&j, NULL, "sink"), 0);
	assert_null(journal_line(&j));
	assert_int_equal(journal_close(&j), 0);
	assert_int_not_equal(journal_open(&j, "/nowhere/at/all", "sink"), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(delivered_once_is_balanced),
		cmocka_unit_test(what_is_nowhere_is_lost),
		cmocka_unit_test(a_count_of_queued_covers_as_many),
		cmocka_unit_test(twice_is_a_duplicate),
		cmocka_unit_test(in_doubt_may_arrive_once_or_not_at_all),
		cmocka_unit_test(refused_must_not_arrive),
		cmocka_unit_test(a_changed_message_is_corrupt),
		cmocka_unit_test(events_tell_of_bounces),
		cmocka_unit_test(bounced_and_delivered_is_a_duplicate),
		cmocka_unit_test(a_delivery_in_the_log_alone_is_a_loss),
		cmocka_unit_test(a_listing_names_what_is_queued),
		cmocka_unit_test(other_mail_and_odd_lines_do_no_harm),
		cmocka_unit_test(many_domains_become_few_rows),
		cmocka_unit_test(journals_keep_what_they_are_given),
	};

	return cmocka_run_group_tests(tests, set_up, NULL);
}

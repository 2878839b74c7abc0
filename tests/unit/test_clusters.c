/*
 * Reply clusters: what differs from message to message is taken out, the same
 * words are counted together, and there are never too many.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "relay/clusters.h"

static void
strips_to(const char *text, const char *wanted)
{
	char out[CLUSTER_TEXT + 1];

	out[cluster_strip(slice_str(text), out, CLUSTER_TEXT)] = '\0';
	assert_string_equal(out, wanted);
}

static void
what_differs_is_taken_out(void **state)
{
	(void)state;
	strips_to("<joe@a.example>: user unknown", "<<address>>: user unknown");
	strips_to("try again in 300 seconds", "try again in <n> seconds");
	strips_to("4.7.1 greylisted", "4.7.1 greylisted");
	strips_to("[192.0.2.17] is listed", "[<ip>] is listed");
	strips_to("from 2001:db8::1, no", "from <ip>, no");
	strips_to("mx7.mail.example said no.", "<host> said no.");
	strips_to("see https://x.example/?a=b for more",
	    "see <url>?a=b for more");
	strips_to("queue id 9F3A77B2C1 deferred", "queue id <id> deferred");
	strips_to("Mailbox full", "Mailbox full");
}

static void
the_same_words_are_one_cluster(void **state)
{
	struct clusters *c = clusters_new();
	struct outcome o = { .klass = OUTCOME_TRANSIENT,
		.code = 451,
		.stage = STAGE_RCPT };
	const struct cluster *v[CLUSTERS];

	(void)state;
	clusters_add(c, 7, &o, SL("busy, wait 10 s"), 3, 1000);
	clusters_add(c, 7, &o, SL("full"), 3, 1500);
	clusters_add(c, 7, &o, SL("busy, wait 25 s"), 4, 2000);
	clusters_add(c, 8, &o, SL("busy, wait 25 s"), 4, 2000);
	assert_int_equal(clusters_get(c, 7, v), 2);
	assert_int_equal(v[0]->count, 2);
	assert_int_equal(v[0]->first_us, 1000);
	assert_int_equal(v[0]->last_us, 2000);
	assert_int_equal(v[0]->nsources, 2);
	assert_memory_equal(v[0]->text, "busy, wait <n> s", v[0]->text_n);
	assert_int_equal(v[1]->count, 1);
	assert_int_equal(clusters_get(c, 9, v), 0);
	clusters_free(c);
}

static void
there_are_never_too_many(void **state)
{
	struct clusters *c = clusters_new();
	struct outcome o = { .code = 550 };
	const struct cluster *v[CLUSTERS];
	char text[40];

	(void)state;
	for (uint32_t q = 1; q <= 3 * CLUSTER_QUEUES; q++)
		clusters_add(c, q, &o, SL("no"), q, q);
	assert_int_equal(clusters_get(c, 3 * CLUSTER_QUEUES, v), 1);
	assert_int_equal(clusters_get(c, 2 * CLUSTER_QUEUES + 1, v), 1);
	assert_int_equal(clusters_get(c, 2 * CLUSTER_QUEUES, v), 0);
	for (uint32_t i = 0; i < 100; i++) {
		snprintf(text, sizeof(text), "%c%c word", 'a' + (char)(i / 10),
		    'a' + (char)(i % 10));
		clusters_add(c, 5, &o, slice_str(text), i + 1, i);
	}
	assert_int_equal(clusters_get(c, 5, v), CLUSTERS);
	for (uint32_t i = 0; i < 100; i++)
		clusters_add(c, 6, &o, SL("no"), i + 1, i);
	assert_int_equal(clusters_get(c, 6, v), 1);
	assert_true(v[0]->nsources > CLUSTER_SOURCES);
	clusters_free(c);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_differs_is_taken_out),
		cmocka_unit_test(the_same_words_are_one_cluster),
		cmocka_unit_test(there_are_never_too_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * test_mailbox - four threads push, one takes: nothing is lost or doubled, and
 * what one thread pushed comes in its order.
 * tsan: yes
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "daemon/mailbox.h"

#define PUSHERS 4
#define EACH 20000

struct letter {
	struct post post;
	uint32_t from, number;
};

static struct mailbox box;
static struct letter letters[PUSHERS][EACH];

static void *
push_all(void *arg)
{
	uint32_t from = (uint32_t)(uintptr_t)arg;
	struct posts list = { NULL, NULL };

	for (uint32_t i = 0; i < EACH; i++) {
		struct letter *l = &letters[from][i];

		l->from = from;
		l->number = i;
		if (i % 3 == 0) { /* alone, and in lists */
			mailbox_push(&box, &list);
			mailbox_push_one(&box, &l->post);
		} else
			posts_push(&list, &l->post);
	}
	mailbox_push(&box, &list);
	return NULL;
}

static void
nothing_is_lost_and_order_is_kept(void **state)
{
	pthread_t thread[PUSHERS];
	uint32_t next[PUSHERS] = { 0 }, n = 0;
	struct posts got = { NULL, NULL };
	struct post *p;

	(void)state;
	for (uintptr_t i = 0; i < PUSHERS; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, push_all,
				     (void *)i),
		    0);
	while (n < PUSHERS * EACH) {
		mailbox_take(&box, &got);
		while ((p = posts_shift(&got))) {
			struct letter *l = container_of(p, struct letter, post);

			assert_int_equal(l->number, next[l->from]);
			next[l->from]++;
			n++;
		}
	}
	for (int i = 0; i < PUSHERS; i++)
		pthread_join(thread[i], NULL);
	assert_true(mailbox_is_empty(&box));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_is_lost_and_order_is_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

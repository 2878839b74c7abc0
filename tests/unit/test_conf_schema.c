/*
 * What is made from the option table: the JSON Schema, which is well-formed
 * and closed, and the reference page, which is the one that is checked in.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <jansson.h>

#include "test_conf.h"

#define PAGE_MAX (1u << 20)

static json_t *
schema(void)
{
	struct buf b;
	json_t *j;

	buf_init(&b, PAGE_MAX);
	assert_int_equal(conf_schema(SL("configuration"), &b), 0);
	j = json_loadb(b.p + b.off, b.n, JSON_REJECT_DUPLICATES, NULL);
	assert_non_null(j);
	buf_free(&b);
	return j;
}

/* The schema of an option; a star goes into the entries of a map. */
static json_t *
option(json_t *j, const char *path)
{
	struct slice rest = slice_str(path);

	while (rest.p != NULL) {
		struct slice key = slice_cut(&rest, '/');

		if (slice_eq(key, SL("*")))
			j = json_object_get(j, "additionalProperties");
		else
			j = json_object_getn(json_object_get(j, "properties"),
			    key.p, key.n);
		assert_non_null(j);
	}
	return j;
}

static void
assert_is(json_t *j, const char *key, const char *text)
{
	assert_string_equal(json_string_value(json_object_get(j, key)), text);
}

static void
schema_is_of_the_draft(void **state)
{
	json_t *j = schema();

	(void)state;
	assert_is(j, "$schema", "https://json-schema.org/draft/2020-12/schema");
	assert_is(j, "type", "object");
	json_decref(j);
}

/* Every map with fixed keys refuses others; returns how many there are. */
static size_t
count_closed(json_t *j)
{
	const char *key;
	json_t *value;
	size_t n = 0, i;

	if (json_object_get(j, "properties") != NULL &&
	    json_is_object(json_object_get(j, "properties"))) {
		assert_true(
		    json_is_false(json_object_get(j, "additionalProperties")));
		n++;
	}
	if (json_is_object(j))
		json_object_foreach(j, key, value)
			n += count_closed(value);
	else
		json_array_foreach(j, i, value)
			n += count_closed(value);
	return n;
}

static void
schema_is_closed(void **state)
{
	json_t *j = schema();

	(void)state;
	/* The file; timeouts, listen.*, its timeouts and tls; source.* and its tls,
	 * pool.*, tenant.* and its campaigns, route.*, limits.*, limit.* and its
	 * where, provider.*, its
	 * source.*; proxy.* and its tls; retry; client
	 * and its timeouts; dns; warmup.*; automation.*; drain and its
	 * tls; dkim and its key.*; account.*; token.*; steering; inbound.*;
	 * suppression and its bounces, complaints; sendmail; tls_report. */
	assert_int_equal(count_closed(j), 38);
	json_decref(j);
}

static void
schema_says_what_the_table_says(void **state)
{
	json_t *j = schema(), *o, *required;

	(void)state;
	o = option(j, "expire");
	assert_is(o, "default", "5d");
	assert_non_null(json_object_get(o, "description"));
	o = option(j, "node");
	assert_int_equal(json_integer_value(json_object_get(o, "maximum")),
	    65535);
	o = option(j, "bare_newlines");
	assert_string_equal(json_string_value(
				json_array_get(json_object_get(o, "enum"), 1)),
	    "normalise");
	required = json_object_get(option(j, "listen/*"), "required");
	assert_int_equal(json_array_size(required), 1);
	assert_string_equal(json_string_value(json_array_get(required, 0)),
	    "bind");
	option(j, "listen/*/tls/cert");
	option(j, "listen/*/timeouts/eom");
	option(j, "limits/*/backoff_max");
	option(j, "client/timeouts/idle");
	json_decref(j);
}

static void
a_buffer_that_is_too_small(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 1000);
	assert_int_not_equal(conf_schema(SL("configuration"), &b), 0);
	buf_free(&b);
	buf_init(&b, 1000);
	assert_int_not_equal(conf_reference(&b), 0);
	buf_free(&b);
}

/* `mtad schema --reference >share/doc/configuration.md` when it differs. */
static void
reference_is_the_page_of_the_manual(void **state)
{
	FILE *f = fopen("share/doc/configuration.md", "r");
	char *page = mem_get(PAGE_MAX);
	struct buf b;
	size_t n;

	(void)state;
	assert_non_null(f);
	n = fread(page, 1, PAGE_MAX - 1, f);
	fclose(f);
	buf_init(&b, PAGE_MAX);
	assert_int_equal(conf_reference(&b), 0);
	assert_int_equal(n, b.n);
	assert_memory_equal(page, b.p + b.off, n);
	buf_free(&b);
	mem_free(page);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(schema_is_of_the_draft),
		cmocka_unit_test(schema_is_closed),
		cmocka_unit_test(schema_says_what_the_table_says),
		cmocka_unit_test(a_buffer_that_is_too_small),
		cmocka_unit_test(reference_is_the_page_of_the_manual),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

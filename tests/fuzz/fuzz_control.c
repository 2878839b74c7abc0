/*
 * Parameters of control requests: the first byte says whether the rest is a
 * query string, a JSON body, or both with a NUL between them. Whatever comes,
 * the result is bounded, and each text is followed by a NUL and holds none.
 */
#include "control/control_i.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check(const struct args *a)
{
	const struct control_params *p = &a->params;

	ASSERT(p->n <= CONTROL_PARAMS_MAX);
	for (uint32_t i = 0; i < p->n; i++) {
		ASSERT(p->v[i].key.n > 0);
		ASSERT(strlen(p->v[i].key.p) == p->v[i].key.n);
		ASSERT(strlen(p->v[i].value.p) == p->v[i].value.n);
		ASSERT(
		    slice_eq(control_param(p, p->v[i].key.p), p->v[i].value));
	}
}

/* A value that was encoded comes back as it was. */
static void
check_encoding(struct slice text)
{
	struct args a;
	struct buf query;
	const char *why = NULL;
	struct slice s;

	buf_init(&query, 4u * CONTROL_BODY_MAX);
	control_query_add(&query, "k", text);
	args_init(&a);
	s = slice_skip(buf_slice(&query), 1);
	if (!query.failed && args_add_query(&a, s, &why) == 0)
		ASSERT(slice_eq(control_param(&a.params, "k"), text));
	else
		ASSERT(slice_index(text, '\0') < text.n || query.failed ||
		    text.n > CONTROL_BODY_MAX);
	args_free(&a);
	buf_free(&query);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice all = slice_of((const char *)data, size), query, body;
	const char *why = "";
	struct args a;
	int err = 0;

	if (size == 0 || size > CONTROL_BODY_MAX)
		return 0;
	body = slice_skip(all, 1);
	query = slice_cut(&body, '\0');
	args_init(&a);
	if (data[0] & 1)
		err = args_add_query(&a, query, &why);
	if (err == 0 && (data[0] & 2))
		err = args_add_json(&a, body.p ? body : slice_of("", 0), &why);
	ASSERT(err == 0 || why[0] != '\0');
	check(&a);
	args_free(&a);
	check_encoding(slice_skip(all, 1));
	return 0;
}

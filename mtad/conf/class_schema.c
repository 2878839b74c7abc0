/*
 * conf/class_schema.c - JSON Schema of files of rules of classification, and of
 * their words; what class_rules.c reads.
 */
#include "conf/classify_i.h"
#include "conf/schema_i.h"

#define PART "([xX]|[0-9]{1,3}(-[0-9]{1,3})?)"

static void
put_range(struct jsonw *w, int64_t lo, int64_t hi)
{
	jw_ki64(w, "minimum", lo);
	jw_ki64(w, "maximum", hi);
}

static void
put_code(struct jsonw *w)
{
	schema_types(w, "string", "integer");
	jw_kstr(w, "pattern",
	    SL("^([1-9][0-9]{2}(-[1-9][0-9]{2})?|[1-9][0-9][xX]|"
	       "[1-9][xX]{2})$"));
	put_range(w, 100, 999);
}

static void
put_enhanced(struct jsonw *w)
{
	jw_kstr(w, "type", SL("string"));
	jw_kstr(w, "pattern",
	    SL("^([nN][oO][nN][eE]|[245xX]\\." PART "\\." PART ")$"));
}

static void
put_text(struct jsonw *w)
{
	schema_types(w, "string", "number");
	jw_ki64(w, "minLength", 1);
	jw_ki64(w, "maxLength", CLASS_PATTERN_MAX);
}

static void
put_provider(struct jsonw *w)
{
	schema_types(w, "string", "number");
	jw_ki64(w, "minLength", 1);
}

static const char *
stage_at(uint32_t i)
{
	return stage_name((enum stage)i);
}

static void
put_stage(struct jsonw *w)
{
	jw_key(w, "enum");
	jw_open(w, '[');
	for (uint32_t i = 0; i < STAGE_N; i++)
		if (class_stage(slice_str(stage_at(i))) != STAGE_NONE)
			jw_str(w, slice_str(stage_at(i)));
	jw_str(w, SL("eod")); /* as class_stage */
	jw_str(w, SL("end-of-data"));
	jw_close(w, ']');
}

static void
put_category(struct jsonw *w)
{
	schema_enum(w, schema_category, CATEGORY_N);
}

static void
put_kind(struct jsonw *w)
{
	schema_enum(w, schema_kind, KIND_N);
}

static const char *
scope_at(uint32_t i)
{
	return scope_name((enum scope)i);
}

static void
put_scope(struct jsonw *w)
{
	schema_enum(w, scope_at, SCOPE_N);
}

static void
put_hard(struct jsonw *w)
{
	jw_kstr(w, "type", SL("boolean"));
}

static void
put_points(struct jsonw *w)
{
	jw_kstr(w, "type", SL("integer"));
	put_range(w, 0, CLASS_POINTS_MAX);
}

/* The keys of a rule; those of a verdict of words are fewer. */
static const struct {
	const char *name;
	void (*put)(struct jsonw *w);
	uint32_t list_max; /* 0: no list */
	bool is_of_verdict;
} keys[] = {
	{ "code", put_code, CLASS_LIST_MAX, true },
	{ "enhanced", put_enhanced, CLASS_LIST_MAX, false },
	{ "text", put_text, CLASS_ATOMS_MAX, false },
	{ "provider", put_provider, CLASS_LIST_MAX, false },
	{ "stage", put_stage, CLASS_LIST_MAX, false },
	{ "category", put_category, 0, true },
	{ "kind", put_kind, 0, true },
	{ "scope", put_scope, 0, true },
	{ "hard", put_hard, 0, true },
	{ "points", put_points, 0, false },
};

static void
put_list(struct jsonw *w, void (*put)(struct jsonw *w), uint32_t max)
{
	jw_key(w, "anyOf");
	jw_open(w, '[');
	jw_open(w, '{');
	put(w);
	jw_close(w, '}');
	jw_open(w, '{');
	jw_kstr(w, "type", SL("array"));
	jw_ki64(w, "minItems", 1);
	jw_ku64(w, "maxItems", max);
	jw_key(w, "items");
	jw_open(w, '{');
	put(w);
	jw_close(w, '}');
	jw_close(w, '}');
	jw_close(w, ']');
}

static void
put_rule(struct jsonw *w, bool is_verdict)
{
	schema_open(w);
	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		if (is_verdict && !keys[i].is_of_verdict)
			continue;
		jw_key(w, keys[i].name);
		jw_open(w, '{');
		if (keys[i].list_max != 0)
			put_list(w, keys[i].put, keys[i].list_max);
		else
			keys[i].put(w);
		jw_close(w, '}');
	}
	jw_close(w, '}');
	jw_key(w, "required");
	jw_open(w, '[');
	jw_str(w, SL("category"));
	jw_str(w, SL("kind"));
	jw_close(w, ']');
}

/* Points for categories and kinds. */
static void
put_opinions(struct jsonw *w)
{
	jw_kstr(w, "type", SL("object"));
	jw_key(w, "propertyNames");
	jw_open(w, '{');
	jw_key(w, "anyOf");
	jw_open(w, '[');
	jw_open(w, '{');
	put_category(w);
	jw_close(w, '}');
	jw_open(w, '{');
	put_kind(w);
	jw_close(w, '}');
	jw_close(w, ']');
	jw_close(w, '}');
	jw_key(w, "additionalProperties");
	jw_open(w, '{');
	jw_kstr(w, "type", SL("integer"));
	put_range(w, -CLASS_POINTS_MAX, CLASS_POINTS_MAX);
	jw_close(w, '}');
}

static void
put_table(struct jsonw *w)
{
	schema_open(w);
	jw_key(w, "verdicts");
	jw_open(w, '{');
	jw_kstr(w, "type", SL("array"));
	jw_ki64(w, "maxItems", CLASS_VERDICTS_MAX);
	jw_key(w, "items");
	jw_open(w, '{');
	put_rule(w, true);
	jw_close(w, '}');
	jw_close(w, '}');
	jw_key(w, "start");
	jw_open(w, '{');
	put_opinions(w);
	jw_close(w, '}');
	jw_key(w, "points");
	jw_open(w, '{');
	jw_kstr(w, "type", SL("object"));
	jw_key(w, "additionalProperties");
	jw_open(w, '{');
	put_opinions(w);
	jw_close(w, '}');
	jw_close(w, '}');
	jw_close(w, '}');
	jw_key(w, "required");
	jw_open(w, '[');
	jw_str(w, SL("verdicts"));
	jw_str(w, SL("points"));
	jw_close(w, ']');
}

static void
put_words(struct jsonw *w)
{
	jw_key(w, "words");
	jw_open(w, '{');
	jw_key(w, "anyOf");
	jw_open(w, '[');
	jw_open(w, '{');
	jw_kstr(w, "type", SL("string"));
	jw_ki64(w, "minLength", 1);
	jw_close(w, '}');
	jw_open(w, '{');
	put_table(w);
	jw_close(w, '}');
	jw_close(w, ']');
	jw_close(w, '}');
}

void
class_schema(struct jsonw *w)
{
	schema_open(w);
	jw_key(w, "rules");
	jw_open(w, '{');
	jw_kstr(w, "type", SL("array"));
	jw_ki64(w, "maxItems", CLASS_RULES_MAX);
	jw_key(w, "items");
	jw_open(w, '{');
	put_rule(w, false);
	jw_close(w, '}');
	jw_close(w, '}');
	put_words(w);
	jw_close(w, '}');
	jw_ki64(w, "minProperties", 1);
}

void
class_words_schema(struct jsonw *w)
{
	schema_open(w);
	jw_key(w, "words");
	jw_open(w, '{');
	put_table(w);
	jw_close(w, '}');
	jw_close(w, '}');
	jw_key(w, "required");
	jw_open(w, '[');
	jw_str(w, SL("words"));
	jw_close(w, ']');
}

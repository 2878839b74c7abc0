/*
 * conf/schema.c - the option tables as JSON Schemas for editors, and as a page for
 * people. All are walks over the same rows that the reader reads.
 */
#include "conf/conf_i.h"
#include "conf/schema_i.h"

static const char *
json_type(enum opt_type t)
{
	switch (t) {
	case OPT_BOOL:
		return "boolean";
	case OPT_U16:
	case OPT_U32:
		return "integer";
	default:
		return "string";
	}
}

/* Text that numbers and durations may also be written as: YAML reads 30 as a
 * number. */
static bool
may_be_number(enum opt_type t)
{
	return t == OPT_SIZE || t == OPT_SIZE32 || t == OPT_DURATION ||
	    t == OPT_MS || t == OPT_FACTOR || t == OPT_PERCENT ||
	    t == OPT_TLS_MIN || t == OPT_NAME || t == OPT_POOL ||
	    t == OPT_SHARE || t == OPT_TEXT;
}

static const char *
pattern(enum opt_type t)
{
	switch (t) {
	case OPT_SIZE:
	case OPT_SIZE32:
		return "^[0-9]+([KMGT](i?B)?)?$";
	case OPT_DURATION:
	case OPT_MS:
		return "^([0-9]+(d|h|m|s|ms|us)?)+$";
	case OPT_RATE:
		return "^(none|[0-9]+/[0-9]*(d|h|m|s))$";
	case OPT_BYTES:
		return "^(none|[0-9]+([KMGT](i?B)?)?/[0-9]*(d|h|m|s))$";
	case OPT_QUOTA:
		return "^(none|[0-9]+/(day|hour|[0-9]*(d|h|m|s)))$";
	case OPT_DIM:
		return "^(tenant|campaign|sender_domain|signing_domain|source|"
		       "netblock|pool|site|provider|host|node)$";
	case OPT_NAME:
	case OPT_POOL:
		return "^[A-Za-z0-9._-]{1,64}$";
	case OPT_HOURS:
		return "^([a-z]{3}(,[a-z]{3})* +)?[0-9]{2}:[0-9]{2}-"
		       "[0-9]{2}:[0-9]{2}$";
	case OPT_ZONE:
		return "^[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z][A-Za-z0-9_+-]*)*$";
	case OPT_SHARE:
		return "^[A-Za-z0-9._-]{1,64}(:[0-9]+)?$";
	case OPT_PART:
		return "^[0-9]+(\\.[0-9]{1,4})?%$";
	case OPT_PERCENT:
		return "^[0-9]+%?$";
	case OPT_TLS:
		return "^(none|opportunistic|required|verify|dane)$";
	case OPT_TLS_MIN:
		return "^1\\.[0-3]$";
	default:
		return NULL;
	}
}

static void
put_type(struct jsonw *w, enum opt_type t)
{
	jw_key(w, "type");
	jw_open(w, '[');
	jw_str(w, slice_str(json_type(t)));
	if (may_be_number(t))
		jw_str(w, SL("number"));
	jw_str(w, SL("null")); /* ~ unsets */
	if (t == OPT_SHARE)
		jw_str(w, SL("object"));
	jw_close(w, ']');
	if (t != OPT_SHARE)
		return;
	jw_key(w, "additionalProperties");
	jw_open(w, '{');
	jw_kstr(w, "type", SL("integer"));
	jw_ki64(w, "minimum", 1);
	jw_ki64(w, "maximum", ENG_WEIGHT_MAX);
	jw_close(w, '}');
	jw_ku64(w, "maxProperties", 1);
}

void
schema_types(struct jsonw *w, const char *a, const char *b)
{
	jw_key(w, "type");
	jw_open(w, '[');
	jw_str(w, slice_str(a));
	jw_str(w, slice_str(b));
	jw_close(w, ']');
}

void
schema_enum(struct jsonw *w, const char *(*name)(uint32_t i), uint32_t n)
{
	jw_key(w, "enum");
	jw_open(w, '[');
	for (uint32_t i = 0; i < n; i++)
		jw_str(w, slice_str(name(i)));
	jw_close(w, ']');
}

void
schema_open(struct jsonw *w)
{
	jw_kstr(w, "type", SL("object"));
	jw_kbool(w, "additionalProperties", false);
	jw_key(w, "properties");
	jw_open(w, '{');
}

const char *
schema_category(uint32_t i)
{
	return category_name((enum category)i);
}

const char *
schema_kind(uint32_t i)
{
	return kind_name((enum kind)i);
}

static const char *
action_at(uint32_t i)
{
	return eng_action_name((enum eng_action)i);
}

/* Options whose words are a table's, of which their type says nothing. */
static const struct {
	const char *option;
	const char *(*name)(uint32_t i);
	uint32_t n;
} tables[] = {
	{ "category", schema_category, CATEGORY_N },
	{ "kind", schema_kind, KIND_N },
	{ "action", action_at, ENG_ACTION_N },
};

static bool
put_table(struct jsonw *w, const struct opt *o)
{
	const struct opt_group *g = &automation_options;

	if (o < g->opts || o >= g->opts + g->n)
		return false;
	for (size_t i = 0; i < ARRAY_LEN(tables); i++)
		if (slice_eq(slice_str(o->name), slice_str(tables[i].option))) {
			schema_enum(w, tables[i].name, tables[i].n);
			return true;
		}
	return false;
}

static void
put_scalar(struct jsonw *w, const struct opt *o)
{
	if (put_table(w, o))
		return;
	if (o->type == OPT_CHOICE) {
		jw_key(w, "enum");
		jw_open(w, '[');
		jw_str(w, slice_str(o->words[0]));
		jw_str(w, slice_str(o->words[1]));
		jw_null(w);
		jw_close(w, ']');
		return;
	}
	put_type(w, o->type);
	if (pattern(o->type))
		jw_kstr(w, "pattern", slice_str(pattern(o->type)));
	if ((o->type == OPT_U16 || o->type == OPT_U32) && o->max) {
		jw_ki64(w, "minimum", o->min);
		jw_ki64(w, "maximum", o->max);
	}
}

static void put_group(struct jsonw *w, const struct opt_group *g, int depth);

/* A list may also be written as its one item. */
static void
put_value(struct jsonw *w, const struct opt *o, int depth)
{
	if (o->type == OPT_GROUP) {
		put_group(w, o->group, depth);
		return;
	}
	if (o->type == OPT_MAP) {
		schema_types(w, "object", "null");
		if (pattern(o->key_type)) {
			jw_key(w, "propertyNames");
			jw_open(w, '{');
			jw_kstr(w, "pattern", slice_str(pattern(o->key_type)));
			jw_close(w, '}');
		}
		jw_key(w, "additionalProperties");
		jw_open(w, '{');
		put_group(w, o->group, depth);
		jw_close(w, '}');
		return;
	}
	if (o->list_max == 0) {
		put_scalar(w, o);
		return;
	}
	jw_key(w, "anyOf");
	jw_open(w, '[');
	jw_open(w, '{');
	put_scalar(w, o);
	jw_close(w, '}');
	jw_open(w, '{');
	jw_kstr(w, "type", SL("array"));
	jw_ku64(w, "maxItems", o->list_max);
	jw_key(w, "items");
	jw_open(w, '{');
	put_scalar(w, o);
	jw_close(w, '}');
	jw_close(w, '}');
	jw_close(w, ']');
}

static void
put_option(struct jsonw *w, const struct opt *o, int depth)
{
	jw_key(w, o->name);
	jw_open(w, '{');
	if (o->help)
		jw_kstr(w, "description", slice_str(o->help));
	if (o->dflt)
		jw_kstr(w, "default", slice_str(o->dflt));
	put_value(w, o, depth);
	jw_close(w, '}');
}

/* The table is a tree of our own, a few levels deep. */
static void
put_group(struct jsonw *w, const struct opt_group *g, int depth)
{
	bool any = false;

	ASSERT(depth < 8);
	if (depth == 0)
		jw_kstr(w, "type", SL("object"));
	else
		schema_types(w, "object", "null"); /* ~ unsets all of it */
	jw_kbool(w, "additionalProperties", false);
	jw_key(w, "properties");
	jw_open(w, '{');
	for (uint32_t i = 0; i < g->n; i++)
		put_option(w, &g->opts[i], depth + 1);
	jw_close(w, '}');
	for (uint32_t i = 0; i < g->n; i++)
		any |= g->opts[i].is_required;
	if (!any)
		return;
	jw_key(w, "required");
	jw_open(w, '[');
	for (uint32_t i = 0; i < g->n; i++)
		if (g->opts[i].is_required)
			jw_str(w, slice_str(g->opts[i].name));
	jw_close(w, ']');
}

/* Files of rules: those of options, and those that have a reader of their own. */
static const struct {
	const char *name, *title;
	const struct opt_group *options;
	void (*put)(struct jsonw *w);
} files[] = {
	{ "configuration", "mtad configuration", &conf_options, NULL },
	{ "shaping", "mtad limits of providers, sites and domains",
	    &shaping_options, NULL },
	{ "automation", "mtad reactions to refusals", &automation_file_options,
	    NULL },
	{ "warmup", "mtad plans of warm-up", &warmup_file_options, NULL },
	{ "proxy", "mtad proxy", &egress_options, NULL },
	{ "bounces", "mtad rules of classification", NULL, class_schema },
	{ "words", "mtad words of classification", NULL, class_words_schema },
};

int
conf_schema(struct slice what, struct buf *out)
{
	struct jsonw w;
	size_t i = 0;

	while (
	    i < ARRAY_LEN(files) && !slice_eq(what, slice_str(files[i].name)))
		i++;
	if (i == ARRAY_LEN(files))
		return E_NOTFOUND;
	jw_init(&w, out);
	jw_open(&w, '{');
	jw_kstr(&w, "$schema",
	    SL("https://json-schema.org/draft/2020-12/schema"));
	jw_kstr(&w, "title", slice_str(files[i].title));
	if (files[i].put != NULL)
		files[i].put(&w);
	else
		put_group(&w, files[i].options, 0);
	jw_close(&w, '}');
	buf_addc(out, '\n');
	return out->failed ? E_FULL : 0;
}

/* ---- for people ------------------------------------------------------------------ */

static void
refer(struct buf *out, const struct opt_group *g, const char *prefix, int depth)
{
	char path[256], what[256];
	int n;

	ASSERT(depth < 8);
	for (uint32_t i = 0; i < g->n; i++) {
		const struct opt *o = &g->opts[i];

		snprintf(path, sizeof(path), "%s%s", prefix, o->name);
		buf_addf(out, "### `%s`\n\n", path);
		if (o->help)
			buf_addf(out, "%s\n\n", o->help);
		if (o->type == OPT_GROUP || o->type == OPT_MAP) {
			n = snprintf(path, sizeof(path), "%s%s%s.", prefix,
			    o->name, o->type == OPT_MAP ? ".NAME" : "");
			ASSERT(n > 0 && (size_t)n < sizeof(path));
			refer(out, o->group, path, depth + 1);
			continue;
		}
		opt_expects(o, what, sizeof(what));
		buf_addf(out, "Value: %s%s. ",
		    o->list_max ? "one or a list of: " : "", what);
		if (o->dflt)
			buf_addf(out, "Default: `%s`.", o->dflt);
		else if (o->is_required)
			buf_addz(out, "Required.");
		else if (o->absent)
			buf_addf(out, "Default: %s.", o->absent);
		buf_addz(out, "\n\n");
	}
}

int
conf_reference(struct buf *out)
{
	buf_addz(out,
	    "# Configuration\n\n"
	    "One YAML file. Unknown and duplicate keys are errors; `~` unsets "
	    "a key to its\ndefault; a list of one may be written as the item "
	    "alone. `mtad check -c FILE`\nprints every error of a file, "
	    "`mtad schema` a JSON Schema for editors, and\n"
	    "`mtad schema --reference` this page.\n\n");
	refer(out, &conf_options, "", 0);
	return out->failed ? E_FULL : 0;
}

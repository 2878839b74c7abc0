/*
 * conf/conf_i.h - private to the room: the option table, complaints, and the
 * YAML reader's inner entrance.
 *
 * A configuration is read in three steps: yaml.c makes a tree with positions,
 * read.c walks the option table (options.c) over it and converts texts by
 * type (value.c), check.c judges what only the whole can tell. Each step
 * collects complaints and goes on, so that one run shows every error.
 */
#ifndef CONF_CONF_I_H
#define CONF_CONF_I_H

#include "conf/conf.h"

/* ---- complaints (complain.c) --------------------------------------------- */

#define CONF_ERRORS_MAX 100 /* reported for one file; more are counted */

struct place {
	uint32_t line, column; /* from 1 */
};

struct complaint {
	struct place at;
	uint32_t seq; /* order of arrival, for equal places */
	bool is_warning;
	const char *text;
};

struct complaints {
	const char *file;
	uint32_t n, nerrors, lost;
	struct complaint v[CONF_ERRORS_MAX];
	struct arena arena;
};

void complaints_init(struct complaints *c, const char *file);
/* "what, expected EXPECTED, got GOT"; got.p NULL means that nothing was
 * there. Bytes of got and what are escaped, long ones cut. */
void complain(struct complaints *c, struct place at, const char *what,
    const char *expected, struct slice got);
/* The same as a warning: shown, but no reason to refuse. */
void complain_warn(struct complaints *c, struct place at, const char *what,
    const char *expected, struct slice got);
/* Reports all in the order of the file, then frees. Beside errors warnings are
 * kept back: they may be only echoes of them. */
void complaints_flush(struct complaints *c, struct conf_errors *errs);

#define CONF_WHAT_MAX 256
/* Adds ".key" to the path of an option, "listen.in.bind", of n bytes; a key
 * that is no plain word stands in quotes. Returns the new length; cut to
 * CONF_WHAT_MAX - 1. */
size_t option_path_add(char *path, size_t n, struct slice key);

/* Number of single-letter edits (insert, drop, change, swap) between two
 * words, at most `max` + 1. Words over 64 bytes count as different. */
uint32_t edit_distance(struct slice a, struct slice b, uint32_t max);

/* ---- YAML (yaml.c) ------------------------------------------------------- */

#define YAML_NODES_MAX 1000000u /* aliases expanded */
#define YAML_DEPTH_MAX 64u
#define YAML_BYTES_MAX (16u << 20)
#define YAML_ANCHORS_MAX 256u

/* As yaml_parse, but complains to c and gives the tree in spite of duplicate
 * keys (their first value counts). NULL when there is no tree. */
struct yaml_doc *yaml_read(const char *name, struct slice text,
    struct complaints *c);
static inline struct place
yaml_place(const struct yaml_node *n)
{
	return (struct place){ n->line, n->column };
}
/* Index of a key in a map, or map->n. */
uint32_t yaml_find(const struct yaml_node *map, struct slice key);
/* Whole file, at most YAML_BYTES_MAX, into out; complains otherwise. */
bool file_read(const char *path, struct buf *out, struct complaints *c);

/* ---- the option table (options.c) ---------------------------------------- */

/*
 * Types of values: how a text is read, how many bytes its field has, what a
 * user is told to write, and (schema.c) its JSON type and pattern. OPT_GROUP
 * and OPT_MAP are not values: a map with fixed keys, and one with the user's
 * names as keys whose entries become an array.
 */
#define OPT_TYPES(X)                                                           \
	X(OPT_BOOL, bool, bool, "true or false")                               \
	X(OPT_CHOICE, bool, choice, "one of the words")                        \
	X(OPT_U16, uint16_t, uint, "a number")                                 \
	X(OPT_U32, uint32_t, uint, "a number")                                 \
	X(OPT_SIZE, uint64_t, size, "a size such as 64K, 10M or 1G")           \
	X(OPT_SIZE32, uint32_t, size, "a size such as 64K, 10M or 1G")         \
	X(OPT_DURATION, int64_t, duration, "a duration such as 30s or 1h30m")  \
	X(OPT_MS, int64_t, duration, "a duration such as 30s or 1h30m")        \
	X(OPT_FACTOR, uint32_t, factor, "a factor such as 2 or 1.5")           \
	X(OPT_PERCENT, uint32_t, percent, "a share such as 10%")               \
	X(OPT_PART, uint32_t, part, "a share such as 10% or 0.1%")             \
	X(OPT_RATE, uint32_t, rate, "a rate such as 100/s, 6000/10m, or none") \
	X(OPT_BYTES, uint64_t, bytes, "a rate such as 10M/s, or none")         \
	X(OPT_QUOTA, uint32_t, quota,                                          \
	    "a quota such as 10000/day, 500/hour or 20000/7d, or none")        \
	X(OPT_DIM, uint16_t, dim,                                              \
	    "tenant, campaign, sender_domain, signing_domain, source, "        \
	    "netblock, pool, site, provider, host or node")                    \
	X(OPT_IP, struct ip, ip, "an IP address")                              \
	X(OPT_ENDPOINT, struct endpoint, endpoint,                             \
	    "an address and port such as 127.0.0.1:25 or \"[::1]:25\"")        \
	X(OPT_SERVER, struct endpoint, server,                                 \
	    "an address, with a port or without, such as 127.0.0.1:5353")      \
	X(OPT_CIDR, struct cidr, cidr,                                         \
	    "a network such as 10.0.0.0/8, host bits zero")                    \
	X(OPT_HOST, struct slice, host,                                        \
	    "a host name or address, with a port or without, or unix:/PATH")   \
	X(OPT_DOMAIN, struct slice, domain, "a host name such as mx.example")  \
	X(OPT_GLOB, struct slice, glob,                                        \
	    "a domain or pattern such as *.example, in ASCII")                 \
	X(OPT_MAILBOX, struct slice, mailbox,                                  \
	    "an address such as a@b.example")                                  \
	X(OPT_NAME, struct slice, name,                                        \
	    "a name of 1 to 64 letters, digits, dots, hyphens, underscores")   \
	X(OPT_PATH, struct slice, path, "a path")                              \
	X(OPT_TEXT, struct slice, text, "printable ASCII on one line")         \
	X(OPT_HOURS, struct eng_quiet, hours,                                  \
	    "hours such as 22:00-08:00 or sat,sun 00:00-24:00")                \
	X(OPT_ZONE, uint16_t, zone,                                            \
	    "a time zone of this system such as Europe/Berlin")                \
	X(OPT_SHARE, uint16_t, share,                                          \
	    "the name of a source, or {NAME: WEIGHT}")                         \
	X(OPT_TARGET, uint16_t, target,                                        \
	    "path, queue, or one of source, netblock, site, provider, host, "  \
	    "tenant, campaign, sender_domain and node")                        \
	X(OPT_ACTION, uint8_t, action,                                         \
	    "none, suspend, connections, slow, skip_host, other_source, "      \
	    "defer or bounce")                                                 \
	X(OPT_TLS, uint8_t, tls,                                               \
	    "none, opportunistic, required, verify or dane")                   \
	X(OPT_TLS_MIN, uint8_t, tls_min, "1.0, 1.1, 1.2 or 1.3")               \
	X(OPT_POOL, struct slice, pool, "the name of a pool")

#define X(id, field, reader, expects) id,
enum opt_type { OPT_TYPES(X) OPT_GROUP, OPT_MAP };
#undef X

struct opt;

struct opt_group {
	const struct opt *opts;
	uint32_t n;
	/* What it fills has a struct conf_shape there, that is told which of
	 * its limits were set. */
	bool has_shape;
	uint32_t shape_at;
};

/* One option. Offsets count from the structure that its group fills. */
struct opt {
	const char *name;
	enum opt_type type;
	uint32_t at; /* offset of the field; of the sub-structure of a group */
	const char *dflt;   /* as a user would write it; NULL = none */
	const char *absent; /* what happens then, for the manual; may be NULL */
	int64_t min, max;   /* in the type's unit; max 0 = no range */
	const char *words[2]; /* OPT_CHOICE: the false and the true word */
	bool is_required;
	/* A list when list_max > 0: its items lie at `at`, their number at
	 * count_at in count_bytes. OPT_MAP: `at` is a pointer to the array. */
	uint32_t list_max, count_at, count_bytes;
	/* OPT_RATE: its period; OPT_HOST: its endpoints; OPT_SHARE: its weights */
	uint32_t also;
	const struct opt_group *group; /* OPT_GROUP, OPT_MAP */
	/* OPT_MAP: entries of entry_bytes, each beginning as begin() makes it;
	 * the key, of type key_type, goes to a slice at offset 0. With `first`,
	 * entry 0 is there always, and the key of that name fills it. */
	enum opt_type key_type;
	uint32_t entry_bytes;
	void (*begin)(const struct conf *c, void *entry);
	const char *first;
	const char *help;
};

extern const struct opt_group warmup_file_options;
extern const struct opt_group conf_options, shaping_options, layer_options;
/* options_shaping.c */
extern const struct opt_group conf_limits_options, conf_provider_options;
extern const struct opt_group conf_route_options;
void conf_limits_begin(const struct conf *c, void *entry);
/* options_client.c */
extern const struct opt_group conf_retry_options, conf_client_options;
extern const struct opt_group conf_dns_options;
extern const struct opt_group conf_tls_report_options;
/* options_automation.c */
extern const struct opt_group automation_options, automation_file_options;
/* options_suppression.c */
extern const struct opt_group conf_suppression_options;
/* options_limit.c */
extern const struct opt_group conf_limit_options;
/* options_proxy.c */
extern const struct opt_group conf_proxy_options;
void conf_proxy_begin(const struct conf *c, void *entry);
/* options_egress.c */
extern const struct opt_group egress_options;
/* options_token.c */
extern const struct opt_group conf_token_options, conf_steering_options;
/* options_inbound.c */
extern const struct opt_group conf_inbound_options;
void conf_inbound_begin(const struct conf *c, void *entry);
/* options_dkim.c */
extern const struct opt_group conf_dkim_options;

/* ---- values (value.c) ---------------------------------------------------- */

/* Bytes of a type's field. */
size_t opt_field_bytes(enum opt_type type);
/* Converts text into item i of the field of o; false when it is not what
 * opt_expects says. */
bool opt_read(struct conf *conf, const struct opt *o, struct slice text,
    void *base, uint32_t i);
/* "a number from 1 to 64": what a user may write. */
void opt_expects(const struct opt *o, char *dst, size_t cap);
/* A bound of the option's range as text; dst of 32 bytes. */
void opt_format_bound(const struct opt *o, int64_t v, char *dst);
bool name_is_valid(struct slice s);

/* Reads a map of options into base; the file is one of conf.files. */
void conf_read_group(struct conf *conf, const struct opt_group *g, void *base,
    const struct yaml_node *map, uint16_t file, struct complaints *c);

/* ---- patterns (index.c) -------------------------------------------------- */

/* Entries are numbered from 1 and added in their order. is_suffix: a pattern
 * without a star stands for what is below it too. */
void index_begin(struct conf_index *x, struct arena *arena, uint32_t patterns);
void index_add(struct conf_index *x, struct arena *arena, struct slice pattern,
    uint32_t entry, bool is_suffix);
void index_end(struct conf_index *x, struct arena *arena);
/* The entry that comes first of those that match, or 0. */
uint32_t index_first(const struct conf_index *x, struct slice name);
/* The entry with the longest name; those with other stars come last. */
uint32_t index_longest(const struct conf_index *x, struct slice name);

/* ---- shaping files (shaping.c) ------------------------------------------- */

/* The bits of struct conf_shape that the option sets: a limit, or two. */
uint32_t shape_bits(const struct opt_group *g, const struct opt *o);
/* Of the bits from CONF_TLS_BIT on; place.c. */
void conf_tls_copy(struct conf_tls_policy *to,
    const struct conf_tls_policy *from, uint32_t bit);
/* Which limits of s the map sets or sets back, and where. */
void shape_mark(const struct opt_group *g, struct conf_shape *s,
    const struct yaml_node *map, uint16_t file);
/* Merges all that is said about limits: the shipped file (when path is not
 * NULL), the files that the configuration names unless it is in memory, and the
 * configuration itself, whose tree is root. Complaints about it go to c. */
void shaping_read(struct conf *conf, const struct yaml_node *root,
    const struct conf_shaping_in *in, struct complaints *c,
    struct conf_errors *errs);

/* ---- warm-up (warmup.c) --------------------------------------------------- */

/* The shipped file of plans. */
struct conf_warmups {
	uint32_t n;
	struct conf_warmup *v;
};
void warmup_begin(const struct conf *c, void *entry);
/* Finds the plans that sources name, in the configuration or, if files may be
 * read, among the shipped ones, and makes their tables. */
void warmup_read(struct conf *conf, const struct yaml_node *root,
    bool reads_files, struct complaints *c);

/* ---- reactions (automation.c) --------------------------------------------- */

/* A file of them. */
struct conf_automations {
	uint32_t n;
	struct conf_automation *v;
};
void automation_begin(const struct conf *c, void *entry);
/* Judges the configuration's own, whose tree is root, and adds the shipped ones if
 * files may be read. Complaints about the former go to c. */
void automation_read(struct conf *conf, const struct yaml_node *root,
    bool reads_files, struct complaints *c, struct conf_errors *errs);

/* ---- tokens (token.c) ------------------------------------------------------ */

/* Takes their hashes apart and sorts them; the first that has none, or how many
 * there are. */
uint32_t conf_tokens_read(struct conf *c);

/* ---- signing (dkim.c) ------------------------------------------------------ */

/* Judges what is said of keys, and makes the tables by which they are found. */
void dkim_read(struct conf *conf, const struct yaml_node *root,
    struct complaints *c);

/* ---- files of other programs (read.c) ------------------------------------- */

/* Complains about what only the whole of a file can tell. */
typedef void conf_judge(void *base, const struct yaml_node *root,
    struct complaints *c);
/* A file of those options into *base, whose texts live as long as what is
 * given back, which is no configuration otherwise; NULL after complaints. */
struct conf *conf_load_as(const char *path, const struct opt_group *g,
    void *base, conf_judge *judge, struct conf_errors *errs);

/* ---- judging the whole (check.c) ----------------------------------------- */

/* Fills in what follows from other values, then complains about what does not
 * fit together. */
void conf_check(struct conf *conf, const struct yaml_node *root,
    struct complaints *c);
/* The same of providers, once all shaping has been read. */
void conf_check_providers(struct conf *conf, const struct yaml_node *root,
    struct complaints *c);

#endif

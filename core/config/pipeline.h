/*
 * A pipeline file, checked: the model that the engine runs.
 */
#ifndef SLUICE_CONFIG_PIPELINE_H
#define SLUICE_CONFIG_PIPELINE_H

#include "base/str.h"
#include "config/options.h"

/* One entry of `tables.rules` (or `tables.defaults`, whose match is NULL). Rules apply in order,
 * each laid over the one before: a member that is set replaces. */
struct sluice_table_rule {
    char *match; /* glob or "re:…" over the stream name; NULL = all */
    char **include_columns;
    size_t include_count;
    char **exclude_columns;
    size_t exclude_count;
    char *where;
    int32_t schema; /* SLUICE_SCHEMA_*; 0 = not set */
};

/* What happens when a stream's columns change while its changes are followed. */
enum {
    SLUICE_SCHEMA_EVOLVE = 1, /* rows have the new columns from there on */
    SLUICE_SCHEMA_FREEZE = 2, /* new columns are left out; any other change stops the pipeline */
    SLUICE_SCHEMA_STOP = 3    /* the pipeline stops before the first row of the new shape */
};

/* What happens to a TRUNCATE at the source. */
enum { SLUICE_TRUNCATE_APPLY = 1, SLUICE_TRUNCATE_IGNORE = 2, SLUICE_TRUNCATE_FAIL = 3 };

/* Which columns rows are found by in a sink. */
enum { SLUICE_KEY_SOURCE = 1, SLUICE_KEY_NONE = 2, SLUICE_KEY_COLUMNS = 3 };

/* `write:` of a sink, or one entry of `write.rules`, laid over what stands before it. Numbers are the ABI's
 * (SLUICE_WRITE_*, SLUICE_DELETES_*, SLUICE_DUPLICATES_*); 0 and NULL = not set. */
struct sluice_write_rule {
    char *match; /* over the stream name as it reaches the sink; NULL = all */
    int32_t mode;
    int32_t key; /* SLUICE_KEY_* */
    int32_t deletes;
    int32_t duplicates;
    int32_t truncate; /* SLUICE_TRUNCATE_* */
    char **key_columns;
    size_t key_count;
    char *soft_column;
    int metadata_set;
    uint32_t metadata; /* SLUICE_META_* */
    char *metadata_prefix;
};

enum { SLUICE_CASE_KEEP = 1, SLUICE_CASE_LOWER = 2, SLUICE_CASE_UPPER = 3 };
enum { SLUICE_LONG_NAMES_FAIL = 1, SLUICE_LONG_NAMES_HASH = 2 };

/* `route:` of a sink, or one entry of `route.rules`. */
struct sluice_route_rule {
    char *match;
    char *to;        /* "{schema}.{table}" */
    int32_t letters; /* SLUICE_CASE_* */
    char *prefix;
    char *suffix;
    int32_t long_names; /* SLUICE_LONG_NAMES_* */
    int32_t merge;      /* 1 = false, 2 = true */
};

struct sluice_tables {
    char **include; /* globs, "re:" + POSIX extended regex (whole name); none = all tables */
    size_t include_count;
    char **exclude;
    size_t exclude_count;
    struct sluice_table_rule *rules; /* defaults first */
    size_t rule_count;
};

struct sluice_retry {
    uint32_t max;       /* tries of one shard or commit after the first */
    int64_t backoff_us; /* first wait */
    int64_t cap_us;     /* longest wait */
};

struct sluice_batch_rule { /* 0 = not set */
    uint64_t rows;
    uint64_t bytes;
    int64_t interval_us;
};

struct sluice_pipeline_node {
    int32_t kind; /* SLUICE_SOURCE, SLUICE_TRANSFORM, SLUICE_SINK */
    char *id;
    char *plugin;
    uint32_t line;
    uint32_t column;
    const struct sluice_component *component; /* borrowed from the registry; NULL if unknown */
    struct sluice_config *config;
    size_t *inputs; /* indexes of nodes: transforms and sinks */
    size_t input_count;
    struct sluice_tables tables;      /* sources */
    struct sluice_batch_rule batch;   /* sinks (rotation, commit), sources (size of batches) */
    uint64_t split_bytes;             /* sources: snapshot.split; 0 = the source's choice */
    struct sluice_retry retry;        /* on_error.retry, the pipeline's where not given */
    struct sluice_write_rule *writes; /* sinks: what stands in `write`, then its rules */
    size_t write_count;
    struct sluice_route_rule *routes;
    size_t route_count;
    int32_t on_row_error;   /* sinks: SLUICE_ROWS_* */
    int32_t on_table_error; /* sinks: SLUICE_TABLES_* */
    uint64_t max_rejected;  /* sinks: on_error.max_rejected; 0 = any */
};

struct sluice_pipeline {
    char *file;
    char *name; /* [a-z0-9_][a-z0-9_.-]{0,62} */
    int32_t mode;
    uint32_t parallelism; /* 0 = number of processors */
    uint64_t memory_bytes;
    int32_t schema;  /* SLUICE_SCHEMA_*, for streams without a rule of their own */
    char *state_uri; /* "file:DIR" */
    struct sluice_retry retry;
    struct sluice_pipeline_node *nodes; /* in topological order: inputs stand before */
    size_t node_count;
};

/* Finds the component that `plugin:` names; NULL = unknown. `names` below lists what there is, for
 * did-you-mean. */
struct sluice_component_lookup {
    void *ctx;
    const struct sluice_component *(*find)(void *ctx, int32_t kind, const char *name);
    /* Writes up to cap names of that kind; returns how many there are. */
    size_t (*names)(void *ctx, int32_t kind, const char **out, size_t cap);
};

/* Reads and checks a file with `sets` (--set assignments) laid over it. All problems go to `diags`.
 * Returns NULL if it cannot be read at all; a pipeline with diags->errors > 0 must not be run. */
struct sluice_pipeline *sluice_pipeline_load(const char *path, const char *const *sets,
                                             size_t set_count,
                                             const struct sluice_component_lookup *lookup,
                                             struct sluice_diags *diags);
/* The same for text in memory; `name` stands for the file. */
struct sluice_pipeline *sluice_pipeline_parse(const char *name, const char *data, size_t size,
                                              const char *const *sets, size_t set_count,
                                              const struct sluice_component_lookup *lookup,
                                              struct sluice_diags *diags);
void sluice_pipeline_free(struct sluice_pipeline *pipeline);

/* 1 if the stream is chosen by include/exclude. Patterns are globs over the whole stream name, or
 * "re:" regexes (checked at load). */
int sluice_tables_match(const struct sluice_tables *tables, const char *stream);
/* Patterns that meet no table are often mistyped. `seen` has sluice_tables_patterns() zeroed bytes: note
 * every table that is discovered, then visit what met none; `at` is its place ("include[0]"). */
size_t sluice_tables_patterns(const struct sluice_tables *tables);
void sluice_tables_note(const struct sluice_tables *tables, const char *stream,
                        unsigned char *seen);
void sluice_tables_unmatched(const struct sluice_tables *tables, const unsigned char *seen,
                             void (*visit)(void *ctx, const char *at, const char *pattern),
                             void *ctx);
/* 1 if `pattern` (glob or re:) matches the whole stream name; for --tables too. */
int sluice_config_pattern_match(const char *pattern, const char *stream);
/* 0 = not usable, and `why` says so: ask before matching with patterns from outside a file. */
int sluice_config_pattern_check(const char *pattern, char *why, size_t why_size);
/* The short name. Inline, since the SDK has a function of the same name for plugins, which knows
 * globs alone: the two must not meet in a binary that links both. */
static inline int sluice_pattern_match(const char *pattern, const char *stream)
{
    return sluice_config_pattern_match(pattern, stream);
}
/* The rules that apply to the stream, folded. Borrowed strings. */
void sluice_tables_rule(const struct sluice_tables *tables, const char *stream,
                        struct sluice_table_rule *out);

/* What `write` and `route` of a sink say of a stream, folded over the defaults: every member is set but
 * `match`, `key_columns` unless key is COLUMNS. Borrowed strings. */
void sluice_write_fold(const struct sluice_pipeline_node *sink, const char *stream,
                       struct sluice_write_rule *out);
void sluice_route_fold(const struct sluice_pipeline_node *sink, const char *stream,
                       struct sluice_route_rule *out);

/* JSON Schema (draft 2020-12) of pipeline files over the given components, as text; NULL = out of
 * memory. Free with sluice_free. */
char *sluice_pipeline_schema(const struct sluice_component *const *components, size_t count);

#endif /* SLUICE_CONFIG_PIPELINE_H */

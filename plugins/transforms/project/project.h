/* Transform project: shared by its files. */
#ifndef PROJECT_H
#define PROJECT_H

#include "sluice/option.h"
#include "sluice/pattern.h"
#include "sluice/remap.h"

struct project_options {
    struct sluice_option_list tables;
    struct sluice_option_list include;
    struct sluice_option_list exclude;
    struct sluice_option_list order;
    struct sluice_option_map rename;
    struct sluice_option_map constants;
    struct sluice_option_map metadata;
    int32_t drop_keys;
};

/* A list of column patterns of one option, and which of them ever matched. */
struct project_patterns {
    const char *option;
    uint32_t count;
    struct sluice_column_pattern *items;
    uint8_t *hit;
};

/* What a column that is made holds. */
enum {
    PROJECT_COLUMN = 0, /* not made: comes from the source */
    PROJECT_TEXT = 1,   /* the same text in every row */
    PROJECT_LOAD_TIME = 2
};

struct project_column {
    int64_t source; /* -1 = made */
    int32_t kind;
    const char *name; /* borrowed from the options or the incoming schema */
    const char *text; /* TEXT; NULL = NULL; borrowed from the options or the stream */
};

struct project_stream {
    struct project_stream *next;
    struct sluice_stream_desc *in; /* texts of metadata columns point here */
    struct sluice_remap *remap;    /* NULL = the stream passes as it is */
    struct project_column *columns;
    int64_t count;
    int32_t lost_key; /* a key column was dropped without drop_keys */
};

struct sluice_transform {
    const struct sluice_host *host;
    struct project_options options;
    struct project_patterns include;
    struct project_patterns exclude;
    struct project_patterns rename;
    uint8_t *order_hit;
    struct project_stream *streams; /* newest first */
    struct sluice_batch ready;
    int32_t has_ready;
    int32_t worked;         /* had batches or a flush: not only asked for descriptions */
    int64_t source_time_us; /* of the batch being filled */
};

extern const struct sluice_transform_api project_api;

/* Decides the columns of a stream: s->columns, s->count. */
sluice_status project_choose(struct sluice_transform *xf, struct project_stream *s,
                             struct sluice_error *err) SLUICE_MUST_CHECK;

/* 1 if option `tables` covers the stream. */
int32_t project_covers(const struct sluice_transform *xf, const char *stream);

/* INVALID when a metadata column asks for what is not known. */
sluice_status project_check_metadata(const struct sluice_option_map *metadata,
                                     struct sluice_error *err) SLUICE_MUST_CHECK;

#endif /* PROJECT_H */

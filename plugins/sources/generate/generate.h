/*
 * Source generate: shared by its files.
 *
 * Content is a pure function of (seed, table, column, row), so that a test can state any value
 * without running the source; README.md gives the function.
 */
#ifndef GENERATE_H
#define GENERATE_H

#include <stdatomic.h>

#include "sluice/build.h"
#include "sluice/option.h"

enum {
    GEN_FAIL_RETRYABLE = 0,
    GEN_FAIL_FATAL = 1,
    GEN_FAIL_STREAM = 2,
    GEN_FAIL_SNAPSHOT_LOST = 3
};
enum { GEN_NAMES_PLAIN = 0, GEN_NAMES_ODD = 1 };

/* What a column holds: more than its Arrow type where text has a content of its own. */
enum {
    GEN_PLAIN = 0,    /* by Arrow type */
    GEN_ROW = 1,      /* int64 1 + row: the key */
    GEN_TEXT = 2,     /* letters a-p, up to `length` bytes */
    GEN_ODD_TEXT = 3, /* quotes, controls, other scripts */
    GEN_JSON = 4,
    GEN_BYTES = 5 /* up to `length` bytes */
};

struct gen_column {
    struct sluice_type type;
    int32_t content;
    int32_t length;
    char name[72];
    char native[32];
    const char *extension; /* ARROW:extension:name or NULL */
};

struct gen_options {
    int64_t tables;
    int64_t rows;
    int64_t seed;
    int64_t null_percent;
    int64_t shards;
    int64_t batch_rows;
    int64_t names;
    int64_t denied_table;
    int64_t delay_us;
    int64_t fail_after_rows;
    int64_t fail_kind;
    int64_t fail_times;
    int64_t fail_table;
    struct sluice_option_list columns;
};

/* A table of the plan. */
struct gen_stream {
    struct sluice_stream_desc desc;
    struct ArrowSchema schema;
    int64_t table; /* from 1 */
    int64_t rows;  /* after the plan's limit */
    char name[200];
    char part[72];
    const char *parts[2];
    uint32_t key;
    uint32_t flags;    /* SLUICE_SELECT_* */
    uint32_t *columns; /* indexes into the source's columns; 0 = id */
    uint32_t column_count;
};

struct sluice_source {
    const struct sluice_host *host;
    struct gen_options options;
    struct gen_column *columns; /* [0] is id */
    uint32_t column_count;
    struct gen_stream **streams; /* of the plan */
    uint32_t stream_count;
    uint64_t plan_batch_rows;
    uint64_t plan_batch_bytes;
    char identity[80];
    _Atomic int64_t fails_left;
};

extern const struct sluice_source_api gen_source_api;

/* Reads a column type as written in the option, e.g. "numeric(12,2)" or "utf8:32". */
sluice_status gen_column_parse(const char *text, struct gen_column *out, struct sluice_error *err)
    SLUICE_MUST_CHECK;

/* Approximate bytes of one value. */
int64_t gen_column_width(const struct gen_column *col);

/* Start of the random sequence of a column of a table. */
uint64_t gen_base(int64_t seed, int64_t table, int64_t column);

/* Appends rows [first, first + n) of the column. */
sluice_status gen_column_fill(const struct gen_column *col, uint64_t base, int64_t null_percent,
                              int64_t first, int64_t n, struct sluice_column *to,
                              struct sluice_error *err) SLUICE_MUST_CHECK;

/* Shards and readers: reader.c. */
sluice_status gen_shards(struct sluice_source *src, sluice_shard_visit visit, void *vctx,
                         struct sluice_error *err);
sluice_status gen_reader_open(struct sluice_source *src, const struct sluice_shard_desc *shard,
                              struct sluice_bytes resume, struct sluice_reader **out,
                              struct sluice_error *err);
sluice_status gen_reader_next(struct sluice_reader *rd, int64_t timeout_us,
                              struct sluice_batch *out, struct sluice_error *err);
void gen_reader_close(struct sluice_reader *rd);

#endif /* GENERATE_H */

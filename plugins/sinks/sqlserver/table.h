/*
 * A target table as one version of a stream writes it: which column takes what, how it is encoded, what rows are found
 * by. Made by looking at the catalog; constant once made.
 */
#ifndef SLUICE_MSSINK_TABLE_H
#define SLUICE_MSSINK_TABLE_H

#include "sink.h"
#include "value.h"

enum { MSSINK_METAS = 7 };
/* Bit i of SLUICE_META_*: the word behind the prefix, and the type. */
extern const char *const mssink_meta_words[];
extern const char *const mssink_meta_types[];

struct mssink_column {
    char *name;              /* unquoted */
    struct mssink_type type; /* of the target's column */
    int32_t source;          /* column of the stream; -1 = ours: `meta` or the soft column */
    uint32_t meta;           /* SLUICE_META_*; 0 = not metadata */
    int soft;                /* the soft-delete column */
    int key;                 /* rows are found by it */
    int nullable;
    int identity;
    int ordinal;  /* place in the table, from 1: bulk load counts by it */
    int one_form; /* equal values have equal bytes, by the server's own comparison */
    struct mssink_encoder encoder; /* columns of the stream; the view is set per batch */
    char collation[132];           /* of texts; "" = none */
};

struct mssink_table {
    int64_t object_id;
    char *schema;
    char *name;
    struct sluice_apply_column *fields; /* the same for the log */
    struct mssink_column
        *columns; /* what is written: computed columns and extra ones are not here */
    uint32_t column_count;
    uint32_t *keys; /* indexes into columns, in key order */
    uint32_t key_count;
    int key_unique;   /* a unique index is on exactly these */
    int has_identity; /* SET IDENTITY_INSERT is needed for rows of ours */
    int has_triggers;
    int width;        /* columns of the table, all */
    int bulk_refused; /* some column's type cannot be loaded in bulk (xml): by way of a staging table */
    int is_clean_heap; /* no index: many lanes may load with TABLOCK */
};

/* Looks the table up (`name` may be a shadow) and matches it with the stream. NOT_FOUND: there is no such table.
 * SCHEMA: what is missing or cannot take its column, with a hint. */
sluice_status mssink_table_open(struct sluice_sink *sink, struct sluice_tds_conn *conn,
                                const struct mssink_stream *stream, const char *schema,
                                const char *name, struct mssink_table **out,
                                struct sluice_error *err);
void mssink_table_free(struct mssink_table *table);

/* dialect.c: how the log encodes values, and the stream's table as the log knows it. */
extern const struct sluice_apply_dialect mssink_dialect;
sluice_status mssink_apply_table(struct mssink_stream *stream, struct sluice_error *err);
/* A value of a column of ours, appended in the column's form. */
sluice_status mssink_meta_encode(const struct mssink_column *column,
                                 const struct sluice_apply_meta *value,
                                 struct sluice_apply_buffer *out, struct sluice_error *err);

/* What has to be done so that the table can take the stream, as statements in order. */
struct mssink_ddl {
    char **statements; /* owned */
    uint32_t count;
    int creates;       /* the table is not there yet */
    char *primary_key; /* owned: the statement that adds it, for the end of a load; NULL = none */
    char *refused;     /* owned: why it cannot be, with a hint; NULL = it can */
};
/* CREATE SCHEMA, CREATE TABLE, ADD COLUMN, widening ALTER COLUMN, dropping NOT NULL; with `write` FROZEN nothing on an
 * existing table. `name`: the target or a shadow of it. */
sluice_status mssink_ddl_plan(struct sluice_sink *sink, struct sluice_tds_conn *conn,
                              const struct mssink_stream *stream, const char *name,
                              struct mssink_ddl *out, struct sluice_error *err);
void mssink_ddl_free(struct mssink_ddl *ddl);
/* Runs the statements (not primary_key), logging each. In the transaction at hand. */
sluice_status mssink_ddl_run(struct sluice_sink *sink, struct sluice_tds_conn *conn,
                             const struct mssink_ddl *ddl, const char *stream,
                             struct sluice_error *err);

/* "[a], [b]" of all columns, each after `prefix`. */
void mssink_table_columns(const struct mssink_table *table, const char *prefix,
                          struct mssink_text *out);
/* "t.[a] = s.[a] AND …" of the key. */
void mssink_table_match(const struct mssink_table *table, struct mssink_text *out);

#endif /* SLUICE_MSSINK_TABLE_H */

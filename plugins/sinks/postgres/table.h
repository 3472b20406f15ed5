/*
 * A target table as one version of a stream writes it: which column takes what, how it is encoded, what
 * rows are found by. Made by looking at the catalog; constant once made.
 */
#ifndef SLUICE_PGSINK_TABLE_H
#define SLUICE_PGSINK_TABLE_H

#include "pg/encode.h"
#include "sink.h"

enum { SLUICE_PGSINK_METAS = 7 };
/* Bit i of SLUICE_META_*: the word behind the prefix, and the type. */
extern const char *const sluice_pgsink_meta_words[];
extern const char *const sluice_pgsink_meta_types[];

struct sluice_pgsink_column {
    char *name;     /* in the target, unquoted */
    char *quoted;   /* as SQL */
    uint32_t oid;   /* of its type, of the base of a domain */
    char *type;     /* format_type, usable in a cast, modifiers included */
    char *cast;     /* the base type without modifiers: a cast to it cuts nothing off */
    int32_t source; /* column of the stream; -1 = ours: `meta` or the soft column */
    uint32_t meta;  /* SLUICE_META_*; 0 = not metadata */
    int soft;       /* the soft-delete column */
    int key;        /* rows are found by it */
    int not_null;
    int has_equality;    /* the type has a default btree or hash equality; else compared as text */
    int identity_always; /* needs OVERRIDING SYSTEM VALUE */
    struct sluice_pg_encoder
        encoder; /* for columns of the stream; ours are written by the change lane */
};

struct sluice_pgsink_table {
    uint32_t oid;
    char *schema;
    char *name;
    char *quoted; /* "schema"."name" */
    struct sluice_pgsink_column
        *columns; /* what is written: generated columns and extra ones are not here */
    struct sluice_apply_column
        *fields; /* changes: what their log knows of the columns; NULL = not made */
    uint32_t column_count;
    uint32_t *keys; /* indexes into columns, in key order */
    uint32_t key_count;
    int key_unique; /* a valid, immediate, unconditional unique index is on exactly these: ON CONFLICT may name them */
    int all_binary; /* every encoder has a binary form: COPY may be binary */
    int has_unique; /* unique or exclusion constraints or indexes beside the key */
    int has_triggers;
    int partitioned;
    int overriding; /* some column is GENERATED ALWAYS AS IDENTITY */
};

/* Name of the target of a stream, checked: 63 bytes a part, hashed or refused. `schema`/`name` owned.
 * [any] */
sluice_status sluice_pgsink_target_name(const struct sluice_sink *sink,
                                        const struct sluice_pgsink_write *write, char **schema,
                                        char **name, struct sluice_error *err);

/* One name of at most 63 bytes: as it is, or cut with a hash behind (`hash`), or INVALID. Owned. */
sluice_status sluice_pgsink_name_fit(const char *what, const char *name, int hash, char **out,
                                     struct sluice_error *err);

/* Looks the table up (`name` may be a shadow) and matches it with the stream. NOT_FOUND: there is no
 * such table. SCHEMA: the difference, column by column, with a hint. `strict` = 0: columns that evolve
 * may still bring are no error. Within or without a transaction. */
sluice_status sluice_pgsink_table_open(struct sluice_sink *sink, struct sluice_pg_conn *conn,
                                       const struct sluice_pgsink_stream *stream,
                                       const char *schema, const char *name,
                                       struct sluice_pgsink_table **out, struct sluice_error *err);
void sluice_pgsink_table_free(struct sluice_pgsink_table *table);

/* What has to be done so that the table can take the stream, as statements in order. */
struct sluice_pgsink_ddl {
    char **statements; /* owned */
    uint32_t count;
    int creates; /* the table is not there yet */
    char *
        primary_key; /* owned: the statement that adds the primary key, kept apart so that a load may
                          run it at its end; NULL = none */
    char *refused;   /* owned: why it cannot be, with a hint; NULL = it can */
};
/* Compares stream and catalog. CREATE SCHEMA, CREATE TABLE (native types where the source is PostgreSQL, else
 * the published mapping), enums that are missing, ADD COLUMN, widening ALTER TYPE, DROP NOT NULL, rename
 * where field metadata proves it; with `write` FROZEN nothing on an existing table. Columns that the
 * source dropped stay in the target, and lose NOT NULL. `old` is the version before, NULL = unknown. */
sluice_status sluice_pgsink_ddl_plan(struct sluice_sink *sink, struct sluice_pg_conn *conn,
                                     const struct sluice_pgsink_stream *stream,
                                     const struct sluice_stream_desc *old,
                                     struct sluice_pgsink_ddl *out, struct sluice_error *err);
void sluice_pgsink_ddl_free(struct sluice_pgsink_ddl *ddl);
/* Runs the statements (not primary_key), logging each. In the transaction at hand. */
sluice_status sluice_pgsink_ddl_run(struct sluice_sink *sink, struct sluice_pg_conn *conn,
                                    const struct sluice_pgsink_ddl *ddl, const char *stream,
                                    struct sluice_error *err);

/* sluice_sink_api.describe */
sluice_status sluice_pgsink_describe(struct sluice_sink *sink, const struct sluice_sink_plan *plan,
                                     const struct sluice_stream_begin *begin,
                                     sluice_finding_visit visit, void *vctx,
                                     struct sluice_error *err);

/* "a, b" of quoted columns: all, or those of `wanted` (a byte per column, NULL = all), each after `prefix`. */
void sluice_pgsink_table_list(const struct sluice_pgsink_table *table, const unsigned char *wanted,
                              const char *prefix, struct sluice_pg_text *out);

#endif /* SLUICE_PGSINK_TABLE_H */

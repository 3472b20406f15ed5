/* Source sqlserver: what its files share. */
#ifndef SQLSERVER_SOURCE_H
#define SQLSERVER_SOURCE_H

#include "lsn.h"
#include "sluice/failpoint.h"
#include "tds/column.h"
#include "tds/conn.h"

enum { MS_PIECES_AUTO = 0, MS_PIECES_ONE = 1, MS_PIECES_MANY = 2 };
/* How changes are found. */
enum { MS_CAPTURE_CDC = 0, MS_CAPTURE_TRACKING = 1 };

enum { MS_ISOLATION_AUTO = 0, MS_ISOLATION_SNAPSHOT = 1, MS_ISOLATION_READ_COMMITTED = 2 };

/* What changes bring of the old row. */
enum { MS_BEFORE_KEY = 0, MS_BEFORE_FULL = 1 };

struct ms_options {
    struct sluice_tds_settings server;
    int64_t isolation;  /* MS_ISOLATION_* */
    int64_t fine_times; /* SLUICE_TDS_FINE_* */
    int64_t clr_types;  /* SLUICE_TDS_CLR_* */
    int64_t batch_rows;
    int64_t capture;      /* MS_CAPTURE_* */
    int64_t before_image; /* MS_BEFORE_* */
    int64_t poll_us;      /* longest time between two looks for changes */
    int64_t pieces;       /* MS_PIECES_* */
    int64_t split_bytes;  /* 0 = not given */
};

/* A table as it is delivered. */
struct ms_stream {
    char *schema_name;
    char *table_name;
    char *name; /* of the stream */
    const char *parts[2];
    struct ArrowSchema schema;
    struct sluice_tds_decoder *decoders;
    uint32_t *keys;
    struct sluice_stream_desc desc;
    char *select;    /* the statement that reads it */
    uint32_t flags;  /* SLUICE_SELECT_* */
    char **includes; /* as selected */
    char **excludes;
    uint32_t include_count;
    uint32_t exclude_count;
    struct ms_lsn since_lsn;
    struct sluice_bytes
        since; /* changes behind it are needed; size 0 = behind the feed's position */
    struct ms_lsn load_position;
    char load_position_text[MS_LSN_TEXT];
    uint64_t last_schema_id; /* of versions that were announced */
    char incarnation[24];
    struct sluice_pair properties[3];
    char unfollowed[1152];      /* why there are no changes of it */
    int32_t filtered;           /* `select` has a WHERE */
    int32_t in_memory;          /* memory-optimised: SNAPSHOT is a hint of the table's */
    int64_t pages;              /* about; 0 = not known */
    char range_column[132 * 4]; /* first of the clustered key; "" = none */
    char range_type[64];        /* its base type, and as it is declared */
    char range_native[80];
    char **cuts; /* where its pieces begin, but the first; literals of T-SQL, cuts.c */
    uint32_t cut_count;
};

struct ms_way;

struct sluice_source {
    const struct sluice_host *host;
    const struct sluice_failpoint_extension *failpoints;
    const struct ms_way *way; /* of capture */
    struct ms_options options;
    struct ms_stream **streams; /* of open */
    uint32_t stream_count;
    uint32_t snapshot; /* reads are under SNAPSHOT */
    uint32_t snapshot_allowed;
    uint32_t read_only; /* nobody can change the database */
    uint64_t plan_batch_rows;
    uint64_t plan_batch_bytes;
    char server[256];
    char identity[320];
    /* changes */
    int32_t mode;       /* of the plan */
    int32_t wants_feed; /* some stream's changes are chosen */
    int32_t once;       /* END at what was committed before open() */
    int64_t once_us;    /* then (UTC) */
    int64_t until_us;   /* UTC; 0 = none */
    int64_t
        position_us; /* when what the feed goes on from was committed, in the server's zone; 0 = not known */
    struct ms_lsn until; /* zero = none */
    struct ms_lsn start; /* of the feed without a resume position */
    char shard_id[121];
    struct sluice_tds_settings quick; /* of `asking` */
    struct sluice_tds_conn *asking;   /* of measure(); NULL = none */
    struct ms_lsn digest_position;    /* [ctl] */
};

/* A table out of the catalog, all columns. Valid during the visit. */
struct ms_table {
    char schema_name[132 * 4];
    char table_name[132 * 4];
    int64_t object_id;
    int64_t rows; /* about; -1 = not known */
    int64_t pages;
    int32_t range_ordinal; /* of the first column of the clustered key, from 1; 0 = none */
    int32_t is_view;
    int32_t in_memory; /* memory-optimised */
    struct sluice_tds_column *columns;
    uint32_t *key_ordinals; /* from 1; 0 = not of the key */
    uint32_t count;
    uint32_t cap;
};
typedef sluice_status (*ms_table_visit)(void *vctx, const struct ms_table *table,
                                        struct sluice_error *err);

/* catalog.c: visits every user table of the database, by schema and name. END from the visitor stops. */
sluice_status ms_catalog_tables(struct sluice_tds_conn *conn, ms_table_visit visit, void *vctx,
                                struct sluice_error *err);
/* Server, database, and whether SNAPSHOT may be used. */
sluice_status ms_catalog_server(struct sluice_source *src, struct sluice_tds_conn *conn,
                                int *snapshot_allowed, struct sluice_error *err);

/* stream.c: a table with the columns that `select` chooses; NULL = all. `captured`: which of them changes have; NULL =
 * there are no changes of it. */
struct ms_instance;
sluice_status ms_stream_make(const struct sluice_source *src, const struct ms_table *table,
                             const struct sluice_stream_select *select,
                             const struct ms_instance *captured, uint64_t row_limit,
                             struct ms_stream **out, struct sluice_error *err);
/* 1 if the selection (NULL = all) has the column. */
int ms_stream_chooses(const struct sluice_stream_select *select, const char *name);
/* The columns that were chosen, for another version of the table; borrows from the stream. */
struct sluice_stream_select ms_stream_selection(const struct ms_stream *stream);
/* 1 … of a key column by name; 0 = not of the key. */
uint32_t ms_stream_key_ordinal(const struct ms_stream *stream, const char *name);
void ms_stream_free(struct ms_stream *stream);

/* cuts.c: sets the cuts of the streams of open that are read in pieces. */
sluice_status ms_cuts_find(struct sluice_source *src, const struct sluice_source_plan *plan,
                           struct sluice_tds_conn *conn, struct sluice_error *err);
void ms_cuts_free(struct ms_stream *stream);
/* The statement of a piece; the caller frees it. */
sluice_status ms_cuts_select(const struct ms_stream *stream, uint32_t piece, char **out,
                             struct sluice_error *err);

/* source.c: connects, and fills in what server it is. */
sluice_status ms_connect_and_ask(struct sluice_source *src, struct sluice_tds_conn **out,
                                 int *snapshot_allowed, struct sluice_error *err);

/* reader.c: loads */
struct ms_load;
sluice_status ms_shards(struct sluice_source *src, sluice_shard_visit visit, void *vctx,
                        struct sluice_error *err);
sluice_status ms_load_open(struct sluice_source *src, const struct sluice_shard_desc *shard,
                           struct sluice_bytes resume, struct ms_load **out,
                           struct sluice_error *err);
sluice_status ms_load_next(struct ms_load *rd, int64_t timeout_us, struct sluice_batch *out,
                           struct sluice_error *err);
void ms_load_close(struct ms_load *rd);

/* any_reader.c: a reader of either kind of shard */
sluice_status ms_any_open(struct sluice_source *src, const struct sluice_shard_desc *shard,
                          struct sluice_bytes resume, struct sluice_reader **out,
                          struct sluice_error *err);
sluice_status ms_any_next(struct sluice_reader *rd, int64_t timeout_us, struct sluice_batch *out,
                          struct sluice_error *err);
void ms_any_close(struct sluice_reader *rd);
sluice_status ms_any_shards(struct sluice_source *src, sluice_shard_visit visit, void *vctx,
                            struct sluice_error *err);

/* digest.c: sluice_source_api.digest */
sluice_status ms_digest(struct sluice_source *src, const struct sluice_digest_ask *ask,
                        sluice_digest_visit visit, void *vctx, struct sluice_digest_info *info,
                        struct sluice_error *err);

extern const struct sluice_source_api ms_source_api;

#endif /* SQLSERVER_SOURCE_H */

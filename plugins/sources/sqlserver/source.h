/* Source sqlserver: what its files share. */
#ifndef SQLSERVER_SOURCE_H
#define SQLSERVER_SOURCE_H

#include "tds/column.h"
#include "tds/conn.h"

enum { MS_ISOLATION_AUTO = 0, MS_ISOLATION_SNAPSHOT = 1, MS_ISOLATION_READ_COMMITTED = 2 };

struct ms_options {
    struct sluice_tds_settings server;
    int64_t isolation;  /* MS_ISOLATION_* */
    int64_t fine_times; /* SLUICE_TDS_FINE_* */
    int64_t batch_rows;
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
    char *select; /* the statement that reads it */
    uint32_t flags;
};

struct sluice_source {
    const struct sluice_host *host;
    struct ms_options options;
    struct ms_stream **streams; /* of open */
    uint32_t stream_count;
    uint32_t snapshot; /* reads are under SNAPSHOT */
    uint64_t plan_batch_rows;
    uint64_t plan_batch_bytes;
    char server[256];
    char identity[320];
};

/* A table out of the catalog, all columns. Valid during the visit. */
struct ms_table {
    char schema_name[132 * 4];
    char table_name[132 * 4];
    int64_t object_id;
    int64_t rows; /* about; -1 = not known */
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

/* stream.c: a table with the columns that `select` chooses; NULL = all. */
sluice_status ms_stream_make(const struct sluice_source *src, const struct ms_table *table,
                             const struct sluice_stream_select *select, uint64_t row_limit,
                             struct ms_stream **out, struct sluice_error *err);
void ms_stream_free(struct ms_stream *stream);

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

extern const struct sluice_source_api ms_source_api;

#endif /* SQLSERVER_SOURCE_H */

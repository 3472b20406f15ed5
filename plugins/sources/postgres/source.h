/*
 * The PostgreSQL source: what its files share. Of this folder alone.
 *
 * Life of an instance: create → (discover | check)* → open → shards → readers → destroy.
 * open() makes the holder, the connection whose transaction exported the snapshot; it sends nothing
 * more until the next open() or destroy(). Readers import that snapshot on pooled connections.
 *
 * Threads: what [ctl] functions write (streams, shards, snapshot) is constant while readers run; the
 * pool has its own lock.
 */
#ifndef SLUICE_PG_SOURCE_H
#define SLUICE_PG_SOURCE_H

#include <pthread.h>

#include "pg/conn.h"
#include "pg/decode.h"
#include "pg/text.h"
#include "pg/types.h"
#include "sluice/abi.h"
#include "sluice/failpoint.h"
#include "sluice/log.h"

enum { PG_PARTITIONS_ROOT = 0, PG_PARTITIONS_LEAVES = 1 };
enum { PG_GENERATED_INCLUDE = 0, PG_GENERATED_EXCLUDE = 1 };

struct pg_options {
    struct sluice_pg_settings conn;
    int64_t split_bytes;
    int64_t batch_rows;
    int64_t batch_bytes;
    int64_t max_row_bytes;
    int64_t partitions;         /* PG_PARTITIONS_* */
    int64_t generated;          /* PG_GENERATED_* */
    int64_t on_unrepresentable; /* SLUICE_PG_UNREPRESENTABLE_* */
    /* feeds */
    const char *slot;             /* NULL = "sluice_" and the pipeline's name */
    const char *publication;      /* NULL = the slot's default name */
    int64_t publication_mode;     /* PG_PUBLICATION_* */
    int64_t without_identity;     /* PG_IDENTITY_* */
    int64_t failover;             /* PG_AUTO, PG_OFF, PG_ON */
    int64_t binary;               /* PG_AUTO, PG_OFF, PG_ON */
    int32_t messages;             /* deliver logical messages as a stream */
    int64_t origin;               /* PG_ORIGIN_* */
    const char *start_lsn;        /* cdc_only: begin here; NULL = now */
    int64_t feedback_interval_us; /* longest time between two status updates */
};

enum { PG_PUBLICATION_AUTO = 0, PG_PUBLICATION_EXISTING = 1, PG_PUBLICATION_ALL_TABLES = 2 };
enum { PG_IDENTITY_REFUSE = 0, PG_IDENTITY_INSERT_ONLY = 1 };
enum { PG_AUTO = 0, PG_OFF = 1, PG_ON = 2 };
enum { PG_ORIGIN_ANY = 0, PG_ORIGIN_NONE = 1 };

/* ---------------------------------------------------------------- catalog.c ------------------ */

struct pg_attribute {
    const char *name;
    const char *native;    /* format_type() */
    const char *base;      /* of a domain: the same of its base; NULL */
    const char *labels;    /* of an enum, or an array of one: JSON array; NULL */
    const char *initial;   /* its default, as an expression; NULL */
    uint32_t relation;     /* together with `real` what the column is, whatever it is called; 0 */
    int16_t real;          /* attnum in the catalog; `number` may be the feed's own */
    const char *collation; /* qualified and quoted, if not the type's own; NULL */
    const char *missing;   /* what rows have that are older than the column, as text; NULL */
    uint32_t type;
    int32_t typmod;
    int16_t number;
    char generated; /* 's' stored, 'v' virtual, 0 */
    char identity;  /* 'a' always, 'd' by default, 0 */
    int32_t not_null;
    int32_t readable;
};

/* What is behind a type, for whoever makes a table like this one: three expressions over the alias y of
 * pg_type and the modifier M. */
#define PG_TYPE_BASE(M)                                                                            \
    "CASE WHEN y.typtype = 'd' THEN (WITH RECURSIVE d(t, m, k, b, bm) AS (SELECT y.oid, " M        \
    ", y.typtype, y.typbasetype, y.typtypmod UNION ALL SELECT z.oid, d.bm, z.typtype,"             \
    " z.typbasetype, z.typtypmod FROM d JOIN pg_catalog.pg_type z ON z.oid = d.b WHERE d.k = 'd')" \
    " SELECT pg_catalog.format_type(d.t, d.m) FROM d WHERE d.k <> 'd') END"
#define PG_TYPE_LABELS                                                                   \
    "CASE WHEN y.typtype = 'e' OR y.typcategory = 'A' THEN (SELECT pg_catalog.json_agg(" \
    "e.enumlabel ORDER BY e.enumsortorder)::pg_catalog.text FROM pg_catalog.pg_enum e"   \
    " WHERE e.enumtypid = CASE WHEN y.typtype = 'e' THEN y.oid ELSE y.typelem END) END"

/* Over the aliases a of pg_attribute and y of its type. */
#define PG_COLUMN_COLLATION                                                                \
    "CASE WHEN a.attcollation <> 0 AND a.attcollation <> y.typcollation THEN (SELECT"      \
    " pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(l.collname) FROM" \
    " pg_catalog.pg_collation l JOIN pg_catalog.pg_namespace n ON n.oid = l.collnamespace" \
    " WHERE l.oid = a.attcollation) END"
/* Over the alias a of pg_attribute. */
#define PG_COLUMN_DEFAULT                                                                        \
    "CASE WHEN a.attgenerated = '' THEN (SELECT pg_catalog.pg_get_expr(f.adbin, f.adrelid) FROM" \
    " pg_catalog.pg_attrdef f WHERE f.adrelid = a.attrelid AND f.adnum = a.attnum) END"
#define PG_COLUMN_MISSING \
    "CASE WHEN a.atthasmissing THEN (a.attmissingval::pg_catalog.text::pg_catalog.text[])[1] END"

struct pg_relation {
    uint32_t oid;
    uint32_t root;    /* of a leaf that is read for a partitioned table; else 0 */
    char kind;        /* relkind: r p v m f; PG_KIND_MESSAGES */
    char persistence; /* relpersistence: p, u unlogged */
    char replica_identity;
    int32_t is_partition;
    int32_t owned; /* we may alter it */
    int32_t schema_usable;
    int32_t readable; /* SELECT on the table as a whole */
    int32_t row_security;
    int32_t heap; /* has pages and ctids as we know them */
    int32_t populated;
    double row_estimate; /* -1 = unknown */
    int64_t pages;
    int64_t toast_bytes;
    const char *schema;
    const char *name;
    const struct pg_attribute *attributes;
    uint32_t attribute_count;
    int16_t keys[32]; /* attribute numbers of the primary key */
    uint32_t key_count;
    /* pg_catalog_load_identity: what the server writes to its log of an updated or deleted row */
    char identity;             /* PG_IDENTITY_FULL_ROW, PG_IDENTITY_COLUMNS, 0 = nothing */
    int16_t identity_keys[32]; /* COLUMNS: attribute numbers in index order */
    uint32_t identity_count;
    const char *identity_names; /* COLUMNS: their names, sorted and quoted, for comparing */
    const char *identity_index; /* an index that could serve where there is none; "" = none */
    int32_t identity_primary;   /* that index is the primary key */
    /* pg_catalog_load_published */
    int32_t published;             /* bit 0, 1: in the first, second publication of the feed */
    const char *published_columns; /* attribute numbers that are sent, by blanks; NULL = all */
    const char *row_filter;        /* of the publication; NULL = none */
};

/* The relation of the stream of logical messages, which is no table. */
#define PG_KIND_MESSAGES 'M'
#define PG_MESSAGES_STREAM "pg_logical_message"
#define PG_MESSAGES_STREAM_ID 1u /* oids of tables start at 16384 */
#define PG_IDENTITY_FULL_ROW 'f'
#define PG_IDENTITY_COLUMNS 'k'

/* Owns its results; strings of relations and attributes point into them. */
struct pg_catalog {
    PGresult *results[12];
    uint32_t result_count;
    struct pg_relation *relations; /* sorted by oid */
    uint32_t relation_count;
    struct pg_relation *leaves; /* sorted by root */
    uint32_t leaf_count;
    struct pg_attribute *attributes;
    struct sluice_pg_types *types;
};

/* Reads the relations of the database: names, kinds, rights, estimates. */
sluice_status pg_catalog_load(struct sluice_pg_conn *conn, struct pg_catalog *catalog,
                              struct sluice_error *err) SLUICE_MUST_CHECK;
/* Reads columns, keys and types of the chosen relations (indexes into relations). */
sluice_status pg_catalog_load_columns(struct sluice_pg_conn *conn, struct pg_catalog *catalog,
                                      const uint32_t *chosen, uint32_t count,
                                      struct sluice_error *err) SLUICE_MUST_CHECK;
/* Reads the leaves of the chosen partitioned tables. */
sluice_status pg_catalog_load_leaves(struct sluice_pg_conn *conn, struct pg_catalog *catalog,
                                     const uint32_t *chosen, uint32_t count,
                                     struct sluice_error *err) SLUICE_MUST_CHECK;
/* Asks for the true sizes of the chosen relations and of all leaves; keeps the estimates when a
 * lock is in the way. */
sluice_status pg_catalog_load_sizes(struct sluice_pg_conn *conn, struct pg_catalog *catalog,
                                    const uint32_t *chosen, uint32_t count,
                                    struct sluice_error *err) SLUICE_MUST_CHECK;
/* Reads the replica identities of the chosen relations and of all leaves. After their columns. */
sluice_status pg_catalog_load_identity(struct sluice_pg_conn *conn, struct pg_catalog *catalog,
                                       const uint32_t *chosen, uint32_t count,
                                       struct sluice_error *err) SLUICE_MUST_CHECK;
/* Reads what publications (which may not exist) hold of all relations. */
sluice_status pg_catalog_load_published(struct sluice_pg_conn *conn, struct pg_catalog *catalog,
                                        char (*publications)[64], uint32_t count,
                                        struct sluice_error *err) SLUICE_MUST_CHECK;
/* Keeps a result until the catalog is freed, also when it fails. */
sluice_status pg_catalog_keep(struct pg_catalog *catalog, PGresult *result,
                              struct sluice_error *err) SLUICE_MUST_CHECK;
/* Finds a relation by oid, among the leaves too; NULL = not there. */
struct pg_relation *pg_catalog_find(const struct pg_catalog *catalog, uint32_t oid);
/* Finds the plan's streams among the relations: chosen[i] for stream i, UINT32_MAX if not there. */
sluice_status pg_catalog_match(const struct pg_catalog *catalog,
                               const struct sluice_source_plan *plan, uint32_t *chosen,
                               struct sluice_error *err) SLUICE_MUST_CHECK;
void pg_catalog_free(struct pg_catalog *catalog);

/* ---------------------------------------------------------------- stream.c ------------------- */

struct pg_stream {
    const struct pg_relation *relation;
    struct sluice_stream_desc desc;
    struct ArrowSchema schema;
    char *name;
    const char *parts[2];
    uint32_t keys[32];
    struct sluice_pair properties[3];
    char incarnation[16]; /* the relation's oid: another table of that name has another */
    char *select;         /* select expressions, joined by commas */
    char *column_names;   /* array literal of the chosen columns */
    char *where;          /* NULL = none */
    int32_t *decode;      /* SLUICE_PG_DECODE_*, one a column */
    uint32_t column_count;
    struct sluice_error problem; /* status < 0: why it cannot be read */
    int32_t binary_whole;        /* every column's decoder takes the type's binary form */
    int32_t select_flags;        /* SLUICE_SELECT_* of the plan */
    int32_t insert_only;         /* no usable identity, and asked for */
    int32_t columns_named;       /* the plan names the columns: others do not join later */
    char **excluded;             /* names that the plan leaves out, also of columns to come */
    uint32_t excluded_count;
    uint64_t last_schema_id; /* the feed's: the last that it announced; 0 = none */
};

/* What stream building needs to know of its surroundings. */
struct pg_stream_context {
    const struct pg_options *options;
    const struct pg_catalog *catalog;
    const char *database;
    int32_t sql_ascii;
    int32_t server_version;
    int32_t changes; /* the mode has changes: describe what the feed can deliver */
};

/* Describes one relation; `select` may be NULL. What keeps it from being read goes to
 * stream->problem, NOMEM and the like to err. The stream borrows from the catalog. */
sluice_status pg_stream_make(const struct pg_stream_context *context,
                             const struct pg_relation *relation,
                             const struct sluice_stream_select *select, struct pg_stream *stream,
                             struct sluice_error *err) SLUICE_MUST_CHECK;
void pg_stream_free(struct pg_stream *stream);
/* Describes the stream of logical messages. */
sluice_status pg_stream_make_messages(const struct pg_stream_context *context,
                                      struct pg_stream *stream, struct sluice_error *err)
    SLUICE_MUST_CHECK;
/* 1 if the server's log can tell the changes of such a relation. */
int pg_relation_capturable(const struct pg_relation *relation, int server_version);
/* Writes the stream name of a relation; NULL = out of memory. The caller frees it. */
char *pg_stream_name(const struct pg_relation *relation);

/* digest.c: sluice_source_api.digest */
sluice_status pg_source_digest(struct sluice_source *src, const struct sluice_digest_ask *ask,
                               sluice_digest_visit visit, void *vctx,
                               struct sluice_digest_info *info, struct sluice_error *err);

/* ---------------------------------------------------------------- shards.c ------------------- */

struct pg_shard {
    struct sluice_shard_desc desc;
    char id[121];
    uint64_t handle[2]; /* generation, index */
    const struct pg_stream *stream;
    const struct pg_relation *relation; /* the table, or a leaf of it */
    int64_t first_page;                 /* -1: no ctid condition */
    int64_t end_page;                   /* -1: open end */
    int32_t done;                       /* every sink has it whole */
};

/* ---------------------------------------------------------------- feed ----------------------- */

/* What open() fixed for the feed; constant while its reader runs. setup.c makes it, feed.c uses it. */
struct pg_feed_setup {
    int32_t wanted; /* the mode has changes */
    char slot[64];
    char publications[2]
                     [64]; /* the second, if any, is for tables without identity: inserts alone */
    uint32_t publication_count;
    uint64_t start;     /* where the feed begins without resume */
    uint64_t resume;    /* of the plan; 0 = none */
    uint64_t once_end;  /* SLUICE_PLAN_ONCE: the log's end at open(); 0 = follow */
    uint64_t until_lsn; /* 0 = none */
    int64_t until_us;   /* wall clock; 0 = none */
    char system_id[32]; /* of IDENTIFY_SYSTEM at open() */
    char timeline[16];
    int32_t failover_slot; /* the timeline may change */
    uint64_t load_point; /* the log's position that src->snapshot shows exactly; 0 = no snapshot */
    uint8_t load_position[8];
    char load_position_text[17];
    uint8_t start_position[8];
    char created[1024]; /* what we have made at the server; "" = nothing */
    atomic_int binary;  /* ask for binary values; a reader turns it off when a type comes that
                              has none */
    char shard_id[121];
    struct sluice_shard_desc shard;
};

struct sluice_source {
    const struct sluice_host *host;
    struct pg_options options;
    struct sluice_pg_registry *registry;
    struct sluice_metric *rows_read;
    struct sluice_metric *bytes_read;

    struct sluice_pg_conn *control; /* kept between discover, check and open */
    struct sluice_pg_conn *holder;  /* holds the exported snapshot */
    char snapshot[64];
    char snapshot_mark[96]; /* what PG_SNAPSHOT_MARK says under it */
    uint64_t generation;    /* grows with each open */
    int64_t snapshot_us;    /* wall clock when it was taken */
    char identity[96];
    char server[96];
    int32_t opened;
    uint64_t row_limit;
    uint64_t batch_rows; /* of the plan; 0 = none */
    uint64_t batch_bytes;
    struct pg_catalog catalog;
    struct pg_stream *streams;
    uint32_t stream_count;
    struct pg_shard *shards;
    uint32_t shard_count;
    uint32_t shard_cap;
    uint32_t shards_left;           /* of those that not every sink has whole; [ctl] */
    struct pg_shard **shards_by_id; /* sorted */

    struct pg_feed_setup feed;
    const struct sluice_failpoint_extension *failpoints;
    struct sluice_metric *changes_read;

    pthread_mutex_t pool_lock; /* guards pool; a leaf lock, never held across I/O */
    struct sluice_pg_conn *pool[64];
    uint32_t pool_count;
    uint8_t digest_position[64]; /* [ctl] */
};

/* Splits all streams of the source that have no problem. */
sluice_status pg_shards_make(struct sluice_source *src, const struct sluice_source_plan *plan,
                             struct sluice_error *err) SLUICE_MUST_CHECK;
void pg_shards_free(struct sluice_source *src);
/* NULL = no such shard. */
struct pg_shard *pg_shards_find(const struct sluice_source *src, const char *id);

/* ---------------------------------------------------------------- worker.c ------------------- */

/* Names of snapshots come again after a restart of the server, for other snapshots. This tells two
 * apart: which transactions it sees, and since when the server runs. */
#define PG_SNAPSHOT_MARK                                                             \
    "(SELECT pg_catalog.concat(pg_catalog.txid_snapshot_xmin(s), ':',"               \
    " pg_catalog.txid_snapshot_xmax(s), ' ', pg_catalog.pg_postmaster_start_time())" \
    " FROM pg_catalog.txid_current_snapshot() s)"

/* Gives a connection whose transaction sees the exported snapshot. SNAPSHOT_LOST if that is gone. */
sluice_status pg_worker_acquire(struct sluice_source *src, struct sluice_pg_conn **out,
                                struct sluice_error *err) SLUICE_MUST_CHECK;
/* Takes it back; `reusable` = 0 closes it. */
void pg_worker_release(struct sluice_source *src, struct sluice_pg_conn *conn, int reusable);
/* Closes all idle connections. */
void pg_workers_close(struct sluice_source *src);

/* ---------------------------------------------------------------- the ABI's functions -------- */

/* A connection for catalog work, inside a read-only repeatable read transaction. */
sluice_status pg_control_begin(struct sluice_source *src, struct sluice_error *err)
    SLUICE_MUST_CHECK;
/* Ends that transaction; closes the connection if it is broken. */
void pg_control_end(struct sluice_source *src);

sluice_status pg_source_check(struct sluice_source *src, const struct sluice_source_plan *plan,
                              sluice_finding_visit visit, void *vctx, struct sluice_error *err);
sluice_status pg_source_discover(struct sluice_source *src, sluice_stream_visit visit, void *vctx,
                                 struct sluice_error *err);
sluice_status pg_source_open(struct sluice_source *src, const struct sluice_source_plan *plan,
                             struct sluice_source_info *info, sluice_stream_visit visit, void *vctx,
                             struct sluice_error *err);
sluice_status pg_source_shards(struct sluice_source *src, sluice_shard_visit visit, void *vctx,
                               struct sluice_error *err);
sluice_status pg_reader_open(struct sluice_source *src, const struct sluice_shard_desc *shard,
                             struct sluice_bytes resume, struct sluice_reader **out,
                             struct sluice_error *err);
sluice_status pg_reader_next(struct sluice_reader *rd, int64_t timeout_us, struct sluice_batch *out,
                             struct sluice_error *err);
void pg_reader_close(struct sluice_reader *rd);
sluice_status pg_reader_idle(struct sluice_reader *rd, struct sluice_error *err);
sluice_status pg_reader_ack(struct sluice_reader *rd, struct sluice_bytes position,
                            struct sluice_error *err);

/* feed.c: the reader of the shard of changes. pg_reader_* hand over to these by the shard's kind. */
struct pg_feed;
sluice_status pg_feed_open(struct sluice_source *src, const struct sluice_shard_desc *shard,
                           struct sluice_bytes resume, struct pg_feed **out,
                           struct sluice_error *err) SLUICE_MUST_CHECK;
sluice_status pg_feed_next(struct pg_feed *feed, int64_t timeout_us, struct sluice_batch *out,
                           struct sluice_error *err) SLUICE_MUST_CHECK;
sluice_status pg_feed_idle(struct pg_feed *feed, struct sluice_error *err) SLUICE_MUST_CHECK;
sluice_status pg_feed_ack(struct pg_feed *feed, struct sluice_bytes position,
                          struct sluice_error *err) SLUICE_MUST_CHECK;
void pg_feed_close(struct pg_feed *feed);

/* setup.c: before open() takes its snapshot: identities, publication, slot. Leaves in src->holder a
 * replication connection whose slot exported src->snapshot, when streams are to be loaded. */
sluice_status pg_feed_setup(struct sluice_source *src, const struct sluice_source_plan *plan,
                            struct sluice_error *err) SLUICE_MUST_CHECK;
/* slot.c: the checks of every connect, on the feed's own replication connection before it streams:
 * identity of the server, slot and publication against `position`. POSITION_LOST for a gap. */
sluice_status pg_feed_verify(struct sluice_source *src, struct sluice_pg_conn *conn,
                             uint64_t position, struct sluice_error *err) SLUICE_MUST_CHECK;
sluice_status pg_source_retire(struct sluice_source *src, const struct sluice_source_plan *plan,
                               sluice_finding_visit visit, void *vctx, struct sluice_error *err);
sluice_status pg_source_measure(struct sluice_source *src, const struct sluice_source_plan *plan,
                                struct sluice_bytes position, struct sluice_source_lag *out,
                                struct sluice_error *err);
/* When every snapshot shard is done, gives up the snapshot, and with it what the server keeps for it. */
sluice_status pg_source_shard_done(struct sluice_source *src, const char *shard_id,
                                   struct sluice_error *err);
/* Frees what open() made. */
void pg_source_close(struct sluice_source *src);

#endif /* SLUICE_PG_SOURCE_H */

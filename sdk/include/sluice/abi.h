/*
 * sluice plugin ABI, major 0.
 *
 * This header is all that crosses the border between the engine (the host) and a plugin. It is
 * C11 without extensions and valid C++11; it depends on <stdint.h> and the Arrow C data interface
 * alone; its first part is in abi_host.h. The contract and the rules of growth are in sdk/ABI.md.
 *
 * Rules for everything in here:
 *  - Every struct that crosses starts with struct_size, set by whoever fills it, and grows only at
 *    its end. A reader uses a member only if it lies within struct_size. Exceptions are the frozen
 *    PODs sluice_bytes and sluice_pair.
 *  - Arrays of structs are arrays of pointers.
 *  - Strings are UTF-8, NUL-terminated unless a length stands beside them.
 *  - Sizes are bytes, times are microseconds (_us), positions are opaque bytes of the source.
 *
 * Threads are symbolic. A function is called by at most one thread at a time per the named object,
 * but not always by the same thread:
 *  [ctl]   one at a time per instance (source, sink, transform)
 *  [shard] one at a time per reader, and per transform instance; distinct readers run in parallel
 *  [lane]  one at a time per lane; distinct lanes of one sink run in parallel
 *  [any]   any thread at any time between create and destroy
 *
 * Ownership words: *borrows* (until the call returns, unless it says longer), *moves*, *copies*,
 * *shares*. A pointer without a word is borrowed until the call returns.
 */
#ifndef SLUICE_ABI_H
#define SLUICE_ABI_H

#include <stdint.h>

#include "sluice/abi_host.h"
#include "sluice/arrow.h"

#ifdef __cplusplus
extern "C" {
#endif

#define SLUICE_ABI_MAJOR 0u
#define SLUICE_ABI_MINOR 4u
#define SLUICE_PLUGIN_MAGIC 0x4543554cu /* "LUCE" little-endian */
#define SLUICE_ENVELOPE_VERSION 1u      /* the layout of CHANGES batches, see below */

/* ---------------------------------------------------------------- streams and rows ----------- */

/* sluice_stream_desc.kind */
enum {
    SLUICE_STREAM_TABLE = 1,
    SLUICE_STREAM_PARTITIONED = 2, /* the root of a partitioned table */
    SLUICE_STREAM_PARTITION = 3,   /* a leaf, read as a table of its own */
    SLUICE_STREAM_VIEW = 4,
    SLUICE_STREAM_MATVIEW = 5,
    SLUICE_STREAM_FOREIGN = 6,
    SLUICE_STREAM_TOPIC = 7
};

/* sluice_stream_desc.before: what `before` of a CHANGES batch holds */
enum { SLUICE_BEFORE_NONE = 0, SLUICE_BEFORE_KEY = 1, SLUICE_BEFORE_FULL = 2 };

/* sluice_stream_desc.flags */
enum {
    SLUICE_STREAM_CAN_CHANGES = 1,     /* the source can deliver changes of this stream */
    SLUICE_STREAM_INSERT_ONLY = 2,     /* changes are inserts alone (no usable key) */
    SLUICE_STREAM_POSITION_OPAQUE = 4, /* positions are not memcmp-ordered */
    SLUICE_STREAM_INTERNAL = 8,        /* of the system: never matched by globs */
    SLUICE_STREAM_NO_LOAD = 16,        /* has changes alone: there is nothing to load */
    SLUICE_STREAM_LOAD_INEXACT = 32    /* its load may hold what changes behind its position bring
                                          once more: an update may come of a row that was gone by
                                          then, and is passed over unless it brings all columns.
                                          Since minor 4 */
};

/* A table (or topic) with one version of its columns.
 *
 * `name` is the stream name: identifiers joined by '.', each double-quoted SQL-style unless it is
 * [a-z_][a-z0-9_]*; `parts` are the same identifiers unquoted. `schema` is the Arrow schema of a
 * ROWS batch: format "+s", one child a column. Field metadata of a column (all optional):
 *   sluice:native_type  the source's own type name, e.g. "numeric(12,2)"
 *   sluice:text         how the text of a utf8 column is structured, see sdk/ABI.md "Text classes"
 *   sluice:special      "1": values outside the type's range stand for what Arrow lacks; timestamps
 *                       and dates: the largest integer = infinity, the smallest = -infinity;
 *                       decimals: the smallest integer of the width = NaN
 *   sluice:base_type    of a domain: the type beneath, written like native_type
 *   sluice:enum         labels of an enum, or of an array of one: a JSON array of strings
 *   sluice:default      the default as SQL of the source
 *   sluice:generated    "stored", "virtual"; sluice:identity "always", "by default"
 *   sluice:changes      "not sent": the column is in loads alone, changes of the stream lack it
 *   sluice:collation    if not the type's own: quoted, with its schema
 *   sluice:missing      text of the value that rows from before the column have; not there: NULL
 *   sluice:column_id    the same while the column lives, whatever its name; to be compared alone
 * and ARROW:extension:name ("arrow.json", "arrow.uuid"). */
struct sluice_stream_desc {
    uint32_t struct_size;
    int32_t kind;
    uint32_t flags;
    int32_t before;
    uint64_t stream_id; /* unique in the source instance, not 0 */
    uint64_t schema_id; /* grows with each new version of the columns; from 1 */
    const char *name;
    uint32_t part_count;
    uint32_t key_count;
    const char *const *parts;
    const uint32_t *keys; /* indexes of the key columns in key order */
    const struct ArrowSchema *schema;
    int64_t rows_estimate;             /* -1 = unknown */
    int64_t bytes_estimate;            /* -1 = unknown */
    struct sluice_bytes load_position; /* from open(): everything up to here is in the load; changes
                                          behind it are applied on top. Exact: nothing behind it is in
                                          the load. Else (SLUICE_STREAM_LOAD_INEXACT) some may be, so
                                          that sinks meet inserts of rows that are there and deletes
                                          of rows that are not. size 0 = none */
    const char *load_position_text;    /* the same as lower-case hex, for manifests; NULL = none */
    uint32_t encoding_count; /* draft "sluice.encoded-batch": encodings the source offers */
    uint32_t property_count;
    const char *const *encodings;
    const struct sluice_pair *properties; /* constant facts: source kind, database, comment … */
};

/* sluice_batch.kind */
enum {
    SLUICE_BATCH_ROWS = 1,      /* the table's columns */
    SLUICE_BATCH_CHANGES = 2,   /* the change envelope, see below */
    SLUICE_BATCH_SCHEMA = 3,    /* desc: new version of the columns, before its first row; no array
                                      (release is NULL), rows 0 */
    SLUICE_BATCH_TRUNCATE = 4,  /* the stream was emptied. array: the first five fields of the
                                      envelope, op 'T', one row. A command that empties several
                                      tables gives one batch for each, all with the same tx_seq */
    SLUICE_BATCH_MESSAGE = 5,   /* a logical message: array of prefix utf8, content binary */
    SLUICE_BATCH_HEARTBEAT = 6, /* position alone */
    SLUICE_BATCH_SNAPSHOT_END = 7, /* the load of this stream has no more rows */
    SLUICE_BATCH_ENCODED = 8       /* draft: wire bytes and a row count, after negotiation */
};

/* sluice_batch.flags */
enum {
    SLUICE_BATCH_COMMIT_BOUNDARY = 1 /* `position` is a safe resume point after this batch */
};

/* One stream, one schema_id, many rows.
 *
 * The envelope of CHANGES, a struct array, fixed order and names:
 *   0 op         int8            'I' 'U' 'D' ('R' for a row of the load)
 *   1 commit_pos binary          memcmp-ordered position of the commit
 *   2 tx_seq     int64           ordinal in the transaction; (commit_pos, tx_seq) is the total order
 *   3 commit_ts  timestamp us UTC, nullable
 *   4 tx_id      utf8, nullable
 *   5 before     struct, nullable: nothing, the key columns, or the full row (stream_desc.before)
 *   6 after      struct, nullable: the columns of a ROWS batch; NULL on 'D'
 *   7 unchanged  binary, nullable: bit i (byte i/8, bit i%8) = column i of `after` was not sent;
 *                its slot is null and must not be written; NULL = all known
 *
 * Rows of one batch ascend by (commit_pos, tx_seq). Batches of different streams may hold
 * interleaved transactions: between two COMMIT_BOUNDARYs only the rows' own order counts, except
 * that SCHEMA and TRUNCATE come after all rows before them and before all rows after them.
 * `after` in a stream that is INSERT_ONLY or has BEFORE_FULL is as for others. commit_pos is greater
 * than every position whose transactions end before this one, and at most the position of the first
 * COMMIT_BOUNDARY behind it.
 *
 * Whoever holds a non-NULL array.release calls it. release may run on any thread, also after the
 * reader is closed. */
struct sluice_batch {
    uint32_t struct_size;
    int32_t kind;
    uint32_t flags;
    uint32_t reserved; /* 0 */
    uint64_t stream_id;
    uint64_t schema_id;
    uint64_t rows;
    uint64_t bytes;                        /* memory held by `array`, approximately; 0 = unknown */
    int64_t source_time_us;                /* when the source committed or read it; 0 = unknown */
    struct sluice_bytes position;          /* borrowed until the next call on the reader */
    const struct sluice_stream_desc *desc; /* SCHEMA: the new version; borrowed likewise */
    struct ArrowArray array;
};

/* sluice_shard_desc.kind */
enum { SLUICE_SHARD_SNAPSHOT = 1, SLUICE_SHARD_CHANGES = 2, SLUICE_SHARD_PARTITION = 3 };

/* One ordered flow out of a source. */
struct sluice_shard_desc {
    uint32_t struct_size;
    int32_t kind;
    uint32_t flags;
    uint32_t stream_count;
    const char *id; /* unique in the pipeline and stable over restarts for CHANGES and PARTITION;
                       [a-zA-Z0-9_.:/-], at most 120 bytes */
    const uint64_t *stream_ids; /* SNAPSHOT: exactly one */
    int64_t rows_estimate;      /* -1 = unknown */
    int64_t bytes_estimate;
    struct sluice_bytes handle; /* opaque, of the source */
    struct sluice_bytes start;  /* CHANGES: from the source, where the feed begins when it is opened
                                   without a resume position; in lane_open, the position after which
                                   this lane is written. size 0 = none. Since minor 2 */
};

/* ---------------------------------------------------------------- plans and visitors --------- */

/* sluice_source_plan.flags */
enum {
    SLUICE_PLAN_ONCE = 1 /* feeds: deliver what was committed before open(), then END */
};

enum {
    SLUICE_MODE_FULL_LOAD_ONLY = 1,
    SLUICE_MODE_CDC_ONLY = 2,
    SLUICE_MODE_FULL_LOAD_AND_CDC = 3
};

/* sluice_stream_select.flags */
enum {
    SLUICE_SELECT_LOAD = 1,   /* read the whole table */
    SLUICE_SELECT_CHANGES = 2 /* deliver its changes */
};

struct sluice_stream_select {
    uint32_t struct_size;
    uint32_t flags;
    const char *name; /* stream name as discovered */
    uint32_t include_count;
    uint32_t exclude_count;
    const char *const *include_columns; /* exact names; none = all */
    const char *const *exclude_columns;
    const char *where;         /* a condition in the source's own language; NULL = none */
    struct sluice_bytes since; /* CHANGES: some sink has a load of the stream that holds everything
                                  up to here, and is to get all changes behind it (and behind the
                                  feed's own position); the smallest of several. size 0 = no sink has
                                  one. Since minor 4 */
};

struct sluice_resume {
    uint32_t struct_size;
    uint32_t reserved;
    const char *shard_id;
    struct sluice_bytes position;
};

struct sluice_source_plan {
    uint32_t struct_size;
    int32_t mode;
    uint32_t flags;
    uint32_t parallelism; /* readers that will run at once, at least 1 */
    const char *pipeline;
    const char *node; /* id of the source in the file */
    uint64_t
        split_bytes;     /* aimed size of a snapshot shard at the source; 0 = the source's choice */
    uint64_t batch_rows; /* hard limits of a batch; 0 = the source's choice */
    uint64_t batch_bytes;
    uint64_t row_limit; /* at most so many rows per stream (preview, --limit); 0 = all */
    uint32_t stream_count;
    uint32_t resume_count;
    const struct sluice_stream_select *const *streams; /* every stream that is chosen; those that
                                                          are loaded have SLUICE_SELECT_LOAD */
    const struct sluice_resume *const *resumes;        /* of CHANGES shards: the smallest position
                                                          that some sink has */
    const char *until; /* feeds END after the last transaction at or before this: a position as
                            the source writes it, or a time as 2026-11-23T00:52:34Z. NULL = never.
                            Since minor 2 */
    const char
        *created; /* sluice_source_info.created of earlier opens; NULL = none. Since minor 2 */
};

/* What open() found; strings borrowed until the next call on the source. */
struct sluice_source_info {
    uint32_t struct_size;
    uint32_t reserved;
    const char
        *identity; /* text that differs for another server, database or timeline; NULL = none */
    const char *server;  /* product and version for people; NULL = unknown */
    const char *created; /* what the pipeline has made at the source and retire() may drop, as one
                            line of the source's own; NULL = nothing. Kept by the engine. Since
                            minor 2 */
};

/* How far a feed is behind. -1 = unknown. */
struct sluice_source_lag {
    uint32_t struct_size;
    uint32_t flags;          /* 0 */
    int64_t behind_bytes;    /* of log after the position asked for */
    int64_t retained_bytes;  /* of log that the source keeps because of this pipeline */
    int64_t remaining_bytes; /* of log that may still be written before the source lets go of what
                                we need; -1 = no limit, or unknown */
    char position[32];       /* the position asked for, as the source writes it; "" = none */
    char end[32];            /* the end of the source's log */
    char note[96];           /* what is remarkable, for people; "" = nothing */
};

/* sluice_finding.severity */
enum {
    SLUICE_FINDING_OK = 0,
    SLUICE_FINDING_INFO = 1,
    SLUICE_FINDING_WARN = 2,
    SLUICE_FINDING_ERROR = 3
};

/* One line of `sluice check`. Strings borrowed until the visitor returns. */
struct sluice_finding {
    uint32_t struct_size;
    int32_t severity;
    const char *subject; /* table, bucket, server setting */
    const char *key;     /* option concerned; NULL = none */
    const char *what;    /* what was found */
    const char *remedy;  /* SQL or command that mends it; NULL = none */
};

/* Visitors run on the caller's thread. A negative answer ends the visit with that status; END ends
 * it with OK. */
typedef sluice_status (*sluice_finding_visit)(void *vctx, const struct sluice_finding *finding);

/* `problem` is NULL, or says why this stream alone cannot be used (dropped, no right, no columns);
 * `desc` then holds at least the name. */
typedef sluice_status (*sluice_stream_visit)(void *vctx, const struct sluice_stream_desc *desc,
                                             const struct sluice_error *problem);
typedef sluice_status (*sluice_shard_visit)(void *vctx, const struct sluice_shard_desc *shard);

/* ---------------------------------------------------------------- digests -------------------- */

/* How two ends are compared without moving rows (`sluice verify`). Both sides render a row to the
 * same canonical text: a JSON object of the columns of the description, in its order, exactly as
 * PostgreSQL's row_to_json prints it in a UTF-8 session with TimeZone UTC, ISO dates,
 * extra_float_digits 1 and bytea_output hex. The key's text is the JSON array of the key columns'
 * values; without key columns it is the row's text. A hash is the md5 of a text (bytes in UTF-8); a
 * row's bucket is the first four bytes of its key's hash, big-endian, modulo `buckets`. Sums add the
 * two big-endian halves of the rows' hashes modulo 2^64, so that order does not matter.
 * A sink that keeps output texts, and not what row_to_json makes of them, says so by the flag TEXTS: each
 * value of the JSON object is then the text that the type's output function gives (as COPY prints it), as a
 * JSON string, or null. The engine asks the sink first, and then the source in that form.
 * Since minor 3. */
enum {
    SLUICE_DIGEST_SUMS = 1, /* one item for each bucket that has rows */
    SLUICE_DIGEST_ROWS = 2  /* one item for each row of the buckets asked for, or of the keys */
};
enum { SLUICE_DIGEST_TEXTS = 1 /* form: values are output texts */ };

struct sluice_write; /* below: at a sink, where and how the stream is written */

struct sluice_digest_ask {
    uint32_t struct_size;
    int32_t level; /* SLUICE_DIGEST_* */
    const struct sluice_stream_desc
        *desc;                        /* columns and key; as source, or as it reaches the sink */
    const struct sluice_write *write; /* sinks alone */
    const char *where;                /* sources alone: the rule's condition; NULL = none */
    uint32_t buckets;                 /* a power of two, at most 65536 */
    uint32_t bucket_count;
    const uint32_t *bucket_list; /* ROWS: these alone; none and no keys = all */
    uint32_t key_count;
    uint32_t form;           /* sources alone: SLUICE_DIGEST_TEXTS or 0 */
    const char *const *keys; /* ROWS: rows with these key texts alone */
};

struct sluice_digest_item {
    uint32_t struct_size;
    uint32_t bucket;
    uint64_t rows;
    uint64_t sum_high;
    uint64_t sum_low;
    const char *key;  /* ROWS: text of the key; NULL = the stream has no key */
    const char *text; /* ROWS: text of the row */
};
typedef sluice_status (*sluice_digest_visit)(void *vctx, const struct sluice_digest_item *item);

/* What a digest was taken of; filled by the callee. */
struct sluice_digest_info {
    uint32_t struct_size;
    uint32_t flags; /* sink: the form that the source is to be asked in */
    uint64_t rows;
    struct sluice_bytes
        position; /* source: where its log was right after; sink: what it has applied,
                                     of any lane. size 0 = unknown. Until the next call */
};

/* ---------------------------------------------------------------- source --------------------- */

struct sluice_source; /* instance, defined by the plugin */
struct sluice_reader;

/* sluice_component.caps of a source */
enum {
    SLUICE_SOURCE_LOAD = 1,           /* full load */
    SLUICE_SOURCE_CHANGES = 2,        /* change data capture */
    SLUICE_SOURCE_SNAPSHOT_EXACT = 4, /* the load has an exact position */
    SLUICE_SOURCE_DEFERRED_LOAD = 8   /* streams may be loaded anew while changes flow */
};

struct sluice_source_api {
    uint32_t struct_size;
    uint32_t reserved;
    /* Makes an instance from host->config_get. No I/O. `host` is borrowed until destroy. [ctl] */
    sluice_status (*create)(const struct sluice_host *host, struct sluice_source **out,
                            struct sluice_error *err);
    /* Frees the instance; all readers are closed before. NULL is allowed. [ctl] */
    void (*destroy)(struct sluice_source *src);
    /* Connects and reports what is right and what is missing; `plan` may be NULL. A finding of
     * severity ERROR is not an error of the call; failing to connect is both. [ctl] */
    sluice_status (*check)(struct sluice_source *src, const struct sluice_source_plan *plan,
                           sluice_finding_visit visit, void *vctx, struct sluice_error *err);
    /* Wakes every blocked call of this instance and its readers, which then answer CANCELLED.
     * Idempotent. host->cancelled is already 1. [any] */
    void (*cancel)(struct sluice_source *src);
    /* Visits every stream that the configuration can reach, with all columns. [ctl] */
    sluice_status (*discover)(struct sluice_source *src, sluice_stream_visit visit, void *vctx,
                              struct sluice_error *err);
    /* Fixes what will be read: pins the snapshot and slot, and visits each stream of the plan as it
     * will be delivered (chosen columns, load position), or with its problem. [ctl] */
    sluice_status (*open)(struct sluice_source *src, const struct sluice_source_plan *plan,
                          struct sluice_source_info *info, sluice_stream_visit visit, void *vctx,
                          struct sluice_error *err);
    /* Visits the shards; after open. Snapshot shards of a stream cover it exactly once. [ctl] */
    sluice_status (*shards)(struct sluice_source *src, sluice_shard_visit visit, void *vctx,
                            struct sluice_error *err);
    /* Opens a shard at `resume` (size 0: its start). `shard` is borrowed until reader_close. May
     * run in parallel for distinct shards. [shard] */
    sluice_status (*reader_open)(struct sluice_source *src, const struct sluice_shard_desc *shard,
                                 struct sluice_bytes resume, struct sluice_reader **out,
                                 struct sluice_error *err);
    /* The next batch, within timeout_us. OK: *out is filled and moves to the caller (struct_size set
     * by the caller before). AGAIN: nothing yet. END: nothing more, also on every later call. Errors:
     * RETRYABLE = close and open again; SNAPSHOT_LOST = open the source anew. [shard] */
    sluice_status (*reader_next)(struct sluice_reader *rd, int64_t timeout_us,
                                 struct sluice_batch *out, struct sluice_error *err);
    /* Called at least every few seconds while the engine cannot take batches, so that no server
     * timeout ends the connection. Optional. [shard] */
    sluice_status (*reader_idle)(struct sluice_reader *rd, struct sluice_error *err);
    /* Everything up to `position` is durable in every sink. Optional. [shard] */
    sluice_status (*reader_ack)(struct sluice_reader *rd, struct sluice_bytes position,
                                struct sluice_error *err);
    /* Frees the reader at any point. [shard] */
    void (*reader_close)(struct sluice_reader *rd);
    /* Every sink has this shard whole; the source may drop what it kept for it. Optional. [ctl] */
    sluice_status (*shard_done)(struct sluice_source *src, const char *shard_id,
                                struct sluice_error *err);
    /* Drops what the pipeline left at the source (slot, publication); tells what by findings.
     * Optional. [ctl] */
    sluice_status (*retire)(struct sluice_source *src, const struct sluice_source_plan *plan,
                            sluice_finding_visit visit, void *vctx, struct sluice_error *err);
    /* How far the feed of this plan is behind, `position` (size 0 = none) being what all sinks have.
     * May be called before open and while feeds run. Never waits long for a server that hangs.
     * Optional. Since minor 2. [ctl] */
    sluice_status (*measure)(struct sluice_source *src, const struct sluice_source_plan *plan,
                             struct sluice_bytes position, struct sluice_source_lag *out,
                             struct sluice_error *err);
    /* Digests of one stream under one snapshot. Connects by itself; may be called without open.  Optional. Since minor 3. [ctl] */
    sluice_status (*digest)(struct sluice_source *src, const struct sluice_digest_ask *ask,
                            sluice_digest_visit visit, void *vctx, struct sluice_digest_info *info,
                            struct sluice_error *err);
};

/* ---------------------------------------------------------------- sink ----------------------- */

struct sluice_sink;
struct sluice_lane;

/* sluice_component.caps of a sink */
enum {
    SLUICE_SINK_LOAD = 1,
    SLUICE_SINK_CHANGES = 2,
    SLUICE_SINK_TRANSACTIONAL = 4, /* token and data become durable together: exactly once */
    SLUICE_SINK_IDEMPOTENT = 8, /* writing the same rows again changes nothing: effectively once */
    SLUICE_SINK_NEEDS_FULL_ROW = 16, /* cannot write a row with unchanged columns */
    SLUICE_SINK_ORDER_STRICT = 32,   /* batches must be cut at each stream switch */
    SLUICE_SINK_DISCARDS = 64,       /* keeps nothing (benchmarks) */
    SLUICE_SINK_ROTATES = 128,     /* a commit of changes is costly: only by `batch:` (rows, bytes,
                                        interval), never because nothing more is queued */
    SLUICE_SINK_LOADS_ASIDE = 256, /* changes of a stream may be written while it is loaded: readers
                                        put them in order by position */
    SLUICE_SINK_TABLES = 512 /* keeps rows in tables: follows struct sluice_write and the policies
                                of the plan for rows and tables that fail. Since minor 3 */
};

/* sluice_write.mode: what a row of the source does to the target. Since minor 3, like all of these */
enum {
    SLUICE_WRITE_APPEND = 1,  /* rows are added; an update or delete is an error */
    SLUICE_WRITE_UPSERT = 2,  /* rows are put by key */
    SLUICE_WRITE_UPDATE = 3,  /* rows that are there are changed; none is added */
    SLUICE_WRITE_REPLACE = 4, /* a load takes the place of all rows at once; changes as UPSERT */
    SLUICE_WRITE_HISTORY = 5  /* each change is a row of its own, with its metadata */
};
/* sluice_write.deletes */
enum { SLUICE_DELETES_HARD = 1, SLUICE_DELETES_SOFT = 2, SLUICE_DELETES_IGNORE = 3 };
/* sluice_write.duplicates: which of several equal rows a change of a stream without key means */
enum { SLUICE_DUPLICATES_ONE = 1, SLUICE_DUPLICATES_ALL = 2, SLUICE_DUPLICATES_FAIL = 3 };
/* sluice_write.metadata: columns beside the row's own; names are `metadata_prefix` and the word */
enum {
    SLUICE_META_OP = 1,         /* op: text, I U D, R of a load, T */
    SLUICE_META_COMMIT_TS = 2,  /* commit_ts: timestamp with time zone */
    SLUICE_META_POSITION = 4,   /* position: text, lower-case hex of commit_pos */
    SLUICE_META_SEQ = 8,        /* seq: bigint, tx_seq */
    SLUICE_META_TX = 16,        /* tx: text, tx_id */
    SLUICE_META_SYNCED_AT = 32, /* synced_at: timestamp with time zone of the write */
    SLUICE_META_UNCHANGED = 64  /* unchanged: text[], columns of an update that the source did not
                                   send since they stayed as they were; they are NULL in the row */
};
/* sluice_write.flags */
enum {
    SLUICE_WRITE_MERGE = 1,      /* other streams may write to the same table */
    SLUICE_WRITE_HASH_NAMES = 2, /* names too long for the target: cut, and a hash put behind;
                                    otherwise they are an error */
    SLUICE_WRITE_FROZEN = 4      /* columns of an existing table are not altered */
};

/* What `write:` and `route:` of the file say of one stream in one sink, made concrete. Borrowed like
 * the description beside it. */
struct sluice_write {
    uint32_t struct_size;
    uint32_t flags; /* SLUICE_WRITE_* flags */
    int32_t mode;
    int32_t deletes;
    int32_t duplicates;
    uint32_t metadata; /* SLUICE_META_* */
    uint32_t key_count;
    uint32_t target_count;
    const uint32_t *keys; /* columns that rows are found by, as indexes into desc->schema, in key
                                   order; none: rows have no key. May differ from desc->keys */
    const char *const *target; /* parts of the table's name, unquoted: schema and table, or table */
    const char *soft_column;   /* deletes SOFT: a boolean, true once deleted; never NULL */
    const char *metadata_prefix; /* never NULL */
};

/* sluice_sink_plan.on_row_error: rows that the target refuses for what is in them */
enum { SLUICE_ROWS_STOP = 1, SLUICE_ROWS_SKIP = 2, SLUICE_ROWS_DLQ = 3 };
/* sluice_sink_plan.on_table_error: tables that fail for good */
enum { SLUICE_TABLES_STOP = 1, SLUICE_TABLES_QUARANTINE = 2 };

/* sluice_sink_plan and friends: engine-owned settings of one sink in one pipeline. */
struct sluice_sink_plan {
    uint32_t struct_size;
    int32_t mode;
    uint32_t flags;
    uint32_t parallelism; /* lanes that will write at once */
    const char *pipeline;
    const char *node;    /* id of the sink in the file */
    const char *load_id; /* names this load of the pipeline; kept over restarts until it ends */
    int64_t started_us;  /* wall clock of the process's start of work */
    uint64_t batch_rows; /* rotation and commit triggers from `batch:`; 0 = sink's default */
    uint64_t batch_bytes;
    int64_t batch_interval_us;
    int32_t on_row_error;   /* SLUICE_ROWS_*; 0 = STOP. Since minor 3, like the next two */
    int32_t on_table_error; /* SLUICE_TABLES_*; 0 = STOP */
    uint64_t max_rejected;  /* rows of this process that may be refused before it stops; 0 = any */
};

/* What recover() visits. Newest first; the visitor answers END when it has seen enough. */
enum { SLUICE_RECOVERED_LANE = 1, SLUICE_RECOVERED_STREAM_COMPLETE = 2 };
struct sluice_recovered {
    uint32_t struct_size;
    int32_t kind;
    const char *shard_id;      /* LANE */
    const char *stream;        /* STREAM_COMPLETE: stream name */
    const char *run;           /* run of the load; NULL = none */
    uint64_t epoch;            /* LANE */
    uint64_t rows;             /* STREAM_COMPLETE */
    struct sluice_bytes token; /* as given to lane_commit or stream_end */
};
typedef sluice_status (*sluice_recovered_visit)(void *vctx, const struct sluice_recovered *found);

/* sluice_stream_begin.flags */
enum {
    SLUICE_BEGIN_LOAD = 1,   /* rows of a full load will follow, in run `run` */
    SLUICE_BEGIN_CHANGES = 2 /* changes will follow */
};
struct sluice_stream_begin {
    uint32_t struct_size;
    uint32_t flags;
    const struct sluice_stream_desc *desc; /* copied by the sink */
    const char *run;                  /* LOAD: UTC start, 20261123T005234Z, unique per stream */
    const struct sluice_write *write; /* copied; NULL for sinks without SLUICE_SINK_TABLES. Since
                                         minor 3 */
};

struct sluice_commit {
    uint32_t struct_size;
    uint32_t flags;
    uint64_t epoch;               /* of this lane, from 1, without holes over restarts */
    struct sluice_bytes token;    /* opaque to the sink, kept with the data, at most 64 KiB */
    struct sluice_bytes position; /* resume position that the token carries; size 0 = none */
};

/* sluice_stream_end.flags */
enum {
    SLUICE_STREAM_END_PARTIAL =
        1 /* a limit cut the rows: keep them, publish nothing in their place */
};
struct sluice_stream_end {
    uint32_t struct_size;
    uint32_t flags; /* SLUICE_STREAM_END_* */
    uint64_t stream_id;
    const char *run;
    uint64_t rows; /* rows of the load that every lane committed */
    struct sluice_bytes token;
    struct sluice_bytes load_position; /* size 0 = none */
    const char *load_position_text;    /* NULL = none */
};

/* What report() visits: a stream that is not as it should be. Since minor 3, like the next. */
enum {
    SLUICE_REPORT_QUARANTINED =
        1 /* set aside, its changes are not written: loading it anew heals */
};
struct sluice_sink_report {
    uint32_t struct_size;
    uint32_t flags; /* SLUICE_REPORT_* */
    const char *stream;
    const char *reason; /* QUARANTINED; NULL = none */
    uint64_t
        rejected; /* rows refused by this process, in committed work: skipped or kept as letters */
};
typedef sluice_status (*sluice_report_visit)(void *vctx, const struct sluice_sink_report *report);

/* A row that the target refused, kept there. */
struct sluice_letter {
    uint32_t struct_size;
    uint32_t flags; /* 0 */
    uint64_t id;    /* ascends in the order of refusal */
    const char *stream;
    const char *op;       /* I U D R */
    const char *position; /* text; NULL = of a load */
    const char *sqlstate;
    const char *error;
    const char *row; /* JSON object: the columns that were sent */
    const char *key; /* JSON object: what the row was found by; NULL = nothing else than `row` */
    int64_t rejected_us; /* wall clock */
    int64_t replayed_us; /* 0 = not */
};
typedef sluice_status (*sluice_letter_visit)(void *vctx, const struct sluice_letter *letter);

struct sluice_sink_api {
    uint32_t struct_size;
    uint32_t reserved;
    /* As for sources. [ctl] */
    sluice_status (*create)(const struct sluice_host *host, struct sluice_sink **out,
                            struct sluice_error *err);
    void (*destroy)(struct sluice_sink *sink);
    sluice_status (*check)(struct sluice_sink *sink, const struct sluice_sink_plan *plan,
                           sluice_finding_visit visit, void *vctx, struct sluice_error *err);
    void (*cancel)(struct sluice_sink *sink); /* [any] */
    /* Connects and makes ready. [ctl] */
    sluice_status (*open)(struct sluice_sink *sink, const struct sluice_sink_plan *plan,
                          struct sluice_error *err);
    /* What this sink holds of the pipeline: last commit of each lane and complete streams. [ctl] */
    sluice_status (*recover)(struct sluice_sink *sink, sluice_recovered_visit visit, void *vctx,
                             struct sluice_error *err);
    /* Once per stream and schema_id, before its first batch: create, alter or refuse. [ctl] */
    sluice_status (*stream_begin)(struct sluice_sink *sink, const struct sluice_stream_begin *begin,
                                  struct sluice_error *err);
    /* A lane for a shard; after stream_begin of its streams. `shard` is borrowed until lane_close. May
     * run in parallel for distinct shards. [lane] */
    sluice_status (*lane_open)(struct sluice_sink *sink, const struct sluice_shard_desc *shard,
                               struct sluice_lane **out, struct sluice_error *err);
    /* OK: the batch moved to the sink (its array.release is NULL now). AGAIN: buffers are full, it
     * did not move, write it again. An error: it did not move. Must not keep a shared array for
     * long: encode at once. [lane] */
    sluice_status (*lane_write)(struct sluice_lane *lane, struct sluice_batch *batch,
                                struct sluice_error *err);
    /* Makes all written since the last commit durable with the token, atomically if TRANSACTIONAL.
     * When it returned an error, the outcome may be unknown: recover() tells. With EPOCH_ABORTED it
     * is known that nothing was kept; if RETRYABLE too, the shard is read again. [lane] */
    sluice_status (*lane_commit)(struct sluice_lane *lane, const struct sluice_commit *commit,
                                 struct sluice_error *err);
    /* Throws away what was written since the last commit. [lane] */
    void (*lane_abort)(struct sluice_lane *lane);
    /* Frees the lane; what is not committed is thrown away. [lane] */
    void (*lane_close)(struct sluice_lane *lane);
    /* A full load of the stream is whole: publish it (manifest, swap, analyse). [ctl] */
    sluice_status (*stream_end)(struct sluice_sink *sink, const struct sluice_stream_end *end,
                                struct sluice_error *err);
    /* Bytes given to the target so far, after encoding and compression. Optional. [any] */
    uint64_t (*bytes_written)(struct sluice_sink *sink);
    /* Visits what stream_begin would do, as findings: INFO with the statement as `what` for each one
     * that would run, ERROR for why it would be refused. Connects by itself, may be called without
     * open, changes nothing. Optional. Since minor 3, like all below. [ctl] */
    sluice_status (*describe)(struct sluice_sink *sink, const struct sluice_sink_plan *plan,
                              const struct sluice_stream_begin *begin, sluice_finding_visit visit,
                              void *vctx, struct sluice_error *err);
    /* Visits streams with refused rows, or in quarantine. Never blocks. Optional. [any] */
    sluice_status (*report)(struct sluice_sink *sink, sluice_report_visit visit, void *vctx,
                            struct sluice_error *err);
    /* Visits the letters of the plan's pipeline and node, oldest first; of one stream if `stream` is
     * not NULL, with id >= `from`. Without open. Optional. [ctl] */
    sluice_status (*letters)(struct sluice_sink *sink, const struct sluice_sink_plan *plan,
                             const char *stream, uint64_t from, sluice_letter_visit visit,
                             void *vctx, struct sluice_error *err);
    /* Writes one letter's row into its table and marks the letter, in one transaction. `row` replaces
     * what the letter holds; NULL = as it is. What the target says is the error. Without open. Optional.
     * [ctl] */
    sluice_status (*replay)(struct sluice_sink *sink, const struct sluice_sink_plan *plan,
                            uint64_t id, const char *row, struct sluice_error *err);
    /* As for sources, of what the plan's pipeline and node has written. Without open. Optional. [ctl] */
    sluice_status (*digest)(struct sluice_sink *sink, const struct sluice_sink_plan *plan,
                            const struct sluice_digest_ask *ask, sluice_digest_visit visit,
                            void *vctx, struct sluice_digest_info *info, struct sluice_error *err);
};

/* ---------------------------------------------------------------- transform ------------------ */

struct sluice_transform;

/* sluice_component.caps of a transform */
enum {
    SLUICE_TRANSFORM_STATELESS = 1,      /* no row depends on another */
    SLUICE_TRANSFORM_ROW_PRESERVING = 2, /* one row out per row in */
    SLUICE_TRANSFORM_CHANGES = 4         /* understands CHANGES batches */
};

struct sluice_transform_api {
    uint32_t struct_size;
    uint32_t reserved;
    /* As for sources. An instance serves one shard; the engine makes as many as it needs. [ctl] */
    sluice_status (*create)(const struct sluice_host *host, struct sluice_transform **out,
                            struct sluice_error *err);
    void (*destroy)(struct sluice_transform *xf);
    /* For each stream and schema before its first batch: visits the description that comes out (the
     * same stream_id and schema_id, borrowed until destroy), or nothing = the stream is dropped. [shard] */
    sluice_status (*bind)(struct sluice_transform *xf, const struct sluice_stream_desc *in,
                          sluice_stream_visit visit, void *vctx, struct sluice_error *err);
    /* Takes a batch (moves on OK). [shard] */
    sluice_status (*push)(struct sluice_transform *xf, struct sluice_batch *batch,
                          struct sluice_error *err);
    /* Gives a batch (moves to the caller), or AGAIN when the next push is due. [shard] */
    sluice_status (*pull)(struct sluice_transform *xf, struct sluice_batch *out,
                          struct sluice_error *err);
    /* No more input for now (commit, end of shard): what is held back comes by pull. Optional. [shard] */
    sluice_status (*flush)(struct sluice_transform *xf, struct sluice_error *err);
    void (*cancel)(struct sluice_transform *xf); /* Optional. [any] */
};

/* ---------------------------------------------------------------- descriptor ----------------- */

enum { SLUICE_SOURCE = 1, SLUICE_SINK = 2, SLUICE_TRANSFORM = 3 };

struct sluice_component {
    uint32_t struct_size;
    int32_t kind;        /* SLUICE_SOURCE, SLUICE_SINK or SLUICE_TRANSFORM */
    uint64_t caps;       /* SLUICE_SOURCE_*, SLUICE_SINK_*, SLUICE_TRANSFORM_* */
    const char *name;    /* as written after `plugin:`; [a-z][a-z0-9_]* */
    const char *summary; /* one line */
    const char *help;    /* a few paragraphs for the reference page; NULL = none */
    const struct sluice_option *const *options; /* NULL-terminated */
    const struct sluice_source_api *source;     /* exactly one of the three is set */
    const struct sluice_sink_api *sink;
    const struct sluice_transform_api *transform;
};

struct sluice_plugin {
    uint32_t magic; /* SLUICE_PLUGIN_MAGIC */
    uint32_t struct_size;
    uint32_t abi_major;
    uint32_t abi_minor;     /* compiled against */
    uint32_t abi_minor_min; /* the oldest engine it can live with */
    uint32_t envelope_version;
    const char *name;
    const char *version;
    const char *license;
    const char *build; /* compiler, commit: for people */
    uint32_t component_count;
    uint32_t flags; /* 0 */
    const struct sluice_component *const *components;
};

/* The only symbol a plugin exports. Returns constant data; no I/O, callable in any process. [any] */
#define SLUICE_PLUGIN_ENTRY "sluice_plugin_entry_v0"
typedef const struct sluice_plugin *(*sluice_plugin_entry_fn)(void);

#ifdef __cplusplus
}
#endif

#endif /* SLUICE_ABI_H */

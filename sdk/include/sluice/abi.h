/*
 * sluice plugin ABI, major 0.
 *
 * This header is all that crosses the border between the engine (the host) and a plugin. It is
 * C11 without extensions and valid C++11; it depends on <stdint.h> and the Arrow C data interface
 * alone. The contract and the rules of growth are in sdk/ABI.md.
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

#include "sluice/arrow.h"

#ifdef __cplusplus
extern "C" {
#endif

#define SLUICE_ABI_MAJOR 0u
#define SLUICE_ABI_MINOR 2u
#define SLUICE_PLUGIN_MAGIC 0x4543554cu /* "LUCE" little-endian */
#define SLUICE_ENVELOPE_VERSION 1u      /* the layout of CHANGES batches, see below */

/* ---------------------------------------------------------------- status and errors ---------- */

/* >= 0 is an answer, < 0 an error. Values are pinned; new ones are appended. An unknown negative
 * value is treated as SLUICE_E_INTERNAL. */
typedef int32_t sluice_status;

enum {
    SLUICE_OK = 0,
    SLUICE_END = 1,   /* nothing more will come */
    SLUICE_AGAIN = 2, /* nothing now, or not now: call again */

    SLUICE_E_CANCELLED = -1,
    SLUICE_E_NOMEM = -2,
    SLUICE_E_INVALID = -3,     /* wrong configuration or argument */
    SLUICE_E_STATE = -4,       /* call not allowed now */
    SLUICE_E_UNSUPPORTED = -5, /* this plugin or server cannot */
    SLUICE_E_NOT_FOUND = -6,   /* table, bucket, file is not there */
    SLUICE_E_IO = -7,          /* read, write, connection broken */
    SLUICE_E_TIMEOUT = -8,
    SLUICE_E_AUTH = -9,           /* wrong user, password, key, certificate */
    SLUICE_E_PERMISSION = -10,    /* known, but not allowed */
    SLUICE_E_DATA = -11,          /* a value that cannot be read or represented */
    SLUICE_E_SCHEMA = -12,        /* the table is not, or no longer, what was planned */
    SLUICE_E_CONFLICT = -13,      /* another writer is there: fenced */
    SLUICE_E_POSITION_LOST = -14, /* the source no longer has what follows our position: a gap */
    SLUICE_E_LIMIT = -15,         /* a named limit was hit */
    SLUICE_E_INTERNAL = -16,      /* a bug of the plugin or the engine */
    SLUICE_E_SNAPSHOT_LOST = -17, /* the shared snapshot is gone: unfinished streams start anew */
    SLUICE_E_UNAVAILABLE = -18    /* server unreachable or refusing connections */
};

/* sluice_error.flags */
enum {
    SLUICE_ERROR_RETRYABLE = 1,     /* the same call may succeed later: the engine retries */
    SLUICE_ERROR_FATAL = 2,         /* the pipeline must stop, not only this shard or stream */
    SLUICE_ERROR_EPOCH_ABORTED = 4, /* the sink threw away what was not committed */
    SLUICE_ERROR_ROW_LEVEL = 8      /* only the row named in `row` is at fault */
};

/* Caller-allocated, 1,024 bytes; the callee fills it and never allocates for it. Meaningful only
 * when the call returned a negative status. */
struct sluice_error {
    uint32_t struct_size;
    sluice_status status;
    uint32_t flags;      /* SLUICE_ERROR_* */
    int32_t native_code; /* errno, HTTP status, vendor number; 0 = none */
    int64_t row;         /* row of the batch, -1 = none */
    char sqlstate[8];    /* five characters and NUL, or "" */
    char message[992];   /* object, operation, native text, hint what to do */
};

/* Frozen POD. */
struct sluice_bytes {
    const void *data;
    uint64_t size;
};

/* Frozen POD: a key and a value. */
struct sluice_pair {
    const char *key;
    const char *value;
};

/* ---------------------------------------------------------------- options -------------------- */

enum {
    SLUICE_OPTION_STRING = 1,
    SLUICE_OPTION_INT = 2,
    SLUICE_OPTION_BOOL = 3,
    SLUICE_OPTION_DURATION = 4, /* "10s", "200ms", "1h": microseconds */
    SLUICE_OPTION_SIZE = 5,     /* "64MiB", "8MB", "512": bytes */
    SLUICE_OPTION_ENUM = 6,     /* one of choices: the index */
    SLUICE_OPTION_LIST = 7,     /* strings */
    SLUICE_OPTION_MAP = 8       /* string to string, in file order */
};

/* sluice_option.flags */
enum {
    SLUICE_OPTION_REQUIRED = 1,
    SLUICE_OPTION_SECRET = 2, /* never shown: logs, errors, plan, state */
    SLUICE_OPTION_DEPRECATED = 4,
    SLUICE_OPTION_ADVANCED = 8 /* listed last in help */
};

/* One option of a component. The engine checks the file against it before the plugin runs, and
 * generates help, JSON Schema and reference pages from it. */
struct sluice_option {
    uint32_t struct_size;
    int32_t type;              /* SLUICE_OPTION_* type */
    uint32_t flags;            /* SLUICE_OPTION_* flags */
    uint32_t reserved;         /* 0 */
    const char *key;           /* lower_snake_case, unique in the component */
    const char *default_value; /* as written in YAML; NULL = unset */
    int64_t min; /* INT, DURATION, SIZE: bounds, checked when max >= min and not both 0 */
    int64_t max;
    const char *const *choices; /* ENUM: NULL-terminated */
    const char *help;           /* one or two sentences */
    const char *example;        /* NULL = none */
};

/* A checked value of an option. Strings and arrays are borrowed until destroy(). */
struct sluice_value {
    uint32_t struct_size;
    int32_t type;
    int32_t is_set;     /* 0: neither given nor defaulted; all else is then zero */
    uint32_t count;     /* LIST, MAP: number of items */
    int64_t number;     /* INT, BOOL 0/1, DURATION us, SIZE bytes, ENUM index */
    const char *string; /* STRING, ENUM: NUL-terminated */
    uint64_t string_size;
    const char *const *items;        /* LIST */
    const struct sluice_pair *pairs; /* MAP: array of the frozen POD */
};

/* ---------------------------------------------------------------- host table ----------------- */

enum {
    SLUICE_LOG_ERROR = 1,
    SLUICE_LOG_WARN = 2,
    SLUICE_LOG_INFO = 3,
    SLUICE_LOG_DEBUG = 4,
    SLUICE_LOG_TRACE = 5
};

enum {
    SLUICE_CLOCK_MONOTONIC = 0, /* for timeouts and durations */
    SLUICE_CLOCK_WALL = 1       /* microseconds since 1970-01-01 UTC */
};

enum { SLUICE_METRIC_COUNTER = 1, SLUICE_METRIC_GAUGE = 2 };

struct sluice_metric; /* opaque, owned by the host, lives as long as the instance */

/* One per instance, valid from create() until destroy() returns. `ctx` is passed to every call. */
struct sluice_host {
    uint32_t struct_size;
    uint32_t abi_minor; /* of the engine */
    void *ctx;

    /* Logs one finished UTF-8 line without a line end. Never holds secrets. [any] */
    void (*log)(void *ctx, int32_t level, const char *message, uint64_t size);
    /* 1 if a message of that level would be written: ask before formatting. [any] */
    int32_t (*log_enabled)(void *ctx, int32_t level);
    /* The checked value of an option of this instance. NOT_FOUND: no such key in the table. The
     * caller sets out->struct_size. [any] */
    sluice_status (*config_get)(void *ctx, const char *key, struct sluice_value *out);
    /* 1 once the work is to stop. [any] */
    int32_t (*cancelled)(void *ctx);
    /* A descriptor that becomes readable once cancelled and stays so: add it to every poll().
     * Never read from it or close it. [any] */
    int32_t (*cancel_fd)(void *ctx);
    /* Microseconds; the only clock plugins use. [any] */
    int64_t (*now_us)(void *ctx, int32_t clock);
    /* Optional counted allocator: size 0 frees, NULL on failure. [any] */
    void *(*realloc)(void *ctx, void *p, uint64_t size);
    /* Takes (delta > 0) or gives back (delta < 0) bytes of the process's memory budget, for large
     * buffers that a plugin keeps (upload parts, spools). Never blocks. Returns 1 = granted,
     * 0 = refused: make do with what is there (wait for an own upload, flush). With must = 1 the
     * bytes are counted and never refused: for the least a plugin can work with. Batches handed
     * over through reader_next are counted by the engine, not by the plugin. [any] */
    int32_t (*memory)(void *ctx, int64_t delta, int32_t must);
    /* A named metric of this instance, or NULL. Call during create(). [ctl] */
    struct sluice_metric *(*metric)(void *ctx, int32_t kind, const char *name, const char *unit,
                                    const char *help);
    /* Lock-free; a NULL metric is ignored. [any] */
    void (*metric_add)(struct sluice_metric *metric, int64_t delta);
    void (*metric_set)(struct sluice_metric *metric, int64_t value);
    /* An optional table by id ("sluice.name/1"), or NULL. [any] */
    const void *(*extension)(void *ctx, const char *id);
};

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
    SLUICE_STREAM_NO_LOAD = 16         /* has changes alone: there is nothing to load */
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
 *   sluice:default, sluice:generated, sluice:identity, sluice:collation
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
    struct sluice_bytes load_position; /* from open(): the exact position of the load's snapshot;
                                          size 0 = none or not exact */
    const char *load_position_text;    /* the same for people and manifests; NULL = none */
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
    const char *where; /* a condition in the source's own language; NULL = none */
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
    SLUICE_SINK_ROTATES = 128,    /* a commit of changes is costly: only by `batch:` (rows, bytes,
                                        interval), never because nothing more is queued */
    SLUICE_SINK_LOADS_ASIDE = 256 /* changes of a stream may be written while it is loaded: readers
                                        put them in order by position */
};

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
    const char *run; /* LOAD: UTC start, 20261123T005234Z, unique per stream */
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

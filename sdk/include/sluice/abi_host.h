/*
 * sluice plugin ABI, first part: status and errors, options, the host table. Include sluice/abi.h,
 * which has the rules, the words for threads and ownership, and this.
 */
#ifndef SLUICE_ABI_HOST_H
#define SLUICE_ABI_HOST_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

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

#ifdef __cplusplus
}
#endif

#endif /* SLUICE_ABI_HOST_H */

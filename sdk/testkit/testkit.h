/*
 * What a plugin author's tests need: a host table without an engine, plugin files, made-up tables,
 * and the conformance checks. Library sluice_testkit; depends on the SDK alone.
 *
 * One thread at a time per object, except that the host table itself may be called from any.
 */
#ifndef SLUICE_TESTKIT_H
#define SLUICE_TESTKIT_H

#include "sluice/array.h"
#include "sluice/build.h"
#include "sluice/change.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ------------------------------------------------------------ host --------------------------- */

struct sluice_testkit_host;

/* A host for an instance of the component. `set` gives options as text: a key may come several
 * times for a LIST (one item each) and a MAP ("name=value" each). What is not set has its default.
 * NULL with err set when a value does not fit the option table. */
struct sluice_testkit_host *sluice_testkit_host_new(const struct sluice_component *component,
                                                    const struct sluice_pair *set, uint32_t count,
                                                    struct sluice_error *err);
void sluice_testkit_host_free(struct sluice_testkit_host *host);
const struct sluice_host *sluice_testkit_host_table(const struct sluice_testkit_host *host);

/* From now on cancelled() is 1 and cancel_fd() readable. [any] */
void sluice_testkit_host_cancel(struct sluice_testkit_host *host);
/* Everything logged so far, a line each: "LEVEL message". Borrowed until the next log. */
const char *sluice_testkit_host_log(struct sluice_testkit_host *host);
/* Value of a metric; 0 if there is none of that name. */
int64_t sluice_testkit_host_metric(struct sluice_testkit_host *host, const char *name);
/* Bytes of the memory budget that the instance holds. */
int64_t sluice_testkit_host_memory(struct sluice_testkit_host *host);

/* ------------------------------------------------------------ data --------------------------- */

/* A made-up table: columns of every scalar type, key `id`. stream_id 1, schema_id 1. */
struct sluice_testkit_table {
    struct sluice_stream_desc desc;
    struct ArrowSchema schema;
    struct ArrowSchema envelope;
    const char *parts[2];
    uint32_t keys[1];
};

/* `before` is SLUICE_BEFORE_*. */
sluice_status sluice_testkit_table_init(struct sluice_testkit_table *table, int32_t before,
                                        struct sluice_error *err) SLUICE_MUST_CHECK;
void sluice_testkit_table_free(struct sluice_testkit_table *table);
/* A ROWS batch of rows [first, first + n); some values are NULL. */
sluice_status sluice_testkit_rows(const struct sluice_testkit_table *table, int64_t first,
                                  int64_t n, struct sluice_batch *out, struct sluice_error *err)
    SLUICE_MUST_CHECK;
/* A CHANGES batch: inserts, updates (some with column `note` unchanged) and deletes in turn. */
sluice_status sluice_testkit_changes(const struct sluice_testkit_table *table, int64_t first,
                                     int64_t n, struct sluice_batch *out, struct sluice_error *err)
    SLUICE_MUST_CHECK;

/* ------------------------------------------------------------ plugin files ------------------- */

/* Opens a plugin file and looks at its descriptor; it stays in the process. NULL with err set if it
 * cannot be loaded or is of another major. */
const struct sluice_plugin *sluice_testkit_load(const char *path, struct sluice_error *err);
/* The one component, or the one of that name; NULL = none. */
const struct sluice_component *sluice_testkit_component(const struct sluice_plugin *plugin,
                                                        const char *name);
/* Symbols that the file exports, one a line, into out. NOT an ELF file: DATA. */
sluice_status sluice_testkit_exports(const char *path, char *out, uint64_t cap,
                                     struct sluice_error *err) SLUICE_MUST_CHECK;

/* ------------------------------------------------------------ checks ------------------------- */

/* What is checked. */
struct sluice_testkit_subject {
    const char *path; /* of the file, NULL when linked in */
    const struct sluice_plugin *plugin;
    const struct sluice_component *component;
    const struct sluice_pair *set; /* options; "{tmp}" in a value is a fresh folder per check */
    uint32_t set_count;
    uint32_t timeout_s; /* per check; 0 = 60 */
    int32_t in_process; /* 1: no child processes, for debuggers */
    const char *only;   /* names that contain this; NULL = all */
};

struct sluice_testkit_result {
    uint32_t passed;
    uint32_t failed;
    uint32_t skipped;
};

/* Runs every check that fits the component, each in a child process of its own, and prints a line
 * for each to stdout. */
void sluice_testkit_run(const struct sluice_testkit_subject *subject,
                        struct sluice_testkit_result *result);

#ifdef __cplusplus
}
#endif

#endif /* SLUICE_TESTKIT_H */

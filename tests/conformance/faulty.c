/*
 * A source of one table that does one thing wrong, chosen by option `fault`. For testing the
 * conformance checks: each fault must be found.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "sluice/array.h"
#include "sluice/build.h"
#include "sluice/option.h"
#include "sluice/plugin.h"
#include "sluice/position.h"

#define ROWS 30
#define BATCH 10

enum {
    FAULT_NONE,
    FAULT_DESCRIPTOR_LEAK,
    FAULT_MEMORY_LEAK,
    FAULT_BUDGET,
    FAULT_SECRET_LOG,
    FAULT_NO_FINDING,
    FAULT_UNSTABLE_DISCOVERY,
    FAULT_VISIT_ON,
    FAULT_SHARD_ID,
    FAULT_UNKNOWN_STREAM,
    FAULT_BAD_BATCH,
    FAULT_AFTER_END,
    FAULT_ROW_LIMIT,
    FAULT_RESUME,
    FAULT_RELEASE,
    FAULT_CANCEL,
    FAULT_CRASH,
    FAULT_HANG
};

struct sluice_source {
    const struct sluice_host *host;
    int64_t fault;
    const char *secret;
    struct ArrowSchema schema;
    struct sluice_stream_desc desc;
    const char *parts[1];
    uint32_t keys[1];
    uint64_t row_limit;
    int chosen;
};

struct sluice_reader {
    struct sluice_source *src;
    struct sluice_rows rows;
    int64_t next;
    int64_t end;
    int ended;
    uint8_t position[8];
};

static void destroy(struct sluice_source *src)
{
    if (src == NULL) {
        return;
    }
    sluice_schema_release(&src->schema);
    free(src);
}

static sluice_status create(const struct sluice_host *host, struct sluice_source **out,
                            struct sluice_error *err)
{
    static int discoveries;
    struct {
        int64_t fault;
        const char *secret;
    } options;
    static const struct sluice_type i64 = {SLUICE_TYPE_INT64, 0, 0, 8};
    const struct sluice_option_binding bindings[] = {
        {"fault", 0}, {"secret", sizeof options.fault}, {NULL, 0}};
    SLUICE_TRY(sluice_options_bind(host, bindings, &options, err));
    struct sluice_source *src = calloc(1, sizeof *src);
    if (src == NULL) {
        return SLUICE_E_NOMEM;
    }
    src->host = host;
    src->fault = options.fault;
    src->secret = options.secret;
    SLUICE_TRY(sluice_schema_init(&src->schema, 1, err));
    const char *name = "n";
    if (src->fault == FAULT_UNSTABLE_DISCOVERY && discoveries++ % 2 == 1) {
        name = "m";
    }
    SLUICE_TRY(sluice_schema_set(&src->schema, 0, name, &i64, 0, NULL, 0, err));
    src->parts[0] = "t";
    src->desc = (struct sluice_stream_desc){.struct_size = (uint32_t)sizeof src->desc,
                                            .kind = SLUICE_STREAM_TABLE,
                                            .stream_id = 1,
                                            .schema_id = 1,
                                            .name = "t",
                                            .part_count = 1,
                                            .key_count = 1,
                                            .parts = src->parts,
                                            .keys = src->keys,
                                            .schema = &src->schema,
                                            .rows_estimate = ROWS,
                                            .bytes_estimate = -1};
    if (src->fault == FAULT_DESCRIPTOR_LEAK) {
        (void)!dup(0);
    }
    if (src->fault == FAULT_MEMORY_LEAK) {
        char *volatile lost = malloc(4096);
        lost = NULL;
        (void)lost;
    }
    if (src->fault == FAULT_BUDGET) {
        (void)host->memory(host->ctx, 100, 1);
    }
    if (src->fault == FAULT_SECRET_LOG && src->secret != NULL) {
        host->log(host->ctx, SLUICE_LOG_INFO, src->secret, strlen(src->secret));
    }
    *out = src;
    return SLUICE_OK;
}

static sluice_status check(struct sluice_source *src, const struct sluice_source_plan *plan,
                           sluice_finding_visit visit, void *vctx, struct sluice_error *err)
{
    (void)plan;
    (void)err;
    struct sluice_finding finding = {
        (uint32_t)sizeof finding, SLUICE_FINDING_OK, "t", NULL, "is there", NULL};
    return src->fault == FAULT_NO_FINDING ? SLUICE_OK : visit(vctx, &finding);
}

static void cancel(struct sluice_source *src)
{
    (void)src;
}

static sluice_status discover(struct sluice_source *src, sluice_stream_visit visit, void *vctx,
                              struct sluice_error *err)
{
    (void)err;
    sluice_status st = visit(vctx, &src->desc, NULL);
    if (src->fault == FAULT_VISIT_ON) {
        (void)visit(vctx, &src->desc, NULL);
        return SLUICE_OK;
    }
    return st < 0 ? st : SLUICE_OK;
}

static sluice_status open_plan(struct sluice_source *src, const struct sluice_source_plan *plan,
                               struct sluice_source_info *info, sluice_stream_visit visit,
                               void *vctx, struct sluice_error *err)
{
    (void)info;
    (void)err;
    src->row_limit = plan->row_limit;
    src->chosen = 0;
    for (uint32_t i = 0; i < plan->stream_count; i++) {
        struct sluice_error problem = SLUICE_ERROR_INIT;
        int known = strcmp(plan->streams[i]->name, "t") == 0;
        (void)sluice_error_set(&problem, SLUICE_E_NOT_FOUND, 0, "not there");
        src->chosen = src->chosen || known;
        if (known) {
            SLUICE_TRY(visit(vctx, &src->desc, NULL));
        }
        else if (src->fault != FAULT_UNKNOWN_STREAM) {
            SLUICE_TRY(visit(vctx, &src->desc, &problem));
        }
    }
    return SLUICE_OK;
}

static sluice_status shards(struct sluice_source *src, sluice_shard_visit visit, void *vctx,
                            struct sluice_error *err)
{
    static const uint64_t ids[] = {1};
    (void)err;
    struct sluice_shard_desc shard = {.struct_size = (uint32_t)sizeof shard,
                                      .kind = SLUICE_SHARD_SNAPSHOT,
                                      .stream_count = 1,
                                      .id = src->fault == FAULT_SHARD_ID ? "a shard" : "t",
                                      .stream_ids = ids};
    return src->chosen ? visit(vctx, &shard) : SLUICE_OK;
}

static sluice_status reader_open(struct sluice_source *src, const struct sluice_shard_desc *shard,
                                 struct sluice_bytes resume, struct sluice_reader **out,
                                 struct sluice_error *err)
{
    (void)shard;
    struct sluice_reader *rd = calloc(1, sizeof *rd);
    if (rd == NULL) {
        return SLUICE_E_NOMEM;
    }
    rd->src = src;
    rd->end = src->row_limit > 0 && src->fault != FAULT_ROW_LIMIT && src->row_limit < ROWS
                  ? (int64_t)src->row_limit
                  : ROWS;
    if (resume.size == 8) {
        rd->next = (int64_t)sluice_get_be64(resume.data) + (src->fault == FAULT_RESUME);
    }
    sluice_status st = sluice_rows_init(&rd->rows, &src->schema, BATCH, err);
    if (st < 0) {
        free(rd);
        return st;
    }
    *out = rd;
    return SLUICE_OK;
}

static sluice_status reader_next(struct sluice_reader *rd, int64_t timeout_us,
                                 struct sluice_batch *out, struct sluice_error *err)
{
    struct sluice_source *src = rd->src;
    (void)timeout_us;
    if (src->host->cancelled(src->host->ctx)) {
        if (src->fault == FAULT_CANCEL) {
            sleep(1000);
        }
        return SLUICE_E_CANCELLED;
    }
    if (rd->next >= rd->end) {
        if (src->fault == FAULT_AFTER_END && rd->ended) {
            return sluice_error_set(err, SLUICE_E_STATE, 0, "called after END");
        }
        rd->ended = 1;
        return SLUICE_END;
    }
    if (src->fault == FAULT_CRASH) {
        (void)raise(SIGSEGV);
    }
    if (src->fault == FAULT_HANG) {
        sleep(1000);
    }
    int64_t n = rd->end - rd->next < BATCH ? rd->end - rd->next : BATCH;
    for (int64_t i = 0; i < n; i++) {
        sluice_column_put_i64(&rd->rows.columns[0], rd->next + i);
        sluice_rows_end_row(&rd->rows);
    }
    if (src->fault == FAULT_BAD_BATCH) {
        SLUICE_TRY(sluice_column_make_null(&rd->rows.columns[0], 0, err));
    }
    rd->next += n;
    sluice_put_be64(rd->position, (uint64_t)rd->next);
    *out = (struct sluice_batch){.struct_size = out->struct_size,
                                 .kind = SLUICE_BATCH_ROWS,
                                 .flags = SLUICE_BATCH_COMMIT_BOUNDARY,
                                 .stream_id = 1,
                                 .schema_id = 1,
                                 .rows = (uint64_t)n,
                                 .position = {rd->position, 8}};
    return sluice_rows_finish(&rd->rows, &out->array, err);
}

static void reader_close(struct sluice_reader *rd)
{
    if (rd == NULL) {
        return;
    }
    if (rd->src->fault == FAULT_RELEASE && rd->next > 0) {
        (void)raise(SIGABRT); /* as if a batch still pointed here */
    }
    sluice_rows_free(&rd->rows);
    free(rd);
}

static const struct sluice_source_api api = {
    .struct_size = (uint32_t)sizeof api,
    .create = create,
    .destroy = destroy,
    .check = check,
    .cancel = cancel,
    .discover = discover,
    .open = open_plan,
    .shards = shards,
    .reader_open = reader_open,
    .reader_next = reader_next,
    .reader_close = reader_close,
};

static const char *const fault_names[] = {"none",
                                          "descriptor_leak",
                                          "memory_leak",
                                          "budget",
                                          "secret_log",
                                          "no_finding",
                                          "unstable_discovery",
                                          "visit_on",
                                          "shard_id",
                                          "unknown_stream",
                                          "bad_batch",
                                          "after_end",
                                          "row_limit",
                                          "resume",
                                          "release",
                                          "cancel",
                                          "crash",
                                          "hang",
                                          NULL};
static const struct sluice_option o_fault =
    SLUICE_OPT_ENUM("fault", "none", 0, fault_names, "What to do wrong.");
static const struct sluice_option o_secret =
    SLUICE_OPT(SLUICE_OPTION_STRING, "secret", NULL, SLUICE_OPTION_SECRET, "Anything.");
static const struct sluice_option *const options[] = {&o_fault, &o_secret, NULL};

static const struct sluice_component component = {
    .struct_size = (uint32_t)sizeof component,
    .kind = SLUICE_SOURCE,
    .caps = SLUICE_SOURCE_LOAD,
    .name = "faulty",
    .summary = "Does one thing wrong",
    .options = options,
    .source = &api,
};
static const struct sluice_component *const components[] = {&component};
static const struct sluice_plugin plugin = {
    .magic = SLUICE_PLUGIN_MAGIC,
    .struct_size = (uint32_t)sizeof plugin,
    .abi_major = SLUICE_ABI_MAJOR,
    .abi_minor = SLUICE_ABI_MINOR,
    .abi_minor_min = SLUICE_ABI_MINOR,
    .envelope_version = SLUICE_ENVELOPE_VERSION,
    .name = "faulty",
    .version = "0.1.0",
    .license = "Apache-2.0",
    .build = "",
    .component_count = 1,
    .components = components,
};

SLUICE_PLUGIN_DEFINE(plugin)

/*
 * Sink print: rows as tab-separated text, to stdout or to a file. Changes are printed with their
 * operation; a value that was not sent prints as "~".
 *
 * It keeps no token, so it is neither transactional nor idempotent: after a crash rows may come
 * again ("at least once"). A real sink stores the token of lane_commit with its data and tells it
 * in recover().
 */
#define _POSIX_C_SOURCE 200809L

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sluice/array.h>
#include <sluice/change.h>
#include <sluice/option.h>
#include <sluice/plugin.h>
#include <sluice/text.h>

#define TEXT_MIN 65536

/* A stream and version that was begun; kept until destroy, so that lanes may point to it. */
struct stream {
    struct stream *next;
    struct sluice_stream_desc *desc;
};

struct sluice_sink {
    const struct sluice_host *host; /* borrowed until destroy */
    const char *path;               /* NULL = stdout */
    FILE *file;
    pthread_mutex_t lock; /* streams, file */
    struct stream *streams;
    _Atomic uint64_t bytes;
};

/* Text of one lane since its last commit. */
struct sluice_lane {
    struct sluice_sink *sink;
    char *text;
    size_t size;
    size_t cap;
};

/* ------------------------------------------------------------ instance ----------------------- */

static void print_destroy(struct sluice_sink *sink)
{
    if (sink == NULL) {
        return;
    }
    while (sink->streams != NULL) {
        struct stream *s = sink->streams;
        sink->streams = s->next;
        sluice_stream_desc_free(s->desc);
        free(s);
    }
    if (sink->file != NULL && sink->file != stdout) {
        (void)fclose(sink->file);
    }
    pthread_mutex_destroy(&sink->lock);
    free(sink);
}

static sluice_status print_create(const struct sluice_host *host, struct sluice_sink **out,
                                  struct sluice_error *err)
{
    static const struct sluice_option_binding bindings[] = {
        SLUICE_BIND(struct sluice_sink, path, "path"), {NULL, 0}};
    struct sluice_sink *sink = calloc(1, sizeof *sink);
    if (sink == NULL) {
        return sluice_error_set(err, SLUICE_E_NOMEM, 0, "sink print: out of memory");
    }
    pthread_mutex_init(&sink->lock, NULL);
    sink->host = host;
    sluice_status st = sluice_options_bind(host, bindings, sink, err);
    if (st < 0) {
        print_destroy(sink);
        return st;
    }
    *out = sink;
    return SLUICE_OK;
}

static sluice_status print_check(struct sluice_sink *sink, const struct sluice_sink_plan *plan,
                                 sluice_finding_visit visit, void *vctx, struct sluice_error *err)
{
    (void)plan;
    (void)err;
    struct sluice_finding finding = {(uint32_t)sizeof finding,
                                     SLUICE_FINDING_OK,
                                     sink->path != NULL ? sink->path : "stdout",
                                     "path",
                                     "will be written",
                                     NULL};
    sluice_status st = visit(vctx, &finding);
    return st < 0 ? st : SLUICE_OK;
}

static void print_cancel(struct sluice_sink *sink)
{
    (void)sink; /* nothing here waits */
}

static sluice_status print_open(struct sluice_sink *sink, const struct sluice_sink_plan *plan,
                                struct sluice_error *err)
{
    (void)plan;
    if (sink->file == NULL) {
        sink->file = sink->path != NULL ? fopen(sink->path, "ab") : stdout;
    }
    if (sink->file == NULL) {
        return sluice_error_errno(err, errno, "file %s", sink->path);
    }
    return SLUICE_OK;
}

static sluice_status print_recover(struct sluice_sink *sink, sluice_recovered_visit visit,
                                   void *vctx, struct sluice_error *err)
{
    (void)sink;
    (void)visit;
    (void)vctx;
    (void)err;
    return SLUICE_OK; /* it remembers nothing */
}

static sluice_status print_stream_begin(struct sluice_sink *sink,
                                        const struct sluice_stream_begin *begin,
                                        struct sluice_error *err)
{
    struct stream *s = calloc(1, sizeof *s);
    if (s != NULL) {
        s->desc = sluice_stream_desc_copy(begin->desc);
    }
    if (s == NULL || s->desc == NULL) {
        free(s);
        return sluice_error_set(err, SLUICE_E_NOMEM, 0, "stream %s: out of memory",
                                begin->desc->name);
    }
    pthread_mutex_lock(&sink->lock);
    s->next = sink->streams;
    sink->streams = s;
    pthread_mutex_unlock(&sink->lock);
    return SLUICE_OK;
}

static sluice_status print_stream_end(struct sluice_sink *sink, const struct sluice_stream_end *end,
                                      struct sluice_error *err)
{
    (void)sink;
    (void)end;
    (void)err;
    return SLUICE_OK;
}

static uint64_t print_bytes_written(struct sluice_sink *sink)
{
    return atomic_load(&sink->bytes);
}

/* ------------------------------------------------------------ lanes -------------------------- */

static sluice_status print_lane_open(struct sluice_sink *sink,
                                     const struct sluice_shard_desc *shard,
                                     struct sluice_lane **out, struct sluice_error *err)
{
    struct sluice_lane *lane = calloc(1, sizeof *lane);
    if (lane == NULL) {
        return sluice_error_set(err, SLUICE_E_NOMEM, 0, "shard %s: out of memory", shard->id);
    }
    lane->sink = sink;
    *out = lane;
    return SLUICE_OK;
}

static void print_lane_close(struct sluice_lane *lane)
{
    if (lane != NULL) {
        free(lane->text);
        free(lane);
    }
}

static void print_lane_abort(struct sluice_lane *lane)
{
    lane->size = 0;
}

static sluice_status append(struct sluice_lane *lane, const void *data, size_t size,
                            struct sluice_error *err)
{
    if (size > lane->cap - lane->size) {
        size_t cap = (lane->cap + size) * 2 + TEXT_MIN;
        char *grown = realloc(lane->text, cap);
        if (grown == NULL) {
            return sluice_error_set(err, SLUICE_E_NOMEM, 0, "sink print: out of memory");
        }
        lane->text = grown;
        lane->cap = cap;
    }
    if (size > 0) {
        memcpy(lane->text + lane->size, data, size);
    }
    lane->size += size;
    return SLUICE_OK;
}

static sluice_status append_value(struct sluice_lane *lane, const struct sluice_view *v,
                                  int64_t row, struct sluice_error *err)
{
    char buffer[SLUICE_TEXT_MAX];
    struct sluice_bytes text = {"NULL", 4};
    if (!sluice_view_is_null(v, row) && sluice_view_text(v, row, buffer, &text, err) < 0) {
        text = (struct sluice_bytes){"(nested)", 8};
    }
    return append(lane, text.data, text.size, err);
}

static sluice_status append_row(struct sluice_lane *lane, const struct sluice_change_view *cv,
                                int64_t row, struct sluice_error *err)
{
    char op = (char)sluice_change_op(cv, row);
    SLUICE_TRY(append(lane, cv->desc->name, strlen(cv->desc->name), err));
    SLUICE_TRY(append(lane, "\t", 1, err));
    SLUICE_TRY(append(lane, &op, 1, err));
    if (op == 'D') {
        /* What is known of a deleted row: its key, or the whole of it. */
        for (uint32_t k = 0; k < cv->desc->key_count; k++) {
            const struct sluice_view *key = sluice_change_key(cv, row, k, 1);
            SLUICE_TRY(append(lane, "\t", 1, err));
            if (key != NULL) {
                SLUICE_TRY(append_value(lane, key, row, err));
            }
        }
        return append(lane, "\n", 1, err);
    }
    for (int64_t c = 0; c < cv->column_count; c++) {
        SLUICE_TRY(append(lane, "\t", 1, err));
        if (sluice_change_is_unchanged(cv, row, c)) {
            SLUICE_TRY(append(lane, "~", 1, err));
        }
        else {
            SLUICE_TRY(append_value(lane, &cv->columns[c], row, err));
        }
    }
    return append(lane, "\n", 1, err);
}

static const struct sluice_stream_desc *find_stream(struct sluice_sink *sink,
                                                    const struct sluice_batch *batch)
{
    pthread_mutex_lock(&sink->lock);
    const struct stream *s = sink->streams;
    while (s != NULL &&
           (s->desc->stream_id != batch->stream_id || s->desc->schema_id != batch->schema_id)) {
        s = s->next;
    }
    pthread_mutex_unlock(&sink->lock);
    return s != NULL ? s->desc : NULL;
}

static sluice_status print_lane_write(struct sluice_lane *lane, struct sluice_batch *batch,
                                      struct sluice_error *err)
{
    if (batch->kind == SLUICE_BATCH_ROWS || batch->kind == SLUICE_BATCH_CHANGES) {
        const struct sluice_stream_desc *desc = find_stream(lane->sink, batch);
        struct sluice_change_view cv;
        if (desc == NULL) {
            return sluice_error_set(err, SLUICE_E_STATE, 0, "a batch of a stream never begun");
        }
        SLUICE_TRY(sluice_change_view_init(&cv, desc, batch, err));
        size_t before = lane->size;
        sluice_status st = SLUICE_OK;
        for (int64_t row = 0; row < cv.rows && st >= 0; row++) {
            st = append_row(lane, &cv, row, err);
        }
        sluice_change_view_free(&cv);
        if (st < 0) {
            lane->size = before; /* the batch did not move: it may be written again */
            return st;
        }
    }
    sluice_array_release(&batch->array); /* OK: the batch is ours, and done with */
    return SLUICE_OK;
}

static sluice_status print_lane_commit(struct sluice_lane *lane, const struct sluice_commit *commit,
                                       struct sluice_error *err)
{
    struct sluice_sink *sink = lane->sink;
    (void)commit;
    pthread_mutex_lock(&sink->lock);
    int failed = (lane->size > 0 && fwrite(lane->text, 1, lane->size, sink->file) != lane->size) ||
                 fflush(sink->file) != 0;
    int error = errno;
    pthread_mutex_unlock(&sink->lock);
    if (failed) {
        return sluice_error_errno(err, error, "%s", sink->path != NULL ? sink->path : "stdout");
    }
    atomic_fetch_add(&sink->bytes, lane->size);
    lane->size = 0;
    return SLUICE_OK;
}

/* ------------------------------------------------------------ descriptor --------------------- */

static const struct sluice_sink_api api = {
    .struct_size = (uint32_t)sizeof api,
    .create = print_create,
    .destroy = print_destroy,
    .check = print_check,
    .cancel = print_cancel,
    .open = print_open,
    .recover = print_recover,
    .stream_begin = print_stream_begin,
    .lane_open = print_lane_open,
    .lane_write = print_lane_write,
    .lane_commit = print_lane_commit,
    .lane_abort = print_lane_abort,
    .lane_close = print_lane_close,
    .stream_end = print_stream_end,
    .bytes_written = print_bytes_written,
};

static const struct sluice_option o_path = SLUICE_OPT(
    SLUICE_OPTION_STRING, "path", NULL, 0, "The file to append to. Default: standard output.");
static const struct sluice_option *const options[] = {&o_path, NULL};

static const struct sluice_component component = {
    .struct_size = (uint32_t)sizeof component,
    .kind = SLUICE_SINK,
    .caps = SLUICE_SINK_LOAD | SLUICE_SINK_CHANGES,
    .name = "print",
    .summary = "Prints rows as tab-separated text",
    .options = options,
    .sink = &api,
};

static const struct sluice_component *const components[] = {&component};

static const struct sluice_plugin plugin = {
    .magic = SLUICE_PLUGIN_MAGIC,
    .struct_size = (uint32_t)sizeof plugin,
    .abi_major = SLUICE_ABI_MAJOR,
    .abi_minor = SLUICE_ABI_MINOR,
    .abi_minor_min = SLUICE_ABI_MINOR,
    .envelope_version = SLUICE_ENVELOPE_VERSION,
    .name = "print",
    .version = "0.1.0",
    .license = "Apache-2.0",
    .build = "",
    .component_count = 1,
    .components = components,
};

SLUICE_PLUGIN_DEFINE(plugin)

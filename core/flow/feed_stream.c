/*
 * One stream of a feed: versions of its columns, its transforms, and which rows each lane still needs.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "flow/feed.h"
#include "flow/write.h"
#include "log/log.h"
#include "sluice/array.h"
#include "sluice/position.h"
#include "sluice/remap.h"
#include "sluice/view.h"

#define PUT_TIMEOUT_US 1000000 /* how often reader_idle is called under back-pressure */

static sluice_status nomem(struct sluice_error *err)
{
    return sluice_error_set(err, SLUICE_E_NOMEM, SLUICE_ERROR_FATAL,
                            "out of memory for a stream of a feed");
}

/* ---- life ---- */

sluice_status sluice_feed_stream_init(struct sluice_feed_stream *fs, struct sluice_feed *feed,
                                      struct sluice_flow_stream *stream, struct sluice_error *err)
{
    fs->feed = feed;
    fs->stream = stream;
    fs->source_stream_id = stream->source_stream_id;
    fs->begun = sluice_alloc_zero(feed->lane_count, sizeof *fs->begun);
    fs->wanted = sluice_alloc_zero(feed->lane_count, 1);
    return fs->begun != NULL && fs->wanted != NULL ? SLUICE_OK : nomem(err);
}

static void drop_version(struct sluice_feed_stream *fs)
{
    sluice_remap_free(fs->remap);
    fs->remap = NULL;
    sluice_stream_desc_free(fs->from);
    fs->from = NULL;
    sluice_schema_release(&fs->envelope);
    fs->envelope.release = NULL;
}

void sluice_feed_stream_reset(struct sluice_feed_stream *fs)
{
    drop_version(fs);
    sluice_stream_desc_free(fs->desc);
    fs->desc = NULL;
    sluice_stream_desc_free(fs->announced);
    fs->announced = NULL;
    sluice_chain_close(&fs->chain);
    fs->open = 0;
    fs->source_schema_id = 0;
    fs->touched = 0;
    if (fs->begun != NULL) {
        memset(fs->begun, 0, fs->feed->lane_count * sizeof *fs->begun);
    }
}

void sluice_feed_stream_free(struct sluice_feed_stream *fs)
{
    if (fs == NULL) {
        return;
    }
    sluice_feed_stream_reset(fs);
    sluice_free(fs->begun);
    sluice_free(fs->wanted);
    sluice_free(fs);
}

/* ---- which rows a lane still needs ---- */

/* Rows at or before this position are in the lane already, or in the stream's load there. */
static struct sluice_bytes lower_bound(const struct sluice_feed_stream *fs, size_t leaf)
{
    struct sluice_feed_lane *lane = &fs->feed->lanes[leaf];
    const struct sluice_flow_leaf *fl = &fs->stream->leaves[leaf];
    struct sluice_bytes resume = lane->shard.start; /* constant during a try */
    struct sluice_bytes load = {fl->position, fl->position_size};
    if (load.size == 0) {
        return resume;
    }
    return resume.size == 0 || sluice_position_compare(load, resume) > 0 ? load : resume;
}

/* The position of a row; commit_pos is the envelope's second field in every version and kind. */
static struct sluice_bytes row_position(const struct sluice_batch *batch, int64_t row)
{
    const struct ArrowArray *positions = batch->array.children[1];
    const int32_t *offsets =
        (const int32_t *)positions->buffers[1] + batch->array.offset + positions->offset + row;
    struct sluice_bytes at = {(const uint8_t *)positions->buffers[2] + offsets[0],
                              (uint64_t)(offsets[1] - offsets[0])};
    return at;
}

/* Cuts what the lane has off the front; answers how many rows are left. */
static int64_t cut_front(const struct sluice_feed_stream *fs, size_t leaf,
                         struct sluice_batch *batch)
{
    struct sluice_bytes lower = lower_bound(fs, leaf);
    int64_t rows = batch->array.length;
    if (lower.size == 0 || rows == 0) {
        return rows;
    }
    int64_t low = 0;
    int64_t high = rows; /* rows ascend: the first one beyond the bound */
    while (low < high) {
        int64_t mid = low + (high - low) / 2;
        if (sluice_position_compare(row_position(batch, mid), lower) > 0) {
            high = mid;
        }
        else {
            low = mid + 1;
        }
    }
    batch->array.offset += low;
    batch->array.length -= low;
    batch->rows = (uint64_t)batch->array.length;
    return batch->array.length;
}

/* The stream is loaded, being loaded, or has no load in that sink. */
static int leaf_takes(const struct sluice_feed_stream *fs, size_t leaf)
{
    const struct sluice_flow_leaf *fl = &fs->stream->leaves[leaf];
    return fl->follows && !atomic_load(&fl->failed);
}

/* Some lane needs the batch's last row. */
static int is_due(const struct sluice_feed_stream *fs, const struct sluice_batch *batch)
{
    if (batch->array.length == 0) {
        return 0;
    }
    const struct ArrowArray *positions =
        batch->array.n_children < 2 ? NULL : batch->array.children[1];
    if (positions == NULL || positions->n_buffers != 3 || positions->buffers[1] == NULL) {
        return 1; /* refused below */
    }
    struct sluice_bytes last = row_position(batch, batch->array.length - 1);
    for (size_t i = 0; i < fs->feed->lane_count; i++) {
        struct sluice_bytes lower = lower_bound(fs, i);
        if (leaf_takes(fs, i) && sluice_position_compare(last, lower) > 0) {
            return 1;
        }
    }
    return 0;
}

/* ---- versions ---- */

/* Sets apart the versions of a stream's columns: text that is the same for the same columns. */
static void add_escaped(struct sluice_str *out, const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (text[i] == '%' || (unsigned char)text[i] < 0x20) {
            sluice_str_printf(out, "%%%02x", (unsigned char)text[i]);
        }
        else {
            sluice_str_append_char(out, text[i]);
        }
    }
}

/* One column: name, then what must be the same, fields parted by tabs. */
static void add_column(struct sluice_str *out, const struct ArrowSchema *field)
{
    static const char *const keys[] = {"sluice:native_type", "sluice:text", "sluice:special",
                                       "ARROW:extension:name"};
    add_escaped(out, field->name, strlen(field->name));
    sluice_str_printf(out, "\t%s\t%s", field->format,
                      (field->flags & ARROW_FLAG_NULLABLE) != 0 ? "null" : "not null");
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        struct sluice_bytes value = sluice_schema_metadata(field, keys[i]);
        sluice_str_append_char(out, '\t');
        add_escaped(out, value.data, value.size);
    }
    for (int64_t i = 0; i < field->n_children; i++) {
        sluice_str_append_char(out, '\t');
        add_column(out, field->children[i]);
    }
}

static sluice_status fingerprint(const struct sluice_stream_desc *desc, struct sluice_str *out,
                                 struct sluice_error *err)
{
    sluice_str_printf(out, "before %d key", desc->before);
    for (uint32_t k = 0; k < desc->key_count; k++) {
        sluice_str_printf(out, " %u", desc->keys[k]);
    }
    for (int64_t i = 0; i < desc->schema->n_children; i++) {
        sluice_str_append_char(out, '\n');
        add_column(out, desc->schema->children[i]);
    }
    return out->failed ? nomem(err) : SLUICE_OK;
}

sluice_status sluice_flow_schema_id(struct sluice_flow_stream *stream,
                                    const struct sluice_stream_desc *desc, uint64_t *out,
                                    struct sluice_error *err)
{
    struct sluice_engine *engine = stream->source->engine;
    struct sluice_str text = SLUICE_STR_INIT;
    if (engine->state == NULL) {
        *out = desc->schema_id;
        return SLUICE_OK;
    }
    sluice_status status = fingerprint(desc, &text, err);
    if (status >= 0) {
        status = sluice_state_schema_id(engine->state, stream->source->node->id, stream->name,
                                        text.data, out, err);
    }
    sluice_str_free(&text);
    return status;
}

/* The line of a column in a fingerprint, which ends at '\n' or NUL; NULL = it has none. */
static const char *find_line(const char *text, const char *line, size_t name_size)
{
    for (const char *at = strchr(text, '\n'); at != NULL; at = strchr(at + 1, '\n')) {
        if (strncmp(at + 1, line, name_size) == 0 && at[1 + name_size] == '\t') {
            return at + 1;
        }
    }
    return NULL;
}

static size_t name_size(const char *line)
{
    return strcspn(line, "\t\n");
}

/* Words for people: "column a was added (integer), column b is bigint now". */
static void describe(const char *was, const char *is, struct sluice_str *out)
{
    for (const char *at = strchr(is, '\n'); at != NULL; at = strchr(at + 1, '\n')) {
        const char *line = at + 1;
        size_t size = strcspn(line, "\n");
        const char *old = find_line(was, line, name_size(line));
        const char *glue = out->size > 0 ? ", " : "";
        const char *native = line;
        for (int i = 0; i < 3 && *native != '\0'; i++) {
            native += strcspn(native, "\t");
            native += *native == '\t';
        }
        int n = (int)name_size(line);
        int t = (int)name_size(native);
        if (old == NULL) {
            sluice_str_printf(out, "%scolumn %.*s was added (%.*s)", glue, n, line, t, native);
        }
        else if (strcspn(old, "\n") != size || strncmp(old, line, size) != 0) {
            sluice_str_printf(out, "%scolumn %.*s is %.*s%s now", glue, n, line, t, native,
                              strstr(line, "\tnot null\t") != NULL &&
                                      strstr(line, "\tnot null\t") < line + size
                                  ? " not null"
                                  : "");
        }
    }
    for (const char *at = strchr(was, '\n'); at != NULL; at = strchr(at + 1, '\n')) {
        if (find_line(is, at + 1, name_size(at + 1)) == NULL) {
            sluice_str_printf(out, "%scolumn %.*s is gone", out->size > 0 ? ", " : "",
                              (int)name_size(at + 1), at + 1);
        }
    }
    if (out->size == 0) {
        sluice_str_append(out, "the order of its columns, or its key");
    }
}

static sluice_status refuse_change(const struct sluice_feed_stream *fs, const char *policy,
                                   const char *what, struct sluice_error *err)
{
    return sluice_error_set(
        err, SLUICE_E_SCHEMA, SLUICE_ERROR_FATAL,
        "stream %s: its columns changed (%.300s) and its schema policy is %s; nothing of the new "
        "shape was written (hint: set schema: evolve for it and run again, or change the table "
        "back)",
        fs->stream->name, what, policy);
}

/* The column of the new version that a line of the frozen one stands for; -1 = none is the same. */
static int64_t same_column(const struct sluice_stream_desc *desc, const char *line)
{
    size_t size = strcspn(line, "\n");
    int64_t found = -1;
    for (int64_t i = 0; i < desc->schema->n_children && found < 0; i++) {
        struct sluice_str text = SLUICE_STR_INIT;
        add_column(&text, desc->schema->children[i]);
        if (!text.failed && text.size == size && strncmp(text.data, line, size) == 0) {
            found = i;
        }
        sluice_str_free(&text);
    }
    return found;
}

/* Maps the new version to the columns of `frozen`: what was added is left out. */
static sluice_status freeze(struct sluice_feed_stream *fs, const char *frozen,
                            const struct sluice_stream_desc *desc, const char *what,
                            struct sluice_error *err)
{
    int64_t max = desc->schema->n_children;
    int64_t n = 0;
    struct ArrowSchema schema = {0};
    sluice_status status = SLUICE_OK;
    struct sluice_remap_column *columns = sluice_alloc_zero((size_t)max + 1, sizeof *columns);
    if (columns == NULL) {
        return nomem(err);
    }
    for (const char *at = strchr(frozen, '\n'); at != NULL && status >= 0;
         at = strchr(at + 1, '\n')) {
        int64_t column = same_column(desc, at + 1);
        if (column < 0 || n == max) {
            status = refuse_change(fs, "freeze", what, err);
        }
        else {
            columns[n++].source = column;
        }
    }
    if (status >= 0) {
        status = sluice_schema_init(&schema, n, err);
    }
    for (int64_t i = 0; i < n && status >= 0; i++) {
        status =
            sluice_schema_put(&schema, i, desc->schema->children[columns[i].source], NULL, -1, err);
    }
    if (status >= 0) {
        fs->from = sluice_stream_desc_copy(desc);
        status = fs->from != NULL
                     ? sluice_remap_create(fs->from, columns, n, &schema, &fs->remap, err)
                     : nomem(err);
    }
    if (status >= 0 && sluice_remap_desc(fs->remap)->key_count != desc->key_count) {
        status = refuse_change(fs, "freeze", what, err);
    }
    sluice_schema_release(&schema);
    sluice_free(columns);
    return status;
}

/* A version that was in force before is taken as it is, also by a process that comes later; a new
 * one is subject to the policy. Fills fs->remap when columns are to be left out. */
static sluice_status apply_policy(struct sluice_feed_stream *fs,
                                  const struct sluice_stream_desc *desc, struct sluice_error *err)
{
    struct sluice_engine *engine = fs->feed->engine;
    struct sluice_str text = SLUICE_STR_INIT;
    struct sluice_str what = SLUICE_STR_INIT;
    uint64_t known = 0;
    char *latest = NULL;
    int32_t policy =
        sluice_flow_schema_policy(engine->pipeline, fs->feed->source->node, fs->stream->name);
    if (engine->state == NULL) {
        return SLUICE_OK;
    }
    sluice_status status = fingerprint(desc, &text, err);
    if (status >= 0) {
        status = sluice_state_schema_look(engine->state, fs->feed->source->node->id,
                                          fs->stream->name, text.data, &known, &latest, err);
    }
    if (status < 0 || known != 0 || latest == NULL) {
        goto out;
    }
    describe(latest, text.data, &what);
    if (policy == SLUICE_SCHEMA_STOP) {
        status = refuse_change(fs, "stop", sluice_str_text(&what), err);
    }
    else if (policy == SLUICE_SCHEMA_FREEZE) {
        status = freeze(fs, latest, desc, sluice_str_text(&what), err);
    }
    if (status >= 0) {
        sluice_log_line(SLUICE_LOG_WARN, fs->feed->source->node->id,
                        "the table's columns changed%s stream=%s change=\"%s\"",
                        fs->remap != NULL ? "; new ones are left out" : "", fs->stream->name,
                        sluice_str_text(&what));
    }
out:
    sluice_free(latest);
    sluice_str_free(&text);
    sluice_str_free(&what);
    return status;
}

/* sluice_chain_emit */
static sluice_status emit(void *ctx, size_t leaf, struct sluice_batch *batch,
                          struct sluice_error *err);

static sluice_status bind_chain(struct sluice_feed_stream *fs, struct sluice_error *err)
{
    struct sluice_engine *engine = fs->feed->engine;
    if (fs->chain.nodes == NULL) {
        SLUICE_TRY(
            sluice_chain_open(&fs->chain, &engine->env, &fs->feed->source->tree, emit, fs, err));
    }
    SLUICE_TRY(sluice_chain_bind(&fs->chain, fs->desc, err));
    for (size_t i = 0; i < fs->feed->lane_count; i++) {
        fs->wanted[i] = (unsigned char)leaf_takes(fs, i);
    }
    sluice_chain_want(&fs->chain, fs->wanted);
    return SLUICE_OK;
}

sluice_status sluice_feed_stream_announce(struct sluice_feed_stream *fs,
                                          const struct sluice_stream_desc *desc,
                                          struct sluice_error *err)
{
    if (fs->touched) { /* what transforms hold back is of the version before */
        SLUICE_TRY(sluice_chain_flush(&fs->chain, err));
    }
    struct sluice_stream_desc *copy = sluice_stream_desc_copy(desc);
    if (copy == NULL) {
        return nomem(err);
    }
    sluice_stream_desc_free(fs->announced);
    fs->announced = copy;
    fs->open = 0;
    return SLUICE_OK;
}

/* Makes the announced version the one in force: now that a row of it is due. */
static sluice_status open_version(struct sluice_feed_stream *fs, struct sluice_error *err)
{
    const struct sluice_stream_desc *desc =
        fs->announced != NULL ? fs->announced : fs->stream->feed_desc;
    drop_version(fs);
    SLUICE_TRY(apply_policy(fs, desc, err));
    struct sluice_stream_desc *copy =
        sluice_stream_desc_copy(fs->remap != NULL ? sluice_remap_desc(fs->remap) : desc);
    if (copy == NULL) {
        return nomem(err);
    }
    sluice_stream_desc_free(fs->desc);
    fs->desc = copy;
    copy->stream_id = fs->stream->desc->stream_id;
    SLUICE_TRY(sluice_flow_schema_id(fs->stream, copy, &copy->schema_id, err));
    fs->source_schema_id = desc->schema_id;
    SLUICE_TRY(sluice_schema_envelope(desc, &fs->envelope, err));
    SLUICE_TRY(bind_chain(fs, err));
    fs->open = 1;
    return SLUICE_OK;
}

/* ---- batches ---- */

static sluice_status check_truncate(struct sluice_feed_lane *lane, struct sluice_feed_stream *fs,
                                    const struct sluice_batch *batch, int *drop,
                                    struct sluice_error *err)
{
    struct sluice_write_rule rule;
    *drop = 0;
    if (batch->kind != SLUICE_BATCH_TRUNCATE) {
        return SLUICE_OK;
    }
    sluice_write_fold(lane->sink->node, sluice_chain_leaf(&fs->chain, lane->leaf)->name, &rule);
    if (rule.truncate == SLUICE_TRUNCATE_FAIL) {
        return sluice_error_set(
            err, SLUICE_E_DATA, SLUICE_ERROR_FATAL,
            "stream %s was truncated at the source, and sink %s has write.truncate: fail (hint: "
            "set write: {truncate: apply} or {truncate: ignore} and run again)",
            fs->stream->name, lane->sink->node->id);
    }
    if (rule.truncate == SLUICE_TRUNCATE_IGNORE) {
        sluice_log_line(SLUICE_LOG_WARN, lane->sink->node->id,
                        "a TRUNCATE was ignored, as write.truncate says stream=%s",
                        fs->stream->name);
        *drop = 1;
    }
    return SLUICE_OK;
}

static sluice_status put(struct sluice_feed_stream *fs, struct sluice_feed_lane *lane,
                         struct sluice_batch *batch, struct sluice_error *err)
{
    struct sluice_feed *feed = fs->feed;
    for (;;) {
        sluice_status status =
            sluice_feed_lane_put(lane, fs->stream->name, batch, PUT_TIMEOUT_US, err);
        if (status != SLUICE_AGAIN) {
            return status;
        }
        if (atomic_load(&feed->stop) != FEED_GO || sluice_cancel_raised(&feed->engine->cancel)) {
            return sluice_error_set(err, SLUICE_E_CANCELLED, 0, "stopped");
        }
        status = feed->source->api->reader_idle(feed->reader, err);
        if (status < 0 && status != SLUICE_E_UNSUPPORTED) {
            return status;
        }
    }
}

static sluice_status emit(void *ctx, size_t leaf, struct sluice_batch *batch,
                          struct sluice_error *err)
{
    struct sluice_feed_stream *fs = ctx;
    struct sluice_feed_lane *lane = &fs->feed->lanes[leaf];
    int drop = 0;
    if (!leaf_takes(fs, leaf) || cut_front(fs, leaf, batch) == 0) {
        sluice_array_release(&batch->array);
        return SLUICE_OK;
    }
    SLUICE_TRY(check_truncate(lane, fs, batch, &drop, err));
    if (drop) {
        sluice_array_release(&batch->array);
        return SLUICE_OK;
    }
    const struct sluice_stream_desc *desc = sluice_chain_leaf(&fs->chain, leaf);
    if (fs->begun[leaf] != desc->schema_id) {
        SLUICE_TRY(sluice_feed_lane_put_schema(lane, fs->stream->name, desc, err));
        fs->begun[leaf] = desc->schema_id;
    }
    batch->schema_id = desc->schema_id;
    if (batch->bytes == 0) {
        batch->bytes = (uint64_t)batch->array.length * 64u; /* a transform did not say */
    }
    return put(fs, lane, batch, err);
}

uint64_t sluice_feed_transactions(const struct sluice_batch *batch)
{
    const struct ArrowArray *seqs = batch->array.children[2];
    const int64_t *seq = (const int64_t *)seqs->buffers[1] + seqs->offset + batch->array.offset;
    uint64_t n = 0;
    for (int64_t i = 0; i < batch->array.length; i++) {
        n += seq[i] == 1;
    }
    return n;
}

static void count_rows(struct sluice_feed *feed, const struct sluice_batch *batch)
{
    const struct ArrowArray *ops = batch->array.children[0];
    const int8_t *op = (const int8_t *)ops->buffers[1] + ops->offset + batch->array.offset;
    uint64_t inserts = 0;
    uint64_t deletes = 0;
    uint64_t updates = 0;
    for (int64_t i = 0; i < batch->array.length; i++) {
        inserts += op[i] == 'I';
        updates += op[i] == 'U';
        deletes += op[i] == 'D';
    }
    atomic_fetch_add(&feed->inserts, inserts);
    atomic_fetch_add(&feed->updates, updates);
    atomic_fetch_add(&feed->deletes, deletes);
    atomic_fetch_add(&feed->changes, (uint64_t)batch->array.length);
    atomic_fetch_add(&feed->transactions, sluice_feed_transactions(batch));
    atomic_fetch_add(&feed->bytes, batch->bytes);
}

static sluice_status check_batch(struct sluice_feed_stream *fs, const struct sluice_batch *batch,
                                 struct sluice_error *err)
{
    const struct sluice_run_options *options = &fs->feed->engine->options;
    int32_t level = options->validate_batches ? SLUICE_CHECK_FULL : SLUICE_CHECK_COUNTS;
    if (batch->kind == SLUICE_BATCH_TRUNCATE) {
        const struct ArrowArray *array = &batch->array;
        if (array->n_children < 5 || array->length != 1 || array->children[1]->n_buffers != 3 ||
            array->children[2]->n_buffers != 2 || array->children[0]->n_buffers != 2) {
            return sluice_error_set(err, SLUICE_E_INTERNAL, SLUICE_ERROR_FATAL,
                                    "stream %s: a truncate batch of another shape than one row of "
                                    "five fields: a bug of the source's plugin",
                                    fs->stream->name);
        }
        return SLUICE_OK;
    }
    if (batch->schema_id != fs->source_schema_id) {
        return sluice_error_set(err, SLUICE_E_INTERNAL, SLUICE_ERROR_FATAL,
                                "stream %s: rows of schema %" PRIu64
                                ", which the source has not announced (%" PRIu64
                                " is in force): a bug of its plugin",
                                fs->stream->name, batch->schema_id, fs->source_schema_id);
    }
    sluice_status status = sluice_array_check(&fs->envelope, &batch->array, level, err);
    return status < 0 ? sluice_error_wrap(err, "stream %s: changes", fs->stream->name) : SLUICE_OK;
}

sluice_status sluice_feed_stream_push(struct sluice_feed_stream *fs, struct sluice_batch *batch,
                                      struct sluice_error *err)
{
    struct sluice_feed *feed = fs->feed;
    sluice_status status = SLUICE_OK;
    if (!is_due(fs, batch)) {
        goto out; /* all of it is in every lane, or in the stream's load */
    }
    if (!fs->open) {
        status = open_version(fs, err);
    }
    if (status >= 0) {
        status = check_batch(fs, batch, err);
    }
    if (status < 0) {
        goto out;
    }
    batch->stream_id = fs->desc->stream_id;
    if (batch->bytes == 0) {
        batch->bytes = batch->kind == SLUICE_BATCH_CHANGES
                           ? sluice_array_bytes(&fs->envelope, &batch->array)
                           : 256;
    }
    count_rows(feed, batch);
    atomic_fetch_add(&fs->stream->changes, (uint64_t)batch->array.length);
    if (fs->remap != NULL) {
        status = sluice_remap_apply(fs->remap, batch, NULL, NULL, err);
        if (status < 0) {
            goto out;
        }
    }
    batch->schema_id = fs->desc->schema_id;
    if (batch->kind == SLUICE_BATCH_TRUNCATE && fs->touched) { /* behind all rows before it */
        status = sluice_chain_flush(&fs->chain, err);
        if (status < 0) {
            goto out;
        }
    }
    if (!fs->touched) {
        fs->touched = 1;
        fs->next_touched = feed->touched;
        feed->touched = fs;
    }
    uint64_t bytes = batch->bytes;
    sluice_budget_take(&feed->engine->budget, bytes, 1);
    status = sluice_chain_push(&fs->chain, batch, err);
    sluice_budget_give(&feed->engine->budget, bytes);
    return status;
out:
    sluice_array_release(&batch->array);
    return status;
}

/* Streams of the feed: which instance each is read from, and its columns as that instance captures them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "feed.h"
#include "setup.h"

static sluice_status nomem(struct sluice_error *err)
{
    return sluice_error_set(err, SLUICE_E_NOMEM, 0, "out of memory for a stream of changes");
}

/* ---- columns ---- */

static void unbuild(struct feed_stream *fs)
{
    if (fs->built) {
        sluice_rows_free(&fs->rows);
        fs->built = 0;
    }
}

static sluice_status make_maps(struct feed_stream *fs, struct sluice_error *err)
{
    const struct ms_stream *s = fs->now;
    const uint32_t n = (uint32_t)s->schema.n_children;
    free(fs->at);
    free(fs->key);
    fs->at = calloc(n + 1u, sizeof *fs->at);
    fs->key = calloc(fs->instance->table.count + 1u, 1);
    if (fs->at == NULL || fs->key == NULL) {
        return nomem(err);
    }
    for (uint32_t i = 0; i < n; i++) {
        fs->at[i] = ms_instance_column(fs->instance, s->schema.children[i]->name);
        if (fs->at[i] < 0) {
            return sluice_error_set(err, SLUICE_E_INTERNAL, 0, "table %s: column %s has no place",
                                    s->name, s->schema.children[i]->name);
        }
    }
    for (uint32_t k = 0; k < s->desc.key_count; k++) {
        fs->key[fs->at[s->keys[k]]] = 1;
    }
    return SLUICE_OK;
}

/* Columns of the instance that the stream takes; those of the key are never NULL. */
static sluice_status make_table(const struct feed_stream *fs, struct ms_table *out,
                                struct sluice_error *err)
{
    const struct ms_table *from = &fs->instance->table;
    *out = *from;
    out->count = 0;
    out->columns = calloc(from->count + 1u, sizeof *out->columns);
    out->key_ordinals = calloc(from->count + 1u, sizeof *out->key_ordinals);
    if (out->columns == NULL || out->key_ordinals == NULL) {
        return nomem(err);
    }
    for (uint32_t i = 0; i < from->count; i++) {
        struct sluice_tds_column *c = &out->columns[out->count];
        if (from->columns[i].computed && !fs->instance->is_table) {
            continue;
        }
        *c = from->columns[i];
        const uint32_t key = ms_stream_key_ordinal(fs->origin, c->name);
        out->key_ordinals[out->count++] = key;
        c->nullable = c->nullable || (fs->relaxed && key == 0);
    }
    return SLUICE_OK;
}

sluice_status ms_feed_version_make(struct ms_feed *feed, struct feed_stream *fs,
                                   struct sluice_error *err)
{
    struct ms_table table = {0};
    struct ms_stream *made = NULL;
    sluice_status status = make_table(fs, &table, err);
    if (status >= 0) {
        const struct sluice_stream_select select = ms_stream_selection(fs->origin);
        status = ms_stream_make(feed->src, &table, &select, fs->instance, 0, &made, err);
    }
    free(table.columns);
    free(table.key_ordinals);
    if (status < 0) {
        return sluice_error_wrap(err, "capture instance %.128s", fs->instance->name);
    }
    unbuild(fs);
    if (made->desc.key_count != fs->origin->desc.key_count) {
        ms_stream_free(made);
        return sluice_error_set(err, SLUICE_E_SCHEMA, SLUICE_ERROR_FATAL,
                                "table %s: capture instance %.128s does not capture all columns of "
                                "its key (hint: enable the table again with all of them)",
                                fs->origin->name, fs->instance->name);
    }
    if (sluice_schema_equal(&made->schema, &fs->now->schema)) {
        made->desc.schema_id = fs->now->desc.schema_id;
    }
    else {
        made->desc.schema_id = ++fs->origin->last_schema_id;
        fs->announce = 1;
    }
    ms_stream_free(fs->made);
    fs->made = made;
    fs->now = made;
    SLUICE_TRY(feed->way->prepare(fs, err));
    return make_maps(fs, err);
}

sluice_status ms_feed_stream_build(struct feed_stream *fs, struct sluice_error *err)
{
    struct ArrowSchema envelope;
    if (fs->built) {
        return SLUICE_OK;
    }
    SLUICE_TRY(sluice_schema_envelope(&fs->now->desc, &envelope, err));
    const sluice_status status = sluice_rows_init(&fs->rows, &envelope, 64, err);
    sluice_schema_release(&envelope);
    fs->built = status >= 0;
    return status;
}

/* ---- life ---- */

sluice_status ms_feed_streams_make(struct ms_feed *feed, struct sluice_error *err)
{
    const struct sluice_source *src = feed->src;
    feed->streams = calloc(src->stream_count + 1u, sizeof *feed->streams);
    feed->counts = calloc(src->stream_count + 1u, sizeof *feed->counts);
    feed->out = calloc(src->stream_count + 1u, sizeof(struct feed_stream *));
    if (feed->streams == NULL || feed->counts == NULL || feed->out == NULL) {
        return nomem(err);
    }
    for (uint32_t i = 0; i < src->stream_count; i++) {
        if ((src->streams[i]->flags & SLUICE_SELECT_CHANGES) == 0) {
            continue;
        }
        struct feed_stream *fs = &feed->streams[feed->stream_count++];
        fs->origin = src->streams[i];
        fs->now = fs->origin;
        fs->begun = -1;
        /* An earlier reader announced another version: say again which one it is. */
        fs->announce = fs->origin->last_schema_id > fs->origin->desc.schema_id;
    }
    return SLUICE_OK;
}

void ms_feed_streams_free(struct ms_feed *feed)
{
    for (uint32_t i = 0; feed->streams != NULL && i < feed->stream_count; i++) {
        struct feed_stream *fs = &feed->streams[i];
        unbuild(fs);
        ms_stream_free(fs->made);
        free(fs->columns);
        free(fs->rest);
        free(fs->at);
        free(fs->key);
        free(fs->order);
        for (uint32_t k = 0; k < fs->slice_count; k++) {
            sluice_array_release(&fs->slices[k]);
        }
        free(fs->slices);
    }
    free(feed->streams);
    free(feed->counts);
    free(feed->out);
    feed->streams = NULL;
}

/* ---- instances ---- */

static sluice_status gap(const struct ms_feed *feed, const struct feed_stream *fs,
                         const struct ms_lsn *needed, struct sluice_error *err)
{
    char from[MS_LSN_TEXT];
    char start[MS_LSN_TEXT];
    const struct ms_instance *newest =
        ms_capture_newest(&feed->capture, (int64_t)fs->origin->desc.stream_id);
    ms_lsn_format(needed, from);
    if (newest == NULL) {
        char statement[MS_ENABLE_MAX];
        ms_setup_enable(fs->origin->schema_name, fs->origin->table_name, statement);
        return sluice_error_set(
            err, SLUICE_E_POSITION_LOST, SLUICE_ERROR_FATAL,
            "table %s is captured no more: its changes behind %s are lost (hint: %s; then load it "
            "anew: sluice state resync FILE --stream '%s')",
            fs->origin->name, from, statement, fs->origin->name);
    }
    ms_lsn_format(&newest->start, start);
    return sluice_error_set(
        err, SLUICE_E_POSITION_LOST, SLUICE_ERROR_FATAL,
        "table %s: changes behind %s are needed, and capture instance %.128s has them from %s on: "
        "the "
        "cleanup job removed the rest, or the instance was made anew (hint: load the table anew: "
        "sluice state resync FILE --stream '%s'; and raise the retention: EXEC "
        "sys.sp_cdc_change_job @job_type = N'cleanup', @retention = MINUTES)",
        fs->origin->name, from, newest->name, start, fs->origin->name);
}

/* In cdc_only a table that was enabled after our position is taken from its first change on. */
static int begins_later(const struct ms_feed *feed, const struct feed_stream *fs,
                        const struct ms_instance *oldest)
{
    return feed->src->mode == SLUICE_MODE_CDC_ONLY && oldest != NULL &&
           fs->origin->since.size == 0 && feed->src->position_us > 0 &&
           oldest->created_us > feed->src->position_us;
}

static const struct ms_instance *oldest_of(const struct ms_feed *feed, const struct feed_stream *fs)
{
    for (uint32_t i = 0; i < feed->capture.count; i++) {
        if (feed->capture.instances[i]->table.object_id == (int64_t)fs->origin->desc.stream_id) {
            return feed->capture.instances[i];
        }
    }
    return NULL;
}

sluice_status ms_feed_instance_choose(struct ms_feed *feed, struct feed_stream *fs,
                                      const struct ms_lsn *needed, struct sluice_error *err)
{
    const int64_t table = (int64_t)fs->origin->desc.stream_id;
    const struct ms_instance *old = fs->instance;
    fs->instance = ms_capture_covering(&feed->capture, table, needed, &fs->hand_over);
    if (fs->instance == NULL) {
        const struct ms_instance *first = oldest_of(feed, fs);
        if (!begins_later(feed, fs, first)) {
            return gap(feed, fs, needed, err);
        }
        fs->instance = first;
        (void)ms_capture_covering(&feed->capture, table, &first->start, &fs->hand_over);
    }
    if (old != NULL && old != fs->instance && old->object_id != fs->instance->object_id) {
        sluice_log(feed->src->host, SLUICE_LOG_INFO,
                   "the feed goes on with another capture instance stream=%s instance=%.128s",
                   fs->origin->name, fs->instance->name);
    }
    return SLUICE_OK;
}

static sluice_status place(struct ms_feed *feed, struct feed_stream *fs, struct sluice_error *err)
{
    struct ms_lsn needed = feed->position;
    struct ms_lsn since;
    if (ms_lsn_take(fs->origin->since, &since) && ms_lsn_compare(&since, &needed) > 0) {
        needed = since;
    }
    SLUICE_TRY(feed->way->choose(feed, fs, &needed, err));
    return ms_feed_version_make(feed, fs, err);
}

sluice_status ms_feed_streams_place(struct ms_feed *feed, struct sluice_error *err)
{
    for (uint32_t i = 0; i < feed->stream_count; i++) {
        SLUICE_TRY(place(feed, &feed->streams[i], err));
    }
    return SLUICE_OK;
}

/* The streams' builders: envelopes under construction, made at a stream's first row, growing with
 * its needs, given up when others need the memory more. */
#include <stdlib.h>

#include "feed.h"
#include "sluice/array.h"
#include "sluice/position.h"

/* Rows of a new builder. A database may have thousands of tables with a row now and then. */
enum { ROWS_FIRST = 32, ROWS_GROWTH = 4 };
/* What the builders of streams without pending rows may keep together. */
#define RETAINED_MAX (32ll * 1024 * 1024)
/* Bytes of a row beside the message it came in: the envelope's own columns. */
#define ROW_OVERHEAD 48

/* ---------------------------------------------------------------- by last use ---------------- */

static void used_remove(struct pg_feed *feed, struct feed_stream *fs)
{
    if (fs->older != NULL) {
        fs->older->newer = fs->newer;
    }
    else if (feed->oldest == fs) {
        feed->oldest = fs->newer;
    }
    if (fs->newer != NULL) {
        fs->newer->older = fs->older;
    }
    else if (feed->newest == fs) {
        feed->newest = fs->older;
    }
    fs->older = NULL;
    fs->newer = NULL;
}

static void used_now(struct pg_feed *feed, struct feed_stream *fs)
{
    if (feed->newest == fs) {
        return;
    }
    used_remove(feed, fs);
    fs->older = feed->newest;
    if (feed->newest != NULL) {
        feed->newest->newer = fs;
    }
    feed->newest = fs;
    if (feed->oldest == NULL) {
        feed->oldest = fs;
    }
}

/* ---------------------------------------------------------------- building ------------------- */

static void stream_unbuild(struct pg_feed *feed, struct feed_stream *fs)
{
    used_remove(feed, fs);
    feed->retained -= fs->retained;
    fs->retained = 0;
    sluice_rows_free(&fs->rows);
    for (int form = 0; form < 2; form++) {
        free(fs->after[form]);
        free(fs->before[form]);
        fs->after[form] = NULL;
        fs->before[form] = NULL;
    }
    fs->built = 0;
}

/* One decoder per form for each column of a struct of the envelope. `indexes`: which columns of the
 * row these are; NULL = all. */
static sluice_status make_decoders(struct pg_feed *feed, struct feed_stream *fs,
                                   struct sluice_column *parent, const uint32_t *indexes,
                                   struct sluice_pg_decoder *out[2], struct sluice_error *err)
{
    int32_t policy = (int32_t)feed->src->options.on_unrepresentable;
    for (int form = 0; form < 2; form++) {
        out[form] = calloc((size_t)parent->child_count + 1, sizeof *out[form]);
        if (out[form] == NULL) {
            return sluice_error_set(err, SLUICE_E_NOMEM, 0, "out of memory for decoders");
        }
    }
    for (int32_t i = 0; i < parent->child_count; i++) {
        uint32_t at = indexes != NULL ? indexes[i] : (uint32_t)i;
        const char *name = fs->now->schema.children[at]->name;
        int32_t kind = fs->now->decode[at];
        SLUICE_TRY(
            sluice_pg_text_decoder_init(&out[0][i], kind, &parent->children[i], name, policy, err));
        SLUICE_TRY(
            sluice_pg_decoder_init(&out[1][i], kind, &parent->children[i], name, policy, err));
    }
    return SLUICE_OK;
}

static sluice_status stream_build(struct pg_feed *feed, struct feed_stream *fs,
                                  struct sluice_error *err)
{
    const struct sluice_stream_desc *desc = &fs->now->desc;
    struct ArrowSchema envelope;
    SLUICE_TRY(sluice_schema_envelope(desc, &envelope, err));
    sluice_status st = sluice_rows_init(&fs->rows, &envelope, ROWS_FIRST, err);
    sluice_schema_release(&envelope);
    SLUICE_TRY(st);
    fs->built = 1;
    if (fs == feed->messages) {
        return SLUICE_OK;
    }
    st = make_decoders(feed, fs, &fs->rows.columns[FEED_AFTER], NULL, fs->after, err);
    if (st >= 0) {
        st = make_decoders(feed, fs, &fs->rows.columns[FEED_BEFORE],
                           desc->before == SLUICE_BEFORE_KEY ? desc->keys : NULL, fs->before, err);
    }
    return st;
}

static sluice_status stream_grow(struct feed_stream *fs, struct sluice_error *err)
{
    int64_t more = fs->rows.max_rows * (ROWS_GROWTH - 1);
    for (int64_t i = 0; i < fs->rows.column_count; i++) {
        SLUICE_TRY(sluice_column_reserve(&fs->rows.columns[i], more, err));
    }
    fs->rows.max_rows = fs->rows.columns[0].max_rows;
    return SLUICE_OK;
}

sluice_status pg_feed_stream_ready(struct pg_feed *feed, struct feed_stream *fs,
                                   struct sluice_error *err)
{
    if (!fs->built) {
        SLUICE_TRY(stream_build(feed, fs, err));
    }
    return fs->rows.rows < fs->rows.max_rows ? SLUICE_OK : stream_grow(fs, err);
}

void pg_feed_stream_count(struct pg_feed *feed, struct feed_stream *fs, int64_t bytes)
{
    if (fs->rows.rows == 1) {
        fs->pending_next = NULL;
        if (feed->pending_last != NULL) {
            feed->pending_last->pending_next = fs;
        }
        else {
            feed->pending_first = fs;
        }
        feed->pending_last = fs;
        used_now(feed, fs);
    }
    if (fs->tx_number != feed->tx_number) {
        fs->tx_number = feed->tx_number;
        fs->tx_first = fs->rows.rows - 1;
        fs->tx_next = feed->tx_streams;
        feed->tx_streams = fs;
    }
    feed->pending_rows++;
    feed->pending_bytes += bytes + ROW_OVERHEAD;
}

void pg_feed_streams_patch(struct pg_feed *feed, uint64_t position)
{
    uint8_t bytes[FEED_POSITION_BYTES];
    sluice_put_be64(bytes, position);
    for (struct feed_stream *fs = feed->tx_streams; fs != NULL; fs = fs->tx_next) {
        /* Every value of that column has eight bytes, so they lie one after another. */
        uint8_t *at = fs->rows.columns[FEED_COMMIT_POS].values;
        for (int64_t row = fs->tx_first; row < fs->rows.rows; row++) {
            memcpy(at + (uint64_t)row * sizeof bytes, bytes, sizeof bytes);
        }
    }
}

/* Builders of streams that have been silent longest give up their buffers first. */
static void give_up(struct pg_feed *feed)
{
    struct feed_stream *fs = feed->oldest;
    while (fs != NULL && feed->retained > RETAINED_MAX) {
        struct feed_stream *newer = fs->newer;
        if (fs->rows.rows == 0) {
            stream_unbuild(feed, fs);
        }
        fs = newer;
    }
}

sluice_status pg_feed_stream_finish(struct pg_feed *feed, struct feed_stream *fs,
                                    struct sluice_batch *out, struct sluice_error *err)
{
    const struct sluice_stream_desc *desc = &fs->now->desc;
    uint64_t rows = (uint64_t)fs->rows.rows;
    int64_t bytes = sluice_rows_bytes(&fs->rows);
    SLUICE_TRY(sluice_rows_finish(&fs->rows, &out->array, err));
    /* The batch that comes now may be a recycled one with other room. */
    fs->rows.max_rows = fs->rows.columns[0].max_rows;
    fs->tx_number = 0;
    out->kind = SLUICE_BATCH_CHANGES;
    out->stream_id = desc->stream_id;
    out->schema_id = desc->schema_id;
    out->rows = rows;
    out->bytes = (uint64_t)bytes;
    feed->src->host->metric_add(feed->src->changes_read, (int64_t)rows);
    if (bytes > fs->retained) {
        feed->retained += bytes - fs->retained;
        fs->retained = bytes;
    }
    if (feed->retained > RETAINED_MAX) {
        give_up(feed);
    }
    return SLUICE_OK;
}

/* ---------------------------------------------------------------- versions ------------------- */

static sluice_status stream_describe(struct feed_stream *fs, struct feed_type *types,
                                     struct sluice_error *err)
{
    uint32_t n = fs->now->column_count;
    uint8_t *required = calloc(n + 1u, 1);
    if (required == NULL || types == NULL) {
        free(required);
        free(types);
        return sluice_error_set(err, SLUICE_E_NOMEM, 0, "out of memory for %u columns", n);
    }
    free(fs->types);
    fs->types = types;
    for (uint32_t i = 0; i < n; i++) {
        required[i] = (fs->now->schema.children[i]->flags & ARROW_FLAG_NULLABLE) == 0;
    }
    free(fs->required);
    fs->required = required;
    fs->column_count = n;
    fs->version++;
    return SLUICE_OK;
}

/* The types of the columns that open() chose, by name. */
static struct feed_type *origin_types(const struct pg_stream *origin)
{
    const struct pg_relation *r = origin->relation;
    struct feed_type *types = calloc(origin->column_count + 1u, sizeof *types);
    uint32_t at = 0;
    for (uint32_t i = 0; types != NULL && i < origin->column_count; i++) {
        const char *name = origin->schema.children[i]->name;
        while (at < r->attribute_count && strcmp(r->attributes[at].name, name) != 0) {
            at++; /* both are in the order of the table */
        }
        if (at < r->attribute_count) {
            types[i] = (struct feed_type){r->attributes[at].type, r->attributes[at].typmod};
        }
    }
    return types;
}

sluice_status pg_feed_stream_switch(struct pg_feed *feed, struct feed_stream *fs,
                                    struct sluice_error *err)
{
    if (fs->built) {
        stream_unbuild(feed, fs);
    }
    pg_feed_version_free(fs->made);
    fs->made = fs->next;
    fs->next = NULL;
    fs->now = &fs->made->stream;
    fs->stale = 0;
    fs->made->stream.desc.schema_id = ++fs->origin->last_schema_id;
    struct feed_type *types = fs->made->types;
    fs->made->types = NULL;
    return stream_describe(fs, types, err);
}

sluice_status pg_feed_streams_make(struct pg_feed *feed, struct sluice_error *err)
{
    struct sluice_source *src = feed->src;
    feed->streams = calloc(src->stream_count + 1u, sizeof *feed->streams);
    if (feed->streams == NULL) {
        return sluice_error_set(err, SLUICE_E_NOMEM, 0, "out of memory for %u streams",
                                src->stream_count);
    }
    for (uint32_t i = 0; i < src->stream_count; i++) {
        struct pg_stream *origin = &src->streams[i];
        if (origin->problem.status < 0 || (origin->select_flags & SLUICE_SELECT_CHANGES) == 0) {
            continue;
        }
        struct feed_stream *fs = &feed->streams[feed->stream_count++];
        fs->origin = origin;
        fs->now = origin;
        fs->stale = origin->last_schema_id > origin->desc.schema_id;
        if (!fs->stale) {
            origin->last_schema_id = origin->desc.schema_id;
        }
        if (origin->relation->kind == PG_KIND_MESSAGES) {
            feed->messages = fs;
        }
        SLUICE_TRY(stream_describe(fs, origin_types(origin), err));
    }
    return SLUICE_OK;
}

void pg_feed_streams_free(struct pg_feed *feed)
{
    for (uint32_t i = 0; feed->streams != NULL && i < feed->stream_count; i++) {
        struct feed_stream *fs = &feed->streams[i];
        if (fs->built) {
            stream_unbuild(feed, fs);
        }
        pg_feed_version_free(fs->made);
        pg_feed_version_free(fs->next);
        free(fs->required);
        free(fs->types);
    }
    free(feed->streams);
    feed->streams = NULL;
    feed->stream_count = 0;
}

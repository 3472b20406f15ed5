/* One row of the log into the envelope's columns. The hot path: nothing is allocated, locked or
 * parsed here but the values themselves. */
#include <stdlib.h>

#include "feed.h"
#include "sluice/position.h"

struct row {
    struct pg_feed *feed;
    struct feed_stream *fs;
    struct feed_relation *rel;
    int32_t unchanged; /* 1: some column was not sent: feed->unchanged tells which */
};

static sluice_status bad_value(const struct row *row, uint32_t column, struct sluice_error *err)
{
    char lsn[24];
    sluice_lsn_format(row->feed->wire.start, lsn);
    return sluice_error_wrap(err, "table %s, column %s, change at %s", row->fs->origin->name,
                             row->rel->columns[column].name, lsn);
}

static void mark_unchanged(struct row *row, uint32_t at)
{
    uint8_t *bits = row->feed->unchanged;
    if (!row->unchanged) {
        memset(bits, 0, sizeof row->feed->unchanged);
        row->unchanged = 1;
    }
    bits[at / 8] = (uint8_t)(bits[at / 8] | (1u << (at % 8)));
}

/* The value that a column which was not sent has by the old row, NULL = the old row does not tell: a
 * key tuple holds the key alone. */
static const struct sluice_pgout_value *find_old(const struct row *row, uint32_t column)
{
    const struct sluice_pgout_message *m = &row->feed->message;
    if (m->old_kind == 'O' || (m->old_kind == 'K' && row->rel->columns[column].is_key)) {
        return &m->old_row.values[column];
    }
    return NULL;
}

/* Appends a tuple to the children of `before` or `after`. With `backfill` the old row fills in what
 * was not sent, else it is marked. AGAIN = a NULL where none was announced. */
static sluice_status put_tuple(struct row *row, struct sluice_column *parent,
                               struct sluice_pg_decoder *const decoders[2], const int32_t *map,
                               const uint8_t *required, const struct sluice_pgout_tuple *tuple,
                               int backfill, struct sluice_error *err)
{
    for (uint32_t c = 0; c < tuple->count; c++) {
        int32_t at = map[c];
        if (at < 0) {
            continue;
        }
        const struct sluice_pgout_value *v = &tuple->values[c];
        if (v->kind == SLUICE_PGOUT_UNCHANGED && backfill) {
            const struct sluice_pgout_value *old = find_old(row, c);
            v = old != NULL ? old : v;
        }
        sluice_status st;
        if (v->kind == SLUICE_PGOUT_TEXT || v->kind == SLUICE_PGOUT_BINARY) {
            struct sluice_pg_decoder *d = &decoders[v->kind == SLUICE_PGOUT_BINARY][at];
            st = d->decode(d, v->data, v->size, err);
        }
        else if (v->kind == SLUICE_PGOUT_UNCHANGED) {
            mark_unchanged(row, (uint32_t)at);
            st = sluice_column_put_null(&parent->children[at], err);
        }
        else if (required != NULL && required[at]) {
            return SLUICE_AGAIN;
        }
        else {
            st = sluice_column_put_null(&parent->children[at], err);
        }
        if (st < 0) {
            return bad_value(row, c, err);
        }
    }
    sluice_column_end_struct(parent);
    return SLUICE_OK;
}

/* The five columns that every change has. */
static sluice_status put_head(struct pg_feed *feed, struct sluice_column *columns, int32_t op,
                              struct sluice_error *err)
{
    sluice_column_put_i8(&columns[FEED_OP], (int8_t)op);
    SLUICE_TRY(
        sluice_column_put_bytes(&columns[FEED_COMMIT_POS], feed->tx_pos, FEED_POSITION_BYTES, err));
    sluice_column_put_i64(&columns[FEED_TX_SEQ], feed->tx_seq + 1);
    sluice_column_put_i64(&columns[FEED_COMMIT_TS], feed->tx_time_us);
    if (feed->tx_id_size == 0) {
        return sluice_column_put_null(&columns[FEED_TX_ID], err);
    }
    return sluice_column_put_bytes(&columns[FEED_TX_ID], feed->tx_id, feed->tx_id_size, err);
}

/* The server also sends the old key when it is TOASTed and stays as it is. */
static int is_same_key(const struct row *row, const struct sluice_pgout_message *m)
{
    if (m->type != SLUICE_PGOUT_UPDATE || m->old_kind != 'K') {
        return 0;
    }
    for (uint32_t c = 0; c < m->old_row.count; c++) {
        const struct sluice_pgout_value *was = &m->old_row.values[c];
        const struct sluice_pgout_value *is = &m->new_row.values[c];
        if (row->rel->columns[c].is_key && is->kind != SLUICE_PGOUT_UNCHANGED &&
            (is->kind != was->kind || is->size != was->size ||
             (is->size > 0 && memcmp(is->data, was->data, is->size) != 0))) {
            return 0;
        }
    }
    return 1;
}

static sluice_status put_before(struct row *row, const struct sluice_pgout_message *m,
                                struct sluice_error *err)
{
    struct feed_stream *fs = row->fs;
    struct sluice_column *before = &fs->rows.columns[FEED_BEFORE];
    if (m->old_kind == 0 || fs->now->desc.before == SLUICE_BEFORE_NONE || is_same_key(row, m)) {
        return sluice_column_put_null(before, err);
    }
    int full = fs->now->desc.before == SLUICE_BEFORE_FULL;
    if (full != (m->old_kind == 'O')) {
        return sluice_error_set(err, SLUICE_E_DATA, 0,
                                "table %s: an old row of kind %c, which is not its identity",
                                fs->origin->name, m->old_kind);
    }
    return put_tuple(row, before, fs->before, row->rel->before, full ? fs->required : NULL,
                     &m->old_row, 0, err);
}

static sluice_status put_after(struct row *row, const struct sluice_pgout_message *m,
                               struct sluice_error *err)
{
    struct feed_stream *fs = row->fs;
    struct sluice_column *after = &fs->rows.columns[FEED_AFTER];
    if (m->type == SLUICE_PGOUT_DELETE) {
        return sluice_column_put_null(after, err);
    }
    return put_tuple(row, after, fs->after, row->rel->after, fs->required, &m->new_row, 1, err);
}

static sluice_status put_row(struct row *row, const struct sluice_pgout_message *m,
                             struct sluice_error *err)
{
    struct sluice_column *columns = row->fs->rows.columns;
    SLUICE_TRY(put_head(row->feed, columns, m->type, err));
    sluice_status st = put_before(row, m, err);
    if (st != SLUICE_OK) {
        return st;
    }
    row->unchanged = 0; /* an old row has no such columns of its own */
    st = put_after(row, m, err);
    if (st != SLUICE_OK) {
        return st;
    }
    if (!row->unchanged) {
        return sluice_column_put_null(&columns[FEED_UNCHANGED], err);
    }
    return sluice_column_put_bytes(&columns[FEED_UNCHANGED], row->feed->unchanged,
                                   (row->fs->column_count + 7u) / 8u, err);
}

/* Which announced columns a tuple contradicts. */
static void find_nulls(const struct row *row, const struct sluice_pgout_tuple *tuple,
                       uint8_t *relax)
{
    for (uint32_t c = 0; c < tuple->count; c++) {
        int32_t at = row->rel->after[c];
        if (at >= 0 && tuple->values[c].kind == SLUICE_PGOUT_NULL && row->fs->required[at]) {
            relax[at] = 1;
        }
    }
}

static sluice_status relax(const struct row *row, const struct sluice_pgout_message *m,
                           struct sluice_error *err)
{
    uint8_t *columns = calloc(row->fs->column_count + 1u, 1);
    if (columns == NULL) {
        return sluice_error_set(err, SLUICE_E_NOMEM, 0, "out of memory for columns");
    }
    if (m->type != SLUICE_PGOUT_DELETE) {
        find_nulls(row, &m->new_row, columns);
    }
    if (m->old_kind == 'O') {
        find_nulls(row, &m->old_row, columns);
    }
    sluice_status st = pg_feed_version_relax(row->feed, row->fs, columns, err);
    free(columns);
    return st < 0 ? st : SLUICE_AGAIN;
}

static sluice_status check_counts(const struct row *row, const struct sluice_pgout_message *m,
                                  struct sluice_error *err)
{
    uint32_t count = row->rel->column_count;
    int ok = m->type == SLUICE_PGOUT_DELETE || m->new_row.count == count;
    ok &= m->old_kind == 0 || m->old_row.count == count;
    if (ok) {
        return SLUICE_OK;
    }
    return sluice_error_set(err, SLUICE_E_DATA, 0,
                            "table %s: a row of other than the %u columns that were announced",
                            row->fs->origin->name, count);
}

sluice_status pg_feed_row(struct pg_feed *feed, struct feed_relation *rel, struct sluice_error *err)
{
    const struct sluice_pgout_message *m = &feed->message;
    struct row row = {.feed = feed, .fs = rel->stream, .rel = rel};
    if (row.fs->origin->insert_only && m->type != SLUICE_PGOUT_INSERT) {
        return SLUICE_OK; /* nothing tells which row it is */
    }
    SLUICE_TRY(check_counts(&row, m, err));
    SLUICE_TRY(pg_feed_stream_ready(feed, row.fs, err));
    sluice_status st = put_row(&row, m, err);
    if (st != SLUICE_OK) {
        sluice_rows_rollback(&row.fs->rows);
        return st < 0 ? st : relax(&row, m, err);
    }
    sluice_rows_end_row(&row.fs->rows);
    feed->tx_seq++;
    pg_feed_stream_count(feed, row.fs, (int64_t)feed->wire.size);
    return SLUICE_OK;
}

/* ---------------------------------------------------------------- logical messages ----------- */

static sluice_status put_message(const struct feed_stream *fs, struct sluice_column *after,
                                 const struct sluice_pgout_message *m, struct sluice_error *err)
{
    for (uint32_t i = 0; i < fs->column_count; i++) {
        const char *name = fs->now->schema.children[i]->name;
        struct sluice_column *column = &after->children[i];
        if (strcmp(name, "prefix") == 0) {
            SLUICE_TRY(sluice_column_put_bytes(column, m->name, strlen(m->name), err));
        }
        else if (strcmp(name, "content") == 0) {
            SLUICE_TRY(sluice_column_put_bytes(column, m->content, m->content_size, err));
        }
        else if (strcmp(name, "transactional") == 0) {
            sluice_column_put_bool(column, m->transactional);
        }
        else {
            return sluice_error_set(err, SLUICE_E_INTERNAL, 0, "stream %s: column %s is unknown",
                                    fs->origin->name, name);
        }
    }
    sluice_column_end_struct(after);
    return SLUICE_OK;
}

sluice_status pg_feed_row_message(struct pg_feed *feed, struct sluice_error *err)
{
    struct feed_stream *fs = feed->messages;
    SLUICE_TRY(pg_feed_stream_ready(feed, fs, err));
    struct sluice_column *columns = fs->rows.columns;
    sluice_status st = put_head(feed, columns, SLUICE_PGOUT_INSERT, err);
    if (st >= 0) {
        st = sluice_column_put_null(&columns[FEED_BEFORE], err);
    }
    if (st >= 0) {
        st = put_message(fs, &columns[FEED_AFTER], &feed->message, err);
    }
    if (st >= 0) {
        st = sluice_column_put_null(&columns[FEED_UNCHANGED], err);
    }
    if (st < 0) {
        sluice_rows_rollback(&fs->rows);
        return sluice_error_wrap(err, "stream %s", fs->origin->name);
    }
    sluice_rows_end_row(&fs->rows);
    feed->tx_seq++;
    pg_feed_stream_count(feed, fs, (int64_t)feed->wire.size);
    return SLUICE_OK;
}

/* Rows of one change table into the envelope's columns. The hot path: nothing is allocated but for growth. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "feed.h"

enum { R_LSN, R_SEQVAL, R_OPERATION, R_MASK, R_COMMAND, GROWTH = 4 };

struct row {
    struct ms_feed *feed;
    struct feed_stream *fs;
    int32_t base; /* place of the first of the stream's columns in the result */
    uint32_t tx;
    int32_t operation;
    struct sluice_bytes mask;
    int32_t half; /* the old row of an update is in the builder, the new one is to come */
};

/* ---- room ---- */

static sluice_status grow(struct feed_stream *fs, struct sluice_error *err)
{
    const int64_t more = fs->rows.max_rows * (GROWTH - 1);
    for (int64_t i = 0; i < fs->rows.column_count; i++) {
        SLUICE_TRY(sluice_column_reserve(&fs->rows.columns[i], more, err));
    }
    fs->rows.max_rows = fs->rows.columns[0].max_rows;
    return SLUICE_OK;
}

sluice_status ms_feed_row_begin(struct feed_stream *fs, struct sluice_error *err)
{
    if (fs->rows.rows == fs->rows.max_rows) {
        SLUICE_TRY(grow(fs, err));
    }
    if (fs->rows.rows >= fs->order_cap) {
        const int64_t cap = fs->order_cap > 0 ? fs->order_cap * GROWTH : 256;
        struct feed_order *grown = realloc(fs->order, (size_t)cap * sizeof *grown);
        if (grown == NULL) {
            return sluice_error_set(err, SLUICE_E_NOMEM, 0, "out of memory for rows of changes");
        }
        fs->order = grown;
        fs->order_cap = cap;
    }
    return SLUICE_OK;
}

/* ---- the update mask ---- */

/* Bit `ordinal` from 0; the lowest is in the last byte ("sys.fn_cdc_is_bit_set" of Microsoft's documentation). A mask
 * that is too short says nothing: taken for changed. */
static int is_changed(const struct row *row, int32_t ordinal)
{
    const uint64_t byte = (uint64_t)ordinal / 8;
    if (row->mask.data == NULL || byte >= row->mask.size) {
        return 1;
    }
    return ((const uint8_t *)row->mask.data)[row->mask.size - 1 - byte] >> (ordinal % 8) & 1;
}

static int is_key_changed(const struct row *row)
{
    const struct feed_stream *fs = row->fs;
    for (uint32_t i = 0; i < fs->instance->table.count; i++) {
        if (fs->key[i] && is_changed(row, (int32_t)i)) {
            return 1;
        }
    }
    return 0;
}

/* ---- values ---- */

sluice_status ms_feed_row_value(struct feed_stream *fs, const struct sluice_tds_decoder *d,
                                struct sluice_bytes value, struct sluice_column *column,
                                struct sluice_error *err)
{
    if (value.data == NULL) {
        return sluice_column_put_null(column, err);
    }
    fs->bytes_read += value.size;
    const sluice_status status = d->decode(d, value, column, err);
    return status < 0 ? sluice_error_wrap(err, "changes of table %s", fs->now->name) : status;
}

static sluice_status put_value(const struct row *row, int32_t i, struct sluice_column *column,
                               struct sluice_error *err)
{
    return ms_feed_row_value(row->fs, &row->fs->now->decoders[i],
                             sluice_tds_value(row->feed->conn, row->base + i), column, err);
}

/* The old row or its key. */
static sluice_status put_before(const struct row *row, struct sluice_error *err)
{
    const struct sluice_stream_desc *desc = &row->fs->now->desc;
    struct sluice_column *before = &row->fs->rows.columns[FEED_BEFORE];
    const int key = desc->before == SLUICE_BEFORE_KEY;
    if (key && row->operation == MS_BEFORE && !is_key_changed(row)) {
        return sluice_column_put_null(before, err);
    }
    for (int32_t i = 0; i < before->child_count; i++) {
        SLUICE_TRY(put_value(row, key ? (int32_t)desc->keys[i] : i, &before->children[i], err));
    }
    sluice_column_end_struct(before);
    return SLUICE_OK;
}

static void mark(uint8_t *bits, int32_t i)
{
    bits[i / 8] = (uint8_t)(bits[i / 8] | 1u << (i % 8));
}

/* The new row. A large value that the update left alone is NULL in the change table. AGAIN = a NULL where none was
 * announced. */
static sluice_status put_after(const struct row *row, struct sluice_error *err)
{
    struct feed_stream *fs = row->fs;
    struct sluice_column *after = &fs->rows.columns[FEED_AFTER];
    uint8_t unchanged[(FEED_COLUMNS_MAX + 7) / 8];
    int32_t any = 0;
    for (int32_t i = 0; i < after->child_count; i++) {
        const int null = sluice_tds_value(row->feed->conn, row->base + i).data == NULL;
        if (null && row->operation == MS_AFTER && fs->instance->lob[fs->at[i]] &&
            !is_changed(row, fs->at[i])) {
            if (!any) {
                memset(unchanged, 0, sizeof unchanged);
                any = 1;
            }
            mark(unchanged, i);
        }
        else if (null && !after->children[i].nullable) {
            return SLUICE_AGAIN;
        }
        SLUICE_TRY(put_value(row, i, &after->children[i], err));
    }
    sluice_column_end_struct(after);
    struct sluice_column *out = &fs->rows.columns[FEED_UNCHANGED];
    return any ? sluice_column_put_bytes(out, unchanged, ((uint64_t)after->child_count + 7) / 8,
                                         err)
               : sluice_column_put_null(out, err);
}

sluice_status ms_feed_row_head(struct feed_stream *fs, int8_t op, const struct feed_tx *tx,
                               struct sluice_error *err)
{
    struct sluice_column *columns = fs->rows.columns;
    sluice_column_put_i8(&columns[FEED_OP], op);
    SLUICE_TRY(
        sluice_column_put_bytes(&columns[FEED_COMMIT_POS], tx->lsn.bytes, MS_LSN_BYTES, err));
    sluice_column_put_i64(&columns[FEED_TX_SEQ], 0); /* known once all tables were read */
    if (tx->time_us != 0) {
        sluice_column_put_i64(&columns[FEED_COMMIT_TS], tx->time_us);
    }
    else {
        SLUICE_TRY(sluice_column_put_null(&columns[FEED_COMMIT_TS], err));
    }
    return tx->id_size > 0 ? sluice_column_put_bytes(&columns[FEED_TX_ID], tx->id, tx->id_size, err)
                           : sluice_column_put_null(&columns[FEED_TX_ID], err);
}

static sluice_status put_head(const struct row *row, int8_t op, struct sluice_error *err)
{
    return ms_feed_row_head(row->fs, op, &row->feed->txs[row->tx], err);
}

void ms_feed_row_end(struct feed_stream *fs, const struct feed_order *order)
{
    fs->order[fs->rows.rows] = *order;
    sluice_rows_end_row(&fs->rows);
}

/* ---- rows ---- */

static sluice_status out_of_order(const struct row *row, const char *why, struct sluice_error *err)
{
    char lsn[MS_LSN_TEXT];
    ms_lsn_format(&row->feed->txs[row->tx].lsn, lsn);
    return sluice_error_set(err, SLUICE_E_DATA, SLUICE_ERROR_FATAL,
                            "capture instance %.128s, transaction %s: %s", row->fs->instance->name,
                            lsn, why);
}

static sluice_status end_row(struct row *row)
{
    const struct sluice_tds_conn *conn = row->feed->conn;
    struct feed_order order = {.tx = row->tx, .operation = row->operation};
    const struct sluice_bytes seqval = sluice_tds_value(conn, R_SEQVAL);
    order.command = row->fs->instance->has_command ? sluice_tds_number(conn, R_COMMAND) : 0;
    if (seqval.data != NULL && seqval.size == MS_LSN_BYTES) {
        memcpy(order.seqval, seqval.data, MS_LSN_BYTES);
    }
    ms_feed_row_end(row->fs, &order);
    return SLUICE_OK;
}

static sluice_status put_new(struct row *row, struct sluice_error *err)
{
    if (row->operation == MS_INSERT) {
        SLUICE_TRY(put_head(row, 'I', err));
        SLUICE_TRY(sluice_column_put_null(&row->fs->rows.columns[FEED_BEFORE], err));
    }
    const sluice_status status = put_after(row, err);
    if (status != SLUICE_OK) {
        return status;
    }
    row->half = 0;
    return end_row(row);
}

static sluice_status put_old(struct row *row, struct sluice_error *err)
{
    struct sluice_column *columns = row->fs->rows.columns;
    SLUICE_TRY(put_head(row, row->operation == MS_DELETE ? 'D' : 'U', err));
    SLUICE_TRY(put_before(row, err));
    if (row->operation == MS_BEFORE) {
        row->half = 1;
        return SLUICE_OK;
    }
    SLUICE_TRY(sluice_column_put_null(&columns[FEED_AFTER], err));
    SLUICE_TRY(sluice_column_put_null(&columns[FEED_UNCHANGED], err));
    return end_row(row);
}

/* The transaction of the row at hand: both ascend. */
static sluice_status find_tx(struct row *row, struct sluice_error *err)
{
    const struct ms_feed *feed = row->feed;
    struct ms_lsn lsn;
    if (!ms_lsn_take(sluice_tds_value(feed->conn, R_LSN), &lsn)) {
        return sluice_error_set(err, SLUICE_E_DATA, 0, "capture instance %.128s: a row without LSN",
                                row->fs->instance->name);
    }
    while (row->tx < feed->tx_count && ms_lsn_compare(&feed->txs[row->tx].lsn, &lsn) < 0) {
        row->tx++;
    }
    if (row->tx < feed->tx_count && ms_lsn_compare(&feed->txs[row->tx].lsn, &lsn) == 0) {
        return SLUICE_OK;
    }
    row->tx = row->tx < feed->tx_count ? row->tx : feed->tx_count - 1;
    return out_of_order(row, "its rows have a commit that cdc.lsn_time_mapping lacks", err);
}

static sluice_status take_row(struct row *row, struct sluice_error *err)
{
    const uint32_t tx = row->tx;
    SLUICE_TRY(find_tx(row, err));
    row->operation = (int32_t)sluice_tds_number(row->feed->conn, R_OPERATION);
    row->mask = sluice_tds_value(row->feed->conn, R_MASK);
    if (row->half && (row->operation != MS_AFTER || row->tx != tx)) {
        return out_of_order(row, "an update has an old row and no new one", err);
    }
    if (!row->half && row->operation == MS_AFTER) {
        return out_of_order(row, "an update has a new row and no old one", err);
    }
    if (row->operation == MS_INSERT || row->operation == MS_AFTER) {
        return put_new(row, err);
    }
    return row->operation == MS_DELETE || row->operation == MS_BEFORE
               ? put_old(row, err)
               : out_of_order(row, "an operation that is none of 1, 2, 3, 4", err);
}

/* ---- the statement ---- */

/* SELECT list over the change table: what every row has, then all captured columns. */
sluice_status ms_feed_rows_prepare(struct feed_stream *fs, struct sluice_error *err)
{
    const struct ms_instance *in = fs->instance;
    char column[SLUICE_TDS_SELECT_MAX];
    size_t room = 256;
    for (int64_t i = 0; i < fs->now->schema.n_children; i++) {
        room += sluice_tds_decoder_select(&fs->now->decoders[i], column) + 8;
    }
    char *text = malloc(room);
    if (text == NULL) {
        return sluice_error_set(err, SLUICE_E_NOMEM, 0, "out of memory for a statement");
    }
    size_t n = (size_t)snprintf(text, room,
                                "[__$start_lsn], [__$seqval], [__$operation], [__$update_mask]%s",
                                in->has_command ? ", [__$command_id]" : "");
    for (int64_t i = 0; i < fs->now->schema.n_children; i++) {
        n += (size_t)snprintf(text + n, room - n, ", ");
        (void)sluice_tds_decoder_select(&fs->now->decoders[i], column);
        n += (size_t)snprintf(text + n, room - n, "%s", column);
    }
    free(fs->columns);
    fs->columns = text;
    return SLUICE_OK;
}

static sluice_status make_select(const struct ms_feed *feed, const struct feed_stream *fs,
                                 char **out, struct sluice_error *err)
{
    char from[MS_LSN_LITERAL];
    char to[MS_LSN_LITERAL];
    char table[2 * sizeof fs->instance->name + 16];
    char name[sizeof fs->instance->name + 4];
    char part[128] = "";
    const size_t room = strlen(fs->columns) + sizeof table + 512;
    char *text = malloc(room);
    if (text == NULL) {
        return sluice_error_set(err, SLUICE_E_NOMEM, 0, "out of memory for a statement");
    }
    ms_lsn_literal(&feed->from, from);
    ms_lsn_literal(&feed->to, to);
    (void)snprintf(name, sizeof name, "%s_CT", fs->instance->name);
    (void)sluice_tds_quote(name, table, sizeof table);
    if (feed->in_parts) {
        (void)snprintf(part, sizeof part, " AND [__$command_id] > %lld AND [__$command_id] <= %lld",
                       (long long)feed->command_from, (long long)feed->command_to);
    }
    (void)snprintf(text, room,
                   "SELECT %s FROM [cdc].%s WHERE [__$start_lsn] > %s AND [__$start_lsn] <= %s%s "
                   "ORDER BY [__$start_lsn], %s[__$seqval], [__$operation]",
                   fs->columns, table, from, to, part,
                   fs->instance->has_command ? "[__$command_id], " : "");
    *out = text;
    return SLUICE_OK;
}

/* 1 if the query's columns are those that the decoders were made for. */
static int is_as_planned(const struct row *row)
{
    return sluice_tds_column_count(row->feed->conn) ==
           row->base + (int32_t)row->fs->now->schema.n_children;
}

sluice_status ms_feed_rows_read(struct ms_feed *feed, struct feed_stream *fs,
                                struct sluice_error *err)
{
    struct row row = {.feed = feed, .fs = fs, .base = fs->instance->has_command ? 5 : 4};
    char *sql = NULL;
    SLUICE_TRY(ms_feed_stream_build(fs, err));
    SLUICE_TRY(make_select(feed, fs, &sql, err));
    (void)snprintf(feed->what, sizeof feed->what, "read changes of table %.120s", fs->now->name);
    fs->bytes_read = 0;
    sluice_status status = sluice_tds_query(feed->conn, feed->what, sql, err);
    free(sql);
    if (status >= 0 && !is_as_planned(&row)) {
        sluice_tds_cancel(feed->conn);
        return SLUICE_AGAIN;
    }
    while (status == SLUICE_OK) {
        status = sluice_tds_fetch(feed->conn, err);
        if (status != SLUICE_OK) {
            break;
        }
        if (!row.half) {
            status = ms_feed_row_begin(fs, err);
        }
        if (status >= 0) {
            status = take_row(&row, err);
        }
        if (status != SLUICE_OK) {
            sluice_tds_cancel(feed->conn);
            sluice_rows_rollback(&fs->rows);
        }
    }
    if (status == SLUICE_END && row.half) {
        return out_of_order(&row, "an update has an old row and no new one", err);
    }
    if (status == SLUICE_AGAIN) {
        fs->relaxed = 1;
    }
    return status == SLUICE_END ? SLUICE_OK : status;
}

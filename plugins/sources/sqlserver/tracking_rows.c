/* Net changes of one table into the envelope's columns. The hot path: nothing is allocated but for growth. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "feed.h"
#include "text.h"

/* Of the result: the version and the operation of the change, whether the row is there, its key as it was tracked, then
 * the table's own columns. */
enum { R_VERSION, R_OPERATION, R_HERE, R_KEYS };

/* ---- the statement ---- */

/* The k-th column of the key by the name that it has beside the table's own. */
static void add_key_name(struct ms_text *t, uint32_t k)
{
    char name[32];
    (void)snprintf(name, sizeof name, "[__$key%u]", k);
    ms_text_add(t, name);
}

static const char *key_of(const struct ms_stream *s, uint32_t k)
{
    return s->schema.children[s->keys[k]]->name;
}

static void add_list(struct ms_text *t, const struct ms_stream *s)
{
    char column[SLUICE_TDS_SELECT_MAX];
    ms_text_add(t, "SELECT [__$version], [__$operation], CASE WHEN t.");
    ms_text_add_name(t, key_of(s, 0));
    ms_text_add(t, " IS NULL THEN 0 ELSE 1 END AS [__$here]");
    for (uint32_t k = 0; k < s->desc.key_count; k++) {
        struct sluice_tds_decoder d = s->decoders[s->keys[k]];
        (void)snprintf(d.name, sizeof d.name, "__$key%u", k);
        (void)sluice_tds_decoder_select(&d, column);
        ms_text_add(t, ", ");
        ms_text_add(t, column);
    }
    for (int64_t i = 0; i < s->schema.n_children; i++) {
        (void)sluice_tds_decoder_select(&s->decoders[i], column);
        ms_text_add(t, ", ");
        ms_text_add(t, column);
    }
}

static void add_table(struct ms_text *t, const struct ms_stream *s)
{
    ms_text_add_name(t, s->schema_name);
    ms_text_add(t, ".");
    ms_text_add_name(t, s->table_name);
}

/* LEFT JOIN: of a row that is gone its key alone is known. */
static void add_join(struct ms_text *t, const struct ms_stream *s)
{
    ms_text_add(t, ") AS c) AS ct LEFT JOIN ");
    add_table(t, s);
    ms_text_add(t, " AS t ON ");
    for (uint32_t k = 0; k < s->desc.key_count; k++) {
        ms_text_add(t, k > 0 ? " AND t." : "t.");
        ms_text_add_name(t, key_of(s, k));
        ms_text_add(t, " = ct.");
        add_key_name(t, k);
    }
}

sluice_status ms_tracking_rows_prepare(struct feed_stream *fs, struct sluice_error *err)
{
    const struct ms_stream *s = fs->now;
    struct ms_text head = {0};
    struct ms_text rest = {0};
    add_list(&head, s);
    ms_text_add(&head, " FROM (SELECT SYS_CHANGE_VERSION AS [__$version], SYS_CHANGE_OPERATION AS "
                       "[__$operation]");
    for (uint32_t k = 0; k < s->desc.key_count; k++) {
        ms_text_add(&head, ", ");
        ms_text_add_name(&head, key_of(s, k));
        ms_text_add(&head, " AS ");
        add_key_name(&head, k);
    }
    ms_text_add(&head, " FROM CHANGETABLE(CHANGES ");
    add_table(&head, s);
    ms_text_add(&head, ", ");
    add_join(&rest, s);
    free(fs->columns);
    free(fs->rest);
    fs->columns = head.data;
    fs->rest = rest.data;
    return head.failed || rest.failed
               ? sluice_error_set(err, SLUICE_E_NOMEM, 0, "out of memory for a statement")
               : SLUICE_OK;
}

/* In the order of the rows' last changes: what another row freed is free by then, and a row comes before those that
 * refer to it in its own table. */
sluice_status ms_tracking_rows_ask(struct ms_feed *feed, const struct ms_tracking_pass *pass,
                                   struct sluice_error *err)
{
    struct feed_stream *fs = &feed->streams[pass->stream];
    char number[32];
    struct ms_text sql = {0};
    SLUICE_TRY(ms_feed_stream_build(fs, err));
    (void)snprintf(number, sizeof number, "%lld", (long long)ms_tracking_from(feed, fs));
    ms_text_add(&sql, fs->columns);
    ms_text_add(&sql, number);
    ms_text_add(&sql, fs->rest);
    ms_text_add(&sql, pass->gone ? " WHERE ct.[__$operation] = N'D'"
                                 : " WHERE ct.[__$operation] <> N'D'");
    ms_text_add(&sql, " ORDER BY ct.[__$version], ct.[__$operation] DESC");
    (void)snprintf(feed->what, sizeof feed->what, "read changes of table %.120s", fs->now->name);
    const sluice_status status =
        sql.failed ? sluice_error_set(err, SLUICE_E_NOMEM, 0, "out of memory for a statement")
                   : sluice_tds_query(feed->conn, feed->what, sql.data, err);
    free(sql.data);
    if (status >= 0 &&
        sluice_tds_column_count(feed->conn) !=
            R_KEYS + (int32_t)fs->now->desc.key_count + (int32_t)fs->now->schema.n_children) {
        sluice_tds_cancel(feed->conn);
        return SLUICE_AGAIN;
    }
    return status;
}

/* ---- rows ---- */

static sluice_status put_key(const struct ms_feed *feed, struct feed_stream *fs,
                             struct sluice_error *err)
{
    const struct sluice_stream_desc *desc = &fs->now->desc;
    struct sluice_column *before = &fs->rows.columns[FEED_BEFORE];
    for (uint32_t k = 0; k < desc->key_count; k++) {
        SLUICE_TRY(ms_feed_row_value(fs, &fs->now->decoders[desc->keys[k]],
                                     sluice_tds_value(feed->conn, R_KEYS + (int32_t)k),
                                     &before->children[k], err));
    }
    sluice_column_end_struct(before);
    return SLUICE_OK;
}

/* 1 if the row has the key that was tracked, byte by byte: a collation may take others for the same. */
static int has_the_key(const struct ms_feed *feed, const struct ms_stream *s, int32_t base)
{
    for (uint32_t k = 0; k < s->desc.key_count; k++) {
        const struct sluice_bytes a = sluice_tds_value(feed->conn, R_KEYS + (int32_t)k);
        const struct sluice_bytes b = sluice_tds_value(feed->conn, base + (int32_t)s->keys[k]);
        if (a.size != b.size || a.data == NULL || b.data == NULL ||
            memcmp(a.data, b.data, a.size) != 0) {
            return 0;
        }
    }
    return 1;
}

static sluice_status put_gone(const struct ms_feed *feed, struct feed_stream *fs,
                              struct sluice_error *err)
{
    SLUICE_TRY(ms_feed_row_head(fs, 'D', &feed->txs[0], err));
    SLUICE_TRY(put_key(feed, fs, err));
    SLUICE_TRY(sluice_column_put_null(&fs->rows.columns[FEED_AFTER], err));
    return sluice_column_put_null(&fs->rows.columns[FEED_UNCHANGED], err);
}

static sluice_status put_row(const struct ms_feed *feed, struct feed_stream *fs, int inserted,
                             struct sluice_error *err)
{
    const int32_t base = R_KEYS + (int32_t)fs->now->desc.key_count;
    const int same = has_the_key(feed, fs->now, base);
    struct sluice_column *after = &fs->rows.columns[FEED_AFTER];
    SLUICE_TRY(ms_feed_row_head(fs, inserted && same ? 'I' : 'U', &feed->txs[0], err));
    SLUICE_TRY(same ? sluice_column_put_null(&fs->rows.columns[FEED_BEFORE], err)
                    : put_key(feed, fs, err));
    for (int32_t i = 0; i < after->child_count; i++) {
        const struct sluice_bytes value = sluice_tds_value(feed->conn, base + i);
        if (value.data == NULL && !after->children[i].nullable) {
            return SLUICE_AGAIN;
        }
        SLUICE_TRY(ms_feed_row_value(fs, &fs->now->decoders[i], value, &after->children[i], err));
    }
    sluice_column_end_struct(after);
    return sluice_column_put_null(&fs->rows.columns[FEED_UNCHANGED], err);
}

/* Whether the row is there decides, and not the operation: the table is as of the same moment. */
static sluice_status take_row(struct ms_feed *feed, struct feed_stream *fs,
                              struct sluice_error *err)
{
    char operation[4] = "";
    sluice_tds_text(feed->conn, R_OPERATION, operation, sizeof operation);
    const int here = sluice_tds_number(feed->conn, R_HERE) != 0;
    const int inserted = operation[0] == 'I';
    const sluice_status status = here ? put_row(feed, fs, inserted, err) : put_gone(feed, fs, err);
    if (status != SLUICE_OK) {
        return status;
    }
    const struct feed_order order = {.command = feed->tracking->taken++};
    ms_feed_row_end(fs, &order);
    return SLUICE_OK;
}

sluice_status ms_tracking_rows_take(struct ms_feed *feed, struct feed_stream *fs,
                                    struct sluice_error *err)
{
    sluice_status status = sluice_tds_fetch(feed->conn, err);
    if (status != SLUICE_OK) {
        return status;
    }
    status = ms_feed_row_begin(fs, err);
    if (status >= 0) {
        status = take_row(feed, fs, err);
    }
    if (status != SLUICE_OK) {
        sluice_tds_cancel(feed->conn);
        sluice_rows_rollback(&fs->rows);
    }
    return status;
}

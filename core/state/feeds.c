/* Feeds of changes: how far each came in each sink, over all loads. */
#include <string.h>

#include "base/limits.h"
#include "state/state_internal.h"

sluice_status sluice_state_feed_put(struct sluice_state *state,
                                    const struct sluice_state_feed *feed, struct sluice_error *err)
{
    struct state_query query;
    if (feed->position_size > SLUICE_LIMIT_POSITION_BYTES) {
        return sluice_error_set(
            err, SLUICE_E_LIMIT, 0, "shard %s: a position of %llu bytes; at most %u are allowed",
            feed->shard, (unsigned long long)feed->position_size, SLUICE_LIMIT_POSITION_BYTES);
    }
    SLUICE_TRY(sluice_state_write_begin(state, "write feed", err));
    sluice_status status = sluice_query_begin(
        state,
        "INSERT INTO feeds (source, shard, sink, epoch, position, changes, transactions,"
        " updated_us, void_epoch) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8,"
        " CASE length(?5) WHEN 0 THEN ?4 ELSE 0 END) ON CONFLICT DO UPDATE SET"
        " epoch = excluded.epoch, position = excluded.position, changes = excluded.changes,"
        " transactions = excluded.transactions, updated_us = excluded.updated_us,"
        " void_epoch = CASE length(excluded.position) WHEN 0 THEN excluded.epoch"
        " ELSE void_epoch END",
        "write feed", &query, err);
    if (status == SLUICE_OK) {
        sluice_query_text(&query, 1, feed->source);
        sluice_query_text(&query, 2, feed->shard);
        sluice_query_text(&query, 3, feed->sink);
        sluice_query_int(&query, 4, (int64_t)feed->epoch);
        sluice_query_blob(&query, 5, feed->position, feed->position_size);
        sluice_query_int(&query, 6, feed->changes);
        sluice_query_int(&query, 7, feed->transactions);
        sluice_query_int(&query, 8, feed->updated_us);
        status = sluice_query_run(&query, err);
    }
    return sluice_state_write_end(state, status, "write feed", err);
}

static void feed_read(struct state_query *query, struct sluice_state_feed *out)
{
    memset(out, 0, sizeof *out);
    out->source = sluice_query_column(query, 0);
    out->shard = sluice_query_column(query, 1);
    out->sink = sluice_query_column(query, 2);
    out->epoch = (uint64_t)sqlite3_column_int64(query->stmt, 3);
    out->position = sluice_query_column_blob(query, 4, &out->position_size);
    out->changes = sqlite3_column_int64(query->stmt, 5);
    out->transactions = sqlite3_column_int64(query->stmt, 6);
    out->updated_us = sqlite3_column_int64(query->stmt, 7);
    out->void_epoch = (uint64_t)sqlite3_column_int64(query->stmt, 8);
}

sluice_status sluice_state_feeds(struct sluice_state *state, sluice_state_feed_visit visit,
                                 void *ctx, struct sluice_error *err)
{
    struct state_query query;
    if (state->format < 2) {
        return SLUICE_OK;
    }
    sluice_state_read_begin(state);
    sluice_status status =
        sluice_query_begin(state,
                           "SELECT source, shard, sink, epoch, position, changes, transactions,"
                           " updated_us, void_epoch FROM feeds ORDER BY source, shard, sink",
                           "read feeds", &query, err);
    while (status == SLUICE_OK && (status = sluice_query_step(&query, err)) == SLUICE_OK) {
        struct sluice_state_feed feed;
        feed_read(&query, &feed);
        status = sluice_query_check(&query, err);
        if (status < 0 || !sluice_visit_goes_on(visit(ctx, &feed), &status, "read feeds", err)) {
            break;
        }
    }
    sluice_query_end(&query);
    sluice_state_read_end(state);
    return status == SLUICE_END ? SLUICE_OK : status;
}

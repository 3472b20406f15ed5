/* Lanes of a load: how far each shard came in each sink. */
#include <string.h>

#include "base/limits.h"
#include "state/state_internal.h"

sluice_status sluice_state_lane_put(struct sluice_state *state, const char *load_id,
                                    const struct sluice_state_lane *lane, struct sluice_error *err)
{
    struct state_query query;
    if (lane->position_size > SLUICE_LIMIT_POSITION_BYTES) {
        return sluice_error_set(
            err, SLUICE_E_LIMIT, 0, "shard %s: a position of %llu bytes; at most %u are allowed",
            lane->shard, (unsigned long long)lane->position_size, SLUICE_LIMIT_POSITION_BYTES);
    }
    SLUICE_TRY(sluice_state_write_begin(state, "write lane", err));
    sluice_status status = sluice_query_begin(
        state,
        "INSERT OR REPLACE INTO lanes (load_id, sink, shard, epoch, position, rows, bytes,"
        " updated_us) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        "write lane", &query, err);
    if (status == SLUICE_OK) {
        sluice_query_text(&query, 1, load_id);
        sluice_query_text(&query, 2, lane->sink);
        sluice_query_text(&query, 3, lane->shard);
        sluice_query_int(&query, 4, (int64_t)lane->epoch);
        sluice_query_blob(&query, 5, lane->position, lane->position_size);
        sluice_query_int(&query, 6, lane->rows);
        sluice_query_int(&query, 7, lane->bytes);
        sluice_query_int(&query, 8, lane->updated_us);
        status = sluice_query_run(&query, err);
    }
    return sluice_state_write_end(state, status, "write lane", err);
}

static void lane_read(struct state_query *query, struct sluice_state_lane *out)
{
    memset(out, 0, sizeof *out);
    out->sink = sluice_query_column(query, 0);
    out->shard = sluice_query_column(query, 1);
    out->epoch = (uint64_t)sqlite3_column_int64(query->stmt, 2);
    out->position = sluice_query_column_blob(query, 3, &out->position_size);
    out->rows = sqlite3_column_int64(query->stmt, 4);
    out->bytes = sqlite3_column_int64(query->stmt, 5);
    out->updated_us = sqlite3_column_int64(query->stmt, 6);
}

sluice_status sluice_state_lanes(struct sluice_state *state, const char *load_id,
                                 sluice_state_lane_visit visit, void *ctx, struct sluice_error *err)
{
    struct state_query query;
    sluice_state_read_begin(state);
    sluice_status status =
        sluice_query_begin(state,
                           "SELECT sink, shard, epoch, position, rows, bytes, updated_us FROM lanes"
                           " WHERE load_id = ?1 ORDER BY sink, shard",
                           "read lanes", &query, err);
    if (status == SLUICE_OK) {
        sluice_query_text(&query, 1, load_id);
    }
    while (status == SLUICE_OK && (status = sluice_query_step(&query, err)) == SLUICE_OK) {
        struct sluice_state_lane lane;
        lane_read(&query, &lane);
        status = sluice_query_check(&query, err);
        if (status < 0 || !sluice_visit_goes_on(visit(ctx, &lane), &status, "read lanes", err)) {
            break;
        }
    }
    sluice_query_end(&query);
    sluice_state_read_end(state);
    return status == SLUICE_END ? SLUICE_OK : status;
}

sluice_status sluice_state_lanes_drop(struct sluice_state *state, const char *load_id,
                                      const char *shard_prefix, struct sluice_error *err)
{
    struct state_query query;
    SLUICE_TRY(sluice_state_write_begin(state, "forget lanes", err));
    sluice_status status = sluice_query_begin(
        state, "DELETE FROM lanes WHERE load_id = ?1 AND substr(shard, 1, length(?2)) = ?2",
        "forget lanes", &query, err);
    if (status == SLUICE_OK) {
        sluice_query_text(&query, 1, load_id);
        sluice_query_text(&query, 2, shard_prefix);
        status = sluice_query_run(&query, err);
    }
    return sluice_state_write_end(state, status, "forget lanes", err);
}

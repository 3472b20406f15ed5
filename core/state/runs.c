/* Runs: processes that worked for the pipeline. */
#include <string.h>

#include "state/state_internal.h"

static sluice_status run_insert(struct sluice_state *state, const char *load_id, int64_t now_us,
                                int64_t *run_id, struct sluice_error *err)
{
    struct state_query query;
    SLUICE_TRY(sluice_query_begin(state, "INSERT INTO runs (load_id, started_us) VALUES (?1, ?2)",
                                  "begin run", &query, err));
    sluice_query_text(&query, 1, load_id);
    sluice_query_int(&query, 2, now_us);
    SLUICE_TRY(sluice_query_run(&query, err));
    int64_t id = sqlite3_last_insert_rowid(state->db);
    SLUICE_TRY(sluice_query_begin(state, "DELETE FROM runs WHERE id <= ?1", "forget old runs",
                                  &query, err));
    sluice_query_int(&query, 1, id - STATE_RUNS_KEPT);
    SLUICE_TRY(sluice_query_run(&query, err));
    *run_id = id;
    return SLUICE_OK;
}

sluice_status sluice_state_run_begin(struct sluice_state *state, const char *load_id,
                                     int64_t now_us, int64_t *run_id, struct sluice_error *err)
{
    SLUICE_TRY(sluice_state_write_begin(state, "begin run", err));
    sluice_status status = run_insert(state, load_id, now_us, run_id, err);
    return sluice_state_write_end(state, status, "begin run", err);
}

sluice_status sluice_state_run_finish(struct sluice_state *state, int64_t run_id, int64_t now_us,
                                      const char *outcome, const char *message, int64_t rows,
                                      struct sluice_error *err)
{
    struct state_query query;
    SLUICE_TRY(sluice_state_write_begin(state, "finish run", err));
    sluice_status status =
        sluice_query_begin(state,
                           "UPDATE runs SET finished_us = ?2, outcome = ?3, message = ?4, rows = ?5"
                           " WHERE id = ?1",
                           "finish run", &query, err);
    if (status == SLUICE_OK) {
        sluice_query_int(&query, 1, run_id);
        sluice_query_int(&query, 2, now_us);
        sluice_query_text(&query, 3, outcome);
        sluice_query_message(&query, 4, message);
        sluice_query_int(&query, 5, rows);
        status = sluice_query_run(&query, err);
    }
    return sluice_state_write_end(state, status, "finish run", err);
}

static void run_read(struct state_query *query, struct sluice_state_run *out)
{
    memset(out, 0, sizeof *out);
    out->id = sqlite3_column_int64(query->stmt, 0);
    out->load_id = sluice_query_column(query, 1);
    out->started_us = sqlite3_column_int64(query->stmt, 2);
    out->finished_us = sqlite3_column_int64(query->stmt, 3);
    out->outcome = sluice_query_column_or_null(query, 4);
    out->message = sluice_query_column_or_null(query, 5);
    out->rows = sqlite3_column_int64(query->stmt, 6);
}

sluice_status sluice_state_runs(struct sluice_state *state, size_t limit,
                                sluice_state_run_visit visit, void *ctx, struct sluice_error *err)
{
    struct state_query query;
    sluice_state_read_begin(state);
    sluice_status status = sluice_query_begin(
        state,
        "SELECT id, load_id, started_us, finished_us, outcome, message, rows FROM runs"
        " ORDER BY id DESC LIMIT ?1",
        "read runs", &query, err);
    if (status == SLUICE_OK) {
        sluice_query_int(&query, 1, limit < STATE_RUNS_KEPT ? (int64_t)limit : STATE_RUNS_KEPT);
    }
    while (status == SLUICE_OK && (status = sluice_query_step(&query, err)) == SLUICE_OK) {
        struct sluice_state_run run;
        run_read(&query, &run);
        status = sluice_query_check(&query, err);
        if (status < 0 || !sluice_visit_goes_on(visit(ctx, &run), &status, "read runs", err)) {
            break;
        }
    }
    sluice_query_end(&query);
    sluice_state_read_end(state);
    return status == SLUICE_END ? SLUICE_OK : status;
}

/* Loads: one full load of the pipeline, over as many processes as it takes. With changes it never
 * ends: streams that come later join it. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "base/clock.h"
#include "state/state_internal.h"

/* Names are made by us; anything longer is damage. */
static sluice_status load_read(struct state_query *query, struct sluice_state_load *out,
                               struct sluice_error *err)
{
    const char *id = sluice_query_column(query, 0);
    SLUICE_TRY(sluice_query_check(query, err));
    size_t size = strlen(id);
    if (size == 0 || size >= sizeof out->load_id) {
        return sluice_error_set(err, SLUICE_E_DATA, SLUICE_ERROR_FATAL,
                                "state %s: a load has an id of %zu bytes: the file is damaged",
                                query->state->path, size);
    }
    memset(out, 0, sizeof *out);
    memcpy(out->load_id, id, size);
    out->started_us = sqlite3_column_int64(query->stmt, 1);
    out->finished_us = sqlite3_column_int64(query->stmt, 2);
    out->mode = (int32_t)sqlite3_column_int64(query->stmt, 3);
    return SLUICE_OK;
}

sluice_status sluice_state_load_last(struct sluice_state *state, struct sluice_state_load *out,
                                     struct sluice_error *err)
{
    struct state_query query;
    sluice_state_read_begin(state);
    /* Format 1 knew full loads alone. */
    sluice_status status = sluice_query_begin(
        state,
        state->format < 2
            ? "SELECT load_id, started_us, finished_us, 1 FROM loads ORDER BY id DESC LIMIT 1"
            : "SELECT load_id, started_us, finished_us, mode FROM loads ORDER BY id DESC LIMIT 1",
        "read loads", &query, err);
    if (status == SLUICE_OK) {
        status = sluice_query_step(&query, err);
    }
    if (status == SLUICE_OK) {
        status = load_read(&query, out, err);
    }
    else if (status == SLUICE_END) {
        status = sluice_error_set(err, SLUICE_E_NOT_FOUND, 0, "pipeline %s has no load yet",
                                  state->pipeline);
    }
    sluice_query_end(&query);
    sluice_state_read_end(state);
    return status;
}

/* 20261123T005234Z-4f2a9c: sorts by time, unique also when two begin in one second. */
static sluice_status load_id_make(int64_t now_us, char out[40], struct sluice_error *err)
{
    char stamp[24];
    unsigned char random[3];
    ssize_t got = 0;
    do {
        got = getrandom(random, sizeof random, 0);
    } while (got < 0 && errno == EINTR);
    if (got != (ssize_t)sizeof random) {
        return sluice_error_errno(err, errno, "cannot get random bytes");
    }
    sluice_time_stamp(now_us, stamp);
    (void)snprintf(out, 40, "%s-%02x%02x%02x", stamp, random[0], random[1], random[2]);
    return SLUICE_OK;
}

/* 1 = taken. */
static sluice_status load_exists(struct sluice_state *state, const char *load_id, int *exists,
                                 struct sluice_error *err)
{
    struct state_query query;
    sluice_status status = sluice_query_begin(state, "SELECT 1 FROM loads WHERE load_id = ?1",
                                              "read loads", &query, err);
    if (status == SLUICE_OK) {
        sluice_query_text(&query, 1, load_id);
        status = sluice_query_step(&query, err);
        *exists = status == SLUICE_OK;
    }
    sluice_query_end(&query);
    return status < 0 ? status : SLUICE_OK;
}

/* So that a pipeline that runs every minute does not grow its file for ever. */
static sluice_status old_forget(struct sluice_state *state, struct sluice_error *err)
{
    static const char *const statements[] = {
        "DELETE FROM streams WHERE load_id NOT IN"
        " (SELECT load_id FROM loads ORDER BY id DESC LIMIT ?1)",
        "DELETE FROM lanes WHERE load_id NOT IN"
        " (SELECT load_id FROM loads ORDER BY id DESC LIMIT ?1)",
        "DELETE FROM loads WHERE id NOT IN (SELECT id FROM loads ORDER BY id DESC LIMIT ?1)",
    };
    for (size_t i = 0; i < sizeof statements / sizeof statements[0]; i++) {
        struct state_query query;
        SLUICE_TRY(sluice_query_begin(state, statements[i], "forget old loads", &query, err));
        sluice_query_int(&query, 1, STATE_LOADS_KEPT);
        SLUICE_TRY(sluice_query_run(&query, err));
    }
    return SLUICE_OK;
}

static sluice_status load_insert(struct sluice_state *state, int64_t now_us, int32_t mode,
                                 struct sluice_state_load *out, struct sluice_error *err)
{
    struct state_query query;
    struct sluice_state_load load;
    int exists = 1;
    memset(&load, 0, sizeof load);
    load.started_us = now_us;
    load.mode = mode;
    for (int attempt = 0; exists && attempt < 100; attempt++) {
        SLUICE_TRY(load_id_make(now_us, load.load_id, err));
        SLUICE_TRY(load_exists(state, load.load_id, &exists, err));
    }
    SLUICE_TRY(sluice_query_begin(
        state, "INSERT INTO loads (load_id, started_us, mode) VALUES (?1, ?2, ?3)", "begin load",
        &query, err));
    sluice_query_text(&query, 1, load.load_id);
    sluice_query_int(&query, 2, now_us);
    sluice_query_int(&query, 3, mode);
    SLUICE_TRY(sluice_query_run(&query, err));
    SLUICE_TRY(old_forget(state, err));
    *out = load;
    return SLUICE_OK;
}

sluice_status sluice_state_load_begin(struct sluice_state *state, int64_t now_us, int32_t mode,
                                      struct sluice_state_load *out, struct sluice_error *err)
{
    SLUICE_TRY(sluice_state_write_begin(state, "begin load", err));
    sluice_status status = load_insert(state, now_us, mode, out, err);
    return sluice_state_write_end(state, status, "begin load", err);
}

/* UPDATE of one load: ?1 is its id, ?2 the value. */
static sluice_status load_update(struct sluice_state *state, const char *sql, const char *what,
                                 const char *load_id, int64_t value, struct sluice_error *err)
{
    struct state_query query;
    SLUICE_TRY(sluice_state_write_begin(state, what, err));
    sluice_status status = sluice_query_begin(state, sql, what, &query, err);
    if (status == SLUICE_OK) {
        sluice_query_text(&query, 1, load_id);
        sluice_query_int(&query, 2, value);
        status = sluice_query_run(&query, err);
    }
    if (status == SLUICE_OK && sqlite3_changes(state->db) == 0) {
        status = sluice_error_set(err, SLUICE_E_NOT_FOUND, 0, "pipeline %s has no load %s",
                                  state->pipeline, load_id);
    }
    return sluice_state_write_end(state, status, what, err);
}

sluice_status sluice_state_load_set_mode(struct sluice_state *state, const char *load_id,
                                         int32_t mode, struct sluice_error *err)
{
    return load_update(state, "UPDATE loads SET mode = ?2 WHERE load_id = ?1", "set mode", load_id,
                       mode, err);
}

sluice_status sluice_state_load_finish(struct sluice_state *state, const char *load_id,
                                       int64_t now_us, struct sluice_error *err)
{
    return load_update(state, "UPDATE loads SET finished_us = ?2 WHERE load_id = ?1", "finish load",
                       load_id, now_us, err);
}

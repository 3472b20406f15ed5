/* Streams of a load, and the stamps of their runs. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/limits.h"
#include "state/state_internal.h"

sluice_status sluice_state_stream_put(struct sluice_state *state, const char *load_id,
                                      const struct sluice_state_stream *stream,
                                      struct sluice_error *err)
{
    struct state_query query;
    if (stream->position_size > SLUICE_LIMIT_POSITION_BYTES) {
        return sluice_error_set(
            err, SLUICE_E_LIMIT, 0, "stream %s: a position of %llu bytes; at most %u are allowed",
            stream->stream, (unsigned long long)stream->position_size, SLUICE_LIMIT_POSITION_BYTES);
    }
    SLUICE_TRY(sluice_state_write_begin(state, "write stream", err));
    sluice_status status = sluice_query_begin(
        state,
        "INSERT OR REPLACE INTO streams (load_id, source, stream, sink, run, message, status, rows,"
        " bytes, started_us, finished_us, load_position, position)"
        " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
        "write stream", &query, err);
    if (status == SLUICE_OK) {
        sluice_query_text(&query, 1, load_id);
        sluice_query_text(&query, 2, stream->source);
        sluice_query_text(&query, 3, stream->stream);
        sluice_query_text(&query, 4, stream->sink);
        sluice_query_text(&query, 5, stream->run != NULL ? stream->run : "");
        sluice_query_message(&query, 6, stream->message);
        sluice_query_int(&query, 7, stream->status);
        sluice_query_int(&query, 8, stream->rows);
        sluice_query_int(&query, 9, stream->bytes);
        sluice_query_int(&query, 10, stream->started_us);
        sluice_query_int(&query, 11, stream->finished_us);
        sluice_query_text(&query, 12, stream->load_position);
        sluice_query_blob(&query, 13, stream->position, stream->position_size);
        status = sluice_query_run(&query, err);
    }
    return sluice_state_write_end(state, status, "write stream", err);
}

static void stream_read(struct state_query *query, struct sluice_state_stream *out)
{
    memset(out, 0, sizeof *out);
    out->source = sluice_query_column(query, 0);
    out->stream = sluice_query_column(query, 1);
    out->sink = sluice_query_column(query, 2);
    out->run = sluice_query_column(query, 3);
    out->message = sluice_query_column_or_null(query, 4);
    out->status = (int32_t)sqlite3_column_int64(query->stmt, 5);
    out->rows = sqlite3_column_int64(query->stmt, 6);
    out->bytes = sqlite3_column_int64(query->stmt, 7);
    out->started_us = sqlite3_column_int64(query->stmt, 8);
    out->finished_us = sqlite3_column_int64(query->stmt, 9);
    out->load_position = sluice_query_column_or_null(query, 10);
    out->position = sluice_query_column_blob(query, 11, &out->position_size);
}

sluice_status sluice_state_streams(struct sluice_state *state, const char *load_id,
                                   sluice_state_stream_visit visit, void *ctx,
                                   struct sluice_error *err)
{
    struct state_query query;
    sluice_state_read_begin(state);
    sluice_status status = sluice_query_begin(
        state,
        state->format < 2
            ? "SELECT source, stream, sink, run, message, status, rows, bytes, started_us,"
              " finished_us, load_position, NULL FROM streams WHERE load_id = ?1"
              " ORDER BY source, stream, sink"
            : "SELECT source, stream, sink, run, message, status, rows, bytes, started_us,"
              " finished_us, load_position, position FROM streams WHERE load_id = ?1"
              " ORDER BY source, stream, sink",
        "read streams", &query, err);
    if (status == SLUICE_OK) {
        sluice_query_text(&query, 1, load_id);
    }
    while (status == SLUICE_OK && (status = sluice_query_step(&query, err)) == SLUICE_OK) {
        struct sluice_state_stream stream;
        stream_read(&query, &stream);
        status = sluice_query_check(&query, err);
        if (status < 0 ||
            !sluice_visit_goes_on(visit(ctx, &stream), &status, "read streams", err)) {
            break;
        }
    }
    sluice_query_end(&query);
    sluice_state_read_end(state);
    return status == SLUICE_END ? SLUICE_OK : status;
}

/* ---- run stamps ---- */

/* Reads the last stamp given; *found = 0 when there is none. */
static sluice_status stamp_read(struct sluice_state *state, const char *stream, char base[24],
                                int64_t *n, struct sluice_error *err)
{
    struct state_query query;
    sluice_status status = sluice_query_begin(state, "SELECT base, n FROM stamps WHERE stream = ?1",
                                              "read stamp", &query, err);
    base[0] = '\0';
    *n = 0;
    if (status == SLUICE_OK) {
        sluice_query_text(&query, 1, stream);
        status = sluice_query_step(&query, err);
    }
    if (status == SLUICE_OK) {
        const char *text = sluice_query_column(&query, 0);
        size_t size = strlen(text);
        if (size < 24) {
            memcpy(base, text, size + 1);
        }
        *n = sqlite3_column_int64(query.stmt, 1);
        status = sluice_query_check(&query, err);
    }
    sluice_query_end(&query);
    return status < 0 ? status : SLUICE_OK;
}

static sluice_status stamp_write(struct sluice_state *state, const char *stream, const char *base,
                                 int64_t n, struct sluice_error *err)
{
    struct state_query query;
    SLUICE_TRY(sluice_query_begin(state,
                                  "INSERT OR REPLACE INTO stamps (stream, base, n)"
                                  " VALUES (?1, ?2, ?3)",
                                  "write stamp", &query, err));
    sluice_query_text(&query, 1, stream);
    sluice_query_text(&query, 2, base);
    sluice_query_int(&query, 3, n);
    return sluice_query_run(&query, err);
}

/* Stamps never go back, also when the clock does: the newest run must have the greatest one. */
static sluice_status stamp_next(struct sluice_state *state, const char *stream, int64_t now_us,
                                char out[40], struct sluice_error *err)
{
    char now[24];
    char last[24];
    int64_t n = 0;
    sluice_time_stamp(now_us, now);
    SLUICE_TRY(stamp_read(state, stream, last, &n, err));
    int later = strcmp(now, last) > 0;
    const char *base = later ? now : last;
    n = later || n < 1 || n > 1000000000 ? 1 : n + 1;
    SLUICE_TRY(stamp_write(state, stream, base, n, err));
    if (n == 1) {
        (void)snprintf(out, 40, "%s", base);
    }
    else {
        (void)snprintf(out, 40, "%s-%" PRId64, base, n);
    }
    return SLUICE_OK;
}

sluice_status sluice_state_run_stamp(struct sluice_state *state, const char *stream, int64_t now_us,
                                     char out[40], struct sluice_error *err)
{
    SLUICE_TRY(sluice_state_write_begin(state, "make run stamp", err));
    sluice_status status = stamp_next(state, stream, now_us, out, err);
    return sluice_state_write_end(state, status, "make run stamp", err);
}

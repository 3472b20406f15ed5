/* Versions of a stream's columns: a number for each, the same for ever. */
#include <string.h>

#include "state/state_internal.h"

/* *out = 0 when that version is new. */
static sluice_status version_find(struct sluice_state *state, const char *source,
                                  const char *stream, const char *fingerprint, uint64_t *out,
                                  struct sluice_error *err)
{
    struct state_query query;
    sluice_status status = sluice_query_begin(
        state, "SELECT id FROM versions WHERE source = ?1 AND stream = ?2 AND fingerprint = ?3",
        "read version", &query, err);
    *out = 0;
    if (status == SLUICE_OK) {
        sluice_query_text(&query, 1, source);
        sluice_query_text(&query, 2, stream);
        sluice_query_text(&query, 3, fingerprint);
        status = sluice_query_step(&query, err);
    }
    if (status == SLUICE_OK) {
        *out = (uint64_t)sqlite3_column_int64(query.stmt, 0);
    }
    sluice_query_end(&query);
    return status < 0 ? status : SLUICE_OK;
}

static sluice_status version_last(struct sluice_state *state, const char *source,
                                  const char *stream, uint64_t *out, struct sluice_error *err)
{
    struct state_query query;
    sluice_status status = sluice_query_begin(
        state, "SELECT coalesce(max(id), 0) FROM versions WHERE source = ?1 AND stream = ?2",
        "read version", &query, err);
    if (status == SLUICE_OK) {
        sluice_query_text(&query, 1, source);
        sluice_query_text(&query, 2, stream);
        status = sluice_query_step(&query, err);
    }
    if (status == SLUICE_OK) {
        *out = (uint64_t)sqlite3_column_int64(query.stmt, 0);
    }
    sluice_query_end(&query);
    return status < 0 ? status : SLUICE_OK;
}

static sluice_status version_add(struct sluice_state *state, const char *source, const char *stream,
                                 const char *fingerprint, uint64_t *out, struct sluice_error *err)
{
    struct state_query query;
    uint64_t last = 0;
    SLUICE_TRY(version_last(state, source, stream, &last, err));
    if (last >= INT64_MAX) {
        return sluice_error_set(err, SLUICE_E_DATA, SLUICE_ERROR_FATAL,
                                "state %s: version %llu of stream %s: the file is damaged",
                                state->path, (unsigned long long)last, stream);
    }
    SLUICE_TRY(sluice_query_begin(state,
                                  "INSERT INTO versions (source, stream, id, fingerprint)"
                                  " VALUES (?1, ?2, ?3, ?4)",
                                  "write version", &query, err));
    sluice_query_text(&query, 1, source);
    sluice_query_text(&query, 2, stream);
    sluice_query_int(&query, 3, (int64_t)(last + 1));
    sluice_query_text(&query, 4, fingerprint);
    SLUICE_TRY(sluice_query_run(&query, err));
    *out = last + 1;
    return SLUICE_OK;
}

sluice_status sluice_state_schema_id(struct sluice_state *state, const char *source,
                                     const char *stream, const char *fingerprint, uint64_t *out,
                                     struct sluice_error *err)
{
    uint64_t id = 0;
    if (strlen(fingerprint) > STATE_FINGERPRINT_MAX) {
        return sluice_error_set(err, SLUICE_E_LIMIT, 0,
                                "stream %s: the description of its columns is longer than %d bytes",
                                stream, STATE_FINGERPRINT_MAX);
    }
    SLUICE_TRY(sluice_state_write_begin(state, "write version", err));
    sluice_status status = version_find(state, source, stream, fingerprint, &id, err);
    if (status == SLUICE_OK && id == 0) {
        status = version_add(state, source, stream, fingerprint, &id, err);
    }
    status = sluice_state_write_end(state, status, "write version", err);
    if (status == SLUICE_OK) {
        *out = id;
    }
    return status;
}

static sluice_status fingerprint_last(struct sluice_state *state, const char *source,
                                      const char *stream, struct sluice_str *out,
                                      struct sluice_error *err)
{
    struct state_query query;
    sluice_status status =
        sluice_query_begin(state,
                           "SELECT fingerprint FROM versions WHERE source = ?1 AND stream = ?2"
                           " ORDER BY id DESC LIMIT 1",
                           "read version", &query, err);
    if (status == SLUICE_OK) {
        sluice_query_text(&query, 1, source);
        sluice_query_text(&query, 2, stream);
        status = sluice_query_step(&query, err);
    }
    if (status == SLUICE_OK) {
        sluice_str_append(out, sluice_query_column(&query, 0));
        status = sluice_query_check(&query, err);
    }
    sluice_query_end(&query);
    return status < 0 ? status : SLUICE_OK;
}

sluice_status sluice_state_schema_look(struct sluice_state *state, const char *source,
                                       const char *stream, const char *fingerprint, uint64_t *known,
                                       char **latest, struct sluice_error *err)
{
    struct sluice_str text = SLUICE_STR_INIT;
    *latest = NULL;
    sluice_state_read_begin(state);
    sluice_status status = version_find(state, source, stream, fingerprint, known, err);
    if (status == SLUICE_OK) {
        status = fingerprint_last(state, source, stream, &text, err);
    }
    sluice_state_read_end(state);
    if (status == SLUICE_OK && text.failed) {
        status = sluice_error_set(err, SLUICE_E_NOMEM, 0, "state %s: out of memory", state->path);
    }
    if (status == SLUICE_OK && text.size > 0) {
        *latest = sluice_str_steal(&text);
    }
    sluice_str_free(&text);
    return status;
}

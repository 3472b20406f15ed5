/* Forgetting on request, so that tables are read again. */
#include <string.h>

#include "state/state_internal.h"

/* ?1 and ?2 are bound where they are given. */
static sluice_status forget(struct sluice_state *state, const char *sql, const char *load_id,
                            const char *stream, struct sluice_error *err)
{
    struct state_query query;
    SLUICE_TRY(sluice_query_begin(state, sql, "reset", &query, err));
    if (load_id != NULL) {
        sluice_query_text(&query, 1, load_id);
    }
    if (stream != NULL) {
        sluice_query_text(&query, 2, stream);
    }
    return sluice_query_run(&query, err);
}

static sluice_status stream_forget(struct sluice_state *state, const char *load_id,
                                   const char *stream, struct sluice_error *err)
{
    SLUICE_TRY(forget(state, "DELETE FROM streams WHERE load_id = ?1 AND stream = ?2", load_id,
                      stream, err));
    if (sqlite3_changes(state->db) == 0) {
        return sluice_error_set(err, SLUICE_E_NOT_FOUND, 0,
                                "the unfinished load %s of pipeline %s has no stream %s", load_id,
                                state->pipeline, stream);
    }
    return SLUICE_OK;
}

static sluice_status load_forget(struct sluice_state *state, const char *load_id,
                                 struct sluice_error *err)
{
    SLUICE_TRY(forget(state, "DELETE FROM streams WHERE load_id = ?1", load_id, NULL, err));
    SLUICE_TRY(forget(state, "DELETE FROM lanes WHERE load_id = ?1", load_id, NULL, err));
    return forget(state, "DELETE FROM loads WHERE load_id = ?1", load_id, NULL, err);
}

/* Epochs stay: a sink never sees one twice, and what it says up to them is known to be void.
 * *voided = how many positions were forgotten. */
static sluice_status feeds_void(struct sluice_state *state, int *voided, struct sluice_error *err)
{
    SLUICE_TRY(forget(
        state, "UPDATE feeds SET position = x'', void_epoch = epoch WHERE length(position) > 0",
        NULL, NULL, err));
    *voided = sqlite3_changes(state->db);
    return SLUICE_OK;
}

/* The next run begins from the source as it is then. What was made there stays known: retire drops
 * it, and a run that finds its own slot goes on using it. */
static sluice_status all_forget(struct sluice_state *state, const struct sluice_state_load *load,
                                struct sluice_error *err)
{
    int voided = 0;
    SLUICE_TRY(feeds_void(state, &voided, err));
    if (load == NULL && voided == 0) {
        return sluice_error_set(err, SLUICE_E_NOT_FOUND, 0,
                                "pipeline %s has no unfinished load: the next run begins a new one "
                                "anyway",
                                state->pipeline);
    }
    SLUICE_TRY(forget(state, "DELETE FROM identities", NULL, NULL, err));
    return load != NULL ? load_forget(state, load->load_id, err) : SLUICE_OK;
}

static sluice_status reset(struct sluice_state *state, const char *stream, struct sluice_error *err)
{
    struct sluice_state_load load;
    sluice_status status = sluice_state_load_last(state, &load, err);
    if (status < 0 && (status != SLUICE_E_NOT_FOUND || stream != NULL)) {
        return status;
    }
    int unfinished = status == SLUICE_OK && load.finished_us == 0;
    if (stream == NULL) {
        return all_forget(state, unfinished ? &load : NULL, err);
    }
    if (!unfinished) {
        return sluice_error_set(err, SLUICE_E_NOT_FOUND, 0,
                                "pipeline %s has no unfinished load: the next run begins a new one "
                                "anyway",
                                state->pipeline);
    }
    return stream_forget(state, load.load_id, stream, err);
}

sluice_status sluice_state_reset(struct sluice_state *state, const char *stream_or_null,
                                 struct sluice_error *err)
{
    SLUICE_TRY(sluice_state_write_begin(state, "reset", err));
    return sluice_state_write_end(state, reset(state, stream_or_null, err), "reset", err);
}

/* What is known of each source: which server it was, and what the pipeline has made there. */
#include "base/alloc.h"
#include "state/state_internal.h"

/* One text of a source; `what` names it in errors. */
static sluice_status text_get(struct sluice_state *state, const char *sql, const char *what,
                              const char *source, char **out, struct sluice_error *err)
{
    struct state_query query;
    sluice_state_read_begin(state);
    sluice_status status = sluice_query_begin(state, sql, what, &query, err);
    if (status == SLUICE_OK) {
        sluice_query_text(&query, 1, source);
        status = sluice_query_step(&query, err);
    }
    if (status == SLUICE_OK) {
        char *copy = sluice_alloc_string(sluice_query_column(&query, 0));
        status = sluice_query_check(&query, err);
        if (status == SLUICE_OK && copy == NULL) {
            status = sluice_error_set(err, SLUICE_E_NOMEM, 0, "state: out of memory");
        }
        if (status == SLUICE_OK) {
            *out = copy;
        }
        else {
            sluice_free(copy);
        }
    }
    else if (status == SLUICE_END) {
        status = sluice_error_set(err, SLUICE_E_NOT_FOUND, 0, "%s: nothing is stored of source %s",
                                  what, source);
    }
    sluice_query_end(&query);
    sluice_state_read_end(state);
    return status;
}

/* ?1 = source, ?2 = text where the statement has one. */
static sluice_status text_write(struct sluice_state *state, const char *sql, const char *what,
                                const char *source, const char *text, struct sluice_error *err)
{
    struct state_query query;
    SLUICE_TRY(sluice_state_write_begin(state, what, err));
    sluice_status status = sluice_query_begin(state, sql, what, &query, err);
    if (status == SLUICE_OK) {
        sluice_query_text(&query, 1, source);
        if (text != NULL) {
            sluice_query_text(&query, 2, text);
        }
        status = sluice_query_run(&query, err);
    }
    return sluice_state_write_end(state, status, what, err);
}

sluice_status sluice_state_identity_get(struct sluice_state *state, const char *source, char **out,
                                        struct sluice_error *err)
{
    return text_get(state, "SELECT identity FROM identities WHERE source = ?1", "read identity",
                    source, out, err);
}

sluice_status sluice_state_identity_put(struct sluice_state *state, const char *source,
                                        const char *identity, struct sluice_error *err)
{
    return text_write(state, "INSERT OR REPLACE INTO identities (source, identity) VALUES (?1, ?2)",
                      "write identity", source, identity, err);
}

sluice_status sluice_state_created_get(struct sluice_state *state, const char *source, char **out,
                                       struct sluice_error *err)
{
    if (state->format < 2) {
        return sluice_error_set(err, SLUICE_E_NOT_FOUND, 0, "nothing was made at source %s",
                                source);
    }
    return text_get(state, "SELECT created FROM created WHERE source = ?1", "read created", source,
                    out, err);
}

sluice_status sluice_state_created_put(struct sluice_state *state, const char *source,
                                       const char *created, struct sluice_error *err)
{
    if (created == NULL || created[0] == '\0') {
        return text_write(state, "DELETE FROM created WHERE source = ?1", "write created", source,
                          NULL, err);
    }
    return text_write(state, "INSERT OR REPLACE INTO created (source, created) VALUES (?1, ?2)",
                      "write created", source, created, err);
}

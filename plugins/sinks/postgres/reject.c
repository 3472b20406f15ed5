/* Rows that the target refuses: the policy, and the letters' writing. */
#include "reject.h"

#include <stdio.h>
#include <string.h>

int sluice_pgsink_is_row_error(const struct sluice_error *err)
{
    static const char *const states[] = {"22",    "23502", "23503", "23505", "23514",
                                         "23P01", "P0001", "44000", "54000"};
    if ((err->flags & SLUICE_ERROR_ROW_LEVEL) != 0) {
        return 1;
    }
    for (size_t i = 0; i < sizeof states / sizeof states[0]; i++) {
        if (strncmp(err->sqlstate, states[i], strlen(states[i])) == 0) {
            return 1;
        }
    }
    return 0;
}

static sluice_status put_letter(struct sluice_sink *sink, struct sluice_pg_conn *conn,
                                const struct sluice_pgsink_refused *r, const char *sqlstate,
                                const char *message, struct sluice_error *err)
{
    struct sluice_pg_text sql = {0};
    PGresult *result = NULL;
    char op[2] = {r->op, '\0'};
    char epoch[24];
    char seq[24];
    struct sluice_apply_buffer how = {0};
    sluice_apply_letter_how(r->write, &how);
    (void)snprintf(epoch, sizeof epoch, "%llu", (unsigned long long)r->epoch);
    (void)snprintf(seq, sizeof seq, "%lld", (long long)r->seq);
    const char *const params[] = {sink->pipeline,
                                  sink->node,
                                  r->stream,
                                  r->target,
                                  r->shard,
                                  r->run,
                                  r->epoch > 0 ? epoch : NULL,
                                  op,
                                  r->position,
                                  r->position != NULL ? seq : NULL,
                                  sqlstate[0] != '\0' ? sqlstate : NULL,
                                  message,
                                  r->key,
                                  r->row,
                                  (const char *)how.data};
    sluice_pg_text_format(
        &sql,
        "INSERT INTO %s.letters (pipeline, sink, stream, target, shard, run, epoch, op, position, "
        "seq, sqlstate, error, key, row, how) VALUES ($1, $2, $3, $4, $5, $6, $7::bigint, $8, $9, "
        "$10::bigint, $11, $12, $13::json, $14::json, $15)",
        sink->state);
    sluice_status status =
        how.failed ? sluice_error_set(err, SLUICE_E_NOMEM, SLUICE_ERROR_FATAL, "out of memory")
                   : sluice_pg_text_check(&sql, err);
    if (status >= 0) {
        status = sluice_pg_query(conn, "keep a dead letter", sql.data, 15, params, &result, err);
    }
    PQclear(result);
    sluice_pg_text_free(&sql);
    sluice_apply_buffer_free(&how);
    return status;
}

sluice_status sluice_pgsink_refuse(struct sluice_sink *sink, struct sluice_pg_conn *conn,
                                   const struct sluice_pgsink_refused *refused,
                                   struct sluice_error *err)
{
    struct sluice_error why;
    const sluice_status status = sluice_apply_refuse(&sink->tallies, refused->open, &why, err);
    return status == SLUICE_AGAIN ? put_letter(sink, conn, refused, why.sqlstate, why.message, err)
                                  : status;
}

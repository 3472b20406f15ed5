/*
 * A batch of statements sent without waiting for each answer (libpq's pipeline mode). Each statement has a tag,
 * so that the first one that fails can be named. Statements that must have met something fail by
 * themselves (1 / count(*)), so that a whole transaction goes in one round trip. [lane]
 */
#ifndef SLUICE_PGSINK_PIPE_H
#define SLUICE_PGSINK_PIPE_H

#include "sink.h"

/* Tags below 0 are not of a change. */
enum {
    SLUICE_PGSINK_TAG_OTHER = -1,
    SLUICE_PGSINK_TAG_ADVANCE = -2,
    SLUICE_PGSINK_TAG_COMMIT = -3
};

struct sluice_pgsink_pipe {
    struct sluice_pg_conn *conn;
    int64_t *tags; /* of the statements that are on their way */
    size_t count;
    size_t cap;
    int64_t failed; /* tag of the first that failed, after sync */
    int sent_commit;
};

struct sluice_pgsink_param {
    uint32_t oid; /* declared type; 0 = let the server infer it */
    int32_t size; /* -1 = NULL */
    const uint8_t *data;
    int binary;
};

sluice_status sluice_pgsink_pipe_begin(struct sluice_pgsink_pipe *pipe, struct sluice_pg_conn *conn,
                                       struct sluice_error *err);
sluice_status sluice_pgsink_pipe_prepare(struct sluice_pgsink_pipe *pipe, const char *name,
                                         const char *sql, int count, const Oid *types,
                                         struct sluice_error *err);
/* `name` of a prepared statement. */
sluice_status sluice_pgsink_pipe_run(struct sluice_pgsink_pipe *pipe, const char *name, int count,
                                     const char *const *values, const int *sizes,
                                     const int *formats, int64_t tag, struct sluice_error *err);
/* A statement of its own; parameters are text. */
sluice_status sluice_pgsink_pipe_text(struct sluice_pgsink_pipe *pipe, const char *sql, int count,
                                      const char *const *values, int64_t tag,
                                      struct sluice_error *err);
/* Waits for all answers. The first error is answered; `failed` says of which. What came behind it was not
 * run. The connection is out of pipeline mode afterwards, unless it broke. */
sluice_status sluice_pgsink_pipe_end(struct sluice_pgsink_pipe *pipe, const char *what,
                                     struct sluice_error *err);
void sluice_pgsink_pipe_free(struct sluice_pgsink_pipe *pipe);

#endif /* SLUICE_PGSINK_PIPE_H */

/*
 * Loads: stream_begin, lanes and stream_end of full loads.
 *
 * Rows of a load go into the target itself when it is empty, new, or ours to empty; else into a shadow
 * table beside it, which takes its place, or is added to it, at stream_end in one transaction. What an
 * abandoned run left is emptied or dropped when the next one begins: streams row `loading`.
 */
#ifndef SLUICE_PGSINK_LOAD_H
#define SLUICE_PGSINK_LOAD_H

#include "table.h"

/* stream_begin with BEGIN_LOAD: `stream` is registered already. [ctl] */
sluice_status sluice_pgsink_load_begin(struct sluice_sink *sink,
                                       struct sluice_pgsink_stream *stream,
                                       struct sluice_error *err);
sluice_status sluice_pgsink_load_end(struct sluice_sink *sink, struct sluice_pgsink_stream *stream,
                                     const struct sluice_stream_end *end, struct sluice_error *err);

/* For plan: what becomes of the rows that an existing table has, as one statement or the reason of a refusal
 * (severity ERROR); nothing if it is empty. [ctl] */
sluice_status sluice_pgsink_load_describe(struct sluice_sink *sink, struct sluice_pg_conn *conn,
                                          const struct sluice_pgsink_stream *stream,
                                          int32_t *severity, struct sluice_pg_text *out,
                                          struct sluice_error *err);

struct sluice_pgsink_load_lane;
sluice_status sluice_pgsink_load_open(struct sluice_sink *sink,
                                      const struct sluice_shard_desc *shard,
                                      struct sluice_pgsink_load_lane **out,
                                      struct sluice_error *err);
sluice_status sluice_pgsink_load_write(struct sluice_pgsink_load_lane *lane,
                                       struct sluice_batch *batch, struct sluice_error *err);
sluice_status sluice_pgsink_load_commit(struct sluice_pgsink_load_lane *lane,
                                        const struct sluice_commit *commit,
                                        struct sluice_error *err);
void sluice_pgsink_load_abort(struct sluice_pgsink_load_lane *lane);
void sluice_pgsink_load_close(struct sluice_pgsink_load_lane *lane);

#endif /* SLUICE_PGSINK_LOAD_H */

/*
 * Loads: stream_begin, lanes and stream_end of full loads.
 *
 * Rows of a load go into the target itself when it is new, empty, or ours to empty; else into a shadow table beside it,
 * whose rows take the place of the target's, or are added to them, at stream_end in one transaction. What an abandoned
 * run left is emptied or dropped when the next one begins: streams row `loading`.
 */
#ifndef SLUICE_MSSINK_LOAD_H
#define SLUICE_MSSINK_LOAD_H

#include "table.h"

sluice_status mssink_load_begin(struct sluice_sink *sink, struct mssink_stream *stream,
                                struct sluice_error *err);
sluice_status mssink_load_end(struct sluice_sink *sink, struct mssink_stream *stream,
                              const struct sluice_stream_end *end, struct sluice_error *err);
/* Makes the table of a stream that is followed, with its key, and notes it. */
sluice_status mssink_make_now(struct sluice_sink *sink, struct sluice_tds_conn *conn,
                              const struct mssink_stream *stream, const struct mssink_ddl *ddl,
                              struct sluice_error *err);

struct mssink_load_lane;
sluice_status mssink_load_open(struct sluice_sink *sink, const struct sluice_shard_desc *shard,
                               struct mssink_load_lane **out, struct sluice_error *err);
sluice_status mssink_load_write(struct mssink_load_lane *lane, struct sluice_batch *batch,
                                struct sluice_error *err);
sluice_status mssink_load_commit(struct mssink_load_lane *lane, const struct sluice_commit *commit,
                                 struct sluice_error *err);
void mssink_load_abort(struct mssink_load_lane *lane);
void mssink_load_close(struct mssink_load_lane *lane);

#endif /* SLUICE_MSSINK_LOAD_H */

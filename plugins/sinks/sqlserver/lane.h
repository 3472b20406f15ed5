/*
 * Lanes: of a load, or of changes.
 */
#ifndef SLUICE_MSSINK_LANE_H
#define SLUICE_MSSINK_LANE_H

#include "sink.h"

sluice_status mssink_lane_open(struct sluice_sink *sink, const struct sluice_shard_desc *shard,
                               struct sluice_lane **out, struct sluice_error *err);
sluice_status mssink_lane_write(struct sluice_lane *lane, struct sluice_batch *batch,
                                struct sluice_error *err);
sluice_status mssink_lane_commit(struct sluice_lane *lane, const struct sluice_commit *commit,
                                 struct sluice_error *err);
void mssink_lane_abort(struct sluice_lane *lane);
void mssink_lane_close(struct sluice_lane *lane);

#endif /* SLUICE_MSSINK_LANE_H */

/* A lane is of a load or of changes, by its shard's kind. */
#include "lane.h"

#include <stdlib.h>

#include "changes.h"
#include "load.h"

struct sluice_lane {
    struct mssink_load_lane *load;
    struct mssink_changes *changes;
};

sluice_status mssink_lane_open(struct sluice_sink *sink, const struct sluice_shard_desc *shard,
                               struct sluice_lane **out, struct sluice_error *err)
{
    struct sluice_lane *lane = calloc(1, sizeof *lane);
    if (lane == NULL) {
        return sluice_error_set(err, SLUICE_E_NOMEM, 0, "out of memory for a lane");
    }
    const sluice_status status = shard->kind == SLUICE_SHARD_CHANGES
                                     ? mssink_changes_open(sink, shard, &lane->changes, err)
                                     : mssink_load_open(sink, shard, &lane->load, err);
    if (status < 0) {
        free(lane);
        return status;
    }
    *out = lane;
    return SLUICE_OK;
}

sluice_status mssink_lane_write(struct sluice_lane *lane, struct sluice_batch *batch,
                                struct sluice_error *err)
{
    return lane->load != NULL ? mssink_load_write(lane->load, batch, err)
                              : mssink_changes_write(lane->changes, batch, err);
}

sluice_status mssink_lane_commit(struct sluice_lane *lane, const struct sluice_commit *commit,
                                 struct sluice_error *err)
{
    return lane->load != NULL ? mssink_load_commit(lane->load, commit, err)
                              : mssink_changes_commit(lane->changes, commit, err);
}

void mssink_lane_abort(struct sluice_lane *lane)
{
    if (lane->load != NULL) {
        mssink_load_abort(lane->load);
    }
    else {
        mssink_changes_abort(lane->changes);
    }
}

void mssink_lane_close(struct sluice_lane *lane)
{
    if (lane != NULL) {
        mssink_load_close(lane->load);
        mssink_changes_close(lane->changes);
        free(lane);
    }
}

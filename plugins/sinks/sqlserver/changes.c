#include "changes.h"

static sluice_status none(struct sluice_error *err)
{
    return sluice_error_set(err, SLUICE_E_UNSUPPORTED, SLUICE_ERROR_FATAL,
                            "changes are not written yet");
}

sluice_status mssink_changes_open(struct sluice_sink *sink, const struct sluice_shard_desc *shard,
                                  struct mssink_changes **out, struct sluice_error *err)
{
    (void)sink;
    (void)shard;
    (void)out;
    return none(err);
}

sluice_status mssink_changes_write(struct mssink_changes *lane, struct sluice_batch *batch,
                                   struct sluice_error *err)
{
    (void)lane;
    (void)batch;
    return none(err);
}

sluice_status mssink_changes_commit(struct mssink_changes *lane, const struct sluice_commit *commit,
                                    struct sluice_error *err)
{
    (void)lane;
    (void)commit;
    return none(err);
}

void mssink_changes_abort(struct mssink_changes *lane)
{
    (void)lane;
}

void mssink_changes_close(struct mssink_changes *lane)
{
    (void)lane;
}

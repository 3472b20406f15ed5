/* A reader is a load's or the feed's. */
#include <stdlib.h>

#include "feed.h"
#include "setup.h"

struct sluice_reader {
    struct ms_load *load;
    struct ms_feed *feed;
};

sluice_status ms_any_open(struct sluice_source *src, const struct sluice_shard_desc *shard,
                          struct sluice_bytes resume, struct sluice_reader **out,
                          struct sluice_error *err)
{
    struct sluice_reader *rd = calloc(1, sizeof *rd);
    if (rd == NULL) {
        return sluice_error_set(err, SLUICE_E_NOMEM, 0, "out of memory for a reader");
    }
    const sluice_status status = shard->kind == SLUICE_SHARD_CHANGES
                                     ? ms_feed_open(src, shard, resume, &rd->feed, err)
                                     : ms_load_open(src, shard, resume, &rd->load, err);
    if (status < 0) {
        free(rd);
        return status;
    }
    *out = rd;
    return SLUICE_OK;
}

sluice_status ms_any_next(struct sluice_reader *rd, int64_t timeout_us, struct sluice_batch *out,
                          struct sluice_error *err)
{
    return rd->feed != NULL ? ms_feed_next(rd->feed, timeout_us, out, err)
                            : ms_load_next(rd->load, timeout_us, out, err);
}

void ms_any_close(struct sluice_reader *rd)
{
    if (rd != NULL) {
        ms_feed_close(rd->feed);
        ms_load_close(rd->load);
        free(rd);
    }
}

sluice_status ms_any_shards(struct sluice_source *src, sluice_shard_visit visit, void *vctx,
                            struct sluice_error *err)
{
    SLUICE_TRY(ms_shards(src, visit, vctx, err));
    return ms_setup_shard(src, visit, vctx);
}

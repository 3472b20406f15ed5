/* A reader is a load's or the feed's. */
#include <stdlib.h>

#include "source.h"

struct sluice_reader {
    struct ms_load *load;
};

sluice_status ms_any_open(struct sluice_source *src, const struct sluice_shard_desc *shard,
                          struct sluice_bytes resume, struct sluice_reader **out,
                          struct sluice_error *err)
{
    struct sluice_reader *rd = calloc(1, sizeof *rd);
    if (rd == NULL) {
        return sluice_error_set(err, SLUICE_E_NOMEM, 0, "out of memory for a reader");
    }
    const sluice_status status = ms_load_open(src, shard, resume, &rd->load, err);
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
    return ms_load_next(rd->load, timeout_us, out, err);
}

void ms_any_close(struct sluice_reader *rd)
{
    if (rd != NULL) {
        ms_load_close(rd->load);
        free(rd);
    }
}

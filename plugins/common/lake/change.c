/* Change encoders of either shape. */
#include "lake/change.h"

#include <stdlib.h>

struct sluice_lake_change_encoder {
    const struct sluice_lake_change_shape *shape;
    void *enc;
};

sluice_status sluice_lake_change_encoder_create(const struct sluice_stream_desc *desc,
                                                const struct sluice_lake_change_options *options,
                                                struct sluice_lake_change_encoder **out,
                                                struct sluice_error *err)
{
    const int32_t debezium = options->shape == SLUICE_LAKE_CHANGES_DEBEZIUM;
    if (debezium && options->format == SLUICE_LAKE_CSV) {
        return sluice_error_set(err, SLUICE_E_INVALID, 0,
                                "changes: debezium is for format jsonl; with csv use changes: "
                                "columns");
    }
    struct sluice_lake_change_encoder *enc = calloc(1, sizeof *enc);
    if (enc == NULL) {
        return sluice_error_set(err, SLUICE_E_NOMEM, 0, "no memory for an encoder");
    }
    enc->shape = debezium ? &sluice_lake_change_debezium : &sluice_lake_change_columns;
    sluice_status st = enc->shape->create(desc, options, &enc->enc, err);
    if (st < 0) {
        free(enc);
        return st;
    }
    *out = enc;
    return SLUICE_OK;
}

void sluice_lake_change_encoder_free(struct sluice_lake_change_encoder *enc)
{
    if (enc != NULL) {
        enc->shape->free(enc->enc);
        free(enc);
    }
}

void sluice_lake_change_encoder_load(struct sluice_lake_change_encoder *enc,
                                     struct sluice_bytes position, int64_t time_us)
{
    enc->shape->load(enc->enc, position, time_us);
}

void sluice_lake_change_encoder_begin(struct sluice_lake_change_encoder *enc,
                                      struct sluice_lake_out *out)
{
    enc->shape->begin(enc->enc, out);
}

sluice_status sluice_lake_change_encoder_bind(struct sluice_lake_change_encoder *enc,
                                              const struct sluice_batch *batch,
                                              struct sluice_error *err)
{
    return enc->shape->bind(enc->enc, batch, err);
}

int64_t sluice_lake_change_encoder_rows(struct sluice_lake_change_encoder *enc, int64_t from,
                                        int64_t to, struct sluice_lake_out *out)
{
    return enc->shape->rows(enc->enc, from, to, out);
}

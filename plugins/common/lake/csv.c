/* Cells of CSV that are not of fixed width. */
#include "lake/cells.h"
#include "lake/escape.h"

enum {
    SHORT_TEXT = 64 /* up to here cell->bound has room, and the text is copied as it is read */
};

/* A value as COPY quotes it: also the empty one, which would read as NULL, and \. where it would
 * stand alone on its line and read as the end of the data. */
static uint8_t *put_field(struct sluice_lake_encoder *enc, uint8_t *p, const uint8_t *s, size_t n)
{
    int32_t quoted = n == 0 || (enc->cell_count == 1 && n == 2 && s[0] == '\\' && s[1] == '.');
    if (n <= SHORT_TEXT && !quoted && sluice_lake_csv_copy_clean(p, s, n)) {
        return p + n;
    }
    if (quoted || sluice_lake_csv_special(s, n)) {
        return sluice_lake_csv_quoted(enc->out, p, s, n);
    }
    return sluice_lake_out_bytes(enc->out, p, s, n);
}

static uint8_t *csv_text(struct sluice_lake_encoder *enc, const struct sluice_lake_cell *cell,
                         int64_t row, uint8_t *p)
{
    struct sluice_bytes b = sluice_lake_cell_bytes(cell->view, row);
    return put_field(enc, p, b.data, b.size);
}

static uint8_t *put_binary(struct sluice_lake_encoder *enc, uint8_t *p, const uint8_t *s, size_t n)
{
    p = sluice_lake_out_room(enc->out, p, 2);
    *p++ = '\\';
    *p++ = 'x';
    return sluice_lake_put_hex(enc->out, p, s, n);
}

static uint8_t *csv_binary(struct sluice_lake_encoder *enc, const struct sluice_lake_cell *cell,
                           int64_t row, uint8_t *p)
{
    struct sluice_bytes b = sluice_lake_cell_bytes(cell->view, row);
    return put_binary(enc, p, b.data, b.size);
}

static uint8_t *csv_fixed_binary(struct sluice_lake_encoder *enc,
                                 const struct sluice_lake_cell *cell, int64_t row, uint8_t *p)
{
    return put_binary(enc, p, sluice_view_fixed(cell->view, row), (uint64_t)cell->view->type.width);
}

/* Arrow lists and structs have no CSV form of their own: JSON text in a field. */
static uint8_t *csv_nested(struct sluice_lake_encoder *enc, const struct sluice_lake_cell *cell,
                           int64_t row, uint8_t *p)
{
    struct sluice_lake_out *out = enc->out;
    enc->side.err = out->err;
    enc->side.status = SLUICE_OK;
    enc->side_size = 0;
    enc->out = &enc->side;
    uint8_t *end = sluice_lake_json_nested(enc, cell, row, enc->side.base);
    sluice_lake_out_flush(&enc->side, end);
    enc->out = out;
    if (enc->side.status < 0) {
        sluice_lake_out_fail(out, enc->side.status);
        return p;
    }
    return put_field(enc, p, enc->side_data, enc->side_size);
}

sluice_status sluice_lake_csv_cell(struct sluice_lake_encoder *enc, const struct ArrowSchema *field,
                                   struct sluice_lake_cell *cell, struct sluice_error *err)
{
    struct sluice_type type;
    int32_t found = 0;
    SLUICE_TRY(sluice_type_parse(field->format, &type, err));
    SLUICE_TRY(sluice_lake_fixed_cell(field, &type, SLUICE_LAKE_CSV, cell, &found, err));
    if (found) {
        return SLUICE_OK;
    }
    cell->bound = SHORT_TEXT + 16;
    switch (type.id) {
    case SLUICE_TYPE_UTF8:
    case SLUICE_TYPE_LARGE_UTF8:
        cell->fn = csv_text;
        return SLUICE_OK;
    case SLUICE_TYPE_BINARY:
    case SLUICE_TYPE_LARGE_BINARY:
        cell->fn = csv_binary;
        return SLUICE_OK;
    case SLUICE_TYPE_FIXED_BINARY:
        cell->fn = csv_fixed_binary;
        return SLUICE_OK;
    case SLUICE_TYPE_LIST:
    case SLUICE_TYPE_STRUCT:
        SLUICE_TRY(sluice_lake_json_cell(enc, field, cell, 0, err));
        cell->fn = csv_nested;
        cell->bound = SHORT_TEXT + 16;
        return SLUICE_OK;
    default:
        return sluice_error_set(err, SLUICE_E_UNSUPPORTED, 0, "type %s cannot be written as CSV",
                                field->format);
    }
}

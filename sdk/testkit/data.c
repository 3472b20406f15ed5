/* Made-up tables and batches of them. Values follow from the row number, so that two batches of the
 * same rows are equal. */
#include <stdio.h>

#include "testkit.h"

struct column_def {
    const char *name;
    const char *format;
    int32_t nullable;
};

static const struct column_def columns[] = {
    {"id", "l", 0},     {"flag", "b", 1},         {"small", "s", 1},       {"number", "i", 1},
    {"ratio", "g", 1},  {"price", "d:12,2", 1},   {"note", "u", 1},        {"blob", "z", 1},
    {"day", "tdD", 1},  {"at", "tsu:UTC", 1},     {"local_at", "tsu:", 1}, {"clock", "ttu", 1},
    {"single", "f", 1}, {"big", "d:60,3,256", 1}, {"span", "tin", 1},      {"uuid", "w:16", 1},
};
#define COLUMN_COUNT ((int64_t)(sizeof columns / sizeof columns[0]))
#define NOTE 6

void sluice_testkit_table_free(struct sluice_testkit_table *table)
{
    sluice_schema_release(&table->schema);
    sluice_schema_release(&table->envelope);
}

sluice_status sluice_testkit_table_init(struct sluice_testkit_table *table, int32_t before,
                                        struct sluice_error *err)
{
    memset(table, 0, sizeof *table);
    SLUICE_TRY(sluice_schema_init(&table->schema, COLUMN_COUNT, err));
    sluice_status st = SLUICE_OK;
    for (int64_t i = 0; i < COLUMN_COUNT && st >= 0; i++) {
        struct sluice_type type;
        st = sluice_type_parse(columns[i].format, &type, err);
        if (st >= 0) {
            st = sluice_schema_set(&table->schema, i, columns[i].name, &type, columns[i].nullable,
                                   NULL, 0, err);
        }
    }
    table->parts[0] = "public";
    table->parts[1] = "testkit";
    table->desc = (struct sluice_stream_desc){
        .struct_size = (uint32_t)sizeof table->desc,
        .kind = SLUICE_STREAM_TABLE,
        .flags = SLUICE_STREAM_CAN_CHANGES,
        .before = before,
        .stream_id = 1,
        .schema_id = 1,
        .name = "public.testkit",
        .part_count = 2,
        .key_count = 1,
        .parts = table->parts,
        .keys = table->keys,
        .schema = &table->schema,
        .rows_estimate = -1,
        .bytes_estimate = -1,
    };
    if (st >= 0) {
        st = sluice_schema_envelope(&table->desc, &table->envelope, err);
    }
    if (st < 0) {
        sluice_testkit_table_free(table);
    }
    return st;
}

static sluice_status put_text(struct sluice_column *c, int64_t row, struct sluice_error *err)
{
    static const char *const odd[] = {"",
                                      "plain",
                                      "quo\"te, comma",
                                      "line\nbreak\ttab",
                                      "\xe6\x97\xa5\xe6\x9c\xac \xf0\x9f\x98\x80",
                                      "back\\slash"};
    char text[64];
    int n = snprintf(text, sizeof text, "%s %lld", odd[row % 6], (long long)row);
    return sluice_column_put_bytes(c, text, row % 6 == 0 ? 0 : (uint64_t)n, err);
}

/* One value of a nullable column. */
static sluice_status put_value(struct sluice_column *c, int64_t column, int64_t row,
                               struct sluice_error *err)
{
    int64_t v = row * 7919 + column * 104729;
    uint8_t wide[32];
    switch (c->type.id) {
    case SLUICE_TYPE_BOOL:
        sluice_column_put_bool(c, (int32_t)(v & 1));
        return SLUICE_OK;
    case SLUICE_TYPE_INT16:
        sluice_column_put_i16(c, (int16_t)v);
        return SLUICE_OK;
    case SLUICE_TYPE_INT32:
        sluice_column_put_i32(c, (int32_t)v);
        return SLUICE_OK;
    case SLUICE_TYPE_DATE32:
        sluice_column_put_i32(c, (int32_t)(v % 30000));
        return SLUICE_OK;
    case SLUICE_TYPE_FLOAT32:
        sluice_column_put_f32(c, (float)(v % 100000) / 8.0f);
        return SLUICE_OK;
    case SLUICE_TYPE_FLOAT64:
        sluice_column_put_f64(c, (double)v / 16.0);
        return SLUICE_OK;
    case SLUICE_TYPE_TIME64_US:
        sluice_column_put_i64(c, v * 1000 % 86400000000);
        return SLUICE_OK;
    case SLUICE_TYPE_UTF8:
        return put_text(c, row, err);
    case SLUICE_TYPE_BINARY:
        return sluice_column_put_bytes(c, &v, (uint64_t)(row % 9), err);
    case SLUICE_TYPE_INTERVAL:
        sluice_column_put_interval(c, (int32_t)(v % 100), (int32_t)(v % 28), v);
        return SLUICE_OK;
    case SLUICE_TYPE_DECIMAL128:
    case SLUICE_TYPE_DECIMAL256:
    case SLUICE_TYPE_FIXED_BINARY: {
        int64_t value = v % 999999999;
        value = row % 2 == 0 ? value : -value;
        memset(wide, value < 0 ? 0xff : 0, sizeof wide);
        memcpy(wide, &value, 8);
        sluice_column_put_fixed(c, wide);
        return SLUICE_OK;
    }
    default:
        sluice_column_put_i64(c, v * 1000003);
        return SLUICE_OK;
    }
}

static sluice_status put_row(struct sluice_column *to, int64_t row, int32_t note_unchanged,
                             struct sluice_error *err)
{
    for (int64_t i = 0; i < COLUMN_COUNT; i++) {
        if (i == 0) {
            sluice_column_put_i64(&to[0], row);
        }
        else if ((row + i) % 11 == 0 || (i == NOTE && note_unchanged)) {
            SLUICE_TRY(sluice_column_put_null(&to[i], err));
        }
        else {
            SLUICE_TRY(put_value(&to[i], i, row, err));
        }
    }
    return SLUICE_OK;
}

/* Hands the collected rows over as a batch. */
static sluice_status finish(struct sluice_rows *rows, int32_t kind, struct sluice_batch *out,
                            struct sluice_error *err)
{
    memset(out, 0, sizeof *out);
    out->struct_size = (uint32_t)sizeof *out;
    out->kind = kind;
    out->flags = SLUICE_BATCH_COMMIT_BOUNDARY;
    out->stream_id = 1;
    out->schema_id = 1;
    out->rows = (uint64_t)rows->rows;
    out->bytes = (uint64_t)sluice_rows_bytes(rows);
    out->source_time_us = 1700000000000000;
    return sluice_rows_finish(rows, &out->array, err);
}

sluice_status sluice_testkit_rows(const struct sluice_testkit_table *table, int64_t first,
                                  int64_t n, struct sluice_batch *out, struct sluice_error *err)
{
    struct sluice_rows rows;
    SLUICE_TRY(sluice_rows_init(&rows, &table->schema, n > 0 ? n : 1, err));
    sluice_status st = SLUICE_OK;
    for (int64_t i = 0; i < n && st >= 0; i++) {
        st = put_row(rows.columns, first + i, 0, err);
        sluice_rows_end_row(&rows);
    }
    if (st >= 0) {
        st = finish(&rows, SLUICE_BATCH_ROWS, out, err);
    }
    sluice_rows_free(&rows);
    return st;
}

static sluice_status put_before(const struct sluice_testkit_table *table, struct sluice_column *to,
                                int64_t row, struct sluice_error *err)
{
    if (table->desc.before == SLUICE_BEFORE_KEY) {
        sluice_column_put_i64(&to->children[0], row);
    }
    else {
        SLUICE_TRY(put_row(to->children, row, 0, err));
    }
    sluice_column_end_struct(to);
    return SLUICE_OK;
}

static sluice_status put_change(const struct sluice_testkit_table *table, struct sluice_column *c,
                                int64_t row, struct sluice_error *err)
{
    static const char ops[] = {'I', 'U', 'D'};
    char op = ops[row % 3];
    int32_t unchanged = op == 'U' && row % 2 == 0;
    uint8_t pos[8] = {0, 0, 0, 0, 0, 0, 0, 1};
    sluice_column_put_i8(&c[0], op);
    SLUICE_TRY(sluice_column_put_bytes(&c[1], pos, sizeof pos, err));
    sluice_column_put_i64(&c[2], row);
    sluice_column_put_i64(&c[3], 1700000000000000);
    SLUICE_TRY(sluice_column_put_bytes(&c[4], "77", 2, err));
    if (op == 'I' || table->desc.before == SLUICE_BEFORE_NONE) {
        SLUICE_TRY(sluice_column_put_null(&c[5], err));
    }
    else {
        SLUICE_TRY(put_before(table, &c[5], row, err));
    }
    if (op == 'D') {
        SLUICE_TRY(sluice_column_put_null(&c[6], err));
    }
    else {
        SLUICE_TRY(put_row(c[6].children, row, unchanged, err));
        sluice_column_end_struct(&c[6]);
    }
    if (unchanged) {
        uint8_t bits[2] = {1u << NOTE, 0};
        return sluice_column_put_bytes(&c[7], bits, sizeof bits, err);
    }
    return sluice_column_put_null(&c[7], err);
}

sluice_status sluice_testkit_changes(const struct sluice_testkit_table *table, int64_t first,
                                     int64_t n, struct sluice_batch *out, struct sluice_error *err)
{
    struct sluice_rows rows;
    SLUICE_TRY(sluice_rows_init(&rows, &table->envelope, n > 0 ? n : 1, err));
    sluice_status st = SLUICE_OK;
    for (int64_t i = 0; i < n && st >= 0; i++) {
        st = put_change(table, rows.columns, first + i, err);
        sluice_rows_end_row(&rows);
    }
    if (st >= 0) {
        st = finish(&rows, SLUICE_BATCH_CHANGES, out, err);
    }
    sluice_rows_free(&rows);
    return st;
}

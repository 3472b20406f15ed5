/*
 * Fuzz target: COPY's binary stream, from bytes to checked Arrow arrays.
 *
 * Input: a byte n, n bytes that choose columns, then messages, each a 16-bit length and its bytes. The
 * text columns are those that check UTF-8, so that every array must pass the full check.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "pg/decode.h"
#include "sluice/array.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { COLUMNS_MAX = 16, ROWS_MAX = 32 };

static const struct {
    int32_t kind;
    struct sluice_type type;
} choices[] = {
    {SLUICE_PG_DECODE_BOOL, {SLUICE_TYPE_BOOL, 0, 0, 0}},
    {SLUICE_PG_DECODE_INT16, {SLUICE_TYPE_INT16, 0, 0, 2}},
    {SLUICE_PG_DECODE_INT32, {SLUICE_TYPE_INT32, 0, 0, 4}},
    {SLUICE_PG_DECODE_INT64, {SLUICE_TYPE_INT64, 0, 0, 8}},
    {SLUICE_PG_DECODE_FLOAT32, {SLUICE_TYPE_FLOAT32, 0, 0, 4}},
    {SLUICE_PG_DECODE_FLOAT64, {SLUICE_TYPE_FLOAT64, 0, 0, 8}},
    {SLUICE_PG_DECODE_OID, {SLUICE_TYPE_UTF8, 0, 0, 0}},
    {SLUICE_PG_DECODE_NUMERIC64, {SLUICE_TYPE_DECIMAL128, 12, 2, 16}},
    {SLUICE_PG_DECODE_NUMERIC64, {SLUICE_TYPE_DECIMAL128, 18, 18, 16}},
    {SLUICE_PG_DECODE_NUMERIC128, {SLUICE_TYPE_DECIMAL128, 38, 10, 16}},
    {SLUICE_PG_DECODE_NUMERIC256, {SLUICE_TYPE_DECIMAL256, 76, 38, 32}},
    {SLUICE_PG_DECODE_TEXT_CHECKED, {SLUICE_TYPE_UTF8, 0, 0, 0}},
    {SLUICE_PG_DECODE_JSONB_CHECKED, {SLUICE_TYPE_UTF8, 0, 0, 0}},
    {SLUICE_PG_DECODE_BYTES, {SLUICE_TYPE_BINARY, 0, 0, 0}},
    {SLUICE_PG_DECODE_DATE, {SLUICE_TYPE_DATE32, 0, 0, 4}},
    {SLUICE_PG_DECODE_TIME, {SLUICE_TYPE_TIME64_US, 0, 0, 8}},
    {SLUICE_PG_DECODE_TIMESTAMP, {SLUICE_TYPE_TIMESTAMP_US_UTC, 0, 0, 8}},
    {SLUICE_PG_DECODE_UUID, {SLUICE_TYPE_FIXED_BINARY, 0, 0, 16}},
};
enum { CHOICES = sizeof choices / sizeof choices[0] };

static void check(int right)
{
    if (!right) {
        abort();
    }
}

static void finish(struct sluice_rows *rows, const struct ArrowSchema *schema)
{
    struct ArrowArray array;
    struct sluice_error err = SLUICE_ERROR_INIT;
    int64_t count = rows->rows;
    check(sluice_rows_finish(rows, &array, &err) == SLUICE_OK);
    check(array.length == count);
    check(sluice_array_check(schema, &array, SLUICE_CHECK_FULL, &err) == SLUICE_OK);
    sluice_array_release(&array);
}

static void run(struct sluice_rows *rows, struct sluice_pg_copy *copy,
                const struct ArrowSchema *schema, const uint8_t *p, const uint8_t *end)
{
    while (end - p >= 2) {
        size_t length = (size_t)p[0] << 8 | p[1];
        p += 2;
        length = length < (size_t)(end - p) ? length : (size_t)(end - p);
        /* A copy of its own, so that a read past its end is seen. */
        uint8_t *message = malloc(length > 0 ? length : 1);
        check(message != NULL);
        memcpy(message, p, length);
        p += length;
        int64_t before = rows->rows;
        sluice_status st = sluice_pg_copy_message(copy, rows, message, length, NULL);
        free(message);
        check(rows->rows == before + (st == SLUICE_OK));
        if (st < 0) {
            break;
        }
        if (rows->rows == ROWS_MAX) {
            finish(rows, schema);
        }
    }
    finish(rows, schema);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct sluice_pair special[] = {{"sluice:special", "1"}};
    struct ArrowSchema schema;
    struct sluice_rows rows = {0};
    struct sluice_pg_decoder decoders[COLUMNS_MAX];
    if (size < 1 || data[0] > COLUMNS_MAX || size < 1u + data[0]) {
        return 0;
    }
    uint32_t n = data[0];
    check(sluice_schema_init(&schema, n, NULL) == SLUICE_OK);
    for (uint32_t i = 0; i < n; i++) {
        uint8_t choice = data[1 + i];
        check(sluice_schema_set(&schema, i, "c", &choices[choice % CHOICES].type, choice < 128,
                                special, 1, NULL) == SLUICE_OK);
    }
    check(sluice_rows_init(&rows, &schema, ROWS_MAX, NULL) == SLUICE_OK);
    for (uint32_t i = 0; i < n; i++) {
        check(sluice_pg_decoder_init(&decoders[i], choices[data[1 + i] % CHOICES].kind,
                                     &rows.columns[i], "c", 0, NULL) == SLUICE_OK);
    }
    struct sluice_pg_copy copy = {.decoders = decoders, .count = n};
    run(&rows, &copy, &schema, data + 1 + n, data + size);
    sluice_rows_free(&rows);
    sluice_schema_release(&schema);
    return 0;
}

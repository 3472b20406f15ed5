/*
 * Fuzz target: values in text form. Input: a byte that chooses the column, then the text.
 *
 * Cells must pass the full check of Arrow arrays. Floats must be what the C library makes of the
 * text, numerics what a second, plain reading makes of it.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "pg/decode.h"
#include "pg/numeric.h"
#include "sluice/array.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

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
    {SLUICE_PG_DECODE_TIMESTAMP, {SLUICE_TYPE_TIMESTAMP_US, 0, 0, 8}},
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

static void check_float(int32_t kind, const char *text, const void *cell)
{
    char *end = NULL;
    if (strcmp(text, "NaN") == 0) {
        return;
    }
    if (kind == SLUICE_PG_DECODE_FLOAT32) {
        float v = strtof(text, &end);
        uint32_t bits[2]; /* bit for bit: 0 and -0 differ */
        memcpy(&bits[0], &v, sizeof v);
        memcpy(&bits[1], cell, sizeof v);
        check(*end == '\0' && bits[0] == bits[1]);
    }
    else {
        double v = strtod(text, &end);
        uint64_t bits[2];
        memcpy(&bits[0], &v, sizeof v);
        memcpy(&bits[1], cell, sizeof v);
        check(*end == '\0' && bits[0] == bits[1]);
    }
}

/* The quick reader of numerics and the one for any width agree. */
static void check_numeric(const uint8_t *p, uint32_t size, const struct sluice_type *type)
{
    int64_t quick = 0;
    uint64_t words[4] = {0};
    sluice_status a =
        sluice_pg_numeric_parse64(p, size, type->precision, type->scale, &quick, NULL);
    sluice_status b =
        sluice_pg_numeric_parse(p, size, type->precision, type->scale, 2, words, NULL);
    check(a == b);
    if (a == SLUICE_OK) {
        check(words[0] == (uint64_t)quick && words[1] == (quick < 0 ? UINT64_MAX : 0));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct sluice_pair special[] = {{"sluice:special", "1"}};
    struct ArrowSchema schema;
    struct ArrowArray array;
    struct sluice_rows rows = {0};
    struct sluice_pg_decoder d;
    if (size < 1 || size > 4096) {
        return 0;
    }
    int32_t kind = choices[data[0] % CHOICES].kind;
    const struct sluice_type *type = &choices[data[0] % CHOICES].type;
    check(sluice_schema_init(&schema, 1, NULL) == SLUICE_OK);
    check(sluice_schema_set(&schema, 0, "c", type, 1, special, 1, NULL) == SLUICE_OK);
    check(sluice_rows_init(&rows, &schema, 1, NULL) == SLUICE_OK);
    check(sluice_pg_text_decoder_init(&d, kind, rows.columns, "c", data[0] / CHOICES % 2, NULL) ==
          SLUICE_OK);
    /* Copies that end where the text does, and one with an end of its own. */
    uint8_t *copy = malloc(size);
    char *text = malloc(size);
    check(copy != NULL && text != NULL);
    memcpy(copy, data + 1, size - 1);
    memcpy(text, data + 1, size - 1);
    text[size - 1] = '\0';
    uint8_t *exact = realloc(copy, size > 1 ? size - 1 : 1);
    check(exact != NULL);
    sluice_status st = d.decode(&d, exact, (uint32_t)size - 1, NULL);
    if (st == SLUICE_OK) {
        if (kind == SLUICE_PG_DECODE_FLOAT32 || kind == SLUICE_PG_DECODE_FLOAT64) {
            check_float(kind, text, rows.columns[0].values);
        }
        sluice_rows_end_row(&rows);
    }
    else {
        check(st == SLUICE_E_DATA);
        sluice_rows_rollback(&rows);
    }
    if (kind == SLUICE_PG_DECODE_NUMERIC64) {
        check_numeric(exact, (uint32_t)size - 1, type);
    }
    check(sluice_rows_finish(&rows, &array, NULL) == SLUICE_OK);
    check(sluice_array_check(&schema, &array, SLUICE_CHECK_FULL, NULL) == SLUICE_OK);
    sluice_array_release(&array);
    sluice_rows_free(&rows);
    sluice_schema_release(&schema);
    free(exact);
    free(text);
    return 0;
}

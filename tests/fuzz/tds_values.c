/*
 * Fuzz target: values as db-lib hands them over. Input: a byte that chooses the column, then the value's bytes.
 *
 * What is taken must pass the full check of Arrow arrays, so all text is UTF-8.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sluice/array.h"
#include "tds/column.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct {
    const char *type;
    int32_t precision;
    int32_t scale;
    int32_t fine;
} choices[] = {
    {"bit", 0, 0, 0},
    {"tinyint", 0, 0, 0},
    {"int", 0, 0, 0},
    {"bigint", 0, 0, 0},
    {"float", 0, 0, 0},
    {"decimal", 38, 0, 0},
    {"decimal", 18, 4, 0},
    {"money", 0, 0, 0},
    {"smallmoney", 0, 0, 0},
    {"nvarchar", 0, 0, 0},
    {"varbinary", 0, 0, 0},
    {"uniqueidentifier", 0, 0, 0},
    {"date", 0, 0, 0},
    {"datetime", 0, 0, 0},
    {"time", 0, 7, 0},
    {"time", 0, 3, 0},
    {"datetime2", 0, 7, 0},
    {"datetime2", 0, 7, SLUICE_TDS_FINE_TEXT},
    {"time", 0, 7, 1},
    {"datetime2", 0, 7, SLUICE_TDS_FINE_TRUNCATE},
    {"datetimeoffset", 0, 7, 0},
    {"datetimeoffset", 0, 0, 0},
    {"varchar", 0, 0, 0}, /* as UTF-16, like nvarchar */
    {"text", 0, 0, 0},
};

static void check(int right)
{
    if (!right) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sluice_error err = SLUICE_ERROR_INIT;
    struct sluice_tds_column column = {.name = "c", .max_length = 8000, .nullable = 1};
    struct sluice_tds_decoder d;
    struct ArrowSchema schema = {0};
    struct ArrowArray array;
    struct sluice_rows rows = {0};
    if (size == 0) {
        return 0;
    }
    const size_t at = data[0] % (sizeof choices / sizeof choices[0]);
    (void)snprintf(column.type, sizeof column.type, "%s", choices[at].type);
    column.precision = choices[at].precision;
    column.scale = choices[at].scale;
    const struct sluice_tds_rules rules = {choices[at].fine, 0};
    check(sluice_tds_decoder_make(&column, &rules, &d, &err) >= 0);
    check(sluice_schema_init(&schema, 1, &err) >= 0);
    check(sluice_schema_set(&schema, 0, "c", &d.type, 1, NULL, 0, &err) >= 0);
    check(sluice_rows_init(&rows, &schema, 1, &err) >= 0);
    uint8_t *value = malloc(size); /* its own block, so that a read behind it is noticed */
    check(value != NULL);
    memcpy(value, data + 1, size - 1);
    const sluice_status status =
        d.decode(&d, (struct sluice_bytes){value, size - 1}, &rows.columns[0], &err);
    if (status >= 0) {
        sluice_rows_end_row(&rows);
        check(sluice_rows_finish(&rows, &array, &err) >= 0);
        check(sluice_array_check(&schema, &array, SLUICE_CHECK_FULL, &err) >= 0);
        array.release(&array);
    }
    else {
        check(err.message[0] != '\0');
    }
    free(value);
    sluice_rows_free(&rows);
    sluice_schema_release(&schema);
    return 0;
}

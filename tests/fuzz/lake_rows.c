/*
 * Fuzz target: rows of data files, JSON lines or CSV by the first byte, a record a line. Cells that come out
 * on OK must lie in memory that can be read.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lake/cellrow.h"
#include "sluice/array.h"
#include "sluice/schema.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void make_columns(struct ArrowSchema *schema)
{
    const struct sluice_type text = {.id = SLUICE_TYPE_UTF8};
    const struct sluice_type binary = {.id = SLUICE_TYPE_BINARY};
    const struct sluice_pair nested = {"sluice:text", "[{\"a\":x,\"b\":s},]"};
    struct sluice_error err = SLUICE_ERROR_INIT;
    if (sluice_schema_init(schema, 3, &err) < 0 ||
        sluice_schema_set(schema, 0, "a", &text, 1, NULL, 0, &err) < 0 ||
        sluice_schema_set(schema, 1, "b", &binary, 1, NULL, 0, &err) < 0 ||
        sluice_schema_set(schema, 2, "c", &text, 1, &nested, 1, &err) < 0) {
        abort();
    }
}

static void read_record(struct sluice_lake_row_reader *reader, const uint8_t *data, size_t size)
{
    struct sluice_error err = SLUICE_ERROR_INIT;
    struct sluice_lake_row row;
    uint8_t *record = malloc(size > 0 ? size : 1); /* exact, so that ASan sees more */
    unsigned sum = 0;
    if (record == NULL) {
        abort();
    }
    memcpy(record, data, size);
    if (sluice_lake_row_read(reader, record, size, &row, &err) == SLUICE_OK) {
        for (int i = 0; i < 3; i++) {
            for (uint64_t k = 0; k < row.cells[i].size; k++) {
                sum += ((const uint8_t *)row.cells[i].data)[k];
            }
        }
    }
    if (sum == UINT32_MAX) {
        abort(); /* so that the sum is made */
    }
    free(record);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sluice_error err = SLUICE_ERROR_INIT;
    struct ArrowSchema schema;
    struct sluice_lake_row_reader *reader = NULL;
    make_columns(&schema);
    const struct sluice_stream_desc desc = {
        .struct_size = (uint32_t)sizeof desc, .name = "t", .schema = &schema};
    if (sluice_lake_row_reader_create(&desc, SLUICE_LAKE_BASE64, &reader, &err) >= 0 && size > 0) {
        sluice_lake_row_reader_begin(reader, data[0] & 1, (data[0] & 2) != 0 ? "_" : NULL);
        const uint8_t *p = data + 1;
        const uint8_t *end = data + size;
        while (p < end) {
            const uint8_t *line = memchr(p, '\n', (size_t)(end - p));
            const size_t n = (size_t)((line != NULL ? line : end) - p);
            read_record(reader, p, n);
            p += n + 1;
        }
    }
    sluice_lake_row_reader_free(reader);
    sluice_schema_release(&schema);
    return 0;
}

/* Raw JSON lines of batches and descriptions. */
#include "print.h"

#include <stdlib.h>
#include <string.h>

#include "sluice/array.h"
#include "sluice/error.h"
#include "sluice/view.h"

void pg_test_print_string(FILE *to, const char *text, uint64_t size)
{
    (void)fputc('"', to);
    for (uint64_t i = 0; i < size; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c == '"' || c == '\\') {
            (void)fputc('\\', to);
            (void)fputc(c, to);
        }
        else if (c < 0x20) {
            (void)fprintf(to, "\\u%04x", c);
        }
        else {
            (void)fputc(c, to);
        }
    }
    (void)fputc('"', to);
}

static void put_hex(FILE *to, const void *data, uint64_t size)
{
    const uint8_t *p = data;
    (void)fputc('"', to);
    for (uint64_t i = 0; i < size; i++) {
        (void)fprintf(to, "%02x", p[i]);
    }
    (void)fputc('"', to);
}

void pg_test_print_cell(FILE *to, const struct sluice_view *v, int64_t i)
{
    if (sluice_view_is_null(v, i)) {
        (void)fputs("null", to);
        return;
    }
    switch (v->type.id) {
    case SLUICE_TYPE_BOOL:
        (void)fprintf(to, "\"%d\"", sluice_view_bool(v, i));
        break;
    case SLUICE_TYPE_INT16:
        (void)fprintf(to, "\"%d\"", sluice_view_i16(v, i));
        break;
    case SLUICE_TYPE_INT32:
    case SLUICE_TYPE_DATE32:
        (void)fprintf(to, "\"%d\"", sluice_view_i32(v, i));
        break;
    case SLUICE_TYPE_INT64:
    case SLUICE_TYPE_TIME64_US:
    case SLUICE_TYPE_TIMESTAMP_US:
    case SLUICE_TYPE_TIMESTAMP_US_UTC:
        (void)fprintf(to, "\"%lld\"", (long long)sluice_view_i64(v, i));
        break;
    case SLUICE_TYPE_UTF8: {
        struct sluice_bytes b = sluice_view_bytes(v, i);
        pg_test_print_string(to, b.data, b.size);
        break;
    }
    case SLUICE_TYPE_BINARY: {
        struct sluice_bytes b = sluice_view_bytes(v, i);
        put_hex(to, b.data, b.size);
        break;
    }
    default:
        put_hex(to, sluice_view_fixed(v, i), (uint64_t)v->type.width);
        break;
    }
}

void pg_test_print_batch(FILE *to, const struct sluice_stream_desc *desc,
                         const struct sluice_batch *batch)
{
    struct sluice_error err = SLUICE_ERROR_INIT;
    int64_t n = desc->schema->n_children;
    struct sluice_view *views = calloc((size_t)n + 1, sizeof *views);
    if (views == NULL ||
        sluice_array_check(desc->schema, &batch->array, SLUICE_CHECK_FULL, &err) < 0 ||
        sluice_views_init(desc->schema, &batch->array, views, &err) < 0) {
        (void)fprintf(stderr, "bad batch of %s: %s\n", desc->name, err.message);
        abort();
    }
    for (int64_t row = 0; row < batch->array.length; row++) {
        (void)fputc('[', to);
        pg_test_print_string(to, desc->name, strlen(desc->name));
        for (int64_t c = 0; c < n; c++) {
            (void)fputs(", ", to);
            pg_test_print_cell(to, &views[c], row);
        }
        (void)fputs("]\n", to);
    }
    free(views);
}

static const char *const metadata_keys[] = {"sluice:native_type", "sluice:text",
                                            "sluice:special",     "ARROW:extension:name",
                                            "sluice:generated",   "sluice:identity"};

static void put_column(FILE *to, const struct ArrowSchema *field)
{
    (void)fputs("{\"name\": ", to);
    pg_test_print_string(to, field->name, strlen(field->name));
    (void)fprintf(to, ", \"format\": \"%s\", \"nullable\": %s", field->format,
                  (field->flags & ARROW_FLAG_NULLABLE) != 0 ? "true" : "false");
    for (size_t i = 0; i < sizeof metadata_keys / sizeof metadata_keys[0]; i++) {
        struct sluice_bytes v = sluice_schema_metadata(field, metadata_keys[i]);
        if (v.data != NULL) {
            (void)fprintf(to, ", \"%s\": ", metadata_keys[i]);
            pg_test_print_string(to, v.data, v.size);
        }
    }
    (void)fputc('}', to);
}

void pg_test_print_desc(FILE *to, const struct sluice_stream_desc *desc,
                        const struct sluice_error *problem)
{
    (void)fputs("{\"name\": ", to);
    pg_test_print_string(to, desc->name, strlen(desc->name));
    (void)fprintf(to, ", \"kind\": %d, \"rows\": %lld, \"bytes\": %lld, \"keys\": [", desc->kind,
                  (long long)desc->rows_estimate, (long long)desc->bytes_estimate);
    for (uint32_t i = 0; i < desc->key_count; i++) {
        (void)fprintf(to, "%s%u", i > 0 ? ", " : "", desc->keys[i]);
    }
    (void)fputs("], \"columns\": [", to);
    for (int64_t i = 0; desc->schema != NULL && i < desc->schema->n_children; i++) {
        (void)fputs(i > 0 ? ", " : "", to);
        put_column(to, desc->schema->children[i]);
    }
    (void)fputs("]", to);
    if (problem != NULL) {
        (void)fprintf(to,
                      ", \"problem\": \"%s\", \"message\": ", sluice_status_name(problem->status));
        pg_test_print_string(to, problem->message, strlen(problem->message));
    }
    (void)fputs("}\n", to);
}

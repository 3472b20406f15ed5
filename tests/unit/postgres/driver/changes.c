/* Raw JSON lines of a feed. */
#include "changes.h"

#include <stdlib.h>
#include <string.h>

#include "print.h"
#include "sluice/array.h"
#include "sluice/change.h"
#include "sluice/error.h"

static void put_name(FILE *to, const char *name)
{
    pg_test_print_string(to, name, strlen(name));
}

static void bad_batch(const struct sluice_stream_desc *desc, const struct sluice_error *err)
{
    (void)fprintf(stderr, "bad batch of %s: %s\n", desc->name, err->message);
    abort();
}

static void put_columns(FILE *to, const struct sluice_stream_desc *desc,
                        const struct sluice_view *views, int64_t count, const uint32_t *indexes,
                        int64_t row)
{
    (void)fputc('{', to);
    for (int64_t c = 0; c < count; c++) {
        int64_t at = indexes != NULL ? (int64_t)indexes[c] : c;
        (void)fputs(c > 0 ? ", " : "", to);
        put_name(to, desc->schema->children[at]->name);
        (void)fputs(": ", to);
        pg_test_print_cell(to, &views[c], row);
    }
    (void)fputc('}', to);
}

static void put_head(FILE *to, const struct sluice_stream_desc *desc,
                     const struct sluice_change_view *cv, int64_t row)
{
    (void)fputs("{\"s\": ", to);
    put_name(to, desc->name);
    (void)fprintf(to,
                  ", \"v\": %llu, \"op\": \"%c\", \"pos\": ", (unsigned long long)desc->schema_id,
                  sluice_change_op(cv, row));
    pg_test_print_cell(to, &cv->commit_pos, row);
    (void)fputs(", \"seq\": ", to);
    pg_test_print_cell(to, &cv->tx_seq, row);
    (void)fputs(", \"ts\": ", to);
    pg_test_print_cell(to, &cv->commit_ts, row);
    (void)fputs(", \"tx\": ", to);
    pg_test_print_cell(to, &cv->tx_id, row);
}

static void check_envelope(const struct sluice_stream_desc *desc, const struct sluice_batch *batch)
{
    struct sluice_error err = SLUICE_ERROR_INIT;
    struct ArrowSchema envelope;
    if (sluice_schema_envelope(desc, &envelope, &err) < 0 ||
        sluice_array_check(&envelope, &batch->array, SLUICE_CHECK_FULL, &err) < 0) {
        bad_batch(desc, &err);
    }
    sluice_schema_release(&envelope);
}

void pg_test_print_changes(FILE *to, const struct sluice_stream_desc *desc,
                           const struct sluice_batch *batch)
{
    struct sluice_error err = SLUICE_ERROR_INIT;
    struct sluice_change_view cv;
    check_envelope(desc, batch);
    if (sluice_change_view_init(&cv, desc, batch, &err) < 0) {
        bad_batch(desc, &err);
    }
    for (int64_t row = 0; row < cv.rows; row++) {
        put_head(to, desc, &cv, row);
        (void)fputs(", \"before\": ", to);
        if (sluice_view_is_null(&cv.before, row)) {
            (void)fputs("null", to);
        }
        else {
            put_columns(to, desc, cv.old, cv.old_count,
                        desc->before == SLUICE_BEFORE_KEY ? desc->keys : NULL, row);
        }
        (void)fputs(", \"after\": ", to);
        if (sluice_view_is_null(&cv.after, row)) {
            (void)fputs("null", to);
        }
        else {
            put_columns(to, desc, cv.columns, cv.column_count, NULL, row);
        }
        (void)fputs(", \"unchanged\": [", to);
        const char *glue = "";
        for (int64_t c = 0; c < cv.column_count; c++) {
            if (sluice_change_is_unchanged(&cv, row, c)) {
                (void)fputs(glue, to);
                put_name(to, desc->schema->children[c]->name);
                glue = ", ";
            }
        }
        (void)fputs("]}\n", to);
    }
    sluice_change_view_free(&cv);
}

void pg_test_print_truncate(FILE *to, const struct sluice_stream_desc *desc,
                            const struct sluice_batch *batch)
{
    static const char *const formats[] = {"c", "z", "l", "tsu:UTC", "u"};
    struct sluice_error err = SLUICE_ERROR_INIT;
    struct sluice_view views[5];
    if (batch->array.length != 1 || batch->array.n_children != 5) {
        (void)sluice_error_set(&err, SLUICE_E_DATA, 0, "not one row of five columns");
        bad_batch(desc, &err);
    }
    for (int i = 0; i < 5; i++) {
        struct ArrowSchema field = {.format = formats[i], .name = formats[i]};
        if (sluice_view_init(&field, batch->array.children[i], &views[i], &err) < 0) {
            bad_batch(desc, &err);
        }
    }
    (void)fputs("{\"truncate\": ", to);
    put_name(to, desc->name);
    (void)fprintf(to,
                  ", \"v\": %llu, \"op\": \"%c\", \"pos\": ", (unsigned long long)batch->schema_id,
                  sluice_view_i8(&views[0], 0));
    pg_test_print_cell(to, &views[1], 0);
    (void)fputs(", \"seq\": ", to);
    pg_test_print_cell(to, &views[2], 0);
    (void)fputs(", \"ts\": ", to);
    pg_test_print_cell(to, &views[3], 0);
    (void)fputs(", \"tx\": ", to);
    pg_test_print_cell(to, &views[4], 0);
    (void)fputs("}\n", to);
}

void pg_test_print_version(FILE *to, const struct sluice_stream_desc *desc)
{
    (void)fputs("{\"schema\": ", to);
    put_name(to, desc->name);
    (void)fprintf(to, ", \"v\": %llu, \"before\": %d, \"keys\": [",
                  (unsigned long long)desc->schema_id, desc->before);
    for (uint32_t k = 0; k < desc->key_count; k++) {
        (void)fputs(k > 0 ? ", " : "", to);
        put_name(to, desc->schema->children[desc->keys[k]]->name);
    }
    (void)fputs("], \"columns\": [", to);
    for (int64_t i = 0; i < desc->schema->n_children; i++) {
        const struct ArrowSchema *field = desc->schema->children[i];
        struct sluice_bytes native = sluice_schema_metadata(field, "sluice:native_type");
        (void)fputs(i > 0 ? ", {\"name\": " : "{\"name\": ", to);
        put_name(to, field->name);
        (void)fprintf(to, ", \"format\": \"%s\", \"nullable\": %s, \"native\": ", field->format,
                      (field->flags & ARROW_FLAG_NULLABLE) != 0 ? "true" : "false");
        pg_test_print_string(to, native.data, native.size);
        (void)fputc('}', to);
    }
    (void)fputs("]}\n", to);
}

#include "changes.h"

#include <stdlib.h>

#include "sluice/position.h"

void test_stream_init(struct test_stream *stream, int32_t before, const char *keys)
{
    static const struct test_field fields[] = {{"id", "i", {"sluice:native_type", "integer"}},
                                               {"name", "u", {"sluice:native_type", "text"}},
                                               {"note", "u", {"sluice:native_type", "text"}},
                                               {NULL, NULL, {NULL}}};
    memset(stream, 0, sizeof *stream);
    test_schema(&stream->schema, fields);
    struct sluice_stream_desc *desc = &stream->desc;
    desc->struct_size = (uint32_t)sizeof *desc;
    desc->kind = SLUICE_STREAM_TABLE;
    desc->before = before;
    desc->stream_id = 7;
    desc->schema_id = 1;
    desc->name = "public.t";
    stream->parts[0] = "public";
    stream->parts[1] = "t";
    desc->parts = stream->parts;
    desc->part_count = 2;
    for (; *keys != 0; keys++) {
        stream->keys[desc->key_count++] = (uint32_t)(*keys - '0');
    }
    desc->keys = stream->keys;
    desc->schema = &stream->schema;
}

void test_stream_free(struct test_stream *stream)
{
    sluice_schema_release(&stream->schema);
}

static void put_field(struct sluice_column *col, const char *text, size_t n)
{
    if (n == 1 && (*text == '~' || *text == '?')) {
        assert_int_equal(sluice_column_put_null(col, NULL), SLUICE_OK);
    }
    else if (col->offsets != NULL) {
        assert_int_equal(sluice_column_put_bytes(col, text, n, NULL), SLUICE_OK);
    }
    else {
        sluice_column_put_i32(col, (int32_t)strtol(text, NULL, 10));
    }
}

/* Returns the bits of fields that are "?". */
static uint8_t put_row(struct sluice_column *col, const char *text)
{
    uint8_t unchanged = 0;
    if (text == NULL) {
        assert_int_equal(sluice_column_put_null(col, NULL), SLUICE_OK);
        return 0;
    }
    for (int32_t i = 0; i < col->child_count; i++) {
        size_t n = strcspn(text, "|");
        if (n == 1 && *text == '?') {
            unchanged = (uint8_t)(unchanged | 1u << i);
        }
        put_field(&col->children[i], text, n);
        text += n + (text[n] == '|' ? 1 : 0);
    }
    sluice_column_end_struct(col);
    return unchanged;
}

static void put_head(struct sluice_column *c, char op, uint64_t pos, int64_t seq, int64_t ts,
                     const char *tx)
{
    uint8_t bytes[8];
    sluice_put_be64(bytes, pos);
    sluice_column_put_i8(&c[0], (int8_t)op);
    assert_int_equal(sluice_column_put_bytes(&c[1], bytes, sizeof bytes, NULL), SLUICE_OK);
    sluice_column_put_i64(&c[2], seq);
    if (ts < 0) {
        assert_int_equal(sluice_column_put_null(&c[3], NULL), SLUICE_OK);
    }
    else {
        sluice_column_put_i64(&c[3], ts);
    }
    if (tx == NULL) {
        assert_int_equal(sluice_column_put_null(&c[4], NULL), SLUICE_OK);
    }
    else {
        assert_int_equal(sluice_column_put_bytes(&c[4], tx, strlen(tx), NULL), SLUICE_OK);
    }
}

static void finish(const struct test_stream *stream, struct sluice_rows *rows, int32_t kind,
                   struct sluice_batch *out)
{
    memset(out, 0, sizeof *out);
    out->struct_size = (uint32_t)sizeof *out;
    out->kind = kind;
    out->stream_id = stream->desc.stream_id;
    out->schema_id = stream->desc.schema_id;
    out->rows = (uint64_t)rows->rows;
    assert_int_equal(sluice_rows_finish(rows, &out->array, NULL), SLUICE_OK);
    sluice_rows_free(rows);
}

void test_changes_batch(const struct test_stream *stream, const struct test_change *changes,
                        struct sluice_batch *out)
{
    struct ArrowSchema envelope;
    struct sluice_rows rows;
    int64_t n = 0;
    while (changes[n].op != 0) {
        n++;
    }
    assert_int_equal(sluice_schema_envelope(&stream->desc, &envelope, NULL), SLUICE_OK);
    assert_int_equal(sluice_rows_init(&rows, &envelope, n > 0 ? n : 1, NULL), SLUICE_OK);
    for (int64_t i = 0; i < n; i++) {
        const struct test_change *change = &changes[i];
        struct sluice_column *c = rows.columns;
        put_head(c, change->op, change->pos, change->seq, change->ts, change->tx);
        put_row(&c[5], change->old);
        uint8_t unchanged = put_row(&c[6], change->now);
        if (unchanged != 0) {
            assert_int_equal(sluice_column_put_bytes(&c[7], &unchanged, 1, NULL), SLUICE_OK);
        }
        else {
            assert_int_equal(sluice_column_put_null(&c[7], NULL), SLUICE_OK);
        }
        sluice_rows_end_row(&rows);
    }
    finish(stream, &rows, SLUICE_BATCH_CHANGES, out);
    sluice_schema_release(&envelope);
}

void test_truncate_batch(const struct test_stream *stream, uint64_t pos, int64_t seq, int64_t ts,
                         const char *tx, struct sluice_batch *out)
{
    struct ArrowSchema envelope;
    struct sluice_rows rows;
    assert_int_equal(sluice_schema_envelope(&stream->desc, &envelope, NULL), SLUICE_OK);
    struct ArrowSchema head = envelope;
    head.n_children = 5;
    assert_int_equal(sluice_rows_init(&rows, &head, 1, NULL), SLUICE_OK);
    put_head(rows.columns, 'T', pos, seq, ts, tx);
    sluice_rows_end_row(&rows);
    finish(stream, &rows, SLUICE_BATCH_TRUNCATE, out);
    sluice_schema_release(&envelope);
}

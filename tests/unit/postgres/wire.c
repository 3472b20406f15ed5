/* Messages of pgoutput, and a feed without a connection. */
#include "wire.h"

/* cmocka wants these before itself. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "pg/decode.h"
#include "sluice/position.h"

enum { OID_INT4 = 23, OID_TEXT = 25 };

static void put(struct wire *w, const void *data, size_t size)
{
    assert_true(size <= sizeof w->data - w->size);
    memcpy(w->data + w->size, data, size);
    w->size += size;
}

static void put8(struct wire *w, int v)
{
    uint8_t byte = (uint8_t)v;
    put(w, &byte, 1);
}

static void put16(struct wire *w, uint32_t v)
{
    uint8_t bytes[2];
    sluice_put_be16(bytes, (uint16_t)v);
    put(w, bytes, sizeof bytes);
}

static void put32(struct wire *w, uint32_t v)
{
    uint8_t bytes[4];
    sluice_put_be32(bytes, v);
    put(w, bytes, sizeof bytes);
}

static void put64(struct wire *w, uint64_t v)
{
    uint8_t bytes[8];
    sluice_put_be64(bytes, v);
    put(w, bytes, sizeof bytes);
}

static void put_string(struct wire *w, const char *text)
{
    put(w, text, strlen(text) + 1);
}

static void start(struct wire *w, char type)
{
    w->size = 0;
    put8(w, type);
}

void wire_begin(struct wire *w, uint64_t lsn, uint32_t xid)
{
    start(w, 'B');
    put64(w, lsn);
    put64(w, 1000000);
    put32(w, xid);
}

void wire_commit(struct wire *w, uint64_t lsn, uint64_t end)
{
    start(w, 'C');
    put8(w, 0);
    put64(w, lsn);
    put64(w, end);
    put64(w, 1000000);
}

void wire_relation(struct wire *w, uint32_t oid, char identity, uint32_t columns, uint32_t keys)
{
    start(w, 'R');
    put32(w, oid);
    put_string(w, "public");
    put_string(w, "t");
    put8(w, identity);
    put16(w, columns);
    for (uint32_t i = 0; i < columns; i++) {
        char column[2] = {(char)('a' + (int)i), '\0'};
        put8(w, i < keys);
        put_string(w, column);
        put32(w, i == 0 ? OID_INT4 : OID_TEXT);
        put32(w, UINT32_MAX);
    }
}

static void put_tuple(struct wire *w, char kind, const char *const *values, uint32_t count)
{
    put8(w, kind);
    put16(w, count);
    for (uint32_t i = 0; i < count; i++) {
        if (values[i] == NULL) {
            put8(w, 'n');
        }
        else if (values[i][0] == '\1') {
            put8(w, 'u');
        }
        else {
            put8(w, 't');
            put32(w, (uint32_t)strlen(values[i]));
            put(w, values[i], strlen(values[i]));
        }
    }
}

void wire_insert(struct wire *w, uint32_t oid, const char *const *values, uint32_t count)
{
    start(w, 'I');
    put32(w, oid);
    put_tuple(w, 'N', values, count);
}

void wire_update(struct wire *w, uint32_t oid, char old_kind, const char *const *old,
                 const char *const *values, uint32_t count)
{
    start(w, 'U');
    put32(w, oid);
    if (old_kind != 0) {
        put_tuple(w, old_kind, old, count);
    }
    put_tuple(w, 'N', values, count);
}

void wire_delete(struct wire *w, uint32_t oid, char old_kind, const char *const *old,
                 uint32_t count)
{
    start(w, 'D');
    put32(w, oid);
    put_tuple(w, old_kind, old, count);
}

void wire_truncate(struct wire *w, const uint32_t *oids, uint32_t count)
{
    start(w, 'T');
    put32(w, count);
    put8(w, 0);
    for (uint32_t i = 0; i < count; i++) {
        put32(w, oids[i]);
    }
}

void wire_message(struct wire *w, int transactional, uint64_t lsn, const char *prefix,
                  const char *content)
{
    start(w, 'M');
    put8(w, transactional);
    put64(w, lsn);
    put_string(w, prefix);
    put32(w, (uint32_t)strlen(content));
    put(w, content, strlen(content));
}

/* ---------------------------------------------------------------- the bench ------------------ */

static void make_stream(struct bench *b, uint32_t i, int32_t before, int required)
{
    static const struct sluice_type types[BENCH_COLUMNS] = {
        {SLUICE_TYPE_INT32, 0, 0, 4}, {SLUICE_TYPE_UTF8, 0, 0, 0}, {SLUICE_TYPE_UTF8, 0, 0, 0}};
    struct sluice_error err = SLUICE_ERROR_INIT;
    struct pg_relation *r = &b->relations[i];
    struct pg_stream *s = &b->streams[i];
    char name[32];
    *r = (struct pg_relation){.oid = BENCH_OID + i,
                              .kind = 'r',
                              .schema = "public",
                              .name = "t",
                              .attributes = b->attributes,
                              .attribute_count = BENCH_COLUMNS};
    (void)snprintf(name, sizeof name, "public.t%u", i);
    s->relation = r;
    s->name = strdup(name);
    s->column_count = BENCH_COLUMNS;
    s->decode = calloc(BENCH_COLUMNS, sizeof *s->decode);
    s->select_flags = SLUICE_SELECT_CHANGES;
    s->insert_only = before == SLUICE_BEFORE_NONE;
    s->binary_whole = 1;
    assert_non_null(s->name);
    assert_non_null(s->decode);
    assert_int_equal(sluice_schema_init(&s->schema, BENCH_COLUMNS, &err), SLUICE_OK);
    for (uint32_t c = 0; c < BENCH_COLUMNS; c++) {
        int nullable = c == 2 || (c == 1 && !required);
        s->decode[c] = c == 0 ? SLUICE_PG_DECODE_INT32 : SLUICE_PG_DECODE_TEXT;
        assert_int_equal(sluice_schema_set(&s->schema, c, b->attributes[c].name, &types[c],
                                           nullable, NULL, 0, &err),
                         SLUICE_OK);
    }
    s->desc = (struct sluice_stream_desc){.struct_size = (uint32_t)sizeof s->desc,
                                          .stream_id = r->oid,
                                          .schema_id = 1,
                                          .name = s->name,
                                          .before = before,
                                          .keys = s->keys,
                                          .key_count = before == SLUICE_BEFORE_KEY ? 1 : 0,
                                          .schema = &s->schema};
}

void bench_open(struct bench *b, uint32_t streams, int32_t before, int required)
{
    static const struct sluice_option *const no_options[] = {NULL};
    static const char *const names[BENCH_COLUMNS] = {"a", "b", "c"};
    struct sluice_error err = SLUICE_ERROR_INIT;
    memset(b, 0, sizeof *b);
    assert_true(pg_test_host_init(&b->host, no_options, NULL));
    for (uint32_t c = 0; c < BENCH_COLUMNS; c++) {
        b->attributes[c] = (struct pg_attribute){.name = names[c],
                                                 .type = c == 0 ? OID_INT4 : OID_TEXT,
                                                 .typmod = -1,
                                                 .number = (int16_t)(c + 1)};
    }
    for (uint32_t i = 0; i < streams; i++) {
        make_stream(b, i, before, required);
    }
    b->src.host = &b->host.table;
    b->src.streams = b->streams;
    b->src.stream_count = streams;
    struct pg_feed *feed = &b->feed;
    feed->src = &b->src;
    feed->rows_max = 64 * 1024;
    feed->bytes_max = 8 << 20;
    feed->parser = sluice_pgout_parser_create();
    (void)snprintf(feed->what, sizeof feed->what, "read changes of slot test");
    assert_non_null(feed->parser);
    assert_int_equal(pg_feed_streams_make(feed, &err), SLUICE_OK);
    assert_int_equal(pg_feed_relations_make(feed, &err), SLUICE_OK);
}

void bench_close(struct bench *b)
{
    pg_feed_streams_free(&b->feed);
    pg_feed_relations_free(&b->feed);
    sluice_rows_free(&b->feed.truncate_rows);
    sluice_pgout_parser_free(b->feed.parser);
    free(b->feed.truncates);
    for (uint32_t i = 0; i < b->src.stream_count; i++) {
        pg_stream_free(&b->streams[i]);
    }
    pg_test_host_free(&b->host);
}

sluice_status bench_take(struct bench *b, const struct wire *w, struct sluice_error *err)
{
    struct pg_feed *feed = &b->feed;
    feed->wire.data = w->data;
    feed->wire.size = w->size;
    SLUICE_TRY(sluice_pgout_parse(feed->parser, w->data, w->size, &feed->message, err));
    return pg_feed_message(feed, err);
}

void bench_give(struct bench *b, const struct wire *w)
{
    struct sluice_error err = SLUICE_ERROR_INIT;
    sluice_status st = bench_take(b, w, &err);
    if (st < 0) {
        fail_msg("%s", err.message);
    }
    assert_int_equal(st, SLUICE_OK);
}

int bench_next(struct bench *b, struct sluice_batch *out)
{
    struct sluice_error err = SLUICE_ERROR_INIT;
    memset(out, 0, sizeof *out);
    out->struct_size = (uint32_t)sizeof *out;
    if (!pg_feed_output_waits(&b->feed)) {
        return 0;
    }
    assert_int_equal(pg_feed_output_next(&b->feed, out, &err), SLUICE_OK);
    return 1;
}

/*
 * Fuzz target: one message of pgoutput. What the parser takes is written back from its fields, and
 * must be the same bytes: so every field is right, and nothing was skipped.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "pg/pgoutput.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define EPOCH_US 946684800000000ull

struct out {
    const uint8_t *expected;
    size_t size;
    size_t at;
};

static void check(int right)
{
    if (!right) {
        abort();
    }
}

static void put(struct out *o, const void *p, size_t n)
{
    check(n <= o->size - o->at);
    check(n == 0 || memcmp(o->expected + o->at, p, n) == 0);
    o->at += n;
}

static void put_number(struct out *o, uint64_t v, int bytes)
{
    uint8_t b[8];
    for (int i = 0; i < bytes; i++) {
        b[i] = (uint8_t)(v >> 8 * (bytes - 1 - i));
    }
    put(o, b, (size_t)bytes);
}

static void put_string(struct out *o, const char *s)
{
    put(o, s, strlen(s) + 1);
}

static void put_names(struct out *o, const struct sluice_pgout_message *m)
{
    put_number(o, m->relation, 4);
    /* "pg_catalog" may stand for an empty name. */
    put_string(o, o->expected[o->at] == 0 ? "" : m->schema);
    put_string(o, m->name);
}

static void put_row(struct out *o, const struct sluice_pgout_tuple *row)
{
    put_number(o, row->count, 2);
    for (uint32_t i = 0; i < row->count; i++) {
        const struct sluice_pgout_value *v = &row->values[i];
        put_number(o, (uint64_t)v->kind, 1);
        if (v->kind == SLUICE_PGOUT_TEXT || v->kind == SLUICE_PGOUT_BINARY) {
            put_number(o, v->size, 4);
            put(o, v->data, v->size);
        }
        else {
            check(v->kind == SLUICE_PGOUT_NULL || v->kind == SLUICE_PGOUT_UNCHANGED);
            check(v->size == 0);
        }
    }
}

static void put_rows(struct out *o, const struct sluice_pgout_message *m)
{
    put_number(o, m->relation, 4);
    if (m->old_kind != 0) {
        check(m->old_kind == 'K' || m->old_kind == 'O');
        put_number(o, (uint64_t)m->old_kind, 1);
        put_row(o, &m->old_row);
    }
    if (m->type != SLUICE_PGOUT_DELETE) {
        put_number(o, 'N', 1);
        put_row(o, &m->new_row);
    }
}

static void put_relation(struct out *o, const struct sluice_pgout_message *m)
{
    put_names(o, m);
    put_number(o, (uint64_t)m->identity, 1);
    put_number(o, m->column_count, 2);
    for (uint32_t i = 0; i < m->column_count; i++) {
        put_number(o, (uint64_t)m->columns[i].is_key, 1);
        put_string(o, m->columns[i].name);
        put_number(o, m->columns[i].type, 4);
        put_number(o, (uint32_t)m->columns[i].typmod, 4);
    }
}

static void put_transaction(struct out *o, const struct sluice_pgout_message *m)
{
    uint64_t time = (uint64_t)m->time_us - EPOCH_US;
    if (m->type == SLUICE_PGOUT_BEGIN) {
        put_number(o, m->lsn, 8);
        put_number(o, time, 8);
        put_number(o, m->xid, 4);
        return;
    }
    put_number(o, 0, 1);
    put_number(o, m->lsn, 8);
    put_number(o, m->end_lsn, 8);
    put_number(o, time, 8);
}

static void put_message(struct out *o, const struct sluice_pgout_message *m)
{
    put_number(o, (uint64_t)m->type, 1);
    switch (m->type) {
    case SLUICE_PGOUT_BEGIN:
    case SLUICE_PGOUT_COMMIT:
        put_transaction(o, m);
        break;
    case SLUICE_PGOUT_ORIGIN:
        put_number(o, m->lsn, 8);
        put_string(o, m->name);
        break;
    case SLUICE_PGOUT_RELATION:
        put_relation(o, m);
        break;
    case SLUICE_PGOUT_TYPE:
        put_names(o, m);
        break;
    case SLUICE_PGOUT_INSERT:
    case SLUICE_PGOUT_UPDATE:
    case SLUICE_PGOUT_DELETE:
        put_rows(o, m);
        break;
    case SLUICE_PGOUT_TRUNCATE:
        put_number(o, m->relation_count, 4);
        put_number(o, (uint64_t)(m->cascade | m->restart_identity << 1), 1);
        for (uint32_t i = 0; i < m->relation_count; i++) {
            put_number(o, m->relations[i], 4);
        }
        break;
    case SLUICE_PGOUT_MESSAGE:
        put_number(o, (uint64_t)m->transactional, 1);
        put_number(o, m->lsn, 8);
        put_string(o, m->name);
        put_number(o, m->content_size, 4);
        put(o, m->content, m->content_size);
        break;
    default:
        abort();
    }
    check(o->at == o->size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct sluice_pgout_parser *parser;
    struct sluice_pgout_message m;
    struct sluice_error err = SLUICE_ERROR_INIT;
    if (parser == NULL) {
        parser = sluice_pgout_parser_create();
        check(parser != NULL);
    }
    sluice_status st = sluice_pgout_parse(parser, data, size, &m, &err);
    if (st == SLUICE_OK) {
        struct out o = {data, size, 0};
        put_message(&o, &m);
    }
    else {
        check(st == SLUICE_E_DATA && err.message[0] != '\0');
    }
    return 0;
}

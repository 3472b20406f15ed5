/* One message of pgoutput at a time: a cursor that checks each length before it moves. */
#include "pg/pgoutput.h"

#include <stdlib.h>
#include <string.h>

#include "pg/wire.h"

/* From 2000-01-01, PostgreSQL's zero, back to 1970-01-01. */
#define EPOCH_US 946684800000000ll
enum { TRUNCATE_CASCADE = 1, TRUNCATE_RESTART = 2 };
enum { COLUMN_KEY = 1, MESSAGE_TRANSACTIONAL = 1 };

struct sluice_pgout_parser {
    struct sluice_pgout_value old_values[SLUICE_PGOUT_COLUMNS_MAX];
    struct sluice_pgout_value new_values[SLUICE_PGOUT_COLUMNS_MAX];
    struct sluice_pgout_column columns[SLUICE_PGOUT_COLUMNS_MAX];
    uint32_t *relations;
    uint32_t relations_cap;
};

struct cursor {
    const uint8_t *start;
    const uint8_t *at;
    const uint8_t *end;
    struct sluice_error *err;
};

struct sluice_pgout_parser *sluice_pgout_parser_create(void)
{
    return calloc(1, sizeof(struct sluice_pgout_parser));
}

void sluice_pgout_parser_free(struct sluice_pgout_parser *parser)
{
    if (parser != NULL) {
        free(parser->relations);
        free(parser);
    }
}

/* ---------------------------------------------------------------- cursor --------------------- */

static sluice_status malformed(const struct cursor *c, const char *problem)
{
    uint8_t type = c->end > c->start ? c->start[0] : 0;
    int shown = type >= 'A' && type <= 'z';
    return sluice_error_set(c->err, SLUICE_E_DATA, 0,
                            "malformed pgoutput message %s%c%s (0x%02x, %zu bytes) at offset %zu: "
                            "%s",
                            shown ? "'" : "", shown ? type : '?', shown ? "'" : "", type,
                            (size_t)(c->end - c->start), (size_t)(c->at - c->start), problem);
}

static size_t left(const struct cursor *c)
{
    return (size_t)(c->end - c->at);
}

static sluice_status need(const struct cursor *c, size_t size)
{
    return left(c) >= size ? SLUICE_OK : malformed(c, "the message is cut off");
}

/* The caller has made sure of the bytes. */
static uint8_t take8(struct cursor *c)
{
    return *c->at++;
}

static uint32_t take32(struct cursor *c)
{
    uint32_t v = sluice_pg_get32(c->at);
    c->at += 4;
    return v;
}

static uint64_t take64(struct cursor *c)
{
    uint64_t v = sluice_pg_get64(c->at);
    c->at += 8;
    return v;
}

static int64_t take_time(struct cursor *c)
{
    return (int64_t)(take64(c) + (uint64_t)EPOCH_US);
}

static sluice_status take_string(struct cursor *c, const char **out)
{
    const uint8_t *nul = memchr(c->at, 0, left(c));
    if (nul == NULL) {
        return malformed(c, "a name has no end");
    }
    *out = (const char *)c->at;
    c->at = nul + 1;
    return SLUICE_OK;
}

/* ---------------------------------------------------------------- rows ----------------------- */

/* The hot path: one pass over the columns. */
static sluice_status take_tuple(struct cursor *c, struct sluice_pgout_value *values,
                                struct sluice_pgout_tuple *out)
{
    SLUICE_TRY(need(c, 2));
    uint32_t count = sluice_pg_get16(c->at);
    if (count > SLUICE_PGOUT_COLUMNS_MAX) {
        return malformed(c, "more columns than a table can have");
    }
    const uint8_t *p = c->at + 2;
    const uint8_t *end = c->end;
    const char *problem = "the message is cut off";
    for (struct sluice_pgout_value *v = values; v < values + count; v++) {
        if (p == end) {
            goto bad;
        }
        v->kind = *p;
        if (v->kind == SLUICE_PGOUT_TEXT || v->kind == SLUICE_PGOUT_BINARY) {
            if (end - p < 5) {
                goto bad;
            }
            v->size = sluice_pg_get32(p + 1);
            if (v->size > (size_t)(end - p) - 5) {
                problem = "a value is longer than its message";
                goto bad;
            }
            v->data = p + 5;
            p += 5 + (size_t)v->size;
            continue;
        }
        if (v->kind != SLUICE_PGOUT_NULL && v->kind != SLUICE_PGOUT_UNCHANGED) {
            problem = "unknown kind of value";
            goto bad;
        }
        v->data = NULL;
        v->size = 0;
        p++;
    }
    c->at = p;
    out->values = values;
    out->count = count;
    return SLUICE_OK;
bad:
    c->at = p;
    return malformed(c, problem);
}

static sluice_status take_new(struct cursor *c, struct sluice_pgout_parser *parser,
                              struct sluice_pgout_message *out)
{
    SLUICE_TRY(need(c, 1));
    if (*c->at != 'N') {
        return malformed(c, "no new row where one belongs");
    }
    c->at++;
    return take_tuple(c, parser->new_values, &out->new_row);
}

static sluice_status take_old(struct cursor *c, struct sluice_pgout_parser *parser,
                              struct sluice_pgout_message *out)
{
    out->old_kind = take8(c);
    return take_tuple(c, parser->old_values, &out->old_row);
}

static sluice_status parse_insert(struct cursor *c, struct sluice_pgout_parser *parser,
                                  struct sluice_pgout_message *out)
{
    SLUICE_TRY(need(c, 4));
    out->relation = take32(c);
    return take_new(c, parser, out);
}

static sluice_status parse_update(struct cursor *c, struct sluice_pgout_parser *parser,
                                  struct sluice_pgout_message *out)
{
    SLUICE_TRY(need(c, 5));
    out->relation = take32(c);
    if (*c->at == 'K' || *c->at == 'O') {
        SLUICE_TRY(take_old(c, parser, out));
    }
    return take_new(c, parser, out);
}

static sluice_status parse_delete(struct cursor *c, struct sluice_pgout_parser *parser,
                                  struct sluice_pgout_message *out)
{
    SLUICE_TRY(need(c, 5));
    out->relation = take32(c);
    if (*c->at != 'K' && *c->at != 'O') {
        return malformed(c, "no old row where one belongs");
    }
    return take_old(c, parser, out);
}

static sluice_status parse_truncate(struct cursor *c, struct sluice_pgout_parser *parser,
                                    struct sluice_pgout_message *out)
{
    SLUICE_TRY(need(c, 5));
    uint32_t count = take32(c);
    if ((*c->at & ~(TRUNCATE_CASCADE | TRUNCATE_RESTART)) != 0) {
        return malformed(c, "unknown options");
    }
    uint8_t options = take8(c);
    if (left(c) / 4 < count) {
        return malformed(c, "the message is cut off");
    }
    if (count > parser->relations_cap) {
        uint32_t *grown = realloc(parser->relations, (size_t)count * sizeof *grown);
        if (grown == NULL) {
            return sluice_error_set(c->err, SLUICE_E_NOMEM, 0,
                                    "out of memory for a TRUNCATE of %u tables", count);
        }
        parser->relations = grown;
        parser->relations_cap = count;
    }
    for (uint32_t i = 0; i < count; i++) {
        parser->relations[i] = take32(c);
    }
    out->relations = parser->relations;
    out->relation_count = count;
    out->cascade = (options & TRUNCATE_CASCADE) != 0;
    out->restart_identity = (options & TRUNCATE_RESTART) != 0;
    return SLUICE_OK;
}

/* ---------------------------------------------------------------- the rest ------------------- */

static sluice_status parse_begin(struct cursor *c, struct sluice_pgout_message *out)
{
    SLUICE_TRY(need(c, 20));
    out->lsn = take64(c);
    out->time_us = take_time(c);
    out->xid = take32(c);
    return SLUICE_OK;
}

static sluice_status parse_commit(struct cursor *c, struct sluice_pgout_message *out)
{
    SLUICE_TRY(need(c, 25));
    if (*c->at != 0) {
        return malformed(c, "unknown flags");
    }
    c->at++;
    out->lsn = take64(c);
    out->end_lsn = take64(c);
    out->time_us = take_time(c);
    return SLUICE_OK;
}

static sluice_status parse_origin(struct cursor *c, struct sluice_pgout_message *out)
{
    SLUICE_TRY(need(c, 8));
    out->lsn = take64(c);
    return take_string(c, &out->name);
}

/* An empty namespace stands for pg_catalog. */
static sluice_status take_names(struct cursor *c, struct sluice_pgout_message *out)
{
    SLUICE_TRY(need(c, 4));
    out->relation = take32(c);
    SLUICE_TRY(take_string(c, &out->schema));
    if (out->schema[0] == '\0') {
        out->schema = "pg_catalog";
    }
    return take_string(c, &out->name);
}

static sluice_status parse_relation(struct cursor *c, struct sluice_pgout_parser *parser,
                                    struct sluice_pgout_message *out)
{
    SLUICE_TRY(take_names(c, out));
    SLUICE_TRY(need(c, 3));
    if (*c->at == 0 || strchr("dinf", *c->at) == NULL) {
        return malformed(c, "unknown replica identity");
    }
    out->identity = take8(c);
    uint32_t count = sluice_pg_get16(c->at);
    if (count > SLUICE_PGOUT_COLUMNS_MAX) {
        return malformed(c, "more columns than a table can have");
    }
    c->at += 2;
    for (uint32_t i = 0; i < count; i++) {
        struct sluice_pgout_column *column = &parser->columns[i];
        SLUICE_TRY(need(c, 1));
        if ((*c->at & ~COLUMN_KEY) != 0) {
            return malformed(c, "unknown flags of a column");
        }
        column->is_key = take8(c) & COLUMN_KEY;
        SLUICE_TRY(take_string(c, &column->name));
        SLUICE_TRY(need(c, 8));
        column->type = take32(c);
        column->typmod = (int32_t)take32(c);
    }
    out->columns = parser->columns;
    out->column_count = count;
    return SLUICE_OK;
}

static sluice_status parse_message(struct cursor *c, struct sluice_pgout_message *out)
{
    SLUICE_TRY(need(c, 9));
    if ((*c->at & ~MESSAGE_TRANSACTIONAL) != 0) {
        return malformed(c, "unknown flags");
    }
    out->transactional = take8(c) & MESSAGE_TRANSACTIONAL;
    out->lsn = take64(c);
    SLUICE_TRY(take_string(c, &out->name));
    SLUICE_TRY(need(c, 4));
    uint32_t size = sluice_pg_get32(c->at);
    if (size > left(c) - 4) {
        return malformed(c, "the content is longer than the message");
    }
    c->at += 4;
    out->content = c->at;
    out->content_size = size;
    c->at += size;
    return SLUICE_OK;
}

/* Messages of protocol versions and options that we do not ask for are told from garbage. */
static sluice_status unknown(const struct cursor *c)
{
    uint8_t type = c->start[0];
    if (type != 0 && strchr("SEcA", type) != NULL) {
        return malformed(c, "a message of streamed transactions, which were not asked for");
    }
    if (type != 0 && strchr("bPKrp", type) != NULL) {
        return malformed(c, "a message of two-phase commits, which were not asked for");
    }
    return malformed(c, "unknown message");
}

static sluice_status parse_body(struct cursor *c, struct sluice_pgout_parser *parser,
                                struct sluice_pgout_message *out)
{
    switch (out->type) {
    case SLUICE_PGOUT_INSERT:
        return parse_insert(c, parser, out);
    case SLUICE_PGOUT_UPDATE:
        return parse_update(c, parser, out);
    case SLUICE_PGOUT_DELETE:
        return parse_delete(c, parser, out);
    case SLUICE_PGOUT_BEGIN:
        return parse_begin(c, out);
    case SLUICE_PGOUT_COMMIT:
        return parse_commit(c, out);
    case SLUICE_PGOUT_RELATION:
        return parse_relation(c, parser, out);
    case SLUICE_PGOUT_TYPE:
        return take_names(c, out);
    case SLUICE_PGOUT_TRUNCATE:
        return parse_truncate(c, parser, out);
    case SLUICE_PGOUT_ORIGIN:
        return parse_origin(c, out);
    case SLUICE_PGOUT_MESSAGE:
        return parse_message(c, out);
    default:
        c->at = c->start;
        return unknown(c);
    }
}

sluice_status sluice_pgout_parse(struct sluice_pgout_parser *parser, const uint8_t *data,
                                 size_t size, struct sluice_pgout_message *out,
                                 struct sluice_error *err)
{
    struct cursor c = {data, data, data + size, err};
    if (size == 0) {
        return malformed(&c, "an empty message");
    }
    memset(out, 0, sizeof *out);
    out->type = take8(&c);
    SLUICE_TRY(parse_body(&c, parser, out));
    return c.at == c.end ? SLUICE_OK : malformed(&c, "bytes left over");
}

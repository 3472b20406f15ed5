/* COPY's binary stream: a header, rows of length-prefixed fields, a trailer. */
#include "pg/decode.h"
#include "pg/wire.h"

enum { SIGNATURE_SIZE = 11, HEADER_SIZE = SIGNATURE_SIZE + 8 };
static const uint8_t signature[SIGNATURE_SIZE] = {'P',  'G',  'C',  'O',  'P', 'Y',
                                                  '\n', 0xff, '\r', '\n', 0};
#define CRITICAL_FLAGS 0xffff0000u

static sluice_status malformed(const struct sluice_pg_copy *copy, const char *what,
                               struct sluice_error *err)
{
    return sluice_error_set(err, SLUICE_E_DATA, 0, "malformed COPY stream at row %llu: %s",
                            (unsigned long long)copy->row, what);
}

/* The bytes that the header takes, 0 if it is malformed. */
static size_t header_size(const uint8_t *data, size_t size)
{
    if (size < HEADER_SIZE || memcmp(data, signature, SIGNATURE_SIZE) != 0) {
        return 0;
    }
    uint32_t flags = sluice_pg_get32(data + SIGNATURE_SIZE);
    uint32_t extension = sluice_pg_get32(data + SIGNATURE_SIZE + 4);
    if ((flags & CRITICAL_FLAGS) != 0 || extension > size - HEADER_SIZE) {
        return 0;
    }
    return HEADER_SIZE + extension;
}

static sluice_status decode_fields(struct sluice_pg_copy *copy, const uint8_t *p,
                                   const uint8_t *end, struct sluice_error *err)
{
    struct sluice_pg_decoder *d = copy->decoders;
    struct sluice_pg_decoder *last = d + copy->count;
    for (; d < last; d++) {
        if (end - p < 4) {
            return malformed(copy, "torn row", err);
        }
        uint32_t size = sluice_pg_get32(p);
        p += 4;
        sluice_status st;
        if (size <= (size_t)(end - p)) {
            st = d->decode(d, p, size, err);
            p += size;
        }
        else if (size == UINT32_MAX) {
            st = d->nullable ? sluice_column_put_null(d->column, err)
                             : sluice_error_set(err, SLUICE_E_DATA, 0,
                                                "NULL in a column that is declared NOT NULL");
        }
        else {
            return malformed(copy, "torn field", err);
        }
        if (st < 0) {
            return sluice_error_wrap(err, "column %s, row %llu of the shard", d->name,
                                     (unsigned long long)copy->row);
        }
    }
    if (p != end) {
        return malformed(copy, "bytes after the last field", err);
    }
    return SLUICE_OK;
}

sluice_status sluice_pg_copy_message(struct sluice_pg_copy *copy, struct sluice_rows *rows,
                                     const uint8_t *data, size_t size, struct sluice_error *err)
{
    const uint8_t *p = data;
    const uint8_t *end = data + size;
    if (!copy->header_seen) {
        size_t header = header_size(data, size);
        if (header == 0) {
            return malformed(copy, "no COPY header", err);
        }
        copy->header_seen = 1;
        p += header;
        if (p == end) {
            return SLUICE_AGAIN;
        }
    }
    if (copy->trailer_seen || end - p < 2) {
        return malformed(copy, copy->trailer_seen ? "rows after the trailer" : "torn row", err);
    }
    uint16_t fields = sluice_pg_get16(p);
    p += 2;
    if (fields == UINT16_MAX) {
        if (p != end) {
            return malformed(copy, "bytes after the trailer", err);
        }
        copy->trailer_seen = 1;
        return SLUICE_END;
    }
    if (fields != copy->count) {
        return sluice_error_set(err, SLUICE_E_SCHEMA, 0,
                                "the server sends %u columns where %u were planned", fields,
                                copy->count);
    }
    sluice_status st = decode_fields(copy, p, end, err);
    if (st < 0) {
        sluice_rows_rollback(rows);
        return st;
    }
    sluice_rows_end_row(rows);
    copy->row++;
    return SLUICE_OK;
}

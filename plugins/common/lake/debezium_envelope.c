/*
 * What stands around the images of a row: `source`, `op` and the times. The constant parts are
 * rendered once; what a transaction has in common once per transaction.
 */
#include <stdlib.h>

#include "lake/debezium.h"
#include "lake/digits.h"
#include "lake/escape.h"
#include "sluice/position.h"

/* Who wrote it, where Debezium gives its own version. */
#define WRITER "sluice 0.1.0"

enum { TX_MAX = 256, LSN_BYTES = 8, SOURCE_NUMBERS = 256 };

sluice_status sluice_lake_dbz_buffer_room(struct sluice_lake_dbz_buffer *buf, uint64_t size,
                                          struct sluice_error *err)
{
    if (size <= buf->cap && buf->data != NULL) {
        return SLUICE_OK;
    }
    uint64_t cap = size < 64 ? 64 : size + size / 4;
    uint8_t *data = malloc(cap);
    if (data == NULL) {
        return sluice_error_set(err, SLUICE_E_NOMEM, 0, "no memory for a value of %llu bytes",
                                (unsigned long long)size);
    }
    free(buf->data);
    buf->data = data;
    buf->cap = cap;
    buf->size = 0;
    return SLUICE_OK;
}

sluice_status sluice_lake_dbz_buffer_set(struct sluice_lake_dbz_buffer *buf, const void *data,
                                         uint64_t size, struct sluice_error *err)
{
    SLUICE_TRY(sluice_lake_dbz_buffer_room(buf, size, err));
    if (size > 0) {
        memcpy(buf->data, data, size);
    }
    buf->size = size;
    return SLUICE_OK;
}

/* ---------------------------------------------------------------- constant parts ------------- */

static uint8_t *put_string(uint8_t *p, const char *s)
{
    *p++ = '"';
    p = sluice_lake_json_escape(p, (const uint8_t *)s, strlen(s));
    *p++ = '"';
    return p;
}

static const char *property(const struct sluice_stream_desc *desc, const char *key)
{
    for (uint32_t i = 0; i < desc->property_count; i++) {
        if (strcmp(desc->properties[i].key, key) == 0) {
            return desc->properties[i].value;
        }
    }
    return "";
}

static const char *part(const struct sluice_stream_desc *desc, uint32_t from_end)
{
    return desc->part_count > from_end ? desc->parts[desc->part_count - 1 - from_end] : "";
}

/* `open` + the value as a string + `more` [+ value2 + `close`] */
static sluice_status make_part(struct sluice_lake_dbz_buffer *buf, const char *open,
                               const char *value, const char *more, const char *value2,
                               const char *close, struct sluice_error *err)
{
    SLUICE_TRY(sluice_lake_dbz_buffer_room(buf,
                                           (strlen(value) + strlen(value2)) * 6 + strlen(open) +
                                               strlen(more) + strlen(close) + 64,
                                           err));
    uint8_t *p = sluice_lake_dbz_put(buf->data, open, strlen(open));
    p = put_string(p, value);
    p = sluice_lake_dbz_put(p, more, strlen(more));
    p = put_string(p, value2);
    p = sluice_lake_dbz_put(p, close, strlen(close));
    buf->size = (uint64_t)(p - buf->data);
    return SLUICE_OK;
}

sluice_status sluice_lake_dbz_envelope_make(struct sluice_lake_dbz *enc, struct sluice_error *err)
{
    const struct sluice_stream_desc *desc = enc->desc;
    const char *source = property(desc, "source");
    const char *connector = strcmp(source, "postgres") == 0 ? "postgresql" : source;
    const char *prefix = enc->options->topic_prefix != NULL ? enc->options->topic_prefix : "sluice";
    SLUICE_TRY(make_part(&enc->head_text, ",\"source\":{\"version\":\"" WRITER "\",\"connector\":",
                         connector, ",\"name\":", prefix, ",\"ts_ms\":", err));
    SLUICE_TRY(make_part(&enc->db_text, "\",\"db\":", property(desc, "database"),
                         ",\"sequence\":", "", "", err));
    enc->db_text.size -= 2; /* the sequence itself is put behind it */
    return make_part(&enc->name_text, ",\"schema\":", part(desc, 1), ",\"table\":", part(desc, 0),
                     ",\"txId\":", err);
}

/* ---------------------------------------------------------------- times ---------------------- */

static int64_t floor_div(int64_t a, int64_t b)
{
    int64_t q = a / b;
    return a % b < 0 ? q - 1 : q;
}

static uint8_t *put_ns(uint8_t *p, int64_t us)
{
    p = sluice_lake_put_i64(p, us);
    return us != 0 ? SLUICE_LAKE_DBZ_PUT(p, "000") : p;
}

void sluice_lake_dbz_envelope_bind(struct sluice_lake_dbz *enc, int64_t now_us)
{
    static const char before[] = "},\"transaction\":null,\"op\":\"";
    uint8_t *p = SLUICE_LAKE_DBZ_PUT(enc->tail, before);
    enc->tail_op = sizeof before - 1;
    p = SLUICE_LAKE_DBZ_PUT(p, "?\",\"ts_ms\":");
    p = sluice_lake_put_i64(p, floor_div(now_us, 1000));
    p = SLUICE_LAKE_DBZ_PUT(p, ",\"ts_us\":");
    p = sluice_lake_put_i64(p, now_us);
    p = SLUICE_LAKE_DBZ_PUT(p, ",\"ts_ns\":");
    p = put_ns(p, now_us);
    p = SLUICE_LAKE_DBZ_PUT(p, "}\n");
    enc->tail_size = (uint32_t)(p - enc->tail);
}

/* ---------------------------------------------------------------- source --------------------- */

static int32_t same_bytes(const struct sluice_lake_dbz_buffer *buf, struct sluice_bytes b)
{
    return buf->size == b.size && (b.size == 0 || memcmp(buf->data, b.data, b.size) == 0);
}

static int32_t is_same(const struct sluice_lake_dbz *enc, const struct sluice_lake_dbz_stamp *stamp)
{
    return enc->source_valid && enc->source_time_us == stamp->time_us &&
           enc->source_timed == stamp->timed && enc->source_load == stamp->load &&
           same_bytes(&enc->source_position, stamp->position) &&
           same_bytes(&enc->source_tx, stamp->tx);
}

static int32_t all_digits(struct sluice_bytes b)
{
    const char *s = b.data;
    for (uint64_t i = 0; i < b.size; i++) {
        if (s[i] < '0' || s[i] > '9') {
            return 0;
        }
    }
    return b.size > 0 && b.size <= 19 && (*s != '0' || b.size == 1);
}

static uint8_t *put_number(uint8_t *p, int32_t known, int64_t v)
{
    return known ? sluice_lake_put_i64(p, v) : SLUICE_LAKE_DBZ_PUT(p, "null");
}

static uint8_t *put_buffer(uint8_t *p, const struct sluice_lake_dbz_buffer *buf)
{
    return sluice_lake_dbz_put(p, (const char *)buf->data, buf->size);
}

static uint8_t *put_tx(uint8_t *p, struct sluice_bytes tx)
{
    if (tx.size == 0) {
        return SLUICE_LAKE_DBZ_PUT(p, "null");
    }
    if (all_digits(tx)) {
        return sluice_lake_dbz_put(p, tx.data, tx.size);
    }
    *p++ = '"';
    p = sluice_lake_json_escape(p, tx.data, tx.size);
    *p++ = '"';
    return p;
}

static uint8_t *put_source(const struct sluice_lake_dbz *enc,
                           const struct sluice_lake_dbz_stamp *stamp, uint8_t *p)
{
    int32_t has_lsn = stamp->position.size == LSN_BYTES;
    uint64_t lsn = has_lsn ? sluice_get_be64(stamp->position.data) : 0;
    p = put_buffer(p, &enc->head_text);
    p = put_number(p, stamp->timed, floor_div(stamp->time_us, 1000));
    p = stamp->load ? SLUICE_LAKE_DBZ_PUT(p, ",\"snapshot\":\"true")
                    : SLUICE_LAKE_DBZ_PUT(p, ",\"snapshot\":\"false");
    p = put_buffer(p, &enc->db_text);
    if (has_lsn) {
        p = SLUICE_LAKE_DBZ_PUT(p, "\"[null,\\\"");
        p = sluice_lake_put_u64(p, lsn);
        p = SLUICE_LAKE_DBZ_PUT(p, "\\\"]\"");
    }
    else {
        p = SLUICE_LAKE_DBZ_PUT(p, "null");
    }
    p = SLUICE_LAKE_DBZ_PUT(p, ",\"ts_us\":");
    p = put_number(p, stamp->timed, stamp->time_us);
    p = SLUICE_LAKE_DBZ_PUT(p, ",\"ts_ns\":");
    p = stamp->timed ? put_ns(p, stamp->time_us) : SLUICE_LAKE_DBZ_PUT(p, "null");
    p = put_buffer(p, &enc->name_text);
    p = put_tx(p, stamp->tx);
    p = SLUICE_LAKE_DBZ_PUT(p, ",\"lsn\":");
    p = has_lsn ? sluice_lake_put_u64(p, lsn) : SLUICE_LAKE_DBZ_PUT(p, "null");
    p = SLUICE_LAKE_DBZ_PUT(p, ",\"xmin\":null,\"origin\":null,\"origin_lsn\":null,\"_pos\":\"");
    sluice_hex_encode(stamp->position.data, stamp->position.size, (char *)p);
    p += stamp->position.size * 2;
    return SLUICE_LAKE_DBZ_PUT(p, "\",\"_seq\":");
}

/* Renders `source` anew for another transaction. */
static sluice_status make_source(struct sluice_lake_dbz *enc,
                                 const struct sluice_lake_dbz_stamp *stamp,
                                 struct sluice_error *err)
{
    enc->source_valid = 0;
    if (stamp->position.size > SLUICE_LAKE_POSITION_MAX || stamp->tx.size > TX_MAX) {
        return sluice_error_set(
            err, SLUICE_E_LIMIT, 0, "a position of %llu bytes, a transaction id of %llu bytes",
            (unsigned long long)stamp->position.size, (unsigned long long)stamp->tx.size);
    }
    SLUICE_TRY(sluice_lake_dbz_buffer_set(&enc->source_position, stamp->position.data,
                                          stamp->position.size, err));
    SLUICE_TRY(sluice_lake_dbz_buffer_set(&enc->source_tx, stamp->tx.data, stamp->tx.size, err));
    SLUICE_TRY(sluice_lake_dbz_buffer_room(&enc->source,
                                           enc->head_text.size + enc->db_text.size +
                                               enc->name_text.size + stamp->position.size * 2 +
                                               stamp->tx.size * 6 + SOURCE_NUMBERS * 2,
                                           err));
    enc->source_time_us = stamp->time_us;
    enc->source_timed = stamp->timed;
    enc->source_load = stamp->load;
    enc->source.size = (uint64_t)(put_source(enc, stamp, enc->source.data) - enc->source.data);
    enc->source_valid = 1;
    return SLUICE_OK;
}

uint8_t *sluice_lake_dbz_envelope_end(struct sluice_lake_dbz *enc,
                                      const struct sluice_lake_dbz_stamp *stamp, char op,
                                      uint8_t *p)
{
    if (!is_same(enc, stamp)) {
        sluice_status st = make_source(enc, stamp, enc->out->err);
        if (st < 0) {
            sluice_lake_out_fail(enc->out, st);
            return p;
        }
    }
    p = sluice_lake_out_bytes(enc->out, p, enc->source.data, enc->source.size);
    p = sluice_lake_out_room(enc->out, p, sizeof enc->tail + 32);
    p = sluice_lake_put_i64(p, stamp->seq);
    memcpy(p, enc->tail, sizeof enc->tail);
    p[enc->tail_op] = (uint8_t)op;
    return p + enc->tail_size;
}

/* A value in its wire form as JSON, for letters and messages. Not hot. */
#include <stdio.h>
#include <string.h>

#include "lake/floats.h"
#include "lake/times.h"
#include "pg/encode.h"
#include "pg/text.h"

static uint64_t get_be(const uint8_t *p, int n)
{
    uint64_t v = 0;
    for (int i = 0; i < n; i++) {
        v = v << 8 | p[i];
    }
    return v;
}

static void add_quoted(struct sluice_pg_text *out, const uint8_t *bytes, size_t size)
{
    sluice_pg_text_add(out, "\"");
    for (size_t i = 0; i < size; i++) {
        char c = (char)bytes[i];
        if (c == '"' || c == '\\') {
            sluice_pg_text_format(out, "\\%c", c);
        }
        else if (bytes[i] < 0x20) {
            sluice_pg_text_format(out, "\\u%04x", bytes[i]);
        }
        else {
            sluice_pg_text_bytes(out, &c, 1);
        }
    }
    sluice_pg_text_add(out, "\"");
}

static void add_numeric(struct sluice_pg_text *out, const uint8_t *p, int32_t size)
{
    int count = (int)get_be(p, 2);
    int weight = (int16_t)get_be(p + 2, 2);
    unsigned sign = (unsigned)get_be(p + 4, 2);
    int scale = (int)get_be(p + 6, 2);
    if (sign == 0xC000 || size < 8 + 2 * count) {
        sluice_pg_text_add(out, "\"NaN\"");
        return;
    }
    sluice_pg_text_add(out, sign == 0x4000 ? "-" : "");
    for (int i = 0; i <= weight || i == 0; i++) {
        unsigned digit = weight >= 0 && i < count ? (unsigned)get_be(p + 8 + 2 * i, 2) : 0;
        sluice_pg_text_format(out, i == 0 ? "%u" : "%04u", digit);
    }
    if (scale > 0) {
        sluice_pg_text_add(out, ".");
    }
    for (int done = 0, i = weight + 1; done < scale; i++) {
        char text[8];
        unsigned digit = i >= 0 && i < count ? (unsigned)get_be(p + 8 + 2 * i, 2) : 0;
        (void)snprintf(text, sizeof text, "%04u", digit % 10000u);
        int take = scale - done < 4 ? scale - done : 4;
        sluice_pg_text_bytes(out, text, (size_t)take);
        done += take;
    }
}

static void add_float(struct sluice_pg_text *out, const uint8_t *p, int32_t size)
{
    uint8_t text[SLUICE_LAKE_FLOAT_MAX];
    uint8_t *end = NULL;
    int special = 0;
    if (size == 4) {
        uint32_t bits = (uint32_t)get_be(p, 4);
        float f;
        memcpy(&f, &bits, 4);
        special = sluice_lake_f32_special(f);
        end = sluice_lake_put_f32(text, f);
    }
    else {
        uint64_t bits = get_be(p, 8);
        double d;
        memcpy(&d, &bits, 8);
        special = sluice_lake_f64_special(d);
        end = sluice_lake_put_f64(text, d);
    }
    if (special) {
        add_quoted(out, text, (size_t)(end - text));
        return;
    }
    sluice_pg_text_bytes(out, (const char *)text, (size_t)(end - text));
}

static void add_time(struct sluice_pg_text *out, uint32_t oid, const uint8_t *p)
{
    uint8_t text[SLUICE_LAKE_TIMESTAMP_MAX];
    uint8_t *end = text;
    if (oid == 1082) {
        int32_t days = (int32_t)get_be(p, 4);
        int endless = days == INT32_MAX || days == INT32_MIN;
        end = sluice_lake_put_date(text, endless ? days : days + 10957, SLUICE_LAKE_SPECIAL);
    }
    else if (oid == 1083) {
        end = sluice_lake_put_time(text, (int64_t)get_be(p, 8));
    }
    else {
        int64_t us = (int64_t)get_be(p, 8);
        int endless = us == INT64_MAX || us == INT64_MIN;
        end = sluice_lake_put_timestamp(text, endless ? us : us + 946684800000000ll,
                                        SLUICE_LAKE_XSD | SLUICE_LAKE_SPECIAL |
                                            (oid == 1184 ? SLUICE_LAKE_UTC : 0u));
    }
    add_quoted(out, text, (size_t)(end - text));
}

static void add_hex(struct sluice_pg_text *out, const uint8_t *bytes, int32_t size, int uuid)
{
    sluice_pg_text_add(out, uuid ? "\"" : "\"\\\\x");
    for (int32_t i = 0; i < size; i++) {
        sluice_pg_text_format(out, "%s%02x",
                              uuid && (i == 4 || i == 6 || i == 8 || i == 10) ? "-" : "", bytes[i]);
    }
    sluice_pg_text_add(out, "\"");
}

void sluice_pg_field_json(uint32_t oid, int32_t binary, const uint8_t *bytes, int32_t size,
                          struct sluice_pg_text *out)
{
    if (size < 0) {
        sluice_pg_text_add(out, "null");
        return;
    }
    if (!binary) {
        add_quoted(out, bytes, (size_t)size);
        return;
    }
    switch (oid) {
    case 16:
        sluice_pg_text_add(out, bytes[0] ? "true" : "false");
        return;
    case 20:
    case 21:
    case 23: {
        uint64_t v = get_be(bytes, size);
        int64_t number = size == 2 ? (int16_t)v : size == 4 ? (int32_t)v : (int64_t)v;
        sluice_pg_text_format(out, "%lld", (long long)number);
        return;
    }
    case 26:
        sluice_pg_text_format(out, "\"%llu\"", (unsigned long long)get_be(bytes, 4));
        return;
    case 700:
    case 701:
        add_float(out, bytes, size);
        return;
    case 1700:
        add_numeric(out, bytes, size);
        return;
    case 1082:
    case 1083:
    case 1114:
    case 1184:
        add_time(out, oid, bytes);
        return;
    case 17:
    case 2950:
        add_hex(out, bytes, size, oid == 2950);
        return;
    case 114:
        sluice_pg_text_bytes(out, (const char *)bytes, (size_t)size);
        return;
    case 3802:
        sluice_pg_text_bytes(out, (const char *)bytes + 1, (size_t)size - 1);
        return;
    default:
        add_quoted(out, bytes, (size_t)size);
        return;
    }
}

/*
 * db-lib gives values in forms of its own: strings in UTF-8, decimals as sign and big-endian bytes, times as
 * DBDATETIMEALL in 100 ns. None is converted by the library, which would lose digits.
 */
#include "tds/column.h"

#include "tds/conn.h"
#include "tds/utf16.h"

#include <stdio.h>
#include <string.h>
#include <sybfront.h>

#include <sybdb.h>

enum { EPOCH_1900 = -25567 /* days of 1900-01-01 since 1970-01-01 */ };
__extension__ typedef unsigned __int128 u128;

#define DAY_US 86400000000ll
#define DAY_TICKS 864000000000ll

static sluice_status malformed(const struct sluice_tds_decoder *d, struct sluice_bytes value,
                               struct sluice_error *err)
{
    return sluice_error_set(err, SLUICE_E_DATA, 0,
                            "column %.128s (%s): %llu bytes are no value of its type", d->name,
                            d->native, (unsigned long long)value.size);
}

static sluice_status refuse(const struct sluice_tds_decoder *d, const char *why,
                            struct sluice_error *err)
{
    return sluice_error_set(err, SLUICE_E_DATA, SLUICE_ERROR_ROW_LEVEL, "column %.128s (%s): %s",
                            d->name, d->native, why);
}

/* ---- numbers ---- */

static sluice_status decode_bit(const struct sluice_tds_decoder *d, struct sluice_bytes v,
                                struct sluice_column *out, struct sluice_error *err)
{
    if (v.size != 1) {
        return malformed(d, v, err);
    }
    sluice_column_put_bool(out, *(const uint8_t *)v.data != 0);
    return SLUICE_OK;
}

static sluice_status decode_tinyint(const struct sluice_tds_decoder *d, struct sluice_bytes v,
                                    struct sluice_column *out, struct sluice_error *err)
{
    if (v.size != 1) {
        return malformed(d, v, err);
    }
    const int16_t wide = *(const uint8_t *)v.data;
    sluice_column_put_fixed(out, &wide);
    return SLUICE_OK;
}

/* Little-endian as in memory: integers, floats, and the sixteen bytes of nothing else. */
static sluice_status decode_same(const struct sluice_tds_decoder *d, struct sluice_bytes v,
                                 struct sluice_column *out, struct sluice_error *err)
{
    if (v.size != (uint64_t)d->type.width) {
        return malformed(d, v, err);
    }
    sluice_column_put_fixed(out, v.data);
    return SLUICE_OK;
}

static void put_128(struct sluice_column *out, u128 magnitude, int negative)
{
    if (negative) {
        magnitude = 0 - magnitude;
    }
    const uint64_t words[2] = {(uint64_t)magnitude, (uint64_t)(magnitude >> 64)};
    sluice_column_put_fixed(out, words);
}

/* DBDECIMAL: precision, scale, sign (1 = negative), then the magnitude, most significant byte first. */
static sluice_status decode_decimal(const struct sluice_tds_decoder *d, struct sluice_bytes v,
                                    struct sluice_column *out, struct sluice_error *err)
{
    const uint8_t *p = v.data;
    u128 magnitude = 0;
    if (v.size < 4 || p[1] != d->scale || p[0] > 38) {
        return malformed(d, v, err);
    }
    /* Bytes that a magnitude of so many digits takes: log2(10) / 8 for each. */
    const uint32_t bytes = ((uint32_t)p[0] * 83241u + 200399u) / 200400u;
    for (uint32_t i = 0; i < bytes && 3 + i < v.size; i++) {
        magnitude = magnitude << 8 | p[3 + i];
    }
    if (magnitude >= ((u128)d->limit[1] << 64 | d->limit[0])) {
        return malformed(d, v, err);
    }
    put_128(out, magnitude, p[2] != 0);
    return SLUICE_OK;
}

/* DBMONEY: the upper half first; smallmoney is one half. */
static sluice_status decode_money(const struct sluice_tds_decoder *d, struct sluice_bytes v,
                                  struct sluice_column *out, struct sluice_error *err)
{
    int64_t units = 0;
    if (v.size == 4) {
        int32_t small = 0;
        memcpy(&small, v.data, 4);
        units = small;
    }
    else if (v.size == 8 && d->type.precision == 19) {
        int32_t high = 0;
        uint32_t low = 0;
        memcpy(&high, v.data, 4);
        memcpy(&low, (const uint8_t *)v.data + 4, 4);
        units = (int64_t)((uint64_t)(int64_t)high << 32 | low);
    }
    else {
        return malformed(d, v, err);
    }
    put_128(out, units < 0 ? 0 - (uint64_t)units : (uint64_t)units, units < 0);
    return SLUICE_OK;
}

/* ---- texts and bytes ---- */

static sluice_status decode_bytes(const struct sluice_tds_decoder *d, struct sluice_bytes v,
                                  struct sluice_column *out, struct sluice_error *err)
{
    (void)d;
    return sluice_column_put_bytes(out, v.data, v.size, err);
}

/* UTF-16LE: the column was cast to varbinary, so that db-lib's iconv is not in the way, which is slow and makes
 * question marks of what is no UTF-16. */
static sluice_status decode_utf16(const struct sluice_tds_decoder *d, struct sluice_bytes v,
                                  struct sluice_column *out, struct sluice_error *err)
{
    if (v.size % 2 != 0) {
        return malformed(d, v, err);
    }
    const uint64_t units = v.size / 2;
    uint8_t *to = sluice_column_room(out, 3 * units, err);
    if (to == NULL) {
        return err != NULL && err->status < 0 ? err->status : SLUICE_E_NOMEM;
    }
    const int64_t used = sluice_tds_utf16_to_utf8(v.data, units, to);
    if (used < 0) {
        return refuse(d, "a text has half a surrogate pair, which is no character", err);
    }
    sluice_column_put_room(out, (uint64_t)used);
    return SLUICE_OK;
}

/* Mixed-endian: the first three parts are numbers (MS-DTYP 2.3.4). */
static sluice_status decode_guid(const struct sluice_tds_decoder *d, struct sluice_bytes v,
                                 struct sluice_column *out, struct sluice_error *err)
{
    static const uint8_t from[16] = {3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15};
    uint8_t to[16];
    if (v.size != 16) {
        return malformed(d, v, err);
    }
    for (int i = 0; i < 16; i++) {
        to[i] = ((const uint8_t *)v.data)[from[i]];
    }
    sluice_column_put_fixed(out, to);
    return SLUICE_OK;
}

/* ---- times ---- */

/* What DBDATETIMEALL says: days since 1970, ticks of 100 ns since midnight, minutes east of UTC. Of a
 * datetimeoffset both are those of UTC. */
static int take_times(struct sluice_bytes v, int64_t *days, int64_t *ticks, int32_t *offset)
{
    DBDATETIMEALL all;
    if (v.size < sizeof all) {
        return 0;
    }
    memcpy(&all, v.data, sizeof all);
    *days = (int64_t)all.date + EPOCH_1900;
    *ticks = (int64_t)all.time;
    *offset = all.offset;
    /* Year 1 to 9999, and a day either way, which offsets may cross. */
    return *ticks >= 0 && *ticks < DAY_TICKS && *days >= -719163 && *days <= 2932897;
}

/* Year, month, day of days since 1970-01-01 (proleptic Gregorian; H. Hinnant, "chrono-compatible low-level date
 * algorithms"). */
static void civil(int64_t days, int *year, int *month, int *day)
{
    const int64_t z = days + 719468;
    const int64_t era = (z >= 0 ? z : z - 146096) / 146097;
    const int64_t doe = z - era * 146097;
    const int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    const int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    const int64_t mp = (5 * doy + 2) / 153;
    *day = (int)(doy - (153 * mp + 2) / 5 + 1);
    *month = (int)(mp < 10 ? mp + 3 : mp - 9);
    *year = (int)(yoe + era * 400 + (*month <= 2));
}

static int put_clock(char *out, size_t size, int64_t ticks, int scale)
{
    int64_t fraction = ticks % 10000000;
    int n = snprintf(out, size, "%02d:%02d:%02d", (int)(ticks / 36000000000),
                     (int)(ticks / 600000000 % 60), (int)(ticks / 10000000 % 60));
    for (int i = scale; i < 7; i++) {
        fraction /= 10;
    }
    return scale > 0 ? n + snprintf(out + n, size - (size_t)n, ".%0*d", scale, (int)fraction) : n;
}

static sluice_status decode_date(const struct sluice_tds_decoder *d, struct sluice_bytes v,
                                 struct sluice_column *out, struct sluice_error *err)
{
    int64_t days = 0;
    int64_t ticks = 0;
    int32_t offset = 0;
    if (!take_times(v, &days, &ticks, &offset)) {
        return malformed(d, v, err);
    }
    const int32_t day = (int32_t)days;
    sluice_column_put_fixed(out, &day);
    return SLUICE_OK;
}

static sluice_status micros(const struct sluice_tds_decoder *d, int64_t ticks, int64_t *out,
                            struct sluice_error *err)
{
    if (ticks % 10 != 0 && d->fine == SLUICE_TDS_FINE_FAIL) {
        return refuse(
            d,
            "a time is finer than a microsecond (hint: fine_times: text keeps all digits, "
            "truncate cuts the last one)",
            err);
    }
    *out = ticks / 10;
    return SLUICE_OK;
}

static sluice_status decode_time(const struct sluice_tds_decoder *d, struct sluice_bytes v,
                                 struct sluice_column *out, struct sluice_error *err)
{
    int64_t days = 0;
    int64_t ticks = 0;
    int64_t us = 0;
    int32_t offset = 0;
    if (!take_times(v, &days, &ticks, &offset)) {
        return malformed(d, v, err);
    }
    SLUICE_TRY(micros(d, ticks, &us, err));
    sluice_column_put_fixed(out, &us);
    return SLUICE_OK;
}

static sluice_status decode_datetime2(const struct sluice_tds_decoder *d, struct sluice_bytes v,
                                      struct sluice_column *out, struct sluice_error *err)
{
    int64_t days = 0;
    int64_t ticks = 0;
    int64_t us = 0;
    int32_t offset = 0;
    if (!take_times(v, &days, &ticks, &offset)) {
        return malformed(d, v, err);
    }
    SLUICE_TRY(micros(d, ticks, &us, err));
    us += days * DAY_US;
    sluice_column_put_fixed(out, &us);
    return SLUICE_OK;
}

/* All digits, as CONVERT(…, 126 or 127) prints them: 12:34:56.1234567, 2024-02-29T12:34:56.1234567+05:30. */
static sluice_status decode_time_text(const struct sluice_tds_decoder *d, struct sluice_bytes v,
                                      struct sluice_column *out, struct sluice_error *err)
{
    char text[64];
    int64_t days = 0;
    int64_t ticks = 0;
    int32_t offset = 0;
    int n = 0;
    if (!take_times(v, &days, &ticks, &offset)) {
        return malformed(d, v, err);
    }
    const int zoned = strncmp(d->native, "datetimeoffset", 14) == 0;
    if (zoned) { /* as it was written: local, and its distance to UTC */
        ticks += (int64_t)offset * 600000000;
        days += ticks < 0 ? -1 : ticks >= DAY_TICKS;
        ticks += ticks < 0 ? DAY_TICKS : ticks >= DAY_TICKS ? -DAY_TICKS : 0;
    }
    if (strncmp(d->native, "time", 4) != 0) {
        int year = 0;
        int month = 0;
        int day = 0;
        civil(days, &year, &month, &day);
        n = snprintf(text, sizeof text, "%04d-%02d-%02dT", year, month, day);
    }
    n += put_clock(text + n, sizeof text - (size_t)n, ticks, d->scale);
    if (zoned) {
        const int minutes = offset < 0 ? -offset : offset;
        n += snprintf(text + n, sizeof text - (size_t)n, "%c%02d:%02d", offset < 0 ? '-' : '+',
                      minutes / 60, minutes % 60);
    }
    return sluice_column_put_bytes(out, text, (uint64_t)n, err);
}

/* DBDATETIME: days since 1900 and 1/300 s, printed with three digits: .003, .007, .010. */
static sluice_status decode_datetime(const struct sluice_tds_decoder *d, struct sluice_bytes v,
                                     struct sluice_column *out, struct sluice_error *err)
{
    int64_t us = 0;
    if (v.size == sizeof(DBDATETIME)) {
        int32_t days = 0;
        uint32_t parts = 0;
        memcpy(&days, v.data, 4);
        memcpy(&parts, (const uint8_t *)v.data + 4, 4);
        if (days < -53690 || days > 2958463 || parts >= 25920000) { /* 1753 to 9999 */
            return malformed(d, v, err);
        }
        const int64_t ms = ((int64_t)parts * 10 + 1) / 3;
        us = ((int64_t)days + EPOCH_1900) * DAY_US + ms * 1000;
    }
    else if (v.size == 4) { /* smalldatetime: days and minutes */
        uint16_t days = 0;
        uint16_t minutes = 0;
        memcpy(&days, v.data, 2);
        memcpy(&minutes, (const uint8_t *)v.data + 2, 2);
        us = ((int64_t)days + EPOCH_1900) * DAY_US + (int64_t)minutes * 60000000;
    }
    else {
        return malformed(d, v, err);
    }
    sluice_column_put_fixed(out, &us);
    return SLUICE_OK;
}

/* ---- choosing ---- */

#define RAW "CAST($ AS varbinary(8000))"
#define RAW_MAX "CAST($ AS varbinary(max))"
/* Of a code page: the server makes UTF-16 of it, since it alone knows each collation's. A character of any page takes
 * no fewer bytes than UTF-16 has units. */
#define WIDE "CAST(CAST($ AS nvarchar(4000)) AS varbinary(8000))"
#define WIDE_MAX "CAST(CAST($ AS nvarchar(max)) AS varbinary(max))"
enum { WIDE_UNITS = 4000 };
/* db-lib delivers no sql_variant whole: the server prints the value that is in it, by its base type, with all digits. Floats
 * in 17 and 9 digits (style 3), money with four decimals (2), bytes as 0x… (1). A cast to (max) is not allowed from a
 * variant, and one to nvarchar(4000) would cut a longer varchar. */
#define VARIANT                                                                                 \
    "CAST(CAST((SELECT CASE t WHEN N'float' THEN CONVERT(nvarchar(40), CAST(v AS float), 3) "   \
    "WHEN N'real' THEN CONVERT(nvarchar(40), CAST(v AS real), 3) "                              \
    "WHEN N'money' THEN CONVERT(nvarchar(40), CAST(v AS money), 2) "                            \
    "WHEN N'smallmoney' THEN CONVERT(nvarchar(40), CAST(v AS money), 2) "                       \
    "WHEN N'datetime' THEN CONVERT(nvarchar(40), CAST(v AS datetime2(3)), 121) "                \
    "WHEN N'smalldatetime' THEN CONVERT(nvarchar(40), CAST(v AS datetime2(0)), 121) "           \
    "WHEN N'varchar' THEN CAST(CAST(v AS varchar(8000)) AS nvarchar(max)) "                     \
    "WHEN N'char' THEN CAST(CAST(v AS varchar(8000)) AS nvarchar(max)) "                        \
    "WHEN N'varbinary' THEN CONVERT(nvarchar(max), CAST(v AS varbinary(8000)), 1) "             \
    "WHEN N'binary' THEN CONVERT(nvarchar(max), CAST(v AS varbinary(8000)), 1) "                \
    "ELSE CAST(v AS nvarchar(4000)) END FROM (SELECT $ AS v, "                                  \
    "CAST(SQL_VARIANT_PROPERTY($, 'BaseType') AS nvarchar(128)) AS t) x) AS nvarchar(max)) AS " \
    "varbinary(max))"

static const struct {
    const char *name;
    sluice_tds_decode_fn decode;
    struct sluice_type type;
    const char *form; /* NULL = the column as it is */
} plain[] = {
    {"bit", decode_bit, {SLUICE_TYPE_BOOL, 0, 0, 0}, NULL},
    {"tinyint", decode_tinyint, {SLUICE_TYPE_INT16, 0, 0, 2}, NULL},
    {"smallint", decode_same, {SLUICE_TYPE_INT16, 0, 0, 2}, NULL},
    {"int", decode_same, {SLUICE_TYPE_INT32, 0, 0, 4}, NULL},
    {"bigint", decode_same, {SLUICE_TYPE_INT64, 0, 0, 8}, NULL},
    {"real", decode_same, {SLUICE_TYPE_FLOAT32, 0, 0, 4}, NULL},
    {"float", decode_same, {SLUICE_TYPE_FLOAT64, 0, 0, 8}, NULL},
    {"money", decode_money, {SLUICE_TYPE_DECIMAL128, 19, 4, 16}, NULL},
    {"smallmoney", decode_money, {SLUICE_TYPE_DECIMAL128, 10, 4, 16}, NULL},
    {"char", decode_utf16, {SLUICE_TYPE_UTF8, 0, 0, 0}, WIDE},
    {"varchar", decode_utf16, {SLUICE_TYPE_UTF8, 0, 0, 0}, WIDE},
    {"nchar", decode_utf16, {SLUICE_TYPE_UTF8, 0, 0, 0}, RAW},
    {"nvarchar", decode_utf16, {SLUICE_TYPE_UTF8, 0, 0, 0}, RAW},
    {"text", decode_utf16, {SLUICE_TYPE_UTF8, 0, 0, 0}, WIDE_MAX},
    {"ntext", decode_utf16, {SLUICE_TYPE_UTF8, 0, 0, 0}, WIDE_MAX},
    {"xml", decode_utf16, {SLUICE_TYPE_UTF8, 0, 0, 0}, WIDE_MAX},
    {"sql_variant", decode_utf16, {SLUICE_TYPE_UTF8, 0, 0, 0}, VARIANT},
    {"sysname", decode_utf16, {SLUICE_TYPE_UTF8, 0, 0, 0}, RAW},
    {"binary", decode_bytes, {SLUICE_TYPE_BINARY, 0, 0, 0}, NULL},
    {"varbinary", decode_bytes, {SLUICE_TYPE_BINARY, 0, 0, 0}, NULL},
    {"image", decode_bytes, {SLUICE_TYPE_BINARY, 0, 0, 0}, NULL},
    {"timestamp", decode_bytes, {SLUICE_TYPE_BINARY, 0, 0, 0}, NULL},
    {"rowversion", decode_bytes, {SLUICE_TYPE_BINARY, 0, 0, 0}, NULL},
    {"uniqueidentifier", decode_guid, {SLUICE_TYPE_FIXED_BINARY, 0, 0, 16}, NULL},
    {"date", decode_date, {SLUICE_TYPE_DATE32, 0, 0, 4}, NULL},
    {"datetime", decode_datetime, {SLUICE_TYPE_TIMESTAMP_US, 0, 0, 8}, NULL},
    {"smalldatetime", decode_datetime, {SLUICE_TYPE_TIMESTAMP_US, 0, 0, 8}, NULL},
};

static void name_native(const struct sluice_tds_column *c, char out[80])
{
    static const char *const wide[] = {"nchar", "nvarchar"};
    static const char *const sized[] = {"char", "varchar", "binary", "varbinary"};
    for (int i = 0; i < 2; i++) {
        if (strcmp(c->type, wide[i]) == 0) {
            (void)snprintf(out, 80, c->max_length < 0 ? "%.40s(max)" : "%.40s(%d)", c->type,
                           c->max_length / 2);
            return;
        }
    }
    for (int i = 0; i < 4; i++) {
        if (strcmp(c->type, sized[i]) == 0) {
            (void)snprintf(out, 80, c->max_length < 0 ? "%.40s(max)" : "%.40s(%d)", c->type,
                           c->max_length);
            return;
        }
    }
    if (strcmp(c->type, "decimal") == 0 || strcmp(c->type, "numeric") == 0) {
        (void)snprintf(out, 80, "%.40s(%d,%d)", c->type, c->precision, c->scale);
    }
    else if (strcmp(c->type, "time") == 0 || strcmp(c->type, "datetime2") == 0 ||
             strcmp(c->type, "datetimeoffset") == 0) {
        (void)snprintf(out, 80, "%.40s(%d)", c->type, c->scale);
    }
    else {
        (void)snprintf(out, 80, "%.60s", c->type);
    }
}

static void choose(struct sluice_tds_decoder *d, sluice_tds_decode_fn decode, int32_t id,
                   int32_t width)
{
    d->decode = decode;
    d->type = (struct sluice_type){id, 0, 0, width};
}

static int choose_fine(const struct sluice_tds_column *c, struct sluice_tds_decoder *d)
{
    const int as_text = c->scale > 6 && d->fine == SLUICE_TDS_FINE_TEXT;
    if (strcmp(c->type, "datetimeoffset") == 0) {
        choose(d, decode_time_text, SLUICE_TYPE_UTF8, 0); /* else its offset would be lost */
    }
    else if (strcmp(c->type, "time") == 0) {
        choose(d, as_text ? decode_time_text : decode_time,
               as_text ? SLUICE_TYPE_UTF8 : SLUICE_TYPE_TIME64_US, as_text ? 0 : 8);
    }
    else if (strcmp(c->type, "datetime2") == 0) {
        choose(d, as_text ? decode_time_text : decode_datetime2,
               as_text ? SLUICE_TYPE_UTF8 : SLUICE_TYPE_TIMESTAMP_US, as_text ? 0 : 8);
    }
    else {
        return 0;
    }
    return 1;
}

/* Types of the CLR come over the wire in a form that db-lib does not read. */
static sluice_status choose_clr(const struct sluice_tds_column *c, int32_t how,
                                struct sluice_tds_decoder *d, struct sluice_error *err)
{
    if (how == SLUICE_TDS_CLR_FAIL) {
        return sluice_error_set(err, SLUICE_E_UNSUPPORTED, 0,
                                "column %.128s: type %s is not read (hint: clr_types: bytes or "
                                "text, or columns: {exclude: […]})",
                                c->name, c->type);
    }
    const int text = how == SLUICE_TDS_CLR_TEXT;
    choose(d, decode_bytes, text ? SLUICE_TYPE_UTF8 : SLUICE_TYPE_BINARY, 0);
    d->form = text ? "CAST($.ToString() AS nvarchar(max))" : RAW_MAX;
    return SLUICE_OK;
}

static int is_clr(const char *type)
{
    return strcmp(type, "hierarchyid") == 0 || strcmp(type, "geography") == 0 ||
           strcmp(type, "geometry") == 0;
}

sluice_status sluice_tds_decoder_make(const struct sluice_tds_column *c,
                                      const struct sluice_tds_rules *rules,
                                      struct sluice_tds_decoder *out, struct sluice_error *err)
{
    *out = (struct sluice_tds_decoder){.scale = c->scale, .fine = rules->fine, .form = "$"};
    (void)snprintf(out->name, sizeof out->name, "%s", c->name);
    name_native(c, out->native);
    if (c->encrypted) {
        return sluice_error_set(
            err, SLUICE_E_UNSUPPORTED, 0,
            "column %.128s is under Always Encrypted: only its ciphertext could "
            "be read (hint: columns: {exclude: […]})",
            c->name);
    }
    if (choose_fine(c, out)) {
        return SLUICE_OK;
    }
    if (is_clr(c->type)) {
        return choose_clr(c, rules->clr, out, err);
    }
    if (strcmp(c->type, "decimal") == 0 || strcmp(c->type, "numeric") == 0) {
        u128 limit = 1;
        for (int32_t i = 0; i < c->precision && i < 38; i++) {
            limit *= 10;
        }
        out->limit[0] = (uint64_t)limit;
        out->limit[1] = (uint64_t)(limit >> 64);
        out->decode = decode_decimal;
        out->type = (struct sluice_type){SLUICE_TYPE_DECIMAL128, c->precision, c->scale, 16};
        return SLUICE_OK;
    }
    for (size_t i = 0; i < sizeof plain / sizeof plain[0]; i++) {
        if (strcmp(c->type, plain[i].name) == 0) {
            const char *form = plain[i].form != NULL ? plain[i].form : "$";
            out->decode = plain[i].decode;
            out->type = plain[i].type;
            out->form = form;
            if (c->max_length < 0 && strcmp(form, RAW) == 0) {
                out->form = RAW_MAX;
            }
            else if ((c->max_length < 0 || c->max_length > WIDE_UNITS) && strcmp(form, WIDE) == 0) {
                out->form = WIDE_MAX;
            }
            out->extension = out->decode == decode_guid ? "arrow.uuid" : NULL;
            return SLUICE_OK;
        }
    }
    return sluice_error_set(err, SLUICE_E_UNSUPPORTED, 0,
                            "column %.128s: type %s is not read (hint: columns: {exclude: […]})",
                            c->name, c->type);
}

size_t sluice_tds_decoder_around(const struct sluice_tds_decoder *d, const char *expression,
                                 char *out, size_t size)
{
    const size_t length = strlen(expression);
    size_t n = 0;
    for (const char *p = d->form; *p != '\0' && n + length + 1 < size; p++) {
        if (*p == '$') {
            memcpy(out + n, expression, length);
            n += length;
        }
        else {
            out[n++] = *p;
        }
    }
    out[n] = '\0';
    return n;
}

size_t sluice_tds_decoder_select(const struct sluice_tds_decoder *d,
                                 char out[SLUICE_TDS_SELECT_MAX])
{
    char quoted[2 * sizeof d->name];
    (void)sluice_tds_quote(d->name, quoted, sizeof quoted);
    return sluice_tds_decoder_around(d, quoted, out, SLUICE_TDS_SELECT_MAX);
}

/* Encoded values as literals of T-SQL, and as JSON. */
#include <iconv.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <sybfront.h>

#include <sybdb.h>

#include "value.h"

__extension__ typedef unsigned __int128 u128;

enum { EPOCH_1900 = -25567 /* days of 1900-01-01 since 1970-01-01 */, PLAIN = 96 };

/* ---- plain texts ---- */

static int64_t integer(struct sluice_bytes v)
{
    int64_t out = 0;
    memcpy(&out, v.data, v.size < 8 ? (size_t)v.size : 8);
    switch (v.size) {
    case 1:
        return (uint8_t)out;
    case 2:
        return (int16_t)out;
    case 4:
        return (int32_t)out;
    default:
        return out;
    }
}

static void put_scaled(u128 magnitude, int negative, int32_t scale, char out[PLAIN])
{
    char digits[48];
    int n = 0;
    do {
        digits[n++] = (char)('0' + (int)(magnitude % 10));
        magnitude /= 10;
    } while (magnitude > 0 || n <= scale);
    char *p = out;
    if (negative) {
        *p++ = '-';
    }
    while (n > 0) {
        *p++ = digits[--n];
        if (n == scale && n > 0) {
            *p++ = '.';
        }
    }
    *p = '\0';
}

static void put_decimal(struct sluice_bytes v, char out[PLAIN])
{
    DBDECIMAL d;
    u128 magnitude = 0;
    memcpy(&d, v.data, sizeof d);
    const uint32_t bytes = ((uint32_t)d.precision * 83241u + 200399u) / 200400u;
    for (uint32_t i = 1; i <= bytes; i++) {
        magnitude = magnitude << 8 | d.array[i];
    }
    put_scaled(magnitude, d.array[0] != 0, d.scale, out);
}

static void put_money(struct sluice_bytes v, char out[PLAIN])
{
    int64_t units = 0;
    if (v.size == 4) {
        units = integer(v);
    }
    else {
        int32_t high = 0;
        uint32_t low = 0;
        memcpy(&high, v.data, 4);
        memcpy(&low, (const uint8_t *)v.data + 4, 4);
        units = (int64_t)((uint64_t)(int64_t)high << 32 | low);
    }
    put_scaled(units < 0 ? (u128)(0 - (uint64_t)units) : (u128)units, units < 0, 4, out);
}

/* The inverse of days_of (H. Hinnant, "chrono-compatible date algorithms"). */
static int put_date(int64_t days, char *out, size_t size)
{
    const int64_t z = days + 719468;
    const int64_t era = (z >= 0 ? z : z - 146096) / 146097;
    const int64_t doe = z - era * 146097;
    const int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    const int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    const int64_t mp = (5 * doy + 2) / 153;
    const int64_t m = mp < 10 ? mp + 3 : mp - 9;
    return snprintf(out, size, "%04" PRId64 "-%02" PRId64 "-%02" PRId64, yoe + era * 400 + (m <= 2),
                    m, doy - (153 * mp + 2) / 5 + 1);
}

static int put_clock(uint64_t ticks, int32_t scale, char *out, size_t size)
{
    const uint64_t s = ticks / 10000000;
    int n = snprintf(out, size, "%02" PRIu64 ":%02" PRIu64 ":%02" PRIu64, s / 3600, s / 60 % 60,
                     s % 60);
    if (scale > 0) {
        char part[16];
        (void)snprintf(part, sizeof part, "%07" PRIu64, ticks % 10000000);
        part[scale < 7 ? scale : 7] = '\0';
        n += snprintf(out + n, size - (size_t)n, ".%s", part);
    }
    return n;
}

static void put_all(const struct mssink_type *type, struct sluice_bytes v, char out[PLAIN])
{
    DBDATETIMEALL d;
    memcpy(&d, v.data, sizeof d);
    int64_t days = (int64_t)d.date + EPOCH_1900;
    int64_t ticks = (int64_t)d.time;
    if (type->form == MSSINK_FORM_OFFSET) { /* kept in UTC, written down as it is there */
        ticks += (int64_t)d.offset * 600000000;
        days += ticks < 0 ? -1 : ticks >= 864000000000 ? 1 : 0;
        ticks += ticks < 0 ? 864000000000 : ticks >= 864000000000 ? -864000000000 : 0;
    }
    int n = type->form == MSSINK_FORM_TIME ? 0 : put_date(days, out, PLAIN);
    if (type->form == MSSINK_FORM_DATE) {
        return;
    }
    if (n > 0) {
        out[n++] = 'T';
    }
    n += put_clock((uint64_t)ticks, type->scale, out + n, PLAIN - (size_t)n);
    if (type->form == MSSINK_FORM_OFFSET) {
        const int minutes = d.offset < 0 ? -d.offset : d.offset;
        (void)snprintf(out + n, PLAIN - (size_t)n, "%c%02d:%02d", d.offset < 0 ? '-' : '+',
                       minutes / 60, minutes % 60);
    }
}

static void put_old(struct sluice_bytes v, char out[PLAIN])
{
    DBDATETIME d;
    memcpy(&d, v.data, sizeof d);
    int n = put_date((int64_t)d.dtdays + EPOCH_1900, out, PLAIN);
    out[n++] = 'T';
    const uint64_t ms = ((uint64_t)(uint32_t)d.dttime * 10 + 1) / 3;
    (void)put_clock(ms * 10000, 3, out + n, PLAIN - (size_t)n);
}

static void put_small(struct sluice_bytes v, char out[PLAIN])
{
    uint16_t halves[2];
    memcpy(halves, v.data, 4);
    int n = put_date((int64_t)halves[0] + EPOCH_1900, out, PLAIN);
    out[n++] = 'T';
    (void)put_clock((uint64_t)halves[1] * 600000000, 0, out + n, PLAIN - (size_t)n);
}

static void put_guid(struct sluice_bytes v, char out[PLAIN])
{
    static const uint8_t at[16] = {3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15};
    static const char digits[] = "0123456789abcdef";
    const uint8_t *p = v.data;
    size_t n = 0;
    for (int i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10) {
            out[n++] = '-';
        }
        out[n++] = digits[p[at[i]] >> 4];
        out[n++] = digits[p[at[i]] & 15];
    }
    out[n] = '\0';
}

/* All forms but texts and bytes. */
static void put_plain(const struct mssink_type *type, struct sluice_bytes v, char out[PLAIN])
{
    double number = 0;
    float small = 0;
    switch (type->form) {
    case MSSINK_FORM_REAL:
        memcpy(&small, v.data, sizeof small);
        (void)snprintf(out, PLAIN, "%.9e", (double)small);
        return;
    case MSSINK_FORM_FLOAT:
        memcpy(&number, v.data, sizeof number);
        (void)snprintf(out, PLAIN, "%.17e", number);
        return;
    case MSSINK_FORM_DECIMAL:
        put_decimal(v, out);
        return;
    case MSSINK_FORM_MONEY:
    case MSSINK_FORM_MONEY4:
        put_money(v, out);
        return;
    case MSSINK_FORM_GUID:
        put_guid(v, out);
        return;
    case MSSINK_FORM_DATETIME:
        put_old(v, out);
        return;
    case MSSINK_FORM_SMALLDATETIME:
        put_small(v, out);
        return;
    case MSSINK_FORM_DATE:
    case MSSINK_FORM_TIME:
    case MSSINK_FORM_DATETIME2:
    case MSSINK_FORM_OFFSET:
        put_all(type, v, out);
        return;
    default:
        (void)snprintf(out, PLAIN, "%" PRId64, integer(v));
        return;
    }
}

/* ---- texts ---- */

/* One character of UTF-16LE as UTF-8; *at moves behind it. */
static size_t take_utf16(const uint8_t *p, uint64_t size, uint64_t *at, char out[4])
{
    uint32_t c = p[*at] | (uint32_t)p[*at + 1] << 8;
    *at += 2;
    if (c >= 0xd800 && c < 0xdc00 && *at + 1 < size) {
        const uint32_t low = p[*at] | (uint32_t)p[*at + 1] << 8;
        if (low >= 0xdc00 && low < 0xe000) {
            c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
            *at += 2;
        }
    }
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    if (c < 0x800) {
        out[0] = (char)(0xc0 | c >> 6);
        out[1] = (char)(0x80 | (c & 0x3f));
        return 2;
    }
    if (c < 0x10000) {
        out[0] = (char)(0xe0 | c >> 12);
        out[1] = (char)(0x80 | (c >> 6 & 0x3f));
        out[2] = (char)(0x80 | (c & 0x3f));
        return 3;
    }
    out[0] = (char)(0xf0 | c >> 18);
    out[1] = (char)(0x80 | (c >> 12 & 0x3f));
    out[2] = (char)(0x80 | (c >> 6 & 0x3f));
    out[3] = (char)(0x80 | (c & 0x3f));
    return 4;
}

/* A NUL cannot stand in a statement: then the text's bytes are cast back. */
static int has_nul(struct sluice_bytes v)
{
    const uint8_t *p = v.data;
    for (uint64_t i = 0; i + 1 < v.size; i += 2) {
        if (p[i] == 0 && p[i + 1] == 0) {
            return 1;
        }
    }
    return 0;
}

static int is_ascii(struct sluice_bytes v)
{
    const uint8_t *p = v.data;
    uint8_t any = 0;
    for (uint64_t i = 0; i < v.size; i++) {
        any |= p[i];
    }
    return any < 0x80;
}

typedef void (*put_fn)(const char *piece, size_t size, struct mssink_text *out);

/* A text of a code page in another charset, piece by piece. Bytes that are none of it, which no encoder of ours writes, come
 * as question marks. */
static void recode(int32_t code_page, const char *charset, struct sluice_bytes v, put_fn put,
                   struct mssink_text *out)
{
    char name[24];
    char piece[256];
    char *from = (char *)(uintptr_t)v.data;
    size_t left = (size_t)v.size;
    (void)snprintf(name, sizeof name, code_page == CODE_PAGE_UTF8 ? "UTF-8" : "CP%d", code_page);
    const iconv_t to = iconv_open(charset, name);
    while (left > 0) {
        char *at = piece;
        size_t room = sizeof piece;
        if (to == (iconv_t)-1 ||
            (iconv(to, &from, &left, &at, &room) == (size_t)-1 && at == piece)) {
            *at++ = (unsigned char)*from < 0x80 ? *from : '?';
            if (strcmp(charset, "UTF-16LE") == 0) {
                *at++ = '\0';
            }
            from++;
            left--;
        }
        put(piece, (size_t)(at - piece), out);
    }
    if (to != (iconv_t)-1) {
        (void)iconv_close(to);
    }
}

static void put_quoted(const char *p, size_t size, struct mssink_text *out)
{
    for (size_t i = 0; i < size; i++) {
        mssink_text_add_n(out, p + i, 1);
        if (p[i] == '\'') {
            mssink_text_add(out, "'");
        }
    }
}

static void put_hex(const char *p, size_t size, struct mssink_text *out)
{
    for (size_t i = 0; i < size; i++) {
        mssink_text_format(out, "%02x", (unsigned int)(unsigned char)p[i]);
    }
}

/* What is not ASCII goes as nvarchar, which the server turns into the column's code page: bytes that are cast to varchar, and
 * texts without N, are of the database's. */
static void literal_chars(const struct mssink_type *type, struct sluice_bytes v,
                          struct mssink_text *out)
{
    if (memchr(v.data, 0, (size_t)v.size) != NULL) { /* cannot stand in a statement */
        mssink_text_add(out, "CAST(0x");
        recode(type->code_page, "UTF-16LE", v, put_hex, out);
        mssink_text_add(out, " AS nvarchar(max))");
        return;
    }
    if (is_ascii(v)) {
        mssink_text_add(out, "'");
        put_quoted(v.data, (size_t)v.size, out);
    }
    else {
        mssink_text_add(out, "N'");
        recode(type->code_page, "UTF-8", v, put_quoted, out);
    }
    mssink_text_add(out, "'");
}

static void literal_utf16(struct sluice_bytes v, struct mssink_text *out)
{
    char piece[4];
    if (has_nul(v)) {
        mssink_text_add(out, "CAST(");
        mssink_text_bytes(out, v);
        mssink_text_add(out, " AS nvarchar(max))");
        return;
    }
    mssink_text_add(out, "N'");
    for (uint64_t at = 0; at + 1 < v.size;) {
        const size_t n = take_utf16(v.data, v.size, &at, piece);
        mssink_text_add_n(out, piece, n);
        if (piece[0] == '\'') {
            mssink_text_add(out, "'");
        }
    }
    mssink_text_add(out, "'");
}

void mssink_literal(const struct mssink_type *type, struct sluice_bytes v, struct mssink_text *out)
{
    char text[PLAIN];
    if (v.data == NULL) {
        mssink_text_add(out, "NULL");
        return;
    }
    switch (type->form) {
    case MSSINK_FORM_UTF16:
        literal_utf16(v, out);
        return;
    case MSSINK_FORM_CHARS:
        literal_chars(type, v, out);
        return;
    case MSSINK_FORM_BYTES:
        mssink_text_bytes(out, v);
        return;
    case MSSINK_FORM_BIT:
    case MSSINK_FORM_INT1:
    case MSSINK_FORM_INT2:
    case MSSINK_FORM_INT4:
    case MSSINK_FORM_INT8:
        put_plain(type, v, text);
        mssink_text_add(out, text);
        return;
    default:
        put_plain(type, v, text);
        mssink_text_format(out, "CAST(N'%s' AS %s)", text, type->declared);
        return;
    }
}

/* ---- JSON ---- */

static void json_char(char c, struct mssink_text *out)
{
    if (c == '"' || c == '\\') {
        mssink_text_add_n(out, "\\", 1);
        mssink_text_add_n(out, &c, 1);
    }
    else if ((unsigned char)c < 0x20) {
        mssink_text_format(out, "\\u%04x", (unsigned int)(unsigned char)c);
    }
    else {
        mssink_text_add_n(out, &c, 1);
    }
}

static void json_piece(const char *p, size_t size, struct mssink_text *out)
{
    for (size_t i = 0; i < size; i++) {
        json_char(p[i], out);
    }
}

void mssink_json(const struct mssink_type *type, struct sluice_bytes v, struct mssink_text *out)
{
    char text[PLAIN];
    if (v.data == NULL) {
        mssink_text_add(out, "null");
        return;
    }
    const uint8_t *p = v.data;
    switch (type->form) {
    case MSSINK_FORM_UTF16:
        mssink_text_add(out, "\"");
        for (uint64_t at = 0; at + 1 < v.size;) {
            const size_t n = take_utf16(p, v.size, &at, text);
            json_piece(text, n, out);
        }
        mssink_text_add(out, "\"");
        return;
    case MSSINK_FORM_CHARS:
        mssink_text_add(out, "\"");
        recode(type->code_page, "UTF-8", v, json_piece, out);
        mssink_text_add(out, "\"");
        return;
    case MSSINK_FORM_BYTES:
        mssink_text_add(out, "\"");
        mssink_text_bytes(out, v);
        mssink_text_add(out, "\"");
        return;
    case MSSINK_FORM_BIT:
        mssink_text_add(out, p[0] != 0 ? "true" : "false");
        return;
    default: {
        put_plain(type, v, text);
        const int bare = type->form <= MSSINK_FORM_MONEY4;
        mssink_text_format(out, bare ? "%s" : "\"%s\"", text);
        return;
    }
    }
}

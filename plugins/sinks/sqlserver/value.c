/* Encoders: one function for each pair of an Arrow type and a form. */
#include "value.h"

#include <errno.h>
#include <iconv.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sluice/text.h"
#include "tds/encode.h"

enum { GUID_TEXT = 36 };

/* ---- types ---- */

static const struct {
    const char *name;
    enum mssink_form form;
    int shape; /* 0 bare, 1 (n) of two bytes, 2 (n), 3 (p,s), 4 (s) */
} known[] = {
    {"bit", MSSINK_FORM_BIT, 0},
    {"tinyint", MSSINK_FORM_INT1, 0},
    {"smallint", MSSINK_FORM_INT2, 0},
    {"int", MSSINK_FORM_INT4, 0},
    {"bigint", MSSINK_FORM_INT8, 0},
    {"real", MSSINK_FORM_REAL, 0},
    {"float", MSSINK_FORM_FLOAT, 0},
    {"decimal", MSSINK_FORM_DECIMAL, 3},
    {"numeric", MSSINK_FORM_DECIMAL, 3},
    {"money", MSSINK_FORM_MONEY, 0},
    {"smallmoney", MSSINK_FORM_MONEY4, 0},
    {"nchar", MSSINK_FORM_UTF16, 1},
    {"nvarchar", MSSINK_FORM_UTF16, 1},
    {"ntext", MSSINK_FORM_UTF16, 0},
    {"char", MSSINK_FORM_CHARS, 2},
    {"varchar", MSSINK_FORM_CHARS, 2},
    {"text", MSSINK_FORM_CHARS, 0},
    {"binary", MSSINK_FORM_BYTES, 2},
    {"varbinary", MSSINK_FORM_BYTES, 2},
    {"image", MSSINK_FORM_BYTES, 0},
    {"uniqueidentifier", MSSINK_FORM_GUID, 0},
    {"date", MSSINK_FORM_DATE, 0},
    {"time", MSSINK_FORM_TIME, 4},
    {"datetime2", MSSINK_FORM_DATETIME2, 4},
    {"datetimeoffset", MSSINK_FORM_OFFSET, 4},
    {"datetime", MSSINK_FORM_DATETIME, 0},
    {"smalldatetime", MSSINK_FORM_SMALLDATETIME, 0},
};

static void declare(struct mssink_type *t, const char *name, int shape)
{
    const int32_t n = shape == 1 ? t->max_length / 2 : t->max_length;
    if ((shape == 1 || shape == 2) && t->max_length < 0) {
        (void)snprintf(t->declared, sizeof t->declared, "%s(max)", name);
    }
    else if (shape == 1 || shape == 2) {
        (void)snprintf(t->declared, sizeof t->declared, "%s(%d)", name, n);
    }
    else if (shape == 3) {
        (void)snprintf(t->declared, sizeof t->declared, "%s(%d,%d)", name, t->precision, t->scale);
    }
    else if (shape == 4) {
        (void)snprintf(t->declared, sizeof t->declared, "%s(%d)", name, t->scale);
    }
    else {
        (void)snprintf(t->declared, sizeof t->declared, "%s", name);
    }
}

void mssink_type_make(const char *name, int32_t max_length, int32_t precision, int32_t scale,
                      int32_t code_page, struct mssink_type *out)
{
    *out = (struct mssink_type){.max_length = max_length,
                                .precision = precision,
                                .scale = scale,
                                .code_page = code_page > 0 ? code_page : 1252};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (strcmp(known[i].name, name) == 0) {
            out->form = known[i].form;
            declare(out, name, known[i].shape);
            if (strcmp(name, "text") == 0 || strcmp(name, "ntext") == 0 ||
                strcmp(name, "image") == 0) {
                out->max_length = -1;
            }
            return;
        }
    }
    (void)snprintf(out->declared, sizeof out->declared, "%.40s", name);
}

/* ---- what does not fit ---- */

static sluice_status refuse(const struct mssink_encoder *e, int32_t why, struct sluice_error *err)
{
    const char *const text =
        why == SLUICE_TDS_TOO_LARGE ? "the value is too large for it: out of its range, or too long"
        : why == SLUICE_TDS_TOO_FINE ? "the value has more digits behind the point than it keeps"
                                     : "the value is none that it takes";
    (void)sluice_error_set(err, SLUICE_E_DATA, SLUICE_ERROR_ROW_LEVEL, "column %.128s (%s): %s",
                           e->name, e->type->declared, text);
    if (err != NULL) {
        (void)snprintf(err->sqlstate, sizeof err->sqlstate, "22003");
    }
    return SLUICE_E_DATA;
}

static sluice_status answer(const struct mssink_encoder *e, int32_t fits, size_t size, size_t *out,
                            struct sluice_error *err)
{
    *out = size;
    return fits == SLUICE_TDS_FITS ? SLUICE_OK : refuse(e, fits, err);
}

/* ---- integers ---- */

/* An integer of any width; UINT64 beyond INT64_MAX is *huge. */
static int64_t integer_of(const struct sluice_view *v, int64_t row, int *huge)
{
    *huge = 0;
    switch (v->type.id) {
    case SLUICE_TYPE_BOOL:
        return sluice_view_bool(v, row);
    case SLUICE_TYPE_INT8:
        return sluice_view_i8(v, row);
    case SLUICE_TYPE_UINT8:
        return sluice_view_u8(v, row);
    case SLUICE_TYPE_INT16:
        return sluice_view_i16(v, row);
    case SLUICE_TYPE_UINT16:
        return sluice_view_u16(v, row);
    case SLUICE_TYPE_INT32:
        return sluice_view_i32(v, row);
    case SLUICE_TYPE_UINT32:
        return sluice_view_u32(v, row);
    case SLUICE_TYPE_UINT64: {
        const uint64_t u = sluice_view_u64(v, row);
        *huge = u > INT64_MAX;
        return (int64_t)u;
    }
    default:
        return sluice_view_i64(v, row);
    }
}

static sluice_status integer_to_integer(const struct mssink_encoder *e, int64_t row, uint8_t *out,
                                        size_t *size, struct sluice_error *err)
{
    static const int64_t least[] = {0, 0, INT16_MIN, INT32_MIN, INT64_MIN};
    static const int64_t most[] = {1, UINT8_MAX, INT16_MAX, INT32_MAX, INT64_MAX};
    static const size_t widths[] = {1, 1, 2, 4, 8};
    int huge = 0;
    const int64_t value = integer_of(&e->view, row, &huge);
    const int i = (int)e->type->form - MSSINK_FORM_BIT;
    if (huge || value < least[i] || value > most[i]) {
        return refuse(e, SLUICE_TDS_TOO_LARGE, err);
    }
    memcpy(out, &value, widths[i]); /* little-endian */
    *size = widths[i];
    return SLUICE_OK;
}

/* The value as a decimal128 without scale. */
static void widen(int64_t value, int huge, uint8_t out[16])
{
    const uint64_t words[2] = {(uint64_t)value, value < 0 && !huge ? UINT64_MAX : 0};
    memcpy(out, words, 16);
}

static sluice_status integer_to_decimal(const struct mssink_encoder *e, int64_t row, uint8_t *out,
                                        size_t *size, struct sluice_error *err)
{
    uint8_t wide[16];
    int huge = 0;
    const int64_t value = integer_of(&e->view, row, &huge);
    widen(value, huge, wide);
    DBDECIMAL d;
    const int32_t fits = sluice_tds_encode_decimal(wide, 0, e->type->precision, e->type->scale, &d);
    memcpy(out, &d, sizeof d);
    return answer(e, fits, sizeof d, size, err);
}

/* ---- floats ---- */

static double float_of(const struct sluice_view *v, int64_t row)
{
    return v->type.id == SLUICE_TYPE_FLOAT32 ? (double)sluice_view_f32(v, row)
                                             : sluice_view_f64(v, row);
}

static sluice_status float_to_float(const struct mssink_encoder *e, int64_t row, uint8_t *out,
                                    size_t *size, struct sluice_error *err)
{
    const double value = float_of(&e->view, row);
    const float small = (float)value;
    const int real = e->type->form == MSSINK_FORM_REAL;
    if (!isfinite(value) || (real && !isfinite(small))) {
        return refuse(e, SLUICE_TDS_TOO_LARGE, err); /* no infinity, no NaN there */
    }
    if (real && (double)small != value) {
        return refuse(e, SLUICE_TDS_TOO_FINE, err);
    }
    *size = real ? sizeof small : sizeof value;
    if (real) {
        memcpy(out, &small, sizeof small);
    }
    else {
        memcpy(out, &value, sizeof value);
    }
    return SLUICE_OK;
}

/* ---- decimals ---- */

static sluice_status decimal_to_decimal(const struct mssink_encoder *e, int64_t row, uint8_t *out,
                                        size_t *size, struct sluice_error *err)
{
    DBDECIMAL d;
    const int32_t fits =
        sluice_tds_encode_decimal(sluice_view_fixed(&e->view, row), e->view.type.scale,
                                  e->type->precision, e->type->scale, &d);
    memcpy(out, &d, sizeof d);
    return answer(e, fits, sizeof d, size, err);
}

/* Four digits behind the point, in 64 or 32 bits. */
static sluice_status decimal_to_money(const struct mssink_encoder *e, int64_t row, uint8_t *out,
                                      size_t *size, struct sluice_error *err)
{
    DBDECIMAL d;
    int64_t units = 0;
    const int small = e->type->form == MSSINK_FORM_MONEY4;
    const int32_t fits =
        sluice_tds_encode_decimal(sluice_view_fixed(&e->view, row), e->view.type.scale, 19, 4, &d);
    if (fits != SLUICE_TDS_FITS) {
        return refuse(e, fits, err);
    }
    uint64_t magnitude = 0;
    for (int i = 1; i <= 8; i++) { /* nineteen digits: the sign, then eight bytes */
        magnitude = magnitude << 8 | d.array[i];
    }
    const uint64_t most = small ? (uint64_t)INT32_MAX : (uint64_t)INT64_MAX;
    if (magnitude > most + (d.array[0] != 0)) {
        return refuse(e, SLUICE_TDS_TOO_LARGE, err);
    }
    units = (int64_t)(d.array[0] != 0 ? 0 - magnitude : magnitude);
    if (small) {
        const int32_t narrow = (int32_t)units;
        memcpy(out, &narrow, 4);
        *size = 4;
        return SLUICE_OK;
    }
    const int32_t high = (int32_t)(units >> 32);
    const uint32_t low = (uint32_t)units;
    memcpy(out, &high, 4);
    memcpy(out + 4, &low, 4);
    *size = 8;
    return SLUICE_OK;
}

/* ---- texts ---- */

static struct sluice_bytes bytes_of(const struct sluice_view *v, int64_t row)
{
    if (v->large_offsets != NULL) {
        return (struct sluice_bytes){v->values + v->large_offsets[row],
                                     (uint64_t)(v->large_offsets[row + 1] - v->large_offsets[row])};
    }
    return sluice_view_bytes(v, row);
}

static sluice_status put_utf16(const struct mssink_encoder *e, struct sluice_bytes text,
                               uint8_t *out, size_t *size, struct sluice_error *err)
{
    uint64_t bytes = 0;
    const uint64_t units =
        e->type->max_length < 0 ? INT32_MAX / 2 : (uint64_t)e->type->max_length / 2;
    const int32_t fits = sluice_tds_encode_utf16(text.data, text.size, units, out, &bytes);
    return answer(e, fits, (size_t)bytes, size, err);
}

static int is_ascii(struct sluice_bytes text)
{
    const uint8_t *p = text.data;
    uint8_t any = 0;
    for (uint64_t i = 0; i < text.size; i++) {
        any |= p[i];
    }
    return any < 0x80;
}

/* The rare text that is not ASCII, into a code page. */
static sluice_status recode(const struct mssink_encoder *e, struct sluice_bytes text, uint8_t *out,
                            size_t room, size_t *size, struct sluice_error *err)
{
    char name[24];
    (void)snprintf(name, sizeof name, "CP%d", e->type->code_page);
    const iconv_t to = iconv_open(name, "UTF-8");
    if (to == (iconv_t)-1) {
        return sluice_error_set(err, SLUICE_E_UNSUPPORTED, 0,
                                "column %.128s: code page %d is not known here (hint: make it "
                                "nvarchar)",
                                e->name, e->type->code_page);
    }
    char *from = (char *)(uintptr_t)text.data;
    char *at = (char *)out;
    size_t left = (size_t)text.size;
    const size_t all = room;
    const size_t n = iconv(to, &from, &left, &at, &room);
    const int failed = errno;
    (void)iconv_close(to);
    if (n == (size_t)-1) {
        return refuse(e, failed == E2BIG ? SLUICE_TDS_TOO_LARGE : SLUICE_TDS_MALFORMED, err);
    }
    *size = all - room;
    return SLUICE_OK;
}

static sluice_status put_chars(const struct mssink_encoder *e, struct sluice_bytes text,
                               uint8_t *out, size_t *size, struct sluice_error *err)
{
    const int utf8 = e->type->code_page == CODE_PAGE_UTF8;
    if (utf8 && sluice_utf8_check(text.data, text.size) != text.size) {
        return refuse(e, SLUICE_TDS_MALFORMED, err);
    }
    if (utf8 || is_ascii(text)) {
        if (text.size > 0) {
            memcpy(out, text.data, text.size);
        }
        *size = (size_t)text.size;
    }
    else {
        SLUICE_TRY(recode(e, text, out, (size_t)text.size * 2 + 8, size, err));
    }
    return e->type->max_length >= 0 && *size > (size_t)e->type->max_length
               ? refuse(e, SLUICE_TDS_TOO_LARGE, err)
               : SLUICE_OK;
}

static sluice_status put_text(const struct mssink_encoder *e, struct sluice_bytes text,
                              uint8_t *out, size_t *size, struct sluice_error *err)
{
    return e->type->form == MSSINK_FORM_UTF16 ? put_utf16(e, text, out, size, err)
                                              : put_chars(e, text, out, size, err);
}

static sluice_status text_to_text(const struct mssink_encoder *e, int64_t row, uint8_t *out,
                                  size_t *size, struct sluice_error *err)
{
    return put_text(e, bytes_of(&e->view, row), out, size, err);
}

static sluice_status put_number(const struct mssink_encoder *e, const char *text, uint8_t *out,
                                size_t *size, struct sluice_error *err)
{
    return put_text(e, (struct sluice_bytes){text, strlen(text)}, out, size, err);
}

static sluice_status integer_to_text(const struct mssink_encoder *e, int64_t row, uint8_t *out,
                                     size_t *size, struct sluice_error *err)
{
    char text[32];
    int huge = 0;
    const int64_t value = integer_of(&e->view, row, &huge);
    (void)snprintf(text, sizeof text, huge ? "%llu" : "%lld", (long long)value);
    return put_number(e, text, out, size, err);
}

/* Beyond the 38 digits of SQL Server's: at most 79 characters. */
static sluice_status decimal_to_text(const struct mssink_encoder *e, int64_t row, uint8_t *out,
                                     size_t *size, struct sluice_error *err)
{
    char room[SLUICE_TEXT_MAX];
    struct sluice_bytes text = {NULL, 0};
    SLUICE_TRY(sluice_view_text(&e->view, row, room, &text, err));
    return put_text(e, text, out, size, err);
}

static sluice_status guid_to_text(const struct mssink_encoder *e, int64_t row, uint8_t *out,
                                  size_t *size, struct sluice_error *err)
{
    static const char digits[] = "0123456789abcdef";
    const uint8_t *p = sluice_view_fixed(&e->view, row);
    char text[GUID_TEXT + 1];
    size_t n = 0;
    for (int i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10) {
            text[n++] = '-';
        }
        text[n++] = digits[p[i] >> 4];
        text[n++] = digits[p[i] & 15];
    }
    text[n] = '\0';
    return put_number(e, text, out, size, err);
}

/* ---- bytes ---- */

static sluice_status bytes_to_bytes(const struct mssink_encoder *e, int64_t row, uint8_t *out,
                                    size_t *size, struct sluice_error *err)
{
    const struct sluice_bytes value =
        e->view.type.id == SLUICE_TYPE_FIXED_BINARY
            ? (struct sluice_bytes){sluice_view_fixed(&e->view, row), (uint64_t)e->view.type.width}
            : bytes_of(&e->view, row);
    if (e->type->max_length >= 0 && value.size > (uint64_t)e->type->max_length) {
        return refuse(e, SLUICE_TDS_TOO_LARGE, err);
    }
    if (value.size > 0) {
        memcpy(out, value.data, value.size);
    }
    *size = (size_t)value.size;
    return SLUICE_OK;
}

static sluice_status guid_to_guid(const struct mssink_encoder *e, int64_t row, uint8_t *out,
                                  size_t *size, struct sluice_error *err)
{
    (void)err;
    sluice_tds_encode_guid(sluice_view_fixed(&e->view, row), out);
    *size = 16;
    return SLUICE_OK;
}

/* ---- times ---- */

static sluice_status put_all(const struct mssink_encoder *e, int32_t fits, const DBDATETIMEALL *d,
                             uint8_t *out, size_t *size, struct sluice_error *err)
{
    memcpy(out, d, sizeof *d);
    return answer(e, fits, sizeof *d, size, err);
}

static sluice_status put_moment(const struct mssink_encoder *e, int64_t us, int32_t offset,
                                uint8_t *out, size_t *size, struct sluice_error *err)
{
    DBDATETIMEALL d = {0};
    switch (e->type->form) {
    case MSSINK_FORM_OFFSET:
        return put_all(e, sluice_tds_encode_datetimeoffset(us, offset, e->type->scale, &d), &d, out,
                       size, err);
    case MSSINK_FORM_DATETIME2:
        return put_all(e, sluice_tds_encode_datetime2(us, e->type->scale, &d), &d, out, size, err);
    default: {
        DBDATETIME old = {0};
        const int32_t fits = sluice_tds_encode_datetime(us, &old);
        memcpy(out, &old, sizeof old);
        return answer(e, fits, sizeof old, size, err);
    }
    }
}

static sluice_status moment_to_moment(const struct mssink_encoder *e, int64_t row, uint8_t *out,
                                      size_t *size, struct sluice_error *err)
{
    const int64_t us = sluice_view_i64(&e->view, row);
    if (us == INT64_MAX || us == INT64_MIN) {
        return refuse(e, SLUICE_TDS_TOO_LARGE, err); /* infinity */
    }
    return put_moment(e, us, 0, out, size, err);
}

static sluice_status date_to_any(const struct mssink_encoder *e, int64_t row, uint8_t *out,
                                 size_t *size, struct sluice_error *err)
{
    DBDATETIMEALL d = {0};
    const int32_t days = sluice_view_i32(&e->view, row);
    if (e->type->form != MSSINK_FORM_DATE) {
        return put_moment(e, (int64_t)days * 86400000000, 0, out, size, err);
    }
    return put_all(e, sluice_tds_encode_date(days, &d), &d, out, size, err);
}

static sluice_status time_to_time(const struct mssink_encoder *e, int64_t row, uint8_t *out,
                                  size_t *size, struct sluice_error *err)
{
    DBDATETIMEALL d = {0};
    return put_all(e, sluice_tds_encode_time(sluice_view_i64(&e->view, row), e->type->scale, &d),
                   &d, out, size, err);
}

/* Minutes since 1900, as a datetime's two halves of two bytes each: days and minutes. */
static sluice_status moment_to_small(const struct mssink_encoder *e, int64_t row, uint8_t *out,
                                     size_t *size, struct sluice_error *err)
{
    const int64_t us = sluice_view_i64(&e->view, row) + 25567ll * 86400000000;
    const int64_t minutes = us / 60000000;
    if (us < 0 || minutes / 1440 > UINT16_MAX) {
        return refuse(e, SLUICE_TDS_TOO_LARGE, err);
    }
    if (us % 60000000 != 0) {
        return refuse(e, SLUICE_TDS_TOO_FINE, err);
    }
    const uint16_t halves[2] = {(uint16_t)(minutes / 1440), (uint16_t)(minutes % 1440)};
    memcpy(out, halves, 4);
    *size = 4;
    return SLUICE_OK;
}

/* ---- times written out, as sources give those of 100 ns and with offsets ---- */

static int take(const char **p, const char *end, int n, int64_t *out)
{
    *out = 0;
    for (int i = 0; i < n; i++, (*p)++) {
        if (*p == end || **p < '0' || **p > '9') {
            return 0;
        }
        *out = *out * 10 + (**p - '0');
    }
    return 1;
}

static int take_char(const char **p, const char *end, char c)
{
    if (*p == end || **p != c) {
        return 0;
    }
    (*p)++;
    return 1;
}

static int64_t days_of(int64_t y, int64_t m, int64_t d)
{
    y -= m <= 2;
    const int64_t era = y / 400;
    const int64_t yoe = y - era * 400;
    const int64_t doy = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
    return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
}

/* [date][T| ]time[.fraction][offset] in ticks of 100 ns; *us and *tick its last digit. */
static int parse_time(struct sluice_bytes text, int with_date, int64_t *us, int64_t *tick,
                      int64_t *offset)
{
    const char *p = text.data;
    const char *const end = p + text.size;
    int64_t f[6] = {1970, 1, 1, 0, 0, 0};
    if (with_date &&
        (!take(&p, end, 4, &f[0]) || !take_char(&p, end, '-') || !take(&p, end, 2, &f[1]) ||
         !take_char(&p, end, '-') || !take(&p, end, 2, &f[2]) ||
         (!take_char(&p, end, 'T') && !take_char(&p, end, ' ')))) {
        return 0;
    }
    if (!take(&p, end, 2, &f[3]) || !take_char(&p, end, ':') || !take(&p, end, 2, &f[4]) ||
        !take_char(&p, end, ':') || !take(&p, end, 2, &f[5]) || f[0] < 1 || f[1] < 1 || f[1] > 12 ||
        f[2] < 1 || f[2] > 31 || f[3] > 23 || f[4] > 59 || f[5] > 59) {
        return 0;
    }
    int64_t ticks = 0;
    if (take_char(&p, end, '.')) {
        int64_t unit = 1000000;
        for (; p != end && *p >= '0' && *p <= '9' && unit > 0; p++, unit /= 10) {
            ticks += (*p - '0') * unit;
        }
    }
    *offset = 0;
    (void)take_char(&p, end, ' ');
    if (p != end && (*p == '+' || *p == '-')) {
        int64_t h = 0;
        int64_t m = 0;
        const int west = *p++ == '-';
        if (!take(&p, end, 2, &h) || !take_char(&p, end, ':') || !take(&p, end, 2, &m)) {
            return 0;
        }
        *offset = (h * 60 + m) * (west ? -1 : 1);
    }
    else {
        (void)take_char(&p, end, 'Z');
    }
    const int64_t days = with_date ? days_of(f[0], f[1], f[2]) : 0;
    *us = (days * 86400 + f[3] * 3600 + f[4] * 60 + f[5] - *offset * 60) * 1000000 + ticks / 10;
    *tick = ticks % 10;
    return p == end;
}

static sluice_status text_to_time(const struct mssink_encoder *e, int64_t row, uint8_t *out,
                                  size_t *size, struct sluice_error *err)
{
    int64_t us = 0;
    int64_t tick = 0;
    int64_t offset = 0;
    DBDATETIMEALL d = {0};
    const int clock = e->type->form == MSSINK_FORM_TIME;
    if (!parse_time(bytes_of(&e->view, row), !clock, &us, &tick, &offset)) {
        return refuse(e, SLUICE_TDS_MALFORMED, err);
    }
    if (tick != 0 && e->type->scale < 7) {
        return refuse(e, SLUICE_TDS_TOO_FINE, err);
    }
    const int32_t fits =
        clock ? sluice_tds_encode_time(us, e->type->scale, &d)
        : e->type->form == MSSINK_FORM_OFFSET
            ? sluice_tds_encode_datetimeoffset(us, (int32_t)offset, e->type->scale, &d)
            : sluice_tds_encode_datetime2(us, e->type->scale, &d);
    d.time += (uint64_t)tick;
    return put_all(e, fits, &d, out, size, err);
}

/* ---- choosing ---- */

static int is_integer(int32_t id)
{
    return id == SLUICE_TYPE_BOOL || (id >= SLUICE_TYPE_INT8 && id <= SLUICE_TYPE_UINT64);
}

static mssink_encode_fn for_text(enum mssink_form form)
{
    switch (form) {
    case MSSINK_FORM_UTF16:
    case MSSINK_FORM_CHARS:
        return text_to_text;
    case MSSINK_FORM_OFFSET:
    case MSSINK_FORM_DATETIME2:
    case MSSINK_FORM_TIME:
        return text_to_time;
    default:
        return NULL;
    }
}

static mssink_encode_fn choose(enum mssink_form form, const struct sluice_type *type, int uuid)
{
    const int text = form == MSSINK_FORM_UTF16 || form == MSSINK_FORM_CHARS;
    if (is_integer(type->id)) {
        return form >= MSSINK_FORM_BIT && form <= MSSINK_FORM_INT8 ? integer_to_integer
               : form == MSSINK_FORM_DECIMAL                       ? integer_to_decimal
               : text                                              ? integer_to_text
                                                                   : NULL;
    }
    switch (type->id) {
    case SLUICE_TYPE_FLOAT32:
    case SLUICE_TYPE_FLOAT64:
        return form == MSSINK_FORM_REAL || form == MSSINK_FORM_FLOAT ? float_to_float : NULL;
    case SLUICE_TYPE_DECIMAL128:
        return form == MSSINK_FORM_DECIMAL                               ? decimal_to_decimal
               : form == MSSINK_FORM_MONEY || form == MSSINK_FORM_MONEY4 ? decimal_to_money
               : text                                                    ? decimal_to_text
                                                                         : NULL;
    case SLUICE_TYPE_DECIMAL256:
        return text ? decimal_to_text : NULL;
    case SLUICE_TYPE_UTF8:
    case SLUICE_TYPE_LARGE_UTF8:
        return for_text(form);
    case SLUICE_TYPE_BINARY:
    case SLUICE_TYPE_LARGE_BINARY:
        return form == MSSINK_FORM_BYTES ? bytes_to_bytes : NULL;
    case SLUICE_TYPE_FIXED_BINARY:
        return form == MSSINK_FORM_GUID && uuid && type->width == 16 ? guid_to_guid
               : text && uuid                                        ? guid_to_text
               : form == MSSINK_FORM_BYTES                           ? bytes_to_bytes
                                                                     : NULL;
    case SLUICE_TYPE_DATE32:
        return form == MSSINK_FORM_DATE || form == MSSINK_FORM_DATETIME2 ||
                       form == MSSINK_FORM_OFFSET || form == MSSINK_FORM_DATETIME
                   ? date_to_any
                   : NULL;
    case SLUICE_TYPE_TIME64_US:
        return form == MSSINK_FORM_TIME ? time_to_time : NULL;
    case SLUICE_TYPE_TIMESTAMP_US:
    case SLUICE_TYPE_TIMESTAMP_US_UTC:
        return form == MSSINK_FORM_SMALLDATETIME ? moment_to_small
               : form == MSSINK_FORM_DATETIME || form == MSSINK_FORM_DATETIME2 ||
                       form == MSSINK_FORM_OFFSET
                   ? moment_to_moment
                   : NULL;
    default:
        return NULL;
    }
}

sluice_status mssink_encoder_make(const struct mssink_type *type, const char *name,
                                  const struct ArrowSchema *field, struct mssink_encoder *out,
                                  struct sluice_error *err)
{
    struct sluice_type from;
    char what[48];
    SLUICE_TRY(sluice_type_parse(field->format, &from, err));
    const int uuid = sluice_schema_metadata_is(field, "ARROW:extension:name", "arrow.uuid");
    *out = (struct mssink_encoder){
        .type = type, .name = name, .encode = choose(type->form, &from, uuid)};
    out->view.type = from;
    if (out->encode != NULL) {
        return SLUICE_OK;
    }
    sluice_type_name(&from, what);
    return sluice_error_set(
        err, SLUICE_E_SCHEMA, 0,
        "column %.128s is %s, which takes no %s (hint: change the column, or leave "
        "it out)",
        name, type->declared, what);
}

size_t mssink_encoder_room(const struct mssink_encoder *e, int64_t row)
{
    const struct sluice_view *v = &e->view;
    if (v->offsets != NULL || v->large_offsets != NULL) {
        return (size_t)bytes_of(v, row).size * 2 + 64;
    }
    return 192 + (size_t)(v->type.width > 0 ? v->type.width : 0);
}

sluice_status mssink_encode(const struct mssink_encoder *e, int64_t row, uint8_t *out, size_t *size,
                            struct sluice_error *err)
{
    return e->encode(e, row, out, size, err);
}

#include "lsn.h"

#include <stdio.h>
#include <string.h>

#include "sluice/position.h"

int ms_lsn_take(struct sluice_bytes value, struct ms_lsn *out)
{
    if (value.data == NULL || value.size != MS_LSN_BYTES) {
        return 0;
    }
    memcpy(out->bytes, value.data, MS_LSN_BYTES);
    return 1;
}

struct sluice_bytes ms_lsn_bytes(const struct ms_lsn *lsn)
{
    return (struct sluice_bytes){lsn->bytes, MS_LSN_BYTES};
}

int ms_lsn_compare(const struct ms_lsn *a, const struct ms_lsn *b)
{
    return memcmp(a->bytes, b->bytes, MS_LSN_BYTES);
}

int ms_lsn_is_zero(const struct ms_lsn *lsn)
{
    static const struct ms_lsn zero = {{0}};
    return ms_lsn_compare(lsn, &zero) == 0;
}

void ms_lsn_decrement(struct ms_lsn *lsn)
{
    if (ms_lsn_is_zero(lsn)) {
        return;
    }
    for (int i = MS_LSN_BYTES - 1; i >= 0 && lsn->bytes[i]-- == 0; i--) {
    }
}

void ms_lsn_increment(struct ms_lsn *lsn)
{
    for (int i = MS_LSN_BYTES - 1; i >= 0 && ++lsn->bytes[i] == 0; i--) {
    }
}

void ms_lsn_format(const struct ms_lsn *lsn, char out[MS_LSN_TEXT])
{
    (void)snprintf(out, MS_LSN_TEXT, "%08x:%08x:%04x", sluice_get_be32(lsn->bytes),
                   sluice_get_be32(lsn->bytes + 4), sluice_get_be16(lsn->bytes + 8));
}

void ms_lsn_literal(const struct ms_lsn *lsn, char out[MS_LSN_LITERAL])
{
    out[0] = '0';
    out[1] = 'x';
    sluice_hex_encode(lsn->bytes, MS_LSN_BYTES, out + 2);
}

static int take_hex(const char *text, size_t digits, uint8_t *out)
{
    return strspn(text, "0123456789abcdefABCDEF") >= digits &&
           sluice_hex_decode(text, digits, out, digits / 2, NULL) >= 0;
}

int ms_lsn_parse(const char *text, struct ms_lsn *out)
{
    const size_t size = strlen(text);
    if (size == 20) { /* as `_pos` of change files */
        return take_hex(text, 20, out->bytes);
    }
    if (size == 22 && text[0] == '0' && (text[1] == 'x' || text[1] == 'X')) {
        return take_hex(text + 2, 20, out->bytes);
    }
    return size == 22 && text[8] == ':' && text[17] == ':' && take_hex(text, 8, out->bytes) &&
           take_hex(text + 9, 8, out->bytes + 4) && take_hex(text + 18, 4, out->bytes + 8);
}

/* ---- times ---- */

enum { EPOCH_1900 = -25567 /* days of 1900-01-01 since 1970-01-01 */ };

int64_t ms_datetime_us(struct sluice_bytes value)
{
    int32_t days = 0;
    uint32_t ticks = 0;
    if (value.data == NULL || value.size != 8) {
        return 0;
    }
    memcpy(&days, value.data, 4);
    memcpy(&ticks, (const uint8_t *)value.data + 4, 4);
    const int64_t ms = ((int64_t)ticks * 10 + 1) / 3;
    return ((int64_t)days + EPOCH_1900) * 86400000000 + ms * 1000;
}

/* Days since 1970 of a date of the proleptic Gregorian calendar (H. Hinnant, "chrono-compatible date algorithms"). */
static int64_t days_of(int64_t y, int64_t m, int64_t d)
{
    y -= m <= 2;
    const int64_t era = y / 400;
    const int64_t yoe = y - era * 400;
    const int64_t doy = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
    return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
}

/* Exactly `n` digits. */
static int take_digits(const char **p, int n, int64_t *out)
{
    *out = 0;
    for (int i = 0; i < n; i++, (*p)++) {
        if (**p < '0' || **p > '9') {
            return 0;
        }
        *out = *out * 10 + (**p - '0');
    }
    return 1;
}

static int take_char(const char **p, char c)
{
    if (**p != c) {
        return 0;
    }
    (*p)++;
    return 1;
}

static int take_zone(const char *p, int *has_zone, int64_t *zone_us)
{
    int64_t hours = 0;
    int64_t minutes = 0;
    *has_zone = 0;
    *zone_us = 0;
    (void)take_char(&p, ' ');
    if (*p == '\0') {
        return 1;
    }
    *has_zone = 1;
    if (take_char(&p, 'Z')) {
        return *p == '\0';
    }
    const int west = *p == '-';
    if ((!west && *p != '+') || (p++, !take_digits(&p, 2, &hours)) || !take_char(&p, ':') ||
        !take_digits(&p, 2, &minutes) || *p != '\0' || hours > 14 || minutes > 59) {
        return 0;
    }
    *zone_us = (hours * 60 + minutes) * 60000000 * (west ? -1 : 1);
    return 1;
}

int ms_time_parse(const char *text, int64_t *out_us, int *has_zone, int64_t *zone_us)
{
    const char *p = text;
    int64_t y = 0;
    int64_t mo = 0;
    int64_t d = 0;
    int64_t h = 0;
    int64_t mi = 0;
    int64_t s = 0;
    int64_t us = 0;
    if (!take_digits(&p, 4, &y) || !take_char(&p, '-') || !take_digits(&p, 2, &mo) ||
        !take_char(&p, '-') || !take_digits(&p, 2, &d) ||
        (!take_char(&p, ' ') && !take_char(&p, 'T')) || !take_digits(&p, 2, &h) ||
        !take_char(&p, ':') || !take_digits(&p, 2, &mi) || !take_char(&p, ':') ||
        !take_digits(&p, 2, &s)) {
        return 0;
    }
    if (y < 1 || mo < 1 || mo > 12 || d < 1 || d > 31 || h > 23 || mi > 59 || s > 59) {
        return 0;
    }
    if (take_char(&p, '.')) {
        int64_t unit = 100000;
        for (; *p >= '0' && *p <= '9'; p++, unit /= 10) {
            us += (*p - '0') * unit;
        }
    }
    if (!take_zone(p, has_zone, zone_us)) {
        return 0;
    }
    *out_us = (days_of(y, mo, d) * 86400 + h * 3600 + mi * 60 + s) * 1000000 + us - *zone_us;
    return 1;
}

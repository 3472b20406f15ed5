#include "until.h"

#include <stdint.h>
#include <string.h>

#include "base/clock.h"

#define US_PER_S 1000000

/* Reads exactly `digits` digits. */
static int read_digits(const char **p, int digits, int *out)
{
    *out = 0;
    for (int i = 0; i < digits; i++, (*p)++) {
        if (**p < '0' || **p > '9') {
            return 0;
        }
        *out = *out * 10 + (**p - '0');
    }
    return 1;
}

static int read_char(const char **p, const char *any)
{
    if (**p == '\0' || strchr(any, **p) == NULL) {
        return 0;
    }
    (*p)++;
    return 1;
}

static int days_in(int year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return days[month - 1] + (month == 2 && leap);
}

/* Days since 1970-01-01. */
static int64_t days_from(int year, int month, int day)
{
    int64_t days = 0;
    for (int y = 1970; y < year; y++) {
        days += 365 + ((y % 4 == 0 && y % 100 != 0) || y % 400 == 0);
    }
    for (int m = 1; m < month; m++) {
        days += days_in(year, m);
    }
    return days + day - 1;
}

/* Up to six digits after a point, as microseconds. */
static int read_fraction(const char **p, int *us)
{
    int unit = US_PER_S / 10;
    *us = 0;
    if (!read_char(p, ".")) {
        return 1;
    }
    if (**p < '0' || **p > '9') {
        return 0;
    }
    for (; **p >= '0' && **p <= '9'; (*p)++, unit /= 10) {
        *us += unit * (**p - '0');
    }
    return 1;
}

/* "Z" or "+hh:mm", as seconds east of UTC. */
static int read_zone(const char **p, int *seconds)
{
    int hours = 0;
    int minutes = 0;
    *seconds = 0;
    if (read_char(p, "Zz")) {
        return 1;
    }
    int west = **p == '-';
    if (!read_char(p, "+-") || !read_digits(p, 2, &hours)) {
        return 0;
    }
    (void)read_char(p, ":");
    if (**p != '\0' && !read_digits(p, 2, &minutes)) {
        return 0;
    }
    if (hours > 15 || minutes > 59) {
        return 0;
    }
    *seconds = (hours * 3600 + minutes * 60) * (west ? -1 : 1);
    return 1;
}

static int looks_like_time(const char *text)
{
    int number = 0;
    const char *p = text;
    return read_digits(&p, 4, &number) && *p == '-';
}

static int read_time(const char *text, struct sluice_str *out, struct sluice_str *why)
{
    int part[6] = {0}; /* year, month, day, hour, minute, second */
    static const char *const before[] = {"", "-", "-", "Tt ", ":", ":"};
    int us = 0;
    int zone = 0;
    char iso[32];
    const char *p = text;
    for (int i = 0; i < 6; i++) {
        if ((i > 0 && !read_char(&p, before[i])) || !read_digits(&p, i == 0 ? 4 : 2, &part[i])) {
            sluice_str_append(why, "a time is written like 2026-11-23T00:52:34Z");
            return 0;
        }
    }
    if (part[0] < 1970 || part[1] < 1 || part[1] > 12 || part[2] < 1 ||
        part[2] > days_in(part[0], part[1]) || part[3] > 23 || part[4] > 59 || part[5] > 59 ||
        !read_fraction(&p, &us)) {
        sluice_str_append(why, "there is no such time");
        return 0;
    }
    if (*p == '\0') {
        sluice_str_append(why, "the time zone is missing: Z for UTC, or like +01:00");
        return 0;
    }
    if (!read_zone(&p, &zone) || *p != '\0') {
        sluice_str_append(why, "the time zone is Z for UTC, or like +01:00");
        return 0;
    }
    int64_t seconds = days_from(part[0], part[1], part[2]) * 86400 + part[3] * 3600 + part[4] * 60 +
                      part[5] - zone;
    sluice_time_iso(seconds * US_PER_S + us, iso);
    sluice_str_append(out, iso);
    return 1;
}

static size_t hex_size(const char *text)
{
    return strspn(text, "0123456789abcdefABCDEF");
}

/* 00000027:00000ac0:0002 */
static int is_lsn_in_three(const char *text)
{
    return strlen(text) == 22 && hex_size(text) == 8 && text[8] == ':' && hex_size(text + 9) == 8 &&
           text[17] == ':' && hex_size(text + 18) == 4;
}

/* 0/16B3748, or as SQL Server writes them: three numbers, or a version; or as manifests and `state show` write positions:
 * an even number of hex digits. Whether the source takes it, it will say. */
static int is_position(const char *text)
{
    size_t high = hex_size(text);
    size_t digits = strspn(text, "0123456789");
    if (is_lsn_in_three(text) || (digits >= 1 && digits <= 18 && text[digits] == '\0')) {
        return 1;
    }
    if (text[high] == '/') {
        size_t low = hex_size(text + high + 1);
        return high >= 1 && high <= 8 && low >= 1 && low <= 8 && text[high + 1 + low] == '\0';
    }
    return high >= 16 && high <= 64 && high % 2 == 0 && text[high] == '\0';
}

int sluice_cli_until_read(const char *text, struct sluice_str *out, struct sluice_str *why)
{
    if (looks_like_time(text)) {
        return read_time(text, out, why);
    }
    if (is_position(text)) {
        sluice_str_append(out, text);
        return 1;
    }
    sluice_str_append(why, "it wants a position of the source's log like 0/16B3748, or a time like "
                           "2026-11-23T00:52:34Z");
    return 0;
}

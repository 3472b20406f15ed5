/* Clocks, and times, durations, sizes and counts as people read them. */
#include "base/clock.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "sluice/abi.h"

#define US_PER_S 1000000

int64_t sluice_now_us(int32_t clock)
{
    struct timespec now = {0, 0};
    (void)clock_gettime(clock == SLUICE_CLOCK_WALL ? CLOCK_REALTIME : CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * US_PER_S + now.tv_nsec / 1000;
}

/* Splits into UTC fields and the microseconds of the second, also before 1970. */
static struct tm utc(int64_t wall_us, int *us)
{
    struct tm tm;
    int64_t seconds = wall_us / US_PER_S;
    int64_t rest = wall_us % US_PER_S;
    if (rest < 0) {
        rest += US_PER_S;
        seconds--;
    }
    time_t t = (time_t)seconds;
    memset(&tm, 0, sizeof tm);
    (void)gmtime_r(&t, &tm);
    *us = (int)rest;
    return tm;
}

/* Four digits, whatever the clock says: the formats are fixed. */
static unsigned year(const struct tm *tm)
{
    int y = tm->tm_year + 1900;
    return y < 0 || y > 9999 ? 9999u : (unsigned)y;
}

void sluice_time_stamp(int64_t wall_us, char out[24])
{
    int us = 0;
    struct tm tm = utc(wall_us, &us);
    (void)snprintf(out, 24, "%04u%02d%02dT%02d%02d%02dZ", year(&tm), tm.tm_mon + 1, tm.tm_mday,
                   tm.tm_hour, tm.tm_min, tm.tm_sec);
}

void sluice_time_iso(int64_t wall_us, char out[32])
{
    int us = 0;
    struct tm tm = utc(wall_us, &us);
    (void)snprintf(out, 32, "%04u-%02d-%02dT%02d:%02d:%02d.%06dZ", year(&tm), tm.tm_mon + 1,
                   tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, us);
}

void sluice_duration_format(int64_t us, char out[24])
{
    int64_t tenths = us > 0 ? (us + 50000) / 100000 : 0;
    int64_t seconds = us > 0 ? (us + US_PER_S / 2) / US_PER_S : 0;
    if (us < US_PER_S) {
        (void)snprintf(out, 24, "%" PRId64 "ms", us > 0 ? us / 1000 : 0);
    }
    else if (tenths < 600) {
        (void)snprintf(out, 24, "%" PRId64 ".%" PRId64 "s", tenths / 10, tenths % 10);
    }
    else if (seconds < 3600) {
        (void)snprintf(out, 24, "%" PRId64 "m%02" PRId64 "s", seconds / 60, seconds % 60);
    }
    else if (seconds < 100 * 3600) {
        (void)snprintf(out, 24, "%" PRId64 "h%02" PRId64 "m", seconds / 3600, seconds / 60 % 60);
    }
    else {
        (void)snprintf(out, 24, "%" PRId64 "d%02" PRId64 "h", seconds / 86400, seconds / 3600 % 24);
    }
}

void sluice_size_format(uint64_t bytes, char out[24])
{
    static const char *const units[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    if (bytes < 1024) {
        (void)snprintf(out, 24, "%" PRIu64 " B", bytes);
        return;
    }
    double value = (double)bytes / 1024;
    size_t unit = 0;
    while (value >= 1023.95 && unit + 1 < sizeof units / sizeof units[0]) {
        value /= 1024;
        unit++;
    }
    (void)snprintf(out, 24, "%.1f %s", value, units[unit]);
}

void sluice_count_format(uint64_t n, char out[32])
{
    char digits[24];
    int size = snprintf(digits, sizeof digits, "%" PRIu64, n);
    size_t at = 0;
    for (int i = 0; i < size; i++) {
        if (i > 0 && (size - i) % 3 == 0) {
            out[at++] = ',';
        }
        out[at++] = digits[i];
    }
    out[at] = '\0';
}

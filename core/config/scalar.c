/* The scalar forms: numbers, booleans, durations, sizes. Locale-free. */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "config/internal.h"

struct unit {
    const char *name;
    int64_t factor;
};

static const struct unit duration_units[] = {
    {"us", 1},       {"ms", 1000},        {"s", 1000000},
    {"m", 60000000}, {"h", 3600000000LL}, {"d", 86400000000LL},
};

static const struct unit size_units[] = {
    {"", 1},
    {"B", 1},
    {"KB", 1000},
    {"MB", 1000000},
    {"GB", 1000000000},
    {"TB", 1000000000000LL},
    {"KiB", 1024},
    {"MiB", 1048576},
    {"GiB", 1073741824},
    {"TiB", 1099511627776LL},
};

/* Reads digits at *at; 0 = none or too large. */
static int read_digits(const char **at, int64_t *value)
{
    const char *p = *at;
    int64_t n = 0;
    if (*p < '0' || *p > '9') {
        return 0;
    }
    for (; *p >= '0' && *p <= '9'; p++) {
        if (__builtin_mul_overflow(n, 10, &n) || __builtin_add_overflow(n, *p - '0', &n)) {
            return 0;
        }
    }
    *at = p;
    *value = n;
    return 1;
}

int sluice_parse_int(const char *text, int64_t *value)
{
    int negative = *text == '-';
    const char *p = text + (*text == '-' || *text == '+');
    int64_t n = 0;
    if (strcmp(text, "-9223372036854775808") == 0) {
        *value = INT64_MIN;
        return 1;
    }
    if (!read_digits(&p, &n) || *p != '\0') {
        return 0;
    }
    *value = negative ? -n : n;
    return 1;
}

int sluice_parse_bool(const char *text, int *value)
{
    static const char *const words[] = {"false", "true", "no", "yes", "off", "on"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (strcasecmp(text, words[i]) == 0) {
            *value = (int)(i & 1u);
            return 1;
        }
    }
    return 0;
}

int sluice_parse_duration(const char *text, int64_t *us)
{
    const char *p = text;
    int64_t total = 0;
    if (strcmp(text, "0") == 0) {
        *us = 0;
        return 1;
    }
    do {
        int64_t n = 0;
        if (!read_digits(&p, &n)) {
            return 0;
        }
        size_t size = strspn(p, "abcdefghijklmnopqrstuvwxyz");
        const struct unit *unit = NULL;
        for (size_t i = 0; i < sizeof duration_units / sizeof duration_units[0]; i++) {
            const struct unit *u = &duration_units[i];
            if (strlen(u->name) == size && memcmp(u->name, p, size) == 0) {
                unit = u;
            }
        }
        if (unit == NULL || __builtin_mul_overflow(n, unit->factor, &n) ||
            __builtin_add_overflow(total, n, &total)) {
            return 0;
        }
        p += size;
    } while (*p != '\0');
    *us = total;
    return 1;
}

int sluice_parse_size(const char *text, int64_t *bytes)
{
    const char *p = text;
    int64_t n = 0;
    if (!read_digits(&p, &n)) {
        return 0;
    }
    p += *p == ' ';
    for (size_t i = 0; i < sizeof size_units / sizeof size_units[0]; i++) {
        if (strcasecmp(p, size_units[i].name) == 0) {
            return !__builtin_mul_overflow(n, size_units[i].factor, bytes);
        }
    }
    return 0;
}

/* The largest unit that leaves no rest. */
static void format_exact(int64_t value, const struct unit *units, size_t first, size_t last,
                         char out[32])
{
    size_t best = first;
    for (size_t i = first; i <= last; i++) {
        if (value != 0 && value % units[i].factor == 0) {
            best = i;
        }
    }
    (void)snprintf(out, 32, "%lld%s", (long long)(value / units[best].factor), units[best].name);
}

void sluice_duration_exact(int64_t us, char out[32])
{
    if (us == 0) {
        (void)snprintf(out, 32, "0");
        return;
    }
    format_exact(us, duration_units, 0, 5, out);
}

void sluice_size_exact(int64_t bytes, char out[32])
{
    if (bytes % 1024 == 0 && bytes != 0) {
        format_exact(bytes, size_units, 6, 9, out);
        return;
    }
    format_exact(bytes, size_units, bytes % 1000 == 0 && bytes != 0 ? 2 : 0,
                 bytes % 1000 == 0 && bytes != 0 ? 5 : 0, out);
}

/* Looking at text: globs, UTF-8, words that were meant. */
#include <string.h>

#include "base/str.h"

/* Matches one character against the set that starts behind '['. *end is set behind ']'; NULL when
 * there is no ']', and the '[' then stands for itself. */
static int set_match(const char *set, char c, const char **end)
{
    const unsigned char *p = (const unsigned char *)set;
    unsigned char byte = (unsigned char)c;
    int negate = *p == '!' || *p == '^';
    int found = 0;
    p += negate;
    const unsigned char *first = p;
    while (*p != '\0' && (*p != ']' || p == first)) {
        unsigned char low = *p++;
        unsigned char high = low;
        if (p[0] == '-' && p[1] != ']' && p[1] != '\0') {
            high = p[1];
            p += 2;
        }
        found = found || (byte >= low && byte <= high);
    }
    *end = *p == ']' ? (const char *)p + 1 : NULL;
    return found != negate;
}

/* One pattern element against one byte; the next element or NULL. */
static const char *element_match(const char *glob, char c)
{
    if (*glob == '?') {
        return glob + 1;
    }
    if (*glob == '[') {
        const char *end = NULL;
        int matched = set_match(glob + 1, c, &end);
        if (end != NULL) {
            return matched ? end : NULL;
        }
    }
    return *glob == c ? glob + 1 : NULL;
}

int sluice_glob_match(const char *glob, const char *text)
{
    const char *star = NULL; /* behind the last '*' */
    const char *from = NULL; /* where its match was tried last */
    while (*text != '\0') {
        const char *next = NULL;
        if (*glob == '*') {
            star = ++glob;
            from = text;
            continue;
        }
        next = *glob != '\0' ? element_match(glob, *text) : NULL;
        if (next != NULL) {
            glob = next;
            text++;
        }
        else if (star != NULL) {
            glob = star;
            text = ++from;
        }
        else {
            return 0;
        }
    }
    while (*glob == '*') {
        glob++;
    }
    return *glob == '\0';
}

/* Bytes of the UTF-8 character at p, 0 = none, looking at most at `left` bytes. */
static size_t utf8_step(const unsigned char *p, size_t left)
{
    unsigned char low = 0x80;
    unsigned char high = 0xbf;
    size_t size = 0;
    if (p[0] < 0x80) {
        return p[0] != 0;
    }
    if (p[0] >= 0xc2 && p[0] <= 0xdf) {
        size = 2;
    }
    else if (p[0] >= 0xe0 && p[0] <= 0xef) {
        size = 3;
        low = p[0] == 0xe0 ? 0xa0 : low;
        high = p[0] == 0xed ? 0x9f : high;
    }
    else if (p[0] >= 0xf0 && p[0] <= 0xf4) {
        size = 4;
        low = p[0] == 0xf0 ? 0x90 : low;
        high = p[0] == 0xf4 ? 0x8f : high;
    }
    if (size == 0 || size > left || p[1] < low || p[1] > high) {
        return 0;
    }
    for (size_t i = 2; i < size; i++) {
        if ((p[i] & 0xc0) != 0x80) {
            return 0;
        }
    }
    return size;
}

int sluice_utf8_valid(const char *text, size_t size)
{
    const unsigned char *p = (const unsigned char *)text;
    size_t at = 0;
    while (at < size) {
        size_t step = utf8_step(p + at, size - at);
        if (step == 0) {
            return 0;
        }
        at += step;
    }
    return 1;
}

#define WORD_MAX 64

static unsigned char lower(char c)
{
    return (unsigned char)(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Optimal string alignment distance: insert, delete, replace, swap neighbours; case is free. */
static size_t distance(const char *a, size_t a_size, const char *b, size_t b_size)
{
    size_t rows[3][WORD_MAX + 1];
    for (size_t j = 0; j <= b_size; j++) {
        rows[0][j] = j;
    }
    for (size_t i = 1; i <= a_size; i++) {
        size_t *now = rows[i % 3];
        const size_t *up = rows[(i + 2) % 3];
        const size_t *up2 = rows[(i + 1) % 3];
        now[0] = i;
        for (size_t j = 1; j <= b_size; j++) {
            size_t cost = lower(a[i - 1]) != lower(b[j - 1]);
            now[j] = least(least(up[j] + 1, now[j - 1] + 1), up[j - 1] + cost);
            if (i > 1 && j > 1 && lower(a[i - 1]) == lower(b[j - 2]) &&
                lower(a[i - 2]) == lower(b[j - 1])) {
                now[j] = least(now[j], up2[j - 2] + 1);
            }
        }
    }
    return rows[a_size % 3][b_size];
}

const char *sluice_did_you_mean(const char *word, const char *const *choices, size_t count)
{
    size_t size = strlen(word);
    const char *best = NULL;
    size_t best_distance = size / 3 > 1 ? size / 3 : 1;
    if (size == 0 || size > WORD_MAX) {
        return NULL;
    }
    for (size_t i = 0; i < count; i++) {
        size_t choice_size = choices[i] != NULL ? strlen(choices[i]) : 0;
        if (choice_size == 0 || choice_size > WORD_MAX) {
            continue;
        }
        size_t d = distance(word, size, choices[i], choice_size);
        if (d < best_distance || (d == best_distance && best == NULL)) {
            best = choices[i];
            best_distance = d;
        }
    }
    return best;
}

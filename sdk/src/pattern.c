/* Matching names of tables and columns. */
#include "sluice/pattern.h"

#include <string.h>

/* A pattern that is not NUL-terminated: the table part ends at a dot. */
struct glob {
    const char *at;
    const char *end;
};

/* One byte against the set behind '['; *next is set behind ']' or NULL if there is none. */
static int set_match(const struct glob *g, const char *set, char c, const char **next)
{
    const char *p = set;
    uint8_t byte = (uint8_t)c;
    int negate = p < g->end && (*p == '!' || *p == '^');
    int found = 0;
    p += negate;
    const char *first = p;
    while (p < g->end && (*p != ']' || p == first)) {
        uint8_t low = (uint8_t)*p++;
        uint8_t high = low;
        if (p + 1 < g->end && *p == '-' && p[1] != ']') {
            high = (uint8_t)p[1];
            p += 2;
        }
        found = found || (byte >= low && byte <= high);
    }
    *next = p < g->end ? p + 1 : NULL;
    return found != negate;
}

static const char *element_match(const struct glob *g, const char *at, char c)
{
    if (at >= g->end) {
        return NULL;
    }
    if (*at == '?') {
        return at + 1;
    }
    if (*at == '[') {
        const char *next = NULL;
        int matched = set_match(g, at + 1, c, &next);
        if (next != NULL) {
            return matched ? next : NULL;
        }
    }
    return *at == c ? at + 1 : NULL;
}

/* Goes back only to the last star: time is bounded by pattern times text. */
static int32_t glob_match(struct glob g, const char *text)
{
    const char *at = g.at;
    const char *star = NULL;
    const char *from = NULL;
    while (*text != '\0') {
        if (at < g.end && *at == '*') {
            star = ++at;
            from = text;
            continue;
        }
        const char *next = element_match(&g, at, *text);
        if (next != NULL) {
            at = next;
            text++;
        }
        else if (star != NULL) {
            at = star;
            text = ++from;
        }
        else {
            return 0;
        }
    }
    while (at < g.end && *at == '*') {
        at++;
    }
    return at == g.end;
}

int32_t sluice_pattern_match(const char *glob, const char *text)
{
    struct glob g = {glob, glob + strlen(glob)};
    return glob_match(g, text);
}

sluice_status sluice_column_pattern_parse(const char *text, struct sluice_column_pattern *out,
                                          struct sluice_error *err)
{
    const char *dot = NULL;
    int quoted = 0;
    for (const char *p = text; *p != '\0'; p++) {
        if (*p == '"') {
            quoted = !quoted;
        }
        else if (*p == '.' && !quoted) {
            dot = p;
        }
    }
    const char *column = dot != NULL ? dot + 1 : text;
    if (quoted || *column == '\0' || dot == text || strcmp(column, "\"\"") == 0) {
        return sluice_error_set(
            err, SLUICE_E_INVALID, 0,
            "column pattern \"%.120s\": expected a column name or glob, perhaps "
            "behind \"schema.table.\"",
            text);
    }
    out->text = text;
    out->table_size = dot != NULL ? (uint64_t)(dot - text) : 0;
    out->column = column;
    return SLUICE_OK;
}

int32_t sluice_column_pattern_table(const struct sluice_column_pattern *pattern, const char *stream)
{
    struct glob g = {pattern->text, pattern->text + pattern->table_size};
    return pattern->table_size == 0 || glob_match(g, stream);
}

int32_t sluice_column_pattern_column(const struct sluice_column_pattern *pattern,
                                     const char *column)
{
    if (pattern->column[0] != '"') {
        return sluice_pattern_match(pattern->column, column);
    }
    /* Quoted: exact, with "" for a quote. */
    for (const char *p = pattern->column + 1; *p != '\0'; p++, column++) {
        if (*p == '"') {
            if (p[1] != '"') {
                return p[1] == '\0' && *column == '\0';
            }
            p++;
        }
        if (*p != *column) {
            return 0;
        }
    }
    return 0;
}

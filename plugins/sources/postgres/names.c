/* Names of slots and publications, and the small texts around them. */
#include <stdio.h>
#include <stdlib.h>

#include "setup.h"
#include "sluice/position.h"

/* ---------------------------------------------------------------- names ---------------------- */

int pg_slot_name_valid(const char *name)
{
    size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_");
    return n > 0 && n < PG_NAME_SIZE && name[n] == '\0';
}

static uint32_t fnv32(const char *text)
{
    uint32_t h = 2166136261u;
    for (const char *p = text; *p != '\0'; p++) {
        h = (h ^ (uint8_t)*p) * 16777619u;
    }
    return h;
}

/* "{base}{suffix}" cut to fit; a hash of the whole tells two cut ones apart. */
static void fit_name(const char *base, const char *suffix, int exact, char out[PG_NAME_SIZE])
{
    size_t room = PG_NAME_SIZE - 1 - strlen(suffix);
    if (exact && strlen(base) <= room) {
        (void)snprintf(out, PG_NAME_SIZE, "%s%s", base, suffix);
        return;
    }
    size_t keep = room - 9 < strlen(base) ? room - 9 : strlen(base);
    while (keep > 0 && ((uint8_t)base[keep] & 0xC0u) == 0x80u) {
        keep--; /* at a whole character */
    }
    (void)snprintf(out, PG_NAME_SIZE, "%.*s_%08x%.20s", (int)keep, base, (unsigned)fnv32(base),
                   suffix);
}

void pg_default_name(const char *pipeline, char out[PG_NAME_SIZE])
{
    char base[256];
    int exact = 1;
    (void)snprintf(base, sizeof base, "sluice_%s", pipeline != NULL ? pipeline : "");
    for (char *p = base; *p != '\0'; p++) {
        if (strchr("abcdefghijklmnopqrstuvwxyz0123456789_", *p) == NULL) {
            *p = '_';
            exact = 0;
        }
    }
    if (!exact) {
        /* The hash is of the name as it was: "a-b" and "a.b" differ. */
        char tail[16];
        (void)snprintf(tail, sizeof tail, "_%08x", (unsigned)fnv32(pipeline));
        (void)snprintf(out, PG_NAME_SIZE, "%.*s%s", (int)(PG_NAME_SIZE - 1 - strlen(tail)), base,
                       tail);
        return;
    }
    fit_name(base, "", 1, out);
}

void pg_feed_names(const struct sluice_source *src, const char *pipeline,
                   struct pg_feed_setup *feed)
{
    char name[PG_NAME_SIZE];
    pg_default_name(pipeline, name);
    (void)snprintf(feed->slot, sizeof feed->slot, "%s",
                   src->options.slot != NULL ? src->options.slot : name);
    (void)snprintf(feed->publications[0], PG_NAME_SIZE, "%s",
                   src->options.publication != NULL ? src->options.publication : name);
    fit_name(feed->publications[0], "_ins", 1, feed->publications[1]);
}

/* Key words that are no name without quotes: PostgreSQL's reserved ones, and those reserved except
 * as functions and types. */
static const char *const reserved[] = {"all",
                                       "analyse",
                                       "analyze",
                                       "and",
                                       "any",
                                       "array",
                                       "as",
                                       "asc",
                                       "asymmetric",
                                       "authorization",
                                       "binary",
                                       "both",
                                       "case",
                                       "cast",
                                       "check",
                                       "collate",
                                       "collation",
                                       "column",
                                       "concurrently",
                                       "constraint",
                                       "create",
                                       "cross",
                                       "current_catalog",
                                       "current_date",
                                       "current_role",
                                       "current_schema",
                                       "current_time",
                                       "current_timestamp",
                                       "current_user",
                                       "default",
                                       "deferrable",
                                       "desc",
                                       "distinct",
                                       "do",
                                       "else",
                                       "end",
                                       "except",
                                       "false",
                                       "fetch",
                                       "for",
                                       "foreign",
                                       "freeze",
                                       "from",
                                       "full",
                                       "grant",
                                       "group",
                                       "having",
                                       "ilike",
                                       "in",
                                       "initially",
                                       "inner",
                                       "intersect",
                                       "into",
                                       "is",
                                       "isnull",
                                       "join",
                                       "lateral",
                                       "leading",
                                       "left",
                                       "like",
                                       "limit",
                                       "localtime",
                                       "localtimestamp",
                                       "natural",
                                       "not",
                                       "notnull",
                                       "null",
                                       "offset",
                                       "on",
                                       "only",
                                       "or",
                                       "order",
                                       "outer",
                                       "overlaps",
                                       "placing",
                                       "primary",
                                       "references",
                                       "returning",
                                       "right",
                                       "select",
                                       "session_user",
                                       "similar",
                                       "some",
                                       "symmetric",
                                       "system_user",
                                       "table",
                                       "tablesample",
                                       "then",
                                       "to",
                                       "trailing",
                                       "true",
                                       "union",
                                       "unique",
                                       "user",
                                       "using",
                                       "variadic",
                                       "verbose",
                                       "when",
                                       "where",
                                       "window",
                                       "with"};

void pg_name_ident(struct sluice_pg_text *text, const char *name)
{
    size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_");
    int plain = n > 0 && name[n] == '\0' && (name[0] < '0' || name[0] > '9');
    for (size_t i = 0; i < sizeof reserved / sizeof reserved[0] && plain; i++) {
        plain = strcmp(name, reserved[i]) != 0;
    }
    if (plain) {
        sluice_pg_text_add(text, name);
    }
    else {
        sluice_pg_text_ident(text, name);
    }
}

void pg_relation_ident(struct sluice_pg_text *text, const struct pg_relation *relation)
{
    pg_name_ident(text, relation->schema);
    sluice_pg_text_add(text, ".");
    pg_name_ident(text, relation->name);
}

void pg_identity_remedy(struct sluice_pg_text *text, const struct pg_relation *relation,
                        int full_row)
{
    sluice_pg_text_add(text, "ALTER TABLE ");
    pg_relation_ident(text, relation);
    if (full_row || relation->identity_index == NULL || relation->identity_index[0] == '\0') {
        sluice_pg_text_add(text, " REPLICA IDENTITY FULL");
    }
    else if (relation->identity_primary) {
        sluice_pg_text_add(text, " REPLICA IDENTITY DEFAULT");
    }
    else {
        sluice_pg_text_add(text, " REPLICA IDENTITY USING INDEX ");
        pg_name_ident(text, relation->identity_index);
    }
}

/* ---------------------------------------------------------------- lists ---------------------- */

void pg_list_add(struct pg_list *list, const char *separator, const char *item)
{
    list->count++;
    if (list->left_out > 0 ||
        (list->text.size > 0 && list->text.size + strlen(item) > list->room)) {
        list->left_out++;
        return;
    }
    if (list->text.size > 0) {
        sluice_pg_text_add(&list->text, separator);
    }
    sluice_pg_text_add(&list->text, item);
}

const char *pg_list_end(struct pg_list *list)
{
    if (list->left_out > 0) {
        sluice_pg_text_format(&list->text, " … and %u more", list->left_out);
        list->left_out = 0;
    }
    return list->text.failed || list->text.data == NULL ? "" : list->text.data;
}

void pg_list_free(struct pg_list *list)
{
    sluice_pg_text_free(&list->text);
    list->count = 0;
    list->left_out = 0;
}

/* ---------------------------------------------------------------- created -------------------- */

static int add_name(char (*names)[PG_NAME_SIZE], uint32_t *count, uint32_t cap, const char *name)
{
    for (uint32_t i = 0; i < *count; i++) {
        if (strcmp(names[i], name) == 0) {
            return 0;
        }
    }
    if (*count < cap) {
        (void)snprintf(names[(*count)++], PG_NAME_SIZE, "%s", name);
        return 1;
    }
    return 0;
}

void pg_created_add_slot(struct pg_created *created, const char *name)
{
    (void)add_name(created->slots, &created->slot_count, 4, name);
}

void pg_created_add_publication(struct pg_created *created, const char *name)
{
    (void)add_name(created->publications, &created->publication_count, 8, name);
}

int pg_created_has_slot(const struct pg_created *created, const char *name)
{
    for (uint32_t i = 0; i < created->slot_count; i++) {
        if (strcmp(created->slots[i], name) == 0) {
            return 1;
        }
    }
    return 0;
}

int pg_created_has_publication(const struct pg_created *created, const char *name)
{
    for (uint32_t i = 0; i < created->publication_count; i++) {
        if (strcmp(created->publications[i], name) == 0) {
            return 1;
        }
    }
    return 0;
}

/* Reads a value: bare up to a blank, or in double quotes, each quote inside doubled. */
static const char *read_value(const char *p, char *out, size_t cap)
{
    size_t n = 0;
    int quoted = *p == '"';
    p += quoted;
    for (; *p != '\0'; p++) {
        if (quoted && *p == '"') {
            if (p[1] != '"') {
                p++;
                break;
            }
            p++;
        }
        else if (!quoted && *p == ' ') {
            break;
        }
        if (n + 1 < cap) {
            out[n++] = *p;
        }
    }
    out[n] = '\0';
    return p;
}

void pg_created_parse(const char *text, struct pg_created *out)
{
    memset(out, 0, sizeof *out);
    for (const char *p = text != NULL ? text : ""; *p != '\0';) {
        char value[PG_NAME_SIZE];
        const char *equals = strchr(p, '=');
        if (equals == NULL) {
            return;
        }
        const char *end = read_value(equals + 1, value, sizeof value);
        size_t key = (size_t)(equals - p);
        if (key == 6 && strncmp(p, "system", 6) == 0) {
            (void)snprintf(out->system, sizeof out->system, "%.31s", value);
        }
        else if (key == 4 && strncmp(p, "slot", 4) == 0) {
            pg_created_add_slot(out, value);
        }
        else if (key == 11 && strncmp(p, "publication", 11) == 0) {
            pg_created_add_publication(out, value);
        }
        p = end + strspn(end, " ");
    }
}

void pg_created_format(const struct pg_created *created, char *out, size_t cap)
{
    struct sluice_pg_text text = {0};
    out[0] = '\0';
    if (created->slot_count == 0 && created->publication_count == 0) {
        return;
    }
    sluice_pg_text_format(&text, "system=%s", created->system);
    for (uint32_t i = 0; i < created->slot_count; i++) {
        sluice_pg_text_format(&text, " slot=%s", created->slots[i]);
    }
    for (uint32_t i = 0; i < created->publication_count; i++) {
        sluice_pg_text_add(&text, " publication=");
        pg_name_ident(&text, created->publications[i]);
    }
    if (!text.failed && text.size < cap) {
        (void)snprintf(out, cap, "%s", text.data);
    }
    sluice_pg_text_free(&text);
}

/* ---------------------------------------------------------------- positions and times -------- */

int pg_lsn_text_parse(const char *text, uint64_t *out)
{
    uint8_t bytes[8];
    if (strlen(text) == 16 && strspn(text, "0123456789abcdefABCDEF") == 16) {
        char lower[17];
        for (int i = 0; i < 17; i++) {
            lower[i] = text[i] >= 'A' && text[i] <= 'F' ? (char)(text[i] - 'A' + 'a') : text[i];
        }
        if (sluice_hex_decode(lower, 16, bytes, 8, NULL) < 0) {
            return 0;
        }
        *out = sluice_get_be64(bytes);
        return 1;
    }
    return strchr(text, '/') != NULL && sluice_lsn_parse(text, out, NULL) >= 0;
}

/* Reads exactly `digits` digits. */
static int read_digits(const char **p, int digits, int64_t *out)
{
    int64_t value = 0;
    for (int i = 0; i < digits; i++) {
        char c = (*p)[i];
        if (c < '0' || c > '9') {
            return 0;
        }
        value = value * 10 + (c - '0');
    }
    *p += digits;
    *out = value;
    return 1;
}

static int read_char(const char **p, char c)
{
    if (**p != c) {
        return 0;
    }
    (*p)++;
    return 1;
}

/* Days since 1970-01-01 in the proleptic Gregorian calendar, for years from 1. */
static int64_t days_of(int64_t year, int64_t month, int64_t day)
{
    year -= month <= 2;
    int64_t era = year / 400;
    int64_t of_era = year - era * 400;
    int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

static int read_zone(const char **p, int64_t *seconds)
{
    int64_t hours = 0;
    int64_t minutes = 0;
    *seconds = 0;
    if (**p == 'Z' || **p == 'z') {
        (*p)++;
        return 1;
    }
    int sign = **p == '-' ? -1 : 1;
    if (**p != '+' && **p != '-') {
        return 0;
    }
    (*p)++;
    if (!read_digits(p, 2, &hours) || !read_char(p, ':') || !read_digits(p, 2, &minutes) ||
        hours > 23 || minutes > 59) {
        return 0;
    }
    *seconds = sign * (hours * 3600 + minutes * 60);
    return 1;
}

int pg_time_parse(const char *text, int64_t *out_us)
{
    static const int lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    const char *p = text;
    int64_t year = 0;
    int64_t month = 0;
    int64_t day = 0;
    int64_t hour = 0;
    int64_t minute = 0;
    int64_t second = 0;
    int64_t us = 0;
    int64_t zone = 0;
    if (!read_digits(&p, 4, &year) || !read_char(&p, '-') || !read_digits(&p, 2, &month) ||
        !read_char(&p, '-') || !read_digits(&p, 2, &day) || (*p != 'T' && *p != ' ')) {
        return 0;
    }
    p++;
    if (!read_digits(&p, 2, &hour) || !read_char(&p, ':') || !read_digits(&p, 2, &minute) ||
        !read_char(&p, ':') || !read_digits(&p, 2, &second)) {
        return 0;
    }
    if (*p == '.') {
        p++;
        int64_t scale = 100000;
        int seen = 0;
        for (; *p >= '0' && *p <= '9'; p++, seen++) {
            us += (*p - '0') * scale;
            scale /= 10;
        }
        if (seen == 0 || seen > 9) {
            return 0;
        }
    }
    int leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    if (!read_zone(&p, &zone) || *p != '\0' || year < 1 || month < 1 || month > 12 || day < 1 ||
        day > lengths[month - 1] + (month == 2 && leap ? 1 : 0) || hour > 23 || minute > 59 ||
        second > 59) {
        return 0;
    }
    *out_us =
        (days_of(year, month, day) * 86400 + hour * 3600 + minute * 60 + second - zone) * 1000000 +
        us;
    return 1;
}

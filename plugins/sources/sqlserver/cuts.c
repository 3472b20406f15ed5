/*
 * Where a large table is cut into pieces: quantiles of the first column of its clustered key, out of a sample of its
 * pages. Ranges of that column are read by seeks, in the table's own order, so no page is read twice. Quantiles stay
 * even where values are skewed, as MIN and MAX would not, and need no arithmetic per type.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sluice/log.h"
#include "source.h"

#define PAGE_BYTES 8192
#define SPLIT_DEFAULT (128ll * 1024 * 1024)
/* A table is spread over idle connections when each gets at least this much. */
#define SPREAD_MIN (16ll * 1024 * 1024)
enum { SAMPLE_PAGES = 2000, PIECES_MAX = 10000, CUT_MAX = 4 * 900 };

/* How a type becomes a text, and how that text becomes a value again. Both are exact; $ is the column or the text, #
 * the type. Times go through datetime2, whose texts do not depend on the session's language. */
static const struct {
    const char *type;
    const char *to;
    const char *from;
} forms[] = {
    {"tinyint", "CAST($ AS nvarchar(4000))", "CAST(N'$' AS tinyint)"},
    {"smallint", "CAST($ AS nvarchar(4000))", "CAST(N'$' AS smallint)"},
    {"int", "CAST($ AS nvarchar(4000))", "CAST(N'$' AS int)"},
    {"bigint", "CAST($ AS nvarchar(4000))", "CAST(N'$' AS bigint)"},
    {"decimal", "CAST($ AS nvarchar(4000))", "CAST(N'$' AS #)"},
    {"numeric", "CAST($ AS nvarchar(4000))", "CAST(N'$' AS #)"},
    {"money", "CAST(CAST($ AS decimal(19,4)) AS nvarchar(4000))", "CAST(N'$' AS money)"},
    {"smallmoney", "CAST(CAST($ AS decimal(10,4)) AS nvarchar(4000))", "CAST(N'$' AS smallmoney)"},
    {"uniqueidentifier", "CAST($ AS nvarchar(4000))", "CAST(N'$' AS uniqueidentifier)"},
    {"date", "CAST($ AS nvarchar(4000))", "CAST(N'$' AS date)"},
    {"datetime2", "CAST($ AS nvarchar(4000))", "CAST(N'$' AS #)"},
    {"datetimeoffset", "CAST($ AS nvarchar(4000))", "CAST(N'$' AS #)"},
    {"datetime", "CAST(CAST($ AS datetime2(3)) AS nvarchar(4000))",
     "CAST(CAST(N'$' AS datetime2(3)) AS datetime)"},
    {"smalldatetime", "CAST(CAST($ AS datetime2(0)) AS nvarchar(4000))",
     "CAST(CAST(N'$' AS datetime2(0)) AS smalldatetime)"},
    {"char", "CAST($ AS nvarchar(4000))", "CAST(N'$' AS #)"},
    {"varchar", "CAST($ AS nvarchar(4000))", "CAST(N'$' AS #)"},
    {"nchar", "CAST($ AS nvarchar(4000))", "CAST(N'$' AS #)"},
    {"nvarchar", "CAST($ AS nvarchar(4000))", "CAST(N'$' AS #)"},
};

static void fill(const char *form, const char *value, const char *type, char *out, size_t size)
{
    size_t n = 0;
    for (const char *p = form; *p != '\0'; p++) {
        const char one[2] = {*p, '\0'};
        const char *piece = *p == '$' ? value : *p == '#' ? type : one;
        n += (size_t)snprintf(out + n, size - n, "%s", piece);
        n = n < size ? n : size - 1;
    }
}

/* Floats are left out: their texts are not exact on older servers. */
static int form_of(const char *type)
{
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        if (strcmp(forms[i].type, type) == 0) {
            return (int)i;
        }
    }
    return -1;
}

static int64_t bytes_of(const struct ms_stream *s)
{
    return s->pages > 0 ? s->pages * PAGE_BYTES : 0;
}

static int is_split(const struct sluice_source *src, const struct ms_stream *s,
                    const struct sluice_source_plan *plan)
{
    const int64_t pieces = src->options.pieces;
    const int follows = (s->flags & SLUICE_SELECT_CHANGES) != 0;
    return (s->flags & SLUICE_SELECT_LOAD) != 0 && plan->row_limit == 0 &&
           s->range_column[0] != '\0' && form_of(s->range_type) >= 0 &&
           (pieces == MS_PIECES_MANY || (pieces == MS_PIECES_AUTO && (follows || src->read_only)));
}

static int64_t count_pieces(const struct sluice_source *src, const struct ms_stream *s,
                            const struct sluice_source_plan *plan)
{
    const int64_t parallelism = plan->parallelism > 0 ? plan->parallelism : 1;
    const int64_t bytes = bytes_of(s);
    int64_t split = (int64_t)plan->split_bytes;
    if (split <= 0) {
        split = src->options.split_bytes > 0 ? src->options.split_bytes : SPLIT_DEFAULT;
    }
    int64_t pieces = (bytes + split - 1) / split;
    const int64_t spread = bytes / SPREAD_MIN < parallelism ? bytes / SPREAD_MIN : parallelism;
    pieces = pieces > spread ? pieces : spread;
    if (pieces > 1 && pieces < 8 * parallelism) {
        /* Few pieces: as many for each connection, or the last ones idle. */
        pieces = (pieces + parallelism - 1) / parallelism * parallelism;
    }
    return pieces < PIECES_MAX ? pieces : PIECES_MAX;
}

/* A text as it stands in N'…': quotes doubled. 0 = it has what does not go into a statement. */
static int escape(struct sluice_bytes text, char *out, size_t size)
{
    size_t n = 0;
    for (uint64_t i = 0; i < text.size; i++) {
        const uint8_t c = ((const uint8_t *)text.data)[i];
        if (c < 0x20 || n + 3 > size) {
            return 0;
        }
        if (c == '\'') {
            out[n++] = '\'';
        }
        out[n++] = (char)c;
    }
    out[n] = '\0';
    return 1;
}

/* Equal neighbours, of keys that are not unique, make one cut. */
static sluice_status take_cut(struct ms_stream *s, struct sluice_bytes text, int form,
                              struct sluice_error *err)
{
    char escaped[CUT_MAX];
    char literal[CUT_MAX + 256];
    if (text.data == NULL || !escape(text, escaped, sizeof escaped)) {
        return SLUICE_OK;
    }
    fill(forms[form].from, escaped, s->range_native, literal, sizeof literal);
    if (s->cut_count > 0 && strcmp(s->cuts[s->cut_count - 1], literal) == 0) {
        return SLUICE_OK;
    }
    s->cuts[s->cut_count] = strdup(literal);
    if (s->cuts[s->cut_count] == NULL) {
        return sluice_error_set(err, SLUICE_E_NOMEM, 0, "out of memory for pieces");
    }
    s->cut_count++;
    return SLUICE_OK;
}

/* The last row of each of `pieces` even parts of a sample, but the last one's. */
static void sample_sql(const struct ms_stream *s, int form, int64_t pieces, char *out, size_t size)
{
    char column[300 * 4];
    char text[300 * 4 + 100];
    char table[600 * 4];
    char sample[64] = "";
    (void)sluice_tds_quote(s->range_column, column, sizeof column);
    size_t n = sluice_tds_quote(s->schema_name, table, sizeof table);
    n += (size_t)snprintf(table + n, sizeof table - n, ".");
    (void)sluice_tds_quote(s->table_name, table + n, sizeof table - n);
    fill(forms[form].to, column, "", text, sizeof text);
    if (s->pages > SAMPLE_PAGES) {
        (void)snprintf(sample, sizeof sample, " TABLESAMPLE (%.4f PERCENT)",
                       100.0 * SAMPLE_PAGES / (double)s->pages);
    }
    (void)snprintf(out, size,
                   "SELECT cut FROM (SELECT %s AS cut, ROW_NUMBER() OVER (ORDER BY %s) AS r, "
                   "COUNT_BIG(*) OVER () AS n FROM %s%s WHERE %s IS NOT NULL) AS sample "
                   "WHERE r < n AND r * %lld / n > (r - 1) * %lld / n ORDER BY r",
                   text, column, table, sample, column, (long long)pieces, (long long)pieces);
}

static sluice_status cut_stream(struct sluice_tds_conn *conn, struct ms_stream *s, int64_t pieces,
                                struct sluice_error *err)
{
    char sql[8192];
    char what[300];
    const int form = form_of(s->range_type);
    s->cuts = calloc((size_t)pieces, sizeof(char *));
    if (s->cuts == NULL) {
        return sluice_error_set(err, SLUICE_E_NOMEM, 0, "out of memory for pieces");
    }
    sample_sql(s, form, pieces, sql, sizeof sql);
    (void)snprintf(what, sizeof what, "look where to cut table %.220s", s->name);
    SLUICE_TRY(sluice_tds_query(conn, what, sql, err));
    sluice_status status = SLUICE_OK;
    while ((status = sluice_tds_fetch(conn, err)) == SLUICE_OK) {
        if (s->cut_count + 1 < (uint32_t)pieces) {
            SLUICE_TRY(take_cut(s, sluice_tds_value(conn, 0), form, err));
        }
    }
    return status < 0 ? status : SLUICE_OK;
}

sluice_status ms_cuts_find(struct sluice_source *src, const struct sluice_source_plan *plan,
                           struct sluice_tds_conn *conn, struct sluice_error *err)
{
    for (uint32_t i = 0; i < src->stream_count; i++) {
        struct ms_stream *s = src->streams[i];
        const int64_t pieces = is_split(src, s, plan) ? count_pieces(src, s, plan) : 1;
        struct sluice_error why = SLUICE_ERROR_INIT;
        if (pieces <= 1) {
            continue;
        }
        const sluice_status status = cut_stream(conn, s, pieces, &why);
        if (status == SLUICE_E_UNAVAILABLE || status == SLUICE_E_CANCELLED ||
            status == SLUICE_E_NOMEM) {
            *err = why;
            return status;
        }
        if (status < 0) { /* as a table that cannot be sampled, it is read as one piece */
            sluice_log(src->host, SLUICE_LOG_WARN, "%s; it is read as one piece", why.message);
            ms_cuts_free(s);
        }
    }
    return SLUICE_OK;
}

void ms_cuts_free(struct ms_stream *s)
{
    for (uint32_t i = 0; i < s->cut_count; i++) {
        free(s->cuts[i]);
    }
    free(s->cuts);
    s->cuts = NULL;
    s->cut_count = 0;
}

/* NULL comes before every value, so it is of the first piece. */
static int condition(const struct ms_stream *s, uint32_t piece, char *out, size_t size)
{
    char column[300 * 4];
    (void)sluice_tds_quote(s->range_column, column, sizeof column);
    if (piece == 0) {
        return snprintf(out, size, "(%s < %s OR %s IS NULL)", column, s->cuts[0], column);
    }
    if (piece == s->cut_count) {
        return snprintf(out, size, "(%s >= %s)", column, s->cuts[piece - 1]);
    }
    return snprintf(out, size, "(%s >= %s AND %s < %s)", column, s->cuts[piece - 1], column,
                    s->cuts[piece]);
}

sluice_status ms_cuts_select(const struct ms_stream *s, uint32_t piece, char **out,
                             struct sluice_error *err)
{
    const size_t room = strlen(s->select) + 2 * (CUT_MAX + 256) + 3 * 1200 + 64;
    char *sql = malloc(room);
    if (sql == NULL) {
        return sluice_error_set(err, SLUICE_E_NOMEM, 0, "out of memory for a statement");
    }
    size_t n = (size_t)snprintf(sql, room, "%s", s->select);
    if (s->cut_count > 0) {
        n += (size_t)snprintf(sql + n, room - n, s->filtered ? " AND " : " WHERE ");
        (void)condition(s, piece, sql + n, room - n);
    }
    *out = sql;
    return SLUICE_OK;
}

/* Instance, discovery and plan of source generate. */
#include <stdio.h>
#include <stdlib.h>

#include "generate.h"
#include "sluice/array.h"
#include "sluice/position.h"

static const uint8_t load_position[8] = {0, 0, 0, 0, 0, 0, 0, 1};

static void stream_free(struct gen_stream *s)
{
    if (s != NULL) {
        sluice_schema_release(&s->schema);
        free(s->columns);
        free(s);
    }
}

static void streams_free(struct sluice_source *src)
{
    for (uint32_t i = 0; i < src->stream_count; i++) {
        stream_free(src->streams[i]);
    }
    free(src->streams);
    src->streams = NULL;
    src->stream_count = 0;
}

static void gen_destroy(struct sluice_source *src)
{
    if (src != NULL) {
        streams_free(src);
        free(src->columns);
        free(src);
    }
}

static void name_column(const struct gen_options *o, uint32_t i, char out[72])
{
    static const char *const odd[] = {"two words",
                                      "Quo\"te",
                                      "dash-ed",
                                      "Gr\303\266\303\237e",
                                      "select",
                                      "a.b",
                                      "\xe6\x97\xa5\xe6\x9c\xac",
                                      "back\\slash"};
    if (o->names == GEN_NAMES_ODD) {
        (void)snprintf(out, 72, "%s %u", odd[(i - 1) % 8], i);
    }
    else {
        (void)snprintf(out, 72, "c%u", i);
    }
}

static sluice_status make_columns(struct sluice_source *src, struct sluice_error *err)
{
    static const char *const fallback[] = {"int32", "utf8:16", "timestamp"};
    struct sluice_option_list list = src->options.columns;
    if (list.items == NULL) {
        list.items = fallback;
        list.count = 3;
    }
    src->columns = calloc((size_t)list.count + 1, sizeof *src->columns);
    if (src->columns == NULL) {
        return sluice_error_set(err, SLUICE_E_NOMEM, 0, "source generate: out of memory");
    }
    struct gen_column *id = &src->columns[0];
    id->type.id = SLUICE_TYPE_INT64;
    id->type.width = 8;
    id->content = GEN_ROW;
    (void)snprintf(id->name, sizeof id->name, "id");
    (void)snprintf(id->native, sizeof id->native, "bigint");
    for (uint32_t i = 1; i <= list.count; i++) {
        SLUICE_TRY(gen_column_parse(list.items[i - 1], &src->columns[i], err));
        name_column(&src->options, i, src->columns[i].name);
    }
    src->column_count = list.count + 1;
    return SLUICE_OK;
}

static sluice_status gen_create(const struct sluice_host *host, struct sluice_source **out,
                                struct sluice_error *err)
{
    static const struct sluice_option_binding bindings[] = {
        SLUICE_BIND(struct gen_options, tables, "tables"),
        SLUICE_BIND(struct gen_options, rows, "rows"),
        SLUICE_BIND(struct gen_options, columns, "columns"),
        SLUICE_BIND(struct gen_options, seed, "seed"),
        SLUICE_BIND(struct gen_options, null_percent, "null_percent"),
        SLUICE_BIND(struct gen_options, shards, "shards"),
        SLUICE_BIND(struct gen_options, batch_rows, "batch_rows"),
        SLUICE_BIND(struct gen_options, names, "names"),
        SLUICE_BIND(struct gen_options, denied_table, "denied_table"),
        SLUICE_BIND(struct gen_options, delay_us, "delay"),
        SLUICE_BIND(struct gen_options, fail_after_rows, "fail_after_rows"),
        SLUICE_BIND(struct gen_options, fail_kind, "fail_kind"),
        SLUICE_BIND(struct gen_options, fail_times, "fail_times"),
        SLUICE_BIND(struct gen_options, fail_table, "fail_table"),
        {NULL, 0}};
    struct sluice_source *src = calloc(1, sizeof *src);
    if (src == NULL) {
        return sluice_error_set(err, SLUICE_E_NOMEM, 0, "source generate: out of memory");
    }
    src->host = host;
    sluice_status st = sluice_options_bind(host, bindings, &src->options, err);
    if (st >= 0) {
        st = make_columns(src, err);
    }
    if (st < 0) {
        gen_destroy(src);
        return st;
    }
    atomic_init(&src->fails_left, src->options.fail_times);
    (void)snprintf(src->identity, sizeof src->identity, "generate seed=%lld tables=%lld rows=%lld",
                   (long long)src->options.seed, (long long)src->options.tables,
                   (long long)src->options.rows);
    *out = src;
    return SLUICE_OK;
}

static sluice_status gen_check(struct sluice_source *src, const struct sluice_source_plan *plan,
                               sluice_finding_visit visit, void *vctx, struct sluice_error *err)
{
    (void)plan;
    (void)err;
    char what[96];
    (void)snprintf(what, sizeof what, "makes %lld tables of %lld rows and %u columns",
                   (long long)src->options.tables, (long long)src->options.rows, src->column_count);
    struct sluice_finding finding = {
        (uint32_t)sizeof finding, SLUICE_FINDING_OK, "generate", NULL, what, NULL};
    sluice_status st = visit(vctx, &finding);
    return st < 0 ? st : SLUICE_OK;
}

static void gen_cancel(struct sluice_source *src)
{
    (void)src; /* waits look at the host's cancel descriptor */
}

static int listed(const char *const *names, uint32_t count, const char *name)
{
    for (uint32_t i = 0; i < count; i++) {
        if (strcmp(names[i], name) == 0) {
            return 1;
        }
    }
    return 0;
}

static void name_stream(const struct gen_options *o, int64_t table, struct gen_stream *s)
{
    if (o->names == GEN_NAMES_ODD) {
        (void)snprintf(s->part, sizeof s->part, "Gen \"%04lld\" \xc3\xbc./x", (long long)table);
    }
    else {
        (void)snprintf(s->part, sizeof s->part, "gen_%04lld", (long long)table);
    }
    s->parts[0] = "public";
    s->parts[1] = s->part;
    (void)sluice_stream_name(s->parts, 2, s->name, sizeof s->name);
}

static sluice_status set_column(struct sluice_source *src, struct gen_stream *s, uint32_t i,
                                struct sluice_error *err)
{
    const struct gen_column *col = &src->columns[s->columns[i]];
    struct sluice_pair pairs[2] = {{"sluice:native_type", col->native},
                                   {"ARROW:extension:name", col->extension}};
    int32_t nullable = col->content != GEN_ROW;
    return sluice_schema_set(&s->schema, i, col->name, &col->type, nullable, pairs,
                             col->extension != NULL ? 2 : 1, err);
}

/* Makes the description of a table; `select` NULL = all columns. */
static sluice_status stream_make(struct sluice_source *src, int64_t table,
                                 const struct sluice_stream_select *select, int64_t row_limit,
                                 struct gen_stream **out, struct sluice_error *err)
{
    struct gen_stream *s = calloc(1, sizeof *s);
    if (s != NULL) {
        s->columns = calloc(src->column_count, sizeof *s->columns);
    }
    if (s == NULL || s->columns == NULL) {
        stream_free(s);
        return sluice_error_set(err, SLUICE_E_NOMEM, 0, "source generate: out of memory");
    }
    name_stream(&src->options, table, s);
    int64_t width = 0;
    for (uint32_t i = 0; i < src->column_count; i++) {
        const char *name = src->columns[i].name;
        if (select != NULL && ((select->include_count > 0 &&
                                !listed(select->include_columns, select->include_count, name)) ||
                               listed(select->exclude_columns, select->exclude_count, name))) {
            continue;
        }
        s->columns[s->column_count++] = i;
        width += gen_column_width(&src->columns[i]);
    }
    sluice_status st = sluice_schema_init(&s->schema, s->column_count, err);
    for (uint32_t i = 0; i < s->column_count && st >= 0; i++) {
        st = set_column(src, s, i, err);
    }
    if (st < 0) {
        stream_free(s);
        return st;
    }
    s->table = table;
    s->rows = row_limit > 0 && row_limit < src->options.rows ? row_limit : src->options.rows;
    s->flags = select != NULL ? select->flags : SLUICE_SELECT_LOAD;
    s->key = 0;
    s->desc = (struct sluice_stream_desc){
        .struct_size = (uint32_t)sizeof s->desc,
        .kind = SLUICE_STREAM_TABLE,
        .before = SLUICE_BEFORE_NONE,
        .stream_id = (uint64_t)table,
        .schema_id = 1,
        .name = s->name,
        .part_count = 2,
        .key_count = s->column_count > 0 && s->columns[0] == 0 ? 1 : 0,
        .parts = s->parts,
        .keys = &s->key,
        .schema = &s->schema,
        .rows_estimate = s->rows,
        .bytes_estimate = s->rows * width,
        .load_position = {load_position, sizeof load_position},
        .load_position_text = "0000000000000001",
    };
    *out = s;
    return SLUICE_OK;
}

/* Visits one table, with its problem where the options ask for one. */
static sluice_status visit_stream(struct sluice_source *src, const struct gen_stream *s,
                                  sluice_stream_visit visit, void *vctx)
{
    struct sluice_error problem;
    if (src->options.denied_table == s->table) {
        (void)sluice_error_set(&problem, SLUICE_E_PERMISSION, 0,
                               "stream %s: permission denied, as denied_table says", s->name);
        return visit(vctx, &s->desc, &problem);
    }
    return visit(vctx, &s->desc, NULL);
}

static sluice_status gen_discover(struct sluice_source *src, sluice_stream_visit visit, void *vctx,
                                  struct sluice_error *err)
{
    for (int64_t t = 1; t <= src->options.tables; t++) {
        struct gen_stream *s = NULL;
        SLUICE_TRY(stream_make(src, t, NULL, 0, &s, err));
        sluice_status st = visit_stream(src, s, visit, vctx);
        stream_free(s);
        if (st != SLUICE_OK) {
            return st == SLUICE_END ? SLUICE_OK : st;
        }
    }
    return SLUICE_OK;
}

/* The table of that name, or 0: the first digits of a name are its number. */
static int64_t find_table(const struct sluice_source *src, const char *name)
{
    const char *digits = name + strcspn(name, "0123456789");
    int64_t table = strtoll(digits, NULL, 10);
    if (table < 1 || table > src->options.tables) {
        return 0;
    }
    struct gen_stream s;
    name_stream(&src->options, table, &s);
    return strcmp(s.name, name) == 0 ? table : 0;
}

static sluice_status open_stream(struct sluice_source *src, const struct sluice_source_plan *plan,
                                 const struct sluice_stream_select *select,
                                 sluice_stream_visit visit, void *vctx, struct sluice_error *err)
{
    struct sluice_error problem;
    struct gen_stream *s = NULL;
    int64_t table = find_table(src, select->name);
    if (table == 0 || select->where != NULL) {
        struct sluice_stream_desc desc;
        memset(&desc, 0, sizeof desc);
        desc.struct_size = (uint32_t)sizeof desc;
        desc.name = select->name;
        (void)sluice_error_set(&problem, table == 0 ? SLUICE_E_NOT_FOUND : SLUICE_E_UNSUPPORTED, 0,
                               table == 0 ? "stream %s does not exist"
                                          : "stream %s: source generate has no `where`",
                               select->name);
        return visit(vctx, &desc, &problem);
    }
    SLUICE_TRY(stream_make(src, table, select, (int64_t)plan->row_limit, &s, err));
    sluice_status st = visit_stream(src, s, visit, vctx);
    if (st < 0 || src->options.denied_table == table) {
        stream_free(s);
        return st;
    }
    src->streams[src->stream_count++] = s;
    return st;
}

static sluice_status gen_open(struct sluice_source *src, const struct sluice_source_plan *plan,
                              struct sluice_source_info *info, sluice_stream_visit visit,
                              void *vctx, struct sluice_error *err)
{
    streams_free(src);
    src->plan_batch_rows = plan->batch_rows;
    src->plan_batch_bytes = plan->batch_bytes;
    src->streams = calloc((size_t)plan->stream_count + 1, sizeof(struct gen_stream *));
    if (src->streams == NULL) {
        return sluice_error_set(err, SLUICE_E_NOMEM, 0, "source generate: out of memory");
    }
    for (uint32_t i = 0; i < plan->stream_count; i++) {
        sluice_status st = open_stream(src, plan, plan->streams[i], visit, vctx, err);
        if (st != SLUICE_OK) {
            return st == SLUICE_END ? SLUICE_OK : st;
        }
    }
    info->identity = src->identity;
    info->server = "generate 0.1.0";
    return SLUICE_OK;
}

const struct sluice_source_api gen_source_api = {
    .struct_size = (uint32_t)sizeof gen_source_api,
    .create = gen_create,
    .destroy = gen_destroy,
    .check = gen_check,
    .cancel = gen_cancel,
    .discover = gen_discover,
    .open = gen_open,
    .shards = gen_shards,
    .reader_open = gen_reader_open,
    .reader_next = gen_reader_next,
    .reader_close = gen_reader_close,
};

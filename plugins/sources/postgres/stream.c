/* Describing one relation as a stream: which columns, how fetched, how typed, and why it cannot be
 * read if so. */
#include <stdio.h>
#include <stdlib.h>

#include "setup.h"

enum { METADATA_MAX = 16 };

char *pg_stream_name(const struct pg_relation *relation)
{
    const char *parts[2] = {relation->schema, relation->name};
    uint64_t size = sluice_stream_name(parts, 2, NULL, 0);
    char *name = malloc(size + 1);
    if (name != NULL) {
        (void)sluice_stream_name(parts, 2, name, size + 1);
    }
    return name;
}

void pg_stream_free(struct pg_stream *stream)
{
    if (stream->schema.release != NULL) {
        stream->schema.release(&stream->schema);
    }
    free(stream->name);
    free(stream->select);
    free(stream->column_names);
    free(stream->where);
    free(stream->decode);
    for (uint32_t i = 0; i < stream->excluded_count; i++) {
        free(stream->excluded[i]);
    }
    free(stream->excluded);
    memset(stream, 0, sizeof *stream);
}

static int listed(const char *name, const char *const *list, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        if (strcmp(list[i], name) == 0) {
            return 1;
        }
    }
    return 0;
}

/* Are the changes of this stream followed? Then it has the columns that the server sends. */
static int followed(const struct pg_stream_context *context,
                    const struct sluice_stream_select *select)
{
    return context->changes && select != NULL && (select->flags & SLUICE_SELECT_CHANGES) != 0;
}

static int only_followed(const struct pg_stream_context *context,
                         const struct sluice_stream_select *select)
{
    return followed(context, select) && (select->flags & SLUICE_SELECT_LOAD) == 0;
}

/* In feeds: does the server send this column? */
static int published(const struct pg_stream_context *context, const struct pg_relation *r,
                     const struct pg_attribute *a)
{
    if (a->generated != 0 && (context->server_version < PG_SINCE_GENERATED || a->generated != 's' ||
                              r->published_columns == NULL)) {
        return 0;
    }
    char *end = NULL;
    for (const char *p = r->published_columns; p != NULL && *p != '\0'; p = end) {
        if (strtol(p, &end, 10) == a->number) {
            return 1;
        }
        if (end == p) {
            break;
        }
    }
    return r->published_columns == NULL;
}

static int wanted(const struct pg_stream_context *context, const struct pg_relation *r,
                  const struct pg_attribute *a, const struct sluice_stream_select *select)
{
    if (a->generated != 0 && context->options->generated == PG_GENERATED_EXCLUDE) {
        return 0;
    }
    if (followed(context, select) && !published(context, r, a)) {
        return 0;
    }
    if (select == NULL) {
        return 1;
    }
    if (select->include_count > 0 &&
        !listed(a->name, select->include_columns, select->include_count)) {
        return 0;
    }
    return !listed(a->name, select->exclude_columns, select->exclude_count);
}

/* A column that was asked for by name but is not there is a mistake worth telling. */
static sluice_status check_included(const struct pg_stream_context *context,
                                    const struct pg_relation *relation, const char *stream,
                                    const struct sluice_stream_select *select,
                                    struct sluice_error *err)
{
    for (uint32_t i = 0; select != NULL && i < select->include_count; i++) {
        int found = 0;
        for (uint32_t k = 0; k < relation->attribute_count; k++) {
            const struct pg_attribute *a = &relation->attributes[k];
            found |= strcmp(a->name, select->include_columns[i]) == 0 &&
                     (!followed(context, select) || published(context, relation, a));
        }
        if (!found) {
            return sluice_error_set(err, SLUICE_E_SCHEMA, 0,
                                    "table %s: no column \"%s\" to include", stream,
                                    select->include_columns[i]);
        }
    }
    return SLUICE_OK;
}

static sluice_status check_readable(const struct pg_relation *relation, const char *stream,
                                    struct sluice_error *err)
{
    if (!relation->schema_usable) {
        return sluice_error_set(
            err, SLUICE_E_PERMISSION, 0,
            "table %s: no right to use its schema (hint: GRANT USAGE ON SCHEMA)", stream);
    }
    int readable = relation->readable;
    for (uint32_t i = 0; i < relation->attribute_count && !readable; i++) {
        readable = relation->attributes[i].readable;
    }
    if (!readable) {
        return sluice_error_set(err, SLUICE_E_PERMISSION, 0,
                                "table %s: no right to read it (hint: GRANT SELECT)", stream);
    }
    if (!relation->populated) {
        return sluice_error_set(err, SLUICE_E_STATE, 0,
                                "materialized view %s has not been filled (hint: REFRESH "
                                "MATERIALIZED VIEW)",
                                stream);
    }
    return SLUICE_OK;
}

/* Plans one column: its select expression, its field of the schema, its decoder. */
static sluice_status add_column(const struct pg_stream_context *context, struct pg_stream *stream,
                                const struct pg_attribute *a, int64_t index,
                                struct sluice_pg_text *select, struct sluice_pg_text *names,
                                struct sluice_error *err)
{
    struct sluice_pg_column column = {a->name, a->type, a->typmod};
    struct sluice_pg_column_plan plan = {0};
    struct sluice_pair metadata[METADATA_MAX];
    char id[32];
    uint32_t count = 0;
    int32_t policy = (int32_t)context->options->on_unrepresentable;
    if (context->sql_ascii && !sluice_pg_utf8_valid((const uint8_t *)a->name, strlen(a->name))) {
        return sluice_error_set(err, SLUICE_E_DATA, 0, "column %d: its name is not valid UTF-8",
                                a->number);
    }
    if (index > 0) {
        sluice_pg_text_add(select, ", ");
        sluice_pg_text_add(names, ",");
    }
    sluice_pg_text_array_item(names, a->name);
    sluice_status st = sluice_pg_column_make(context->catalog->types, &column, policy,
                                             context->sql_ascii, select, &plan, err);
    if (st < 0) {
        sluice_pg_text_free(&plan.text);
        return sluice_error_wrap(err, "column \"%s\"", a->name);
    }
    metadata[count++] = (struct sluice_pair){"sluice:native_type", a->native};
    if (plan.text.size > 0) {
        metadata[count++] = (struct sluice_pair){"sluice:text", plan.text.data};
    }
    if (plan.special) {
        metadata[count++] = (struct sluice_pair){"sluice:special", "1"};
    }
    if (plan.extension != NULL) {
        metadata[count++] = (struct sluice_pair){"ARROW:extension:name", plan.extension};
    }
    if (a->generated != 0) {
        metadata[count++] =
            (struct sluice_pair){"sluice:generated", a->generated == 's' ? "stored" : "virtual"};
        if (context->server_version < PG_SINCE_GENERATED || a->generated != 's') {
            metadata[count++] = (struct sluice_pair){"sluice:changes", "not sent"};
        }
    }
    if (a->base != NULL) {
        metadata[count++] = (struct sluice_pair){"sluice:base_type", a->base};
    }
    if (a->labels != NULL) {
        metadata[count++] = (struct sluice_pair){"sluice:enum", a->labels};
    }
    if (a->initial != NULL) {
        metadata[count++] = (struct sluice_pair){"sluice:default", a->initial};
    }
    if (a->relation != 0) {
        (void)snprintf(id, sizeof id, "%u.%d", a->relation, a->real);
        metadata[count++] = (struct sluice_pair){"sluice:column_id", id};
    }
    if (a->collation != NULL) {
        metadata[count++] = (struct sluice_pair){"sluice:collation", a->collation};
    }
    if (a->missing != NULL) {
        metadata[count++] = (struct sluice_pair){"sluice:missing", a->missing};
    }
    if (a->identity != 0) {
        metadata[count++] =
            (struct sluice_pair){"sluice:identity", a->identity == 'a' ? "always" : "by default"};
    }
    /* Not-null is a promise only where the server keeps it: not for foreign tables and views. */
    char kind = stream->relation->kind;
    int32_t nullable = !(a->not_null && (kind == 'r' || kind == 'p'));
    if (policy == SLUICE_PG_UNREPRESENTABLE_NULL &&
        (plan.decode == SLUICE_PG_DECODE_TIMESTAMP || plan.decode == SLUICE_PG_DECODE_DATE)) {
        nullable = 1;
    }
    stream->decode[index] = plan.decode;
    stream->binary_whole = stream->binary_whole && plan.binary;
    st = sluice_schema_set(&stream->schema, index, a->name, &plan.type, nullable, metadata, count,
                           err);
    sluice_pg_text_free(&plan.text);
    return st;
}

static void add_keys(const struct pg_stream_context *context, struct pg_stream *stream,
                     const int16_t *numbers)
{
    const struct pg_relation *r = stream->relation;
    /* With changes: what old rows are told by; under FULL the primary key still says what is one. */
    int identity = context->changes && (stream->select_flags & SLUICE_SELECT_CHANGES) != 0 &&
                   r->identity != PG_IDENTITY_FULL_ROW;
    const int16_t *keys = identity ? r->identity_keys : r->keys;
    uint32_t key_count = identity ? r->identity_count : r->key_count;
    for (uint32_t k = 0; k < key_count; k++) {
        uint32_t i = 0;
        while (i < stream->column_count && numbers[i] != keys[k]) {
            i++;
        }
        if (i == stream->column_count) {
            stream->desc.key_count = 0; /* a part of the key is not read: no key */
            return;
        }
        stream->keys[k] = i;
        stream->desc.key_count = k + 1;
    }
}

static sluice_status add_columns(const struct pg_stream_context *context, struct pg_stream *stream,
                                 const struct sluice_stream_select *select,
                                 struct sluice_error *err)
{
    const struct pg_relation *r = stream->relation;
    struct sluice_pg_text exprs = {0};
    struct sluice_pg_text names = {0};
    int16_t *numbers = calloc(r->attribute_count + 1u, sizeof *numbers);
    stream->decode = calloc(r->attribute_count + 1u, sizeof *stream->decode);
    sluice_status st = numbers != NULL && stream->decode != NULL
                           ? SLUICE_OK
                           : sluice_error_set(err, SLUICE_E_NOMEM, 0, "out of memory for columns");
    uint32_t n = 0;
    for (uint32_t i = 0; i < r->attribute_count && st >= 0; i++) {
        n += wanted(context, r, &r->attributes[i], select) ? 1u : 0u;
    }
    if (st >= 0) {
        st = sluice_schema_init(&stream->schema, n, err);
    }
    sluice_pg_text_add(&names, "{");
    for (uint32_t i = 0; i < r->attribute_count && st >= 0; i++) {
        const struct pg_attribute *a = &r->attributes[i];
        if (!wanted(context, r, a, select)) {
            continue;
        }
        if (!a->readable && !only_followed(context, select)) {
            st =
                sluice_error_set(err, SLUICE_E_PERMISSION, 0,
                                 "table %s: no right to read column \"%s\" (hint: GRANT SELECT, or "
                                 "exclude the column)",
                                 stream->name, a->name);
            break;
        }
        st = add_column(context, stream, a, stream->column_count, &exprs, &names, err);
        numbers[stream->column_count++] = a->number;
    }
    sluice_pg_text_add(&names, "}");
    if (st >= 0) {
        add_keys(context, stream, numbers);
        stream->select = sluice_pg_text_take(&exprs);
        stream->column_names = sluice_pg_text_take(&names);
        if (stream->select == NULL || stream->column_names == NULL) {
            st = sluice_error_set(err, SLUICE_E_NOMEM, 0, "out of memory for columns");
        }
    }
    free(numbers);
    sluice_pg_text_free(&exprs);
    sluice_pg_text_free(&names);
    return st;
}

static int32_t stream_kind(const struct pg_relation *r)
{
    switch (r->kind) {
    case 'p':
        return SLUICE_STREAM_PARTITIONED;
    case 'v':
        return SLUICE_STREAM_VIEW;
    case 'm':
        return SLUICE_STREAM_MATVIEW;
    case 'f':
        return SLUICE_STREAM_FOREIGN;
    default:
        return r->is_partition ? SLUICE_STREAM_PARTITION : SLUICE_STREAM_TABLE;
    }
}

static void estimate(const struct pg_stream_context *context, struct pg_stream *stream)
{
    const struct pg_relation *r = stream->relation;
    int64_t rows = r->row_estimate < 0 ? -1 : (int64_t)r->row_estimate;
    int64_t bytes = r->kind == 'r' || r->kind == 'm' ? r->pages * 8192 + r->toast_bytes : -1;
    if (r->kind == 'p') {
        int known = 0;
        rows = 0;
        bytes = 0;
        for (uint32_t i = 0; i < context->catalog->leaf_count; i++) {
            const struct pg_relation *leaf = &context->catalog->leaves[i];
            if (leaf->root != r->oid) {
                continue;
            }
            known = 1;
            bytes += leaf->pages * 8192 + leaf->toast_bytes;
            rows = rows < 0 || leaf->row_estimate < 0 ? -1 : rows + (int64_t)leaf->row_estimate;
        }
        if (!known) {
            rows = -1;
            bytes = -1;
        }
    }
    if (r->kind == 'v' || r->kind == 'f') {
        rows = rows > 0 ? rows : -1; /* views have none; foreign tables only after ANALYZE */
    }
    stream->desc.rows_estimate = rows;
    stream->desc.bytes_estimate = bytes;
}

/* The rows that are loaded: those that the publication lets through, and those of the rule. */
static sluice_status make_where(const struct pg_stream_context *context, struct pg_stream *stream,
                                const struct sluice_stream_select *select, struct sluice_error *err)
{
    const char *rule = select != NULL ? select->where : NULL;
    const char *filter = followed(context, select) ? stream->relation->row_filter : NULL;
    struct sluice_pg_text text = {0};
    if (rule == NULL && filter == NULL) {
        return SLUICE_OK;
    }
    if (rule != NULL && filter != NULL) {
        /* The line end closes a comment that the rule may end with. */
        sluice_pg_text_format(&text, "(%s) AND (%s\n)", filter, rule);
    }
    else {
        sluice_pg_text_add(&text, rule != NULL ? rule : filter);
    }
    sluice_status st = sluice_pg_text_check(&text, err);
    if (st >= 0) {
        stream->where = sluice_pg_text_take(&text);
        st = stream->where != NULL
                 ? SLUICE_OK
                 : sluice_error_set(err, SLUICE_E_NOMEM, 0, "out of memory for a stream");
    }
    sluice_pg_text_free(&text);
    return st;
}

/* Columns may be added while changes flow: which of them belong to the stream. */
static sluice_status keep_choice(struct pg_stream *stream,
                                 const struct sluice_stream_select *select,
                                 struct sluice_error *err)
{
    uint32_t count = select != NULL ? select->exclude_count : 0;
    stream->columns_named = select != NULL && select->include_count > 0;
    stream->excluded = calloc(count + 1u, sizeof(char *));
    for (uint32_t i = 0; stream->excluded != NULL && i < count; i++) {
        stream->excluded[i] = strdup(select->exclude_columns[i]);
        if (stream->excluded[i] == NULL) {
            break;
        }
        stream->excluded_count = i + 1;
    }
    if (stream->excluded == NULL || stream->excluded_count < count) {
        return sluice_error_set(err, SLUICE_E_NOMEM, 0, "out of memory for a stream");
    }
    return SLUICE_OK;
}

/* What the feed tells of old rows, and whether there is one. */
static void set_changes(const struct pg_stream_context *context, struct pg_stream *stream)
{
    const struct pg_relation *r = stream->relation;
    struct sluice_stream_desc *d = &stream->desc;
    if (pg_relation_capturable(r, context->server_version)) {
        d->flags |= SLUICE_STREAM_CAN_CHANGES;
    }
    if (!context->changes || (stream->select_flags & SLUICE_SELECT_CHANGES) == 0) {
        return;
    }
    stream->insert_only = (r->published & 1) == 0;
    if (stream->insert_only) {
        d->flags |= SLUICE_STREAM_INSERT_ONLY;
        d->before = SLUICE_BEFORE_NONE;
    }
    else {
        d->before = r->identity == PG_IDENTITY_FULL_ROW ? SLUICE_BEFORE_FULL : SLUICE_BEFORE_KEY;
    }
}

sluice_status pg_stream_make(const struct pg_stream_context *context,
                             const struct pg_relation *relation,
                             const struct sluice_stream_select *select, struct pg_stream *stream,
                             struct sluice_error *err)
{
    memset(stream, 0, sizeof *stream);
    sluice_error_clear(&stream->problem);
    stream->relation = relation;
    stream->name = pg_stream_name(relation);
    if (stream->name == NULL) {
        return sluice_error_set(err, SLUICE_E_NOMEM, 0, "out of memory for a stream");
    }
    stream->binary_whole = 1;
    stream->select_flags = select != NULL ? (int32_t)select->flags : 0;
    SLUICE_TRY(make_where(context, stream, select, err));
    SLUICE_TRY(keep_choice(stream, select, err));
    struct sluice_error problem = SLUICE_ERROR_INIT;
    int described = 0;
    /* Changes come through the slot, whatever rights there are on the table by now. */
    sluice_status st = only_followed(context, select)
                           ? SLUICE_OK
                           : check_readable(relation, stream->name, &problem);
    if (st >= 0) {
        st = check_included(context, relation, stream->name, select, &problem);
    }
    if (st >= 0) {
        st = add_columns(context, stream, select, &problem);
    }
    if (st == SLUICE_E_PERMISSION && select == NULL && stream->column_count == 0) {
        /* It may still be followed: who discovers must be able to tell what it looks like. */
        struct sluice_error ignored = SLUICE_ERROR_INIT;
        static const struct sluice_stream_select changes = {.struct_size = (uint32_t)sizeof changes,
                                                            .flags = SLUICE_SELECT_CHANGES};
        struct pg_stream_context as_followed = *context;
        as_followed.changes = 1;
        described = add_columns(&as_followed, stream, &changes, &ignored) >= 0;
    }
    if (st == SLUICE_E_NOMEM) {
        if (err != NULL) {
            *err = problem;
        }
        return st;
    }
    stream->problem = problem;
    stream->problem.status = st < 0 ? st : SLUICE_OK;
    stream->parts[0] = relation->schema;
    stream->parts[1] = relation->name;
    stream->properties[0] = (struct sluice_pair){"source", "postgres"};
    stream->properties[1] = (struct sluice_pair){"database", context->database};
    (void)snprintf(stream->incarnation, sizeof stream->incarnation, "%u", relation->oid);
    stream->properties[2] = (struct sluice_pair){"incarnation", stream->incarnation};
    struct sluice_stream_desc *d = &stream->desc;
    d->struct_size = (uint32_t)sizeof *d;
    d->kind = stream_kind(relation);
    d->stream_id = relation->oid;
    d->schema_id = 1;
    d->name = stream->name;
    d->part_count = 2;
    d->parts = stream->parts;
    d->keys = stream->keys;
    d->schema = st >= 0 || described ? &stream->schema : NULL;
    d->property_count = 3;
    d->properties = stream->properties;
    estimate(context, stream);
    set_changes(context, stream);
    return SLUICE_OK;
}

/* ---------------------------------------------------------------- logical messages ----------- */

static const struct pg_relation messages_relation = {.oid = PG_MESSAGES_STREAM_ID,
                                                     .kind = PG_KIND_MESSAGES,
                                                     .persistence = 'p',
                                                     .schema_usable = 1,
                                                     .readable = 1,
                                                     .populated = 1,
                                                     .row_estimate = -1,
                                                     .schema = "",
                                                     .name = PG_MESSAGES_STREAM};

sluice_status pg_stream_make_messages(const struct pg_stream_context *context,
                                      struct pg_stream *stream, struct sluice_error *err)
{
    static const struct {
        const char *name;
        struct sluice_type type;
    } columns[] = {{"prefix", {SLUICE_TYPE_UTF8, 0, 0, 0}},
                   {"content", {SLUICE_TYPE_BINARY, 0, 0, 0}},
                   {"transactional", {SLUICE_TYPE_BOOL, 0, 0, 0}}};
    enum { COLUMNS = sizeof columns / sizeof columns[0] };
    memset(stream, 0, sizeof *stream);
    sluice_error_clear(&stream->problem);
    stream->relation = &messages_relation;
    stream->name = strdup(PG_MESSAGES_STREAM);
    stream->column_count = COLUMNS;
    stream->binary_whole = 1;
    stream->insert_only = 1;
    stream->select_flags = SLUICE_SELECT_CHANGES;
    if (stream->name == NULL) {
        return sluice_error_set(err, SLUICE_E_NOMEM, 0, "out of memory for a stream");
    }
    SLUICE_TRY(sluice_schema_init(&stream->schema, COLUMNS, err));
    for (int64_t i = 0; i < COLUMNS; i++) {
        SLUICE_TRY(sluice_schema_set(&stream->schema, i, columns[i].name, &columns[i].type, 0, NULL,
                                     0, err));
    }
    stream->parts[0] = stream->name;
    stream->properties[0] = (struct sluice_pair){"source", "postgres"};
    stream->properties[1] = (struct sluice_pair){"database", context->database};
    stream->desc = (struct sluice_stream_desc){
        .struct_size = (uint32_t)sizeof stream->desc,
        .kind = SLUICE_STREAM_TABLE,
        .flags = SLUICE_STREAM_NO_LOAD | SLUICE_STREAM_CAN_CHANGES | SLUICE_STREAM_INSERT_ONLY,
        .before = SLUICE_BEFORE_NONE,
        .stream_id = PG_MESSAGES_STREAM_ID,
        .schema_id = 1,
        .name = stream->name,
        .part_count = 1,
        .parts = stream->parts,
        .keys = stream->keys,
        .schema = &stream->schema,
        .rows_estimate = -1,
        .bytes_estimate = -1,
        .property_count = 2,
        .properties = stream->properties};
    return SLUICE_OK;
}

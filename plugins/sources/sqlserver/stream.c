/* A table as it is delivered: chosen columns, their types, the statement that reads them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sluice/array.h"
#include "way.h"

static sluice_status nomem(struct sluice_error *err)
{
    return sluice_error_set(err, SLUICE_E_NOMEM, 0, "out of memory for a table");
}

static void free_names(char **names, uint32_t count)
{
    for (uint32_t i = 0; names != NULL && i < count; i++) {
        free(names[i]);
    }
    free(names);
}

void ms_stream_free(struct ms_stream *s)
{
    if (s != NULL) {
        sluice_schema_release(&s->schema);
        free(s->schema_name);
        free(s->table_name);
        free(s->name);
        free(s->decoders);
        free(s->keys);
        free(s->select);
        free_names(s->includes, s->include_count);
        free_names(s->excludes, s->exclude_count);
        ms_cuts_free(s);
        free(s);
    }
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

int ms_stream_chooses(const struct sluice_stream_select *select, const char *name)
{
    return select == NULL || ((select->include_count == 0 ||
                               listed(select->include_columns, select->include_count, name)) &&
                              !listed(select->exclude_columns, select->exclude_count, name));
}

/* Copies what of the selection later versions of the columns need. */
static char **copy_names(const char *const *names, uint32_t count)
{
    char **out = calloc(count + 1u, sizeof(char *));
    for (uint32_t i = 0; out != NULL && i < count; i++) {
        out[i] = strdup(names[i]);
        if (out[i] == NULL) {
            free_names(out, count);
            return NULL;
        }
    }
    return out;
}

static sluice_status keep_selection(struct ms_stream *s, const struct sluice_stream_select *select,
                                    struct sluice_error *err)
{
    s->flags = SLUICE_SELECT_LOAD;
    if (select == NULL) {
        return SLUICE_OK;
    }
    s->flags = select->flags;
    s->includes = copy_names(select->include_columns, select->include_count);
    s->excludes = copy_names(select->exclude_columns, select->exclude_count);
    if (s->includes == NULL || s->excludes == NULL) {
        return nomem(err);
    }
    s->include_count = select->include_count;
    s->exclude_count = select->exclude_count;
    if (select->since.size == MS_LSN_BYTES) {
        (void)ms_lsn_take(select->since, &s->since_lsn);
        s->since = ms_lsn_bytes(&s->since_lsn);
    }
    return SLUICE_OK;
}

struct sluice_stream_select ms_stream_selection(const struct ms_stream *s)
{
    return (struct sluice_stream_select){.struct_size =
                                             (uint32_t)sizeof(struct sluice_stream_select),
                                         .flags = s->flags,
                                         .name = s->name,
                                         .include_count = s->include_count,
                                         .exclude_count = s->exclude_count,
                                         .include_columns = (const char *const *)s->includes,
                                         .exclude_columns = (const char *const *)s->excludes};
}

uint32_t ms_stream_key_ordinal(const struct ms_stream *s, const char *name)
{
    for (uint32_t k = 0; k < s->desc.key_count; k++) {
        if (strcmp(s->schema.children[s->keys[k]]->name, name) == 0) {
            return k + 1;
        }
    }
    return 0;
}

static sluice_status set_names(struct ms_stream *s, const struct ms_table *table,
                               struct sluice_error *err)
{
    char name[sizeof table->schema_name * 4];
    s->schema_name = strdup(table->schema_name);
    s->table_name = strdup(table->table_name);
    s->parts[0] = s->schema_name;
    s->parts[1] = s->table_name;
    if (s->schema_name == NULL || s->table_name == NULL) {
        return nomem(err);
    }
    (void)sluice_stream_name(s->parts, 2, name, sizeof name);
    s->name = strdup(name);
    return s->name != NULL ? SLUICE_OK : nomem(err);
}

/* Keys in their order; none unless all are delivered. */
static void set_keys(struct ms_stream *s, const struct ms_table *table, const uint32_t *at)
{
    uint32_t count = 0;
    for (uint32_t ordinal = 1; ordinal <= table->count; ordinal++) {
        for (uint32_t i = 0; i < table->count; i++) {
            if (table->key_ordinals[i] != ordinal) {
                continue;
            }
            if (at[i] == UINT32_MAX) {
                s->desc.key_count = 0;
                return;
            }
            s->keys[count++] = at[i];
        }
    }
    s->desc.key_count = count;
}

/* Computed columns are captured as NULL, and others may not be captured at all. */
static int is_sent(const struct ms_instance *captured, const struct sluice_tds_column *column)
{
    return captured == NULL || ((!column->computed || captured->is_table) &&
                                ms_instance_column(captured, column->name) >= 0);
}

static sluice_status set_columns(const struct sluice_source *src, struct ms_stream *s,
                                 const struct ms_table *table,
                                 const struct sluice_stream_select *select,
                                 const struct ms_instance *captured, uint32_t *at,
                                 struct sluice_error *err)
{
    const int followed = select != NULL && (select->flags & SLUICE_SELECT_CHANGES) != 0;
    const struct sluice_tds_rules rules = {(int32_t)src->options.fine_times,
                                           (int32_t)src->options.clr_types};
    uint32_t count = 0;
    for (uint32_t i = 0; i < table->count; i++) {
        struct sluice_tds_decoder d;
        struct sluice_error ignored = SLUICE_ERROR_INIT;
        /* Discovery shows what can be read; who opens the table must leave out the rest by name. */
        const int shown = select != NULL ||
                          sluice_tds_decoder_make(&table->columns[i], &rules, &d, &ignored) >= 0;
        at[i] = shown && ms_stream_chooses(select, table->columns[i].name) &&
                        (!followed || is_sent(captured, &table->columns[i]))
                    ? count++
                    : UINT32_MAX;
    }
    SLUICE_TRY(sluice_schema_init(&s->schema, count, err));
    for (uint32_t i = 0; i < table->count; i++) {
        const struct sluice_tds_column *c = &table->columns[i];
        if (at[i] == UINT32_MAX) {
            continue;
        }
        struct sluice_tds_decoder *d = &s->decoders[at[i]];
        SLUICE_TRY(sluice_tds_decoder_make(c, &rules, d, err));
        struct sluice_pair pairs[5] = {{"sluice:native_type", d->native}};
        uint32_t pair_count = 1;
        if (d->extension != NULL) {
            pairs[pair_count++] = (struct sluice_pair){"ARROW:extension:name", d->extension};
        }
        if (c->identity) {
            pairs[pair_count++] = (struct sluice_pair){"sluice:identity", "by default"};
        }
        if (c->computed) {
            pairs[pair_count++] = (struct sluice_pair){"sluice:generated", "stored"};
        }
        if (!is_sent(captured, c)) {
            pairs[pair_count++] = (struct sluice_pair){"sluice:changes", "not sent"};
        }
        SLUICE_TRY(sluice_schema_set(&s->schema, at[i], c->name, &d->type, c->nullable, pairs,
                                     pair_count, err));
    }
    set_keys(s, table, at);
    return SLUICE_OK;
}

/* SELECT TOP (n) [a], [b] FROM [s].[t] WHERE (…) */
static sluice_status set_select(struct ms_stream *s, const char *where, uint64_t limit,
                                struct sluice_error *err)
{
    char column[SLUICE_TDS_SELECT_MAX];
    size_t room = 256 + 2 * (strlen(s->schema_name) + strlen(s->table_name)) +
                  (where != NULL ? strlen(where) : 0);
    for (int64_t i = 0; i < s->schema.n_children; i++) {
        room += sluice_tds_decoder_select(&s->decoders[i], column) + 8;
    }
    char *out = malloc(room);
    if (out == NULL) {
        return nomem(err);
    }
    size_t n = limit > 0
                   ? (size_t)snprintf(out, room, "SELECT TOP (%llu) ", (unsigned long long)limit)
                   : (size_t)snprintf(out, room, "SELECT ");
    for (int64_t i = 0; i < s->schema.n_children; i++) {
        n += (size_t)snprintf(out + n, room - n, "%s", i > 0 ? ", " : "");
        (void)sluice_tds_decoder_select(&s->decoders[i], column);
        n += (size_t)snprintf(out + n, room - n, "%s", column);
    }
    n += (size_t)snprintf(out + n, room - n, " FROM ");
    n += sluice_tds_quote(s->schema_name, out + n, room - n);
    n += (size_t)snprintf(out + n, room - n, ".");
    n += sluice_tds_quote(s->table_name, out + n, room - n);
    n += (size_t)snprintf(out + n, room - n, "%s", s->in_memory ? " WITH (SNAPSHOT)" : "");
    if (where != NULL) {
        (void)snprintf(out + n, room - n, " WHERE (%s\n)", where);
    }
    s->filtered = where != NULL;
    s->select = out;
    return SLUICE_OK;
}

static void set_range(struct ms_stream *s, const struct ms_table *table)
{
    const struct sluice_tds_rules rules = {0, 0};
    struct sluice_tds_decoder d;
    struct sluice_error ignored = SLUICE_ERROR_INIT;
    s->pages = table->pages;
    if (table->range_ordinal > 0 && table->range_ordinal <= (int32_t)table->count) {
        const struct sluice_tds_column *c = &table->columns[table->range_ordinal - 1];
        if (sluice_tds_decoder_make(c, &rules, &d, &ignored) < 0) {
            return;
        }
        (void)snprintf(s->range_column, sizeof s->range_column, "%s", c->name);
        (void)snprintf(s->range_type, sizeof s->range_type, "%s", c->type);
        (void)snprintf(s->range_native, sizeof s->range_native, "%s", d.native);
    }
}

static int64_t width_of(const struct ms_table *table)
{
    int64_t width = 0;
    for (uint32_t i = 0; i < table->count; i++) {
        const int32_t n = table->columns[i].max_length;
        width += n > 0 && n < 64 ? n : 32;
    }
    return width;
}

sluice_status ms_stream_make(const struct sluice_source *src, const struct ms_table *table,
                             const struct sluice_stream_select *select,
                             const struct ms_instance *captured, uint64_t row_limit,
                             struct ms_stream **out, struct sluice_error *err)
{
    struct ms_stream *s = calloc(1, sizeof *s);
    uint32_t *at = calloc(table->count + 1u, sizeof *at);
    if (s != NULL) {
        s->decoders = calloc(table->count + 1u, sizeof *s->decoders);
        s->keys = calloc(table->count + 1u, sizeof *s->keys);
    }
    sluice_status status =
        s != NULL && at != NULL && s->decoders != NULL && s->keys != NULL ? SLUICE_OK : nomem(err);
    if (status >= 0) {
        s->in_memory = table->in_memory;
        status = set_names(s, table, err);
    }
    if (status >= 0) {
        status = set_columns(src, s, table, select, captured, at, err);
    }
    if (status >= 0) {
        status = keep_selection(s, select, err);
    }
    if (status >= 0 && s->schema.n_children == 0) {
        status = sluice_error_set(err, SLUICE_E_INVALID, 0, "no column of it is chosen");
    }
    if (status >= 0) {
        status = set_select(s, select != NULL ? select->where : NULL, row_limit, err);
    }
    free(at);
    if (status < 0) {
        ms_stream_free(s);
        return status;
    }
    s->properties[0] = (struct sluice_pair){"source", "sqlserver"};
    s->properties[1] = (struct sluice_pair){"incarnation", s->incarnation};
    if (table->is_view) {
        (void)snprintf(s->unfollowed, sizeof s->unfollowed, "a view has none");
        s->properties[2] = (struct sluice_pair){"unfollowed", s->unfollowed};
    }
    else if (captured == NULL) {
        src->way->unfollowed(s->schema_name, s->table_name, s->unfollowed, sizeof s->unfollowed);
        s->properties[2] = (struct sluice_pair){"unfollowed", s->unfollowed};
    }
    (void)snprintf(s->incarnation, sizeof s->incarnation, "%lld", (long long)table->object_id);
    set_range(s, table);
    const uint32_t key_count = s->desc.key_count;
    const int64_t rows =
        row_limit > 0 && (int64_t)row_limit < table->rows ? (int64_t)row_limit : table->rows;
    s->desc = (struct sluice_stream_desc){
        .struct_size = (uint32_t)sizeof s->desc,
        .kind = table->is_view ? SLUICE_STREAM_VIEW : SLUICE_STREAM_TABLE,
        .flags = captured != NULL ? SLUICE_STREAM_CAN_CHANGES | SLUICE_STREAM_LOAD_INEXACT : 0u,
        .before = captured == NULL ? SLUICE_BEFORE_NONE
                  : key_count > 0 && src->options.before_image == MS_BEFORE_KEY
                      ? SLUICE_BEFORE_KEY
                      : SLUICE_BEFORE_FULL,
        .stream_id = (uint64_t)table->object_id,
        .schema_id = 1,
        .name = s->name,
        .part_count = 2,
        .key_count = key_count,
        .parts = s->parts,
        .keys = s->keys,
        .schema = &s->schema,
        .rows_estimate = rows,
        .bytes_estimate = rows > 0 ? rows * width_of(table) : rows,
        .property_count = captured == NULL ? 3 : 2,
        .properties = s->properties};
    s->last_schema_id = s->desc.schema_id;
    *out = s;
    return SLUICE_OK;
}

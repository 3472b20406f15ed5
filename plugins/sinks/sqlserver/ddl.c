/* Planning what makes a table fit its stream: CREATE, ADD, ALTER COLUMN. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "catalog.h"
#include "sluice/log.h"
#include "table.h"
#include "tds/declare.h"

static sluice_status nomem(struct sluice_error *err)
{
    return sluice_error_set(err, SLUICE_E_NOMEM, 0, "out of memory for statements");
}

void mssink_ddl_free(struct mssink_ddl *ddl)
{
    for (uint32_t i = 0; i < ddl->count; i++) {
        free(ddl->statements[i]);
    }
    free(ddl->statements);
    free(ddl->primary_key);
    free(ddl->refused);
    *ddl = (struct mssink_ddl){0};
}

/* Takes the text. */
static sluice_status add(struct mssink_ddl *ddl, struct mssink_text *t, struct sluice_error *err)
{
    char **grown = realloc(ddl->statements, (ddl->count + 1u) * sizeof(char *));
    if (grown != NULL) {
        ddl->statements = grown;
    }
    if (grown == NULL || mssink_text_check(t, err) < 0) {
        mssink_text_free(t);
        return nomem(err);
    }
    ddl->statements[ddl->count++] = t->data;
    *t = (struct mssink_text){0};
    return SLUICE_OK;
}

static sluice_status refuse(struct mssink_ddl *ddl, struct mssink_text *t, struct sluice_error *err)
{
    if (mssink_text_check(t, err) < 0) {
        mssink_text_free(t);
        return nomem(err);
    }
    if (ddl->refused == NULL) {
        ddl->refused = t->data;
        *t = (struct mssink_text){0};
    }
    mssink_text_free(t);
    return SLUICE_OK;
}

static int is_same_source(const struct sluice_stream_desc *d)
{
    for (uint32_t i = 0; i < d->property_count; i++) {
        if (strcmp(d->properties[i].key, "source") == 0) {
            return strcmp(d->properties[i].value, "sqlserver") == 0;
        }
    }
    return 0;
}

static uint32_t key_columns_of(const struct mssink_stream *s, uint32_t column)
{
    for (uint32_t k = 0; k < s->write.write.key_count; k++) {
        if (s->write.write.keys[k] == column) {
            return s->write.write.key_count;
        }
    }
    return 0;
}

static int is_text(const char *declaration)
{
    return strncmp(declaration, "nvarchar", 8) == 0 || strncmp(declaration, "varchar", 7) == 0 ||
           strncmp(declaration, "nchar", 5) == 0 || strncmp(declaration, "char", 4) == 0;
}

/* "[a] nvarchar(20) COLLATE … NOT NULL". A key is compared by its code points, as other databases do. */
static sluice_status add_column(const struct mssink_stream *s, uint32_t i, int nullable,
                                struct mssink_text *t, struct sluice_error *err)
{
    char declaration[SLUICE_TDS_DECLARATION_MAX];
    const struct ArrowSchema *field = s->desc->schema->children[i];
    const uint32_t keys = key_columns_of(s, i);
    SLUICE_TRY(sluice_tds_declare(field, keys, is_same_source(s->desc), declaration, err));
    if (strcmp(declaration, "xml") == 0) {
        (void)snprintf(declaration, sizeof declaration, "nvarchar(max)");
    }
    mssink_text_ident(t, field->name);
    mssink_text_format(t, " %s%s%s", declaration,
                       keys > 0 && is_text(declaration) ? " COLLATE Latin1_General_100_BIN2" : "",
                       nullable && keys == 0 ? " NULL" : " NOT NULL");
    return SLUICE_OK;
}

static void add_ours(const struct mssink_stream *s, uint32_t which, struct mssink_text *t)
{
    const struct sluice_write *w = &s->write.write;
    if (which == MSSINK_METAS) {
        mssink_text_ident(t, w->soft_column);
        mssink_text_add(t, " bit NULL");
        return;
    }
    char name[300];
    (void)snprintf(name, sizeof name, "%.200s%s", w->metadata_prefix, mssink_meta_words[which]);
    mssink_text_ident(t, name);
    mssink_text_format(t, " %s NULL", mssink_meta_types[which]);
}

static int wants(const struct sluice_write *w, uint32_t which)
{
    return which == MSSINK_METAS
               ? w->deletes == SLUICE_DELETES_SOFT && w->mode != SLUICE_WRITE_HISTORY
               : (w->metadata >> which & 1) != 0;
}

static const char *ours_name(const struct sluice_write *w, uint32_t which, char out[300])
{
    if (which == MSSINK_METAS) {
        return w->soft_column;
    }
    (void)snprintf(out, 300, "%.200s%s", w->metadata_prefix, mssink_meta_words[which]);
    return out;
}

/* ---- a table that is not there ---- */

static sluice_status plan_schema(struct sluice_tds_conn *conn, const char *schema,
                                 struct mssink_ddl *ddl, struct sluice_error *err)
{
    char *found = NULL;
    struct mssink_text t = {0};
    mssink_text_add(&t, "SELECT COUNT(*) AS n FROM sys.schemas WHERE name = ");
    mssink_text_literal(&t, schema);
    SLUICE_TRY(mssink_value(conn, "look for the target's schema", &t, &found, err));
    const int there = found != NULL && strcmp(found, "0") != 0;
    free(found);
    if (there) {
        return SLUICE_OK;
    }
    mssink_text_add(&t, "CREATE SCHEMA ");
    mssink_text_ident(&t, schema);
    return add(ddl, &t, err);
}

static sluice_status plan_key(const struct mssink_stream *s, const char *name,
                              struct mssink_ddl *ddl, struct sluice_error *err)
{
    const struct sluice_write *w = &s->write.write;
    struct mssink_text t = {0};
    if (w->key_count == 0 || w->mode == SLUICE_WRITE_APPEND || w->mode == SLUICE_WRITE_HISTORY) {
        return SLUICE_OK;
    }
    mssink_text_add(&t, "ALTER TABLE ");
    mssink_text_table(&t, s->schema, name);
    mssink_text_add(&t, " ADD PRIMARY KEY (");
    for (uint32_t k = 0; k < w->key_count; k++) {
        mssink_text_add(&t, k > 0 ? ", " : "");
        mssink_text_ident(&t, s->desc->schema->children[w->keys[k]]->name);
    }
    mssink_text_add(&t, ")");
    SLUICE_TRY(mssink_text_check(&t, err));
    ddl->primary_key = t.data;
    return SLUICE_OK;
}

static sluice_status plan_create(struct sluice_tds_conn *conn, const struct mssink_stream *s,
                                 const char *name, struct mssink_ddl *ddl, struct sluice_error *err)
{
    struct mssink_text t = {0};
    int count = 0;
    const int history = s->write.write.mode == SLUICE_WRITE_HISTORY;
    ddl->creates = 1;
    SLUICE_TRY(plan_schema(conn, s->schema, ddl, err));
    mssink_text_add(&t, "CREATE TABLE ");
    mssink_text_table(&t, s->schema, name);
    mssink_text_add(&t, " (");
    sluice_status status = SLUICE_OK;
    for (int64_t i = 0; i < s->desc->schema->n_children && status >= 0; i++) {
        const struct ArrowSchema *field = s->desc->schema->children[i];
        mssink_text_add(&t, count++ > 0 ? ", " : "");
        status = add_column(s, (uint32_t)i, history || (field->flags & ARROW_FLAG_NULLABLE) != 0,
                            &t, err);
    }
    for (uint32_t i = 0; i <= MSSINK_METAS; i++) {
        if (wants(&s->write.write, i)) {
            mssink_text_add(&t, count++ > 0 ? ", " : "");
            add_ours(s, i, &t);
        }
    }
    mssink_text_add(&t, ")");
    if (status < 0) {
        mssink_text_free(&t);
        return status;
    }
    SLUICE_TRY(add(ddl, &t, err));
    return plan_key(s, name, ddl, err);
}

/* ---- a table that is there ---- */

/* Bytes of whole numbers; 0 = none. */
static int rank(enum mssink_form form)
{
    return form >= MSSINK_FORM_INT1 && form <= MSSINK_FORM_INT8 ? (int)form - (int)MSSINK_FORM_BIT
                                                                : 0;
}

/* 1 if the server writes values of `from` as this program does, and `to` is a text with room for them. Of bits, floats,
 * times and GUIDs it makes other texts. */
static int becomes_text(const struct mssink_type *from, const struct mssink_type *to)
{
    enum { DIGITS = 41 }; /* of a decimal(38, s): its sign, point and a zero before that */
    const int plain =
        rank(from->form) > 0 || from->form == MSSINK_FORM_DECIMAL || from->form == MSSINK_FORM_DATE;
    const int32_t width = to->form == MSSINK_FORM_UTF16 ? 2 : 1;
    const int text = to->form == MSSINK_FORM_UTF16 || to->form == MSSINK_FORM_CHARS;
    return plain && text && (to->max_length < 0 || to->max_length >= DIGITS * width);
}

/* 1 if values of `from` all fit into `to`, and the server changes one into the other without loss. */
static int widens(const struct mssink_type *from, const struct mssink_type *to)
{
    if (becomes_text(from, to)) {
        return 1;
    }
    if (rank(from->form) > 0 && rank(to->form) > 0) {
        return rank(to->form) > rank(from->form);
    }
    if (from->form == MSSINK_FORM_REAL && to->form == MSSINK_FORM_FLOAT) {
        return 1;
    }
    if (from->form == MSSINK_FORM_DECIMAL && to->form == MSSINK_FORM_DECIMAL) {
        return to->scale >= from->scale &&
               to->precision - to->scale >= from->precision - from->scale &&
               (to->scale > from->scale || to->precision > from->precision);
    }
    const int texts = from->form == MSSINK_FORM_UTF16 || from->form == MSSINK_FORM_CHARS;
    if (texts || from->form == MSSINK_FORM_BYTES) {
        if (to->form != from->form && !(texts && to->form == MSSINK_FORM_UTF16)) {
            return 0;
        }
        const int32_t was = from->max_length < 0              ? INT32_MAX
                            : from->form == MSSINK_FORM_UTF16 ? from->max_length / 2
                                                              : from->max_length;
        const int32_t is = to->max_length < 0              ? INT32_MAX
                           : to->form == MSSINK_FORM_UTF16 ? to->max_length / 2
                                                           : to->max_length;
        return is > was || (is == was && to->form != from->form);
    }
    const int times = from->form == MSSINK_FORM_TIME || from->form == MSSINK_FORM_DATETIME2 ||
                      from->form == MSSINK_FORM_OFFSET;
    return times && to->form == from->form && to->scale > from->scale;
}

/* The type that a declaration names. */
static void parse_declaration(const char *declaration, struct mssink_type *out)
{
    char name[48];
    int first = 0;
    int second = 0;
    const size_t n = strcspn(declaration, "(");
    (void)snprintf(name, sizeof name, "%.*s", (int)n, declaration);
    const char *p = declaration[n] == '(' ? declaration + n + 1 : "";
    const int max = strncmp(p, "max", 3) == 0;
    for (; *p >= '0' && *p <= '9'; p++) {
        first = first * 10 + (*p - '0');
    }
    for (p += *p == ','; *p >= '0' && *p <= '9'; p++) {
        second = second * 10 + (*p - '0');
    }
    const int wide = name[0] == 'n' && strcmp(name, "numeric") != 0;
    const int timed = strncmp(name, "time", 4) == 0 || strncmp(name, "datetime2", 9) == 0 ||
                      strncmp(name, "datetimeoffset", 14) == 0;
    mssink_type_make(name,
                     max    ? -1
                     : wide ? first * 2
                            : first,
                     first, timed ? first : second, 0, out);
}

static sluice_status plan_column(const struct mssink_stream *s, const char *name, uint32_t i,
                                 const struct mssink_seen_column *c, struct mssink_ddl *ddl,
                                 struct sluice_error *err)
{
    char declaration[SLUICE_TDS_DECLARATION_MAX];
    struct mssink_type wanted;
    struct mssink_text t = {0};
    const struct ArrowSchema *field = s->desc->schema->children[i];
    const uint32_t keys = key_columns_of(s, i);
    const int frozen = (s->write.write.flags & SLUICE_WRITE_FROZEN) != 0;
    const int nullable =
        (field->flags & ARROW_FLAG_NULLABLE) != 0 || s->write.write.mode == SLUICE_WRITE_HISTORY;
    SLUICE_TRY(sluice_tds_declare(field, keys, is_same_source(s->desc), declaration, err));
    parse_declaration(declaration, &wanted);
    const int wider = keys == 0 && widens(&c->type, &wanted);
    const int looser = nullable && !c->nullable && keys == 0;
    if ((!wider && !looser) || frozen || c->computed || c->identity) {
        return SLUICE_OK;
    }
    mssink_text_add(&t, "ALTER TABLE ");
    mssink_text_table(&t, s->schema, name);
    mssink_text_add(&t, " ALTER COLUMN ");
    mssink_text_ident(&t, field->name);
    mssink_text_format(&t, " %s %s", wider ? declaration : c->type.declared,
                       nullable || c->nullable ? "NULL" : "NOT NULL");
    return add(ddl, &t, err);
}

static sluice_status plan_missing(const struct mssink_stream *s, const char *name, uint32_t i,
                                  struct mssink_ddl *ddl, struct sluice_error *err)
{
    struct mssink_text t = {0};
    const char *column = s->desc->schema->children[i]->name;
    if ((s->write.write.flags & SLUICE_WRITE_FROZEN) != 0) {
        mssink_text_add(&t, "the target's table lacks column ");
        mssink_text_ident(&t, column);
        mssink_text_add(&t,
                        ", and its columns are not to be altered (hint: schema: evolve, or ALTER "
                        "TABLE … ADD)");
        return refuse(ddl, &t, err);
    }
    mssink_text_add(&t, "ALTER TABLE ");
    mssink_text_table(&t, s->schema, name);
    mssink_text_add(&t, " ADD ");
    const sluice_status status = add_column(s, i, 1, &t, err); /* rows that are there have none */
    if (status < 0) {
        mssink_text_free(&t);
        return status;
    }
    return add(ddl, &t, err);
}

/* What the source no longer has stays, and must not ask for values. */
static sluice_status plan_dropped(const struct mssink_stream *s, const char *name,
                                  const struct mssink_seen *seen, struct mssink_ddl *ddl,
                                  struct sluice_error *err)
{
    char buffer[300];
    for (uint32_t i = 0; i < seen->count; i++) {
        const struct mssink_seen_column *c = &seen->columns[i];
        int ours = 0;
        for (int64_t k = 0; k < s->desc->schema->n_children; k++) {
            ours |= strcmp(s->desc->schema->children[k]->name, c->name) == 0;
        }
        for (uint32_t k = 0; k <= MSSINK_METAS; k++) {
            ours |= strcmp(ours_name(&s->write.write, k, buffer), c->name) == 0;
        }
        if (ours || c->nullable || c->has_default || c->identity || c->computed ||
            strcmp(c->type_name, "timestamp") == 0) {
            continue;
        }
        struct mssink_text t = {0};
        if ((s->write.write.flags & SLUICE_WRITE_FROZEN) != 0) {
            mssink_text_add(&t, "the target's column ");
            mssink_text_ident(&t, c->name);
            mssink_text_add(&t, " is NOT NULL, and the source has no such column (hint: give it a "
                                "default)");
            SLUICE_TRY(refuse(ddl, &t, err));
            continue;
        }
        mssink_text_add(&t, "ALTER TABLE ");
        mssink_text_table(&t, s->schema, name);
        mssink_text_add(&t, " ALTER COLUMN ");
        mssink_text_ident(&t, c->name);
        mssink_text_format(&t, " %s NULL", c->type.declared);
        SLUICE_TRY(add(ddl, &t, err));
    }
    return SLUICE_OK;
}

static sluice_status plan_evolve(const struct mssink_stream *s, const char *name,
                                 const struct mssink_seen *seen, struct mssink_ddl *ddl,
                                 struct sluice_error *err)
{
    char buffer[300];
    for (int64_t i = 0; i < s->desc->schema->n_children; i++) {
        const struct mssink_seen_column *c =
            mssink_seen_find(seen, s->desc->schema->children[i]->name);
        SLUICE_TRY(c == NULL ? plan_missing(s, name, (uint32_t)i, ddl, err)
                             : plan_column(s, name, (uint32_t)i, c, ddl, err));
    }
    for (uint32_t i = 0; i <= MSSINK_METAS; i++) {
        if (wants(&s->write.write, i) &&
            mssink_seen_find(seen, ours_name(&s->write.write, i, buffer)) == NULL) {
            struct mssink_text t = {0};
            mssink_text_add(&t, "ALTER TABLE ");
            mssink_text_table(&t, s->schema, name);
            mssink_text_add(&t, " ADD ");
            add_ours(s, i, &t);
            SLUICE_TRY(add(ddl, &t, err));
        }
    }
    return plan_dropped(s, name, seen, ddl, err);
}

sluice_status mssink_ddl_plan(struct sluice_sink *sink, struct sluice_tds_conn *conn,
                              const struct mssink_stream *stream, const char *name,
                              struct mssink_ddl *out, struct sluice_error *err)
{
    struct mssink_seen seen;
    *out = (struct mssink_ddl){0};
    SLUICE_TRY(mssink_seen_read(conn, stream->schema, name, &seen, err));
    sluice_status status = SLUICE_OK;
    if (seen.object_id != 0) {
        status = plan_evolve(stream, name, &seen, out, err);
    }
    else if (sink->options.auto_create) {
        status = plan_create(conn, stream, name, out, err);
    }
    else {
        struct mssink_text t = {0};
        mssink_text_add(&t, "there is no table ");
        mssink_text_table(&t, stream->schema, name);
        mssink_text_add(&t, ", and auto_create is false");
        status = refuse(out, &t, err);
    }
    mssink_seen_free(&seen);
    if (status < 0) {
        mssink_ddl_free(out);
    }
    return status;
}

sluice_status mssink_ddl_run(struct sluice_sink *sink, struct sluice_tds_conn *conn,
                             const struct mssink_ddl *ddl, const char *stream,
                             struct sluice_error *err)
{
    for (uint32_t i = 0; i < ddl->count; i++) {
        sluice_log(sink->host, SLUICE_LOG_INFO, "at the target stream=%s statement=\"%s\"", stream,
                   ddl->statements[i]);
        SLUICE_TRY(sluice_tds_run(conn, "make the target's table fit", ddl->statements[i], err));
    }
    return SLUICE_OK;
}

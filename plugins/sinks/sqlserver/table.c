/* A target table as one version of a stream writes it. */
#include "table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "catalog.h"

const char *const mssink_meta_words[] = {"op", "commit_ts", "position", "seq",
                                         "tx", "synced_at", "unchanged"};
const char *const mssink_meta_types[] = {"nvarchar(1)",  "datetime2(6)", "varchar(128)", "bigint",
                                         "nvarchar(64)", "datetime2(6)", "nvarchar(max)"};

static sluice_status nomem(struct sluice_error *err)
{
    return sluice_error_set(err, SLUICE_E_NOMEM, 0, "out of memory for a table");
}

void mssink_table_free(struct mssink_table *t)
{
    if (t == NULL) {
        return;
    }
    for (uint32_t i = 0; i < t->column_count; i++) {
        free(t->columns[i].name);
    }
    free(t->columns);
    free(t->fields);
    free(t->keys);
    free(t->schema);
    free(t->name);
    free(t);
}

/* Equal values have equal bytes by the server's own comparison. Of texts those with a binary collation: trailing blanks,
 * which it passes over all the same, would come as a violated key. */
static int has_one_form(const struct mssink_seen_column *c)
{
    switch (c->type.form) {
    case MSSINK_FORM_REAL:
    case MSSINK_FORM_FLOAT:
    case MSSINK_FORM_OFFSET:
        return 0;
    case MSSINK_FORM_UTF16:
    case MSSINK_FORM_CHARS:
        return c->binary_collation;
    case MSSINK_FORM_BYTES:
        return strcmp(c->type_name, "binary") == 0;
    default:
        return c->type.form != MSSINK_FORM_NONE;
    }
}

static sluice_status add_column(struct mssink_table *t, const struct mssink_seen *seen,
                                const char *name, int32_t source, uint32_t meta, int soft,
                                const char **missing, struct sluice_error *err)
{
    const struct mssink_seen_column *c = mssink_seen_find(seen, name);
    if (c == NULL) {
        *missing = *missing != NULL ? *missing : name;
        return SLUICE_OK;
    }
    if (c->computed) {
        return SLUICE_OK; /* the target makes its values itself */
    }
    if (c->type.form == MSSINK_FORM_NONE && strcmp(c->type_name, "xml") != 0) {
        return sluice_error_set(err, SLUICE_E_SCHEMA, 0,
                                "column %.128s of the target is %s, which cannot be written (hint: "
                                "leave it out of the pipeline, or make it another type)",
                                name, c->type_name);
    }
    struct mssink_column *out = &t->columns[t->column_count];
    out->name = strdup(name);
    if (out->name == NULL) {
        return nomem(err);
    }
    t->column_count++;
    out->type = c->type;
    if (c->type.form == MSSINK_FORM_NONE) { /* xml takes a text */
        mssink_type_make("nvarchar", -1, 0, 0, 0, &out->type);
        t->bulk_refused = 1;
    }
    out->source = source;
    out->meta = meta;
    out->soft = soft;
    out->nullable = c->nullable;
    out->identity = c->identity;
    out->ordinal = c->ordinal;
    out->one_form = has_one_form(c);
    memcpy(out->collation, c->collation, sizeof out->collation);
    t->has_identity |= c->identity;
    t->bulk_refused |= c->has_default && c->nullable; /* a NULL would become the default */
    return SLUICE_OK;
}

static sluice_status add_ours(struct mssink_table *t, const struct mssink_seen *seen,
                              const struct mssink_stream *stream, const char **missing,
                              struct sluice_error *err)
{
    const struct sluice_write *w = &stream->write.write;
    char name[300];
    for (uint32_t i = 0; i < MSSINK_METAS; i++) {
        if ((w->metadata >> i & 1) != 0) {
            (void)snprintf(name, sizeof name, "%.200s%s", w->metadata_prefix, mssink_meta_words[i]);
            SLUICE_TRY(add_column(t, seen, name, -1, 1u << i, 0, missing, err));
        }
    }
    if (w->deletes == SLUICE_DELETES_SOFT && w->mode != SLUICE_WRITE_HISTORY) {
        SLUICE_TRY(add_column(t, seen, w->soft_column, -1, 0, 1, missing, err));
    }
    return SLUICE_OK;
}

static sluice_status set_keys(struct mssink_table *t, const struct mssink_seen *seen,
                              const struct mssink_stream *stream, struct sluice_error *err)
{
    const struct sluice_write *w = &stream->write.write;
    const char **names = calloc(w->key_count + 1u, sizeof(char *));
    t->keys = calloc(w->key_count + 1u, sizeof *t->keys);
    sluice_status status = names != NULL && t->keys != NULL ? SLUICE_OK : nomem(err);
    for (uint32_t k = 0; status >= 0 && k < w->key_count; k++) {
        uint32_t i = 0;
        while (i < t->column_count && t->columns[i].source != (int32_t)w->keys[k]) {
            i++;
        }
        if (i == t->column_count) {
            status = sluice_error_set(err, SLUICE_E_SCHEMA, 0, "its key's column %s is not written",
                                      stream->desc->schema->children[w->keys[k]]->name);
            break;
        }
        names[k] = t->columns[i].name;
        t->keys[t->key_count++] = i;
        t->columns[i].key = 1;
    }
    if (status >= 0) {
        t->key_unique = mssink_seen_is_unique(seen, names, t->key_count);
    }
    free((void *)names);
    return status;
}

/* Each column of the stream can be encoded for its place. */
static sluice_status make_encoders(struct mssink_table *t, const struct mssink_stream *stream,
                                   struct sluice_error *err)
{
    for (uint32_t i = 0; i < t->column_count; i++) {
        struct mssink_column *c = &t->columns[i];
        if (c->source >= 0) {
            SLUICE_TRY(mssink_encoder_make(
                &c->type, c->name, stream->desc->schema->children[c->source], &c->encoder, err));
        }
    }
    return SLUICE_OK;
}

static sluice_status fill(struct mssink_table *t, const struct mssink_seen *seen,
                          const struct mssink_stream *stream, const char *schema, const char *name,
                          struct sluice_error *err)
{
    const char *missing = NULL;
    const struct ArrowSchema *s = stream->desc->schema;
    t->object_id = seen->object_id;
    t->width = (int)seen->count;
    t->has_triggers = seen->guards > 0;
    t->bulk_refused = seen->guards > 0;
    t->is_clean_heap = seen->index_count == 0;
    t->schema = strdup(schema);
    t->name = strdup(name);
    t->columns = calloc((size_t)s->n_children + MSSINK_METAS + 2u, sizeof *t->columns);
    if (t->schema == NULL || t->name == NULL || t->columns == NULL) {
        return nomem(err);
    }
    for (int64_t i = 0; i < s->n_children; i++) {
        SLUICE_TRY(add_column(t, seen, s->children[i]->name, (int32_t)i, 0, 0, &missing, err));
    }
    SLUICE_TRY(add_ours(t, seen, stream, &missing, err));
    if (missing != NULL) {
        return sluice_error_set(
            err, SLUICE_E_SCHEMA, 0,
            "the target lacks column %.128s (hint: schema: evolve adds it, or ALTER "
            "TABLE … ADD)",
            missing);
    }
    SLUICE_TRY(set_keys(t, seen, stream, err));
    return make_encoders(t, stream, err);
}

sluice_status mssink_table_open(struct sluice_sink *sink, struct sluice_tds_conn *conn,
                                const struct mssink_stream *stream, const char *schema,
                                const char *name, struct mssink_table **out,
                                struct sluice_error *err)
{
    struct mssink_seen seen;
    (void)sink;
    SLUICE_TRY(mssink_seen_read(conn, schema, name, &seen, err));
    struct mssink_table *t = calloc(1, sizeof *t);
    sluice_status status = t != NULL ? SLUICE_OK : nomem(err);
    if (status >= 0 && seen.object_id == 0) {
        status = sluice_error_set(err, SLUICE_E_NOT_FOUND, 0, "there is no table %.128s.%.128s",
                                  schema, name);
    }
    if (status >= 0) {
        status = fill(t, &seen, stream, schema, name, err);
    }
    mssink_seen_free(&seen);
    if (status < 0) {
        mssink_table_free(t);
        return status;
    }
    *out = t;
    return SLUICE_OK;
}

void mssink_table_columns(const struct mssink_table *t, const char *prefix, struct mssink_text *out)
{
    for (uint32_t i = 0; i < t->column_count; i++) {
        mssink_text_add(out, i > 0 ? ", " : "");
        mssink_text_add(out, prefix);
        mssink_text_ident(out, t->columns[i].name);
    }
}

void mssink_table_match(const struct mssink_table *t, struct mssink_text *out)
{
    for (uint32_t k = 0; k < t->key_count; k++) {
        const char *name = t->columns[t->keys[k]].name;
        mssink_text_add(out, k > 0 ? " AND t." : "t.");
        mssink_text_ident(out, name);
        mssink_text_add(out, " = s.");
        mssink_text_ident(out, name);
    }
}

/* Which relation of the log is which stream, and where its columns go. */
#include <stdlib.h>

#include "feed.h"

enum { TABLE_FIRST = 256 };

/* ---------------------------------------------------------------- table ---------------------- */

static uint32_t hash_oid(uint32_t oid)
{
    return (oid * 2654435761u) >> 7;
}

static struct feed_relation **slot_of(struct feed_relation **table, uint32_t cap, uint32_t oid)
{
    uint32_t i = hash_oid(oid) & (cap - 1);
    while (table[i] != NULL && table[i]->oid != oid) {
        i = (i + 1) & (cap - 1);
    }
    return &table[i];
}

static sluice_status table_grow(struct pg_feed *feed, struct sluice_error *err)
{
    uint32_t cap = feed->relation_cap == 0 ? TABLE_FIRST : feed->relation_cap * 2;
    struct feed_relation **table = calloc(cap, sizeof(struct feed_relation *));
    if (table == NULL) {
        return sluice_error_set(err, SLUICE_E_NOMEM, 0, "out of memory for %u relations", cap);
    }
    for (uint32_t i = 0; i < feed->relation_cap; i++) {
        if (feed->relations[i] != NULL) {
            *slot_of(table, cap, feed->relations[i]->oid) = feed->relations[i];
        }
    }
    free(feed->relations);
    feed->relations = table;
    feed->relation_cap = cap;
    return SLUICE_OK;
}

struct feed_relation *pg_feed_relation_get(const struct pg_feed *feed, uint32_t oid)
{
    return feed->relation_cap > 0 ? *slot_of(feed->relations, feed->relation_cap, oid) : NULL;
}

static sluice_status relation_add(struct pg_feed *feed, uint32_t oid, struct feed_relation **out,
                                  struct sluice_error *err)
{
    if (feed->relation_count * 2 >= feed->relation_cap) {
        SLUICE_TRY(table_grow(feed, err));
    }
    struct feed_relation **slot = slot_of(feed->relations, feed->relation_cap, oid);
    if (*slot == NULL) {
        *slot = calloc(1, sizeof **slot);
        if (*slot == NULL) {
            return sluice_error_set(err, SLUICE_E_NOMEM, 0, "out of memory for a relation");
        }
        (*slot)->oid = oid;
        feed->relation_count++;
    }
    *out = *slot;
    return SLUICE_OK;
}

static void relation_clear(struct feed_relation *rel)
{
    free(rel->schema);
    free(rel->name);
    free(rel->columns);
    free(rel->names);
    free(rel->after);
    free(rel->before);
    rel->schema = NULL;
    rel->name = NULL;
    rel->columns = NULL;
    rel->names = NULL;
    rel->after = NULL;
    rel->before = NULL;
    rel->described = 0;
    rel->bound = 0;
    rel->tried = 0;
}

void pg_feed_relations_free(struct pg_feed *feed)
{
    for (uint32_t i = 0; i < feed->relation_cap; i++) {
        if (feed->relations[i] != NULL) {
            relation_clear(feed->relations[i]);
            free(feed->relations[i]);
        }
    }
    free(feed->relations);
    feed->relations = NULL;
    feed->relation_cap = 0;
}

sluice_status pg_feed_relations_make(struct pg_feed *feed, struct sluice_error *err)
{
    const struct pg_catalog *catalog = &feed->src->catalog;
    struct feed_relation *rel = NULL;
    for (uint32_t i = 0; i < feed->stream_count; i++) {
        if (&feed->streams[i] != feed->messages) {
            SLUICE_TRY(relation_add(feed, feed->streams[i].origin->relation->oid, &rel, err));
            rel->stream = &feed->streams[i];
            rel->resolved = 1;
        }
    }
    /* Where the publication does not speak through the root, its leaves are seen. */
    for (uint32_t i = 0; i < catalog->leaf_count; i++) {
        const struct feed_relation *root = pg_feed_relation_get(feed, catalog->leaves[i].root);
        if (root != NULL && root->stream != NULL) {
            struct feed_stream *fs = root->stream;
            SLUICE_TRY(relation_add(feed, catalog->leaves[i].oid, &rel, err));
            if (!rel->resolved) {
                rel->stream = fs;
                rel->resolved = 1;
            }
        }
    }
    return SLUICE_OK;
}

/* ---------------------------------------------------------------- Relation messages ---------- */

static void warn_renamed(const struct pg_feed *feed, const struct feed_relation *rel,
                         const struct sluice_pgout_message *m)
{
    const struct feed_stream *fs = rel->stream;
    if (fs == NULL || fs->origin->relation->oid != rel->oid) {
        return;
    }
    const char *schema = rel->schema != NULL ? rel->schema : fs->origin->relation->schema;
    const char *name = rel->name != NULL ? rel->name : fs->origin->relation->name;
    if (strcmp(schema, m->schema) != 0 || strcmp(name, m->name) != 0) {
        sluice_log(feed->src->host, SLUICE_LOG_WARN,
                   "a table has another name now: its changes stay in the stream that it had "
                   "stream=%s schema=%s table=%s",
                   fs->origin->name, m->schema, m->name);
    }
}

static sluice_status relation_fill(struct feed_relation *rel, const struct sluice_pgout_message *m,
                                   struct sluice_error *err)
{
    size_t size = 1;
    for (uint32_t i = 0; i < m->column_count; i++) {
        size += strlen(m->columns[i].name) + 1;
    }
    rel->schema = strdup(m->schema);
    rel->name = strdup(m->name);
    rel->columns = calloc(m->column_count + 1u, sizeof *rel->columns);
    rel->names = malloc(size);
    rel->after = calloc(m->column_count + 1u, sizeof *rel->after);
    rel->before = calloc(m->column_count + 1u, sizeof *rel->before);
    if (rel->schema == NULL || rel->name == NULL || rel->columns == NULL || rel->names == NULL ||
        rel->after == NULL || rel->before == NULL) {
        return sluice_error_set(err, SLUICE_E_NOMEM, 0, "out of memory for table %s.%s", m->schema,
                                m->name);
    }
    char *at = rel->names;
    for (uint32_t i = 0; i < m->column_count; i++) {
        size_t n = strlen(m->columns[i].name) + 1;
        memcpy(at, m->columns[i].name, n);
        rel->columns[i] = m->columns[i];
        rel->columns[i].name = at;
        at += n;
    }
    rel->column_count = m->column_count;
    rel->identity = m->identity;
    rel->described = 1;
    return SLUICE_OK;
}

sluice_status pg_feed_relation_keep(struct pg_feed *feed, const struct sluice_pgout_message *m,
                                    struct sluice_error *err)
{
    struct feed_relation *rel = NULL;
    SLUICE_TRY(relation_add(feed, m->relation, &rel, err));
    warn_renamed(feed, rel, m);
    relation_clear(rel);
    return relation_fill(rel, m, err);
}

/* ---------------------------------------------------------------- binding -------------------- */

/* Index of a column of the stream's version, looked for near `hint` first; -1 = none. */
static int32_t find_column(const struct feed_stream *fs, const char *name, uint32_t hint)
{
    const struct ArrowSchema *schema = &fs->now->schema;
    for (uint32_t i = 0; i < fs->column_count; i++) {
        uint32_t at = hint + i;
        at = at < fs->column_count ? at : at - fs->column_count;
        if (at < fs->column_count && strcmp(schema->children[at]->name, name) == 0) {
            return (int32_t)at;
        }
    }
    return -1;
}

/* Where each column goes in `after`. 0 = the version has other columns. */
static int map_after(const struct feed_stream *fs, struct feed_relation *rel)
{
    uint32_t found = 0;
    for (uint32_t c = 0; c < rel->column_count; c++) {
        const struct sluice_pgout_column *column = &rel->columns[c];
        int32_t at = find_column(fs, column->name, found < fs->column_count ? found : 0);
        if (at < 0) {
            /* A version that was made for it may have left it out all the same. */
            if (pg_feed_column_wanted(fs, column->name) && rel->tried != fs->version) {
                return 0;
            }
        }
        else if (fs->types[at].type != column->type || fs->types[at].typmod != column->typmod) {
            return 0;
        }
        else {
            found++;
        }
        rel->after[c] = at;
    }
    return found == fs->column_count;
}

/* What `before` holds of a table that is described so. */
static int32_t before_of(const struct feed_stream *fs, const struct feed_relation *rel)
{
    if (fs->origin->insert_only) {
        return SLUICE_BEFORE_NONE;
    }
    return rel->identity == 'f' ? SLUICE_BEFORE_FULL : SLUICE_BEFORE_KEY;
}

/* Where each column goes in `before`. 0 = the version has another identity. */
static int map_before(const struct feed_stream *fs, struct feed_relation *rel)
{
    const struct sluice_stream_desc *desc = &fs->now->desc;
    if (desc->before != before_of(fs, rel)) {
        return 0;
    }
    uint32_t keys = 0;
    int partial = 0; /* a part of the key is not read: then there is none */
    for (uint32_t c = 0; c < rel->column_count; c++) {
        rel->before[c] = desc->before == SLUICE_BEFORE_FULL ? rel->after[c] : -1;
        if (desc->before != SLUICE_BEFORE_KEY || !rel->columns[c].is_key) {
            continue;
        }
        partial |= rel->after[c] < 0;
        for (uint32_t k = 0; k < desc->key_count && rel->after[c] >= 0; k++) {
            if ((int32_t)desc->keys[k] == rel->after[c]) {
                rel->before[c] = (int32_t)k;
                keys++;
            }
        }
    }
    uint32_t wire = 0;
    for (uint32_t c = 0; c < rel->column_count; c++) {
        wire += rel->columns[c].is_key ? 1u : 0u;
    }
    return desc->before != SLUICE_BEFORE_KEY ||
           (keys == desc->key_count && (partial ? keys == 0 : keys == wire));
}

/* OK = the maps are right for the stream's version; AGAIN = another one must go out. */
static sluice_status relation_bind(struct pg_feed *feed, struct feed_relation *rel,
                                   struct sluice_error *err)
{
    struct feed_stream *fs = rel->stream;
    if (fs->stale || !map_after(fs, rel) || !map_before(fs, rel)) {
        if (rel->tried == fs->version) {
            return sluice_error_set(err, SLUICE_E_INTERNAL, 0,
                                    "table %s.%s: its description cannot be followed", rel->schema,
                                    rel->name);
        }
        SLUICE_TRY(pg_feed_version_make(feed, fs, rel, err));
        rel->tried = fs->version + 1; /* the one that was just made */
        return SLUICE_AGAIN;
    }
    rel->bound = fs->version;
    return SLUICE_OK;
}

sluice_status pg_feed_relation_find(struct pg_feed *feed, uint32_t oid, struct feed_relation **out,
                                    struct sluice_error *err)
{
    struct feed_relation *rel = feed->last;
    if (rel == NULL || rel->oid != oid) {
        rel = pg_feed_relation_get(feed, oid);
        if (rel == NULL || !rel->described) {
            return sluice_error_set(err, SLUICE_E_DATA, 0,
                                    "a change of relation %u came before its description", oid);
        }
        feed->last = rel;
    }
    *out = rel;
    if (!rel->resolved) {
        SLUICE_TRY(pg_feed_root_find(feed, oid, &rel->stream, err));
        rel->resolved = 1;
    }
    if (rel->stream == NULL) {
        return SLUICE_OK;
    }
    return rel->bound == rel->stream->version ? SLUICE_OK : relation_bind(feed, rel, err);
}

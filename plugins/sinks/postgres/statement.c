#include "statement.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BUCKETS = 1024, FULL = 2000, OID_TEXT = 25 };

struct statement {
    struct statement *next;
    const struct sluice_pgsink_table *table;
    uint64_t hash;
    int kind;
    unsigned char *shape; /* per column: what it is to the statement */
    char name[24];
};

struct sluice_pgsink_statements {
    struct statement *buckets[BUCKETS];
    uint32_t made;
    /* scratch, for the widest table so far */
    uint32_t columns;
    unsigned char *shape;
    const char **values;
    int *sizes;
    int *formats;
    Oid *types;
    struct sluice_pg_text sql;
};

/* Bits of a shape. */
enum {
    SHAPE_SET = 1,        /* a new value is given */
    SHAPE_MATCH = 2,      /* the row is found by an old value */
    SHAPE_MATCH_NULL = 4, /* by its being NULL */
    SHAPE_BY_NEW = 8      /* found by the new value: the key did not change */
};

struct sluice_pgsink_statements *sluice_pgsink_statements_create(void)
{
    return calloc(1, sizeof(struct sluice_pgsink_statements));
}

static void free_all(struct sluice_pgsink_statements *cache)
{
    for (size_t i = 0; i < BUCKETS; i++) {
        while (cache->buckets[i] != NULL) {
            struct statement *next = cache->buckets[i]->next;
            free(cache->buckets[i]->shape);
            free(cache->buckets[i]);
            cache->buckets[i] = next;
        }
    }
}

void sluice_pgsink_statements_free(struct sluice_pgsink_statements *cache)
{
    if (cache == NULL) {
        return;
    }
    free_all(cache);
    free(cache->shape);
    free((void *)cache->values);
    free(cache->sizes);
    free(cache->formats);
    free(cache->types);
    sluice_pg_text_free(&cache->sql);
    free(cache);
}

int sluice_pgsink_statements_full(const struct sluice_pgsink_statements *cache)
{
    return cache->made > FULL;
}

static sluice_status reserve(struct sluice_pgsink_statements *cache, uint32_t columns,
                             struct sluice_error *err)
{
    if (columns <= cache->columns && cache->shape != NULL) {
        return SLUICE_OK;
    }
    const size_t n = 2u * columns + 2u;
    unsigned char *shape = realloc(cache->shape, n);
    const char **values = realloc((void *)cache->values, n * sizeof *values);
    int *sizes = realloc(cache->sizes, n * sizeof *sizes);
    int *formats = realloc(cache->formats, n * sizeof *formats);
    Oid *types = realloc(cache->types, n * sizeof *types);
    cache->shape = shape != NULL ? shape : cache->shape;
    cache->values = values != NULL ? values : cache->values;
    cache->sizes = sizes != NULL ? sizes : cache->sizes;
    cache->formats = formats != NULL ? formats : cache->formats;
    cache->types = types != NULL ? types : cache->types;
    if (shape == NULL || values == NULL || sizes == NULL || formats == NULL || types == NULL) {
        return sluice_error_set(err, SLUICE_E_NOMEM, SLUICE_ERROR_FATAL,
                                "out of memory for statements");
    }
    cache->columns = columns;
    return SLUICE_OK;
}

/* ---- SQL ---- */

struct writer {
    const struct sluice_pgsink_table *table;
    const unsigned char *shape;
    struct sluice_pg_text *sql;
    Oid *types;
    int count;
};

static int is_binary(const struct sluice_pgsink_column *c)
{
    return c->source >= 0 && c->encoder.binary;
}

/* The next parameter, as a value of the column's type. */
static void add_param(struct writer *w, const struct sluice_pgsink_column *c)
{
    w->types[w->count++] = is_binary(c) ? c->oid : OID_TEXT;
    if (is_binary(c)) {
        sluice_pg_text_format(w->sql, "$%d", w->count);
    }
    else {
        sluice_pg_text_format(w->sql, "$%d::%s", w->count, c->cast);
    }
}

static void add_names(struct writer *w)
{
    int first = 1;
    for (uint32_t i = 0; i < w->table->column_count; i++) {
        if ((w->shape[i] & SHAPE_SET) != 0) {
            sluice_pg_text_format(w->sql, "%s%s", first ? "" : ", ", w->table->columns[i].quoted);
            first = 0;
        }
    }
}

static void add_values(struct writer *w)
{
    int first = 1;
    for (uint32_t i = 0; i < w->table->column_count; i++) {
        if ((w->shape[i] & SHAPE_SET) != 0) {
            sluice_pg_text_add(w->sql, first ? "" : ", ");
            add_param(w, &w->table->columns[i]);
            first = 0;
        }
    }
}

/* `all`: the key, too. Nothing to set: a column is set to itself, so that the row is met. */
static void add_sets(struct writer *w, int all)
{
    int first = 1;
    for (uint32_t i = 0; i < w->table->column_count; i++) {
        if ((w->shape[i] & SHAPE_SET) != 0 && (all || (w->shape[i] & SHAPE_BY_NEW) == 0)) {
            sluice_pg_text_format(w->sql, "%s%s = ", first ? "" : ", ",
                                  w->table->columns[i].quoted);
            add_param(w, &w->table->columns[i]);
            first = 0;
        }
    }
    if (first && w->table->column_count > 0) {
        const char *any = w->table->columns[0].quoted;
        sluice_pg_text_format(w->sql, "%s = %s", any, any);
    }
}

static void add_match(struct writer *w)
{
    const char *and = "";
    for (uint32_t i = 0; i < w->table->column_count; i++) {
        const struct sluice_pgsink_column *c = &w->table->columns[i];
        if ((w->shape[i] & SHAPE_MATCH_NULL) != 0) {
            sluice_pg_text_format(w->sql, "%s%s IS NULL", and, c->quoted);
            and = " AND ";
        }
        else if ((w->shape[i] & (SHAPE_MATCH | SHAPE_BY_NEW)) != 0) {
            sluice_pg_text_format(w->sql, c->has_equality ? "%s%s = " : "%s%s::text = (", and,
                                  c->quoted);
            add_param(w, c);
            sluice_pg_text_add(w->sql, c->has_equality ? "" : ")::text");
            and = " AND ";
        }
    }
    if (*and == '\0') {
        sluice_pg_text_add(w->sql, "true");
    }
}

static const char *overriding(const struct sluice_pgsink_table *table)
{
    return table->overriding ? " OVERRIDING SYSTEM VALUE" : "";
}

static void write_add(struct writer *w)
{
    sluice_pg_text_format(w->sql, "INSERT INTO %s (", w->table->quoted);
    add_names(w);
    sluice_pg_text_format(w->sql, ")%s VALUES (", overriding(w->table));
    add_values(w);
    sluice_pg_text_add(w->sql, ")");
}

static void write_conflict(struct writer *w)
{
    const struct sluice_pgsink_table *t = w->table;
    int first = 1;
    sluice_pg_text_add(w->sql, " ON CONFLICT (");
    for (uint32_t k = 0; k < t->key_count; k++) {
        sluice_pg_text_format(w->sql, "%s%s", k > 0 ? ", " : "", t->columns[t->keys[k]].quoted);
    }
    sluice_pg_text_add(w->sql, ") DO ");
    for (uint32_t i = 0; i < t->column_count; i++) {
        if ((w->shape[i] & SHAPE_SET) != 0 && !t->columns[i].key) {
            sluice_pg_text_format(w->sql, "%s%s = excluded.%s", first ? "UPDATE SET " : ", ",
                                  t->columns[i].quoted, t->columns[i].quoted);
            first = 0;
        }
    }
    sluice_pg_text_add(w->sql, first ? "NOTHING" : "");
}

/* Without an index that ON CONFLICT could name: the parameters come twice. */
static void write_put(struct writer *w)
{
    const struct sluice_pgsink_table *t = w->table;
    if (t->key_unique) {
        write_add(w);
        write_conflict(w);
        return;
    }
    sluice_pg_text_format(w->sql, "WITH u AS (UPDATE %s SET ", t->quoted);
    add_sets(w, 1);
    sluice_pg_text_add(w->sql, " WHERE ");
    add_match(w);
    sluice_pg_text_format(w->sql, " RETURNING 1) INSERT INTO %s (", t->quoted);
    add_names(w);
    sluice_pg_text_format(w->sql, ")%s SELECT ", overriding(t));
    add_values(w);
    sluice_pg_text_add(w->sql, " WHERE NOT EXISTS (SELECT FROM u)");
}

/* How the row of a stream without key is found: equal rows are told apart by their place alone. */
static void write_place(struct writer *w, int32_t duplicates)
{
    sluice_pg_text_format(w->sql,
                          "m AS MATERIALIZED (SELECT tableoid AS o, ctid AS c FROM %s WHERE ",
                          w->table->quoted);
    add_match(w);
    sluice_pg_text_format(w->sql, "%s)",
                          duplicates == SLUICE_DUPLICATES_ONE    ? " LIMIT 1"
                          : duplicates == SLUICE_DUPLICATES_FAIL ? " LIMIT 2"
                                                                 : "");
}

static void write_change(struct writer *w, int must, int32_t duplicates)
{
    const struct sluice_pgsink_table *t = w->table;
    const int keyless = t->key_count == 0;
    sluice_pg_text_add(w->sql, must || keyless ? "WITH " : "");
    if (keyless) {
        write_place(w, duplicates);
    }
    sluice_pg_text_format(w->sql, "%s%sUPDATE %s AS t SET ", keyless ? (must ? ", " : " ") : "",
                          must ? "u AS (" : "", t->quoted);
    add_sets(w, 0);
    if (keyless) {
        sluice_pg_text_add(w->sql, " FROM m WHERE t.tableoid = m.o AND t.ctid = m.c");
    }
    else {
        sluice_pg_text_add(w->sql, " WHERE ");
        add_match(w);
    }
    if (must) {
        sluice_pg_text_format(w->sql, " RETURNING 1) SELECT 1 / %s FROM u",
                              duplicates == SLUICE_DUPLICATES_FAIL && keyless
                                  ? "(count(*) = 1)::int"
                                  : "least(count(*), 1)::int");
    }
}

static void write_remove(struct writer *w, int32_t duplicates)
{
    const struct sluice_pgsink_table *t = w->table;
    if (t->key_count > 0) {
        sluice_pg_text_format(w->sql, "DELETE FROM %s WHERE ", t->quoted);
        add_match(w);
        return;
    }
    sluice_pg_text_add(w->sql, "WITH ");
    write_place(w, duplicates);
    const int fail = duplicates == SLUICE_DUPLICATES_FAIL;
    sluice_pg_text_format(
        w->sql, "%s DELETE FROM %s AS t USING m WHERE t.tableoid = m.o AND t.ctid = m.c%s",
        fail ? ", d AS (" : "", t->quoted,
        fail ? " RETURNING 1) SELECT 1 / (count(*) < 2)::int FROM d" : "");
}

/* Parameters of set and match come in the order in which the SQL names them. */
static void write_sql(struct writer *w, int kind, int32_t duplicates)
{
    switch (kind) {
    case SLUICE_APPLY_PUT:
        write_put(w);
        break;
    case SLUICE_APPLY_ADD:
        write_add(w);
        break;
    case SLUICE_APPLY_REMOVE:
        write_remove(w, duplicates);
        break;
    default:
        write_change(w, kind == SLUICE_APPLY_CHANGE, duplicates);
        break;
    }
}

/* ---- finding and binding ---- */

static void make_shape(unsigned char *shape, int kind, const struct sluice_pgsink_table *t,
                       const struct sluice_apply_field *after,
                       const struct sluice_apply_field *before)
{
    const int finds = kind != SLUICE_APPLY_ADD && !(kind == SLUICE_APPLY_PUT && t->key_unique);
    for (uint32_t i = 0; i < t->column_count; i++) {
        const struct sluice_pgsink_column *c = &t->columns[i];
        shape[i] = 0;
        if (after != NULL && after[i].size != SLUICE_APPLY_UNSENT) {
            shape[i] |= SHAPE_SET;
        }
        if (!finds) {
            continue;
        }
        if (before != NULL && (t->key_count == 0 ? c->source >= 0 : c->key)) {
            shape[i] |= before[i].size == SLUICE_APPLY_UNSENT ? 0
                        : before[i].size == SLUICE_APPLY_NULL ? SHAPE_MATCH_NULL
                                                              : SHAPE_MATCH;
        }
        else if (before == NULL && c->key) {
            shape[i] |= SHAPE_BY_NEW;
        }
    }
}

static uint64_t hash_shape(const struct sluice_pgsink_table *t, int kind,
                           const unsigned char *shape)
{
    uint64_t h = 0xcbf29ce484222325u ^ (uint64_t)(uintptr_t)t ^ ((uint64_t)kind << 56);
    for (uint32_t i = 0; i < t->column_count; i++) {
        h = (h ^ shape[i]) * 0x100000001b3u;
    }
    return h;
}

static sluice_status make(struct sluice_pgsink_statements *cache, struct sluice_pgsink_pipe *pipe,
                          int kind, const struct sluice_pgsink_stream *stream, uint64_t hash,
                          struct statement **out, struct sluice_error *err)
{
    const struct sluice_pgsink_table *t = stream->table;
    struct statement *s = calloc(1, sizeof *s);
    unsigned char *shape = malloc(t->column_count + 1u);
    if (s == NULL || shape == NULL) {
        free(s);
        free(shape);
        return sluice_error_set(err, SLUICE_E_NOMEM, SLUICE_ERROR_FATAL,
                                "out of memory for statements");
    }
    memcpy(shape, cache->shape, t->column_count);
    *s = (struct statement){.table = t, .hash = hash, .kind = kind, .shape = shape};
    (void)snprintf(s->name, sizeof s->name, "sluice_%u", ++cache->made);
    s->next = cache->buckets[hash % BUCKETS];
    cache->buckets[hash % BUCKETS] = s;
    sluice_pg_text_clear(&cache->sql);
    struct writer w = {.table = t, .shape = shape, .sql = &cache->sql, .types = cache->types};
    write_sql(&w, kind, stream->write.write.duplicates);
    SLUICE_TRY(sluice_pg_text_check(&cache->sql, err));
    SLUICE_TRY(
        sluice_pgsink_pipe_prepare(pipe, s->name, cache->sql.data, w.count, cache->types, err));
    *out = s;
    return SLUICE_OK;
}

struct binder {
    struct sluice_pgsink_statements *cache;
    const struct sluice_pgsink_table *table;
    const unsigned char *shape;
    const struct sluice_apply_field *after;
    const struct sluice_apply_field *before;
    int count;
};

static void bind_field(struct binder *b, const struct sluice_apply_field *f)
{
    b->cache->values[b->count] = f->size >= 0 ? (const char *)f->data : NULL;
    b->cache->sizes[b->count] = f->size >= 0 ? f->size : 0;
    b->cache->formats[b->count] = 1; /* the binary form of text is its bytes */
    b->count++;
}

static void bind_sets(struct binder *b, int all)
{
    for (uint32_t i = 0; i < b->table->column_count; i++) {
        if ((b->shape[i] & SHAPE_SET) != 0 && (all || (b->shape[i] & SHAPE_BY_NEW) == 0)) {
            bind_field(b, &b->after[i]);
        }
    }
}

static void bind_match(struct binder *b)
{
    for (uint32_t i = 0; i < b->table->column_count; i++) {
        if ((b->shape[i] & SHAPE_MATCH) != 0) {
            bind_field(b, &b->before[i]);
        }
        else if ((b->shape[i] & SHAPE_BY_NEW) != 0) {
            bind_field(b, &b->after[i]);
        }
    }
}

sluice_status sluice_pgsink_statement_bind(struct sluice_pgsink_statements *cache,
                                           struct sluice_pgsink_pipe *pipe, int kind,
                                           const struct sluice_pgsink_stream *stream,
                                           const struct sluice_apply_field *after,
                                           const struct sluice_apply_field *before,
                                           struct sluice_pgsink_bound *out,
                                           struct sluice_error *err)
{
    const struct sluice_pgsink_table *t = stream->table;
    SLUICE_TRY(reserve(cache, t->column_count, err));
    make_shape(cache->shape, kind, t, after, before);
    const uint64_t hash = hash_shape(t, kind, cache->shape);
    struct statement *s = cache->buckets[hash % BUCKETS];
    while (s != NULL && (s->hash != hash || s->table != t || s->kind != kind ||
                         memcmp(s->shape, cache->shape, t->column_count) != 0)) {
        s = s->next;
    }
    if (s == NULL) {
        SLUICE_TRY(make(cache, pipe, kind, stream, hash, &s, err));
    }
    struct binder b = {
        .cache = cache, .table = t, .shape = s->shape, .after = after, .before = before};
    const int keyless = t->key_count == 0;
    if (kind == SLUICE_APPLY_PUT && !t->key_unique) {
        bind_sets(&b, 1);
        bind_match(&b);
        bind_sets(&b, 1);
    }
    else if (kind == SLUICE_APPLY_PUT || kind == SLUICE_APPLY_ADD) {
        bind_sets(&b, 1);
    }
    else if (kind == SLUICE_APPLY_REMOVE) {
        bind_match(&b);
    }
    else if (keyless) { /* the place is looked for first */
        bind_match(&b);
        bind_sets(&b, 0);
    }
    else {
        bind_sets(&b, 0);
        bind_match(&b);
    }
    *out =
        (struct sluice_pgsink_bound){s->name, b.count, cache->values, cache->sizes, cache->formats};
    return SLUICE_OK;
}

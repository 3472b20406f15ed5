/* Splitting streams: ranges of pages, under one snapshot. A row visible to the snapshot keeps its
 * place (ctid) while the snapshot lives, so ranges cover the table exactly once. */
#include <stdio.h>
#include <stdlib.h>

#include "source.h"

#define BLOCK_BYTES 8192
#define SPLIT_DEFAULT (128ll * 1024 * 1024)
/* A table is spread over idle connections when each gets at least this much. */
#define SPREAD_MIN (16ll * 1024 * 1024)
/* TID range scans came with 14; before, each range would read the whole table. */
#define RANGES_SINCE 140000
enum { ID_NAME_MAX = 80, SHARDS_MAX = 1000000 };

void pg_shards_free(struct sluice_source *src)
{
    free(src->shards);
    free(src->shards_by_id);
    src->shards = NULL;
    src->shards_by_id = NULL;
    src->shards_left = 0;
    src->shard_count = 0;
    src->shard_cap = 0;
}

static int compare_ids(const void *a, const void *b)
{
    return strcmp((*(struct pg_shard *const *)a)->id, (*(struct pg_shard *const *)b)->id);
}

struct pg_shard *pg_shards_find(const struct sluice_source *src, const char *id)
{
    struct pg_shard key;
    const struct pg_shard *wanted = &key;
    (void)snprintf(key.id, sizeof key.id, "%s", id);
    struct pg_shard **found =
        src->shards_by_id != NULL
            ? bsearch(&wanted, src->shards_by_id, src->shard_count, sizeof *found, compare_ids)
            : NULL;
    return found != NULL ? *found : NULL;
}

static uint64_t fnv64(const char *text)
{
    uint64_t h = 14695981039346656037u;
    for (const char *p = text; *p != '\0'; p++) {
        h = (h ^ (uint8_t)*p) * 1099511628211u;
    }
    return h;
}

/* "load:public.t:0003" of safe characters; names that have others, or are long, carry a hash. */
static void shard_id(const char *stream, uint32_t number, char out[121])
{
    char name[ID_NAME_MAX + 1];
    size_t n = 0;
    int exact = 1;
    for (const char *p = stream; *p != '\0'; p++) {
        char c = *p;
        int safe = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                   c == '_' || c == '.' || c == '-';
        if (!safe || n == ID_NAME_MAX) {
            exact = 0;
        }
        if (n < ID_NAME_MAX) {
            name[n++] = safe ? c : '_';
        }
    }
    name[n] = '\0';
    if (exact) {
        (void)snprintf(out, 121, "load:%s:%04u", name, number);
    }
    else {
        (void)snprintf(out, 121, "load:%s-%016llx:%04u", name, (unsigned long long)fnv64(stream),
                       number);
    }
}

static sluice_status add_shard(struct sluice_source *src, const struct pg_stream *stream,
                               const struct pg_relation *relation, int64_t first, int64_t end,
                               uint32_t number, struct sluice_error *err)
{
    if (src->shard_count == src->shard_cap) {
        uint32_t cap = src->shard_cap == 0 ? 64 : src->shard_cap * 2;
        struct pg_shard *grown =
            cap <= SHARDS_MAX ? realloc(src->shards, cap * sizeof *grown) : NULL;
        if (grown == NULL) {
            return sluice_error_set(err, cap <= SHARDS_MAX ? SLUICE_E_NOMEM : SLUICE_E_LIMIT, 0,
                                    "%u parts of tables (hint: a larger split_bytes)", cap);
        }
        src->shards = grown;
        src->shard_cap = cap;
    }
    struct pg_shard *s = &src->shards[src->shard_count];
    memset(s, 0, sizeof *s);
    shard_id(stream->name, number, s->id);
    s->handle[0] = src->generation;
    s->handle[1] = src->shard_count;
    s->stream = stream;
    s->relation = relation;
    s->first_page = first;
    s->end_page = end;
    double share = 1.0;
    if (first >= 0 && relation->pages > 0) {
        int64_t last = end >= 0 ? end : relation->pages;
        share = (double)(last - first) / (double)relation->pages;
    }
    int paged = relation->kind == 'r' || relation->kind == 'm';
    double bytes = (double)(relation->pages * BLOCK_BYTES + relation->toast_bytes);
    s->desc.rows_estimate = relation->row_estimate < 0 || (!paged && relation->row_estimate < 1)
                                ? -1
                                : (int64_t)(relation->row_estimate * share);
    s->desc.bytes_estimate = paged ? (int64_t)(bytes * share) : -1;
    src->shard_count++;
    return SLUICE_OK;
}

static sluice_status split_relation(struct sluice_source *src, const struct pg_stream *stream,
                                    const struct pg_relation *relation, int64_t split_bytes,
                                    int64_t parallelism, uint32_t *number, struct sluice_error *err)
{
    int64_t parts = 1;
    int64_t bytes = relation->pages * BLOCK_BYTES + relation->toast_bytes;
    int can = relation->heap && (relation->kind == 'r' || relation->kind == 'm') &&
              src->control->server_version >= RANGES_SINCE && src->row_limit == 0;
    if (can) {
        parts = (bytes + split_bytes - 1) / split_bytes;
        int64_t spread = bytes / SPREAD_MIN < parallelism ? bytes / SPREAD_MIN : parallelism;
        parts = parts > spread ? parts : spread;
        if (parts > 1 && parts < 8 * parallelism) {
            /* Few parts: as many for each connection, or the last ones idle. */
            parts = (parts + parallelism - 1) / parallelism * parallelism;
        }
        parts = parts < relation->pages ? parts : relation->pages;
        parts = parts > 1 ? parts : 1;
    }
    for (int64_t i = 0; i < parts; i++) {
        /* Even ranges; the last one is open: pages may have been added since the size was read. */
        int64_t first = parts > 1 ? relation->pages * i / parts : -1;
        int64_t end = i + 1 < parts ? relation->pages * (i + 1) / parts : -1;
        SLUICE_TRY(add_shard(src, stream, relation, first, end, (*number)++, err));
    }
    return SLUICE_OK;
}

/* Leaves may be read one by one when each shows us what the root would. */
static int leaves_usable(const struct sluice_source *src, const struct pg_stream *stream)
{
    const struct pg_relation *root = stream->relation;
    if (root->row_security || !root->readable || src->row_limit > 0) {
        return 0;
    }
    for (uint32_t i = 0; i < src->catalog.leaf_count; i++) {
        const struct pg_relation *leaf = &src->catalog.leaves[i];
        if (leaf->root == root->oid &&
            (!leaf->readable || !leaf->schema_usable || leaf->row_security)) {
            return 0;
        }
    }
    return 1;
}

static sluice_status split_partitioned(struct sluice_source *src, const struct pg_stream *stream,
                                       int64_t split_bytes, int64_t parallelism,
                                       struct sluice_error *err)
{
    uint32_t number = 1;
    if (leaves_usable(src, stream)) {
        for (uint32_t i = 0; i < src->catalog.leaf_count; i++) {
            const struct pg_relation *leaf = &src->catalog.leaves[i];
            if (leaf->root == stream->relation->oid) {
                SLUICE_TRY(
                    split_relation(src, stream, leaf, split_bytes, parallelism, &number, err));
            }
        }
    }
    if (number == 1) {
        /* No partitions, or only the root may be read. */
        SLUICE_TRY(add_shard(src, stream, stream->relation, -1, -1, number, err));
    }
    return SLUICE_OK;
}

sluice_status pg_shards_make(struct sluice_source *src, const struct sluice_source_plan *plan,
                             struct sluice_error *err)
{
    int64_t split = (int64_t)plan->split_bytes;
    if (split <= 0) {
        split = src->options.split_bytes > 0 ? src->options.split_bytes : SPLIT_DEFAULT;
    }
    split = split > BLOCK_BYTES ? split : BLOCK_BYTES;
    int64_t parallelism = plan->parallelism > 0 ? plan->parallelism : 1;
    for (uint32_t i = 0; i < src->stream_count; i++) {
        const struct pg_stream *stream = &src->streams[i];
        uint32_t number = 1;
        int loaded = (stream->select_flags & SLUICE_SELECT_LOAD) != 0 &&
                     stream->relation->kind != PG_KIND_MESSAGES;
        if (stream->problem.status < 0 || (src->feed.wanted && !loaded)) {
            continue;
        }
        if (stream->relation->kind == 'p') {
            SLUICE_TRY(split_partitioned(src, stream, split, parallelism, err));
        }
        else {
            SLUICE_TRY(
                split_relation(src, stream, stream->relation, split, parallelism, &number, err));
        }
    }
    src->shards_by_id = calloc(src->shard_count + 1u, sizeof(struct pg_shard *));
    if (src->shards_by_id == NULL) {
        return sluice_error_set(err, SLUICE_E_NOMEM, 0, "out of memory for parts of tables");
    }
    src->shards_left = src->shard_count;
    /* The array no longer moves: now descriptions may point into it. */
    for (uint32_t i = 0; i < src->shard_count; i++) {
        struct pg_shard *s = &src->shards[i];
        src->shards_by_id[i] = s;
        s->desc.struct_size = (uint32_t)sizeof s->desc;
        s->desc.kind = SLUICE_SHARD_SNAPSHOT;
        s->desc.stream_count = 1;
        s->desc.id = s->id;
        s->desc.stream_ids = &s->stream->desc.stream_id;
        s->desc.handle.data = s->handle;
        s->desc.handle.size = sizeof s->handle;
    }
    qsort(src->shards_by_id, src->shard_count, sizeof(struct pg_shard *), compare_ids);
    return SLUICE_OK;
}

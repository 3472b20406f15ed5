/* Checks of a source that does full loads. */
#include <ctype.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "check.h"

#define STREAMS_MAX 64
#define SHARDS_MAX 256
#define BATCHES_MAX 100000
#define TIMEOUT_US 100000
#define POSITION_MAX 65536
#define BOUNDARIES 6 /* positions that a reader is resumed at */

struct shard {
    struct sluice_shard_desc desc;
    char id[160];
    uint64_t stream_id;
    void *handle;
};

/* A source with everything it told. */
struct setup {
    struct sluice_testkit_host *host;
    const struct sluice_source_api *api;
    struct sluice_source *src;
    struct sluice_stream_desc *streams[STREAMS_MAX];
    uint32_t stream_count;
    uint32_t problem_count;
    struct shard shards[SHARDS_MAX];
    uint32_t shard_count;
};

static sluice_status keep_stream(void *vctx, const struct sluice_stream_desc *desc,
                                 const struct sluice_error *problem)
{
    struct setup *s = vctx;
    if (problem != NULL) {
        s->problem_count++;
        return SLUICE_OK;
    }
    if (s->stream_count == STREAMS_MAX) {
        return SLUICE_END;
    }
    s->streams[s->stream_count] = sluice_stream_desc_copy(desc);
    return s->streams[s->stream_count++] != NULL ? SLUICE_OK : SLUICE_E_NOMEM;
}

static sluice_status keep_shard(void *vctx, const struct sluice_shard_desc *shard)
{
    struct setup *s = vctx;
    if (s->shard_count == SHARDS_MAX || shard->stream_count < 1) {
        return SLUICE_END;
    }
    struct shard *k = &s->shards[s->shard_count++];
    k->desc = *shard;
    (void)snprintf(k->id, sizeof k->id, "%s", shard->id);
    k->stream_id = shard->stream_ids[0];
    k->handle = malloc(shard->handle.size + 1);
    if (k->handle == NULL) {
        return SLUICE_E_NOMEM;
    }
    if (shard->handle.size > 0) {
        memcpy(k->handle, shard->handle.data, shard->handle.size);
    }
    k->desc.id = k->id;
    k->desc.stream_ids = &k->stream_id;
    k->desc.handle.data = k->handle;
    return SLUICE_OK;
}

static void forget(struct setup *s)
{
    for (uint32_t i = 0; i < s->stream_count; i++) {
        sluice_stream_desc_free(s->streams[i]);
    }
    for (uint32_t i = 0; i < s->shard_count; i++) {
        free(s->shards[i].handle);
    }
    s->stream_count = 0;
    s->problem_count = 0;
    s->shard_count = 0;
}

static void tear_down(struct setup *s)
{
    s->api->destroy(s->src);
    forget(s);
    sluice_testkit_host_free(s->host);
    free(s);
}

static int create(struct check *c, struct setup **out)
{
    struct setup *s = calloc(1, sizeof *s);
    EXPECT(c, s != NULL, "out of memory");
    s->api = c->component->source;
    s->host = check_host(c);
    if (s->host == NULL) {
        return CHECK_FAIL;
    }
    EXPECT_STATUS(c, s->api->create(sluice_testkit_host_table(s->host), &s->src, &c->err),
                  SLUICE_OK);
    *out = s;
    return CHECK_PASS;
}

/* Opens all streams that discovery found, or those named. */
static int open_all(struct check *c, struct setup *s, const char *const *names, uint32_t count,
                    uint64_t row_limit)
{
    struct sluice_stream_select select[STREAMS_MAX];
    const struct sluice_stream_select *pointers[STREAMS_MAX];
    memset(select, 0, sizeof select);
    for (uint32_t i = 0; i < count; i++) {
        select[i].struct_size = (uint32_t)sizeof select[i];
        select[i].flags = SLUICE_SELECT_LOAD;
        select[i].name = names[i];
        pointers[i] = &select[i];
    }
    struct sluice_source_plan plan = {.struct_size = (uint32_t)sizeof plan,
                                      .mode = SLUICE_MODE_FULL_LOAD_ONLY,
                                      .parallelism = 2,
                                      .pipeline = "testkit",
                                      .node = "source",
                                      .row_limit = row_limit,
                                      .stream_count = count,
                                      .streams = pointers};
    struct sluice_source_info info = {.struct_size = (uint32_t)sizeof info};
    forget(s);
    EXPECT_STATUS(c, s->api->open(s->src, &plan, &info, keep_stream, s, &c->err), SLUICE_OK);
    EXPECT_STATUS(c, s->api->shards(s->src, keep_shard, s, &c->err), SLUICE_OK);
    return CHECK_PASS;
}

/* Names of what discovery finds; pointers stay good until forget_names. */
static int find_names(struct check *c, struct setup *s, char **names, uint32_t *count)
{
    forget(s);
    EXPECT_STATUS(c, s->api->discover(s->src, keep_stream, s, &c->err), SLUICE_OK);
    *count = s->stream_count;
    for (uint32_t i = 0; i < s->stream_count; i++) {
        size_t n = strlen(s->streams[i]->name) + 1;
        names[i] = malloc(n);
        EXPECT(c, names[i] != NULL, "out of memory");
        memcpy(names[i], s->streams[i]->name, n);
    }
    return CHECK_PASS;
}

static void forget_names(char **names, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        free(names[i]);
    }
}

/* Creates, discovers, opens. */
static int set_up(struct check *c, struct setup **out, uint64_t row_limit)
{
    char *names[STREAMS_MAX];
    uint32_t count = 0;
    if ((c->component->caps & SLUICE_SOURCE_LOAD) == 0) {
        return check_say(c, CHECK_SKIP, "does no full loads");
    }
    int result = create(c, out);
    if (result == CHECK_PASS) {
        result = find_names(c, *out, names, &count);
    }
    if (result == CHECK_PASS && count == 0) {
        result = check_say(c, CHECK_SKIP, "discovers no stream");
    }
    if (result == CHECK_PASS) {
        result = open_all(c, *out, (const char *const *)names, count, row_limit);
    }
    forget_names(names, count);
    return result;
}

#define BEGIN(c, s, limit)                 \
    struct setup *s = NULL;                \
    do {                                   \
        int begun_ = set_up(c, &s, limit); \
        if (begun_ != CHECK_PASS) {        \
            return begun_;                 \
        }                                  \
    } while (0)

/* ------------------------------------------------------------ without reading ---------------- */

static sluice_status count_finding(void *vctx, const struct sluice_finding *finding)
{
    uint32_t *n = vctx;
    *n += finding->what != NULL;
    return SLUICE_OK;
}

static int check_call(struct check *c)
{
    struct setup *s = NULL;
    uint32_t n = 0;
    int result = create(c, &s);
    if (result != CHECK_PASS) {
        return result;
    }
    EXPECT_STATUS(c, s->api->check(s->src, NULL, count_finding, &n, &c->err), SLUICE_OK);
    EXPECT(c, n > 0, "no finding at all");
    tear_down(s);
    return CHECK_PASS;
}

static int same_desc(const struct sluice_stream_desc *a, const struct sluice_stream_desc *b)
{
    return strcmp(a->name, b->name) == 0 && a->key_count == b->key_count &&
           a->part_count == b->part_count && a->stream_id == b->stream_id &&
           sluice_schema_equal(a->schema, b->schema) &&
           (a->key_count == 0 || memcmp(a->keys, b->keys, a->key_count * sizeof a->keys[0]) == 0);
}

static int discover_twice(struct check *c)
{
    struct setup *a = NULL;
    struct setup *b = NULL;
    char *names[STREAMS_MAX];
    uint32_t count = 0;
    int result = create(c, &a);
    if (result == CHECK_PASS) {
        result = create(c, &b);
    }
    if (result == CHECK_PASS) {
        result = find_names(c, a, names, &count);
    }
    if (result != CHECK_PASS) {
        return result;
    }
    forget_names(names, count);
    EXPECT_STATUS(c, b->api->discover(b->src, keep_stream, b, &c->err), SLUICE_OK);
    EXPECT(c, a->stream_count == b->stream_count, "%u streams, then %u", a->stream_count,
           b->stream_count);
    for (uint32_t i = 0; i < a->stream_count; i++) {
        const struct sluice_stream_desc *d = a->streams[i];
        char name[1024];
        EXPECT(c, same_desc(d, b->streams[i]), "stream %s is another the second time", d->name);
        EXPECT(c, d->stream_id != 0 && d->schema_id != 0, "stream %s: an id is 0", d->name);
        uint64_t n = sluice_stream_name(d->parts, d->part_count, name, sizeof name);
        EXPECT(c, n >= sizeof name || strcmp(name, d->name) == 0,
               "stream %.200s: its parts make the name %.200s", d->name, name);
    }
    tear_down(a);
    tear_down(b);
    return CHECK_PASS;
}

static sluice_status stop_at_first(void *vctx, const struct sluice_stream_desc *desc,
                                   const struct sluice_error *problem)
{
    uint32_t *n = vctx;
    (void)desc;
    (void)problem;
    (*n)++;
    return *n == 1 ? SLUICE_END : SLUICE_E_CANCELLED;
}

static sluice_status refuse(void *vctx, const struct sluice_stream_desc *desc,
                            const struct sluice_error *problem)
{
    (void)vctx;
    (void)desc;
    (void)problem;
    return SLUICE_E_CANCELLED;
}

static int visit_ends(struct check *c)
{
    struct setup *s = NULL;
    uint32_t n = 0;
    int result = create(c, &s);
    if (result != CHECK_PASS) {
        return result;
    }
    EXPECT_STATUS(c, s->api->discover(s->src, stop_at_first, &n, &c->err), SLUICE_OK);
    EXPECT(c, n <= 1, "the visitor said END and was called again");
    if (n == 1) {
        EXPECT_STATUS(c, s->api->discover(s->src, refuse, NULL, &c->err), SLUICE_E_CANCELLED);
    }
    tear_down(s);
    return CHECK_PASS;
}

static int open_close(struct check *c)
{
    BEGIN(c, s, 0);
    tear_down(s);
    return CHECK_PASS;
}

static int shard_descs(struct check *c)
{
    BEGIN(c, s, 0);
    for (uint32_t i = 0; i < s->shard_count; i++) {
        const struct sluice_shard_desc *d = &s->shards[i].desc;
        uint32_t known = 0;
        EXPECT(c, strlen(d->id) >= 1 && strlen(d->id) <= 120, "shard id %.130s: length", d->id);
        for (const char *p = d->id; *p != '\0'; p++) {
            EXPECT(c, isalnum((unsigned char)*p) || strchr("_.:/-", *p) != NULL,
                   "shard id %s: character %c", d->id, *p);
        }
        for (uint32_t k = 0; k < i; k++) {
            EXPECT(c, strcmp(s->shards[k].id, d->id) != 0, "shard id %s: twice", d->id);
        }
        EXPECT(c, d->kind != SLUICE_SHARD_SNAPSHOT || d->stream_count == 1,
               "shard %s: %u streams in a snapshot shard", d->id, d->stream_count);
        for (uint32_t k = 0; k < s->stream_count; k++) {
            known += s->streams[k]->stream_id == s->shards[i].stream_id;
        }
        EXPECT(c, known == 1, "shard %s: of a stream that open did not visit", d->id);
    }
    tear_down(s);
    return CHECK_PASS;
}

static int unknown_stream(struct check *c)
{
    struct setup *s = NULL;
    static const char *const names[] = {"no_such_schema_x.no_such_table_x"};
    int result = create(c, &s);
    if (result != CHECK_PASS) {
        return result;
    }
    result = open_all(c, s, names, 1, 0);
    EXPECT(c, result != CHECK_PASS || s->problem_count == 1, "was opened without a problem");
    if (result == CHECK_PASS) {
        EXPECT(c, s->shard_count == 0, "has shards");
    }
    tear_down(s);
    return result;
}

/* ------------------------------------------------------------ reading ------------------------ */

struct totals {
    uint64_t rows;
    uint64_t sum; /* of the row hashes: order does not count */
};

static const struct sluice_stream_desc *stream_of(const struct setup *s, uint64_t id)
{
    for (uint32_t i = 0; i < s->stream_count; i++) {
        if (s->streams[i]->stream_id == id) {
            return s->streams[i];
        }
    }
    return NULL;
}

/* Checks a batch against its stream and adds its rows up. */
static int count_batch(struct check *c, struct setup *s, const struct sluice_batch *b,
                       struct totals *t)
{
    EXPECT(c, b->struct_size == sizeof *b, "reader_next changed struct_size");
    EXPECT(c, b->position.size <= POSITION_MAX, "position of %llu bytes",
           (unsigned long long)b->position.size);
    if (b->kind != SLUICE_BATCH_ROWS) {
        return CHECK_PASS;
    }
    const struct sluice_stream_desc *d = stream_of(s, b->stream_id);
    EXPECT(c, d != NULL && d->schema_id == b->schema_id, "a batch of an unknown stream or schema");
    EXPECT(c, (uint64_t)b->array.length == b->rows, "rows %llu, array of %lld",
           (unsigned long long)b->rows, (long long)b->array.length);
    EXPECT_STATUS(c, sluice_array_check(d->schema, &b->array, SLUICE_CHECK_FULL, &c->err),
                  SLUICE_OK);
    struct sluice_view *views = calloc((size_t)d->schema->n_children + 1, sizeof *views);
    EXPECT(c, views != NULL, "out of memory");
    EXPECT_STATUS(c, sluice_views_init(d->schema, &b->array, views, &c->err), SLUICE_OK);
    for (int64_t row = 0; row < b->array.length; row++) {
        t->sum += check_row_hash(views, d->schema->n_children, row);
    }
    t->rows += b->rows;
    free(views);
    return CHECK_PASS;
}

/* Next batch that is there: OK or END, with *failed set otherwise. */
static sluice_status next(struct check *c, struct setup *s, struct sluice_reader *rd,
                          struct sluice_batch *b, int *result)
{
    for (int i = 0; i < BATCHES_MAX; i++) {
        memset(b, 0, sizeof *b);
        b->struct_size = (uint32_t)sizeof *b;
        sluice_status st = s->api->reader_next(rd, TIMEOUT_US, b, &c->err);
        if (st == SLUICE_OK || st == SLUICE_END) {
            return st;
        }
        if (st != SLUICE_AGAIN) {
            *result = check_say(c, CHECK_FAIL, "reader_next answered %s: %.300s",
                                sluice_status_name(st), c->err.message);
            return st;
        }
    }
    *result = check_say(c, CHECK_FAIL, "reader_next answers AGAIN without end");
    return SLUICE_E_TIMEOUT;
}

static int read_from(struct check *c, struct setup *s, uint32_t shard, struct sluice_bytes resume,
                     struct totals *t)
{
    struct sluice_reader *rd = NULL;
    struct sluice_batch b;
    int result = CHECK_PASS;
    EXPECT_STATUS(c, s->api->reader_open(s->src, &s->shards[shard].desc, resume, &rd, &c->err),
                  SLUICE_OK);
    while (result == CHECK_PASS && next(c, s, rd, &b, &result) == SLUICE_OK) {
        result = count_batch(c, s, &b, t);
        sluice_array_release(&b.array);
    }
    if (result == CHECK_PASS) {
        memset(&b, 0, sizeof b);
        b.struct_size = (uint32_t)sizeof b;
        EXPECT_STATUS(c, s->api->reader_next(rd, TIMEOUT_US, &b, &c->err), SLUICE_END);
    }
    s->api->reader_close(rd);
    return result;
}

static const struct sluice_bytes at_start = {NULL, 0};

static int read_twice(struct check *c)
{
    struct totals t[2] = {{0, 0}, {0, 0}};
    BEGIN(c, s, 0);
    for (int round = 0; round < 2; round++) {
        for (uint32_t i = 0; i < s->shard_count; i++) {
            int result = read_from(c, s, i, at_start, &t[round]);
            if (result != CHECK_PASS) {
                return result;
            }
        }
    }
    EXPECT(c, t[0].rows == t[1].rows && t[0].sum == t[1].sum,
           "%llu rows, then %llu, or with other values", (unsigned long long)t[0].rows,
           (unsigned long long)t[1].rows);
    tear_down(s);
    (void)check_say(c, CHECK_PASS, "%llu rows", (unsigned long long)t[0].rows);
    return CHECK_PASS;
}

static int row_limit(struct check *c)
{
    BEGIN(c, s, 3);
    for (uint32_t k = 0; k < s->stream_count; k++) {
        struct totals t = {0, 0};
        for (uint32_t i = 0; i < s->shard_count; i++) {
            if (s->shards[i].stream_id == s->streams[k]->stream_id) {
                int result = read_from(c, s, i, at_start, &t);
                if (result != CHECK_PASS) {
                    return result;
                }
            }
        }
        EXPECT(c, t.rows <= 3, "stream %s: %llu rows with a limit of 3", s->streams[k]->name,
               (unsigned long long)t.rows);
    }
    tear_down(s);
    return CHECK_PASS;
}

/* Reads a shard; at some boundaries a second reader must give exactly the rest. */
static int resume_shard(struct check *c, struct setup *s, uint32_t shard, uint32_t *tried)
{
    struct sluice_reader *rd = NULL;
    struct sluice_batch b;
    struct totals all = {0, 0};
    struct totals done = {0, 0};
    int result = read_from(c, s, shard, at_start, &all);
    if (result != CHECK_PASS) {
        return result;
    }
    EXPECT_STATUS(c, s->api->reader_open(s->src, &s->shards[shard].desc, at_start, &rd, &c->err),
                  SLUICE_OK);
    while (result == CHECK_PASS && next(c, s, rd, &b, &result) == SLUICE_OK) {
        struct totals rest = {0, 0};
        result = count_batch(c, s, &b, &done);
        if (result == CHECK_PASS && (b.flags & SLUICE_BATCH_COMMIT_BOUNDARY) != 0 &&
            b.position.size > 0 && *tried < BOUNDARIES) {
            (*tried)++;
            result = read_from(c, s, shard, b.position, &rest);
            if (result == CHECK_PASS &&
                (done.rows + rest.rows != all.rows || done.sum + rest.sum != all.sum)) {
                result = check_say(c, CHECK_FAIL,
                                   "shard %s: %llu rows, then %llu after resuming, "
                                   "of %llu",
                                   s->shards[shard].id, (unsigned long long)done.rows,
                                   (unsigned long long)rest.rows, (unsigned long long)all.rows);
            }
        }
        sluice_array_release(&b.array);
    }
    s->api->reader_close(rd);
    return result;
}

static int resume(struct check *c)
{
    uint32_t tried = 0;
    BEGIN(c, s, 0);
    for (uint32_t i = 0; i < s->shard_count && tried < BOUNDARIES; i++) {
        int result = resume_shard(c, s, i, &tried);
        if (result != CHECK_PASS) {
            return result;
        }
    }
    tear_down(s);
    return tried > 0 ? CHECK_PASS : check_say(c, CHECK_SKIP, "no resume positions in its loads");
}

static void *release_it(void *arg)
{
    sluice_array_release(arg);
    return NULL;
}

static int release_late(struct check *c)
{
    struct sluice_reader *rd = NULL;
    struct sluice_batch b;
    int result = CHECK_PASS;
    BEGIN(c, s, 0);
    for (uint32_t i = 0; i < s->shard_count; i++) {
        EXPECT_STATUS(c, s->api->reader_open(s->src, &s->shards[i].desc, at_start, &rd, &c->err),
                      SLUICE_OK);
        sluice_status st = next(c, s, rd, &b, &result);
        s->api->reader_close(rd);
        if (result != CHECK_PASS) {
            return result;
        }
        if (st == SLUICE_OK && b.array.release != NULL) {
            pthread_t thread;
            tear_down(s);
            EXPECT(c, pthread_create(&thread, NULL, release_it, &b.array) == 0, "no thread");
            (void)pthread_join(thread, NULL);
            EXPECT(c, b.array.release == NULL, "release did not mark the array");
            return CHECK_PASS;
        }
    }
    tear_down(s);
    return check_say(c, CHECK_SKIP, "no rows");
}

static int close_early(struct check *c)
{
    struct sluice_reader *rd = NULL;
    struct sluice_batch b;
    int result = CHECK_PASS;
    BEGIN(c, s, 0);
    int files = check_open_files();
    for (uint32_t i = 0; i < s->shard_count; i++) {
        for (int batches = 0; batches < 2; batches++) {
            EXPECT_STATUS(c,
                          s->api->reader_open(s->src, &s->shards[i].desc, at_start, &rd, &c->err),
                          SLUICE_OK);
            if (batches == 1 && next(c, s, rd, &b, &result) == SLUICE_OK) {
                sluice_array_release(&b.array);
            }
            s->api->reader_close(rd);
        }
    }
    s->api->reader_close(NULL);
    EXPECT(c, check_open_files() <= files + 2, "readers leave descriptors open");
    tear_down(s);
    return result;
}

static int ack_and_idle(struct check *c)
{
    struct sluice_reader *rd = NULL;
    struct sluice_batch b;
    int result = CHECK_PASS;
    BEGIN(c, s, 0);
    if (s->shard_count == 0) {
        tear_down(s);
        return check_say(c, CHECK_SKIP, "no shards");
    }
    EXPECT_STATUS(c, s->api->reader_open(s->src, &s->shards[0].desc, at_start, &rd, &c->err),
                  SLUICE_OK);
    while (result == CHECK_PASS && next(c, s, rd, &b, &result) == SLUICE_OK) {
        if (s->api->reader_idle != NULL) {
            EXPECT_STATUS(c, s->api->reader_idle(rd, &c->err), SLUICE_OK);
        }
        if (s->api->reader_ack != NULL && b.position.size > 0) {
            char *copy = malloc(b.position.size);
            struct sluice_bytes position = {copy, b.position.size};
            EXPECT(c, copy != NULL, "out of memory");
            memcpy(copy, b.position.data, b.position.size);
            EXPECT_STATUS(c, s->api->reader_ack(rd, position, &c->err), SLUICE_OK);
            EXPECT_STATUS(c, s->api->reader_ack(rd, position, &c->err), SLUICE_OK);
            free(copy);
        }
        sluice_array_release(&b.array);
    }
    s->api->reader_close(rd);
    if (s->api->shard_done != NULL) {
        EXPECT_STATUS(c, s->api->shard_done(s->src, s->shards[0].id, &c->err), SLUICE_OK);
    }
    tear_down(s);
    return result;
}

static int cancelled(struct check *c)
{
    struct sluice_reader *rd = NULL;
    BEGIN(c, s, 0);
    if (s->shard_count == 0) {
        tear_down(s);
        return check_say(c, CHECK_SKIP, "no shards");
    }
    EXPECT_STATUS(c, s->api->reader_open(s->src, &s->shards[0].desc, at_start, &rd, &c->err),
                  SLUICE_OK);
    sluice_testkit_host_cancel(s->host);
    s->api->cancel(s->src);
    s->api->cancel(s->src);
    sluice_status st = SLUICE_OK;
    /* A batch that was ready may still come. */
    for (int i = 0; i < 3 && st >= 0 && st != SLUICE_END; i++) {
        struct sluice_batch b = {.struct_size = (uint32_t)sizeof b};
        st = s->api->reader_next(rd, 10000000, &b, &c->err);
        if (st == SLUICE_OK) {
            sluice_array_release(&b.array);
        }
    }
    EXPECT(c, st == SLUICE_E_CANCELLED || st == SLUICE_END, "reader_next answered %s",
           sluice_status_name(st));
    s->api->reader_close(rd);
    tear_down(s);
    return CHECK_PASS;
}

const struct check_entry check_source_entries[] = {
    {"check", "check has something to tell", check_call},
    {"discover_twice", "two instances discover the same", discover_twice},
    {"visit_ends", "END and errors of a visitor are obeyed", visit_ends},
    {"open_close", "opened and closed without reading", open_close},
    {"shards", "shards are named and belong to a stream", shard_descs},
    {"unknown_stream", "a stream that is not there is a problem", unknown_stream},
    {"read_twice", "rows fit their schema, END stays, twice the same", read_twice},
    {"row_limit", "the plan's row limit holds", row_limit},
    {"resume", "a reader resumed at a boundary gives the rest", resume},
    {"release_late", "a batch outlives its reader, on another thread", release_late},
    {"close_early", "readers are closed at any point", close_early},
    {"ack_and_idle", "acknowledging, twice, and idling do no harm", ack_and_idle},
    {"cancel", "a cancelled source stops", cancelled},
    {NULL, NULL, NULL},
};

/* Checks of a transform. */
#include <pthread.h>

#include "check.h"

#define ROWS 100

struct bound {
    struct sluice_stream_desc *desc;
    uint32_t visits;
};

static sluice_status keep(void *vctx, const struct sluice_stream_desc *desc,
                          const struct sluice_error *problem)
{
    struct bound *b = vctx;
    (void)problem;
    b->visits++;
    sluice_stream_desc_free(b->desc);
    b->desc = sluice_stream_desc_copy(desc);
    return b->desc != NULL ? SLUICE_OK : SLUICE_E_NOMEM;
}

/* What most checks begin with. */
struct setup {
    struct sluice_testkit_host *host;
    const struct sluice_transform_api *api;
    struct sluice_transform *xf;
    struct sluice_testkit_table table;
    struct bound bound;
};

static int set_up(struct check *c, struct setup *s)
{
    memset(s, 0, sizeof *s);
    s->api = c->component->transform;
    s->host = check_host(c);
    if (s->host == NULL) {
        return CHECK_FAIL;
    }
    EXPECT_STATUS(c, sluice_testkit_table_init(&s->table, SLUICE_BEFORE_FULL, &c->err), SLUICE_OK);
    EXPECT_STATUS(c, s->api->create(sluice_testkit_host_table(s->host), &s->xf, &c->err),
                  SLUICE_OK);
    EXPECT_STATUS(c, s->api->bind(s->xf, &s->table.desc, keep, &s->bound, &c->err), SLUICE_OK);
    EXPECT(c, s->bound.visits <= 1, "bind visited %u streams for one", s->bound.visits);
    if (s->bound.desc == NULL) {
        return check_say(c, CHECK_SKIP, "drops the stream");
    }
    return CHECK_PASS;
}

static void tear_down(struct setup *s)
{
    s->api->destroy(s->xf);
    sluice_stream_desc_free(s->bound.desc);
    sluice_testkit_table_free(&s->table);
    sluice_testkit_host_free(s->host);
}

#define BEGIN(c, s)                 \
    struct setup s;                 \
    do {                            \
        int begun_ = set_up(c, &s); \
        if (begun_ != CHECK_PASS) { \
            return begun_;          \
        }                           \
    } while (0)

static int bind_twice(struct check *c)
{
    BEGIN(c, s);
    struct bound again = {NULL, 0};
    EXPECT(c, s.bound.desc->stream_id == 1 && s.bound.desc->schema_id == 1,
           "stream_id or schema_id changed");
    EXPECT_STATUS(c, s.api->bind(s.xf, &s.table.desc, keep, &again, &c->err), SLUICE_OK);
    EXPECT(c, again.desc != NULL && sluice_schema_equal(again.desc->schema, s.bound.desc->schema),
           "bound twice, the columns differ");
    for (uint32_t k = 0; k < s.bound.desc->key_count; k++) {
        EXPECT(c, (int64_t)s.bound.desc->keys[k] < s.bound.desc->schema->n_children,
               "key %u is no column", k);
    }
    sluice_stream_desc_free(again.desc);
    tear_down(&s);
    return CHECK_PASS;
}

/* Pulls all that is ready, checks it, and counts rows. */
static int pull_all(struct check *c, struct setup *s, const struct ArrowSchema *rows_schema,
                    const struct ArrowSchema *changes_schema, uint64_t *rows)
{
    for (;;) {
        struct sluice_batch out;
        memset(&out, 0, sizeof out);
        out.struct_size = (uint32_t)sizeof out;
        sluice_status st = s->api->pull(s->xf, &out, &c->err);
        if (st == SLUICE_AGAIN) {
            return CHECK_PASS;
        }
        EXPECT(c, st == SLUICE_OK, "pull answered %s: %.300s", sluice_status_name(st),
               c->err.message);
        EXPECT(c, out.struct_size == sizeof out, "pull changed struct_size");
        if (out.kind == SLUICE_BATCH_ROWS || out.kind == SLUICE_BATCH_CHANGES) {
            const struct ArrowSchema *schema =
                out.kind == SLUICE_BATCH_ROWS ? rows_schema : changes_schema;
            EXPECT(c, out.rows == (uint64_t)out.array.length, "rows %llu, array of %lld",
                   (unsigned long long)out.rows, (long long)out.array.length);
            EXPECT_STATUS(c, sluice_array_check(schema, &out.array, SLUICE_CHECK_FULL, &c->err),
                          SLUICE_OK);
            *rows += out.rows;
        }
        sluice_array_release(&out.array);
    }
}

static int push_pull(struct check *c)
{
    BEGIN(c, s);
    uint64_t in_rows = 0;
    uint64_t out_rows = 0;
    static const int64_t sizes[] = {ROWS, 0, 1, 8193};
    for (size_t i = 0; i < 4; i++) {
        struct sluice_batch in;
        EXPECT_STATUS(c, sluice_testkit_rows(&s.table, 7, sizes[i], &in, &c->err), SLUICE_OK);
        if (sizes[i] == ROWS) {
            in.array.offset = 3; /* a slice */
            in.array.length = ROWS - 3;
            in.rows = ROWS - 3;
        }
        in_rows += in.rows;
        EXPECT_STATUS(c, s.api->push(s.xf, &in, &c->err), SLUICE_OK);
        EXPECT(c, in.array.release == NULL, "push answered OK but did not take the batch");
        int result = pull_all(c, &s, s.bound.desc->schema, NULL, &out_rows);
        if (result != CHECK_PASS) {
            return result;
        }
    }
    if (s.api->flush != NULL) {
        EXPECT_STATUS(c, s.api->flush(s.xf, &c->err), SLUICE_OK);
    }
    int result = pull_all(c, &s, s.bound.desc->schema, NULL, &out_rows);
    EXPECT(c,
           result != CHECK_PASS || (c->component->caps & SLUICE_TRANSFORM_ROW_PRESERVING) == 0 ||
               in_rows == out_rows,
           "%llu rows went in, %llu came out", (unsigned long long)in_rows,
           (unsigned long long)out_rows);
    tear_down(&s);
    return result;
}

static int changes(struct check *c)
{
    if ((c->component->caps & SLUICE_TRANSFORM_CHANGES) == 0) {
        return check_say(c, CHECK_SKIP, "does not take changes");
    }
    BEGIN(c, s);
    struct ArrowSchema envelope;
    struct sluice_batch in;
    uint64_t rows = 0;
    EXPECT_STATUS(c, sluice_schema_envelope(s.bound.desc, &envelope, &c->err), SLUICE_OK);
    EXPECT_STATUS(c, sluice_testkit_changes(&s.table, 0, ROWS, &in, &c->err), SLUICE_OK);
    sluice_status st = s.api->push(s.xf, &in, &c->err);
    if (st < 0) {
        return check_say(c, CHECK_SKIP, "refused: %.300s", c->err.message);
    }
    int result = pull_all(c, &s, s.bound.desc->schema, &envelope, &rows);
    sluice_schema_release(&envelope);
    tear_down(&s);
    return result;
}

static int other_kinds(struct check *c)
{
    BEGIN(c, s);
    uint64_t rows = 0;
    struct sluice_batch in = {.struct_size = (uint32_t)sizeof in, .kind = SLUICE_BATCH_HEARTBEAT};
    EXPECT_STATUS(c, s.api->push(s.xf, &in, &c->err), SLUICE_OK);
    int result = pull_all(c, &s, s.bound.desc->schema, NULL, &rows);
    if (result != CHECK_PASS) {
        return result;
    }
    in = (struct sluice_batch){.struct_size = (uint32_t)sizeof in,
                               .kind = SLUICE_BATCH_SNAPSHOT_END,
                               .stream_id = 1,
                               .schema_id = 1};
    EXPECT_STATUS(c, s.api->push(s.xf, &in, &c->err), SLUICE_OK);
    result = pull_all(c, &s, s.bound.desc->schema, NULL, &rows);
    tear_down(&s);
    return result;
}

static int unbound_stream(struct check *c)
{
    BEGIN(c, s);
    struct sluice_batch in;
    EXPECT_STATUS(c, sluice_testkit_rows(&s.table, 0, 3, &in, &c->err), SLUICE_OK);
    in.stream_id = 99;
    sluice_status st = s.api->push(s.xf, &in, &c->err);
    EXPECT(c, st < 0, "took a batch of a stream that was never bound");
    EXPECT(c, in.array.release != NULL, "refused the batch but took it");
    sluice_array_release(&in.array);
    tear_down(&s);
    return CHECK_PASS;
}

static int unknown_type(struct check *c)
{
    BEGIN(c, s);
    struct bound b = {NULL, 0};
    /* The second column is left without a type: refused, or passed on as it is. */
    static const struct sluice_type text = {SLUICE_TYPE_UTF8, 0, 0, 0};
    struct ArrowSchema schema;
    EXPECT_STATUS(c, sluice_schema_init(&schema, 2, &c->err), SLUICE_OK);
    EXPECT_STATUS(c, sluice_schema_set(&schema, 0, "note", &text, 1, NULL, 0, &c->err), SLUICE_OK);
    struct sluice_stream_desc desc = s.table.desc;
    desc.schema = &schema;
    desc.stream_id = 2;
    desc.key_count = 0;
    sluice_status st = s.api->bind(s.xf, &desc, keep, &b, &c->err);
    EXPECT(c, st < 0 || b.desc == NULL || b.desc->schema != NULL, "no columns and no error");
    sluice_stream_desc_free(b.desc);
    sluice_schema_release(&schema);
    tear_down(&s);
    return CHECK_PASS;
}

static void *release_it(void *arg)
{
    sluice_array_release(arg);
    return NULL;
}

static int release_elsewhere(struct check *c)
{
    BEGIN(c, s);
    struct sluice_batch in;
    struct sluice_batch out;
    memset(&out, 0, sizeof out);
    out.struct_size = (uint32_t)sizeof out;
    EXPECT_STATUS(c, sluice_testkit_rows(&s.table, 0, ROWS, &in, &c->err), SLUICE_OK);
    EXPECT_STATUS(c, s.api->push(s.xf, &in, &c->err), SLUICE_OK);
    if (s.api->pull(s.xf, &out, &c->err) != SLUICE_OK) {
        tear_down(&s);
        return check_say(c, CHECK_SKIP, "gives nothing at once");
    }
    tear_down(&s);
    pthread_t thread;
    EXPECT(c, pthread_create(&thread, NULL, release_it, &out.array) == 0, "no thread");
    (void)pthread_join(thread, NULL);
    EXPECT(c, out.array.release == NULL, "release did not mark the array");
    return CHECK_PASS;
}

static int destroy_with_batch(struct check *c)
{
    BEGIN(c, s);
    struct sluice_batch in;
    EXPECT_STATUS(c, sluice_testkit_rows(&s.table, 0, ROWS, &in, &c->err), SLUICE_OK);
    EXPECT_STATUS(c, s.api->push(s.xf, &in, &c->err), SLUICE_OK);
    tear_down(&s); /* a sanitizer tells if the batch leaks */
    return CHECK_PASS;
}

const struct check_entry check_transform_entries[] = {
    {"bind", "binding twice gives the same", bind_twice},
    {"push_pull", "what comes out fits what bind said", push_pull},
    {"changes", "changes pass and fit", changes},
    {"other_kinds", "batches without rows pass", other_kinds},
    {"unbound", "a stream never bound is refused", unbound_stream},
    {"unknown_type", "a column of no known type does no harm", unknown_type},
    {"release_elsewhere", "a batch outlives the instance, on another thread", release_elsewhere},
    {"destroy_with_batch", "a batch that was not pulled is freed", destroy_with_batch},
    {NULL, NULL, NULL},
};

/* Checks of a sink. */
#include <pthread.h>
#include <stdio.h>

#include "check.h"

#define ROWS 200
#define RUN "20260101T000000Z"
#define TOKEN "testkit-token-%u"
#define AGAIN_MAX 100000

struct setup {
    struct sluice_testkit_host *host;
    const struct sluice_sink_api *api;
    struct sluice_sink *sink;
    struct sluice_testkit_table table;
    uint64_t stream_id;
    struct sluice_shard_desc shard;
};

static int open_sink(struct check *c, struct setup *s)
{
    s->api = c->component->sink;
    s->host = check_host(c);
    if (s->host == NULL) {
        return CHECK_FAIL;
    }
    struct sluice_sink_plan plan = {.struct_size = (uint32_t)sizeof plan,
                                    .mode = SLUICE_MODE_FULL_LOAD_ONLY,
                                    .parallelism = 2,
                                    .pipeline = "testkit",
                                    .node = "sink",
                                    .load_id = "load-1",
                                    .started_us = 1767225600000000};
    EXPECT_STATUS(c, s->api->create(sluice_testkit_host_table(s->host), &s->sink, &c->err),
                  SLUICE_OK);
    EXPECT_STATUS(c, s->api->open(s->sink, &plan, &c->err), SLUICE_OK);
    return CHECK_PASS;
}

static int begin_stream(struct check *c, struct setup *s)
{
    s->stream_id = 1;
    s->shard = (struct sluice_shard_desc){.struct_size = (uint32_t)sizeof s->shard,
                                          .kind = SLUICE_SHARD_SNAPSHOT,
                                          .stream_count = 1,
                                          .id = "testkit:0",
                                          .stream_ids = &s->stream_id,
                                          .rows_estimate = ROWS,
                                          .bytes_estimate = -1};
    EXPECT_STATUS(c, sluice_testkit_table_init(&s->table, SLUICE_BEFORE_NONE, &c->err), SLUICE_OK);
    struct sluice_stream_begin begin = {.struct_size = (uint32_t)sizeof begin,
                                        .flags = SLUICE_BEGIN_LOAD,
                                        .desc = &s->table.desc,
                                        .run = RUN};
    EXPECT_STATUS(c, s->api->stream_begin(s->sink, &begin, &c->err), SLUICE_OK);
    return CHECK_PASS;
}

static sluice_status ignore_recovered(void *vctx, const struct sluice_recovered *found)
{
    uint32_t *n = vctx;
    (void)found;
    (*n)++;
    return SLUICE_OK;
}

static int set_up(struct check *c, struct setup *s)
{
    uint32_t n = 0;
    memset(s, 0, sizeof *s);
    int result = open_sink(c, s);
    if (result != CHECK_PASS) {
        return result;
    }
    const sluice_status st = s->api->recover(s->sink, ignore_recovered, &n, &c->err);
    EXPECT(c,
           st == SLUICE_OK || (st == SLUICE_E_UNSUPPORTED &&
                               (c->component->caps & SLUICE_SINK_TRANSACTIONAL) == 0),
           "recover answered %s: %.300s", sluice_status_name(st), c->err.message);
    EXPECT(c, n == 0, "a fresh target holds %u commits; give it a fresh one with {tmp}", n);
    return begin_stream(c, s);
}

static void tear_down(struct setup *s)
{
    s->api->destroy(s->sink);
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

/* Writes n rows, again and again while the sink is busy. */
static int write_rows(struct check *c, struct setup *s, struct sluice_lane *lane, int64_t first,
                      int64_t n)
{
    struct sluice_batch b;
    sluice_status st = SLUICE_AGAIN;
    EXPECT_STATUS(c, sluice_testkit_rows(&s->table, first, n, &b, &c->err), SLUICE_OK);
    for (int i = 0; i < AGAIN_MAX && st == SLUICE_AGAIN; i++) {
        st = s->api->lane_write(lane, &b, &c->err);
        EXPECT(c, st == SLUICE_OK || b.array.release != NULL, "took the batch and answered %s",
               sluice_status_name(st));
    }
    EXPECT(c, st == SLUICE_OK, "lane_write answered %s: %.300s", sluice_status_name(st),
           c->err.message);
    EXPECT(c, b.array.release == NULL, "lane_write answered OK but did not take the batch");
    return CHECK_PASS;
}

static sluice_status commit(struct check *c, struct setup *s, struct sluice_lane *lane,
                            uint32_t epoch)
{
    char token[32];
    int n = snprintf(token, sizeof token, TOKEN, epoch);
    struct sluice_commit commit = {
        .struct_size = (uint32_t)sizeof commit, .epoch = epoch, .token = {token, (uint64_t)n}};
    return s->api->lane_commit(lane, &commit, &c->err);
}

static int load(struct check *c)
{
    struct sluice_lane *lane = NULL;
    BEGIN(c, s);
    EXPECT_STATUS(c, s.api->lane_open(s.sink, &s.shard, &lane, &c->err), SLUICE_OK);
    for (uint32_t epoch = 1; epoch <= 3; epoch++) {
        int result = write_rows(c, &s, lane, epoch * ROWS, ROWS);
        if (result != CHECK_PASS) {
            return result;
        }
        EXPECT_STATUS(c, commit(c, &s, lane, epoch), SLUICE_OK);
    }
    s.api->lane_close(lane);
    struct sluice_stream_end end = {.struct_size = (uint32_t)sizeof end,
                                    .stream_id = 1,
                                    .run = RUN,
                                    .rows = 3 * ROWS,
                                    .token = {"end", 3}};
    EXPECT_STATUS(c, s.api->stream_end(s.sink, &end, &c->err), SLUICE_OK);
    tear_down(&s);
    return CHECK_PASS;
}

static sluice_status count_finding(void *vctx, const struct sluice_finding *finding)
{
    uint32_t *n = vctx;
    *n += finding->what != NULL;
    return SLUICE_OK;
}

static int check_call(struct check *c)
{
    struct setup s;
    uint32_t n = 0;
    memset(&s, 0, sizeof s);
    s.api = c->component->sink;
    s.host = check_host(c);
    if (s.host == NULL) {
        return CHECK_FAIL;
    }
    EXPECT_STATUS(c, s.api->create(sluice_testkit_host_table(s.host), &s.sink, &c->err), SLUICE_OK);
    EXPECT_STATUS(c, s.api->check(s.sink, NULL, count_finding, &n, &c->err), SLUICE_OK);
    EXPECT(c, n > 0, "no finding at all");
    tear_down(&s);
    return CHECK_PASS;
}

static int open_close(struct check *c)
{
    struct sluice_lane *lane = NULL;
    BEGIN(c, s);
    EXPECT_STATUS(c, s.api->lane_open(s.sink, &s.shard, &lane, &c->err), SLUICE_OK);
    s.api->lane_close(lane);
    tear_down(&s);
    return CHECK_PASS;
}

static int empty_commit(struct check *c)
{
    struct sluice_lane *lane = NULL;
    BEGIN(c, s);
    EXPECT_STATUS(c, s.api->lane_open(s.sink, &s.shard, &lane, &c->err), SLUICE_OK);
    int result = write_rows(c, &s, lane, 0, 0);
    if (result != CHECK_PASS) {
        return result;
    }
    EXPECT_STATUS(c, commit(c, &s, lane, 1), SLUICE_OK);
    EXPECT_STATUS(c, commit(c, &s, lane, 2), SLUICE_OK);
    s.api->lane_close(lane);
    tear_down(&s);
    return CHECK_PASS;
}

static int slice(struct check *c)
{
    struct sluice_lane *lane = NULL;
    struct sluice_batch b;
    BEGIN(c, s);
    EXPECT_STATUS(c, s.api->lane_open(s.sink, &s.shard, &lane, &c->err), SLUICE_OK);
    EXPECT_STATUS(c, sluice_testkit_rows(&s.table, 0, ROWS, &b, &c->err), SLUICE_OK);
    b.array.offset = 13;
    b.array.length = ROWS - 13;
    b.rows = ROWS - 13;
    EXPECT_STATUS(c, s.api->lane_write(lane, &b, &c->err), SLUICE_OK);
    EXPECT_STATUS(c, commit(c, &s, lane, 1), SLUICE_OK);
    s.api->lane_close(lane);
    tear_down(&s);
    return CHECK_PASS;
}

static int shared(struct check *c)
{
    struct sluice_lane *lane = NULL;
    struct sluice_batch b;
    struct ArrowArray shares[2];
    BEGIN(c, s);
    EXPECT_STATUS(c, s.api->lane_open(s.sink, &s.shard, &lane, &c->err), SLUICE_OK);
    EXPECT_STATUS(c, sluice_testkit_rows(&s.table, 0, ROWS, &b, &c->err), SLUICE_OK);
    EXPECT_STATUS(c, sluice_array_share(&b.array, 2, shares, &c->err), SLUICE_OK);
    struct sluice_view views[64];
    uint64_t before = 0;
    uint64_t after = 0;
    EXPECT_STATUS(c, sluice_views_init(&s.table.schema, &shares[1], views, &c->err), SLUICE_OK);
    for (int64_t i = 0; i < ROWS; i++) {
        before += check_row_hash(views, s.table.schema.n_children, i);
    }
    sluice_array_move(&shares[0], &b.array);
    EXPECT_STATUS(c, s.api->lane_write(lane, &b, &c->err), SLUICE_OK);
    EXPECT_STATUS(c, commit(c, &s, lane, 1), SLUICE_OK);
    for (int64_t i = 0; i < ROWS; i++) {
        after += check_row_hash(views, s.table.schema.n_children, i);
    }
    EXPECT(c, before == after, "changed the buffers of a shared batch");
    sluice_array_release(&shares[1]);
    s.api->lane_close(lane);
    tear_down(&s);
    return CHECK_PASS;
}

static int abort_and_go_on(struct check *c)
{
    struct sluice_lane *lane = NULL;
    BEGIN(c, s);
    EXPECT_STATUS(c, s.api->lane_open(s.sink, &s.shard, &lane, &c->err), SLUICE_OK);
    int result = write_rows(c, &s, lane, 0, ROWS);
    if (result != CHECK_PASS) {
        return result;
    }
    s.api->lane_abort(lane);
    s.api->lane_abort(lane);
    result = write_rows(c, &s, lane, 0, ROWS);
    if (result != CHECK_PASS) {
        return result;
    }
    EXPECT_STATUS(c, commit(c, &s, lane, 1), SLUICE_OK);
    /* Not committed: thrown away by close. */
    result = write_rows(c, &s, lane, ROWS, ROWS);
    s.api->lane_close(lane);
    tear_down(&s);
    return result;
}

struct recovered {
    uint32_t lanes;
    uint32_t complete;
    uint64_t epoch;
    char token[64];
};

static sluice_status keep_newest(void *vctx, const struct sluice_recovered *found)
{
    struct recovered *r = vctx;
    if (found->kind == SLUICE_RECOVERED_LANE && found->shard_id != NULL &&
        strcmp(found->shard_id, "testkit:0") == 0 && r->lanes++ == 0) {
        r->epoch = found->epoch;
        (void)snprintf(r->token, sizeof r->token, "%.*s", (int)found->token.size,
                       (const char *)found->token.data);
    }
    if (found->kind == SLUICE_RECOVERED_STREAM_COMPLETE && found->stream != NULL &&
        strcmp(found->stream, "public.testkit") == 0) {
        r->complete++;
    }
    return SLUICE_OK;
}

/* Two commits, an end, and then a new process asks. */
static int recover(struct check *c)
{
    struct sluice_lane *lane = NULL;
    struct recovered r;
    if ((c->component->caps & SLUICE_SINK_DISCARDS) != 0) {
        return check_say(c, CHECK_SKIP, "keeps nothing");
    }
    BEGIN(c, s);
    EXPECT_STATUS(c, s.api->lane_open(s.sink, &s.shard, &lane, &c->err), SLUICE_OK);
    for (uint32_t epoch = 1; epoch <= 2; epoch++) {
        int result = write_rows(c, &s, lane, epoch * ROWS, ROWS);
        if (result != CHECK_PASS) {
            return result;
        }
        EXPECT_STATUS(c, commit(c, &s, lane, epoch), SLUICE_OK);
    }
    s.api->lane_close(lane);
    struct sluice_stream_end end = {.struct_size = (uint32_t)sizeof end,
                                    .stream_id = 1,
                                    .run = RUN,
                                    .rows = 2 * ROWS,
                                    .token = {"end", 3}};
    EXPECT_STATUS(c, s.api->stream_end(s.sink, &end, &c->err), SLUICE_OK);
    tear_down(&s);
    memset(&s, 0, sizeof s);
    memset(&r, 0, sizeof r);
    int result = open_sink(c, &s);
    if (result != CHECK_PASS) {
        return result;
    }
    EXPECT_STATUS(c, s.api->recover(s.sink, keep_newest, &r, &c->err), SLUICE_OK);
    tear_down(&s);
    if (r.lanes == 0 && r.complete == 0) {
        EXPECT(c, (c->component->caps & SLUICE_SINK_TRANSACTIONAL) == 0,
               "a TRANSACTIONAL sink that remembers no token");
        return check_say(c, CHECK_SKIP, "remembers no token");
    }
    /* A whole stream may stand for its lanes. */
    EXPECT(c, r.lanes == 0 || (r.epoch == 2 && strcmp(r.token, "testkit-token-2") == 0),
           "the newest commit is epoch %llu, token %s, not 2, testkit-token-2",
           (unsigned long long)r.epoch, r.token);
    return CHECK_PASS;
}

struct lane_job {
    struct check check; /* own message and error */
    struct setup *setup;
    char id[16];
    uint64_t stream_id;
    int result;
};

static int run_lane(struct check *c, struct setup *s, const char *id, const uint64_t *stream_id)
{
    struct sluice_lane *lane = NULL;
    struct sluice_shard_desc shard = s->shard;
    shard.id = id;
    shard.stream_ids = stream_id;
    EXPECT_STATUS(c, s->api->lane_open(s->sink, &shard, &lane, &c->err), SLUICE_OK);
    for (uint32_t epoch = 1; epoch <= 5; epoch++) {
        int result = write_rows(c, s, lane, epoch * ROWS, ROWS);
        if (result != CHECK_PASS) {
            return result;
        }
        EXPECT_STATUS(c, commit(c, s, lane, epoch), SLUICE_OK);
    }
    s->api->lane_close(lane);
    return CHECK_PASS;
}

static void *lane_thread(void *arg)
{
    struct lane_job *job = arg;
    job->result = run_lane(&job->check, job->setup, job->id, &job->stream_id);
    return NULL;
}

static int parallel_lanes(struct check *c)
{
    enum { N = 3 };
    static struct lane_job jobs[N];
    pthread_t threads[N];
    BEGIN(c, s);
    for (int i = 0; i < N; i++) {
        jobs[i].check = *c;
        jobs[i].setup = &s;
        jobs[i].stream_id = 1;
        (void)snprintf(jobs[i].id, sizeof jobs[i].id, "testkit:%d", i);
        EXPECT(c, pthread_create(&threads[i], NULL, lane_thread, &jobs[i]) == 0, "no thread");
    }
    for (int i = 0; i < N; i++) {
        (void)pthread_join(threads[i], NULL);
    }
    for (int i = 0; i < N; i++) {
        EXPECT(c, jobs[i].result == CHECK_PASS, "lane %d: %.400s", i, jobs[i].check.message);
    }
    tear_down(&s);
    return CHECK_PASS;
}

static int cancelled(struct check *c)
{
    struct sluice_lane *lane = NULL;
    struct sluice_batch b;
    BEGIN(c, s);
    EXPECT_STATUS(c, s.api->lane_open(s.sink, &s.shard, &lane, &c->err), SLUICE_OK);
    sluice_testkit_host_cancel(s.host);
    s.api->cancel(s.sink);
    s.api->cancel(s.sink);
    EXPECT_STATUS(c, sluice_testkit_rows(&s.table, 0, ROWS, &b, &c->err), SLUICE_OK);
    sluice_status st = s.api->lane_write(lane, &b, &c->err);
    EXPECT(c, st == SLUICE_OK || st == SLUICE_E_CANCELLED || st == SLUICE_AGAIN,
           "lane_write answered %s", sluice_status_name(st));
    EXPECT(c, (st == SLUICE_OK) == (b.array.release == NULL), "the batch is no one's");
    sluice_array_release(&b.array);
    s.api->lane_close(lane);
    tear_down(&s);
    return CHECK_PASS;
}

static int memory_returned(struct check *c)
{
    struct sluice_lane *lane = NULL;
    BEGIN(c, s);
    EXPECT_STATUS(c, s.api->lane_open(s.sink, &s.shard, &lane, &c->err), SLUICE_OK);
    int result = write_rows(c, &s, lane, 0, ROWS);
    s.api->lane_close(lane);
    s.api->destroy(s.sink);
    EXPECT(c, sluice_testkit_host_memory(s.host) == 0, "%lld bytes of the budget were not returned",
           (long long)sluice_testkit_host_memory(s.host));
    sluice_testkit_table_free(&s.table);
    sluice_testkit_host_free(s.host);
    return result;
}

const struct check_entry check_sink_entries[] = {
    {"check", "check has something to tell", check_call},
    {"open_close", "opened and closed without writing", open_close},
    {"load", "a load of several commits", load},
    {"empty_commit", "commits without rows", empty_commit},
    {"slice", "an array that begins in the middle", slice},
    {"shared", "the buffers of a shared batch stay", shared},
    {"abort", "what was aborted is gone, the lane goes on", abort_and_go_on},
    {"recover", "another process gets the last token", recover},
    {"parallel_lanes", "lanes on several threads", parallel_lanes},
    {"cancel", "a cancelled sink answers", cancelled},
    {"memory", "the budget is given back", memory_returned},
    {NULL, NULL, NULL},
};

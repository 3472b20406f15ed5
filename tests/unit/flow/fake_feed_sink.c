/* The sink that remembers, and what tests look for in it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/str.h"
#include "fake_feed.h"
#include "sluice/array.h"
#include "sluice/change.h"
#include "sluice/position.h"

#define EVENTS_MAX 200000

static const struct sluice_option *const no_options[] = {NULL};

enum { KEPT_LOAD = 1, KEPT_COMPLETE = 2, KEPT_CHANGES = 3 };

struct event {
    uint64_t pos;
    int64_t seq;
    int64_t id; /* -1 = truncate */
    uint32_t table;
};

struct kept {
    struct kept *next;
    int kind;
    char node[16];
    char shard[64];
    char stream[32];
    char run[40];
    uint64_t epoch;
    uint64_t position;
    struct sluice_str token;
    struct event *events;
    size_t count;
};

static struct kept *all_kept;
static pthread_mutex_t kept_mutex = PTHREAD_MUTEX_INITIALIZER;
static uint32_t schemas_begun[8];

struct known_stream {
    struct sluice_stream_desc *desc;
    char run[40];
    int changes;
};

struct sluice_sink {
    char node[16];
    struct known_stream streams[64];
    uint32_t stream_count;
};

struct sluice_lane {
    struct sluice_sink *sink;
    char shard[64];
    int changes;
    const struct known_stream *load;
    struct event *events;
    size_t count;
    size_t cap;
};

static sluice_status fk_create(const struct sluice_host *host, struct sluice_sink **out,
                               struct sluice_error *err)
{
    (void)host;
    (void)err;
    *out = calloc(1, sizeof **out);
    atomic_fetch_add(&fake.live, 1);
    return SLUICE_OK;
}

static void fk_destroy(struct sluice_sink *sink)
{
    if (sink != NULL) {
        for (uint32_t i = 0; i < sink->stream_count; i++) {
            sluice_stream_desc_free(sink->streams[i].desc);
        }
        free(sink);
        atomic_fetch_sub(&fake.live, 1);
    }
}

static void fk_cancel(struct sluice_sink *sink)
{
    (void)sink;
}

static sluice_status fk_open(struct sluice_sink *sink, const struct sluice_sink_plan *plan,
                             struct sluice_error *err)
{
    (void)err;
    (void)snprintf(sink->node, sizeof sink->node, "%s", plan->node);
    return SLUICE_OK;
}

static sluice_status fk_recover(struct sluice_sink *sink, sluice_recovered_visit visit, void *vctx,
                                struct sluice_error *err)
{
    (void)err;
    for (struct kept *k = all_kept; k != NULL; k = k->next) { /* newest first */
        if (strcmp(k->node, sink->node) != 0 || atomic_load(&feed_log.forget_commits)) {
            continue;
        }
        struct sluice_recovered found = {.struct_size = sizeof found,
                                         .kind = k->kind == KEPT_COMPLETE
                                                     ? SLUICE_RECOVERED_STREAM_COMPLETE
                                                     : SLUICE_RECOVERED_LANE,
                                         .shard_id = k->shard,
                                         .stream = k->stream,
                                         .run = k->run,
                                         .epoch = k->epoch,
                                         .token = {k->token.data, k->token.size}};
        atomic_fetch_add(&feed_log.recovered, 1);
        sluice_status status = visit(vctx, &found);
        if (status != SLUICE_OK) {
            return status == SLUICE_END ? SLUICE_OK : status;
        }
    }
    return SLUICE_OK;
}

static sluice_status fk_begin(struct sluice_sink *sink, const struct sluice_stream_begin *begin,
                              struct sluice_error *err)
{
    if ((begin->flags & SLUICE_BEGIN_LOAD) != 0 && sink->node[0] == 'b' &&
        begin->desc->name[8] == '0' + feed_log.refuse_table) {
        return feed_fail_as(err, FAKE_STREAM, "begin");
    }
    struct known_stream *st = &sink->streams[sink->stream_count++ % 64];
    st->desc = sluice_stream_desc_copy(begin->desc);
    st->changes = (begin->flags & SLUICE_BEGIN_CHANGES) != 0;
    (void)snprintf(st->run, sizeof st->run, "%s", begin->run != NULL ? begin->run : "");
    if (st->changes && strcmp(begin->desc->name, "public.t0") == 0) {
        schemas_begun[sink->node[0] - 'a']++;
    }
    return SLUICE_OK;
}

static const struct known_stream *find_stream(const struct sluice_sink *sink, uint64_t id,
                                              uint64_t schema_id, int changes)
{
    for (uint32_t i = sink->stream_count; i-- > 0;) {
        const struct known_stream *st = &sink->streams[i];
        if (st->desc->stream_id == id && st->changes == changes &&
            (schema_id == 0 || st->desc->schema_id == schema_id)) {
            return st;
        }
    }
    return NULL;
}

static sluice_status fl_open(struct sluice_sink *sink, const struct sluice_shard_desc *shard,
                             struct sluice_lane **out, struct sluice_error *err)
{
    if (shard->kind == SLUICE_SHARD_CHANGES && sink->node[0] == 'b' &&
        atomic_fetch_sub(&feed_log.lane_fail_times, 1) > 0) {
        return feed_fail_as(err, feed_log.lane_fail_kind, "lane_open");
    }
    struct sluice_lane *lane = calloc(1, sizeof *lane);
    lane->sink = sink;
    lane->changes = shard->kind == SLUICE_SHARD_CHANGES;
    (void)snprintf(lane->shard, sizeof lane->shard, "%s", shard->id);
    if (!lane->changes) {
        lane->load = find_stream(sink, shard->stream_ids[0], 0, 0);
    }
    else {
        assert_int_equal(shard->start.size, 8);
    }
    atomic_fetch_add(&fake.live, 1);
    *out = lane;
    return SLUICE_OK;
}

static void add_event(struct sluice_lane *lane, struct event event)
{
    if (lane->count == lane->cap) {
        lane->cap = lane->cap * 2 + 64;
        lane->events = realloc(lane->events, lane->cap * sizeof *lane->events);
    }
    lane->events[lane->count++] = event;
}

static sluice_status write_changes(struct sluice_lane *lane, const struct sluice_batch *batch,
                                   struct sluice_error *err)
{
    const struct known_stream *st = find_stream(lane->sink, batch->stream_id, batch->schema_id, 1);
    struct sluice_change_view cv;
    if (st == NULL) {
        return sluice_error_set(err, SLUICE_E_INTERNAL, SLUICE_ERROR_FATAL,
                                "changes of a version that never began");
    }
    uint32_t table = (uint32_t)strtoul(st->desc->name + 8, NULL, 10);
    if (batch->kind == SLUICE_BATCH_TRUNCATE) {
        const uint8_t *pos = batch->array.children[1]->buffers[2];
        add_event(lane, (struct event){sluice_get_be64(pos), 0, -1, table});
        return SLUICE_OK;
    }
    SLUICE_TRY(sluice_change_view_init(&cv, st->desc, batch, err));
    for (int64_t i = 0; i < cv.rows; i++) {
        struct sluice_bytes pos = sluice_view_bytes(&cv.commit_pos, i);
        add_event(lane, (struct event){sluice_get_be64(pos.data), sluice_view_i64(&cv.tx_seq, i),
                                       sluice_view_i64(&cv.columns[0], i), table});
    }
    sluice_change_view_free(&cv);
    return SLUICE_OK;
}

static sluice_status fl_write(struct sluice_lane *lane, struct sluice_batch *batch,
                              struct sluice_error *err)
{
    if (lane->sink->node[0] == 'a' && atomic_load(&feed_log.write_block)) {
        return SLUICE_AGAIN;
    }
    if (batch->kind == SLUICE_BATCH_SCHEMA) {
        return SLUICE_OK;
    }
    if (lane->changes) {
        if (feed_log.write_delay_us > 0) {
            (void)usleep((useconds_t)feed_log.write_delay_us);
        }
        if (lane->sink->node[0] == 'a' && atomic_fetch_sub(&feed_log.write_fail_times, 1) > 0) {
            return feed_fail_as(err, feed_log.write_fail_kind, "write");
        }
        SLUICE_TRY(write_changes(lane, batch, err));
    }
    else {
        struct sluice_view view[2];
        SLUICE_TRY(sluice_views_init(lane->load->desc->schema, &batch->array, view, err));
        for (int64_t i = 0; i < batch->array.length; i++) {
            add_event(lane, (struct event){0, 0, sluice_view_i64(&view[0], i), 0});
        }
    }
    sluice_array_release(&batch->array);
    return SLUICE_OK;
}

static void keep(struct kept *k)
{
    pthread_mutex_lock(&kept_mutex);
    k->next = all_kept;
    all_kept = k;
    pthread_mutex_unlock(&kept_mutex);
}

/* Another stream's load becomes complete meanwhile: a record of what the state knows as complete. */
static void keep_other_load(const char *node)
{
    const struct kept *like = all_kept;
    while (like != NULL && (like->kind != KEPT_COMPLETE || strcmp(like->node, node) != 0)) {
        like = like->next;
    }
    if (like == NULL) {
        return;
    }
    struct kept *k = calloc(1, sizeof *k);
    *k = *like;
    k->token = (struct sluice_str)SLUICE_STR_INIT;
    sluice_str_append_n(&k->token, like->token.data, like->token.size);
    keep(k);
}

static sluice_status fl_commit(struct sluice_lane *lane, const struct sluice_commit *commit,
                               struct sluice_error *err)
{
    int fails = lane->changes && lane->sink->node[0] == 'a' &&
                atomic_fetch_sub(&feed_log.commit_good_first, 1) <= 0 &&
                atomic_fetch_sub(&feed_log.commit_fail_times, 1) > 0;
    if (lane->changes && feed_log.commit_delay_us > 0) {
        (void)usleep((useconds_t)feed_log.commit_delay_us);
    }
    if (!fails || feed_log.commit_fail_keeps) {
        struct kept *k = calloc(1, sizeof *k);
        k->kind = lane->changes ? KEPT_CHANGES : KEPT_LOAD;
        k->epoch = commit->epoch;
        k->position = commit->position.size == 8 ? sluice_get_be64(commit->position.data) : 0;
        (void)snprintf(k->node, sizeof k->node, "%s", lane->sink->node);
        (void)snprintf(k->shard, sizeof k->shard, "%s", lane->shard);
        if (lane->load != NULL) {
            (void)snprintf(k->stream, sizeof k->stream, "%s", lane->load->desc->name);
            (void)snprintf(k->run, sizeof k->run, "%s", lane->load->run);
        }
        sluice_str_append_n(&k->token, commit->token.data, commit->token.size);
        k->events = lane->events;
        k->count = lane->count;
        lane->events = NULL;
        lane->count = lane->cap = 0;
        keep(k);
        if (fails && feed_log.other_load_after) {
            keep_other_load(lane->sink->node);
        }
    }
    return fails ? feed_fail_as(err, feed_log.commit_fail_kind, "commit") : SLUICE_OK;
}

static void fl_abort(struct sluice_lane *lane)
{
    lane->count = 0;
}

static void fl_close(struct sluice_lane *lane)
{
    free(lane->events);
    free(lane);
    atomic_fetch_sub(&fake.live, 1);
}

static sluice_status fk_end(struct sluice_sink *sink, const struct sluice_stream_end *end,
                            struct sluice_error *err)
{
    (void)err;
    const struct known_stream *st = find_stream(sink, end->stream_id, 0, 0);
    struct kept *k = calloc(1, sizeof *k);
    k->kind = KEPT_COMPLETE;
    k->position = sluice_get_be64(end->load_position.data);
    (void)snprintf(k->node, sizeof k->node, "%s", sink->node);
    (void)snprintf(k->stream, sizeof k->stream, "%s", st->desc->name);
    (void)snprintf(k->run, sizeof k->run, "%s", st->run);
    sluice_str_append_n(&k->token, end->token.data, end->token.size);
    keep(k);
    return SLUICE_OK;
}

static uint64_t fk_bytes(struct sluice_sink *sink)
{
    (void)sink;
    return 0;
}

static const struct sluice_sink_api sink_api = {.struct_size = sizeof sink_api,
                                                .create = fk_create,
                                                .destroy = fk_destroy,
                                                .cancel = fk_cancel,
                                                .open = fk_open,
                                                .recover = fk_recover,
                                                .stream_begin = fk_begin,
                                                .lane_open = fl_open,
                                                .lane_write = fl_write,
                                                .lane_commit = fl_commit,
                                                .lane_abort = fl_abort,
                                                .lane_close = fl_close,
                                                .stream_end = fk_end,
                                                .bytes_written = fk_bytes};

#define SINK_CAPS                                                 \
    ((uint64_t)SLUICE_SINK_LOAD | (uint64_t)SLUICE_SINK_CHANGES | \
     (uint64_t)SLUICE_SINK_TRANSACTIONAL | (uint64_t)SLUICE_SINK_LOADS_ASIDE)
const struct sluice_component feed_sink_component = {.struct_size = sizeof feed_sink_component,
                                                     .kind = SLUICE_SINK,
                                                     .caps = SINK_CAPS,
                                                     .name = "feed_sink",
                                                     .summary = "remembers",
                                                     .options = no_options,
                                                     .sink = &sink_api};
const struct sluice_component feed_rotating_sink_component = {
    .struct_size = sizeof feed_rotating_sink_component,
    .kind = SLUICE_SINK,
    .caps = SINK_CAPS | (uint64_t)SLUICE_SINK_ROTATES,
    .name = "feed_rotating_sink",
    .summary = "remembers",
    .options = no_options,
    .sink = &sink_api};

/* ---------------------------------------------------------------- looking ---------- */

uint64_t feed_committed_up_to(const char *node)
{
    uint64_t most = 0;
    pthread_mutex_lock(&kept_mutex);
    for (const struct kept *k = all_kept; k != NULL; k = k->next) {
        if (k->kind == KEPT_CHANGES && strcmp(k->node, node) == 0 && k->position > most) {
            most = k->position;
        }
    }
    pthread_mutex_unlock(&kept_mutex);
    return most;
}

uint32_t feed_commit_count(const char *node)
{
    uint32_t n = 0;
    for (const struct kept *k = all_kept; k != NULL; k = k->next) {
        n += k->kind == KEPT_CHANGES && strcmp(k->node, node) == 0;
    }
    return n;
}

uint32_t feed_schema_count(const char *node)
{
    return schemas_begun[node[0] - 'a'];
}

/* Counts a row of the log; -1 if there is no such row. */
static int64_t slot_of(int64_t id)
{
    int64_t tx = id / 1000;
    int64_t j = id % 1000;
    if (tx < 1 || tx > feed_log.transactions || j >= feed_log.rows_per_tx) {
        return -1;
    }
    return tx * feed_log.rows_per_tx + j;
}

static void count_load(const char *node, uint32_t table, uint64_t *position, uint8_t *seen)
{
    char name[32];
    const char *run = NULL;
    (void)snprintf(name, sizeof name, "public.t%u", table);
    *position = 0;
    for (const struct kept *k = all_kept; k != NULL && run == NULL; k = k->next) {
        if (k->kind == KEPT_COMPLETE && strcmp(k->node, node) == 0 &&
            strcmp(k->stream, name) == 0) {
            run = k->run;
            *position = k->position;
        }
    }
    for (const struct kept *k = all_kept; k != NULL && run != NULL; k = k->next) {
        if (k->kind != KEPT_LOAD || strcmp(k->node, node) != 0 || strcmp(k->stream, name) != 0 ||
            strcmp(k->run, run) != 0) {
            continue;
        }
        for (size_t i = 0; i < k->count; i++) {
            assert_true(slot_of(k->events[i].id) >= 0);
            seen[slot_of(k->events[i].id)]++;
        }
    }
}

void feed_assert_whole(const char *node, uint32_t from)
{
    static uint8_t seen[EVENTS_MAX];
    uint64_t positions[FEED_TABLES_MAX];
    uint64_t epoch = 0;
    memset(seen, 0, sizeof seen);
    assert_true((uint64_t)(feed_log.transactions + 1) * feed_log.rows_per_tx < EVENTS_MAX);
    for (uint32_t t = 0; t < feed_log.tables; t++) {
        count_load(node, t, &positions[t], seen);
    }
    for (const struct kept *k = all_kept; k != NULL; k = k->next) { /* newest first */
        if (k->kind != KEPT_CHANGES || strcmp(k->node, node) != 0) {
            continue;
        }
        assert_true(epoch == 0 || k->epoch == epoch - 1);
        epoch = k->epoch;
        for (size_t i = 0; i < k->count; i++) {
            const struct event *e = &k->events[i];
            assert_true(e->pos <= k->position);
            if (e->id >= 0 && e->pos > positions[e->table]) {
                assert_true(slot_of(e->id) >= 0);
                seen[slot_of(e->id)]++;
            }
        }
    }
    for (uint32_t tx = from; tx <= feed_log.transactions; tx++) {
        for (uint32_t j = 0; j < feed_log.rows_per_tx; j++) {
            if (seen[tx * feed_log.rows_per_tx + j] != 1) {
                fail_msg("sink %s has row %u of transaction %u %u times", node, j, tx,
                         seen[tx * feed_log.rows_per_tx + j]);
            }
        }
    }
}

void feed_sink_reset(void)
{
    memset(schemas_begun, 0, sizeof schemas_begun);
    while (all_kept != NULL) {
        struct kept *next = all_kept->next;
        sluice_str_free(&all_kept->token);
        free(all_kept->events);
        free(all_kept);
        all_kept = next;
    }
}

uint32_t feed_change_rows(const char *node, uint32_t table, uint64_t up_to)
{
    uint32_t n = 0;
    for (const struct kept *k = all_kept; k != NULL; k = k->next) {
        for (size_t i = 0; k->kind == KEPT_CHANGES && strcmp(k->node, node) == 0 && i < k->count;
             i++) {
            n += k->events[i].table == table && k->events[i].pos <= up_to;
        }
    }
    return n;
}

#include "fake_feed.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/str.h"
#include "sluice/array.h"
#include "sluice/build.h"
#include "sluice/change.h"
#include "sluice/position.h"

#define TABLES_MAX 8
#define EVENTS_MAX 200000

struct feed_log feed_log;

static sluice_status fail_as(struct sluice_error *err, int32_t kind, const char *what)
{
    switch (kind) {
    case FAKE_RETRYABLE:
        return sluice_error_set(err, SLUICE_E_IO, SLUICE_ERROR_RETRYABLE, "%s: lost", what);
    case FAKE_ABORTED:
        return sluice_error_set(err, SLUICE_E_IO,
                                SLUICE_ERROR_RETRYABLE | SLUICE_ERROR_EPOCH_ABORTED, "%s: refused",
                                what);
    case FAKE_STREAM:
        return sluice_error_set(err, SLUICE_E_DATA, 0, "%s: bad value", what);
    default:
        return sluice_error_set(err, SLUICE_E_POSITION_LOST, SLUICE_ERROR_FATAL, "%s: gap", what);
    }
}

/* ---------------------------------------------------------------- source ---------- */

struct sluice_source {
    const struct sluice_host *host;
    struct ArrowSchema schema[2];
    uint32_t loads[TABLES_MAX];
    uint32_t load_count;
};

struct sluice_reader {
    struct sluice_source *src;
    int is_feed;
    uint32_t table; /* of a load */
    int done;
    uint32_t next_tx; /* of a feed */
    int32_t groups;
    uint32_t announced[TABLES_MAX];
    struct sluice_batch queue[4 * TABLES_MAX + 4];
    uint32_t queued;
    uint32_t given;
    uint8_t position[8];
    struct sluice_stream_desc *descs[TABLES_MAX];
};

static sluice_status fs_create(const struct sluice_host *host, struct sluice_source **out,
                               struct sluice_error *err)
{
    static const struct sluice_type number = {.id = SLUICE_TYPE_INT64, .width = 8};
    struct sluice_source *src = calloc(1, sizeof *src);
    src->host = host;
    for (int64_t v = 0; v < 2; v++) {
        SLUICE_TRY(sluice_schema_init(&src->schema[v], 1 + v, err));
        SLUICE_TRY(sluice_schema_set(&src->schema[v], 0, "id", &number, 0, NULL, 0, err));
    }
    SLUICE_TRY(sluice_schema_set(&src->schema[1], 1, "more", &number, 1, NULL, 0, err));
    atomic_fetch_add(&fake.live, 1);
    *out = src;
    return SLUICE_OK;
}

static void fs_destroy(struct sluice_source *src)
{
    if (src != NULL) {
        src->schema[0].release(&src->schema[0]);
        src->schema[1].release(&src->schema[1]);
        free(src);
        atomic_fetch_sub(&fake.live, 1);
    }
}

static void fs_cancel(struct sluice_source *src)
{
    (void)src;
}

static uint32_t version_at(uint32_t tx)
{
    return feed_log.schema_at != 0 && tx >= feed_log.schema_at ? 1 : 0;
}

static sluice_status visit_table(struct sluice_source *src, uint32_t i, uint32_t version,
                                 sluice_stream_visit visit, void *vctx,
                                 const struct sluice_error *problem)
{
    char name[32];
    char table[16];
    uint8_t at[8];
    uint32_t key = 0;
    (void)snprintf(table, sizeof table, "t%u", i);
    (void)snprintf(name, sizeof name, "public.t%u", i);
    const char *parts[2] = {"public", table};
    sluice_put_be64(at, feed_log.load_at * 10ull);
    struct sluice_stream_desc desc = {.struct_size = sizeof desc,
                                      .kind = SLUICE_STREAM_TABLE,
                                      .flags = SLUICE_STREAM_CAN_CHANGES,
                                      .before = SLUICE_BEFORE_KEY,
                                      .stream_id = i + 50,
                                      .schema_id = version + 1,
                                      .name = name,
                                      .part_count = 2,
                                      .parts = parts,
                                      .key_count = 1,
                                      .keys = &key,
                                      .schema = &src->schema[version],
                                      .rows_estimate = -1,
                                      .bytes_estimate = -1,
                                      .load_position = {at, sizeof at},
                                      .load_position_text = "position"};
    return visit(vctx, &desc, problem);
}

static sluice_status fs_discover(struct sluice_source *src, sluice_stream_visit visit, void *vctx,
                                 struct sluice_error *err)
{
    (void)err;
    for (uint32_t i = 0; i < feed_log.tables; i++) {
        SLUICE_TRY(visit_table(src, i, version_at(feed_log.load_at), visit, vctx, NULL));
    }
    return SLUICE_OK;
}

static sluice_status fs_open(struct sluice_source *src, const struct sluice_source_plan *plan,
                             struct sluice_source_info *info, sluice_stream_visit visit, void *vctx,
                             struct sluice_error *err)
{
    (void)err;
    info->identity = "log:1";
    info->created = "slot=fake";
    src->load_count = 0;
    for (uint32_t i = 0; i < plan->stream_count; i++) {
        uint32_t n = (uint32_t)strtoul(plan->streams[i]->name + 8, NULL, 10);
        if ((plan->streams[i]->flags & SLUICE_SELECT_LOAD) != 0) {
            src->loads[src->load_count++] = n;
        }
        SLUICE_TRY(visit_table(src, n, version_at(feed_log.load_at), visit, vctx, NULL));
    }
    return SLUICE_OK;
}

static sluice_status fs_shards(struct sluice_source *src, sluice_shard_visit visit, void *vctx,
                               struct sluice_error *err)
{
    (void)err;
    uint8_t start[8];
    sluice_put_be64(start, feed_log.load_at * 10ull);
    for (uint32_t i = 0; i < src->load_count; i++) {
        char id[64];
        uint64_t stream_id = src->loads[i] + 50;
        (void)snprintf(id, sizeof id, "src/t%u", src->loads[i]);
        struct sluice_shard_desc shard = {.struct_size = sizeof shard,
                                          .kind = SLUICE_SHARD_SNAPSHOT,
                                          .stream_count = 1,
                                          .id = id,
                                          .stream_ids = &stream_id,
                                          .rows_estimate = -1,
                                          .bytes_estimate = -1,
                                          .handle = {&src->loads[i], sizeof src->loads[i]}};
        SLUICE_TRY(visit(vctx, &shard));
    }
    struct sluice_shard_desc feed = {.struct_size = sizeof feed,
                                     .kind = SLUICE_SHARD_CHANGES,
                                     .id = "src/changes",
                                     .rows_estimate = -1,
                                     .bytes_estimate = -1,
                                     .start = {start, sizeof start}};
    return visit(vctx, &feed);
}

static sluice_status keep_desc(void *vctx, const struct sluice_stream_desc *desc,
                               const struct sluice_error *problem)
{
    (void)problem;
    struct sluice_stream_desc **out = vctx;
    sluice_stream_desc_free(*out);
    *out = sluice_stream_desc_copy(desc);
    return SLUICE_OK;
}

static sluice_status fr_open(struct sluice_source *src, const struct sluice_shard_desc *shard,
                             struct sluice_bytes resume, struct sluice_reader **out,
                             struct sluice_error *err)
{
    (void)err;
    struct sluice_reader *rd = calloc(1, sizeof *rd);
    rd->src = src;
    rd->is_feed = shard->kind == SLUICE_SHARD_CHANGES;
    if (rd->is_feed) {
        struct sluice_bytes from = resume.size > 0 ? resume : shard->start;
        feed_log.resumed_at = sluice_get_be64(from.data);
        rd->next_tx = (uint32_t)(feed_log.resumed_at / 10) + 1;
        atomic_fetch_add(&feed_log.opens, 1);
        for (uint32_t i = 0; i < feed_log.tables; i++) {
            rd->announced[i] = version_at(feed_log.load_at);
        }
    }
    else {
        memcpy(&rd->table, shard->handle.data, sizeof rd->table);
        atomic_fetch_add(&feed_log.loads, 1);
    }
    atomic_fetch_add(&fake.live, 1);
    *out = rd;
    return SLUICE_OK;
}

static void fr_close(struct sluice_reader *rd)
{
    for (uint32_t i = rd->given; i < rd->queued; i++) {
        sluice_array_release(&rd->queue[i].array);
    }
    for (uint32_t i = 0; i < TABLES_MAX; i++) {
        sluice_stream_desc_free(rd->descs[i]);
    }
    free(rd);
    atomic_fetch_sub(&fake.live, 1);
}

static uint32_t table_of(uint32_t tx, uint32_t j)
{
    return (tx + j) % feed_log.tables;
}

static sluice_status load_next(struct sluice_reader *rd, struct sluice_batch *out,
                               struct sluice_error *err)
{
    uint32_t version = version_at(feed_log.load_at);
    struct sluice_rows rows = {0};
    if (rd->done) {
        return SLUICE_END;
    }
    if ((int32_t)rd->table == feed_log.load_fail_table) {
        return fail_as(err, FAKE_STREAM, "load");
    }
    SLUICE_TRY(sluice_rows_init(&rows, &rd->src->schema[version],
                                (int64_t)feed_log.load_at * feed_log.rows_per_tx + 1, err));
    for (uint32_t tx = 1; tx <= feed_log.load_at; tx++) {
        for (uint32_t j = 0; j < feed_log.rows_per_tx; j++) {
            if (table_of(tx, j) == rd->table) {
                sluice_column_put_i64(&rows.columns[0], (int64_t)tx * 1000 + j);
                if (version == 1) {
                    sluice_column_put_i64(&rows.columns[1], 7);
                }
                sluice_rows_end_row(&rows);
            }
        }
    }
    out->kind = SLUICE_BATCH_ROWS;
    out->stream_id = rd->table + 50;
    out->schema_id = version + 1;
    sluice_status status = sluice_rows_finish(&rows, &out->array, err);
    out->rows = (uint64_t)out->array.length;
    sluice_rows_free(&rows);
    rd->done = 1;
    return status;
}

static struct sluice_batch *push(struct sluice_reader *rd, int32_t kind, uint32_t table)
{
    struct sluice_batch *b = &rd->queue[rd->queued++];
    *b = (struct sluice_batch){.struct_size = sizeof *b,
                               .kind = kind,
                               .stream_id = table + 50,
                               .schema_id = rd->announced[table] + 1,
                               .source_time_us = 1};
    return b;
}

static void put_head(struct sluice_rows *rows, char op, uint32_t tx, int64_t seq,
                     struct sluice_error *err)
{
    uint8_t at[8];
    sluice_put_be64(at, tx * 10ull);
    sluice_column_put_i8(&rows->columns[0], (int8_t)op);
    (void)!sluice_column_put_bytes(&rows->columns[1], at, sizeof at, err);
    sluice_column_put_i64(&rows->columns[2], seq);
    sluice_column_put_i64(&rows->columns[3], 1700000000000000);
    (void)!sluice_column_put_null(&rows->columns[4], err);
}

/* The rows of transactions [from, to) in one table, as one batch. */
static sluice_status push_table(struct sluice_reader *rd, uint32_t table, uint32_t from,
                                uint32_t to, struct sluice_error *err)
{
    struct ArrowSchema envelope = {0};
    struct sluice_rows rows = {0};
    uint32_t version = version_at(from);
    if (rd->announced[table] != version) {
        SLUICE_TRY(visit_table(rd->src, table, version, keep_desc, &rd->descs[table], NULL));
        rd->announced[table] = version;
        push(rd, SLUICE_BATCH_SCHEMA, table)->desc = rd->descs[table];
    }
    if (rd->descs[table] == NULL) {
        SLUICE_TRY(visit_table(rd->src, table, version, keep_desc, &rd->descs[table], NULL));
    }
    SLUICE_TRY(sluice_schema_envelope(rd->descs[table], &envelope, err));
    SLUICE_TRY(sluice_rows_init(&rows, &envelope, (to - from) * feed_log.rows_per_tx + 1, err));
    for (uint32_t tx = from; tx < to; tx++) {
        for (uint32_t j = 0; j < feed_log.rows_per_tx; j++) {
            if (table_of(tx, j) != table) {
                continue;
            }
            put_head(&rows, 'I', tx, j + 1, err);
            SLUICE_TRY(sluice_column_put_null(&rows.columns[5], err));
            sluice_column_put_i64(&rows.columns[6].children[0], (int64_t)tx * 1000 + j);
            if (version == 1) {
                sluice_column_put_i64(&rows.columns[6].children[1], 7);
            }
            sluice_column_end_struct(&rows.columns[6]);
            SLUICE_TRY(sluice_column_put_null(&rows.columns[7], err));
            sluice_rows_end_row(&rows);
        }
    }
    sluice_status status = SLUICE_OK;
    if (rows.rows > 0) {
        struct sluice_batch *b = push(rd, SLUICE_BATCH_CHANGES, table);
        status = sluice_rows_finish(&rows, &b->array, err);
        b->rows = (uint64_t)b->array.length;
    }
    sluice_rows_free(&rows);
    envelope.release(&envelope);
    return status;
}

static sluice_status push_truncate(struct sluice_reader *rd, uint32_t tx, struct sluice_error *err)
{
    struct ArrowSchema envelope = {0};
    struct sluice_rows rows = {0};
    SLUICE_TRY(visit_table(rd->src, 0, rd->announced[0], keep_desc, &rd->descs[0], NULL));
    SLUICE_TRY(sluice_schema_envelope(rd->descs[0], &envelope, err));
    envelope.n_children = 5; /* only the first five are built */
    sluice_status status = sluice_rows_init(&rows, &envelope, 1, err);
    envelope.n_children = 8;
    if (status >= 0) {
        put_head(&rows, 'T', tx, 0, err);
        sluice_rows_end_row(&rows);
        struct sluice_batch *b = push(rd, SLUICE_BATCH_TRUNCATE, 0);
        status = sluice_rows_finish(&rows, &b->array, err);
        b->rows = 1;
    }
    sluice_rows_free(&rows);
    envelope.release(&envelope);
    return status;
}

static sluice_status make_group(struct sluice_reader *rd, struct sluice_error *err)
{
    uint32_t from = rd->next_tx;
    uint32_t to = from + feed_log.tx_per_group;
    rd->queued = rd->given = 0;
    to = to > feed_log.transactions + 1 ? feed_log.transactions + 1 : to;
    if (feed_log.schema_at > from && feed_log.schema_at < to) {
        to = feed_log.schema_at;
    }
    if (feed_log.truncate_at > from && feed_log.truncate_at < to) {
        to = feed_log.truncate_at;
    }
    if (feed_log.truncate_at == from) {
        SLUICE_TRY(push_truncate(rd, from, err));
    }
    for (uint32_t t = 0; t < feed_log.tables; t++) {
        SLUICE_TRY(push_table(rd, t, from, to, err));
    }
    struct sluice_batch *last = rd->queued > 0 && !feed_log.split
                                    ? &rd->queue[rd->queued - 1]
                                    : push(rd, SLUICE_BATCH_HEARTBEAT, 0);
    rd->next_tx = to;
    sluice_put_be64(rd->position, (to - 1) * 10ull);
    last->flags = SLUICE_BATCH_COMMIT_BOUNDARY;
    last->position = (struct sluice_bytes){rd->position, sizeof rd->position};
    return SLUICE_OK;
}

static sluice_status fr_next(struct sluice_reader *rd, int64_t timeout_us, struct sluice_batch *out,
                             struct sluice_error *err)
{
    if (!rd->is_feed) {
        return load_next(rd, out, err);
    }
    if (rd->given == rd->queued) {
        if (rd->next_tx > feed_log.transactions) {
            if (!feed_log.follow) {
                return SLUICE_END;
            }
            (void)usleep((useconds_t)(timeout_us < 5000 ? timeout_us : 5000));
            return SLUICE_AGAIN;
        }
        if (feed_log.group_delay_us > 0) {
            (void)usleep((useconds_t)feed_log.group_delay_us);
        }
        int32_t at = atomic_load(&feed_log.read_fail_at);
        if (at != 0 && ++rd->groups >= at &&
            atomic_compare_exchange_strong(&feed_log.read_fail_at, &at, 0)) {
            return fail_as(err, feed_log.read_fail_kind, "read");
        }
        SLUICE_TRY(make_group(rd, err));
    }
    *out = rd->queue[rd->given++];
    return SLUICE_OK;
}

static sluice_status fr_idle(struct sluice_reader *rd, struct sluice_error *err)
{
    (void)rd;
    (void)err;
    atomic_fetch_add(&feed_log.idles, 1);
    return SLUICE_OK;
}

static uint64_t committed_up_to(const char *node);

static sluice_status fr_ack(struct sluice_reader *rd, struct sluice_bytes position,
                            struct sluice_error *err)
{
    (void)rd;
    (void)err;
    uint64_t at = sluice_get_be64(position.data);
    if (at > committed_up_to("a") && at > feed_log.load_at * 10ull) {
        atomic_store(&feed_log.early_ack, 1);
    }
    atomic_store(&feed_log.acked, at);
    return SLUICE_OK;
}

static const struct sluice_source_api source_api = {.struct_size = sizeof source_api,
                                                    .create = fs_create,
                                                    .destroy = fs_destroy,
                                                    .cancel = fs_cancel,
                                                    .discover = fs_discover,
                                                    .open = fs_open,
                                                    .shards = fs_shards,
                                                    .reader_open = fr_open,
                                                    .reader_next = fr_next,
                                                    .reader_idle = fr_idle,
                                                    .reader_ack = fr_ack,
                                                    .reader_close = fr_close};

/* The engine calls what a plugin left out as well: the registry fills it in for real plugins. */
static sluice_status no_shard_done(struct sluice_source *src, const char *id,
                                   struct sluice_error *err)
{
    (void)src;
    (void)id;
    (void)err;
    return SLUICE_E_UNSUPPORTED;
}

static sluice_status no_measure(struct sluice_source *src, const struct sluice_source_plan *plan,
                                struct sluice_bytes position, struct sluice_source_lag *out,
                                struct sluice_error *err)
{
    (void)src;
    (void)plan;
    (void)position;
    (void)out;
    (void)err;
    return SLUICE_E_UNSUPPORTED;
}

static struct sluice_source_api full_api;
static const struct sluice_option *const no_options[] = {NULL};

const struct sluice_component feed_source_component = {
    .struct_size = sizeof feed_source_component,
    .kind = SLUICE_SOURCE,
    .caps = SLUICE_SOURCE_LOAD | SLUICE_SOURCE_CHANGES | SLUICE_SOURCE_SNAPSHOT_EXACT,
    .name = "feed_source",
    .summary = "scripted",
    .options = no_options,
    .source = &full_api};

/* ---------------------------------------------------------------- sink ---------- */

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
    (void)err;
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
    (void)err;
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

static sluice_status fl_commit(struct sluice_lane *lane, const struct sluice_commit *commit,
                               struct sluice_error *err)
{
    int fails = lane->changes && lane->sink->node[0] == 'a' &&
                atomic_fetch_sub(&feed_log.commit_fail_times, 1) > 0;
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
    }
    return fails ? fail_as(err, feed_log.commit_fail_kind, "commit") : SLUICE_OK;
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

static uint64_t committed_up_to(const char *node)
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
    uint64_t positions[TABLES_MAX];
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

void feed_log_reset(void)
{
    fake_reset();
    full_api = source_api;
    full_api.shard_done = no_shard_done;
    full_api.measure = no_measure;
    memset(&feed_log, 0, sizeof feed_log);
    memset(schemas_begun, 0, sizeof schemas_begun);
    feed_log.tables = 3;
    feed_log.transactions = 200;
    feed_log.rows_per_tx = 4;
    feed_log.tx_per_group = 7;
    feed_log.load_at = 20;
    feed_log.load_fail_table = -1;
    while (all_kept != NULL) {
        struct kept *next = all_kept->next;
        sluice_str_free(&all_kept->token);
        free(all_kept->events);
        free(all_kept);
        all_kept = next;
    }
}

struct sluice_pipeline *feed_pipeline(uint32_t sinks, int32_t mode)
{
    struct sluice_pipeline *p = fake_pipeline(sinks);
    p->mode = mode;
    p->nodes[0].component = &feed_source_component;
    for (uint32_t i = 1; i <= sinks; i++) {
        p->nodes[i].component = &feed_sink_component;
        p->nodes[i].truncate = SLUICE_TRUNCATE_APPLY;
    }
    return p;
}

#include "fake_feed.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sluice/array.h"
#include "sluice/build.h"
#include "sluice/position.h"

struct feed_log feed_log;

sluice_status feed_fail_as(struct sluice_error *err, int32_t kind, const char *what)
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
    case FAKE_CANCELLED:
        return sluice_error_set(err, SLUICE_E_CANCELLED, 0, "%s: cut off", what);
    case FAKE_SNAPSHOT_LOST:
        return sluice_error_set(err, SLUICE_E_SNAPSHOT_LOST, SLUICE_ERROR_RETRYABLE,
                                "%s: snapshot is gone", what);
    default:
        return sluice_error_set(err, SLUICE_E_POSITION_LOST, SLUICE_ERROR_FATAL, "%s: gap", what);
    }
}

/* ---------------------------------------------------------------- source ---------- */

struct sluice_source {
    const struct sluice_host *host;
    struct ArrowSchema schema[2];
    uint32_t loads[FEED_TABLES_MAX];
    uint32_t load_count;
};

struct sluice_reader {
    struct sluice_source *src;
    int is_feed;
    uint32_t table; /* of a load */
    int done;
    uint32_t next_tx; /* of a feed */
    int32_t groups;
    uint32_t announced[FEED_TABLES_MAX];
    struct sluice_batch queue[4 * FEED_TABLES_MAX + 4];
    uint32_t queued;
    uint32_t given;
    uint8_t position[8];
    struct sluice_stream_desc *descs[FEED_TABLES_MAX];
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
    char again[16];
    const struct sluice_pair property = {"incarnation", again};
    (void)snprintf(again, sizeof again, "%u", i == 0 ? feed_log.incarnation : 0);
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
                                      .schema = problem == NULL ? &src->schema[version] : NULL,
                                      .rows_estimate = -1,
                                      .bytes_estimate = -1,
                                      .load_position = {at, sizeof at},
                                      .load_position_text = "position",
                                      .property_count = 1,
                                      .properties = &property};
    return visit(vctx, &desc, problem);
}

static sluice_status fs_discover(struct sluice_source *src, sluice_stream_visit visit, void *vctx,
                                 struct sluice_error *err)
{
    struct sluice_error problem = SLUICE_ERROR_INIT;
    (void)err;
    (void)sluice_error_set(&problem, SLUICE_E_PERMISSION, 0, "no right to read it");
    for (uint32_t i = 0; i < feed_log.tables; i++) {
        if ((int32_t)i == feed_log.hide_table) {
            continue;
        }
        int bad = (int32_t)i == feed_log.discover_problem_table;
        SLUICE_TRY(
            visit_table(src, i, version_at(feed_log.load_at), visit, vctx, bad ? &problem : NULL));
    }
    return SLUICE_OK;
}

static sluice_status fs_open(struct sluice_source *src, const struct sluice_source_plan *plan,
                             struct sluice_source_info *info, sluice_stream_visit visit, void *vctx,
                             struct sluice_error *err)
{
    static char identity[16];
    struct sluice_error problem = SLUICE_ERROR_INIT;
    if (atomic_fetch_sub(&feed_log.open_fail_times, 1) > 0) {
        return feed_fail_as(err, FAKE_RETRYABLE, "open");
    }
    (void)sluice_error_set(&problem, SLUICE_E_PERMISSION, 0, "no right to read it");
    (void)snprintf(identity, sizeof identity, "log:%u", feed_log.identity);
    info->identity = identity;
    info->created = "slot=fake";
    src->load_count = 0;
    for (uint32_t i = 0; i < plan->stream_count; i++) {
        uint32_t n = (uint32_t)strtoul(plan->streams[i]->name + 8, NULL, 10);
        if ((plan->streams[i]->flags & SLUICE_SELECT_LOAD) != 0) {
            src->loads[src->load_count++] = n;
        }
        int bad = (int32_t)n == feed_log.open_problem_table;
        SLUICE_TRY(
            visit_table(src, n, version_at(feed_log.load_at), visit, vctx, bad ? &problem : NULL));
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
    if (shard->kind == SLUICE_SHARD_CHANGES && resume.size == 8 &&
        sluice_get_be64(resume.data) < feed_log.log_starts) {
        return feed_fail_as(err, FAKE_FATAL, "open");
    }
    struct sluice_reader *rd = calloc(1, sizeof *rd);
    rd->src = src;
    rd->is_feed = shard->kind == SLUICE_SHARD_CHANGES;
    if (rd->is_feed) {
        struct sluice_bytes from = resume.size > 0 ? resume : shard->start;
        feed_log.resumed_at = sluice_get_be64(from.data);
        rd->next_tx = (uint32_t)(feed_log.resumed_at / 10) + 1;
        atomic_fetch_add(&feed_log.opens, 1);
        if (feed_log.resumed_at > flow_state_feed_position("src/changes", "a")) {
            atomic_store(&feed_log.early_open, 1);
        }
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
    for (uint32_t i = 0; i < FEED_TABLES_MAX; i++) {
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
    if (feed_log.load_delay_us > 0) {
        (void)usleep((useconds_t)feed_log.load_delay_us);
    }
    if ((int32_t)rd->table == atomic_load(&feed_log.load_fail_table)) {
        if (feed_log.load_fail_once) {
            feed_log.load_fail_table = -1;
        }
        return feed_fail_as(err, feed_log.load_fail_kind, "load");
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
    uint32_t first_end = to;
    if (feed_log.schema_at > from && feed_log.schema_at < to) {
        first_end = feed_log.schema_at;
        to = feed_log.schema_inside ? to : first_end;
    }
    if (feed_log.truncate_at > from && feed_log.truncate_at < to) {
        to = feed_log.truncate_at;
    }
    if (feed_log.truncate_at == from) {
        SLUICE_TRY(push_truncate(rd, from, err));
    }
    first_end = first_end < to ? first_end : to;
    for (uint32_t t = 0; t < feed_log.tables; t++) {
        SLUICE_TRY(push_table(rd, t, from, first_end, err));
    }
    for (uint32_t t = 0; t < feed_log.tables && first_end < to; t++) {
        SLUICE_TRY(push_table(rd, t, first_end, to, err));
    }
    struct sluice_batch *last = rd->queued > 0 && !feed_log.split
                                    ? &rd->queue[rd->queued - 1]
                                    : push(rd, SLUICE_BATCH_HEARTBEAT, 0);
    rd->next_tx = to;
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
    while (atomic_load(&feed_log.read_hang)) {
        if (rd->src->host->cancelled(rd->src->host->ctx)) {
            return sluice_error_set(err, SLUICE_E_CANCELLED, 0, "cancelled");
        }
        (void)usleep(2000);
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
            return feed_fail_as(err, feed_log.read_fail_kind, "read");
        }
        SLUICE_TRY(make_group(rd, err));
    }
    *out = rd->queue[rd->given++];
    sluice_put_be64(rd->position, (rd->next_tx - 1) * 10ull);
    return SLUICE_OK;
}

static sluice_status fr_idle(struct sluice_reader *rd, struct sluice_error *err)
{
    (void)err;
    atomic_fetch_add(&feed_log.idles, 1);
    memset(rd->position, 0xff, sizeof rd->position); /* borrowed until the next call: this one */
    return SLUICE_OK;
}

static sluice_status fr_ack(struct sluice_reader *rd, struct sluice_bytes position,
                            struct sluice_error *err)
{
    (void)rd;
    (void)err;
    uint64_t at = sluice_get_be64(position.data);
    if (at > feed_committed_up_to("a") && at > feed_log.load_at * 10ull) {
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

struct sluice_source_api feed_full_api;
static const struct sluice_option *const no_options[] = {NULL};

const struct sluice_component feed_source_component = {
    .struct_size = sizeof feed_source_component,
    .kind = SLUICE_SOURCE,
    .caps = SLUICE_SOURCE_LOAD | SLUICE_SOURCE_CHANGES | SLUICE_SOURCE_SNAPSHOT_EXACT,
    .name = "feed_source",
    .summary = "scripted",
    .options = no_options,
    .source = &feed_full_api};

/* ---------------------------------------------------------------- transform ---------- */

/* Holds the last batch back until the next one or a flush. */
struct sluice_transform {
    struct sluice_batch held[4];
    uint32_t count;
    int flushing;
};

static sluice_status hx_create(const struct sluice_host *host, struct sluice_transform **out,
                               struct sluice_error *err)
{
    (void)host;
    (void)err;
    *out = calloc(1, sizeof **out);
    atomic_fetch_add(&fake.live, 1);
    return SLUICE_OK;
}

static void hx_destroy(struct sluice_transform *xf)
{
    for (uint32_t i = 0; xf != NULL && i < xf->count; i++) {
        sluice_array_release(&xf->held[i].array);
    }
    if (xf != NULL) {
        free(xf);
        atomic_fetch_sub(&fake.live, 1);
    }
}

static sluice_status hx_bind(struct sluice_transform *xf, const struct sluice_stream_desc *in,
                             sluice_stream_visit visit, void *vctx, struct sluice_error *err)
{
    if (xf->count > 0) {
        return sluice_error_set(err, SLUICE_E_STATE, 0, "bound with rows of the last version");
    }
    return visit(vctx, in, NULL);
}

static sluice_status hx_push(struct sluice_transform *xf, struct sluice_batch *batch,
                             struct sluice_error *err)
{
    (void)err;
    xf->flushing = 0;
    xf->held[xf->count++] = *batch;
    batch->array.release = NULL;
    return SLUICE_OK;
}

static sluice_status hx_pull(struct sluice_transform *xf, struct sluice_batch *out,
                             struct sluice_error *err)
{
    (void)err;
    if (xf->count <= (xf->flushing ? 0u : 1u)) {
        return SLUICE_AGAIN;
    }
    *out = xf->held[0];
    memmove(&xf->held[0], &xf->held[1], --xf->count * sizeof xf->held[0]);
    return SLUICE_OK;
}

static sluice_status hx_flush(struct sluice_transform *xf, struct sluice_error *err)
{
    (void)err;
    xf->flushing = 1;
    return SLUICE_OK;
}

static const struct sluice_transform_api holding_api = {.struct_size = sizeof holding_api,
                                                        .create = hx_create,
                                                        .destroy = hx_destroy,
                                                        .bind = hx_bind,
                                                        .push = hx_push,
                                                        .pull = hx_pull,
                                                        .flush = hx_flush};
const struct sluice_component feed_holding_component = {.struct_size =
                                                            sizeof feed_holding_component,
                                                        .kind = SLUICE_TRANSFORM,
                                                        .caps = SLUICE_TRANSFORM_CHANGES,
                                                        .name = "feed_holding",
                                                        .summary = "holds back",
                                                        .options = no_options,
                                                        .transform = &holding_api};

/* ---------------------------------------------------------------- script ---------- */

void feed_log_reset(void)
{
    fake_reset();
    feed_full_api = source_api;
    feed_full_api.shard_done = no_shard_done;
    feed_full_api.measure = no_measure;
    memset(&feed_log, 0, sizeof feed_log);
    feed_log.tables = 3;
    feed_log.transactions = 200;
    feed_log.rows_per_tx = 4;
    feed_log.tx_per_group = 7;
    feed_log.load_at = 20;
    feed_log.load_fail_table = -1;
    feed_log.load_fail_kind = FAKE_STREAM;
    feed_log.hide_table = -1;
    feed_log.open_problem_table = -1;
    feed_log.discover_problem_table = -1;
    feed_log.refuse_table = -1;
    feed_log.identity = 1;
    feed_sink_reset();
}

struct sluice_pipeline *feed_pipeline(uint32_t sinks, int32_t mode)
{
    struct sluice_pipeline *p = fake_pipeline(sinks);
    p->mode = mode;
    p->nodes[0].component = &feed_source_component;
    for (uint32_t i = 1; i <= sinks; i++) {
        p->nodes[i].component = &feed_sink_component;
    }
    return p;
}

struct sluice_pipeline *feed_pipeline_holding(int32_t mode)
{
    struct sluice_pipeline *p = fake_pipeline_transform();
    p->mode = mode;
    p->nodes[0].component = &feed_source_component;
    p->nodes[1].component = &feed_holding_component;
    for (uint32_t i = 2; i <= 3; i++) {
        p->nodes[i].component = &feed_sink_component;
    }
    return p;
}

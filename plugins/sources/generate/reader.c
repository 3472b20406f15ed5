/* Shards and readers of source generate. A shard is a range of rows; its resume position is one
 * format byte and the next row, big-endian. */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#include "generate.h"
#include "sluice/position.h"

#define POSITION_FORMAT 1
#define POSITION_SIZE 9
#define BATCH_ROWS_MAX 65536
#define BATCH_BYTES_DEFAULT (8 << 20)

struct sluice_reader {
    struct sluice_source *src;
    const struct gen_stream *stream;
    struct sluice_rows rows;
    int64_t batch_rows;
    int64_t start;
    int64_t next;
    int64_t end;
    int64_t due_us; /* monotonic time before which no batch comes */
    uint8_t position[POSITION_SIZE];
};

static void shard_range(const struct sluice_source *src, const struct gen_stream *s, int64_t shard,
                        int64_t *from, int64_t *to)
{
    int64_t n = src->options.shards;
    int64_t whole = s->rows / n;
    int64_t rest = s->rows % n;
    *from = whole * shard + (shard < rest ? shard : rest);
    *to = *from + whole + (shard < rest ? 1 : 0);
}

sluice_status gen_shards(struct sluice_source *src, sluice_shard_visit visit, void *vctx,
                         struct sluice_error *err)
{
    (void)err;
    for (uint32_t i = 0; i < src->stream_count; i++) {
        const struct gen_stream *s = src->streams[i];
        for (int64_t k = 0; (s->flags & SLUICE_SELECT_LOAD) != 0 && k < src->options.shards; k++) {
            int64_t from = 0;
            int64_t to = 0;
            shard_range(src, s, k, &from, &to);
            char id[64];
            (void)snprintf(id, sizeof id, "gen_%04lld:%lld", (long long)s->table, (long long)k);
            uint8_t handle[16];
            sluice_put_be64(handle, (uint64_t)i);
            sluice_put_be64(handle + 8, (uint64_t)k);
            struct sluice_shard_desc shard = {
                .struct_size = (uint32_t)sizeof shard,
                .kind = SLUICE_SHARD_SNAPSHOT,
                .stream_count = 1,
                .id = id,
                .stream_ids = &s->desc.stream_id,
                .rows_estimate = to - from,
                .bytes_estimate = s->desc.rows_estimate > 0
                                      ? s->desc.bytes_estimate / s->desc.rows_estimate * (to - from)
                                      : 0,
                .handle = {handle, sizeof handle},
            };
            sluice_status st = visit(vctx, &shard);
            if (st != SLUICE_OK) {
                return st == SLUICE_END ? SLUICE_OK : st;
            }
        }
    }
    return SLUICE_OK;
}

void gen_reader_close(struct sluice_reader *rd)
{
    if (rd != NULL) {
        sluice_rows_free(&rd->rows);
        free(rd);
    }
}

static int64_t pick_batch_rows(const struct sluice_source *src, const struct gen_stream *s,
                               int64_t range)
{
    int64_t width = s->desc.rows_estimate > 0 ? s->desc.bytes_estimate / s->desc.rows_estimate : 1;
    int64_t bytes = src->plan_batch_bytes > 0 && src->plan_batch_bytes < BATCH_BYTES_DEFAULT
                        ? (int64_t)src->plan_batch_bytes
                        : BATCH_BYTES_DEFAULT;
    int64_t n = src->options.batch_rows;
    if (width > 0 && n > bytes / width) {
        n = bytes / width;
    }
    if (src->plan_batch_rows > 0 && (uint64_t)n > src->plan_batch_rows) {
        n = (int64_t)src->plan_batch_rows;
    }
    n = n > BATCH_ROWS_MAX ? BATCH_ROWS_MAX : n;
    n = n > range ? range : n;
    return n < 1 ? 1 : n;
}

sluice_status gen_reader_open(struct sluice_source *src, const struct sluice_shard_desc *shard,
                              struct sluice_bytes resume, struct sluice_reader **out,
                              struct sluice_error *err)
{
    uint64_t index = UINT64_MAX;
    uint64_t part = 0;
    if (shard->handle.size == 16) {
        index = sluice_get_be64(shard->handle.data);
        part = sluice_get_be64((const uint8_t *)shard->handle.data + 8);
    }
    if (index >= src->stream_count || part >= (uint64_t)src->options.shards) {
        return sluice_error_set(err, SLUICE_E_INVALID, 0, "shard %s is not one of this source",
                                shard->id);
    }
    struct sluice_reader *rd = calloc(1, sizeof *rd);
    if (rd == NULL) {
        return sluice_error_set(err, SLUICE_E_NOMEM, 0, "out of memory for a reader");
    }
    rd->src = src;
    rd->stream = src->streams[index];
    shard_range(src, rd->stream, (int64_t)part, &rd->start, &rd->end);
    rd->next = rd->start;
    sluice_status st = SLUICE_OK;
    if (resume.size > 0) {
        const uint8_t *p = resume.data;
        uint64_t next = resume.size == POSITION_SIZE ? sluice_get_be64(p + 1) : UINT64_MAX;
        if (resume.size != POSITION_SIZE || p[0] != POSITION_FORMAT || next < (uint64_t)rd->start ||
            next > (uint64_t)rd->end) {
            st = sluice_error_set(err, SLUICE_E_POSITION_LOST, 0,
                                  "shard %s: the resume position is not one of this shard",
                                  shard->id);
            goto out;
        }
        rd->next = (int64_t)next;
    }
    rd->batch_rows = pick_batch_rows(src, rd->stream, rd->end - rd->start);
    st = sluice_rows_init(&rd->rows, &rd->stream->schema, rd->batch_rows, err);
    if (st >= 0) {
        *out = rd;
        rd = NULL;
    }
out:
    gen_reader_close(rd);
    return st;
}

/* The fault that the options ask for, if its time has come. */
static sluice_status fail_if_due(struct sluice_reader *rd, struct sluice_error *err)
{
    static const struct {
        sluice_status status;
        uint32_t flags;
    } kinds[] = {{SLUICE_E_IO, SLUICE_ERROR_RETRYABLE},
                 {SLUICE_E_AUTH, SLUICE_ERROR_FATAL},
                 {SLUICE_E_SCHEMA, 0},
                 {SLUICE_E_SNAPSHOT_LOST, SLUICE_ERROR_RETRYABLE}};
    struct sluice_source *src = rd->src;
    const struct gen_options *o = &src->options;
    if (o->fail_after_rows == 0 || rd->next - rd->start < o->fail_after_rows ||
        (o->fail_table != 0 && o->fail_table != rd->stream->table) ||
        atomic_fetch_sub(&src->fails_left, 1) <= 0) {
        return SLUICE_OK;
    }
    return sluice_error_set(err, kinds[o->fail_kind].status, kinds[o->fail_kind].flags,
                            "stream %s: fails after %lld rows as fail_after_rows says",
                            rd->stream->name, (long long)(rd->next - rd->start));
}

/* Waits for the time of the next batch, but no longer than timeout_us. */
static sluice_status wait_due(struct sluice_reader *rd, int64_t timeout_us,
                              struct sluice_error *err)
{
    const struct sluice_host *host = rd->src->host;
    int64_t now = host->now_us(host->ctx, SLUICE_CLOCK_MONOTONIC);
    int64_t until = now + (timeout_us > 0 ? timeout_us : 0);
    if (rd->due_us == 0) {
        rd->due_us = now + rd->src->options.delay_us;
    }
    while (now < rd->due_us) {
        if (now >= until) {
            return SLUICE_AGAIN;
        }
        int64_t left = (rd->due_us < until ? rd->due_us : until) - now;
        struct pollfd fd = {host->cancel_fd(host->ctx), POLLIN, 0};
        (void)poll(&fd, 1, (int)((left < 1000000 ? left : 1000000) / 1000 + 1));
        if (host->cancelled(host->ctx)) {
            return sluice_error_set(err, SLUICE_E_CANCELLED, 0, "source generate: cancelled");
        }
        now = host->now_us(host->ctx, SLUICE_CLOCK_MONOTONIC);
    }
    rd->due_us = 0;
    return SLUICE_OK;
}

static sluice_status fill_rows(struct sluice_reader *rd, int64_t n, struct sluice_error *err)
{
    const struct sluice_source *src = rd->src;
    const struct gen_options *o = &src->options;
    const struct gen_stream *s = rd->stream;
    for (uint32_t i = 0; i < s->column_count; i++) {
        uint32_t c = s->columns[i];
        SLUICE_TRY(gen_column_fill(&src->columns[c], gen_base(o->seed, s->table, (int64_t)c),
                                   o->null_percent, rd->next, n, &rd->rows.columns[i], err));
    }
    rd->rows.rows = n;
    return SLUICE_OK;
}

sluice_status gen_reader_next(struct sluice_reader *rd, int64_t timeout_us,
                              struct sluice_batch *out, struct sluice_error *err)
{
    const struct sluice_host *host = rd->src->host;
    if (host->cancelled(host->ctx)) {
        return sluice_error_set(err, SLUICE_E_CANCELLED, 0, "source generate: cancelled");
    }
    SLUICE_TRY(fail_if_due(rd, err));
    if (rd->next >= rd->end) {
        return SLUICE_END;
    }
    if (rd->src->options.delay_us > 0) {
        sluice_status st = wait_due(rd, timeout_us, err);
        if (st != SLUICE_OK) {
            return st;
        }
    }
    int64_t n = rd->end - rd->next < rd->batch_rows ? rd->end - rd->next : rd->batch_rows;
    sluice_status st = fill_rows(rd, n, err);
    int64_t bytes = sluice_rows_bytes(&rd->rows);
    struct ArrowArray array;
    if (st >= 0) {
        st = sluice_rows_finish(&rd->rows, &array, err);
    }
    if (st < 0) {
        rd->rows.rows = 0;
        sluice_rows_rollback(&rd->rows);
        return sluice_error_wrap(err, "stream %s", rd->stream->name);
    }
    rd->next += n;
    rd->position[0] = POSITION_FORMAT;
    sluice_put_be64(rd->position + 1, (uint64_t)rd->next);
    uint32_t size = out->struct_size;
    memset(out, 0, sizeof *out);
    out->struct_size = size;
    out->kind = SLUICE_BATCH_ROWS;
    out->flags = SLUICE_BATCH_COMMIT_BOUNDARY;
    out->stream_id = rd->stream->desc.stream_id;
    out->schema_id = rd->stream->desc.schema_id;
    out->rows = (uint64_t)n;
    out->bytes = (uint64_t)bytes;
    out->source_time_us = host->now_us(host->ctx, SLUICE_CLOCK_WALL);
    out->position.data = rd->position;
    out->position.size = POSITION_SIZE;
    out->array = array;
    return SLUICE_OK;
}

#include "flow/verify.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/map.h"
#include "flow/columns.h"
#include "flow/peek.h"
#include "flow/write.h"
#include "sluice/position.h"
#include "sluice/schema.h"

enum { BUCKETS = 4096, BUCKETS_AT_ONCE = 32, SUSPECTS_MAX = 100000, POSITION_MAX = 64 };
#define LOOK_US 1000000ll
#define WINDOW_US 10000000ll
#define PASSES 2   /* looks in a row that find the sink past the change, and not in step */
#define PATIENCE 4 /* windows until a row that keeps changing is given up */

/* ---- sums ---- */

struct sum {
    uint64_t rows;
    uint64_t high;
    uint64_t low;
};

/* A row of which the ends say different things. */
struct suspect {
    char *key;    /* text of the key; of a stream without key: of the row */
    char *source; /* text of the row; NULL = not there */
    char *sink;
    uint64_t source_count; /* how often it is there */
    uint64_t sink_count;
    int64_t since_us; /* the source has said so since */
    uint8_t
        since_at[POSITION_MAX]; /* and then its log had come to here; since_size 0 = not known */
    uint64_t since_size;
    int settled; /* both agree */
    int passed; /* looks in a row that found them apart, and nothing on its way that could mend it */
};

struct pair {
    const struct sluice_pipeline *pipeline;
    const struct sluice_verify_options *options;
    struct sluice_cancel *cancel;
    const struct sluice_verify_visits *visits;
    struct sluice_peek *source;
    struct sluice_peek *sink;
    struct sluice_stream_desc *desc; /* columns and key that are compared */
    const char *where;
    int64_t window_us;
    struct sluice_flow_write write;
    int has_write;
    struct sum *sums[2];    /* source, sink */
    struct sluice_map rows; /* key -> suspect, while the rows of some buckets are read */
    struct suspect *suspects;
    size_t count;
    size_t cap;
    int side;                    /* of the digest at hand */
    uint32_t form;               /* that the sink asks the source's texts in */
    int ordered;                 /* the ends' positions can be compared: the sink has one source */
    uint8_t at[2][POSITION_MAX]; /* of the last digest of each side */
    uint64_t at_size[2];         /* 0 = not known */
    int full;                    /* SUSPECTS_MAX was passed */
    struct sluice_verify_stream out;
};

static sluice_status nomem(struct sluice_error *err)
{
    return sluice_error_set(err, SLUICE_E_NOMEM, SLUICE_ERROR_FATAL, "out of memory to compare");
}

static void keep_position(struct pair *p, int side, const struct sluice_digest_info *info)
{
    p->at_size[side] = info->position.size <= POSITION_MAX ? info->position.size : 0;
    if (p->at_size[side] > 0) {
        memcpy(p->at[side], info->position.data, p->at_size[side]);
    }
}

static sluice_status ask_source(struct pair *p, struct sluice_digest_ask *ask,
                                sluice_digest_visit visit, struct sluice_error *err)
{
    struct sluice_digest_info info = {.struct_size = sizeof info};
    ask->where = p->where;
    ask->write = NULL;
    ask->form = p->form;
    SLUICE_TRY(p->source->source_api->digest(p->source->source, ask, visit, p, &info, err));
    keep_position(p, 0, &info);
    return SLUICE_OK;
}

static sluice_status ask_side(struct pair *p, int side, struct sluice_digest_ask *ask,
                              sluice_digest_visit visit, struct sluice_error *err)
{
    struct sluice_digest_info info = {.struct_size = sizeof info};
    p->side = side;
    ask->struct_size = sizeof *ask;
    ask->desc = p->desc;
    ask->buckets = BUCKETS;
    if (side == 0) {
        return ask_source(p, ask, visit, err);
    }
    const struct sluice_pipeline_node *node = p->sink->node;
    const struct sluice_sink_plan plan = {.struct_size = sizeof plan,
                                          .mode = p->pipeline->mode,
                                          .parallelism = 1,
                                          .pipeline = p->pipeline->name,
                                          .node = node->id,
                                          .load_id = "verify",
                                          .started_us = sluice_now_us(SLUICE_CLOCK_WALL)};
    ask->where = NULL;
    ask->form = 0;
    ask->write = p->has_write ? &p->write.write : NULL;
    SLUICE_TRY(p->sink->sink_api->digest(p->sink->sink, &plan, ask, visit, p, &info, err));
    p->form = info.flags;
    keep_position(p, 1, &info);
    return SLUICE_OK;
}

static sluice_status take_sum(void *vctx, const struct sluice_digest_item *item)
{
    struct pair *p = vctx;
    if (item->bucket >= BUCKETS) {
        return SLUICE_E_DATA;
    }
    p->sums[p->side][item->bucket] = (struct sum){item->rows, item->sum_high, item->sum_low};
    return SLUICE_OK;
}

/* ---- rows ---- */

static struct suspect *suspect_of(struct pair *p, const char *key)
{
    /* Kept by index + 1: the array moves while it grows. */
    size_t at = (size_t)(uintptr_t)sluice_map_get(&p->rows, key);
    if (at > 0) {
        return &p->suspects[at - 1];
    }
    if (!sluice_alloc_grow((void **)&p->suspects, &p->cap, p->count + 1, sizeof *p->suspects)) {
        return NULL;
    }
    char *copy = sluice_alloc_string(key);
    if (copy == NULL || !sluice_map_put(&p->rows, key, (void *)(uintptr_t)(p->count + 1))) {
        sluice_free(copy);
        return NULL;
    }
    p->suspects[p->count] = (struct suspect){.key = copy};
    return &p->suspects[p->count++];
}

static sluice_status take_row(void *vctx, const struct sluice_digest_item *item)
{
    struct pair *p = vctx;
    struct suspect *s = suspect_of(p, item->key != NULL ? item->key : item->text);
    if (s == NULL) {
        return SLUICE_E_NOMEM;
    }
    char **text = p->side == 0 ? &s->source : &s->sink;
    uint64_t *count = p->side == 0 ? &s->source_count : &s->sink_count;
    (*count)++;
    if (*text == NULL) {
        *text = sluice_alloc_string(item->text);
    }
    return *text != NULL ? SLUICE_OK : SLUICE_E_NOMEM;
}

static int agrees(const struct suspect *s)
{
    return s->source_count == s->sink_count &&
           (s->source == NULL ||
            (s->source != NULL && s->sink != NULL && strcmp(s->source, s->sink) == 0));
}

static void suspect_free(struct suspect *s)
{
    sluice_free(s->key);
    sluice_free(s->source);
    sluice_free(s->sink);
}

/* The source has said this from now on. */
static void begin_waiting(const struct pair *p, struct suspect *s, int64_t now)
{
    s->since_us = now;
    s->since_size = p->at_size[0];
    memcpy(s->since_at, p->at[0], sizeof s->since_at);
}

/* The sink has all that the source had when it first said what it still says. */
static int is_past(const struct pair *p, const struct suspect *s)
{
    const struct sluice_bytes since = {s->since_at, s->since_size};
    const struct sluice_bytes sink = {p->at[1], p->at_size[1]};
    return p->ordered && since.size > 0 && sink.size > 0 &&
           sluice_position_compare(sink, since) >= 0;
}

/* Only those that differ are kept. */
static void keep_differing(struct pair *p, size_t from)
{
    size_t to = from;
    const int64_t now = sluice_now_us(SLUICE_CLOCK_MONOTONIC);
    for (size_t i = from; i < p->count; i++) {
        if (agrees(&p->suspects[i])) {
            suspect_free(&p->suspects[i]);
            continue;
        }
        begin_waiting(p, &p->suspects[i], now);
        p->suspects[to++] = p->suspects[i];
    }
    p->count = to;
    sluice_map_free(&p->rows);
}

static sluice_status read_buckets(struct pair *p, const uint32_t *list, uint32_t count,
                                  struct sluice_error *err)
{
    const size_t from = p->count;
    for (int side = 1; side >= 0; side--) {
        struct sluice_digest_ask ask = {
            .level = SLUICE_DIGEST_ROWS, .bucket_count = count, .bucket_list = list};
        sluice_status status = ask_side(p, side, &ask, take_row, err);
        if (status < 0) {
            sluice_map_free(&p->rows);
            return status;
        }
    }
    keep_differing(p, from);
    p->full = p->count > SUSPECTS_MAX;
    return SLUICE_OK;
}

static sluice_status find_rows(struct pair *p, struct sluice_error *err)
{
    uint32_t list[BUCKETS_AT_ONCE];
    uint32_t count = 0;
    for (uint32_t b = 0; b < BUCKETS && !p->full; b++) {
        if (memcmp(&p->sums[0][b], &p->sums[1][b], sizeof(struct sum)) != 0) {
            list[count++] = b;
        }
        if (count == BUCKETS_AT_ONCE || (b + 1 == BUCKETS && count > 0)) {
            SLUICE_TRY(read_buckets(p, list, count, err));
            count = 0;
        }
    }
    return SLUICE_OK;
}

/* ---- settling ---- */

/* A look at one side's rows of these keys: texts and counts are new. */
static sluice_status look(struct pair *p, const char *const *keys, uint32_t count,
                          struct suspect *fresh, struct sluice_error *err)
{
    struct suspect *kept = p->suspects;
    const size_t kept_count = p->count;
    const size_t kept_cap = p->cap;
    sluice_status status = SLUICE_OK;
    p->suspects = fresh;
    p->count = 0;
    p->cap = 2u * count + 2u;
    for (uint32_t i = 0; i < count && status >= 0; i++) {
        status = suspect_of(p, keys[i]) != NULL ? SLUICE_OK : nomem(err);
    }
    /* The sink first: what the source says before and after it, it said meanwhile. */
    for (int side = 1; side >= 0 && status >= 0; side--) {
        struct sluice_digest_ask ask = {
            .level = SLUICE_DIGEST_ROWS, .key_count = count, .keys = keys};
        status = ask_side(p, side, &ask, take_row, err);
    }
    sluice_map_free(&p->rows);
    p->suspects = kept;
    p->count = kept_count;
    p->cap = kept_cap;
    return status;
}

static int same(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

/* Takes over what a look showed. */
static void update(const struct pair *p, struct suspect *s, struct suspect *fresh)
{
    const int rested = same(s->source, fresh->source) && s->source_count == fresh->source_count;
    /* Twice: a row that went away and came back between two looks at the source rested in neither. */
    s->passed = rested && is_past(p, s) ? s->passed + 1 : 0;
    if (!rested) {
        begin_waiting(p, s, sluice_now_us(SLUICE_CLOCK_MONOTONIC));
    }
    sluice_free(s->source);
    sluice_free(s->sink);
    s->source = fresh->source;
    s->sink = fresh->sink;
    s->source_count = fresh->source_count;
    s->sink_count = fresh->sink_count;
    s->settled = agrees(s);
    sluice_free(fresh->key);
    *fresh = (struct suspect){0};
}

static sluice_status settle_once(struct pair *p, int64_t now, int64_t *open,
                                 struct sluice_error *err)
{
    const char **keys = sluice_alloc_zero(p->count + 1, sizeof *keys);
    struct suspect *fresh = sluice_alloc_zero(2 * p->count + 4, sizeof *fresh);
    sluice_status status = keys != NULL && fresh != NULL ? SLUICE_OK : nomem(err);
    uint32_t n = 0;
    for (size_t i = 0; status >= 0 && i < p->count; i++) {
        if (!p->suspects[i].settled) {
            keys[n++] = p->suspects[i].key;
        }
    }
    if (status >= 0) {
        status = look(p, keys, n, fresh, err);
    }
    n = 0;
    *open = 0;
    for (size_t i = 0; status >= 0 && i < p->count; i++) {
        struct suspect *s = &p->suspects[i];
        if (s->settled) {
            continue;
        }
        update(p, s, &fresh[n++]);
        *open += !s->settled && s->passed < PASSES && now - s->since_us < p->window_us;
    }
    for (size_t i = 0; fresh != NULL && i < 2 * p->count + 4; i++) {
        suspect_free(&fresh[i]);
    }
    sluice_free((void *)keys);
    sluice_free(fresh);
    return status;
}

/* While changes flow the ends differ by what is on its way: who agrees later is equal. */
static sluice_status settle(struct pair *p, struct sluice_error *err)
{
    const int64_t begun = sluice_now_us(SLUICE_CLOCK_MONOTONIC);
    int64_t open = (int64_t)p->count;
    int64_t pause = LOOK_US;
    while (open > 0) {
        const int64_t now = sluice_now_us(SLUICE_CLOCK_MONOTONIC);
        if (now - begun > PATIENCE * p->window_us) {
            break;
        }
        if (sluice_cancel_sleep(p->cancel, pause)) {
            return sluice_error_set(err, SLUICE_E_CANCELLED, 0, "stopped");
        }
        const int64_t from = sluice_now_us(SLUICE_CLOCK_MONOTONIC);
        SLUICE_TRY(settle_once(p, from, &open, err));
        /* A look may be a scan of both ends: no more than half of the time goes into them. */
        const int64_t took = sluice_now_us(SLUICE_CLOCK_MONOTONIC) - from;
        pause = took > LOOK_US ? took : LOOK_US;
    }
    return SLUICE_OK;
}

static void judge(struct pair *p)
{
    const int64_t now = sluice_now_us(SLUICE_CLOCK_MONOTONIC);
    const int live = p->pipeline->mode != SLUICE_MODE_FULL_LOAD_ONLY && p->window_us > 0;
    uint64_t told = 0;
    for (size_t i = 0; i < p->count; i++) {
        const struct suspect *s = &p->suspects[i];
        if (s->settled) {
            continue;
        }
        if (live && s->passed < PASSES && now - s->since_us < p->window_us) {
            p->out.unsettled++;
            continue;
        }
        if (s->source_count > s->sink_count) {
            p->out.missing += s->source_count - s->sink_count;
        }
        else if (s->sink_count > s->source_count) {
            p->out.extra += s->sink_count - s->source_count;
        }
        else {
            p->out.different++;
        }
        if (told++ < p->options->max_rows) {
            const struct sluice_verify_row row = {.stream = p->out.stream,
                                                  .sink = p->out.sink,
                                                  .key = p->desc->key_count > 0 ? s->key : NULL,
                                                  .source_text = s->source,
                                                  .sink_text = s->sink};
            p->visits->row(p->visits->ctx, &row);
        }
    }
    p->out.verdict = p->out.missing + p->out.extra + p->out.different > 0 ? SLUICE_VERIFY_DIFFERENT
                                                                          : SLUICE_VERIFY_EQUAL;
}

/* ---- one stream in one sink ---- */

static sluice_status compare(struct pair *p, struct sluice_error *err)
{
    for (int side = 1; side >= 0; side--) { /* the sink says in which form the source is asked */
        struct sluice_digest_ask ask = {.level = SLUICE_DIGEST_SUMS};
        p->sums[side] = sluice_alloc_zero(BUCKETS, sizeof(struct sum));
        if (p->sums[side] == NULL) {
            return nomem(err);
        }
        SLUICE_TRY(ask_side(p, side, &ask, take_sum, err));
    }
    for (uint32_t b = 0; b < BUCKETS; b++) {
        p->out.source_rows += p->sums[0][b].rows;
        p->out.sink_rows += p->sums[1][b].rows;
    }
    SLUICE_TRY(find_rows(p, err));
    if (p->pipeline->mode != SLUICE_MODE_FULL_LOAD_ONLY && p->window_us > 0 && !p->full) {
        SLUICE_TRY(settle(p, err));
    }
    judge(p);
    return SLUICE_OK;
}

static void pair_free(struct pair *p)
{
    for (size_t i = 0; i < p->count; i++) {
        suspect_free(&p->suspects[i]);
    }
    sluice_free(p->suspects);
    sluice_free(p->sums[0]);
    sluice_free(p->sums[1]);
    sluice_map_free(&p->rows);
    sluice_stream_desc_free(p->desc);
    sluice_flow_write_free(&p->write);
}

/* ---- the key ---- */

/* Both ends find rows by the key of the sink. */
static sluice_status take_key(struct pair *p, struct sluice_error *err)
{
    if (!p->has_write) {
        return SLUICE_OK;
    }
    struct sluice_stream_desc view = *p->desc;
    view.keys = p->write.keys;
    view.key_count = p->write.write.key_count;
    struct sluice_stream_desc *copy = sluice_stream_desc_copy(&view);
    if (copy == NULL) {
        return nomem(err);
    }
    sluice_stream_desc_free(p->desc);
    p->desc = copy;
    return SLUICE_OK;
}

/* ---- all streams ---- */

struct run {
    const struct sluice_pipeline *pipeline;
    const struct sluice_verify_options *options;
    struct sluice_cancel *cancel;
    const struct sluice_verify_visits *visits;
    struct sluice_stream_desc **streams; /* of the source at hand */
    size_t count;
    size_t cap;
    size_t done;
    size_t total;
};

static sluice_status keep_stream(void *vctx, const struct sluice_stream_desc *desc,
                                 const struct sluice_error *problem)
{
    struct run *run = vctx;
    (void)problem;
    if (!sluice_alloc_grow((void **)&run->streams, &run->cap, run->count + 1,
                           sizeof *run->streams)) {
        return SLUICE_E_NOMEM;
    }
    run->streams[run->count] = sluice_stream_desc_copy(desc);
    return run->streams[run->count++] != NULL ? SLUICE_OK : SLUICE_E_NOMEM;
}

static int64_t choose_window(const struct sluice_verify_options *options,
                             const struct sluice_peek *sink)
{
    int64_t more = 0;
    if (options->window_us >= 0) {
        return options->window_us;
    }
    if ((sink->node->component->caps & SLUICE_SINK_ROTATES) != 0) {
        more = sink->node->batch.interval_us > 0 ? sink->node->batch.interval_us
                                                 : SLUICE_FLOW_ROTATE_INTERVAL_US;
    }
    return WINDOW_US + more;
}

/* The sink takes the source's rows as they are. */
static int is_direct(const struct sluice_pipeline *pipeline,
                     const struct sluice_pipeline_node *sink,
                     const struct sluice_pipeline_node *source)
{
    for (size_t i = 0; i < sink->input_count; i++) {
        if (&pipeline->nodes[sink->inputs[i]] == source) {
            return 1;
        }
    }
    return 0;
}

static int reaches(const struct sluice_pipeline *pipeline, const struct sluice_pipeline_node *node,
                   const struct sluice_pipeline_node *source)
{
    for (size_t i = 0; i < node->input_count; i++) {
        const struct sluice_pipeline_node *input = &pipeline->nodes[node->inputs[i]];
        if (input == source || reaches(pipeline, input, source)) {
            return 1;
        }
    }
    return 0;
}

static size_t count_sources(const struct sluice_pipeline *pipeline,
                            const struct sluice_pipeline_node *sink)
{
    size_t count = 0;
    for (size_t i = 0; i < pipeline->node_count; i++) {
        const struct sluice_pipeline_node *node = &pipeline->nodes[i];
        count += node->kind == SLUICE_SOURCE && reaches(pipeline, sink, node);
    }
    return count;
}

static void not_compared(struct run *run, struct pair *p, int32_t verdict, const char *reason)
{
    p->out.verdict = verdict;
    p->out.reason = reason;
    run->visits->stream(run->visits->ctx, &p->out);
}

static sluice_status compare_stream(struct run *run, struct sluice_peek *source,
                                    struct sluice_peek *sink, const struct sluice_stream_desc *desc,
                                    struct sluice_error *err)
{
    struct sluice_table_rule rule = {0};
    struct sluice_error why = SLUICE_ERROR_INIT;
    struct pair p = {.pipeline = run->pipeline,
                     .options = run->options,
                     .cancel = run->cancel,
                     .visits = run->visits,
                     .source = source,
                     .sink = sink,
                     .window_us = choose_window(run->options, sink),
                     .ordered = count_sources(run->pipeline, sink->node) == 1};
    sluice_tables_rule(&source->node->tables, desc->name, &rule);
    p.where = rule.where;
    p.out = (struct sluice_verify_stream){
        .source = source->node->id, .sink = sink->node->id, .stream = desc->name};
    run->visits->progress(run->visits->ctx, desc->name, "comparing", run->done, run->total);
    if (!is_direct(run->pipeline, sink->node, source->node)) {
        not_compared(run, &p, SLUICE_VERIFY_NOT_COMPARED,
                     "transforms stand between: what they change would differ");
        return SLUICE_OK;
    }
    sluice_status status =
        sluice_flow_columns_choose(run->pipeline, source->node, desc, &p.desc, &why);
    if (status >= 0 && sluice_flow_writes_tables(sink->node)) {
        p.has_write = 1;
        status = sluice_flow_write_make(run->pipeline, sink->node, source->node->id, p.desc,
                                        &p.write, &why);
    }
    if (status >= 0) {
        status = take_key(&p, &why);
    }
    if (status >= 0) {
        status = compare(&p, &why);
    }
    if (status >= 0) {
        run->visits->stream(run->visits->ctx, &p.out);
    }
    else if (status == SLUICE_E_UNAVAILABLE || status == SLUICE_E_AUTH ||
             status == SLUICE_E_CANCELLED || status == SLUICE_E_NOMEM) {
        *err = why;
    }
    else {
        const int damaged = status == SLUICE_E_DATA && p.side == 1;
        not_compared(run, &p, damaged ? SLUICE_VERIFY_DAMAGED : SLUICE_VERIFY_NOT_COMPARED,
                     why.message);
        status = SLUICE_OK;
    }
    pair_free(&p);
    return status;
}

static int is_chosen(const struct run *run, const struct sluice_pipeline_node *source,
                     const struct sluice_stream_desc *desc)
{
    static const struct sluice_run_options none = {0};
    return sluice_flow_chooses(source, &none, desc) &&
           (run->options->stream == NULL || strcmp(run->options->stream, desc->name) == 0);
}

static sluice_status compare_sink(struct run *run, struct sluice_peek *source,
                                  const struct sluice_pipeline_node *node, struct sluice_error *err)
{
    struct sluice_peek sink = {0};
    sluice_status status = sluice_peek_open(&sink, run->pipeline, node, run->cancel, err);
    for (size_t i = 0; i < run->count && status >= 0; i++) {
        if (is_chosen(run, source->node, run->streams[i])) {
            status = compare_stream(run, source, &sink, run->streams[i], err);
            run->done++;
        }
    }
    sluice_peek_close(&sink);
    return status;
}

static void forget_streams(struct run *run)
{
    for (size_t i = 0; i < run->count; i++) {
        sluice_stream_desc_free(run->streams[i]);
    }
    run->count = 0;
}

static sluice_status compare_source(struct run *run, const struct sluice_pipeline_node *node,
                                    struct sluice_error *err)
{
    const struct sluice_pipeline *pipeline = run->pipeline;
    struct sluice_peek source = {0};
    sluice_status status = sluice_peek_open(&source, pipeline, node, run->cancel, err);
    if (status >= 0) {
        status = source.source_api->discover(source.source, keep_stream, run, err);
    }
    for (size_t k = 0; k < pipeline->node_count && status >= 0; k++) {
        if (pipeline->nodes[k].kind == SLUICE_SINK &&
            reaches(pipeline, &pipeline->nodes[k], node)) {
            for (size_t i = 0; i < run->count; i++) {
                run->total += is_chosen(run, node, run->streams[i]) ? 1u : 0u;
            }
        }
    }
    for (size_t k = 0; k < pipeline->node_count && status >= 0; k++) {
        if (pipeline->nodes[k].kind == SLUICE_SINK &&
            reaches(pipeline, &pipeline->nodes[k], node)) {
            status = compare_sink(run, &source, &pipeline->nodes[k], err);
        }
    }
    forget_streams(run);
    sluice_peek_close(&source);
    return status < 0 ? sluice_error_wrap(err, "%s", node->id) : SLUICE_OK;
}

sluice_status sluice_flow_verify(const struct sluice_pipeline *pipeline,
                                 const struct sluice_verify_options *options,
                                 struct sluice_cancel *cancel,
                                 const struct sluice_verify_visits *visits,
                                 struct sluice_error *err)
{
    struct run run = {.pipeline = pipeline, .options = options, .cancel = cancel, .visits = visits};
    sluice_status status = SLUICE_OK;
    for (size_t i = 0; i < pipeline->node_count && status >= 0; i++) {
        if (pipeline->nodes[i].kind == SLUICE_SOURCE) {
            status = compare_source(&run, &pipeline->nodes[i], err);
        }
    }
    sluice_free(run.streams);
    return status < 0 ? status : SLUICE_OK;
}

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "flow/feed.h"
#include "log/log.h"
#include "sluice/position.h"

int sluice_flow_chooses(const struct sluice_pipeline_node *node,
                        const struct sluice_run_options *options,
                        const struct sluice_stream_desc *desc)
{
    if ((desc->flags & SLUICE_STREAM_INTERNAL) != 0 ||
        !sluice_tables_match(&node->tables, desc->name)) {
        return 0;
    }
    for (size_t i = 0; i < options->table_count; i++) {
        if (sluice_config_pattern_match(options->tables[i], desc->name)) {
            return 1;
        }
    }
    return options->table_count == 0;
}

struct sluice_flow_stream *sluice_flow_source_stream(struct sluice_flow_source *source,
                                                     const char *name)
{
    return sluice_map_get(&source->by_name, name);
}

static sluice_status add_stream(struct sluice_flow_source *source,
                                struct sluice_flow_stream *stream, struct sluice_error *err)
{
    struct sluice_engine *engine = source->engine;
    pthread_mutex_lock(&engine->mutex);
    int ok = sluice_alloc_grow((void **)&source->streams, &source->stream_cap,
                               source->stream_count + 1, sizeof *source->streams) &&
             sluice_map_put(&source->by_name, stream->name, stream);
    if (ok) {
        source->streams[source->stream_count++] = stream;
    }
    pthread_mutex_unlock(&engine->mutex);
    if (!ok) {
        sluice_flow_stream_free(stream);
        return sluice_error_set(err, SLUICE_E_NOMEM, SLUICE_ERROR_FATAL,
                                "out of memory for the streams");
    }
    return SLUICE_OK;
}

struct discover_ctx {
    struct sluice_flow_source *source;
    struct sluice_error *err;
    size_t seen;
    size_t left_out;    /* chosen, but without changes to follow */
    unsigned char *met; /* patterns that met a table */
};

/* Which table is behind the name now; a source may say it by a property. */
static sluice_status keep_incarnation(struct sluice_flow_stream *stream,
                                      const struct sluice_stream_desc *desc,
                                      struct sluice_error *err)
{
    for (uint32_t i = 0; i < desc->property_count; i++) {
        if (strcmp(desc->properties[i].key, "incarnation") == 0) {
            sluice_free(stream->incarnation);
            stream->incarnation = sluice_alloc_string(desc->properties[i].value);
            return stream->incarnation != NULL
                       ? SLUICE_OK
                       : sluice_error_set(err, SLUICE_E_NOMEM, SLUICE_ERROR_FATAL, "out of memory");
        }
    }
    return SLUICE_OK;
}

/* Some sink has what was loaded of the stream, and counts on its changes. */
static int is_followed(const struct sluice_flow_source *source, const char *stream)
{
    for (size_t i = 0; i < source->tree.leaf_count; i++) {
        if (sluice_flow_known(source->engine, source->node->id, stream,
                              source->leaf_sinks[i]->node->id) == SLUICE_STATE_STREAM_COMPLETE) {
            return 1;
        }
    }
    return 0;
}

/* Why a source has no changes of a stream, by its own words; "" = it does not say. */
static const char *why_unfollowed(const struct sluice_stream_desc *desc)
{
    for (uint32_t i = 0; i < desc->property_count; i++) {
        if (strcmp(desc->properties[i].key, "unfollowed") == 0) {
            return desc->properties[i].value;
        }
    }
    return "";
}

static sluice_status leave_out(struct sluice_flow_source *source,
                               const struct sluice_stream_desc *desc, struct sluice_error *err)
{
    const char *why = why_unfollowed(desc);
    const char *glue = why[0] != '\0' ? ": " : "";
    if (is_followed(source, desc->name)) {
        return sluice_error_set(
            err, SLUICE_E_POSITION_LOST, SLUICE_ERROR_FATAL,
            "stream %s was loaded and is to be followed, and the source has no changes of it any "
            "more%s%s (hint: mend that, then load it anew: sluice state resync FILE --stream '%s')",
            desc->name, glue, why, desc->name);
    }
    sluice_log_line(
        SLUICE_LOG_WARN, source->node->id,
        "left out: the source has no changes of it, so it cannot be followed%s%s (hint: "
        "load it by a pipeline with mode: full_load_only) stream=%s",
        glue, why, desc->name);
    return SLUICE_OK;
}

static sluice_status keep_discovered(void *vctx, const struct sluice_stream_desc *desc,
                                     const struct sluice_error *problem)
{
    struct discover_ctx *ctx = vctx;
    struct sluice_flow_source *source = ctx->source;
    ctx->seen++;
    sluice_tables_note(&source->node->tables, desc->name, ctx->met);
    if (!sluice_flow_chooses(source->node, &source->engine->options, desc)) {
        return SLUICE_OK;
    }
    if (sluice_flow_has_changes(source->engine) && (desc->flags & SLUICE_STREAM_CAN_CHANGES) == 0 &&
        problem == NULL) {
        ctx->left_out++;
        return leave_out(source, desc, ctx->err);
    }
    struct sluice_flow_stream *stream = sluice_flow_source_stream(source, desc->name);
    if (stream == NULL) {
        stream = sluice_flow_stream_create(source, desc, ctx->err);
        if (stream == NULL) {
            return SLUICE_E_NOMEM;
        }
        SLUICE_TRY(add_stream(source, stream, ctx->err));
        atomic_store(&stream->limit_left, sluice_flow_row_limit(source->engine));
    }
    stream->discovered = source->generation;
    SLUICE_TRY(keep_incarnation(stream, desc, ctx->err));
    if (problem != NULL && problem->status == SLUICE_E_PERMISSION && desc->schema != NULL &&
        sluice_flow_has_changes(source->engine)) {
        return SLUICE_OK; /* changes may need no such right: open() tells, knowing what is loaded */
    }
    if (problem != NULL && !sluice_flow_has_load(source->engine)) {
        return sluice_flow_refuse_to_leave(stream, problem, ctx->err);
    }
    if (problem != NULL && atomic_load(&stream->status) == SLUICE_PROGRESS_WAITING) {
        sluice_flow_stream_fail(stream, problem);
    }
    return SLUICE_OK;
}

sluice_status sluice_flow_stream_bind(struct sluice_flow_stream *stream,
                                      const struct sluice_stream_desc *desc,
                                      struct sluice_chain *binder, struct sluice_error *err)
{
    struct sluice_stream_desc *copy = sluice_stream_desc_copy(desc);
    if (copy == NULL) {
        return sluice_error_set(err, SLUICE_E_NOMEM, SLUICE_ERROR_FATAL, "out of memory");
    }
    if (desc != stream->desc) {
        stream->source_stream_id = desc->stream_id;
    }
    copy->stream_id = stream->desc->stream_id; /* the engine's own stays */
    sluice_stream_desc_free(stream->desc);
    stream->desc = copy;
    atomic_store(&stream->rows_estimate, copy->rows_estimate);
    SLUICE_TRY(sluice_chain_bind(binder, copy, err));
    for (size_t i = 0; i < stream->source->tree.leaf_count; i++) {
        struct sluice_flow_leaf *leaf = &stream->leaves[i];
        const struct sluice_stream_desc *out = sluice_chain_leaf(binder, i);
        sluice_stream_desc_free(leaf->desc);
        leaf->desc = out == NULL ? NULL : sluice_stream_desc_copy(out);
        if (out != NULL && leaf->desc == NULL) {
            return sluice_error_set(err, SLUICE_E_NOMEM, SLUICE_ERROR_FATAL, "out of memory");
        }
        if (out != NULL && sluice_flow_has_changes(stream->source->engine) &&
            (copy->flags & SLUICE_STREAM_CAN_CHANGES) != 0 &&
            (out->flags & SLUICE_STREAM_CAN_CHANGES) == 0) {
            return sluice_error_set(
                err, SLUICE_E_INVALID, SLUICE_ERROR_FATAL,
                "stream %s: its changes cannot be followed into sink %s, since a transform leaves "
                "a "
                "column of its key out (hint: keep the key, or set drop_keys: true there)",
                stream->name, leaf->sink->node->id);
        }
        for (size_t k = 0; k < i; k++) {
            if (out != NULL && stream->leaves[k].desc != NULL &&
                stream->leaves[k].sink == leaf->sink) {
                return sluice_error_set(err, SLUICE_E_INVALID, SLUICE_ERROR_FATAL,
                                        "stream %s reaches sink %s on two ways through the graph; "
                                        "leave one input out",
                                        stream->name, leaf->sink->node->id);
            }
        }
    }
    return SLUICE_OK;
}

sluice_status sluice_flow_refuse_to_leave(const struct sluice_flow_stream *stream,
                                          const struct sluice_error *problem,
                                          struct sluice_error *err)
{
    struct sluice_error why = *problem;
    why.flags =
        (why.flags & SLUICE_ERROR_RETRYABLE) != 0 ? why.flags : why.flags | SLUICE_ERROR_FATAL;
    *err = why;
    return sluice_error_wrap(err, "cannot follow %s (exclude it to go on without)", stream->name);
}

int sluice_flow_stream_has_leaf(const struct sluice_flow_stream *stream)
{
    for (size_t i = 0; i < stream->source->tree.leaf_count; i++) {
        const struct sluice_flow_leaf *leaf = &stream->leaves[i];
        if (leaf->follows && leaf->complete && !atomic_load(&leaf->failed)) {
            return 1;
        }
    }
    return 0;
}

/* The sink's token is of the load that the state knows, not of one that counts no more. */
static int is_of_that_load(const struct sluice_flow_known *known,
                           const struct sluice_flow_complete *found)
{
    if (found->run[0] != '\0' || known->run[0] == '\0') {
        return strcmp(found->run, known->run) == 0;
    }
    return sluice_position_compare(sluice_feed_position_bytes(&found->position),
                                   sluice_feed_position_bytes(&known->position)) == 0;
}

/* Complete by the state, or by the sink's own token where the state did not come to know of it. A
 * stream that is not in the state at all was reset: then it is loaded anew whatever the sink says. */
static sluice_status look_complete(struct sluice_flow_stream *stream, size_t i,
                                   struct sluice_error *err)
{
    struct sluice_flow_leaf *leaf = &stream->leaves[i];
    const struct sluice_flow_known *known = sluice_flow_known_entry(
        stream->source->engine, stream->source->node->id, stream->name, leaf->sink->node->id);
    const struct sluice_flow_complete *found =
        sluice_map_get(&leaf->sink->complete, leaf->desc->name);
    int by_state = known != NULL && known->status == SLUICE_STATE_STREAM_COMPLETE;
    leaf->complete = by_state || (known != NULL && found != NULL && is_of_that_load(known, found));
    if (!leaf->complete) {
        return SLUICE_OK;
    }
    const struct sluice_feed_position *at = by_state ? &known->position : &found->position;
    if (!sluice_flow_leaf_place(leaf, sluice_feed_position_bytes(at))) {
        return sluice_error_set(err, SLUICE_E_NOMEM, SLUICE_ERROR_FATAL, "out of memory");
    }
    if (!by_state) {
        leaf->rows = found->rows;
        (void)snprintf(stream->run, sizeof stream->run, "%s", found->run);
        return sluice_flow_stream_remember(stream, i, SLUICE_STATE_STREAM_COMPLETE, NULL, err);
    }
    return SLUICE_OK;
}

/* Nothing that was loaded of the stream counts any more. */
static sluice_status forget_loads(struct sluice_flow_stream *stream, struct sluice_error *err)
{
    struct sluice_engine *engine = stream->source->engine;
    for (size_t i = 0; i < stream->source->tree.leaf_count; i++) {
        struct sluice_flow_leaf *leaf = &stream->leaves[i];
        leaf->complete = 0;
        leaf->position_size = 0;
        if (leaf->desc != NULL) {
            SLUICE_TRY(sluice_flow_forget_stream(engine, stream->source->node->id, stream->name,
                                                 leaf->sink->node->id, err));
        }
    }
    if (atomic_load(&stream->status) != SLUICE_PROGRESS_FAILED) {
        atomic_store(&stream->status, SLUICE_PROGRESS_WAITING);
        atomic_store(&stream->finished_us, 0);
    }
    return SLUICE_OK;
}

/* The table behind the name is the one that was loaded before: a source may say which it is. If it was
 * dropped and made anew meanwhile, what was loaded is of another table. In a batch of the state: that
 * the loads count no more, and that this was seen, become durable together. */
static sluice_status check_incarnation(struct sluice_flow_stream *stream, struct sluice_error *err)
{
    struct sluice_engine *engine = stream->source->engine;
    const char *is = stream->incarnation;
    if (is == NULL || engine->state == NULL) {
        return SLUICE_OK;
    }
    struct sluice_str key = SLUICE_STR_INIT;
    char *was = NULL;
    sluice_str_printf(&key, "%s/%s", stream->source->node->id, stream->name);
    sluice_status status =
        sluice_state_identity_get(engine->state, sluice_str_text(&key), &was, err);
    if (status == SLUICE_E_NOT_FOUND) {
        sluice_error_clear(err);
        status = SLUICE_OK;
    }
    if (status >= 0 && was != NULL && strcmp(was, is) != 0) {
        status = forget_loads(stream, err);
        sluice_log_line(SLUICE_LOG_WARN, stream->source->node->id,
                        "the table was dropped and made anew since it was read%s stream=%s",
                        sluice_flow_has_load(engine) ? ": it is loaded again" : "", stream->name);
    }
    if (status >= 0 && (was == NULL || strcmp(was, is) != 0)) {
        status = sluice_state_identity_put(engine->state, sluice_str_text(&key), is, err);
    }
    sluice_free(was);
    sluice_str_free(&key);
    return status;
}

static void say_not_needed(struct sluice_flow_stream *stream, int wired, int loads)
{
    if (atomic_load(&stream->status) != SLUICE_PROGRESS_WAITING) {
        return;
    }
    if (wired && !loads) {
        atomic_store(&stream->status, SLUICE_PROGRESS_FOLLOWING);
        return;
    }
    atomic_store(&stream->status, SLUICE_PROGRESS_SKIPPED);
    sluice_log_line(wired ? SLUICE_LOG_INFO : SLUICE_LOG_WARN, stream->source->node->id,
                    "%s stream=%s",
                    wired ? "stream is complete since an earlier run of this load"
                          : "stream is dropped by every transform",
                    stream->name);
}

/* Which sinks still have to get the stream in this load. */
static sluice_status mark_needed(struct sluice_flow_stream *stream, struct sluice_error *err)
{
    int needed = 0;
    int wired = 0;
    int follows = 0;
    int changes = sluice_flow_has_changes(stream->source->engine);
    int loads = sluice_flow_has_load(stream->source->engine) &&
                (stream->desc->flags & SLUICE_STREAM_NO_LOAD) == 0;
    if (changes) {
        SLUICE_TRY(check_incarnation(stream, err));
    }
    for (size_t i = 0; i < stream->source->tree.leaf_count; i++) {
        struct sluice_flow_leaf *leaf = &stream->leaves[i];
        int failed = atomic_load(&leaf->failed);
        wired |= leaf->desc != NULL;
        if (leaf->desc != NULL && !leaf->complete && !failed) {
            SLUICE_TRY(look_complete(stream, i, err));
        }
        leaf->needed = loads && leaf->desc != NULL && !leaf->complete && !failed;
        leaf->follows = changes && leaf->desc != NULL;
        follows |= leaf->follows && !failed;
        stream->source->had_whole |= leaf->complete;
        needed |= leaf->needed;
    }
    stream->selected = needed;
    stream->follows = follows;
    if (!needed) {
        say_not_needed(stream, wired, loads);
    }
    return SLUICE_OK;
}

/* All of the source's streams in one durable step of the state: a sync each would take long. */
static sluice_status mark_all(struct sluice_flow_source *source, const unsigned char *bound,
                              struct sluice_error *err)
{
    struct sluice_state *state = source->engine->state;
    sluice_status status = state != NULL ? sluice_state_batch_begin(state, err) : SLUICE_OK;
    if (status < 0) {
        return status;
    }
    for (size_t i = 0; i < source->stream_count && status >= 0; i++) {
        status = bound[i] ? mark_needed(source->streams[i], err) : SLUICE_OK;
    }
    struct sluice_error end_err = SLUICE_ERROR_INIT;
    if (state != NULL && sluice_state_batch_end(state, &end_err) < 0 && status >= 0) {
        *err = end_err;
        status = end_err.status;
    }
    return status;
}

/* A stream that one sink gave up may still be due in another. */
static int is_over(const struct sluice_flow_stream *stream)
{
    int32_t status = atomic_load(&stream->status);
    if (!sluice_flow_has_changes(stream->source->engine)) {
        return atomic_load(&stream->abandoned) || status == SLUICE_PROGRESS_COMPLETE ||
               status == SLUICE_PROGRESS_SKIPPED;
    }
    for (size_t i = 0; i < stream->source->tree.leaf_count; i++) {
        const struct sluice_flow_leaf *leaf = &stream->leaves[i];
        if (leaf->desc != NULL && !atomic_load(&leaf->failed)) {
            return 0; /* whole or not: a new attempt follows it there */
        }
    }
    return atomic_load(&stream->abandoned);
}

static sluice_status check_any(const struct discover_ctx *ctx, struct sluice_error *err)
{
    const struct sluice_flow_source *source = ctx->source;
    if (source->stream_count > 0 || source->engine->options.table_count > 0) {
        return SLUICE_OK; /* --tables may mean another source: looked at when all are open */
    }
    if (ctx->seen == 0) {
        return sluice_error_set(err, SLUICE_E_INVALID, SLUICE_ERROR_FATAL,
                                "there is no table that the user may see");
    }
    if (ctx->left_out > 0) {
        return sluice_error_set(err, SLUICE_E_INVALID, SLUICE_ERROR_FATAL,
                                "none of the %zu chosen tables has changes to follow (hint: "
                                "sluice check FILE says what enables them)",
                                ctx->left_out);
    }
    return sluice_error_set(err, SLUICE_E_INVALID, SLUICE_ERROR_FATAL,
                            "no table matches `tables`, of %zu that there are "
                            "(hint: sluice discover FILE lists them)",
                            ctx->seen);
}

static void warn_unmatched(void *ctx, const char *at, const char *pattern)
{
    const struct sluice_pipeline_node *const *node = ctx;
    sluice_log_line(SLUICE_LOG_WARN, (*node)->id, "no table matches the pattern %s of tables.%s",
                    pattern, at);
}

void sluice_flow_warn_unmatched(const struct sluice_pipeline_node *node, const unsigned char *met)
{
    sluice_tables_unmatched(&node->tables, met, warn_unmatched, &node);
}

static sluice_status discover(struct sluice_flow_source *source, struct sluice_error *err)
{
    struct discover_ctx ctx = {.source = source, .err = err};
    ctx.met = sluice_alloc_zero(sluice_tables_patterns(&source->node->tables) + 1, 1);
    if (ctx.met == NULL) {
        return sluice_error_set(err, SLUICE_E_NOMEM, SLUICE_ERROR_FATAL, "out of memory");
    }
    sluice_status status = source->api->discover(source->src, keep_discovered, &ctx, err);
    if (status >= 0) {
        status = check_any(&ctx, err);
    }
    if (status >= 0 && !source->warned) {
        source->warned = 1;
        sluice_flow_warn_unmatched(source->node, ctx.met);
    }
    sluice_free(ctx.met);
    return status;
}

/* Binds what may be read to the sinks; bound[i] = 1 for each such stream. */
static sluice_status bind_all(struct sluice_flow_source *source, struct sluice_chain *binder,
                              unsigned char *bound, struct sluice_error *err)
{
    for (size_t i = 0; i < source->stream_count; i++) {
        struct sluice_flow_stream *stream = source->streams[i];
        stream->selected = 0;
        stream->follows = 0;
        if (is_over(stream)) {
            continue;
        }
        if (stream->discovered != source->generation) {
            struct sluice_error gone = SLUICE_ERROR_INIT;
            (void)sluice_error_set(&gone, SLUICE_E_NOT_FOUND, 0, "table %s is no longer there",
                                   stream->name);
            sluice_flow_stream_fail(stream, &gone);
            continue;
        }
        sluice_status status = sluice_flow_stream_bind(stream, stream->desc, binder, err);
        if (status < 0 && (err->flags & SLUICE_ERROR_FATAL) == 0) {
            struct sluice_error why = *err;
            if (!sluice_flow_has_load(source->engine) || sluice_flow_stream_has_leaf(stream)) {
                return sluice_flow_refuse_to_leave(stream, &why, err);
            }
            sluice_flow_stream_fail(stream, &why);
            continue;
        }
        SLUICE_TRY(status);
        bound[i] = 1;
    }
    return SLUICE_OK;
}

sluice_status sluice_flow_source_choose(struct sluice_flow_source *source,
                                        struct sluice_chain *binder, struct sluice_error *err)
{
    SLUICE_TRY(discover(source, err));
    unsigned char *bound = sluice_alloc_zero(source->stream_count + 1, 1);
    if (bound == NULL) {
        return sluice_error_set(err, SLUICE_E_NOMEM, SLUICE_ERROR_FATAL, "out of memory");
    }
    sluice_status status = bind_all(source, binder, bound, err);
    if (status >= 0) {
        status = mark_all(source, bound, err);
    }
    sluice_free(bound);
    return status;
}

/* The instance: connections, streams, opening. */
#include "sink.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "load.h"
#include "options.h"
#include "state.h"

enum { NAME_MAX_CHARS = 128, PIPELINE_MAX = 128, NODE_MAX = 64 };

static sluice_status nomem(struct sluice_error *err)
{
    return sluice_error_set(err, SLUICE_E_NOMEM, SLUICE_ERROR_FATAL, "out of memory for a sink");
}

/* ---- life ---- */

void mssink_destroy(struct sluice_sink *sink)
{
    if (sink == NULL) {
        return;
    }
    sluice_tds_close(sink->ctl);
    for (uint32_t i = 0; i < sink->idle_count; i++) {
        sluice_tds_close(sink->idle[i]);
    }
    while (sink->streams != NULL) {
        struct mssink_stream *next = sink->streams->next;
        mssink_stream_free(sink->streams);
        sink->streams = next;
    }
    sluice_apply_tallies_free(&sink->tallies);
    (void)pthread_mutex_destroy(&sink->mutex);
    free(sink->pipeline);
    free(sink->node);
    free(sink->load_id);
    free(sink->state);
    free(sink);
}

static void make_owner(struct sluice_sink *sink)
{
    uint8_t random[16] = {0};
    if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random) {
        const int64_t now = sink->host->now_us(sink->host->ctx, SLUICE_CLOCK_WALL);
        memcpy(random, &now, sizeof now);
    }
    for (size_t i = 0; i < sizeof random; i++) {
        (void)snprintf(sink->owner + 2 * i, 3, "%02x", random[i]);
    }
}

sluice_status mssink_create(const struct sluice_host *host, struct sluice_sink **out,
                            struct sluice_error *err)
{
    struct sluice_sink *sink = calloc(1, sizeof *sink);
    struct mssink_text state = {0};
    if (sink == NULL || pthread_mutex_init(&sink->mutex, NULL) != 0 ||
        sluice_apply_tallies_init(&sink->tallies, err) < 0) {
        free(sink);
        return nomem(err);
    }
    sink->host = host;
    sink->failpoints = sluice_failpoints_of(host);
    make_owner(sink);
    sluice_status status = mssink_options_bind(host, &sink->options, err);
    if (status >= 0) {
        mssink_text_ident(&state, sink->options.state_schema);
        status = mssink_text_check(&state, err);
        sink->state = state.data;
    }
    if (status < 0) {
        mssink_destroy(sink);
        return status;
    }
    *out = sink;
    return SLUICE_OK;
}

void mssink_cancel(struct sluice_sink *sink)
{
    (void)sink; /* waits look at the host's cancellation once a second */
}

uint64_t mssink_bytes_written(struct sluice_sink *sink)
{
    return atomic_load_explicit(&sink->bytes, memory_order_relaxed);
}

/* ---- connections ---- */

/* An error anywhere ends the transaction: nothing half-applied can be committed by what follows. Not NOCOUNT: db-lib
 * could not tell a bulk load without a count from one that failed. */
static sluice_status prepare_session(struct sluice_tds_conn *conn, struct sluice_error *err)
{
    return sluice_tds_run(
        conn, "prepare a session",
        "SET XACT_ABORT ON; SET NOCOUNT OFF; SET LOCK_TIMEOUT 30000; SET "
        "ANSI_NULLS ON; SET ANSI_PADDING ON; SET ANSI_WARNINGS ON; SET ARITHABORT "
        "ON; SET CONCAT_NULL_YIELDS_NULL ON; SET QUOTED_IDENTIFIER ON; SET "
        "NUMERIC_ROUNDABORT OFF; SET IMPLICIT_TRANSACTIONS OFF; SET DATEFORMAT ymd",
        err);
}

static sluice_status connect_anew(struct sluice_sink *sink, struct sluice_tds_conn **out,
                                  struct sluice_error *err)
{
    SLUICE_TRY(sluice_tds_connect(&sink->options.server, sink->host, out, err));
    const sluice_status status = prepare_session(*out, err);
    if (status < 0) {
        sluice_tds_close(*out);
        *out = NULL;
    }
    return status;
}

sluice_status mssink_conn_take(struct sluice_sink *sink, struct sluice_tds_conn **out,
                               struct sluice_error *err)
{
    *out = NULL;
    (void)pthread_mutex_lock(&sink->mutex);
    while (*out == NULL && sink->idle_count > 0) {
        *out = sink->idle[--sink->idle_count];
        if (sluice_tds_is_dead(*out)) {
            sluice_tds_close(*out);
            *out = NULL;
        }
    }
    (void)pthread_mutex_unlock(&sink->mutex);
    return *out != NULL ? SLUICE_OK : connect_anew(sink, out, err);
}

void mssink_conn_give(struct sluice_sink *sink, struct sluice_tds_conn *conn, int clean)
{
    if (conn == NULL) {
        return;
    }
    (void)pthread_mutex_lock(&sink->mutex);
    if (clean && sink->idle_count < sizeof sink->idle / sizeof sink->idle[0]) {
        sink->idle[sink->idle_count++] = conn;
        conn = NULL;
    }
    (void)pthread_mutex_unlock(&sink->mutex);
    sluice_tds_close(conn);
}

sluice_status mssink_ctl(struct sluice_sink *sink, struct sluice_tds_conn **out,
                         struct sluice_error *err)
{
    if (sink->ctl != NULL && sluice_tds_is_dead(sink->ctl)) {
        mssink_ctl_drop(sink);
    }
    if (sink->ctl == NULL) {
        SLUICE_TRY(connect_anew(sink, &sink->ctl, err));
    }
    *out = sink->ctl;
    return SLUICE_OK;
}

void mssink_ctl_drop(struct sluice_sink *sink)
{
    sluice_tds_close(sink->ctl);
    sink->ctl = NULL;
}

/* ---- statements ---- */

sluice_status mssink_run(struct sluice_tds_conn *conn, const char *what, struct mssink_text *text,
                         struct sluice_error *err)
{
    sluice_status status = mssink_text_check(text, err);
    if (status >= 0) {
        status = sluice_tds_run(conn, what, text->data, err);
    }
    mssink_text_free(text);
    return status;
}

sluice_status mssink_value(struct sluice_tds_conn *conn, const char *what, struct mssink_text *text,
                           char **out, struct sluice_error *err)
{
    *out = NULL;
    sluice_status status = mssink_text_check(text, err);
    if (status >= 0) {
        status = sluice_tds_query(conn, what, text->data, err);
    }
    mssink_text_free(text);
    while (status == SLUICE_OK) {
        status = sluice_tds_fetch(conn, err);
        const struct sluice_bytes value =
            status == SLUICE_OK ? sluice_tds_value(conn, 0) : (struct sluice_bytes){NULL, 0};
        if (value.data == NULL || *out != NULL) {
            continue;
        }
        if (sluice_tds_is_text(conn, 0)) {
            *out = strndup(value.data, (size_t)value.size);
        }
        else {
            char number[24];
            (void)snprintf(number, sizeof number, "%lld", (long long)sluice_tds_number(conn, 0));
            *out = strdup(number);
        }
    }
    return status < 0 ? status : SLUICE_OK;
}

void mssink_rollback(struct sluice_tds_conn *conn)
{
    struct sluice_error ignored = SLUICE_ERROR_INIT;
    const sluice_status status =
        sluice_tds_run(conn, "roll back", "IF @@TRANCOUNT > 0 ROLLBACK TRANSACTION", &ignored);
    (void)status;
}

/* ---- the plan ---- */

static sluice_status keep_text(char **to, const char *from, struct sluice_error *err)
{
    free(*to);
    *to = from != NULL ? strdup(from) : NULL;
    return from == NULL || *to != NULL ? SLUICE_OK : nomem(err);
}

sluice_status mssink_plan(struct sluice_sink *sink, const struct sluice_sink_plan *plan,
                          struct sluice_error *err)
{
    if (strlen(plan->pipeline) > PIPELINE_MAX || strlen(plan->node) > NODE_MAX) {
        return sluice_error_set(err, SLUICE_E_LIMIT, SLUICE_ERROR_FATAL,
                                "the pipeline's name has more than %d bytes, or the sink's id more "
                                "than %d: they are part of a key",
                                PIPELINE_MAX, NODE_MAX);
    }
    SLUICE_TRY(keep_text(&sink->pipeline, plan->pipeline, err));
    SLUICE_TRY(keep_text(&sink->node, plan->node, err));
    SLUICE_TRY(keep_text(&sink->load_id, plan->load_id, err));
    sink->mode = plan->mode;
    sink->tallies.on_row_error = plan->on_row_error != 0 ? plan->on_row_error : SLUICE_ROWS_STOP;
    sink->tallies.max_rejected = plan->max_rejected;
    sink->on_table_error = plan->on_table_error;
    return SLUICE_OK;
}

sluice_status mssink_open(struct sluice_sink *sink, const struct sluice_sink_plan *plan,
                          struct sluice_error *err)
{
    struct sluice_tds_conn *conn = NULL;
    SLUICE_TRY(mssink_plan(sink, plan, err));
    SLUICE_TRY(mssink_ctl(sink, &conn, err));
    SLUICE_TRY(mssink_state_make(sink, conn, err));
    return mssink_aside_read(sink, conn, err);
}

/* ---- streams ---- */

void mssink_stream_free(struct mssink_stream *s)
{
    if (s == NULL) {
        return;
    }
    for (uint32_t i = 0; s->write.target != NULL && i < s->write.write.target_count; i++) {
        free(s->write.target[i]);
    }
    free(s->write.target);
    free(s->write.keys);
    free(s->write.soft_column);
    free(s->write.prefix);
    sluice_stream_desc_free(s->desc);
    mssink_table_free(s->table);
    free(s->schema);
    free(s->name);
    free(s->run);
    free(s->shadow);
    free(s);
}

static sluice_status copy_write(const struct sluice_write *from, const struct sluice_stream_desc *d,
                                struct mssink_write *out, struct sluice_error *err)
{
    /* Without a plan for tables: rows by the stream's own key, into a table of its name. */
    const struct sluice_write plain = {.struct_size = (uint32_t)sizeof plain,
                                       .mode = SLUICE_WRITE_UPSERT,
                                       .deletes = SLUICE_DELETES_HARD,
                                       .duplicates = SLUICE_DUPLICATES_ONE,
                                       .key_count = d->key_count,
                                       .target_count = d->part_count,
                                       .keys = d->keys,
                                       .target = d->parts,
                                       .soft_column = "_sluice_deleted",
                                       .metadata_prefix = "_sluice_"};
    const struct sluice_write *w = from != NULL ? from : &plain;
    out->write = *w;
    out->keys = calloc(w->key_count + 1u, sizeof *out->keys);
    out->target = calloc(w->target_count + 1u, sizeof(char *));
    out->soft_column = strdup(w->soft_column);
    out->prefix = strdup(w->metadata_prefix);
    int ok =
        out->keys != NULL && out->target != NULL && out->soft_column != NULL && out->prefix != NULL;
    for (uint32_t i = 0; ok && i < w->key_count; i++) {
        out->keys[i] = w->keys[i];
    }
    for (uint32_t i = 0; ok && i < w->target_count; i++) {
        out->target[i] = strdup(w->target[i]);
        ok = out->target[i] != NULL;
    }
    out->write.keys = out->keys;
    out->write.target = (const char *const *)out->target;
    out->write.soft_column = out->soft_column;
    out->write.metadata_prefix = out->prefix;
    return ok ? SLUICE_OK : nomem(err);
}

/* Characters, as the server counts them: UTF-16 units. */
static size_t units_of(const char *name)
{
    size_t n = 0;
    for (const unsigned char *p = (const unsigned char *)name; *p != '\0'; p++) {
        n += (*p & 0xc0u) != 0x80u;
        n += *p >= 0xf0u;
    }
    return n;
}

static sluice_status keep_name(const char *what, const char *name, char **out,
                               struct sluice_error *err)
{
    if (name[0] == '\0' || units_of(name) > NAME_MAX_CHARS) {
        return sluice_error_set(err, SLUICE_E_INVALID, 0,
                                "%s \"%.200s\" has no or more than %d characters (hint: name it "
                                "otherwise with route.to)",
                                what, name, NAME_MAX_CHARS);
    }
    *out = strdup(name);
    return *out != NULL ? SLUICE_OK : nomem(err);
}

sluice_status mssink_stream_make(struct sluice_sink *sink, const struct sluice_stream_begin *begin,
                                 struct mssink_stream **out, struct sluice_error *err)
{
    struct mssink_stream *s = calloc(1, sizeof *s);
    if (s == NULL) {
        return nomem(err);
    }
    const struct sluice_write *write =
        begin->struct_size >= offsetof(struct sluice_stream_begin, write) + sizeof begin->write
            ? begin->write
            : NULL;
    s->desc = sluice_stream_desc_copy(begin->desc);
    sluice_status status =
        s->desc != NULL ? copy_write(write, begin->desc, &s->write, err) : nomem(err);
    if (status >= 0 && s->write.write.target_count == 0) {
        status = sluice_error_set(err, SLUICE_E_INVALID, 0, "stream %s: it has no name",
                                  begin->desc->name);
    }
    if (status >= 0) {
        const struct sluice_write *w = &s->write.write;
        status =
            keep_name("the target's schema",
                      w->target_count > 1 ? w->target[0] : sink->options.schema, &s->schema, err);
        if (status >= 0) {
            status = keep_name("the target's table", w->target[w->target_count - 1], &s->name, err);
        }
    }
    if (status >= 0 && (begin->flags & SLUICE_BEGIN_LOAD) != 0) {
        s->run = strdup(begin->run);
        status = s->run != NULL ? SLUICE_OK : nomem(err);
    }
    if (status < 0) {
        mssink_stream_free(s);
        return status;
    }
    *out = s;
    return SLUICE_OK;
}

struct mssink_stream *mssink_stream_find(struct sluice_sink *sink, uint64_t stream_id,
                                         uint64_t schema_id)
{
    (void)pthread_mutex_lock(&sink->mutex);
    struct mssink_stream *s = sink->streams;
    while (s != NULL && (s->desc->stream_id != stream_id || s->desc->schema_id != schema_id)) {
        s = s->next;
    }
    (void)pthread_mutex_unlock(&sink->mutex);
    return s;
}

static struct mssink_stream *find_loading(struct sluice_sink *sink, uint64_t stream_id)
{
    (void)pthread_mutex_lock(&sink->mutex);
    struct mssink_stream *s = sink->streams;
    while (s != NULL && (s->desc->stream_id != stream_id || !s->loading)) {
        s = s->next;
    }
    (void)pthread_mutex_unlock(&sink->mutex);
    return s;
}

static void add_stream(struct sluice_sink *sink, struct mssink_stream *stream)
{
    (void)pthread_mutex_lock(&sink->mutex);
    stream->next = sink->streams;
    sink->streams = stream;
    (void)pthread_mutex_unlock(&sink->mutex);
}

static int is_key_of_source(const struct sluice_stream_desc *d, uint32_t column)
{
    for (uint32_t k = 0; k < d->key_count; k++) {
        if (d->keys[k] == column) {
            return 1;
        }
    }
    return 0;
}

/* Rows must be found by what changes bring of the old row. */
static sluice_status check_key(const struct mssink_stream *s, struct sluice_error *err)
{
    const struct sluice_write *w = &s->write.write;
    const struct sluice_stream_desc *d = s->desc;
    const int inserts = (d->flags & SLUICE_STREAM_INSERT_ONLY) != 0 ||
                        w->mode == SLUICE_WRITE_HISTORY || w->mode == SLUICE_WRITE_APPEND;
    if (inserts || d->before == SLUICE_BEFORE_FULL) {
        return SLUICE_OK;
    }
    if (w->key_count == 0) {
        return sluice_error_set(
            err, SLUICE_E_INVALID, 0,
            "it has no key, and its updates and deletes come without the old row "
            "(hint: give it a primary key, or write it with write.mode: append or "
            "history)");
    }
    for (uint32_t i = 0; i < w->key_count; i++) {
        if (!is_key_of_source(d, w->keys[i])) {
            return sluice_error_set(err, SLUICE_E_INVALID, 0,
                                    "write.key has column %s, whose old value does not come with "
                                    "updates and deletes (hint: use columns of the source's key)",
                                    d->schema->children[w->keys[i]]->name);
        }
    }
    return SLUICE_OK;
}

/* A stream that is followed: its table is there, or made. */
static sluice_status begin_changes(struct sluice_sink *sink, struct mssink_stream *stream,
                                   struct sluice_error *err)
{
    struct sluice_tds_conn *conn = NULL;
    struct mssink_ddl ddl = {0};
    struct mssink_known known = {0};
    SLUICE_TRY(check_key(stream, err));
    SLUICE_TRY(mssink_ctl(sink, &conn, err));
    sluice_status status = mssink_known_get(sink, conn, stream->desc->name, &known, err);
    if (status >= 0) {
        status = mssink_ddl_plan(sink, conn, stream, stream->name, &ddl, err);
    }
    if (status >= 0 && ddl.creates && known.found) {
        status = sluice_error_set(
            err, SLUICE_E_SCHEMA, 0,
            "its table is gone from the target, and its rows with it (hint: bring it back, or have "
            "it loaded anew: sluice state resync FILE --stream %s)",
            stream->desc->name);
    }
    if (status >= 0 && ddl.refused != NULL) {
        status = sluice_error_set(err, SLUICE_E_SCHEMA, 0, "%s", ddl.refused);
    }
    if (status >= 0 && ddl.creates) {
        status = mssink_make_now(sink, conn, stream, &ddl, err);
    }
    mssink_ddl_free(&ddl);
    mssink_known_free(&known);
    return status;
}

sluice_status mssink_stream_begin(struct sluice_sink *sink, const struct sluice_stream_begin *begin,
                                  struct sluice_error *err)
{
    const int load = (begin->flags & SLUICE_BEGIN_LOAD) != 0;
    struct mssink_stream *stream =
        mssink_stream_find(sink, begin->desc->stream_id, begin->desc->schema_id);
    if (stream != NULL && !load) {
        return SLUICE_OK; /* the feed was opened again */
    }
    SLUICE_TRY(mssink_stream_make(sink, begin, &stream, err));
    sluice_status status =
        load && sink->mode != SLUICE_MODE_FULL_LOAD_ONLY ? check_key(stream, err) : SLUICE_OK;
    if (status >= 0) {
        status = load ? mssink_load_begin(sink, stream, err) : begin_changes(sink, stream, err);
    }
    if (status < 0) {
        mssink_stream_free(stream);
        return sluice_error_wrap(err, "stream %s", begin->desc->name);
    }
    add_stream(sink, stream);
    return SLUICE_OK;
}

sluice_status mssink_stream_end(struct sluice_sink *sink, const struct sluice_stream_end *end,
                                struct sluice_error *err)
{
    struct mssink_stream *stream = find_loading(sink, end->stream_id);
    if (stream == NULL) {
        return sluice_error_set(err, SLUICE_E_STATE, SLUICE_ERROR_FATAL,
                                "the end of a load that did not begin");
    }
    return mssink_load_end(sink, stream, end, err);
}

sluice_status mssink_describe(struct sluice_sink *sink, const struct sluice_sink_plan *plan,
                              const struct sluice_stream_begin *begin, sluice_finding_visit visit,
                              void *vctx, struct sluice_error *err)
{
    struct sluice_tds_conn *conn = NULL;
    struct mssink_stream *stream = NULL;
    struct mssink_ddl ddl = {0};
    SLUICE_TRY(mssink_plan(sink, plan, err));
    SLUICE_TRY(mssink_ctl(sink, &conn, err));
    SLUICE_TRY(mssink_stream_make(sink, begin, &stream, err));
    sluice_status status = mssink_ddl_plan(sink, conn, stream, stream->name, &ddl, err);
    struct sluice_finding finding = {.struct_size = (uint32_t)sizeof finding,
                                     .severity = SLUICE_FINDING_INFO,
                                     .subject = begin->desc->name};
    for (uint32_t i = 0; status == SLUICE_OK && i < ddl.count; i++) {
        finding.what = ddl.statements[i];
        status = visit(vctx, &finding);
    }
    if (status == SLUICE_OK && ddl.primary_key != NULL) {
        finding.what = ddl.primary_key;
        status = visit(vctx, &finding);
    }
    if (status == SLUICE_OK && ddl.refused != NULL) {
        finding.severity = SLUICE_FINDING_ERROR;
        finding.what = ddl.refused;
        status = visit(vctx, &finding);
    }
    mssink_ddl_free(&ddl);
    mssink_stream_free(stream);
    return status < 0 ? status : SLUICE_OK;
}

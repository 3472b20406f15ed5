/* Source sqlserver: instance, check, discovery, opening. */
#include "feed.h"
#include "setup.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void streams_free(struct sluice_source *src)
{
    for (uint32_t i = 0; i < src->stream_count; i++) {
        ms_stream_free(src->streams[i]);
    }
    free(src->streams);
    src->streams = NULL;
    src->stream_count = 0;
}

static void ms_destroy(struct sluice_source *src)
{
    if (src != NULL) {
        streams_free(src);
        sluice_tds_close(src->asking);
        free(src);
    }
}

static sluice_status ms_create(const struct sluice_host *host, struct sluice_source **out,
                               struct sluice_error *err)
{
    static const struct sluice_option_binding bindings[] = {
        SLUICE_BIND(struct ms_options, isolation, "isolation"),
        SLUICE_BIND(struct ms_options, fine_times, "fine_times"),
        SLUICE_BIND(struct ms_options, clr_types, "clr_types"),
        SLUICE_BIND(struct ms_options, batch_rows, "batch_rows"),
        SLUICE_BIND(struct ms_options, capture, "capture"),
        SLUICE_BIND(struct ms_options, before_image, "before_image"),
        SLUICE_BIND(struct ms_options, poll_us, "poll_interval"),
        SLUICE_BIND(struct ms_options, pieces, "pieces"),
        SLUICE_BIND(struct ms_options, split_bytes, "split_bytes"),
        {NULL, 0}};
    struct sluice_source *src = calloc(1, sizeof *src);
    if (src == NULL) {
        return sluice_error_set(err, SLUICE_E_NOMEM, 0, "out of memory for a source");
    }
    src->host = host;
    src->failpoints = sluice_failpoints_of(host);
    sluice_status status = sluice_tds_settings_bind(host, &src->options.server, err);
    if (status >= 0) {
        status = sluice_options_bind(host, bindings, &src->options, err);
    }
    src->way = src->options.capture == MS_CAPTURE_TRACKING ? &ms_way_tracking : &ms_way_cdc;
    if (status >= 0 && src->way->net && src->options.before_image == MS_BEFORE_FULL) {
        status = sluice_error_set(err, SLUICE_E_INVALID, SLUICE_ERROR_FATAL,
                                  "before_image: full: %s keeps nothing of the old row (hint: "
                                  "before_image: key, or capture: cdc)",
                                  src->way->name);
    }
    if (status < 0) {
        ms_destroy(src);
        return status;
    }
    *out = src;
    return SLUICE_OK;
}

static void ms_cancel(struct sluice_source *src)
{
    (void)src; /* waits look at the host's cancellation once a second */
}

sluice_status ms_connect_and_ask(struct sluice_source *src, struct sluice_tds_conn **out,
                                 int *snapshot_allowed, struct sluice_error *err)
{
    SLUICE_TRY(sluice_tds_connect(&src->options.server, src->host, out, err));
    const sluice_status status = ms_catalog_server(src, *out, snapshot_allowed, err);
    if (status < 0) {
        sluice_tds_close(*out);
        *out = NULL;
    }
    return status;
}

/* ---- discovery ---- */

struct discovery {
    struct sluice_source *src;
    sluice_stream_visit visit;
    void *vctx;
    struct ms_capture capture; /* empty when the database captures nothing */
};

/* A table with a column that cannot be read is there with its problem. */
static sluice_status visit_problem(const struct discovery *d, const struct ms_table *table,
                                   const char *name, const struct sluice_error *problem)
{
    const char *const parts[2] = {table->schema_name, table->table_name};
    const struct sluice_stream_desc desc = {.struct_size = (uint32_t)sizeof desc,
                                            .stream_id = (uint64_t)table->object_id,
                                            .name = name,
                                            .part_count = 2,
                                            .parts = parts};
    return d->visit(d->vctx, &desc, problem);
}

static sluice_status discover_table(void *vctx, const struct ms_table *table,
                                    struct sluice_error *err)
{
    const struct discovery *d = vctx;
    const char *const parts[2] = {table->schema_name, table->table_name};
    char name[sizeof table->schema_name * 4];
    struct ms_stream *s = NULL;
    struct sluice_error problem = SLUICE_ERROR_INIT;
    sluice_status status = ms_stream_make(
        d->src, table, NULL, ms_capture_newest(&d->capture, table->object_id), 0, &s, &problem);
    if (status == SLUICE_E_NOMEM) {
        *err = problem;
        return status;
    }
    if (status < 0) {
        (void)sluice_stream_name(parts, 2, name, sizeof name);
        return visit_problem(d, table, name, &problem);
    }
    status = d->visit(d->vctx, &s->desc, NULL);
    ms_stream_free(s);
    return status;
}

static sluice_status ms_discover(struct sluice_source *src, sluice_stream_visit visit, void *vctx,
                                 struct sluice_error *err)
{
    struct discovery d = {.src = src, .visit = visit, .vctx = vctx};
    struct sluice_tds_conn *conn = NULL;
    int snapshot = 0;
    SLUICE_TRY(ms_connect_and_ask(src, &conn, &snapshot, err));
    int enabled = 0;
    sluice_status status = src->way->enabled(conn, &enabled, err);
    if (status >= 0 && enabled) {
        status = src->way->read(conn, &d.capture, err);
    }
    if (status >= 0) {
        status = ms_catalog_tables(conn, discover_table, &d, err);
    }
    ms_capture_free(&d.capture);
    sluice_tds_close(conn);
    return status;
}

/* ---- opening ---- */

struct opening {
    struct sluice_source *src;
    const struct sluice_source_plan *plan;
    struct discovery d;
    unsigned char *met; /* streams of the plan that are there */
    struct ms_lsn max;  /* how far the capture job was before any load begins */
};

static sluice_status open_table(void *vctx, const struct ms_table *table, struct sluice_error *err)
{
    struct opening *o = vctx;
    const char *const parts[2] = {table->schema_name, table->table_name};
    char name[sizeof table->schema_name * 4];
    struct sluice_error problem = SLUICE_ERROR_INIT;
    struct ms_stream *s = NULL;
    uint32_t i = 0;
    (void)sluice_stream_name(parts, 2, name, sizeof name);
    while (i < o->plan->stream_count && strcmp(o->plan->streams[i]->name, name) != 0) {
        i++;
    }
    if (i == o->plan->stream_count) {
        return SLUICE_OK;
    }
    o->met[i] = 1;
    const struct ms_instance *captured = ms_capture_newest(&o->d.capture, table->object_id);
    sluice_status status =
        ms_setup_check(o->src, o->plan->streams[i], table, captured, name, &problem);
    if (status >= 0) {
        status = ms_stream_make(o->src, table, o->plan->streams[i], captured, o->plan->row_limit,
                                &s, &problem);
    }
    if (status >= 0) {
        status = ms_setup_check_key(o->src, s, &problem);
    }
    if (status == SLUICE_E_NOMEM) {
        *err = problem;
        return status;
    }
    if (status < 0) {
        ms_stream_free(s);
        return visit_problem(&o->d, table, name, &problem);
    }
    ms_setup_place(s, captured, &o->max);
    status = o->d.visit(o->d.vctx, &s->desc, NULL);
    o->src->streams[o->src->stream_count++] = s;
    return status;
}

/* What the plan names and the database lacks. */
static sluice_status tell_missing(const struct opening *o)
{
    for (uint32_t i = 0; i < o->plan->stream_count; i++) {
        struct sluice_error problem = SLUICE_ERROR_INIT;
        const struct sluice_stream_desc desc = {.struct_size = (uint32_t)sizeof desc,
                                                .name = o->plan->streams[i]->name};
        if (o->met[i]) {
            continue;
        }
        (void)sluice_error_set(&problem, SLUICE_E_NOT_FOUND, 0, "table %s is not there any more",
                               desc.name);
        const sluice_status status = o->d.visit(o->d.vctx, &desc, &problem);
        if (status != SLUICE_OK) {
            return status < 0 ? status : SLUICE_OK;
        }
    }
    return SLUICE_OK;
}

static sluice_status ms_open(struct sluice_source *src, const struct sluice_source_plan *plan,
                             struct sluice_source_info *info, sluice_stream_visit visit, void *vctx,
                             struct sluice_error *err)
{
    struct opening o = {.src = src, .plan = plan, .d = {.src = src, .visit = visit, .vctx = vctx}};
    struct sluice_tds_conn *conn = NULL;
    int allowed = 0;
    streams_free(src);
    src->plan_batch_rows = plan->batch_rows;
    src->plan_batch_bytes = plan->batch_bytes;
    src->streams = calloc(plan->stream_count + 1u, sizeof(struct ms_stream *));
    o.met = calloc(plan->stream_count + 1u, 1);
    sluice_status status =
        src->streams != NULL && o.met != NULL
            ? ms_connect_and_ask(src, &conn, &allowed, err)
            : sluice_error_set(err, SLUICE_E_NOMEM, 0, "out of memory for tables");
    if (status >= 0 && src->options.isolation == MS_ISOLATION_SNAPSHOT && !allowed) {
        status =
            sluice_error_set(err, SLUICE_E_UNSUPPORTED, SLUICE_ERROR_FATAL,
                             "the database does not allow SNAPSHOT isolation (hint: ALTER "
                             "DATABASE … SET ALLOW_SNAPSHOT_ISOLATION ON, or isolation: auto)");
    }
    src->snapshot_allowed = allowed != 0;
    src->snapshot = allowed && src->options.isolation != MS_ISOLATION_READ_COMMITTED;
    if (status >= 0) {
        status = ms_setup_begin(src, plan, conn, &o.d.capture, &o.max, err);
    }
    if (status >= 0) {
        status = ms_catalog_tables(conn, open_table, &o, err);
    }
    if (status >= 0) {
        status = tell_missing(&o);
    }
    if (status >= 0) {
        status = ms_setup_end(src, plan, conn, &o.max, err);
    }
    ms_capture_free(&o.d.capture);
    if (status >= 0) {
        status = ms_cuts_find(src, plan, conn, err);
    }
    sluice_tds_close(conn);
    free(o.met);
    info->identity = src->identity;
    info->server = src->server;
    return status;
}

const struct sluice_source_api ms_source_api = {
    .struct_size = (uint32_t)sizeof ms_source_api,
    .create = ms_create,
    .destroy = ms_destroy,
    .check = ms_check,
    .cancel = ms_cancel,
    .discover = ms_discover,
    .open = ms_open,
    .shards = ms_any_shards,
    .reader_open = ms_any_open,
    .reader_next = ms_any_next,
    .reader_close = ms_any_close,
    .measure = ms_measure,
    .digest = ms_digest,
};

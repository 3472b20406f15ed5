#include "setup.h"

#include <stdio.h>
#include <string.h>

#include "feed.h"

/* A commit's time is a datetime, which rounds to 1/300 s. */
#define ROUNDING_US 5000

static int follows(const struct sluice_stream_select *select)
{
    return (select->flags & SLUICE_SELECT_CHANGES) != 0;
}

static sluice_status take_until(struct sluice_source *src, const struct sluice_source_plan *plan,
                                struct sluice_error *err)
{
    int has_zone = 0;
    int64_t zone = 0;
    src->until = (struct ms_lsn){{0}};
    src->until_us = 0;
    if (plan->until == NULL || src->way->parse(plan->until, &src->until)) {
        return SLUICE_OK;
    }
    if (ms_time_parse(plan->until, &src->until_us, &has_zone, &zone) && has_zone) {
        return SLUICE_OK;
    }
    return sluice_error_set(err, SLUICE_E_INVALID, SLUICE_ERROR_FATAL,
                            "until %s: neither %s nor a time like 2026-11-23T00:52:34Z",
                            plan->until, src->way->position_form);
}

sluice_status ms_setup_begin(struct sluice_source *src, const struct sluice_source_plan *plan,
                             struct sluice_tds_conn *conn, struct ms_capture *capture,
                             struct ms_lsn *max, struct sluice_error *err)
{
    int enabled = 0;
    int64_t fingerprint[MS_FINGERPRINT];
    src->wants_feed = 0;
    src->mode = plan->mode;
    src->once = (plan->flags & SLUICE_PLAN_ONCE) != 0;
    *max = (struct ms_lsn){{0}};
    for (uint32_t i = 0; i < plan->stream_count; i++) {
        src->wants_feed |= follows(plan->streams[i]);
    }
    if (!src->wants_feed) {
        return SLUICE_OK;
    }
    if ((size_t)snprintf(src->shard_id, sizeof src->shard_id, "%s/changes", plan->node) >=
        sizeof src->shard_id) {
        return sluice_error_set(err, SLUICE_E_LIMIT, SLUICE_ERROR_FATAL,
                                "the id %s is too long for a shard's", plan->node);
    }
    SLUICE_TRY(take_until(src, plan, err));
    SLUICE_TRY(src->way->enabled(conn, &enabled, err));
    if (!enabled) {
        return src->way->disabled(src, err);
    }
    if (src->way->snapshots && !src->snapshot_allowed) {
        return sluice_error_set(
            err, SLUICE_E_UNAVAILABLE, SLUICE_ERROR_FATAL,
            "database %s: %s is read under SNAPSHOT isolation, which the database does not allow "
            "(hint: ALTER DATABASE [%s] SET ALLOW_SNAPSHOT_ISOLATION ON)",
            src->options.server.database, src->way->name, src->options.server.database);
    }
    SLUICE_TRY(src->way->progress(conn, max, fingerprint, err));
    SLUICE_TRY(src->way->read(conn, capture, err));
    return sluice_failpoint_hit(src->failpoints, "sqlserver.after_max_lsn", err);
}

static int has_key(const struct ms_table *table, const struct ms_instance *captured)
{
    for (uint32_t i = 0; i < table->count; i++) {
        if (table->key_ordinals[i] > 0) {
            return 1;
        }
    }
    for (uint32_t i = 0; i < captured->table.count; i++) {
        if (captured->table.key_ordinals[i] > 0) {
            return 1;
        }
    }
    return 0;
}

static sluice_status check_keyless(const struct sluice_stream_select *select,
                                   const struct ms_instance *captured, const char *name,
                                   struct sluice_error *err)
{
    if ((select->flags & SLUICE_SELECT_LOAD) != 0) {
        return sluice_error_set(
            err, SLUICE_E_UNSUPPORTED, 0,
            "table %s has no primary key: changes that are in its load already could not be told "
            "from others (hint: give it a key, or follow it with mode: cdc_only, or load it with "
            "mode: full_load_only)",
            name);
    }
    for (uint32_t i = 0; i < captured->table.count; i++) {
        if (captured->lob[i]) {
            return sluice_error_set(
                err, SLUICE_E_UNSUPPORTED, 0,
                "table %s has no primary key, and changes do not tell all of its rows by their "
                "values, since column %.128s is large (hint: give it a key)",
                name, captured->table.columns[i].name);
        }
    }
    return SLUICE_OK;
}

void ms_setup_enable(const char *schema_name, const char *table_name, char out[MS_ENABLE_MAX])
{
    char schema[MS_ENABLE_MAX / 2 - 64];
    char name[MS_ENABLE_MAX / 2 - 64];
    (void)sluice_tds_quote_text(schema_name, schema, sizeof schema);
    (void)sluice_tds_quote_text(table_name, name, sizeof name);
    (void)snprintf(out, MS_ENABLE_MAX,
                   "EXEC sys.sp_cdc_enable_table @source_schema = %s, @source_name = %s, "
                   "@role_name = NULL",
                   schema, name);
}

sluice_status ms_setup_check(const struct sluice_source *src,
                             const struct sluice_stream_select *select,
                             const struct ms_table *table, const struct ms_instance *captured,
                             const char *name, struct sluice_error *err)
{
    if (!follows(select)) {
        return SLUICE_OK;
    }
    return table->is_view
               ? sluice_error_set(err, SLUICE_E_UNSUPPORTED, 0,
                                  "%s is a view, which has no changes (hint: load it by a pipeline "
                                  "with mode: full_load_only)",
                                  name)
               : src->way->admit(select, table, captured, name, err);
}

sluice_status ms_setup_check_key(const struct sluice_source *src, const struct ms_stream *stream,
                                 struct sluice_error *err)
{
    if (!src->way->net || (stream->flags & SLUICE_SELECT_CHANGES) == 0 ||
        stream->desc.key_count > 0) {
        return SLUICE_OK;
    }
    return sluice_error_set(err, SLUICE_E_UNSUPPORTED, 0,
                            "table %s: a column of its key is left out, by which alone %s tells "
                            "its changes (hint: deliver the whole key)",
                            stream->name, src->way->name);
}

sluice_status ms_setup_admit(const struct sluice_stream_select *select,
                             const struct ms_table *table, const struct ms_instance *captured,
                             const char *name, struct sluice_error *err)
{
    if (captured == NULL) {
        char statement[MS_ENABLE_MAX];
        ms_setup_enable(table->schema_name, table->table_name, statement);
        return sluice_error_set(err, SLUICE_E_NOT_FOUND, 0, "table %s is not captured (hint: %s)",
                                name, statement);
    }
    return has_key(table, captured) ? SLUICE_OK : check_keyless(select, captured, name, err);
}

void ms_setup_place(struct ms_stream *s, const struct ms_instance *captured,
                    const struct ms_lsn *max)
{
    if ((s->flags & SLUICE_SELECT_CHANGES) == 0) {
        return;
    }
    struct ms_lsn at =
        captured->start; /* the instance was there before the load: so it is behind its start */
    ms_lsn_decrement(&at);
    s->load_position = ms_lsn_compare(max, &at) > 0 ? *max : at;
    ms_version_mark(&s->load_position, captured);
    if ((s->flags & SLUICE_SELECT_LOAD) == 0) {
        return;
    }
    /* As `_pos` of change files: readers compare the two as texts. */
    sluice_hex_encode(s->load_position.bytes, MS_LSN_BYTES, s->load_position_text);
    s->desc.load_position = ms_lsn_bytes(&s->load_position);
    s->desc.load_position_text = s->load_position_text;
    if (s->since.size == 0) {
        s->since_lsn = s->load_position;
        s->since = ms_lsn_bytes(&s->since_lsn);
    }
}

/* The smallest position behind which some stream needs changes. */
static void set_start(struct sluice_source *src, const struct ms_lsn *max)
{
    int any = 0;
    src->start = *max;
    for (uint32_t i = 0; i < src->stream_count; i++) {
        const struct ms_stream *s = src->streams[i];
        struct ms_lsn at = s->load_position;
        if ((s->flags & SLUICE_SELECT_CHANGES) == 0) {
            continue;
        }
        (void)ms_lsn_take(s->since, &at);
        if (!any || ms_lsn_compare(&at, &src->start) < 0) {
            src->start = at;
            any = 1;
        }
    }
    for (uint32_t i = 0; i < src->stream_count; i++) {
        ms_version_join(&src->start, &src->streams[i]->load_position);
    }
}

sluice_status ms_setup_position_time(struct sluice_tds_conn *conn, const struct ms_lsn *position,
                                     int64_t *out_us, struct sluice_error *err)
{
    char at[MS_LSN_LITERAL];
    char sql[256];
    ms_lsn_literal(position, at);
    (void)snprintf(sql, sizeof sql,
                   "SELECT TOP (1) tran_end_time FROM cdc.lsn_time_mapping WHERE start_lsn <= %s "
                   "ORDER BY start_lsn DESC",
                   at);
    sluice_status status = sluice_tds_query(conn, "ask when a change was committed", sql, err);
    while (status == SLUICE_OK) {
        status = sluice_tds_fetch(conn, err);
        if (status == SLUICE_OK) {
            *out_us = ms_datetime_us(sluice_tds_value(conn, 0));
        }
    }
    return status < 0 ? status : SLUICE_OK;
}

sluice_status ms_setup_end(struct sluice_source *src, const struct sluice_source_plan *plan,
                           struct sluice_tds_conn *conn, const struct ms_lsn *max,
                           struct sluice_error *err)
{
    int64_t clock = 0;
    int64_t zone = 0;
    struct ms_lsn resume;
    if (!src->wants_feed) {
        return SLUICE_OK;
    }
    set_start(src, max);
    src->position_us = 0;
    for (uint32_t i = 0; i < plan->resume_count; i++) {
        if (strcmp(plan->resumes[i]->shard_id, src->shard_id) == 0 &&
            src->way->position_time != NULL && ms_lsn_take(plan->resumes[i]->position, &resume)) {
            SLUICE_TRY(src->way->position_time(conn, &resume, &src->position_us, err));
        }
    }
    SLUICE_TRY(ms_clock_read(conn, &clock, &zone, err));
    src->once_us = clock + ROUNDING_US;
    return SLUICE_OK;
}

sluice_status ms_setup_shard(struct sluice_source *src, sluice_shard_visit visit, void *vctx)
{
    const struct sluice_shard_desc shard = {.struct_size = (uint32_t)sizeof shard,
                                            .kind = SLUICE_SHARD_CHANGES,
                                            .id = src->shard_id,
                                            .rows_estimate = -1,
                                            .bytes_estimate = -1,
                                            .start = ms_lsn_bytes(&src->start)};
    if (!src->wants_feed) {
        return SLUICE_OK;
    }
    const sluice_status status = visit(vctx, &shard);
    return status == SLUICE_END ? SLUICE_OK : status;
}

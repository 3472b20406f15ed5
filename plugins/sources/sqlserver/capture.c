#include "capture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char what[] = "read the capture instances";

/* One row a captured column. Its type is that of the change table's column; what the table itself says of the
 * column (nullable, identity, rowversion) comes along. */
static const char instances_sql[] =
    "SELECT ct.source_object_id, ct.object_id, ct.capture_instance, ct.start_lsn, ct.create_date, "
    "s.name AS schema_name, t.name AS table_name, cc.column_name, cc.is_computed, "
    "COALESCE(base.name, own.name) AS type_name, c.max_length, c.precision, c.scale, "
    "sc.is_nullable, sc.is_identity, st.name AS source_type, ic.index_ordinal, cmd.column_id AS "
    "command_column "
    "FROM cdc.change_tables ct JOIN sys.tables t ON t.object_id = ct.source_object_id "
    "JOIN sys.schemas s ON s.schema_id = t.schema_id "
    "JOIN cdc.captured_columns cc ON cc.object_id = ct.object_id "
    "JOIN sys.columns c ON c.object_id = ct.object_id AND c.name = cc.column_name "
    "LEFT JOIN sys.types base ON base.user_type_id = c.system_type_id "
    "LEFT JOIN sys.types own ON own.user_type_id = c.user_type_id "
    "LEFT JOIN sys.columns sc ON sc.object_id = ct.source_object_id AND sc.name = cc.column_name "
    "LEFT JOIN sys.types st ON st.user_type_id = sc.system_type_id "
    "LEFT JOIN cdc.index_columns ic ON ic.object_id = ct.object_id AND ic.column_name = "
    "cc.column_name "
    "LEFT JOIN sys.columns cmd ON cmd.object_id = ct.object_id AND cmd.name = N'__$command_id' "
    "ORDER BY ct.source_object_id, ct.start_lsn, ct.object_id, cc.column_ordinal";

enum {
    I_TABLE,
    I_OBJECT,
    I_NAME,
    I_START,
    I_CREATED,
    I_SCHEMA_NAME,
    I_TABLE_NAME,
    I_COLUMN,
    I_COMPUTED,
    I_TYPE,
    I_LENGTH,
    I_PRECISION,
    I_SCALE,
    I_NULLABLE,
    I_IDENTITY,
    I_SOURCE_TYPE,
    I_KEY,
    I_COMMAND
};

static sluice_status nomem(struct sluice_error *err)
{
    return sluice_error_set(err, SLUICE_E_NOMEM, 0, "out of memory for capture instances");
}

static void instance_free(struct ms_instance *one)
{
    if (one != NULL) {
        free(one->table.columns);
        free(one->table.key_ordinals);
        free(one->lob);
        free(one);
    }
}

void ms_capture_free(struct ms_capture *capture)
{
    for (uint32_t i = 0; i < capture->count; i++) {
        instance_free(capture->instances[i]);
    }
    free(capture->instances);
    *capture = (struct ms_capture){0};
}

struct ms_instance *ms_capture_add(struct ms_capture *capture, struct sluice_error *err)
{
    if (capture->count == capture->cap) {
        const uint32_t cap = capture->cap > 0 ? capture->cap * 2 : 16;
        struct ms_instance **grown =
            realloc(capture->instances, cap * sizeof(struct ms_instance *));
        if (grown == NULL) {
            (void)nomem(err);
            return NULL;
        }
        capture->instances = grown;
        capture->cap = cap;
    }
    struct ms_instance *one = calloc(1, sizeof *one);
    if (one == NULL) {
        (void)nomem(err);
        return NULL;
    }
    capture->instances[capture->count++] = one;
    return one;
}

static sluice_status add_instance(struct ms_capture *capture, const struct sluice_tds_conn *conn,
                                  struct sluice_error *err)
{
    struct ms_instance *one = ms_capture_add(capture, err);
    if (one == NULL) {
        return SLUICE_E_NOMEM;
    }
    one->object_id = sluice_tds_number(conn, I_OBJECT);
    one->table.object_id = sluice_tds_number(conn, I_TABLE);
    one->table.rows = -1;
    one->created_us = ms_datetime_us(sluice_tds_value(conn, I_CREATED));
    one->has_command = sluice_tds_value(conn, I_COMMAND).data != NULL;
    (void)ms_lsn_take(sluice_tds_value(conn, I_START), &one->start);
    sluice_tds_text(conn, I_NAME, one->name, sizeof one->name);
    sluice_tds_text(conn, I_SCHEMA_NAME, one->table.schema_name, sizeof one->table.schema_name);
    sluice_tds_text(conn, I_TABLE_NAME, one->table.table_name, sizeof one->table.table_name);
    return SLUICE_OK;
}

static int is_lob(const struct sluice_tds_column *c)
{
    return c->max_length == -1 || strcmp(c->type, "text") == 0 || strcmp(c->type, "ntext") == 0 ||
           strcmp(c->type, "image") == 0 || strcmp(c->type, "xml") == 0;
}

static sluice_status grow(struct ms_instance *one, struct sluice_error *err)
{
    struct ms_table *t = &one->table;
    const uint32_t cap = t->cap > 0 ? t->cap * 2 : 32;
    struct sluice_tds_column *columns = realloc(t->columns, cap * sizeof *columns);
    t->columns = columns != NULL ? columns : t->columns;
    uint32_t *keys = realloc(t->key_ordinals, cap * sizeof *keys);
    t->key_ordinals = keys != NULL ? keys : t->key_ordinals;
    uint8_t *lob = realloc(one->lob, cap);
    one->lob = lob != NULL ? lob : one->lob;
    if (columns == NULL || keys == NULL || lob == NULL) {
        return nomem(err);
    }
    t->cap = cap;
    return SLUICE_OK;
}

static sluice_status add_column(struct ms_instance *one, const struct sluice_tds_conn *conn,
                                struct sluice_error *err)
{
    char source_type[64];
    struct ms_table *t = &one->table;
    if (t->count == t->cap) {
        SLUICE_TRY(grow(one, err));
    }
    struct sluice_tds_column *c = &t->columns[t->count];
    *c = (struct sluice_tds_column){0};
    sluice_tds_text(conn, I_COLUMN, c->name, sizeof c->name);
    sluice_tds_text(conn, I_TYPE, c->type, sizeof c->type);
    sluice_tds_text(conn, I_SOURCE_TYPE, source_type, sizeof source_type);
    c->max_length = (int32_t)sluice_tds_number(conn, I_LENGTH);
    c->precision = (int32_t)sluice_tds_number(conn, I_PRECISION);
    c->scale = (int32_t)sluice_tds_number(conn, I_SCALE);
    c->computed = sluice_tds_number(conn, I_COMPUTED) != 0;
    c->identity = sluice_tds_number(conn, I_IDENTITY) != 0;
    /* A column that the table has no longer is NULL from then on. */
    c->nullable =
        sluice_tds_value(conn, I_NULLABLE).data == NULL || sluice_tds_number(conn, I_NULLABLE) != 0;
    one->lob[t->count] = (uint8_t)is_lob(c);
    if (strcmp(source_type, "timestamp") == 0 || strcmp(source_type, "rowversion") == 0) {
        (void)snprintf(c->type, sizeof c->type,
                       "timestamp"); /* captured as binary(8): the same bytes */
    }
    t->key_ordinals[t->count++] = (uint32_t)sluice_tds_number(conn, I_KEY);
    return SLUICE_OK;
}

static sluice_status take_row(struct ms_capture *capture, const struct sluice_tds_conn *conn,
                              struct sluice_error *err)
{
    struct ms_instance *last = capture->count > 0 ? capture->instances[capture->count - 1] : NULL;
    if (last == NULL || last->object_id != sluice_tds_number(conn, I_OBJECT)) {
        SLUICE_TRY(add_instance(capture, conn, err));
        last = capture->instances[capture->count - 1];
    }
    return add_column(last, conn, err);
}

sluice_status ms_capture_enabled(struct sluice_tds_conn *conn, int *enabled,
                                 struct sluice_error *err)
{
    SLUICE_TRY(sluice_tds_query(conn, "ask whether the database captures changes",
                                "SELECT is_cdc_enabled FROM sys.databases WHERE name = DB_NAME()",
                                err));
    sluice_status status = sluice_tds_fetch(conn, err);
    *enabled = status == SLUICE_OK && sluice_tds_number(conn, 0) != 0;
    while (status == SLUICE_OK) {
        status = sluice_tds_fetch(conn, err);
    }
    return status < 0 ? status : SLUICE_OK;
}

/* 208: the schema cdc is gone with the capture. */
static sluice_status explain(struct sluice_error *err, sluice_status status)
{
    if (status >= 0 || err == NULL || err->native_code != 208) {
        return status;
    }
    return sluice_error_set(
        err, SLUICE_E_POSITION_LOST, SLUICE_ERROR_FATAL,
        "change data capture is not enabled for the database any more: changes since then are lost "
        "(hint: EXEC sys.sp_cdc_enable_db, enable the tables again, then load anew: sluice state "
        "reset)");
}

sluice_status ms_capture_read(struct sluice_tds_conn *conn, struct ms_capture *out,
                              struct sluice_error *err)
{
    *out = (struct ms_capture){0};
    /* Asked first: what changes meanwhile is seen as a change. */
    SLUICE_TRY(ms_capture_max(conn, &out->max, out->fingerprint, err));
    sluice_status status = sluice_tds_query(conn, what, instances_sql, err);
    while (status == SLUICE_OK) {
        status = sluice_tds_fetch(conn, err);
        if (status == SLUICE_OK) {
            status = take_row(out, conn, err);
            if (status < 0) {
                sluice_tds_cancel(conn);
            }
        }
    }
    if (status < 0) {
        ms_capture_free(out);
        return explain(err, status);
    }
    return SLUICE_OK;
}

const struct ms_instance *ms_capture_newest(const struct ms_capture *capture, int64_t table_id)
{
    const struct ms_instance *out = NULL;
    for (uint32_t i = 0; i < capture->count; i++) {
        if (capture->instances[i]->table.object_id == table_id) {
            out = capture->instances[i]; /* they ascend by start */
        }
    }
    return out;
}

const struct ms_instance *ms_capture_covering(const struct ms_capture *capture, int64_t table_id,
                                              const struct ms_lsn *position,
                                              struct ms_lsn *hand_over)
{
    const struct ms_instance *out = NULL;
    struct ms_lsn next = *position;
    ms_lsn_increment(&next);
    *hand_over = (struct ms_lsn){{0}};
    for (uint32_t i = 0; i < capture->count; i++) {
        const struct ms_instance *one = capture->instances[i];
        if (one->table.object_id != table_id) {
            continue;
        }
        if (ms_lsn_compare(&one->start, &next) <= 0) {
            out = one;
        }
        else if (ms_lsn_is_zero(hand_over)) {
            *hand_over = one->start;
        }
    }
    return out;
}

int32_t ms_instance_column(const struct ms_instance *instance, const char *name)
{
    for (uint32_t i = 0; i < instance->table.count; i++) {
        const struct sluice_tds_column *c = &instance->table.columns[i];
        if ((!c->computed || instance->is_table) && strcmp(c->name, name) == 0) {
            return (int32_t)i;
        }
    }
    return -1;
}

sluice_status ms_capture_max(struct sluice_tds_conn *conn, struct ms_lsn *max,
                             int64_t fingerprint[MS_FINGERPRINT], struct sluice_error *err)
{
    memset(fingerprint, 0, MS_FINGERPRINT * sizeof *fingerprint);
    *max = (struct ms_lsn){{0}};
    sluice_status status = sluice_tds_query(
        conn, "ask how far the capture job is",
        "SELECT sys.fn_cdc_get_max_lsn() AS max_lsn, "
        "(SELECT COUNT(*) FROM cdc.change_tables) AS instances, "
        "(SELECT SUM(CAST(object_id AS bigint)) FROM cdc.change_tables) AS objects, "
        "(SELECT COUNT(*) FROM cdc.ddl_history) AS ddl",
        err);
    if (status >= 0) {
        status = sluice_tds_fetch(conn, err);
    }
    if (status == SLUICE_OK) {
        (void)ms_lsn_take(sluice_tds_value(conn, 0), max);
        for (int32_t i = 0; i < 3; i++) {
            fingerprint[i] = sluice_tds_number(conn, i + 1);
        }
        status = sluice_tds_fetch(conn, err);
    }
    return status < 0 ? explain(err, status) : SLUICE_OK;
}

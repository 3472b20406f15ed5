/* The catalog: tables, columns, keys, and what server it is. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "source.h"

/* One row a column, in the order of tables. Not shown: column sets, which are other columns again as xml, and what of a
 * graph's tables cannot be selected. Base types of alias types: the row of sys.types whose two ids are the
 * same; CLR types (geography, hierarchyid) have no such row, and no column may be missing for that. Row counts of sys.partitions need no right beyond that to see the table.
 * OBJECTPROPERTY knows what servers of other versions have no column for. */
#define TABLES_SQL(encrypted, graphs)                                                             \
    "SELECT s.name AS schema_name, t.name AS table_name, t.object_id, c.name AS column_name, "    \
    "COALESCE(base.name, own.name) AS type_name, c.max_length, c.precision, c.scale, "            \
    "c.is_nullable, c.is_identity, "                                                              \
    "c.is_computed, k.key_ordinal, p.row_count, g.range_column, u.page_count, t.is_view, "        \
    "OBJECTPROPERTY(t.object_id, 'TableIsMemoryOptimized') AS in_memory, " encrypted              \
    " AS is_encrypted "                                                                           \
    "FROM (SELECT object_id, name, schema_id, is_ms_shipped, 0 AS is_view FROM sys.tables UNION " \
    "ALL "                                                                                        \
    "SELECT object_id, name, schema_id, is_ms_shipped, 1 AS is_view FROM sys.views) t "           \
    "JOIN sys.schemas s ON s.schema_id = t.schema_id "                                            \
    "JOIN sys.columns c ON c.object_id = t.object_id "                                            \
    "LEFT JOIN sys.types base ON base.user_type_id = c.system_type_id "                           \
    "LEFT JOIN sys.types own ON own.user_type_id = c.user_type_id "                               \
    "LEFT JOIN (SELECT i.object_id, ic.column_id, ic.key_ordinal FROM sys.indexes i "             \
    "JOIN sys.index_columns ic ON ic.object_id = i.object_id AND ic.index_id = i.index_id "       \
    "WHERE i.is_primary_key = 1) k ON k.object_id = t.object_id AND k.column_id = c.column_id "   \
    "LEFT JOIN (SELECT object_id, CAST(SUM(rows) AS bigint) AS row_count FROM sys.partitions "    \
    "WHERE index_id IN (0, 1) GROUP BY object_id) p ON p.object_id = t.object_id "                \
    "LEFT JOIN (SELECT i.object_id, ic.column_id AS range_column FROM sys.indexes i "             \
    "JOIN sys.index_columns ic ON ic.object_id = i.object_id AND ic.index_id = i.index_id "       \
    "WHERE i.type = 1 AND ic.key_ordinal = 1) g ON g.object_id = t.object_id "                    \
    "AND g.range_column = c.column_id "                                                           \
    "LEFT JOIN (SELECT q.object_id, CAST(SUM(a.used_pages) AS bigint) AS page_count FROM "        \
    "sys.partitions q "                                                                           \
    "JOIN sys.allocation_units a ON a.container_id = "                                            \
    "CASE a.type WHEN 2 THEN q.partition_id ELSE q.hobt_id END "                                  \
    "WHERE q.index_id IN (0, 1) GROUP BY q.object_id) u ON u.object_id = t.object_id "            \
    "WHERE t.is_ms_shipped = 0 AND c.is_column_set = 0 " graphs                                   \
    "ORDER BY s.name, t.name, t.object_id, c.column_id"
#define ENCRYPTED "CASE WHEN c.encryption_type IS NULL THEN 0 ELSE 1 END"
/* The computed ids: of a node, of an edge, of its ends. */
#define GRAPHS "AND (c.graph_type IS NULL OR c.graph_type IN (2, 5, 8)) "

enum {
    C_SCHEMA,
    C_TABLE,
    C_OBJECT,
    C_COLUMN,
    C_TYPE,
    C_LENGTH,
    C_PRECISION,
    C_SCALE,
    C_NULLABLE,
    C_IDENTITY,
    C_COMPUTED,
    C_KEY,
    C_ROWS,
    C_RANGE,
    C_PAGES,
    C_VIEW,
    C_MEMORY,
    C_ENCRYPTED
};

/* Majors of ProductVersion that brought columns of sys.columns. */
enum { HAS_ENCRYPTION = 13, HAS_GRAPHS = 14 };

static sluice_status add_column(struct ms_table *table, const struct sluice_tds_conn *conn,
                                struct sluice_error *err)
{
    if (table->count == table->cap) {
        const uint32_t cap = table->cap > 0 ? table->cap * 2 : 64;
        struct sluice_tds_column *columns = realloc(table->columns, cap * sizeof *columns);
        table->columns = columns != NULL ? columns : table->columns;
        uint32_t *keys = realloc(table->key_ordinals, cap * sizeof *keys);
        table->key_ordinals = keys != NULL ? keys : table->key_ordinals;
        if (columns == NULL || keys == NULL) {
            return sluice_error_set(err, SLUICE_E_NOMEM, 0, "out of memory for columns");
        }
        table->cap = cap;
    }
    struct sluice_tds_column *c = &table->columns[table->count];
    sluice_tds_text(conn, C_COLUMN, c->name, sizeof c->name);
    sluice_tds_text(conn, C_TYPE, c->type, sizeof c->type);
    c->max_length = (int32_t)sluice_tds_number(conn, C_LENGTH);
    c->precision = (int32_t)sluice_tds_number(conn, C_PRECISION);
    c->scale = (int32_t)sluice_tds_number(conn, C_SCALE);
    c->nullable = sluice_tds_number(conn, C_NULLABLE) != 0;
    c->identity = sluice_tds_number(conn, C_IDENTITY) != 0;
    c->computed = sluice_tds_number(conn, C_COMPUTED) != 0;
    c->encrypted = sluice_tds_number(conn, C_ENCRYPTED) != 0;
    if (sluice_tds_value(conn, C_RANGE).data != NULL) {
        table->range_ordinal = (int32_t)table->count + 1;
    }
    table->key_ordinals[table->count++] = (uint32_t)sluice_tds_number(conn, C_KEY);
    return SLUICE_OK;
}

/* The table at hand is whole. */
static sluice_status give(struct ms_table *table, ms_table_visit visit, void *vctx,
                          struct sluice_error *err)
{
    const sluice_status status =
        table->count > 0 ? visit(vctx, table, err) : (sluice_status)SLUICE_OK;
    table->count = 0;
    return status;
}

static sluice_status take_row(struct ms_table *table, const struct sluice_tds_conn *conn,
                              ms_table_visit visit, void *vctx, struct sluice_error *err)
{
    const int64_t object = sluice_tds_number(conn, C_OBJECT);
    if (table->count > 0 && object != table->object_id) {
        const sluice_status status = give(table, visit, vctx, err);
        if (status != SLUICE_OK) {
            return status;
        }
    }
    if (table->count == 0) {
        table->object_id = object;
        table->range_ordinal = 0;
        table->pages = sluice_tds_number(conn, C_PAGES);
        table->is_view = sluice_tds_number(conn, C_VIEW) == 1;
        table->in_memory = sluice_tds_number(conn, C_MEMORY) == 1; /* NULL before 2014 */
        sluice_tds_text(conn, C_SCHEMA, table->schema_name, sizeof table->schema_name);
        sluice_tds_text(conn, C_TABLE, table->table_name, sizeof table->table_name);
        table->rows =
            sluice_tds_value(conn, C_ROWS).data != NULL ? sluice_tds_number(conn, C_ROWS) : -1;
    }
    return add_column(table, conn, err);
}

static sluice_status begin_tables(struct sluice_tds_conn *conn, struct sluice_error *err)
{
    char version[64] = "";
    sluice_status status = sluice_tds_query(
        conn, "ask for the server's version",
        "SELECT CAST(SERVERPROPERTY('ProductVersion') AS nvarchar(60)) AS version", err);
    while (status == SLUICE_OK) {
        status = sluice_tds_fetch(conn, err);
        if (status == SLUICE_OK) {
            sluice_tds_text(conn, 0, version, sizeof version);
        }
    }
    if (status < 0) {
        return status;
    }
    const long major = strtol(version, NULL, 10);
    const char *sql = major >= HAS_GRAPHS       ? TABLES_SQL(ENCRYPTED, GRAPHS)
                      : major >= HAS_ENCRYPTION ? TABLES_SQL(ENCRYPTED, "")
                                                : TABLES_SQL("0", "");
    return sluice_tds_query(conn, "read the catalog", sql, err);
}

sluice_status ms_catalog_tables(struct sluice_tds_conn *conn, ms_table_visit visit, void *vctx,
                                struct sluice_error *err)
{
    struct ms_table *table = calloc(1, sizeof *table);
    if (table == NULL) {
        return sluice_error_set(err, SLUICE_E_NOMEM, 0, "out of memory for the catalog");
    }
    sluice_status status = begin_tables(conn, err);
    while (status == SLUICE_OK) {
        status = sluice_tds_fetch(conn, err);
        if (status == SLUICE_END) {
            status = give(table, visit, vctx, err);
            break;
        }
        if (status == SLUICE_OK) {
            status = take_row(table, conn, visit, vctx, err);
            if (status != SLUICE_OK) {
                sluice_tds_cancel(conn);
            }
        }
    }
    free(table->columns);
    free(table->key_ordinals);
    free(table);
    return status < 0 ? status : SLUICE_OK;
}

sluice_status ms_catalog_server(struct sluice_source *src, struct sluice_tds_conn *conn,
                                int *snapshot_allowed, struct sluice_error *err)
{
    char version[64];
    char database[160];
    SLUICE_TRY(sluice_tds_query(
        conn, "ask for the server's version",
        "SELECT CAST(SERVERPROPERTY('ProductVersion') AS nvarchar(60)), "
        "DB_NAME(), snapshot_isolation_state, is_read_only FROM sys.databases WHERE "
        "name = DB_NAME()",
        err));
    sluice_status status = sluice_tds_fetch(conn, err);
    if (status == SLUICE_END) {
        return sluice_error_set(err, SLUICE_E_PERMISSION, 0,
                                "sys.databases does not show the database to this login");
    }
    SLUICE_TRY(status);
    sluice_tds_text(conn, 0, version, sizeof version);
    sluice_tds_text(conn, 1, database, sizeof database);
    *snapshot_allowed = sluice_tds_number(conn, 2) == 1;
    src->read_only = sluice_tds_number(conn, 3) == 1;
    (void)snprintf(src->server, sizeof src->server, "SQL Server %s", version);
    (void)snprintf(src->identity, sizeof src->identity, "sqlserver %.120s %.150s",
                   src->options.server.host, database);
    do {
        status = sluice_tds_fetch(conn, err);
    } while (status == SLUICE_OK);
    return status < 0 ? status : SLUICE_OK;
}

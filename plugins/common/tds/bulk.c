#include "tds/bulk.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tds/conn_internal.h"

struct column {
    int32_t ordinal;
    int32_t fixed; /* the type's size is known to the library */
    DBINT length;  /* as told last */
    BYTE *at;
};

struct sluice_tds_bulk {
    struct sluice_tds_conn *conn;
    char what[160];
    uint32_t count;
    struct column *columns;
};

static BYTE empty[4]; /* db-lib has no length for an empty value: it measures this one */

static int is_fixed(int32_t type)
{
    switch (type) {
    case SYBBIT:
    case SYBINT1:
    case SYBINT2:
    case SYBINT4:
    case SYBINT8:
    case SYBREAL:
    case SYBFLT8:
    case SYBMONEY:
    case SYBMONEY4:
    case SYBDATETIME:
    case SYBDATETIME4:
    case SYBMSDATE:
    case 36: /* uniqueidentifier, which sybdb.h has no name for */
        return 1;
    default:
        return 0;
    }
}

static sluice_status broken(struct sluice_tds_bulk *bulk, struct sluice_error *err)
{
    return sluice_tds_fail(bulk->conn, bulk->what, err);
}

static void begin(struct sluice_tds_bulk *bulk)
{
    bulk->conn->has_first = 0;
    bulk->conn->gave_up = 0;
    sluice_tds_begin_wait(bulk->conn);
}

static sluice_status bind_columns(struct sluice_tds_bulk *bulk,
                                  const struct sluice_tds_bulk_column *columns,
                                  struct sluice_error *err)
{
    for (uint32_t i = 0; i < bulk->count; i++) {
        struct column *c = &bulk->columns[i];
        *c = (struct column){columns[i].ordinal, is_fixed(columns[i].type), 0, empty};
        if (bcp_bind(bulk->conn->db, empty, 0, c->fixed ? -1 : 0, NULL, 0, columns[i].type,
                     c->ordinal) != SUCCEED) {
            return broken(bulk, err);
        }
        c->length = c->fixed ? -1 : 0;
    }
    return SLUICE_OK;
}

sluice_status sluice_tds_bulk_open(struct sluice_tds_conn *conn, const char *what,
                                   const char *table, const struct sluice_tds_bulk_column *columns,
                                   uint32_t count, uint32_t flags, struct sluice_tds_bulk **out,
                                   struct sluice_error *err)
{
    struct sluice_tds_bulk *bulk = calloc(1, sizeof *bulk);
    if (bulk != NULL) {
        bulk->columns = calloc(count + 1u, sizeof *bulk->columns);
    }
    if (bulk == NULL || bulk->columns == NULL) {
        sluice_tds_bulk_free(bulk);
        return sluice_error_set(err, SLUICE_E_NOMEM, 0, "out of memory for a bulk load");
    }
    bulk->conn = conn;
    bulk->count = count;
    (void)snprintf(bulk->what, sizeof bulk->what, "%s", what);
    begin(bulk);
    sluice_status status = SLUICE_OK;
    if (bcp_init(conn->db, table, NULL, NULL, DB_IN) != SUCCEED || conn->has_first) {
        status = broken(bulk, err);
    }
    if (status >= 0 && (flags & SLUICE_TDS_BULK_IDENTITY) != 0) {
        (void)bcp_control(conn->db, BCPKEEPIDENTITY, 1);
    }
    static const char lock[] = "TABLOCK";
    if (status >= 0 && (flags & SLUICE_TDS_BULK_TABLOCK) != 0) {
        (void)bcp_options(conn->db, BCPHINTS, (BYTE *)(uintptr_t)lock, (int)strlen(lock));
    }
    if (status >= 0) {
        status = bind_columns(bulk, columns, err);
    }
    if (status < 0) {
        sluice_tds_bulk_free(bulk);
        return status;
    }
    *out = bulk;
    return SLUICE_OK;
}

void sluice_tds_bulk_put(struct sluice_tds_bulk *bulk, uint32_t i, struct sluice_bytes value)
{
    struct column *c = &bulk->columns[i];
    BYTE *at = value.data != NULL && value.size > 0 ? (BYTE *)(uintptr_t)value.data : empty;
    const DBINT length = value.data == NULL            ? 0
                         : c->fixed || value.size == 0 ? -1
                                                       : (DBINT)value.size;
    if (length != c->length) {
        (void)bcp_collen(bulk->conn->db, length, c->ordinal);
        c->length = length;
    }
    if (at != c->at) {
        (void)bcp_colptr(bulk->conn->db, at, c->ordinal);
        c->at = at;
    }
}

sluice_status sluice_tds_bulk_send(struct sluice_tds_bulk *bulk, struct sluice_error *err)
{
    sluice_tds_begin_wait(bulk->conn);
    return bcp_sendrow(bulk->conn->db) == SUCCEED ? (sluice_status)SLUICE_OK : broken(bulk, err);
}

static sluice_status take_count(struct sluice_tds_bulk *bulk, DBINT n, int64_t *rows,
                                struct sluice_error *err)
{
    /* -1 is also what there is no count of, as under SET NOCOUNT ON: handlers and the socket know better. */
    const struct sluice_tds_conn *conn = bulk->conn;
    *rows = n > 0 ? n : 0;
    return conn->has_first || conn->gave_up || dbdead(conn->db) ? broken(bulk, err) : SLUICE_OK;
}

sluice_status sluice_tds_bulk_batch(struct sluice_tds_bulk *bulk, int64_t *rows,
                                    struct sluice_error *err)
{
    begin(bulk);
    return take_count(bulk, bcp_batch(bulk->conn->db), rows, err);
}

sluice_status sluice_tds_bulk_end(struct sluice_tds_bulk *bulk, int64_t *rows,
                                  struct sluice_error *err)
{
    begin(bulk);
    const sluice_status status = take_count(bulk, bcp_done(bulk->conn->db), rows, err);
    sluice_tds_bulk_free(bulk);
    return status;
}

void sluice_tds_bulk_free(struct sluice_tds_bulk *bulk)
{
    if (bulk != NULL) {
        free(bulk->columns);
        free(bulk);
    }
}

#include "order.h"

#include <stdlib.h>
#include <string.h>

struct sluice_pgsink_order {
    uint32_t *oids; /* of the tables of the log that this is for */
    uint32_t *places;
    uint32_t *depth;
    uint32_t count;
    int deferrable; /* some foreign key among them can be deferred */
};

static sluice_status nomem(struct sluice_error *err)
{
    return sluice_error_set(err, SLUICE_E_NOMEM, SLUICE_ERROR_FATAL, "out of memory for tables");
}

void sluice_pgsink_order_free(struct sluice_pgsink_order *order)
{
    if (order != NULL) {
        free(order->oids);
        free(order->places);
        free(order->depth);
        free(order);
    }
}

const uint32_t *sluice_pgsink_order_of(const struct sluice_pgsink_order *order)
{
    return order->places;
}

static int is_for(const struct sluice_pgsink_order *order, const struct sluice_pgsink_log *log)
{
    if (order == NULL || order->count != log->table_count) {
        return 0;
    }
    for (uint32_t i = 0; i < log->table_count; i++) {
        if (order->oids[i] != log->tables[i]->table->oid) {
            return 0;
        }
    }
    return 1;
}

static int64_t index_of(const struct sluice_pgsink_order *order, const char *oid)
{
    const uint32_t wanted = (uint32_t)strtoul(oid, NULL, 10);
    for (uint32_t i = 0; i < order->count; i++) {
        if (order->oids[i] == wanted) {
            return i;
        }
    }
    return -1;
}

/* The length of the longest way from a table without parents; circles end with the number of tables. */
static void measure(struct sluice_pgsink_order *order, const PGresult *keys)
{
    for (uint32_t round = 0; round < order->count; round++) {
        int changed = 0;
        for (int i = 0; i < PQntuples(keys); i++) {
            const int64_t child = index_of(order, PQgetvalue(keys, i, 0));
            const int64_t parent = index_of(order, PQgetvalue(keys, i, 1));
            if (child >= 0 && parent >= 0 && child != parent &&
                order->depth[child] <= order->depth[parent] &&
                order->depth[parent] < order->count) {
                order->depth[child] = order->depth[parent] + 1;
                changed = 1;
            }
        }
        if (!changed) {
            break;
        }
    }
}

static void place(struct sluice_pgsink_order *order)
{
    uint32_t n = 0;
    for (uint32_t depth = 0; depth <= order->count; depth++) {
        for (uint32_t i = 0; i < order->count; i++) {
            if (order->depth[i] == depth) {
                order->places[n++] = i;
            }
        }
    }
    for (uint32_t i = 0; n < order->count && i < order->count; i++) {
        if (order->depth[i] > order->count) {
            order->places[n++] = i;
        }
    }
}

static sluice_status make(struct sluice_pgsink_lane *lane, struct sluice_pgsink_order **out,
                          struct sluice_error *err)
{
    const struct sluice_pgsink_log *log = &lane->log;
    struct sluice_pg_text list = {0};
    PGresult *keys = NULL;
    struct sluice_pgsink_order *order = calloc(1, sizeof *order);
    if (order == NULL) {
        return nomem(err);
    }
    order->count = log->table_count;
    order->oids = calloc(order->count + 1u, sizeof *order->oids);
    order->places = calloc(order->count + 1u, sizeof *order->places);
    order->depth = calloc(order->count + 1u, sizeof *order->depth);
    sluice_status status = order->oids != NULL && order->places != NULL && order->depth != NULL
                               ? SLUICE_OK
                               : nomem(err);
    sluice_pg_text_add(&list, "{");
    for (uint32_t i = 0; status >= 0 && i < order->count; i++) {
        order->oids[i] = log->tables[i]->table->oid;
        sluice_pg_text_format(&list, "%s%u", i > 0 ? "," : "", order->oids[i]);
    }
    sluice_pg_text_add(&list, "}");
    if (status >= 0) {
        status = sluice_pg_text_check(&list, err);
    }
    if (status >= 0) {
        const char *const params[] = {list.data};
        status = sluice_pg_query(lane->conn, "read the foreign keys of the target",
                                 "SELECT conrelid, confrelid, condeferrable FROM "
                                 "pg_catalog.pg_constraint WHERE contype = 'f' AND conrelid = "
                                 "ANY($1::oid[])",
                                 1, params, &keys, err);
    }
    if (status >= 0) {
        for (int i = 0; i < PQntuples(keys); i++) {
            order->deferrable |= PQgetvalue(keys, i, 2)[0] == 't';
        }
        measure(order, keys);
        place(order);
    }
    PQclear(keys);
    sluice_pg_text_free(&list);
    if (status < 0) {
        sluice_pgsink_order_free(order);
        return status;
    }
    *out = order;
    return SLUICE_OK;
}

sluice_status sluice_pgsink_order_ready(struct sluice_pgsink_lane *lane,
                                        struct sluice_pgsink_order **order,
                                        struct sluice_error *err)
{
    if (!is_for(*order, &lane->log)) {
        sluice_pgsink_order_free(*order);
        *order = NULL;
        SLUICE_TRY(make(lane, order, err));
    }
    return (*order)->deferrable ? sluice_pg_command(lane->conn, "defer constraints",
                                                    "SET CONSTRAINTS ALL DEFERRED", err)
                                : SLUICE_OK;
}

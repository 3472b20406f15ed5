#include "order.h"

#include "apply/order.h"

#include <stdlib.h>
#include <string.h>

struct sluice_pgsink_order {
    uint32_t *oids; /* of the tables of the log that this is for */
    uint32_t *places;
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
        free(order);
    }
}

const uint32_t *sluice_pgsink_order_of(const struct sluice_pgsink_order *order)
{
    return order->places;
}

static int is_for(const struct sluice_pgsink_order *order, const struct sluice_apply_log *log)
{
    if (order == NULL || order->count != log->table_count) {
        return 0;
    }
    for (uint32_t i = 0; i < log->table_count; i++) {
        if (order->oids[i] != sluice_pgsink_stream_of(log, i)->table->oid) {
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

/* The keys among the tables of the log, as the library wants them. */
static sluice_status place(struct sluice_pgsink_order *order, const PGresult *keys,
                           struct sluice_error *err)
{
    size_t n = 0;
    struct sluice_apply_edge *edges = calloc((size_t)PQntuples(keys) + 1, sizeof *edges);
    if (edges == NULL) {
        return nomem(err);
    }
    for (int i = 0; i < PQntuples(keys); i++) {
        const int64_t child = index_of(order, PQgetvalue(keys, i, 0));
        const int64_t parent = index_of(order, PQgetvalue(keys, i, 1));
        order->deferrable |= PQgetvalue(keys, i, 2)[0] == 't';
        if (child >= 0 && parent >= 0) {
            edges[n++] = (struct sluice_apply_edge){(uint32_t)child, (uint32_t)parent};
        }
    }
    const sluice_status status = sluice_apply_order(edges, n, order->count, order->places, err);
    free(edges);
    return status;
}

static sluice_status make(struct sluice_pgsink_lane *lane, struct sluice_pgsink_order **out,
                          struct sluice_error *err)
{
    const struct sluice_apply_log *log = &lane->log;
    struct sluice_pg_text list = {0};
    PGresult *keys = NULL;
    struct sluice_pgsink_order *order = calloc(1, sizeof *order);
    if (order == NULL) {
        return nomem(err);
    }
    order->count = log->table_count;
    order->oids = calloc(order->count + 1u, sizeof *order->oids);
    order->places = calloc(order->count + 1u, sizeof *order->places);
    sluice_status status = order->oids != NULL && order->places != NULL ? SLUICE_OK : nomem(err);
    sluice_pg_text_add(&list, "{");
    for (uint32_t i = 0; status >= 0 && i < order->count; i++) {
        order->oids[i] = sluice_pgsink_stream_of(log, i)->table->oid;
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
        status = place(order, keys, err);
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

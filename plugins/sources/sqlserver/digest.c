/* Digests of a table of the source, for `sluice verify`. */
#include "tds/digest.h"

#include <stdlib.h>
#include <string.h>

#include "text.h"
#include "way.h"

struct ask {
    struct sluice_source *src;
    const struct sluice_digest_ask *ask;
    sluice_digest_visit visit;
    void *vctx;
    struct sluice_digest_info *info;
    struct sluice_tds_conn *conn; /* that reads rows; the catalog comes over another */
    int32_t snapshot;
    int32_t found;
};

static sluice_status digest_table(void *vctx, const struct ms_table *table,
                                  struct sluice_error *err)
{
    struct ask *a = vctx;
    const struct sluice_stream_desc *d = a->ask->desc;
    struct ms_text from = {0};
    if (strcmp(table->schema_name, d->parts[0]) != 0 ||
        strcmp(table->table_name, d->parts[1]) != 0) {
        return SLUICE_OK;
    }
    a->found = 1;
    ms_text_add_name(&from, table->schema_name);
    ms_text_add(&from, ".");
    ms_text_add_name(&from, table->table_name);
    ms_text_add(&from, table->in_memory ? " WITH (SNAPSHOT)" : "");
    if (a->ask->where != NULL) {
        ms_text_add(&from, " WHERE (");
        ms_text_add(&from, a->ask->where);
        ms_text_add(&from, "\n)");
    }
    sluice_status status = from.failed ? sluice_error_set(err, SLUICE_E_NOMEM, SLUICE_ERROR_FATAL,
                                                          "out of memory to compare rows")
                                       : SLUICE_OK;
    if (status >= 0) {
        const struct sluice_tds_digest_from what = {
            .text = from.data,
            .columns = table->columns,
            .count = table->count,
            .snapshot = a->snapshot && !table->in_memory,
            .rules = {(int32_t)a->src->options.fine_times, (int32_t)a->src->options.clr_types}};
        status = sluice_tds_digest(a->conn, &what, a->ask, a->visit, a->vctx, a->info, err);
    }
    free(from.data);
    return status < 0 ? status : SLUICE_END;
}

/* Where the log was behind the rows. Of change data capture it is not known: the capture job lags behind the log. */
static sluice_status tell_position(struct ask *a, struct sluice_error *err)
{
    int enabled = 0;
    struct ms_lsn max;
    int64_t fingerprint[MS_FINGERPRINT];
    if (!a->src->way->net) {
        return SLUICE_OK;
    }
    SLUICE_TRY(a->src->way->enabled(a->conn, &enabled, err));
    if (!enabled) {
        return SLUICE_OK;
    }
    SLUICE_TRY(a->src->way->progress(a->conn, &max, fingerprint, err));
    a->src->digest_position = max;
    a->info->position = ms_lsn_bytes(&a->src->digest_position);
    return SLUICE_OK;
}

sluice_status ms_digest(struct sluice_source *src, const struct sluice_digest_ask *ask,
                        sluice_digest_visit visit, void *vctx, struct sluice_digest_info *info,
                        struct sluice_error *err)
{
    struct ask a = {.src = src, .ask = ask, .visit = visit, .vctx = vctx, .info = info};
    struct sluice_tds_conn *catalog = NULL;
    int allowed = 0;
    info->rows = 0;
    info->position = (struct sluice_bytes){NULL, 0};
    if (ask->desc->part_count != 2) {
        return sluice_error_set(err, SLUICE_E_UNSUPPORTED, 0, "stream %s is no table",
                                ask->desc->name);
    }
    sluice_status status = ms_connect_and_ask(src, &catalog, &allowed, err);
    if (status >= 0) {
        a.snapshot = allowed && src->options.isolation != MS_ISOLATION_READ_COMMITTED;
        status = sluice_tds_connect(&src->options.server, src->host, &a.conn, err);
    }
    if (status >= 0) {
        status = ms_catalog_tables(catalog, digest_table, &a, err);
    }
    if (status >= 0 && !a.found) {
        status =
            sluice_error_set(err, SLUICE_E_NOT_FOUND, 0, "table %s is not there", ask->desc->name);
    }
    if (status >= 0) {
        status = tell_position(&a, err);
    }
    sluice_tds_close(a.conn);
    sluice_tds_close(catalog);
    return status < 0 ? status : SLUICE_OK;
}

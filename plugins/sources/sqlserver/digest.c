/* Digests of a table of the source, for `sluice verify`. */
#include "tds/digest.h"

#include <stdlib.h>
#include <string.h>

#include "text.h"
#include "way.h"

/* A table as the catalog has it; kept, so that nothing of the catalog is open while its rows are read. */
struct found {
    const struct sluice_digest_ask *ask;
    struct sluice_tds_column *columns;
    uint32_t count;
    int32_t in_memory;
};

static sluice_status nomem(struct sluice_error *err)
{
    return sluice_error_set(err, SLUICE_E_NOMEM, SLUICE_ERROR_FATAL,
                            "out of memory to compare rows");
}

static sluice_status find_table(void *vctx, const struct ms_table *table, struct sluice_error *err)
{
    struct found *found = vctx;
    const struct sluice_stream_desc *d = found->ask->desc;
    if (strcmp(table->schema_name, d->parts[0]) != 0 ||
        strcmp(table->table_name, d->parts[1]) != 0) {
        return SLUICE_OK;
    }
    found->columns = calloc(table->count + 1u, sizeof *found->columns);
    if (found->columns == NULL) {
        return nomem(err);
    }
    memcpy(found->columns, table->columns, table->count * sizeof *found->columns);
    found->count = table->count;
    found->in_memory = table->in_memory;
    return SLUICE_END;
}

static sluice_status digest_table(struct sluice_source *src, struct sluice_tds_conn *conn,
                                  const struct found *found, int32_t snapshot,
                                  sluice_digest_visit visit, void *vctx,
                                  struct sluice_digest_info *info, struct sluice_error *err)
{
    const struct sluice_stream_desc *d = found->ask->desc;
    struct ms_text from = {0};
    ms_text_add_name(&from, d->parts[0]);
    ms_text_add(&from, ".");
    ms_text_add_name(&from, d->parts[1]);
    ms_text_add(&from, found->in_memory ? " WITH (SNAPSHOT)" : "");
    if (found->ask->where != NULL) {
        ms_text_add(&from, " WHERE (");
        ms_text_add(&from, found->ask->where);
        ms_text_add(&from, "\n)");
    }
    sluice_status status = from.failed ? nomem(err) : SLUICE_OK;
    if (status >= 0) {
        const struct sluice_tds_digest_from what = {
            .text = from.data,
            .columns = found->columns,
            .count = found->count,
            .snapshot = snapshot && !found->in_memory,
            .rules = {(int32_t)src->options.fine_times, (int32_t)src->options.clr_types}};
        status = sluice_tds_digest(conn, &what, found->ask, visit, vctx, info, err);
    }
    free(from.data);
    return status;
}

/* Where the log was behind the rows. Of change data capture it is not known: the capture job lags behind the log. */
static sluice_status tell_position(struct sluice_source *src, struct sluice_tds_conn *conn,
                                   struct sluice_digest_info *info, struct sluice_error *err)
{
    int enabled = 0;
    struct ms_lsn max;
    int64_t fingerprint[MS_FINGERPRINT];
    if (!src->way->net) {
        return SLUICE_OK;
    }
    SLUICE_TRY(src->way->enabled(conn, &enabled, err));
    if (!enabled) {
        return SLUICE_OK;
    }
    SLUICE_TRY(src->way->progress(conn, &max, fingerprint, err));
    src->digest_position = max;
    info->position = ms_lsn_bytes(&src->digest_position);
    return SLUICE_OK;
}

sluice_status ms_digest(struct sluice_source *src, const struct sluice_digest_ask *ask,
                        sluice_digest_visit visit, void *vctx, struct sluice_digest_info *info,
                        struct sluice_error *err)
{
    struct found found = {.ask = ask};
    struct sluice_tds_conn *conn = NULL;
    int allowed = 0;
    info->rows = 0;
    info->position = (struct sluice_bytes){NULL, 0};
    if (ask->desc->part_count != 2) {
        return sluice_error_set(err, SLUICE_E_UNSUPPORTED, 0, "stream %s is no table",
                                ask->desc->name);
    }
    sluice_status status = ms_connect_and_ask(src, &conn, &allowed, err);
    if (status >= 0) {
        status = ms_catalog_tables(conn, find_table, &found, err);
    }
    if (status >= 0 && found.columns == NULL) {
        status =
            sluice_error_set(err, SLUICE_E_NOT_FOUND, 0, "table %s is not there", ask->desc->name);
    }
    if (status >= 0) {
        const int32_t snapshot = allowed && src->options.isolation != MS_ISOLATION_READ_COMMITTED;
        status = digest_table(src, conn, &found, snapshot, visit, vctx, info, err);
    }
    if (status >= 0) {
        status = tell_position(src, conn, info, err);
    }
    sluice_tds_close(conn);
    free(found.columns);
    return status < 0 ? status : SLUICE_OK;
}

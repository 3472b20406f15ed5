/* Digests of a table of the source, for `sluice verify`. */
#include "pg/digest.h"

#include <stdlib.h>

#include "source.h"

sluice_status pg_source_digest(struct sluice_source *src, const struct sluice_digest_ask *ask,
                               sluice_digest_visit visit, void *vctx,
                               struct sluice_digest_info *info, struct sluice_error *err)
{
    const struct sluice_stream_desc *d = ask->desc;
    struct sluice_pg_text from = {0};
    struct sluice_pg_conn *conn = NULL;
    if (d->part_count != 2) {
        return sluice_error_set(err, SLUICE_E_UNSUPPORTED, 0, "stream %s is no table", d->name);
    }
    if (d->kind != SLUICE_STREAM_PARTITIONED) {
        sluice_pg_text_add(&from, "ONLY ");
    }
    sluice_pg_text_ident(&from, d->parts[0]);
    sluice_pg_text_add(&from, ".");
    sluice_pg_text_ident(&from, d->parts[1]);
    if (ask->where != NULL) {
        sluice_pg_text_format(&from, " WHERE (%s\n)", ask->where);
    }
    sluice_status status = sluice_pg_text_check(&from, err);
    if (status >= 0) {
        status = sluice_pg_connect(&src->options.conn, src->host, src->registry, 0, &conn, err);
    }
    if (status >= 0) {
        /* As the feed writes positions: eight bytes, big-endian. */
        status = sluice_pg_digest(
            conn, from.data,
            "SELECT pg_catalog.lpad(pg_catalog.to_hex(pg_catalog.pg_wal_lsn_diff(CASE WHEN "
            "pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_last_wal_replay_lsn() ELSE "
            "pg_catalog.pg_current_wal_lsn() END, '0/0')::bigint), 16, '0')",
            ask, visit, vctx, info, src->digest_position, err);
    }
    sluice_pg_close(conn);
    sluice_pg_text_free(&from);
    return status;
}

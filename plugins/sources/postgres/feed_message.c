/* What comes in: transactions and what they hold. */
#include <stdlib.h>

#include "feed.h"
#include "sluice/position.h"

/* A share of the limits at which a group is cut once its last transaction is whole: so only a
 * transaction that is large itself is ever divided. */
#define SOFT(limit) ((limit) / 4 * 3)

static sluice_status out_of_place(const struct pg_feed *feed, struct sluice_error *err)
{
    char lsn[24];
    sluice_lsn_format(feed->wire.start, lsn);
    return sluice_error_set(err, SLUICE_E_DATA, 0,
                            "%s: message '%c' at %s is not where a transaction has it", feed->what,
                            feed->message.type, lsn);
}

/* ---------------------------------------------------------------- transactions --------------- */

static void set_xid(struct pg_feed *feed, uint32_t xid)
{
    char digits[FEED_XID_MAX];
    uint32_t at = sizeof digits;
    do {
        digits[--at] = (char)('0' + xid % 10);
        xid /= 10;
    } while (xid != 0);
    feed->tx_id_size = (uint32_t)sizeof digits - at;
    memcpy(feed->tx_id, digits + at, feed->tx_id_size);
}

/* Nothing behind this belongs to what was asked for. */
static sluice_status stop_here(struct pg_feed *feed, struct sluice_error *err)
{
    feed->ended = 1;
    if (feed->pending_first == NULL && feed->position <= feed->delivered) {
        return SLUICE_OK;
    }
    return pg_feed_output_cut(feed, err);
}

static sluice_status take_begin(struct pg_feed *feed, const struct sluice_pgout_message *m,
                                struct sluice_error *err)
{
    if (feed->in_tx) {
        return out_of_place(feed, err);
    }
    SLUICE_TRY(sluice_failpoint_hit(feed->src->failpoints, "postgres.feed_after_begin", err));
    if ((feed->end != 0 && m->lsn >= feed->end) ||
        (feed->until_us != 0 && m->time_us > feed->until_us)) {
        return stop_here(feed, err);
    }
    feed->in_tx = 1;
    /* A server that crashed may not remember all that we acknowledged, and sends it again. */
    feed->skip = m->lsn < feed->resume;
    feed->tx_fixed = 0;
    feed->tx_number++;
    feed->tx_streams = NULL;
    feed->tx_lsn = m->lsn;
    feed->tx_seq = 0;
    feed->tx_time_us = m->time_us;
    feed->lag_us = feed->wire.clock_us - m->time_us;
    sluice_put_be64(feed->tx_pos, m->lsn + 1);
    set_xid(feed, m->xid);
    return SLUICE_OK;
}

static sluice_status take_commit(struct pg_feed *feed, const struct sluice_pgout_message *m,
                                 struct sluice_error *err)
{
    if (!feed->in_tx || m->lsn != feed->tx_lsn || m->end_lsn <= m->lsn) {
        return out_of_place(feed, err);
    }
    feed->in_tx = 0;
    feed->lag_us = feed->wire.clock_us - m->time_us;
    if (!feed->skip && !feed->tx_fixed) {
        pg_feed_streams_patch(feed, m->end_lsn);
    }
    feed->skip = 0;
    feed->tx_streams = NULL;
    feed->position = m->end_lsn > feed->position ? m->end_lsn : feed->position;
    feed->received = m->end_lsn > feed->received ? m->end_lsn : feed->received;
    if (feed->end != 0 && m->end_lsn >= feed->end) {
        return stop_here(feed, err);
    }
    int full =
        feed->pending_rows >= SOFT(feed->rows_max) || feed->pending_bytes >= SOFT(feed->bytes_max);
    int rest = feed->tx_fixed && feed->pending_first == NULL; /* it went out before its end */
    return full || rest ? pg_feed_output_cut(feed, err) : SLUICE_OK;
}

/* ---------------------------------------------------------------- rows ----------------------- */

/* After a row: a transaction that is large itself flows through. */
static void divide(struct pg_feed *feed)
{
    if (feed->pending_rows >= feed->rows_max || feed->pending_bytes >= feed->bytes_max) {
        pg_feed_output_flush(feed);
    }
}

static sluice_status take_row(struct pg_feed *feed, const struct sluice_pgout_message *m,
                              struct sluice_error *err)
{
    struct feed_relation *rel = NULL;
    if (!feed->in_tx) {
        return out_of_place(feed, err);
    }
    if (feed->skip) {
        return SLUICE_OK;
    }
    sluice_status st = pg_feed_relation_find(feed, m->relation, &rel, err);
    if (st == SLUICE_OK && rel->stream != NULL) {
        st = pg_feed_row(feed, rel, err);
    }
    if (st == SLUICE_AGAIN) {
        pg_feed_output_flush(feed);
    }
    else if (st == SLUICE_OK) {
        divide(feed);
    }
    return st;
}

/* ---------------------------------------------------------------- truncates ------------------ */

/* A leaf alone cannot be told from its table: all of them must be there. */
static sluice_status check_leaves(struct pg_feed *feed, const struct sluice_pgout_message *m,
                                  const struct feed_stream *fs, struct sluice_error *err)
{
    struct sluice_pg_text oids = {0};
    int all = 0;
    sluice_pg_text_add(&oids, "{");
    for (uint32_t i = 0; i < m->relation_count; i++) {
        sluice_pg_text_format(&oids, "%s%u", i > 0 ? "," : "", m->relations[i]);
    }
    sluice_pg_text_add(&oids, "}");
    sluice_status st = sluice_pg_text_check(&oids, err);
    if (st >= 0) {
        st = pg_feed_leaves_all(feed, fs->origin->relation->oid, oids.data, &all, err);
    }
    sluice_pg_text_free(&oids);
    if (st >= 0 && !all) {
        st = sluice_error_set(
            err, SLUICE_E_UNSUPPORTED, 0,
            "table %s: some of its partitions were truncated, which its stream cannot show (hint: "
            "load the table again; ALTER PUBLICATION … SET (publish_via_partition_root = true), or "
            "partitions: leaves)",
            fs->origin->name);
    }
    return st;
}

/* Makes sure that the streams' versions are announced. AGAIN = one must go out first. */
static sluice_status bind_truncated(struct pg_feed *feed, const struct sluice_pgout_message *m,
                                    struct sluice_error *err)
{
    for (uint32_t i = 0; i < m->relation_count; i++) {
        struct feed_relation *rel = pg_feed_relation_get(feed, m->relations[i]);
        if (rel != NULL && rel->described) {
            sluice_status st = pg_feed_relation_find(feed, rel->oid, &rel, err);
            if (st != SLUICE_OK) {
                return st;
            }
        }
    }
    return SLUICE_OK;
}

static sluice_status take_truncate(struct pg_feed *feed, const struct sluice_pgout_message *m,
                                   struct sluice_error *err)
{
    if (!feed->in_tx) {
        return out_of_place(feed, err);
    }
    if (feed->skip) {
        return SLUICE_OK;
    }
    sluice_status st = bind_truncated(feed, m, err);
    if (st != SLUICE_OK) {
        pg_feed_output_flush(feed);
        return st;
    }
    int64_t seq = feed->tx_seq;
    for (uint32_t i = 0; i < m->relation_count; i++) {
        const struct feed_relation *rel = pg_feed_relation_get(feed, m->relations[i]);
        if (rel == NULL || rel->stream == NULL) {
            continue;
        }
        struct feed_stream *fs = rel->stream;
        if (rel->oid != fs->origin->relation->oid) {
            SLUICE_TRY(check_leaves(feed, m, fs, err));
        }
        feed->tx_seq = seq + 1;
        SLUICE_TRY(pg_feed_output_truncate(feed, fs, err));
    }
    if (feed->truncate_count > 0) {
        pg_feed_output_flush(feed);
        feed->tx_fixed = 1;
    }
    return SLUICE_OK;
}

/* ---------------------------------------------------------------- logical messages ----------- */

/* One outside of transactions is one of its own: its place in the log is its position. */
static sluice_status take_alone(struct pg_feed *feed, const struct sluice_pgout_message *m,
                                struct sluice_error *err)
{
    if (feed->in_tx) {
        return out_of_place(feed, err);
    }
    if (m->lsn < feed->resume) {
        return SLUICE_OK;
    }
    if (feed->end != 0 && m->lsn >= feed->end) {
        return stop_here(feed, err);
    }
    feed->tx_number++;
    feed->tx_streams = NULL;
    feed->tx_seq = 0;
    feed->tx_id_size = 0;
    feed->tx_time_us = feed->wire.clock_us;
    sluice_put_be64(feed->tx_pos, m->lsn + 1);
    SLUICE_TRY(pg_feed_row_message(feed, err));
    feed->tx_streams = NULL;
    feed->position = m->lsn + 1 > feed->position ? m->lsn + 1 : feed->position;
    return SLUICE_OK;
}

static sluice_status take_message(struct pg_feed *feed, const struct sluice_pgout_message *m,
                                  struct sluice_error *err)
{
    if (feed->messages == NULL) {
        return SLUICE_OK;
    }
    if (!m->transactional) {
        return take_alone(feed, m, err);
    }
    if (!feed->in_tx) {
        return out_of_place(feed, err);
    }
    if (!feed->skip) {
        SLUICE_TRY(pg_feed_row_message(feed, err));
        divide(feed);
    }
    return SLUICE_OK;
}

sluice_status pg_feed_message(struct pg_feed *feed, struct sluice_error *err)
{
    const struct sluice_pgout_message *m = &feed->message;
    switch (m->type) {
    case SLUICE_PGOUT_INSERT:
    case SLUICE_PGOUT_UPDATE:
    case SLUICE_PGOUT_DELETE:
        return take_row(feed, m, err);
    case SLUICE_PGOUT_BEGIN:
        return take_begin(feed, m, err);
    case SLUICE_PGOUT_COMMIT:
        return take_commit(feed, m, err);
    case SLUICE_PGOUT_RELATION:
        return pg_feed_relation_keep(feed, m, err);
    case SLUICE_PGOUT_TRUNCATE:
        return take_truncate(feed, m, err);
    case SLUICE_PGOUT_MESSAGE:
        return take_message(feed, m, err);
    default:
        return SLUICE_OK; /* where a transaction came from, and names of types */
    }
}

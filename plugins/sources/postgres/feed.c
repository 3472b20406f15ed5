/* The reader of the shard of changes: its connection, its positions, and when a group is cut. */
#include "feed.h"

#include <stdlib.h>

#include "pg/error.h"
#include "sluice/position.h"

/* Grown once, so that reads from the socket are large. */
#define RECEIVE_BYTES (256u * 1024)
/* A group's limits: `batch_rows` and `batch_bytes` of the plan may lower them. */
#define GROUP_ROWS (64 * 1024)
#define GROUP_BYTES (8ll * 1024 * 1024)
/* A group that is behind waits no longer for more. */
#define GROUP_WAIT_US 200000
/* From the commit to the moment the server sends it, by its own clock: past this we are behind, and
 * large reads count for more than early ones. */
#define BEHIND_US 100000
/* While behind: when so long nothing came, we are not. */
#define QUIET_US 40000
/* While behind, data gathers between two reads: longer when little came, shorter when so much came
 * that the server might have to wait for room. */
#define REST_MIN_US 1250
#define REST_MAX_US 40000
#define LITTLE_BYTES (512u * 1024)
#define MUCH_BYTES (1024u * 1024)
/* A group takes along what comes meanwhile, but no longer than this. */
#define EARLY_US 5000
#define HEARTBEAT_US 1000000
/* The server is asked how far it is when an end was set and nothing comes. */
#define ASK_US 200000
#define FEEDBACK_DEFAULT_US 1000000
/* When the socket took nothing. */
#define FEEDBACK_AGAIN_US 100000
/* Messages between two looks at the clock. */
enum { CLOCK_EVERY = 64, SQL_LSN = 24 };

static int64_t now_us(const struct pg_feed *feed)
{
    const struct sluice_host *host = feed->src->host;
    return host->now_us(host->ctx, SLUICE_CLOCK_MONOTONIC);
}

/* ---------------------------------------------------------------- open ----------------------- */

static void append_names(struct sluice_pg_text *sql, const struct pg_feed_setup *setup)
{
    struct sluice_pg_text names = {0};
    for (uint32_t i = 0; i < setup->publication_count; i++) {
        sluice_pg_text_add(&names, i > 0 ? "," : "");
        sluice_pg_text_ident(&names, setup->publications[i]);
    }
    sluice_pg_text_literal(sql, names.data != NULL ? names.data : "");
    sql->failed |= names.failed;
    sluice_pg_text_free(&names);
}

static sluice_status start(struct pg_feed *feed, struct sluice_error *err)
{
    const struct sluice_source *src = feed->src;
    struct sluice_pg_text sql = {0};
    char lsn[SQL_LSN];
    sluice_lsn_format(feed->resume, lsn);
    sluice_pg_text_add(&sql, "START_REPLICATION SLOT ");
    sluice_pg_text_ident(&sql, src->feed.slot);
    sluice_pg_text_format(&sql, " LOGICAL %s (proto_version '1', publication_names ", lsn);
    append_names(&sql, &src->feed);
    if (feed->server_version >= 140000 && atomic_load(&src->feed.binary)) {
        sluice_pg_text_add(&sql, ", binary 'true'");
    }
    if (feed->server_version >= 140000 && feed->messages != NULL) {
        sluice_pg_text_add(&sql, ", messages 'true'");
    }
    if (feed->server_version >= 160000 && src->options.origin == PG_ORIGIN_NONE) {
        sluice_pg_text_add(&sql, ", origin 'none'");
    }
    sluice_pg_text_add(&sql, ")");
    sluice_status st = sluice_pg_text_check(&sql, err);
    if (st >= 0) {
        st = sluice_pg_repl_start(feed->conn, feed->what, sql.data, err);
    }
    sluice_pg_text_free(&sql);
    return st;
}

/* Status updates must come well before the server gives us up. */
static sluice_status choose_feedback(struct pg_feed *feed, struct sluice_error *err)
{
    PGresult *result = NULL;
    SLUICE_TRY(sluice_pg_query(feed->conn, feed->what,
                               "SELECT setting FROM pg_catalog.pg_settings"
                               " WHERE name = 'wal_sender_timeout'",
                               0, NULL, &result, err));
    int64_t timeout = 0;
    if (PQntuples(result) == 1) {
        timeout = (int64_t)strtoll(PQgetvalue(result, 0, 0), NULL, 10) * 1000;
    }
    PQclear(result);
    int64_t wanted = feed->src->options.feedback_interval_us;
    feed->feedback_us = wanted > 0 ? wanted : FEEDBACK_DEFAULT_US;
    if (timeout > 0 && feed->feedback_us > timeout / 3) {
        feed->feedback_us = timeout / 3;
    }
    return SLUICE_OK;
}

static sluice_status connect_feed(struct pg_feed *feed, struct sluice_error *err)
{
    struct sluice_source *src = feed->src;
    SLUICE_TRY(sluice_pg_repl_connect(&src->options.conn, src->host, src->registry, RECEIVE_BYTES,
                                      &feed->conn, err));
    feed->local = sluice_pg_is_local(feed->conn);
    feed->rest_us = REST_MIN_US * 8;
    feed->server_version = feed->conn->server_version;
    feed->sql_ascii = feed->conn->sql_ascii;
    (void)snprintf(feed->database, sizeof feed->database, "%s", PQdb(feed->conn->pg));
    SLUICE_TRY(pg_feed_verify(src, feed->conn, feed->resume, err));
    SLUICE_TRY(choose_feedback(feed, err));
    SLUICE_TRY(sluice_failpoint_hit(src->failpoints, "postgres.feed_before_start", err));
    SLUICE_TRY(start(feed, err));
    return sluice_failpoint_hit(src->failpoints, "postgres.feed_after_start", err);
}

static void set_limits(struct pg_feed *feed)
{
    const struct sluice_source *src = feed->src;
    feed->rows_max = GROUP_ROWS;
    feed->bytes_max = GROUP_BYTES;
    if (src->batch_rows > 0 && src->batch_rows < GROUP_ROWS) {
        feed->rows_max = (int64_t)src->batch_rows;
    }
    if (src->batch_bytes > 0 && src->batch_bytes < (uint64_t)GROUP_BYTES) {
        feed->bytes_max = (int64_t)src->batch_bytes;
    }
    feed->end = src->feed.once_end;
    if (src->feed.until_lsn != 0 && (feed->end == 0 || src->feed.until_lsn < feed->end)) {
        feed->end = src->feed.until_lsn;
    }
    feed->until_us = src->feed.until_us;
}

sluice_status pg_feed_open(struct sluice_source *src, const struct sluice_shard_desc *shard,
                           struct sluice_bytes resume, struct pg_feed **out,
                           struct sluice_error *err)
{
    if (resume.size != 0 && resume.size != FEED_POSITION_BYTES) {
        return sluice_error_set(err, SLUICE_E_INVALID, 0,
                                "shard %s: a position of %llu bytes is not one of this source",
                                shard->id, (unsigned long long)resume.size);
    }
    struct pg_feed *feed = calloc(1, sizeof *feed);
    if (feed == NULL) {
        return sluice_error_set(err, SLUICE_E_NOMEM, 0, "out of memory for a feed");
    }
    feed->src = src;
    feed->resume = resume.size != 0 ? sluice_get_be64(resume.data) : src->feed.start;
    feed->position = feed->resume;
    feed->delivered = feed->resume;
    feed->received = feed->resume;
    feed->acked = resume.size != 0 ? feed->resume : 0;
    (void)snprintf(feed->what, sizeof feed->what, "read changes of slot %.64s", src->feed.slot);
    set_limits(feed);
    feed->parser = sluice_pgout_parser_create();
    sluice_status st = feed->parser != NULL
                           ? pg_feed_streams_make(feed, err)
                           : sluice_error_set(err, SLUICE_E_NOMEM, 0, "out of memory for a feed");
    if (st >= 0) {
        st = pg_feed_relations_make(feed, err);
    }
    if (st >= 0) {
        st = connect_feed(feed, err);
    }
    if (st < 0) {
        pg_feed_close(feed);
        return st;
    }
    char lsn[SQL_LSN];
    sluice_lsn_format(feed->resume, lsn);
    sluice_log(src->host, SLUICE_LOG_INFO, "changes flow slot=%s from=%s streams=%u binary=%d",
               src->feed.slot, lsn, feed->stream_count, atomic_load(&src->feed.binary));
    feed->feedback_due_us = now_us(feed);
    *out = feed;
    return SLUICE_OK;
}

static void disconnect(struct pg_feed *feed)
{
    sluice_pg_close(feed->conn);
    feed->conn = NULL;
}

void pg_feed_close(struct pg_feed *feed)
{
    if (feed == NULL) {
        return;
    }
    if (feed->conn != NULL && feed->acked > feed->acked_sent && feed->feedback_us > 0) {
        /* What is durable need not be sent again after a start. */
        struct sluice_error err = SLUICE_ERROR_INIT;
        if (sluice_pg_repl_feedback(feed->conn, feed->what, feed->received, feed->acked, 0, &err) <
            0) {
            sluice_log(feed->src->host, SLUICE_LOG_DEBUG, "the last status update failed: %s",
                       err.message);
        }
    }
    disconnect(feed);
    pg_feed_streams_free(feed);
    pg_feed_relations_free(feed);
    sluice_rows_free(&feed->truncate_rows);
    sluice_pgout_parser_free(feed->parser);
    free(feed->truncates);
    free(feed);
}

/* ---------------------------------------------------------------- feedback ------------------- */

static sluice_status send_feedback(struct pg_feed *feed, int64_t now, int32_t want_reply,
                                   struct sluice_error *err)
{
    const struct sluice_failpoint_extension *fp = feed->src->failpoints;
    SLUICE_TRY(sluice_failpoint_hit(fp, "postgres.feed_before_feedback", err));
    sluice_status st = sluice_pg_repl_feedback(feed->conn, feed->what, feed->received, feed->acked,
                                               want_reply, err);
    if (st != SLUICE_OK) {
        feed->feedback_due_us = now + FEEDBACK_AGAIN_US; /* the socket is full */
        return st < 0 ? st : SLUICE_OK;
    }
    feed->acked_sent = feed->acked;
    feed->feedback_due_us = now + feed->feedback_us;
    return sluice_failpoint_hit(fp, "postgres.feed_after_feedback", err);
}

static sluice_status feedback_if_due(struct pg_feed *feed, int64_t now, struct sluice_error *err)
{
    return now >= feed->feedback_due_us ? send_feedback(feed, now, 0, err) : SLUICE_OK;
}

/* ---------------------------------------------------------------- messages ------------------- */

static void take_keepalive(struct pg_feed *feed)
{
    const struct sluice_pg_repl_message *k = &feed->wire;
    feed->received = k->end > feed->received ? k->end : feed->received;
    /* In the middle of a transaction it says how far the server has read, not what it has sent. */
    if (!feed->in_tx && k->end > feed->position) {
        feed->position = k->end;
    }
    if (k->reply) {
        feed->feedback_due_us = 0;
    }
}

static sluice_status too_large(const struct pg_feed *feed, uint64_t size, struct sluice_error *err)
{
    return sluice_error_set(
        err, SLUICE_E_LIMIT, 0,
        "%s: a change has %.1f MiB or more, and option max_row_bytes allows %.1f (hint: raise "
        "max_row_bytes, which needs memory for three times as much, or leave the column out)",
        feed->what, (double)size / (1u << 20),
        (double)feed->src->options.max_row_bytes / (1u << 20));
}

/* The next message of the log, taken apart. AGAIN = none is there. */
static sluice_status next_message(struct pg_feed *feed, struct sluice_error *err)
{
    for (;;) {
        sluice_status st = sluice_pg_repl_next(feed->conn, feed->what, &feed->wire, err);
        if (st == SLUICE_END) {
            return sluice_error_set(err, SLUICE_E_UNAVAILABLE, SLUICE_ERROR_RETRYABLE,
                                    "%s: the server ended the stream (hint: it shuts down)",
                                    feed->what);
        }
        if (st != SLUICE_OK) {
            return st;
        }
        feed->mark = feed->conn->received;
        if (feed->wire.kind == SLUICE_PG_REPL_KEEPALIVE) {
            take_keepalive(feed);
            return SLUICE_END; /* nothing for the transactions, but worth a look at the clock */
        }
        if (feed->wire.size > (uint64_t)feed->src->options.max_row_bytes) {
            return too_large(feed, feed->wire.size, err);
        }
        if (feed->wire.start > feed->received) {
            feed->received = feed->wire.start;
        }
        return sluice_pgout_parse(feed->parser, feed->wire.data, feed->wire.size, &feed->message,
                                  err);
    }
}

/* Takes messages until something is to go out (OK) or none is left (AGAIN). */
static sluice_status take_messages(struct pg_feed *feed, struct sluice_error *err)
{
    for (uint32_t n = 1;; n++) {
        sluice_status st = feed->held ? SLUICE_OK : next_message(feed, err);
        if (st < 0 || st == SLUICE_AGAIN) {
            return st;
        }
        if (st == SLUICE_OK) {
            st = pg_feed_message(feed, err);
            if (st < 0) {
                return st;
            }
            feed->held = st == SLUICE_AGAIN;
        }
        if (pg_feed_output_waits(feed) || feed->ended) {
            return SLUICE_OK;
        }
        if (n % CLOCK_EVERY != 0 && st != SLUICE_END) {
            continue;
        }
        int64_t now = now_us(feed);
        SLUICE_TRY(feedback_if_due(feed, now, err));
        if (feed->pending_first != NULL && feed->group_us == 0) {
            feed->group_us = now;
        }
        if (!feed->in_tx && feed->pending_first != NULL && now - feed->group_us >= GROUP_WAIT_US) {
            return pg_feed_output_cut(feed, err);
        }
    }
}

/* ---------------------------------------------------------------- waiting -------------------- */

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* A message must not fill the memory before it is whole and can be measured. */
static sluice_status check_unfinished(const struct pg_feed *feed, struct sluice_error *err)
{
    uint64_t limit = (uint64_t)feed->src->options.max_row_bytes;
    uint64_t came = feed->conn->received - feed->mark;
    return came > limit + limit / 16 + (1u << 20) ? too_large(feed, came, err) : SLUICE_OK;
}

/* Reads what the socket has, waiting at most `wait_us`. feed->quiet = nothing was there. */
static sluice_status read_more(struct pg_feed *feed, int64_t wait_us, struct sluice_error *err)
{
    uint64_t before = feed->conn->received;
    SLUICE_TRY(sluice_pg_read(feed->conn, feed->what, wait_us, err));
    feed->quiet = feed->conn->received == before;
    return check_unfinished(feed, err);
}

/* The same while behind: what gathered in a rest, which is as long as its bytes say. */
static sluice_status read_gathered(struct pg_feed *feed, int64_t wait_us, struct sluice_error *err)
{
    uint64_t before = feed->conn->received;
    SLUICE_TRY(sluice_pg_read_later(feed->conn, feed->what, earlier(wait_us, feed->rest_us), err));
    uint64_t came = feed->conn->received - before;
    feed->quiet = came == 0;
    if (came > MUCH_BYTES && feed->rest_us > REST_MIN_US) {
        feed->rest_us /= 2;
    }
    else if (came < LITTLE_BYTES && feed->rest_us < REST_MAX_US) {
        feed->rest_us *= 2;
    }
    return check_unfinished(feed, err);
}

/* With all messages taken and no transaction open: does the group go out? */
static sluice_status consider_group(struct pg_feed *feed, int64_t now, struct sluice_error *err)
{
    if (feed->group_us == 0) {
        feed->group_us = now;
    }
    int64_t age = now - feed->group_us;
    if (feed->lag_us > BEHIND_US && !feed->quiet && age < GROUP_WAIT_US) {
        return SLUICE_AGAIN;
    }
    if (!feed->quiet && age < EARLY_US) {
        /* What is at the socket already comes along. */
        SLUICE_TRY(read_more(feed, 0, err));
        if (!feed->quiet) {
            return SLUICE_OK;
        }
    }
    return pg_feed_output_cut(feed, err);
}

/* An end that was set may be reached without another transaction. */
static sluice_status consider_end(struct pg_feed *feed, int64_t now, struct sluice_error *err)
{
    const struct sluice_host *host = feed->src->host;
    if (feed->end != 0 && feed->position >= feed->end) {
        feed->ended = 1;
        return feed->position > feed->delivered ? pg_feed_output_cut(feed, err) : SLUICE_OK;
    }
    if ((feed->end == 0 && feed->until_us == 0) || now < feed->ask_due_us) {
        return SLUICE_AGAIN;
    }
    feed->ask_due_us = now + ASK_US;
    if (feed->end == 0 && host->now_us(host->ctx, SLUICE_CLOCK_WALL) > feed->until_us) {
        SLUICE_TRY(pg_feed_until_find(feed, &feed->end, err));
    }
    return feed->end != 0 ? send_feedback(feed, now, 1, err) : SLUICE_AGAIN;
}

/* With all messages taken: what time has come for? OK = something goes out, or look again. */
static sluice_status consider(struct pg_feed *feed, int64_t now, struct sluice_error *err)
{
    SLUICE_TRY(feedback_if_due(feed, now, err));
    if (feed->in_tx) {
        return SLUICE_AGAIN;
    }
    if (feed->pending_first != NULL) {
        return consider_group(feed, now, err);
    }
    sluice_status st = consider_end(feed, now, err);
    if (st < 0 || feed->ended) {
        return st;
    }
    if (feed->position > feed->delivered && now >= feed->heartbeat_due_us) {
        return pg_feed_output_cut(feed, err);
    }
    return SLUICE_AGAIN;
}

static sluice_status wait_more(struct pg_feed *feed, int64_t now, int64_t deadline,
                               struct sluice_error *err)
{
    int behind = feed->lag_us > BEHIND_US && !feed->quiet;
    int64_t until = earlier(deadline, feed->feedback_due_us);
    if (!feed->in_tx && feed->pending_first != NULL) {
        until = earlier(until, now + QUIET_US);
    }
    else if (!feed->in_tx && feed->position > feed->delivered) {
        until = earlier(until, feed->heartbeat_due_us);
    }
    /* With something pending nobody asks, so that the time to ask may have passed. */
    if (!feed->in_tx && feed->pending_first == NULL && (feed->end != 0 || feed->until_us != 0)) {
        until = earlier(until, feed->ask_due_us);
    }
    int64_t left = until > now ? until - now : 0;
    return behind && !feed->local ? read_gathered(feed, left, err) : read_more(feed, left, err);
}

/* ---------------------------------------------------------------- the reader's functions ----- */

/* OK = something waits to go out; AGAIN = the time is up; END = all that was asked for has gone. */
static sluice_status advance(struct pg_feed *feed, int64_t deadline, struct sluice_error *err)
{
    int looked = 0; /* a timeout of zero still looks once */
    for (;;) {
        if (pg_feed_output_waits(feed)) {
            return SLUICE_OK;
        }
        if (feed->ended) {
            return SLUICE_END;
        }
        sluice_status st = take_messages(feed, err);
        if (st == SLUICE_OK) {
            continue;
        }
        if (st < 0) {
            return st;
        }
        int64_t now = now_us(feed);
        st = consider(feed, now, err);
        if (st < 0) {
            return st;
        }
        if (st == SLUICE_OK) {
            continue;
        }
        if (now >= deadline && looked) {
            return SLUICE_AGAIN;
        }
        SLUICE_TRY(wait_more(feed, now, deadline, err));
        looked = 1;
    }
}

/* After an error nothing more comes. A reader that was cancelled can still say what is durable when
 * it closes. */
static sluice_status fail(struct pg_feed *feed, sluice_status st, struct sluice_error *err)
{
    feed->failed = 1;
    if (st != SLUICE_E_CANCELLED) {
        disconnect(feed);
    }
    if (err != NULL && strstr(err->message, feed->src->feed.slot) == NULL) {
        (void)sluice_error_wrap(err, "%s", feed->what);
    }
    return st;
}

/* Feedback outside of reading. Once all has come, a connection that breaks breaks nothing. */
static sluice_status feedback_aside(struct pg_feed *feed, struct sluice_error *err)
{
    if (feed->conn == NULL) {
        return SLUICE_OK;
    }
    sluice_status st = feedback_if_due(feed, now_us(feed), err);
    if (st < 0 && st != SLUICE_E_CANCELLED && feed->ended && !pg_feed_output_waits(feed)) {
        disconnect(feed);
        return SLUICE_OK;
    }
    return st;
}

static sluice_status check_usable(const struct pg_feed *feed, struct sluice_error *err)
{
    if (feed->failed) {
        return sluice_error_set(err, SLUICE_E_STATE, 0, "%s: this reader has failed before",
                                feed->what);
    }
    return SLUICE_OK;
}

sluice_status pg_feed_next(struct pg_feed *feed, int64_t timeout_us, struct sluice_batch *out,
                           struct sluice_error *err)
{
    SLUICE_TRY(check_usable(feed, err));
    sluice_status st = SLUICE_OK;
    if (feed->ended || pg_feed_output_waits(feed)) {
        st = feedback_aside(feed, err);
    }
    if (st >= 0) {
        st = advance(feed, now_us(feed) + timeout_us, err);
    }
    if (st == SLUICE_OK) {
        st = pg_feed_output_next(feed, out, err);
    }
    return st < 0 ? fail(feed, st, err) : st;
}

sluice_status pg_feed_idle(struct pg_feed *feed, struct sluice_error *err)
{
    SLUICE_TRY(check_usable(feed, err));
    sluice_status st = feedback_aside(feed, err);
    return st < 0 ? fail(feed, st, err) : st;
}

sluice_status pg_feed_ack(struct pg_feed *feed, struct sluice_bytes position,
                          struct sluice_error *err)
{
    if (position.size != FEED_POSITION_BYTES) {
        return sluice_error_set(err, SLUICE_E_INVALID, 0,
                                "%s: a position of %llu bytes is not one of this source",
                                feed->what, (unsigned long long)position.size);
    }
    uint64_t lsn = sluice_get_be64(position.data);
    if (lsn > feed->acked) {
        feed->acked = lsn;
        feed->feedback_due_us = 0;
    }
    return SLUICE_OK;
}

/*
 * The feed: what its files share. Of feed*.c alone. One thread at a time.
 *
 *     feed.c         life, positions, polling, when the feed ends
 *     feed_window.c  which transactions are read at once
 *     feed_rows.c    rows of one change table into the envelope's columns: the hot path
 *     feed_merge.c   the order of rows over all tables
 *     feed_version.c columns of streams as the instance at hand captures them
 *     feed_cdc.c     change data capture as one way of capture; feed_window.c and feed_rows.c are its own
 *
 * Change tracking is the other way (tracking*.c): it shares this feed by way.h.
 *
 * A window is a range of log sequence numbers, read table by table and handed over as one group; of a transaction that
 * is too large for one, it is a range of command ids. Nothing of a window goes out before all of it is read, so that
 * whatever comes in between (an instance that came or went, a column that became nullable) just begins it anew.
 */
#ifndef SQLSERVER_FEED_H
#define SQLSERVER_FEED_H

#include "sluice/array.h"
#include "sluice/log.h"
#include "sluice/position.h"
#include "tracking.h"
#include "way.h"

/* The envelope's columns. */
enum {
    FEED_OP = 0,
    FEED_COMMIT_POS = 1,
    FEED_TX_SEQ = 2,
    FEED_COMMIT_TS = 3,
    FEED_TX_ID = 4,
    FEED_BEFORE = 5,
    FEED_AFTER = 6,
    FEED_UNCHANGED = 7
};

/* __$operation */
enum { MS_DELETE = 1, MS_INSERT = 2, MS_BEFORE = 3, MS_AFTER = 4 };

enum { FEED_COLUMNS_MAX = 1024, FEED_TX_ID_MAX = 24 };

/* Where a row stands in its transaction: (command, seqval, operation). */
struct feed_order {
    uint32_t tx; /* index into the window's transactions */
    int32_t operation;
    int64_t command;
    uint8_t seqval[MS_LSN_BYTES];
};

struct feed_stream {
    struct ms_stream *origin;           /* as open() announced it */
    const struct ms_instance *instance; /* rows come from it */
    struct ms_lsn hand_over;            /* a newer instance begins here; zero = none */
    struct ms_stream *made;             /* owned: its version; NULL = the origin */
    const struct ms_stream *now;
    int32_t announce; /* `now` must be announced before its next row */
    int32_t relaxed;  /* no column but the key's is said to be never NULL */
    char *columns; /* of the SELECT over the change table; of change tracking: up to the version */
    char *rest;    /* of change tracking: behind the version */
    int64_t
        begun; /* of change tracking: the version where the table's tracking began; -1 = not known yet */
    int32_t *at;  /* one a column of `now`: its place among the captured ones */
    uint8_t *key; /* one a captured column: 1 = of the key */
    struct sluice_rows rows;
    int32_t built;
    struct feed_order *order; /* one a row */
    int64_t order_cap;
    uint64_t bytes_read; /* of it in this window, to size the next one */
    /* handing over */
    struct ArrowArray *slices;
    uint32_t slice_count;
    uint32_t slice_next;
    uint64_t slice_bytes;
};

struct feed_tx {
    struct ms_lsn lsn;
    int64_t time_us; /* UTC */
    char id[FEED_TX_ID_MAX];
    uint32_t id_size;
};

struct ms_feed {
    struct sluice_source *src;
    const struct ms_way *way;
    struct sluice_tds_conn *conn;
    int32_t failed;
    int32_t ended;
    char what[160];
    struct ms_capture capture;
    struct feed_stream *streams;
    uint32_t stream_count;

    /* positions */
    struct ms_lsn position;  /* everything up to it was read */
    struct ms_lsn delivered; /* the last boundary */
    struct ms_lsn max;       /* how far the capture job was when it was asked last */
    struct ms_lsn end;       /* END at the boundary that reaches it; zero = not known yet */
    int64_t until_us;        /* UTC: END behind what was committed up to then; 0 = none */
    int64_t ask_due_us;      /* whether the capture job has passed it */
    int64_t seen_us;         /* UTC: how far it was when it was asked last */
    int64_t seen_since_us;   /* monotonic: that it is there; 0 = not asked yet */

    /* the window */
    struct ms_lsn from;   /* exclusive */
    struct ms_lsn to;     /* inclusive */
    int64_t command_from; /* exclusive; of a transaction in parts */
    int64_t command_to;   /* inclusive; -1 = whole transactions */
    int32_t in_parts;
    int32_t last_part;
    int32_t parts_out;            /* some of it was handed over */
    uint32_t again;               /* times in a row that it was begun anew */
    int64_t part_rows;            /* of it, that were not read yet */
    int64_t tx_base;              /* tx_seq of the last row of the parts before */
    struct ms_tracking *tracking; /* its own state; NULL in change data capture */
    struct feed_tx *txs;
    uint32_t tx_count;
    uint32_t tx_aim;   /* transactions of the next window */
    int64_t rows_aim;  /* rows of a window at most, if it can be helped */
    int64_t rows_max;  /* of a batch */
    int64_t bytes_max; /* of a window, if it can be helped */
    int64_t *counts;   /* one a stream: rows in the window */

    /* what goes out */
    struct feed_stream **out; /* those with rows, by their first one */
    uint32_t out_count;
    uint32_t out_next;
    uint8_t position_bytes[MS_LSN_BYTES]; /* lent with a batch */

    /* time */
    int64_t zone_us;     /* of the server: local minus UTC */
    int64_t zone_due_us; /* monotonic, as all below: ask again */
    int64_t poll_us;     /* how long to wait before looking for changes again */
    int64_t poll_due_us;
    int64_t lag_due_us; /* look whether the capture job works */
    int64_t heartbeat_due_us;
    int32_t lag_told;
    int32_t retention_told;
};

/* feed.c */
sluice_status ms_feed_open(struct sluice_source *src, const struct sluice_shard_desc *shard,
                           struct sluice_bytes resume, struct ms_feed **out,
                           struct sluice_error *err);
sluice_status ms_feed_next(struct ms_feed *feed, int64_t timeout_us, struct sluice_batch *out,
                           struct sluice_error *err);
void ms_feed_close(struct ms_feed *feed);

/* feed_window.c */
/* Chooses the next window: OK = there is one, END = nothing follows. */
sluice_status ms_feed_window_next(struct ms_feed *feed, struct sluice_error *err);
/* Reads it. AGAIN = the catalog must be read anew first, and the window with it. */
sluice_status ms_feed_window_read(struct ms_feed *feed, struct sluice_error *err);
/* What was collected of it is thrown away. */
void ms_feed_window_drop(struct ms_feed *feed);

/* feed_rows.c */
sluice_status ms_feed_rows_read(struct ms_feed *feed, struct feed_stream *fs,
                                struct sluice_error *err);
sluice_status ms_feed_rows_prepare(struct feed_stream *fs, struct sluice_error *err);
/* Of rows of any kind: room for one more, its first columns, a value of the result, its end. */
sluice_status ms_feed_row_begin(struct feed_stream *fs, struct sluice_error *err);
sluice_status ms_feed_row_head(struct feed_stream *fs, int8_t op, const struct feed_tx *tx,
                               struct sluice_error *err);
sluice_status ms_feed_row_value(struct feed_stream *fs, const struct sluice_tds_decoder *decoder,
                                struct sluice_bytes value, struct sluice_column *column,
                                struct sluice_error *err);
void ms_feed_row_end(struct feed_stream *fs, const struct feed_order *order);

/* feed_merge.c: numbers the rows of the window, and lists the streams that have some: whoever takes their batches one
 * after the other meets parents before the children that came with them. */
sluice_status ms_feed_merge(struct ms_feed *feed, struct sluice_error *err);

/* feed_version.c */
sluice_status ms_feed_streams_make(struct ms_feed *feed, struct sluice_error *err);
void ms_feed_streams_free(struct ms_feed *feed);
/* Chooses each stream's instance for what follows feed->position, after the instances were read. POSITION_LOST = no
 * instance has all of it. */
sluice_status ms_feed_streams_place(struct ms_feed *feed, struct sluice_error *err);
/* Makes the version of the stream's columns anew. */
sluice_status ms_feed_version_make(struct ms_feed *feed, struct feed_stream *fs,
                                   struct sluice_error *err);
/* Of change data capture: the newest instance that has all behind `needed`. */
sluice_status ms_feed_instance_choose(struct ms_feed *feed, struct feed_stream *fs,
                                      const struct ms_lsn *needed, struct sluice_error *err);
sluice_status ms_feed_stream_build(struct feed_stream *fs, struct sluice_error *err);

/* feed_lag.c: how far the capture job is behind, and whether it runs at all */
enum {
    MS_LAG_MAX_S = 600
}; /* the job writes a row every five minutes even if nothing is committed */
/* The server's clock and zone. */
sluice_status ms_clock_read(struct sluice_tds_conn *conn, int64_t *utc_us, int64_t *zone_us,
                            struct sluice_error *err);
/* The time (UTC) up to which all that was committed is captured; 0 = not known. */
sluice_status ms_captured_until(struct sluice_tds_conn *conn, int64_t zone_us, int64_t *out_us,
                                struct sluice_error *err);
/* How long the cleanup job keeps changes; its default where that cannot be seen. */
sluice_status ms_retention_read(struct sluice_tds_conn *conn, int64_t *minutes,
                                struct sluice_error *err);
/* Warns once when the capture job lags or half of the retention has passed. */
void ms_feed_lag_look(struct ms_feed *feed);
/* A run that ends behind what was committed waits for the job, which is at `captured`: UNAVAILABLE when that will not come. */
sluice_status ms_feed_lag_wait(struct ms_feed *feed, int64_t captured, int64_t now,
                               struct sluice_error *err);
sluice_status ms_feed_lag_measure(struct sluice_tds_conn *conn, const struct ms_lsn *position,
                                  struct sluice_source_lag *out, struct sluice_error *err);
/* One row of times and numbers; bit i of `times`: column i is a datetime. NULLs are 0. END = there was none. */
sluice_status ms_ask(struct sluice_tds_conn *conn, const char *what, const char *sql, int64_t *out,
                     int32_t n, uint32_t times, struct sluice_error *err);
sluice_status ms_measure(struct sluice_source *src, const struct sluice_source_plan *plan,
                         struct sluice_bytes position, struct sluice_source_lag *out,
                         struct sluice_error *err);

#endif /* SQLSERVER_FEED_H */

/*
 * The feed: what its files share. Of feed*.c alone.
 *
 * One thread at a time; nothing here is shared with other readers but the source's constants.
 *
 *     feed.c        connection, positions, feedback, when a group is cut
 *     feed_output.c what goes out: batches of rows, versions, truncates, heartbeats
 *     feed_message.c what comes in: transactions, rows, truncates, logical messages
 *     feed_row.c    one row into the envelope's columns: the hot path
 *     feed_stream.c builders of rows, one a stream
 *     feed_relation.c which relation of the log is which stream
 *     feed_version.c new versions of a stream's columns
 *
 * A group is what is handed over between two boundaries: many small transactions of many tables, or
 * a part of a large one. Its rows wait in the streams' builders (`pending`), in the order of the
 * streams' first rows.
 */
#ifndef SLUICE_PG_FEED_H
#define SLUICE_PG_FEED_H

#include "pg/pgoutput.h"
#include "pg/repl.h"
#include "source.h"

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

enum { FEED_POSITION_BYTES = 8, FEED_XID_MAX = 12 };
enum { FEED_UNCHANGED_BYTES = (SLUICE_PGOUT_COLUMNS_MAX + 7) / 8 };

struct feed_type {
    uint32_t type;
    int32_t typmod;
};

/* A version of a stream's columns that is not the first. */
struct feed_version {
    struct pg_stream stream;
    struct feed_type *types;     /* one a column */
    struct pg_relation relation; /* what the stream was made of */
    struct pg_attribute *attributes;
    struct sluice_pg_text published; /* its numbers */
};

/* One stream of the source, and the rows of it that wait. */
struct feed_stream {
    struct pg_stream *origin;    /* as open() announced it; its last_schema_id is ours to count */
    const struct pg_stream *now; /* what was announced last: the origin, or `made` */
    struct feed_version *made;   /* owned; NULL = still the origin */
    struct feed_version *next;   /* owned; to be announced before the next row */
    uint64_t version;            /* counts what was announced, so that maps know their time */
    int32_t stale; /* an earlier reader announced other columns: say again what ours are */
    int32_t built;
    uint32_t column_count;   /* of `now` */
    uint8_t *required;       /* one a column: 1 = announced as not nullable */
    struct feed_type *types; /* one a column */
    struct sluice_rows rows;
    struct sluice_pg_decoder *after[2]; /* by form: 0 text, 1 binary; one a column */
    struct sluice_pg_decoder *before[2];
    int64_t tx_first;   /* the open transaction's first row; valid if tx_number is its own */
    uint64_t tx_number; /* the last transaction that put a row here */
    struct feed_stream *tx_next;      /* of the open transaction's streams */
    struct feed_stream *pending_next; /* of the streams with rows */
    struct feed_stream *older;        /* of built streams, by last use */
    struct feed_stream *newer;
    int64_t retained; /* bytes that the builder may keep, by its largest batch */
};

/* A relation of the log, as its last Relation message described it. */
struct feed_relation {
    uint32_t oid;
    int32_t resolved;           /* `stream` is known */
    int32_t described;          /* a Relation message came */
    struct feed_stream *stream; /* NULL = not ours */
    uint64_t bound;             /* the stream's version that the maps are for; 0 = none */
    uint64_t tried;             /* the version that was made for it; 0 = none */
    int32_t identity;           /* d i f n */
    uint32_t column_count;
    char *schema; /* these four: one allocation each */
    char *name;
    struct sluice_pgout_column *columns; /* their names lie in `names` */
    char *names;
    int32_t *after;  /* column → column of `after`; -1 = not chosen */
    int32_t *before; /* key columns: column → column of `before`; -1 = none */
};

struct feed_truncate {
    struct feed_stream *stream;
    int64_t tx_seq;
};

struct pg_feed {
    struct sluice_source *src;
    struct sluice_pg_conn *conn; /* NULL once dead or ended */
    int32_t failed;
    int32_t ended; /* END was reached: nothing more is read */
    int32_t sql_ascii;
    int32_t server_version;
    char what[128]; /* object and operation, for errors */
    char database[64];
    struct sluice_pgout_parser *parser;

    struct feed_stream *streams;
    uint32_t stream_count;
    struct feed_stream *messages;     /* the stream of logical messages; NULL = none */
    struct feed_relation **relations; /* open addressing by oid */
    uint32_t relation_cap;            /* power of two */
    uint32_t relation_count;
    struct feed_relation *last; /* the relation of the last row */

    /* the message at hand */
    struct sluice_pg_repl_message wire;
    struct sluice_pgout_message message;
    uint8_t unchanged[FEED_UNCHANGED_BYTES]; /* of the row at hand: columns that were not sent */
    int32_t held; /* `message` waits until what must go out before it has gone */

    /* the transaction at hand */
    int32_t in_tx;
    int32_t skip;                        /* it was delivered before: nothing of it counts */
    int32_t tx_fixed;                    /* rows were handed over already: tx_pos stays */
    uint64_t tx_number;                  /* counts transactions of this connection */
    uint64_t tx_lsn;                     /* of the commit record */
    uint8_t tx_pos[FEED_POSITION_BYTES]; /* commit_pos of its rows, as far as known */
    int64_t tx_seq;                      /* of its last row */
    int64_t tx_time_us;
    char tx_id[FEED_XID_MAX];
    uint32_t tx_id_size;
    struct feed_stream *tx_streams; /* those with rows of it in their builders */

    /* the group */
    struct feed_stream *pending_first;
    struct feed_stream *pending_last;
    int64_t pending_rows;
    int64_t pending_bytes;
    int64_t rows_max; /* handed over at the latest */
    int64_t bytes_max;
    int64_t group_us;           /* when its first row came */
    struct feed_stream *newest; /* of built streams */
    struct feed_stream *oldest;
    int64_t retained; /* by all builders */

    /* what goes out next, in this order */
    int32_t flush;                  /* the pending rows */
    int32_t boundary;               /* … and then a boundary, carried by the last of them */
    struct feed_stream *announcing; /* its next version; NULL = none */
    struct feed_truncate *truncates;
    uint32_t truncate_count;
    uint32_t truncate_next;
    uint32_t truncate_cap;
    struct sluice_rows truncate_rows;
    int32_t truncate_built;
    uint8_t position_bytes[FEED_POSITION_BYTES]; /* lent with a batch */

    /* positions */
    uint64_t resume;
    uint64_t position;  /* everything up to it has come */
    uint64_t delivered; /* the last boundary */
    uint64_t received;
    uint64_t acked;
    uint64_t acked_sent;
    uint64_t end; /* END at the boundary that reaches it; 0 = none */
    int64_t until_us;
    int64_t feedback_us;     /* longest time between two */
    int64_t feedback_due_us; /* monotonic */
    int64_t heartbeat_due_us;
    int64_t ask_due_us; /* a keepalive is asked for, to see how far the server is */
    int64_t lag_us;     /* of the last transaction, by the server's own clock */
    int32_t local;      /* over a Unix socket */
    int64_t rest_us;    /* how long data gathers before a read, while behind */
    int32_t quiet;      /* the last wait brought nothing */
    uint64_t mark;      /* what the connection had received at the last whole message */
};

/* ---------------------------------------------------------------- feed_stream.c -------------- */

sluice_status pg_feed_streams_make(struct pg_feed *feed, struct sluice_error *err)
    SLUICE_MUST_CHECK;
void pg_feed_streams_free(struct pg_feed *feed);
/* Room for one more row. */
sluice_status pg_feed_stream_ready(struct pg_feed *feed, struct feed_stream *fs,
                                   struct sluice_error *err) SLUICE_MUST_CHECK;
/* Counts a row that was appended, of a message of `bytes`. */
void pg_feed_stream_count(struct pg_feed *feed, struct feed_stream *fs, int64_t bytes);
/* Writes the open transaction's position into its rows that wait. */
void pg_feed_streams_patch(struct pg_feed *feed, uint64_t position);
/* Moves the rows out. */
sluice_status pg_feed_stream_finish(struct pg_feed *feed, struct feed_stream *fs,
                                    struct sluice_batch *out, struct sluice_error *err)
    SLUICE_MUST_CHECK;
/* Makes fs->next what the stream is from now on; its old rows are out. */
sluice_status pg_feed_stream_switch(struct pg_feed *feed, struct feed_stream *fs,
                                    struct sluice_error *err) SLUICE_MUST_CHECK;

/* ---------------------------------------------------------------- feed_relation.c ------------ */

/* Keeps what a Relation message says. */
sluice_status pg_feed_relation_keep(struct pg_feed *feed, const struct sluice_pgout_message *m,
                                    struct sluice_error *err) SLUICE_MUST_CHECK;
/* The relation of a row, ready for it: *out has stream NULL when it is not ours. AGAIN = a new
 * version of its stream must go out first. */
sluice_status pg_feed_relation_find(struct pg_feed *feed, uint32_t oid, struct feed_relation **out,
                                    struct sluice_error *err) SLUICE_MUST_CHECK;
/* Prepares for the streams' relations and their leaves. */
sluice_status pg_feed_relations_make(struct pg_feed *feed, struct sluice_error *err)
    SLUICE_MUST_CHECK;
/* NULL = not seen. */
struct feed_relation *pg_feed_relation_get(const struct pg_feed *feed, uint32_t oid);
void pg_feed_relations_free(struct pg_feed *feed);

/* ---------------------------------------------------------------- feed_version.c ------------- */

/* Whether a column of the log belongs to the stream. */
int pg_feed_column_wanted(const struct feed_stream *fs, const char *name);
/* Makes the version that a relation describes, as fs->next. */
sluice_status pg_feed_version_make(struct pg_feed *feed, struct feed_stream *fs,
                                   const struct feed_relation *rel, struct sluice_error *err)
    SLUICE_MUST_CHECK;
/* Makes fs->next of the version at hand, with some columns nullable: those with relax[i] = 1. */
sluice_status pg_feed_version_relax(struct pg_feed *feed, struct feed_stream *fs,
                                    const uint8_t *relax, struct sluice_error *err)
    SLUICE_MUST_CHECK;
void pg_feed_version_free(struct feed_version *version);
/* The partitioned table of the source's streams that a leaf belongs to; 0 = none. */
sluice_status pg_feed_root_find(struct pg_feed *feed, uint32_t leaf, struct feed_stream **root,
                                struct sluice_error *err) SLUICE_MUST_CHECK;
/* 1 if `oids` (an array literal) hold every leaf of `root`. */
sluice_status pg_feed_leaves_all(struct pg_feed *feed, uint32_t root, const char *oids, int *all,
                                 struct sluice_error *err) SLUICE_MUST_CHECK;
/* How far the log is, now that the server's clock has passed `until_us`; 0 = it has not. */
sluice_status pg_feed_until_find(struct pg_feed *feed, uint64_t *out, struct sluice_error *err)
    SLUICE_MUST_CHECK;

/* ---------------------------------------------------------------- feed_row.c ----------------- */

/* Appends the row of the message at hand. AGAIN = a new version must go out first. */
sluice_status pg_feed_row(struct pg_feed *feed, struct feed_relation *rel, struct sluice_error *err)
    SLUICE_MUST_CHECK;
/* Appends a logical message. */
sluice_status pg_feed_row_message(struct pg_feed *feed, struct sluice_error *err) SLUICE_MUST_CHECK;

/* ---------------------------------------------------------------- feed_message.c ------------- */

/* Takes the message at hand. AGAIN = it must wait until something has gone out (`held`). */
sluice_status pg_feed_message(struct pg_feed *feed, struct sluice_error *err) SLUICE_MUST_CHECK;

/* ---------------------------------------------------------------- feed_output.c -------------- */

/* 1 if something is to go out before the next message is taken. */
int pg_feed_output_waits(const struct pg_feed *feed);
/* Hands over the next of it. */
sluice_status pg_feed_output_next(struct pg_feed *feed, struct sluice_batch *out,
                                  struct sluice_error *err) SLUICE_MUST_CHECK;
/* The pending rows go out now, without a boundary; the open transaction's position is fixed. */
void pg_feed_output_flush(struct pg_feed *feed);
/* The pending rows go out now, with a boundary. */
sluice_status pg_feed_output_cut(struct pg_feed *feed, struct sluice_error *err) SLUICE_MUST_CHECK;
sluice_status pg_feed_output_truncate(struct pg_feed *feed, struct feed_stream *fs,
                                      struct sluice_error *err) SLUICE_MUST_CHECK;

#endif /* SLUICE_PG_FEED_H */
